//! Steps of many tensors that say what they did: the two phases of `batch`, with the norm of each
//! gradient in the first, and the figures of each tensor in the second.

use ndarray::Dimension;

use super::{
    Optimizer,
    batch::{self, Checked, Clip, Norms, Part, Plan, Purpose, Scaled},
    findings::{Findings, Verdict},
    max_norm::MaxNorm,
    places::Tensor,
    slot::{Bound, Slot},
};
#[cfg(feature = "rayon")]
use crate::par::Parallel;
use crate::{
    error::Error,
    par::{Execute, Sequential, Split, Summary},
    real::Real,
    reduce::{
        exact_sum::ExactSum,
        norm::{Factor, Norm},
    },
    step::{
        Outcome,
        report::{Extremes, Report},
    },
};

/// Steps with a report.
impl<A: Real> Optimizer<A> {
    /// Takes a [`step`](Optimizer::step), and says what it did.
    ///
    /// The report is that of the whole batch; [`report`](Optimizer::report) gives that of each tensor.
    /// Parameters and states get the same bits as by `step`. A step that is skipped has a report too.
    ///
    /// # Errors
    /// As [`step`](Optimizer::step). After an error the reports of the tensors are unchanged, too.
    ///
    /// # Cost
    /// One read of the gradients, for their norms, and the pass over x, g, m and u. The norms replace the
    /// check that gradients are finite.
    ///
    /// # Allocation
    /// As [`step`](Optimizer::step).
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, MaxNorm, Optimizer};
    /// use ndarray::array;
    ///
    /// let (mut a, mut b) = (array![1.0_f64], array![[1.0, 2.0]]);
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let (slot_a, slot_b) = (optimizer.register("a", &a)?, optimizer.register("b", &b)?);
    /// optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
    ///
    /// let (ga, gb) = (array![3.0], array![[0.0, -4.0]]);
    /// let batch = &mut [slot_a.bind(&mut a, &ga), slot_b.bind(&mut b, &gb)];
    /// let report = optimizer.step_with_report(batch)?;
    /// assert_eq!((report.gradient_norm(), report.clip_factor()), (5.0, 0.2));
    /// assert_eq!(report.max_gradient(), 4.0);
    /// assert!((report.max_step() - 0.002).abs() < 1e-8);
    ///
    /// let of_a = optimizer.report(slot_a).unwrap();
    /// assert_eq!((of_a.gradient_norm(), of_a.clip_factor()), (3.0, 0.2));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn step_with_report(&mut self, batch: &mut [Bound<'_, A>]) -> Result<Report, Error> {
        self.report_with(Sequential, batch)
    }

    /// Takes a [`step_with_report`](Optimizer::step_with_report) on the threads of the current rayon
    /// pool, with the same bits. The order of the batch may change. [`par_step`](Optimizer::par_step)
    /// says when threads are used.
    ///
    /// # Errors
    /// As [`step_with_report`](Optimizer::step_with_report).
    ///
    /// # Allocation
    /// As [`par_step`](Optimizer::par_step).
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::Array2;
    ///
    /// let mut x = Array2::<f32>::ones((500, 300));
    /// let g = x.mapv(|x| -0.5 * x);
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// let report = optimizer.par_step_with_report(&mut [slot.bind(&mut x, &g)])?;
    /// assert_eq!(report.max_gradient(), 0.5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[cfg(feature = "rayon")]
    pub fn par_step_with_report(&mut self, batch: &mut [Bound<'_, A>]) -> Result<Report, Error> {
        if Parallel::pays(batch::elements(batch)) {
            self.report_with(Parallel, batch)
        } else {
            self.step_with_report(batch)
        }
    }

    /// Checks a batch for a step that several processes take together, with a report. Otherwise like
    /// [`check`](Optimizer::check).
    ///
    /// The sum of the squares of all gradients is a part of the [`Findings`], also without a norm bound.
    /// All processes must call it, or none.
    ///
    /// # Errors
    /// As [`step`](Optimizer::step).
    ///
    /// # Cost
    /// As [`check`](Optimizer::check); without a norm bound, one more read of the gradients.
    ///
    /// # Allocation
    /// About 2 KB; about 2 KB per tensor for [`MaxNorm::PerTensor`].
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Findings, Optimizer};
    /// use ndarray::array;
    ///
    /// // Two processes with a tensor each.
    /// let (mut a, mut b) = (array![0.0], array![0.0]);
    /// let (ga, gb) = (array![3.0], array![4.0]);
    /// let mut first = Optimizer::new(Adamax::default());
    /// let mut second = Optimizer::new(Adamax::default());
    /// let (slot_a, slot_b) = (first.register("a", &a)?, second.register("b", &b)?);
    ///
    /// let (mut batch_a, mut batch_b) = ([slot_a.bind(&mut a, &ga)], [slot_b.bind(&mut b, &gb)]);
    /// let found_a = first.check_for_report(&mut batch_a);
    /// let found_b = second.check_for_report(&mut batch_b);
    /// let agreed = Findings::of(&found_a).join(&Findings::of(&found_b))?;
    /// let mut report = found_a?.apply_agreed_with_report(&agreed)?;
    /// report.join(&found_b?.apply_agreed_with_report(&agreed)?);
    /// assert_eq!((report.gradient_norm(), report.max_gradient()), (5.0, 4.0));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn check_for_report<'s, 'a>(
        &'s mut self,
        batch: &'s mut [Bound<'a, A>],
    ) -> Result<Checked<'s, 'a, A>, Error> {
        self.check_with(Sequential, batch, Purpose::AgreedReport)
    }

    /// Returns the figures of a tensor in its last step with a report, also if that was skipped. `None`
    /// if there has been none since it was registered, or since its state was restored or set. `None` also
    /// if the slot belongs to another optimizer, or its tensor was removed.
    ///
    /// Steps without a report do not change it. Its norm is that of this gradient alone. With
    /// [`MaxNorm::Global`], its clip factor is that of the batch.
    ///
    /// # Examples
    /// See [`step_with_report`](Optimizer::step_with_report).
    #[must_use]
    pub fn report<D: Dimension>(&self, slot: Slot<D>) -> Option<Report> {
        self.tensors.get(slot)?.report
    }

    #[inline(always)]
    pub(super) fn report_with(
        &mut self,
        execute: impl Execute,
        batch: &mut [Bound<'_, A>],
    ) -> Result<Report, Error> {
        let usual = self.check_structure(batch)?;
        let mut checked = self.begin(batch);
        let norm = checked.measure_all_and_each(execute);
        let moderate = checked.batch.iter().all(|bound| bound.norm.is_moderate::<A>());
        checked.verdict = checked.judge(execute, moderate, usual)?;
        Ok(checked.apply_with_report(execute, norm))
    }
}

/// Steps with a report that several processes take together.
impl<A: Real> Checked<'_, '_, A> {
    /// Takes the step like [`apply_agreed`](Checked::apply_agreed), and says what it did.
    ///
    /// Its norm is that of the gradients of all processes, if
    /// [`check_for_report`](Optimizer::check_for_report) has checked the batch, or if there is a norm
    /// bound. The other figures are those of this process. [`Report::join`] adds the figures of others.
    ///
    /// [`Optimizer::report`] gives the figures of each tensor in this process. With
    /// [`MaxNorm::PerTensor`], its norm is that of all processes.
    ///
    /// # Errors
    /// As [`apply_agreed`](Checked::apply_agreed).
    ///
    /// # Cost
    /// As [`apply_agreed`](Checked::apply_agreed). The norm of each tensor costs one more read of the
    /// gradients, unless it is agreed.
    ///
    /// # Examples
    /// See [`check_for_report`](Optimizer::check_for_report).
    pub fn apply_agreed_with_report(mut self, agreed: &Findings) -> Result<Report, Error> {
        self.agree(agreed)?;
        #[cfg(feature = "rayon")]
        if self.parallel {
            return Ok(self.report_agreed_with(Parallel, agreed));
        }
        Ok(self.report_agreed_with(Sequential, agreed))
    }

    fn report_agreed_with(mut self, execute: impl Execute, agreed: &Findings) -> Report {
        let (clip, mut norm) = (self.clip, agreed.norm());
        if !matches!(self.max_norm, Some(MaxNorm::PerTensor(_))) {
            let own = self.measure_all_and_each(execute);
            norm = norm.or(Some(own));
        }
        self.clip = clip;
        self.apply_with_report(execute, norm.unwrap_or(Norm::ZERO))
    }
}

impl<A: Real> Checked<'_, '_, A> {
    /// Takes the norm of each gradient, and returns that of all.
    fn measure_all_and_each(&mut self, execute: impl Execute) -> Norm {
        let norm = if let [single] = &mut *self.batch {
            // One tensor: the same bits, and often no exact sum of 2 KB to clear.
            single.norm = Norm::of_squares(execute, batch::squares(self.tensors, single));
            single.norm
        } else {
            let mut sum = ExactSum::ZERO;
            // Large gradients are split, one after the other; small ones are distributed.
            for bound in self.batch.iter_mut().filter(|bound| execute.splits(bound.lent.len())) {
                bound.norm = Norm::and_add(execute, batch::squares(self.tensors, bound), &mut sum);
            }
            let tensors = &*self.tensors;
            execute.run_into(Norms(self.batch), &mut sum, |Norms(bounds), sum| {
                for bound in bounds.iter_mut().filter(|bound| !execute.splits(bound.lent.len())) {
                    bound.norm = Norm::and_add(Sequential, batch::squares(tensors, bound), sum);
                }
            });
            sum.root()
        };
        self.clip = match self.max_norm {
            None => Clip::None,
            Some(MaxNorm::Global(bound)) => Clip::of_all(norm, bound),
            Some(MaxNorm::PerTensor(bound)) => Clip::PerTensor(bound),
        };
        norm
    }

    /// The second phase. `norm` is that of all gradients.
    #[inline(always)]
    fn apply_with_report(self, execute: impl Execute, norm: Norm) -> Report {
        let Checked { groups, tensors, batch, lr_scale, verdict, clip, .. } = self;
        let outcome = if verdict == Verdict::Apply { Outcome::Applied } else { Outcome::Skipped };
        if outcome == Outcome::Applied {
            let plan = Plan { groups, lr_scale, clip };
            let mut latest = None;
            for bound in batch.iter_mut().filter(|bound| execute.splits(bound.lent.len())) {
                if let Some(tensor) = tensors.get_mut(bound.index) {
                    step_one(execute, plan, bound, tensor, &mut latest);
                }
            }
            if execute.splits(batch::elements(batch)) {
                // Sorted by place, two halves of the batch borrow disjoint halves of `tensors`.
                batch.sort_unstable_by_key(|bound| bound.index);
            }
            let part = Part { plan, batch, tensors, first: 0 };
            execute.run(Whole(part), |Whole(Part { plan, batch, tensors, first })| {
                let mut latest = None;
                for bound in batch.iter_mut().filter(|bound| !execute.splits(bound.lent.len())) {
                    if let Some(tensor) = tensors.get_mut(bound.index - first) {
                        step_one(Sequential, plan, bound, tensor, &mut latest);
                    }
                }
            });
        } else {
            skip(batch, tensors);
        }
        let mut report = Report::new(outcome, norm, Factor::ONE, Extremes::<A>::EMPTY);
        for bound in &*batch {
            let of_tensor = tensors.get(bound.index).and_then(|tensor| tensor.report);
            debug_assert!(of_tensor.is_some(), "each tensor of the batch has been stepped");
            if let Some(of_tensor) = of_tensor {
                report.include(&of_tensor);
            }
        }
        report
    }
}

/// Steps one tensor and keeps its report.
#[inline(always)]
fn step_one<A: Real>(
    execute: impl Execute,
    plan: Plan<'_, A>,
    bound: &mut Bound<'_, A>,
    tensor: &mut Tensor<A>,
    latest: &mut Option<Scaled<A>>,
) {
    let extremes: Extremes<A> = plan.step(execute, bound, tensor, latest);
    let factor = plan.gradient_scale(bound.norm);
    tensor.report = Some(Report::new(Outcome::Applied, bound.norm, factor, extremes));
}

/// Keeps the reports of a batch that is skipped.
#[cold]
fn skip<A: Real>(batch: &[Bound<'_, A>], tensors: &mut [Tensor<A>]) {
    for bound in batch {
        if let Some(tensor) = tensors.get_mut(bound.index) {
            let extremes = Extremes::of_skipped(bound.lent.gradient());
            tensor.report = Some(Report::new(Outcome::Skipped, bound.norm, Factor::ONE, extremes));
        }
    }
}

/// Tensors of a batch that are each stepped in one piece, so that the figures of a tensor come together.
struct Whole<'s, 'a, A>(Part<'s, 'a, A>);

impl<A: Real> Split for Whole<'_, '_, A> {
    fn len(&self) -> usize {
        batch::elements(self.0.batch)
    }

    fn split(self) -> Result<(Self, Self), Self> {
        if self.0.batch.len() < 2 {
            return Err(self);
        }
        let (a, b) = self.0.halves();
        Ok((Whole(a), Whole(b)))
    }
}
