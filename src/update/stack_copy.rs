//! Updates of arrays that are not in the order of the moments: they are copied to the stack part by
//! part, and back.
//!
//! This is the way for small arrays, which stay in cache, where the order of access hardly matters;
//! and for arrays whose rows or planes are so small that a loop over each would cost more than the
//! copy. The limits are measured.

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Axis, Dimension, IxDyn};

use super::{
    coefficients::Coefficients,
    contiguous::{self, Observe},
    operands::{Gapless, Operands},
};
use crate::{layout::with_static_dimension, par::Split, real::Real, state::Moments};

/// The most elements of small gapless arrays, and of small planes.
const SMALL: usize = 1 << 11;

/// The most elements of short rows.
const SHORT_ROW: usize = 16;

/// The same for arrays with gaps, which are copied by slower iterators.
const SHORT_ROW_WITH_GAPS: usize = 8;

/// Elements of a part.
const PART: usize = 256;

/// Elements of a part of a very small array: a smaller buffer takes less time to clear.
const SMALL_PART: usize = 32;

/// Returns true if gapless arrays are updated here. `row` is the length of the innermost axis of the
/// moments, `other` that of the array in another order.
pub(super) fn suits_gapless(elements: usize, row: usize, other: usize) -> bool {
    // Both may be the length of one long axis.
    elements <= SMALL || row <= SHORT_ROW || row.saturating_mul(other) <= SMALL
}

/// Returns true if arrays with gaps are updated here.
pub(super) fn suits_gapped(elements: usize, row: usize) -> bool {
    elements <= PART || row <= SHORT_ROW_WITH_GAPS
}

/// Gapless arrays and their moments.
pub(crate) struct Reordered<'s, 'a, A> {
    pub(super) pair: &'s mut Gapless<'a, A>,
    pub(super) moments: Moments<'s, A>,
}

impl<A: Real> Reordered<'_, '_, A> {
    pub(super) fn len(&self) -> usize {
        self.pair.x.len()
    }

    /// Updates each element.
    pub(super) fn update<S: Observe<A>>(self, k: &Coefficients<A>) -> S {
        if self.len() <= SMALL_PART {
            gapless_in_parts::<A, S, SMALL_PART>(k, self.pair, self.moments)
        } else {
            gapless_in_parts::<A, S, PART>(k, self.pair, self.moments)
        }
    }
}

fn gapless_in_parts<A: Real, S: Observe<A>, const LENGTH: usize>(
    k: &Coefficients<A>,
    pair: &mut Gapless<'_, A>,
    Moments { m, u, order }: Moments<'_, A>,
) -> S {
    let Gapless { x, g, shape, x_order, g_order } = pair;
    let shape = shape.as_slice();
    let mut from_x = (*x_order != order).then(|| x_order.runs(order, shape));
    let mut to_x = from_x.clone();
    let mut from_g = (*g_order != order).then(|| g_order.runs(order, shape));
    let (mut x_copy, mut g_copy) = ([A::ZERO; LENGTH], [A::ZERO; LENGTH]);
    let mut summary = S::EMPTY;
    let parts = m.chunks_mut(LENGTH).zip(u.chunks_mut(LENGTH));
    for ((m, u), start) in parts.zip((0..).step_by(LENGTH)) {
        let (length, end) = (m.len(), start + m.len());
        let g_copy = g_copy.get_mut(..length).unwrap_or_default();
        let g = match &mut from_g {
            None => g.get(start..end).unwrap_or_default(),
            Some(runs) => {
                runs.gather(g, g_copy);
                g_copy
            }
        };
        let x_copy = x_copy.get_mut(..length).unwrap_or_default();
        let part = match &mut from_x {
            None => {
                let x = x.get_mut(start..end).unwrap_or_default();
                contiguous::update(k, Operands { x, g, m, u })
            }
            Some(runs) => {
                runs.gather(x, x_copy);
                contiguous::update(k, Operands { x: &mut *x_copy, g, m, u })
            }
        };
        if let Some(runs) = &mut to_x {
            runs.scatter(x_copy, x);
        }
        summary.join(part);
    }
    summary
}

/// Arrays with gaps, with their axes in the memory order of the moments.
pub(crate) struct Gaps<'s, A> {
    pub(super) x: ArrayViewMut<'s, A, IxDyn>,
    pub(super) g: ArrayView<'s, A, IxDyn>,
    pub(super) m: &'s mut [A],
    pub(super) u: &'s mut [A],
}

impl<A: Real> Split for Gaps<'_, A> {
    fn len(&self) -> usize {
        self.m.len()
    }

    /// Splits the outermost axis that is longer than 1. The moments are row-major, so that the two
    /// parts of them are contiguous.
    fn split(self) -> Result<(Self, Self), Self> {
        let Some(axis) = self.x.shape().iter().position(|&length| length > 1).map(Axis) else {
            return Err(self);
        };
        let length = self.x.len_of(axis);
        let (middle, elements) = (length / 2, self.m.len() / length * (length / 2));
        let (x, x2) = self.x.split_at(axis, middle);
        let (g, g2) = self.g.split_at(axis, middle);
        let (m, m2) = self.m.split_at_mut(elements);
        let (u, u2) = self.u.split_at_mut(elements);
        Ok((Gaps { x, g, m, u }, Gaps { x: x2, g: g2, m: m2, u: u2 }))
    }
}

impl<A: Real> Gaps<'_, A> {
    /// Updates each element.
    pub(super) fn update<S: Observe<A>>(self, k: &Coefficients<A>) -> S {
        if self.m.len() > PART {
            match self.split() {
                Ok((a, b)) => {
                    let mut summary: S = a.update(k);
                    summary.join(b.update(k));
                    summary
                }
                Err(whole) => whole.update_part(k),
            }
        } else {
            self.update_part(k)
        }
    }

    fn update_part<S: Observe<A>>(self, k: &Coefficients<A>) -> S {
        let Gaps { mut x, g, m, u } = self;
        let (mut x_copy, mut g_copy) = ([A::ZERO; PART], [A::ZERO; PART]);
        let x_copy = x_copy.get_mut(..m.len()).unwrap_or_default();
        let g_copy = g_copy.get_mut(..m.len()).unwrap_or_default();
        with_static_dimension!(x.view(), |x| load(&x, x_copy));
        with_static_dimension!(g, |g| load(&g, g_copy));
        let summary = contiguous::update(k, Operands { x: &mut *x_copy, g: g_copy, m, u });
        with_static_dimension!(x.view_mut(), |x| store(x, x_copy));
        summary
    }
}

/// Copies an array to a slice, row-major.
fn load<A: Real, D: Dimension>(from: &ArrayRef<A, D>, to: &mut [A]) {
    let length = from.shape().last().copied().unwrap_or(1);
    for (row, to) in from.rows().into_iter().zip(to.chunks_mut(length.max(1))) {
        to.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
    }
}

/// Copies a row-major slice to an array.
fn store<A: Real, D: Dimension>(mut to: ArrayViewMut<'_, A, D>, from: &[A]) {
    let length = to.shape().last().copied().unwrap_or(1);
    for (row, from) in to.rows_mut().into_iter().zip(from.chunks(length.max(1))) {
        row.into_iter().zip(from).for_each(|(to, from)| *to = *from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rule::Adamax,
        state::State,
        update::{contiguous::loops::Loops, operands::Gapped, pair::Pair},
    };
    use alloc::vec::Vec;
    use ndarray::{Array2, ArrayRef2, ShapeBuilder, Slice};

    /// The square of 70 000 is too large for a number of 32 bits.
    #[test]
    fn a_plane_of_any_size_is_compared() {
        let long = usize::MAX / 16;
        assert!(!suits_gapless(long, long, long));
        assert!(suits_gapless(long, 32, SMALL / 32));
        assert!(!suits_gapless(long, 32, SMALL / 32 + 1));
        assert!(suits_gapless(long, SHORT_ROW, long));
        assert!(suits_gapless(SMALL, SMALL, SMALL));
        assert!(!suits_gapless(SMALL + 1, SHORT_ROW + 1, SMALL));
    }

    #[test]
    fn small_arrays_with_gaps_and_those_with_short_rows_are_copied() {
        assert!(suits_gapped(PART, PART) && suits_gapped(PART + 1, SHORT_ROW_WITH_GAPS));
        assert!(!suits_gapped(PART + 1, SHORT_ROW_WITH_GAPS + 1));
    }

    /// Returns the number of elements of each loop of a step with a row-major state.
    fn loops(x: &mut ArrayRef2<f64>, g: &ArrayRef2<f64>) -> Vec<usize> {
        let k = Coefficients::new(&Adamax::default(), 1, 1.0);
        let mut state = State::zeros_like(&Array2::zeros(x.raw_dim()));
        let mut pair = Pair::<'_, f64, Gapped<'_, f64>>::new(x, g);
        let arrays = pair.arrays(state.begin_step(k.keeps()));
        arrays.update::<Loops<false>>(&k).lengths()
    }

    #[test]
    fn gapless_arrays_are_copied_in_parts() {
        let loops =
            |shape: (usize, usize)| loops(&mut Array2::zeros(shape), &Array2::zeros(shape.f()));
        assert_eq!(loops((2, SMALL_PART / 2)), [SMALL_PART]);
        // This is more than the buffer of a very small array.
        assert_eq!(loops((2, SMALL_PART / 2 + 2)), [SMALL_PART + 4]);
        assert_eq!(loops((3, 100)), [PART, 300 - PART]);
    }

    #[test]
    fn arrays_with_gaps_are_copied_in_halves_that_fit() {
        let loops = |rows: usize, columns: usize| {
            let mut wide = Array2::zeros((rows, 2 * columns));
            let mut x = wide.slice_axis_mut(Axis(1), Slice::from(..).step_by(2));
            loops(&mut x, &Array2::zeros((rows, columns)))
        };
        assert_eq!(loops(PART / 8, 8), [PART]);
        assert_eq!(loops(PART / 8 + 2, 8), [PART / 2 + 8; 2]);
    }
}
