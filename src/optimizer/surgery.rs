//! Changes of an optimizer whose model changes: tensors that go, move to another group, or get another
//! state. And the search for tensors that a batch has left out.

use alloc::borrow::ToOwned;

use ndarray::Dimension;

use super::{
    Optimizer, batch,
    slot::{Bound, Group, Slot},
};
use crate::{
    error::{Detail, Error},
    real::Real,
    state::State,
    step::Outcome,
};

/// The tensors, by name and by slot.
impl<A: Real> Optimizer<A> {
    /// Returns the name, the group and the state of each tensor, in the order of registration.
    ///
    /// # Cost
    /// Sorts the tensors, which is fast if none has been removed.
    ///
    /// # Allocation
    /// A list of references.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array1, Array2};
    ///
    /// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// let plain = optimizer.add_group(Adamax::keras());
    /// optimizer.register("weights", &Array2::zeros((3, 2)))?;
    /// optimizer.register_in(plain, "bias", &Array1::zeros(2))?;
    ///
    /// let in_plain = optimizer.tensors().filter(|&(_, group, _)| group == plain);
    /// assert_eq!(in_plain.map(|(name, ..)| name).collect::<Vec<_>>(), ["bias"]);
    /// let parameters: usize = optimizer.tensors().map(|(.., state)| state.inf_norm().len()).sum();
    /// assert_eq!(parameters, 8);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Group, &State<A>)> {
        let tensors = self.tensors.iter();
        tensors.map(|entry| (entry.name.as_str(), self.group_at(entry.group), &entry.state))
    }

    /// Returns the slot of the tensor with this name.
    ///
    /// `None` if there is no such tensor, or if `D` is a static dimension with another number of axes.
    /// A dynamic dimension suits every tensor.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array2, Ix1, Ix2, IxDyn};
    ///
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let registered = optimizer.register("weights", &Array2::<f64>::zeros((3, 2)))?;
    /// assert_eq!(optimizer.slot::<Ix2>("weights"), Some(registered));
    /// assert!(optimizer.slot::<IxDyn>("weights").is_some());
    /// assert_eq!(optimizer.slot::<Ix1>("weights"), None);
    /// assert_eq!(optimizer.slot::<Ix2>("bias"), None);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn slot<D: Dimension>(&self, name: &str) -> Option<Slot<D>> {
        self.tensors.slot(name)
    }

    /// Returns the group of a tensor; `None` if the slot belongs to another optimizer, or its tensor was
    /// removed.
    ///
    /// # Examples
    /// See [`move_to`](Optimizer::move_to).
    #[must_use]
    pub fn group<D: Dimension>(&self, slot: Slot<D>) -> Option<Group> {
        self.tensors.get(slot).map(|entry| self.group_at(entry.group))
    }

    fn group_at(&self, index: usize) -> Group {
        Group { optimizer: self.id, index }
    }
}

/// Surgery: changes of a model during a run.
impl<A: Real> Optimizer<A> {
    /// Replaces the state of a tensor: m, u and t. Its [`report`](Optimizer::report) is cleared.
    ///
    /// The values are copied. The moments keep their place in memory and the memory order of the
    /// registered parameter. To reset a tensor, set [`State::zeros_like`] its parameter.
    ///
    /// # Errors
    /// After an error nothing has changed.
    /// - [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if the slot belongs to another optimizer, or
    ///   its tensor was removed;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the state does not have the registered shape, or if
    ///   only one of the two counts the steps of each row ([`State::into_rows`]).
    ///
    /// # Allocation
    /// None for at most 4 axes.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer, State};
    /// use ndarray::array;
    ///
    /// let mut x = array![1.0, -1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// optimizer.step(&mut [slot.bind(&mut x, &array![0.3, 0.1])])?;
    ///
    /// let kept = optimizer.state(slot).unwrap().clone();
    /// optimizer.set_state(slot, &State::zeros_like(&x))?;           // as if newly registered
    /// assert_eq!(optimizer.state(slot).unwrap().steps(), 0);
    /// optimizer.set_state(slot, &kept)?;
    /// assert_eq!(optimizer.state(slot), Some(&kept));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn set_state<D: Dimension>(
        &mut self,
        slot: Slot<D>,
        state: &State<A>,
    ) -> Result<(), Error> {
        let entry = self.tensors.own_mut(slot)?;
        entry.state.check_same_kind(state).map_err(|error| error.in_tensor(&entry.name))?;
        entry.set_state(state);
        Ok(())
    }

    /// Removes a tensor and returns its state.
    ///
    /// The slot is refused from now on, everywhere, also if a tensor of the same name is registered
    /// again. All other slots stay as they are. The name is free, and later snapshots do not have the
    /// tensor. To give a tensor another name, remove it, register it again, and
    /// [set](Optimizer::set_state) the state.
    ///
    /// # Errors
    /// [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if the slot belongs to another optimizer, or its
    /// tensor was removed before. Nothing has changed then.
    ///
    /// # Memory
    /// The next tensor that is registered takes the place in the list. So an optimizer does not grow,
    /// however many tensors come and go.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, ErrorKind, Optimizer};
    /// use ndarray::Array1;
    ///
    /// let (mut old, g) = (Array1::ones(10), Array1::from_elem(10, 0.5));
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let old_head = optimizer.register("head", &old)?;
    /// optimizer.step(&mut [old_head.bind(&mut old, &g)])?;
    ///
    /// // A head for 3 classes in place of 10.
    /// let state = optimizer.remove(old_head)?;
    /// assert_eq!(state.steps(), 1);
    /// let head = optimizer.register("head", &Array1::zeros(3))?;
    /// assert_eq!(optimizer.state(head).unwrap().steps(), 0);
    ///
    /// let refused = optimizer.step(&mut [old_head.bind(&mut old, &g)]);
    /// assert_eq!(refused.unwrap_err().kind(), ErrorKind::Foreign);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn remove<D: Dimension>(&mut self, slot: Slot<D>) -> Result<State<A>, Error> {
        self.tensors.remove(slot)
    }

    /// Moves a tensor to another group: its rule is that of `group`, from the next step on. State and
    /// slot stay.
    ///
    /// Later snapshots have the tensor in its new group. [`restore`](Optimizer::restore) refuses an
    /// earlier one: its error names the tensor and both groups. Move the tensor back first.
    ///
    /// # Errors
    /// [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if the slot or the group belongs to another
    /// optimizer, or the tensor was removed. Nothing has changed then.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::array;
    ///
    /// let mut embedding = array![1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let frozen = optimizer.add_group(Adamax::builder().learning_rate(0.0).build()?);
    /// let slot = optimizer.register_in(frozen, "embedding", &embedding)?;
    /// let g = array![0.5];
    /// optimizer.step(&mut [slot.bind(&mut embedding, &g)])?;
    /// assert_eq!(embedding[0], 1.0);
    ///
    /// optimizer.move_to(slot, optimizer.default_group())?;
    /// assert_eq!(optimizer.group(slot), Some(optimizer.default_group()));
    /// optimizer.step(&mut [slot.bind(&mut embedding, &g)])?;
    /// assert!(embedding[0] < 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn move_to<D: Dimension>(&mut self, slot: Slot<D>, group: Group) -> Result<(), Error> {
        let index = self.group_index(group)?;
        self.tensors.own_mut(slot)?.group = index;
        Ok(())
    }
}

/// Batches of all tensors.
impl<A: Real> Optimizer<A> {
    /// Takes a [`step`](Optimizer::step) of all registered tensors. A batch that leaves one out is an
    /// error.
    ///
    /// So a tensor that was registered and then forgotten does not go unnoticed. For a step on threads or
    /// with a report, call [`check_complete`](Optimizer::check_complete) before it.
    ///
    /// # Errors
    /// As [`check_complete`](Optimizer::check_complete) and [`step`](Optimizer::step). After an error
    /// nothing has changed.
    ///
    /// # Cost
    /// That of a step, and a few comparisons per tensor.
    ///
    /// # Allocation
    /// As [`step`](Optimizer::step).
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, ErrorKind, Optimizer};
    /// use ndarray::array;
    ///
    /// let (mut weights, mut bias) = (array![[1.0, 2.0]], array![0.0]);
    /// let (g_weights, g_bias) = (array![[0.5, 0.5]], array![0.1]);
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("weights", &weights)?;
    /// let bias_slot = optimizer.register("bias", &bias)?;
    ///
    /// let error = optimizer.step_all(&mut [slot.bind(&mut weights, &g_weights)]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Missing);
    /// assert_eq!(error.to_string(), "tensor `bias`: registered, but not in the batch");
    /// assert_eq!(weights[[0, 0]], 1.0);                             // nothing has changed
    ///
    /// optimizer.step_all(&mut [
    ///     slot.bind(&mut weights, &g_weights),
    ///     bias_slot.bind(&mut bias, &g_bias),
    /// ])?;
    /// assert!(bias[0] < 0.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn step_all(&mut self, batch: &mut [Bound<'_, A>]) -> Result<Outcome, Error> {
        self.check_complete(batch)?;
        self.step(batch)
    }

    /// Checks that a batch holds every registered tensor, each one once. Changes nothing.
    ///
    /// The batch can then be passed to any kind of step. [`step_all`](Optimizer::step_all) does both.
    ///
    /// # Errors
    /// - [`ErrorKind::Missing`](crate::ErrorKind::Missing) if a tensor is not in the batch. The error
    ///   names the first one, in the order of registration; its message lists six at most.
    /// - [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if a slot belongs to another optimizer, or its
    ///   tensor was removed;
    /// - [`ErrorKind::Repeated`](crate::ErrorKind::Repeated) if a slot occurs twice.
    ///
    /// # Cost
    /// A few comparisons per tensor.
    ///
    /// # Allocation
    /// None, unless a tensor is missing.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::array;
    ///
    /// let mut x = array![1.0, -1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// let g = array![3.0, 4.0];
    /// let mut batch = [slot.bind(&mut x, &g)];
    /// optimizer.check_complete(&batch)?;
    /// assert_eq!(optimizer.step_with_report(&mut batch)?.gradient_norm(), 5.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn check_complete(&mut self, batch: &[Bound<'_, A>]) -> Result<(), Error> {
        self.batches += 1;
        let tensors = self.tensors.all_mut();
        for (place, bound) in batch.iter().enumerate() {
            batch::enter(tensors, place, bound, self.batches)?;
        }
        // No tensor comes twice.
        if batch.len() == self.tensors.len() { Ok(()) } else { Err(self.not_in_batch()) }
    }

    /// Names the tensors that the latest batch does not have.
    #[cold]
    fn not_in_batch(&self) -> Error {
        let left_out = self.tensors.iter().filter(|entry| entry.batch != self.batches);
        let mut names = left_out.map(|entry| entry.name.as_str());
        let first = names.next();
        debug_assert!(first.is_some(), "called if the batch has fewer tensors than the optimizer");
        let others = names.map(str::to_owned).collect();
        Error::from(Detail::NotInBatch { others }).in_tensor(first.unwrap_or_default())
    }
}
