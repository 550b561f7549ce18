//! Bounds of each element of a parameter: their checks, and what is projected onto them.

use alloc::{format, vec::Vec};

use ::argmin::core::ArgminError;
use ndarray::{Array, ArrayRef, ArrayView, Dimension, IxDyn, Zip};

use super::{
    norms,
    values::{self, Values},
};
use crate::{
    error::{hint, same},
    real::Real,
    rule::Adamax,
    step::projected,
    update::coefficients::clamp,
};

// Names in error messages.
const LOWER: &str = "lower bound";
const UPPER: &str = "upper bound";

/// A lower and an upper bound for each element, none of them NaN, in one shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bounds<A> {
    lower: Array<A, IxDyn>,
    upper: Array<A, IxDyn>,
    /// The bounds, if they are the same for all elements. Then the rule takes them, and nothing else
    /// is to be done.
    same: Option<(A, A)>,
}

impl<A: Real> Bounds<A> {
    /// Checks the bounds. Those of the rule hold too, so the result is within them.
    pub(super) fn new(
        mut lower: Array<A, IxDyn>,
        mut upper: Array<A, IxDyn>,
        rule: &Adamax,
    ) -> Result<Self, ArgminError> {
        check_shape(UPPER, upper.shape(), LOWER, lower.shape())?;
        let (least, most) = of_rule::<A>(rule);
        for ((index, &low), &up) in lower.indexed_iter().zip(&upper) {
            // Each condition is true for allowed values only, so NaN is refused.
            let conditions = [
                (low < A::INFINITY, LOWER, low, "a number below infinity", None),
                (up > -A::INFINITY, UPPER, up, "a number above -infinity", None),
                (low <= up, LOWER, low, "at most the upper bound", Some(up)),
                (low <= most, LOWER, low, "at most the upper bound of the rule", Some(most)),
                (up >= least, UPPER, up, "at least the lower bound of the rule", Some(least)),
            ];
            if let Some((_, name, value, range, other)) = conditions.iter().find(|it| !it.0) {
                let index = index.slice();
                let other = other.map(|other| format!(", which is {other:?}")).unwrap_or_default();
                let text =
                    format!("{name} is {value:?} at index {index:?}, but must be {range}{other}");
                return Err(ArgminError::InvalidParameter { text });
            }
        }
        lower.map_inplace(|low| *low = if *low < least { least } else { *low });
        upper.map_inplace(|up| *up = if *up > most { most } else { *up });
        let same = lower.first().copied().zip(upper.first().copied());
        let same = same.filter(|(low, up)| {
            lower.iter().all(|value| is_identical(value, low))
                && upper.iter().all(|value| is_identical(value, up))
        });
        Ok(Bounds { lower, upper, same })
    }

    /// Returns the bounds, if they are the same for all elements.
    pub(super) fn same(&self) -> Option<(A, A)> {
        self.same
    }

    /// Returns the lower and the upper bounds.
    pub(crate) fn as_arrays(&self) -> [&Array<A, IxDyn>; 2] {
        [&self.lower, &self.upper]
    }

    /// Refuses a parameter of another shape.
    pub(super) fn check_shape(&self, param: &[usize]) -> Result<(), ArgminError> {
        check_shape(LOWER, self.lower.shape(), "parameter", param)
    }

    /// Moves a parameter of the same shape inside.
    pub(super) fn project(&self, param: &mut ArrayRef<A, IxDyn>) {
        let operands = Zip::from(param).and(&self.lower).and(&self.upper);
        operands.for_each(|x, lower, upper| *x = clamp(*x, *lower, *upper));
    }
}

/// Returns the bounds of a rule, as a step rounds them.
fn of_rule<A: Real>(rule: &Adamax) -> (A, A) {
    let (lower, upper) = rule.bounds();
    (A::from_f64(lower), A::from_f64(upper))
}

/// Compares numbers that are not NaN, and the sign of 0 too: a step writes it.
fn is_identical<A: Real>(a: &A, b: &A) -> bool {
    a == b && a.is_sign_negative() == b.is_sign_negative()
}

fn check_shape(
    name: &str,
    found: &[usize],
    reference: &str,
    expected: &[usize],
) -> Result<(), ArgminError> {
    if same(found, expected) {
        return Ok(());
    }
    let hint = hint(found, expected);
    let text = format!("{name} has shape {found:?}, but {reference} has shape {expected:?}{hint}");
    Err(ArgminError::InvalidParameter { text })
}

/// The bounds that a parameter has: those of the rule, or of each element.
pub(super) enum Limits<'a, A> {
    Same(A, A),
    Each(&'a Bounds<A>),
}

impl<'a, A: Real> Limits<'a, A> {
    /// Returns the bounds that limit a parameter; `None` if there are none.
    pub(super) fn of(rule: &Adamax, each: Option<&'a Bounds<A>>) -> Option<Self> {
        if let Some(each) = each {
            return Some(each.same.map_or(Limits::Each(each), |(low, up)| Limits::Same(low, up)));
        }
        let (lower, upper) = of_rule::<A>(rule);
        let are_set = lower > -A::INFINITY || upper < A::INFINITY;
        are_set.then_some(Limits::Same(lower, upper))
    }

    /// Moves a parameter of the same shape inside. Returns true if an element was outside. A parameter
    /// inside is not written to, so an array that is shared stays shared.
    pub(super) fn project<P: Values<A>>(&self, param: &mut P, buffer: &mut Vec<A>) -> bool {
        let is_outside = |x: A, lower: A, upper: A| x < lower || x > upper;
        let array = values::read(param, buffer);
        let any_outside = match self {
            Limits::Same(lower, upper) => array.iter().any(|x| is_outside(*x, *lower, *upper)),
            Limits::Each(each) => {
                let operands = Zip::from(&array).and(&each.lower).and(&each.upper);
                operands.any(|x, lower, upper| is_outside(*x, *lower, *upper))
            }
        };
        if any_outside {
            values::write(param, buffer, |array| match self {
                Limits::Same(lower, upper) => array.map_inplace(|x| *x = clamp(*x, *lower, *upper)),
                Limits::Each(each) => each.project(array),
            });
        }
        any_outside
    }

    /// Returns the norm of the projected gradient (see [`Adamax::projected_gradient_norm`]). It is NaN if
    /// the shapes differ.
    pub(super) fn norm_of_projected(
        &self,
        rule: &Adamax,
        [x, g]: [ArrayView<'_, A, IxDyn>; 2],
        buffer: &mut norms::Buffer<A>,
    ) -> f64 {
        let objective = rule.objective();
        if !same(x.shape(), g.shape()) {
            return f64::NAN;
        }
        let entries = buffer.like(&g);
        let operands = Zip::from(&mut *entries).and(&x).and(&g);
        match self {
            Limits::Same(lower, upper) => operands.for_each(|entry, x, g| {
                *entry = projected::entry(objective, [*x, *g], [*lower, *upper]);
            }),
            Limits::Each(each) if !same(each.lower.shape(), x.shape()) => return f64::NAN,
            Limits::Each(each) => {
                let operands = operands.and(&each.lower).and(&each.upper);
                operands.for_each(|entry, x, g, lower, upper| {
                    *entry = projected::entry(objective, [*x, *g], [*lower, *upper]);
                });
            }
        }
        norms::of_array(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::aview1;

    #[test]
    fn a_projected_gradient_of_another_shape_has_no_norm() {
        let rule = Adamax::default();
        let [lower, upper] = [[0.0, -1.0], [1.0, 2.0]].map(|bound| aview1(&bound).to_owned());
        let each = Bounds::new(lower.into_dyn(), upper.into_dyn(), &rule).unwrap();
        let norm = |x: &[f64], g: &[f64]| {
            let pair = [x, g].map(|values| aview1(values).into_dyn());
            let limits = Limits::of(&rule, Some(&each)).unwrap();
            assert!(matches!(limits, Limits::Each(_)));
            limits.norm_of_projected(&rule, pair, &mut norms::Buffer::default())
        };
        assert_eq!(norm(&[0.5, 0.0], &[3.0, -4.0]), 5.0);
        for (x, g) in [(&[0.5; 2][..], &[3.0][..]), (&[0.5], &[3.0]), (&[0.5; 3], &[3.0; 3])] {
            assert!(norm(x, g).is_nan(), "{x:?} {g:?}");
        }
    }
}
