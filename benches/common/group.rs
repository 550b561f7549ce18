//! Groups of benches that do the same work. The benches of a group run one after the other.

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::WallTime};

use super::{Number, check::STEPS};

/// From this size on, a step takes so long that criterion's increasing numbers of steps would take
/// minutes.
const LARGE: usize = 1 << 22;

/// With `--test`, work on more elements than this is left out, because the program may be compiled without
/// optimisation. It is enough for threads.
const LARGEST_TEST: usize = 1 << 18;

/// Returns true if the benches run once each, only to see that they work.
pub(crate) fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// Returns true unless work on this number of elements is left out.
pub(crate) fn is_wanted(elements: usize) -> bool {
    elements <= LARGEST_TEST || !is_test()
}

/// Creates a group for work on this number of elements. Criterion prints the memory bandwidth.
pub(crate) fn group<'c, A: Number>(
    criterion: &'c mut Criterion,
    work: &str,
    elements: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(format!("{} {work}", A::LABEL));
    // A step reads x, g, m and u and writes x, m and u.
    let bytes = 7 * size_of::<A>() * elements;
    group.throughput(Throughput::Bytes(bytes as u64));
    if elements >= LARGE {
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
    }
    group
}

/// Creates an implementation, checks its first steps, and times further steps. It is created only
/// if the bench is selected, and dropped before the next one is created.
pub(crate) fn enter<C, T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    make: impl Fn() -> C,
    step: impl Fn(&mut C) -> T,
    check: impl Fn(&C),
) {
    let mut made = None;
    // Criterion calls this once for each sample.
    group.bench_function(name, |bencher| {
        let contender = made.get_or_insert_with(|| {
            let mut contender = make();
            for _ in 0..STEPS {
                step(&mut contender);
            }
            check(&contender);
            contender
        });
        bencher.iter(|| step(contender));
    });
}
