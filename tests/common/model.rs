//! A model of several tensors in one optimizer.

use super::{
    Float, Layout,
    bits::Snapshot,
    input::{gradients, parameters, rng},
    layout::LAYOUTS,
};
use adamax::{Adamax, Error, Group, Optimizer, Outcome, Slot, State};
use ndarray::{ArrayD, IxDyn};

/// Shapes of ranks 0 to 6, including an empty tensor.
pub(crate) const MIXED: [&[usize]; 8] =
    [&[], &[5], &[3, 5], &[0, 3], &[2, 3, 2, 2], &[4, 6], &[7], &[2, 1, 2, 1, 3, 2]];

/// A registered tensor and its current gradient.
pub(crate) struct Tensor<A> {
    pub(crate) name: String,
    pub(crate) slot: Slot<IxDyn>,
    pub(crate) x: ArrayD<A>,
    pub(crate) g: ArrayD<A>,
}

pub(crate) struct Model<A> {
    pub(crate) optimizer: Optimizer<A>,
    pub(crate) tensors: Vec<Tensor<A>>,
    /// The group of each tensor.
    pub(crate) groups: Vec<Group>,
}

/// The name of tensor number `i`.
pub(crate) fn name(i: usize) -> String {
    format!("tensor {i}")
}

/// Returns random parameters that cycle through all layouts, starting with layout number `shift`.
pub(crate) fn mixed_parameters<A: Float>(
    shapes: &[&[usize]],
    seed: u64,
    shift: usize,
) -> Vec<ArrayD<A>> {
    let rng = &mut rng(seed);
    let layouts = LAYOUTS.into_iter().cycle().skip(shift);
    shapes
        .iter()
        .zip(layouts)
        .map(|(&shape, layout)| layout.arrange(&parameters(shape, rng)))
        .collect()
}

impl<A: Float> Model<A> {
    /// Creates a model with tensors of these shapes in the default group.
    pub(crate) fn new(rule: Adamax, shapes: &[&[usize]], seed: u64) -> Self {
        Model::in_groups(Optimizer::new(rule), shapes, seed, |optimizer, _| {
            optimizer.default_group()
        })
    }

    /// Creates a model with tensor number `i` in group `group(i)`. Parameters and gradients have
    /// different layouts.
    pub(crate) fn in_groups(
        mut optimizer: Optimizer<A>,
        shapes: &[&[usize]],
        seed: u64,
        group: impl Fn(&mut Optimizer<A>, usize) -> Group,
    ) -> Self {
        let groups: Vec<_> = (0..shapes.len()).map(|i| group(&mut optimizer, i)).collect();
        let tensors = mixed_parameters(shapes, seed, 0).into_iter().zip(&groups).enumerate();
        let tensors = tensors
            .map(|(i, (x, &group))| {
                let name = name(i);
                let slot = optimizer.register_in(group, &name, &x).expect("own group, new name");
                let g = LAYOUTS[(i / 2) % LAYOUTS.len()].arrange(&ArrayD::zeros(x.shape()));
                Tensor { name, slot, x, g }
            })
            .collect();
        Model { optimizer, tensors, groups }
    }

    /// Draws new gradients. They are the same for all models with tensors of these shapes.
    pub(crate) fn draw_gradients(&mut self, seed: u64) {
        let rng = &mut rng(seed);
        for Tensor { g, .. } in &mut self.tensors {
            let shape = g.shape().to_vec();
            g.assign(&gradients(shape, rng));
        }
    }

    /// Steps all tensors.
    pub(crate) fn step(&mut self) -> Result<Outcome, Error> {
        let mut batch: Vec<_> = self
            .tensors
            .iter_mut()
            .map(|tensor| tensor.slot.bind(&mut tensor.x, &tensor.g))
            .collect();
        self.optimizer.step(&mut batch)
    }

    /// Steps the tensors with these numbers, in this order.
    pub(crate) fn step_in_order(&mut self, order: &[usize]) -> Result<Outcome, Error> {
        let mut bound: Vec<_> = self
            .tensors
            .iter_mut()
            .map(|tensor| Some(tensor.slot.bind(&mut tensor.x, &tensor.g)))
            .collect();
        let mut batch: Vec<_> =
            order.iter().map(|&i| bound[i].take().expect("each tensor once")).collect();
        self.optimizer.step(&mut batch)
    }

    /// Steps all tensors once per seed, each time with new gradients.
    pub(crate) fn run(&mut self, seeds: std::ops::Range<u64>) -> Result<(), Error> {
        for seed in seeds {
            self.draw_gradients(seed);
            assert_eq!(self.step()?, Outcome::Applied);
        }
        Ok(())
    }

    pub(crate) fn state(&self, i: usize) -> &State<A> {
        self.optimizer.state(self.tensors[i].slot).expect("own slot")
    }

    /// Returns the bits of all parameters and moments, and all step counters.
    pub(crate) fn bits(&self) -> Vec<Snapshot<A::Word>> {
        (0..self.tensors.len()).map(|i| Snapshot::of(&self.tensors[i].x, self.state(i))).collect()
    }
}
