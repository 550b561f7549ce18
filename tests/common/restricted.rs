//! Programs that root runs without its rights.

use std::{ffi::OsStr, process::Command};

/// Returns a command without the rights of root over files, and without those that it passes on.
pub(crate) fn restricted(program: impl AsRef<OsStr>) -> Command {
    let rights = "-dac_override,-dac_read_search,-chown,-fowner";
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", rights, "--inh-caps", rights]).arg(program);
    command
}

/// Returns true if this user and this system can start a program in this way. It is asked for a list.
pub(crate) fn can_restrict(program: impl AsRef<OsStr>) -> bool {
    let output = restricted(program).arg("--list").output();
    output.is_ok_and(|output| output.status.success())
}
