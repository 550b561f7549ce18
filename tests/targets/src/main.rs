//! The checks that need no operating system and no `std`, as a program: for WebAssembly, for a processor of
//! a device, or for this computer.

#![cfg_attr(any(target_os = "none", target_os = "unknown"), no_std, no_main)]

// The files that are shared with other tests say `std`. Here, they use what `alloc` has.
#[cfg(any(target_os = "none", target_os = "unknown"))]
extern crate alloc as std;

#[cfg(any(target_os = "none", target_os = "unknown"))]
mod bare;

/// The files of `tests/common` that need no `std`.
#[path = "../../common"]
#[allow(dead_code)] // each test uses only a part
mod common {
    pub(crate) mod bits;
    pub(crate) mod float;
    pub(crate) mod layout;
    pub(crate) mod pinned;
    pub(crate) mod rules;

    pub(crate) use bits::Bits;
    pub(crate) use float::Float;
    pub(crate) use layout::Layout;
}

#[cfg(not(any(target_os = "none", target_os = "unknown")))]
fn main() {
    println!("{}", run());
}

/// Runs all checks, and returns what is to be said. Panics with a message if one fails.
fn run() -> std::string::String {
    match common::pinned::check() {
        Ok(results) => std::format!("{results} results have their bits"),
        Err(error) => panic!("{error}"),
    }
}
