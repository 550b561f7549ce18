//! The model: an optimizer as plain vectors in logical order, written apart from the crate.

use super::norm::Squares;
use crate::common::Float;
use adamax::{Adamax, MaxNorm, Outcome, Report};
use std::collections::BTreeMap;

/// An optimizer, with the parameters of the user.
#[derive(Clone, Debug)]
pub(crate) struct Model<A> {
    /// The rules of the groups.
    pub(crate) rules: Vec<Adamax>,
    pub(crate) lr_scale: f64,
    pub(crate) max_norm: Option<MaxNorm>,
    /// In the order of registration.
    pub(crate) tensors: Vec<Tensor<A>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tensor<A> {
    pub(crate) name: String,
    pub(crate) group: usize,
    pub(crate) place: Place,
    pub(crate) x: Vec<A>,
    pub(crate) state: State<A>,
    /// The figures of the last step with a report.
    pub(crate) report: Option<Figures>,
}

/// The elements of a tensor within the whole, of which norms know.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Whole,
    /// A run of a tensor of this shape.
    Part {
        shape: Vec<usize>,
        start: usize,
    },
}

/// m, u and t.
#[derive(Clone, Debug)]
pub(crate) struct State<A> {
    pub(crate) shape: Vec<usize>,
    pub(crate) m: Vec<A>,
    pub(crate) u: Vec<A>,
    pub(crate) steps: Steps,
}

/// One counter, or one for each row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Steps {
    Whole(u64),
    Rows(Vec<u64>),
}

impl Steps {
    pub(crate) fn largest(&self) -> u64 {
        match self {
            Steps::Whole(steps) => *steps,
            Steps::Rows(steps) => steps.iter().copied().max().unwrap_or(0),
        }
    }

    pub(crate) fn rows(&self) -> Option<&[u64]> {
        match self {
            Steps::Whole(_) => None,
            Steps::Rows(steps) => Some(steps),
        }
    }
}

impl<A: Float> State<A> {
    pub(crate) fn zeros(shape: &[usize], by_rows: bool) -> Self {
        let zeros = vec![A::of(0.0); shape.iter().product()];
        let steps = if by_rows { Steps::Rows(vec![0; shape[0]]) } else { Steps::Whole(0) };
        State { shape: shape.to_vec(), m: zeros.clone(), u: zeros, steps }
    }

    pub(crate) fn is_by_rows(&self) -> bool {
        self.steps.rows().is_some()
    }

    /// Returns true if all numbers are finite: only then a state can be written.
    pub(crate) fn is_finite(&self) -> bool {
        self.m.iter().chain(&self.u).all(|value| value.wide().is_finite())
    }

    /// Returns true if another state can take the place of this one.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        self.shape == other.shape && self.is_by_rows() == other.is_by_rows()
    }
}

impl<A: Float> Tensor<A> {
    pub(crate) fn set_state(&mut self, state: State<A>) {
        self.state = state;
        self.report = None;
    }

    /// Returns the squares of a gradient of this tensor, or of some of its rows.
    pub(crate) fn squares(&self, g: &[A], by_rows: bool) -> Squares {
        let mut squares = Squares::none();
        match &self.place {
            Place::Part { shape, start } => squares.add(g, shape, *start),
            Place::Whole if by_rows => {
                let row = &self.state.shape[1..];
                let length: usize = row.iter().product();
                g.chunks(length.max(1)).for_each(|g| squares.add(g, row, 0));
            }
            Place::Whole => squares.add(g, &self.state.shape, 0),
        }
        squares
    }
}

/// The figures of a report, with the bits of its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) outcome: Outcome,
    /// Norm, clip factor, largest gradient and largest step.
    pub(crate) bits: [u64; 4],
}

impl Figures {
    pub(crate) fn new(outcome: Outcome, figures: [f64; 4]) -> Self {
        let one_nan = |figure: f64| if figure.is_nan() { f64::NAN } else { figure };
        Figures { outcome, bits: figures.map(|figure| one_nan(figure).to_bits()) }
    }

    pub(crate) fn of(report: &Report) -> Self {
        let figures = [
            report.gradient_norm(),
            report.clip_factor(),
            report.max_gradient(),
            report.max_step(),
        ];
        Figures { outcome: report.outcome(), bits: figures.map(f64::to_bits) }
    }
}

/// What a snapshot holds.
#[derive(Clone, Debug)]
pub(crate) struct Saved<A> {
    pub(crate) rules: Vec<Adamax>,
    pub(crate) lr_scale: f64,
    pub(crate) max_norm: Option<MaxNorm>,
    /// Group and state by name.
    pub(crate) tensors: BTreeMap<String, (usize, State<A>)>,
}

impl<A: Float> Saved<A> {
    #[cfg(feature = "safetensors")]
    pub(crate) fn is_finite(&self) -> bool {
        self.tensors.values().all(|(_, state)| state.is_finite())
    }

    pub(crate) fn has_no_nan(&self) -> bool {
        let mut states = self.tensors.values();
        states.all(|(_, state)| !state.m.iter().chain(&state.u).any(|value| value.wide().is_nan()))
    }
}

impl<A: Float> Model<A> {
    pub(crate) fn new(rule: Adamax) -> Self {
        Model { rules: vec![rule], lr_scale: 1.0, max_norm: None, tensors: Vec::new() }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.tensors.iter().position(|tensor| tensor.name == name)
    }

    pub(crate) fn save(&self) -> Saved<A> {
        let tensors = self.tensors.iter();
        let tensors =
            tensors.map(|tensor| (tensor.name.clone(), (tensor.group, tensor.state.clone())));
        Saved {
            rules: self.rules.clone(),
            lr_scale: self.lr_scale,
            max_norm: self.max_norm,
            tensors: tensors.collect(),
        }
    }

    /// Takes over a snapshot, and the rules of those groups for which `takes_rule` holds.
    pub(crate) fn take_over(&mut self, saved: &Saved<A>, takes_rule: impl Fn(usize) -> bool) {
        for tensor in &mut self.tensors {
            if let Some((_, state)) = saved.tensors.get(&tensor.name) {
                tensor.set_state(state.clone());
            }
        }
        for (index, rule) in self.rules.iter_mut().enumerate() {
            if let Some(saved) = saved.rules.get(index).filter(|_| takes_rule(index)) {
                *rule = *saved;
            }
        }
        (self.lr_scale, self.max_norm) = (saved.lr_scale, saved.max_norm);
    }
}
