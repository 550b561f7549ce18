//! Checks the results of an implementation before it is timed.

use adamax::{Adamax, WeightDecay};

use super::{
    Number,
    input::{gradients, parameters},
};

/// The number of steps before the check. With fewer steps, moments have hardly decayed.
pub(crate) const STEPS: u8 = 3;

/// The largest allowed error, in units of the precision. A step rounds a parameter below 1 by at
/// most half a unit. It changes the parameter by about 0.002, and this change is rounded too.
pub(crate) const UNITS: f64 = 4.0;

/// Asserts that each value equals `expected`, computed from its initial value and its gradient.
pub(crate) fn assert_each<'a, A: Number>(
    values: impl IntoIterator<Item = &'a A>,
    expected: impl Fn(f64, f64) -> f64,
) {
    let inputs = parameters::<A>().zip(gradients::<A>());
    let mut checked = 0_usize;
    for (value, (x, g)) in values.into_iter().zip(inputs) {
        assert_close(checked, *value, expected(x.into(), g.into()), UNITS);
        checked += 1;
    }
    assert!(checked > 0, "nothing to check");
}

/// Asserts that the value of an element equals `expected`, to within some units of the precision.
pub(crate) fn assert_close<A: Number>(element: usize, value: A, expected: f64, units: f64) {
    let (value, tolerance) = (value.into(), units * A::epsilon().into());
    // Written so that NaN fails.
    let close = (value - expected).abs() <= tolerance;
    assert!(close, "element {element}: {value} instead of {expected}");
}

/// Returns a function that computes a parameter after [`STEPS`] steps from zero moments, all with
/// the same gradient times `factor`.
pub(crate) fn naive(rule: &Adamax, factor: f64) -> impl Fn(f64, f64) -> f64 {
    move |x, g| descend(rule, x, std::iter::repeat_n(factor * g, STEPS.into()))
}

/// Returns a parameter after a step from zero moments with each of the gradients. It applies the
/// formula of the paper to one number at a time.
pub(crate) fn descend(rule: &Adamax, mut x: f64, gradients: impl Iterator<Item = f64>) -> f64 {
    let (alpha, beta1, beta2) = (rule.learning_rate(), rule.beta1(), rule.beta2());
    let epsilon = rule.epsilon();
    let (lower, upper) = rule.bounds();
    let keep = match rule.weight_decay() {
        WeightDecay::Decoupled(lambda) => 1.0 - alpha * lambda,
        _ => 1.0,
    };
    let (mut m, mut u) = (0.0, 0.0_f64);
    for (t, g) in (1..).zip(gradients) {
        m = beta1 * m + (1.0 - beta1) * g;
        u = (beta2 * u).max(g.abs());
        let step_size = alpha / (1.0 - beta1.powi(t));
        x = (keep * x - step_size * m / (u + epsilon)).clamp(lower, upper);
    }
    x
}
