//! A training in a state file, which is all that is needed to continue with the same bits.
//!
//! The schedule is not in the file, because it depends on the step only; nor is a random generator,
//! because the order of the pictures depends on the epoch only.

use std::iter::zip;

use adamax::{Average, Checkpoint, Error, Snapshot};

use crate::network::{NAMES, Network};

/// A training between two epochs.
pub(crate) struct Saved {
    pub(crate) network: Network,
    /// In the order of [`Network::tensors`].
    pub(crate) averages: Vec<Average>,
    pub(crate) optimizer: Snapshot,
    pub(crate) epoch: usize,
}

impl Saved {
    pub(crate) fn to_checkpoint(&self) -> Result<Checkpoint, Error> {
        let mut checkpoint = Checkpoint::new(self.optimizer.clone());
        for ((name, tensor), average) in zip(zip(NAMES, self.network.tensors()), &self.averages) {
            checkpoint.add_parameter(name, &tensor)?.add_average(name, average)?;
        }
        checkpoint.add_value("epoch", &self.epoch)?;
        Ok(checkpoint)
    }

    /// Takes a training out of a file. Everything in `network` is replaced.
    pub(crate) fn of(checkpoint: &Checkpoint, mut network: Network) -> Result<Self, Error> {
        let mut averages = Vec::new();
        for (name, mut tensor) in zip(NAMES, network.tensors_mut()) {
            checkpoint.assign_parameter(name, &mut tensor)?;
            averages.push(checkpoint.average(name, &tensor)?);
        }
        let (optimizer, epoch) = (checkpoint.snapshot().clone(), checkpoint.value("epoch")?);
        Ok(Saved { network, averages, optimizer, epoch })
    }

    /// Returns the bits of all parameters, averages, moments and norms.
    pub(crate) fn bits(&self) -> Vec<u64> {
        let tensors = self.network.tensors();
        let averages = self.averages.iter().map(Average::mean);
        let states = self.optimizer.names().filter_map(|name| self.optimizer.state(name));
        let memory = states.flat_map(|state| [state.first_moment(), state.inf_norm()]);
        let numbers = tensors.iter().flatten().chain(averages.flatten()).chain(memory.flatten());
        numbers.map(|number| number.to_bits()).collect()
    }
}
