//! Compares this crate with `Zip` on matrices of every pair of memory orders, and on parts of
//! larger arrays.
//!
//! Benches are named by the layouts of parameter and gradient: `c` is row-major, `f` column-major.
//! `block` is a block inside larger arrays. `sliced` is every second column of a larger array, with
//! a row-major gradient. All do the same work, so all are in one group.

mod common;

use common::{
    ByHand, Layout, Library, Number,
    group::{enter, group},
    input::{gradients, parameters},
    unchecked,
};
use criterion::{Criterion, criterion_group, criterion_main};

const SIDES: [usize; 2] = [64, 1024];

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
        let mut group = group::<A>(criterion, &format!("{side}x{side}"), side * side);
        for (name, param, grad) in PAIRS {
            let arrays = || (param.matrix::<A>(side, parameters()), grad.matrix(side, gradients()));
            let library = || {
                let (x, g) = arrays();
                Library::new(unchecked(), x, g)
            };
            let by_hand = || {
                let (x, g) = arrays();
                ByHand::new(x, g)
            };
            enter(&mut group, name, library, Library::step, Library::check);
            enter(&mut group, &format!("{name} zip"), by_hand, ByHand::zip, ByHand::check);
        }
        group.finish();
    }
}

criterion_group!(benches, layouts::<f64>, layouts::<f32>);
criterion_main!(benches);
