//! The update of the four arrays of a step, whatever their layouts.
//!
//! Arrays of one memory order are contiguous slices. Small arrays of several orders, and arrays with
//! short rows, are copied to the stack. Others are brought into a common order of axes and updated
//! plane by plane.

pub(crate) mod coefficients;
pub(crate) mod contiguous;
pub(crate) mod half;
pub(crate) mod operands;
pub(crate) mod pair;
mod plane;
pub(crate) mod rehearsal;
pub(crate) mod rows;
mod stack_copy;
mod strided;
mod tile_buffer;

use ndarray::{ArrayRef, Dimension, IxDyn};

use self::{
    coefficients::Coefficients,
    contiguous::Observe,
    operands::{Operands, Slices, Views},
    stack_copy::{Gaps, Reordered},
};
use crate::{par::Split, real::Real};

/// Updates each element of four arrays of one shape, of any layouts, row by row.
pub(crate) fn update<A: Real, D: Dimension, S: Observe<A>>(
    k: &Coefficients<A>,
    arrays: Operands<&mut ArrayRef<A, D>, &ArrayRef<A, D>>,
) -> S {
    arrays
        .map(|array| array.view_mut().into_dyn(), |array| array.view().into_dyn())
        .arranged()
        .update(k)
}

/// The four arrays of a step, by the way in which they are updated. They can be split.
pub(crate) enum Arrays<'s, 'a, A> {
    /// All in one memory order.
    Contiguous(Slices<'s, A>),
    /// Gapless, small or with short rows or small planes. They are not split.
    Reordered(Reordered<'s, 'a, A>),
    /// With gaps, small or with short rows.
    Gaps(Gaps<'s, A>),
    /// Large, with rows that are worth a loop. Axes are in an order that suits memory.
    Strided(Views<'s, A, IxDyn>),
}

impl<A: Real> Arrays<'_, '_, A> {
    /// Updates each element.
    #[inline(always)]
    pub(crate) fn update<S: Observe<A>>(self, k: &Coefficients<A>) -> S {
        match self {
            Arrays::Contiguous(slices) => contiguous::update(k, slices),
            Arrays::Reordered(arrays) => arrays.update(k),
            Arrays::Gaps(arrays) => arrays.update(k),
            Arrays::Strided(views) => views.update(k),
        }
    }
}

impl<A: Real> Split for Arrays<'_, '_, A> {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Arrays::Contiguous(slices) => slices.len(),
            Arrays::Reordered(arrays) => arrays.len(),
            Arrays::Gaps(arrays) => arrays.len(),
            Arrays::Strided(views) => views.len(),
        }
    }

    fn split(self) -> Result<(Self, Self), Self> {
        match self {
            Arrays::Contiguous(slices) => {
                let (a, b) = slices.split().map_err(Arrays::Contiguous)?;
                Ok((Arrays::Contiguous(a), Arrays::Contiguous(b)))
            }
            Arrays::Reordered(arrays) => Err(Arrays::Reordered(arrays)),
            Arrays::Gaps(arrays) => {
                let (a, b) = arrays.split().map_err(Arrays::Gaps)?;
                Ok((Arrays::Gaps(a), Arrays::Gaps(b)))
            }
            Arrays::Strided(views) => {
                let (a, b) = views.split().map_err(Arrays::Strided)?;
                Ok((Arrays::Strided(a), Arrays::Strided(b)))
            }
        }
    }
}
