//! The names of arrays in a file.

use alloc::{format, string::String};

// Each kind of array has a prefix; the name of the tensor follows.
pub(super) const AVERAGE: &str = "average/";
pub(super) const PARAMETER: &str = "parameter/";
pub(super) const FIRST_MOMENT: &str = "first_moment/";
pub(super) const INF_NORM: &str = "inf_norm/";
pub(super) const ROW_STEPS: &str = "row_steps/";
/// The CRC-32 of all bytes before it, which is the last number of the file.
pub(super) const CHECKSUM: &str = "checksum";

pub(super) fn entry(part: &str, name: &str) -> String {
    format!("{part}{name}")
}
