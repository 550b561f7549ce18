//! Looking for values that must not be there.

use alloc::vec::Vec;

use ndarray::{ArrayRef, Axis, Dimension};

use crate::{
    error::{Detail, Error, Role},
    par::Fork,
    real::Real,
    update::contiguous,
};

/// Whether no element is NaN or infinite.
#[inline]
pub(crate) fn all_finite<A: Real, D: Dimension>(fork: impl Fork, array: &ArrayRef<A, D>) -> bool {
    match array.as_slice().or_else(|| array.as_slice_memory_order()) {
        Some(values) => all_finite_lane(fork, values),
        None => all_finite_strided(array),
    }
}

#[inline(always)]
pub(crate) fn all_finite_lane<A: Real>(fork: impl Fork, values: &[A]) -> bool {
    fork.all(values, contiguous::all_finite)
}

fn all_finite_strided<A: Real, D: Dimension>(view: &ArrayRef<A, D>) -> bool {
    if view.ndim() == 0 {
        return view.iter().all(|value| value.is_finite());
    }
    view.lanes(fastest_axis(view)).into_iter().all(|lane| match lane.to_slice() {
        Some(values) => contiguous::all_finite(values),
        None => lane.iter().all(|value| value.is_finite()),
    })
}

/// The axis along which memory is read most densely.
fn fastest_axis<A, D: Dimension>(view: &ArrayRef<A, D>) -> Axis {
    view.axes()
        .filter(|axis| axis.len > 1)
        .min_by_key(|axis| axis.stride.unsigned_abs())
        .map_or(Axis(0), |axis| axis.axis)
}

/// The largest magnitude; NaN if there is one.
#[cold]
pub(crate) fn max_magnitude<A: Real, D: Dimension>(array: &ArrayRef<A, D>) -> A {
    array.iter().fold(A::ZERO, |max, value| max.larger_magnitude(value.abs()))
}

/// The first element, in logical order, that `is_bad`, and its index.
#[cold]
pub(crate) fn find<A: Real, D: Dimension>(
    array: &ArrayRef<A, D>,
    is_bad: impl Fn(A) -> bool,
) -> Option<(Vec<usize>, A)> {
    let view = array.view().into_dyn();
    let found = view.indexed_iter().find(|&(_, &value)| is_bad(value));
    found.map(|(index, &value)| (index.as_array_view().to_vec(), value))
}

/// Refuses NaN and infinities, naming the first.
pub(crate) fn check<A: Real, D: Dimension>(
    fork: impl Fork,
    role: Role,
    array: &ArrayRef<A, D>,
) -> Result<(), Error> {
    if all_finite(fork, array) { Ok(()) } else { Err(refusal(role, array)) }
}

/// Names the first value that is not finite, where there is one.
#[cold]
pub(crate) fn refusal<A: Real, D: Dimension>(role: Role, array: &ArrayRef<A, D>) -> Error {
    // The default is for an element that was found bad and is not any more: not possible.
    let (index, value) = find(array, |value| !value.is_finite()).unwrap_or_default();
    Detail::NonFinite { role, index, value: value.widen() }.into()
}
