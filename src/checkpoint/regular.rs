//! Regular files. A state file is one; a folder, a FIFO or a device is refused.

use alloc::borrow::ToOwned;
use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// The most symbolic links that are followed, as on Linux.
const MOST_LINKS: usize = 40;

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Before the file is opened: opening a FIFO waits until somebody writes to it.
    check(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    // After it is opened: something else may stand there by now.
    let metadata = file.metadata()?;
    check(&metadata)?;
    Ok((file, metadata))
}

/// Returns what is known about the file at a path, or `None` if there is none.
pub(super) fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => check(&metadata).map(|()| Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else if metadata.is_dir() {
        Err(ErrorKind::IsADirectory.into())
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Follows symbolic links to the place that they lead to, where a file need not be.
pub(super) fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder(&path).join(target),
            // It is no link. Any other fault shows when somebody looks at the file.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "too many symbolic links"))
}

/// Returns the folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
