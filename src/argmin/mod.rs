//! Adamax as a solver of the [argmin](https://docs.rs/argmin/0.11) framework.
//!
//! argmin provides the loop, observers, checkpoints, iteration limits and timeouts. The problem
//! provides cost and gradient; [`AdamaxSolver`] takes the steps.

mod norms;
mod values;

use alloc::{string::ToString, vec::Vec};
use core::fmt;

use ::argmin::core::{
    ArgminError, ArgminFloat, CostFunction, Error, Gradient, IterState, KV, Problem, Solver,
    TerminationReason, TerminationStatus,
};
use ndarray::{ArrayRef, IxDyn};

use self::values::Values;
use crate::{
    error::ErrorKind,
    real::Real,
    rule::{Adamax, range},
    schedule::Schedule,
    state::State,
    step::Outcome,
};

/// Adamax as a solver of argmin: it takes steps along gradients, without a line search.
///
/// ```text
/// m ← β₁·m + (1 − β₁)·g          u ← max(β₂·u, |g|)          x ← x − α/(1 − β₁ᵗ) · m/(u + ε)
/// ```
/// x is the parameter and g its gradient. The length of a step is bounded by the learning rate α for
/// gradients of any size; see [`Adamax`] for the settings and the bound. Noisy gradients do no harm.
///
/// Each iteration takes one step. It then evaluates cost and gradient once, at the new parameter.
///
/// ## Requirements on the optimization problem
///
/// The problem implements argmin's [`CostFunction`] and [`Gradient`]. The executor's [`configure`] gives
/// an initial parameter. It can also give an initial cost and gradient; otherwise they are computed.
///
/// The cost is `f64` or `f32`. Parameter and gradient have one type `P`, whose elements have the type
/// of the cost. `P` is any type that can be cloned, and whose elements can be iterated: `&P` and
/// `&mut P` implement [`IntoIterator`]. So a problem that is written for another solver of argmin needs
/// no change.
///
/// | type of the parameter | a step | shape of [`state`](Self::state) |
/// |---|---|---|
/// | [`Array`] and [`ArcArray`] of ndarray 0.17, in any memory order | in place | that of the array |
/// | `Vec<A>` | in place | `[n]` |
/// | `[A; N]`, nalgebra's vectors and matrices, arrays of ndarray 0.16, … | on a copy | `[n]` |
///
/// n is the number of elements. They are taken in the order in which the type iterates them: nalgebra's
/// matrices column by column. Arrays of ndarray 0.17 must agree in shape; of other types only the
/// number of elements is compared.
///
/// The solver does its own arithmetic. So the type need not be one that argmin-math knows, but the other
/// solvers of argmin still need argmin-math for it. This feature needs Rust 1.87, as argmin does.
///
/// ## Stopping criteria
///
/// - The Euclidean norm of the gradient is below
///   [`with_tolerance_grad`](Self::with_tolerance_grad), or that of the last step is below
///   [`with_tolerance_step`](Self::with_tolerance_step). Both are off by default. With noisy
///   gradients, neither is a reliable criterion.
/// - The cost, the number of iterations or the time reaches argmin's [`target_cost`], [`max_iters`] or
///   [`timeout`]. By default there is no limit of iterations.
/// - An evaluation or a step fails. argmin returns the error, but not the parameter: use
///   checkpoints, or [`NonFinite::Skip`](crate::NonFinite::Skip) to ignore single bad gradients. The
///   solver itself is as it was before: a caller that calls argmin's [`Solver`] without its executor can
///   try the same iteration again.
///
/// ## Values for observers
///
/// | key | value |
/// |---|---|
/// | `gradient_norm` | Euclidean norm of the gradient at the new parameter |
/// | `learning_rate` | α of the step, times the schedule |
/// | `step_norm` | Euclidean norm of the step as the rule computes it, up to its bounds; 0 if it was skipped |
/// | `t` | number of steps taken, without skipped ones |
///
/// The squares of a norm neither overflow nor underflow: gradients of 1e160 or of 1e-170 have one. The
/// step is taken before it is added to the parameter. In a large parameter, rounding can swallow it:
/// at x = 2·10¹⁷, a step of 1 changes nothing, but its norm is 1.
///
/// Cost and best cost are in the state that argmin passes to observers.
///
/// ## Results
///
/// `best_param` is the parameter with the lowest cost so far, `param` the last one. If the cost is
/// evaluated on minibatches, the lowest cost is mostly chance: use `param`. argmin minimizes. To
/// maximize, negate cost and gradient and leave the rule's
/// [`objective`](crate::AdamaxBuilder::objective) at its default; otherwise `best_param` is the
/// worst parameter.
///
/// ## Checkpoints
///
/// With feature `serde` the solver can be saved, with m, u and t. Reading it back makes the same
/// checks as building it. A resumed run gives the same bits as one that was not interrupted. Four
/// properties of argmin's checkpoints matter:
///
/// - The saved state contains the iteration limit and the reason for stopping: a run that has ended
///   stays ended, and `configure` cannot change that. To continue, start a new run with the saved
///   parameter and [`with_state`](Self::with_state).
/// - JSON cannot represent infinities, which argmin's initial state contains. Set a finite
///   `target_cost` (for example `f64::MIN`), and do not save before the cost has been lower than at
///   the start.
/// - argmin's file checkpoint overwrites its only file: a crash during the write loses it. Write a
///   new file in the same folder and rename it.
/// - JSON does not keep the memory order. Results do not depend on it.
///
/// ## Allocation
///
/// Further arrays are allocated once and used again: one holds the previous parameter, and two hold the
/// moments of the next step, so that an error can change nothing. Parameters of several axes need one
/// more, for the norm of the step, and parameters that are stepped on a copy two more. With more than 4
/// axes, ndarray allocates a few shapes in each step. argmin clones the parameter whenever the cost is
/// the lowest so far.
///
/// ## Cost
///
/// One [`step`](Adamax::step) in each iteration, and one more read or write of each array: the previous
/// parameter and the moments are kept, and two norms are computed.
///
/// ## Example
///
/// ```
/// use adamax::{Adamax, argmin::AdamaxSolver};
/// use argmin::core::{CostFunction, Error, Executor, Gradient, State};
/// use ndarray::{Array2, array};
///
/// /// The squared distance to a matrix.
/// struct Distance(Array2<f64>);
///
/// impl CostFunction for Distance {
///     type Param = Array2<f64>;
///     type Output = f64;
///     fn cost(&self, x: &Array2<f64>) -> Result<f64, Error> {
///         Ok((x - &self.0).mapv(|d| d * d).sum())
///     }
/// }
///
/// impl Gradient for Distance {
///     type Param = Array2<f64>;
///     type Gradient = Array2<f64>;
///     fn gradient(&self, x: &Array2<f64>) -> Result<Array2<f64>, Error> {
///         Ok(2.0 * (x - &self.0))
///     }
/// }
///
/// # fn main() -> Result<(), Error> {
/// let rule = Adamax::builder().learning_rate(0.05).build()?;
/// let solver = AdamaxSolver::new(rule).with_tolerance_grad(1e-6)?;
/// let result = Executor::new(Distance(array![[1.0, -2.0], [3.0, 0.5]]), solver)
///     .configure(|state| state.param(Array2::zeros((2, 2))).max_iters(10_000))
///     .run()?;
///
/// assert!(result.state().get_best_cost() < 1e-12);
/// assert!(result.state().get_iter() < 2_000);
/// # Ok(())
/// # }
/// ```
///
/// ## Reference
///
/// Diederik P. Kingma and Jimmy Ba (2015). Adam: A Method for Stochastic Optimization, §7.1.
/// <https://arxiv.org/abs/1412.6980>
///
/// [`Array`]: ndarray::Array
/// [`ArcArray`]: ndarray::ArcArray
/// [`CostFunction`]: https://docs.rs/argmin/0.11/argmin/core/trait.CostFunction.html
/// [`Gradient`]: https://docs.rs/argmin/0.11/argmin/core/trait.Gradient.html
/// [`Solver`]: https://docs.rs/argmin/0.11/argmin/core/trait.Solver.html
/// [`configure`]: https://docs.rs/argmin/0.11/argmin/core/struct.Executor.html#method.configure
/// [`max_iters`]: https://docs.rs/argmin/0.11/argmin/core/struct.IterState.html#method.max_iters
/// [`target_cost`]: https://docs.rs/argmin/0.11/argmin/core/struct.IterState.html#method.target_cost
/// [`timeout`]: https://docs.rs/argmin/0.11/argmin/core/struct.Executor.html#method.timeout
#[derive(Clone, Debug, PartialEq)]
pub struct AdamaxSolver<A = f64> {
    rule: Adamax,
    schedule: Option<Schedule>,
    tol_grad: f64,
    tol_step: f64,
    /// `None` until a run starts or `with_state` sets it.
    state: Option<State<A>>,
    buffers: Buffers<A>,
}

/// argmin's state with the types of this solver: parameter and gradient have one type.
type Iterate<P, A> = IterState<P, P, (), (), (), A>;

/// Memory that is used again in each step. It is no part of a solver's value.
struct Buffers<A> {
    /// The moments of the next step, so that those of the last one stay as they are until the problem
    /// has been evaluated.
    moments: Option<State<A>>,
    step: norms::Buffer<A>,
    /// Elements of a parameter and a gradient that are no arrays.
    param: Vec<A>,
    grad: Vec<A>,
}

impl<A> Default for Buffers<A> {
    fn default() -> Self {
        Buffers {
            moments: None,
            step: norms::Buffer::default(),
            param: Vec::new(),
            grad: Vec::new(),
        }
    }
}

/// A copy begins without memory.
impl<A> Clone for Buffers<A> {
    fn clone(&self) -> Self {
        Buffers::default()
    }
}

/// All are equal.
impl<A> PartialEq for Buffers<A> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<A> fmt::Debug for Buffers<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

impl<A: Real> AdamaxSolver<A> {
    /// Makes a solver without schedule and tolerances.
    #[must_use]
    pub fn new(rule: Adamax) -> Self {
        AdamaxSolver {
            rule,
            schedule: None,
            tol_grad: 0.0,
            tol_step: 0.0,
            state: None,
            buffers: Buffers::default(),
        }
    }

    /// Sets a schedule: `schedule.scale(t)` multiplies the learning rate of the step after t steps.
    ///
    /// Skipped steps are not counted. Without a schedule the learning rate is constant.
    ///
    /// ```
    /// # use adamax::{Adamax, argmin::AdamaxSolver, schedule::Schedule};
    /// let solver: AdamaxSolver = AdamaxSolver::new(Adamax::keras());
    /// assert_eq!((solver.rule(), solver.schedule()), (&Adamax::keras(), None));
    /// let cosine = Schedule::cosine(1_000, 0.0)?;
    /// assert_eq!(solver.with_schedule(cosine.clone()).schedule(), Some(&cosine));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// Sets the gradient tolerance: the run stops when the Euclidean norm of the gradient is below
    /// `tol_grad`.
    ///
    /// Finite, ≥ 0. The default, 0, switches the criterion off. A gradient that is smaller than its squares
    /// can be, such as 1e-170, still has its norm.
    ///
    /// # Errors
    /// `ArgminError::InvalidParameter` if `tol_grad` is NaN, infinite or negative.
    pub fn with_tolerance_grad(mut self, tol_grad: f64) -> Result<Self, Error> {
        range::check_not_negative("gradient tolerance", tol_grad).map_err(refused)?;
        self.tol_grad = tol_grad;
        Ok(self)
    }

    /// Sets the step tolerance: the run stops when the Euclidean norm of the last step is below
    /// `tol_step`.
    ///
    /// Finite, ≥ 0. The default, 0, switches the criterion off. Steps become short when the
    /// learning rate or the gradient does; at a constant learning rate, noisy gradients keep the
    /// entries of a step near that rate. With a schedule that reaches 0 the run stops there.
    /// Skipped steps do not count.
    ///
    /// The step counts as the rule computes it, before it is added to the parameter. A step that rounding
    /// swallows is not convergence: at x = 2·10¹⁷, steps of 1 go on, although x does not change.
    ///
    /// # Errors
    /// `ArgminError::InvalidParameter` if `tol_step` is NaN, infinite or negative.
    pub fn with_tolerance_step(mut self, tol_step: f64) -> Result<Self, Error> {
        range::check_not_negative("step tolerance", tol_step).map_err(refused)?;
        self.tol_step = tol_step;
        Ok(self)
    }

    /// Starts from the moments and the step count of an earlier run, instead of from zero.
    ///
    /// Its shape is that of the parameter, or `[n]` for a parameter of n elements that is no array of
    /// ndarray 0.17. Otherwise the run ends with `ArgminError::InvalidParameter`.
    #[must_use]
    pub fn with_state(mut self, state: State<A>) -> Self {
        self.state = Some(state);
        self
    }

    /// Returns the rule, without the schedule.
    #[must_use]
    pub fn rule(&self) -> &Adamax {
        &self.rule
    }

    /// Returns the schedule of the learning rate, if there is one.
    #[must_use]
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// The rule for the next step, after `t` steps.
    fn rule_at(&self, t: u64) -> Result<Adamax, Error> {
        let scale = self.schedule.as_ref().map_or(1.0, |schedule| schedule.scale(t));
        let learning_rate = self.rule.learning_rate() * scale;
        Ok(self.rule.to_builder().learning_rate(learning_rate).build().map_err(refused)?)
    }

    /// The bound on the norm of the gradient; 0 is off.
    #[cfg(feature = "serde")]
    pub(crate) fn tolerance_grad(&self) -> f64 {
        self.tol_grad
    }

    /// The bound on the norm of the step; 0 is off.
    #[cfg(feature = "serde")]
    pub(crate) fn tolerance_step(&self) -> f64 {
        self.tol_step
    }

    /// Returns m, u and t; `None` before the first run, if [`with_state`](Self::with_state) has not
    /// set them.
    #[must_use]
    pub fn state(&self) -> Option<&State<A>> {
        self.state.as_ref()
    }
}

impl<O, P, A> Solver<O, Iterate<P, A>> for AdamaxSolver<A>
where
    O: CostFunction<Param = P, Output = A> + Gradient<Param = P, Gradient = P>,
    P: Clone + 'static,
    for<'a> &'a P: IntoIterator<Item = &'a A>,
    for<'a> &'a mut P: IntoIterator<Item = &'a mut A>,
    A: Real + ArgminFloat,
{
    fn name(&self) -> &'static str {
        "Adamax"
    }

    fn init(
        &mut self,
        problem: &mut Problem<O>,
        mut state: Iterate<P, A>,
    ) -> Result<(Iterate<P, A>, Option<KV>), Error> {
        let param = state.take_param().ok_or_else(no_parameter)?;
        let array = values::read(&param, &mut self.buffers.param);
        // A copy, because everything that follows may fail.
        let moments = match self.state.clone() {
            Some(earlier) => earlier.with_layout_of(&array).map_err(refused)?,
            None => State::zeros_like(&array),
        };
        let cost = state.get_cost();
        let cost = if cost.widen().is_infinite() { problem.cost(&param)? } else { cost };
        let grad = gradient(problem, &mut state, &param)?;

        let mut kv = KV::new();
        kv.insert(
            "gradient_norm",
            norms::of_array(&values::read(&grad, &mut self.buffers.grad)).into(),
        );
        kv.insert("t", moments.steps().into());
        self.state = Some(moments);
        Ok((state.param(param).cost(cost).gradient(grad), Some(kv)))
    }

    fn next_iter(
        &mut self,
        problem: &mut Problem<O>,
        mut state: Iterate<P, A>,
    ) -> Result<(Iterate<P, A>, Option<KV>), Error> {
        let mut param = state.take_param().ok_or_else(no_parameter)?;
        let grad = gradient(problem, &mut state, &param)?;
        let previous = match state.take_prev_param() {
            Some(mut previous) => {
                previous.clone_from(&param);
                previous
            }
            None => param.clone(),
        };

        let rule = self.rule_at(self.state.as_ref().map_or(0, State::steps))?;
        let Buffers { moments: spare, step, param: x, grad: g } = &mut self.buffers;
        let (moments, outcome) = values::write(&mut param, x, |param| {
            let mut moments = copy_of(self.state.as_ref(), spare.take(), param)?;
            let outcome = rule.step(&mut moments, param, &values::read(&grad, g))?;
            Ok((moments, outcome))
        })
        .map_err(refused)?;
        let (cost, grad) = (problem.cost(&param)?, problem.gradient(&param)?);

        // Nothing fails from here on.
        let step_norm = match outcome {
            Outcome::Applied => {
                norms::of_step(&rule, &moments, || values::read(&previous, x), step)
            }
            Outcome::Skipped => 0.0,
        };
        let mut kv = KV::new();
        kv.insert("gradient_norm", norms::of_array(&values::read(&grad, g)).into());
        kv.insert("learning_rate", rule.learning_rate().into());
        kv.insert("step_norm", step_norm.into());
        kv.insert("t", moments.steps().into());
        *spare = self.state.replace(moments);
        // argmin's setter `param` moves the current parameter to the previous one.
        let state = match outcome {
            Outcome::Applied => state.param(previous).param(param),
            Outcome::Skipped => state.param(param),
        };
        Ok((state.cost(cost).gradient(grad), Some(kv)))
    }

    fn terminate(&mut self, state: &Iterate<P, A>) -> TerminationStatus {
        if self.is_flat(state) || self.is_stuck(state) == Some(true) {
            TerminationStatus::Terminated(TerminationReason::SolverConverged)
        } else {
            TerminationStatus::NotTerminated
        }
    }
}

/// The stopping criteria.
impl<A: Real + ArgminFloat> AdamaxSolver<A> {
    /// Returns true if the norm of the gradient is below its tolerance.
    fn is_flat<P: Values<A>>(&mut self, state: &Iterate<P, A>) -> bool {
        let buffer = &mut self.buffers.grad;
        let mut below = |grad| norms::of_array(&values::read(grad, buffer)) < self.tol_grad;
        self.tol_grad > 0.0 && state.grad.as_ref().is_some_and(&mut below)
    }

    /// Returns true if the norm of the last step is below its tolerance; `None` if there was no step.
    fn is_stuck<P: Values<A>>(&mut self, state: &Iterate<P, A>) -> Option<bool> {
        if self.tol_step == 0.0 {
            return None;
        }
        // There is no previous parameter at the start and after a skipped step.
        let (previous, moments) = state.prev_param.as_ref().zip(self.state.as_ref())?;
        let rule = self.rule_at(moments.steps().checked_sub(1)?).ok()?;
        let Buffers { step, param: x, .. } = &mut self.buffers;
        Some(norms::of_step(&rule, moments, || values::read(previous, x), step) < self.tol_step)
    }
}

/// The gradient at `param`: taken from the state if it has one, otherwise evaluated.
fn gradient<O, P, A>(
    problem: &mut Problem<O>,
    state: &mut Iterate<P, A>,
    param: &P,
) -> Result<P, Error>
where
    O: Gradient<Param = P, Gradient = P>,
    P: Clone,
    A: ArgminFloat,
{
    state.take_gradient().map_or_else(|| problem.gradient(param), Ok)
}

/// Returns a copy of the moments for the next step of `param`, in the memory of `spare` if this fits.
fn copy_of<A: Real>(
    moments: Option<&State<A>>,
    spare: Option<State<A>>,
    param: &ArrayRef<A, IxDyn>,
) -> Result<State<A>, crate::Error> {
    let Some(moments) = moments else {
        return Ok(State::zeros_like(param));
    };
    moments.next_step(param.shape())?;
    let fitting = spare.filter(|spare| spare.check_same_shape(moments).is_ok());
    let mut copy = fitting.unwrap_or_else(|| State::zeros_like(param));
    copy.assign(moments);
    Ok(copy)
}

fn no_parameter() -> Error {
    let text = "`AdamaxSolver` requires an initial parameter array. \
                Please provide an initial guess via `Executor`s `configure` method.";
    ArgminError::NotInitialized { text: text.to_string() }.into()
}

/// Converts an error to one of argmin's, with the same message.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it by value")]
fn refused(error: crate::Error) -> ArgminError {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Hyperparameter | ErrorKind::Shape => ArgminError::InvalidParameter { text },
        _ => ArgminError::ConditionViolated { text },
    }
}
