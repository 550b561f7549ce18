//! Random numbers from a seed, drawn one by one. A check draws the same numbers again, so no copy
//! is needed.

use adamax::ndarray::{Array, Dimension, ShapeBuilder};
use ndarray_rand::{
    rand::{Rng, SeedableRng, rngs::StdRng},
    rand_distr::Uniform,
};

use super::Number;

pub(crate) fn parameters<A: Number>() -> impl Iterator<Item = A> {
    numbers(1)
}

pub(crate) fn gradients<A: Number>() -> impl Iterator<Item = A> {
    numbers(2)
}

fn numbers<A: Number>(seed: u64) -> impl Iterator<Item = A> {
    let uniform = Uniform::new(-0.5, 0.5).expect("a range");
    StdRng::seed_from_u64(seed).sample_iter(uniform).map(A::of)
}

/// Returns an array of the next numbers in logical order, whatever its memory order.
pub(crate) fn shaped<A, Sh: ShapeBuilder>(
    shape: Sh,
    numbers: &mut impl Iterator<Item = A>,
) -> Array<A, Sh::Dim>
where
    A: Number,
    Sh::Dim: Dimension,
{
    let mut array = Array::zeros(shape);
    for (element, number) in array.iter_mut().zip(numbers) {
        *element = number;
    }
    array
}
