//! The comparison of a fit with the optimum.

use adamax::ndarray::Array1;

use crate::data::Data;

/// Largest difference between the mean log-likelihood and its maximum. For the whole sample this is
/// 0.2, a tenth of the difference between the maximum and the limit of a coefficient's 95 %
/// confidence interval. The worst of 24 seeds used a fifth of this tolerance and of the next.
pub(crate) const EXCESS_TOLERANCE: f64 = 1e-5;

/// Largest deviation of a coefficient of a standardised covariate from the optimum: about one
/// standard error.
const COEFFICIENT_TOLERANCE: f64 = 0.005;

/// A fit and the optimum.
pub(crate) struct Comparison<'a> {
    pub(crate) data: &'a Data,
    pub(crate) fitted: &'a Array1<f64>,
    pub(crate) optimum: &'a Array1<f64>,
}

impl Comparison<'_> {
    /// Prints coefficients, rate ratios, and both deviations with their tolerances.
    pub(crate) fn print(&self) {
        let fitted = self.data.on_original_scale(self.fitted);
        let optimum = self.data.on_original_scale(self.optimum);
        println!("{:10} {:^23} {:>22}", "", "coefficient", "rate ratio exp(β)");
        println!("{:10} {:>11} {:>11} {:>13} {:>11}", "", "Adamax", "optimum", "Adamax", "optimum");
        for ((name, fitted), optimum) in self.data.names.iter().zip(&fitted).zip(&optimum) {
            let (ratio, best_ratio) = (fitted.exp(), optimum.exp());
            println!("{name:10} {fitted:11.5} {optimum:11.5} {ratio:13.5} {best_ratio:11.5}");
        }

        let sample = &self.data.sample;
        let reached = sample.log_likelihood(self.fitted);
        let best = sample.log_likelihood(self.optimum);
        let less = best - reached;
        println!("\nlog-likelihood {reached:.3}, at the optimum {best:.3}: less by {less:.3}");
        println!("  per person-year {:.1e}, tolerance {EXCESS_TOLERANCE:e}", self.excess());
        println!(
            "  standardised coefficients differ by up to {:.1e}, tolerance {COEFFICIENT_TOLERANCE:e}",
            self.largest_error()
        );
    }

    /// Returns an error unless both deviations are within their tolerances.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        // Written so that NaN fails.
        if self.excess() < EXCESS_TOLERANCE && self.largest_error() < COEFFICIENT_TOLERANCE {
            Ok(())
        } else {
            Err("the fit is not within the tolerances of the optimum")
        }
    }

    /// Returns the difference of the mean log-likelihood from its maximum.
    pub(crate) fn excess(&self) -> f64 {
        self.data.sample.loss(self.fitted) - self.data.sample.loss(self.optimum)
    }

    /// Returns the largest deviation of a coefficient, for standardised covariates.
    pub(crate) fn largest_error(&self) -> f64 {
        (self.fitted - self.optimum).fold(0.0, |largest, error| error.abs().max(largest))
    }
}
