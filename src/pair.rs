//! A parameter and its gradient without their dimension type, so that one batch can hold many.

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension, IxDyn, aview1};

use crate::{
    clip::Norm,
    error::{Error, Role, same},
    finite,
    fork::Fork,
    kernel::Coefficients,
    real::Real,
    state::{Parts, State},
    walk,
};

pub(crate) enum Pair<'a, A> {
    /// Of one shape, both in row-major order without gaps: as good as always, and cheap to make.
    Flat { x: &'a mut [A], g: &'a [A], shape: &'a [usize] },
    /// Anything else, different shapes included.
    Views { x: ArrayViewMut<'a, A, IxDyn>, g: ArrayView<'a, A, IxDyn> },
}

impl<'a, A: Real> Pair<'a, A> {
    #[inline(always)]
    pub(crate) fn new<D: Dimension>(
        param: &'a mut ArrayRef<A, D>,
        grad: &'a ArrayRef<A, D>,
    ) -> Self {
        let shape = grad.shape();
        if let Some(g) = grad.as_slice() {
            // Strides tell sooner, but axes of length 1 may have any.
            if same(param.shape(), shape)
                && (same(param.strides(), grad.strides()) || param.is_standard_layout())
            {
                // The default is for a standard layout that is no slice: there is none.
                return Pair::Flat { x: param.as_slice_mut().unwrap_or_default(), g, shape };
            }
        }
        Pair::Views { x: param.view_mut().into_dyn(), g: grad.view().into_dyn() }
    }

    /// Checks that parameter, gradient and state fit each other; returns the number of the step.
    #[inline(always)]
    pub(crate) fn check(&self, state: &State<A>) -> Result<u64, Error> {
        match self {
            Pair::Flat { shape, .. } => state.next_step(shape),
            Pair::Views { x, g } => {
                Error::check_shapes((Role::Gradient, g.shape()), (Role::Parameter, x.shape()))?;
                state.next_step(x.shape())
            }
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
    #[inline]
    pub(crate) fn norm(&self, fork: impl Fork) -> Norm {
        match self {
            Pair::Flat { g, .. } => Norm::of(fork, &aview1(g)),
            Pair::Views { g, .. } => Norm::of(fork, g),
        }
    }

    /// Whether the gradient is finite.
    #[inline(always)]
    pub(crate) fn is_finite(&self, fork: impl Fork) -> bool {
        match self {
            Pair::Flat { g, .. } => finite::all_finite_lane(fork, g),
            Pair::Views { g, .. } => finite::all_finite(fork, g),
        }
    }

    /// Says where the gradient is not finite.
    #[cold]
    pub(crate) fn refusal(&self) -> Error {
        match self {
            Pair::Flat { g, shape, .. } => match ArrayView::from_shape(*shape, g) {
                Ok(g) => finite::refusal(Role::Gradient, &g),
                Err(_) => finite::refusal(Role::Gradient, &aview1(g)),
            },
            Pair::Views { g, .. } => finite::refusal(Role::Gradient, g),
        }
    }

    /// Takes a step, after everything has been checked.
    #[inline(always)]
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
