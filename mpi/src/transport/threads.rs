//! Ranks that are threads of one process.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::{Numbers, NumbersMut, Transport, TransportError};

/// The transport of one of several threads that play the ranks of a job.
///
/// This is for tests, for a first try without MPI, and for a single process: `Threads::new(1)`.
/// If a thread ends, those that wait for it get an error.
///
/// # Examples
/// ```
/// use adamax_mpi::{Threads, Transport};
///
/// let ranks = Threads::new(3);
/// std::thread::scope(|scope| {
///     for mut rank in ranks {
///         scope.spawn(move || {
///             let mut of_all = [0; 3];
///             let own = 10 * u64::try_from(rank.rank()).unwrap();
///             rank.all_gather(&[own], &mut of_all).unwrap();
///             assert_eq!(of_all, [0, 10, 20]);
///         });
///     }
/// });
/// ```
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

impl Threads {
    /// Returns the transports of all ranks, in the order of the ranks.
    ///
    /// # Allocation
    /// A channel for each pair of ranks.
    #[must_use]
    pub fn new(size: usize) -> Vec<Self> {
        let rank = |rank| Threads { rank, to: Vec::new(), from: Vec::new() };
        let mut ranks: Vec<_> = (0..size).map(rank).collect();
        for sender in 0..size {
            let (to, from): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
            ranks.iter_mut().zip(from).for_each(|(receiver, from)| receiver.from.push(from));
            if let Some(sender) = ranks.get_mut(sender) {
                sender.to = to;
            }
        }
        ranks
    }

    fn send(&self, to: usize, bytes: &[u8]) -> Result<(), TransportError> {
        let sent = self.to.get(to).map(|channel| channel.send(bytes.to_vec()));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(gone(to)) }
    }

    fn receive(&self, from: usize, bytes: &mut [u8]) -> Result<(), TransportError> {
        let message = self.from.get(from).and_then(|channel| channel.recv().ok());
        let message = message.ok_or_else(|| gone(from))?;
        if message.len() != bytes.len() {
            let (found, expected) = (message.len(), bytes.len());
            let text = format!("rank {from} has sent {found} bytes, but {expected} were expected");
            return Err(TransportError::new(text));
        }
        bytes.copy_from_slice(&message);
        Ok(())
    }
}

fn gone(rank: usize) -> TransportError {
    TransportError::new(format!("rank {rank} has ended"))
}

impl Transport for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn all_gather(&mut self, words: &[u64], of_all: &mut [u64]) -> Result<(), TransportError> {
        let bytes = bytemuck::cast_slice(words);
        (0..self.size()).try_for_each(|to| self.send(to, bytes))?;
        let mut rest = of_all;
        for from in 0..self.size() {
            let Some((block, others)) = rest.split_at_mut_checked(words.len()) else {
                return Err(TransportError::new("there is no room for the words of all ranks"));
            };
            self.receive(from, bytemuck::cast_slice_mut(block))?;
            rest = others;
        }
        Ok(())
    }

    fn send_receive(
        &mut self,
        to: usize,
        sent: &[u8],
        from: usize,
        received: &mut [u8],
    ) -> Result<(), TransportError> {
        if !sent.is_empty() {
            self.send(to, sent)?;
        }
        if received.is_empty() { Ok(()) } else { self.receive(from, received) }
    }

    /// Adds in the order of the ranks.
    fn reduce_scatter(
        &mut self,
        addends: Numbers<'_>,
        sums: NumbersMut<'_>,
    ) -> Result<(), TransportError> {
        match (addends, sums) {
            (Numbers::F32(addends), NumbersMut::F32(sums)) => self.add_blocks(addends, sums),
            (Numbers::F64(addends), NumbersMut::F64(sums)) => self.add_blocks(addends, sums),
            _ => Err(TransportError::new("addends and sums have different precisions")),
        }
    }
}

impl Threads {
    fn add_blocks<A: bytemuck::Pod + core::ops::AddAssign>(
        &self,
        addends: &[A],
        sums: &mut [A],
    ) -> Result<(), TransportError> {
        if sums.is_empty() {
            return Ok(());
        }
        for (to, block) in addends.chunks(sums.len()).enumerate() {
            self.send(to, bytemuck::cast_slice(block))?;
        }
        let mut block = sums.to_vec();
        for from in 0..self.size() {
            self.receive(from, bytemuck::cast_slice_mut(&mut block))?;
            if from == 0 {
                sums.copy_from_slice(&block);
            } else {
                sums.iter_mut().zip(&block).for_each(|(sum, addend)| *sum += *addend);
            }
        }
        Ok(())
    }
}
