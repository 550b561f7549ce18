//! Prints and checks the results.

use std::ops::RangeInclusive;

use crate::{
    Run,
    model::{self, ASYMMETRY, BIN, BINS, Histogram, PARAMETERS, PHASE, RELAXATION},
    uncertainty::{Bootstrap, Normal, deviation, share, sorted},
};

/// Half the width of the central 95 % of a normal distribution, in standard deviations.
const NORMAL_95: f64 = 1.959_964;

/// Largest step that Newton's method may still take, in standard errors. Usual are 1e-5.
const REMAINING: f64 = 1e-3;

/// Largest distance of an estimate from the truth, in its errors. One seed in 300 000 is farther away.
const DISTANCE: f64 = 5.0;

/// Error of a bootstrap divided by that of the Hessian, without limits. With 100 refits, the first is
/// uncertain by 7 %.
const RATIO: RangeInclusive<f64> = 0.7..=1.3;

/// Shares of refits at the bound. With 100 refits, one share in 1000 is outside.
const HALF: RangeInclusive<f64> = 0.34..=0.66;

/// The names of the two fits.
pub(crate) const NAMES: [&str; 2] = ["within limits", "without limits"];

/// Everything that has been found out about the experiment.
pub(crate) struct Results<'a> {
    pub(crate) data: &'a Histogram,
    /// The fit with limits, and the one without.
    pub(crate) runs: &'a [Run; 2],
    pub(crate) normals: &'a [Normal; 2],
    /// The same from a bad start.
    pub(crate) bad_runs: &'a [Run; 2],
    pub(crate) bootstrap: &'a Bootstrap,
}

impl Results<'_> {
    /// Prints headline, table, optimality and intervals.
    pub(crate) fn print(&self) {
        let (counts, width) = (self.data.counts.sum(), 1000.0 * BIN);
        println!("{counts} simulated counts in {BINS} bins of {width} ns");
        for (name, run) in NAMES.iter().zip(self.runs) {
            let (steps, time) = (run.fit.steps, 1e3 * run.time.as_secs_f64());
            let deviance = self.data.deviance(&run.fit.x);
            println!("  fitted {name:14} {steps:4} steps, {time:5.1} ms, deviance {deviance:.2}");
        }

        self.print_table();
        println!("\nFrom a bad start");
        for (name, run) in NAMES.iter().zip(self.bad_runs) {
            let (x, deviance) = (&run.fit.x, self.data.deviance(&run.fit.x));
            let (a, phi) = (x[ASYMMETRY], x[PHASE]);
            println!("  {name:14} a = {a:7.4}, φ = {phi:7.4} rad, deviance {deviance:.2}");
        }
        println!("\nAre the fits of the table at the optimum?");
        for ((name, run), normal) in NAMES.iter().zip(self.runs).zip(self.normals) {
            let gradient = self.data.gradient(&run.fit.x);
            let remaining = normal.remaining(&gradient);
            println!("  {name:14} Newton's next step: {remaining:.0e} standard errors");
            for parameter in (0..PARAMETERS).filter(|&parameter| run.fit.is_held(parameter)) {
                let (name, slope) = (model::ALL[parameter].name, gradient[parameter]);
                println!("  {:14} {name} is held at its bound, the slope is {slope:+.1}", "");
            }
        }
        self.print_intervals();
    }

    fn print_table(&self) {
        println!("\n{:20}{:>7} {:^25} {:^25}", "", "", "within limits", "without limits");
        print!("{:20}{:>7}", "", "truth");
        for _ in self.runs {
            print!(" {:>8} {:>7} {:>8}", "estimate", "Hessian", "bootstr.");
        }
        println!();
        for (parameter, truth) in model::truth().into_iter().enumerate() {
            let model::Parameter { name, unit, .. } = model::ALL[parameter];
            print!("{name:13}{unit:7}{truth:7.3}");
            let refits = [&self.bootstrap.limited, &self.bootstrap.free];
            for ((run, normal), refits) in self.runs.iter().zip(self.normals).zip(refits) {
                let error = normal.error(parameter);
                let error = error.map_or("held".to_owned(), |error| format!("{error:.4}"));
                let spread = deviation(refits, parameter);
                print!(" {:8.4} {error:>7} {spread:8.4}", run.fit.x[parameter]);
            }
            println!();
        }
        println!("\"Hessian\" and \"bootstr.\" are standard errors.");
    }

    fn print_intervals(&self) {
        let rates = sorted(&self.bootstrap.limited, RELAXATION);
        println!("\nThe relaxation rate λ in 1/µs, 95 %");
        for ((name, run), normal) in NAMES.iter().zip(self.runs).zip(self.normals) {
            let rate = run.fit.x[RELAXATION];
            match normal.error(RELAXATION) {
                Some(error) => {
                    let (low, high) = (rate - NORMAL_95 * error, rate + NORMAL_95 * error);
                    let note = if low < 0.0 { ", partly impossible" } else { "" };
                    println!("  Hessian, {name:15} {low:7.4} to {high:.4}{note}");
                }
                None => println!("  Hessian, {name:15} none: λ is held, and its slope is not 0"),
            }
        }
        let most = quantile(&rates, 0.95);
        let zeros = 100.0 * share(&rates, |rate| rate == 0.0);
        println!("  bootstrap, {:13} {:7.4} to {most:.4}, one-sided", "within limits", rates[0]);
        println!("  {zeros:.0} % of {} refits end at exactly 0", rates.len());

        let rate = self.runs[0].fit.x[RELAXATION];
        let seen = if rate > most { "A relaxation is seen" } else { "No relaxation is seen" };
        println!("\n{seen}: without one, 95 % of experiments report a rate");
        println!(
            "up to {most:.4}, and this one reports {rate:.4}. The bootstrap assumes a rate of"
        );
        println!("exactly 0. It does not tell how large a rate could stay unseen.");
    }

    /// Returns an error unless both fits are optima, the estimates agree with the truth, and the errors
    /// with each other.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (run, normal) in self.runs.iter().zip(self.normals) {
            let gradient = self.data.gradient(&run.fit.x);
            let remaining = normal.remaining(&gradient);
            if remaining.is_nan() || remaining > REMAINING {
                return Err(format!("a fit is {remaining:.1e} standard errors from its optimum"));
            }
            if let Some(parameter) = run.fit.pulled_inside(&gradient) {
                return Err(format!("{} should leave its bound", model::ALL[parameter].name));
            }
        }
        for (parameter, truth) in model::truth().into_iter().enumerate() {
            let name = model::ALL[parameter].name;
            let (estimate, error) =
                (self.runs[0].fit.x[parameter], deviation(&self.bootstrap.limited, parameter));
            if (estimate - truth).abs() > DISTANCE * error {
                return Err(format!("{name} is {estimate} ± {error}, the truth is {truth}"));
            }
            let hessian = self.normals[1].error(parameter).unwrap_or(f64::NAN);
            let ratio = deviation(&self.bootstrap.free, parameter) / hessian;
            if !RATIO.contains(&ratio) {
                return Err(format!("the two errors of {name} without limits differ: {ratio:.2}"));
            }
        }
        let zeros = share(&sorted(&self.bootstrap.limited, RELAXATION), |rate| rate == 0.0);
        if !HALF.contains(&zeros) {
            return Err(format!("{zeros} of the refits are at the bound, not about one half"));
        }
        Ok(())
    }
}

/// Returns the smallest of the sorted values that is at least as large as this part of them.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number of values is small"
)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = (part * sorted.len() as f64).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}
