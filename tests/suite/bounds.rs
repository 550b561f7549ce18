//! Bounds of parameters: what they promise, whatever the numbers are. `tests/oracle.rs` compares the
//! bits, and `tests/equivalence.rs` the paths.

use crate::common::{
    Case, Float, STEP_BOUND_ROUNDING, assert_same, bits::Snapshot, input, layout::LAYOUTS,
    repeatable, rules,
};
use adamax::{
    Adamax, AdamaxBuilder, Error, ErrorKind, Objective, Optimizer, Outcome, State, WeightDecay,
    adamax_step,
};
use ndarray::{Array1, array};
use proptest::{prelude::*, sample::select};

const INF: f64 = f64::INFINITY;
/// Odd, and longer than several SIMD vectors of any instruction set.
const LENGTH: usize = 37;
/// Relative tolerance for a norm of at most 40 numbers, whose squares may be added in another order.
const PROJECTED_NORM: f64 = 40.0 * f64::EPSILON;

/// Bounds of every kind: both, one, none, and equal ones.
fn bounds() -> impl Strategy<Value = (f64, f64)> {
    let both = (-2.0..2.0, 0.0..2.0).prop_map(|(lower, width)| (lower, lower + width));
    let fixed = (-2.0..2.0).prop_map(|bound| (bound, bound));
    let one = (-2.0..2.0, any::<bool>());
    let one = one.prop_map(|(bound, is_upper)| if is_upper { (-INF, bound) } else { (bound, INF) });
    let round = select(vec![(0.0, INF), (-INF, -0.0), (0.0, 0.0), (-1.0, 1.0), (-INF, INF)]);
    prop_oneof![both, fixed, one, round]
}

// ---------------------------------------------------------------- properties

proptest! {
    #![proptest_config(repeatable(5))]

    /// A bounded step is the step without bounds, with x limited afterwards. The moments are the same.
    #[test]
    fn only_the_result_is_limited(
        Case { rule, .. } in select(rules::all()),
        (lower, upper) in bounds(),
        seed in any::<u64>(),
    ) {
        fn check<A: Float>(rule: &Adamax, lower: f64, upper: f64, seed: u64) -> Result<(), Error> {
            let free = rule.to_builder().bounds(-INF, INF).build()?;
            let bounded = rule.to_builder().bounds(lower, upper).build()?;
            let [lower, upper] = [lower, upper].map(A::of);
            let rng = &mut input::rng(seed);
            let mut x = input::parameters::<A, _>(LENGTH, rng);
            let mut state = State::zeros_like(&x);
            for t in 1..10 {
                let g = input::gradients(LENGTH, rng);
                let (mut expected, mut expected_state) = (x.clone(), state.clone());
                free.step(&mut expected_state, &mut expected, &g)?;
                bounded.step(&mut state, &mut x, &g)?;
                assert!(x.iter().all(|&x| lower <= x && x <= upper), "t {t}: {x}");
                for value in &mut expected {
                    *value = if *value < lower {
                        lower
                    } else if *value > upper {
                        upper
                    } else {
                        *value
                    };
                }
                assert_same(format!("x, t {t}"), &x, &expected);
                let moments = |state: &State<A>| Snapshot::of(&Array1::<A>::zeros(0), state);
                assert_eq!(moments(&state), moments(&expected_state), "t {t}");
            }
            Ok(())
        }
        check::<f64>(&rule, lower, upper, seed)?;
        check::<f32>(&rule, lower, upper, seed)?;
    }

    /// Without a learning rate too, a parameter that starts outside is moved inside.
    #[test]
    fn a_frozen_parameter_is_moved_inside(x in -5.0..5.0_f64, g in -5.0..5.0_f64, bounds in bounds()) {
        let (lower, upper) = bounds;
        let rule = Adamax::builder().learning_rate(0.0).bounds(lower, upper).build()?;
        let (new, ..) = adamax_step(x, &g, 0.0, 0.0, 1, &rule)?;
        prop_assert_eq!(new, x.max(lower).min(upper));
    }

    /// Steps of at most C·α, against a decay of α·λ·x: once |x| ≤ C/λ, it stays so, while the learning
    /// rate changes.
    #[test]
    fn decoupled_decay_bounds_the_parameter(
        seed in any::<u64>(),
        beta1 in 0.0..0.95,
        nearer_1 in 0.05..0.999,
        epsilon in select(vec![0.0, 1e-8, 1e-2]),
        lambda in 0.01..100.0,
    ) {
        let beta2 = beta1 + (1.0 - beta1) * nearer_1;
        let longest = (1.0 - beta1) / (1.0 - beta1 / beta2);
        let limit = longest / lambda;
        let builder = Adamax::builder().beta1(beta1).beta2(beta2).epsilon(epsilon);
        let builder = builder.weight_decay(WeightDecay::Decoupled(lambda));
        // Starts at both ends of the interval.
        let mut x = array![limit, -limit, 0.5 * limit, 0.0];
        let mut state = State::zeros_like(&x);
        let rng = &mut input::rng(seed);
        for t in 0..200 {
            // Runs of one sign drive x outwards. The learning rate is up to 1/λ.
            let part = f64::from(t % 10 + 1) / 10.0;
            let rule = builder.learning_rate(part / lambda).build()?;
            let size = input::gradients::<f64, _>(4, rng).mapv(f64::abs);
            let g = if t / 50 % 2 == 0 { size } else { -size };
            rule.step(&mut state, &mut x, &g)?;
            let largest = limit * (1.0 + STEP_BOUND_ROUNDING);
            prop_assert!(x.iter().all(|x| x.abs() <= largest), "t {}: {} above {}", t, x, limit);
        }
    }
}

/// The bound of decoupled decay is sharp: gradients that decay as the norm does reach it.
#[test]
fn the_bound_of_decoupled_decay_is_reached() -> Result<(), Error> {
    let rule = Adamax::paper().to_builder().learning_rate(0.5);
    let rule = rule.weight_decay(WeightDecay::Decoupled(1.0)).build()?;
    let (mut x, mut g) = (array![0.0], 1.0);
    let mut state = State::zeros_like(&x);
    for _ in 0..400 {
        rule.step(&mut state, &mut x, &array![-g])?;
        g *= rule.beta2();
    }
    // 0.1/(1 − 0.9/0.999) = 1.00909…
    approx::assert_relative_eq!(x[0], 1.009_090_909, max_relative = 1e-9);
    // From outside, it is approached.
    let mut x = array![100.0];
    let mut state = State::zeros_like(&x);
    for _ in 0..100 {
        rule.step(&mut state, &mut x, &array![-1.0])?;
    }
    assert!(x[0] < 1.01, "{x}");
    Ok(())
}

// ---------------------------------------------------------------- special values

#[test]
fn nan_and_minus_zero_are_kept_on_every_path() -> Result<(), Error> {
    fn kept<A: Float>() -> Result<(), Error> {
        let zero = A::of(0.0);
        let values = Array1::from_iter((0..LENGTH).map(|i| match i % 4 {
            0 => A::NOT_A_NUMBER,
            1 => -zero,
            2 => zero,
            _ => A::INF,
        }));
        let values = values.into_dyn();
        for (lower, upper) in [(0.0, 1.0), (-0.0, 1.0), (-1.0, 0.0), (-1.0, -0.0), (0.0, 0.0)] {
            for learning_rate in [0.0, 0.002] {
                let rule = Adamax::builder().learning_rate(learning_rate).bounds(lower, upper);
                let rule = rule.build()?;
                for layout in LAYOUTS {
                    let mut x = layout.arrange(&values);
                    let g = layout.arrange(&values.mapv(|_| zero));
                    let mut state = State::zeros_like(&x);
                    assert_eq!(rule.step(&mut state, &mut x, &g)?, Outcome::Applied);
                    let limit = A::of(upper);
                    let expected = values.mapv(|x| if x == A::INF { limit } else { x });
                    let what = format!("[{lower}, {upper}], α {learning_rate}, {layout:?}");
                    assert_same(what, &x, &expected);
                }
            }
        }
        Ok(())
    }
    kept::<f64>()?;
    kept::<f32>()
}

#[test]
fn a_fixed_parameter_has_the_bound_rounded_to_nearest() -> Result<(), Error> {
    let rule = Adamax::builder().bounds(0.1, 0.1).build()?;
    let (mut x, mut wide) = (array![7.0_f32, -7.0, 0.1], array![7.0_f64, -7.0, 0.1]);
    let (mut state, mut wide_state) = (State::zeros_like(&x), State::zeros_like(&wide));
    for g in [1.0, -1.0, 0.0] {
        rule.step(&mut state, &mut x, &Array1::from_elem(3, f32::of(g)))?;
        rule.step(&mut wide_state, &mut wide, &Array1::from_elem(3, g))?;
        assert_eq!((&x, &wide), (&array![0.1, 0.1, 0.1], &array![0.1, 0.1, 0.1]));
    }
    Ok(())
}

/// What is beyond the largest number is beyond a bound too, so no step is refused.
#[test]
fn a_bound_keeps_a_long_step_finite() -> Result<(), Error> {
    let long = Adamax::builder().learning_rate(1.7e307);
    let step = |builder: AdamaxBuilder, x: f64| {
        let mut x = array![x];
        let mut state = State::zeros_like(&x);
        builder.build()?.step(&mut state, &mut x, &array![1.0])?;
        Ok::<_, Error>(x[0])
    };
    assert_eq!(step(long, -1.7e308).unwrap_err().kind(), ErrorKind::NonFinite);
    assert_eq!(step(long.bounds(-1.7e308, INF), -1.7e308)?, -1.7e308);
    // An infinite parameter is a parameter outside.
    assert_eq!(step(Adamax::builder().bounds(-1.0, 1.0), f64::NEG_INFINITY)?, -1.0);
    Ok(())
}

// ---------------------------------------------------------------- the projected gradient

proptest! {
    #![proptest_config(repeatable(6))]

    /// The part of the gradient along which a short step of descent moves a parameter that is inside.
    #[test]
    fn the_projected_gradient_is_what_a_short_step_follows(
        (lower, upper) in bounds(),
        maximize in any::<bool>(),
        // Places at and between the bounds.
        places in prop::collection::vec((0_u8..4, -5.0..5.0_f64), 1..40),
    ) {
        /// Moves each place that is inside; from inside, it cannot reach the other bound.
        const SHORT: f64 = 1e-9;
        let objective = if maximize { Objective::Maximize } else { Objective::Minimize };
        let rule = Adamax::builder().bounds(lower, upper).objective(objective).build()?;
        let limited = |x: f64| x.max(lower).min(upper);
        let x = places.iter().map(|&(place, g)| match place {
            0 => limited(-1e3),
            1 => limited(1e3),
            _ => limited(g),
        });
        let x = Array1::from_iter(x);
        let g = Array1::from_iter(places.iter().map(|&(_, g)| g));
        let uphill = if maximize { -1.0 } else { 1.0 };
        let free = x.iter().zip(&g).filter(|&(&x, &g)| limited(x - uphill * SHORT * g) != x);
        let expected = free.map(|(_, g)| g * g).sum::<f64>().sqrt();
        let found = rule.projected_gradient_norm(&x, &g)?;
        prop_assert!((found - expected).abs() <= PROJECTED_NORM * expected, "{found} {expected}");
    }
}

#[test]
fn the_projected_gradient_has_special_values() -> Result<(), Error> {
    let rule = Adamax::builder().bounds(0.0, 1.0).build()?;
    let norm = |x: f64, g: f64| rule.projected_gradient_norm(&array![x, 0.5], &array![g, 3.0]);
    assert_eq!([norm(0.0, 4.0)?, norm(-0.0, 4.0)?, norm(1.0, -4.0)?], [3.0; 3]);
    assert_eq!([norm(0.0, -4.0)?, norm(1.0, 4.0)?, norm(0.5, 4.0)?], [5.0; 3]);
    // Outside, a step moves the parameter, whatever the gradient is.
    assert_eq!([norm(-1e-300, 0.0)?, norm(1.5, 0.0)?, norm(INF, -1.0)?], [INF; 3]);
    for (x, g) in [(0.0, f64::NAN), (0.5, f64::NAN)] {
        assert!(norm(x, g)?.is_nan());
    }
    // Without bounds it is the norm, which neither overflows nor underflows.
    let free = Adamax::default();
    assert_eq!(free.projected_gradient_norm(&array![1.0], &array![-1e200])?, 1e200);
    assert_eq!(free.projected_gradient_norm(&Array1::<f64>::zeros(0), &Array1::zeros(0))?, 0.0);
    // In f32 the bound 0.1 is another number.
    let rule = Adamax::builder().bounds(0.1, 1.0).build()?;
    assert_eq!(rule.projected_gradient_norm(&array![0.1_f32], &array![1.0])?, 0.0);

    let refused = rule.projected_gradient_norm(&array![0.5, 0.5], &array![1.0]).unwrap_err();
    let message = "gradient has shape [1], but parameter has shape [2]";
    assert_eq!((refused.kind(), refused.to_string().as_str()), (ErrorKind::Shape, message));
    // Where an address has 32 bits, there is memory for all that an array can hold.
    if cfg!(target_pointer_width = "64") {
        let huge = ndarray::arr0(0.5_f64);
        let huge = huge.broadcast([usize::MAX / 32, 2]).expect("a view");
        let refused = rule.projected_gradient_norm(&huge, &huge).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Memory);
    }
    Ok(())
}

#[test]
fn the_projected_gradient_has_the_same_bits_in_every_layout() -> Result<(), Error> {
    let rng = &mut input::rng(7);
    let rule = Adamax::builder().bounds(-0.5, 0.5).build()?;
    let shape = [3, 41, 7];
    let x = input::parameters::<f64, _>(shape, rng).mapv(|x| x.clamp(-0.5, 0.5)).into_dyn();
    let g = input::gradients::<f64, _>(shape, rng).into_dyn();
    let expected = rule.projected_gradient_norm(&x, &g)?;
    for of_x in LAYOUTS {
        for of_g in LAYOUTS {
            let found = rule.projected_gradient_norm(&of_x.arrange(&x), &of_g.arrange(&g))?;
            assert_eq!(found.to_bits(), expected.to_bits(), "{of_x:?} {of_g:?}");
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- rules

/// Bounds belong to a rule: each group has its own, and a parameter may leave a bound that is lifted.
#[test]
fn each_group_has_its_bounds() -> Result<(), Error> {
    let (mut rate, mut phase) = (array![0.001, 1.0], array![3.0, -3.0]);
    let mut optimizer = Optimizer::new(Adamax::builder().bounds(0.0, INF).build()?);
    let free = Adamax::builder().learning_rate(0.5);
    let of_phase = optimizer.add_group(free.bounds(-3.25, 3.25).build()?);
    let rate_slot = optimizer.register("rate", &rate)?;
    let phase_slot = optimizer.register_in(of_phase, "phase", &phase)?;
    let (down, out) = (array![1.0, 1.0], array![-1.0, 1.0]);
    optimizer.step(&mut [rate_slot.bind(&mut rate, &down), phase_slot.bind(&mut phase, &out)])?;
    assert_eq!((rate[0], &phase), (0.0, &array![3.25, -3.25]));
    assert!(rate[1] < 1.0);
    optimizer.set_rule(of_phase, free.build()?)?;
    optimizer.step(&mut [phase_slot.bind(&mut phase, &out)])?;
    assert!(phase[0] > 3.5 && phase[1] < -3.5, "{phase}");
    Ok(())
}

#[test]
fn the_projected_gradient_hides_no_nan_and_no_bound_that_f32_cannot_hold() -> Result<(), Error> {
    let rule = Adamax::builder().bounds(0.0, 1.0).build()?;
    // A NaN parameter is at no bound, and it is not done.
    assert!(rule.projected_gradient_norm(&array![f64::NAN], &array![0.0])?.is_nan());
    assert!(rule.projected_gradient_norm(&array![f32::NAN, 0.5], &array![0.0, 0.0])?.is_nan());
    for (lower, upper) in [(1e300, f64::INFINITY), (1e-60, 1.0)] {
        let rule = Adamax::builder().bounds(lower, upper).build()?;
        let refused = rule.projected_gradient_norm(&array![0.5_f32], &array![0.0]).unwrap_err();
        let mut x = array![0.5_f32];
        let mut state = State::zeros_like(&x);
        let expected = rule.step(&mut state, &mut x, &array![0.0]).unwrap_err();
        assert_eq!((refused.kind(), refused.to_string()), (expected.kind(), expected.to_string()));
    }
    Ok(())
}
