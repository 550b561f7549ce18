//! Blocks of four by four elements, transposed in registers.

use crate::real::Real;

/// Side of the blocks that are transposed. A block fits in registers, so that each cache line of a
/// column is loaded once per block, not once per element.
pub(crate) const BLOCK: usize = 4;

/// Returns the first [`BLOCK`] elements of a slice.
#[inline(always)]
pub(crate) fn side<A: Real>(slice: &[A]) -> [A; BLOCK] {
    *slice.first_chunk().unwrap_or(&[A::ZERO; BLOCK])
}

#[inline(always)]
pub(crate) fn transposed<A: Real>([a, b, c, d]: [[A; BLOCK]; BLOCK]) -> [[A; BLOCK]; BLOCK] {
    let [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]] = [a, b, c, d];
    [[a0, b0, c0, d0], [a1, b1, c1, d1], [a2, b2, c2, d2], [a3, b3, c3, d3]]
}
