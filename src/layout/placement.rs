//! The memory addresses of the arrays that the crate makes.

use alloc::{boxed::Box, vec, vec::Vec};
use core::hint;

use ndarray::{Array, Array1, ArrayRef, Axis, Dimension, IxDyn, LayoutRef};

use super::order::Order;
use crate::{
    error::{Detail, Error, Role},
    real::Real,
};

/// Refuses a parameter that is too large to be copied.
///
/// A view that repeats its elements (`broadcast`) has any shape, and takes hardly any memory.
pub(crate) fn check_memory<A: Real, D: Dimension>(param: &LayoutRef<A, D>) -> Result<(), Error> {
    let length = param.raw_dim().size_checked();
    if length.is_some_and(has_memory::<A>) { Ok(()) } else { Err(too_large(param.shape())) }
}

/// Returns zeros of the shape of `like`, gapless and in its memory order, of any precision.
///
/// # Errors
/// [`Detail::TooLarge`] if there is no memory for them.
pub(crate) fn zeros_in_order_of<A: Real, B, D: Dimension>(
    like: &LayoutRef<B, D>,
) -> Result<Array<A, IxDyn>, Error> {
    let order = Order::to_make(like);
    let zeros = zeros(&order.shape_in_memory(like.shape()));
    zeros.map(|zeros| order.to_logical(zeros)).ok_or_else(|| too_large(like.shape()))
}

/// Returns two row-major arrays of zeros of a shape in memory order, for the moments of `param`.
///
/// # Errors
/// [`Detail::TooLarge`] if there is no memory for them.
///
/// They begin at a cache line, and the three arrays are far apart within a page. (An allocator gives
/// arrays of 2ⁿ bytes addresses that differ by little more than multiples of a page. Processors
/// compare the last twelve bits of addresses to find earlier stores to a place that is loaded, and
/// wait for stores to the other arrays. Measured in cache: steps take up to 2.3 times as long.
/// Vectors that cross cache lines cost another tenth.)
pub(crate) fn zeros_beside<A: Real, D: Dimension>(
    param: &ArrayRef<A, D>,
    shape: &IxDyn,
) -> Result<[Array<A, IxDyn>; 2], Error> {
    let make = || {
        let padding = padding(param.len().saturating_mul(size_of::<A>()));
        if padding == 0 {
            return Some([zeros(shape)?, zeros(shape)?]);
        }
        let x = param.as_ptr().addr();
        let m: Array<A, IxDyn> = zeros_apart(&[x], padding, shape)?;
        let u = zeros_apart(&[x, m.as_ptr().addr()], padding, shape)?;
        Some([m, u])
    };
    make().ok_or_else(|| too_large(param.shape()))
}

/// Returns a counter for each row of a table.
///
/// # Errors
/// [`Detail::TooLarge`] if there is no memory for them. A table whose rows are empty can have any number.
pub(crate) fn counters<A, D: Dimension>(table: &LayoutRef<A, D>) -> Result<Box<[u64]>, Error> {
    let rows = table.shape().first().copied().unwrap_or_default();
    if has_memory::<f64>(rows) { Ok(vec![0; rows].into()) } else { Err(too_large(table.shape())) }
}

#[cold]
fn too_large(shape: &[usize]) -> Error {
    Detail::TooLarge { role: Role::Parameter, shape: shape.to_vec() }.into()
}

/// Returns true if so many elements can be allocated now.
///
/// `vec!` alone would panic at a size above `isize::MAX`, and end the process where there is no memory.
/// But only it gets memory that the system fills with zeros when it is first touched. So a large size
/// is tried first.
fn has_memory<A: Real>(length: usize) -> bool {
    if !is_large::<A>(length) {
        return true;
    }
    let mut trial = Vec::<A>::new();
    let allowed = trial.try_reserve_exact(length).is_ok();
    // The compiler may take an allocation that nobody sees for one that succeeds.
    hint::black_box(&trial);
    allowed
}

/// Returns true if so many elements take a mebibyte or more. Where less is not to be had, every program is at
/// its end.
fn is_large<A>(length: usize) -> bool {
    length.saturating_mul(size_of::<A>()) >= 1 << 20
}

/// Returns zeros, or `None` if there is no memory for them.
fn zero_elements<A: Real>(length: usize) -> Option<Vec<A>> {
    has_memory::<A>(length).then(|| vec![A::ZERO; length])
}

/// Returns row-major zeros, or `None` if there is no memory for them.
fn zeros<A: Real>(shape: &IxDyn) -> Option<Array<A, IxDyn>> {
    Array::from_shape_vec(shape.clone(), zero_elements(shape.size_checked()?)?).ok()
}

/// Addresses that agree modulo this are confused by the processor.
const PAGE: usize = 1 << 12;
/// A cache line.
const LINE: usize = 1 << 6;

/// Returns the bytes that are allocated in addition, so that the start of an array can be shifted:
/// none for a short array, at most half of its size.
fn padding(bytes: usize) -> usize {
    if bytes < PAGE / 2 { 0 } else { (bytes / 2).min(PAGE) }
}

/// Returns row-major zeros that start as far as possible, within a page, from other addresses.
fn zeros_apart<A: Real>(
    others: &[usize],
    padding: usize,
    shape: &IxDyn,
) -> Option<Array<A, IxDyn>> {
    let length = shape.size_checked()?;
    let zeros: Vec<A> = zero_elements(length.checked_add(padding / size_of::<A>())?)?;
    let from = zeros.as_ptr().addr();
    let places = (from.next_multiple_of(LINE)..=from + padding).step_by(LINE);
    let distance = |place: usize| others.iter().map(|&other| within_page(place, other)).min();
    let place = places.max_by_key(|&place| distance(place)).unwrap_or(from);
    let start = (place - from) / size_of::<A>();
    let mut zeros = Array1::from_vec(zeros);
    zeros.slice_axis_inplace(Axis(0), (start..start + length).into());
    zeros.into_shape_with_order(shape.clone()).ok()
}

/// Returns the distance of two addresses modulo the page size.
fn within_page(a: usize, b: usize) -> usize {
    let up = a.wrapping_sub(b) % PAGE;
    up.min(PAGE - up)
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
                let [m, u] = zeros_beside(&x, &IxDyn(&[length])).unwrap();
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
            for moment in zeros_beside(&Array1::<f64>::zeros(length), &IxDyn(&[length])).unwrap() {
                assert_eq!(moment.into_raw_vec_and_offset().0.capacity(), length + more);
            }
        }
    }

    #[test]
    fn a_mebibyte_is_large() {
        assert!(is_large::<f64>(1 << 17) && !is_large::<f64>((1 << 17) - 1));
        assert!(is_large::<f32>(1 << 18) && !is_large::<f32>((1 << 18) - 1));
        assert!(is_large::<f64>(usize::MAX) && !is_large::<f64>(0));
    }

    #[test]
    fn any_order_of_axes_is_kept() {
        let c = Array3::<f64>::ones((20, 30, 40));
        let permuted = c.clone().permuted_axes([1, 2, 0]);
        let mut reversed = c.clone();
        reversed.invert_axis(Axis(1));
        let small = Array2::<f64>::ones((2, 3).f());
        for like in [c.into_dyn(), permuted.into_dyn(), reversed.into_dyn(), small.into_dyn()] {
            let zeros = zeros_in_order_of::<f64, _, _>(&like).unwrap();
            assert_eq!((zeros.shape(), zeros.strides()), (like.shape(), like.strides()));
            assert!(zeros.as_slice_memory_order().is_some());
        }
    }
}
