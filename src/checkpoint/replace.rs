//! Atomic replacement of a file.

use alloc::borrow::ToOwned;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

/// The treatment of the file that is replaced.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Previous {
    Drop,
    /// Keep it under the name that [`previous`] returns.
    Keep,
}

/// Replaces the file at `path` by the bytes that `write` writes.
///
/// The new file is written and synced under a temporary name in the same folder and then renamed.
/// Renaming is atomic, so that a crash at any moment leaves the whole old file or the whole new one.
pub(super) fn replace(
    path: &Path,
    previous: Previous,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let prefix = temporary_prefix(path)?;
    remove_leftovers(folder, &prefix)?;
    let mut new = create(folder, &prefix)?;
    write(new.as_file_mut())?;
    new.as_file().sync_all()?;
    if previous == Previous::Keep {
        keep(path)?;
    }
    new.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

const TEMPORARY_SUFFIX: &str = ".tmp";

/// The start of the names of temporary files for `path`.
fn temporary_prefix(path: &Path) -> io::Result<OsString> {
    let name = path.file_name().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    Ok(prefix)
}

/// Removes the temporary files of killed writers, which would fill the disk in time.
fn remove_leftovers(folder: &Path, prefix: &OsString) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(prefix.as_encoded_bytes())
            && bytes.ends_with(TEMPORARY_SUFFIX.as_bytes())
        {
            remove_if_there(&folder.join(name))?;
        }
    }
    Ok(())
}

fn create(folder: &Path, prefix: &OsString) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(prefix).suffix(TEMPORARY_SUFFIX);
    // The permissions of any new file; those of tempfile are for the owner only.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Gives the file a second name. Renaming it would leave no file at `path` for a moment.
fn keep(path: &Path) -> io::Result<()> {
    let previous = previous(path);
    remove_if_there(&previous)?;
    ignore_absence(fs::hard_link(path, previous))
}

/// The path of the previous generation.
fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".prev");
    name.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    ignore_absence(fs::remove_file(path))
}

fn ignore_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Syncs a folder, so that a new name in it survives a power failure.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Does nothing: other systems cannot open a folder as a file.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use std::{
        error::Error,
        fs,
        io::{self, ErrorKind, Write},
    };

    use ndarray::Array1;

    use super::{Previous, replace};
    use crate::{Adamax, Checkpoint, Optimizer};

    /// Accepts `room` bytes and then fails.
    struct Faulty<W> {
        out: W,
        room: usize,
    }

    impl<W: Write> Write for Faulty<W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            let (fitting, _) = bytes.split_at(bytes.len().min(self.room));
            let written = self.out.write(fitting)?;
            self.room -= written;
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.out.flush()
        }
    }

    #[test]
    fn an_error_at_any_byte_leaves_the_old_file_and_nothing_else() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.safetensors");
        fs::write(&path, "old")?;
        let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
        // More than the buffer of the writer holds, so that several writes happen.
        checkpoint.add_parameter("values", &Array1::<f64>::zeros(1050))?;
        let (file, expected) = (checkpoint.writable()?, checkpoint.to_bytes()?);
        let write =
            |previous, room| replace(&path, previous, |out| file.write_to(Faulty { out, room }));
        for room in 0..expected.len() {
            for previous in [Previous::Drop, Previous::Keep] {
                let error = write(previous, room).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StorageFull, "after {room} bytes");
                assert_eq!(fs::read(&path)?, b"old", "after {room} bytes");
                assert_eq!(fs::read_dir(&folder)?.count(), 1, "after {room} bytes");
            }
        }
        write(Previous::Drop, expected.len())?;
        assert_eq!(fs::read(&path)?, expected);
        Ok(())
    }
}
