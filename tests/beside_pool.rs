//! `par_step` called from threads outside rayon's pool gives the same results as the sequential
//! step.

#![cfg(feature = "rayon")]

mod common;

use adamax::{Adamax, Error, ErrorKind, MaxNorm, NonFinite, Optimizer, Outcome, State};
use common::{
    Float,
    Layout::{C, F, Permuted, Reversed, Stepped},
    Model,
    bits::Snapshot,
    input::{gradients, parameters, rng},
    model::MIXED,
    rules,
};
use ndarray::{ArrayD, IxDyn};

const SEED: u64 = 5;

/// Starts rayon's global pool with three threads on every machine.
fn start_pool() {
    // Only the first test of this file can build the pool; later calls fail, which is expected.
    rayon::ThreadPoolBuilder::new().num_threads(3).build_global().ok();
    assert_eq!((rayon::current_num_threads(), rayon::current_thread_index()), (3, None));
}

fn a_tensor<A: Float>(shape: &[usize]) -> Result<(), Error> {
    let (x, g) = (parameters(shape, &mut rng(SEED)), gradients(shape, &mut rng(SEED + 1)));
    let layouts = [(C, C), (F, C), (Permuted, Permuted), (Stepped, Reversed)];
    let cases = rules::one_of_each_kind();
    for (case, (layout, other)) in cases.iter().zip(layouts.into_iter().cycle()) {
        let (mut x, g): (ArrayD<A>, ArrayD<A>) = (layout.arrange(&x), other.arrange(&g));
        let mut state = State::zeros_like(&x);
        let (mut twin, mut twin_state) = (x.clone(), state.clone());
        for _ in 0..2 {
            case.rule.step(&mut twin_state, &mut twin, &g)?;
            case.rule.par_step(&mut state, &mut x, &g)?;
        }
        let what = format!("{shape:?} {}, {}", layout.letter(), case.name);
        assert!(Snapshot::of(&x, &state) == Snapshot::of(&twin, &twin_state), "{what}");
    }
    Ok(())
}

#[test]
fn a_tensor_has_the_same_bits() -> Result<(), Error> {
    start_pool();
    a_tensor::<f64>(&[140_001])?;
    a_tensor::<f64>(&[381, 383])?;
    a_tensor::<f32>(&[2, 5, 121, 119])?;
    a_tensor::<f32>(&[9])
}

fn model(max_norm: Option<MaxNorm>) -> Result<Model<f64>, Error> {
    let mut shapes: Vec<&[usize]> = MIXED.into_iter().cycle().take(1000).collect();
    shapes.insert(100, &[330, 140]);
    shapes.push(&[50_000]);
    let rules = rules::one_of_each_kind();
    let mut optimizer = Optimizer::new(rules[0].rule);
    optimizer.set_max_norm(max_norm)?;
    let groups: Vec<_> = rules.iter().map(|case| optimizer.add_group(case.rule)).collect();
    Ok(Model::in_groups(optimizer, &shapes, SEED, |_, i| groups[i % groups.len()]))
}

/// Steps all tensors in reverse order.
fn par_step(model: &mut Model<f64>) -> Result<Outcome, Error> {
    let Model { optimizer, tensors, .. } = model;
    let tensors = tensors.iter_mut().rev();
    let mut batch: Vec<_> =
        tensors.map(|tensor| tensor.slot.bind(&mut tensor.x, &tensor.g)).collect();
    optimizer.par_step(&mut batch)
}

#[test]
fn a_batch_has_the_same_bits() -> Result<(), Error> {
    start_pool();
    for max_norm in [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.5))] {
        let (mut serial, mut parallel) = (model(max_norm)?, model(max_norm)?);
        for seed in 0..3 {
            serial.draw_gradients(seed);
            parallel.draw_gradients(seed);
            assert_eq!(serial.step()?, Outcome::Applied);
            assert_eq!(par_step(&mut parallel)?, Outcome::Applied);
        }
        assert!(serial.bits() == parallel.bits(), "{max_norm:?}");
    }
    Ok(())
}

/// The parameter is registered in one memory order and stepped in another.
#[test]
fn a_parameter_may_change_its_memory_order() -> Result<(), Error> {
    start_pool();
    let (x, g) = (parameters(vec![400, 401], &mut rng(1)), gradients(vec![400, 401], &mut rng(2)));
    for (registered, stepped) in [(F, C), (C, F), (Permuted, Stepped)] {
        let mut steps = Vec::new();
        for parallel in [false, true] {
            let mut optimizer = Optimizer::new(Adamax::default());
            let slot = optimizer.register::<IxDyn>("x", &registered.arrange(&x))?;
            let (mut x, g): (ArrayD<f64>, _) = (stepped.arrange(&x), C.arrange(&g));
            for _ in 0..2 {
                let batch = &mut [slot.bind(&mut x, &g)];
                if parallel {
                    optimizer.par_step(batch)?
                } else {
                    optimizer.step(batch)?
                };
            }
            steps.push(Snapshot::of(&x, optimizer.state(slot).expect("own slot")));
        }
        assert!(steps[0] == steps[1], "{} then {}", registered.letter(), stepped.letter());
    }
    Ok(())
}

/// With several faults, the error is that of the first faulty tensor in the batch, whichever thread
/// finds one first.
#[test]
fn a_fault_is_reported_and_changes_nothing() -> Result<(), Error> {
    start_pool();
    for max_norm in [None, Some(MaxNorm::Global(0.5))] {
        let mut model = model(max_norm)?;
        model.draw_gradients(0);
        par_step(&mut model)?;
        let before = model.bits();
        let large: Vec<_> =
            (0..model.tensors.len()).filter(|&i| model.tensors[i].g.len() > 1000).collect();
        for &i in &large {
            *model.tensors[i].g.iter_mut().last().expect("elements") = f64::NAN;
        }
        for _ in 0..5 {
            let error = par_step(&mut model).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NonFinite);
            let last = *large.last().expect("two large tensors");
            assert_eq!(error.tensor(), Some(&*model.tensors[last].name));
            assert!(model.bits() == before);
        }
        for &i in &large {
            let rule = *model.optimizer.rule(model.groups[i]).expect("own group");
            let rule = rule.to_builder().non_finite(NonFinite::Skip).build()?;
            model.optimizer.set_rule(model.groups[i], rule)?;
        }
        assert_eq!(par_step(&mut model)?, Outcome::Skipped);
        assert!(model.bits() == before);
    }
    Ok(())
}

#[test]
fn several_callers_share_the_pool() {
    start_pool();
    let run = |step: fn(&Adamax, &mut State, &mut ArrayD<f64>, &ArrayD<f64>)| {
        let mut x = ArrayD::ones(vec![200_000]);
        let g = parameters(vec![200_000], &mut rng(SEED));
        let mut state = State::zeros_like(&x);
        for _ in 0..20 {
            step(&Adamax::default(), &mut state, &mut x, &g);
        }
        Snapshot::of(&x, &state)
    };
    let parallel = |rule: &Adamax, state: &mut State, x: &mut ArrayD<f64>, g: &ArrayD<f64>| {
        rule.par_step(state, x, g).expect("a valid step");
    };
    let expected = run(|rule, state, x, g| {
        rule.step(state, x, g).expect("a valid step");
    });
    std::thread::scope(|scope| {
        for caller in [(); 5].map(|()| scope.spawn(|| run(parallel))) {
            assert!(caller.join().expect("no panic") == expected);
        }
        // From inside the pool, a step is one task among others.
        rayon::scope(|tasks| {
            for _ in 0..5 {
                tasks.spawn(|_| assert!(run(parallel) == expected));
            }
        });
    });
}
