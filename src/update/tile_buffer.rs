//! Buffers on the stack for tiles of arrays whose rows are not contiguous.

use core::ops::Range;

use ndarray::{
    ArrayBase, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Ix2, IxDyn, LayoutRef, RawData,
};

use crate::{
    layout::transpose::{BLOCK, side, transposed},
    real::Real,
};

/// The sides of a tile: whole cache lines along both, and small enough for the first-level cache.
pub(crate) const ROWS: usize = 32;
pub(crate) const COLUMNS: usize = 64;

/// The most elements of a tile.
pub(crate) const ELEMENTS: usize = ROWS * COLUMNS;

/// A buffer for a tile of one array. It is used only if the rows are not contiguous.
pub(crate) struct TileBuffer<A> {
    rows: Rows,
    /// The elements of a tile, row-major, without gaps.
    copy: Option<[A; ELEMENTS]>,
}

/// The arrangement of the rows of one array in memory.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    Contiguous,
    /// Copied row by row.
    Strided,
    /// Copied column by column, because the elements of a column are nearer in memory.
    Transposed,
}

impl<A: Real> TileBuffer<A> {
    /// Returns an empty buffer for tiles of the last two axes.
    #[inline(always)]
    pub(crate) fn for_rows_of(layout: &LayoutRef<A, IxDyn>) -> Self {
        let rows = match (layout.shape(), layout.strides()) {
            (_, [.., 1]) => Rows::Contiguous,
            ([.., rows, _], [.., row, column]) if *rows > 1 && row.abs() < column.abs() => {
                Rows::Transposed
            }
            _ => Rows::Strided,
        };
        TileBuffer { rows, copy: None }
    }

    /// Returns true if the rows are contiguous in place.
    pub(crate) fn is_unused(&self) -> bool {
        self.rows == Rows::Contiguous
    }

    /// Returns the tile with contiguous rows: the tile itself, or a copy.
    pub(crate) fn rows<'a>(&'a mut self, tile: &'a ArrayView2<'_, A>) -> ArrayView2<'a, A> {
        self.load(tile);
        match &self.copy {
            None => tile.view(),
            Some(copy) => shaped(copy, tile.dim()),
        }
    }

    /// Returns the tile with contiguous rows: the tile itself, or a copy, which
    /// [`store`](Self::store) writes back.
    pub(crate) fn rows_mut<'a>(
        &'a mut self,
        tile: &'a mut ArrayViewMut2<'_, A>,
    ) -> ArrayViewMut2<'a, A> {
        self.load(&tile.view());
        match &mut self.copy {
            None => tile.view_mut(),
            Some(copy) => shaped_mut(copy, tile.dim()),
        }
    }

    fn load(&mut self, tile: &ArrayView2<'_, A>) {
        if self.rows == Rows::Contiguous {
            return;
        }
        let copy = self.copy.get_or_insert([A::ZERO; ELEMENTS]);
        if self.rows == Rows::Strided {
            shaped_mut(copy, tile.dim()).assign(tile);
            return;
        }
        let width = tile.ncols();
        for (at, columns) in (0..).step_by(BLOCK).zip(tile.axis_chunks_iter(Axis(1), BLOCK)) {
            load_columns(copy, width, at, &columns);
        }
    }

    /// Writes a copy back to its tile.
    pub(crate) fn store(&self, tile: &mut ArrayViewMut2<'_, A>) {
        let Some(copy) = &self.copy else { return };
        if self.rows == Rows::Strided {
            let shape = tile.dim();
            tile.assign(&shaped(copy, shape));
            return;
        }
        let width = tile.ncols();
        for (at, columns) in (0..).step_by(BLOCK).zip(tile.axis_chunks_iter_mut(Axis(1), BLOCK)) {
            store_columns(copy, width, at, columns);
        }
    }
}

/// Copies up to [`BLOCK`] columns into a copy with rows of this width, from its column `at` on.
fn load_columns<A: Real>(copy: &mut [A], width: usize, at: usize, columns: &ArrayView2<'_, A>) {
    let done = load_blocks(copy, width, at, columns);
    let rest = columns.rows().into_iter().skip(done);
    for (row, values) in copy.chunks_exact_mut(width).skip(done).zip(rest) {
        row.iter_mut().skip(at).zip(values).for_each(|(to, from)| *to = *from);
    }
}

/// Copies [`BLOCK`] rows at once while there are as many, if there are [`BLOCK`] columns and they are contiguous.
/// Returns the number of rows that have been copied.
#[inline(always)]
fn load_blocks<A: Real>(
    copy: &mut [A],
    width: usize,
    at: usize,
    columns: &ArrayView2<'_, A>,
) -> usize {
    let mut lanes = columns.columns().into_iter();
    let slices = [(); BLOCK].map(|()| lanes.next().and_then(|lane| lane.to_slice()));
    let mut done = 0;
    if let [Some(a), Some(b), Some(c), Some(d)] = slices {
        let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
        let blocks = blocks.zip(c.chunks_exact(BLOCK).zip(d.chunks_exact(BLOCK)));
        for (((a, b), (c, d)), rows) in blocks.zip(copy.chunks_exact_mut(BLOCK * width)) {
            let blocks = transposed([a, b, c, d].map(side));
            for (row, values) in rows.chunks_exact_mut(width).zip(blocks) {
                if let Some(to) = row.get_mut(at..).and_then(<[A]>::first_chunk_mut) {
                    *to = values;
                }
            }
            done += BLOCK;
        }
    }
    done
}

/// Copies up to [`BLOCK`] columns out of a copy with rows of this width, from its column `at` on.
fn store_columns<A: Real>(copy: &[A], width: usize, at: usize, mut columns: ArrayViewMut2<'_, A>) {
    let done = store_blocks(copy, width, at, &mut columns);
    let rest = columns.rows_mut().into_iter().skip(done);
    for (row, mut values) in copy.chunks_exact(width).skip(done).zip(rest) {
        row.iter().skip(at).zip(&mut values).for_each(|(from, to)| *to = *from);
    }
}

/// [`load_blocks`] in the other direction.
#[inline(always)]
fn store_blocks<A: Real>(
    copy: &[A],
    width: usize,
    at: usize,
    columns: &mut ArrayViewMut2<'_, A>,
) -> usize {
    let mut lanes = columns.columns_mut().into_iter();
    let slices = [(); BLOCK].map(|()| lanes.next().and_then(ArrayViewMut1::into_slice));
    let mut done = 0;
    if let [Some(a), Some(b), Some(c), Some(d)] = slices {
        let blocks = a.chunks_exact_mut(BLOCK).zip(b.chunks_exact_mut(BLOCK));
        let blocks = blocks.zip(c.chunks_exact_mut(BLOCK).zip(d.chunks_exact_mut(BLOCK)));
        for (((a, b), (c, d)), rows) in blocks.zip(copy.chunks_exact(BLOCK * width)) {
            let mut rows =
                rows.chunks_exact(width).map(|row| side(row.get(at..).unwrap_or_default()));
            let rows = [(); BLOCK].map(|()| rows.next().unwrap_or([A::ZERO; BLOCK]));
            for (to, values) in [a, b, c, d].into_iter().zip(transposed(rows)) {
                to.copy_from_slice(&values);
            }
            done += BLOCK;
        }
    }
    done
}

/// Returns a range of rows and a range of columns of a view.
pub(crate) fn cut<S: RawData>(
    mut view: ArrayBase<S, Ix2>,
    [rows, columns]: &[Range<usize>; 2],
) -> ArrayBase<S, Ix2> {
    view.slice_axis_inplace(Axis(0), rows.clone().into());
    view.slice_axis_inplace(Axis(1), columns.clone().into());
    view
}

/// Returns the beginning of a buffer as a tile of this shape.
fn shaped<A>(copy: &[A; ELEMENTS], (rows, columns): (usize, usize)) -> ArrayView2<'_, A> {
    let tile = copy.get(..rows * columns).unwrap_or_default();
    let tile = ArrayView2::from_shape((rows, columns), tile);
    debug_assert!(tile.is_ok(), "a tile fits into the buffer");
    tile.unwrap_or_else(|_| ArrayView2::from(&[[]; 0]))
}

/// Returns the beginning of a buffer as a tile of this shape, to be written to.
fn shaped_mut<A>(
    copy: &mut [A; ELEMENTS],
    (rows, columns): (usize, usize),
) -> ArrayViewMut2<'_, A> {
    let tile = copy.get_mut(..rows * columns).unwrap_or_default();
    let tile = ArrayViewMut2::from_shape((rows, columns), tile);
    debug_assert!(tile.is_ok(), "a tile fits into the buffer");
    tile.unwrap_or_else(|_| ArrayViewMut2::from(&mut [[]; 0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, ArrayView, ShapeBuilder};

    #[test]
    fn rows_are_copied_only_if_they_are_not_contiguous() {
        let values = [0.0; 64];
        let rows_of = |shape: [usize; 2], strides: [usize; 2]| {
            let view = ArrayView::from_shape(shape.strides(strides), &values).unwrap().into_dyn();
            let buffer = TileBuffer::<f64>::for_rows_of(view.as_ref());
            (buffer.rows, buffer.is_unused())
        };
        for (shape, strides, rows) in [
            ([4, 8], [8, 1], Rows::Contiguous),
            ([4, 4], [16, 1], Rows::Contiguous),
            ([4, 8], [1, 4], Rows::Transposed),
            ([4, 4], [2, 8], Rows::Transposed),
            ([4, 4], [8, 2], Rows::Strided),
            ([1, 8], [1, 4], Rows::Strided), // one row has no columns to copy
            ([4, 4], [0, 0], Rows::Strided), // one element, repeated: rows and columns are equally near
        ] {
            let (found, unused) = rows_of(shape, strides);
            assert!(found == rows, "{shape:?} {strides:?}");
            assert_eq!(unused, rows == Rows::Contiguous);
        }
    }

    #[test]
    fn blocks_of_contiguous_columns_are_copied_at_once() {
        let copied = |rows: usize, columns: usize, order: bool| {
            let mut tile = Array2::<f64>::zeros((rows, columns).set_f(order));
            let mut copy = [1.0; ELEMENTS];
            let loaded = load_blocks(&mut copy, columns, 0, &tile.view());
            assert_eq!(store_blocks(&copy, columns, 0, &mut tile.view_mut()), loaded);
            loaded
        };
        assert_eq!([3, 4, 7, 8].map(|rows| copied(rows, BLOCK, true)), [0, 4, 4, 8]);
        assert_eq!([copied(8, BLOCK - 1, true), copied(8, BLOCK, false)], [0, 0]);
    }
}
