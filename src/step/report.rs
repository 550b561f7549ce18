//! Steps that say what they did, in the same pass over memory.

use ndarray::{ArrayRef, Dimension, IxDyn};

use super::{Outcome, admit};
#[cfg(feature = "rayon")]
use crate::par::Parallel;
use crate::{
    error::Error,
    par::{Execute, Sequential, Summary},
    real::Real,
    reduce::{
        Elements,
        norm::{Factor, Norm},
    },
    rule::Adamax,
    state::State,
    update::{coefficients::Coefficients, contiguous::Observe, operands::Gapped, pair::Pair},
};

/// The figures of one step: norms, the clip factor, and the largest change of a parameter.
///
/// [`Adamax::step_with_report`] returns the report of a tensor,
/// [`Optimizer::step_with_report`](crate::Optimizer::step_with_report) that of a batch, and
/// [`Optimizer::report`](crate::Optimizer::report) that of a tensor of the batch. No second pass over
/// an array is needed to know what a step did.
///
/// | figure | of a batch | if the step is skipped |
/// |---|---|---|
/// | [`gradient_norm`](Report::gradient_norm) | norm of all gradients together | the same |
/// | [`clip_factor`](Report::clip_factor) | smallest factor of a tensor | 1 |
/// | [`max_gradient`](Report::max_gradient) | largest of all tensors | the same |
/// | [`max_step`](Report::max_step) | largest of all tensors | 0 |
///
/// # Precision
/// The same bits for every memory layout, number of threads and instruction set. Figures are `f64`.
/// A maximum is NaN if one of its values is NaN.
///
/// # Cost
/// The maxima are found during the update, while the elements are in registers. The norm takes one read
/// of the gradient before the update. A finite norm proves that the gradient is finite, so it replaces
/// the usual check.
///
/// # Examples
/// A loop that logs norms, warns if the learning rate is the limit, and stops when nothing moves any
/// more. No step is longer than 1.00909·α at the default decay rates (see [`Adamax`](Adamax#step-size)).
/// A ratio that stays near 1 says that some parameter always moves in one direction, as fast as it can:
/// the learning rate may be raised.
/// ```
/// use adamax::{Adamax, State};
/// use ndarray::{Array1, array};
///
/// let rule = Adamax::builder().learning_rate(0.0005).build()?;
/// let target = array![1.0, -2.0];
/// let mut x = Array1::<f64>::zeros(2);
/// let mut state = State::zeros_like(&x);
///
/// let (mut saturated, mut warned) = (0, false);
/// for t in 1..20_000 {
///     let gradient = (&x - &target) * 2.0;                       // of |x − target|²
///     let report = rule.step_with_report(&mut state, &mut x, &gradient)?;
///     if t % 1000 == 0 {
///         println!("{t}: norm {:.3e}, step {:.3e}", report.gradient_norm(), report.max_step());
///     }
///     let saturation = report.max_step() / (1.00909 * rule.learning_rate());
///     saturated = if saturation > 0.9 { saturated + 1 } else { 0 };
///     if saturated == 50 && !warned {
///         println!("{t}: 50 steps of full length; the learning rate may be too low");
///         warned = true;
///     }
///     if report.max_step() < 1e-9 {
///         break;
///     }
/// }
/// assert!(warned && state.steps() < 15_000);
/// assert!((&x - &target).iter().all(|error| error.abs() < 1e-5));
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    outcome: Outcome,
    gradient_norm: f64,
    clip_factor: f64,
    max_gradient: f64,
    max_step: f64,
}

/// The figures.
impl Report {
    /// Returns the outcome: the step was taken, or skipped.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the Euclidean norm of the gradient, as the caller passed it: before clipping, value
    /// clipping and L2 regularisation.
    ///
    /// It has the bits of the norm that [`MaxNorm`](crate::MaxNorm) compares with its bound. Infinite if
    /// the norm of finite gradients is beyond the largest `f64`.
    #[must_use]
    pub fn gradient_norm(&self) -> f64 {
        self.gradient_norm
    }

    /// Returns the factor by which clipping multiplied the gradient: `bound / norm`, or 1 if nothing was
    /// clipped. It is 0 if it is below the smallest `f64`.
    ///
    /// Clipping by [value](crate::AdamaxBuilder::clip_value) does not count.
    #[must_use]
    pub fn clip_factor(&self) -> f64 {
        self.clip_factor
    }

    /// Returns the largest magnitude of an entry of the gradient, as the caller passed it; 0 for an
    /// empty one.
    #[must_use]
    pub fn max_gradient(&self) -> f64 {
        self.max_gradient
    }

    /// Returns the largest change |Δx| of a parameter, after decay and bounds; 0 for an empty one.
    ///
    /// Δx is the difference of the new and the old value in memory, rounded to the precision of the
    /// tensor. So it is 0 where a step is lost to rounding: no entry has moved.
    /// [`Stop::judge_step`](crate::Stop::judge_step) compares it with a tolerance.
    #[must_use]
    pub fn max_step(&self) -> f64 {
        self.max_step
    }
}

/// Reports of one step that several processes have taken together.
impl Report {
    /// Adds the figures of another process: the smaller clip factor, and the larger gradient and step.
    /// Outcome and norm stay, because the processes have agreed on them.
    ///
    /// # Examples
    /// See [`Optimizer::check_for_report`](crate::Optimizer::check_for_report).
    pub fn join(&mut self, other: &Self) {
        self.include(other);
    }

    /// Returns the report as numbers to send. [`from_words`](Report::from_words) reads them.
    ///
    /// ```
    /// use adamax::{Adamax, Report, State};
    /// use ndarray::array;
    ///
    /// let (rule, mut x) = (Adamax::default(), array![1.0]);
    /// let report = rule.step_with_report(&mut State::zeros_like(&x), &mut x, &array![0.5])?;
    /// assert_eq!(Report::from_words(&report.to_words()), Some(report));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn to_words(&self) -> [u64; 5] {
        let Report { outcome, gradient_norm, clip_factor, max_gradient, max_step } = *self;
        let [a, b, c, d] = [gradient_norm, clip_factor, max_gradient, max_step].map(f64::to_bits);
        [u64::from(outcome == Outcome::Applied), a, b, c, d]
    }

    /// Reads what [`to_words`](Report::to_words) has written; `None` if the words are something else.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let &[outcome, ref figures @ ..] = <&[u64; 5]>::try_from(words).ok()?;
        let outcome = match outcome {
            0 => Outcome::Skipped,
            1 => Outcome::Applied,
            _ => return None,
        };
        let figures = figures.map(f64::from_bits);
        if figures.iter().any(|&figure| figure.is_sign_negative() && !figure.is_nan()) {
            return None;
        }
        let [gradient_norm, clip_factor, max_gradient, max_step] = figures.map(canonical);
        Some(Report { outcome, gradient_norm, clip_factor, max_gradient, max_step })
    }
}

impl Report {
    pub(crate) fn new<A: Real>(
        outcome: Outcome,
        norm: Norm,
        factor: Factor,
        extremes: Extremes<A>,
    ) -> Self {
        let clip_factor = if outcome == Outcome::Applied { factor.to_f64() } else { 1.0 };
        let [max_gradient, max_step] = [extremes.gradient, extremes.step].map(A::widen);
        Report {
            outcome,
            gradient_norm: canonical(norm.to_f64()),
            clip_factor: canonical(clip_factor),
            max_gradient: canonical(max_gradient),
            max_step: canonical(max_step),
        }
    }

    /// Takes the factor and the maxima of one tensor into the report of its batch.
    pub(crate) fn include(&mut self, tensor: &Self) {
        let smaller = self.clip_factor <= tensor.clip_factor || self.clip_factor.is_nan();
        self.clip_factor = if smaller { self.clip_factor } else { tensor.clip_factor };
        self.max_gradient = larger(self.max_gradient, tensor.max_gradient);
        self.max_step = larger(self.max_step, tensor.max_step);
    }
}

/// Replaces any NaN by one and the same: the bits of NaN differ between processors.
fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// Returns the larger of two numbers ≥ 0; NaN if one is NaN.
#[inline(always)]
fn larger<A: Real>(a: A, b: A) -> A {
    a.larger_magnitude(b)
}

/// The largest magnitudes of gradient and step, collected during the update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extremes<A> {
    gradient: A,
    step: A,
}

impl<A: Real> Extremes<A> {
    /// Those of a step that was skipped.
    #[cold]
    pub(crate) fn of_skipped(gradient: Elements<'_, A, IxDyn>) -> Self {
        let take = |largest, value: &A| larger(largest, value.abs());
        let gradient = match gradient {
            Elements::Gapless { values, .. } => values.iter().fold(A::ZERO, take),
            Elements::Gapped(array) | Elements::Rows(array) => array.fold(A::ZERO, take),
        };
        Extremes { gradient, step: A::ZERO }
    }
}

impl<A: Real> Summary for Extremes<A> {
    const EMPTY: Self = Extremes { gradient: A::ZERO, step: A::ZERO };

    #[inline(always)]
    fn join(&mut self, other: Self) {
        self.gradient = larger(self.gradient, other.gradient);
        self.step = larger(self.step, other.step);
    }
}

impl<A: Real> Observe<A> for Extremes<A> {
    const OBSERVES: bool = true;

    #[inline(always)]
    fn observe_gradient(&mut self, g: A) {
        self.gradient = larger(self.gradient, g.abs());
    }

    #[inline(always)]
    fn observe_step(&mut self, x: A, new_x: A) {
        self.step = larger(self.step, (new_x - x).abs());
    }
}

/// Steps with a report.
impl Adamax {
    /// Takes a [`step`](Adamax::step), and says what it did.
    ///
    /// Parameter and state get the same bits as by `step`. A step that is skipped has a report too.
    ///
    /// # Cost
    /// One read of the gradient, for its norm, and the pass over the four arrays. The norm replaces the
    /// check that the gradient is finite.
    ///
    /// # Errors
    /// As [`step`](Adamax::step).
    ///
    /// # Allocation
    /// As [`step`](Adamax::step).
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Outcome, State};
    /// use ndarray::array;
    ///
    /// let mut x = array![1.0_f64, 2.0];
    /// let mut state = State::zeros_like(&x);
    /// let report = Adamax::default().step_with_report(&mut state, &mut x, &array![3.0, -4.0])?;
    /// assert_eq!(report.outcome(), Outcome::Applied);
    /// assert_eq!((report.gradient_norm(), report.max_gradient()), (5.0, 4.0));
    /// assert!((report.max_step() - 0.002).abs() < 1e-8);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    /// [`Report`] has a whole loop.
    pub fn step_with_report<A: Real, D: Dimension>(
        &self,
        state: &mut State<A>,
        param: &mut ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<Report, Error> {
        self.advance_with_report(Sequential, state, param, grad)
    }

    /// Takes a [`step_with_report`](Adamax::step_with_report) on the threads of the current rayon pool,
    /// with the same bits. [`par_step`](Adamax::par_step) says when threads are used.
    ///
    /// # Errors
    /// As [`step`](Adamax::step).
    ///
    /// # Allocation
    /// As [`par_step`](Adamax::par_step).
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, State};
    /// use ndarray::Array2;
    ///
    /// let (mut x, g) = (Array2::<f32>::ones((500, 200)), Array2::from_elem((500, 200), -0.5));
    /// let mut state = State::zeros_like(&x);
    /// let report = Adamax::default().par_step_with_report(&mut state, &mut x, &g)?;
    /// assert_eq!(report.max_gradient(), 0.5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[cfg(feature = "rayon")]
    pub fn par_step_with_report<A: Real, D: Dimension>(
        &self,
        state: &mut State<A>,
        param: &mut ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<Report, Error> {
        if Parallel::pays(param.len()) {
            self.advance_with_report(Parallel, state, param, grad)
        } else {
            self.advance_with_report(Sequential, state, param, grad)
        }
    }

    #[inline(always)]
    fn advance_with_report<A: Real, D: Dimension>(
        &self,
        execute: impl Execute,
        state: &mut State<A>,
        param: &mut ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<Report, Error> {
        let mut pair = Pair::<'_, A, Gapped<'_, A>>::new(param, grad);
        let t = pair.check(state)?;
        let mut k = Coefficients::new(self, t, 1.0);
        k.set_balanced(state.is_balanced());
        k.check(self)?;
        let norm = Norm::of(execute, pair.gradient());
        let is_usual =
            !k.checks() || (k.is_bounded() && state.is_usual() && norm.is_moderate::<A>());
        let outcome = admit(self, is_usual, || pair.examine(execute, &k, state))?;
        let extremes = match outcome {
            Outcome::Applied => pair.step(execute, &k, state.begin_step(k.keeps())),
            Outcome::Skipped => Extremes::of_skipped(pair.gradient()),
        };
        Ok(Report::new(outcome, norm, Factor::ONE, extremes))
    }
}
