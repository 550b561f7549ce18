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
/// Large ones begin at a cache line, and the three are a quarter of a page from each other. (The
/// allocator gives arrays of 2ⁿ bytes addresses that differ by little more than multiples of a
/// page. A processor that looks for earlier stores to the place it loads from compares the last
/// twelve bits of addresses, and waits for stores to the other arrays: measured, up to 2.3 times
/// the time of a step where arrays are in cache. Vectors across lines cost another tenth.)
pub(crate) fn zeros_beside<A: Real, D: Dimension>(like: &ArrayRef<A, D>) -> [Array<A, IxDyn>; 2] {
    [PAGE / 4, PAGE / 2].map(|distance| {
        if size_of::<A>().saturating_mul(like.len()) < LARGE {
            zeros_in_order_of(like)
        } else {
            let address = like.as_ptr().addr().wrapping_add(distance).next_multiple_of(LINE);
            in_order_of(like, |shape| zeros_at(address % PAGE, shape))
        }
    })
}

/// Bytes from which on a page more or less does not matter.
const LARGE: usize = 1 << 14;
const PAGE: usize = 1 << 12;
const LINE: usize = 1 << 6;

/// Zeros in row-major order whose first element has this address within a page.
fn zeros_at<A: Real>(address: usize, shape: Vec<usize>) -> Array<A, IxDyn> {
    let length: usize = shape.iter().product();
    let zeros = vec![A::ZERO; length + PAGE / size_of::<A>()];
    let start = address.wrapping_sub(zeros.as_ptr().addr()) % PAGE / size_of::<A>();
    let mut zeros = Array1::from_vec(zeros);
    zeros.slice_axis_inplace(Axis(0), (start..start + length).into());
    zeros.into_shape_with_order(shape.as_slice()).unwrap_or_else(|_| Array::zeros(shape))
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

    /// Bytes from one place to another within a page, going up.
    fn distance<A>(from: &ArrayRef<A, IxDyn>, to: &ArrayRef<A, IxDyn>) -> usize {
        to.as_ptr().addr().wrapping_sub(from.as_ptr().addr()) % PAGE
    }

    #[test]
    fn large_moments_keep_their_distance_from_the_parameter_and_each_other() {
        fn check<A: Real>(length: usize) {
            // Wherever the parameter is.
            for skipped in 0..40 {
                let mut x = Array1::from_elem(skipped + length, A::ONE);
                x.slice_axis_inplace(Axis(0), (skipped..).into());
                let x = x.into_dyn();
                let [m, u] = zeros_beside(&x);
                for array in [&m, &u] {
                    assert_eq!((array.as_ptr().addr() % LINE, array.sum()), (0, A::ZERO));
                }
                for (from, to) in [(&x, &m), (&m, &u), (&u, &x)] {
                    assert!((PAGE / 4 - LINE..=PAGE / 2).contains(&distance(from, to)));
                }
            }
        }
        check::<f64>(2048);
        check::<f32>(4096);
        check::<f32>(100_003);
    }

    #[test]
    fn memory_grows_by_no_more_than_a_page() {
        for (length, spare) in [(0, 0), (1, 0), (2047, 0), (2048, 512), (100_000, 512)] {
            for moment in zeros_beside(&Array1::<f64>::zeros(length)) {
                assert_eq!(moment.into_raw_vec_and_offset().0.capacity(), length + spare);
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
