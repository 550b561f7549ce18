//! Averages of parameters over a run.

use core::fmt;

use ndarray::{Array, ArrayRef, ArrayView, Dimension, IxDyn};

use crate::{
    error::{Error, Role},
    real::Real,
    rule::decay_rate::DecayRate,
    state::placement,
    update,
};

/// An exponential moving average of a parameter, corrected for its start: what the paper's §7.2
/// suggests to evaluate instead of the last, noisy iterate.
///
/// ```text
/// x̄ₜ = Σ_{k≤t} βᵗ⁻ᵏ·xₖ / Σ_{k≤t} βᵗ⁻ᵏ,     kept up as     x̄ ← x̄ + (1 − β)/(1 − βᵗ) · (x − x̄)
/// ```
/// The average is of the shape of the parameter and holds one number per parameter. It is correct
/// after every update, the first included (x̄₁ = x₁), so that reading it costs nothing and does not
/// disturb the run.
///
/// For a model of several tensors, keep one average for each and update them together with
/// [`update_all`](Average::update_all).
///
/// # Precision
/// The weight (1 − β)/(1 − βᵗ) is computed in `f64` and rounded once. A parameter that does not
/// change has itself as average, exactly. NaN in a parameter stays in its average for good.
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
/// assert!(average.mean()[[0]] > x[0]);     // the average trails behind
/// average.assign_to(&mut x)?;              // in the end, take it as the result
/// # Ok::<(), adamax::Error>(())
/// ```
/// Kingma & Ba, *Adam*, §7.2, <https://arxiv.org/abs/1412.6980>; as `optax.ema(decay)` with its
/// `debias` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Average<A = f64> {
    decay: DecayRate,
    mean: Array<A, IxDyn>,
    updates: u64,
}

/// What messages call β.
const DECAY: &str = "decay of the average";

impl<A: Real> Average<A> {
    /// An average over about 1/(1 − `decay`) updates, of no value yet.
    ///
    /// It has the shape and memory order of `param`, whose values are not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `decay` is not in [0, 1).
    ///
    /// # Allocation
    /// One array.
    ///
    /// # Examples
    /// ```
    /// # use adamax::Average;
    /// # use ndarray::array;
    /// let average = Average::new(0.999, &array![3.0, 4.0])?;
    /// assert_eq!((average.updates(), average.mean()), (0, &array![0.0, 0.0].into_dyn()));
    /// assert!(Average::new(1.0, &array![3.0, 4.0]).is_err());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn new<D: Dimension>(decay: f64, param: &ArrayRef<A, D>) -> Result<Self, Error> {
        let decay = DecayRate::new(DECAY, decay)?;
        Ok(Average { decay, mean: placement::zeros_in_order_of(param), updates: 0 })
    }

    /// Takes in the parameter's present values, in one pass.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shape differs; the average is as it was.
    ///
    /// # Allocation
    /// None, for up to 4 axes.
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
        update::approach(A::from_f64(self.weight()), &mut self.mean, param);
        Ok(())
    }

    /// [`update`](Average::update) of several averages, all or none.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shape of a parameter differs from that of
    /// its average; all averages are as they were.
    ///
    /// # Allocation
    /// As [`update`](Average::update).
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
    ///
    /// ```
    /// # use adamax::Average;
    /// # use ndarray::Array2;
    /// let layers = [Array2::<f64>::ones((2, 3)), Array2::ones((4, 2))];
    /// let mut averages = [Average::new(0.99, &layers[0])?, Average::new(0.99, &layers[1])?];
    /// let pairs = averages.iter_mut().zip(&layers);
    /// let mut batch: Vec<_> = pairs.map(|(average, layer)| average.bind(layer)).collect();
    /// Average::update_all(&mut batch)?;
    /// assert!(averages.iter().all(|average| average.updates() == 1));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn bind<'a, D: Dimension>(&'a mut self, param: &'a ArrayRef<A, D>) -> BoundAverage<'a, A> {
        BoundAverage { average: self, param: param.view().into_dyn() }
    }

    /// The average; zeros before the first update.
    ///
    /// ```
    /// # use adamax::Average;
    /// # use ndarray::array;
    /// let mut average = Average::new(0.99, &array![0.0, 0.0])?;
    /// average.update(&array![1.0, -2.0])?;
    /// assert_eq!(average.mean(), &array![1.0, -2.0].into_dyn());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn mean(&self) -> &Array<A, IxDyn> {
        &self.mean
    }

    /// Copies the average into `param`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shape differs; `param` is as it was.
    ///
    /// # Examples
    /// ```
    /// # use adamax::Average;
    /// # use ndarray::array;
    /// let mut x = array![2.0];
    /// let mut average = Average::new(0.5, &x)?;
    /// average.update(&x)?;
    /// x += 3.0;
    /// average.update(&x)?;
    /// average.assign_to(&mut x)?;
    /// assert_eq!(x[0], 4.0);                                // (0.5·2 + 5) / 1.5
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn assign_to<D: Dimension>(&self, param: &mut ArrayRef<A, D>) -> Result<(), Error> {
        self.check(param.shape())?;
        param.assign(&self.mean);
        Ok(())
    }

    /// The number of updates.
    ///
    /// ```
    /// # use adamax::Average;
    /// # use ndarray::array;
    /// let mut average = Average::new(0.9, &array![1.0])?;
    /// average.update(&array![1.0])?;
    /// assert!(average.update(&array![1.0, 2.0]).is_err());
    /// assert_eq!(average.updates(), 1);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// β, the decay rate.
    ///
    /// ```
    /// # use ndarray::array;
    /// assert_eq!(adamax::Average::new(0.999, &array![1.0])?.decay(), 0.999);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn decay(&self) -> f64 {
        self.decay.get()
    }

    /// Puts an average together again.
    #[cfg(feature = "serde")]
    pub(crate) fn from_parts(
        decay: f64,
        updates: u64,
        mean: Array<A, IxDyn>,
    ) -> Result<Self, Error> {
        Ok(Average { decay: DecayRate::new(DECAY, decay)?, mean, updates })
    }

    /// Refuses an average that has taken in NaN or infinities.
    #[cfg(feature = "serde")]
    pub(crate) fn check_finite(&self) -> Result<(), Error> {
        crate::reduce::finite::check(crate::par::Serial, Role::Average, &self.mean)
    }

    /// The weight of the last value taken in.
    fn weight(&self) -> f64 {
        (1.0 - self.decay.get()) / self.decay.total_weight(self.updates)
    }

    fn check(&self, shape: &[usize]) -> Result<(), Error> {
        Error::check_shapes((Role::Parameter, shape), (Role::Average, self.mean.shape()))
    }
}

/// An average and the parameter it is about to take in. Made by [`Average::bind`].
///
/// ```
/// use adamax::Average;
/// use ndarray::array;
///
/// let (weights, bias) = (array![[1.0, 2.0]], array![0.5]);
/// let mut mean_weights = Average::new(0.9, &weights)?;
/// let mut mean_bias = Average::new(0.9, &bias)?;
/// let wrong = array![0.5, 0.5];
/// let batch = &mut [mean_weights.bind(&weights), mean_bias.bind(&wrong)];
/// assert!(Average::update_all(batch).is_err());
/// assert_eq!(mean_weights.updates(), 0);                // all or none
/// # Ok::<(), adamax::Error>(())
/// ```
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
