//! The embedded RAND Health Insurance data, and the conversion of coefficients to their original
//! scale.

use std::{error::Error, iter::once};

use adamax::ndarray::{Array1, Array2, Axis, concatenate, s};
use flate2::read::GzDecoder;

use crate::{common::csv_gz, poisson::Sample};

/// The source of the data is described in examples/data/README.md.
const RAND_HIE: &[u8] = include_bytes!("../data/randhie.csv.gz");

/// The table as a regression problem.
pub(crate) struct Data {
    /// Numbers of visits to a doctor, with an intercept and the standardised covariates.
    pub(crate) sample: Sample,
    /// Names of the coefficients, the intercept first.
    pub(crate) names: Vec<String>,
    means: Array1<f64>,
    deviations: Array1<f64>,
}

impl Data {
    /// Unpacks the table. The first column has the visits, the others have the covariates.
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        let mut reader = csv::Reader::from_reader(GzDecoder::new(RAND_HIE));
        let covariate_names = reader.headers()?.iter().skip(1).map(str::to_owned);
        let names = once("intercept".to_owned()).chain(covariate_names).collect();
        let table = csv_gz::matrix(reader)?;

        let covariates = table.slice(s![.., 1..]);
        let means = covariates.mean_axis(Axis(0)).ok_or("the table has no rows")?;
        let deviations = covariates.std_axis(Axis(0), 0.0);
        let standardised = (&covariates - &means) / &deviations;
        let ones = Array2::ones((table.nrows(), 1));
        let design = concatenate(Axis(1), &[ones.view(), standardised.view()])?;
        let counts = table.column(0).to_owned();
        Ok(Data { sample: Sample { design, counts }, names, means, deviations })
    }

    /// Returns the maximum-likelihood coefficients.
    pub(crate) fn optimum(&self) -> Result<Array1<f64>, &'static str> {
        self.sample.optimum().ok_or("Newton's method did not converge")
    }

    /// Converts coefficients of the standardised covariates to those of the original covariates.
    pub(crate) fn on_original_scale(&self, coefficients: &Array1<f64>) -> Array1<f64> {
        let slopes = &coefficients.slice(s![1..]) / &self.deviations;
        let intercept = coefficients[0] - slopes.dot(&self.means);
        once(intercept).chain(slopes).collect()
    }
}
