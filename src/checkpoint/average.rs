//! Averages in a file: an array, and two numbers in the record.

use ndarray::{Array, ArrayRef, Dimension, IxDyn};

use super::{
    entry_names::{self, AVERAGE},
    error::EntryFault,
    header::{Dtype, View},
    record::AverageRecord,
    tensor::Tensor,
};
use crate::{
    average::Average,
    error::{Error, Role},
    layout::placement,
    real::Real,
};

/// An average as a file holds it. It has been checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SavedAverage {
    pub(super) record: AverageRecord,
    pub(super) mean: Tensor,
}

impl SavedAverage {
    /// Copies an average. Refuses one that could not be read back.
    pub(super) fn of<A: Real + Into<M>, M: Real>(average: &Average<A, M>) -> Result<Self, Error> {
        average.check_finite()?;
        let record = AverageRecord { decay: average.decay(), updates: average.updates() };
        Ok(SavedAverage { record, mean: Tensor::of(average.mean()) })
    }

    /// Makes an average from the parts of a file.
    pub(super) fn read(name: &str, record: AverageRecord, mean: View<'_>) -> Result<Self, Error> {
        if mean.dtype == Dtype::F32 {
            check::<f32>(name, record, &mean)?;
        } else {
            check::<f64>(name, record, &mean)?;
        }
        Ok(SavedAverage { record, mean: mean.into() })
    }

    /// Makes the average of `param`, in the memory order of `param`.
    pub(super) fn to_average<A: Real + Into<M>, M: Real, D: Dimension>(
        &self,
        name: &str,
        param: &ArrayRef<A, D>,
    ) -> Result<Average<A, M>, Error> {
        let saved: Array<M, IxDyn> =
            self.mean.to_array().map_err(|fault| fault.of_content("average", name))?;
        let AverageRecord { decay, updates } = self.record;
        let make = || {
            Error::check_shapes((Role::Average, saved.shape()), (Role::Parameter, param.shape()))?;
            let mut mean = placement::zeros_in_order_of(param)?;
            mean.assign(&saved);
            Average::from_parts(decay, updates, mean)
        };
        make().map_err(|error: Error| error.in_tensor(name))
    }
}

/// Refuses parts that no average has.
fn check<M: Real>(name: &str, record: AverageRecord, mean: &View<'_>) -> Result<(), Error> {
    let AverageRecord { decay, updates } = record;
    let mean = mean
        .to_array()
        .map_err(|fault: EntryFault| fault.of(&entry_names::entry(AVERAGE, name)))?;
    let average = Average::<M>::from_parts(decay, updates, mean);
    average.map(drop).map_err(|error| error.in_tensor(name))
}
