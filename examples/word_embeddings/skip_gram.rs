//! Skip-gram with negative sampling (Mikolov et al. 2013, <https://arxiv.org/abs/1310.4546>).
//!
//! Each word has a vector w, and a vector c that is used when it is the neighbour of another word.

use std::mem;

use adamax::ndarray::{Array2, ArrayView1};
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
}

/// Returns the loss −ln σ(w·c) − Σ ln σ(−w·cₖ), where the words of cₖ are drawn from `noise`. Calls
/// `visit` with each neighbour, true or drawn, and the derivative of the loss with respect to its
/// product with w.
fn loss(
    vectors: &Vectors,
    pair: Pair,
    noise: &Noise,
    rng: &mut SmallRng,
    mut visit: impl FnMut(usize, f32),
) -> f32 {
    let word = vectors.words.row(pair.word);
    let mut product = |context, label| {
        let product = word.dot(&vectors.contexts.row(context));
        visit(context, sigmoid(product) - label);
        product
    };
    let mut sum = softplus(-product(pair.context, 1.0));
    for _ in 0..NEGATIVES {
        sum += softplus(product(noise.0.sample(rng), 0.0));
    }
    sum
}

/// Returns the mean loss of `pairs`. Without pairs it is NaN, which is not below any bound.
pub(crate) fn mean_loss(
    vectors: &Vectors,
    pairs: &[Pair],
    noise: &Noise,
    rng: &mut SmallRng,
) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for &pair in pairs {
        sum += f64::from(loss(vectors, pair, noise, rng, |_, _| {}));
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

/// The gradient of one table, which is zero except in the touched rows.
pub(crate) struct SparseRows {
    pub(crate) rows: Array2<f32>,
    pub(crate) touched: Vec<bool>,
}

impl SparseRows {
    fn zeros_like(table: &Array2<f32>) -> Self {
        SparseRows { rows: Array2::zeros(table.raw_dim()), touched: vec![false; table.nrows()] }
    }

    fn add(&mut self, row: usize, slope: f32, direction: &ArrayView1<f32>) {
        self.touched[row] = true;
        self.rows.row_mut(row).scaled_add(slope, direction);
    }

    fn clear(&mut self) {
        for (mut row, touched) in self.rows.outer_iter_mut().zip(&mut self.touched) {
            if mem::take(touched) {
                row.fill(0.0);
            }
        }
    }
}

/// The gradient of a minibatch.
pub(crate) struct Gradient {
    pub(crate) words: SparseRows,
    pub(crate) contexts: SparseRows,
}

impl Gradient {
    pub(crate) fn zeros_like(vectors: &Vectors) -> Self {
        Gradient {
            words: SparseRows::zeros_like(&vectors.words),
            contexts: SparseRows::zeros_like(&vectors.contexts),
        }
    }

    /// Returns the share of touched rows.
    pub(crate) fn touched_share(&self) -> f64 {
        let (mut touched, mut all) = (0_u32, 0_u32);
        for &is_touched in self.words.touched.iter().chain(&self.contexts.touched) {
            touched += u32::from(is_touched);
            all += 1;
        }
        f64::from(touched) / f64::from(all)
    }

    /// Replaces this gradient by that of the summed loss of `batch`.
    pub(crate) fn assign(
        &mut self,
        vectors: &Vectors,
        batch: &[Pair],
        noise: &Noise,
        rng: &mut SmallRng,
    ) {
        self.words.clear();
        self.contexts.clear();
        for &pair in batch {
            let word = vectors.words.row(pair.word);
            loss(vectors, pair, noise, rng, |context, slope| {
                self.words.add(pair.word, slope, &vectors.contexts.row(context));
                self.contexts.add(context, slope, &word);
            });
        }
    }
}
