//! Atomic replacement of a file, and its previous generation.

use alloc::borrow::ToOwned;
use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Seek},
    path::{Path, PathBuf},
};

use tempfile::TempPath;

use super::{error::FileError, read, regular, temporary};
use crate::error::Error;

/// The treatment of the file that is replaced.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Previous {
    Drop,
    /// Keep it under its name with `.prev` appended.
    Keep,
}

/// The most times that a file is written anew because another process has removed the temporary one. A
/// process does this only when it first saves to a path, so this many processes may begin at once.
const ATTEMPTS: usize = 16;

/// Replaces the file at `path` by the bytes that `write` writes.
///
/// The new file is written and synced under a temporary name in the same folder and then renamed.
/// Renaming is atomic, so that a crash at any moment leaves the whole old file or the whole new one.
pub(super) fn replace(
    path: &Path,
    previous: Previous,
    write: impl Fn(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    let fault = |path: &Path, source| FileError::io("write", path, source);
    let of_path = |source| fault(path, source);
    let target = regular::follow(path).map_err(of_path)?;
    let old = regular::look(&target).map_err(of_path)?;
    temporary::sweep(&target);

    let named = with_suffix(path);
    let kept = match previous {
        Previous::Keep => {
            let of_previous = |source| fault(&named, source);
            let kept = regular::follow(&named).map_err(of_previous)?;
            regular::look(&kept).map_err(of_previous)?;
            Some(kept)
        }
        Previous::Drop => None,
    };
    temporary::sweep(kept.as_deref().unwrap_or(&with_suffix(&target)));

    let mut attempts = 1..ATTEMPTS;
    let second = loop {
        match renew(&target, old.as_ref(), kept.as_deref(), &write) {
            Err(error) if error.kind() == ErrorKind::NotFound && attempts.next().is_some() => {}
            result => break result.map_err(of_path)?,
        }
    };
    if let (Some(second), Some(kept)) = (second, &kept) {
        keep(second, kept).map_err(|source| fault(&named, source))?;
    }
    sync_folder(regular::folder(&target)).map_err(of_path)?;
    let other = kept.as_deref().and_then(|kept| other_folder(kept, &target));
    other.map_or(Ok(()), sync_folder).map_err(|source| fault(&named, source))
}

/// Writes the new file and renames it to `target`. Returns a temporary name of the old file, if that
/// is to be kept under the name `kept`.
fn renew(
    target: &Path,
    old: Option<&Metadata>,
    kept: Option<&Path>,
    write: impl Fn(&mut File) -> io::Result<()>,
) -> io::Result<Option<TempPath>> {
    let mut new = temporary::create(target, old)?;
    write(new.as_file_mut())?;
    new.as_file().sync_all()?;
    let second = kept.map_or(Ok(None), |kept| second_name(target, kept))?;
    new.persist(target).map_err(|error| error.error)?;
    Ok(second)
}

/// Gives a whole file at `target` a temporary name beside `kept`. Returns `None` if there is no file,
/// or none to go back to: a damaged one must not take the place of a whole one.
fn second_name(target: &Path, kept: &Path) -> io::Result<Option<TempPath>> {
    let Ok((mut file, metadata)) = regular::open(target) else { return Ok(None) };
    if !read::is_whole(&file, &metadata, target) {
        return Ok(None);
    }
    if let Ok(link) = temporary::link(target, kept) {
        return Ok(Some(link));
    }
    // Not every file system has hard links, and none has them between two of them.
    let mut copy = temporary::create(kept, Some(&metadata))?;
    file.rewind()?;
    io::copy(&mut file, copy.as_file_mut())?;
    copy.as_file().sync_all()?;
    Ok(Some(copy.into_temp_path()))
}

/// Renames the old file to its lasting name.
fn keep(second: TempPath, kept: &Path) -> io::Result<()> {
    let name = second.to_path_buf();
    match second.persist(kept).map_err(|error| error.error) {
        // Another process, which saves to this path too, has just removed the temporary name.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        result => result?,
    }
    // Where both are names of one file already, renaming does nothing, and the temporary name is left.
    _ = fs::remove_file(name);
    Ok(())
}

/// The path of the previous generation.
fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".prev");
    name.into()
}

/// Returns the folder of a file, if it is not that of `target`.
fn other_folder<'a>(file: &'a Path, target: &Path) -> Option<&'a Path> {
    Some(regular::folder(file)).filter(|&folder| folder != regular::folder(target))
}

/// Syncs a folder, so that a new name in it survives a power failure. A folder that may be written
/// but not read cannot be synced.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
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
        path::Path,
    };

    use ndarray::Array1;

    use super::{Previous, keep, other_folder, replace, temporary};
    use crate::{Adamax, Checkpoint, Optimizer};

    type Tested = Result<(), Box<dyn Error>>;

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
    fn an_error_at_any_byte_leaves_the_old_file_and_nothing_else() -> Tested {
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
                let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
                let kind = source.map(io::Error::kind);
                assert_eq!(kind, Some(ErrorKind::StorageFull), "after {room} bytes");
                assert_eq!(fs::read(&path)?, b"old", "after {room} bytes");
                assert_eq!(fs::read_dir(&folder)?.count(), 1, "after {room} bytes");
            }
        }
        write(Previous::Drop, expected.len())?;
        assert_eq!(fs::read(&path)?, expected);
        Ok(())
    }

    /// Another process, which saves to this path for the first time, has removed the temporary name.
    #[test]
    fn a_temporary_name_that_is_gone_is_no_error() -> Tested {
        let folder = tempfile::tempdir()?;
        let kept = folder.path().join("run.prev");
        fs::write(&kept, "older")?;
        let second = temporary::create(&kept, None)?.into_temp_path();
        fs::remove_file(&second)?;
        keep(second, &kept)?;
        assert_eq!(fs::read(&kept)?, b"older");
        Ok(())
    }

    #[test]
    fn an_old_file_that_cannot_be_kept_is_an_error() -> Tested {
        let folder = tempfile::tempdir()?;
        let kept = folder.path().join("run.prev");
        fs::create_dir(&kept)?;
        let second = temporary::create(&kept, None)?.into_temp_path();
        assert!(keep(second, &kept).is_err());
        assert_eq!(fs::read_dir(&folder)?.count(), 1, "the temporary name is left");
        Ok(())
    }

    #[test]
    fn the_folder_of_the_previous_file_is_synced_if_it_is_another() {
        let other = |kept, target| other_folder(Path::new(kept), Path::new(target));
        assert_eq!(other("runs/7.prev", "runs/7"), None);
        assert_eq!(other("7.prev", "7"), None);
        assert_eq!(other("old/7", "runs/7"), Some(Path::new("old")));
        assert_eq!(other("7", "runs/7"), Some(Path::new(".")));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_gone_cannot_be_synced() -> Tested {
        let folder = tempfile::tempdir()?;
        super::sync_folder(folder.path())?;
        let error = super::sync_folder(&folder.path().join("gone")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        Ok(())
    }
}
