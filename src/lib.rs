//! The Adamax optimizer for [`ndarray`]: the variant of Adam that uses the infinity norm. It
//! updates single arrays or all tensors of a model, of any shape and memory layout.
//!
#![cfg_attr(doc, doc = include_str!("doc/formula.html"))]
//!
//! <details><summary>As text</summary>
//!
//! ```text
//! m ← β₁·m + (1 − β₁)·g                    first moment
//! u ← max(β₂·u, |g|)                       infinity norm
//! x ← x − α / (1 − β₁ᵗ) · m / (u + ε)      parameter
//! ```
//!
//! </details>
//!
//! Kingma & Ba, *Adam: A Method for Stochastic Optimization*, §7.1 and Algorithm 2,
//! <https://arxiv.org/abs/1412.6980>, and the variants of PyTorch, Keras, optax, Paddle and MLX.
//!
//! # Three layers
//! 1. [`adamax_step`]: one textbook step of a number or an owned array.
//! 2. [`Adamax`], a validated set of hyperparameters, and [`State`], the moments and the step count
//!    of one tensor. [`Adamax::step`] updates an array in place.
//! 3. [`Optimizer`]: many tensors in groups, updated together, all or none.
//!
//! ```
//! use adamax::{Adamax, State};
//! use ndarray::array;
//!
//! let rule = Adamax::new(0.1)?;                       // the learning rate
//! let mut x = array![[3.0_f64, -2.0], [1.0, 0.5]];
//! let mut state = State::zeros_like(&x);
//! for _ in 0..100 {
//!     let gradient = &x * 2.0;                        // of Σ x²
//!     rule.step(&mut state, &mut x, &gradient)?;
//! }
//! assert!(x.iter().all(|x| x.abs() < 0.2));
//! # Ok::<(), adamax::Error>(())
//! ```
//! # Around a step
//! - [`schedule`]: learning rates that change during a run.
//! - [`MaxNorm`]: a bound on the norm of the gradients. [`AdamaxBuilder::clip_value`]: a bound on each
//!   entry.
//! - [`AdamaxBuilder::bounds`]: bounds that parameters keep.
//! - [`Report`]: what a step did: norms, the clip factor, the largest step.
//! - [`Stop`]: the end of a run: a patience with a loss, and tolerances of steps and gradients.
//! - [`Average`]: an average of the parameters over the steps, with a decay or with equal weights.
//! - [`Snapshot`]: the state of an optimizer as plain data, without the parameters.
//! - [`Checkpoint`] (feature `safetensors`): a whole run in one file: optimizer, parameters, averages, step
//!   number, and values of your own. A crash cannot leave it half written.
//! - [`Optimizer::check`] and [`Findings`]: a step that several processes take together, or none of
//!   them. Each may hold a [`Part`] of a tensor.
//! - [`check_gradient`]: a comparison of a gradient with central differences.
//!
//! # Further reading
//! - [`recipes`]: small programs for common tasks.
//! - [`pytorch`] (feature `safetensors`): exchange of runs with PyTorch, both ways.
//! - [`guide`]: choice of a variant; coming from PyTorch, Keras, optax or argmin; help if the loss
//!   is NaN, if nothing moves, or if the program does not compile or is slow.
//!
//! # Guarantees
//! - **All or nothing.** After an error or a skipped step, the parameters, moments and step
//!   counters of all tensors are unchanged, bit for bit.
//! - **Same bits** for every memory layout, number of threads, instruction set and processor. The tests run on
//!   x86-64, under QEMU on s390x, and without `std` as WebAssembly and as code for a Cortex-M4F.
//! - **No panic** and no `unsafe` code.
//! - **Allocation.** None in a step of arrays of at most 4 axes, in any layout. None for more axes either,
//!   if the arrays have no gaps and one memory order, and the dimension is static or the order is
//!   row-major. Binding a view with gaps to a [`Slot`] takes one box.
//! - **Memory**: two numbers per parameter, and about 8 KB per tensor at most.
//!
//! # Features
//! Each feature only adds items.
//!
//! | feature | adds |
//! |---|---|
//! | `std` (default) | selection of SIMD instructions at run time; without it the crate is `no_std` with `alloc` |
//! | `rayon` | `par_step`, parallel steps on the caller's thread pool |
//! | `serde` | serialisation of rules, states, snapshots, schedules, averages and [`Stop`], validated when read back |
//! | `safetensors` | [`Checkpoint`]: state files |
//! | `argmin` | `argmin::AdamaxSolver`: a solver for the argmin framework; needs Rust 1.87 |
//!
//! A program with `use adamax::*` and the feature `argmin` must write `::argmin` for the framework: the
//! module `argmin` has the same name.
//!
//! Before you save anything as JSON, read [Documents of serde](guide#documents-of-serde).
//!
#![cfg_attr(not(feature = "safetensors"), doc = "[`Checkpoint`]: #features")]
#![cfg_attr(not(feature = "safetensors"), doc = "[`pytorch`]: #features")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(not(feature = "rayon"), allow(dead_code))] // the code that splits work for threads
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

// DESIGN.md lists the files from top to bottom. A file uses only files below it.
#[cfg(feature = "argmin")]
pub mod argmin;
mod average;
mod averages;
#[cfg(feature = "safetensors")]
mod checkpoint;
mod doc;
mod error;
mod gradient_check;
mod layout;
#[cfg(feature = "serde")]
mod list;
mod optimizer;
mod par;
mod real;
mod reduce;
mod rule;
pub mod schedule;
#[cfg(feature = "serde")]
mod serde;
mod simd;
mod state;
mod step;
mod stop;
mod tensors;
mod update;

pub use average::{Average, BoundAverage};
pub use averages::Averages;
#[cfg(feature = "safetensors")]
pub use checkpoint::Checkpoint;
#[cfg(feature = "safetensors")]
pub use doc::pytorch;
pub use doc::{guide, recipes};
pub use error::{Error, ErrorKind};
pub use gradient_check::GradientCheck;
// A re-export loses the aliases of its item.
#[doc(alias("gradcheck", "check_grad"))]
pub use gradient_check::check_gradient;
pub use ndarray;
#[doc(alias("coalesce", "unsorted_segment_sum", "IndexedSlices", "scatter_add"))]
pub use optimizer::rows::sum_rows;
pub use optimizer::{
    Optimizer,
    batch::Checked,
    findings::Findings,
    max_norm::MaxNorm,
    model::Slots,
    rows::RowSlot,
    slot::{Bound, Group, Slot},
    snapshot::{Snapshot, Unmatched},
};
pub use real::Real;
pub use reduce::part::Part;
pub use rule::{
    Adamax, AdamaxBuilder, BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay,
};
pub use state::State;
pub use step::{
    Outcome,
    functional::{Operand, adamax_step},
    report::Report,
};
pub use stop::{Stop, StopBuilder, StopReason, StopVerdict};
pub use tensors::visit::{Tensors, Visitor, VisitorMut};

/// Runs the programs in README.md as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
