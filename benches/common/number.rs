//! The two precisions, as the benches need them.

use adamax::{Real, ndarray::ScalarOperand};
use num_traits::float::FloatCore;

pub(crate) trait Number: Real + FloatCore + ScalarOperand + Into<f64> {
    const LABEL: &'static str;

    /// Rounds to nearest.
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

    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
    fn of(value: f64) -> Self {
        value as f32
    }
}
