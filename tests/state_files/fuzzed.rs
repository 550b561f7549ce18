//! The checks of the fuzz target, on random and on saved inputs.

use std::{error::Error, fs, path::Path};

use adamax::Checkpoint;
use proptest::prelude::*;

use crate::{
    common::{Float, repository},
    sample,
};

/// The check of `fuzz/fuzz_targets/load.rs`: any bytes are refused, or survive a round trip.
fn round_trip<A: Float>(file: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(checkpoint) = Checkpoint::<A>::from_bytes(file) {
        let written =
            checkpoint.to_bytes().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(Checkpoint::from_bytes(&written).ok(), Some(checkpoint));
    }
    Ok(())
}

/// A file is read as its bytes are, though its header is checked first; and so are its tensors alone.
fn agrees_on_disk(folder: &Path, file: &[u8]) -> Result<(), TestCaseError> {
    let path = folder.join("run");
    fs::write(&path, file)?;
    let message =
        |error: adamax::Error| error.to_string().replace(&format!("{}: ", path.display()), "");
    let loaded = Checkpoint::<f64>::load(&path).map_err(message);
    let read = Checkpoint::from_bytes(file).map_err(message);
    prop_assert_eq!(&loaded, &read);
    let tensors = Checkpoint::load_tensors(&path).map_err(message);
    if let Ok(read) = read {
        let tensors = tensors.map_err(TestCaseError::fail)?;
        prop_assert!(tensors.parameter_names().eq(read.parameter_names()));
    } else if let Ok(tensors) = tensors {
        round_trip::<f64>(
            &tensors.to_bytes().map_err(|error| TestCaseError::fail(error.to_string()))?,
        )?;
    }
    Ok(())
}

fn round_trips(file: &[u8]) -> Result<(), TestCaseError> {
    round_trip::<f64>(file)?;
    round_trip::<f32>(file)
}

/// A change to a file. Places are taken modulo its length.
#[derive(Clone, Debug)]
enum Spoil {
    Flip(usize, u8),
    Write(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Cut(usize),
}

impl Spoil {
    fn apply(&self, file: &mut Vec<u8>) {
        let place = |index: usize| index % (file.len() + 1);
        match self {
            &Spoil::Flip(index, mask) => {
                let place = place(index);
                if let Some(byte) = file.get_mut(place) {
                    *byte ^= mask;
                }
            }
            Spoil::Write(index, bytes) => {
                let place = place(*index);
                let end = file.len().min(place + bytes.len());
                file.splice(place..end, bytes.iter().copied());
            }
            Spoil::Insert(index, bytes) => {
                let place = place(*index);
                file.splice(place..place, bytes.iter().copied());
            }
            &Spoil::Remove(index, length) => {
                let place = place(index);
                file.drain(place..file.len().min(place + length));
            }
            &Spoil::Cut(index) => file.truncate(place(index)),
        }
    }
}

/// Bytes with a meaning in some place of a file.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..9),
        prop::sample::select(vec![
            "0",
            "9",
            "-1",
            "1e999",
            "18446744073709551615",
            "\"",
            "\\",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "null",
            "F32",
            "U32",
            "L2",
            "parameter/",
            "average/",
            "row_steps/",
            "U64",
            "inf_norm/",
            "checksum",
            "__metadata__",
            "version",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        any::<f64>().prop_map(|number| number.to_le_bytes().to_vec()),
    ]
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let place = any::<usize>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(index, mask)| Spoil::Flip(index, mask)),
        (place(), bytes()).prop_map(|(index, bytes)| Spoil::Write(index, bytes)),
        (place(), bytes()).prop_map(|(index, bytes)| Spoil::Insert(index, bytes)),
        (place(), 1..40_usize).prop_map(|(index, length)| Spoil::Remove(index, length)),
        place().prop_map(Spoil::Cut),
    ]
}

thread_local! {
    /// Made once, because thousands of cases use it.
    static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a folder");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spoilt_file_is_an_error_or_a_checkpoint(
        kind in 0..3,
        spoils in prop::collection::vec(spoil(), 1..4),
    ) {
        let sound = match kind {
            0 => sample::small::<f64>()?,
            1 => sample::averaged()?,
            _ => sample::by_rows()?,
        };
        let mut file = sound.to_bytes()?;
        for spoil in spoils {
            spoil.apply(&mut file);
        }
        round_trips(&file)?;
        FOLDER.with(|folder| agrees_on_disk(folder.path(), &file))?;
    }

    #[test]
    fn any_bytes_are_an_error_or_a_checkpoint(file in prop::collection::vec(any::<u8>(), 0..200)) {
        round_trips(&file)?;
    }
}

/// Inputs that together reach every part of the reader that the fuzzer has found.
#[test]
fn the_finds_of_the_fuzzer_are_errors_or_checkpoints() -> Result<(), Box<dyn Error>> {
    let folder = repository().join("tests/hostile");
    let mut finds = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let find = fs::read(&path)?;
        round_trips(&find)
            .and_then(|()| FOLDER.with(|folder| agrees_on_disk(folder.path(), &find)))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        finds += 1;
    }
    assert!(finds > 50, "only {finds} finds");
    Ok(())
}

#[test]
#[ignore = "writes what the fuzzer starts from"]
fn write_seeds_for_the_fuzzer() -> Result<(), Box<dyn Error>> {
    let folder = repository().join("fuzz/corpus/load");
    fs::create_dir_all(&folder)?;
    sample::small::<f64>()?.save(folder.join("small_f64"))?;
    sample::small::<f32>()?.save(folder.join("small_f32"))?;
    sample::by_rows::<f64>()?.save(folder.join("rows_f64"))?;
    sample::by_rows::<f32>()?.save(folder.join("rows_f32"))?;
    sample::checkpoint::<f64>()?.save(folder.join("all_f64"))?;
    sample::checkpoint::<f32>()?.save(folder.join("all_f32"))?;
    Ok(())
}
