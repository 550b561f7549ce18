#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

// Who may use whom is in DESIGN.md: arrows point down only.
#[cfg(feature = "argmin")]
pub mod argmin;
mod average;
mod clip;
mod decay;
mod error;
mod finite;
mod fork;
mod gradient_check;
mod kernel;
mod lanes;
mod optimizer;
mod pair;
mod plane;
mod real;
pub mod recipes;
mod rule;
pub mod schedule;
#[cfg(feature = "serde")]
mod serial;
mod snapshot;
mod state;
mod step;
mod textbook;
mod walk;

pub use average::{Average, BoundAverage};
pub use clip::MaxNorm;
pub use error::{Error, ErrorKind};
pub use gradient_check::{GradientCheck, check_gradient};
pub use ndarray;
pub use optimizer::{Bound, Group, Optimizer, Slot};
pub use real::Real;
pub use rule::{
    Adamax, AdamaxBuilder, BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay,
};
pub use snapshot::Snapshot;
pub use state::State;
pub use step::Outcome;
pub use textbook::{Operand, adamax_step};
