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
//! `loss_curves`. With `--quick` the sweep is coarser, with fewer seeds.

#[path = "../common/mod.rs"]
mod common;
mod contest;
mod data;
mod descent;
mod fit;
mod plot;
mod poisson;
mod sweep;

use std::{
    env,
    error::Error,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use adamax::ndarray::Array1;

use crate::{
    common::{chart, progress},
    contest::Contest,
    data::Data,
    descent::Method,
    fit::Comparison,
    plot::{FitFigure, LossFigure, SweepFigure},
    sweep::{LossCurve, MULTIPLES, Sweep},
};

/// Any will do. The generator may give other numbers on another platform or in another release of
/// its crate, so that the tolerances of the fit leave room for bad luck.
const SEED: u64 = 1;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rand_hie: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(env::args_os().skip(1))?;
    fs::create_dir_all(&arguments.folder)?;
    let data = Data::load()?;
    let optimum = data.sample.optimum().ok_or("Newton's method has not converged")?;

    fit_and_compare(&data, &optimum, &arguments)?;
    sweep_and_compare(&data, &optimum, &arguments)
}

struct Arguments {
    effort: Effort,
    folder: PathBuf,
}

impl Arguments {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut effort = FULL;
        let mut folder = Path::new("target").join("rand_hie");
        for argument in arguments {
            if argument == "--quick" {
                effort = QUICK;
            } else if argument.as_encoded_bytes().starts_with(b"-") {
                let option = argument.to_string_lossy();
                return Err(format!("unknown option {option}; usage: rand_hie [--quick] [FOLDER]"));
            } else {
                folder = argument.into();
            }
        }
        Ok(Arguments { effort, folder })
    }
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
    arguments: &Arguments,
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
    chart::save(&FitFigure { excesses: &excesses }, &arguments.folder, "fit")?;
    Ok(comparison.check()?)
}

/// What the learning rate does to three optimizers.
fn sweep_and_compare(
    data: &Data,
    optimum: &Array1<f64>,
    Arguments { effort, folder }: &Arguments,
) -> Result<(), Box<dyn Error>> {
    let rates = learning_rates(effort.rates_per_decade);
    let contest =
        Contest { sample: &data.sample, floor: data.sample.loss(optimum), seeds: effort.seeds };
    let settings = Method::ALL.len() * (rates.len() + MULTIPLES.len());
    let bar = progress::bar("sweep", settings as u64)?;
    let sweeps = Sweep::all(&contest, &rates, &bar)?;
    let curves = LossCurve::all(&contest, &sweeps, &bar)?;
    bar.finish();

    sweep::print(&sweeps, &curves);
    chart::save(
        &SweepFigure { sweeps: &sweeps, rates: &rates, seeds: effort.seeds },
        folder,
        "sweep",
    )?;
    chart::save(&LossFigure { curves: &curves }, folder, "loss_curves")
}

/// From 1e-5 to 10^0.5, evenly on the logarithmic scale.
fn learning_rates(per_decade: i32) -> Vec<f64> {
    let exponents =
        (-5 * per_decade..=per_decade / 2).map(|step| f64::from(step) / f64::from(per_decade));
    exponents.map(|exponent| 10_f64.powf(exponent)).collect()
}
