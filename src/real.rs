//! The two floating-point types of tensors.

/// A floating-point type of tensors: [`f32`] or [`f64`].
///
/// Sealed: no other type is supported. Both types run the same code. Hyperparameters are `f64` for
/// both. The coefficients of a step are computed in `f64` and rounded once to the precision of the
/// tensor.
///
/// ```
/// use adamax::{Adamax, Error, Real, State};
/// use ndarray::{Array1, array};
///
/// /// Takes ten steps along a constant gradient, in either precision.
/// fn slide<A: Real>(mut x: Array1<A>, gradient: &Array1<A>) -> Result<Array1<A>, Error> {
///     let mut state = State::zeros_like(&x);
///     for _ in 0..10 {
///         Adamax::default().step(&mut state, &mut x, gradient)?;
///     }
///     Ok(x)
/// }
/// assert!((slide(array![1.0_f32], &array![0.5])?[0] - 0.98).abs() < 1e-6);
/// assert!((slide(array![1.0_f64], &array![0.5])?[0] - 0.98).abs() < 1e-8);
/// # Ok::<(), adamax::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a type of numbers that Adamax can update",
    label = "expected `f32` or `f64`",
    note = "write numbers with a point, as in `array![1.0, 2.0]`, or convert the array, as in \
            `x.mapv(f64::from)`",
    note = "complex numbers are pairs of real ones: `adamax::recipes` has a program"
)]
pub trait Real: sealed::Arithmetic {}

impl Real for f32 {}
impl Real for f64 {}

pub(crate) mod sealed {
    use core::fmt::Debug;
    use num_traits::float::FloatCore;

    /// The operations that the update needs. They are private, so that they can change.
    pub trait Arithmetic: FloatCore + Debug + Default + Send + Sync + 'static {
        /// The smallest positive normal number.
        const MIN_POSITIVE: Self;
        const ZERO: Self;
        const ONE: Self;
        const INFINITY: Self;
        /// Numbers from 2 to this power on are infinite.
        const MAX_EXP: i32;
        /// 2 to this power, minus 1, is the exponent of the smallest normal number.
        const MIN_EXP: i32;
        /// The largest power of two.
        const LARGEST_POWER: Self;
        /// A step size far below the largest number, and far above those in use: with a balanced state
        /// a step is at most 2^94 times as large in f64, and 2^65 times in f32.
        const MODERATE_STEP: Self;
        /// The name of the type in error messages.
        const NAME: &'static str;

        /// Rounds to nearest.
        fn from_f64(value: f64) -> Self;
        /// Converts exactly.
        fn widen(self) -> f64;
        /// Returns the larger of two numbers ≥ 0; NaN if either is NaN, of either sign.
        /// (`f64::max` ignores NaN, and would hide a bad gradient.)
        fn larger_magnitude(self, other: Self) -> Self;
        /// Replaces subnormal numbers and −0 by 0; NaN stays NaN.
        fn flush(self) -> Self;
        /// Returns true if each magnitude is below 2^([`MAX_EXP`](Self::MAX_EXP) − `margin`). NaN is
        /// not. With a margin of 0, this is the check for finite values.
        fn all_below(values: &[Self], margin: u16) -> bool;

        /// Returns the bytes of the number as files hold them: little-endian.
        #[cfg(feature = "safetensors")]
        fn to_file(self) -> impl AsRef<[u8]>;
        /// Returns the number with these bytes; `None` if their count is wrong.
        #[cfg(feature = "safetensors")]
        fn from_file(bytes: &[u8]) -> Option<Self>;
    }

    /// Up to here a plain loop takes fewer instructions than four places at once.
    const FEW_BYTES: usize = 512;

    macro_rules! arithmetic {
        ($float:ident, $bits:ident, $moderate_step:expr, $larger:path, $from:expr, $to:expr) => {
            impl Arithmetic for $float {
                const MIN_POSITIVE: Self = $float::MIN_POSITIVE;
                const ZERO: Self = 0.0;
                const ONE: Self = 1.0;
                const INFINITY: Self = $float::INFINITY;
                const MAX_EXP: i32 = $float::MAX_EXP;
                const MIN_EXP: i32 = $float::MIN_EXP;
                const LARGEST_POWER: Self = $float::MAX / (2.0 - $float::EPSILON);
                const MODERATE_STEP: Self = $moderate_step;
                const NAME: &'static str = stringify!($float);

                #[inline(always)]
                fn from_f64(value: f64) -> Self {
                    $from(value)
                }
                #[inline(always)]
                fn widen(self) -> f64 {
                    $to(self)
                }
                #[inline(always)]
                fn larger_magnitude(self, other: Self) -> Self {
                    $larger(self, other)
                }
                #[inline(always)]
                fn flush(self) -> Self {
                    // Tests bits, not magnitudes: with AVX-512 this is one instruction.
                    const EXPONENT: $bits = $float::INFINITY.to_bits();
                    if self.to_bits() & EXPONENT == 0 { 0.0 } else { self }
                }
                #[inline(always)]
                fn all_below(values: &[Self], margin: u16) -> bool {
                    // Infinity and NaN have the largest exponent. Adding 1 to the exponent of a
                    // magnitude sets the sign bit only then; adding more sets it for the largest
                    // numbers too. Integer operations without an early exit vectorise best.
                    const STEP: $bits = 1 << ($float::MANTISSA_DIGITS - 1);
                    const SIGN: $bits = 1 << ($bits::BITS - 1);
                    // With a larger margin, 0 would not be below it.
                    const MOST: u16 =
                        (u16::MAX >> (16 + $float::MANTISSA_DIGITS - $bits::BITS)) - 1;
                    let step = STEP * (1 + $bits::from(margin.min(MOST)));
                    let carry = |value: &$float| value.abs().to_bits() + step;
                    let all =
                        |values: &[$float]| values.iter().fold(0, |all, value| all | carry(value));
                    if size_of_val(values) <= FEW_BYTES {
                        return all(values) & SIGN == 0;
                    }
                    // Loads from four places at once reach a higher bandwidth than from one.
                    let (a, rest) = values.split_at(values.len() / 4);
                    let (b, rest) = rest.split_at(a.len());
                    let (c, rest) = rest.split_at(a.len());
                    let (d, rest) = rest.split_at(a.len());
                    let quarters = a.iter().zip(b).zip(c).zip(d);
                    let carries = quarters.fold(0, |carries, (((a, b), c), d)| {
                        carries | carry(a) | carry(b) | carry(c) | carry(d)
                    });
                    (carries | all(rest)) & SIGN == 0
                }

                #[cfg(feature = "safetensors")]
                fn to_file(self) -> impl AsRef<[u8]> {
                    self.to_le_bytes()
                }
                #[cfg(feature = "safetensors")]
                fn from_file(bytes: &[u8]) -> Option<Self> {
                    bytes.try_into().ok().map($float::from_le_bytes)
                }
            }
        };
    }
    arithmetic!(f32, u32, 1e9, larger_f32, round, f64::from);
    arithmetic!(f64, u64, 1e240, larger_f64, core::convert::identity, core::convert::identity);

    #[allow(clippy::cast_possible_truncation)] // rounds to nearest, as intended
    const fn round(value: f64) -> f32 {
        value as f32
    }

    // Floats ≥ 0 are ordered like their bits, and NaN is above infinity. So one comparison of integers
    // replaces three of floats.

    #[inline(always)]
    fn larger_f32(a: f32, b: f32) -> f32 {
        f32::from_bits(a.to_bits().max(b.to_bits()))
    }

    /// Vector instructions compare 64-bit integers as signed numbers. So the sign of a NaN is cleared.
    #[inline(always)]
    fn larger_f64(a: f64, b: f64) -> f64 {
        let [a, b] = [a, b].map(|value| i64::from_ne_bytes(value.abs().to_ne_bytes()));
        f64::from_ne_bytes(a.max(b).to_ne_bytes())
    }
}
