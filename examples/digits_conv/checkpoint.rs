//! The data that a training must save so that it can continue with the same bits.

#[cfg(feature = "serde")]
use std::{error::Error, fs, path::Path};

use adamax::{Average, Snapshot};

use crate::network::Network;

/// A saved training. It does not contain the schedule, which depends on the step only, nor a random
/// generator, because the order of the pictures depends on the epoch only.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Checkpoint {
    pub(crate) network: Network,
    pub(crate) averages: Vec<Average>,
    pub(crate) optimizer: Snapshot,
    pub(crate) epoch: usize,
}

impl Checkpoint {
    /// Writes the checkpoint to a file and reads it back. In practice, another process reads it.
    #[cfg(feature = "serde")]
    pub(crate) fn through_file(&self, path: &Path) -> Result<Self, Box<dyn Error>> {
        fs::write(path, serde_json::to_string(self)?)?;
        println!("wrote {}", path.display());
        Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
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
