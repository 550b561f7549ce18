//! A second implementation of Adamax, written from the paper: simple, slow, one element at a time.
//!
//! Kingma & Ba, *Adam*, §7.1, Algorithm 2, with the variants that the crate documents. Each variant
//! is an `if` here, without neutral constants, generic parameters or bit operations.

use super::Float;
use adamax::{Adamax, BiasCorrection, EpsilonPlacement, Objective, WeightDecay};

/// Returns the new (x, m, u) of one element at step `t`, counted from 1.
pub(crate) fn step<A: Float>(x: A, g: A, m: A, u: A, t: u64, rule: &Adamax) -> (A, A, A) {
    step_with(correction(rule, t), x, g, m, u, rule)
}

/// The same, with β₁ᵗ computed as a product of t factors.
pub(crate) fn simple_step<A: Float>(x: A, g: A, m: A, u: A, t: u64, rule: &Adamax) -> (A, A, A) {
    let mut power = 1.0;
    for _ in 0..t {
        power *= rule.beta1();
    }
    let correction = match rule.bias_correction() {
        BiasCorrection::Off => 1.0,
        _ => 1.0 - power,
    };
    step_with(correction, x, g, m, u, rule)
}

/// The same, for a given 1 − β₁ᵗ.
pub(crate) fn step_with<A: Float>(
    correction: f64,
    x: A,
    mut g: A,
    mut m: A,
    mut u: A,
    rule: &Adamax,
) -> (A, A, A) {
    // Settings are f64. Each coefficient is rounded once to the precision of the elements.
    let beta1 = A::of(rule.beta1());
    let one_minus_beta1 = A::of(1.0 - rule.beta1());
    let beta2 = A::of(rule.beta2());
    let epsilon = A::of(rule.epsilon());
    let clip = A::of(rule.clip_value());
    let step_size = A::of(rule.learning_rate() / correction);

    if rule.objective() == Objective::Maximize {
        g = -g;
    }
    if g > clip {
        g = clip;
    }
    if g < -clip {
        g = -clip;
    }
    if let WeightDecay::L2(lambda) = rule.weight_decay() {
        g = g + A::of(lambda) * x;
    }

    m = without_subnormals(beta1 * m + one_minus_beta1 * g);

    let mut decayed = without_subnormals(beta2 * u);
    let mut magnitude = magnitude(g);
    if rule.epsilon_placement() == EpsilonPlacement::Accumulated {
        decayed = decayed + epsilon;
    }
    if rule.epsilon_placement() == EpsilonPlacement::InsideMax {
        magnitude = magnitude + epsilon;
    }
    u = larger(decayed, magnitude);

    let mut divisor = u;
    if rule.epsilon_placement() == EpsilonPlacement::Outside {
        divisor = divisor + epsilon;
    }
    let quotient = m / divisor;
    let quotient_overflows = quotient == A::INF || quotient == -A::INF;
    let mut change = step_size * quotient;
    if quotient_overflows {
        // Its product with a small step size may be a number.
        let scale = A::of((A::LARGEST.wide().log2().ceil() - 1.0).exp2());
        change = step_size * (m / (divisor * scale)) * scale;
    }
    if divisor == A::of(0.0) || quotient_overflows && step_size == A::of(0.0) {
        change = A::of(0.0);
    }
    let mut kept = x;
    if let WeightDecay::Decoupled(lambda) = rule.weight_decay() {
        kept = A::of(1.0 - rule.learning_rate() * lambda) * x;
    }
    // Without a step size, the parameter keeps the sign of 0.
    let stays = step_size == A::of(0.0) && change == A::of(0.0);
    let mut new_x = if stays { kept } else { kept - change };
    let (lower, upper) = rule.bounds();
    if new_x < A::of(lower) {
        new_x = A::of(lower);
    }
    if new_x > A::of(upper) {
        new_x = A::of(upper);
    }
    (new_x, m, u)
}

/// Returns 1 − β₁ᵗ. β₁ᵗ has twice as many digits as `f64`, so that the difference has all of its
/// digits.
pub(crate) fn correction(rule: &Adamax, t: u64) -> f64 {
    if rule.bias_correction() == BiasCorrection::Off {
        return 1.0;
    }
    let (mut power, mut square, mut rest) = ((1.0, 0.0), (rule.beta1(), 0.0), t);
    while rest > 0 {
        if rest % 2 == 1 {
            power = product(power, square);
        }
        square = product(square, square);
        rest /= 2;
    }
    let difference = 1.0 - power.0;
    let lost = (1.0 - difference) - power.0;
    difference + (lost - power.1)
}

/// Multiplies two numbers, each of which is an unevaluated sum. `mul_add` gives the exact rounding
/// error of a product.
fn product(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let high = a.0 * b.0;
    let low = a.0.mul_add(b.0, -high) + (a.0 * b.1 + a.1 * b.0);
    let sum = high + low;
    (sum, (high - sum) + low)
}

/// Returns the larger of two numbers, or NaN if one of them is NaN.
fn larger<A: Float>(a: A, b: A) -> A {
    if is_nan(a) {
        return a;
    }
    if is_nan(b) {
        return b;
    }
    if a > b { a } else { b }
}

#[allow(clippy::eq_op)] // only NaN differs from itself
fn is_nan<A: Float>(value: A) -> bool {
    value != value
}

/// Returns |value|, which is +0 for both zeros.
pub(crate) fn magnitude<A: Float>(value: A) -> A {
    if value == A::of(0.0) {
        return A::of(0.0);
    }
    if value < A::of(0.0) { -value } else { value }
}

/// Replaces subnormal numbers and −0 by 0.
fn without_subnormals<A: Float>(value: A) -> A {
    if magnitude(value) < A::LEAST_NORMAL { A::of(0.0) } else { value }
}
