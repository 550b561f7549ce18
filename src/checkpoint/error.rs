//! Errors of state files.

use alloc::{borrow::ToOwned, boxed::Box, format, string::String, vec::Vec};
use std::{
    io,
    path::{Path, PathBuf},
};

use serde::de::Error as _;

use crate::error::{
    Abbreviated, AdapterError, Detail, Error, ErrorKind, Facts, escaped, hint, is_control,
};

/// The longest part of a parser's message that is quoted: enough for the names of all settings.
const LONGEST_MESSAGE: usize = 300;

#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("note `{}` is taken", Abbreviated::name(key))]
    NoteTaken { key: String },
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{part}: {}", Abbreviated::to(LONGEST_MESSAGE, &format!("{source}")))]
    Json { part: Part, source: serde_json::Error },
    #[error("not a safetensors file, but {what}")]
    Foreign { what: &'static str },
    #[error("not a safetensors file: the header does not begin with a brace")]
    NoObject,
    #[error("file has {found} bytes, but the length of its header takes {expected}")]
    TooShort { found: usize, expected: usize },
    #[error(
        "not a safetensors file, or cut short: \
         header should have {length} bytes, but {rest} bytes are left of the file"
    )]
    HeaderLength { length: u64, rest: u64 },
    #[error("header takes {length} bytes, but at most {longest} can be read")]
    HeaderTooLong { length: usize, longest: usize },
    #[error("there are {groups} groups, but at most {most} can be saved")]
    Groups { groups: usize, most: usize },
    #[error("the last {surplus} bytes of the file belong to no entry")]
    Surplus { surplus: usize },
    #[error("checksum is {found:#010x}, but that of the file is {expected:#010x}")]
    Checksum { found: u32, expected: u32 },
    #[error(
        "not a state file, but another safetensors file: no `{key}` in the metadata; \
         `Checkpoint::load_tensors` reads its arrays"
    )]
    NoRecord { key: &'static str },
    #[error("{what} `{}` {fault}", Abbreviated::name(name))]
    Content { what: &'static str, name: String, fault: EntryFault },
    #[error("entry `{}` {fault}", Abbreviated::name(entry))]
    Entry { entry: String, fault: EntryFault },
    #[error(
        "{SAVED} has shape {found:?}, but parameter has shape {expected:?}{}",
        hint(found, expected)
    )]
    Shape { found: Vec<usize>, expected: Vec<usize> },
}

/// A part of a file, in which JSON is wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Part {
    #[error("header")]
    Header,
    #[error("metadata")]
    Metadata,
    #[error("`{0}` in the metadata")]
    Record(&'static str),
    #[error("entry `{}`", Abbreviated::name(_0))]
    Entry(String),
    #[error("note `{}`", Abbreviated::name(_0))]
    Note(String),
}

/// The name of a parameter in a file, as [`Error::array`] returns it.
const SAVED: &str = "saved parameter";

/// A fault of one array in a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum EntryFault {
    #[error("takes bytes {start} to {end} of the data, which has {length}")]
    Outside { start: usize, end: usize, length: usize },
    #[error("has {found} bytes, which is not the size of {dtype} numbers of shape {shape:?}")]
    Size { dtype: &'static str, shape: Vec<usize>, found: usize },
    #[error("begins at byte {found} of the data, but the one before ends at byte {expected}")]
    Place { found: usize, expected: usize },
    #[error("is of type {found}, but {expected} is asked for{}", others(found, expected))]
    Dtype { found: &'static str, expected: &'static str },
    #[error("is of type `{}`, which this release does not know", Abbreviated::name(found))]
    UnknownDtype { found: String },
    #[error("has shape {shape:?}, but the number of axes asked for is {expected}")]
    Axes { shape: Vec<usize>, expected: usize },
    #[error("is missing")]
    Missing,
    #[error("is missing, and the record has no `steps` of the tensor")]
    NoCounters,
    #[error("has no place in a state file")]
    Unknown,
    #[error("is not one U32 at the end of the file")]
    Checksum,
    #[error("has a shape that cannot be written: {shape:?}")]
    Unwritable { shape: Vec<usize> },
}

/// Says, of a type of numbers that cannot be asked for, which can.
fn others(found: &str, expected: &str) -> &'static str {
    let [asked_for, exists] = [expected, found].map(|name| matches!(name, "F64" | "F32"));
    if asked_for && !exists { " (only F64 and F32 can be read)" } else { "" }
}

impl AdapterError for FileError {
    fn facts(&self) -> Facts<'_> {
        match self {
            FileError::NoteTaken { .. } => Facts::of(ErrorKind::Name),
            FileError::Io { .. } => Facts::of(ErrorKind::Io),
            FileError::Shape { found, expected } => Facts {
                array: Some(SAVED),
                found_shape: Some(found),
                expected_shape: Some(expected),
                ..Facts::of(ErrorKind::Shape)
            },
            FileError::Entry { fault, .. } | FileError::Content { fault, .. } => {
                Facts { found_shape: fault.shape(), ..Facts::of(ErrorKind::Format) }
            }
            FileError::Json { .. }
            | FileError::Foreign { .. }
            | FileError::NoObject
            | FileError::TooShort { .. }
            | FileError::HeaderLength { .. }
            | FileError::HeaderTooLong { .. }
            | FileError::Groups { .. }
            | FileError::Surplus { .. }
            | FileError::Checksum { .. }
            | FileError::NoRecord { .. } => Facts::of(ErrorKind::Format),
        }
    }
}

impl From<FileError> for Error {
    #[cold]
    fn from(error: FileError) -> Self {
        Detail::Adapter(Box::new(error)).into()
    }
}

impl FileError {
    #[cold]
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        FileError::Io { action, path: path.to_owned(), source }.into()
    }

    #[cold]
    pub(super) fn json(part: &Part, source: serde_json::Error) -> Error {
        // The parser quotes the file. Programs print its error too, which is the source of ours.
        let text = format!("{source}");
        let source = if text.contains(is_control) {
            serde_json::Error::custom(escaped(Abbreviated::to(LONGEST_MESSAGE, &text)))
        } else {
            source
        };
        FileError::Json { part: part.clone(), source }.into()
    }
}

impl EntryFault {
    #[cold]
    pub(super) fn of(self, entry: &str) -> Error {
        FileError::Entry { entry: entry.to_owned(), fault: self }.into()
    }

    /// Says of a content, such as a parameter, that it is not what the caller asks for.
    #[cold]
    pub(super) fn of_content(self, what: &'static str, name: &str) -> Error {
        FileError::Content { what, name: name.to_owned(), fault: self }.into()
    }

    /// Returns the shape that the file claims, if it is at fault.
    fn shape(&self) -> Option<&[usize]> {
        match self {
            EntryFault::Size { shape, .. }
            | EntryFault::Axes { shape, .. }
            | EntryFault::Unwritable { shape } => Some(shape),
            _ => None,
        }
    }
}
