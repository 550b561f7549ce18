//! The runs of the comparison, repeated with different seeds.

use adamax::{Error, ndarray::Array1};
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng};

use crate::{
    common::{spread::Spread, sweep::Setting},
    poisson::Sample,
};

/// Length of a run in epochs.
pub(crate) const EPOCHS: u32 = 3;
const BATCH: usize = 64;

/// Number of steps between two points of a loss curve.
const STEPS_PER_POINT: u32 = 12;

/// A run with an excess of this or more counts as diverged. The excess before training is 1.3.
pub(crate) const DIVERGED: f64 = 10.0;

/// The common data of all runs of the comparison.
pub(crate) struct Contest<'a> {
    pub(crate) sample: &'a Sample,
    /// The loss at the optimum. The excess of a run is its loss minus this loss.
    pub(crate) floor: f64,
    pub(crate) seeds: u64,
}

impl Contest<'_> {
    /// Returns the mean negative log-likelihood minus that of the optimum.
    fn excess(&self, beta: &Array1<f64>) -> f64 {
        let loss = self.sample.loss(beta);
        if loss.is_finite() { loss - self.floor } else { f64::INFINITY }
    }

    /// Returns the excess at the end of the runs.
    pub(crate) fn final_excess(&self, setting: Setting) -> Result<Spread, Error> {
        let finals = (0..self.seeds).map(|seed| {
            let beta = self.run(setting, seed, |_, _| {})?;
            Ok(self.excess(&beta))
        });
        finals.collect::<Result<_, _>>().map(Spread::of)
    }

    /// Returns epochs, fractions included, and the excess there.
    pub(crate) fn loss_curve(&self, setting: Setting) -> Result<Vec<(f64, Spread)>, Error> {
        let traces: Vec<_> =
            (0..self.seeds).map(|seed| self.trace(setting, seed)).collect::<Result<_, _>>()?;
        let points = traces[0].iter().enumerate().map(|(point, &(epochs, _))| {
            let excesses = traces.iter().map(|trace| trace[point].1).collect();
            (epochs, Spread::of(excesses))
        });
        Ok(points.collect())
    }

    fn trace(&self, setting: Setting, seed: u64) -> Result<Vec<(f64, f64)>, Error> {
        let mut trace = vec![(0.0, self.excess(&self.start()))];
        let mut steps = 0;
        self.run(setting, seed, |epochs, beta| {
            steps += 1;
            if steps % STEPS_PER_POINT == 0 {
                trace.push((epochs, self.excess(beta)));
            }
        })?;
        Ok(trace)
    }

    fn start(&self) -> Array1<f64> {
        Array1::zeros(self.sample.coefficients())
    }

    /// Trains from zero at a constant learning rate. With the same seed, all settings use the same
    /// batches.
    fn run(
        &self,
        Setting { method, learning_rate }: Setting,
        seed: u64,
        mut after_step: impl FnMut(f64, &Array1<f64>),
    ) -> Result<Array1<f64>, Error> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut beta = self.start();
        let mut descent = method.start(learning_rate, &beta)?;
        let mut epochs = 0.0;
        for _ in 0..EPOCHS {
            for batch in self.sample.epoch(BATCH, &mut rng) {
                let gradient = batch.gradient(&beta);
                descent.step(&mut beta, &gradient)?;
                epochs += batch.size() / self.sample.size();
                after_step(epochs, &beta);
            }
        }
        Ok(beta)
    }
}
