//! Compilation of a loop for several instruction sets, and the choice among them at run time.
//!
//! The loops are plain Rust. Each instruction set evaluates the same expressions in the same order,
//! without fused multiply-add. So the results have the same bits on all of them.

/// A loop that is compiled for each instruction set. `run` must be `#[inline(always)]`: only then does
/// it become part of the function that is compiled for an instruction set.
///
/// The loop is passed on by reference. By value it would be copied on the way, by loads that are wider
/// than the stores just before. Such loads wait: 4 ns each, of 40 for a step of 16 elements.
pub(crate) trait Loop {
    type Output;

    /// Runs the loop. It is called once.
    fn run(&mut self) -> Self::Output;

    /// Returns true if the loop is too short to gain from wide vectors.
    #[inline(always)]
    fn is_short(&self) -> bool {
        false
    }
}

/// Returns true if the values fill no vector of AVX2. Choosing an instruction set would cost more than
/// it gains: 5 ns of 40 for a step of one element.
#[inline(always)]
pub(crate) fn are_few<A>(values: &[A]) -> bool {
    size_of_val(values) < 32
}

/// Runs a loop on the widest vectors that the processor has, unless it is short.
#[inline(always)]
pub(crate) fn dispatch<L: Loop>(mut body: L) -> L::Output {
    if body.is_short() {
        return body.run();
    }
    #[cfg(all(test, feature = "std"))]
    if let Some(level) = levels::forced() {
        return level.run(&mut body);
    }
    widest(&mut body)
}

/// Compiles the loop for AVX-512, AVX2 and the baseline of x86. AVX-512 needs Rust 1.89; with an older
/// compiler, AVX2 is the widest set. Other processors use the instruction set of the target.
#[cfg(feature = "std")]
#[rustversion::attr(
    since(1.89),
    multiversion::multiversion(
        targets("x86_64+avx2+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2", "x86+avx2"),
        dispatcher = "direct"
    )
)]
#[rustversion::attr(
    before(1.89),
    multiversion::multiversion(targets("x86_64+avx2", "x86+avx2"), dispatcher = "direct")
)]
#[inline(always)]
fn widest<L: Loop>(body: &mut L) -> L::Output {
    if multiversion::target::target_cfg_f!(target_feature = "avx2") {
        body.run()
    } else {
        baseline(body)
    }
}

/// The loop for the instruction set of the target. Where there is a choice, it is a function of its own: as a part
/// of [`widest`], its registers would be saved before each choice, which takes 14 instructions.
#[cfg_attr(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")), inline(never))]
#[cfg_attr(
    not(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64"))),
    inline(always)
)]
fn baseline<L: Loop>(body: &mut L) -> L::Output {
    body.run()
}

/// Without `std` the processor cannot be detected.
#[cfg(not(feature = "std"))]
use baseline as widest;

/// The choice of an instruction set by tests.
#[cfg(all(test, feature = "std"))]
mod levels {
    use std::{cell::Cell, thread_local};

    use super::Loop;

    /// An instruction set. If the processor or the compiler lacks it, the next lower one is used.
    #[derive(Clone, Copy, Debug)]
    pub(super) enum Level {
        Baseline,
        Avx2,
        Avx512,
    }

    thread_local! {
        static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
    }

    /// Returns the level that a test has chosen on this thread.
    pub(super) fn forced() -> Option<Level> {
        FORCED.get()
    }

    impl Level {
        /// Runs `something`, with every loop of this thread at this level.
        pub(super) fn within<T>(self, something: impl FnOnce() -> T) -> T {
            FORCED.set(Some(self));
            let result = something();
            FORCED.set(None);
            result
        }

        pub(super) fn run<L: Loop>(self, body: &mut L) -> L::Output {
            match self {
                Level::Baseline => super::baseline(body),
                Level::Avx2 => avx2(body),
                Level::Avx512 => super::widest(body),
            }
        }
    }

    #[multiversion::multiversion(targets("x86_64+avx2", "x86+avx2"), dispatcher = "direct")]
    fn avx2<L: Loop>(body: &mut L) -> L::Output {
        body.run()
    }
}

#[cfg(all(test, feature = "std"))]
mod tests;
