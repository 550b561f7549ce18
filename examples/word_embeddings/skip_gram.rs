//! Skip-gram with negative sampling (Mikolov et al. 2013, <https://arxiv.org/abs/1310.4546>).
//!
//! Each word has a vector w, and a vector c that is used when it is the neighbour of another word.

use std::array;

use adamax::ndarray::Array2;
use ndarray_rand::{
    RandomExt,
    rand::{
        distr::{
            Distribution,
            weighted::{self, WeightedIndex},
        },
        rngs::SmallRng,
    },
    rand_distr::StandardNormal,
};

use crate::text::Pair;

/// Length of a vector.
const DIMENSIONS: usize = 32;

/// Number of random words for each pair, which the model must distinguish from the true neighbour.
const NEGATIVES: usize = 5;

/// The parameters: two tables with a row for each word.
#[derive(Clone)]
pub(crate) struct Vectors {
    pub(crate) words: Array2<f32>,
    pub(crate) contexts: Array2<f32>,
}

impl Vectors {
    /// Returns the starting point of word2vec: small random vectors, and zeros for neighbours.
    pub(crate) fn random(vocabulary: usize, rng: &mut SmallRng) -> Self {
        let shape = (vocabulary, DIMENSIONS);
        let words = 0.1 * Array2::<f32>::random_using(shape, StandardNormal, rng);
        Vectors { words, contexts: Array2::zeros(shape) }
    }
}

/// Draws words with probabilities proportional to their frequency to the power of ¾.
pub(crate) struct Noise(WeightedIndex<f64>);

impl Noise {
    pub(crate) fn new(counts: &[u32]) -> Result<Self, weighted::Error> {
        let weights = counts.iter().map(|&count| f64::from(count).powf(0.75));
        WeightedIndex::new(weights).map(Noise)
    }

    /// Adds random words to each pair.
    pub(crate) fn samples(&self, pairs: &[Pair], rng: &mut SmallRng) -> Vec<Sample> {
        let mut sample = |&pair| Sample { pair, noise: array::from_fn(|_| self.0.sample(rng)) };
        pairs.iter().map(&mut sample).collect()
    }
}

/// A pair, and random words that the model must distinguish from the true neighbour.
pub(crate) struct Sample {
    pair: Pair,
    noise: [usize; NEGATIVES],
}

impl Sample {
    /// Returns the loss −ln σ(w·c) − Σ ln σ(−w·cₖ), where the words of cₖ are the random ones. Calls
    /// `visit` with each neighbour, true or random, and the derivative of the loss with respect to
    /// its product with w.
    fn loss(&self, vectors: &Vectors, mut visit: impl FnMut(usize, f32)) -> f32 {
        let word = vectors.words.row(self.pair.word);
        let mut product = |context, label| {
            let product = word.dot(&vectors.contexts.row(context));
            visit(context, sigmoid(product) - label);
            product
        };
        let true_one = softplus(-product(self.pair.context, 1.0));
        self.noise.iter().fold(true_one, |sum, &context| sum + softplus(product(context, 0.0)))
    }
}

/// Returns the mean loss of `samples`. Without samples it is NaN, which is not below any bound.
pub(crate) fn mean_loss(vectors: &Vectors, samples: &[Sample]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for sample in samples {
        sum += f64::from(sample.loss(vectors, |_, _| {}));
        count += 1.0;
    }
    sum / count
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Returns ln(1 + eˣ) = −ln σ(−x).
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The gradient of a table, one row for each use of a row of the table.
pub(crate) struct Uses {
    /// The row of the table that is used. A row may be used several times.
    pub(crate) rows: Vec<usize>,
    pub(crate) gradients: Array2<f32>,
}

impl Uses {
    fn zeros(count: usize) -> Self {
        Uses { rows: vec![0; count], gradients: Array2::zeros((count, DIMENSIONS)) }
    }
}

/// The gradient of the summed loss of a minibatch.
pub(crate) struct Gradient {
    pub(crate) words: Uses,
    pub(crate) contexts: Uses,
}

impl Gradient {
    pub(crate) fn of(vectors: &Vectors, batch: &[Sample]) -> Self {
        let mut words = Uses::zeros(batch.len());
        let mut contexts = Uses::zeros(batch.len() * (1 + NEGATIVES));
        let mut use_of_context = 0;
        for (use_of_word, sample) in batch.iter().enumerate() {
            let word = sample.pair.word;
            words.rows[use_of_word] = word;
            let mut gradient = words.gradients.row_mut(use_of_word);
            sample.loss(vectors, |context, slope| {
                gradient.scaled_add(slope, &vectors.contexts.row(context));
                contexts.rows[use_of_context] = context;
                contexts
                    .gradients
                    .row_mut(use_of_context)
                    .scaled_add(slope, &vectors.words.row(word));
                use_of_context += 1;
            });
        }
        Gradient { words, contexts }
    }
}
