//! Tests of the argmin solver: same steps as a plain loop, termination, observers, errors and
//! checkpoints.

#![cfg(feature = "argmin")]

mod common;

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    rc::Rc,
};

use adamax::{
    Adamax, NonFinite, State as Moments,
    argmin::AdamaxSolver,
    ndarray::{Array, Array1, Array3, Dimension, Ix1, NdFloat, ShapeBuilder, array},
    schedule::Schedule,
};
use argmin::core::{
    ArgminError, ArgminFloat, CostFunction, Error, Executor, Gradient, IterState, KV,
    OptimizationResult, State, TerminationReason,
    observers::{Observe, ObserverMode},
};
use common::{Float, bits::Bits};

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
            t,
        });
    }
    assert!(expected.iter().any(|seen| seen.cost > seen.best_cost), "the cost never rose");
    let (problem, start, _) = small();
    let solver = AdamaxSolver::new(rule(OVERSHOOTING));
    assert_eq!(observed((problem, start, solver), 200), expected);
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

#[test]
fn arrays_of_another_shape_are_refused() {
    let short = array![1.0];
    let (problem, start, solver) = small();
    let solver = solver.with_state(Moments::zeros_like(&short));
    for (role, refused) in [
        ("gradient", run(small(), |state| state.gradient(short).max_iters(10))),
        ("first moment", run((problem, start, solver), |state| state.max_iters(10))),
    ] {
        let error = failure(refused);
        let expected = format!("{role} has shape [1], but parameter has shape [3]");
        assert!(
            matches!(&error, ArgminError::InvalidParameter { text } if *text == expected),
            "{error}"
        );
    }
}

#[test]
fn tolerances_are_finite_and_not_negative() {
    for bad in [-1e-9, f64::NAN, f64::INFINITY] {
        let solver = || small().2;
        for (name, refused) in [
            ("gradient tolerance", solver().with_tolerance_grad(bad)),
            ("step tolerance", solver().with_tolerance_step(bad)),
        ] {
            let error = failure(refused);
            let expected = format!("{name} is {bad}, but must be finite and at least 0");
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

    /// Runs with a step tolerance and a schedule, which a checkpoint must preserve too.
    fn run_with(memory: &Memory, broken: Option<u64>) -> Result<Outcome<f64, Ix1>, Error> {
        let (mut problem, start, solver) = small();
        problem.broken = broken;
        let solver = solver.with_tolerance_step(1e-9)?.with_schedule(Schedule::step(50, 0.5)?);
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
