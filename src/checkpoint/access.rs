//! Owner and mode of a file that replaces another.

use std::fs::{File, Metadata};

use tempfile::Builder;

/// The permission bits of a mode.
#[cfg(unix)]
const PERMISSIONS: u32 = 0o777;

/// Sets the mode with which a file is created: that of any new file, or less than that of the file
/// that it replaces. Those of `tempfile` are for the owner only.
#[cfg(unix)]
pub(super) fn begin(builder: &mut Builder<'_, '_>, old: Option<&Metadata>) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = old.map_or(0o666, |old| old.mode() & 0o700);
    builder.permissions(PermissionsExt::from_mode(mode));
}

/// Gives a file the owner, group and mode of the one that it replaces, as far as the system lets us.
///
/// It is never more public than the old one: if it cannot have the old group, its own group may do
/// only what everybody may do.
#[cfg(unix)]
pub(super) fn take_over(new: &File, old: &Metadata) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let owned_by = |file: &File| file.metadata().map(|found| (found.uid(), found.gid()));
    if owned_by(new).is_ok_and(|found| found != (old.uid(), old.gid())) {
        // Only root may give files away; others may still change the group.
        let all = fchown(new, Some(old.uid()), Some(old.gid()));
        _ = all.or_else(|_| fchown(new, None, Some(old.gid())));
    }
    let mut mode = old.mode() & PERMISSIONS;
    if owned_by(new).is_ok_and(|(_, group)| group != old.gid()) {
        mode = in_another_group(mode);
    }
    _ = new.set_permissions(PermissionsExt::from_mode(mode));
}

/// Returns the mode without the rights of the group that others do not have.
#[cfg(unix)]
fn in_another_group(mode: u32) -> u32 {
    mode & !((!mode & 0o007) << 3)
}

#[cfg(not(unix))]
pub(super) fn begin(_builder: &mut Builder<'_, '_>, _old: Option<&Metadata>) {}

#[cfg(not(unix))]
pub(super) fn take_over(_new: &File, _old: &Metadata) {}

#[cfg(all(test, unix))]
mod tests {
    use alloc::boxed::Box;
    use std::{
        error::Error,
        fs::{self, File},
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use tempfile::Builder;

    use super::{PERMISSIONS, begin, in_another_group};

    /// As long as it is written, only the owner may read it.
    #[test]
    fn a_file_that_replaces_another_begins_with_the_rights_of_the_owner()
    -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let old = File::create(folder.path().join("old"))?;
        for (mode, expected) in [(0o640, 0o600), (0o777, 0o700), (0o466, 0o400), (0o077, 0)] {
            old.set_permissions(fs::Permissions::from_mode(mode))?;
            let mut builder = Builder::new();
            begin(&mut builder, Some(&old.metadata()?));
            let new = builder.tempfile_in(&folder)?.as_file().metadata()?;
            assert_eq!(new.mode() & PERMISSIONS, expected, "{mode:o}");
        }
        Ok(())
    }

    #[test]
    fn another_group_may_do_what_everybody_may_do() {
        for (mode, expected) in [(0o660, 0o600), (0o664, 0o644), (0o777, 0o777), (0o705, 0o705)] {
            assert_eq!(in_another_group(mode), expected, "{mode:o}");
        }
        for mode in 0..=PERMISSIONS {
            let [owner, group, everybody] = [6, 3, 0].map(|place| mode >> place & 0o7);
            let expected = owner << 6 | (group & everybody) << 3 | everybody;
            assert_eq!(in_another_group(mode), expected, "{mode:o}");
        }
    }
}
