//! Settings that round to nothing in the precision of a tensor, or that are too large for it.

use super::Adamax;
use crate::{
    error::{Detail, Error},
    real::Real,
    rule::WeightDecay,
};

/// The precisions in which the settings of a rule have an effect.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Precisions {
    f32: bool,
    f64: bool,
}

impl Precisions {
    /// Those of the defaults.
    pub(super) const BOTH: Self = Precisions { f32: true, f64: true };

    pub(super) fn of(rule: &Adamax) -> Self {
        Precisions {
            f32: rule.check_precision::<f32>().is_ok(),
            f64: rule.check_precision::<f64>().is_ok(),
        }
    }
}

impl Adamax {
    /// Returns true if each setting has an effect in the precision of `A`.
    #[inline(always)]
    pub(crate) fn fits<A: Real>(&self) -> bool {
        let Precisions { f32, f64 } = self.precisions;
        if A::MAX_EXP == f64::MAX_EXP { f64 } else { f32 }
    }

    /// Refuses settings that round to nothing in the precision of `A`: a decay rate that becomes 1; a
    /// clip value, an ε, a weight decay or a bound that becomes 0. Refuses a bound that becomes infinite,
    /// and an ε that the largest norm cannot be added to.
    pub(crate) fn check_precision<A: Real>(&self) -> Result<(), Error> {
        check_rounding::<A>("beta1", self.beta1(), 1.0)?;
        check_rounding::<A>("beta2", self.beta2(), 1.0)?;
        check_rounding::<A>("epsilon", self.epsilon(), 0.0)?;
        check_rounding::<A>("clip value", self.clip_value(), 0.0)?;
        if let WeightDecay::L2(lambda) | WeightDecay::Decoupled(lambda) = self.weight_decay() {
            check_rounding::<A>("weight decay", lambda, 0.0)?;
        }
        let (lower, upper) = self.bounds();
        for (name, bound) in [("lower bound", lower), ("upper bound", upper)] {
            check_rounding::<A>(name, bound, 0.0)?;
            if bound.is_finite() && !A::from_f64(bound).is_finite() {
                return Err(Detail::Overflow { name, precision: A::NAME }.into());
            }
        }
        if (A::max_value() + A::from_f64(self.epsilon())).is_finite() {
            Ok(())
        } else {
            Err(Detail::Overflow { name: "epsilon", precision: A::NAME }.into())
        }
    }
}

/// Refuses a value that rounds to `end`, an end of its range that means nothing.
pub(crate) fn check_rounding<A: Real>(
    name: &'static str,
    value: f64,
    end: f64,
) -> Result<(), Error> {
    if value != end && A::from_f64(value).widen() == end {
        Err(Detail::Rounds { name, value, to: end, precision: A::NAME }.into())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step asks for this, and only looks at the settings one by one if it is false.
    #[test]
    fn a_rule_fits_a_precision_in_which_each_setting_has_an_effect() {
        let fits = |epsilon| {
            let rule = Adamax::builder().epsilon(epsilon).build().unwrap();
            [rule.fits::<f32>(), rule.fits::<f64>()]
        };
        assert_eq!([1e-8, 1e-50, f64::MAX].map(fits), [[true; 2], [false, true], [false; 2]]);
    }
}
