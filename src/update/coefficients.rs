//! The formula: the coefficients of one step of one tensor, and the update of one element.
//!
//! This file does not know of arrays. [`Coefficients::element`] is the only place where the update
//! stands as code; every path of the crate (scalar, contiguous, strided, vectorised, parallel) calls
//! it.

use crate::{
    error::{Detail, Error},
    real::Real,
    reduce::{finite::MODERATE, norm::Factor},
    rule::{
        Adamax, EpsilonPlacement, NonFinite, Objective,
        operations::{self, Operations},
        range,
    },
    state::Keeps,
};

/// The constants of one step of one tensor, computed in f64 and rounded once to the precision of the
/// tensor. A setting that the rule does not use has a neutral value, which changes no bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients<A> {
    /// s: the norm-clip factor, negated to maximize; else 1.
    gradient_scale: A,
    /// A second factor of s, if s is below the normal numbers; else 1.
    gradient_rescale: A,
    /// c: the bound of the value clip; else ∞.
    clip: A,
    /// λ of L2 regularisation; else 0.
    l2: A,
    // Not side by side: they would be read as one vector, which waits until both are written.
    beta1: A,
    epsilon: A,
    one_minus_beta1: A,
    beta2: A,
    guard: Guard,
    /// d: the part of the parameter that decoupled weight decay keeps; else 1.
    keep: A,
    /// The bounds of the parameter; else ∓∞.
    lower: A,
    upper: A,
    /// η = α / (1 − β₁ᵗ).
    step_size: A,
    /// True if the step is far below the largest number, for moderate gradients and a balanced state,
    /// without L2.
    bounded: bool,
    /// True if gradients are checked, so that a finite state stays finite.
    checked: bool,
    /// The [`operations`] that an update needs; those left out are neutral.
    operations: Operations,
}

/// The guard of the divisor against zero. Without ε its placement has no meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Guard {
    /// ε is 0: the divisor may be 0.
    None,
    /// ε > 0: the divisor is above 0.
    Epsilon(EpsilonPlacement),
}

/// Codes of [`Guard`]: Rust has no const parameters of enum type.
pub(crate) mod guard {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const OUTSIDE: u8 = 1;
    pub(crate) const INSIDE_MAX: u8 = 2;
    pub(crate) const ACCUMULATED: u8 = 3;
}

impl<A: Real> Coefficients<A> {
    /// Returns the coefficients of step `t`, counted from 1, with the learning rate multiplied by
    /// `lr_scale`.
    pub(crate) fn new(rule: &Adamax, t: u64, lr_scale: f64) -> Self {
        let learning_rate = rule.learning_rate() * lr_scale;
        let (l2, decay) = rule.weight_decay().rates();
        let epsilon = A::from_f64(rule.epsilon());
        let [beta1, beta2] = [rule.beta1(), rule.beta2()].map(A::from_f64);
        let step_size = A::from_f64(quotient(learning_rate, rule.correction(t)));
        let (lower, upper) = rule.bounds();
        let mut k = Self {
            gradient_scale: match rule.objective() {
                Objective::Minimize => A::ONE,
                Objective::Maximize => -A::ONE,
            },
            gradient_rescale: A::ONE,
            clip: A::from_f64(rule.clip_value()),
            l2: A::from_f64(l2),
            beta1,
            one_minus_beta1: A::from_f64(1.0 - rule.beta1()),
            beta2,
            epsilon,
            guard: if epsilon == A::ZERO {
                Guard::None
            } else {
                Guard::Epsilon(rule.epsilon_placement())
            },
            keep: A::from_f64(1.0 - learning_rate * decay),
            lower: A::from_f64(lower),
            upper: A::from_f64(upper),
            step_size,
            bounded: beta1 <= beta2 && step_size <= A::MODERATE_STEP,
            checked: rule.non_finite() != NonFinite::Propagate,
            operations: rule.operations(),
        };
        k.need(operations::SPECIAL, step_size == A::ZERO);
        k
    }

    /// Adds to the operations that an update needs, if the condition holds.
    #[inline(always)]
    fn need(&mut self, operation: Operations, is_needed: bool) {
        self.operations |= if is_needed { operation } else { operations::NONE };
    }

    /// Makes these the coefficients for a state that is not balanced, unless it is.
    #[inline(always)]
    pub(crate) fn set_balanced(&mut self, balanced: bool) {
        self.need(operations::SPECIAL, !balanced);
    }

    /// Makes these the coefficients of another step of the same rule, with the same learning rate scale.
    pub(crate) fn set_step(&mut self, rule: &Adamax, t: u64, lr_scale: f64) {
        let learning_rate = rule.learning_rate() * lr_scale;
        self.step_size = A::from_f64(quotient(learning_rate, rule.correction(t)));
        self.bounded = self.beta1 <= self.beta2 && self.step_size <= A::MODERATE_STEP;
        self.need(operations::SPECIAL, self.step_size == A::ZERO);
    }

    /// Returns these coefficients with the gradient multiplied by `factor`, for norm clipping.
    #[inline(always)]
    pub(crate) fn with_gradient_scale(mut self, factor: Factor) -> Self {
        let [scale, rescale] = factor.to_pair::<A>();
        self.gradient_scale = self.gradient_scale * scale;
        self.gradient_rescale = rescale;
        self.need(operations::PREPARE, self.gradient_scale != A::ONE);
        self.need(operations::SPECIAL, rescale != A::ONE);
        self
    }

    /// Refuses coefficients that overflow the precision of the tensor: an infinite one times zero
    /// would be NaN. Only the bound of value clipping may be infinite. Refuses decoupled decay by more
    /// than the whole parameter, and settings that have no effect in the precision of the tensor.
    #[inline]
    pub(crate) fn check(&self, rule: &Adamax) -> Result<(), Error> {
        // No coefficient is negative, and `keep` is at most 1. NaN fails each comparison.
        let finite = self.step_size < A::INFINITY && self.l2 < A::INFINITY;
        if finite && self.keep >= A::ZERO && rule.fits::<A>() {
            Ok(())
        } else {
            self.check_each(rule)
        }
    }

    #[cold]
    fn check_each(&self, rule: &Adamax) -> Result<(), Error> {
        let named = [("learning rate / (1 - beta1^t)", self.step_size), ("weight decay", self.l2)];
        if let Some((name, _)) = named.into_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Detail::Overflow { name, precision: A::NAME }.into());
        }
        let decay = 1.0 - self.keep.widen();
        range::check(PART_DECAYED, decay, decay <= 1.0, "at most 1 in a step")?;
        rule.check_precision::<A>()
    }

    /// Returns true if an update by these coefficients gives finite numbers, for a moderate gradient and
    /// a state that is balanced.
    #[inline(always)]
    pub(crate) fn is_bounded(&self) -> bool {
        self.bounded && self.l2 == A::ZERO
    }

    /// Returns true if λ·x is added to the gradient.
    pub(crate) fn has_l2(&self) -> bool {
        self.l2 != A::ZERO
    }

    /// Returns the margin below infinity, in powers of two, that a parameter must keep so that λ·x is
    /// moderate. With this, [`is_bounded`](Self::is_bounded) holds for L2 too.
    pub(crate) fn margin_of_parameter(&self) -> Option<u16> {
        let above_one = u16::try_from(libm::ilogb(self.l2.widen()).saturating_add(1));
        self.bounded.then(|| MODERATE + above_one.unwrap_or(0))
    }

    /// Returns the margin below infinity that gradient and first moment must keep so that the step is
    /// far below the largest number, whatever the norm is. `None` without ε and with L2.
    pub(crate) fn margin_of_moment(&self) -> Option<u16> {
        if self.guard == Guard::None || self.l2 != A::ZERO {
            return None;
        }
        let exponent = |value: A| libm::ilogb(value.widen());
        // η·|m|/ε < 2^(MAX_EXP − 60), which changes no bit of the largest number. Rounding the
        // exponents takes two powers more.
        let ratio = if self.step_size == A::ZERO {
            0
        } else {
            exponent(self.step_size) - exponent(self.epsilon)
        };
        u16::try_from(ratio.max(0) + 62).ok()
    }

    /// Returns true unless the rule lets NaN and infinities propagate.
    #[inline(always)]
    pub(crate) fn checks(&self) -> bool {
        self.checked
    }

    /// Returns what a step leaves true of a state.
    #[inline(always)]
    pub(crate) fn keeps(&self) -> Keeps {
        Keeps { balance: self.beta1 <= self.beta2, finite: self.checked }
    }

    /// Returns the [`operations`] that an update needs.
    #[inline(always)]
    pub(crate) fn operations(&self) -> Operations {
        self.operations
    }

    #[inline]
    pub(crate) fn guard(&self) -> Guard {
        self.guard
    }

    /// Returns the new (x, m, u) of one element.
    ///
    /// `OPERATIONS` contains [`operations`](Self::operations). `GUARD` stands for [`guard`](Self::guard).
    /// An operation that they leave out is neutral: the bits are the same, but each one beside the
    /// division costs a few per cent while the arrays are in cache.
    #[inline(always)]
    pub(crate) fn element<const OPERATIONS: Operations, const GUARD: u8>(
        &self,
        x: A,
        g: A,
        m: A,
        u: A,
    ) -> (A, A, A) {
        let has = |operation| OPERATIONS & operation != 0;
        let special = has(operations::SPECIAL);
        let g = if special { self.gradient_rescale * g } else { g };
        let g = if has(operations::PREPARE) { self.prepare(g, x) } else { g };
        // Without flushing, the first moment of a coordinate whose gradient stays 0 ends at
        // 2.5e-323, and arithmetic on subnormal numbers slows each later step.
        let m = (self.beta1 * m + self.one_minus_beta1 * g).flush();
        let decayed = flush_norm(self.beta2 * u);
        let decayed = if GUARD == guard::ACCUMULATED { decayed + self.epsilon } else { decayed };
        let magnitude = if GUARD == guard::INSIDE_MAX { g.abs() + self.epsilon } else { g.abs() };
        let u = decayed.larger_magnitude(magnitude);
        let divisor = if GUARD == guard::OUTSIDE { u + self.epsilon } else { u };
        let quotient = m / divisor;
        let step = if special && quotient.abs() == A::INFINITY {
            // Only for β₁ > β₂, or after it, can |m| be so much larger than u. The step may still be finite.
            let scaled = m / (divisor * A::LARGEST_POWER);
            let step = self.step_size * scaled * A::LARGEST_POWER;
            // 0·∞ is NaN.
            if self.step_size == A::ZERO { A::ZERO } else { step }
        } else {
            self.step_size * quotient
        };
        // 0/0 arises only before the first gradient: such a coordinate takes no step.
        let step = if GUARD == guard::NONE && divisor == A::ZERO { A::ZERO } else { step };
        let kept = if has(operations::DECAY) { self.keep * x } else { x };
        // With a learning rate of 0, subtracting -0 would change the sign of -0.
        let stays = special && self.step_size == A::ZERO && step == A::ZERO;
        let x = if stays { kept } else { kept - step };
        let x = if has(operations::BOUND) { clamp(x, self.lower, self.upper) } else { x };
        (x, m, u)
    }

    /// Returns the gradient scaled, clipped and regularised.
    #[inline(always)]
    fn prepare(&self, g: A, x: A) -> A {
        let g = clamp(self.gradient_scale * g, -self.clip, self.clip);
        // λ = 0 is not multiplied: with an infinite x the product would be NaN.
        if self.l2 == A::ZERO { g } else { g + self.l2 * x }
    }
}

/// The name of α·λ in error messages.
const PART_DECAYED: &str = "learning rate * weight decay";

/// Divides, but skips a division by 1: late in a run the correction is 1, and a small step would wait
/// for the quotient.
#[inline(always)]
fn quotient(dividend: f64, divisor: f64) -> f64 {
    if divisor == 1.0 { dividend } else { dividend / divisor }
}

/// `Real::flush` for a value that is ≥ 0 or NaN: one comparison, which is faster.
#[inline(always)]
fn flush_norm<A: Real>(value: A) -> A {
    if value < A::MIN_POSITIVE { A::ZERO } else { value }
}

/// Limits `value` to `lower..=upper`. NaN stays NaN, and −0 stays −0 where 0 is allowed.
#[inline(always)]
pub(crate) fn clamp<A: Real>(value: A, lower: A, upper: A) -> A {
    let below = if value > upper { upper } else { value };
    if below < lower { lower } else { below }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{AdamaxBuilder, WeightDecay};
    use alloc::format;

    #[test]
    fn the_coefficients_of_another_step_are_those_of_a_new_one() {
        fn check<A: Real>(builder: AdamaxBuilder) {
            let rule = builder.build().unwrap();
            let mut k = Coefficients::<A>::new(&rule, 1, 0.5);
            for t in [2, 1 << 20, 1 << 60] {
                k.set_step(&rule, t, 0.5);
                let new = Coefficients::<A>::new(&rule, t, 0.5);
                assert_eq!(format!("{k:?}"), format!("{new:?}"), "{rule:?}, {t}");
            }
        }
        let builder = Adamax::builder();
        check::<f64>(builder);
        check::<f64>(builder.beta1(0.99).beta2(0.9));
        // The first steps are not moderate.
        let slowest = builder.beta1(1.0 - f64::EPSILON).beta2(1.0 - f64::EPSILON);
        check::<f64>(slowest.learning_rate(1e230));
        // In f32, the late steps round to 0.
        check::<f32>(builder.learning_rate(1e-45));
    }

    #[test]
    fn l2_regularisation_is_seen() {
        let has_l2 = |decay| {
            let rule = Adamax::builder().weight_decay(decay).build().unwrap();
            Coefficients::<f64>::new(&rule, 1, 1.0).has_l2()
        };
        assert!(has_l2(WeightDecay::L2(1e-9)));
        assert!(!has_l2(WeightDecay::None) && !has_l2(WeightDecay::Decoupled(0.1)));
    }

    /// Neutral operations would only take time.
    #[test]
    fn operations_that_a_loop_lacks_are_left_out() {
        let rule = Adamax::builder().learning_rate(0.25).bounds(-1.0, 1.0).clip_value(0.5);
        let rule = rule.weight_decay(WeightDecay::Decoupled(1.0)).epsilon(0.0).build().unwrap();
        let k = Coefficients::<f64>::new(&rule, 1, 1.0);
        let x_and_norm = |(x, _, u)| (x, u);
        let updated = [
            k.element::<{ operations::NONE }, { guard::NONE }>(8.0, 2.0, 0.0, 0.0),
            k.element::<{ operations::PREPARE }, { guard::NONE }>(8.0, 2.0, 0.0, 0.0),
            k.element::<{ operations::DECAY }, { guard::NONE }>(8.0, 2.0, 0.0, 0.0),
            k.element::<{ operations::BOUND }, { guard::NONE }>(8.0, 2.0, 0.0, 0.0),
        ];
        assert_eq!(updated.map(x_and_norm), [(7.75, 2.0), (7.75, 0.5), (5.75, 2.0), (1.0, 2.0)]);
    }
}
