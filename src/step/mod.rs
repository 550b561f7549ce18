//! One step of one tensor, in place: all checks, then the update.

pub(crate) mod functional;
pub(crate) mod projected;
pub(crate) mod report;

use ndarray::{ArrayRef, Dimension};

#[cfg(feature = "rayon")]
use crate::par::Parallel;
use crate::{
    error::Error,
    par::{Execute, Sequential},
    real::Real,
    rule::{Adamax, NonFinite},
    state::State,
    update::{
        coefficients::Coefficients,
        operands::Gapped,
        pair::Pair,
        rehearsal::{self, Obstacle},
    },
};

/// The result of a step that was not refused.
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
    /// A gradient was not finite and the rule has [`NonFinite::Skip`]. Nothing has changed.
    Skipped,
}

impl Adamax {
    /// Advances one tensor by one Adamax step, in place.
    ///
    /// ```text
    /// m ← β₁·m + (1 − β₁)·g          u ← max(β₂·u, |g|)          x ← x − α/(1 − β₁ᵗ) · m/(u + ε)
    /// ```
    /// `x` is `param` and `g` is `grad`; `m`, `u` and `t` are in `state`. The arrays have one shape, of
    /// any number of axes from 0 up. Each may have any memory layout: row-major, column-major,
    /// permuted, reversed, a slice with or without steps. `grad` may be broadcast.
    ///
    /// # Order of operations
    /// 1. Negate the gradient (to maximise), clip it by value, add λ·x (L2).
    /// 2. Update m and u.
    /// 3. Decay x (decoupled) and subtract the step. Both use the old x. Then keep x within its bounds.
    ///
    /// The gradient is not written to.
    ///
    /// # Cost
    /// One pass over the four arrays. Before it, one read of the gradient, to check that it is finite;
    /// [`NonFinite::Propagate`] leaves this out. With L2 regularisation the check reads the parameter
    /// too; with β₁ > β₂ it reads the first moment, and if ε is 0 it computes the whole step on copies.
    ///
    /// If parameter, gradient and state have one gapless memory order, whichever it is, they are
    /// updated as one slice. This is the fastest case. A state from [`State::zeros_like`] has the order of
    /// its parameter.
    ///
    /// If their orders differ, a step takes two to four times as long in `f64`, and three to eight times
    /// in `f32`. A large array with gaps takes up to twice as long if its rows have none. Small arrays
    /// with gaps take up to ten times as long.
    ///
    /// # Errors
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes of `param`, `grad` and `state`
    ///   differ;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if the rule has [`NonFinite::Error`], and
    ///   `grad` holds NaN or an infinity; or the step would bring one into the parameter or the state,
    ///   because λ·x (L2) or the step itself is beyond the largest number;
    /// - [`ErrorKind::StepCount`](crate::ErrorKind::StepCount) if t is `u64::MAX`;
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if a setting does not suit the
    ///   precision of the tensor: the learning rate 1e39 overflows `f32`, the clip value 1e-50 rounds
    ///   to 0; or if α·λ of decoupled decay is above 1, which would turn the sign of the parameter.
    ///
    /// After an error, and after [`Outcome::Skipped`], the parameter and the state are unchanged.
    ///
    /// # Allocation
    /// None for at most 4 axes, in any layouts. None for more axes either, if the arrays have no gaps and
    /// one memory order, and the dimension is static or the order is row-major. Otherwise ndarray
    /// allocates a few shapes: it keeps only 4 axes of a dynamic dimension inline.
    ///
    /// # Precision
    /// The same bits on every layout and instruction set; no fused multiply-add. First moments and
    /// decayed norms below the smallest normal number become 0. Nothing else overflows or underflows on
    /// the way to a result that does not: x, m and u are within 3 machine epsilons of the exact result,
    /// relative to the sum of the magnitudes of their terms. (Where λ·x nearly cancels g, as many digits
    /// are lost as in any such difference.)
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
    #[doc(alias("update", "apply_updates"))]
    pub fn step<A: Real, D: Dimension>(
        &self,
        state: &mut State<A>,
        param: &mut ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<Outcome, Error> {
        self.advance(Sequential, state, param, grad)
    }

    /// Takes a [`step`](Adamax::step) on the threads of the current rayon pool, with the same bits.
    ///
    /// A tensor below 131 072 elements is stepped on the calling thread. To choose the pool, call this
    /// within rayon's `ThreadPool::install`. A calling thread outside the pool does its share of the
    /// work, and starts at once. It returns after each helper that it asked for has run in the pool. If
    /// the pool is busy with other work, this may take longer than the step. Do not call it while you hold
    /// a lock that the threads of the pool wait for: as with rayon, neither would go on.
    ///
    /// # Cost
    /// As [`step`](Adamax::step), divided among the threads. Some work is not split: the check and
    /// the norm of a gradient with gaps; and the update of gapless arrays in different orders if their
    /// rows have at most 16 elements, or the rows of the two orders at most 2048 together, multiplied.
    ///
    /// # Errors
    /// As [`step`](Adamax::step).
    ///
    /// # Allocation
    /// As [`step`](Adamax::step), and the queues for the threads.
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
            self.advance(Sequential, state, param, grad)
        }
    }

    #[inline(always)]
    fn advance<A: Real, D: Dimension>(
        &self,
        execute: impl Execute,
        state: &mut State<A>,
        param: &mut ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<Outcome, Error> {
        let mut pair = Pair::<'_, A, Gapped<'_, A>>::new(param, grad);
        let t = pair.check(state)?;
        let mut k = Coefficients::new(self, t, 1.0);
        k.set_balanced(state.is_balanced());
        k.check(self)?;
        let is_usual =
            !k.checks() || rehearsal::is_usual(execute, &k, state.is_usual(), pair.gradient());
        let outcome = admit(self, is_usual, || pair.examine(execute, &k, state))?;
        if outcome == Outcome::Applied {
            pair.step::<()>(execute, &k, state.begin_step(k.keeps()));
        }
        // There is nothing else to be dropped. Left to the compiler, it is a call in each step.
        if let Pair::Gapped(views) = pair {
            drop(views);
        }
        Ok(outcome)
    }
}

/// Applies the rule's policy for steps that are not finite. `examine` returns the reason why a step
/// would be one; it is called only if `is_usual` does not rule it out, or the rule does not ask.
#[inline(always)]
fn admit<'a, A: Real, D: Dimension + 'a>(
    rule: &Adamax,
    is_usual: bool,
    examine: impl FnOnce() -> Option<Obstacle<'a, A, D>>,
) -> Result<Outcome, Error> {
    if is_usual {
        return Ok(Outcome::Applied);
    }
    match examine() {
        None => Ok(Outcome::Applied),
        Some(_) if rule.non_finite() == NonFinite::Skip => Ok(Outcome::Skipped),
        Some(obstacle) => Err(obstacle.into_error()),
    }
}
