//! Whole models and their averages in a file.

use adamax::{
    Adamax, Averages, Checkpoint, Error, ErrorKind, Optimizer, Tensors,
    ndarray::{Array1, Array2, ArrayD, ShapeBuilder, array},
};

#[derive(Clone, Debug, PartialEq)]
struct Layer {
    weights: Array2<f32>,
    bias: Option<Array1<f32>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Model {
    layers: Vec<Layer>,
    scale: f32,
}

adamax::tensors!(impl Tensors<f32> for Layer { weights, bias });
adamax::tensors!(impl Tensors<f32> for Model { layers, scale });

/// A column-major layer, a row-major one without bias, and numbers that grow from `start`.
fn model(start: f32) -> Model {
    let mut next = start;
    let mut number = || {
        next += 0.1;
        next
    };
    let column_major = Array2::from_shape_simple_fn((2, 3).f(), &mut number);
    let bias = Some(Array1::from_shape_simple_fn(2, &mut number));
    let weights = Array2::from_shape_simple_fn((1, 2), &mut number);
    let layers = vec![Layer { weights: column_major, bias }, Layer { weights, bias: None }];
    Model { layers, scale: number() }
}

fn empty() -> Checkpoint<f32> {
    Checkpoint::new(Optimizer::new(Adamax::default()).snapshot())
}

fn assert_error<T>(result: Result<T, Error>, kind: ErrorKind, message: &str) {
    let Err(error) = result else { panic!("accepted, instead of: {message}") };
    assert_eq!((error.kind(), &*error.to_string()), (kind, message));
}

/// The file is that of a run which adds each tensor by hand.
#[test]
fn a_model_is_saved_as_by_hand() -> Result<(), Error> {
    let model = model(1.0);
    let mut averages = Averages::new(0.5, &model)?.in_f64();
    averages.update(&model)?;

    let mut whole = empty();
    whole.add_parameters(&model)?.add_averages(&averages)?;
    let mut by_hand = empty();
    let [first, second] = &model.layers[..] else { panic!("two layers") };
    by_hand
        .add_parameter("layers.0.weights", &first.weights)?
        .add_parameter("layers.0.bias", first.bias.as_ref().expect("a bias"))?
        .add_parameter("layers.1.weights", &second.weights)?
        .add_parameter("scale", &ndarray::arr0(model.scale))?;
    for (name, average) in averages.iter() {
        by_hand.add_average(name, average)?;
    }
    assert_eq!(whole.to_bytes()?, by_hand.to_bytes()?);
    Ok(())
}

#[test]
fn a_model_comes_back() -> Result<(), Error> {
    let saved = model(1.0);
    let mut averages = Averages::equal(&saved)?;
    averages.update(&model(2.0))?;
    let mut checkpoint = empty();
    checkpoint.add_parameter("another array", &array![f32::NAN])?;
    checkpoint.add_parameters(&saved)?.add_averages(&averages)?;
    let read = Checkpoint::<f32>::from_bytes(&checkpoint.to_bytes()?)?;

    let mut loaded = model(5.0);
    read.assign_parameters(&mut loaded)?;
    assert_eq!(loaded, saved);
    assert_eq!(loaded.layers[0].weights.strides(), [1, 2]); // the order stays
    let loaded: Averages<f32> = read.averages(&saved)?;
    assert_eq!(loaded, averages);
    let mean = loaded.get("layers.0.weights").expect("an average").mean();
    assert_eq!(mean.strides(), [1, 2]);
    Ok(())
}

/// The last tensor is at fault, and the first ones have not been written.
#[test]
fn a_model_is_loaded_all_or_nothing() -> Result<(), Error> {
    let mut checkpoint = empty();
    checkpoint.add_parameters(&model(1.0))?;
    let before = model(5.0);
    let assert_unchanged = |checkpoint: &Checkpoint<f32>, mut model: Model, kind, message: &str| {
        let before = model.clone();
        assert_error(checkpoint.assign_parameters(&mut model), kind, message);
        assert_eq!(model, before);
    };

    let mut more = before.clone();
    more.layers.push(more.layers[1].clone());
    assert_unchanged(
        &checkpoint,
        more,
        ErrorKind::Format,
        "parameter `layers.2.weights` is missing",
    );
    let mut other = before.clone();
    other.layers[1].weights = array![[5.0], [5.0]];
    assert_unchanged(
        &checkpoint,
        other,
        ErrorKind::Shape,
        "tensor `layers.1.weights`: saved parameter has shape [1, 2], but parameter has shape [2, 1] \
         (transposed?)",
    );
    let mut wide = empty();
    let fewer = Model { layers: model(1.0).layers, scale: 1.0 };
    wide.add_parameters(
        &fewer.layers.iter().map(|layer| layer.weights.clone()).collect::<Vec<_>>(),
    )?;
    wide.add_parameter("2", &array![1.0_f64])?;
    let mut arrays =
        vec![ArrayD::<f32>::ones(vec![2, 3]), ArrayD::ones(vec![1, 2]), ArrayD::ones(vec![1])];
    let unchanged = arrays.clone();
    assert_error(
        wide.assign_parameters(&mut arrays),
        ErrorKind::Format,
        "parameter `2` is of type F64, but F32 is asked for",
    );
    assert_eq!(arrays, unchanged);
    assert_error(
        checkpoint.averages::<f32, f32, _>(&before),
        ErrorKind::Format,
        "average `layers.0.weights` is missing",
    );
    Ok(())
}

#[test]
fn a_model_is_added_all_or_nothing() -> Result<(), Error> {
    let model = model(1.0);
    let mut checkpoint = empty();
    checkpoint.add_parameter("scale", &array![1.0])?;
    let before = checkpoint.clone();
    assert_error(
        checkpoint.add_parameters(&model).map(|_| ()),
        ErrorKind::Name,
        "tensor `scale`: name is taken",
    );
    assert_eq!(checkpoint, before);

    let mut averages = Averages::equal(&model)?;
    averages.update(&model)?;
    checkpoint.add_average("scale", averages.get("scale").expect("an average"))?;
    let before = checkpoint.clone();
    assert_error(
        checkpoint.add_averages(&averages).map(|_| ()),
        ErrorKind::Name,
        "tensor `scale`: name is taken",
    );
    let mut spoilt = model.clone();
    spoilt.scale = f32::INFINITY;
    let mut averages = Averages::equal(&vec![spoilt.clone()])?;
    averages.update(&vec![spoilt])?;
    assert_error(
        checkpoint.add_averages(&averages).map(|_| ()),
        ErrorKind::NonFinite,
        "tensor `0.scale`: average is inf at index []",
    );
    assert_eq!(checkpoint, before);

    // A model whose `visit_mut` forgets a tensor is not written to.
    let mut hidden = Hidden([array![1.0], array![2.0]]);
    let mut both = empty();
    both.add_parameters(&hidden)?;
    hidden.0[0][0] = 7.0;
    assert_error(
        both.assign_parameters(&mut hidden),
        ErrorKind::Model,
        "tensor `1`: in `visit`, but missing in `visit_mut`",
    );
    assert_eq!(hidden.0[0][0], 7.0);

    // A model that shows two tensors of one name.
    let twice = |name: &'static str| Pair { name, arrays: [array![1.0], array![2.0]] };
    assert_error(
        checkpoint.add_parameters(&twice("x")).map(|_| ()),
        ErrorKind::Name,
        "tensor `x`: name is taken",
    );
    assert_eq!(checkpoint, before);
    Ok(())
}

struct Hidden([Array1<f32>; 2]);

impl Tensors<f32> for Hidden {
    fn visit<'a>(&'a self, visitor: &mut adamax::Visitor<'_, 'a, f32>) {
        self.0.visit(visitor);
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut adamax::VisitorMut<'_, 'a, f32>) {
        visitor.item(0, &mut self.0[0]);
    }
}

struct Pair {
    name: &'static str,
    arrays: [Array1<f32>; 2],
}

impl Tensors<f32> for Pair {
    fn visit<'a>(&'a self, visitor: &mut adamax::Visitor<'_, 'a, f32>) {
        self.arrays.iter().for_each(|array| visitor.field(self.name, array));
    }

    fn visit_mut<'a>(&'a mut self, visitor: &mut adamax::VisitorMut<'_, 'a, f32>) {
        self.arrays.iter_mut().for_each(|array| visitor.field(self.name, array));
    }
}

/// A second model stands beside the first. Faults change nothing.
#[test]
fn a_model_has_a_prefix() -> Result<(), Error> {
    let (last, best) = (model(1.0), model(2.0));
    let mut checkpoint = empty();
    checkpoint.add_parameters(&last)?.add_parameters_under("best", &best)?;
    assert_eq!(checkpoint.parameter::<f32, _>("best.layers.0.bias")?, {
        best.layers[0].bias.clone().expect("a bias")
    });
    let taken = checkpoint.add_parameters_under("best", &best).map(drop);
    assert_error(taken, ErrorKind::Name, "tensor `best.layers.0.weights`: name is taken");

    let (mut first, mut second) = (model(7.0), model(8.0));
    checkpoint.assign_parameters(&mut first)?;
    checkpoint.assign_parameters_under("best", &mut second)?;
    assert_eq!((&first, &second), (&last, &best));
    let before = second.clone();
    let missing = checkpoint.assign_parameters_under("other", &mut second).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Format);
    assert!(missing.to_string().contains("`other.layers.0.weights`"), "{missing}");
    assert_eq!(second, before);
    Ok(())
}
