//! Keys of tensors and groups, and tensors that are bound to their keys for one step.

use core::{fmt, marker::PhantomData};

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension};

use super::{id::Id, lent::Lent};
use crate::{
    error::{Detail, Error},
    real::Real,
    reduce::norm::Norm,
    tensors::outline::Misfit,
    update::pair::Pair,
};

/// The key of a group: tensors of one [`Optimizer`](crate::Optimizer) that have a common rule.
///
/// ```
/// use adamax::{Adamax, Optimizer};
/// use ndarray::array;
///
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let frozen = optimizer.add_group(Adamax::builder().learning_rate(0.0).build()?);
/// let (mut embedding, mut head) = (array![1.0], array![1.0]);
/// let embedding_slot = optimizer.register_in(frozen, "embedding", &embedding)?;
/// let head_slot = optimizer.register("head", &head)?;
/// let g = array![0.5];
/// optimizer.step(&mut [embedding_slot.bind(&mut embedding, &g), head_slot.bind(&mut head, &g)])?;
/// assert_eq!(embedding[0], 1.0);
/// assert!(head[0] < 1.0);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    pub(super) optimizer: usize,
    pub(super) index: usize,
}

/// The key of one tensor with dimension `D` in one [`Optimizer`](crate::Optimizer).
///
/// A slot is `Copy`. It works only with the optimizer that returned it, until the tensor is
/// [removed](crate::Optimizer::remove), and only with arrays of the dimension that was registered:
///
/// ```compile_fail,E0308
/// use adamax::{Adamax, Optimizer};
/// use ndarray::{Array1, Array2};
///
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let matrix = optimizer.register("matrix", &Array2::<f64>::zeros((2, 3))).unwrap();
/// let (mut vector, gradient) = (Array1::<f64>::zeros(6), Array1::<f64>::zeros(6));
/// matrix.bind(&mut vector, &gradient);    // a Slot<Ix2> does not take an Array1
/// ```
pub struct Slot<D> {
    pub(super) id: Id,
    pub(super) index: usize,
    pub(super) dimension: PhantomData<fn() -> D>,
}

impl<D: Dimension> Slot<D> {
    /// Binds the slot to its parameter and gradient, for one step.
    ///
    /// Accepts arrays and views of any memory layout, as [`Adamax::step`] does. Their layouts are
    /// recognised here, once. Nothing else is checked: [`Optimizer::step`] checks the whole batch.
    ///
    /// # Allocation
    /// None for arrays without gaps, in any memory order, if the dimension is static, has at most 4
    /// axes, or the arrays are row-major. A parameter or gradient with gaps (a slice or a broadcast)
    /// takes one box of about 200 bytes. With more than 4 axes, ndarray allocates for these shapes, and
    /// for those of a dynamic dimension that is not row-major.
    ///
    /// [`Optimizer::step`]: crate::Optimizer::step
    /// [`Adamax::step`]: crate::Adamax::step
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array2, s};
    ///
    /// // The last column of a matrix, trained by itself.
    /// let mut matrix = Array2::<f64>::ones((3, 4));
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let column = optimizer.register("last column", &matrix.column(3))?;
    /// let gradient = Array2::ones((3, 4));
    /// optimizer.step(&mut [column.bind(&mut matrix.column_mut(3), &gradient.column(3))])?;
    /// assert_eq!(matrix[[0, 0]], 1.0);
    /// assert!(matrix[[0, 3]] < 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[inline(always)]
    pub fn bind<'a, A: Real>(
        self,
        param: &'a mut ArrayRef<A, D>,
        grad: &'a ArrayRef<A, D>,
    ) -> Bound<'a, A> {
        self.bound(Lent::Tensor(Pair::new(param, grad)))
    }

    /// Binds the slot to views of its parameter and gradient, which it takes by value.
    ///
    /// This is for temporary views, whose references do not live until the step: slices, rows, and
    /// numbers that another library holds, such as [`aview_mut1`](ndarray::aview_mut1) of a `Vec`.
    /// Otherwise like [`bind`](Slot::bind).
    ///
    /// # Allocation
    /// None for at most one axis without gaps, running forwards. Other views stay in a box of about
    /// 200 bytes. With more than 4 axes, ndarray allocates for their shapes.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array2, aview_mut1, aview1};
    ///
    /// let mut matrix = Array2::<f64>::ones((3, 4));
    /// let mut numbers = vec![1.0, 2.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let row = optimizer.register("first row", &matrix.row(0))?;
    /// let vector = optimizer.register("numbers", &aview1(&numbers))?;
    ///
    /// let (gradient, slopes) = (Array2::ones((3, 4)), [0.5, -0.5]);
    /// let mut batch = Vec::new();
    /// batch.push(row.bind_view(matrix.row_mut(0), gradient.row(0)));
    /// batch.push(vector.bind_view(aview_mut1(&mut numbers), aview1(&slopes)));
    /// optimizer.step(&mut batch)?;
    /// assert!(matrix[[0, 0]] < 1.0 && matrix[[1, 0]] == 1.0);
    /// assert!(numbers[0] < 1.0 && numbers[1] > 2.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn bind_view<'a, A: Real>(
        self,
        param: ArrayViewMut<'a, A, D>,
        grad: ArrayView<'a, A, D>,
    ) -> Bound<'a, A> {
        self.bound(Lent::Tensor(Pair::of_views(param, grad)))
    }
}

impl<D> Slot<D> {
    #[inline(always)]
    pub(super) fn bound<A>(self, lent: Lent<'_, A>) -> Bound<'_, A> {
        Bound { id: self.id, index: self.index, lent, norm: Norm::ZERO }
    }
}

/// A parameter and its gradient, bound to a slot for one step. [`Slot::bind`] makes it.
///
/// ```
/// use adamax::{Adamax, Optimizer};
/// use ndarray::Array2;
///
/// // A batch of any number of tensors is a `Vec`.
/// let mut layers = [Array2::<f64>::ones((2, 3)), Array2::ones((4, 2)), Array2::ones((1, 4))];
/// let gradients = layers.clone();
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let mut slots = Vec::new();
/// for (i, layer) in layers.iter().enumerate() {
///     slots.push(optimizer.register(&format!("layer {i}"), layer)?);
/// }
///
/// let pairs = layers.iter_mut().zip(&gradients);
/// let mut batch: Vec<_> = slots.iter().zip(pairs).map(|(slot, (x, g))| slot.bind(x, g)).collect();
/// optimizer.step(&mut batch)?;
/// assert!(layers.iter().flatten().all(|&x| x < 1.0));
/// # Ok::<(), adamax::Error>(())
/// ```
pub struct Bound<'a, A> {
    pub(super) id: Id,
    pub(super) index: usize,
    pub(super) lent: Lent<'a, A>,
    /// The norm of the gradient, if the optimizer clips norms per tensor or makes a report.
    pub(super) norm: Norm,
}

const _: () = assert!(size_of::<Bound<'_, f64>>() <= 104, "a batch of many small tensors is small");

impl<A: Real> Bound<'_, A> {
    /// Returns what stands in a batch for a model that does not have the registered tensors: its
    /// index is beyond every optimizer's places.
    #[cold]
    pub(super) fn misfit(misfit: Misfit) -> Self {
        Bound { id: Id::ANY, index: usize::MAX, lent: Lent::misfit(misfit), norm: Norm::ZERO }
    }

    /// Returns the reason why no tensor of the optimizer belongs to this place of a batch.
    #[cold]
    pub(super) fn not_found(&self, place: usize) -> Error {
        let misfit = self.lent.reason();
        misfit.map_or_else(|| Detail::ForeignInBatch { place }.into(), Error::from)
    }
}

impl<A: Real> fmt::Debug for Bound<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (param, grad) = self.lent.shapes();
        f.debug_struct("Bound")
            .field("index", &self.index)
            .field("param", &param)
            .field("grad", &grad)
            .finish_non_exhaustive()
    }
}

// Written by hand: a derive would put the same bounds on `D`.

impl<D> Clone for Slot<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Slot<D> {}

impl<D> PartialEq for Slot<D> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<D> Eq for Slot<D> {}

impl<D> core::hash::Hash for Slot<D> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<D> fmt::Debug for Slot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("id", &self.id)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
