//! The state of an optimizer as plain data, by name of the tensor.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use super::max_norm::MaxNorm;
#[cfg(feature = "serde")]
use crate::{error::Detail, rule::range};
use crate::{
    error::Error,
    real::Real,
    rule::{Adamax, open::Settings},
    state::State,
};
#[cfg(feature = "serde")]
use alloc::collections::btree_map::Entry;

/// The rules, states and settings of an optimizer, as plain data: everything that a run needs to
/// continue, except the parameters.
///
/// [`Optimizer::snapshot`](crate::Optimizer::snapshot) makes a snapshot, and
/// [`Optimizer::restore`](crate::Optimizer::restore) restores it. States are found by the name of the
/// tensor. The feature `serde` turns a snapshot into a document. To save it in a file, together with
/// the parameters, use `Checkpoint` (feature `safetensors`).
///
/// # Examples
/// ```
/// use adamax::{Adamax, Optimizer};
/// use ndarray::Array2;
///
/// let mut optimizer = Optimizer::new(Adamax::default());
/// optimizer.register("kernel", &Array2::<f32>::zeros((3, 3)))?;
/// let snapshot = optimizer.snapshot();
/// assert_eq!(snapshot.names().collect::<Vec<_>>(), ["kernel"]);
/// assert_eq!(snapshot.state("kernel").unwrap().inf_norm().shape(), [3, 3]);
/// assert_eq!(snapshot.groups(), [Adamax::default()]);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<A = f64> {
    groups: Vec<Adamax>,
    tensors: BTreeMap<String, TensorSnapshot<A>>,
    lr_scale: f64,
    max_norm: Option<MaxNorm>,
    open: Open,
}

/// The settings that a snapshot leaves open, because its file does not name them. The snapshot itself
/// has their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Open {
    pub(crate) lr_scale: bool,
    pub(crate) max_norm: bool,
    /// One set per group; or none at all, if every rule is complete.
    pub(crate) rules: Vec<Settings>,
}

/// The entry of one tensor in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorSnapshot<A> {
    /// An index into the groups.
    pub(crate) group: usize,
    pub(crate) state: State<A>,
}

/// The names of the tensors that only an optimizer or only a snapshot has. Returned by
/// [`Optimizer::restore_matching`](crate::Optimizer::restore_matching).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "tensors that are missing in the snapshot keep their own state"]
pub struct Unmatched {
    pub(super) missing: Vec<String>,
    pub(super) unexpected: Vec<String>,
}

impl Unmatched {
    /// Returns the names of the tensors that are registered, but not in the snapshot, in the order of
    /// registration.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Returns the names of the tensors that are in the snapshot, but not registered, in alphabetical
    /// order.
    #[must_use]
    pub fn unexpected(&self) -> &[String] {
        &self.unexpected
    }
}

impl<A: Real> Snapshot<A> {
    /// The newest version of serialised snapshots that this release reads.
    ///
    /// A document has the lowest version that can hold its content: 2 with a table whose rows have their own
    /// [counters](State::row_steps), else 1.
    pub const VERSION: u32 = 2;

    /// Builds a snapshot from parts that are known to fit each other.
    pub(crate) fn new(
        groups: Vec<Adamax>,
        tensors: BTreeMap<String, TensorSnapshot<A>>,
        lr_scale: f64,
        max_norm: Option<MaxNorm>,
    ) -> Self {
        Snapshot { groups, tensors, lr_scale, max_norm, open: Open::default() }
    }

    /// Builds a snapshot from parts that come from outside, after checking them.
    #[cfg(feature = "serde")]
    pub(crate) fn from_foreign(
        groups: Vec<Adamax>,
        tensors: impl IntoIterator<Item = (String, TensorSnapshot<A>)>,
        lr_scale: f64,
        max_norm: Option<MaxNorm>,
    ) -> Result<Self, Error> {
        let mut by_name = BTreeMap::new();
        for (name, tensor) in tensors {
            if tensor.group >= groups.len() {
                let detail = Detail::NoSuchGroup { found: tensor.group, groups: groups.len() };
                return Err(Error::from(detail).in_tensor(&name));
            }
            match by_name.entry(name) {
                Entry::Vacant(entry) => entry.insert(tensor),
                Entry::Occupied(entry) => {
                    return Err(Error::from(Detail::NameTaken).in_tensor(entry.key()));
                }
            };
        }
        range::check_not_negative("learning rate scale", lr_scale)?;
        max_norm.map_or(Ok(()), MaxNorm::check)?;
        Ok(Snapshot::new(groups, by_name, lr_scale, max_norm))
    }

    #[cfg(feature = "serde")]
    pub(crate) fn tensors(&self) -> &BTreeMap<String, TensorSnapshot<A>> {
        &self.tensors
    }

    /// Returns true if the rows of a tensor have their own counters.
    #[cfg(feature = "serde")]
    pub(crate) fn counts_by_rows(&self) -> bool {
        self.tensors.values().any(|tensor| tensor.state.row_steps().is_some())
    }

    /// Returns this snapshot with settings left open.
    #[cfg(feature = "safetensors")]
    pub(crate) fn leaving(self, open: Open) -> Self {
        Snapshot { open, ..self }
    }

    #[cfg(feature = "safetensors")]
    pub(crate) fn open(&self) -> &Open {
        &self.open
    }

    /// Returns the rules, completed by `own`: the rules of the groups of an optimizer.
    pub(crate) fn rules_completed_by<'a>(
        &self,
        own: impl Iterator<Item = &'a Adamax>,
    ) -> impl Iterator<Item = Adamax> {
        self.groups.iter().zip(own).enumerate().map(|(index, (found, own))| {
            let open = self.open.rules.get(index).copied().unwrap_or_default();
            found.completed_by(own, open)
        })
    }

    /// Returns the factor on every group's learning rate; `own` if it is left open.
    pub(crate) fn lr_scale_or(&self, own: f64) -> f64 {
        if self.open.lr_scale { own } else { self.lr_scale }
    }

    /// Returns the bound on the norm of the gradients; `own` if it is left open.
    pub(crate) fn max_norm_or(&self, own: Option<MaxNorm>) -> Option<MaxNorm> {
        if self.open.max_norm { own } else { self.max_norm }
    }

    /// Returns the rules of the groups. The default group is the first.
    ///
    /// A setting that the file of the snapshot leaves open has its default here.
    /// [`Optimizer::restore`](crate::Optimizer::restore) keeps the optimizer's own instead.
    #[must_use]
    pub fn groups(&self) -> &[Adamax] {
        &self.groups
    }

    /// Returns the names of the tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns the state of the tensor with this name; `None` if there is none.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&State<A>> {
        self.tensor(name).map(|tensor| &tensor.state)
    }

    /// Returns the factor on every group's learning rate; 1 if the file leaves it open.
    #[must_use]
    pub fn lr_scale(&self) -> f64 {
        self.lr_scale
    }

    /// Returns the bound on the norm of the gradients; `None` if there is none, or if the file leaves
    /// it open.
    #[must_use]
    pub fn max_norm(&self) -> Option<MaxNorm> {
        self.max_norm
    }

    /// Returns the same snapshot in precision `B`: `f32` or `f64`. See [`State::cast`].
    ///
    /// # Errors
    /// [`ErrorKind::Precision`](crate::ErrorKind::Precision) if a number of a state would become infinite
    /// or 0. The message names the tensor and the number.
    ///
    /// # Allocation
    /// The new states.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::array;
    ///
    /// // A run that was started in single precision goes on in double precision.
    /// let mut x = array![1.0_f32];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// optimizer.step(&mut [slot.bind(&mut x, &array![0.5])])?;
    ///
    /// let mut x = x.mapv(f64::from);
    /// let mut continued = Optimizer::new(Adamax::default());
    /// let slot = continued.register("x", &x)?;
    /// continued.restore(&optimizer.snapshot().cast()?)?;
    /// continued.step(&mut [slot.bind(&mut x, &array![0.5])])?;
    /// assert_eq!(continued.state(slot).unwrap().steps(), 2);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn cast<B: Real>(&self) -> Result<Snapshot<B>, Error> {
        self.map_states(|name, state| state.cast().map_err(|error| error.in_tensor(name)))
    }

    /// Returns the same snapshot with other states: those that `map` returns for each name and state, in
    /// alphabetical order of the names.
    ///
    /// A process that holds a [`Part`](crate::Part) of each tensor takes its parts of the states in this
    /// way, and puts the parts of all processes together.
    ///
    /// # Errors
    /// The first error of `map`.
    ///
    /// # Allocation
    /// The names, the rules and the new states.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Error, Optimizer, State};
    /// use ndarray::array;
    ///
    /// // Everything stays, but t begins anew.
    /// let mut x = array![1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// optimizer.step(&mut [slot.bind(&mut x, &array![0.5])])?;
    /// let anew = optimizer.snapshot().map_states(|_, state| {
    ///     let (_, m, u) = state.clone().into_parts();
    ///     State::from_parts(0, m, u)
    /// })?;
    /// assert_eq!(anew.state("x").unwrap().steps(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn map_states<B: Real, E>(
        &self,
        mut map: impl FnMut(&str, &State<A>) -> Result<State<B>, E>,
    ) -> Result<Snapshot<B>, E> {
        let tensors = self.tensors.iter().map(|(name, tensor)| {
            let state = map(name, &tensor.state)?;
            Ok((name.clone(), TensorSnapshot { group: tensor.group, state }))
        });
        let tensors = tensors.collect::<Result<_, E>>()?;
        let Snapshot { lr_scale, max_norm, .. } = *self;
        let (groups, open) = (self.groups.clone(), self.open.clone());
        Ok(Snapshot { groups, tensors, lr_scale, max_norm, open })
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&TensorSnapshot<A>> {
        self.tensors.get(name)
    }
}
