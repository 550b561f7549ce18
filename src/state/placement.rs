//! How the arrays that the crate makes lie in memory: in which order of axes, and where.

use alloc::{vec, vec::Vec};
use core::cmp::Reverse;

use ndarray::{Array, Array1, ArrayRef, Axis, Dimension, IxDyn, LayoutRef};

use crate::real::Real;

/// Zeros of the shape of `like`, without gaps, in its memory order.
pub(crate) fn zeros_in_order_of<A: Real, D: Dimension>(like: &LayoutRef<A, D>) -> Array<A, IxDyn> {
    in_order_of(like, Array::zeros)
}

/// The values of an array in the memory order of `like`, which has the same shape.
pub(crate) fn copy_in_order_of<A: Real, D: Dimension>(
    values: &Array<A, IxDyn>,
    like: &LayoutRef<A, D>,
) -> Array<A, IxDyn> {
    let mut copy = zeros_in_order_of(like);
    copy.assign(values);
    copy
}

/// Two arrays of zeros to be walked in lock-step with `like`, in its memory order.
///
/// They begin at a cache line, and the three are apart within a page. (The allocator gives arrays of
/// 2ⁿ bytes addresses that differ by little more than multiples of a page. A processor that looks for
/// earlier stores to the place it loads from compares the last twelve bits of addresses, and waits
/// for stores to the other arrays: measured, up to 2.3 times the time of a step where arrays are in
/// cache. Vectors across lines cost another tenth.)
pub(crate) fn zeros_beside<A: Real, D: Dimension>(like: &ArrayRef<A, D>) -> [Array<A, IxDyn>; 2] {
    let spare = spare(like.len().saturating_mul(size_of::<A>()));
    if spare == 0 {
        return [(); 2].map(|()| zeros_in_order_of(like));
    }
    let x = like.as_ptr().addr();
    let m = in_order_of(like, |shape| zeros_apart(&[x], spare, shape));
    let u = in_order_of(like, |shape| zeros_apart(&[x, m.as_ptr().addr()], spare, shape));
    [m, u]
}

const PAGE: usize = 1 << 12;
const LINE: usize = 1 << 6;

/// How many bytes more an array of so many bytes gets, to choose its place in: none if it is short,
/// and not more than half of it.
fn spare(bytes: usize) -> usize {
    if bytes < PAGE / 2 { 0 } else { (bytes / 2).min(PAGE) }
}

/// Zeros in row-major order at a place that is as far as can be, within a page, from some addresses.
fn zeros_apart<A: Real>(others: &[usize], spare: usize, shape: Vec<usize>) -> Array<A, IxDyn> {
    let length: usize = shape.iter().product();
    let zeros = vec![A::ZERO; length + spare / size_of::<A>()];
    let from = zeros.as_ptr().addr();
    let places = (from.next_multiple_of(LINE)..=from + spare).step_by(LINE);
    let distance = |place: usize| others.iter().map(|&other| within_page(place, other)).min();
    let place = places.max_by_key(|&place| distance(place)).unwrap_or(from);
    let start = (place - from) / size_of::<A>();
    let mut zeros = Array1::from_vec(zeros);
    zeros.slice_axis_inplace(Axis(0), (start..start + length).into());
    zeros.into_shape_with_order(shape.as_slice()).unwrap_or_else(|_| Array::zeros(shape))
}

/// The distance of two addresses, where all pages lie on top of each other and are closed to a ring.
fn within_page(a: usize, b: usize) -> usize {
    let up = a.wrapping_sub(b) % PAGE;
    up.min(PAGE - up)
}

/// An array without gaps in the memory order of `like`, from one in row-major order that `make`
/// makes of a shape.
fn in_order_of<A: Real, D: Dimension>(
    like: &LayoutRef<A, D>,
    make: impl FnOnce(Vec<usize>) -> Array<A, IxDyn>,
) -> Array<A, IxDyn> {
    // Sorting the axes by stride, outermost first, gives the order of memory; an array made in that
    // order gets its axes swapped back, the last swap first.
    let mut axes: Vec<usize> = (0..like.ndim()).collect();
    axes.sort_by_key(|&axis| Reverse(like.stride_of(Axis(axis)).unsigned_abs()));
    let shape: Vec<usize> = axes.iter().map(|&axis| like.len_of(Axis(axis))).collect();
    let mut place = vec![0; axes.len()];
    for (position, &axis) in axes.iter().enumerate() {
        if let Some(place) = place.get_mut(axis) {
            *place = position;
        }
    }
    let mut array = make(shape).permuted_axes(place);
    for axis in (0..like.ndim()).map(Axis) {
        if like.stride_of(axis) < 0 {
            array.invert_axis(axis);
        }
    }
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3, ShapeBuilder};

    #[test]
    fn moments_are_apart_from_the_parameter_and_each_other() {
        fn check<A: Real>(length: usize, expected: usize) {
            // Wherever the parameter is.
            for skipped in 0..40 {
                let mut x = Array1::from_elem(skipped + length, A::ONE);
                x.slice_axis_inplace(Axis(0), (skipped..).into());
                let [m, u] = zeros_beside(&x);
                for array in [&m, &u] {
                    assert_eq!((array.as_ptr().addr() % LINE, array.sum()), (0, A::ZERO));
                }
                let [x, m, u] = [x.as_ptr().addr(), m.as_ptr().addr(), u.as_ptr().addr()];
                for (a, b) in [(x, m), (m, u), (u, x)] {
                    let distance = within_page(a, b);
                    assert!(distance >= expected, "{length} {}: {distance}", A::NAME);
                }
            }
        }
        check::<f64>(1024, PAGE / 4 - LINE);
        check::<f32>(4096, PAGE / 4 - LINE);
        check::<f32>(100_003, PAGE / 4 - LINE);
        // With less to choose from, if they would be on top of each other without a choice.
        check::<f64>(256, PAGE / 16);
    }

    #[test]
    fn distances_are_around_the_ring() {
        for (a, b, distance) in
            [(0, 0, 0), (0, 4095, 1), (4096, 1, 1), (5000, 0, 904), (0, 2048, 2048)]
        {
            assert_eq!((within_page(a, b), within_page(b, a)), (distance, distance));
        }
    }

    #[test]
    fn memory_grows_by_no_more_than_half_nor_a_page() {
        for (length, more) in
            [(0, 0), (1, 0), (255, 0), (256, 128), (1000, 500), (1024, 512), (99_999, 512)]
        {
            for moment in zeros_beside(&Array1::<f64>::zeros(length)) {
                assert_eq!(moment.into_raw_vec_and_offset().0.capacity(), length + more);
            }
        }
    }

    #[test]
    fn any_order_of_axes_is_kept() {
        let c = Array3::<f64>::ones((20, 30, 40));
        let permuted = c.clone().permuted_axes([1, 2, 0]);
        let mut reversed = c.clone();
        reversed.invert_axis(Axis(1));
        let small = Array2::<f64>::ones((2, 3).f());
        for like in [c.into_dyn(), permuted.into_dyn(), reversed.into_dyn(), small.into_dyn()] {
            for zeros in zeros_beside(&like) {
                assert_eq!((zeros.shape(), zeros.strides()), (like.shape(), like.strides()));
                assert!(
                    zeros.as_slice_memory_order().is_some_and(|values| values.len() == like.len())
                );
            }
        }
    }
}
