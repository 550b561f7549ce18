//! The loop of an update over contiguous slices, compiled for each instruction set.

use core::marker::PhantomData;

use super::{
    coefficients::{Coefficients, Guard, guard},
    operands::{Operands, Slices},
};
use crate::{
    par::Summary,
    real::Real,
    rule::{
        EpsilonPlacement,
        operations::{BOUND, DECAY, NONE, Operations, PREPARE, SPECIAL},
    },
    simd::{Loop, are_few, dispatch},
};

/// A summary that an update collects in the same pass: of each element it sees the gradient as handed
/// in, and x before and after. `()` collects nothing and costs nothing.
///
/// There are two functions because registers are few: each value should be needed for a short time. One
/// function after the update took 2 to 6 % longer.
pub(crate) trait Observe<A>: Summary {
    /// False for `()`.
    const OBSERVES: bool;

    /// Takes in the gradient of one element, before its update.
    fn observe_gradient(&mut self, g: A);

    /// Takes in the parameter of one element, before and after its update.
    fn observe_step(&mut self, x: A, new_x: A);

    /// Takes in the operations of a loop and its number of elements.
    #[cfg(test)]
    fn observe_loop(&mut self, _operations: Operations, _elements: usize) {}
}

impl<A> Observe<A> for () {
    const OBSERVES: bool = false;

    #[inline(always)]
    fn observe_gradient(&mut self, _g: A) {}

    #[inline(always)]
    fn observe_step(&mut self, _x: A, _new_x: A) {}
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
    let needed = k.operations();
    if needed == NONE {
        return update_guarded::<A, S, NONE>(k, slices);
    }
    if needed & SPECIAL != 0 {
        let Operands { x, g, m, u } = slices;
        return update_special(k, x, g, m, u);
    }
    if S::OBSERVES {
        // Fewer kernels, which would each be compiled again for every summary.
        return update_guarded::<A, S, USUAL>(k, slices);
    }
    match needed {
        DECAY => update_guarded::<A, S, DECAY>(k, slices),
        PREPARE => update_guarded::<A, S, PREPARE>(k, slices),
        PREPARE_AND_DECAY => update_guarded::<A, S, PREPARE_AND_DECAY>(k, slices),
        BOUND => update_guarded::<A, S, BOUND>(k, slices),
        DECAY_AND_BOUND => update_guarded::<A, S, DECAY_AND_BOUND>(k, slices),
        _ => update_guarded::<A, S, USUAL>(k, slices),
    }
}

const PREPARE_AND_DECAY: Operations = PREPARE | DECAY;
const DECAY_AND_BOUND: Operations = DECAY | BOUND;
const USUAL: Operations = PREPARE | DECAY | BOUND;
const ALL: Operations = USUAL | SPECIAL;

/// One loop with all operations is enough for what hardly ever happens. The slices are arguments: a
/// structure whose address is taken here would have to be copied by all who call [`update`].
#[inline(never)]
fn update_special<A: Real, S: Observe<A>>(
    k: &Coefficients<A>,
    x: &mut [A],
    g: &[A],
    m: &mut [A],
    u: &mut [A],
) -> S {
    update_guarded::<A, S, ALL>(k, Operands { x, g, m, u })
}

/// Few elements take one loop without wide vectors.
#[inline(always)]
fn update_few<A: Real, S: Observe<A>>(k: &Coefficients<A>, slices: Slices<'_, A>) -> S {
    let Operands { x, g, m, u } = slices;
    if k.operations() == NONE {
        with_guard!(k, |GUARD| update_slices::<A, S, NONE, GUARD>(*k, x, g, m, u))
    } else {
        with_guard!(k, |GUARD| update_slices::<A, S, ALL, GUARD>(*k, x, g, m, u))
    }
}

#[inline(always)]
fn update_guarded<A: Real, S: Observe<A>, const OPERATIONS: Operations>(
    k: &Coefficients<A>,
    slices: Slices<'_, A>,
) -> S {
    with_guard!(k, |GUARD| {
        dispatch(Update::<A, S, OPERATIONS, GUARD> { k, slices, summary: PhantomData })
    })
}

struct Update<'a, A, S, const OPERATIONS: Operations, const GUARD: u8> {
    k: &'a Coefficients<A>,
    slices: Slices<'a, A>,
    summary: PhantomData<S>,
}

impl<A: Real, S: Observe<A>, const OPERATIONS: Operations, const GUARD: u8> Loop
    for Update<'_, A, S, OPERATIONS, GUARD>
{
    type Output = S;

    #[inline(always)]
    fn run(&mut self) -> S {
        let length = self.slices.x.len();
        let whole = length - length % (VECTOR / size_of::<A>()).max(1);
        let (Operands { x, g, m, u }, _) = self.slices.reborrow().split_at(whole);
        let mut summary: S = update_slices::<A, S, OPERATIONS, GUARD>(*self.k, x, g, m, u);
        if whole != length {
            summary.join(self.run_from(whole));
        }
        summary
    }
}

/// Bytes of a vector of AVX2.
const VECTOR: usize = 32;

impl<A: Real, S: Observe<A>, const OPERATIONS: Operations, const GUARD: u8>
    Update<'_, A, S, OPERATIONS, GUARD>
{
    /// Updates the elements from `start` on, which fill no vector.
    ///
    /// A loop needs nearly all registers of AVX2. With a second loop for these elements in the same function,
    /// whose constants take registers too, the compiler loads some constants anew for each vector. Then a step
    /// takes 3 to 20 % longer. It takes `self`, not four slices: the first loop would have to keep those in registers
    /// until its end.
    #[inline(never)]
    fn run_from(&mut self, start: usize) -> S {
        let (_, Operands { x, g, m, u }) = self.slices.reborrow().split_at(start);
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
    fn each<S: Summary>(&mut self, mut f: impl FnMut(Slices<'_, A>) -> S) -> S {
        let NamedRows { indices, first, length, ref mut arrays } = *self;
        let Operands { x, g, m, u } = arrays.as_mut();
        let mut rest = *g;
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
    mut rows: NamedRows<'_, A>,
) -> S {
    if k.operations() & SPECIAL != 0 {
        return rows.each(|Operands { x, g, m, u }| update_special(k, x, g, m, u));
    }
    // Few kernels: rows wait for memory anyway.
    if k.operations() == NONE {
        update_guarded_rows::<A, S, NONE>(k, rows)
    } else {
        update_guarded_rows::<A, S, USUAL>(k, rows)
    }
}

#[inline(always)]
fn update_guarded_rows<A: Real, S: Observe<A>, const OPERATIONS: Operations>(
    k: &Coefficients<A>,
    rows: NamedRows<'_, A>,
) -> S {
    with_guard!(k, |GUARD| {
        dispatch(UpdateRows::<A, S, OPERATIONS, GUARD> { k, rows, summary: PhantomData })
    })
}

struct UpdateRows<'a, A, S, const OPERATIONS: Operations, const GUARD: u8> {
    k: &'a Coefficients<A>,
    rows: NamedRows<'a, A>,
    summary: PhantomData<S>,
}

impl<A: Real, S: Observe<A>, const OPERATIONS: Operations, const GUARD: u8> Loop
    for UpdateRows<'_, A, S, OPERATIONS, GUARD>
{
    type Output = S;

    #[inline(always)]
    fn run(&mut self) -> S {
        let k = *self.k;
        self.rows
            .each(|Operands { x, g, m, u }| update_slices::<A, S, OPERATIONS, GUARD>(k, x, g, m, u))
    }
}

/// The loop itself. The slices are arguments, not fields, because rustc marks only function arguments
/// `noalias`. The function is `inline`, not `inline(always)`, because early inlining loses the mark.
#[inline]
fn update_slices<A: Real, S: Observe<A>, const OPERATIONS: Operations, const GUARD: u8>(
    k: Coefficients<A>,
    x: &mut [A],
    g: &[A],
    m: &mut [A],
    u: &mut [A],
) -> S {
    let mut summary = S::EMPTY;
    #[cfg(test)]
    summary.observe_loop(OPERATIONS, x.len());
    for (((x, g), m), u) in x.iter_mut().zip(g).zip(m.iter_mut()).zip(u.iter_mut()) {
        summary.observe_gradient(*g);
        let before = *x;
        (*x, *m, *u) = k.element::<OPERATIONS, GUARD>(before, *g, *m, *u);
        summary.observe_step(before, *x);
    }
    summary
}

/// Records which loops an update takes. Results do not tell, because all loops give the same bits.
#[cfg(test)]
pub(crate) mod loops {
    use super::{Observe, Operations, Summary};
    use alloc::vec::Vec;

    /// The operations and the number of elements of each loop. `OBSERVES` is [`Observe::OBSERVES`]: true takes
    /// the loops of a report.
    #[derive(Debug)]
    pub(crate) struct Loops<const OBSERVES: bool>(pub(crate) Vec<(Operations, usize)>);

    impl<const OBSERVES: bool> Loops<OBSERVES> {
        pub(crate) fn lengths(self) -> Vec<usize> {
            self.0.into_iter().map(|(_, elements)| elements).collect()
        }
    }

    impl<const OBSERVES: bool> Summary for Loops<OBSERVES> {
        const EMPTY: Self = Loops(Vec::new());

        fn join(&mut self, other: Self) {
            self.0.extend(other.0);
        }
    }

    impl<A, const OBSERVES: bool> Observe<A> for Loops<OBSERVES> {
        const OBSERVES: bool = OBSERVES;

        fn observe_gradient(&mut self, _g: A) {}

        fn observe_step(&mut self, _x: A, _new_x: A) {}

        fn observe_loop(&mut self, operations: Operations, elements: usize) {
            self.0.push((operations, elements));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{loops::Loops, *};
    use crate::{
        par::Sequential,
        rule::{Adamax, WeightDecay},
        state::State,
        update::{operands::Gapped, pair::Pair},
    };
    use alloc::{vec, vec::Vec};
    use core::fmt::Debug;
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

    impl<A: Real> Observe<A> for Largest {
        const OBSERVES: bool = true;

        fn observe_gradient(&mut self, g: A) {
            self.join(Largest([0.0, g.abs().widen()]));
        }

        fn observe_step(&mut self, x: A, new_x: A) {
            self.join(Largest([(new_x - x).abs().widen(), 0.0]));
        }
    }

    fn observed<A: Real>(
        execute: impl crate::par::Execute,
        x: &mut ArrayRef2<A>,
        g: &ArrayRef2<A>,
    ) {
        let mut state = State::zeros_like(x);
        let k = Coefficients::new(&Adamax::default(), 1, 1.0);
        let before = x.to_owned();
        let mut pair = Pair::<'_, A, Gapped<'_, A>>::new(x, g);
        let found: Largest = pair.step(execute, &k, state.begin_step(k.keeps()));
        let largest =
            |values: Array2<A>| values.fold(0.0, |max: f64, value| max.max(value.abs().widen()));
        assert_eq!(found, Largest([largest(x.to_owned() - before), largest(g.to_owned())]));
        assert!(found.0[0] > 0.0019);
    }

    fn every_path_observes_each<A: Real>() {
        let values = |(i, j): (usize, usize)| {
            A::from_f64(f64::from(u32::try_from(i * 131 + j * 17 + 1).unwrap()).sin())
        };
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

    #[test]
    fn every_path_observes_each_element() {
        every_path_observes_each::<f64>();
        every_path_observes_each::<f32>();
    }

    /// A slice of any length gets the bits that its elements get one by one.
    #[test]
    fn slices_of_all_lengths_are_updated_element_by_element() {
        fn check<A: Real, S: Observe<A> + PartialEq + Debug>(rule: &Adamax, length: u32) {
            let values = |seed: u32| -> Vec<A> {
                (0..length).map(|i| A::from_f64(f64::from(i * 7 + seed).sin())).collect()
            };
            let k = Coefficients::new(rule, 1, 1.0);
            let (g, u) = (values(2), values(4).into_iter().map(A::abs).collect());
            let mut written: [Vec<A>; 3] = [values(1), values(3), u];
            let mut expected = written.clone();
            let mut expected_summary = S::EMPTY;
            let [x, m, u] = expected.each_mut().map(|array| array.chunks_mut(1));
            for (((x, g), m), u) in x.zip(g.chunks(1)).zip(m).zip(u) {
                expected_summary.join(update(&k, Operands { x, g, m, u }));
            }
            let [x, m, u] = written.each_mut().map(|array| &mut array[..]);
            let summary: S = update(&k, Operands { x, g: &g, m, u });
            assert_eq!(written, expected, "{length} of {}", A::NAME);
            assert_eq!(summary, expected_summary, "{length} of {}", A::NAME);
        }
        let bounded = Adamax::builder().bounds(-0.5, 0.5);
        let decayed = bounded.weight_decay(WeightDecay::Decoupled(0.1));
        for builder in [Adamax::builder(), bounded, decayed, decayed.clip_value(0.5)] {
            let rule = builder.build().unwrap();
            for length in 0..70 {
                check::<f64, ()>(&rule, length);
                check::<f32, ()>(&rule, length);
                check::<f64, Largest>(&rule, length);
                check::<f32, Largest>(&rule, length);
            }
        }
    }

    /// Runs `f` on arrays of this length.
    fn with_slices<A: Real, S>(length: usize, f: impl FnOnce(Slices<'_, A>) -> S) -> S {
        let [mut x, g, mut m, mut u] = [(); 4].map(|()| vec![A::ONE; length]);
        f(Operands { x: &mut x, g: &g, m: &mut m, u: &mut u })
    }

    #[test]
    fn each_usual_set_of_operations_has_a_loop_and_reports_have_fewer() {
        let plain = Adamax::builder();
        let decayed = plain.weight_decay(WeightDecay::Decoupled(0.1));
        for (builder, operations, with_report, in_rows) in [
            (plain, NONE, NONE, NONE),
            (decayed, DECAY, USUAL, USUAL),
            (plain.clip_value(0.5), PREPARE, USUAL, USUAL),
            (decayed.clip_value(0.5), PREPARE_AND_DECAY, USUAL, USUAL),
            (plain.bounds(0.0, 2.0), BOUND, USUAL, USUAL),
            (decayed.bounds(0.0, 2.0), DECAY_AND_BOUND, USUAL, USUAL),
            (plain.bounds(0.0, 2.0).clip_value(0.5), USUAL, USUAL, USUAL),
            (plain.beta1(0.9).beta2(0.8), ALL, ALL, ALL),
        ] {
            let rule = builder.build().unwrap();
            let k = Coefficients::<f64>::new(&rule, 1, 1.0);
            let Loops::<false>(found) = with_slices(64, |slices| update(&k, slices));
            assert_eq!(found, [(operations, 64)], "{rule:?}");
            let Loops::<true>(found) = with_slices(64, |slices| update(&k, slices));
            assert_eq!(found, [(with_report, 64)], "{rule:?}");
            let Loops::<false>(found) = with_slices(64, |arrays| {
                update_rows(&k, NamedRows { indices: &[5, 6], first: 5, length: 32, arrays })
            });
            assert_eq!(found, [(in_rows, 64)], "{rule:?}");
            // Few elements have two loops.
            let Loops::<false>(found) = with_slices(3, |slices| update(&k, slices));
            assert_eq!(found, [(if operations == NONE { NONE } else { ALL }, 3)], "{rule:?}");
        }
    }

    #[test]
    fn elements_that_fill_no_vector_have_a_loop_of_their_own() {
        fn lengths<A: Real>(length: usize) -> Vec<usize> {
            let k = Coefficients::<A>::new(&Adamax::default(), 1, 1.0);
            let loops: Loops<false> = with_slices(length, |slices| update(&k, slices));
            loops.lengths()
        }
        assert_eq!([12, 15].map(lengths::<f64>), [vec![12], vec![12, 3]]);
        assert_eq!([16, 23].map(lengths::<f32>), [vec![16], vec![16, 7]]);
    }

    #[test]
    fn rows_that_follow_each_other_are_one_loop() {
        let k = Coefficients::<f64>::new(&Adamax::default(), 1, 1.0);
        let (mut x, mut m, mut u) = (vec![1.0; 100], vec![0.0; 100], vec![0.0; 100]);
        let arrays = Operands { x: &mut x[..], g: &[1.0; 60][..], m: &mut m[..], u: &mut u[..] };
        let rows = NamedRows { indices: &[3, 4, 7], first: 3, length: 20, arrays };
        let loops: Loops<false> = update_rows(&k, rows);
        assert_eq!(loops.lengths(), [40, 20]);
        let is_stepped: Vec<_> = x.chunks(20).map(|row| row.iter().all(|&x| x < 1.0)).collect();
        assert_eq!(is_stepped, [true, true, false, false, true]);
    }
}
