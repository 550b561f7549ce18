//! Compares a sequential step with a parallel step in rayon's pool, for one tensor and for sets of
//! tensors.
//!
//! A parallel step uses threads from 131 072 elements on, so the smallest tensor has this size, and
//! both sets have more elements.

mod common;

use adamax::ndarray::Ix1;
use common::{
    Batch, Library, Number, Set,
    group::{enter, group, is_wanted},
    unchecked,
};
use criterion::{Criterion, criterion_group, criterion_main};

const SIZES: [usize; 3] = [131_072, 1 << 20, 1 << 24];

fn tensor<A: Number>(criterion: &mut Criterion) {
    for size in SIZES.into_iter().filter(|&size| is_wanted(size)) {
        let mut group = group::<A>(criterion, &format!("{size} threads"), size);
        let library = || Library::<A, Ix1>::flat(unchecked(), size);
        enter(&mut group, "serial", library, Library::step, Library::check);
        enter(&mut group, "parallel", library, Library::par_step, Library::check);
        group.finish();
    }
}

fn sets<A: Number>(criterion: &mut Criterion) {
    for set in [Set::small(4000), Set::perceptron()] {
        let mut group = group::<A>(criterion, &format!("{} threads", set.name), set.elements());
        let batch = || Batch::<A, _>::random(&set, unchecked(), None);
        enter(&mut group, "serial", batch, Batch::step, Batch::check);
        enter(&mut group, "parallel", batch, Batch::par_step, Batch::check);
        group.finish();
    }
}

criterion_group!(benches, tensor::<f64>, tensor::<f32>, sets::<f64>, sets::<f32>);
criterion_main!(benches);
