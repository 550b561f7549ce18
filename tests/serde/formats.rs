//! Formats besides JSON: CBOR, with names and of any depth, and postcard, without names.

use std::{fmt::Debug, fs, path::Path};

use adamax::{Error, schedule::Schedule};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Visit, visit_golden};

pub(crate) fn to_cbor<T: Serialize>(value: &T) -> Vec<u8> {
    let mut document = Vec::new();
    ciborium::into_writer(value, &mut document).expect("valid");
    document
}

/// Reads CBOR with a parser that does not limit depth.
pub(crate) fn from_cbor<T: DeserializeOwned>(document: &[u8]) -> Result<T, String> {
    const DEEP: usize = usize::MAX;
    ciborium::de::from_reader_with_recursion_limit(document, DEEP)
        .map_err(|error| error.to_string())
}

pub(crate) fn from_postcard<T: DeserializeOwned>(document: &[u8]) -> Result<T, String> {
    postcard::from_bytes(document).map_err(|error| error.to_string())
}

pub(crate) fn read_golden<T>(folder: &Path, name: &str, value: &T)
where
    T: DeserializeOwned + PartialEq + Debug,
{
    let file = folder.join(format!("{name}.cbor"));
    let document = fs::read(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(from_cbor::<T>(&document).as_ref(), Ok(value), "{name}");
}

pub(crate) fn write_golden(folder: &Path, name: &str, value: &impl Serialize) {
    let file = folder.join(format!("{name}.cbor"));
    if !file.exists() {
        fs::write(file, to_cbor(value)).expect("a file");
    }
}

#[test]
fn every_value_comes_back() -> Result<(), Error> {
    struct ThereAndBack;
    impl Visit for ThereAndBack {
        fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(
            &mut self,
            name: &str,
            value: &T,
        ) {
            assert_eq!(from_cbor::<T>(&to_cbor(value)).as_ref(), Ok(value), "CBOR: {name}");
            let document = postcard::to_stdvec(value).expect("valid");
            assert_eq!(from_postcard::<T>(&document).as_ref(), Ok(value), "postcard: {name}");
            // JSON that has been parsed before, and fields without their names.
            let json = serde_json::to_value(value).expect("finite");
            assert_eq!(serde_json::from_value::<T>(json).expect(name), *value, "{name}");
        }
    }
    visit_golden(&mut ThereAndBack)
}

/// What `serde_json` computes without its feature `float_roundtrip`, for numbers without an exponent: the
/// digits as an integer, rounded, divided by a power of ten, rounded again.
fn read_carelessly(number: &str) -> f64 {
    let (whole, fraction) = number.split_once('.').expect("a point");
    let digits: u64 = format!("{whole}{fraction}").parse().expect("fewer than 20 digits");
    let places = i32::try_from(fraction.len()).expect("few");
    assert!(places <= 22, "greater powers of ten are not exact");
    #[expect(clippy::cast_precision_loss, reason = "this is the fault")]
    let digits = digits as f64;
    digits / 10_f64.powi(places)
}

/// The documentation says which numbers need `float_roundtrip`, and gives an example.
#[test]
fn json_needs_a_parser_that_rounds_right() {
    const EXAMPLE: &str = "0.9162907318741551";

    let exact: f64 = serde_json::from_str(EXAMPLE).expect("a number");
    assert_eq!(exact.to_string(), EXAMPLE);
    let careless = read_carelessly(EXAMPLE);
    assert_eq!(careless.to_bits(), exact.to_bits() + 1);

    let mut off = 0;
    for number in numbers_between_0_and_1() {
        let text = serde_json::to_string(&number).expect("finite");
        assert_eq!(
            serde_json::from_str::<f64>(&text).expect("a number").to_bits(),
            number.to_bits()
        );
        off += u32::from(read_carelessly(&text) != number);
        // Rounded to f32, the fault is too small to be seen.
        #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
        let number = number as f32;
        let text = serde_json::to_string(&number).expect("finite");
        #[expect(clippy::cast_possible_truncation, reason = "as serde does")]
        let back = read_carelessly(&text) as f32;
        assert_eq!(back.to_bits(), number.to_bits(), "{text}");
    }
    assert!((500..2000).contains(&off), "{off} of 10 000 are off");
}

/// 10 000 numbers that JSON writes without an exponent, with all their digits.
fn numbers_between_0_and_1() -> impl Iterator<Item = f64> {
    // The multiples of the golden ratio, modulo 1, are spread evenly.
    (1..=10_000_u32).map(|n| (f64::from(n) * 0.618_033_988_749_894_9).fract()).map(|x| x.max(0.01))
}

/// Schedules within schedules may be given as lists of their arguments, as other structures may.
#[test]
fn arguments_may_come_without_their_names() -> Result<(), Error> {
    let read =
        |text: &str| serde_json::from_str::<Schedule>(text).map_err(|error| error.to_string());
    let constant = || Schedule::constant(0.5);
    let warm = constant()?.warm_up(3, 0.25)?;
    assert_eq!(read(r#"{"WarmUp":[3,0.25,{"Constant":[0.5]}]}"#), Ok(warm));
    let sequence = Schedule::sequence([(2, constant()?)], constant()?)?;
    let text = r#"{"Sequence":[[[2,{"Constant":[0.5]}]],{"Constant":{"scale":0.5}}]}"#;
    assert_eq!(read(text), Ok(sequence));
    for (text, message) in [
        (r#"{"WarmUp":[3,0.25]}"#, "invalid length 2, expected struct variant Schedule::WarmUp"),
        (r#"{"WarmUp":{"steps":1,"start":0.5}}"#, "missing field `then`"),
        (r#"{"WarmUp":{"steps":1,"steps":1}}"#, "duplicate field `steps`"),
        (
            r#"{"WarmUp":{"step":1}}"#,
            "unknown field `step`, expected one of `steps`, `start`, `then`",
        ),
        (r#"{"Sequence":{"parts":[]}}"#, "missing field `last`"),
        (r#"{"Sequence":{"parts":[],"parts":[]}}"#, "duplicate field `parts`"),
        (r#"{"Sequence":{"part":[]}}"#, "unknown field `part`, expected `parts` or `last`"),
        (r#"{"Sequence":{"parts":[[1]]}}"#, "invalid length 1, expected a tuple of size 2"),
        (r#"{"Sideways":{}}"#, "unknown variant `Sideways`, expected one of `Constant`, `Step`"),
        (r#"{"Constant":{"scale":-1}}"#, "scale is -1, but must be finite and at least 0"),
        (r#"{"WarmUp":{"steps":0,"start":-1,"then":{"Constant":[1]}}}"#, "start is -1"),
        (r#"{"Scaled":{"factor":2}}"#, "missing field `of`"),
        (r#"{"Product":[{"Constant":[1]}]}"#, "invalid length 1, expected struct variant"),
        (r#"{"Scaled":{"by":2}}"#, "unknown field `by`, expected `factor` or `of`"),
        (r#""Noam""#, "invalid type: unit variant, expected struct variant"),
        ("7", "expected value"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(message), "{text}: {error}");
    }
    Ok(())
}
