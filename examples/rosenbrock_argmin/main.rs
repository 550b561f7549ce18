//! Minimizes Rosenbrock's function with argmin: compares Adamax with four of
//! argmin's own solvers.
//!
//! ```text
//! cargo run --release --features argmin --example rosenbrock_argmin
//! ```
//! The function is f(x, y) = (1 − x)² + 100·(y − x²)², with the usual start
//! (−1.2, 1). All solvers minimize one problem, whose parameter is a `Vec`.
//! Executor and observer are the same, too: to change the solver is to change one
//! line.
//!
//! 1. **The paths.** Adamax goes into the valley and along it, in steps that are
//!    at most about as long as the learning rate. A step of steepest descent ends
//!    where its line search found a low cost, which may be far away. The next step
//!    goes across the valley again. Nelder–Mead needs no gradient. It starts with
//!    a triangle, and its path begins at the corner with the lowest cost.
//! 2. **The costs.** They are plotted against the number of evaluations of cost
//!    and gradient, because a line search needs several per iteration. L-BFGS is
//!    best for this problem, which is smooth, free of noise and has two variables.
//!    Adamax also reaches the minimum, without a line search; with noisy
//!    gradients, a line search is not possible. The cost of Adamax oscillates,
//!    because momentum carries it across the valley, until the schedule shortens
//!    the steps.
//!
//! The exit code is not zero if Adamax does not reach a cost of 1e-10 within the
//! given number of iterations. The picture is saved as PNG and SVG: `paths`. The
//! example takes a second, with or without `--quick`.

#[path = "../common/mod.rs"]
mod common;
mod plot;
mod problem;

use std::{cell::RefCell, process::ExitCode, rc::Rc, time::Instant};

use adamax::{Adamax, argmin::AdamaxSolver, schedule::Schedule};
use argmin::{
    core::{
        Error, Executor, IterState, KV, Solver, State,
        observers::{Observe, ObserverMode},
    },
    solver::{
        conjugategradient::{NonlinearConjugateGradient, beta::PolakRibiere},
        gradientdescent::SteepestDescent,
        linesearch::MoreThuenteLineSearch,
        neldermead::NelderMead,
        quasinewton::LBFGS,
    },
};

use crate::{
    common::{chart, command, headline},
    plot::PathFigure,
    problem::{Rosenbrock, cost},
};

const START: [f64; 2] = [-1.2, 1.0];
const MINIMUM: [f64; 2] = [1.0, 1.0];
const TARGET: f64 = 1e-10;
const ITERATIONS: u64 = 3_000;

fn main() -> ExitCode {
    command::run_or_help(include_str!("main.rs"), |arguments| {
        let clock = Instant::now();
        let paths =
            [adamax()?, l_bfgs()?, conjugate_gradient()?, nelder_mead()?, steepest_descent()?];
        let sizes = format!("2 variables, {} solvers, up to {ITERATIONS} iterations", paths.len());
        headline::print(&sizes, clock.elapsed());
        let [x, y] = START;
        println!(
            "From ({x}, {y}) with a cost of {:.1}, down to a cost of {TARGET:e}:",
            cost(START)
        );
        println!();
        println!(
            "{:19}{:>9}{:>9}{:>10}{:>12}{:>13}",
            "solver", "x", "y", "cost", "iterations", "evaluations"
        );
        for path in &paths {
            path.print();
        }
        println!();
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

fn conjugate_gradient() -> Result<Path, Error> {
    // Without restarts, a direction may lead uphill, which the line search refuses.
    let solver = NonlinearConjugateGradient::new(line_search(), PolakRibiere::new());
    run("conjugate gradient", solver.restart_iters(10).restart_orthogonality(0.1))
}

fn nelder_mead() -> Result<Path, Error> {
    let [x, y] = START;
    run("Nelder-Mead", NelderMead::new(vec![vec![x, y], vec![x + 0.5, y], vec![x, y + 0.5]]))
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
        println!("{name:19}{x:>9.5}{y:>9.5}{cost:>10.1e}{iterations:>12}{evaluations:>13}");
    }
}

/// argmin's state. `G` is the type of the gradient: `()` for a solver that needs none.
type Iterate<G> = IterState<Vec<f64>, G, (), (), (), f64>;

fn run<G>(name: &'static str, solver: impl Solver<Rosenbrock, Iterate<G>>) -> Result<Path, Error>
where
    Iterate<G>: State<Param = Vec<f64>, Float = f64>,
{
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
    fn note<G>(&self, state: &Iterate<G>)
    where
        Iterate<G>: State<Param = Vec<f64>>,
    {
        let Some(param) = state.get_param() else { return };
        let evaluations = state.get_func_counts().values().sum();
        let at = [param[0], param[1]];
        self.0.borrow_mut().push(Stop { at, cost: cost(at), evaluations });
    }
}

impl<G> Observe<Iterate<G>> for Log
where
    Iterate<G>: State<Param = Vec<f64>>,
{
    fn observe_init(&mut self, _: &str, state: &Iterate<G>, _: &KV) -> Result<(), Error> {
        self.note(state);
        Ok(())
    }

    fn observe_iter(&mut self, state: &Iterate<G>, _: &KV) -> Result<(), Error> {
        self.note(state);
        Ok(())
    }
}
