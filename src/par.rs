//! Sequential and parallel execution of work that can be split. The only file that names rayon.

/// Work on elements that can be split into two parts.
pub(crate) trait Split: Sized + Send {
    /// Returns the number of elements.
    fn len(&self) -> usize;

    /// Splits the work into two parts, or returns it whole if it cannot be split.
    fn split(self) -> Result<(Self, Self), Self>;
}

/// The result of a loop over elements.
///
/// Results of two parts combine to the result of the whole, in any order and any grouping. So it
/// does not matter how work is split, nor on which thread a part runs.
pub(crate) trait Summary: Send {
    /// The summary of no elements.
    const EMPTY: Self;

    /// Adds the summary of another part.
    fn join(&mut self, other: Self);
}

impl Summary for () {
    const EMPTY: Self = ();

    #[inline(always)]
    fn join(&mut self, (): ()) {}
}

/// True if a condition holds for every element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct All(pub(crate) bool);

impl Summary for All {
    const EMPTY: Self = All(true);

    #[inline(always)]
    fn join(&mut self, other: Self) {
        self.0 &= other.0;
    }
}

/// A way to execute work: [`Sequential`] or [`Parallel`].
pub(crate) trait Execute: Copy + Send + Sync {
    /// Returns true if work on this many elements is split.
    fn splits(self, elements: usize) -> bool;

    /// Runs `f` on all of the work, in parts. It adds the summary of each part to `total`.
    fn run_into<W: Split, S: Summary>(self, work: W, total: &mut S, f: impl Fn(W, &mut S) + Sync);

    /// Runs `f` on all of the work, in parts, and joins the summaries.
    #[inline(always)]
    fn run<W: Split, S: Summary>(self, work: W, f: impl Fn(W) -> S + Sync) -> S {
        let mut total = S::EMPTY;
        self.run_into(work, &mut total, |part, total| total.join(f(part)));
        total
    }
}

/// Runs all of the work in one piece, on the calling thread.
#[derive(Clone, Copy)]
pub(crate) struct Sequential;

impl Execute for Sequential {
    #[inline(always)]
    fn splits(self, _elements: usize) -> bool {
        false
    }

    #[inline(always)]
    fn run_into<W: Split, S: Summary>(self, work: W, total: &mut S, f: impl Fn(W, &mut S) + Sync) {
        f(work, total);
    }
}

#[cfg(feature = "rayon")]
pub(crate) use parallel::Parallel;

#[cfg(feature = "rayon")]
mod parallel {
    use std::{
        panic,
        sync::{Mutex, OnceLock, PoisonError},
        vec,
        vec::Vec,
    };

    use super::{Execute, Split, Summary};

    /// Splits the work and runs the parts on the caller's rayon pool.
    #[derive(Clone, Copy)]
    pub(crate) struct Parallel;

    impl Parallel {
        /// Smallest total of elements for which waking other threads pays. Waking takes about 50 µs;
        /// an element takes 0.5 to 1 ns (both measured), and far longer without optimisation.
        const WORTHWHILE: usize = if cfg!(debug_assertions) { 32_768 } else { 131_072 };

        /// Smallest part that is split again: about 10 µs of work, small enough for work stealing
        /// to balance threads of different speed.
        const DIVISIBLE: usize = 16_384;

        /// Returns true if a call on this many elements in all should use threads.
        pub(crate) fn pays(elements: usize) -> bool {
            elements >= Self::WORTHWHILE && threads() > 1
        }
    }

    /// Returns the number of threads of the current pool; 1 if there is none.
    ///
    /// Outside a pool, rayon makes the global one, and panics where the system allows no threads. Nobody
    /// can make it later. Rayon has no other way to ask, so this catches the panic. Work is then done
    /// on the calling thread.
    fn threads() -> usize {
        static GLOBAL: OnceLock<bool> = OnceLock::new();

        if rayon::current_thread_index().is_some() {
            return rayon::current_num_threads();
        }
        let exists = GLOBAL.get_or_init(|| panic::catch_unwind(rayon::current_num_threads).is_ok());
        if *exists { rayon::current_num_threads() } else { 1 }
    }

    impl Execute for Parallel {
        fn splits(self, elements: usize) -> bool {
            elements >= Self::DIVISIBLE
        }

        fn run_into<W: Split, S: Summary>(
            self,
            work: W,
            total: &mut S,
            f: impl Fn(W, &mut S) + Sync,
        ) {
            if !self.splits(work.len()) {
                return f(work, total);
            }
            if rayon::current_thread_index().is_some() {
                return within_pool(work, total, &f);
            }
            match helpers(threads(), work.len()) {
                0 => f(work, total),
                helpers => beside_pool(work, total, &f, helpers),
            }
        }
    }

    /// Runs work for a thread of the pool.
    fn within_pool<W: Split, S: Summary>(work: W, total: &mut S, f: &(impl Fn(W, &mut S) + Sync)) {
        if !Parallel.splits(work.len()) {
            return f(work, total);
        }
        match work.split() {
            Ok((a, b)) => {
                let mut other = S::EMPTY;
                rayon::join(|| within_pool(a, total, f), || within_pool(b, &mut other, f));
                total.join(other);
            }
            Err(whole) => f(whole, total),
        }
    }

    /// Returns how many threads of the pool help a thread outside it: one for each
    /// [`DIVISIBLE`](Parallel::DIVISIBLE) elements. Together with that thread, they are at most as many as the
    /// pool has.
    pub(super) fn helpers(threads: usize, elements: usize) -> usize {
        threads.saturating_sub(1).min(elements / Parallel::DIVISIBLE)
    }

    /// Runs work for a thread outside the pool. Rayon would put this thread to sleep until the pool
    /// has done everything. Here it starts at once, and each thread that is awake takes the next part.
    pub(super) fn beside_pool<W: Split, S: Summary>(
        work: W,
        total: &mut S,
        f: &(impl Fn(W, &mut S) + Sync),
        helpers: usize,
    ) {
        let parts = Mutex::new(vec![work]);
        let total = Mutex::new(total);
        let help = || {
            let mut summary = S::EMPTY;
            while let Some(part) = take(&parts) {
                f(part, &mut summary);
            }
            total.lock().unwrap_or_else(PoisonError::into_inner).join(summary);
        };
        rayon::in_place_scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|_| help());
            }
            help();
        });
    }

    /// Takes the next part that is small enough or cannot be split.
    fn take<W: Split>(parts: &Mutex<Vec<W>>) -> Option<W> {
        let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut part = parts.pop()?;
        while Parallel.splits(part.len()) {
            match part.split() {
                Ok((a, b)) => {
                    parts.push(b);
                    part = a;
                }
                Err(whole) => return Some(whole),
            }
        }
        Some(part)
    }
}

#[cfg(all(test, feature = "rayon"))]
mod tests {
    use std::{vec, vec::Vec};

    use super::{
        parallel::{Parallel, beside_pool, helpers},
        *,
    };

    /// The lengths of the parts that were seen.
    #[derive(Debug, PartialEq)]
    struct Lengths(Vec<usize>);

    impl Summary for Lengths {
        const EMPTY: Self = Lengths(Vec::new());

        fn join(&mut self, other: Self) {
            self.0.extend(other.0);
        }
    }

    struct Work(usize);

    impl Split for Work {
        fn len(&self) -> usize {
            self.0
        }

        fn split(self) -> Result<(Self, Self), Self> {
            Ok((Work(self.0 / 2), Work(self.0 - self.0 / 2)))
        }
    }

    fn lengths(elements: usize) -> Vec<usize> {
        Parallel.run(Work(elements), |part| Lengths(vec![part.len()])).0
    }

    #[test]
    fn work_is_split_on_a_pool_down_to_parts_that_are_worth_it() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let least = 1 << 14;
        assert!(Parallel.splits(least) && !Parallel.splits(least - 1));
        pool(2).install(|| {
            assert_eq!(lengths(8 * least), vec![least / 2; 16]);
            assert_eq!(lengths(least - 1), [least - 1]);
            let worthwhile = if cfg!(debug_assertions) { 1 << 15 } else { 1 << 17 };
            assert!(Parallel::pays(worthwhile) && !Parallel::pays(worthwhile - 1));
        });
        pool(1).install(|| assert!(!Parallel::pays(1 << 20)));
    }

    #[test]
    fn a_thread_outside_the_pool_is_helped_by_as_many_as_there_are_parts() {
        let part = 1 << 14;
        assert_eq!(helpers(4, part), 1);
        assert_eq!([3 * part - 1, 3 * part].map(|elements| helpers(8, elements)), [2, 3]);
        // The calling thread works too.
        assert_eq!([1, 2, 4].map(|threads| helpers(threads, 100 * part)), [0, 1, 3]);

        let mut seen = Lengths::EMPTY;
        let see = |part: Work, seen: &mut Lengths| seen.0.push(part.len());
        beside_pool(Work(8 * part), &mut seen, &see, 2);
        assert_eq!(seen.0, vec![part / 2; 16]);
    }
}

/// Execution that tests look at.
#[cfg(all(test, feature = "std"))]
pub(crate) mod halving {
    use std::{sync::Mutex, vec::Vec};

    use super::{Execute, Split, Summary};

    /// Splits all work of more than [`MOST`] elements, and keeps the lengths of the parts of each run.
    #[derive(Clone, Copy)]
    pub(crate) struct Halving<'a>(pub(crate) &'a Mutex<Vec<Vec<usize>>>);

    /// The most elements of a part, if work can be split.
    pub(crate) const MOST: usize = 1000;

    impl Execute for Halving<'_> {
        fn splits(self, elements: usize) -> bool {
            elements > MOST
        }

        fn run_into<W: Split, S: Summary>(
            self,
            work: W,
            total: &mut S,
            f: impl Fn(W, &mut S) + Sync,
        ) {
            let (mut rest, mut lengths) = (Vec::from([work]), Vec::new());
            while let Some(work) = rest.pop() {
                let whole = if self.splits(work.len()) { work.split() } else { Err(work) };
                match whole {
                    Ok((a, b)) => rest.extend([b, a]),
                    Err(whole) => {
                        lengths.push(whole.len());
                        f(whole, total);
                    }
                }
            }
            self.0.lock().unwrap().push(lengths);
        }
    }
}
