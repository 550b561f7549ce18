//! Checks for NaN, infinities and negative norms.

use alloc::vec::Vec;

use ndarray::{ArrayRef, Axis, Dimension};

use super::{Elements, Reduce, reduce};
use crate::{
    error::{Detail, Error, Role},
    layout::with_static_dimension,
    par::{All, Execute, Split},
    real::Real,
    simd::{Loop, dispatch},
};

/// The check that no element is NaN or infinite.
pub(crate) struct Finite<'a, A, D>(Elements<'a, A, D>);

impl<A: Real, D: Dimension> Split for Finite<'_, A, D> {
    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }

    /// Splits anywhere: the order of elements does not matter.
    fn split(self) -> Result<(Self, Self), Self> {
        let Elements::Gapless { values, shape, order } = self.0 else { return Err(self) };
        let (a, b) = values.split_at(values.len() / 2);
        let part = |values| Finite(Elements::Gapless { values, shape, order });
        Ok((part(a), part(b)))
    }
}

impl<'a, A: Real, D: Dimension> Reduce<'a, A, D> for Finite<'a, A, D> {
    type Summary = All;

    #[inline(always)]
    fn new(elements: Elements<'a, A, D>) -> Self {
        Finite(elements)
    }

    #[inline(always)]
    fn add_to(self, all: &mut All) {
        *all = All(all.0 && self.holds());
    }
}

impl<A: Real, D: Dimension> Finite<'_, A, D> {
    #[inline(always)]
    fn holds(&self) -> bool {
        match self.0 {
            Elements::Gapless { values, .. } => slice_is_finite(values),
            Elements::Gapped(array) => {
                let array = array.view().into_dyn();
                with_static_dimension!(array, |array| gapped_is_finite(&array)).unwrap_or(false)
            }
        }
    }
}

/// Returns true if no element is NaN or infinite.
#[inline(always)]
pub(crate) fn all_finite<A: Real, D: Dimension>(
    execute: impl Execute,
    elements: Elements<'_, A, D>,
) -> bool {
    if execute.splits(elements.len()) {
        reduce::<A, D, Finite<'_, A, D>>(execute, elements).0
    } else {
        Finite(elements).holds()
    }
}

/// Returns true if no value is NaN or infinite.
#[inline(always)]
fn slice_is_finite<A: Real>(values: &[A]) -> bool {
    dispatch(AllFinite(values))
}

struct AllFinite<'a, A>(&'a [A]);

impl<A: Real> Loop for AllFinite<'_, A> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        A::all_finite(self.0)
    }
}

fn gapped_is_finite<A: Real, D: Dimension>(array: &ArrayRef<A, D>) -> bool {
    if array.ndim() == 0 {
        return array.iter().all(|value| value.is_finite());
    }
    array.lanes(densest_axis(array)).into_iter().all(|lane| match lane.to_slice() {
        Some(values) => slice_is_finite(values),
        None => lane.iter().all(|value| value.is_finite()),
    })
}

/// Returns the axis along which elements are nearest in memory.
fn densest_axis<A, D: Dimension>(array: &ArrayRef<A, D>) -> Axis {
    array
        .axes()
        .filter(|axis| axis.len > 1)
        .min_by_key(|axis| axis.stride.unsigned_abs())
        .map_or(Axis(0), |axis| axis.axis)
}

/// Returns true if `is_bad` holds for any element.
pub(crate) fn any<A: Real, D: Dimension>(
    array: &ArrayRef<A, D>,
    is_bad: impl Fn(A) -> bool,
) -> bool {
    match Elements::of(array) {
        Elements::Gapless { values, .. } => values.iter().any(|&value| is_bad(value)),
        Elements::Gapped(array) => array.iter().any(|&value| is_bad(value)),
    }
}

/// Returns the first element in logical order for which `is_bad` holds, and its index.
#[cold]
pub(crate) fn find<A: Real, D: Dimension>(
    array: &ArrayRef<A, D>,
    is_bad: impl Fn(A) -> bool,
) -> Option<(Vec<usize>, A)> {
    let view = array.view().into_dyn();
    let found = view.indexed_iter().find(|&(_, &value)| is_bad(value));
    found.map(|(index, &value)| (index.as_array_view().to_vec(), value))
}

/// Refuses NaN and infinities, and names the first.
pub(crate) fn check<A: Real, D: Dimension>(
    execute: impl Execute,
    role: Role,
    array: &ArrayRef<A, D>,
) -> Result<(), Error> {
    if all_finite(execute, Elements::of(array)) { Ok(()) } else { Err(refusal(role, array)) }
}

/// Names the first element that is not finite.
#[cold]
pub(crate) fn refusal<A: Real, D: Dimension>(role: Role, array: &ArrayRef<A, D>) -> Error {
    let found = find(array, |value| !value.is_finite());
    debug_assert!(found.is_some(), "called after such an element has been seen");
    let (index, value) = found.unwrap_or_default();
    Detail::NonFinite { role, index, value: value.widen() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_checked() {
        for length in 0..=70 {
            let mut values = alloc::vec![-f64::MAX; length];
            assert!(slice_is_finite(&values), "length {length}");
            for at in 0..length {
                for bad in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    let good = core::mem::replace(&mut values[at], bad);
                    assert!(!slice_is_finite(&values), "{bad} at {at} of {length}");
                    values[at] = good;
                }
            }
        }
    }
}
