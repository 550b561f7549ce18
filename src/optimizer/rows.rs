//! Tables of which each step changes some rows, such as embeddings.

use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array, ArrayRef, ArrayView, ArrayViewMut, Axis, Dimension, RemoveAxis};

use super::{
    Optimizer,
    lent::Lent,
    slot::{Bound, Group, Slot},
};
use crate::{
    error::{Detail, Error, Role},
    real::Real,
    state::State,
    update::rows::Rows,
};

/// The key of a table that is stepped by rows. [`Optimizer::register_rows`] returns it.
///
/// It is `Copy`. [`slot`](RowSlot::slot) is the same key for everything else: the state, the report, the
/// group, the removal of the table.
pub struct RowSlot<D>(Slot<D>);

impl<D: Dimension> RowSlot<D> {
    /// Binds some rows of the table to their gradients, for one step.
    ///
    /// - `indices`: rows of the table, counted along its first axis, strictly ascending.
    ///   [`sum_rows`](crate::sum_rows) makes them so;
    /// - `grad`: of the shape `[indices, ..row]`: its row number i is the gradient of row `indices[i]`.
    ///
    /// Rows that are not named keep their parameters and their state: nothing decays. Accepts arrays and views
    /// of any memory layout. Nothing is checked here: [`Optimizer::step`] checks the whole batch.
    ///
    /// # Cost
    /// That of a step of the named rows, whatever the size of the table.
    ///
    /// # Allocation
    /// None if table and gradients are row-major. Other layouts take one box of about 250 bytes; with more
    /// than 4 axes, ndarray allocates for their shapes, also once per row in the step.
    ///
    /// # Examples
    /// See [`Optimizer::register_rows`].
    pub fn bind<'a, A: Real>(
        self,
        table: &'a mut ArrayRef<A, D>,
        indices: &'a [usize],
        grad: &'a ArrayRef<A, D>,
    ) -> Bound<'a, A> {
        self.0.bound(Lent::Rows(Rows::new(table, indices, grad)))
    }

    /// Binds views, which it takes by value, for one step. Otherwise like [`bind`](RowSlot::bind).
    ///
    /// # Allocation
    /// One box of about 250 bytes.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array3, Axis, array};
    ///
    /// // Two tables in one array.
    /// let mut tables = Array3::<f64>::ones((2, 5, 3));
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let second = optimizer.register_rows("second", &tables.index_axis(Axis(0), 1))?;
    /// let gradient = array![[0.1, 0.2, 0.3]];
    /// let table = tables.index_axis_mut(Axis(0), 1);
    /// optimizer.step(&mut [second.bind_view(table, &[4], gradient.view())])?;
    /// assert!(tables[[1, 4, 0]] < 1.0 && tables[[0, 4, 0]] == 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn bind_view<'a, A: Real>(
        self,
        table: ArrayViewMut<'a, A, D>,
        indices: &'a [usize],
        grad: ArrayView<'a, A, D>,
    ) -> Bound<'a, A> {
        self.0.bound(Lent::Rows(Rows::of_views(table, indices, grad)))
    }
}

impl<D> RowSlot<D> {
    /// Returns the slot of the table, for all that is not a step of rows: [`state`](Optimizer::state),
    /// [`report`](Optimizer::report), [`set_state`](Optimizer::set_state), [`move_to`](Optimizer::move_to),
    /// [`remove`](Optimizer::remove).
    ///
    /// To bind it, as a table as a whole, is an error of the step ([`ErrorKind::Shape`](crate::ErrorKind::Shape)).
    #[must_use]
    pub fn slot(self) -> Slot<D> {
        self.0
    }
}

/// Rows.
impl<A: Real> Optimizer<A> {
    /// Registers a table in the default group, of which each step changes some rows: an embedding, the factors
    /// of a matrix, a field with observations at some places.
    ///
    /// The first axis of `table` counts its rows. Each row has the bits that it would have as a tensor of its
    /// own: m, u, and **its own t**. So the first gradient of a rare row gets a full bias correction. A
    /// row that a batch does not name waits; it is not decayed.
    ///
    /// Rules, bounds, the learning-rate scale, reports, snapshots and files work on tables as on other tensors.
    /// Norms count the gradients of the named rows: [`MaxNorm::PerTensor`](crate::MaxNorm::PerTensor) is for the
    /// table, not for each row.
    ///
    /// # Errors
    /// After an error nothing has changed, and the name is free.
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is taken;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the table has no axis;
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for the state.
    ///
    /// # Memory
    /// Two numbers per entry of the table, and one counter of 8 bytes per row.
    ///
    /// # Allocation
    /// The moments and counters, the name, and growth of the lists of tensors.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer, sum_rows};
    /// use ndarray::{Array2, array};
    ///
    /// let mut embedding = Array2::<f64>::zeros((10_000, 2));
    /// let mut bias = array![0.0, 0.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let rows = optimizer.register_rows("embedding", &embedding)?;
    /// let slot = optimizer.register("bias", &bias)?;
    ///
    /// // A text names word 7 twice.
    /// let (words, gradients) = ([7, 42, 7], array![[1.0, 0.0], [0.5, 0.5], [1.0, -4.0]]);
    /// let (indices, gradients) = sum_rows(&words, &gradients)?;
    /// assert_eq!(indices, [7, 42]);
    /// assert_eq!(gradients, array![[2.0, -4.0], [0.5, 0.5]]);
    ///
    /// let g = array![0.1, 0.1];
    /// optimizer.step(&mut [
    ///     rows.bind(&mut embedding, &indices, &gradients),
    ///     slot.bind(&mut bias, &g),
    /// ])?;
    /// assert!((embedding[[7, 1]] - 0.002).abs() < 1e-8);
    /// assert_eq!(optimizer.state(rows.slot()).unwrap().row_steps().unwrap()[42], 1);
    ///
    /// // Rows must ascend. The error names the table, the place and the row.
    /// let error = optimizer.step(&mut [rows.bind(&mut embedding, &[42, 7], &gradients)]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "tensor `embedding`: row 7 at place 1 comes after row 42, but rows must ascend: `sum_rows` sorts them"
    /// );
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("SparseAdam", "sparse_grad", "Embedding", "EmbeddingBag", "lazy"))]
    pub fn register_rows<D: Dimension>(
        &mut self,
        name: &str,
        table: &ArrayRef<A, D>,
    ) -> Result<RowSlot<D>, Error> {
        self.register_rows_in(self.default_group(), name, table)
    }

    /// Registers a table in a group. Otherwise like [`register_rows`](Optimizer::register_rows).
    ///
    /// # Errors
    /// Also [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if the group belongs to another optimizer.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::Array2;
    /// let table = Array2::<f64>::zeros((100, 8));
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let fast = optimizer.add_group(Adamax::builder().learning_rate(0.1).build()?);
    /// let rows = optimizer.register_rows_in(fast, "table", &table)?;
    /// assert_eq!(optimizer.group(rows.slot()), Some(fast));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn register_rows_in<D: Dimension>(
        &mut self,
        group: Group,
        name: &str,
        table: &ArrayRef<A, D>,
    ) -> Result<RowSlot<D>, Error> {
        self.register_with(group, name, || State::try_zeros_of_rows(table)).map(RowSlot)
    }

    /// Returns the key of the table with this name. `None` if there is no tensor of this name, if it is
    /// stepped as a whole, or if it has another number of axes than `D`.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::{Array2, Ix2};
    /// let table = Array2::<f64>::zeros((100, 8));
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let rows = optimizer.register_rows("table", &table)?;
    /// assert_eq!(optimizer.row_slot::<Ix2>("table"), Some(rows));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn row_slot<D: Dimension>(&self, name: &str) -> Option<RowSlot<D>> {
        let slot = self.slot(name)?;
        self.state(slot)?.row_steps().map(|_| RowSlot(slot))
    }
}

/// Adds up the gradients of equal rows, and sorts them: the form in which [`RowSlot::bind`] takes them.
///
/// `grad` has the shape `[indices, ..row]`. The result has each index once, ascending, and the sums of their
/// gradients. Gradients of one row are added in the order in which they come, so that the bits are always
/// the same.
///
/// # Errors
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are more or fewer gradients than indices.
///
/// # Cost
/// Sorting the indices, and one pass over the gradients.
///
/// # Allocation
/// The result, and one number per index.
///
/// # Precision
/// Sums are in the precision of the gradients. A sum may overflow; the step refuses it then.
///
/// # Examples
/// ```
/// use adamax::sum_rows;
/// use ndarray::array;
///
/// let (indices, sums) = sum_rows(&[4, 1, 4], &array![[1.0], [2.0], [3.0]])?;
/// assert_eq!((indices, sums), (vec![1, 4], array![[2.0], [4.0]]));
/// # Ok::<(), adamax::Error>(())
/// ```
pub fn sum_rows<A: Real, D: RemoveAxis>(
    indices: &[usize],
    grad: &ArrayRef<A, D>,
) -> Result<(Vec<usize>, Array<A, D>), Error> {
    let count = indices.len();
    if grad.shape().first() != Some(&count) {
        let found = grad.shape().to_vec();
        let row = found.get(1..).unwrap_or_default();
        return Err(Detail::RowGradients {
            role: Role::Gradient,
            expected: [&[count], row].concat(),
            found,
        }
        .into());
    }
    let mut places: Vec<_> = indices.iter().copied().zip(0..count).collect();
    // Places are different, so equal rows stay in their order.
    places.sort_unstable();
    let mut rows: Vec<_> = places.iter().map(|(row, _)| *row).collect();
    rows.dedup();
    let mut shape = grad.raw_dim();
    shape.as_array_view_mut().iter_mut().take(1).for_each(|length| *length = rows.len());
    let mut sums = Array::zeros(shape);
    let equal = places.chunk_by(|a, b| a.0 == b.0);
    for (mut sum, equal) in sums.axis_iter_mut(Axis(0)).zip(equal) {
        let mut gradients = equal.iter().map(|(_, place)| grad.index_axis(Axis(0), *place));
        // The first is copied: 0 + (−0) would change its sign.
        gradients.by_ref().take(1).for_each(|first| sum.assign(&first));
        gradients.for_each(|gradient| sum.zip_mut_with(&gradient, |sum, g| *sum = *sum + *g));
    }
    Ok((rows, sums))
}

// Written by hand: a derive would put the same bounds on `D`.

impl<D> Clone for RowSlot<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for RowSlot<D> {}

impl<D> PartialEq for RowSlot<D> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<D> Eq for RowSlot<D> {}

impl<D> core::hash::Hash for RowSlot<D> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<D> fmt::Debug for RowSlot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RowSlot").field(&self.0).finish()
    }
}
