//! Norms of gradients, and the factor that brings one down to its bound. Never writes a gradient.

use super::finite;
use crate::{error::Error, par::Fork, real::Real, rule::range, update::contiguous};
use ndarray::{ArrayRef, Dimension};

/// A bound on the Euclidean norm of the gradients.
///
/// Gradients whose norm exceeds the bound are multiplied by `bound / norm` inside the step; they
/// are not written to. The norm is that of the gradients as they are handed in, before value
/// clipping and L2 regularisation.
///
/// # Precision
/// The norm is accumulated in `f64` in a fixed order, which neither threads nor memory layouts nor
/// instruction sets change; that of a batch does not depend on the order of its tensors either. It
/// is right for any finite gradients: squares that would overflow or underflow are scaled first. A
/// norm that is NaN, which only [`NonFinite::Propagate`](crate::NonFinite::Propagate) lets through,
/// does not exceed the bound. The factor is exactly `bound / norm`, without the small constant that
/// PyTorch's `clip_grad_norm_` adds to the norm.
///
/// # Examples
/// ```
/// use adamax::{Adamax, MaxNorm, Optimizer};
/// use ndarray::array;
///
/// // Two tensors with gradients of norm 3 and 4, together 5. On the first step, u = |g|.
/// let clipped = |max_norm| {
///     let (mut a, mut b) = (array![0.0], array![0.0]);
///     let mut optimizer = Optimizer::new(Adamax::default());
///     let (slot_a, slot_b) = (optimizer.register("a", &a)?, optimizer.register("b", &b)?);
///     optimizer.set_max_norm(Some(max_norm))?;
///     optimizer.step(&mut [slot_a.bind(&mut a, &array![3.0]), slot_b.bind(&mut b, &array![4.0])])?;
///     let u = [slot_a, slot_b].map(|slot| optimizer.state(slot).unwrap().inf_norm()[[0]]);
///     Ok::<[f64; 2], adamax::Error>(u)
/// };
/// assert_eq!(clipped(MaxNorm::Global(2.5))?, [1.5, 2.0]);
/// assert_eq!(clipped(MaxNorm::PerTensor(2.5))?, [2.5, 2.5]);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MaxNorm {
    /// Bounds the norm over all gradients of a batch taken together, as PyTorch's
    /// `clip_grad_norm_` and optax's `clip_by_global_norm` do.
    Global(f64),
    /// Bounds the norm of each gradient by itself, as Keras' `clipnorm` does.
    PerTensor(f64),
}

impl MaxNorm {
    /// The bound, whichever norm it is of.
    ///
    /// ```
    /// assert_eq!(adamax::MaxNorm::PerTensor(2.5).bound(), 2.5);
    /// ```
    #[must_use]
    pub fn bound(self) -> f64 {
        let (MaxNorm::Global(bound) | MaxNorm::PerTensor(bound)) = self;
        bound
    }

    /// Refuses bounds that are NaN, zero or negative.
    pub(crate) fn check(self) -> Result<(), Error> {
        range::check_positive("max norm", self.bound())
    }
}

/// A Euclidean norm as 2^`exponent`·√`sum`, so that its square neither overflows nor underflows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Norm {
    /// In [1, 4), or 0, or not finite.
    sum: f64,
    exponent: i32,
}

/// Below it, a sum of squares may have lost some to underflow: 2^-900, far above the smallest
/// square that is a normal number, far below what is added up in earnest.
const SAFE_SUM: f64 = f64::from_bits((1023 - 900) << 52);

/// Binary places behind the point in which the squared norms of a batch are added up. With two
/// places before it, and its carries, as many tensors as fit in memory stay below 2^128.
const PLACES: i32 = 90;

impl Norm {
    pub(crate) const ZERO: Self = Norm { sum: 0.0, exponent: 0 };

    /// 2^`exponent`·√`sum`, whatever the size of the sum, which is not subnormal.
    fn new(sum: f64, exponent: i32) -> Self {
        if sum == 0.0 || !sum.is_finite() {
            return Norm { sum, exponent: 0 };
        }
        let half = floor_log2(sum).div_euclid(2);
        Norm { sum: sum * power_of_two(-2 * half), exponent: exponent + half }
    }

    /// The norm of a gradient.
    pub(crate) fn of<A: Real, D: Dimension>(fork: impl Fork, gradient: &ArrayRef<A, D>) -> Self {
        let sum = sum_of_squares(fork, gradient, |value| value);
        if (SAFE_SUM..f64::INFINITY).contains(&sum) {
            return Norm::new(sum, 0);
        }
        // Zero, NaN, infinite, or too small or too large to be squared: rare.
        let max = finite::max_magnitude(gradient).widen();
        if max == 0.0 || !max.is_finite() {
            return Norm::new(sum, 0);
        }
        // Of a normal number, so that the power of its reciprocal is finite.
        let exponent = floor_log2(max.max(f64::MIN_POSITIVE));
        let factor = libm::scalbn(1.0, -exponent);
        Norm::new(sum_of_squares(fork, gradient, |value| factor * value), exponent)
    }

    /// The norm of several gradients taken together, whatever their order: integers do not mind in
    /// which order they are added.
    pub(crate) fn together(norms: impl Iterator<Item = Norm> + Clone) -> Self {
        let (mut bad, mut largest) = (false, None);
        for norm in norms.clone() {
            bad |= !norm.is_finite();
            if norm.sum > 0.0 {
                largest = largest.max(Some(norm.exponent));
            }
        }
        match largest {
            _ if bad => Norm::new(norms.map(|norm| norm.sum).sum(), 0),
            None => Norm::ZERO,
            Some(exponent) => {
                let total = norms.map(|norm| norm.squared_below(exponent)).sum();
                Norm::new(from_fixed_point(total), exponent)
            }
        }
    }

    /// The squared norm in units of 4^`exponent`, which it is at most four of, as a fixed-point
    /// number.
    fn squared_below(self, exponent: i32) -> u128 {
        let shift = u32::try_from(2 * (exponent - self.exponent)).unwrap_or_default();
        to_fixed_point(self.sum).checked_shr(shift).unwrap_or(0)
    }

    /// Whether the gradients are known to be finite. Where not, they may be so nevertheless.
    pub(crate) fn is_finite(self) -> bool {
        self.sum.is_finite()
    }

    /// `bound / norm` where the norm exceeds the bound, else exactly 1.
    pub(crate) fn factor(self, bound: f64) -> f64 {
        let (norm, bound) = (libm::sqrt(self.sum), libm::scalbn(bound, -self.exponent));
        if norm > bound { bound / norm } else { 1.0 }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in [0, 4)·2^PLACES")]
fn to_fixed_point(value: f64) -> u128 {
    (value * power_of_two(PLACES)) as u128
}

#[expect(clippy::cast_precision_loss, reason = "rounding to nearest, once, is what is wanted")]
fn from_fixed_point(value: u128) -> f64 {
    value as f64 * power_of_two(-PLACES)
}

/// The exponent of a positive number that is not subnormal.
fn floor_log2(value: f64) -> i32 {
    i32::try_from(value.to_bits() >> MANTISSA_BITS).unwrap_or_default() - BIAS
}

/// For exponents from -1022 to 1023, without the loop of `libm::scalbn`.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + BIAS).unwrap_or_default() << MANTISSA_BITS)
}

/// Of an f64.
const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const BIAS: i32 = f64::MAX_EXP - 1;

/// Elements of a leaf of the tree in which squares are summed: few enough for a buffer on the
/// stack, many enough that the tree costs nothing.
const LEAF: usize = 512;

/// The sum of scale(g)² over the elements in logical order, by pairwise summation over a tree
/// that depends on their number only.
fn sum_of_squares<A: Real, D: Dimension>(
    fork: impl Fork,
    gradient: &ArrayRef<A, D>,
    scale: impl Fn(f64) -> f64 + Copy + Send + Sync,
) -> f64 {
    if let Some(values) = gradient.as_slice() {
        return sum_slice(fork, values, scale);
    }
    let mut values = gradient.iter();
    sum_tree(gradient.len(), &mut |length| {
        let mut buffer = [A::ZERO; LEAF];
        let mut filled = 0;
        for (to, from) in buffer.iter_mut().zip(values.by_ref().take(length)) {
            *to = *from;
            filled += 1;
        }
        contiguous::sum_of_squares(buffer.split_at(filled).0, scale)
    })
}

fn sum_slice<A: Real>(
    fork: impl Fork,
    values: &[A],
    scale: impl Fn(f64) -> f64 + Copy + Send + Sync,
) -> f64 {
    if fork.splits(values.len()) {
        let (a, b) = values.split_at(left(values.len()));
        let (a, b) = fork.join(|| sum_slice(fork, a, scale), || sum_slice(fork, b, scale));
        return a + b;
    }
    let mut rest = values;
    sum_tree(values.len(), &mut |length| {
        let (leaf, after) = rest.split_at(length);
        rest = after;
        contiguous::sum_of_squares(leaf, scale)
    })
}

/// Adds up the leaves, which `leaf` is asked for from first to last, each by its length.
fn sum_tree(length: usize, leaf: &mut impl FnMut(usize) -> f64) -> f64 {
    if length <= LEAF {
        return leaf(length);
    }
    let left = left(length);
    let a = sum_tree(left, leaf);
    a + sum_tree(length - left, leaf)
}

/// How many of so many elements, more than a leaf, go to the left branch: half, in whole leaves.
fn left(length: usize) -> usize {
    length.div_ceil(2 * LEAF) * LEAF
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::Serial;
    use alloc::{vec, vec::Vec};
    use ndarray::{Array, Array1, Array2, Axis, ShapeBuilder};

    fn norm(values: &[f64]) -> f64 {
        value(Norm::of(Serial, &Array1::from_vec(values.to_vec())))
    }

    fn value(Norm { sum, exponent }: Norm) -> f64 {
        libm::scalbn(sum.sqrt(), exponent)
    }

    #[test]
    fn extreme_gradients_have_a_norm() {
        for scale in [1.0, 1e200, 1e-200, 1e300, 1e-300, f64::MAX / 8.0, 5e-324] {
            let (expected, found) = (5.0 * scale, norm(&[3.0 * scale, 0.0, -4.0 * scale]));
            assert!((found / expected - 1.0).abs() < 1e-15, "{scale}: {found}");
        }
        assert_eq!(norm(&[]), 0.0);
        assert_eq!(norm(&[0.0, -0.0]), 0.0);
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
        assert!(norm(&[1.0, f64::NAN, 1e300]).is_nan());
    }

    #[test]
    fn norms_of_any_size_combine() {
        let together = |values: &[f64]| {
            let of = |&value: &f64| Norm::of(Serial, &Array1::from_elem(1, value));
            value(Norm::together(values.iter().map(of)))
        };
        assert_eq!(together(&[]), 0.0);
        assert_eq!(together(&[0.0, 0.0]), 0.0);
        assert_eq!(together(&[3.0, -4.0]), 5.0);
        assert_eq!(together(&[3e200, 1.0]), 3e200);
        assert_eq!(together(&[1.0, 3e-200]), 1.0);
        assert_eq!(together(&[0.0, 3e-200]), 3e-200);
        assert!((together(&[3e-200, 4e-200]) / 5e-200 - 1.0).abs() < 1e-15);
        assert!((together(&[1e154, 1e154]) / (2_f64.sqrt() * 1e154) - 1.0).abs() < 1e-15);
        assert_eq!(together(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(together(&[f64::INFINITY, f64::NAN, 1.0]).is_nan());
    }

    #[test]
    fn the_order_of_the_gradients_does_not_change_their_norm() {
        let norms: Vec<Norm> =
            (1..100).map(|i| Norm::new(f64::from(i).sin().abs(), i % 7 - 3)).collect();
        let expected = Norm::together(norms.iter().copied());
        for shift in 1..norms.len() {
            let (a, b) = norms.split_at(shift);
            assert_eq!(Norm::together(b.iter().chain(a).copied()), expected);
        }
        assert_eq!(Norm::together(norms.iter().rev().copied()), expected);
    }

    #[test]
    fn the_factor_is_the_bound_over_the_norm_or_one() {
        let norm = Norm::of(Serial, &Array1::from_vec(vec![3.0, 4.0]));
        assert_eq!(norm.factor(1.0), 0.2);
        assert_eq!(norm.factor(5.0), 1.0);
        assert_eq!(norm.factor(f64::INFINITY), 1.0);
        let huge = Norm::of(Serial, &Array1::from_vec(vec![f64::MAX; 100]));
        assert!((huge.factor(f64::MAX) - 0.1).abs() < 1e-15);
    }

    #[test]
    fn layouts_do_not_change_the_sum() {
        let sum = |array: &Array2<f64>| sum_of_squares(Serial, array, |value| value);
        for shape in [(1, 1), (3, 5), (40, 50), (511, 3), (64, 129)] {
            let mut angle = 0.0_f64;
            let c = Array::from_shape_simple_fn(shape, || {
                angle += 0.7;
                angle.sin()
            });
            let mut f = Array::zeros(shape.f());
            f.assign(&c);
            let mut reversed = c.clone();
            reversed.invert_axis(Axis(0));
            let mut twice = reversed.as_standard_layout().into_owned();
            twice.invert_axis(Axis(0));
            for other in [f, twice] {
                assert_eq!(sum(&other).to_bits(), sum(&c).to_bits(), "{shape:?}");
            }
        }
    }

    #[cfg(feature = "rayon")]
    #[test]
    fn threads_do_not_change_the_sum() {
        for length in [16_384_u32, 16_385, 100_000, 262_144] {
            let values: Vec<f64> = (0..length).map(|i| f64::from(i).sin()).collect();
            let serial = sum_slice(Serial, &values, |value| value);
            let parallel = sum_slice(crate::par::Parallel, &values, |value| value);
            assert_eq!(serial.to_bits(), parallel.to_bits(), "{length}");
        }
    }
}
