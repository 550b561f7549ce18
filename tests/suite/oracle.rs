//! Compares the crate bit by bit with a second implementation, written from the paper, for every
//! rule and every kind of number.

use crate::common::{
    Case, Float, SIMPLE_POWER, assert_same, assert_untouched, input,
    oracle::{self, simple_step},
    rules,
};
use adamax::{
    Adamax, EpsilonPlacement, Error, NonFinite, Objective, State, WeightDecay, adamax_step,
};
use ndarray::{Array1, arr0, array};

/// Odd, and longer than several SIMD vectors of any instruction set.
const LENGTH: usize = 37;

// ---------------------------------------------------------------- ordinary numbers

#[test]
fn every_rule_in_f64() -> Result<(), Error> {
    every_rule::<f64>()
}

#[test]
fn every_rule_in_f32() -> Result<(), Error> {
    every_rule::<f32>()
}

fn every_rule<A: Float>() -> Result<(), Error> {
    const STEPS: u64 = 50;
    const SEED: u64 = 1;
    for Case { name, rule } in rules::all() {
        let rng = &mut input::rng(SEED);
        let mut x = input::parameters::<A, _>(LENGTH, rng);
        let mut state = State::zeros_like(&x);
        let mut expected: Vec<_> = x.iter().map(|&x| (x, A::of(0.0), A::of(0.0))).collect();
        for t in 1..=STEPS {
            let g = input::gradients::<A, _>(LENGTH, rng);
            rule.step(&mut state, &mut x, &g)?;
            for ((x, m, u), &g) in expected.iter_mut().zip(&g) {
                (*x, *m, *u) = oracle::step(*x, g, *m, *u, t, &rule);
            }
            let at = format!("{name}, seed {SEED}, t {t}");
            assert_same(format!("x, {at}"), &x, expected.iter().map(|(x, _, _)| x));
            assert_same(
                format!("m, {at}"),
                state.first_moment(),
                expected.iter().map(|(_, m, _)| m),
            );
            assert_same(format!("u, {at}"), state.inf_norm(), expected.iter().map(|(_, _, u)| u));
        }
    }
    Ok(())
}

/// Every t works, including values beyond 32 bits and integers that f64 cannot represent.
#[test]
fn every_step_number() -> Result<(), Error> {
    let numbers = (1..=100).chain([1000, 1 << 31, (1 << 31) + 1, 1 << 32, (1 << 53) + 1, u64::MAX]);
    for t in numbers {
        for beta1 in [0.0, 0.1, 0.5, 0.9, 0.999, 0.999_999_999, 1.0 - f64::EPSILON / 2.0] {
            let rule = Adamax::builder().beta1(beta1).build()?;
            let (x, m, u) = adamax_step(0.0, &0.3, 0.1, 0.2, t, &rule)?;
            let expected = oracle::step(0.0, 0.3, 0.1, 0.2, t, &rule);
            assert_same(
                format!("(x, m, u), β₁ {beta1}, t {t}"),
                &[x, m, u],
                &[expected.0, expected.1, expected.2],
            );
        }
    }
    Ok(())
}

/// The oracle rounds 1 − β₁ᵗ once, as the crate does. A plain product of t factors changes the last
/// bits only.
#[test]
fn simple_powers_agree() -> Result<(), Error> {
    for beta1 in [0.3, 0.5, 0.7, 0.9] {
        let rule = Adamax::builder().beta1(beta1).build()?;
        for t in 1..=64 {
            let (x, _, _) = adamax_step(0.0, &0.3, 0.1, 0.2, t, &rule)?;
            let (expected, _, _) = simple_step(0.0_f64, 0.3, 0.1, 0.2, t, &rule);
            let deviation = ((x - expected) / expected).abs();
            assert!(deviation <= SIMPLE_POWER, "β₁ {beta1}, t {t}: {x} should be {expected}");
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- special values

#[test]
fn special_values_in_f64() -> Result<(), Error> {
    special_values(&[1e300, 1e-300])
}

#[test]
fn special_values_in_f32() -> Result<(), Error> {
    special_values(&[1e30_f32, 1e-30])
}

/// Tests all combinations of zeros, subnormals, smallest and largest numbers, infinities and NaN
/// with many rules. With `Propagate`, the result is always that of the formula.
fn special_values<A: Float>(more: &[A]) -> Result<(), Error> {
    let tiny = A::of(16.0) * A::LEAST_SUBNORMAL;
    let mut magnitudes = vec![A::of(0.0), tiny, A::LEAST_NORMAL, A::of(1.0), A::LARGEST, A::INF];
    magnitudes.extend(more);
    let mut all: Vec<A> = magnitudes.iter().flat_map(|&value| [value, -value]).collect();
    all.push(A::NOT_A_NUMBER);
    magnitudes.extend([A::NOT_A_NUMBER, -A::of(0.0)]);
    let parameters = [A::of(0.0), -A::of(0.0), A::of(-1.0), A::LEAST_NORMAL, A::LARGEST];

    let mut inputs: Vec<[A; 4]> = Vec::new();
    for x in parameters {
        for &g in &all {
            for &m in &all {
                inputs.extend(magnitudes.iter().map(|&u| [x, g, m, u]));
            }
        }
    }
    let column = |i: usize| inputs.iter().map(|values| values[i]).collect::<Array1<A>>();
    for case in
        rules::one_of_each_kind().iter().chain(rules::every_combination().iter().step_by(13))
    {
        let Case { name, rule } = case.with(NonFinite::Propagate);
        let t = 2;
        let (x, m, u) = adamax_step(column(0), &column(1), column(2), column(3), t, &rule)?;
        for (i, &[old_x, g, old_m, old_u]) in inputs.iter().enumerate() {
            let expected = oracle::step(old_x, g, old_m, old_u, t, &rule);
            assert_same(
                format_args!("(x, m, u) of x {old_x}, g {g}, m {old_m}, u {old_u}, {name}"),
                &[x[i], m[i], u[i]],
                &[expected.0, expected.1, expected.2],
            );
        }
    }
    Ok(())
}

/// An infinite parameter must not change the moments of a rule without L2 decay. 0·∞ is NaN, so a
/// term with coefficient 0 is not the same as no term.
#[test]
fn an_infinite_parameter_stays_out_of_the_moments() -> Result<(), Error> {
    for Case { name, rule } in rules::every_combination() {
        if matches!(rule.weight_decay(), WeightDecay::L2(_)) {
            continue;
        }
        for x in [f64::INFINITY, f64::NAN] {
            let (_, m, u) = adamax_step(x, &0.3, 0.1, 0.2, 2, &rule)?;
            let (_, expected_m, expected_u) = oracle::step(1.0, 0.3, 0.1, 0.2, 2, &rule);
            assert_same(format!("(m, u), x {x}, {name}"), &[m, u], &[expected_m, expected_u]);
        }
    }
    Ok(())
}

/// A NaN gradient makes x, m and u NaN, and they stay NaN when later gradients are finite.
#[test]
fn nan_is_never_masked() -> Result<(), Error> {
    for case in rules::every_combination() {
        let Case { name, rule } = case.with(NonFinite::Propagate);
        // NaN of both signs at both ends and in the middle, between finite numbers.
        let mut g = Array1::from_elem(9, 0.25);
        for (i, nan) in [(0, f64::NAN), (4, -f64::NAN), (8, f64::NAN)] {
            g[i] = nan;
        }
        let mut x = Array1::from_elem(9, 1.0);
        let mut state = State::zeros_like(&x);
        for t in 1..=5 {
            rule.step(&mut state, &mut x, &g)?;
            for i in 0..9 {
                let values = [x[i], state.first_moment()[i], state.inf_norm()[i]];
                let lost = [0, 4, 8].contains(&i);
                assert!(
                    values.iter().all(|value| value.is_nan() == lost),
                    "x, m, u {values:?} at {i}, t {t}, {name}"
                );
            }
            g.fill(0.5); // finite from now on
        }
    }
    Ok(())
}

/// An infinite gradient gives NaN, unless it is clipped.
#[test]
fn infinite_gradients_propagate_or_are_clipped() -> Result<(), Error> {
    let open = Adamax::builder().non_finite(NonFinite::Propagate).build()?;
    let (x, m, u) = adamax_step(1.0, &f64::NEG_INFINITY, 0.0, 0.0, 1, &open)?;
    assert!(x.is_nan());
    assert_eq!((m, u), (f64::NEG_INFINITY, f64::INFINITY));

    let clipped = open.to_builder().clip_value(0.5).build()?;
    assert_eq!(
        adamax_step(1.0, &f64::NEG_INFINITY, 0.0, 0.0, 1, &clipped)?,
        adamax_step(1.0, &-0.5, 0.0, 0.0, 1, &clipped)?
    );
    Ok(())
}

// ---------------------------------------------------------------- zero denominators

/// With ε = 0 and u = 0 there is no step, whatever m is. Weight decay still applies, because it
/// does not divide.
#[test]
fn a_zero_denominator_takes_no_step() -> Result<(), Error> {
    use EpsilonPlacement::{Accumulated, InsideMax, Outside};
    for placement in [Outside, InsideMax, Accumulated] {
        let rule = Adamax::paper().to_builder().epsilon_placement(placement).build()?;
        for x in [1.0_f64, -1.0, 0.0, -0.0, 1e300, 5e-324] {
            for m in [0.0, -0.0, 0.1, -1e300] {
                for u in [0.0, -0.0] {
                    let (new_x, new_m, new_u) = adamax_step(x, &0.0, m, u, 3, &rule)?;
                    assert_untouched("x", &new_x.to_bits(), &x.to_bits());
                    assert_same("m", &[new_m], &[0.9 * m + 0.0]);
                    assert_same("u", &[new_u], &[0.0]);
                }
            }
        }
        let decaying = rule.to_builder().weight_decay(WeightDecay::Decoupled(0.5)).build()?;
        assert_eq!(adamax_step(8.0, &0.0, 0.1, 0.0, 1, &decaying)?.0, 8.0 * (1.0 - 0.002 * 0.5));
    }
    Ok(())
}

/// With ε > 0 and u = 0 the step follows the formula, even if it is extremely long.
#[test]
fn a_denominator_of_epsilon_alone_follows_the_formula() -> Result<(), Error> {
    let rule = Adamax::default();
    let (x, m, u) = adamax_step(1.0, &0.0, 0.1, 0.0, 1, &rule)?;
    // m̂ = 0.9·0.1/(1 − 0.9) = 0.9; α/ε·m̂ = 0.002/1e-8·0.9 = 180 000
    approx::assert_relative_eq!(x, 1.0 - 180_000.0, max_relative = 1e-14);
    assert_eq!((m, u), (0.9 * 0.1, 0.0));
    Ok(())
}

/// An ε that is too small for f32 works in f64. (In f32 it is refused: `tests/suite/exact`.)
#[test]
fn a_tiny_epsilon_works_in_f64() -> Result<(), Error> {
    let rule = Adamax::builder().epsilon(1e-60).build()?;
    assert_eq!(
        adamax_step(1.0_f64, &0.0, 0.1, 0.0, 1, &rule)?,
        oracle::step(1.0, 0.0, 0.1, 0.0, 1, &rule)
    );
    Ok(())
}

// ---------------------------------------------------------------- smallest and largest numbers

#[test]
fn subnormal_moments_are_flushed_in_f64() -> Result<(), Error> {
    subnormal_moments_are_flushed::<f64>()
}

#[test]
fn subnormal_moments_are_flushed_in_f32() -> Result<(), Error> {
    subnormal_moments_are_flushed::<f32>()
}

/// With β₁ = β₂ = 1/2 the decayed moments are exact. The smallest normal number is kept; a number
/// one bit below it becomes 0.
fn subnormal_moments_are_flushed<A: Float>() -> Result<(), Error> {
    let rule = Adamax::builder().beta1(0.5).beta2(0.5).build()?;
    let least = A::LEAST_NORMAL;
    let (zero, two) = (A::of(0.0), A::of(2.0));
    let below = least - A::LEAST_SUBNORMAL;

    // (old m or u, new m or u)
    for (old, new) in [(two * least, least), (two * below, zero), (least, zero), (below, zero)] {
        let (_, m, u) = adamax_step(A::of(1.0), &zero, old, old, 1, &rule)?;
        assert_same(format!("m, u of {old:e}", old = old.wide()), &[m, u], &[new, new]);
        let (_, m, _) = adamax_step(A::of(1.0), &zero, -old, old, 1, &rule)?;
        let expected = if new == zero { zero } else { -new };
        assert_same(format!("m of -{old:e}", old = old.wide()), &[m], &[expected]);
    }

    // Neither a subnormal gradient nor the norm that it sets is flushed to 0.
    for g in [A::LEAST_SUBNORMAL, below] {
        for sign in [g, -g] {
            let (_, m, u) = adamax_step(A::of(1.0), &sign, zero, two * below, 1, &rule)?;
            assert_same("m, u of a subnormal gradient", &[m, u], &[zero, g]);
        }
    }
    Ok(())
}

/// If all gradients are 0, the first moment decays to the smallest normal number and then becomes
/// 0. It is never subnormal, and x does not change any more once it is 0.
#[test]
fn an_idle_first_moment_ends_at_zero() -> Result<(), Error> {
    let rule = Adamax::default();
    let (mut x, idle) = (arr0(1.0_f64), arr0(0.0));
    let mut state = State::zeros_like(&x);
    rule.step(&mut state, &mut x, &arr0(1.0))?;
    let mut became_zero = None;
    for t in 2..=10_000 {
        let before = state.first_moment()[[]];
        let x_before = x[[]];
        rule.step(&mut state, &mut x, &idle)?;
        let m = state.first_moment()[[]];
        assert!(!m.is_subnormal(), "m is {m:e} at t {t}");
        if m == 0.0 {
            became_zero.get_or_insert(t);
            assert_untouched("m", &m.to_bits(), &0);
            assert_eq!(x[[]], x_before);
        } else {
            assert_eq!(m, 0.9 * before, "t {t}");
        }
    }
    // 0.1·0.9ᵏ < 2.2250738585072014e-308 from k = 6702 on, and k = t − 1.
    assert_eq!(became_zero, Some(6703));
    Ok(())
}

/// The norm becomes 0 too. From 1 this takes about 708 000 steps, so this test starts near the end.
#[test]
fn an_idle_norm_ends_at_zero() -> Result<(), Error> {
    let rule = Adamax::paper();
    let (mut x, idle) = (array![1.0], array![0.0]);
    let start = 1e-300_f64;
    let mut state = State::from_parts(700_000, array![0.0].into_dyn(), array![start].into_dyn())?;
    let mut u = start;
    while u > 0.0 {
        rule.step(&mut state, &mut x, &idle)?;
        let decayed = 0.999 * u;
        u = if decayed < f64::MIN_POSITIVE { 0.0 } else { decayed };
        assert_same(format!("u at t {}", state.steps()), state.inf_norm(), &[u]);
    }
    assert_eq!(x, array![1.0]);
    // 1e-300·0.999ᵏ < 2.2250738585072014e-308 from k = 17 613 on.
    assert_eq!(state.steps(), 700_000 + 17_613);
    Ok(())
}

/// The largest finite moments do not overflow.
#[test]
fn the_largest_gradients_do_not_overflow() -> Result<(), Error> {
    let rule = Adamax::default();
    let (x, m, u) = adamax_step(0.0, &f64::MAX, f64::MAX, f64::MAX, 1_000, &rule)?;
    assert_same("u", &[u], &[f64::MAX]);
    assert!(m.is_finite());
    approx::assert_relative_eq!(x, -0.002, max_relative = 1e-14);
    Ok(())
}

/// Maximizing only changes the sign of the gradient.
#[test]
fn maximizing_is_minimizing_the_negative() -> Result<(), Error> {
    for Case { name, rule } in rules::all() {
        let opposite = match rule.objective() {
            Objective::Minimize => Objective::Maximize,
            _ => Objective::Minimize,
        };
        let opposite = rule.to_builder().objective(opposite).build()?;
        for g in [0.3, -0.3, 0.0, -0.0, 5e-324, 1e300] {
            let (x, m, u) = adamax_step(-0.7, &g, 0.1, 0.2, 3, &rule)?;
            let (other_x, other_m, other_u) = adamax_step(-0.7, &-g, 0.1, 0.2, 3, &opposite)?;
            assert_same(format!("g {g}, {name}"), &[x, m, u], &[other_x, other_m, other_u]);
        }
    }
    Ok(())
}
