//! The implementation by this crate: one tensor, a rule and a state.

use adamax::{
    Adamax, NonFinite, Outcome, Report, State,
    ndarray::{Array, Dimension, Ix1},
};

use super::{
    Number,
    check::{assert_each, naive},
    input::{gradients, parameters, shaped},
};

/// Returns the default rule without the finite check, which no other implementation has.
pub(crate) fn unchecked() -> Adamax {
    Adamax::builder().non_finite(NonFinite::Propagate).build().expect("in range")
}

pub(crate) struct Library<A, D> {
    pub(crate) rule: Adamax,
    pub(crate) state: State<A>,
    pub(crate) x: Array<A, D>,
    pub(crate) g: Array<A, D>,
}

impl<A: Number> Library<A, Ix1> {
    pub(crate) fn flat(rule: Adamax, length: usize) -> Self {
        let x = shaped(length, &mut parameters());
        Library::new(rule, x, shaped(length, &mut gradients()))
    }
}

impl<A: Number, D: Dimension> Library<A, D> {
    pub(crate) fn new(rule: Adamax, x: Array<A, D>, g: Array<A, D>) -> Self {
        Library { rule, state: State::zeros_like(&x), x, g }
    }

    pub(crate) fn step(&mut self) -> Outcome {
        self.rule.step(&mut self.state, &mut self.x, &self.g).expect("a valid step")
    }

    pub(crate) fn step_with_report(&mut self) -> Report {
        self.rule.step_with_report(&mut self.state, &mut self.x, &self.g).expect("a valid step")
    }

    #[cfg(feature = "rayon")]
    pub(crate) fn par_step(&mut self) -> Outcome {
        self.rule.par_step(&mut self.state, &mut self.x, &self.g).expect("a valid step")
    }

    pub(crate) fn check(&self) {
        assert_each(&self.x, naive(&self.rule, 1.0));
    }
}
