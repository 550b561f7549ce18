//! Buffers on the stack for tiles of arrays whose rows are not contiguous.

use core::ops::Range;

use ndarray::{
    ArrayBase, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Ix2, IxDyn, LayoutRef, RawData,
    aview_mut1, aview_mut2, aview1, aview2,
};

use crate::{
    layout::transpose::{BLOCK, side, transposed},
    real::Real,
};

/// The sides of a tile: whole cache lines along both, and small enough for the first-level cache.
pub(crate) const ROWS: usize = 32;
pub(crate) const COLUMNS: usize = 64;

/// A buffer for a tile of one array. It is used only if the rows are not contiguous.
pub(crate) struct TileBuffer<A> {
    rows: Rows,
    copy: Option<Copy<A>>,
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

type Copy<A> = [[A; COLUMNS]; ROWS];

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
            Some(copy) => view(tile.dim(), copy),
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
            Some(copy) => view_mut(tile.dim(), copy),
        }
    }

    fn load(&mut self, tile: &ArrayView2<'_, A>) {
        match self.rows {
            Rows::Contiguous => {}
            Rows::Strided => view_mut(tile.dim(), self.copy_mut()).assign(tile),
            Rows::Transposed => {
                let copy = self.copy_mut();
                for (at, columns) in (0..).step_by(BLOCK).zip(tile.axis_chunks_iter(Axis(1), BLOCK))
                {
                    load_columns(copy, at, &columns);
                }
            }
        }
    }

    /// Writes a copy back to its tile.
    pub(crate) fn store(&self, tile: &mut ArrayViewMut2<'_, A>) {
        let Some(copy) = &self.copy else { return };
        if self.rows == Rows::Strided {
            let shape = tile.dim();
            tile.assign(&view(shape, copy));
            return;
        }
        for (at, columns) in (0..).step_by(BLOCK).zip(tile.axis_chunks_iter_mut(Axis(1), BLOCK)) {
            store_columns(copy, at, columns);
        }
    }

    fn copy_mut(&mut self) -> &mut Copy<A> {
        self.copy.get_or_insert([[A::ZERO; COLUMNS]; ROWS])
    }
}

/// Copies up to [`BLOCK`] columns into the buffer, from its column `at` on.
fn load_columns<A: Real>(copy: &mut Copy<A>, at: usize, columns: &ArrayView2<'_, A>) {
    let mut lanes = columns.columns().into_iter();
    let slices = [(); BLOCK].map(|()| lanes.next().and_then(|lane| lane.to_slice()));
    let mut done = 0;
    if let [Some(a), Some(b), Some(c), Some(d)] = slices {
        let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
        let blocks = blocks.zip(c.chunks_exact(BLOCK).zip(d.chunks_exact(BLOCK)));
        for (((a, b), (c, d)), rows) in blocks.zip(copy.chunks_exact_mut(BLOCK)) {
            for (row, values) in rows.iter_mut().zip(transposed([a, b, c, d].map(side))) {
                if let Some(to) = row.get_mut(at..).and_then(<[A]>::first_chunk_mut) {
                    *to = values;
                }
            }
            done += BLOCK;
        }
    }
    let rest = columns.rows().into_iter().skip(done);
    for (row, values) in copy.iter_mut().skip(done).zip(rest) {
        row.iter_mut().skip(at).zip(values).for_each(|(to, from)| *to = *from);
    }
}

/// Copies up to [`BLOCK`] columns out of the buffer, from its column `at` on.
fn store_columns<A: Real>(copy: &Copy<A>, at: usize, mut columns: ArrayViewMut2<'_, A>) {
    let mut lanes = columns.columns_mut().into_iter();
    let slices = [(); BLOCK].map(|()| lanes.next().and_then(ArrayViewMut1::into_slice));
    let mut done = 0;
    if let [Some(a), Some(b), Some(c), Some(d)] = slices {
        let blocks = a.chunks_exact_mut(BLOCK).zip(b.chunks_exact_mut(BLOCK));
        let blocks = blocks.zip(c.chunks_exact_mut(BLOCK).zip(d.chunks_exact_mut(BLOCK)));
        for (((a, b), (c, d)), rows) in blocks.zip(copy.chunks_exact(BLOCK)) {
            let mut rows = rows.iter().map(|row| side(row.get(at..).unwrap_or_default()));
            let rows = [(); BLOCK].map(|()| rows.next().unwrap_or([A::ZERO; BLOCK]));
            for (to, values) in [a, b, c, d].into_iter().zip(transposed(rows)) {
                to.copy_from_slice(&values);
            }
            done += BLOCK;
        }
    }
    let rest = columns.rows_mut().into_iter().skip(done);
    for (row, mut values) in copy.iter().skip(done).zip(rest) {
        row.iter().skip(at).zip(&mut values).for_each(|(from, to)| *to = *from);
    }
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
fn view<A>((rows, columns): (usize, usize), copy: &Copy<A>) -> ArrayView2<'_, A> {
    let whole =
        if rows == 1 { aview1(copy.as_flattened()).insert_axis(Axis(0)) } else { aview2(copy) };
    cut(whole, &[0..rows, 0..columns])
}

/// Returns the beginning of a buffer as a tile of this shape, to be written to.
fn view_mut<A>((rows, columns): (usize, usize), copy: &mut Copy<A>) -> ArrayViewMut2<'_, A> {
    let whole = if rows == 1 {
        aview_mut1(copy.as_flattened_mut()).insert_axis(Axis(0))
    } else {
        aview_mut2(copy)
    };
    cut(whole, &[0..rows, 0..columns])
}
