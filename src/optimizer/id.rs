//! Numbers of registrations, by which a slot is recognised.

use core::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::error::{Detail, Error};

/// The number of a registration. It is never given twice in one process, and later registrations have
/// larger numbers.
///
/// So one comparison proves that a slot belongs to an optimizer, and that its tensor was not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(NonZeroUsize);

impl Id {
    /// Some number, where none is looked at.
    pub(super) const ANY: Self = Id(NonZeroUsize::MIN);

    /// Returns a new number.
    ///
    /// A count of 64 bits does not come to its end. One of 32 bits can, in a process that registers and
    /// removes tensors for hours. Then this refuses: a number that is given again would let a slot of a
    /// removed tensor pass.
    pub(super) fn new() -> Result<Self, Error> {
        static LATEST: AtomicUsize = AtomicUsize::new(0);
        Id::after(&LATEST)
    }

    fn after(latest: &AtomicUsize) -> Result<Self, Error> {
        let count = |id: usize| id.checked_add(1);
        let before = latest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        let id = before.ok().and_then(count).and_then(NonZeroUsize::new);
        id.map(Id).ok_or_else(|| Detail::NoMoreIds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn ids_ascend_and_never_come_again() {
        let latest = AtomicUsize::new(usize::MAX - 3);
        let ids = [(); 3].map(|()| Id::after(&latest).unwrap());
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        for _ in 0..3 {
            assert_eq!(Id::after(&latest).unwrap_err().kind(), ErrorKind::Memory);
        }
    }
}
