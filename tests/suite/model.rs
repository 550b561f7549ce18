//! Whole models: names, the same bits as by hand, and what does not fit.

use crate::common::{
    Bits, Float, Layout, assert_same, assert_untouched,
    input::{gradients, parameters, rng},
    layout::LAYOUTS,
    panic_quietly, repeatable,
};
use adamax::{
    Adamax, Average, Averages, Error, ErrorKind, Group, MaxNorm, Optimizer, Outcome, Real, Tensors,
    Visitor, VisitorMut, WeightDecay,
};
use ndarray::{
    ArcArray, Array, Array0, Array1, Array2, Array3, ArrayD, ArrayViewMut0, ArrayViewMut1,
    ArrayViewMut2, ArrayViewMutD, Axis, CowArray, Dimension, Ix1, Ix2, array, s,
};
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    panic::{self, AssertUnwindSafe},
    slice,
    sync::atomic::{AtomicUsize, Ordering},
};

// ---------------------------------------------------------------- a model of every kind

#[derive(Clone, Debug, PartialEq)]
struct Layer<A> {
    weights: Array2<A>,
    bias: Option<Array1<A>>,
}

struct Model<A> {
    layers: Vec<Layer<A>>,
    heads: [Layer<A>; 2],
    pair: (Array3<A>, A),
    boxed: Box<Array0<A>>,
    shared: ArcArray<A, Ix1>,
    dynamic: ArrayD<A>,
    nothing: Option<Layer<A>>,
    scale: A,
    title: &'static str,
}

adamax::tensors!(impl<A: Real> Tensors<A> for Layer<A> { weights, bias });
// The rule for numbers is written for either type: `A: Tensors<A>` holds for both.
adamax::tensors!(impl<A: Real + Tensors<A>> Tensors<A> for Model<A> {
    layers, heads, pair, boxed, shared, dynamic, nothing, scale, title: _,
});

/// The names of the tensors of a model, written by hand.
const NAMES: [&str; 15] = [
    "layers.0.weights",
    "layers.0.bias",
    "layers.1.weights",
    "layers.2.weights",
    "layers.2.bias",
    "heads.0.weights",
    "heads.0.bias",
    "heads.1.weights",
    "heads.1.bias",
    "pair.0",
    "pair.1",
    "boxed",
    "shared",
    "dynamic",
    "scale",
];

/// Numbers and layouts of the tensors of a model, which are made one after the other.
struct Source {
    rng: ndarray_rand::rand::rngs::StdRng,
    layouts: std::iter::Skip<std::iter::Cycle<std::array::IntoIter<Layout, 7>>>,
}

impl Source {
    fn new(seed: u64, shift: usize) -> Self {
        Source { rng: rng(seed), layouts: LAYOUTS.into_iter().cycle().skip(shift) }
    }

    fn array<A: Float, D: Dimension>(&mut self, shape: &[usize]) -> Array<A, D> {
        let layout = self.layouts.next().expect("a cycle does not end");
        layout.arrange_as(&parameters(shape, &mut self.rng))
    }

    fn number<A: Float>(&mut self) -> A {
        parameters::<A, _>(1, &mut self.rng)[0]
    }

    fn layer<A: Float>(&mut self, inputs: usize, outputs: usize, bias: bool) -> Layer<A> {
        Layer {
            weights: self.array(&[outputs, inputs]),
            bias: bias.then(|| self.array(&[outputs])),
        }
    }

    fn model<A: Float + Tensors<A>>(&mut self) -> Model<A> {
        Model {
            layers: vec![self.layer(3, 5, true), self.layer(5, 4, false), self.layer(4, 1, true)],
            heads: [self.layer(2, 2, true), self.layer(40, 60, true)],
            pair: (self.array(&[2, 3, 2]), self.number()),
            boxed: Box::new(self.array(&[])),
            shared: self.array::<A, Ix1>(&[6]).into_shared(),
            dynamic: self.array(&[2, 1, 2, 1, 3]),
            nothing: None,
            scale: self.number(),
            title: "all kinds",
        }
    }
}

/// The tensors of a layer, listed by hand.
fn layer_by_hand<A>(layer: &mut Layer<A>) -> Vec<ArrayViewMutD<'_, A>> {
    let mut views = vec![layer.weights.view_mut().into_dyn()];
    views.extend(layer.bias.as_mut().map(|bias| bias.view_mut().into_dyn()));
    views
}

/// The tensors of a model, listed by hand.
fn by_hand<A: Float>(model: &mut Model<A>) -> Vec<ArrayViewMutD<'_, A>> {
    let number = |number| ArrayViewMut0::from_shape((), slice::from_mut(number));
    let number = |value| number(value).expect("one number").into_dyn();
    let layers = model.layers.iter_mut().chain(&mut model.heads);
    let mut views: Vec<_> = layers.flat_map(layer_by_hand).collect();
    views.push(model.pair.0.view_mut().into_dyn());
    views.push(number(&mut model.pair.1));
    views.push(model.boxed.view_mut().into_dyn());
    views.push(model.shared.view_mut().into_dyn());
    views.push(model.dynamic.view_mut());
    views.push(number(&mut model.scale));
    views
}

fn words<A: Float>(model: &mut Model<A>) -> Vec<Vec<A::Word>> {
    by_hand(model).iter().map(|view| view.bits()).collect()
}

/// An optimizer with two groups and a norm bound, and its second group.
fn optimizer<A: Float>() -> Result<(Optimizer<A>, Group), Error> {
    let rule = Adamax::builder().weight_decay(WeightDecay::Decoupled(0.1)).build()?;
    let mut optimizer = Optimizer::new(rule);
    let plain = optimizer.add_group(Adamax::default());
    optimizer.set_max_norm(Some(MaxNorm::Global(0.5)))?;
    Ok((optimizer, plain))
}

fn is_plain(name: &str) -> bool {
    name.ends_with("bias") || name == "scale"
}

#[test]
fn steps_have_the_bits_of_steps_by_hand() -> Result<(), Error> {
    fn agree<A: Float + Tensors<A>>(seed: u64, shift: usize) -> Result<(), Error> {
        let source = || Source::new(seed, shift).model::<A>();
        let (mut model, mut expected) = (source(), source());
        assert_eq!(words(&mut model), words(&mut expected));

        let (mut whole, plain) = optimizer::<A>()?;
        let default = whole.default_group();
        let group = |name: &str| if is_plain(name) { plain } else { default };
        let slots = whole.register_all_in(&model, group)?;
        assert!(slots.names().eq(NAMES), "{}", model.title);

        let (mut single, plain) = optimizer::<A>()?;
        let mut single_slots = Vec::new();
        for (name, view) in NAMES.into_iter().zip(by_hand(&mut expected)) {
            let group = if is_plain(name) { plain } else { single.default_group() };
            single_slots.push(single.register_in(group, name, &view)?);
        }
        assert_eq!(single_slots.len(), NAMES.len());

        for step in 0..4 {
            // Gradients have other layouts than parameters, and others in each step.
            let mut gradients = Source::new(seed + 100 + step, shift + 3).model::<A>();
            assert_eq!(whole.step(&mut slots.bind(&mut model, &gradients))?, Outcome::Applied);
            let gradients = by_hand(&mut gradients);
            let mut views = by_hand(&mut expected);
            let pairs = views.iter_mut().zip(&gradients);
            let mut batch: Vec<_> = single_slots
                .iter()
                .zip(pairs)
                .map(|(slot, (view, gradient))| slot.bind(view, gradient))
                .collect();
            single.step(&mut batch)?;
            assert_eq!(words(&mut model), words(&mut expected), "seed {seed}, step {step}");
            assert_eq!(whole.snapshot(), single.snapshot());
        }
        Ok(())
    }
    for seed in 0..14 {
        agree::<f64>(seed, usize::try_from(seed).unwrap_or_default())?;
        agree::<f32>(seed, usize::try_from(seed).unwrap_or_default())?;
    }
    Ok(())
}

/// Mutable views as parameters; owned arrays, and views that cannot be written to, as gradients.
#[test]
fn models_of_views() -> Result<(), Error> {
    struct Views<'a> {
        block: ArrayViewMut2<'a, f64>,
        row: ArrayViewMut1<'a, f64>,
    }
    struct Slopes<'a> {
        block: Array2<f64>,
        row: CowArray<'a, f64, Ix1>,
    }
    adamax::tensors!(Views<'_> { block, row });
    adamax::tensors!(Slopes<'_> { block, row });
    fn views(array: &mut Array2<f64>) -> Views<'_> {
        let (block, row) = array.view_mut().split_at(Axis(0), 3);
        Views { block: block.slice_move(s![.., ..;2]), row: row.index_axis_move(Axis(0), 0) }
    }

    let rng = &mut rng(5);
    let mut array: Array2<f64> = parameters((4, 6), rng);
    let mut expected = array.clone();
    let (block, row) = (gradients((3, 3), rng), gradients(6, rng));

    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&views(&mut array))?;
    let by_block = optimizer.register("by hand: block", &expected.slice(s![..3, ..;2]))?;
    let by_row = optimizer.register("by hand: row", &expected.row(3))?;
    for _ in 0..3 {
        let slopes = Slopes { block: block.clone(), row: CowArray::from(row.view()) };
        optimizer.step(&mut slots.bind(&mut views(&mut array), &slopes))?;
        let (mut upper, lower) = expected.view_mut().split_at(Axis(0), 3);
        optimizer.step(&mut [
            by_block.bind(&mut upper.slice_mut(s![.., ..;2]), &block),
            by_row.bind_view(lower.index_axis_move(Axis(0), 0), row.view()),
        ])?;
    }
    assert_same("views", &array, &expected);
    Ok(())
}

#[test]
fn boxes_references_and_tuples() -> Result<(), Error> {
    struct Both<'a> {
        first: &'a mut Layer<f64>,
        r#type: (f64, Array1<f64>, Vec<f64>, [f64; 1]),
        layers: Vec<Box<dyn Tensors<f64>>>,
        text: &'static str,
        visitor: Vec<Array1<f64>>,
    }
    adamax::tensors!(Both<'_> { first, r#type, layers, text: _, visitor });

    let mut layer = Source::new(1, 0).layer(2, 3, true);
    let gradient = Source::new(2, 0).layer(2, 3, true);
    let mut expected = layer.clone();
    let rest = || (1.0, array![2.0], vec![3.0, 4.0], [5.0]);
    let boxed = |layer: &Layer<f64>| -> Vec<Box<dyn Tensors<f64>>> {
        vec![Box::new(0.5), Box::new(layer.clone())]
    };
    let mut both = Both {
        layers: boxed(&layer),
        first: &mut layer,
        r#type: rest(),
        text: "no tensor",
        visitor: Vec::new(),
    };
    let gradients = Both {
        layers: boxed(&gradient),
        first: &mut gradient.clone(),
        r#type: rest(),
        text: "no tensor",
        visitor: Vec::new(),
    };
    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&both)?;
    let names = [
        "first.weights",
        "first.bias",
        "type.0",
        "type.1",
        "type.2.0",
        "type.2.1",
        "type.3.0",
        "layers.0",
        "layers.1.weights",
        "layers.1.bias",
    ];
    assert!(slots.names().eq(names), "{:?} ({})", slots.names().collect::<Vec<_>>(), both.text);
    optimizer.step(&mut slots.bind(&mut both, &gradients))?;
    assert_eq!(both.r#type.3, [5.0 - 0.002 / 1.0 * (5.0 / (5.0 + 1e-8))]);

    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&expected)?;
    optimizer.step(&mut slots.bind(&mut expected, &gradient))?;
    assert_same("reference", &layer.weights, &expected.weights);
    Ok(())
}

/// A model by itself may be an array or a number. Its name is empty.
#[test]
fn the_smallest_models() -> Result<(), Error> {
    let mut x = 1.0_f32;
    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&x)?;
    assert!(slots.names().eq([""]));
    optimizer.step(&mut slots.bind(&mut x, &0.5))?;
    assert!((x - 0.998).abs() < 1e-6, "{x}");

    let nothing: [Array1<f32>; 0] = [];
    let slots = optimizer.register_all(&nothing)?;
    assert_eq!(slots.names().len(), 0);
    assert_eq!(optimizer.step(&mut slots.bind(&mut nothing.clone(), &nothing))?, Outcome::Applied);
    Ok(())
}

// ---------------------------------------------------------------- what does not fit

fn assert_error<T>(result: Result<T, Error>, kind: ErrorKind, message: &str) {
    let Err(error) = result else { panic!("accepted, instead of: {message}") };
    assert_eq!((error.kind(), &*error.to_string()), (kind, message));
}

/// Layers of these widths.
fn layers(widths: &[usize]) -> Vec<Layer<f64>> {
    let layer = |(index, &width): (usize, &usize)| Layer {
        weights: Array2::ones((width, 2)),
        bias: (index != 1).then(|| Array1::ones(width)),
    };
    widths.iter().enumerate().map(layer).collect()
}

#[test]
fn a_model_that_has_changed_is_refused() -> Result<(), Error> {
    struct Two {
        first: Vec<Layer<f64>>,
        second: Vec<Layer<f64>>,
    }
    type Change = fn(&mut Two);
    adamax::tensors!(Two { first, second });
    let two = || Two { first: layers(&[1, 2, 3]), second: layers(&[1, 2, 3]) };

    let cases: [(Change, &str); 7] = [
        (
            |two| two.first.push(layers(&[2]).remove(0)),
            "tensor `first.3.weights`: in PLACE, but not registered",
        ),
        (|two| _ = two.first.pop(), "tensor `first.2.weights`: registered, but missing in PLACE"),
        (|two| _ = two.second.pop(), "tensor `second.2.weights`: registered, but missing in PLACE"),
        (|two| two.first[0].bias = None, "tensor `first.0.bias`: registered, but missing in PLACE"),
        (
            |two| two.first[1].bias = Some(Array1::ones(2)),
            "tensor `first.1.bias`: in PLACE, but not registered",
        ),
        // As many tensors as before, of the same shapes.
        (
            |two| two.second.extend(two.first.pop()),
            "tensor `second.3.weights`: in PLACE, but not registered",
        ),
        (
            |two| *two = Two { first: Vec::new(), second: Vec::new() },
            "tensor `first.0.weights`: registered, but missing in PLACE",
        ),
    ];
    for (change, message) in cases {
        let (mut model, mut gradients) = (two(), two());
        let mut optimizer = Optimizer::new(Adamax::default());
        let slots = optimizer.register_all(&model)?;
        optimizer.step(&mut slots.bind(&mut model, &gradients))?;
        let before = optimizer.snapshot();
        let unchanged = model.first[0].weights.clone();

        change(&mut gradients);
        let in_gradients = message.replace("PLACE", "the gradients");
        let mut batch = slots.bind(&mut model, &gradients);
        assert_error(optimizer.step(&mut batch), ErrorKind::Model, &in_gradients);
        // Each time, and by each way.
        assert_error(optimizer.step_with_report(&mut batch), ErrorKind::Model, &in_gradients);
        assert_error(optimizer.check(&mut batch).map(|_| ()), ErrorKind::Model, &in_gradients);
        #[cfg(feature = "rayon")]
        assert_error(optimizer.par_step(&mut batch), ErrorKind::Model, &in_gradients);

        // If both have changed, it is the model that the error names.
        change(&mut model);
        let in_model = message.replace("PLACE", "the model");
        for gradients in [&gradients, &two()] {
            let result = optimizer.step(&mut slots.bind(&mut model, gradients));
            assert_error(result, ErrorKind::Model, &in_model);
        }
        assert_eq!(optimizer.snapshot(), before);
        if let Some(Layer { weights, .. }) = model.first.first() {
            assert_same(message, weights, &unchanged);
        }
    }
    Ok(())
}

/// Gradients of another type: their names and their order count.
#[test]
fn gradients_of_another_type() -> Result<(), Error> {
    struct Ab {
        a: Array1<f64>,
        b: Array1<f64>,
    }
    struct Ba {
        b: Array1<f64>,
        a: Array1<f64>,
    }
    struct Nested {
        a: Ab,
        unused: Option<f64>,
        b: Array1<f64>,
    }
    struct Flat {
        a: Only,
        ab: Array1<f64>,
        b: Array1<f64>,
    }
    struct Only {
        a: Array1<f64>,
    }
    struct Unlike {
        nothing: Option<Array1<f64>>,
        a: Ab,
        also_nothing: Vec<Only>,
        b: Array1<f64>,
    }
    adamax::tensors!(Ab { a, b });
    adamax::tensors!(Ba { b, a });
    adamax::tensors!(Nested { a, unused, b });
    adamax::tensors!(Flat { a, ab, b });
    adamax::tensors!(Only { a });
    adamax::tensors!(Unlike { nothing, a, also_nothing, b });
    let one = || Array1::<f64>::ones(2);
    let ab = || Ab { a: one(), b: one() };

    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&ab())?;
    assert_error(
        optimizer.step(&mut slots.bind(&mut ab(), &Ba { b: one(), a: one() })),
        ErrorKind::Model,
        "tensor `a`: in the gradients at another position than registered",
    );
    assert_error(
        optimizer.step(&mut slots.bind(&mut ab(), &(one(), one()))),
        ErrorKind::Model,
        "tensor `0`: in the gradients, but not registered",
    );
    assert_error(
        optimizer.step(&mut slots.bind(&mut ab(), &Only { a: one() })),
        ErrorKind::Model,
        "tensor `b`: registered, but missing in the gradients",
    );

    let nested = || Nested { a: ab(), unused: None, b: one() };
    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&nested())?;
    assert_error(
        optimizer.step(
            &mut slots.bind(&mut nested(), &Flat { a: Only { a: one() }, ab: one(), b: one() }),
        ),
        ErrorKind::Model,
        "tensor `ab`: in the gradients, but not registered",
    );
    // Fields without tensors do not count.
    let gradients = Unlike { nothing: None, a: ab(), also_nothing: Vec::new(), b: one() };
    let mut model = nested();
    optimizer.step(&mut slots.bind(&mut model, &gradients))?;
    assert!(model.a.b[0] < 1.0 && model.b[0] < 1.0);
    Ok(())
}

#[test]
fn other_shapes_are_refused() -> Result<(), Error> {
    let model = || vec![ArrayD::<f64>::ones(vec![2, 3]), ArrayD::ones(vec![4])];
    let shapes: [&[usize]; 4] = [&[3, 2], &[6], &[2, 3, 1], &[0]];
    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&model())?;
    for shape in shapes {
        for layout in LAYOUTS {
            let changed = || {
                let mut changed = model();
                changed[0] = layout.arrange(&ArrayD::ones(shape));
                changed
            };
            for (mut model, gradients) in
                [(changed(), model()), (model(), changed()), (changed(), changed())]
            {
                let result = optimizer.step(&mut slots.bind(&mut model, &gradients));
                let error = result.expect_err("another shape");
                assert_eq!((error.kind(), error.tensor()), (ErrorKind::Shape, Some("0")));
                assert!(model.iter().flatten().all(|&x| x == 1.0));
            }
        }
    }
    Ok(())
}

/// A number and an array are both tensors, of different shapes.
#[test]
fn a_number_is_no_array_of_one_element() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&vec![1.0])?;
    let array = vec![array![1.0]];
    for result in [
        optimizer.step(&mut slots.bind(&mut vec![1.0], &array)),
        optimizer.step(&mut slots.bind(&mut array.clone(), &vec![1.0])),
    ] {
        assert_eq!(result.expect_err("another shape").kind(), ErrorKind::Shape);
    }
    let zero = vec![Array0::<f64>::ones(())];
    optimizer.step(&mut slots.bind(&mut zero.clone(), &vec![1.0]))?;
    optimizer.step(&mut slots.bind(&mut vec![1.0], &zero))?;
    Ok(())
}

/// After surgery the old keys are refused, and new ones are found by name.
#[test]
fn slots_are_found_by_name() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let mut model = layers(&[3, 2]);
    let old = optimizer.register_all(&model)?;
    assert_eq!(optimizer.slots(&model)?, old);
    // The optimizer may have more than the model.
    assert_eq!(optimizer.slots(&model[..1])?.names().count(), 2);

    let weights = optimizer.slot::<Ix2>("1.weights").expect("registered");
    optimizer.remove(weights)?;
    let message = "tensor `1.weights`: in the model, but not registered";
    assert_error(optimizer.slots(&model), ErrorKind::Model, message);

    let wide = layers(&[3, 5]);
    optimizer.register("1.weights", &wide[1].weights)?;
    let error = optimizer.slots(&model).unwrap_err();
    assert_eq!((error.kind(), error.tensor()), (ErrorKind::Shape, Some("1.weights")));

    model[1].weights = wide[1].weights.clone();
    let slots = optimizer.slots(&model)?;
    let (gradients, mut twin) = (model.clone(), model.clone());
    let refused = optimizer.step(&mut old.bind(&mut twin, &gradients)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Foreign);
    optimizer.step_all(&mut slots.bind(&mut model, &gradients))?;
    assert_ne!(model, twin);

    let twice = optimizer.slots(&Twice(&mut twin));
    assert_error(twice, ErrorKind::Name, "tensor `0.weights`: name is taken");
    Ok(())
}

/// Tensors that are not chosen keep their values and states, and count in no norm. A model that does not
/// fit is an error, also if its tensors would not have been chosen.
#[test]
fn a_part_of_a_model_is_stepped() -> Result<(), Error> {
    let (start, gradients) = (layers(&[3, 2]), layers(&[3, 2]));
    let is_chosen = |name: &str| name.starts_with("1.");

    let mut optimizer = Optimizer::new(Adamax::default());
    let (slots, mut model) = (optimizer.register_all(&start)?, start.clone());
    let report =
        optimizer.step_with_report(&mut slots.bind_where(&mut model, &gradients, is_chosen))?;

    let mut alone = Optimizer::new(Adamax::default());
    let (alone_slots, mut last) = (alone.register_all(&start[1..])?, start[1..].to_vec());
    let expected = alone.step_with_report(&mut alone_slots.bind(&mut last, &gradients[1..]))?;
    assert_eq!(report, expected);
    assert_eq!((&model[0], &model[1]), (&start[0], &last[0]));
    let steps: Vec<_> = optimizer.tensors().map(|(name, _, state)| (name, state.steps())).collect();
    assert!(steps.iter().all(|&(name, steps)| steps == u64::from(is_chosen(name))), "{steps:?}");

    model.push(layers(&[1]).remove(0));
    let message = "tensor `2.weights`: in the model, but not registered";
    let batch = &mut slots.bind_where(&mut model, &gradients, |_| false);
    assert_error(optimizer.step(batch), ErrorKind::Model, message);
    Ok(())
}

/// The fault is in the level where the model is, also if the outline has empty levels of the same name.
#[test]
fn a_fault_among_empty_levels_is_named() -> Result<(), Error> {
    struct Bare {
        bias: Option<Array1<f64>>,
    }
    adamax::tensors!(Bare { bias });
    let bare = |bias: Option<f64>| Some(Bare { bias: bias.map(|bias| array![bias]) });
    let model = |first, second| vec![first, second];

    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&model(None, bare(None)))?;
    let gradients = model(None, bare(None));
    for (mut changed, name) in [
        (model(bare(Some(1.0)), bare(None)), "0.bias"),
        (model(None, bare(Some(1.0))), "1.bias"),
        (model(bare(None), bare(Some(1.0))), "1.bias"),
    ] {
        let error = optimizer.step(&mut slots.bind(&mut changed, &gradients)).unwrap_err();
        assert_eq!((error.kind(), error.tensor()), (ErrorKind::Model, Some(name)));
    }
    Ok(())
}

/// The averages of tensors with one name could not be told apart in a file.
#[test]
fn averages_refuse_a_name_that_occurs_twice() {
    let mut layers = layers(&[3]);
    let message = "tensor `0.weights`: name is taken";
    assert_error(Averages::new(0.5, &Twice(&mut layers)), ErrorKind::Name, message);
    assert_error(Averages::equal(&Twice(&mut layers)), ErrorKind::Name, message);
}

/// A model whose `visit_mut` forgets a tensor. Nothing is written.
#[test]
fn a_model_that_hides_a_tensor_is_not_written_to() -> Result<(), Error> {
    struct Hidden([Array1<f64>; 2]);
    impl Tensors<f64> for Hidden {
        fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
            visitor.field("a", &self.0[0]);
            visitor.field("b", &self.0[1]);
        }

        fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
            visitor.field("a", &mut self.0[0]);
        }
    }
    let mut model = Hidden([array![1.0], array![2.0]]);
    let mut averages = Averages::equal(&model)?;
    averages.update(&model)?;
    model.0[0][0] = 7.0;
    let message = "tensor `b`: averaged, but missing in the model";
    assert_error(averages.assign_to(&mut model), ErrorKind::Model, message);
    assert_eq!(model.0[0][0], 7.0);
    Ok(())
}

/// A model that shows the same tensors twice.
struct Twice<'a>(&'a mut Vec<Layer<f64>>);

impl Tensors<f64> for Twice<'_> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
        self.0.visit(visitor);
        self.0.visit(visitor);
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
        self.0.visit_mut(visitor);
    }
}

#[test]
fn slots_of_another_optimizer_are_refused() -> Result<(), Error> {
    let mut model = layers(&[2]);
    let gradients = model.clone();
    let slots = Optimizer::new(Adamax::default()).register_all(&model)?;
    let mut other = Optimizer::new(Adamax::default());
    other.register_all(&model)?;
    let result = other.step(&mut slots.bind(&mut model, &gradients));
    assert_eq!(result.expect_err("other slots").kind(), ErrorKind::Foreign);
    Ok(())
}

#[test]
fn registration_is_all_or_nothing() -> Result<(), Error> {
    struct Twice(Array1<f64>);
    impl Tensors<f64> for Twice {
        fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
            visitor.field("x", &self.0);
            visitor.field("x", &self.0);
        }

        fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
            visitor.field("x", &mut self.0);
        }
    }

    let model = layers(&[2, 3, 4]);
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    let foreign = Optimizer::<f64>::new(Adamax::default()).default_group();
    optimizer.register("2.weights", &array![1.0])?;
    let before = optimizer.snapshot();

    assert_error(
        optimizer.register_all(&model),
        ErrorKind::Name,
        "tensor `2.weights`: name is taken",
    );
    assert_error(
        optimizer.register_all(&Twice(array![1.0])),
        ErrorKind::Name,
        "tensor `x`: name is taken",
    );
    let group = optimizer.default_group();
    let in_foreign = |name: &str| if name == "1.weights" { foreign } else { group };
    assert_error(
        optimizer.register_all_in(&model, in_foreign),
        ErrorKind::Foreign,
        "tensor `1.weights`: group belongs to another optimizer",
    );
    // The second tensor is larger than the memory.
    let number = Array1::<f64>::zeros(1);
    let large = number.broadcast(usize::MAX >> 4).expect("one number for all");
    let large = vec![CowArray::from(number.view()), CowArray::from(large)];
    let error = optimizer.register_all(&large).expect_err("no memory");
    assert_eq!((error.kind(), error.tensor()), (ErrorKind::Memory, Some("1")));

    assert_eq!(optimizer.snapshot(), before);
    optimizer.register_all(&layers(&[2, 3]))?; // all of its names are free
    Ok(())
}

/// A model whose visits panic in the middle, if asked to.
struct Fragile {
    first: Array1<f64>,
    second: Array1<f64>,
    breaks: bool,
}

impl Tensors<f64> for Fragile {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
        visitor.field("first", &self.first);
        if self.breaks {
            panic_quietly();
        }
        visitor.field("second", &self.second);
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
        visitor.field("first", &mut self.first);
        if self.breaks {
            panic_quietly();
        }
        visitor.field("second", &mut self.second);
    }
}

/// A model whose field has its name at another address in each visit, and perhaps an empty list beside its tensor.
struct Shifting {
    list: Option<Vec<Array1<f64>>>,
    tensor: Array1<f64>,
}

impl Shifting {
    fn name() -> &'static str {
        static VISITS: AtomicUsize = AtomicUsize::new(0);
        let places = ["inner, first", "inner, second", "inner, third"];
        &places[VISITS.fetch_add(1, Ordering::Relaxed) % places.len()][.."inner".len()]
    }
}

impl Tensors<f64> for Shifting {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
        self.list.iter().for_each(|list| visitor.field("list", list));
        visitor.field(Self::name(), &self.tensor);
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
        self.list.iter_mut().for_each(|list| visitor.field("list", list));
        visitor.field(Self::name(), &mut self.tensor);
    }
}

#[test]
fn names_are_compared_by_their_letters_and_empty_lists_do_not_count() -> Result<(), Error> {
    let model = |list| Shifting { list, tensor: array![1.0, 2.0] };
    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&model(None))?;
    for list in [None, Some(vec![])] {
        let (mut model, gradients) = (model(list.clone()), model(list));
        optimizer.step(&mut slots.bind(&mut model, &gradients))?;
        assert!(optimizer.slots(&model).is_ok());
    }
    Ok(())
}

/// A list that shows a tensor of its own behind its items, without a further level.
struct WithTotal(Vec<Array1<f64>>, Array1<f64>);

impl Tensors<f64> for WithTotal {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
        visitor.field("items", &self.0);
        visitor.array(&self.1);
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
        visitor.field("items", &mut self.0);
        visitor.array(&mut self.1);
    }
}

#[test]
fn an_empty_list_beside_a_tensor_without_a_level_does_not_count() -> Result<(), Error> {
    let plain = vec![array![1.0]];
    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&plain)?;
    let mut model = vec![WithTotal(vec![], array![1.0])];
    let gradients = vec![WithTotal(vec![], array![0.5])];
    optimizer.step(&mut slots.bind(&mut model, &gradients))?;
    assert!(model[0].1[0] < 1.0);
    Ok(())
}

fn assert_panics<T>(work: impl FnOnce() -> T) {
    assert!(panic::catch_unwind(AssertUnwindSafe(work)).is_err());
}

/// Models and closures are code of the user. If it panics, nothing has changed, and all goes on.
#[test]
fn a_panic_of_the_user_changes_nothing() -> Result<(), Error> {
    let mut model = Fragile { first: array![1.0], second: array![2.0, 3.0], breaks: true };
    let gradients = [array![0.5], array![0.5, 0.5]];
    let gradients = |breaks| {
        let [first, second] = gradients.clone();
        Fragile { first, second, breaks }
    };
    let mut optimizer = Optimizer::new(Adamax::default());
    let before = optimizer.snapshot();
    assert_panics(|| optimizer.register_all(&model));
    assert_panics(|| Averages::new(0.5, &model));
    model.breaks = false;
    let default = optimizer.default_group();
    let mut names = 0;
    assert_panics(|| {
        optimizer.register_all_in(&model, |_| {
            names += 1;
            if names == 2 { panic_quietly() } else { default }
        })
    });
    assert_eq!(optimizer.snapshot(), before);

    // The names are free.
    let slots = optimizer.register_all(&model)?;
    let mut averages = Averages::new(0.5, &model)?;
    averages.update(&model)?;
    let before = (optimizer.snapshot(), format!("{averages:?}"), model.first.clone());
    let fine = gradients(false);
    assert_panics(|| _ = slots.bind_where(&mut model, &fine, |_| panic_quietly()));
    assert_panics(|| optimizer.step(&mut slots.bind(&mut model, &gradients(true))));
    model.breaks = true;
    assert_panics(|| optimizer.slots(&model));
    assert_panics(|| optimizer.step(&mut slots.bind(&mut model, &fine)));
    assert_panics(|| averages.update(&model));
    assert_panics(|| averages.assign_to(&mut model));
    assert_eq!((optimizer.snapshot(), format!("{averages:?}"), model.first.clone()), before);

    model.breaks = false;
    assert_eq!(optimizer.step(&mut slots.bind(&mut model, &fine))?, Outcome::Applied);
    averages.update(&model)
}

// ---------------------------------------------------------------- random trees

/// A model of any structure.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(Array1<f64>),
    Maybe(Option<Box<Tree>>),
    List(Vec<Tree>),
    Fields(Vec<(&'static str, Tree)>),
}

impl Tensors<f64> for Tree {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a, f64>) {
        match self {
            Tree::Leaf(array) => visitor.array(array),
            Tree::Maybe(tree) => tree.visit(visitor),
            Tree::List(trees) => trees.visit(visitor),
            Tree::Fields(fields) => {
                for (name, tree) in fields {
                    visitor.field(name, tree);
                }
            }
        }
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut VisitorMut<'_, 'a, f64>) {
        match self {
            Tree::Leaf(array) => visitor.array(array),
            Tree::Maybe(tree) => tree.visit_mut(visitor),
            Tree::List(trees) => trees.visit_mut(visitor),
            Tree::Fields(fields) => {
                for (name, tree) in fields {
                    visitor.field(name, tree);
                }
            }
        }
    }
}

impl Tree {
    /// The names of the tensors, found in another way than by a visitor.
    fn names(&self) -> Vec<String> {
        let below = |key: &str, tree: &Tree| -> Vec<String> {
            let join = |name: String| {
                if name.is_empty() { key.to_owned() } else { format!("{key}.{name}") }
            };
            tree.names().into_iter().map(join).collect()
        };
        match self {
            Tree::Leaf(_) => vec![String::new()],
            Tree::Maybe(tree) => tree.iter().flat_map(|tree| tree.names()).collect(),
            Tree::List(trees) => trees
                .iter()
                .enumerate()
                .flat_map(|(index, tree)| below(&index.to_string(), tree))
                .collect(),
            Tree::Fields(fields) => {
                fields.iter().flat_map(|(name, tree)| below(name, tree)).collect()
            }
        }
    }
}

/// Small trees with few names, so that two of them are often nearly equal.
fn tree() -> impl Strategy<Value = Tree> {
    let leaf = Just(Tree::Leaf(array![1.0]));
    leaf.prop_recursive(3, 12, 3, |inner| {
        let field = prop::sample::subsequence(vec!["a", "b", "0"], 0..=3);
        prop_oneof![
            prop::option::of(inner.clone()).prop_map(|tree| Tree::Maybe(tree.map(Box::new))),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Tree::List),
            (field, prop::collection::vec(inner, 3))
                .prop_map(|(names, trees)| Tree::Fields(names.into_iter().zip(trees).collect())),
        ]
    })
}

/// The message for a model that has the names `found` where `expected` have been registered.
fn difference(expected: &[String], found: &[String]) -> Option<String> {
    if expected == found {
        return None;
    }
    let surplus = found.iter().find(|name| !expected.contains(name));
    let missing = expected.iter().find(|name| !found.contains(name));
    let moved = expected.iter().zip(found).find(|(expected, found)| expected != found);
    Some(match (surplus, missing, moved) {
        (Some(name), ..) => format!("tensor `{name}`: in the model, but not registered"),
        (_, Some(name), _) => format!("tensor `{name}`: registered, but missing in the model"),
        (.., Some((name, _))) => {
            format!("tensor `{name}`: in the model at another position than registered")
        }
        _ => unreachable!("the lists differ"),
    })
}

proptest! {
    #![proptest_config(repeatable(14))]

    #[test]
    fn models_fit_if_all_names_do(registered in tree(), model in tree()) {
        let names = registered.names();
        // "0" may be a field and an item of one level, which are two tensors of one name.
        prop_assume!(names.iter().collect::<BTreeSet<_>>().len() == names.len());
        let mut optimizer = Optimizer::new(Adamax::default());
        let slots = optimizer.register_all(&registered).expect("new names");
        prop_assert!(slots.names().eq(&names));
        for tree in [&registered, &model] {
            let result = optimizer.step(&mut slots.bind(&mut tree.clone(), &registered));
            let message = result.err().map(|error| error.to_string());
            prop_assert_eq!(message, difference(&names, &tree.names()));
        }
    }
}

// ---------------------------------------------------------------- averages

#[test]
fn averages_have_the_bits_of_averages_by_hand() -> Result<(), Error> {
    fn agree<A: Float + Into<f64> + Tensors<A>>(shift: usize) -> Result<(), Error> {
        let mut model = Source::new(1, shift).model::<A>();
        let mut averages = Averages::new(0.75, &model)?;
        let mut wide = Averages::equal(&model)?.in_f64();
        let by_hand_of = |model: &mut Model<A>| -> Result<Vec<_>, Error> {
            let views = by_hand(model);
            let both =
                views.iter().map(|x| Ok((Average::new(0.75, x)?, Average::equal(x)?.in_f64())));
            both.collect()
        };
        let mut expected = by_hand_of(&mut model)?;
        for update in 2..6 {
            averages.update(&model)?;
            wide.update(&model)?;
            for ((average, wide), view) in expected.iter_mut().zip(by_hand(&mut model)) {
                average.update(&view)?;
                wide.update(&view)?;
            }
            model = Source::new(update, shift + 1).model();
        }
        assert!(averages.iter().map(|(name, _)| name).eq(NAMES));
        assert!(
            averages.iter().map(|(_, average)| average).eq(expected.iter().map(|both| &both.0))
        );
        assert!(wide.iter().map(|(_, average)| average).eq(expected.iter().map(|both| &both.1)));
        assert_eq!(averages.get("scale"), expected.last().map(|both| &both.0));
        assert_eq!(averages.get("title"), None);

        let mut assigned = Source::new(7, shift + 2).model::<A>();
        averages.assign_to(&mut assigned)?;
        for (view, (average, _)) in by_hand(&mut assigned).iter().zip(&expected) {
            assert_same("assigned", view, average.mean());
        }
        Ok(())
    }
    for shift in 0..LAYOUTS.len() {
        agree::<f64>(shift)?;
        agree::<f32>(shift)?;
    }
    Ok(())
}

#[test]
fn averages_change_all_or_none() -> Result<(), Error> {
    let model = || vec![array![1.0, 2.0], array![3.0]];
    let mut averages = Averages::new(0.5, &model())?;
    let mut copy = model();
    assert_error(
        averages.assign_to(&mut copy),
        ErrorKind::StepCount,
        "tensor `0`: average has had no update, so there is nothing to assign",
    );
    averages.update(&model())?;
    let before = averages.clone();
    let cases = [
        (
            vec![array![5.0, 5.0]],
            ErrorKind::Model,
            "tensor `1`: averaged, but missing in the model",
        ),
        (
            vec![array![5.0, 5.0], array![5.0], array![5.0]],
            ErrorKind::Model,
            "tensor `2`: in the model, but not averaged",
        ),
        (
            vec![array![5.0, 5.0], array![5.0, 5.0]],
            ErrorKind::Shape,
            "tensor `1`: parameter has shape [2], but average has shape [1]",
        ),
    ];
    for (mut other, kind, message) in cases {
        assert_error(averages.update(&other), kind, message);
        assert_untouched(message, &averages, &before);
        assert_error(averages.assign_to(&mut other), kind, message);
        assert!(other.iter().flatten().all(|&x| x == 5.0));
    }
    assert_error(
        Averages::new(1.0, &model()).map(drop),
        ErrorKind::Hyperparameter,
        "tensor `0`: decay of the average is 1, but must be in [0, 1)",
    );
    Ok(())
}
