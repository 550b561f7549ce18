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

    /// Returns 1 − βᵗ, the total weight of t values in a mean that started at 0, rounded once.
    #[inline]
    pub(crate) fn total_weight(self, t: u64) -> f64 {
        if t >= self.settled_from { 1.0 } else { total_weight(self.rate, t) }
    }

    /// Returns the weight (1 − β)/(1 − βᵗ) of the latest of t values in their decaying mean, t ≥ 1.
    pub(crate) fn weight_of_latest(self, t: u64) -> f64 {
        (1.0 - self.rate) / self.total_weight(t)
    }
}

/// Only the rate: the other field follows from it.
impl fmt::Debug for DecayRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.rate, f)
    }
}

/// Returns 1 − βᵗ, with twice as many digits as the result has until the last rounding.
///
/// A power of β is never subtracted from 1, since this cancels digits. Gives the same bits on every
/// platform; `f64::powi` may not.
fn total_weight(rate: f64, t: u64) -> f64 {
    if t == 0 {
        return 0.0;
    }
    // `block` is the weight of 1, 2, 4… values; `total` that of the blocks in t so far.
    let mut block = Weight::of_one(rate);
    for _ in 0..t.trailing_zeros() {
        block = block.twice();
    }
    let mut total = block;
    let mut rest = t >> t.trailing_zeros() >> 1;
    while rest > 0 {
        block = block.twice();
        if rest & 1 == 1 {
            total = block.with(total);
        }
        rest >>= 1;
    }
    total.value + total.error
}

/// A total weight, as the unevaluated sum of a value and its rounding error.
#[derive(Clone, Copy)]
struct Weight {
    value: f64,
    error: f64,
}

impl Weight {
    /// The weight 1 − β of one value.
    fn of_one(rate: f64) -> Self {
        let value = 1.0 - rate;
        Weight { value, error: (1.0 - value) - rate }
    }

    /// The weight a + b − a·b of as many values as both have together, where b ≤ a.
    #[inline(always)]
    fn with(self, fewer: Self) -> Self {
        let (a, b) = (self.value, fewer.value);
        let inherited = self.error * (1.0 - b) + fewer.error * (1.0 - a);
        let sum = a + b;
        let lost = (a - sum) + b; // exact, because b ≤ a (Dekker)
        Self::difference(sum, Product::of(a, b), inherited + lost)
    }

    /// The weight 2·a − a² of twice as many values.
    #[inline(always)]
    fn twice(self) -> Self {
        let a = self.value;
        Self::difference(2.0 * a, Product::of(a, a), 2.0 * self.error * (1.0 - a))
    }

    /// `sum` − `product` + `error`, where `sum` is the larger one.
    #[inline(always)]
    fn difference(sum: f64, product: Product, error: f64) -> Self {
        let value = sum - product.value;
        let lost = (sum - value) - product.value;
        Weight { value, error: error + (lost - product.error) }
    }
}

/// A product, as the unevaluated sum of a value and its rounding error.
#[derive(Clone, Copy)]
struct Product {
    value: f64,
    error: f64,
}

impl Product {
    #[inline(always)]
    fn of(a: f64, b: f64) -> Self {
        let value = a * b;
        let [(a, a_rest), (b, b_rest)] = [a, b].map(halves);
        let error = ((a * b - value) + (a * b_rest + a_rest * b)) + a_rest * b_rest;
        Product { value, error }
    }
}

/// Splits a number into its first 26 digits and the rest, so that products of halves are exact.
#[inline(always)]
fn halves(number: f64) -> (f64, f64) {
    let first = f64::from_bits(number.to_bits() & (u64::MAX << 27));
    (first, number - first)
}

/// A power of two t for which βᵗ is so far below half an ulp of 1 that 1 − βᵗ rounds to 1 from
/// there on, even with the rounding errors of `total_weight`. It saves late steps the computation.
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

    /// Compares bits: results that are rounded once are equal.
    #[test]
    fn the_weight_is_rounded_once() -> Result<(), serde_json::Error> {
        let file = include_str!("../../tests/golden/weights.json");
        let mut file: serde_json::Value = serde_json::from_str(file)?;
        let rows: alloc::vec::Vec<(f64, u64, f64)> = serde_json::from_value(file["rows"].take())?;
        assert_eq!(rows.len(), 615);
        for (rate, t, expected) in rows {
            let found = DecayRate::known(rate).total_weight(t);
            assert_eq!(found, expected, "rate {rate}, t {t}");
        }
        Ok(())
    }

    #[test]
    fn the_shortcut_is_exact() {
        for rate in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.999_999, 1.0 - f64::EPSILON / 2.0] {
            let from = settled_from(rate);
            for t in [from, from + 1, from + from / 3, 3 * from, u64::MAX] {
                assert_eq!(total_weight(rate, t), 1.0, "rate {rate}, t {t}");
            }
        }
    }

    /// 2⁻⁶², the square of 2⁻³¹, is the largest power that is negligible.
    #[test]
    fn the_shortcut_begins_at_the_first_negligible_power() {
        let least = libm::exp2(-31.0);
        assert_eq!([0.0, least * least, least].map(settled_from), [1, 1, 2]);
        assert_eq!([(least * least).next_up(), least.next_up()].map(settled_from), [2, 4]);
    }

    #[test]
    fn the_weight_is_never_above_1_and_never_falls() {
        for rate in [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99] {
            let mut before = 0.0;
            for t in 1..=settled_from(rate) + 10 {
                let weight = total_weight(rate, t);
                assert!((before..=1.0).contains(&weight), "rate {rate}, t {t}: {weight:e}");
                before = weight;
            }
        }
    }

    #[test]
    fn the_weight_is_exact_where_floats_are() {
        assert_eq!(total_weight(0.5, 0), 0.0);
        assert_eq!(total_weight(0.5, 10), 1.0 - 1.0 / 1024.0);
        assert_eq!(total_weight(0.0, 1), 1.0);
        assert_eq!(total_weight(0.9, u64::MAX), 1.0);
        for rate in [0.1, 0.3, 0.9, 0.999, 1.0 - f64::EPSILON / 2.0] {
            assert_eq!(total_weight(rate, 1), 1.0 - rate);
        }
    }
}
