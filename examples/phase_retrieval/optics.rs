//! A light field, and a camera that records its amplitudes, but not its phases, through masks and a
//! lens.

use std::f64::consts::TAU;

use adamax::ndarray::{Array2, Zip};
use ndarray_rand::{
    RandomExt,
    rand::rngs::SmallRng,
    rand_distr::{StandardNormal, Uniform, uniform},
};
use num_complex::Complex64;

/// Complex amplitudes on a square grid.
pub(crate) type Field = Array2<Complex64>;

/// Number of pixels along an edge.
pub(crate) const EDGE: u32 = 32;
const SHAPE: (usize, usize) = (EDGE as usize, EDGE as usize);

/// Returns the field with the value `amplitude(column, row)` at each pixel, counted from 0.
fn field_of(amplitude: impl Fn(f64, f64) -> Complex64) -> Field {
    let numbers: Vec<f64> = (0..EDGE).map(f64::from).collect();
    Field::from_shape_fn(SHAPE, |(row, column)| amplitude(numbers[column], numbers[row]))
}

/// Returns a light beam with three vortices, two of them with the same direction of rotation and
/// one with the opposite direction. In the centre of a vortex the amplitude is zero, and around it
/// the phase takes all values. The largest amplitude is 1.
pub(crate) fn vortices() -> Field {
    let beam = field_of(|column, row| {
        let centred = |pixel: f64| 6.0 * ((pixel + 0.5) / f64::from(EDGE) - 0.5);
        let z = Complex64::new(centred(column), centred(row));
        let left = z - Complex64::new(-0.7, 0.8);
        let right = z - Complex64::new(0.9, 0.6);
        let other = (z - Complex64::new(0.1, -1.0)).conj();
        left * right * other * (-0.5 * z.norm_sqr()).exp()
    });
    let largest = beam.iter().map(|amplitude| amplitude.norm()).fold(0.0, f64::max);
    beam / largest
}

/// Returns normally distributed random amplitudes as a starting point.
pub(crate) fn noise(rng: &mut SmallRng) -> Field {
    let mut part = || Array2::random_using(SHAPE, StandardNormal, rng);
    Zip::from(&part()).and(&part()).map_collect(|&re, &im| Complex64::new(re, im))
}

/// Masks, a lens, and one picture for each mask.
///
/// ```text
/// zₖ = F·(maskₖ ∘ x)·F          bₖ = |zₖ|          F the unitary discrete Fourier transform
/// ```
pub(crate) struct Camera {
    /// Each mask delays the light by a random phase in each pixel.
    masks: Vec<Field>,
    /// The matrix F. It is symmetric, so the product F·x·F transforms both columns and rows.
    lens: Field,
    /// The square roots of the recorded intensities.
    pictures: Vec<Array2<f64>>,
}

impl Camera {
    /// Records a picture of `field` through each of `masks` random masks.
    pub(crate) fn observe(
        field: &Field,
        masks: usize,
        rng: &mut SmallRng,
    ) -> Result<Self, uniform::Error> {
        let phases = Uniform::new(0.0, TAU)?;
        let mut random_mask = || Array2::random_using(SHAPE, phases, rng).mapv(Complex64::cis);
        let masks: Vec<_> = (0..masks).map(|_| random_mask()).collect();
        let edge = f64::from(EDGE);
        let lens = field_of(|column, row| Complex64::cis(-TAU * column * row / edge) / edge.sqrt());
        let see = |mask| project(mask, field, &lens).mapv(Complex64::norm);
        let pictures = masks.iter().map(see).collect();
        Ok(Camera { masks, lens, pictures })
    }

    pub(crate) fn pictures(&self) -> &[Array2<f64>] {
        &self.pictures
    }

    /// Returns the gradient ∂/∂re + i·∂/∂im of the loss of one picture, ½·Σ(|z| − b)².
    ///
    /// ```text
    /// g = conj(mask) ∘ F̄·(z − b·z/|z|)·F̄
    /// ```
    pub(crate) fn gradient(&self, picture: usize, field: &Field) -> Field {
        let mask = &self.masks[picture];
        let mut residuals = project(mask, field, &self.lens);
        Zip::from(&mut residuals).and(&self.pictures[picture]).for_each(|z, &seen| {
            // At |z| = 0 the loss is not differentiable. The gradient uses 0 for z/|z| there.
            let norm = z.norm().max(f64::MIN_POSITIVE);
            *z -= *z * (seen / norm);
        });
        let back = self.lens.mapv(|entry| entry.conj());
        back.dot(&residuals).dot(&back) * mask.mapv(|entry| entry.conj())
    }
}

/// Returns the field at the camera, including phases.
fn project(mask: &Field, field: &Field, lens: &Field) -> Field {
    lens.dot(&(mask * field)).dot(lens)
}

/// Returns `field` multiplied by the common phase that brings it closest to `truth`. The pictures
/// do not determine a common phase.
pub(crate) fn aligned(field: &Field, truth: &Field) -> Field {
    let overlap: Complex64 =
        Zip::from(field).and(truth).fold(Complex64::ZERO, |sum, x, y| sum + x.conj() * y);
    field * Complex64::cis(overlap.arg())
}

/// Returns |x − truth| / |truth| after alignment of the common phase.
pub(crate) fn error(field: &Field, truth: &Field) -> f64 {
    norm(&(aligned(field, truth) - truth)) / norm(truth)
}

fn norm(field: &Field) -> f64 {
    field.iter().map(Complex64::norm_sqr).sum::<f64>().sqrt()
}
