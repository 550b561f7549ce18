//! A network of a convolution, tanh and a dense layer, with derivatives written by hand.

use std::iter::zip;

use adamax::ndarray::{
    Array, Array1, Array2, Array4, ArrayBase, ArrayView2, ArrayViewD, ArrayViewMutD, Axis,
    Dimension, IntoDimension, RawData,
};
use ndarray_rand::{RandomExt, rand::Rng, rand_distr::StandardNormal};

use crate::data::{Digits, SIDE};

/// Height and width of a kernel.
pub(crate) const KERNEL: usize = 3;

/// Height and width of the output of a kernel.
pub(crate) const POSITIONS: usize = SIDE + 1 - KERNEL;

pub(crate) const CLASSES: usize = 10;
const FILTERS: usize = 8;
const FEATURES: usize = FILTERS * POSITIONS * POSITIONS;

/// The names of the tensors, in the order of [`Network::tensors`].
pub(crate) const NAMES: [&str; 4] = ["kernels", "offsets", "weights", "biases"];

/// All parameters, or the derivatives of the loss with respect to them.
#[derive(Clone)]
pub(crate) struct Network {
    /// Axes: (filter, channel, row, column). A grey picture has one channel.
    pub(crate) kernels: Array4<f64>,
    /// One per filter.
    pub(crate) offsets: Array1<f64>,
    /// Axes: (class, feature).
    pub(crate) weights: Array2<f64>,
    /// One per class.
    pub(crate) biases: Array1<f64>,
}

/// The outputs of the layers.
struct Layers {
    /// Axes: (picture, feature).
    features: Array2<f64>,
    /// Axes: (picture, class).
    probabilities: Array2<f64>,
}

impl Network {
    /// Returns normally distributed weights, scaled so that the inputs and outputs of each layer
    /// have about the same variance, and zero biases.
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

    /// Returns the mean of −ln(probability of the right class).
    pub(crate) fn loss(&self, digits: &Digits) -> f64 {
        let probabilities = self.forward(digits).probabilities;
        let right = zip(probabilities.rows(), &digits.labels).map(|(row, &label)| row[label].ln());
        -right.sum::<f64>() / digits.size()
    }

    /// Returns the derivatives of [`loss`](Network::loss).
    pub(crate) fn gradient(&self, digits: &Digits) -> Network {
        let Layers { features, probabilities } = self.forward(digits);

        // Derivatives with respect to the inputs of the softmax.
        let mut by_logits = probabilities;
        for (mut row, &label) in zip(by_logits.rows_mut(), &digits.labels) {
            row[label] -= 1.0;
        }
        by_logits /= digits.size();
        // Derivatives with respect to the inputs of tanh; the derivative of tanh is 1 − tanh².
        let by_features = by_logits.dot(&self.weights) * (1.0 - &features * &features);
        let by_convolved = reshape(by_features, (digits.len() * POSITIONS * POSITIONS, FILTERS));

        Network {
            kernels: reshape(by_convolved.t().dot(&patches(digits)), self.kernels.raw_dim()),
            offsets: by_convolved.sum_axis(Axis(0)),
            weights: by_logits.t().dot(&features),
            biases: by_logits.sum_axis(Axis(0)),
        }
    }

    /// Returns the most probable class of each picture.
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

    /// Returns the number of parameters.
    pub(crate) fn size(&self) -> usize {
        self.tensors().iter().map(ArrayBase::len).sum()
    }

    /// Returns views of all tensors, always in the same order.
    pub(crate) fn tensors(&self) -> [ArrayViewD<'_, f64>; 4] {
        let Network { kernels, offsets, weights, biases } = self;
        [
            kernels.view().into_dyn(),
            offsets.view().into_dyn(),
            weights.view().into_dyn(),
            biases.view().into_dyn(),
        ]
    }

    /// Returns mutable views in the order of [`tensors`](Network::tensors).
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

/// Returns the input patches of the kernels, one patch per row.
fn patches(digits: &Digits) -> ArrayView2<'_, f64> {
    reshape(digits.patches.view(), (digits.len() * POSITIONS * POSITIONS, KERNEL * KERNEL))
}

/// Returns the same numbers in another shape.
fn reshape<S: RawData<Elem = f64>, D: Dimension, E: IntoDimension>(
    array: ArrayBase<S, D>,
    shape: E,
) -> ArrayBase<S, E::Dim> {
    array.into_shape_with_order(shape).expect("same number of elements, row-major")
}
