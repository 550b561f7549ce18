//! Muon spins: a physical model with limits, fitted to counts. Is there a
//! relaxation?
//!
//! ```text
//! cargo run --release --example muon_spin
//! ```
//! Muons are stopped in a metal within a magnetic field. Their spins turn, and
//! a detector counts their decays. The counts decay with the life τ of a muon,
//! and they oscillate:
//!
//! ```text
//! expected counts in a bin at time t =
//!     width·(b + n·e^(−t/τ)·(1 + a·e^(−λt)·cos(ωt + φ)))
//! ```
//! The question is if the metal disturbs the spins: then the oscillation dies
//! away with a rate λ > 0. Rates are not negative, an asymmetry a is between 0
//! and 1, and the phase φ is known to within a quarter of a turn, because the
//! detector stands there. (a, φ) and (−a, φ + π) are the same curve; these
//! limits leave one of them.
//!
//! The counts are simulated, with λ = 0, so that the estimates can be compared
//! with the truth. The seed was chosen among those for which the fit without
//! limits ends at a rate below zero. Half of all seeds are so.
//!
//! 1. **The fit**, in `fit.rs`. Each kind of parameter has a group of the
//!    optimizer, and each group has its bounds. The fit stops when `max_step`
//!    of the report, the largest change of a parameter, is below 1e-8. A
//!    parameter that is held at a bound does not change, so it does not delay
//!    the end.
//! 2. **A bad start**, with a frequency that is far too low. Bounds do not
//!    replace a good one. Without limits, the asymmetry passes 0 and becomes
//!    negative: a mirror image, as likely as the right numbers. Within limits,
//!    it runs into its bound and stays there: at a = 0, phase and frequency
//!    have no effect, so nothing tells where to go. The deviance tells that the
//!    fit is bad. Of a good fit, it is about as large as the number of bins.
//! 3. **The optimum.** Two numbers tell that the fit is there. The next step of
//!    Newton's method, for parameters that are not held, is far below their
//!    errors. And where a parameter is held, the loss falls beyond the bound
//!    only, not within.
//! 4. **Errors from the Hessian.** They assume a normal distribution. At a
//!    bound this is wrong. Without limits, a part of the interval is
//!    impossible. Within limits, λ has no interval at all, and since it counts
//!    as known, the error of a, which depends on λ, is too small.
//! 5. **Errors from a bootstrap.** Counts are simulated many times from the fit
//!    with λ = 0, which here is the fit itself, and each set is fitted again.
//!    The rate has a one-sided distribution: half of the refits end at exactly
//!    0. The error of a is smaller than without limits, and larger than the
//!    Hessian says within them. A bootstrap at a bound assumes that the rate is
//!    exactly 0: it is no interval for a rate that is small.
//!
//! The exit code is not zero if a derivative is wrong, if a fit does not come
//! to rest at an optimum, if an estimate is more than five errors from the
//! truth, if the two kinds of errors without limits differ, or if the share of
//! refits at the bound is far from one half. The picture is saved as PNG and
//! SVG: `fit`. With `--quick` there are fewer refits.

#[path = "../common/mod.rs"]
mod common;
mod fit;
mod model;
mod plot;
mod table;
mod uncertainty;

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use adamax::{check_gradient, ndarray::Array1};

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        progress,
    },
    fit::{Fit, Limits},
    model::{Histogram, RELAXATION},
    plot::FitFigure,
    table::Results,
    uncertainty::{Bootstrap, Normal},
};

/// The seed of the simulated experiment.
const SEED: u64 = 9;

/// Largest deviation of a derivative from the differences of the loss.
const DEVIATION: f64 = 1e-6;

fn main() -> ExitCode {
    command::run_or_help(include_str!("main.rs"), |Arguments { quick, folder }| {
        let data = Histogram::draw(&model::truth(), SEED)?;
        let start = model::start();
        let check = check_gradient(&start, &data.gradient(&start), |x| data.loss(x))?;
        if check.deviation() > DEVIATION {
            return Err(check.to_string().into());
        }

        let both = |start| -> Result<_, Box<dyn Error>> {
            Ok([run(&data, start, Limits::PHYSICS)?, run(&data, start, Limits::FREE)?])
        };
        let (runs, bad_runs) = (both(&start)?, both(&model::bad_start())?);
        let normals = [normal(&runs[0])?, normal(&runs[1])?];
        let size = if *quick { 100 } else { 1000 };
        let bar = progress::bar("bootstrap", size)?;
        let mut undisturbed = runs[0].fit.x.clone();
        undisturbed[RELAXATION] = 0.0;
        let bootstrap = Bootstrap::draw(&undisturbed, size, &bar)?;
        bar.finish();

        let results = Results {
            data: &data,
            runs: &runs,
            normals: &normals,
            bad_runs: &bad_runs,
            bootstrap: &bootstrap,
        };
        results.print();
        chart::save(&FitFigure { results: &results }, folder, "fit")?;
        Ok(results.check()?)
    })
}

/// A fit to the counts of the experiment.
struct Run {
    fit: Fit,
    time: Duration,
    path: Vec<Stop>,
}

/// The parameters after a step, and the largest change in it.
struct Stop {
    x: Array1<f64>,
    max_step: f64,
}

fn run(data: &Histogram, start: &Array1<f64>, limits: Limits) -> Result<Run, Box<dyn Error>> {
    let mut path = Vec::new();
    let clock = Instant::now();
    let fit = Fit::of(data, start, limits, |x, report| {
        path.push(Stop { x: x.clone(), max_step: report.max_step() });
    })?;
    let time = clock.elapsed();
    fit.check()?;
    Ok(Run { fit, time, path })
}

fn normal(run: &Run) -> Result<Normal, &'static str> {
    Normal::around(&run.fit).ok_or("the counts do not determine the parameters")
}
