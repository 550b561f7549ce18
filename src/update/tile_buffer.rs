//! Copies of tiles on the stack, for arrays whose rows are not contiguous.

use core::ops::Range;

use ndarray::{
    ArrayBase, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Ix2, IxDyn, LayoutRef, RawData,
    aview_mut1, aview_mut2, aview1, aview2,
};

use crate::real::Real;

/// Sides of a tile: whole cache lines along either, and copies that stay in the first-level cache.
pub(crate) const ROWS: usize = 32;
pub(crate) const COLUMNS: usize = 64;

/// Room on the stack for a tile of one array, and whether it is needed.
pub(crate) struct Stage<A> {
    rows: Rows,
    copy: Option<Copy<A>>,
}

/// How the rows of one array lie in memory.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    Contiguous,
    /// To be copied row by row.
    Strided,
    /// To be copied column by column, because columns are closer in memory.
    Crosswise,
}

type Copy<A> = [[A; COLUMNS]; ROWS];

impl<A: Real> Stage<A> {
    /// For planes spanned by the last two axes.
    #[inline(always)]
    pub(crate) fn for_rows_of(layout: &LayoutRef<A, IxDyn>) -> Self {
        let rows = match (layout.shape(), layout.strides()) {
            (_, [.., 1]) => Rows::Contiguous,
            ([.., rows, _], [.., row, column]) if *rows > 1 && row.abs() < column.abs() => {
                Rows::Crosswise
            }
            _ => Rows::Strided,
        };
        Stage { rows, copy: None }
    }

    /// Whether rows are contiguous as they are.
    pub(crate) fn is_idle(&self) -> bool {
        self.rows == Rows::Contiguous
    }

    /// The tile with contiguous rows: itself or a copy.
    pub(crate) fn rows<'a>(&'a mut self, tile: &'a ArrayView2<'_, A>) -> ArrayView2<'a, A> {
        self.load(tile);
        match &self.copy {
            None => tile.view(),
            Some(copy) => view(tile.dim(), copy),
        }
    }

    /// The tile with contiguous rows: itself or a copy, which is to be [`store`](Self::store)d.
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
            Rows::Crosswise => {
                let copy = self.copy_mut();
                for (at, columns) in (0..).step_by(BLOCK).zip(tile.axis_chunks_iter(Axis(1), BLOCK))
                {
                    load_columns(copy, at, &columns);
                }
            }
        }
    }

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

/// Sides of the blocks in which columns are turned into rows and back: they fit in registers, so
/// that each cache line of a column is met once, not once for each of its elements.
const BLOCK: usize = 4;

/// Copies up to a block's width of columns into the copy, from its column `at` on.
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

/// Copies up to a block's width of columns out of the copy, from its column `at` on.
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

/// The first elements of a slice that is a block wide.
#[inline(always)]
fn side<A: Real>(slice: &[A]) -> [A; BLOCK] {
    *slice.first_chunk().unwrap_or(&[A::ZERO; BLOCK])
}

#[inline(always)]
fn transposed<A: Real>([a, b, c, d]: [[A; BLOCK]; BLOCK]) -> [[A; BLOCK]; BLOCK] {
    let [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]] = [a, b, c, d];
    [[a0, b0, c0, d0], [a1, b1, c1, d1], [a2, b2, c2, d2], [a3, b3, c3, d3]]
}

/// The part of a view in a range of rows and a range of columns.
pub(crate) fn cut<S: RawData>(
    mut view: ArrayBase<S, Ix2>,
    [rows, columns]: &[Range<usize>; 2],
) -> ArrayBase<S, Ix2> {
    view.slice_axis_inplace(Axis(0), rows.clone().into());
    view.slice_axis_inplace(Axis(1), columns.clone().into());
    view
}

/// The front of a copy, seen as a tile of this shape.
fn view<A>((rows, columns): (usize, usize), copy: &Copy<A>) -> ArrayView2<'_, A> {
    let whole =
        if rows == 1 { aview1(copy.as_flattened()).insert_axis(Axis(0)) } else { aview2(copy) };
    cut(whole, &[0..rows, 0..columns])
}

/// The front of a copy, seen as a tile of this shape.
fn view_mut<A>((rows, columns): (usize, usize), copy: &mut Copy<A>) -> ArrayViewMut2<'_, A> {
    let whole = if rows == 1 {
        aview_mut1(copy.as_flattened_mut()).insert_axis(Axis(0))
    } else {
        aview_mut2(copy)
    };
    cut(whole, &[0..rows, 0..columns])
}
