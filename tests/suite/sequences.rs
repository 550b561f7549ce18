//! Random sequences of calls, beside a naive model: see `tests/stateful`.
//!
//! `PROPTEST_CASES` sets another number of sequences. A failure shows the shortest bytes that fail. This command
//! counts ten million operations, or as many as `ADAMAX_OPERATIONS` says:
//!
//! ```text
//! cargo test --release --all-features --test suite -- --ignored --nocapture ten_million_operations
//! ```

use crate::{
    common::input::rng,
    stateful::{
        counts::{Counts, End},
        run,
    },
};
use ndarray_rand::rand::Rng;
use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, RngSeed, TestError, TestRunner},
};
use std::cell::RefCell;

const SEED: u64 = 17;
/// The most bytes of a sequence of the property: about 30 operations.
const LONGEST: usize = 400;
/// Operations of the count.
const OPERATIONS: u64 = 10_000_000;

#[test]
fn sequences_agree_with_the_model() {
    // `PROPTEST_CASES` is in the default.
    let config =
        Config { rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, ..Config::default() };
    let counts = RefCell::new(Counts::default());
    let sequence = vec(any::<u8>(), 0..LONGEST);
    let result = TestRunner::new(config).run(&sequence, |bytes| {
        run(&bytes, &mut counts.borrow_mut());
        Ok(())
    });
    if let Err(TestError::Fail(reason, bytes)) = result {
        panic!("{reason}\nbytes: {bytes:?}");
    }
    result.expect("enough sequences");
    assert_everything_happens(&counts.borrow(), &OFTEN);
}

#[test]
#[ignore = "takes minutes, and needs a release build"]
fn ten_million_operations() {
    let operations = std::env::var("ADAMAX_OPERATIONS").ok().and_then(|text| text.parse().ok());
    let (mut counts, rng) = (Counts::default(), &mut rng(SEED));
    while counts.total() < operations.unwrap_or(OPERATIONS) {
        let length = rng.random_range(0..2 * LONGEST);
        let bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
        run(&bytes, &mut counts);
    }
    println!("{counts}");
    assert_everything_happens(&counts, &OFTEN);
    assert_everything_happens(&counts, &SELDOM);
}

fn assert_everything_happens(counts: &Counts, ends: &[(&'static str, End)]) {
    for &(operation, end) in ends {
        assert!(counts.of(operation, end) > 0, "{operation} {end:?} has not happened\n{counts}");
    }
}

/// Ends that a few hundred sequences meet.
const OFTEN: [(&str, End); 24] = [
    ("register", End::Done),
    ("register", End::Refused("Name")),
    ("register", End::Refused("Foreign")),
    ("register_rows", End::Done),
    ("register_part", End::Done),
    ("remove", End::Done),
    ("rename", End::Done),
    ("move_to", End::Done),
    ("set_rule", End::Done),
    ("set_lr_scale", End::Refused("Hyperparameter")),
    ("set_max_norm", End::Done),
    ("set_state", End::Done),
    ("set_state", End::Refused("Shape")),
    ("step", End::Done),
    ("step", End::Refused("NonFinite")),
    ("step", End::Refused("Shape")),
    ("step", End::Refused("Hyperparameter")),
    ("step_all", End::Refused("Missing")),
    ("step_with_report", End::Done),
    ("restore", End::Done),
    ("restore", End::Refused("Snapshot")),
    ("resume", End::Done),
    ("resume", End::Refused("Snapshot")),
    ("cast", End::Done),
];

/// Ends that only many sequences meet.
const SELDOM: [(&str, End); 16] = [
    ("State::from_parts", End::Refused("NegativeNorm")),
    ("State::from_parts", End::Refused("NonFinite")),
    ("par_step", End::Done),
    ("par_step_with_report", End::Skipped),
    ("step", End::Skipped),
    ("step", End::Refused("Foreign")),
    ("step", End::Refused("Repeated")),
    ("step", End::Refused("Rows")),
    ("step", End::Refused("StepCount")),
    ("step_with_report", End::Skipped),
    ("check", End::Done),
    ("apply_agreed", End::Done),
    ("apply_agreed_with_report", End::Done),
    ("restore", End::Refused("Shape")),
    ("restore_matching", End::Refused("Shape")),
    ("cast", End::Refused("Precision")),
];
