//! Loops over contiguous slices, compiled for several instruction sets and chosen at run time.
//!
//! The loops are plain Rust: each instruction set evaluates the same expressions in the same order
//! without fused multiply-add, so the bits agree on all of them.

use crate::{
    kernel::{self, Coefficients, Guard, guard},
    real::Real,
    rule::EpsilonPlacement,
};

/// The four arrays of one step, as slices of one length whose elements belong together.
pub(crate) struct Lane<'a, A> {
    pub(crate) x: &'a mut [A],
    pub(crate) g: &'a [A],
    pub(crate) m: &'a mut [A],
    pub(crate) u: &'a mut [A],
}

impl<'a, A> Lane<'a, A> {
    /// The part before `middle`, which is at most the length, and the part from there on.
    pub(crate) fn split_at(self, middle: usize) -> (Lane<'a, A>, Lane<'a, A>) {
        let (x, x2) = self.x.split_at_mut(middle);
        let (g, g2) = self.g.split_at(middle);
        let (m, m2) = self.m.split_at_mut(middle);
        let (u, u2) = self.u.split_at_mut(middle);
        (Lane { x, g, m, u }, Lane { x: x2, g: g2, m: m2, u: u2 })
    }
}

/// Steps each element of a lane.
#[inline]
pub(crate) fn update<A: Real>(k: &Coefficients<A>, lane: Lane<'_, A>) {
    if k.prepares_gradient() {
        update_guarded::<A, true>(k, lane);
    } else {
        update_guarded::<A, false>(k, lane);
    }
}

#[inline]
fn update_guarded<A: Real, const PREPARE: bool>(k: &Coefficients<A>, lane: Lane<'_, A>) {
    match k.guard() {
        Guard::Epsilon(EpsilonPlacement::Outside) => {
            dispatch(Update::<A, PREPARE, { guard::OUTSIDE }> { k, lane });
        }
        Guard::Epsilon(EpsilonPlacement::InsideMax) => {
            dispatch(Update::<A, PREPARE, { guard::INSIDE_MAX }> { k, lane });
        }
        Guard::Epsilon(EpsilonPlacement::Accumulated) => {
            dispatch(Update::<A, PREPARE, { guard::ACCUMULATED }> { k, lane });
        }
        Guard::None => dispatch(Update::<A, PREPARE, { guard::NONE }> { k, lane }),
    }
}

struct Update<'a, A, const PREPARE: bool, const GUARD: u8> {
    k: &'a Coefficients<A>,
    lane: Lane<'a, A>,
}

impl<A: Real, const PREPARE: bool, const GUARD: u8> Loop for Update<'_, A, PREPARE, GUARD> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Lane { x, g, m, u } = self.lane;
        update_slices::<A, PREPARE, GUARD>(*self.k, x, g, m, u);
    }
}

/// Its arguments are slices, not fields, because only an argument tells the compiler that it
/// overlaps with no other; and it is `inline`, not `inline(always)`, because the compiler forgets
/// that again where it inlines early.
#[inline]
fn update_slices<A: Real, const PREPARE: bool, const GUARD: u8>(
    k: Coefficients<A>,
    x: &mut [A],
    g: &[A],
    m: &mut [A],
    u: &mut [A],
) {
    for (((x, g), m), u) in x.iter_mut().zip(g).zip(m.iter_mut()).zip(u.iter_mut()) {
        (*x, *m, *u) = k.element::<PREPARE, GUARD>(*x, *g, *m, *u);
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

/// The sum of the squares, in f64 and in one fixed order, each value multiplied by `factor` first.
#[inline]
pub(crate) fn sum_of_squares<A: Real>(values: &[A], factor: f64) -> f64 {
    dispatch(SumOfSquares { values, factor })
}

struct SumOfSquares<'a, A> {
    values: &'a [A],
    factor: f64,
}

impl<A: Real> Loop for SumOfSquares<'_, A> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        // As many sums side by side as it takes to hide the latency of an addition.
        const SUMS: usize = 16;
        let mut sums = [0.0; SUMS];
        let mut chunks = self.values.chunks_exact(SUMS);
        let add = |sums: &mut [f64; SUMS], values: &[A]| {
            for (sum, value) in sums.iter_mut().zip(values) {
                let scaled = value.widen() * self.factor;
                *sum += scaled * scaled;
            }
        };
        for chunk in &mut chunks {
            add(&mut sums, chunk);
        }
        add(&mut sums, chunks.remainder());
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
            *mean = kernel::approach(self.weight, *mean, *value);
        }
    }
}

/// A loop to be compiled for each instruction set. `run` must be `#[inline(always)]`, so that it
/// becomes part of the function that is compiled for the instruction set.
trait Loop {
    type Output;

    fn run(self) -> Self::Output;
}

#[cfg(feature = "std")]
#[inline(always)]
fn dispatch<L: Loop>(body: L) -> L::Output {
    struct Op<L>(L);

    impl<L: Loop> pulp::NullaryFnOnce for Op<L> {
        type Output = L::Output;

        #[inline(always)]
        fn call(self) -> L::Output {
            self.0.run()
        }
    }

    pulp::Arch::new().dispatch(Op(body))
}

/// Without `std` the processor cannot be asked: the target's own instruction set it is.
#[cfg(not(feature = "std"))]
#[inline(always)]
fn dispatch<L: Loop>(body: L) -> L::Output {
    body.run()
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
