//! Norms of gradients and of steps.
//!
//! A step counts as the rule computes it, before it is added to the parameter. The difference of two
//! parameters does not tell it: the sum is rounded to the precision of the parameter. At x = 2·10¹⁷ a step of 1 changes nothing, and would look like convergence.

use alloc::vec::Vec;

use ndarray::{Array, ArrayRef, ArrayView, IxDyn, Zip, aview1};

use crate::{
    error::same,
    par::Sequential,
    real::Real,
    reduce::{Elements, Reduce, exact_sum::ExactSum, norm::Norm, squares::Squares},
    rule::{Adamax, EpsilonPlacement, WeightDecay},
    state::State,
    update::coefficients::clamp,
};

/// Memory for the entries of a step or of a projected gradient: all, or those of a leaf.
pub(super) struct Buffer<A> {
    entries: Option<Array<A, IxDyn>>,
    leaf: Vec<A>,
}

impl<A> Default for Buffer<A> {
    fn default() -> Self {
        Buffer { entries: None, leaf: Vec::new() }
    }
}

impl<A: Real> Buffer<A> {
    /// Returns an array of the shape of another, with any values.
    pub(super) fn like(&mut self, array: &ArrayRef<A, IxDyn>) -> &mut Array<A, IxDyn> {
        let fitting = self.entries.take().filter(|entries| same(entries.shape(), array.shape()));
        self.entries.insert(fitting.unwrap_or_else(|| array.to_owned()))
    }
}

/// Returns the Euclidean norm of an array. It neither overflows nor underflows on the way.
pub(super) fn of_array<A: Real>(array: &ArrayRef<A, IxDyn>) -> f64 {
    Norm::of(Sequential, Elements::of(array)).to_f64()
}

/// Returns the largest change of an element, as a report has it: rounded to the precision of the
/// elements. It is NaN if the shapes differ.
pub(super) fn largest_change<A: Real>(
    before: &ArrayRef<A, IxDyn>,
    after: &ArrayRef<A, IxDyn>,
) -> f64 {
    if !same(before.shape(), after.shape()) {
        return f64::NAN;
    }
    let pairs = Zip::from(before).and(after);
    pairs.fold(A::ZERO, |most, old, new| most.larger_magnitude((*new - *old).abs())).widen()
}

/// Returns the norm of the step under `rule` that led to `state`. `each` has the lower and upper bounds of
/// the elements, in place of those of the rule. `before` returns the parameter before the step; if that
/// has another shape, the norm is NaN.
pub(super) fn of_step<'a, A: Real>(
    rule: &Adamax,
    each: Option<[&Array<A, IxDyn>; 2]>,
    state: &State<A>,
    before: impl FnOnce() -> ArrayView<'a, A, IxDyn>,
    buffer: &mut Buffer<A>,
) -> f64 {
    let (m, u) = (state.first_moment(), state.inf_norm());
    let step = Step::new::<A>(rule, state.steps());
    let x = (step.needs_parameter() || each.is_some()).then(before);
    if x.as_ref().is_some_and(|x| !same(x.shape(), m.shape())) {
        return f64::NAN;
    }
    // Without decay and bounds the parameter has no effect, and anything can take its place.
    let x = x.as_ref().unwrap_or(&m);
    if let Some([lower, upper]) = each {
        if !same(lower.shape(), m.shape()) {
            return f64::NAN;
        }
        let entries = buffer.like(&m);
        let operands = Zip::from(&mut *entries).and(&m).and(&u).and(x).and(lower).and(upper);
        operands.for_each(|entry, m, u, x, lower, upper| {
            let step = step.unbounded(*m, *u, *x);
            *entry = A::from_f64(within(step, *x, (lower.widen(), upper.widen())));
        });
        return of_array(entries);
    }
    if let (1, Some(m), Some(u), Some(x)) = (m.ndim(), m.as_slice(), u.as_slice(), x.as_slice()) {
        return of_contiguous_step(step, [m, u, x], &mut buffer.leaf);
    }
    let entries = buffer.like(&m);
    let operands = Zip::from(&mut *entries).and(&m).and(&u).and(x);
    operands.for_each(|entry, m, u, x| *entry = step.entry(*m, *u, *x));
    of_array(entries)
}

/// The same for one axis, a leaf of the sum of squares at a time, so that no entry goes to memory.
fn of_contiguous_step<A: Real>(step: Step, [m, u, x]: [&[A]; 3], buffer: &mut Vec<A>) -> f64 {
    if m.len() <= LEAF {
        let entries = step.entries([m, u, x], buffer);
        return Norm::of(Sequential, Elements::of(&aview1(entries))).to_f64();
    }
    let mut sum = ExactSum::ZERO;
    for ((m, u), x) in m.chunks(LEAF).zip(u.chunks(LEAF)).zip(x.chunks(LEAF)) {
        let entries = step.entries([m, u, x], buffer);
        Squares::new(Elements::of(&aview1(entries))).add_to(&mut sum);
    }
    sum.root().to_f64()
}

/// The elements of a leaf of an array with one axis.
const LEAF: usize = 512;

/// The step of a rule: α·λ·x (if the decay is decoupled) + η·m/(u + ε), up to a bound, in f64.
#[derive(Clone, Copy)]
struct Step {
    /// α·λ if the decay is decoupled; else 0.
    decay: f64,
    /// η = α / (1 − β₁ᵗ).
    size: f64,
    /// ε outside of the maximum; else 0, because u contains it.
    epsilon: f64,
    /// The bounds of the parameter, in its precision.
    bounds: (f64, f64),
}

impl Step {
    fn new<A: Real>(rule: &Adamax, t: u64) -> Self {
        let (lower, upper) = rule.bounds();
        let rounded = |bound| A::from_f64(bound).widen();
        Step {
            decay: match rule.weight_decay() {
                WeightDecay::Decoupled(lambda) => rule.learning_rate() * lambda,
                WeightDecay::None | WeightDecay::L2(_) => 0.0,
            },
            size: rule.learning_rate() / rule.correction(t),
            epsilon: match rule.epsilon_placement() {
                EpsilonPlacement::Outside => rule.epsilon(),
                EpsilonPlacement::InsideMax | EpsilonPlacement::Accumulated => 0.0,
            },
            bounds: (rounded(lower), rounded(upper)),
        }
    }

    fn needs_parameter(self) -> bool {
        self.decay != 0.0 || self.is_bounded()
    }

    #[inline(always)]
    fn is_bounded(self) -> bool {
        let (lower, upper) = self.bounds;
        lower > f64::NEG_INFINITY || upper < f64::INFINITY
    }

    /// Returns the entries of a leaf.
    fn entries<'b, A: Real>(self, [m, u, x]: [&[A]; 3], buffer: &'b mut Vec<A>) -> &'b [A] {
        buffer.clear();
        buffer.extend(m.iter().zip(u).zip(x).map(|((m, u), x)| self.entry(*m, *u, *x)));
        buffer
    }

    /// Returns one entry, from the moments after the step and the parameter before it.
    #[inline(always)]
    fn entry<A: Real>(self, m: A, u: A, x: A) -> A {
        let step = self.unbounded(m, u, x);
        A::from_f64(if self.is_bounded() { within(step, x, self.bounds) } else { step })
    }

    /// Returns one entry as if there were no bounds.
    #[inline(always)]
    fn unbounded<A: Real>(self, m: A, u: A, x: A) -> f64 {
        let (m, divisor) = (m.widen(), u.widen() + self.epsilon);
        // As in a step: 0/0 is 0.
        let step = if divisor == 0.0 { 0.0 } else { self.size * (m / divisor) };
        // Without a decay, x may be any number: 0·x would be NaN if it is infinite.
        let decay = if self.decay == 0.0 { 0.0 } else { self.decay * x.widen() };
        decay + step
    }
}

/// Returns the part of a step from `x` that ends at a bound: at most x − lower, at least x − upper.
#[inline(always)]
fn within<A: Real>(step: f64, x: A, (lower, upper): (f64, f64)) -> f64 {
    clamp(step, x.widen() - upper, x.widen() - lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_depends_on_the_parameter_if_there_is_a_decay_or_a_bound() {
        fn check<A: Real>(decay: WeightDecay, [lower, upper]: [f64; 2], expected: [bool; 2]) {
            let rule = Adamax::builder().weight_decay(decay).bounds(lower, upper).build().unwrap();
            let step = Step::new::<A>(&rule, 1);
            assert_eq!([step.is_bounded(), step.needs_parameter()], expected, "{rule:?}");
        }
        const INF: f64 = f64::INFINITY;
        check::<f64>(WeightDecay::None, [-INF, INF], [false, false]);
        check::<f64>(WeightDecay::L2(0.1), [-INF, INF], [false, false]);
        check::<f64>(WeightDecay::Decoupled(0.1), [-INF, INF], [false, true]);
        check::<f64>(WeightDecay::None, [-1.0, INF], [true, true]);
        check::<f64>(WeightDecay::None, [-INF, 1.0], [true, true]);
        check::<f64>(WeightDecay::None, [-1e300, 1e300], [true, true]);
        // Bounds beyond the numbers of the precision are none.
        check::<f32>(WeightDecay::None, [-1e300, 1e300], [false, false]);
    }
}
