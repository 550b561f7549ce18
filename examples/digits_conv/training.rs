//! Training with everything an optimizer offers: two groups, a schedule, a bound on the norm of the
//! gradients, averages of the parameters; and checkpoints, from which it goes on with the same bits.

use std::iter::zip;

use adamax::{
    Adamax, Average, Error, MaxNorm, Optimizer, Slot, State, WeightDecay,
    ndarray::{Ix1, Ix2, Ix4},
    schedule::Schedule,
};

use crate::{checkpoint::Checkpoint, data::Digits, network::Network};

const BATCH: usize = 32;

/// The rate after the warm-up; a cosine takes it to zero.
const LEARNING_RATE: f64 = 0.05;

/// Epochs of warm-up.
const WARM_UP: usize = 1;

/// Of the kernels and weights.
const WEIGHT_DECAY: WeightDecay = WeightDecay::Decoupled(1e-2);

/// Bound on the norm of all gradients together.
const MAX_NORM: MaxNorm = MaxNorm::Global(1.0);

/// Averages reach back over about 1/(1 − 0.98) = 50 steps, or one epoch and a half.
const AVERAGE_DECAY: f64 = 0.98;

/// A network on its way.
pub(crate) struct Training {
    network: Network,
    /// In the order of [`Network::tensors`].
    averages: Vec<Average>,
    optimizer: Optimizer,
    slots: Slots,
    schedule: Schedule,
    epoch: usize,
}

/// The places of the tensors in the optimizer.
struct Slots {
    kernels: Slot<Ix4>,
    offsets: Slot<Ix1>,
    weights: Slot<Ix2>,
    biases: Slot<Ix1>,
}

impl Training {
    /// A new training, to go on for so many epochs over so many pictures.
    pub(crate) fn start(network: Network, epochs: usize, pictures: usize) -> Result<Self, Error> {
        let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
        let decaying = rule.to_builder().weight_decay(WEIGHT_DECAY).build()?;

        let mut optimizer = Optimizer::new(decaying);
        let undecayed = optimizer.add_group(rule);
        let slots = Slots {
            kernels: optimizer.register("kernels", &network.kernels)?,
            offsets: optimizer.register_in(undecayed, "offsets", &network.offsets)?,
            weights: optimizer.register("weights", &network.weights)?,
            biases: optimizer.register_in(undecayed, "biases", &network.biases)?,
        };
        optimizer.set_max_norm(Some(MAX_NORM))?;

        let steps = |epochs: usize| (epochs * pictures.div_ceil(BATCH)) as u64;
        let schedule =
            Schedule::cosine(steps(epochs - WARM_UP), 0.0)?.warm_up(steps(WARM_UP), 0.0)?;
        let averages = network.tensors().map(|tensor| Average::new(AVERAGE_DECAY, &tensor));
        let averages = averages.into_iter().collect::<Result<_, _>>()?;
        Ok(Training { network, averages, optimizer, slots, schedule, epoch: 0 })
    }

    /// Goes on where a training with as many epochs and pictures has been saved.
    pub(crate) fn resume(
        checkpoint: Checkpoint,
        epochs: usize,
        pictures: usize,
    ) -> Result<Self, Error> {
        let Checkpoint { network, averages, optimizer, epoch } = checkpoint;
        let mut training = Training::start(network, epochs, pictures)?;
        training.optimizer.restore(&optimizer)?;
        Ok(Training { averages, epoch, ..training })
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            network: self.network.clone(),
            averages: self.averages.clone(),
            optimizer: self.optimizer.snapshot(),
            epoch: self.epoch,
        }
    }

    /// Goes on to the end of an epoch. Each shows the network every picture once, in an order of its
    /// own.
    pub(crate) fn train_until(
        &mut self,
        epoch: usize,
        digits: &Digits,
        mut after_epoch: impl FnMut(&Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while self.epoch < epoch {
            for pictures in digits.shuffled(self.epoch as u64).chunks(BATCH) {
                self.step(&digits.select(pictures))?;
            }
            self.epoch += 1;
            after_epoch(self)?;
        }
        Ok(())
    }

    fn step(&mut self, digits: &Digits) -> Result<(), Error> {
        let Training { network, averages, optimizer, slots, .. } = self;
        let gradient = network.gradient(digits);
        let t = optimizer.state(slots.kernels).map_or(0, State::steps);
        optimizer.set_lr_scale(self.schedule.scale(t))?;
        optimizer.step(&mut [
            slots.kernels.bind(&mut network.kernels, &gradient.kernels),
            slots.offsets.bind(&mut network.offsets, &gradient.offsets),
            slots.weights.bind(&mut network.weights, &gradient.weights),
            slots.biases.bind(&mut network.biases, &gradient.biases),
        ])?;

        let tensors = network.tensors();
        let averages = zip(averages, &tensors).map(|(average, tensor)| average.bind(tensor));
        Average::update_all(&mut averages.collect::<Vec<_>>())
    }

    /// The network as the last step has left it.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// The network of the averages, beside which training goes on undisturbed.
    pub(crate) fn averaged(&self) -> Result<Network, Error> {
        let mut network = self.network.clone();
        for (average, mut tensor) in zip(&self.averages, network.tensors_mut()) {
            average.assign_to(&mut tensor)?;
        }
        Ok(network)
    }
}
