//! Compares this crate with `Zip` on arrays of every pair of memory orders, and on parts of larger
//! arrays.
//!
//! Groups are named by the shape: square matrices, matrices with rows of 3 elements, and arrays with
//! five axes. Benches are named by the layouts of parameter and gradient: `c` is row-major, `f`
//! column-major. `block` is a block inside larger arrays. `sliced` is every second column of a larger
//! array, with a row-major gradient. All benches of a group do the same work, but `max norm` also
//! takes the norm of the gradient and scales it, in an `Optimizer`.

mod common;

use adamax::{
    Adamax,
    ndarray::{Dimension, IntoDimension},
};
use common::{
    Batch, ByHand, Layout, Library, MAX_NORM, Number,
    group::{enter, group, is_wanted},
    input::{gradients, parameters},
    unchecked,
};
use criterion::{Criterion, criterion_group, criterion_main};

const SIDES: [usize; 5] = [1, 4, 16, 64, 1024];

/// As many elements as in the matrices, or one less.
const SHORT_ROWS: [usize; 4] = [5, 85, 1365, 349_525];

/// As many elements as in the matrices.
const FIVE_AXES: [[usize; 5]; 4] =
    [[2, 2, 2, 2, 1], [4, 4, 4, 2, 2], [8, 8, 4, 4, 4], [16, 16, 16, 16, 16]];

const PAIRS: [(&str, Layout, Layout); 6] = [
    ("cc", Layout::C, Layout::C),
    ("ff", Layout::F, Layout::F),
    ("cf", Layout::C, Layout::F),
    ("fc", Layout::F, Layout::C),
    ("block", Layout::Block, Layout::Block),
    ("sliced", Layout::Sliced, Layout::C),
];

fn layouts<A: Number>(criterion: &mut Criterion) {
    for side in SIDES {
        shape::<A, _>(criterion, [side, side]);
    }
    for rows in SHORT_ROWS {
        shape::<A, _>(criterion, [rows, 3]);
    }
    for lengths in FIVE_AXES {
        shape::<A, _>(criterion, lengths);
    }
}

fn shape<A: Number, const N: usize>(criterion: &mut Criterion, lengths: [usize; N])
where
    [usize; N]: IntoDimension,
{
    let shape = lengths.into_dimension();
    if !is_wanted(shape.size()) {
        return;
    }
    let name = lengths.map(|length| length.to_string()).join("x");
    let mut group = group::<A>(criterion, &name, shape.size());
    for (name, param, grad) in PAIRS {
        let arrays = || {
            let x = param.array::<A, _>(shape.clone(), parameters());
            (x, grad.array(shape.clone(), gradients()))
        };
        let library = || {
            let (x, g) = arrays();
            Library::new(unchecked(), x, g)
        };
        let max_norm = || {
            let (x, g) = arrays();
            Batch::new(Adamax::default(), MAX_NORM, vec![x], vec![g])
        };
        let by_hand = || {
            let (x, g) = arrays();
            ByHand::new(x, g)
        };
        enter(&mut group, name, library, Library::step, Library::check);
        enter(&mut group, &format!("{name} max norm"), max_norm, Batch::step, Batch::check);
        enter(&mut group, &format!("{name} zip"), by_hand, ByHand::zip, ByHand::check);
    }
    group.finish();
}

criterion_group!(benches, layouts::<f64>, layouts::<f32>);
criterion_main!(benches);
