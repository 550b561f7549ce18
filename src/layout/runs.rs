//! Visits the elements of a gapless array in another order than that of its memory.

use super::MOST_AXES;

/// The places of elements, as runs of one stride.
///
/// Made from axes with their strides in the array's memory, outermost first. Places and strides are
/// modulo 2^64, so that a stride may run backwards. Does not allocate.
#[derive(Clone)]
pub(crate) struct Runs {
    axes: [Axis; MOST_AXES],
    /// The number of axes in use; the last one is the axis of the runs.
    rank: usize,
    /// The place of the next element.
    place: usize,
    /// The elements that are left.
    left: usize,
}

#[derive(Clone, Copy, Default)]
struct Axis {
    length: usize,
    stride: usize,
    index: usize,
}

/// Elements at `start`, `start + stride`, ….
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) start: usize,
    pub(crate) stride: usize,
    pub(crate) length: usize,
}

impl Runs {
    /// Visits the axes, given as (length, stride), from `start` on. Axes that follow each other
    /// without a gap are merged, so that runs are long.
    #[inline]
    pub(crate) fn new(start: usize, axes: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut runs = Runs::one(start);
        for (length, stride) in axes {
            runs.push(length, stride);
        }
        runs
    }

    /// Visits a single element.
    #[inline]
    pub(crate) fn one(place: usize) -> Self {
        Runs { axes: Default::default(), rank: 0, place, left: 1 }
    }

    /// Adds an axis that is visited from its end. It becomes the innermost.
    #[inline]
    pub(crate) fn push_backwards(&mut self, length: usize, stride: usize) {
        self.place = self.place.wrapping_add(stride.wrapping_mul(length.saturating_sub(1)));
        self.push(length, 0_usize.wrapping_sub(stride));
    }

    /// Adds an axis, which becomes the innermost.
    #[inline]
    pub(crate) fn push(&mut self, length: usize, stride: usize) {
        self.left *= length;
        if length == 1 {
            return;
        }
        let last = self.rank.checked_sub(1).and_then(|last| self.axes.get_mut(last));
        match last {
            Some(last) if last.stride == stride.wrapping_mul(length) => {
                *last = Axis { length: last.length * length, stride, index: 0 };
            }
            _ => {
                if let Some(axis) = self.axes.get_mut(self.rank) {
                    *axis = Axis { length, stride, index: 0 };
                    self.rank += 1;
                }
            }
        }
    }

    /// Moves all places that are left by `distance`.
    pub(crate) fn shifted(mut self, distance: usize) -> Self {
        self.place = self.place.wrapping_add(distance);
        self
    }

    /// Returns the next run of at most `most` elements, which is above 0.
    #[inline]
    pub(crate) fn next(&mut self, most: usize) -> Option<Run> {
        if self.left == 0 {
            return None;
        }
        let start = self.place;
        let Some((inner, outer)) =
            self.axes.get_mut(..self.rank).and_then(<[Axis]>::split_last_mut)
        else {
            self.left = 0;
            return Some(Run { start, stride: 1, length: 1 });
        };
        let stride = inner.stride;
        let length = (inner.length - inner.index).min(most);
        self.left -= length;
        inner.index += length;
        self.place = self.place.wrapping_add(stride.wrapping_mul(length));
        if inner.index == inner.length {
            // Back to the beginning of the axis, and one step along the next axis outside of it.
            inner.index = 0;
            self.place = self.place.wrapping_sub(stride.wrapping_mul(inner.length));
            for axis in outer.iter_mut().rev() {
                axis.index += 1;
                self.place = self.place.wrapping_add(axis.stride);
                if axis.index < axis.length {
                    break;
                }
                axis.index = 0;
                self.place = self.place.wrapping_sub(axis.stride.wrapping_mul(axis.length));
            }
        }
        Some(Run { start, stride, length })
    }

    /// Copies the next elements of `from` until `to` is full.
    #[inline]
    pub(crate) fn gather<A: Copy>(&mut self, from: &[A], mut to: &mut [A]) {
        while let Some(run) = if to.is_empty() { None } else { self.next(to.len()) } {
            let (now, later) = to.split_at_mut(run.length);
            let mut place = run.start;
            for value in now {
                if let Some(element) = from.get(place) {
                    *value = *element;
                }
                place = place.wrapping_add(run.stride);
            }
            to = later;
        }
    }

    /// Copies all of `from` to the next elements of `to`.
    #[inline]
    pub(crate) fn scatter<A: Copy>(&mut self, mut from: &[A], to: &mut [A]) {
        while let Some(run) = if from.is_empty() { None } else { self.next(from.len()) } {
            let (now, later) = from.split_at(run.length);
            let mut place = run.start;
            for value in now {
                if let Some(element) = to.get_mut(place) {
                    *element = *value;
                }
                place = place.wrapping_add(run.stride);
            }
            from = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::order::Order;
    use alloc::{vec, vec::Vec};
    use ndarray::{ArrayD, Axis as Direction, IxDyn, ShapeBuilder};

    /// Arrays of one shape in several memory orders.
    fn arrays() -> Vec<ArrayD<f64>> {
        let row_major =
            ArrayD::from_shape_vec(vec![2, 1, 3, 4], (0..24).map(f64::from).collect()).unwrap();
        let mut column_major = ArrayD::zeros(IxDyn(&[2, 1, 3, 4]).f());
        column_major.assign(&row_major);
        let mut permuted = ArrayD::zeros(vec![3, 2, 4, 1]).permuted_axes(vec![1, 3, 0, 2]);
        permuted.assign(&row_major);
        let mut backwards = permuted.clone();
        backwards.invert_axis(Direction(2));
        backwards.assign(&row_major);
        vec![row_major, column_major, permuted, backwards]
    }

    #[test]
    fn elements_come_in_logical_order_from_any_memory_order() {
        for array in arrays() {
            let order = Order::of(&array).unwrap();
            let memory = array.as_slice_memory_order().unwrap();
            for length in [1, 5, 24] {
                let mut runs = order.runs(Order::ROW_MAJOR, array.shape());
                let mut found = vec![0.0; 24];
                for part in found.chunks_mut(length) {
                    runs.gather(memory, part);
                }
                assert_eq!(runs.next(1), None);
                assert_eq!(found, array.iter().copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn elements_come_in_the_memory_order_of_another_array() {
        for one in arrays() {
            for other in arrays() {
                let [of_one, of_other] = [&one, &other].map(|array| Order::of(array).unwrap());
                let mut found = vec![0.0; 24];
                let memory = one.as_slice_memory_order().unwrap();
                of_one.runs(of_other, one.shape()).gather(memory, &mut found);
                assert_eq!(found, other.as_slice_memory_order().unwrap());
            }
        }
    }

    #[test]
    fn scatter_undoes_gather() {
        for array in arrays() {
            let order = Order::of(&array).unwrap();
            let memory = array.as_slice_memory_order().unwrap();
            let mut logical = vec![0.0; 24];
            order.runs(Order::ROW_MAJOR, array.shape()).gather(memory, &mut logical);
            let mut back = vec![-1.0; 24];
            order.runs(Order::ROW_MAJOR, array.shape()).scatter(&logical, &mut back);
            assert_eq!(back, memory);
        }
    }

    #[test]
    fn axes_that_follow_each_other_are_one_run() {
        let mut whole = Order::ROW_MAJOR.runs(Order::ROW_MAJOR, &[2, 1, 3, 4]);
        assert_eq!(whole.next(100), Some(Run { start: 0, stride: 1, length: 24 }));
        assert_eq!(whole.next(100), None);
        let mut single = Order::ROW_MAJOR.runs(Order::ROW_MAJOR, &[]);
        assert_eq!(single.next(9), Some(Run { start: 0, stride: 1, length: 1 }));
        assert_eq!(single.next(9), None);
        assert_eq!(Order::ROW_MAJOR.runs(Order::ROW_MAJOR, &[0, 3]).next(9), None);
    }
}
