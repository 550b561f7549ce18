//! A parameter and its gradient without their dimension type, so that one batch can hold many.

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension, IxDyn, aview1};

use crate::{
    error::{Error, Role, same},
    par::Fork,
    real::Real,
    reduce::finite,
    reduce::norm::Norm,
    state::{Parts, State},
    update::coefficients::Coefficients,
    update::contiguous::Lane,
    update::{self, Views, Walk},
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

    /// The gradient in the order of memory, if that has no gaps.
    pub(crate) fn gradient_without_gaps(&self) -> Option<&[A]> {
        match self {
            Pair::Flat { g, .. } => Some(g),
            Pair::Views { g, .. } => g.as_slice_memory_order(),
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

    /// What there is to walk in a step, after everything has been checked.
    pub(crate) fn walk<'s>(&'s mut self, Parts { m, u, .. }: Parts<'s, A>) -> Walk<'s, A> {
        let standard = m.is_standard_layout() && u.is_standard_layout();
        let (m, u) = (m.view_mut(), u.view_mut());
        let (x, g) = match self {
            Pair::Views { x, g } => (x.view_mut(), g.view()),
            Pair::Flat { x, g, shape } => {
                if standard {
                    // The defaults are for a standard layout that is no slice: there is none.
                    let (m, u) = (m.into_slice(), u.into_slice());
                    let (m, u) = (m.unwrap_or_default(), u.unwrap_or_default());
                    return Walk::Lane(Lane { x, g, m, u });
                }
                // The parameter had another memory order when its state was made.
                match (ArrayViewMut::from_shape(*shape, x), ArrayView::from_shape(*shape, g)) {
                    (Ok(x), Ok(g)) => (x, g),
                    _ => return Walk::Lane(Lane::default()), // not possible
                }
            }
        };
        Walk::Views(Views::new(x, g, m, u))
    }

    /// Takes a step, after everything has been checked.
    #[inline(always)]
    pub(crate) fn step(&mut self, fork: impl Fork, k: &Coefficients<A>, parts: Parts<'_, A>) {
        *parts.steps += 1;
        match self {
            Pair::Views { x, g } => return update::update(fork, k, x, g, parts.m, parts.u),
            Pair::Flat { x, g, .. } => {
                if let (Some(m), Some(u)) = (parts.m.as_slice_mut(), parts.u.as_slice_mut()) {
                    return update::update_lane(fork, k, Lane { x, g, m, u });
                }
            }
        }
        fork.each(self.walk(parts), |walk| walk.update(k));
    }
}
