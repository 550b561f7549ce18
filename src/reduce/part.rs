//! A run of the elements of a tensor, cut where norms allow it.

use alloc::vec::Vec;
use core::ops::Range;

use super::{finite::index_of, leaves::Leaves};
use crate::error::{Detail, Error, Role};

/// A run of the elements of a tensor, in row-major order: what one of several processes holds of it.
///
/// Squares are added in blocks of at most 512 elements. A part begins and ends where a block does. So
/// the sums of squares of all parts together are those of the whole tensor, exactly.
///
/// ```text
/// n elements    part i of c:  [ cut(i·n/c), cut((i + 1)·n/c) )    cut rounds down to the begin of a block
/// ```
/// The parts of a tensor cover it, and do not overlap. A part has fewer than n/c + 512 elements. It may
/// be empty: a tensor of one block stands in the last part. Processes that hold parts of many small
/// tensors can take turns, so that each holds some of them: part (rank + number of the tensor) mod c.
///
/// [`Optimizer::register_part`](crate::Optimizer::register_part) registers a part.
///
/// # Examples
/// ```
/// use adamax::Part;
///
/// let ranges = |shape: &[usize], count| {
///     let parts = (0..count).map(|index| Part::new(shape, index, count));
///     parts.map(|part| Ok(part?.range())).collect::<Result<Vec<_>, adamax::Error>>()
/// };
/// assert_eq!(ranges(&[3000], 2)?, [0..1024, 1024..3000]);
/// assert_eq!(ranges(&[3, 700], 2)?, [0..700, 700..2100]);     // rows of 700 begin a block
/// assert_eq!(ranges(&[20], 2)?, [0..0, 0..20]);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

impl Part {
    /// Returns part `index` of the `count` parts of a tensor with this shape.
    ///
    /// # Errors
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `index` is not below `count`;
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if no array can have this shape.
    ///
    /// # Allocation
    /// The shape.
    pub fn new(shape: &[usize], index: usize, count: usize) -> Result<Self, Error> {
        if index >= count {
            let value = u64::try_from(index).unwrap_or(u64::MAX);
            let range = "below the number of parts";
            return Err(Detail::Count { name: "index of the part", value, range }.into());
        }
        let mut lengths = shape.iter().filter(|&&length| length > 0);
        let product = lengths.try_fold(1, |product: usize, &length| product.checked_mul(length));
        if product.is_none_or(|product| isize::try_from(product).is_err()) {
            return Err(Detail::TooLarge { role: Role::Parameter, shape: shape.to_vec() }.into());
        }
        let leaves = Leaves::of(shape);
        let length: usize = shape.iter().product();
        let cut = |index| leaves.floor(share(length, index, count));
        let end = if index + 1 == count { length } else { cut(index + 1) };
        Ok(Part { shape: shape.to_vec(), start: cut(index), end })
    }

    /// Returns the shape of the whole tensor.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the positions of the elements in the row-major order of the whole tensor.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Returns true if there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Gives an error that is about an element of the part the element's index in the whole tensor.
    #[cold]
    pub(crate) fn place(&self, error: Error) -> Error {
        error.with_index(|index| match index {
            [position] => index_of(self.start + position, &self.shape),
            _ => index.to_vec(),
        })
    }

    pub(super) fn leaves(&self) -> Leaves {
        Leaves::of(&self.shape)
    }
}

/// Returns `length`·`index`/`count`, rounded down, for an index up to the count.
fn share(length: usize, index: usize, count: usize) -> usize {
    let wide = |n: usize| u128::try_from(n).unwrap_or_default();
    let share = wide(length) * wide(index) / wide(count).max(1);
    usize::try_from(share).unwrap_or(length)
}
