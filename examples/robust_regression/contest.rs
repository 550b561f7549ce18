//! The comparison of optimizers for one kind of noise and one loss.

use adamax::{Error, ndarray::Array1};
use indicatif::ProgressBar;

use crate::{
    common::{
        spread::Spread,
        sweep::{Setting, Sweep},
    },
    regression::{Loss, Noise, Sample},
};

/// A run with an error of this or more counts as diverged. The error before training is 1.
pub(crate) const DIVERGED: f64 = 10.0;

/// Number of steps between two points of a path.
const STEPS_PER_POINT: u32 = 5;

/// One kind of noise, one loss, and samples that differ in the seed.
#[derive(Clone, Copy)]
pub(crate) struct Contest<'a> {
    pub(crate) noise: Noise,
    pub(crate) loss: Loss,
    pub(crate) samples: &'a [Sample],
}

impl Contest<'_> {
    /// Runs every method at every learning rate, and records more results at the best rate of each.
    pub(crate) fn hold(self, rates: &[f64], bar: &ProgressBar) -> Result<Outcome, Error> {
        let sweeps = Sweep::all(rates, bar, |setting| self.errors(setting).map(Spread::of))?;
        let bests = sweeps.iter().map(|sweep| {
            let setting = Setting { method: sweep.method, learning_rate: sweep.best_rate() };
            Ok(Best { setting, errors: self.errors(setting)?, path: self.path(setting)? })
        });
        let bests = bests.collect::<Result<_, Error>>()?;
        Ok(Outcome { noise: self.noise, loss: self.loss, sweeps, bests })
    }

    /// Returns the final error on each sample.
    fn errors(self, setting: Setting) -> Result<Vec<f64>, Error> {
        let errors = self.samples.iter().map(|sample| {
            let estimate = self.run(sample, setting, |_, _| {})?;
            Ok(sample.error(&estimate))
        });
        errors.collect()
    }

    /// Returns steps and errors of the run on the first sample.
    fn path(self, setting: Setting) -> Result<Vec<(f64, f64)>, Error> {
        let sample = &self.samples[0];
        let mut path = Vec::new();
        self.run(sample, setting, |step, estimate| {
            if step % STEPS_PER_POINT == 0 {
                path.push((step.into(), sample.error(estimate)));
            }
        })?;
        Ok(path)
    }

    /// Fits β from zero at a constant learning rate, using each observation once.
    fn run(
        self,
        sample: &Sample,
        Setting { method, learning_rate }: Setting,
        mut before_step: impl FnMut(u32, &Array1<f64>),
    ) -> Result<Array1<f64>, Error> {
        let mut beta = Array1::zeros(sample.coefficients());
        let mut descent = method.start(learning_rate, &beta)?;
        for (step, batch) in (0..).zip(sample.batches()) {
            before_step(step, &beta);
            let gradient = batch.gradient(self.loss, &beta);
            descent.step(&mut beta, &gradient)?;
        }
        Ok(beta)
    }
}

/// The results of a contest.
pub(crate) struct Outcome {
    pub(crate) noise: Noise,
    pub(crate) loss: Loss,
    /// One sweep for each method; `bests` has the same order.
    pub(crate) sweeps: Vec<Sweep>,
    pub(crate) bests: Vec<Best>,
}

/// An optimizer at its best learning rate.
pub(crate) struct Best {
    pub(crate) setting: Setting,
    /// The final error on each sample.
    pub(crate) errors: Vec<f64>,
    /// Steps and errors of the run on the first sample.
    pub(crate) path: Vec<(f64, f64)>,
}
