//! The two phases of a step of many tensors: looking, which changes nothing, and writing, which
//! cannot fail. Which tensors there are, and what is to happen where one is at fault, is not known here.

use alloc::string::String;
use core::fmt;

use crate::{
    par::{Divisible, Fork, Serial},
    real::Real,
    reduce::finite,
    reduce::norm::Norm,
    rule::{Adamax, NonFinite},
    state::State,
    update::Walk,
    update::coefficients::{Coefficients, Scale},
    update::contiguous::Lane,
    update::pair::Pair,
};

/// What an optimizer keeps of one tensor.
pub(crate) struct Entry<A> {
    pub(crate) name: String,
    pub(crate) group: usize,
    pub(crate) state: State<A>,
    /// The last batch that named this tensor.
    pub(crate) batch: u64,
}

/// A parameter and its gradient, bound to a slot for one step. Made by [`Slot::bind`](crate::Slot::bind).
///
/// ```
/// use adamax::{Adamax, Optimizer};
/// use ndarray::Array2;
///
/// // A batch of as many layers as there are.
/// let mut layers = [Array2::<f64>::ones((2, 3)), Array2::ones((4, 2)), Array2::ones((1, 4))];
/// let gradients = layers.clone();
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let mut slots = Vec::new();
/// for (i, layer) in layers.iter().enumerate() {
///     slots.push(optimizer.register(&format!("layer {i}"), layer)?);
/// }
///
/// let pairs = layers.iter_mut().zip(&gradients);
/// let mut batch: Vec<_> = slots.iter().zip(pairs).map(|(slot, (x, g))| slot.bind(x, g)).collect();
/// optimizer.step(&mut batch)?;
/// assert!(layers.iter().flatten().all(|&x| x < 1.0));
/// # Ok::<(), adamax::Error>(())
/// ```
pub struct Bound<'a, A> {
    pub(crate) optimizer: usize,
    pub(crate) index: usize,
    pub(crate) pair: Pair<'a, A>,
    /// The norm of the gradient, while a step that clips it looks at the batch.
    pub(crate) norm: Norm,
}

impl<A: Real> fmt::Debug for Bound<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("index", &self.index)
            .field("shapes", &self.pair.shapes())
            .finish_non_exhaustive()
    }
}

/// How the gradients of one batch are clipped.
#[derive(Clone, Copy)]
pub(crate) enum Clip {
    /// All by one factor.
    Factor(f64),
    /// Each to a norm of its own.
    PerTensor(f64),
}

/// What the second phase needs to know, besides the batch.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) groups: &'a [Adamax],
    pub(crate) lr_scale: f64,
    pub(crate) clip: Clip,
}

/// How many parameters a batch has.
pub(crate) fn elements<A: Real>(batch: &[Bound<'_, A>]) -> usize {
    batch.iter().map(|bound| bound.pair.len()).sum()
}

/// Takes the norm of each gradient.
pub(crate) fn measure<A: Real>(fork: impl Fork, batch: &mut [Bound<'_, A>]) {
    match batch {
        [_, _, ..] if fork.splits(elements(batch)) => {
            let (a, b) = batch.split_at_mut(batch.len() / 2);
            fork.join(|| measure(fork, a), || measure(fork, b));
        }
        _ => {
            for bound in batch {
                bound.norm = bound.pair.norm(fork);
            }
        }
    }
}

/// Which gradients are to be looked at before a step.
pub(crate) struct Policies<'a, A> {
    pub(crate) groups: &'a [Adamax],
    pub(crate) tensors: &'a [Entry<A>],
    /// Whether the norms have been taken.
    pub(crate) measured: bool,
}

impl<A: Real> Policies<'_, A> {
    #[inline(always)]
    fn ask_for(&self, bound: &Bound<'_, A>) -> bool {
        // A norm that is finite is one of finite values: its read has served for both.
        if self.measured && bound.norm.is_finite() {
            return false;
        }
        let entry = self.tensors.get(bound.index);
        let rule = entry.and_then(|entry| self.groups.get(entry.group));
        rule.is_some_and(|rule| rule.non_finite() != NonFinite::Propagate)
    }
}

/// Whether all gradients are finite that should be.
pub(crate) fn all_finite<A: Real>(
    fork: impl Fork,
    policies: &Policies<'_, A>,
    batch: &[Bound<'_, A>],
) -> bool {
    if policies.groups.iter().all(|rule| rule.non_finite() == NonFinite::Propagate) {
        return true;
    }
    fork.all(Gradients::OfTensors(policies, batch), Gradients::are_finite)
}

/// What the first phase looks at.
enum Gradients<'a, 'b, A> {
    OfTensors(&'a Policies<'a, A>, &'a [Bound<'b, A>]),
    /// A part of one that is to be looked at.
    Piece(&'a [A]),
}

impl<A: Real> Gradients<'_, '_, A> {
    /// Whether those are finite that should be.
    #[inline(always)]
    fn are_finite(self) -> bool {
        match self {
            Gradients::OfTensors(policies, batch) => {
                batch.iter().all(|bound| !policies.ask_for(bound) || bound.pair.is_finite(Serial))
            }
            Gradients::Piece(values) => finite::all_finite_lane(Serial, values),
        }
    }
}

impl<A: Real> Divisible for Gradients<'_, '_, A> {
    fn len(&self) -> usize {
        match self {
            Gradients::OfTensors(_, batch) => elements(batch),
            Gradients::Piece(values) => values.len(),
        }
    }

    fn halves(self) -> Result<(Self, Self), Self> {
        let values = match self {
            Gradients::Piece(values) => values,
            Gradients::OfTensors(policies, [bound]) if policies.ask_for(bound) => {
                match bound.pair.gradient_without_gaps() {
                    Some(values) => values,
                    None => return Err(self),
                }
            }
            Gradients::OfTensors(_, [] | [_]) => return Err(self),
            Gradients::OfTensors(policies, batch) => {
                let (a, b) = batch.split_at(batch.len() / 2);
                let of = |batch| Gradients::OfTensors(policies, batch);
                return Ok((of(a), of(b)));
            }
        };
        let (a, b) = values.split_at(values.len() / 2);
        Ok((Gradients::Piece(a), Gradients::Piece(b)))
    }
}

impl Plan<'_> {
    /// What clipping multiplies a gradient of this norm by.
    #[inline(always)]
    fn gradient_scale(self, norm: Norm) -> f64 {
        match self.clip {
            Clip::Factor(factor) => factor,
            Clip::PerTensor(max) => norm.factor(max),
        }
    }

    #[inline(always)]
    fn coefficients<A: Real>(self, group: usize, t: u64, gradient: f64) -> Option<Coefficients<A>> {
        let scale = Scale { learning_rate: self.lr_scale, gradient };
        self.groups.get(group).map(|rule| Coefficients::new(rule, t, scale))
    }
}

/// The second phase: nothing can go wrong any more. May bring the batch into another order.
pub(crate) fn write<A: Real>(
    fork: impl Fork,
    plan: Plan<'_>,
    batch: &mut [Bound<'_, A>],
    tensors: &mut [Entry<A>],
) {
    if fork.splits(elements(batch)) {
        // In the order of the tensors, a cut through the batch is a cut through the tensors.
        batch.sort_unstable_by_key(|bound| bound.index);
    }
    fork.each(Work::Tensors(Part { plan, batch, tensors, first: 0 }), Work::write);
}

/// What there is to write.
#[expect(clippy::large_enum_variant, reason = "there are as many as threads and halvings")]
enum Work<'a, 'b, A> {
    Tensors(Part<'a, 'b, A>),
    /// A part of one tensor, whose step has been counted.
    Piece(Coefficients<A>, Walk<'a, A>),
}

/// Some tensors of a batch, with the states from number `first` on, in which theirs are.
struct Part<'a, 'b, A> {
    plan: Plan<'a>,
    batch: &'a mut [Bound<'b, A>],
    tensors: &'a mut [Entry<A>],
    first: usize,
}

impl<A: Real> Work<'_, '_, A> {
    #[inline(always)]
    fn write(self) {
        match self {
            Work::Tensors(part) => part.write(),
            Work::Piece(k, walk) => walk.update(&k),
        }
    }
}

impl<A: Real> Divisible for Work<'_, '_, A> {
    fn len(&self) -> usize {
        match self {
            Work::Tensors(part) => elements(part.batch),
            Work::Piece(_, walk) => walk.len(),
        }
    }

    fn halves(self) -> Result<(Self, Self), Self> {
        let (k, walk) = match self {
            Work::Piece(k, walk) => (k, walk),
            Work::Tensors(part) if part.batch.len() > 1 => {
                let (a, b) = part.halves();
                return Ok((Work::Tensors(a), Work::Tensors(b)));
            }
            Work::Tensors(part) => part.open().map_err(Work::Tensors)?,
        };
        match walk.halves() {
            Ok((a, b)) => Ok((Work::Piece(k, a), Work::Piece(k, b))),
            Err(walk) => Err(Work::Piece(k, walk)),
        }
    }
}

impl<'a, A: Real> Part<'a, '_, A> {
    /// Both halves of two tensors or more, in the order of the tensors.
    fn halves(self) -> (Self, Self) {
        let Part { plan, batch, tensors, first } = self;
        let (batch, batch2) = batch.split_at_mut(batch.len() / 2);
        let cut = batch2.first().map_or(first, |bound| bound.index);
        let (tensors, tensors2) = tensors.split_at_mut(cut - first);
        let a = Part { plan, batch, tensors, first };
        (a, Part { plan, batch: batch2, tensors: tensors2, first: cut })
    }

    /// Counts the step of a single tensor and leaves its elements to be walked.
    fn open(self) -> Result<(Coefficients<A>, Walk<'a, A>), Self> {
        let k = self.batch.first().and_then(|bound| {
            let Entry { group, state, .. } = self.tensors.get(bound.index - self.first)?;
            let gradient = self.plan.gradient_scale(bound.norm);
            self.plan.coefficients(*group, state.steps() + 1, gradient)
        });
        let Some(k) = k else { return Err(self) };
        let walk = self.batch.first_mut().and_then(|bound| {
            let parts = self.tensors.get_mut(bound.index - self.first)?.state.parts_mut();
            *parts.steps += 1;
            Some(bound.pair.walk(parts))
        });
        // The default is for a tensor that was there a moment ago and is not any more: not possible.
        Ok((k, walk.unwrap_or(Walk::Lane(Lane::default()))))
    }

    fn write(self) {
        // Tensors of one group mostly have one t, and so the same coefficients.
        let mut memo: Option<((usize, u64, f64), Coefficients<A>)> = None;
        for bound in self.batch {
            let Some(Entry { group, state, .. }) = self.tensors.get_mut(bound.index - self.first)
            else {
                continue;
            };
            let key = (*group, state.steps() + 1, self.plan.gradient_scale(bound.norm));
            if memo.as_ref().is_none_or(|(known, _)| *known != key) {
                let (group, t, gradient) = key;
                memo = self.plan.coefficients(group, t, gradient).map(|k| (key, k));
            }
            let Some((_, k)) = &memo else { continue };
            bound.pair.step(Serial, k, state.parts_mut());
        }
    }
}
