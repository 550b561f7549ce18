//! `par_step` on pools under stress: many callers, pools within pools, blocked pools, work that panics,
//! pools that end. No thread waits for ever, and the bits are those of `step`.
//!
//! A file of its own: it blocks the global pool, and a test that hangs must not hold up other tests.

#![cfg(feature = "rayon")]

mod common;

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Barrier, LazyLock, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use adamax::{Adamax, Error, MaxNorm, Optimizer, State, WeightDecay};
use common::{
    bits::Snapshot,
    input::{gradients, parameters, rng},
    panic_quietly,
};
use ndarray::ArrayD;
use rayon::{ThreadPool, ThreadPoolBuilder};

const SEED: u64 = 6;
/// The number of steps of a run.
const STEPS: usize = 2;
/// The threads of the global pool, on every machine.
const GLOBAL: usize = 3;
/// The longest time for a test that takes less than a second. A sanitizer on a busy machine needs fifty
/// times as long.
const PATIENCE: Duration = Duration::from_secs(120);
/// The time for which a pool is blocked. Too short a time only makes the test weaker.
const BLOCKED: Duration = Duration::from_millis(20);

/// The fewest elements that are stepped on threads, as the crate has it.
const ENOUGH: usize = if cfg!(debug_assertions) { 32_768 } else { 131_072 };
/// The first one is stepped by itself, too.
const SHAPES: [&[usize]; 5] = [&[ENOUGH], &[3, 5], &[ENOUGH / 512, 250], &[], &[40, 41]];

/// Everything that a run has changed: first by steps of a batch, then by those of a single tensor.
type Bits = Vec<Snapshot<u64>>;

/// Where every run starts, and where it ends.
struct Runs {
    xs: Vec<ArrayD<f64>>,
    gs: Vec<ArrayD<f64>>,
    end: Bits,
}

/// Starts the global pool, too: nobody else does it before.
static RUNS: LazyLock<Runs> = LazyLock::new(|| {
    ThreadPoolBuilder::new().num_threads(GLOBAL).build_global().expect("nobody has built it");
    let rng = &mut rng(SEED);
    let (xs, gs) =
        SHAPES.map(|shape| (parameters(shape, rng), gradients(shape, rng))).into_iter().unzip();
    let mut runs = Runs { xs, gs, end: Vec::new() };
    runs.end = runs.run(false).expect("valid steps");
    runs
});

impl Runs {
    /// Steps a model and a tensor of its own.
    fn run(&self, parallel: bool) -> Result<Bits, Error> {
        let rule = Adamax::builder().weight_decay(WeightDecay::Decoupled(0.1)).build()?;
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(Some(MaxNorm::Global(0.5)))?;
        let mut xs = self.xs.clone();
        let slots: Vec<_> = xs
            .iter()
            .enumerate()
            .map(|(index, x)| optimizer.register(&index.to_string(), x))
            .collect::<Result<_, _>>()?;
        for _ in 0..STEPS {
            let arrays = slots.iter().zip(&mut xs).zip(&self.gs);
            let mut batch: Vec<_> = arrays.map(|((slot, x), g)| slot.bind(x, g)).collect();
            if parallel {
                optimizer.par_step(&mut batch)?
            } else {
                optimizer.step(&mut batch)?
            };
        }
        let states = slots.iter().map(|&slot| optimizer.state(slot).expect("own slot"));
        let mut bits: Bits =
            xs.iter().zip(states).map(|(x, state)| Snapshot::of(x, state)).collect();

        let (mut x, g) = (self.xs[0].clone(), &self.gs[0]);
        let mut state = State::zeros_like(&x);
        for _ in 0..STEPS {
            if parallel {
                rule.par_step(&mut state, &mut x, g)?
            } else {
                rule.step(&mut state, &mut x, g)?
            };
        }
        bits.push(Snapshot::of(&x, &state));
        Ok(bits)
    }
}

/// Takes parallel steps where it is called. Returns true if sequential ones have the same bits.
fn holds() -> bool {
    RUNS.run(true).expect("valid steps") == RUNS.end
}

fn run() {
    assert!(holds(), "other bits");
}

/// Runs the work, and fails if it does not come to an end. Its threads then wait for the end of the process.
///
/// One test after the other: together, two that block the global pool would wait for each other.
fn watched(work: impl FnOnce() + Send + 'static) {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    let _turn = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&RUNS);
    let (done, end) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        done.send(()).expect("the test waits");
    });
    // Where the work panics, `done` is dropped, and the wait is over.
    let late = end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
    assert!(!late, "no end after {PATIENCE:?}: threads wait for each other");
    worker.join().unwrap_or_else(|fault| panic::resume_unwind(fault));
}

fn builder(threads: usize) -> ThreadPoolBuilder {
    ThreadPoolBuilder::new().num_threads(threads)
}

fn pool(threads: usize) -> ThreadPool {
    builder(threads).build().expect("threads")
}

// ---------------------------------------------------------------- many threads

#[test]
fn many_callers_of_one_pool_and_of_none() {
    watched(|| {
        let pool = pool(4);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| pool.install(run));
                scope.spawn(run);
            }
        });
    });
}

/// Each thread of a pool steps a model of its own, and takes parts of the others' work meanwhile.
#[test]
fn more_threads_than_cores() {
    watched(|| {
        let pool = pool(16);
        pool.broadcast(|_| run());
        pool.scope(|tasks| (0..16).for_each(|_| tasks.spawn(|_| run())));
    });
}

#[test]
fn pools_of_one_thread() {
    watched(|| {
        let (one, other, many) = (pool(1), pool(1), pool(3));
        one.install(run);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| one.install(run));
                scope.spawn(|| one.install(|| many.install(run)));
                scope.spawn(|| many.install(|| one.install(run)));
                scope.spawn(|| one.install(|| other.install(run)));
                scope.spawn(|| other.install(|| one.install(run)));
            }
        });
    });
}

/// A thread that waits for another pool works for its own one meanwhile.
#[test]
fn pools_within_pools() {
    watched(|| {
        let (outer, inner) = (pool(3), pool(2));
        let there_and_back = || outer.install(|| inner.install(|| outer.install(run)));
        outer.scope(|tasks| {
            for _ in 0..4 {
                tasks.spawn(|_| inner.install(run));
                tasks.spawn(|_| run());
                tasks.spawn(|_| there_and_back());
            }
        });
        // From the global pool, and from a thread outside that a thread of a pool waits for.
        rayon::scope(|tasks| {
            tasks.spawn(|_| inner.install(run));
            tasks.spawn(|_| there_and_back());
            tasks.spawn(|_| thread::scope(|scope| scope.spawn(run).join()).expect("no panic"));
        });
    });
}

// ---------------------------------------------------------------- blocked pools

/// Makes so many threads of the current pool wait for the lock. Returns when they do.
fn block(threads: usize, lock: &Arc<Mutex<()>>) {
    let all = Arc::new(Barrier::new(threads + 1));
    for _ in 0..threads {
        let (all, lock) = (Arc::clone(&all), Arc::clone(lock));
        rayon::spawn(move || {
            all.wait();
            drop(lock.lock());
        });
    }
    all.wait();
}

/// A caller outside waits for the pool. As soon as the pool goes on, so does the caller.
#[test]
fn a_blocked_pool_is_waited_for() {
    watched(|| {
        let lock = Arc::new(Mutex::new(()));
        let locked = lock.lock();
        block(GLOBAL, &lock);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(run);
            }
            thread::sleep(BLOCKED);
            drop(locked);
        });
    });
}

/// The work is too small for threads, so it does not matter that they wait for the caller.
#[test]
fn small_work_needs_no_pool() {
    watched(|| {
        let lock = Arc::new(Mutex::new(()));
        let locked = lock.lock();
        block(GLOBAL, &lock);
        let (mut x, g) = (RUNS.xs[1].clone(), &RUNS.gs[1]);
        let mut state = State::zeros_like(&x);
        Adamax::default().par_step(&mut state, &mut x, g).expect("a valid step");
        let mut optimizer = Optimizer::new(Adamax::default());
        let slot = optimizer.register("x", &x).expect("a new name");
        optimizer.par_step(&mut [slot.bind(&mut x, g)]).expect("a valid step");
        drop(locked);
    });
}

/// Within a pool, a step needs no other thread, even if all of them wait for this one.
#[test]
fn a_thread_of_a_blocked_pool_does_its_work_alone() {
    watched(|| {
        let lock = Arc::new(Mutex::new(()));
        pool(3).install(|| {
            let locked = lock.lock();
            block(2, &lock);
            run();
            drop(locked);
        });
    });
}

// ---------------------------------------------------------------- panics of the user

#[test]
fn panics_in_the_pool_do_not_disturb_steps() {
    const PANICS: usize = 100;
    watched(|| {
        let caught = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&caught);
        let handler = move |_| _ = count.fetch_add(1, Ordering::Relaxed);
        let pool = builder(3).panic_handler(handler).build().expect("threads");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| pool.install(run));
            }
            (0..PANICS).for_each(|_| pool.spawn(|| panic_quietly()));
        });
        while caught.load(Ordering::Relaxed) < PANICS {
            thread::yield_now();
        }
        pool.install(run);
    });
}

/// Rayon hands the panic to whoever waits for it, after all other work has been done.
#[test]
fn a_step_is_whole_although_its_neighbour_panics() {
    watched(|| {
        let (pool, steps) = (pool(3), AtomicUsize::new(0));
        let stepped = || {
            run();
            steps.fetch_add(1, Ordering::Relaxed);
        };
        let panics = |work: &(dyn Fn() + Sync)| {
            let result = panic::catch_unwind(AssertUnwindSafe(|| pool.install(work)));
            assert!(result.is_err());
            steps.swap(0, Ordering::Relaxed)
        };
        let in_scope = panics(&|| {
            rayon::scope(|tasks| {
                for _ in 0..4 {
                    tasks.spawn(|_| stepped());
                    tasks.spawn(|_| panic_quietly());
                }
            });
        });
        assert_eq!(in_scope, 4);
        assert_eq!(panics(&|| _ = rayon::join(stepped, || panic_quietly())), 1);
        assert_eq!(panics(&|| _ = rayon::join(|| panic_quietly(), stepped)), 1);
        pool.install(run);
    });
}

/// Rayon's threads outlive what panics in them, also when they start and end.
#[test]
fn a_pool_of_threads_that_have_panicked() {
    watched(|| {
        let pool = builder(3)
            .start_handler(|_| panic_quietly())
            .exit_handler(|_| panic_quietly())
            .panic_handler(drop)
            .build()
            .expect("threads");
        for _ in 0..2 {
            pool.install(run);
            let all = panic::catch_unwind(AssertUnwindSafe(|| pool.broadcast(|_| panic_quietly())));
            assert!(all.is_err());
        }
        pool.install(run);
    });
}

// ---------------------------------------------------------------- pools that end

/// The last handle of a pool is dropped, from outside or by one of its threads, while it is at work.
#[test]
fn a_pool_that_is_dropped_completes_its_steps() {
    const CALLERS: usize = 4;
    watched(|| {
        let pool = Arc::new(pool(3));
        let (done, end) = mpsc::channel();
        for caller in 0..CALLERS {
            let (done, own) = (done.clone(), (caller % 2 == 0).then(|| Arc::clone(&pool)));
            pool.spawn(move || {
                drop(own);
                done.send(holds()).expect("the test waits");
            });
        }
        drop((pool, done));
        assert_eq!(end.iter().collect::<Vec<_>>(), [true; CALLERS]);
    });
}

/// The thread that has made such a pool belongs to it for good, also when its other threads have ended.
#[test]
fn the_last_thread_of_a_pool_does_its_work_alone() {
    watched(|| {
        for threads in [1, 3] {
            let caller = thread::spawn(move || {
                let pool = builder(threads).use_current_thread().build().expect("threads");
                run();
                drop(pool);
                run();
            });
            caller.join().expect("no panic");
        }
    });
}

#[test]
fn a_pool_that_cannot_be_made_leaves_the_global_one() {
    watched(|| {
        for allowed in 0..3 {
            let made = builder(3)
                .spawn_handler(|worker| {
                    if worker.index() == allowed {
                        return Err(io::Error::other("no more threads are allowed"));
                    }
                    thread::spawn(|| worker.run());
                    Ok(())
                })
                .build();
            assert!(made.is_err());
            run();
        }
    });
}
