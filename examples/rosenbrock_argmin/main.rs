//! Minimizes Rosenbrock's function with argmin: compares Adamax with steepest descent and L-BFGS.
//!
//! ```text
//! cargo run --release --features argmin --example rosenbrock_argmin [-- [--quick] [FOLDER]]
//! ```
//! The function is f(x, y) = (1 − x)² + 100·(y − x²)², with the usual start (−1.2, 1). All solvers
//! minimize one problem, whose parameter is a `Vec`. Executor and observer are the same, too: to change
//! the solver is to change one line.
//!
//! 1. **The paths.** Adamax goes into the valley and along it, in steps that are at most about as
//!    long as the learning rate. A step of steepest descent ends where its line search found a low
//!    cost, which may be far away. The next step goes across the valley again.
//! 2. **The costs.** They are plotted against the number of evaluations of cost and gradient,
//!    because a line search needs several per iteration. L-BFGS is best for this problem, which is
//!    smooth, free of noise and has two variables. Adamax also reaches the minimum, without a line
//!    search; with noisy gradients, a line search is not possible. The cost of Adamax oscillates,
//!    because momentum carries it across the valley, until the schedule shortens the steps.
//!
//! The exit code is not zero if Adamax does not reach a cost of 1e-10 within the given number of
//! iterations. The picture is saved to `FOLDER`, by default `target/rosenbrock_argmin`, as PNG and
//! SVG: `paths`. The example takes a second, with or without `--quick`.

#[path = "../common/mod.rs"]
mod common;
mod plot;
mod problem;

use std::{cell::RefCell, process::ExitCode, rc::Rc};

use adamax::{Adamax, argmin::AdamaxSolver, schedule::Schedule};
use argmin::{
    core::{
        Error, Executor, IterState, KV, Solver, State,
        observers::{Observe, ObserverMode},
    },
    solver::{
        gradientdescent::SteepestDescent, linesearch::MoreThuenteLineSearch, quasinewton::LBFGS,
    },
};

use crate::{
    common::{chart, command},
    plot::PathFigure,
    problem::Rosenbrock,
};

const START: [f64; 2] = [-1.2, 1.0];
const TARGET: f64 = 1e-10;
const ITERATIONS: u64 = 3_000;

fn main() -> ExitCode {
    command::run(|arguments| {
        let paths = [adamax()?, steepest_descent()?, l_bfgs()?];
        for path in &paths {
            path.print();
        }
        chart::save(&PathFigure { paths: &paths }, &arguments.folder, "paths")?;
        if paths[0].end().cost > TARGET {
            return Err(format!("Adamax did not reach a cost of {TARGET:e}").into());
        }
        Ok(())
    })
}

fn adamax() -> Result<Path, Error> {
    // With the default β₂, the large gradients at the start would stay in the norm for 1000 steps.
    let rule = Adamax::builder().learning_rate(0.05).beta2(0.99).build()?;
    let solver = AdamaxSolver::new(rule).with_schedule(Schedule::cosine(ITERATIONS, 0.0)?);
    run("Adamax", solver)
}

fn steepest_descent() -> Result<Path, Error> {
    run("steepest descent", SteepestDescent::new(line_search()))
}

fn l_bfgs() -> Result<Path, Error> {
    const MEMORY: usize = 7;
    run("L-BFGS", LBFGS::new(line_search(), MEMORY))
}

fn line_search() -> MoreThuenteLineSearch<Vec<f64>, Vec<f64>, f64> {
    MoreThuenteLineSearch::new()
}

/// The path of a solver.
struct Path {
    name: &'static str,
    stops: Vec<Stop>,
}

/// The state after an iteration.
struct Stop {
    at: [f64; 2],
    cost: f64,
    /// Number of evaluations of cost and gradient so far.
    evaluations: u64,
}

impl Path {
    fn end(&self) -> &Stop {
        &self.stops[self.stops.len() - 1]
    }

    fn print(&self) {
        let Stop { at: [x, y], cost, evaluations } = self.end();
        let (name, iterations) = (self.name, self.stops.len() - 1);
        print!("{name:16} ({x:.5}, {y:.5}), cost {cost:8.1e} after {iterations:5} iterations, ");
        println!("{evaluations:6} evaluations");
    }
}

type Iterate = IterState<Vec<f64>, Vec<f64>, (), (), (), f64>;

fn run(name: &'static str, solver: impl Solver<Rosenbrock, Iterate>) -> Result<Path, Error> {
    let log = Log::default();
    Executor::new(Rosenbrock, solver)
        .configure(|state| {
            let start = START.to_vec();
            state.param(start).max_iters(ITERATIONS).target_cost(TARGET).counting(true)
        })
        .add_observer(log.clone(), ObserverMode::Always)
        .run()?;
    Ok(Path { name, stops: log.0.take() })
}

/// An observer that records every stop. All clones share the list.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<Stop>>>);

impl Log {
    fn note(&self, state: &Iterate) {
        let Some(param) = state.get_param() else { return };
        let evaluations = state.get_func_counts().values().sum();
        let at = [param[0], param[1]];
        self.0.borrow_mut().push(Stop { at, cost: problem::cost(at), evaluations });
    }
}

impl Observe<Iterate> for Log {
    fn observe_init(&mut self, _: &str, state: &Iterate, _: &KV) -> Result<(), Error> {
        self.note(state);
        Ok(())
    }

    fn observe_iter(&mut self, state: &Iterate, _: &KV) -> Result<(), Error> {
        self.note(state);
        Ok(())
    }
}
