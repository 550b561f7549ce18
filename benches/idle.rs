//! Steps with gradients that stay 0. The first moment decays until it is subnormal, and arithmetic
//! on subnormal numbers is slow; this crate avoids it.

mod common;

use adamax::ndarray::Ix1;
use common::{
    ByHand, Library, Number,
    group::{enter, group},
    unchecked,
};
use criterion::{Criterion, criterion_group, criterion_main};
use num_traits::Zero;

const SIZE: usize = 4096;

/// Adds the benches of one precision. After `steps` steps the first moment would be subnormal.
fn idle<A: Number>(criterion: &mut Criterion, steps: usize) {
    let mut group = group::<A>(criterion, &format!("{SIZE} idle"), SIZE);
    let busy = || Library::<A, Ix1>::flat(unchecked(), SIZE);
    enter(&mut group, "propagate, busy", busy, Library::step, Library::check);

    let idle = || {
        let mut library = busy();
        library.step();
        library.g.fill(A::zero());
        for _ in 0..steps {
            library.step();
        }
        library
    };
    enter(&mut group, "propagate", idle, Library::step, |library| {
        assert!(library.state.first_moment().iter().all(Zero::is_zero));
    });

    let idle_by_hand = || {
        let mut by_hand = ByHand::<A, _>::flat(SIZE);
        by_hand.zip();
        by_hand.g.fill(A::zero());
        for _ in 0..steps {
            by_hand.zip();
        }
        by_hand
    };
    enter(&mut group, "zip", idle_by_hand, ByHand::zip, |by_hand| {
        assert!(by_hand.m.iter().all(|m| m.abs() < A::min_positive_value() && !m.is_zero()));
    });
    group.finish();
}

fn both(criterion: &mut Criterion) {
    idle::<f64>(criterion, 8000);
    idle::<f32>(criterion, 1000);
}

criterion_group!(benches, both);
criterion_main!(benches);
