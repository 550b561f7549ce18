//! Tests of learning-rate schedules: values of other implementations (the peers), exact values,
//! refused arguments, properties and serde.
//!
//! `golden/schedules.py` ran the peers and documents how; `golden/schedules.json` has the results.

use crate::common::shown;
use adamax::{
    Adamax, Error, ErrorKind, State,
    schedule::{Amplitude, Schedule},
};
use ndarray::Array1;
use proptest::prelude::*;
use serde_json::Value;

/// Largest deviation from a peer's scale, in units of `f64::EPSILON`. It is absolute, because small
/// scales are differences of numbers near 1. Seen: 1.
const GOLDEN_UNITS: f64 = 2.0;
/// Added per step for PyTorch, which multiplies the rate of the previous step, or divides t by the
/// length of a cycle before it subtracts whole cycles. Seen: 0.091.
const GOLDEN_UNITS_PER_STEP: f64 = 0.125;
/// Keras' restarts compute π and the cosine in `f32`. Seen: 0.25 units of it.
const GOLDEN_KERAS_COSINE: f64 = 0.5 * (f32::EPSILON as f64);

/// Largest change against the direction of a schedule: one rounding error of each of two values.
const ROUNDING: f64 = 2.0 * f64::EPSILON;

#[test]
fn scales_equal_those_of_peers() {
    let file: Value = serde_json::from_str(include_str!("../golden/schedules.json")).expect("JSON");
    let cases = list(&file["schedules"]);
    assert_eq!(cases.len(), 40);
    for case in cases {
        let call = &case["call"];
        let schedule = parse(&case["schedule"]).unwrap_or_else(|error| panic!("{call}: {error}"));
        let scales = list(&case["scales"]);
        assert!(scales.len() > 40, "{call}");
        let units_per_step = if case["peer"] == "torch" { GOLDEN_UNITS_PER_STEP } else { 0.0 };
        for (t, expected) in (0_u32..).zip(scales.iter().map(number)) {
            let (found, t) = (schedule.scale(t.into()), f64::from(t));
            let tolerance = match (case["peer"].as_str(), case["schedule"][0].as_str()) {
                (Some("keras"), Some("cosine_decay_restarts")) => GOLDEN_KERAS_COSINE,
                _ => (GOLDEN_UNITS + units_per_step * t) * f64::EPSILON * expected.max(1.0),
            };
            assert!(
                (found - expected).abs() <= tolerance,
                "{call}, step {t}: {found:e}, but the peer has {expected:e}",
            );
        }
    }
}

/// Builds a schedule from the name of a constructor and its arguments.
fn parse(value: &Value) -> Result<Schedule, Error> {
    let arguments = list(value);
    let whole = |index: usize| whole_number(&arguments[index]);
    let real = |index: usize| number(&arguments[index]);
    let inner = |index: usize| parse(&arguments[index]);
    let points = || list(&arguments[1]).iter().map(|p| (whole_number(&p[0]), number(&p[1])));
    match arguments[0].as_str().expect("a name") {
        "constant" => Schedule::constant(real(1)),
        "step" => Schedule::step(whole(1), real(2)),
        "multi_step" => Schedule::multi_step(list(&arguments[1]).iter().map(whole_number), real(2)),
        "exponential" => Schedule::exponential(whole(1), real(2)),
        "inverse_time" => Schedule::inverse_time(whole(1), real(2)),
        "linear" => Schedule::linear(whole(1), real(2), real(3)),
        "polynomial" => Schedule::polynomial(whole(1), real(2), real(3)),
        "cosine" => Schedule::cosine(whole(1), real(2)),
        "one_cycle" => Schedule::one_cycle(whole(1), real(2), real(3), real(4)),
        "piecewise_constant" => Schedule::piecewise_constant(points()),
        "piecewise_linear" => Schedule::piecewise_linear(points()),
        "cosine_warm_restarts" => Schedule::cosine_warm_restarts(whole(1), whole(2), real(3)),
        "cyclic" => Schedule::cyclic(whole(1), whole(2), real(3), amplitude(&arguments[4])),
        "cosine_decay_restarts" => {
            Schedule::cosine_decay_restarts(whole(1), whole(2), real(3), real(4))
        }
        "scaled" => inner(2)?.scaled(real(1)),
        "times" => inner(1)?.times(inner(2)?),
        "warm_up" => inner(3)?.warm_up(whole(1), real(2)),
        "sequence" => {
            let part = |part: &Value| Ok((whole_number(&part[0]), parse(&part[1])?));
            let parts: Result<Vec<_>, Error> = list(&arguments[1]).iter().map(part).collect();
            Schedule::sequence(parts?, inner(2)?)
        }
        other => panic!("unknown schedule {other}"),
    }
}

fn amplitude(value: &Value) -> Amplitude {
    match value.as_str() {
        Some("constant") => Amplitude::Constant,
        Some("halving") => Amplitude::Halving,
        _ => Amplitude::Decaying(number(&value[1])),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn whole_number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a whole number: {value}"))
}

/// Largest deviation of x in a run of PyTorch, in units of `f64::EPSILON` times its size. Both sides
/// round a few operations per step, some in another order; PyTorch subtracts β₁ᵗ from 1. Seen: 1.1.
const RUN_UNITS: f64 = 4.0;

/// The recipe "Other settings on a schedule" of the documentation, beside PyTorch's run with the
/// defaults of `OneCycleLR`.
#[test]
fn one_cycle_with_its_momentum_equals_that_of_pytorch() -> Result<(), Error> {
    let file: Value = serde_json::from_str(include_str!("../golden/schedules.json")).expect("JSON");
    let run = &file["one_cycle_run"][0];
    let [rates, betas, values] = ["rates", "beta1", "x"].map(|name| list(&run[name]));
    assert_eq!(values.len(), 60);

    let rate = Schedule::one_cycle(60, 0.3, 1.0 / 25.0, 1.0 / 25e4)?.scaled(0.1)?;
    let beta1 = Schedule::one_cycle(60, 0.3, 0.95 / 0.85, 0.95 / 0.85)?.scaled(0.85)?;
    let mut x = Array1::from_iter(list(&run["start"]).iter().map(number));
    let mut state = State::zeros_like(&x);
    for (step, t) in (0_u32..60).zip(0..) {
        let rule = Adamax::pytorch()
            .to_builder()
            .learning_rate(rate.scale(t))
            .beta1(beta1.scale(t))
            .build()?;
        let index = step as usize;
        for (found, expected) in
            [(rule.learning_rate(), &rates[index]), (rule.beta1(), &betas[index])]
        {
            let deviation = (found - number(expected)).abs();
            assert!(deviation <= GOLDEN_UNITS * f64::EPSILON, "step {t}: {found} not {expected}");
        }
        let entry = |i: u32| (f64::from((37 * i + 101 * step) % 256) - 128.0) / 16.0;
        rule.step(&mut state, &mut x, &Array1::from_iter((0..3).map(entry)))?;
        for (found, expected) in x.iter().zip(list(&values[index]).iter().map(number)) {
            let tolerance = RUN_UNITS * f64::EPSILON * expected.abs().max(0.1);
            assert!((found - expected).abs() <= tolerance, "step {t}: {found}, not {expected}");
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- exact values

const END: u64 = u64::MAX;

/// Schedules, each with steps and the exact scales there: at corners, next to corners, at the end
/// and far beyond it.
type Corners = Vec<(Schedule, Vec<(u64, f64)>)>;

fn corners() -> Result<Corners, Error> {
    Ok([endless_decays()?, transitions()?, cycles()?, compositions()?].concat())
}

fn endless_decays() -> Result<Corners, Error> {
    Ok(vec![
        (Schedule::constant(0.3)?, vec![(0, 0.3), (1, 0.3), (END, 0.3)]),
        (Schedule::constant(0.0)?, vec![(0, 0.0), (END, 0.0)]),
        (
            Schedule::step(10, 0.5)?,
            vec![(0, 1.0), (9, 1.0), (10, 0.5), (19, 0.5), (20, 0.25), (END, 0.0)],
        ),
        (Schedule::step(10, 0.0)?, vec![(0, 1.0), (9, 1.0), (10, 0.0), (END, 0.0)]),
        (Schedule::step(10, 1.0)?, vec![(0, 1.0), (END, 1.0)]),
        (Schedule::step(10, 2.0)?, vec![(10, 2.0), (30, 8.0), (END, f64::MAX)]),
        (Schedule::step(END, 0.1)?, vec![(0, 1.0), (END - 1, 1.0), (END, 0.1)]),
        (
            Schedule::multi_step([3, 4, END], 0.5)?,
            vec![(0, 1.0), (2, 1.0), (3, 0.5), (4, 0.25), (END - 1, 0.25), (END, 0.125)],
        ),
        (Schedule::multi_step([0], 0.1)?, vec![(0, 0.1), (END, 0.1)]),
        (Schedule::exponential(10, 0.3)?, vec![(0, 1.0), (10, 0.3), (20, 0.3 * 0.3), (END, 0.0)]),
        (Schedule::exponential(10, 10.0)?, vec![(0, 1.0), (10, 10.0), (END, f64::MAX)]),
        (Schedule::inverse_time(10, 3.0)?, vec![(0, 1.0), (10, 0.25), (30, 0.1)]),
        (Schedule::inverse_time(10, 0.0)?, vec![(0, 1.0), (END, 1.0)]),
        (Schedule::inverse_time(1, f64::MAX)?, vec![(0, 1.0), (END, 0.0)]),
        (Schedule::noam(4)?, vec![(0, 0.25), (2, 0.75), (3, 1.0), (15, 0.5)]),
        (Schedule::noam(1)?, vec![(0, 1.0), (3, 0.5), (END, 2_f64.powi(-32))]),
    ])
}

fn transitions() -> Result<Corners, Error> {
    Ok(vec![
        (Schedule::linear(10, 0.3, 0.1)?, vec![(0, 0.3), (10, 0.1), (11, 0.1), (END, 0.1)]),
        (Schedule::linear(1, 0.1, 0.7)?, vec![(0, 0.1), (1, 0.7), (END, 0.7)]),
        (Schedule::linear(10, 0.1, 0.1)?, vec![(0, 0.1), (3, 0.1), (7, 0.1)]),
        (Schedule::linear(2, f64::MAX, f64::MAX)?, vec![(0, f64::MAX), (1, f64::MAX)]),
        (Schedule::linear(END, 1.0, 0.0)?, vec![(0, 1.0), (1 << 63, 0.5), (END, 0.0)]),
        (Schedule::polynomial(10, 3.0, 0.1)?, vec![(0, 1.0), (10, 0.1), (11, 0.1), (END, 0.1)]),
        (Schedule::polynomial(10, 2.0, 0.0)?, vec![(5, 0.25), (10, 0.0), (END, 0.0)]),
        (Schedule::polynomial(10, 2.0, 3.0)?, vec![(0, 1.0), (5, 2.5), (10, 3.0)]),
        (Schedule::cosine(10, 0.1)?, vec![(0, 1.0), (10, 0.1), (11, 0.1), (20, 0.1), (END, 0.1)]),
        (Schedule::cosine(10, 0.0)?, vec![(5, 0.5), (10, 0.0), (END, 0.0)]),
        (
            Schedule::one_cycle(10, 0.3, 0.1, 0.01)?,
            vec![(0, 0.1), (2, 1.0), (9, 0.01), (10, 0.01), (END, 0.01)],
        ),
        (Schedule::one_cycle(10, 0.1, 0.1, 0.01)?, vec![(0, 1.0), (9, 0.01), (END, 0.01)]),
        // The peak is the first step, or before it.
        (Schedule::one_cycle(4, 0.25, 0.1, 0.01)?, vec![(0, 1.0), (3, 0.01), (END, 0.01)]),
        (Schedule::one_cycle(1, 0.3, 0.1, 0.01)?, vec![(0, 0.01), (END, 0.01)]),
        (
            Schedule::piecewise_constant([(3, 0.1), (4, 1.7), (9, 0.0)])?,
            vec![(0, 0.1), (3, 0.1), (4, 1.7), (8, 1.7), (9, 0.0), (END, 0.0)],
        ),
        (
            Schedule::piecewise_linear([(3, 0.1), (4, 1.7), (8, 0.7)])?,
            vec![(0, 0.1), (3, 0.1), (4, 1.7), (6, 1.2), (8, 0.7), (9, 0.7), (END, 0.7)],
        ),
        (
            Schedule::piecewise_linear([(0, 0.0), (END, 1.0)])?,
            vec![(0, 0.0), (1 << 63, 0.5), (END, 1.0)],
        ),
    ])
}

fn cycles() -> Result<Corners, Error> {
    Ok(vec![
        (
            Schedule::cosine_warm_restarts(10, 1, 0.0)?,
            vec![(0, 1.0), (5, 0.5), (10, 1.0), (15, 0.5), (10_000_000_000, 1.0)],
        ),
        (
            Schedule::cosine_warm_restarts(2, 3, 0.0)?,
            vec![(0, 1.0), (1, 0.5), (2, 1.0), (5, 0.5), (8, 1.0), (17, 0.5), (26, 1.0)],
        ),
        // The length of the second cycle, 2·END, does not fit into 64 bits.
        (Schedule::cosine_warm_restarts(2, END, 0.0)?, vec![(1, 0.5), (2, 1.0), (END, 0.5)]),
        (
            Schedule::cosine_decay_restarts(10, 1, 0.5, 0.0)?,
            vec![(0, 1.0), (5, 0.5), (10, 0.5), (15, 0.25), (40, 0.0625), (END, 0.0)],
        ),
        (
            Schedule::cosine_decay_restarts(2, 3, 0.5, 0.5)?,
            vec![(0, 1.0), (1, 0.75), (2, 0.75), (5, 0.625), (8, 0.625), (26, 0.5625)],
        ),
        (Schedule::cosine_decay_restarts(2, END, 0.5, 0.0)?, vec![(1, 0.5), (2, 0.5), (END, 0.25)]),
        (Schedule::cosine_decay_restarts(2, 2, 0.0, 0.1)?, vec![(0, 1.0), (2, 0.1), (END, 0.1)]),
        (
            Schedule::cyclic(4, 2, 0.1, Amplitude::Constant)?,
            vec![(0, 0.1), (4, 1.0), (6, 0.1), (10, 1.0), (6_000_000_004, 1.0)],
        ),
        (
            Schedule::cyclic(4, 2, 0.0, Amplitude::Halving)?,
            vec![
                (2, 0.5),
                (4, 1.0),
                (5, 0.5),
                (6, 0.0),
                (8, 0.25),
                (10, 0.5),
                (16, 0.25),
                (END, 0.0),
            ],
        ),
        (
            Schedule::cyclic(2, 2, 0.0, Amplitude::Decaying(0.5))?,
            vec![(0, 0.0), (1, 0.25), (2, 0.25), (3, 0.0625), (6, 2_f64.powi(-6)), (END, 0.0)],
        ),
        (
            Schedule::cyclic(END, END, 0.0, Amplitude::Constant)?,
            vec![(0, 0.0), (1 << 63, 0.5), (END, 1.0)],
        ),
    ])
}

fn compositions() -> Result<Corners, Error> {
    let ramp = || Schedule::linear(4, 0.0, 0.7);
    Ok(vec![
        (ramp()?.warm_up(5, 0.9)?, vec![(0, 0.9), (5, 0.0), (9, 0.7), (10, 0.7), (END, 0.7)]),
        (
            Schedule::cosine(8, 0.2)?.warm_up(4, 0.0)?,
            vec![(0, 0.0), (1, 0.25), (3, 0.75), (4, 1.0), (12, 0.2), (END, 0.2)],
        ),
        // 0 steps mean nothing, at every place.
        (ramp()?.warm_up(0, 0.9)?, vec![(0, 0.0), (4, 0.7), (END, 0.7)]),
        (
            Schedule::sequence(
                [(0, Schedule::constant(9.0)?), (5, ramp()?), (0, Schedule::constant(9.0)?)],
                Schedule::constant(2.0)?,
            )?,
            vec![(0, 0.0), (4, 0.7), (5, 2.0), (END, 2.0)],
        ),
        (Schedule::sequence([(0, Schedule::constant(9.0)?)], ramp()?)?, vec![(0, 0.0), (4, 0.7)]),
        (ramp()?.scaled(0.0)?, vec![(0, 0.0), (4, 0.0), (END, 0.0)]),
        (ramp()?.scaled(2.0)?, vec![(0, 0.0), (4, 1.4), (END, 1.4)]),
        (Schedule::constant(2.0)?.scaled(f64::MAX)?, vec![(0, f64::MAX), (END, f64::MAX)]),
        (
            ramp()?.times(Schedule::step(2, 0.5)?)?,
            vec![(0, 0.0), (4, 0.7 * 0.25), (5, 0.7 * 0.25), (END, 0.0)],
        ),
        (
            Schedule::constant(f64::MAX)?.times(Schedule::constant(f64::MAX)?)?,
            vec![(0, f64::MAX), (END, f64::MAX)],
        ),
        (Schedule::step(2, 0.5)?.warm_up(END, 0.0)?, vec![(0, 0.0), (1 << 63, 0.5), (END, 1.0)]),
        (
            Schedule::sequence([(5, ramp()?), (2, Schedule::constant(2.0)?)], ramp()?)?,
            vec![(0, 0.0), (4, 0.7), (5, 2.0), (6, 2.0), (7, 0.0), (11, 0.7), (END, 0.7)],
        ),
        (Schedule::sequence([], ramp()?)?, vec![(0, 0.0), (4, 0.7)]),
        (
            Schedule::sequence([(END, ramp()?), (END, Schedule::constant(2.0)?)], ramp()?)?,
            vec![(4, 0.7), (END - 1, 0.7), (END, 2.0)],
        ),
    ])
}

#[test]
fn corners_and_ends_are_exact() -> Result<(), Error> {
    for (schedule, scales) in corners()? {
        for (t, expected) in scales {
            assert_eq!(schedule.scale(t), expected, "{schedule:?}, step {t}");
        }
    }
    Ok(())
}

#[test]
fn scales_are_finite_and_not_negative_everywhere() -> Result<(), Error> {
    let powers = (0..64).map(|exponent| 1_u64 << exponent);
    let around = powers.flat_map(|power| [power - 1, power, power + 1]);
    let steps: Vec<u64> = around.chain(0..100).chain(END - 10..=END).collect();
    for (schedule, _) in corners()? {
        for &t in &steps {
            let scale = schedule.scale(t);
            assert!(scale >= 0.0 && scale.is_finite(), "{schedule:?}, step {t}: {scale}");
        }
    }
    Ok(())
}

/// A changed bit would change the runs of all users. The formulas, evaluated with 50 digits, round
/// to these values or to a neighbouring number.
#[test]
fn values_are_stable() -> Result<(), Error> {
    let found = [
        Schedule::exponential(7, 0.3)?.scale(3),
        Schedule::polynomial(7, 2.5, 0.1)?.scale(3),
        Schedule::cosine(7, 0.1)?.scale(3),
        Schedule::one_cycle(100, 0.3, 0.04, 4e-6)?.scale(50),
        Schedule::noam(7)?.scale(20),
    ];
    let expected = [
        0.596_910_349_796_379_4,
        0.322_150_547_401_341_7,
        0.650_134_420_280_341_4,
        0.793_893_450_575_732,
        0.577_350_269_189_625_7,
    ];
    assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{found:?}");
    Ok(())
}

// ---------------------------------------------------------------- refusals

/// Numbers that are not finite or below 0.
const WRONG: [f64; 4] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-300];

fn assert_refused(result: Result<Schedule, Error>, message: &str) {
    let error = result.expect_err(message);
    assert_eq!(error.kind(), ErrorKind::Hyperparameter, "{error}");
    assert_eq!(error.to_string(), message);
}

#[test]
fn factors_out_of_range_are_refused() -> Result<(), Error> {
    let decaying = |factor| Schedule::cyclic(1, 1, 0.0, Amplitude::Decaying(factor));
    for wrong in WRONG {
        let shown = shown(wrong);
        let not_negative = |name| format!("{name} is {shown}, but must be finite and at least 0");
        assert_refused(Schedule::constant(wrong), &not_negative("scale"));
        assert_refused(Schedule::step(1, wrong), &not_negative("factor"));
        assert_refused(Schedule::multi_step([1], wrong), &not_negative("factor"));
        assert_refused(Schedule::inverse_time(1, wrong), &not_negative("rate"));
        assert_refused(Schedule::linear(1, wrong, 0.0), &not_negative("start"));
        assert_refused(Schedule::linear(1, 0.0, wrong), &not_negative("end"));
        assert_refused(Schedule::polynomial(1, 1.0, wrong), &not_negative("end"));
        assert_refused(Schedule::cosine(1, wrong), &not_negative("end"));
        assert_refused(Schedule::one_cycle(1, 0.3, wrong, 0.0), &not_negative("start"));
        assert_refused(Schedule::one_cycle(1, 0.3, 0.0, wrong), &not_negative("end"));
        let points = [(0, 1.0), (1, wrong)];
        assert_refused(Schedule::piecewise_constant(points), &not_negative("value"));
        assert_refused(Schedule::piecewise_linear(points), &not_negative("value"));
        assert_refused(Schedule::cosine_warm_restarts(1, 1, wrong), &not_negative("end"));
        assert_refused(Schedule::cyclic(1, 1, wrong, Amplitude::Halving), &not_negative("base"));
        assert_refused(Schedule::cosine_decay_restarts(1, 1, 0.5, wrong), &not_negative("end"));
        assert_refused(Schedule::constant(1.0)?.warm_up(1, wrong), &not_negative("start"));
        assert_refused(Schedule::constant(1.0)?.warm_up(0, wrong), &not_negative("start"));
        assert_refused(Schedule::constant(1.0)?.scaled(wrong), &not_negative("factor"));
    }
    for wrong in WRONG.into_iter().chain([0.0]) {
        let shown = shown(wrong);
        let positive = |name| format!("{name} is {shown}, but must be finite and greater than 0");
        assert_refused(Schedule::exponential(1, wrong), &positive("factor"));
        assert_refused(Schedule::polynomial(1, wrong, 0.0), &positive("power"));
    }
    for wrong in WRONG.into_iter().chain([1.0]) {
        let shown = shown(wrong);
        let message = format!("rise is {shown}, but must be in [0, 1)");
        assert_refused(Schedule::one_cycle(1, wrong, 0.0, 0.0), &message);
    }
    for wrong in WRONG.into_iter().chain([1.0 + f64::EPSILON]) {
        let shown = shown(wrong);
        let message = format!("factor of the amplitude is {shown}, but must be in [0, 1]");
        assert_refused(decaying(wrong), &message);
        let message = format!("factor of the peaks is {shown}, but must be in [0, 1]");
        assert_refused(Schedule::cosine_decay_restarts(1, 1, wrong, 0.0), &message);
    }
    Ok(())
}

#[test]
fn zero_steps_are_refused() {
    for (result, name) in [
        (Schedule::step(0, 0.5), "number of steps"),
        (Schedule::exponential(0, 0.5), "number of steps"),
        (Schedule::inverse_time(0, 0.5), "number of steps"),
        (Schedule::noam(0), "number of steps"),
        (Schedule::linear(0, 1.0, 0.0), "number of steps"),
        (Schedule::polynomial(0, 1.0, 0.0), "number of steps"),
        (Schedule::cosine(0, 0.0), "number of steps"),
        (Schedule::one_cycle(0, 0.3, 0.0, 0.0), "number of steps"),
        (Schedule::cosine_warm_restarts(0, 1, 0.0), "number of steps"),
        (Schedule::cosine_warm_restarts(1, 0, 0.0), "multiplier"),
        (Schedule::cyclic(0, 1, 0.0, Amplitude::Constant), "number of steps up"),
        (Schedule::cyclic(1, 0, 0.0, Amplitude::Constant), "number of steps down"),
        (Schedule::cosine_decay_restarts(0, 1, 0.5, 0.0), "number of steps"),
        (Schedule::cosine_decay_restarts(1, 0, 0.5, 0.0), "multiplier"),
    ] {
        assert_refused(result, &format!("{name} is 0, but must be at least 1"));
    }
}

#[test]
fn empty_or_not_increasing_lists_are_refused() {
    assert_refused(Schedule::multi_step([], 0.5), "there is no milestone");
    assert_refused(Schedule::piecewise_constant([]), "there is no point");
    assert_refused(Schedule::piecewise_linear([]), "there is no point");

    let not_after = |name| format!("{name} is 3, but must be greater than the one before");
    assert_refused(Schedule::multi_step([1, 3, 3], 0.5), &not_after("milestone"));
    assert_refused(Schedule::multi_step([5, 3], 0.5), &not_after("milestone"));
    assert_refused(Schedule::piecewise_constant([(3, 1.0), (3, 0.5)]), &not_after("point"));
    assert_refused(Schedule::piecewise_linear([(4, 1.0), (3, 0.5)]), &not_after("point"));
}

#[test]
fn the_depth_of_nesting_is_limited() -> Result<(), Error> {
    let deeper = |inner: Schedule| inner.warm_up(1, 0.0);
    let as_part = |inner| Schedule::sequence([(1, inner)], Schedule::constant(1.0)?);
    let as_last = |inner| Schedule::sequence([(1, Schedule::constant(1.0)?)], inner);
    let mut deepest = Schedule::constant(0.3)?;
    for _ in 1..8 {
        deepest = deeper(deepest)?;
    }
    assert_eq!(deepest.scale(15), 0.3);
    let message = "depth of nested schedules is 9, but must be at most 8";
    assert_refused(deeper(deepest.clone()), message);
    assert_refused(as_part(deepest.clone()), message);
    assert_refused(as_last(deepest.clone()), message);
    assert_refused(deepest.clone().scaled(0.5), message);
    assert_refused(deepest.clone().times(Schedule::constant(1.0)?), message);
    assert_refused(Schedule::constant(1.0)?.times(deepest), message);
    Ok(())
}

// ---------------------------------------------------------------- properties

/// Any schedule that is not composed of others, with all scales in [0, 1].
fn simple() -> impl Strategy<Value = Schedule> {
    let steps = || prop_oneof![1..50_u64, any::<u64>().prop_map(|steps| steps.max(1))];
    let part = || 0.0..=1.0;
    let rising = || prop::collection::btree_map(any::<u64>(), part(), 1..8);
    let amplitude = prop_oneof![
        Just(Amplitude::Constant),
        Just(Amplitude::Halving),
        part().prop_map(Amplitude::Decaying),
    ];
    prop_oneof![
        part().prop_map(Schedule::constant),
        (steps(), part()).prop_map(|(steps, factor)| Schedule::step(steps, factor)),
        (rising(), part()).prop_map(|(at, factor)| Schedule::multi_step(at.into_keys(), factor)),
        (steps(), 1e-300..=1.0).prop_map(|(steps, factor)| Schedule::exponential(steps, factor)),
        (steps(), 0.0..1e300).prop_map(|(steps, rate)| Schedule::inverse_time(steps, rate)),
        steps().prop_map(Schedule::noam),
        (steps(), part(), part()).prop_map(|(steps, a, b)| Schedule::linear(steps, a, b)),
        (steps(), 1e-3..1e3, part()).prop_map(|(steps, p, b)| Schedule::polynomial(steps, p, b)),
        (steps(), part()).prop_map(|(steps, end)| Schedule::cosine(steps, end)),
        (steps(), 0.0..1.0, part(), part())
            .prop_map(|(steps, rise, a, b)| Schedule::one_cycle(steps, rise, a, b)),
        rising().prop_map(Schedule::piecewise_constant),
        rising().prop_map(Schedule::piecewise_linear),
        (steps(), steps(), part()).prop_map(|(n, m, b)| Schedule::cosine_warm_restarts(n, m, b)),
        (steps(), steps(), part(), part())
            .prop_map(|(n, m, factor, b)| { Schedule::cosine_decay_restarts(n, m, factor, b) }),
        (steps(), steps(), part(), amplitude)
            .prop_map(|(up, down, base, amplitude)| Schedule::cyclic(up, down, base, amplitude)),
    ]
    .prop_map(|made| made.expect("arguments in range"))
}

fn step() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_u64, any::<u64>(), END - 10..=END]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scales_stay_in_their_range(schedule in simple(), t in step()) {
        let scale = schedule.scale(t);
        prop_assert!((0.0..=1.0).contains(&scale), "{scale}");
    }

    #[test]
    fn a_warm_up_leads_to_the_schedule_and_then_equals_it(
        schedule in simple(),
        steps in 1..100_u64,
        start in 0.0..=1.0,
        t in step(),
    ) {
        let warm = schedule.clone().warm_up(steps, start)?;
        prop_assert_eq!(warm.scale(0), start);
        prop_assert_eq!(warm.scale(t.saturating_add(steps)), schedule.scale(t.min(END - steps)));
        let first = schedule.scale(0);
        for (now, next) in (0..steps).map(|t| (warm.scale(t), warm.scale(t + 1))) {
            let way = (next - now) * (first - start).signum();
            prop_assert!(way >= -ROUNDING, "from {now} to {next}");
        }
    }

    #[test]
    fn a_sequence_equals_its_parts(
        parts in prop::collection::vec((1..50_u64, simple()), 0..5),
        last in simple(),
        t in 0..300_u64,
    ) {
        let sequence = Schedule::sequence(parts.clone(), last.clone())?;
        let mut begins = 0;
        let mut expected = None;
        for (steps, part) in parts {
            if t >= begins && t < begins + steps {
                expected = Some(part.scale(t - begins));
            }
            begins += steps;
        }
        prop_assert_eq!(sequence.scale(t), expected.unwrap_or_else(|| last.scale(t - begins)));
    }

    #[test]
    fn combinations_multiply(a in simple(), b in simple(), factor in 0.0..=1.0, t in step()) {
        let product = a.clone().times(b.clone())?;
        prop_assert_eq!(product.scale(t), a.scale(t) * b.scale(t));
        let scaled = a.clone().scaled(factor)?;
        prop_assert_eq!(scaled.scale(t), factor * a.scale(t));
        prop_assert_eq!(a.clone().warm_up(0, factor)?.scale(t), a.scale(t));
    }

    #[test]
    fn restarts_of_equal_peaks_are_warm_restarts(
        steps in 1..50_u64,
        multiplier in 1..4_u64,
        end in 0.0..=1.0,
        t in step(),
    ) {
        let decaying = Schedule::cosine_decay_restarts(steps, multiplier, 1.0, end)?;
        let warm = Schedule::cosine_warm_restarts(steps, multiplier, end)?;
        prop_assert_eq!(decaying.scale(t), warm.scale(t));
    }

    #[test]
    fn decays_never_rise(steps in 1..1000_u64, factor in 0.01..1.0, t in 0..1500_u64) {
        for schedule in [
            Schedule::step(steps, factor)?,
            Schedule::multi_step([steps, 2 * steps], factor)?,
            Schedule::exponential(steps, factor)?,
            Schedule::inverse_time(steps, factor)?,
            Schedule::linear(steps, 1.0, factor)?,
            Schedule::polynomial(steps, 1.0 / factor, factor)?,
            Schedule::cosine(steps, factor)?,
            Schedule::one_cycle(steps, 0.0, factor, factor)?,
        ] {
            let (now, next) = (schedule.scale(t), schedule.scale(t + 1));
            prop_assert!(next <= now + ROUNDING, "{schedule:?}: from {now} to {next}");
        }
    }

    #[test]
    fn cycles_repeat(up in 1..100_u64, down in 1..100_u64, base in 0.0..=1.0, t in 0..1_000_000_u64) {
        let cyclic = Schedule::cyclic(up, down, base, Amplitude::Constant)?;
        prop_assert_eq!(cyclic.scale(t), cyclic.scale(t % (up + down)));
        let restarts = Schedule::cosine_warm_restarts(up, 1, base)?;
        prop_assert_eq!(restarts.scale(t), Schedule::cosine(up, base)?.scale(t % up));
    }
}

// ---------------------------------------------------------------- serde

#[cfg(feature = "serde")]
mod serialised {
    use super::{Error, Schedule, corners};

    #[test]
    fn schedules_survive_serialisation() -> Result<(), Error> {
        for (schedule, _) in corners()? {
            let json = serde_json::to_string(&schedule).expect("finite numbers");
            let back: Schedule = serde_json::from_str(&json).expect("just written");
            assert_eq!(back, schedule, "{json}");
        }
        Ok(())
    }

    #[test]
    fn the_form_is_stable() -> Result<(), Error> {
        let schedule = Schedule::cosine(90, 0.1)?.warm_up(10, 0.01)?;
        let json = serde_json::to_string(&schedule).expect("finite numbers");
        let expected =
            r#"{"WarmUp":{"steps":10,"start":0.01,"then":{"Cosine":{"steps":90,"end":0.1}}}}"#;
        assert_eq!(json, expected);
        Ok(())
    }

    #[test]
    fn invalid_schedules_are_refused_when_read() {
        for (json, message) in [
            (r#"{"Constant":{"scale":-1}}"#, "scale is -1, but must be finite and at least 0"),
            (r#"{"Cosine":{"steps":0,"end":0}}"#, "number of steps is 0, but must be at least 1"),
            (r#"{"MultiStep":{"milestones":[2,1],"factor":0}}"#, "greater than the one before"),
            (r#"{"PiecewiseLinear":{"points":[]}}"#, "there is no point"),
            (
                r#"{"WarmUp":{"steps":1,"start":0,"then":{"Noam":{"steps":0}}}}"#,
                "number of steps is 0, but must be at least 1",
            ),
            (
                r#"{"Scaled":{"factor":-1,"of":{"Noam":{"steps":1}}}}"#,
                "factor is -1, but must be finite and at least 0",
            ),
            (r#"{"Product":{"of":{"Noam":{"steps":1}}}}"#, "missing field `times`"),
            (r#"{"Cosine":{"steps":1,"end":0,"start":0}}"#, "unknown field `start`"),
            (r#"{"Cosine":{"steps":1}}"#, "missing field `end`"),
            (r#"{"Cubic":{"steps":1}}"#, "unknown variant `Cubic`"),
            (r#"{"Cosine":{"steps":-1,"end":0}}"#, "invalid value: integer `-1`, expected u64"),
        ] {
            let error = serde_json::from_str::<Schedule>(json).expect_err(json).to_string();
            assert!(error.contains(message), "{json}: {error}");
        }
    }
}
