//! Linear regression with heavy-tailed noise: compares Adamax with other
//! optimizers.
//!
//! ```text
//! cargo run --release --example robust_regression
//! ```
//! Eight coefficients of standard normal covariates are fitted to 32 000
//! observations. Minibatches have 16 observations, and each observation is used
//! once. The constant learning rates range from far too small to far too large.
//! The noise is normal, or Student's t with a tail so heavy that it has no
//! variance (ν = 2) or no mean (ν = 1, Cauchy). With least squares, an outlier in
//! the noise can make a gradient a hundred times as large as usual. With the Huber
//! loss, the derivative of the loss is bounded.
//!
//! 1. **The sweep.** From left to right, the upper row shows the effect of heavier
//!    tails on each optimizer. The lower row shows the same with the Huber loss. A
//!    step of Adamax is never much longer than the learning rate, however large the
//!    gradient. In return, an outlier stays in the infinity norm for about
//!    1/(1 − β₂) = 1000 steps and makes them shorter. The problem suits SGD,
//!    because all covariates have the same scale and SGD has one step length for
//!    all coefficients.
//! 2. **The paths.** They show one run of each optimizer at its best learning rate
//!    with Cauchy noise, and the effect of single outliers on the error.
//! 3. **The report of a run** of Adamax with clipping, from `step_with_report`. At
//!    first, the gradients are large, nearly all are clipped, and the coefficients
//!    move fast. On arrival, the largest change falls, while the noise keeps the
//!    norms above zero. From then on, only outliers are clipped. Where the largest
//!    change is near 1.00909·α, the learning rate is the limit.
//! 4. **The text.** A sign test over the samples, with each optimizer at its best
//!    learning rate, decides if Adamax is better or worse than another optimizer.
//!    The conclusions are computed, not fixed text.
//!
//! The exit code is not zero if, with the Huber loss, the error of Adamax is too
//! large or its range of usable learning rates too narrow; `report.rs` has the
//! bounds. It is not zero either if the run with clipping does not arrive. Pictures
//! are saved as PNG and SVG: `sweep`, `paths` and `report`. With `--quick` there
//! are fewer learning rates, and too few samples for a significant sign test.

#[path = "../common/mod.rs"]
mod common;
mod contest;
mod duel;
mod plot;
mod plot_steps;
mod regression;
mod report;
mod steps;

use std::{process::ExitCode, time::Instant};

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        descent::Method,
        headline, progress,
        sweep::rates,
    },
    contest::Contest,
    plot::{PathFigure, SweepFigure},
    plot_steps::StepFigure,
    regression::{Loss, Noise, OBSERVATIONS, Sample},
    steps::Run,
};

/// Numbers of learning rates and samples.
struct Effort {
    rates_per_decade: i32,
    samples: u64,
}

const FULL: Effort = Effort { rates_per_decade: 4, samples: 21 };
const QUICK: Effort = Effort { rates_per_decade: 2, samples: 3 };

fn main() -> ExitCode {
    command::run_or_help(include_str!("main.rs"), |Arguments { quick, folder }| {
        let Effort { rates_per_decade, samples } = if *quick { QUICK } else { FULL };
        let rates = rates(-5 * rates_per_decade..=rates_per_decade, rates_per_decade);
        let runs = Loss::ALL.len() * Noise::ALL.len() * Method::ALL.len() * rates.len();
        let bar = progress::bar("sweep", runs as u64)?;

        let clock = Instant::now();
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

        let each = format!("{samples} samples of {OBSERVATIONS} observations");
        headline::print(&format!("{runs} settings, each fitted to {each}"), clock.elapsed());
        report::print(&outcomes);
        chart::save(&SweepFigure { outcomes: &outcomes, rates: &rates }, folder, "sweep")?;
        chart::save(&PathFigure { outcomes: &outcomes }, folder, "paths")?;

        let run = Run::take()?;
        run.print();
        chart::save(&StepFigure { run: &run }, folder, "report")?;
        report::check(&outcomes)?;
        Ok(run.check()?)
    })
}
