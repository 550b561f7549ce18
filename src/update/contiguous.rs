//! Loops over contiguous slices, each compiled for several instruction sets.

use crate::{
    real::Real,
    rule::EpsilonPlacement,
    simd::{Loop, dispatch},
    update::coefficients::{self, Coefficients, Guard, guard},
};

/// The four arrays of one step, as slices of one length whose elements belong together.
#[derive(Default)]
pub(crate) struct Lane<'a, A> {
    pub(crate) x: &'a mut [A],
    pub(crate) g: &'a [A],
    pub(crate) m: &'a mut [A],
    pub(crate) u: &'a mut [A],
}

/// Steps each element of a lane.
#[inline(always)]
pub(crate) fn update<A: Real>(k: &Coefficients<A>, lane: Lane<'_, A>) {
    match (k.prepares_gradient(), k.decays()) {
        (false, false) => update_guarded::<A, false, false>(k, lane),
        (false, true) => update_guarded::<A, false, true>(k, lane),
        (true, false) => update_guarded::<A, true, false>(k, lane),
        (true, true) => update_guarded::<A, true, true>(k, lane),
    }
}

#[inline(always)]
fn update_guarded<A: Real, const PREPARE: bool, const DECAY: bool>(
    k: &Coefficients<A>,
    lane: Lane<'_, A>,
) {
    match k.guard() {
        Guard::Epsilon(EpsilonPlacement::Outside) => {
            dispatch(Update::<A, PREPARE, DECAY, { guard::OUTSIDE }> { k, lane });
        }
        Guard::Epsilon(EpsilonPlacement::InsideMax) => {
            dispatch(Update::<A, PREPARE, DECAY, { guard::INSIDE_MAX }> { k, lane });
        }
        Guard::Epsilon(EpsilonPlacement::Accumulated) => {
            dispatch(Update::<A, PREPARE, DECAY, { guard::ACCUMULATED }> { k, lane });
        }
        Guard::None => dispatch(Update::<A, PREPARE, DECAY, { guard::NONE }> { k, lane }),
    }
}

struct Update<'a, A, const PREPARE: bool, const DECAY: bool, const GUARD: u8> {
    k: &'a Coefficients<A>,
    lane: Lane<'a, A>,
}

impl<A: Real, const PREPARE: bool, const DECAY: bool, const GUARD: u8> Loop
    for Update<'_, A, PREPARE, DECAY, GUARD>
{
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Lane { x, g, m, u } = self.lane;
        update_slices::<A, PREPARE, DECAY, GUARD>(*self.k, x, g, m, u);
    }
}

/// Its arguments are slices, not fields, because only an argument tells the compiler that it
/// overlaps with no other; and it is `inline`, not `inline(always)`, because the compiler forgets
/// that again where it inlines early.
#[inline]
fn update_slices<A: Real, const PREPARE: bool, const DECAY: bool, const GUARD: u8>(
    k: Coefficients<A>,
    x: &mut [A],
    g: &[A],
    m: &mut [A],
    u: &mut [A],
) {
    for (((x, g), m), u) in x.iter_mut().zip(g).zip(m.iter_mut()).zip(u.iter_mut()) {
        (*x, *m, *u) = k.element::<PREPARE, DECAY, GUARD>(*x, *g, *m, *u);
    }
}

/// Whether no value is NaN or infinite.
#[inline]
pub(crate) fn all_finite<A: Real>(values: &[A]) -> bool {
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

/// The sum of the squares, in f64 and in one fixed order, each value going through `scale` first.
#[inline]
pub(crate) fn sum_of_squares<A: Real>(values: &[A], scale: impl Fn(f64) -> f64) -> f64 {
    dispatch(SumOfSquares { values, scale })
}

struct SumOfSquares<'a, A, S> {
    values: &'a [A],
    scale: S,
}

impl<A: Real, S: Fn(f64) -> f64> Loop for SumOfSquares<'_, A, S> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        // As many sums side by side as it takes to hide the latency of an addition.
        const SUMS: usize = 16;
        let mut sums = [0.0; SUMS];
        let square = |value: A| {
            let scaled = (self.scale)(value.widen());
            scaled * scaled
        };
        let mut chunks = self.values.chunks_exact(SUMS);
        for chunk in &mut chunks {
            sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += square(*value));
        }
        let rest = chunks.remainder();
        sums.iter_mut().zip(rest).for_each(|(sum, value)| *sum += square(*value));
        // In halves: four additions one after the other, not sixteen.
        let mut sums: &mut [f64] = &mut sums;
        while sums.len() > 1 {
            let (half, other) = sums.split_at_mut(sums.len() / 2);
            half.iter_mut().zip(other).for_each(|(sum, other)| *sum += *other);
            sums = half;
        }
        sums.iter().sum()
    }
}

/// Moves each mean by `weight` of its way to its value.
pub(crate) fn approach<A: Real>(weight: A, mean: &mut [A], values: &[A]) {
    dispatch(Approach { weight, mean, values });
}

struct Approach<'a, A> {
    weight: A,
    mean: &'a mut [A],
    values: &'a [A],
}

impl<A: Real> Loop for Approach<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (mean, value) in self.mean.iter_mut().zip(self.values) {
            *mean = coefficients::approach(self.weight, *mean, *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_looked_at() {
        for length in 0..=70 {
            let mut values = alloc::vec![-f64::MAX; length];
            assert!(all_finite(&values), "length {length}");
            for at in 0..length {
                for bad in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    let good = core::mem::replace(&mut values[at], bad);
                    assert!(!all_finite(&values), "{bad} at {at} of {length}");
                    values[at] = good;
                }
            }
        }
    }
}
