//! Tests of the optimizer for many tensors: registration, binding, groups, and steps that change
//! all tensors or none.

use crate::common::{
    Float, Model, assert_same,
    layout::LAYOUTS,
    model::{MIXED, name},
    rules,
};
use adamax::{
    Adamax, Error, ErrorKind, MaxNorm, NonFinite, Optimizer, Outcome, Slot, State, WeightDecay,
};
use ndarray::{Array1, ArrayD, Ix1, IxDyn, array};
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

const SEED: u64 = 3;

// ---------------------------------------------------------------- a batch and its tensors

/// The tensors of a model without an optimizer, each with its own rule and state.
struct Alone<A> {
    tensors: Vec<(Adamax, ArrayD<A>, State<A>)>,
}

impl<A: Float> Alone<A> {
    fn like(model: &Model<A>, rule: impl Fn(usize) -> Adamax) -> Self {
        let tensors = model.tensors.iter().enumerate();
        Alone {
            tensors: tensors
                .map(|(i, tensor)| (rule(i), tensor.x.clone(), State::zeros_like(&tensor.x)))
                .collect(),
        }
    }

    fn step(&mut self, model: &Model<A>, which: &[usize]) -> Result<(), Error> {
        for &i in which {
            let (rule, x, state) = &mut self.tensors[i];
            rule.step(state, x, &model.tensors[i].g)?;
        }
        Ok(())
    }

    fn assert_equals(&self, what: &str, model: &Model<A>) {
        for (i, (_, x, state)) in self.tensors.iter().enumerate() {
            let (tensor, found) = (&model.tensors[i], model.state(i));
            assert_same(format_args!("x of {}, {what}", tensor.name), &tensor.x, x);
            let (m, u) = (found.first_moment(), found.inf_norm());
            assert_same(format_args!("m of {}, {what}", tensor.name), m, state.first_moment());
            assert_same(format_args!("u of {}, {what}", tensor.name), u, state.inf_norm());
            assert_eq!(found.steps(), state.steps(), "t of {}, {what}", tensor.name);
        }
    }
}

/// Batches of tensors in different orders. Some batches leave tensors out.
const BATCHES: [&[usize]; 7] = [
    &[0, 1, 2, 3, 4, 5, 6, 7],
    &[7, 6, 5, 4, 3, 2, 1, 0],
    &[3, 0, 6],
    &[5],
    &[],
    &[2, 7, 1, 3, 0, 4, 6, 5],
    &[4, 1],
];

#[test]
fn a_batch_equals_its_tensors_by_themselves() -> Result<(), Error> {
    fn equals<A: Float>() -> Result<(), Error> {
        for case in rules::all().iter().step_by(5).chain(&rules::one_of_each_kind()) {
            let mut model = Model::<A>::new(case.rule, &MIXED, SEED);
            let mut alone = Alone::like(&model, |_| case.rule);
            for (batch, seed) in BATCHES.iter().zip(0..) {
                model.draw_gradients(seed);
                assert_eq!(model.step_in_order(batch)?, Outcome::Applied);
                alone.step(&model, batch)?;
                alone.assert_equals(&format!("{batch:?}, {}", case.name), &model);
            }
        }
        Ok(())
    }
    equals::<f64>()?;
    equals::<f32>()
}

#[test]
fn a_tensor_left_out_does_not_change() -> Result<(), Error> {
    let mut model = Model::<f64>::new(Adamax::default(), &MIXED, SEED);
    model.run(0..3)?;
    let before = model.bits();
    for seed in 3..9 {
        model.draw_gradients(seed);
        model.step_in_order(&[0, 1, 3, 4, 5, 6, 7])?;
    }
    let after = model.bits();
    assert_eq!(after[2], before[2]);
    assert_eq!(model.state(2).steps(), 3);
    assert_eq!(model.state(1).steps(), 9);
    Ok(())
}

#[test]
fn an_empty_batch_does_nothing() -> Result<(), Error> {
    let mut model = Model::<f64>::new(Adamax::default(), &MIXED, SEED);
    model.run(0..2)?;
    for max_norm in [None, Some(MaxNorm::Global(1.0)), Some(MaxNorm::PerTensor(1.0))] {
        model.optimizer.set_max_norm(max_norm)?;
        let before = model.bits();
        assert_eq!(model.optimizer.step(&mut [])?, Outcome::Applied);
        assert_eq!(model.bits(), before);
    }
    assert_eq!(Optimizer::<f32>::new(Adamax::default()).step(&mut [])?, Outcome::Applied);
    Ok(())
}

/// The state belongs to the slot, not to the memory of the parameter.
#[test]
fn parameters_may_move_and_change_their_layout() -> Result<(), Error> {
    let mut model = Model::<f64>::new(Adamax::default(), &MIXED, SEED);
    let mut alone = Alone::like(&model, |_| Adamax::default());
    for (layout, seed) in LAYOUTS.into_iter().zip(0..) {
        for tensor in &mut model.tensors {
            tensor.x = layout.arrange(&tensor.x);
        }
        model.draw_gradients(seed);
        model.step()?;
        alone.step(&model, &[0, 1, 2, 3, 4, 5, 6, 7])?;
        alone.assert_equals(&format!("layout {}", layout.letter()), &model);
    }
    Ok(())
}

#[test]
fn a_tensor_can_be_registered_later() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let (mut a, mut b) = (array![1.0, 2.0], array![[3.0]]);
    let slot_a = optimizer.register("a", &a)?;
    optimizer.step(&mut [slot_a.bind(&mut a, &array![0.1, 0.2])])?;
    let slot_b = optimizer.register("b", &b)?;
    let (ga, gb) = (array![0.3, -0.1], array![[0.5]]);
    optimizer.step(&mut [slot_b.bind(&mut b, &gb), slot_a.bind(&mut a, &ga)])?;
    assert_eq!(optimizer.state(slot_a).unwrap().steps(), 2);
    assert_eq!(optimizer.state(slot_b).unwrap().steps(), 1);
    let (mut alone, mut state) = (array![[3.0]], State::zeros_like(&b));
    Adamax::default().step(&mut state, &mut alone, &gb)?;
    assert_eq!((alone, &state), (b, optimizer.state(slot_b).unwrap()));
    Ok(())
}

// ---------------------------------------------------------------- groups

/// Returns a different rule for each `i`.
fn rule_number(i: usize) -> Adamax {
    let i = f64::from(u32::try_from(i).expect("a small number"));
    let builder = Adamax::builder().learning_rate(0.01 + 0.001 * i).beta1(0.5 + 0.001 * i);
    builder.weight_decay(WeightDecay::Decoupled(0.01 * i)).build().expect("in range")
}

#[test]
fn every_group_has_its_own_rule() -> Result<(), Error> {
    let groups = 200;
    let shapes: Vec<&[usize]> = MIXED.into_iter().cycle().take(groups).collect();
    let mut model =
        Model::<f64>::in_groups(Optimizer::new(rule_number(0)), &shapes, SEED, |optimizer, i| {
            if i == 0 { optimizer.default_group() } else { optimizer.add_group(rule_number(i)) }
        });
    let mut alone = Alone::like(&model, rule_number);
    let all: Vec<usize> = (0..groups).collect();
    for seed in 0..3 {
        model.draw_gradients(seed);
        model.step()?;
        alone.step(&model, &all)?;
    }
    alone.assert_equals("200 groups", &model);
    Ok(())
}

#[test]
fn a_rule_can_change_in_the_middle_of_a_run() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(rule_number(1));
    let second = optimizer.add_group(rule_number(2));
    let mut model = Model::<f64>::in_groups(optimizer, &MIXED, SEED, |optimizer, i| {
        if i % 2 == 0 { optimizer.default_group() } else { second }
    });
    let mut alone = Alone::like(&model, |i| rule_number(1 + i % 2));
    for seed in 0..6 {
        if seed == 3 {
            model.optimizer.set_rule(second, rule_number(9))?;
            assert_eq!(model.optimizer.rule(second), Some(&rule_number(9)));
            assert_eq!(
                model.optimizer.rule(model.optimizer.default_group()),
                Some(&rule_number(1))
            );
            for (rule, ..) in alone.tensors.iter_mut().skip(1).step_by(2) {
                *rule = rule_number(9);
            }
        }
        model.draw_gradients(seed);
        model.step()?;
        alone.step(&model, &[0, 1, 2, 3, 4, 5, 6, 7])?;
    }
    alone.assert_equals("rule changed", &model);
    Ok(())
}

#[test]
fn a_learning_rate_of_0_freezes_parameters_but_not_moments() -> Result<(), Error> {
    let rule = Adamax::builder().weight_decay(WeightDecay::Decoupled(0.5)).build()?;
    let frozen = rule.to_builder().learning_rate(0.0).build()?;
    let mut optimizer = Optimizer::new(rule);
    let group = optimizer.add_group(frozen);
    let (mut a, mut b) = (array![1.0, -2.0], array![3.0]);
    let slot_a = optimizer.register("a", &a)?;
    let slot_b = optimizer.register_in(group, "b", &b)?;
    let (ga, gb) = (array![0.1, 0.2], array![-0.7]);
    for t in 1..=5 {
        optimizer.step(&mut [slot_a.bind(&mut a, &ga), slot_b.bind(&mut b, &gb)])?;
        assert_eq!(b, array![3.0]);
        assert_eq!(optimizer.state(slot_b).unwrap().steps(), t);
    }
    assert!(a[0] < 1.0 && optimizer.state(slot_b).unwrap().first_moment()[[0]] < -0.2);
    optimizer.set_rule(group, rule)?;
    optimizer.step(&mut [slot_b.bind(&mut b, &gb)])?;
    assert_ne!(b, array![3.0]);
    Ok(())
}

#[test]
fn groups_of_another_optimizer_are_refused() -> Result<(), Error> {
    let mut mine = Optimizer::<f64>::new(rule_number(0));
    let mut other = Optimizer::<f64>::new(rule_number(1));
    for foreign in [other.default_group(), other.add_group(rule_number(2))] {
        let x = Array1::zeros(2);
        for error in [
            mine.set_rule(foreign, rule_number(3)).unwrap_err(),
            mine.register_in(foreign, "x", &x).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Foreign);
            assert_eq!(error.to_string(), "group belongs to another optimizer");
        }
        assert_eq!(mine.rule(foreign), None);
    }
    assert_eq!(mine.rule(mine.default_group()), Some(&rule_number(0)));
    assert_eq!(mine.snapshot().names().count(), 0, "a tensor was registered");
    mine.register("x", &Array1::zeros(2))?;
    Ok(())
}

// ---------------------------------------------------------------- learning-rate scale

#[test]
fn the_scale_multiplies_every_learning_rate() -> Result<(), Error> {
    let scales = [1.0, 0.5, 0.1, 0.0, 3.0, 1e-3];
    let mut optimizer = Optimizer::new(rule_number(0));
    assert_eq!(optimizer.lr_scale(), 1.0);
    let second = optimizer.add_group(rule_number(1));
    let mut model = Model::<f64>::in_groups(optimizer, &MIXED, SEED, |optimizer, i| {
        if i % 2 == 0 { optimizer.default_group() } else { second }
    });
    let mut alone = Alone::like(&model, |i| rule_number(i % 2));
    for (scale, seed) in scales.into_iter().zip(0..) {
        model.optimizer.set_lr_scale(scale)?;
        assert_eq!(model.optimizer.lr_scale(), scale);
        for (i, (rule, ..)) in alone.tensors.iter_mut().enumerate() {
            let base = rule_number(i % 2);
            *rule = base.to_builder().learning_rate(base.learning_rate() * scale).build()?;
        }
        model.draw_gradients(seed);
        model.step()?;
        alone.step(&model, &[0, 1, 2, 3, 4, 5, 6, 7])?;
        alone.assert_equals(&format!("scale {scale}"), &model);
    }
    assert_eq!(model.optimizer.rule(second), Some(&rule_number(1)), "the rule does not change");
    Ok(())
}

#[test]
fn a_scale_out_of_range_is_refused() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    optimizer.set_lr_scale(0.25)?;
    for bad in [-1.0, f64::NAN, f64::INFINITY, -f64::MIN_POSITIVE] {
        let error = optimizer.set_lr_scale(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Hyperparameter);
        let bad = crate::common::shown(bad);
        let message = format!("learning rate scale is {bad}, but must be finite and at least 0");
        assert_eq!(error.to_string(), message);
        assert_eq!(optimizer.lr_scale(), 0.25);
    }
    Ok(())
}

// ---------------------------------------------------------------- names, slots, Debug

#[test]
fn a_name_is_taken_once() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    let group = optimizer.add_group(Adamax::default());
    let mut x = array![1.0, 2.0];
    let long = "w".repeat(10_000);
    for name in
        ["weights", "", " ", "weights ", "Weights", "gewichte/β₁ 重み 🦀", "a\nb\"c`", &long]
    {
        let slot = optimizer.register(name, &x)?;
        optimizer.step(&mut [slot.bind(&mut x, &array![0.1, 0.2])])?;
        let before = optimizer.snapshot();
        for error in [
            optimizer.register(name, &x).unwrap_err(),
            optimizer.register(name, &array![[[1.0]]]).unwrap_err(),
            optimizer.register_in(group, name, &x).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Name);
            assert_eq!(error.tensor(), Some(name));
            // Messages shorten a long name; `tensor` returns the full name.
            if name != long {
                // Control characters are escaped.
                let name = name.replace('\n', "\\n");
                assert_eq!(error.to_string(), format!("tensor `{name}`: name is taken"));
            }
        }
        assert_eq!(optimizer.snapshot(), before);
        let error = optimizer.step(&mut [slot.bind(&mut x, &array![0.1, f64::NAN])]).unwrap_err();
        assert_eq!(error.tensor(), Some(name));
    }
    assert_eq!(optimizer.snapshot().names().count(), 8);
    Ok(())
}

/// Names may come from a stranger's file, and a terminal would obey them.
#[test]
fn names_are_printed_without_control_characters() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    optimizer.register("a\u{1b}[2J\n\u{202e}b", &array![1.0])?;
    assert_eq!(
        optimizer.to_string(),
        "\
tensor                 shape  parameters  group  steps
a\\u{1b}[2J\\n\\u{202e}b  [1]             1      0      0
1 tensor                               1
"
    );
    let shown = format!("{optimizer:?}");
    assert!(!shown.contains(['\u{1b}', '\n', '\u{202e}']), "{shown:?}");
    Ok(())
}

#[test]
fn slots_and_groups_are_keys() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    let mut other = Optimizer::<f64>::new(Adamax::default());
    let x = array![1.0];
    let slots: HashSet<Slot<Ix1>> = [
        optimizer.register("a", &x)?,
        optimizer.register("b", &x)?,
        other.register("a", &x)?,
        other.register("b", &x)?,
    ]
    .into();
    assert_eq!(slots.len(), 4);
    let (table, hasher) = (array![[1.0]], RandomState::new());
    let tables = [optimizer.register_rows("c", &table)?, other.register_rows("c", &table)?];
    // Keys with equal hashes would be found as well, but slowly.
    assert_eq!(tables.map(|rows| hasher.hash_one(rows)), tables.map(|rows| hasher.hash_one(rows)));
    assert_ne!(hasher.hash_one(tables[0]), hasher.hash_one(tables[1]));
    assert_eq!(slots.iter().map(|slot| hasher.hash_one(slot)).collect::<HashSet<_>>().len(), 4);
    let groups = [
        optimizer.default_group(),
        optimizer.default_group(),
        optimizer.add_group(Adamax::default()),
        other.default_group(),
    ];
    assert_eq!(HashSet::from(groups).len(), 3);
    let foreign = other.register("d", &x)?;
    assert_eq!(optimizer.state(foreign), None);
    assert_eq!(other.state(foreign), Some(&State::zeros_like(&x)));
    Ok(())
}

#[test]
fn debug_output_has_names_and_settings_but_no_elements() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::keras());
    let mut x = Array1::from_elem(10_000, 7.654_321);
    let g = Array1::from_elem(10_000, 1.234_567);
    let slot = optimizer.register("kernel", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    optimizer.set_max_norm(Some(MaxNorm::PerTensor(3.5)))?;
    let text = format!("{optimizer:?}");
    for part in ["kernel", "[10000]", "steps: 1", "1e-7", "PerTensor(3.5)", "lr_scale: 1.0"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.len() < 1000 && !text.contains("1.23") && !text.contains("0.123"), "{text}");

    let text = format!("{:?} {slot:?}", slot.bind(&mut x, &g));
    assert!(text.contains("[10000]") && text.len() < 200 && !text.contains("1.23"), "{text}");
    Ok(())
}

// ---------------------------------------------------------------- all or nothing

/// A fault in one tensor of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    ForeignSlot,
    RepeatedSlot,
    GradientShape,
    ParameterShape,
    BothShapes,
    Nan,
    Infinity,
    LearningRate,
    LearningRateScale,
    #[cfg(feature = "serde")]
    StepCount,
}

const FAULTS: &[(Fault, ErrorKind, &str)] = &[
    (Fault::ForeignSlot, ErrorKind::Foreign, "belongs to another optimizer"),
    (Fault::RepeatedSlot, ErrorKind::Repeated, "comes twice in one batch"),
    (Fault::GradientShape, ErrorKind::Shape, "gradient has shape [2, 9], but parameter has shape"),
    (Fault::ParameterShape, ErrorKind::Shape, "but parameter has shape [2, 9]"),
    (
        Fault::BothShapes,
        ErrorKind::Shape,
        "parameter has shape [2, 9], but the registered shape is",
    ),
    (Fault::Nan, ErrorKind::NonFinite, "gradient is NaN at index ["),
    (Fault::Infinity, ErrorKind::NonFinite, "gradient is -inf at index ["),
    (Fault::LearningRate, ErrorKind::Hyperparameter, "is too large for f32"),
    (Fault::LearningRateScale, ErrorKind::Hyperparameter, "is too large for f32"),
    #[cfg(feature = "serde")]
    (Fault::StepCount, ErrorKind::StepCount, "step counter has reached its largest value"),
];

/// Replacements for the slot, parameter or gradient of one tensor.
#[derive(Default)]
struct Substitute<'a> {
    slot: Option<Slot<IxDyn>>,
    x: Option<&'a mut ArrayD<f32>>,
    g: Option<&'a ArrayD<f32>>,
}

fn step_with(
    model: &mut Model<f32>,
    victim: usize,
    substitute: Substitute<'_>,
) -> Result<Outcome, Error> {
    let Substitute { slot, mut x, g } = substitute;
    let mut batch: Vec<_> = model
        .tensors
        .iter_mut()
        .enumerate()
        .map(|(i, tensor)| {
            if i == victim {
                let x = x.take().unwrap_or(&mut tensor.x);
                slot.unwrap_or(tensor.slot).bind(x, g.unwrap_or(&tensor.g))
            } else {
                tensor.slot.bind(&mut tensor.x, &tensor.g)
            }
        })
        .collect();
    model.optimizer.step(&mut batch)
}

/// Takes a step with one fault in one tensor. Returns the outcome and the name of the tensor that
/// the error should have. Restores all settings.
fn provoke(
    fault: Fault,
    model: &mut Model<f32>,
    victim: usize,
) -> Result<(Result<Outcome, Error>, Option<String>), Error> {
    let mut ill_shaped = ArrayD::from_elem(IxDyn(&[2, 9]), 0.5);
    let ill_shaped_g = ill_shaped.clone();
    let mut named = Some(name(victim));
    let group = model.groups[victim];
    let rule = *model.optimizer.rule(group).expect("own group");
    let outcome = match fault {
        Fault::ForeignSlot => {
            let mut other = Model::<f32>::new(rule, &MIXED, SEED);
            other.run(0..1)?;
            named = None;
            let slot = Some(other.tensors[victim].slot);
            step_with(model, victim, Substitute { slot, ..Substitute::default() })
        }
        Fault::RepeatedSlot => {
            let other = (victim + 3) % MIXED.len();
            named = Some(name(other));
            let tensor = &model.tensors[other];
            let (slot, mut x, g) = (Some(tensor.slot), tensor.x.clone(), tensor.g.clone());
            step_with(model, victim, Substitute { slot, x: Some(&mut x), g: Some(&g) })
        }
        Fault::GradientShape => {
            let g = Some(&ill_shaped_g);
            step_with(model, victim, Substitute { g, ..Substitute::default() })
        }
        Fault::ParameterShape => {
            let x = Some(&mut ill_shaped);
            step_with(model, victim, Substitute { x, ..Substitute::default() })
        }
        Fault::BothShapes => {
            let (x, g) = (Some(&mut ill_shaped), Some(&ill_shaped_g));
            step_with(model, victim, Substitute { x, g, ..Substitute::default() })
        }
        Fault::Nan | Fault::Infinity => {
            let bad = if fault == Fault::Nan { f32::NAN } else { f32::NEG_INFINITY };
            let mut g = model.tensors[victim].g.clone();
            *g.iter_mut().last().expect("an element") = bad;
            step_with(model, victim, Substitute { g: Some(&g), ..Substitute::default() })
        }
        Fault::LearningRate => {
            let plain = rule.to_builder().weight_decay(WeightDecay::None);
            let huge = plain.learning_rate(1e39).build()?;
            model.optimizer.set_rule(group, huge)?;
            let outcome = step_with(model, victim, Substitute::default());
            model.optimizer.set_rule(group, rule)?;
            outcome
        }
        Fault::LearningRateScale => {
            // Only the scaled rate of this tensor overflows.
            let plain = rule.to_builder().weight_decay(WeightDecay::None);
            let large = plain.learning_rate(1e38).build()?;
            model.optimizer.set_rule(group, large)?;
            model.optimizer.set_lr_scale(10.0)?;
            let outcome = step_with(model, victim, Substitute::default());
            model.optimizer.set_lr_scale(1.0)?;
            model.optimizer.set_rule(group, rule)?;
            outcome
        }
        #[cfg(feature = "serde")]
        Fault::StepCount => {
            let good = model.optimizer.snapshot();
            let mut data = serde_json::to_value(&good).expect("finite");
            data["tensors"][victim]["state"]["steps"] = u64::MAX.into();
            model.optimizer.restore(&serde_json::from_value(data).expect("valid"))?;
            let before = model.bits();
            let outcome = step_with(model, victim, Substitute::default());
            assert_eq!(model.bits(), before);
            model.optimizer.restore(&good)?;
            outcome
        }
    };
    assert_eq!(ill_shaped, ill_shaped_g, "a parameter with a wrong shape was changed");
    Ok((outcome, named))
}

/// Returns a model in which each tensor has its own group, with a rule of the given policy.
fn with_policies<A: Float>(policy: impl Fn(usize) -> NonFinite) -> Model<A> {
    let rule = |i| rule_number(i).to_builder().non_finite(policy(i)).build().expect("in range");
    Model::in_groups(Optimizer::new(rule_number(0)), &MIXED, SEED, |optimizer, i| {
        optimizer.add_group(rule(i))
    })
}

#[test]
fn a_fault_in_one_tensor_changes_none() -> Result<(), Error> {
    for max_norm in [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.5))] {
        for &(fault, kind, message) in FAULTS {
            for (victim, shape) in MIXED.iter().enumerate() {
                if shape.contains(&0) && matches!(fault, Fault::Nan | Fault::Infinity) {
                    continue;
                }
                let what = format!("{fault:?} in tensor {victim}, {max_norm:?}");
                let mut model = with_policies(|_| NonFinite::Error);
                let mut twin = with_policies(|_| NonFinite::Error);
                for model in [&mut model, &mut twin] {
                    model.optimizer.set_max_norm(max_norm)?;
                    model.run(0..3)?;
                }
                let before = model.bits();
                let (outcome, named) = provoke(fault, &mut model, victim)?;
                let error = outcome.expect_err(&what);
                assert_eq!(error.kind(), kind, "{what}: {error}");
                assert_eq!(error.tensor(), named.as_deref(), "{what}: {error}");
                assert!(error.to_string().contains(message), "{what}: {error}");
                assert_eq!(model.bits(), before, "{what}");
                // Later steps are not affected.
                for model in [&mut model, &mut twin] {
                    model.run(3..5)?;
                }
                assert_eq!(model.bits(), twin.bits(), "after {what}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_foreign_slot_is_reported_by_its_index() -> Result<(), Error> {
    let mut model = with_policies(|_| NonFinite::Error);
    let (outcome, _) = provoke(Fault::ForeignSlot, &mut model, 5)?;
    let message =
        "slot at index 5 of the batch belongs to another optimizer, or its tensor was removed";
    assert_eq!(outcome.unwrap_err().to_string(), message);
    Ok(())
}

#[test]
fn a_slot_of_an_optimizer_with_more_tensors_is_refused() -> Result<(), Error> {
    let mut mine = Optimizer::<f64>::new(Adamax::default());
    let mut other = Optimizer::<f64>::new(Adamax::default());
    let mut x = array![1.0];
    other.register("a", &x)?;
    let beyond = other.register("b", &x)?;
    mine.register("a", &x)?;
    let error = mine.step(&mut [beyond.bind(&mut x, &array![1.0])]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Foreign);
    assert_eq!(x, array![1.0]);
    Ok(())
}

/// Coefficients can also overflow in f64, and the product of rate and scale can overflow alone.
#[test]
fn coefficients_that_overflow_f64_are_refused() -> Result<(), Error> {
    let rule = Adamax::builder().learning_rate(1e200);
    let mut optimizer = Optimizer::new(rule.build()?);
    optimizer.set_lr_scale(1e200)?;
    let mut x = array![1.0];
    let slot = optimizer.register("x", &x)?;
    let error = optimizer.step(&mut [slot.bind(&mut x, &array![1.0])]).unwrap_err();
    let message = "tensor `x`: learning rate / (1 - beta1^t) is too large for f64";
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Hyperparameter, message.into()));
    assert_eq!(optimizer.state(slot), Some(&State::zeros_like(&x)));
    optimizer.set_lr_scale(1e-200)?;
    optimizer.step(&mut [slot.bind(&mut x, &array![1.0])])?;
    assert_eq!(optimizer.state(slot).unwrap().steps(), 1);
    Ok(())
}

// ---------------------------------------------------------------- policies

fn poison(model: &mut Model<f32>, tensor: usize) {
    *model.tensors[tensor].g.iter_mut().next().expect("an element") = f32::NAN;
}

#[test]
fn one_skip_skips_all() -> Result<(), Error> {
    for max_norm in [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.5))] {
        for victim in (0..MIXED.len()).filter(|&i| !MIXED[i].contains(&0)) {
            let policy = |i| if i == victim { NonFinite::Skip } else { NonFinite::Error };
            let (mut model, mut twin) = (with_policies(policy), with_policies(policy));
            for model in [&mut model, &mut twin] {
                model.optimizer.set_max_norm(max_norm)?;
                model.run(0..3)?;
            }
            let before = model.bits();
            poison(&mut model, victim);
            assert_eq!(model.step()?, Outcome::Skipped);
            assert_eq!(model.bits(), before, "tensor {victim}, {max_norm:?}");
            for model in [&mut model, &mut twin] {
                model.run(3..5)?;
            }
            assert_eq!(model.bits(), twin.bits(), "after tensor {victim}, {max_norm:?}");
        }
    }
    Ok(())
}

#[test]
fn an_error_beats_a_skip() -> Result<(), Error> {
    let policy = |i| if i == 5 { NonFinite::Error } else { NonFinite::Skip };
    for order in [[2, 5, 7], [5, 2, 7], [2, 7, 5]] {
        for max_norm in [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.5))] {
            let mut model = with_policies(policy);
            model.optimizer.set_max_norm(max_norm)?;
            model.run(0..2)?;
            let before = model.bits();
            poison(&mut model, 2);
            poison(&mut model, 5);
            let error = model.step_in_order(&order).unwrap_err();
            assert_eq!((error.kind(), error.tensor()), (ErrorKind::NonFinite, Some("tensor 5")));
            assert_eq!(model.bits(), before);
        }
    }
    Ok(())
}

#[test]
fn any_other_fault_beats_a_skip() -> Result<(), Error> {
    for &(fault, kind, _) in FAULTS {
        if kind == ErrorKind::NonFinite {
            continue;
        }
        for victim in [0, 7] {
            let mut model = with_policies(|_| NonFinite::Skip);
            model.run(0..2)?;
            poison(&mut model, 4);
            let before = model.bits();
            let (outcome, _) = provoke(fault, &mut model, victim)?;
            assert_eq!(outcome.expect_err("a fault").kind(), kind);
            assert_eq!(model.bits(), before);
        }
    }
    Ok(())
}

/// A step that is not taken cannot overflow.
#[test]
fn an_overflow_does_not_beat_a_skip() -> Result<(), Error> {
    let rule = |policy| Adamax::builder().learning_rate(1e307).non_finite(policy).build();
    for max_norm in [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.5))] {
        let mut optimizer = Optimizer::new(rule(NonFinite::Error)?);
        let skips = optimizer.add_group(rule(NonFinite::Skip)?);
        optimizer.set_max_norm(max_norm)?;
        let (mut large, mut other) = (array![-f64::MAX], array![1.0]);
        let slot = optimizer.register("large", &large)?;
        let other_slot = optimizer.register_in(skips, "other", &other)?;
        let one = array![1.0];
        let error = optimizer.step(&mut [slot.bind(&mut large, &one)]).unwrap_err();
        assert_eq!((error.kind(), error.tensor()), (ErrorKind::NonFinite, Some("large")));
        for large_first in [true, false] {
            let nan = array![f64::NAN];
            let mut batch = [slot.bind(&mut large, &one), other_slot.bind(&mut other, &nan)];
            if !large_first {
                batch.reverse();
            }
            assert_eq!(optimizer.step(&mut batch)?, Outcome::Skipped, "{max_norm:?}");
            assert_eq!((large[0], other[0]), (-f64::MAX, 1.0));
        }
    }
    Ok(())
}

/// Only a step on threads may change the order of the batch: an error names the first of several tensors.
#[test]
fn a_step_keeps_the_order_of_the_batch() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(10.0).build()?);
    let (mut a, mut b, g) = (array![1.0], array![1.0], array![0.5]);
    let (slot_a, slot_b) = (optimizer.register("a", &a)?, optimizer.register("b", &b)?);
    let mut batch = [slot_b.bind(&mut b, &g), slot_a.bind(&mut a, &g)];
    assert_eq!(optimizer.step(&mut batch)?, Outcome::Applied);
    _ = optimizer.step_with_report(&mut batch)?;
    // Now both steps overflow.
    optimizer.set_lr_scale(f64::MAX)?;
    assert_eq!(optimizer.step(&mut batch).unwrap_err().tensor(), Some("b"));
    Ok(())
}

/// Each group has its own policy: only the group with `Propagate` accepts NaN.
#[test]
fn one_group_may_propagate_nan() -> Result<(), Error> {
    let policy = |i| if i == 4 { NonFinite::Propagate } else { NonFinite::Error };
    let (mut model, mut twin) = (with_policies::<f32>(policy), with_policies::<f32>(policy));
    model.draw_gradients(0);
    twin.draw_gradients(0);
    poison(&mut model, 4);
    assert_eq!((model.step()?, twin.step()?), (Outcome::Applied, Outcome::Applied));
    assert!(model.tensors[4].x.iter().next().is_some_and(|x| x.is_nan()));
    let (found, expected) = (model.bits(), twin.bits());
    for i in (0..MIXED.len()).filter(|&i| i != 4) {
        assert_eq!(found[i], expected[i], "tensor {i}");
    }
    Ok(())
}
