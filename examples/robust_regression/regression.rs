//! Linear regression: observations with light- or heavy-tailed noise, and two losses.

use adamax::ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use ndarray_rand::{
    RandomExt,
    rand::{SeedableRng, rngs::SmallRng},
    rand_distr::{ChiSquaredError, StandardNormal, StudentT},
};

const COEFFICIENTS: usize = 8;
const BATCH: u32 = 16;

/// Number of minibatches of a sample.
pub(crate) const STEPS: u32 = 2000;
pub(crate) const OBSERVATIONS: usize = (STEPS * BATCH) as usize;

/// The distribution of the noise, of scale 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noise {
    Normal,
    /// Student's t with 2 degrees of freedom: the lightest tail that has no variance.
    Student,
    /// Student's t with 1 degree of freedom, which has no mean.
    Cauchy,
}

impl Noise {
    pub(crate) const ALL: [Noise; 3] = [Noise::Normal, Noise::Student, Noise::Cauchy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Noise::Normal => "normal noise",
            Noise::Student => "Student-t noise (ν = 2)",
            Noise::Cauchy => "Cauchy noise",
        }
    }

    fn draw(self, rng: &mut SmallRng) -> Result<Array1<f64>, ChiSquaredError> {
        let mut student =
            |degrees| Ok(Array1::random_using(OBSERVATIONS, StudentT::new(degrees)?, rng));
        match self {
            Noise::Normal => Ok(Array1::random_using(OBSERVATIONS, StandardNormal, rng)),
            Noise::Student => student(2.0),
            Noise::Cauchy => student(1.0),
        }
    }
}

/// The loss of a residual r.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// r²/2 with the derivative r, so the gradients have the tail of the noise.
    Squares,
    /// The Huber loss: r²/2 up to ±1.345, then linear, so the derivative is bounded.
    Huber,
}

impl Loss {
    pub(crate) const ALL: [Loss; 2] = [Loss::Squares, Loss::Huber];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Loss::Squares => "least squares",
            Loss::Huber => "Huber loss",
        }
    }

    fn slope(self, residual: f64) -> f64 {
        /// Has 95 % of the efficiency of least squares if the noise is normal.
        const BEND: f64 = 1.345;
        match self {
            Loss::Squares => residual,
            Loss::Huber => residual.clamp(-BEND, BEND),
        }
    }
}

/// Observations yᵢ = xᵢ·β + noise with standard normal xᵢ, and the true β.
pub(crate) struct Sample {
    design: Array2<f64>,
    responses: Array1<f64>,
    truth: Array1<f64>,
}

impl Sample {
    pub(crate) fn draw(noise: Noise, seed: u64) -> Result<Self, ChiSquaredError> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let truth = Array1::random_using(COEFFICIENTS, StandardNormal, &mut rng);
        let design = Array2::random_using((OBSERVATIONS, COEFFICIENTS), StandardNormal, &mut rng);
        let responses = design.dot(&truth) + noise.draw(&mut rng)?;
        Ok(Sample { design, responses, truth })
    }

    pub(crate) fn coefficients(&self) -> usize {
        self.truth.len()
    }

    /// Returns the minibatches, with every observation once.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let designs = self.design.axis_chunks_iter(Axis(0), BATCH as usize);
        let responses = self.responses.axis_chunks_iter(Axis(0), BATCH as usize);
        designs.zip(responses).map(|(design, responses)| Batch { design, responses })
    }

    /// Returns |β̂ − β| / |β|, which is 1 for β̂ = 0, or +∞ if β̂ has a NaN.
    pub(crate) fn error(&self, estimate: &Array1<f64>) -> f64 {
        let difference = estimate - &self.truth;
        let error = (difference.dot(&difference) / self.truth.dot(&self.truth)).sqrt();
        if error.is_nan() { f64::INFINITY } else { error }
    }
}

/// A minibatch of observations.
pub(crate) struct Batch<'a> {
    design: ArrayView2<'a, f64>,
    responses: ArrayView1<'a, f64>,
}

impl Batch<'_> {
    /// Returns the first derivatives of the mean loss.
    pub(crate) fn gradient(&self, loss: Loss, beta: &Array1<f64>) -> Array1<f64> {
        let residuals = self.design.dot(beta) - self.responses;
        let slopes = residuals.mapv_into(|residual| loss.slope(residual));
        self.design.t().dot(&slopes) / f64::from(BATCH)
    }
}
