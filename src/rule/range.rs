//! Range checks for hyperparameters.

use crate::error::{Detail, Error};

// Each condition is true for allowed values only, so NaN is refused.

pub(crate) fn check(
    name: &'static str,
    value: f64,
    allowed: bool,
    range: &'static str,
) -> Result<(), Error> {
    if allowed { Ok(()) } else { Err(Detail::Hyperparameter { name, value, range }.into()) }
}

pub(crate) fn check_not_negative(name: &'static str, value: f64) -> Result<(), Error> {
    check(name, value, value >= 0.0 && value.is_finite(), "finite and at least 0")
}

pub(crate) fn check_positive(name: &'static str, value: f64) -> Result<(), Error> {
    check(name, value, value > 0.0, "greater than 0")
}
