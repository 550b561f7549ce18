//! The safetensors container: a length, a JSON header, the data.
//!
//! The reference library is not used: it accepts repeated names, overflows on shapes made for that,
//! and does not say which entry is wrong.

use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    error::{EntryFault, FileError, Part},
    unique::Unique,
};
use crate::{error::Error, real::Real};

/// The key of the metadata, a map of strings, in the header.
pub(super) const METADATA: &str = "__metadata__";
/// The size of the number at the start of a file, which is the length of the header.
pub(super) const PREFIX: usize = size_of::<u64>();
/// The longest header that readers of this format accept.
const LONGEST: usize = 100_000_000;
/// The most axes that NumPy and PyTorch have.
const MOST_AXES: usize = 64;

/// The type of the numbers of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dtype {
    /// The name in the format.
    pub(super) name: &'static str,
    /// The size of one number in bytes.
    pub(super) width: usize,
}

impl Dtype {
    pub(super) const F64: Self = Dtype { name: "F64", width: 8 };
    pub(super) const F32: Self = Dtype { name: "F32", width: 4 };
    pub(super) const U32: Self = Dtype { name: "U32", width: 4 };
    pub(super) const U64: Self = Dtype { name: "U64", width: 8 };

    /// Types that are kept as they are, but not decoded: models have integers and short floats.
    const OTHERS: [(usize, &'static [&'static str]); 4] = [
        (8, &["C64", "I64"]),
        (4, &["I32"]),
        (2, &["BF16", "F16", "I16", "U16"]),
        (1, &["BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8"]),
    ];

    pub(super) fn of<A: Real>() -> Self {
        if size_of::<A>() == size_of::<f64>() { Dtype::F64 } else { Dtype::F32 }
    }

    fn named(name: &str) -> Option<Self> {
        let others = Dtype::OTHERS
            .into_iter()
            .flat_map(|(width, names)| names.iter().map(move |&name| Dtype { name, width }));
        let known = [Dtype::F64, Dtype::F32, Dtype::U32, Dtype::U64];
        let mut all = known.into_iter().chain(others);
        all.find(|dtype| dtype.name == name)
    }

    /// Returns the size in bytes of an array of this shape, or `None` if ndarray would refuse it as
    /// too large.
    pub(super) fn size_of(self, shape: &[usize]) -> Option<usize> {
        // As ndarray demands, the other lengths must not overflow even if one length is 0.
        let lengths = shape.iter().filter(|&&length| length != 0);
        let places = lengths.copied().try_fold(self.width, usize::checked_mul)?;
        let size = if shape.contains(&0) { 0 } else { places };
        isize::try_from(places).is_ok().then_some(size)
    }
}

/// The description of one array in the header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    #[serde(deserialize_with = "crate::list::read_at_most::<MOST_AXES, _, _>")]
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The place of an array in the data, and its type. The length agrees with type and shape.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    start: usize,
    end: usize,
}

/// An array in a file.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: &'a [u8],
}

/// A header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) arrays: BTreeMap<String, Place>,
}

impl Header {
    /// Reads the header at the end of `head`, which is a file up to its data. Refuses entries that do
    /// not cover the data, of so many bytes, exactly once.
    pub(super) fn parse(head: &[u8], data: usize) -> Result<Self, Error> {
        let header = head.get(PREFIX..).unwrap_or_default();
        if !header.starts_with(b"{") {
            return Err(foreign(head).unwrap_or(FileError::NoObject).into());
        }
        let Unique(mut entries): Unique<&RawValue> = from_json(&Part::Header, header)?;
        let metadata = match entries.remove(METADATA) {
            Some(raw) => from_json::<Unique<String>>(&Part::Metadata, raw.get().as_bytes())?.0,
            None => BTreeMap::new(),
        };
        let mut arrays = BTreeMap::new();
        for (name, raw) in entries {
            let part = Part::Entry(name);
            let entry: Entry<'_> = from_json(&part, raw.get().as_bytes())?;
            let Part::Entry(name) = part else { continue };
            let place = entry.place(data).map_err(|fault| fault.of(&name))?;
            arrays.insert(name, place);
        }
        check_cover(&arrays, data)?;
        Ok(Header { metadata, arrays })
    }
}

/// Returns the length of the header of a file, of which `start` is the beginning, and `rest` the
/// number of bytes after the first eight.
pub(super) fn length(start: &[u8], rest: u64) -> Result<usize, Error> {
    let Some(prefix) = start.first_chunk::<PREFIX>() else {
        return Err(FileError::TooShort { found: start.len(), expected: PREFIX }.into());
    };
    let length = u64::from_le_bytes(*prefix);
    if length > rest {
        let fault = FileError::HeaderLength { length, rest };
        return Err(foreign(start).unwrap_or(fault).into());
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    check_length(length)?;
    Ok(length)
}

/// Splits a file before its data.
pub(super) fn split(file: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let rest = file.len().saturating_sub(PREFIX);
    let length = length(file, u64::try_from(rest).unwrap_or(u64::MAX))?;
    Ok(file.split_at_checked(PREFIX + length).unwrap_or((file, &[])))
}

/// Refuses a header that other readers would refuse.
fn check_length(length: usize) -> Result<(), Error> {
    match length {
        ..=LONGEST => Ok(()),
        length => Err(FileError::HeaderTooLong { length, longest: LONGEST }.into()),
    }
}

/// Recognises files of other formats by their first bytes.
fn foreign(start: &[u8]) -> Option<FileError> {
    const KNOWN: [(&[u8], &str); 5] = [
        (b"PK\x03\x04", "a zip archive; torch.save and numpy.savez write such files"),
        (b"\x93NUMPY", "an array of NumPy"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"GGUF", "a GGUF file"),
        (b"{", "JSON text"),
    ];
    let found = KNOWN.into_iter().find(|(magic, _)| start.starts_with(magic));
    let what = match (found, start) {
        (Some((_, what)), _) => what,
        // The length of a header, which also begins like this, would go on with a zero.
        (None, [0x80, 2..=5, 1..=u8::MAX, ..]) => {
            "a pickle; old versions of torch.save write such files"
        }
        _ => return None,
    };
    Some(FileError::Foreign { what })
}

pub(super) fn from_json<'a, T: Deserialize<'a>>(part: &Part, json: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|source| FileError::json(part, source))
}

impl Entry<'_> {
    fn place(self, data: usize) -> Result<Place, EntryFault> {
        let Entry { dtype, shape, data_offsets: (start, end) } = self;
        let dtype = Dtype::named(&dtype)
            .ok_or_else(|| EntryFault::UnknownDtype { found: dtype.into_owned() })?;
        if start > end || end > data {
            return Err(EntryFault::Outside { start, end, length: data });
        }
        if dtype.size_of(&shape) == Some(end - start) {
            Ok(Place { dtype, shape, start, end })
        } else {
            Err(EntryFault::Size { dtype: dtype.name, shape, found: end - start })
        }
    }
}

impl Place {
    /// Returns the array in these data, which are shorter than expected if the file has been cut
    /// while it was read.
    pub(super) fn within(self, data: &[u8]) -> Result<View<'_>, EntryFault> {
        let Place { dtype, shape, start, end } = self;
        let outside = EntryFault::Outside { start, end, length: data.len() };
        let bytes = data.get(start..end).ok_or(outside)?;
        Ok(View { dtype, shape, bytes })
    }

    /// Returns true if this is one number at the end of the data, which have `data` bytes.
    pub(super) fn is_last_number(&self, dtype: Dtype, data: usize) -> bool {
        self.dtype == dtype && self.end == data && self.end - self.start == dtype.width
    }
}

/// Refuses entries that overlap, and bytes that belong to no entry.
fn check_cover(arrays: &BTreeMap<String, Place>, data: usize) -> Result<(), Error> {
    let mut places: Vec<_> =
        arrays.iter().map(|(name, place)| (place.start, place.end, name)).collect();
    places.sort_unstable();
    let mut covered = 0;
    for (start, end, name) in places {
        if start != covered {
            return Err(EntryFault::Place { found: start, expected: covered }.of(name));
        }
        covered = end;
    }
    match data.saturating_sub(covered) {
        0 => Ok(()),
        surplus => Err(FileError::Surplus { surplus }.into()),
    }
}

/// An array that will be written.
pub(super) struct Announced {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

/// Returns the bytes of a file before the data, for these arrays in this order.
pub(super) fn format<'a>(
    metadata: &BTreeMap<&str, &str>,
    arrays: impl IntoIterator<Item = &'a Announced>,
) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    struct Header<'a> {
        #[serde(rename = "__metadata__")]
        metadata: &'a BTreeMap<&'a str, &'a str>,
        #[serde(flatten)]
        entries: BTreeMap<&'a str, Entry<'a>>,
    }
    let mut entries = BTreeMap::new();
    let mut start = 0;
    for Announced { name, dtype, shape } in arrays {
        let fault = || EntryFault::Unwritable { shape: shape.clone() }.of(name);
        let size = dtype.size_of(shape).filter(|_| shape.len() <= MOST_AXES);
        let end = size.and_then(|size| size.checked_add(start)).ok_or_else(fault)?;
        let data_offsets = (start, end);
        let entry = Entry { dtype: dtype.name.into(), shape: shape.clone(), data_offsets };
        entries.insert(name.as_str(), entry);
        start = end;
    }
    let mut header = serde_json::to_vec(&Header { metadata, entries })
        .map_err(|source| FileError::json(&Part::Header, source))?;
    // Padded with spaces, so that the data are aligned to 8 bytes.
    header.resize(header.len().next_multiple_of(PREFIX), b' ');
    check_length(header.len())?;
    let prefix = u64::try_from(header.len()).unwrap_or(u64::MAX).to_le_bytes();
    header.splice(..0, prefix);
    Ok(header)
}
