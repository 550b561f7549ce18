//! One array of a parameter and its gradient, with its layout recognised, and without its dimension type.

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension, IxDyn};

use crate::{
    error::same,
    layout::{known, order::Order},
    reduce::Elements,
};

/// One array of a [`Pair`](super::pair::Pair): a slice, or a view of an array with gaps.
pub(crate) enum Half<S, V> {
    Gapless(S, Order),
    Gapped(V),
}

pub(crate) type Gradient<'a, A> = Half<&'a [A], ArrayView<'a, A, IxDyn>>;
pub(crate) type Parameter<'a, A> = Half<&'a mut [A], ArrayViewMut<'a, A, IxDyn>>;

impl<'a, A> Gradient<'a, A> {
    /// Recognises the layout of a gradient.
    #[inline]
    pub(crate) fn of<D: Dimension>(array: &'a ArrayRef<A, D>) -> Self {
        match Elements::of(array) {
            Elements::Gapless { values, order, .. } => Half::Gapless(values, order),
            Elements::Gapped(array) | Elements::Rows(array) => {
                Half::Gapped(array.view().into_dyn())
            }
        }
    }
}

impl<'a, A> Parameter<'a, A> {
    /// Recognises the layout of a parameter whose gradient has the shape `expected`. One of another
    /// shape is always a view.
    #[inline]
    pub(crate) fn of<D: Dimension>(array: &'a mut ArrayRef<A, D>, expected: &[usize]) -> Self {
        let order = if !same(array.shape(), expected) {
            None
        } else if array.is_standard_layout() {
            Some(Order::ROW_MAJOR)
        } else {
            Order::of_gapless(array)
        };
        match order {
            Some(order) => Half::Gapless(known(order.slice_mut(array)), order),
            None => Half::Gapped(array.view_mut().into_dyn()),
        }
    }
}
