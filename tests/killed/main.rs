//! Writers that are killed at each of their system calls, whatever stands at the two paths before.
//!
//! strace counts the calls of a program and kills it when it begins a certain one. This program is both
//! the writer and the test. It has its own `main`, because a writer with one thread makes the same calls
//! in every run. Without strace, and on other systems than Linux, the test does nothing and says so.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
#[path = "../common/restricted.rs"]
mod restricted;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("skipped: there is no strace on this system");
    ExitCode::SUCCESS
}
