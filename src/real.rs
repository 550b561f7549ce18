//! The two precisions.

/// A floating-point type that a tensor can hold: [`f32`] or [`f64`].
///
/// Sealed: both behave alike by construction (hyperparameters are `f64` and are rounded once to the
/// precision of the tensor), and no other type is supported.
///
/// ```
/// use adamax::{Adamax, Error, Real, State};
/// use ndarray::{Array1, array};
///
/// /// Ten steps along a constant gradient, in either precision.
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
pub trait Real: sealed::Arithmetic {}

impl Real for f32 {}
impl Real for f64 {}

pub(crate) mod sealed {
    use core::fmt::Debug;
    use num_traits::float::FloatCore;

    /// What the kernel needs of a number; hidden, so that it can change.
    pub trait Arithmetic: FloatCore + Debug + Default + Send + Sync + 'static {
        /// The smallest positive normal number.
        const MIN_POSITIVE: Self;
        const ZERO: Self;
        const ONE: Self;
        const INFINITY: Self;
        /// For messages.
        const NAME: &'static str;

        /// Rounds to nearest.
        fn from_f64(value: f64) -> Self;
        /// Exact.
        fn widen(self) -> f64;
        /// The larger of two numbers ≥ 0; NaN if either is NaN, of whatever sign. (`f64::max` drops
        /// NaN and would hide a poisoned gradient.)
        fn larger_magnitude(self, other: Self) -> Self;
        /// Zero in place of zero and subnormal numbers; NaN stays NaN.
        fn flush(self) -> Self;
        /// Whether no value is NaN or infinite.
        fn all_finite(values: &[Self]) -> bool;

        /// The bits, as files hold them: little-endian.
        #[cfg(feature = "safetensors")]
        fn to_file(self) -> impl AsRef<[u8]>;
        /// The number with these bits; `None` if they are too many or too few.
        #[cfg(feature = "safetensors")]
        fn from_file(bytes: &[u8]) -> Option<Self>;
    }

    macro_rules! arithmetic {
        ($float:ident, $bits:ident, $larger:path, $from:expr, $to:expr) => {
            impl Arithmetic for $float {
                const MIN_POSITIVE: Self = $float::MIN_POSITIVE;
                const ZERO: Self = 0.0;
                const ONE: Self = 1.0;
                const INFINITY: Self = $float::INFINITY;
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
                    // Not a comparison of magnitudes: AVX-512 tests bits in one instruction.
                    const EXPONENT: $bits = $float::INFINITY.to_bits();
                    if self.to_bits() & EXPONENT == 0 { 0.0 } else { self }
                }
                #[inline(always)]
                fn all_finite(values: &[Self]) -> bool {
                    // One more step of the exponent carries from the largest into the sign bit.
                    // Integers, and no early exit, because such a loop vectorises best.
                    const STEP: $bits = 1 << ($float::MANTISSA_DIGITS - 1);
                    const SIGN: $bits = 1 << ($bits::BITS - 1);
                    let carry = |value: &$float| value.abs().to_bits() + STEP;
                    // Four places at a time keep more of the memory busy than one.
                    let (a, rest) = values.split_at(values.len() / 4);
                    let (b, rest) = rest.split_at(a.len());
                    let (c, rest) = rest.split_at(a.len());
                    let (d, rest) = rest.split_at(a.len());
                    let quarters = a.iter().zip(b).zip(c).zip(d);
                    let carries = quarters.fold(0, |carries, (((a, b), c), d)| {
                        carries | carry(a) | carry(b) | carry(c) | carry(d)
                    });
                    rest.iter().fold(carries, |carries, value| carries | carry(value)) & SIGN == 0
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
    arithmetic!(f32, u32, larger_f32, round, f64::from);
    arithmetic!(f64, u64, larger_f64, core::convert::identity, core::convert::identity);

    #[allow(clippy::cast_possible_truncation)] // rounding to nearest is what is wanted
    const fn round(value: f64) -> f32 {
        value as f32
    }

    // Floats ≥ 0 are ordered as their bits are, with NaN above infinity: one comparison does what
    // takes three on floats.

    #[inline(always)]
    fn larger_f32(a: f32, b: f32) -> f32 {
        f32::from_bits(a.to_bits().max(b.to_bits()))
    }

    /// Vector units compare 64-bit integers as signed ones, so that the sign of a NaN must go.
    #[inline(always)]
    fn larger_f64(a: f64, b: f64) -> f64 {
        let [a, b] = [a, b].map(|value| i64::from_ne_bytes(value.abs().to_ne_bytes()));
        f64::from_ne_bytes(a.max(b).to_ne_bytes())
    }
}
