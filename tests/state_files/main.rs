//! State files: exact bits, crashes, exchange with `PyTorch`, damaged and hostile files.

#![cfg(feature = "safetensors")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/counting.rs"]
mod counting;

mod crash;
mod exact;
mod exchange;
mod fuzzed;
mod hostile;
mod memory;
mod model;
mod places;
mod rows;
mod sample;
mod whole_run;
