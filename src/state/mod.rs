//! What an optimizer remembers of one tensor: m, u and t.

pub(crate) mod placement;

use ndarray::{Array, ArrayRef, Dimension, IxDyn};

use crate::{
    error::{Detail, Error, Role},
    par::Serial,
    real::Real,
    reduce::finite,
};

/// The optimizer state of one tensor: first moment m, infinity norm u, and the number of steps t.
///
/// A plain value without any hyperparameter: clone it, compare it, take it apart with
/// [`into_parts`](State::into_parts) and put it together with [`from_parts`](State::from_parts).
/// It holds two numbers per parameter and nothing else that grows.
///
/// Whichever way it was made, m and u have one shape and one gapless memory order, m is finite and
/// u is finite and ≥ 0; only a step under [`NonFinite::Propagate`](crate::NonFinite::Propagate)
/// can bring in NaN or infinities.
///
/// # Examples
/// ```
/// use adamax::{Adamax, State};
/// use ndarray::array;
///
/// let mut x = array![1.0, 2.0, 3.0];
/// let mut state = State::zeros_like(&x);
/// Adamax::default().step(&mut state, &mut x, &array![0.1, 0.2, 0.3])?;
///
/// let (steps, m, u) = state.clone().into_parts();
/// assert_eq!(steps, 1);
/// assert_eq!(u, array![0.1, 0.2, 0.3].into_dyn());
/// assert_eq!(State::from_parts(steps, m, u)?, state);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct State<A = f64> {
    m: Array<A, IxDyn>,
    u: Array<A, IxDyn>,
    steps: u64,
}

/// A state open for a step.
pub(crate) struct Parts<'a, A> {
    pub(crate) m: &'a mut ArrayRef<A, IxDyn>,
    pub(crate) u: &'a mut ArrayRef<A, IxDyn>,
    pub(crate) steps: &'a mut u64,
}

impl<A: Real> State<A> {
    /// The state before the first step: m = 0, u = 0, t = 0, of the shape of `param`.
    ///
    /// The moments get the parameter's own memory order, whatever it is, so that a step walks all
    /// arrays as one contiguous lane. From 2 KB on they also get a place in memory that suits that of
    /// the parameter.
    ///
    /// # Allocation
    /// The two arrays. To choose the place in, each is given half of its size more, and 4 KB at most.
    ///
    /// # Examples
    /// ```
    /// use adamax::State;
    /// use ndarray::{Array2, ShapeBuilder};
    ///
    /// let column_major = Array2::<f64>::ones((3, 4).f());
    /// let state = State::zeros_like(&column_major);
    /// assert_eq!(state.first_moment().strides(), column_major.strides());
    /// ```
    #[must_use]
    pub fn zeros_like<D: Dimension>(param: &ArrayRef<A, D>) -> Self {
        let [m, u] = placement::zeros_beside(param);
        State { m, u, steps: 0 }
    }

    /// Puts a state together: t = `steps`, the first moment `m`, the infinity norm `u`.
    ///
    /// `m` keeps its memory order if it has no gaps; `u` takes that of `m`.
    /// [`with_layout_of`](State::with_layout_of) brings both to a parameter's.
    ///
    /// # Errors
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if `m` or `u` holds NaN or an infinity;
    /// - [`ErrorKind::NegativeNorm`](crate::ErrorKind::NegativeNorm) if `u` holds a value below 0.
    ///
    /// # Allocation
    /// None if `m` and `u` have one gapless memory order; else a copy of one or both.
    ///
    /// # Examples
    /// ```
    /// use adamax::{ErrorKind, State};
    /// use ndarray::array;
    ///
    /// let state = State::from_parts(7, array![0.1, -0.2].into_dyn(), array![0.3, 0.4].into_dyn())?;
    /// assert_eq!(state.steps(), 7);
    ///
    /// let error = State::from_parts(7, array![0.1].into_dyn(), array![-0.3].into_dyn()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NegativeNorm);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn from_parts(steps: u64, m: Array<A, IxDyn>, u: Array<A, IxDyn>) -> Result<Self, Error> {
        Error::check_shapes((Role::InfNorm, u.shape()), (Role::FirstMoment, m.shape()))?;
        check_moments(&m, &u)?;
        let gapless = m.as_slice_memory_order().is_some();
        let m = if gapless { m } else { placement::copy_in_order_of(&m, &m) };
        let u = if u.strides() == m.strides() { u } else { placement::copy_in_order_of(&u, &m) };
        Ok(State { m, u, steps })
    }

    /// Takes the state apart: (t, m, u).
    ///
    /// ```
    /// # use adamax::{Adamax, State};
    /// # use ndarray::array;
    /// # let mut x = array![1.0, 2.0];
    /// # let mut state = State::zeros_like(&x);
    /// Adamax::default().step(&mut state, &mut x, &array![0.5, -0.25])?;
    /// let (t, _, u) = state.into_parts();
    /// assert_eq!((t, u), (1, array![0.5, 0.25].into_dyn()));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn into_parts(self) -> (u64, Array<A, IxDyn>, Array<A, IxDyn>) {
        (self.steps, self.m, self.u)
    }

    /// t: the number of steps taken.
    ///
    /// ```
    /// # use adamax::{Adamax, State};
    /// # use ndarray::array;
    /// let mut x = array![1.0];
    /// let mut state = State::zeros_like(&x);
    /// for t in 1..=3 {
    ///     Adamax::default().step(&mut state, &mut x, &array![0.5])?;
    ///     assert_eq!(state.steps(), t);
    /// }
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// m: the decaying mean of the gradients, not bias-corrected.
    ///
    /// ```
    /// # use adamax::{Adamax, State};
    /// # use ndarray::array;
    /// # let mut x = array![1.0];
    /// # let mut state = State::zeros_like(&x);
    /// let rule = Adamax::builder().beta1(0.75).build()?;
    /// rule.step(&mut state, &mut x, &array![8.0])?;
    /// assert_eq!(state.first_moment()[[0]], 0.25 * 8.0);
    /// rule.step(&mut state, &mut x, &array![0.0])?;
    /// assert_eq!(state.first_moment()[[0]], 0.75 * 2.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn first_moment(&self) -> &Array<A, IxDyn> {
        &self.m
    }

    /// u: the decaying maximum of the gradients' magnitudes.
    ///
    /// ```
    /// # use adamax::{Adamax, State};
    /// # use ndarray::array;
    /// # let mut x = array![1.0];
    /// # let mut state = State::zeros_like(&x);
    /// let rule = Adamax::builder().beta2(0.75).build()?;
    /// rule.step(&mut state, &mut x, &array![-8.0])?;
    /// assert_eq!(state.inf_norm()[[0]], 8.0);
    /// rule.step(&mut state, &mut x, &array![0.0])?;
    /// assert_eq!(state.inf_norm()[[0]], 0.75 * 8.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn inf_norm(&self) -> &Array<A, IxDyn> {
        &self.u
    }

    /// Back to the state before the first step: m = 0, u = 0, t = 0, in place.
    ///
    /// ```
    /// # use adamax::{Adamax, State};
    /// # use ndarray::array;
    /// # let mut x = array![1.0];
    /// # let mut state = State::zeros_like(&x);
    /// Adamax::default().step(&mut state, &mut x, &array![0.5])?;
    /// state.reset();
    /// assert_eq!(state, State::zeros_like(&x));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn reset(&mut self) {
        self.m.fill(A::ZERO);
        self.u.fill(A::ZERO);
        self.steps = 0;
    }

    /// The same state in the memory order of `param`.
    ///
    /// Loading a state from outside (serialisation formats know only row-major order) may leave its
    /// moments in another order than the parameter's. Steps are right all the same, but slower.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ.
    ///
    /// # Allocation
    /// A copy of both arrays, unless the order is right already.
    ///
    /// # Examples
    /// ```
    /// use adamax::State;
    /// use ndarray::{Array2, ArrayD, ShapeBuilder};
    ///
    /// let param = Array2::<f64>::ones((3, 4).f());
    /// let loaded = State::from_parts(9, ArrayD::zeros(vec![3, 4]), ArrayD::ones(vec![3, 4]))?;
    /// let state = loaded.clone().with_layout_of(&param)?;
    /// assert_eq!(state, loaded);
    /// assert_eq!(state.inf_norm().strides(), param.strides());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn with_layout_of<D: Dimension>(self, param: &ArrayRef<A, D>) -> Result<Self, Error> {
        Error::check_shapes((Role::FirstMoment, self.m.shape()), (Role::Parameter, param.shape()))?;
        if self.m.strides() == param.strides() {
            return Ok(self);
        }
        let State { m, u, steps } = self;
        Ok(State {
            m: placement::copy_in_order_of(&m, param),
            u: placement::copy_in_order_of(&u, param),
            steps,
        })
    }

    /// Refuses a state with NaN, infinities or negative norms, which only a step under
    /// [`NonFinite::Propagate`](crate::NonFinite::Propagate) can have left.
    #[cfg(feature = "serde")]
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_moments(&self.m, &self.u)
    }

    /// Checks that the state fits a parameter of this shape; returns the number of its next step.
    #[inline(always)]
    pub(crate) fn next_step(&self, param: &[usize]) -> Result<u64, Error> {
        Error::check_shapes((Role::FirstMoment, self.shape()), (Role::Parameter, param))?;
        self.steps.checked_add(1).ok_or_else(|| Detail::StepOverflow.into())
    }

    /// Refuses a state of another shape.
    pub(crate) fn check_same_shape(&self, other: &Self) -> Result<(), Error> {
        Error::check_shapes((Role::FirstMoment, other.shape()), (Role::Parameter, self.shape()))
    }

    /// Takes over the values of a state of the same shape, but not its memory order.
    pub(crate) fn assign(&mut self, other: &Self) {
        self.m.assign(&other.m);
        self.u.assign(&other.u);
        self.steps = other.steps;
    }

    #[inline]
    pub(crate) fn shape(&self) -> &[usize] {
        self.m.shape()
    }

    #[inline]
    pub(crate) fn parts_mut(&mut self) -> Parts<'_, A> {
        Parts { m: &mut self.m, u: &mut self.u, steps: &mut self.steps }
    }
}

/// Refuses moments that no finite gradients can have led to.
pub(crate) fn check_moments<A: Real, D: Dimension>(
    m: &ArrayRef<A, D>,
    u: &ArrayRef<A, D>,
) -> Result<(), Error> {
    finite::check(Serial, Role::FirstMoment, m)?;
    finite::check(Serial, Role::InfNorm, u)?;
    check_not_negative(u)
}

/// Refuses an infinity norm below zero.
pub(crate) fn check_not_negative<A: Real, D: Dimension>(u: &ArrayRef<A, D>) -> Result<(), Error> {
    match finite::find(u, |value| value < A::ZERO) {
        None => Ok(()),
        Some((index, value)) => Err(Detail::NegativeNorm { index, value: value.widen() }.into()),
    }
}
