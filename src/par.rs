//! Whether and how work is split between threads. The only file that names rayon.

/// A way to do work: one piece after the other, or several at the same time.
///
/// Every walk is written once, over this trait; the bits do not depend on it, because it is only
/// asked to cut work whose parts do not depend on each other, or reductions whose tree is fixed.
pub(crate) trait Fork: Copy + Send + Sync {
    /// Whether work on `elements` elements is worth cutting in two.
    fn splits(self, elements: usize) -> bool;

    /// Does all of the work, in pieces and in any order.
    fn each<W: Divisible>(self, work: W, f: impl Fn(W) + Sync);

    /// Whether something holds of all of the work, asked piece by piece.
    fn all<W: Divisible>(self, work: W, holds: impl Fn(W) -> bool + Sync) -> bool;

    /// Does both and returns both results.
    fn join<A: Send, B: Send>(
        self,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B);
}

/// Work that can be cut in two.
pub(crate) trait Divisible: Sized + Send {
    /// Number of elements.
    fn len(&self) -> usize;

    /// Two parts of it, or all of it if it cannot be cut.
    fn halves(self) -> Result<(Self, Self), Self>;
}

impl<A: Sync> Divisible for &[A] {
    #[inline]
    fn len(&self) -> usize {
        <[A]>::len(self)
    }

    fn halves(self) -> Result<(Self, Self), Self> {
        Ok(self.split_at(self.len() / 2))
    }
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
    fn each<W: Divisible>(self, work: W, f: impl Fn(W) + Sync) {
        f(work);
    }

    #[inline(always)]
    fn all<W: Divisible>(self, work: W, holds: impl Fn(W) -> bool + Sync) -> bool {
        holds(work)
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

#[cfg(feature = "rayon")]
pub(crate) use parallel::Parallel;

#[cfg(feature = "rayon")]
mod parallel {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering},
        },
        vec,
        vec::Vec,
    };

    use super::{Divisible, Fork};

    /// On the caller's rayon pool.
    #[derive(Clone, Copy)]
    pub(crate) struct Parallel;

    impl Parallel {
        /// Elements of a whole call below which waking other threads costs more than it saves: some
        /// 50 µs against 0.5 to 1 ns an element, measured. Without optimisation an element takes far
        /// longer.
        const WORTHWHILE: usize = if cfg!(debug_assertions) { 32_768 } else { 131_072 };

        /// Elements of the smallest piece that is cut again: some 10 µs of work, and small enough
        /// that stealing evens out pieces of different speed.
        const DIVISIBLE: usize = 16_384;

        /// Whether a call on so many elements in all should use threads.
        pub(crate) fn pays(elements: usize) -> bool {
            elements >= Self::WORTHWHILE && rayon::current_num_threads() > 1
        }
    }

    impl Fork for Parallel {
        fn splits(self, elements: usize) -> bool {
            elements >= Self::DIVISIBLE
        }

        fn each<W: Divisible>(self, work: W, f: impl Fn(W) + Sync) {
            if !self.splits(work.len()) {
                f(work);
            } else if rayon::current_thread_index().is_some() {
                within_pool(work, &f);
            } else {
                beside_pool(work, &f);
            }
        }

        fn all<W: Divisible>(self, work: W, holds: impl Fn(W) -> bool + Sync) -> bool {
            let all = AtomicBool::new(true);
            self.each(work, |piece| {
                if !holds(piece) {
                    all.store(false, Ordering::Relaxed);
                }
            });
            all.into_inner()
        }

        fn join<A: Send, B: Send>(
            self,
            a: impl FnOnce() -> A + Send,
            b: impl FnOnce() -> B + Send,
        ) -> (A, B) {
            rayon::join(a, b)
        }
    }

    fn within_pool<W: Divisible>(work: W, f: &(impl Fn(W) + Sync)) {
        if !Parallel.splits(work.len()) {
            return f(work);
        }
        match work.halves() {
            Ok((a, b)) => {
                rayon::join(|| within_pool(a, f), || within_pool(b, f));
            }
            Err(work) => f(work),
        }
    }

    /// The calling thread, which rayon would put to sleep until the pool has done everything, works
    /// with the pool: it starts at once, and whoever is awake takes the next piece.
    fn beside_pool<W: Divisible>(work: W, f: &(impl Fn(W) + Sync)) {
        let helpers = (rayon::current_num_threads() - 1).min(work.len() / Parallel::DIVISIBLE);
        let pieces = Mutex::new(vec![work]);
        let help = || {
            while let Some(piece) = take(&pieces) {
                f(piece);
            }
        };
        rayon::in_place_scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|_| help());
            }
            help();
        });
    }

    /// The next piece of work, small enough or not to be cut.
    fn take<W: Divisible>(pieces: &Mutex<Vec<W>>) -> Option<W> {
        let mut pieces = pieces.lock().ok()?;
        let mut piece = pieces.pop()?;
        while Parallel.splits(piece.len()) {
            match piece.halves() {
                Ok((a, b)) => {
                    pieces.push(b);
                    piece = a;
                }
                Err(whole) => return Some(whole),
            }
        }
        Some(piece)
    }
}
