//! An optimizer becomes a snapshot, and takes one over: as a whole, or what it has of the same tensors.

use alloc::{borrow::ToOwned, collections::BTreeSet, vec::Vec};

use super::{
    Optimizer,
    batch::GroupRule,
    places::Tensor,
    snapshot::{Snapshot, TensorSnapshot, Unmatched},
};
use crate::{
    error::{Detail, Error},
    real::Real,
};
// For links in the documentation only.
#[cfg(doc)]
use crate::State;

/// Snapshots.
impl<A: Real> Optimizer<A> {
    /// Copies everything that a later run needs to continue, except the parameters: the rules of the
    /// groups, the states by name, the learning-rate scale and the norm bound.
    ///
    /// [`restore`](Optimizer::restore) has an example.
    ///
    /// # Allocation
    /// Copies of all states.
    #[must_use]
    #[doc(alias("state_dict"))]
    pub fn snapshot(&self) -> Snapshot<A> {
        let tensors = self.tensors.iter().map(|Tensor { name, group, state, .. }| {
            (name.clone(), TensorSnapshot { group: *group, state: state.clone() })
        });
        let groups = self.groups.iter().map(|group| *group.rule()).collect();
        Snapshot::new(groups, tensors.collect(), self.lr_scale, self.max_norm)
    }

    /// Restores a snapshot: rules, states, learning-rate scale and norm bound.
    ///
    /// Tensors are matched by name, and must be the same. (For a model that has changed, see
    /// [`restore_matching`](Optimizer::restore_matching).) They may have been registered in another
    /// order. States keep the
    /// memory order of this optimizer's parameters. A run that continues from a snapshot gives the
    /// same bits as one that was not interrupted.
    ///
    /// A state file may leave settings open, as a file from PyTorch does: it names no norm bound. The
    /// optimizer then keeps its own setting: the norm bound, the learning-rate scale, or a setting of
    /// the group's rule. [`Optimizer::snapshot`] leaves nothing open.
    ///
    /// A table whose rows have their own counters takes only a state that [has them](State::row_steps). If
    /// the table was trained as a whole before, register it as a whole and restore. Then
    /// [remove](Optimizer::remove) it, register it again by its rows, and
    /// [set](Optimizer::set_state) the state that `remove` has returned, after [`State::into_rows`].
    ///
    /// # Errors
    /// After an error nothing has changed. The error names the tensor, if one is at fault.
    /// - [`ErrorKind::Snapshot`](crate::ErrorKind::Snapshot) if a registered tensor is missing in the
    ///   snapshot, if the snapshot holds one that is not registered, if a tensor is in another
    ///   group, or if the numbers of groups differ. The message lists the names on both sides, five of
    ///   each at most;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if a state does not have the registered shape, or if
    ///   only one of the two has a counter for each row.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::array;
    ///
    /// let mut x = array![1.0, -1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// optimizer.step(&mut [slot.bind(&mut x, &array![0.3, 0.1])])?;
    /// let (saved_x, snapshot) = (x.clone(), optimizer.snapshot());
    ///
    /// // In another process: register the same tensors, then restore.
    /// let mut resumed = Optimizer::new(Adamax::default());
    /// let slot = resumed.register("x", &saved_x)?;
    /// resumed.restore(&snapshot)?;
    /// assert_eq!(resumed.state(slot).unwrap().steps(), 1);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("load_state_dict", "resume"))]
    pub fn restore(&mut self, snapshot: &Snapshot<A>) -> Result<(), Error> {
        let found = snapshot.groups().len();
        if found != self.groups.len() {
            return Err(Detail::GroupCount { found, expected: self.groups.len() }.into());
        }
        let Unmatched { missing, unexpected } = self.unmatched(snapshot);
        if let Some(first) = missing.first().or(unexpected.first()).cloned() {
            return Err(Error::from(Detail::Unmatched { missing, unexpected }).in_tensor(&first));
        }
        self.check_matching(snapshot)?;
        self.take_over(snapshot, |_| true);
        Ok(())
    }

    /// Restores what a snapshot has of this optimizer, and returns the names of the tensors that only
    /// one of them has. This is for a model that has changed, such as one with a new last layer.
    ///
    /// - **Tensors** are matched by name. One that the snapshot does not have keeps its state, which is
    ///   a state of zeros in a new optimizer. Beware of names that are positions, such as `layers.1`: after
    ///   a layer is taken out, later ones have the names of others.
    /// - **Groups** are matched by number, and their numbers may differ: add new groups after the old
    ///   ones. A group gets the rule of the snapshot if one of its tensors is matched. Otherwise it
    ///   keeps its own rule. A matched tensor must be in the same group as before, so that no rule gets
    ///   to other tensors unnoticed. (To move a tensor, restore first, and then call
    ///   [`move_to`](Optimizer::move_to).)
    /// - The **learning-rate scale** and the **norm bound** are those of the snapshot.
    ///
    /// If all tensors match, this is [`restore`](Optimizer::restore), except for groups without tensors.
    ///
    /// # Errors
    /// After an error nothing has changed. The error names the tensor.
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if a tensor of the same name has another shape, or
    ///   if only one of the two has a counter for each row;
    /// - [`ErrorKind::Snapshot`](crate::ErrorKind::Snapshot) if it is in another group.
    ///
    /// # Cost
    /// The states are copied.
    ///
    /// # Allocation
    /// Names that are not matched, and lists of tensors and rules.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array1, Array2};
    ///
    /// let mut trained = Optimizer::new(Adamax::default());
    /// trained.register("body", &Array2::<f64>::zeros((4, 4)))?;
    /// trained.register("head", &Array2::<f64>::zeros((4, 10)))?;
    ///
    /// // The same body, with another head that learns faster.
    /// let mut tuned = Optimizer::new(Adamax::default());
    /// let fast = tuned.add_group(Adamax::builder().learning_rate(0.01).build()?);
    /// tuned.register("body", &Array2::<f64>::zeros((4, 4)))?;
    /// tuned.register_in(fast, "classes", &Array1::<f64>::zeros(3))?;
    ///
    /// let unmatched = tuned.restore_matching(&trained.snapshot())?;
    /// assert_eq!(unmatched.missing(), ["classes"]);            // starts anew
    /// assert_eq!(unmatched.unexpected(), ["head"]);            // has not been used
    /// assert_eq!(tuned.rule(fast).unwrap().learning_rate(), 0.01);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn restore_matching(&mut self, snapshot: &Snapshot<A>) -> Result<Unmatched, Error> {
        self.check_matching(snapshot)?;
        let unmatched = self.unmatched(snapshot);
        let matched = |entry: &&Tensor<A>| snapshot.tensor(&entry.name).is_some();
        let groups: BTreeSet<_> =
            self.tensors.iter().filter(matched).map(|entry| entry.group).collect();
        self.take_over(snapshot, |group| groups.contains(&group));
        Ok(unmatched)
    }

    /// Compares the names of the tensors with those of a snapshot.
    fn unmatched(&self, snapshot: &Snapshot<A>) -> Unmatched {
        let missing = self.tensors.iter().map(|entry| entry.name.as_str());
        let missing = missing.filter(|&name| snapshot.tensor(name).is_none());
        let unexpected = snapshot.names().filter(|&name| !self.tensors.contains(name));
        Unmatched {
            missing: missing.map(str::to_owned).collect(),
            unexpected: unexpected.map(str::to_owned).collect(),
        }
    }

    /// Refuses a snapshot if one of its tensors does not fit the tensor of the same name.
    fn check_matching(&self, snapshot: &Snapshot<A>) -> Result<(), Error> {
        self.tensors.iter().try_for_each(|entry| match snapshot.tensor(&entry.name) {
            Some(saved) => entry.check(saved).map_err(|error| error.in_tensor(&entry.name)),
            None => Ok(()),
        })
    }

    /// Takes over the tensors of a snapshot that has been checked, the rules of some groups, and the
    /// settings for all.
    fn take_over(&mut self, snapshot: &Snapshot<A>, takes_rule: impl Fn(usize) -> bool) {
        for entry in self.tensors.iter_mut() {
            if let Some(TensorSnapshot { state, .. }) = snapshot.tensor(&entry.name) {
                entry.set_state(state);
            }
        }
        let own = self.groups.iter().map(GroupRule::rule);
        let rules: Vec<_> = snapshot.rules_completed_by(own).collect();
        for (index, (group, rule)) in self.groups.iter_mut().zip(rules).enumerate() {
            if takes_rule(index) {
                *group = GroupRule::new(rule);
            }
        }
        self.lr_scale = snapshot.lr_scale_or(self.lr_scale);
        self.max_norm = snapshot.max_norm_or(self.max_norm);
    }
}

impl<A: Real> Tensor<A> {
    /// Refuses an entry of a snapshot that does not fit this tensor.
    fn check(&self, saved: &TensorSnapshot<A>) -> Result<(), Error> {
        let TensorSnapshot { group, state } = saved;
        if *group != self.group {
            return Err(Detail::OtherGroup { found: *group, expected: self.group }.into());
        }
        self.state.check_same_kind(state)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use ndarray::ArrayD;

    use super::Optimizer;
    use crate::{
        ErrorKind,
        error::Error,
        optimizer::{max_norm::MaxNorm, snapshot::Snapshot},
        rule::Adamax,
        state::State,
    };

    /// Returns an optimizer with a table of three rows, and a tensor before it.
    fn optimizer(table: State<f64>) -> Result<Optimizer<f64>, Error> {
        let mut optimizer = Optimizer::new(Adamax::default());
        optimizer.register("bias", &ArrayD::zeros(vec![2]))?;
        let slot = optimizer.register("table", &ArrayD::zeros(vec![3, 2]))?;
        optimizer.tensors.own_mut(slot)?.state = table;
        Ok(optimizer)
    }

    fn by_rows(counters: [u64; 3]) -> Result<State<f64>, Error> {
        let moment = ArrayD::from_elem(vec![3, 2], 0.5);
        State::from_row_parts(counters.into(), moment.clone(), moment)
    }

    fn whole() -> Result<State<f64>, Error> {
        let moment = ArrayD::from_elem(vec![3, 2], 0.25);
        State::from_parts(9, moment.clone(), moment)
    }

    #[test]
    fn counters_of_rows_are_restored() -> Result<(), Error> {
        let saved = optimizer(by_rows([7, 0, 3])?)?.snapshot();
        let mut restored = optimizer(by_rows([1, 2, 9])?)?;
        restored.restore(&saved)?;
        assert_eq!(restored.snapshot(), saved);
        let mut restored = optimizer(by_rows([1, 2, 9])?)?;
        assert_eq!(restored.restore_matching(&saved)?.missing().len(), 0);
        assert_eq!(restored.snapshot(), saved);
        Ok(())
    }

    #[test]
    fn a_state_of_the_other_kind_is_refused_and_changes_nothing() -> Result<(), Error> {
        let as_whole = "tensor `table`: the state counts its steps as a whole, \
                        but each registered row has its own counter";
        let as_rows = "tensor `table`: the state has a counter for each row, \
                       but is registered as a whole";
        for (registered, saved, message) in
            [(by_rows([7, 0, 3])?, whole()?, as_whole), (whole()?, by_rows([7, 0, 3])?, as_rows)]
        {
            let mut source = optimizer(saved)?;
            source.set_max_norm(Some(MaxNorm::Global(1.0)))?;
            let snapshot: Snapshot<f64> = source.snapshot();
            let mut target = optimizer(registered)?;
            let before = target.snapshot();
            let restored = target.restore(&snapshot);
            let matched = target.restore_matching(&snapshot).map(drop);
            for result in [restored, matched] {
                let error = result.unwrap_err();
                assert_eq!(error.to_string(), message);
                assert_eq!((error.kind(), error.tensor()), (ErrorKind::Shape, Some("table")));
                assert_eq!(target.snapshot(), before);
            }
        }
        Ok(())
    }

    /// The last steps of the way that `restore` names for a table that was trained as a whole.
    #[test]
    fn a_state_of_a_whole_table_becomes_one_of_rows() -> Result<(), Error> {
        let mut target = optimizer(by_rows([0, 0, 0])?)?;
        let slot = target.slot::<ndarray::IxDyn>("table").unwrap();
        target.set_state(slot, &whole()?.into_rows()?)?;
        let state = target.state(slot).unwrap();
        assert_eq!(state.row_steps(), Some(&[9, 9, 9][..]));
        assert_eq!(state.inf_norm(), whole()?.inf_norm());
        Ok(())
    }
}
