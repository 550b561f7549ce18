//! Squares of an array with gaps, whose elements are visited in logical order.

use core::slice;

use ndarray::{ArrayRef, Dimension};

use super::{
    exact_sum::ExactSum,
    leaves::{LEAF, Leaves, OneLeaf},
};
use crate::{real::Real, simd::dispatch};

/// Elements in logical order, gathered into leaves.
pub(super) struct Stream<'t, A> {
    leaves: Leaves,
    buffer: [A; LEAF],
    filled: usize,
    /// Elements left in the present period of the leaves.
    left: usize,
    sum: &'t mut ExactSum,
}

impl<'t, A: Real> Stream<'t, A> {
    /// Begins with the element at position `start` of a tensor, which begins a leaf.
    pub(super) fn new(leaves: Leaves, start: usize, sum: &'t mut ExactSum) -> Self {
        let left = leaves.period() - start % leaves.period();
        Stream { leaves, buffer: [A::ZERO; LEAF], filled: 0, left, sum }
    }

    /// Appends an array.
    pub(super) fn extend_by<D: Dimension>(&mut self, array: &ArrayRef<A, D>) {
        for row in array.rows() {
            match row.to_slice() {
                Some(values) => self.extend(values),
                None => row.iter().for_each(|value| self.extend(slice::from_ref(value))),
            }
        }
    }

    #[inline]
    fn extend(&mut self, mut values: &[A]) {
        while !values.is_empty() {
            let length = self.leaves.unit().min(self.left + self.filled);
            let (now, later) = values.split_at(values.len().min(length - self.filled));
            let to = self.buffer.iter_mut().skip(self.filled);
            to.zip(now).for_each(|(to, from)| *to = *from);
            self.filled += now.len();
            self.left -= now.len();
            if self.filled == length {
                self.sum.add_leaf(dispatch(OneLeaf(self.buffer.get(..length).unwrap_or_default())));
                self.filled = 0;
                if self.left == 0 {
                    self.left = self.leaves.period();
                }
            }
            values = later;
        }
    }
}
