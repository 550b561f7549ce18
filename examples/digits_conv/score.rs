//! Scores of a network.

use std::iter::zip;

use adamax::{Error, ndarray::Array2};

use crate::{
    data::Digits,
    network::{CLASSES, Network},
    training::Training,
};

/// Loss and accuracy on a set of pictures.
#[derive(Clone, Copy)]
pub(crate) struct Score {
    pub(crate) loss: f64,
    pub(crate) accuracy: f64,
}

impl Score {
    pub(crate) fn of(network: &Network, digits: &Digits) -> Self {
        let right = confusion(network, digits).diag().sum();
        Score { loss: network.loss(digits), accuracy: f64::from(right) / digits.size() }
    }
}

/// Scores of weights and averages after an epoch.
pub(crate) struct ScorePair {
    pub(crate) weights: Score,
    pub(crate) averages: Score,
}

impl ScorePair {
    pub(crate) fn of(training: &Training, digits: &Digits) -> Result<Self, Error> {
        Ok(ScorePair {
            weights: Score::of(training.network(), digits),
            averages: Score::of(&training.averaged()?, digits),
        })
    }
}

/// Prints the scores after the given epochs.
pub(crate) fn print(scores: &[ScorePair], epochs: impl IntoIterator<Item = usize>) {
    println!("\n{:12} {:^19} {:^19}", "", "accuracy", "−ln(probability)");
    println!(
        "{:12} {:>9} {:>9} {:>9} {:>9}",
        "epoch", "weights", "averages", "weights", "averages"
    );
    for epoch in epochs {
        let ScorePair { weights, averages } = &scores[epoch - 1];
        println!(
            "{epoch:<12} {:>9.4} {:>9.4} {:>9.4} {:>9.4}",
            weights.accuracy, averages.accuracy, weights.loss, averages.loss
        );
    }
}

/// Returns the confusion matrix: true digits as rows, predicted digits as columns.
pub(crate) fn confusion(network: &Network, digits: &Digits) -> Array2<u32> {
    let mut counts = Array2::zeros((CLASSES, CLASSES));
    for (&digit, taken_for) in zip(&digits.labels, network.classify(digits)) {
        counts[[digit, taken_for]] += 1;
    }
    counts
}
