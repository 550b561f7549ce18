//! Damaged, foreign and malicious files: errors that name the place, and no panic.

use std::{error::Error, fs};

use adamax::{Adamax, Checkpoint, ErrorKind, MaxNorm, Optimizer};
use ndarray::array;
use serde_json::{Value, json};

use crate::sample;

type Tested = Result<(), Box<dyn Error>>;

/// The parts of a file, split without any checks, so that they can be changed and joined again.
pub(crate) struct Parts {
    pub(crate) header: Value,
    pub(crate) data: Vec<u8>,
}

impl Parts {
    #[expect(clippy::needless_pass_by_value, reason = "for `map`")]
    pub(crate) fn of(file: Vec<u8>) -> Result<Self, Box<dyn Error>> {
        let (length, rest) = file.split_first_chunk().ok_or("short")?;
        let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length))?);
        Ok(Parts { header: serde_json::from_slice(header)?, data: data.to_vec() })
    }

    /// A valid file without checksum, so that only the part that a test spoils is wrong.
    fn sound() -> Result<Self, Box<dyn Error>> {
        Parts::of(sample::small::<f64>()?.to_bytes()?)?.without_checksum()
    }

    pub(crate) fn without_checksum(mut self) -> Result<Self, Box<dyn Error>> {
        self.header.as_object_mut().ok_or("no object")?.remove("checksum");
        self.data.truncate(self.data.len() - 4);
        Ok(self)
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        file(&self.header.to_string(), &self.data)
    }

    /// Removes and returns the record under `adamax`.
    pub(crate) fn take_record(&mut self) -> Result<Value, Box<dyn Error>> {
        let text = self.header["__metadata__"]["adamax"].take();
        Ok(serde_json::from_str(text.as_str().ok_or("no text")?)?)
    }

    /// Changes the record under `adamax`.
    pub(crate) fn record(&mut self, change: impl FnOnce(&mut Value)) -> Tested {
        let text = &mut self.header["__metadata__"]["adamax"];
        let mut record = serde_json::from_str(text.as_str().ok_or("no text")?)?;
        change(&mut record);
        *text = Value::String(record.to_string());
        Ok(())
    }

    /// Changes a number of the data.
    pub(crate) fn number(&mut self, index: usize, value: f64) {
        self.data[8 * index..8 * (index + 1)].copy_from_slice(&value.to_le_bytes());
    }
}

pub(crate) fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

pub(crate) fn assert_refused(file: &[u8], kind: ErrorKind, message: &str) {
    match Checkpoint::<f64>::from_bytes(file) {
        Ok(_) => panic!("read, though `{message}` was expected"),
        Err(error) => {
            assert!(error.to_string().contains(message), "`{error}`, expected `{message}`");
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}

#[test]
fn the_sound_file_is_read() -> Tested {
    assert_eq!(Checkpoint::from_bytes(&Parts::sound()?.file())?, sample::small::<f64>()?);
    Ok(())
}

#[test]
fn a_file_cut_anywhere_is_refused() -> Tested {
    let file = sample::small::<f64>()?.to_bytes()?;
    for length in 0..file.len() {
        assert!(Checkpoint::<f64>::from_bytes(&file[..length]).is_err(), "cut at {length}");
    }
    assert_refused(&file[..5], ErrorKind::Format, "file has 5 bytes");
    assert_refused(&file[..50], ErrorKind::Format, "42 bytes are left of the file");
    let longer = [&file[..], b"\0"].concat();
    assert_refused(&longer, ErrorKind::Format, "the last 1 bytes of the file belong to no entry");
    let lost = &file[..file.len() - 1];
    assert_refused(lost, ErrorKind::Format, "entry `checksum` takes bytes 48 to 52");
    Ok(())
}

#[test]
fn a_file_with_any_bit_flipped_is_refused() -> Tested {
    let mut file = sample::small::<f64>()?.to_bytes()?;
    for byte in 0..file.len() {
        for bit in 0..8 {
            file[byte] ^= 1 << bit;
            assert!(Checkpoint::<f64>::from_bytes(&file).is_err(), "bit {bit} of byte {byte}");
            file[byte] ^= 1 << bit;
        }
    }
    let data = file.len() - 4 - 6 * 8; // the first number, 0.05
    file[data] ^= 1;
    assert_refused(&file, ErrorKind::Format, "checksum is 0x");
    Ok(())
}

/// Each case spoils one place in the header of a valid file.
#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "messages with sizes of 64 bits")]
fn a_wrong_header_is_refused() -> Tested {
    const M: &str = "first_moment/w";
    const U: &str = "inf_norm/w";
    type Case<'a> = (&'a dyn Fn(&mut Value), &'a str);
    let largest = (1_u64 << 61) - 1;
    let cases: [Case<'_>; 23] = [
        (
            &|h| h[M]["dtype"] = json!("F32"),
            "entry `first_moment/w` has 16 bytes, which is not the size of F32 numbers of shape [2]",
        ),
        (
            &|h| h[M]["dtype"] = json!("I64"),
            "entry `first_moment/w` is of type I64, but F64 is asked for (only F64 and F32 can be read)",
        ),
        (&|h| h[M]["dtype"] = json!(8), "entry `first_moment/w`: "),
        (&|h| h[M]["shape"] = json!([3]), "entry `first_moment/w` has 16 bytes"),
        (&|h| h[M]["shape"] = json!([-2]), "entry `first_moment/w`: invalid value: integer `-2`"),
        (&|h| h[M]["shape"] = json!([2.0]), "entry `first_moment/w`: invalid type: floating point"),
        (&|h| h[M]["shape"] = json!([u64::MAX, u64::MAX]), "entry `first_moment/w` has 16 bytes"),
        (
            &|h| h[M]["shape"] = json!([0, u64::MAX, u64::MAX]),
            "entry `first_moment/w` has 16 bytes",
        ),
        (
            &|h| h[M]["shape"] = json!(vec![1; 65]),
            "entry `first_moment/w`: invalid length 65, expected at most 64 values",
        ),
        (
            &|h| h[M]["data_offsets"] = json!([0, 1_u64 << 40]),
            "entry `first_moment/w` takes bytes 0 to 1099511627776 of the data, which has 48",
        ),
        (&|h| h[M]["data_offsets"] = json!([16, 0]), "entry `first_moment/w` takes bytes 16 to 0"),
        (
            &|h| h[M]["data_offsets"] = json!([largest, largest]),
            "entry `first_moment/w` takes bytes",
        ),
        (
            &|h| h[M]["data_offsets"] = json!([16, 32]),
            "entry `first_moment/w` begins at byte 16 of the data, but the one before ends at byte 0",
        ),
        (
            &|h| h[U]["data_offsets"] = json!([32, 48]),
            "entry `inf_norm/w` begins at byte 32 of the data, but the one before ends at byte 16",
        ),
        (&|h| h[M]["stride"] = json!([1]), "entry `first_moment/w`: unknown field `stride`"),
        (
            &|h| h[M] = json!({"dtype": "F64", "shape": [2]}),
            "entry `first_moment/w`: missing field `data_offsets`",
        ),
        (
            &|h| {
                h["parameter/empty"] = json!({"dtype": "F4", "shape": [0], "data_offsets": [0, 0]});
            },
            "entry `parameter/empty` is of type `F4`, which this release does not know",
        ),
        (
            // 8 times this is 2⁶⁴ + 16, which wraps to the right size.
            &|h| h["parameter/w"]["shape"] = json!([(1_u64 << 61) + 2]),
            "entry `parameter/w` has 16 bytes, which is not the size of F64 numbers of shape [2305",
        ),
        (
            &|h| {
                h["parameter/empty"] =
                    json!({"dtype": "F64", "shape": [0, 1_u64 << 60], "data_offsets": [0, 0]});
            },
            "entry `parameter/empty` has 0 bytes, which is not the size of F64 numbers of shape [0, ",
        ),
        (
            &|h| h["w"] = json!({"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}),
            "entry `w` has no place in a state file",
        ),
        (
            &|h| h["inf_norm/v"] = json!({"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}),
            "entry `inf_norm/v` has no place in a state file",
        ),
        (
            &|h| h["checksum"] = json!({"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}),
            "entry `checksum` is not one U32 at the end of the file",
        ),
        (
            &|h| h["__metadata__"]["epoch"] = json!(1),
            "metadata: invalid type: integer `1`, expected a string",
        ),
    ];
    for (spoil, message) in cases {
        let mut parts = Parts::sound()?;
        spoil(&mut parts.header);
        assert_refused(&parts.file(), ErrorKind::Format, message);
    }
    Ok(())
}

/// The reference library accepts such files, overflows, or runs out of memory.
#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "messages with sizes of 64 bits")]
fn a_header_made_to_do_harm_is_refused() {
    let largest = (1_u64 << 61) - 1;
    let chained: Vec<String> = (0..8)
        .map(|k| {
            let (start, end) = (u128::from(largest) * k, u128::from(largest) * (k + 1));
            format!(
                r#""t{k}":{{"dtype":"F64","shape":[{largest}],"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let chained = format!("{{{}}}", chained.join(","));
    assert_refused(
        &file(&chained, &[]),
        ErrorKind::Format,
        "entry `t0` takes bytes 0 to 2305843009213693951 of the data, which has 0",
    );

    let twice = r#"{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}"#;
    assert_refused(&file(twice, &[0; 8]), ErrorKind::Format, "header: `a` comes twice");
    let twice = r#"{"__metadata__":{"adamax":"","adamax":""}}"#;
    assert_refused(&file(twice, &[]), ErrorKind::Format, "metadata: `adamax` comes twice");

    let deep = "[".repeat(100_000);
    let message = "not a safetensors file: the header does not begin with a brace";
    assert_refused(&file(&deep, &[]), ErrorKind::Format, message);
    let deep = format!(r#"{{"a":{deep}"#);
    assert_refused(&file(&deep, &[]), ErrorKind::Format, "header: ");

    assert_refused(
        &u64::MAX.to_le_bytes(),
        ErrorKind::Format,
        "header should have 18446744073709551615 bytes, but 0 bytes are left",
    );
    for other in [&b""[..], b"\0", b"\xff\xff", b" {}"] {
        let length = (other.len() as u64).to_le_bytes();
        assert_refused(&[&length, other].concat(), ErrorKind::Format, message);
    }
    assert_refused(&file("{\u{0}", &[]), ErrorKind::Format, "header: ");
    assert_refused(
        &file("{}", &[]),
        ErrorKind::Format,
        "not a state file, but another safetensors file: no `adamax` in the metadata; \
         `Checkpoint::load_tensors` reads its arrays",
    );
    assert_refused(&file("{}", &[0]), ErrorKind::Format, "the last 1 bytes");
}

/// Each case spoils one place in the record of a valid file.
#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn a_wrong_record_is_refused() -> Tested {
    use ErrorKind::{Format, Hyperparameter, Snapshot};
    type Case<'a> = (&'a dyn Fn(&mut Value), ErrorKind, &'a str);
    let cases: [Case<'_>; 24] = [
        (
            &|r| r["tensors"] = json!([]),
            Format,
            "`adamax` in the metadata: invalid type: sequence, expected an object at line 1",
        ),
        (
            &|r| r["version"] = json!(4),
            Snapshot,
            "state file has version 4, but this release reads versions up to 3",
        ),
        (&|r| *r = json!({"version": 7, "new": []}), Snapshot, "state file has version 7"),
        (
            &|r| r["version"] = json!(0),
            Snapshot,
            "state file has version 0, but versions start at 1",
        ),
        (&|r| r["version"] = json!(1_u64 << 32), Format, "`adamax` in the metadata: invalid value"),
        (
            &|r| r["groups"] = json!([]),
            Snapshot,
            "tensor `w`: in group 0 of a snapshot with 0 groups",
        ),
        (
            &|r| r["groups"][0] = json!([]),
            Format,
            "`adamax` in the metadata: invalid type: sequence, expected an object at line 1",
        ),
        (
            &|r| r["groups"][0]["learning_rate"] = json!(-1.0),
            Hyperparameter,
            "group 0: learning rate is -1, but must be finite and at least 0",
        ),
        (
            &|r| r["groups"][0]["beta1"] = json!(1.0),
            Hyperparameter,
            "group 0: beta1 is 1, but must be in [0, 1)",
        ),
        (&|r| r["groups"][0]["beta2"] = json!(-0.1), Hyperparameter, "group 0: beta2 is -0.1"),
        (
            &|r| r["groups"][0]["epsilon"] = Value::Null,
            Format,
            "`adamax` in the metadata: invalid type: null, expected f64",
        ),
        (&|r| r["groups"][0]["clip_value"] = json!(0), Hyperparameter, "group 0: clip value is 0"),
        (
            &|r| {
                r["groups"][0]["lower_bound"] = json!(2);
                r["groups"][0]["upper_bound"] = json!(1);
            },
            Hyperparameter,
            "group 0: lower bound is 2, but must be at most the upper bound",
        ),
        (
            &|r| r["groups"][0]["weight_decay"] = json!({"L2": -1}),
            Hyperparameter,
            "group 0: weight decay is -1",
        ),
        (
            &|r| r["groups"][0]["weight_decay"] = json!("L3"),
            Format,
            "`adamax` in the metadata: unknown variant `L3`",
        ),
        (
            &|r| r["groups"][0]["momentum"] = json!(0.9),
            Format,
            "`adamax` in the metadata: unknown field `momentum`, expected one of `learning_rate`, `beta1`, `beta2`, \
             `epsilon`, `epsilon_placement`, `bias_correction`, `weight_decay`, `clip_value`, \
             `lower_bound`, `upper_bound`, `objective`, `non_finite` at line 1",
        ),
        (&|r| r["lr_scale"] = json!(-1), Hyperparameter, "learning rate scale is -1"),
        (&|r| r["max_norm"] = json!({"Global": 0}), Hyperparameter, "max norm is 0"),
        (
            &|r| r["tensors"]["w"]["group"] = json!(1),
            Snapshot,
            "tensor `w`: in group 1 of a snapshot with 1 groups",
        ),
        (
            &|r| r["tensors"]["w"]["steps"] = json!(1.5),
            Format,
            "`adamax` in the metadata: invalid type: floating point `1.5`, expected u64",
        ),
        (
            &|r| r["tensors"]["w"]["steps"] = json!(-1),
            Format,
            "`adamax` in the metadata: invalid value: integer `-1`, expected u64",
        ),
        (
            &|r| r["tensors"]["w"] = json!({"group": 0}),
            Format,
            "entry `row_steps/w` is missing, and the record has no `steps` of the tensor",
        ),
        (
            &|r| r["tensors"]["v"] = json!({"group": 0, "steps": 1}),
            Format,
            "entry `first_moment/v` is missing",
        ),
        (
            &|r| r["tensors"] = json!({}),
            Format,
            "entry `first_moment/w` has no place in a state file",
        ),
    ];
    for (spoil, kind, message) in cases {
        let mut parts = Parts::sound()?;
        parts.record(spoil)?;
        assert_refused(&parts.file(), kind, message);
    }
    Ok(())
}

/// A rule in which no setting has its default.
fn all_changed() -> Value {
    json!({
        "learning_rate": 0.25, "beta1": 0.5, "beta2": 0.75, "epsilon": 0.0,
        "epsilon_placement": "InsideMax", "bias_correction": "Off",
        "weight_decay": {"L2": 0.125}, "clip_value": 8.0, "lower_bound": -16.0, "upper_bound": 32.0,
        "objective": "Maximize", "non_finite": "Skip",
    })
}

/// A file that says nothing about a setting changes nothing about it, and stays silent when it is
/// written again.
#[test]
fn settings_that_are_left_open_stay_the_optimizers_own() -> Tested {
    let defaults = serde_json::to_value(Adamax::default())?;
    let settings = defaults.as_object().ok_or("no object")?;
    // The file has defaults, the optimizer nothing but other values.
    for left_open in settings.keys().map(String::as_str).chain(["lr_scale", "max_norm"]) {
        let mut parts = Parts::sound()?;
        parts.record(|record| {
            record["groups"][0] = defaults.clone();
            record["groups"][0].as_object_mut().expect("settings").remove(left_open);
            record.as_object_mut().expect("a record").remove(left_open);
        })?;
        let read = Checkpoint::<f64>::from_bytes(&parts.file())?;
        let again = Checkpoint::<f64>::from_bytes(&read.to_bytes()?)?;
        assert_eq!(again, read, "{left_open}");

        let mut optimizer = Optimizer::new(serde_json::from_value(all_changed())?);
        optimizer.register("w", &array![0.0, 0.0])?;
        optimizer.set_lr_scale(0.25)?;
        optimizer.set_max_norm(Some(MaxNorm::Global(4.0)))?;
        let mut expected = defaults.clone();
        if let Some(own) = all_changed().get(left_open) {
            expected[left_open] = own.clone();
        }
        optimizer.restore(again.snapshot())?;
        let rule = serde_json::to_value(optimizer.rule(optimizer.default_group()))?;
        assert_eq!(rule, expected, "{left_open}");
        let scale = if left_open == "lr_scale" { 0.25 } else { 1.0 };
        assert_eq!(optimizer.lr_scale(), scale, "{left_open}");
        let max_norm = (left_open == "max_norm").then_some(MaxNorm::Global(4.0));
        assert_eq!(optimizer.max_norm(), max_norm, "{left_open}");
        // What the optimizer saves is complete.
        let saved = Checkpoint::new(optimizer.snapshot()).to_bytes()?;
        assert_eq!(Parts::of(saved)?.take_record()?["groups"][0], expected, "{left_open}");
    }
    Ok(())
}

/// The rules of a file are completed one by one.
#[test]
fn every_group_keeps_its_own_settings() -> Tested {
    let mut parts = Parts::sound()?;
    parts.record(|record| {
        record["groups"] = json!([{"beta1": 0.0}, {}, {"clip_value": null, "beta1": 0.25}]);
    })?;
    let mut optimizer = Optimizer::new(serde_json::from_value(all_changed())?);
    optimizer.register("w", &array![0.0, 0.0])?;
    let groups = [
        optimizer.default_group(),
        optimizer.add_group(Adamax::keras()),
        optimizer.add_group(Adamax::builder().clip_value(2.0).learning_rate(0.5).build()?),
    ];
    optimizer.restore(Checkpoint::from_bytes(&parts.file())?.snapshot())?;
    let changed: Adamax = serde_json::from_value(all_changed())?;
    let expected = [
        changed.to_builder().beta1(0.0).build()?,
        Adamax::keras(),
        Adamax::builder().learning_rate(0.5).beta1(0.25).build()?,
    ];
    for (group, expected) in groups.into_iter().zip(&expected) {
        assert_eq!(optimizer.rule(group), Some(expected));
    }
    Ok(())
}

/// The lower bound of a file and the upper one of the optimizer need not fit each other: then both are the file's.
#[test]
fn bounds_that_do_not_fit_are_those_of_the_file() -> Tested {
    for (lower, expected) in [(1.0, (1.0, 2.0)), (2.0, (2.0, 2.0)), (3.0, (3.0, f64::INFINITY))] {
        let mut parts = Parts::sound()?;
        parts.record(|record| record["groups"] = json!([{ "lower_bound": lower }]))?;
        let mut optimizer = Optimizer::new(Adamax::builder().bounds(-1.0, 2.0).build()?);
        optimizer.register("w", &array![0.0, 0.0])?;
        optimizer.restore(Checkpoint::from_bytes(&parts.file())?.snapshot())?;
        let rule = optimizer.rule(optimizer.default_group()).expect("own group");
        assert_eq!(rule.bounds(), expected);
    }
    Ok(())
}

/// A snapshot shows defaults for settings that its file leaves open.
#[test]
fn settings_that_are_left_open_show_their_defaults() -> Tested {
    let read = |spoil: &dyn Fn(&mut Value)| -> Result<Checkpoint<f64>, Box<dyn Error>> {
        let mut parts = Parts::sound()?;
        parts.record(|record| {
            record["groups"][0] = all_changed();
            record["lr_scale"] = json!(0.5);
            record["max_norm"] = json!({"Global": 4.0});
            spoil(record);
        })?;
        Ok(Checkpoint::from_bytes(&parts.file())?)
    };
    let defaults = serde_json::to_value(adamax::Adamax::default())?;
    let complete = read(&|_| {})?;
    for (setting, default) in defaults.as_object().ok_or("no object")? {
        let left_out = read(&|record| {
            record["groups"][0].as_object_mut().expect("settings").remove(setting);
        })?;
        let set = read(&|record| record["groups"][0][setting] = default.clone())?;
        assert_eq!(left_out.snapshot().groups(), set.snapshot().groups(), "{setting}");
        assert_ne!(set, complete, "{setting} is new: name it above");
    }
    for (setting, default) in [("lr_scale", json!(1.0)), ("max_norm", Value::Null)] {
        let left_out =
            read(&|record| drop(record.as_object_mut().expect("a record").remove(setting)))?;
        let set = read(&|record| record[setting] = default.clone())?;
        let shown = |checkpoint: &Checkpoint<f64>| {
            (checkpoint.snapshot().lr_scale(), checkpoint.snapshot().max_norm())
        };
        assert_eq!(shown(&left_out), shown(&set), "{setting}");
        assert_ne!(shown(&left_out), shown(&complete), "{setting}");
    }
    for required in ["version", "groups", "tensors"] {
        let without =
            read(&|record| drop(record.as_object_mut().expect("a record").remove(required)));
        let message = without.err().ok_or("accepted")?.to_string();
        assert!(message.contains(&format!("missing field `{required}`")), "{message}");
    }
    Ok(())
}

#[test]
fn counters_end_where_u64_does() -> Tested {
    let with_steps = |steps: &str| -> Result<Vec<u8>, Box<dyn Error>> {
        let mut parts = Parts::sound()?;
        let record = &mut parts.header["__metadata__"]["adamax"];
        let text =
            record.as_str().ok_or("no text")?.replace("\"steps\":1", &format!("\"steps\":{steps}"));
        *record = Value::String(text);
        Ok(parts.file())
    };
    let last = Checkpoint::<f64>::from_bytes(&with_steps("18446744073709551615")?)?;
    assert_eq!(last.snapshot().state("w").ok_or("no state")?.steps(), u64::MAX);
    assert_refused(
        &with_steps("18446744073709551616")?,
        ErrorKind::Format,
        "`adamax` in the metadata: ",
    );
    assert_refused(
        &with_steps("1,\"steps\":1")?,
        ErrorKind::Format,
        "`adamax` in the metadata: duplicate field `steps`",
    );
    Ok(())
}

#[test]
fn moments_that_no_step_leaves_are_refused() -> Tested {
    let cases = [
        (0, f64::NAN, ErrorKind::NonFinite, "tensor `w`: first moment is NaN at index [0]"),
        (1, f64::INFINITY, ErrorKind::NonFinite, "tensor `w`: first moment is inf at index [1]"),
        (2, f64::NAN, ErrorKind::NonFinite, "tensor `w`: infinity norm is NaN at index [0]"),
        (3, f64::INFINITY, ErrorKind::NonFinite, "tensor `w`: infinity norm is inf at index [1]"),
        (
            3,
            -0.5,
            ErrorKind::NegativeNorm,
            "tensor `w`: infinity norm is negative (-0.5) at index [1]",
        ),
    ];
    for (index, value, kind, message) in cases {
        let mut parts = Parts::sound()?;
        parts.number(index, value);
        assert_refused(&parts.file(), kind, message);
    }
    let mut parts = Parts::sound()?;
    parts.header["inf_norm/w"]["shape"] = json!([1, 2]);
    let message = "tensor `w`: infinity norm has shape [1, 2], but first moment has shape [2]";
    assert_refused(&parts.file(), ErrorKind::Shape, message);
    Ok(())
}

#[test]
fn a_header_that_other_readers_refuse_is_refused() {
    let header = format!("{{}}{}", " ".repeat(100_000_000));
    assert_refused(
        &file(&header, &[]),
        ErrorKind::Format,
        "header takes 100000002 bytes, but at most 100000000 can be read",
    );
    let longest = &header[..100_000_000];
    assert_refused(&file(longest, &[]), ErrorKind::Format, "not a state file");
}

#[test]
fn a_checksum_of_another_type_is_refused() -> Tested {
    let mut file = sample::small::<f64>()?.to_bytes()?;
    let found = file.windows(5).position(|text| text == b"\"U32\"").ok_or("no checksum")?;
    file[found + 1] = b'F';
    let message = "entry `checksum` is not one U32 at the end of the file";
    assert_refused(&file, ErrorKind::Format, message);
    Ok(())
}

#[test]
fn a_file_of_the_other_precision_is_refused() -> Tested {
    let file = sample::small::<f32>()?.to_bytes()?;
    assert_refused(
        &file,
        ErrorKind::Format,
        "entry `first_moment/w` is of type F32, but F64 is asked for",
    );
    Ok(())
}

#[test]
fn a_missing_file_and_a_folder_are_errors() -> Tested {
    let folder = tempfile::tempdir()?;
    let missing = folder.path().join("missing");
    let error = Checkpoint::<f64>::load(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(
        error.to_string().starts_with(&format!("cannot read {}: ", missing.display())),
        "{error}"
    );
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(source.ok_or("no source")?.kind(), std::io::ErrorKind::NotFound);

    assert_eq!(Checkpoint::<f64>::load(folder.path()).unwrap_err().kind(), ErrorKind::Io);
    let checkpoint = sample::small::<f64>()?;
    for nowhere in [folder.path().join("missing/run"), "".into(), "..".into(), folder.path().into()]
    {
        assert_eq!(
            checkpoint.save(&nowhere).unwrap_err().kind(),
            ErrorKind::Io,
            "{}",
            nowhere.display()
        );
    }
    assert_eq!(fs::read_dir(&folder)?.count(), 0, "something was left");
    Ok(())
}

/// A device may have no end, and opening a FIFO waits for a writer.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_regular_file_is_neither_read_nor_replaced() -> Tested {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(place("fifo")).status()?.success());
    let _socket = std::os::unix::net::UnixListener::bind(place("socket"))?;
    symlink("/dev/null", place("null"))?;
    symlink("fifo", place("link"))?;
    symlink("itself", place("itself"))?;
    fs::create_dir(place("folder"))?;
    let checkpoint = sample::small::<f64>()?;
    for name in ["fifo", "socket", "null", "link", "itself", "folder"] {
        let path = place(name);
        let before = fs::symlink_metadata(&path)?;
        let results = [
            Checkpoint::<f64>::load(&path).map(drop),
            Checkpoint::load_tensors(&path).map(drop),
            checkpoint.save(&path),
            checkpoint.save_keeping_previous(&path),
        ];
        for result in results {
            let error = result.err().ok_or("done")?;
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            assert!(error.to_string().contains(path.to_str().ok_or("odd")?), "{error}");
        }
        let after = fs::symlink_metadata(&path)?;
        assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()), "{name}");
        if name == "itself" {
            continue; // under another name it would lead elsewhere
        }
        // What stands in the way of the previous generation.
        fs::rename(&path, place("run.prev"))?;
        let error = checkpoint.save_keeping_previous(place("run")).unwrap_err();
        assert!(error.to_string().contains("run.prev: "), "{error}");
        assert!(!place("run").exists());
        fs::rename(place("run.prev"), &path)?;
    }
    assert!(fs::metadata("/dev/null")?.file_type().is_char_device());
    assert_eq!(fs::read_dir(&folder)?.count(), 6, "something else was left");
    let error = Checkpoint::<f64>::load("/dev/zero").unwrap_err();
    assert_eq!(error.to_string(), "cannot read /dev/zero: not a regular file");
    Ok(())
}

/// The header says how long a file can be of use; the rest need not be read to refuse it.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "messages with sizes of 64 bits")]
fn the_data_are_not_read_if_the_header_is_wrong() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run");
    let length: u64 = 1 << 40; // more than memory can hold
    let entry = format!(r#"{{"dtype":"U8","shape":[{length}],"data_offsets":[0,{length}]}}"#);
    let newer = Checkpoint::<f64>::VERSION + 1;
    let later = json!({"version": newer}).to_string();
    let later = json!({"adamax": later, "epoch": "1"});
    for (header, message) in [
        (String::new(), "does not begin with a brace"),
        ("{}".into(), "the last 1099511627776 bytes of the file belong to no entry"),
        (format!(r#"{{"w":{entry}}}"#), "not a state file"),
        (
            format!(r#"{{"__metadata__":{later},"w":{entry}}}"#),
            &format!("state file has version {newer}"),
        ),
    ] {
        let head = file(&header, &[]);
        fs::write(&path, &head)?;
        fs::File::options().write(true).open(&path)?.set_len(head.len() as u64 + length)?;
        let error = Checkpoint::<f64>::load(&path).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    Ok(())
}

#[test]
fn files_of_other_formats_are_recognised() {
    let long = "a pickle; old versions of torch.save write such files";
    for (start, what) in [
        (
            &b"PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl"[..],
            "a zip archive; torch.save and numpy.savez write such files",
        ),
        (b"PK\x03\x04\x00\x00\x00\x00", "a zip archive"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", long),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", long),
        (b"\x93NUMPY\x01\x00v\x00", "an array of NumPy"),
        (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
        (b"GGUF\x03\0\0\0", "a GGUF file"),
        (b"{\"version\": 1}", "JSON text"),
    ] {
        let message = format!("not a safetensors file, but {what}");
        assert_refused(start, ErrorKind::Format, &message);
    }
    // As long as a pickle's first bytes say, and as many bytes as that.
    let longer = [&b"PK\x03\x04\x00\x00\x00\x00"[..], &vec![b'.'; 0x0403_4b50]].concat();
    assert_refused(&longer, ErrorKind::Format, "but a zip archive");
    // A header of 640 bytes begins like a pickle, but this file has been cut.
    assert_refused(b"\x80\x02\0\0\0\0\0\0{", ErrorKind::Format, "or cut short: header should");
}

/// Names, paths and what the parser quotes are shown in one line that a terminal can print.
#[test]
fn control_characters_do_not_reach_a_message() -> Tested {
    const ODD: &str = "a\u{1b}[2J\n\u{9b}\u{202e}\u{2028}\u{7f}b";
    const SHOWN: &str = "a\\u{1b}[2J\\n\\u{9b}\\u{202e}\\u{2028}\\u{7f}b";
    let quoted = json!(ODD).to_string();
    let entry = r#"{"dtype":"F64","shape":[],"data_offsets":[0,8]}"#;
    let mut with_tensor = Parts::sound()?;
    with_tensor.record(|record| record["tensors"][ODD] = json!({"group": 0, "steps": 1}))?;
    let mut with_setting = Parts::sound()?;
    with_setting.record(|record| record[ODD] = json!(1))?;
    let mut with_group = Parts::sound()?;
    with_group.record(|record| {
        let state = record["tensors"]["w"].take();
        record["tensors"] = json!({ODD: state});
        record["tensors"][ODD]["group"] = json!(7);
    })?;
    with_group.header[format!("first_moment/{ODD}")] = with_group.header["first_moment/w"].take();
    with_group.header[format!("inf_norm/{ODD}")] = with_group.header["inf_norm/w"].take();
    for part in ["first_moment/w", "inf_norm/w"] {
        with_group.header.as_object_mut().ok_or("no object")?.remove(part);
    }
    let files = [
        with_tensor.file(),
        with_setting.file(),
        with_group.file(),
        file(&format!(r"{{{quoted}:{entry}}}"), &[]),
        file(&format!(r"{{{quoted}:{{}}}}"), &[]),
        file(&format!(r"{{{quoted}:{entry},{quoted}:{entry}}}"), &[0; 8]),
        file(&format!(r#"{{"w":{{{quoted}:1}}}}"#), &[]),
        file(&format!(r#"{{"w":{{"dtype":{quoted},"shape":[],"data_offsets":[0,0]}}}}"#), &[]),
        file(&format!(r#"{{"__metadata__":{quoted}}}"#), &[]),
    ];
    let folder = tempfile::tempdir()?;
    // Not every file system takes such a name.
    let path = if cfg!(unix) { folder.path().join(ODD) } else { folder.path().join("run") };
    let mut errors = vec![Checkpoint::<f64>::load(&path).unwrap_err()];
    for file in &files {
        errors.push(Checkpoint::<f64>::from_bytes(file).unwrap_err());
        fs::write(&path, file)?;
        errors.push(Checkpoint::<f64>::load(&path).unwrap_err());
    }
    let mut checkpoint = sample::small::<f64>()?;
    checkpoint.add_note(ODD, "")?.add_parameter(ODD, &ndarray::arr0(1.0))?;
    errors.push(checkpoint.add_note(ODD, "").map(drop).unwrap_err());
    errors.push(checkpoint.add_parameter(ODD, &ndarray::arr0(1.0)).map(drop).unwrap_err());
    errors.push(checkpoint.parameter::<f32, ndarray::Ix0>(ODD).unwrap_err());
    for error in &errors {
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        for text in [error.to_string(), format!("{error:?}"), source] {
            assert!(
                !text.contains(|c: char| c.is_control() || "\u{202e}\u{2028}".contains(c)),
                "{text:?}"
            );
        }
        assert!(error.to_string().contains(SHOWN), "{error}");
    }
    assert_eq!(errors[errors.len() - 2].tensor(), Some(ODD), "a program gets names as they are");
    Ok(())
}

/// An entry is not taken for the part of the file that has its name.
#[test]
fn messages_say_that_an_entry_is_one() {
    for name in ["header", "metadata", "adamax", "record"] {
        let message = format!("entry `{name}`: missing field");
        let file = file(&format!(r#"{{"{name}":{{}}}}"#), &[]);
        assert_refused(&file, ErrorKind::Format, &message);
        assert!(
            Checkpoint::<f64>::from_bytes(&file).unwrap_err().to_string().starts_with(&message)
        );
    }
}

#[test]
fn a_type_that_cannot_be_decoded_is_named() -> Tested {
    for dtype in ["BF16", "F16"] {
        let mut parts = Parts::sound()?;
        parts.header["first_moment/w"] =
            json!({"dtype": dtype, "shape": [8], "data_offsets": [0, 16]});
        let message = format!(
            "entry `first_moment/w` is of type {dtype}, but F64 is asked for \
             (only F64 and F32 can be read)"
        );
        assert_refused(&parts.file(), ErrorKind::Format, &message);

        let mut parts = Parts::sound()?;
        parts.header["parameter/w"]["dtype"] = json!(dtype);
        parts.header["parameter/w"]["shape"] = json!([2, 4]);
        let read = Checkpoint::<f64>::from_bytes(&parts.file())?;
        let error = read.parameter::<f32, ndarray::Ix2>("w").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "parameter `w` is of type {dtype}, but F32 is asked for \
                 (only F64 and F32 can be read)"
            )
        );
        assert_eq!(Checkpoint::from_bytes(&read.to_bytes()?)?, read, "kept as it is");
    }
    Ok(())
}
