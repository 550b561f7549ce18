//! Reading: from bytes to a checkpoint. Every claim of the file is checked.
//!
//! The header of a file is checked before the rest is read, which may be long.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::mem;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{
    Checkpoint,
    average::SavedAverage,
    entry_names::{self, AVERAGE, CHECKSUM, FIRST_MOMENT, INF_NORM, PARAMETER, ROW_STEPS},
    error::{EntryFault, FileError},
    header::{self, Dtype, Header, PREFIX, Place, View},
    record::{self, AverageRecord, Record},
    regular,
    summing::Summing,
    unique::Unique,
};
use crate::{error::Error, optimizer::snapshot::Snapshot, real::Real, rule::Adamax, state::State};

pub(super) fn from_bytes<A: Real>(file: &[u8]) -> Result<Checkpoint<A>, Error> {
    let (head, data) = header::split(file)?;
    Plan::of(head, data.len())?.checkpoint(data)
}

pub(super) fn load<A: Real>(path: &Path) -> Result<Checkpoint<A>, Error> {
    let (file, metadata) = open(path)?;
    let opened = Opened::of(&file, metadata.len(), path)?;
    let at_path = |error: Error| error.within(path.display());
    let plan = Plan::of(&opened.head, opened.data).map_err(at_path)?;
    plan.checkpoint(&opened.data()?).map_err(at_path)
}

/// Reads the arrays of any file of the format as parameters.
pub(super) fn load_tensors(path: &Path) -> Result<Checkpoint<f64>, Error> {
    let (file, metadata) = open(path)?;
    let opened = Opened::of(&file, metadata.len(), path)?;
    let at_path = |error: Error| error.within(path.display());
    let header = Header::parse(&opened.head, opened.data).map_err(at_path)?;
    tensors(&opened.head, header, &opened.data()?).map_err(at_path)
}

/// Checks a file without holding it in memory. A file without checksum is held, and read as usual.
pub(super) fn is_whole(file: &File, length: u64, path: &Path) -> bool {
    let check = || -> Result<bool, Error> {
        let mut opened = Opened::of(file, length, path)?;
        let plan = Plan::of(&opened.head, opened.data)?;
        if let Some(place) = &plan.checksum {
            if !place.is_last_number(Dtype::U32, opened.data) {
                return Ok(false);
            }
            let sum = opened.sum(Dtype::U32.width)?;
            return Ok(opened.rest(Dtype::U32.width)? == sum.to_le_bytes());
        }
        drop(plan);
        let data = opened.data()?;
        opened.head.extend_from_slice(&data);
        Ok(from_bytes::<f64>(&opened.head).is_ok() || from_bytes::<f32>(&opened.head).is_ok())
    };
    check().unwrap_or(false)
}

fn open(path: &Path) -> Result<(File, std::fs::Metadata), Error> {
    regular::open(path).map_err(|source| FileError::io("read", path, source))
}

/// A file of which nothing but the header has been read.
struct Opened<'a> {
    file: &'a File,
    path: &'a Path,
    /// The file up to its data.
    head: Vec<u8>,
    /// The number of bytes of data.
    data: usize,
}

impl<'a> Opened<'a> {
    fn of(file: &'a File, length: u64, path: &'a Path) -> Result<Self, Error> {
        let mut opened = Opened { file, path, head: Vec::new(), data: 0 };
        opened.head = opened.rest(PREFIX)?;
        let rest = length.saturating_sub(PREFIX as u64);
        let header =
            header::length(&opened.head, rest).map_err(|error| error.within(path.display()))?;
        let header_bytes = opened.rest(header)?;
        opened.head.extend_from_slice(&header_bytes);
        opened.data = usize::try_from(rest - header as u64).unwrap_or(usize::MAX);
        Ok(opened)
    }

    fn data(&self) -> Result<Vec<u8>, Error> {
        self.rest(self.data)
    }

    /// Reads the next bytes, as many as asked for or fewer at the end of the file.
    fn rest(&self, length: usize) -> Result<Vec<u8>, Error> {
        let read = || {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(length)?;
            self.file.take(length as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|source| FileError::io("read", self.path, source))
    }

    /// Returns the checksum of all bytes but the last ones, and reads as far.
    fn sum(&self, last: usize) -> Result<u32, Error> {
        let read = || {
            let mut sum = Summing::new(io::sink());
            io::Write::write_all(&mut sum, &self.head)?;
            io::copy(&mut self.file.take((self.data - last) as u64), &mut sum)?;
            Ok(sum.checksum())
        };
        read().map_err(|source| FileError::io("read", self.path, source))
    }
}

type Places = BTreeMap<String, Place>;

/// Everything that a file says before its data.
struct Plan<'a> {
    head: &'a [u8],
    record: Record,
    notes: BTreeMap<String, String>,
    arrays: Places,
    checksum: Option<Place>,
}

impl<'a> Plan<'a> {
    fn of(head: &'a [u8], data: usize) -> Result<Self, Error> {
        let Header { metadata: mut notes, mut arrays } = Header::parse(head, data)?;
        let checksum = arrays.remove(CHECKSUM);
        let record = notes.remove(record::KEY).ok_or(FileError::NoRecord { key: record::KEY })?;
        let record = Record::from_json(&record)?;
        Ok(Plan { head, record, notes, arrays, checksum })
    }

    fn checkpoint<A: Real>(self, data: &[u8]) -> Result<Checkpoint<A>, Error> {
        let Plan { head, mut record, notes, mut arrays, checksum } = self;
        let averages = mem::replace(&mut record.averages, Unique::empty());
        let snapshot = record.into_snapshot(|name, steps| state(&mut arrays, data, name, steps))?;
        let averages = averages.0.into_iter().map(|(name, record)| {
            let saved = average(&mut arrays, data, &name, record)?;
            Ok((name, saved))
        });
        let averages = averages.collect::<Result<_, Error>>()?;
        let mut parameters = BTreeMap::new();
        for (entry, place) in arrays {
            let name = entry.strip_prefix(PARAMETER).ok_or(EntryFault::Unknown);
            let (name, view) = name
                .and_then(|name| Ok((name, place.within(data)?)))
                .map_err(|fault| fault.of(&entry))?;
            parameters.insert(name.into(), view.into());
        }
        // The checksum comes last: an error that names an entry is more useful.
        checksum.map_or(Ok(()), |checksum| check_sum(head, data, &checksum))?;
        Ok(Checkpoint { snapshot, parameters, averages, notes })
    }
}

/// Takes an array out of those that nothing has asked for yet.
fn take<'d>(
    arrays: &mut Places,
    data: &'d [u8],
    entry: &str,
    if_missing: EntryFault,
) -> Result<View<'d>, EntryFault> {
    arrays.remove(entry).ok_or(if_missing)?.within(data)
}

fn average(
    arrays: &mut Places,
    data: &[u8],
    name: &str,
    record: AverageRecord,
) -> Result<SavedAverage, Error> {
    let entry = entry_names::entry(AVERAGE, name);
    let view = take(arrays, data, &entry, EntryFault::Missing);
    SavedAverage::read(name, record, view.map_err(|fault| fault.of(&entry))?)
}

fn state<A: Real>(
    arrays: &mut Places,
    data: &[u8],
    name: &str,
    steps: Option<u64>,
) -> Result<State<A>, Error> {
    let mut array = |part| {
        let entry = entry_names::entry(part, name);
        let view = take(arrays, data, &entry, EntryFault::Missing);
        view.and_then(|view| view.to_array()).map_err(|fault| fault.of(&entry))
    };
    let (m, u) = (array(FIRST_MOMENT)?, array(INF_NORM)?);
    let state = match steps {
        Some(steps) => State::from_parts(steps, m, u),
        None => State::from_row_parts(counters(arrays, data, name)?, m, u),
    };
    state.map_err(|error| error.in_tensor(name))
}

fn counters(arrays: &mut Places, data: &[u8], name: &str) -> Result<Vec<u64>, Error> {
    let entry = entry_names::entry(ROW_STEPS, name);
    let view = take(arrays, data, &entry, EntryFault::NoCounters);
    view.and_then(|view| view.to_counters()).map_err(|fault| fault.of(&entry))
}

fn tensors(head: &[u8], header: Header, data: &[u8]) -> Result<Checkpoint<f64>, Error> {
    let Header { metadata: mut notes, mut arrays } = header;
    if notes.remove(record::KEY).is_some() {
        let checksum = arrays.remove(CHECKSUM);
        checksum.map_or(Ok(()), |checksum| check_sum(head, data, &checksum))?;
        arrays = arrays
            .into_iter()
            .filter_map(|(entry, place)| Some((entry.strip_prefix(PARAMETER)?.into(), place)))
            .collect();
    }
    let mut parameters = BTreeMap::new();
    for (name, place) in arrays {
        let view = place.within(data).map_err(|fault| fault.of(&name))?;
        parameters.insert(name, view.into());
    }
    let nothing = Snapshot::new([Adamax::default()].into(), BTreeMap::new(), 1.0, None);
    Ok(Checkpoint { snapshot: nothing, parameters, averages: BTreeMap::new(), notes })
}

/// Refuses a file whose bytes have changed since it was written.
fn check_sum(head: &[u8], data: &[u8], checksum: &Place) -> Result<(), Error> {
    match data.split_last_chunk() {
        Some((rest, last)) if checksum.is_last_number(Dtype::U32, data.len()) => {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(head);
            hasher.update(rest);
            let (found, expected) = (u32::from_le_bytes(*last), hasher.finalize());
            if found == expected {
                Ok(())
            } else {
                Err(FileError::Checksum { found, expected }.into())
            }
        }
        _ => Err(EntryFault::Checksum.of(CHECKSUM)),
    }
}
