//! Rosenbrock's function in the form that argmin requires.

use argmin::core::{CostFunction, Error, Gradient};

/// The coefficient that determines the steepness of the valley.
pub(crate) const STEEPNESS: f64 = 100.0;

pub(crate) fn cost([x, y]: [f64; 2]) -> f64 {
    (1.0 - x).powi(2) + STEEPNESS * (y - x * x).powi(2)
}

fn gradient([x, y]: [f64; 2]) -> [f64; 2] {
    let height = y - x * x;
    [-2.0 * (1.0 - x) - 4.0 * STEEPNESS * x * height, 2.0 * STEEPNESS * height]
}

/// The problem, for every solver.
pub(crate) struct Rosenbrock;

impl CostFunction for Rosenbrock {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, at: &Vec<f64>) -> Result<f64, Error> {
        Ok(cost([at[0], at[1]]))
    }
}

impl Gradient for Rosenbrock {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(gradient([at[0], at[1]]).to_vec())
    }
}
