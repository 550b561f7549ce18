//! Poisson regression: counts yᵢ with expectation exp(xᵢ·β), and the maximum-likelihood β.

use std::iter::successors;

use adamax::ndarray::{Array1, Array2, Axis, s};
use ndarray_rand::rand::{Rng, seq::SliceRandom};

/// A row xᵢ of the design matrix and a count yᵢ for each observation.
pub(crate) struct Sample {
    pub(crate) design: Array2<f64>,
    pub(crate) counts: Array1<f64>,
}

impl Sample {
    /// Returns the number of observations as a floating-point number, for divisions.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2⁵³ observations")]
    pub(crate) fn size(&self) -> f64 {
        self.counts.len() as f64
    }

    /// Returns the number of coefficients.
    pub(crate) fn coefficients(&self) -> usize {
        self.design.ncols()
    }

    /// Returns the minibatches of one epoch: every observation once, in random order.
    pub(crate) fn epoch(&self, batch: usize, rng: &mut impl Rng) -> impl Iterator<Item = Sample> {
        let mut order: Vec<usize> = (0..self.counts.len()).collect();
        order.shuffle(rng);
        (0..order.len()).step_by(batch).map(move |start| {
            let end = order.len().min(start + batch);
            self.select(&order[start..end])
        })
    }

    /// Returns the observations with these numbers, in this order.
    pub(crate) fn select(&self, rows: &[usize]) -> Sample {
        Sample {
            design: self.design.select(Axis(0), rows),
            counts: self.counts.select(Axis(0), rows),
        }
    }

    fn expectations(&self, beta: &Array1<f64>) -> Array1<f64> {
        self.design.dot(beta).exp()
    }

    /// Mean negative log-likelihood without the terms ln(yᵢ!), which do not depend on β.
    pub(crate) fn loss(&self, beta: &Array1<f64>) -> f64 {
        let eta = self.design.dot(beta);
        (eta.exp().sum() - eta.dot(&self.counts)) / self.size()
    }

    /// Log-likelihood of the whole sample with all terms, as statistics packages print it.
    pub(crate) fn log_likelihood(&self, beta: &Array1<f64>) -> f64 {
        let ln_factorials: f64 = self.counts.iter().copied().map(ln_factorial).sum();
        -self.size() * self.loss(beta) - ln_factorials
    }

    /// First derivatives of [`loss`](Sample::loss).
    pub(crate) fn gradient(&self, beta: &Array1<f64>) -> Array1<f64> {
        let residuals = self.expectations(beta) - &self.counts;
        self.design.t().dot(&residuals) / self.size()
    }

    /// Second derivatives of [`loss`](Sample::loss).
    fn hessian(&self, beta: &Array1<f64>) -> Array2<f64> {
        let weights = self.expectations(beta).insert_axis(Axis(1));
        self.design.t().dot(&(&self.design * &weights)) / self.size()
    }

    /// Returns the maximum-likelihood β by Newton's method, which here equals iteratively
    /// reweighted least squares.
    ///
    /// Returns `None` if a derivative of the loss is still 1e-9 or more after all steps.
    pub(crate) fn optimum(&self) -> Option<Array1<f64>> {
        const VANISHED: f64 = 1e-9;
        const STEPS: usize = 30; // 11 are needed from zero, because the first step is far too long
        let mut beta = Array1::zeros(self.coefficients());
        for _ in 0..STEPS {
            let gradient = self.gradient(&beta);
            if gradient.iter().all(|slope| slope.abs() < VANISHED) {
                return Some(beta);
            }
            beta -= &solve(self.hessian(&beta), gradient);
        }
        None
    }
}

/// ln(n!) = ln n + ln(n − 1) + … + ln 2
fn ln_factorial(n: f64) -> f64 {
    successors(Some(n), |k| Some(k - 1.0)).take_while(|&k| k > 1.0).map(f64::ln).sum()
}

/// Solves a·x = b by Gaussian elimination. `a` is positive definite, so no pivoting is needed.
fn solve(mut a: Array2<f64>, mut b: Array1<f64>) -> Array1<f64> {
    let n = b.len();
    for k in 0..n {
        for i in k + 1..n {
            let factor = a[[i, k]] / a[[k, k]];
            for j in k..n {
                a[[i, j]] -= factor * a[[k, j]];
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        let known = a.slice(s![k, k + 1..]).dot(&b.slice(s![k + 1..]));
        b[k] = (b[k] - known) / a[[k, k]];
    }
    b
}
