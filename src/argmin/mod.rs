//! Adamax as a solver of the [argmin](https://docs.rs/argmin/0.11) framework.
//!
//! argmin provides the loop, observers, checkpoints, iteration limits and timeouts. The problem
//! provides cost and gradient; [`AdamaxSolver`] takes the steps.

mod bounds;
mod norms;
mod values;

use alloc::{format, string::ToString, vec::Vec};
use core::fmt;

use ::argmin::core::{
    ArgminError, ArgminFloat, CostFunction, Error, Gradient, IterState, KV, Problem, Solver,
    TerminationReason, TerminationStatus,
};
use ndarray::{ArrayRef, IxDyn};

pub(crate) use self::bounds::Bounds;
use self::{bounds::Limits, values::Readable};
use crate::{
    error::ErrorKind,
    real::Real,
    rule::{Adamax, NonFinite, Objective, range},
    schedule::Schedule,
    state::State,
    step::Outcome,
    stop::{Stop, StopReason},
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
/// ## In `Cargo.toml`
///
/// ```toml
/// [dependencies]
/// adamax = { version = "0.1", features = ["argmin", "serde"] }
/// argmin = "0.11"
/// argmin-checkpointing-file = "0.2"
/// ```
/// The release of argmin must be 0.11, because its types are part of this interface. Only checkpoints need
/// the feature `serde` and the last line. This feature needs Rust 1.87, as argmin does.
///
/// If the compiler asks for the type of a solver (E0283), write `AdamaxSolver`, which is the one for `f64`,
/// and not `AdamaxSolver<A>`: `let solver: AdamaxSolver = AdamaxSolver::new(rule);`.
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
/// solvers of argmin still need argmin-math for it.
///
/// ## Stopping criteria
///
/// - The Euclidean norm of the gradient is below
///   [`with_tolerance_grad`](Self::with_tolerance_grad), or that of the last step is below
///   [`with_tolerance_step`](Self::with_tolerance_step). Both are off by default. With noisy
///   gradients, neither is a reliable criterion. If there are bounds, the projected gradient counts.
/// - The cost has stopped improving: [`with_stop`](Self::with_stop).
/// - The cost, the number of iterations or the time reaches argmin's [`target_cost`], [`max_iters`] or
///   [`timeout`]. By default there is no limit of iterations.
/// - An evaluation or a step fails, or the cost is NaN and the rule has the default
///   [`NonFinite::Error`]. Infinite costs are allowed. argmin returns the error, but not the parameter: use
///   checkpoints, or [`NonFinite::Skip`] to ignore bad gradients. The solver itself is as it was before: a
///   caller that calls argmin's [`Solver`] without its executor can try the same iteration again.
///
/// [`NonFinite::Skip`] helps only if gradients are random. After a skipped step the parameter is the same, and
/// a gradient that depends on nothing else stays bad.
///
/// ## Values for observers
///
/// | key | read by | value |
/// |---|---|---|
/// | `gradient_norm` | `get_float` | Euclidean norm of the gradient at the new parameter |
/// | `projected_gradient_norm` | `get_float` | the same of the [projected gradient](Adamax::projected_gradient_norm); only with bounds |
/// | `learning_rate` | `get_float` | α of the step, times the schedule |
/// | `max_gradient` | `get_float` | largest magnitude in the gradient of the step, which is the one at the previous parameter |
/// | `max_step` | `get_float` | largest change of an element in memory, after decay and bounds; 0 if it was skipped |
/// | `outcome` | `get_string` | `applied` or `skipped` |
/// | `step_norm` | `get_float` | Euclidean norm of the step as the rule computes it, up to the bounds; 0 if it was skipped |
/// | `t` | `get_uint` | number of steps taken, without skipped ones |
///
/// At the start, before the first step, there are only `gradient_norm`, `projected_gradient_norm` (with
/// bounds) and `t`. The others are the figures of the step's [`Report`](crate::Report).
/// `max_step / (1.00909·α)` is near 1 if the learning rate is the limit.
///
/// The squares of a norm neither overflow nor underflow: gradients of 1e160 or of 1e-170 have one.
/// `step_norm` is that of the step before it is added to the parameter. In a large parameter, rounding can
/// swallow it: at x = 2·10¹⁷, a step of 1 changes nothing. Then `step_norm` is 1 and `max_step` is 0.
///
/// Cost and best cost are in the state that argmin passes to observers.
///
/// ## Results
///
/// `best_param` is the parameter with the lowest cost so far, `param` the last one. If the cost is
/// evaluated on minibatches, the lowest cost is mostly chance: use `param`. With bounds of the rule or of
/// [`with_bounds`](Self::with_bounds), both are within them: a start outside is moved inside before the
/// first evaluation, and a cost or gradient given with it is computed anew. argmin minimizes. To
/// maximize, negate cost and gradient and leave the rule's
/// [`objective`](crate::AdamaxBuilder::objective) at its default; otherwise `best_param` is the
/// worst parameter.
///
/// ## A second run
///
/// A run changes its solver: m, u, t and what its `Stop` has observed. The next run with this solver goes on
/// from there. For another start, clone the solver before its first run.
///
/// ## Checkpoints
///
/// With feature `serde` the solver can be saved, with m, u and t, its bounds and its `Stop`. Reading it back
/// makes the same checks as building it. A resumed run gives the same bits as one that was not interrupted.
/// These properties of argmin's checkpoints matter:
///
/// - A checkpoint that exists replaces the solver, the start and the limits of the program. Delete it after
///   any change of them.
/// - The saved state contains the iteration limit and the reason for stopping: a run that has ended stays
///   ended, and `configure` cannot change that. To go on, start a new run from the checkpoint, as below.
/// - `serde_json` reads numbers exactly only with its feature `float_roundtrip`. Without it, a resumed run has
///   [other bits](crate::guide#documents-of-serde).
/// - JSON cannot represent infinities, which argmin's initial state contains. Such a checkpoint is
///   written, but not read: "invalid type: null, expected f64". Set a finite `target_cost` (for example
///   `f64::MIN`), and do not save before the cost has been lower than at the start.
/// - argmin's file checkpoint overwrites its only file: a crash during the write loses it. Write a
///   new file in the same folder and rename it.
/// - JSON does not keep the memory order. Results do not depend on it.
///
/// 40 iterations more than the limit with which `checkpoint` was saved:
/// ```
/// # #[cfg(feature = "serde")]
/// # mod checkpoints {
/// # use adamax::argmin::AdamaxSolver;
/// # use argmin::core::{
/// #     CostFunction, Error, Executor, Gradient, IterState, State, checkpointing::Checkpoint,
/// # };
/// # type Saved = IterState<Vec<f64>, Vec<f64>, (), (), (), f64>;
/// # pub fn go_on<O, C: Checkpoint<AdamaxSolver, Saved>>(problem: O, checkpoint: C) -> Result<(), Error>
/// # where
/// #     O: CostFunction<Param = Vec<f64>, Output = f64>,
/// #     O: Gradient<Param = Vec<f64>, Gradient = Vec<f64>>,
/// # {
/// let (solver, state): (AdamaxSolver, IterState<Vec<f64>, Vec<f64>, (), (), (), f64>) =
///     checkpoint.load()?.unwrap();
/// Executor::new(problem, solver)
///     .configure(|s| s.param(state.get_param().unwrap().clone()).max_iters(40))
///     .run()?;
/// # Ok(())
/// # }
/// # }
/// ```
/// The new run counts its iterations from 0, and `best_param` is the best of the new run. A `Stop` observes
/// the cost at its start once more.
///
/// ## Allocation
///
/// Further arrays are allocated once and used again: one holds the previous parameter, and two hold the
/// moments of the next step, so that an error can change nothing. Parameters of several axes or with bounds
/// need one more, for norms, and parameters that are stepped on a copy two more. With more than 4
/// axes, ndarray allocates a few shapes in each step. argmin clones the parameter whenever the cost is
/// the lowest so far.
///
/// ## Cost
///
/// One [`step_with_report`](Adamax::step_with_report) in each iteration, and one more read or write of each
/// array: the previous parameter and the moments are kept, and two norms are computed. Bounds take one read
/// more, for the projected gradient. Bounds that differ between elements take three: for the projection,
/// the largest change and the norm of the step.
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
    bounds: Option<Bounds<A>>,
    stop: Option<Stop>,
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
    /// Entries whose norm is wanted.
    entries: norms::Buffer<A>,
    /// Elements of a parameter and a gradient that are no arrays.
    param: Vec<A>,
    grad: Vec<A>,
}

impl<A> Default for Buffers<A> {
    fn default() -> Self {
        Buffers {
            moments: None,
            entries: norms::Buffer::default(),
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
            bounds: None,
            stop: None,
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
    /// If the rule or the solver has bounds, the
    /// [projected gradient](Adamax::projected_gradient_norm) counts: the run also stops at a bound.
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
    /// entries of a step near that rate. Skipped steps do not count.
    ///
    /// A step is not judged if the schedule makes the next learning rate larger, as a warm-up does. A
    /// schedule that has ended at 0 ends the run.
    ///
    /// The step counts as the rule computes it, before it is added to the parameter. A step that rounding
    /// swallows is not convergence: at x = 2·10¹⁷, steps of 1 go on, although x does not change. A step
    /// ends at a bound: a parameter that stands at its bounds takes steps of 0.
    ///
    /// # Errors
    /// `ArgminError::InvalidParameter` if `tol_step` is NaN, infinite or negative.
    pub fn with_tolerance_step(mut self, tol_step: f64) -> Result<Self, Error> {
        range::check_not_negative("step tolerance", tol_step).map_err(refused)?;
        self.tol_step = tol_step;
        Ok(self)
    }

    /// Keeps each element of the parameter between bounds of its own: `x ← min(max(x′, lower), upper)`,
    /// where x′ is the new parameter, after decay and update.
    ///
    /// Finite or infinite, `lower` ≤ `upper`. Elements without a bound have −∞ or ∞, fixed ones have equal
    /// bounds. The bounds are copied. They have the type of the parameter, or another one of the same
    /// shape: that of the array, or `[n]` for n elements that are no array of ndarray 0.17. The shapes are
    /// compared when the run starts. One number for all elements goes to [`AdamaxBuilder::bounds`].
    ///
    /// Bounds of the rule ([`AdamaxBuilder::bounds`]) hold too. If all elements have the same bounds, the
    /// result has the bits of a rule with these bounds; otherwise the projection is one pass more. NaN
    /// stays NaN, and −0 stays −0 where 0 is allowed.
    ///
    /// A start outside is moved inside before the first evaluation, and so is one outside of the bounds of
    /// the rule. A cost or a gradient that was given with it is then computed anew, because it belongs to
    /// another point. The moments are not told of bounds, so an element leaves its bound as soon as its
    /// moment has turned.
    ///
    /// # Errors
    /// `ArgminError::InvalidParameter`, which names the index, if a bound is NaN, a lower one is ∞, an upper
    /// one is −∞, or no number is between the bounds of an element and those of the rule; and if the shapes
    /// of `lower` and `upper` differ. A run ends with it at its start if the shape of the parameter differs.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, argmin::AdamaxSolver};
    /// use argmin::core::{CostFunction, Error, Executor, Gradient, State};
    ///
    /// /// (x + 1)² + (y − 2)², but x is a rate and cannot be negative.
    /// struct Problem;
    /// impl CostFunction for Problem {
    ///     type Param = Vec<f64>;
    ///     type Output = f64;
    ///     fn cost(&self, at: &Vec<f64>) -> Result<f64, Error> {
    ///         Ok((at[0] + 1.0).powi(2) + (at[1] - 2.0).powi(2))
    ///     }
    /// }
    /// impl Gradient for Problem {
    ///     type Param = Vec<f64>;
    ///     type Gradient = Vec<f64>;
    ///     fn gradient(&self, at: &Vec<f64>) -> Result<Vec<f64>, Error> {
    ///         Ok(vec![2.0 * (at[0] + 1.0), 2.0 * (at[1] - 2.0)])
    ///     }
    /// }
    /// # fn main() -> Result<(), Error> {
    /// let infinity = f64::INFINITY;
    /// let solver = AdamaxSolver::new(Adamax::builder().learning_rate(0.05).build()?)
    ///     .with_bounds(&vec![0.0, -infinity], &vec![infinity, infinity])?
    ///     .with_tolerance_grad(1e-6)?;
    /// let result = Executor::new(Problem, solver)
    ///     .configure(|state| state.param(vec![3.0, 0.0]).max_iters(10_000))
    ///     .run()?;
    /// let end = result.state().get_param().unwrap();
    /// assert_eq!(end[0], 0.0);
    /// assert!((end[1] - 2.0).abs() < 1e-6);
    /// assert!(result.state().get_iter() < 2_000);                     // it has converged
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`AdamaxBuilder::bounds`]: crate::AdamaxBuilder::bounds
    pub fn with_bounds<P: 'static>(mut self, lower: &P, upper: &P) -> Result<Self, Error>
    where
        for<'a> &'a P: IntoIterator<Item = &'a A>,
    {
        let copy = |values: &P| values::read(values, &mut Vec::new()).to_owned();
        self.bounds = Some(Bounds::new(copy(lower), copy(upper), &self.rule)?);
        Ok(self)
    }

    /// Ends the run when the cost has stopped improving, or by the other criteria of a [`Stop`].
    ///
    /// The start counts as the first loss, and each iteration as one more; with noisy costs, set a
    /// [smoothing](crate::StopBuilder::smoothing). If the patience is over, the run ends with
    /// `TerminationReason::SolverExit("the loss has stopped improving")`.
    /// [`best_param`](#results) is the parameter with the lowest cost, whether that is smoothed or not.
    ///
    /// Its tolerances end a run with `SolverConverged`. That of the gradient is compared with the norm at
    /// the new parameter, projected if there are bounds. That of the step is compared with the largest
    /// change of an element in memory, which is 0 if rounding swallows it;
    /// [`with_tolerance_step`](Self::with_tolerance_step) has the norm of the step as it was computed. Both
    /// wait while the schedule raises the learning rate.
    ///
    /// A solver that is used for another run goes on with what its `Stop` has observed, as it does with its
    /// moments: see [A second run](#a-second-run).
    ///
    /// The `Stop` minimizes, as argmin does. With [`Objective::Maximize`] a run ends at its start with
    /// `ArgminError::InvalidParameter`.
    ///
    /// ```
    /// # use adamax::{Adamax, Stop, argmin::AdamaxSolver};
    /// let stop = Stop::builder().patience(100).build()?;
    /// let solver: AdamaxSolver = AdamaxSolver::new(Adamax::default()).with_stop(stop.clone());
    /// assert_eq!(solver.stop(), Some(&stop));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Returns the criteria of [`with_stop`](Self::with_stop), with what they have observed.
    #[must_use]
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
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
        let mut rule = self.rule.to_builder().learning_rate(self.rule.learning_rate() * scale);
        if let Some((lower, upper)) = self.bounds.as_ref().and_then(Bounds::same) {
            rule = rule.bounds(lower.widen(), upper.widen());
        }
        Ok(rule.build().map_err(refused)?)
    }

    /// The bounds of each element, if there are any.
    #[cfg(feature = "serde")]
    pub(crate) fn bounds(&self) -> Option<&Bounds<A>> {
        self.bounds.as_ref()
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
        check_objective(self.stop.as_ref())?;
        let mut param = state.take_param().ok_or_else(no_parameter)?;
        let buffer = &mut self.buffers.param;
        check_bounds(self.bounds.as_ref(), &values::read(&param, buffer))?;
        let limits = Limits::of(&self.rule, self.bounds.as_ref());
        if limits.is_some_and(|limits| limits.project(&mut param, buffer)) {
            // They belong to the point outside.
            state.cost = A::INFINITY;
            state.grad = None;
        }
        let array = values::read(&param, buffer);
        // A copy, because everything that follows may fail.
        let moments = match self.state.clone() {
            Some(earlier) => earlier.with_layout_of(&array).map_err(refused)?,
            None => State::zeros_like(&array),
        };
        let cost = state.get_cost();
        let cost = if cost.widen().is_infinite() { problem.cost(&param)? } else { cost };
        check_cost(&self.rule, cost, moments.steps())?;
        let grad = gradient(problem, &mut state, &param)?;

        let mut kv = KV::new();
        self.note_gradient(&mut kv, &param, &grad);
        kv.insert("t", moments.steps().into());
        let state = state.param(param).cost(cost).gradient(grad);
        self.state = Some(moments);
        self.observe_cost(cost);
        Ok((state, Some(kv)))
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
        let each = each(self.bounds.as_ref());
        let Buffers { moments: spare, entries, param: x, grad: g } = &mut self.buffers;
        let (moments, report) = values::write(&mut param, x, |param| {
            check_bounds(self.bounds.as_ref(), param)?;
            let mut moments = copy_of(self.state.as_ref(), spare.take(), param).map_err(refused)?;
            let report = rule.step_with_report(&mut moments, param, &values::read(&grad, g));
            let report = report.map_err(refused)?;
            if let (Some(bounds), Outcome::Applied) = (each, report.outcome()) {
                bounds.project(param);
            }
            Ok::<_, ArgminError>((moments, report))
        })?;
        let cost = problem.cost(&param)?;
        check_cost(&rule, cost, moments.steps())?;
        let next_grad = problem.gradient(&param)?;
        drop(grad);
        let grad = next_grad;

        // No error from here on. What drops a `P` comes before the solver changes: it may panic.
        let (outcome, max_step, step_norm) = match report.outcome() {
            Outcome::Applied => {
                // The report does not know of the projection.
                let max_step = if each.is_some() {
                    norms::largest_change(&values::read(&previous, x), &values::read(&param, g))
                } else {
                    report.max_step()
                };
                let each = each.map(Bounds::as_arrays);
                let norm =
                    norms::of_step(&rule, each, &moments, || values::read(&previous, x), entries);
                ("applied", max_step, norm)
            }
            Outcome::Skipped => ("skipped", 0.0, 0.0),
        };
        let mut kv = KV::new();
        kv.insert("learning_rate", rule.learning_rate().into());
        kv.insert("max_gradient", report.max_gradient().into());
        kv.insert("max_step", max_step.into());
        kv.insert("outcome", outcome.into());
        kv.insert("step_norm", step_norm.into());
        kv.insert("t", moments.steps().into());
        self.note_gradient(&mut kv, &param, &grad);
        // argmin's setter `param` moves the current parameter to the previous one.
        let state = match report.outcome() {
            Outcome::Applied => state.param(previous).param(param),
            Outcome::Skipped => {
                drop(previous);
                state.param(param)
            }
        };
        let state = state.cost(cost).gradient(grad);
        self.buffers.moments = self.state.replace(moments);
        self.observe_cost(cost);
        Ok((state, Some(kv)))
    }

    fn terminate(&mut self, state: &Iterate<P, A>) -> TerminationStatus {
        if self.is_flat(state) || self.is_stuck(state) == Some(true) {
            return TerminationStatus::Terminated(TerminationReason::SolverConverged);
        }
        match self.stop_reason(state) {
            None => TerminationStatus::NotTerminated,
            Some(reason) => TerminationStatus::Terminated(match reason {
                StopReason::Patience => TerminationReason::SolverExit(reason.to_string()),
                StopReason::Step | StopReason::Gradient => TerminationReason::SolverConverged,
            }),
        }
    }
}

/// The norms that observers and the stopping criteria need.
impl<A: Real> AdamaxSolver<A> {
    /// Inserts the norm of the gradient, and that of the projected one if there are bounds.
    fn note_gradient<P: Readable<A>>(&mut self, kv: &mut KV, param: &P, grad: &P) {
        let norm = norms::of_array(&values::read(grad, &mut self.buffers.grad));
        kv.insert("gradient_norm", norm.into());
        if Limits::of(&self.rule, self.bounds.as_ref()).is_some() {
            kv.insert("projected_gradient_norm", self.free_gradient_norm(param, grad).into());
        }
    }

    /// Returns the norm of the part of the gradient along which the bounds let the parameter move.
    fn free_gradient_norm<P: Readable<A>>(&mut self, param: &P, grad: &P) -> f64 {
        let Buffers { entries, param: x, grad: g, .. } = &mut self.buffers;
        let grad = values::read(grad, g);
        match Limits::of(&self.rule, self.bounds.as_ref()) {
            None => norms::of_array(&grad),
            Some(limits) => {
                limits.norm_of_projected(&self.rule, [values::read(param, x), grad], entries)
            }
        }
    }
}

/// The stopping criteria.
impl<A: Real + ArgminFloat> AdamaxSolver<A> {
    /// Returns true if the schedule makes the next learning rate larger than that of the last step. Then a
    /// short step does not mean that the following ones are short too.
    fn is_rising(&self) -> bool {
        let next = self.state.as_ref().map_or(0, State::steps);
        let schedule = self.schedule.as_ref().zip(next.checked_sub(1));
        schedule.is_some_and(|(schedule, last)| schedule.scale(next) > schedule.scale(last))
    }

    /// Returns true if the norm of the gradient is below its tolerance.
    fn is_flat<P: Readable<A>>(&mut self, state: &Iterate<P, A>) -> bool {
        let place = state.param.as_ref().zip(state.grad.as_ref());
        self.tol_grad > 0.0
            && place
                .is_some_and(|(param, grad)| self.free_gradient_norm(param, grad) < self.tol_grad)
    }

    /// Returns true if the norm of the last step is below its tolerance; `None` if there was no step.
    fn is_stuck<P: Readable<A>>(&mut self, state: &Iterate<P, A>) -> Option<bool> {
        if self.tol_step == 0.0 {
            return None;
        }
        // There is no previous parameter at the start and after a skipped step.
        let (previous, moments) = state.prev_param.as_ref().zip(self.state.as_ref())?;
        if self.is_rising() {
            return Some(false);
        }
        let rule = self.rule_at(moments.steps().checked_sub(1)?).ok()?;
        let Buffers { entries, param: x, .. } = &mut self.buffers;
        let each = each(self.bounds.as_ref()).map(Bounds::as_arrays);
        let norm = norms::of_step(&rule, each, moments, || values::read(previous, x), entries);
        Some(norm < self.tol_step)
    }
}

/// The criteria of a [`Stop`].
impl<A: Real + ArgminFloat> AdamaxSolver<A> {
    fn observe_cost(&mut self, cost: A) {
        if let Some(stop) = &mut self.stop {
            stop.observe(cost.widen());
        }
    }

    fn stop_reason<P: Readable<A>>(&mut self, state: &Iterate<P, A>) -> Option<StopReason> {
        let stop = self.stop.as_ref()?;
        if let Some(reason) = stop.reason() {
            return Some(reason);
        }
        let (looks_at_gradients, looks_at_steps) =
            (stop.looks_at_gradients(), stop.looks_at_steps());
        let param = state.param.as_ref()?;
        let norm = state.grad.as_ref().filter(|_| looks_at_gradients);
        let norm = norm.map(|grad| self.free_gradient_norm(param, grad));
        // There is no previous parameter at the start and after a skipped step.
        let previous = state.prev_param.as_ref().filter(|_| looks_at_steps && !self.is_rising());
        let Buffers { param: x, grad: g, .. } = &mut self.buffers;
        let change = previous.map(|previous| {
            norms::largest_change(&values::read(previous, g), &values::read(param, x))
        });
        let stop = self.stop.as_ref()?;
        let by_change = change.and_then(|change| stop.judge_change(change));
        by_change.or(norm.and_then(|norm| stop.judge_gradient(norm)))
    }
}

/// Refuses a parameter whose shape is not that of the bounds.
fn check_bounds<A: Real>(
    bounds: Option<&Bounds<A>>,
    param: &ArrayRef<A, IxDyn>,
) -> Result<(), ArgminError> {
    bounds.map_or(Ok(()), |bounds| bounds.check_shape(param.shape()))
}

/// Refuses a `Stop` that waits for a higher cost.
fn check_objective(stop: Option<&Stop>) -> Result<(), ArgminError> {
    if stop.is_some_and(|stop| stop.objective() == Objective::Maximize) {
        let text = "objective of the `Stop` is Maximize, but must be Minimize, because argmin \
                    minimizes the cost";
        return Err(ArgminError::InvalidParameter { text: text.to_string() });
    }
    Ok(())
}

/// Refuses a cost that is NaN after `t` steps, if the rule refuses such gradients. An infinite cost is allowed:
/// it can be that of a barrier.
fn check_cost<A: Real>(rule: &Adamax, cost: A, t: u64) -> Result<(), ArgminError> {
    if rule.non_finite() == NonFinite::Error && cost.is_nan() {
        let text = format!("cost is NaN after t = {t}");
        return Err(ArgminError::ConditionViolated { text });
    }
    Ok(())
}

/// Returns the bounds, unless the rule takes them because all are the same.
fn each<A: Real>(bounds: Option<&Bounds<A>>) -> Option<&Bounds<A>> {
    bounds.filter(|bounds| bounds.same().is_none())
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
    let fitting = spare.filter(|spare| spare.check_same_kind(moments).is_ok());
    let mut copy = fitting.unwrap_or_else(|| State::zeros_like(param));
    copy.assign(moments);
    Ok(copy)
}

fn no_parameter() -> Error {
    let text = "`AdamaxSolver` requires an initial parameter. \
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
