//! Documents that are made to do harm: of great depth, with lengths that are lies, with letters that a
//! terminal obeys.

use std::{fmt::Debug, fs, path::PathBuf, thread};

use adamax::{Adamax, Error, Optimizer, Snapshot, State, schedule::Schedule};
use ndarray::array;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    Visit, changed_plateau,
    common::repository,
    counting::{Allocated, allocated},
    formats::{from_cbor, from_postcard, to_cbor},
    visit_golden,
};

// ---------------------------------------------------------------- depth

/// The stack of a small thread. The main thread has 64 times as much.
const SMALL_STACK: usize = 128 << 10;

/// Runs something on a thread with little stack. An overflow ends the process.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(SMALL_STACK).spawn(run).expect("a thread");
    thread.join().expect("no panic");
}

/// A way to put a schedule into another one: what stands before it, and what after it.
struct Nesting {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Nesting {
    /// Takes the bytes around a schedule from a document that holds it once.
    fn of(document: &[u8], inner: &[u8]) -> Self {
        let places: Vec<usize> =
            (0..document.len()).filter(|&at| document[at..].starts_with(inner)).collect();
        let &[at] = &places[..] else { panic!("{} times", places.len()) };
        Nesting { before: document[..at].to_vec(), after: document[at + inner.len()..].to_vec() }
    }

    /// Nests so many schedules, `inner` being the innermost.
    fn document(&self, depth: usize, inner: &[u8]) -> Vec<u8> {
        [self.before.repeat(depth - 1), inner.to_vec(), self.after.repeat(depth - 1)].concat()
    }
}

/// The ways to put one schedule into another.
fn nestings(write: fn(&Schedule) -> Vec<u8>) -> Result<(Vec<Nesting>, Vec<u8>), Error> {
    let (inner, other) = (Schedule::constant(0.3)?, Schedule::noam(7)?);
    let composed = [
        inner.clone().warm_up(1, 0.0)?,
        Schedule::sequence([(1, inner.clone())], other.clone())?,
        Schedule::sequence([(1, other.clone())], inner.clone())?,
        inner.clone().scaled(0.5)?,
        inner.clone().times(other.clone())?,
        other.times(inner.clone())?,
    ];
    let inner = write(&inner);
    Ok((composed.iter().map(|outer| Nesting::of(&write(outer), &inner)).collect(), inner))
}

/// Reads schedules of every depth around the limit, and of a depth that would overflow any stack.
fn assert_depth_is_limited(
    write: fn(&Schedule) -> Vec<u8>,
    read: fn(&[u8]) -> Result<Schedule, String>,
    message: &'static str,
) -> Result<(), Error> {
    let (nestings, inner) = nestings(write)?;
    on_a_small_stack(move || {
        for nesting in nestings {
            let deepest = nesting.document(8, &inner);
            let schedule = read(&deepest).expect("8 deep");
            // All functions that visit nested schedules.
            assert_eq!(schedule.clone(), schedule);
            assert!(schedule.scale(15) <= 1.0);
            assert!(format!("{schedule:?}").len() > 16);
            assert_eq!(write(&schedule), deepest);
            for depth in [9, 10, 1000, 100_000] {
                let error = read(&nesting.document(depth, &inner)).expect_err("too deep");
                assert!(error.contains(message), "{depth}: {error}");
                // Cut off, as a fuzzer finds it.
                assert!(read(&nesting.before.repeat(depth)).is_err());
            }
        }
    });
    Ok(())
}

/// `serde_json` has a limit of its own, of 128 brackets. It must not be reached by what can be written.
#[test]
fn depth_is_refused_by_json() -> Result<(), Error> {
    let write = |schedule: &Schedule| serde_json::to_vec(schedule).expect("valid");
    let read = |document: &[u8]| {
        let outer = [b"[[[[", document, b"]]]]"].concat();
        let schedule = serde_json::from_slice::<[[[[Schedule; 1]; 1]; 1]; 1]>(&outer);
        schedule.map(|[[[[schedule]]]]| schedule).map_err(|error| error.to_string())
    };
    assert_depth_is_limited(write, read, "depth of nested schedules is 9, but must be at most 8")
}

/// The error of postcard does not keep the message.
#[test]
fn depth_is_refused_by_formats_without_names() -> Result<(), Error> {
    let write = |schedule: &Schedule| postcard::to_stdvec(schedule).expect("valid");
    assert_depth_is_limited(write, from_postcard, "Serde Deserialization Error")
}

#[test]
fn depth_is_refused_by_formats_with_names() -> Result<(), Error> {
    let message = "depth of nested schedules is 9, but must be at most 8";
    assert_depth_is_limited(to_cbor, from_cbor, message)
}

/// A solver holds a schedule, and argmin's checkpoints are binary.
#[cfg(feature = "argmin")]
#[test]
fn depth_is_refused_within_a_solver() -> Result<(), Error> {
    type Solver = adamax::argmin::AdamaxSolver<f64>;

    let solver = Solver::new(Adamax::default()).with_schedule(Schedule::constant(0.3)?);
    let write = |schedule: &Schedule| postcard::to_stdvec(schedule).expect("valid");
    let (nestings, inner) = nestings(write)?;
    let document = postcard::to_stdvec(&solver).expect("valid");
    let around = Nesting::of(&document, &inner);
    on_a_small_stack(move || {
        for nesting in nestings {
            let read = |depth| {
                let inner = nesting.document(depth, &inner);
                from_postcard::<Solver>(&around.document(2, &inner)).map(drop)
            };
            assert_eq!(read(8), Ok(()));
            assert!(read(9).is_err());
            assert!(read(100_000).is_err());
        }
    });
    Ok(())
}

// ---------------------------------------------------------------- lengths

/// The most memory that one allocation takes for each byte of a document: a list has twice as much room
/// as elements, and an entry of a snapshot, of about 300 bytes, stands in 13 bytes of a document.
const BYTES_PER_BYTE: usize = 64;
/// Allowance for allocations of constant size: errors, and lists of few elements.
const SMALL: usize = 4_000;

fn assert_modest<T>(document: &[u8], read: fn(&[u8]) -> Result<T, String>, name: &str) {
    let (Allocated { largest, .. }, result) = allocated(|| read(document).map(drop));
    let limit = BYTES_PER_BYTE * document.len() + SMALL;
    assert!(largest <= limit, "{name}: {largest} bytes for {}: {result:?}", document.len());
}

/// Puts each claim into each place of a document.
fn assert_claims_are_modest<T>(
    document: &[u8],
    claims: &[Vec<u8>],
    read: fn(&[u8]) -> Result<T, String>,
    name: &str,
) {
    for at in 0..document.len() {
        for claim in claims {
            let rest = &document[at + 1..];
            assert_modest(&[&document[..at], claim, rest].concat(), read, name);
        }
    }
}

#[test]
fn lengths_that_are_lies_take_no_memory() -> Result<(), Error> {
    /// Lengths that cannot be allocated, and some that can.
    const LENGTHS: [u64; 4] = [100_000, 1 << 24, 1 << 40, u64::MAX];

    /// The integer encoding of postcard: seven bits in each byte.
    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(number.to_le_bytes()[0] | 128);
            number >>= 7;
        }
        bytes.push(number.to_le_bytes()[0]);
        bytes
    }

    /// Lists, maps and texts of this length.
    fn headers(length: u64) -> [Vec<u8>; 3] {
        [0x9b, 0xbb, 0x7b].map(|kind| [&[kind][..], &length.to_be_bytes()].concat())
    }

    struct Lie;
    impl Visit for Lie {
        fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(
            &mut self,
            name: &str,
            value: &T,
        ) {
            let document = postcard::to_stdvec(value).expect("valid");
            assert_claims_are_modest::<T>(&document, &LENGTHS.map(varint), from_postcard, name);
            let claims = LENGTHS.map(headers).concat();
            assert_claims_are_modest::<T>(&to_cbor(value), &claims, from_cbor, name);
        }
    }
    visit_golden(&mut Lie)
}

/// A list that is read takes no more memory than its elements.
#[test]
fn states_hold_no_surplus() {
    const LENGTH: usize = 100_000;

    let state = State::zeros_like(&ndarray::Array1::<f64>::zeros(LENGTH));
    let document = postcard::to_stdvec(&state).expect("valid");
    let back: State = from_postcard(&document).expect("just written");
    assert_eq!(back, state);
    let (_, m, u) = back.into_parts();
    for moment in [m, u] {
        assert_eq!(moment.into_raw_vec_and_offset().0.capacity(), LENGTH);
    }
}

// ---------------------------------------------------------------- damage

/// The check of `fuzz/fuzz_targets/documents.rs`: any document is refused, or holds a value that
/// survives a round trip.
fn assert_round_trip<T: PartialEq + Debug>(
    document: &[u8],
    read: impl Fn(&[u8]) -> Result<T, String>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = read(document) {
        assert_eq!(read(&write(&value)).as_ref(), Ok(&value), "{document:?}");
    }
}

/// Changes each bit of documents of every type.
#[test]
fn a_damaged_document_is_an_error_or_a_value() -> Result<(), Error> {
    fn from_json<T: DeserializeOwned>(document: &[u8]) -> Result<T, String> {
        serde_json::from_slice(document).map_err(|error| error.to_string())
    }

    fn damage(mut document: Vec<u8>, check: impl Fn(&[u8])) {
        for at in 0..document.len() {
            for bit in 0..8 {
                document[at] ^= 1 << bit;
                check(&document);
                document[at] ^= 1 << bit;
            }
        }
    }

    struct Damage;
    impl Visit for Damage {
        fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(
            &mut self,
            _name: &str,
            value: &T,
        ) {
            let to_json = |value: &T| serde_json::to_vec(value).expect("valid");
            damage(to_json(value), |document| assert_round_trip(document, from_json, to_json));
            damage(to_cbor(value), |document| assert_round_trip(document, from_cbor, to_cbor::<T>));
            let to_postcard = |value: &T| postcard::to_stdvec(value).expect("valid");
            damage(to_postcard(value), |document| {
                assert_round_trip(document, from_postcard, to_postcard);
            });
        }
    }
    visit_golden(&mut Damage)
}

// ---------------------------------------------------------------- letters

/// The escape sequence that clears a terminal.
const CLEAR: &str = "\u{1b}[2J";

fn message<T: DeserializeOwned>(document: &serde_json::Value) -> String {
    serde_json::from_str::<T>(&document.to_string()).err().expect("refused").to_string()
}

#[test]
fn control_characters_do_not_reach_messages() -> Result<(), Error> {
    let plateau = serde_json::to_value(changed_plateau()?).expect("finite");
    let mut field = plateau;
    field["settings"][CLEAR] = json!(1);
    let mut optimizer = Optimizer::new(Adamax::default());
    optimizer.register(&format!("w{CLEAR}\n"), &array![0.0])?;
    let mut name = serde_json::to_value(optimizer.snapshot()).expect("finite");
    name["tensors"][0]["group"] = json!(1);
    for (message, expected) in [
        (message::<Adamax>(&json!({ CLEAR: 1 })), r"unknown field `\u{1b}[2J`"),
        (message::<Adamax>(&json!({ "objective": CLEAR })), r"unknown variant `\u{1b}[2J`"),
        (message::<adamax::MaxNorm>(&json!({ CLEAR: 1 })), r"unknown variant `\u{1b}[2J`"),
        (message::<Schedule>(&json!({ CLEAR: {} })), r"unknown variant `\u{1b}[2J`"),
        (message::<Schedule>(&json!({ "WarmUp": { CLEAR: 1 } })), r"unknown field `\u{1b}[2J`"),
        (message::<adamax::schedule::ReduceOnPlateau>(&field), r"unknown field `\u{1b}[2J`"),
        (message::<adamax::Stop>(&json!({ CLEAR: 1 })), r"unknown field `\u{1b}[2J`"),
        (message::<State>(&json!({ CLEAR: 1 })), r"unknown field `\u{1b}[2J`"),
        (message::<adamax::Average>(&json!({ CLEAR: 1 })), r"unknown field `\u{1b}[2J`"),
        (message::<Snapshot>(&json!({ CLEAR: 1 })), r"unknown field `\u{1b}[2J`"),
        (message::<Snapshot>(&name), r"tensor `w\u{1b}[2J\n`: in group 1"),
    ] {
        assert!(message.contains(expected), "{message:?}\nnot: {expected}");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
    // What turns the direction of text is escaped as well.
    let message = message::<Adamax>(&json!({ "a\u{202e}b": 1 }));
    assert!(message.contains(r"unknown field `a\u{202e}b`"), "{message:?}");
    Ok(())
}

/// The place of the error stays.
#[test]
fn giant_names_are_quoted_in_short() {
    let name = "x".repeat(100_000);
    let error = serde_json::from_str::<Adamax>(&format!("{{\n\"{name}\":1}}")).unwrap_err();
    assert_eq!(error.line(), 2);
    let message = error.to_string();
    assert!(message.starts_with("unknown field `xxx"), "{message}");
    assert!(message.chars().count() < 1100, "{} letters", message.len());
}

/// A program asks the error whether the document was cut.
#[test]
fn an_error_that_quotes_nothing_odd_stays_that_of_the_format() {
    let error = serde_json::from_str::<Adamax>("{\n").unwrap_err();
    assert!(error.is_eof(), "{error:?}");
}

#[test]
#[ignore = "writes what the fuzzer starts from"]
fn write_seeds_for_the_fuzzer() -> Result<(), Error> {
    struct Seeds(PathBuf);
    impl Visit for Seeds {
        fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(
            &mut self,
            name: &str,
            value: &T,
        ) {
            for (format, document) in [
                ("j", serde_json::to_vec(value).expect("valid")),
                ("c", to_cbor(value)),
                ("p", postcard::to_stdvec(value).expect("valid")),
            ] {
                let seed = [format.as_bytes(), &document].concat();
                fs::write(self.0.join(format!("{name}_{format}")), seed).expect("a file");
            }
        }
    }
    let folder = repository().join("fuzz/corpus/documents");
    fs::create_dir_all(&folder).expect("a folder");
    visit_golden(&mut Seeds(folder))
}
