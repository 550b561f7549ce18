//! Temporary files beside a file, and those that killed writers have left there.
//!
//! Their names are `.NAME.XXXXXX.tmp` with six random letters, so that those of one file are never
//! taken for those of another.

use alloc::{borrow::ToOwned, collections::BTreeMap, format, vec::Vec};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io::{self, ErrorKind},
    path::{self, Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::{Builder, NamedTempFile, TempPath};

use super::{access, regular};

/// The number of random letters.
const RANDOM: usize = 6;
const SUFFIX: &str = ".tmp";
/// The longest name that file systems take, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest name that stands whole in the name of its temporary file: two dots are added.
const LONGEST_WHOLE: usize = LONGEST_NAME - RANDOM - SUFFIX.len() - 2;

/// Creates a temporary file for `path`. It gets owner and mode of `old`, which it is to replace.
pub(super) fn create(path: &Path, old: Option<&Metadata>) -> io::Result<NamedTempFile> {
    let prefix = prefix(path)?;
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    access::begin(&mut builder, old);
    let file = builder.tempfile_in(regular::folder(path))?;
    if let Some(old) = old {
        access::take_over(file.as_file(), old);
    }
    Ok(file)
}

/// Gives `file` a second, temporary name beside `path`.
pub(super) fn link(file: &Path, path: &Path) -> io::Result<TempPath> {
    let prefix = prefix(path)?;
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    let linked = builder.make_in(regular::folder(path), |name| fs::hard_link(file, name))?;
    Ok(linked.into_temp_path())
}

/// Returns the start of the names of temporary files for `path`.
fn prefix(path: &Path) -> io::Result<OsString> {
    let name = path.file_name().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    let mut prefix = OsString::from(".");
    if name.len() <= LONGEST_WHOLE {
        prefix.push(name);
    } else {
        prefix.push(shortened(name));
    }
    prefix.push(".");
    Ok(prefix)
}

/// Shortens a long name. A checksum keeps names apart that begin alike.
fn shortened(name: &OsStr) -> OsString {
    let sum = format!("~{:08x}", crc32fast::hash(name.as_encoded_bytes()));
    let text = name.to_string_lossy();
    let mut ends = (0..=LONGEST_WHOLE - sum.len()).rev();
    let start = ends.find_map(|end| text.get(..end)).unwrap_or_default();
    format!("{start}{sum}").into()
}

/// Names of temporary files, by folder.
type Folders = BTreeMap<PathBuf, Vec<OsString>>;

/// The temporary files that were there when this process first wrote to a folder. Listing a folder
/// again for every file would be slow, since folders of runs may hold many files.
static LEFT: Mutex<Folders> = Mutex::new(Folders::new());
/// The most folders that are remembered.
const MOST_FOLDERS: usize = 64;

/// Removes the temporary files for `path` that killed writers have left, which would fill the disk in
/// time. If one cannot be removed, it stays: saving must not fail for this reason.
pub(super) fn sweep(path: &Path) {
    let Ok(prefix) = prefix(path) else { return };
    let folder = regular::folder(path);
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left_in(folder, &mut left).retain(|name| {
        let ours = is_temporary(name, &prefix);
        if ours {
            _ = fs::remove_file(folder.join(name));
        }
        !ours
    });
}

/// Returns the temporary files in a folder, which is listed if `left` does not remember it.
fn left_in<'a>(folder: &Path, left: &'a mut Folders) -> &'a mut Vec<OsString> {
    let key = path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    if left.len() == MOST_FOLDERS && !left.contains_key(&key) {
        left.clear();
    }
    left.entry(key).or_insert_with(|| list(folder))
}

/// Lists what looks like a temporary file. A folder that cannot be read has none.
fn list(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.retain(|name| {
        let name = name.as_encoded_bytes();
        name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes())
    });
    names.shrink_to_fit();
    names
}

fn is_temporary(name: &OsStr, prefix: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let random = name
        .strip_prefix(prefix.as_encoded_bytes())
        .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    random.is_some_and(|random| {
        random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, format};
    use std::{error::Error, ffi::OsStr, fs};

    use super::{Folders, LONGEST_WHOLE, MOST_FOLDERS, left_in, list, shortened};

    type Tested = Result<(), Box<dyn Error>>;

    #[test]
    fn only_what_looks_like_a_temporary_file_is_listed() -> Tested {
        let folder = tempfile::tempdir()?;
        for name in [".run.AbCdEf.tmp", ".hidden", "other.tmp", "run"] {
            fs::write(folder.path().join(name), "")?;
        }
        assert_eq!(list(folder.path()), [".run.AbCdEf.tmp"]);
        Ok(())
    }

    #[test]
    fn a_full_memory_of_folders_is_emptied_for_a_new_one_only() -> Tested {
        let parent = tempfile::tempdir()?;
        let mut left = Folders::new();
        let mut remembered = |number: usize| {
            left_in(&parent.path().join(format!("{number}")), &mut left);
            left.len()
        };
        for number in 0..MOST_FOLDERS {
            assert_eq!(remembered(number), number + 1);
        }
        for number in 0..MOST_FOLDERS {
            assert_eq!(remembered(number), MOST_FOLDERS, "{number} is remembered");
        }
        assert_eq!(remembered(MOST_FOLDERS), 1);
        Ok(())
    }

    #[test]
    fn a_long_name_is_cut_after_the_last_letter_that_fits() {
        for letter in ["x", "é", "€", "🦀"] {
            let name = letter.repeat(LONGEST_WHOLE);
            let sum = format!("~{:08x}", crc32fast::hash(name.as_bytes()));
            let letters = (LONGEST_WHOLE - sum.len()) / letter.len();
            let expected = format!("{}{sum}", letter.repeat(letters));
            assert_eq!(shortened(OsStr::new(&name)), OsStr::new(&expected));
        }
    }
}
