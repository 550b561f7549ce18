//! Tensors that are removed, moved to another group, given another state, or forgotten in a batch.

use crate::common::{
    Bits, Float, Layout,
    bits::Snapshot as Numbers,
    input::{gradients, parameters, rng},
    layout::LAYOUTS,
};
use adamax::{
    Adamax, Bound, Error, ErrorKind, Group, Optimizer, Outcome, Slot, Snapshot, State, WeightDecay,
};
use ndarray::{Array1, Array2, ArrayD, Ix0, Ix1, Ix2, Ix3, IxDyn, array};
use ndarray_rand::rand::{Rng, rngs::StdRng, seq::SliceRandom};
use std::collections::BTreeMap;

const SEED: u64 = 14;

const REFUSED: &str = "slot belongs to another optimizer, or its tensor was removed";

// ---------------------------------------------------------------- a naive model

/// A tensor by itself.
struct Alone<A> {
    slot: Slot<IxDyn>,
    group: usize,
    x: ArrayD<A>,
    state: State<A>,
    /// The number of its registration.
    age: usize,
}

/// Groups and states by name: what a snapshot should hold.
type Saved<A> = BTreeMap<String, (usize, State<A>)>;

/// An optimizer, and the same tensors by themselves in a map.
struct Pair<A> {
    optimizer: Optimizer<A>,
    groups: Vec<Group>,
    rules: Vec<Adamax>,
    alone: BTreeMap<String, Alone<A>>,
    registered: usize,
    /// Slots of tensors that were removed, with the shapes of the tensors.
    stale: Vec<(Slot<IxDyn>, Vec<usize>)>,
    saved: Option<(Snapshot<A>, Saved<A>)>,
    rng: StdRng,
}

const SHAPES: [&[usize]; 6] = [&[], &[3], &[2, 3], &[3, 2], &[0, 4], &[2, 1, 2, 1, 2]];
/// So few names that one comes again and again.
const NAMES: [&str; 9] = ["", "a", "b", "c", "layers.0.bias", "layers.1.bias", "β", "y", "z"];

impl<A: Float> Pair<A> {
    fn new(seed: u64) -> Result<Self, Error> {
        let rules = vec![
            Adamax::default(),
            Adamax::builder().learning_rate(0.1).weight_decay(WeightDecay::L2(0.01)).build()?,
            Adamax::builder().learning_rate(0.0).build()?,
        ];
        let mut optimizer = Optimizer::new(rules[0]);
        let mut groups = vec![optimizer.default_group()];
        groups.extend(rules.iter().skip(1).map(|&rule| optimizer.add_group(rule)));
        Ok(Pair {
            optimizer,
            groups,
            rules,
            alone: BTreeMap::new(),
            registered: 0,
            stale: Vec::new(),
            saved: None,
            rng: rng(seed),
        })
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.random_range(0..choices.len())]
    }

    /// Returns one of the registered tensors, if there is any.
    fn any_name(&mut self) -> Option<String> {
        let place = self.rng.random_range(0..self.alone.len().max(1));
        self.alone.keys().nth(place).cloned()
    }

    fn register(&mut self) -> Result<(), Error> {
        let (name, group) = (self.one_of(&NAMES), self.rng.random_range(0..self.groups.len()));
        let (shape, layout) = (self.one_of(&SHAPES), self.one_of(&LAYOUTS));
        let x = layout.arrange(&parameters(shape, &mut self.rng));
        let result = self.optimizer.register_in(self.groups[group], name, &x);
        if self.alone.contains_key(name) {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Name);
            return Ok(());
        }
        let (slot, state, age) = (result?, State::zeros_like(&x), self.registered);
        self.alone.insert(name.into(), Alone { slot, group, x, state, age });
        self.registered += 1;
        Ok(())
    }

    fn remove(&mut self) -> Result<(), Error> {
        let Some(name) = self.any_name() else { return Ok(()) };
        let alone = self.alone.remove(&name).expect("a name of the map");
        let state = self.optimizer.remove(alone.slot)?;
        assert_eq!(Numbers::of(&alone.x, &state), Numbers::of(&alone.x, &alone.state), "{name}");
        self.stale.push((alone.slot, alone.x.shape().to_vec()));
        Ok(())
    }

    fn move_to(&mut self) -> Result<(), Error> {
        let Some(name) = self.any_name() else { return Ok(()) };
        let group = self.rng.random_range(0..self.groups.len());
        let alone = self.alone.get_mut(&name).expect("a name of the map");
        alone.group = group;
        self.optimizer.move_to(alone.slot, self.groups[group])
    }

    fn set_state(&mut self) -> Result<(), Error> {
        let Some(name) = self.any_name() else { return Ok(()) };
        let (right, layout) = (self.rng.random_bool(0.7), self.one_of(&LAYOUTS));
        let other_shape = self.one_of(&SHAPES);
        let alone = self.alone.get_mut(&name).expect("a name of the map");
        let shape = if right { alone.x.shape().to_vec() } else { other_shape.to_vec() };
        let mut x = layout.arrange(&parameters(&*shape, &mut self.rng));
        let mut state = State::zeros_like(&x);
        for _ in 0..self.rng.random_range(0..3) {
            let g: ArrayD<A> = gradients(&*shape, &mut self.rng);
            Adamax::default().step(&mut state, &mut x, &g)?;
        }
        let result = self.optimizer.set_state(alone.slot, &state);
        if alone.x.shape() == shape {
            result?;
            alone.state = state;
        } else {
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.tensor()), (ErrorKind::Shape, Some(&*name)));
        }
        Ok(())
    }

    /// Steps some or all tensors in any order.
    fn step(&mut self) -> Result<(), Error> {
        let share = self.one_of(&[0.5, 1.0]);
        let mut with_gradients = Vec::new();
        for alone in self.alone.values_mut() {
            if self.rng.random_bool(share) {
                let g: ArrayD<A> = gradients(alone.x.raw_dim(), &mut self.rng);
                let before = alone.x.clone();
                self.rules[alone.group].step(&mut alone.state, &mut alone.x, &g)?;
                with_gradients.push((alone.slot, before, g, &alone.x));
            }
        }
        with_gradients.shuffle(&mut self.rng);
        let complete = with_gradients.len() == self.optimizer.tensors().count();
        let (mut batch, mut after) = (Vec::new(), Vec::new());
        for (slot, x, g, expected) in &mut with_gradients {
            after.push(*expected);
            batch.push(slot.bind(x, g));
        }
        assert_eq!(self.optimizer.check_complete(&batch).is_ok(), complete);
        let outcome = if complete {
            self.optimizer.step_all(&mut batch)?
        } else {
            self.optimizer.step(&mut batch)?
        };
        assert_eq!(outcome, Outcome::Applied);
        for (_, x, _, expected) in &with_gradients {
            assert_eq!(x.bits(), expected.bits());
        }
        Ok(())
    }

    fn snapshot(&mut self) {
        let expected = self
            .alone
            .iter()
            .map(|(name, alone)| (name.clone(), (alone.group, alone.state.clone())));
        let expected: Saved<A> = expected.collect();
        let snapshot = self.optimizer.snapshot();
        assert!(snapshot.names().eq(expected.keys()));
        for (name, (_, state)) in &expected {
            assert_eq!(snapshot.state(name), Some(state));
        }
        self.saved = Some((snapshot, expected));
    }

    fn restore(&mut self) {
        let Some((snapshot, expected)) = &self.saved else { return };
        let fits = |name: &String, alone: &Alone<A>| {
            expected.get(name).is_none_or(|(group, state)| {
                *group == alone.group && state.inf_norm().shape() == alone.x.shape()
            })
        };
        let all_fit = self.alone.iter().all(|(name, alone)| fits(name, alone));
        let same_names = self.alone.keys().eq(expected.keys());
        assert_eq!(self.optimizer.restore(snapshot).is_ok(), all_fit && same_names);
        let matched = self.optimizer.restore_matching(snapshot);
        assert_eq!(matched.is_ok(), all_fit);
        let Ok(unmatched) = matched else { return };

        let mut missing: Vec<_> =
            self.alone.iter().filter(|(name, _)| !expected.contains_key(*name)).collect();
        missing.sort_by_key(|(_, alone)| alone.age);
        assert!(unmatched.missing().iter().eq(missing.iter().map(|(name, _)| *name)));
        let unexpected = expected.keys().filter(|name| !self.alone.contains_key(*name));
        assert!(unmatched.unexpected().iter().eq(unexpected));
        for (name, (_, state)) in expected {
            if let Some(alone) = self.alone.get_mut(name) {
                alone.state = state.clone();
            }
        }
    }

    fn assert_equal(&self) {
        let mut in_order: Vec<_> = self.alone.iter().collect();
        in_order.sort_by_key(|(_, alone)| alone.age);
        let found: Vec<_> = self.optimizer.tensors().collect();
        assert_eq!(found.len(), in_order.len());
        for ((name, group, state), (expected, alone)) in found.into_iter().zip(in_order) {
            assert_eq!((name, group), (&**expected, self.groups[alone.group]));
            let bits = Numbers::of(&alone.x, &alone.state);
            assert_eq!(Numbers::of(&alone.x, state), bits, "{name}");
            assert_eq!(
                state.inf_norm().strides(),
                State::zeros_like(&alone.x).inf_norm().strides()
            );
            assert_eq!(self.optimizer.slot(name), Some(alone.slot));
            assert_eq!(self.optimizer.group(alone.slot), Some(group));
            assert_eq!(self.optimizer.state(alone.slot).map(State::steps), Some(state.steps()));
        }
    }
}

/// Everything by chance: what the optimizer holds is always what the map holds.
#[test]
fn an_optimizer_equals_a_map_of_tensors() -> Result<(), Error> {
    fn equals<A: Float>(seed: u64) -> Result<(), Error> {
        let mut pair = Pair::<A>::new(seed)?;
        for _ in 0..400 {
            match pair.rng.random_range(0..20) {
                0..5 => pair.register()?,
                5..8 => pair.remove()?,
                8..10 => pair.move_to()?,
                10..12 => pair.set_state()?,
                12..17 => pair.step()?,
                17 => pair.snapshot(),
                _ => pair.restore(),
            }
            pair.assert_equal();
        }
        assert!(pair.stale.len() > 30, "{} tensors were removed", pair.stale.len());
        let Pair { mut optimizer, stale, .. } = pair;
        for (slot, shape) in stale {
            assert_refused(&mut optimizer, slot, &ArrayD::zeros(shape));
        }
        Ok(())
    }
    for seed in SEED..SEED + 5 {
        equals::<f64>(seed)?;
        equals::<f32>(seed)?;
    }
    Ok(())
}

// ---------------------------------------------------------------- slots that are refused

type Step<A> = fn(&mut Optimizer<A>, &mut [Bound<'_, A>]) -> Result<(), Error>;

/// Asserts that each method refuses a slot, and that nothing changes.
#[track_caller]
fn assert_refused<A: Float>(optimizer: &mut Optimizer<A>, slot: Slot<IxDyn>, like: &ArrayD<A>) {
    let before = optimizer.snapshot();
    let (mut x, g) = (like.clone(), ArrayD::from_elem(like.raw_dim(), A::of(0.5)));
    assert_eq!((optimizer.state(slot), optimizer.group(slot)), (None, None));
    assert_eq!(optimizer.report(slot), None);

    let group = optimizer.default_group();
    let single: [Result<(), Error>; 3] = [
        optimizer.set_state(slot, &State::zeros_like(like)),
        optimizer.move_to(slot, group),
        optimizer.remove(slot).map(drop),
    ];
    for error in single.map(Result::unwrap_err) {
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Foreign, REFUSED.into()));
    }

    let steps: [Step<A>; 5] = [
        |optimizer, batch| optimizer.step(batch).map(drop),
        |optimizer, batch| optimizer.step_all(batch).map(drop),
        |optimizer, batch| optimizer.step_with_report(batch).map(drop),
        |optimizer, batch| optimizer.check(batch).map(drop),
        |optimizer, batch| optimizer.check_complete(batch),
    ];
    for step in steps {
        let error = step(optimizer, &mut [slot.bind(&mut x, &g)]).unwrap_err();
        let message = "slot at index 0 of the batch belongs to another optimizer, \
                       or its tensor was removed";
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Foreign, message.into()));
        assert_eq!(error.tensor(), None);
    }
    assert_eq!(x.bits(), like.bits());
    assert_eq!(optimizer.snapshot(), before);
}

/// Also at the place, under the name and with the shape of the tensor that was removed.
#[test]
fn a_slot_of_a_removed_tensor_is_refused_for_ever() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let x = ArrayD::<f64>::ones(vec![2, 3]);
    let first = optimizer.register("x", &x)?;
    let kept = optimizer.register("kept", &x)?;
    optimizer.remove(first)?;
    assert_refused(&mut optimizer, first, &x);
    let second = optimizer.register("x", &x)?;
    assert_refused(&mut optimizer, first, &x);
    assert_ne!(first, second);
    assert_eq!(optimizer.slot("x"), Some(second));
    optimizer.remove(second)?;
    optimizer.remove(kept)?;
    for slot in [first, second, kept] {
        assert_refused(&mut optimizer, slot, &x);
    }
    assert_eq!(optimizer.tensors().count(), 0);
    Ok(())
}

#[test]
fn slots_and_groups_of_another_optimizer_are_refused() -> Result<(), Error> {
    let mut mine = Optimizer::new(Adamax::default());
    let mut other = Optimizer::new(Adamax::default());
    let x = ArrayD::<f32>::ones(vec![4]);
    let slot = mine.register("x", &x)?;
    let foreign = other.register("x", &x)?;
    assert_refused(&mut mine, foreign, &x);
    assert_refused(&mut other, slot, &x);

    let error = mine.move_to(slot, other.default_group()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Foreign);
    assert_eq!(error.to_string(), "group belongs to another optimizer");
    assert_eq!(mine.group(slot), Some(mine.default_group()));
    Ok(())
}

// ---------------------------------------------------------------- one change

type Stepped<A> = (Optimizer<A>, Slot<IxDyn>, ArrayD<A>);

/// One of two tensors with different states, after steps with a report.
fn stepped<A: Float>(layout: Layout) -> Result<Stepped<A>, Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let mut x = layout.arrange(&parameters(IxDyn(&[3, 4, 5]), &mut rng(SEED)));
    let g: ArrayD<A> = gradients(IxDyn(&[3, 4, 5]), &mut rng(SEED + 1));
    let mut y = array![A::of(1.0)];
    let slot = optimizer.register("x", &x)?;
    let other = optimizer.register("y", &y)?;
    for _ in 0..3 {
        optimizer.step_with_report(&mut [
            slot.bind(&mut x, &g),
            other.bind(&mut y, &array![A::of(0.5)]),
        ])?;
    }
    Ok((optimizer, slot, x))
}

/// Steps are fast only if moments have the memory order of the parameter.
#[test]
fn a_state_gets_the_registered_memory_order() -> Result<(), Error> {
    let orders = [Layout::C, Layout::F, Layout::Permuted, Layout::Reversed];
    for registered in orders {
        for given in orders {
            let (mut optimizer, slot, x) = stepped::<f64>(registered)?;
            let (source, source_slot, _) = stepped::<f64>(given)?;
            let state = source.state(source_slot).expect("own slot");
            optimizer.set_state(slot, &State::zeros_like(&x))?;
            assert_eq!(optimizer.state(slot), Some(&State::zeros_like(&x)));
            optimizer.set_state(slot, state)?;
            let found = optimizer.state(slot).expect("own slot");
            assert_eq!(Numbers::of(&x, found), Numbers::of(&x, state));
            assert_eq!(found.inf_norm().strides(), x.strides(), "{registered:?}, {given:?}");
        }
    }
    Ok(())
}

/// A report is of a state that was stepped. Other tensors keep theirs.
#[test]
fn another_state_has_no_report() -> Result<(), Error> {
    let (mut optimizer, slot, x) = stepped::<f64>(Layout::C)?;
    let other: Slot<Ix1> = optimizer.slot("y").expect("registered");
    let before = optimizer.report(slot);
    assert!(before.is_some());
    let second = optimizer.add_group(Adamax::default());
    optimizer.move_to(slot, second)?;
    assert_eq!(optimizer.report(slot), before, "the same state in another group");

    let wrong = State::zeros_like(&Array1::<f64>::zeros(60));
    let error = optimizer.set_state(slot, &wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(
        error.to_string(),
        "tensor `x`: state has shape [60], but the registered shape is [3, 4, 5]"
    );
    assert_eq!(optimizer.report(slot), before, "an error changes nothing");
    assert_eq!(optimizer.state(slot).map(State::steps), Some(3));

    optimizer.set_state(slot, &State::zeros_like(&x))?;
    assert_eq!(optimizer.report(slot), None);
    assert!(optimizer.report(other).is_some());

    // A new tensor at the place of an old one.
    optimizer.remove(other)?;
    let new = optimizer.register("y", &array![1.0])?;
    assert_eq!(optimizer.report(new), None);
    Ok(())
}

/// A reset tensor steps as a new one, also where the coefficients of its group are those of a late step.
#[test]
fn a_reset_tensor_starts_anew() -> Result<(), Error> {
    let (mut optimizer, slot, x) = stepped::<f32>(Layout::F)?;
    optimizer.set_state(slot, &State::zeros_like(&x))?;
    let (mut stepped, g) = (x.clone(), x.mapv(|x| 0.5 * x));
    optimizer.step(&mut [slot.bind(&mut stepped, &g)])?;
    let (mut alone, mut state) = (x.clone(), State::zeros_like(&x));
    Adamax::default().step(&mut state, &mut alone, &g)?;
    let found = optimizer.state(slot).expect("own slot");
    assert_eq!(Numbers::of(&stepped, found), Numbers::of(&alone, &state));
    Ok(())
}

/// Renaming is removing and registering.
#[test]
fn a_tensor_can_get_another_name() -> Result<(), Error> {
    let (mut optimizer, slot, x) = stepped::<f64>(Layout::Reversed)?;
    let mut expected = optimizer.state(slot).expect("own slot").clone();
    let state = optimizer.remove(slot)?;
    let renamed = optimizer.register("renamed", &x)?;
    optimizer.set_state(renamed, &state)?;

    let (mut stepped, mut alone, g) = (x.clone(), x.clone(), x.mapv(|x| x * 0.25));
    optimizer.step(&mut [renamed.bind(&mut stepped, &g)])?;
    Adamax::default().step(&mut expected, &mut alone, &g)?;
    let found = optimizer.state(renamed).expect("own slot");
    assert_eq!(Numbers::of(&stepped, found), Numbers::of(&alone, &expected));
    assert_eq!(optimizer.snapshot().names().collect::<Vec<_>>(), ["renamed", "y"]);
    Ok(())
}

// ---------------------------------------------------------------- by name

#[test]
fn a_slot_is_found_by_name_and_number_of_axes() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    let number = optimizer.register("number", &ndarray::arr0(1.0))?;
    let matrix = optimizer.register("matrix", &Array2::zeros((2, 3)))?;
    let of_any_dimension = optimizer.register("any", &ArrayD::zeros(vec![2, 3]))?;
    assert_eq!(optimizer.slot::<Ix0>("number"), Some(number));
    assert_eq!(optimizer.slot::<Ix2>("matrix"), Some(matrix));
    assert_eq!(optimizer.slot::<IxDyn>("any"), Some(of_any_dimension));
    // A dimension may become static, or dynamic.
    assert!(optimizer.slot::<Ix2>("any").is_some());
    assert!(optimizer.slot::<IxDyn>("number").is_some());
    for name in ["number", "matrix", "any"] {
        assert_eq!(optimizer.slot::<Ix1>(name), None);
        assert_eq!(optimizer.slot::<Ix3>(name), None);
    }
    assert_eq!(optimizer.slot::<IxDyn>("Matrix"), None);
    assert_eq!(optimizer.slot::<Ix0>("matrix"), None);
    Ok(())
}

/// Printed in the order of registration, which is not that of places.
#[test]
fn the_table_has_the_tensors_that_are_left() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let second = optimizer.add_group(Adamax::default());
    let x = Array1::<f64>::zeros(2);
    let a = optimizer.register("a", &x)?;
    let b = optimizer.register("b", &x)?;
    optimizer.register("c", &x)?;
    optimizer.remove(a)?;
    optimizer.register("d", &array![[1.0]])?;
    optimizer.move_to(b, second)?;
    let table = "\
tensor     shape   parameters  group  steps
b          [2]              2      1      0
c          [2]              2      0      0
d          [1, 1]           1      0      0
3 tensors                   5
";
    assert_eq!(optimizer.to_string(), table);
    let debug = format!("{optimizer:?}");
    let places: Vec<_> = ["b", "c", "d"].map(|name| debug.find(&format!("\"{name}\""))).into();
    assert!(places.is_sorted() && places[0].is_some(), "{debug}");
    assert!(!debug.contains("\"a\"") && !debug.contains("\"\""), "{debug}");
    Ok(())
}

// ---------------------------------------------------------------- batches of all tensors

#[test]
fn a_forgotten_tensor_is_named() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let mut xs = vec![array![1.0]; 9];
    let g = array![0.5];
    let slots: Vec<_> = (0..9)
        .map(|i| optimizer.register(&format!("layers.{i}"), &xs[i]))
        .collect::<Result<_, _>>()?;
    // Registered last, at the place of the first.
    optimizer.remove(slots[0])?;
    let last = optimizer.register("last", &xs[0])?;

    let mut message = |bound: &[usize]| {
        let mut batch: Vec<_> = xs
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| bound.contains(i))
            .map(|(i, x)| if i == 0 { last.bind(x, &g) } else { slots[i].bind(x, &g) })
            .collect();
        let complete = optimizer.check_complete(&batch).unwrap_err();
        let error = optimizer.step_all(&mut batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert_eq!(error.to_string(), complete.to_string());
        assert!(optimizer.tensors().all(|(.., state)| state.steps() == 0));
        (error.tensor().map(String::from), error.to_string())
    };
    let (named, text) = message(&[0, 1, 2, 4, 5, 6, 7, 8]);
    assert_eq!(named.as_deref(), Some("layers.3"));
    assert_eq!(text, "tensor `layers.3`: registered, but not in the batch");
    let (_, text) = message(&[1, 2, 3, 4, 5, 7, 8]);
    let expected = "tensor `layers.6`: registered, but not in the batch; also missing: `last`";
    assert_eq!(text, expected);
    let (_, text) = message(&[]);
    assert_eq!(
        text,
        "tensor `layers.1`: registered, but not in the batch; also missing: `layers.2`, \
         `layers.3`, `layers.4`, `layers.5`, `layers.6`, and 3 more"
    );
    assert!(xs.iter().all(|x| x == array![1.0]));

    let mut batch: Vec<_> = xs.iter_mut().zip(&slots).skip(1).map(|(x, s)| s.bind(x, &g)).collect();
    let mut x = array![1.0];
    batch.push(last.bind(&mut x, &g));
    assert_eq!(optimizer.step_all(&mut batch)?, Outcome::Applied);
    assert!(optimizer.tensors().all(|(.., state)| state.steps() == 1));
    // An optimizer without tensors has no batch but the empty one.
    assert_eq!(Optimizer::<f64>::new(Adamax::default()).step_all(&mut [])?, Outcome::Applied);
    Ok(())
}

/// A batch with as many members as there are tensors need not hold all of them.
#[test]
fn a_repeated_tensor_does_not_stand_for_another() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let (mut x, mut y, g) = (array![1.0], array![1.0], array![0.5]);
    let slot = optimizer.register("x", &x)?;
    optimizer.register("y", &y)?;
    let batch = &mut [slot.bind(&mut x, &g), slot.bind(&mut y, &g)];
    for error in [optimizer.check_complete(batch), optimizer.step_all(batch).map(drop)] {
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.tensor()), (ErrorKind::Repeated, Some("x")));
    }
    assert_eq!((x, y), (array![1.0], array![1.0]));
    Ok(())
}

/// The other errors are those of a step.
#[test]
fn a_step_of_all_is_a_step() -> Result<(), Error> {
    let (mut optimizer, slot, x) = stepped::<f64>(Layout::C)?;
    let other: Slot<Ix1> = optimizer.slot("y").expect("registered");
    let (mut stepped, mut y) = (x.clone(), array![1.0]);
    let mut bad = x.clone();
    bad[[2, 3, 4]] = f64::NAN;
    let before = optimizer.snapshot();
    let good = array![0.5];
    let batch = &mut [slot.bind(&mut stepped, &bad), other.bind(&mut y, &good)];
    let error = optimizer.step_all(batch).unwrap_err();
    assert_eq!(error.to_string(), "tensor `x`: gradient is NaN at index [2, 3, 4]");
    assert_eq!(optimizer.snapshot(), before);
    assert_eq!((stepped, y), (x, array![1.0]));
    Ok(())
}

// ---------------------------------------------------------------- snapshots and files

/// A model after surgery: one tensor is gone, one is new, one is in another group.
fn after_surgery() -> Result<Optimizer<f64>, Error> {
    let (mut optimizer, slot, x) = stepped::<f64>(Layout::F)?;
    let second = optimizer.add_group(Adamax::keras());
    let y: Slot<Ix1> = optimizer.slot("y").expect("registered");
    optimizer.remove(y)?;
    let mut new = array![[1.0, 2.0]];
    let new_slot = optimizer.register("new", &new)?;
    optimizer.move_to(slot, second)?;
    let mut x = x;
    let g = x.mapv(|x| x * 0.5);
    optimizer
        .step_all(&mut [slot.bind(&mut x, &g), new_slot.bind(&mut new, &array![[0.5, -0.5]])])?;
    Ok(optimizer)
}

/// Returns an optimizer with the tensors of [`after_surgery`]. `x` is in the given group.
fn built_anew(group_of_x: usize) -> Result<Optimizer<f64>, Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let groups = [optimizer.default_group(), optimizer.add_group(Adamax::default())];
    optimizer.register("new", &array![[0.0, 0.0]])?;
    optimizer.register_in(groups[group_of_x], "x", &ArrayD::zeros(vec![3, 4, 5]))?;
    Ok(optimizer)
}

fn assert_saved(snapshot: &Snapshot<f64>) -> Result<(), Error> {
    let original = after_surgery()?.snapshot();
    assert_eq!(*snapshot, original);
    assert_eq!(snapshot.names().collect::<Vec<_>>(), ["new", "x"]);
    assert_eq!(snapshot.state("x").map(State::steps), Some(4));
    assert_eq!(snapshot.state("new").map(State::steps), Some(1));

    let mut anew = built_anew(1)?;
    anew.restore(snapshot)?;
    assert_eq!(anew.snapshot(), original);
    // The group before the surgery.
    let error = built_anew(0)?.restore(snapshot).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `x`: in group 1 of the snapshot, but registered in group 0"
    );
    Ok(())
}

#[test]
fn a_snapshot_knows_of_surgery() -> Result<(), Error> {
    assert_saved(&after_surgery()?.snapshot())
}

/// The tensors that a snapshot from before the surgery lacks or has too much are named.
#[test]
fn a_snapshot_from_before_surgery_is_refused() -> Result<(), Error> {
    let (before, ..) = stepped::<f64>(Layout::F)?;
    let mut optimizer = after_surgery()?;
    let now = optimizer.snapshot();
    let message = |optimizer: &mut Optimizer<f64>, snapshot: &Snapshot<f64>| {
        optimizer.restore(snapshot).unwrap_err().to_string()
    };
    let text = message(&mut optimizer, &before.snapshot());
    assert_eq!(text, "the snapshot has 1 groups, but the optimizer has 2");

    let mut of_two_groups = before;
    of_two_groups.add_group(Adamax::default());
    let old = of_two_groups.snapshot();
    let text = message(&mut optimizer, &old);
    assert_eq!(
        text,
        "tensor `new`: missing in the snapshot; in the snapshot, but not registered: `y`"
    );

    let new: Slot<Ix2> = optimizer.slot("new").expect("registered");
    optimizer.remove(new)?;
    optimizer.register("y", &array![0.0])?;
    let text = message(&mut optimizer, &old);
    assert_eq!(text, "tensor `x`: in group 0 of the snapshot, but registered in group 1");
    assert_eq!(optimizer.snapshot().state("x"), now.state("x"));

    let x: Slot<IxDyn> = optimizer.slot("x").expect("registered");
    optimizer.move_to(x, optimizer.default_group())?;
    optimizer.restore(&old)?;
    assert_eq!(optimizer.snapshot(), old);
    Ok(())
}

/// The name of a free place is the empty text, which a tensor may have, too.
#[test]
fn a_free_place_takes_no_state() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Adamax::default());
    let mut x = Array2::<f64>::ones((2, 3)).reversed_axes();
    let nameless = optimizer.register("", &x)?;
    optimizer.step(&mut [nameless.bind(&mut x, &Array2::ones((3, 2)))])?;
    let snapshot = optimizer.snapshot();
    optimizer.remove(nameless)?;
    let error = optimizer.restore(&snapshot).unwrap_err();
    assert_eq!(error.to_string(), "tensor ``: in the snapshot, but not registered");
    assert_eq!(optimizer.restore_matching(&snapshot)?.unexpected(), [""]);
    assert_eq!(optimizer.tensors().count(), 0);
    let again = optimizer.register("", &x)?;
    assert_eq!(optimizer.state(again), Some(&State::zeros_like(&x)));
    Ok(())
}

#[cfg(feature = "serde")]
#[test]
fn a_document_knows_of_surgery() -> Result<(), Box<dyn std::error::Error>> {
    let text = serde_json::to_string(&after_surgery()?.snapshot())?;
    Ok(assert_saved(&serde_json::from_str(&text)?)?)
}

#[cfg(feature = "safetensors")]
#[test]
fn a_file_knows_of_surgery() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.safetensors");
    after_surgery()?.snapshot().save(&path)?;
    Ok(assert_saved(&Snapshot::load(&path)?)?)
}
