//! Tests of `ReduceOnPlateau`: PyTorch's runs, special cases, refused settings and serde.
//!
//! `golden/schedules.py` ran PyTorch and documents how; `golden/schedules.json` has the results.

use adamax::{
    Error, ErrorKind, Objective,
    schedule::{ReduceOnPlateau, ReduceOnPlateauBuilder, Threshold},
};
use serde_json::Value;

#[test]
fn scales_equal_those_of_pytorch() -> Result<(), Error> {
    let file: Value = serde_json::from_str(include_str!("../golden/schedules.json")).expect("JSON");
    let cases = list(&file["plateaus"]);
    assert_eq!(cases.len(), 18);
    for case in cases {
        let settings = &case["settings"];
        let mut plateau = parse(settings).build()?;
        let scales = list(&case["scales"]);
        assert!(scales.len() > 30);
        for (position, (loss, expected)) in list(&case["losses"]).iter().zip(scales).enumerate() {
            let loss = loss.as_f64().unwrap_or(f64::NAN);
            let found = plateau.observe(loss);
            // Both multiply the same numbers in the same order.
            assert_eq!(Some(found), expected.as_f64(), "{settings}, loss {position}");
            assert_eq!(plateau.scale(), found);
        }
    }
    Ok(())
}

fn parse(settings: &Value) -> ReduceOnPlateauBuilder {
    let absolute = settings["threshold_mode"] == "abs";
    let mut builder = ReduceOnPlateau::builder();
    for (name, value) in settings.as_object().expect("settings by name") {
        let real = || value.as_f64().expect("a number");
        let whole = || value.as_u64().expect("a whole number");
        builder = match name.as_str() {
            "mode" if value == "max" => builder.objective(Objective::Maximize),
            "mode" | "threshold_mode" => builder,
            "factor" => builder.factor(real()),
            "patience" => builder.patience(whole()),
            "threshold" if absolute => builder.threshold(Threshold::Absolute(real())),
            "threshold" => builder.threshold(Threshold::Relative(real())),
            "cooldown" => builder.cooldown(whole()),
            "min_lr" => builder.min_scale(real()),
            "eps" => builder.epsilon(real()),
            other => panic!("unknown setting {other}"),
        };
    }
    builder
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

#[test]
fn losses_that_are_not_finite_are_bad() -> Result<(), Error> {
    for objective in [Objective::Minimize, Objective::Maximize] {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut plateau =
                ReduceOnPlateau::builder().objective(objective).factor(0.5).patience(1).build()?;
            assert_eq!([bad, bad].map(|loss| plateau.observe(loss)), [1.0, 0.5]);
            assert_eq!(plateau.best(), None);
            assert_eq!([3.0, bad, bad].map(|loss| plateau.observe(loss)), [0.5, 0.5, 0.25]);
            assert_eq!(plateau.best(), Some(3.0));
        }
    }
    Ok(())
}

#[test]
fn a_loss_at_the_threshold_is_no_gain() -> Result<(), Error> {
    for (objective, threshold, at, beyond) in [
        (Objective::Minimize, Threshold::Relative(0.5), 1.0, 0.75),
        (Objective::Minimize, Threshold::Absolute(0.5), 1.5, 1.25),
        (Objective::Maximize, Threshold::Relative(0.5), 3.0, 3.25),
        (Objective::Maximize, Threshold::Absolute(0.5), 2.5, 2.75),
    ] {
        let builder = ReduceOnPlateau::builder().objective(objective).threshold(threshold);
        let mut plateau = builder.build()?;
        for (loss, best) in [(2.0, 2.0), (at, 2.0), (beyond, beyond)] {
            plateau.observe(loss);
            assert_eq!(plateau.best(), Some(best), "{objective:?}, {threshold:?}, after {loss}");
        }
    }
    Ok(())
}

#[test]
fn a_reduction_as_small_as_epsilon_is_left_out() -> Result<(), Error> {
    for (epsilon, scale) in [(0.5, 1.0), (0.25, 0.5)] {
        let builder = ReduceOnPlateau::builder().factor(0.5).patience(0).epsilon(epsilon);
        let mut plateau = builder.build()?;
        assert_eq!([1.0, 1.0].map(|loss| plateau.observe(loss)), [1.0, scale]);
    }
    Ok(())
}

/// A best loss below 0: PyTorch would take −1 for better than −1, for ever.
#[test]
fn a_negative_loss_that_stays_the_same_is_bad() -> Result<(), Error> {
    let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(2).build()?;
    let scales = [-1.0; 8].map(|loss| plateau.observe(loss));
    assert_eq!(scales, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);

    let mut plateau = ReduceOnPlateau::builder().threshold(Threshold::Relative(0.5)).build()?;
    for (loss, best) in [(-2.0, -2.0), (-1.0, -2.0), (-3.0, -2.0), (-3.1, -3.1), (-1e9, -1e9)] {
        plateau.observe(loss);
        assert_eq!(plateau.best(), Some(best), "after {loss}");
    }
    // From 0 on every loss below is better: a part of 0 is 0.
    let mut plateau = ReduceOnPlateau::builder().build()?;
    for (loss, best) in [(0.0, 0.0), (-0.0, 0.0), (-1e-300, -1e-300)] {
        plateau.observe(loss);
        assert_eq!(plateau.best(), Some(best), "after {loss}");
    }
    Ok(())
}

/// To maximize a value is to minimize its negative.
#[test]
fn signs_do_not_matter() -> Result<(), Error> {
    for threshold in [Threshold::Relative(0.3), Threshold::Absolute(0.3)] {
        let builder = ReduceOnPlateau::builder().factor(0.5).patience(1).threshold(threshold);
        let mut down = builder.build()?;
        let mut up = builder.objective(Objective::Maximize).build()?;
        for loss in [3.0, 2.0, 2.2, 1.0, 1.0, 0.1, -0.5, -0.6, -0.4, -1.0, -1.2, -1.2, -9.0, -12.0]
        {
            assert_eq!(down.observe(loss), up.observe(-loss), "{threshold:?}, {loss}");
            assert_eq!(down.best(), up.best().map(|best| -best), "{threshold:?}, {loss}");
        }
        assert!(down.scale() < 1.0);
    }
    Ok(())
}

#[test]
fn unlimited_patience_and_cooldown_are_possible() -> Result<(), Error> {
    let builder = ReduceOnPlateau::builder().factor(0.5).patience(0);
    let mut resting = builder.cooldown(u64::MAX).build()?;
    let mut patient = builder.patience(u64::MAX).build()?;
    for _ in 0..100 {
        assert_eq!(resting.observe(f64::NAN), 0.5);
        assert_eq!(patient.observe(f64::NAN), 1.0);
    }
    Ok(())
}

#[test]
fn settings_out_of_range_are_refused() {
    let builder = ReduceOnPlateau::builder;
    let negative = -1e-300;
    for (wrong, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (negative, "-1e-300")] {
        for (result, name, range) in [
            (builder().factor(wrong), "factor", "in [0, 1)"),
            (builder().threshold(Threshold::Relative(wrong)), "threshold", "finite and at least 0"),
            (builder().threshold(Threshold::Absolute(wrong)), "threshold", "finite and at least 0"),
            (builder().min_scale(wrong), "min scale", "in [0, 1]"),
            (builder().epsilon(wrong), "epsilon", "finite and at least 0"),
        ] {
            let error = result.build().expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Hyperparameter);
            assert_eq!(error.to_string(), format!("{name} is {shown}, but must be {range}"));
        }
    }
    for builder in [builder().factor(1.0), builder().min_scale(1.0 + f64::EPSILON)] {
        assert!(builder.build().is_err(), "{builder:?}");
    }
}

// ---------------------------------------------------------------- serde

#[cfg(feature = "serde")]
mod serialised {
    use super::{Error, Objective, ReduceOnPlateau, Threshold};
    use serde_json::{Value, json};

    /// Losses that change every part of the state from its initial value.
    const LOSSES: [f64; 6] = [3.0, 2.5, 2.5, f64::NAN, 2.5, 2.6];

    fn observer() -> Result<ReduceOnPlateau, Error> {
        ReduceOnPlateau::builder()
            .objective(Objective::Minimize)
            .factor(0.5)
            .patience(1)
            .threshold(Threshold::Absolute(0.1))
            .cooldown(2)
            .min_scale(0.01)
            .epsilon(1e-6)
            .build()
    }

    #[test]
    fn a_saved_observer_continues() -> Result<(), Error> {
        let mut plateau = observer()?;
        for loss in LOSSES.into_iter().cycle().take(30) {
            let json = serde_json::to_string(&plateau).expect("finite numbers");
            let mut back: ReduceOnPlateau = serde_json::from_str(&json).expect("just written");
            assert_eq!(back, plateau, "{json}");
            assert_eq!(back.observe(loss), plateau.observe(loss));
            assert_eq!(back, plateau);
        }
        assert!(plateau.scale() < 0.1, "the losses should reduce the scale");
        Ok(())
    }

    #[test]
    fn impossible_states_are_refused_when_read() -> Result<(), Error> {
        let mut plateau = observer()?;
        for loss in LOSSES {
            plateau.observe(loss);
        }
        let valid = serde_json::to_value(&plateau).expect("finite numbers");
        let changed = |part: &str, name: &str, value: Value| {
            let mut changed = valid.clone();
            changed[part][name] = value;
            serde_json::from_value::<ReduceOnPlateau>(changed)
        };
        assert_eq!(changed("settings", "patience", json!(1)).expect("valid settings"), plateau);
        for (part, name, value, message) in [
            ("settings", "factor", json!(1.0), "factor is 1, but must be in [0, 1)"),
            ("settings", "min_scale", json!(-1.0), "min scale is -1, but must be in [0, 1]"),
            (
                "settings",
                "epsilon",
                json!(-1.0),
                "epsilon is -1, but must be finite and at least 0",
            ),
            (
                "settings",
                "threshold",
                json!({"Relative": -1.0}),
                "threshold is -1, but must be finite and at least 0",
            ),
            (
                "settings",
                "min_scale",
                json!(0.75),
                "scale is 0.5, but must be at least the min scale",
            ),
            ("settings", "speed", json!(1), "unknown field `speed`"),
            ("observed", "scale", json!(1.5), "scale is 1.5, but must be in [0, 1]"),
            ("observed", "scale", json!(-0.5), "scale is -0.5, but must be in [0, 1]"),
            (
                "observed",
                "bad_in_a_row",
                json!(2),
                "number of bad losses is 2, but must be at most the patience",
            ),
            ("observed", "rest", json!(3), "rest is 3, but must be at most the cooldown"),
            ("observed", "last", json!(1), "unknown field `last`"),
        ] {
            let error = changed(part, name, value).expect_err(name).to_string();
            assert!(error.contains(message), "{part}, {name}: {error}");
        }
        let mut resting = valid;
        resting["observed"]["rest"] = json!(1);
        resting["observed"]["bad_in_a_row"] = json!(1);
        let error = serde_json::from_value::<ReduceOnPlateau>(resting).unwrap_err().to_string();
        assert_eq!(error, "number of bad losses is 1, but must be 0 during a cooldown");
        Ok(())
    }
}
