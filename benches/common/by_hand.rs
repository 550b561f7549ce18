//! Implementations of Adamax with ndarray alone, for comparison.

use adamax::{
    Adamax,
    ndarray::{Array, Dimension, IxDyn, Zip},
};

use super::{
    Number,
    check::{STEPS, assert_each, naive},
    input::{gradients, parameters, shaped},
};

/// The multiple of the gradient that [`ByHand::traffic`] adds: large enough to change f32 numbers,
/// too small to overflow.
const TRAFFIC_RATE: f64 = 1e-3;

pub(crate) struct ByHand<A, D> {
    pub(crate) x: Array<A, D>,
    pub(crate) g: Array<A, D>,
    pub(crate) m: Array<A, D>,
    u: Array<A, D>,
    t: i32,
}

/// The coefficients of the default rule at one step.
struct Constants<A> {
    beta1: A,
    one_minus_beta1: A,
    beta2: A,
    epsilon: A,
    step_size: A,
}

impl<A: Number> ByHand<A, IxDyn> {
    pub(crate) fn flat(length: usize) -> Self {
        let x = shaped(IxDyn(&[length]), &mut parameters());
        ByHand::new(x, shaped(IxDyn(&[length]), &mut gradients()))
    }
}

impl<A: Number, D: Dimension> ByHand<A, D> {
    pub(crate) fn new(x: Array<A, D>, g: Array<A, D>) -> Self {
        // `mapv` keeps the memory order of the parameter.
        let (m, u) = (x.mapv(|_| A::zero()), x.mapv(|_| A::zero()));
        ByHand { x, g, m, u, t: 0 }
    }

    fn constants(&mut self) -> Constants<A> {
        self.t += 1;
        let rule = Adamax::default();
        Constants {
            beta1: A::of(rule.beta1()),
            one_minus_beta1: A::of(1.0 - rule.beta1()),
            beta2: A::of(rule.beta2()),
            epsilon: A::of(rule.epsilon()),
            step_size: A::of(rule.learning_rate() / (1.0 - rule.beta1().powi(self.t))),
        }
    }

    /// Takes a step in one fused pass.
    pub(crate) fn zip(&mut self) {
        let Constants { beta1, one_minus_beta1, beta2, epsilon, step_size } = self.constants();
        Zip::from(&mut self.x).and(&self.g).and(&mut self.m).and(&mut self.u).for_each(
            |x, &g, m, u| {
                *m = beta1 * *m + one_minus_beta1 * g;
                *u = (beta2 * *u).max(g.abs());
                *x = *x - step_size * *m / (*u + epsilon);
            },
        );
    }

    /// Takes a step by whole-array expressions, each of which allocates a new array.
    pub(crate) fn expressions(&mut self) {
        let Constants { beta1, one_minus_beta1, beta2, epsilon, step_size } = self.constants();
        self.m = &self.m * beta1 + &self.g * one_minus_beta1;
        self.u = Zip::from(&(&self.u * beta2))
            .and(&self.g)
            .map_collect(|decayed, g| decayed.max(g.abs()));
        self.x = &self.x - &self.m * step_size / (&self.u + epsilon);
    }

    /// Reads and writes the same memory as a step, without the division. The time is the limit that
    /// memory bandwidth sets.
    pub(crate) fn traffic(&mut self) {
        let rate = A::of(TRAFFIC_RATE);
        let slices = (
            self.x.as_slice_mut(),
            self.g.as_slice(),
            self.m.as_slice_mut(),
            self.u.as_slice_mut(),
        );
        let (Some(x), Some(g), Some(m), Some(u)) = slices else { panic!("not row-major") };
        for (((x, g), m), u) in x.iter_mut().zip(g).zip(m).zip(u) {
            let moved = rate * *g;
            *x = *x + moved;
            *m = *m + moved;
            *u = *u + moved;
        }
    }

    pub(crate) fn check(&self) {
        assert_each(&self.x, naive(&Adamax::default(), 1.0));
    }

    pub(crate) fn check_traffic(&self) {
        assert_each(&self.x, |x, g| x + f64::from(STEPS) * TRAFFIC_RATE * g);
    }
}
