//! Euclidean norms of gradients, and the factor that reduces a norm to its bound.

use super::finite::MODERATE;
use crate::real::Real;

/// A Euclidean norm as 2^`exponent`·√`sum`, so that its square neither overflows nor underflows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Norm {
    /// In [1, 4), or 0, or not finite.
    sum: f64,
    exponent: i32,
}

/// A sum of squares at or above this has lost nothing to underflow: 2^-900, far above the least square
/// that is a normal number.
pub(super) const SAFE_SUM: f64 = f64::from_bits((1023 - 900) << 52);

impl Norm {
    pub(crate) const ZERO: Self = Norm { sum: 0.0, exponent: 0 };

    /// Returns 2^`exponent`·√`sum`, for any sum that is not subnormal.
    pub(super) fn new(sum: f64, exponent: i32) -> Self {
        if sum == 0.0 || !sum.is_finite() {
            return Norm { sum, exponent: 0 };
        }
        let half = floor_log2(sum).div_euclid(2);
        Norm { sum: sum * power_of_two(-2 * half), exponent: exponent + half }
    }

    /// Returns the norm as a number, which is infinite beyond the largest one.
    pub(crate) fn to_f64(self) -> f64 {
        scaled(libm::sqrt(self.sum), self.exponent)
    }

    /// Returns true if all elements are finite.
    pub(crate) fn is_finite(self) -> bool {
        self.sum.is_finite()
    }

    /// Returns true if the norm proves that each element, of type `A`, is finite and
    /// [moderate](super::finite::MODERATE).
    pub(crate) fn is_moderate<A: Real>(self) -> bool {
        // The norm is below 2^(exponent + 1).
        self.is_finite() && self.exponent < A::MAX_EXP - i32::from(MODERATE)
    }

    /// Returns `bound / norm` if the norm exceeds the bound, else exactly 1. NaN gives NaN.
    pub(crate) fn factor(self, bound: f64) -> Factor {
        let norm = libm::sqrt(self.sum);
        if norm == 0.0 || bound == f64::INFINITY && !norm.is_nan() {
            return Factor::ONE;
        }
        // In [1/2, 1), also if the bound is subnormal.
        let (mantissa, exponent) = libm::frexp(bound);
        let exponent = exponent - self.exponent;
        let exceeds = exponent < 1 || exponent == 1 && norm > 2.0 * mantissa;
        if norm.is_finite() && !exceeds {
            return Factor::ONE;
        }
        Factor { mantissa: mantissa / norm, exponent }
    }
}

/// A factor of at most 1 on a gradient, as `mantissa`·2^`exponent`. It may be too small for a floating
/// point number: gradients of 1e308 can have a bound of 1e-308.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Factor {
    /// In (1/4, 1], or 0, or NaN.
    mantissa: f64,
    exponent: i32,
}

impl Factor {
    pub(crate) const ONE: Self = Factor { mantissa: 1.0, exponent: 0 };
    pub(crate) const ZERO: Self = Factor { mantissa: 0.0, exponent: 0 };

    /// Returns the factor as a number, which is 0 below the smallest one.
    pub(crate) fn to_f64(self) -> f64 {
        scaled(self.mantissa, self.exponent)
    }

    /// Returns two numbers whose product is the factor. The second is 1 unless the factor is below the
    /// normal numbers of `A`.
    #[inline]
    pub(crate) fn to_pair<A: Real>(self) -> [A; 2] {
        let least = A::MIN_EXP + 1;
        let missing = least - self.exponent;
        if missing <= 0 {
            [A::from_f64(self.mantissa * power_of_two(self.exponent)), A::ONE]
        } else {
            let first = self.mantissa * power_of_two(least);
            [A::from_f64(first), A::from_f64(libm::scalbn(1.0, -missing))]
        }
    }
}

/// Returns `value`·2^`exponent`, rounded once.
fn scaled(value: f64, exponent: i32) -> f64 {
    // Nearly always; the product is exact for a value in [1, 2).
    if (-1000..=1000).contains(&exponent) {
        value * power_of_two(exponent)
    } else {
        libm::scalbn(value, exponent)
    }
}

/// Returns the exponent of a positive number that is not subnormal.
pub(super) fn floor_log2(value: f64) -> i32 {
    i32::try_from(value.to_bits() >> MANTISSA_BITS).unwrap_or_default() - BIAS
}

/// Returns a power of two, for exponents from -1022 to 1023, without the loop of `libm::scalbn`.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + BIAS).unwrap_or_default() << MANTISSA_BITS)
}

/// Binary places of the mantissa of an f64 behind the point, and the bits that hold them.
pub(super) const PLACES: i32 = 52;
pub(super) const MANTISSA_BITS: u32 = PLACES.unsigned_abs();
const BIAS: i32 = f64::MAX_EXP - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{par::Sequential, reduce::Elements};
    use alloc::{vec, vec::Vec};
    use ndarray::{Array, Array1, ArrayD, Axis, IxDyn, ShapeBuilder};

    fn of(array: &ArrayD<f64>) -> Norm {
        Norm::of(Sequential, Elements::of(array))
    }

    fn norm(values: &[f64]) -> f64 {
        of(&Array1::from_vec(values.to_vec()).into_dyn()).to_f64()
    }

    #[test]
    fn extreme_gradients_have_a_norm() {
        for scale in [1.0, 1e200, 1e-200, 1e300, 1e-300, f64::MAX / 8.0, 5e-324] {
            let (expected, found) = (5.0 * scale, norm(&[3.0 * scale, 0.0, -4.0 * scale]));
            assert!((found / expected - 1.0).abs() < 1e-15, "{scale}: {found}");
            // More than one leaf, of which one needs no scaling and one is zero.
            let mut long = vec![0.0; 2000];
            (long[0], long[1999], long[700]) = (3.0 * scale, -4.0 * scale, 1e-100);
            let (expected, found) = (libm::hypot(expected, 1e-100), norm(&long));
            assert!((found / expected - 1.0).abs() < 1e-15, "{scale}: {found}");
        }
        assert_eq!(norm(&[]), 0.0);
        assert_eq!(norm(&[0.0, -0.0]), 0.0);
        assert_eq!(norm(&vec![0.0; 3000]), 0.0);
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
        assert!(norm(&[1.0, f64::NAN, 1e300]).is_nan());
        for (bad, at) in [(f64::NAN, 5), (f64::NAN, 1999), (f64::INFINITY, 1000)] {
            let mut long = vec![1.0; 2000];
            long[at] = bad;
            assert_eq!(norm(&long).to_bits(), bad.to_bits());
        }
    }

    /// `libm::scalbn` does the same for any exponent, in a loop.
    #[test]
    fn a_product_with_a_power_of_two_is_rounded_once() {
        let mut value = 0.250_1;
        for exponent in -2200..=2200 {
            value = if value < 1.0 { 1.9 * value } else { 0.26 * value };
            for value in [value, 1.0, 1.0 + f64::EPSILON, 2.0 - f64::EPSILON, 0.0, f64::INFINITY] {
                assert_eq!(scaled(value, exponent), libm::scalbn(value, exponent));
            }
            assert!(scaled(f64::NAN, exponent).is_nan());
        }
    }

    /// A gradient within its bound keeps its bits: its factor is exactly 1.
    #[test]
    fn a_norm_that_equals_its_bound_has_the_factor_one() {
        for norm in [3.0_f64, 4.0, 1e-300, 1e300] {
            let next = f64::from_bits(norm.to_bits() - 1);
            let norm = of(&Array1::from_vec(vec![norm]).into_dyn());
            assert_eq!(norm.factor(norm.to_f64()), Factor::ONE);
            assert_ne!(norm.factor(next), Factor::ONE);
        }
    }

    #[test]
    fn the_factor_is_the_bound_over_the_norm_or_one() {
        let norm = of(&Array1::from_vec(vec![3.0, 4.0]).into_dyn());
        let factor = |norm: Norm, bound| {
            let [first, second] = norm.factor(bound).to_pair::<f64>();
            assert!(first == 0.0 || first.is_nan() || first.is_normal());
            (first, second)
        };
        assert_eq!(factor(norm, 1.0), (0.2, 1.0));
        assert_eq!(factor(norm, 5.0), (1.0, 1.0));
        assert_eq!(factor(norm, f64::INFINITY), (1.0, 1.0));
        assert_eq!(factor(norm, 5e-324), (0.4 * libm::scalbn(1.0, -1020), libm::scalbn(1.0, -55)));
        let huge = of(&Array1::from_vec(vec![f64::MAX; 100]).into_dyn());
        let (first, second) = factor(huge, f64::MAX);
        assert!((first - 0.1).abs() < 1e-15 && second == 1.0);
        assert_eq!(factor(of(&Array1::from_vec(vec![f64::MAX]).into_dyn()), f64::MAX), (1.0, 1.0));
        // The norm is 10·MAX, so that a tenth of the bound is left of each element.
        let (first, second) = factor(huge, 1e-7);
        assert!((f64::MAX * first * second / 1e-8 - 1.0).abs() < 1e-15);
        assert_eq!(factor(Norm::new(f64::INFINITY, 0), 1.0), (0.0, 1.0));
        assert_eq!(factor(Norm::new(f64::INFINITY, 0), f64::INFINITY), (1.0, 1.0));
        assert!(factor(Norm::new(f64::NAN, 0), 1.0).0.is_nan());
        assert!(factor(Norm::new(f64::NAN, 0), f64::INFINITY).0.is_nan());
        assert_eq!(factor(Norm::ZERO, 1e-300), (1.0, 1.0));
    }

    /// Shapes with every way of cutting into leaves.
    fn shapes() -> Vec<Vec<usize>> {
        let shapes: [&[usize]; 20] = [
            &[],
            &[1],
            &[511],
            &[1025],
            &[3, 5],
            &[40, 50],
            &[511, 3],
            &[3, 511],
            &[64, 129],
            &[9, 64],
            &[30, 100],
            &[20, 170],
            &[17, 256],
            &[17, 257],
            &[13, 512],
            &[11, 513],
            &[9, 1100],
            &[3, 4, 5, 6],
            &[5, 7, 70],
            &[2, 3, 4, 5, 6, 7],
        ];
        shapes.into_iter().map(<[usize]>::to_vec).collect()
    }

    /// Numbers of very different sizes, and among them runs of zeros.
    fn numbers(shape: &[usize], scale: f64) -> ArrayD<f64> {
        let mut i = 0;
        Array::from_shape_simple_fn(shape, || {
            i += 1;
            let size = if i % 97 == 0 { 1e-200 } else { 1.0 };
            if i / 600 % 3 == 2 { 0.0 } else { (0.7 * f64::from(i)).sin() * size * scale }
        })
    }

    /// The same numbers in column-major order, with the axes rolled, backwards, and with gaps.
    fn layouts(c: &ArrayD<f64>) -> Vec<ArrayD<f64>> {
        let (shape, axes) = (c.shape(), c.ndim());
        let mut f = ArrayD::zeros(IxDyn(shape).f());
        f.assign(c);
        let rolled: Vec<usize> = (0..axes).map(|axis| shape[(axis + 1) % axes]).collect();
        let back: Vec<usize> = (0..axes).map(|axis| (axis + axes - 1) % axes).collect();
        let mut rolled = ArrayD::zeros(rolled).permuted_axes(back);
        rolled.assign(c);
        let mut backwards = f.clone();
        (0..axes).for_each(|axis| backwards.invert_axis(Axis(axis)));
        backwards.assign(c);
        let mut gaps = ArrayD::zeros(shape.iter().map(|length| 2 * length).collect::<Vec<_>>());
        for axis in (0..axes).map(Axis) {
            gaps.slice_axis_inplace(axis, ndarray::Slice::from(..).step_by(2));
        }
        gaps.assign(c);
        let mut gaps_f = gaps.clone().reversed_axes();
        gaps_f = ArrayD::zeros(gaps_f.shape().iter().map(|l| l + 1).collect::<Vec<_>>());
        gaps_f = gaps_f.reversed_axes();
        for axis in (0..axes).map(Axis) {
            gaps_f.slice_axis_inplace(axis, ndarray::Slice::from(1..));
        }
        gaps_f.assign(c);
        vec![f, rolled, backwards, gaps, gaps_f]
    }

    #[test]
    fn layouts_do_not_change_a_bit() {
        for shape in shapes() {
            for scale in [1.0, 1e-170, 1e180] {
                let c = numbers(&shape, scale);
                for (layout, other) in layouts(&c).iter().enumerate() {
                    assert_eq!(other, &c);
                    assert_eq!(of(other), of(&c), "{shape:?} in layout {layout}, times {scale}");
                }
            }
        }
    }

    #[test]
    fn a_norm_is_right_whatever_the_shape() {
        for shape in shapes() {
            let c = numbers(&shape, 1.0);
            let expected = c.iter().map(|value| value * value).sum::<f64>().sqrt();
            let found = of(&c).to_f64();
            assert!((found - expected).abs() <= 1e-14 * expected, "{shape:?}: {found} {expected}");
        }
    }

    #[cfg(feature = "rayon")]
    #[test]
    fn threads_do_not_change_a_bit() {
        let shapes: [&[usize]; 7] = [
            &[16_385],
            &[262_144],
            &[300, 700],
            &[2, 70_000],
            &[40, 50, 60],
            &[70_001, 3],
            &[9, 9, 513],
        ];
        for shape in shapes {
            let c = numbers(shape, 1.0);
            for array in core::iter::once(&c).chain(&layouts(&c)) {
                let parallel = Norm::of(crate::par::Parallel, Elements::of(array));
                assert_eq!(parallel, of(&c), "{shape:?}");
            }
        }
    }

    /// A norm below 2^1021 proves that each element is below a quarter of 2^1024.
    #[test]
    fn a_norm_proves_that_elements_are_moderate() {
        let of = |value: f64| of(&Array1::from_vec(vec![value]).into_dyn());
        let power = libm::exp2;
        assert!(of(0.0).is_moderate::<f64>() && of(power(1021.0)).is_moderate::<f64>());
        assert!(!of(power(1022.0)).is_moderate::<f64>());
        assert!(of(power(125.0)).is_moderate::<f32>() && !of(power(126.0)).is_moderate::<f32>());
        for value in [f64::NAN, f64::INFINITY] {
            assert!(!of(value).is_moderate::<f64>() && !of(value).is_finite());
        }
        assert!(of(1.0).is_finite());
    }
}
