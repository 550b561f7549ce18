//! Arrays of either precision as bytes.

use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array, ArrayRef, Dimension, IxDyn};

use super::{
    error::EntryFault,
    header::{Dtype, View},
};
use crate::real::Real;

/// A parameter as a file holds it: little-endian, in row-major order, of any type. `==` compares bits, so that
/// NaN equals itself.
#[derive(Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

impl Tensor {
    pub(super) fn of<A: Real, D: Dimension>(array: &ArrayRef<A, D>) -> Self {
        let mut bytes = Vec::with_capacity(array.len() * size_of::<A>());
        for value in array {
            bytes.extend_from_slice(value.to_file().as_ref());
        }
        Tensor { dtype: Dtype::of::<A>(), shape: array.shape().to_vec(), bytes }
    }

    /// Decodes the array. Refuses another precision or number of axes than asked for.
    pub(super) fn to_array<A: Real, D: Dimension>(&self) -> Result<Array<A, D>, EntryFault> {
        let array = decode(self.dtype, &self.shape, &self.bytes)?;
        // `None` is a dynamic dimension, which takes any number of axes.
        let expected = D::NDIM.unwrap_or(array.ndim());
        array
            .into_dimensionality()
            .map_err(|_| EntryFault::Axes { shape: self.shape.clone(), expected })
    }
}

impl From<View<'_>> for Tensor {
    fn from(View { dtype, shape, bytes }: View<'_>) -> Self {
        Tensor { dtype, shape, bytes: bytes.to_vec() }
    }
}

impl View<'_> {
    pub(super) fn to_array<A: Real>(&self) -> Result<Array<A, IxDyn>, EntryFault> {
        decode(self.dtype, &self.shape, self.bytes)
    }

    /// Decodes a list of counters.
    pub(super) fn to_counters(&self) -> Result<Vec<u64>, EntryFault> {
        let View { dtype, shape, bytes } = self;
        if *dtype != Dtype::U64 {
            return Err(EntryFault::Dtype { found: dtype.name, expected: Dtype::U64.name });
        }
        if shape.len() != 1 {
            return Err(EntryFault::Axes { shape: shape.clone(), expected: 1 });
        }
        let counters = bytes.chunks_exact(size_of::<u64>());
        Ok(counters
            .map(|bytes| bytes.first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes)))
            .collect())
    }
}

fn decode<A: Real>(
    dtype: Dtype,
    shape: &[usize],
    bytes: &[u8],
) -> Result<Array<A, IxDyn>, EntryFault> {
    let expected = Dtype::of::<A>();
    if dtype != expected {
        return Err(EntryFault::Dtype { found: dtype.name, expected: expected.name });
    }
    let values: Vec<A> = bytes.chunks_exact(size_of::<A>()).filter_map(A::from_file).collect();
    Array::from_shape_vec(shape, values).map_err(|_| EntryFault::Size {
        dtype: dtype.name,
        shape: shape.to_vec(),
        found: bytes.len(),
    })
}

impl fmt::Debug for Tensor {
    /// Leaves out the bytes, which may be many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("dtype", &self.dtype.name)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
