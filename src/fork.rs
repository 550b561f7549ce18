//! Whether and how work is split between threads. The only file that names rayon.

/// A way to do two things: one after the other, or at the same time.
///
/// Every walk is written once, over this trait; the bits do not depend on it, because it is only
/// asked to split work whose parts do not depend on each other, or reductions whose tree is fixed.
pub(crate) trait Fork: Copy + Send + Sync {
    /// Whether work on `elements` elements is worth splitting in two.
    fn splits(self, elements: usize) -> bool;

    /// Does both and returns both results.
    fn join<A: Send, B: Send>(
        self,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B);
}

/// One after the other, in one piece.
#[derive(Clone, Copy)]
pub(crate) struct Serial;

impl Fork for Serial {
    #[inline(always)]
    fn splits(self, _elements: usize) -> bool {
        false
    }

    #[inline(always)]
    fn join<A: Send, B: Send>(
        self,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        (a(), b())
    }
}

/// On the caller's rayon pool.
#[cfg(feature = "rayon")]
#[derive(Clone, Copy)]
pub(crate) struct Parallel;

#[cfg(feature = "rayon")]
impl Parallel {
    /// Elements of a whole call below which waking other threads costs more than it saves: some 50 µs
    /// against 0.5 to 1 ns an element, measured. Without optimisation an element takes far longer.
    const WORTHWHILE: usize = if cfg!(debug_assertions) { 32_768 } else { 131_072 };

    /// Elements of the smallest piece that is split again: some 10 µs of work, and small enough
    /// that stealing evens out pieces of different speed.
    const DIVISIBLE: usize = 16_384;

    /// Whether a call on so many elements in all should use threads.
    pub(crate) fn pays(elements: usize) -> bool {
        elements >= Self::WORTHWHILE && rayon::current_num_threads() > 1
    }
}

#[cfg(feature = "rayon")]
impl Fork for Parallel {
    fn splits(self, elements: usize) -> bool {
        elements >= Self::DIVISIBLE
    }

    fn join<A: Send, B: Send>(
        self,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        rayon::join(a, b)
    }
}
