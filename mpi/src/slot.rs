//! Keys of tensors, and tensors that are bound to their keys for one step.

use core::{fmt, marker::PhantomData};

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension, IxDyn};

use crate::{
    element::Element,
    runs::{Source, Target},
};

/// The key of one tensor with dimension `D` in one [`ShardedOptimizer`](crate::ShardedOptimizer).
///
/// A slot is `Copy`, and works only with the optimizer that returned it.
pub struct ShardedSlot<D> {
    pub(crate) key: Key,
    pub(crate) dimension: PhantomData<fn() -> D>,
}

/// The place of a tensor in an optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) optimizer: usize,
    pub(crate) number: usize,
}

impl<D: Dimension> ShardedSlot<D> {
    /// Binds the slot to its parameter and to the gradient that this rank has computed, for one step.
    ///
    /// Accepts arrays and views of any memory layout. Nothing is checked here:
    /// [`ShardedOptimizer::step`](crate::ShardedOptimizer::step) checks the whole batch.
    ///
    /// # Allocation
    /// None for row-major arrays of at most 4 axes. Each other array takes a box of about 150 bytes.
    ///
    /// # Examples
    /// See [`ShardedOptimizer`](crate::ShardedOptimizer).
    pub fn bind<'a, A: Element>(
        self,
        param: &'a mut ArrayRef<A, D>,
        grad: &'a ArrayRef<A, D>,
    ) -> ShardedBound<'a, A> {
        self.bind_view(param.view_mut(), grad.view())
    }

    /// Binds the slot to views, which it takes by value. Otherwise like [`bind`](ShardedSlot::bind).
    pub fn bind_view<'a, A: Element>(
        self,
        param: ArrayViewMut<'a, A, D>,
        grad: ArrayView<'a, A, D>,
    ) -> ShardedBound<'a, A> {
        let same = param.shape() == grad.shape();
        let other_shape = if same { None } else { Some(Box::new(param.raw_dim().into_dyn())) };
        let grad_shape = grad.raw_dim().into_dyn();
        let grad = match grad.to_slice() {
            Some(values) => Source::RowMajor(values),
            None => Source::Other(Box::new(grad.into_dyn())),
        };
        let param = if param.is_standard_layout() {
            let values = param.into_slice();
            debug_assert!(values.is_some(), "an array in standard layout is a slice");
            Target::RowMajor(values.unwrap_or_default())
        } else {
            Target::Other(Box::new(param.into_dyn()))
        };
        ShardedBound { key: self.key, other_shape, grad_shape, param, grad }
    }
}

/// A parameter and its gradient, bound to a slot for one step. [`ShardedSlot::bind`] makes it.
pub struct ShardedBound<'a, A> {
    pub(crate) key: Key,
    /// The shape of the parameter, if it is not that of the gradient.
    pub(crate) other_shape: Option<Box<IxDyn>>,
    pub(crate) grad_shape: IxDyn,
    pub(crate) param: Target<'a, A>,
    pub(crate) grad: Source<'a, A>,
}

impl<A> ShardedBound<'_, A> {
    pub(crate) fn param_shape(&self) -> &[usize] {
        self.other_shape.as_deref().unwrap_or(&self.grad_shape).slice()
    }
}

impl<A> fmt::Debug for ShardedBound<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedBound")
            .field("number", &self.key.number)
            .field("param", &self.param_shape())
            .field("grad", &self.grad_shape)
            .finish_non_exhaustive()
    }
}

// Written by hand: a derive would put the same bounds on `D`.

impl<D> Clone for ShardedSlot<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for ShardedSlot<D> {}

impl<D> PartialEq for ShardedSlot<D> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<D> Eq for ShardedSlot<D> {}

impl<D> fmt::Debug for ShardedSlot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedSlot").field("number", &self.key.number).finish_non_exhaustive()
    }
}
