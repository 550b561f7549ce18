//! Tests of the argmin solver: same steps as a plain loop, termination, observers, errors and
//! checkpoints.

#![cfg(feature = "argmin")]

mod common;

use std::{
    cell::{Cell, RefCell},
    collections::{HashSet, VecDeque},
    panic::{self, AssertUnwindSafe},
    rc::Rc,
};

use adamax::{
    Adamax, NonFinite, Objective, State as Moments, Stop, StopBuilder, WeightDecay,
    argmin::AdamaxSolver,
    ndarray::{
        ArcArray, Array, Array0, Array1, Array2, Array3, ArrayD, Axis, Dimension, Ix1, IxDyn,
        NdFloat, ShapeBuilder, array,
    },
    schedule::{Amplitude, Schedule},
};
use argmin::core::{
    ArgminError, ArgminFloat, CostFunction, Error, Executor, Gradient, IterState, KV,
    OptimizationResult, Problem, Solver, State, TerminationReason, TerminationStatus,
    observers::{Observe, ObserverMode},
};
use common::{Float, bits::Bits, panic_quietly, rules};
use nalgebra::{DMatrix, DVector, SVector};

/// The problem ½·Σ i·(x − c)², i = 1, 2, …, which records how it is evaluated.
struct Bowl<A, D: Dimension> {
    centre: Array<A, D>,
    /// Number of gradient evaluations so far.
    gradients: Cell<u64>,
    /// Index of the gradient evaluation that returns NaN.
    broken: Option<u64>,
    /// Memory addresses of all parameters seen.
    addresses: RefCell<HashSet<*const A>>,
}

impl<A: NdFloat, D: Dimension> Bowl<A, D> {
    fn around(centre: Array<A, D>) -> Self {
        Bowl { centre, gradients: Cell::new(0), broken: None, addresses: RefCell::default() }
    }

    fn slope(&self, x: &Array<A, D>) -> Array<A, D> {
        let mut slope = x - &self.centre;
        let mut weight = A::zero();
        slope.map_inplace(|value| {
            weight += A::one();
            *value *= weight;
        });
        slope
    }
}

impl<A: NdFloat, D: Dimension> CostFunction for Bowl<A, D> {
    type Param = Array<A, D>;
    type Output = A;

    fn cost(&self, x: &Array<A, D>) -> Result<A, Error> {
        self.addresses.borrow_mut().insert(x.as_ptr());
        let half = A::one() / (A::one() + A::one());
        Ok((self.slope(x) * (x - &self.centre)).sum() * half)
    }
}

impl<A: NdFloat, D: Dimension> Gradient for Bowl<A, D> {
    type Param = Array<A, D>;
    type Gradient = Array<A, D>;

    fn gradient(&self, x: &Array<A, D>) -> Result<Array<A, D>, Error> {
        self.addresses.borrow_mut().insert(x.as_ptr());
        let asked = self.gradients.replace(self.gradients.get() + 1);
        let mut slope = self.slope(x);
        if self.broken == Some(asked) {
            slope.map_inplace(|value| *value = A::nan());
        }
        Ok(slope)
    }
}

type Iterate<A, D> = IterState<Array<A, D>, Array<A, D>, (), (), (), A>;
type Outcome<A, D> = OptimizationResult<Bowl<A, D>, AdamaxSolver<A>, Iterate<A, D>>;

fn rule(learning_rate: f64) -> Adamax {
    Adamax::builder().learning_rate(learning_rate).build().unwrap()
}

/// The problem, start and solver that most tests use.
fn small() -> (Bowl<f64, Ix1>, Array1<f64>, AdamaxSolver) {
    (Bowl::around(array![0.3, -0.2, 0.1]), array![1.0, 2.0, -3.0], AdamaxSolver::new(rule(0.05)))
}

fn run(
    (problem, start, solver): (Bowl<f64, Ix1>, Array1<f64>, AdamaxSolver),
    configure: impl FnOnce(Iterate<f64, Ix1>) -> Iterate<f64, Ix1>,
) -> Result<Outcome<f64, Ix1>, Error> {
    Executor::new(problem, solver).configure(|state| configure(state.param(start))).run()
}

#[track_caller]
fn assert_same_bits<A: Float, D: Dimension>(found: &Array<A, D>, expected: &Array<A, D>) {
    assert_eq!(found.bits(), expected.bits());
}

// ---------------------------------------------------------------- steps

fn the_steps_are_those_of_a_plain_loop<A: Float + ArgminFloat + NdFloat>() {
    const STEPS: u64 = 50;
    let mut x = Array3::from_elem((2, 3, 2).f(), A::one());
    let centre =
        Array3::from_shape_fn((2, 3, 2), |(i, j, k)| A::from(i).unwrap() - A::from(j * k).unwrap());
    let result = Executor::new(Bowl::around(centre.clone()), AdamaxSolver::new(rule(0.1)))
        .configure(|state| state.param(x.clone()).max_iters(STEPS))
        .run()
        .unwrap();

    let (problem, mut moments) = (Bowl::around(centre), Moments::zeros_like(&x));
    for _ in 0..STEPS {
        let gradient = problem.slope(&x);
        rule(0.1).step(&mut moments, &mut x, &gradient).unwrap();
    }
    let state = result.state();
    assert_same_bits(state.get_param().unwrap(), &x);
    assert_same_bits(state.get_gradient().unwrap(), &problem.slope(&x));
    assert_eq!(state.get_cost().word(), problem.cost(&x).unwrap().word());
    assert_eq!(result.solver().state(), Some(&moments));
    assert_eq!(state.get_param().unwrap().strides(), x.strides());
}

#[test]
fn the_steps_are_those_of_a_plain_loop_f64() {
    the_steps_are_those_of_a_plain_loop::<f64>();
}

#[test]
fn the_steps_are_those_of_a_plain_loop_f32() {
    the_steps_are_those_of_a_plain_loop::<f32>();
}

#[test]
fn a_schedule_scales_the_learning_rate_of_each_step() {
    let halving = Schedule::step(3, 0.5).unwrap();
    let (problem, mut x, _) = small();
    let mut moments = Moments::zeros_like(&x);
    for t in 0..10 {
        let gradient = problem.slope(&x);
        rule(0.05 * halving.scale(t)).step(&mut moments, &mut x, &gradient).unwrap();
    }
    let (problem, start, solver) = small();
    let solver = solver.with_schedule(halving);
    let result = run((problem, start, solver), |state| state.max_iters(10)).unwrap();
    assert_same_bits(result.state().get_param().unwrap(), &x);
}

#[test]
fn each_iteration_evaluates_once() {
    let result = run(small(), |state| state.max_iters(20)).unwrap();
    assert_eq!(result.problem().counts["cost_count"], 21);
    assert_eq!(result.problem().counts["gradient_count"], 21);
}

#[test]
fn a_given_cost_and_gradient_are_not_evaluated_again() {
    let (problem, start, _) = small();
    let (cost, gradient) = (problem.cost(&start).unwrap(), problem.slope(&start));
    let result = run(small(), |state| state.cost(cost).gradient(gradient).max_iters(20)).unwrap();
    assert_eq!(result.problem().counts["cost_count"], 20);
    assert_eq!(result.problem().counts["gradient_count"], 20);
    assert_same_bits(
        result.state().get_param().unwrap(),
        run(small(), |state| state.max_iters(20)).unwrap().state().get_param().unwrap(),
    );
}

#[test]
fn two_runs_in_a_row_are_one_run() {
    let whole = run(small(), |state| state.max_iters(60)).unwrap();
    let first = run(small(), |state| state.max_iters(25)).unwrap();
    let (problem, _, solver) = small();
    let solver = solver.with_state(first.solver().state().unwrap().clone());
    let last = first.state().get_param().unwrap().clone();
    let second = run((problem, last, solver), |state| state.max_iters(35)).unwrap();
    assert_same_bits(second.state().get_param().unwrap(), whole.state().get_param().unwrap());
    assert_eq!(second.solver().state(), whole.solver().state());
}

#[test]
fn the_parameter_stays_where_it_is_in_memory() {
    let previous = Rc::new(RefCell::new(HashSet::new()));
    let seen = Rc::clone(&previous);
    let (problem, start, solver) = small();
    let result = Executor::new(problem, solver)
        .configure(|state| state.param(start).max_iters(20))
        .add_observer(
            Watch(move |state: &Iterate<f64, Ix1>, _: &KV| {
                seen.borrow_mut().extend(state.get_prev_param().map(Array1::as_ptr));
            }),
            ObserverMode::Always,
        )
        .run()
        .unwrap();
    let problem = result.problem().problem.as_ref().unwrap();
    assert_eq!(problem.addresses.borrow().len(), 1, "the parameter was cloned");
    assert_eq!(previous.borrow().len(), 1, "the previous parameter was cloned");
}

// ---------------------------------------------------------------- types of parameters

/// The problem ½·Σ i·(x − i)², i = 1, 2, …, on any type that can be iterated.
struct Ladder<P> {
    /// The evaluation that fails, if one does, or that a run refuses.
    refused: Option<&'static str>,
    gradient: fn(&P) -> P,
}

impl<P> Ladder<P>
where
    P: Clone,
    for<'a> &'a mut P: IntoIterator<Item = &'a mut f64>,
{
    fn new() -> Self {
        Ladder { refused: None, gradient: Self::slope }
    }

    fn slope(x: &P) -> P {
        let mut slope = x.clone();
        for (value, i) in IntoIterator::into_iter(&mut slope).zip(1..) {
            *value = f64::from(i) * (*value - f64::from(i));
        }
        slope
    }
}

impl<P> CostFunction for Ladder<P>
where
    for<'a> &'a P: IntoIterator<Item = &'a f64>,
{
    type Param = P;
    type Output = f64;

    fn cost(&self, x: &P) -> Result<f64, Error> {
        if self.refused == Some("cost") {
            return Err(Error::msg("no cost"));
        }
        if self.refused == Some("NaN cost") {
            return Ok(f64::NAN);
        }
        let terms = x.into_iter().zip(1..).map(|(x, i)| f64::from(i) * (x - f64::from(i)).powi(2));
        Ok(terms.sum::<f64>() / 2.0)
    }
}

impl<P> Gradient for Ladder<P> {
    type Param = P;
    type Gradient = P;

    fn gradient(&self, x: &P) -> Result<P, Error> {
        if self.refused == Some("gradient") {
            return Err(Error::msg("no gradient"));
        }
        Ok((self.gradient)(x))
    }
}

/// argmin's state for parameters and gradients of type `P`.
type On<P, A = f64> = IterState<P, P, (), (), (), A>;

/// Returns the bits of the parameter after 60 iterations, in the order of iteration, and the solver.
fn climb<P>(start: P) -> (Vec<u64>, AdamaxSolver)
where
    P: Clone + 'static,
    for<'a> &'a P: IntoIterator<Item = &'a f64>,
    for<'a> &'a mut P: IntoIterator<Item = &'a mut f64>,
{
    let result = Executor::new(Ladder::new(), AdamaxSolver::new(rule(0.05)))
        .configure(|state: On<P>| state.param(start).max_iters(60))
        .run()
        .unwrap();
    let end: &P = result.state().get_param().unwrap();
    (end.into_iter().map(|x| x.to_bits()).collect(), result.solver().clone())
}

const RUNGS: [f64; 6] = [3.0, -1.0, 0.5, 4.0, 5.0, 2.0];

#[test]
fn every_type_that_can_be_iterated_takes_the_same_steps() {
    let mut x = Array1::from_iter(RUNGS);
    let mut moments = Moments::zeros_like(&x);
    for _ in 0..60 {
        let gradient = Ladder::slope(&x);
        rule(0.05).step(&mut moments, &mut x, &gradient).unwrap();
    }
    let bits: Vec<u64> = x.iter().map(|x| x.to_bits()).collect();
    let (_, m, u) = moments.into_parts();

    let check = |name: &str, (found, solver): (Vec<u64>, AdamaxSolver), shape: &[usize]| {
        assert_eq!(found, bits, "{name}");
        let (t, found_m, found_u) = solver.state().unwrap().clone().into_parts();
        assert_eq!((t, found_m.shape()), (60, shape), "{name}");
        let flat = |moment: &ArrayD<f64>| -> Vec<f64> { moment.iter().copied().collect() };
        assert_eq!([&found_m, &found_u].map(flat), [&m, &u].map(flat), "{name}");
    };
    let rows = || Array2::from_shape_vec((2, 3), RUNGS.to_vec()).unwrap();
    let mut columns = Array2::zeros((2, 3).f());
    columns.assign(&rows());
    check("Vec", climb(RUNGS.to_vec()), &[6]);
    check("array", climb(RUNGS), &[6]);
    check("VecDeque", climb(VecDeque::from(RUNGS)), &[6]);
    check("boxed slice", climb(Box::from(RUNGS)), &[6]);
    check("DVector", climb(DVector::from_row_slice(&RUNGS)), &[6]);
    check("SVector", climb(SVector::from(RUNGS)), &[6]);
    check("DMatrix", climb(DMatrix::from_column_slice(2, 3, &RUNGS)), &[6]);
    check("ndarray 0.16", climb(ndarray_016::Array1::from_iter(RUNGS)), &[6]);
    check(
        "ndarray 0.16, 2 axes",
        climb(ndarray_016::arr2(&[[3.0, -1.0, 0.5], [4.0, 5.0, 2.0]])),
        &[6],
    );
    check("Array1", climb(Array1::from_iter(RUNGS)), &[6]);
    check("Array2", climb(rows()), &[2, 3]);
    check("Array2, column-major", climb(columns), &[2, 3]);
    check("ArrayD", climb(rows().into_dyn()), &[2, 3]);
    check("ArcArray", climb(ArcArray::from(rows())), &[2, 3]);
    let deep = |shape: &[usize]| ArrayD::from_shape_vec(shape, RUNGS.to_vec()).unwrap();
    check("6 axes", climb(deep(&[1, 2, 1, 3, 1, 1])), &[1, 2, 1, 3, 1, 1]);
    check(
        "Array6",
        climb(rows().into_shape_with_order((1, 2, 1, 3, 1, 1)).unwrap()),
        &[1, 2, 1, 3, 1, 1],
    );
}

#[test]
fn a_shared_array_is_copied_once() {
    let start = ArcArray::from(array![1.0, 2.0]);
    let (end, _) = climb(start.clone());
    assert_eq!(start, array![1.0, 2.0], "the caller's array was written to");
    assert_eq!(end, climb(vec![1.0, 2.0]).0);
}

#[test]
fn arrays_without_elements_and_without_axes_are_parameters() {
    let nothing = [
        climb(Vec::new()),
        climb([]),
        climb(DVector::zeros(0)),
        climb(Array1::zeros(0)),
        climb(Array3::zeros((2, 0, 3))),
    ];
    assert!(nothing.iter().all(|(end, _)| end.is_empty()));
    let one = climb([3.0]).0;
    assert_eq!(climb(Array0::from_elem((), 3.0)).0, one);
    assert_eq!(climb(ArrayD::from_elem(IxDyn(&[]), 3.0)).0, one);
}

/// Arrays have a shape; of other types only the number of elements is known.
#[test]
fn gradients_of_another_shape_are_refused() {
    fn check<P>(start: P, gradient: fn(&P) -> P, shapes: [&str; 2])
    where
        P: Clone + 'static,
        for<'a> &'a P: IntoIterator<Item = &'a f64>,
        for<'a> &'a mut P: IntoIterator<Item = &'a mut f64>,
    {
        let problem = Ladder { refused: None, gradient };
        let result = Executor::new(problem, AdamaxSolver::new(rule(0.05)))
            .configure(|state: On<P>| state.param(start).max_iters(9))
            .run();
        let [found, expected] = shapes;
        let expected = format!("gradient has shape {found}, but parameter has shape {expected}");
        match failure(result) {
            ArgminError::InvalidParameter { text } => assert_eq!(text, expected),
            other => panic!("{other}"),
        }
    }
    check(vec![1.0, 2.0], |_| vec![1.0], ["[1]", "[2]"]);
    check(VecDeque::from([1.0]), |_| VecDeque::from([1.0, 2.0]), ["[2]", "[1]"]);
    check(DVector::zeros(2), |_| DVector::zeros(3), ["[3]", "[2]"]);
    check(Array2::zeros((2, 3)), |_| Array2::zeros((3, 2)), ["[3, 2]", "[2, 3] (transposed?)"]);
    check(Array2::zeros((1, 3)), |_| Array2::zeros((1, 1)), ["[1, 1]", "[1, 3]"]);
}

// ---------------------------------------------------------------- observers

/// An observer that calls a function after the initialization and after each iteration.
struct Watch<F>(F);

impl<F: FnMut(&Iterate<f64, Ix1>, &KV)> Observe<Iterate<f64, Ix1>> for Watch<F> {
    fn observe_init(
        &mut self,
        name: &str,
        state: &Iterate<f64, Ix1>,
        kv: &KV,
    ) -> Result<(), Error> {
        assert_eq!(name, "Adamax");
        self.0(state, kv);
        Ok(())
    }

    fn observe_iter(&mut self, state: &Iterate<f64, Ix1>, kv: &KV) -> Result<(), Error> {
        self.0(state, kv);
        Ok(())
    }
}

/// The values of one iteration that an observer saw.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    cost: f64,
    best_cost: f64,
    gradient_norm: f64,
    learning_rate: Option<f64>,
    step_norm: Option<f64>,
    /// The largest entry of the gradient of the step, and the largest change that it made.
    extremes: Option<[f64; 2]>,
    outcome: Option<String>,
    t: u64,
}

impl Seen {
    fn of(state: &Iterate<f64, Ix1>, kv: &KV) -> Self {
        Seen {
            cost: state.get_cost(),
            best_cost: state.get_best_cost(),
            gradient_norm: kv.get("gradient_norm").unwrap().get_float().unwrap(),
            learning_rate: kv.get("learning_rate").map(|rate| rate.get_float().unwrap()),
            step_norm: kv.get("step_norm").map(|norm| norm.get_float().unwrap()),
            extremes: kv.get("max_gradient").zip(kv.get("max_step")).map(|(gradient, step)| {
                [gradient, step].map(|largest| largest.get_float().unwrap())
            }),
            outcome: kv.get("outcome").map(|outcome| outcome.get_string().unwrap()),
            t: kv.get("t").unwrap().get_uint().unwrap(),
        }
    }
}

/// Runs the solver and returns the values that an observer saw.
fn observed(
    (problem, start, solver): (Bowl<f64, Ix1>, Array1<f64>, AdamaxSolver),
    iterations: u64,
) -> Vec<Seen> {
    let all = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&all);
    Executor::new(problem, solver)
        .configure(|state| state.param(start).max_iters(iterations))
        .add_observer(
            Watch(move |state: &Iterate<f64, Ix1>, kv: &KV| {
                seen.borrow_mut().push(Seen::of(state, kv));
            }),
            ObserverMode::Always,
        )
        .run()
        .unwrap();
    all.take()
}

fn norm(array: &Array1<f64>) -> f64 {
    array.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn largest(array: &Array1<f64>) -> f64 {
    array.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

#[test]
fn observers_see_cost_norms_and_t() {
    const OVERSHOOTING: f64 = 0.5;
    let (problem, mut x, _) = small();
    let mut moments = Moments::zeros_like(&x);
    let mut best_cost = problem.cost(&x).unwrap();
    let mut expected = vec![Seen {
        cost: best_cost,
        best_cost,
        gradient_norm: norm(&problem.slope(&x)),
        learning_rate: None,
        step_norm: None,
        extremes: None,
        outcome: None,
        t: 0,
    }];
    for t in 1..=200 {
        let (before, gradient) = (x.clone(), problem.slope(&x));
        rule(OVERSHOOTING).step(&mut moments, &mut x, &gradient).unwrap();
        let cost = problem.cost(&x).unwrap();
        best_cost = best_cost.min(cost);
        expected.push(Seen {
            cost,
            best_cost,
            gradient_norm: norm(&problem.slope(&x)),
            learning_rate: Some(OVERSHOOTING),
            step_norm: Some(norm(&(&x - &before))),
            extremes: Some([largest(&gradient), largest(&(&x - &before))]),
            outcome: Some("applied".to_string()),
            t,
        });
    }
    assert!(expected.iter().any(|seen| seen.cost > seen.best_cost), "the cost never rose");
    let (problem, start, _) = small();
    let solver = AdamaxSolver::new(rule(OVERSHOOTING));
    let found = observed((problem, start.clone(), solver), 200);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_close(found.gradient_norm, expected.gradient_norm, NORM_ROUNDING, 0.0);
        let [step, written] = [found, &expected].map(|seen| seen.step_norm.unwrap_or_default());
        assert_close(step, written, NORM_ROUNDING, ROUNDED_PARAMETER * norm(&start));
        let Seen { gradient_norm, step_norm, .. } = found.clone();
        assert_eq!(*found, Seen { gradient_norm, step_norm, ..expected });
    }
}

/// Relative tolerance for a norm of few numbers, whose squares may be added in another order.
const NORM_ROUNDING: f64 = 8.0 * f64::EPSILON;
/// A parameter is rounded when a step is added to it, by half a unit in the last place of each entry.
/// The norm of the difference is off by no more, in units of the norm of the parameter.
const ROUNDED_PARAMETER: f64 = f64::EPSILON;

#[track_caller]
fn assert_close(found: f64, expected: f64, relative: f64, absolute: f64) {
    let allowed = relative * expected.abs() + absolute;
    assert!((found - expected).abs() <= allowed, "{found} instead of {expected}");
}

/// Compares the norm of a step, as the solver tells it, with that of the difference of two parameters. The
/// tolerances are for six rounded coefficients and operations, and for the rounding of the parameter.
fn assert_norm_of_step(found: f64, [before, after]: [Array1<f64>; 2], epsilon: f64, case: &str) {
    let expected = norm(&(&after - &before));
    let absolute = epsilon * (norm(&before) + norm(&after));
    let allowed = 16.0 * epsilon * expected + absolute;
    assert!((found - expected).abs() <= allowed, "{case}: {found} {expected}");
}

#[test]
fn observers_see_a_skipped_step() {
    let (mut problem, start, _) = small();
    problem.broken = Some(3);
    let skipping = rule(0.05).to_builder().non_finite(NonFinite::Skip).build().unwrap();
    let seen = observed((problem, start, AdamaxSolver::new(skipping)), 6);
    let counts: Vec<u64> = seen.iter().map(|seen| seen.t).collect();
    assert_eq!(counts, [0, 1, 2, 3, 3, 4, 5]);
    assert_eq!(seen[4].step_norm, Some(0.0));
    let outcomes: Vec<_> = seen.iter().filter_map(|seen| seen.outcome.as_deref()).collect();
    assert_eq!(outcomes, ["applied", "applied", "applied", "skipped", "applied", "applied"]);
    // The gradient of the step, which is the reason why it was skipped.
    let [gradient, step] = seen[4].extremes.unwrap();
    assert!(gradient.is_nan());
    assert_eq!(step, 0.0);
    assert!(seen[3].gradient_norm.is_nan());
}

// ---------------------------------------------------------------- termination

#[track_caller]
fn assert_ended_by(result: &Outcome<f64, Ix1>, reason: &TerminationReason) {
    assert_eq!(result.state().get_termination_reason(), Some(reason));
}

#[test]
fn the_iteration_limit_ends_a_run() {
    let result = run(small(), |state| state.max_iters(7)).unwrap();
    assert_ended_by(&result, &TerminationReason::MaxItersReached);
    assert_eq!(result.state().get_iter(), 7);
}

#[test]
fn the_target_cost_ends_a_run() {
    let result = run(small(), |state| state.target_cost(0.1).max_iters(10_000)).unwrap();
    assert_ended_by(&result, &TerminationReason::TargetCostReached);
    assert!(result.state().get_cost() <= 0.1);
    let before = result.state().get_prev_param().unwrap();
    assert!(small().0.cost(before).unwrap() > 0.1);
}

#[test]
fn a_small_gradient_ends_a_run() {
    let (problem, start, solver) = small();
    let solver = solver.with_tolerance_grad(1e-3).unwrap();
    let result = run((problem, start, solver), |state| state.max_iters(10_000)).unwrap();
    assert_ended_by(&result, &TerminationReason::SolverConverged);
    let (problem, state) = (small().0, result.state());
    assert!(norm(&problem.slope(state.get_param().unwrap())) < 1e-3);
    assert!(norm(&problem.slope(state.get_prev_param().unwrap())) >= 1e-3);
}

#[test]
fn a_small_gradient_at_the_start_ends_a_run_before_the_first_step() {
    let (problem, start, solver) = small();
    let solver = solver.with_tolerance_grad(1e3).unwrap();
    let result = run((problem, start.clone(), solver), |state| state).unwrap();
    assert_ended_by(&result, &TerminationReason::SolverConverged);
    assert_same_bits(result.state().get_param().unwrap(), &start);
}

#[test]
fn a_small_step_ends_a_run() {
    let (problem, start, solver) = small();
    let solver = solver.with_tolerance_step(1e-4).unwrap();
    let result = run((problem, start, solver), |state| state.max_iters(10_000)).unwrap();
    assert_ended_by(&result, &TerminationReason::SolverConverged);
    let state = result.state();
    assert!(norm(&(state.get_param().unwrap() - state.get_prev_param().unwrap())) < 1e-4);
    assert!(state.get_iter() > 10, "the first steps are as long as the learning rate");
}

#[test]
fn a_skipped_step_does_not_end_a_run() {
    let (mut problem, start, _) = small();
    problem.broken = Some(3);
    let skipping = rule(0.05).to_builder().non_finite(NonFinite::Skip).build().unwrap();
    let solver = AdamaxSolver::new(skipping).with_tolerance_step(1e-12).unwrap();
    let result = run((problem, start, solver), |state| state.max_iters(10)).unwrap();
    assert_ended_by(&result, &TerminationReason::MaxItersReached);
}

#[test]
fn parameters_given_twice_are_not_a_step() {
    let (problem, start, solver) = small();
    let solver = solver.with_tolerance_step(1e-4).unwrap();
    let again = start.clone();
    let result = run((problem, start, solver), |state| state.param(again).max_iters(10)).unwrap();
    assert_ended_by(&result, &TerminationReason::MaxItersReached);
}

// ---------------------------------------------------------------- norms

/// A problem whose gradient is the same everywhere.
struct Plane<P, A> {
    gradient: P,
    cost: A,
}

impl<P, A: Clone> CostFunction for Plane<P, A> {
    type Param = P;
    type Output = A;

    fn cost(&self, _: &P) -> Result<A, Error> {
        Ok(self.cost.clone())
    }
}

impl<P: Clone, A> Gradient for Plane<P, A> {
    type Param = P;
    type Gradient = P;

    fn gradient(&self, _: &P) -> Result<P, Error> {
        Ok(self.gradient.clone())
    }
}

/// A run on a plane: the norms of the gradient and of the first step, and where the run is after
/// three iterations at most.
struct Slide<P, A> {
    gradient_norm: f64,
    step_norm: f64,
    iterations: u64,
    converged: bool,
    end: P,
    solver: AdamaxSolver<A>,
}

fn slide<P, A>(start: &P, gradient: &P, solver: &AdamaxSolver<A>) -> Slide<P, A>
where
    P: Clone + 'static,
    for<'a> &'a P: IntoIterator<Item = &'a A>,
    for<'a> &'a mut P: IntoIterator<Item = &'a mut A>,
    A: Float + ArgminFloat,
{
    let plane = || Plane { gradient: gradient.clone(), cost: A::of(0.0) };
    let (mut problem, mut solver) = (Problem::new(plane()), solver.clone());
    let state: On<P, A> = IterState::new().param(start.clone());
    let (state, kv) = solver.init(&mut problem, state).unwrap();
    let gradient_norm = kv.unwrap().get("gradient_norm").unwrap().get_float().unwrap();
    let first = {
        let (mut problem, mut solver) = (Problem::new(plane()), solver.clone());
        solver.next_iter(&mut problem, state.clone()).unwrap().1.unwrap()
    };
    assert_eq!(first.get("gradient_norm").unwrap().get_float().unwrap(), gradient_norm);
    let step_norm = first.get("step_norm").unwrap().get_float().unwrap();

    let result = Executor::new(plane(), solver)
        .configure(|state: On<P, A>| state.param(start.clone()).max_iters(3))
        .run()
        .unwrap();
    let state = result.state();
    Slide {
        gradient_norm,
        step_norm,
        iterations: state.get_iter(),
        converged: state.get_termination_reason() == Some(&TerminationReason::SolverConverged),
        end: state.get_param().unwrap().clone(),
        solver: result.solver().clone(),
    }
}

/// A solver of the paper's rule, without ε: the first step moves each entry by the learning rate.
fn paper<A: Float>(learning_rate: f64) -> AdamaxSolver<A> {
    AdamaxSolver::new(Adamax::builder().learning_rate(learning_rate).epsilon(0.0).build().unwrap())
}

#[test]
fn gradients_of_every_size_have_a_norm() {
    fn check<P, A>(make: impl Fn(f64) -> P, scale: f64, epsilon: f64)
    where
        P: Clone + 'static,
        for<'a> &'a P: IntoIterator<Item = &'a A>,
        for<'a> &'a mut P: IntoIterator<Item = &'a mut A>,
        A: Float + ArgminFloat,
    {
        let (start, gradient) = (make(0.0), make(scale));
        let expected = std::f64::consts::SQRT_2 * scale;
        let found = slide(&start, &gradient, &paper::<A>(0.01)).gradient_norm;
        assert_close(found, expected, epsilon, 0.0);
        for (factor, converged) in [(0.7, false), (1.4, true)] {
            let solver = paper::<A>(0.01).with_tolerance_grad(factor * expected).unwrap();
            let run = slide(&start, &gradient, &solver);
            assert_eq!((run.converged, run.iterations == 0), (converged, converged), "{scale:e}");
        }
        // A tolerance far below the norm.
        let solver = paper::<A>(0.01).with_tolerance_grad(1e-30 * scale).unwrap();
        assert_eq!(slide(&start, &gradient, &solver).iterations, 3, "{scale:e}");
    }
    for scale in [1e160, 1e300, 1.0, 1e-170, 1e-290] {
        check::<_, f64>(|value| array![value, value], scale, NORM_ROUNDING);
        check::<_, f64>(|value| vec![value, value], scale, NORM_ROUNDING);
        check::<_, f64>(|value| [value, value], scale, NORM_ROUNDING);
        check::<_, f64>(|value| DVector::from_element(2, value), scale, NORM_ROUNDING);
    }
    for scale in [1e38, 1e25, 1.0, 1e-25, 1e-37] {
        let rounded = f64::from(f32::EPSILON);
        check::<_, f32>(|value| array![f32::of(value), f32::of(value)], scale, rounded);
        check::<_, f32>(|value| [f32::of(value); 2], scale, rounded);
    }
}

/// At 2·10¹⁷ neighbouring numbers of f64 differ by 32, and those of f32 at 2·10⁹ by 128.
#[test]
fn a_step_that_rounding_swallows_is_not_convergence() {
    fn check<P, A>(start: &P, gradient: &P)
    where
        P: Clone + 'static + PartialEq + std::fmt::Debug,
        for<'a> &'a P: IntoIterator<Item = &'a A>,
        for<'a> &'a mut P: IntoIterator<Item = &'a mut A>,
        A: Float + ArgminFloat,
    {
        let solver = paper::<A>(1.0).with_tolerance_step(1e-6).unwrap();
        let run = slide(start, gradient, &solver);
        assert_eq!((run.converged, run.iterations), (false, 3));
        assert_close(run.step_norm, 1.0, f32::EPSILON.into(), 0.0);
        assert_eq!((run.end, run.solver.state().unwrap().steps()), (start.clone(), 3));
        // A short step is convergence, at the same place.
        let run = slide(start, gradient, &paper::<A>(1e-7).with_tolerance_step(1e-6).unwrap());
        assert_eq!((run.converged, run.iterations), (true, 1));
    }
    check::<_, f64>(&array![2e17], &array![1.0]);
    check::<_, f64>(&vec![2e17], &vec![1.0]);
    check::<_, f64>(&[2e17], &[1.0]);
    check::<_, f32>(&array![2e9_f32], &array![1.0]);
    check::<_, f32>(&[2e9_f32], &[1.0]);
}

#[test]
fn steps_of_every_size_have_a_norm() {
    for scale in [1e160, 1e-170] {
        let run = slide(&array![0.0, 0.0], &array![1.0, 1.0], &paper::<f64>(scale));
        assert_close(run.step_norm, std::f64::consts::SQRT_2 * scale, NORM_ROUNDING, 0.0);
        let solver = paper::<f64>(scale).with_tolerance_step(1e-200).unwrap();
        assert_eq!(slide(&array![0.0, 0.0], &array![1.0, 1.0], &solver).iterations, 3);
    }
}

/// The step is computed a second time, for its norm. It is the step that is taken, for every rule.
#[test]
fn the_norm_of_a_step_is_that_of_the_difference() {
    fn check<A: Float + ArgminFloat + NdFloat>(epsilon: f64) {
        for case in rules::all() {
            let mut start = Array2::from_elem((3, 4).f(), A::of(0.75));
            start[[1, 2]] = A::of(-2.5);
            let centre = Array2::from_shape_fn((3, 4), |(i, j)| {
                A::of(0.3) * (A::from(i).unwrap() - A::from(j).unwrap())
            });
            let mut problem = Problem::new(Bowl::around(centre));
            let mut solver = AdamaxSolver::<A>::new(case.rule);
            let state = IterState::new().param(start);
            let (mut state, _) = solver.init(&mut problem, state).unwrap();
            for _ in 0..20 {
                let (next, kv) = solver.next_iter(&mut problem, state).unwrap();
                let found = kv.unwrap().get("step_norm").unwrap().get_float().unwrap();
                let widened = |x: &Array2<A>| Array1::from_iter(x.iter().map(|x| x.wide()));
                let before = widened(next.get_prev_param().unwrap());
                let after = widened(next.get_param().unwrap());
                assert_norm_of_step(found, [before, after], epsilon, &case.name);
                state = next;
            }
        }
    }
    check::<f64>(f64::EPSILON);
    check::<f32>(f32::EPSILON.into());
}

#[test]
fn layouts_do_not_change_the_bits_of_norms() {
    let values = |scale: f64| {
        Array2::from_shape_fn((40, 33), |(i, j)| {
            f64::from(i32::try_from(i * 33 + j).unwrap()).sin() * scale
        })
    };
    let column_major = |array: &Array2<f64>| {
        let mut columns = Array2::zeros(array.raw_dim().f());
        columns.assign(array);
        columns
    };
    let decoupled = WeightDecay::Decoupled(0.1);
    let rule = Adamax::builder().weight_decay(decoupled).build().unwrap();
    let (start, gradient) = (values(1.0), values(-0.3));
    let rows = slide(&start, &gradient, &AdamaxSolver::new(rule));
    let columns = slide(&column_major(&start), &column_major(&gradient), &AdamaxSolver::new(rule));
    assert_eq!(rows.gradient_norm.to_bits(), columns.gradient_norm.to_bits());
    assert_eq!(rows.step_norm.to_bits(), columns.step_norm.to_bits());

    // One axis, in both directions.
    let flat = |array: Array2<f64>| array.into_shape_with_order(40 * 33).unwrap();
    let reversed = |array: &Array1<f64>| {
        let mut other = array.clone();
        other.invert_axis(Axis(0));
        other.assign(array);
        other
    };
    let (start, gradient) = (flat(start), flat(gradient));
    let plain = slide(&start, &gradient, &AdamaxSolver::new(rule));
    let backwards = slide(&reversed(&start), &reversed(&gradient), &AdamaxSolver::new(rule));
    assert_eq!(plain.gradient_norm.to_bits(), backwards.gradient_norm.to_bits());
    assert_eq!(plain.step_norm.to_bits(), backwards.step_norm.to_bits());
    assert_close(plain.step_norm, rows.step_norm, NORM_ROUNDING, 0.0);
}

/// A parameter may be infinite (a bound that is not in use); without a decay the step is not.
#[test]
fn an_infinite_parameter_has_a_step() {
    let run = slide(&array![f64::INFINITY], &array![1.0], &paper(0.25));
    assert_close(run.step_norm, 0.25, NORM_ROUNDING, 0.0);
}

// ---------------------------------------------------------------- bounds

const INF: f64 = f64::INFINITY;

/// Bounds of each kind for six elements: both, a lower one, an upper one, none, equal ones, and one at
/// the start.
const LOWER: [f64; 6] = [2.0, -0.25, -INF, -INF, 4.5, 2.0];
const UPPER: [f64; 6] = [3.5, INF, 1.25, INF, 4.5, 9.0];

/// An independent projection: in another order, and by other operations.
fn inside(x: f64, lower: f64, upper: f64) -> f64 {
    if x.is_nan() || (lower..=upper).contains(&x) {
        x
    } else if x > upper {
        upper
    } else {
        lower
    }
}

/// The values that an observer sees with bounds, computed naively.
#[derive(Debug)]
struct BoundedStep {
    x: Vec<f64>,
    projected_norm: f64,
    step_norm: f64,
    max_step: f64,
}

/// Steps without bounds, each followed by the projection.
fn bounded_climb(rule: &Adamax, steps: u64) -> Vec<BoundedStep> {
    let bounds = || LOWER.into_iter().zip(UPPER);
    let mut x: Array1<f64> =
        RUNGS.into_iter().zip(bounds()).map(|(x, (low, up))| inside(x, low, up)).collect();
    let mut moments = Moments::zeros_like(&x);
    let step = |_| {
        let (before, gradient) = (x.clone(), Ladder::slope(&x));
        rule.step(&mut moments, &mut x, &gradient).unwrap();
        x.iter_mut().zip(bounds()).for_each(|(x, (low, up))| *x = inside(*x, low, up));
        let free = Ladder::slope(&x);
        let entries = free.iter().zip(&x).zip(bounds()).filter(|((slope, x), (low, up))| {
            let blocked = if **slope > 0.0 { low } else { up };
            *x != blocked
        });
        BoundedStep {
            projected_norm: entries.map(|((slope, _), _)| slope * slope).sum::<f64>().sqrt(),
            step_norm: norm(&(&x - &before)),
            max_step: largest(&(&x - &before)),
            x: x.to_vec(),
        }
    };
    (0..steps).map(step).collect()
}

fn bounded<P: 'static>(lower: &P, upper: &P) -> AdamaxSolver
where
    for<'a> &'a P: IntoIterator<Item = &'a f64>,
{
    AdamaxSolver::new(rule(0.05)).with_bounds(lower, upper).unwrap()
}

/// Every type of a parameter, and every type of bounds of the same shape.
#[test]
fn each_element_keeps_its_bounds() {
    const STEPS: u64 = 60;
    fn check<P>(start: P, solver: AdamaxSolver, expected: &[BoundedStep])
    where
        P: Clone + 'static,
        for<'a> &'a P: IntoIterator<Item = &'a f64>,
        for<'a> &'a mut P: IntoIterator<Item = &'a mut f64>,
    {
        let (mut problem, mut solver) = (Problem::new(Ladder::new()), solver);
        let state: On<P> = IterState::new().param(start);
        let (mut state, _) = solver.init(&mut problem, state).unwrap();
        for expected in expected {
            let (next, kv) = solver.next_iter(&mut problem, state).unwrap();
            let kv = kv.unwrap();
            let float = |key| kv.get(key).unwrap().get_float().unwrap();
            let found: Vec<f64> = next.get_param().unwrap().into_iter().copied().collect();
            assert_eq!(found, expected.x);
            assert_eq!(float("max_step"), expected.max_step);
            let size = norm(&Array1::from_iter(RUNGS));
            let rounding = ROUNDED_PARAMETER * size;
            assert_close(float("step_norm"), expected.step_norm, NORM_ROUNDING, rounding);
            let projected = float("projected_gradient_norm");
            assert_close(projected, expected.projected_norm, NORM_ROUNDING, 0.0);
            state = next;
        }
    }
    let expected = bounded_climb(&rule(0.05), STEPS);
    let end = &expected[expected.len() - 1].x;
    assert_eq!([end[0], end[2], end[4]], [2.0, 1.25, 4.5], "no bound was reached");

    let of_vec = || bounded(&LOWER.to_vec(), &UPPER.to_vec());
    check(RUNGS.to_vec(), of_vec(), &expected);
    check(RUNGS, bounded(&LOWER, &UPPER), &expected);
    check(DVector::from_row_slice(&RUNGS), of_vec(), &expected);
    check(
        VecDeque::from(RUNGS),
        bounded(&VecDeque::from(LOWER), &VecDeque::from(UPPER)),
        &expected,
    );
    check(ndarray_016::Array1::from_iter(RUNGS), of_vec(), &expected);
    check(Array1::from_iter(RUNGS), of_vec(), &expected);
    let rows = |values: [f64; 6]| Array2::from_shape_vec((2, 3), values.to_vec()).unwrap();
    let columns = |values: [f64; 6]| {
        let mut columns = Array2::zeros((2, 3).f());
        columns.assign(&rows(values));
        columns
    };
    check(rows(RUNGS), bounded(&rows(LOWER), &rows(UPPER)), &expected);
    check(columns(RUNGS), bounded(&rows(LOWER), &columns(UPPER)), &expected);
    check(ArcArray::from(rows(RUNGS)), bounded(&rows(LOWER), &rows(UPPER)), &expected);
}

/// For every kind of rule, in both precisions.
#[test]
fn equal_bounds_are_those_of_a_rule() {
    fn check<A: Float + ArgminFloat + NdFloat>() {
        let start = Array1::from_iter([0.75, -2.5, 0.125, 3.0].map(A::of));
        let ends = |solver: &AdamaxSolver<A>| {
            let mut problem = Problem::new(Bowl::around(start.mapv(|x| -x)));
            let (mut solver, mut seen) = (solver.clone(), Vec::new());
            let (mut state, _) =
                solver.init(&mut problem, IterState::new().param(start.clone())).unwrap();
            for _ in 0..4 {
                let (next, kv) = solver.next_iter(&mut problem, state).unwrap();
                let kv = kv.unwrap();
                let bits =
                    |key| kv.get(key).and_then(argmin::core::KvValue::get_float).map(f64::to_bits);
                let keys = ["gradient_norm", "projected_gradient_norm", "step_norm", "max_step"];
                seen.push((next.get_param().unwrap().bits(), keys.map(bits)));
                state = next;
            }
            (seen, solver.state().cloned())
        };
        for case in rules::one_of_each_kind() {
            for (lower, upper) in [(-0.5, 0.5), (-0.0, INF), (0.1, 0.1), (-INF, 0.3)] {
                let rule = case.rule.to_builder().bounds(-INF, INF).build().unwrap();
                let each = |bound: f64| Array1::from_elem(4, A::of(bound));
                let solver = AdamaxSolver::new(rule);
                let found = ends(&solver.with_bounds(&each(lower), &each(upper)).unwrap());
                let bounded = rule.to_builder().bounds(lower, upper).build().unwrap();
                let expected = ends(&AdamaxSolver::new(bounded));
                assert_eq!(found, expected, "{}, [{lower}, {upper}]", case.name);
                // Bounds of the elements, within one of the rule, and the other way round.
                let half = rule.to_builder().bounds(-INF, upper).build().unwrap();
                let solver = AdamaxSolver::new(half);
                let found = ends(&solver.with_bounds(&each(lower), &each(INF)).unwrap());
                assert_eq!(found, expected, "{}, [{lower}, {upper}], halved", case.name);
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// A rule with these bounds takes the step; one without them refuses it.
#[test]
fn equal_bounds_hold_a_step_that_would_overflow() {
    let edge = 1.79e308;
    let solver = AdamaxSolver::new(rule(1e307));
    let solver = solver.with_bounds(&array![0.0, 0.0], &array![edge, edge]).unwrap();
    let run = slide(&array![edge, 0.0], &array![-1.0, 1.0], &solver);
    assert_eq!(run.end, array![edge, 0.0]);
}

/// Different bounds take another way than equal ones.
#[test]
fn different_bounds_limit_every_rule() {
    fn check<A: Float + ArgminFloat + NdFloat>(epsilon: f64) {
        let start = Array1::from_iter([0.75, -2.5, 0.125, 3.0].map(A::of));
        let slopes = Bowl::around(start.mapv(|x| -x));
        let lower = [-0.5, -1.0, -0.0, -INF].map(A::of);
        let upper = [0.5, INF, 0.125, 2.0].map(A::of);
        for case in rules::one_of_each_kind() {
            let rule = case.rule.to_builder().bounds(-INF, INF).build().unwrap();
            let mut x = Array1::from_iter([0.5, -1.0, 0.125, 2.0].map(A::of));
            let mut moments = Moments::zeros_like(&x);
            let mut problem = Problem::new(Bowl::around(start.mapv(|x| -x)));
            let mut solver = AdamaxSolver::new(rule).with_bounds(&lower, &upper).unwrap();
            let state = IterState::new().param(start.clone());
            let (mut state, _) = solver.init(&mut problem, state).unwrap();
            for _ in 0..20 {
                let (before, gradient) = (x.clone(), slopes.slope(&x));
                rule.step(&mut moments, &mut x, &gradient).unwrap();
                for ((x, low), up) in x.iter_mut().zip(lower).zip(upper) {
                    *x = if *x > up {
                        up
                    } else if *x < low {
                        low
                    } else {
                        *x
                    };
                }
                let (next, kv) = solver.next_iter(&mut problem, state).unwrap();
                assert_same_bits(next.get_param().unwrap(), &x);
                assert_eq!(solver.state(), Some(&moments), "the moments were told");
                let kv = kv.unwrap();
                let float = |key| kv.get(key).unwrap().get_float().unwrap();
                let widened = |x: &Array1<A>| x.mapv(Float::wide);
                assert_eq!(float("max_step"), largest(&widened(&(&x - &before))), "{}", case.name);
                let step = [widened(&before), widened(&x)];
                assert_norm_of_step(float("step_norm"), step, epsilon, &case.name);
                state = next;
            }
        }
    }
    check::<f64>(f64::EPSILON);
    check::<f32>(f32::EPSILON.into());
}

/// A parameter at its bounds does not move any more, although its gradient is not 0.
#[test]
fn a_run_ends_at_a_bound() {
    let at_bounds = |solver: AdamaxSolver| {
        let problem: Ladder<Vec<f64>> = Ladder::new();
        let start = || vec![3.0, 0.5];
        let result = Executor::new(problem, solver)
            .configure(|state| state.param(start()).max_iters(5_000))
            .run()
            .unwrap();
        let state = result.state();
        let converged = state.get_termination_reason() == Some(&TerminationReason::SolverConverged);
        (converged, state.get_param().unwrap().clone())
    };
    // The minimum is at (1, 2).
    let in_box = rule(0.05).to_builder().bounds(1.5, 1.75).build().unwrap();
    let end = (true, vec![1.5, 1.75]);
    let each = || bounded(&vec![1.5, -INF], &vec![INF, 1.75]);
    let flat = |solver: AdamaxSolver| solver.with_tolerance_grad(1e-9).unwrap();
    assert_eq!(at_bounds(flat(AdamaxSolver::new(in_box))), end);
    assert_eq!(at_bounds(flat(each())), end);
    let still = |solver: AdamaxSolver| solver.with_tolerance_step(1e-9).unwrap();
    assert_eq!(at_bounds(still(AdamaxSolver::new(in_box))), end);
    assert_eq!(at_bounds(still(each())), end);
    // Without a tolerance the run goes on.
    assert_eq!(at_bounds(each()), (false, end.1.clone()));
    // A rule that maximises climbs to the other bounds.
    let up = in_box.to_builder().objective(Objective::Maximize).build().unwrap();
    assert_eq!(at_bounds(flat(AdamaxSolver::new(up))), (true, vec![1.75, 1.5]));
}

/// No cost or gradient is evaluated outside, not even at the start, and `best_param` is inside.
#[test]
fn a_start_outside_is_moved_inside_before_the_first_evaluation() {
    /// The problem of `Ladder`, which refuses to be evaluated where a parameter is above 1.75 or below 1.5.
    struct Inside<P>(Ladder<P>);
    fn check<P>(x: &P) -> Result<(), Error>
    where
        for<'a> &'a P: IntoIterator<Item = &'a f64>,
    {
        let is_inside = x.into_iter().all(|x| (1.5..=1.75).contains(x));
        if is_inside { Ok(()) } else { Err(Error::msg("outside")) }
    }
    impl<P> CostFunction for Inside<P>
    where
        for<'a> &'a P: IntoIterator<Item = &'a f64>,
    {
        type Param = P;
        type Output = f64;
        fn cost(&self, x: &P) -> Result<f64, Error> {
            check(x).and_then(|()| self.0.cost(x))
        }
    }
    impl<P> Gradient for Inside<P>
    where
        for<'a> &'a P: IntoIterator<Item = &'a f64>,
    {
        type Param = P;
        type Gradient = P;
        fn gradient(&self, x: &P) -> Result<P, Error> {
            check(x).and_then(|()| self.0.gradient(x))
        }
    }
    // The minimum is at (1, 2), outside. So is the start, and what is given with it looks like a solution.
    fn run<P>(make: fn([f64; 2]) -> P, solver: &AdamaxSolver, edge: [f64; 2])
    where
        P: Clone + 'static + PartialEq + std::fmt::Debug,
        for<'a> &'a P: IntoIterator<Item = &'a f64>,
        for<'a> &'a mut P: IntoIterator<Item = &'a mut f64>,
    {
        let start = || make([9.0, -9.0]);
        let begins: [&dyn Fn(On<P>) -> On<P>; 2] = [&|state| state.param(start()), &|state| {
            state.param(start()).cost(-1.0).gradient(make([0.0, 0.0]))
        }];
        for begin in begins {
            let mut problem = Problem::new(Inside(Ladder::new()));
            let (state, _) = solver.clone().init(&mut problem, begin(IterState::new())).unwrap();
            assert_eq!(state.get_param(), Some(&make(edge)));
            let cost = Ladder::new().cost(&make(edge)).unwrap();
            assert_eq!((state.get_cost(), state.get_prev_cost()), (cost, INF));
            assert_eq!(state.get_gradient(), Some(&Ladder::slope(&make(edge))));
            assert_eq!(state.get_prev_gradient(), None);

            let result = Executor::new(Inside(Ladder::new()), solver.clone())
                .configure(|state| begin(state).max_iters(50))
                .run()
                .unwrap();
            assert_eq!(result.state().get_best_param(), Some(&make([1.5, 1.75])));
        }
    }
    let of_rule = rule(0.05).to_builder().bounds(1.5, 1.75).build().unwrap();
    let solvers = [
        AdamaxSolver::new(of_rule),
        // The same bounds for all elements, and different ones.
        bounded(&vec![1.5, 1.5], &vec![1.75, 1.75]),
        bounded(&vec![1.5, 1.5], &vec![1.625, 1.75]),
    ];
    for (solver, edge) in solvers.iter().zip([1.75, 1.75, 1.625]) {
        run(|x| x.to_vec(), solver, [edge, 1.5]);
        run(|x| x, solver, [edge, 1.5]);
        run(|x| DVector::from_row_slice(&x), solver, [edge, 1.5]);
        run(Array1::from_iter, solver, [edge, 1.5]);
    }
}

/// A cost and a gradient that are given with a start inside still count.
#[test]
fn a_start_inside_keeps_its_cost_and_gradient() {
    let start = ArcArray::from(array![2.0, 1.0]);
    let plane = Plane { gradient: start.clone(), cost: 1.0 };
    let mut solver = bounded(&array![-INF, 1.0], &array![2.0, INF]);
    let given = ArcArray::from(array![0.5, 0.25]);
    let state: On<ArcArray<f64, Ix1>> = IterState::new().param(start.clone());
    let mut problem = Problem::new(plane);
    let (state, _) = solver.init(&mut problem, state.cost(3.0).gradient(given.clone())).unwrap();
    assert!(problem.counts.is_empty(), "evaluated again");
    assert_eq!((state.get_cost(), state.get_gradient()), (3.0, Some(&given)));
    let param = state.get_param().unwrap();
    assert_eq!(param.as_ptr(), start.as_ptr(), "a shared array was copied");
}

#[test]
fn special_values_are_kept_within_bounds() {
    let start = vec![-0.0, -0.0, f64::NAN, INF];
    let plane = Plane { gradient: vec![0.0; 4], cost: 0.0 };
    let solver = bounded(&vec![0.0, -1.0, -1.0, -2.0], &vec![1.0, 0.0, 1.0, 3.0]);
    let result = Executor::new(plane, solver)
        .configure(|state| state.param(start).max_iters(2))
        .run()
        .unwrap();
    let end = result.state().get_param().unwrap();
    let bits: Vec<u64> = end.iter().map(|x| x.to_bits()).collect();
    let kept = [(-0.0_f64).to_bits(), (-0.0_f64).to_bits(), f64::NAN.to_bits(), 3.0_f64.to_bits()];
    assert_eq!(bits, kept);
}

/// Bounds that are equal as numbers differ in the sign of 0, which a step writes.
#[test]
fn each_bound_keeps_the_sign_of_its_zero() {
    let plane = Plane { gradient: vec![1.0; 3], cost: 0.0 };
    let solver = bounded(&vec![0.0, -0.0, 0.0], &vec![1.0; 3]);
    let result = Executor::new(plane, solver)
        .configure(|state| state.param(vec![1e-4; 3]).max_iters(1))
        .run()
        .unwrap();
    let end = result.state().get_param().unwrap();
    let signs: Vec<bool> = end.iter().map(|x| *x == 0.0 && x.is_sign_negative()).collect();
    assert_eq!(signs, [false, true, false], "{end:?}");
}

/// Without bounds, nothing of the gradient is held back, and there is no figure for it.
#[test]
fn without_bounds_there_is_no_projected_gradient() {
    let mut problem = Problem::new(Plane { gradient: vec![1.0], cost: 0.0 });
    let mut solver = AdamaxSolver::new(rule(0.05));
    let state: On<Vec<f64>> = IterState::new().param(vec![0.5]);
    let (state, _) = solver.init(&mut problem, state).unwrap();
    let (_, kv) = solver.next_iter(&mut problem, state).unwrap();
    assert!(kv.unwrap().get("projected_gradient_norm").is_none());
}

/// In `f32`, 0.1 is above the number. A parameter there stands at its bound.
#[test]
fn a_bound_is_rounded_to_the_parameter() {
    let rule = Adamax::builder().bounds(0.1, 1.0).build().unwrap();
    let plane = Plane { gradient: vec![1.0_f32], cost: 0.0_f32 };
    let solver = AdamaxSolver::<f32>::new(rule);
    let mut problem = Problem::new(plane);
    let mut solver = solver.with_tolerance_step(1e-12).unwrap();
    let state: On<Vec<f32>, f32> = IterState::new().param(vec![0.1]);
    let (state, kv) = solver.init(&mut problem, state).unwrap();
    assert_eq!(kv.unwrap().get("projected_gradient_norm").unwrap().get_float(), Some(0.0));
    let (_, kv) = solver.next_iter(&mut problem, state).unwrap();
    assert_eq!(kv.unwrap().get("step_norm").unwrap().get_float(), Some(0.0));
}

/// Without `init`, which would move the parameter inside.
#[test]
fn a_skipped_step_is_not_projected() {
    let skipping = rule(0.05).to_builder().non_finite(NonFinite::Skip).build().unwrap();
    let plane = Plane { gradient: vec![f64::NAN, 0.0], cost: 0.0 };
    let mut solver = AdamaxSolver::new(skipping).with_bounds(&[0.0, 0.0], &[1.0, 2.0]).unwrap();
    let state: On<Vec<f64>> = IterState::new().param(vec![5.0, 5.0]);
    let (state, _) = solver.next_iter(&mut Problem::new(plane), state).unwrap();
    assert_eq!(state.get_param().unwrap(), &vec![5.0, 5.0]);
}

#[test]
fn bounds_that_cannot_be_kept_are_refused() {
    let boxed = rule(0.05).to_builder().bounds(-1.0, 2.0).build().unwrap();
    let refused = |lower: [f64; 2], upper: [f64; 2]| {
        let error = failure(AdamaxSolver::new(boxed).with_bounds(&lower, &upper));
        assert!(matches!(error, ArgminError::InvalidParameter { .. }));
        error.to_string()
    };
    for (lower, upper, message) in [
        (
            [0.0, f64::NAN],
            [1.0, 1.0],
            "lower bound is NaN at index [1], but must be a number below infinity",
        ),
        (
            [0.0, 0.0],
            [f64::NAN, 1.0],
            "upper bound is NaN at index [0], but must be a number above -infinity",
        ),
        (
            [0.0, INF],
            [1.0, INF],
            "lower bound is inf at index [1], but must be a number below infinity",
        ),
        (
            [-INF, 0.0],
            [-INF, 1.0],
            "upper bound is -inf at index [0], but must be a number above -infinity",
        ),
        (
            [0.0, 1.5],
            [1.0, 1.25],
            "lower bound is 1.5 at index [1], but must be at most the upper bound, which is 1.25",
        ),
        (
            [0.0, 2.5],
            [1.0, INF],
            "lower bound is 2.5 at index [1], but must be at most the upper bound of the rule, \
             which is 2.0",
        ),
        (
            [-9.0, 0.0],
            [-4.0, INF],
            "upper bound is -4.0 at index [0], but must be at least the lower bound of the rule, \
             which is -1.0",
        ),
    ] {
        let found = refused(lower, upper);
        assert!(found.contains(message), "{found}");
    }

    let solver = || AdamaxSolver::new(rule(0.05));
    let error = failure(solver().with_bounds(&vec![0.0], &vec![1.0, 2.0]));
    let expected = "upper bound has shape [2], but lower bound has shape [1]";
    assert!(error.to_string().contains(expected), "{error}");
    let (low, up) = (Array2::zeros((3, 2)), Array2::ones((3, 2)));
    for (lower, shown) in [(low.clone(), "[3, 2]"), (Array2::zeros((1, 3)), "[1, 3]")] {
        let up = if lower.shape() == up.shape() { up.clone() } else { Array2::ones((1, 3)) };
        let solver = solver().with_bounds(&lower, &up).unwrap();
        let result = Executor::new(Ladder::new(), solver)
            .configure(|state| state.param(Array2::<f64>::zeros((2, 3))).max_iters(9))
            .run();
        let text = failure(result).to_string();
        let expected = format!("lower bound has shape {shown}, but parameter has shape [2, 3]");
        assert!(text.contains(&expected), "{text}");
    }

    // Without `init`, and with a parameter of another length.
    let mut problem = Problem::new(Ladder::new());
    for lower in [vec![0.0, 1.0], vec![0.0, 0.0]] {
        let mut bounded = bounded(&lower, &vec![5.0, 5.0]);
        let short: On<Vec<f64>> = IterState::new().param(vec![1.0]);
        let error = failure(bounded.next_iter(&mut problem, short)).to_string();
        let expected = "lower bound has shape [2], but parameter has shape [1]";
        assert!(error.contains(expected), "{error}");
        assert_eq!(bounded.state(), None);
    }
}

// ---------------------------------------------------------------- stop

fn stop() -> StopBuilder {
    Stop::builder().patience(5)
}

/// The cost is the loss: at the start, and after each iteration.
#[test]
fn a_cost_that_stops_improving_ends_a_run() {
    const OVERSHOOTING: f64 = 0.5;
    let criteria = stop().smoothing(0.5).build().unwrap();
    let (problem, mut x, _) = small();
    let (mut moments, mut expected) = (Moments::zeros_like(&x), criteria.clone());
    expected.observe(problem.cost(&x).unwrap());
    let mut iterations = 0;
    while expected.reason().is_none() {
        let gradient = problem.slope(&x);
        rule(OVERSHOOTING).step(&mut moments, &mut x, &gradient).unwrap();
        expected.observe(problem.cost(&x).unwrap());
        iterations += 1;
    }
    let solver = AdamaxSolver::new(rule(OVERSHOOTING)).with_stop(criteria.clone());
    let result = run((problem, small().1, solver), |state| state.max_iters(10_000)).unwrap();
    let text = "the loss has stopped improving".to_string();
    assert_ended_by(&result, &TerminationReason::SolverExit(text));
    assert_eq!(result.state().get_iter(), iterations);
    assert_same_bits(result.state().get_param().unwrap(), &x);
    assert_eq!(result.solver().stop(), Some(&expected));

    // In `f32` too, and not before the patience is over.
    let flat = Plane { gradient: vec![0.0_f32], cost: 1.0_f32 };
    let result = Executor::new(flat, AdamaxSolver::<f32>::new(rule(0.1)).with_stop(criteria))
        .configure(|state: On<Vec<f32>, f32>| state.param(vec![1.0]).max_iters(100))
        .run()
        .unwrap();
    assert_eq!(result.state().get_iter(), 6);
}

#[test]
fn tolerances_of_a_stop_end_a_run() {
    let ended = |criteria: StopBuilder, solver: AdamaxSolver| {
        let criteria = criteria.patience(u64::MAX).build().unwrap();
        let problem: Ladder<Vec<f64>> = Ladder::new();
        let result = Executor::new(problem, solver.with_stop(criteria))
            .configure(|state| state.param(vec![3.0, 0.5]).max_iters(5_000))
            .run()
            .unwrap();
        let state = result.state();
        let by_solver = state.get_termination_reason() == Some(&TerminationReason::SolverConverged);
        let [x, before] = [state.get_param(), state.get_prev_param()].map(|x| x.unwrap().clone());
        (by_solver, Array1::from_vec(x), Array1::from_vec(before))
    };
    let solver = || AdamaxSolver::new(rule(0.05));
    let (by_solver, x, before) = ended(stop().step_tolerance(1e-4), solver());
    assert!(by_solver && largest(&(&x - &before)) < 1e-4);
    let (by_solver, x, before) = ended(stop().gradient_tolerance(1e-3), solver());
    assert!(by_solver && norm(&Ladder::slope(&x)) < 1e-3);
    assert!(norm(&Ladder::slope(&before)) >= 1e-3);
    // The minimum is at (1, 2), outside of the bounds.
    let each = || bounded(&vec![1.5, -INF], &vec![INF, 1.75]);
    let (by_solver, x, _) = ended(stop().gradient_tolerance(1e-3), each());
    assert_eq!((by_solver, x), (true, array![1.5, 1.75]));
    let (by_solver, x, _) = ended(stop().step_tolerance(1e-9), each());
    assert_eq!((by_solver, x), (true, array![1.5, 1.75]));
    // Off by default.
    assert!(!ended(stop(), each()).0);
}

/// Steps in memory are of length 0 where rounding swallows them, and where they are skipped. Only the
/// former end a run.
#[test]
fn a_stop_looks_at_what_was_written() {
    let criteria = stop().step_tolerance(1e-6).build().unwrap();
    let swallowed = slide(&vec![2e17], &vec![1.0], &paper::<f64>(1.0).with_stop(criteria.clone()));
    assert_eq!((swallowed.converged, swallowed.iterations, swallowed.step_norm), (true, 1, 1.0));

    let (mut problem, start, _) = small();
    problem.broken = Some(3);
    let skipping = rule(0.05).to_builder().non_finite(NonFinite::Skip).build().unwrap();
    let solver = AdamaxSolver::new(skipping).with_stop(criteria);
    let result = run((problem, start, solver), |state| state.max_iters(10)).unwrap();
    assert_ended_by(&result, &TerminationReason::MaxItersReached);
    // The start, given twice, is not a step.
    let (problem, start, _) = small();
    let criteria = stop().step_tolerance(1e-6).build().unwrap();
    let solver = AdamaxSolver::new(rule(0.05)).with_stop(criteria);
    let again = start.clone();
    let result = run((problem, start, solver), |state| state.param(again).max_iters(10)).unwrap();
    assert_ended_by(&result, &TerminationReason::MaxItersReached);
}

/// It goes on with its moments and its `Stop`, which observes the cost at the start once more. A copy from
/// before the first run does not.
#[test]
fn a_used_solver_is_warm() {
    let run = |solver: AdamaxSolver, iterations| {
        let flat = Plane { gradient: vec![1.0], cost: 1.0 };
        let result = Executor::new(flat, solver)
            .configure(|state: On<Vec<f64>>| state.param(vec![1.0]).max_iters(iterations))
            .run()
            .unwrap();
        (result.state().get_iter(), result.solver().clone())
    };
    let fresh = AdamaxSolver::new(rule(0.05)).with_stop(stop().build().unwrap());
    let (_, used) = run(fresh.clone(), 2);
    let (iterations, used) = run(used, 100);
    // Bad losses: two of the first run, the start and three of the second.
    assert_eq!((iterations, used.state().unwrap().steps()), (3, 5));
    let (iterations, cold) = run(fresh, 100);
    assert_eq!((iterations, cold.state().unwrap().steps()), (6, 6));
}

/// argmin minimizes the cost; the best loss of such a `Stop` would be the highest.
#[test]
fn a_stop_that_maximizes_is_refused() {
    let (problem, start, solver) = small();
    let criteria = stop().objective(Objective::Maximize).build().unwrap();
    let error = failure(run((problem, start, solver.with_stop(criteria)), |state| state));
    let expected = "objective of the `Stop` is Maximize, but must be Minimize, because argmin \
                    minimizes the cost";
    assert!(
        matches!(&error, ArgminError::InvalidParameter { text } if text == expected),
        "{error}"
    );
}

#[test]
fn norms_end_a_run_below_their_tolerance_and_not_at_it() {
    // The gradient is [3, 4] for ever, because the learning rate is 0. The step has the norm 1/4 for ever.
    let still = Adamax::new(0.0).unwrap();
    let quarter =
        Adamax::builder().learning_rate(0.25).beta1(0.0).beta2(0.0).epsilon(0.0).build().unwrap();
    let iterations = |solver: AdamaxSolver, start: Array1<f64>| {
        let problem = Bowl::around(Array1::zeros(start.len()));
        run((problem, start, solver), |state| state.max_iters(7)).unwrap().state().get_iter()
    };
    for (tolerance, expected) in [(5.0, 7), (5.0_f64.next_up(), 0)] {
        let solver = AdamaxSolver::new(still).with_tolerance_grad(tolerance).unwrap();
        assert_eq!(iterations(solver, array![3.0, 2.0]), expected, "{tolerance}");
    }
    for (tolerance, expected) in [(0.25, 7), (0.25_f64.next_up(), 1)] {
        let solver = AdamaxSolver::new(quarter).with_tolerance_step(tolerance).unwrap();
        assert_eq!(iterations(solver, array![100.0]), expected, "{tolerance}");
    }
}

/// A step that is short only because of a warm-up is no reason to stop.
#[test]
fn short_steps_of_a_rising_schedule_do_not_end_a_run() {
    let by_norm = |solver: AdamaxSolver| solver.with_tolerance_step(1e-4).unwrap();
    let by_change =
        |solver: AdamaxSolver| solver.with_stop(stop().step_tolerance(1e-4).build().unwrap());
    for limited in [by_norm, by_change] {
        let ended = |schedule: Schedule| {
            let (problem, start, solver) = small();
            let solver = limited(solver.with_schedule(schedule));
            let result = run((problem, start, solver), |state| state.max_iters(40)).unwrap();
            let state = result.state();
            let reason = state.get_termination_reason().cloned();
            (state.get_iter(), reason == Some(TerminationReason::SolverConverged))
        };
        let constant = || Schedule::constant(1.0).unwrap();
        // The first step is 0.
        assert_eq!(ended(constant().warm_up(5, 0.0).unwrap()), (40, false));
        // Cycles of 10 steps that begin with a short one, and end with one.
        let triangle = Schedule::cyclic(5, 5, 1e-6, Amplitude::Constant).unwrap();
        assert!(triangle.scale(10) < 1e-4 && triangle.scale(11) > triangle.scale(10));
        assert_eq!(ended(triangle), (40, false));
        // The last step of a decay is followed by others of the same length, or by a restart.
        let decay = Schedule::linear(20, 1.0, 0.0).unwrap();
        let (steps, converged) = ended(decay);
        assert!(converged && steps <= 21, "{steps}");
        let pause = Schedule::constant(0.0).unwrap();
        let later = Schedule::sequence([(10, pause)], constant()).unwrap();
        assert_eq!(ended(later), (1, true));
    }
}

// ---------------------------------------------------------------- errors

fn failure<T>(result: Result<T, Error>) -> ArgminError {
    result.err().expect("should have failed").downcast().expect("should be an `ArgminError`")
}

#[test]
fn a_run_without_a_parameter_is_refused() {
    let (problem, _, solver) = small();
    let error = failure(Executor::new(problem, solver).run());
    assert!(matches!(&error, ArgminError::NotInitialized { text } if text.contains("configure")));
}

#[test]
fn a_gradient_that_is_not_finite_is_refused_by_name_and_index() {
    let (mut problem, start, solver) = small();
    problem.broken = Some(3);
    let error = failure(run((problem, start, solver), |state| state.max_iters(10)));
    assert!(matches!(
        &error,
        ArgminError::ConditionViolated { text } if text == "gradient is NaN at index [0]"
    ));
}

/// As the policy for gradients says. An infinite cost is that of a barrier.
#[test]
fn a_cost_that_is_nan_is_refused() {
    let ends = |policy, cost: f64, given: Option<f64>| {
        let rule = rule(0.05).to_builder().non_finite(policy).build().unwrap();
        let plane = Plane { gradient: vec![1.0], cost };
        let result = Executor::new(plane, AdamaxSolver::new(rule))
            .configure(|state: On<Vec<f64>>| {
                let state = state.param(vec![0.0]).max_iters(5);
                if let Some(given) = given { state.cost(given) } else { state }
            })
            .run();
        result.map(|result| result.state().get_iter())
    };
    for (cost, given, t) in
        [(f64::NAN, None, 0), (1.0, Some(f64::NAN), 0), (f64::NAN, Some(1.0), 1)]
    {
        let error = failure(ends(NonFinite::Error, cost, given));
        let expected = format!("cost is NaN after t = {t}");
        let found = matches!(&error, ArgminError::ConditionViolated { text } if *text == expected);
        assert!(found, "{error}");
        for policy in [NonFinite::Skip, NonFinite::Propagate] {
            assert_eq!(ends(policy, cost, given).unwrap(), 5);
        }
    }
    assert_eq!(ends(NonFinite::Error, INF, None).unwrap(), 5);
    // argmin ends a run whose cost is below its target.
    assert_eq!(ends(NonFinite::Error, -INF, None).unwrap(), 0);
}

#[test]
fn arrays_of_another_shape_are_refused() {
    let short = array![1.0];
    let (problem, start, solver) = small();
    let solver = solver.with_state(Moments::zeros_like(&short));
    for (expected, refused) in [
        (
            "gradient has shape [1], but parameter has shape [3]",
            run(small(), |state| state.gradient(short).max_iters(10)),
        ),
        (
            "parameter has shape [3], but state has shape [1]",
            run((problem, start, solver), |state| state.max_iters(10)),
        ),
    ] {
        let error = failure(refused);
        assert!(
            matches!(&error, ArgminError::InvalidParameter { text } if *text == expected),
            "{error}"
        );
    }
}

/// A parameter that panics when a countdown, which all its copies share, comes to 0.
struct Fused {
    values: [f64; 2],
    countdown: Rc<Cell<u32>>,
}

impl Fused {
    /// Counts a call. A countdown that begins at 0 never ends.
    fn count(&self) {
        let left = self.countdown.get();
        self.countdown.set(left.saturating_sub(1));
        if left == 1 {
            panic_quietly();
        }
    }
}

impl Clone for Fused {
    fn clone(&self) -> Self {
        self.count();
        Fused { values: self.values, countdown: Rc::clone(&self.countdown) }
    }
}

impl Drop for Fused {
    fn drop(&mut self) {
        self.count();
    }
}

impl<'a> IntoIterator for &'a Fused {
    type Item = &'a f64;
    type IntoIter = std::slice::Iter<'a, f64>;

    fn into_iter(self) -> Self::IntoIter {
        self.count();
        self.values.iter()
    }
}

impl<'a> IntoIterator for &'a mut Fused {
    type Item = &'a mut f64;
    type IntoIter = std::slice::IterMut<'a, f64>;

    fn into_iter(self) -> Self::IntoIter {
        self.count();
        self.values.iter_mut()
    }
}

/// A tolerance of 0 is off: neither the parameter nor a gradient is read for it.
#[test]
fn criteria_that_are_off_cost_nothing() {
    // With a decay, the step depends on the parameter.
    let rule = Adamax::builder().weight_decay(WeightDecay::Decoupled(0.1)).build().unwrap();
    let solver = AdamaxSolver::new(rule);
    let with_stop = |builder: StopBuilder| solver.clone().with_stop(builder.build().unwrap());
    for (tolerance, is_on) in [(0.0, false), (1e-9, true)] {
        for (what, mut solver) in [
            ("gradient", solver.clone().with_tolerance_grad(tolerance).unwrap()),
            ("step", solver.clone().with_tolerance_step(tolerance).unwrap()),
            ("gradient of a `Stop`", with_stop(Stop::builder().gradient_tolerance(tolerance))),
            ("step of a `Stop`", with_stop(Stop::builder().step_tolerance(tolerance))),
        ] {
            let countdown = Rc::new(Cell::new(0));
            let fused = |value| Fused { values: [value; 2], countdown: Rc::clone(&countdown) };
            let mut problem = Problem::new(Plane { gradient: fused(0.5), cost: 1.0 });
            let state: On<Fused> = IterState::new().param(fused(5.0));
            let state = solver.init(&mut problem, state).unwrap().0;
            let state = solver.next_iter(&mut problem, state).unwrap().0;
            countdown.set(u32::MAX);
            let status = Solver::<Plane<Fused, f64>, _>::terminate(&mut solver, &state);
            assert_eq!(status, TerminationStatus::NotTerminated);
            let reads = u32::MAX - countdown.replace(0);
            assert_eq!(reads > 0, is_on, "{what}: {reads} reads");
        }
    }
}

/// A parameter is the user's type: it may panic when it is copied, read, written or dropped. The iteration is
/// lost then, because argmin moves it into the call, but the solver is as it was.
#[test]
fn a_panic_of_the_parameter_leaves_the_solver_as_it_was() {
    for (slope, policy) in [(0.5, NonFinite::Error), (f64::NAN, NonFinite::Skip)] {
        let mut stages = [0, 0];
        for (stage, completed) in stages.iter_mut().enumerate() {
            for after in 1.. {
                let countdown = Rc::new(Cell::new(0));
                let fused = |value| Fused { values: [value; 2], countdown: Rc::clone(&countdown) };
                let mut problem = Problem::new(Plane { gradient: fused(slope), cost: 1.0 });
                let rule = rule(0.1).to_builder().non_finite(policy).build().unwrap();
                let solver = AdamaxSolver::new(rule).with_stop(Stop::builder().build().unwrap());
                let bounds = ([-9.0, 2.0], [9.0, INF]);
                let mut solver = solver.with_bounds::<[f64; 2]>(&bounds.0, &bounds.1).unwrap();
                let mut state: On<Fused> = IterState::new().param(fused(5.0));
                if stage == 1 {
                    state = solver.init(&mut problem, state).unwrap().0;
                    for _ in 0..3 {
                        state = solver.next_iter(&mut problem, state).unwrap().0;
                    }
                }
                let before = solver.clone();
                countdown.set(after);
                let result = panic::catch_unwind(AssertUnwindSafe(|| match stage {
                    0 => solver.init(&mut problem, state),
                    _ => solver.next_iter(&mut problem, state),
                }));
                let unused = countdown.replace(0);
                if result.is_ok() {
                    assert!(unused > 0, "the panic was lost");
                    *completed = after;
                    break;
                }
                assert_eq!(solver, before, "stage {stage}, call {after}");
            }
        }
        assert!(stages.iter().all(|&calls| calls > 5), "{stages:?} calls are counted");
    }
}

/// After an error the solver is as it was, and the same iteration can be tried again.
#[test]
fn an_error_leaves_the_solver_as_it_was() {
    fn check<P>(start: &P, nan: &P)
    where
        P: Clone + 'static + PartialEq + std::fmt::Debug,
        for<'a> &'a P: IntoIterator<Item = &'a f64>,
        for<'a> &'a mut P: IntoIterator<Item = &'a mut f64>,
    {
        let mut problem = Problem::new(Ladder::new());
        let refuse = |problem: &mut Problem<Ladder<P>>, what| {
            problem.problem.as_mut().unwrap().refused = what;
        };
        let begin = || -> On<P> { IterState::new().param(start.clone()) };
        let criteria = Stop::builder().build().unwrap();
        let solver = AdamaxSolver::new(rule(0.05)).with_stop(criteria);
        let mut solver = solver.with_bounds::<[f64; 2]>(&[-9.0, 2.0], &[9.0, INF]).unwrap();
        let whole = {
            let (mut problem, mut solver) = (Problem::new(Ladder::new()), solver.clone());
            let (mut state, _) = solver.init(&mut problem, begin()).unwrap();
            for _ in 0..6 {
                state = solver.next_iter(&mut problem, state).unwrap().0;
            }
            (state.param, state.prev_param, state.grad, solver)
        };

        for what in ["cost", "gradient", "NaN cost"] {
            refuse(&mut problem, Some(what));
            assert!(solver.init(&mut problem, begin()).is_err(), "{what}");
            assert_eq!(solver.state(), None, "{what}");
        }
        refuse(&mut problem, None);
        let (mut state, _) = solver.init(&mut problem, begin()).unwrap();
        for _ in 0..6 {
            let before = solver.clone();
            for what in ["cost", "gradient", "NaN cost"] {
                refuse(&mut problem, Some(what));
                assert!(solver.next_iter(&mut problem, state.clone()).is_err(), "{what}");
                assert_eq!(solver, before, "{what}");
            }
            refuse(&mut problem, None);
            let bad = state.clone().gradient(nan.clone());
            assert!(solver.next_iter(&mut problem, bad).is_err(), "NaN");
            assert!(solver.next_iter(&mut problem, IterState::new()).is_err(), "no parameter");
            assert_eq!(solver, before);
            state = solver.next_iter(&mut problem, state).unwrap().0;
        }
        assert_eq!((state.param, state.prev_param, state.grad, solver.clone()), whole);

        // A new run from this state, which fails at its start.
        let before = solver.clone();
        for what in ["cost", "gradient", "NaN cost"] {
            refuse(&mut problem, Some(what));
            assert!(solver.init(&mut problem, begin()).is_err(), "{what}");
            assert_eq!(solver, before, "{what}");
        }
    }
    check(&array![1.0, 5.0], &array![0.1, f64::NAN]);
    check(&vec![1.0, 5.0], &vec![0.1, f64::NAN]);
    check(&[1.0, 5.0], &[0.1, f64::NAN]);
    check(&DVector::from_vec(vec![1.0, 5.0]), &DVector::from_vec(vec![0.1, f64::NAN]));
}

#[test]
fn a_misfit_at_the_start_leaves_the_state() {
    let state = Moments::from_parts(3, array![0.1, 0.2].into_dyn(), array![0.3, 0.4].into_dyn());
    let state = state.unwrap();
    let mut solver = AdamaxSolver::new(rule(0.05)).with_state(state.clone());
    let mut problem = Problem::new(Ladder::new());
    let short: On<Vec<f64>> = IterState::new().param(vec![1.0]);
    let error = failure(solver.init(&mut problem, short));
    assert!(error.to_string().contains("parameter has shape [1], but state has shape [2]"));
    assert_eq!(solver.state(), Some(&state));
    let fitting: On<Vec<f64>> = IterState::new().param(vec![1.0, 2.0]);
    let (fitting, _) = solver.init(&mut problem, fitting).unwrap();
    // The parameter changes its length in the middle of a run.
    let error = failure(solver.next_iter(&mut problem, fitting.param(vec![1.0])));
    assert!(error.to_string().contains("has shape [1]"), "{error}");
    assert_eq!(solver.state(), Some(&state));
}

#[test]
fn tolerances_are_finite_and_not_negative() {
    for (bad, shown) in [(-1e-9, "-1e-9"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let solver = || small().2;
        for (name, refused) in [
            ("gradient tolerance", solver().with_tolerance_grad(bad)),
            ("step tolerance", solver().with_tolerance_step(bad)),
        ] {
            let error = failure(refused);
            let expected = format!("{name} is {shown}, but must be finite and at least 0");
            assert!(
                matches!(&error, ArgminError::InvalidParameter { text } if *text == expected),
                "{error}"
            );
        }
    }
}

// ---------------------------------------------------------------- checkpoints

#[cfg(feature = "serde")]
mod checkpoints {
    use super::*;
    use argmin::core::checkpointing::{Checkpoint, CheckpointingFrequency};

    /// A checkpoint stored in memory as JSON. All clones share it.
    #[derive(Clone, Default)]
    struct Memory(Rc<RefCell<Option<String>>>);

    impl Checkpoint<AdamaxSolver, Iterate<f64, Ix1>> for Memory {
        fn save(&self, solver: &AdamaxSolver, state: &Iterate<f64, Ix1>) -> Result<(), Error> {
            *self.0.borrow_mut() = Some(serde_json::to_string(&(solver, state))?);
            Ok(())
        }

        fn load(&self) -> Result<Option<(AdamaxSolver, Iterate<f64, Ix1>)>, Error> {
            Ok(self.0.borrow().as_deref().map(serde_json::from_str).transpose()?)
        }

        fn frequency(&self) -> CheckpointingFrequency {
            CheckpointingFrequency::Every(10)
        }
    }

    const ITERATIONS: u64 = 150;

    /// Runs with a step tolerance, a schedule, bounds and a patience, which a checkpoint must preserve too.
    fn run_with(memory: &Memory, broken: Option<u64>) -> Result<Outcome<f64, Ix1>, Error> {
        let (mut problem, start, solver) = small();
        problem.broken = broken;
        let solver = solver
            .with_tolerance_step(1e-9)?
            .with_schedule(Schedule::step(50, 0.5)?)
            .with_bounds(&array![-INF, 0.0, -5.0], &array![0.9, INF, 5.0])?
            .with_stop(Stop::builder().patience(1_000).smoothing(0.9).build()?);
        Executor::new(problem, solver)
            .configure(|state| state.param(start).target_cost(f64::MIN).max_iters(ITERATIONS))
            .checkpointing(memory.clone())
            .run()
    }

    #[test]
    fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
        let whole = run_with(&Memory::default(), None).unwrap();

        let memory = Memory::default();
        run_with(&memory, Some(77)).err().expect("the run should have been interrupted");
        let (solver, state) = memory.load().unwrap().unwrap();
        assert_eq!((solver.state().unwrap().steps(), state.get_iter()), (70, 70));
        let resumed = run_with(&memory, None).unwrap();

        assert_eq!(resumed.solver(), whole.solver());
        let (found, expected) = (resumed.state(), whole.state());
        assert_eq!(found.get_iter(), ITERATIONS);
        assert_eq!(found.get_cost().to_bits(), expected.get_cost().to_bits());
        assert_eq!(found.get_best_cost().to_bits(), expected.get_best_cost().to_bits());
        assert_same_bits(found.get_param().unwrap(), expected.get_param().unwrap());
        assert_same_bits(found.get_prev_param().unwrap(), expected.get_prev_param().unwrap());
        assert_same_bits(found.get_best_param().unwrap(), expected.get_best_param().unwrap());
        assert_same_bits(found.get_gradient().unwrap(), expected.get_gradient().unwrap());
    }

    /// A new run with the saved solver and parameter, as the documentation of the solver has it.
    #[test]
    fn a_run_continues_past_its_limit_from_a_checkpoint() -> Result<(), Error> {
        let memory = Memory::default();
        let (problem, start, solver) = small();
        Executor::new(problem, solver)
            .configure(|state| state.param(start).target_cost(f64::MIN).max_iters(20))
            .checkpointing(memory.clone())
            .run()?;
        let (solver, state): (AdamaxSolver, Iterate<f64, Ix1>) = memory.load()?.unwrap();
        let result = Executor::new(small().0, solver)
            .configure(|s| s.param(state.get_param().unwrap().clone()).max_iters(40))
            .run()?;
        let whole = run(small(), |state| state.max_iters(60))?;
        assert_same_bits(result.state().get_param().unwrap(), whole.state().get_param().unwrap());
        assert_eq!(result.solver(), whole.solver());
        Ok(())
    }

    /// The message that the documentation has.
    #[test]
    fn json_without_a_target_cost_is_refused() {
        let (problem, start, solver) = small();
        let memory = Memory::default();
        Executor::new(problem, solver)
            .configure(|state| state.param(start).max_iters(20))
            .checkpointing(memory.clone())
            .run()
            .unwrap();
        let error = memory.load().expect_err("an infinite number").to_string();
        assert!(error.contains("invalid type: null, expected f64"), "{error}");
    }

    #[test]
    fn a_run_that_has_ended_stays_ended() {
        let memory = Memory::default();
        run_with(&memory, None).unwrap();
        let again = run_with(&memory, None).unwrap();
        assert!(again.problem().counts.is_empty(), "the run continued");
        assert_ended_by(&again, &TerminationReason::MaxItersReached);
    }

    #[test]
    fn solvers_survive_serialisation() {
        let fresh = small().2.with_tolerance_grad(0.25).unwrap();
        let used = run(small(), |state| state.max_iters(5)).unwrap().solver().clone();
        for solver in [fresh, used] {
            let text = serde_json::to_string(&solver).unwrap();
            assert_eq!(serde_json::from_str::<AdamaxSolver>(&text).unwrap(), solver);
        }
    }

    #[test]
    fn damaged_solvers_are_refused() {
        let used = run(small(), |state| state.max_iters(5)).unwrap().solver().clone();
        let good = serde_json::to_value(&used).unwrap();
        for (pointer, value, message) in [
            ("/rule/beta1", 1.0, "beta1 is 1, but must be in [0, 1)"),
            ("/tolerance_grad", -1.0, "gradient tolerance is -1"),
            ("/tolerance_step", -1.0, "step tolerance is -1"),
            ("/state/inf_norm/data/1", -0.5, "infinity norm is negative (-0.5) at index [1]"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value.into();
            let error = serde_json::from_value::<AdamaxSolver>(bad).unwrap_err();
            assert!(error.to_string().contains(message), "{pointer}: {error}");
        }
    }
}
