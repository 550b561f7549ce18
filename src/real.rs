//! The two precisions.

/// A floating-point type that a tensor can hold: [`f32`] or [`f64`].
///
/// Sealed: both behave alike by construction (hyperparameters are `f64` and are rounded once to the
/// precision of the tensor), and no other type is supported.
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
        /// The larger of two numbers without sign; NaN if either is NaN. (`f64::max` drops NaN and
        /// would hide a poisoned gradient.)
        fn larger_magnitude(self, other: Self) -> Self;
    }

    macro_rules! arithmetic {
        ($float:ident, $bits:ident, $from:expr, $to:expr) => {
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
                    // Floats without sign are ordered as their bits are, with NaN above infinity:
                    // one comparison does what takes three on floats. Signed, because vector units
                    // compare signed integers.
                    let [a, b] =
                        [self, other].map(|value| $bits::from_ne_bytes(value.to_ne_bytes()));
                    $float::from_ne_bytes(a.max(b).to_ne_bytes())
                }
            }
        };
    }
    #[allow(clippy::cast_possible_truncation)] // rounding to nearest is what is wanted
    const fn round(value: f64) -> f32 {
        value as f32
    }
    arithmetic!(f32, i32, round, f64::from);
    arithmetic!(f64, i64, core::convert::identity, core::convert::identity);
}
