//! Many tensors, stepped by an [`Optimizer`].

use adamax::{
    Adamax, Bound, MaxNorm, Optimizer, Outcome, Slot,
    ndarray::{ArrayD, IxDyn},
};

use super::{
    Number,
    check::{assert_each, naive},
    input::{gradients, parameters, shaped},
};

/// A set of tensors to step together.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    shapes: Vec<Vec<usize>>,
}

impl Set {
    /// Many small tensors.
    pub(crate) fn small() -> Self {
        Set { name: "1000x[64]", shapes: vec![vec![64]; 1000] }
    }

    /// Weights and biases of a perceptron for images of 28 by 28 pixels.
    pub(crate) fn perceptron() -> Self {
        let layers = [[784, 256], [256, 128], [128, 10]];
        let shapes = layers.iter().flat_map(|layer| [layer.to_vec(), vec![layer[1]]]).collect();
        Set { name: "mlp 784-256-128-10", shapes }
    }

    pub(crate) fn elements(&self) -> usize {
        self.shapes.iter().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Returns all tensors of the set, filled with the next numbers.
    pub(crate) fn arrays<A: Number>(&self, mut numbers: impl Iterator<Item = A>) -> Vec<ArrayD<A>> {
        self.shapes.iter().map(|shape| shaped(&shape[..], &mut numbers)).collect()
    }
}

pub(crate) struct Batch<A> {
    optimizer: Optimizer<A>,
    slots: Vec<Slot<IxDyn>>,
    pub(crate) x: Vec<ArrayD<A>>,
    g: Vec<ArrayD<A>>,
}

impl<A: Number> Batch<A> {
    pub(crate) fn random(set: &Set, rule: Adamax, max_norm: Option<MaxNorm>) -> Self {
        Batch::new(rule, max_norm, set.arrays(parameters()), set.arrays(gradients()))
    }

    pub(crate) fn new(
        rule: Adamax,
        max_norm: Option<MaxNorm>,
        x: Vec<ArrayD<A>>,
        g: Vec<ArrayD<A>>,
    ) -> Self {
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(max_norm).expect("in range");
        let mut register = |(i, x): (usize, &ArrayD<A>)| {
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

    #[cfg(feature = "rayon")]
    pub(crate) fn par_step(&mut self) -> Outcome {
        let mut bound = bind(&self.slots, &mut self.x, &self.g);
        self.optimizer.par_step(&mut bound).expect("a valid step")
    }

    pub(crate) fn check(&self) {
        let factor = match self.optimizer.max_norm() {
            Some(MaxNorm::Global(max)) => max / self.norm(),
            _ => 1.0,
        };
        let rule = self.optimizer.rule(self.optimizer.default_group()).expect("its own group");
        assert_each(self.x.iter().flatten(), naive(rule, factor));
    }

    /// Returns the global norm of the gradients.
    fn norm(&self) -> f64 {
        let squares = self.g.iter().flatten().map(|&g| g.into().powi(2));
        squares.sum::<f64>().sqrt()
    }
}

fn bind<'a, A: Number>(
    slots: &[Slot<IxDyn>],
    x: &'a mut [ArrayD<A>],
    g: &'a [ArrayD<A>],
) -> Vec<Bound<'a, A>> {
    slots.iter().zip(x.iter_mut().zip(g)).map(|(slot, (x, g))| slot.bind(x, g)).collect()
}
