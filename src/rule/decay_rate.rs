//! Decay rates, and the total weight 1 − βᵗ of a decaying mean.

use core::fmt;

use crate::error::{Detail, Error};

/// A decay rate β in [0, 1).
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct DecayRate {
    rate: f64,
    /// For t at or above this number of steps, 1 − βᵗ is exactly 1. Computed from `rate`.
    settled_from: u64,
}

impl DecayRate {
    pub(crate) fn new(name: &'static str, rate: f64) -> Result<Self, Error> {
        if (0.0..1.0).contains(&rate) {
            Ok(DecayRate { rate, settled_from: settled_from(rate) })
        } else {
            Err(Detail::Hyperparameter { name, value: rate, range: "in [0, 1)" }.into())
        }
    }

    /// A rate for a constant; the compiler refuses one out of range.
    pub(crate) const fn known(rate: f64) -> Self {
        assert!(0.0 <= rate && rate < 1.0);
        DecayRate { rate, settled_from: settled_from(rate) }
    }

    pub(crate) fn get(self) -> f64 {
        self.rate
    }

    /// Returns a number of steps from which on 1 − βᵗ is 1.
    #[inline(always)]
    pub(crate) fn settled_from(self) -> u64 {
        self.settled_from
    }

    /// Returns 1 − βᵗ, the total weight of t values in a mean that started at 0.
    ///
    /// Does not use `f64::powi`, which may differ between platforms and takes an `i32`.
    #[inline]
    pub(crate) fn total_weight(self, t: u64) -> f64 {
        if t >= self.settled_from { 1.0 } else { 1.0 - power(self.rate, t) }
    }
}

/// Only the rate: the other field follows from it.
impl fmt::Debug for DecayRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.rate, f)
    }
}

/// `base` to the power `exponent`, by square and multiply. Gives the same bits on every platform.
fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

/// A power of two t for which βᵗ is so far below half an ulp of 1 that 1 − βᵗ rounds to 1 from
/// there on, even with the rounding errors of `power`. It saves late steps the computation of the
/// power.
const fn settled_from(rate: f64) -> u64 {
    const NEGLIGIBLE: f64 = f64::EPSILON / 1024.0;
    let (mut t, mut square) = (1_u64, rate);
    while square > NEGLIGIBLE {
        square *= square;
        t *= 2; // at most 2^59, for the largest rate below 1
    }
    t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortcut_is_exact() {
        for rate in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.999_999, 1.0 - f64::EPSILON / 2.0] {
            let from = settled_from(rate);
            for t in [from, from + 1, from + from / 3, 3 * from, u64::MAX] {
                assert_eq!(1.0 - power(rate, t), 1.0, "rate {rate}, t {t}");
            }
        }
    }

    #[test]
    fn power_is_exact_where_floats_are() {
        assert_eq!(power(0.5, 0), 1.0);
        assert_eq!(power(0.5, 10), 1.0 / 1024.0);
        assert_eq!(power(0.0, 1), 0.0);
        assert_eq!(power(0.9, 3), 0.9 * (0.9 * 0.9));
        assert_eq!(power(0.9, u64::MAX), 0.0);
    }
}
