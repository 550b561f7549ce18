//! Averages of parameters over the steps of a run.

use core::{fmt, marker::PhantomData};

use ndarray::{Array, ArrayRef, ArrayView, Dimension, IxDyn, Zip};

use crate::{
    error::{Detail, Error, Role},
    layout::placement,
    par::Sequential,
    real::Real,
    reduce::finite,
    rule::decay_rate::DecayRate,
    simd::{Loop, dispatch},
};

/// An average of a parameter over the updates of a run. The paper's §7.2 suggests to evaluate it
/// instead of the last iterate, which is noisy.
///
/// ```text
/// x̄ₜ = Σ_{k≤t} βᵗ⁻ᵏ·xₖ / Σ_{k≤t} βᵗ⁻ᵏ,     updated by     x̄ ← x̄ + w · (x − x̄)
/// w = (1 − β)/(1 − βᵗ) with a decay β < 1;     w = 1/t for the equal average, β = 1
/// ```
/// [`new`](Average::new) makes an average with a decay: recent values weigh more.
/// [`equal`](Average::equal) makes the mean of all values so far.
///
/// The average has the shape of the parameter and holds one number per entry. It is corrected in
/// every update, also the first (x̄₁ = x₁), so reading it costs nothing.
///
/// For a model of several tensors, keep one average for each and update them together with
/// [`update_all`](Average::update_all).
///
/// # Precision
/// The weight w is computed in `f64`, with an error of at most two ulps, and rounded to the precision
/// of the average. The average of a
/// parameter that does not change is exactly that parameter. No intermediate result overflows,
/// even for the largest numbers of opposite signs. If a parameter holds NaN, its average keeps NaN in
/// all later updates.
///
/// An average in `f32` cannot follow small changes if w is small: w·(x − x̄) is lost when it is below
/// half an ulp of x̄. With a decay of 0.9999, an average at 1 never reaches 1.0005. Then keep the average
/// of the `f32` parameter [in `f64`](Average::in_f64).
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
/// `optax.ema(decay, debias=True)`. The equal average is the default of PyTorch's
/// `swa_utils.AveragedModel`.
///
/// `A` is the type of the parameter's elements, `M` that of the average's: the same, or `f64` for an
/// `f32` parameter.
#[derive(Clone, PartialEq)]
pub struct Average<A = f64, M = A> {
    decay: Decay,
    mean: Array<M, IxDyn>,
    updates: u64,
    of: PhantomData<A>,
}

/// The decay β of the weights of old values.
#[derive(Clone, Copy, PartialEq)]
enum Decay {
    /// β < 1.
    Below1(DecayRate),
    /// β = 1: all values weigh the same.
    Equal,
}

impl Decay {
    fn get(self) -> f64 {
        match self {
            Decay::Below1(rate) => rate.get(),
            Decay::Equal => 1.0,
        }
    }

    /// The weight of the latest of `updates` values in their average.
    fn weight(self, updates: u64) -> f64 {
        match self {
            Decay::Below1(rate) => rate.weight_of_latest(updates),
            #[expect(clippy::cast_precision_loss, reason = "the weight is rounded anyway")]
            Decay::Equal => 1.0 / updates as f64,
        }
    }
}

/// The name of β in error messages.
const DECAY: &str = "decay of the average";

impl<A: Real> Average<A> {
    /// Makes an average over about 1/(1 − `decay`) updates, with the shape and memory order of
    /// `param`, whose values are not read.
    ///
    /// # Errors
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `decay` is not in [0, 1). (A
    ///   decay of 1 would be the equal average; in other libraries it means no update at all.)
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for the average.
    ///
    /// # Allocation
    /// One array.
    #[doc(alias("ema", "use_ema", "ema_momentum", "get_ema_multi_avg_fn"))]
    pub fn new<D: Dimension>(decay: f64, param: &ArrayRef<A, D>) -> Result<Self, Error> {
        let decay = Decay::Below1(DecayRate::new(DECAY, decay)?);
        Self::with_decay(decay, param)
    }

    /// Makes the average in which all updates have the same weight, with the shape and memory order
    /// of `param`, whose values are not read.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for the average.
    ///
    /// # Allocation
    /// One array.
    ///
    /// # Examples
    /// ```
    /// # use adamax::Average;
    /// # use ndarray::array;
    /// let mut average = Average::equal(&array![0.0])?;
    /// for value in [1.0, 2.0, 3.0, 4.0] {
    ///     average.update(&array![value])?;
    /// }
    /// assert_eq!(average.mean()[[0]], 2.5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("AveragedModel", "swa", "swa_utils", "polyak"))]
    pub fn equal<D: Dimension>(param: &ArrayRef<A, D>) -> Result<Self, Error> {
        Self::with_decay(Decay::Equal, param)
    }

    fn with_decay<D: Dimension>(decay: Decay, param: &ArrayRef<A, D>) -> Result<Self, Error> {
        let mean = placement::zeros_in_order_of(param)?;
        Ok(Average { decay, mean, updates: 0, of: PhantomData })
    }
}

impl<A: Real + Into<M>, M: Real> Average<A, M> {
    /// Returns the same average in `f64`, for a parameter that may be `f32`.
    ///
    /// [`update`](Average::update) takes parameters as before, and
    /// [`assign_to`](Average::assign_to) rounds to their precision.
    ///
    /// # Allocation
    /// One array.
    ///
    /// # Examples
    /// ```
    /// # use adamax::Average;
    /// # use ndarray::array;
    /// let mut x = array![1.0_f32];
    /// let mut average = Average::new(0.9999, &x)?.in_f64();
    /// let mut in_f32 = Average::new(0.9999, &x)?;
    /// for t in 0..100_000 {
    ///     x[0] = if t < 50_000 { 1.0 } else { 1.0005 };
    ///     average.update(&x)?;
    ///     in_f32.update(&x)?;
    /// }
    /// assert_eq!(in_f32.mean()[[0]], 1.0);                        // each change is too small for f32
    /// average.assign_to(&mut x)?;
    /// assert!((x[0] - 1.000_496_6).abs() < 1e-6);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn in_f64(self) -> Average<A, f64> {
        let Average { decay, mean, updates, of } = self;
        Average { decay, mean: mean.mapv(M::widen), updates, of }
    }

    /// Builds an average from its parts: β, the number of updates, and the mean so far, which keeps
    /// its memory order.
    ///
    /// A `decay` of 1 stands for the equal average.
    ///
    /// # Errors
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `decay` is not in [0, 1];
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if `mean` holds NaN or an infinity.
    ///
    /// # Allocation
    /// None.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Average, ErrorKind};
    /// use ndarray::array;
    ///
    /// let mut average = Average::<f64>::from_parts(1.0, 3, array![2.0].into_dyn())?;
    /// average.update(&array![4.0])?;
    /// assert_eq!(average.into_parts(), (1.0, 4, array![2.5].into_dyn()));
    ///
    /// let error = Average::<f64>::from_parts(0.9, 3, array![f64::NAN].into_dyn()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NonFinite);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn from_parts(decay: f64, updates: u64, mean: Array<M, IxDyn>) -> Result<Self, Error> {
        let decay = match DecayRate::new(DECAY, decay) {
            Ok(rate) => Decay::Below1(rate),
            Err(_) if decay == 1.0 => Decay::Equal,
            Err(_) => {
                let range = "in [0, 1]";
                return Err(Detail::Hyperparameter { name: DECAY, value: decay, range }.into());
            }
        };
        let average = Average { decay, mean, updates, of: PhantomData };
        average.check_finite()?;
        Ok(average)
    }

    /// Takes the average apart: (β, number of updates, mean). β is 1 for the equal average.
    #[must_use]
    pub fn into_parts(self) -> (f64, u64, Array<M, IxDyn>) {
        (self.decay.get(), self.updates, self.mean)
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
        approach(Weight::of_latest(self.decay.weight(self.updates)), &mut self.mean, param);
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
    pub fn update_all(batch: &mut [BoundAverage<'_, A, M>]) -> Result<(), Error> {
        for BoundAverage { average, param } in &*batch {
            average.check(param.shape())?;
        }
        batch.iter_mut().try_for_each(|BoundAverage { average, param }| average.update(param))
    }

    /// Binds the average to its parameter, for one [`update_all`](Average::update_all).
    pub fn bind<'a, D: Dimension>(
        &'a mut self,
        param: &'a ArrayRef<A, D>,
    ) -> BoundAverage<'a, A, M> {
        BoundAverage { average: self, param: param.view().into_dyn() }
    }

    /// Returns the average; zeros before the first update.
    #[must_use]
    pub fn mean(&self) -> &Array<M, IxDyn> {
        &self.mean
    }

    /// Copies the average into `param`, rounded to the precision of `param`.
    ///
    /// # Errors
    /// `param` is unchanged.
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ;
    /// - [`ErrorKind::StepCount`](crate::ErrorKind::StepCount) if the average has had no update.
    ///
    /// # Allocation
    /// None, for at most 4 axes.
    pub fn assign_to<D: Dimension>(&self, param: &mut ArrayRef<A, D>) -> Result<(), Error> {
        self.check_assign(param.shape())?;
        // `Zip` takes arrays of one dimension type.
        Zip::from(&mut param.view_mut().into_dyn())
            .and(&self.mean)
            .for_each(|param, mean| *param = A::from_f64(mean.widen()));
        Ok(())
    }

    /// Returns the number of updates. It stops at `u64::MAX`.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Returns β, the decay of the weights; 1 for the equal average.
    #[must_use]
    pub fn decay(&self) -> f64 {
        self.decay.get()
    }

    /// Refuses an average that holds NaN or infinities.
    pub(crate) fn check_finite(&self) -> Result<(), Error> {
        finite::check(Sequential, Role::Average, &self.mean)
    }

    /// Refuses to be assigned to a parameter of another shape, or without any update.
    pub(crate) fn check_assign(&self, shape: &[usize]) -> Result<(), Error> {
        self.check(shape)?;
        if self.updates == 0 {
            return Err(Detail::NoUpdates.into());
        }
        Ok(())
    }

    /// Refuses a parameter of another shape.
    pub(crate) fn check(&self, shape: &[usize]) -> Result<(), Error> {
        Error::check_shapes((Role::Parameter, shape), (Role::Average, self.mean.shape()))
    }
}

impl<A, M: fmt::Debug> fmt::Debug for Average<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Average")
            .field("decay", &self.decay.get())
            .field("updates", &self.updates)
            .field("mean", &self.mean)
            .finish()
    }
}

/// An average and its parameter, for [`Average::update_all`]. Made by [`Average::bind`].
pub struct BoundAverage<'a, A, M = A> {
    average: &'a mut Average<A, M>,
    param: ArrayView<'a, A, IxDyn>,
}

impl<A: Real, M: Real> fmt::Debug for BoundAverage<'_, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundAverage")
            .field("average", &self.average.mean.shape())
            .field("param", &self.param.shape())
            .finish()
    }
}

/// The weight w of the latest value, as the smaller one of w and 1 − w, rounded to the precision of
/// the average.
#[derive(Clone, Copy)]
pub(crate) enum Weight<M> {
    /// w ≤ 1/2.
    OfValue(M),
    /// w > 1/2, and this is 1 − w.
    OfMean(M),
}

impl<M: Real> Weight<M> {
    pub(crate) fn of_latest(weight: f64) -> Self {
        if weight <= 0.5 {
            Weight::OfValue(M::from_f64(weight))
        } else {
            Weight::OfMean(M::from_f64(1.0 - weight))
        }
    }

    /// Returns `mean` moved by w of its distance towards `value`; exactly `value` for w = 1.
    #[inline(always)]
    pub(crate) fn moved(self, mean: M, value: M) -> M {
        match self {
            Weight::OfValue(part) => between(mean, value, part),
            // The product with an infinite mean would be NaN.
            Weight::OfMean(part) if part == M::ZERO => value,
            Weight::OfMean(part) => between(value, mean, part),
        }
    }
}

/// Returns `from`, moved by `part` ≤ 1/2 of its distance towards `to`. The products are at most half
/// of the largest number, so nothing overflows; equal products cancel, so a constant stays exact.
#[inline(always)]
fn between<M: Real>(from: M, to: M, part: M) -> M {
    from + (part * to - part * from)
}

/// Moves each element of `mean` towards that of `value`, of the same shape.
fn approach<M: Real, A: Real + Into<M>, D: Dimension, E: Dimension>(
    weight: Weight<M>,
    mean: &mut ArrayRef<M, D>,
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
        .for_each(|mean, &value| *mean = weight.moved(*mean, value.into()));
}

struct Approach<'a, M, A> {
    weight: Weight<M>,
    mean: &'a mut [M],
    value: &'a [A],
}

impl<M: Real, A: Real + Into<M>> Loop for Approach<'_, M, A> {
    type Output = ();

    #[inline(always)]
    fn run(&mut self) {
        for (mean, &value) in self.mean.iter_mut().zip(self.value) {
            *mean = self.weight.moved(*mean, value.into());
        }
    }
}
