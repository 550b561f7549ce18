//! The arrays that a user lends for one step: a tensor and its gradient, or some rows of a table and theirs.

use alloc::boxed::Box;
use core::borrow::{Borrow, BorrowMut};

use ndarray::IxDyn;

use crate::{
    error::Error,
    par::Execute,
    real::Real,
    reduce::Elements,
    state::State,
    tensors::outline::Misfit,
    update::{
        coefficients::Coefficients, operands::Gapped, pair::Pair, rehearsal::Obstacle, rows::Rows,
    },
};

/// A tensor, or some rows of a table, with gradients.
pub(super) enum Lent<'a, A> {
    Tensor(BoundPair<'a, A>),
    Rows(Rows<'a, A>),
}

/// Views with gaps are in a box, so that a batch of many small tensors takes little memory.
pub(super) type BoundPair<'a, A> = Pair<'a, A, Box<Boxed<'a, A>>>;

/// The parts of a pair that only few tensors of a batch have.
pub(super) struct Boxed<'a, A> {
    views: Gapped<'a, A>,
    /// The reason why a model could not be bound. Then there is nothing in the views.
    misfit: Option<Misfit>,
}

impl<'a, A> From<Gapped<'a, A>> for Box<Boxed<'a, A>> {
    fn from(views: Gapped<'a, A>) -> Self {
        Box::new(Boxed { views, misfit: None })
    }
}

impl<'a, A> Borrow<Gapped<'a, A>> for Box<Boxed<'a, A>> {
    fn borrow(&self) -> &Gapped<'a, A> {
        &self.views
    }
}

impl<'a, A> BorrowMut<Gapped<'a, A>> for Box<Boxed<'a, A>> {
    fn borrow_mut(&mut self) -> &mut Gapped<'a, A> {
        &mut self.views
    }
}

impl<A: Real> Lent<'_, A> {
    /// Returns what stands in a batch for a model that does not have the registered tensors.
    #[cold]
    pub(super) fn misfit(misfit: Misfit) -> Self {
        let boxed = Boxed { views: Gapped::default(), misfit: Some(misfit) };
        Lent::Tensor(Pair::Gapped(Box::new(boxed)))
    }

    /// Returns the reason why a model could not be bound, if it could not.
    #[cold]
    pub(super) fn reason(&self) -> Option<&Misfit> {
        match self {
            Lent::Tensor(Pair::Gapped(boxed)) => boxed.misfit.as_ref(),
            _ => None,
        }
    }

    /// Checks that the arrays fit each other and the state. Returns the number of the step; for rows the
    /// smallest, which has the largest step size.
    #[inline(always)]
    pub(super) fn check(&self, state: &State<A>) -> Result<u64, Error> {
        match self {
            Lent::Tensor(pair) => pair.check(state),
            Lent::Rows(rows) => rows.check(state),
        }
    }

    /// Returns the shapes of the parameter and of the gradient.
    pub(super) fn shapes(&self) -> (&[usize], &[usize]) {
        match self {
            Lent::Tensor(pair) => pair.shapes(),
            Lent::Rows(rows) => rows.shapes(),
        }
    }

    /// Returns the number of elements of the gradient.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Lent::Tensor(pair) => pair.len(),
            Lent::Rows(rows) => rows.len(),
        }
    }

    /// Returns the gradient.
    #[inline(always)]
    pub(super) fn gradient(&self) -> Elements<'_, A, IxDyn> {
        match self {
            Lent::Tensor(pair) => pair.gradient(),
            Lent::Rows(rows) => rows.gradient(),
        }
    }

    /// Returns the gradient as a reason if it holds NaN or infinities.
    #[cold]
    pub(super) fn examine_gradient(&self, execute: impl Execute) -> Option<Obstacle<'_, A, IxDyn>> {
        match self {
            Lent::Tensor(pair) => pair.examine_gradient(execute),
            Lent::Rows(rows) => rows.examine_gradient(),
        }
    }

    /// Returns the reason if a step would bring NaN or infinities into the state or the parameter.
    /// `coefficients` are those of step t.
    #[cold]
    pub(super) fn examine<'s>(
        &'s self,
        execute: impl Execute,
        coefficients: impl Fn(u64) -> Coefficients<A>,
        state: &'s State<A>,
    ) -> Option<Obstacle<'s, A, IxDyn>> {
        match self {
            Lent::Tensor(pair) => pair.examine(execute, &coefficients(state.steps() + 1), state),
            Lent::Rows(rows) => rows.examine(coefficients, state),
        }
    }
}
