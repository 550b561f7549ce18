//! Tests of `Stop`: a naive oracle, special losses, reports, refused settings and serde.

use crate::common::{repeatable, shown};
use adamax::{
    Adamax, Error, ErrorKind, NonFinite, Objective, Outcome, State, Stop, StopBuilder, StopReason,
    schedule::Threshold,
};
use ndarray::array;
use proptest::{prelude::*, sample::select};

const INF: f64 = f64::INFINITY;
/// Relative tolerance for a weighted mean of at most 60 numbers of size 4, computed in two ways.
const MEAN_ROUNDING: f64 = 256.0 * f64::EPSILON;

/// Returns the weighted mean of the finite losses: Σ βⁿ⁻ᵏ·lossₖ / Σ βⁿ⁻ᵏ.
fn naive_mean(losses: &[f64], smoothing: f64) -> f64 {
    let finite = losses.iter().filter(|loss| loss.is_finite());
    let (mut sum, mut weights) = (0.0, 0.0);
    for (&loss, k) in finite.rev().zip(0..) {
        sum += smoothing.powi(k) * loss;
        weights += smoothing.powi(k);
    }
    sum / weights
}

/// The verdict that follows from a whole history of smoothed losses (`None` for one that is not finite), to be
/// minimised: if the last one is the lowest, and the number of bad ones at the end.
fn naive_verdict(history: &[Option<f64>], threshold: Threshold) -> (bool, usize) {
    let gain = |from: f64| match threshold {
        Threshold::Relative(part) => part * from.abs(),
        Threshold::Absolute(much) => much,
        other => panic!("unknown {other:?}"),
    };
    // The places of the losses that were better.
    let mut records: Vec<usize> = Vec::new();
    for (place, &loss) in history.iter().enumerate() {
        let beaten = records.last().and_then(|&record| history[record]);
        if loss.is_some_and(|loss| beaten.is_none_or(|beaten| beaten - loss > gain(beaten))) {
            records.push(place);
        }
    }
    let bad = history.len() - records.last().map_or(0, |record| record + 1);
    let (last, before) = history.split_last().expect("a loss");
    let is_lowest = last.is_some_and(|last| before.iter().flatten().all(|&before| last < before));
    (is_lowest, bad)
}

/// Losses that often repeat, and some that are not finite.
fn losses() -> impl Strategy<Value = Vec<f64>> {
    let eighths = (-32..=32_i8).prop_map(|eighths| f64::from(eighths) / 8.0);
    let odd = select(vec![f64::NAN, INF, -INF]);
    prop::collection::vec(prop_oneof![9 => eighths, 1 => odd], 1..60)
}

proptest! {
    #![proptest_config(repeatable(15))]

    #[test]
    fn verdicts_follow_from_the_whole_history(
        losses in losses(),
        patience in 0..12_u64,
        // Gains of exact numbers, so that both formulas agree at their edges.
        threshold in select(vec![
            Threshold::Absolute(0.0),
            Threshold::Absolute(0.25),
            Threshold::Relative(0.0),
            Threshold::Relative(0.25),
        ]),
        smoothing in select(vec![0.0, 0.0, 0.5, 0.9, 0.99]),
        maximize in any::<bool>(),
    ) {
        let (objective, sign) =
            if maximize { (Objective::Maximize, -1.0) } else { (Objective::Minimize, 1.0) };
        let mut stop = Stop::builder()
            .objective(objective)
            .patience(patience)
            .threshold(threshold)
            .smoothing(smoothing)
            .build()?;
        let mut history = Vec::new();
        for (count, &loss) in (1..).zip(&losses) {
            let verdict = stop.observe(loss);
            let smoothed = stop.smoothed();
            if let Some(smoothed) = smoothed {
                let expected = naive_mean(&losses[..count], smoothing);
                prop_assert!((smoothed - expected).abs() <= 4.0 * MEAN_ROUNDING);
                prop_assert!(smoothing > 0.0 || !loss.is_finite() || smoothed == loss);
            }
            history.push(smoothed.filter(|_| loss.is_finite()).map(|loss| sign * loss));
            let (is_best, bad) = naive_verdict(&history, threshold);
            let reason = (bad as u64 > patience).then_some(StopReason::Patience);
            prop_assert_eq!((verdict.is_best(), verdict.reason()), (is_best, reason));
            prop_assert_eq!(stop.reason(), reason);
            let lowest = history.iter().flatten().copied().reduce(f64::min);
            prop_assert_eq!(stop.best().map(|best| sign * best), lowest);
        }
    }
}

#[test]
fn losses_that_are_not_finite_are_bad() -> Result<(), Error> {
    for objective in [Objective::Minimize, Objective::Maximize] {
        for bad in [f64::NAN, INF, -INF] {
            let mut stop =
                Stop::builder().objective(objective).patience(1).smoothing(0.5).build()?;
            let mut observe = |loss| {
                let verdict = stop.observe(loss);
                (verdict.is_best(), verdict.reason().is_some(), stop.best())
            };
            assert_eq!(observe(bad), (false, false, None));
            assert_eq!(observe(bad), (false, true, None));
            assert_eq!(observe(3.0), (true, false, Some(3.0)));
            assert_eq!(observe(bad), (false, false, Some(3.0)));
            assert_eq!(observe(bad), (false, true, Some(3.0)));
            assert_eq!(stop.smoothed(), Some(3.0));
        }
    }
    Ok(())
}

/// Each loss gains less than the threshold, but the parameters of the last one are the best.
#[test]
fn slow_progress_adds_up() -> Result<(), Error> {
    let mut stop = Stop::builder().patience(2).threshold(Threshold::Absolute(1.0)).build()?;
    for eighths in (0..200_i32).rev() {
        let verdict = stop.observe(f64::from(eighths) / 2.0);
        assert!(verdict.is_best());
        assert_eq!(verdict.reason(), None);
    }
    let mut stop = Stop::builder().patience(2).threshold(Threshold::Absolute(9.0)).build()?;
    let verdicts = [10.0, 9.0, 8.0, 7.0].map(|loss| stop.observe(loss));
    assert!(verdicts.iter().all(|verdict| verdict.is_best()));
    assert_eq!(verdicts[3].reason(), Some(StopReason::Patience));
    Ok(())
}

/// The largest numbers of opposite signs have a mean.
#[test]
fn losses_of_every_size_are_smoothed() -> Result<(), Error> {
    let mut stop = Stop::builder().smoothing(0.75).build()?;
    for loss in [f64::MAX, -f64::MAX, f64::MAX, -f64::MAX, 5e-324, -0.0] {
        stop.observe(loss);
        assert!(stop.smoothed().is_some_and(f64::is_finite));
    }
    let mut stop = Stop::builder().smoothing(0.999_999).build()?;
    for _ in 0..1000 {
        stop.observe(0.1);
        assert_eq!(stop.smoothed(), Some(0.1), "a constant is its mean");
    }
    Ok(())
}

/// Each criterion is off until it is set, patience too, and the number that switches it off is the default.
#[test]
fn patience_is_off_by_default() -> Result<(), Error> {
    let tolerance = Stop::builder().gradient_tolerance(1e-6);
    let mut stops = [tolerance.build()?, tolerance.patience(u64::MAX).build()?];
    for stop in &mut stops {
        stop.observe(1.0);
        assert!((0..100).all(|_| stop.observe(1.0).reason().is_none()));
        assert!((0..100).all(|_| stop.observe(f64::NAN).reason().is_none()));
    }
    assert_eq!(stops[0], stops[1]);
    let mut limited = tolerance.patience(u64::MAX - 1).build()?;
    assert_ne!(limited, tolerance.build()?);
    assert_eq!(limited.observe(f64::NAN).reason(), None);
    Ok(())
}

/// A skipped step moves nothing, but is not the end.
#[test]
fn a_skipped_step_is_no_reason() -> Result<(), Error> {
    let stop = Stop::builder().step_tolerance(1e9).gradient_tolerance(1e9).build()?;
    let rule = Adamax::builder().non_finite(NonFinite::Skip).build()?;
    let mut x = array![1.0];
    let mut state = State::zeros_like(&x);
    let report = rule.step_with_report(&mut state, &mut x, &array![f64::NAN])?;
    assert_eq!((report.outcome(), stop.judge_step(&report)), (Outcome::Skipped, None));
    let report = rule.step_with_report(&mut state, &mut x, &array![1.0])?;
    assert_eq!(stop.judge_step(&report), Some(StopReason::Step));
    assert_eq!(stop.judge_gradient(f64::NAN), None);
    Ok(())
}

/// Tolerances are off by default, and are compared as "below".
#[test]
fn tolerances_are_bounds() -> Result<(), Error> {
    let off = Stop::builder().build()?;
    let mut x = array![1.0_f64];
    let mut state = State::zeros_like(&x);
    let still = Adamax::builder().learning_rate(0.0).build()?;
    let report = still.step_with_report(&mut state, &mut x, &array![0.0])?;
    assert_eq!((report.max_step(), report.gradient_norm()), (0.0, 0.0));
    assert_eq!((off.judge_step(&report), off.judge_gradient(0.0)), (None, None));
    let on = Stop::builder().gradient_tolerance(0.5).build()?;
    assert_eq!(on.judge_gradient(0.5), None);
    assert_eq!(on.judge_gradient(0.5_f64.next_down()), Some(StopReason::Gradient));
    assert_eq!(on.judge_step(&report), Some(StopReason::Gradient));
    Ok(())
}

#[test]
fn reasons_have_words() {
    let words = [StopReason::Patience, StopReason::Step, StopReason::Gradient];
    assert_eq!(
        words.map(|reason| reason.to_string()),
        [
            "the loss has stopped improving",
            "the largest step is below its tolerance",
            "the norm of the gradient is below its tolerance",
        ]
    );
}

#[test]
fn settings_out_of_range_are_refused() {
    let builder = Stop::builder;
    for wrong in [f64::NAN, INF, -1e-300] {
        for (result, name, range) in [
            (builder().threshold(Threshold::Relative(wrong)), "threshold", "finite and at least 0"),
            (builder().threshold(Threshold::Absolute(wrong)), "threshold", "finite and at least 0"),
            (builder().smoothing(wrong), "smoothing", "in [0, 1)"),
            (builder().step_tolerance(wrong), "step tolerance", "finite and at least 0"),
            (builder().gradient_tolerance(wrong), "gradient tolerance", "finite and at least 0"),
        ] {
            let error = StopBuilder::build(result).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Hyperparameter);
            assert_eq!(error.setting(), Some(name));
            let shown = shown(wrong);
            assert_eq!(error.to_string(), format!("{name} is {shown}, but must be {range}"));
        }
    }
    assert!(builder().smoothing(1.0).build().is_err());
}

// ---------------------------------------------------------------- serde

/// A NaN in a parameter is not the end of a successful run, whatever the gradient is.
#[test]
fn a_parameter_that_is_nan_gives_no_reason() -> Result<(), Error> {
    let stop = Stop::builder().step_tolerance(1e-3).gradient_tolerance(1e-3).build()?;
    let (mut x, mut state) = (array![f64::NAN, 1.0], State::zeros_like(&array![0.0, 0.0]));
    let report = Adamax::new(1e-9)?.step_with_report(&mut state, &mut x, &array![0.0, 0.0])?;
    assert!(report.max_step().is_nan() && report.gradient_norm() == 0.0);
    assert_eq!(stop.judge_step(&report), None);
    Ok(())
}

#[cfg(feature = "serde")]
mod serialised {
    use super::*;
    use serde_json::{Value, json};

    /// Losses that change every part of the state from its initial value.
    const LOSSES: [f64; 6] = [3.0, 2.5, 2.5, f64::NAN, 2.5, 2.4];

    fn changed() -> Result<Stop, Error> {
        Stop::builder()
            .patience(3)
            .threshold(Threshold::Absolute(0.25))
            .smoothing(0.1 + 0.2)
            .step_tolerance(1e-9)
            .gradient_tolerance(1e-6)
            .build()
    }

    #[test]
    fn a_saved_value_continues() -> Result<(), Error> {
        let mut stop = changed()?;
        for loss in LOSSES.into_iter().cycle().take(30) {
            let text = serde_json::to_string(&stop).expect("finite numbers");
            let mut back: Stop = serde_json::from_str(&text).expect("just written");
            assert_eq!(back, stop, "{text}");
            assert_eq!(back.observe(loss), stop.observe(loss));
            assert_eq!(back, stop);
        }
        assert_eq!(stop.reason(), Some(StopReason::Patience));
        Ok(())
    }

    /// A default that needs more than 63 bits could not be written as TOML, for instance.
    #[test]
    fn patience_that_is_off_is_no_number() -> Result<(), Error> {
        let off = Stop::builder().build()?;
        let written = serde_json::to_value(&off).expect("finite numbers");
        assert_eq!(written["settings"]["patience"], Value::Null);
        assert_eq!(serde_json::from_value::<Stop>(written).expect("just written"), off);
        let on = Stop::builder().patience(0).build()?;
        let written = serde_json::to_value(&on).expect("finite numbers");
        assert_eq!(written["settings"]["patience"], json!(0));
        assert_eq!(serde_json::from_value::<Stop>(written).expect("just written"), on);
        Ok(())
    }

    /// As part of a run in a file.
    #[cfg(feature = "safetensors")]
    #[test]
    fn a_checkpoint_keeps_it() -> Result<(), Error> {
        use adamax::{Checkpoint, Optimizer};
        let mut stop = changed()?;
        for loss in LOSSES.into_iter().cycle().take(30) {
            let mut checkpoint =
                Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
            checkpoint.add_value("stop", &stop)?;
            let read: Checkpoint<f64> = Checkpoint::from_bytes(&checkpoint.to_bytes()?)?;
            let mut back: Stop = read.value("stop")?;
            assert_eq!(back.observe(loss), stop.observe(loss));
            assert_eq!(back, stop);
        }
        Ok(())
    }

    #[test]
    fn impossible_states_are_refused_when_read() -> Result<(), Error> {
        let mut stop = changed()?;
        for loss in LOSSES {
            stop.observe(loss);
        }
        let valid = serde_json::to_value(&stop).expect("finite numbers");
        let read = |place: &str, value: Value| {
            let mut changed = valid.clone();
            *changed.pointer_mut(place).expect(place) = value;
            serde_json::from_value::<Stop>(changed)
        };
        assert_eq!(read("/settings/patience", json!(3)).expect("valid settings"), stop);
        for (place, value, message) in [
            ("/settings/smoothing", json!(1.0), "smoothing is 1, but must be in [0, 1)"),
            ("/settings/step_tolerance", json!(-1.0), "step tolerance is -1"),
            ("/settings/gradient_tolerance", json!(-1.0), "gradient tolerance is -1"),
            ("/settings/threshold", json!({"Relative": -1.0}), "threshold is -1"),
            ("/settings", json!({"speed": 1}), "unknown field `speed`"),
            ("/observed/finite", json!(0), "number of finite losses is 0, but must be at least 1"),
            (
                "/observed/losses",
                Value::Null,
                "number of finite losses is 5, but must be 0 without",
            ),
            ("/observed/losses/last", Value::Null, "invalid type: null"),
            ("/observed/losses/best", json!(2.9), "best loss is 2.9, but must be at least as good"),
            (
                "/observed/losses/reference",
                json!(0.5),
                "but must be at least as good as the reference loss",
            ),
            (
                "/observed/losses/reference",
                json!(100.0),
                "reference loss is 100, but must be no worse than the best loss by the threshold",
            ),
            ("/observed/finite", json!(1), "number of finite losses is 1, but must be above 1"),
            ("/observed/bad_in_a_row", json!(0), "number of bad losses is 0, but must be above 0"),
            ("/observed", json!({"last": 1}), "unknown field `last`"),
        ] {
            let error = read(place, value).expect_err(place).to_string();
            assert!(error.contains(message), "{place}: {error}");
        }
        Ok(())
    }
}
