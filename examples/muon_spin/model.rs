//! Counts of a muon-spin experiment: the expected numbers, their derivatives, and simulated numbers.

use std::f64::consts::FRAC_PI_4;

use adamax::ndarray::{Array1, Array2, Axis, Zip};
use ndarray_rand::{
    rand::{SeedableRng, rngs::SmallRng},
    rand_distr::{Distribution, Poisson, PoissonError},
};

/// Mean life of a muon in µs (Particle Data Group 2024: 2.196 981 1).
const LIFE: f64 = 2.196_981_1;

/// Width of a bin in µs.
pub(crate) const BIN: f64 = 0.05;
const BIN_IN_NS: f64 = 1000.0 * BIN;

/// Number of bins: 10 µs.
pub(crate) const BINS: u32 = 200;

/// Number of parameters.
pub(crate) const PARAMETERS: usize = 6;

// The places of the parameters in an array.
const SIGNAL: usize = 0;
const BACKGROUND: usize = 1;
pub(crate) const RELAXATION: usize = 2;
pub(crate) const ASYMMETRY: usize = 3;
pub(crate) const PHASE: usize = 4;
const FREQUENCY: usize = 5;

/// A parameter of the model.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// The value with which the counts are made.
    truth: f64,
    /// The value with which a fit starts: a guess before the experiment.
    start: f64,
}

/// All parameters. In these units, their uncertainties are 0.009 to 0.08, so one learning rate is right
/// for all of them.
pub(crate) const ALL: [Parameter; PARAMETERS] = [
    Parameter { name: "signal n", unit: "1/ns", truth: 10.0, start: 9.0 },
    Parameter { name: "background b", unit: "1/ns", truth: 0.05, start: 0.2 },
    Parameter { name: "relaxation λ", unit: "1/µs", truth: 0.0, start: 0.1 },
    Parameter { name: "asymmetry a", unit: "", truth: 0.25, start: 0.15 },
    Parameter { name: "phase φ", unit: "rad", truth: 1.2, start: FRAC_PI_4 },
    Parameter { name: "frequency ω", unit: "rad/µs", truth: 4.26, start: 4.0 },
];

/// Returns the values with which the counts are made.
pub(crate) fn truth() -> Array1<f64> {
    ALL.iter().map(|parameter| parameter.truth).collect()
}

/// Returns the values with which a fit starts.
pub(crate) fn start() -> Array1<f64> {
    ALL.iter().map(|parameter| parameter.start).collect()
}

/// Returns a bad guess: small asymmetry, a phase at the end of its interval, frequency far too low.
pub(crate) fn bad_start() -> Array1<f64> {
    let mut x = start();
    (x[ASYMMETRY], x[PHASE], x[FREQUENCY]) = (0.1, 0.0, 3.8);
    x
}

/// Returns the middle of each bin in µs.
pub(crate) fn times() -> Array1<f64> {
    (0..BINS).map(|bin| (f64::from(bin) + 0.5) * BIN).collect()
}

/// The model at one time t. μ is the expected number of counts in a bin; τ is the life of a muon.
///
/// ```text
/// μ(t) = width·(b + n·e^(−t/τ)·(1 + s))          s = a·e^(−λt)·cos(ωt + φ)
/// ```
struct Moment {
    t: f64,
    /// width·e^(−t/τ)
    decay: f64,
    /// e^(−λt)·cos(ωt + φ), which is s / a
    wave: f64,
    /// e^(−λt)·sin(ωt + φ)
    quadrature: f64,
}

impl Moment {
    fn new(x: &Array1<f64>, t: f64) -> Self {
        let (sin, cos) = (x[FREQUENCY] * t + x[PHASE]).sin_cos();
        let envelope = (-x[RELAXATION] * t).exp();
        let decay = (-t / LIFE).exp() * BIN_IN_NS;
        Moment { t, decay, wave: envelope * cos, quadrature: envelope * sin }
    }

    /// Returns μ.
    fn expected(&self, x: &Array1<f64>) -> f64 {
        background(x) + x[SIGNAL] * self.decay * (1.0 + x[ASYMMETRY] * self.wave)
    }

    /// Returns the derivatives of μ.
    fn derivatives(&self, x: &Array1<f64>) -> [f64; PARAMETERS] {
        let Moment { t, decay, wave, quadrature } = *self;
        let signal = x[SIGNAL] * decay;
        let swing = signal * x[ASYMMETRY];
        [
            decay * (1.0 + x[ASYMMETRY] * wave),
            BIN_IN_NS,
            -t * swing * wave,
            signal * wave,
            -swing * quadrature,
            -t * swing * quadrature,
        ]
    }
}

/// Returns the expected number of counts in each bin. The rates at its middle count for the whole
/// bin; the simulation does the same.
pub(crate) fn expected(x: &Array1<f64>) -> Array1<f64> {
    times().mapv(|t| Moment::new(x, t).expected(x))
}

/// Returns the oscillation s of the model at a time.
pub(crate) fn oscillation(x: &Array1<f64>, t: f64) -> f64 {
    x[ASYMMETRY] * Moment::new(x, t).wave
}

/// Returns the expected counts of a bin without background and oscillation, n·e^(−t/τ).
pub(crate) fn decay(x: &Array1<f64>, t: f64) -> f64 {
    x[SIGNAL] * Moment::new(x, t).decay
}

/// Returns the expected background of a bin.
pub(crate) fn background(x: &Array1<f64>) -> f64 {
    x[BACKGROUND] * BIN_IN_NS
}

/// Counts in each bin.
pub(crate) struct Histogram {
    pub(crate) counts: Array1<f64>,
}

impl Histogram {
    /// Draws counts from Poisson distributions.
    pub(crate) fn draw(x: &Array1<f64>, seed: u64) -> Result<Self, PoissonError> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let draw = |&mean: &f64| Ok(Poisson::new(mean)?.sample(&mut rng));
        let counts = expected(x).iter().map(draw).collect::<Result<_, _>>()?;
        Ok(Histogram { counts })
    }

    /// Returns the negative log-likelihood, without the terms ln(yₖ!), which do not depend on x.
    pub(crate) fn loss(&self, x: &Array1<f64>) -> f64 {
        Zip::from(&expected(x))
            .and(&self.counts)
            .fold(0.0, |sum, &mean, &count| sum + mean - count * mean.ln())
    }

    /// Returns the derivatives of [`loss`](Histogram::loss).
    pub(crate) fn gradient(&self, x: &Array1<f64>) -> Array1<f64> {
        let mut gradient = Array1::zeros(PARAMETERS);
        Zip::from(&times()).and(&self.counts).for_each(|&t, &count| {
            let moment = Moment::new(x, t);
            let slope = 1.0 - count / moment.expected(x);
            for (entry, derivative) in gradient.iter_mut().zip(moment.derivatives(x)) {
                *entry += slope * derivative;
            }
        });
        gradient
    }

    /// Returns the deviance, twice the difference to the loss of a model that expects each count. If the
    /// model is right, it is about as large as the number of bins.
    pub(crate) fn deviance(&self, x: &Array1<f64>) -> f64 {
        let own = self.counts.fold(0.0, |sum, &count: &f64| {
            sum + if count > 0.0 { count - count * count.ln() } else { 0.0 }
        });
        2.0 * (self.loss(x) - own)
    }
}

/// Returns the Fisher information: the expected second derivatives of the loss, JᵀM⁻¹J.
pub(crate) fn information(x: &Array1<f64>) -> Array2<f64> {
    let mut information = Array2::zeros((PARAMETERS, PARAMETERS));
    for t in times() {
        let moment = Moment::new(x, t);
        let row = Array1::from_iter(moment.derivatives(x)).insert_axis(Axis(0));
        information.scaled_add(1.0 / moment.expected(x), &row.t().dot(&row));
    }
    information
}

#[cfg(test)]
mod tests {
    use adamax::{Error, check_gradient};

    use super::*;

    /// Central differences of a smooth function in f64 have about 10 right digits.
    const DIFFERENCES: f64 = 1e-6;

    #[test]
    fn the_gradient_is_that_of_the_loss() -> Result<(), Box<dyn std::error::Error>> {
        let data = Histogram::draw(&truth(), 3)?;
        for x in [start(), truth() + 0.03] {
            let check = check_gradient(&x, &data.gradient(&x), |x| data.loss(x))?;
            assert!(check.deviation() < DIFFERENCES, "{check}");
        }
        Ok(())
    }

    /// Without noise, the Fisher information is the matrix of second derivatives.
    #[test]
    fn the_information_has_the_second_derivatives() -> Result<(), Error> {
        let x = start();
        let data = Histogram { counts: expected(&x) };
        for (row, parameter) in information(&x).outer_iter().zip(0..) {
            let slope = |x: &Array1<f64>| data.gradient(x)[parameter];
            let check = check_gradient(&x, &row, slope)?;
            assert!(check.deviation() < DIFFERENCES, "row {parameter}: {check}");
        }
        Ok(())
    }
}
