//! Linear regression with heavy-tailed noise: where Adamax is the better choice, and where not.
//!
//! ```text
//! cargo run --release --example robust_regression [-- [--quick] [FOLDER]]
//! ```
//! Eight coefficients of standard normal covariates are fitted to 32 000 observations, in minibatches
//! of 16, each seen once, at constant learning rates from far too small to far too large. The noise
//! is normal, or Student's t with so heavy a tail that it has no variance (ν = 2) or not even a mean
//! (ν = 1, Cauchy). With least squares its outliers reach the optimizer as gradients that are now and
//! then a hundred times as large as usual. With the Huber loss no slope is steeper than a bound.
//!
//! What to look at:
//!
//! 1. **The sweep.** In the upper row, from left to right, what heavier tails do to each optimizer;
//!    in the lower row, whether a better loss makes a better optimizer needless. A step of Adamax is
//!    never much longer than the learning rate, however large the gradient. The price: an outlier
//!    stays in the infinity norm for about 1/(1 − β₂) = 1000 steps, and makes them the shorter. (SGD
//!    has it easy here: one step length for all coefficients suits covariates of one scale.)
//! 2. **The paths** with Cauchy noise, one run of each optimizer at its best rate: how far an outlier
//!    throws it back.
//! 3. **The text.** Whether Adamax is better or worse than another is decided by a sign test over
//!    the samples, each optimizer at its best rate; nothing of it is written down beforehand.
//!
//! The exit code is not zero if Adamax with the Huber loss misses the coefficients, or comes near
//! them only within a narrow range of learning rates, as `report.rs` states. Pictures go to `FOLDER`,
//! by default `target/robust_regression`, as PNG and SVG: `sweep` and `paths`. With `--quick` there
//! are fewer rates and samples, too few for the sign test to tell anything.

#[path = "../common/mod.rs"]
mod common;
mod contest;
mod duel;
mod plot;
mod regression;
mod report;

use std::process::ExitCode;

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        descent::Method,
        progress,
        sweep::rates,
    },
    contest::Contest,
    plot::{PathFigure, SweepFigure},
    regression::{Loss, Noise, Sample},
};

/// How fine the sweep is, and how many samples there are.
struct Effort {
    rates_per_decade: i32,
    samples: u64,
}

const FULL: Effort = Effort { rates_per_decade: 4, samples: 21 };
const QUICK: Effort = Effort { rates_per_decade: 2, samples: 3 };

fn main() -> ExitCode {
    command::run(|Arguments { quick, folder }| {
        let Effort { rates_per_decade, samples } = if *quick { QUICK } else { FULL };
        let rates = rates(-5 * rates_per_decade..=rates_per_decade, rates_per_decade);
        let runs = Loss::ALL.len() * Noise::ALL.len() * Method::ALL.len() * rates.len();
        let bar = progress::bar("sweep", runs as u64)?;

        let mut outcomes = Vec::new();
        for loss in Loss::ALL {
            for noise in Noise::ALL {
                let samples =
                    (0..samples)
                        .map(|seed| Sample::draw(noise, seed))
                        .collect::<Result<Vec<_>, _>>()?;
                let contest = Contest { noise, loss, samples: &samples };
                outcomes.push(contest.hold(&rates, &bar)?);
            }
        }
        bar.finish();

        report::print(&outcomes);
        chart::save(&SweepFigure { outcomes: &outcomes, rates: &rates }, folder, "sweep")?;
        chart::save(&PathFigure { outcomes: &outcomes }, folder, "paths")?;
        Ok(report::check(&outcomes)?)
    })
}
