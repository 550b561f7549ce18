//! Two fits with the same minibatches: one steps the places that a minibatch names, the other all places.

use std::time::Instant;

use adamax::{Adamax, Error, Optimizer, Slot, ndarray::Ix2, schedule::Schedule};
use indicatif::ProgressBar;
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::{
    common::table::{Costs, Table, Update},
    data::{Data, Observation},
    model::{Factors, Model},
};

pub(crate) const BATCH: usize = 64;

/// The learning rate of the first epoch. A cosine schedule reduces it after each epoch.
const LEARNING_RATE: f64 = 0.1;

/// The factors, their optimizer, and the results so far.
pub(crate) struct Fit {
    pub(crate) update: Update,
    pub(crate) factors: Factors,
    /// The error of the hidden temperatures, before the first epoch and after each epoch.
    pub(crate) errors: Vec<f64>,
    /// The times, and the rows of places.
    pub(crate) costs: Costs,
    optimizer: Optimizer<f64>,
    places: Table<f64>,
    months: Slot<Ix2>,
}

impl Fit {
    fn new(update: Update, start: &Factors) -> Result<Self, Error> {
        let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
        let mut optimizer = Optimizer::new(rule);
        // A minibatch uses most months, so this table is stepped as a whole.
        let months = optimizer.register("months", &start.months)?;
        let places = Table::register(update, &mut optimizer, "places", &start.places)?;
        Ok(Fit {
            update,
            factors: start.clone(),
            errors: Vec::new(),
            costs: Costs::default(),
            optimizer,
            places,
            months,
        })
    }

    /// Returns the error of the hidden temperatures after the last epoch.
    pub(crate) fn error(&self) -> f64 {
        self.errors.last().copied().unwrap_or(f64::NAN)
    }

    fn step(&mut self, batch: &[Observation]) -> Result<(), Error> {
        let named: Vec<_> = batch.iter().map(|observation| observation.place).collect();
        let (of_places, of_months) = self.factors.gradient(batch);
        let start = Instant::now();
        self.places.set_gradient(&named, &of_places)?;
        let summed = Instant::now();
        self.optimizer.step(&mut [
            self.places.bind(&mut self.factors.places),
            self.months.bind(&mut self.factors.months, &of_months),
        ])?;
        self.costs.add(start, summed, self.places.updated());
        Ok(())
    }
}

/// Fits for the given number of epochs. The fits take turns, so that a machine that is busy for a while
/// slows down both.
pub(crate) fn fit(
    data: &Data,
    overall: f64,
    epochs: u64,
    bar: &ProgressBar,
) -> Result<Vec<Fit>, Error> {
    const SEED: u64 = 2;
    let mut rng = SmallRng::seed_from_u64(SEED);
    let start = Factors::random(data, overall, &mut rng);
    let fits = Update::ALL.iter().map(|&update| Fit::new(update, &start));
    let mut fits = fits.collect::<Result<Vec<_>, _>>()?;
    let schedule = Schedule::cosine(epochs, 0.0)?;
    let mut visible = data.visible.clone();

    let add_error = |fit: &mut Fit| fit.errors.push(fit.factors.error(&data.hidden));
    fits.iter_mut().for_each(add_error);
    for epoch in 0..epochs {
        for fit in &mut fits {
            fit.optimizer.set_lr_scale(schedule.scale(epoch))?;
        }
        visible.shuffle(&mut rng);
        for batch in visible.chunks(BATCH) {
            for fit in &mut fits {
                fit.step(batch)?;
            }
        }
        fits.iter_mut().for_each(add_error);
        bar.inc(1);
    }
    Ok(fits)
}
