//! Several tensors in one optimizer, as a user has them.

use super::{
    Float, Layout,
    bits::Snapshot,
    input::{gradients, parameters, rng},
    layout::LAYOUTS,
};
use adamax::{Adamax, Error, Group, Optimizer, Outcome, Slot, State};
use ndarray::{ArrayD, IxDyn};

/// Ranks 0 to 6, among them a tensor without elements.
pub(crate) const MIXED: [&[usize]; 8] =
    [&[], &[5], &[3, 5], &[0, 3], &[2, 3, 2, 2], &[4, 6], &[7], &[2, 1, 2, 1, 3, 2]];

/// A tensor that is registered, and its present gradient.
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

/// What tensor number `i` is called.
pub(crate) fn name(i: usize) -> String {
    format!("tensor {i}")
}

/// Random parameters in all layouts by turns, the first one in layout `shift`.
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
    /// Tensors of these shapes in the default group.
    pub(crate) fn new(rule: Adamax, shapes: &[&[usize]], seed: u64) -> Self {
        Model::in_groups(Optimizer::new(rule), shapes, seed, |optimizer, _| {
            optimizer.default_group()
        })
    }

    /// Tensor number `i` is in group `group(i)`; parameters and gradients are in different layouts.
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

    /// Other gradients, the same for all models with tensors of these shapes.
    pub(crate) fn draw_gradients(&mut self, seed: u64) {
        let rng = &mut rng(seed);
        for Tensor { g, .. } in &mut self.tensors {
            let shape = g.shape().to_vec();
            g.assign(&gradients(shape, rng));
        }
    }

    /// A step of all tensors.
    pub(crate) fn step(&mut self) -> Result<Outcome, Error> {
        let mut batch: Vec<_> = self
            .tensors
            .iter_mut()
            .map(|tensor| tensor.slot.bind(&mut tensor.x, &tensor.g))
            .collect();
        self.optimizer.step(&mut batch)
    }

    /// A step of all tensors, or of some, in this order.
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

    /// So many steps of all tensors, each with gradients of its own.
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

    /// The bits of all parameters, moments and counters.
    pub(crate) fn bits(&self) -> Vec<Snapshot<A::Word>> {
        (0..self.tensors.len()).map(|i| Snapshot::of(&self.tensors[i].x, self.state(i))).collect()
    }
}
