//! A sum without rounding, which does not depend on the order of its terms.

use alloc::vec::Vec;

use super::norm::{MANTISSA_BITS, Norm, PLACES, floor_log2};

/// The exact sum of non-negative numbers.
///
/// Integers can be added in any order and any grouping. So the sum has the same bits whatever the
/// memory layout, the number of threads, or the number of processes that each add a part.
#[derive(Clone, Debug)]
pub(crate) struct ExactSum {
    /// Digits: number k counts multiples of 2^(32·k − [`OFFSET`]). Each has room for 2^43 terms and
    /// the carry.
    digits: [u128; DIGITS],
    /// The digits in use: `low..high`.
    low: usize,
    high: usize,
    /// The sum of the terms that are infinite or NaN.
    special: f64,
}

/// Bits of a digit.
const WIDTH: i32 = 32;
/// The lowest digit is below the last bit of the smallest term: the square of the smallest
/// subnormal number, scaled.
const OFFSET: i32 = 2240;
/// The highest digit is above the largest term: leaves of squares of the largest number.
const DIGITS: usize = 138;

impl ExactSum {
    pub(crate) const ZERO: Self =
        ExactSum { digits: [0; DIGITS], low: DIGITS, high: 0, special: 0.0 };

    /// Adds `value`·4^`exponent`. The value is normal, 0, or not finite.
    #[inline(always)]
    pub(crate) fn add(&mut self, value: f64, exponent: i32) {
        const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;
        if value == 0.0 {
            return;
        }
        if !value.is_finite() {
            self.special += value;
            return;
        }
        // The value is an integer of 53 bits, of which the highest is 1, times a power of two, counted from the
        // lowest digit.
        let integer = (value.to_bits() & MANTISSA) + (MANTISSA + 1);
        let power = floor_log2(value) - PLACES + 2 * exponent + OFFSET;
        let digit = usize::try_from(power / WIDTH).unwrap_or_default();
        if let Some(place) = self.digits.get_mut(digit) {
            *place += u128::from(integer) << (power % WIDTH);
            self.low = self.low.min(digit);
            self.high = self.high.max(digit + 1);
        }
    }

    /// Adds another sum.
    pub(crate) fn add_sum(&mut self, other: &Self) {
        self.digits.iter_mut().zip(&other.digits).for_each(|(digit, other)| *digit += other);
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
        self.special += other.special;
    }

    /// Returns true if all terms are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.special == 0.0
    }

    /// Returns the square root of the sum, rounded once before the root is taken.
    pub(crate) fn root(&self) -> Norm {
        if !self.is_finite() {
            return Norm::new(self.special, 0);
        }
        // The four highest digits, and one bit that says whether anything is below them, are enough to
        // round to nearest.
        let (mut top, mut below, mut place) = ([0; 4], false, self.low);
        for digit in self.carried() {
            below |= top[0] != 0;
            top = [top[1], top[2], top[3], digit];
            place += 1;
        }
        // The highest digit is not 0, unless the sum is empty.
        let integer =
            top.into_iter().rev().fold(0_u128, |sum, digit| (sum << WIDTH) + u128::from(digit));
        let places = i32::try_from(place).unwrap_or_default() - 4;
        round(integer | u128::from(below), WIDTH * places - OFFSET)
    }

    /// Returns the digits from the lowest in use to the highest, each below 2^32.
    fn carried(&self) -> impl Iterator<Item = u32> {
        let (mut carry, mut place) = (0_u128, self.low);
        core::iter::from_fn(move || {
            if place >= self.high && carry == 0 {
                return None;
            }
            let total = carry + self.digits.get(place).copied().unwrap_or_default();
            carry = total >> WIDTH;
            place += 1;
            Some(low_digit(total))
        })
    }

    /// Appends the sum to `words`: its lowest digit, the number of its digits, `special`, the digits.
    pub(crate) fn write_words(&self, words: &mut Vec<u64>) {
        let digits: Vec<u64> = self.carried().map(u64::from).collect();
        let [low, count] = [self.low, digits.len()].map(|n| u64::try_from(n).unwrap_or_default());
        words.extend([low, count, self.special.to_bits()]);
        words.extend(digits);
    }

    /// Reads a sum from the beginning of `words`, and moves these behind it. `None` if there is none.
    pub(crate) fn read_words(words: &mut &[u64]) -> Option<Self> {
        let (&[low, count, special], rest) = words.split_first_chunk()?;
        let [low, count] = [usize::try_from(low).ok()?, usize::try_from(count).ok()?];
        let (digits, rest) = rest.split_at_checked(count)?;
        let special = f64::from_bits(special);
        let mut sum = ExactSum { special, ..ExactSum::ZERO };
        if count > 0 {
            (sum.low, sum.high) = (low, low.checked_add(count)?);
            let places = sum.digits.get_mut(sum.low..sum.high)?;
            for (place, digit) in places.iter_mut().zip(digits) {
                *place = u32::try_from(*digit).ok()?.into();
            }
        }
        *words = rest;
        let possible = special == 0.0 || special == f64::INFINITY || special.is_nan();
        (possible && digits.last() != Some(&0)).then_some(sum)
    }
}

/// Returns the square root of `integer`·2^`power`, for an even power.
#[expect(clippy::cast_precision_loss, reason = "rounding to nearest, once")]
fn round(integer: u128, power: i32) -> Norm {
    Norm::new(integer as f64, power / 2)
}

#[expect(clippy::cast_possible_truncation, reason = "the digits above are carried")]
fn low_digit(total: u128) -> u32 {
    total as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Terms of sizes from the smallest to the largest, as (value, exponent).
    fn terms() -> Vec<(f64, i32)> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        (0..500)
            .map(|_| {
                let value = 1.0 + f64::from(next()) / f64::from(1_u32 << 24);
                let exponent = i32::try_from(next() % 2046).unwrap() - 1022;
                (value, exponent)
            })
            .chain([(1.0, -1022), (4.0, 1023), (0.0, 5)])
            .collect()
    }

    fn sum(terms: &[(f64, i32)]) -> ExactSum {
        let mut sum = ExactSum::ZERO;
        for &(value, exponent) in terms {
            sum.add(value, exponent);
        }
        sum
    }

    #[test]
    fn neither_order_nor_grouping_changes_a_bit() {
        let mut terms = terms();
        let expected = sum(&terms);
        for cut in [1, 17, 250, 400] {
            let (a, b) = terms.split_at(cut);
            let mut joined = sum(b);
            joined.add_sum(&sum(a));
            assert_eq!(joined.root(), expected.root());
        }
        terms.reverse();
        assert_eq!(sum(&terms).root(), expected.root());
        terms.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(sum(&terms).root(), expected.root());
    }

    #[test]
    fn nothing_is_rounded_before_the_end() {
        let power = |exponent: i32| (2_f64.powi(exponent), 0);
        let root = |terms: &[(f64, i32)]| sum(terms).root();
        let next = root(&[(2_f64.powi(100) + 2_f64.powi(48), 0)]);
        // Half a unit in the last place is rounded to even, and anything above it, however small, up.
        assert_eq!(root(&[power(100), power(47)]), root(&[power(100)]));
        assert_eq!(root(&[power(100), power(47), power(-900)]), next);
        // 1 is the lowest bit of the four digits.
        assert_eq!(root(&[power(100), power(47), power(0), power(-900)]), next);
        // Terms that would each be lost add up.
        assert_eq!(root(&[power(100), power(46), power(46), power(46)]), next);
    }

    #[test]
    fn words_give_the_sum_back() {
        let sums = [sum(&terms()), ExactSum::ZERO, sum(&[(f64::INFINITY, 0), (1.0, 3)])];
        let mut words = Vec::new();
        for sum in &sums {
            sum.write_words(&mut words);
        }
        let mut rest = &words[..];
        for sum in &sums {
            let read = ExactSum::read_words(&mut rest).unwrap();
            assert_eq!(read.root(), sum.root());
        }
        assert!(rest.is_empty());
        assert!(ExactSum::read_words(&mut rest).is_none());
    }

    /// Each fault by itself: words may come from another program.
    #[test]
    fn other_words_are_no_sum() {
        let read = |words: &[u64]| ExactSum::read_words(&mut &*words).is_some();
        let most = u64::try_from(ExactSum::ZERO.digits.len()).unwrap();
        assert!(read(&[3, 1, 0, 7]) && read(&[0, 0, f64::INFINITY.to_bits()]));
        assert!(read(&[0, 0, f64::NAN.to_bits()]) && read(&[most - 1, 1, 0, 7]));
        for (what, words) in [
            ("a special value that no sum has", &[0, 0, 1_f64.to_bits()][..]),
            ("a highest digit of 0", &[3, 2, 0, 7, 0]),
            ("a digit that is too large", &[3, 1, 0, 1 << WIDTH]),
            ("fewer digits than announced", &[3, 2, 0, 7]),
            ("a place beyond the last", &[most, 1, 0, 7]),
            ("places that overflow", &[u64::MAX, 1, 0, 7]),
            ("a count that overflows", &[3, u64::MAX, 0, 7]),
            ("no special value", &[3, 1]),
        ] {
            assert!(!read(words), "{what}");
        }
    }
}
