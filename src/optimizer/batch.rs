//! The two phases of a step of many tensors. The first checks everything and changes nothing; the
//! second writes and cannot fail.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use ndarray::IxDyn;

use super::{
    Optimizer,
    findings::{Findings, Sums, Verdict},
    lent::Lent,
    max_norm::MaxNorm,
    places::Tensor,
    slot::Bound,
};
#[cfg(feature = "rayon")]
use crate::par::Parallel;
use crate::{
    error::{Detail, Error},
    par::{All, Execute, Sequential, Split},
    real::Real,
    reduce::{
        Reduce,
        exact_sum::ExactSum,
        finite::Below,
        norm::{Factor, Norm},
        squares::Squares,
    },
    rule::{Adamax, NonFinite, precision},
    step::Outcome,
    update::{
        Arrays,
        coefficients::Coefficients,
        contiguous::Observe,
        rehearsal::Obstacle,
        rows::{ByStep, RowArrays, Rows},
    },
};

/// The rule of a group, and the coefficients of its latest step: tensors of one group mostly have
/// one t, and so the same coefficients.
#[derive(Debug)]
pub(super) struct GroupRule<A> {
    rule: Adamax,
    /// The step that `coefficients` belong to; 0 means none yet, as steps start at 1.
    step: u64,
    lr_scale: f64,
    coefficients: Coefficients<A>,
}

impl<A: Real> GroupRule<A> {
    pub(super) fn new(rule: Adamax) -> Self {
        GroupRule { rule, step: 0, lr_scale: 1.0, coefficients: Coefficients::new(&rule, 1, 1.0) }
    }

    pub(super) fn rule(&self) -> &Adamax {
        &self.rule
    }

    /// Computes and checks the coefficients of step t, unless they are there already.
    #[inline(always)]
    fn prepare(&mut self, t: u64, lr_scale: f64) -> Result<(), Error> {
        if self.are_of(t, lr_scale) { Ok(()) } else { self.renew(t, lr_scale) }
    }

    #[inline(always)]
    fn are_of(&self, t: u64, lr_scale: f64) -> bool {
        self.step == self.rule.settled(t) && self.lr_scale == lr_scale
    }

    fn renew(&mut self, t: u64, lr_scale: f64) -> Result<(), Error> {
        let coefficients = Coefficients::new(&self.rule, t, lr_scale);
        coefficients.check(&self.rule)?;
        (self.step, self.lr_scale) = (self.rule.settled(t), lr_scale);
        self.coefficients = coefficients;
        Ok(())
    }

    /// Returns the coefficients of step t, which have been checked. They are computed anew if another
    /// tensor of the group, with another t, came later in the batch.
    #[inline(always)]
    fn coefficients(&self, t: u64, lr_scale: f64) -> Coefficients<A> {
        if self.are_of(t, lr_scale) {
            self.coefficients
        } else {
            Coefficients::new(&self.rule, t, lr_scale)
        }
    }
}

/// The clipping of the gradients of one batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clip {
    /// None is clipped.
    None,
    /// One factor for all, below 1. It is NaN if the norm is.
    Factor(Factor),
    /// A bound for the norm of each.
    PerTensor(f64),
}

impl Clip {
    /// Returns the clipping of all gradients, of this common norm, to a bound.
    pub(super) fn of_all(norm: Norm, bound: f64) -> Self {
        match norm.factor(bound) {
            Factor::ONE => Clip::None,
            factor => Clip::Factor(factor),
        }
    }
}

/// The purpose of a check: a step at once, or an agreement with others first, for which the exact sums
/// of squares are kept. A report needs a sum also if there is no bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Purpose {
    Step,
    Agreement,
    AgreedReport,
}

impl Purpose {
    fn keeps_sums(self) -> bool {
        self != Purpose::Step
    }
}

/// A batch that has been checked, between the two phases of a step. Made by
/// [`Optimizer::check`].
///
/// Until [`apply`](Checked::apply) is called, nothing has changed. If the value is dropped instead, no
/// step is taken.
#[must_use = "nothing changes until `apply` is called"]
pub struct Checked<'s, 'a, A> {
    pub(super) groups: &'s [GroupRule<A>],
    pub(super) tensors: &'s mut [Tensor<A>],
    pub(super) batch: &'s mut [Bound<'a, A>],
    pub(super) lr_scale: f64,
    pub(super) max_norm: Option<MaxNorm>,
    pub(super) verdict: Verdict,
    pub(super) clip: Clip,
    /// The sums of squares behind `clip`, if others may have to add theirs.
    sums: Option<Box<Sums>>,
    pub(super) parallel: bool,
}

/// Returns the number of elements of the gradients of a batch; `usize::MAX` if it is larger, as it can be
/// before a batch is checked: a broadcast view has any number.
pub(super) fn elements<A: Real>(batch: &[Bound<'_, A>]) -> usize {
    batch.iter().fold(0, |sum, bound| sum.saturating_add(bound.lent.len()))
}

/// The first phase.
impl<A: Real> Optimizer<A> {
    /// Checks everything that can be wrong with a batch.
    #[inline(always)]
    pub(super) fn check_with<'s, 'a>(
        &'s mut self,
        execute: impl Execute,
        batch: &'s mut [Bound<'a, A>],
        purpose: Purpose,
    ) -> Result<Checked<'s, 'a, A>, Error> {
        let usual = self.check_structure(batch)?;
        let mut checked = self.begin(batch);
        let gradients = checked.measure(execute, purpose);
        checked.verdict = checked.judge(execute, gradients, usual)?;
        Ok(checked)
    }

    /// Returns a batch of which nothing has been found yet.
    #[inline(always)]
    pub(super) fn begin<'s, 'a>(&'s mut self, batch: &'s mut [Bound<'a, A>]) -> Checked<'s, 'a, A> {
        Checked {
            groups: &self.groups,
            tensors: self.tensors.all_mut(),
            batch,
            lr_scale: self.lr_scale,
            max_norm: self.max_norm,
            verdict: Verdict::Apply,
            clip: Clip::None,
            sums: None,
            parallel: false,
        }
    }

    /// Checks slots, shapes, step counters and coefficients. Returns true if coefficients and states
    /// are of the usual ranges, so that moderate gradients give finite numbers.
    pub(super) fn check_structure(&mut self, batch: &[Bound<'_, A>]) -> Result<bool, Error> {
        if let Some(max_norm) = self.max_norm {
            precision::check_rounding::<A>("max norm", max_norm.bound(), 0.0)?;
        }
        let mut usual = true;
        self.batches += 1;
        let tensors = self.tensors.all_mut();
        let mut prepared = None;
        for (place, bound) in batch.iter().enumerate() {
            let tensor = enter(tensors, place, bound, self.batches)?;
            let t = bound.lent.check(&tensor.state).map_err(|e| e.in_registered(&tensor.name))?;
            usual &= tensor.state.is_usual();
            // Mostly the tensor before has the same coefficients.
            if prepared == Some((tensor.group, t)) {
                continue;
            }
            let group = self.groups.get_mut(tensor.group);
            debug_assert!(group.is_some(), "groups are never removed");
            if let Some(group) = group {
                group.prepare(t, self.lr_scale).map_err(|e| e.in_tensor(&tensor.name))?;
                usual &= group.coefficients.is_bounded();
                prepared = Some((tensor.group, t));
            }
        }
        Ok(usual)
    }
}

/// Finds the tensor of a member of a batch, and notes that the batch with number `batch` has it.
#[inline(always)]
pub(super) fn enter<'s, A: Real>(
    tensors: &'s mut [Tensor<A>],
    place: usize,
    bound: &Bound<'_, A>,
    batch: u64,
) -> Result<&'s mut Tensor<A>, Error> {
    let tensor = match tensors.get_mut(bound.index) {
        Some(tensor) if tensor.id == Some(bound.id) => tensor,
        _ => return Err(bound.not_found(place)),
    };
    if tensor.batch == batch {
        return Err(Error::from(Detail::Repeated).in_tensor(&tensor.name));
    }
    tensor.batch = batch;
    Ok(tensor)
}

impl<'a, A: Real> Checked<'_, 'a, A> {
    /// Takes the norms that clipping needs. Returns true if they prove that all gradients are moderate.
    #[inline(always)]
    fn measure(&mut self, execute: impl Execute, purpose: Purpose) -> bool {
        match self.max_norm {
            None if purpose == Purpose::AgreedReport => {
                self.measure_all(execute, f64::INFINITY, purpose);
                self.clip = Clip::None;
                false
            }
            None => false,
            Some(MaxNorm::Global(bound)) => self.measure_all(execute, bound, purpose),
            Some(MaxNorm::PerTensor(bound)) => self.measure_each(execute, bound, purpose),
        }
    }

    fn measure_all(&mut self, execute: impl Execute, limit: f64, purpose: Purpose) -> bool {
        if let ([single], Purpose::Step) = (&*self.batch, purpose) {
            // One tensor: the same bits, and often no exact sum of 2 KB to clear.
            let norm = Norm::of_squares(execute, squares(self.tensors, single));
            self.clip = Clip::of_all(norm, limit);
            return norm.is_moderate::<A>();
        }
        let mut sum = ExactSum::ZERO;
        let choose = |bound| Some(squares(self.tensors, bound));
        Gradients::reduce(execute, self.batch, choose, &mut sum);
        let norm = sum.root();
        self.clip = Clip::of_all(norm, limit);
        self.sums = purpose.keeps_sums().then(|| Box::new(Sums::new(Vec::from([sum]))));
        norm.is_moderate::<A>()
    }

    fn measure_each(&mut self, execute: impl Execute, limit: f64, purpose: Purpose) -> bool {
        self.clip = Clip::PerTensor(limit);
        if purpose.keeps_sums() {
            let sums = self.batch.iter_mut().map(|bound| {
                let mut sum = ExactSum::ZERO;
                execute.run_into(squares(self.tensors, bound), &mut sum, Squares::add_to);
                bound.norm = sum.root();
                sum
            });
            self.sums = Some(Box::new(Sums::new(sums.collect())));
        } else {
            // Large gradients are split, one after the other; small ones are distributed.
            for bound in self.batch.iter_mut().filter(|bound| execute.splits(bound.lent.len())) {
                bound.norm = Norm::of_squares(execute, squares(self.tensors, bound));
            }
            let tensors = &*self.tensors;
            execute.run(Norms(self.batch), |Norms(batch)| {
                for bound in batch.iter_mut().filter(|bound| !execute.splits(bound.lent.len())) {
                    bound.norm = Norm::of_squares(Sequential, squares(tensors, bound));
                }
            });
        }
        self.batch.iter().all(|bound| bound.norm.is_moderate::<A>())
    }

    /// Applies the policies of the groups for gradients and steps that are not finite. For a batch, they
    /// are read nowhere else. `moderate` is true if norms have shown that all gradients are; `usual` is
    /// that of [`check_structure`](Optimizer::check_structure).
    #[inline(always)]
    pub(super) fn judge<'s>(
        &'s self,
        execute: impl Execute,
        moderate: bool,
        usual: bool,
    ) -> Result<Verdict, Error> {
        let propagates = |group: &GroupRule<A>| group.rule.non_finite() == NonFinite::Propagate;
        if moderate && usual || self.groups.iter().all(propagates) {
            return Ok(Verdict::Apply);
        }
        let policy = Policy { groups: self.groups, tensors: self.tensors };
        if usual {
            let shared = self.shares_norm();
            let choose = |bound: &'s Bound<'_, A>| {
                let counts = shared || policy.of(bound) != NonFinite::Propagate;
                counts.then(|| Below::new(bound.lent.gradient()))
            };
            let mut all = All(true);
            Gradients::reduce(execute, self.batch, choose, &mut all);
            if all.0 {
                return Ok(Verdict::Apply);
            }
        }
        self.examine(execute, policy, moderate)
    }

    /// Returns true if a gradient that is not finite spoils the step of every tensor.
    fn shares_norm(&self) -> bool {
        matches!(self.max_norm, Some(MaxNorm::Global(_)))
    }

    /// Looks at tensor by tensor. Refuses the batch if a tensor whose policy is [`NonFinite::Error`] is
    /// bad; skips it if one with [`NonFinite::Skip`] is.
    #[cold]
    #[inline(never)]
    fn examine(
        &self,
        execute: impl Execute,
        policy: Policy<'_, A>,
        moderate: bool,
    ) -> Result<Verdict, Error> {
        let by_result =
            || self.verdict_by(|bound| policy.of(bound), |bound| self.obstacle(execute, bound));
        if moderate {
            return by_result();
        }
        // With a global norm, a bad gradient that may propagate reaches all tensors. So the strictest
        // policy counts for it.
        let policies = || self.batch.iter().map(|bound| policy.of(bound));
        let mut by_strictness = [NonFinite::Error, NonFinite::Skip].into_iter();
        let strictest = by_strictness.find(|&policy| policies().any(|of| of == policy));
        let shared = strictest.filter(|_| self.shares_norm());
        let of_gradient = |bound: &Bound<'_, A>| match policy.of(bound) {
            NonFinite::Propagate => shared.unwrap_or(NonFinite::Propagate),
            own => own,
        };
        let verdict = self.verdict_by(of_gradient, |bound| bound.lent.examine_gradient(execute))?;
        if verdict == Verdict::Apply { by_result() } else { Ok(verdict) }
    }

    /// Applies policies to what is wrong with the tensors of the batch.
    fn verdict_by<'s>(
        &'s self,
        policy: impl Fn(&Bound<'_, A>) -> NonFinite,
        fault: impl Fn(&'s Bound<'a, A>) -> Option<Obstacle<'s, A, IxDyn>>,
    ) -> Result<Verdict, Error> {
        let mut verdict = Verdict::Apply;
        for bound in &*self.batch {
            let policy = policy(bound);
            if policy == NonFinite::Propagate {
                continue;
            }
            match fault(bound) {
                None => {}
                Some(_) if policy == NonFinite::Skip => verdict = Verdict::Skip,
                Some(obstacle) => {
                    let error = obstacle.into_error();
                    let Some(tensor) = self.tensors.get(bound.index) else { return Err(error) };
                    let error = match &tensor.part {
                        Some(part) => part.place(error),
                        None => error,
                    };
                    return Err(error.in_tensor(&tensor.name));
                }
            }
        }
        Ok(verdict)
    }

    /// Returns the reason why the step of one tensor would not be finite.
    fn obstacle<'s>(
        &'s self,
        execute: impl Execute,
        bound: &'s Bound<'a, A>,
    ) -> Option<Obstacle<'s, A, IxDyn>> {
        let plan = Plan { groups: self.groups, lr_scale: self.lr_scale, clip: self.clip };
        let tensor = self.tensors.get(bound.index)?;
        // If others add to the norm, the factor is known only later. It is between 0 and 1, and what is
        // finite at both ends is finite between them.
        let ends = [Factor::ONE, Factor::ZERO];
        let found = [plan.gradient_scale(bound.norm)];
        let open = self.sums.is_some() && self.max_norm.is_some();
        let factors: &[_] = if open { &ends } else { &found };
        factors.iter().find_map(|&factor| {
            let at = |t| plan.unscaled(tensor, t).with_gradient_scale(factor);
            bound.lent.examine(execute, at, &tensor.state)
        })
    }
}

/// The policies of the groups for gradients that are not finite.
struct Policy<'s, A> {
    groups: &'s [GroupRule<A>],
    tensors: &'s [Tensor<A>],
}

impl<A> Clone for Policy<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Policy<'_, A> {}

impl<A: Real> Policy<'_, A> {
    #[inline(always)]
    fn of(self, bound: &Bound<'_, A>) -> NonFinite {
        let group = self.tensors.get(bound.index).and_then(|tensor| self.groups.get(tensor.group));
        debug_assert!(group.is_some(), "the batch has been checked");
        group.map_or(NonFinite::Error, |group| group.rule.non_finite())
    }
}

/// Gradients to be reduced: those of the chosen tensors, or a part of one. `F` returns the work on the
/// gradient of a tensor, or `None`.
enum Gradients<'s, 'a, A, F, R> {
    Tensors(&'s [Bound<'a, A>], F),
    Part(R),
}

impl<'s, 'a, A, F, R> Gradients<'s, 'a, A, F, R>
where
    A: Real,
    F: Fn(&'s Bound<'a, A>) -> Option<R> + Copy + Send + Sync,
    R: Reduce<'s, A, IxDyn>,
{
    /// Reduces the gradients of the chosen tensors of a batch.
    #[inline(always)]
    fn reduce(
        execute: impl Execute,
        batch: &'s [Bound<'a, A>],
        choose: F,
        summary: &mut R::Summary,
    ) {
        let work = Gradients::Tensors(batch, choose);
        execute.run_into(work, summary, |work, summary| match work {
            Gradients::Part(part) => part.add_to(summary),
            Gradients::Tensors(batch, choose) => {
                batch.iter().filter_map(choose).for_each(|work| work.add_to(summary));
            }
        });
    }
}

impl<'s, 'a, A, F, R> Split for Gradients<'s, 'a, A, F, R>
where
    A: Real,
    F: Fn(&'s Bound<'a, A>) -> Option<R> + Copy + Send + Sync,
    R: Reduce<'s, A, IxDyn>,
{
    fn len(&self) -> usize {
        match self {
            Gradients::Tensors(batch, _) => elements(batch),
            Gradients::Part(part) => part.len(),
        }
    }

    fn split(self) -> Result<(Self, Self), Self> {
        let part = match self {
            Gradients::Part(part) => part,
            Gradients::Tensors([], _) => return Err(self),
            Gradients::Tensors([bound], choose) => choose(bound).ok_or(self)?,
            Gradients::Tensors(batch, choose) => {
                let (a, b) = batch.split_at(batch.len() / 2);
                return Ok((Gradients::Tensors(a, choose), Gradients::Tensors(b, choose)));
            }
        };
        match part.split() {
            Ok((a, b)) => Ok((Gradients::Part(a), Gradients::Part(b))),
            Err(part) => Err(Gradients::Part(part)),
        }
    }
}

/// Returns the work of adding the squares of a gradient.
#[inline(always)]
pub(super) fn squares<'s, A: Real>(
    tensors: &'s [Tensor<A>],
    bound: &'s Bound<'_, A>,
) -> Squares<'s, A, IxDyn> {
    let part = tensors.get(bound.index).and_then(|tensor| tensor.part.as_deref());
    Squares::of_part(bound.lent.gradient(), part)
}

/// Tensors whose norms are taken.
pub(super) struct Norms<'s, 'a, A>(pub(super) &'s mut [Bound<'a, A>]);

impl<A: Real> Split for Norms<'_, '_, A> {
    fn len(&self) -> usize {
        elements(self.0)
    }

    fn split(self) -> Result<(Self, Self), Self> {
        if self.0.len() < 2 {
            return Err(self);
        }
        let (a, b) = self.0.split_at_mut(self.0.len() / 2);
        Ok((Norms(a), Norms(b)))
    }
}

/// The second phase.
impl<A: Real> Checked<'_, '_, A> {
    /// Takes the step, or skips it if a gradient is not finite and its group's rule says
    /// [`NonFinite::Skip`]. May change the order of the batch if it was checked by
    /// `par_check` (feature `rayon`).
    ///
    /// # Allocation
    /// As [`Optimizer::step`].
    #[must_use = "the step may have been skipped"]
    pub fn apply(self) -> Outcome {
        #[cfg(feature = "rayon")]
        if self.parallel {
            return self.apply_with(Parallel);
        }
        self.apply_with(Sequential)
    }

    /// Takes the step with the findings of all processes, this one included. The norms of `agreed`
    /// replace those of this batch. A batch that is skipped here is skipped whatever the others found.
    ///
    /// # Errors
    /// [`ErrorKind::Agreement`](crate::ErrorKind::Agreement) if another process refused the step, or if
    /// `agreed` has another norm bound or another number of norms. Nothing has changed then.
    ///
    /// # Examples
    /// See [`Findings`].
    pub fn apply_agreed(mut self, agreed: &Findings) -> Result<Outcome, Error> {
        self.agree(agreed)?;
        Ok(self.apply())
    }

    /// Takes over the verdict and the norms of all processes.
    pub(super) fn agree(&mut self, agreed: &Findings) -> Result<(), Error> {
        self.verdict = self.verdict.max(agreed.check(self.max_norm, self.batch.len())?);
        match self.max_norm {
            None => {}
            Some(MaxNorm::Global(bound)) => {
                let norm = agreed.norms().next().unwrap_or(Norm::ZERO);
                self.clip = Clip::of_all(norm, bound);
            }
            Some(MaxNorm::PerTensor(_)) => {
                self.batch
                    .iter_mut()
                    .zip(agreed.norms())
                    .for_each(|(bound, norm)| bound.norm = norm);
            }
        }
        Ok(())
    }

    /// Marks the step as one that uses threads.
    #[cfg(feature = "rayon")]
    pub(super) fn parallel(mut self) -> Self {
        self.parallel = true;
        self
    }

    #[inline(always)]
    pub(super) fn apply_with(self, execute: impl Execute) -> Outcome {
        let Checked { groups, tensors, batch, lr_scale, verdict, clip, .. } = self;
        if verdict != Verdict::Apply {
            return Outcome::Skipped;
        }
        if execute.splits(elements(batch)) {
            // Sorted by place, two halves of the batch borrow disjoint halves of `tensors`.
            batch.sort_unstable_by_key(|bound| bound.index);
        }
        let plan = Plan { groups, lr_scale, clip };
        let part = Part { plan, batch, tensors, first: 0 };
        execute.run(Work::Tensors(part), Work::write);
        Outcome::Applied
    }
}

impl Findings {
    /// Returns what [`Optimizer::check`] has found. An error becomes a refusal: pass it on as well, so
    /// that the others neither step nor wait for this process.
    ///
    /// # Allocation
    /// About 2 KB per norm.
    #[must_use]
    pub fn of<A: Real>(checked: &Result<Checked<'_, '_, A>, Error>) -> Self {
        match checked {
            Ok(Checked { verdict, max_norm, sums, .. }) => {
                Findings::new(*verdict, *max_norm, sums.as_deref())
            }
            Err(_) => Findings::new(Verdict::Refuse, None, None),
        }
    }
}

impl<A: Real> fmt::Debug for Checked<'_, '_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked")
            .field("batch", &self.batch)
            .field("verdict", &self.verdict)
            .finish_non_exhaustive()
    }
}

/// Everything that the second phase needs besides the batch.
pub(super) struct Plan<'s, A> {
    pub(super) groups: &'s [GroupRule<A>],
    pub(super) lr_scale: f64,
    pub(super) clip: Clip,
}

impl<A> Clone for Plan<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Plan<'_, A> {}

/// Coefficients that are not those of a group: the gradient is clipped, for example. Many tensors have
/// the same.
pub(super) struct Scaled<A> {
    /// Group, step counter, whether the state is balanced, and factor of the gradient.
    key: (usize, u64, bool, Factor),
    k: Coefficients<A>,
}

impl<'s, A: Real> Plan<'s, A> {
    /// Returns the factor by which clipping multiplies a gradient of this norm.
    #[inline(always)]
    pub(super) fn gradient_scale(self, norm: Norm) -> Factor {
        match self.clip {
            Clip::None => Factor::ONE,
            Clip::Factor(factor) => factor,
            Clip::PerTensor(bound) => norm.factor(bound),
        }
    }

    /// Returns the coefficients of step t of a tensor, without clipping.
    #[inline(always)]
    fn unscaled(self, tensor: &Tensor<A>, t: u64) -> Coefficients<A> {
        let group = self.groups.get(tensor.group);
        debug_assert!(group.is_some(), "the batch has been checked");
        let frozen = || Coefficients::new(&Adamax::default(), t, 0.0);
        let mut k = group.map_or_else(frozen, |group| group.coefficients(t, self.lr_scale));
        k.set_balanced(tensor.state.is_balanced());
        k
    }

    /// Returns the coefficients of the next step of a tensor, whose gradient has this norm.
    #[inline(always)]
    fn coefficients(self, tensor: &Tensor<A>, norm: Norm) -> Coefficients<A> {
        let t = tensor.state.steps() + 1;
        self.unscaled(tensor, t).with_gradient_scale(self.gradient_scale(norm))
    }

    /// [`coefficients`](Plan::coefficients) without a copy, if those of the group can be used.
    #[inline(always)]
    fn shared_coefficients(self, tensor: &Tensor<A>, norm: Norm) -> Option<&'s Coefficients<A>> {
        let group = self.groups.get(tensor.group)?;
        let suits = group.are_of(tensor.state.steps() + 1, self.lr_scale)
            && self.gradient_scale(norm) == Factor::ONE
            && tensor.state.is_balanced();
        suits.then_some(&group.coefficients)
    }

    /// [`coefficients`](Plan::coefficients) without a copy, if those of the tensor before can be used.
    #[inline(always)]
    fn scaled_coefficients<'l>(
        self,
        tensor: &Tensor<A>,
        norm: Norm,
        latest: &'l mut Option<Scaled<A>>,
    ) -> &'l Coefficients<A> {
        let state = &tensor.state;
        let key = (tensor.group, state.steps(), state.is_balanced(), self.gradient_scale(norm));
        latest.take_if(|latest| latest.key != key);
        &latest.get_or_insert_with(|| Scaled { key, k: self.coefficients(tensor, norm) }).k
    }

    /// Steps a tensor. `latest` keeps its coefficients for the tensors after it.
    #[inline(always)]
    pub(super) fn step<S: Observe<A>>(
        self,
        execute: impl Execute,
        bound: &mut Bound<'_, A>,
        tensor: &mut Tensor<A>,
        latest: &mut Option<Scaled<A>>,
    ) -> S {
        let pair = match &mut bound.lent {
            Lent::Tensor(pair) => pair,
            Lent::Rows(rows) => {
                let work = self.rows(rows, bound.norm, tensor);
                return work.map_or(S::EMPTY, |work| execute.run(work, RowWork::update));
            }
        };
        let k = match self.shared_coefficients(tensor, bound.norm) {
            Some(shared) => shared,
            None => self.scaled_coefficients(tensor, bound.norm, latest),
        };
        pair.step(execute, k, tensor.state.begin_step(k.keeps()))
    }

    /// Returns the step of some rows of a table, as work that can be split.
    fn rows<'r>(
        self,
        rows: &'r mut Rows<'_, A>,
        norm: Norm,
        tensor: &'r mut Tensor<A>,
    ) -> Option<RowWork<'r, A>>
    where
        's: 'r,
    {
        let group = self.groups.get(tensor.group);
        debug_assert!(group.is_some(), "the batch has been checked");
        let (group, factor) = (group?, self.gradient_scale(norm));
        let (keeps, balanced) = (group.coefficients.keeps(), tensor.state.is_balanced());
        let latest = rows.latest_step(&tensor.state);
        let arrays = rows.arrays(tensor.state.begin_step_of_rows(latest, keeps));
        Some(RowWork { group, lr_scale: self.lr_scale, factor, balanced, arrays })
    }
}

/// The step of some rows of a table.
struct RowWork<'s, A> {
    group: &'s GroupRule<A>,
    lr_scale: f64,
    factor: Factor,
    /// True if the state of the table is balanced before the step.
    balanced: bool,
    arrays: RowArrays<'s, A>,
}

impl<A: Real> RowWork<'_, A> {
    fn update<S: Observe<A>>(self) -> S {
        let RowWork { group, lr_scale, factor, balanced, arrays } = self;
        let mut k = group.coefficients.with_gradient_scale(factor);
        k.set_balanced(balanced);
        debug_assert!(group.lr_scale == lr_scale, "the coefficients are of this step");
        arrays.update(Latest { rule: &group.rule, lr_scale, step: group.step, k })
    }
}

/// The coefficients of the latest step that was asked for.
struct Latest<'s, A> {
    rule: &'s Adamax,
    lr_scale: f64,
    step: u64,
    k: Coefficients<A>,
}

impl<A: Real> ByStep<A> for Latest<'_, A> {
    /// From some step on, all have the same coefficients.
    #[inline(always)]
    fn key(&self, t: u64) -> u64 {
        self.rule.settled(t)
    }

    #[inline(always)]
    fn of(&mut self, key: u64) -> &Coefficients<A> {
        if self.step != key {
            self.k.set_step(self.rule, key, self.lr_scale);
            self.step = key;
        }
        &self.k
    }
}

impl<A: Real> Split for RowWork<'_, A> {
    fn len(&self) -> usize {
        self.arrays.len()
    }

    fn split(self) -> Result<(Self, Self), Self> {
        let RowWork { group, lr_scale, factor, balanced, arrays } = self;
        let part = |arrays| RowWork { group, lr_scale, factor, balanced, arrays };
        match arrays.split() {
            Ok((a, b)) => Ok((part(a), part(b))),
            Err(arrays) => Err(part(arrays)),
        }
    }
}

/// Work of the second phase.
enum Work<'s, 'a, A> {
    Tensors(Part<'s, 'a, A>),
    /// A part of one tensor, whose step has been counted.
    Arrays(Coefficients<A>, Arrays<'s, 'a, A>),
    /// Some rows of a table, or a part of them.
    Rows(RowWork<'s, A>),
}

/// Some tensors of a batch, with the tensors of the optimizer from place `first` on.
pub(super) struct Part<'s, 'a, A> {
    pub(super) plan: Plan<'s, A>,
    pub(super) batch: &'s mut [Bound<'a, A>],
    pub(super) tensors: &'s mut [Tensor<A>],
    pub(super) first: usize,
}

impl<A: Real> Work<'_, '_, A> {
    #[inline(always)]
    fn write(self) {
        match self {
            Work::Tensors(part) => part.write(),
            Work::Arrays(k, arrays) => arrays.update(&k),
            Work::Rows(work) => work.update(),
        }
    }
}

impl<A: Real> Split for Work<'_, '_, A> {
    fn len(&self) -> usize {
        match self {
            Work::Tensors(part) => elements(part.batch),
            Work::Arrays(_, arrays) => arrays.len(),
            Work::Rows(work) => work.len(),
        }
    }

    fn split(self) -> Result<(Self, Self), Self> {
        match self {
            Work::Tensors(part) if part.batch.len() > 1 => {
                let (a, b) = part.halves();
                Ok((Work::Tensors(a), Work::Tensors(b)))
            }
            Work::Tensors(part) => part.open().map_err(Work::Tensors)?.split(),
            Work::Arrays(k, arrays) => match arrays.split() {
                Ok((a, b)) => Ok((Work::Arrays(k, a), Work::Arrays(k, b))),
                Err(arrays) => Err(Work::Arrays(k, arrays)),
            },
            Work::Rows(work) => match work.split() {
                Ok((a, b)) => Ok((Work::Rows(a), Work::Rows(b))),
                Err(work) => Err(Work::Rows(work)),
            },
        }
    }
}

impl<'s, 'a, A: Real> Part<'s, 'a, A> {
    /// Splits two tensors or more, which are in the order of their places.
    pub(super) fn halves(self) -> (Self, Self) {
        let Part { plan, batch, tensors, first } = self;
        let (batch, batch2) = batch.split_at_mut(batch.len() / 2);
        let cut = batch2.first().map_or(first, |bound| bound.index);
        let (tensors, tensors2) = tensors.split_at_mut(cut - first);
        let a = Part { plan, batch, tensors, first };
        (a, Part { plan, batch: batch2, tensors: tensors2, first: cut })
    }

    /// Counts the step of a single tensor and returns its arrays, which can be split.
    fn open(self) -> Result<Work<'s, 'a, A>, Self> {
        let Part { plan, batch: [bound], tensors, first } = self else { return Err(self) };
        let nothing = Part { plan, batch: &mut [], tensors: &mut [], first };
        let Some(tensor) = tensors.get_mut(bound.index - first) else { return Err(nothing) };
        match &mut bound.lent {
            Lent::Tensor(pair) => {
                let k = plan.coefficients(tensor, bound.norm);
                Ok(Work::Arrays(k, pair.arrays(tensor.state.begin_step(k.keeps()))))
            }
            Lent::Rows(rows) => plan.rows(rows, bound.norm, tensor).map(Work::Rows).ok_or(nothing),
        }
    }

    fn write(self) {
        let mut latest = None;
        for bound in self.batch {
            let tensor = self.tensors.get_mut(bound.index - self.first);
            debug_assert!(tensor.is_some(), "the batch has been checked");
            let Some(tensor) = tensor else { continue };
            self.plan.step::<()>(Sequential, bound, tensor, &mut latest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ndarray::array;

    #[test]
    fn a_group_keeps_the_coefficients_of_its_latest_step() -> Result<(), Error> {
        let mut group = GroupRule::<f64>::new(Adamax::default());
        assert!(!group.are_of(1, 1.0));
        group.prepare(3, 0.5)?;
        assert!(group.are_of(3, 0.5) && !group.are_of(4, 0.5) && !group.are_of(3, 1.0));
        // From some step on, all steps have the same coefficients.
        group.prepare(1 << 20, 1.0)?;
        assert!(group.are_of(1 << 21, 1.0) && !group.are_of(3, 1.0));
        Ok(())
    }

    #[test]
    fn a_tensor_that_is_not_clipped_shares_the_coefficients_of_its_group() -> Result<(), Error> {
        for (bound, is_shared) in [(2.0, true), (1.5, false)] {
            let mut optimizer = Optimizer::new(Adamax::default());
            optimizer.set_max_norm(Some(MaxNorm::PerTensor(bound)))?;
            let (mut x, g) = (array![1.0], array![2.0]);
            let slot = optimizer.register("x", &x)?;
            let batch = &mut [slot.bind(&mut x, &g)];
            let checked = optimizer.check_with(Sequential, batch, Purpose::Step)?;
            let Checked { groups, tensors, batch, lr_scale, clip, .. } = checked;
            let shared =
                Plan { groups, lr_scale, clip }.shared_coefficients(&tensors[0], batch[0].norm);
            assert_eq!(shared.is_some(), is_shared, "{bound}");
        }
        Ok(())
    }
}
