//! The improvement that makes a loss better than the best one.

use crate::{
    error::Error,
    rule::{Objective, range::check_not_negative},
};

/// The improvement over the best loss that makes a loss count as better; finite, ≥ 0. The formulas
/// are at [`ReduceOnPlateau`](crate::schedule::ReduceOnPlateau).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Threshold {
    /// A fraction of the size of the best loss: PyTorch's `rel`, if that loss is positive.
    Relative(f64),
    /// A fixed amount: PyTorch's `abs`.
    Absolute(f64),
}

impl Threshold {
    /// Returns true if `loss` is better than the best one. The first finite loss is; one that is NaN or
    /// infinite never is.
    pub(crate) fn is_better(self, objective: Objective, loss: f64, best: Option<f64>) -> bool {
        // The products have PyTorch's bits if `best` is positive.
        let gains_on = |best: f64| match (objective, self) {
            (Objective::Minimize, Threshold::Relative(part)) => {
                loss < best * (1.0 - part.copysign(best))
            }
            (Objective::Minimize, Threshold::Absolute(much)) => loss < best - much,
            (Objective::Maximize, Threshold::Relative(part)) => {
                loss > best * (1.0 + part.copysign(best))
            }
            (Objective::Maximize, Threshold::Absolute(much)) => loss > best + much,
        };
        loss.is_finite() && best.is_none_or(gains_on)
    }

    /// Refuses a threshold that is NaN, infinite or negative.
    pub(crate) fn check(self) -> Result<(), Error> {
        let (Threshold::Relative(threshold) | Threshold::Absolute(threshold)) = self;
        check_not_negative("threshold", threshold)
    }
}
