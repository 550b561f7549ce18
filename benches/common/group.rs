//! Contenders for the same work stand in one group, one right after the other.

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::WallTime};

use super::{Number, check::STEPS};

/// From here on a step takes so long that criterion's growing numbers of steps would take minutes.
const LARGE: usize = 1 << 22;

/// A group for work on so many elements, whose results read as bandwidth.
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

/// Makes a contender, checks its first steps, and times the next. It is made only if it is asked
/// for, and dropped before the next is made.
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
