//! Runs a few kernels for a tool that counts instructions.
//!
//! `instructions` without arguments runs each kernel once, `instructions --list` lists the kernels,
//! and `instructions KERNEL REPETITIONS` repeats one. Unlike times, counts do not depend on the
//! load of the machine. `.ci/check_instructions` compares them with recorded counts.

mod common;

use std::error::Error;

use adamax::{Adamax, MaxNorm, NonFinite, Outcome};
use common::{
    Batch, Layout, Library, Number, Set,
    input::{gradients, parameters},
    unchecked,
};

/// A kernel prepares its arrays and takes the given number of steps.
type Kernel = fn(u32);

const KERNELS: [(&str, Kernel); 7] = [
    ("one-element", |repetitions| flat::<f64>(1, repetitions)),
    ("f64-4096", |repetitions| flat::<f64>(4096, repetitions)),
    ("f32-4096", |repetitions| flat::<f32>(4096, repetitions)),
    ("mixed-64x64", mixed_orders),
    ("batch-1000x64", |repetitions| batch(unchecked(), None, repetitions)),
    ("batch-1000x64-max-norm", |repetitions| {
        batch(Adamax::default(), Some(MaxNorm::Global(1.0)), repetitions);
    }),
    ("finite-check-4096", finite_check),
];

fn flat<A: Number>(length: usize, repetitions: u32) {
    let mut library = Library::<A, _>::flat(unchecked(), length);
    repeat(repetitions, Outcome::Applied, || library.step());
}

fn mixed_orders(repetitions: u32) {
    let x = Layout::C.matrix::<f64>(64, parameters());
    let mut library = Library::new(unchecked(), x, Layout::F.matrix(64, gradients()));
    repeat(repetitions, Outcome::Applied, || library.step());
}

fn batch(rule: Adamax, max_norm: Option<MaxNorm>, repetitions: u32) {
    let mut batch = Batch::<f64>::random(&Set::small(), rule, max_norm);
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

fn repeat(repetitions: u32, expected: Outcome, mut step: impl FnMut() -> Outcome) {
    for _ in 0..repetitions {
        assert_eq!(step(), expected);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    // `cargo bench` passes the same arguments to all benches.
    if arguments.iter().any(|argument| argument == "--bench") {
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
