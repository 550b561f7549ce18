//! The whole state of a run: put together from the parts of all ranks, saved, and taken apart again.

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
};

use adamax::{Error as CoreError, Snapshot, State};
use ndarray::{ArrayD, ArrayView, IxDyn};

use crate::{
    agreement::{Manifest, agree},
    element::Element,
    error::{Error, Refusal},
    exchange,
    optimizer::{Call, ShardedOptimizer, Tensor, describe},
    runs::copy_out,
    transport::Transport,
    words::Signature,
};

/// The rank that writes files.
const ROOT: usize = 0;

/// Snapshots and state files. All ranks call these functions together.
impl<A: Element, T: Transport> ShardedOptimizer<A, T> {
    /// Returns the whole state on every rank, as [`adamax::Optimizer::snapshot`] gives it in one process.
    ///
    /// # Errors
    /// The same on all ranks:
    /// - [`Error::Differs`] if the ranks differ in the call, a setting, or a tensor;
    /// - [`Error::Refused`] if a state holds NaN or infinities, which only a step under
    ///   [`NonFinite::Propagate`](adamax::NonFinite::Propagate) can have left.
    ///
    /// [`Error::Transport`] if a message fails.
    ///
    /// # Memory
    /// Each rank has the whole snapshot: two numbers for each of n parameters. For a model whose moments
    /// do not fit on one rank, there is no such snapshot.
    ///
    /// # Cost
    /// Each rank receives 2·n numbers.
    ///
    /// # Examples
    /// ```
    /// use adamax::Adamax;
    /// use adamax_mpi::{Error, ShardedOptimizer, Threads};
    /// use ndarray::Array1;
    ///
    /// let threads = Threads::new(2).into_iter().map(|transport| {
    ///     std::thread::spawn(move || {
    ///         let (mut x, g) = (Array1::<f64>::zeros(2000), Array1::ones(2000));
    ///         let mut optimizer = ShardedOptimizer::new(transport, Adamax::default());
    ///         let slot = optimizer.register("x", &x)?;
    ///         optimizer.step(&mut [slot.bind(&mut x, &g)])?;
    ///         assert!(optimizer.part_state(slot).unwrap().inf_norm().len() < 1512);
    ///         assert_eq!(optimizer.snapshot()?.state("x").unwrap().inf_norm().len(), 2000);
    ///         Ok::<(), Error>(())
    ///     })
    /// });
    /// threads.collect::<Vec<_>>().into_iter().try_for_each(|thread| thread.join().unwrap())?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn snapshot(&mut self) -> Result<Snapshot<A>, Error> {
        let (snapshot, result) = self.gather(Call::Snapshot, None)?;
        self.agree_on_result(result)?;
        Ok(snapshot)
    }

    /// Returns the whole state on rank 0, and `None` on all others. Otherwise like
    /// [`snapshot`](ShardedOptimizer::snapshot).
    ///
    /// # Errors
    /// As [`snapshot`](ShardedOptimizer::snapshot).
    ///
    /// # Memory
    /// Rank 0 has the whole snapshot; the others have a copy of their parts for a moment.
    pub fn snapshot_on_root(&mut self) -> Result<Option<Snapshot<A>>, Error> {
        let (snapshot, result) = self.gather(Call::SnapshotOnRoot, Some(ROOT))?;
        self.agree_on_result(result)?;
        Ok(Some(snapshot).filter(|_| self.rank() == ROOT))
    }

    /// Hands the whole state to a function on rank 0, which saves it. An error of it is an error on all
    /// ranks.
    ///
    /// This is the way to a state file with parameters, averages and values of your own:
    /// [`adamax::Checkpoint`].
    ///
    /// # Errors
    /// As [`snapshot`](ShardedOptimizer::snapshot); [`Error::Refused`] with the error of `save`.
    ///
    /// # Panics
    /// If `save` panics. The other ranks get [`Error::Refused`].
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Checkpoint};
    /// use adamax_mpi::{ShardedOptimizer, Threads};
    /// use ndarray::array;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("run.safetensors");
    /// let transport = Threads::new(1).remove(0);
    /// let x = array![1.0, 2.0];
    /// let mut optimizer = ShardedOptimizer::new(transport, Adamax::default());
    /// optimizer.register("x", &x)?;
    /// optimizer.save_with(|snapshot| {
    ///     let mut checkpoint = Checkpoint::new(snapshot);
    ///     checkpoint.add_parameter("x", &x)?.add_value("epoch", &7)?;
    ///     checkpoint.save(&path)
    /// })?;
    ///
    /// let checkpoint = Checkpoint::<f64>::load(&path)?;
    /// optimizer.restore(checkpoint.snapshot())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save_with(
        &mut self,
        save: impl FnOnce(Snapshot<A>) -> Result<(), CoreError>,
    ) -> Result<(), Error> {
        let (snapshot, mut result) = self.gather(Call::SnapshotOnRoot, Some(ROOT))?;
        let mut panicked = None;
        if self.rank() == ROOT && result.is_ok() {
            result = match panic::catch_unwind(AssertUnwindSafe(|| save(snapshot))) {
                Ok(saved) => saved.map_err(|error| Refusal::from(&error)),
                Err(payload) => {
                    panicked = Some(payload);
                    Err(Refusal::new("the function that saves panicked"))
                }
            };
        }
        let agreed = self.agree_on_result(result);
        // Not before: the other ranks wait for the result.
        panicked.map_or(agreed, |payload| panic::resume_unwind(payload))
    }

    /// Saves the whole state to a file, without parameters. Rank 0 writes it. The file has the bytes that
    /// [`Snapshot::save`] writes in one process, and a crash cannot leave it half written.
    ///
    /// # Errors
    /// As [`save_with`](ShardedOptimizer::save_with).
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.save_with(|snapshot| snapshot.save(path))
    }

    /// Restores a snapshot of any number of ranks: rules, states, learning-rate scale and norm bound.
    /// Every rank passes the same snapshot, and takes its parts.
    ///
    /// # Errors
    /// The same on all ranks. Nothing has changed on any of them:
    /// - [`Error::Refused`] with what [`adamax::Optimizer::restore`] refuses: other tensors, shapes or
    ///   groups;
    /// - [`Error::Differs`] if the snapshots differ, or the ranks.
    ///
    /// [`Error::Transport`] if a message fails.
    ///
    /// # Allocation
    /// Two copies of this rank's parts of the states.
    pub fn restore(&mut self, snapshot: &Snapshot<A>) -> Result<(), Error> {
        self.restore_result(Ok(snapshot))
    }

    /// Restores the state from a file that [`save`](ShardedOptimizer::save) or [`Snapshot::save`] has
    /// written, on any number of ranks. Every rank reads the file.
    ///
    /// # Errors
    /// As [`restore`](ShardedOptimizer::restore); [`Error::Refused`] also if a rank cannot read the file.
    ///
    /// # Memory
    /// Each rank has the whole state while it reads.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let loaded = Snapshot::load(path);
        self.restore_result(loaded.as_ref().map_err(Refusal::from))
    }

    /// Puts the states of all ranks together: on all ranks, or on one. The others get a snapshot of their
    /// parts. The second result is the first state that cannot be.
    fn gather(
        &mut self,
        call: Call,
        root: Option<usize>,
    ) -> Result<(Snapshot<A>, Result<(), Refusal>), Error> {
        let content = self.content();
        self.agree(call, content, Ok(()), describe_all)?;
        let Self { transport, inner, tensors, numbers, .. } = self;
        let rank = transport.rank();
        let mut fault = Ok(());
        let whole: Result<_, Error> = inner.snapshot().map_states(|name, state| {
            let tensor = numbers.get(name).and_then(|&number| tensors.get(number));
            let Some(Tensor { part, owners, .. }) = tensor else { return Ok(state.clone()) };
            let here = root.is_none_or(|root| root == rank);
            let length = if here { part.shape().iter().product() } else { 0 };
            let mut gather = |own: ArrayView<'_, A, IxDyn>| -> Result<Vec<A>, Error> {
                let own: Vec<A> = own.iter().copied().collect();
                let mut whole = vec![A::zeroed(); length];
                let part_of = |rank| owners.of(rank);
                match root {
                    None => exchange::share_parts(transport, part_of, &own, &mut whole)?,
                    Some(root) => {
                        exchange::send_parts_to(transport, root, part_of, &own, &mut whole)?;
                    }
                }
                Ok(whole)
            };
            let (m, u) = (gather(state.first_moment())?, gather(state.inf_norm())?);
            if !here {
                return Ok(state.clone());
            }
            let shaped = |values| ArrayD::from_shape_vec(part.shape(), values).unwrap_or_default();
            let whole = State::from_parts(state.steps(), shaped(m), shaped(u));
            Ok(whole.unwrap_or_else(|error| {
                if fault.is_ok() {
                    fault = Err(Refusal::of_tensor(name, error));
                }
                state.clone()
            }))
        });
        Ok((whole?, fault))
    }

    fn restore_result(&mut self, snapshot: Result<&Snapshot<A>, Refusal>) -> Result<(), Error> {
        let (snapshot, refusal) = match snapshot {
            Ok(snapshot) => (Some(snapshot), Ok(())),
            Err(refusal) => (None, Err(refusal)),
        };
        let content = self.content();
        self.agree(Call::Restore, content, refusal, describe_all)?;
        let Some(snapshot) = snapshot else { return Ok(()) };

        // An error on one rank must leave all ranks as they were. So this rank restores at once, and goes
        // back if the others do not agree.
        let before = self.inner.snapshot();
        let parts = self.parts_of(snapshot);
        let result = parts
            .and_then(|parts| self.inner.restore(&parts).map_err(|error| Refusal::from(&error)));
        let (signature, manifest) = describe_snapshot(snapshot);
        let Self { transport, words, .. } = self;
        let agreed = agree(transport, words, signature, result, || manifest);
        if agreed.is_err() {
            let undone = self.inner.restore(&before);
            debug_assert!(undone.is_ok(), "an optimizer takes its own snapshot");
        }
        self.rules = None;
        agreed
    }

    /// Returns a snapshot of this rank's parts of the states. A tensor that is not registered stays whole.
    fn parts_of(&self, snapshot: &Snapshot<A>) -> Result<Snapshot<A>, Refusal> {
        snapshot.map_states(|name, state| {
            let number = self.numbers.get(name);
            let Some(tensor) = number.and_then(|&number| self.tensors.get(number)) else {
                return Ok(state.clone());
            };
            let (m, u) = (state.first_moment(), state.inf_norm());
            let registered = tensor.part.shape();
            if m.shape() != registered {
                let found = m.shape();
                let text = format!(
                    "state has shape {found:?}, but the registered shape is {registered:?}"
                );
                return Err(Refusal::of_tensor(name, text));
            }
            let run = tensor.part.range();
            let [m, u] = [m, u].map(|moment| {
                let mut part = ArrayD::from_elem(vec![run.len()], A::zeroed());
                copy_out(&moment, &run, part.as_slice_mut().unwrap_or_default());
                part
            });
            let part = State::from_parts(state.steps(), m, u);
            part.map_err(|error| Refusal::of_tensor(name, error))
        })
    }

    /// Returns what stands for all tensors.
    fn content(&self) -> Signature {
        let tensors = self.tensors.iter().map(|tensor| self.signature_of(tensor).word());
        tensors.fold(Signature::EMPTY, Signature::with)
    }
}

fn describe_all<A: Element>(
    inner: &adamax::Optimizer<A>,
    tensors: &[Tensor],
    manifest: &mut Manifest,
) {
    for (place, tensor) in tensors.iter().enumerate() {
        describe(inner, manifest, place, tensor);
    }
}

/// Returns what stands for a snapshot, and its description.
fn describe_snapshot<A: Element>(snapshot: &Snapshot<A>) -> (Signature, Manifest) {
    let mut manifest = Manifest::default();
    let (scale, max_norm) = (snapshot.lr_scale(), snapshot.max_norm());
    let settings = format!(
        "a snapshot with learning rate scale {scale:?}, max norm {max_norm:?}, and the rules {:?}",
        snapshot.groups()
    );
    let mut all = Signature::EMPTY.with_text(&settings);
    manifest.setting(settings);
    for name in snapshot.names() {
        let Some(state) = snapshot.state(name) else { continue };
        let (m, u, t) = (state.first_moment(), state.inf_norm(), state.steps());
        let content = m
            .iter()
            .chain(&u)
            .fold(Signature::EMPTY, |signature, value| signature.with(value.wide().to_bits()))
            .word();
        let shape = m.shape();
        let text = format!(
            "a snapshot with tensor `{name}` of shape {shape:?}, t = {t}, and moments {content:016x}"
        );
        all = all.with_text(&text);
        manifest.tensor(name, text);
    }
    (all, manifest)
}
