//! How two-dimensional arrays are walked: row by row, rows being made contiguous where they are not.

use core::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, Zip};

use crate::{
    real::Real,
    update::coefficients::Coefficients,
    update::contiguous::{self, Lane},
    update::tile_buffer::{COLUMNS, ROWS, Stage, cut},
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
        if stages.iter().all(Stage::is_idle) {
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
                    contiguous::update(k, Lane { x, g, m, u });
                }
            });
    }
}
