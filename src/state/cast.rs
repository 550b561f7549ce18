//! A state in another precision.

use ndarray::{Array, IxDyn};

use super::State;
use crate::{
    error::{Detail, Error, Role},
    real::Real,
    reduce::finite,
};

impl<A: Real> State<A> {
    /// Returns the same state in precision `B`: `f32` or `f64`.
    ///
    /// From `f32` to `f64` every number is kept exactly. From `f64` to `f32` numbers are rounded to
    /// nearest. NaN and infinities, which only [`NonFinite::Propagate`](crate::NonFinite::Propagate)
    /// lets in, stay what they are. The memory order stays too.
    ///
    /// # Errors
    /// [`ErrorKind::Precision`](crate::ErrorKind::Precision) if a number would become infinite, or
    /// one that is not 0 would become 0. The message names the first.
    ///
    /// # Allocation
    /// The two new arrays.
    ///
    /// # Examples
    /// ```
    /// use adamax::{ErrorKind, State};
    /// use ndarray::array;
    ///
    /// let single = State::from_parts(3, array![0.1_f32].into_dyn(), array![0.5].into_dyn())?;
    /// let double: State<f64> = single.cast()?;
    /// assert_eq!(double.first_moment()[[0]], f64::from(0.1_f32));
    /// assert_eq!(double.cast::<f32>()?, single);
    ///
    /// let tiny = State::from_parts(3, array![1e-60].into_dyn(), array![0.5].into_dyn())?;
    /// let error = tiny.cast::<f32>().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Precision);
    /// assert_eq!(error.to_string(), "first moment is 1e-60 at index [0], which becomes 0 in f32");
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn cast<B: Real>(&self) -> Result<State<B>, Error> {
        let [m, u] = [(Role::FirstMoment, &self.m), (Role::InfNorm, &self.u)]
            .map(|(role, moment)| self.cast_moment::<B>(role, moment));
        let State { order, steps, balanced, finite, .. } = *self;
        let row_steps = self.row_steps.clone();
        Ok(State { m: m?, u: u?, order, steps, row_steps, balanced, finite })
    }

    fn cast_moment<B: Real>(
        &self,
        role: Role,
        moment: &Array<A, IxDyn>,
    ) -> Result<Array<B, IxDyn>, Error> {
        let convert = |value: A| B::from_f64(value.widen());
        let is_lost = |value: A| {
            let converted = convert(value);
            value.is_finite() && !converted.is_finite() || value != A::ZERO && converted == B::ZERO
        };
        let logical = self.order.to_logical(moment.view());
        match finite::find(&logical, is_lost) {
            None => Ok(moment.mapv(convert)),
            Some((index, value)) => {
                let becomes = convert(value).widen();
                let value = value.widen();
                Err(Detail::Cast { role, index, value, becomes, precision: B::NAME }.into())
            }
        }
    }
}
