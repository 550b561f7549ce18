//! Reading: from bytes to a checkpoint. Every claim of the file is checked.

use alloc::{collections::BTreeMap, string::String};

use super::{
    Checkpoint,
    entry_names::{self, CHECKSUM, FIRST_MOMENT, INF_NORM, PARAMETER},
    error::{EntryFault, FileError},
    header::{self, Container, Dtype, View},
    record::{self, Record},
};
use crate::{error::Error, real::Real, state::State};

type Arrays<'a> = BTreeMap<String, View<'a>>;

pub(super) fn read<A: Real>(file: &[u8]) -> Result<Checkpoint<A>, Error> {
    let Container { metadata: mut notes, mut arrays } = header::parse(file)?;
    let checksum = arrays.remove(CHECKSUM);

    let record = notes.remove(record::KEY).ok_or(FileError::NoRecord { key: record::KEY })?;
    let snapshot =
        Record::from_json(&record)?.into_snapshot(|name, steps| state(&mut arrays, name, steps))?;

    let mut parameters = BTreeMap::new();
    for (entry, view) in arrays {
        match entry.strip_prefix(PARAMETER) {
            Some(name) if view.dtype != Dtype::U32 => {
                parameters.insert(name.into(), view.into());
            }
            _ => return Err(EntryFault::Unknown.of(&entry)),
        }
    }
    // The checksum comes last: an error that names an entry is more useful.
    checksum.map_or(Ok(()), |checksum| check_sum(file, &checksum))?;
    Ok(Checkpoint { snapshot, parameters, notes })
}

fn state<A: Real>(arrays: &mut Arrays<'_>, name: &str, steps: u64) -> Result<State<A>, Error> {
    let mut array = |part: &str| {
        let entry = entry_names::entry(part, name);
        let view = arrays.remove(&entry).ok_or(EntryFault::Missing);
        view.and_then(|view| view.to_array()).map_err(|fault| fault.of(&entry))
    };
    let (m, u) = (array(FIRST_MOMENT)?, array(INF_NORM)?);
    State::from_parts(steps, m, u).map_err(|error| error.in_tensor(name))
}

/// Refuses a file whose bytes have changed since it was written.
fn check_sum(file: &[u8], checksum: &View<'_>) -> Result<(), Error> {
    match file.split_last_chunk() {
        Some((rest, last)) if checksum.dtype == Dtype::U32 && checksum.bytes == last => {
            let (found, expected) = (u32::from_le_bytes(*last), crc32fast::hash(rest));
            if found == expected {
                Ok(())
            } else {
                Err(FileError::Checksum { found, expected }.into())
            }
        }
        _ => Err(EntryFault::Checksum.of(CHECKSUM)),
    }
}
