//! Poisson regression on the RAND Health Insurance Experiment, fitted by Adamax in minibatches.
//!
//! ```text
//! cargo run --release --example rand_hie [-- [--quick] [FOLDER]]
//! ```
//! How often people see a doctor, by what their insurance makes them pay and by their health:
//! 20 190 person-years, nine covariates, heavy-tailed counts. The job has an exact answer to be
//! measured against, and gradients that are rough: one person with 77 visits rules a minibatch.
//!
//! 1. **The fit.** Adamax with a decaying learning rate, seeded. Its coefficients are printed beside
//!    the maximum-likelihood optimum found by Newton's method. The exit code is not zero if the two
//!    are further apart than `fit.rs` states.
//! 2. **The sweep.** Adamax, Adam and SGD with momentum at learning rates over more than five
//!    decades, held constant for three epochs. What to look at is not only how low each curve gets,
//!    but how wide it is: how wrong the learning rate may be. The covariates are standardised, which
//!    SGD, having one step length for all coefficients, needs more than the others do.
//!
//! Pictures go to `FOLDER`, by default `target/rand_hie`, as PNG and SVG: `fit`, `sweep` and
//! `loss_curves`. With `--quick` the sweep is coarser, with fewer seeds. `--fit-only` is for
//! `benches/peers/rand_hie.py`, which times the fit beside the same one in PyTorch.

#[path = "../common/mod.rs"]
mod common;
mod contest;
mod data;
mod fit;
mod plot;
mod poisson;
mod sweep;

use std::{env, error::Error, path::Path, process::ExitCode, time::Instant};

use adamax::ndarray::Array1;

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        descent::Method,
        progress,
        sweep::{Sweep, rates},
    },
    contest::Contest,
    data::Data,
    fit::Comparison,
    plot::{FitFigure, LossFigure, SweepFigure},
    sweep::{LossCurve, MULTIPLES},
};

/// Any will do. The generator may give other numbers on another platform or in another release of
/// its crate, so that the tolerances of the fit leave room for bad luck.
const SEED: u64 = 1;

fn main() -> ExitCode {
    if env::args().skip(1).eq(["--fit-only"]) {
        return command::exit_code(time_fit());
    }
    command::run(|Arguments { quick, folder }| {
        let data = Data::load()?;
        let optimum = data.optimum()?;

        fit_and_compare(&data, &optimum, folder)?;
        sweep_and_compare(&data, &optimum, if *quick { QUICK } else { FULL }, folder)
    })
}

/// How fine the sweep is.
struct Effort {
    rates_per_decade: i32,
    seeds: u64,
}

const FULL: Effort = Effort { rates_per_decade: 8, seeds: 11 };
const QUICK: Effort = Effort { rates_per_decade: 4, seeds: 3 };

/// The main job.
fn fit_and_compare(
    data: &Data,
    optimum: &Array1<f64>,
    folder: &Path,
) -> Result<(), Box<dyn Error>> {
    let sample = &data.sample;
    let floor = sample.loss(optimum);
    let bar = progress::bar("fit", fit::EPOCHS.into())?;
    let mut excesses = Vec::new();
    let fitted = fit::fit(sample, SEED, |beta| {
        let excess = sample.loss(beta) - floor;
        excesses.push(excess);
        bar.set_message(format!("excess {excess:.1e}"));
        bar.inc(1);
    })?;
    bar.finish();

    let comparison = Comparison { data, fitted: &fitted, optimum };
    comparison.print();
    chart::save(&FitFigure { excesses: &excesses }, folder, "fit")?;
    Ok(comparison.check()?)
}

/// The fit alone: prints how many seconds it takes and both distances from the optimum.
fn time_fit() -> Result<(), Box<dyn Error>> {
    let data = Data::load()?;
    let start = Instant::now();
    let fitted = fit::fit(&data.sample, SEED, |_| {})?;
    let seconds = start.elapsed().as_secs_f64();

    let optimum = data.optimum()?;
    let comparison = Comparison { data: &data, fitted: &fitted, optimum: &optimum };
    println!("{seconds} {} {}", comparison.excess(), comparison.largest_error());
    Ok(comparison.check()?)
}

/// What the learning rate does to three optimizers.
fn sweep_and_compare(
    data: &Data,
    optimum: &Array1<f64>,
    Effort { rates_per_decade, seeds }: Effort,
    folder: &Path,
) -> Result<(), Box<dyn Error>> {
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
