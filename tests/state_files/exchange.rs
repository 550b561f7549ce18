//! Runs that begin in `PyTorch` and end here, or the other way round.
//!
//! `exchange.py` made the files and says what they are.

use std::{error::Error, fs, path::PathBuf};

use adamax::{
    Adamax, Checkpoint, MaxNorm, NonFinite, Objective, Optimizer, Slot, WeightDecay,
    schedule::Schedule,
};
use ndarray::{Array, Array1, Array2, ArrayD, Dimension, Ix1, Ix2, IxDyn, ShapeBuilder};

use crate::common::{Float, repository};

type Tested = Result<(), Box<dyn Error>>;

/// The steps before the exchange, and those after it.
const STEPS: u32 = 20;

// Tolerances as in golden.rs, in units of the rounding unit.

/// Tolerance of x, relative to max(|x|, α).
const X_UNITS: f64 = 4.0;
/// Tolerance of m and u, relative to max(u, λ|x|): in g + λx, terms of this size may cancel.
const MOMENT_UNITS: f64 = 2.0;

/// The learning rates and the L2 factor of `exchange.py`.
const LEARNING_RATE: f64 = 0.01;
const L2: f64 = 0.1;

struct Run<A> {
    optimizer: Optimizer<A>,
    weight: (Slot<Ix2>, Array2<A>),
    bias: (Slot<Ix1>, Array1<A>),
}

impl<A: Float> Run<A> {
    fn new() -> Result<Self, adamax::Error> {
        let rule = Adamax::pytorch().to_builder().learning_rate(LEARNING_RATE).epsilon(0.01);
        let of_bias = rule.learning_rate(0.005).beta1(0.8).beta2(0.99);
        let weight = fill("layer.weight", (3, 4), 0).mapv(|x: A| A::of(4.0) * x);
        let bias = fill("bias", 3, 0).mapv(|x: A| A::of(4.0) * x);
        let mut optimizer = Optimizer::new(rule.weight_decay(WeightDecay::L2(L2)).build()?);
        let group = optimizer.add_group(of_bias.objective(Objective::Maximize).build()?);
        Ok(Run {
            weight: (optimizer.register("layer.weight", &weight)?, weight),
            bias: (optimizer.register_in(group, "bias", &bias)?, bias),
            optimizer,
        })
    }

    fn advance(&mut self, steps: std::ops::RangeInclusive<u32>) -> Result<(), adamax::Error> {
        let Run { optimizer, weight: (weight_slot, weight), bias: (bias_slot, bias) } = self;
        for step in steps {
            let gradients = (fill("layer.weight", (3, 4), step), fill("bias", 3, step));
            optimizer.step(&mut [
                weight_slot.bind(weight, &gradients.0),
                bias_slot.bind(bias, &gradients.1),
            ])?;
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<Checkpoint<A>, adamax::Error> {
        let mut checkpoint = Checkpoint::new(self.optimizer.snapshot());
        checkpoint.add_parameter("layer.weight", &self.weight.1)?;
        checkpoint.add_parameter("bias", &self.bias.1)?;
        Ok(checkpoint)
    }

    fn take_over(&mut self, checkpoint: &Checkpoint<A>) -> Result<(), adamax::Error> {
        checkpoint.assign_parameter("layer.weight", &mut self.weight.1)?;
        checkpoint.assign_parameter("bias", &mut self.bias.1)?;
        self.optimizer.restore(checkpoint.snapshot())
    }
}

/// The same values as `fill` in `exchange.py`.
fn fill<A: Float, Sh: ShapeBuilder>(name: &str, shape: Sh, step: u32) -> Array<A, Sh::Dim> {
    let offset = 37 * step + 7 * u32::try_from(name.len()).expect("a short name");
    let numbers = (0_u32..).map(|index| f64::from((offset + 101 * index) % 64) - 32.0);
    let mut numbers = numbers.map(|number| A::of(number / 128.0));
    Array::from_shape_simple_fn(shape, || numbers.next().expect("endless"))
}

fn file(name: &str) -> PathBuf {
    repository().join("tests/state_files/exchange").join(name).with_extension("safetensors")
}

fn assert_agree<A: Float>(found: &Checkpoint<A>, expected: &Checkpoint<A>) -> Tested {
    assert_eq!(found.snapshot().groups(), expected.snapshot().groups());
    agree_in::<A, Ix2>(found, expected, "layer.weight", L2)?;
    agree_in::<A, Ix1>(found, expected, "bias", 0.0)
}

fn agree_in<A: Float, D: Dimension>(
    found: &Checkpoint<A>,
    expected: &Checkpoint<A>,
    name: &str,
    l2: f64,
) -> Tested {
    let unit = if size_of::<A>() == 8 { f64::EPSILON } else { f32::EPSILON.into() };
    let state = |checkpoint: &Checkpoint<A>| checkpoint.snapshot().state(name).cloned();
    let (steps, m, u) = state(found).ok_or("no state")?.into_parts();
    let (expected_steps, expected_m, expected_u) = state(expected).ok_or("no state")?.into_parts();
    assert_eq!(steps, expected_steps, "{name}");
    let x: Array<A, D> = found.parameter(name)?;
    let expected_x: Array<A, D> = expected.parameter(name)?;
    for (index, (x, &expected_x)) in x.iter().zip(&expected_x).enumerate() {
        let nth = |values: &ndarray::ArrayD<A>| values.iter().nth(index).map(|value| value.wide());
        let expected_x = expected_x.wide();
        let for_x = X_UNITS * unit * expected_x.abs().max(LEARNING_RATE);
        assert!((x.wide() - expected_x).abs() <= for_x, "{name}, x[{index}]: {x}, {expected_x}");
        let scale = nth(&expected_u).ok_or("shape")?.max(l2 * expected_x.abs());
        let for_moments = MOMENT_UNITS * unit * scale + l2 * for_x;
        for (what, found, expected) in [("m", &m, &expected_m), ("u", &u, &expected_u)] {
            let (found, expected) = (nth(found).ok_or("shape")?, nth(expected).ok_or("shape")?);
            let apart = (found - expected).abs();
            assert!(apart <= for_moments, "{name}, {what}[{index}]: {found}, {expected}");
        }
    }
    Ok(())
}

#[test]
fn a_run_of_pytorch_is_finished_here() -> Tested {
    finish_here::<f64>("f64")?;
    finish_here::<f32>("f32")
}

fn finish_here<A: Float>(precision: &str) -> Tested {
    let mut run = Run::<A>::new()?;
    let rules = run.optimizer.snapshot().groups().to_vec();
    run.take_over(&Checkpoint::load(file(&format!("from_torch_{precision}")))?)?;
    assert_eq!(run.optimizer.snapshot().groups(), rules, "rules come along");
    run.advance(STEPS + 1..=2 * STEPS)?;
    assert_agree(
        &run.checkpoint()?,
        &Checkpoint::load(file(&format!("torch_went_on_{precision}")))?,
    )
}

#[test]
fn a_run_of_this_crate_is_finished_by_pytorch() -> Tested {
    finish_there::<f64>("f64")?;
    finish_there::<f32>("f32")
}

fn finish_there<A: Float>(precision: &str) -> Tested {
    let mut run = Run::<A>::new()?;
    run.advance(1..=STEPS)?;
    let handed_over = Checkpoint::load(file(&format!("from_crate_{precision}")))?;
    assert_eq!(run.checkpoint()?, handed_over, "PyTorch was given another state");
    run.advance(STEPS + 1..=2 * STEPS)?;
    let there = Checkpoint::load(file(&format!("torch_took_over_{precision}")))?;
    assert_agree(&run.checkpoint()?, &there)
}

#[test]
#[ignore = "writes what exchange.py goes on from"]
fn write_for_pytorch() -> Tested {
    fs::create_dir_all(file("").with_file_name(""))?;
    write::<f64>("f64")?;
    write::<f32>("f32")?;
    let mut run = Scheduled::new()?;
    run.advance(1..=STEPS)?;
    Ok(run.checkpoint()?.save(file("from_crate_scheduled"))?)
}

fn write<A: Float>(precision: &str) -> Tested {
    let mut run = Run::<A>::new()?;
    run.advance(1..=STEPS)?;
    Ok(run.checkpoint()?.save(file(&format!("from_crate_{precision}")))?)
}

// ---------------------------------------------------------------- a schedule, and tensors of every kind

/// Name, shape and group of the tensors of `Scheduled` in `exchange.py`.
const TENSORS: [(&str, &[usize], usize); 5] = [
    ("scalar", &[], 1),
    ("transposed", &[3, 4], 1),
    ("kernel", &[2, 3, 2, 2], 0),
    ("late", &[3], 0),
    ("frozen", &[2], 0),
];

/// The run of `make_scheduled` in `exchange.py`.
struct Scheduled {
    optimizer: Optimizer<f64>,
    schedule: Schedule,
    tensors: Vec<(Slot<IxDyn>, ArrayD<f64>)>,
}

impl Scheduled {
    fn new() -> Result<Self, adamax::Error> {
        let rule = Adamax::pytorch().to_builder().learning_rate(LEARNING_RATE).epsilon(0.01);
        let decayed = rule.weight_decay(WeightDecay::L2(L2)).build()?;
        let mut optimizer = Optimizer::new(decayed);
        let groups =
            [optimizer.default_group(), optimizer.add_group(rule.learning_rate(0.005).build()?)];
        let mut tensors = Vec::new();
        for (name, shape, group) in TENSORS {
            let x = fill::<f64, _>(name, shape, 0) * 4.0;
            tensors.push((optimizer.register_in(groups[group], name, &x)?, x));
        }
        let schedule = Schedule::cosine(u64::from(2 * STEPS), 0.0)?;
        Ok(Scheduled { optimizer, schedule, tensors })
    }

    /// Afterwards the scale is that of the next step, as in `PyTorch`.
    fn advance(&mut self, steps: std::ops::RangeInclusive<u32>) -> Result<(), adamax::Error> {
        for step in steps {
            self.optimizer.set_lr_scale(self.schedule.scale(u64::from(step - 1)))?;
            let gradients =
                TENSORS.map(|(name, shape, _)| fill::<f64, _>(name, IxDyn(shape), step));
            let mut batch = Vec::new();
            for ((name, ..), ((slot, x), gradient)) in
                TENSORS.iter().zip(self.tensors.iter_mut().zip(&gradients))
            {
                if *name != "frozen" && (*name != "late" || step > STEPS) {
                    batch.push(slot.bind(x, gradient));
                }
            }
            self.optimizer.step(&mut batch)?;
            self.optimizer.set_lr_scale(self.schedule.scale(u64::from(step)))?;
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<Checkpoint<f64>, adamax::Error> {
        let mut checkpoint = Checkpoint::new(self.optimizer.snapshot());
        for ((name, ..), (_, x)) in TENSORS.iter().zip(&self.tensors) {
            checkpoint.add_parameter(name, x)?;
        }
        Ok(checkpoint)
    }

    fn assert_agree(&self, expected: &str) -> Tested {
        let (found, expected) = (self.checkpoint()?, Checkpoint::load(file(expected))?);
        let scales = [&found, &expected].map(|checkpoint| checkpoint.snapshot().lr_scale());
        assert!((scales[0] - scales[1]).abs() <= SCALE_UNITS * f64::EPSILON, "{scales:?}");
        for (name, _, group) in TENSORS {
            let l2 = if group == 0 { L2 } else { 0.0 };
            agree_in::<f64, IxDyn>(&found, &expected, name, l2)?;
        }
        Ok(())
    }
}

/// Tolerance of the scale, which is at most 1. `PyTorch` computes each factor from the one before: two
/// roundings in each of 40 steps.
const SCALE_UNITS: f64 = 80.0;

/// The schedule does not count twice, and what the file does not say stays as the user has set it.
#[test]
fn a_scheduled_run_of_pytorch_is_finished_here() -> Tested {
    let mut run = Scheduled::new()?;
    let group = run.optimizer.default_group();
    let rule = *run.optimizer.rule(group).ok_or("no rule")?;
    let rule = rule.to_builder().clip_value(1e3).non_finite(NonFinite::Skip).build()?;
    run.optimizer.set_rule(group, rule)?;
    run.optimizer.set_max_norm(Some(MaxNorm::Global(1e3)))?;

    let checkpoint = Checkpoint::load(file("from_torch_scheduled"))?;
    assert!((checkpoint.snapshot().lr_scale() - 0.5).abs() <= SCALE_UNITS * f64::EPSILON);
    let steps =
        TENSORS.map(|(name, ..)| checkpoint.snapshot().state(name).map(adamax::State::steps));
    assert_eq!(steps, [20, 20, 20, 0, 0].map(Some));
    for ((name, ..), (_, x)) in TENSORS.iter().zip(&mut run.tensors) {
        checkpoint.assign_parameter(name, x)?;
    }
    run.optimizer.restore(checkpoint.snapshot())?;
    assert_eq!(run.optimizer.rule(group), Some(&rule));
    assert_eq!(run.optimizer.max_norm(), Some(MaxNorm::Global(1e3)));
    run.advance(STEPS + 1..=2 * STEPS)?;
    run.assert_agree("torch_went_on_scheduled")
}

#[test]
fn a_scheduled_run_of_this_crate_is_finished_by_pytorch() -> Tested {
    let mut run = Scheduled::new()?;
    run.advance(1..=STEPS)?;
    let handed_over = Checkpoint::load(file("from_crate_scheduled"))?;
    assert_eq!(run.checkpoint()?, handed_over, "PyTorch was given another state");
    run.advance(STEPS + 1..=2 * STEPS)?;
    run.assert_agree("torch_took_over_scheduled")
}

/// Without a scheduler, a file from `PyTorch` says nothing about the scale.
#[test]
fn a_file_without_a_scale_keeps_the_users() -> Tested {
    let mut run = Run::<f64>::new()?;
    run.optimizer.set_lr_scale(0.25)?;
    run.take_over(&Checkpoint::load(file("from_torch_f64"))?)?;
    assert_eq!(run.optimizer.lr_scale(), 0.25);
    Ok(())
}
