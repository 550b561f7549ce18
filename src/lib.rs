#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

// Arrows point down: a module uses only modules below it.
mod error;
mod finite;
mod kernel;
mod lanes;
mod real;
mod rule;
mod state;
mod step;
mod tensor;
mod textbook;
mod walk;

pub use error::{Error, ErrorKind};
pub use ndarray;
pub use real::Real;
pub use rule::{
    Adamax, AdamaxBuilder, BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay,
};
pub use state::State;
pub use step::Outcome;
pub use textbook::{Operand, adamax_step};
