//! The norm of gradients by its definition (`MaxNorm`, and "Norms" in DESIGN.md): squares are added leaf by
//! leaf in 16 sums, and leaves are added without rounding. Simple and slow.

use crate::common::Float;

/// The most elements of a leaf.
const LEAF: usize = 512;
/// Columns are merged until they hold this many elements.
const COLUMNS: usize = 64;
const LANES: usize = 16;
/// Sums of squares below this are computed again from scaled values, so that nothing underflows.
const SAFE_EXPONENT: i32 = -900;

/// Returns 2^`exponent`, for a normal number.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).expect("a normal number") << 52)
}

/// Returns the exponent of a positive normal number.
fn exponent_of(value: f64) -> i32 {
    i32::try_from(value.to_bits() >> 52).expect("eleven bits") - 1023
}

/// Returns `value`·2^`exponent`, rounded once, for a value of about 1.
fn times_power(value: f64, exponent: i32) -> f64 {
    if exponent >= -1000 {
        let first = exponent.min(1000);
        return value * power_of_two(first) * power_of_two((exponent - first).min(1000));
    }
    // The first product is exact.
    value * power_of_two(-1000) * power_of_two((exponent + 1000).max(-1020))
}

/// Returns after how many elements the cutting into leaves starts anew, and the elements of a leaf.
fn cut(shape: &[usize]) -> (usize, usize) {
    let mut columns = shape.last().copied().unwrap_or(1);
    let mut outer = shape.len().saturating_sub(1);
    while outer > 1 && columns < COLUMNS {
        outer -= 1;
        columns *= shape[outer];
    }
    if columns > LEAF {
        return (columns, LEAF);
    }
    let rows = if outer > 0 { shape[outer - 1] } else { 1 };
    (rows * columns, (LEAF / columns).clamp(1, rows) * columns)
}

/// A sum of squares without rounding.
#[derive(Clone)]
pub(crate) struct Squares {
    /// An integer, lowest word first, in units of 2^-[`LOWEST`].
    words: Vec<u64>,
    /// The sum of the terms that are not finite.
    special: f64,
}

/// Below the square of the least number, scaled.
const LOWEST: i32 = 2400;
/// Up to above the square of the largest number.
const WORDS: usize = 75;

impl Squares {
    pub(crate) fn none() -> Self {
        Squares { words: vec![0; WORDS], special: 0.0 }
    }

    /// Adds the squares of a run of a tensor of this shape, which begins at `start`.
    pub(crate) fn add<A: Float>(&mut self, values: &[A], shape: &[usize], start: usize) {
        if values.is_empty() {
            return;
        }
        let (period, unit) = cut(shape);
        let leaf = |position: usize| (position / period, position % period / unit);
        let mut rest = values;
        let mut position = start;
        while !rest.is_empty() {
            let length = (0..rest.len()).take_while(|i| leaf(position + i) == leaf(position));
            let (values, others) = rest.split_at(length.count());
            self.add_leaf(values);
            position += values.len();
            rest = others;
        }
    }

    fn add_leaf<A: Float>(&mut self, values: &[A]) {
        let sum = sum_of_squares(values, 1.0);
        if sum.is_finite() && sum != 0.0 && exponent_of(sum) >= SAFE_EXPONENT {
            return self.add_term(sum, 0);
        }
        let wide = values.iter().map(|value| value.wide().abs());
        let largest = wide.clone().fold(0.0, f64::max);
        if wide.clone().any(|value| !value.is_finite()) {
            self.special += sum;
        } else if largest > 0.0 {
            let exponent = exponent_of(largest.max(f64::MIN_POSITIVE));
            let factor = power_of_two(-(exponent / 2)) * power_of_two(-(exponent - exponent / 2));
            self.add_term(sum_of_squares(values, factor), exponent);
        }
    }

    /// Adds `sum`·4^`exponent`.
    fn add_term(&mut self, sum: f64, exponent: i32) {
        let integer = u128::from(sum.to_bits() & ((1 << 52) - 1) | 1 << 52);
        let place = exponent_of(sum) - 52 + 2 * exponent + LOWEST;
        let place = usize::try_from(place).expect("above the lowest bit");
        let shifted = integer << (place % 64);
        let parts = [low_word(shifted), low_word(shifted >> 64)];
        add_words(&mut self.words[place / 64..], parts.into_iter().chain([0; WORDS]));
    }

    /// Adds another sum.
    pub(crate) fn join(&mut self, other: &Self) {
        add_words(&mut self.words, other.words.iter().copied());
        self.special += other.special;
    }

    /// Returns the root of the sum, which is rounded once before.
    pub(crate) fn root(&self) -> Norm {
        if self.special != 0.0 {
            return Norm { sum: self.special, exponent: 0 };
        }
        let Some(top) = self.words.iter().rposition(|&word| word != 0) else {
            return Norm { sum: 0.0, exponent: 0 };
        };
        // The 64 highest bits, of which the last one says whether anything is below them.
        let shift = self.words[top].leading_zeros();
        let below = if top > 0 { self.words[top - 1] } else { 0 };
        let two = (u128::from(self.words[top]) << 64 | u128::from(below)) << shift;
        let lost = two & u128::from(u64::MAX) != 0
            || self.words[..top.saturating_sub(1)].iter().any(|&word| word != 0);
        let highest = low_word(two >> 64) | u64::from(lost);
        let place = i32::try_from(64 * top).expect("few words");
        let power = place - i32::try_from(shift).expect("at most 64") - LOWEST;
        let rounded = nearest(highest);
        let half = (exponent_of(rounded) + power).div_euclid(2);
        Norm { sum: rounded * power_of_two(power - 2 * half), exponent: half }
    }
}

/// Adds an integer to another one, lowest word first.
fn add_words(to: &mut [u64], words: impl Iterator<Item = u64>) {
    let mut carry = false;
    for (word, other) in to.iter_mut().zip(words) {
        let (sum, over) = word.overflowing_add(other);
        let (sum, over_again) = sum.overflowing_add(u64::from(carry));
        (*word, carry) = (sum, over || over_again);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the other word is taken by itself")]
fn low_word(number: u128) -> u64 {
    number as u64
}

#[expect(clippy::cast_precision_loss, reason = "rounding to nearest, once")]
fn nearest(number: u64) -> f64 {
    number as f64
}

/// Returns the sum of the squares, each value multiplied by a factor: element i goes to sum i mod 16, and the
/// sums are added in halves.
fn sum_of_squares<A: Float>(values: &[A], factor: f64) -> f64 {
    let mut sums = [0.0; LANES];
    for (i, value) in values.iter().enumerate() {
        let value = factor * value.wide();
        sums[i % LANES] += value * value;
    }
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for i in 0..count {
            sums[i] += sums[i + count];
        }
    }
    sums[0]
}

/// A norm as √`sum`·2^`exponent`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    /// In [1, 4), or 0, or not finite.
    sum: f64,
    exponent: i32,
}

impl Norm {
    /// Returns the norm as a report shows it.
    pub(crate) fn shown(self) -> f64 {
        if self.sum.is_nan() { f64::NAN } else { times_power(self.sum.sqrt(), self.exponent) }
    }

    /// Returns `bound / norm` if the norm exceeds the bound, else 1.
    pub(crate) fn factor(self, bound: f64) -> Factor {
        let one = Factor { mantissa: 1.0, exponent: 0 };
        if self.sum.is_nan() {
            return Factor { mantissa: f64::NAN, exponent: 0 };
        }
        if self.sum == 0.0 || bound == f64::INFINITY {
            return one;
        }
        if self.sum == f64::INFINITY {
            return Factor { mantissa: 0.0, exponent: 0 };
        }
        let (root, (mantissa, exponent)) = (self.sum.sqrt(), parts(bound));
        let exponent = exponent - self.exponent;
        // `mantissa` is in [1, 2), like the root.
        if exponent > 0 || exponent == 0 && mantissa >= root {
            return one;
        }
        Factor { mantissa: mantissa / 2.0 / root, exponent: exponent + 1 }
    }
}

/// Returns a positive number as a value in [1, 2) and an exponent.
fn parts(number: f64) -> (f64, i32) {
    let (scaled, shift) =
        if number < f64::MIN_POSITIVE { (number * power_of_two(64), 64) } else { (number, 0) };
    let exponent = exponent_of(scaled);
    let mantissa = f64::from_bits(scaled.to_bits() & ((1 << 52) - 1) | 1023 << 52);
    (mantissa, exponent - shift)
}

/// A factor on gradients, as `mantissa`·2^`exponent`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factor {
    mantissa: f64,
    exponent: i32,
}

impl Factor {
    pub(crate) const ONE: Self = Factor { mantissa: 1.0, exponent: 0 };
    pub(crate) const ZERO: Self = Factor { mantissa: 0.0, exponent: 0 };

    /// Returns the factor as a report shows it.
    pub(crate) fn shown(self) -> f64 {
        if self.mantissa.is_nan() { f64::NAN } else { times_power(self.mantissa, self.exponent) }
    }

    /// Returns a gradient multiplied by the factor. Below the normal numbers of the precision, there are two
    /// products, so that the factor keeps its digits.
    pub(crate) fn scale<A: Float>(self, g: A) -> A {
        let least = exponent_of(A::LEAST_NORMAL.wide()) + 2;
        if self.exponent >= least {
            return A::of(times_power(self.mantissa, self.exponent)) * g;
        }
        let second = A::of(times_power(1.0, self.exponent - least));
        A::of(times_power(self.mantissa, least)) * (second * g)
    }
}
