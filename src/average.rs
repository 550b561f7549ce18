//! Averages of parameters over the steps of a run.

use core::fmt;

use ndarray::{Array, ArrayRef, ArrayView, Dimension, IxDyn, Zip};

use crate::{
    error::{Error, Role},
    layout::placement,
    real::Real,
    rule::decay_rate::DecayRate,
    simd::{Loop, dispatch},
};

/// A bias-corrected exponential moving average of a parameter. The paper's §7.2 suggests to
/// evaluate it instead of the last iterate, which is noisy.
///
/// ```text
/// x̄ₜ = Σ_{k≤t} βᵗ⁻ᵏ·xₖ / Σ_{k≤t} βᵗ⁻ᵏ,     updated by     x̄ ← x̄ + (1 − β)/(1 − βᵗ) · (x − x̄)
/// ```
/// The average has the shape of the parameter and holds one number per entry. It is corrected in
/// every update, also the first (x̄₁ = x₁), so reading it costs nothing.
///
/// For a model of several tensors, keep one average for each and update them together with
/// [`update_all`](Average::update_all).
///
/// # Precision
/// The weight (1 − β)/(1 − βᵗ) is computed in `f64` and rounded once. The average of a parameter
/// that does not change is exactly that parameter. If a parameter holds NaN, its average keeps NaN
/// in all later updates.
///
/// # Examples
/// ```
/// use adamax::{Adamax, Average, State};
/// use ndarray::array;
///
/// let mut x = array![1.0, -2.0];
/// let (rule, mut state) = (Adamax::default(), State::zeros_like(&x));
/// let mut average = Average::new(0.99, &x)?;
/// for _ in 0..100 {
///     let gradient = &x * 0.5;
///     rule.step(&mut state, &mut x, &gradient)?;
///     average.update(&x)?;
/// }
/// assert!(average.mean()[[0]] > x[0]);     // the average follows with a delay
/// average.assign_to(&mut x)?;              // at the end, use it as the result
/// # Ok::<(), adamax::Error>(())
/// ```
/// Kingma & Ba, *Adam*, §7.2, <https://arxiv.org/abs/1412.6980>; same as
/// `optax.ema(decay, debias=True)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Average<A = f64> {
    decay: DecayRate,
    mean: Array<A, IxDyn>,
    updates: u64,
}

/// The name of β in error messages.
const DECAY: &str = "decay of the average";

impl<A: Real> Average<A> {
    /// Makes an average over about 1/(1 − `decay`) updates, with the shape and memory order of
    /// `param`, whose values are not read.
    ///
    /// # Errors
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `decay` is not in [0, 1);
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for the average.
    ///
    /// # Allocation
    /// One array.
    pub fn new<D: Dimension>(decay: f64, param: &ArrayRef<A, D>) -> Result<Self, Error> {
        let decay = DecayRate::new(DECAY, decay)?;
        Ok(Average { decay, mean: placement::zeros_in_order_of(param)?, updates: 0 })
    }

    /// Adds the current values of the parameter to the average, in one pass.
    ///
    /// Layouts of `param` other than the average's own are slower.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ; the average is
    /// unchanged.
    ///
    /// # Allocation
    /// None, for at most 4 axes.
    ///
    /// # Examples
    /// ```
    /// # use adamax::Average;
    /// # use ndarray::array;
    /// let mut average = Average::new(0.5, &array![0.0])?;
    /// average.update(&array![3.0])?;
    /// assert_eq!(average.mean()[[0]], 3.0);
    /// average.update(&array![6.0])?;
    /// assert_eq!(average.mean()[[0]], (0.5 * 3.0 + 6.0) / (0.5 + 1.0));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn update<D: Dimension>(&mut self, param: &ArrayRef<A, D>) -> Result<(), Error> {
        self.check(param.shape())?;
        self.updates = self.updates.saturating_add(1);
        approach(A::from_f64(self.weight()), &mut self.mean, param);
        Ok(())
    }

    /// Updates several averages, all or none.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shape of a parameter differs from that
    /// of its average; all averages are unchanged.
    ///
    /// # Allocation
    /// None, for at most 4 axes.
    ///
    /// # Examples
    /// ```
    /// use adamax::Average;
    /// use ndarray::{Array1, Array2};
    ///
    /// let (weights, bias) = (Array2::<f32>::ones((3, 4)), Array1::<f32>::zeros(3));
    /// let mut mean_weights = Average::new(0.999, &weights)?;
    /// let mut mean_bias = Average::new(0.999, &bias)?;
    /// Average::update_all(&mut [mean_weights.bind(&weights), mean_bias.bind(&bias)])?;
    /// assert_eq!(mean_weights.mean(), &weights.into_dyn());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn update_all(batch: &mut [BoundAverage<'_, A>]) -> Result<(), Error> {
        for BoundAverage { average, param } in &*batch {
            average.check(param.shape())?;
        }
        batch.iter_mut().try_for_each(|BoundAverage { average, param }| average.update(param))
    }

    /// Binds the average to its parameter, for one [`update_all`](Average::update_all).
    pub fn bind<'a, D: Dimension>(&'a mut self, param: &'a ArrayRef<A, D>) -> BoundAverage<'a, A> {
        BoundAverage { average: self, param: param.view().into_dyn() }
    }

    /// Returns the average; zeros before the first update.
    #[must_use]
    pub fn mean(&self) -> &Array<A, IxDyn> {
        &self.mean
    }

    /// Copies the average into `param`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ; `param` is unchanged.
    pub fn assign_to<D: Dimension>(&self, param: &mut ArrayRef<A, D>) -> Result<(), Error> {
        self.check(param.shape())?;
        param.assign(&self.mean);
        Ok(())
    }

    /// Returns the number of updates. It stops at `u64::MAX`.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Returns β, the decay rate.
    #[must_use]
    pub fn decay(&self) -> f64 {
        self.decay.get()
    }

    /// Restores an average from its parts.
    #[cfg(feature = "serde")]
    pub(crate) fn from_parts(
        decay: f64,
        updates: u64,
        mean: Array<A, IxDyn>,
    ) -> Result<Self, Error> {
        Ok(Average { decay: DecayRate::new(DECAY, decay)?, mean, updates })
    }

    /// Refuses an average that holds NaN or infinities.
    #[cfg(feature = "serde")]
    pub(crate) fn check_finite(&self) -> Result<(), Error> {
        crate::reduce::finite::check(crate::par::Sequential, Role::Average, &self.mean)
    }

    /// The weight of the latest value in the average.
    fn weight(&self) -> f64 {
        (1.0 - self.decay.get()) / self.decay.total_weight(self.updates)
    }

    fn check(&self, shape: &[usize]) -> Result<(), Error> {
        Error::check_shapes((Role::Parameter, shape), (Role::Average, self.mean.shape()))
    }
}

/// An average and its parameter, for [`Average::update_all`]. Made by [`Average::bind`].
pub struct BoundAverage<'a, A> {
    average: &'a mut Average<A>,
    param: ArrayView<'a, A, IxDyn>,
}

impl<A: Real> fmt::Debug for BoundAverage<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundAverage")
            .field("average", &self.average.mean.shape())
            .field("param", &self.param.shape())
            .finish()
    }
}

/// Moves each element of `mean` by `weight` of its distance towards `value`, of the same shape.
fn approach<A: Real, D: Dimension, E: Dimension>(
    weight: A,
    mean: &mut ArrayRef<A, D>,
    value: &ArrayRef<A, E>,
) {
    if mean.strides() == value.strides() {
        if let (Some(mean), Some(value)) =
            (mean.as_slice_memory_order_mut(), value.as_slice_memory_order())
        {
            return dispatch(Approach { weight, mean, value });
        }
    }
    // `Zip` takes arrays of one dimension type.
    Zip::from(&mut mean.view_mut().into_dyn())
        .and(&value.view().into_dyn())
        .for_each(|mean, value| *mean = moved(weight, *mean, *value));
}

struct Approach<'a, A> {
    weight: A,
    mean: &'a mut [A],
    value: &'a [A],
}

impl<A: Real> Loop for Approach<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (mean, value) in self.mean.iter_mut().zip(self.value) {
            *mean = moved(self.weight, *mean, *value);
        }
    }
}

/// Returns `mean` moved by `weight` of its distance towards `value`; exactly `value` for a weight of 1.
#[inline(always)]
fn moved<A: Real>(weight: A, mean: A, value: A) -> A {
    if weight == A::ONE { value } else { mean + weight * (value - mean) }
}
