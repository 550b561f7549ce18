//! A parameter and its gradient without their dimension type, so that one batch can hold many.

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension, IxDyn, aview1};

use crate::{
    clip::Norm,
    error::Error,
    fork::Fork,
    kernel::Coefficients,
    real::Real,
    rule::Adamax,
    state::{Parts, State},
    step::{self, Outcome},
    walk,
};

pub(crate) enum Pair<'a, A> {
    /// Of one shape, both in row-major order without gaps: as good as always, and cheap to make.
    Flat { x: &'a mut [A], g: &'a [A], shape: &'a [usize] },
    /// Anything else, different shapes included.
    Views { x: ArrayViewMut<'a, A, IxDyn>, g: ArrayView<'a, A, IxDyn> },
}

impl<'a, A: Real> Pair<'a, A> {
    #[inline]
    pub(crate) fn new<D: Dimension>(
        param: &'a mut ArrayRef<A, D>,
        grad: &'a ArrayRef<A, D>,
    ) -> Self {
        let shape = grad.shape();
        match grad.as_slice() {
            Some(g) if shape.iter().eq(param.shape()) && param.is_standard_layout() => {
                // The default is for a standard layout that is no slice: there is none.
                Pair::Flat { x: param.as_slice_mut().unwrap_or_default(), g, shape }
            }
            _ => Pair::Views { x: param.view_mut().into_dyn(), g: grad.view().into_dyn() },
        }
    }

    /// Checks that parameter, gradient and state fit each other; returns the number of the step.
    #[inline]
    pub(crate) fn check(&self, state: &State<A>) -> Result<u64, Error> {
        match self {
            Pair::Flat { shape, .. } => step::check_state(state, shape),
            Pair::Views { x, g } => step::check(state, x.shape(), g.shape()),
        }
    }

    /// Shape of the parameter, shape of the gradient.
    pub(crate) fn shapes(&self) -> (&[usize], &[usize]) {
        match self {
            Pair::Flat { shape, .. } => (shape, shape),
            Pair::Views { x, g } => (x.shape(), g.shape()),
        }
    }

    /// Number of elements of the gradient.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Pair::Flat { g, .. } => g.len(),
            Pair::Views { g, .. } => g.len(),
        }
    }

    /// Norm of the gradient.
    pub(crate) fn norm(&self, fork: impl Fork) -> Norm {
        match self {
            Pair::Flat { g, .. } => Norm::of(fork, &aview1(g)),
            Pair::Views { g, .. } => Norm::of(fork, g),
        }
    }

    /// Applies the rule's policy to the gradient, if that is not finite.
    #[inline]
    pub(crate) fn admit(&self, fork: impl Fork, rule: &Adamax) -> Result<Outcome, Error> {
        match self {
            Pair::Flat { g, shape, .. } => {
                step::admit(fork, rule, &aview1(g)).map_err(|error| error.unflatten(shape))
            }
            Pair::Views { g, .. } => step::admit(fork, rule, g),
        }
    }

    /// Takes a step, after everything has been checked.
    #[inline]
    pub(crate) fn step(
        &mut self,
        fork: impl Fork,
        k: &Coefficients<A>,
        Parts { m, u, steps }: Parts<'_, A>,
    ) {
        match self {
            Pair::Flat { x, g, shape } => walk::update_flat(fork, k, shape, x, g, m, u),
            Pair::Views { x, g } => walk::update(fork, k, x, g, m, u),
        }
        *steps += 1;
    }
}
