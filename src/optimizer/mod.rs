//! Many tensors at once: groups, slots, and a step that changes all tensors of a batch or none.

pub(crate) mod batch;
mod display;
pub(crate) mod findings;
mod id;
mod lent;
pub(crate) mod max_norm;
pub(crate) mod model;
mod part;
mod places;
mod report;
mod restore;
pub(crate) mod rows;
pub(crate) mod slot;
pub(crate) mod snapshot;
mod surgery;
#[cfg(all(test, feature = "std"))]
mod tests;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{ArrayRef, Dimension};

use self::{
    batch::{Checked, GroupRule, Purpose},
    id::Id,
    max_norm::MaxNorm,
    places::Places,
    slot::{Bound, Group, Slot},
};
#[cfg(feature = "rayon")]
use crate::par::Parallel;
use crate::{
    error::{Detail, Error},
    par::Sequential,
    real::Real,
    rule::{Adamax, range},
    state::State,
    step::Outcome,
};

/// Steps many tensors of different shapes together, all or nothing.
///
/// An optimizer owns the [`State`] of each tensor and the rules of its groups. The parameters stay
/// with the user, who lends them for one call.
///
/// 1. [`register`](Optimizer::register) each tensor once. This returns its [`Slot`].
/// 2. For each step, [`bind`](Slot::bind) the slots to parameters and gradients, and pass all of
///    them to [`step`](Optimizer::step).
///
/// With `{}`, an optimizer is printed as a table of its tensors.
///
/// ```text
/// for each tensor of the batch:   t ← t + 1
///                                 g ← g·min(1, max_norm / norm)
///                                 m ← β₁·m + (1 − β₁)·g
///                                 u ← max(β₂·u, |g|)
///                                 x ← x − scale·α / (1 − β₁ᵗ) · m / (u + ε)
/// ```
/// t is counted per tensor, as in PyTorch. A tensor that is left out of a batch keeps its state:
/// nothing decays.
///
/// # Memory
/// Two numbers per parameter. Each tensor of 2 KB or more takes up to 8 KB in addition, which lets
/// the moments start at places in memory where they do not slow each other down.
///
/// # Examples
/// ```
/// use adamax::{Adamax, MaxNorm, Optimizer, WeightDecay};
/// use ndarray::{Array1, Array2};
///
/// struct Model { weights: Array2<f64>, bias: Array1<f64> }
/// let mut model = Model { weights: Array2::ones((2, 3)), bias: Array1::zeros(2) };
///
/// let rule = Adamax::builder().weight_decay(WeightDecay::Decoupled(1e-4)).build()?;
/// let mut optimizer = Optimizer::new(rule);
/// let plain = optimizer.add_group(rule.to_builder().weight_decay(WeightDecay::None).build()?);
/// let weights = optimizer.register("weights", &model.weights)?;
/// let bias = optimizer.register_in(plain, "bias", &model.bias)?;
/// optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
///
/// for t in 0..100_u32 {
///     let gradients = Model { weights: &model.weights * 0.1, bias: &model.bias - 1.0 };
///     optimizer.set_lr_scale(1.0 / (1.0 + 0.01 * f64::from(t)))?;
///     optimizer.step(&mut [
///         weights.bind(&mut model.weights, &gradients.weights),
///         bias.bind(&mut model.bias, &gradients.bias),
///     ])?;
/// }
/// assert_eq!(optimizer.state(bias).unwrap().steps(), 100);
/// # Ok::<(), adamax::Error>(())
/// ```
pub struct Optimizer<A = f64> {
    /// The mark of the groups that belong to this optimizer.
    id: usize,
    groups: Vec<GroupRule<A>>,
    tensors: Places<A>,
    lr_scale: f64,
    max_norm: Option<MaxNorm>,
    /// The number of batches that have been checked. Tensors of the present batch carry it.
    batches: u64,
}

/// Construction and groups.
impl<A: Real> Optimizer<A> {
    /// Creates an optimizer without tensors. `rule` is the rule of its default group.
    #[must_use]
    pub fn new(rule: Adamax) -> Self {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
        Optimizer {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            groups: Vec::from([GroupRule::new(rule)]),
            tensors: Places::new(),
            lr_scale: 1.0,
            max_norm: None,
            batches: 0,
        }
    }

    /// Returns the group of the tensors that [`register`](Optimizer::register) adds.
    #[must_use]
    pub fn default_group(&self) -> Group {
        Group { optimizer: self.id, index: 0 }
    }

    /// Adds a group with a rule of its own.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// let slow = optimizer.add_group(Adamax::builder().learning_rate(1e-5).build()?);
    /// assert_ne!(slow, optimizer.default_group());
    /// assert_eq!(optimizer.rule(slow).unwrap().learning_rate(), 1e-5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias(
        "param_groups",
        "add_param_group",
        "exclude_from_weight_decay",
        "masked",
        "multi_transform"
    ))]
    pub fn add_group(&mut self, rule: Adamax) -> Group {
        self.groups.push(GroupRule::new(rule));
        Group { optimizer: self.id, index: self.groups.len() - 1 }
    }

    /// Returns the rule of a group; `None` if the group belongs to another optimizer.
    #[must_use]
    pub fn rule(&self, group: Group) -> Option<&Adamax> {
        let index = Some(group.index).filter(|_| group.optimizer == self.id)?;
        self.groups.get(index).map(GroupRule::rule)
    }

    /// Replaces the rule of a group, from the next step on. The states of its tensors stay.
    ///
    /// # Errors
    /// [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if the group belongs to another optimizer.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    ///
    /// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// let group = optimizer.default_group();
    /// let frozen = optimizer.rule(group).unwrap().to_builder().learning_rate(0.0).build()?;
    /// optimizer.set_rule(group, frozen)?;
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("param_groups"))]
    pub fn set_rule(&mut self, group: Group, rule: Adamax) -> Result<(), Error> {
        let index = self.group_index(group)?;
        if let Some(current) = self.groups.get_mut(index) {
            *current = GroupRule::new(rule);
        }
        Ok(())
    }

    fn group_index(&self, group: Group) -> Result<usize, Error> {
        match self.rule(group) {
            Some(_) => Ok(group.index),
            None => Err(Detail::ForeignGroup.into()),
        }
    }
}

/// Registration of tensors.
impl<A: Real> Optimizer<A> {
    /// Registers a tensor in the default group, with a state of zeros.
    ///
    /// The state gets the shape and the memory order of `param`, whose values are not read. Errors
    /// and [`Snapshot`](crate::Snapshot)s use the name, which must be unique.
    ///
    /// # Errors
    /// After an error nothing has changed, and the name is free.
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is taken;
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for the moments.
    ///
    /// # Allocation
    /// The two moments, the name, and growth of the lists of tensors.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, ErrorKind, Optimizer};
    /// # use ndarray::Array2;
    /// let weights = Array2::<f64>::ones((2, 3));
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("weights", &weights)?;
    /// assert_eq!(optimizer.state(slot).unwrap().inf_norm().shape(), [2, 3]);
    /// assert_eq!(optimizer.register("weights", &weights).unwrap_err().kind(), ErrorKind::Name);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("init"))]
    pub fn register<D: Dimension>(
        &mut self,
        name: &str,
        param: &ArrayRef<A, D>,
    ) -> Result<Slot<D>, Error> {
        self.register_in(self.default_group(), name, param)
    }

    /// Registers a tensor in a group. Otherwise like [`register`](Optimizer::register).
    ///
    /// # Errors
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is taken;
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for the moments;
    /// - [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if the group belongs to another optimizer.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Optimizer, WeightDecay};
    /// # use ndarray::array;
    /// let mut bias = array![1.0];
    /// let decayed = Adamax::builder().weight_decay(WeightDecay::Decoupled(0.01)).build()?;
    /// let mut optimizer = Optimizer::new(decayed);
    /// let plain = optimizer.add_group(Adamax::default());
    /// let slot = optimizer.register_in(plain, "bias", &bias)?;
    /// optimizer.step(&mut [slot.bind(&mut bias, &array![0.0])])?;
    /// assert_eq!(bias[0], 1.0);                             // not decayed
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn register_in<D: Dimension>(
        &mut self,
        group: Group,
        name: &str,
        param: &ArrayRef<A, D>,
    ) -> Result<Slot<D>, Error> {
        self.register_with(group, name, || State::try_zeros_like(param))
    }

    /// Registers a tensor whose state `make` makes, after everything else has been checked.
    fn register_with<D>(
        &mut self,
        group: Group,
        name: &str,
        make: impl FnOnce() -> Result<State<A>, Error>,
    ) -> Result<Slot<D>, Error> {
        let group = self.group_index(group)?;
        self.check_name(name)?;
        let state = make().map_err(|error| error.in_tensor(name))?;
        let id = Id::new().map_err(|error| error.in_tensor(name))?;
        Ok(self.tensors.insert(id, name, group, state, self.batches))
    }

    /// Refuses a name that is taken.
    fn check_name(&self, name: &str) -> Result<(), Error> {
        if self.tensors.contains(name) {
            return Err(Error::from(Detail::NameTaken).in_tensor(name));
        }
        Ok(())
    }

    /// Returns the state of a tensor; `None` if the slot belongs to another optimizer, or its tensor
    /// was removed.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::array;
    /// let mut x = array![1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// optimizer.step(&mut [slot.bind(&mut x, &array![-0.5])])?;
    /// let state = optimizer.state(slot).unwrap();
    /// assert_eq!((state.steps(), state.inf_norm()[[0]]), (1, 0.5));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn state<D: Dimension>(&self, slot: Slot<D>) -> Option<&State<A>> {
        self.tensors.get(slot).map(|entry| &entry.state)
    }
}

/// Settings for all groups.
impl<A: Real> Optimizer<A> {
    /// Sets the factor on every group's learning rate, from the next step on. At first it is 1.
    ///
    /// A [`Schedule`](crate::schedule::Schedule) computes such factors.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `scale` is not finite or
    /// below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::array;
    /// let mut x = array![0.0_f64];
    /// let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.1).build()?);
    /// let slot = optimizer.register("x", &x)?;
    /// optimizer.set_lr_scale(0.5)?;
    /// optimizer.step(&mut [slot.bind(&mut x, &array![1.0])])?;
    /// assert!((x[0] + 0.05).abs() < 1e-8);
    /// assert!(optimizer.set_lr_scale(-1.0).is_err());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("lr_scheduler"))]
    pub fn set_lr_scale(&mut self, scale: f64) -> Result<(), Error> {
        range::check_not_negative("learning rate scale", scale)?;
        self.lr_scale = scale;
        Ok(())
    }

    /// Returns the factor on every group's learning rate.
    #[must_use]
    pub fn lr_scale(&self) -> f64 {
        self.lr_scale
    }

    /// Sets the bound on the norm of the gradients, from the next step on. At first there is none.
    ///
    /// [`MaxNorm`] states precision and cost.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if the bound is not above 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, MaxNorm, Optimizer};
    /// # use ndarray::array;
    /// let mut x = array![0.0, 0.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// optimizer.set_max_norm(Some(MaxNorm::Global(2.5)))?;
    /// optimizer.step(&mut [slot.bind(&mut x, &array![3.0, 4.0])])?;        // norm 5: halved
    /// assert_eq!(optimizer.state(slot).unwrap().inf_norm(), &array![1.5, 2.0].into_dyn());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("clip_grad_norm_", "clip_grad_norm"))]
    pub fn set_max_norm(&mut self, max_norm: Option<MaxNorm>) -> Result<(), Error> {
        max_norm.map_or(Ok(()), MaxNorm::check)?;
        self.max_norm = max_norm;
        Ok(())
    }

    /// Returns the bound on the norm of the gradients.
    #[must_use]
    pub fn max_norm(&self) -> Option<MaxNorm> {
        self.max_norm
    }
}

/// Steps.
impl<A: Real> Optimizer<A> {
    /// Advances all tensors of the batch by one step, or none.
    ///
    /// The first phase checks the whole batch: slots, shapes, step counts, coefficients, norms, and
    /// gradients for NaN and infinities. It changes nothing. The second phase writes, and cannot fail.
    /// Tensors may come in any order. Those that are left out keep their state.
    ///
    /// If a gradient of a group with [`NonFinite::Skip`](crate::NonFinite::Skip) is not finite, and
    /// nothing else is wrong, the result is [`Outcome::Skipped`], and nothing has changed. A step that
    /// is skipped cannot overflow. So an overflow in another tensor is no error then.
    ///
    /// # Errors
    /// After an error nothing has changed, in any tensor, bit for bit. The error names the tensor.
    /// - [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if a slot belongs to another optimizer, or
    ///   its tensor was removed. As there is no name for it, the error gives the index in the batch.
    /// - [`ErrorKind::Model`](crate::ErrorKind::Model) if [`Slots::bind`](crate::Slots::bind) was called
    ///   with a model, or gradients, that have other tensors than those that were registered;
    /// - [`ErrorKind::Repeated`](crate::ErrorKind::Repeated) if a slot occurs twice;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if a parameter or a gradient does not have the
    ///   registered shape, or if a table that is stepped by rows is bound as a whole;
    /// - [`ErrorKind::Rows`](crate::ErrorKind::Rows) if indices of rows are beyond the table, not ascending, or
    ///   repeated;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if a gradient holds NaN or an infinity,
    ///   or the step would bring one into a parameter or a state, and the rule of its group has
    ///   [`NonFinite::Error`](crate::NonFinite::Error); with a global norm bound, also if that rule has
    ///   [`NonFinite::Propagate`](crate::NonFinite::Propagate) and another one of the batch `Error`;
    /// - [`ErrorKind::StepCount`](crate::ErrorKind::StepCount) if a t is `u64::MAX`;
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if a setting overflows the
    ///   precision of the tensors or rounds to nothing in it, or decoupled decay would turn the sign of
    ///   a parameter; see [`Adamax::step`].
    ///
    /// # Cost
    /// The update is one pass over x, g, m and u. Before it, the gradients are read once: for their
    /// norms if there is a norm bound, else for the check that they are finite. They are not read
    /// before if there is no norm bound and every rule has
    /// [`NonFinite::Propagate`](crate::NonFinite::Propagate). Layouts cost as in [`Adamax::step`].
    ///
    /// # Allocation
    /// As [`Adamax::step`]: none for at most 4 axes, nor for arrays without gaps in one memory order.
    /// [`Slot::bind`] states what binding allocates.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer, Outcome};
    /// use ndarray::array;
    ///
    /// let (mut a, mut b) = (array![1.0], array![[1.0, 2.0]]);
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let (slot_a, slot_b) = (optimizer.register("a", &a)?, optimizer.register("b", &b)?);
    ///
    /// let (good, bad) = (array![0.5], array![[0.1, f64::NAN]]);
    /// let refused = optimizer.step(&mut [slot_a.bind(&mut a, &good), slot_b.bind(&mut b, &bad)]);
    /// assert_eq!(refused.unwrap_err().to_string(), "tensor `b`: gradient is NaN at index [0, 1]");
    /// assert_eq!(a[0], 1.0);                                // `a` has not moved either
    ///
    /// let outcome = optimizer.step(&mut [slot_a.bind(&mut a, &good)])?;
    /// assert_eq!(outcome, Outcome::Applied);
    /// assert!(a[0] < 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("apply_gradients", "backward", "zero_grad", "requires_grad", "freeze"))]
    pub fn step(&mut self, batch: &mut [Bound<'_, A>]) -> Result<Outcome, Error> {
        Ok(self.check_with(Sequential, batch, Purpose::Step)?.apply_with(Sequential))
    }

    /// Takes a [`step`](Optimizer::step) on the threads of the current rayon pool, with the same bits.
    ///
    /// Large tensors are split, and small ones are distributed. A batch below 131 072 elements in all
    /// is stepped on the calling thread. To choose the pool, call this within rayon's
    /// `ThreadPool::install`. A calling thread outside the pool does its share of the work, and starts
    /// at once. The order of the batch may change. [`Adamax::par_step`] says which work is not split.
    ///
    /// # Errors
    /// As [`step`](Optimizer::step).
    ///
    /// # Allocation
    /// As [`step`](Optimizer::step), and the queues for the threads.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::Array2;
    ///
    /// let start = Array2::<f32>::ones((300, 200));
    /// let gradient = start.mapv(|x| 0.1 * x);
    /// let step_with = |threads: usize| {
    ///     let mut x = start.clone();
    ///     let mut optimizer = Optimizer::new(Adamax::default());
    ///     let slot = optimizer.register("x", &x)?;
    ///     let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    ///     pool.install(|| optimizer.par_step(&mut [slot.bind(&mut x, &gradient)]))?;
    ///     Ok::<_, Box<dyn std::error::Error>>(x)
    /// };
    /// assert!(step_with(1)?[[0, 0]] < 1.0);
    /// assert_eq!(step_with(1)?, step_with(2)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "rayon")]
    pub fn par_step(&mut self, batch: &mut [Bound<'_, A>]) -> Result<Outcome, Error> {
        if Parallel::pays(batch::elements(batch)) {
            Ok(self.check_with(Parallel, batch, Purpose::Step)?.apply_with(Parallel))
        } else {
            self.step(batch)
        }
    }

    /// Checks a batch: the first phase of a [`step`](Optimizer::step), which changes nothing.
    ///
    /// [`Checked::apply`] is the second phase. Between the two, several processes can agree on the step
    /// and on the norms of the gradients: see [`Findings`](crate::Findings).
    ///
    /// # Errors
    /// As [`step`](Optimizer::step).
    ///
    /// # Allocation
    /// None without a norm bound. About 2 KB for [`MaxNorm::Global`], and about 2 KB per tensor for
    /// [`MaxNorm::PerTensor`].
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer, Outcome};
    /// use ndarray::array;
    ///
    /// let mut x = array![1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// let g = array![0.5];
    /// drop(optimizer.check(&mut [slot.bind(&mut x, &g)])?);         // changes nothing
    /// assert_eq!((x[0], optimizer.state(slot).unwrap().steps()), (1.0, 0));
    /// assert_eq!(optimizer.check(&mut [slot.bind(&mut x, &g)])?.apply(), Outcome::Applied);
    /// assert!(x[0] < 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn check<'s, 'a>(
        &'s mut self,
        batch: &'s mut [Bound<'a, A>],
    ) -> Result<Checked<'s, 'a, A>, Error> {
        self.check_with(Sequential, batch, Purpose::Agreement)
    }

    /// Makes a [`check`](Optimizer::check) on the threads of the current rayon pool, with the same
    /// bits. [`Checked::apply`] then uses threads, too.
    ///
    /// # Errors
    /// As [`step`](Optimizer::step).
    #[cfg(feature = "rayon")]
    pub fn par_check<'s, 'a>(
        &'s mut self,
        batch: &'s mut [Bound<'a, A>],
    ) -> Result<Checked<'s, 'a, A>, Error> {
        if Parallel::pays(batch::elements(batch)) {
            self.check_with(Parallel, batch, Purpose::Agreement).map(Checked::parallel)
        } else {
            self.check(batch)
        }
    }
}
