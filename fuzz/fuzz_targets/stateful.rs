//! Reads arbitrary bytes as operations of an optimizer, and compares each with a naive model. Nothing may
//! panic, hang, or differ in a bit: see `tests/stateful`. Counts what has happened, and shows it after each
//! million of operations.
//!
//! ```text
//! cargo +nightly fuzz run stateful -- -max_len=4096 -timeout=60
//! ```

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/common"]
#[allow(dead_code)] // only a part is needed here
mod common {
    pub(crate) mod bits;
    pub(crate) mod float;
    pub(crate) mod layout;
    pub(crate) mod oracle;

    pub(crate) use bits::assert_same;
    pub(crate) use float::Float;
    pub(crate) use layout::Layout;
}
#[path = "../../tests/stateful/mod.rs"]
#[allow(dead_code)]
mod stateful;

/// Operations between two displays of the counts.
const DISPLAY: u64 = 1_000_000;

thread_local! {
    static COUNTS: RefCell<stateful::counts::Counts> = RefCell::default();
}

fuzz_target!(|input: &[u8]| {
    COUNTS.with_borrow_mut(|counts| {
        let before = counts.total();
        stateful::run(input, counts);
        if counts.total() / DISPLAY > before / DISPLAY {
            eprintln!("{counts}");
        }
    });
});
