//! One run of Adamax with clipping, step by step, as its reports tell it.

use std::error::Error;

use adamax::{Adamax, MaxNorm, Optimizer, Report, ndarray::Array1};

use crate::regression::{Loss, Noise, Sample};

/// Least squares, so that the gradients have the tail of the noise and there is something to clip.
const LOSS: Loss = Loss::Squares;
const NOISE: Noise = Noise::Student;
const SEED: u64 = 0;

const LEARNING_RATE: f64 = 0.01;

/// The bound on the norm of a gradient. At the optimum, about a fifth of the norms are larger.
pub(crate) const BOUND: f64 = 2.0;

/// The longest possible step. 1.00909 is (1 − β₁)/(1 − β₁/β₂) at the default decay rates.
pub(crate) const LONGEST: f64 = 1.00909 * LEARNING_RATE;

/// Number of steps before and after the middle of a running median.
const HALF: u32 = 25;
const WINDOW: usize = 2 * HALF as usize + 1;

/// The run has arrived when the running median of the largest changes is below this part of
/// [`LONGEST`]. On the way, some coefficient moves in one direction in every step. At the optimum, all
/// of them move to and fro, driven by the noise alone; the medians are then about 0.13 of [`LONGEST`].
pub(crate) const ARRIVED: f64 = 0.15;

/// A run, with the report of each step.
pub(crate) struct Run {
    pub(crate) reports: Vec<Report>,
    /// The error of the coefficients after each step. No report can know it.
    errors: Vec<f64>,
}

impl Run {
    /// Fits β, starting from zero, at a constant learning rate.
    pub(crate) fn take() -> Result<Self, Box<dyn Error>> {
        let sample = Sample::draw(NOISE, SEED)?;
        let mut beta = Array1::zeros(sample.coefficients());
        let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
        let mut optimizer = Optimizer::new(rule);
        let slot = optimizer.register("β", &beta)?;
        optimizer.set_max_norm(Some(MaxNorm::Global(BOUND)))?;

        let mut run = Run { reports: Vec::new(), errors: Vec::new() };
        for batch in sample.batches() {
            let gradient = batch.gradient(LOSS, &beta);
            let report = optimizer.step_with_report(&mut [slot.bind(&mut beta, &gradient)])?;
            run.reports.push(report);
            run.errors.push(sample.error(&beta));
        }
        Ok(run)
    }

    /// Returns running medians of the largest changes, each with the step in the middle of its window.
    pub(crate) fn medians(&self) -> impl Iterator<Item = (u32, f64)> {
        let medians = self.reports.windows(WINDOW).map(|window| {
            let mut changes: Vec<_> = window.iter().map(Report::max_step).collect();
            changes.sort_by(f64::total_cmp);
            changes[WINDOW / 2]
        });
        (1 + HALF..).zip(medians)
    }

    /// Returns the step with which the run has arrived.
    pub(crate) fn arrival(&self) -> Option<u32> {
        self.medians().find(|(_, median)| *median < ARRIVED * LONGEST).map(|(step, _)| step)
    }

    /// Prints what the picture shows, and the errors, which it cannot show.
    pub(crate) fn print(&self) {
        println!("\nThe reports of one run of Adamax: {}, {}", LOSS.name(), NOISE.name());
        let steps = (1_u32..).zip(&self.reports);
        let clipped: Vec<_> = steps.filter(|(_, report)| report.clip_factor() < 1.0).collect();
        let smallest = clipped.iter().map(|(_, report)| report.clip_factor()).fold(1.0, f64::min);
        let all = self.reports.len();
        println!(
            "  {} of {all} gradients clipped, by factors down to {smallest:.3}",
            clipped.len()
        );

        let Some(arrival) = self.arrival() else { return };
        let before = clipped.iter().filter(|(step, _)| *step < arrival).count();
        println!("  arrived with step {arrival}; {before} of the clipped gradients are before it");
        let error = |step: usize| self.errors.get(step).copied().unwrap_or(f64::NAN);
        println!(
            "  error |β̂ − β|/|β|: {:.3} after 1 step, {:.3} on arrival, {:.3} at the end",
            error(0),
            error(arrival as usize - 1),
            error(all - 1)
        );
    }

    /// Returns an error unless the run has arrived.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.arrival() {
            Some(_) => Ok(()),
            None => Err(format!("no running median is below {:.1e}", ARRIVED * LONGEST)),
        }
    }
}
