//! A guide: choice of a variant, change from other libraries, troubleshooting.
//!
//! - [Which variant should I use?](#which-variant-should-i-use)
//! - [Coming from PyTorch](#coming-from-pytorch)
//! - [Coming from Keras](#coming-from-keras)
//! - [Coming from optax](#coming-from-optax)
//! - [Coming from argmin](#coming-from-argmin)
//! - [Documents of `serde`](#documents-of-serde): old releases, JSON, NaN, strangers
//! - [Troubleshooting](#troubleshooting): [it does not compile](#it-does-not-compile),
//!   [the loss is NaN](#the-loss-is-nan), [nothing moves](#nothing-moves), [it is slow](#it-is-slow)
//!
//! # Which variant should I use?
//! For new work, use [`Adamax::default`]. To continue a run of another program, or to compare with
//! one, use its preset. The variants differ in the place of ε:
//!
//! | ε | divisor | presets |
//! |---|---|---|
//! | [`Outside`](EpsilonPlacement::Outside) | max(β₂·u, \|g\|) + ε | `default`, `keras`, `mlx`; `paper` with ε = 0 |
//! | [`InsideMax`](EpsilonPlacement::InsideMax) | max(β₂·u, \|g\| + ε) | `pytorch`, `optax` |
//! | [`Accumulated`](EpsilonPlacement::Accumulated) | max(β₂·u + ε, \|g\|) | `paddle` |
//!
//! For gradients far above ε, the variants agree to about ε/|g|. They differ where gradients are as
//! small as ε: inside the maximum, u never falls below ε; outside, u can fall to 0. While all
//! gradients of a coordinate have been exactly 0, m is 0, and the coordinate does not move.
//!
//! There are two kinds of weight decay. [`WeightDecay::Decoupled`] multiplies x by 1 − α·λ, as AdamW
//! does. [`WeightDecay::L2`] adds λ·x to the gradient; the division by u then largely cancels it. Use
//! the first kind, unless you need the behaviour of PyTorch's `weight_decay`.
//!
//! Adamax suits gradients with heavy tails, and learning rates that are not tuned. One huge gradient
//! moves its coordinate by about α at most (with Adam at its defaults by up to 3.2·α). It also makes
//! the steps of that coordinate smaller, for some multiple of 1/(1 − β₂) steps. With gradients of even
//! size and a tuned learning rate, Adam is as good or better.
//!
//! # Coming from PyTorch
//! | `torch.optim.Adamax` | here |
//! |---|---|
//! | `Adamax(params)` | [`Adamax::pytorch`] and [`Optimizer::new`] |
//! | `lr`, `betas`, `eps` | [`learning_rate`], [`beta1`], [`beta2`], [`epsilon`] |
//! | `weight_decay` | [`WeightDecay::L2`] |
//! | `maximize=True` | [`Objective::Maximize`] |
//! | `param_groups` | [`Optimizer::add_group`], [`Optimizer::set_rule`] |
//! | `step()` after `backward()` | [`Optimizer::step`], with your gradients as arguments |
//! | `zero_grad()` | not needed: the optimizer stores no gradients |
//! | `requires_grad = False` | leave the tensor out of the batch: its state and step count do not change. (A group with learning rate 0 moves its moments, and counts in [`MaxNorm::Global`].) |
//! | `state_dict()`, `load_state_dict()` | [`Optimizer::snapshot`], [`Optimizer::restore`]; by name, not by position |
//! | `exp_avg`, `exp_inf`, `step` | [`State::first_moment`], [`State::inf_norm`], [`State::steps`] |
//! | `clip_grad_norm_(p, c)` | [`MaxNorm::Global`] |
//! | `clip_grad_value_(p, c)` | [`clip_value`] |
//! | `lr_scheduler` | [`schedule`](crate::schedule) and [`Optimizer::set_lr_scale`] |
//! | `OneCycleLR`, `CyclicLR` with `cycle_momentum=True`, their default | β₁ [on a schedule](crate::recipes#other-settings-on-a-schedule) too |
//! | `nn.Embedding(sparse=True)`, which PyTorch's Adamax refuses; `SparseAdam` | [`Optimizer::register_rows`]: each row has its own t; `SparseAdam` has one for all |
//! | `GradScaler` skipping steps | [`NonFinite::Skip`] |
//! | `swa_utils.AveragedModel` | [`Average::equal`] |
//! | `AveragedModel` with `get_ema_multi_avg_fn(β)` | [`Average::new`], bias-corrected; PyTorch's starts at the first parameters |
//!
//! Differences that change numbers:
//! - `Adamax::default()` has ε outside the maximum; [`Adamax::pytorch`] has it inside, as PyTorch has.
//! - `clip_grad_norm_` divides by the norm plus 1e-6; this crate divides by the norm.
//!   `clip_grad_norm_` also changes the gradients; this crate never writes to them.
//! - A NaN gradient is an error by default ([`NonFinite`]); PyTorch continues with NaN.
//! - `ReduceLROnPlateau` never reduces the rate for negative losses that stay the same;
//!   [`ReduceOnPlateau`](crate::schedule::ReduceOnPlateau) does.
//! - For f32 tensors, coefficients are computed in f64 and rounded once.
//!
//! ```
//! use adamax::{Adamax, Optimizer, WeightDecay};
//! use ndarray::array;
//!
//! // optimizer = torch.optim.Adamax([w], lr=0.01, weight_decay=1e-4)
//! let rule = Adamax::pytorch()
//!     .to_builder()
//!     .learning_rate(0.01)
//!     .weight_decay(WeightDecay::L2(1e-4))
//!     .build()?;
//! let mut optimizer = Optimizer::new(rule);
//! let mut w = array![[0.5_f32, -0.5], [1.0, 2.0]];
//! let slot = optimizer.register("w", &w)?;
//!
//! // loss.backward(); optimizer.step()
//! let gradient = &w * 2.0;
//! optimizer.step(&mut [slot.bind(&mut w, &gradient)])?;
//! # assert!((w[[0, 0]] - 0.49).abs() < 1e-6);
//! # Ok::<(), adamax::Error>(())
//! ```
//!
//! To take over a run of PyTorch, or to go on there: [`adamax::pytorch`] (feature `safetensors`).
//!
//! # Coming from Keras
//! | `keras.optimizers.Adamax` | here |
//! |---|---|
//! | `Adamax()` | [`Adamax::keras`] |
//! | `learning_rate`, `beta_1`, `beta_2`, `epsilon` | [`learning_rate`], [`beta1`], [`beta2`], [`epsilon`] |
//! | `weight_decay` | [`WeightDecay::Decoupled`] |
//! | `clipnorm` | [`MaxNorm::PerTensor`] |
//! | `global_clipnorm` | [`MaxNorm::Global`] |
//! | `clipvalue` | [`clip_value`] |
//! | `use_ema`, `ema_momentum` | [`Average::new`] |
//! | `exclude_from_weight_decay` | a second group, [`Optimizer::add_group`] |
//! | `LearningRateSchedule` | [`schedule`](crate::schedule) |
//! | `apply_gradients` | [`Optimizer::step`] |
//!
//! Differences that change numbers:
//! - Keras counts the steps of the whole optimizer, this crate those of each tensor. The counts differ
//!   only for tensors that are left out of some steps.
//! - Keras stores the learning rate and β in f32 unless its `floatx` is f64; this crate in f64.
//! - Keras' moving average starts at 0 or at the first weights; [`Average`] is bias-corrected.
//!
//! # Coming from optax
//! | optax | here |
//! |---|---|
//! | `adamax(lr)` | [`Adamax::optax`] |
//! | `adamaxw(lr, weight_decay=λ)` | [`Adamax::optax`] with [`WeightDecay::Decoupled`] |
//! | `init(params)` | [`State::zeros_like`] or [`Optimizer::register`] |
//! | `update` and `apply_updates` | [`Adamax::step`] or [`Optimizer::step`], in place |
//! | `mu`, `nu`, `count` | [`State::first_moment`], [`State::inf_norm`], [`State::steps`] |
//! | `clip_by_global_norm` | [`MaxNorm::Global`] |
//! | `clip` | [`clip_value`] |
//! | `masked`, `multi_transform` | groups, or tensors left out of a batch |
//! | `apply_if_finite` | [`NonFinite::Skip`]; there is no limit on consecutive skips |
//! | `ema(debias=True)` | [`Average::new`] |
//! | schedules | [`schedule`](crate::schedule) |
//! | a pure step | [`adamax_step`](crate::adamax_step) |
//!
//! There is no `chain`: clipping by value, decay and scaling are part of one pass, in the order that
//! [`Adamax::step`] documents. optax computes `x − (step + α·λ·x)`; this crate computes
//! `(1 − α·λ)·x − step`, as PyTorch's AdamW does. The last bit may differ. In the second form, a decay
//! α·λ that is too small to change 1 (below 3e-8 in f32) has no effect.
//!
//! # Coming from argmin
//! Enable the feature `argmin`, and use [`AdamaxSolver`] like any gradient-based solver:
//! `Executor::new(problem, AdamaxSolver::new(rule))`. The problem stays as it is. It implements
//! `CostFunction` and `Gradient` for one type of parameter and gradient: `Vec`, `[f64; N]`, a vector of
//! nalgebra, an array of ndarray 0.16 or 0.17, or any other type whose elements can be iterated.
//! Arrays of ndarray 0.17 and `Vec` are updated in place. Without argmin, call [`Adamax::step`] in a
//! loop.
//!
//! ```toml
//! adamax = { version = "0.1", features = ["argmin"] }
//! argmin = "0.11"
//! ```
//!
//! Differences from argmin's own solvers:
//! - Set the learning rate α to the scale of the variables. A step moves each of them by about α at most,
//!   however steep the cost is. So the default, 0.002, needs 500 steps for a distance of 1.
//! - There is no line search. Expect thousands of iterations, each with one cost and one gradient.
//! - At a constant α, the last digits come slowly. A [schedule](crate::schedule) that lowers α helps.
//! - If the start is much steeper than the rest, lower [`beta2`], for instance to 0.99. Otherwise u keeps the
//!   first gradients for thousands of steps, and the steps stay small.
//! - `State` and `Error` are names of both crates. Importing both is an error (E0252): give one another name,
//!   as in `use adamax::State as Moments`.
//!
//! # Documents of `serde`
//! **Old releases.** State files and `serde` documents of old releases stay readable: a setting that is
//! left out takes its default, and an unknown setting is an error. This needs a format that names
//! fields, such as JSON, TOML or CBOR. A format without names (postcard, bincode) cannot tell that a
//! setting is left out. It reads back only documents of a release with the same settings.
//!
//! **JSON needs a parser that rounds right.** `serde_json` writes every number exactly, but reads `f64`
//! exactly only with its feature `float_roundtrip`:
//!
//! ```toml
//! serde_json = { version = "1", features = ["float_roundtrip"] }
//! ```
//!
//! Without it, about every tenth number between 0 and 1 comes back off by one unit in the last place,
//! 0.9162907318741551 for example, and a resumed run ends with other bits than one that was not
//! interrupted. Numbers of `f32` are exact without it. The feature `safetensors` switches it on for the
//! whole program. State files, CBOR, postcard and bincode keep the bits in any case.
//!
//! **NaN and infinities.** A state or an average that holds one is not written: the error says where.
//! JSON's `null` in place of a number is refused. Infinite bounds, which are allowed, come back from every
//! format.
//!
//! **Documents of strangers.** What is read is checked as building checks it. A document of any depth or
//! with any claimed length is an error: it takes less than 128 KB of stack, and memory that grows only
//! with what has been read. (A parser may have faults of its own, and keep what it reads in memory.)
//!
//! # Troubleshooting
//! ## It does not compile
//! | the compiler says | remedy |
//! |---|---|
//! | ``expected `&ArrayRef<_, _>`, found `&ArrayBase<OwnedRepr<{float}>, ...>` `` | The array is of another release of ndarray. Use 0.17, which is also `adamax::ndarray`, or lend the array as a slice: see below. `cargo tree --duplicates` says where a second release comes from. |
//! | ``expected `&ArrayRef<_, _>`, found `&Vec<{float}>` `` | Lend the vector as a view: `ArrayViewMut1::from(&mut v[..])`, and `aview1(&g)` for the gradient. |
//! | ``expected `&ArrayRef<f32, Dim<[usize; 1]>>`, found `&ArrayBase<OwnedRepr<f64>, ..., f64>` `` | Parameter and gradient need the same precision: `g.mapv(\|g\| g as f32)`. |
//! | ``no method named `step` found for struct `AdamaxBuilder` ``, ``expected `Adamax`, found `AdamaxBuilder` `` | End the builder with `.build()?`. [`Adamax::new`] needs no builder. |
//! | ``this method takes 0 arguments but 1 argument was supplied`` at `Adamax::pytorch().learning_rate(0.01)` | A preset is a rule. Go on with `.to_builder().learning_rate(0.01).build()?`. |
//! | `` type mismatch resolving `<OwnedRepr<f32> as RawData>::Elem == f64` `` at `tensors!` | The short form is for `f64`: `tensors!(impl Tensors<f32> for Model { weights });` |
//! | ``expected `u64`, found `usize` `` | Steps are `u64`: write `schedule.scale(epoch as u64)`, or let the loop count in `u64`. |
//! | ``expected `&ArrayRef<f64, _>`, found `&f64` `` | Keep a single number as an `Array0`, or let [`tensors!`](crate::tensors!) bind it. |
//! | ``no method named `par_step` ``, ``undeclared type `Checkpoint` `` | Switch on the feature: `rayon`, or `safetensors`. |
//! | ``multiple different versions of crate `argmin` `` | The program uses another release of argmin than this crate. Write `argmin = "0.11"`. |
//! | `` `{integer}` is not a type of numbers that Adamax can update `` | Write numbers with a point: `array![1.0, 2.0]`. |
//!
//! A program whose arrays are of ndarray 0.16, here the crate `ndarray_016`:
//! ```
//! use adamax::ndarray::{ArrayView2, ArrayViewMut2};
//! use adamax::{Adamax, State};
//!
//! let mut x = ndarray_016::array![[3.0_f64, -2.0], [1.0, 0.5]];
//! let (shape, gradient) = (x.dim(), &x * 2.0);
//!
//! let gradient = ArrayView2::from_shape(shape, gradient.as_slice().ok_or("has gaps")?)?;
//! let mut param = ArrayViewMut2::from_shape(shape, x.as_slice_mut().ok_or("has gaps")?)?;
//! let mut state = State::zeros_like(&param);
//! Adamax::default().step(&mut state, &mut param, &gradient)?;
//! assert!((x[[0, 0]] - 2.998).abs() < 1e-9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## The loss is NaN
//! - A gradient was NaN or infinite, and the rule has [`NonFinite::Propagate`]. Use the default,
//!   [`NonFinite::Error`]: the error names tensor, index and value, and the parameters do not change.
//! - The parameters are finite but too large, so that exp or a power overflows. Lower the learning
//!   rate, add a warm-up, or bound the norm of the gradients with [`Optimizer::set_max_norm`].
//! - The state holds NaN from an earlier step under `Propagate`. [`State::reset`] sets it to zero;
//!   in an optimizer, [`Optimizer::set_state`] with a state of zeros.
//! - A parameter was NaN from the start. Parameters are not checked, and NaN stays NaN.
//!
//! ## Nothing moves
//! - The gradient may be wrong: check it with [`check_gradient`](crate::check_gradient).
//! - The learning rate may be 0: see [`Optimizer::lr_scale`] and the end of the schedule.
//! - The tensor may be missing in the batch: then [`State::steps`] does not grow. An optimizer printed
//!   with `{}` is a table of all tensors and their steps.
//! - Steps may be skipped: see the [`Outcome`](crate::Outcome) that [`Optimizer::step`] returns.
//! - One huge gradient may have raised u, which decays by the factor β₂ per step. After a gradient
//!   of 1000 times the usual size, steps are small for about 7 000 steps at β₂ = 0.999. Clip
//!   gradients ([`clip_value`], [`MaxNorm`]), or lower β₂.
//! - In f32, a step of less than half an ulp of x is lost: at x = 1 000, a step below 3e-5.
//!
//! ## It is slow
//! - Build with `--release`.
//! - Use one memory order for parameter, gradient and state. Every order without gaps is as fast as
//!   row-major. A state made by [`State::zeros_like`] has the order of the parameter;
//!   [`State::with_layout_of`] converts one that came from a file. (An [`Optimizer`] does this itself.)
//! - If the gradient has another order than its parameter, as a transposed matrix product has, a
//!   step takes two to four times as long in `f64`, and three to eight times in `f32`.
//! - Avoid views with gaps for small tensors: each takes one allocation when it is bound to a slot.
//! - Many small tensors: step them in one batch. Build it on the stack, in an array.
//! - Large tensors, from about 131 072 elements: enable the feature `rayon` and call
//!   [`Optimizer::par_step`](crate::Optimizer#method.par_step).
//! - Gradients that are known to be finite: [`NonFinite::Propagate`] saves one read of the gradient.
//!   With a [`MaxNorm`] nothing is saved, because the norm already proves that they are finite.
//!
#![cfg_attr(feature = "argmin", doc = "[`AdamaxSolver`]: crate::argmin::AdamaxSolver")]
#![cfg_attr(not(feature = "argmin"), doc = "[`AdamaxSolver`]: crate#features")]
#![cfg_attr(feature = "safetensors", doc = "[`adamax::pytorch`]: crate::pytorch")]
#![cfg_attr(not(feature = "safetensors"), doc = "[`adamax::pytorch`]: crate#features")]
//! [`beta1`]: crate::AdamaxBuilder::beta1
//! [`beta2`]: crate::AdamaxBuilder::beta2
//! [`clip_value`]: crate::AdamaxBuilder::clip_value
//! [`epsilon`]: crate::AdamaxBuilder::epsilon
//! [`learning_rate`]: crate::AdamaxBuilder::learning_rate

// For links in the documentation only.
#[cfg(doc)]
use crate::{
    Adamax, Average, EpsilonPlacement, MaxNorm, NonFinite, Objective, Optimizer, State, WeightDecay,
};

/// Programs that the guide says do not compile.
///
/// ```compile_fail,E0308
/// adamax::State::zeros_like(&ndarray_016::array![1.0, 2.0]);
/// ```
/// ```compile_fail,E0308
/// adamax::State::zeros_like(&vec![1.0, 2.0]);
/// ```
/// ```compile_fail,E0308
/// let mut x = ndarray::array![1.0_f32];
/// let mut state = adamax::State::zeros_like(&x);
/// adamax::Adamax::default().step(&mut state, &mut x, &ndarray::array![1.0_f64]);
/// ```
/// ```compile_fail,E0599
/// let mut x = ndarray::array![1.0];
/// let mut state = adamax::State::zeros_like(&x);
/// adamax::Adamax::builder().step(&mut state, &mut x, &ndarray::array![1.0]);
/// ```
/// ```compile_fail,E0308
/// adamax::Optimizer::<f64>::new(adamax::Adamax::builder());
/// ```
/// ```compile_fail,E0308
/// fn scale(schedule: &adamax::schedule::Schedule, epoch: usize) -> f64 {
///     schedule.scale(epoch)
/// }
/// ```
/// ```compile_fail,E0277
/// adamax::State::zeros_like(&ndarray::array![1, 2]);
/// ```
#[cfg_attr(
    feature = "argmin",
    doc = "
```compile_fail,E0252
use adamax::State;
use argmin::core::State;
```
```compile_fail,E0283
let solver = adamax::argmin::AdamaxSolver::new(adamax::Adamax::default());
```"
)]
#[cfg(doctest)]
struct DoesNotCompile;
