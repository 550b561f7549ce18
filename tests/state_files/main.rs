//! State files: exact bits, crashes, exchange with `PyTorch`, damaged and hostile files.

#![cfg(feature = "safetensors")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/counting.rs"]
mod counting;

mod crash;
mod exact;
mod exchange;
#[cfg(target_os = "linux")]
mod file_systems;
mod fuzzed;
mod hostile;
mod memory;
mod model;
mod places;
#[cfg(target_os = "linux")]
#[path = "../common/restricted.rs"]
mod restricted;
mod rewritten;
mod rows;
mod sample;
mod whole_run;
