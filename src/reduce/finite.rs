//! Checks for NaN, infinities, very large numbers and negative norms.

use alloc::vec::Vec;
use core::slice;

use ndarray::{ArrayRef, Axis, Dimension};

use super::{Elements, Reduce};
use crate::{
    error::{Detail, Error, Role},
    layout::with_static_dimension,
    par::{All, Execute, Split, Summary},
    real::Real,
    simd::{Loop, are_few, dispatch},
};

/// The margin of moderate numbers, which are below a quarter of the smallest number that is infinite.
/// Two of them can be added, and a mean be rounded up, without overflow.
pub(crate) const MODERATE: u16 = 2;

/// The check that no element is NaN, infinite, or within a margin of infinity.
pub(crate) struct Below<'a, A, D> {
    elements: Elements<'a, A, D>,
    margin: u16,
}

impl<A: Real, D: Dimension> Split for Below<'_, A, D> {
    #[inline]
    fn len(&self) -> usize {
        self.elements.len()
    }

    /// Splits anywhere: the order of elements does not matter.
    fn split(self) -> Result<(Self, Self), Self> {
        let Below { elements, margin } = self;
        let Elements::Gapless { values, shape, order } = elements else {
            return Err(Below { elements, margin });
        };
        let (a, b) = values.split_at(values.len() / 2);
        let part = |values| Below { elements: Elements::Gapless { values, shape, order }, margin };
        Ok((part(a), part(b)))
    }
}

impl<'a, A: Real, D: Dimension> Reduce<'a, A, D> for Below<'a, A, D> {
    type Summary = All;

    /// Asks for moderate numbers.
    #[inline(always)]
    fn new(elements: Elements<'a, A, D>) -> Self {
        Below { elements, margin: MODERATE }
    }

    #[inline(always)]
    fn add_to(self, all: &mut All) {
        *all = All(all.0 && self.holds());
    }
}

impl<A: Real, D: Dimension> Below<'_, A, D> {
    #[inline(always)]
    fn holds(&self) -> bool {
        let margin = self.margin;
        match self.elements {
            Elements::Gapless { values, .. } => slice_is_below(values, margin),
            Elements::Gapped(array) | Elements::Rows(array) => {
                let array = array.view().into_dyn();
                with_static_dimension!(array, |array| gapped_is_below(&array, margin))
                    .unwrap_or(false)
            }
        }
    }
}

/// Returns true if no element is NaN, infinite, or within a margin of infinity, in powers of two.
#[inline(always)]
pub(crate) fn all_below<A: Real, D: Dimension>(
    execute: impl Execute,
    elements: Elements<'_, A, D>,
    margin: u16,
) -> bool {
    let check = Below { elements, margin };
    if execute.splits(check.len()) {
        let mut all = All::EMPTY;
        execute.run_into(check, &mut all, Below::add_to);
        all.0
    } else {
        check.holds()
    }
}

/// Returns true if no element is NaN or infinite.
#[inline(always)]
pub(crate) fn all_finite<A: Real, D: Dimension>(
    execute: impl Execute,
    elements: Elements<'_, A, D>,
) -> bool {
    all_below(execute, elements, 0)
}

#[inline(always)]
fn slice_is_below<A: Real>(values: &[A], margin: u16) -> bool {
    dispatch(AllBelow { values, margin })
}

struct AllBelow<'a, A> {
    values: &'a [A],
    margin: u16,
}

impl<A: Real> Loop for AllBelow<'_, A> {
    type Output = bool;

    #[inline(always)]
    fn run(&mut self) -> bool {
        A::all_below(self.values, self.margin)
    }

    #[inline(always)]
    fn is_short(&self) -> bool {
        are_few(self.values)
    }
}

fn gapped_is_below<A: Real, D: Dimension>(array: &ArrayRef<A, D>, margin: u16) -> bool {
    let is_below = |value: &A| A::all_below(slice::from_ref(value), margin);
    array.lanes(densest_axis(array)).into_iter().all(|lane| match lane.to_slice() {
        Some(values) => slice_is_below(values, margin),
        None => lane.iter().all(is_below),
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
        Elements::Gapped(array) | Elements::Rows(array) => array.iter().any(|&value| is_bad(value)),
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

/// Returns the index of the element at a position in logical order.
pub(crate) fn index_of(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<_> = shape
        .iter()
        .rev()
        .map(|&length| {
            let length = length.max(1);
            let place = position % length;
            position /= length;
            place
        })
        .collect();
    index.reverse();
    index
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
    use ndarray::{ArrayView, ShapeBuilder, arr0};

    #[test]
    fn every_place_is_checked() {
        for length in 0..=70 {
            let mut values = alloc::vec![-f64::MAX; length];
            assert!(slice_is_below(&values, 0), "length {length}");
            for at in 0..length {
                for bad in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    let good = core::mem::replace(&mut values[at], bad);
                    assert!(!slice_is_below(&values, 0), "{bad} at {at} of {length}");
                    values[at] = good;
                }
            }
        }
    }

    #[test]
    fn fewer_values_than_a_vector_has_are_short() {
        let is_short = |length| AllBelow { values: &[0.0; 9][..length], margin: 0 }.is_short();
        assert!(is_short(0) && is_short(3) && !is_short(4) && !is_short(9));
    }

    #[test]
    fn lanes_are_along_the_axis_whose_elements_are_nearest() {
        let axis_of = |shape: [usize; 3], strides: [usize; 3]| {
            let view = ArrayView::from_shape(shape.strides(strides), &[0.0; 24]).unwrap();
            densest_axis(&view).index()
        };
        assert_eq!(axis_of([2, 3, 4], [12, 4, 1]), 2);
        assert_eq!(axis_of([2, 3, 4], [1, 2, 6]), 0);
        assert_eq!(axis_of([2, 3, 4], [3, 1, 6]), 1);
        // The stride of an axis of length 1 does not count.
        assert_eq!(axis_of([1, 3, 4], [1, 1, 3]), 1);
        assert_eq!(axis_of([1, 1, 1], [4, 2, 1]), 0);
    }

    #[test]
    fn an_array_without_axes_is_one_lane() {
        for (value, is_finite) in [(1.0, true), (f64::NAN, false)] {
            assert_eq!(gapped_is_below(&arr0(value), 0), is_finite);
            assert_eq!(gapped_is_below(&arr0(value).into_dyn(), 0), is_finite);
        }
    }

    #[test]
    fn margins_are_powers_of_two() {
        fn check<A: Real>(least: f64) {
            for margin in 1..=u16::try_from(A::MAX_EXP).unwrap() {
                // The largest number below 2^(MAX_EXP − margin), and that power.
                let power = libm::scalbn(1.0, A::MAX_EXP - i32::from(margin));
                for sign in [1.0, -1.0] {
                    let [below, at] = [power * (1.0 - least), power].map(|v| A::from_f64(v * sign));
                    assert!(A::all_below(&[below; 9], margin), "{below:?}, margin {margin}");
                    assert!(!A::all_below(&[below, at], margin), "{at:?}, margin {margin}");
                }
            }
            for margin in [0, 1, u16::MAX] {
                assert!(
                    !A::all_below(&[A::INFINITY], margin) && !A::all_below(&[A::nan()], margin)
                );
                assert!(A::all_below(&[A::ZERO, A::MIN_POSITIVE * A::from_f64(0.5)], margin));
            }
        }
        check::<f64>(f64::EPSILON / 2.0);
        check::<f32>(f64::from(f32::EPSILON) / 2.0);
    }
}
