//! A convolution, tanh and a dense layer, and the derivatives of their loss, written by hand.

use std::iter::zip;

use adamax::ndarray::{
    Array, Array1, Array2, Array4, ArrayBase, ArrayView2, ArrayViewD, ArrayViewMutD, Axis,
    Dimension, IntoDimension, RawData,
};
use ndarray_rand::{RandomExt, rand::Rng, rand_distr::StandardNormal};

use crate::data::{Digits, SIDE};

/// Height and width of a kernel.
pub(crate) const KERNEL: usize = 3;

/// Height and width of what a kernel makes of a picture.
pub(crate) const POSITIONS: usize = SIDE + 1 - KERNEL;

pub(crate) const CLASSES: usize = 10;
const FILTERS: usize = 8;
const FEATURES: usize = FILTERS * POSITIONS * POSITIONS;

/// All parameters; or the derivatives of the loss with respect to them.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Network {
    /// (filter, channel, row, column); a grey picture has one channel.
    pub(crate) kernels: Array4<f64>,
    /// One per filter.
    pub(crate) offsets: Array1<f64>,
    /// (class, feature)
    pub(crate) weights: Array2<f64>,
    /// One per class.
    pub(crate) biases: Array1<f64>,
}

/// What the layers make of pictures.
struct Layers {
    /// (picture, feature)
    features: Array2<f64>,
    /// (picture, class)
    probabilities: Array2<f64>,
}

impl Network {
    /// Normally distributed weights, such that the inputs of each layer vary about as much as its
    /// outputs; biases of zero.
    pub(crate) fn random(rng: &mut impl Rng) -> Self {
        let kernels = Array::random_using((FILTERS, 1, KERNEL, KERNEL), StandardNormal, rng);
        let weights = Array::random_using((CLASSES, FEATURES), StandardNormal, rng);
        Network {
            kernels: kernels / 3.0,
            offsets: Array1::zeros(FILTERS),
            weights: weights / (FEATURES as f64).sqrt(),
            biases: Array1::zeros(CLASSES),
        }
    }

    /// The mean of −ln(probability of the right class).
    pub(crate) fn loss(&self, digits: &Digits) -> f64 {
        let probabilities = self.forward(digits).probabilities;
        let right = zip(probabilities.rows(), &digits.labels).map(|(row, &label)| row[label].ln());
        -right.sum::<f64>() / digits.size()
    }

    /// The derivatives of [`loss`](Network::loss).
    pub(crate) fn gradient(&self, digits: &Digits) -> Network {
        let Layers { features, probabilities } = self.forward(digits);

        // By the inputs of the softmax …
        let mut by_logits = probabilities;
        for (mut row, &label) in zip(by_logits.rows_mut(), &digits.labels) {
            row[label] -= 1.0;
        }
        by_logits /= digits.size();
        // … and by those of tanh, whose derivative is 1 − tanh².
        let by_features = by_logits.dot(&self.weights) * (1.0 - &features * &features);
        let by_convolved = reshape(by_features, (digits.len() * POSITIONS * POSITIONS, FILTERS));

        Network {
            kernels: reshape(by_convolved.t().dot(&patches(digits)), self.kernels.raw_dim()),
            offsets: by_convolved.sum_axis(Axis(0)),
            weights: by_logits.t().dot(&features),
            biases: by_logits.sum_axis(Axis(0)),
        }
    }

    /// The most probable class of each picture.
    pub(crate) fn classify(&self, digits: &Digits) -> Vec<usize> {
        let probabilities = self.forward(digits).probabilities;
        let classes = probabilities.rows().into_iter().map(|row| {
            let best = row.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
            best.map_or(0, |(class, _)| class)
        });
        classes.collect()
    }

    fn forward(&self, digits: &Digits) -> Layers {
        let kernels = reshape(self.kernels.view(), (FILTERS, KERNEL * KERNEL));
        let convolved = patches(digits).dot(&kernels.t()) + &self.offsets;
        let features = reshape(convolved.tanh(), (digits.len(), FEATURES));

        let mut probabilities = features.dot(&self.weights.t()) + &self.biases;
        for mut row in probabilities.rows_mut() {
            let largest = row.fold(f64::NEG_INFINITY, |largest, &logit| logit.max(largest));
            row.mapv_inplace(|logit| (logit - largest).exp());
            row /= row.sum();
        }
        Layers { features, probabilities }
    }

    /// The number of parameters.
    pub(crate) fn size(&self) -> usize {
        self.tensors().iter().map(ArrayBase::len).sum()
    }

    /// All tensors, in one order.
    pub(crate) fn tensors(&self) -> [ArrayViewD<'_, f64>; 4] {
        let Network { kernels, offsets, weights, biases } = self;
        [
            kernels.view().into_dyn(),
            offsets.view().into_dyn(),
            weights.view().into_dyn(),
            biases.view().into_dyn(),
        ]
    }

    /// [`tensors`](Network::tensors), to be changed.
    pub(crate) fn tensors_mut(&mut self) -> [ArrayViewMutD<'_, f64>; 4] {
        let Network { kernels, offsets, weights, biases } = self;
        [
            kernels.view_mut().into_dyn(),
            offsets.view_mut().into_dyn(),
            weights.view_mut().into_dyn(),
            biases.view_mut().into_dyn(),
        ]
    }
}

/// What the kernels look at, one patch per row.
fn patches(digits: &Digits) -> ArrayView2<'_, f64> {
    reshape(digits.patches.view(), (digits.len() * POSITIONS * POSITIONS, KERNEL * KERNEL))
}

/// The same numbers in another shape.
fn reshape<S: RawData<Elem = f64>, D: Dimension, E: IntoDimension>(
    array: ArrayBase<S, D>,
    shape: E,
) -> ArrayBase<S, E::Dim> {
    array.into_shape_with_order(shape).expect("as many numbers, in row-major order")
}
