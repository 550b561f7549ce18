//! The parts of an array whose squares are added: the same for every memory layout.
//!
//! A leaf is a run of at most 512 elements in logical order, cut where rows end. The squares of a leaf
//! are added in one fixed order, and leaves are added exactly. So neither layouts nor threads change a
//! bit.
//!
//! ```text
//! shape [outer.., rows, columns..]     columns: the last axes, merged until they hold 64 elements, or
//!                                      until one axis is left for the rows
//! columns > 512    each row is cut into leaves of 512
//! else             a leaf is ⌊512 / columns⌋ whole rows
//! ```

use super::{
    exact_sum::ExactSum,
    norm::{SAFE_SUM, floor_log2},
};
use crate::{
    real::Real,
    simd::{Loop, are_few},
};

/// The most elements of a leaf.
pub(super) const LEAF: usize = 512;
/// Axes are merged into the columns until they hold this many elements.
const FEWEST_COLUMNS: usize = 64;
/// Sums side by side in a leaf, enough to hide the latency of an addition.
pub(super) const LANES: usize = 16;

/// The sum of the squares of a leaf: `sum`·4^`exponent`.
#[derive(Clone, Copy)]
pub(super) struct Leaf {
    pub(super) sum: f64,
    pub(super) exponent: i32,
}

/// The partition of an array of one shape into leaves.
#[derive(Clone, Copy)]
pub(super) struct Leaves {
    /// The axis of rows; `None` if there is one axis at most.
    pub(super) axis: Option<usize>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Rows of a leaf.
    pub(super) height: usize,
}

impl Leaves {
    #[inline]
    pub(super) fn of(shape: &[usize]) -> Self {
        let (mut columns, mut rest) = match shape.split_last() {
            Some((last, before)) => (*last, before),
            None => (1, shape),
        };
        while let ([before @ .., last], true) = (rest, rest.len() > 1 && columns < FEWEST_COLUMNS) {
            columns *= last;
            rest = before;
        }
        let (axis, rows) = (rest.len().checked_sub(1), rest.last().copied().unwrap_or(1));
        // One row is not divided: a division takes as long as the squares of a small array.
        let height = if rows <= 1 { 1 } else { (LEAF / columns.max(1)).clamp(1, rows) };
        Leaves { axis, rows, columns, height }
    }

    /// Returns the elements of a leaf.
    #[inline]
    pub(super) fn unit(&self) -> usize {
        (self.height * self.columns).clamp(1, LEAF)
    }

    /// Returns the number of elements after which the cutting into leaves starts anew.
    pub(super) fn period(&self) -> usize {
        let rows = if self.columns <= LEAF { self.rows } else { 1 };
        (rows * self.columns).max(1)
    }

    /// Returns the begin of the leaf that has the element at this position in logical order.
    pub(super) fn floor(&self, position: usize) -> usize {
        let within = position % self.period();
        position - within % self.unit()
    }
}

/// Sums side by side: element number i of a leaf goes to sum i mod [`LANES`].
pub(super) type Sums = [f64; LANES];

/// Adds the squares of elements. `values` begins at a multiple of [`LANES`] within its leaf.
#[inline(always)]
pub(super) fn add_squares<A: Real>(sums: &mut Sums, values: &[A], scale: impl Fn(f64) -> f64) {
    let square = |value: A| {
        let scaled = scale(value.widen());
        scaled * scaled
    };
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        if let Ok(chunk) = <[A; LANES]>::try_from(chunk) {
            let squares = chunk.map(square);
            sums.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square);
        }
    }
    let rest = chunks.remainder();
    sums.iter_mut().zip(rest).for_each(|(sum, value)| *sum += square(*value));
}

/// Adds the sums in halves: four additions one after the other, not sixteen.
#[inline(always)]
pub(super) fn total(mut sums: Sums) -> f64 {
    let mut sums: &mut [f64] = &mut sums;
    while sums.len() > 1 {
        let (half, other) = sums.split_at_mut(sums.len() / 2);
        half.iter_mut().zip(other).for_each(|(sum, other)| *sum += *other);
        sums = half;
    }
    sums.iter().sum()
}

/// Returns true if no square has overflowed, and none that matters has underflowed.
#[inline(always)]
pub(super) fn is_safe(sum: f64) -> bool {
    (SAFE_SUM..f64::INFINITY).contains(&sum)
}

#[inline(always)]
pub(super) fn leaf<A: Real>(values: &[A]) -> Leaf {
    let mut sums = [0.0; LANES];
    add_squares(&mut sums, values, |value| value);
    let sum = total(sums);
    if is_safe(sum) { Leaf { sum, exponent: 0 } } else { scaled_leaf(values, sum) }
}

/// Returns the sum of a leaf whose plain sum is zero, NaN, infinite, too small or too large.
#[cold]
#[inline(never)]
pub(super) fn scaled_leaf<A: Real>(values: &[A], sum: f64) -> Leaf {
    let max = values.iter().fold(A::ZERO, |max, value| max.larger_magnitude(value.abs())).widen();
    if max == 0.0 || !max.is_finite() {
        return Leaf { sum, exponent: 0 };
    }
    // At least the exponent of the smallest normal number, so that the factor is finite.
    let exponent = floor_log2(max.max(f64::MIN_POSITIVE));
    let factor = libm::scalbn(1.0, -exponent);
    let mut sums = [0.0; LANES];
    add_squares(&mut sums, values, |value| factor * value);
    Leaf { sum: total(sums), exponent }
}

impl ExactSum {
    #[inline(always)]
    pub(super) fn add_leaf(&mut self, Leaf { sum, exponent }: Leaf) {
        self.add(sum, exponent);
    }
}

pub(super) struct OneLeaf<'a, A>(pub(super) &'a [A]);

impl<A: Real> Loop for OneLeaf<'_, A> {
    type Output = Leaf;

    #[inline(always)]
    fn run(&mut self) -> Leaf {
        leaf(self.0)
    }

    #[inline(always)]
    fn is_short(&self) -> bool {
        are_few(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_sum_is_kept_unless_it_may_have_lost_something() {
        for sum in [SAFE_SUM, 1.0, f64::MAX] {
            assert!(is_safe(sum), "{sum:e}");
        }
        let below = f64::from_bits(SAFE_SUM.to_bits() - 1);
        for sum in [0.0, f64::MIN_POSITIVE, below, f64::INFINITY, f64::NAN] {
            assert!(!is_safe(sum), "{sum:e}");
        }
    }

    #[test]
    fn a_leaf_is_scaled_only_where_that_helps() {
        let exponent = |values: &[f64]| leaf(values).exponent;
        for value in [0.0, -0.0, 1.0, 1e100, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(exponent(&[value, 0.0, value]), 0, "{value}");
        }
        assert_eq!(exponent(&[1.0, f64::NAN, 1e300]), 0);
        assert_eq!(exponent(&[0.0, libm::scalbn(1.5, 600)]), 600);
        assert_eq!(exponent(&[0.0, libm::scalbn(1.5, -600)]), -600);
    }

    #[test]
    fn fewer_values_than_a_vector_has_are_short() {
        let is_short = |length| OneLeaf(&[0.0; 9][..length]).is_short();
        assert!(is_short(0) && is_short(3) && !is_short(4) && !is_short(9));
    }
}
