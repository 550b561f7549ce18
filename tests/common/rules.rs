//! The rules that the tests use.

use adamax::{
    Adamax, AdamaxBuilder, BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay,
};
use std::{format, string::String, vec, vec::Vec};

/// A rule and its name in messages.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) rule: Adamax,
}

impl Case {
    fn new(name: impl Into<String>, builder: AdamaxBuilder) -> Self {
        let name = name.into();
        let rule = builder.build().unwrap_or_else(|error| panic!("{name}: {error}"));
        Case { name, rule }
    }

    /// Returns the same rule with another policy for NaN and infinite gradients.
    pub(crate) fn with(&self, policy: NonFinite) -> Self {
        Case::new(self.name.clone(), self.rule.to_builder().non_finite(policy))
    }
}

/// About as large as the gradients, so that its placements give different results.
const EPSILON: f64 = 1e-2;
/// Within the range of the gradients, so that some are clipped and some are not.
const CLIP: f64 = 0.5;
/// Within the range of the parameters, so that some are at a bound and some are not.
const BOUNDS: (f64, f64) = (-0.75, 0.5);
const NO_BOUNDS: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// All combinations of settings, then the presets and the limits of the ranges.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = every_combination();
    cases.extend(presets_and_ends_of_ranges());
    cases
}

/// All combinations of settings.
pub(crate) fn every_combination() -> Vec<Case> {
    use EpsilonPlacement::{Accumulated, InsideMax, Outside};
    let mut cases = Vec::new();
    for placement in [Outside, InsideMax, Accumulated] {
        for epsilon in [EPSILON, 0.0] {
            for correction in [BiasCorrection::On, BiasCorrection::Off] {
                for decay in
                    [WeightDecay::None, WeightDecay::L2(0.03), WeightDecay::Decoupled(0.03)]
                {
                    for clip in [f64::INFINITY, CLIP] {
                        for bounds in [NO_BOUNDS, BOUNDS] {
                            for objective in [Objective::Minimize, Objective::Maximize] {
                                cases.push(Case::new(
                                    format!(
                                        "ε {epsilon} {placement:?}, correction {correction:?}, \
                                         decay {decay:?}, clip {clip}, bounds {bounds:?}, \
                                         {objective:?}"
                                    ),
                                    Adamax::builder()
                                        .learning_rate(0.01)
                                        .epsilon(epsilon)
                                        .epsilon_placement(placement)
                                        .bias_correction(correction)
                                        .weight_decay(decay)
                                        .clip_value(clip)
                                        .bounds(bounds.0, bounds.1)
                                        .objective(objective),
                                ));
                            }
                        }
                    }
                }
            }
        }
    }
    cases
}

fn presets_and_ends_of_ranges() -> Vec<Case> {
    // In both precisions: a decay rate that rounds to 1 is refused.
    let largest_below_1 = 1.0 - f64::from(f32::EPSILON) / 2.0;
    let optax = Adamax::optax(0.02).expect("in range").to_builder();
    let mlx = Adamax::mlx(0.02).expect("in range").to_builder();
    vec![
        Case::new("default", Adamax::builder()),
        Case::new("paper", Adamax::paper().to_builder()),
        Case::new("pytorch", Adamax::pytorch().to_builder()),
        Case::new("keras", Adamax::keras().to_builder()),
        Case::new("optax", optax),
        Case::new("paddle", Adamax::paddle().to_builder()),
        Case::new("mlx", mlx),
        Case::new("α 0", Adamax::builder().learning_rate(0.0)),
        Case::new("α 0, bounds", Adamax::builder().learning_rate(0.0).bounds(-0.5, 0.5)),
        Case::new("lower bound 0", Adamax::builder().bounds(0.0, f64::INFINITY)),
        Case::new("upper bound -0", Adamax::builder().bounds(f64::NEG_INFINITY, -0.0)),
        Case::new("fixed", Adamax::builder().bounds(0.1, 0.1)),
        Case::new("α 100", Adamax::builder().learning_rate(100.0)),
        Case::new("β₁ 0", Adamax::builder().beta1(0.0)),
        Case::new("β₂ 0", Adamax::builder().beta2(0.0)),
        Case::new("β₁ above β₂", Adamax::builder().beta1(0.95).beta2(0.5)),
        Case::new("β₁ almost 1", Adamax::builder().beta1(largest_below_1)),
        Case::new("β₂ almost 1", Adamax::builder().beta2(largest_below_1)),
        Case::new("ε 1000", Adamax::builder().epsilon(1000.0)),
        Case::new("clip 1e-3", Adamax::builder().clip_value(1e-3)),
        Case::new("λ 10", Adamax::builder().weight_decay(WeightDecay::L2(10.0))),
        Case::new(
            "decay to zero",
            Adamax::builder().learning_rate(0.5).weight_decay(WeightDecay::Decoupled(2.0)),
        ),
    ]
}

/// One rule for each kind of element update: ε zero, outside, inside the max and accumulated; the
/// gradient unchanged and preprocessed; the parameter kept, decayed and bounded.
pub(crate) fn one_of_each_kind() -> Vec<Case> {
    use EpsilonPlacement::{Accumulated, InsideMax, Outside};
    let mut cases = Vec::new();
    for (epsilon, placement) in
        [(0.0, Outside), (EPSILON, Outside), (EPSILON, InsideMax), (EPSILON, Accumulated)]
    {
        let plain = Adamax::builder().learning_rate(0.01).epsilon(epsilon);
        let plain = plain.epsilon_placement(placement);
        cases.push(Case::new(format!("ε {epsilon} {placement:?}"), plain));
        let decoupled = plain.weight_decay(WeightDecay::Decoupled(0.03));
        cases.push(Case::new(format!("ε {epsilon} {placement:?}, decoupled"), decoupled));
        cases.push(Case::new(
            format!("ε {epsilon} {placement:?}, clipped, decoupled"),
            decoupled.clip_value(CLIP),
        ));
        cases.push(Case::new(
            format!("ε {epsilon} {placement:?}, clipped, L2, maximize"),
            plain
                .weight_decay(WeightDecay::L2(0.03))
                .clip_value(CLIP)
                .objective(Objective::Maximize),
        ));
        let bounded = plain.bounds(BOUNDS.0, BOUNDS.1);
        cases.push(Case::new(format!("ε {epsilon} {placement:?}, bounded"), bounded));
        cases.push(Case::new(
            format!("ε {epsilon} {placement:?}, clipped, decoupled, bounded"),
            decoupled.clip_value(CLIP).bounds(BOUNDS.0, BOUNDS.1),
        ));
    }
    cases
}
