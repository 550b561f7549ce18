//! What the arrays in a file are called.

use alloc::{format, string::String};

/// The parts that an array can play; each is a folder of names.
pub(super) const PARAMETER: &str = "parameter/";
pub(super) const FIRST_MOMENT: &str = "first_moment/";
pub(super) const INF_NORM: &str = "inf_norm/";
/// One number, the last of the file: the CRC-32 of all bytes before it.
pub(super) const CHECKSUM: &str = "checksum";

pub(super) fn entry(part: &str, name: &str) -> String {
    format!("{part}{name}")
}
