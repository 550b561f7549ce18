//! One contiguous tensor from 1 to 16M elements: this crate, what ndarray alone offers, and a loop
//! of the same traffic without the division.
//!
//! `propagate` does the same work as the others; `default` looks for gradients that are not finite
//! first; `decoupled` adds weight decay. `traffic` bounds them where the arrays are not in cache.

mod common;

use adamax::{Adamax, WeightDecay, ndarray::Ix1};
use common::{
    ByHand, Library, Number,
    group::{enter, group},
    unchecked,
};
use criterion::{Criterion, criterion_group, criterion_main};

const SIZES: [usize; 7] = [1, 16, 256, 4096, 65_536, 1 << 20, 1 << 24];

/// The temporaries of expressions on more elements would take gigabytes.
const LARGEST_EXPRESSION: usize = 1 << 20;

fn sizes<A: Number>(criterion: &mut Criterion) {
    let decoupled = unchecked().to_builder().weight_decay(WeightDecay::Decoupled(0.01));
    let rules = [
        ("propagate", unchecked()),
        ("default", Adamax::default()),
        ("decoupled", decoupled.build().expect("in range")),
    ];
    for size in SIZES {
        let mut group = group::<A>(criterion, &size.to_string(), size);
        for (name, rule) in rules {
            enter(
                &mut group,
                name,
                || Library::<A, Ix1>::flat(rule, size),
                Library::step,
                Library::check,
            );
        }
        let by_hand = || ByHand::<A, _>::flat(size);
        enter(&mut group, "zip", by_hand, ByHand::zip, ByHand::check);
        if size <= LARGEST_EXPRESSION {
            enter(&mut group, "expressions", by_hand, ByHand::expressions, ByHand::check);
        }
        enter(&mut group, "traffic", by_hand, ByHand::traffic, ByHand::check_traffic);
        group.finish();
    }
}

criterion_group!(tensor, sizes::<f64>, sizes::<f32>);
criterion_main!(tensor);
