//! Serialisation: exact values, a pinned format, documents of old releases, and refusals.

#![cfg(feature = "serde")]

mod common;
#[path = "common/counting.rs"]
mod counting;
#[path = "serde/formats.rs"]
mod formats;
#[path = "serde/hostile.rs"]
mod hostile;
#[path = "serde/rows.rs"]
mod rows;

use std::{collections::BTreeMap, fmt::Debug, fs, path::PathBuf};

use adamax::{
    Adamax, Average, BiasCorrection, EpsilonPlacement, Error, MaxNorm, NonFinite, Objective,
    Optimizer, Snapshot, State, Stop, WeightDecay,
    schedule::{Amplitude, ReduceOnPlateau, Schedule, Threshold},
};
use common::{Bits, Float, Layout, Model, layout::LAYOUTS, model::MIXED, repository, rules};
use ndarray::{ArrayD, IxDyn, array};
use serde::{
    Deserialize, Serialize,
    de::{
        DeserializeOwned, IntoDeserializer,
        value::{self, MapAccessDeserializer},
    },
};
use serde_json::{Value, json};

const SEED: u64 = 8;

fn through_json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("finite");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

// ---------------------------------------------------------------- exact values

#[test]
fn rules_come_back() -> Result<(), Error> {
    for case in rules::all() {
        assert_eq!(through_json(&case.rule), case.rule, "{}", case.name);
    }
    for policy in [NonFinite::Error, NonFinite::Skip, NonFinite::Propagate] {
        let rule = Adamax::builder().non_finite(policy).learning_rate(0.1 + 0.2).build()?;
        assert_eq!(through_json(&rule), rule);
    }
    Ok(())
}

/// Numbers at the ends of the range and numbers that need all digits.
fn numbers<A: Float>() -> Vec<A> {
    let (third, tenth) = (A::of(1.0) / A::of(3.0), A::of(0.1));
    vec![A::of(0.0), tenth, third, A::LEAST_NORMAL, A::LEAST_SUBNORMAL, A::LARGEST]
}

#[test]
fn states_come_back_bit_for_bit() -> Result<(), Error> {
    fn come_back<A>() -> Result<(), Error>
    where
        A: Float + Serialize + DeserializeOwned,
    {
        let u = ArrayD::from_shape_vec(IxDyn(&[2, 3]), numbers::<A>()).unwrap();
        for layout in LAYOUTS {
            let m = layout.arrange(&u.mapv(|value| -value));
            let state = State::from_parts(u64::MAX, m, layout.arrange(&u))?;
            let back = through_json(&state);
            assert_eq!(back.steps(), u64::MAX);
            assert_eq!(back.first_moment().bits(), state.first_moment().bits());
            assert_eq!(back.inf_norm().bits(), state.inf_norm().bits());
            assert_eq!(back.inf_norm().shape(), [2, 3]);
        }
        for shape in [&[][..], &[0], &[2, 0, 3], &[1, 1, 1, 1, 1, 1]] {
            let state = State::<A>::zeros_like(&ArrayD::zeros(shape));
            assert_eq!(through_json(&state), state);
        }
        Ok(())
    }
    come_back::<f64>()?;
    come_back::<f32>()
}

#[test]
fn averages_come_back_bit_for_bit() -> Result<(), Error> {
    fn come_back<A>() -> Result<(), Error>
    where
        A: Float + Serialize + DeserializeOwned,
    {
        let x = ArrayD::from_shape_vec(IxDyn(&[6]), numbers::<A>()).unwrap();
        let mut average = Average::new(0.1 + 0.2, &x)?;
        assert_eq!(through_json(&average), average);
        average.update(&x)?;
        let mut back = through_json(&average);
        assert_eq!(back.mean().bits(), x.bits());
        assert_eq!((back.updates(), back.decay()), (1, 0.1 + 0.2));
        // Further updates also give the same bits.
        let next = x.mapv(|value| A::of(1.5) - value * A::of(0.5));
        average.update(&next)?;
        back.update(&next)?;
        assert_eq!(back, average);
        Ok(())
    }
    come_back::<f64>()?;
    come_back::<f32>()
}

#[test]
fn norm_bounds_come_back() {
    for bound in [0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY] {
        for max_norm in [MaxNorm::Global(bound), MaxNorm::PerTensor(bound)] {
            assert_eq!(through_json(&max_norm), max_norm);
        }
    }
}

/// A run that is saved as text and resumed ends with the bits of one that was not interrupted.
#[test]
fn a_run_goes_on_from_text() -> Result<(), Error> {
    fn goes_on<A>() -> Result<(), Error>
    where
        A: Float + Serialize + DeserializeOwned,
    {
        let make = || {
            let mut optimizer = Optimizer::new(Adamax::default());
            let group = optimizer.add_group(Adamax::keras());
            Model::<A>::in_groups(optimizer, &MIXED, SEED, |optimizer, i| {
                if i % 2 == 0 { group } else { optimizer.default_group() }
            })
        };
        let mut model = make();
        model.optimizer.set_max_norm(Some(MaxNorm::Global(0.5)))?;
        model.optimizer.set_lr_scale(0.1 + 0.2)?;
        model.run(0..5)?;
        let snapshot = model.optimizer.snapshot();
        let back = through_json(&snapshot);
        assert_eq!(back, snapshot);

        let mut resumed = make();
        resumed.optimizer.restore(&back)?;
        for (tensor, saved) in resumed.tensors.iter_mut().zip(&model.tensors) {
            tensor.x.assign(&saved.x);
        }
        model.run(5..9)?;
        resumed.run(5..9)?;
        assert_eq!(resumed.bits(), model.bits());
        Ok(())
    }
    goes_on::<f64>()?;
    goes_on::<f32>()
}

/// JSON has no infinity. A clip value of ∞ is written as `null`, a norm bound of ∞ as a name.
#[test]
fn infinite_bounds_come_back() -> Result<(), Error> {
    assert_eq!(serde_json::to_value(Adamax::default()).unwrap()["clip_value"], Value::Null);
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    for (max_norm, name) in [
        (MaxNorm::Global(f64::INFINITY), "GlobalInfinite"),
        (MaxNorm::PerTensor(f64::INFINITY), "PerTensorInfinite"),
    ] {
        optimizer.set_max_norm(Some(max_norm))?;
        let snapshot = optimizer.snapshot();
        assert_eq!(serde_json::to_value(&snapshot).unwrap()["max_norm"], name);
        assert_eq!(through_json(&snapshot).max_norm(), Some(max_norm));
    }
    Ok(())
}

#[test]
fn norm_bounds_that_no_optimizer_takes_are_refused() {
    for bad in [f64::NAN, 0.0, -1.0] {
        let message = format!("max norm is {bad}, but must be greater than 0");
        for max_norm in [MaxNorm::Global(bad), MaxNorm::PerTensor(bad)] {
            assert_eq!(serde_json::to_string(&max_norm).unwrap_err().to_string(), message);
        }
    }
    assert_error::<MaxNorm>(&json!({ "Global": 0.0 }), "max norm is 0, but must be greater than 0");
    assert_error::<MaxNorm>(&json!({ "Global": null }), "invalid type: null");
}

// ---------------------------------------------------------------- the format

/// Documents of earlier releases must stay readable: this text changes only if a setting is added, or
/// together with `Snapshot::VERSION`. Without rows, documents stay of version 1.
const PINNED: &str = r#"{"version":1,"groups":[{"learning_rate":0.002,"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"epsilon_placement":"Outside","bias_correction":"On","weight_decay":"None","clip_value":null,"lower_bound":null,"upper_bound":null,"objective":"Minimize","non_finite":"Error"},{"learning_rate":0.25,"beta1":0.5,"beta2":0.75,"epsilon":0.0,"epsilon_placement":"InsideMax","bias_correction":"Off","weight_decay":{"Decoupled":0.125},"clip_value":8.0,"lower_bound":-16.0,"upper_bound":32.0,"objective":"Maximize","non_finite":"Skip"}],"tensors":[{"name":"bias","group":1,"state":{"steps":1,"first_moment":{"v":1,"dim":[],"data":[-0.25]},"inf_norm":{"v":1,"dim":[],"data":[0.5]}}},{"name":"weights","group":0,"state":{"steps":0,"first_moment":{"v":1,"dim":[2,1],"data":[0.0,0.0]},"inf_norm":{"v":1,"dim":[2,1],"data":[0.0,0.0]}}}],"lr_scale":0.5,"max_norm":{"PerTensor":4.0}}"#;

/// A rule whose settings all differ from their defaults.
fn all_changed() -> Result<Adamax, Error> {
    without_bounds()?.to_builder().bounds(-16.0, 32.0).build()
}

/// The rule of old documents, which have no bounds.
fn without_bounds() -> Result<Adamax, Error> {
    Adamax::builder()
        .learning_rate(0.25)
        .beta1(0.5)
        .beta2(0.75)
        .epsilon(0.0)
        .epsilon_placement(EpsilonPlacement::InsideMax)
        .bias_correction(BiasCorrection::Off)
        .weight_decay(WeightDecay::Decoupled(0.125))
        .clip_value(8.0)
        .objective(Objective::Maximize)
        .non_finite(NonFinite::Skip)
        .build()
}

fn pinned(rule: Adamax) -> Result<Snapshot, Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let group = optimizer.add_group(rule);
    optimizer.register("weights", &array![[0.0], [0.0]])?;
    let mut bias = ndarray::arr0(1.0);
    let slot = optimizer.register_in(group, "bias", &bias)?;
    optimizer.set_lr_scale(0.5)?;
    optimizer.set_max_norm(Some(MaxNorm::PerTensor(4.0)))?;
    optimizer.step(&mut [slot.bind(&mut bias, &ndarray::arr0(0.5))])?;
    Ok(optimizer.snapshot())
}

#[test]
fn the_format_is_pinned() -> Result<(), Error> {
    assert_eq!(Snapshot::<f64>::VERSION, 2);
    let snapshot = pinned(all_changed()?)?;
    assert_eq!(serde_json::to_string(&snapshot).unwrap(), PINNED);
    assert_eq!(serde_json::from_str::<Snapshot>(PINNED).unwrap(), snapshot);
    let mut average = Average::new(0.75, &array![0.0, 0.0])?;
    average.update(&array![1.0, -2.0])?;
    let text = r#"{"decay":0.75,"updates":1,"mean":{"v":1,"dim":[2],"data":[1.0,-2.0]}}"#;
    assert_eq!(serde_json::to_string(&average).unwrap(), text);
    assert_eq!(serde_json::from_str::<Average>(text).unwrap(), average);
    let mut equal = Average::equal(&array![0.0, 0.0])?;
    equal.update(&array![1.0, -2.0])?;
    let text = text.replace("0.75", "1.0");
    assert_eq!(serde_json::to_string(&equal).unwrap(), text);
    assert_eq!(serde_json::from_str::<Average>(&text).unwrap(), equal);
    Ok(())
}

// ---------------------------------------------------------------- documents of old releases

/// Gets each golden value together with the name of its document.
trait Visit {
    fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str, value: &T);
}

/// Visits values of every type that can be saved.
fn visit_golden(visitor: &mut impl Visit) -> Result<(), Error> {
    (1..=Snapshot::<f64>::VERSION).try_for_each(|version| visit_version(version, visitor))
}

/// Visits values that need this version. Each is in a file `NAME.json` and a file `NAME.cbor`.
fn visit_version(version: u32, visitor: &mut impl Visit) -> Result<(), Error> {
    match version {
        1 => visit_first_version(visitor),
        2 => rows::visit_golden(visitor),
        _ => panic!("version {version} has no values"),
    }
}

fn visit_first_version(visitor: &mut impl Visit) -> Result<(), Error> {
    let third = 1.0 / 3.0;
    visitor.visit("rule_default", &Adamax::default());
    visitor.visit("rule_all_changed", &without_bounds()?);
    visitor.visit("rule_bounded", &all_changed()?);
    let rule = Adamax::builder()
        .learning_rate(0.1 + 0.2)
        .epsilon(f64::from_bits(1))
        .epsilon_placement(EpsilonPlacement::Accumulated)
        .weight_decay(WeightDecay::L2(third))
        .non_finite(NonFinite::Propagate)
        .build()?;
    visitor.visit("rule_other_variants", &rule);

    let (m, u) = (array![[-third, 0.0, 1e-300]].into_dyn(), array![[0.5, 1e300, third]].into_dyn());
    visitor.visit("state", &State::from_parts(u64::MAX, m, u)?);
    let (m, u) = (array![0.1_f32, -1e-45].into_dyn(), array![0.2_f32, f32::MAX].into_dyn());
    visitor.visit("state_f32", &State::from_parts(3, m, u)?);
    visitor.visit("snapshot", &pinned(without_bounds()?)?);
    visitor.visit("snapshot_empty", &Optimizer::<f32>::new(Adamax::keras()).snapshot());
    visitor.visit("max_norm_global", &MaxNorm::Global(third));
    visitor.visit("max_norm_per_tensor", &MaxNorm::PerTensor(1.0));
    let mut average = Average::new(0.75, &array![[0.0, 0.0]])?;
    average.update(&array![[1.0, -third]])?;
    visitor.visit("average", &average);
    let mut equal = Average::equal(&array![0.0_f32])?.in_f64();
    equal.update(&array![0.1])?;
    visitor.visit("average_equal", &equal);

    let step = Schedule::step(10, third)?;
    let schedules = [
        ("constant", Schedule::constant(0.5)),
        ("multi_step", Schedule::multi_step([3, 7], 0.1)),
        ("exponential", Schedule::exponential(100, 0.5)),
        ("inverse_time", Schedule::inverse_time(100, third)),
        ("noam", Schedule::noam(4000)),
        ("linear", Schedule::linear(10, 1.0, 0.25)),
        ("polynomial", Schedule::polynomial(10, 2.5, 0.125)),
        ("cosine", Schedule::cosine(1000, 0.01)),
        ("one_cycle", Schedule::one_cycle(100, 0.3, 0.04, 4e-6)),
        ("piecewise_constant", Schedule::piecewise_constant([(0, 1.0), (5, third)])),
        ("piecewise_linear", Schedule::piecewise_linear([(2, 0.0), (u64::MAX, 1.0)])),
        ("cosine_warm_restarts", Schedule::cosine_warm_restarts(10, 2, 0.1)),
        ("cosine_decay_restarts", Schedule::cosine_decay_restarts(10, 2, third, 0.1)),
        ("scaled", step.clone().scaled(third)),
        ("times", step.clone().times(Schedule::noam(4)?)),
        ("cyclic_constant", Schedule::cyclic(4, 6, 0.1, Amplitude::Constant)),
        ("cyclic_halving", Schedule::cyclic(4, 6, 0.1, Amplitude::Halving)),
        ("cyclic_decaying", Schedule::cyclic(4, 6, 0.1, Amplitude::Decaying(0.99))),
        ("warm_up", step.clone().warm_up(5, 0.125)),
        ("sequence", Schedule::sequence([(8, Schedule::noam(4)?)], step.clone())),
        ("step", Ok(step)),
    ];
    for (name, schedule) in schedules {
        visitor.visit(&format!("schedule_{name}"), &schedule?);
    }

    visitor.visit("plateau_default", &ReduceOnPlateau::builder().build()?);
    visitor.visit("plateau_all_changed", &changed_plateau()?);
    visitor.visit("stop_default", &Stop::builder().build()?);
    visitor.visit("stop_all_changed", &changed_stop()?);
    #[cfg(feature = "argmin")]
    {
        let solver = adamax::argmin::AdamaxSolver::<f64>::new(Adamax::default());
        visitor.visit("solver_default", &solver);
        visitor.visit("solver_all_changed", &old_solver(without_bounds()?)?);
        visitor.visit("solver_bounded", &changed_solver(all_changed()?)?);
    }
    Ok(())
}

/// An observer whose settings all differ from their defaults, after some losses.
fn changed_plateau() -> Result<ReduceOnPlateau, Error> {
    let mut plateau = ReduceOnPlateau::builder()
        .objective(Objective::Maximize)
        .factor(0.5)
        .patience(1)
        .threshold(Threshold::Absolute(0.125))
        .cooldown(3)
        .min_scale(0.01)
        .epsilon(1e-6)
        .build()?;
    for loss in [0.5, 0.75, 0.75, 0.75] {
        plateau.observe(loss);
    }
    Ok(plateau)
}

/// Criteria that all differ from their defaults, after some losses.
fn changed_stop() -> Result<Stop, Error> {
    let mut stop = Stop::builder()
        .objective(Objective::Maximize)
        .patience(3)
        .threshold(Threshold::Absolute(0.125))
        .smoothing(0.75)
        .step_tolerance(1e-9)
        .gradient_tolerance(1e-6)
        .build()?;
    for loss in [0.5, 0.75, f64::NAN, 0.1] {
        stop.observe(loss);
    }
    Ok(stop)
}

/// A solver whose settings all differ from their defaults.
#[cfg(feature = "argmin")]
fn changed_solver(rule: Adamax) -> Result<adamax::argmin::AdamaxSolver, Error> {
    let infinity = f64::INFINITY;
    let solver = old_solver(rule)?
        .with_bounds(&array![[-infinity, 0.1, -0.0]], &array![[2.5, 0.1, infinity]])
        .expect("bounds in order");
    Ok(solver.with_stop(changed_stop()?))
}

/// A solver with all settings of the first release, which had no bounds of elements.
#[cfg(feature = "argmin")]
fn old_solver(rule: Adamax) -> Result<adamax::argmin::AdamaxSolver, Error> {
    let state = State::from_parts(2, array![0.5].into_dyn(), array![1.0].into_dyn())?;
    let solver = adamax::argmin::AdamaxSolver::new(rule)
        .with_tolerance_grad(1e-6)
        .and_then(|solver| solver.with_tolerance_step(1e-9))
        .expect("tolerances in range");
    Ok(solver.with_schedule(Schedule::cosine(1000, 0.0)?).with_state(state))
}

fn golden_folder(version: u32) -> PathBuf {
    repository().join(format!("tests/serde/version_{version}"))
}

/// Asserts that `document` says everything that `old` says. It may say more: new settings.
fn assert_says(document: &Value, old: &Value, name: &str) {
    match (document, old) {
        (Value::Object(document), Value::Object(old)) => {
            for (key, old) in old {
                assert_says(&document[key], old, &format!("{name}/{key}"));
            }
        }
        (Value::Array(document), Value::Array(old)) => {
            assert_eq!(document.len(), old.len(), "{name}");
            for (document, old) in document.iter().zip(old) {
                assert_says(document, old, name);
            }
        }
        _ => assert_eq!(document, old, "{name}"),
    }
}

/// Documents of every version are read for ever, as the values from which they were written.
#[test]
fn documents_of_all_versions_are_read() -> Result<(), Error> {
    struct Read {
        version: u32,
        count: usize,
    }
    impl Visit for Read {
        fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(
            &mut self,
            name: &str,
            value: &T,
        ) {
            let file = golden_folder(self.version).join(format!("{name}.json"));
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            let read: T =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(&read, value, "{name}");
            let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            let written = serde_json::to_string(value).expect("finite");
            assert_says(&json(&written), &json(&text), name);
            formats::read_golden(&golden_folder(self.version), name, value);
            self.count += 1;
        }
    }
    for version in 1..=Snapshot::<f64>::VERSION {
        let mut read = Read { version, count: 0 };
        visit_version(version, &mut read)?;
        let files = fs::read_dir(golden_folder(version)).expect("a folder").count();
        let solvers = if cfg!(feature = "argmin") || version > 1 { 0 } else { 3 };
        assert_eq!(2 * (read.count + solvers), files, "version {version}");
    }
    Ok(())
}

/// To be run once for each new value; existing files are not overwritten.
#[test]
#[ignore = "writes the golden documents"]
fn write_golden_documents() -> Result<(), Error> {
    struct Write(u32);
    impl Visit for Write {
        fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(
            &mut self,
            name: &str,
            value: &T,
        ) {
            let folder = golden_folder(self.0);
            fs::create_dir_all(&folder).expect("a folder");
            let file = folder.join(format!("{name}.json"));
            if !file.exists() {
                let text = serde_json::to_string(value).expect("finite");
                fs::write(file, text + "\n").expect("a file");
            }
            formats::write_golden(&folder, name, value);
        }
    }
    (1..=Snapshot::<f64>::VERSION)
        .try_for_each(|version| visit_version(version, &mut Write(version)))
}

/// Asserts that each of these settings (all if empty) takes its default if a document leaves it out.
/// `place` is a JSON pointer to an object of settings that all differ from `defaults`.
fn assert_defaults<T: DeserializeOwned + PartialEq + Debug>(
    changed: &Value,
    place: &str,
    defaults: &Value,
    settings: &[&str],
) {
    let object = |document: &Value| document.pointer(place).and_then(Value::as_object).cloned();
    let all = object(changed).expect("an object");
    let settings: Vec<&str> = if settings.is_empty() {
        all.keys().map(String::as_str).collect()
    } else {
        settings.to_vec()
    };
    for setting in settings {
        assert_ne!(all[setting], defaults[setting], "{setting} is not changed");
        let read = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| -> T {
            let (mut document, mut object) = (changed.clone(), all.clone());
            change(&mut object);
            *document.pointer_mut(place).expect("an object") = object.into();
            serde_json::from_str(&document.to_string())
                .unwrap_or_else(|error| panic!("{setting}: {error}"))
        };
        let left_out = read(&|object| drop(object.remove(setting)));
        let set = read(&|object| drop(object.insert(setting.into(), defaults[setting].clone())));
        assert_eq!(left_out, set, "{setting}");
    }
}

/// So a release that adds a setting reads the documents of those that did not have it.
#[test]
fn settings_that_are_left_out_take_their_defaults() -> Result<(), Error> {
    fn value(value: impl Serialize) -> Value {
        serde_json::to_value(value).expect("finite")
    }
    let defaults = value(Adamax::default());
    assert_defaults::<Adamax>(&value(all_changed()?), "", &defaults, &[]);
    assert_eq!(serde_json::from_str::<Adamax>("{}").unwrap(), Adamax::default());

    let snapshot = value(pinned(all_changed()?)?);
    assert_defaults::<Snapshot>(&snapshot, "/groups/1", &defaults, &[]);
    let of_snapshot = value(Optimizer::<f64>::new(Adamax::default()).snapshot());
    assert_defaults::<Snapshot>(&snapshot, "", &of_snapshot, &["lr_scale", "max_norm"]);

    let of_plateau = value(ReduceOnPlateau::builder().build()?)["settings"].clone();
    let mut plateau = value(changed_plateau()?);
    // What has been observed must fit every combination of settings.
    plateau["observed"] = json!({ "scale": 0.5, "best": 0.75, "bad_in_a_row": 0, "rest": 0 });
    assert_defaults::<ReduceOnPlateau>(&plateau, "/settings", &of_plateau, &[]);

    let of_stop = value(Stop::builder().build()?)["settings"].clone();
    let mut stop = value(changed_stop()?);
    let losses = json!({ "last": 0.5, "best": 0.5, "reference": 0.5 });
    stop["observed"] = json!({ "finite": 1, "losses": losses, "bad_in_a_row": 0 });
    assert_defaults::<Stop>(&stop, "/settings", &of_stop, &[]);

    #[cfg(feature = "argmin")]
    {
        use adamax::argmin::AdamaxSolver;
        let of_solver = value(AdamaxSolver::<f64>::new(Adamax::default()));
        let settings = ["schedule", "tolerance_grad", "tolerance_step", "state", "bounds", "stop"];
        assert_defaults::<AdamaxSolver>(
            &value(changed_solver(all_changed()?)?),
            "",
            &of_solver,
            &settings,
        );
        assert_defaults::<AdamaxSolver>(
            &value(changed_solver(all_changed()?)?),
            "/rule",
            &defaults,
            &[],
        );
    }
    Ok(())
}

// ---------------------------------------------------------------- refusals

/// Asserts that a document is refused if one of its places (a JSON pointer) holds a bad value.
fn assert_refused<T: DeserializeOwned>(good: &Value, place: &str, bad: &Value, message: &str) {
    let mut document = good.clone();
    *document.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = bad.clone();
    assert_error::<T>(&document, message);
}

fn assert_error<T: DeserializeOwned>(document: &Value, message: &str) {
    // Parsed from text, as a file is.
    match serde_json::from_str::<T>(&document.to_string()) {
        Ok(_) => panic!("accepted, instead of: {message}\n{document}"),
        Err(error) => assert!(error.to_string().contains(message), "{error}\nnot: {message}"),
    }
}

/// Asserts that an object must have each of these fields, and must not have unknown ones.
fn assert_fields<T: DeserializeOwned>(good: &Value, place: &str, required: &[&str]) {
    let fields = good.pointer(place).and_then(Value::as_object).expect("an object");
    for &name in required {
        let mut fewer = fields.clone();
        assert!(fewer.remove(name).is_some(), "no {name}");
        assert_refused::<T>(good, place, &fewer.into(), &format!("missing field `{name}`"));
    }
    let mut more = fields.clone();
    more.insert("momentum".into(), json!(0.9));
    assert_refused::<T>(good, place, &more.into(), "unknown field `momentum`");
}

const RULE_FAULTS: &[(&str, f64, &str)] = &[
    ("learning_rate", -0.1, "learning rate is -0.1, but must be finite and at least 0"),
    ("beta1", 1.0, "beta1 is 1, but must be in [0, 1)"),
    ("beta1", -1e-300, "beta1 is -1e-300"),
    ("beta2", 1.5, "beta2 is 1.5, but must be in [0, 1)"),
    ("epsilon", -1e-8, "epsilon is -1e-8, but must be finite and at least 0"),
    ("clip_value", 0.0, "clip value is 0, but must be greater than 0"),
    ("clip_value", -1.0, "clip value is -1, but must be greater than 0"),
    ("lower_bound", 99.0, "lower bound is 99, but must be at most the upper bound"),
    ("upper_bound", -99.0, "lower bound is -16, but must be at most the upper bound"),
];

/// Some formats have names as bytes.
#[test]
fn names_in_schedules_may_be_bytes() {
    fn read(kind: &[u8]) -> Result<Schedule, value::Error> {
        let arguments = BTreeMap::from([("scale", 0.5)]);
        let document = BTreeMap::from([(kind, arguments)]).into_deserializer();
        Schedule::deserialize(MapAccessDeserializer::new(document))
    }
    assert_eq!(read(b"Constant"), Ok(Schedule::constant(0.5).expect("a scale")));
    for (unknown, named) in [(&b"Unknown"[..], "`Unknown`"), (b"\xff", "`of bytes`")] {
        let message = read(unknown).unwrap_err().to_string();
        assert!(message.starts_with(&format!("unknown variant {named}, expected")), "{message}");
    }
}

/// Some formats have indices in place of names.
#[test]
fn indices_of_schedules_are_checked() {
    let read = |index: u32| {
        let document: value::U32Deserializer<value::Error> = index.into_deserializer();
        Schedule::deserialize(document).unwrap_err().to_string()
    };
    let names =
        serde_json::from_value::<Schedule>(json!({ "Unknown": 0 })).unwrap_err().to_string();
    let kinds = u32::try_from(names.matches("`, `").count() + 1).unwrap();
    assert!(kinds > 5, "{names}");
    // A kind that is known wants arguments, which a number by itself does not have.
    assert!((0..kinds).all(|index| read(index).starts_with("invalid type: unit variant")));
    for index in [kinds, kinds + 1, u32::MAX] {
        let expected = format!("integer `{index}`, expected the index of a kind of schedule");
        assert_eq!(read(index), format!("invalid value: {expected}"));
    }
}

#[test]
fn rules_are_checked() {
    let good = Adamax::pytorch().to_builder().bounds(-16.0, 32.0).build().expect("in range");
    let good = serde_json::to_value(good).unwrap();
    for &(field, bad, message) in RULE_FAULTS {
        assert_refused::<Adamax>(&good, &format!("/{field}"), &bad.into(), message);
    }
    for kind in ["L2", "Decoupled"] {
        let message = "weight decay is -1, but must be finite and at least 0";
        assert_refused::<Adamax>(&good, "/weight_decay", &json!({ kind: -1.0 }), message);
    }
    for field in ["epsilon_placement", "bias_correction", "objective", "non_finite", "weight_decay"]
    {
        let place = format!("/{field}");
        assert_refused::<Adamax>(&good, &place, &json!("Sideways"), "unknown variant `Sideways`");
    }
    for name in ["learning_rate", "beta1", "beta2", "epsilon"] {
        // serde_json writes NaN as null.
        assert_refused::<Adamax>(&good, &format!("/{name}"), &Value::Null, "invalid type: null");
        assert_refused::<Adamax>(&good, &format!("/{name}"), &json!("NaN"), "invalid type");
    }
    assert_fields::<Adamax>(&good, "", &[]);
}

#[test]
fn states_are_checked() -> Result<(), Error> {
    fn check<T: DeserializeOwned>(good: &Value, place: &str, tensor: &str) {
        let at = |field: &str| format!("{place}/{field}");
        let array = |shape: &[usize], data: &[f64]| json!({ "v": 1, "dim": shape, "data": data });
        let message = format!("{tensor}infinity norm is negative (-0.5) at index [1]");
        assert_refused::<T>(good, &at("inf_norm/data/1"), &json!(-0.5), &message);
        let message =
            format!("{tensor}infinity norm has shape [3], but first moment has shape [2]");
        assert_refused::<T>(good, &at("inf_norm"), &array(&[3], &[1.0, 1.0, 1.0]), &message);
        let message =
            format!("{tensor}infinity norm has shape [2, 1], but first moment has shape [2]");
        assert_refused::<T>(good, &at("inf_norm"), &array(&[2, 1], &[1.0, 1.0]), &message);
        assert_refused::<T>(good, &at("first_moment/data/0"), &Value::Null, "invalid type: null");
        assert_refused::<T>(good, &at("first_moment/data/0"), &json!("NaN"), "invalid type");
        // Shapes that do not fit the number of elements.
        for shape in [&[2][..], &[1, 0], &[usize::MAX, 2]] {
            let message = format!("array of shape {shape:?} has 1 elements");
            assert_refused::<T>(good, &at("first_moment"), &array(shape, &[1.0]), &message);
        }
        for version in [0, 3] {
            let message =
                format!("array has version {version}, but this release reads versions 1 and 2");
            assert_refused::<T>(good, &at("first_moment/v"), &json!(version), &message);
        }
        let message = "array has version 2, but this release reads version 1";
        assert_refused::<T>(good, &at("inf_norm/v"), &json!(2), message);
        assert_fields::<T>(good, &at("first_moment"), &["v", "dim", "data"]);
        for bad in [json!(-1), json!(1.5), json!("1"), Value::Null] {
            assert_refused::<T>(good, &at("steps"), &bad, "invalid ");
        }
        assert_fields::<T>(good, place, &["steps", "first_moment", "inf_norm"]);
    }
    let state = State::from_parts(3, array![0.5, -0.5].into_dyn(), array![1.0, 2.0].into_dyn())?;
    check::<State>(&serde_json::to_value(state).unwrap(), "", "");

    let mut optimizer = Optimizer::new(Adamax::default());
    optimizer.register("x", &array![0.0, 0.0])?;
    let snapshot = serde_json::to_value(optimizer.snapshot()).unwrap();
    check::<Snapshot>(&snapshot, "/tensors/0/state", "tensor `x`: ");
    Ok(())
}

/// JSON numbers are f64. Rounded to f32, some become infinite.
#[test]
fn numbers_beyond_f32_are_refused() -> Result<(), Error> {
    fn assert_refused<T: DeserializeOwned>(mut document: Value, place: &str, message: &str) {
        *document.pointer_mut(place).expect("a number") = json!(1e300);
        let error = serde_json::from_value::<T>(document).err().expect("beyond f32");
        assert_eq!(error.to_string(), message);
    }
    let x = array![0.0_f32];
    let state = serde_json::to_value(State::zeros_like(&x)).unwrap();
    let message = "infinity norm is inf at index [0]";
    assert_refused::<State<f32>>(state.clone(), "/inf_norm/data/0", message);
    let message = "first moment is inf at index [0]";
    assert_refused::<State<f32>>(state, "/first_moment/data/0", message);
    let average = serde_json::to_value(Average::new(0.5, &x)?).unwrap();
    assert_refused::<Average<f32>>(average, "/mean/data/0", "average is inf at index [0]");
    Ok(())
}

#[test]
fn snapshots_are_checked() {
    let good: Value = serde_json::from_str(PINNED).unwrap();
    let refused = |place: &str, bad: Value, message: &str| {
        assert_refused::<Snapshot>(&good, place, &bad, message);
    };
    let message = "snapshot has version 3, but this release reads versions up to 2";
    refused("/version", json!(3), message);
    refused("/version", json!(0), "snapshot has version 0, but versions start at 1");
    refused("/version", json!("1"), "invalid type");
    refused("/tensors/1/name", json!("bias"), "tensor `bias`: name is taken");
    let message = "tensor `bias`: in group 2 of a snapshot with 2 groups";
    refused("/tensors/0/group", json!(2), message);
    refused("/tensors/0/group", json!(-1), "invalid value");
    refused("/groups", json!([]), "tensor `bias`: in group 1 of a snapshot with 0 groups");
    let message = "learning rate scale is -1, but must be finite and at least 0";
    refused("/lr_scale", json!(-1.0), message);
    refused("/lr_scale", Value::Null, "invalid type: null");
    for kind in ["Global", "PerTensor"] {
        for bad in [0.0, -2.0] {
            let message = format!("max norm is {bad}, but must be greater than 0");
            refused("/max_norm", json!({ kind: bad }), &message);
        }
    }
    refused("/max_norm", json!({ "Sideways": 1.0 }), "unknown variant `Sideways`");
    for &(field, bad, message) in RULE_FAULTS {
        refused(&format!("/groups/1/{field}"), bad.into(), message);
    }
    assert_fields::<Snapshot>(&good, "", &["version", "groups", "tensors"]);
    assert_fields::<Snapshot>(&good, "/tensors/0", &["name", "group", "state"]);
    assert_fields::<Snapshot>(&good, "/groups/1", &[]);
}

/// An old release complains of the version of a newer document, not of its unknown fields.
#[test]
fn a_newer_version_is_named_before_its_unknown_fields() {
    let newer = PINNED.replacen("{\"version\":1", "{\"version\":3,\"checksum\":7", 1);
    let error = serde_json::from_str::<Snapshot>(&newer).unwrap_err().to_string();
    assert!(error.starts_with("snapshot has version 3"), "{error}");
}

#[test]
fn averages_are_checked() -> Result<(), Error> {
    let good = serde_json::to_value(Average::new(0.5, &array![0.0, 0.0])?).unwrap();
    let message = "decay of the average is 1.5, but must be in [0, 1]";
    assert_refused::<Average>(&good, "/decay", &json!(1.5), message);
    assert_refused::<Average>(&good, "/decay", &json!(-0.5), "decay of the average is -0.5");
    assert_refused::<Average>(&good, "/mean/data/1", &Value::Null, "invalid type: null");
    assert_refused::<Average>(&good, "/updates", &json!(-1), "invalid value");
    assert_fields::<Average>(&good, "", &["decay", "updates", "mean"]);
    Ok(())
}

/// A solver is checked as a whole: its bounds among themselves and with the rule.
#[cfg(feature = "argmin")]
#[test]
fn solvers_are_checked() -> Result<(), Error> {
    use adamax::argmin::AdamaxSolver;
    let good = serde_json::to_value(changed_solver(all_changed()?)?).unwrap();
    let refused = |place: &str, bad: Value, message: &str| {
        assert_refused::<AdamaxSolver>(&good, place, &bad, message);
    };
    // The bounds of the rule, −16 and 32, hold for all elements.
    assert_eq!(good["bounds"]["lower"], json!([-16.0, 0.1, -0.0]));
    assert_eq!(good["bounds"]["upper"], json!([2.5, 0.1, 32.0]));
    let message = "lower bound is 0.2 at index [0, 1], but must be at most the upper bound";
    refused("/bounds/lower/1", json!(0.2), message);
    let message = "lower bound is 50.0 at index [0, 0], but must be at most the upper bound";
    refused("/bounds", json!({"dim": [1, 1], "lower": [50.0], "upper": [60.0]}), message);
    for (dim, count) in [(json!([2]), 3), (json!([3, 2]), 3), (json!([usize::MAX, 2]), 3)] {
        refused("/bounds/dim", dim, &format!(" has {count} elements"));
    }
    refused("/bounds/upper", json!([1.0]), "array of shape [1, 3] has 1 elements");
    refused("/bounds/lower/0", json!("NaN"), "invalid type");
    assert_fields::<AdamaxSolver>(&good, "/bounds", &["dim", "lower", "upper"]);
    refused("/stop/settings/smoothing", json!(1.0), "smoothing is 1, but must be in [0, 1)");
    assert_fields::<AdamaxSolver>(&good, "/stop", &["settings", "observed"]);
    // Infinite bounds come back, and the sign of 0.
    let solver = AdamaxSolver::<f64>::new(Adamax::default());
    let infinity = f64::INFINITY;
    let solver = solver.with_bounds(&[-infinity, -0.0], &[0.0, infinity]).expect("in order");
    let text = serde_json::to_string(&solver).expect("finite");
    assert!(text.contains(r#""lower":[null,-0.0],"upper":[0.0,null]"#), "{text}");
    assert_eq!(through_json(&solver), solver);
    // A number that `f32` does not have is an infinite bound there, which no parameter keeps.
    let mut wide: Value = serde_json::from_str(&text).expect("just written");
    wide["bounds"]["lower"][0] = json!(1e300);
    let error = serde_json::from_value::<AdamaxSolver<f32>>(wide).expect_err("beyond f32");
    assert!(error.to_string().contains("lower bound is inf at index [0]"), "{error}");
    Ok(())
}

/// Values that could not be read back are not written: NaN would become `null`.
#[test]
fn values_that_are_not_finite_are_not_written() -> Result<(), Error> {
    let rule = Adamax::builder().non_finite(NonFinite::Propagate).build()?;
    for bad in [f64::NAN, f64::INFINITY] {
        let mut x = array![[1.0, 2.0], [3.0, 4.0]];
        let g = array![[0.1, 0.2], [bad, 0.4]];
        let mut average = Average::new(0.9, &x)?;
        let mut optimizer = Optimizer::new(rule);
        let slot = optimizer.register("x", &x)?;
        optimizer.step(&mut [slot.bind(&mut x, &g)])?;
        let message = format!("first moment is {bad} at index [1, 0]");
        let state = optimizer.state(slot).unwrap();
        assert_eq!(serde_json::to_string(state).unwrap_err().to_string(), message);
        let error = serde_json::to_string(&optimizer.snapshot()).unwrap_err();
        assert_eq!(error.to_string(), format!("tensor `x`: {message}"));

        x[[0, 1]] = bad;
        x[[1, 0]] = 0.0;
        average.update(&x)?;
        let error = serde_json::to_string(&average).unwrap_err();
        assert_eq!(error.to_string(), format!("average is {bad} at index [0, 1]"));
    }
    Ok(())
}

/// States are read in row-major order. `restore` copies them to the order of the parameter.
#[test]
fn restoring_from_text_keeps_the_order_of_the_parameter() -> Result<(), Error> {
    let mut x = Layout::F.arrange_as::<f64, ndarray::Ix2>(&ArrayD::ones(vec![3, 4]));
    let g = x.clone();
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("x", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    let back = through_json(&optimizer.snapshot());
    optimizer.restore(&back)?;
    assert_eq!(optimizer.state(slot).unwrap().first_moment().strides(), x.strides());
    assert_eq!(optimizer.state(slot).unwrap().inf_norm().strides(), x.strides());
    Ok(())
}
