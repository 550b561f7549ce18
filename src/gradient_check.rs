//! Comparison of a gradient with central differences of its objective.

use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array, ArrayRef, Dimension, IntoDimension};

use crate::{
    error::{Detail, Error, Role},
    layout::placement,
    par::Sequential,
    real::Real,
    reduce::finite,
};

/// Compares a gradient with central differences of the objective, entry by entry.
///
/// ```text
/// n = (f(x + h) − f(x − h)) / 2h          h = ∛ε · max(1, |x|),    ε the spacing of floats at 1
/// ```
/// `grad` is the gradient to check, computed at `param`; `objective` is the function f that it
/// belongs to. The arrays have one shape, of any dimension and memory layout. Run the check on a
/// small instance of the problem, at one or two random points. The report names the worst entry.
/// In `f64`, a [`deviation`](GradientCheck::deviation) below 1e-6 means that the gradient is right,
/// one above 1e-3 that it is wrong. In `f32`, below 1e-2 means right, and only one near 1 is
/// certainly wrong.
///
/// # Limits
/// - The objective must be smooth within ±h: near a kink (of |x| or a rectifier) right gradients
///   look wrong. It must depend on `param` alone: fix minibatches, dropout and seeds.
/// - Entries of `param` should be near 1 in size. For much smaller ones, such as 1e-9 m, h is too
///   large: rescale.
/// - Where the gradient vanishes, as at an optimum or where all weights are 0, the check is weak: a
///   wrong factor is not detected, and even a third derivative may pass as the gradient.
/// - Errors smaller than the rounding of the differences,
///   [`uncertainty`](GradientCheck::uncertainty), are not detected.
///
/// # Errors
/// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ;
/// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for a copy of `param`;
/// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if `param`, `grad` or a value of
///   `objective` is NaN or infinite.
///
/// A wrong gradient is a result, not an error.
///
/// # Cost
/// Two calls of `objective` per entry. The work besides them is linear in the number of entries, in
/// every layout.
///
/// # Allocation
/// A copy of `param`, and one index for each new worst entry; with a dynamic dimension of more than
/// 4 axes, also indices for each entry.
///
/// # Examples
/// ```
/// use adamax::check_gradient;
/// use ndarray::{Array1, array};
///
/// let rosenbrock =
///     |x: &Array1<f64>| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0].powi(2)).powi(2);
/// let gradient = |x: &Array1<f64>| {
///     let bend = x[1] - x[0] * x[0];
///     array![-2.0 * (1.0 - x[0]) - 400.0 * x[0] * bend, 200.0 * bend]
/// };
///
/// let x = array![-1.2, 1.1];
/// let check = check_gradient(&x, &gradient(&x), rosenbrock)?;
/// assert!(check.deviation() < 1e-6, "{check}");
///
/// let forgotten_factor = gradient(&x) * array![1.0, 0.5];
/// let check = check_gradient(&x, &forgotten_factor, rosenbrock)?;
/// assert_eq!(check.index(), [1]);
/// assert!((check.deviation() - 0.5).abs() < 1e-6, "{check}");
/// # Ok::<(), adamax::Error>(())
/// ```
/// The step size is from Dennis & Schnabel, *Numerical Methods for Unconstrained Optimization and
/// Nonlinear Equations*, algorithm A5.6.4.
pub fn check_gradient<A: Real, D: Dimension>(
    param: &ArrayRef<A, D>,
    grad: &ArrayRef<A, D>,
    mut objective: impl FnMut(&Array<A, D>) -> A,
) -> Result<GradientCheck, Error> {
    Error::check_shapes((Role::Gradient, grad.shape()), (Role::Parameter, param.shape()))?;
    placement::check_memory(param)?;
    finite::check(Sequential, Role::Parameter, param)?;
    finite::check(Sequential, Role::Gradient, grad)?;

    let mut x = param.to_owned();
    let mut worst = GradientCheck { index: Vec::new(), entry: Entry::default() };
    for ((index, &centre), &analytic) in param.indexed_iter().zip(grad) {
        let index = index.into_dimension();
        let mut sample = |value: A| {
            set(&mut x, &index, value);
            let (at, value) = (value.widen(), objective(&x).widen());
            if value.is_finite() {
                Ok(Sample { x: at, f: value })
            } else {
                Err(Detail::Objective { index: index.as_array_view().to_vec(), value, at })
            }
        };
        let h = A::from_f64(step_size(centre));
        let (above, below) = (sample(centre + h)?, sample(centre - h)?);
        set(&mut x, &index, centre);

        let entry = Entry::new(analytic, &above, &below);
        if entry.deviation() > worst.deviation() {
            worst = GradientCheck { index: index.as_array_view().to_vec(), entry };
        }
    }
    Ok(worst)
}

/// Sets one entry. The index leads to it directly: a search for it would make the check quadratic.
fn set<A: Real, D: Dimension>(x: &mut Array<A, D>, index: &D, value: A) {
    if let Some(entry) = x.get_mut(index.clone()) {
        *entry = value;
    }
}

/// ∛ε·max(1, |x|): balances the rounding error, ε/h, and the truncation error, h².
fn step_size<A: Real>(x: A) -> f64 {
    libm::cbrt(A::epsilon().widen()) * x.widen().abs().max(1.0)
}

/// Number of rounding errors assumed in a value of the objective. A sum of a thousand terms makes
/// about √1000 = 32 of them, because they add up as a random walk.
const ROUNDINGS: f64 = 32.0;

/// The objective with one entry of the parameter set to `x`.
struct Sample {
    x: f64,
    f: f64,
}

/// One entry of the gradient.
#[derive(Clone, Debug, Default, PartialEq)]
struct Entry {
    analytic: f64,
    numeric: f64,
    uncertainty: f64,
}

impl Entry {
    fn new<A: Real>(analytic: A, above: &Sample, below: &Sample) -> Self {
        // Not 2h, because x + h and x − h are rounded.
        let width = above.x - below.x;
        let rounding = ROUNDINGS * A::epsilon().widen() * above.f.abs().max(below.f.abs());
        Entry {
            analytic: analytic.widen(),
            numeric: (above.f - below.f) / width,
            uncertainty: rounding / width,
        }
    }

    fn deviation(&self) -> f64 {
        let excess = (self.analytic - self.numeric).abs() - self.uncertainty;
        if excess > 0.0 { excess / self.analytic.abs().max(self.numeric.abs()) } else { 0.0 }
    }
}

/// The result of [`check_gradient`]: the entry of the gradient that is furthest from the central
/// difference, relative to its size.
///
/// Its `Display` output tells everything:
///
/// ```
/// use adamax::check_gradient;
/// use ndarray::array;
///
/// let check = check_gradient(&array![1.0, 3.0], &array![2.0, 3.0], |x| (x * x).sum())?;
/// let message = check.to_string();     // …, 6.0000… by differences, uncertain by …
/// assert!(message.starts_with("gradient deviates by 5.0e-1 at index [1]: 3 given, 6"), "{message}");
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GradientCheck {
    index: Vec<usize>,
    entry: Entry,
}

impl GradientCheck {
    /// Returns the relative deviation of the worst entry: |a − n|, minus the uncertainty of n,
    /// divided by the larger of |a| and |n|.
    ///
    /// 0 if every entry is within its uncertainty, and for an empty array; 1 if a or n is 0; at
    /// most 2, if the sign is wrong.
    ///
    /// ```
    /// # use adamax::check_gradient;
    /// # use ndarray::array;
    /// let deviation = |g: f64| {
    ///     check_gradient(&array![3.0], &array![g], |x| (x * x).sum()).map(|check| check.deviation())
    /// };
    /// assert!(deviation(6.0)? < 1e-6);
    /// assert!((deviation(3.0)? - 0.5).abs() < 1e-6);       // a factor of 2 forgotten
    /// assert!((deviation(-6.0)? - 2.0).abs() < 1e-6);      // wrong sign
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.entry.deviation()
    }

    /// Returns the index of the worst entry; empty if none deviates, or if the array has no axes.
    #[must_use]
    pub fn index(&self) -> &[usize] {
        &self.index
    }

    /// Returns a, the worst entry of the given gradient; 0 if none deviates.
    #[must_use]
    pub fn analytic(&self) -> f64 {
        self.entry.analytic
    }

    /// Returns n, the central difference at the worst entry; 0 if none deviates.
    #[must_use]
    pub fn numeric(&self) -> f64 {
        self.entry.numeric
    }

    /// Returns the estimated rounding error of n: 32·ε·max(|f(x + h)|, |f(x − h)|) / 2h; 0 if no
    /// entry deviates.
    #[must_use]
    pub fn uncertainty(&self) -> f64 {
        self.entry.uncertainty
    }
}

impl fmt::Display for GradientCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.deviation() == 0.0 {
            return f.write_str("gradient agrees with the differences of the objective");
        }
        let (deviation, index) = (self.deviation(), &self.index);
        let Entry { analytic, numeric, uncertainty } = self.entry;
        write!(f, "gradient deviates by {deviation:.1e} at index {index:?}: {analytic} given, ")?;
        write!(f, "{numeric} by differences, uncertain by {uncertainty:.1e}")
    }
}
