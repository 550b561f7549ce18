//! The published examples, and three steps computed by hand.

#![expect(
    clippy::excessive_precision,
    reason = "more digits than f64 holds, as computed with higher precision"
)]

use crate::common::{Float, PUBLISHED_F32, PUBLISHED_F64};
use adamax::{Adamax, Error, Outcome, State, adamax_step};
use approx::assert_relative_eq;
use ndarray::{Array1, Array2, ArrayD, Axis, arr0, array, aview1};

/// Inputs and outputs of one step with the default rule.
struct Example {
    x: &'static [f64],
    g: &'static [f64],
    m: f64,
    u: f64,
    t: u64,
    new_x: &'static [f64],
    new_m: &'static [f64],
    new_u: &'static [f64],
}

/// The published examples without rounding, computed with 50 decimals. Because of ε = 1e-8, the
/// first step is smaller than α = 0.002 by a relative 1e-8/g.
const PUBLISHED: [Example; 3] = [
    Example {
        x: &[1.0],
        g: &[0.1],
        m: 0.0,
        u: 0.0,
        t: 1,
        new_x: &[0.998_000_000_199_999_98], // 1 − 0.002/(0.1 + 1e-8)·0.01/0.1
        new_m: &[0.01],                     // 0.1·0.1
        new_u: &[0.1],
    },
    Example {
        x: &[1.0, 2.0, 3.0],
        g: &[0.1, 0.2, 0.3],
        m: 0.0,
        u: 0.0,
        t: 1,
        new_x: &[0.998_000_000_199_999_98, 1.998_000_000_099_999_995, 2.998_000_000_066_666_664],
        new_m: &[0.01, 0.02, 0.03],
        new_u: &[0.1, 0.2, 0.3],
    },
    Example {
        x: &[0.5],
        g: &[0.05],
        m: 0.02,
        u: 0.15,
        t: 5,
        new_x: &[0.499_250_387_976_309_296], // 0.5 − 0.002/(0.14985 + 1e-8)·0.023/0.40951
        new_m: &[0.023],                     // 0.9·0.02 + 0.1·0.05
        new_u: &[0.149_85],                  // 0.999·0.15, larger than 0.05
    },
];

/// The tolerance of each precision.
trait Published: Float + approx::RelativeEq<Epsilon = Self> {
    const TOLERANCE: Self;
}
impl Published for f64 {
    const TOLERANCE: f64 = PUBLISHED_F64;
}
impl Published for f32 {
    const TOLERANCE: f32 = PUBLISHED_F32;
}

#[test]
fn published_examples_hold_on_every_path() -> Result<(), Error> {
    for example in &PUBLISHED {
        by_scalars::<f64>(example)?;
        by_scalars::<f32>(example)?;
        by_arrays::<f64>(example)?;
        by_arrays::<f32>(example)?;
        in_place::<f64>(example)?;
        in_place::<f32>(example)?;
        without_axes::<f64>(example)?;
        without_axes::<f32>(example)?;
    }
    Ok(())
}

fn by_scalars<A: Published>(example: &Example) -> Result<(), Error> {
    let &Example { m, u, t, .. } = example;
    for i in 0..example.x.len() {
        let (x, g) = (A::of(example.x[i]), A::of(example.g[i]));
        let (x, m, u) = adamax_step(x, &g, A::of(m), A::of(u), t, &Adamax::default())?;
        assert_near(&[x], &example.new_x[i..=i]);
        assert_near(&[m], &example.new_m[i..=i]);
        assert_near(&[u], &example.new_u[i..=i]);
    }
    Ok(())
}

fn by_arrays<A: Published>(example: &Example) -> Result<(), Error> {
    let &Example { t, .. } = example;
    let (x, g) = (column(example.x), column(example.g));
    let m = Array1::from_elem(x.len(), A::of(example.m));
    let u = Array1::from_elem(x.len(), A::of(example.u));
    let (x, m, u) = adamax_step(x, &g, m, u, t, &Adamax::default())?;
    assert_example(example, x.as_slice(), m.as_slice(), u.as_slice());

    // The same with three axes and a dynamic dimension.
    let shape = [1, example.x.len(), 1];
    let (x, g) = (spread::<A>(example.x, &shape), spread(example.g, &shape));
    let m = ArrayD::from_elem(&shape[..], A::of(example.m));
    let u = ArrayD::from_elem(&shape[..], A::of(example.u));
    let (x, m, u) = adamax_step(x, &g, m, u, t, &Adamax::default())?;
    assert_example(example, x.as_slice(), m.as_slice(), u.as_slice());
    Ok(())
}

fn in_place<A: Published>(example: &Example) -> Result<(), Error> {
    let (mut x, g) = (column(example.x), column(example.g));
    let mut state = state_of(example, &[example.x.len()])?;
    assert_eq!(Adamax::default().step::<A, _>(&mut state, &mut x, &g)?, Outcome::Applied);
    assert_eq!(state.steps(), example.t);
    let (_, m, u) = state.into_parts();
    assert_example(example, x.as_slice(), m.as_slice(), u.as_slice());

    // The same in the middle column of a matrix, where the elements are not contiguous.
    let mut matrix = Array2::from_elem((example.x.len(), 3), A::of(7.0));
    matrix.column_mut(1).assign(&column(example.x));
    let mut state = state_of(example, &[example.x.len()])?;
    assert_eq!(
        Adamax::default().step(&mut state, &mut matrix.column_mut(1), &g)?,
        Outcome::Applied
    );
    let (_, m, u) = state.into_parts();
    assert_example(example, matrix.column(1).to_owned().as_slice(), m.as_slice(), u.as_slice());
    assert!(matrix.column(0).iter().chain(matrix.column(2)).all(|&value| value == A::of(7.0)));
    Ok(())
}

/// Tests arrays without axes, each of which has one element.
fn without_axes<A: Published>(example: &Example) -> Result<(), Error> {
    for i in 0..example.x.len() {
        let (mut x, g) = (arr0(A::of(example.x[i])), arr0(A::of(example.g[i])));
        let mut state = state_of(example, &[])?;
        assert_eq!(Adamax::default().step(&mut state, &mut x, &g)?, Outcome::Applied);
        let (_, m, u) = state.into_parts();
        assert_near(&[x.into_scalar()], &example.new_x[i..=i]);
        assert_near(m.as_slice().unwrap(), &example.new_m[i..=i]);
        assert_near(u.as_slice().unwrap(), &example.new_u[i..=i]);
    }
    Ok(())
}

/// Returns the state of the example before the step: [`State::zeros_like`] if it starts at t = 1.
fn state_of<A: Float>(example: &Example, shape: &[usize]) -> Result<State<A>, Error> {
    if example.t == 1 {
        assert!(example.m == 0.0 && example.u == 0.0);
        return Ok(State::zeros_like(&ArrayD::from_elem(shape, A::of(1.0))));
    }
    let m = ArrayD::from_elem(shape, A::of(example.m));
    let u = ArrayD::from_elem(shape, A::of(example.u));
    State::from_parts(example.t - 1, m, u)
}

fn column<A: Float>(values: &[f64]) -> Array1<A> {
    aview1(values).mapv(A::of)
}

fn spread<A: Float>(values: &[f64], shape: &[usize]) -> ArrayD<A> {
    column(values).into_shape_with_order(shape).expect("one element per value")
}

fn assert_example<A: Published>(
    example: &Example,
    x: Option<&[A]>,
    m: Option<&[A]>,
    u: Option<&[A]>,
) {
    assert_near(x.expect("row-major"), example.new_x);
    assert_near(m.expect("row-major"), example.new_m);
    assert_near(u.expect("row-major"), example.new_u);
}

fn assert_near<A: Published>(found: &[A], published: &[f64]) {
    assert_eq!(found.len(), published.len());
    for (&found, &published) in found.iter().zip(published) {
        assert_relative_eq!(found, A::of(published), max_relative = A::TOLERANCE);
    }
}

/// α = 0.65625, β₁ = β₂ = 1/2, ε = 0: every number below is exact in binary, so the test compares
/// for equality.
///
/// ```text
/// α/(1 − ½) = 1.3125    α/(1 − ¼) = 0.875    α/(1 − ⅛) = 0.75
/// ```
#[test]
fn three_exact_steps_by_hand() -> Result<(), Error> {
    let rule =
        Adamax::builder().learning_rate(0.656_25).beta1(0.5).beta2(0.5).epsilon(0.0).build()?;
    let mut x = array![8.0];
    let mut state = State::zeros_like(&x);

    // m = ½·0 + ½·4 = 2             u = max(½·0, 4) = 4   x = 8 − 1.3125·2/4       = 7.34375
    rule.step(&mut state, &mut x, &array![4.0])?;
    assert_eq!(values(&x, &state), (7.343_75, 2.0, 4.0, 1));

    // m = ½·2 − ½·1 = 0.5           u = max(½·4, 1) = 2   x = 7.34375 − 0.875·0.5/2 = 7.125
    rule.step(&mut state, &mut x, &array![-1.0])?;
    assert_eq!(values(&x, &state), (7.125, 0.5, 2.0, 2));

    // m = ½·0.5 + ½·8 = 4.25        u = max(½·2, 8) = 8   x = 7.125 − 0.75·4.25/8   = 6.7265625
    rule.step(&mut state, &mut x, &array![8.0])?;
    assert_eq!(values(&x, &state), (6.726_562_5, 4.25, 8.0, 3));
    Ok(())
}

/// The default rule: α = 0.002, β₁ = 0.9, β₂ = 0.999, ε = 1e-8.
#[test]
fn three_default_steps_by_hand() -> Result<(), Error> {
    let rule = Adamax::default();
    let mut x = array![1.0];
    let mut state = State::zeros_like(&x);

    // m = 0.9·0 + 0.1·0.1 = 0.01              u = max(0.999·0, 0.1) = 0.1
    // x = 1 − 0.002/0.10000001 · 0.01/0.1     = 1 − 0.00199999980000002
    rule.step(&mut state, &mut x, &array![0.1])?;
    assert_values(&x, &state, (0.998_000_000_199_999_98, 0.01, 0.1, 1));

    // m = 0.9·0.01 − 0.1·0.2 = −0.011         u = max(0.999·0.1 = 0.0999, 0.2) = 0.2
    // x = 0.9980000002 + 0.002/0.20000001 · 0.011/0.19 = … + 0.000578947339473…
    rule.step(&mut state, &mut x, &array![-0.2])?;
    assert_values(&x, &state, (0.998_578_947_539_473_656, -0.011, 0.2, 2));

    // m = −0.9·0.011 + 0.1·0.3 = 0.0201       u = max(0.999·0.2 = 0.1998, 0.3) = 0.3
    // x = 0.998578947… − 0.002/0.30000001 · 0.0201/0.271 = … − 0.000494464928167…
    rule.step(&mut state, &mut x, &array![0.3])?;
    assert_values(&x, &state, (0.998_084_482_611_306_383, 0.0201, 0.3, 3));
    Ok(())
}

fn values(x: &Array1<f64>, state: &State) -> (f64, f64, f64, u64) {
    (x[0], state.first_moment()[[0]], state.inf_norm()[[0]], state.steps())
}

fn assert_values(x: &Array1<f64>, state: &State, expected: (f64, f64, f64, u64)) {
    let found = values(x, state);
    assert_relative_eq!(found.0, expected.0, max_relative = PUBLISHED_F64);
    assert_relative_eq!(found.1, expected.1, max_relative = PUBLISHED_F64);
    assert_relative_eq!(found.2, expected.2, max_relative = PUBLISHED_F64);
    assert_eq!(found.3, expected.3);
}

/// The examples, rounded to the published digits.
#[test]
fn published_digits() -> Result<(), Error> {
    let rule = Adamax::default();
    let (x, m, u) = adamax_step(1.0, &0.1, 0.0, 0.0, 1, &rule)?;
    assert_eq!(format!("{x:.3} {m:.2} {u:.1}"), "0.998 0.01 0.1");

    let (x, m, u) = adamax_step(0.5, &0.05, 0.02, 0.15, 5, &rule)?;
    assert_eq!(format!("{x:.5} {m:.3} {u:.5}"), "0.49925 0.023 0.14985");

    let zeros = Array1::zeros(3);
    let x = array![1.0, 2.0, 3.0];
    let (x, m, u) = adamax_step(x, &array![0.1, 0.2, 0.3], zeros.clone(), zeros, 1, &rule)?;
    let columns = ndarray::stack![Axis(0), x, m, u];
    assert_eq!(
        format!("{columns:.3}"),
        "[[0.998, 1.998, 2.998],\n [0.010, 0.020, 0.030],\n [0.100, 0.200, 0.300]]"
    );
    Ok(())
}
