//! Steps one contiguous tensor of 1 to 16M elements: with this crate, with ndarray alone, and with
//! a loop that has the same memory traffic but no division.
//!
//! `propagate` does the same work as the code with ndarray alone. `default` first checks that the
//! gradient is finite. `max norm` also takes the norm of the gradient and scales it, in an
//! `Optimizer`. `decoupled` adds weight decay, and `bounded` bounds of the parameters. `report` takes a
//! norm in place of the check of `default`, and finds the largest step. `traffic` is a lower bound of
//! the time if the arrays do not fit into the cache.

mod common;

use adamax::{Adamax, WeightDecay, ndarray::Ix1};
use common::{
    Batch, ByHand, Library, MAX_NORM, Number, Set,
    group::{enter, group, is_wanted},
    unchecked,
};
use criterion::{Criterion, criterion_group, criterion_main};

const SIZES: [usize; 7] = [1, 16, 256, 4096, 65_536, 1 << 20, 1 << 24];

/// With more elements, the temporary arrays of the expressions would need gigabytes.
const LARGEST_EXPRESSION: usize = 1 << 20;

fn sizes<A: Number>(criterion: &mut Criterion) {
    let decoupled = unchecked().to_builder().weight_decay(WeightDecay::Decoupled(0.01));
    let rules = [
        ("propagate", unchecked()),
        ("default", Adamax::default()),
        ("decoupled", decoupled.build().expect("in range")),
        ("bounded", unchecked().to_builder().bounds(-0.5, 0.5).build().expect("in range")),
    ];
    for size in SIZES.into_iter().filter(|&size| is_wanted(size)) {
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
        enter(
            &mut group,
            "report",
            || Library::<A, Ix1>::flat(Adamax::default(), size),
            Library::step_with_report,
            Library::check,
        );
        let max_norm = || Batch::<A, _>::random(&Set::one(size), Adamax::default(), MAX_NORM);
        enter(&mut group, "max norm", max_norm, Batch::step, Batch::check);
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
