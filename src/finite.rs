//! Looking for values that must not be there.

use alloc::vec::Vec;

use ndarray::{ArrayRef, Axis, Dimension, IxDyn};

use crate::{
    error::{Detail, Error, Role},
    lanes,
    real::Real,
    tensor::Tensor,
};

/// Whether no element is NaN or infinite.
#[inline]
pub(crate) fn all_finite<A: Real, T: Tensor<A> + ?Sized>(tensor: &T) -> bool {
    if let Some(values) = tensor.as_slice() {
        return lanes::all_finite(values);
    }
    match tensor.as_slice_memory_order() {
        Some(values) => lanes::all_finite(values),
        None => all_finite_strided(&tensor.view()),
    }
}

fn all_finite_strided<A: Real>(view: &ArrayRef<A, IxDyn>) -> bool {
    if view.ndim() == 0 {
        return view.iter().all(|value| value.is_finite());
    }
    view.lanes(fastest_axis(view)).into_iter().all(|lane| match lane.to_slice() {
        Some(values) => lanes::all_finite(values),
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

/// The first element, in logical order, that `is_bad`, and its index.
#[cold]
pub(crate) fn find<A: Real, T: Tensor<A> + ?Sized>(
    tensor: &T,
    is_bad: impl Fn(A) -> bool,
) -> Option<(Vec<usize>, A)> {
    let view = tensor.view();
    let found = view.indexed_iter().find(|&(_, &value)| is_bad(value));
    found.map(|(index, &value)| (index.as_array_view().to_vec(), value))
}

/// Refuses NaN and infinities, naming the first.
pub(crate) fn check<A: Real, T: Tensor<A> + ?Sized>(role: Role, tensor: &T) -> Result<(), Error> {
    if all_finite(tensor) {
        return Ok(());
    }
    // The default is for an element that was found bad and is not any more: not possible.
    let (index, value) = find(tensor, |value| !value.is_finite()).unwrap_or_default();
    Err(Detail::NonFinite { role, index, value: value.to_f64() }.into())
}
