//! What an array is reduced to: norms of gradients, and whether all values are finite.

pub(crate) mod finite;
pub(crate) mod norm;
