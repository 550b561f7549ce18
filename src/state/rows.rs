//! States of tables whose rows are stepped by themselves: each row has a t of its own.

use alloc::vec::Vec;

use ndarray::{Array, ArrayRef, Dimension, IxDyn};

use super::{Keeps, Moments, State, check_moments};
use crate::{
    error::{Detail, Error, Role},
    layout::{order::Order, placement},
    real::Real,
};

/// The moments of a table, and the counters of its rows, which are being stepped.
pub(crate) struct RowMoments<'a, A> {
    pub(crate) moments: Moments<'a, A>,
    pub(crate) row_steps: &'a mut [u64],
}

/// States with a counter for each row, as [`Optimizer::register_rows`](crate::Optimizer::register_rows)
/// makes them.
impl<A: Real> State<A> {
    /// Returns t of each row of a table; `None` if the tensor is stepped as a whole.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::Array2;
    /// let mut table = Array2::<f64>::ones((4, 3));
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let rows = optimizer.register_rows("table", &table)?;
    /// let gradient = Array2::ones((1, 3));
    /// optimizer.step(&mut [rows.bind(&mut table, &[2], &gradient)])?;
    /// let state = optimizer.state(rows.slot()).unwrap();
    /// assert_eq!(state.row_steps(), Some(&[0, 0, 1, 0][..]));
    /// assert_eq!(state.steps(), 1);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn row_steps(&self) -> Option<&[u64]> {
        self.row_steps.as_deref()
    }

    /// Returns the same state with a counter for each row, so that rows can go on by themselves. Each row
    /// gets the t of the state. A state that has such counters already stays as it is.
    ///
    /// So a table that was trained as a whole becomes one that is stepped by rows:
    /// [`set_state`](crate::Optimizer::set_state) takes the result.
    ///
    /// # Errors
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the state has no axis;
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for the counters.
    ///
    /// # Allocation
    /// One number per row; a copy of both moments if the rows do not lie one after the other in memory.
    ///
    /// # Examples
    /// ```
    /// use adamax::State;
    /// use ndarray::array;
    ///
    /// let state = State::from_parts(7, array![[0.1], [0.2]].into_dyn(), array![[0.3], [0.4]].into_dyn())?;
    /// assert_eq!(state.into_rows()?.row_steps(), Some(&[7, 7][..]));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn into_rows(self) -> Result<Self, Error> {
        if self.row_steps.is_some() {
            return Ok(self);
        }
        check_axes(Role::State, self.m.shape())?;
        let logical = self.first_moment();
        let (order, mut row_steps) =
            (Order::with_rows_outermost(&logical), placement::counters(&logical)?);
        row_steps.fill(self.steps);
        Ok(State { row_steps: Some(row_steps), ..self.with_order(order) })
    }

    /// Builds a state from its parts: t of each row, the first moment `m`, the infinity norm `u`. Rows are
    /// along the first axis.
    ///
    /// # Errors
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ, or if there are more or fewer
    ///   counters than rows;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if `m` or `u` holds NaN or an infinity;
    /// - [`ErrorKind::NegativeNorm`](crate::ErrorKind::NegativeNorm) if `u` holds a value below 0.
    ///
    /// # Allocation
    /// None if `m` and `u` are row-major, without gaps; else up to a copy of both.
    ///
    /// # Examples
    /// ```
    /// use adamax::State;
    /// use ndarray::array;
    ///
    /// let (m, u) = (array![[0.1], [0.2]].into_dyn(), array![[0.3], [0.4]].into_dyn());
    /// let state = State::from_row_parts(vec![7, 0], m, u)?;
    /// assert_eq!((state.steps(), state.row_steps()), (7, Some(&[7, 0][..])));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn from_row_parts(
        row_steps: Vec<u64>,
        m: Array<A, IxDyn>,
        u: Array<A, IxDyn>,
    ) -> Result<Self, Error> {
        Error::check_shapes((Role::InfNorm, u.shape()), (Role::FirstMoment, m.shape()))?;
        check_axes(Role::FirstMoment, m.shape())?;
        let rows = m.shape().first().copied().unwrap_or_default();
        if row_steps.len() != rows {
            return Err(Detail::RowCounters { counters: row_steps.len(), rows }.into());
        }
        check_moments(&m, &u)?;
        let steps = row_steps.iter().copied().max().unwrap_or(0);
        let state = State::in_order(Order::with_rows_outermost(&m), steps, m, u);
        Ok(State { row_steps: Some(row_steps.into()), ..state })
    }

    /// Returns the state of a table before the first step of any row.
    pub(crate) fn try_zeros_of_rows<D: Dimension>(table: &ArrayRef<A, D>) -> Result<Self, Error> {
        check_axes(Role::Parameter, table.shape())?;
        let row_steps = placement::counters(table)?;
        let state = State::try_zeros_in_order(Order::with_rows_outermost(table), table)?;
        Ok(State { row_steps: Some(row_steps), ..state })
    }

    /// Returns the moments and counters for a step of some rows. `latest` is the largest t that a row will
    /// have.
    pub(crate) fn begin_step_of_rows(&mut self, latest: u64, keeps: Keeps) -> RowMoments<'_, A> {
        self.steps = self.steps.max(latest);
        self.keep(keeps);
        let State { m, u, order, row_steps, .. } = self;
        let row_steps = row_steps.as_deref_mut().unwrap_or_default();
        RowMoments { moments: Moments::of(m, u, *order), row_steps }
    }
}

/// Refuses an array without an axis along which rows could lie.
fn check_axes(role: Role, shape: &[usize]) -> Result<(), Error> {
    if shape.is_empty() { Err(Detail::NoRows { role }.into()) } else { Ok(()) }
}
