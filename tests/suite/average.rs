//! Tests of averages of parameters.

use crate::common::{
    Bits, Float, Layout, assert_same,
    input::{parameters, rng},
    layout::LAYOUTS,
    model::{MIXED, mixed_parameters},
};
use adamax::{Adamax, Average, Error, ErrorKind, State};
use ndarray::{Array1, Array2, ArrayD, IxDyn, array, s};
use proptest::prelude::*;
use serde_json::Value;

/// Tolerance, in units of `f32::EPSILON` or `f64::EPSILON` times the largest value.
///
/// Each update rounds twice. Old rounding errors decay together with the old values.
const UNITS: f64 = 16.0;

const DECAYS: [f64; 5] = [0.0, 0.3, 0.9, 0.99, 0.999];

/// Computes Σ βᵗ⁻ᵏ·xₖ / Σ βᵗ⁻ᵏ from all values in the order of the updates.
fn naive_mean<A: Float>(decay: f64, values: &[ArrayD<A>]) -> ArrayD<f64> {
    let (mut sum, mut weights) = (ArrayD::<f64>::zeros(values[0].shape()), 0.0);
    let mut weight = 1.0;
    for value in values.iter().rev() {
        sum += &value.mapv(|v| weight * v.wide());
        weights += weight;
        weight *= decay;
    }
    sum / weights
}

fn assert_close<A: Float>(what: &str, unit: f64, found: &ArrayD<A>, expected: &ArrayD<f64>) {
    for (a, &b) in found.iter().zip(expected) {
        let (a, scale) = (a.wide(), 8.0);
        assert!((a - b).abs() <= UNITS * unit * scale, "{what}: {a} instead of {b}");
    }
}

#[test]
fn the_mean_is_weighted_by_age() -> Result<(), Error> {
    fn agree<A: Float>(unit: f64) -> Result<(), Error> {
        for decay in DECAYS {
            for shape in MIXED {
                let rng = &mut rng(1);
                let mut values = Vec::<ArrayD<A>>::new();
                let mut average = Average::new(decay, &ArrayD::<A>::zeros(shape))?;
                for updates in 1..=40 {
                    values.push(parameters(shape, rng));
                    average.update(&values[values.len() - 1])?;
                    assert_eq!(average.updates(), updates);
                    let what = format!("decay {decay}, {shape:?}, update {updates}");
                    assert_close(&what, unit, average.mean(), &naive_mean(decay, &values));
                }
            }
        }
        Ok(())
    }
    agree::<f64>(f64::EPSILON)?;
    agree::<f32>(f32::EPSILON.into())
}

#[test]
fn optax_computes_the_same() -> Result<(), Error> {
    let file: Value = serde_json::from_str(include_str!("../golden/average.json")).expect("JSON");
    let runs = file["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 4);
    for run in runs {
        let decay = run["decay"].as_f64().expect("a number");
        let mut average = Average::new(decay, &Array1::<f64>::zeros(5))?;
        let mut seen = 0;
        for update in 0..60_u32 {
            let value = |i: u32| f64::from((37 * i + 101 * update) % 256) / 16.0 - 8.0;
            average.update(&Array1::from_iter((0..5).map(value)))?;
            for checkpoint in run["checkpoints"].as_array().expect("checkpoints") {
                if checkpoint["updates"] == update + 1 {
                    let mean = checkpoint["mean"].as_array().expect("a mean");
                    let mean = mean.iter().map(|v| v.as_f64().expect("a number")).collect();
                    let expected = ArrayD::from_shape_vec(IxDyn(&[5]), mean).expect("five");
                    let what = format!("decay {decay}, update {}", update + 1);
                    // optax subtracts βᵗ from 1, which loses digits when βᵗ is close to 1.
                    let unit = f64::EPSILON / (1.0 - decay);
                    assert_close(&what, unit, average.mean(), &expected);
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 5);
    }
    Ok(())
}

#[test]
fn the_first_value_and_a_constant_are_exact() -> Result<(), Error> {
    let x = array![0.1, -1.0 / 3.0, 0.0, f64::MAX, f64::MIN_POSITIVE, 1e-320];
    let decays = DECAYS.into_iter().chain([1.0 - f64::EPSILON / 2.0, f64::MIN_POSITIVE]);
    let averages = decays.map(|decay| Ok::<_, Error>((decay, Average::new(decay, &x)?)));
    for made in averages.chain([Ok((1.0, Average::equal(&x)?))]) {
        let (decay, mut average) = made?;
        assert_eq!(average.decay(), decay);
        assert_eq!(average.mean(), &Array1::<f64>::zeros(6).into_dyn(), "before the first update");
        for _ in 0..100 {
            average.update(&x)?;
            assert_eq!(average.mean().bits(), x.bits(), "decay {decay}");
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- the equal average

#[test]
fn pytorch_computes_the_same_equal_average() -> Result<(), Error> {
    let file: Value = serde_json::from_str(include_str!("../golden/average.json")).expect("JSON");
    let checkpoints = file["equal"].as_array().expect("checkpoints");
    assert_eq!(checkpoints.len(), 5);
    let mut average = Average::equal(&Array1::<f64>::zeros(5))?;
    for update in 0..60_u32 {
        let value = |i: u32| f64::from((37 * i + 101 * update) % 256) / 16.0 - 8.0;
        average.update(&Array1::from_iter((0..5).map(value)))?;
        for checkpoint in checkpoints.iter().filter(|at| at["updates"] == update + 1) {
            let mean = checkpoint["mean"].as_array().expect("a mean");
            let mean = mean.iter().map(|v| v.as_f64().expect("a number")).collect();
            let expected = ArrayD::from_shape_vec(IxDyn(&[5]), mean).expect("five");
            let what = format!("update {}", update + 1);
            assert_close(&what, f64::EPSILON, average.mean(), &expected);
        }
    }
    Ok(())
}

#[test]
fn the_equal_average_is_the_plain_mean() -> Result<(), Error> {
    fn agree<A: Float>(unit: f64) -> Result<(), Error> {
        for shape in MIXED {
            let rng = &mut rng(7);
            let mut average = Average::equal(&ArrayD::<A>::zeros(shape))?;
            let mut values = Vec::<ArrayD<A>>::new();
            for _ in 0..50 {
                values.push(parameters(shape, rng));
                average.update(&values[values.len() - 1])?;
                // Each update rounds twice; the errors of old updates do not decay, but average out.
                assert_close("mean", unit, average.mean(), &naive_mean(1.0, &values));
            }
            assert_eq!(average.updates(), 50);
        }
        Ok(())
    }
    agree::<f64>(f64::EPSILON)?;
    agree::<f32>(f32::EPSILON.into())
}

// ---------------------------------------------------------------- extreme values

#[test]
fn opposite_signs_near_the_largest_number_do_not_overflow() -> Result<(), Error> {
    let mut average = Average::new(0.9, &array![0.0])?;
    average.update(&array![-1.7e308])?;
    average.update(&array![1.7e308])?;
    // (−0.9·1.7e308 + 1.7e308)/1.9; terms of the size 8e307 cancel.
    approx::assert_relative_eq!(average.mean()[[0]], 1.7e308 / 19.0, max_relative = 1e-14);
    let mut equal = Average::equal(&array![0.0_f32])?;
    for value in [f32::MAX, -f32::MAX, f32::MAX, -f32::MAX] {
        equal.update(&array![value])?;
    }
    assert!(equal.mean()[[0]].abs() <= f32::MAX * f32::EPSILON, "{}", equal.mean());
    Ok(())
}

#[test]
fn a_slow_average_has_all_of_its_digits() -> Result<(), Error> {
    let mut average = Average::new(0.9999, &array![0.0])?;
    average.update(&array![0.0])?;
    average.update(&array![1.0])?;
    // 1/(1 + 0.9999), with 50 digits: 0.5000250012500625003… The total weight and the quotient are
    // rounded once each. (1 − βᵗ by subtraction: 0.5000250012501881.)
    let expected = 0.500_025_001_250_062_5;
    approx::assert_abs_diff_eq!(average.mean()[[0]], expected, epsilon = f64::EPSILON / 2.0);
    Ok(())
}

/// Largest error of an update, in units of `f64::EPSILON` times the larger of the two values: the
/// weight has about one unit, two products and two sums half a unit each at most.
const UPDATE_UNITS: f64 = 2.0;

/// Returns x·2ᵏ, for results that are normal or 0.
fn times_power_of_two(mut x: f64, mut k: i32) -> f64 {
    while k != 0 {
        let part = k.clamp(-1000, 1000);
        x *= 2_f64.powi(part);
        k -= part;
    }
    x
}

/// Numbers of all sizes and both signs.
fn finite() -> impl Strategy<Value = f64> {
    use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    NORMAL | SUBNORMAL | ZERO | POSITIVE | NEGATIVE
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Compares with the weighted mean of both values at the size of 1, computed with twice as many
    /// digits as `f64` has.
    #[test]
    fn two_values_of_any_size(
        a in prop_oneof![
            finite(),
            0.5 * f64::MAX..f64::MAX,
        ],
        b in finite(),
        same_size in any::<bool>(),
        one_minus_beta in prop_oneof![1e-12..1e-3, 1e-3..=1.0],
    ) {
        let b = if same_size { a.abs().copysign(b) * 0.75 } else { b };
        let beta = 1.0 - one_minus_beta;
        let mut average = Average::new(beta, &array![0.0])?;
        average.update(&array![a])?;
        average.update(&array![b])?;

        let largest = a.abs().max(b.abs());
        let exponent = i32::try_from(largest.to_bits() >> 52).expect("11 bits") - 1023;
        let [a, b, found] = [a, b, average.mean()[[0]]].map(|x| times_power_of_two(x, -exponent));
        // (β·a + b)/(1 + β), with the rounding errors of the product and of the sum.
        let product = beta * a;
        let lost = beta.mul_add(a, -product);
        let sum = product + b;
        let larger_first = if product.abs() > b.abs() { (product, b) } else { (b, product) };
        let lost = lost + ((larger_first.0 - sum) + larger_first.1);
        let expected = (sum + lost) / (1.0 + beta);
        let scale = a.abs().max(b.abs());
        let smallest = times_power_of_two(f64::from_bits(1), -exponent);
        let tolerance = UPDATE_UNITS * f64::EPSILON * scale + 2.0 * smallest;
        prop_assert!((found - expected).abs() <= tolerance, "{found:e}, not {expected:e}");
    }

    /// No average leaves the range of its values by more than rounding errors, whatever their size.
    #[test]
    fn the_mean_is_between_the_values(
        values in prop::collection::vec(-f32::MAX..=f32::MAX, 1..30),
        one_minus_beta in prop_oneof![Just(0.0), 1e-6..=1.0],
    ) {
        let start = array![0.0_f32];
        let mut average = if one_minus_beta == 0.0 {
            Average::equal(&start)?
        } else {
            Average::new(1.0 - one_minus_beta, &start)?
        };
        let (mut low, mut high) = (f64::MAX, f64::MIN);
        for value in values {
            average.update(&array![value])?;
            (low, high) = (low.min(value.into()), high.max(value.into()));
            let rounding = UNITS * f64::from(f32::EPSILON) * low.abs().max(high.abs());
            let mean = f64::from(average.mean()[[0]]);
            prop_assert!(low - rounding <= mean && mean <= high + rounding, "{mean:e}");
        }
    }
}

// ---------------------------------------------------------------- precision and parts

#[test]
fn an_average_in_f64_reads_and_writes_f32() -> Result<(), Error> {
    for shape in MIXED {
        let rng = &mut rng(8);
        let values: Vec<ArrayD<f32>> = (0..4).map(|_| parameters(shape, rng)).collect();
        let wide = |value: &ArrayD<f32>| value.mapv(f64::from);
        for layout in LAYOUTS {
            let start: ArrayD<f32> = layout.arrange(&values[0]);
            let mut average = Average::new(0.99, &start)?.in_f64();
            assert_eq!(average.updates(), 0);
            let mut expected = Average::new(0.99, &wide(&values[0]))?;
            for value in &values {
                let value = layout.arrange(value);
                average.update(&value)?;
                expected.update(&wide(&value))?;
            }
            assert_same("in f64", average.mean(), expected.mean());
            let mut out: ArrayD<f32> = layout.arrange(&ArrayD::zeros(shape));
            average.assign_to(&mut out)?;
            #[allow(clippy::cast_possible_truncation)] // rounds to nearest
            let rounded = expected.mean().mapv(|mean| mean as f32);
            assert_same("rounded", &out, &rounded);
            Average::update_all(&mut [average.bind(&start)])?;
            assert_eq!(average.updates(), 5);
        }
    }
    Ok(())
}

/// In `f64` from the middle of a run on: the mean is the same number.
#[test]
fn widening_keeps_the_average() -> Result<(), Error> {
    for mut average in [Average::new(0.9, &array![0.0_f32])?, Average::equal(&array![0.0_f32])?] {
        average.update(&array![0.1])?;
        average.update(&array![-3.0])?;
        let wide = average.clone().in_f64();
        assert_eq!(wide.mean()[[0]], f64::from(average.mean()[[0]]));
        assert_eq!((wide.updates(), wide.decay()), (2, average.decay()));
    }
    Ok(())
}

#[test]
fn parts_come_back() -> Result<(), Error> {
    let x = Layout::F.arrange(&parameters::<f64, _>(vec![3, 4], &mut rng(9)));
    for mut average in [Average::new(0.9, &x)?, Average::equal(&x)?] {
        for updates in 0..3 {
            let (decay, count, mean) = average.clone().into_parts();
            assert_eq!((decay, count), (average.decay(), updates));
            assert_eq!(mean.strides(), x.strides());
            assert_eq!(Average::from_parts(decay, count, mean)?, average);
            average.update(&x)?;
        }
    }
    Ok(())
}

#[test]
fn bad_parts_are_refused() {
    let mean = || array![1.0, 2.0].into_dyn();
    for bad in [1.0 + f64::EPSILON, -0.1, f64::NAN, f64::INFINITY] {
        let error = Average::<f64>::from_parts(bad, 1, mean()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Hyperparameter);
        let message = format!("decay of the average is {bad}, but must be in [0, 1]");
        assert_eq!(error.to_string(), message);
    }
    for bad in [f64::NAN, f64::NEG_INFINITY] {
        let error = Average::<f64>::from_parts(0.5, 1, array![1.0, bad].into_dyn()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NonFinite);
        assert_eq!(error.to_string(), format!("average is {bad} at index [1]"));
    }
}

#[test]
fn an_average_without_updates_is_not_assigned() -> Result<(), Error> {
    let mut x = array![1.0, 2.0];
    for average in [
        Average::new(0.9, &x)?,
        Average::equal(&x)?,
        Average::from_parts(0.9, 0, array![7.0, 7.0].into_dyn())?,
    ] {
        let error = average.assign_to(&mut x).unwrap_err();
        assert_eq!((error.kind(), error.array()), (ErrorKind::StepCount, Some("average")));
        let message = "average has had no update, so there is nothing to assign";
        assert_eq!(error.to_string(), message);
        assert_eq!(x, array![1.0, 2.0]);
        let error = average.assign_to(&mut array![0.0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
    }
    Ok(())
}

// ---------------------------------------------------------------- layouts and batches

#[test]
fn layouts_do_not_matter() -> Result<(), Error> {
    for shape in MIXED {
        let rng = &mut rng(2);
        let mut values: Vec<ArrayD<f64>> = (0..3).map(|_| parameters(shape, rng)).collect();
        values.push(values[2].mapv(|value| -f64::MAX * value.signum())); // overflows in a difference
        values.push(values[3].mapv(|value| -value));
        let mut expected = Average::new(0.9, &values[0])?;
        values.iter().try_for_each(|value| expected.update(value))?;
        for made_like in LAYOUTS {
            for layout in LAYOUTS {
                let mut average = Average::new(0.9, &made_like.arrange(&values[0]))?;
                for value in &values {
                    average.update(&layout.arrange(value))?;
                }
                let what = format!("{}{}, {shape:?}", made_like.letter(), layout.letter());
                assert_same(&what, average.mean(), expected.mean());
                let mut out: ArrayD<f64> = layout.arrange(&ArrayD::zeros(shape));
                average.assign_to(&mut out)?;
                assert_same(&what, &out, expected.mean());
            }
        }
    }
    Ok(())
}

/// The mean has the strides of its parameter, and updates do not reallocate it.
#[test]
fn the_mean_has_the_strides_of_its_parameter_and_does_not_move() -> Result<(), Error> {
    for layout in [Layout::C, Layout::F, Layout::Permuted, Layout::Reversed] {
        let x: ArrayD<f32> = layout.arrange(&parameters(vec![3, 4, 5], &mut rng(3)));
        let mut average = Average::new(0.9, &x)?;
        assert_eq!(average.mean().strides(), x.strides(), "layout {}", layout.letter());
        let place = average.mean().as_ptr();
        average.update(&x)?;
        Average::update_all(&mut [average.bind(&x)])?;
        assert_eq!(average.mean().as_ptr(), place, "the mean was moved to other memory");
    }
    Ok(())
}

#[test]
fn many_averages_are_updated_together() -> Result<(), Error> {
    let mut alone = Vec::new();
    let mut together = Vec::new();
    for (i, x) in mixed_parameters::<f64>(&MIXED, 4, 0).iter().enumerate() {
        let decay = DECAYS[i % DECAYS.len()];
        alone.push(Average::new(decay, x)?);
        together.push(Average::new(decay, x)?);
    }
    for seed in 5..9 {
        let values = mixed_parameters::<f64>(&MIXED, seed, 3);
        for (average, x) in alone.iter_mut().zip(&values) {
            average.update(x)?;
        }
        let mut batch: Vec<_> =
            together.iter_mut().zip(&values).map(|(average, x)| average.bind(x)).collect();
        batch.reverse();
        Average::update_all(&mut batch)?;
        assert_eq!(together, alone);
    }
    Average::<f32, f32>::update_all(&mut [])
}

#[test]
fn one_wrong_shape_updates_none() -> Result<(), Error> {
    let (a, b) = (Array2::<f64>::ones((2, 3)), Array1::<f64>::ones(4));
    let (mut mean_a, mut mean_b) = (Average::new(0.9, &a)?, Average::new(0.9, &b)?);
    Average::update_all(&mut [mean_a.bind(&a), mean_b.bind(&b)])?;
    let before = (mean_a.clone(), mean_b.clone());
    let wrong = Array1::<f64>::zeros(5);
    let message = "parameter has shape [5], but average has shape [4]";
    for error in [
        Average::update_all(&mut [mean_a.bind(&a), mean_b.bind(&wrong)]).unwrap_err(),
        mean_b.update(&wrong).unwrap_err(),
        mean_b.assign_to(&mut wrong.clone()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Shape);
        assert_eq!(error.to_string(), message);
    }
    let mut transposed = Array2::from_elem((3, 2), 7.0_f64);
    assert_eq!(mean_a.assign_to(&mut transposed).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(transposed, Array2::from_elem((3, 2), 7.0));
    assert_eq!((mean_a, mean_b), before);
    Ok(())
}

#[test]
fn a_decay_out_of_range_is_refused() {
    for bad in [1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
        let error = Average::new(bad, &array![1.0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Hyperparameter);
        let message = format!("decay of the average is {bad}, but must be in [0, 1)");
        assert_eq!(error.to_string(), message);
    }
}

/// Updating, reading and assigning the average do not change the training run.
#[test]
fn averaging_does_not_disturb_the_run() -> Result<(), Error> {
    let (start, rule) = (array![1.0, -2.0, 3.0], Adamax::default());
    let run = |averaged: bool| -> Result<_, Error> {
        let (mut x, mut state) = (start.clone(), State::zeros_like(&start));
        let mut average = Average::new(0.9, &x)?;
        let mut evaluated = Array1::zeros(3);
        for _ in 0..20 {
            let g = &x * 0.5;
            rule.step(&mut state, &mut x, &g)?;
            if averaged {
                average.update(&x)?;
                average.assign_to(&mut evaluated)?;
                assert_eq!(&evaluated.view().into_dyn(), average.mean());
            }
        }
        Ok((x, state))
    };
    assert_eq!(run(true)?, run(false)?);
    Ok(())
}

/// The average of a view reads and assigns only the elements of the view.
#[test]
fn views_are_parameters_too() -> Result<(), Error> {
    let mut x = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let mut average = Average::new(0.5, &x.slice(s![.., ..;2]))?;
    average.update(&x.slice(s![.., ..;2]))?;
    x += 3.0;
    average.update(&x.slice(s![.., ..;2]))?;
    // The weights are 1/3 and 2/3.
    assert_eq!(average.mean(), &array![[3.0, 5.0], [6.0, 8.0]].into_dyn());
    average.assign_to(&mut x.slice_mut(s![.., ..;2]))?;
    assert_eq!(x, array![[3.0, 5.0, 5.0], [6.0, 8.0, 8.0]]);
    Ok(())
}

#[test]
fn nan_stays_in_the_average() -> Result<(), Error> {
    let mut average = Average::new(0.5, &array![0.0, 0.0])?;
    average.update(&array![1.0, 1.0])?;
    average.update(&array![f64::NAN, 1.0])?;
    average.update(&array![1.0, 1.0])?;
    assert_same("mean", average.mean(), &[f64::NAN, 1.0]);
    Ok(())
}
