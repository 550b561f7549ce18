//! The fit of the regression on all ranks together.

use adamax::{Adamax, State, ndarray::Array1, schedule::Schedule};
use adamax_mpi::{Combination, Error, MpiTransport, Reduction, ShardedOptimizer, ShardedSlot};
use ndarray::Ix1;

use crate::groups::{Groups, gradient};

/// The initial learning rate, as in the example `rand_hie`. A cosine schedule reduces it to zero.
const LEARNING_RATE: f64 = 0.01;

/// The coefficients of this rank, and the optimizer of all.
pub(crate) struct Fit {
    pub(crate) beta: Array1<f64>,
    pub(crate) optimizer: ShardedOptimizer<f64, MpiTransport>,
    slot: ShardedSlot<Ix1>,
}

impl Fit {
    /// Begins with zeros on all ranks.
    pub(crate) fn new(transport: MpiTransport, coefficients: usize) -> Result<Self, Error> {
        let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
        let mut optimizer = ShardedOptimizer::new(transport, rule);
        optimizer.set_reduction(Reduction::Tree);
        let beta = Array1::zeros(coefficients);
        let slot = optimizer.register("β", &beta)?;
        Ok(Fit { beta, optimizer, slot })
    }

    /// Fits β. Calls `after_epoch` with β after each epoch. Returns the number of steps.
    pub(crate) fn run(
        &mut self,
        groups: &mut Groups,
        epochs: u32,
        mut after_epoch: impl FnMut(&Array1<f64>),
    ) -> Result<u64, Error> {
        let steps = u64::from(epochs) * groups.batches() as u64;
        let schedule = Schedule::cosine(steps, 0.0)?;
        let mut step = 0;
        for _ in 0..epochs {
            for (batch, micro_batches) in groups.epoch().iter().enumerate() {
                let gradient = gradient(micro_batches, &self.beta);
                #[expect(clippy::cast_precision_loss, reason = "256 people at most")]
                let people = groups.size(batch) as f64;
                self.optimizer.set_combination(Combination::DividedBy(people))?;
                self.optimizer.set_lr_scale(schedule.scale(step))?;
                self.optimizer.step(&mut [self.slot.bind(&mut self.beta, &gradient)])?;
                step += 1;
            }
            after_epoch(&self.beta);
        }
        Ok(steps)
    }

    /// Returns a number that stands for all bits of β and of both moments; `None` on all ranks but rank 0.
    pub(crate) fn fingerprint(&mut self) -> Result<Option<u64>, Error> {
        let Some(snapshot) = self.optimizer.snapshot_on_root()? else { return Ok(None) };
        let state = snapshot.state("β").into_iter();
        let moments = state.flat_map(|state: &State<f64>| {
            state.first_moment().into_iter().chain(state.inf_norm()).copied().collect::<Vec<_>>()
        });
        Ok(Some(fingerprint(self.beta.iter().copied().chain(moments))))
    }
}

/// Returns the 64-bit FNV-1a hash of numbers.
fn fingerprint(values: impl Iterator<Item = f64>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    values
        .flat_map(f64::to_le_bytes)
        .fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}
