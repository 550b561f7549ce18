//! Ranks of an MPI job. The only file that names the engine.

use ferrompi::{Communicator, Mpi, ReduceOp, Source};

use super::{Numbers, NumbersMut, Transport, TransportError, pieces};

/// The most bytes of one call. MPI counts in `int`.
const MOST_BYTES: usize = 1 << 30;

const TAG: i32 = 0;

/// An MPI job, from its start to its end. MPI ends when this value is dropped.
///
/// There is one in a process. Keep it until the last message has been sent.
///
/// # Examples
/// ```no_run
/// use adamax_mpi::{MpiJob, Transport};
///
/// let job = MpiJob::start()?;
/// let transport = job.world()?;
/// println!("rank {} of {}", transport.rank(), transport.size());
/// # Ok::<(), adamax_mpi::TransportError>(())
/// ```
pub struct MpiJob(Mpi);

impl MpiJob {
    /// Starts MPI. Messages must be sent from the thread that has called this.
    ///
    /// # Errors
    /// If MPI has been started before in this process.
    pub fn start() -> Result<Self, TransportError> {
        Ok(MpiJob(Mpi::init()?))
    }

    /// Returns a transport between all ranks of the job. All ranks must call this together.
    ///
    /// Messages of the program's own, and of other transports, do not get in its way.
    ///
    /// # Errors
    /// The error of MPI.
    pub fn world(&self) -> Result<MpiTransport, TransportError> {
        MpiTransport::new(&self.0.world())
    }
}

impl core::fmt::Debug for MpiJob {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MpiJob").finish_non_exhaustive()
    }
}

/// Messages by way of MPI.
pub struct MpiTransport {
    communicator: Communicator,
    rank: usize,
    size: usize,
}

impl MpiTransport {
    /// Returns a transport between the ranks of a communicator, which is duplicated. All its ranks must
    /// call this together.
    ///
    /// This is for programs that use the crate `ferrompi` themselves: for groups of ranks, and for other
    /// messages.
    ///
    /// # Errors
    /// The error of MPI.
    pub fn new(communicator: &Communicator) -> Result<Self, TransportError> {
        let communicator = communicator.duplicate()?;
        let [rank, size] = [communicator.rank(), communicator.size()].map(usize::try_from);
        let negative = |_| TransportError::new("MPI has counted a rank below 0");
        Ok(MpiTransport {
            communicator,
            rank: rank.map_err(negative)?,
            size: size.map_err(negative)?,
        })
    }
}

impl core::fmt::Debug for MpiTransport {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { rank, size, .. } = self;
        f.debug_struct("MpiTransport")
            .field("rank", rank)
            .field("size", size)
            .finish_non_exhaustive()
    }
}

impl From<ferrompi::Error> for TransportError {
    fn from(error: ferrompi::Error) -> Self {
        TransportError::new(error.to_string())
    }
}

/// Returns a rank as a place for a message; nowhere, if there is no message.
fn place(rank: usize, bytes: &[u8]) -> Result<Source, TransportError> {
    if bytes.is_empty() {
        return Ok(Source::ProcNull);
    }
    let rank = i32::try_from(rank);
    rank.map(Source::Rank).map_err(|_| TransportError::new("there is no such rank"))
}

impl Transport for MpiTransport {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&mut self, words: &[u64], of_all: &mut [u64]) -> Result<(), TransportError> {
        Ok(self.communicator.allgather(words, of_all)?)
    }

    fn send_receive(
        &mut self,
        to: usize,
        sent: &[u8],
        from: usize,
        received: &mut [u8],
    ) -> Result<(), TransportError> {
        let expected = received.len();
        let mut came = 0;
        let mut sent =
            pieces(sent.len(), MOST_BYTES).map(|piece| sent.get(piece).unwrap_or_default());
        let mut rooms = received.chunks_mut(MOST_BYTES);
        loop {
            let (sent, room) = match (sent.next(), rooms.next()) {
                (None, None) => break,
                (sent, room) => (sent.unwrap_or_default(), room.unwrap_or_default()),
            };
            let (to, from) = (place(to, sent)?, place(from, room)?);
            let status = self.communicator.sendrecv(sent, to, TAG, room, from, TAG)?;
            came += status.count.unwrap_or_default();
        }
        if came == expected {
            return Ok(());
        }
        let text = format!("rank {from} has sent {came} bytes, but {expected} were expected");
        Err(TransportError::new(text))
    }

    fn reduce_scatter(
        &mut self,
        addends: Numbers<'_>,
        sums: NumbersMut<'_>,
    ) -> Result<(), TransportError> {
        match (addends, sums) {
            (Numbers::F32(addends), NumbersMut::F32(sums)) => {
                Ok(self.communicator.reduce_scatter_block(addends, sums, ReduceOp::Sum)?)
            }
            (Numbers::F64(addends), NumbersMut::F64(sums)) => {
                Ok(self.communicator.reduce_scatter_block(addends, sums, ReduceOp::Sum)?)
            }
            _ => Err(TransportError::new("addends and sums have different precisions")),
        }
    }
}
