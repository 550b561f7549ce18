//! One step as a function of values.

use core::slice;

use ndarray::{Array, ArrayRef, ArrayView0, ArrayViewMut0, Axis, Dimension, aview_mut1, aview1};

use super::Outcome;
use crate::{
    error::{Detail, Error, Role},
    layout::order::Order,
    par::Sequential,
    real::Real,
    reduce::Elements,
    rule::{Adamax, NonFinite},
    state::{self, Moments},
    update::{
        self,
        coefficients::Coefficients,
        operands::{Gapped, Operands},
        pair::Pair,
        rehearsal,
    },
};

/// Takes one textbook Adamax step and returns the new (parameter, m, u). `m` is the first moment, and
/// `u` is the infinity norm.
///
/// ```text
/// m ← β₁·m + (1 − β₁)·g          u ← max(β₂·u, |g|)          x ← x − α/(1 − β₁ᵗ) · m/(u + ε)
/// ```
/// `t` is the number of this step: 1 for the first, for which `m` and `u` are zero. `T` is `f64`,
/// `f32`, or an owned [`Array`] of either, of any dimension and layout. All arrays have one shape.
/// For a loop, use [`Adamax::step`]: it does the same in place, and counts t.
///
/// # Errors
/// - [`ErrorKind::StepCount`](crate::ErrorKind::StepCount) if `t` is 0;
/// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the shapes differ;
/// - [`ErrorKind::NegativeNorm`](crate::ErrorKind::NegativeNorm) if `u` holds a value below 0;
/// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if the rule has [`NonFinite::Error`] and
///   `grad` holds NaN or an infinity, or the result would; or if `m` or `u` does and the rule does not
///   have [`NonFinite::Propagate`];
/// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) as for [`Adamax::step`].
///
/// Under [`NonFinite::Skip`], if the gradient or the result is not finite, the values are returned
/// unchanged.
///
/// # Allocation
/// None for numbers and for arrays of up to 4 axes: the arrays that come in are updated and returned.
///
/// # Cost
/// As [`Adamax::step`], and up to five more reads, which check `m` and `u` and their ratio.
///
/// # Precision
/// The same bits as [`Adamax::step`].
///
/// # Examples
/// ```
/// use adamax::{Adamax, adamax_step};
/// use ndarray::array;
///
/// let rule = Adamax::default();
/// let (x, m, u) = adamax_step(0.5_f64, &0.05, 0.02, 0.15, 5, &rule)?;
/// assert!((x - 0.49925).abs() < 1e-5);
/// assert!((m - 0.023).abs() < 1e-15);
/// assert!((u - 0.14985).abs() < 1e-15);
///
/// let zero = array![0.0_f64, 0.0, 0.0];
/// let (x, _, u) =
///     adamax_step(array![1.0, 2.0, 3.0], &array![0.1, 0.2, 0.3], zero.clone(), zero, 1, &rule)?;
/// assert!((x[2] - 2.998).abs() < 1e-9);
/// assert_eq!(u, array![0.1, 0.2, 0.3]);
/// # Ok::<(), adamax::Error>(())
/// ```
/// Kingma & Ba, *Adam*, §7.1, Algorithm 2, <https://arxiv.org/abs/1412.6980>.
pub fn adamax_step<T: Operand>(
    param: T,
    grad: &T,
    m: T,
    u: T,
    t: u64,
    rule: &Adamax,
) -> Result<(T, T, T), Error> {
    T::step(param, grad, m, u, t, rule)
}

/// The types of [`adamax_step`]: `f64`, `f32`, and owned arrays of them. Sealed.
///
/// ```
/// use adamax::{Adamax, Error, Operand, adamax_step};
/// use ndarray::array;
///
/// fn first_step<T: Operand>(x: T, g: &T, [m, u]: [T; 2]) -> Result<T, Error> {
///     adamax_step(x, g, m, u, 1, &Adamax::default()).map(|(x, _, _)| x)
/// }
/// let number = first_step(1.0, &0.5, [0.0, 0.0])?;
/// let array = first_step(array![[1.0]], &array![[0.5]], [array![[0.0]], array![[0.0]]])?;
/// assert_eq!(array, array![[number]]);
/// # Ok::<(), adamax::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a number nor an owned array of numbers",
    label = "expected `f64`, `f32`, or an `Array` of them",
    note = "only the gradient is a reference: `adamax_step(x, &g, m, u, t, &rule)`",
    note = "`Adamax::step` updates arrays and views in place"
)]
pub trait Operand: sealed::Step {}

mod sealed {
    use crate::{error::Error, rule::Adamax};

    pub trait Step: Sized {
        fn step(
            x: Self,
            g: &Self,
            m: Self,
            u: Self,
            t: u64,
            rule: &Adamax,
        ) -> Result<(Self, Self, Self), Error>;
    }
}

impl<A: Real, D: Dimension> Operand for Array<A, D> {}

impl<A: Real, D: Dimension> sealed::Step for Array<A, D> {
    fn step(
        mut x: Self,
        g: &Self,
        mut m: Self,
        mut u: Self,
        t: u64,
        rule: &Adamax,
    ) -> Result<(Self, Self, Self), Error> {
        step_in_place::<A, D>(rule, t, &mut x, g, &mut m, &mut u)?;
        Ok((x, m, u))
    }
}

macro_rules! scalar_operand {
    ($float:ident) => {
        impl Operand for $float {}

        impl sealed::Step for $float {
            fn step(
                mut x: Self,
                g: &Self,
                mut m: Self,
                mut u: Self,
                t: u64,
                rule: &Adamax,
            ) -> Result<(Self, Self, Self), Error> {
                let (param, grad) = (&mut view_mut(&mut x), &view(g));
                step_in_place(rule, t, param, grad, &mut view_mut(&mut m), &mut view_mut(&mut u))?;
                Ok((x, m, u))
            }
        }
    };
}
scalar_operand!(f32);
scalar_operand!(f64);

/// Returns a scalar as an array without axes.
fn view<A>(value: &A) -> ArrayView0<'_, A> {
    aview1(slice::from_ref(value)).index_axis_move(Axis(0), 0)
}

fn view_mut<A>(value: &mut A) -> ArrayViewMut0<'_, A> {
    aview_mut1(slice::from_mut(value)).index_axis_move(Axis(0), 0)
}

fn step_in_place<A: Real, D: Dimension>(
    rule: &Adamax,
    t: u64,
    x: &mut ArrayRef<A, D>,
    g: &ArrayRef<A, D>,
    m: &mut ArrayRef<A, D>,
    u: &mut ArrayRef<A, D>,
) -> Result<(), Error> {
    if t == 0 {
        return Err(Detail::StepZero.into());
    }
    for (role, array) in [(Role::Gradient, g), (Role::FirstMoment, &*m), (Role::InfNorm, &*u)] {
        Error::check_shapes((role, array.shape()), (Role::Parameter, x.shape()))?;
    }
    match rule.non_finite() {
        NonFinite::Propagate => state::check_not_negative(u)?,
        NonFinite::Error | NonFinite::Skip => state::check_moments(m, u)?,
    }
    let balanced = state::is_balanced(m, u);
    let mut k = Coefficients::new(rule, t, 1.0);
    k.set_balanced(balanced);
    k.check(rule)?;
    let arrays = Operands { x: &*x, g, m: &*m, u: &*u }.map(Elements::of, Elements::of);
    let is_usual = !k.checks() || rehearsal::is_usual(Sequential, &k, balanced, arrays.g);
    let examine = || rehearsal::examine(Sequential, &k, balanced, arrays);
    if super::admit(rule, is_usual, examine)? == Outcome::Applied {
        step_checked(&k, x, g, m, u);
    }
    Ok(())
}

/// Takes a step that has been checked.
fn step_checked<A: Real, D: Dimension>(
    k: &Coefficients<A>,
    x: &mut ArrayRef<A, D>,
    g: &ArrayRef<A, D>,
    m: &mut ArrayRef<A, D>,
    u: &mut ArrayRef<A, D>,
) {
    let order = Order::of_gapless(m).filter(|&order| Order::of_gapless(u) == Some(order));
    let moments = order.and_then(|order| {
        let (m, u) = (order.slice_mut(m)?, order.slice_mut(u)?);
        Some(Moments { m, u, order })
    });
    match moments {
        Some(moments) => Pair::<_, Gapped<'_, A>>::new(x, g).step(Sequential, k, moments),
        None => update::update(k, Operands { x, g, m, u }),
    }
}
