//! Messages between ranks: the trait that an engine implements, and the errors of messages.

pub(crate) mod link;
#[cfg(feature = "mpi")]
pub(crate) mod mpi;
pub(crate) mod threads;

use core::fmt;

/// Messages between the ranks of a job.
///
/// [`MpiTransport`](crate::MpiTransport) sends them by MPI, [`Threads`](crate::Threads) between the
/// threads of one process. Another engine needs four functions. If one of them panics, its message has failed:
/// an optimizer sends no other one.
///
/// All ranks call the same functions in the same order, with lengths that fit each other. A
/// [`ShardedOptimizer`](crate::ShardedOptimizer) does so, because the ranks agree first.
///
/// # Examples
/// A transport for one process by itself:
/// ```
/// use adamax_mpi::{Transport, TransportError};
///
/// struct Alone;
///
/// impl Transport for Alone {
///     fn rank(&self) -> usize { 0 }
///     fn size(&self) -> usize { 1 }
///
///     fn all_gather(&mut self, words: &[u64], of_all: &mut [u64]) -> Result<(), TransportError> {
///         of_all.copy_from_slice(words);
///         Ok(())
///     }
///
///     fn send_receive(
///         &mut self, _to: usize, _sent: &[u8], _from: usize, _received: &mut [u8],
///     ) -> Result<(), TransportError> {
///         Err(TransportError::new("there is no other rank"))
///     }
/// }
/// ```
pub trait Transport {
    /// Returns the number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of ranks. It never changes.
    fn size(&self) -> usize;

    /// Gathers the words of all ranks. Each sends the same number of words. They come in the order of the
    /// ranks, those of this rank included: `of_all` has `size` times their number.
    ///
    /// # Errors
    /// The error of the engine.
    fn all_gather(&mut self, words: &[u64], of_all: &mut [u64]) -> Result<(), TransportError>;

    /// Sends bytes to one rank, and at the same time receives bytes from one. Both are other ranks than
    /// this one. An empty message is not sent: the other rank does not expect it.
    ///
    /// # Errors
    /// The error of the engine; also if the message does not have the expected length.
    fn send_receive(
        &mut self,
        to: usize,
        sent: &[u8],
        from: usize,
        received: &mut [u8],
    ) -> Result<(), TransportError>;

    /// Adds the numbers of all ranks, block by block: the sum of all blocks number r goes to rank r.
    /// `addends` has a block for each rank, of the length of `sums`. The order of addition is the
    /// engine's. Only [`Reduction::Engine`](crate::Reduction::Engine) uses it.
    ///
    /// # Errors
    /// The error of the engine. By default, that there is no such function.
    fn reduce_scatter(
        &mut self,
        addends: Numbers<'_>,
        sums: NumbersMut<'_>,
    ) -> Result<(), TransportError> {
        let _ = (addends, sums);
        Err(TransportError::new("this transport cannot add numbers"))
    }
}

/// A transport that is used by reference, so that several optimizers can use it one after the other.
impl<T: Transport + ?Sized> Transport for &mut T {
    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn size(&self) -> usize {
        (**self).size()
    }

    fn all_gather(&mut self, words: &[u64], of_all: &mut [u64]) -> Result<(), TransportError> {
        (**self).all_gather(words, of_all)
    }

    fn send_receive(
        &mut self,
        to: usize,
        sent: &[u8],
        from: usize,
        received: &mut [u8],
    ) -> Result<(), TransportError> {
        (**self).send_receive(to, sent, from, received)
    }

    fn reduce_scatter(
        &mut self,
        addends: Numbers<'_>,
        sums: NumbersMut<'_>,
    ) -> Result<(), TransportError> {
        (**self).reduce_scatter(addends, sums)
    }
}

/// Numbers of either precision.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

/// Numbers of either precision, to be written.
#[derive(Debug)]
pub enum NumbersMut<'a> {
    /// Single precision.
    F32(&'a mut [f32]),
    /// Double precision.
    F64(&'a mut [f64]),
}

/// A message that failed, as the engine describes it.
///
/// The ranks may no longer agree on the next message. So the job cannot go on: end it, and start again
/// from the last state file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    message: String,
}

impl TransportError {
    /// Describes an error.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        TransportError { message: message.into() }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message between ranks: {}", self.message)
    }
}

impl std::error::Error for TransportError {}

/// Cuts a message into pieces of at most `most` bytes, and returns the ranges of all pieces.
///
/// MPI counts in `int`, so a message of 2³¹ bytes is too long for one call.
#[cfg(any(feature = "mpi", test))]
pub(crate) fn pieces(length: usize, most: usize) -> impl Iterator<Item = core::ops::Range<usize>> {
    let most = most.max(1);
    (0..length.div_ceil(most)).map(move |piece| {
        let start = piece * most;
        start..length.min(start.saturating_add(most))
    })
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn pieces_cover_a_message_of_any_length() {
        let ranges = |length, most| pieces(length, most).collect::<Vec<_>>();
        assert_eq!(ranges(0, 4), []);
        assert_eq!(ranges(5, 4), [0..4, 4..5]);
        assert_eq!(ranges(9, 4), [0..4, 4..8, 8..9]);
        // 2³³ bytes, in pieces of one gigabyte; and the largest length there is.
        let long = ranges(1 << 33, 1 << 30);
        assert_eq!((long.len(), long[7].clone()), (8, 7 << 30..1 << 33));
        let last = pieces(usize::MAX, usize::MAX - 1).last();
        assert_eq!(last, Some(usize::MAX - 1..usize::MAX));
    }
}
