//! Adamax as a solver of the [argmin] framework, on arrays of ndarray.
//!
//! argmin provides the loop, observers, checkpoints, iteration limits and timeouts. The problem
//! provides cost and gradient; [`AdamaxSolver`] takes the steps.

use alloc::string::ToString;

use ::argmin::core::{
    ArgminError, ArgminFloat, CostFunction, Error, Gradient, IterState, KV, Problem, Solver,
    TerminationReason, TerminationStatus,
};
use ndarray::{Array, ArrayRef, Dimension};

use crate::{
    error::ErrorKind,
    real::Real,
    rule::{Adamax, range},
    schedule::Schedule,
    state::State,
    step::Outcome,
};

/// # Adamax
///
/// A first-order method whose step length is bounded by the learning rate for gradients of any
/// size; see [`Adamax`] for the formula, the settings and the bound. It needs no line search and
/// works with noisy gradients. [`configure`](::argmin::core::Executor::configure) must be given an
/// initial parameter: an [`Array`] of any dimension and memory order, of `f64` or `f32`. An initial
/// cost and gradient can be given in the same way; otherwise they are computed.
///
/// Each iteration takes one step and then evaluates cost and gradient once, at the new parameter.
///
/// ## Requirements on the optimization problem
///
/// The optimization problem is required to implement [`CostFunction`] and [`Gradient`], with
/// `Array<A, D>` as parameter and gradient and `A` as cost. (argmin-math is not used, so the
/// release of ndarray that it supports does not matter.) This feature needs Rust 1.87, as argmin
/// does.
///
/// ## Stopping criteria
///
/// - The Euclidean norm of the gradient is below
///   [`with_tolerance_grad`](Self::with_tolerance_grad), or that of the last step is below
///   [`with_tolerance_step`](Self::with_tolerance_step). Both are off by default. With noisy
///   gradients, neither is a reliable criterion.
/// - The cost, the number of iterations or the time reaches
///   [`target_cost`](IterState::target_cost), [`max_iters`](IterState::max_iters) or
///   [`timeout`](::argmin::core::Executor::timeout). By default there is no limit of iterations.
/// - An evaluation or a step fails. argmin returns the error, but not the parameter: use
///   checkpoints, or [`NonFinite::Skip`](crate::NonFinite::Skip) to ignore single bad gradients.
///
/// ## Values for observers
///
/// | key | value |
/// |---|---|
/// | `gradient_norm` | Euclidean norm of the gradient at the new parameter |
/// | `learning_rate` | α of the step, times the schedule |
/// | `step_norm` | Euclidean norm of the step; 0 if it was skipped |
/// | `t` | number of steps taken, without skipped ones |
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
/// The step itself allocates nothing. The parameter is updated in place; one further array, which
/// is reused, holds the previous one. argmin clones the parameter whenever the cost is the lowest
/// so far.
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
#[derive(Clone, Debug, PartialEq)]
pub struct AdamaxSolver<A = f64> {
    rule: Adamax,
    schedule: Option<Schedule>,
    tol_grad: f64,
    tol_step: f64,
    /// `None` until a run starts or `with_state` sets it.
    state: Option<State<A>>,
}

/// argmin's state with the types of this solver: parameter and gradient are arrays.
type Iterate<A, D> = IterState<Array<A, D>, Array<A, D>, (), (), (), A>;

impl<A: Real> AdamaxSolver<A> {
    /// Makes a solver without schedule and tolerances.
    #[must_use]
    pub fn new(rule: Adamax) -> Self {
        AdamaxSolver { rule, schedule: None, tol_grad: 0.0, tol_step: 0.0, state: None }
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
    /// Finite, ≥ 0. The default, 0, switches the criterion off.
    ///
    /// # Errors
    /// [`ArgminError::InvalidParameter`] if `tol_grad` is NaN, infinite or negative.
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
    /// # Errors
    /// [`ArgminError::InvalidParameter`] if `tol_step` is NaN, infinite or negative.
    pub fn with_tolerance_step(mut self, tol_step: f64) -> Result<Self, Error> {
        range::check_not_negative("step tolerance", tol_step).map_err(refused)?;
        self.tol_step = tol_step;
        Ok(self)
    }

    /// Starts from the moments and the step count of an earlier run, instead of from zero.
    ///
    /// If the shape of the state differs from that of the parameter, the run ends with
    /// [`ArgminError::InvalidParameter`].
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

impl<O, A, D> Solver<O, Iterate<A, D>> for AdamaxSolver<A>
where
    O: CostFunction<Param = Array<A, D>, Output = A>
        + Gradient<Param = Array<A, D>, Gradient = Array<A, D>>,
    A: Real + ArgminFloat,
    D: Dimension,
{
    fn name(&self) -> &'static str {
        "Adamax"
    }

    fn init(
        &mut self,
        problem: &mut Problem<O>,
        mut state: Iterate<A, D>,
    ) -> Result<(Iterate<A, D>, Option<KV>), Error> {
        let param = state.take_param().ok_or_else(no_parameter)?;
        let moments = match self.state.take() {
            Some(earlier) => earlier.with_layout_of(&param).map_err(refused)?,
            None => State::zeros_like(&param),
        };
        let cost = state.get_cost();
        let cost = if cost.widen().is_infinite() { problem.cost(&param)? } else { cost };
        let grad = gradient(problem, &mut state, &param)?;

        let mut kv = KV::new();
        kv.insert("gradient_norm", norm(&grad).into());
        kv.insert("t", moments.steps().into());
        self.state = Some(moments);
        Ok((state.param(param).cost(cost).gradient(grad), Some(kv)))
    }

    fn next_iter(
        &mut self,
        problem: &mut Problem<O>,
        mut state: Iterate<A, D>,
    ) -> Result<(Iterate<A, D>, Option<KV>), Error> {
        let mut param = state.take_param().ok_or_else(no_parameter)?;
        let grad = gradient(problem, &mut state, &param)?;
        let previous = match state.take_prev_param() {
            Some(mut array) => {
                array.clone_from(&param);
                array
            }
            None => param.clone(),
        };

        let rule = self.rule_at(self.state.as_ref().map_or(0, State::steps))?;
        let moments = self.state.get_or_insert_with(|| State::zeros_like(&param));
        let outcome = rule.step(moments, &mut param, &grad).map_err(refused)?;
        let (cost, grad) = (problem.cost(&param)?, problem.gradient(&param)?);

        let mut kv = KV::new();
        kv.insert("gradient_norm", norm(&grad).into());
        kv.insert("learning_rate", rule.learning_rate().into());
        kv.insert("step_norm", distance(&previous, &param).into());
        kv.insert("t", moments.steps().into());
        // argmin's setter `param` moves the current parameter to the previous one.
        let state = match outcome {
            Outcome::Applied => state.param(previous).param(param),
            Outcome::Skipped => state.param(param),
        };
        Ok((state.cost(cost).gradient(grad), Some(kv)))
    }

    fn terminate(&mut self, state: &Iterate<A, D>) -> TerminationStatus {
        let flat = || state.get_gradient().is_some_and(|grad| norm(grad) < self.tol_grad);
        let stuck = || {
            let ends = state.prev_param.as_ref().zip(state.param.as_ref());
            ends.is_some_and(|(from, to)| distance(from, to) < self.tol_step)
        };
        if self.tol_grad > 0.0 && flat() || self.tol_step > 0.0 && stuck() {
            TerminationStatus::Terminated(TerminationReason::SolverConverged)
        } else {
            TerminationStatus::NotTerminated
        }
    }
}

/// The gradient at `param`: taken from the state if it has one, otherwise evaluated.
fn gradient<O, A, D>(
    problem: &mut Problem<O>,
    state: &mut Iterate<A, D>,
    param: &Array<A, D>,
) -> Result<Array<A, D>, Error>
where
    O: Gradient<Param = Array<A, D>, Gradient = Array<A, D>>,
    A: Real + ArgminFloat,
    D: Dimension,
{
    state.take_gradient().map_or_else(|| problem.gradient(param), Ok)
}

fn norm<A: Real, D: Dimension>(array: &ArrayRef<A, D>) -> f64 {
    euclidean(array.iter().map(|value| value.widen()))
}

fn distance<A: Real, D: Dimension>(from: &ArrayRef<A, D>, to: &ArrayRef<A, D>) -> f64 {
    euclidean(from.iter().zip(to).map(|(from, to)| to.widen() - from.widen()))
}

/// The Euclidean norm. The values come in logical order, so the bits do not depend on the layout.
fn euclidean(values: impl Iterator<Item = f64>) -> f64 {
    libm::sqrt(values.map(|value| value * value).sum())
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
