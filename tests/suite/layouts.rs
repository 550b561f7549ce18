//! Random memory layouts, the same in every run. Whatever the layouts of the parameter, the gradient
//! and the state are, a step gives the bits that it gives for row-major arrays.

use crate::common::{
    Float, assert_same,
    bits::Snapshot,
    input::{gradients, parameters, rng, shaped},
    layout::assert_nothing_around,
    repeatable, rules,
};
use adamax::{Adamax, Error, MaxNorm, Optimizer, Outcome, State, adamax_step};
use ndarray::{
    Array, ArrayD, ArrayView, Axis, Dimension, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn,
    ShapeBuilder, Slice,
};
use proptest::{bool::weighted, collection::vec, prelude::*, sample::select};

const SEED: u64 = 9;
const MOST_AXES: usize = 6;
/// Axes are shortened until a tensor has no more elements.
const MOST_ELEMENTS: usize = 4000;

// ---------------------------------------------------------------- random layouts

/// The place of one axis in a larger array.
#[derive(Clone, Debug)]
struct Place {
    /// Axes with a greater rank are nearer to the innermost one.
    rank: u8,
    backwards: bool,
    step: usize,
    /// Elements of the larger array before the first and after the last.
    before: usize,
    after: usize,
}

/// The places of up to [`MOST_AXES`] axes.
type Places = Vec<Place>;

fn places() -> impl Strategy<Value = Places> {
    let place = |with_gaps: bool| {
        let (step, around) = if with_gaps { (1..=3_usize, 0..=2_usize) } else { (1..=1, 0..=0) };
        (any::<u8>(), weighted(0.3), step, around.clone(), around).prop_map(
            |(rank, backwards, step, before, after)| Place { rank, backwards, step, before, after },
        )
    };
    // Without gaps, with gaps along some axes, along all.
    prop_oneof![
        2 => vec(place(false), MOST_AXES),
        1 => vec(prop_oneof![4 => place(false), 1 => place(true)], MOST_AXES),
        1 => vec(place(true), MOST_AXES),
    ]
}

/// Returns an array of these values in this layout. Memory between the elements has the value
/// [`Float::MARK`].
fn arrange<A: Float>(values: &ArrayD<A>, places: &[Place]) -> ArrayD<A> {
    let (shape, places) = (values.shape(), &places[..values.ndim()]);
    let extents: Vec<usize> = shape
        .iter()
        .zip(places)
        .map(|(&length, place)| length.saturating_sub(1) * place.step + length.min(1))
        .collect();
    let mut order: Vec<usize> = (0..shape.len()).collect();
    order.sort_by_key(|&axis| places[axis].rank);
    let larger = |&axis: &usize| places[axis].before + extents[axis] + places[axis].after;
    let mut place_of = vec![0; shape.len()];
    order.iter().enumerate().for_each(|(place, &axis)| place_of[axis] = place);
    let memory: Vec<usize> = order.iter().map(larger).collect();
    let mut array = ArrayD::from_elem(memory, A::MARK).permuted_axes(place_of);
    for (axis, place) in places.iter().enumerate() {
        let inside = Slice::from(place.before..place.before + extents[axis]);
        array.slice_axis_inplace(Axis(axis), inside.step_by(signed(place.step)));
        if place.backwards {
            array.invert_axis(Axis(axis));
        }
    }
    assert_eq!(array.shape(), shape);
    array.assign(values);
    array
}

fn signed(step: usize) -> isize {
    step.try_into().expect("a small step")
}

/// Shapes of ranks 0 to 6 with axes of lengths 0 to 6. Sometimes one or two of them are long: steps
/// copy short rows and planes, and go through long ones tile by tile.
fn shape() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![1 => Just(0_usize), 4 => Just(1), 15 => 2..=6_usize];
    let index = any::<prop::sample::Index>;
    let long = prop_oneof![
        6 => Just(vec![]),
        3 => vec((index(), 7..=300_usize), 1),
        2 => vec((index(), 30..=63_usize), 2),
    ];
    (vec(length, 0..=MOST_AXES), long).prop_map(|(mut shape, long)| {
        for (axis, length) in if shape.is_empty() { vec![] } else { long } {
            let axis = axis.index(shape.len());
            shape[axis] = length;
        }
        while shape.iter().product::<usize>() > MOST_ELEMENTS {
            let longest = shape.iter().copied().filter(|&length| length <= 6).max();
            let axis = shape.iter().position(|&length| Some(length) == longest);
            shape[axis.expect("a short axis")] = 1;
        }
        shape
    })
}

/// A tensor and its layouts.
#[derive(Clone, Debug)]
struct Tensor {
    shape: Vec<usize>,
    x: Places,
    g: Places,
    /// The axes along which the gradient is repeated.
    repeated: Vec<bool>,
    m: Places,
    u: Places,
    /// Uses arrays of a static dimension.
    is_static: bool,
    seed: u64,
}

fn tensor() -> impl Strategy<Value = Tensor> {
    let repeated =
        prop_oneof![4 => Just(vec![false; MOST_AXES]), 1 => vec(weighted(0.3), MOST_AXES)];
    (shape(), [places(), places(), places(), places()], repeated, any::<bool>(), any::<u64>())
        .prop_map(|(shape, [x, g, m, u], repeated, is_static, seed)| Tensor {
            shape,
            x,
            g,
            repeated,
            m,
            u,
            is_static,
            seed,
        })
}

/// The values of a tensor: x, the gradients of two steps, m and u.
struct Values<A> {
    x: ArrayD<A>,
    gradients: [ArrayD<A>; 2],
    m: ArrayD<A>,
    u: ArrayD<A>,
}

impl Tensor {
    fn values<A: Float>(&self) -> Values<A> {
        let rng = &mut rng(self.seed);
        let mut draw = || gradients(&self.shape[..], rng);
        let (gradients, m, u) = ([draw(), draw()], draw(), draw());
        let u = u.mapv(|u: A| if u < A::of(0.0) { -u } else { u });
        Values { x: parameters(&self.shape[..], rng), gradients, m, u }
    }

    /// Returns the gradient without its repetitions, in its layout.
    fn gradient<A: Float>(&self, values: &ArrayD<A>) -> ArrayD<A> {
        let mut few = values.view();
        for axis in (0..self.shape.len()).filter(|&axis| self.repeated[axis]) {
            few.slice_axis_inplace(Axis(axis), Slice::from(..self.shape[axis].min(1)));
        }
        arrange(&few.to_owned(), &self.g)
    }

    fn view<'a, A: Float, D: Dimension>(&self, gradient: &'a ArrayD<A>) -> ArrayView<'a, A, D> {
        let view = gradient.broadcast(&self.shape[..]).expect("only repetitions are missing");
        view.into_dimensionality().expect("the rank of the dimension type")
    }

    /// Returns the gradient with its repetitions, in row-major order.
    fn row_major<A: Float>(&self, gradient: &ArrayD<A>) -> ArrayD<A> {
        let view = self.view::<A, IxDyn>(gradient);
        shaped(&view.iter().copied().collect::<Vec<_>>(), &self.shape)
    }
}

/// Calls `$function::<$float, D>` with the dimension type of the tensor.
macro_rules! with_dimension {
    ($tensor:expr, $function:ident::<$float:ty>($($argument:expr),*)) => {
        match ($tensor.is_static, $tensor.shape.len()) {
            (true, 0) => $function::<$float, Ix0>($($argument),*),
            (true, 1) => $function::<$float, Ix1>($($argument),*),
            (true, 2) => $function::<$float, Ix2>($($argument),*),
            (true, 3) => $function::<$float, Ix3>($($argument),*),
            (true, 4) => $function::<$float, Ix4>($($argument),*),
            (true, 5) => $function::<$float, Ix5>($($argument),*),
            (true, 6) => $function::<$float, Ix6>($($argument),*),
            _ => $function::<$float, IxDyn>($($argument),*),
        }
    };
}

fn typed<A: Float, D: Dimension>(array: ArrayD<A>) -> Array<A, D> {
    array.into_dimensionality().expect("the rank of the dimension type")
}

fn any_rule() -> impl Strategy<Value = Adamax> {
    select(rules::one_of_each_kind()).prop_map(|case| case.rule)
}

/// The origin of the state.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// Zeros in the order of another array of the shape.
    Twin,
    /// Moments in layouts of their own.
    Parts,
    /// The same, brought into the order of the parameter.
    Ordered,
}

// ---------------------------------------------------------------- steps

proptest! {
    #![proptest_config(repeatable(SEED))]

    #[test]
    fn a_step_of_a_tensor_does_not_depend_on_layouts(
        tensor in tensor(),
        rule in any_rule(),
        origin in select(vec![Origin::Twin, Origin::Parts, Origin::Ordered]),
    ) {
        with_dimension!(tensor, tensor_steps::<f64>(&tensor, &rule, origin))?;
        tensor_steps::<f32, IxDyn>(&tensor, &rule, origin)?;
    }

    #[test]
    fn a_step_of_a_batch_does_not_depend_on_layouts(
        tensors in vec(tensor(), 1..4),
        rule in any_rule(),
        max_norm in select(vec![
            None,
            Some(MaxNorm::Global(0.2)),
            Some(MaxNorm::PerTensor(0.2)),
            Some(MaxNorm::PerTensor(5.0)),
        ]),
    ) {
        batch_steps::<f64>(&tensors, &rule, max_norm)?;
        batch_steps::<f32>(&tensors, &rule, max_norm)?;
    }

    #[test]
    fn a_step_as_a_function_does_not_depend_on_layouts(
        tensor in tensor(),
        rule in any_rule(),
        t in 1..100_u64,
    ) {
        with_dimension!(tensor, function_steps::<f64>(&tensor, &rule, t))?;
        function_steps::<f32, IxDyn>(&tensor, &rule, t)?;
    }
}

fn tensor_steps<A: Float, D: Dimension>(
    tensor: &Tensor,
    rule: &Adamax,
    origin: Origin,
) -> Result<(), TestCaseError> {
    let values = tensor.values::<A>();
    let mut x: Array<A, D> = typed(arrange(&values.x, &tensor.x));
    let mut expected_x = values.x.clone();
    let parts =
        || State::from_parts(7, arrange(&values.m, &tensor.m), arrange(&values.u, &tensor.u));
    let (mut state, mut expected) = match origin {
        Origin::Twin => {
            (State::zeros_like(&arrange(&values.x, &tensor.m)), State::zeros_like(&values.x))
        }
        Origin::Parts => (parts()?, State::from_parts(7, values.m.clone(), values.u.clone())?),
        Origin::Ordered => {
            let row_major = State::from_parts(7, values.m.clone(), values.u.clone())?;
            (parts()?.with_layout_of(&x)?, row_major)
        }
    };
    prop_assert_eq!(&state, &expected);
    for g in &values.gradients {
        let g = tensor.gradient(g);
        prop_assert_eq!(rule.step(&mut state, &mut x, &tensor.view(&g))?, Outcome::Applied);
        rule.step(&mut expected, &mut expected_x, &tensor.row_major(&g))?;
        let found = Snapshot::of(&x, &state);
        prop_assert_eq!(found, Snapshot::of(&expected_x, &expected));
    }
    assert_nothing_around("x", x);
    Ok(())
}

fn function_steps<A: Float, D: Dimension>(
    tensor: &Tensor,
    rule: &Adamax,
    t: u64,
) -> Result<(), TestCaseError> {
    let Values { x, gradients: [g, _], m, u } = tensor.values::<A>();
    let place = |values, places| typed::<A, D>(arrange(values, places));
    let grad = place(&g, &tensor.g);
    let (in_x, in_m, in_u) = (place(&x, &tensor.x), place(&m, &tensor.m), place(&u, &tensor.u));
    let found = adamax_step(in_x, &grad, in_m, in_u, t, rule)?;
    let expected = adamax_step(x, &g, m, u, t, rule)?;
    assert_same("x", &found.0, &expected.0);
    assert_same("m", &found.1, &expected.1);
    assert_same("u", &found.2, &expected.2);
    for array in [found.0, found.1, found.2] {
        assert_nothing_around("x, m and u", array);
    }
    assert_same("g", &grad, &g);
    assert_nothing_around("g", grad);
    Ok(())
}

/// The second step begins with moments that come from the row-major optimizer.
fn batch_steps<A: Float>(
    tensors: &[Tensor],
    rule: &Adamax,
    max_norm: Option<MaxNorm>,
) -> Result<(), TestCaseError> {
    let values: Vec<_> = tensors.iter().map(Tensor::values::<A>).collect();
    let [mut optimizer, mut expected] = [(); 2].map(|()| Optimizer::new(*rule));
    optimizer.set_max_norm(max_norm)?;
    expected.set_max_norm(max_norm)?;
    let mut xs = Vec::new();
    let mut expected_xs = Vec::new();
    let mut slots = Vec::new();
    for (i, (tensor, values)) in tensors.iter().zip(&values).enumerate() {
        let (name, twin) = (i.to_string(), arrange(&values.x, &tensor.m));
        xs.push(arrange(&values.x, &tensor.x));
        expected_xs.push(values.x.clone());
        slots.push((optimizer.register(&name, &twin)?, expected.register(&name, &values.x)?));
    }
    for step in 0..2 {
        let gs: Vec<_> = tensors
            .iter()
            .zip(&values)
            .map(|(tensor, values)| tensor.gradient(&values.gradients[step]))
            .collect();
        let views: Vec<_> =
            tensors.iter().zip(&gs).map(|(tensor, g)| tensor.view::<A, IxDyn>(g)).collect();
        let row_major: Vec<_> =
            tensors.iter().zip(&gs).map(|(tensor, g)| tensor.row_major(g)).collect();
        let pairs = xs.iter_mut().zip(&views);
        let mut batch: Vec<_> =
            slots.iter().zip(pairs).map(|((slot, _), (x, g))| slot.bind(x, g)).collect();
        prop_assert_eq!(optimizer.step(&mut batch)?, Outcome::Applied);
        let pairs = expected_xs.iter_mut().zip(&row_major);
        let mut batch: Vec<_> =
            slots.iter().zip(pairs).map(|((_, slot), (x, g))| slot.bind(x, g)).collect();
        expected.step(&mut batch)?;
        for (i, &(slot, expected_slot)) in slots.iter().enumerate() {
            let found = Snapshot::of(&xs[i], optimizer.state(slot).expect("own slot"));
            let state = expected.state(expected_slot).expect("own slot");
            prop_assert_eq!(found, Snapshot::of(&expected_xs[i], state), "tensor {}", i);
        }
        optimizer.restore(&expected.snapshot())?;
    }
    for x in xs {
        assert_nothing_around("x", x);
    }
    Ok(())
}

/// A state that is moved lies in memory like its parameter, and a table has its rows one after the other.
#[test]
fn a_moved_state_has_the_memory_order_of_its_parameter() -> Result<(), Error> {
    let row_major = gradients::<f64, _>((3, 4), &mut rng(8)).mapv(f64::abs);
    let column_major = Array::from_shape_fn((3, 4).f(), |at| row_major[at]);
    for (from, to) in [(&row_major, &column_major), (&column_major, &row_major)] {
        let state = State::from_parts(9, from.clone().into_dyn(), from.clone().into_dyn())?;
        assert_eq!(state.inf_norm().strides(), from.strides());
        let moved = state.clone().with_layout_of(to)?;
        assert_eq!(moved.first_moment().strides(), to.strides());
        assert_eq!(moved.inf_norm().strides(), to.strides());
        assert_eq!(moved, state);
        let table = state.into_rows()?;
        assert_eq!(table.first_moment().strides(), row_major.strides());
        assert_eq!(table.inf_norm(), from.view().into_dyn());
    }
    Ok(())
}
