//! Adamax as a solver of the [argmin] framework, on arrays of ndarray.
//!
//! argmin brings the loop: observers, checkpoints, iteration limits, timeouts. The problem brings
//! cost and gradient; [`AdamaxSolver`] turns them into steps.

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
/// A first-order method whose steps are bounded by the learning rate, whatever the size of the
/// gradient; see [`Adamax`] for the formula and the settings. It needs no line search and does not
/// mind gradients that are noisy. An initial parameter is to be given by
/// [`configure`](::argmin::core::Executor::configure), as an [`Array`] of any dimension and memory
/// order, of `f64` or `f32`. An initial cost and gradient may be given the same way; else they are
/// computed.
///
/// Each iteration takes one step and then evaluates cost and gradient once, at the new parameter.
///
/// ## Requirements on the optimization problem
///
/// The optimization problem is required to implement [`CostFunction`] and [`Gradient`], with
/// `Array<A, D>` as parameter and gradient and `A` as cost. (argmin-math is not involved, so it
/// does not matter which release of ndarray it knows.) This feature needs Rust 1.87, as argmin
/// does.
///
/// ## When it stops
///
/// - The gradient's Euclidean norm is below [`with_tolerance_grad`](Self::with_tolerance_grad), or
///   the last step's is below [`with_tolerance_step`](Self::with_tolerance_step). Both are off
///   unless set. Where gradients are noisy, neither says much.
/// - The cost, the iterations or the time have reached what
///   [`target_cost`](IterState::target_cost), [`max_iters`](IterState::max_iters) or
///   [`timeout`](::argmin::core::Executor::timeout) say. There is no limit of iterations unless one
///   is set.
/// - An evaluation or a step has failed. argmin hands back the error, but not the parameter: use
///   checkpoints, or [`NonFinite::Skip`](crate::NonFinite::Skip) where a bad gradient now and then
///   is to be passed over.
///
/// ## What observers see
///
/// | key | value |
/// |---|---|
/// | `gradient_norm` | Euclidean norm of the gradient at the new parameter |
/// | `learning_rate` | α of the step, times the schedule |
/// | `step_norm` | Euclidean norm of the step; 0 if it was skipped |
/// | `t` | steps taken, skipped ones not counted |
///
/// Cost and best cost are in the state that they are given.
///
/// ## Which result to take
///
/// `best_param` is the parameter of the lowest cost seen, `param` the last. If the cost is
/// evaluated on a minibatch, the lowest cost is a lucky draw: take `param`. argmin minimizes: to
/// maximize, negate cost and gradient and leave the rule's objective alone, or the "best" parameter
/// will be the worst.
///
/// ## Checkpoints
///
/// With feature `serde` the solver, m, u and t included, can be saved and read back through the
/// same checks as building; a resumed run has the bits of one that was not interrupted. Four things
/// to know of argmin's side:
///
/// - The state brings its iteration limit and its reason to stop along: a run that has ended stays
///   ended, whatever `configure` says. To go on, give its parameter and
///   [`with_state`](Self::with_state) to a new run.
/// - JSON cannot hold infinities, and argmin's state starts with some. Set a finite `target_cost`
///   (`f64::MIN` will do), and do not save before the cost has once been lower than at the start.
/// - A file that is being written when the machine stops is lost, and argmin's own file checkpoint
///   writes over the only one. Write a new file beside it and rename.
/// - JSON keeps no memory order. Results do not depend on it.
///
/// ## Allocation
///
/// The step itself allocates nothing. The parameter is stepped in place; the previous one is kept
/// beside it in one array that is reused. argmin clones the parameter whenever the cost is the
/// lowest so far.
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
    /// `None` until a parameter is known.
    state: Option<State<A>>,
}

/// The part of argmin's state that this solver uses: parameter and gradient are arrays.
type Iterate<A, D> = IterState<Array<A, D>, Array<A, D>, (), (), (), A>;

impl<A: Real> AdamaxSolver<A> {
    /// Construct a new instance of [`AdamaxSolver`], without schedule and tolerances.
    ///
    /// # Example
    ///
    /// ```
    /// # use adamax::{Adamax, argmin::AdamaxSolver};
    /// let solver: AdamaxSolver = AdamaxSolver::new(Adamax::default());
    /// assert_eq!((solver.rule(), solver.schedule()), (&Adamax::default(), None));
    /// ```
    #[must_use]
    pub fn new(rule: Adamax) -> Self {
        AdamaxSolver { rule, schedule: None, tol_grad: 0.0, tol_step: 0.0, state: None }
    }

    /// Multiplies the learning rate of the step after t steps by `schedule.scale(t)`.
    ///
    /// Steps that were skipped are not counted. Without a schedule the learning rate is constant.
    ///
    /// # Example
    ///
    /// ```
    /// # use adamax::{Adamax, argmin::AdamaxSolver, schedule::Schedule};
    /// let cosine = Schedule::cosine(1_000, 0.0)?;
    /// let solver: AdamaxSolver = AdamaxSolver::new(Adamax::default()).with_schedule(cosine.clone());
    /// assert_eq!(solver.schedule(), Some(&cosine));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// The algorithm stops if the Euclidean norm of the gradient is below `tol_grad`.
    ///
    /// Finite and non-negative. Defaults to 0, which is never undercut.
    ///
    /// # Errors
    /// [`ArgminError::InvalidParameter`] if `tol_grad` is NaN, infinite or negative.
    ///
    /// # Example
    ///
    /// ```
    /// # use adamax::{Adamax, argmin::AdamaxSolver};
    /// let solver: AdamaxSolver = AdamaxSolver::new(Adamax::default()).with_tolerance_grad(1e-6)?;
    /// assert!(solver.with_tolerance_grad(f64::NAN).is_err());
    /// # Ok::<(), argmin::core::Error>(())
    /// ```
    pub fn with_tolerance_grad(mut self, tol_grad: f64) -> Result<Self, Error> {
        range::check_not_negative("gradient tolerance", tol_grad).map_err(refused)?;
        self.tol_grad = tol_grad;
        Ok(self)
    }

    /// The algorithm stops if the Euclidean norm of the last step is below `tol_step`.
    ///
    /// Finite and non-negative. Defaults to 0, which is never undercut. Steps shrink where the
    /// learning rate or the gradient does; at a constant learning rate, noise keeps them at about
    /// that size. With a schedule that reaches 0 the algorithm stops there. A step that was skipped
    /// does not count.
    ///
    /// # Errors
    /// [`ArgminError::InvalidParameter`] if `tol_step` is NaN, infinite or negative.
    ///
    /// # Example
    ///
    /// ```
    /// # use adamax::{Adamax, argmin::AdamaxSolver};
    /// let solver: AdamaxSolver = AdamaxSolver::new(Adamax::default()).with_tolerance_step(1e-9)?;
    /// assert!(solver.with_tolerance_step(f64::NAN).is_err());
    /// # Ok::<(), argmin::core::Error>(())
    /// ```
    pub fn with_tolerance_step(mut self, tol_step: f64) -> Result<Self, Error> {
        range::check_not_negative("step tolerance", tol_step).map_err(refused)?;
        self.tol_step = tol_step;
        Ok(self)
    }

    /// Goes on from the moments and the step count of an earlier run, instead of from zero.
    ///
    /// # Example
    ///
    /// ```
    /// # use adamax::{Adamax, State, argmin::AdamaxSolver};
    /// # use ndarray::array;
    /// let (m, u) = (array![0.1, -0.2].into_dyn(), array![0.3, 0.4].into_dyn());
    /// let earlier = State::from_parts(7, m, u)?;
    /// let solver = AdamaxSolver::new(Adamax::default()).with_state(earlier);
    /// assert_eq!(solver.state().map(State::steps), Some(7));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn with_state(mut self, state: State<A>) -> Self {
        self.state = Some(state);
        self
    }

    /// The rule by which steps are taken, before any schedule.
    ///
    /// ```
    /// # use adamax::{Adamax, argmin::AdamaxSolver};
    /// let solver: AdamaxSolver = AdamaxSolver::new(Adamax::keras());
    /// assert_eq!(solver.rule().learning_rate(), 0.001);
    /// ```
    #[must_use]
    pub fn rule(&self) -> &Adamax {
        &self.rule
    }

    /// What multiplies the learning rate.
    ///
    /// ```
    /// # use adamax::{Adamax, argmin::AdamaxSolver, schedule::Schedule};
    /// let solver: AdamaxSolver = AdamaxSolver::new(Adamax::default());
    /// assert_eq!(solver.schedule(), None);
    /// let solver = solver.with_schedule(Schedule::cosine(100, 0.0)?);
    /// assert_eq!(solver.schedule().map(|schedule| schedule.scale(50)), Some(0.5));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// The rule of the step after `t` steps.
    fn rule_at(&self, t: u64) -> Result<Adamax, Error> {
        let scale = self.schedule.as_ref().map_or(1.0, |schedule| schedule.scale(t));
        let learning_rate = self.rule.learning_rate() * scale;
        Ok(self.rule.to_builder().learning_rate(learning_rate).build().map_err(refused)?)
    }

    /// The bound of the gradient's norm; 0 if off.
    #[cfg(feature = "serde")]
    pub(crate) fn tolerance_grad(&self) -> f64 {
        self.tol_grad
    }

    /// The bound of the step's norm; 0 if off.
    #[cfg(feature = "serde")]
    pub(crate) fn tolerance_step(&self) -> f64 {
        self.tol_step
    }

    /// m, u and t; `None` before the first run.
    ///
    /// ```
    /// # use adamax::{Adamax, State, argmin::AdamaxSolver};
    /// # use argmin::core::{CostFunction, Error, Executor, Gradient};
    /// # use ndarray::{Array1, array};
    /// # struct Square;
    /// # impl CostFunction for Square {
    /// #     type Param = Array1<f64>;
    /// #     type Output = f64;
    /// #     fn cost(&self, x: &Array1<f64>) -> Result<f64, Error> {
    /// #         Ok((x * x).sum())
    /// #     }
    /// # }
    /// # impl Gradient for Square {
    /// #     type Param = Array1<f64>;
    /// #     type Gradient = Array1<f64>;
    /// #     fn gradient(&self, x: &Array1<f64>) -> Result<Array1<f64>, Error> {
    /// #         Ok(2.0 * x)
    /// #     }
    /// # }
    /// # fn main() -> Result<(), Error> {
    /// let solver = AdamaxSolver::new(Adamax::default());
    /// assert!(solver.state().is_none());
    /// let result = Executor::new(Square, solver)
    ///     .configure(|state| state.param(array![1.0]).max_iters(25))
    ///     .run()?;
    /// assert_eq!(result.solver().state().map(State::steps), Some(25));
    /// # Ok(())
    /// # }
    /// ```
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
        // argmin's setters move the present value to the previous one.
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

/// The gradient at `param`: the one in the state, if any, else a new one.
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

/// The Euclidean norm of values taken in logical order, so that no layout changes its bits.
fn euclidean(values: impl Iterator<Item = f64>) -> f64 {
    libm::sqrt(values.map(|value| value * value).sum())
}

fn no_parameter() -> Error {
    let text = "`AdamaxSolver` requires an initial parameter array. \
                Please provide an initial guess via `Executor`s `configure` method.";
    ArgminError::NotInitialized { text: text.to_string() }.into()
}

/// The same message as one of argmin's errors.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn refused(error: crate::Error) -> ArgminError {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Hyperparameter | ErrorKind::Shape => ArgminError::InvalidParameter { text },
        _ => ArgminError::ConditionViolated { text },
    }
}
