//! The memory order of an array: its axes from the outermost to the innermost.

use core::cmp::Reverse;

use super::{MOST_AXES, runs::Runs};
use ndarray::{
    ArrayBase, ArrayRef, ArrayView, ArrayViewMut, Axis, Dimension, IxDyn, LayoutRef, RawData,
};

/// The order in which the axes of an array lie in memory, and the axes that run backwards.
///
/// Two gapless arrays of one shape have the same order if and only if their elements have the same
/// places in memory. So one comparison of two numbers replaces a comparison of strides. Axes of
/// length 1 do not count, whatever their strides are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order(u64);

/// Bits per axis: four for its number, one that is set if it runs backwards.
const BITS: u32 = 5;
const _: () = assert!(MOST_AXES * 5 <= 64 && MOST_AXES <= 16, "an order fits in its code");
const NUMBER: u64 = 0b01111;
const BACKWARDS: u64 = 0b10000;

impl Order {
    /// Row-major, for any number of axes.
    pub(crate) const ROW_MAJOR: Self = Order(0);

    /// Returns the memory order of an array, with or without gaps. `None` if it is not row-major and
    /// has more than [`MOST_AXES`] axes.
    pub(crate) fn of<A, D: Dimension>(layout: &LayoutRef<A, D>) -> Option<Self> {
        Self::of_axes(layout.shape(), layout.strides())
    }

    /// [`Order::of`], and row-major where that is `None`: the order of arrays made for this one.
    pub(crate) fn to_make<A, D: Dimension>(layout: &LayoutRef<A, D>) -> Self {
        Self::of(layout).unwrap_or(Order::ROW_MAJOR)
    }

    /// Returns an order whose outermost axis is the first, for arrays that are used row by row. The other
    /// axes are in the memory order of the array.
    pub(crate) fn with_rows_outermost<A, D: Dimension>(layout: &LayoutRef<A, D>) -> Self {
        let mut strides = [isize::MAX; MOST_AXES];
        let inner = layout.strides().iter().skip(1);
        strides.iter_mut().skip(1).zip(inner).for_each(|(to, stride)| *to = *stride);
        let strides = strides.get(..layout.ndim());
        strides
            .and_then(|strides| Self::of_axes(layout.shape(), strides))
            .unwrap_or(Order::ROW_MAJOR)
    }

    /// [`Order::of`] for a shape and its strides.
    fn of_axes(shape: &[usize], strides: &[isize]) -> Option<Self> {
        let long = |axis: usize| shape.get(axis).is_some_and(|&length| length > 1);
        let stride = |axis: usize| strides.get(axis).copied().unwrap_or_default();
        if shape.contains(&0) {
            return Some(Order::ROW_MAJOR);
        }
        let rows_first = {
            let mut above = isize::MAX;
            (0..shape.len()).filter(|&axis| long(axis)).all(|axis| {
                let falling = (0..=above).contains(&stride(axis));
                above = stride(axis);
                falling
            })
        };
        if rows_first {
            return Some(Order::ROW_MAJOR);
        }
        let mut axes = [0; MOST_AXES];
        let axes = axes.get_mut(..shape.len())?;
        axes.iter_mut().zip(0..).for_each(|(place, axis)| *place = axis);
        // Axes of length 1 come first, so that their strides do not matter. A stable sort would
        // allocate.
        axes.sort_unstable_by_key(|&axis| {
            let stride = if long(axis) { stride(axis).unsigned_abs() } else { usize::MAX };
            (Reverse(stride), axis)
        });
        let mut code = 0;
        for &axis in axes.iter().rev() {
            let backwards = if long(axis) && stride(axis) < 0 { BACKWARDS } else { 0 };
            code = (code << BITS) + backwards + u64::try_from(axis).unwrap_or_default();
        }
        Some(Order(code))
    }

    /// Returns the axes of an array of this rank, outermost first, each with true if it runs
    /// backwards.
    pub(crate) fn axes(self, rank: usize) -> impl DoubleEndedIterator<Item = (usize, bool)> {
        (0..rank).map(move |place| {
            if self == Order::ROW_MAJOR {
                return (place, false);
            }
            let code = self.0 >> (BITS * u32::try_from(place).unwrap_or_default());
            (usize::try_from(code & NUMBER).unwrap_or_default(), code & BACKWARDS != 0)
        })
    }

    /// Returns the memory order of an array without gaps; `None` if it has gaps.
    pub(crate) fn of_gapless<A, D: Dimension>(layout: &LayoutRef<A, D>) -> Option<Self> {
        let (shape, strides) = (layout.shape(), layout.strides());
        if is_plainly_column_major(shape, strides) {
            return COLUMN_MAJOR.get(shape.len()).copied();
        }
        Self::of_axes(shape, strides).filter(|order| order.is_gapless(shape, strides))
    }

    /// Returns true if an array with this order, shape and strides has no gaps.
    fn is_gapless(self, shape: &[usize], strides: &[isize]) -> bool {
        let mut expected = 1;
        self.axes(shape.len()).rev().all(|(axis, _)| {
            let (length, stride) = (shape.get(axis), strides.get(axis));
            let (Some(&length), Some(stride)) = (length, stride) else { return false };
            let fits = length == 1 || stride.unsigned_abs() == expected;
            expected *= length;
            fits
        }) || shape.contains(&0)
    }

    /// Returns the slice of a gapless array of this order.
    pub(crate) fn slice<A, D: Dimension>(self, array: &ArrayRef<A, D>) -> Option<&[A]> {
        if self == Order::ROW_MAJOR {
            array.as_slice()
        } else if self.is_column_major(array.ndim()) {
            array.view().reversed_axes().to_slice()
        } else {
            array.as_slice_memory_order()
        }
    }

    /// [`slice`](Order::slice), to be written to.
    pub(crate) fn slice_mut<A, D: Dimension>(self, array: &mut ArrayRef<A, D>) -> Option<&mut [A]> {
        if self == Order::ROW_MAJOR {
            array.as_slice_mut()
        } else if self.is_column_major(array.ndim()) {
            array.view_mut().reversed_axes().into_slice()
        } else {
            array.as_slice_memory_order_mut()
        }
    }

    /// Returns a slice as a view with its axes in logical order; `None` if its length is wrong.
    pub(crate) fn view<'a, A>(
        self,
        shape: &[usize],
        slice: &'a [A],
    ) -> Option<ArrayView<'a, A, IxDyn>> {
        let view = ArrayView::from_shape(self.shape_in_memory(shape), slice);
        view.ok().map(|view| self.to_logical(view))
    }

    /// [`view`](Order::view), to be written to.
    pub(crate) fn view_mut<'a, A>(
        self,
        shape: &[usize],
        slice: &'a mut [A],
    ) -> Option<ArrayViewMut<'a, A, IxDyn>> {
        let view = ArrayViewMut::from_shape(self.shape_in_memory(shape), slice);
        view.ok().map(|view| self.to_logical(view))
    }

    /// Column-major order is common, and ndarray reverses axes in a fraction of the time in which it
    /// permutes them or recognises a memory order.
    #[inline]
    fn is_column_major(self, rank: usize) -> bool {
        self != Order::ROW_MAJOR && COLUMN_MAJOR.get(rank) == Some(&self)
    }

    /// Returns true if `in_memory` is `logical` with its axes in this order.
    #[inline(always)]
    pub(crate) fn relates(self, in_memory: &[usize], logical: &[usize]) -> bool {
        in_memory.len() == logical.len()
            && self
                .axes(logical.len())
                .zip(in_memory)
                .all(|((axis, _), length)| logical.get(axis) == Some(length))
    }

    /// Returns a shape with its axes in memory order.
    pub(crate) fn shape_in_memory(self, shape: &[usize]) -> IxDyn {
        if self == Order::ROW_MAJOR {
            return IxDyn(shape);
        }
        let mut in_memory = [1; MOST_AXES];
        for (length, (axis, _)) in in_memory.iter_mut().zip(self.axes(shape.len())) {
            *length = shape.get(axis).copied().unwrap_or(1);
        }
        IxDyn(in_memory.get(..shape.len()).unwrap_or_default())
    }

    /// Returns the length of the innermost axis in memory; 1 if no axis is longer than 1.
    pub(crate) fn row_length(self, shape: &[usize]) -> usize {
        let mut lengths = self.axes(shape.len()).rev().filter_map(|(axis, _)| shape.get(axis));
        lengths.find(|&&length| length != 1).copied().unwrap_or(1)
    }

    /// Turns an array in logical order of axes into one whose axes are in this memory order and run
    /// forwards. No element moves.
    pub(crate) fn to_memory<S: RawData>(
        self,
        mut array: ArrayBase<S, IxDyn>,
    ) -> ArrayBase<S, IxDyn> {
        if self == Order::ROW_MAJOR {
            return array;
        }
        let rank = array.ndim();
        if self.is_column_major(rank) {
            return array.reversed_axes();
        }
        for (axis, backwards) in self.axes(rank) {
            if backwards {
                array.invert_axis(Axis(axis));
            }
        }
        let mut axes = [0; MOST_AXES];
        axes.iter_mut().zip(self.axes(rank)).for_each(|(place, (axis, _))| *place = axis);
        array.permuted_axes(IxDyn(axes.get(..rank).unwrap_or_default()))
    }

    /// Undoes [`to_memory`](Order::to_memory).
    pub(crate) fn to_logical<S: RawData>(self, array: ArrayBase<S, IxDyn>) -> ArrayBase<S, IxDyn> {
        if self == Order::ROW_MAJOR {
            return array;
        }
        let rank = array.ndim();
        if self.is_column_major(rank) {
            return array.reversed_axes();
        }
        let mut places = [0; MOST_AXES];
        for (place, (axis, _)) in self.axes(rank).enumerate() {
            if let Some(of_axis) = places.get_mut(axis) {
                *of_axis = place;
            }
        }
        let mut array = array.permuted_axes(IxDyn(places.get(..rank).unwrap_or_default()));
        for (axis, backwards) in self.axes(rank) {
            if backwards {
                array.invert_axis(Axis(axis));
            }
        }
        array
    }

    /// Returns the places of the elements of a gapless array of this order, in the sequence in which an
    /// array of order `visited` stores them.
    pub(crate) fn runs(self, visited: Order, shape: &[usize]) -> Runs {
        let strides = self.strides(shape);
        let mut runs = Runs::one(strides.start);
        for (axis, backwards) in visited.axes(shape.len()) {
            let (length, stride) = (shape.get(axis).copied().unwrap_or(1), strides.of(axis));
            if backwards {
                runs.push_backwards(length, stride);
            } else {
                runs.push(length, stride);
            }
        }
        runs
    }

    /// Returns the places of elements in a gapless array of this shape.
    pub(crate) fn strides(self, shape: &[usize]) -> Strides {
        let mut strides = Strides { start: 0, of_axis: [0; MOST_AXES] };
        let mut stride = 1;
        for (axis, backwards) in self.axes(shape.len()).rev() {
            let length = shape.get(axis).copied().unwrap_or(1);
            if let Some(of_axis) = strides.of_axis.get_mut(axis) {
                *of_axis = if backwards { 0_usize.wrapping_sub(stride) } else { stride };
            }
            if backwards {
                strides.start += stride * length.saturating_sub(1);
            }
            stride *= length;
        }
        strides
    }
}

/// The column-major order of each rank, for shapes without an axis of length 1.
const COLUMN_MAJOR: [Order; MOST_AXES + 1] = {
    // Each order is that of one axis less, with the new last axis outermost.
    let mut orders = [Order::ROW_MAJOR; MOST_AXES + 1];
    let (mut code, mut axis) = (0, 0);
    let mut rest: &mut [Order] = &mut orders;
    while let [order, after @ ..] = rest {
        *order = Order(code);
        code = (code << BITS) + axis;
        axis += 1;
        rest = after;
    }
    orders
};

/// Recognises the common case: column-major without gaps, and no axis of length 1 or 0.
#[inline]
fn is_plainly_column_major(shape: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1_usize;
    shape.len() == strides.len()
        && shape.iter().zip(strides).all(|(&length, stride)| {
            let fits = length > 1 && stride.unsigned_abs() == expected && *stride > 0;
            expected = expected.wrapping_mul(length);
            fits
        })
}

/// Places of elements in a gapless slice: `start` + Σ index · stride, modulo 2^64, so that a stride
/// may run backwards.
#[derive(Clone, Copy)]
pub(crate) struct Strides {
    /// The place of the first element in logical order.
    pub(crate) start: usize,
    /// By axis. Only arrays of at most [`MOST_AXES`] axes get here.
    of_axis: [usize; MOST_AXES],
}

impl Strides {
    pub(crate) fn of(&self, axis: usize) -> usize {
        self.of_axis.get(axis).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_order_is_recognised_at_once() {
        assert!(is_plainly_column_major(&[2, 3, 4], &[1, 2, 6]));
        assert!(is_plainly_column_major(&[5], &[1]));
        assert!(is_plainly_column_major(&[], &[]));
        for (shape, strides) in [
            (&[2, 3, 4][..], &[12, 4, 1][..]), // row-major
            (&[2, 3, 4], &[1, 2, 7]),          // a gap
            (&[2, 3, 4], &[1, -2, 6]),         // backwards
            (&[2, 1, 4], &[1, 2, 2]),          // an axis of length 1 may have any stride
            (&[2, 0, 4], &[1, 2, 0]),
            (&[2, 3], &[1]),
        ] {
            assert!(!is_plainly_column_major(shape, strides), "{shape:?} {strides:?}");
        }
        // A view that repeats its elements can have more of them than a number can count.
        let half = 1 << (usize::BITS / 2);
        let stride = isize::try_from(half).unwrap();
        assert!(is_plainly_column_major(&[half, half], &[1, stride]));
        assert!(!is_plainly_column_major(&[half, half, 2], &[1, stride, 0]));
        let order = COLUMN_MAJOR[3];
        assert!(order.is_column_major(3));
        assert!(!order.is_column_major(4) && !Order::ROW_MAJOR.is_column_major(3));
        assert!(!Order::ROW_MAJOR.is_column_major(1), "of one axis, both are row-major");
    }

    #[test]
    fn an_axis_that_repeats_its_elements_runs_forwards() {
        assert_eq!(Order::of_axes(&[2, 3], &[0, 1]), Some(COLUMN_MAJOR[2]));
        assert_ne!(Order::of_axes(&[2, 3], &[-3, 1]), Some(Order::ROW_MAJOR));
        assert_eq!(Order::of_axes(&[2, 3], &[0, 0]), Some(Order::ROW_MAJOR));
    }

    #[test]
    fn a_row_is_the_innermost_axis_that_is_longer_than_one() {
        let shape = [5, 1, 7, 3, 1];
        assert_eq!(Order::ROW_MAJOR.row_length(&shape), 3);
        assert_eq!(COLUMN_MAJOR[5].row_length(&shape), 5);
        assert_eq!(Order::ROW_MAJOR.row_length(&[1, 1]), 1);
        assert_eq!(Order::ROW_MAJOR.row_length(&[]), 1);
    }
}
