//! The optimizer of one rank: groups, tensors and settings.

use core::{
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};
use std::collections::BTreeMap;

use adamax::{Adamax, Group, MaxNorm, Optimizer, Part, Slot, State};
use ndarray::{ArrayRef, ArrayView1, Dimension, Ix1};

use crate::{
    agreement::Manifest,
    element::Element,
    error::{Error, Refusal},
    exchange::{self, Buffers},
    plan::{Owners, Plan},
    slot::{Key, ShardedSlot},
    sum::{Combination, Reduction},
    transport::{Transport, link::Link},
    words::{Signature, Words},
};

/// Steps the tensors of a model on all ranks of a job together. Each rank has its own gradients, and the
/// moments of its part of every tensor. All ranks have the same parameters.
///
/// ```text
/// on rank r:   g ← Σ gradients of all ranks            of its part of each tensor; or their mean
///              m, u, x ← a step of Adamax              of its part
///              x ← the parts of all ranks
/// ```
/// Given the summed gradients, parameters, moments, reports and snapshots have the bits that
/// [`adamax::Optimizer`] gives in one process, for any number of ranks.
///
/// # All ranks together
/// Each rank registers the same tensors, in the same order, with the same rules, and begins with the same
/// parameters ([`broadcast`](ShardedOptimizer::broadcast) sends those of rank 0). Then all ranks call the
/// same functions: [`step`](ShardedOptimizer::step), [`step_with_report`](ShardedOptimizer::step_with_report),
/// [`snapshot`](ShardedOptimizer::snapshot), [`save`](ShardedOptimizer::save),
/// [`restore`](ShardedOptimizer::restore), and so on. Before anything is written, they agree. If one of them
/// refuses, or does something else, all return the same error, which names the rank, and nothing has
/// changed on any of them. No rank waits for one that has refused.
///
/// # Memory
/// Of n parameters on N ranks, each rank has the moments of n/N, and 512 more per tensor at most: two
/// numbers each, also of a single giant tensor. Its part of the summed gradients takes one number more,
/// and its part of parameters that are not row-major another one. Buffers for messages take 5 MB at most,
/// and 4 KB per rank if that is more; with [`Reduction::Engine`] 8 MB, and 8 KB per rank.
///
/// # Examples
/// Two ranks, as threads. By MPI, each rank is a process: see the example `first_step`.
/// ```
/// use adamax::Adamax;
/// use adamax_mpi::{Combination, Error, ShardedOptimizer, Threads};
/// use ndarray::{Array1, array};
///
/// fn train(transport: Threads, sample: f64) -> Result<Array1<f64>, Error> {
///     let mut x = array![0.0, 0.0];
///     let mut optimizer = ShardedOptimizer::new(transport, Adamax::new(0.1)?);
///     optimizer.set_combination(Combination::Mean)?;
///     let slot = optimizer.register("x", &x)?;
///     for _ in 0..200 {
///         let gradient = x.mapv(|x| 2.0 * (x - sample));      // of this rank's own sample
///         optimizer.step(&mut [slot.bind(&mut x, &gradient)])?;
///     }
///     Ok(x)
/// }
///
/// let ranks = Threads::new(2).into_iter().zip([1.0, 3.0]);
/// let threads: Vec<_> =
///     ranks.map(|(rank, sample)| std::thread::spawn(move || train(rank, sample))).collect();
/// for thread in threads {
///     let x = thread.join().unwrap()?;
///     assert!((x[0] - 2.0).abs() < 0.1);                       // the mean of both samples
/// }
/// # Ok::<(), adamax_mpi::Error>(())
/// ```
pub struct ShardedOptimizer<A, T> {
    /// The mark of the slots that belong to this optimizer.
    pub(crate) id: usize,
    pub(crate) transport: Link<T>,
    /// The parts of this rank.
    pub(crate) inner: Optimizer<A>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) numbers: BTreeMap<String, usize>,
    pub(crate) groups: Vec<Group>,
    pub(crate) reduction: Reduction,
    pub(crate) combination: Combination,
    /// Stands for the rules; `None` if it is not known.
    pub(crate) rules: Option<Signature>,
    /// The number of batches that have been checked. Tensors of the present batch carry it.
    pub(crate) batches: u64,
    pub(crate) plan: Plan,
    pub(crate) words: Words,
    pub(crate) buffers: Buffers<A>,
}

/// A tensor, and the part of this rank.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) group: usize,
    pub(crate) part: Part,
    pub(crate) owners: Owners,
    pub(crate) slot: Slot<Ix1>,
    /// Stands for name, shape and group.
    pub(crate) signature: Signature,
    pub(crate) batch: u64,
}

/// Calls that all ranks make together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Step,
    StepWithReport,
    Snapshot,
    SnapshotOnRoot,
    Restore,
    Broadcast,
}

impl Call {
    fn number(self) -> u64 {
        match self {
            Call::Step => 0,
            Call::StepWithReport => 1,
            Call::Snapshot => 2,
            Call::SnapshotOnRoot => 3,
            Call::Restore => 4,
            Call::Broadcast => 5,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Call::Step => "a step",
            Call::StepWithReport => "a step with a report",
            Call::Snapshot => "a snapshot on all ranks",
            Call::SnapshotOnRoot => "a snapshot on one rank",
            Call::Restore => "a snapshot to be restored",
            Call::Broadcast => "parameters to be sent",
        }
    }
}

/// Construction and groups.
impl<A: Element, T: Transport> ShardedOptimizer<A, T> {
    /// Creates the optimizer of this rank, without tensors. `rule` is the rule of its default group.
    #[must_use]
    pub fn new(transport: T, rule: Adamax) -> Self {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
        let inner = Optimizer::new(rule);
        ShardedOptimizer {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            transport: Link::new(transport),
            groups: vec![inner.default_group()],
            inner,
            tensors: Vec::new(),
            numbers: BTreeMap::new(),
            reduction: Reduction::default(),
            combination: Combination::default(),
            rules: None,
            batches: 0,
            plan: Plan::default(),
            words: Words::default(),
            buffers: Buffers::default(),
        }
    }

    /// Returns the number of this rank, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.transport.rank()
    }

    /// Returns the number of ranks.
    #[must_use]
    pub fn size(&self) -> usize {
        self.transport.size()
    }

    /// Returns the transport, for messages of the program's own between two calls. All ranks must send
    /// and receive them at the same place.
    pub fn transport_mut(&mut self) -> &mut T {
        &mut self.transport.transport
    }

    /// Returns the group of the tensors that [`register`](ShardedOptimizer::register) adds.
    #[must_use]
    pub fn default_group(&self) -> Group {
        self.inner.default_group()
    }

    /// Adds a group with a rule of its own.
    pub fn add_group(&mut self, rule: Adamax) -> Group {
        self.rules = None;
        let group = self.inner.add_group(rule);
        self.groups.push(group);
        group
    }

    /// Returns the rule of a group; `None` if the group belongs to another optimizer.
    #[must_use]
    pub fn rule(&self, group: Group) -> Option<&Adamax> {
        self.inner.rule(group)
    }

    /// Replaces the rule of a group, from the next step on.
    ///
    /// # Errors
    /// [`Error::Local`] if the group belongs to another optimizer.
    pub fn set_rule(&mut self, group: Group, rule: Adamax) -> Result<(), Error> {
        self.rules = None;
        Ok(self.inner.set_rule(group, rule)?)
    }
}

/// Registration of tensors.
impl<A: Element, T: Transport> ShardedOptimizer<A, T> {
    /// Registers a tensor in the default group, with moments of zeros for the part of this rank.
    ///
    /// No message is sent. If a rank registers another tensor, the next call finds it.
    ///
    /// # Errors
    /// [`Error::Local`], as [`adamax::Optimizer::register`]: if the name is taken, or if there is no memory
    /// for the moments. Nothing has changed then.
    ///
    /// # Allocation
    /// The two moments of the part, the name, the shape, and the list of the ranks that own a part.
    pub fn register<D: Dimension>(
        &mut self,
        name: &str,
        param: &ArrayRef<A, D>,
    ) -> Result<ShardedSlot<D>, Error> {
        self.register_in(self.default_group(), name, param)
    }

    /// Registers a tensor in a group. Otherwise like [`register`](ShardedOptimizer::register).
    ///
    /// # Errors
    /// As [`register`](ShardedOptimizer::register); also if the group belongs to another optimizer.
    pub fn register_in<D: Dimension>(
        &mut self,
        group: Group,
        name: &str,
        param: &ArrayRef<A, D>,
    ) -> Result<ShardedSlot<D>, Error> {
        let number = self.tensors.len();
        let (owners, part) = Owners::new(param.shape(), number, self.rank(), self.size())?;
        // Moments are placed beside the elements that they belong to, where these are in one place.
        let zero = [A::zeroed()];
        let zeros = ArrayView1::from(&zero);
        let values = param.as_slice().and_then(|values| values.get(part.range()));
        let values = values.map_or_else(|| zeros.broadcast(part.len()), |v| Some(v.into()));
        let values = values.unwrap_or_else(|| ArrayView1::from(&[]));
        let slot = self.inner.register_part(group, name, &part, &values)?;
        let group = self.groups.iter().position(|known| *known == group).unwrap_or_default();
        let signature = param.shape().iter().fold(Signature::EMPTY, |s, n| s.with_number(*n));
        let signature = signature.with_text(name).with_number(group);
        let name = name.to_owned();
        self.numbers.insert(name.clone(), number);
        self.tensors.push(Tensor { name, group, part, owners, slot, signature, batch: 0 });
        let key = Key { optimizer: self.id, number };
        Ok(ShardedSlot { key, dimension: PhantomData })
    }

    /// Returns the part of a tensor that this rank owns; `None` if the slot belongs to another optimizer.
    #[must_use]
    pub fn part<D: Dimension>(&self, slot: ShardedSlot<D>) -> Option<&Part> {
        self.tensor(slot.key).map(|tensor| &tensor.part)
    }

    /// Returns the state of this rank's part of a tensor, as a vector; `None` if the slot belongs to
    /// another optimizer.
    #[must_use]
    pub fn part_state<D: Dimension>(&self, slot: ShardedSlot<D>) -> Option<&State<A>> {
        self.tensor(slot.key).and_then(|tensor| self.inner.state(tensor.slot))
    }

    /// Returns t, the number of steps that a tensor has taken; `None` if the slot belongs to another
    /// optimizer.
    #[must_use]
    pub fn steps<D: Dimension>(&self, slot: ShardedSlot<D>) -> Option<u64> {
        self.part_state(slot).map(State::steps)
    }

    /// Returns the number of parameters whose moments this rank has.
    #[must_use]
    pub fn own_parameters(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.part.len()).sum()
    }

    pub(crate) fn tensor(&self, key: Key) -> Option<&Tensor> {
        self.tensors.get(key.number).filter(|_| key.optimizer == self.id)
    }
}

/// Settings for all groups. They must be the same on all ranks.
impl<A: Element, T: Transport> ShardedOptimizer<A, T> {
    /// Sets the factor on every group's learning rate, from the next step on. At first it is 1.
    ///
    /// # Errors
    /// [`Error::Local`] if `scale` is not finite or below 0.
    pub fn set_lr_scale(&mut self, scale: f64) -> Result<(), Error> {
        Ok(self.inner.set_lr_scale(scale)?)
    }

    /// Returns the factor on every group's learning rate.
    #[must_use]
    pub fn lr_scale(&self) -> f64 {
        self.inner.lr_scale()
    }

    /// Sets the bound on the norm of the summed gradients, from the next step on. At first there is none.
    /// It is the norm of whole gradients, over all ranks, with the bits of one process.
    ///
    /// # Errors
    /// [`Error::Local`] if the bound is not above 0.
    pub fn set_max_norm(&mut self, max_norm: Option<MaxNorm>) -> Result<(), Error> {
        Ok(self.inner.set_max_norm(max_norm)?)
    }

    /// Returns the bound on the norm of the gradients.
    #[must_use]
    pub fn max_norm(&self) -> Option<MaxNorm> {
        self.inner.max_norm()
    }

    /// Sets the order in which gradients are added. At first it is that of the ranks.
    pub fn set_reduction(&mut self, reduction: Reduction) {
        self.reduction = reduction;
    }

    /// Returns the order in which gradients are added.
    #[must_use]
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// Sets what is done with the sum of the gradients. At first it is used as it is.
    ///
    /// # Errors
    /// [`Error::Refused`], by this rank alone, if a divisor is not finite and above 0 in the precision of
    /// the tensors. The setting stays then.
    pub fn set_combination(&mut self, combination: Combination) -> Result<(), Error> {
        let divisor = combination.divisor::<A>(self.size()).map_or(1.0, A::wide);
        if !(divisor > 0.0 && divisor.is_finite()) {
            let message = format!("divisor is {divisor}, but must be finite and above 0");
            return Err(Error::Refused { rank: self.rank(), tensor: None, message });
        }
        self.combination = combination;
        Ok(())
    }

    /// Returns what is done with the sum of the gradients.
    #[must_use]
    pub fn combination(&self) -> Combination {
        self.combination
    }
}

/// Parameters.
impl<A: Element, T: Transport> ShardedOptimizer<A, T> {
    /// Copies the parameter of rank 0 to all ranks. All ranks call this together.
    ///
    /// # Errors
    /// - [`Error::Differs`] if the shapes differ, or if a rank calls another function. Nothing has changed;
    /// - [`Error::Transport`] if a message fails.
    ///
    /// # Cost
    /// Rank 0 sends the array to each rank, one after the other.
    ///
    /// # Allocation
    /// A copy of the array, unless it is row-major.
    ///
    /// # Examples
    /// ```
    /// use adamax::Adamax;
    /// use adamax_mpi::{Error, ShardedOptimizer, Threads};
    /// use ndarray::array;
    ///
    /// let threads = Threads::new(2).into_iter().zip([5.0, 7.0]).map(|(transport, start)| {
    ///     std::thread::spawn(move || {
    ///         let mut optimizer = ShardedOptimizer::new(transport, Adamax::default());
    ///         let mut x = array![start];
    ///         optimizer.broadcast(&mut x)?;
    ///         assert_eq!(x[0], 5.0);
    ///         Ok::<(), Error>(())
    ///     })
    /// });
    /// threads.collect::<Vec<_>>().into_iter().try_for_each(|thread| thread.join().unwrap())?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn broadcast<D: Dimension>(&mut self, param: &mut ArrayRef<A, D>) -> Result<(), Error> {
        let shape = param.shape().to_vec();
        let content = shape.iter().fold(Signature::EMPTY, |s, length| s.with_number(*length));
        self.agree(Call::Broadcast, content, Ok(()), |_, _, manifest| {
            manifest.setting(format!("a parameter of shape {shape:?}"));
        })?;
        let result = if let Some(values) = param.as_slice_mut() {
            exchange::send_from(&mut self.transport, 0, values)
        } else {
            let mut values: Vec<A> = param.iter().copied().collect();
            let sent = exchange::send_from(&mut self.transport, 0, &mut values);
            if sent.is_ok() {
                param.iter_mut().zip(values).for_each(|(to, from)| *to = from);
            }
            sent
        };
        Ok(result?)
    }
}

/// Agreement.
impl<A: Element, T: Transport> ShardedOptimizer<A, T> {
    /// Agrees with all ranks on a call. `content` stands for what belongs to this call, which `explain`
    /// describes.
    pub(crate) fn agree(
        &mut self,
        call: Call,
        content: Signature,
        refusal: Result<(), Refusal>,
        explain: impl FnOnce(&Optimizer<A>, &[Tensor], &mut Manifest),
    ) -> Result<(), Error> {
        let signature = self.signature(call).with(content.word());
        let Self { transport, words, inner, tensors, groups, reduction, combination, .. } = self;
        let manifest = || {
            let mut manifest = Manifest::default();
            manifest.setting(format!("adamax-mpi {}", env!("CARGO_PKG_VERSION")));
            manifest.setting(call.name().to_owned());
            manifest.setting(format!("elements of type {}", core::any::type_name::<A>()));
            manifest.setting(format!("reduction {reduction:?}"));
            manifest.setting(format!("combination {combination:?}"));
            manifest.setting(format!("learning rate scale {:?}", inner.lr_scale()));
            manifest.setting(format!("max norm {:?}", inner.max_norm()));
            for (number, group) in groups.iter().enumerate() {
                manifest.setting(format!("for group {number} the rule {:?}", inner.rule(*group)));
            }
            explain(inner, tensors, &mut manifest);
            manifest
        };
        crate::agreement::agree(transport, words, signature, refusal, manifest)
    }

    /// Agrees on the result of what this rank has done for itself.
    pub(crate) fn agree_on_result(&mut self, result: Result<(), Refusal>) -> Result<(), Error> {
        let Self { transport, words, .. } = self;
        crate::agreement::agree_on_result(transport, words, result)
    }

    /// Returns what stands for a call and all settings.
    fn signature(&mut self, call: Call) -> Signature {
        let Self { inner, groups, .. } = self;
        let rules = *self.rules.get_or_insert_with(|| {
            let version = Signature::EMPTY
                .with_text(env!("CARGO_PKG_VERSION"))
                .with_text(core::any::type_name::<A>());
            groups
                .iter()
                .fold(version, |s, group| s.with_text(&format!("{:?}", inner.rule(*group))))
        });
        let (kind, bound) = match self.inner.max_norm() {
            Some(MaxNorm::Global(bound)) => (1, bound),
            Some(MaxNorm::PerTensor(bound)) => (2, bound),
            _ => (0, 0.0),
        };
        let reduction = match self.reduction {
            Reduction::RankOrder => 0,
            Reduction::Tree => 1,
            Reduction::Engine => 2,
        };
        let (combination, divisor) = match self.combination {
            Combination::Sum => (0, 0.0),
            Combination::Mean => (1, 0.0),
            Combination::DividedBy(divisor) => (2, divisor),
        };
        [call.number(), kind, bound.to_bits(), reduction, combination, divisor.to_bits()]
            .into_iter()
            .fold(rules, Signature::with)
            .with(self.inner.lr_scale().to_bits())
    }

    /// Returns what stands for a tensor and its number of steps.
    pub(crate) fn signature_of(&self, tensor: &Tensor) -> Signature {
        let steps = self.inner.state(tensor.slot).map_or(0, State::steps);
        tensor.signature.with(steps)
    }
}

/// Describes a tensor for people.
pub(crate) fn describe<A: Element>(
    inner: &Optimizer<A>,
    manifest: &mut Manifest,
    place: usize,
    tensor: &Tensor,
) {
    let Tensor { name, group, part, slot, .. } = tensor;
    let t = inner.state(*slot).map_or(0, State::steps);
    let shape = part.shape();
    let text =
        format!("tensor `{name}` of shape {shape:?} in group {group}, t = {t}, at place {place}");
    manifest.tensor(name, text);
}

impl<A: Element, T: Transport> core::fmt::Debug for ShardedOptimizer<A, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ShardedOptimizer")
            .field("rank", &self.rank())
            .field("size", &self.size())
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}
