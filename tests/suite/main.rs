//! The tests that need no process of their own, in one binary: the kernels are compiled once for all of
//! them. `cargo test --test suite oracle::` runs one file.

#[path = "../common/mod.rs"]
mod common;
#[path = "../stateful/mod.rs"]
mod stateful;

mod architecture;
mod atomicity;
mod autotraits;
mod average;
mod bounds;
mod clip;
mod contract;
mod docs;
mod equivalence;
mod errors;
mod exact;
mod examples;
mod golden;
mod gradient_check;
mod layouts;
mod model;
mod norms;
mod optimizer;
mod oracle;
mod paper;
mod parts;
mod peers;
mod plateau;
mod processes;
mod properties;
mod rows;
mod schedule;
mod sequences;
mod snapshot;
mod stop;
mod surgery;
mod value_stability;
mod views;
