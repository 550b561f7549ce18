//! Serialisation: exact both ways, a pinned format, and the checks of building on the way back.

#![cfg(feature = "serde")]

mod common;

use adamax::{
    Adamax, Average, BiasCorrection, EpsilonPlacement, Error, MaxNorm, NonFinite, Objective,
    Optimizer, Snapshot, State, WeightDecay,
};
use common::{Bits, Float, Layout, Model, layout::LAYOUTS, model::MIXED, rules};
use ndarray::{ArrayD, IxDyn, array};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const SEED: u64 = 8;

fn through_json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("finite");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

// ---------------------------------------------------------------- there and back

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

/// Numbers at the ends of the range, with all their digits.
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
        // And go on as if they had never left.
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
    for bound in [0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX] {
        for max_norm in [MaxNorm::Global(bound), MaxNorm::PerTensor(bound)] {
            assert_eq!(through_json(&max_norm), max_norm);
        }
    }
}

/// A run that is saved as text, and goes on from that, ends with the same bits.
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

/// JSON has no infinity; a bound of ∞ bounds nothing, as no bound does.
#[test]
fn infinite_bounds_are_no_bounds() -> Result<(), Error> {
    assert_eq!(serde_json::to_value(Adamax::default()).unwrap()["clip_value"], Value::Null);
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    optimizer.set_max_norm(Some(MaxNorm::Global(f64::INFINITY)))?;
    assert_eq!(through_json(&optimizer.snapshot()).max_norm(), None);
    Ok(())
}

// ---------------------------------------------------------------- the format

/// What earlier releases have written must stay readable: this text changes only together with
/// `Snapshot::VERSION`.
const PINNED: &str = r#"{"version":1,"groups":[{"learning_rate":0.002,"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"epsilon_placement":"Outside","bias_correction":"On","weight_decay":"None","clip_value":null,"objective":"Minimize","non_finite":"Error"},{"learning_rate":0.25,"beta1":0.5,"beta2":0.75,"epsilon":0.0,"epsilon_placement":"InsideMax","bias_correction":"Off","weight_decay":{"Decoupled":0.125},"clip_value":8.0,"objective":"Maximize","non_finite":"Skip"}],"tensors":[{"name":"bias","group":1,"state":{"steps":1,"first_moment":{"v":1,"dim":[],"data":[-0.25]},"inf_norm":{"v":1,"dim":[],"data":[0.5]}}},{"name":"weights","group":0,"state":{"steps":0,"first_moment":{"v":1,"dim":[2,1],"data":[0.0,0.0]},"inf_norm":{"v":1,"dim":[2,1],"data":[0.0,0.0]}}}],"lr_scale":0.5,"max_norm":{"PerTensor":4.0}}"#;

fn pinned() -> Result<Snapshot, Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let other = Adamax::builder()
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
        .build()?;
    let group = optimizer.add_group(other);
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
    assert_eq!(Snapshot::<f64>::VERSION, 1);
    assert_eq!(serde_json::to_string(&pinned()?).unwrap(), PINNED);
    assert_eq!(serde_json::from_str::<Snapshot>(PINNED).unwrap(), pinned()?);
    let mut average = Average::new(0.75, &array![0.0, 0.0])?;
    average.update(&array![1.0, -2.0])?;
    let text = r#"{"decay":0.75,"updates":1,"mean":{"v":1,"dim":[2],"data":[1.0,-2.0]}}"#;
    assert_eq!(serde_json::to_string(&average).unwrap(), text);
    assert_eq!(serde_json::from_str::<Average>(text).unwrap(), average);
    Ok(())
}

// ---------------------------------------------------------------- what is refused

/// Asserts that a document is refused once one of its places (a JSON pointer) holds another value.
fn assert_refused<T: DeserializeOwned>(good: &Value, place: &str, bad: &Value, message: &str) {
    let mut document = good.clone();
    *document.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = bad.clone();
    assert_error::<T>(&document, message);
}

fn assert_error<T: DeserializeOwned>(document: &Value, message: &str) {
    // By way of text, as from a file.
    match serde_json::from_str::<T>(&document.to_string()) {
        Ok(_) => panic!("taken, instead of: {message}\n{document}"),
        Err(error) => assert!(error.to_string().contains(message), "{error}\nnot: {message}"),
    }
}

/// Asserts that each field of an object must be there, and no other.
fn assert_fields<T: DeserializeOwned>(good: &Value, place: &str) {
    let object = |document: &mut Value| {
        document.pointer_mut(place).and_then(Value::as_object_mut).expect("an object").clone()
    };
    let fields = object(&mut good.clone());
    for name in fields.keys() {
        let mut document = good.clone();
        document.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(name);
        assert_error::<T>(&document, &format!("missing field `{name}`"));
    }
    let mut more = fields;
    more.insert("momentum".into(), json!(0.9));
    assert_refused::<T>(good, place, &more.into(), "unknown field `momentum`");
}

const RULE_FAULTS: &[(&str, f64, &str)] = &[
    ("learning_rate", -0.1, "learning rate is -0.1, but must be finite and at least 0"),
    ("beta1", 1.0, "beta1 is 1, but must be in [0, 1)"),
    ("beta1", -1e-300, "beta1 is -0.0"),
    ("beta2", 1.5, "beta2 is 1.5, but must be in [0, 1)"),
    ("epsilon", -1e-8, "epsilon is -0.00000001, but must be finite and at least 0"),
    ("clip_value", 0.0, "clip value is 0, but must be greater than 0"),
    ("clip_value", -1.0, "clip value is -1, but must be greater than 0"),
];

#[test]
fn rules_are_checked() {
    let good = serde_json::to_value(Adamax::pytorch()).unwrap();
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
        // What serde_json makes of NaN.
        assert_refused::<Adamax>(&good, &format!("/{name}"), &Value::Null, "invalid type: null");
        assert_refused::<Adamax>(&good, &format!("/{name}"), &json!("NaN"), "invalid type");
    }
    // `clip_value` may be null, and serde takes a missing option for one.
    let mut with_clip = good;
    with_clip.as_object_mut().unwrap().remove("clip_value");
    assert_fields::<Adamax>(&with_clip, "");
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
        // An array that is none.
        assert_refused::<T>(good, &at("first_moment"), &array(&[2], &[1.0]), "");
        assert_refused::<T>(good, &at("first_moment"), &array(&[usize::MAX, 2], &[1.0]), "");
        for bad in [json!(-1), json!(1.5), json!("1"), Value::Null] {
            assert_refused::<T>(good, &at("steps"), &bad, "invalid ");
        }
        assert_fields::<T>(good, place);
    }
    let state = State::from_parts(3, array![0.5, -0.5].into_dyn(), array![1.0, 2.0].into_dyn())?;
    check::<State>(&serde_json::to_value(state).unwrap(), "", "");

    let mut optimizer = Optimizer::new(Adamax::default());
    optimizer.register("x", &array![0.0, 0.0])?;
    let snapshot = serde_json::to_value(optimizer.snapshot()).unwrap();
    check::<Snapshot>(&snapshot, "/tensors/0/state", "tensor `x`: ");
    Ok(())
}

/// Formats that hold f64 hand them over to be rounded, to infinity where they are beyond f32.
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
    let message = "snapshot has version 2, but this release reads versions up to 1";
    refused("/version", json!(2), message);
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
    for place in ["/tensors/0", "/groups/1"] {
        let mut good = good.clone();
        if let Some(rule) = good.pointer_mut("/groups/1").and_then(Value::as_object_mut) {
            rule.remove("clip_value");
        }
        assert_fields::<Snapshot>(&good, place);
    }
    let mut without_option = good.clone();
    without_option.as_object_mut().unwrap().remove("max_norm");
    assert_fields::<Snapshot>(&without_option, "");
}

/// The version is what a release that is too old should complain of, not the news that came with it.
#[test]
fn a_newer_version_is_named_before_its_unknown_fields() {
    let newer = PINNED.replacen("{\"version\":1", "{\"version\":2,\"checksum\":7", 1);
    let error = serde_json::from_str::<Snapshot>(&newer).unwrap_err().to_string();
    assert!(error.starts_with("snapshot has version 2"), "{error}");
}

#[test]
fn averages_are_checked() -> Result<(), Error> {
    let good = serde_json::to_value(Average::new(0.5, &array![0.0, 0.0])?).unwrap();
    let message = "decay of the average is 1, but must be in [0, 1)";
    assert_refused::<Average>(&good, "/decay", &json!(1.0), message);
    assert_refused::<Average>(&good, "/decay", &json!(-0.5), "decay of the average is -0.5");
    assert_refused::<Average>(&good, "/mean/data/1", &Value::Null, "invalid type: null");
    assert_refused::<Average>(&good, "/updates", &json!(-1), "invalid value");
    assert_fields::<Average>(&good, "");
    Ok(())
}

/// What could not be read back is not written: NaN would become `null`.
#[test]
fn what_is_not_finite_is_not_written() -> Result<(), Error> {
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

/// A state read back lies in row-major order; `restore` brings it to the order of the parameter.
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
