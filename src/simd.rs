//! Compiles a loop for several instruction sets and chooses among them at run time.
//!
//! The loops are plain Rust: each instruction set evaluates the same expressions in the same order
//! without fused multiply-add, so the bits agree on all of them.

/// A loop to be compiled for each instruction set. `run` must be `#[inline(always)]`, so that it
/// becomes part of the function that is compiled for the instruction set.
pub(crate) trait Loop {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs a loop on the widest vectors that the processor has.
#[inline(always)]
pub(crate) fn dispatch<L: Loop>(body: L) -> L::Output {
    #[cfg(all(test, feature = "std"))]
    if let Some(level) = levels::forced() {
        return level.run(body);
    }
    widest(body)
}

/// Rust knows AVX-512 since 1.89; compiled by an older one, the crate stops at AVX2. Other
/// processors than x86 have what they have at compile time.
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
#[inline]
fn widest<L: Loop>(body: L) -> L::Output {
    body.run()
}

/// Without `std` the processor cannot be asked: the target's own instruction set it is.
#[cfg(not(feature = "std"))]
#[inline(always)]
fn widest<L: Loop>(body: L) -> L::Output {
    body.run()
}

/// For tests: to choose the instruction set.
#[cfg(all(test, feature = "std"))]
mod levels {
    use std::{cell::Cell, thread_local};

    use super::Loop;

    /// Where processor or compiler have not got it, the next lower one.
    #[derive(Clone, Copy, Debug)]
    pub(super) enum Level {
        Baseline,
        Avx2,
        Avx512,
    }

    thread_local! {
        static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
    }

    /// The level that this thread is in.
    pub(super) fn forced() -> Option<Level> {
        FORCED.get()
    }

    impl Level {
        /// Does something with every loop of this thread at this level.
        pub(super) fn within<T>(self, something: impl FnOnce() -> T) -> T {
            FORCED.set(Some(self));
            let result = something();
            FORCED.set(None);
            result
        }

        pub(super) fn run<L: Loop>(self, body: L) -> L::Output {
            match self {
                Level::Baseline => body.run(),
                Level::Avx2 => avx2(body),
                Level::Avx512 => super::widest(body),
            }
        }
    }

    #[multiversion::multiversion(targets("x86_64+avx2", "x86+avx2"), dispatcher = "direct")]
    fn avx2<L: Loop>(body: L) -> L::Output {
        body.run()
    }
}

#[cfg(all(test, feature = "std"))]
mod tests;
