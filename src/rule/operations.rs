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
