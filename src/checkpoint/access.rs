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
        mode &= 0o707 | (mode & 0o007) << 3;
    }
    _ = new.set_permissions(PermissionsExt::from_mode(mode));
}

#[cfg(not(unix))]
pub(super) fn begin(_builder: &mut Builder<'_, '_>, _old: Option<&Metadata>) {}

#[cfg(not(unix))]
pub(super) fn take_over(_new: &File, _old: &Metadata) {}
