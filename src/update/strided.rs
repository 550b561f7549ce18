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
        // The stride of an axis of length 1 means nothing, and could keep its neighbours from being merged.
        self.drop_axes();
        self.sort_axes();
        self.merge_axes();
        self.drop_axes();
        self.choose_plane();
        self
    }

    /// Drops axes of length 1.
    fn drop_axes(&mut self) {
        for axis in (0..self.x.ndim()).rev().map(Axis) {
            if self.x.len_of(axis) == 1 {
                self.remove_axis(axis);
            }
        }
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
            if self.x.stride_of(axis).is_negative() {
                for layout in self.layouts() {
                    layout.invert_axis(axis);
                }
            }
        }
        for position in 0..axes {
            // No two strides are equal: axes of length 1 are gone, and the parameter repeats no element.
            let outermost = (position..axes).max_by_key(|&axis| self.x.stride_of(Axis(axis)));
            self.swap_axes(position, outermost.unwrap_or(position));
        }
    }

    /// Merges axes that follow each other without a gap in all four arrays. An axis that is merged into
    /// another has length 1 then.
    fn merge_axes(&mut self) {
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
        for _ in self.x.ndim()..2 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use ndarray::{Array, AxisDescription, ShapeBuilder, Slice, arr0};

    /// Returns shape and strides of the parameter, and the strides of the gradient, when axes are arranged.
    fn arranged(
        shape: &[usize],
        x_axes: &[usize],
        g_axes: &[usize],
    ) -> (Vec<usize>, Vec<isize>, Vec<isize>) {
        let array = |axes: &[usize]| {
            let in_memory: Vec<_> = axes.iter().map(|&axis| shape[axis]).collect();
            let mut logical = vec![0; axes.len()];
            for (place, &axis) in axes.iter().enumerate() {
                logical[axis] = place;
            }
            Array::<f64, _>::zeros(IxDyn(&in_memory)).permuted_axes(IxDyn(&logical))
        };
        let [mut x, mut m, mut u] = [(); 3].map(|()| array(x_axes));
        let g = array(g_axes);
        let views =
            Views { x: x.view_mut(), g: g.view(), m: m.view_mut(), u: u.view_mut() }.arranged();
        (views.x.shape().to_vec(), views.x.strides().to_vec(), views.g.strides().to_vec())
    }

    #[test]
    fn axes_are_in_the_order_of_the_parameter_and_merged() {
        // All in one order are one axis, whatever that order is; axes of length 1 are dropped.
        for axes in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            assert_eq!(arranged(&[3, 4, 5], &axes, &axes), (vec![60], vec![1], vec![1]));
            assert_eq!(arranged(&[3, 1, 5], &axes, &axes), (vec![15], vec![1], vec![1]));
        }
        let column_major = arranged(&[3, 4], &[1, 0], &[0, 1]);
        assert_eq!(column_major, (vec![4, 3], vec![3, 1], vec![1, 4]));
    }

    #[test]
    fn the_plane_has_the_innermost_axes_of_both_orders() {
        // The axis that is innermost in the gradient comes just before the last one.
        let found = arranged(&[3, 4, 5], &[0, 1, 2], &[2, 1, 0]);
        assert_eq!(found, (vec![4, 3, 5], vec![5, 20, 1], vec![3, 1, 12]));
        let found = arranged(&[3, 4, 5], &[0, 1, 2], &[0, 2, 1]);
        assert_eq!(found, (vec![3, 4, 5], vec![20, 5, 1], vec![20, 1, 4]));
    }

    /// Column-major, the axis of length 1 has the stride of the one after it.
    #[test]
    fn axes_of_length_1_keep_no_others_apart() {
        let orders = [[3, 2, 1, 0], [0, 1, 2, 3], [2, 0, 1, 3]];
        for axes in orders {
            assert_eq!(arranged(&[3, 1, 5, 7], &axes, &axes), (vec![105], vec![1], vec![1]));
        }
        let found = arranged(&[1, 1], &[1, 0], &[0, 1]);
        assert_eq!(found, (vec![], vec![], vec![]));
    }

    #[test]
    fn a_gradient_that_repeats_one_element_has_no_order() {
        let mut arrays = [(); 3].map(|()| Array::<f64, _>::zeros((6, 8, 10)));
        let every = |axis: AxisDescription| if axis.axis == Axis(2) { 1 } else { 2 };
        let [x, m, u] = arrays.each_mut().map(|array| {
            array.slice_each_axis_mut(|axis| Slice::from(..).step_by(every(axis))).into_dyn()
        });
        let g = arr0(1.0);
        let g = g.broadcast(x.raw_dim()).unwrap();
        let views = Views { x, g, m, u }.arranged();
        assert_eq!((views.x.shape(), views.x.strides()), (&[3, 4, 10][..], &[160, 20, 1][..]));
    }

    #[test]
    fn axes_that_run_backwards_are_turned() {
        let mut arrays = [(); 3].map(|()| Array::<f64, _>::zeros((4, 6).f()));
        let g = Array::<f64, _>::zeros((4, 6));
        let [x, m, u] = arrays.each_mut().map(|array| {
            let mut view = array.view_mut();
            view.invert_axis(Axis(0));
            view.into_dyn()
        });
        let mut g = g.view();
        g.invert_axis(Axis(0));
        let views = Views { x, g: g.into_dyn(), m, u }.arranged();
        assert_eq!((views.x.strides(), views.g.strides()), (&[4, 1][..], &[1, 6][..]));
    }
}
