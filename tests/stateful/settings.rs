//! Rules and settings from bytes: mostly usual ones, now and then one at an end of its range.

use super::bytes::Bytes;
use adamax::{
    Adamax, AdamaxBuilder, BiasCorrection, EpsilonPlacement, MaxNorm, NonFinite, Objective,
    WeightDecay, schedule::Schedule,
};

/// Returns the settings of a rule, which are in their ranges.
pub(crate) fn rule(bytes: &mut Bytes<'_>) -> AdamaxBuilder {
    use EpsilonPlacement::{Accumulated, InsideMax, Outside};
    let decay = bytes.pick(&[1e-2, 0.5, 3.0, 1e30, 1e-60]);
    let decay = bytes.mostly_first(&[
        WeightDecay::None,
        WeightDecay::L2(decay),
        WeightDecay::Decoupled(decay),
    ]);
    let (lower, upper) = bytes.mostly_first(&[
        (f64::NEG_INFINITY, f64::INFINITY),
        (-0.75, 0.5),
        (0.0, f64::INFINITY),
        (f64::NEG_INFINITY, -0.0),
        (0.1, 0.1),
        (-1e300, 1e300),
    ]);
    Adamax::builder()
        .learning_rate(bytes.mostly_first(&[0.002, 0.3, 0.0, 100.0, 1e-12, 1e-60, 1e36, 1e300]))
        .beta1(bytes.mostly_first(&[0.9, 0.0, 0.5, 0.99, 0.9999, 1.0 - 1e-9]))
        .beta2(bytes.mostly_first(&[0.999, 0.0, 0.5, 0.99, 1.0 - 1e-9]))
        .epsilon(bytes.mostly_first(&[1e-8, 0.0, 1e-2, 1000.0, 1e-60, 1e300]))
        .epsilon_placement(bytes.mostly_first(&[Outside, InsideMax, Accumulated]))
        .bias_correction(bytes.mostly_first(&[BiasCorrection::On, BiasCorrection::Off]))
        .weight_decay(decay)
        .clip_value(bytes.mostly_first(&[f64::INFINITY, 0.5, 1e-3, 1e-60]))
        .bounds(lower, upper)
        .objective(bytes.mostly_first(&[Objective::Minimize, Objective::Maximize]))
        .non_finite(bytes.mostly_first(&[NonFinite::Error, NonFinite::Skip, NonFinite::Propagate]))
}

/// Returns settings of which one is out of its range.
pub(crate) fn wrong_rule(bytes: &mut Bytes<'_>) -> AdamaxBuilder {
    let wrong = bytes.pick(&[-1.0, f64::NAN, -f64::INFINITY]);
    let rule = Adamax::builder();
    match bytes.below(8) {
        0 => rule.learning_rate(wrong),
        1 => rule.beta1(wrong),
        2 => rule.beta2(1.0),
        3 => rule.epsilon(wrong),
        4 => rule.weight_decay(WeightDecay::L2(wrong)),
        5 => rule.weight_decay(WeightDecay::Decoupled(wrong)),
        6 => rule.clip_value(wrong),
        _ => rule.bounds(1.0, 0.5),
    }
}

/// Returns a bound on norms; `Err` if it is out of its range.
pub(crate) fn max_norm(bytes: &mut Bytes<'_>) -> Result<Option<MaxNorm>, MaxNorm> {
    let bound = match bytes.below(4) {
        0 => 1.0,
        1 => 0.01,
        _ => bytes.mostly_first(&[3.0, 1e-6, f64::INFINITY, 1e-40, 1e-60, 1e300]),
    };
    let kind = if bytes.below(2) == 0 { MaxNorm::Global } else { MaxNorm::PerTensor };
    match bytes.below(8) {
        0..3 => Ok(None),
        3 => Err(kind(bytes.pick(&[0.0, -1.0, f64::NAN]))),
        _ => Ok(Some(kind(bound))),
    }
}

/// Returns a factor on the learning rate, which may be out of its range.
pub(crate) fn lr_scale(bytes: &mut Bytes<'_>) -> f64 {
    bytes.mostly_first(&[1.0, 0.5, 0.0, 1e-30, 1e30, 1e300, -1.0, f64::NAN, f64::INFINITY])
}

/// Returns a schedule of the learning rate: a constant, or one that changes.
pub(crate) fn schedule(bytes: &mut Bytes<'_>) -> Schedule {
    let schedule = match bytes.below(4) {
        0 => Schedule::constant(0.7),
        1 => Schedule::cosine(9, 0.1),
        2 => Schedule::exponential(3, 0.5),
        _ => Schedule::linear(12, 1.0, 0.0),
    };
    schedule.expect("settings in range")
}
