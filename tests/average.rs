//! Tests of the exponential moving average of parameters.

mod common;

use adamax::{Adamax, Average, Error, ErrorKind, State};
use common::{
    Bits, Float, Layout, assert_same,
    input::{parameters, rng},
    layout::LAYOUTS,
    model::{MIXED, mixed_parameters},
};
use ndarray::{Array1, Array2, ArrayD, IxDyn, array, s};
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
    let file: Value = serde_json::from_str(include_str!("golden/average.json")).expect("JSON");
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
                    // optax divides by 1 − βᵗ, which loses digits when βᵗ is close to 1.
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
    for decay in DECAYS.into_iter().chain([1.0 - f64::EPSILON / 2.0, f64::MIN_POSITIVE]) {
        let x = array![0.1, -1.0 / 3.0, 0.0, f64::MAX, f64::MIN_POSITIVE, 1e-320];
        let mut average = Average::new(decay, &x)?;
        assert_eq!(average.decay(), decay);
        assert_eq!(average.mean(), &Array1::<f64>::zeros(6).into_dyn(), "before the first update");
        for _ in 0..100 {
            average.update(&x)?;
            assert_eq!(average.mean().bits(), x.bits(), "decay {decay}");
        }
    }
    Ok(())
}

#[test]
fn layouts_do_not_matter() -> Result<(), Error> {
    for shape in MIXED {
        let rng = &mut rng(2);
        let values: Vec<ArrayD<f64>> = (0..3).map(|_| parameters(shape, rng)).collect();
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
                let mut out = layout.arrange(&ArrayD::zeros(shape));
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
    Average::<f32>::update_all(&mut [])
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
    let mut transposed = Array2::from_elem((3, 2), 7.0);
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
