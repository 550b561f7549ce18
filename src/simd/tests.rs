//! Tests that every instruction set gives the same bits, on every path.

use super::{
    Loop, are_few,
    levels::{self, Level},
};
use crate::{
    Adamax, Average, EpsilonPlacement, MaxNorm, NonFinite, Objective, Optimizer, Outcome, Real,
    State, WeightDecay,
};
use alloc::{format, string::String, vec::Vec};
use ndarray::{Array2, ArrayRef2, Axis, ShapeBuilder, Slice};
use std::fmt::Write;

/// Returns rules that together use every kind of kernel.
fn rules() -> Vec<Adamax> {
    let builder = || Adamax::builder().learning_rate(0.1).non_finite(NonFinite::Propagate);
    let mut builders = Vec::new();
    for placement in
        [EpsilonPlacement::Outside, EpsilonPlacement::InsideMax, EpsilonPlacement::Accumulated]
    {
        for epsilon in [0.0, 1e-2] {
            for decay in [0.0, 0.1] {
                let decay = WeightDecay::Decoupled(decay);
                let plain = builder().epsilon_placement(placement).epsilon(epsilon);
                let plain = plain.weight_decay(decay);
                builders.extend([plain, plain.clip_value(0.5).objective(Objective::Maximize)]);
                builders.push(plain.bounds(-0.5, 0.25));
            }
            builders.push(builder().epsilon(epsilon).weight_decay(WeightDecay::L2(0.1)));
        }
    }
    builders.into_iter().map(|builder| builder.build().unwrap()).collect()
}

/// Returns numbers of all magnitudes; with `odd`, also NaN and infinities.
fn numbers<A: Real>(seed: u32, odd: bool) -> impl FnMut() -> A {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = f64::from(state) / f64::from(1_u32 << 31) - 1.0;
        let smallest = A::MIN_POSITIVE.widen();
        A::from_f64(match state >> 27 {
            0 if odd => f64::NAN,
            1 if odd => f64::INFINITY * number,
            2 => smallest * number,
            3 => 4.0 * smallest * number,
            4 => 0.0 * number,
            5 => number * 1e-12,
            _ => number,
        })
    }
}

/// Appends the bits of all values. All NaN count as equal.
fn write_bits<A: Real>(to: &mut String, values: &ArrayRef2<A>) {
    for value in values {
        let bits = if value.is_nan() { f64::NAN } else { value.widen() }.to_bits();
        write!(to, "{bits:x} ").unwrap();
    }
}

/// Returns the bits after a few steps, in row-major order, in mixed orders and in a view with gaps, and
/// those of reports, if there are any.
fn bits_of_steps<A: Real>(
    rule: &Adamax,
    shape: (usize, usize),
    odd: bool,
    reports: bool,
) -> String {
    let mut bits = String::new();
    for layout in 0..3 {
        let step: isize = if layout == 2 { 2 } else { 1 };
        let whole = (shape.0, shape.1 * step.unsigned_abs());
        let mut x = Array2::from_shape_simple_fn(whole, numbers::<A>(1, false));
        let mut x = x.slice_axis_mut(Axis(1), Slice::from(..).step_by(step));
        let of_gradient = shape.set_f(layout == 1);
        let mut state = State::zeros_like(&*x);
        for seed in 0..5 {
            let g = Array2::from_shape_simple_fn(of_gradient, numbers(seed, odd));
            if !reports {
                rule.step(&mut state, &mut x, &g).unwrap();
                continue;
            }
            let report = rule.step_with_report(&mut state, &mut x, &g).unwrap();
            let figures = [report.gradient_norm(), report.max_gradient(), report.max_step()];
            write_bits(&mut bits, &ndarray::aview2(&[figures]));
        }
        write_bits(&mut bits, &x);
        for moment in [state.first_moment(), state.inf_norm()] {
            write_bits(&mut bits, &moment.view().into_dimensionality().unwrap());
        }
    }
    bits
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    fn same<A: Real>() {
        // Shorter than a vector, whole vectors, and vectors with a rest. Without optimisation, the long one tells
        // nothing more.
        let shapes = [(1, 1), (1, 7), (3, 16), (5, 67), (40, 37)];
        for shape in &shapes[..if cfg!(debug_assertions) { 4 } else { 5 }] {
            for (number, rule) in rules().iter().enumerate() {
                for (odd, reports) in [(false, false), (true, false), (false, true), (true, true)] {
                    let bits = |level: Level| {
                        level.within(|| bits_of_steps::<A>(rule, *shape, odd, reports))
                    };
                    let baseline = bits(Level::Baseline);
                    for level in [Level::Avx2, Level::Avx512] {
                        let what = format!("{} {shape:?}, rule {number}", A::NAME);
                        assert!(bits(level) == baseline, "{what}, {level:?}, reports {reports}");
                    }
                }
            }
        }
    }
    same::<f64>();
    same::<f32>();
}

/// Covers norms, the check for NaN and infinities, and averages.
#[test]
fn every_instruction_set_reduces_alike() {
    let bits = |level: Level, length: usize, bad: Option<usize>| {
        level.within(|| {
            let mut x = Array2::from_shape_simple_fn((1, length), numbers::<f64>(1, false));
            let mut g = Array2::from_shape_simple_fn((1, length), numbers(2, false));
            if let Some(bad) = bad {
                g[[0, bad]] = f64::NEG_INFINITY;
            }
            let rule = Adamax::builder().non_finite(NonFinite::Skip).build().unwrap();
            let mut optimizer = Optimizer::new(rule);
            optimizer.set_max_norm(Some(MaxNorm::Global(0.1))).unwrap();
            let slot = optimizer.register("x", &x).unwrap();
            let outcome = optimizer.step(&mut [slot.bind(&mut x, &g)]).unwrap();
            assert_eq!(outcome == Outcome::Skipped, bad.is_some());
            let mut average = Average::new(0.9, &x).unwrap();
            average.update(&x).unwrap();
            average.update(&g).ok();
            let mut bits = String::new();
            write_bits(&mut bits, &x);
            write_bits(&mut bits, &average.mean().view().into_dimensionality().unwrap());
            bits
        })
    };
    for length in [1, 3, 31, 64, 1000] {
        for bad in [None, Some(0), Some(length - 1), Some(length / 2)] {
            let baseline = bits(Level::Baseline, length, bad);
            for level in [Level::Avx2, Level::Avx512] {
                assert!(bits(level, length, bad) == baseline, "{length} {bad:?}, {level:?}");
            }
        }
    }
}

/// Without this, the tests above would compare the widest instruction set with itself.
#[test]
fn a_level_is_forced_within_its_call() {
    for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
        let found = level.within(levels::forced);
        assert_eq!(format!("{found:?}"), format!("Some({level:?})"));
    }
    assert!(levels::forced().is_none());
}

#[test]
fn a_loop_of_less_than_a_vector_is_short() {
    assert!(are_few(&[0.0_f64; 3]) && are_few(&[0.0_f32; 7]));
    assert!(!are_few(&[0.0_f64; 4]) && !are_few(&[0.0_f32; 8]));
}

#[test]
fn a_loop_takes_wide_vectors_unless_it_says_that_it_is_short() {
    struct Nothing;
    impl Loop for Nothing {
        type Output = ();

        fn run(&mut self) {}
    }
    assert!(!Nothing.is_short());
}
