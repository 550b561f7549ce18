//! A trait for `f32` and `f64`, with the conversions that the benches need.

use adamax::{Real, ndarray::ScalarOperand};
use num_traits::float::FloatCore;

pub(crate) trait Number: Real + FloatCore + ScalarOperand + Into<f64> {
    const LABEL: &'static str;

    /// Converts from `f64`, rounding to nearest.
    fn of(value: f64) -> Self;
}

impl Number for f64 {
    const LABEL: &'static str = "f64";

    fn of(value: f64) -> Self {
        value
    }
}

impl Number for f32 {
    const LABEL: &'static str = "f32";

    #[expect(clippy::cast_possible_truncation, reason = "rounding is intended")]
    fn of(value: f64) -> Self {
        value as f32
    }
}
