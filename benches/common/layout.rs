//! One array in several memory layouts.

use adamax::ndarray::{Array, Axis, Dimension, ShapeBuilder, Slice};

use super::{Number, input::shaped};

#[derive(Clone, Copy)]
pub(crate) enum Layout {
    /// Row-major.
    C,
    /// Column-major.
    F,
    /// A block inside a larger array.
    Block,
    /// Every second column of a larger array.
    Sliced,
}

impl Layout {
    /// Returns an array of these numbers in logical order.
    pub(crate) fn array<A: Number, D: Dimension>(
        self,
        shape: D,
        mut numbers: impl Iterator<Item = A>,
    ) -> Array<A, D> {
        let mut array = match self {
            Layout::C => Array::zeros(shape.clone()),
            Layout::F => Array::zeros(shape.clone().f()),
            Layout::Block => block(shape.clone()),
            Layout::Sliced => every_second_column(shape.clone()),
        };
        array.assign(&shaped(shape, &mut numbers));
        array
    }
}

fn block<A: Number, D: Dimension>(mut shape: D) -> Array<A, D> {
    const MARGIN: usize = 4;
    shape.slice_mut().iter_mut().for_each(|length| *length += 2 * MARGIN);
    let mut array = Array::zeros(shape);
    array.slice_each_axis_inplace(|axis| Slice::from(MARGIN..axis.len - MARGIN));
    array
}

fn every_second_column<A: Number, D: Dimension>(mut shape: D) -> Array<A, D> {
    let columns = shape.ndim() - 1;
    shape[columns] *= 2;
    let mut array = Array::zeros(shape);
    array.slice_axis_inplace(Axis(columns), Slice::from(..).step_by(2));
    array
}
