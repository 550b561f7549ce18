//! States with a counter for each row. Documents without them must not change, and old releases must refuse
//! those with them.

use std::fmt::Debug;

use adamax::{Error, ErrorKind, Optimizer, Snapshot, State};
use ndarray::{Array1, ArrayD, array};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Visit, all_changed, assert_error, assert_fields, assert_refused,
    common::{Bits, Float, layout::LAYOUTS},
    formats::{from_cbor, from_postcard, to_cbor},
    numbers, pinned, through_json,
};

/// Counters of three rows, which need from one to ten bytes in postcard.
const COUNTERS: [u64; 3] = [7, 0, u64::MAX];

fn table<A: Float>() -> Result<State<A>, Error> {
    let m = array![[A::of(-0.25), A::of(0.1)], [A::of(0.0), A::of(0.0)], [A::of(0.5), A::of(1.0)]];
    State::from_row_parts(COUNTERS.into(), m.clone().into_dyn(), m.mapv(A::abs).into_dyn())
}

/// The snapshot of [`pinned`], with a table in place of its weights.
pub(crate) fn snapshot() -> Result<Snapshot, Error> {
    let mut document = serde_json::to_value(pinned(all_changed()?)?).expect("finite");
    document["version"] = json!(2);
    document["tensors"][1]["state"] = serde_json::to_value(table::<f64>()?).expect("finite");
    Ok(serde_json::from_value(document).expect("valid"))
}

/// Visits what version 1 cannot hold.
pub(crate) fn visit_golden(visitor: &mut impl Visit) -> Result<(), Error> {
    visitor.visit("state_rows", &table::<f64>()?);
    visitor.visit("state_rows_f32", &table::<f32>()?);
    let none = ArrayD::<f64>::zeros(vec![0, 3]);
    visitor.visit("state_no_rows", &State::from_row_parts(vec![], none.clone(), none)?);
    visitor.visit("snapshot_rows", &snapshot()?);
    Ok(())
}

/// A text that later releases must read.
const PINNED: &str = r#"{"steps":18446744073709551615,"first_moment":{"v":2,"dim":[3,2],"data":[-0.25,0.1,0.0,0.0,0.5,1.0]},"inf_norm":{"v":1,"dim":[3,2],"data":[0.25,0.1,0.0,0.0,0.5,1.0]},"row_steps":[7,0,18446744073709551615]}"#;

#[test]
fn the_format_is_pinned() -> Result<(), Error> {
    assert_eq!(serde_json::to_string(&table::<f64>()?).expect("finite"), PINNED);
    assert_eq!(serde_json::from_str::<State>(PINNED).expect("valid"), table()?);
    let document = serde_json::to_value(snapshot()?).expect("finite");
    assert_eq!(document["version"], 2);
    Ok(())
}

#[test]
fn counters_come_back_with_every_moment() -> Result<(), Error> {
    fn come_back<A>() -> Result<(), Error>
    where
        A: Float + Serialize + DeserializeOwned,
    {
        let u = ArrayD::from_shape_vec(vec![2, 3], numbers::<A>()).expect("six numbers");
        for layout in LAYOUTS {
            let (m, u) = (layout.arrange(&u.mapv(|value| -value)), layout.arrange(&u));
            let state = State::from_row_parts(vec![3, 1 << 40], m, u)?;
            let cbor = from_cbor::<State<A>>(&to_cbor(&state)).expect("just written");
            let document = postcard::to_stdvec(&state).expect("finite");
            let postcard = from_postcard::<State<A>>(&document).expect("just written");
            for back in [through_json(&state), cbor, postcard] {
                assert_eq!(back.row_steps(), Some(&[3, 1 << 40][..]));
                assert_eq!(back.steps(), 1 << 40);
                assert_eq!(back.first_moment().bits(), state.first_moment().bits());
                assert_eq!(back.inf_norm().bits(), state.inf_norm().bits());
            }
        }
        Ok(())
    }
    come_back::<f64>()?;
    come_back::<f32>()
}

/// Fields after a state are read as well: nothing is left of the counters.
#[test]
fn values_after_a_state_come_back() -> Result<(), Error> {
    let states = [table::<f64>()?, State::zeros_like(&array![0.0]), table()?.into_rows()?];
    let document = postcard::to_stdvec(&(&states, "end")).expect("finite");
    let (back, end): ([State; 3], String) = from_postcard(&document).expect("just written");
    assert_eq!((back, &*end), (states.clone(), "end"));
    let (back, end): ([State; 3], String) =
        from_cbor(&to_cbor(&(&states, "end"))).expect("just written");
    assert_eq!((back, &*end), (states, "end"));
    Ok(())
}

#[test]
fn counters_survive_a_cast() -> Result<(), Error> {
    let double = snapshot()?;
    let single: Snapshot<f32> = double.cast()?;
    assert_eq!(single.state("weights").and_then(State::row_steps), Some(&COUNTERS[..]));
    let back: Snapshot = through_json(&single).cast()?;
    assert_eq!(back.state("weights").and_then(State::row_steps), Some(&COUNTERS[..]));
    Ok(())
}

// ---------------------------------------------------------------- old releases

/// Without counters, a state is what it was before rows: a number and two arrays of ndarray.
#[test]
fn a_state_without_counters_keeps_its_bytes() -> Result<(), Error> {
    #[derive(Serialize)]
    struct Old<'a> {
        steps: u64,
        first_moment: &'a ArrayD<f64>,
        inf_norm: &'a ArrayD<f64>,
    }
    for layout in LAYOUTS {
        let u = layout.arrange(&ArrayD::from_shape_vec(vec![3, 2], numbers::<f64>()).expect("six"));
        let m = u.mapv(|value| -value);
        for steps in [0, 300, u64::MAX] {
            let state = State::from_parts(steps, m.clone(), u.clone())?;
            let old = Old { steps, first_moment: &m, inf_norm: &u };
            assert_eq!(to_cbor(&state), to_cbor(&old));
            assert_eq!(postcard::to_stdvec(&state), postcard::to_stdvec(&old));
            let text = |value: Result<String, _>| value.expect("finite");
            assert_eq!(text(serde_json::to_string(&state)), text(serde_json::to_string(&old)));
        }
    }
    Ok(())
}

/// What the release before rows reads: names that it does not know are errors, and so are versions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct OldState {
    steps: u64,
    first_moment: OldArray,
    inf_norm: OldArray,
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
#[expect(dead_code, reason = "only read")]
struct OldArray(ArrayD<f64>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct OldSolver {
    before: u8,
    state: Option<OldState>,
    after: u8,
}

/// A state alone, where no version of a snapshot stands before it.
#[test]
fn an_old_release_refuses_counters_in_every_format() -> Result<(), Error> {
    fn read(state: &State) -> [Result<(), String>; 6] {
        fn json<T: DeserializeOwned>(value: &impl Serialize) -> Result<(), String> {
            let text = serde_json::to_string(value).expect("finite");
            serde_json::from_str::<T>(&text).map(drop).map_err(|error| error.to_string())
        }
        fn postcard<T: DeserializeOwned>(value: &impl Serialize) -> Result<(), String> {
            from_postcard::<T>(&postcard::to_stdvec(value).expect("finite")).map(drop)
        }
        #[derive(Serialize)]
        struct Solver<'a> {
            before: u8,
            state: Option<&'a State>,
            after: u8,
        }
        let solver = Solver { before: 1, state: Some(state), after: 2 };
        [
            json::<OldState>(state),
            from_cbor::<OldState>(&to_cbor(state)).map(drop),
            postcard::<OldState>(state),
            json::<OldSolver>(&solver),
            from_cbor::<OldSolver>(&to_cbor(&solver)).map(drop),
            postcard::<OldSolver>(&solver),
        ]
    }
    for result in read(&State::zeros_like(&array![[1.0, 2.0]])) {
        assert_eq!(result, Ok(()), "without counters, the format has not changed");
    }
    let none = ArrayD::zeros(vec![0, 2]);
    for state in [table()?, State::from_row_parts(vec![], none.clone(), none)?] {
        for result in read(&state) {
            let error = result.expect_err("counters would be lost");
            let says = error.contains("unknown array version: 2");
            assert!(says || error == "Serde Deserialization Error", "{error}");
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- refusals

#[test]
fn counters_are_checked() -> Result<(), Error> {
    fn check<T: DeserializeOwned>(good: &Value, place: &str, tensor: &str) {
        let at = |field: &str| format!("{place}/{field}");
        let refused = |field: &str, bad: Value, message: &str| {
            assert_refused::<T>(good, &at(field), &bad, message);
        };
        let message = format!("{tensor}there are 2 counters for 3 rows");
        refused("row_steps", json!([7, u64::MAX]), &message);
        let message = format!("{tensor}there are 4 counters for 3 rows");
        refused("row_steps", json!([7, 0, 0, u64::MAX]), &message);
        let message = format!("{tensor}t is {}, but the largest counter of a row is 9", u64::MAX);
        refused("row_steps", json!([7, 9, 8]), &message);
        let message = format!("{tensor}t is 7, but the largest counter of a row is {}", u64::MAX);
        refused("steps", json!(7), &message);
        for bad in [json!([-1, 0, 0]), json!([0.5, 0, 0]), json!(["1", 0, 0]), json!([null, 0, 0])]
        {
            refused("row_steps", bad, "invalid ");
        }
        refused("row_steps", json!(7), "invalid type: integer `7`, expected a sequence");
        refused("row_steps", Value::Null, "invalid type: null, expected a sequence");
        let message = "`row_steps` is for a first moment of version 2, but this one has version 1";
        refused("first_moment/v", json!(1), message);
        let message = format!("{tensor}first moment has no axis, so it has no rows");
        let mut number = good.clone();
        let state = number.pointer_mut(place).expect("a state");
        for moment in ["first_moment", "inf_norm"] {
            (state[moment]["dim"], state[moment]["data"]) = (json!([]), json!([0.5]));
        }
        assert_error::<T>(&number, &message);
        assert_fields::<T>(good, place, &["steps", "first_moment", "inf_norm", "row_steps"]);
    }
    check::<State>(&serde_json::to_value(table::<f64>()?).expect("finite"), "", "");
    let document = serde_json::to_value(snapshot()?).expect("finite");
    check::<Snapshot>(&document, "/tensors/1/state", "tensor `weights`: ");
    Ok(())
}

#[test]
fn a_field_comes_once() {
    for field in ["steps", "first_moment", "inf_norm", "row_steps"] {
        let document: Value = serde_json::from_str(PINNED).expect("JSON");
        let twice = format!(r#"{{"{field}":{},{}"#, document[field], &PINNED[1..]);
        let error = serde_json::from_str::<State>(&twice).expect_err(field).to_string();
        assert!(error.starts_with(&format!("duplicate field `{field}`")), "{error}");
    }
}

/// Fields may come in any order, and without their names.
#[test]
fn fields_in_other_orders_are_read() -> Result<(), Error> {
    let document: Value = serde_json::from_str(PINNED).expect("JSON");
    let fields = ["steps", "first_moment", "inf_norm", "row_steps"];
    for turn in 0..fields.len() {
        let order = fields.iter().cycle().skip(turn).take(fields.len());
        let fields: Vec<_> = order.map(|&name| format!(r#""{name}":{}"#, document[name])).collect();
        let text = format!("{{{}}}", fields.join(","));
        assert_eq!(serde_json::from_str::<State>(&text).expect("valid"), table()?);
    }
    let mut values: Vec<_> = fields.iter().map(|&name| document[name].clone()).collect();
    assert_eq!(serde_json::from_value::<State>(json!(values)).expect("valid"), table()?);
    for length in 0..4 {
        let error = serde_json::from_value::<State>(json!(values[..length])).expect_err("short");
        assert_eq!(error.to_string(), format!("invalid length {length}, expected struct State"));
    }
    // Counters behind a first moment of version 1, which says that there are none.
    values[1]["v"] = json!(1);
    assert_error::<State>(&json!(values), "trailing characters");
    Ok(())
}

/// A claim of many counters takes no memory before they are read.
#[test]
fn a_cut_list_of_counters_is_refused() -> Result<(), Error> {
    let state = State::zeros_like(&Array1::<f64>::zeros(300)).into_rows()?;
    for document in [postcard::to_stdvec(&state).expect("finite"), to_cbor(&state)] {
        for length in 0..document.len() {
            assert!(from_cbor::<State>(&document[..length]).is_err());
            assert!(from_postcard::<State>(&document[..length]).is_err(), "{length}");
        }
    }
    Ok(())
}

/// The document is right, but not for this optimizer.
#[test]
fn counters_do_not_get_to_a_tensor_that_is_stepped_as_a_whole() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f64>::new(all_changed()?);
    let group = optimizer.add_group(all_changed()?);
    optimizer.register("weights", &ArrayD::zeros(vec![3, 2]))?;
    optimizer.register_in(group, "bias", &ndarray::arr0(1.0))?;
    let before = optimizer.snapshot();
    let error = optimizer.restore(&snapshot()?).expect_err("another kind");
    assert_eq!((error.kind(), error.tensor()), (ErrorKind::Shape, Some("weights")));
    assert_eq!(optimizer.snapshot(), before);
    Ok(())
}
