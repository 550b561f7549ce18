//! Many tensors, stepped by an [`Optimizer`].

use adamax::{
    Adamax, Bound, MaxNorm, Optimizer, Outcome, Report, Slot,
    ndarray::{Array, ArrayD, Dimension, IxDyn},
};

use super::{
    Number,
    check::{assert_each, naive},
    input::{gradients, parameters, shaped},
};

/// A bound below the norm of all gradients of the benches, so that a step scales them.
pub(crate) const MAX_NORM: Option<MaxNorm> = Some(MaxNorm::Global(0.01));

/// A set of tensors to step together.
pub(crate) struct Set {
    pub(crate) name: String,
    shapes: Vec<Vec<usize>>,
}

impl Set {
    /// One tensor with one axis of this length.
    pub(crate) fn one(length: usize) -> Self {
        Set { name: length.to_string(), shapes: vec![vec![length]] }
    }

    /// This many small tensors.
    pub(crate) fn small(count: usize) -> Self {
        Set { name: format!("{count}x[64]"), shapes: vec![vec![64]; count] }
    }

    /// Weights and biases of a perceptron for images of 28 by 28 pixels.
    pub(crate) fn perceptron() -> Self {
        let layers = [[784, 256], [256, 128], [128, 10]];
        let shapes = layers.iter().flat_map(|layer| [layer.to_vec(), vec![layer[1]]]).collect();
        Set { name: "mlp 784-256-128-10".to_owned(), shapes }
    }

    pub(crate) fn elements(&self) -> usize {
        self.shapes.iter().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Returns all tensors of the set, filled with the next numbers.
    pub(crate) fn arrays<A: Number>(&self, mut numbers: impl Iterator<Item = A>) -> Vec<ArrayD<A>> {
        self.shapes.iter().map(|shape| shaped(&shape[..], &mut numbers)).collect()
    }
}

pub(crate) struct Batch<A, D> {
    optimizer: Optimizer<A>,
    slots: Vec<Slot<D>>,
    pub(crate) x: Vec<Array<A, D>>,
    g: Vec<Array<A, D>>,
}

impl<A: Number> Batch<A, IxDyn> {
    pub(crate) fn random(set: &Set, rule: Adamax, max_norm: Option<MaxNorm>) -> Self {
        Batch::new(rule, max_norm, set.arrays(parameters()), set.arrays(gradients()))
    }
}

impl<A: Number, D: Dimension> Batch<A, D> {
    pub(crate) fn new(
        rule: Adamax,
        max_norm: Option<MaxNorm>,
        x: Vec<Array<A, D>>,
        g: Vec<Array<A, D>>,
    ) -> Self {
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(max_norm).expect("in range");
        let mut register = |(i, x): (usize, &Array<A, D>)| {
            optimizer.register(&i.to_string(), x).expect("a new name")
        };
        let slots = x.iter().enumerate().map(&mut register).collect();
        Batch { optimizer, slots, x, g }
    }

    /// Binds and steps all tensors. Binding is timed too, because users bind in every step.
    pub(crate) fn step(&mut self) -> Outcome {
        let mut bound = bind(&self.slots, &mut self.x, &self.g);
        self.optimizer.step(&mut bound).expect("a valid step")
    }

    pub(crate) fn step_with_report(&mut self) -> Report {
        let mut bound = bind(&self.slots, &mut self.x, &self.g);
        self.optimizer.step_with_report(&mut bound).expect("a valid step")
    }

    #[cfg(feature = "rayon")]
    pub(crate) fn par_step(&mut self) -> Outcome {
        let mut bound = bind(&self.slots, &mut self.x, &self.g);
        self.optimizer.par_step(&mut bound).expect("a valid step")
    }

    pub(crate) fn check(&self) {
        let factor = clip_factor(self.optimizer.max_norm(), self.g.iter().flatten());
        let rule = self.optimizer.rule(self.optimizer.default_group()).expect("its own group");
        assert_each(self.x.iter().flatten(), naive(rule, factor));
    }
}

/// Returns the factor of all gradients.
pub(crate) fn clip_factor<'a, A: Number>(
    max_norm: Option<MaxNorm>,
    gradients: impl Iterator<Item = &'a A>,
) -> f64 {
    match max_norm {
        None => 1.0,
        Some(MaxNorm::Global(max)) => {
            let squares = gradients.map(|&g| g.into().powi(2));
            (max / squares.sum::<f64>().sqrt()).min(1.0)
        }
        Some(other) => panic!("{other:?} is not checked"),
    }
}

fn bind<'a, A: Number, D: Dimension>(
    slots: &[Slot<D>],
    x: &'a mut [Array<A, D>],
    g: &'a [Array<A, D>],
) -> Vec<Bound<'a, A>> {
    slots.iter().zip(x.iter_mut().zip(g)).map(|(slot, (x, g))| slot.bind(x, g)).collect()
}
