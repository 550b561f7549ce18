//! Whether a gradient is that of the objective, by central differences.

use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array, ArrayRef, Dimension};

use crate::{
    error::{Detail, Error, Role},
    par::Serial,
    real::Real,
    reduce::finite,
};

/// Compares a gradient with central differences of the objective, entry by entry.
///
/// ```text
/// n = (f(x + h) − f(x − h)) / 2h          h = ∛ε · max(1, |x|),    ε the spacing of floats at 1
/// ```
/// To be asked before an optimizer is blamed: on a small instance of the problem, at one or two
/// points drawn at random. `grad` is the gradient to be checked, taken at `param`; `objective` is
/// what it claims to be the gradient of, on arrays of the same shape. The report names the worst
/// entry. A [`deviation`](GradientCheck::deviation) below 1e-6 says that the gradient is right, one
/// above 1e-3 that it is wrong; `f32` tells apart only 1e-2 from 1.
///
/// # Limits
/// - The objective is to be smooth within ±h: near a kink (|x|, a rectifier) right gradients look
///   wrong. It is to be a function of `param` alone: fix minibatches, dropout and seeds.
/// - Entries of `param` are to be of about unit size. For some that are much smaller, such as 1e-9 m,
///   h is too coarse: rescale.
/// - Where the gradient vanishes, as at an optimum or at weights that are all 0, there is little to
///   compare: any wrong factor passes, and third derivatives may pass for gradients.
/// - Errors that are smaller than what rounding does to the differences,
///   [`uncertainty`](GradientCheck::uncertainty), are not seen.
///
/// # Errors
/// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ;
/// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if `param`, `grad` or a value of
///   `objective` is NaN or infinite.
///
/// A gradient that is wrong is not an error but a result.
///
/// # Allocation
/// A copy of `param`, one index per new worst entry, and what `objective` needs, which is called
/// twice per entry.
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
/// The step size is that of Dennis & Schnabel, *Numerical Methods for Unconstrained Optimization and
/// Nonlinear Equations*, algorithm A5.6.4.
pub fn check_gradient<A: Real, D: Dimension>(
    param: &ArrayRef<A, D>,
    grad: &ArrayRef<A, D>,
    mut objective: impl FnMut(&Array<A, D>) -> A,
) -> Result<GradientCheck, Error> {
    Error::check_shapes((Role::Gradient, grad.shape()), (Role::Parameter, param.shape()))?;
    finite::check(Serial, Role::Parameter, param)?;
    finite::check(Serial, Role::Gradient, grad)?;

    let (param, mut x) = (param.view().into_dyn(), param.to_owned());
    let mut worst = GradientCheck { index: Vec::new(), entry: Entry::default() };
    for (position, ((index, &centre), &analytic)) in param.indexed_iter().zip(grad).enumerate() {
        let index = || index.as_array_view().to_vec();
        let mut sample = |value: A| {
            set(&mut x, position, value);
            let (at, value) = (value.widen(), objective(&x).widen());
            if value.is_finite() {
                Ok(Sample { x: at, f: value })
            } else {
                Err(Detail::Objective { index: index(), value, at })
            }
        };
        let h = A::from_f64(step_size(centre));
        let (above, below) = (sample(centre + h)?, sample(centre - h)?);
        set(&mut x, position, centre);

        let entry = Entry::new(analytic, &above, &below);
        if entry.deviation() > worst.deviation() {
            worst = GradientCheck { index: index(), entry };
        }
    }
    Ok(worst)
}

/// Sets one entry, counted in logical order.
fn set<A: Real, D: Dimension>(x: &mut Array<A, D>, position: usize, value: A) {
    if let Some(entry) = x.iter_mut().nth(position) {
        *entry = value;
    }
}

/// ∛ε, which makes the errors of rounding (ε/h) and of truncation (h²) alike, times the size of x.
fn step_size<A: Real>(x: A) -> f64 {
    libm::cbrt(A::epsilon().widen()) * x.widen().abs().max(1.0)
}

/// How many roundings of the objective's value may have added up in it: as a random walk, those of
/// a sum of a thousand terms.
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
        // Not 2h: x + h has been rounded.
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

/// What [`check_gradient`] has found: the entry of the gradient that is furthest from the central
/// difference, relative to its size.
///
/// Printed, it says all of it:
/// `gradient deviates by 5.0e-1 at index [1]: -34 given, -68 by differences, uncertain by 3.4e-7`.
///
/// ```
/// use adamax::check_gradient;
/// use ndarray::array;
///
/// let check = check_gradient(&array![1.0, 3.0], &array![2.0, 3.0], |x| (x * x).sum())?;
/// let message = check.to_string();
/// assert!(message.starts_with("gradient deviates by 5.0e-1 at index [1]: 3 given, 6"), "{message}");
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GradientCheck {
    index: Vec<usize>,
    entry: Entry,
}

impl GradientCheck {
    /// By how much the worst entry deviates: |a − n|, less the uncertainty of n, over the larger of
    /// |a| and |n|. 0 where every entry is within its uncertainty, and for an empty array; 1 where
    /// one of the two is 0; at most 2, where the sign is wrong.
    ///
    /// ```
    /// # use adamax::check_gradient;
    /// # use ndarray::array;
    /// let deviation = |g: f64| {
    ///     check_gradient(&array![3.0], &array![g], |x| (x * x).sum()).map(|check| check.deviation())
    /// };
    /// assert!(deviation(6.0)? < 1e-6);
    /// assert!((deviation(3.0)? - 0.5).abs() < 1e-6);       // a factor of 2 forgotten
    /// assert!((deviation(-6.0)? - 2.0).abs() < 1e-6);      // the sign turned
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.entry.deviation()
    }

    /// The index of the worst entry; empty if none deviates.
    ///
    /// ```
    /// # use adamax::check_gradient;
    /// # use ndarray::array;
    /// let (x, transposed) = (array![[1.0, 2.0], [3.0, 4.0]], array![[2.0, 6.0], [4.0, 8.0]]);
    /// let check = check_gradient(&x, &transposed, |x| (x * x).sum())?;
    /// assert_eq!(transposed[[check.index()[0], check.index()[1]]], check.analytic());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn index(&self) -> &[usize] {
        &self.index
    }

    /// a: the worst entry of the gradient that was given; 0 if none deviates.
    ///
    /// ```
    /// # use adamax::check_gradient;
    /// # use ndarray::array;
    /// let check = check_gradient(&array![3.0_f64], &array![3.0], |x| (x * x).sum())?;
    /// assert!((check.numeric() / check.analytic() - 2.0).abs() < 1e-6);     // forgotten
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn analytic(&self) -> f64 {
        self.entry.analytic
    }

    /// n: the central difference there; 0 if none deviates.
    ///
    /// ```
    /// # use adamax::check_gradient;
    /// # use ndarray::array;
    /// let check = check_gradient(&array![3.0_f64], &array![0.0], |x| (x * x).sum())?;
    /// assert!((check.numeric() - 6.0).abs() < 1e-6);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn numeric(&self) -> f64 {
        self.entry.numeric
    }

    /// How far rounding of the objective's values may have moved n.
    ///
    /// ```
    /// # use adamax::check_gradient;
    /// # use ndarray::array;
    /// let double = check_gradient(&array![3.0_f64], &array![0.0], |x| (x * x).sum())?;
    /// let single = check_gradient(&array![3.0_f32], &array![0.0], |x| (x * x).sum())?;
    /// assert!(double.uncertainty() < 1e-6 && single.uncertainty() > 1e-6);
    /// # Ok::<(), adamax::Error>(())
    /// ```
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
