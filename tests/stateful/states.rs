//! Operations: other states, snapshots, and states in the other precision.

use super::{
    Precision,
    bytes::{Bytes, array},
    counts::End,
    machine::{Machine, Subject, agree},
    model::{Saved, State, Steps},
};
use crate::common::Float;
use adamax::{Adamax, ErrorKind, Optimizer, Snapshot};
use ndarray::Ix1;

/// The most snapshots that are kept.
const KEPT: usize = 3;

// ---------------------------------------------------------------- states of one tensor

/// The parts of a state, which may not fit each other, nor a tensor.
struct Parts<A> {
    state: State<A>,
    kinds: Vec<ErrorKind>,
}

impl<A: Precision> Parts<A> {
    /// Returns parts for a tensor of this shape, mostly right ones.
    fn new(bytes: &mut Bytes<'_>, shape: &[usize], by_rows: bool) -> Self {
        let mut shape = shape.to_vec();
        if bytes.once_in(12) {
            shape.push(2);
        }
        let by_rows = (by_rows != bytes.once_in(12)) && !shape.is_empty();
        let length = shape.iter().product();
        let is_any = bytes.once_in(8);
        let m: Vec<A> = if is_any { bytes.numbers(length) } else { bytes.finite(length) };
        let norms: Vec<A> = if is_any { bytes.numbers(length) } else { bytes.finite(length) };
        let is_negative = bytes.once_in(12);
        let magnitude = |u: A| if u.wide() < 0.0 && !is_negative { -u } else { u };
        let u: Vec<A> = norms.into_iter().map(magnitude).collect();
        let mut counter = || match bytes.byte() {
            250.. => u64::MAX - u64::from(bytes.byte() % 3),
            byte => u64::from(byte) * u64::from(byte / 16),
        };
        let steps = if by_rows {
            Steps::Rows((0..shape[0]).map(|_| counter()).collect())
        } else {
            Steps::Whole(counter())
        };
        let state = State { shape, m, u, steps };
        let mut kinds = Vec::new();
        if !state.is_finite() {
            kinds.push(ErrorKind::NonFinite);
        }
        if state.u.iter().any(|u| u.wide() < 0.0) {
            kinds.push(ErrorKind::NegativeNorm);
        }
        Parts { state, kinds }
    }

    fn build(&self, bytes: &mut Bytes<'_>) -> Result<adamax::State<A>, adamax::Error> {
        let State { shape, m, u, steps } = &self.state;
        let [m, u] = [m, u].map(|moment| bytes.layout().arrange(&array(moment, shape)));
        match steps {
            Steps::Whole(steps) => adamax::State::from_parts(*steps, m, u),
            Steps::Rows(steps) => adamax::State::from_row_parts(steps.clone(), m, u),
        }
    }
}

impl<A: Precision> Machine<'_, A> {
    pub(crate) fn set_state(&mut self, bytes: &mut Bytes<'_>) {
        let (index, slot) = self.choose(bytes);
        let own = index.map(|index| self.model.tensors[index].state.clone());
        let (shape, by_rows) =
            own.as_ref().map_or((vec![2], false), |own| (own.shape.clone(), own.is_by_rows()));
        let parts = Parts::new(bytes, &shape, by_rows);
        let state = parts.build(bytes);
        let Some(state) = self.expect("State::from_parts", state, &parts.kinds) else { return };
        let kind = match &own {
            None => Some(ErrorKind::Foreign),
            Some(own) => (!own.fits(&parts.state)).then_some(ErrorKind::Shape),
        };
        let result = self.optimizer.set_state(slot, &state);
        if let (Some(()), Some(index)) = (self.expect("set_state", result, kind.as_slice()), index)
        {
            self.model.tensors[index].set_state(parts.state);
        }
    }

    /// Sets a tensor to a new state, in one of the ways to make it.
    pub(crate) fn reset(&mut self, bytes: &mut Bytes<'_>) {
        let (Some(index), slot) = self.choose(bytes) else {
            return self.count("reset", End::Skipped);
        };
        let by_rows = self.subjects[index].rows.is_some();
        let state = if bytes.below(2) == 0 {
            let mut state = self.optimizer.state(slot).expect("an own slot").clone();
            state.reset();
            state
        } else {
            let zeros = adamax::State::zeros_like(&self.subjects[index].x);
            if by_rows { zeros.into_rows().expect("a table has an axis") } else { zeros }
        };
        self.optimizer.set_state(slot, &state).expect("the same shape");
        let tensor = &mut self.model.tensors[index];
        let zeros = State::zeros(&tensor.state.shape, by_rows);
        tensor.set_state(zeros);
        self.count("reset", End::Done);
    }

    // ------------------------------------------------------------ snapshots

    pub(crate) fn take_snapshot(&mut self) {
        let (snapshot, saved) = (self.optimizer.snapshot(), self.model.save());
        assert!(snapshot.names().eq(saved.tensors.keys()));
        assert_eq!(snapshot.groups(), saved.rules);
        assert_eq!(snapshot.lr_scale(), saved.lr_scale);
        assert_eq!(snapshot.max_norm(), saved.max_norm);
        // NaN differs from itself.
        assert_eq!(snapshot == self.optimizer.snapshot(), saved.has_no_nan());
        if self.saved.len() == KEPT {
            self.saved.remove(0);
        }
        self.saved.push((snapshot, saved));
        self.count("snapshot", End::Done);
    }

    /// Returns an earlier snapshot; sometimes the present one.
    fn choose_snapshot(&self, bytes: &mut Bytes<'_>) -> (Snapshot<A>, Saved<A>) {
        if self.saved.is_empty() || bytes.below(8) == 0 {
            return (self.optimizer.snapshot(), self.model.save());
        }
        bytes.pick(&self.saved)
    }

    /// Returns the reasons to refuse the tensors that a snapshot has of the model.
    fn misfits(&self, saved: &Saved<A>) -> Vec<ErrorKind> {
        let mut kinds = Vec::new();
        for tensor in &self.model.tensors {
            if let Some((group, state)) = saved.tensors.get(&tensor.name) {
                kinds.extend((*group != tensor.group).then_some(ErrorKind::Snapshot));
                kinds.extend((!tensor.state.fits(state)).then_some(ErrorKind::Shape));
            }
        }
        kinds
    }

    pub(crate) fn restore(&mut self, bytes: &mut Bytes<'_>) {
        let (snapshot, saved) = self.choose_snapshot(bytes);
        let mut kinds = self.misfits(&saved);
        let same_names = saved.tensors.len() == self.model.tensors.len()
            && saved.tensors.keys().all(|name| self.model.find(name).is_some());
        if saved.rules.len() != self.model.rules.len() || !same_names {
            kinds = vec![ErrorKind::Snapshot];
        }
        let result = self.optimizer.restore(&snapshot);
        if self.expect("restore", result, &kinds).is_some() {
            self.model.take_over(&saved, |_| true);
        }
    }

    pub(crate) fn restore_matching(&mut self, bytes: &mut Bytes<'_>) {
        let (snapshot, saved) = self.choose_snapshot(bytes);
        let kinds = self.misfits(&saved);
        let result = self.optimizer.restore_matching(&snapshot);
        let Some(unmatched) = self.expect("restore_matching", result, &kinds) else { return };
        let tensors = || self.model.tensors.iter();
        let is_saved = |name: &str| saved.tensors.contains_key(name);
        let missing = tensors().map(|tensor| &tensor.name).filter(|name| !is_saved(name));
        assert!(missing.eq(unmatched.missing()));
        let unexpected = saved.tensors.keys().filter(|name| self.model.find(name).is_none());
        assert!(unexpected.eq(unmatched.unexpected()));
        let matched: Vec<usize> =
            tensors().filter(|tensor| is_saved(&tensor.name)).map(|tensor| tensor.group).collect();
        self.model.take_over(&saved, |group| matched.contains(&group));
    }

    /// Goes on with a new optimizer, to which all tensors are registered in another order. Sometimes one of
    /// them is missing, or has another name; then the snapshot does not fit.
    pub(crate) fn resume(&mut self, bytes: &mut Bytes<'_>) {
        let snapshot = self.optimizer.snapshot();
        let mut next = Optimizer::new(Adamax::default());
        let mut groups = vec![next.default_group()];
        groups.extend(self.groups[1..].iter().map(|_| next.add_group(Adamax::keras())));
        let fault = if bytes.once_in(4) { Some(bytes.below(3)) } else { None };
        let count = self.subjects.len();
        for (place, (subject, tensor)) in
            self.subjects.iter().zip(&self.model.tensors).enumerate().rev()
        {
            let (is_last, group) = (place + 1 == count, groups[tensor.group]);
            match fault {
                Some(0) if is_last => {}
                Some(1) if is_last => {
                    next.register("another name", &subject.x).expect("a new name");
                }
                _ => subject.register_again(&mut next, group, &tensor.name),
            }
        }
        if fault == Some(2) {
            next.add_group(Adamax::default());
        }
        let fits = !matches!(fault, Some(0 | 1) if count > 0) && fault != Some(2);
        let before = next.snapshot();
        let result = next.restore(&snapshot);
        let kind = (!fits).then_some(ErrorKind::Snapshot);
        if self.expect("resume", result, kind.as_slice()).is_none() {
            assert_eq!(next.snapshot(), before, "a refused snapshot has changed something");
            return;
        }
        self.foreign_slots = self.subjects.iter().map(|subject| subject.slot).collect();
        self.foreign_slots.push(
            Optimizer::new(Adamax::default())
                .register("a", &array(&[A::of(1.0)], &[1]))
                .expect("a new name"),
        );
        self.foreign_group = self.groups[0];
        (self.optimizer, self.groups) = (next, groups);
        self.subjects.reverse();
        self.model.tensors.reverse();
        for (subject, tensor) in self.subjects.iter_mut().zip(&mut self.model.tensors) {
            subject.slot = self.optimizer.slot(&tensor.name).expect("registered above");
            subject.rows = self.optimizer.row_slot(&tensor.name);
            tensor.report = None;
        }
    }

    // ------------------------------------------------------------ the other precision

    /// Casts all states to the other precision and back, and takes over the result.
    pub(crate) fn cast(&mut self) {
        let mut rounded = self.model.save();
        let mut kinds = Vec::new();
        for (_, state) in rounded.tensors.values_mut() {
            for value in state.m.iter_mut().chain(&mut state.u) {
                let (before, other) = (value.wide(), A::Other::of(value.wide()).wide());
                let is_lost = before.is_finite() && !other.is_finite();
                if is_lost || before != 0.0 && other == 0.0 {
                    kinds.push(ErrorKind::Precision);
                }
                *value = A::of(other);
            }
        }
        let cast = self.optimizer.snapshot().cast::<A::Other>();
        let Some(cast) = self.expect("cast", cast, &kinds) else { return };
        for (name, (_, state)) in &mut rounded.tensors {
            let other = cast.state(name).expect("the same tensors");
            assert_eq!(other.row_steps(), state.steps.rows());
            for (moment, expected) in
                [(other.first_moment(), &mut state.m), (other.inf_norm(), &mut state.u)]
            {
                let back: Vec<A> = moment.iter().map(|value| A::of(value.wide())).collect();
                agree(&format!("{name} in the other precision"), back.iter(), expected, false);
            }
        }
        let back = cast.cast::<A>().expect("each of its numbers came from this precision");
        self.optimizer.restore(&back).expect("the same tensors");
        self.model.take_over(&rounded, |_| true);
    }
}

impl<A: Precision> Subject<A> {
    /// Registers the tensor with another optimizer, in the same way.
    fn register_again(&self, next: &mut Optimizer<A>, group: adamax::Group, name: &str) {
        let result = match (&self.part, self.rows) {
            (Some(part), _) => {
                let x = self.x.view().into_dimensionality::<Ix1>().expect("one axis");
                next.register_part(group, name, part, &x).map(drop)
            }
            (None, Some(_)) => next.register_rows_in(group, name, &self.x).map(drop),
            (None, None) => next.register_in(group, name, &self.x).map(drop),
        };
        result.expect("a name that no other tensor has");
    }
}
