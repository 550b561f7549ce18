//! Arrays and numbers without their types.

use core::slice;

use ndarray::{
    ArrayBase, ArrayView, ArrayViewMut, Axis, DataMut, Dimension, IxDyn, aview_mut1, aview0,
};

use crate::{
    layout::order::Order,
    real::Real,
    update::half::{Gradient, Half, Parameter},
};

/// A tensor of a model: an array of any dimension type, or a number.
pub(crate) trait Leaf<A> {
    fn shape(&self) -> &[usize];
    fn values(&self) -> ArrayView<'_, A, IxDyn>;
    fn values_mut(&mut self) -> ArrayViewMut<'_, A, IxDyn>;
    /// Returns the tensor as a gradient, with its shape.
    fn gradient(&self) -> (&[usize], Gradient<'_, A>);
    /// Returns the tensor as the parameter of a gradient of this shape.
    fn parameter(&mut self, shape: &[usize]) -> Parameter<'_, A>;
}

impl<A: Real, S: DataMut<Elem = A>, D: Dimension> Leaf<A> for ArrayBase<S, D> {
    fn shape(&self) -> &[usize] {
        (**self).shape()
    }

    fn values(&self) -> ArrayView<'_, A, IxDyn> {
        self.view().into_dyn()
    }

    fn values_mut(&mut self) -> ArrayViewMut<'_, A, IxDyn> {
        self.view_mut().into_dyn()
    }

    fn gradient(&self) -> (&[usize], Gradient<'_, A>) {
        ((**self).shape(), Gradient::of(self))
    }

    fn parameter(&mut self, shape: &[usize]) -> Parameter<'_, A> {
        Parameter::of(self, shape)
    }
}

impl<A: Real> Leaf<A> for A {
    fn shape(&self) -> &[usize] {
        &[]
    }

    fn values(&self) -> ArrayView<'_, A, IxDyn> {
        aview0(self).into_dyn()
    }

    fn values_mut(&mut self) -> ArrayViewMut<'_, A, IxDyn> {
        aview_mut1(slice::from_mut(self)).index_axis_move(Axis(0), 0).into_dyn()
    }

    fn gradient(&self) -> (&[usize], Gradient<'_, A>) {
        (&[], Half::Gapless(slice::from_ref(self), Order::ROW_MAJOR))
    }

    fn parameter(&mut self, shape: &[usize]) -> Parameter<'_, A> {
        if shape.is_empty() {
            Half::Gapless(slice::from_mut(self), Order::ROW_MAJOR)
        } else {
            Half::Gapped(self.values_mut())
        }
    }
}
