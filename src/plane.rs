//! How two-dimensional arrays are walked: row by row, rows being made contiguous where they are not.

use core::ops::Range;

use ndarray::{
    ArrayBase, ArrayRef, ArrayView2, ArrayViewMut2, Axis, Ix2, IxDyn, LayoutRef, RawData, Zip,
    aview_mut1, aview_mut2, aview1, aview2,
};

use crate::{
    kernel::Coefficients,
    lanes::{self, Lane},
    real::Real,
};

/// Four views of one shape with two axes.
pub(crate) struct Plane<'a, A> {
    pub(crate) x: ArrayViewMut2<'a, A>,
    pub(crate) g: ArrayView2<'a, A>,
    pub(crate) m: ArrayViewMut2<'a, A>,
    pub(crate) u: ArrayViewMut2<'a, A>,
}

impl<A: Real> Plane<'_, A> {
    /// Steps every element. `stages` are those of x, g, m and u.
    pub(crate) fn update(mut self, k: &Coefficients<A>, stages: &mut [Stage<A>; 4]) {
        if stages.iter().all(|stage| stage.rows == Rows::Contiguous) {
            self.update_rows(k);
            return;
        }
        let (rows, columns) = self.x.dim();
        let (height, width) = if rows == 1 { (1, ROWS * COLUMNS) } else { (ROWS, COLUMNS) };
        for top in (0..rows).step_by(height) {
            for left in (0..columns).step_by(width) {
                let at = [top..rows.min(top + height), left..columns.min(left + width)];
                self.tile(&at).update_staged(k, stages);
            }
        }
    }

    /// The part in a range of rows and a range of columns.
    fn tile(&mut self, at: &[Range<usize>; 2]) -> Plane<'_, A> {
        Plane {
            x: cut(self.x.view_mut(), at),
            g: cut(self.g.view(), at),
            m: cut(self.m.view_mut(), at),
            u: cut(self.u.view_mut(), at),
        }
    }

    /// Steps one tile, by way of the stack where rows are not contiguous.
    fn update_staged(mut self, k: &Coefficients<A>, [x, g, m, u]: &mut [Stage<A>; 4]) {
        Plane {
            x: x.rows_mut(&mut self.x),
            g: g.rows(&self.g),
            m: m.rows_mut(&mut self.m),
            u: u.rows_mut(&mut self.u),
        }
        .update_rows(k);
        x.store(&mut self.x);
        m.store(&mut self.m);
        u.store(&mut self.u);
    }

    /// Steps row by row, all rows being contiguous.
    fn update_rows(mut self, k: &Coefficients<A>) {
        Zip::from(self.x.rows_mut())
            .and(self.g.rows())
            .and(self.m.rows_mut())
            .and(self.u.rows_mut())
            .for_each(|x, g, m, u| {
                if let (Some(x), Some(g), Some(m), Some(u)) =
                    (x.into_slice(), g.to_slice(), m.into_slice(), u.into_slice())
                {
                    lanes::update(k, Lane { x, g, m, u });
                }
            });
    }
}

/// The part of a view in a range of rows and a range of columns.
fn cut<S: RawData>(
    mut view: ArrayBase<S, Ix2>,
    [rows, columns]: &[Range<usize>; 2],
) -> ArrayBase<S, Ix2> {
    view.slice_axis_inplace(Axis(0), rows.clone().into());
    view.slice_axis_inplace(Axis(1), columns.clone().into());
    view
}

/// Sides of a tile: whole cache lines along either, and copies that stay in the first-level cache.
const ROWS: usize = 16;
const COLUMNS: usize = 64;

/// How the rows of one array lie in memory.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    Contiguous,
    /// To be copied row by row.
    Strided,
    /// To be copied column by column, because columns are closer in memory.
    Crosswise,
}

/// Room on the stack for a tile of one array, and whether it is needed.
pub(crate) struct Stage<A> {
    rows: Rows,
    copy: Option<Copy<A>>,
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

    /// The tile with contiguous rows: itself or a copy.
    fn rows<'a>(&'a mut self, tile: &'a ArrayView2<'_, A>) -> ArrayView2<'a, A> {
        self.load(tile);
        match &self.copy {
            None => tile.view(),
            Some(copy) => view(tile.dim(), copy),
        }
    }

    /// The tile with contiguous rows: itself or a copy, which is to be [`store`](Self::store)d.
    fn rows_mut<'a>(&'a mut self, tile: &'a mut ArrayViewMut2<'_, A>) -> ArrayViewMut2<'a, A> {
        self.load(&tile.view());
        match &mut self.copy {
            None => tile.view_mut(),
            Some(copy) => view_mut(tile.dim(), copy),
        }
    }

    fn load(&mut self, tile: &ArrayView2<'_, A>) {
        if self.rows == Rows::Contiguous {
            return;
        }
        let copy = self.copy.get_or_insert([[A::ZERO; COLUMNS]; ROWS]);
        assign(self.rows, view_mut(tile.dim(), copy), tile);
    }

    fn store(&self, tile: &mut ArrayViewMut2<'_, A>) {
        if let Some(copy) = &self.copy {
            let copy = view(tile.dim(), copy);
            assign(self.rows, tile.view_mut(), &copy);
        }
    }
}

/// Copies a tile one way or the other, in the order in which the one that is no copy lies in memory.
fn assign<A: Real>(rows: Rows, mut to: ArrayViewMut2<'_, A>, from: &ArrayRef<A, Ix2>) {
    if rows == Rows::Crosswise {
        // For short rows faster than `assign`, which makes a `Zip` for each.
        let columns = Zip::from(to.reversed_axes()).and(from.t());
        columns.for_each(|to, from| *to = *from);
    } else {
        to.assign(from);
    }
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
