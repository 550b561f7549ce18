//! Two trainings with the same minibatches: one steps the rows that a minibatch uses, the other all rows.

use std::time::Instant;

use adamax::{Adamax, Error, Optimizer, schedule::Schedule};
use indicatif::ProgressBar;
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng};

use crate::{
    common::table::{Costs, Table, Update},
    skip_gram::{Gradient, Noise, Sample, Vectors, mean_loss},
    text::Text,
};

const BATCH: usize = 64;

/// The learning rate of the first epoch. A cosine schedule reduces it after each epoch.
const LEARNING_RATE: f64 = 0.01;

/// Vectors, their optimizer, and the results so far.
pub(crate) struct Training {
    pub(crate) update: Update,
    pub(crate) vectors: Vectors,
    /// The mean loss of the held-out pairs, before the first epoch and after each epoch.
    pub(crate) losses: Vec<f64>,
    pub(crate) costs: Costs,
    optimizer: Optimizer<f32>,
    words: Table<f32>,
    contexts: Table<f32>,
}

impl Training {
    fn new(update: Update, vectors: &Vectors) -> Result<Self, Error> {
        let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
        let mut optimizer = Optimizer::new(rule);
        let words = Table::register(update, &mut optimizer, "words", &vectors.words)?;
        let contexts = Table::register(update, &mut optimizer, "contexts", &vectors.contexts)?;
        Ok(Training {
            update,
            vectors: vectors.clone(),
            losses: Vec::new(),
            costs: Costs::default(),
            optimizer,
            words,
            contexts,
        })
    }

    fn step(&mut self, batch: &[Sample]) -> Result<(), Error> {
        let Gradient { words, contexts } = Gradient::of(&self.vectors, batch);
        let start = Instant::now();
        self.words.set_gradient(&words.rows, &words.gradients)?;
        self.contexts.set_gradient(&contexts.rows, &contexts.gradients)?;
        let summed = Instant::now();
        self.optimizer.step(&mut [
            self.words.bind(&mut self.vectors.words),
            self.contexts.bind(&mut self.vectors.contexts),
        ])?;
        self.costs.add(start, summed, self.words.updated() + self.contexts.updated());
        Ok(())
    }
}

/// Trains for the given number of epochs. The trainings take turns, so that a machine that is busy for
/// a while slows down both.
pub(crate) fn train(
    text: &Text,
    noise: &Noise,
    epochs: u64,
    bar: &ProgressBar,
) -> Result<Vec<Training>, Error> {
    const SEED: u64 = 1;
    let mut rng = SmallRng::seed_from_u64(SEED);
    let vectors = Vectors::random(text.words.len(), &mut rng);
    let trainings = Update::ALL.iter().map(|&update| Training::new(update, &vectors));
    let mut trainings = trainings.collect::<Result<Vec<_>, _>>()?;
    let schedule = Schedule::cosine(epochs, 0.0)?;

    // Always with the same random words.
    let held_out = noise.samples(&text.held_out(), &mut SmallRng::seed_from_u64(0));
    let add_loss = |training: &mut Training| {
        training.losses.push(mean_loss(&training.vectors, &held_out));
    };
    trainings.iter_mut().for_each(add_loss);
    for epoch in 0..epochs {
        for training in &mut trainings {
            training.optimizer.set_lr_scale(schedule.scale(epoch))?;
        }
        for pairs in text.epoch(&mut rng).chunks(BATCH) {
            let batch = noise.samples(pairs, &mut rng);
            for training in &mut trainings {
                training.step(&batch)?;
            }
        }
        trainings.iter_mut().for_each(add_loss);
        bar.inc(1);
    }
    Ok(trainings)
}
