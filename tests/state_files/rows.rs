//! Tables with a counter for each row: an array of their own in a file of version 3.

use std::{error::Error, fs};

use adamax::{Checkpoint, ErrorKind, Snapshot, State};
use ndarray::ArrayD;
use safetensors::{Dtype, SafeTensors};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    common::{Bits, Float, layout::LAYOUTS},
    hostile::{Parts, assert_refused},
    sample,
};

type Tested = Result<(), Box<dyn Error>>;

/// A valid file without checksum, so that only the part that a test spoils is wrong.
fn sound() -> Result<Parts, Box<dyn Error>> {
    Parts::of(sample::by_rows::<f64>()?.to_bytes()?)?.without_checksum()
}

#[test]
fn counters_come_back_with_every_moment() -> Tested {
    fn come_back<A: Float + Serialize + DeserializeOwned>() -> Tested {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.safetensors");
        let numbers = [A::of(0.1), A::LEAST_SUBNORMAL, A::LARGEST, A::of(0.0)];
        for layout in LAYOUTS {
            for (shape, counters) in [
                (vec![4], vec![3, 0, u64::MAX, 1 << 40]),
                (vec![2, 2], vec![3, 1 << 40]),
                (vec![1, 1, 4], vec![9]),
                (vec![0, 4], vec![]),
                (vec![3, 0], vec![1, 0, 2]),
            ] {
                let count = shape.iter().product();
                let u = ArrayD::from_shape_vec(&shape[..], numbers[..count].to_vec())?;
                let u = layout.arrange(&u);
                let state = State::from_row_parts(counters.clone(), u.mapv(|x| -x), u)?;
                let snapshot = sample::with_state(&sample::small::<A>()?, "w", &state);
                snapshot.save(&path)?;
                let read = Snapshot::<A>::load(&path)?;
                assert_eq!(read, snapshot);
                let back = read.state("w").ok_or("lost")?;
                assert_eq!(back.row_steps(), Some(&counters[..]));
                assert_eq!(back.steps(), state.steps());
                assert_eq!(back.first_moment().bits(), state.first_moment().bits());
                assert_eq!(back.inf_norm().bits(), state.inf_norm().bits());
            }
        }
        Ok(())
    }
    come_back::<f64>()?;
    come_back::<f32>()
}

/// Old releases refuse version 3 by its number. A record without `steps` is an error for them too.
#[test]
fn a_table_needs_version_3() -> Tested {
    let record = |checkpoint: &Checkpoint| -> Result<Value, Box<dyn Error>> {
        Parts::of(checkpoint.to_bytes()?)?.take_record()
    };
    let mut by_rows = sample::by_rows()?;
    assert_eq!(Checkpoint::<f64>::VERSION, 3);
    assert_eq!(record(&by_rows)?["version"], 3);
    assert_eq!(record(&by_rows)?["tensors"], json!({"w": {"group": 0}}));
    let average =
        sample::averaged::<f64>()?.average::<f64, f64, _>("w", &ndarray::arr1(&[0.0; 2]))?;
    by_rows.add_average("w", &average)?;
    assert_eq!(record(&by_rows)?["version"], 3);
    assert_eq!(Checkpoint::from_bytes(&by_rows.to_bytes()?)?, by_rows);
    Ok(())
}

#[test]
fn the_reference_library_reads_the_counters() -> Tested {
    for file in [sample::by_rows::<f64>()?.to_bytes()?, sample::by_rows::<f32>()?.to_bytes()?] {
        let arrays = SafeTensors::deserialize(&file)?;
        let counters = arrays.tensor("row_steps/w")?;
        assert_eq!((counters.dtype(), counters.shape()), (Dtype::U64, &[3][..]));
        assert_eq!(counters.data(), [7, 0, u64::MAX].map(u64::to_le_bytes).as_flattened());
        let offset = counters.data().as_ptr().addr() - file.as_ptr().addr();
        assert_eq!(offset % 8, 0, "not aligned");
    }
    Ok(())
}

#[test]
fn a_file_with_any_bit_flipped_or_cut_is_refused() -> Tested {
    let mut file = sample::by_rows::<f64>()?.to_bytes()?;
    for byte in 0..file.len() {
        assert!(Checkpoint::<f64>::from_bytes(&file[..byte]).is_err(), "cut at {byte}");
        for bit in 0..8 {
            file[byte] ^= 1 << bit;
            assert!(Checkpoint::<f64>::from_bytes(&file).is_err(), "bit {bit} of byte {byte}");
            file[byte] ^= 1 << bit;
        }
    }
    Ok(())
}

/// Counters have no values that are wrong by themselves: without checksum, others are read.
#[test]
fn any_counters_are_read() -> Tested {
    let mut parts = sound()?;
    let place = parts.data.len() - 16;
    parts.data[place] = 9;
    let read = Checkpoint::<f64>::from_bytes(&parts.file())?;
    let state = read.snapshot().state("w").ok_or("lost")?;
    assert_eq!(state.row_steps(), Some(&[7, 9, u64::MAX][..]));
    Ok(())
}

/// Each case spoils one place in the header of a valid file.
#[test]
fn wrong_counters_are_refused() -> Tested {
    use ErrorKind::{Format, Shape};
    const ROWS: &str = "row_steps/w";
    type Case<'a> = (&'a dyn Fn(&mut Value), ErrorKind, &'a str);
    let cases: [Case<'_>; 8] = [
        (
            &|h| h[ROWS]["dtype"] = json!("I64"),
            Format,
            "entry `row_steps/w` is of type I64, but U64 is asked for",
        ),
        (
            &|h| h[ROWS]["dtype"] = json!("F64"),
            Format,
            "entry `row_steps/w` is of type F64, but U64 is asked for",
        ),
        (
            &|h| h[ROWS]["dtype"] = json!("U32"),
            Format,
            "entry `row_steps/w` has 24 bytes, which is not the size of U32 numbers of shape [3]",
        ),
        (
            &|h| h[ROWS]["shape"] = json!([3, 1]),
            Format,
            "entry `row_steps/w` has shape [3, 1], but the number of axes asked for is 1",
        ),
        (&|h| h[ROWS]["shape"] = json!([2]), Format, "entry `row_steps/w` has 24 bytes"),
        (
            &|h| {
                // As many elements, in two rows.
                for entry in ["first_moment/w", "inf_norm/w"] {
                    h[entry]["shape"] = json!([2, 3]);
                }
            },
            Shape,
            "tensor `w`: there are 3 counters for 2 rows",
        ),
        (
            &|h| {
                h["row_steps/v"] = json!({"dtype": "U64", "shape": [0], "data_offsets": [0, 0]});
            },
            Format,
            "entry `row_steps/v` has no place in a state file",
        ),
        (
            &|h| {
                let counters = h.as_object_mut().and_then(|h| h.remove(ROWS)).expect("counters");
                h["parameter/rows"] = counters;
            },
            Format,
            "entry `row_steps/w` is missing, and the record has no `steps` of the tensor",
        ),
    ];
    for (spoil, kind, message) in cases {
        let mut parts = sound()?;
        spoil(&mut parts.header);
        let file = parts.file();
        assert_refused(&file, kind, message);
        let error = Checkpoint::<f64>::from_bytes(&file).expect_err(message).to_string();
        assert!(!error.contains("only F64 and F32"), "U64 is asked for: {error}");
    }
    Ok(())
}

/// A count of the whole beside counters of rows: neither is dropped without a word.
#[test]
fn a_record_that_counts_twice_is_refused() -> Tested {
    for steps in [json!(0), json!(7), json!(u64::MAX)] {
        let mut parts = sound()?;
        parts.record(|record| record["tensors"]["w"]["steps"] = steps)?;
        let message = "entry `row_steps/w` has no place in a state file";
        assert_refused(&parts.file(), ErrorKind::Format, message);
    }
    let mut parts = sound()?;
    parts.record(|record| record["tensors"]["w"]["steps"] = Value::Null)?;
    let message = "`adamax` in the metadata: invalid type: null, expected u64";
    assert_refused(&parts.file(), ErrorKind::Format, message);
    Ok(())
}

/// A number has no rows.
#[test]
fn counters_of_a_number_are_refused() -> Tested {
    let mut parts = sound()?;
    let (start, end) = (parts.data.len() - 24, parts.data.len() - 16);
    for (index, entry) in ["first_moment/w", "inf_norm/w"].into_iter().enumerate() {
        parts.header[entry]["shape"] = json!([]);
        parts.header[entry]["data_offsets"] = json!([8 * index, 8 * (index + 1)]);
    }
    parts.header["parameter/w"]["shape"] = json!([(start - 16) / 8]);
    parts.header["parameter/w"]["data_offsets"] = json!([16, start]);
    parts.header["row_steps/w"]["shape"] = json!([1]);
    parts.header["row_steps/w"]["data_offsets"] = json!([start, end]);
    parts.data.truncate(end);
    parts.number(0, 0.5);
    parts.number(1, 0.5);
    let message = "tensor `w`: first moment has no axis, so it has no rows";
    assert_refused(&parts.file(), ErrorKind::Shape, message);
    Ok(())
}

#[test]
fn the_parameters_of_a_table_are_read_alone() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    sample::by_rows::<f32>()?.save(&path)?;
    let read = Checkpoint::load_tensors(&path)?;
    assert_eq!(read.parameter_names().collect::<Vec<_>>(), ["w"]);
    // The previous generation counts as whole, with its checksum and without.
    sample::by_rows::<f32>()?.save_keeping_previous(&path)?;
    assert_eq!(
        Checkpoint::load(folder.path().join("run.safetensors.prev"))?,
        sample::by_rows::<f32>()?
    );
    fs::write(&path, sound()?.file())?;
    sample::small::<f64>()?.save_keeping_previous(&path)?;
    assert_eq!(
        Checkpoint::load(folder.path().join("run.safetensors.prev"))?,
        sample::by_rows::<f64>()?
    );
    Ok(())
}
