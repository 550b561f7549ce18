//! Training, with two ways to update the rows that a minibatch does not touch.

use adamax::{
    Adamax, Error, Optimizer, Outcome, Slot,
    ndarray::{Array2, ArrayView1, ArrayViewMut1, Ix1, Ix2},
    schedule::Schedule,
};
use indicatif::ProgressBar;
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng};

use crate::{
    skip_gram::{Gradient, Noise, SparseRows, Vectors, mean_loss},
    text::{Pair, Text},
};

const BATCH: usize = 256;

/// The learning rate of the first epoch. A cosine schedule reduces it after each epoch.
const LEARNING_RATE: f64 = 0.02;

/// The rows that a step updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// Steps both tables as they are; a zero gradient is treated like any other. The first moment of
    /// an untouched row still moves it for some steps, while its infinity norm decays.
    AllRows,
    /// Treats each row as a separate tensor and binds it only if it was touched. An untouched row
    /// keeps its value, its moments and its step count.
    TouchedRows,
}

impl Update {
    pub(crate) const ALL: [Update; 2] = [Update::AllRows, Update::TouchedRows];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Update::AllRows => "all rows",
            Update::TouchedRows => "touched rows only",
        }
    }
}

/// An optimizer with slots for words and contexts.
struct Stepper {
    optimizer: Optimizer<f32>,
    slots: Slots,
}

enum Slots {
    Tables([Slot<Ix2>; 2]),
    Rows([Vec<Slot<Ix1>>; 2]),
}

impl Stepper {
    fn new(update: Update, Vectors { words, contexts }: &Vectors) -> Result<Self, Error> {
        let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
        let mut optimizer = Optimizer::new(rule);
        let slots = match update {
            Update::AllRows => Slots::Tables([
                optimizer.register("words", words)?,
                optimizer.register("contexts", contexts)?,
            ]),
            Update::TouchedRows => Slots::Rows([
                register_rows(&mut optimizer, "words", words)?,
                register_rows(&mut optimizer, "contexts", contexts)?,
            ]),
        };
        Ok(Stepper { optimizer, slots })
    }

    fn step(&mut self, vectors: &mut Vectors, gradient: &Gradient) -> Result<Outcome, Error> {
        match &self.slots {
            Slots::Tables([words, contexts]) => self.optimizer.step(&mut [
                words.bind(&mut vectors.words, &gradient.words.rows),
                contexts.bind(&mut vectors.contexts, &gradient.contexts.rows),
            ]),
            Slots::Rows([words, contexts]) => {
                let words = touched_rows(words, &mut vectors.words, &gradient.words);
                let contexts = touched_rows(contexts, &mut vectors.contexts, &gradient.contexts);
                let mut rows: Vec<_> = words.chain(contexts).collect();
                let mut batch: Vec<_> =
                    rows.iter_mut().map(|(slot, row, slope)| slot.bind(row, slope)).collect();
                self.optimizer.step(&mut batch)
            }
        }
    }
}

fn register_rows(
    optimizer: &mut Optimizer<f32>,
    name: &str,
    table: &Array2<f32>,
) -> Result<Vec<Slot<Ix1>>, Error> {
    let rows = table.outer_iter().enumerate();
    rows.map(|(number, row)| optimizer.register(&format!("{name}/{number}"), &row)).collect()
}

fn touched_rows<'a>(
    slots: &'a [Slot<Ix1>],
    table: &'a mut Array2<f32>,
    gradient: &'a SparseRows,
) -> impl Iterator<Item = (Slot<Ix1>, ArrayViewMut1<'a, f32>, ArrayView1<'a, f32>)> {
    let rows = table.outer_iter_mut().zip(gradient.rows.outer_iter());
    let touched = rows.zip(slots).zip(&gradient.touched).filter(|(_, touched)| **touched);
    touched.map(|(((row, slope), slot), _)| (*slot, row, slope))
}

/// Trained vectors and the losses of their training.
pub(crate) struct Training {
    pub(crate) update: Update,
    pub(crate) vectors: Vectors,
    /// The mean loss of the held-out pairs, before the first epoch and after each epoch.
    pub(crate) losses: Vec<Loss>,
    /// The mean share of rows that a minibatch touches.
    pub(crate) touched: f64,
}

/// Trains for the given number of epochs.
pub(crate) fn train(
    text: &Text,
    noise: &Noise,
    update: Update,
    epochs: u64,
    bar: &ProgressBar,
) -> Result<Training, Error> {
    const SEED: u64 = 1;
    let mut rng = SmallRng::seed_from_u64(SEED);
    let mut vectors = Vectors::random(text.words.len(), &mut rng);
    let mut stepper = Stepper::new(update, &vectors)?;
    let mut gradient = Gradient::zeros_like(&vectors);
    let schedule = Schedule::cosine(epochs, 0.0)?;

    let held_out = HeldOut::new(text, noise);
    let mut losses = vec![held_out.loss(&vectors)];
    let (mut steps, mut touched) = (0.0, 0.0);
    for epoch in 0..epochs {
        stepper.optimizer.set_lr_scale(schedule.scale(epoch))?;
        for batch in text.epoch(&mut rng).chunks(BATCH) {
            gradient.assign(&vectors, batch, noise, &mut rng);
            stepper.step(&mut vectors, &gradient)?;
            touched += gradient.touched_share();
            steps += 1.0;
        }
        losses.push(held_out.loss(&vectors));
        bar.inc(1);
    }
    Ok(Training { update, vectors, losses, touched: touched / steps })
}

/// The mean loss of the held-out pairs, as a sum over two kinds of pairs.
#[derive(Clone, Copy)]
pub(crate) struct Loss {
    /// The part of the pairs with one of the most frequent words.
    pub(crate) frequent: f64,
    /// The part of all other pairs.
    pub(crate) others: f64,
}

impl Loss {
    pub(crate) fn total(self) -> f64 {
        self.frequent + self.others
    }
}

/// Pairs that are not used in training.
struct HeldOut<'a> {
    /// The pairs with one of the most frequent words.
    frequent: Vec<Pair>,
    others: Vec<Pair>,
    noise: &'a Noise,
}

impl<'a> HeldOut<'a> {
    fn new(text: &Text, noise: &'a Noise) -> Self {
        let (frequent, others) = text.held_out().into_iter().partition(Pair::has_frequent_word);
        HeldOut { frequent, others, noise }
    }

    /// Returns the mean loss, always with the same random words.
    fn loss(&self, vectors: &Vectors) -> Loss {
        let all = size(&self.frequent) + size(&self.others);
        let part = |pairs: &[Pair]| {
            let mut rng = SmallRng::seed_from_u64(0);
            size(pairs) / all * mean_loss(vectors, pairs, self.noise, &mut rng)
        };
        Loss { frequent: part(&self.frequent), others: part(&self.others) }
    }
}

/// Returns the number of pairs as a floating-point number, for divisions.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2⁵³ pairs")]
fn size(pairs: &[Pair]) -> f64 {
    pairs.len() as f64
}
