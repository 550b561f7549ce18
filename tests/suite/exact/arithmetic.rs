//! One step in numbers of 400 binary digits and any exponent: the exact result, for all practical
//! purposes.

use crate::common::Float;
use adamax::{Adamax, BiasCorrection, EpsilonPlacement, Objective, WeightDecay};
use dashu_float::{FBig, round::mode::HalfEven};

pub(crate) type Big = FBig<HalfEven, 2>;

const DIGITS: usize = 400;

pub(crate) fn big(value: f64) -> Big {
    Big::try_from(value).expect("finite").with_precision(DIGITS).value()
}

pub(crate) fn magnitude(value: &Big) -> Big {
    larger(value.clone(), -value.clone())
}

pub(crate) fn larger(a: Big, b: Big) -> Big {
    if a > b { a } else { b }
}

/// The exact result of a step of one element.
#[derive(Debug)]
pub(crate) struct Exact {
    pub(crate) x: Big,
    pub(crate) m: Big,
    pub(crate) u: Big,
    /// The sums of the magnitudes of all terms of x, m and u. Rounding errors are in proportion to them,
    /// even where terms cancel.
    pub(crate) terms: [Big; 3],
    /// The largest magnitude of all products on the way.
    pub(crate) largest: Big,
    /// The largest change of x when a value on the way changes by 1. Values below the normal numbers
    /// are rounded to multiples of the smallest number.
    pub(crate) sensitivity: Big,
    /// True if rounding decides whether the first moment or the norm becomes 0.
    pub(crate) is_at_the_edge: bool,
}

/// Returns the exact result for elements of type `A`: the first moment and the decayed norm are 0 below
/// its smallest normal number.
pub(crate) fn step<A: Float>(rule: &Adamax, t: u64, [x, g, m, u]: [A; 4]) -> Exact {
    let [x, g, m, u] = [x, g, m, u].map(|value| big(value.wide()));
    let one = big(1.0);
    let normal = big(A::LEAST_NORMAL.wide());
    let flush = |value: &Big| if magnitude(value) < normal { big(0.0) } else { value.clone() };
    let is_at_the_edge = |value: &Big, terms: &Big| {
        let distance = magnitude(&(magnitude(value) - &normal));
        distance < larger(terms.clone(), normal.clone()) * big(1e-5)
    };
    let (beta1, beta2) = (big(rule.beta1()), big(rule.beta2()));
    let (rate, epsilon) = (big(rule.learning_rate()), big(rule.epsilon()));

    let mut g = if rule.objective() == Objective::Maximize { -g } else { g };
    if rule.clip_value().is_finite() {
        let clip = big(A::of(rule.clip_value()).wide());
        g = larger(-clip.clone(), if g > clip { clip } else { g });
    }
    let decay = match rule.weight_decay() {
        WeightDecay::L2(lambda) => big(lambda) * &x,
        _ => big(0.0),
    };
    let mut terms_g = magnitude(&g) + magnitude(&decay);
    let mut largest = magnitude(&decay);
    g += decay;

    let weight = &one - &beta1;
    let mean = &beta1 * &m + &weight * &g;
    let new_m = flush(&mean);
    let terms_m = &beta1 * magnitude(&m) + &weight * &terms_g;

    let decayed = &beta2 * &u;
    let edge = is_at_the_edge(&mean, &terms_m) || is_at_the_edge(&decayed, &decayed);
    let mut decayed = flush(&decayed);
    let mut size = magnitude(&g);
    match rule.epsilon_placement() {
        EpsilonPlacement::Accumulated => decayed += &epsilon,
        EpsilonPlacement::InsideMax => {
            size += &epsilon;
            terms_g += &epsilon;
        }
        _ => {}
    }
    let new_u = larger(decayed.clone(), size);
    let terms_u = larger(decayed, terms_g);

    let outside = rule.epsilon_placement() == EpsilonPlacement::Outside;
    let divisor = if outside { &new_u + &epsilon } else { new_u.clone() };
    let step_size = match rule.bias_correction() {
        BiasCorrection::Off => rate.clone(),
        _ => &rate / (&one - power(&beta1, t)),
    };
    let (kept, terms_of_kept) = match rule.weight_decay() {
        WeightDecay::Decoupled(lambda) => {
            let part = &rate * big(lambda);
            ((&one - &part) * &x, (&one + &part) * magnitude(&x))
        }
        _ => (x.clone(), magnitude(&x)),
    };
    if divisor == big(0.0) {
        let (sensitivity, terms) = (big(0.0), [terms_of_kept, terms_m, terms_u]);
        return Exact {
            x: kept,
            m: new_m,
            u: new_u,
            terms,
            largest,
            sensitivity,
            is_at_the_edge: edge,
        };
    }
    let quotient = magnitude(&new_m) / &divisor;
    if rule.beta1() <= rule.beta2() {
        // Moments that no run with such a rule can have led to may overflow here.
        largest = larger(largest, quotient.clone());
    }
    // Where g and λ·x cancel, so do the digits of the norm that divides.
    let lost = if outside { (&terms_u + &epsilon) / &divisor } else { &terms_u / &divisor };
    let terms_of_change = &step_size * &terms_m / &divisor * lost;
    // By the step size, the quotient, the norm, and the first moment.
    let sensitivity = quotient + &step_size + (&terms_of_change + &step_size) / &divisor;
    Exact {
        x: &kept - &step_size * &new_m / &divisor,
        m: new_m,
        u: new_u,
        terms: [terms_of_kept + terms_of_change, terms_m, terms_u],
        largest,
        sensitivity,
        is_at_the_edge: edge,
    }
}

fn power(base: &Big, exponent: u64) -> Big {
    let (mut result, mut square, mut rest) = (big(1.0), base.clone(), exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result *= &square;
        }
        square = &square * &square;
        rest >>= 1;
    }
    result
}
