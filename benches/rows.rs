//! Steps some rows of a large table, and compares with the same work without a table.
//!
//! The first benches of a group step the same number of elements as **one tensor** and as **one slot
//! per row**; there, slots and arrays are no more than the rows that are named. The others are benches
//! of `register_rows`:
//!
//! - `first rows`: those at the start of the table. They follow each other, and have one t;
//! - `same rows`: the same rows in each step, evenly spaced, with one t;
//! - `random rows`: other rows in each step, so that rows have different t. Those of a large table are
//!   not in the caches, unlike the tensors of the first benches.
//!
//! `column-major` is the order of the table; all gradients are row-major. `parallel` is a step in rayon's
//! pool, with the feature `rayon`. All benches have the default rule.
//!
//! The groups called `whole` have a smaller table, and compare with a step of all its rows.
//!
//! With `--test`, tables are small.

mod common;

use adamax::{Adamax, ndarray::Ix1};
use common::{
    Batch, Choice, Layout, MAX_NORM, Number, Set, Size, TableRows,
    group::{enter, group, is_test},
    input::{gradients, parameters, shaped},
};
use criterion::{Criterion, criterion_group, criterion_main};

const LENGTHS: [usize; 5] = [1, 4, 16, 64, 300];

/// The named rows of the large tables.
const NAMED: usize = 1000;

/// The length of the rows of the largest table. It needs 1.5 GB in f64.
const LARGEST: usize = 64;

/// The table that is also stepped as a whole.
const WHOLE: Size = Size { rows: 10_000, length: 64, named: 1000 };

/// Returns the size, or a small one with the same length of a row if this is a test.
fn scaled(size: Size) -> Size {
    if is_test() { Size { rows: 100, named: 10, ..size } } else { size }
}

fn tables<A: Number>(criterion: &mut Criterion) {
    for length in LENGTHS {
        table::<A>(criterion, scaled(Size { rows: 100_000, length, named: NAMED }));
    }
    if !is_test() {
        table::<A>(criterion, Size { rows: 1_000_000, length: LARGEST, named: NAMED });
    }
}

fn table<A: Number>(criterion: &mut Criterion, size: Size) {
    let Size { rows, length, named } = size;
    let work = format!("{named} of {rows} rows of {length}");
    let mut group = group::<A>(criterion, &work, named * length);
    let tensor = || Batch::random(&Set::one(named * length), Adamax::default(), None);
    enter(&mut group, "one tensor", tensor, Batch::<A, _>::step, Batch::check);
    let slots = || {
        let (mut x, mut g) = (parameters(), gradients());
        let x = (0..named).map(|_| shaped(length, &mut x)).collect();
        let g = (0..named).map(|_| shaped(length, &mut g)).collect();
        Batch::<A, Ix1>::new(Adamax::default(), None, x, g)
    };
    enter(&mut group, "one slot per row", slots, Batch::step, Batch::check);
    for (name, layout, choice, max_norm) in [
        ("first rows", Layout::C, Choice::First, None),
        ("same rows", Layout::C, Choice::Same, None),
        ("random rows", Layout::C, Choice::Random, None),
        ("random rows, max norm", Layout::C, Choice::Random, MAX_NORM),
        ("same rows, max norm", Layout::C, Choice::Same, MAX_NORM),
        ("same rows, column-major", Layout::F, Choice::Same, None),
        ("random rows, column-major", Layout::F, Choice::Random, None),
    ] {
        let rows = || TableRows::<A>::random(size, layout, choice, max_norm);
        enter(&mut group, name, rows, TableRows::step, TableRows::check);
        #[cfg(feature = "rayon")]
        enter(
            &mut group,
            &format!("{name}, parallel"),
            rows,
            TableRows::par_step,
            TableRows::check,
        );
    }
    group.finish();
}

fn whole<A: Number>(criterion: &mut Criterion) {
    let size = scaled(WHOLE);
    let Size { rows, length, named } = size;
    let work = format!("{named} of {rows} rows of {length}, whole");
    let mut group = group::<A>(criterion, &work, named * length);
    let tensor = || Batch::random(&Set::one(rows * length), Adamax::default(), None);
    enter(&mut group, "whole table", tensor, Batch::<A, _>::step, Batch::check);
    for (name, choice) in [("same rows", Choice::Same), ("random rows", Choice::Random)] {
        let table = || TableRows::<A>::random(size, Layout::C, choice, None);
        enter(&mut group, name, table, TableRows::step, TableRows::check);
    }
    group.finish();
}

criterion_group!(benches, tables::<f64>, tables::<f32>, whole::<f64>, whole::<f32>);
criterion_main!(benches);
