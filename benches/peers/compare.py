"""Times an Adamax step of this crate and of its peers alternately on one core, and prints ratios."""

import argparse
import os
import statistics
import sys

# Set before the systems are imported: they read the number of cores, and their threads inherit it.
CORE = min(os.sched_getaffinity(0))

from job import Job
from native import c_loop, this_crate

CHECKED_STEPS = 3
ROUND_NANOSECONDS = 10_000_000
LENGTHS = [16, 4096, 65_536, 1 << 20]
LARGE = 1 << 24


def measure(job, starts, rounds):
    """Returns the nanoseconds per step of each system, as a list with one number per round."""
    systems, steps = {}, {}
    for name, start in starts.items():
        system = start(job)
        system.time(CHECKED_STEPS)
        job.check(name, CHECKED_STEPS, system.total())
        # Repeated, because some systems compile again when shapes or counters change.
        once = min(system.time(1), system.time(1), system.time(1))
        systems[name] = system
        steps[name] = max(1, min(10_000, ROUND_NANOSECONDS // max(1, once)))
    times = {name: [] for name in systems}
    for _ in range(rounds):
        for name, system in systems.items():
            times[name].append(system.time(steps[name]) / steps[name])
    for system in systems.values():
        system.close()
    return times


def table(results, base):
    """Yields the lines of a Markdown table of median ratios to the base system, one column per job."""
    names = list(dict.fromkeys(name for times in results.values() for name in times))
    titles = [job.name for job in results]
    yield f"| ratio to {base} | " + " | ".join(titles) + " |"
    yield "|---" * (1 + len(titles)) + "|"
    for name in names:
        cells = (cell(times, name, base) for times in results.values())
        yield f"| {name} | " + " | ".join(cells) + " |"


def cell(times, name, base):
    if name not in times:
        return "–"
    if name == base:
        return duration(statistics.median(times[name]))
    ratios = [own / other for own, other in zip(times[name], times[base])]
    return f"{statistics.median(ratios):.3g}×"


def duration(nanoseconds):
    for unit, size in [("ms", 1e6), ("µs", 1e3)]:
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--large", action="store_true", help=f"{LARGE} elements too: 5 GB")
    arguments = parser.parse_args()

    native = this_crate() | c_loop()
    os.sched_setaffinity(0, {CORE})
    from systems import python_systems, versions

    print(versions())
    for precision in ["f64", "f32"]:
        lengths = LENGTHS + [LARGE] * arguments.large
        jobs = [*(Job(precision, length) for length in lengths), Job(precision, 64, 1000)]
        results = {}
        for job in jobs:
            print(f"{precision} {job.name}", file=sys.stderr)
            results[job] = measure(job, native | python_systems(job), arguments.rounds)
        print(f"\n{precision}, medians of {arguments.rounds} rounds\n")
        for base in ["this crate", *c_loop_name(native)]:
            print(*table(results, base), "", sep="\n")


def c_loop_name(native):
    return [name for name in native if name.startswith("C,")]


if __name__ == "__main__":
    main()
