//! The errors.

use crate::transport::TransportError;

/// An error of a [`ShardedOptimizer`](crate::ShardedOptimizer).
///
/// Errors of a step, a snapshot or a restored state are agreed: all ranks return the same error, and
/// nothing has changed on any of them. Two kinds are not agreed. A setting or a registration that is
/// refused concerns this rank only. A message that fails may leave other ranks waiting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This rank has refused a setting or a registration.
    #[error(transparent)]
    Local(#[from] adamax::Error),

    /// A rank has refused what all ranks wanted to do together.
    #[error("rank {rank}: {message}")]
    Refused {
        /// The first rank that has refused.
        rank: usize,
        /// The name of the tensor that is at fault, if there is one.
        tensor: Option<String>,
        /// The reason. It names the tensor.
        message: String,
    },

    /// The ranks do not do the same: they differ in the call, in a setting, or in a tensor.
    #[error("rank {rank} has {found}, but rank 0 has {expected}")]
    Differs {
        /// The first rank that differs from rank 0.
        rank: usize,
        /// The name of the tensor that is different, if it is one.
        tensor: Option<String>,
        /// The line of the rank.
        found: String,
        /// The line of rank 0.
        expected: String,
    },

    /// A message between the ranks has failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl Error {
    /// Returns the rank that has refused, or that differs; `None` if the error is not agreed.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        match self {
            Error::Refused { rank, .. } | Error::Differs { rank, .. } => Some(*rank),
            Error::Local(_) | Error::Transport(_) => None,
        }
    }

    /// Returns the name of the tensor that is at fault, if there is one.
    #[must_use]
    pub fn tensor(&self) -> Option<&str> {
        match self {
            Error::Refused { tensor, .. } | Error::Differs { tensor, .. } => tensor.as_deref(),
            Error::Local(error) => error.tensor(),
            Error::Transport(_) => None,
        }
    }
}

/// The reason why a rank refuses, before the others know it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) tensor: Option<String>,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Refusal { tensor: None, message: message.into() }
    }

    pub(crate) fn of_tensor(name: &str, fault: impl core::fmt::Display) -> Self {
        Refusal { tensor: Some(name.to_owned()), message: format!("tensor `{name}`: {fault}") }
    }
}

impl From<&adamax::Error> for Refusal {
    fn from(error: &adamax::Error) -> Self {
        Refusal { tensor: error.tensor().map(str::to_owned), message: error.to_string() }
    }
}
