//! Guide: choosing a variant, coming from elsewhere, finding what is wrong.
//!
//! - [Which variant should I use?](#which-variant-should-i-use)
//! - [Coming from PyTorch](#coming-from-pytorch)
//! - [Coming from Keras](#coming-from-keras)
//! - [Coming from optax](#coming-from-optax)
//! - [Coming from argmin](#coming-from-argmin)
//! - [Troubleshooting](#troubleshooting): [the loss is NaN](#the-loss-is-nan),
//!   [nothing moves](#nothing-moves), [it is slow](#it-is-slow)
//!
//! # Which variant should I use?
//! For new work, [`Adamax::default`]. To go on from another program, or to compare with one, its
//! preset. The variants differ in where ε stands:
//!
//! | ε | divisor | presets |
//! |---|---|---|
//! | [`Outside`](EpsilonPlacement::Outside) | max(β₂·u, \|g\|) + ε | `default`, `keras`, `mlx`; `paper` with ε = 0 |
//! | [`InsideMax`](EpsilonPlacement::InsideMax) | max(β₂·u, \|g\| + ε) | `pytorch`, `optax` |
//! | [`Accumulated`](EpsilonPlacement::Accumulated) | max(β₂·u + ε, \|g\|) | `paddle` |
//!
//! With gradients far above ε they agree to about ε/|g|. They part where gradients are as small as
//! ε: inside the maximum, u never falls below ε; outside, u may go to 0. If a coordinate's first
//! gradients are exactly 0, u is 0 and no harm is done, for m is 0 as well.
//!
//! Weight decay comes in two kinds that are not the same with a method that scales each coordinate:
//! [`WeightDecay::Decoupled`] shrinks x by 1 − α·λ, as AdamW does; [`WeightDecay::L2`] adds λ·x to
//! the gradient, which the division by u then largely undoes. Take the first, unless you want what
//! PyTorch's `weight_decay` does.
//!
//! Is Adamax the right method? Its steps are bounded by the learning rate: one huge gradient does
//! not throw it off, as it does Adam, but makes the steps of that coordinate smaller for the next
//! 1/(1 − β₂) steps. So it suits rough, heavy-tailed gradients and a learning rate that is not
//! tuned; where gradients are well-behaved and the rate is tuned, Adam is as good or better.
//!
//! # Coming from PyTorch
//! | `torch.optim.Adamax` | here |
//! |---|---|
//! | `Adamax(params)` | [`Adamax::pytorch`] and [`Optimizer::new`] |
//! | `lr`, `betas`, `eps` | [`learning_rate`], [`beta1`], [`beta2`], [`epsilon`] |
//! | `weight_decay` | [`WeightDecay::L2`] |
//! | `maximize=True` | [`Objective::Maximize`] |
//! | `param_groups` | [`Optimizer::add_group`], [`Optimizer::set_rule`] |
//! | `step()` after `backward()` | [`Optimizer::step`] with the gradients in hand |
//! | `zero_grad()` | not needed: gradients are yours |
//! | `requires_grad = False` | leave the tensor out of the batch; it waits, state and counter included |
//! | `state_dict()`, `load_state_dict()` | [`Optimizer::snapshot`], [`Optimizer::restore`]; by name, not by position |
//! | `exp_avg`, `exp_inf`, `step` | [`State::first_moment`], [`State::inf_norm`], [`State::steps`] |
//! | `clip_grad_norm_(p, c)` | [`MaxNorm::Global`] |
//! | `clip_grad_value_(p, c)` | [`clip_value`] |
//! | `lr_scheduler` | [`schedule`](crate::schedule) and [`Optimizer::set_lr_scale`] |
//! | `GradScaler` skipping steps | [`NonFinite::Skip`] |
//! | `swa_utils.AveragedModel` | [`Average`] |
//!
//! Differences that change numbers:
//! - `Adamax::default()` has ε outside the maximum; [`Adamax::pytorch`] has it inside, as PyTorch.
//! - `clip_grad_norm_` divides by the norm plus 1e-6; here it is the norm itself. It also writes the
//!   gradients; here nobody does.
//! - A NaN gradient is an error here unless you say otherwise; PyTorch carries on.
//! - In f32, coefficients are computed in f64 and rounded once.
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
//! # Coming from Keras
//! | `keras.optimizers.Adamax` | here |
//! |---|---|
//! | `Adamax()` | [`Adamax::keras`] |
//! | `learning_rate`, `beta_1`, `beta_2`, `epsilon` | [`learning_rate`], [`beta1`], [`beta2`], [`epsilon`] |
//! | `weight_decay` | [`WeightDecay::Decoupled`] |
//! | `clipnorm` | [`MaxNorm::PerTensor`] |
//! | `global_clipnorm` | [`MaxNorm::Global`] |
//! | `clipvalue` | [`clip_value`] |
//! | `use_ema`, `ema_momentum` | [`Average`] |
//! | `exclude_from_weight_decay` | a second group, [`Optimizer::add_group`] |
//! | `LearningRateSchedule` | [`schedule`](crate::schedule) |
//! | `apply_gradients` | [`Optimizer::step`] |
//!
//! Differences that change numbers:
//! - Keras counts steps once for the whole optimizer, this crate per tensor. They differ only for
//!   tensors that are left out of some steps.
//! - Keras holds the learning rate and β in f32 unless its `floatx` is f64; here they are f64.
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
//! | `apply_if_finite` | [`NonFinite::Skip`]; it never gives in |
//! | `ema(debias=True)` | [`Average`] |
//! | schedules | [`schedule`](crate::schedule) |
//! | a pure step | [`adamax_step`](crate::adamax_step) |
//!
//! There is no `chain`: what a chain would do (clip, decay, scale) is part of the one pass, in the
//! order that [`Adamax::step`] states. optax groups `x − (step + α·λ·x)`, here it is
//! `(1 − α·λ)·x − step` as in PyTorch's AdamW: the last bit may differ. A decay α·λ below half an
//! ulp of 1 (6e-8 in f32) does nothing in the second form.
//!
//! # Coming from argmin
//! Switch on feature `argmin`, and `adamax::argmin::AdamaxSolver` goes where a
//! gradient-based solver goes: `Executor::new(problem, AdamaxSolver::new(rule))`. The problem
//! implements `CostFunction` and `Gradient` on `Array<A, D>` of ndarray 0.17; argmin-math is not
//! needed. Without argmin, the same is a loop of [`Adamax::step`].
//!
//! # Troubleshooting
//! ## The loss is NaN
//! - A gradient was NaN or infinite, and the rule says [`NonFinite::Propagate`]. Take
//!   [`NonFinite::Error`], the default: it names tensor, index and value before anything is lost.
//! - The parameters are finite, but too large: exp or a power overflows. Lower the learning rate, warm
//!   it up, or bound the norm by [`Optimizer::set_max_norm`].
//! - The state came from outside: [`State::from_parts`] refuses NaN, a step under `Propagate` may have
//!   brought it in since. [`State::reset`] starts anew.
//!
//! ## Nothing moves
//! - Is the gradient right? [`check_gradient`](crate::check_gradient) tells.
//! - Is the learning rate 0 by now? See [`Optimizer::lr_scale`] and the end of the schedule.
//! - Is the tensor in the batch? See [`State::steps`].
//! - Are steps being skipped? [`Optimizer::step`] says so by its [`Outcome`](crate::Outcome).
//! - Has one huge gradient raised u? It decays by β₂ a step: after a spike of 1000 times the usual size,
//!   steps are small for about 7 000 steps at β₂ = 0.999. Clip gradients ([`clip_value`],
//!   [`MaxNorm`]), or lower β₂.
//! - In f32, a step of less than half an ulp of x is lost: at x = 1 000, one below 3e-5.
//!
//! ## It is slow
//! - Build with `--release`.
//! - Do the arrays share one memory order? A state made by [`State::zeros_like`] has that of the
//!   parameter; [`State::with_layout_of`] mends one that came from a file. A gradient in another order
//!   than its parameter (a transposed matrix product) costs two to three times the time.
//! - Many small tensors: step them in one batch; build it on the stack or keep its `Vec`.
//! - Large ones: feature `rayon` and [`Optimizer::par_step`](crate::Optimizer#method.par_step), from about
//!   131 072 elements.
//! - Gradients known to be finite: [`NonFinite::Propagate`] saves the one read of the check.
//!
//! [`beta1`]: crate::AdamaxBuilder::beta1
//! [`beta2`]: crate::AdamaxBuilder::beta2
//! [`clip_value`]: crate::AdamaxBuilder::clip_value
//! [`epsilon`]: crate::AdamaxBuilder::epsilon
//! [`learning_rate`]: crate::AdamaxBuilder::learning_rate

// Only the links need them.
#[cfg(doc)]
use crate::{
    Adamax, Average, EpsilonPlacement, MaxNorm, NonFinite, Objective, Optimizer, State, WeightDecay,
};
