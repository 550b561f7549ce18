//! Rosenbrock's function for several vector types.

use std::{marker::PhantomData, ops::Index};

use argmin::core::{CostFunction, Error, Gradient};

/// A vector of two numbers: a `Vec` or an ndarray array.
pub(crate) trait Point:
    Clone + From<Vec<f64>> + Index<usize, Output = f64> + 'static
{
}
impl<P: Clone + From<Vec<f64>> + Index<usize, Output = f64> + 'static> Point for P {}

/// The coefficient that determines the steepness of the valley.
pub(crate) const STEEPNESS: f64 = 100.0;

pub(crate) fn cost([x, y]: [f64; 2]) -> f64 {
    (1.0 - x).powi(2) + STEEPNESS * (y - x * x).powi(2)
}

fn gradient([x, y]: [f64; 2]) -> [f64; 2] {
    let height = y - x * x;
    [-2.0 * (1.0 - x) - 4.0 * STEEPNESS * x * height, 2.0 * STEEPNESS * height]
}

/// The problem in the form that argmin requires.
pub(crate) struct Rosenbrock<P>(PhantomData<P>);

impl<P> Default for Rosenbrock<P> {
    fn default() -> Self {
        Rosenbrock(PhantomData)
    }
}

impl<P: Point> CostFunction for Rosenbrock<P> {
    type Param = P;
    type Output = f64;

    fn cost(&self, at: &P) -> Result<f64, Error> {
        Ok(cost([at[0], at[1]]))
    }
}

impl<P: Point> Gradient for Rosenbrock<P> {
    type Param = P;
    type Gradient = P;

    fn gradient(&self, at: &P) -> Result<P, Error> {
        Ok(gradient([at[0], at[1]]).to_vec().into())
    }
}
