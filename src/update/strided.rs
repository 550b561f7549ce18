//! Updates of large arrays in several memory orders: the axes are brought into an order that suits
//! memory, and planes of two axes are updated one after the other.

use ndarray::{Axis, Ix2, IxDyn};

use super::{
    coefficients::Coefficients, contiguous::Observe, operands::Views, plane::TileBuffers,
    tile_buffer::TileBuffer,
};
use crate::real::Real;

impl<A: Real> Views<'_, A, IxDyn> {
    /// Brings the axes into an order that suits memory.
    pub(super) fn arranged(mut self) -> Self {
        if self.x.is_empty() {
            return self;
        }
        self.sort_axes();
        let mut merged = self.merge_axes();
        merged.choose_plane();
        merged
    }

    fn swap_axes(&mut self, a: usize, b: usize) {
        if a != b {
            for layout in self.layouts() {
                layout.swap_axes(a, b);
            }
        }
    }

    /// Sorts the axes into the memory order of the parameter, outermost first. All of them run
    /// forwards then.
    fn sort_axes(&mut self) {
        let axes = self.x.ndim();
        for axis in (0..axes).map(Axis) {
            if self.x.stride_of(axis) < 0 {
                for layout in self.layouts() {
                    layout.invert_axis(axis);
                }
            }
        }
        for position in 0..axes {
            let outermost =
                (position..axes).max_by_key(|&axis| (self.x.stride_of(Axis(axis)), axes - axis));
            self.swap_axes(position, outermost.unwrap_or(position));
        }
    }

    /// Merges axes that follow each other without a gap in all four arrays, and drops axes of
    /// length 1.
    fn merge_axes(mut self) -> Self {
        let axes = self.x.ndim();
        let mut into = Axis(axes.saturating_sub(1));
        for take in (0..axes.saturating_sub(1)).rev().map(Axis) {
            let Ok(length) = isize::try_from(self.x.len_of(into)) else { continue };
            let gapless = self
                .layouts()
                .into_iter()
                .all(|layout| layout.stride_of(take) == layout.stride_of(into) * length);
            if gapless {
                for layout in self.layouts() {
                    layout.merge_axes(take, into);
                }
            } else {
                into = take;
            }
        }
        for axis in (0..axes).rev().map(Axis) {
            if self.x.len_of(axis) == 1 {
                self = self.index(axis);
            }
        }
        self
    }

    /// Chooses the last two axes. The last is already the innermost of the parameter. The one before
    /// it becomes the innermost of an array in another order, if there is one.
    fn choose_plane(&mut self) {
        let Some(last) = self.x.ndim().checked_sub(1) else { return };
        let other = self.layouts().into_iter().find_map(|layout| {
            let stride = |axis: usize| layout.stride_of(Axis(axis)).unsigned_abs();
            (0..last).min_by_key(|&axis| stride(axis)).filter(|&axis| stride(axis) < stride(last))
        });
        if let Some(axis) = other {
            self.swap_axes(axis, last - 1);
        }
    }

    /// Updates each element, plane by plane. The last two axes span a plane.
    pub(super) fn update<S: Observe<A>>(mut self, k: &Coefficients<A>) -> S {
        if self.x.is_empty() {
            return S::EMPTY;
        }
        while self.x.ndim() < 2 {
            self = self.insert_axis();
        }
        let mut buffers = self.as_mut().map(
            |view| TileBuffer::for_rows_of(view.as_ref()),
            |view| TileBuffer::for_rows_of(view.as_ref()),
        );
        self.update_planes(k, &mut buffers)
    }

    fn update_planes<S: Observe<A>>(
        mut self,
        k: &Coefficients<A>,
        buffers: &mut TileBuffers<A>,
    ) -> S {
        if self.x.ndim() == 2 {
            let plane = self
                .map(|view| view.into_dimensionality().ok(), |view| view.into_dimensionality().ok())
                .transpose();
            debug_assert!(plane.is_some(), "two axes");
            return plane.map_or(S::EMPTY, |plane: Views<'_, A, Ix2>| plane.update(k, buffers));
        }
        let outer = Axis(0);
        let inner =
            self.as_mut().map(|view| view.axis_iter_mut(outer), |view| view.axis_iter(outer));
        let (m, u) = (inner.m, inner.u);
        inner.x.zip(inner.g).zip(m.zip(u)).fold(S::EMPTY, |mut summary, ((x, g), (m, u))| {
            summary.join(Views { x, g, m, u }.update_planes(k, buffers));
            summary
        })
    }
}
