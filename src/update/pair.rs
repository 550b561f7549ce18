//! A parameter and its gradient without their dimension type, so that one batch can hold many.

use core::borrow::BorrowMut;

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Dimension, IxDyn};

use super::{
    Arrays,
    coefficients::Coefficients,
    contiguous::{self, Observe},
    half::{Gradient, Half, Parameter},
    operands::{Gapless, Gapped, Operands, Shape},
    rehearsal::{self, Obstacle},
    stack_copy::{self, Gaps, Reordered},
};
use crate::{
    error::{Error, Role, same},
    layout::{known, order::Order},
    par::Execute,
    real::Real,
    reduce::{Elements, finite},
    state::{Moments, State},
};

/// A parameter and its gradient, with their layouts recognised. `V` holds views of arrays with gaps:
/// directly, or in a box where the pair should be small.
pub(crate) enum Pair<'a, A, V> {
    /// Of one shape, both without gaps.
    Gapless(Gapless<'a, A>),
    /// At least one with gaps, or of different shapes, or in a memory order that [`Order`] cannot represent.
    Gapped(V),
}

impl<'a, A: Real, V: BorrowMut<Gapped<'a, A>> + From<Gapped<'a, A>>> Pair<'a, A, V> {
    /// Recognises the layouts.
    #[inline(always)]
    pub(crate) fn new<D: Dimension>(
        param: &'a mut ArrayRef<A, D>,
        grad: &'a ArrayRef<A, D>,
    ) -> Self {
        let shape = grad.shape();
        if let Some(g) = grad.as_slice() {
            // Equal strides settle it quickly. If they differ, it may be only at axes of length 1.
            if same(param.shape(), shape)
                && (same(param.strides(), grad.strides()) || param.is_standard_layout())
            {
                let x = known(param.as_slice_mut());
                let shape = Shape::Borrowed(shape);
                let (x_order, g_order) = (Order::ROW_MAJOR, Order::ROW_MAJOR);
                return Pair::Gapless(Gapless { x, g, shape, x_order, g_order });
            }
        }
        // If the function returned a `Pair`, the compiler would build that of row-major arrays in memory, too, and
        // copy it.
        match in_other_orders(param, grad) {
            Ok(slices) => Pair::Gapless(slices),
            Err(views) => Pair::Gapped(views),
        }
    }

    /// Recognises the layouts of views that are taken by value. No shape is left that could be borrowed:
    /// that of one axis at most is a number, and others stay in the views.
    #[inline]
    pub(crate) fn of_views<D: Dimension>(
        param: ArrayViewMut<'a, A, D>,
        grad: ArrayView<'a, A, D>,
    ) -> Self {
        let same = same(param.shape(), grad.shape());
        let shape = match *grad.shape() {
            [] => Some(Shape::Borrowed(&[])),
            [length] => Some(Shape::Length(length)),
            _ => None,
        };
        if let (true, true, Some(shape), Some(g)) =
            (same, param.is_standard_layout(), shape, grad.to_slice())
        {
            let x = known(param.into_slice());
            let (x_order, g_order) = (Order::ROW_MAJOR, Order::ROW_MAJOR);
            return Pair::Gapless(Gapless { x, g, shape, x_order, g_order });
        }
        let orders = Order::of_gapless(&param).zip(Order::of_gapless(&grad));
        let gapless = orders.filter(|_| same).map(|(x, g)| [x, g]);
        Pair::Gapped(V::from(Gapped { x: param.into_dyn(), g: grad.into_dyn(), gapless }))
    }

    /// Returns the pair of a gradient whose parameter is to be [set](Pair::set_parameter).
    #[inline]
    pub(crate) fn of_gradient(shape: &'a [usize], grad: Gradient<'a, A>) -> Self {
        match grad {
            Half::Gapless(g, order) => {
                let (x, shape) = (&mut [][..], Shape::Borrowed(shape));
                Pair::Gapless(Gapless { x, g, shape, x_order: order, g_order: order })
            }
            Half::Gapped(g) => Pair::Gapped(V::from(Gapped { g, ..Gapped::default() })),
        }
    }

    /// Sets the parameter. A gapless one has the shape of the pair.
    #[inline]
    pub(crate) fn set_parameter(&mut self, param: Parameter<'a, A>) {
        match (&mut *self, param) {
            (Pair::Gapless(pair), Half::Gapless(x, order)) => {
                debug_assert_eq!(x.len(), pair.g.len(), "the shapes have been compared");
                (pair.x, pair.x_order) = (x, order);
            }
            (Pair::Gapped(views), param) => {
                let views = views.borrow_mut();
                views.x = match param {
                    Half::Gapped(x) => x,
                    Half::Gapless(x, order) => {
                        let x = order.view_mut(views.g.shape(), x);
                        debug_assert!(x.is_some(), "the slice has the length of the shape");
                        x.unwrap_or_else(|| Gapped::default().x)
                    }
                };
            }
            (Pair::Gapless(Gapless { g, shape, g_order, .. }), Half::Gapped(x)) => {
                let g = g_order.view(shape.as_slice(), g);
                debug_assert!(g.is_some(), "the slice has the length of the shape");
                let g = g.unwrap_or_else(|| Gapped::default().g);
                *self = Pair::Gapped(V::from(Gapped { x, g, gapless: None }));
            }
        }
    }
}

impl<'a, A: Real, V: BorrowMut<Gapped<'a, A>>> Pair<'a, A, V> {
    /// Checks that parameter, gradient and state fit each other, and returns the number of the step.
    #[inline(always)]
    pub(crate) fn check(&self, state: &State<A>) -> Result<u64, Error> {
        match self {
            Pair::Gapless(Gapless { shape, .. }) => state.next_step(shape.as_slice()),
            Pair::Gapped(views) => {
                let Gapped { x, g, .. } = views.borrow();
                Error::check_shapes((Role::Gradient, g.shape()), (Role::Parameter, x.shape()))?;
                state.next_step(x.shape())
            }
        }
    }

    /// Returns the shapes of the parameter and of the gradient.
    pub(crate) fn shapes(&self) -> (&[usize], &[usize]) {
        match self {
            Pair::Gapless(Gapless { shape, .. }) => (shape.as_slice(), shape.as_slice()),
            Pair::Gapped(views) => (views.borrow().x.shape(), views.borrow().g.shape()),
        }
    }

    /// Returns the number of elements of the gradient.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Pair::Gapless(Gapless { g, .. }) => g.len(),
            Pair::Gapped(views) => views.borrow().g.len(),
        }
    }

    /// Returns the gradient.
    #[inline(always)]
    pub(crate) fn gradient(&self) -> Elements<'_, A, IxDyn> {
        match self {
            Pair::Gapless(Gapless { g, shape, g_order, .. }) => {
                Elements::Gapless { values: g, shape: shape.as_slice(), order: *g_order }
            }
            Pair::Gapped(views) => {
                let Gapped { g, gapless, .. } = views.borrow();
                if gapless.is_some() { Elements::of(g) } else { Elements::Gapped(g) }
            }
        }
    }

    /// Returns the parameter.
    fn parameter(&self) -> Elements<'_, A, IxDyn> {
        match self {
            Pair::Gapless(Gapless { x, shape, x_order, .. }) => {
                Elements::Gapless { values: x, shape: shape.as_slice(), order: *x_order }
            }
            Pair::Gapped(views) => {
                let x: &ArrayRef<A, IxDyn> = &views.borrow().x;
                Elements::Gapped(x)
            }
        }
    }

    /// Returns the gradient as a reason if it holds NaN or infinities.
    #[cold]
    pub(crate) fn examine_gradient(&self, execute: impl Execute) -> Option<Obstacle<'_, A, IxDyn>> {
        let gradient = self.gradient();
        (!finite::all_finite(execute, gradient)).then_some(Obstacle::Gradient(gradient))
    }

    /// Returns the reason if a step would bring NaN or infinities into the state or the parameter.
    ///
    /// Not called if gradient, coefficients and state are of the usual ranges.
    #[cold]
    #[inline(never)]
    pub(crate) fn examine<'s>(
        &'s self,
        execute: impl Execute,
        k: &Coefficients<A>,
        state: &'s State<A>,
    ) -> Option<Obstacle<'s, A, IxDyn>> {
        let (x, g) = (self.parameter(), self.gradient());
        let [m, u] = state.elements(self.shapes().0);
        rehearsal::examine(execute, k, state.is_usual(), Operands { x, g, m, u })
    }

    /// Takes a step, after everything has been checked.
    #[inline(always)]
    pub(crate) fn step<S: Observe<A>>(
        &mut self,
        execute: impl Execute,
        k: &Coefficients<A>,
        moments: Moments<'_, A>,
    ) -> S {
        match self {
            Pair::Gapless(Gapless { x, g, x_order, g_order, .. })
                if *x_order == moments.order && *g_order == moments.order =>
            {
                let slices = Operands { x: &mut **x, g: *g, m: moments.m, u: moments.u };
                if execute.splits(slices.x.len()) {
                    return execute.run(slices, |slices| contiguous::update(k, slices));
                }
                // Not by way of a closure, which is not always inlined: this path is for small steps.
                contiguous::update(k, slices)
            }
            _ => self.step_in_other_orders(execute, k, moments),
        }
    }

    #[inline(never)]
    fn step_in_other_orders<S: Observe<A>>(
        &mut self,
        execute: impl Execute,
        k: &Coefficients<A>,
        moments: Moments<'_, A>,
    ) -> S {
        execute.run(self.arrays(moments), |arrays| arrays.update(k))
    }

    /// Returns all arrays of a step, after everything has been checked. This decides in which way they
    /// are updated.
    pub(crate) fn arrays<'s>(&'s mut self, moments: Moments<'s, A>) -> Arrays<'s, 'a, A> {
        let (elements, order) = (moments.m.len(), moments.order);
        match self {
            Pair::Gapless(pair) => {
                if pair.x_order == order && pair.g_order == order {
                    let (Gapless { x, g, .. }, Moments { m, u, .. }) = (pair, moments);
                    return Arrays::Contiguous(Operands { x, g, m, u });
                }
                let other = if pair.g_order == order { pair.x_order } else { pair.g_order };
                let [row, other] =
                    [order, other].map(|order| order.row_length(pair.shape.as_slice()));
                if stack_copy::suits_gapless(elements, row, other) {
                    return Arrays::Reordered(Reordered { pair, moments });
                }
                let Gapless { x, g, shape, x_order, g_order } = pair;
                let shape = shape.as_slice();
                let (x, g) = (x_order.view_mut(shape, x), g_order.view(shape, g));
                strided(x, g, shape, moments)
            }
            Pair::Gapped(views) => {
                let Gapped { x, g, gapless } = views.borrow_mut();
                if *gapless == Some([order; 2]) {
                    let (x, g) = (known(order.slice_mut(x)), known(order.slice(g)));
                    let Moments { m, u, .. } = moments;
                    return Arrays::Contiguous(Operands { x, g, m, u });
                }
                let (x, g) = (x.view_mut(), g.view());
                if stack_copy::suits_gapped(elements, order.row_length(x.shape())) {
                    let (x, g) = (order.to_memory(x), order.to_memory(g));
                    let Moments { m, u, .. } = moments;
                    return Arrays::Gaps(Gaps { x, g, m, u });
                }
                let shape = x.raw_dim();
                strided(Some(x), Some(g), shape.slice(), moments)
            }
        }
    }
}

/// Recognises the layouts of arrays of which at least one is not row-major. Returns views as `Err`
/// if the arrays have gaps or different shapes, or if [`Order`] cannot represent an order.
#[inline(never)]
fn in_other_orders<'a, A: Real, D: Dimension, V: From<Gapped<'a, A>>>(
    param: &'a mut ArrayRef<A, D>,
    grad: &'a ArrayRef<A, D>,
) -> Result<Gapless<'a, A>, V> {
    let shape = grad.shape();
    let orders = if same(param.shape(), shape) {
        Order::of_gapless(param).zip(Order::of_gapless(grad))
    } else {
        None
    };
    if let Some((x_order, g_order)) = orders {
        let (x, g) = (known(x_order.slice_mut(param)), known(g_order.slice(grad)));
        let shape = Shape::Borrowed(shape);
        return Ok(Gapless { x, g, shape, x_order, g_order });
    }
    let (x, g) = (param.view_mut().into_dyn(), grad.view().into_dyn());
    Err(V::from(Gapped { x, g, gapless: None }))
}

/// Returns arrays of any layouts, to be updated row by row.
fn strided<'s, 'a, A: Real>(
    x: Option<ArrayViewMut<'s, A, IxDyn>>,
    g: Option<ArrayView<'s, A, IxDyn>>,
    shape: &[usize],
    Moments { m, u, order }: Moments<'s, A>,
) -> Arrays<'s, 'a, A> {
    let (m, u) = (order.view_mut(shape, m), order.view_mut(shape, u));
    let arrays = Operands { x, g, m, u }.transpose();
    debug_assert!(arrays.is_some(), "each slice has the length of the shape");
    arrays.map_or_else(
        || Arrays::Contiguous(Operands::default()),
        |views| Arrays::Strided(views.arranged()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Adamax;
    use ndarray::Array3;

    /// Makes arrays of shape (50, `width`, 20): row-major, and with the second axis innermost.
    fn arrays_of(width: usize) -> [Array3<f64>; 2] {
        let swapped = Array3::zeros((50, 20, width)).permuted_axes([0, 2, 1]);
        [Array3::zeros(swapped.raw_dim()), swapped]
    }

    /// A plane has the innermost axes of both orders.
    #[test]
    fn arrays_with_small_planes_are_copied_whichever_is_in_another_order() {
        let k = Coefficients::<f64>::new(&Adamax::default(), 1, 1.0);
        for (width, is_copied) in [(102, true), (103, false)] {
            let [mut plain, mut swapped] = arrays_of(width);
            let (g, swapped_g) = (plain.clone(), swapped.clone());
            for (x, g) in [(&mut plain, &swapped_g), (&mut swapped, &g)] {
                let mut state = State::zeros_like(&g.as_standard_layout());
                let mut pair = Pair::<'_, f64, Gapped<'_, f64>>::new(x, g);
                let arrays = pair.arrays(state.begin_step(k.keeps()));
                assert_eq!(matches!(arrays, Arrays::Reordered(_)), is_copied, "{width}");
                assert_eq!(matches!(arrays, Arrays::Strided(_)), !is_copied, "{width}");
            }
        }
    }

    /// It is not handed to an executor, which would cost more than the step.
    #[cfg(feature = "std")]
    #[test]
    fn a_small_step_in_one_order_is_taken_at_once() {
        use crate::par::halving::{Halving, MOST};
        use std::sync::Mutex;

        let k = Coefficients::<f64>::new(&Adamax::default(), 1, 1.0);
        for (length, is_small) in [(MOST, true), (MOST + 1, false)] {
            let mut x = Array3::zeros((1, 1, length));
            let g = Array3::ones(x.raw_dim());
            let (mut state, runs) = (State::zeros_like(&x), Mutex::default());
            let mut pair = Pair::<'_, f64, Gapped<'_, f64>>::new(&mut x, &g);
            pair.step::<()>(Halving(&runs), &k, state.begin_step(k.keeps()));
            assert_eq!(runs.into_inner().unwrap().is_empty(), is_small, "{length}");
            assert!(x.iter().all(|&x| x < 0.0), "{length}");
        }
    }
}
