//! The tensors of an optimizer, at places that stay while others come and go.

use alloc::{borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::{marker::PhantomData, mem};

use ndarray::Dimension;

use super::{id::Id, slot::Slot};
use crate::{
    error::{Detail, Error},
    real::Real,
    reduce::part::Part,
    state::State,
    step::report::Report,
};

/// A tensor of an optimizer, or a free place.
pub(super) struct Tensor<A> {
    /// The number of its registration; `None` if the place is free.
    pub(super) id: Option<Id>,
    pub(super) name: String,
    pub(super) group: usize,
    pub(super) state: State<A>,
    /// The number of the last batch with this tensor.
    pub(super) batch: u64,
    /// The figures of its last step with a report.
    pub(super) report: Option<Report>,
    /// The run of a larger tensor that it is; `None` if it is whole.
    pub(super) part: Option<Box<Part>>,
}

impl<A: Real> Tensor<A> {
    fn free() -> Self {
        let (name, state) = (String::new(), State::empty());
        Tensor { id: None, name, group: 0, state, batch: 0, report: None, part: None }
    }

    /// Copies the values of a state of the same shape. The report is of the old state, and is cleared.
    pub(super) fn set_state(&mut self, state: &State<A>) {
        self.state.assign(state);
        self.report = None;
    }
}

/// The tensors of an optimizer.
///
/// A slot knows the place of its tensor. A removed tensor leaves a free place, which the next new tensor
/// takes. So all other slots stay right, a step finds a tensor at once, and there are never more places
/// than there were tensors at one time.
pub(super) struct Places<A> {
    all: Vec<Tensor<A>>,
    free: Vec<usize>,
    by_name: BTreeMap<String, usize>,
}

impl<A: Real> Places<A> {
    pub(super) fn new() -> Self {
        Places { all: Vec::new(), free: Vec::new(), by_name: BTreeMap::new() }
    }

    /// Returns the number of tensors.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Adds a tensor, whose name must not be taken. `batch` is the number of the latest batch.
    pub(super) fn insert<D>(
        &mut self,
        id: Id,
        name: &str,
        group: usize,
        state: State<A>,
        batch: u64,
    ) -> Slot<D> {
        debug_assert!(!self.contains(name), "the name has been checked");
        let (owned, report, part) = (name.to_owned(), None, None);
        let tensor = Tensor { id: Some(id), name: owned, group, state, batch, report, part };
        let index = self.free.pop().unwrap_or(self.all.len());
        match self.all.get_mut(index) {
            Some(place) => *place = tensor,
            None => self.all.push(tensor),
        }
        self.by_name.insert(name.to_owned(), index);
        Slot { id, index, dimension: PhantomData }
    }

    /// Takes out a tensor. Its name and its place are free again.
    pub(super) fn remove<D>(&mut self, slot: Slot<D>) -> Result<State<A>, Error> {
        let Tensor { name, state, .. } = mem::replace(self.own_mut(slot)?, Tensor::free());
        self.free.push(slot.index);
        self.by_name.remove(&name);
        Ok(state)
    }

    /// Returns the tensor of a slot; `None` if it belongs to another optimizer or was removed.
    pub(super) fn get<D>(&self, slot: Slot<D>) -> Option<&Tensor<A>> {
        self.all.get(slot.index).filter(|tensor| tensor.id == Some(slot.id))
    }

    /// Returns the tensor of a slot to be changed.
    pub(super) fn own_mut<D>(&mut self, slot: Slot<D>) -> Result<&mut Tensor<A>, Error> {
        let tensor = self.all.get_mut(slot.index);
        tensor.filter(|tensor| tensor.id == Some(slot.id)).ok_or_else(|| Detail::ForeignSlot.into())
    }

    /// Returns the slot of the tensor with this name; `None` if there is none, or if it has another
    /// number of axes than `D`.
    pub(super) fn slot<D: Dimension>(&self, name: &str) -> Option<Slot<D>> {
        let &index = self.by_name.get(name)?;
        let tensor = self.all.get(index)?;
        let axes = tensor.state.first_moment().ndim();
        let id = tensor.id.filter(|_| D::NDIM.is_none_or(|static_axes| static_axes == axes))?;
        Some(Slot { id, index, dimension: PhantomData })
    }

    /// Returns the tensors in the order of their registration. Allocates a list of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Tensor<A>> {
        let tensors = self.all.iter().filter(|tensor| tensor.id.is_some());
        let mut tensors: Vec<_> = tensors.collect();
        // A tensor may be at the place of an older one.
        tensors.sort_unstable_by_key(|tensor| tensor.id);
        tensors.into_iter()
    }

    /// Returns the tensors to be changed, in any order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Tensor<A>> {
        self.all.iter_mut().filter(|tensor| tensor.id.is_some())
    }

    /// Returns all places, free ones too. The index of a slot is an index into them.
    #[inline(always)]
    pub(super) fn all_mut(&mut self) -> &mut [Tensor<A>] {
        &mut self.all
    }
}
