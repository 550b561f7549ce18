//! Faults that other implementations of Adamax have or had, with one test for each.
//!
//! The comment of each test describes the fault, and its name says how this crate behaves instead.

use crate::common::{Bits, Layout, Model, assert_same, layout::LAYOUTS, model::MIXED};
use adamax::{
    Adamax, Error, ErrorKind, MaxNorm, NonFinite, Objective, Optimizer, State, WeightDecay,
    adamax_step,
};
use ndarray::{Array1, Array2, ArrayD, array};

const SEED: u64 = 9;

/// Fault: β₁^(t+1) in the bias correction. The first step would have length α·0.1/0.19, not α.
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
    // With a constant gradient, all steps have the same length.
    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    assert!((x[0] / -0.004 - 1.0).abs() < 2e-3, "{x}");
    Ok(())
}

/// Fault: one shared t, incremented for each tensor. The second tensor of the first batch would
/// have t = 2.
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

/// Fault: one shared t, incremented for each batch. A tensor that is stepped later for the first
/// time would get too little bias correction.
#[test]
fn t_does_not_advance_for_a_tensor_left_out() -> Result<(), Error> {
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

/// Fault: no bias correction. The first step would have length α/10.
#[test]
fn bias_is_corrected_by_default() -> Result<(), Error> {
    let (x, ..) = adamax_step(0.0, &1.0, 0.0, 0.0, 1, &Adamax::default())?;
    assert!((-0.0021..-0.0019).contains(&x), "{x}");
    Ok(())
}

/// Fault: one copy of the formula per option, with small differences between the copies. λ = 0 must
/// give the same bits as no decay, and a bound that is never exceeded the same bits as no bound.
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

/// Fault: `?` between two tensors. If the second is refused, the first has already changed.
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

/// Fault: the gradient is negated, clipped or decayed in the caller's array.
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

/// Fault: saving loses the state. A resumed run would start with m = 0, u = 0 and t = 0.
#[test]
fn a_saved_state_is_complete() -> Result<(), Error> {
    let mut model = Model::<f64>::new(Adamax::default(), &MIXED, SEED);
    model.run(0..3)?;
    let snapshot = model.optimizer.snapshot();
    for (i, tensor) in model.tensors.iter().enumerate() {
        assert_eq!(snapshot.state(&tensor.name), Some(model.state(i)));
        assert_eq!(model.state(i).steps(), 3);
    }
    Ok(())
}

/// Fault: states are matched by position. Two tensors of the same shape, registered in another
/// order, would exchange their states.
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

/// Fault: entries that do not match are ignored, and missing tensors start from zero, without an
/// error.
#[test]
fn unknown_and_missing_tensors_are_errors() -> Result<(), Error> {
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

/// Fault: a change of shape resets the state without an error.
#[test]
fn another_shape_is_an_error_and_does_not_reset_the_state() -> Result<(), Error> {
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

/// Fault: `if lr < 0.0 { refuse }` accepts NaN.
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

/// Fault: row-major moments for a column-major parameter. Each step would access one of them with a
/// large stride.
#[test]
fn moments_have_the_memory_order_of_their_parameter() -> Result<(), Error> {
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
    // For a view with gaps, the moments have the same memory order but are contiguous.
    for layout in LAYOUTS {
        let state = State::zeros_like(&layout.arrange(&values));
        assert!(state.first_moment().as_slice_memory_order().is_some());
    }
    Ok(())
}

/// Fault: `f64::max` ignores NaN. u would stay finite while m and x become NaN.
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
