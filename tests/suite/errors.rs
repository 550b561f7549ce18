//! Errors: the inputs that are refused, kinds, messages, and facts for programs.

use crate::common::{Float, assert_untouched, layout::LAYOUTS};
use adamax::{
    Adamax, AdamaxBuilder, Average, Error, ErrorKind, NonFinite, Optimizer, Outcome, State,
    WeightDecay, adamax_step, check_gradient, schedule::Schedule,
};
use ndarray::{Array1, ArrayD, arr0, array};
use std::error::Error as _;

const TOO_SMALL: f64 = -5e-324;

/// Asserts that a call was refused with this kind and message.
#[track_caller]
fn assert_refused<T>(result: Result<T, Error>, kind: ErrorKind, message: &str) {
    let Err(error) = result else { panic!("accepted, instead of: {message}") };
    assert_eq!((error.kind(), &*error.to_string()), (kind, message));
    assert_eq!(error.tensor(), None, "a tensor without a name");
}

// ---------------------------------------------------------------- hyperparameters

/// Sets one setting.
type Set = fn(f64) -> AdamaxBuilder;

const LEARNING_RATE: Set = |value| Adamax::builder().learning_rate(value);
const BETA1: Set = |value| Adamax::builder().beta1(value);
const BETA2: Set = |value| Adamax::builder().beta2(value);
const EPSILON: Set = |value| Adamax::builder().epsilon(value);
const L2: Set = |value| Adamax::builder().weight_decay(WeightDecay::L2(value));
const DECOUPLED: Set = |value| Adamax::builder().weight_decay(WeightDecay::Decoupled(value));
const CLIP_VALUE: Set = |value| Adamax::builder().clip_value(value);

// Settings by their range: the name in messages, and the setter.
const NOT_NEGATIVE: [(&str, Set); 4] = [
    ("learning rate", LEARNING_RATE),
    ("epsilon", EPSILON),
    ("weight decay", L2),
    ("weight decay", DECOUPLED),
];
const DECAY_RATES: [(&str, Set); 2] = [("beta1", BETA1), ("beta2", BETA2)];

#[test]
fn settings_out_of_range() {
    let refused = |set: Set, value: f64, message: &str| {
        assert_refused(set(value).build(), ErrorKind::Hyperparameter, message);
    };
    for (name, set) in NOT_NEGATIVE {
        for (value, text) in
            [(-1.5, "-1.5"), (f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-f64::INFINITY, "-inf")]
        {
            refused(set, value, &format!("{name} is {text}, but must be finite and at least 0"));
        }
        assert!(set(TOO_SMALL).build().is_err(), "{name}");
        assert!(set(-f64::NAN).build().is_err(), "{name}");
    }
    for (name, set) in DECAY_RATES {
        for (value, text) in [
            (1.0, "1"),
            (-0.5, "-0.5"),
            (1.0 + f64::EPSILON, "1.0000000000000002"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (-f64::INFINITY, "-inf"),
        ] {
            refused(set, value, &format!("{name} is {text}, but must be in [0, 1)"));
        }
        assert!(set(TOO_SMALL).build().is_err(), "{name}");
        assert!(set(-f64::NAN).build().is_err(), "{name}");
    }
    for (value, text) in
        [(0.0, "0"), (-0.0, "-0"), (-2.0, "-2"), (f64::NAN, "NaN"), (-f64::INFINITY, "-inf")]
    {
        refused(CLIP_VALUE, value, &format!("clip value is {text}, but must be greater than 0"));
    }
}

/// Bounds of which at least one number is within, or ±∞ for none.
#[test]
fn bounds_out_of_range() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let build = |(lower, upper): (f64, f64)| Adamax::builder().bounds(lower, upper).build();
    for (bounds, message) in [
        ((nan, 1.0), "lower bound is NaN, but must be below infinity"),
        ((inf, inf), "lower bound is inf, but must be below infinity"),
        ((1.0, nan), "upper bound is NaN, but must be above -infinity"),
        ((-inf, -inf), "upper bound is -inf, but must be above -infinity"),
        ((1.0, 0.5), "lower bound is 1, but must be at most the upper bound"),
        ((5e-324, 0.0), "lower bound is 5e-324, but must be at most the upper bound"),
    ] {
        assert_refused(build(bounds), ErrorKind::Hyperparameter, message);
    }
    for bounds in [(-inf, inf), (1.0, 1.0), (0.0, -0.0), (-inf, f64::MIN), (f64::MAX, inf)] {
        assert!(build(bounds).is_ok(), "{bounds:?}");
    }
}

#[test]
fn the_ends_of_the_ranges_are_accepted() {
    for (name, set) in NOT_NEGATIVE {
        for value in [0.0, -0.0, 5e-324, f64::MAX] {
            assert!(set(value).build().is_ok(), "{name} {value}");
        }
    }
    for (name, set) in DECAY_RATES {
        for value in [0.0, -0.0, 5e-324, 1.0 - f64::EPSILON / 2.0] {
            assert!(set(value).build().is_ok(), "{name} {value}");
        }
    }
    for value in [5e-324, f64::MAX, f64::INFINITY] {
        assert!(CLIP_VALUE(value).build().is_ok(), "clip value {value}");
    }
}

/// −0 counts as 0, and the sign has no effect on a step.
#[test]
fn settings_of_minus_zero_are_zero() -> Result<(), Error> {
    for (name, set) in NOT_NEGATIVE.iter().chain(&DECAY_RATES) {
        let (minus, plus) = (set(-0.0).build()?, set(0.0).build()?);
        for (x, g, m, u) in [(1.0, 0.3, -0.1, 0.2), (1.0, 0.0, 0.1, 0.0), (2.0, -0.3, 0.0, 0.0)] {
            let bits = |rule| {
                adamax_step(x, &g, m, u, 2, rule).map(|(x, m, u)| [x, m, u].map(f64::to_bits))
            };
            assert_untouched(name, &bits(&minus)?, &bits(&plus)?);
        }
    }
    Ok(())
}

#[test]
fn presets_check_their_argument() {
    for preset in [Adamax::new, Adamax::optax, Adamax::mlx] {
        for bad in [f64::NAN, -1.0, f64::INFINITY, TOO_SMALL] {
            assert_eq!(preset(bad).unwrap_err().kind(), ErrorKind::Hyperparameter, "{bad}");
        }
    }
    assert_refused(
        Adamax::optax(-1.0),
        ErrorKind::Hyperparameter,
        "learning rate is -1, but must be finite and at least 0",
    );
}

// ---------------------------------------------------------------- shapes

/// Pairs of different shapes: other lengths, ranks or orders. Some would fit by broadcasting.
const MISFITS: [(&[usize], &[usize]); 8] = [
    (&[3], &[4]),
    (&[2, 3], &[3, 2]),
    (&[2, 3], &[6]),
    (&[3, 4], &[3, 1]),
    (&[3, 1], &[3, 4]),
    (&[], &[1]),
    (&[0, 3], &[3, 0]),
    (&[2, 2, 1, 2, 2], &[2, 2, 2, 2]),
];

fn zeros<A: Float>(shape: &[usize]) -> ArrayD<A> {
    ArrayD::from_elem(shape, A::of(0.0))
}

#[test]
fn shapes_that_differ_in_f64() {
    shapes_that_differ::<f64>();
}

#[test]
fn shapes_that_differ_in_f32() {
    shapes_that_differ::<f32>();
}

fn shapes_that_differ<A: Float>() {
    use ErrorKind::Shape;
    let rule = Adamax::default();
    for (good, bad) in MISFITS {
        let (right, wrong) = (zeros::<A>(good), zeros::<A>(bad));
        let transposed = bad.len() > 1 && bad.iter().eq(good.iter().rev());
        let hint = if transposed { " (transposed?)" } else { "" };
        let message = |role: &str, reference: &str| {
            format!("{role} has shape {bad:?}, but {reference} has shape {good:?}{hint}")
        };
        let gradient = message("gradient", "parameter");
        let first_moment = message("first moment", "parameter");
        let state = format!("parameter has shape {good:?}, but state has shape {bad:?}{hint}");

        let mut x = right.clone();
        assert_refused(rule.step(&mut State::zeros_like(&right), &mut x, &wrong), Shape, &gradient);
        assert_refused(rule.step(&mut State::zeros_like(&wrong), &mut x, &right), Shape, &state);
        #[cfg(feature = "rayon")]
        assert_refused(
            rule.par_step(&mut State::zeros_like(&right), &mut x, &wrong),
            Shape,
            &gradient,
        );

        let textbook = |g: &ArrayD<A>, m: &ArrayD<A>, u: &ArrayD<A>| {
            adamax_step(right.clone(), g, m.clone(), u.clone(), 1, &rule)
        };
        assert_refused(textbook(&wrong, &right, &right), Shape, &gradient);
        assert_refused(textbook(&right, &wrong, &right), Shape, &first_moment);
        assert_refused(
            textbook(&right, &right, &wrong),
            Shape,
            &message("infinity norm", "parameter"),
        );

        assert_refused(
            State::from_parts(0, right.clone(), wrong.clone()),
            Shape,
            &message("infinity norm", "first moment"),
        );
        assert_refused(State::zeros_like(&wrong).with_layout_of(&right), Shape, &state);

        // A tensor of an optimizer has the shape that was registered.
        let mut optimizer = Optimizer::new(rule);
        let slot = optimizer.register("w", &right).unwrap();
        let (mut changed, gradient) = (wrong.clone(), wrong.clone());
        let error = optimizer.step(&mut [slot.bind(&mut changed, &gradient)]).unwrap_err();
        let expected =
            format!("parameter has shape {bad:?}, but the registered shape is {good:?}{hint}");
        assert_eq!(error.to_string(), format!("tensor `w`: {expected}"));
        assert_eq!((error.kind(), error.array()), (Shape, Some("parameter")));
        assert_eq!((error.found_shape(), error.expected_shape()), (Some(bad), Some(good)));
    }
}

// ---------------------------------------------------------------- gradients

#[test]
fn gradients_that_are_not_finite() {
    use ErrorKind::NonFinite;
    let rule = Adamax::default();
    let step = |g: ArrayD<f64>| {
        let mut x = zeros(g.shape());
        rule.step(&mut State::zeros_like(&x), &mut x, &g)
    };
    let dynamic = |g: Array1<f64>| g.into_dyn();
    let nan = dynamic(array![0.0, f64::NAN, f64::INFINITY]);
    assert_refused(step(nan), NonFinite, "gradient is NaN at index [1]");
    let infinite = dynamic(array![f64::INFINITY, f64::NAN]);
    assert_refused(step(infinite), NonFinite, "gradient is inf at index [0]");
    let scalar = arr0(f64::NEG_INFINITY).into_dyn();
    assert_refused(step(scalar), NonFinite, "gradient is -inf at index []");

    let mut seven_axes = zeros(&[2, 1, 3, 2, 1, 2, 2]);
    seven_axes[&[1, 0, 2, 1, 0, 1, 0][..]] = f64::NAN;
    assert_refused(step(seven_axes), NonFinite, "gradient is NaN at index [1, 0, 2, 1, 0, 1, 0]");

    assert_refused(
        adamax_step(1.0_f32, &f32::NAN, 0.0, 0.0, 1, &rule),
        NonFinite,
        "gradient is NaN at index []",
    );
}

/// In every layout, the first index in logical order is named, not the first in memory.
#[test]
fn the_first_bad_index_is_named() {
    let rule = Adamax::default();
    let mut values = zeros::<f64>(&[3, 4, 2]);
    for (index, value) in
        [([2, 0, 0], f64::NAN), ([1, 0, 1], -f64::INFINITY), ([1, 3, 0], f64::NAN)]
    {
        values[&index[..]] = value;
    }
    for of_x in LAYOUTS {
        for of_g in LAYOUTS {
            let mut x = of_x.arrange(&zeros::<f64>(&[3, 4, 2]));
            let mut state = State::zeros_like(&x);
            assert_refused(
                rule.step(&mut state, &mut x, &of_g.arrange(&values)),
                ErrorKind::NonFinite,
                "gradient is -inf at index [1, 0, 1]",
            );
        }
    }
}

/// The check for infinities must not overflow for the largest finite numbers.
#[test]
fn the_largest_gradients_are_finite() -> Result<(), Error> {
    fn largest<A: Float>() -> Result<(), Error> {
        let mut x = Array1::from_elem(40, A::of(1.0));
        let mut state = State::zeros_like(&x);
        let g = Array1::from_elem(40, -A::LARGEST);
        assert_eq!(Adamax::default().step(&mut state, &mut x, &g)?, Outcome::Applied);
        Ok(())
    }
    largest::<f64>()?;
    largest::<f32>()
}

/// No value of a parameter is refused: the user decides what to do with NaN there.
#[test]
fn parameters_are_not_checked() -> Result<(), Error> {
    let mut x = array![f64::NAN, f64::INFINITY, 1.0];
    let mut state = State::zeros_like(&x);
    Adamax::default().step(&mut state, &mut x, &array![0.1, 0.1, 0.1])?;
    assert!(x[0].is_nan() && x[1] == f64::INFINITY && x[2] < 1.0);
    Ok(())
}

// ---------------------------------------------------------------- states

#[test]
fn moments_that_no_run_can_have() {
    use ErrorKind::{NegativeNorm, NonFinite};
    let good = array![[0.1, 0.2], [0.3, 0.4]];
    let at = |index: [usize; 2], value: f64| {
        let mut moments = good.clone();
        moments[index] = value;
        moments
    };
    let cases = [
        (at([1, 0], f64::NAN), good.clone(), NonFinite, "first moment is NaN at index [1, 0]"),
        (at([0, 1], f64::INFINITY), good.clone(), NonFinite, "first moment is inf at index [0, 1]"),
        (
            at([0, 0], -f64::INFINITY),
            good.clone(),
            NonFinite,
            "first moment is -inf at index [0, 0]",
        ),
        (good.clone(), at([1, 1], f64::NAN), NonFinite, "infinity norm is NaN at index [1, 1]"),
        (
            good.clone(),
            at([0, 0], f64::INFINITY),
            NonFinite,
            "infinity norm is inf at index [0, 0]",
        ),
        (
            good.clone(),
            at([0, 1], -f64::INFINITY),
            NonFinite,
            "infinity norm is -inf at index [0, 1]",
        ),
        (
            good.clone(),
            at([1, 0], -0.5),
            NegativeNorm,
            "infinity norm is negative (-0.5) at index [1, 0]",
        ),
    ];
    for (m, u, kind, message) in cases {
        for layout in LAYOUTS {
            let arranged =
                |values: &ndarray::Array2<f64>| layout.arrange(&values.clone().into_dyn());
            assert_refused(State::from_parts(3, arranged(&m), arranged(&u)), kind, message);
        }
        for policy in [adamax::NonFinite::Error, adamax::NonFinite::Skip] {
            let rule = Adamax::builder().non_finite(policy).build().unwrap();
            let step = adamax_step(good.clone(), &good, m.clone(), u.clone(), 1, &rule);
            assert_refused(step, kind, message);
        }
        // `Propagate` accepts NaN in moments too, but no policy accepts a negative norm.
        let rule = Adamax::builder().non_finite(adamax::NonFinite::Propagate).build().unwrap();
        let accepted = adamax_step(good.clone(), &good, m, u.clone(), 1, &rule).is_ok();
        assert_eq!(accepted, !u.iter().any(|&u| u < 0.0), "{message}");
    }
    assert!(State::from_parts(0, array![0.0].into_dyn(), array![TOO_SMALL].into_dyn()).is_err());
}

/// A norm of −0 is 0.
#[test]
fn a_norm_of_minus_zero_is_accepted() -> Result<(), Error> {
    State::from_parts(1, array![-0.0].into_dyn(), array![-0.0].into_dyn())?;
    let (minus, plus) = (
        adamax_step(1.0, &0.0, 0.1, -0.0, 2, &Adamax::default())?,
        adamax_step(1.0, &0.0, 0.1, 0.0, 2, &Adamax::default())?,
    );
    assert_eq!(minus, plus);
    assert!(f64::is_sign_positive(minus.2));
    Ok(())
}

// ---------------------------------------------------------------- step numbers

#[test]
fn steps_are_counted_from_one() {
    use ErrorKind::StepCount;
    let message = "t is 0, but steps are counted from 1";
    let rule = Adamax::default();
    assert_refused(adamax_step(1.0, &0.1, 0.0, 0.0, 0, &rule), StepCount, message);
    assert_refused(adamax_step(1.0_f32, &0.1, 0.0, 0.0, 0, &rule), StepCount, message);
    let zero = array![0.0];
    let step = adamax_step(zero.clone(), &zero, zero.clone(), zero.clone(), 0, &rule);
    assert_refused(step, StepCount, message);
    // Also if the step would be skipped.
    let skip = Adamax::builder().non_finite(NonFinite::Skip).build().unwrap();
    assert_refused(adamax_step(1.0, &f64::NAN, 0.0, 0.0, 0, &skip), StepCount, message);
}

#[test]
fn the_counter_has_an_end() -> Result<(), Error> {
    let rule = Adamax::default();
    let (m, u) = (array![0.1].into_dyn(), array![0.2].into_dyn());
    let mut state = State::from_parts(u64::MAX - 1, m, u)?;
    let (mut x, g) = (array![1.0], array![0.1]);
    assert_eq!(rule.step(&mut state, &mut x, &g)?, Outcome::Applied);
    assert_eq!(state.steps(), u64::MAX);
    let message = "step counter has reached its largest value";
    assert_refused(rule.step(&mut state, &mut x, &g), ErrorKind::StepCount, message);
    state.reset();
    assert_eq!(rule.step(&mut state, &mut x, &g)?, Outcome::Applied);
    Ok(())
}

// ---------------------------------------------------------------- range of the precision

/// Settings in range whose coefficients overflow in the precision of the tensor.
#[test]
fn coefficients_that_overflow() -> Result<(), Error> {
    let per_correction = "learning rate / (1 - beta1^t)";
    let cases = [
        (LEARNING_RATE(1e39), per_correction, "f32"),
        (LEARNING_RATE(1e38), per_correction, "f32"), // divided by 1 − β₁ = 0.1
        (LEARNING_RATE(1e308), per_correction, "f64"),
        (L2(1e39), "weight decay", "f32"),
        (EPSILON(1e39), "epsilon", "f32"),
    ];
    for (builder, name, precision) in cases {
        let rule = builder.build()?;
        let message = format!("{name} is too large for {precision}");
        let found = if precision == "f32" {
            assert_eq!(first_step::<f64>(&rule)?, Outcome::Applied, "{message}, not for f64");
            first_step::<f32>(&rule)
        } else {
            first_step::<f64>(&rule)
        };
        assert_refused(found, ErrorKind::Hyperparameter, &message);
    }
    assert_refused(
        adamax_step(1.0_f32, &0.1, 0.0, 0.0, 1, &LEARNING_RATE(1e39).build()?),
        ErrorKind::Hyperparameter,
        "learning rate / (1 - beta1^t) is too large for f32",
    );
    // A clip value beyond the range of f32 has no effect.
    assert_eq!(first_step::<f32>(&CLIP_VALUE(1e39).build()?)?, Outcome::Applied);
    Ok(())
}

fn first_step<A: Float>(rule: &Adamax) -> Result<Outcome, Error> {
    let mut x = Array1::from_elem(3, A::of(1.0));
    rule.step(&mut State::zeros_like(&x), &mut x, &Array1::from_elem(3, A::of(0.1)))
}

/// 1e38/(1 − 0.9ᵗ) is in the range of `f32` from the fourth step on.
#[test]
fn an_overflow_may_pass() -> Result<(), Error> {
    let rule = LEARNING_RATE(1e38).build()?;
    for (t, fits) in [(1, false), (3, false), (4, true), (100, true)] {
        assert_eq!(adamax_step(1.0_f32, &0.1, 0.0, 0.0, t, &rule).is_ok(), fits, "t {t}");
    }
    Ok(())
}

// ---------------------------------------------------------------- what an error tells

/// Everything that the methods of an error return.
#[derive(Debug)]
struct Facts {
    kind: ErrorKind,
    tensor: Option<&'static str>,
    array: Option<&'static str>,
    index: Option<&'static [usize]>,
    setting: Option<&'static str>,
    value: Option<f64>,
    /// Found and expected.
    shapes: [Option<&'static [usize]>; 2],
}

/// An error of this kind that tells nothing else.
const fn only(kind: ErrorKind) -> Facts {
    Facts {
        kind,
        tensor: None,
        array: None,
        index: None,
        setting: None,
        value: None,
        shapes: [None; 2],
    }
}

#[track_caller]
fn assert_facts<T>(result: Result<T, Error>, expected: &Facts) {
    let Err(error) = result else { panic!("accepted, instead of {expected:?}") };
    let Facts { kind, tensor, array, index, setting, value, shapes } = *expected;
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.tensor(), tensor, "{error}");
    assert_eq!(error.array(), array, "{error}");
    assert_eq!(error.index(), index, "{error}");
    assert_eq!(error.setting(), setting, "{error}");
    let bits = |value: Option<f64>| value.map(f64::to_bits);
    assert_eq!(bits(error.value()), bits(value), "{error}");
    assert_eq!([error.found_shape(), error.expected_shape()], shapes, "{error}");
    // Nothing that the methods tell is missing in the message.
    let message = error.to_string();
    let told = [tensor, array, setting].into_iter().flatten().map(str::to_owned);
    let told = told.chain(index.map(|index| format!("{index:?}")));
    let told = told.chain(value.map(|value| value.to_string()));
    let told = told.chain(shapes.into_iter().flatten().map(|shape| format!("{shape:?}")));
    for text in told {
        assert!(message.contains(&text), "no {text} in: {message}");
    }
    assert_eq!(format!("{error:?}"), format!("{message} ({kind:?})"));
}

#[test]
fn settings_tell_their_name_and_value() -> Result<(), Error> {
    let of =
        |setting, value| Facts { setting: Some(setting), value, ..only(ErrorKind::Hyperparameter) };
    assert_facts(BETA1(1.5).build(), &of("beta1", Some(1.5)));
    // Beyond the numbers of which each digit counts, an exponent.
    let digits = |value| BETA1(value).build().unwrap_err().to_string();
    assert!(digits(9e15).starts_with("beta1 is 9000000000000000, but"), "{}", digits(9e15));
    assert!(digits(1e16).starts_with("beta1 is 1e16, but"), "{}", digits(1e16));
    assert_facts(LEARNING_RATE(f64::NAN).build(), &of("learning rate", Some(f64::NAN)));
    assert_facts(CLIP_VALUE(-0.0).build(), &of("clip value", Some(-0.0)));
    assert_facts(Schedule::step(0, 0.5), &of("number of steps", Some(0.0)));
    assert_facts(Schedule::piecewise_linear([]), &of("point", None));
    assert_facts(first_step::<f32>(&EPSILON(1e39).build()?), &of("epsilon", None));
    let product = "learning rate * weight decay";
    let decoupled = DECOUPLED(1024.0).learning_rate(0.5).build()?;
    assert_facts(first_step::<f32>(&decoupled), &of(product, Some(512.0)));
    let clip = CLIP_VALUE(1e-50).build()?;
    assert_eq!(first_step::<f32>(&clip).unwrap_err().value(), Some(1e-50));
    assert_facts(Average::new(1.0, &array![0.0]), &of("decay of the average", Some(1.0)));
    Ok(())
}

#[test]
fn elements_tell_their_array_index_and_value() {
    use ErrorKind::{NegativeNorm, NonFinite};
    let at = |kind, array, index, value| Facts {
        array: Some(array),
        index: Some(index),
        value: Some(value),
        ..only(kind)
    };
    let rule = Adamax::default();
    let step = adamax_step(1.0, &f64::INFINITY, 0.0, 0.0, 1, &rule);
    assert_facts(step, &at(NonFinite, "gradient", &[], f64::INFINITY));
    let step = adamax_step(1.0, &0.1, 0.0, -0.5, 1, &rule);
    assert_facts(step, &at(NegativeNorm, "infinity norm", &[], -0.5));

    let good = array![[0.1, 0.2]].into_dyn();
    let bad = array![[0.1, f64::NAN]].into_dyn();
    let state = State::from_parts(1, bad.clone(), good.clone());
    assert_facts(state, &at(NonFinite, "first moment", &[0, 1], f64::NAN));
    let state = State::from_parts(1, good.clone(), bad.clone());
    assert_facts(state, &at(NonFinite, "infinity norm", &[0, 1], f64::NAN));
    let check = check_gradient(&bad, &good, |_| 1.0);
    assert_facts(check, &at(NonFinite, "parameter", &[0, 1], f64::NAN));
    let check = check_gradient(&good, &good, |x| if x[[0, 1]] == 0.2 { 1.0 } else { f64::NAN });
    let of_objective = Facts { index: Some(&[0, 1]), value: Some(f64::NAN), ..only(NonFinite) };
    assert_facts(check, &of_objective);
}

#[test]
fn shapes_are_told() -> Result<(), Error> {
    let of = |array, found, expected| Facts {
        array: Some(array),
        shapes: [Some(found), Some(expected)],
        ..only(ErrorKind::Shape)
    };
    let (x, g) = (zeros::<f64>(&[2, 3]), zeros(&[3, 2]));
    let step = Adamax::default().step(&mut State::zeros_like(&x), &mut x.clone(), &g);
    assert_facts(step, &of("gradient", &[3, 2], &[2, 3]));
    let state = State::from_parts(0, zeros::<f64>(&[]), zeros(&[1]));
    assert_facts(state, &of("infinity norm", &[1], &[]));
    let updated = Average::new(0.5, &x)?.update(&g);
    assert_facts(updated, &of("parameter", &[3, 2], &[2, 3]));
    Ok(())
}

#[test]
fn tensors_are_told() -> Result<(), Error> {
    let (mut x, g) = (array![1.0], array![0.1]);
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("bias", &x)?;
    let in_bias = |facts| Facts { tensor: Some("bias"), ..facts };

    let stepped = optimizer.step(&mut [slot.bind(&mut x, &array![f64::NAN])]);
    let of_gradient = Facts {
        array: Some("gradient"),
        index: Some(&[0]),
        value: Some(f64::NAN),
        ..only(ErrorKind::NonFinite)
    };
    assert_facts(stepped, &in_bias(of_gradient));
    let stepped = optimizer.step(&mut [slot.bind(&mut x, &array![0.1, 0.2])]);
    let of_gradient = Facts {
        array: Some("gradient"),
        shapes: [Some(&[2]), Some(&[1])],
        ..only(ErrorKind::Shape)
    };
    assert_facts(stepped, &in_bias(of_gradient));

    let mut copy = x.clone();
    let twice = &mut [slot.bind(&mut x, &g), slot.bind(&mut copy, &g)];
    assert_facts(optimizer.step(twice), &in_bias(only(ErrorKind::Repeated)));
    assert_facts(optimizer.register("bias", &x), &in_bias(only(ErrorKind::Name)));

    let mut other = Optimizer::<f64>::new(Adamax::default());
    let missing = optimizer.restore(&other.snapshot());
    assert_facts(missing, &in_bias(only(ErrorKind::Snapshot)));
    assert_facts(other.restore(&optimizer.snapshot()), &in_bias(only(ErrorKind::Snapshot)));
    let stepped = other.step(&mut [slot.bind(&mut x, &g)]);
    assert_facts(stepped, &only(ErrorKind::Foreign));
    let group = other.add_group(Adamax::default());
    assert_facts(optimizer.set_rule(group, Adamax::default()), &only(ErrorKind::Foreign));
    assert_facts(optimizer.restore(&other.snapshot()), &only(ErrorKind::Snapshot));
    Ok(())
}

#[test]
fn step_numbers_tell_only_their_kind() {
    let step = adamax_step(1.0, &0.1, 0.0, 0.0, 0, &Adamax::default());
    assert_facts(step, &only(ErrorKind::StepCount));
}

#[cfg(feature = "safetensors")]
#[test]
fn files_tell_where_they_are_wrong() -> Result<(), Box<dyn std::error::Error>> {
    use adamax::Checkpoint;

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    assert_facts(Checkpoint::<f64>::load(&path), &only(ErrorKind::Io));

    let mut optimizer = Optimizer::new(LEARNING_RATE(0.25).build()?);
    optimizer.register("w", &array![1.0, 2.0])?;
    let mut checkpoint = Checkpoint::new(optimizer.snapshot());
    checkpoint.add_parameter("w", &array![1.0, 2.0])?.add_note("epoch", "1")?;
    assert_facts(checkpoint.add_note("epoch", "2"), &only(ErrorKind::Name));
    let named = |facts| Facts { tensor: Some("w"), ..facts };
    let added = checkpoint.add_parameter("w", &array![1.0]);
    assert_facts(added, &named(only(ErrorKind::Name)));
    let of_saved = Facts {
        array: Some("saved parameter"),
        shapes: [Some(&[2]), Some(&[1])],
        ..only(ErrorKind::Shape)
    };
    let assigned = checkpoint.assign_parameter("w", &mut array![1.0]);
    assert_facts(assigned, &named(of_saved));
    let axes = Facts { shapes: [Some(&[2]), None], ..only(ErrorKind::Format) };
    assert_facts(checkpoint.parameter::<f64, ndarray::Ix2>("w"), &axes);

    // Errors of a file begin with its path, whatever their kind.
    let sound = checkpoint.to_bytes()?;
    let spoilt = |from: &str, to: &str| -> Result<Error, Box<dyn std::error::Error>> {
        let place = sound.windows(from.len()).position(|text| text == from.as_bytes());
        let mut bytes = sound.clone();
        let place = place.ok_or_else(|| from.to_owned())?;
        bytes[place..place + from.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, bytes)?;
        let error = Checkpoint::<f64>::load(&path).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
        Ok(error)
    };
    let damaged = spoilt("\"U32\"", "\"F32\"")?;
    assert!(damaged.source().is_none());
    assert_facts::<()>(Err(damaged), &only(ErrorKind::Format));
    let json = spoilt("\"U32\"", "\"U32?")?;
    let source = json.source().and_then(|source| source.downcast_ref::<serde_json::Error>());
    assert!(source.is_some(), "{json}");
    assert_facts::<()>(Err(json), &only(ErrorKind::Format));
    let of_rule =
        Facts { setting: Some("beta1"), value: Some(9.9), ..only(ErrorKind::Hyperparameter) };
    let error = spoilt("beta1\\\":0.9", "beta1\\\":9.9")?;
    assert!(
        error.to_string().ends_with(": group 0: beta1 is 9.9, but must be in [0, 1)"),
        "{error}"
    );
    assert_facts::<()>(Err(error), &of_rule);
    Ok(())
}

#[test]
fn an_error_is_an_error() {
    let error = adamax_step(1.0, &f64::NAN, 0.0, 0.0, 1, &Adamax::default()).unwrap_err();
    // What `fn main() -> Result` prints after "Error: ".
    assert_eq!(format!("{error:?}"), "gradient is NaN at index [] (NonFinite)");
    assert_eq!(format!("{error:#?}"), "gradient is NaN at index [] (NonFinite)");
    assert!(error.source().is_none(), "there is nothing behind it");
    assert_eq!(size_of::<Error>(), size_of::<usize>());

    let refused = Adamax::builder().beta1(2.0).build().unwrap_err();
    let boxed: Box<dyn std::error::Error + Send + Sync + 'static> = refused.into();
    assert_eq!(boxed.to_string(), "beta1 is 2, but must be in [0, 1)");
    let kind = boxed.downcast_ref::<Error>().map(Error::kind);
    assert_eq!(kind, Some(ErrorKind::Hyperparameter));
}

#[test]
fn settings_print_as_plain_numbers() -> Result<(), Error> {
    // Settings only, whatever else a rule holds.
    let rest = "epsilon: 1e-8, epsilon_placement: Outside, bias_correction: On, \
                weight_decay: None, clip_value: inf, lower_bound: -inf, upper_bound: inf, \
                objective: Minimize, non_finite: Error }";
    assert_eq!(
        format!("{:?}", Adamax::default()),
        format!("Adamax {{ learning_rate: 0.002, beta1: 0.9, beta2: 0.999, {rest}")
    );
    assert_eq!(
        format!("{:?}", Adamax::builder().beta1(-1.5).beta2(f64::NAN)),
        format!("AdamaxBuilder {{ learning_rate: 0.002, beta1: -1.5, beta2: NaN, {rest}")
    );
    assert_eq!(
        format!("{:?}", Schedule::cosine(90, 0.0)?.warm_up(10, 0.1)?),
        "WarmUp { steps: 10, start: 0.1, then: Cosine { steps: 90, end: 0.0 } }"
    );
    let text = format!("{:?}", Average::new(0.75, &array![0.0])?);
    assert!(text.starts_with("Average { decay: 0.75, "), "{text}");
    Ok(())
}

/// Messages are in lower case, have no full stop, and take one line.
#[test]
fn messages_are_in_house_style() {
    let errors = [
        Adamax::builder().beta1(1.0).build().unwrap_err(),
        adamax_step(1.0, &f64::NAN, 0.0, 0.0, 1, &Adamax::default()).unwrap_err(),
        adamax_step(1.0, &0.1, 0.0, -1.0, 1, &Adamax::default()).unwrap_err(),
        adamax_step(1.0, &0.1, 0.0, 0.0, 0, &Adamax::default()).unwrap_err(),
        State::from_parts(0, zeros::<f64>(&[1]), zeros(&[2])).unwrap_err(),
    ];
    for message in errors.map(|error| error.to_string()) {
        assert!(message.starts_with(char::is_lowercase), "{message}");
        assert!(!message.ends_with('.') && !message.contains('\n'), "{message}");
    }
}

/// Coefficients are checked one by one, so that their sum may overflow.
#[test]
fn large_coefficients_that_are_finite_are_taken() -> Result<(), Error> {
    let rule = Adamax::builder().epsilon(9e291).weight_decay(WeightDecay::L2(1.5e308)).build()?;
    let (x, _, _) = adamax_step(0.5, &0.0, 0.0, 0.0, 1, &rule)?;
    assert!(f64::is_finite(x), "{x}");
    Ok(())
}
