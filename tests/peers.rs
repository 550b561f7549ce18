//! Faults that other implementations of Adamax have, or had: one test for each, by name.

mod common;

use adamax::{
    Adamax, Error, ErrorKind, MaxNorm, NonFinite, Objective, Optimizer, State, WeightDecay,
    adamax_step,
};
use common::{Bits, Layout, Model, assert_same, layout::LAYOUTS, model::MIXED};
use ndarray::{Array1, Array2, ArrayD, array};

const SEED: u64 = 9;

/// β₁^(t+1) on the first step: it would move by α·0.1/0.19, not by α.
#[test]
fn the_bias_correction_counts_from_1() -> Result<(), Error> {
    let rule = Adamax::paper();
    let (mut x, g) = (array![0.0_f64, 0.0], array![0.5, -4.0]);
    let mut optimizer = Optimizer::new(rule);
    let slot = optimizer.register("x", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    for (moved, sign) in x.iter().zip([-1.0, 1.0]) {
        assert!((moved / (sign * 0.002) - 1.0).abs() < 1e-15, "{x}");
    }
    // With a constant gradient, every step is as long.
    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    assert!((x[0] / -0.004 - 1.0).abs() < 2e-3, "{x}");
    Ok(())
}

/// One t for all, advanced once per tensor: the second tensor of the first batch would be at t = 2.
#[test]
fn t_is_not_advanced_by_other_tensors() -> Result<(), Error> {
    let mut model = Model::<f64>::new(Adamax::default(), &[&[3], &[3], &[3]], SEED);
    for tensor in &mut model.tensors {
        tensor.x.fill(1.0);
        tensor.g.fill(0.25);
    }
    for t in 1..=5 {
        model.step()?;
        assert_eq!([0, 1, 2].map(|i| model.state(i).steps()), [t; 3]);
        assert_same(format_args!("t = {t}"), &model.tensors[2].x, &model.tensors[0].x);
    }
    Ok(())
}

/// One t for all, advanced once per batch: a tensor that joins late would get a correction for a
/// mean that it does not have.
#[test]
fn t_waits_for_a_tensor_left_out() -> Result<(), Error> {
    let mut model = Model::<f64>::new(Adamax::default(), &[&[3], &[3]], SEED);
    for tensor in &mut model.tensors {
        tensor.x.fill(1.0);
        tensor.g.fill(0.25);
    }
    for _ in 0..10 {
        model.step_in_order(&[0])?;
    }
    let first = adamax_step(1.0, &0.25, 0.0, 0.0, 1, &Adamax::default())?.0;
    model.step()?;
    assert_eq!(model.tensors[1].x[[0]], first);
    Ok(())
}

/// No bias correction by mistake: the first step would be a tenth of α.
#[test]
fn bias_is_corrected_by_default() -> Result<(), Error> {
    let (x, ..) = adamax_step(0.0, &1.0, 0.0, 0.0, 1, &Adamax::default())?;
    assert!((-0.0021..-0.0019).contains(&x), "{x}");
    Ok(())
}

/// The formula pasted once per option, each copy a little otherwise: λ = 0 must be no decay, and a
/// bound that nothing exceeds no bound, to the bit.
#[test]
fn options_that_do_nothing_change_nothing() -> Result<(), Error> {
    let run = |rule: Adamax, max_norm| -> Result<_, Error> {
        let mut model = Model::<f32>::new(rule, &MIXED, SEED);
        model.optimizer.set_max_norm(max_norm)?;
        model.run(0..4)?;
        Ok(model.bits())
    };
    let plain = run(Adamax::default(), None)?;
    let builder = Adamax::builder();
    for rule in [
        builder.weight_decay(WeightDecay::L2(0.0)).build()?,
        builder.weight_decay(WeightDecay::Decoupled(0.0)).build()?,
        builder.clip_value(1e30).build()?,
        builder.non_finite(NonFinite::Propagate).build()?,
        builder.non_finite(NonFinite::Skip).build()?,
    ] {
        assert_eq!(run(rule, None)?, plain, "{rule:?}");
    }
    for max_norm in [MaxNorm::Global(1e30), MaxNorm::PerTensor(1e30)] {
        assert_eq!(run(Adamax::default(), Some(max_norm))?, plain, "{max_norm:?}");
    }
    Ok(())
}

/// A `?` between two tensors: the first would have moved when the second is refused.
#[test]
fn a_model_is_never_half_updated() -> Result<(), Error> {
    for bad in 0..3 {
        let mut model = Model::<f64>::new(Adamax::default(), &[&[2, 3], &[4], &[5]], SEED);
        model.run(0..2)?;
        let before = model.bits();
        model.tensors[bad].g[if bad == 0 { &[1, 2][..] } else { &[3] }] = f64::NAN;
        assert_eq!(model.step().unwrap_err().kind(), ErrorKind::NonFinite);
        assert_eq!(model.bits(), before);
    }
    Ok(())
}

/// Gradients negated, clipped or decayed in the caller's array.
#[test]
fn gradients_are_not_written_to() -> Result<(), Error> {
    let builder = Adamax::builder().objective(Objective::Maximize).clip_value(0.01);
    for decay in [WeightDecay::L2(0.5), WeightDecay::Decoupled(0.5)] {
        let rule = builder.weight_decay(decay).build()?;
        let mut model = Model::<f64>::new(rule, &MIXED, SEED);
        model.optimizer.set_max_norm(Some(MaxNorm::Global(1e-3)))?;
        model.draw_gradients(0);
        let before: Vec<_> = model.tensors.iter().map(|tensor| tensor.g.bits()).collect();
        model.step()?;
        let after: Vec<_> = model.tensors.iter().map(|tensor| tensor.g.bits()).collect();
        assert_eq!(after, before);
    }
    Ok(())
}

/// State lost on save: a resumed run would begin with m = 0, u = 0 and t = 0.
#[test]
fn a_saved_state_is_whole() -> Result<(), Error> {
    let mut model = Model::<f64>::new(Adamax::default(), &MIXED, SEED);
    model.run(0..3)?;
    let snapshot = model.optimizer.snapshot();
    for (i, tensor) in model.tensors.iter().enumerate() {
        assert_eq!(snapshot.state(&tensor.name), Some(model.state(i)));
        assert_eq!(model.state(i).steps(), 3);
    }
    Ok(())
}

/// State matched by position: two tensors of one shape, registered in another order, would get
/// each other's.
#[test]
fn states_are_matched_by_name() -> Result<(), Error> {
    let (mut a, mut b) = (array![0.0, 0.0], array![0.0, 0.0]);
    let mut optimizer = Optimizer::new(Adamax::default());
    let (slot_a, slot_b) = (optimizer.register("a", &a)?, optimizer.register("b", &b)?);
    let (ga, gb) = (array![1.0, 2.0], array![-3.0, -4.0]);
    optimizer.step(&mut [slot_a.bind(&mut a, &ga), slot_b.bind(&mut b, &gb)])?;

    let mut resumed = Optimizer::new(Adamax::default());
    let (slot_b, slot_a) = (resumed.register("b", &b)?, resumed.register("a", &a)?);
    resumed.restore(&optimizer.snapshot())?;
    assert_eq!(resumed.state(slot_a).unwrap().inf_norm(), &ga.into_dyn());
    assert_eq!(resumed.state(slot_b).unwrap().inf_norm(), &gb.mapv(f64::abs).into_dyn());
    Ok(())
}

/// Entries that do not fit, silently dropped; tensors that are missing, silently started anew.
#[test]
fn nothing_is_dropped_in_silence() -> Result<(), Error> {
    let x = Array1::<f64>::zeros(2);
    let named = |names: &[&str]| -> Result<Optimizer, Error> {
        let mut optimizer = Optimizer::new(Adamax::default());
        names.iter().try_for_each(|name| optimizer.register(name, &x).map(drop))?;
        Ok(optimizer)
    };
    let saved = named(&["layer1.weight", "layer2.weight"])?.snapshot();
    for (names, missed) in [
        (&["layer1.weight"][..], "layer2.weight"),
        (&["layer1.weight", "layer2.weight", "layer3.weight"], "layer3.weight"),
    ] {
        let error = named(names)?.restore(&saved).unwrap_err();
        assert_eq!((error.kind(), error.tensor()), (ErrorKind::Snapshot, Some(missed)));
    }
    Ok(())
}

/// A shape change that silently resets the state.
#[test]
fn another_shape_is_an_error_and_no_new_start() -> Result<(), Error> {
    let mut x = Array2::<f64>::zeros((2, 3));
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("x", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &Array2::ones((2, 3)))])?;
    let before = optimizer.state(slot).cloned();
    for shape in [(3, 2), (2, 4), (1, 6), (0, 3)] {
        let (mut other, g) = (Array2::zeros(shape), Array2::ones(shape));
        let error = optimizer.step(&mut [slot.bind(&mut other, &g)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        assert_eq!(optimizer.state(slot).cloned(), before);
    }
    Ok(())
}

/// `if lr < 0.0 { refuse }` lets NaN through.
#[test]
fn nan_is_out_of_every_range() {
    let nan = f64::NAN;
    let builder = Adamax::builder;
    for setting in [
        builder().learning_rate(nan),
        builder().beta1(nan),
        builder().beta2(nan),
        builder().epsilon(nan),
        builder().clip_value(nan),
        builder().weight_decay(WeightDecay::L2(nan)),
        builder().weight_decay(WeightDecay::Decoupled(nan)),
    ] {
        assert_eq!(setting.build().unwrap_err().kind(), ErrorKind::Hyperparameter);
    }
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    for refused in [
        optimizer.set_lr_scale(nan),
        optimizer.set_max_norm(Some(MaxNorm::Global(nan))),
        optimizer.set_max_norm(Some(MaxNorm::PerTensor(nan))),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Hyperparameter);
    }
}

/// Moments in row-major order beside a column-major parameter: each step would walk one of them
/// across memory.
#[test]
fn moments_lie_like_their_parameter() -> Result<(), Error> {
    let values = ArrayD::<f64>::ones(vec![3, 4, 5]);
    for layout in [Layout::C, Layout::F, Layout::Permuted, Layout::Reversed] {
        let x = layout.arrange(&values);
        let mut optimizer = Optimizer::new(Adamax::default());
        let slot = optimizer.register("x", &x)?;
        for state in [&State::zeros_like(&x), optimizer.state(slot).unwrap()] {
            assert_eq!(state.first_moment().strides(), x.strides(), "layout {}", layout.letter());
            assert_eq!(state.inf_norm().strides(), x.strides(), "layout {}", layout.letter());
        }
    }
    // Of a view with gaps, the moments have the order but not the gaps.
    for layout in LAYOUTS {
        let state = State::zeros_like(&layout.arrange(&values));
        assert!(state.first_moment().as_slice_memory_order().is_some());
    }
    Ok(())
}

/// `f64::max` drops NaN: u would look sound while m and x are lost.
#[test]
fn nan_is_not_hidden_in_the_norm() -> Result<(), Error> {
    let rule = Adamax::builder().non_finite(NonFinite::Propagate).build()?;
    let mut x = array![1.0, 1.0];
    let mut optimizer = Optimizer::new(rule);
    let slot = optimizer.register("x", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &array![f64::NAN, 0.5])])?;
    optimizer.step(&mut [slot.bind(&mut x, &array![0.5, 0.5])])?;
    let state = optimizer.state(slot).unwrap();
    assert!(state.inf_norm()[[0]].is_nan() && state.first_moment()[[0]].is_nan() && x[0].is_nan());
    assert_eq!(state.inf_norm()[[1]], 0.5);
    Ok(())
}
