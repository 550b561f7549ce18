//! Steps at the edges of the range of numbers, against exact arithmetic: a finite gradient gives a finite
//! step of the right size.

mod arithmetic;

use crate::common::{Float, assert_same, input::rng, layout::LAYOUTS};
use adamax::{
    Adamax, AdamaxBuilder, BiasCorrection, EpsilonPlacement, Error, ErrorKind, MaxNorm, NonFinite,
    Objective, Optimizer, Outcome, State, WeightDecay, adamax_step,
};
use arithmetic::{Big, Exact, big, larger, magnitude};
use ndarray::{Array1, ArrayD, Axis, Slice, array};
use ndarray_rand::rand::{Rng, rngs::StdRng};

// ---------------------------------------------------------------- random inputs

/// Cases of each precision. `ADAMAX_CASES` sets another number.
const CASES: u32 = 4_000;

/// The largest error of x, m and u, in units of ε of the sum of the magnitudes of their terms. Each of the
/// coefficients and operations adds at most half a unit; not all are at their worst together. The
/// largest error of 10⁶ cases was 2.2 in f64 and 2.4 in f32.
const LARGEST_ERROR: f64 = 3.0;

fn cases() -> u32 {
    std::env::var("ADAMAX_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

/// Returns a number of any exponent and sign; sometimes 0, or at an end of the range.
fn number<A: Float>(rng: &mut StdRng) -> A {
    let ends = [0.0, A::LARGEST.wide(), A::LEAST_NORMAL.wide(), A::LEAST_SUBNORMAL.wide()];
    let size = match rng.random_range(0..20_usize) {
        end @ 0..4 => ends[end],
        4..8 => rng.random_range(0.5..2.0),
        _ => {
            let range = A::LEAST_SUBNORMAL.wide().log2()..A::LARGEST.wide().log2();
            rng.random_range(range).exp2()
        }
    };
    A::of(if rng.random() { size } else { -size })
}

/// Returns a setting between two magnitudes, evenly in its exponent.
fn setting(rng: &mut StdRng, from: f64, to: f64) -> f64 {
    rng.random_range(from.log2()..to.log2()).exp2()
}

fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

fn random_rule(rng: &mut StdRng) -> AdamaxBuilder {
    use EpsilonPlacement::{Accumulated, InsideMax, Outside};
    let rates = [0.0, 0.5, 0.9, 0.99, 0.999];
    let learning_rate = if rng.random_ratio(1, 10) { 0.0 } else { setting(rng, 1e-12, 1e12) };
    let decay = match rng.random_range(0..4) {
        0 => WeightDecay::L2(setting(rng, 1e-20, 1e20)),
        1 => WeightDecay::Decoupled(rng.random_range(0.0..1.0) / learning_rate.max(1e-12)),
        _ => WeightDecay::None,
    };
    let clip = if rng.random_ratio(1, 4) { setting(rng, 1e-30, 1e30) } else { f64::INFINITY };
    let epsilon = if rng.random() { setting(rng, 1e-30, 1e25) } else { pick(rng, &[0.0, 1e-8]) };
    Adamax::builder()
        .learning_rate(learning_rate)
        .beta1(pick(rng, &rates))
        .beta2(pick(rng, &rates))
        .epsilon(epsilon)
        .epsilon_placement(pick(rng, &[Outside, InsideMax, Accumulated]))
        .bias_correction(pick(rng, &[BiasCorrection::On, BiasCorrection::Off]))
        .weight_decay(decay)
        .clip_value(clip)
        .objective(pick(rng, &[Objective::Minimize, Objective::Maximize]))
        .non_finite(pick(rng, &[NonFinite::Error, NonFinite::Skip]))
}

/// Returns the error of a result in units of the last place of its terms, less what the end of the range
/// allows: a few units of the smallest number, times what multiplies it.
fn error_in_ulps<A: Float>(found: A, exact: &Big, terms: &Big, allowance: &Big) -> f64 {
    assert!(found.wide().is_finite(), "{found}");
    let error = magnitude(&(big(found.wide()) - exact)) - allowance;
    if error <= big(0.0) {
        return 0.0;
    }
    let unit = if size_of::<A>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    (error / (terms * big(unit))).to_f64().value()
}

/// Returns the errors of x, m and u.
fn errors<A: Float>(found: [A; 3], exact: &Exact) -> [f64; 3] {
    let Exact { x, m, u, terms: [terms_x, terms_m, terms_u], .. } = exact;
    if exact.is_at_the_edge {
        return [0.0; 3];
    }
    let least = big(A::LEAST_SUBNORMAL.wide());
    let [found_x, found_m, found_u] = found;
    let allowance = &least * (big(4.0) + &exact.sensitivity);
    [
        error_in_ulps(found_x, x, terms_x, &allowance),
        error_in_ulps(found_m, m, terms_m, &(&least * big(4.0))),
        error_in_ulps(found_u, u, terms_u, &(&least * big(4.0))),
    ]
}

/// Returns true if the exact result, or a product on the way to it, is beyond the largest number, or as
/// near to it as rounding reaches.
fn overflows<A: Float>(exact: &Exact) -> bool {
    let limit = big(A::LARGEST.wide()) * big(1.0 - 1e-5);
    let Exact { terms: [x, m, u], largest, .. } = exact;
    [x, m, u, largest].into_iter().any(|value| *value > limit)
}

#[test]
fn every_step_is_right_in_f64() {
    every_step_is_right::<f64>();
}

#[test]
fn every_step_is_right_in_f32() {
    every_step_is_right::<f32>();
}

/// Random rules, numbers and step counts, as a function of values and in place.
fn every_step_is_right<A: Float>() {
    let rng = &mut rng(12);
    let (mut applied, mut refused, mut worst) = (0, 0, (0.0, String::new()));
    while applied < cases() {
        let Ok(rule) = random_rule(rng).build() else { continue };
        let t = pick(rng, &[1, 2, 3, 7, 50, 1000]);
        let elements: [A; 4] = std::array::from_fn(|_| number(rng));
        let [x, g, m, u] = elements;
        let u = if u < A::of(0.0) { -u } else { u };
        let elements = [x, g, m, u];
        let what = format!("{rule:?}, t {t}, x, g, m, u {elements:?}");
        let one = |value: A| ArrayD::from_elem(vec![1], value);
        let mut param = one(x);
        let mut state = State::from_parts(t - 1, one(m), one(u)).expect("finite");
        let outcome = rule.step(&mut state, &mut param, &one(g));
        let moved = [param[[0]], state.first_moment()[[0]], state.inf_norm()[[0]]];
        let pure = adamax_step(x, &g, m, u, t, &rule);
        match (&outcome, &pure) {
            (Ok(_), Ok((x, m, u))) => {
                assert_eq!([*x, *m, *u].map(A::word), moved.map(A::word), "{what}");
            }
            (Err(a), Err(b)) => assert_eq!(a.kind(), b.kind(), "{what}"),
            _ => panic!("{what}: {outcome:?}, but {pure:?}"),
        }
        match outcome {
            Ok(Outcome::Applied) => {
                applied += 1;
                let exact = arithmetic::step(&rule, t, elements);
                let found = errors(moved, &exact);
                let largest = found.into_iter().fold(0.0, f64::max);
                if largest > worst.0 {
                    worst = (largest, format!("{what}: x, m, u {moved:?}, errors {found:?}"));
                }
            }
            Ok(_) => {
                refused += 1;
                assert_eq!(moved.map(A::word), [x, m, u].map(A::word), "{what}");
                assert!(overflows::<A>(&arithmetic::step(&rule, t, elements)), "skipped: {what}");
            }
            Err(error) => {
                refused += 1;
                assert_eq!(moved.map(A::word), [x, m, u].map(A::word), "{what}");
                if error.kind() == ErrorKind::NonFinite {
                    let exact = arithmetic::step(&rule, t, elements);
                    assert!(overflows::<A>(&exact), "{error}: {what}");
                } else {
                    // A setting is beyond the precision, or decays more than the parameter.
                    assert_eq!(error.kind(), ErrorKind::Hyperparameter, "{error}: {what}");
                }
            }
        }
    }
    println!("{applied} steps, {refused} refused; largest error {} ulps: {}", worst.0, worst.1);
    assert!(worst.0 <= LARGEST_ERROR, "{} ulps: {}", worst.0, worst.1);
}

// ---------------------------------------------------------------- norms

#[test]
fn a_clipped_norm_is_its_bound_in_f64() -> Result<(), Error> {
    a_clipped_norm_is_its_bound::<f64>()
}

#[test]
fn a_clipped_norm_is_its_bound_in_f32() -> Result<(), Error> {
    a_clipped_norm_is_its_bound::<f32>()
}

/// Each element is multiplied by a rounded factor, so that the norm has two roundings; and its own, of
/// the bound.
const NORM_ERROR: f64 = 2.0;

/// With β₁ = 0 the first moment is the clipped gradient.
fn a_clipped_norm_is_its_bound<A: Float>() -> Result<(), Error> {
    let rng = &mut rng(13);
    let rule = Adamax::builder().beta1(0.0).beta2(0.0).build()?;
    let unit = if size_of::<A>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    for case in 0..cases() / 10 {
        // The elements of a batch have exponents near a common one, and some are far below.
        // None is so small that the first moment would become 0.
        let common = number::<A>(rng).wide().abs().max(1e20 * A::LEAST_NORMAL.wide());
        let length = pick(rng, &[1, 2, 5, 40]);
        let gradient = |rng: &mut StdRng| {
            let element = |rng: &mut StdRng| {
                let size = if rng.random_ratio(1, 9) { 1e-9 } else { 1.0 };
                A::of(common * size * rng.random_range(-1.0..1.0))
            };
            Array1::from_shape_simple_fn(length, || element(rng))
        };
        let gradients = [gradient(rng), gradient(rng)];
        // A bound whose share for each element is a normal number.
        let least = 1e3 * A::LEAST_NORMAL.wide() / unit;
        let bound = setting(rng, least, A::LARGEST.wide());
        for max_norm in [MaxNorm::Global(bound), MaxNorm::PerTensor(bound)] {
            let mut optimizer = Optimizer::new(rule);
            optimizer.set_max_norm(Some(max_norm))?;
            let mut params = gradients.clone().map(|g| Array1::<A>::zeros(g.len()));
            let slots =
                [optimizer.register("a", &params[0])?, optimizer.register("b", &params[1])?];
            let pairs = params.iter_mut().zip(&gradients);
            let mut batch: Vec<_> =
                slots.iter().zip(pairs).map(|(slot, (x, g))| slot.bind(x, g)).collect();
            assert_eq!(optimizer.step(&mut batch)?, Outcome::Applied);
            drop(batch);
            let clipped = slots.map(|slot| optimizer.state(slot).expect("own slot").first_moment());
            let square = |values: &mut dyn Iterator<Item = A>| {
                values.fold(big(0.0), |sum, value| sum + big(value.wide()) * big(value.wide()))
            };
            let mut before = gradients.each_ref().map(|g| square(&mut g.iter().copied()));
            let mut after = clipped.map(|m| square(&mut m.iter().copied()));
            if matches!(max_norm, MaxNorm::Global(_)) {
                before = [&before[0] + &before[1], big(0.0)];
                after = [&after[0] + &after[1], big(0.0)];
            }
            for (before, after) in before.into_iter().zip(after) {
                let limit = big(bound) * big(bound);
                let expected = if before > limit { limit } else { before };
                let error =
                    magnitude(&(&after - &expected)) / larger(expected, big(1e-300) * big(1e-300));
                // The square has twice the relative error.
                let ulps = error.to_f64().value() / 2.0 / unit;
                assert!(
                    ulps <= NORM_ERROR || after < big(least * least),
                    "case {case}: {max_norm:?}, {gradients:?}: {ulps} ulps"
                );
            }
        }
    }
    Ok(())
}

/// A million gradients of the largest size, clipped to a tiny norm.
#[test]
fn a_million_large_gradients_are_clipped_to_a_small_norm() -> Result<(), Error> {
    let rule = Adamax::builder().beta1(0.0).build()?;
    let mut optimizer = Optimizer::new(rule);
    let gradient = Array1::from_elem(1_000_000, 1e38_f32);
    let mut x = Array1::zeros(1_000_000);
    let slot = optimizer.register("x", &x)?;
    optimizer.set_max_norm(Some(MaxNorm::Global(1e-3)))?;
    optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
    let clipped = optimizer.state(slot).expect("own slot").first_moment()[[0]];
    approx::assert_relative_eq!(clipped, 1e-6, max_relative = 2.0 * f32::EPSILON);
    Ok(())
}

// ---------------------------------------------------------------- single cases

/// Returns x after the first step from 0.
fn first_step<A: Float>(rule: &Adamax, g: f64) -> Result<f64, Error> {
    let zero = A::of(0.0);
    adamax_step(zero, &A::of(g), zero, zero, 1, rule).map(|(x, _, _)| x.wide())
}

/// The product of the step size and the first moment is beyond the largest number; the step is not.
#[test]
fn a_large_gradient_and_a_large_learning_rate_give_a_step() -> Result<(), Error> {
    let rule = Adamax::builder().learning_rate(10.0).build()?;
    approx::assert_relative_eq!(first_step::<f32>(&rule, 1e38)?, -10.0, max_relative = 1e-6);
    approx::assert_relative_eq!(first_step::<f64>(&rule, 1e308)?, -10.0, max_relative = 1e-15);
    assert_eq!(first_step::<f64>(&rule, f64::MAX)?, first_step::<f64>(&rule, 1e308)?);
    Ok(())
}

/// With β₁ > β₂, a quotient of the first moment and the norm can be beyond the largest number, although the
/// step is not.
#[test]
fn a_small_norm_and_a_small_learning_rate_give_a_step() -> Result<(), Error> {
    let rule = Adamax::builder().learning_rate(1e-12).beta1(0.5).beta2(0.0).epsilon(0.0).build()?;
    // Before the step, the quotient of the moments is infinite, or it is 1.
    for norm in [0.0, 1e30] {
        let (x, m, u) = adamax_step(0.0_f32, &1e-10, 1e30, norm, 1_000, &rule)?;
        approx::assert_relative_eq!(x, -5e27, max_relative = 1e-6);
        assert_eq!((m, u), (5e29, 1e-10));
    }
    Ok(())
}

/// What a step would write must be finite. Otherwise nothing is written, in every kind of call.
fn refuses<A: Float>(rule: &Adamax, x: f64, g: f64, message: &str) -> Result<(), Error> {
    let arrays = |value| Array1::from_vec(vec![A::of(0.5), A::of(value), A::of(0.25)]);
    let (param, gradient) = (arrays(x), arrays(g));
    for policy in [NonFinite::Error, NonFinite::Skip] {
        let rule = rule.to_builder().non_finite(policy).build()?;
        // In place, in a batch, and in a batch with a bound on the norm that is not reached.
        for call in 0..3 {
            let mut x = param.clone();
            let mut state = State::zeros_like(&x);
            let mut optimizer = Optimizer::new(rule);
            let slot = optimizer.register("x", &x)?;
            let result = if call == 0 {
                rule.step(&mut state, &mut x, &gradient)
            } else {
                optimizer.set_max_norm((call == 2).then_some(MaxNorm::Global(f64::MAX)))?;
                optimizer.step(&mut [slot.bind(&mut x, &gradient)])
            };
            match result {
                Ok(outcome) => assert_eq!((outcome, policy), (Outcome::Skipped, NonFinite::Skip)),
                Err(error) => {
                    assert_eq!(policy, NonFinite::Error);
                    let text = error.to_string();
                    let text = text.strip_prefix("tensor `x`: ").unwrap_or(&text);
                    assert_eq!(text, message);
                    assert_eq!(
                        (error.kind(), error.index()),
                        (ErrorKind::NonFinite, Some(&[1][..]))
                    );
                }
            }
            assert_same("x", &x, &param);
            assert_eq!((state.steps(), optimizer.state(slot).expect("own slot").steps()), (0, 0));
        }
    }
    Ok(())
}

#[test]
fn l2_brings_no_infinity_into_a_state() -> Result<(), Error> {
    let l2 = |lambda| Adamax::builder().weight_decay(WeightDecay::L2(lambda)).build();
    refuses::<f32>(&l2(10.0)?, 1e38, 0.1, "first moment would become inf at index [1]")?;
    refuses::<f64>(&l2(100.0)?, -1e307, 0.1, "first moment would become -inf at index [1]")?;
    refuses::<f64>(&l2(0.01)?, f64::NAN, 0.1, "parameter is NaN at index [1]")?;
    refuses::<f32>(&l2(0.01)?, f64::NEG_INFINITY, 0.1, "parameter is -inf at index [1]")?;
    refuses::<f64>(&l2(1.0)?, 1.5e308, 1.5e308, "first moment would become inf at index [1]")?;
    refuses::<f64>(&l2(0.9)?, 1.7e308, 4e307, "first moment would become inf at index [1]")?;
    // Large, but within the range.
    let mut x = array![1e37_f32, 1.0];
    let mut state = State::zeros_like(&x);
    assert_eq!(l2(10.0)?.step(&mut state, &mut x, &array![0.1, 0.1])?, Outcome::Applied);
    assert_eq!(state.inf_norm()[[0]], 1e38);
    Ok(())
}

/// Elements belong together by their index, not by their place in memory.
#[test]
fn an_overflow_is_found_in_any_orders() -> Result<(), Error> {
    let rule = Adamax::builder().weight_decay(WeightDecay::L2(1.0)).build()?;
    let values = array![[0.0, 1.5e308], [0.0, 0.0]].into_dyn();
    for of_x in LAYOUTS {
        for of_g in LAYOUTS {
            for of_state in LAYOUTS {
                let what = format!("{of_x:?} {of_g:?} {of_state:?}");
                let (mut x, g) = (of_x.arrange(&values), of_g.arrange(&values));
                let mut state = State::zeros_like(&of_state.arrange(&values));
                let error = rule.step(&mut state, &mut x, &g).unwrap_err();
                let message = "first moment would become inf at index [0, 1]";
                assert_eq!(error.to_string(), message, "{what}");
                assert_same(&what, &x, &values);
                assert_eq!(state.steps(), 0, "{what}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_step_that_overflows_the_parameter_is_refused() -> Result<(), Error> {
    let rule = Adamax::builder().learning_rate(1.7e307).build()?;
    refuses::<f64>(&rule, -1.7e308, 1.0, "parameter would become -inf at index [1]")?;
    let rule = Adamax::builder().beta1(0.999).beta2(0.0).learning_rate(1e30).build()?;
    let mut x = array![0.0_f32];
    let mut state = State::zeros_like(&x);
    rule.step(&mut state, &mut x, &array![1e10])?;
    let error = rule.step(&mut state, &mut x, &array![0.0]).unwrap_err();
    assert_eq!(error.to_string(), "parameter would become -inf at index [0]");
    assert_eq!(state.steps(), 1);
    Ok(())
}

/// The step is as large as the first moment, because ε is as large as the step size.
#[test]
fn a_large_moment_over_a_large_epsilon_is_refused() -> Result<(), Error> {
    let builder = Adamax::builder().learning_rate(1.0).epsilon(1.0);
    let rule = builder.bias_correction(BiasCorrection::Off).build()?;
    let before = State::from_parts(1, array![1e308].into_dyn(), array![0.0].into_dyn())?;
    let (mut state, mut x) = (before.clone(), array![-1.7e308]);
    let error = rule.step(&mut state, &mut x, &array![0.0]).unwrap_err();
    assert_eq!(error.to_string(), "parameter would become -inf at index [0]");
    assert_eq!((x[0], state), (-1.7e308, before));
    Ok(())
}

/// Every setting that rounds to nothing in f32, and an ε that the largest norm cannot be added to.
#[test]
fn a_setting_without_effect_is_refused() -> Result<(), Error> {
    type Set = fn(AdamaxBuilder) -> AdamaxBuilder;
    let settings: [(Set, &str); 13] = [
        (|b| b.clip_value(1e-50), "clip value is 1e-50, which rounds to 0 in f32"),
        (|b| b.epsilon(1e-60), "epsilon is 1e-60, which rounds to 0 in f32"),
        (|b| b.beta2(1.0 - 1e-8), "beta2 is 0.99999999, which rounds to 1 in f32"),
        (|b| b.beta1(1.0 - 1e-9), "beta1 is 0.999999999, which rounds to 1 in f32"),
        (
            |b| b.weight_decay(WeightDecay::L2(1e-50)),
            "weight decay is 1e-50, which rounds to 0 in f32",
        ),
        (
            |b| b.weight_decay(WeightDecay::Decoupled(1e-46)),
            "weight decay is 1e-46, which rounds to 0 in f32",
        ),
        (|b| b.bounds(1e-50, 9.0), "lower bound is 1e-50, which rounds to 0 in f32"),
        (|b| b.bounds(-9.0, -1e-50), "upper bound is -1e-50, which rounds to 0 in f32"),
        (|b| b.bounds(-1e39, 9.0), "lower bound is too large for f32"),
        (|b| b.bounds(-9.0, 1e39), "upper bound is too large for f32"),
        (|b| b.epsilon(1e38), "epsilon is too large for f32"),
        (|b| b.weight_decay(WeightDecay::L2(1e39)), "weight decay is too large for f32"),
        (|b| b.learning_rate(1e39), "learning rate / (1 - beta1^t) is too large for f32"),
    ];
    for (set, message) in settings {
        let rule = set(Adamax::builder()).build()?;
        first_step::<f64>(&rule, 0.5)?;
        let error = first_step::<f32>(&rule, 0.5).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.kind()),
            (message, ErrorKind::Hyperparameter)
        );
        let mut x = array![1.0_f32];
        let mut optimizer = Optimizer::new(rule);
        let slot = optimizer.register("x", &x)?;
        let error = optimizer.step(&mut [slot.bind(&mut x, &array![0.5])]).unwrap_err();
        assert_eq!(error.to_string(), format!("tensor `x`: {message}"));
        assert_eq!((x[0], optimizer.state(slot).expect("own slot").steps()), (1.0, 0));
    }
    let large = Adamax::builder().epsilon(1e308).build()?;
    assert_eq!(first_step::<f64>(&large, 0.5).unwrap_err().setting(), Some("epsilon"));

    let mut x = array![1.0_f32];
    let mut optimizer = Optimizer::new(Adamax::default());
    optimizer.set_max_norm(Some(MaxNorm::Global(1e-50)))?;
    let slot = optimizer.register("x", &x)?;
    let error = optimizer.step(&mut [slot.bind(&mut x, &array![0.5])]).unwrap_err();
    assert_eq!(error.to_string(), "max norm is 1e-50, which rounds to 0 in f32");
    assert_eq!(error.setting(), Some("max norm"));
    Ok(())
}

#[test]
fn decoupled_decay_takes_at_most_the_whole_parameter() -> Result<(), Error> {
    let rule = |lambda| {
        Adamax::builder().learning_rate(0.5).weight_decay(WeightDecay::Decoupled(lambda)).build()
    };
    let (x, _, _) = adamax_step(8.0, &0.0, 0.0, 0.0, 1, &rule(2.0)?)?;
    assert_eq!(x, 0.0);
    let error = adamax_step(8.0, &0.0, 0.0, 0.0, 1, &rule(3.0)?).unwrap_err();
    assert_eq!(
        error.to_string(),
        "learning rate * weight decay is 1.5, but must be at most 1 in a step"
    );
    // A schedule can bring it back into range.
    let mut x = array![8.0];
    let mut optimizer = Optimizer::new(rule(3.0)?);
    let slot = optimizer.register("x", &x)?;
    assert!(optimizer.step(&mut [slot.bind(&mut x, &array![0.0])]).is_err());
    optimizer.set_lr_scale(0.5)?;
    optimizer.step(&mut [slot.bind(&mut x, &array![0.0])])?;
    assert_eq!(x[0], 2.0);
    Ok(())
}

/// A constant gradient without ε moves x by the learning rate in each step. The peers' errors are in
/// `tests/golden/step_error.json`; the table in the documentation of `Adamax` shows both.
#[test]
fn every_step_of_a_constant_gradient_is_one() -> Result<(), Error> {
    // Half a unit each: of the weight, of the quotient and of the product; and those of m, which add up
    // in later steps.
    const LARGEST: f64 = 2.0;
    for beta1 in [0.9, 0.95, 0.99, 0.999, 0.9999] {
        let builder = Adamax::paper().to_builder().learning_rate(1.0).beta1(beta1).beta2(0.9999);
        let rule = builder.build()?;
        let (mut m, mut u, mut largest) = (0.0_f64, 0.0, 0.0_f64);
        for t in 1..=20 {
            let (x, new_m, new_u) = adamax_step(0.0, &1.0, m, u, t, &rule)?;
            (m, u) = (new_m, new_u);
            largest = largest.max((x + 1.0).abs() / f64::EPSILON);
        }
        println!("beta1 {beta1}: {largest}");
        assert!(largest <= LARGEST, "beta1 {beta1}: {largest}");
    }
    Ok(())
}

/// Without a learning rate, a parameter keeps its bits.
#[test]
fn a_frozen_parameter_keeps_its_bits() -> Result<(), Error> {
    let frozen = Adamax::builder().learning_rate(0.0).build()?;
    for x in [-0.0_f64, 0.0, 5e-324, -1.0, f64::MAX] {
        for g in [1.0, -1.0, 0.0, -0.0] {
            let (new, _, _) = adamax_step(x, &g, 0.0, 0.0, 1, &frozen)?;
            assert_eq!(new.to_bits(), x.to_bits(), "x {x}, g {g}");
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- every path

/// Rules and numbers for which a step is examined element by element. All layouts, sequential and
/// parallel, give the bits of single elements, and refuse the same element.
#[test]
fn every_path_agrees_at_the_edges() {
    let rng = &mut rng(14);
    let mut refused = 0;
    for _ in 0..cases() / 20 {
        let Ok(rule) = random_rule(rng).non_finite(NonFinite::Error).build() else { continue };
        let shape = pick(rng, &[[1, 1], [3, 5], [2, 40], [17, 19]]);
        let values =
            |rng: &mut StdRng| ArrayD::<f32>::from_shape_simple_fn(&shape[..], || number(rng));
        let (x, g) = (values(rng), values(rng));
        let mut expected = x.clone();
        let single = expected.iter_mut().zip(&g).try_for_each(|(x, g)| {
            let (new, _, _) = adamax_step(*x, g, 0.0, 0.0, 1, &rule)?;
            *x = new;
            Ok::<_, Error>(())
        });
        for layout in 0..4 {
            // Row-major; column-major; mixed; with gaps.
            let place = |values: &ArrayD<f32>, column_major: bool, gaps: bool| {
                let mut shape = shape.to_vec();
                shape[1] *= if gaps { 2 } else { 1 };
                let mut array = if column_major {
                    shape.reverse();
                    ArrayD::zeros(shape).reversed_axes()
                } else {
                    ArrayD::zeros(shape)
                };
                if gaps {
                    array.slice_axis_inplace(Axis(1), Slice::from(..).step_by(2));
                }
                array.assign(values);
                array
            };
            let mut param = place(&x, layout == 1 || layout == 2, layout == 3);
            let gradient = place(&g, layout == 1, layout == 3);
            let mut state = State::zeros_like(&param);
            let found = rule.step(&mut state, &mut param, &gradient);
            match (&single, found) {
                (Ok(()), Ok(_)) => {
                    assert_same(format!("{rule:?}"), &param, &expected);
                }
                (Err(a), Err(b)) => {
                    refused += 1;
                    assert_eq!((a.kind(), a.value()), (b.kind(), b.value()), "{a}, {b}: {rule:?}");
                    assert_same("nothing has changed", &param, &x);
                }
                (a, b) => panic!("{a:?}, but {b:?}: {rule:?}, {x:?}, {g:?}"),
            }
        }
    }
    assert!(refused > 0);
}

/// Where m/u is beyond the largest number, m/u·α need not be. After steps with β₁ > β₂, or with a state from
/// elsewhere, this happens under any rule. Short and long arrays, in every layout, with a report, in a batch
/// and by rows, give the bits of single elements.
#[test]
fn a_quotient_beyond_the_largest_number_gives_one_step_on_every_path() -> Result<(), Error> {
    fn check<A: Float>() -> Result<(), Error> {
        let rule = Adamax::builder().learning_rate(1e-12).epsilon(0.0).build()?;
        let (x, g) = (A::of(0.5), A::of(1e-3));
        let (m, u) = (A::LARGEST, A::of(1e-3));
        let expected = adamax_step(x, &g, m, u, 2, &rule)?;
        assert!(expected.0.wide() < -1e20 && expected.0.wide().is_finite());
        for shape in [&[1][..], &[3], &[40], &[1000], &[40, 70], &[2, 3, 50], &[700, 3]] {
            let [x, g, m, u] = [x, g, m, u].map(|value| ArrayD::from_elem(shape, value));
            let state = State::from_parts(1, m.clone(), u.clone())?;
            for layout in LAYOUTS {
                let what = format!("{shape:?} {layout:?}");
                let g = layout.arrange(&g);
                let assert_moved = |path: &str, x: &ArrayD<A>, state: &State<A>| {
                    let same = |found: &ArrayD<A>, expected: A| {
                        assert_same(format!("{path} {what}"), found, &found.mapv(|_| expected));
                    };
                    same(x, expected.0);
                    same(&state.first_moment().to_owned(), expected.1);
                    same(&state.inf_norm().to_owned(), expected.2);
                };
                for reports in [false, true] {
                    let mut param = layout.arrange(&x);
                    let mut state = state.clone().with_layout_of(&param)?;
                    if reports {
                        _ = rule.step_with_report(&mut state, &mut param, &g)?;
                    } else {
                        _ = rule.step(&mut state, &mut param, &g)?;
                    }
                    assert_moved("step", &param, &state);
                }
                let (mut param, mut table) = (layout.arrange(&x), layout.arrange(&x));
                let mut optimizer = Optimizer::new(rule);
                let slot = optimizer.register("tensor", &param)?;
                let rows = optimizer.register_rows("table", &table)?;
                optimizer.set_state(slot, &state)?;
                optimizer.set_state(rows.slot(), &state.clone().into_rows()?)?;
                let all: Vec<usize> = (0..shape[0]).collect();
                let batch = &mut [slot.bind(&mut param, &g), rows.bind(&mut table, &all, &g)];
                assert_eq!(optimizer.step(batch)?, Outcome::Applied);
                assert_moved("slot", &param, optimizer.state(slot).expect("own slot"));
                assert_moved("rows", &table, optimizer.state(rows.slot()).expect("own slot"));
            }
            let (param, ..) = adamax_step(x, &g, m, u, 2, &rule)?;
            assert_same("function", &param, &param.mapv(|_| expected.0));
        }
        Ok(())
    }
    check::<f64>()?;
    check::<f32>()
}

/// A rule with β₁ > β₂ leaves first moments that are far above their norms. The next rule knows of it, although
/// its own steps never do that: it moves as from a state that is put together from the same numbers.
#[test]
fn a_state_moves_like_its_copy_after_any_rule() -> Result<(), Error> {
    fn check<A: Float>(gradient: f64, steps: usize) -> Result<(), Error> {
        let uneven = Adamax::builder().beta1(0.9).beta2(1e-6).learning_rate(1e-12).build()?;
        let rule = Adamax::builder().learning_rate(1e-12).epsilon(0.0).build()?;
        for length in [1, 3, 40, 1000] {
            let [mut x, mut g] =
                [0.0, gradient].map(|value| ArrayD::from_elem(&[length][..], A::of(value)));
            let mut state = State::zeros_like(&x);
            for _ in 0..steps {
                _ = uneven.step(&mut state, &mut x, &g)?;
                g.fill(A::of(0.0));
            }
            let (t, m, u) = state.clone().into_parts();
            assert!((m[0] / u[0]).wide().is_infinite(), "{:e} / {:e}", m[0].wide(), u[0].wide());
            let (mut copied, mut copy) = (x.clone(), State::from_parts(t, m, u)?);
            _ = rule.step(&mut state, &mut x, &g)?;
            _ = rule.step(&mut copy, &mut copied, &g)?;
            assert_same(format!("{length}"), &x, &copied);
            assert!(x[0].wide().is_finite());
        }
        Ok(())
    }
    check::<f64>(1e20, 53)?;
    check::<f32>(1e10, 8)
}
