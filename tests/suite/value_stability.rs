//! Pinned bits: see `tests/common/pinned.rs`, whose checks `tests/targets` runs, too.

use crate::common::pinned;
use adamax::Error;

#[test]
fn no_bit_has_changed() -> Result<(), Error> {
    pinned::check().map(|_| ())
}
