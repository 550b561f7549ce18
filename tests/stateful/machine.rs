//! An optimizer beside its model, and the operations on both.

use super::{
    Precision,
    bytes::Bytes,
    counts::{Counts, End, name_of},
    forecast::Fault,
    model::{Figures, Model, Saved, State},
    settings,
};
use crate::common::{Float, layout::assert_nothing_around};
use adamax::{Adamax, Error, ErrorKind, Group, Optimizer, Part, RowSlot, Slot, Snapshot};
use ndarray::{ArrayD, IxDyn, array};

/// The most operations of an input, so that a long one is no hang.
const LONGEST: usize = 500;
/// The most groups; they are never removed.
const GROUPS: usize = 4;

pub(crate) struct Machine<'c, A> {
    pub(crate) optimizer: Optimizer<A>,
    pub(crate) groups: Vec<Group>,
    /// As many as the model has tensors, in the same order.
    pub(crate) subjects: Vec<Subject<A>>,
    pub(crate) model: Model<A>,
    pub(crate) saved: Vec<(Snapshot<A>, Saved<A>)>,
    /// Slots whose tensors are gone, or belong to another optimizer.
    pub(crate) foreign_slots: Vec<Slot<IxDyn>>,
    pub(crate) foreign_group: Group,
    /// Set by an operation that was refused: nothing may have changed, not even the bits of a NaN.
    pub(crate) refused: bool,
    counts: &'c mut Counts,
}

/// What the user holds of a tensor.
pub(crate) struct Subject<A> {
    pub(crate) slot: Slot<IxDyn>,
    pub(crate) rows: Option<RowSlot<IxDyn>>,
    pub(crate) part: Option<Part>,
    pub(crate) x: ArrayD<A>,
}

impl<'c, A: Precision> Machine<'c, A> {
    pub(crate) fn new(bytes: &mut Bytes<'_>, counts: &'c mut Counts) -> Self {
        let rule = settings::rule(bytes).build().expect("in range");
        let optimizer = Optimizer::new(rule);
        let mut stranger = Optimizer::new(Adamax::default());
        let slot = stranger.register("a", &array![A::of(1.0)].into_dyn()).expect("a new name");
        Machine {
            groups: vec![optimizer.default_group()],
            optimizer,
            subjects: Vec::new(),
            model: Model::new(rule),
            saved: Vec::new(),
            foreign_slots: vec![slot],
            foreign_group: stranger.default_group(),
            refused: false,
            counts,
        }
    }

    /// Runs one operation after the other.
    pub(crate) fn run(mut self, bytes: &mut Bytes<'_>) {
        // Something to step.
        self.register(bytes);
        self.compare();
        for _ in 0..LONGEST {
            if bytes.is_empty() {
                break;
            }
            self.refused = false;
            self.operate(bytes);
            self.compare();
        }
        for subject in self.subjects {
            assert_nothing_around("a parameter", subject.x);
        }
    }

    fn operate(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(64) {
            0..24 => self.step(bytes),
            24..27 => self.step_alone(bytes),
            27..33 => self.register(bytes),
            33 => self.remove(bytes),
            34 => self.rename(bytes),
            35..37 => self.move_to_group(bytes),
            37..39 => self.add_group(bytes),
            39..42 => self.set_rule(bytes),
            42 => self.refuse_rule(bytes),
            43..45 => self.set_lr_scale(bytes),
            45..47 => self.set_max_norm(bytes),
            47..50 => self.set_state(bytes),
            50 => self.reset(bytes),
            51..53 => self.replace_parameter(bytes),
            53 => self.look_around(bytes),
            54..56 => self.take_snapshot(),
            56..58 => self.restore(bytes),
            58 => self.restore_matching(bytes),
            59..61 => self.resume(bytes),
            61 => self.cast(),
            #[cfg(feature = "safetensors")]
            62 => self.through_json(),
            #[cfg(feature = "safetensors")]
            63 => self.through_file(bytes),
            _ => self.take_snapshot(),
        }
    }

    // ------------------------------------------------------------ ends of operations

    pub(crate) fn count(&mut self, operation: &'static str, end: End) {
        self.counts.add(operation, end);
    }

    /// Asserts that a call was an error of one of these kinds, or none if there are none. Returns its value.
    pub(crate) fn expect<T>(
        &mut self,
        operation: &'static str,
        found: Result<T, Error>,
        kinds: &[ErrorKind],
    ) -> Option<T> {
        let faults: Vec<Fault> = kinds.iter().map(|&kind| (kind, None)).collect();
        self.expect_fault(operation, found, &faults, false)
    }

    /// The same, for errors that name a tensor.
    pub(crate) fn expect_fault<T>(
        &mut self,
        operation: &'static str,
        found: Result<T, Error>,
        faults: &[Fault],
        named: bool,
    ) -> Option<T> {
        match found {
            Ok(value) => {
                assert!(faults.is_empty(), "{operation}: no error, but {faults:?}");
                self.count(operation, End::Done);
                Some(value)
            }
            Err(error) => {
                let is_foreseen = faults.iter().any(|(kind, tensor)| {
                    *kind == error.kind() && (!named || tensor.as_deref() == error.tensor())
                });
                assert!(is_foreseen, "{operation}: {error:?}, but {faults:?}");
                assert!(!error.to_string().is_empty());
                self.count(operation, End::Refused(name_of(error.kind())));
                self.refused = true;
                None
            }
        }
    }

    // ------------------------------------------------------------ choices

    /// Returns a slot, and its tensor; sometimes a slot of no tensor.
    pub(crate) fn choose(&self, bytes: &mut Bytes<'_>) -> (Option<usize>, Slot<IxDyn>) {
        if self.subjects.is_empty() || bytes.once_in(20) {
            return (None, bytes.pick(&self.foreign_slots));
        }
        let index = bytes.below(self.subjects.len());
        (Some(index), self.subjects[index].slot)
    }

    /// Returns a group, and its number; sometimes that of another optimizer.
    pub(crate) fn choose_group(&self, bytes: &mut Bytes<'_>) -> (Option<usize>, Group) {
        if bytes.once_in(20) {
            return (None, self.foreign_group);
        }
        let index = bytes.below(self.groups.len());
        (Some(index), self.groups[index])
    }

    // ------------------------------------------------------------ settings

    fn add_group(&mut self, bytes: &mut Bytes<'_>) {
        if self.groups.len() < GROUPS {
            let rule = settings::rule(bytes).build().expect("in range");
            self.groups.push(self.optimizer.add_group(rule));
            self.model.rules.push(rule);
        }
        self.count("add_group", End::Done);
    }

    fn set_rule(&mut self, bytes: &mut Bytes<'_>) {
        let (index, group) = self.choose_group(bytes);
        let rule = settings::rule(bytes).build().expect("in range");
        let result = self.optimizer.set_rule(group, rule);
        let foreign = index.is_none().then_some(ErrorKind::Foreign);
        self.expect("set_rule", result, foreign.as_slice());
        if let Some(index) = index {
            self.model.rules[index] = rule;
        }
    }

    fn refuse_rule(&mut self, bytes: &mut Bytes<'_>) {
        let result = settings::wrong_rule(bytes).build();
        self.expect("build", result, &[ErrorKind::Hyperparameter]);
    }

    fn set_lr_scale(&mut self, bytes: &mut Bytes<'_>) {
        let scale = if bytes.below(2) == 0 {
            let schedule = settings::schedule(bytes);
            schedule.scale(u64::from(bytes.byte()))
        } else {
            settings::lr_scale(bytes)
        };
        let is_wrong = !scale.is_finite() || scale < 0.0;
        let wrong = is_wrong.then_some(ErrorKind::Hyperparameter);
        let result = self.optimizer.set_lr_scale(scale);
        if self.expect("set_lr_scale", result, wrong.as_slice()).is_some() {
            self.model.lr_scale = scale;
        }
    }

    fn set_max_norm(&mut self, bytes: &mut Bytes<'_>) {
        match settings::max_norm(bytes) {
            Ok(max_norm) => {
                let result = self.optimizer.set_max_norm(max_norm);
                self.expect("set_max_norm", result, &[]);
                self.model.max_norm = max_norm;
            }
            Err(wrong) => {
                let result = self.optimizer.set_max_norm(Some(wrong));
                self.expect("set_max_norm", result, &[ErrorKind::Hyperparameter]);
            }
        }
    }

    // ------------------------------------------------------------ comparison

    /// Asserts that the optimizer and the parameters are those of the model, bit for bit.
    fn compare(&mut self) {
        let Machine { optimizer, groups, subjects, model, refused: exact, .. } = self;
        assert_eq!(optimizer.lr_scale().to_bits(), model.lr_scale.to_bits());
        assert_eq!(optimizer.max_norm(), model.max_norm);
        assert_eq!(groups.len(), model.rules.len());
        for (group, rule) in groups.iter().zip(&model.rules) {
            assert_eq!(optimizer.rule(*group), Some(rule));
        }
        let mut found = optimizer.tensors();
        assert_eq!(subjects.len(), model.tensors.len());
        for (subject, tensor) in subjects.iter().zip(&mut model.tensors) {
            let (name, group, state) = found.next().expect("as many tensors as the model has");
            assert_eq!((name, group), (tensor.name.as_str(), groups[tensor.group]));
            agree(&format!("x of {name}"), subject.x.iter(), &mut tensor.x, *exact);
            agree_state(name, state, &mut tensor.state, *exact);
            let report = optimizer.report(subject.slot).as_ref().map(Figures::of);
            assert_eq!(report, tensor.report, "report of {name}");
            assert!(optimizer.state(subject.slot).is_some_and(|own| std::ptr::eq(own, state)));
        }
        assert!(found.next().is_none(), "more tensors than the model has");
    }
}

/// Asserts that a state is that of the model.
pub(crate) fn agree_state<A: Float>(
    name: &str,
    found: &adamax::State<A>,
    expected: &mut State<A>,
    exact: bool,
) {
    let (m, u) = (found.first_moment(), found.inf_norm());
    assert_eq!((m.shape(), u.shape()), (&expected.shape[..], &expected.shape[..]), "{name}");
    agree(&format!("m of {name}"), m.iter(), &mut expected.m, exact);
    agree(&format!("u of {name}"), u.iter(), &mut expected.u, exact);
    assert_eq!(found.steps(), expected.steps.largest(), "t of {name}");
    assert_eq!(found.row_steps(), expected.steps.rows(), "t of the rows of {name}");
}

/// Asserts that numbers have equal bits. Any NaN is equal to any other, whose bits the model then takes over,
/// unless nothing may have changed.
pub(crate) fn agree<'a, A: Float>(
    what: &str,
    found: impl ExactSizeIterator<Item = &'a A>,
    expected: &mut [A],
    exact: bool,
) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (position, (&found, expected)) in found.zip(expected).enumerate() {
        if found.word() == expected.word() {
            continue;
        }
        let are_nan = found.wide().is_nan() && expected.wide().is_nan();
        assert!(
            are_nan && !exact,
            "{what}: element {position} is {found:?} ({:#x}), but should be {expected:?} ({:#x})",
            found.word(),
            expected.word(),
        );
        *expected = found;
    }
}
