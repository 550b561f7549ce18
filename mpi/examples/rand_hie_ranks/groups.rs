//! The people in 16 groups, which are divided among the ranks.

use adamax::ndarray::Array1;
use adamax_mpi::sum_in_tree;
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng};

use crate::poisson::Sample;

/// The number of groups: the largest number of ranks.
pub(crate) const GROUPS: usize = 16;

/// People of one group in one batch. All groups together have 256, as in the example `rand_hie`.
const MICRO_BATCH: usize = 16;

/// The groups of one rank. They depend on the number of the group only, so all ranks together have the same
/// micro-batches, however many they are.
pub(crate) struct Groups {
    members: Vec<(Sample, SmallRng)>,
    /// The number of people in each of the 16 groups.
    sizes: Vec<usize>,
}

impl Groups {
    /// Takes the groups of rank `rank` from the whole sample. Person i is in group i mod 16.
    ///
    /// # Errors
    /// If the groups cannot be divided among `ranks` ranks.
    pub(crate) fn of(
        sample: &Sample,
        rank: usize,
        ranks: usize,
        seed: u64,
    ) -> Result<Self, &'static str> {
        if ranks == 0 || GROUPS % ranks != 0 {
            return Err("the number of ranks must be 1, 2, 4, 8 or 16");
        }
        let people = |group| (group..sample.counts.len()).step_by(GROUPS);
        let own = GROUPS / ranks;
        let members = (rank * own..(rank + 1) * own)
            .zip(seed + (rank * own) as u64..)
            .map(|(group, seed)| {
                let rows: Vec<_> = people(group).collect();
                (sample.select(&rows), SmallRng::seed_from_u64(seed))
            })
            .collect();
        Ok(Groups { members, sizes: (0..GROUPS).map(|group| people(group).len()).collect() })
    }

    /// Returns the number of people in the groups of this rank.
    pub(crate) fn people(&self) -> usize {
        self.members.iter().map(|(sample, _)| sample.counts.len()).sum()
    }

    /// Returns the number of batches in an epoch.
    pub(crate) fn batches(&self) -> usize {
        self.sizes.iter().max().map_or(0, |largest| largest.div_ceil(MICRO_BATCH))
    }

    /// Returns the number of people of all groups in a batch.
    pub(crate) fn size(&self, batch: usize) -> usize {
        let of = |size: &usize| size.saturating_sub(batch * MICRO_BATCH).min(MICRO_BATCH);
        self.sizes.iter().map(of).sum()
    }

    /// Returns one epoch: for each batch, the micro-batches of this rank's groups.
    pub(crate) fn epoch(&mut self) -> Vec<Vec<Sample>> {
        let count = self.batches();
        let mut batches: Vec<Vec<Sample>> = (0..count).map(|_| Vec::new()).collect();
        for (sample, rng) in &mut self.members {
            let mut parts = sample.epoch(MICRO_BATCH, rng);
            for batch in &mut batches {
                batch.push(parts.next().unwrap_or_else(|| sample.select(&[])));
            }
        }
        batches
    }
}

/// Adds the gradients of micro-batches in a binary tree. The sum over people, not their mean.
pub(crate) fn gradient(micro_batches: &[Sample], beta: &Array1<f64>) -> Array1<f64> {
    let of_each = micro_batches.iter().map(|sample| match sample.counts.len() {
        0 => Array1::zeros(beta.len()),
        _ => sample.gradient(beta) * sample.size(),
    });
    let mut gradients: Vec<Array1<f64>> = of_each.collect();
    let slices = gradients.iter_mut().filter_map(Array1::as_slice_mut);
    sum_in_tree(&mut slices.collect::<Vec<_>>());
    gradients.into_iter().next().unwrap_or_else(|| Array1::zeros(beta.len()))
}
