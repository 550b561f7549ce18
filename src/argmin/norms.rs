//! Norms of gradients and of steps.
//!
//! A step counts as the rule computes it, before it is added to the parameter. The difference of two parameters does not tell it: the sum is rounded to the precision of the
//! parameter. At x = 2·10¹⁷ a step of 1 changes nothing, and would look like convergence.

use ndarray::{ArrayView, IxDyn, aview1};

use crate::{
    par::Sequential,
    real::Real,
    reduce::{Elements, Reduce, exact_sum::ExactSum, norm::Norm, squares::Squares},
    rule::{Adamax, EpsilonPlacement, WeightDecay},
    state::State,
};

/// Returns the Euclidean norm of an array. It neither overflows nor underflows on the way.
pub(super) fn of_array<A: Real>(array: &ArrayView<'_, A, IxDyn>) -> f64 {
    Norm::of(Sequential, Elements::of(array)).to_f64()
}

/// Returns the norm of the step under `rule` that led to `state`, from the parameter `before`.
///
/// The elements come in logical order, so the bits do not depend on the memory order.
pub(super) fn of_step<A: Real>(
    rule: &Adamax,
    state: &State<A>,
    before: &ArrayView<'_, A, IxDyn>,
) -> f64 {
    let (m, u) = (state.first_moment(), state.inf_norm());
    let step = Step::new(rule, state.steps());
    match (m.as_slice(), u.as_slice(), before.as_slice()) {
        (Some(m), Some(u), Some(x)) => of_numbers(step.elements(m, u, x)),
        _ => of_numbers(step.elements(&m, &u, before)),
    }
}

/// The step of one element: α·λ·x (decoupled decay) + η·m/(u + ε), in f64.
struct Step {
    /// α·λ if the decay is decoupled; else 0.
    decay: f64,
    /// η = α / (1 − β₁ᵗ).
    size: f64,
    /// ε outside of the maximum; else 0, because u contains it.
    epsilon: f64,
}

impl Step {
    fn new(rule: &Adamax, t: u64) -> Self {
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
        }
    }

    /// Returns the step of each element, from the moments after it and the parameter before it.
    fn elements<'a, A: Real>(
        self,
        m: impl IntoIterator<Item = &'a A>,
        u: impl IntoIterator<Item = &'a A>,
        x: impl IntoIterator<Item = &'a A>,
    ) -> impl Iterator<Item = f64> {
        m.into_iter().zip(u).zip(x).map(move |((m, u), x)| {
            let (m, divisor) = (m.widen(), u.widen() + self.epsilon);
            // As in a step: 0/0 is 0.
            let step = if divisor == 0.0 { 0.0 } else { self.size * (m / divisor) };
            self.decay * x.widen() + step
        })
    }
}

/// Returns the norm of numbers, which are gathered a leaf at a time.
fn of_numbers(mut values: impl Iterator<Item = f64>) -> f64 {
    let mut leaf = [0.0; LEAF];
    let mut sum = ExactSum::ZERO;
    loop {
        let filled = leaf.iter_mut().zip(&mut values).map(|(place, value)| *place = value).count();
        let filled = leaf.get(..filled).unwrap_or_default();
        Squares::new(Elements::of(&aview1(filled))).add_to(&mut sum);
        if filled.len() < LEAF {
            return sum.root().to_f64();
        }
    }
}

/// The elements whose squares are added without an exact sum in between.
const LEAF: usize = 512;
