//! Tests of saving and restoring an optimizer.

use crate::common::{
    Bits, Float, Layout, Model, assert_untouched,
    input::{gradients, rng},
    layout::LAYOUTS,
    model::{MIXED, name},
};
use adamax::{Adamax, Error, ErrorKind, MaxNorm, Optimizer, Outcome, Slot, State, WeightDecay};
use ndarray::{Array, Array2, ArrayD, IxDyn, ShapeBuilder, array};

const SEED: u64 = 6;

fn decaying() -> Result<Adamax, Error> {
    Adamax::builder().learning_rate(0.05).weight_decay(WeightDecay::Decoupled(0.1)).build()
}

/// A model with two groups of different rules, a learning-rate scale and a bound on the norm.
fn configured<A: Float>() -> Result<Model<A>, Error> {
    let mut optimizer = Optimizer::new(decaying()?);
    optimizer.set_lr_scale(0.5)?;
    optimizer.set_max_norm(Some(MaxNorm::Global(0.7)))?;
    let second = optimizer.add_group(Adamax::pytorch());
    Ok(Model::in_groups(optimizer, &MIXED, SEED, |optimizer, i| {
        if i % 3 == 0 { second } else { optimizer.default_group() }
    }))
}

// ---------------------------------------------------------------- resuming

type Tensors<A> = Vec<(Slot<IxDyn>, ArrayD<A>)>;

/// Simulates a new process. Tensors are registered in reverse order and have other layouts; rules,
/// scale and bound have their initial values.
fn resumed<A: Float>(
    before: &Model<A>,
    layout: impl Fn(usize) -> Layout,
) -> Result<(Optimizer<A>, Tensors<A>), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let second = optimizer.add_group(Adamax::keras());
    let mut tensors = Vec::new();
    for (i, tensor) in before.tensors.iter().enumerate().rev() {
        let group = if i % 3 == 0 { second } else { optimizer.default_group() };
        let x = layout(i).arrange(&tensor.x);
        tensors.push((optimizer.register_in(group, &tensor.name, &x)?, x));
    }
    tensors.reverse();
    optimizer.restore(&before.optimizer.snapshot())?;
    Ok((optimizer, tensors))
}

#[test]
fn a_resumed_run_equals_the_uninterrupted_run() -> Result<(), Error> {
    fn same<A: Float>() -> Result<(), Error> {
        for at in 0..6 {
            let mut model = configured::<A>()?;
            model.run(0..at)?;
            // One tensor is a step ahead of the others.
            model.draw_gradients(100);
            model.step_in_order(&[4])?;
            let (mut optimizer, mut tensors) =
                resumed(&model, |i| LAYOUTS[(i + 3) % LAYOUTS.len()])?;
            for seed in at..8 {
                model.draw_gradients(seed);
                assert_eq!(model.step()?, Outcome::Applied);
                let mut batch: Vec<_> = tensors
                    .iter_mut()
                    .zip(&model.tensors)
                    .map(|((slot, x), tensor)| slot.bind(x, &tensor.g))
                    .collect();
                assert_eq!(optimizer.step(&mut batch)?, Outcome::Applied);
            }
            for ((slot, x), (i, tensor)) in tensors.iter().zip(model.tensors.iter().enumerate()) {
                assert_eq!(x.bits(), tensor.x.bits(), "{}, resumed at {at}", tensor.name);
                assert_eq!(optimizer.state(*slot), Some(model.state(i)), "{}", tensor.name);
            }
            assert_eq!(optimizer.snapshot(), model.optimizer.snapshot());
        }
        Ok(())
    }
    same::<f64>()?;
    same::<f32>()
}

/// Restored moments keep the memory order of the registered parameter, whatever the order in the
/// snapshot. Steps are fast only if both orders agree.
#[test]
fn restored_moments_have_the_memory_order_of_their_parameters() -> Result<(), Error> {
    let orders = [Layout::C, Layout::F, Layout::Permuted, Layout::Reversed];
    for from in orders {
        for to in orders {
            let x: ArrayD<f64> = from.arrange(&gradients(vec![3, 4, 5], &mut rng(SEED)));
            let mut first = Optimizer::new(Adamax::default());
            let slot = first.register("x", &x)?;
            let mut stepped = x.clone();
            first.step(&mut [slot.bind(&mut stepped, &x)])?;

            let y = to.arrange(&stepped);
            let mut second = Optimizer::new(Adamax::default());
            let slot = second.register("x", &y)?;
            second.restore(&first.snapshot())?;
            let state = second.state(slot).unwrap();
            let what = format!("from {} to {}", from.letter(), to.letter());
            assert_eq!(state.first_moment().strides(), y.strides(), "{what}");
            assert_eq!(state.inf_norm().strides(), y.strides(), "{what}");
            assert_eq!(Some(state), first.snapshot().state("x"), "{what}");
        }
    }
    Ok(())
}

#[test]
fn rules_scale_and_bound_are_restored() -> Result<(), Error> {
    let snapshot = configured::<f64>()?.optimizer.snapshot();
    assert_eq!(snapshot.groups(), [decaying()?, Adamax::pytorch()]);
    assert_eq!(snapshot.lr_scale(), 0.5);
    assert_eq!(snapshot.max_norm(), Some(MaxNorm::Global(0.7)));

    let mut optimizer = Optimizer::new(Adamax::default());
    let default = optimizer.default_group();
    let second = optimizer.add_group(Adamax::default());
    for (i, shape) in MIXED.iter().enumerate() {
        let group = if i % 3 == 0 { second } else { default };
        optimizer.register_in(group, &name(i), &ArrayD::<f64>::zeros(*shape))?;
    }
    optimizer.restore(&snapshot)?;
    assert_eq!(optimizer.rule(default), Some(&decaying()?));
    assert_eq!(optimizer.rule(second), Some(&Adamax::pytorch()));
    assert_eq!(optimizer.lr_scale(), 0.5);
    assert_eq!(optimizer.max_norm(), Some(MaxNorm::Global(0.7)));
    Ok(())
}

/// Restores an earlier snapshot in the same optimizer. Slots stay valid; the user restores the
/// parameters.
#[test]
fn a_run_can_return_to_an_earlier_snapshot() -> Result<(), Error> {
    let mut model = configured::<f64>()?;
    model.run(0..3)?;
    let (snapshot, before) = (model.optimizer.snapshot(), model.bits());
    let xs: Vec<_> = model.tensors.iter().map(|tensor| tensor.x.clone()).collect();
    model.run(3..6)?;
    model.optimizer.set_lr_scale(9.0)?;
    let after = model.optimizer.snapshot();
    assert_ne!(snapshot, after, "a snapshot is a copy");
    for _ in 0..2 {
        model.optimizer.restore(&snapshot)?;
        for (tensor, x) in model.tensors.iter_mut().zip(&xs) {
            tensor.x.assign(x);
        }
        assert_eq!(model.bits(), before);
        assert_eq!(model.optimizer.snapshot(), snapshot);
        model.run(3..6)?;
        model.optimizer.set_lr_scale(9.0)?;
        assert_eq!(model.optimizer.snapshot(), after);
    }
    Ok(())
}

#[test]
fn a_snapshot_can_be_read() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f32>::new(Adamax::default());
    let empty = optimizer.snapshot();
    assert_eq!((empty.names().count(), empty.state("")), (0, None));
    let mut x = array![1.0];
    let slot = optimizer.register("zeta", &x)?;
    optimizer.register("", &Array2::zeros((2, 0)))?;
    optimizer.register("β", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &array![0.5])])?;
    let snapshot = optimizer.snapshot();
    assert_eq!(snapshot.names().collect::<Vec<_>>(), ["", "zeta", "β"]);
    assert_eq!(snapshot.state("zeta"), optimizer.state(slot));
    assert_eq!(snapshot.state("zeta").map(State::steps), Some(1));
    assert_eq!(snapshot.state("β").map(State::steps), Some(0));
    assert_eq!(snapshot.state("").map(|state| state.inf_norm().shape().to_vec()), Some(vec![2, 0]));
    assert_eq!(snapshot.state("other"), None);
    assert_eq!(snapshot.max_norm(), None);
    Ok(())
}

// ---------------------------------------------------------------- snapshots that do not match

/// An optimizer with two groups and one tensor in each, after a step.
fn two_tensors() -> Result<(Optimizer<f64>, [Slot<IxDyn>; 2]), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let second = optimizer.add_group(Adamax::keras());
    optimizer.set_lr_scale(0.75)?;
    optimizer.set_max_norm(Some(MaxNorm::PerTensor(4.0)))?;
    let (mut a, mut b) = (ArrayD::zeros(vec![2, 3]), ArrayD::zeros(vec![4]));
    let slots = [optimizer.register("a", &a)?, optimizer.register_in(second, "b", &b)?];
    let (ga, gb) = (ArrayD::from_elem(a.raw_dim(), 0.5), ArrayD::from_elem(b.raw_dim(), -0.25));
    optimizer.step(&mut [slots[0].bind(&mut a, &ga), slots[1].bind(&mut b, &gb)])?;
    Ok((optimizer, slots))
}

/// A snapshot that does not match [`two_tensors`], and the expected error.
struct Misfit {
    groups: usize,
    /// Name, shape and group number of each tensor.
    tensors: &'static [(&'static str, &'static [usize], usize)],
    kind: ErrorKind,
    named: Option<&'static str>,
    message: &'static str,
}

const MISFITS: [Misfit; 10] = [
    Misfit {
        groups: 2,
        tensors: &[("a", &[2, 3], 0)],
        kind: ErrorKind::Snapshot,
        named: Some("b"),
        message: "tensor `b`: missing in the snapshot",
    },
    Misfit {
        groups: 2,
        tensors: &[("a", &[2, 3], 0), ("c", &[4], 1)],
        kind: ErrorKind::Snapshot,
        named: Some("b"),
        message: "tensor `b`: missing in the snapshot; in the snapshot, but not registered: `c`",
    },
    Misfit {
        groups: 2,
        tensors: &[("B", &[4], 1), ("A", &[2, 3], 0)],
        kind: ErrorKind::Snapshot,
        named: Some("a"),
        message: "tensor `a`: missing in the snapshot; also missing: `b`; \
                  in the snapshot, but not registered: `A`, `B`",
    },
    Misfit {
        groups: 2,
        tensors: &[("a", &[2, 3], 0), ("b", &[4], 1), ("c", &[1], 0)],
        kind: ErrorKind::Snapshot,
        named: Some("c"),
        message: "tensor `c`: in the snapshot, but not registered",
    },
    Misfit {
        groups: 2,
        tensors: &[("a", &[3, 2], 0), ("b", &[4], 1)],
        kind: ErrorKind::Shape,
        named: Some("a"),
        message: "tensor `a`: state has shape [3, 2], but the registered shape is [2, 3] (transposed?)",
    },
    Misfit {
        groups: 2,
        tensors: &[("a", &[2, 3], 0), ("b", &[5], 1)],
        kind: ErrorKind::Shape,
        named: Some("b"),
        message: "tensor `b`: state has shape [5], but the registered shape is [4]",
    },
    Misfit {
        groups: 2,
        tensors: &[("a", &[2, 3], 0), ("b", &[4, 1], 1)],
        kind: ErrorKind::Shape,
        named: Some("b"),
        message: "tensor `b`: state has shape [4, 1], but the registered shape is [4]",
    },
    Misfit {
        groups: 2,
        tensors: &[("a", &[2, 3], 0), ("b", &[4], 0)],
        kind: ErrorKind::Snapshot,
        named: Some("b"),
        message: "tensor `b`: in group 0 of the snapshot, but registered in group 1",
    },
    Misfit {
        groups: 3,
        tensors: &[("a", &[2, 3], 0), ("b", &[4], 1)],
        kind: ErrorKind::Snapshot,
        named: None,
        message: "the snapshot has 3 groups, but the optimizer has 2",
    },
    Misfit {
        groups: 1,
        tensors: &[("a", &[2, 3], 0), ("b", &[4], 0)],
        kind: ErrorKind::Snapshot,
        named: None,
        message: "the snapshot has 1 groups, but the optimizer has 2",
    },
];

#[test]
fn a_snapshot_that_does_not_match_is_refused_and_changes_nothing() -> Result<(), Error> {
    for Misfit { groups, tensors, kind, named, message } in MISFITS {
        let mut other = Optimizer::new(Adamax::pytorch());
        let mut handles = vec![other.default_group()];
        handles.extend((1..groups).map(|_| other.add_group(Adamax::pytorch())));
        for &(name, shape, group) in tensors {
            other.register_in(handles[group], name, &ArrayD::zeros(shape))?;
        }
        let (mut optimizer, slots) = two_tensors()?;
        let before = optimizer.snapshot();
        let error = optimizer.restore(&other.snapshot()).expect_err(message);
        assert_eq!((error.kind(), error.tensor()), (kind, named), "{error}");
        assert_eq!(error.to_string(), message);
        assert_untouched(message, &optimizer.snapshot(), &before);
        // The optimizer still accepts a snapshot that matches.
        optimizer.restore(&before)?;
        assert_eq!(optimizer.state(slots[0]).map(State::steps), Some(1));
    }
    Ok(())
}

/// Both sides are listed, because the other side has the new name of a tensor. A list is short, whatever
/// the number and the length of the names.
#[test]
fn names_that_differ_are_listed_on_both_sides() -> Result<(), Error> {
    let of_names = |names: &[String]| -> Result<Optimizer<f64>, Error> {
        let mut optimizer = Optimizer::new(Adamax::default());
        for name in names {
            optimizer.register(name, &ArrayD::zeros(vec![1]))?;
        }
        Ok(optimizer)
    };
    let names = |before: &str, count| -> Vec<_> {
        (0..count).map(|index| format!("{before}{index}")).collect()
    };
    let message = |registered: &[String], saved: &[String]| -> Result<String, Error> {
        let snapshot = of_names(saved)?.snapshot();
        Ok(of_names(registered)?.restore(&snapshot).unwrap_err().to_string())
    };
    let (six, seven) = (names("old", 6), names("new", 7));
    assert_eq!(
        message(&six, &seven)?,
        "tensor `old0`: missing in the snapshot; \
         also missing: `old1`, `old2`, `old3`, `old4`, `old5`; \
         in the snapshot, but not registered: `new0`, `new1`, `new2`, `new3`, `new4`, and 2 more"
    );
    assert_eq!(
        message(&[], &seven)?,
        "tensor `new0`: in the snapshot, but not registered; \
         also not registered: `new1`, `new2`, `new3`, `new4`, `new5`, and 1 more"
    );
    let (long, longer) = (names(&"x".repeat(5_000), 100), names(&"y\u{1b}".repeat(5_000), 100));
    let message = message(&long, &longer)?;
    assert!(message.chars().count() < 5_000, "{} letters", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
    Ok(())
}

// ---------------------------------------------------------------- a model that has changed

/// Tensors with steps behind them, one of them in a second group.
fn stepped(
    rules: [Adamax; 2],
    tensors: &[(&str, usize, usize)],
    seed: u64,
) -> Result<Optimizer<f64>, Error> {
    let mut optimizer = Optimizer::new(rules[0]);
    let groups = [optimizer.default_group(), optimizer.add_group(rules[1])];
    let rng = &mut rng(seed);
    for &(name, length, group) in tensors {
        let mut x = ArrayD::zeros(vec![length]);
        let slot = optimizer.register_in(groups[group], name, &x)?;
        let g = gradients(x.raw_dim(), rng);
        optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    }
    Ok(optimizer)
}

#[test]
fn what_matches_is_restored_and_the_rest_stays() -> Result<(), Error> {
    let saved_rules = [decaying()?, Adamax::pytorch()];
    let mut saved = stepped(saved_rules, &[("body", 3, 0), ("head", 4, 1)], 1)?;
    saved.set_lr_scale(0.5)?;
    saved.set_max_norm(Some(MaxNorm::Global(0.7)))?;
    let saved = saved.snapshot();

    // The head has a new name, and stays in the group of that number. A third group is new.
    let own_rules = [Adamax::keras(), Adamax::paddle()];
    let mut optimizer = stepped(own_rules, &[("classes", 4, 1), ("body", 3, 0)], 2)?;
    let third = optimizer.add_group(Adamax::mlx(0.25)?);
    optimizer.register_in(third, "scale", &ArrayD::zeros(vec![2]))?;
    let before = optimizer.snapshot();

    let unmatched = optimizer.restore_matching(&saved)?;
    assert_eq!(unmatched.missing(), ["classes", "scale"]);
    assert_eq!(unmatched.unexpected(), ["head"]);
    let after = optimizer.snapshot();
    assert_ne!(before.state("body"), saved.state("body"));
    assert_eq!(after.state("body"), saved.state("body"));
    for name in ["classes", "scale"] {
        assert_eq!(after.state(name), before.state(name), "{name}");
    }
    // No tensor of the second group has been matched: its rule was that of another tensor.
    assert_eq!(after.groups(), [saved_rules[0], own_rules[1], Adamax::mlx(0.25)?]);
    assert_eq!((after.lr_scale(), after.max_norm()), (0.5, Some(MaxNorm::Global(0.7))));
    assert!(after.names().eq(["body", "classes", "scale"]));
    Ok(())
}

/// The next step uses the restored rule, not coefficients that were kept for the old one.
#[test]
fn a_matched_tensor_goes_on_as_in_an_uninterrupted_run() -> Result<(), Error> {
    let mut first = configured::<f64>()?;
    first.run(0..3)?;
    let snapshot = first.optimizer.snapshot();
    let mut optimizer = Optimizer::new(Adamax::default());
    optimizer.add_group(Adamax::default());
    let tensor = &first.tensors[1];
    let mut x = tensor.x.clone();
    let slot = optimizer.register(&tensor.name, &x)?;
    optimizer.step(&mut [slot.bind(&mut x.clone(), &tensor.x)])?;
    let unmatched = optimizer.restore_matching(&snapshot)?;
    assert!(unmatched.missing().is_empty());
    assert_eq!(unmatched.unexpected().len(), MIXED.len() - 1);

    // Alone, so that a global norm is that of the same tensor.
    first.draw_gradients(7);
    first.step_in_order(&[1])?;
    let tensor = &first.tensors[1];
    optimizer.step(&mut [slot.bind(&mut x, &tensor.g)])?;
    assert_eq!(x.bits(), tensor.x.bits());
    assert_eq!(optimizer.state(slot), Some(first.state(1)));
    Ok(())
}

#[test]
fn if_all_tensors_match_both_restore_the_same() -> Result<(), Error> {
    let (saved, _) = two_tensors()?;
    let tensors = [("b", 4, 1)];
    let matching = |optimizer: &mut Optimizer<f64>| -> Result<_, Error> {
        optimizer.register("a", &ArrayD::zeros(vec![2, 3]))?;
        Ok(optimizer.snapshot())
    };
    let mut one = stepped([Adamax::paper(), Adamax::paper()], &tensors, 3)?;
    let mut other = stepped([Adamax::paper(), Adamax::paper()], &tensors, 3)?;
    assert_eq!(matching(&mut one)?, matching(&mut other)?);
    one.restore(&saved.snapshot())?;
    let unmatched = other.restore_matching(&saved.snapshot())?;
    assert!(unmatched.missing().is_empty() && unmatched.unexpected().is_empty());
    assert_eq!(one.snapshot(), other.snapshot());
    assert_eq!(one.snapshot(), saved.snapshot());
    Ok(())
}

#[test]
fn a_matching_name_with_another_shape_or_group_changes_nothing() -> Result<(), Error> {
    let saved = stepped([decaying()?, Adamax::pytorch()], &[("a", 3, 0), ("b", 4, 1)], 4)?;
    let cases = [
        (
            ("b", 5, 1),
            ErrorKind::Shape,
            "tensor `b`: state has shape [4], but the registered shape is [5]",
        ),
        (
            ("b", 4, 0),
            ErrorKind::Snapshot,
            "tensor `b`: in group 1 of the snapshot, but registered in group 0",
        ),
    ];
    for (misfit, kind, message) in cases {
        let mut optimizer =
            stepped([Adamax::keras(), Adamax::keras()], &[("a", 3, 0), misfit, ("c", 1, 1)], 5)?;
        let before = optimizer.snapshot();
        let error = optimizer.restore_matching(&saved.snapshot()).expect_err(message);
        assert_eq!((error.to_string().as_str(), error.kind()), (message, kind));
        assert_eq!(error.tensor(), Some("b"));
        assert_untouched(message, &optimizer.snapshot(), &before);
    }
    Ok(())
}

// ---------------------------------------------------------------- values

/// A snapshot keeps the values, whatever the memory order of the parameter.
#[test]
fn a_snapshot_keeps_values_whatever_their_order() -> Result<(), Error> {
    let mut x = Array::<f64, _>::zeros((2, 3).f());
    let g = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let mut optimizer = Optimizer::new(Adamax::builder().beta1(0.0).build()?);
    let slot = optimizer.register("x", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    let snapshot = optimizer.snapshot();
    let state = snapshot.state("x").unwrap();
    assert_eq!(state.first_moment(), &g.clone().into_dyn());
    assert_eq!(state.inf_norm(), &g.into_dyn());
    Ok(())
}

// ---------------------------------------------------------------- another precision

/// A run in f32 goes on in f64 with exactly the same numbers, in the memory order of its parameters, and
/// comes back.
#[test]
fn a_snapshot_changes_precision_and_back() -> Result<(), Error> {
    let mut model = configured::<f32>()?;
    model.run(0..4)?;
    let single = model.optimizer.snapshot();
    let double = single.cast::<f64>()?;
    assert_eq!(double.groups(), single.groups());
    assert_eq!((double.lr_scale(), double.max_norm()), (single.lr_scale(), single.max_norm()));
    for name in single.names() {
        let single = single.state(name).expect("named");
        let double = double.state(name).expect("kept");
        assert_eq!(single.steps(), double.steps());
        for (single, double) in
            [(single.first_moment(), double.first_moment()), (single.inf_norm(), double.inf_norm())]
        {
            assert_eq!(single.strides(), double.strides());
            assert_eq!(single.mapv(f64::from), double);
        }
    }
    assert_eq!(double.cast::<f32>()?, single);
    assert_eq!(single.cast::<f32>()?, single);

    // Numbers of f64 are rounded to nearest.
    let third = array![1.0 / 3.0].into_dyn();
    let state = State::from_parts(1, -third.clone(), third)?.cast::<f32>()?;
    assert_eq!((state.first_moment()[[0]], state.inf_norm()[[0]]), (-1.0_f32 / 3.0, 1.0_f32 / 3.0));
    Ok(())
}

/// What does not fit is named, and nothing is half done.
#[test]
fn numbers_that_do_not_fit_in_f32_are_named() -> Result<(), Error> {
    let state = |m: f64, u: f64| {
        let array = |value| {
            ArrayD::from_shape_fn(vec![2, 3].set_f(true), |i| {
                if (i[0], i[1]) == (1, 2) { value } else { 0.5 }
            })
        };
        State::from_parts(9, array(m), array(u))
    };
    for (m, u, message, value) in [
        (1e39, 1.0, "first moment is 1e39 at index [1, 2], which becomes inf in f32", 1e39),
        (-1e39, 1.0, "first moment is -1e39 at index [1, 2], which becomes -inf in f32", -1e39),
        (-1e-46, 1.0, "first moment is -1e-46 at index [1, 2], which becomes -0 in f32", -1e-46),
        (1.0, 1e300, "infinity norm is 1e300 at index [1, 2], which becomes inf in f32", 1e300),
        (0.0, 5e-324, "infinity norm is 5e-324 at index [1, 2], which becomes 0 in f32", 5e-324),
    ] {
        let error = state(m, u)?.cast::<f32>().expect_err(message);
        assert_eq!((error.to_string().as_str(), error.kind()), (message, ErrorKind::Precision));
        assert_eq!((error.index(), error.value()), (Some(&[1, 2][..]), Some(value)));
        assert_eq!(error.array(), message.split(" is ").next());
    }

    let mut x = ArrayD::<f64>::zeros(vec![2]);
    let mut optimizer = Optimizer::new(Adamax::builder().beta1(0.5).build()?);
    optimizer.register("fits", &x)?;
    let slot = optimizer.register("does not", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &array![1.0, 2e39].into_dyn())])?;
    let error = optimizer.snapshot().cast::<f32>().unwrap_err();
    let message = "tensor `does not`: first moment is 1e39 at index [1], which becomes inf in f32";
    assert_eq!(error.to_string(), message);
    Ok(())
}
