//! The two exchanges of a step: parts of gradients, which are summed, and new parts of parameters.
//!
//! Each rank exchanges a window of its elements at a time with every other rank. One message holds what a
//! rank owns of many small tensors. A large tensor takes several windows, so buffers stay small.

use core::ops::Range;

use crate::{
    element::Element,
    plan::{Piece, Plan, windows},
    slot::ShardedBound,
    sum::{Reduction, sum_blocks_in_tree, sum_in_order},
    transport::{Transport, TransportError},
};

/// The bytes that one rank may receive in one window, from all other ranks together.
const RECEIVED: usize = 4 << 20;
/// The least and the most elements of a window.
const LEAST: usize = 512;
const MOST: usize = 131_072;

/// Buffers that are kept from step to step.
#[derive(Debug)]
pub(crate) struct Buffers<A> {
    /// Windows of all ranks.
    received: Vec<A>,
    /// A window that is sent; for the engine's own sum, the windows of all ranks.
    sent: Vec<A>,
    /// The sums of the gradients of this rank's elements.
    pub(crate) sums: Vec<A>,
    /// This rank's elements of parameters that are not row-major.
    pub(crate) params: Vec<A>,
}

impl<A> Default for Buffers<A> {
    fn default() -> Self {
        let [received, sent, sums, params] = [(); 4].map(|()| Vec::new());
        Buffers { received, sent, sums, params }
    }
}

impl<A: Element> Buffers<A> {
    /// Makes room for a step. `params` is the number of elements in [`Buffers::params`]. Returns false if
    /// there is no memory.
    pub(crate) fn prepare(
        &mut self,
        plan: &Plan,
        (rank, size): (usize, usize),
        reduction: Reduction,
        params: usize,
    ) -> bool {
        let window = window_length::<A>(plan, size);
        let blocks = if reduction == Reduction::Engine { size } else { 1 };
        let rooms = [
            (&mut self.received, window * size),
            (&mut self.sent, window * blocks),
            (&mut self.sums, plan.length(rank)),
            (&mut self.params, params),
        ];
        rooms.into_iter().all(|(buffer, length)| {
            let missing = length.saturating_sub(buffer.len());
            let there_is = buffer.try_reserve_exact(missing).is_ok();
            if there_is {
                buffer.resize(length, A::zeroed());
            }
            there_is
        })
    }
}

fn window_length<A>(plan: &Plan, size: usize) -> usize {
    let bytes = RECEIVED / size.max(1);
    (bytes / size_of::<A>()).clamp(LEAST, MOST).min(plan.longest())
}

/// Returns the other ranks in the order in which this one writes to them and hears from them: in round s,
/// to the rank s places further, and from the rank s places back.
fn rounds(rank: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    (1..size).map(move |s| ((rank + s) % size, (rank + size - s) % size))
}

/// Sums the gradients of all ranks. The sums of this rank's elements are in `buffers.sums` then.
pub(crate) fn sum_gradients<A: Element>(
    transport: &mut impl Transport,
    plan: &Plan,
    batch: &[ShardedBound<'_, A>],
    reduction: Reduction,
    divisor: Option<A>,
    buffers: &mut Buffers<A>,
) -> Result<(), TransportError> {
    let (rank, size) = (transport.rank(), transport.size());
    let length = window_length::<A>(plan, size);
    for window in windows(plan.longest(), length) {
        let own = plan.clip(rank, &window);
        let sums = buffers.sums.get_mut(own.clone()).unwrap_or_default();
        if reduction == Reduction::Engine && size > 1 {
            let length = window.len();
            let addends = buffers.sent.get_mut(..length * size).unwrap_or_default();
            for (rank, block) in addends.chunks_mut(length.max(1)).enumerate() {
                let window = plan.clip(rank, &window);
                let (values, rest) = block.split_at_mut(window.len());
                copy_window(plan, batch, rank, window, values, gradient);
                rest.fill(A::zeroed());
            }
            let found = buffers.received.get_mut(..length).unwrap_or_default();
            transport.reduce_scatter(A::numbers(addends), A::numbers_mut(found))?;
            sums.copy_from_slice(found.get(..own.len()).unwrap_or_default());
        } else {
            // The windows of all ranks, one after the other. That of this rank stays where it is, if it can.
            let received = buffers.received.get_mut(..own.len() * size).unwrap_or_default();
            let block = |rank: usize| rank * own.len()..(rank + 1) * own.len();
            let in_place = if reduction == Reduction::Tree {
                None
            } else {
                gradients_in_place(plan, batch, rank, &own)
            };
            if in_place.is_none() {
                let here = received.get_mut(block(rank)).unwrap_or_default();
                copy_window(plan, batch, rank, own.clone(), here, gradient);
            }
            for (to, from) in rounds(rank, size) {
                let window = plan.clip(to, &window);
                let sent = if let Some(slice) = gradients_in_place(plan, batch, to, &window) {
                    slice
                } else {
                    let sent = buffers.sent.get_mut(..window.len()).unwrap_or_default();
                    copy_window(plan, batch, to, window, sent, gradient);
                    sent
                };
                let room = received.get_mut(block(from)).unwrap_or_default();
                send_receive(transport, (to, sent), (from, room))?;
            }
            if reduction == Reduction::Tree {
                sum_blocks_in_tree(received, own.len());
                sums.copy_from_slice(received.get(block(0)).unwrap_or_default());
            } else {
                let received = &*received;
                sum_in_order(sums, |of| {
                    let in_place = in_place.filter(|_| of == rank);
                    in_place.or_else(|| received.get(block(of)).filter(|_| of < size))
                });
            }
        }
        if let Some(divisor) = divisor {
            for sum in sums {
                *sum /= divisor;
            }
        }
    }
    Ok(())
}

/// Returns a window of the gradients of a rank's elements, if it is a slice of one of them.
fn gradients_in_place<'b, A: Element>(
    plan: &Plan,
    batch: &'b [ShardedBound<'_, A>],
    rank: usize,
    window: &Range<usize>,
) -> Option<&'b [A]> {
    let piece = plan.single(rank, window)?;
    batch.get(piece.place).and_then(|bound| bound.grad.slice(&piece.run))
}

/// Copies a window of a rank's elements by way of `copy`, which copies a run of a tensor.
fn copy_window<'p, A: Element>(
    plan: &Plan,
    batch: &[ShardedBound<'p, A>],
    rank: usize,
    window: Range<usize>,
    to: &mut [A],
    copy: impl Fn(&ShardedBound<'p, A>, &Range<usize>, &mut [A]),
) {
    for piece in plan.pieces(rank, window) {
        if let (Some(bound), Some(to)) = (batch.get(piece.place), to.get_mut(piece.within)) {
            copy(bound, &piece.run, to);
        }
    }
}

/// Copies a run of a gradient.
fn gradient<A: Element>(bound: &ShardedBound<'_, A>, run: &Range<usize>, to: &mut [A]) {
    bound.grad.copy_to(run, to);
}

/// Copies a run of a parameter.
fn parameter<A: Element>(bound: &ShardedBound<'_, A>, run: &Range<usize>, to: &mut [A]) {
    bound.param.copy_to(run, to);
}

/// Sends numbers to one rank while it receives others from another.
fn send_receive<A: Element>(
    transport: &mut impl Transport,
    (to, sent): (usize, &[A]),
    (from, room): (usize, &mut [A]),
) -> Result<(), TransportError> {
    let (sent, room) = (bytemuck::cast_slice(sent), bytemuck::cast_slice_mut(room));
    transport.send_receive(to, sent, from, room)
}

/// Sends this rank's elements of the parameters to all ranks, and takes theirs.
pub(crate) fn share_parameters<A: Element>(
    transport: &mut impl Transport,
    plan: &Plan,
    batch: &mut [ShardedBound<'_, A>],
    buffers: &mut Buffers<A>,
) -> Result<(), TransportError> {
    let (rank, size) = (transport.rank(), transport.size());
    if size < 2 {
        return Ok(());
    }
    for window in windows(plan.longest(), window_length::<A>(plan, size)) {
        let own = plan.clip(rank, &window);
        let here = plan.single(rank, &own);
        // One copy for all other ranks, if there is one at all.
        let mut copied = false;
        for (to, from) in rounds(rank, size) {
            let window = plan.clip(from, &window);
            let there = plan.single(from, &window);
            if let Some((sent, room)) =
                here.as_ref().zip(there.as_ref()).and_then(|(a, b)| two_pieces(batch, a, b))
            {
                send_receive(transport, (to, sent), (from, room))?;
                continue;
            }
            let sent = buffers.sent.get_mut(..own.len()).unwrap_or_default();
            if !copied {
                copy_window(plan, batch, rank, own.clone(), sent, parameter);
                copied = true;
            }
            let sent = &*sent;
            let in_place = there.and_then(|piece| {
                batch.get_mut(piece.place).and_then(|bound| bound.param.slice_mut(&piece.run))
            });
            if let Some(room) = in_place {
                send_receive(transport, (to, sent), (from, room))?;
                continue;
            }
            let room = buffers.received.get_mut(..window.len()).unwrap_or_default();
            send_receive(transport, (to, sent), (from, &mut *room))?;
            for piece in plan.pieces(from, window) {
                if let (Some(bound), Some(values)) =
                    (batch.get_mut(piece.place), room.get(piece.within))
                {
                    bound.param.copy_from(&piece.run, values);
                }
            }
        }
    }
    Ok(())
}

/// Returns a piece of parameters to be read, and another one to be written, if both are slices.
fn two_pieces<'b, A: Element>(
    batch: &'b mut [ShardedBound<'_, A>],
    read: &Piece,
    written: &Piece,
) -> Option<(&'b [A], &'b mut [A])> {
    if read.place == written.place {
        return batch.get_mut(read.place)?.param.two_slices(&read.run, &written.run);
    }
    let (before, after) = batch.split_at_mut_checked(read.place.max(written.place))?;
    let (low, high) = (before.get_mut(read.place.min(written.place))?, after.first_mut()?);
    let (from, to) = if read.place < written.place { (low, high) } else { (high, low) };
    Some((from.param.slice_mut(&read.run)?, to.param.slice_mut(&written.run)?))
}

/// Fills an array from its parts: each rank has its own, and gets those of all others.
pub(crate) fn share_parts<A: Element>(
    transport: &mut impl Transport,
    part_of: impl Fn(usize) -> Range<usize>,
    own: &[A],
    whole: &mut [A],
) -> Result<(), TransportError> {
    let (rank, size) = (transport.rank(), transport.size());
    if let Some(place) = whole.get_mut(part_of(rank)).filter(|place| place.len() == own.len()) {
        place.copy_from_slice(own);
    }
    for (to, from) in rounds(rank, size) {
        let room = whole.get_mut(part_of(from)).unwrap_or_default();
        send_receive(transport, (to, own), (from, room))?;
    }
    Ok(())
}

/// Fills an array on one rank from its parts. The others send theirs.
pub(crate) fn send_parts_to<A: Element>(
    transport: &mut impl Transport,
    root: usize,
    part_of: impl Fn(usize) -> Range<usize>,
    own: &[A],
    whole: &mut [A],
) -> Result<(), TransportError> {
    let (rank, size) = (transport.rank(), transport.size());
    if rank != root {
        return send_receive(transport, (root, own), (root, &mut []));
    }
    if let Some(place) = whole.get_mut(part_of(rank)).filter(|place| place.len() == own.len()) {
        place.copy_from_slice(own);
    }
    for (_, from) in rounds(rank, size) {
        let room = whole.get_mut(part_of(from)).unwrap_or_default();
        send_receive(transport, (from, &[]), (from, room))?;
    }
    Ok(())
}

/// Sends an array of one rank to all others.
pub(crate) fn send_from<A: Element>(
    transport: &mut impl Transport,
    root: usize,
    values: &mut [A],
) -> Result<(), TransportError> {
    let (rank, size) = (transport.rank(), transport.size());
    if rank != root {
        return send_receive(transport, (root, &[]), (root, values));
    }
    for (to, _) in rounds(rank, size) {
        send_receive(transport, (to, &*values), (to, &mut []))?;
    }
    Ok(())
}
