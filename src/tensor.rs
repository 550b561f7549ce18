//! What a step needs of an array, whatever its dimension type.

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension, IxDyn, LayoutRef};

use crate::real::Real;

/// An array seen without its dimension type, so that the walk is compiled once per precision and a
/// batch can hold arrays of different dimensions.
pub(crate) trait Tensor<A>: Send + Sync {
    fn shape(&self) -> &[usize];
    fn strides(&self) -> &[isize];
    /// All elements in logical order, if they lie so in memory.
    fn as_slice(&self) -> Option<&[A]>;
    fn as_slice_mut(&mut self) -> Option<&mut [A]>;
    /// All elements in the order of memory, if they lie there without gaps.
    fn as_slice_memory_order(&self) -> Option<&[A]>;
    fn as_slice_memory_order_mut(&mut self) -> Option<&mut [A]>;
    fn view(&self) -> ArrayView<'_, A, IxDyn>;
    fn view_mut(&mut self) -> ArrayViewMut<'_, A, IxDyn>;
}

impl<A: Real, D: Dimension> Tensor<A> for ArrayRef<A, D> {
    #[inline]
    fn shape(&self) -> &[usize] {
        LayoutRef::shape(self)
    }
    #[inline]
    fn strides(&self) -> &[isize] {
        LayoutRef::strides(self)
    }
    #[inline]
    fn as_slice(&self) -> Option<&[A]> {
        self.as_slice()
    }
    #[inline]
    fn as_slice_mut(&mut self) -> Option<&mut [A]> {
        self.as_slice_mut()
    }
    fn as_slice_memory_order(&self) -> Option<&[A]> {
        self.as_slice_memory_order()
    }
    fn as_slice_memory_order_mut(&mut self) -> Option<&mut [A]> {
        self.as_slice_memory_order_mut()
    }
    fn view(&self) -> ArrayView<'_, A, IxDyn> {
        self.view().into_dyn()
    }
    fn view_mut(&mut self) -> ArrayViewMut<'_, A, IxDyn> {
        self.view_mut().into_dyn()
    }
}
