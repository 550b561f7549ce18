//! The optimizer state of one tensor: m, u and t.

mod cast;
pub(crate) mod rows;

use alloc::boxed::Box;
use core::fmt;

use ndarray::{Array, ArrayRef, ArrayView, Dimension, IxDyn};

use crate::{
    error::{Detail, Error, Role, same},
    layout::{known, order::Order, placement},
    par::Sequential,
    real::Real,
    reduce::{Elements, finite},
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
#[derive(Clone)]
pub struct State<A = f64> {
    /// Both moments are row-major, with their axes in the memory order of the parameter. So they are
    /// slices whatever that order is, and a standard layout is the cheapest to recognise.
    m: Array<A, IxDyn>,
    u: Array<A, IxDyn>,
    order: Order,
    /// The number of steps; the largest of `row_steps`, if there are any.
    steps: u64,
    /// The number of steps of each row, if rows are stepped by themselves.
    row_steps: Option<Box<[u64]>>,
    /// True if no first moment is very much larger than its norm; see [`is_balanced`].
    balanced: bool,
    /// True unless a step that was not checked may have brought in NaN or infinities.
    finite: bool,
}

/// The properties of a state that a step preserves.
#[derive(Clone, Copy)]
pub(crate) struct Keeps {
    /// A balanced state stays so: β₁ ≤ β₂.
    pub(crate) balance: bool,
    /// A finite state stays so: gradients are checked.
    pub(crate) finite: bool,
}

/// The moments of a state that is being stepped, as slices in the order `order`.
pub(crate) struct Moments<'a, A> {
    pub(crate) m: &'a mut [A],
    pub(crate) u: &'a mut [A],
    pub(crate) order: Order,
}

impl<A: Real> State<A> {
    /// Returns the state before the first step: m = 0, u = 0, t = 0, of the shape of `param`.
    ///
    /// The moments get the memory order of the parameter, so that a step runs through all arrays as
    /// one contiguous slice. From 2 KB on their start is shifted within a page, away from that of the
    /// parameter: arrays at nearly equal places within a page slow each other down.
    ///
    /// # Allocation
    /// The two arrays. From 2 KB on each is allocated with up to half of its size more, at most 4 KB.
    ///
    /// A view that repeats its elements (`broadcast`) can be larger than the memory. Then the state has
    /// the shape `[0]`, and every step of the parameter is an error
    /// ([`ErrorKind::Shape`](crate::ErrorKind::Shape)). [`Optimizer::register`](crate::Optimizer::register)
    /// refuses such a view.
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
    #[doc(alias("init"))]
    pub fn zeros_like<D: Dimension>(param: &ArrayRef<A, D>) -> Self {
        State::try_zeros_like(param).unwrap_or_else(|_| State::empty())
    }

    /// Returns a state of the shape `[0]`, which takes no memory.
    pub(crate) fn empty() -> Self {
        let [m, u] = [(); 2].map(|()| Array::zeros(IxDyn(&[0])));
        State {
            m,
            u,
            order: Order::ROW_MAJOR,
            steps: 0,
            row_steps: None,
            balanced: true,
            finite: true,
        }
    }

    /// As [`zeros_like`](State::zeros_like), but refuses a parameter if there is no memory for its
    /// moments.
    pub(crate) fn try_zeros_like<D: Dimension>(param: &ArrayRef<A, D>) -> Result<Self, Error> {
        State::try_zeros_in_order(Order::to_make(param), param)
    }

    fn try_zeros_in_order<D: Dimension>(
        order: Order,
        param: &ArrayRef<A, D>,
    ) -> Result<Self, Error> {
        let shape = order.shape_in_memory(param.shape());
        let [m, u] = placement::zeros_beside(param, &shape)?;
        Ok(State { m, u, order, steps: 0, row_steps: None, balanced: true, finite: true })
    }

    /// Builds a state from its parts: t = `steps`, the first moment `m`, the infinity norm `u`.
    ///
    /// `m` keeps its memory order if it has no gaps; `u` gets the order of `m`.
    /// [`with_layout_of`](State::with_layout_of) changes both to the order of a parameter.
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
        Ok(State::in_order(Order::to_make(&m), steps, m, u))
    }

    /// Builds a state from finite moments in logical order of axes. They are copied unless they are in
    /// `order` without gaps.
    fn in_order(order: Order, steps: u64, m: Array<A, IxDyn>, u: Array<A, IxDyn>) -> Self {
        let [m, u] = [m, u].map(|moment| contiguous(order.to_memory(moment)));
        let balanced = is_balanced(&m, &u);
        State { m, u, order, steps, row_steps: None, balanced, finite: true }
    }

    /// Takes the state apart: (t, m, u). Of a state with a counter for each row, take
    /// [`row_steps`](State::row_steps) first.
    #[must_use]
    pub fn into_parts(self) -> (u64, Array<A, IxDyn>, Array<A, IxDyn>) {
        (self.steps, self.order.to_logical(self.m), self.order.to_logical(self.u))
    }

    /// Returns t, the number of steps taken. If each row has a [counter](State::row_steps) of its own, this
    /// is the largest of them.
    #[must_use]
    #[doc(alias("step", "count"))]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns m, the decaying mean of the gradients, without bias correction.
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
    #[doc(alias("exp_avg", "mu"))]
    pub fn first_moment(&self) -> ArrayView<'_, A, IxDyn> {
        self.order.to_logical(self.m.view())
    }

    /// Returns u, the decaying maximum of the gradients' magnitudes.
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
    #[doc(alias("exp_inf", "nu"))]
    pub fn inf_norm(&self) -> ArrayView<'_, A, IxDyn> {
        self.order.to_logical(self.u.view())
    }

    /// Sets m = 0, u = 0 and t = 0, in place.
    pub fn reset(&mut self) {
        self.m.fill(A::ZERO);
        self.u.fill(A::ZERO);
        self.steps = 0;
        self.row_steps.iter_mut().for_each(|steps| steps.fill(0));
        (self.balanced, self.finite) = (true, true);
    }

    /// Returns the same state in the memory order of `param`.
    ///
    /// A state that comes from a file may be in another order than the parameter, since formats
    /// keep row-major order only. Steps are right in any order, but fastest in the parameter's.
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
        self.check_shape(param.shape())?;
        let order = match self.row_steps {
            None => Order::to_make(param),
            Some(_) => Order::with_rows_outermost(param),
        };
        Ok(self.with_order(order))
    }

    fn with_order(mut self, order: Order) -> Self {
        if self.order == order {
            return self;
        }
        let (row_steps, finite) = (self.row_steps.take(), self.finite);
        let (steps, m, u) = self.into_parts();
        State { row_steps, finite, ..State::in_order(order, steps, m, u) }
    }

    /// Refuses a state with NaN, infinities or negative norms, which only a step under
    /// [`NonFinite::Propagate`](crate::NonFinite::Propagate) can have left.
    #[cfg(feature = "serde")]
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_moments(&self.first_moment(), &self.inf_norm())
    }

    /// Returns the number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.m.len()
    }

    /// Checks that the state fits a parameter of this shape, and returns the number of its next step.
    #[inline(always)]
    pub(crate) fn next_step(&self, param: &[usize]) -> Result<u64, Error> {
        self.check_shape(param)?;
        match self.steps.checked_add(1) {
            Some(t) if self.row_steps.is_none() => Ok(t),
            _ => Err(self.no_next_step()),
        }
    }

    #[cold]
    fn no_next_step(&self) -> Error {
        match self.row_steps {
            None => Detail::StepOverflow.into(),
            Some(_) => Detail::SteppedByRows.into(),
        }
    }

    /// Refuses a parameter of another shape.
    #[inline(always)]
    pub(crate) fn check_shape(&self, param: &[usize]) -> Result<(), Error> {
        let fits = if self.order == Order::ROW_MAJOR {
            same(self.m.shape(), param)
        } else {
            self.order.relates(self.m.shape(), param)
        };
        if fits { Ok(()) } else { Err(self.misfit(param)) }
    }

    /// [`check_shape`](State::check_shape) for a table with so many rows of this shape.
    pub(crate) fn check_table(&self, rows: usize, row: &[usize]) -> Result<(), Error> {
        let in_memory = self.m.shape();
        let length = |axis: usize| axis.checked_sub(1).map_or(Some(&rows), |axis| row.get(axis));
        let mut axes = self.order.axes(in_memory.len()).zip(in_memory);
        if in_memory.len() == row.len() + 1
            && axes.all(|((axis, _), found)| length(axis) == Some(found))
        {
            return Ok(());
        }
        Err(self.misfit(&[&[rows], row].concat()))
    }

    #[cold]
    fn misfit(&self, param: &[usize]) -> Error {
        Error::shape((Role::Parameter, param), (Role::State, self.first_moment().shape()))
    }

    /// Refuses a state whose shape differs from this one's, which is the registered shape, or that counts
    /// steps in another way.
    pub(crate) fn check_same_kind(&self, other: &Self) -> Result<(), Error> {
        let (this, others) = (self.first_moment(), other.first_moment());
        if !same(others.shape(), this.shape()) {
            let (found, expected) = (others.shape().to_vec(), this.shape().to_vec());
            return Err(Detail::Registered { role: Role::State, found, expected }.into());
        }
        match (&self.row_steps, &other.row_steps) {
            (Some(_), None) => Err(Detail::CountsAsWhole.into()),
            (None, Some(_)) => Err(Detail::CountsByRows.into()),
            _ => Ok(()),
        }
    }

    /// Takes the values of a state of the same [kind](State::check_same_kind), but keeps the memory order.
    pub(crate) fn assign(&mut self, other: &Self) {
        self.steps = other.steps;
        if let (Some(to), Some(from)) = (&mut self.row_steps, &other.row_steps) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        (self.balanced, self.finite) = (other.balanced, other.finite);
        if self.order != other.order {
            self.order.to_logical(self.m.view_mut()).assign(&other.first_moment());
            self.order.to_logical(self.u.view_mut()).assign(&other.inf_norm());
            return;
        }
        for (to, from) in [(&mut self.m, &other.m), (&mut self.u, &other.u)] {
            let (to, from) = (known(to.as_slice_mut()), known(from.as_slice()));
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }

    /// Returns true if no quotient m/u is too large for a number.
    #[inline(always)]
    pub(crate) fn is_balanced(&self) -> bool {
        self.balanced
    }

    /// Returns true if a step with moderate gradients and a moderate step size gives finite numbers.
    #[inline(always)]
    pub(crate) fn is_usual(&self) -> bool {
        self.balanced && self.finite
    }

    #[inline(always)]
    fn keep(&mut self, keeps: Keeps) {
        self.balanced &= keeps.balance;
        self.finite &= keeps.finite;
    }

    /// Returns m and u as they lie in memory. `shape` is the shape of the parameter.
    pub(crate) fn elements<'a>(&'a self, shape: &'a [usize]) -> [Elements<'a, A, IxDyn>; 2] {
        [&self.m, &self.u].map(|moment| {
            let values = known(moment.as_slice());
            Elements::Gapless { values, shape, order: self.order }
        })
    }

    /// Counts a step and returns the moments for it.
    #[inline(always)]
    pub(crate) fn begin_step(&mut self, keeps: Keeps) -> Moments<'_, A> {
        self.steps += 1;
        self.keep(keeps);
        Moments::of(&mut self.m, &mut self.u, self.order)
    }
}

impl<'a, A> Moments<'a, A> {
    #[inline(always)]
    fn of(m: &'a mut Array<A, IxDyn>, u: &'a mut Array<A, IxDyn>, order: Order) -> Self {
        Moments { m: known(m.as_slice_mut()), u: known(u.as_slice_mut()), order }
    }
}

impl<A> State<A> {
    /// Returns m and u with their axes in logical order.
    fn moments(&self) -> [ArrayView<'_, A, IxDyn>; 2] {
        [&self.m, &self.u].map(|moment| self.order.to_logical(moment.view()))
    }
}

impl<A: PartialEq> PartialEq for State<A> {
    /// Compares t, or that of each row, and the elements. The memory order does not count.
    fn eq(&self, other: &Self) -> bool {
        self.steps == other.steps
            && self.row_steps == other.row_steps
            && self.moments() == other.moments()
    }
}

impl<A: fmt::Debug> fmt::Debug for State<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [m, u] = self.moments();
        f.debug_struct("State")
            .field("m", &InShort(&m))
            .field("u", &InShort(&u))
            .field("steps", &self.steps)
            .field("row_steps", &self.row_steps)
            .finish_non_exhaustive()
    }
}

/// Returns true if |m| ≤ 2⁴⁰·u for each element.
///
/// Steps with β₁ ≤ β₂ keep the ratio bounded: each adds at most 1 to it, and a norm that becomes
/// subnormal multiplies it by at most 2⁵³. So m/u stays far below the largest number, and no further
/// check is needed. Other rules, and moments from elsewhere, can have any ratio.
pub(crate) fn is_balanced<A: Real, D: Dimension>(m: &ArrayRef<A, D>, u: &ArrayRef<A, D>) -> bool {
    let ratio = A::from_f64(1_099_511_627_776.0);
    m.iter().zip(u).all(|(m, u)| m.abs() <= *u * ratio)
}

/// Large arrays in short, also with `{:#?}`, where ndarray would print each element on its own line.
struct InShort<'a, A>(&'a ArrayView<'a, A, IxDyn>);

impl<A: fmt::Debug> fmt::Debug for InShort<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.precision() {
            Some(digits) => write!(f, "{:.digits$?}", self.0),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// Returns the array in row-major order without gaps: itself if it is so already.
fn contiguous<A: Real>(array: Array<A, IxDyn>) -> Array<A, IxDyn> {
    if array.is_standard_layout() {
        array
    } else {
        let mut copy = Array::zeros(array.raw_dim());
        copy.assign(&array);
        copy
    }
}

/// Refuses moments that no finite gradients can have led to.
pub(crate) fn check_moments<A: Real, D: Dimension>(
    m: &ArrayRef<A, D>,
    u: &ArrayRef<A, D>,
) -> Result<(), Error> {
    finite::check(Sequential, Role::FirstMoment, m)?;
    finite::check(Sequential, Role::InfNorm, u)?;
    check_not_negative(u)
}

/// Refuses an infinity norm below zero.
pub(crate) fn check_not_negative<A: Real, D: Dimension>(u: &ArrayRef<A, D>) -> Result<(), Error> {
    let is_negative = |value: A| value < A::ZERO;
    if finite::any(u, is_negative) { Err(negative(u, is_negative)) } else { Ok(()) }
}

/// Names the first element below zero.
#[cold]
fn negative<A: Real, D: Dimension>(u: &ArrayRef<A, D>, is_negative: impl Fn(A) -> bool) -> Error {
    let found = finite::find(u, is_negative);
    debug_assert!(found.is_some(), "called after such an element has been seen");
    let (index, value) = found.unwrap_or_default();
    Detail::NegativeNorm { index, value: value.widen() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ndarray::array;

    /// Steps from a state within the limit are not rehearsed.
    #[test]
    fn a_first_moment_of_two_to_the_40_norms_is_usual() -> Result<(), Error> {
        let state = |m: f64, u| State::from_parts(3, array![m].into_dyn(), array![u].into_dyn());
        let most = libm::exp2(39.0);
        for m in [most, -most, 0.0] {
            assert!(state(m, 0.5)?.is_usual(), "{m}");
        }
        for m in [most.next_up(), (-most).next_down()] {
            assert!(!state(m, 0.5)?.is_usual(), "{m}");
        }
        assert!(state(0.0, 0.0)?.is_usual() && !state(1e-300, 0.0)?.is_usual());
        Ok(())
    }

    #[test]
    fn a_state_is_balanced_until_a_step_does_not_keep_it_so() {
        let mut state = State::<f64>::zeros_like(&array![0.0]);
        assert!(state.is_balanced());
        state.begin_step(Keeps { balance: true, finite: false });
        assert!(state.is_balanced() && !state.is_usual());
        state.begin_step(Keeps { balance: false, finite: true });
        assert!(!state.is_balanced());
        state.reset();
        assert!(state.is_balanced() && state.is_usual());
    }
}
