//! The loop of an update over contiguous slices, compiled for each instruction set.

use core::marker::PhantomData;

use super::{
    coefficients::{
        Coefficients, Guard, guard,
        operations::{BOUND, DECAY, NONE, PREPARE, SPECIAL},
    },
    operands::{Operands, Slices},
};
use crate::{
    par::Summary,
    real::Real,
    rule::EpsilonPlacement,
    simd::{Loop, are_few, dispatch},
};

/// A summary that an update collects in the same pass: of each element it sees x before and after,
/// and the gradient as handed in. `()` collects nothing and costs nothing.
pub(crate) trait Observe<A>: Summary {
    /// False for `()`.
    const OBSERVES: bool;

    /// Takes in one element.
    fn observe(&mut self, x: A, new_x: A, g: A);
}

impl<A> Observe<A> for () {
    const OBSERVES: bool = false;

    #[inline(always)]
    fn observe(&mut self, _x: A, _new_x: A, _g: A) {}
}

/// Runs code that is compiled for each [`guard`], as the constant `$guard`.
macro_rules! with_guard {
    ($k:expr, |$guard:ident| $run:expr) => {
        match $k.guard() {
            Guard::None => with_guard!(@ $guard, guard::NONE, $run),
            Guard::Epsilon(EpsilonPlacement::Outside) => {
                with_guard!(@ $guard, guard::OUTSIDE, $run)
            }
            Guard::Epsilon(EpsilonPlacement::InsideMax) => {
                with_guard!(@ $guard, guard::INSIDE_MAX, $run)
            }
            Guard::Epsilon(EpsilonPlacement::Accumulated) => {
                with_guard!(@ $guard, guard::ACCUMULATED, $run)
            }
        }
    };
    (@ $guard:ident, $code:expr, $run:expr) => {{
        const $guard: u8 = $code;
        $run
    }};
}

/// Updates each element.
#[inline(always)]
pub(crate) fn update<A: Real, S: Observe<A>>(k: &Coefficients<A>, slices: Slices<'_, A>) -> S {
    if are_few(slices.x) {
        return update_few(k, slices);
    }
    if k.is_special() {
        return update_special(k, slices);
    }
    let needed = k.operations();
    if S::OBSERVES && needed != NONE {
        // Fewer kernels, which would each be compiled again for every summary.
        return update_guarded::<A, S, USUAL>(k, slices);
    }
    match needed {
        NONE => update_guarded::<A, S, NONE>(k, slices),
        DECAY => update_guarded::<A, S, DECAY>(k, slices),
        PREPARE => update_guarded::<A, S, PREPARE>(k, slices),
        PREPARE_AND_DECAY => update_guarded::<A, S, PREPARE_AND_DECAY>(k, slices),
        // With bounds, the product of the decay hides behind other operations.
        _ if needed & PREPARE == 0 => update_guarded::<A, S, { DECAY | BOUND }>(k, slices),
        _ => update_guarded::<A, S, USUAL>(k, slices),
    }
}

const PREPARE_AND_DECAY: u8 = PREPARE | DECAY;
const USUAL: u8 = PREPARE | DECAY | BOUND;
const ALL: u8 = USUAL | SPECIAL;

/// One loop with all operations is enough for what hardly ever happens.
#[inline(never)]
fn update_special<A: Real, S: Observe<A>>(k: &Coefficients<A>, slices: Slices<'_, A>) -> S {
    update_guarded::<A, S, ALL>(k, slices)
}

/// Few elements take one loop without wide vectors.
#[inline(always)]
fn update_few<A: Real, S: Observe<A>>(k: &Coefficients<A>, slices: Slices<'_, A>) -> S {
    with_guard!(k, |GUARD| Update::<A, S, ALL, GUARD> { k, slices, summary: PhantomData }.run())
}

#[inline(always)]
fn update_guarded<A: Real, S: Observe<A>, const OPERATIONS: u8>(
    k: &Coefficients<A>,
    slices: Slices<'_, A>,
) -> S {
    with_guard!(k, |GUARD| {
        dispatch(Update::<A, S, OPERATIONS, GUARD> { k, slices, summary: PhantomData })
    })
}

struct Update<'a, A, S, const OPERATIONS: u8, const GUARD: u8> {
    k: &'a Coefficients<A>,
    slices: Slices<'a, A>,
    summary: PhantomData<S>,
}

impl<A: Real, S: Observe<A>, const OPERATIONS: u8, const GUARD: u8> Loop
    for Update<'_, A, S, OPERATIONS, GUARD>
{
    type Output = S;

    #[inline(always)]
    fn run(self) -> S {
        let Operands { x, g, m, u } = self.slices;
        update_slices::<A, S, OPERATIONS, GUARD>(*self.k, x, g, m, u)
    }
}

/// Some rows of a table and of its moments, all row-major. `first` is the index of the first row of the arrays;
/// the gradients are of the named rows only.
pub(crate) struct NamedRows<'a, A> {
    pub(crate) indices: &'a [usize],
    pub(crate) first: usize,
    pub(crate) length: usize,
    pub(crate) arrays: Slices<'a, A>,
}

impl<A: Real> NamedRows<'_, A> {
    /// Runs `f` on each row, or on several that follow each other.
    #[inline(always)]
    fn each<S: Summary>(self, mut f: impl FnMut(Slices<'_, A>) -> S) -> S {
        let NamedRows { indices, first, length, arrays: Operands { x, g, m, u } } = self;
        let mut rest = g;
        let mut summary = S::EMPTY;
        for run in indices.chunk_by(|a, b| a + 1 == *b) {
            let start = run.first().map_or(0, |index| (index - first) * length);
            let elements = start..start + run.len() * length;
            let Some((g, others)) = rest.split_at_checked(elements.len()) else { break };
            rest = others;
            let x = x.get_mut(elements.clone()).unwrap_or_default();
            let m = m.get_mut(elements.clone()).unwrap_or_default();
            let u = u.get_mut(elements).unwrap_or_default();
            summary.join(f(Operands { x, g, m, u }));
        }
        debug_assert!(rest.is_empty(), "each row has a gradient");
        summary
    }
}

/// Updates rows that have the same coefficients. The instruction set is chosen once for all of them.
pub(crate) fn update_rows<A: Real, S: Observe<A>>(
    k: &Coefficients<A>,
    rows: NamedRows<'_, A>,
) -> S {
    if k.is_special() {
        return rows.each(|slices| update_special(k, slices));
    }
    // Few kernels: rows wait for memory anyway.
    if k.operations() == NONE {
        update_guarded_rows::<A, S, NONE>(k, rows)
    } else {
        update_guarded_rows::<A, S, USUAL>(k, rows)
    }
}

#[inline(always)]
fn update_guarded_rows<A: Real, S: Observe<A>, const OPERATIONS: u8>(
    k: &Coefficients<A>,
    rows: NamedRows<'_, A>,
) -> S {
    with_guard!(k, |GUARD| {
        dispatch(UpdateRows::<A, S, OPERATIONS, GUARD> { k, rows, summary: PhantomData })
    })
}

struct UpdateRows<'a, A, S, const OPERATIONS: u8, const GUARD: u8> {
    k: &'a Coefficients<A>,
    rows: NamedRows<'a, A>,
    summary: PhantomData<S>,
}

impl<A: Real, S: Observe<A>, const OPERATIONS: u8, const GUARD: u8> Loop
    for UpdateRows<'_, A, S, OPERATIONS, GUARD>
{
    type Output = S;

    #[inline(always)]
    fn run(self) -> S {
        let k = *self.k;
        self.rows
            .each(|Operands { x, g, m, u }| update_slices::<A, S, OPERATIONS, GUARD>(k, x, g, m, u))
    }
}

/// The loop itself. The slices are arguments, not fields, because rustc marks only function arguments
/// `noalias`. The function is `inline`, not `inline(always)`, because early inlining loses the mark.
#[inline]
fn update_slices<A: Real, S: Observe<A>, const OPERATIONS: u8, const GUARD: u8>(
    k: Coefficients<A>,
    x: &mut [A],
    g: &[A],
    m: &mut [A],
    u: &mut [A],
) -> S {
    let mut summary = S::EMPTY;
    for (((x, g), m), u) in x.iter_mut().zip(g).zip(m.iter_mut()).zip(u.iter_mut()) {
        let before = *x;
        (*x, *m, *u) = k.element::<OPERATIONS, GUARD>(before, *g, *m, *u);
        summary.observe(before, *x, *g);
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        par::Sequential,
        rule::Adamax,
        state::State,
        update::{operands::Gapped, pair::Pair},
    };
    use ndarray::{Array2, ArrayRef2, Axis, ShapeBuilder, Slice};

    /// The largest step and the largest gradient, as a report would collect them.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Largest([f64; 2]);

    impl Summary for Largest {
        const EMPTY: Self = Largest([0.0; 2]);

        fn join(&mut self, other: Self) {
            self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = a.max(b));
        }
    }

    impl Observe<f64> for Largest {
        const OBSERVES: bool = true;

        fn observe(&mut self, x: f64, new_x: f64, g: f64) {
            self.join(Largest([(new_x - x).abs(), g.abs()]));
        }
    }

    fn observed(execute: impl crate::par::Execute, x: &mut ArrayRef2<f64>, g: &ArrayRef2<f64>) {
        let mut state = State::zeros_like(x);
        let k = Coefficients::new(&Adamax::default(), 1, 1.0);
        let before = x.to_owned();
        let mut pair = Pair::<'_, f64, Gapped<'_, f64>>::new(x, g);
        let found: Largest = pair.step(execute, &k, state.begin_step(true));
        let largest =
            |values: Array2<f64>| values.fold(0.0, |max: f64, value| max.max(value.abs()));
        assert_eq!(found, Largest([largest(x.to_owned() - before), largest(g.to_owned())]));
        assert!(found.0[0] > 0.0019);
    }

    #[test]
    fn every_path_observes_each_element() {
        let values =
            |(i, j): (usize, usize)| f64::from(u32::try_from(i * 131 + j * 17 + 1).unwrap()).sin();
        // Shapes for the stack, for tiles, for short rows, and for threads.
        for shape in [(1, 1), (3, 5), (40, 37), (70, 100), (3000, 3), (200, 180)] {
            for (x_order, g_order) in [(false, false), (true, true), (false, true), (true, false)] {
                let mut x = Array2::from_shape_fn(shape.set_f(x_order), values);
                let g = Array2::from_shape_fn(shape.set_f(g_order), |(i, j)| values((j, i)));
                observed(Sequential, &mut x, &g);
                #[cfg(feature = "rayon")]
                observed(crate::par::Parallel, &mut x, &g);
                let mut wide = Array2::from_shape_fn((shape.0, 2 * shape.1), values);
                let mut x = wide.slice_axis_mut(Axis(1), Slice::from(..).step_by(2));
                observed(Sequential, &mut x, &g);
                #[cfg(feature = "rayon")]
                observed(crate::par::Parallel, &mut x, &g);
            }
        }
    }
}
