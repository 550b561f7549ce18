//! Reading takes memory in proportion to the size of the file, whatever the file claims.

use std::{error::Error, fs};

use adamax::{Adamax, Average, Checkpoint, ErrorKind, Optimizer};
use ndarray::Array2;

use crate::{
    common::{Float, input, repository},
    counting::{Allocated, allocated},
    hostile::file,
    sample,
};

type Tested = Result<(), Box<dyn Error>>;

/// Allowance for allocations of constant size: the error and the first node of a map.
const SMALL: usize = 3_000;

fn read<A: Float>(file: &[u8]) -> (Allocated, Option<String>) {
    let (allocated, result) = allocated(|| Checkpoint::<A>::from_bytes(file));
    (allocated, result.err().map(|error| error.to_string()))
}

fn assert_modest(file: &[u8]) {
    for (allocated, message) in [read::<f32>(file), read::<f64>(file)] {
        let length = file.len();
        let about = || format!("{allocated:?} for {length} bytes: {message:?}");
        assert!(allocated.largest <= length + SMALL, "{}", about());
    }
}

#[test]
fn a_damaged_file_takes_no_more_memory_than_it_is_long() -> Tested {
    for sound in [sample::small::<f64>()?, sample::averaged()?, sample::by_rows()?] {
        let mut file = sound.to_bytes()?;
        for length in 0..=file.len() {
            assert_modest(&file[..length]);
        }
        for byte in 0..file.len() {
            for bit in 0..8 {
                file[byte] ^= 1 << bit;
                assert_modest(&file);
                file[byte] ^= 1 << bit;
            }
        }
    }
    let folder = repository().join("tests/hostile");
    for entry in fs::read_dir(folder)? {
        assert_modest(&fs::read(entry?.path())?);
    }
    Ok(())
}

#[test]
fn claims_cost_nothing() {
    let huge = (1_u64 << 60).to_string();
    let ones = vec!["1"; 100_000].join(",");
    for (shape, end) in [
        (huge.as_str(), huge.as_str()),
        (&huge, "8"),
        (&format!("0,{huge}"), "0"),
        (&format!("{huge},0,{huge}"), "0"),
        (&ones, "8"),
    ] {
        let entry = format!(r#"{{"dtype":"F64","shape":[{shape}],"data_offsets":[0,{end}]}}"#);
        assert_modest(&file(&format!(r#"{{"parameter/w":{entry}}}"#), &[0; 8]));
    }
    for claim in [8, 99_999_999, 100_000_000, 1 << 40, u64::MAX] {
        assert_modest(&claim.to_le_bytes());
        assert_modest(&[&claim.to_le_bytes()[..], b"{}"].concat());
    }
    for text in ["[", "{\"a\":", "0", " ", "\"", "\\"] {
        assert_modest(&file(&text.repeat(100_000), &[]));
    }
}

const GIANT: usize = 1_000_000;

/// Headers with a text of about [`GIANT`] letters in place of a short one.
fn giants(letters: &str) -> Vec<Vec<u8>> {
    let entry = r#"{"dtype":"F64","shape":[],"data_offsets":[0,8]}"#;
    [
        format!(r#"{{"{letters}":{entry}}}"#),
        format!(r#"{{"{letters}":{entry},"{letters}":{entry}}}"#),
        format!(r#"{{"{letters}":{{"dtype":"{letters}","shape":[],"data_offsets":[0,8]}}}}"#),
        format!(r#"{{"w":{{"{letters}":"F64"}}}}"#),
        format!(r#"{{"__metadata__":"{letters}"}}"#),
        format!(r#"{{"__metadata__":{{"{letters}":1}}}}"#),
        format!(r#"{{"__metadata__":{{"adamax":"{letters}"}}}}"#),
        format!(r#"{{"__metadata__":{{"adamax":"{{\"version\":1,\"{letters}\":1}}"}}}}"#),
        format!(
            r#"{{"__metadata__":{{"adamax":"{{\"version\":1,\"tensors\":{{\"{letters}\":1}}}}"}}}}"#
        ),
    ]
    .map(|header| file(&header, &[0; 8]))
    .into()
}

/// Text with escapes, and text that an error quotes, is copied to memory that grows by doubling.
#[test]
fn giant_texts_take_twice_their_length_at_most_and_are_quoted_in_short() {
    let plain = "x".repeat(GIANT);
    let escaped = format!("{}\\n{}", "x".repeat(GIANT * 6 / 10), "x".repeat(GIANT * 4 / 10));
    for letters in [plain, escaped] {
        for file in giants(&letters) {
            for (allocated, message) in [read::<f32>(&file), read::<f64>(&file)] {
                let limit = 2 * file.len() + SMALL;
                assert!(allocated.largest <= limit, "{allocated:?} for {} bytes", file.len());
                let message = message.expect("giants are refused");
                assert!(message.chars().count() < 500, "{} characters", message.len());
            }
        }
    }
}

fn list(part: &dyn Fn(usize) -> String, count: usize) -> String {
    (0..count).map(part).collect::<Vec<_>>().join(",")
}

fn with_record(entries: &str, groups: &str, tensors: &str, data: &[u8]) -> Vec<u8> {
    let record = format!(r#"{{"version":1,"groups":[{groups}],"tensors":{{{tensors}}}}}"#);
    let record = serde_json::Value::String(record);
    file(&format!(r#"{{"__metadata__":{{"adamax":{record}}}{entries}}}"#), data)
}

/// Tables whose rows have no elements: their counters are all that they have.
fn tables(rows: usize, count: usize) -> Vec<u8> {
    let entry = |part: &str, dtype: &str, index: usize, shape: &str, start: usize, bytes| {
        let end = start + bytes;
        format!(
            r#","{part}/{index}":{{"dtype":"{dtype}","shape":[{rows}{shape}],"data_offsets":[{start},{end}]}}"#
        )
    };
    let entries: String = (0..count)
        .map(|k| {
            let start = 8 * rows * k;
            entry("first_moment", "F64", k, ",0", start, 0)
                + &entry("inf_norm", "F64", k, ",0", start, 0)
                + &entry("row_steps", "U64", k, "", start, 8 * rows)
        })
        .collect();
    let tensors = list(&|k| format!(r#""{k}":{{"group":0}}"#), count);
    with_record(&entries, "{}", &tensors, &vec![0; 8 * rows * count])
}

/// Files of very many small parts, each of which takes more memory than it takes bytes in the file.
#[test]
fn small_parts_take_a_few_times_their_length() {
    let moments = |shape: &str, width: usize, count| {
        let entry = |part: &str, index: usize, place: usize| {
            let (start, end) = (width * place, width * (place + 1));
            format!(
                r#","{part}/{index}":{{"dtype":"F64","shape":[{shape}],"data_offsets":[{start},{end}]}}"#
            )
        };
        let entries: String = (0..count)
            .map(|k| entry("first_moment", k, 2 * k) + &entry("inf_norm", k, 2 * k + 1))
            .collect();
        let tensors = list(&|k| format!(r#""{k}":{{"group":0,"steps":1}}"#), count);
        with_record(&entries, "{}", &tensors, &vec![0; 2 * width * count])
    };
    let averages = |entries: &str, count, data: &[u8]| {
        // The record has them behind the tensors.
        let list = list(&|k| format!(r#""{k}":{{"decay":0.5,"updates":1}}"#), count);
        with_record(entries, "{}", &format!(r#"}},"averages":{{{list}"#), data)
    };
    let mean = |k| {
        let (start, end) = (8 * k, 8 * (k + 1));
        format!(r#","average/{k}":{{"dtype":"F64","shape":[],"data_offsets":[{start},{end}]}}"#)
    };
    let means = (0..10_000).map(mean).collect::<Vec<_>>().concat();
    let deep = vec!["1"; 64].join(",");
    let number = "1".repeat(GIANT);
    let files = [
        ("empty moments", moments("0", 0, 10_000)),
        ("moments of one number", moments("", 8, 10_000)),
        ("moments of many axes", moments(&deep, 8, 1_000)),
        ("tables without rows", tables(0, 10_000)),
        ("tables of one row", tables(1, 10_000)),
        ("a table of many rows", tables(200_000, 1)),
        ("groups", with_record("", &vec!["{}"; 200_000].join(","), "", &[])),
        (
            "names of tensors",
            with_record(
                "",
                "{}",
                &list(&|k| format!(r#""{k}":{{"group":0,"steps":1}}"#), 20_000),
                &[],
            ),
        ),
        ("averages of one number", averages(&means, 10_000, &vec![0; 80_000])),
        ("names of averages", averages("", 20_000, &[])),
        (
            "notes",
            file(
                &format!(r#"{{"__metadata__":{{{}}}}}"#, list(&|k| format!(r#""{k}":"""#), 50_000)),
                &[],
            ),
        ),
        ("entries", file(&format!("{{{}}}", list(&|k| format!(r#""{k}":0"#), 50_000)), &[])),
        (
            "parameters",
            with_record(
                &format!(
                    ",{}",
                    list(
                        &|k| format!(
                            r#""parameter/{k}":{{"dtype":"U8","shape":[],"data_offsets":[{k},{}]}}"#,
                            k + 1
                        ),
                        20_000
                    )
                ),
                "",
                "",
                &vec![0; 20_000],
            ),
        ),
        (
            "a long number",
            with_record("", "{}", &format!(r#""w":{{"group":{number},"steps":1}}"#), &[]),
        ),
        ("a long fraction", with_record("", &format!(r#"{{"beta1":0.{number}}}"#), "", &[])),
        (
            "a long offset",
            file(
                &format!(r#"{{"w":{{"dtype":"F64","shape":[],"data_offsets":[0,{number}]}}}}"#),
                &[],
            ),
        ),
    ];
    for (what, file) in files {
        // Of groups, there is a largest number.
        let (largest, peak) =
            if what == "groups" { (10_000_000, 20_000_000) } else { (SMALL, SMALL) };
        for (allocated, message) in [read::<f32>(&file), read::<f64>(&file)] {
            let about = || format!("{what}: {allocated:?} for {} bytes, {message:?}", file.len());
            assert!(allocated.largest <= 2 * file.len() + largest, "{}", about());
            assert!(allocated.peak <= 10 * file.len() + peak, "{}", about());
        }
    }
}

/// Nobody can save what nobody could read.
#[test]
fn more_groups_than_can_be_read_are_not_saved() -> Tested {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    for _ in 1..65_536 {
        optimizer.add_group(Adamax::default());
    }
    let bytes = Checkpoint::new(optimizer.snapshot()).to_bytes()?;
    assert_eq!(Checkpoint::from_bytes(&bytes)?.snapshot(), &optimizer.snapshot());
    optimizer.add_group(Adamax::default());
    let error = Checkpoint::new(optimizer.snapshot()).to_bytes().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert_eq!(error.to_string(), "there are 65537 groups, but at most 65536 can be saved");
    Ok(())
}

#[test]
fn a_long_name_is_quoted_by_its_ends() {
    let message = |name: &str| {
        let file = file(&format!(r#"{{"{name}":{{}}}}"#), &[]);
        read::<f64>(&file).1.expect("no entry is like that")
    };
    let name = |length: usize| format!("ä{}ß", "x".repeat(length - 2));
    assert!(message(&name(100)).starts_with(&format!("entry `{}`: missing field", name(100))));
    let x = "x".repeat(49);
    assert!(message(&name(101)).starts_with(&format!("entry `ä{x}…{x}ß`: missing field")));
}

#[test]
fn a_good_file_is_held_once_more() -> Tested {
    let mut checkpoint = sample::checkpoint::<f64>()?;
    let values = input::parameters((300, 400), &mut input::rng(5));
    let values = Array2::<f64>::from(values);
    checkpoint.add_parameter("values", &values)?;
    checkpoint.add_average("values", &Average::<f64>::from_parts(0.5, 1, values.into_dyn())?)?;
    let file = checkpoint.to_bytes()?;
    let (allocated, read) = allocated(|| Checkpoint::<f64>::from_bytes(&file));
    assert_eq!(read?, checkpoint);
    assert!(allocated.largest <= file.len(), "{allocated:?} for {} bytes", file.len());
    assert!(allocated.peak <= file.len() + file.len() / 10, "{allocated:?} for {}", file.len());
    Ok(())
}
