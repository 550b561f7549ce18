//! Parallel steps: they give the same bits as sequential steps, use the caller's pool, and change
//! all tensors or none.

#![cfg(feature = "rayon")]

mod common;

use adamax::{Adamax, Error, ErrorKind, MaxNorm, NonFinite, Optimizer, Outcome, State};
use common::{
    Bits, Float,
    Layout::{C, F, Permuted, Reversed, Stepped},
    Model, assert_same,
    bits::Snapshot,
    input::{gradients, parameters, rng},
    model::{MIXED, mixed_parameters},
    rules,
};
use ndarray::{ArrayD, IxDyn};
use rayon::{ThreadPool, ThreadPoolBuilder};

const THREADS: [usize; 4] = [1, 2, 3, 8];
const SEED: u64 = 4;

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}

// ---------------------------------------------------------------- one tensor

#[test]
fn a_tensor_on_any_number_of_threads() -> Result<(), Error> {
    fn same<A: Float>(pools: &[ThreadPool], shape: &[usize], rule: &Adamax) -> Result<(), Error> {
        let (x, g) = (parameters(shape, &mut rng(SEED)), gradients(shape, &mut rng(SEED + 1)));
        for (layout, other) in [(C, C), (F, C), (Permuted, Permuted), (Stepped, Reversed)] {
            let (start, g): (ArrayD<A>, ArrayD<A>) = (layout.arrange(&x), other.arrange(&g));
            let zeros = State::zeros_like(&start);
            let (mut x, mut state) = (start.clone(), zeros.clone());
            rule.step(&mut state, &mut x, &g)?;
            let expected = Snapshot::of(&x, &state);
            for pool in pools {
                let (mut x, mut state) = (start.clone(), zeros.clone());
                let outcome = pool.install(|| rule.par_step(&mut state, &mut x, &g))?;
                assert_eq!(outcome, Outcome::Applied);
                let what = format!("{shape:?} {}, {pool:?}", layout.letter());
                assert!(Snapshot::of(&x, &state) == expected, "{what}");
            }
        }
        Ok(())
    }
    let pools = THREADS.map(pool);
    let shapes: [&[usize]; 4] = [&[50_001], &[181, 183], &[2, 5, 61, 59], &[9]];
    for (shape, case) in shapes.iter().zip(rules::one_of_each_kind().iter().skip(1)) {
        same::<f64>(&pools, shape, &case.rule)?;
        same::<f32>(&pools, shape, &case.rule)?;
    }
    Ok(())
}

#[test]
fn a_tensor_is_refused_or_skipped_as_a_whole() -> Result<(), Error> {
    let pool = pool(3);
    for at in [0, 1, 17_000, 39_999] {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut g = ArrayD::from_elem(IxDyn(&[40, 1000]), 0.5);
            g[[at / 1000, at % 1000]] = bad;
            let mut x = ArrayD::from_elem(g.shape(), 1.0);
            let mut state = State::zeros_like(&x);
            let before = Snapshot::of(&x, &state);
            let rule = Adamax::default();
            let error = pool.install(|| rule.par_step(&mut state, &mut x, &g)).unwrap_err();
            let message = format!("gradient is {bad} at index [{}, {}]", at / 1000, at % 1000);
            assert_eq!(error.to_string(), message);
            assert!(Snapshot::of(&x, &state) == before);
            let rule = rule.to_builder().non_finite(NonFinite::Skip).build()?;
            let outcome = pool.install(|| rule.par_step(&mut state, &mut x, &g))?;
            assert_eq!(outcome, Outcome::Skipped);
            assert!(Snapshot::of(&x, &state) == before);
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- a batch

/// The fewest elements that are stepped on threads without optimisation, as the crate has it.
const ENOUGH: usize = 32_768;

/// Returns lists of shapes, each with more than [`ENOUGH`] elements in total.
fn shapes() -> Vec<(&'static str, Vec<&'static [usize]>)> {
    let many_small: Vec<_> = MIXED.into_iter().cycle().take(3000).collect();
    let few_large: Vec<&[usize]> = vec![&[20_000], &[151, 149], &[3, 7, 31, 33]];
    let mut mixed: Vec<_> = MIXED.into_iter().cycle().take(300).collect();
    mixed.insert(101, &[130, 140]);
    mixed.push(&[20_000]);
    vec![("many small", many_small), ("few large", few_large), ("mixed", mixed)]
}

fn model<A: Float>(shapes: &[&[usize]], max_norm: Option<MaxNorm>) -> Result<Model<A>, Error> {
    let rules = rules::one_of_each_kind();
    let mut optimizer = Optimizer::new(rules[0].rule);
    optimizer.set_max_norm(max_norm)?;
    let groups: Vec<_> = rules.iter().map(|case| optimizer.add_group(case.rule)).collect();
    Ok(Model::in_groups(optimizer, shapes, SEED, |_, i| groups[i / 3 % groups.len()]))
}

/// Steps the tensors from number `first` on, in an order that differs from that of the slots.
fn par_step<A: Float>(model: &mut Model<A>, first: usize) -> Result<Outcome, Error> {
    let Model { optimizer, tensors, .. } = model;
    let tensors = tensors.iter_mut().skip(first);
    let mut batch: Vec<_> =
        tensors.map(|tensor| tensor.slot.bind(&mut tensor.x, &tensor.g)).collect();
    let middle = batch.len() / 3;
    batch.rotate_left(middle);
    batch.reverse();
    optimizer.par_step(&mut batch)
}

type Step<A> = fn(&mut Model<A>) -> Result<Outcome, Error>;

fn par_step_with_report<A: Float>(model: &mut Model<A>) -> Result<Outcome, Error> {
    let Model { optimizer, tensors, .. } = model;
    let tensors = tensors.iter_mut().rev();
    let mut batch: Vec<_> =
        tensors.map(|tensor| tensor.slot.bind(&mut tensor.x, &tensor.g)).collect();
    Ok(optimizer.par_step_with_report(&mut batch)?.outcome())
}

#[test]
fn a_batch_on_any_number_of_threads() -> Result<(), Error> {
    fn same<A: Float>(pools: &[ThreadPool], max_norm: Option<MaxNorm>) -> Result<(), Error> {
        for (what, shapes) in shapes() {
            let mut model = model::<A>(&shapes, max_norm)?;
            model.draw_gradients(0);
            let start = model.optimizer.snapshot();
            let xs: Vec<_> = model.tensors.iter().map(|tensor| tensor.x.clone()).collect();
            model.step()?;
            model.step_in_order(&(1..shapes.len()).collect::<Vec<_>>())?;
            let expected = model.bits();
            for pool in pools {
                model.optimizer.restore(&start)?;
                for (tensor, x) in model.tensors.iter_mut().zip(&xs) {
                    tensor.x.assign(x);
                }
                // The first tensor is left out of the second step.
                for first in [0, 1] {
                    let outcome = pool.install(|| par_step(&mut model, first))?;
                    assert_eq!(outcome, Outcome::Applied);
                }
                assert!(model.bits() == expected, "{what}, {pool:?}, {max_norm:?}");
            }
        }
        Ok(())
    }
    let pools = THREADS.map(pool);
    same::<f64>(&pools, None)?;
    same::<f64>(&pools, Some(MaxNorm::Global(0.5)))?;
    same::<f32>(&pools, Some(MaxNorm::PerTensor(0.5)))
}

/// `par_step` may reorder the batch. The order must not change later steps.
#[test]
fn a_batch_can_be_stepped_again() -> Result<(), Error> {
    let (_, shapes) = shapes().swap_remove(2);
    let mut model = model::<f64>(&shapes, Some(MaxNorm::Global(0.5)))?;
    model.draw_gradients(0);
    let mut twin = model.optimizer.snapshot();
    let starts: Vec<_> = model.tensors.iter().map(|tensor| tensor.x.clone()).collect();
    let mut run = |parallel: bool| -> Result<_, Error> {
        let Model { optimizer, tensors, .. } = &mut model;
        optimizer.restore(&twin)?;
        let mut xs = starts.clone();
        let mut batch: Vec<_> =
            tensors.iter().zip(&mut xs).rev().map(|(t, x)| t.slot.bind(x, &t.g)).collect();
        for _ in 0..3 {
            if parallel {
                pool(3).install(|| optimizer.par_step(&mut batch))?;
            } else {
                optimizer.step(&mut batch)?;
            }
        }
        drop(batch);
        Ok((xs.iter().map(|x| x.bits()).collect::<Vec<_>>(), optimizer.snapshot()))
    };
    assert!(run(true)? == run(false)?);
    twin = model.optimizer.snapshot();
    assert_eq!(twin.state("tensor 0").map(State::steps), Some(3));
    Ok(())
}

/// Removes every fifth tensor and registers half of them again. Then some places are free, and the order
/// of places is not that of registration.
fn operate<A: Float>(model: &mut Model<A>) -> Result<(), Error> {
    let Model { optimizer, tensors, .. } = model;
    let mut again = false;
    for i in (0..tensors.len()).step_by(5).rev() {
        let mut tensor = tensors.swap_remove(i);
        optimizer.remove(tensor.slot)?;
        if again {
            tensor.slot = optimizer.register(&tensor.name, &tensor.x)?;
            tensors.push(tensor);
        }
        again = !again;
    }
    Ok(())
}

/// Two halves of a batch borrow halves of the list of places, whatever is in it.
#[test]
fn free_places_on_any_number_of_threads() -> Result<(), Error> {
    fn same<A: Float>(pools: &[ThreadPool], max_norm: Option<MaxNorm>) -> Result<(), Error> {
        for (what, shapes) in shapes() {
            let mut model = model::<A>(&shapes, max_norm)?;
            model.run(0..1)?;
            operate(&mut model)?;
            model.draw_gradients(1);
            let elements: usize = model.tensors.iter().map(|tensor| tensor.x.len()).sum();
            assert!(elements > ENOUGH, "{what} is stepped on threads");
            let start = model.optimizer.snapshot();
            let xs: Vec<_> = model.tensors.iter().map(|tensor| tensor.x.clone()).collect();
            model.step()?;
            let expected = model.bits();
            for pool in pools {
                let mut assert_same = |step: Step<A>, path| -> Result<(), Error> {
                    model.optimizer.restore(&start)?;
                    for (tensor, x) in model.tensors.iter_mut().zip(&xs) {
                        tensor.x.assign(x);
                    }
                    assert_eq!(pool.install(|| step(&mut model))?, Outcome::Applied);
                    assert!(model.bits() == expected, "{path}, {what}, {pool:?}, {max_norm:?}");
                    Ok(())
                };
                assert_same(|model| par_step(model, 0), "par_step")?;
                assert_same(par_step_with_report, "par_step_with_report")?;
            }
        }
        Ok(())
    }
    let pools = [2, 3].map(pool);
    same::<f64>(&pools, Some(MaxNorm::Global(0.5)))?;
    same::<f32>(&pools, None)
}

#[test]
fn a_fault_changes_nothing_on_threads_either() -> Result<(), Error> {
    let (pool, clips) =
        (pool(3), [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.5))]);
    for ((what, shapes), max_norm) in shapes().into_iter().zip(clips) {
        let mut model = model::<f32>(&shapes, max_norm)?;
        model.run(0..1)?;
        let before = model.bits();
        let last = shapes.iter().rposition(|shape| !shape.contains(&0)).expect("elements");
        let good = model.tensors[last].g.clone();

        *model.tensors[last].g.iter_mut().last().expect("an element") = f32::NAN;
        let error = pool.install(|| par_step(&mut model, 0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NonFinite);
        assert_eq!(error.tensor(), Some(&*model.tensors[last].name));
        assert!(model.bits() == before, "NaN, {what}");

        let group = model.groups[last];
        let rule = *model.optimizer.rule(group).expect("own group");
        let skipping = rule.to_builder().non_finite(NonFinite::Skip).build()?;
        model.optimizer.set_rule(group, skipping)?;
        assert_eq!(pool.install(|| par_step(&mut model, 0))?, Outcome::Skipped);
        assert!(model.bits() == before, "skipped, {what}");
        model.optimizer.set_rule(group, rule)?;

        model.tensors[last].g = ArrayD::zeros(IxDyn(&[1, 2, 3]));
        let error = pool.install(|| par_step(&mut model, 0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
        assert!(model.bits() == before, "shape, {what}");

        model.tensors[last].g = good;
        assert_eq!(pool.install(|| par_step(&mut model, 0))?, Outcome::Applied);
    }
    Ok(())
}

/// Computes norms of tensors that are split between threads, also into parts of different sizes.
#[test]
fn norms_on_any_number_of_threads() -> Result<(), Error> {
    let shapes: [&[usize]; 3] = [&[40_001], &[130, 137], &[33, 5]];
    let start = mixed_parameters::<f64>(&shapes, SEED, 0);
    let mut expected = None;
    for threads in [None, Some(1), Some(2), Some(3), Some(8)] {
        let mut optimizer = Optimizer::new(Adamax::builder().beta1(0.0).build()?);
        optimizer.set_max_norm(Some(MaxNorm::Global(1e-3)))?;
        let mut xs = start.clone();
        let gs = mixed_parameters::<f64>(&shapes, SEED + 1, 2);
        let mut batch = Vec::new();
        for ((x, g), name) in xs.iter_mut().zip(&gs).zip(["a", "b", "c"]) {
            batch.push(optimizer.register(name, x)?.bind(x, g));
        }
        match threads {
            None => optimizer.step(&mut batch)?,
            Some(threads) => pool(threads).install(|| optimizer.par_step(&mut batch))?,
        };
        let snapshot = optimizer.snapshot();
        let moments: Vec<f64> = ["a", "b", "c"]
            .iter()
            .flat_map(|name| {
                snapshot.state(name).unwrap().first_moment().iter().copied().collect::<Vec<_>>()
            })
            .collect();
        let expected = expected.get_or_insert_with(|| moments.clone());
        assert_same(format_args!("{threads:?} threads"), &moments, &*expected);
    }
    Ok(())
}

// ---------------------------------------------------------------- thread pools

/// A step inside `install` does not start rayon's global pool, so the pool can still be built
/// afterwards. This works because every test of this file steps in its own pool.
#[test]
fn the_callers_pool_is_enough() -> Result<(), Error> {
    let (_, shapes) = shapes().swap_remove(1);
    let mut model = model::<f64>(&shapes, Some(MaxNorm::Global(0.5)))?;
    model.draw_gradients(0);
    let (mut x, g) = (ArrayD::<f64>::zeros(IxDyn(&[50_000])), ArrayD::ones(IxDyn(&[50_000])));
    let mut state = State::zeros_like(&x);
    pool(2).install(|| -> Result<(), Error> {
        par_step(&mut model, 0)?;
        Adamax::default().par_step(&mut state, &mut x, &g)?;
        Ok(())
    })?;
    // Too little work for threads: it does not ask for a pool.
    let (mut x, g) = (ArrayD::<f64>::zeros(IxDyn(&[20_000])), ArrayD::ones(IxDyn(&[20_000])));
    let mut state = State::zeros_like(&x);
    Adamax::default().par_step(&mut state, &mut x, &g)?;
    _ = Adamax::default().par_step_with_report(&mut state, &mut x, &g)?;
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("x", &x)?;
    optimizer.par_step(&mut [slot.bind(&mut x, &g)])?;
    assert!(ThreadPoolBuilder::new().num_threads(1).build_global().is_ok(), "already built");
    Ok(())
}

/// Views that repeat one element can be larger in all than a number holds. They are refused as in a
/// sequential step, not added up.
#[test]
fn gradients_of_any_size_are_refused() -> Result<(), Error> {
    let zero = ndarray::arr0(0.0);
    let huge = zero.broadcast((1 << 31, 1 << 31)).expect("a view needs no memory");
    let mut optimizer = Optimizer::new(Adamax::default());
    let mut tensors = vec![ndarray::Array2::<f64>::zeros((2, 2)); 5];
    let mut slots = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        slots.push(optimizer.register(&index.to_string(), tensor)?);
    }
    let mut batch: Vec<_> =
        slots.iter().zip(&mut tensors).map(|(slot, x)| slot.bind(x, &huge)).collect();
    // In a pool of its own: another test needs that nobody has made the global one.
    pool(2).install(|| {
        assert_eq!(optimizer.par_step(&mut batch).unwrap_err().kind(), adamax::ErrorKind::Shape);
        assert!(optimizer.par_step_with_report(&mut batch).is_err());
        assert!(optimizer.par_check(&mut batch).is_err());
    });
    Ok(())
}
