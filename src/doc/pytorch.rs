//! Exchange of runs with PyTorch: start there and go on here, or the other way round.
//!
//! - [From PyTorch](#from-pytorch)
//! - [To PyTorch](#to-pytorch)
//! - [What is carried over](#what-is-carried-over)
//! - [Rows](#rows)
//! - [Schedules](#schedules)
//! - [Errors](#errors)
//! - [The Python file](#the-python-file)
//!
//! The Python side is one file, `python/adamax_torch.py` in the source of this crate, and
//! [below](#the-python-file). It needs PyTorch and the package `safetensors`, and has two functions:
//! `save` writes the parameters of a model and the state of its `torch.optim.Adamax`, `load` reads
//! them. The files are those of [`Checkpoint`]. The tests exchange runs both ways, with PyTorch 2.15.0:
//! each program goes on to the numbers of the other, up to rounding.
//!
//! # From PyTorch
//! ```python
//! import adamax_torch
//!
//! adamax_torch.save("run.safetensors", model, optimizer)
//! ```
//! Parameters have the names of `model.named_parameters()`. Here, register each under that name, and in
//! a group with the number that its group has in PyTorch.
//! ```
//! use adamax::{Adamax, Checkpoint, MaxNorm, Optimizer};
//! use ndarray::{Array1, Array2};
//!
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/state_files/exchange/from_torch_f64.safetensors");
//! let checkpoint = Checkpoint::load(path)?;
//! let mut weight: Array2<f64> = checkpoint.parameter("layer.weight")?;
//! let mut bias: Array1<f64> = checkpoint.parameter("bias")?;
//!
//! let mut optimizer = Optimizer::new(Adamax::pytorch());
//! let second = optimizer.add_group(Adamax::pytorch());
//! let weight_slot = optimizer.register("layer.weight", &weight)?;
//! let bias_slot = optimizer.register_in(second, "bias", &bias)?;
//! optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
//!
//! optimizer.restore(checkpoint.snapshot())?;
//! assert_eq!(optimizer.state(weight_slot).unwrap().steps(), 20);
//! assert_eq!(optimizer.rule(second).unwrap().beta1(), 0.8);            // from PyTorch
//! assert_eq!(optimizer.max_norm(), Some(MaxNorm::Global(1.0)));        // the file says nothing
//! # optimizer.step(&mut [
//! #     weight_slot.bind(&mut weight, &Array2::zeros((3, 4))),
//! #     bias_slot.bind(&mut bias, &Array1::zeros(3)),
//! # ])?;
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! # To PyTorch
//! Add all parameters of the model to a [`Checkpoint`], under their PyTorch names, and save it. Then
//! make model and optimizer in PyTorch as for a new run:
//! ```python
//! optimizer = torch.optim.Adamax(model.parameters())
//! adamax_torch.load("run.safetensors", model, optimizer)
//! ```
//! Groups are found by the names of their parameters, never by position. A group of PyTorch may be a
//! part of a group of this crate, but not parts of two.
//!
//! # What is carried over
//! | | from PyTorch | to PyTorch |
//! |---|---|---|
//! | `lr`, `betas`, `eps`, `weight_decay` (L2), `maximize` | yes | yes |
//! | `exp_avg`, `exp_inf`, `step` of each parameter | yes | yes; a count from 2²⁴ on in f64 |
//! | parameters that are frozen, or were never stepped | state of zeros | a frozen one needs no state |
//! | memory formats (transposed, `channels_last`) | read in row-major order; [`assign_parameter`] keeps the order of the array | that of the model stays |
//! | learning-rate scale | if the optimizer has a scheduler | yes |
//! | [`MaxNorm`], [`clip_value`] | left open: yours stay | an error, unless named in `by_hand`: PyTorch clips outside of the optimizer |
//! | [`NonFinite`] | left open: yours stays | no: PyTorch propagates NaN |
//! | [`Decoupled`] decay, other places of ε, no bias correction | | an error |
//! | `foreach`, `capturable`, `differentiable` | no effect on numbers | those of the optimizer stay |
//! | counters of [rows](#rows) | no: PyTorch has none | if all rows of the table have the same, else an error |
//! | averages | no: PyTorch keeps them in a model of their own | an error, unless `"averages"` is named in `by_hand` |
//! | buffers, gradients, schedulers, `GradScaler` | no | no |
//!
//! [`Optimizer::restore`] keeps the optimizer's own setting wherever a file leaves one open. Rules
//! derived from [`Adamax::pytorch`] can go to PyTorch. With ε = 0, PyTorch divides 0 by 0 where this
//! crate takes no step.
//!
//! # Rows
//! In a table that is stepped by its rows, each row has its own t ([`State::row_steps`]). PyTorch has nothing
//! that fits:
//! - `torch.optim.Adamax` refuses sparse gradients. With dense ones it steps every row, also those that a
//!   batch does not name, and has one `step` for the whole table.
//! - `torch.optim.SparseAdam` steps the named rows only, but by the rule of Adam: it keeps `exp_avg` and
//!   `exp_avg_sq`, the mean of squares, and no largest magnitude. Its `step` is one for the whole table, so
//!   the bias correction of a rare row is that of a frequent one. No infinity norm can be computed from
//!   `exp_avg_sq`. Neither `save` nor `load` takes this optimizer.
//!
//! So `load` takes a table only if all its rows have made the same number of steps. That number is then the `step` of
//! PyTorch, and the run goes on there as from a table that was stepped as a whole. Otherwise `load` names the
//! table, and the least and the largest count.
//!
//! From PyTorch, a table comes as one that is stepped as a whole. [`State::into_rows`] gives each row the
//! `step` of the table, and [`Optimizer::restore`] says how the state gets to a table that is registered by
//! its rows.
//!
//! # Schedules
//! A scheduler changes `lr` in place, and keeps the rate before as `initial_lr` (`OneCycleLR`: the peak
//! as `max_lr`). `save` writes that one as learning rate, and the factor between them as scale. So
//! `learning_rate · Schedule::scale(t)` goes on where the scheduler stood, with t the number of its
//! steps. The scale is one for all groups: `save` refuses groups whose factors differ. `CyclicLR` does
//! not keep its peak: write it to `group["max_lr"]` before saving, as
//! [`Schedule::cyclic`] scales the peak.
//!
//! In the other direction, set the scale of the next step before you take the snapshot, as PyTorch's
//! schedulers do. `OneCycleLR` and `CyclicLR` move β₁ too: set that of the next step in every group, with
//! [`Optimizer::set_rule`](crate::Optimizer::set_rule). In PyTorch, make the scheduler as for a new run, load, and tell it where it stands:
//! ```python
//! optimizer = torch.optim.Adamax(model.parameters(), lr=0.01)    # as in the file
//! scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
//! adamax_torch.load("run.safetensors", model, optimizer)
//! scheduler.last_epoch = 400                                     # steps done
//! ```
//! A scheduler made for another rate than that of the file is an error, because it would go on with
//! its own.
//!
//! # Errors
//! Both functions check everything first, and then write. A `ValueError` lists every fault and names the
//! parameter, group or setting. Model, optimizer and file have not changed then. Refused are:
//! - parameters, states or groups that are missing, or that the other side does not have. Arrays that
//!   are in the file on purpose can be named in `by_hand`;
//! - other shapes: nothing is broadcast;
//! - other precisions: a file is of f32 or f64, as the model is. `bfloat16`, `float16` and complex
//!   parameters cannot be saved: convert the model first, by `model.float()` and a new optimizer;
//! - states with NaN, infinities or a negative norm;
//! - tables whose rows have made different numbers of steps;
//! - settings that PyTorch cannot express, see above, or that this version of the Python file does not
//!   know;
//! - a file with a wrong checksum.
//!
//! # The Python file
//! ```python
#![doc = include_str!("../../python/adamax_torch.py")]
//! ```
//!
//! [`assign_parameter`]: Checkpoint::assign_parameter
//! [`clip_value`]: crate::AdamaxBuilder::clip_value
//! [`Decoupled`]: crate::WeightDecay::Decoupled

// For links in the documentation only.
#[cfg(doc)]
use crate::{Adamax, Checkpoint, MaxNorm, NonFinite, Optimizer, State, schedule::Schedule};
