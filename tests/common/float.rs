//! A trait for `f32` and `f64`, with the constants and conversions that the tests need.

use adamax::Real;
use core::{
    fmt::{Debug, Display, LowerHex},
    ops::{Add, Div, Mul, Neg, Sub},
};

/// `f32` or `f64`.
pub(crate) trait Float:
    Real
    + Copy
    + Debug
    + Display
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + adamax::Operand
    + Send
    + Sync
    + 'static
{
    type Word: Copy + Eq + Debug + LowerHex;

    const LEAST_NORMAL: Self;
    const LEAST_SUBNORMAL: Self;
    const LARGEST: Self;
    const LARGEST_BELOW_1: Self;
    const INF: Self;
    const NOT_A_NUMBER: Self;
    /// A NaN with bits that no computation produces. It marks memory that must not be changed.
    const MARK: Self;

    /// Converts from `f64`, rounding to nearest.
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn word(self) -> Self::Word;
    fn from_word(word: u64) -> Self;
}

macro_rules! float {
    ($float:ident, $word:ident, $mark:literal, $round:expr) => {
        impl Float for $float {
            type Word = $word;

            const LEAST_NORMAL: Self = $float::MIN_POSITIVE;
            const LEAST_SUBNORMAL: Self = $float::from_bits(1);
            const LARGEST: Self = $float::MAX;
            const LARGEST_BELOW_1: Self = 1.0 - $float::EPSILON / 2.0;
            const INF: Self = $float::INFINITY;
            const NOT_A_NUMBER: Self = $float::NAN;
            const MARK: Self = $float::from_bits($mark);

            fn of(value: f64) -> Self {
                $round(value)
            }
            fn wide(self) -> f64 {
                self.into()
            }
            fn word(self) -> $word {
                self.to_bits()
            }
            fn from_word(word: u64) -> Self {
                $float::from_bits($word::try_from(word).expect("bits of this precision"))
            }
        }
    };
}
#[allow(clippy::cast_possible_truncation)] // rounding is intended
fn round(value: f64) -> f32 {
    value as f32
}
float!(f32, u32, 0x7fc5_a5a5, round);
float!(f64, u64, 0x7ff8_5a5a_5a5a_5a5a, core::convert::identity);
