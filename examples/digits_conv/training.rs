//! Training with two groups, a schedule, a bound on the norm of the gradients, averages of the
//! parameters, and checkpoints from which it continues with the same bits.

use std::iter::zip;

use adamax::{
    Adamax, Average, Error, MaxNorm, Optimizer, Slot, State, WeightDecay,
    ndarray::{Ix1, Ix2, Ix4},
    schedule::Schedule,
};

use crate::{
    checkpoint::Saved,
    data::Digits,
    network::{NAMES, Network},
};

const BATCH: usize = 32;

/// The learning rate after the warm-up. A cosine schedule reduces it to zero.
const LEARNING_RATE: f64 = 0.05;

/// Number of warm-up epochs.
const WARM_UP: usize = 1;

/// Weight decay of kernels and weights.
const WEIGHT_DECAY: WeightDecay = WeightDecay::Decoupled(1e-2);

/// Bound on the global norm of the gradients.
const MAX_NORM: MaxNorm = MaxNorm::Global(1.0);

/// Averages cover about the last 1/(1 − 0.98) = 50 steps, or one and a half epochs.
const AVERAGE_DECAY: f64 = 0.98;

/// A network in training.
pub(crate) struct Training {
    network: Network,
    /// In the order of [`Network::tensors`].
    averages: Vec<Average>,
    optimizer: Optimizer,
    slots: Slots,
    schedule: Schedule,
    epoch: usize,
}

/// The slots of the tensors in the optimizer.
struct Slots {
    kernels: Slot<Ix4>,
    offsets: Slot<Ix1>,
    weights: Slot<Ix2>,
    biases: Slot<Ix1>,
}

impl Training {
    /// Starts a training with this number of epochs and pictures.
    pub(crate) fn start(network: Network, epochs: usize, pictures: usize) -> Result<Self, Error> {
        let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
        let decaying = rule.to_builder().weight_decay(WEIGHT_DECAY).build()?;

        let mut optimizer = Optimizer::new(decaying);
        let undecayed = optimizer.add_group(rule);
        let [kernels, offsets, weights, biases] = NAMES;
        let slots = Slots {
            kernels: optimizer.register(kernels, &network.kernels)?,
            offsets: optimizer.register_in(undecayed, offsets, &network.offsets)?,
            weights: optimizer.register(weights, &network.weights)?,
            biases: optimizer.register_in(undecayed, biases, &network.biases)?,
        };
        optimizer.set_max_norm(Some(MAX_NORM))?;

        let steps = |epochs: usize| (epochs * pictures.div_ceil(BATCH)) as u64;
        let schedule =
            Schedule::cosine(steps(epochs - WARM_UP), 0.0)?.warm_up(steps(WARM_UP), 0.0)?;
        let averages = network.tensors().map(|tensor| Average::new(AVERAGE_DECAY, &tensor));
        let averages = averages.into_iter().collect::<Result<_, _>>()?;
        Ok(Training { network, averages, optimizer, slots, schedule, epoch: 0 })
    }

    /// Continues a training with the same number of epochs and pictures.
    pub(crate) fn resume(saved: Saved, epochs: usize, pictures: usize) -> Result<Self, Error> {
        let Saved { network, averages, optimizer, epoch } = saved;
        let mut training = Training::start(network, epochs, pictures)?;
        training.optimizer.restore(&optimizer)?;
        Ok(Training { averages, epoch, ..training })
    }

    pub(crate) fn saved(&self) -> Saved {
        Saved {
            network: self.network.clone(),
            averages: self.averages.clone(),
            optimizer: self.optimizer.snapshot(),
            epoch: self.epoch,
        }
    }

    /// Trains to the end of epoch number `epoch`. Each epoch uses every picture once, in a
    /// different random order.
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

    /// Returns the network after the last step.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Returns a network with the averaged parameters. The training is not affected.
    pub(crate) fn averaged(&self) -> Result<Network, Error> {
        let mut network = self.network.clone();
        for (average, mut tensor) in zip(&self.averages, network.tensors_mut()) {
            average.assign_to(&mut tensor)?;
        }
        Ok(network)
    }
}
