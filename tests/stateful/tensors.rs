//! Operations: tensors come, go and move, and the user replaces a parameter.

use super::{
    Precision,
    bytes::{Bytes, array},
    counts::End,
    machine::{Machine, Subject},
    model::{Place, State, Tensor},
};
use adamax::{ErrorKind, Group, Part, RowSlot, Slot};
use ndarray::{ArrayD, Ix1, Ix2, Ix3, IxDyn};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "layers.0.weight"];

/// A tensor that is to be registered.
struct New<A> {
    name: &'static str,
    group: (Option<usize>, Group),
    x: ArrayD<A>,
    by_rows: bool,
}

impl<A: Precision> Machine<'_, A> {
    pub(crate) fn register(&mut self, bytes: &mut Bytes<'_>) {
        let (name, group) = (bytes.pick(&NAMES), self.choose_group(bytes));
        let kind = bytes.below(8);
        if kind == 7 {
            return self.register_part(bytes, name, group);
        }
        let shape = bytes.shape();
        let values = bytes.finite(shape.iter().product());
        let x = bytes.arranged(&values, &shape);
        self.register_new(New { name, group, x, by_rows: kind >= 5 });
    }

    /// Registers a tensor, and returns true if it was not refused.
    fn register_new(&mut self, New { name, group: (index, group), x, by_rows }: New<A>) -> bool {
        let mut kinds = self.registration_faults(name, index);
        if by_rows && x.ndim() == 0 {
            kinds.push(ErrorKind::Shape);
        }
        if by_rows {
            let result = self.optimizer.register_rows_in(group, name, &x);
            let Some(rows) = self.expect("register_rows", result, &kinds) else { return false };
            self.add(name, index, (rows.slot(), Some(rows), None), x);
        } else {
            let result = if index == Some(0) {
                self.optimizer.register(name, &x)
            } else {
                self.optimizer.register_in(group, name, &x)
            };
            let Some(slot) = self.expect("register", result, &kinds) else { return false };
            self.add(name, index, (slot, None, None), x);
        }
        true
    }

    fn registration_faults(&self, name: &str, group: Option<usize>) -> Vec<ErrorKind> {
        let foreign = group.is_none().then_some(ErrorKind::Foreign);
        let taken = self.model.find(name).map(|_| ErrorKind::Name);
        foreign.into_iter().chain(taken).collect()
    }

    fn register_part(
        &mut self,
        bytes: &mut Bytes<'_>,
        name: &'static str,
        (index, group): (Option<usize>, Group),
    ) {
        let (shape, count, number) = (bytes.shape(), bytes.below(4), bytes.below(4));
        let part = Part::new(&shape, number, count);
        let wrong = (number >= count).then_some(ErrorKind::Hyperparameter);
        let Some(part) = self.expect("Part::new", part, wrong.as_slice()) else { return };
        let is_wrong = bytes.once_in(16);
        let values = bytes.finite(part.len() + usize::from(is_wrong));
        let x = bytes.arranged(&values, &[values.len()]);
        let vector = x.view().into_dimensionality::<Ix1>().expect("one axis");
        let result = self.optimizer.register_part(group, name, &part, &vector);
        let mut kinds = self.registration_faults(name, index);
        kinds.extend(is_wrong.then_some(ErrorKind::Shape));
        if let Some(slot) = self.expect("register_part", result, &kinds) {
            let same = self.optimizer.slot::<IxDyn>(name).expect("just registered");
            assert_eq!(self.optimizer.slot::<Ix1>(name), Some(slot));
            self.add(name, index, (same, None, Some(part)), x);
        }
    }

    /// Adds a new tensor to the model.
    fn add(
        &mut self,
        name: &str,
        group: Option<usize>,
        (slot, rows, part): (Slot<IxDyn>, Option<RowSlot<IxDyn>>, Option<Part>),
        x: ArrayD<A>,
    ) {
        let place = part.as_ref().map_or(Place::Whole, |part| Place::Part {
            shape: part.shape().to_vec(),
            start: part.range().start,
        });
        self.model.tensors.push(Tensor {
            name: name.to_owned(),
            group: group.expect("an own group"),
            place,
            x: x.iter().copied().collect(),
            state: State::zeros(x.shape(), rows.is_some()),
            report: None,
        });
        self.subjects.push(Subject { slot, rows, part, x });
    }

    /// Takes a tensor out of the model.
    fn take_out(&mut self, index: usize) -> (Subject<A>, Tensor<A>) {
        let subject = self.subjects.remove(index);
        self.foreign_slots.push(subject.slot);
        (subject, self.model.tensors.remove(index))
    }

    pub(crate) fn remove(&mut self, bytes: &mut Bytes<'_>) {
        let (index, slot) = self.choose(bytes);
        let result = self.optimizer.remove(slot);
        let foreign = index.is_none().then_some(ErrorKind::Foreign);
        if let (Some(state), Some(index)) =
            (self.expect("remove", result, foreign.as_slice()), index)
        {
            let (_, mut tensor) = self.take_out(index);
            super::machine::agree_state("removed", &state, &mut tensor.state, false);
        }
    }

    /// Gives a tensor another name, or the same one, in the way that `remove` describes.
    pub(crate) fn rename(&mut self, bytes: &mut Bytes<'_>) {
        let (Some(index), slot) = self.choose(bytes) else {
            return self.count("rename", End::Skipped);
        };
        let name = bytes.pick(&NAMES);
        let is_own = self.model.tensors[index].name == name;
        if !is_own && self.model.find(name).is_some() {
            return self.count("rename", End::Skipped);
        }
        let state = self.optimizer.remove(slot).expect("an own slot");
        let (subject, tensor) = self.take_out(index);
        let by_rows = subject.rows.is_some();
        let group = (Some(tensor.group), self.groups[tensor.group]);
        // A part becomes a vector.
        assert!(self.register_new(New { name, group, x: subject.x, by_rows }));
        let last = self.subjects.len() - 1;
        self.optimizer.set_state(self.subjects[last].slot, &state).expect("the same shape");
        self.model.tensors[last].set_state(tensor.state);
        self.count("rename", End::Done);
    }

    pub(crate) fn move_to_group(&mut self, bytes: &mut Bytes<'_>) {
        let ((index, slot), (number, group)) = (self.choose(bytes), self.choose_group(bytes));
        let is_foreign = index.is_none() || number.is_none();
        let foreign = is_foreign.then_some(ErrorKind::Foreign);
        let result = self.optimizer.move_to(slot, group);
        self.expect("move_to", result, foreign.as_slice());
        if let (Some(index), Some(number)) = (index, number) {
            self.model.tensors[index].group = number;
        }
    }

    /// Replaces a parameter: by the same numbers in another layout, or by others.
    pub(crate) fn replace_parameter(&mut self, bytes: &mut Bytes<'_>) {
        if let (Some(index), _) = self.choose(bytes) {
            let shape = self.subjects[index].x.shape().to_vec();
            let x = &mut self.model.tensors[index].x;
            if bytes.below(2) == 0 {
                *x = bytes.numbers(x.len());
            }
            self.subjects[index].x = bytes.layout().arrange(&array(x, &shape));
        }
        self.count("replace parameter", End::Done);
    }

    /// Looks at everything that can be asked for.
    pub(crate) fn look_around(&mut self, bytes: &mut Bytes<'_>) {
        let optimizer = &self.optimizer;
        assert_eq!(optimizer.to_string().lines().count(), self.subjects.len() + 2);
        assert!(format!("{optimizer:?}").starts_with("Optimizer"));
        for slot in &self.foreign_slots {
            assert!(optimizer.state(*slot).is_none() && optimizer.group(*slot).is_none());
            assert!(optimizer.report(*slot).is_none());
        }
        for (subject, tensor) in self.subjects.iter().zip(&self.model.tensors) {
            let (name, axes) = (&tensor.name, subject.x.ndim());
            assert_eq!(optimizer.group(subject.slot), Some(self.groups[tensor.group]));
            assert_eq!(optimizer.slot::<IxDyn>(name), Some(subject.slot));
            assert_eq!(optimizer.row_slot::<IxDyn>(name), subject.rows);
            assert_eq!(optimizer.slot::<Ix2>(name).is_some(), axes == 2);
            let by_rows = subject.rows.is_some() && axes == 3;
            assert_eq!(optimizer.row_slot::<Ix3>(name).is_some(), by_rows);
        }
        let name = bytes.pick(&NAMES);
        assert_eq!(optimizer.slot::<IxDyn>(name).is_some(), self.model.find(name).is_some());
        assert!(optimizer.rule(self.foreign_group).is_none());
        self.count("look around", End::Done);
    }
}
