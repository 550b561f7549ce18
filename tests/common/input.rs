//! Random inputs from a seed.

use super::Float;
use ndarray::{Array, ArrayD, IntoDimension};
use ndarray_rand::{
    RandomExt,
    rand::{SeedableRng, rngs::StdRng},
    rand_distr::{Normal, StandardNormal, Uniform},
};

/// The share of gradients that are exactly 0.
const ZEROS: f64 = 0.05;

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Returns parameters with a standard normal distribution.
pub(crate) fn parameters<A: Float, Sh: IntoDimension>(
    shape: Sh,
    rng: &mut StdRng,
) -> Array<A, Sh::Dim> {
    Array::<f64, Sh::Dim>::random_using(shape, StandardNormal, rng).mapv(A::of)
}

/// Returns gradients of both signs with magnitudes from 1e-6 to 100, some exactly 0.
pub(crate) fn gradients<A: Float, Sh: IntoDimension>(
    shape: Sh,
    rng: &mut StdRng,
) -> Array<A, Sh::Dim> {
    let shape = shape.into_dimension();
    let wide = Normal::new(-1.5, 1.5).expect("a positive deviation");
    let exponent = Array::<f64, _>::random_using(shape.clone(), wide, rng);
    let sign = Array::random_using(shape.clone(), Uniform::new(-1.0, 1.0).expect("a range"), rng);
    let luck = Array::random_using(shape, Uniform::new(0.0, 1.0).expect("a range"), rng);
    let mut gradients = exponent;
    gradients.zip_mut_with(&sign, |value, &sign: &f64| {
        *value = 10_f64.powf(value.clamp(-6.0, 2.0)).copysign(sign);
    });
    gradients.zip_mut_with(&luck, |value, &luck| {
        if luck < ZEROS {
            *value = 0.0;
        }
    });
    gradients.mapv(A::of)
}

/// The inputs of a short run that starts with m = 0 and u = 0, without any memory layout.
#[derive(Clone, Debug)]
pub(crate) struct Table<A> {
    pub(crate) x: Vec<A>,
    /// The gradients of each step.
    pub(crate) gradients: Vec<Vec<A>>,
}

impl<A: Float> Table<A> {
    pub(crate) fn random(length: usize, steps: usize, seed: u64) -> Self {
        let rng = &mut rng(seed);
        Table {
            x: parameters(length, rng).to_vec(),
            gradients: (0..steps).map(|_| gradients(length, rng).to_vec()).collect(),
        }
    }
}

/// Returns a row-major array of these values in logical order.
pub(crate) fn shaped<A: Float>(values: &[A], shape: &[usize]) -> ArrayD<A> {
    ArrayD::from_shape_vec(shape, values.to_vec()).expect("one value per element of the shape")
}
