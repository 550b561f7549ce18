//! Learning-rate schedules: factors on the learning rate.
//!
//! A [`Schedule`] is a pure function of the step, for [`Optimizer::set_lr_scale`] or for a builder's
//! [`learning_rate`]; [`ReduceOnPlateau`] watches a loss instead.
//!
//! | schedule | as in PyTorch 2.15, with a learning rate of 1 | as in optax 0.2.8 |
//! |---|---|---|
//! | [`constant`](Schedule::constant) | | `constant_schedule` |
//! | [`step`](Schedule::step) | `StepLR` | `exponential_decay`, `staircase` on |
//! | [`multi_step`](Schedule::multi_step) | `MultiStepLR` | |
//! | [`exponential`](Schedule::exponential) | `ExponentialLR` | `exponential_decay` |
//! | [`inverse_time`](Schedule::inverse_time) | (Keras' `InverseTimeDecay`) | |
//! | [`polynomial`](Schedule::polynomial) | `PolynomialLR` | `polynomial_schedule` |
//! | [`linear`](Schedule::linear) | `LinearLR` | `linear_schedule` |
//! | [`cosine`](Schedule::cosine) | `CosineAnnealingLR`, up to its end | `cosine_decay_schedule` |
//! | [`cosine_warm_restarts`](Schedule::cosine_warm_restarts) | `CosineAnnealingWarmRestarts` | `sgdr_schedule` |
//! | [`one_cycle`](Schedule::one_cycle) | `OneCycleLR` | |
//! | [`cyclic`](Schedule::cyclic) | `CyclicLR` | |
//! | [`noam`](Schedule::noam) | | |
//! | [`piecewise_constant`](Schedule::piecewise_constant) | | `piecewise_constant_schedule` |
//! | [`piecewise_linear`](Schedule::piecewise_linear) | | `piecewise_interpolate_schedule` |
//! | [`warm_up`](Schedule::warm_up) | `LinearLR` in a `SequentialLR` | `warmup_constant_schedule` and others |
//! | [`sequence`](Schedule::sequence) | `SequentialLR` | `join_schedules` |
//!
//! [`Optimizer::set_lr_scale`]: crate::Optimizer::set_lr_scale
//! [`learning_rate`]: crate::AdamaxBuilder::learning_rate

mod formula;
mod kind;
mod plateau;

use alloc::boxed::Box;

use crate::error::Error;

pub(crate) use kind::Kind;
#[cfg(feature = "serde")]
pub(crate) use plateau::{Observed, Settings};

pub use kind::Amplitude;
pub use plateau::{ReduceOnPlateau, ReduceOnPlateauBuilder, Threshold};

/// A factor on the learning rate, as a pure function of the step.
///
/// [`scale(t)`](Schedule::scale) is the factor for step t, counted from 0. Made by one of the
/// constructors, put together by [`warm_up`](Schedule::warm_up) and [`sequence`](Schedule::sequence).
/// In all of them, `u64` arguments are steps and `f64` arguments are factors, where 1 is the
/// learning rate of the rule. A small value: clone it, compare it, save it.
///
/// Every schedule has its exact value at its ends and corners, stays at its last value beyond its
/// end (unless it goes round for ever), and is finite and at least 0 for every t.
///
/// # Precision
/// Powers and cosines come from `libm`, so that every platform gets the same bits. Values between
/// two ends never leave the range between them.
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
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    kind: Kind,
}

impl Schedule {
    pub(crate) fn new(kind: Kind) -> Result<Self, Error> {
        kind.check()?;
        Ok(Schedule { kind })
    }

    #[cfg(feature = "serde")]
    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The factor on the learning rate for step `t`, where the first step is 0.
    ///
    /// Finite and at least 0, for every `t`.
    ///
    /// # Allocation
    /// None.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::linear(10, 1.0, 0.0)?;
    /// let rates: Vec<f64> = [0, 5, 10, u64::MAX].iter().map(|&t| 0.25 * schedule.scale(t)).collect();
    /// assert_eq!(rates, [0.25, 0.125, 0.0, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn scale(&self, t: u64) -> f64 {
        self.kind.scale(t)
    }
}

/// Decays without an end.
impl Schedule {
    /// The same factor at every step.
    ///
    /// As `optax.constant_schedule(scale)`. (PyTorch's `ConstantLR` is a factor for some steps, then
    /// 1: `Schedule::piecewise_constant([(0, factor), (steps, 1.0)])`.)
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `scale` is not finite or
    /// below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// assert_eq!(Schedule::constant(0.5)?.scale(1_000_000), 0.5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn constant(scale: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Constant { scale })
    }

    /// Multiplies by `factor` after every `steps` steps.
    ///
    /// ```text
    /// scale(t) = factor^⌊t / steps⌋
    /// ```
    /// As PyTorch's `StepLR(step_size=steps, gamma=factor)`.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0 or `factor`
    /// is not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::step(30, 0.5)?;
    /// assert_eq!([29, 30, 59, 60].map(|t| schedule.scale(t)), [1.0, 0.5, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn step(steps: u64, factor: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Step { steps, factor })
    }

    /// Multiplies by `factor` at each milestone.
    ///
    /// ```text
    /// scale(t) = factor^(number of milestones ≤ t)
    /// ```
    /// As PyTorch's `MultiStepLR(milestones, gamma=factor)`.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if there is no milestone, if
    /// one is not greater than the one before, or if `factor` is not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::multi_step([30, 80], 0.5)?;
    /// assert_eq!([29, 30, 79, 80].map(|t| schedule.scale(t)), [1.0, 0.5, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn multi_step(
        milestones: impl IntoIterator<Item = u64>,
        factor: f64,
    ) -> Result<Self, Error> {
        let milestones = milestones.into_iter().collect();
        Schedule::new(Kind::MultiStep { milestones, factor })
    }

    /// Multiplies by `factor` in the course of every `steps` steps, smoothly.
    ///
    /// ```text
    /// scale(t) = factor^(t / steps)
    /// ```
    /// As PyTorch's `ExponentialLR(gamma=factor)` with `steps` = 1, and as
    /// `optax.exponential_decay(1, transition_steps=steps, decay_rate=factor)`.
    ///
    /// A `factor` above 1 makes the rate grow, to find out by trial which is too large.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0 or `factor`
    /// is not finite or not above 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::exponential(100, 0.25)?;
    /// assert_eq!([0, 50, 100].map(|t| schedule.scale(t)), [1.0, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn exponential(steps: u64, factor: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Exponential { steps, factor })
    }

    /// Decays as 1/t in the long run.
    ///
    /// ```text
    /// scale(t) = 1 / (1 + rate·t / steps)
    /// ```
    /// As Keras' `InverseTimeDecay(1, decay_steps=steps, decay_rate=rate)`.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0 or `rate` is
    /// not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::inverse_time(100, 1.0)?;
    /// assert_eq!([0, 100, 300].map(|t| schedule.scale(t)), [1.0, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn inverse_time(steps: u64, rate: f64) -> Result<Self, Error> {
        Schedule::new(Kind::InverseTime { steps, rate })
    }

    /// Rises linearly to 1 over the first `steps` steps, then decays as 1/√t.
    ///
    /// ```text
    /// scale(t) = min((t + 1) / steps, √(steps / (t + 1)))
    /// ```
    /// Vaswani et al., *Attention Is All You Need*, §5.3, equation 3,
    /// <https://arxiv.org/abs/1706.03762>, where the peak is (d·steps)^(−1/2) for a model of width
    /// d; here it is 1, times the rule's learning rate.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::noam(4000)?;
    /// assert_eq!([1999, 3999, 15_999].map(|t| schedule.scale(t)), [0.5, 1.0, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn noam(steps: u64) -> Result<Self, Error> {
        Schedule::new(Kind::Noam { steps })
    }
}

/// From one value to another, which lasts.
impl Schedule {
    /// Goes from `start` to `end` along a line, in `steps` steps.
    ///
    /// ```text
    /// scale(t) = start + (end − start)·min(t, steps) / steps
    /// ```
    /// As PyTorch's `LinearLR(start_factor=start, end_factor=end, total_iters=steps)` and
    /// `optax.linear_schedule(start, end, transition_steps=steps)`.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0 or if `start`
    /// or `end` is not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::linear(100, 1.0, 0.5)?;
    /// assert_eq!([0, 50, 100, 200].map(|t| schedule.scale(t)), [1.0, 0.75, 0.5, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn linear(steps: u64, start: f64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Linear { steps, start, end })
    }

    /// Goes from 1 to `end` along a power of the steps that remain.
    ///
    /// ```text
    /// scale(t) = end + (1 − end)·(1 − min(t, steps) / steps)^power
    /// ```
    /// As PyTorch's `PolynomialLR(total_iters=steps, power)` with `end` = 0, and as
    /// `optax.polynomial_schedule(1, end, power, transition_steps=steps)`.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0, if `power`
    /// is not finite or not above 0, or if `end` is not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::polynomial(100, 2.0, 0.0)?;
    /// assert_eq!([0, 50, 100, 200].map(|t| schedule.scale(t)), [1.0, 0.25, 0.0, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn polynomial(steps: u64, power: f64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Polynomial { steps, power, end })
    }

    /// Goes from 1 to `end` along half a period of a cosine.
    ///
    /// ```text
    /// scale(t) = end + (1 − end)·(1 + cos(π·min(t, steps) / steps)) / 2
    /// ```
    /// As `optax.cosine_decay_schedule(1, decay_steps=steps, alpha=end)`, and up to `steps` as
    /// PyTorch's `CosineAnnealingLR(T_max=steps, eta_min=end)`, which rises again beyond its end.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0 or `end` is
    /// not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::cosine(100, 0.0)?;
    /// assert_eq!([0, 50, 100, 200].map(|t| schedule.scale(t)), [1.0, 0.5, 0.0, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn cosine(steps: u64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::Cosine { steps, end })
    }

    /// Rises from `start` to 1 and falls to `end`, both along half a period of a cosine.
    ///
    /// ```text
    /// p = rise·steps − 1                                               the peak, perhaps between two steps
    /// scale(t) = 1 + (start − 1)·(1 + cos(π·t / p)) / 2                if t ≤ p
    /// scale(t) = end + (1 − end)·(1 + cos(π·(t − p) / (steps − 1 − p))) / 2      until the last step
    /// ```
    /// The last step, t = `steps` − 1, is the first that has `end`. As PyTorch's `OneCycleLR(1,
    /// total_steps=steps, pct_start=rise, div_factor=1/start, final_div_factor=start/end)`, whose
    /// defaults are `rise` 0.3, `start` 1/25 and `end` 1/250 000. For its forms with lines or with
    /// three phases see [`piecewise_linear`](Schedule::piecewise_linear).
    /// (`optax.cosine_onecycle_schedule` has peak and end one step later.)
    ///
    /// Smith & Topin, *Super-Convergence*, <https://arxiv.org/abs/1708.07120>.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0, if `rise` is
    /// not in [0, 1), or if `start` or `end` is not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::one_cycle(100, 0.3, 0.1, 0.001)?;
    /// assert_eq!([0, 29, 99, 200].map(|t| schedule.scale(t)), [0.1, 1.0, 0.001, 0.001]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn one_cycle(steps: u64, rise: f64, start: f64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::OneCycle { steps, rise, start, end })
    }

    /// Has the value of the last point reached: a staircase.
    ///
    /// A point (t, v) says that the value is v from step t on. Before the first point, the value is
    /// that of the first.
    ///
    /// As `optax.piecewise_constant_schedule`, but with values where that has factors on the value
    /// before. (Keras' `PiecewiseConstantDecay` changes one step later.)
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if there is no point, if a
    /// point is not later than the one before, or if a value is not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::piecewise_constant([(0, 0.1), (10, 1.0), (50, 0.3)])?;
    /// assert_eq!([0, 9, 10, 49, 50].map(|t| schedule.scale(t)), [0.1, 0.1, 1.0, 1.0, 0.3]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn piecewise_constant(points: impl IntoIterator<Item = (u64, f64)>) -> Result<Self, Error> {
        Schedule::new(Kind::PiecewiseConstant { points: points.into_iter().collect() })
    }

    /// Goes along lines from point to point.
    ///
    /// A point (t, v) says that the value at step t is v. Before the first point and after the last,
    /// the value stays.
    ///
    /// As `optax.piecewise_interpolate_schedule('linear', …)`, but with values where that has factors
    /// on the value before.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if there is no point, if a
    /// point is not later than the one before, or if a value is not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::piecewise_linear([(0, 0.0), (10, 1.0), (50, 0.5)])?;
    /// assert_eq!([0, 5, 10, 30, 50].map(|t| schedule.scale(t)), [0.0, 0.5, 1.0, 0.75, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn piecewise_linear(points: impl IntoIterator<Item = (u64, f64)>) -> Result<Self, Error> {
        Schedule::new(Kind::PiecewiseLinear { points: points.into_iter().collect() })
    }
}

/// Round and round.
impl Schedule {
    /// Repeats [`cosine`](Schedule::cosine), each time `multiplier` times as long.
    ///
    /// ```text
    /// scale(t) = end + (1 − end)·(1 + cos(π·t′ / steps′)) / 2
    /// ```
    /// where t′ is the number of steps since the last restart and steps′ = `steps`·`multiplier`ⁿ is
    /// the length of the present cycle, n restarts after the first. As PyTorch's
    /// `CosineAnnealingWarmRestarts(T_0=steps, T_mult=multiplier, eta_min=end)`.
    ///
    /// Loshchilov & Hutter, *SGDR*, <https://arxiv.org/abs/1608.03983>.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` or `multiplier` is
    /// 0 or if `end` is not finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::cosine_warm_restarts(10, 2, 0.0)?;
    /// assert_eq!([0, 5, 10, 20, 30].map(|t| schedule.scale(t)), [1.0, 0.5, 1.0, 0.5, 1.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn cosine_warm_restarts(steps: u64, multiplier: u64, end: f64) -> Result<Self, Error> {
        Schedule::new(Kind::CosineWarmRestarts { steps, multiplier, end })
    }

    /// Rises from `base` to 1 along a line in `up` steps, falls back in `down` steps, and repeats.
    ///
    /// ```text
    /// t′ = t mod (up + down)
    /// scale(t) = base + (1 − base)·amplitude·(t′ / up  or  (up + down − t′) / down)
    /// ```
    /// As PyTorch's `CyclicLR(base_lr=base, max_lr=1, step_size_up=up, step_size_down=down)`.
    ///
    /// Smith, *Cyclical Learning Rates for Training Neural Networks*,
    /// <https://arxiv.org/abs/1506.01186>.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `up` or `down` is 0, if
    /// `base` is not finite or below 0, or if the factor of [`Amplitude::Decaying`] is not in
    /// [0, 1].
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::{Amplitude, Schedule};
    /// let schedule = Schedule::cyclic(4, 4, 0.0, Amplitude::Halving)?;
    /// assert_eq!([0, 2, 4, 6, 8, 12].map(|t| schedule.scale(t)), [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn cyclic(up: u64, down: u64, base: f64, amplitude: Amplitude) -> Result<Self, Error> {
        Schedule::new(Kind::Cyclic { up, down, base, amplitude })
    }
}

/// Putting schedules together.
impl Schedule {
    /// Goes from `start` to this schedule's first value along a line, in `steps` steps, and then
    /// through this schedule from its beginning.
    ///
    /// ```text
    /// scale(t) = start + (self(0) − start)·t / steps      if t < steps
    /// scale(t) = self(t − steps)                          from then on
    /// ```
    /// With a `start` of 0 the first step moves nothing. As `optax.warmup_cosine_decay_schedule` and
    /// the like; as PyTorch's `SequentialLR` of a `LinearLR(start, 1, total_iters=steps)` and
    /// another, with the milestone `steps`.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `steps` is 0, if `start`
    /// is not finite or below 0, or if schedules are nested more than 64 deep.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let schedule = Schedule::cosine(100, 0.0)?.warm_up(10, 0.5)?;
    /// assert_eq!([0, 5, 10, 60, 110].map(|t| schedule.scale(t)), [0.5, 0.75, 1.0, 0.5, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn warm_up(self, steps: u64, start: f64) -> Result<Self, Error> {
        Schedule::new(Kind::WarmUp { steps, start, then: Box::new(self) })
    }

    /// One schedule after the other, each from its beginning: those of `parts` for so many steps
    /// each, then `last` for ever.
    ///
    /// As `optax.join_schedules` and PyTorch's `SequentialLR`, which are given the sums of the
    /// lengths. Without parts, it is `last`.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if a part has 0 steps or if
    /// schedules are nested more than 64 deep.
    ///
    /// # Examples
    /// ```
    /// # use adamax::schedule::Schedule;
    /// let parts = [(10, Schedule::linear(10, 0.0, 1.0)?), (90, Schedule::constant(1.0)?)];
    /// let schedule = Schedule::sequence(parts, Schedule::step(50, 0.5)?)?;
    /// assert_eq!([5, 10, 149, 150].map(|t| schedule.scale(t)), [0.5, 1.0, 1.0, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn sequence(
        parts: impl IntoIterator<Item = (u64, Schedule)>,
        last: Schedule,
    ) -> Result<Self, Error> {
        let parts = parts.into_iter().collect();
        Schedule::new(Kind::Sequence { parts, last: Box::new(last) })
    }
}
