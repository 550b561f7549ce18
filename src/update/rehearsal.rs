//! The search for elements that an update would make NaN or infinite, before anything is written.
//!
//! Hardly any step needs it, because ranges rule it out.

use ndarray::{ArrayView, Dimension, IxDyn};

use super::{coefficients::Coefficients, contiguous, operands::Operands};
use crate::{
    error::{Detail, Error, Role},
    par::Execute,
    real::Real,
    reduce::{
        Elements,
        finite::{self, MODERATE},
    },
};

/// Elements that are copied and updated at a time.
const PART: usize = 128;

/// The reason why a step would not be finite. A step that is skipped needs no error, which would allocate.
pub(crate) enum Obstacle<'a, A, D> {
    /// The gradient holds NaN or an infinity.
    Gradient(Elements<'a, A, D>),
    /// The update would give one.
    Element { x: Elements<'a, A, D>, position: usize, role: Role, value: f64 },
    /// Either, in a row of a table. `place` counts the gradients; `shape` is that of the row.
    Row { place: usize, row: usize, fault: Fault, shape: &'a [usize] },
}

/// An element that is to blame.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// In logical order.
    position: usize,
    role: Role,
    value: f64,
    /// True if it becomes infinite only by the step.
    by_step: bool,
}

impl<A: Real, D: Dimension> Obstacle<'_, A, D> {
    /// Names the first element that is to blame.
    #[cold]
    pub(crate) fn into_error(self) -> Error {
        let (fault, row, shape) = match self {
            Obstacle::Row { place, row, fault, shape } => {
                (fault, Some((place, row)), shape.to_vec())
            }
            Obstacle::Gradient(array) | Obstacle::Element { x: array, .. } => {
                (self.fault(), None, array.view().shape().to_vec())
            }
        };
        let Fault { position, role, value, by_step } = fault;
        let mut index = finite::index_of(position, &shape);
        match row {
            Some((place, row)) if role == Role::Gradient => {
                index.insert(0, place);
                return Detail::NonFiniteInRow { role, row, index, value }.into();
            }
            Some((_, row)) => index.insert(0, row),
            None => {}
        }
        if by_step {
            Detail::WouldOverflow { role, index, value }.into()
        } else {
            Detail::NonFinite { role, index, value }.into()
        }
    }

    /// Finds the element. This allocates nothing.
    #[cold]
    pub(crate) fn fault(&self) -> Fault {
        match *self {
            Obstacle::Row { fault, .. } => fault,
            Obstacle::Gradient(g) => {
                let g = g.view();
                let found = g.iter().enumerate().find(|(_, value)| !value.is_finite());
                debug_assert!(found.is_some(), "such an element has been seen");
                let (position, value) = found.map_or((0, f64::NAN), |(at, g)| (at, g.widen()));
                Fault { position, role: Role::Gradient, value, by_step: false }
            }
            Obstacle::Element { x, position, role, value } => {
                let by_step = x.view().iter().nth(position).is_none_or(|x| x.is_finite());
                Fault { position, role, value, by_step }
            }
        }
    }
}

/// Returns true if coefficients, state and gradient are of the usual ranges, which give finite numbers.
/// `usual_state`: the state is finite and balanced.
#[inline(always)]
pub(crate) fn is_usual<A: Real, D: Dimension>(
    execute: impl Execute,
    k: &Coefficients<A>,
    usual_state: bool,
    g: Elements<'_, A, D>,
) -> bool {
    k.is_bounded() && usual_state && finite::all_below(execute, g, MODERATE)
}

/// Returns the reason if a step would bring NaN or infinities into the state or the parameter: the first
/// element, in logical order. Elements that are not finite already do not count, unless L2
/// regularisation would spread them. `usual_state`: the state is finite and balanced.
pub(crate) fn examine<'a, A: Real, D: Dimension>(
    execute: impl Execute,
    k: &Coefficients<A>,
    usual_state: bool,
    arrays: Operands<Elements<'a, A, D>, Elements<'a, A, D>>,
) -> Option<Obstacle<'a, A, D>> {
    let Operands { x, g, m, .. } = arrays;
    let is_below = |array, margin| finite::all_below(execute, array, margin);
    // Ranges that rule out an overflow: first by the ratio of the moments, then by ε.
    let of_parameter = k.margin_of_parameter().filter(|_| usual_state);
    let by_ratio = || {
        of_parameter
            .is_some_and(|margin| is_below(g, MODERATE) && (!k.has_l2() || is_below(x, margin)))
    };
    let by_epsilon =
        || k.margin_of_moment().is_some_and(|margin| is_below(g, margin) && is_below(m, margin));
    // The usual case with L2, at the cost of two reads.
    if k.has_l2() && by_ratio() {
        return None;
    }
    if !is_below(g, 0) {
        return Some(Obstacle::Gradient(g));
    }
    if by_ratio() || by_epsilon() {
        return None;
    }
    let found = rehearse(k, &arrays.map(Elements::view, Elements::view));
    found.map(|(position, role, value)| Obstacle::Element { x, position, role, value })
}

/// Updates copies of all elements, and returns position, array and value of the first that is bad.
fn rehearse<A: Real>(
    k: &Coefficients<A>,
    arrays: &Operands<ArrayView<'_, A, IxDyn>, ArrayView<'_, A, IxDyn>>,
) -> Option<(usize, Role, f64)> {
    let Operands { x, g, m, u } = arrays;
    let same_order = [g, m, u].iter().all(|array| array.strides() == x.strides());
    let slices = [x, g, m, u].map(|array| array.as_slice_memory_order().filter(|_| same_order));
    if let [Some(x), Some(g), Some(m), Some(u)] = slices {
        // The order of memory is faster, but does not tell which element is the first.
        first_bad(k, [x, g, m, u].map(|slice| slice.iter().copied()))?;
    }
    first_bad(k, [x, g, m, u].map(|array| array.iter().copied()))
}

/// Updates copies of the elements, and returns position, array and value of the first that is bad.
fn first_bad<A: Real>(
    k: &Coefficients<A>,
    [x, g, m, u]: [impl Iterator<Item = A>; 4],
) -> Option<(usize, Role, f64)> {
    let mut elements = x.zip(g).zip(m.zip(u)).map(|((x, g), (m, u))| [x, g, m, u]);
    for start in (0..).step_by(PART) {
        let mut buffers = [[A::ZERO; PART]; 4];
        let mut length = 0;
        for (place, element) in elements.by_ref().take(PART).enumerate() {
            for (to, value) in buffers.iter_mut().filter_map(|b| b.get_mut(place)).zip(element) {
                *to = value;
            }
            length += 1;
        }
        if length == 0 {
            break;
        }
        let old = buffers;
        let [x, g, m, u] = buffers.each_mut().map(|b| b.get_mut(..length).unwrap_or_default());
        contiguous::update::<A, ()>(k, Operands { x, g, m, u });
        if buffers.iter().all(|values| A::all_below(values, 0)) {
            continue;
        }
        let [old, new] = [&old, &buffers].map(|[x, _, m, u]| x.iter().zip(m).zip(u).take(length));
        let bad =
            old.zip(new).enumerate().find_map(|(place, (((x, m), u), ((new_x, new_m), new_u)))| {
                let roles = [Role::FirstMoment, Role::InfNorm, Role::Parameter];
                let changes = [(m, new_m), (u, new_u), (x, new_x)];
                let is_lost =
                    |(_, (old, new)): &(Role, (&A, &A))| old.is_finite() && !new.is_finite();
                let (role, (_, value)) = roles.into_iter().zip(changes).find(is_lost)?;
                let cause = if x.is_finite() { (role, value) } else { (Role::Parameter, x) };
                Some((start + place, cause.0, cause.1.widen()))
            });
        if bad.is_some() {
            return bad;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{par::Sequential, rule::Adamax};
    use ndarray::aview1;

    #[test]
    fn a_step_is_usual_if_coefficients_state_and_gradient_are() {
        let k = |learning_rate| {
            let rule = Adamax::new(learning_rate).unwrap();
            Coefficients::new(&rule, 1, 1.0)
        };
        let [moderate, large] = [[1.0, -2.0], [1.0, -f64::MAX]];
        for (learning_rate, usual_state, g, usual) in [
            (0.002, true, moderate, true),
            (1e300, true, moderate, false),
            (0.002, false, moderate, false),
            (0.002, true, large, false),
        ] {
            let g = aview1(&g);
            let found = is_usual(Sequential, &k(learning_rate), usual_state, Elements::of(&g));
            assert_eq!(found, usual, "{learning_rate} {usual_state} {g}");
        }
    }
}
