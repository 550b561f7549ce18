//! The gradient that is left where bounds stop a parameter.

use ndarray::{ArrayRef, Dimension, Zip};

use crate::{
    error::{Error, Role},
    layout::placement,
    par::Sequential,
    real::Real,
    reduce::{Elements, norm::Norm},
    rule::{Adamax, Objective},
};

/// Returns the projected gradient of one element.
#[inline(always)]
pub(crate) fn entry<A: Real>(objective: Objective, [x, g]: [A; 2], [lower, upper]: [A; 2]) -> A {
    if x.is_nan() {
        return x;
    }
    if x < lower || x > upper {
        return A::INFINITY;
    }
    // x moves against it.
    let slope = match objective {
        Objective::Minimize => g,
        Objective::Maximize => -g,
    };
    let held = x == lower && slope > A::ZERO || x == upper && slope < A::ZERO;
    if held { A::ZERO } else { g }
}

impl Adamax {
    /// Returns the Euclidean norm of the projected gradient: of the part along which the
    /// [bounds](crate::AdamaxBuilder::bounds) let the parameter move.
    ///
    /// ```text
    /// gᵢ   but   0   if xᵢ = lower and gᵢ > 0, or xᵢ = upper and gᵢ < 0     (minimizing)
    ///            ∞   if xᵢ is outside
    /// ```
    /// It is 0 at a solution, also if that is at a bound, where the gradient itself is not 0. So compare
    /// it with a tolerance to know when a bounded run is done. To
    /// [maximise](Objective::Maximize), the signs of gᵢ are the other way round. Without bounds it is the
    /// norm of the gradient.
    ///
    /// A parameter that starts outside is moved inside by its first step. The norm is infinite until
    /// then. It is NaN if a parameter is NaN, or a gradient that counts.
    ///
    /// # Errors
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ;
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if a setting of the rule does not
    ///   suit the precision, as in [`step`](Adamax::step);
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for an array of this shape.
    ///
    /// # Cost
    /// One pass over both arrays, and one read of the result.
    ///
    /// # Allocation
    /// One array.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, State};
    /// use ndarray::array;
    ///
    /// let rule = Adamax::builder().learning_rate(0.1).bounds(0.0, 2.0).build()?;
    /// let target = array![-1.0, 1.5];                                 // the first is out of reach
    /// let mut x = array![1.0, 1.0];
    /// let mut state = State::zeros_like(&x);
    /// loop {
    ///     let gradient = (&x - &target) * 2.0;                        // of |x − target|²
    ///     if rule.projected_gradient_norm(&x, &gradient)? < 1e-6 {
    ///         break;
    ///     }
    ///     rule.step(&mut state, &mut x, &gradient)?;
    /// }
    /// assert_eq!(x[0], 0.0);                                          // its gradient is 2
    /// assert!((x[1] - 1.5_f64).abs() < 1e-6);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn projected_gradient_norm<A: Real, D: Dimension>(
        &self,
        param: &ArrayRef<A, D>,
        grad: &ArrayRef<A, D>,
    ) -> Result<f64, Error> {
        Error::check_shapes((Role::Gradient, grad.shape()), (Role::Parameter, param.shape()))?;
        self.check_precision::<A>()?;
        let (lower, upper) = self.bounds();
        let bounds = [lower, upper].map(A::from_f64);
        let mut entries = placement::zeros_in_order_of(param)?;
        // `Zip` takes arrays of one dimension type.
        Zip::from(&mut entries)
            .and(&param.view().into_dyn())
            .and(&grad.view().into_dyn())
            .for_each(|to, x, g| *to = entry(self.objective(), [*x, *g], bounds));
        Ok(Norm::of(Sequential, Elements::of(&entries)).to_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Objective::{Maximize, Minimize};

    /// Compares bits: a gradient of −0 is not held either.
    #[test]
    fn an_entry_is_the_gradient_unless_a_bound_holds_it() {
        let bounds = [-1.0, 2.0];
        for (objective, sign) in [(Minimize, 1.0), (Maximize, -1.0)] {
            for (x, slope, is_held) in [
                (-1.0, 3.0, true),
                (-1.0, -3.0, false),
                (2.0, 3.0, false),
                (2.0, -3.0, true),
                (0.5, 3.0, false),
                (0.5, -3.0, false),
                (-1.0, 0.0, false),
                (-1.0, -0.0, false),
                (2.0, 0.0, false),
                (2.0, -0.0, false),
            ] {
                let g: f64 = sign * slope;
                let expected = if is_held { 0.0 } else { g };
                let found = entry(objective, [x, g], bounds);
                assert_eq!(found.to_bits(), expected.to_bits(), "{objective:?}, {g} at {x}");
            }
        }
    }
}
