//! The numbers of tensors, as bytes and as sums.

use core::ops::{AddAssign, DivAssign};

use crate::transport::{Numbers, NumbersMut};

/// The numbers that tensors consist of: `f32` and `f64`.
pub trait Element: adamax::Real + bytemuck::Pod + AddAssign + DivAssign {
    /// Returns the number nearest to `value`.
    #[doc(hidden)]
    fn nearest(value: f64) -> Self;

    /// Returns the number in double precision.
    #[doc(hidden)]
    fn wide(self) -> f64;

    /// Returns numbers with their precision.
    #[doc(hidden)]
    fn numbers(values: &[Self]) -> Numbers<'_>;

    /// Returns numbers with their precision, to be written.
    #[doc(hidden)]
    fn numbers_mut(values: &mut [Self]) -> NumbersMut<'_>;
}

impl Element for f64 {
    fn nearest(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }

    fn numbers(values: &[Self]) -> Numbers<'_> {
        Numbers::F64(values)
    }

    fn numbers_mut(values: &mut [Self]) -> NumbersMut<'_> {
        NumbersMut::F64(values)
    }
}

impl Element for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to nearest")]
    fn nearest(value: f64) -> Self {
        value as f32
    }

    fn wide(self) -> f64 {
        self.into()
    }

    fn numbers(values: &[Self]) -> Numbers<'_> {
        Numbers::F32(values)
    }

    fn numbers_mut(values: &mut [Self]) -> NumbersMut<'_> {
        NumbersMut::F32(values)
    }
}
