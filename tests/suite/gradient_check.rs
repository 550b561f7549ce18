//! The gradient checker: right gradients pass, wrong ones are named, whatever the shape.

use adamax::{
    ErrorKind, GradientCheck, check_gradient,
    ndarray::{
        Array, Array0, Array1, Array2, ArrayD, ArrayRef, Axis, Dimension, IxDyn, ShapeBuilder,
        arr0, array, s,
    },
};

/// Rounding and truncation of the differences of the smooth functions below.
const RIGHT: f64 = 1e-8;
const RIGHT_F32: f64 = 1e-3;

/// Σ sin(i·x), i = 1, 2, …
fn waves<D: Dimension>(x: &Array<f64, D>) -> f64 {
    (1_u32..).zip(x).map(|(i, x)| (f64::from(i) * x).sin()).sum()
}

fn gradient_of_waves<D: Dimension>(x: &ArrayRef<f64, D>) -> Array<f64, D> {
    let mut factor = 0.0;
    let mut gradient = x.to_owned();
    // In logical order, as above; `map_inplace` may take that of memory.
    for value in &mut gradient {
        factor += 1.0;
        *value = factor * (factor * *value).cos();
    }
    gradient
}

fn point(shape: &[usize]) -> ArrayD<f64> {
    let mut next = 0.3;
    Array::from_shape_simple_fn(shape, || {
        next += 0.17;
        next
    })
}

#[track_caller]
fn assert_right(check: &GradientCheck) {
    assert!(check.deviation() < RIGHT, "{check}");
}

#[test]
fn right_gradients_pass_in_any_shape_and_layout() {
    for shape in [&[][..], &[5], &[2, 3], &[2, 1, 3], &[2, 1, 2, 1, 2]] {
        let x = point(shape);
        assert_right(&check_gradient(&x, &gradient_of_waves(&x), waves).unwrap());

        let mut column_major = ArrayD::zeros(IxDyn(shape).f());
        column_major.assign(&x);
        let gradient = gradient_of_waves(&x);
        assert_right(&check_gradient(&column_major, &gradient, waves).unwrap());
    }
}

/// Checks a gradient with one wrong entry at `wrong`. The objective is the sine of the one entry
/// that is changed, read by its index: it costs the same for any size and layout.
fn check_large<D: Dimension>(
    x: &ArrayRef<f64, D>,
    wrong: usize,
    entry: impl Fn(&Array<f64, D>, usize) -> f64,
) -> (GradientCheck, usize) {
    let mut gradient = x.mapv(f64::cos);
    *gradient.iter_mut().nth(wrong).unwrap() *= 1.25;
    let mut calls = 0;
    let check = check_gradient(x, &gradient, |probe| {
        calls += 1;
        entry(probe, (calls - 1) / 2).sin()
    });
    (check.unwrap(), calls)
}

#[test]
fn large_arrays_take_linear_work_and_give_one_result_in_any_layout() {
    // A search for each entry would take 10¹⁰ steps or more in each layout: minutes.
    const SIDE: usize = 400;
    const WRONG: usize = 123 * SIDE + 321;
    let mut place = 0_u32;
    let row_major = Array::from_shape_simple_fn((SIDE, SIDE), || {
        place += 1;
        0.3 + f64::from(place % 11) / 10.0
    });
    let entry = |x: &Array2<f64>, position: usize| x[[position / SIDE, position % SIDE]];
    let (expected, calls) = check_large(&row_major, WRONG, entry);
    assert_eq!((expected.index(), calls), (&[123, 321][..], 2 * SIDE * SIDE));
    assert!((expected.deviation() - 0.2).abs() < RIGHT, "{expected}");

    let mut column_major = Array2::zeros((SIDE, SIDE).f());
    column_major.assign(&row_major);
    let mut sliced = Array2::zeros((2 * SIDE, 3 * SIDE));
    let mut sliced = sliced.slice_mut(s![..;2, ..;-3]);
    sliced.assign(&row_major);
    let mut reversed = row_major.slice(s![..;-1, ..]).to_owned();
    reversed.invert_axis(Axis(0));
    for x in [column_major.view(), sliced.view(), reversed.view()] {
        assert_eq!(check_large(&x, WRONG, entry), (expected.clone(), calls), "{:?}", x.strides());
    }
    let dynamic = column_major.view().into_dyn();
    let entry = |x: &ArrayD<f64>, position: usize| x[[position / SIDE, position % SIDE]];
    assert_eq!(check_large(&dynamic, WRONG, entry), (expected, calls));
}

#[test]
fn the_objective_gets_the_memory_order_of_the_parameter() {
    let x = Array2::from_elem((3, 4).f(), 0.5);
    let check = check_gradient(&x, &Array2::ones((3, 4)), |probe| {
        assert_eq!(probe.strides(), x.strides());
        probe.sum()
    });
    assert_right(&check.unwrap());
}

#[test]
fn the_worst_entry_is_named() {
    let x = point(&[2, 3]);
    let mut gradient = gradient_of_waves(&x);
    let right = gradient[[1, 2]];
    gradient[[0, 1]] *= 1.01;
    gradient[[1, 2]] *= 1.25;
    let check = check_gradient(&x, &gradient, waves).unwrap();
    assert_eq!(check.index(), [1, 2]);
    assert_eq!(check.analytic(), 1.25 * right);
    assert!((check.numeric() - right).abs() < RIGHT * right.abs(), "{check}");
    assert!((check.deviation() - 0.2).abs() < RIGHT, "{check}");
}

#[test]
fn of_equal_deviations_the_first_is_named() {
    let wrong = array![-1.0, -1.0, -1.0];
    let check = check_gradient(&Array1::zeros(3), &wrong, |x| x.sum()).unwrap();
    assert_eq!(check.index(), [0], "{check}");
}

#[test]
fn a_wrong_sign_deviates_by_two() {
    let x = point(&[4]);
    let check = check_gradient(&x, &-gradient_of_waves(&x), waves).unwrap();
    assert!((check.deviation() - 2.0).abs() < RIGHT, "{check}");
}

#[test]
fn a_forgotten_entry_deviates_by_one() {
    let x = point(&[4]);
    let mut gradient = gradient_of_waves(&x);
    gradient[[2]] = 0.0;
    let check = check_gradient(&x, &gradient, waves).unwrap();
    assert_eq!((check.index(), check.analytic()), (&[2][..], 0.0));
    assert!((check.deviation() - 1.0).abs() < RIGHT, "{check}");
}

#[test]
fn single_precision_tells_right_from_wrong() {
    let x = array![0.5_f32, -1.5, 40.0];
    let cubes = |x: &Array1<f32>| x.iter().map(|x| x * x * x).sum();
    let check = check_gradient(&x, &x.mapv(|x| 3.0 * x * x), cubes).unwrap();
    assert!(check.deviation() < RIGHT_F32, "{check}");
    let check = check_gradient(&x, &x.mapv(|x| 2.0 * x * x), cubes).unwrap();
    assert!(check.deviation() > 0.3, "{check}");
}

#[test]
fn steps_grow_with_the_parameter() {
    // At 1e12 a step of the size that suits 1 would be less than the spacing of floats.
    let x = array![1e12, -1e12];
    let squares = |x: &Array1<f64>| x.iter().map(|x| x * x).sum();
    assert_right(&check_gradient(&x, &x.mapv(|x| 2.0 * x), squares).unwrap());
    let check = check_gradient(&x, &x.mapv(|x| 3.0 * x), squares).unwrap();
    assert!((check.deviation() - 1.0 / 3.0).abs() < RIGHT, "{check}");
}

#[test]
fn rounding_of_the_objective_is_no_deviation() {
    let x = array![0.5, 0.25];
    let offset = |x: &Array1<f64>| 1e9 + x.sum();
    let check = check_gradient(&x, &array![1.0, 1.0], offset).unwrap();
    assert_eq!(check.deviation(), 0.0, "{check}");
    let check = check_gradient(&x, &array![1.0, 9.0], offset).unwrap();
    assert!(check.uncertainty() > 0.1 && check.uncertainty() < 1.0, "{check}");
    assert!(check.deviation() > 0.5, "{check}");
}

#[test]
fn one_entry_is_moved_at_a_time_and_put_back() {
    let x = point(&[2, 2]);
    let mut moved = Vec::new();
    check_gradient(&x, &x, |probe| {
        let differs: Vec<usize> =
            probe.iter().zip(&x).enumerate().filter(|(_, (a, b))| a != b).map(|(i, _)| i).collect();
        moved.push(differs);
        0.0
    })
    .unwrap();
    assert_eq!(moved, [[0], [0], [1], [1], [2], [2], [3], [3]]);
}

#[test]
fn an_empty_array_has_a_right_gradient() {
    let x = Array1::<f64>::zeros(0);
    let check = check_gradient(&x, &x, |_| f64::NAN).unwrap();
    assert_eq!((check.deviation(), check.index()), (0.0, &[][..]));
    assert_eq!(check.to_string(), "gradient agrees with the differences of the objective");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let x = array![0.5, 0.25];
    let sum = |x: &Array1<f64>| x.sum();
    let root = |x: &Array1<f64>| (x[1] - 0.25).sqrt();
    for (param, grad, objective, kind, message) in [
        (
            &x,
            array![1.0],
            &sum as &dyn Fn(&Array1<f64>) -> f64,
            ErrorKind::Shape,
            "gradient has shape [1], but parameter has shape [2]",
        ),
        (
            &array![0.5, f64::INFINITY],
            x.clone(),
            &sum,
            ErrorKind::NonFinite,
            "parameter is inf at index [1]",
        ),
        (&x, array![f64::NAN, 1.0], &sum, ErrorKind::NonFinite, "gradient is NaN at index [0]"),
        (
            &x,
            x.clone(),
            &root,
            ErrorKind::NonFinite,
            "objective is NaN where the parameter at index [1] is 0.2499939",
        ),
    ] {
        let error = check_gradient(param, &grad, objective).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn the_report_says_it_all() {
    let x: Array0<f64> = arr0(3.0);
    let check = check_gradient(&x, &arr0(3.0), |x| x.sum() * x.sum()).unwrap();
    let text = check.to_string();
    assert!(text.starts_with("gradient deviates by 5.0e-1 at index []: 3 given, "), "{text}");
    assert!(text.contains("by differences, uncertain by "), "{text}");
}
