//! Runs a few kernels for a tool that counts instructions.
//!
//! `instructions` without arguments runs each kernel once, `instructions --list` lists the kernels,
//! and `instructions KERNEL REPETITIONS` repeats one. Unlike times, counts do not depend on the
//! load of the machine. `.ci/check_instructions` compares them with recorded counts.

mod common;

use std::error::Error;

use adamax::{
    Adamax, MaxNorm, NonFinite, Outcome,
    ndarray::{Dimension, Ix2, IxDyn},
};
use common::{
    Batch, Choice, Layout, Library, MAX_NORM, Number, Set, Size, TableRows,
    input::{gradients, parameters},
    unchecked,
};

/// A kernel prepares its arrays and takes the given number of steps.
type Kernel = fn(u32);

/// Layouts of parameter and gradient.
type Pair = (Layout, Layout);

const C: Pair = (Layout::C, Layout::C);
const F: Pair = (Layout::F, Layout::F);
const MIXED: Pair = (Layout::C, Layout::F);

const RANK5: [usize; 5] = [2, 3, 2, 3, 2];

const KERNELS: [(&str, Kernel); 26] = [
    ("one-element", |repetitions| flat::<f64>(1, repetitions)),
    ("f64-4096", |repetitions| flat::<f64>(4096, repetitions)),
    ("f32-4096", |repetitions| flat::<f32>(4096, repetitions)),
    ("f-64x64", |repetitions| matrix(F, repetitions)),
    ("mixed-64x64", |repetitions| matrix(MIXED, repetitions)),
    ("one-element-optimizer", |repetitions| optimizer(IxDyn(&[1]), C, None, repetitions)),
    ("small-4x4-c", |repetitions| optimizer(Ix2(4, 4), C, None, repetitions)),
    ("small-4x4-f", |repetitions| optimizer(Ix2(4, 4), F, None, repetitions)),
    ("small-4x4-mixed", |repetitions| optimizer(Ix2(4, 4), MIXED, None, repetitions)),
    ("small-rank5-f", |repetitions| optimizer(IxDyn(&RANK5), F, None, repetitions)),
    ("small-rank5-mixed", |repetitions| optimizer(IxDyn(&RANK5), MIXED, None, repetitions)),
    ("short-rows-2000x3-mixed", |repetitions| optimizer(Ix2(2000, 3), MIXED, None, repetitions)),
    ("norm-4x4-f", |repetitions| optimizer(Ix2(4, 4), F, MAX_NORM, repetitions)),
    ("norm-64x64-c", |repetitions| optimizer(Ix2(64, 64), C, MAX_NORM, repetitions)),
    ("norm-64x64-f", |repetitions| optimizer(Ix2(64, 64), F, MAX_NORM, repetitions)),
    ("norm-64x64-mixed", |repetitions| optimizer(Ix2(64, 64), MIXED, MAX_NORM, repetitions)),
    ("batch-1000x64", |repetitions| batch(unchecked(), None, repetitions)),
    ("batch-1000x64-default", |repetitions| batch(Adamax::default(), None, repetitions)),
    ("batch-1000x64-max-norm", |repetitions| batch(Adamax::default(), MAX_NORM, repetitions)),
    ("batch-1000x64-per-tensor", |repetitions| {
        batch(Adamax::default(), Some(MaxNorm::PerTensor(0.01)), repetitions);
    }),
    ("finite-check-4096", finite_check),
    ("bounded-4096", bounded),
    ("report-4096", report),
    ("batch-1000x64-report", batch_report),
    ("rows-100x16-same", |repetitions| rows(Choice::Same, repetitions)),
    ("rows-100x16-random", |repetitions| rows(Choice::Random, repetitions)),
];

fn flat<A: Number>(length: usize, repetitions: u32) {
    let mut library = Library::<A, _>::flat(unchecked(), length);
    repeat(repetitions, Outcome::Applied, || library.step());
}

fn matrix((param, grad): Pair, repetitions: u32) {
    let x = param.array::<f64, _>(Ix2(64, 64), parameters());
    let mut library = Library::new(unchecked(), x, grad.array(Ix2(64, 64), gradients()));
    repeat(repetitions, Outcome::Applied, || library.step());
}

/// One tensor of an optimizer with the default rule.
fn optimizer<D: Dimension>(
    shape: D,
    (param, grad): Pair,
    max_norm: Option<MaxNorm>,
    repetitions: u32,
) {
    let x = param.array::<f64, _>(shape.clone(), parameters());
    let g = grad.array(shape, gradients());
    let mut batch = Batch::new(Adamax::default(), max_norm, vec![x], vec![g]);
    repeat(repetitions, Outcome::Applied, || batch.step());
}

fn batch(rule: Adamax, max_norm: Option<MaxNorm>, repetitions: u32) {
    let mut batch = Batch::<f64, _>::random(&Set::small(1000), rule, max_norm);
    repeat(repetitions, Outcome::Applied, || batch.step());
}

/// The last gradient is infinite, so only the finite check runs. It is not NaN, because valgrind
/// evaluates NaN ≠ ∞ (`vcmpneq_oqpd`) as true, unlike a processor.
fn finite_check(repetitions: u32) {
    let rule = Adamax::builder().non_finite(NonFinite::Skip).build().expect("in range");
    let mut library = Library::<f64, _>::flat(rule, 4096);
    library.g[4095] = f64::INFINITY;
    repeat(repetitions, Outcome::Skipped, || library.step());
}

fn bounded(repetitions: u32) {
    let rule = unchecked().to_builder().bounds(-0.5, 0.5).build().expect("in range");
    let mut library = Library::<f64, _>::flat(rule, 4096);
    repeat(repetitions, Outcome::Applied, || library.step());
}

fn report(repetitions: u32) {
    let mut library = Library::<f64, _>::flat(unchecked(), 4096);
    repeat(repetitions, Outcome::Applied, || library.step_with_report().outcome());
}

fn batch_report(repetitions: u32) {
    let mut batch = Batch::<f64, _>::random(&Set::small(1000), Adamax::default(), None);
    repeat(repetitions, Outcome::Applied, || batch.step_with_report().outcome());
}

/// Steps 100 rows of a table of 1000. Random rows have different numbers of steps.
fn rows(choice: Choice, repetitions: u32) {
    let size = Size { rows: 1000, length: 16, named: 100 };
    let mut rows = TableRows::<f64>::random(size, Layout::C, choice, None);
    repeat(repetitions, Outcome::Applied, || rows.step());
}

fn repeat(repetitions: u32, expected: Outcome, mut step: impl FnMut() -> Outcome) {
    for _ in 0..repetitions {
        assert_eq!(step(), expected);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    // Cargo passes the same arguments to all benches.
    if arguments.iter().any(|argument| ["--bench", "--test"].contains(&&argument[..])) {
        arguments.clear();
    }
    match &arguments[..] {
        [] => KERNELS.iter().for_each(|(_, kernel)| kernel(1)),
        [list] if list == "--list" => KERNELS.iter().for_each(|(name, _)| println!("{name}")),
        [wanted, repetitions] => {
            let (_, kernel) =
                KERNELS.iter().find(|(name, _)| name == wanted).ok_or("no such kernel")?;
            kernel(repetitions.parse()?);
        }
        _ => return Err("usage: instructions [--list | KERNEL REPETITIONS]".into()),
    }
    Ok(())
}
