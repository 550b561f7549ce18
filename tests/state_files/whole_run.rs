//! Everything of a run in one file: averages, and values of any type.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Debug,
    mem::ManuallyDrop,
    panic::{self, AssertUnwindSafe},
    thread,
};

use adamax::{
    Adamax, Average, Checkpoint, ErrorKind, Objective, Optimizer,
    schedule::{ReduceOnPlateau, Schedule},
};
use ndarray::{Array1, Array2, ArrayD, array};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::json;

use crate::{
    common::{
        Bits, Float, input,
        layout::{LAYOUTS, Layout},
        panic_quietly,
    },
    hostile::Parts,
    sample,
};

type Tested = Result<(), Box<dyn Error>>;

fn empty() -> Checkpoint {
    Checkpoint::new(Optimizer::new(Adamax::default()).snapshot())
}

// ---------------------------------------------------------------- a run

/// A run with everything that a program keeps between its steps.
struct Run {
    x: Array2<f64>,
    optimizer: Optimizer,
    average: Average,
    schedule: Schedule,
    plateau: ReduceOnPlateau,
    position: Position,
}

/// A type of the user's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Position {
    step: u64,
    losses: Vec<f64>,
    best: Option<f64>,
}

impl Run {
    fn start(layout: Layout) -> Result<Self, adamax::Error> {
        let x = layout.arrange_as(&input::parameters((3, 4), &mut input::rng(1)).into_dyn());
        Ok(Run {
            average: Average::new(0.9, &x)?,
            x,
            optimizer: Optimizer::new(Adamax::builder().learning_rate(0.3).build()?),
            schedule: Schedule::cosine(30, 0.1)?.warm_up(5, 0.2)?,
            plateau: ReduceOnPlateau::builder().patience(1).factor(0.7).build()?,
            position: Position { step: 0, losses: Vec::new(), best: None },
        })
    }

    /// Takes one step. Registers anew each time, so that nothing else is kept.
    fn advance(&mut self) -> Result<(), adamax::Error> {
        let snapshot = self.optimizer.snapshot();
        let mut optimizer = Optimizer::new(Adamax::paper());
        let slot = optimizer.register("x", &self.x)?;
        if self.position.step > 0 {
            optimizer.restore(&snapshot)?;
        } else {
            optimizer.set_rule(optimizer.default_group(), snapshot.groups()[0])?;
        }
        // Noise, so that the plateau has something to do.
        let noise = [1.0, 3.0, 9.0][self.position.losses.len() % 3];
        let loss = self.x.pow2().sum() * noise;
        let scale = self.schedule.scale(self.position.step) * self.plateau.observe(loss);
        optimizer.set_lr_scale(scale)?;
        let gradient = &self.x * 2.0;
        optimizer.step(&mut [slot.bind(&mut self.x, &gradient)])?;
        self.average.update(&self.x)?;
        self.optimizer = optimizer;
        self.position.step += 1;
        self.position.losses.push(loss);
        self.position.best = self.plateau.best();
        Ok(())
    }

    fn checkpoint(&self) -> Result<Checkpoint, adamax::Error> {
        let mut checkpoint = Checkpoint::new(self.optimizer.snapshot());
        checkpoint
            .add_parameter("x", &self.x)?
            .add_average("x", &self.average)?
            .add_value("schedule", &self.schedule)?
            .add_value("plateau", &self.plateau)?
            .add_value("position", &self.position)?;
        Ok(checkpoint)
    }

    fn resume(checkpoint: &Checkpoint, layout: Layout) -> Result<Self, adamax::Error> {
        let mut run = Run::start(layout)?;
        run.x.fill(f64::NAN);
        checkpoint.assign_parameter("x", &mut run.x)?;
        run.optimizer = Optimizer::new(Adamax::paper());
        run.optimizer.register("x", &run.x)?;
        run.optimizer.restore(checkpoint.snapshot())?;
        run.average = checkpoint.average("x", &run.x)?;
        run.schedule = checkpoint.value("schedule")?;
        run.plateau = checkpoint.value("plateau")?;
        run.position = checkpoint.value("position")?;
        Ok(run)
    }
}

/// Saved and resumed after every step, by the file alone.
#[test]
fn a_whole_run_goes_through_one_file() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    for layout in [Layout::C, Layout::F, Layout::Permuted] {
        let (mut whole, mut resumed) = (Run::start(layout)?, Run::start(layout)?);
        for step in 0..40 {
            whole.advance()?;
            resumed.advance()?;
            resumed.checkpoint()?.save(&path)?;
            resumed = Run::resume(&Checkpoint::load(&path)?, layout)?;
            assert_eq!(resumed.x.bits(), whole.x.bits(), "{layout:?}, step {step}");
            assert_eq!(resumed.average.mean().bits(), whole.average.mean().bits());
            assert_eq!(resumed.average.mean().strides(), whole.average.mean().strides());
        }
        assert_eq!(resumed.position, whole.position);
        assert_eq!(resumed.plateau, whole.plateau);
        assert!(whole.plateau.scale() < 1.0, "the plateau was never reached");
        assert_eq!(resumed.checkpoint()?, whole.checkpoint()?);
    }
    Ok(())
}

// ---------------------------------------------------------------- averages

/// The bits, the memory order of the parameter, and the next update are as without a file.
#[test]
fn averages_come_back_in_the_order_of_their_parameters() -> Tested {
    fn come_back<A: Float + Into<M>, M: Float>() -> Tested {
        for layout in LAYOUTS {
            let rng = &mut input::rng(2);
            let mut draw = || -> ArrayD<A> {
                layout.arrange(&input::gradients::<A, _>((3, 4, 5), rng).into_dyn())
            };
            let (first, second, third) = (draw(), draw(), draw());
            for decay in [0.9, 1.0] {
                let mut average =
                    Average::<A, M>::from_parts(decay, 0, ArrayD::zeros(vec![3, 4, 5]))?;
                average.update(&first)?;
                average.update(&second)?;
                let mut checkpoint = empty();
                checkpoint.add_average("w", &average)?;
                let read = Checkpoint::<f64>::from_bytes(&checkpoint.to_bytes()?)?;
                assert_eq!(read, checkpoint);
                let mut read: Average<A, M> = read.average("w", &first)?;
                assert_eq!((read.decay(), read.updates()), (decay, 2));
                assert_eq!(read.mean().bits(), average.mean().bits(), "{layout:?}");
                let fresh = Average::new(0.5, &first)?;
                assert_eq!(read.mean().strides(), fresh.mean().strides(), "{layout:?}");
                average.update(&third)?;
                read.update(&third)?;
                assert_eq!(read.mean().bits(), average.mean().bits(), "{layout:?}");
            }
        }
        Ok(())
    }
    come_back::<f64, f64>()?;
    come_back::<f32, f32>()?;
    come_back::<f32, f64>()
}

#[test]
fn an_average_must_be_what_is_asked_for() -> Tested {
    let mut checkpoint = empty();
    let x = array![1.0_f32, 2.0];
    let mut average = Average::new(0.5, &x)?;
    average.update(&x)?;
    checkpoint.add_average("w", &average)?.add_parameter("w", &x)?;
    let before = checkpoint.clone();

    let error = checkpoint.add_average("w", &average.clone().in_f64()).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.kind()),
        ("tensor `w`: name is taken", ErrorKind::Name)
    );
    average.update(&array![0.0, f32::NAN])?;
    let error = checkpoint.add_average("v", &average).unwrap_err();
    assert_eq!(error.to_string(), "tensor `v`: average is NaN at index [1]");
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    assert_eq!(checkpoint, before);

    let missing = checkpoint.average::<f32, f32, _>("v", &x).unwrap_err();
    let wide = checkpoint.average::<f32, f64, _>("w", &x).unwrap_err();
    let long = checkpoint.average::<f32, f32, _>("w", &array![0.0, 0.0, 0.0]).unwrap_err();
    assert_eq!((long.tensor(), long.array()), (Some("w"), Some("average")));
    for (error, kind, message) in [
        (missing, ErrorKind::Format, "average `v` is missing"),
        (wide, ErrorKind::Format, "average `w` is of type F32, but F64 is asked for"),
        (long, ErrorKind::Shape, "tensor `w`: average has shape [2], but parameter has shape [3]"),
    ] {
        assert_eq!((error.to_string().as_str(), error.kind()), (message, kind));
    }
    Ok(())
}

/// A file that only releases with averages can read says so by its version.
#[test]
fn the_version_is_the_lowest_that_has_the_content() -> Tested {
    let version = |checkpoint: &Checkpoint| -> Result<_, Box<dyn Error>> {
        Ok(Parts::of(checkpoint.to_bytes()?)?.take_record()?["version"].clone())
    };
    let mut checkpoint = sample::small::<f64>()?;
    checkpoint.add_value("step", &1)?;
    assert_eq!(version(&checkpoint)?, json!(1));
    checkpoint.add_average("x", &Average::new(0.5, &array![0.0])?)?;
    assert_eq!(version(&checkpoint)?, json!(2));
    Ok(())
}

#[test]
fn a_wrong_average_is_refused() -> Tested {
    use ErrorKind::{Format, Hyperparameter, NonFinite};
    type Case<'a> = (&'a dyn Fn(&mut Parts) -> Tested, ErrorKind, &'a str);
    fn set(parts: &mut Parts, field: &str, value: &serde_json::Value) -> Tested {
        parts.record(|record| record["averages"]["w"][field] = value.clone())
    }
    let cases: [Case<'_>; 11] = [
        (
            &|parts| set(parts, "decay", &json!(1.5)),
            Hyperparameter,
            "tensor `w`: decay of the average is 1.5, but must be in [0, 1]",
        ),
        (
            &|parts| set(parts, "decay", &json!(null)),
            Format,
            "`adamax` in the metadata: invalid type: null, expected f64",
        ),
        (
            &|parts| set(parts, "updates", &json!(-1)),
            Format,
            "`adamax` in the metadata: invalid value: integer `-1`, expected u64",
        ),
        (
            &|parts| set(parts, "power", &json!(0.75)),
            Format,
            "`adamax` in the metadata: unknown field `power`, expected `decay` or `updates`",
        ),
        (
            &|parts| parts.record(|record| record["averages"]["w"] = json!({"decay": 0.5})),
            Format,
            "`adamax` in the metadata: missing field `updates`",
        ),
        (
            &|parts| {
                parts.record(|record| {
                    record["averages"]["v"] = json!({"decay": 0.5, "updates": 1});
                })
            },
            Format,
            "entry `average/v` is missing",
        ),
        (
            &|parts| parts.record(|record| record["averages"] = json!({})),
            Format,
            "entry `average/w` has no place in a state file",
        ),
        (
            &|parts| {
                parts.header["average/w"]["dtype"] = json!("I64");
                Ok(())
            },
            Format,
            "entry `average/w` is of type I64, but F64 is asked for (only F64 and F32 can be read)",
        ),
        (
            &|parts| {
                parts.header["average/w"]["shape"] = json!([3]);
                Ok(())
            },
            Format,
            "entry `average/w` has 16 bytes, which is not the size of F64 numbers of shape [3]",
        ),
        (
            &|parts| {
                parts.number(1, f64::NAN);
                Ok(())
            },
            NonFinite,
            "tensor `w`: average is NaN at index [1]",
        ),
        (
            &|parts| {
                let text = &mut parts.header["__metadata__"]["adamax"];
                let entry = r#""w":{"decay":0.75,"updates":2}"#;
                let record = text.as_str().ok_or("no text")?;
                assert!(record.contains(entry), "{record}");
                *text = record.replace(entry, &format!("{entry},{entry}")).into();
                Ok(())
            },
            Format,
            "`adamax` in the metadata: `w` comes twice",
        ),
    ];
    let sound = || -> Result<Parts, Box<dyn Error>> {
        let mut parts = Parts::of(sample::averaged::<f64>()?.to_bytes()?)?;
        parts.header.as_object_mut().ok_or("no object")?.remove("checksum");
        parts.data.truncate(parts.data.len() - 4);
        Ok(parts)
    };
    assert_eq!(Checkpoint::from_bytes(&sound()?.file())?, sample::averaged::<f64>()?);
    for (spoil, kind, message) in cases {
        let mut parts = sound()?;
        spoil(&mut parts)?;
        let error = Checkpoint::<f64>::from_bytes(&parts.file()).expect_err(message);
        assert!(error.to_string().starts_with(message), "`{error}`, expected `{message}`");
        assert_eq!(error.kind(), kind, "{error}");
    }
    Ok(())
}

// ---------------------------------------------------------------- values

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Tested {
    let mut checkpoint = empty();
    checkpoint.add_value("value", value)?;
    let read = Checkpoint::<f64>::from_bytes(&checkpoint.to_bytes()?)?;
    assert_eq!(&read.value::<T>("value")?, value);
    assert_eq!(read, checkpoint);
    Ok(())
}

#[test]
fn values_of_any_type_come_back() -> Tested {
    comes_back(&u64::MAX)?;
    comes_back(&i128::MIN)?;
    comes_back(&())?;
    comes_back(&String::from("text\n\u{0} \"🦀\""))?;
    comes_back(&(3_usize, 'ß', Objective::Maximize, Some(true)))?;
    comes_back(&BTreeMap::from([(1, vec![0.5]), (2, Vec::new())]))?;
    comes_back(&Position { step: 7, losses: vec![0.1 + 0.2, 1e-320], best: Some(-0.25) })?;
    comes_back(&Schedule::cosine(100, 0.1)?.warm_up(10, 0.3)?.scaled(1.0 / 3.0)?)?;
    let mut plateau = ReduceOnPlateau::builder().patience(0).build()?;
    comes_back(&plateau)?;
    plateau.observe(0.1);
    plateau.observe(0.7);
    comes_back(&plateau)
}

#[test]
fn numbers_of_values_keep_their_bits() -> Tested {
    let rng = &mut input::rng(3);
    let mut wide: Vec<f64> = input::gradients::<f64, _>(2_000, rng).to_vec();
    wide.extend([-0.0, f64::MAX, f64::from_bits(1), 0.916_290_731_874_155_1]);
    let mut narrow: Vec<f32> = input::gradients::<f32, _>(2_000, rng).to_vec();
    narrow.extend([-0.0, f32::MAX, f32::from_bits(1), 16_777_216.0]);
    let mut checkpoint = empty();
    checkpoint.add_value("wide", &wide)?.add_value("narrow", &narrow)?;
    let read = Checkpoint::<f64>::from_bytes(&checkpoint.to_bytes()?)?;
    assert_eq!(Array1::from(read.value::<Vec<f64>>("wide")?).bits(), Array1::from(wide).bits());
    assert_eq!(Array1::from(read.value::<Vec<f32>>("narrow")?).bits(), Array1::from(narrow).bits());
    Ok(())
}

/// A list in a list, and so on.
#[derive(Debug, Serialize, Deserialize)]
struct Deep(Vec<Deep>);

#[test]
fn a_value_that_cannot_be_read_back_is_not_added() -> Tested {
    let mut checkpoint = empty();
    checkpoint.add_value("epoch", &3)?.add_note("data", "2026")?;
    let before = checkpoint.clone();
    let deep = (0..200).fold(Deep(Vec::new()), |inner, _| Deep(vec![inner]));
    let pairs = BTreeMap::from([((1, 2), 3)]);
    let unknown = Position { step: 0, losses: vec![1.0, f64::NEG_INFINITY], best: None };
    let cases = [
        (checkpoint.add_value("k", &f64::NAN).err(), "note `k`: invalid type: null, expected f64"),
        (checkpoint.add_value("k", &unknown).err(), "note `k`: invalid type: null, expected f64"),
        (checkpoint.add_value("k", &deep).err(), "note `k`: recursion limit exceeded"),
        (checkpoint.add_value("k", &pairs).err(), "note `k`: key must be a string"),
    ];
    for (error, message) in cases {
        let error = error.ok_or("added")?;
        assert!(error.to_string().starts_with(message), "`{error}`, expected `{message}`");
        assert_eq!(error.kind(), ErrorKind::Format);
    }
    for taken in ["epoch", "data", "adamax"] {
        let error = checkpoint.add_value(taken, &4).map(drop).unwrap_err();
        assert_eq!(error.to_string(), format!("note `{taken}` is taken"));
        assert_eq!(error.kind(), ErrorKind::Name);
    }
    assert_eq!(checkpoint.add_note("epoch", "4").unwrap_err().kind(), ErrorKind::Name);
    assert_eq!(checkpoint, before);
    Ok(())
}

/// A value that panics when it is written, read or dropped.
struct Fragile<const WHEN: u8>;

const WRITTEN: u8 = 0;
const READ: u8 = 1;
const DROPPED: u8 = 2;

impl<const WHEN: u8> Fragile<WHEN> {
    fn pass(when: u8) {
        if WHEN == when && !thread::panicking() {
            panic_quietly();
        }
    }
}

impl<const WHEN: u8> Serialize for Fragile<WHEN> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::pass(WRITTEN);
        serializer.serialize_u8(WHEN)
    }
}

impl<'de, const WHEN: u8> Deserialize<'de> for Fragile<WHEN> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)?;
        Self::pass(READ);
        Ok(Fragile)
    }
}

impl<const WHEN: u8> Drop for Fragile<WHEN> {
    fn drop(&mut self) {
        Self::pass(DROPPED);
    }
}

/// A value is written, read back and dropped before it is added. All three are code of the user.
#[test]
fn a_panic_of_a_value_adds_nothing() -> Tested {
    fn assert_not_added<const WHEN: u8>(checkpoint: &mut Checkpoint) {
        let value = ManuallyDrop::new(Fragile::<WHEN>);
        let add = || checkpoint.add_value("k", &*value).is_ok();
        assert!(panic::catch_unwind(AssertUnwindSafe(add)).is_err(), "{WHEN}");
    }
    let mut checkpoint = empty();
    assert_not_added::<WRITTEN>(&mut checkpoint);
    assert_not_added::<READ>(&mut checkpoint);
    assert_not_added::<DROPPED>(&mut checkpoint);
    assert_eq!(checkpoint, empty());
    checkpoint.add_value("k", &1)?;
    Ok(())
}

#[test]
fn a_value_must_be_what_is_asked_for() -> Tested {
    const ODD: &str = "a\u{1b}\n\u{202e}b";
    let mut checkpoint = empty();
    checkpoint
        .add_value("step", &-1)?
        .add_note("text", "twelve")?
        .add_note("twice", "12 13")?
        .add_note("number", "12")?
        .add_note(ODD, &json!({ODD: 1}).to_string())?;
    assert_eq!(checkpoint.value::<u8>("number")?, 12, "a note that is JSON is a value");
    for (error, message) in [
        (checkpoint.value::<u64>("stop").unwrap_err(), "note `stop` is missing"),
        (checkpoint.value::<u64>("adamax").unwrap_err(), "note `adamax` is missing"),
        (checkpoint.value::<u64>("step").unwrap_err(), "note `step`: invalid value: integer `-1`"),
        (checkpoint.value::<u64>("text").unwrap_err(), "note `text`: expected ident at line 1"),
        (checkpoint.value::<u64>("twice").unwrap_err(), "note `twice`: trailing characters"),
        (
            checkpoint.value::<BTreeMap<String, String>>(ODD).unwrap_err(),
            "note `a\\u{1b}\\n\\u{202e}b`: invalid type: integer `1`, expected a string",
        ),
        (
            checkpoint.value::<Schedule>(ODD).unwrap_err(),
            "note `a\\u{1b}\\n\\u{202e}b`: unknown variant `a\\u{1b}",
        ),
    ] {
        assert!(error.to_string().starts_with(message), "`{error}`, expected `{message}`");
        assert_eq!(error.kind(), ErrorKind::Format);
    }
    Ok(())
}

/// A schedule from a file is checked as one that is built.
#[test]
fn values_of_this_crate_are_checked() -> Tested {
    let mut checkpoint = empty();
    checkpoint.add_note("schedule", r#"{"Constant":{"scale":-1.0}}"#)?;
    let error = checkpoint.value::<Schedule>("schedule").unwrap_err();
    assert!(error.to_string().starts_with("note `schedule`: "), "{error}");
    let deep = format!("{}1{}", r#"{"WarmUp":[1,0.0,"#.repeat(100_000), "]}".repeat(100_000));
    checkpoint.add_note("deep", &deep)?;
    assert_eq!(checkpoint.value::<Schedule>("deep").unwrap_err().kind(), ErrorKind::Format);
    Ok(())
}
