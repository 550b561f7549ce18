//! Arrays of the same numbers in different memory layouts.

use super::Float;
use ndarray::{Array, ArrayD, Axis, Dimension, IxDyn, ShapeBuilder, Slice};
use std::{fmt::Display, vec::Vec};

/// A memory layout, named by a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Row-major.
    C,
    /// Column-major.
    F,
    /// Row-major with the axes rotated by one. With three or more axes it is neither of the above.
    Permuted,
    /// A block inside a larger row-major array.
    Sliced,
    /// Every second or third element along each axis of a larger row-major array.
    Stepped,
    /// Row-major with every axis inverted.
    Reversed,
    /// Column-major, every second element along the first axis, and the last axis inverted.
    Mixed,
}

pub(crate) const LAYOUTS: [Layout; 7] = [
    Layout::C,
    Layout::F,
    Layout::Permuted,
    Layout::Sliced,
    Layout::Stepped,
    Layout::Reversed,
    Layout::Mixed,
];

impl Layout {
    pub(crate) fn letter(self) -> char {
        match self {
            Layout::C => 'c',
            Layout::F => 'f',
            Layout::Permuted => 'p',
            Layout::Sliced => 's',
            Layout::Stepped => 't',
            Layout::Reversed => 'r',
            Layout::Mixed => 'x',
        }
    }

    /// Returns an array of these values in this layout. Memory between the elements has the value
    /// [`Float::MARK`].
    pub(crate) fn arrange<A: Float>(self, values: &ArrayD<A>) -> ArrayD<A> {
        let axes = values.ndim();
        let shape = values.shape().to_vec();
        let mut array = match self {
            Layout::C | Layout::Reversed => marked(&shape, false),
            Layout::F => marked(&shape, true),
            Layout::Permuted => {
                let rolled: Vec<usize> = (0..axes).map(|axis| shape[(axis + 1) % axes]).collect();
                let back: Vec<usize> = (0..axes).map(|axis| (axis + axes - 1) % axes).collect();
                marked(&rolled, false).permuted_axes(back)
            }
            Layout::Sliced => {
                let larger: Vec<usize> = shape.iter().map(|length| length + 3).collect();
                cut(marked(&larger, false), |axis| Slice::new(1, Some(end(shape[axis], 1)), 1))
            }
            Layout::Stepped => {
                let step = |axis: usize| 2 + axis % 2;
                let larger: Vec<usize> =
                    (0..axes).map(|axis| shape[axis] * step(axis) + 1).collect();
                cut(marked(&larger, false), |axis| {
                    let step = step(axis);
                    Slice::new(1, Some(end(shape[axis] * step, 1)), signed(step))
                })
            }
            Layout::Mixed => {
                let mut larger = shape.clone();
                if let Some(first) = larger.first_mut() {
                    *first *= 2;
                }
                cut(marked(&larger, true), |axis| {
                    Slice::new(0, None, if axis == 0 { 2 } else { 1 })
                })
            }
        };
        let backwards = match self {
            Layout::Reversed => 0..axes,
            Layout::Mixed => axes.saturating_sub(1)..axes,
            _ => 0..0,
        };
        for axis in backwards {
            array.invert_axis(Axis(axis));
        }
        assert_eq!(array.shape(), &shape[..], "layout {}", self.letter());
        array.assign(values);
        array
    }

    /// The same as [`arrange`](Self::arrange), with a dimension type.
    pub(crate) fn arrange_as<A: Float, D: Dimension>(self, values: &ArrayD<A>) -> Array<A, D> {
        self.arrange(values).into_dimensionality().expect("the rank of the dimension type")
    }
}

/// Returns an array with all elements equal to [`Float::MARK`].
fn marked<A: Float>(shape: &[usize], column_major: bool) -> ArrayD<A> {
    ArrayD::from_elem(IxDyn(shape).set_f(column_major), A::MARK)
}

fn cut<A: Float>(mut array: ArrayD<A>, slice: impl Fn(usize) -> Slice) -> ArrayD<A> {
    for axis in 0..array.ndim() {
        array.slice_axis_inplace(Axis(axis), slice(axis));
    }
    array
}

fn end(length: usize, start: isize) -> isize {
    signed(length) + start
}

fn signed(length: usize) -> isize {
    length.try_into().expect("a small length")
}

/// Asserts that all memory of the array between its elements still has the value [`Float::MARK`].
pub(crate) fn assert_nothing_around<A: Float, D: Dimension>(
    what: impl Display,
    array: Array<A, D>,
) {
    let elements = array.len();
    let (memory, _) = array.into_raw_vec_and_offset();
    let marks = memory.iter().filter(|value| value.word() == A::MARK.word()).count();
    assert_eq!(marks, memory.len() - elements, "{what}: memory between the elements was changed");
}
