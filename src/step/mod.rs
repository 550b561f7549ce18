//! One step of one tensor, in place: checks everything, then walks.

pub(crate) mod functional;

use ndarray::{ArrayRef, Dimension};

#[cfg(feature = "rayon")]
use crate::par::Parallel;
use crate::{
    error::Error,
    par::{Fork, Serial},
    real::Real,
    rule::{Adamax, NonFinite},
    state::State,
    update::coefficients::{Coefficients, Scale},
    update::pair::Pair,
};

/// What a step that was not refused has done.
///
/// ```
/// use adamax::{Adamax, NonFinite, Outcome, State};
/// use ndarray::array;
///
/// let rule = Adamax::builder().non_finite(NonFinite::Skip).build()?;
/// let mut x = array![1.0];
/// let mut state = State::zeros_like(&x);
/// let mut skipped = 0;
/// for g in [0.5, f64::NAN, 0.25] {
///     if rule.step(&mut state, &mut x, &array![g])? == Outcome::Skipped {
///         skipped += 1;
///     }
/// }
/// assert_eq!((state.steps(), skipped), (2, 1));
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Parameters, moments and step counters have advanced.
    Applied,
    /// A gradient was not finite and the rule says [`NonFinite::Skip`]: nothing has changed.
    Skipped,
}

impl Adamax {
    /// Advances one tensor by one Adamax step, in place.
    ///
    /// ```text
    /// m ← β₁·m + (1 − β₁)·g          u ← max(β₂·u, |g|)          x ← x − α/(1 − β₁ᵗ) · m/(u + ε)
    /// ```
    /// `x` is `param`, `g` is `grad`; `m`, `u` and `t` live in `state`. All arrays have one shape,
    /// of any dimension from 0 up, and any memory layout: row-major, column-major, permuted, sliced
    /// with steps, reversed; `grad` may be broadcast. Fastest when layouts agree, as they do for a
    /// state made by [`State::zeros_like`].
    ///
    /// # Order of operations
    /// Negate (to maximize), clip by value, add λ·x (L2), update m and u, then decoupled decay and
    /// update, both from the old x. The gradient is never written to.
    ///
    /// # Errors
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes of `param`, `grad` and `state`
    ///   differ;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if `grad` holds NaN or an infinity and
    ///   the rule says [`NonFinite::Error`];
    /// - [`ErrorKind::StepCount`](crate::ErrorKind::StepCount) if t is `u64::MAX`;
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if a coefficient of the step
    ///   overflows the precision of the tensor, such as a learning rate of 1e39 for `f32`.
    ///
    /// After an error, and after [`Outcome::Skipped`], parameter and state are as they were.
    ///
    /// # Allocation
    /// None if all arrays are in row-major order, or have at most 4 axes. (ndarray keeps up to 4
    /// axes of a dynamic dimension inline.)
    ///
    /// # Precision
    /// The same bits on every layout and instruction set; no fused multiply-add. First moments and
    /// decayed norms below the smallest normal number become 0.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, State};
    /// use ndarray::array;
    ///
    /// let rule = Adamax::default();                       // α = 0.002
    /// let mut x = array![[1.0_f64, -2.0]];
    /// let mut state = State::zeros_like(&x);
    /// rule.step(&mut state, &mut x, &array![[0.5, -0.1]])?;
    /// assert_eq!(state.steps(), 1);                       // the first step moves each entry by
    /// assert!((x[[0, 0]] - 0.998).abs() < 1e-9);          // α·sign(g), to within ε/|g|
    /// # Ok::<(), adamax::Error>(())
    /// ```
    /// Kingma & Ba, *Adam*, §7.1, Algorithm 2, <https://arxiv.org/abs/1412.6980>.
    pub fn step<A: Real, D: Dimension>(
        &self,
        state: &mut State<A>,
        param: &mut ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<Outcome, Error> {
        self.advance(Serial, state, param, grad)
    }

    /// [`step`](Adamax::step) on the threads of the current rayon pool, with the same bits.
    ///
    /// Tensors below 131 072 elements are stepped on the calling thread. To choose the pool, call
    /// from within rayon's `ThreadPool::install`; a thread that is not of the pool works with it, and
    /// starts before the others have been woken.
    ///
    /// # Errors
    /// As [`step`](Adamax::step).
    ///
    /// # Allocation
    /// As [`step`](Adamax::step), but for what rayon may need to queue work.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, State};
    /// use ndarray::Array2;
    ///
    /// let (mut x, g) = (Array2::<f32>::ones((500, 200)), Array2::from_elem((500, 200), 0.1));
    /// let mut state = State::zeros_like(&x);
    /// Adamax::default().par_step(&mut state, &mut x, &g)?;
    /// assert_eq!(state.steps(), 1);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[cfg(feature = "rayon")]
    pub fn par_step<A: Real, D: Dimension>(
        &self,
        state: &mut State<A>,
        param: &mut ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<Outcome, Error> {
        if Parallel::pays(param.len()) {
            self.advance(Parallel, state, param, grad)
        } else {
            self.advance(Serial, state, param, grad)
        }
    }

    fn advance<A: Real, D: Dimension>(
        &self,
        fork: impl Fork,
        state: &mut State<A>,
        param: &mut ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<Outcome, Error> {
        let mut pair = Pair::new(param, grad);
        let t = pair.check(state)?;
        let k = Coefficients::new(self, t, Scale::NEUTRAL);
        k.check()?;
        let outcome = admit(self, || pair.is_finite(fork), || pair.refusal())?;
        if outcome == Outcome::Applied {
            pair.step(fork, &k, state.parts_mut());
        }
        Ok(outcome)
    }
}

/// Applies the rule's policy for gradients that are not finite.
#[inline(always)]
pub(crate) fn admit(
    rule: &Adamax,
    is_finite: impl FnOnce() -> bool,
    refusal: impl FnOnce() -> Error,
) -> Result<Outcome, Error> {
    match rule.non_finite() {
        NonFinite::Propagate => Ok(Outcome::Applied),
        _ if is_finite() => Ok(Outcome::Applied),
        NonFinite::Skip => Ok(Outcome::Skipped),
        NonFinite::Error => Err(refusal()),
    }
}
