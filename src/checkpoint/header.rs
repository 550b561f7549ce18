//! The safetensors container: a length, a JSON header, the data.
//!
//! The reference library is not used: it accepts repeated names, overflows on shapes made for that,
//! and does not say which entry is wrong.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    error::{EntryFault, FileError},
    unique::Unique,
};
use crate::{error::Error, real::Real};

/// The key of the metadata, a map of strings, in the header.
pub(super) const METADATA: &str = "__metadata__";
/// The size of the number at the start of a file, which is the length of the header.
const PREFIX: usize = size_of::<u64>();
/// The longest header that readers of this format accept.
const LONGEST: usize = 100_000_000;
/// The most axes that NumPy and PyTorch have.
const MOST_AXES: usize = 64;

/// The type of the numbers of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Dtype {
    F64,
    F32,
    U32,
}

impl Dtype {
    pub(super) fn of<A: Real>() -> Self {
        if size_of::<A>() == size_of::<f64>() { Dtype::F64 } else { Dtype::F32 }
    }

    /// The name in the format.
    pub(super) fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "F64",
            Dtype::F32 => "F32",
            Dtype::U32 => "U32",
        }
    }

    /// The size of one number in bytes.
    fn width(self) -> usize {
        match self {
            Dtype::F64 => 8,
            Dtype::F32 | Dtype::U32 => 4,
        }
    }

    /// Returns the size in bytes of an array of this shape, or `None` if ndarray would refuse it as
    /// too large.
    pub(super) fn size_of(self, shape: &[usize]) -> Option<usize> {
        // As ndarray demands, the other lengths must not overflow even if one length is 0.
        let lengths = shape.iter().filter(|&&length| length != 0);
        let places = lengths.copied().try_fold(self.width(), usize::checked_mul)?;
        let size = if shape.contains(&0) { 0 } else { places };
        isize::try_from(places).is_ok().then_some(size)
    }
}

/// The description of one array in the header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: Dtype,
    #[serde(deserialize_with = "shape")]
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// Reads a shape. Stops at the first surplus axis, so that memory stays small.
fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct Shape;
    impl<'de> Visitor<'de> for Shape {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MOST_AXES} lengths")
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut lengths: S) -> Result<Self::Value, S::Error> {
            let mut shape = Vec::new();
            while let Some(length) = lengths.next_element()? {
                if shape.len() == MOST_AXES {
                    return Err(de::Error::invalid_length(MOST_AXES + 1, &self));
                }
                shape.push(length);
            }
            Ok(shape)
        }
    }
    deserializer.deserialize_seq(Shape)
}

/// An array in a file.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// The data; the length agrees with dtype and shape.
    pub(super) bytes: &'a [u8],
    /// The offset in the data of the file.
    start: usize,
}

/// The parts of a file.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) arrays: BTreeMap<String, View<'a>>,
}

/// Splits a file into its parts. Refuses entries that do not cover the data exactly once.
pub(super) fn parse(file: &[u8]) -> Result<Container<'_>, Error> {
    let (header, data) = split(file)?;
    let Unique(mut entries): Unique<&RawValue> = from_json("header", header)?;
    let metadata = match entries.remove(METADATA) {
        Some(raw) => from_json::<Unique<String>>(METADATA, raw.get().as_bytes())?.0,
        None => BTreeMap::new(),
    };
    let mut arrays = BTreeMap::new();
    for (name, raw) in entries {
        let entry: Entry = from_json(&name, raw.get().as_bytes())?;
        let view = entry.view(data).map_err(|fault| fault.of(&name))?;
        arrays.insert(name, view);
    }
    check_cover(&arrays, data)?;
    Ok(Container { metadata, arrays })
}

/// Splits a file into header and data.
fn split(file: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (prefix, rest) = file
        .split_first_chunk::<PREFIX>()
        .ok_or(FileError::TooShort { found: file.len(), expected: PREFIX })?;
    let length = u64::from_le_bytes(*prefix);
    let (header, data) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or(FileError::HeaderLength { length, rest: rest.len() })?;
    check_length(header)?;
    Ok((header, data))
}

/// Refuses a header that other readers would refuse.
fn check_length(header: &[u8]) -> Result<(), Error> {
    match header.len() {
        ..=LONGEST => Ok(()),
        length => Err(FileError::HeaderTooLong { length, longest: LONGEST }.into()),
    }
}

pub(super) fn from_json<'a, T: Deserialize<'a>>(part: &str, json: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|source| FileError::json(part, source))
}

impl Entry {
    fn view(self, data: &[u8]) -> Result<View<'_>, EntryFault> {
        let Entry { dtype, shape, data_offsets: (start, end) } = self;
        let outside = EntryFault::Outside { start, end, length: data.len() };
        let bytes = data.get(start..end).ok_or(outside)?;
        if dtype.size_of(&shape) == Some(bytes.len()) {
            Ok(View { dtype, shape, bytes, start })
        } else {
            Err(EntryFault::Size { dtype: dtype.name(), shape, found: bytes.len() })
        }
    }
}

/// Refuses entries that overlap, and bytes that belong to no entry.
fn check_cover(arrays: &BTreeMap<String, View<'_>>, data: &[u8]) -> Result<(), Error> {
    let mut places: Vec<_> =
        arrays.iter().map(|(name, view)| (view.start, view.bytes.len(), name)).collect();
    places.sort_unstable();
    let mut covered = 0;
    for (start, length, name) in places {
        if start != covered {
            return Err(EntryFault::Place { found: start, expected: covered }.of(name));
        }
        covered += length; // no overflow: entries are slices of the data
    }
    match data.len() - covered {
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
        entries: BTreeMap<&'a str, Entry>,
    }
    let mut entries = BTreeMap::new();
    let mut start = 0;
    for Announced { name, dtype, shape } in arrays {
        let fault = || EntryFault::Unwritable { shape: shape.clone() }.of(name);
        let size = dtype.size_of(shape).filter(|_| shape.len() <= MOST_AXES);
        let end = size.and_then(|size| size.checked_add(start)).ok_or_else(fault)?;
        let data_offsets = (start, end);
        entries.insert(name.as_str(), Entry { dtype: *dtype, shape: shape.clone(), data_offsets });
        start = end;
    }
    let mut header = serde_json::to_vec(&Header { metadata, entries })
        .map_err(|source| FileError::json("header", source))?;
    // Padded with spaces, so that the data are aligned to 8 bytes.
    header.resize(header.len().next_multiple_of(PREFIX), b' ');
    check_length(&header)?;
    let prefix = u64::try_from(header.len()).unwrap_or(u64::MAX).to_le_bytes();
    header.splice(..0, prefix);
    Ok(header)
}
