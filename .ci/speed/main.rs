//! Times the steps of two versions of `adamax` in one program. `.ci/compare_speed` builds and runs it.
//!
//! The same loop takes up to a fifth more or less time in another program, and at other addresses. So
//! both versions run in turn, on arrays that are placed alike, and at many places.

use std::{hint::black_box, time::Instant};

use ndarray::{ArrayD, IxDyn, ShapeBuilder, s};

/// Places of the arrays that each row is timed at.
const PLACES: usize = 15;

/// Rounds at each place.
const ROUNDS: usize = 7;

/// Seconds of one measurement.
const TARGET: f64 = 4e-4;

type Step = Box<dyn FnMut()>;

/// What a row times.
#[derive(Clone, Copy)]
struct Case {
    /// Number and shape of the tensors.
    tensors: usize,
    shape: &'static [usize],
    /// True for column-major parameters, or gradients.
    columns: [bool; 2],
    /// True if every second column of a wider parameter is used.
    gaps: bool,
    /// True if gradients are checked.
    checked: bool,
    /// True for an `Optimizer`; else `Adamax::step`.
    optimizer: bool,
    max_norm: bool,
}

const PLAIN: Case = Case {
    tensors: 1,
    shape: &[],
    columns: [false; 2],
    gaps: false,
    checked: false,
    optimizer: false,
    max_norm: false,
};

/// Memory that stands between two arrays, so that they get other addresses at another place.
fn gap(place: usize, index: usize) -> Vec<u8> {
    vec![1; 24 + 16 * ((place * 89 + index * 37) % 250)]
}

fn array<A: Copy>(
    shape: &[usize],
    columns: bool,
    first: usize,
    value: fn(usize) -> A,
) -> ArrayD<A> {
    let mut i = first;
    ArrayD::from_shape_simple_fn(IxDyn(shape).set_f(columns), || {
        i += 1;
        value(i)
    })
}

/// Makes the step of a case, with one version of the crate.
macro_rules! version {
    ($name:ident) => {
        mod $name {
            use super::{ArrayD, Case, Step, array, gap, s};
            use $name::{Adamax, MaxNorm, NonFinite, Optimizer, Real, State};

            pub fn step<A: Real>(case: Case, place: usize, value: fn(usize) -> A) -> Step {
                let policy = if case.checked { NonFinite::Error } else { NonFinite::Propagate };
                let rule = Adamax::builder().non_finite(policy).build().unwrap();
                let mut gaps = Vec::new();
                let mut make = |columns, first| {
                    gaps.push(gap(place, gaps.len()));
                    array(case.shape, columns, first, value)
                };
                let mut arrays: Vec<[ArrayD<A>; 2]> = (0..case.tensors)
                    .map(|_| [make(case.columns[0], 0), make(case.columns[1], 7)])
                    .collect();
                if !case.optimizer {
                    let [x, g] = arrays.pop().unwrap();
                    return single(case, rule, x, g, gaps);
                }
                let mut optimizer = Optimizer::new(rule);
                optimizer.set_max_norm(case.max_norm.then_some(MaxNorm::Global(1.0))).unwrap();
                let slots: Vec<_> = arrays
                    .iter()
                    .enumerate()
                    .map(|(i, [x, _])| optimizer.register(&format!("tensor {i}"), x).unwrap())
                    .collect();
                Box::new(move || {
                    let _ = &gaps;
                    let mut batch: Vec<_> =
                        slots.iter().zip(&mut arrays).map(|(slot, [x, g])| slot.bind(x, g)).collect();
                    let _ = optimizer.step(&mut batch).unwrap();
                })
            }

            fn single<A: Real>(
                case: Case,
                rule: Adamax,
                mut x: ArrayD<A>,
                g: ArrayD<A>,
                gaps: Vec<Vec<u8>>,
            ) -> Step {
                if case.gaps {
                    let mut wide = ndarray::concatenate![ndarray::Axis(1), x, x]
                        .into_dimensionality::<ndarray::Ix2>()
                        .unwrap();
                    let g = g.into_dimensionality::<ndarray::Ix2>().unwrap();
                    let mut state = State::zeros_like(&wide.slice(s![.., ..;2]));
                    return Box::new(move || {
                        let _ = &gaps;
                        let _ = rule.step(&mut state, &mut wide.slice_mut(s![.., ..;2]), &g).unwrap();
                    });
                }
                let mut state = State::zeros_like(&x);
                Box::new(move || {
                    let _ = &gaps;
                    let _ = rule.step(&mut state, &mut x, &g).unwrap();
                })
            }
        }
    };
}

version!(before);
version!(after);

fn seconds(step: &mut Step, repetitions: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..repetitions {
        step();
    }
    start.elapsed().as_secs_f64() / repetitions as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Times both versions at each place, and prints the ratios.
fn row(name: &str, make: impl Fn(bool, usize) -> Step) {
    let mut ratios = Vec::new();
    let mut least = [f64::INFINITY; 2];
    for place in 0..PLACES {
        // What is made first is at other addresses.
        let first = place % 2;
        let mut steps = [first, 1 - first].map(|version| (version, make(version == 1, place)));
        steps.sort_by_key(|(version, _)| *version);
        let mut steps = steps.map(|(_, step)| step);
        let once = steps.each_mut().map(|step| seconds(step, 3).max(1e-9));
        let repetitions = ((TARGET / once[0].min(once[1])) as usize).clamp(1, 100_000);
        let mut rounds: [Vec<f64>; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (step, times) in steps.iter_mut().zip(&mut rounds) {
                times.push(seconds(step, repetitions));
            }
        }
        black_box(&mut steps);
        for (least, times) in least.iter_mut().zip(&rounds) {
            *least = times.iter().copied().fold(*least, f64::min);
        }
        let [before, after] = rounds.each_mut().map(|times| median(times));
        ratios.push(after / before);
    }
    let middle = median(&mut ratios);
    let (low, high) = (ratios[PLACES / 4], ratios[PLACES * 3 / 4]);
    let [before, after] = least.map(|seconds| seconds * 1e9);
    println!("{name:<34} {before:>11.1} {after:>11.1}   {middle:>6.3} {low:>6.3} {high:>6.3}");
}

fn rows(name: &str, case: Case) {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let f64s = |i| (i as f64).sin();
    let f32s = |i| (i as f32).sin();
    for (precision, is_f64) in [("f64", true), ("f32", false)] {
        let name = format!("{precision} {name}");
        if name.contains(&wanted) {
            row(&name, |after, place| match (after, is_f64) {
                (false, true) => before::step(case, place, f64s),
                (true, true) => after::step(case, place, f64s),
                (false, false) => before::step(case, place, f32s),
                (true, false) => after::step(case, place, f32s),
            });
        }
    }
}

fn main() {
    println!(
        "ns of the fastest step, and the time after by the time before: median and quartiles of places"
    );
    println!(
        "{:<34} {:>11} {:>11}   {:>6} {:>6} {:>6}",
        "", "before", "after", "median", "1/4", "3/4"
    );
    for shape in [&[1][..], &[3], &[16], &[64], &[256], &[4096], &[65_536], &[1 << 20]] {
        let elements: usize = shape.iter().product();
        for (name, checked) in [("propagate", false), ("default", true)] {
            rows(&format!("step {elements} {name}"), Case { shape, checked, ..PLAIN });
        }
        rows(
            &format!("optimizer {elements} default"),
            Case { shape, checked: true, optimizer: true, ..PLAIN },
        );
    }
    for shape in [&[4, 4][..], &[64, 64], &[1024, 1024], &[2, 3, 2, 3, 2]] {
        for (name, columns) in [("F/F", [true, true]), ("C/F", [false, true])] {
            rows(&format!("step {shape:?} {name}"), Case { shape, columns, ..PLAIN });
        }
        if shape.len() == 2 {
            rows(&format!("step {shape:?} gaps"), Case { shape, gaps: true, ..PLAIN });
        }
        for (name, columns) in [("C/C", [false; 2]), ("F/F", [true; 2]), ("C/F", [false, true])] {
            let case =
                Case { shape, columns, checked: true, optimizer: true, max_norm: true, ..PLAIN };
            rows(&format!("max norm {shape:?} {name}"), case);
        }
    }
    for (tensors, shape) in [(1000, &[64][..]), (1000, &[4, 4]), (6, &[200, 200])] {
        for (name, checked, max_norm) in
            [("propagate", false, false), ("default", true, false), ("max norm", true, true)]
        {
            let case = Case { tensors, shape, checked, max_norm, optimizer: true, ..PLAIN };
            rows(&format!("{tensors} x {shape:?} {name}"), case);
        }
    }
}
