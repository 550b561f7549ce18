//! Poisson regression on the RAND Health Insurance Experiment, fitted by Adamax in
//! minibatches.
//!
//! ```text
//! cargo run --release --example rand_hie
//! ```
//! The regression explains the number of visits to a doctor by the terms of the
//! insurance and by health: 20 190 person-years, nine covariates, heavy-tailed
//! counts. The problem has an exact solution for comparison, and noisy gradients:
//! one person with 77 visits dominates a minibatch.
//!
//! 1. **The fit.** Adamax uses a decaying learning rate and a fixed seed. Its
//!    coefficients are printed beside the maximum-likelihood optimum, which is
//!    found by Newton's method. The exit code is not zero if their difference is
//!    above the tolerances in `comparison.rs`.
//! 2. **The sweep.** Adamax, Adam and SGD with momentum run for three epochs at
//!    constant learning rates over more than five decades. Compare not only the
//!    minimum of each curve but also its width, the range of usable learning
//!    rates. The covariates are standardised. SGD needs this more than the others,
//!    because it has one step length for all coefficients.
//!
//! Pictures are saved as PNG and SVG: `fit`, `sweep` and `loss_curves`. With
//! `--quick` the sweep has fewer learning rates and fewer seeds. `--fit-only` is
//! for `benches/peers/rand_hie.py`, which compares the time of the fit with the
//! same fit in PyTorch.

#[path = "../common/mod.rs"]
mod common;
mod comparison;
mod contest;
mod data;
mod fit;
mod plot;
mod poisson;
mod sweep;

use std::{
    error::Error,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use adamax::ndarray::Array1;
use lexopt::Parser;

use crate::{
    common::{
        chart,
        command::{self, Arguments, Options},
        descent::Method,
        headline, progress,
        sweep::{Sweep, rates},
    },
    comparison::Comparison,
    contest::Contest,
    data::Data,
    plot::{FitFigure, LossFigure, SweepFigure},
    sweep::{LossCurve, MULTIPLES},
};

/// An arbitrary seed. The generator may give other numbers on another platform or in another
/// release of its crate, so the tolerances of the fit also allow for other seeds.
const SEED: u64 = 1;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    command::run_with(include_str!("main.rs"), run)
}

#[derive(Default)]
struct Settings {
    arguments: Arguments,
    fit_only: bool,
}

impl Options for Settings {
    fn describe() -> Vec<[String; 2]> {
        let own = ["--fit-only".into(), "print only the time and the errors of the fit".into()];
        Arguments::describe().into_iter().chain([own]).collect()
    }

    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        if name == "fit-only" {
            self.fit_only = true;
            return Ok(true);
        }
        self.arguments.take(name, parser)
    }
}

fn run(Settings { arguments: Arguments { quick, folder }, fit_only }: &Settings) -> Outcome {
    if *fit_only {
        return time_fit();
    }
    command::make_folder(folder)?;
    let data = Data::load()?;
    let optimum = data.optimum()?;

    fit_and_compare(&data, &optimum, folder)?;
    sweep_and_compare(&data, &optimum, if *quick { QUICK } else { FULL }, folder)
}

/// Numbers of learning rates and seeds of the sweep.
struct Effort {
    rates_per_decade: i32,
    seeds: u64,
}

const FULL: Effort = Effort { rates_per_decade: 8, seeds: 11 };
const QUICK: Effort = Effort { rates_per_decade: 4, seeds: 3 };

/// Fits the regression and compares it with the optimum.
fn fit_and_compare(data: &Data, optimum: &Array1<f64>, folder: &Path) -> Outcome {
    let sample = &data.sample;
    let floor = sample.loss(optimum);
    let bar = progress::bar("fit", fit::EPOCHS.into())?;
    let mut excesses = Vec::new();
    let clock = Instant::now();
    let mut watching = Duration::ZERO;
    let fitted = fit::fit(sample, SEED, |beta| {
        let start = Instant::now();
        let excess = sample.loss(beta) - floor;
        excesses.push(excess);
        bar.set_message(format!("excess {excess:.1e}"));
        bar.inc(1);
        watching += start.elapsed();
    })?;
    let time = clock.elapsed().saturating_sub(watching);
    bar.finish();

    let (rows, coefficients) = (sample.counts.len(), sample.coefficients());
    headline::print(
        &format!("{rows} person-years, {coefficients} coefficients, {} epochs", fit::EPOCHS),
        time,
    );

    let comparison = Comparison { data, fitted: &fitted, optimum };
    comparison.print();
    chart::save(&FitFigure { excesses: &excesses }, folder, "fit")?;
    Ok(comparison.check()?)
}

/// Runs the fit only. Prints its seconds and both deviations from the optimum.
fn time_fit() -> Outcome {
    let data = Data::load()?;
    let start = Instant::now();
    let fitted = fit::fit(&data.sample, SEED, |_| {})?;
    let seconds = start.elapsed().as_secs_f64();

    let optimum = data.optimum()?;
    let comparison = Comparison { data: &data, fitted: &fitted, optimum: &optimum };
    println!("{seconds} {} {}", comparison.excess(), comparison.largest_error());
    Ok(comparison.check()?)
}

/// Compares three optimizers at many learning rates.
fn sweep_and_compare(
    data: &Data,
    optimum: &Array1<f64>,
    Effort { rates_per_decade, seeds }: Effort,
    folder: &Path,
) -> Outcome {
    let rates = rates(-5 * rates_per_decade..=rates_per_decade / 2, rates_per_decade);
    let contest = Contest { sample: &data.sample, floor: data.sample.loss(optimum), seeds };
    let settings = Method::ALL.len() * (rates.len() + MULTIPLES.len());
    let bar = progress::bar("sweep", settings as u64)?;
    let sweeps = Sweep::all(&rates, &bar, |setting| contest.final_excess(setting))?;
    let curves = LossCurve::all(&contest, &sweeps, &bar)?;
    bar.finish();

    sweep::print(&sweeps, &curves);
    chart::save(&SweepFigure { sweeps: &sweeps, rates: &rates, seeds }, folder, "sweep")?;
    chart::save(&LossFigure { curves: &curves }, folder, "loss_curves")
}
