//! Runs of the row-major order of an array, whatever its memory layout.

use core::ops::Range;

use ndarray::{ArrayView, ArrayViewMut, IxDyn, Slice};

use crate::element::Element;

/// An array that is read.
#[derive(Clone, Debug)]
pub(crate) enum Source<'a, A> {
    RowMajor(&'a [A]),
    /// In a box, so that a batch of many small tensors takes little memory.
    Other(Box<ArrayView<'a, A, IxDyn>>),
}

impl<A: Element> Source<'_, A> {
    /// Returns a run if its elements are a slice.
    pub(crate) fn slice(&self, run: &Range<usize>) -> Option<&[A]> {
        match self {
            Source::RowMajor(values) => values.get(run.clone()),
            Source::Other(_) => None,
        }
    }

    /// Copies a run.
    pub(crate) fn copy_to(&self, run: &Range<usize>, to: &mut [A]) {
        match self {
            Source::RowMajor(values) => copy(values.get(run.clone()).unwrap_or_default(), to),
            Source::Other(view) => copy_out(&view.view(), run, to),
        }
    }

    /// Returns the element at a position of the row-major order.
    pub(crate) fn at(&self, position: usize) -> Option<A> {
        match self {
            Source::RowMajor(values) => values.get(position).copied(),
            Source::Other(view) => view.iter().nth(position).copied(),
        }
    }
}

/// An array that is written to.
#[derive(Debug)]
pub(crate) enum Target<'a, A> {
    RowMajor(&'a mut [A]),
    Other(Box<ArrayViewMut<'a, A, IxDyn>>),
}

impl<A: Element> Target<'_, A> {
    /// Returns a run if its elements are a slice.
    pub(crate) fn slice_mut(&mut self, run: &Range<usize>) -> Option<&mut [A]> {
        match self {
            Target::RowMajor(values) => values.get_mut(run.clone()),
            Target::Other(_) => None,
        }
    }

    /// Returns a run to be read, and another one to be written, if their elements are slices and they share
    /// none.
    pub(crate) fn two_slices(
        &mut self,
        read: &Range<usize>,
        written: &Range<usize>,
    ) -> Option<(&[A], &mut [A])> {
        let Target::RowMajor(values) = self else { return None };
        let (before, after) = values.split_at_mut_checked(read.start.max(written.start))?;
        if read.start < written.start {
            Some((before.get(read.clone())?, after.get_mut(..written.len())?))
        } else {
            Some((after.get(..read.len())?, before.get_mut(written.clone())?))
        }
    }

    /// Copies a run.
    pub(crate) fn copy_to(&self, run: &Range<usize>, to: &mut [A]) {
        match self {
            Target::RowMajor(values) => copy(values.get(run.clone()).unwrap_or_default(), to),
            Target::Other(view) => copy_out(&view.view(), run, to),
        }
    }

    /// Replaces a run.
    pub(crate) fn copy_from(&mut self, run: &Range<usize>, from: &[A]) {
        match self {
            Target::RowMajor(values) => copy(from, values.get_mut(run.clone()).unwrap_or_default()),
            Target::Other(view) => copy_in(view.view_mut(), run, from),
        }
    }
}

/// Copies elements between two slices of one length.
fn copy<A: Copy>(from: &[A], to: &mut [A]) {
    debug_assert_eq!(from.len(), to.len());
    if from.len() == to.len() {
        to.copy_from_slice(from);
    }
}

/// Copies a run of an array to a slice.
pub(crate) fn copy_out<A: Copy>(view: &ArrayView<'_, A, IxDyn>, run: &Range<usize>, to: &mut [A]) {
    let shape = view.shape().to_vec();
    let mut rest = to;
    for_boxes(&shape, run, |size, slices| {
        let mut part = view.view();
        part.slice_each_axis_inplace(|axis| {
            slices.get(axis.axis.index()).copied().unwrap_or(all())
        });
        let (values, others) = core::mem::take(&mut rest).split_at_mut(size);
        rest = others;
        if let Ok(mut values) = ArrayViewMut::from_shape(part.raw_dim(), values) {
            values.assign(&part);
        }
    });
}

/// Copies a slice to a run of an array.
fn copy_in<A: Copy>(mut view: ArrayViewMut<'_, A, IxDyn>, run: &Range<usize>, from: &[A]) {
    let shape = view.shape().to_vec();
    let mut rest = from;
    for_boxes(&shape, run, |size, slices| {
        let mut part = view.view_mut();
        part.slice_each_axis_inplace(|axis| {
            slices.get(axis.axis.index()).copied().unwrap_or(all())
        });
        let (values, others) = rest.split_at(size);
        rest = others;
        if let Ok(values) = ArrayView::from_shape(part.raw_dim(), values) {
            part.assign(&values);
        }
    });
}

/// The whole of an axis.
fn all() -> Slice {
    Slice::from(..)
}

/// Cuts a run of the row-major order of a shape into boxes, in order. `f` gets the number of elements of
/// each box, and its place along each axis.
///
/// A run has at most 2·axes boxes: whole blocks of an outer axis, and before and after them what is left
/// of inner ones.
fn for_boxes(shape: &[usize], run: &Range<usize>, mut f: impl FnMut(usize, &[Slice])) {
    let signed = |n: usize| isize::try_from(n).unwrap_or(isize::MAX);
    let mut slices = vec![all(); shape.len()];
    let mut position = run.start;
    while position < run.end {
        // The outermost axis of which whole steps fit.
        let mut block = shape.iter().product::<usize>().max(1);
        let mut axis = 0;
        for length in shape {
            block /= length;
            if position % block == 0 && block <= run.end - position {
                break;
            }
            axis += 1;
        }
        let Some(&length) = shape.get(axis) else {
            // No axes, and so one element.
            f(1, &slices);
            return;
        };
        let index = position / block % length;
        let count = ((run.end - position) / block).min(length - index);
        let mut outer = block * length;
        for (slice, length) in slices.iter_mut().zip(shape).take(axis).rev() {
            let index = position / outer % length;
            *slice = Slice::new(signed(index), Some(signed(index + 1)), 1);
            outer *= length;
        }
        for (slice, place) in slices.iter_mut().zip(0..) {
            if place == axis {
                *slice = Slice::new(signed(index), Some(signed(index + count)), 1);
            } else if place > axis {
                *slice = all();
            }
        }
        f(count * block, &slices);
        position += count * block;
    }
}

/// Returns the index of the element at a position of the row-major order.
pub(crate) fn index_at(shape: &[usize], mut position: usize) -> Vec<usize> {
    let mut index: Vec<_> = shape
        .iter()
        .rev()
        .map(|length| {
            let place = position % length.max(&1);
            position /= length.max(&1);
            place
        })
        .collect();
    index.reverse();
    index
}

/// Returns the position of an element in the row-major order.
pub(crate) fn position_of(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |position, (length, index)| position * length + index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, ArrayD, Axis};

    #[test]
    fn every_run_of_every_layout_is_copied() {
        let shapes: [&[usize]; 8] =
            [&[], &[0], &[7], &[3, 4], &[2, 3, 4], &[1, 5, 1, 2], &[2, 2, 2, 2, 2], &[3, 0, 2]];
        for shape in shapes {
            let length: usize = shape.iter().product();
            let whole: Vec<f64> = (0_u32..).take(length).map(f64::from).collect();
            let c = ArrayD::from_shape_vec(shape, whole.clone()).expect("the length");
            for layout in 0..3 {
                let mut array: ArrayD<f64> = match layout {
                    0 => ArrayD::zeros(shape),
                    1 => {
                        let turned: Vec<_> = shape.iter().rev().copied().collect();
                        ArrayD::zeros(turned).reversed_axes()
                    }
                    _ => {
                        let mut wide =
                            Array::zeros(shape.iter().map(|l| 2 * l).collect::<Vec<_>>());
                        wide.slice_each_axis_inplace(|_| Slice::new(0, None, 2));
                        (0..shape.len()).for_each(|axis| wide.invert_axis(Axis(axis)));
                        wide
                    }
                };
                array.assign(&c);
                for start in 0..=length {
                    for end in start..=length {
                        let run = start..end;
                        let mut found = vec![-1.0; run.len()];
                        copy_out(&array.view(), &run, &mut found);
                        assert_eq!(found, whole[run.clone()], "{shape:?}, layout {layout}");

                        let mut target = ArrayD::from_elem(array.raw_dim(), -1.0);
                        target.assign(&array);
                        let new: Vec<f64> = found.iter().map(|value| value + 0.5).collect();
                        let mut written = array.clone();
                        copy_in(written.view_mut(), &run, &new);
                        for (position, value) in written.iter().enumerate() {
                            let half = if run.contains(&position) { 0.5 } else { 0.0 };
                            assert_eq!(*value, whole[position] + half);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn two_runs_are_slices_if_they_share_nothing() {
        let mut values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let mut target = Target::RowMajor(&mut values);
        for (read, written) in [(0..2, 3..6), (3..6, 0..2), (0..3, 3..5), (4..5, 1..4)] {
            let (from, to) = target.two_slices(&read, &written).expect("they share nothing");
            assert!(
                from.iter().copied().eq(read.map(|place| [0.0, 1.0, 2.0, 3.0, 4.0, 5.0][place]))
            );
            assert!(
                to.iter().copied().eq(written.map(|place| [0.0, 1.0, 2.0, 3.0, 4.0, 5.0][place]))
            );
        }
        for (read, written) in
            [(0..3, 2..4), (2..4, 0..3), (1..2, 1..2), (0..2, 5..7), (7..8, 0..1)]
        {
            assert_eq!(target.two_slices(&read, &written), None, "{read:?}, {written:?}");
        }
    }

    #[test]
    fn positions_and_indices_belong_together() {
        for shape in [&[][..], &[5], &[2, 3, 4]] {
            for position in 0..shape.iter().product() {
                assert_eq!(position_of(shape, &index_at(shape, position)), position);
            }
        }
        assert_eq!(index_at(&[2, 3, 4], 17), [1, 1, 1]);
    }
}
