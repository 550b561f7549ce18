//! Updates of two-dimensional arrays: row by row, where rows that are not contiguous are copied to
//! buffers first.

use core::ops::Range;

use ndarray::{ArrayViewMut1, Ix2, Zip};

use super::{
    coefficients::Coefficients,
    contiguous::{self, Observe},
    operands::{Operands, Views},
    tile_buffer::{COLUMNS, ELEMENTS, ROWS, TileBuffer, cut},
};
use crate::real::Real;

/// Buffers for a tile of each operand.
pub(crate) type TileBuffers<A> = Operands<TileBuffer<A>, TileBuffer<A>>;

impl<A: Real> Views<'_, A, Ix2> {
    /// Updates each element.
    pub(crate) fn update<S: Observe<A>>(
        mut self,
        k: &Coefficients<A>,
        buffers: &mut TileBuffers<A>,
    ) -> S {
        if buffers.as_mut().into_array().iter().all(|buffer| buffer.is_unused()) {
            return self.update_rows(k);
        }
        let (rows, columns) = self.x.dim();
        let (height, width) = if rows == 1 { (1, ELEMENTS) } else { (ROWS, COLUMNS) };
        let mut summary = S::EMPTY;
        for top in (0..rows).step_by(height) {
            for left in (0..columns).step_by(width) {
                let at = [top..rows.min(top + height), left..columns.min(left + width)];
                summary.join(self.tile(&at).update_buffered(k, buffers));
            }
        }
        summary
    }

    /// Returns a range of rows and a range of columns.
    fn tile(&mut self, at: &[Range<usize>; 2]) -> Views<'_, A, Ix2> {
        self.as_mut().map(|view| cut(view.view_mut(), at), |view| cut(view.view(), at))
    }

    /// Updates one tile, with the rows that are not contiguous in buffers.
    fn update_buffered<S: Observe<A>>(
        mut self,
        k: &Coefficients<A>,
        buffers: &mut TileBuffers<A>,
    ) -> S {
        let tiles = self.as_mut().zip(buffers.as_mut());
        let summary = tiles
            .map(|(tile, buffer)| buffer.rows_mut(tile), |(tile, buffer)| buffer.rows(tile))
            .update_rows(k);
        let tiles = self.as_mut().zip(buffers.as_mut());
        tiles.map(|(tile, buffer)| buffer.store(tile), |_| ());
        summary
    }

    /// Updates row by row. All rows are contiguous. If they follow each other without a gap, they are
    /// one slice, which saves the beginning of a loop for each.
    fn update_rows<S: Observe<A>>(mut self, k: &Coefficients<A>) -> S {
        let slices = self.as_mut().map(|view| view.as_slice_mut(), |view| view.as_slice());
        if let Some(slices) = slices.transpose() {
            return contiguous::update(k, slices);
        }
        Zip::from(self.x.rows_mut())
            .and(self.g.rows())
            .and(self.m.rows_mut())
            .and(self.u.rows_mut())
            .fold(S::EMPTY, |mut summary, x, g, m, u| {
                let rows = Operands { x, g, m, u };
                let rows = rows.map(ArrayViewMut1::into_slice, |row| row.to_slice()).transpose();
                debug_assert!(rows.is_some(), "rows are contiguous, in place or in buffers");
                if let Some(rows) = rows {
                    summary.join(contiguous::update(k, rows));
                }
                summary
            })
    }
}
