//! All checks, with threads as ranks; and what only threads can show: ranks that end, and messages that
//! fail.

mod checks;

use adamax::Adamax;
use adamax_mpi::{Error, ShardedOptimizer, Threads, Transport, TransportError};
use ndarray::{Array1, array};
use std::{
    panic::{self, AssertUnwindSafe, resume_unwind},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

const RANKS: [usize; 5] = [1, 2, 3, 4, 7];

/// Far more than a check takes. A check that hangs fails.
const LONGEST: Duration = Duration::from_secs(300);

/// Runs a function on each rank. Panics if one panics, or if they do not come to an end.
fn on_all(size: usize, what: &str, f: impl Fn(Threads) + Copy + Send + 'static) {
    let (done, ended) = channel();
    for transport in Threads::new(size) {
        let done = done.clone();
        thread::spawn(move || {
            f(transport);
            done.send(()).expect("the test waits");
        });
    }
    drop(done);
    for _ in 0..size {
        ended.recv_timeout(LONGEST).unwrap_or_else(|error| panic!("{what}, {size} ranks: {error}"));
    }
}

fn check(name: &'static str) {
    for size in RANKS {
        let folder = tempfile::tempdir().expect("a folder");
        let path: &'static std::path::Path = Box::leak(folder.path().to_owned().into_boxed_path());
        on_all(size, name, move |mut transport| {
            let found = checks::all::<Threads>().into_iter().find(|(known, _)| *known == name);
            found.expect("a check of this name").1(&mut transport, path);
        });
    }
}

macro_rules! checks {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            check($name);
        })*

        #[test]
        fn no_check_is_forgotten() {
            let known: Vec<_> = checks::all::<Threads>().iter().map(|(name, _)| *name).collect();
            assert_eq!(known, [$($name),*]);
        }
    };
}

checks! {
    steps: "steps have the bits of one process",
    large: "a tensor of several windows",
    reports: "a report is that of one process",
    combinations: "combined gradients",
    trees: "a tree of micro-batches",
    engine_sums: "the engine's own sum",
    left_out: "tensors that are left out",
    memory: "memory is divided",
    files: "files are those of one process, and resume",
    bad_gradients: "a bad gradient",
    overflowing_sums: "sums that overflow",
    policies: "policies for bad gradients",
    refused_batches: "a batch that one rank refuses",
    differences: "ranks that differ",
    precisions: "another precision",
    calls: "another call",
    snapshots_that_do_not_fit: "snapshots that do not fit",
    lost_files: "files that cannot be written or read",
    broadcasts: "broadcast",
    slots: "a communicator and its slots",
}

/// A transport whose messages fail after some time, each in the same way.
struct Failing {
    inner: Threads,
    left: usize,
    failure: Failure,
}

type Failure = fn() -> Result<(), TransportError>;
const ERROR: Failure = || Err(TransportError::new("cable cut"));
/// Without a message on the screen.
const PANIC: Failure = || resume_unwind(Box::new("cable cut"));

impl Failing {
    fn count(&mut self) -> Result<(), TransportError> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => (self.failure)(),
        }
    }
}

impl Transport for Failing {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn all_gather(&mut self, words: &[u64], of_all: &mut [u64]) -> Result<(), TransportError> {
        self.count()?;
        self.inner.all_gather(words, of_all)
    }

    fn send_receive(
        &mut self,
        to: usize,
        sent: &[u8],
        from: usize,
        received: &mut [u8],
    ) -> Result<(), TransportError> {
        self.count()?;
        self.inner.send_receive(to, sent, from, received)
    }
}

/// Whichever message fails first, no rank waits, and no later call of this rank does anything.
#[test]
fn after_a_message_that_failed_nothing_is_tried_again() {
    for failing in 0..3 {
        for left in 0..12 {
            on_all(3, "a message that fails", move |inner| {
                let left = if inner.rank() == failing { left } else { usize::MAX };
                let rank = inner.rank();
                let transport = Failing { inner, left, failure: ERROR };
                let mut optimizer = ShardedOptimizer::new(transport, Adamax::default());
                let (mut x, g) = (Array1::<f64>::zeros(4000), Array1::ones(4000));
                let slot = optimizer.register("x", &x).expect("a new name");
                let failed =
                    (0..10).find_map(|_| optimizer.step(&mut [slot.bind(&mut x, &g)]).err());
                let failed = failed.expect("a message fails");
                assert!(matches!(failed, Error::Transport(_)), "{failed}");
                if rank == failing {
                    assert_eq!(failed.to_string(), "message between ranks: cable cut");
                }
                let before = x.clone();
                let later = optimizer.step(&mut [slot.bind(&mut x, &g)]).unwrap_err();
                assert!(later.to_string().contains("an earlier message has failed"), "{later}");
                assert_eq!(x, before);
                assert!(optimizer.snapshot().is_err() && optimizer.broadcast(&mut x).is_err());
            });
        }
    }
}

/// A caller who catches the panic of a transport cannot go on with ranks that expect another message.
#[test]
fn after_a_message_that_panicked_nothing_is_tried_again() {
    for failing in 0..3 {
        for left in 0..12 {
            on_all(3, "a message that panics", move |inner| {
                let rank = inner.rank();
                let left = if rank == failing { left } else { usize::MAX };
                let transport = Failing { inner, left, failure: PANIC };
                let mut optimizer = ShardedOptimizer::new(transport, Adamax::default());
                let (mut x, g) = (Array1::<f64>::zeros(4000), Array1::ones(4000));
                let slot = optimizer.register("x", &x).expect("a new name");
                let mut step = || optimizer.step(&mut [slot.bind(&mut x, &g)]);
                let ended = (0..10)
                    .map(|_| panic::catch_unwind(AssertUnwindSafe(&mut step)))
                    .find(|step| !matches!(step, Ok(Ok(_))));
                // The other ranks get an error, because this one is gone.
                assert_eq!(ended.expect("a message panics").is_err(), rank == failing);
                let later = step().unwrap_err();
                assert!(later.to_string().contains("an earlier message has failed"), "{later}");
                assert!(optimizer.snapshot().is_err() && optimizer.broadcast(&mut x).is_err());
            });
        }
    }
}

/// The other ranks do not wait for a function that panicked, and all can go on.
#[test]
fn a_function_that_panics_while_it_saves_is_an_error_on_the_others() {
    for size in [1, 2, 3] {
        on_all(size, "a panic while saving", move |transport| {
            let rank = transport.rank();
            let mut optimizer = ShardedOptimizer::new(transport, Adamax::default());
            let (mut x, g) = (array![1.0, 2.0], array![0.5, 0.5]);
            let slot = optimizer.register("x", &x).expect("a new name");
            let save = || optimizer.save_with(|_| resume_unwind(Box::new("no ink")));
            match panic::catch_unwind(AssertUnwindSafe(save)) {
                Err(payload) => {
                    assert_eq!((rank, payload.downcast_ref()), (0, Some(&"no ink")));
                }
                Ok(saved) => {
                    let text = "the function that saves panicked";
                    let refused = saved.unwrap_err();
                    assert!(matches!(refused, Error::Refused { rank: 0, .. }), "{refused}");
                    assert!(rank > 0 && refused.to_string().contains(text), "{refused}");
                }
            }
            optimizer.step(&mut [slot.bind(&mut x, &g)]).expect("a step");
        });
    }
}

/// A rank that ends, because its program had an error, keeps nobody waiting.
#[test]
fn a_rank_that_ends_is_an_error_on_the_others() {
    for size in [2, 3, 4, 7] {
        for gone in 0..size {
            on_all(size, "a rank that ends", move |transport| {
                let rank = transport.rank();
                let mut optimizer = ShardedOptimizer::new(transport, Adamax::default());
                let mut x = array![1.0, 2.0];
                let slot = optimizer.register("x", &x).expect("a new name");
                optimizer.step(&mut [slot.bind(&mut x, &array![0.5, 0.5])]).expect("a step");
                if rank != gone {
                    let g = array![0.5, 0.5];
                    let error = optimizer.step(&mut [slot.bind(&mut x, &g)]).unwrap_err();
                    assert!(matches!(error, Error::Transport(_)), "{error}");
                }
            });
        }
    }
}
