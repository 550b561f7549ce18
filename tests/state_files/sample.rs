//! Checkpoints for the tests.

use adamax::{
    Adamax, Average, BiasCorrection, Checkpoint, EpsilonPlacement, Error, MaxNorm, NonFinite,
    Objective, Optimizer, Snapshot, State, WeightDecay,
};
use ndarray::{Array1, Array2, ArrayD, arr0, array};
use serde::{Serialize, de::DeserializeOwned};

use crate::common::{Float, input, layout::Layout};

/// Rules that differ in every setting, as far as there are enough values.
fn rules<A: Float>() -> Result<[Adamax; 3], Error> {
    Ok([
        Adamax::default(),
        Adamax::builder()
            .learning_rate(0.1 + 0.2) // 0.30000000000000004
            .beta1(0.0)
            .beta2(A::LARGEST_BELOW_1.wide())
            .epsilon(A::LEAST_SUBNORMAL.wide())
            .epsilon_placement(EpsilonPlacement::InsideMax)
            .bias_correction(BiasCorrection::Off)
            .weight_decay(WeightDecay::L2(1.0e20 / 3.0))
            .clip_value(A::LEAST_NORMAL.wide())
            .objective(Objective::Maximize)
            .non_finite(NonFinite::Skip)
            .build()?,
        Adamax::builder()
            .learning_rate(1.0 / 3.0)
            .epsilon_placement(EpsilonPlacement::Accumulated)
            .weight_decay(WeightDecay::Decoupled(if size_of::<A>() == 8 { 1e-300 } else { 1e-37 }))
            .non_finite(NonFinite::Propagate)
            .build()?,
    ])
}

/// An optimizer after a few steps, with tensors of 0 to 4 axes, an empty one, one not stepped yet,
/// names that need care, several groups and memory orders, and all settings set.
pub(crate) fn optimizer<A: Float>() -> Result<Optimizer<A>, Error> {
    let rules = rules::<A>()?;
    let mut optimizer = Optimizer::new(rules[0]);
    let groups =
        [optimizer.default_group(), optimizer.add_group(rules[1]), optimizer.add_group(rules[2])];
    let shapes: [(&str, &[usize]); 7] = [
        ("scalar", &[]),
        ("", &[5]),
        ("layer.0/weight", &[3, 4]),
        ("Gewichte \"β\"\n\\", &[2, 3, 2]),
        ("adamax", &[2, 2, 3, 2]),
        ("checksum", &[3, 0, 2]),
        ("untouched", &[2]),
    ];
    let mut slots = Vec::new();
    for (index, (name, shape)) in shapes.into_iter().enumerate() {
        let order = if index % 2 == 0 { Layout::C } else { Layout::F };
        let param = order.arrange(&ArrayD::from_elem(shape, A::of(0.5)));
        let slot = optimizer.register_in(groups[index % 3], name, &param)?;
        slots.push((slot, param));
    }
    let rng = &mut input::rng(1);
    for _ in 0..5 {
        for (slot, param) in slots.iter_mut().take(6) {
            let gradient = input::gradients(param.raw_dim(), rng);
            optimizer.step(&mut [slot.bind(param, &gradient)])?;
        }
    }
    optimizer.set_lr_scale(0.7)?;
    optimizer.set_max_norm(Some(MaxNorm::PerTensor(1.0 / 7.0)))?;
    Ok(optimizer)
}

/// The snapshot of [`optimizer`], parameters and averages of both precisions, values and notes.
pub(crate) fn checkpoint<A: Float>() -> Result<Checkpoint<A>, Error> {
    let mut checkpoint = Checkpoint::new(optimizer::<A>()?.snapshot());
    checkpoint
        .add_parameter("scalar", &arr0(-0.0_f64))?
        .add_parameter("untouched", &array![f32::NAN, f32::INFINITY, f32::from_bits(1)])?
        .add_parameter("layer.0/weight", &Array2::from_elem((3, 4), A::MARK))?
        .add_parameter("", &ArrayD::<A>::zeros(vec![1; 64]))?
        .add_parameter("none", &Array1::<f64>::zeros(0))?
        .add_average(
            "scalar",
            &Average::<f64>::from_parts(1.0, u64::MAX, arr0(1.0 / 3.0).into_dyn())?,
        )?
        .add_average("", &Average::<f32>::from_parts(0.1 + 0.2, 7, ArrayD::zeros(vec![2, 0]))?)?
        .add_average(
            "Gewichte \"β\"\n\\",
            &Average::<A>::from_parts(0.0, 0, ArrayD::from_elem(vec![3, 2], A::LEAST_SUBNORMAL))?,
        )?
        .add_value("loss", &(0.1 + 0.2))?
        .add_note("epoch", "12")?
        .add_note("", "")?
        .add_note("key \"with\" everything\u{0}", "text\nof \\ 2 lines, 🦀")?;
    Ok(checkpoint)
}

/// The smallest checkpoint with one of everything.
pub(crate) fn small<A: Float>() -> Result<Checkpoint<A>, Error> {
    let mut param = array![A::of(1.0), A::of(-2.0)];
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("w", &param)?;
    let gradient = array![A::of(0.5), A::of(-0.1)];
    optimizer.step(&mut [slot.bind(&mut param, &gradient)])?;
    let mut checkpoint = Checkpoint::new(optimizer.snapshot());
    checkpoint.add_parameter("w", &param)?.add_note("epoch", "1")?;
    Ok(checkpoint)
}

/// The smallest checkpoint that needs version 2.
pub(crate) fn averaged<A: Float>() -> Result<Checkpoint<A>, Error> {
    let mut checkpoint = small::<A>()?;
    let mean = array![A::of(0.25), A::of(-1.5)].into_dyn();
    checkpoint.add_average("w", &Average::<A>::from_parts(0.75, 2, mean)?)?;
    Ok(checkpoint)
}

/// The smallest checkpoint that needs version 3: a table of three rows with their own counters.
pub(crate) fn by_rows<A>() -> Result<Checkpoint<A>, Error>
where
    A: Float + Serialize + DeserializeOwned,
{
    let m = array![[0.5, -0.25], [0.0, 0.0], [-1.5, 0.75]].mapv(A::of).into_dyn();
    let table = State::from_row_parts(vec![7, 0, u64::MAX], m.clone(), m.mapv(A::abs))?;
    let mut checkpoint = Checkpoint::new(with_state(&small::<A>()?, "w", &table));
    checkpoint.add_parameter("w", &m)?;
    Ok(checkpoint)
}

/// Returns the snapshot of a checkpoint with another state of a tensor, which may be of another shape.
pub(crate) fn with_state<A>(checkpoint: &Checkpoint<A>, name: &str, state: &State<A>) -> Snapshot<A>
where
    A: Float + Serialize + DeserializeOwned,
{
    let json = "finite, and known to serde";
    let mut document = serde_json::to_value(checkpoint.snapshot()).expect(json);
    let tensors = document["tensors"].as_array_mut().expect(json);
    let tensor = tensors.iter_mut().find(|tensor| tensor["name"] == name).expect("the tensor");
    tensor["state"] = serde_json::to_value(state).expect(json);
    serde_json::from_value(document).expect(json)
}
