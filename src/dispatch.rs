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
///
/// Rust knows AVX-512 since 1.89; compiled by an older one, the crate stops at AVX2. Other
/// processors than x86 have what they have at compile time.
#[cfg(feature = "std")]
#[rustversion::attr(
    since(1.89),
    multiversion::multiversion(
        targets("x86_64+avx2+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2", "x86+avx2",),
        dispatcher = "direct"
    )
)]
#[rustversion::attr(
    before(1.89),
    multiversion::multiversion(targets("x86_64+avx2", "x86+avx2"), dispatcher = "direct")
)]
#[inline]
pub(crate) fn dispatch<L: Loop>(body: L) -> L::Output {
    body.run()
}

/// Without `std` the processor cannot be asked: the target's own instruction set it is.
#[cfg(not(feature = "std"))]
#[inline(always)]
pub(crate) fn dispatch<L: Loop>(body: L) -> L::Output {
    body.run()
}
