//! Properties that hold for all numbers, tested on random inputs that are the same in every run.

use crate::common::{
    Case, F32_PARAMETER_UNITS_PER_STEP, F32_STEP_UNITS_PER_STEP, Float, Layout,
    STEP_BOUND_ROUNDING, assert_same,
    bits::Snapshot,
    input::{self, shaped},
    layout::LAYOUTS,
    oracle, repeatable, rules,
};
use adamax::{Adamax, BiasCorrection, EpsilonPlacement, Error, Objective, State, adamax_step};
use ndarray::{Array1, arr0};
use proptest::{num, prelude::*, sample::select};

const SEED: u64 = 3;

// ---------------------------------------------------------------- random inputs

/// The gradients of one tensor at each step: magnitudes from 1e-6 to 100, sometimes 0.
fn run(steps: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Array1<f64>>> {
    (1..20_usize, steps, any::<u64>()).prop_map(|(length, steps, seed)| {
        let rng = &mut input::rng(seed);
        (0..steps).map(|_| input::gradients(length, rng)).collect()
    })
}

/// A rule of any kind.
fn any_rule() -> impl Strategy<Value = Case> {
    select(rules::all())
}

fn placement() -> impl Strategy<Value = EpsilonPlacement> {
    use EpsilonPlacement::{Accumulated, InsideMax, Outside};
    select(vec![Outside, InsideMax, Accumulated])
}

/// Any finite number, including subnormal numbers and both zeros.
fn finite() -> impl Strategy<Value = f64> {
    num::f64::NORMAL | num::f64::SUBNORMAL | num::f64::ZERO
}

/// Returns the final x and state of a run that starts from `x` and a zero state.
fn after<A: Float>(
    rule: &Adamax,
    mut x: Array1<A>,
    gradients: impl IntoIterator<Item = Array1<A>>,
) -> Result<(Array1<A>, State<A>), Error> {
    let mut state = State::zeros_like(&x);
    for g in gradients {
        rule.step(&mut state, &mut x, &g)?;
    }
    Ok((x, state))
}

fn assert_same_end<A: Float>(
    found: &(Array1<A>, State<A>),
    expected: &(Array1<A>, State<A>),
) -> Result<(), TestCaseError> {
    prop_assert_eq!(Snapshot::of(&found.0, &found.1), Snapshot::of(&expected.0, &expected.1));
    Ok(())
}

// ---------------------------------------------------------------- symmetries

proptest! {
    #![proptest_config(repeatable(SEED))]

    /// With ε = 0, scaling all gradients by a power of two scales the moments and gives the same
    /// bits of x.
    #[test]
    fn the_scale_of_the_gradient_cancels(
        gradients in run(1..20),
        k in -30..=30_i32,
        beta1 in 0.5..0.99,
        beta2 in 0.5..0.999,
    ) {
        let rule = Adamax::paper().to_builder().beta1(beta1).beta2(beta2).build()?;
        in_another_unit::<f64>(&rule, &gradients, 2_f64.powi(10 * k))?;
        in_another_unit::<f32>(&rule, &gradients, 2_f64.powi(k))?;
    }

    /// Negating x, g and the bounds negates x and m, and does not change u.
    #[test]
    fn negated_inputs_negate_the_result(Case { rule, .. } in any_rule(), gradients in run(1..20)) {
        let x = start(&gradients);
        let (lower, upper) = rule.bounds();
        let mirrored = rule.to_builder().bounds(-upper, -lower).build()?;
        let (x_of_minus, of_minus) = after(&mirrored, -&x, gradients.iter().map(|g| -g))?;
        let (x, state) = after(&rule, x, gradients)?;
        prop_assert_eq!(x_of_minus, -x); // compares values: 0 equals −0
        prop_assert_eq!(of_minus.first_moment(), -&state.first_moment());
        prop_assert_eq!(of_minus.inf_norm(), state.inf_norm());
    }

    /// Maximizing with g gives the same bits as minimizing with −g.
    #[test]
    fn maximizing_is_minimizing_with_the_negated_gradient(
        Case { rule, .. } in any_rule(),
        gradients in run(1..20),
    ) {
        let to = |objective| rule.to_builder().objective(objective).build();
        let x = start(&gradients);
        let minimized =
            after(&to(Objective::Minimize)?, x.clone(), gradients.iter().map(|g| -g))?;
        assert_same_end(&after(&to(Objective::Maximize)?, x, gradients)?, &minimized)?;
    }
}

fn in_another_unit<A: Float>(
    rule: &Adamax,
    gradients: &[Array1<f64>],
    unit: f64,
) -> Result<(), TestCaseError> {
    let x = start(gradients).mapv(A::of);
    let rounded = gradients.iter().map(|g| g.mapv(A::of));
    let (same_x, state) = after(rule, x.clone(), rounded.clone())?;
    let scaled = |value| value * A::of(unit);
    let (x, in_unit) = after(rule, x, rounded.map(|g| g.mapv(scaled)))?;
    assert_same("x", &x, &same_x);
    assert_same("m", in_unit.first_moment(), &state.first_moment().mapv(scaled));
    assert_same("u", in_unit.inf_norm(), &state.inf_norm().mapv(scaled));
    Ok(())
}

/// Returns the initial parameters for these gradients.
fn start(gradients: &[Array1<f64>]) -> Array1<f64> {
    input::parameters(gradients[0].len(), &mut input::rng(SEED))
}

// ---------------------------------------------------------------- bounds

proptest! {
    #![proptest_config(repeatable(SEED))]

    /// For all gradients, the length of a step is at most α·(1 − β₁)/(1 − β₁ᵗ)·Σ_{k<t} (β₁/β₂)ᵏ.
    #[test]
    fn steps_are_bounded(
        gradients in run(1..60),
        beta1 in 0.0..0.99,
        nearer_1 in 0.0..0.999,
        epsilon in select(vec![0.0, 1e-8, 1e-2]),
        placement in placement(),
    ) {
        let rule = Adamax::builder()
            .beta1(beta1)
            .beta2(beta1 + (1.0 - beta1) * nearer_1)
            .epsilon(epsilon)
            .epsilon_placement(placement)
            .build()?;
        let mut x = Array1::zeros(gradients[0].len());
        let mut state = State::zeros_like(&x);
        for g in &gradients {
            x.fill(0.0); // so that the step is not rounded to x
            rule.step(&mut state, &mut x, g)?;
            let bound = step_bound(&rule, state.steps()) * (1.0 + STEP_BOUND_ROUNDING);
            let longest = x.iter().fold(0.0, |longest: f64, step| longest.max(step.abs()));
            prop_assert!(longest <= bound, "t {}: {} > {}", state.steps(), longest, bound);
        }
    }

    /// The norm is the maximum of |g| and the decayed norm.
    #[test]
    fn a_norm_is_the_larger_of_two(g in finite(), m in finite(), u in finite(), t in 1..100_u64) {
        let u = u.abs();
        let rule = Adamax::default();
        let (_, _, new_u) = adamax_step(1.0, &g, m, u, t, &rule)?;
        let decayed = rule.beta2() * u;
        prop_assert!(new_u >= g.abs());
        prop_assert!(new_u >= decayed || decayed < f64::MIN_POSITIVE);
        prop_assert!(new_u == g.abs() || new_u == decayed || decayed < f64::MIN_POSITIVE);
    }

    /// The same for ε inside the max and ε accumulated.
    #[test]
    fn a_guarded_norm_is_the_larger_of_two(
        g in -1e3..1e3_f64,
        u in 0.0..1e3_f64,
        epsilon in 1e-9..1.0,
    ) {
        for (placement, of_gradient, of_norm) in [
            (EpsilonPlacement::InsideMax, epsilon, 0.0),
            (EpsilonPlacement::Accumulated, 0.0, epsilon),
        ] {
            let rule = Adamax::builder().epsilon(epsilon).epsilon_placement(placement).build()?;
            let (_, _, new_u) = adamax_step(1.0, &g, 0.0, u, 1, &rule)?;
            prop_assert_eq!(new_u, f64::max(g.abs() + of_gradient, rule.beta2() * u + of_norm));
        }
    }

    /// The new m is between the old m and the gradient.
    #[test]
    fn a_moment_is_between_two(g in -1e3..1e3_f64, m in -1e3..1e3_f64, beta1 in 0.0..1.0) {
        let rule = Adamax::builder().beta1(beta1).build()?;
        let (_, new_m, _) = adamax_step(1.0, &g, m, 1.0, 1, &rule)?;
        let slack = 2.0 * f64::EPSILON * g.abs().max(m.abs()); // two products and a sum
        prop_assert!(new_m >= g.min(m) - slack && new_m <= g.max(m) + slack);
    }
}

/// The sharp bound of the length of a step, for a state that started with zeros.
fn step_bound(rule: &Adamax, t: u64) -> f64 {
    let ratio = rule.beta1() / rule.beta2();
    let mut power = 1.0;
    let mut sum = 0.0;
    for _ in 0..t {
        sum += power;
        power *= ratio;
    }
    rule.learning_rate() * (1.0 - rule.beta1()) / oracle::correction(rule, t) * sum
}

/// Gradients that decay at the same rate as the norm reach the bound at every step. The paper's
/// |Δ| ≤ α holds for the first step only.
#[test]
fn the_bound_is_reached_and_exceeds_the_learning_rate() -> Result<(), Error> {
    let rule = Adamax::paper();
    let (mut x, mut g) = (arr0(0.0), 1.0);
    let mut state = State::zeros_like(&x);
    for t in 1..=400 {
        x.fill(0.0);
        rule.step(&mut state, &mut x, &arr0(g))?;
        g *= rule.beta2();
        let (step, bound) = (-x[[]], step_bound(&rule, t));
        assert!((step / bound - 1.0).abs() <= STEP_BOUND_ROUNDING, "t {t}: {step} not {bound}");
        assert_eq!(step > rule.learning_rate() * (1.0 + STEP_BOUND_ROUNDING), t > 1, "t {t}");
    }
    // (1 − β₁)/(1 − β₁/β₂) = 0.1/(1 − 0.9/0.999) = 1.00909…
    approx::assert_relative_eq!(-x[[]], 0.002 * 1.009_090_909, max_relative = 1e-9);
    Ok(())
}

/// If β₁ > β₂, the norm decays faster than the first moment, so steps have no bound.
#[test]
fn there_is_no_bound_if_the_norm_decays_faster() -> Result<(), Error> {
    let rule = Adamax::paper().to_builder().beta1(0.9).beta2(0.5).build()?;
    let (mut x, mut g) = (arr0(0.0), 1.0);
    let mut state = State::zeros_like(&x);
    for _ in 0..60 {
        x.fill(0.0);
        rule.step(&mut state, &mut x, &arr0(g))?;
        g *= rule.beta2();
    }
    assert!(-x[[]] > 1e10 * rule.learning_rate());
    Ok(())
}

// ---------------------------------------------------------------- precision

proptest! {
    #![proptest_config(repeatable(SEED))]

    /// Compares 1 − β₁ᵗ with a power computed in twice the precision.
    #[test]
    fn bias_correction_is_exact(one_minus_beta1 in 1e-4..1.0, t in 1..2000_u64) {
        let rule = Adamax::paper().to_builder().beta1(1.0 - one_minus_beta1);
        let rule = rule.learning_rate(1.0).build()?;
        // m = 1 − β₁ and u = 1, so that x = (1 − β₁)/(1 − β₁ᵗ).
        let (x, _, _) = adamax_step(0.0, &-1.0, 0.0, 0.0, t, &rule)?;
        let (high, low) = exact_power(rule.beta1(), t);
        let expected = (1.0 - rule.beta1()) / (1.0 - high - low);
        // 1 − β₁ᵗ, 1/(1 − β₁ᵗ), m and η·m are rounded once each, and so is `expected`, twice.
        prop_assert!(
            (x / expected - 1.0).abs() <= 6.0 * f64::EPSILON / 2.0,
            "{} should be {}", x, expected
        );
    }

    /// The `f32` result differs from the `f64` result by at most half a unit of x and a few units
    /// of α per step.
    #[test]
    fn f32_tracks_f64(
        gradients in run(1..200),
        placement in placement(),
        correction in select(vec![BiasCorrection::On, BiasCorrection::Off]),
        beta1 in 0.0..0.9,
    ) {
        let rule = Adamax::builder()
            .beta1(beta1)
            .epsilon_placement(placement)
            .bias_correction(correction)
            .build()?;
        let rounded: Vec<_> = gradients.iter().map(|g| g.mapv(f32::of)).collect();
        let x = start(&gradients).mapv(f32::of);
        let (mut x64, mut x32) = (x.mapv(f64::from), x);
        let (mut state64, mut state32) = (State::zeros_like(&x64), State::zeros_like(&x32));
        let mut allowed = Array1::<f64>::zeros(x64.len());
        for (t, g) in (1..).zip(&rounded) {
            rule.step(&mut state64, &mut x64, &g.mapv(f64::from))?;
            rule.step(&mut state32, &mut x32, g)?;
            // u has decayed with a rounded β₂ for at most t steps.
            let of_step = (F32_STEP_UNITS_PER_STEP + f64::from(t)) * rule.learning_rate();
            allowed.zip_mut_with(&x64, |allowed, x| {
                let units = F32_PARAMETER_UNITS_PER_STEP * (x.abs() + rule.learning_rate());
                *allowed += f64::from(f32::EPSILON) * (units + of_step);
            });
            for i in 0..x64.len() {
                let deviation = (f64::from(x32[i]) - x64[i]).abs();
                prop_assert!(
                    deviation <= allowed[i],
                    "t {}: {} and {} are {:e} apart, allowed {:e}",
                    t, x32[i], x64[i], deviation, allowed[i]
                );
            }
        }
    }
}

/// Computes `base` to the power `exponent` as an unevaluated sum of two numbers. `mul_add` gives
/// the exact rounding error of each product.
fn exact_power(base: f64, exponent: u64) -> (f64, f64) {
    let (mut high, mut low) = (1.0, 0.0);
    for _ in 0..exponent {
        let product = high * base;
        low = low * base + high.mul_add(base, -product);
        high = product;
    }
    (high, low)
}

// ---------------------------------------------------------------- interruption

proptest! {
    #![proptest_config(repeatable(SEED))]

    /// Taking the state apart and rebuilding it, in any memory order, does not change the rest of
    /// the run.
    #[test]
    fn a_run_continues_from_a_rebuilt_state(
        Case { rule, .. } in any_rule(),
        gradients in run(1..30),
        at in any::<prop::sample::Index>(),
        order_of_m in select(LAYOUTS.to_vec()),
        order_of_u in select(LAYOUTS.to_vec()),
    ) {
        let x = start(&gradients);
        let uninterrupted = after(&rule, x.clone(), gradients.clone())?;

        let (before, afterwards) = gradients.split_at(at.index(gradients.len()));
        let (mut x, state) = after(&rule, x, before.to_vec())?;
        let (steps, m, u) = state.into_parts();
        let mut state = State::from_parts(steps, order_of_m.arrange(&m), order_of_u.arrange(&u))?;
        for g in afterwards {
            rule.step(&mut state, &mut x, g)?;
        }
        assert_same_end(&(x, state), &uninterrupted)?;
    }

    /// Coordinates are independent: reordering them reorders the result.
    #[test]
    fn coordinates_are_independent(Case { rule, .. } in any_rule(), gradients in run(1..10)) {
        let x = start(&gradients);
        let reversed = |array: &Array1<f64>| {
            Layout::C.arrange_as(&shaped(&array.iter().rev().copied().collect::<Vec<_>>(), &[array.len()]))
        };
        let (reversed_x, _) = after(&rule, reversed(&x), gradients.iter().map(reversed))?;
        let (x, _) = after(&rule, x, gradients)?;
        assert_same("x", &reversed(&reversed_x), &x);
    }
}
