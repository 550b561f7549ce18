//! Steps many tensors at once: with an optimizer without and with the finite check, with norm
//! clipping, with a report, and with `Zip` for each tensor.

mod common;

use adamax::Adamax;
use common::{
    Batch, ByHand, MAX_NORM, Number, Set,
    check::{assert_each, naive},
    group::{enter, group},
    input::{gradients, parameters},
    unchecked,
};
use criterion::{Criterion, criterion_group, criterion_main};

fn sets<A: Number>(criterion: &mut Criterion) {
    for set in [Set::small(1000), Set::perceptron()] {
        let mut group = group::<A>(criterion, &set.name, set.elements());
        for (name, rule, max_norm) in [
            ("propagate", unchecked(), None),
            ("default", Adamax::default(), None),
            ("max norm", Adamax::default(), MAX_NORM),
        ] {
            let batch = || Batch::random(&set, rule, max_norm);
            enter(&mut group, name, batch, Batch::<A, _>::step, Batch::check);
        }
        let batch = || Batch::random(&set, Adamax::default(), None);
        enter(&mut group, "report", batch, Batch::<A, _>::step_with_report, Batch::check);
        let by_hand = || {
            let arrays = set.arrays::<A>(parameters()).into_iter().zip(set.arrays(gradients()));
            arrays.map(|(x, g)| ByHand::new(x, g)).collect::<Vec<_>>()
        };
        enter(
            &mut group,
            "zip",
            by_hand,
            |tensors| tensors.iter_mut().for_each(ByHand::zip),
            |tensors| {
                let values = tensors.iter().flat_map(|tensor| &tensor.x);
                assert_each(values, naive(&Adamax::default(), 1.0));
            },
        );
        group.finish();
    }
}

criterion_group!(benches, sets::<f64>, sets::<f32>);
criterion_main!(benches);
