//! Reading: from bytes to a checkpoint. Every claim of the file is checked.
//!
//! The header of a file is checked before the rest is read, which may be long.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::mem;
use std::{
    fs::{File, Metadata},
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
    let opened = Opened::of(&file, &metadata, path)?;
    let at_path = |error: Error| error.within(path.display());
    let plan = Plan::of(&opened.head, opened.data).map_err(at_path)?;
    let data = opened.data(plan.checksum.is_some())?;
    plan.checkpoint(&data).map_err(at_path)
}

/// Reads the arrays of any file of the format as parameters.
pub(super) fn load_tensors(path: &Path) -> Result<Checkpoint<f64>, Error> {
    let (file, metadata) = open(path)?;
    let opened = Opened::of(&file, &metadata, path)?;
    let at_path = |error: Error| error.within(path.display());
    let mut header = Header::parse(&opened.head, opened.data).map_err(at_path)?;
    let checksum = leave_parameters(&mut header);
    let data = opened.data(checksum.is_some())?;
    let sum = checksum.map_or(Ok(()), |checksum| check_sum(&opened.head, &data, &checksum));
    sum.and_then(|()| tensors(header, &data)).map_err(at_path)
}

/// Checks a file without holding it in memory. A file without checksum is held, and read as usual.
pub(super) fn is_whole(file: &File, metadata: &Metadata, path: &Path) -> bool {
    let check = || -> Result<bool, Error> {
        let mut opened = Opened::of(file, metadata, path)?;
        let plan = Plan::of(&opened.head, opened.data)?;
        if let Some(place) = &plan.checksum {
            if !place.is_last_number(Dtype::U32, opened.data) {
                return Ok(false);
            }
            let sum = opened.sum(Dtype::U32.width)?;
            return Ok(opened.rest(Dtype::U32.width)? == sum.to_le_bytes());
        }
        drop(plan);
        let data = opened.data(false)?;
        opened.head.extend_from_slice(&data);
        Ok(from_bytes::<f64>(&opened.head).is_ok() || from_bytes::<f32>(&opened.head).is_ok())
    };
    check().unwrap_or(false)
}

fn open(path: &Path) -> Result<(File, Metadata), Error> {
    regular::open(path).map_err(|source| FileError::io("read", path, source))
}

/// A file of which nothing but the header has been read.
struct Opened<'a> {
    file: &'a File,
    /// Length and time of change when the file was opened.
    metadata: &'a Metadata,
    path: &'a Path,
    /// The file up to its data.
    head: Vec<u8>,
    /// The number of bytes of data.
    data: usize,
}

impl<'a> Opened<'a> {
    fn of(file: &'a File, metadata: &'a Metadata, path: &'a Path) -> Result<Self, Error> {
        let rest = metadata.len().saturating_sub(PREFIX as u64);
        let mut opened = Opened { file, metadata, path, head: Vec::new(), data: 0 };
        opened.head = opened.rest(PREFIX)?;
        let header =
            header::length(&opened.head, rest).map_err(|error| error.within(path.display()))?;
        let header_bytes = opened.rest(header)?;
        opened.head.extend_from_slice(&header_bytes);
        opened.data = usize::try_from(rest - header as u64).unwrap_or(usize::MAX);
        Ok(opened)
    }

    /// Reads the data. If no checksum will tell, the file must not have changed since it was opened:
    /// the header and the data could be those of two files.
    fn data(&self, summed: bool) -> Result<Vec<u8>, Error> {
        let data = self.rest(self.data)?;
        if summed || self.is_unchanged() {
            Ok(data)
        } else {
            let source = io::Error::other("the file has changed while it was read");
            Err(FileError::io("read", self.path, source))
        }
    }

    /// Returns false if the file shows that somebody has written to it. File systems know the time to a
    /// few milliseconds.
    fn is_unchanged(&self) -> bool {
        let state = |metadata: &Metadata| (metadata.len(), metadata.modified().ok());
        self.file.metadata().is_ok_and(|now| state(&now) == state(self.metadata))
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

/// Leaves only the parameters of a file of this crate, under their own names. Returns the place of its
/// checksum. In the file of another program, an array of that name is one like any other.
fn leave_parameters(header: &mut Header) -> Option<Place> {
    header.metadata.remove(record::KEY)?;
    let checksum = header.arrays.remove(CHECKSUM);
    header.arrays = mem::take(&mut header.arrays)
        .into_iter()
        .filter_map(|(entry, place)| Some((entry.strip_prefix(PARAMETER)?.into(), place)))
        .collect();
    checksum
}

fn tensors(header: Header, data: &[u8]) -> Result<Checkpoint<f64>, Error> {
    let Header { metadata: notes, arrays } = header;
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

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, format, string::ToString, vec::Vec};
    use std::{
        error,
        fs::{self, File},
        path::Path,
        time::Duration,
    };

    use ndarray::Array1;

    use super::{Opened, Plan, open};
    use crate::{Adamax, Checkpoint, Optimizer};

    type Tested = Result<(), Box<dyn error::Error>>;

    /// Files of equal length, with different headers and different data.
    fn generation(value: f64) -> Result<Vec<u8>, crate::Error> {
        let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
        checkpoint.add_parameter("x", &Array1::from_elem(2, value))?.add_value("value", &value)?;
        checkpoint.to_bytes()
    }

    /// Reads a file as `load` does, and makes a change between its header and its data.
    fn read(path: &Path, summed: bool, change: impl FnOnce() -> Tested) -> Tested {
        let (file, metadata) = open(path)?;
        let opened = Opened::of(&file, &metadata, path)?;
        change()?;
        let data = opened.data(summed)?;
        Plan::of(&opened.head, opened.data)?.checkpoint::<f64>(&data)?;
        Ok(())
    }

    #[test]
    fn a_file_that_is_rewritten_behind_its_header_is_refused() -> Tested {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run");
        let (old, new) = (generation(1.0)?, generation(2.0)?);
        let shorter = &new[..new.len() - 1];
        for (rewritten, message) in [
            (&new[..], "checksum is "),
            (&[&new[..], &[0; 8]].concat(), "checksum is "),
            (shorter, "entry `checksum` is not one U32 at the end"),
            (&[], "entry `parameter/x` takes bytes"),
        ] {
            fs::write(&path, &old)?;
            let error = read(&path, true, || Ok(fs::write(&path, rewritten)?)).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
        }
        // The same bytes again are no change.
        fs::write(&path, &old)?;
        read(&path, true, || Ok(fs::write(&path, &old)?))?;
        // A file that is replaced is another one.
        read(&path, true, || {
            fs::write(folder.path().join("new"), &new)?;
            Ok(fs::rename(folder.path().join("new"), &path)?)
        })
    }

    #[test]
    fn a_file_without_checksum_must_not_change() -> Tested {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run");
        fs::write(&path, generation(1.0)?)?;
        read(&path, false, || Ok(()))?;
        let touch = || {
            let file = File::options().write(true).open(&path)?;
            Ok(file.set_modified(file.metadata()?.modified()? + Duration::from_secs(1))?)
        };
        let error = read(&path, false, touch).unwrap_err();
        let message =
            format!("cannot read {}: the file has changed while it was read", path.display());
        assert_eq!(error.to_string(), message);
        let append = || Ok(fs::write(&path, [&fs::read(&path)?[..], &[0]].concat())?);
        assert_eq!(read(&path, false, append).unwrap_err().to_string(), message);
        Ok(())
    }
}
