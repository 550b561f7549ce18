//! The result of checking a batch, in a form that can be sent to other processes.

use alloc::vec::Vec;

use super::max_norm::MaxNorm;
use crate::{
    error::{Detail, Error},
    reduce::{exact_sum::ExactSum, norm::Norm},
};

/// The result of checking a batch: the verdict, and the sums of squares that norms need.
///
/// Several processes, or threads, may each hold some of the tensors of a model, or a part of each
/// tensor. They have to agree before any of them writes. Each process checks its batch, turns its
/// findings into plain words and sends them to the others. Each joins the findings of all, its own
/// included, and applies the step with the result. The order of joining does not matter.
///
/// ```text
/// check ─ Findings::of ─ to_words ─ (send, receive) ─ from_words ─ join ─ apply_agreed
/// ```
///
/// For a [`Report`](crate::Report) of the step: `check_for_report` and `apply_agreed_with_report`.
///
/// If one of them refuses the step, all of them refuse it. If one skips it, all skip it. A global norm
/// is the norm of all gradients of all processes. Norms per tensor are joined by place in the batch:
/// each process binds its part of a tensor at the same place, and an empty array if it holds no part.
/// (Bind anew for each step: [`par_check`](crate::Optimizer#method.par_check) may change the order.)
///
/// Give all processes the same policies for gradients that are not finite: by way of a global norm, a
/// process that propagates NaN passes it on to all.
///
/// A thread that waits for others within a rayon pool must have that pool for itself.
///
/// # Precision
/// Squares are added exactly. A norm has the bits that one process gives if tensors are distributed
/// whole, or as [`Part`](crate::Part)s that are registered with
/// [`register_part`](crate::Optimizer::register_part). A vector may also be cut at multiples of 512
/// elements, and its pieces be registered as vectors.
///
/// # Examples
/// ```
/// use adamax::{Adamax, Findings, MaxNorm, Optimizer, Outcome};
/// use ndarray::array;
///
/// // Two processes with a tensor each. Their gradients have a common norm of 5.
/// let (mut a, mut b) = (array![0.0], array![0.0]);
/// let (ga, gb) = (array![3.0], array![4.0]);
/// let mut first = Optimizer::new(Adamax::default());
/// let mut second = Optimizer::new(Adamax::default());
/// let (slot_a, slot_b) = (first.register("a", &a)?, second.register("b", &b)?);
/// first.set_max_norm(Some(MaxNorm::Global(2.5)))?;
/// second.set_max_norm(Some(MaxNorm::Global(2.5)))?;
///
/// let (mut batch_a, mut batch_b) = ([slot_a.bind(&mut a, &ga)], [slot_b.bind(&mut b, &gb)]);
/// let (found_a, found_b) = (first.check(&mut batch_a), second.check(&mut batch_b));
/// let words = Findings::of(&found_a).to_words();              // sent from the first to the second
/// let agreed = Findings::from_words(&words)?.join(&Findings::of(&found_b))?;
/// assert_eq!(found_a?.apply_agreed(&agreed)?, Outcome::Applied);
/// assert_eq!(found_b?.apply_agreed(&agreed)?, Outcome::Applied);
/// drop((batch_a, batch_b));
/// assert_eq!(first.state(slot_a).unwrap().inf_norm()[[0]], 1.5);    // halved
/// assert_eq!(second.state(slot_b).unwrap().inf_norm()[[0]], 2.0);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Findings {
    verdict: Verdict,
    max_norm: Option<MaxNorm>,
    sums: Sums,
}

/// The decision about a batch. `Refuse` prevails over `Skip`, and `Skip` over `Apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Apply,
    Skip,
    Refuse,
}

/// Exact sums of squares: one for a global norm, one per tensor for norms per tensor.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums(Vec<ExactSum>);

impl Sums {
    pub(super) fn new(sums: Vec<ExactSum>) -> Self {
        Sums(sums)
    }
}

/// The first word: the format and its version.
const FORM: u64 = u64::from_le_bytes(*b"adamax 1");

impl PartialEq for Findings {
    /// Compares the words, so that equal sums are equal however they were added, and NaN equals NaN.
    fn eq(&self, other: &Self) -> bool {
        self.to_words() == other.to_words()
    }
}

impl Findings {
    pub(super) fn new(verdict: Verdict, max_norm: Option<MaxNorm>, sums: Option<&Sums>) -> Self {
        Findings { verdict, max_norm, sums: sums.cloned().unwrap_or_default() }
    }

    /// Joins the findings of another process with these.
    ///
    /// # Errors
    /// [`ErrorKind::Agreement`](crate::ErrorKind::Agreement) if the norm bounds differ or, with norms
    /// per tensor, the numbers of tensors.
    pub fn join(mut self, other: &Findings) -> Result<Self, Error> {
        let refused = Verdict::Refuse;
        if self.verdict == refused || other.verdict == refused {
            return Ok(Findings::new(refused, None, None));
        }
        if self.max_norm != other.max_norm || self.sums.0.len() != other.sums.0.len() {
            return Err(Detail::OtherNorms.into());
        }
        self.verdict = self.verdict.max(other.verdict);
        self.sums.0.iter_mut().zip(&other.sums.0).for_each(|(sum, other)| sum.add_sum(other));
        Ok(self)
    }

    /// Returns the findings as numbers to send. [`from_words`](Findings::from_words) reads them; all
    /// processes must run the same release of this crate.
    ///
    /// Global norms take about 15 words, whatever the number of tensors; norms per tensor about 10
    /// words per tensor.
    #[must_use]
    pub fn to_words(&self) -> Vec<u64> {
        let verdict = match self.verdict {
            Verdict::Apply => 0,
            Verdict::Skip => 1,
            Verdict::Refuse => 2,
        };
        let (kind, bound) = match self.max_norm {
            None => (0, 0.0),
            Some(MaxNorm::Global(bound)) => (1, bound),
            Some(MaxNorm::PerTensor(bound)) => (2, bound),
        };
        let count = u64::try_from(self.sums.0.len()).unwrap_or(u64::MAX);
        let mut words = Vec::from([FORM, verdict, kind, bound.to_bits(), count]);
        self.sums.0.iter().for_each(|sum| sum.write_words(&mut words));
        words
    }

    /// Reads what [`to_words`](Findings::to_words) has written.
    ///
    /// # Errors
    /// [`ErrorKind::Agreement`](crate::ErrorKind::Agreement) if the words are something else.
    pub fn from_words(words: &[u64]) -> Result<Self, Error> {
        Self::parse(words).ok_or_else(|| Detail::NoFindings.into())
    }

    fn parse(words: &[u64]) -> Option<Self> {
        let (&[FORM, verdict, kind, bound, count], mut rest) = words.split_first_chunk()? else {
            return None;
        };
        let verdict = match verdict {
            0 => Verdict::Apply,
            1 => Verdict::Skip,
            2 => Verdict::Refuse,
            _ => return None,
        };
        let bound = f64::from_bits(bound);
        let max_norm = match kind {
            0 => None,
            1 => Some(MaxNorm::Global(bound)),
            2 => Some(MaxNorm::PerTensor(bound)),
            _ => return None,
        };
        max_norm.map_or(Ok(()), MaxNorm::check).ok()?;
        let mut sums = Vec::new();
        while !rest.is_empty() {
            sums.push(ExactSum::read_words(&mut rest)?);
        }
        let expected = usize::try_from(count).ok()?;
        (sums.len() == expected).then_some(Findings { verdict, max_norm, sums: Sums(sums) })
    }

    /// Checks that norm bound and number of norms are those of the batch, and returns the verdict.
    pub(super) fn check(
        &self,
        max_norm: Option<MaxNorm>,
        tensors: usize,
    ) -> Result<Verdict, Error> {
        if self.verdict == Verdict::Refuse {
            return Err(Detail::RefusedElsewhere.into());
        }
        let found = self.sums.0.len();
        let fits = match max_norm {
            None => found <= 1, // one of them is for a report
            Some(MaxNorm::Global(_)) => found == 1,
            Some(MaxNorm::PerTensor(_)) => found == tensors,
        };
        if self.max_norm == max_norm && fits {
            Ok(self.verdict)
        } else {
            Err(Detail::OtherNorms.into())
        }
    }

    /// Returns the norm of all gradients together; `None` if there are no sums of squares.
    pub(super) fn norm(&self) -> Option<Norm> {
        let (first, others) = self.sums.0.split_first()?;
        let mut total = first.clone();
        for sum in others {
            total.add_sum(sum);
        }
        Some(total.root())
    }

    pub(super) fn norms(&self) -> impl Iterator<Item = Norm> {
        self.sums.0.iter().map(ExactSum::root)
    }
}
