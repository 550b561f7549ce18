//! Hand-written derivatives beside differences of the loss.

use crate::{data::Digits, network::Network};

/// Truncation costs about the square of this, rounding about 1e-16 divided by it.
const NUDGE: f64 = 1e-5;

/// The largest error of any derivative; NaN if there is one.
pub(crate) fn largest_error(network: &Network, digits: &Digits) -> f64 {
    let mut nudged = network.clone();
    let mut largest = 0.0;
    for (tensor, derivatives) in network.gradient(digits).tensors().iter().enumerate() {
        for (index, derivative) in derivatives.indexed_iter() {
            let centre = network.tensors()[tensor][&index];
            let mut loss_at = |parameter| {
                nudged.tensors_mut()[tensor][&index] = parameter;
                nudged.loss(digits)
            };
            let rise = loss_at(centre + NUDGE) - loss_at(centre - NUDGE);
            nudged.tensors_mut()[tensor][&index] = centre;

            let error = (rise / (2.0 * NUDGE) - derivative).abs();
            if error > largest || error.is_nan() {
                largest = error;
            }
        }
    }
    largest
}
