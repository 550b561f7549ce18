//! Steps of many tensors that say what they did: the two phases of `batch`, with the norm of each
//! gradient in the first, and the figures of each tensor in the second.

use ndarray::Dimension;

use super::{
    Optimizer,
    batch::{self, Checked, Clip, Norms, Part, Plan},
    findings::Verdict,
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
    fn report_with(
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

impl<A: Real> Checked<'_, '_, A> {
    /// Takes the norm of each gradient, and returns that of all.
    fn measure_all_and_each(&mut self, execute: impl Execute) -> Norm {
        let norm = if let [single] = &mut *self.batch {
            // One tensor: the same bits, and often no exact sum of 2 KB to clear.
            single.norm = Norm::of(execute, single.lent.gradient());
            single.norm
        } else {
            let mut sum = ExactSum::ZERO;
            // Large gradients are split, one after the other; small ones are distributed.
            for bound in self.batch.iter_mut().filter(|bound| execute.splits(bound.lent.len())) {
                bound.norm = Norm::and_add(execute, bound.lent.gradient(), &mut sum);
            }
            execute.run_into(Norms(self.batch), &mut sum, |Norms(batch), sum| {
                for bound in batch.iter_mut().filter(|bound| !execute.splits(bound.lent.len())) {
                    bound.norm = Norm::and_add(Sequential, bound.lent.gradient(), sum);
                }
            });
            sum.root()
        };
        self.clip = match self.max_norm {
            None => Clip::Factor(Factor::ONE),
            Some(MaxNorm::Global(bound)) => Clip::Factor(norm.factor(bound)),
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
            for bound in batch.iter_mut().filter(|bound| execute.splits(bound.lent.len())) {
                if let Some(tensor) = tensors.get_mut(bound.index) {
                    step_one(execute, plan, bound, tensor);
                }
            }
            if execute.splits(batch::elements(batch)) {
                // Sorted by place, two halves of the batch borrow disjoint halves of `tensors`.
                batch.sort_unstable_by_key(|bound| bound.index);
            }
            let part = Part { plan, batch, tensors, first: 0 };
            execute.run(Whole(part), |Whole(Part { plan, batch, tensors, first })| {
                for bound in batch.iter_mut().filter(|bound| !execute.splits(bound.lent.len())) {
                    if let Some(tensor) = tensors.get_mut(bound.index - first) {
                        step_one(Sequential, plan, bound, tensor);
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
) {
    let extremes: Extremes<A> = plan.step(execute, bound, tensor);
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
