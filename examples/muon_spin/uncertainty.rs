//! Uncertainties: from the Hessian, which assumes a normal distribution, and from a bootstrap.

use std::error::Error;

use adamax::ndarray::Array1;
use indicatif::ProgressBar;
use nalgebra::{DMatrix, DVector};

use crate::{
    common::parallel,
    fit::{Fit, Limits},
    model::{self, Histogram, PARAMETERS},
};

/// The normal distribution around a fit. Its covariance is the inverse of the Fisher information, the
/// expected Hessian, of the parameters that are not held at a limit.
pub(crate) struct Normal {
    free: Vec<usize>,
    covariance: DMatrix<f64>,
}

impl Normal {
    /// Returns `None` if the counts do not determine the parameters.
    pub(crate) fn around(fit: &Fit) -> Option<Self> {
        let free: Vec<_> = (0..PARAMETERS).filter(|&parameter| !fit.is_held(parameter)).collect();
        let information = model::information(&fit.x);
        let among_free =
            DMatrix::from_fn(free.len(), free.len(), |i, j| information[[free[i], free[j]]]);
        Some(Normal { free, covariance: among_free.cholesky()?.inverse() })
    }

    /// Returns the standard error of a parameter, or `None` if it is held at a limit.
    pub(crate) fn error(&self, parameter: usize) -> Option<f64> {
        let place = self.free.iter().position(|&free| free == parameter)?;
        Some(self.covariance[(place, place)].sqrt())
    }

    /// Returns the next step of Newton's method. It does not move parameters that are held.
    pub(crate) fn newton_step(&self, gradient: &Array1<f64>) -> Array1<f64> {
        let slopes =
            DVector::from_iterator(self.free.len(), self.free.iter().map(|&i| gradient[i]));
        let mut step = Array1::zeros(PARAMETERS);
        for (&parameter, change) in self.free.iter().zip((&self.covariance * -slopes).iter()) {
            step[parameter] = *change;
        }
        step
    }

    /// Returns the largest entry of the next step of Newton's method, in standard errors.
    pub(crate) fn remaining(&self, gradient: &Array1<f64>) -> f64 {
        let step = self.newton_step(gradient);
        let parts = (0..PARAMETERS)
            .filter_map(|parameter| Some((step[parameter] / self.error(parameter)?).abs()));
        parts.fold(0.0, f64::max)
    }
}

/// Fits to simulated counts.
pub(crate) struct Bootstrap {
    /// The parameters with the limits of physics.
    pub(crate) limited: Vec<Array1<f64>>,
    /// The parameters without limits, for the same counts.
    pub(crate) free: Vec<Array1<f64>>,
}

impl Bootstrap {
    /// Draws counts from the model with the parameters `x`, and fits each of them twice.
    pub(crate) fn draw(
        x: &Array1<f64>,
        size: u64,
        bar: &ProgressBar,
    ) -> Result<Self, Box<dyn Error>> {
        /// Not the seed of the experiment.
        const FIRST_SEED: u64 = 1_000;
        let experiments = (FIRST_SEED..FIRST_SEED + size)
            .map(|seed| Histogram::draw(x, seed))
            .collect::<Result<Vec<_>, _>>()?;
        let fits = parallel::map(&experiments, bar, |data| {
            let fit = |limits| Fit::of(data, x, limits, |_, _| {});
            Ok([fit(Limits::PHYSICS)?, fit(Limits::FREE)?])
        })?;

        let mut bootstrap = Bootstrap { limited: Vec::new(), free: Vec::new() };
        for [limited, free] in fits {
            limited.check()?;
            free.check()?;
            bootstrap.limited.push(limited.x);
            bootstrap.free.push(free.x);
        }
        Ok(bootstrap)
    }
}

/// Returns the values of one parameter, in ascending order.
pub(crate) fn sorted(fits: &[Array1<f64>], parameter: usize) -> Vec<f64> {
    let mut values: Vec<_> = fits.iter().map(|x| x[parameter]).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Returns the share of values for which `is_so` holds.
#[expect(clippy::cast_precision_loss, reason = "the numbers of refits are small")]
pub(crate) fn share(values: &[f64], is_so: impl Fn(f64) -> bool) -> f64 {
    values.iter().filter(|&&value| is_so(value)).count() as f64 / values.len() as f64
}

/// Returns the standard deviation of one parameter.
pub(crate) fn deviation(fits: &[Array1<f64>], parameter: usize) -> f64 {
    fits.iter().map(|x| x[parameter]).collect::<Array1<_>>().std(1.0)
}
