//! Learning-rate schedules: factors on the learning rate.
//!
//! A [`Schedule`] is a pure function of the step; [`ReduceOnPlateau`] reacts to a loss instead.
//! Pass the factor to [`Optimizer::set_lr_scale`], or multiply a builder's [`learning_rate`] by it.
//! A schedule can also give other settings, such as β₁ and λ: see the [recipe].
//!
//! | schedule | PyTorch 2.15, with a learning rate of 1 | optax 0.2.8 |
//! |---|---|---|
//! | [`constant`](Schedule::constant) | | `constant_schedule` |
//! | [`step`](Schedule::step) | `StepLR` | `exponential_decay`, `staircase` on |
//! | [`multi_step`](Schedule::multi_step) | `MultiStepLR` | |
//! | [`exponential`](Schedule::exponential) | `ExponentialLR` | `exponential_decay` |
//! | [`inverse_time`](Schedule::inverse_time) | (Keras' `InverseTimeDecay`) | |
//! | [`polynomial`](Schedule::polynomial) | `PolynomialLR` | `polynomial_schedule` |
//! | [`linear`](Schedule::linear) | `LinearLR` | `linear_schedule` |
//! | [`cosine`](Schedule::cosine) | `CosineAnnealingLR` until `T_max` | `cosine_decay_schedule` |
//! | [`cosine_warm_restarts`](Schedule::cosine_warm_restarts) | `CosineAnnealingWarmRestarts` | `sgdr_schedule` |
//! | [`cosine_decay_restarts`](Schedule::cosine_decay_restarts) | (Keras' `CosineDecayRestarts`) | `sgdr_schedule` |
//! | [`one_cycle`](Schedule::one_cycle) | `OneCycleLR`, `cycle_momentum` off | |
//! | [`cyclic`](Schedule::cyclic) | `CyclicLR`, `cycle_momentum` off | |
//! | [`noam`](Schedule::noam) | | |
//! | [`piecewise_constant`](Schedule::piecewise_constant) | | `piecewise_constant_schedule` |
//! | [`piecewise_linear`](Schedule::piecewise_linear) | | `piecewise_interpolate_schedule` |
//! | [`warm_up`](Schedule::warm_up) | `LinearLR` in a `SequentialLR` | `warmup_constant_schedule` and others |
//! | [`sequence`](Schedule::sequence) | `SequentialLR` | `join_schedules` |
//! | [`times`](Schedule::times) | `ChainedScheduler` | |
//! | [`scaled`](Schedule::scaled) | | |
//!
//! [`Optimizer::set_lr_scale`]: crate::Optimizer::set_lr_scale
//! [`learning_rate`]: crate::AdamaxBuilder::learning_rate
//! [recipe]: crate::recipes#other-settings-on-a-schedule

mod formula;
mod kind;
#[cfg(feature = "serde")]
mod nested;
mod plateau;
mod threshold;

use alloc::boxed::Box;
use core::fmt;

use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;

use kind::Kind;
#[cfg(feature = "serde")]
pub(crate) use plateau::{Observed, Settings};

pub use kind::Amplitude;
pub use plateau::{ReduceOnPlateau, ReduceOnPlateauBuilder};
pub use threshold::Threshold;

/// A factor on the learning rate, as a pure function of the step.
///
/// [`scale(t)`](Schedule::scale) is the factor for step t, counted from 0. The constructors make
/// schedules; [`warm_up`](Schedule::warm_up), [`sequence`](Schedule::sequence),
/// [`scaled`](Schedule::scaled) and [`times`](Schedule::times) combine them. In all of them, `u64` arguments are numbers of steps and `f64` arguments are factors, where 1
/// stands for the learning rate of the rule. A schedule is a value that can be cloned, compared and
/// saved.
///
/// Every schedule has its exact value at its ends and corners and is finite and at least 0 for
/// every t. After its end it keeps its last value, except for the periodic ones, which never end.
///
/// # Precision
/// Powers and cosines come from `libm`, so every platform gives the same bits. Values between two
/// ends never leave the range between them.
///
/// # Examples
/// ```
/// use adamax::{Adamax, Optimizer, schedule::Schedule};
/// use ndarray::array;
///
/// let mut x = array![1.0, -1.0];
/// let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.01).build()?);
/// let slot = optimizer.register("x", &x)?;
///
/// let schedule = Schedule::cosine(90, 0.0)?.warm_up(10, 0.1)?;
/// for t in 0..100 {
///     let gradient = &x * 2.0;
///     optimizer.set_lr_scale(schedule.scale(t))?;
///     optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
/// }
/// assert_eq!([schedule.scale(0), schedule.scale(10), schedule.scale(100)], [0.1, 1.0, 0.0]);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[doc(alias("LearningRateSchedule", "lr_scheduler"))]
pub struct Schedule {
    kind: Kind,
}

/// As its constructor: `Cosine { steps: 90, end: 0.0 }`.
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Schedule {
    pub(crate) fn new(kind: Kind) -> Result<Self, Error> {
        kind.check()?;
        Ok(Schedule { kind })
    }

    /// Reads a schedule. Its depth is checked before the parser goes deeper.
    #[cfg(feature = "serde")]
    pub(crate) fn read<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        serde::de::DeserializeSeed::deserialize(nested::Nested::OUTERMOST, deserializer)
            .map(|read| *read)
    }

    /// Returns the factor on the learning rate for step `t`, where the first step is 0. Finite and
    /// at least 0; allocates nothing. For a counter of type `usize`, write `scale(epoch as u64)`.
    #[must_use]
    pub fn scale(&self, t: u64) -> f64 {
        self.kind.scale(t)
    }
}

/// Schedules that decay without an end, and the constant one.
impl Schedule {
    /// Returns `scale` at every step.
    ///
    /// Same as `optax.constant_schedule(scale)`. (PyTorch's `ConstantLR` has a factor for some
    /// steps and then 1: `Schedule::piecewise_constant([(0, factor), (steps, 1.0)])`.)
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `scale` is not finite or below 0.
    #[doc(alias("constant_schedule"))]
    pub fn constant(scale: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Constant { scale })
    }

    /// Multiplies by `factor` after every `steps` steps.
    ///
    /// ```text
    /// scale(t) = factor^⌊t / steps⌋
    /// ```
    /// Same as PyTorch's `StepLR(step_size=steps, gamma=factor)`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::step(30, 0.5)?;
    /// assert_eq!([29, 30, 59, 60].map(|t| schedule.scale(t)), [1.0, 0.5, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` is 0 or `factor` is not finite or below 0.
    #[doc(alias("StepLR"))]
    pub fn step(steps: u64, factor: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Step { steps, factor })
    }

    /// Multiplies by `factor` at each milestone.
    ///
    /// ```text
    /// scale(t) = factor^(number of milestones ≤ t)
    /// ```
    /// Same as PyTorch's `MultiStepLR(milestones, gamma=factor)`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::multi_step([30, 80], 0.5)?;
    /// assert_eq!([29, 30, 79, 80].map(|t| schedule.scale(t)), [1.0, 0.5, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if there is no milestone, if one is not greater than the one
    /// before, or if `factor` is not finite or below 0.
    #[doc(alias("MultiStepLR"))]
    pub fn multi_step(
        milestones: impl IntoIterator<Item = u64>,
        factor: f64,
    ) -> Result<Self, Error> {
        let milestones = milestones.into_iter().collect();
        Schedule::new(Kind::MultiStep { milestones, factor })
    }

    /// Multiplies by `factor` gradually in the course of every `steps` steps.
    ///
    /// ```text
    /// scale(t) = factor^(t / steps)
    /// ```
    /// Same as PyTorch's `ExponentialLR(gamma=factor)` with `steps` = 1, and as
    /// `optax.exponential_decay(1, transition_steps=steps, decay_rate=factor)`. With a `factor`
    /// above 1 the rate grows, which helps to find the largest usable one.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::exponential(100, 0.25)?;
    /// assert_eq!([0, 50, 100].map(|t| schedule.scale(t)), [1.0, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` is 0 or `factor` is not finite or not above 0.
    #[doc(alias("ExponentialLR", "exponential_decay"))]
    pub fn exponential(steps: u64, factor: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Exponential { steps, factor })
    }

    /// Decays like 1/t for large t.
    ///
    /// ```text
    /// scale(t) = 1 / (1 + rate·t / steps)
    /// ```
    /// Same as Keras' `InverseTimeDecay(1, decay_steps=steps, decay_rate=rate)`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::inverse_time(100, 1.0)?;
    /// assert_eq!([0, 100, 300].map(|t| schedule.scale(t)), [1.0, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` is 0 or `rate` is not finite or below 0.
    #[doc(alias("InverseTimeDecay"))]
    pub fn inverse_time(steps: u64, rate: f64) -> Result<Self, Error> {
        Schedule::new(Kind::InverseTime { steps, rate })
    }

    /// Rises linearly to 1 over the first `steps` steps, then decays like 1/√t.
    ///
    /// ```text
    /// scale(t) = min((t + 1) / steps, √(steps / (t + 1)))
    /// ```
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::noam(4000)?;
    /// assert_eq!([1999, 3999, 15_999].map(|t| schedule.scale(t)), [0.5, 1.0, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    /// Vaswani et al., *Attention Is All You Need*, §5.3, equation 3,
    /// <https://arxiv.org/abs/1706.03762>. There the peak is (d·steps)^(−1/2) for a model of width
    /// d; here it is 1, times the rule's learning rate.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` is 0.
    pub fn noam(steps: u64) -> Result<Self, Error> {
        Schedule::new(Kind::Noam { steps })
    }
}

/// Schedules that change to an end value and keep it.
impl Schedule {
    /// Changes linearly from `start` to `end` in `steps` steps.
    ///
    /// ```text
    /// scale(t) = start + (end − start)·min(t, steps) / steps
    /// ```
    /// Same as PyTorch's `LinearLR(start_factor=start, end_factor=end, total_iters=steps)` and
    /// `optax.linear_schedule(start, end, transition_steps=steps)`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::linear(100, 1.0, 0.5)?;
    /// assert_eq!([0, 50, 100, u64::MAX].map(|t| schedule.scale(t)), [1.0, 0.75, 0.5, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` is 0 or if `start` or `end` is not finite or below
    /// 0.
    #[doc(alias("LinearLR", "linear_schedule"))]
    pub fn linear(steps: u64, start: f64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Linear { steps, start, end })
    }

    /// Changes from 1 to `end` along a power of the remaining steps.
    ///
    /// ```text
    /// scale(t) = end + (1 − end)·(1 − min(t, steps) / steps)^power
    /// ```
    /// Same as PyTorch's `PolynomialLR(total_iters=steps, power)` with `end` = 0, and as
    /// `optax.polynomial_schedule(1, end, power, transition_steps=steps)`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::polynomial(100, 2.0, 0.0)?;
    /// assert_eq!([0, 50, 100, 200].map(|t| schedule.scale(t)), [1.0, 0.25, 0.0, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` is 0, if `power` is not finite or not above 0, or
    /// if `end` is not finite or below 0.
    #[doc(alias("PolynomialLR", "polynomial_schedule"))]
    pub fn polynomial(steps: u64, power: f64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Polynomial { steps, power, end })
    }

    /// Changes from 1 to `end` along half a period of a cosine.
    ///
    /// ```text
    /// scale(t) = end + (1 − end)·(1 + cos(π·min(t, steps) / steps)) / 2
    /// ```
    /// Same as `optax.cosine_decay_schedule(1, decay_steps=steps, alpha=end)`, and until `steps` as
    /// PyTorch's `CosineAnnealingLR(T_max=steps, eta_min=end)`, which rises again afterwards.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::cosine(100, 0.0)?;
    /// assert_eq!([0, 50, 100, 200].map(|t| schedule.scale(t)), [1.0, 0.5, 0.0, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` is 0 or `end` is not finite or below 0.
    #[doc(alias("CosineAnnealingLR", "cosine_decay_schedule"))]
    pub fn cosine(steps: u64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Cosine { steps, end })
    }

    /// Rises from `start` to 1 and falls to `end`, both along half a period of a cosine.
    ///
    /// ```text
    /// p = rise·steps − 1                     the peak; may lie between two steps
    /// scale(t) = 1 + (start − 1)·(1 + cos(π·t / p)) / 2                        if t ≤ p
    /// scale(t) = end + (1 − end)·(1 + cos(π·(t − p) / (steps − 1 − p))) / 2    if p < t < steps − 1
    /// scale(t) = end                                                           if t ≥ steps − 1
    /// ```
    /// Same as PyTorch's `OneCycleLR(1, total_steps=steps, pct_start=rise, div_factor=1/start,
    /// final_div_factor=start/end, cycle_momentum=False)`, whose other defaults are `rise` 0.3, `start`
    /// 1/25 and `end` 4e-6. By default, PyTorch also changes β₁ from step to step: see the
    /// [recipe](crate::recipes#other-settings-on-a-schedule). For its linear and three-phase forms
    /// see [`piecewise_linear`](Schedule::piecewise_linear). (`optax.cosine_onecycle_schedule` has its
    /// peak and end one step later.)
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::one_cycle(100, 0.3, 0.1, 0.001)?;
    /// assert_eq!([0, 29, 99, 200].map(|t| schedule.scale(t)), [0.1, 1.0, 0.001, 0.001]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    /// Smith & Topin, *Super-Convergence*, <https://arxiv.org/abs/1708.07120>.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` is 0, if `rise` is not in [0, 1), or if `start` or
    /// `end` is not finite or below 0.
    #[doc(alias("OneCycleLR", "cycle_momentum"))]
    pub fn one_cycle(steps: u64, rise: f64, start: f64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::OneCycle { steps, rise, start, end })
    }

    /// Steps from value to value: a point (t, v) means that the factor is v from step t on.
    ///
    /// Before the first point, the factor is that of the first point. Same as
    /// `optax.piecewise_constant_schedule`, but with values instead of factors on the value before.
    /// (Keras' `PiecewiseConstantDecay` changes one step later.)
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::piecewise_constant([(0, 0.1), (10, 1.0), (50, 0.3)])?;
    /// assert_eq!([0, 9, 10, 49, 50].map(|t| schedule.scale(t)), [0.1, 0.1, 1.0, 1.0, 0.3]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if there is no point, if a point is not later than the one
    /// before, or if a value is not finite or below 0.
    #[doc(alias("piecewise_constant_schedule"))]
    pub fn piecewise_constant(points: impl IntoIterator<Item = (u64, f64)>) -> Result<Self, Error> {
        Schedule::new(Kind::PiecewiseConstant { points: points.into_iter().collect() })
    }

    /// Interpolates linearly between points: a point (t, v) means that the factor is v at step t.
    ///
    /// Before the first point the factor is that of the first, after the last that of the last.
    /// Same as `optax.piecewise_interpolate_schedule('linear', …)`, but with values instead of
    /// factors on the value before.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::piecewise_linear([(0, 0.0), (10, 1.0), (50, 0.5)])?;
    /// assert_eq!([0, 5, 10, 30, 50].map(|t| schedule.scale(t)), [0.0, 0.5, 1.0, 0.75, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if there is no point, if a point is not later than the one
    /// before, or if a value is not finite or below 0.
    #[doc(alias("piecewise_interpolate_schedule"))]
    pub fn piecewise_linear(points: impl IntoIterator<Item = (u64, f64)>) -> Result<Self, Error> {
        Schedule::new(Kind::PiecewiseLinear { points: points.into_iter().collect() })
    }
}

/// Periodic schedules.
impl Schedule {
    /// Repeats [`cosine`](Schedule::cosine); each cycle is `multiplier` times as long as the one
    /// before.
    ///
    /// ```text
    /// scale(t) = end + (1 − end)·(1 + cos(π·t′ / steps′)) / 2
    /// ```
    /// t′ is the number of steps since the last restart, and steps′ = `steps`·`multiplier`ⁿ is the
    /// length of the current cycle after n restarts. Same as PyTorch's
    /// `CosineAnnealingWarmRestarts(T_0=steps, T_mult=multiplier, eta_min=end)`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::cosine_warm_restarts(10, 2, 0.0)?;
    /// assert_eq!([0, 5, 10, 20, 30].map(|t| schedule.scale(t)), [1.0, 0.5, 1.0, 0.5, 1.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    /// Loshchilov & Hutter, *SGDR*, <https://arxiv.org/abs/1608.03983>.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` or `multiplier` is 0 or if `end` is not finite or
    /// below 0.
    #[doc(alias("CosineAnnealingWarmRestarts", "sgdr_schedule"))]
    pub fn cosine_warm_restarts(steps: u64, multiplier: u64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::CosineWarmRestarts { steps, multiplier, end })
    }

    /// As [`cosine_warm_restarts`](Schedule::cosine_warm_restarts), but each peak is `factor` times
    /// as high above `end` as the one before.
    ///
    /// ```text
    /// scale(t) = end + (1 − end)·factorⁿ·(1 + cos(π·t′ / steps′)) / 2      after n restarts
    /// ```
    /// Same as Keras' `CosineDecayRestarts(1, first_decay_steps=steps, t_mul=multiplier,
    /// m_mul=factor, alpha=end)`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::cosine_decay_restarts(10, 2, 0.5, 0.0)?;
    /// assert_eq!([0, 5, 10, 20, 30].map(|t| schedule.scale(t)), [1.0, 0.5, 0.5, 0.25, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `steps` or `multiplier` is 0, if `factor` is not in [0, 1], or
    /// if `end` is not finite or below 0.
    #[doc(alias("CosineDecayRestarts", "sgdr_schedule"))]
    pub fn cosine_decay_restarts(
        steps: u64,
        multiplier: u64,
        factor: f64,
        end: f64,
    ) -> Result<Self, Error> {
        Schedule::new(Kind::CosineDecayRestarts { steps, multiplier, factor, end })
    }

    /// Rises linearly from `base` to 1 in `up` steps, falls back linearly in `down` steps, and
    /// repeats.
    ///
    /// ```text
    /// t′ = t mod (up + down)
    /// scale(t) = base + (1 − base)·amplitude·t′ / up                      if t′ ≤ up
    /// scale(t) = base + (1 − base)·amplitude·(up + down − t′) / down      if t′ > up
    /// ```
    /// Same as PyTorch's `CyclicLR(base_lr=base, max_lr=1, step_size_up=up, step_size_down=down,
    /// cycle_momentum=False)`. By default, PyTorch also changes β₁.
    /// ```
    /// # use adamax::schedule::{Amplitude, Schedule};
    /// let schedule = Schedule::cyclic(4, 4, 0.0, Amplitude::Halving)?;
    /// assert_eq!([0, 2, 4, 6, 8, 12].map(|t| schedule.scale(t)), [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    /// Smith, *Cyclical Learning Rates for Training Neural Networks*,
    /// <https://arxiv.org/abs/1506.01186>.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `up` or `down` is 0, if `base` is not finite or below 0, or
    /// if the factor of [`Amplitude::Decaying`] is not in [0, 1].
    #[doc(alias("CyclicLR", "cycle_momentum"))]
    pub fn cyclic(up: u64, down: u64, base: f64, amplitude: Amplitude) -> Result<Self, Error> {
        Schedule::new(Kind::Cyclic { up, down, base, amplitude })
    }
}

/// Combinations of schedules.
impl Schedule {
    /// Adds a linear warm-up of `steps` steps, from `start` to this schedule's first value, before
    /// this schedule.
    ///
    /// ```text
    /// scale(t) = start + (self(0) − start)·t / steps      if t < steps
    /// scale(t) = self(t − steps)                          if t ≥ steps
    /// ```
    /// With a `start` of 0 the first step moves nothing. With 0 `steps` the result is this schedule.
    /// Same as
    /// `optax.warmup_cosine_decay_schedule` and its relatives, and as PyTorch's `SequentialLR` of a
    /// `LinearLR(start, 1, total_iters=steps)` and another schedule, with the milestone `steps`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::cosine(100, 0.0)?.warm_up(10, 0.5)?;
    /// assert_eq!([0, 5, 10, 60, 110].map(|t| schedule.scale(t)), [0.5, 0.75, 1.0, 0.5, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `start` is not finite or below 0, or if schedules are nested
    /// more than 8 deep.
    #[doc(alias("LinearLR", "warmup_constant_schedule"))]
    pub fn warm_up(self, steps: u64, start: f64) -> Result<Self, Error> {
        Schedule::new(Kind::WarmUp { steps, start, then: Box::new(self) })
    }

    /// Joins schedules: each of `parts` for its number of steps, then `last` without an end. Each
    /// starts from its own step 0.
    ///
    /// Same as `optax.join_schedules` and PyTorch's `SequentialLR`, which take the sums of the
    /// lengths. A part of 0 steps is left out. Without parts, the result is `last`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let parts = [(10, Schedule::linear(10, 0.0, 1.0)?), (90, Schedule::constant(1.0)?)];
    /// let schedule = Schedule::sequence(parts, Schedule::step(50, 0.5)?)?;
    /// assert_eq!([5, 10, 149, 150].map(|t| schedule.scale(t)), [0.5, 1.0, 1.0, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if schedules are nested more than 8 deep.
    #[doc(alias("SequentialLR", "join_schedules"))]
    pub fn sequence(
        parts: impl IntoIterator<Item = (u64, Schedule)>,
        last: Schedule,
    ) -> Result<Self, Error> {
        let parts = parts.into_iter().collect();
        Schedule::new(Kind::Sequence { parts, last: Box::new(last) })
    }

    /// Multiplies this schedule by `factor` at every step.
    ///
    /// The scale is at most `f64::MAX`.
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::cosine(100, 0.0)?.scaled(0.5)?;
    /// assert_eq!([0, 50, 100].map(|t| schedule.scale(t)), [0.5, 0.25, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if `factor` is not finite or below 0, or if schedules are nested
    /// more than 8 deep.
    pub fn scaled(self, factor: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Scaled { factor, of: Box::new(self) })
    }

    /// Multiplies this schedule by another one, step by step.
    ///
    /// The scale is at most `f64::MAX`. Same as PyTorch's `ChainedScheduler` of two schedulers that
    /// multiply. For a [`ReduceOnPlateau`], see the [recipe](crate::recipes#a-schedule-and-a-plateau).
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::linear(10, 0.0, 1.0)?.times(Schedule::step(5, 0.5)?)?;
    /// assert_eq!([0, 4, 5, 10].map(|t| schedule.scale(t)), [0.0, 0.4, 0.25, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`] if schedules are nested more than 8 deep.
    #[doc(alias("ChainedScheduler"))]
    pub fn times(self, other: Schedule) -> Result<Self, Error> {
        Schedule::new(Kind::Product { of: Box::new(self), times: Box::new(other) })
    }
}
