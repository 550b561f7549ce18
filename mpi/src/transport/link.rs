//! Messages that end with the first one that fails.

use super::{Numbers, NumbersMut, Transport, TransportError};

/// A transport of which a message may have failed. The ranks may no longer agree on the next one then, so no
/// other one is sent. A message that panics has failed, too.
pub(crate) struct Link<T> {
    pub(crate) transport: T,
    broken: bool,
}

impl<T: Transport> Link<T> {
    pub(crate) fn new(transport: T) -> Self {
        Link { transport, broken: false }
    }

    fn send(
        &mut self,
        message: impl FnOnce(&mut T) -> Result<(), TransportError>,
    ) -> Result<(), TransportError> {
        if self.broken {
            let text = "an earlier message has failed, so the job must be started again";
            return Err(TransportError::new(text));
        }
        self.broken = true;
        let result = message(&mut self.transport);
        self.broken = result.is_err();
        result
    }
}

impl<T: Transport> Transport for Link<T> {
    fn rank(&self) -> usize {
        self.transport.rank()
    }

    fn size(&self) -> usize {
        self.transport.size()
    }

    fn all_gather(&mut self, words: &[u64], of_all: &mut [u64]) -> Result<(), TransportError> {
        self.send(|transport| transport.all_gather(words, of_all))
    }

    fn send_receive(
        &mut self,
        to: usize,
        sent: &[u8],
        from: usize,
        received: &mut [u8],
    ) -> Result<(), TransportError> {
        self.send(|transport| transport.send_receive(to, sent, from, received))
    }

    fn reduce_scatter(
        &mut self,
        addends: Numbers<'_>,
        sums: NumbersMut<'_>,
    ) -> Result<(), TransportError> {
        self.send(|transport| transport.reduce_scatter(addends, sums))
    }
}
