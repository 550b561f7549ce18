//! Repeats runs of other implementations step by step.
//!
//! `golden/generate.py` ran the other implementations (the peers) and documents how. The JSON files
//! in its folder contain the results but no gradients. This file has the same generator of
//! gradients, which gives exactly the same numbers.

use adamax::{
    Adamax, BiasCorrection, EpsilonPlacement, Error, Objective, Outcome, Real, State, WeightDecay,
};
use ndarray::{Array, Dimension, Ix0, Ix1, Ix2, Ix3, Ix4, IxDyn};
use serde_json::Value;
use std::fmt;

/// Name, number of runs and content of each file. The number detects a lost run.
const FILES: [(&str, usize, &str); 5] = [
    ("torch", 13, include_str!("../golden/torch.json")),
    ("keras", 9, include_str!("../golden/keras.json")),
    ("optax", 9, include_str!("../golden/optax.json")),
    ("paddle", 10, include_str!("../golden/paddle.json")),
    ("mlx", 7, include_str!("../golden/mlx.json")),
];

/// Every run has these tensors, recorded at these steps.
const SHAPES: [&[usize]; 5] = [&[], &[5], &[3, 4], &[2, 3, 2], &[2, 2, 3, 2]];
const CHECKPOINTS: [u64; 8] = [1, 2, 3, 5, 10, 50, 100, 200];

// Tolerances are in units of f64::EPSILON or f32::EPSILON, according to the precision of the run.
// "Seen" is the largest deviation in all runs. Both sides round the same few operations, some in
// another order. So x is seldom rounded differently, and upward as often as downward.

/// For x, relative to max(|x|, α), at any step. Seen: 2.6.
const X_UNITS: f64 = 4.0;
/// For x, added per step of decoupled decay. This crate multiplies x by a rounded 1 − αλ; a peer
/// subtracts a rounded αλx. The error has the same sign at every step and is at most half a unit.
/// Seen: 0.35 on average over 200 steps, which is 69 units.
const X_UNITS_PER_DECAY: f64 = 0.5;
/// For m, relative to u, because the gradients in the mean m may cancel. Errors decay as fast as m
/// itself, so they do not accumulate over the steps. Seen: 1.8.
const M_UNITS: f64 = 2.0;
/// For u: β₂·u and |g| + ε have one rounding each, which is the same everywhere. Seen: 0.
const U_UNITS: f64 = 0.0;
/// For u with L2 decay, relative to max(u, λ|x|), because g and λx may cancel. Seen: 1.0.
const U_UNITS_WITH_L2: f64 = 2.0;
/// For u, added per step, if the tensors are f64 but the peer rounded β₂ to f32. The rounding error
/// of 0.999 is 0.11 units of f32.
const U_UNITS_PER_STEP_WITH_ROUNDED_BETA2: f64 = 0.12;

#[test]
fn every_run_of_every_peer_is_reproduced() {
    for (peer, runs, json) in FILES {
        let cases = cases(json);
        assert_eq!(cases.len(), runs, "runs in {peer}.json");
        for case in &cases {
            assert_eq!(case.peer, peer);
            let shapes: Vec<_> = case.tensors.iter().map(|tensor| &tensor.shape[..]).collect();
            assert_eq!(shapes, SHAPES, "{case}");
            for tensor in &case.tensors {
                let steps: Vec<_> = tensor.checkpoints.iter().map(|at| at.step).collect();
                assert_eq!(steps, CHECKPOINTS, "{case}");
                let size = tensor.shape.iter().product::<usize>();
                let all = tensor.checkpoints.iter().flat_map(|at| &at.xmu);
                assert!(all.into_iter().all(|values| values.len() == size), "{case}");
            }
            let deviations = replay(case, &case.rule);
            let first: Vec<_> = deviations.iter().take(10).map(ToString::to_string).collect();
            assert!(
                deviations.is_empty(),
                "{} deviations, the first of which are\n{}",
                deviations.len(),
                first.join("\n"),
            );
        }
    }
}

#[test]
fn presets_are_the_peers_defaults() -> Result<(), Error> {
    let mut seen = 0;
    for case in all_cases().iter().filter(|case| case.name == "default") {
        let learning_rate = case.rule.learning_rate();
        let preset = match case.peer.as_str() {
            "torch" => Adamax::pytorch(),
            "keras" => Adamax::keras(),
            "optax" => Adamax::optax(learning_rate)?,
            "paddle" => Adamax::paddle(),
            "mlx" => Adamax::mlx(learning_rate)?,
            other => panic!("no preset for {other}"),
        };
        assert_eq!(preset, case.rule, "{case}");
        seen += 1;
    }
    assert_eq!(seen, 2 * FILES.len());
    Ok(())
}

/// The placement of ε matters only if ε is about as large as the gradients. This test uses the runs
/// in which it is.
#[test]
fn a_wrong_placement_of_epsilon_is_noticed() -> Result<(), Error> {
    use EpsilonPlacement::{Accumulated, InsideMax, Outside};
    let mut seen = [0; 3];
    for case in all_cases().iter().filter(|case| case.rule.epsilon() > 1e-3) {
        for (placement, seen) in [Outside, InsideMax, Accumulated].into_iter().zip(&mut seen) {
            if placement == case.rule.epsilon_placement() {
                *seen += 1;
            } else {
                let wrong = case.rule.to_builder().epsilon_placement(placement).build()?;
                assert_noticed(case, &wrong);
            }
        }
    }
    assert_eq!(seen, [4, 4, 2], "runs with ε outside, inside, accumulated");
    Ok(())
}

#[test]
fn any_other_wrong_setting_is_noticed() -> Result<(), Error> {
    for case in &all_cases() {
        let right = case.rule;
        let opposite = match right.objective() {
            Objective::Maximize => Objective::Minimize,
            _ => Objective::Maximize,
        };
        assert_noticed(case, &right.to_builder().objective(opposite).build()?);

        let other_correction = match right.bias_correction() {
            BiasCorrection::Off => BiasCorrection::On,
            _ => BiasCorrection::Off,
        };
        assert_noticed(case, &right.to_builder().bias_correction(other_correction).build()?);

        let other_decay = match right.weight_decay() {
            WeightDecay::L2(lambda) => WeightDecay::Decoupled(lambda),
            WeightDecay::Decoupled(lambda) => WeightDecay::L2(lambda),
            _ => WeightDecay::Decoupled(0.01),
        };
        assert_noticed(case, &right.to_builder().weight_decay(other_decay).build()?);
    }
    Ok(())
}

/// Asserts that x leaves its tolerance, not only m and u.
fn assert_noticed(case: &Case, wrong: &Adamax) {
    let noticed = replay(case, wrong).iter().any(|deviation| deviation.quantity == "x");
    assert!(noticed, "{case}: x does not distinguish {wrong:?} from {:?}", case.rule);
}

// ---------------------------------------------------------------- replaying

/// A number that is out of tolerance.
struct Deviation {
    case: String,
    shape: Vec<usize>,
    step: u64,
    quantity: &'static str,
    index: usize,
    found: f64,
    expected: f64,
    tolerance: f64,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deviation { case, shape, step, quantity, index, found, expected, tolerance } = self;
        write!(
            f,
            "{case}: shape {shape:?}, step {step}, {quantity}[{index}] in C order is {found:e}, \
             but the peer has {expected:e}; {:e} apart, allowed {tolerance:e}",
            (found - expected).abs(),
        )
    }
}

/// Repeats a run with `rule` and returns the numbers that are out of tolerance.
fn replay(case: &Case, rule: &Adamax) -> Vec<Deviation> {
    let replay_tensor = match case.dtype {
        Precision::F64 => replay_tensor::<f64>,
        Precision::F32 => replay_tensor::<f32>,
    };
    case.tensors.iter().flat_map(|tensor| replay_tensor(case, tensor, rule)).collect()
}

fn replay_tensor<A: Float>(case: &Case, tensor: &Tensor, rule: &Adamax) -> Vec<Deviation> {
    let replay = match tensor.shape.len() {
        0 => replay_array::<A, Ix0>,
        1 => replay_array::<A, Ix1>,
        2 => replay_array::<A, Ix2>,
        3 => replay_array::<A, Ix3>,
        4 => replay_array::<A, Ix4>,
        axes => panic!("{case}: {axes} axes"),
    };
    replay(case, tensor, rule)
}

fn replay_array<A: Float, D: Dimension>(
    case: &Case,
    tensor: &Tensor,
    rule: &Adamax,
) -> Vec<Deviation> {
    let mut inputs = Inputs::new(tensor);
    let mut x: Array<A, D> = inputs.parameter();
    let mut state = State::zeros_like(&x);
    let mut deviations = Vec::new();
    for expected in &tensor.checkpoints {
        while state.steps() < expected.step {
            let gradient = inputs.gradient(state.steps() + 1);
            let outcome = rule.step(&mut state, &mut x, &gradient);
            assert!(matches!(outcome, Ok(Outcome::Applied)), "{case}: {outcome:?}");
        }
        assert_eq!(state.steps(), expected.step, "{case}");
        let found = [
            flat(x.iter().copied()),
            flat(state.first_moment().iter().copied()),
            flat(state.inf_norm().iter().copied()),
        ];
        for index in 0..x.len() {
            let tolerances = tolerances(case, expected, index);
            for (which, quantity) in ["x", "m", "u"].into_iter().enumerate() {
                let tolerance = tolerances[which];
                let (found, expected_value) = (found[which][index], expected.xmu[which][index]);
                let agrees = (found - expected_value).abs() <= tolerance; // false for NaN
                if !agrees {
                    deviations.push(Deviation {
                        case: case.to_string(),
                        shape: tensor.shape.clone(),
                        step: expected.step,
                        quantity,
                        index,
                        found,
                        expected: expected_value,
                        tolerance,
                    });
                }
            }
        }
    }
    deviations
}

/// The largest allowed deviations of x, m and u from the peer's values.
fn tolerances(case: &Case, expected: &Checkpoint, index: usize) -> [f64; 3] {
    let [x, _, u] = [0, 1, 2].map(|which| expected.xmu[which][index]);
    #[allow(clippy::cast_precision_loss)] // at most 200
    let t = expected.step as f64;
    let (l2, decays) = match case.rule.weight_decay() {
        WeightDecay::L2(lambda) => (lambda, 0.0),
        WeightDecay::Decoupled(_) => (0.0, t),
        _ => (0.0, 0.0),
    };
    let rounded_beta2 = case.dtype == Precision::F64 && case.hyperparameters == Precision::F32;
    let unit = match (case.dtype, rounded_beta2) {
        (Precision::F64, false) => f64::EPSILON,
        _ => f32::EPSILON.into(),
    };

    let x_units = X_UNITS + X_UNITS_PER_DECAY * decays;
    let for_x = x_units * unit * x.abs().max(case.rule.learning_rate());
    // With L2, g and λx may cancel, and the error of x enters the gradient.
    let scale = u.max(l2 * x.abs());
    let from_x = l2 * for_x;
    let u_units = if l2 > 0.0 {
        U_UNITS_WITH_L2
    } else if rounded_beta2 {
        U_UNITS_PER_STEP_WITH_ROUNDED_BETA2 * t
    } else {
        U_UNITS
    };
    [for_x, M_UNITS * unit * scale + from_x, u_units * unit * scale + from_x]
}

/// `f64` or `f32`, with conversions between them.
trait Float: Real + Into<f64> {
    /// Converts a `value` that is exact in both precisions.
    fn exact(value: f64) -> Self;
}

impl Float for f64 {
    fn exact(value: f64) -> f64 {
        value
    }
}

impl Float for f32 {
    #[allow(clippy::cast_possible_truncation)]
    fn exact(value: f64) -> f32 {
        assert_eq!(f64::from(value as f32), value, "inputs are short dyadic numbers");
        value as f32
    }
}

fn flat<A: Into<f64>>(values: impl Iterator<Item = A>) -> Vec<f64> {
    values.map(Into::into).collect()
}

// ---------------------------------------------------------------- inputs

/// The stream of numbers for one tensor, as `GENERATOR` in `generate.py` describes it.
struct Inputs<'a> {
    tensor: &'a Tensor,
    /// The state of `SplitMix64`.
    state: u64,
}

impl<'a> Inputs<'a> {
    fn new(tensor: &'a Tensor) -> Self {
        Inputs { tensor, state: tensor.seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns the initial parameter. Must be called once, before [`gradient`](Self::gradient).
    fn parameter<A: Float, D: Dimension>(&mut self) -> Array<A, D> {
        self.array(|z| integer(z) * 2_f64.powi(-10))
    }

    /// Returns the gradient of one step. Must be called for the steps in order.
    fn gradient<A: Float, D: Dimension>(&mut self, step: u64) -> Array<A, D> {
        let phase = match step {
            ..=60 => 2_f64.powi(-2),
            61..=100 => 2_f64.powi(-12),
            101.. => 1.0,
        };
        let scale = phase * self.tensor.gradient_scale;
        self.array(|z| match (z >> 48) & 15 {
            0 => 0.0,
            e => integer(z) * scale / f64::from(1 << (11 + e % 4)),
        })
    }

    fn array<A: Float, D: Dimension>(&mut self, value: impl Fn(u64) -> f64) -> Array<A, D> {
        Array::from_shape_simple_fn(IxDyn(&self.tensor.shape), || A::exact(value(self.next())))
            .into_dimensionality()
            .expect("the caller chose D by the number of axes")
    }
}

/// Returns the top 12 bits as an integer in [−2048, 2048).
fn integer(z: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let k = (z >> 52) as f64;
    k - 2048.0
}

// ---------------------------------------------------------------- reading

/// One run of a peer.
struct Case {
    peer: String,
    name: String,
    dtype: Precision,
    /// The precision in which the peer stores β₁, β₂ and ε, whatever the `dtype` of the tensors.
    hyperparameters: Precision,
    rule: Adamax,
    tensors: Vec<Tensor>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {:?}", self.peer, self.name, self.dtype)
    }
}

struct Tensor {
    shape: Vec<usize>,
    seed: u64,
    gradient_scale: f64,
    checkpoints: Vec<Checkpoint>,
}

struct Checkpoint {
    step: u64,
    /// x, m and u in C order.
    xmu: [Vec<f64>; 3],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Precision {
    F32,
    F64,
}

fn all_cases() -> Vec<Case> {
    FILES.iter().flat_map(|(_, _, json)| cases(json)).collect()
}

fn cases(json: &str) -> Vec<Case> {
    let file: Value = serde_json::from_str(json).expect("the golden files are JSON");
    let case = |case| Case {
        peer: text(&file, "peer").to_owned(),
        name: text(case, "name").to_owned(),
        dtype: precision(text(case, "dtype")),
        hyperparameters: precision(text(case, "hyperparameters")),
        rule: rule(&case["rule"]).expect("a peer's settings are in range"),
        tensors: list(case, "tensors").iter().map(tensor).collect(),
    };
    list(&file, "cases").iter().map(case).collect()
}

fn rule(value: &Value) -> Result<Adamax, Error> {
    let decay = &value["weight_decay"];
    Adamax::builder()
        .learning_rate(number(value, "learning_rate"))
        .beta1(number(value, "beta1"))
        .beta2(number(value, "beta2"))
        .epsilon(number(value, "epsilon"))
        .epsilon_placement(match text(value, "epsilon_placement") {
            "Outside" => EpsilonPlacement::Outside,
            "InsideMax" => EpsilonPlacement::InsideMax,
            "Accumulated" => EpsilonPlacement::Accumulated,
            other => panic!("unknown placement {other}"),
        })
        .bias_correction(match text(value, "bias_correction") {
            "On" => BiasCorrection::On,
            "Off" => BiasCorrection::Off,
            other => panic!("unknown bias correction {other}"),
        })
        .weight_decay(match text(decay, "kind") {
            "None" => WeightDecay::None,
            "L2" => WeightDecay::L2(number(decay, "factor")),
            "Decoupled" => WeightDecay::Decoupled(number(decay, "factor")),
            other => panic!("unknown weight decay {other}"),
        })
        .objective(match text(value, "objective") {
            "Minimize" => Objective::Minimize,
            "Maximize" => Objective::Maximize,
            other => panic!("unknown objective {other}"),
        })
        .build()
}

fn tensor(value: &Value) -> Tensor {
    let axis = |length: &Value| length.as_u64().and_then(|n| n.try_into().ok());
    Tensor {
        shape: list(value, "shape").iter().map(axis).collect::<Option<_>>().expect("a shape"),
        seed: whole_number(value, "seed"),
        gradient_scale: number(value, "gradient_scale"),
        checkpoints: list(value, "checkpoints").iter().map(checkpoint).collect(),
    }
}

fn checkpoint(value: &Value) -> Checkpoint {
    let numbers = |key| {
        let numbers = list(value, key).iter().map(Value::as_f64);
        numbers.collect::<Option<_>>().expect("a list of numbers")
    };
    Checkpoint { step: whole_number(value, "step"), xmu: ["x", "m", "u"].map(numbers) }
}

fn precision(name: &str) -> Precision {
    match name {
        "f32" => Precision::F32,
        "f64" => Precision::F64,
        other => panic!("unknown precision {other}"),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key}"))
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no number {key}"))
}

fn whole_number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no whole number {key}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key}"))
}
