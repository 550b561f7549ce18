//! The Adamax optimizer for several processes: gradients are summed and moments divided over the ranks of
//! an MPI job, with the bits of one process.
//!
//! [`ShardedOptimizer`] has the verbs of [`adamax::Optimizer`]: register, bind, step, report, snapshot,
//! save, restore. Its [`Transport`] is MPI (`MpiTransport`, feature `mpi`), or the threads of one process
//! ([`Threads`]).
//!
//! # Guarantees
//! - **The bits of one process.** Given the summed gradients, parameters, moments, reports and state files
//!   are those of [`adamax::Optimizer`], for every number of ranks and every memory layout.
//! - **Sums in a fixed order.** Gradients are added in the order of the ranks, whatever the MPI library
//!   does; or in a tree, which can give the same bits on 1, 2, 4, … ranks ([`Reduction`]).
//! - **All or nothing, on all ranks.** Before anything is written, the ranks agree: on the tensors, their
//!   shapes, the settings, and the gradients. An error on one rank is an error on all. It names the rank
//!   and the tensor, and nothing has changed anywhere.
//! - **No rank waits** for one that has refused.
//! - **Memory**: the moments of n/N parameters on each of N ranks, and of 512 more per tensor at most.
//! - **No panic** and no `unsafe` code in this crate. (The MPI library is reached by way of `ferrompi`.)
//!
//! # Features
//! - `mpi` (default): `MpiTransport` and `MpiJob`. Building needs an MPI library, such as Open MPI.
//!
//! The README has the commands to install MPI, and to build and run a first program.
//!
//! # Examples
//! See [`ShardedOptimizer`], and the example `first_step`.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod agreement;
mod element;
mod error;
mod exchange;
mod optimizer;
mod plan;
mod runs;
mod slot;
mod snapshot;
mod step;
mod sum;
mod transport;
mod words;

pub use adamax;
pub use element::Element;
pub use error::Error;
pub use optimizer::ShardedOptimizer;
pub use slot::{ShardedBound, ShardedSlot};
pub use sum::{Combination, Reduction, sum_in_tree};
#[cfg(feature = "mpi")]
pub use transport::mpi::{MpiJob, MpiTransport};
pub use transport::{Numbers, NumbersMut, Transport, TransportError, threads::Threads};
