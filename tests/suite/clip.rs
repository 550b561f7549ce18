//! Tests of clipping by norm, globally and per tensor.
//!
//! With β₁ = 0 the first moment after a step has exactly the bits of the clipped gradient. These
//! tests read the clipped gradient there.

use crate::common::{
    Bits, Float, Model, assert_same,
    input::{gradients, rng},
    layout::LAYOUTS,
    model::MIXED,
};
use adamax::{
    Adamax, Error, ErrorKind, MaxNorm, NonFinite, Objective, Optimizer, Outcome, WeightDecay,
    adamax_step,
};
use ndarray::{ArrayD, IxDyn, array};
use ndarray_rand::{RandomExt, rand::rngs::StdRng, rand_distr::Uniform};
use std::slice;

fn rule() -> Adamax {
    Adamax::builder().beta1(0.0).build().expect("in range")
}

/// Returns the clipped gradients that a step used.
fn used<A: Float>(
    rule: Adamax,
    max_norm: MaxNorm,
    gradients: &[ArrayD<A>],
) -> Result<Vec<ArrayD<A>>, Error> {
    let mut optimizer = Optimizer::new(rule);
    optimizer.set_max_norm(Some(max_norm))?;
    let mut params: Vec<ArrayD<A>> = gradients.iter().map(|g| ArrayD::zeros(g.shape())).collect();
    let slots: Vec<_> = params
        .iter()
        .enumerate()
        .map(|(i, x)| optimizer.register(&i.to_string(), x))
        .collect::<Result<_, _>>()?;
    let before: Vec<_> = gradients.iter().map(|g| g.bits()).collect();
    let mut batch: Vec<_> = slots
        .iter()
        .zip(&mut params)
        .zip(gradients)
        .map(|((slot, x), g)| slot.bind(x, g))
        .collect();
    assert_eq!(optimizer.step(&mut batch)?, Outcome::Applied);
    assert_eq!(before, gradients.iter().map(|g| g.bits()).collect::<Vec<_>>(), "gradients changed");
    Ok(slots.iter().map(|&slot| optimizer.state(slot).unwrap().first_moment().to_owned()).collect())
}

fn vector<A: Float>(values: &[f64]) -> ArrayD<A> {
    ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.iter().map(|&v| A::of(v)).collect())
        .expect("one axis")
}

/// Multiplies each gradient by a factor that is first rounded to the precision of the gradients.
fn times<A: Float>(gradients: &[ArrayD<A>], factor: f64) -> Vec<ArrayD<A>> {
    gradients.iter().map(|g| g.mapv(|value| A::of(factor) * value)).collect()
}

fn assert_used<A: Float>(what: &str, found: &[ArrayD<A>], expected: &[ArrayD<A>]) {
    assert_same(what, found.iter().flatten(), expected.iter().flatten());
}

/// The norm by a simple sum of squares. For numbers from [`exact`], only the square root rounds.
fn naive_norm<'a, A: Float>(gradients: impl IntoIterator<Item = &'a ArrayD<A>>) -> f64 {
    let values = gradients.into_iter().flatten();
    values.map(|value| value.wide() * value.wide()).sum::<f64>().sqrt()
}

/// Random multiples of 1/256 below 16. In f64 the sum of their squares is exact in any order; in
/// f32 it is not.
fn exact<A: Float>(shape: &[usize], rng: &mut StdRng) -> ArrayD<A> {
    let range = Uniform::new_inclusive(-4095, 4095).expect("a range");
    ArrayD::random_using(shape, range, rng).mapv(|k: i16| A::of(f64::from(k) / 256.0))
}

// ---------------------------------------------------------------- the factor

#[test]
fn the_factor_is_the_bound_over_the_norm() -> Result<(), Error> {
    // The norms are 5 and 12, and the global norm is 13. The empty tensor and the zero tensor have
    // norm 0.
    let all = [vector(&[3.0, -4.0]), vector(&[]), vector(&[0.0, 12.0]), vector(&[0.0])];
    for bound in [1.0, 0.3, 12.9, 1e-3, 1e-300] {
        let global = used::<f64>(rule(), MaxNorm::Global(bound), &all)?;
        assert_used("global", &global, &times(&all, bound / 13.0));
        let each = used::<f64>(rule(), MaxNorm::PerTensor(bound), &all)?;
        assert_used("first", &each[..1], &times(&all[..1], 1.0_f64.min(bound / 5.0)));
        assert_used(
            "third",
            &each[2..3],
            &times(&all[2..3], if bound < 12.0 { bound / 12.0 } else { 1.0 }),
        );
        assert_used("zeros", &each[3..], &all[3..]);
    }
    Ok(())
}

#[test]
fn a_norm_that_does_not_exceed_the_bound_changes_nothing() -> Result<(), Error> {
    let all = [vector(&[3.0, -4.0]), vector(&[0.0, 12.0])];
    for bound in [13.0, 13.0_f64.next_up(), 14.0, 1e300, f64::MAX, f64::INFINITY] {
        assert_used("global", &used::<f64>(rule(), MaxNorm::Global(bound), &all)?, &all);
        assert_used("per tensor", &used::<f64>(rule(), MaxNorm::PerTensor(bound), &all)?, &all);
    }
    let below = 13.0_f64.next_down();
    let found = used::<f64>(rule(), MaxNorm::Global(below), &all)?;
    assert_used("just below", &found, &times(&all, below / 13.0));
    assert_ne!(found[1], all[1]);
    Ok(())
}

#[test]
fn norms_equal_those_of_a_simple_sum() -> Result<(), Error> {
    fn agree<A: Float>(seed: u64) -> Result<(), Error> {
        let rng = &mut rng(seed);
        let long: [&[usize]; 4] = [&[511], &[40, 50], &[512], &[7, 1, 1025]];
        let all: Vec<ArrayD<A>> =
            MIXED.iter().chain(&long).map(|shape| exact(shape, rng)).collect();
        let bound = 7.0;
        let factor = (bound / naive_norm(&all)).min(1.0);
        let global = used(rule(), MaxNorm::Global(bound), &all)?;
        assert_used(&format!("global, seed {seed}"), &global, &times(&all, factor));
        let each = used(rule(), MaxNorm::PerTensor(bound), &all)?;
        for (found, g) in each.iter().zip(&all) {
            let factor = (bound / naive_norm([g])).min(1.0);
            let expected = times(slice::from_ref(g), factor);
            assert_used(&format!("per tensor, seed {seed}"), slice::from_ref(found), &expected);
        }
        Ok(())
    }
    (0..10).try_for_each(|seed| agree::<f64>(seed).and_then(|()| agree::<f32>(seed)))
}

/// Scales from the smallest to the largest normal numbers. All scales are powers of two, so the
/// expected numbers are exact. The batch also has a zero tensor and an empty tensor, which must not
/// make the result zero.
#[test]
fn gradients_of_any_size_are_clipped() -> Result<(), Error> {
    for exponent in (-1020..=1020).step_by(17) {
        let scale = 2_f64.powi(exponent);
        let empty = vector(&[]);
        let zeros = vector(&[0.0, 0.0]);
        let all = [zeros, vector(&[3.0 * scale]), empty, vector(&[0.0, -4.0 * scale])];
        // A factor of 0.1 reduces the norm from 5·2^k to 2^(k-1).
        let bound = scale / 2.0;
        let what = format!("2^{exponent}");
        let global = used::<f64>(rule(), MaxNorm::Global(bound), &all)?;
        assert_used(&what, &global, &times(&all, 0.1));
        let each = used::<f64>(rule(), MaxNorm::PerTensor(bound), &all)?;
        assert_used(&what, &each[1..2], &times(&all[1..2], 0.5 / 3.0));
        assert_used(&what, &each[3..], &times(&all[3..], 0.125));
    }
    Ok(())
}

#[test]
fn decimal_extremes_are_clipped() -> Result<(), Error> {
    for (size, bound) in [(1e200, 1.0), (1e-200, 1e-201), (f64::MAX, 1e300), (1e-300, 1e-305)] {
        let all = [vector(&[size, -size / 2.0]), vector(&[size / 3.0])];
        let found = used::<f64>(rule(), MaxNorm::Global(bound), &all)?;
        let scaled = found.iter().map(|g| g.mapv(|value| value / bound)).collect::<Vec<_>>();
        assert!((naive_norm(&scaled) - 1.0).abs() < 4.0 * f64::EPSILON, "{size}");
    }
    // The small tensor does not change the norm, and scaling makes it zero.
    let all = [vector(&[1e200]), vector(&[1e-200])];
    let found = used::<f64>(rule(), MaxNorm::Global(1.0), &all)?;
    assert_used("far apart", &found, &[vector(&[1e200 * (1.0 / 1e200)]), vector(&[0.0])]);
    // In f32 these squares would overflow.
    let all = [vector(&[3e38]), vector(&[1e38, -2e38])];
    let found = used::<f32>(rule(), MaxNorm::Global(2.0), &all)?;
    assert!((naive_norm(&found) - 2.0).abs() < 4.0 * f64::from(f32::EPSILON));
    Ok(())
}

// ---------------------------------------------------------------- layout, broadcasting and order

#[test]
fn layouts_do_not_matter() -> Result<(), Error> {
    let shapes: [&[usize]; 5] = [&[3000], &[40, 50], &[513, 3], &[7, 11, 13], &[2, 3, 4, 5, 6]];
    for shape in shapes {
        let c: ArrayD<f64> = gradients(shape, &mut rng(5));
        for bound in [MaxNorm::Global(0.1), MaxNorm::PerTensor(0.1)] {
            let expected = used(rule(), bound, &[c.clone(), c.clone()])?;
            for layout in LAYOUTS {
                let found = used(rule(), bound, &[layout.arrange(&c), c.clone()])?;
                assert_used(&format!("{shape:?} {}", layout.letter()), &found, &expected);
            }
        }
    }
    Ok(())
}

/// The norm counts every repetition of a broadcast element.
#[test]
fn broadcast_gradients_count_in_full() -> Result<(), Error> {
    let source = vector::<f64>(&[3.0, 4.0]);
    let g = source.broadcast(IxDyn(&[9, 2])).unwrap();
    let mut x = ArrayD::<f64>::zeros(IxDyn(&[9, 2]));
    let mut optimizer = Optimizer::new(rule());
    optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
    let slot = optimizer.register("x", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    assert_same("m", optimizer.state(slot).unwrap().first_moment(), &g.mapv(|v| v / 15.0 * 1.0));
    Ok(())
}

/// The sum of the squared norms is rounded, but the result is the same for every order.
#[test]
fn the_order_of_the_batch_does_not_matter() -> Result<(), Error> {
    let order = |shift: usize| (0..MIXED.len()).map(|i| (i * 3 + shift) % 8).collect::<Vec<_>>();
    for seed in 0..10 {
        let run = |shift| -> Result<_, Error> {
            let mut model = Model::<f64>::new(Adamax::default(), &MIXED, seed);
            model.optimizer.set_max_norm(Some(MaxNorm::Global(0.5)))?;
            model.draw_gradients(seed);
            model.step_in_order(&order(shift))?;
            Ok(model.bits())
        };
        let expected = run(0)?;
        for shift in 1..MIXED.len() {
            assert_eq!(run(shift)?, expected, "seed {seed}, shift {shift}");
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- order of operations

/// The order is: negate, clip by norm, clip by value, add the L2 term. The expected values come
/// from the scalar function, applied to gradients that the test has scaled.
#[test]
fn the_norm_is_clipped_before_everything_but_the_sign() -> Result<(), Error> {
    let builder = Adamax::builder().clip_value(0.4).objective(Objective::Maximize);
    for decay in [WeightDecay::None, WeightDecay::L2(0.3), WeightDecay::Decoupled(0.3)] {
        let rule = builder.weight_decay(decay).build()?;
        let g = vector::<f64>(&[3.0, -4.0, 0.0, 12.0]);
        let start = vector::<f64>(&[1.0, -2.0, 3.0, 0.5]);
        let mut x = start.clone();
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
        let slot = optimizer.register("x", &x)?;
        optimizer.step(&mut [slot.bind(&mut x, &g)])?;
        let scaled = g.mapv(|value| 1.0 / 13.0 * value);
        let zeros = ArrayD::zeros(g.shape());
        let (by_hand, m, u) = adamax_step(start, &scaled, zeros.clone(), zeros, 1, &rule)?;
        assert_same("x", &x, &by_hand);
        assert_same("m", optimizer.state(slot).unwrap().first_moment(), &m);
        assert_same("u", optimizer.state(slot).unwrap().inf_norm(), &u);
    }
    Ok(())
}

/// A step that would overflow without clipping is clipped, not refused.
#[test]
fn a_step_is_judged_by_its_clipped_gradient() -> Result<(), Error> {
    let rule = Adamax::builder().weight_decay(WeightDecay::L2(1.0)).build()?;
    for max_norm in [MaxNorm::Global(1.0), MaxNorm::PerTensor(1.0)] {
        let (mut x, g) = (array![1e308], array![1.5e308]);
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(Some(max_norm))?;
        let slot = optimizer.register("x", &x)?;
        assert_eq!(optimizer.step(&mut [slot.bind(&mut x, &g)])?, Outcome::Applied);
        // 1.5e308, clipped to 1, and λ·x.
        assert_eq!(optimizer.state(slot).unwrap().inf_norm()[[0]], 1e308);
    }
    Ok(())
}

// ---------------------------------------------------------------- NaN and infinity

/// A model of three tensors in which the last gradient contains `bad`.
fn poisoned(policy: NonFinite, max_norm: MaxNorm, bad: f64) -> Result<Model<f64>, Error> {
    let mut model =
        Model::new(rule().to_builder().non_finite(policy).build()?, &[&[2], &[2, 2], &[3]], 1);
    model.optimizer.set_max_norm(Some(max_norm))?;
    for tensor in &mut model.tensors {
        tensor.g.fill(2.0);
    }
    model.tensors[2].g[[1]] = bad;
    Ok(model)
}

#[test]
fn gradients_that_are_not_finite_are_refused_or_skipped() -> Result<(), Error> {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for max_norm in [MaxNorm::Global(1.0), MaxNorm::PerTensor(1.0)] {
            let mut model = poisoned(NonFinite::Error, max_norm, bad)?;
            let before = model.bits();
            let error = model.step().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NonFinite);
            let message = format!("tensor `tensor 2`: gradient is {bad} at index [1]");
            assert_eq!(error.to_string(), message);
            assert_eq!(model.bits(), before);

            let mut model = poisoned(NonFinite::Skip, max_norm, bad)?;
            let before = model.bits();
            assert_eq!(model.step()?, Outcome::Skipped);
            assert_eq!(model.bits(), before);
        }
    }
    Ok(())
}

#[test]
fn gradients_that_are_not_finite_propagate() -> Result<(), Error> {
    let moments = |model: &Model<f64>| -> Vec<f64> {
        (0..3)
            .flat_map(|i| model.state(i).first_moment().iter().copied().collect::<Vec<_>>())
            .collect()
    };
    let nan = f64::NAN;

    // An infinite norm gives factor 0: finite values become 0, infinite values become NaN.
    let mut model = poisoned(NonFinite::Propagate, MaxNorm::Global(1.0), f64::INFINITY)?;
    model.step()?;
    assert_same("∞, global", &moments(&model), &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, nan, 0.0]);
    let mut model = poisoned(NonFinite::Propagate, MaxNorm::PerTensor(1.0), f64::INFINITY)?;
    model.step()?;
    let (a, b) = (1.0 / 8_f64.sqrt() * 2.0, 0.5);
    assert_same("∞, per tensor", &moments(&model), &[a, a, b, b, b, b, 0.0, nan, 0.0]);

    // A NaN norm gives factor NaN, which reaches every gradient under that norm.
    let mut model = poisoned(NonFinite::Propagate, MaxNorm::Global(1.0), nan)?;
    model.step()?;
    assert_same("NaN, global", &moments(&model), &[nan; 9]);
    let mut model = poisoned(NonFinite::Propagate, MaxNorm::PerTensor(1.0), nan)?;
    model.step()?;
    assert_same("NaN, per tensor", &moments(&model), &[a, a, b, b, b, b, nan, nan, nan]);
    Ok(())
}

/// With a global norm, a bad gradient reaches all tensors. So the strictest policy of the batch counts,
/// also if the gradient is in a group that propagates.
#[test]
fn a_shared_norm_is_judged_by_the_strictest_policy() -> Result<(), Error> {
    use NonFinite::{Error as Refuse, Propagate, Skip};
    for bad in [f64::NAN, f64::INFINITY] {
        for (policies, global, per_tensor) in [
            ([Propagate, Refuse], None, Some(Outcome::Applied)),
            ([Propagate, Skip], Some(Outcome::Skipped), Some(Outcome::Applied)),
            ([Skip, Refuse], Some(Outcome::Skipped), Some(Outcome::Skipped)),
            ([Refuse, Propagate], None, None),
            ([Propagate, Propagate], Some(Outcome::Applied), Some(Outcome::Applied)),
        ] {
            for (max_norm, expected) in
                [(MaxNorm::Global(1.0), global), (MaxNorm::PerTensor(1.0), per_tensor)]
            {
                // The bad gradient is that of the first tensor.
                let [first, second] = policies.map(|policy| rule().to_builder().non_finite(policy));
                let mut optimizer = Optimizer::new(first.build()?);
                let other = optimizer.add_group(second.build()?);
                optimizer.set_max_norm(Some(max_norm))?;
                let (mut a, mut b) = (vector::<f64>(&[1.0]), vector(&[1.0]));
                let slots = [optimizer.register("a", &a)?, optimizer.register_in(other, "b", &b)?];
                let (bad, good) = (vector(&[bad]), vector(&[2.0]));
                let found = optimizer
                    .step(&mut [slots[0].bind(&mut a, &bad), slots[1].bind(&mut b, &good)]);
                let what = format!("{policies:?}, {max_norm:?}");
                match (found, expected) {
                    (Ok(found), Some(expected)) => assert_eq!(found, expected, "{what}"),
                    (Err(error), None) => {
                        assert_eq!((error.tensor(), error.array()), (Some("a"), Some("gradient")));
                    }
                    (found, _) => panic!("{what}: {found:?}"),
                }
                if expected != Some(Outcome::Applied) {
                    assert_eq!((a[[0]], b[[0]]), (1.0, 1.0), "{what}");
                }
            }
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- settings

#[test]
fn only_bounds_above_zero_are_accepted() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f64>::new(rule());
    assert_eq!(optimizer.max_norm(), None);
    let good = Some(MaxNorm::PerTensor(f64::MIN_POSITIVE));
    optimizer.set_max_norm(good)?;
    for bad in [0.0, -0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        for max_norm in [MaxNorm::Global(bad), MaxNorm::PerTensor(bad)] {
            let error = optimizer.set_max_norm(Some(max_norm)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Hyperparameter);
            let message = format!("max norm is {bad}, but must be greater than 0");
            assert_eq!(error.to_string(), message);
            assert_eq!(optimizer.max_norm(), good);
        }
    }
    optimizer.set_max_norm(None)?;
    assert_eq!(optimizer.max_norm(), None);
    Ok(())
}

#[test]
fn clipping_can_be_changed_between_steps() -> Result<(), Error> {
    let (mut x, g) = (vector::<f64>(&[0.0, 0.0]), vector::<f64>(&[3.0, 4.0]));
    let mut optimizer = Optimizer::new(rule());
    let slot = optimizer.register("x", &x)?;
    for (max_norm, expected) in [
        (None, 3.0),
        (Some(MaxNorm::Global(1.0)), 0.2 * 3.0),
        (Some(MaxNorm::PerTensor(2.5)), 1.5),
        (None, 3.0),
    ] {
        optimizer.set_max_norm(max_norm)?;
        optimizer.step(&mut [slot.bind(&mut x, &g)])?;
        assert_eq!(optimizer.state(slot).unwrap().first_moment()[[0]], expected, "{max_norm:?}");
    }
    Ok(())
}
