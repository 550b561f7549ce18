//! Optimizer state as plain data, by name.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

#[cfg(feature = "serde")]
use crate::{
    error::{Detail, Error},
    rule::range,
};
use crate::{real::Real, reduce::norm::MaxNorm, rule::Adamax, state::State};
#[cfg(feature = "serde")]
use alloc::collections::btree_map::Entry;

/// Everything that a run needs to go on where another stopped, but the parameters: plain data, by
/// name. Made by [`Optimizer::snapshot`](crate::Optimizer::snapshot), taken over by
/// [`Optimizer::restore`](crate::Optimizer::restore).
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
}

/// What a snapshot holds of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorSnapshot<A> {
    /// An index into the groups.
    pub(crate) group: usize,
    pub(crate) state: State<A>,
}

impl<A: Real> Snapshot<A> {
    /// The version of the layout of snapshots that this release writes, and the newest it reads.
    ///
    /// ```
    /// assert_eq!(adamax::Snapshot::<f64>::VERSION, 1);
    /// ```
    pub const VERSION: u32 = 1;

    /// Puts a snapshot together from parts that belong together.
    pub(crate) fn new(
        groups: Vec<Adamax>,
        tensors: BTreeMap<String, TensorSnapshot<A>>,
        lr_scale: f64,
        max_norm: Option<MaxNorm>,
    ) -> Self {
        Snapshot { groups, tensors, lr_scale, max_norm }
    }

    /// Puts a snapshot together from parts read from outside.
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

    /// The rules of the groups, the default group first.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// optimizer.add_group(Adamax::keras());
    /// assert_eq!(optimizer.snapshot().groups(), [Adamax::default(), Adamax::keras()]);
    /// ```
    #[must_use]
    pub fn groups(&self) -> &[Adamax] {
        &self.groups
    }

    /// The names of the tensors, in alphabetical order.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::array;
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// optimizer.register("weights", &array![[1.0, 2.0]])?;
    /// optimizer.register("bias", &array![0.0])?;
    /// assert!(optimizer.snapshot().names().eq(["bias", "weights"]));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The state of the tensor with this name.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::array;
    /// # let mut x = array![1.0];
    /// # let mut optimizer = Optimizer::new(Adamax::default());
    /// # let slot = optimizer.register("x", &x)?;
    /// optimizer.step(&mut [slot.bind(&mut x, &array![0.5])])?;
    /// let snapshot = optimizer.snapshot();
    /// assert_eq!(snapshot.state("x").unwrap().steps(), 1);
    /// assert_eq!(snapshot.state("y"), None);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&State<A>> {
        self.tensor(name).map(|tensor| &tensor.state)
    }

    /// The factor on every group's learning rate.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// optimizer.set_lr_scale(0.25)?;
    /// assert_eq!(optimizer.snapshot().lr_scale(), 0.25);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn lr_scale(&self) -> f64 {
        self.lr_scale
    }

    /// The bound on the norm of the gradients.
    ///
    /// ```
    /// # use adamax::{Adamax, MaxNorm, Optimizer};
    /// # let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
    /// assert_eq!(optimizer.snapshot().max_norm(), Some(MaxNorm::Global(1.0)));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn max_norm(&self) -> Option<MaxNorm> {
        self.max_norm
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&TensorSnapshot<A>> {
        self.tensors.get(name)
    }
}
