//! Loops over contiguous slices, compiled for several instruction sets and chosen at run time.
//!
//! The loops are plain Rust: each instruction set evaluates the same expressions in the same order
//! without fused multiply-add, so the bits agree on all of them.

use crate::{
    kernel::{Coefficients, Guard, guard},
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
        // `&`, not `&&`: without an early exit the loop vectorises.
        self.0.iter().fold(true, |all, value| all & (value.abs() < A::INFINITY))
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
