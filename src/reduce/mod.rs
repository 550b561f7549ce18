//! Reductions of an array to one value: the norm of a gradient, and the check for NaN and infinities.

pub(crate) mod exact_sum;
pub(crate) mod finite;
mod gapped;
mod leaves;
pub(crate) mod norm;
pub(crate) mod part;
mod reordered;
pub(crate) mod squares;

use ndarray::{ArrayRef, ArrayView, Dimension, IxDyn, aview1};

use crate::{
    layout::order::Order,
    par::{Split, Summary},
};

/// A reduction of an array to a summary, as work that can be split.
pub(crate) trait Reduce<'a, A, D>: Split {
    type Summary: Summary;

    /// Returns the work of reducing all elements.
    fn new(elements: Elements<'a, A, D>) -> Self;

    /// Reduces the elements and adds the result to a summary.
    fn add_to(self, summary: &mut Self::Summary);
}

/// The elements of an array that is only read, with its layout recognised.
pub(crate) enum Elements<'a, A, D> {
    /// Without gaps. If there are more values than `shape` holds, they are several such arrays.
    Gapless { values: &'a [A], shape: &'a [usize], order: Order },
    /// With gaps, or in a memory order that [`Order`] cannot represent.
    Gapped(&'a ArrayRef<A, D>),
    /// With any layout. The first axis counts rows, each of which is an array of its own.
    Rows(&'a ArrayRef<A, D>),
}

impl<A, D> Clone for Elements<'_, A, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, D> Copy for Elements<'_, A, D> {}

impl<'a, A, D: Dimension> Elements<'a, A, D> {
    /// Returns the number of elements.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        match self {
            Elements::Gapless { values, .. } => values.len(),
            Elements::Gapped(array) | Elements::Rows(array) => array.len(),
        }
    }

    /// Returns the array as a view with its axes in logical order.
    pub(crate) fn view(self) -> ArrayView<'a, A, IxDyn> {
        match self {
            Elements::Gapless { values, shape, order } => {
                let view = order.view(shape, values);
                debug_assert!(view.is_some(), "the slice has the length of the shape");
                view.unwrap_or_else(|| aview1(values).into_dyn())
            }
            Elements::Gapped(array) | Elements::Rows(array) => array.view().into_dyn(),
        }
    }

    /// Recognises the layout of an array.
    #[inline]
    pub(crate) fn of(array: &'a ArrayRef<A, D>) -> Self {
        let (shape, row_major) = (array.shape(), Order::ROW_MAJOR);
        if let Some(values) = array.as_slice() {
            return Elements::Gapless { values, shape, order: row_major };
        }
        let order = Order::of_gapless(array);
        match order.and_then(|order| Some((order, order.slice(array)?))) {
            Some((order, values)) => Elements::Gapless { values, shape, order },
            None => Elements::Gapped(array),
        }
    }
}
