//! One matrix in several memory layouts.

use adamax::ndarray::{Array2, ShapeBuilder, s};

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
    /// Returns a square matrix of these numbers in logical order.
    pub(crate) fn matrix<A: Number>(
        self,
        side: usize,
        mut numbers: impl Iterator<Item = A>,
    ) -> Array2<A> {
        let mut matrix = match self {
            Layout::C => Array2::zeros((side, side)),
            Layout::F => Array2::zeros((side, side).f()),
            Layout::Block => {
                Array2::zeros((side + 8, side + 8)).slice_move(s![4..side + 4, 4..side + 4])
            }
            Layout::Sliced => Array2::zeros((side, 2 * side)).slice_move(s![.., ..;2]),
        };
        matrix.assign(&shaped((side, side), &mut numbers));
        matrix
    }
}
