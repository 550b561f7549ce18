//! The formula: coefficients for one step of one tensor, and what they do to one element.
//!
//! Nothing here knows of arrays. [`Coefficients::element`] is the only place where the update
//! stands as code; every path of the crate (scalar, flat, strided, vectorised, parallel) calls it.

use crate::{
    error::{Detail, Error},
    real::Real,
    rule::{Adamax, EpsilonPlacement, Objective, WeightDecay},
};

/// The constants of one step of one tensor, computed in f64 and rounded once to the tensor's
/// precision. Whatever a rule does not use has a neutral value that vanishes exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients<A> {
    /// s: the norm-clip factor, negated to maximize; else 1.
    gradient_scale: A,
    /// c: the bound of the value clip; else ∞.
    clip: A,
    /// λ of L2 regularisation; else 0.
    l2: A,
    beta1: A,
    one_minus_beta1: A,
    beta2: A,
    epsilon: A,
    guard: Guard,
    /// d: what decoupled weight decay keeps of the parameter; else 1.
    keep: A,
    /// η = α / (1 − β₁ᵗ).
    step_size: A,
}

/// How the divisor is kept from zero. Without ε its placement means nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Guard {
    /// ε is 0: a divisor of 0 is possible.
    None,
    /// ε > 0, placed somewhere: the divisor is above 0.
    Epsilon(EpsilonPlacement),
}

/// [`Guard`] as an argument of a generic function, which an enum cannot be.
pub(crate) mod guard {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const OUTSIDE: u8 = 1;
    pub(crate) const INSIDE_MAX: u8 = 2;
    pub(crate) const ACCUMULATED: u8 = 3;
}

/// Factors from outside the rule that act on one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// Multiplies the learning rate.
    pub(crate) learning_rate: f64,
    /// Multiplies the gradient (norm clipping).
    pub(crate) gradient: f64,
}

impl Scale {
    pub(crate) const NEUTRAL: Self = Scale { learning_rate: 1.0, gradient: 1.0 };
}

impl<A: Real> Coefficients<A> {
    /// Coefficients of step `t`, counted from 1.
    pub(crate) fn new(rule: &Adamax, t: u64, scale: Scale) -> Self {
        let learning_rate = rule.learning_rate() * scale.learning_rate;
        let (l2, decay) = match rule.weight_decay() {
            WeightDecay::None => (0.0, 0.0),
            WeightDecay::L2(lambda) => (lambda, 0.0),
            WeightDecay::Decoupled(lambda) => (0.0, lambda),
        };
        let epsilon = A::from_f64(rule.epsilon());
        Self {
            gradient_scale: A::from_f64(match rule.objective() {
                Objective::Minimize => scale.gradient,
                Objective::Maximize => -scale.gradient,
            }),
            clip: A::from_f64(rule.clip_value()),
            l2: A::from_f64(l2),
            beta1: A::from_f64(rule.beta1()),
            one_minus_beta1: A::from_f64(1.0 - rule.beta1()),
            beta2: A::from_f64(rule.beta2()),
            epsilon,
            guard: if epsilon == A::ZERO {
                Guard::None
            } else {
                Guard::Epsilon(rule.epsilon_placement())
            },
            keep: A::from_f64(1.0 - learning_rate * decay),
            step_size: A::from_f64(learning_rate / rule.correction(t)),
        }
    }

    /// Refuses coefficients that overflow the tensor's precision: an infinite one would turn into
    /// NaN where it meets a zero. The bound of the value clip alone may be infinite.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        // Only finite numbers have a finite sum.
        if (self.step_size + self.keep + self.l2 + self.epsilon).is_finite() {
            Ok(())
        } else {
            self.check_each()
        }
    }

    #[cold]
    fn check_each(&self) -> Result<(), Error> {
        let named = [
            ("learning rate / (1 - beta1^t)", self.step_size),
            ("learning rate * weight decay", self.keep),
            ("weight decay", self.l2),
            ("epsilon", self.epsilon),
        ];
        match named.into_iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((name, _)) => Err(Detail::Overflow { name, precision: A::NAME }.into()),
        }
    }

    /// Whether the gradient is anything but used as it is.
    #[inline]
    pub(crate) fn prepares_gradient(&self) -> bool {
        self.gradient_scale != A::ONE || self.clip != A::INFINITY || self.l2 != A::ZERO
    }

    /// Whether decoupled weight decay keeps less than all of the parameter.
    #[inline]
    pub(crate) fn decays(&self) -> bool {
        self.keep != A::ONE
    }

    #[inline]
    pub(crate) fn guard(&self) -> Guard {
        self.guard
    }

    /// The new (x, m, u) of one element.
    ///
    /// `PREPARE` is [`prepares_gradient`](Self::prepares_gradient), `DECAY` is
    /// [`decays`](Self::decays) and `GUARD` stands for [`guard`](Self::guard). Neutral operations
    /// would give the same bits, but not at the speed of the one division: each costs a few per
    /// cent where the arrays are in cache.
    #[inline(always)]
    pub(crate) fn element<const PREPARE: bool, const DECAY: bool, const GUARD: u8>(
        &self,
        x: A,
        g: A,
        m: A,
        u: A,
    ) -> (A, A, A) {
        let g = if PREPARE { self.prepare(g, x) } else { g };
        // An idle coordinate's first moment would stick at 2.5e-323 for ever, and each later step
        // would pay for arithmetic on subnormal numbers.
        let m = (self.beta1 * m + self.one_minus_beta1 * g).flush();
        let decayed = flush_norm(self.beta2 * u);
        let decayed = if GUARD == guard::ACCUMULATED { decayed + self.epsilon } else { decayed };
        let magnitude = if GUARD == guard::INSIDE_MAX { g.abs() + self.epsilon } else { g.abs() };
        let u = decayed.larger_magnitude(magnitude);
        let divisor = if GUARD == guard::OUTSIDE { u + self.epsilon } else { u };
        let step = self.step_size * m / divisor;
        // 0/0 is possible only before the first gradient: such a coordinate takes no step.
        let step = if GUARD == guard::NONE && divisor == A::ZERO { A::ZERO } else { step };
        let kept = if DECAY { self.keep * x } else { x };
        (kept - step, m, u)
    }

    /// The gradient, scaled, clipped and regularised.
    #[inline(always)]
    fn prepare(&self, g: A, x: A) -> A {
        let g = clamp(self.gradient_scale * g, self.clip);
        // Not λ·x with λ = 0: where x is lost to infinity or NaN, that is NaN.
        if self.l2 == A::ZERO { g } else { g + self.l2 * x }
    }
}

/// [`flush`](Real::flush) for what is ≥ 0 or NaN: a comparison is faster, without a look at the
/// sign.
#[inline(always)]
fn flush_norm<A: Real>(value: A) -> A {
    if value < A::MIN_POSITIVE { A::ZERO } else { value }
}

/// Moves a mean by `weight` of its way to a value; all the way, exactly, where `weight` is 1.
#[inline(always)]
pub(crate) fn approach<A: Real>(weight: A, mean: A, value: A) -> A {
    if weight == A::ONE { value } else { mean + weight * (value - mean) }
}

/// `value` limited to ±`bound`; NaN stays NaN.
#[inline(always)]
fn clamp<A: Real>(value: A, bound: A) -> A {
    let below = if value > bound { bound } else { value };
    if below < -bound { -bound } else { below }
}
