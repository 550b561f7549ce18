//! The operations of an update that most rules do not need.

use super::{Adamax, Objective};

/// A set of operations, as bits: they are const parameters of the loops.
pub(crate) type Operations = u8;

pub(crate) const NONE: Operations = 0;
/// Scaling, clipping and regularising the gradient.
pub(crate) const PREPARE: Operations = 1;
/// Decoupled weight decay.
pub(crate) const DECAY: Operations = 1 << 1;
/// Bounds of the parameter.
pub(crate) const BOUND: Operations = 1 << 2;
/// Operations that hardly ever change a bit: for a quotient beyond the largest number, a factor below
/// the smallest, or a parameter that must keep the sign of 0.
pub(crate) const SPECIAL: Operations = 1 << 3;

/// Returns the operations that the settings of a rule need, in any precision.
pub(super) fn of(rule: &Adamax) -> Operations {
    let (l2, decay) = rule.weight_decay.rates();
    let is_maximized = rule.objective == Objective::Maximize;
    let prepares = is_maximized || rule.clip_value < f64::INFINITY || l2 != 0.0;
    let has_bounds = rule.bounds() != (f64::NEG_INFINITY, f64::INFINITY);
    let set = |is_needed, operation| if is_needed { operation } else { NONE };
    set(prepares, PREPARE)
        | set(decay != 0.0, DECAY)
        | set(has_bounds, BOUND)
        | set(rule.beta1() > rule.beta2(), SPECIAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::WeightDecay;

    #[test]
    fn a_rule_needs_the_operations_that_it_sets() {
        let builder = Adamax::builder;
        let bounded = builder().bounds(-1.0, f64::INFINITY);
        let decayed = builder().weight_decay(WeightDecay::Decoupled(0.1));
        for (builder, needed) in [
            (builder(), NONE),
            (builder().weight_decay(WeightDecay::L2(0.1)), PREPARE),
            (builder().clip_value(9.0), PREPARE),
            (builder().objective(Objective::Maximize), PREPARE),
            (decayed, DECAY),
            (bounded, BOUND),
            (decayed.bounds(-1.0, 1.0).clip_value(1.0), PREPARE | DECAY | BOUND),
            // With equal decay rates, no first moment is very much larger than its norm.
            (builder().beta1(0.9).beta2(0.9), NONE),
            (bounded.beta1(0.9).beta2(0.8), BOUND | SPECIAL),
        ] {
            let rule = builder.build().unwrap();
            assert_eq!(of(&rule), needed, "{rule:?}");
        }
    }
}
