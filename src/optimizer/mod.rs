//! Many tensors at once: groups, slots and the step that is all or nothing.

pub(crate) mod batch;
pub(crate) mod snapshot;

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};
use core::{
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};

use ndarray::{ArrayRef, Dimension};

use self::{
    batch::{Bound, Clip, Entry, Plan, Policies},
    snapshot::{Snapshot, TensorSnapshot},
};
#[cfg(feature = "rayon")]
use crate::par::Parallel;
use crate::{
    error::{Detail, Error},
    par::{Fork, Serial},
    real::Real,
    reduce::norm::{MaxNorm, Norm},
    rule::{Adamax, NonFinite, range},
    state::State,
    step::Outcome,
    update::coefficients::{Coefficients, Scale},
    update::pair::Pair,
};

/// Steps many tensors of different shapes together, all or nothing.
///
/// An optimizer owns the [`State`] of each registered tensor, and the rules of its groups; the
/// parameters stay with the user and are lent for one call. [`register`](Optimizer::register) each
/// tensor once, which gives a [`Slot`]; then, as often as wanted, [`bind`](Slot::bind) slots to
/// parameters and gradients and [`step`](Optimizer::step) them as a batch.
///
/// ```text
/// for each tensor of the batch:   t ← t + 1
///                                 g ← g·min(1, max_norm / norm)
///                                 m ← β₁·m + (1 − β₁)·g
///                                 u ← max(β₂·u, |g|)
///                                 x ← x − scale·α / (1 − β₁ᵗ) · m / (u + ε)
/// ```
/// t is counted per tensor, as in PyTorch: a tensor left out of a batch waits. It does so with all
/// of its state: nothing decays.
///
/// # Memory
/// Two numbers per parameter, and per tensor no more than 8 KB to place them well in memory.
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
    /// Marks slots and groups as belonging to this optimizer.
    id: usize,
    groups: Vec<Adamax>,
    tensors: Vec<Entry<A>>,
    by_name: BTreeMap<String, usize>,
    lr_scale: f64,
    max_norm: Option<MaxNorm>,
    /// How many batches have been looked at: tells which tensors the current one has named already.
    batches: u64,
}

/// A set of tensors of one [`Optimizer`] with a rule of their own.
///
/// ```
/// use adamax::{Adamax, Optimizer};
/// use ndarray::array;
///
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let frozen = optimizer.add_group(Adamax::builder().learning_rate(0.0).build()?);
/// let (mut embedding, mut head) = (array![1.0], array![1.0]);
/// let embedding_slot = optimizer.register_in(frozen, "embedding", &embedding)?;
/// let head_slot = optimizer.register("head", &head)?;
/// let g = array![0.5];
/// optimizer.step(&mut [embedding_slot.bind(&mut embedding, &g), head_slot.bind(&mut head, &g)])?;
/// assert_eq!(embedding[0], 1.0);
/// assert!(head[0] < 1.0);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    optimizer: usize,
    index: usize,
}

/// The place of one tensor with dimension `D` in one [`Optimizer`].
///
/// A small `Copy` key. It fits only the optimizer that gave it, and only arrays of the dimension it
/// was registered with:
///
/// ```compile_fail,E0308
/// use adamax::{Adamax, Optimizer};
/// use ndarray::{Array1, Array2};
///
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let matrix = optimizer.register("matrix", &Array2::<f64>::zeros((2, 3))).unwrap();
/// let (mut vector, gradient) = (Array1::<f64>::zeros(6), Array1::<f64>::zeros(6));
/// matrix.bind(&mut vector, &gradient);    // a Slot<Ix2> does not take an Array1
/// ```
pub struct Slot<D> {
    optimizer: usize,
    index: usize,
    dimension: PhantomData<fn() -> D>,
}

impl<D: Dimension> Slot<D> {
    /// Binds the slot to its parameter and gradient, for one step.
    ///
    /// Nothing is checked here; [`Optimizer::step`] checks the batch as a whole. Arrays and views
    /// of any memory layout will do, as for [`Adamax::step`].
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array2, s};
    ///
    /// // The last column of a matrix, trained by itself.
    /// let mut matrix = Array2::<f64>::ones((3, 4));
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let column = optimizer.register("last column", &matrix.column(3))?;
    /// let gradient = Array2::ones((3, 4));
    /// optimizer.step(&mut [column.bind(&mut matrix.column_mut(3), &gradient.column(3))])?;
    /// assert_eq!(matrix[[0, 0]], 1.0);
    /// assert!(matrix[[0, 3]] < 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[inline(always)]
    pub fn bind<'a, A: Real>(
        self,
        param: &'a mut ArrayRef<A, D>,
        grad: &'a ArrayRef<A, D>,
    ) -> Bound<'a, A> {
        let pair = Pair::new(param, grad);
        Bound { optimizer: self.optimizer, index: self.index, pair, norm: Norm::ZERO }
    }
}

/// Making one, and its groups.
impl<A: Real> Optimizer<A> {
    /// An optimizer without tensors, whose default group has this rule.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// let optimizer = Optimizer::<f32>::new(Adamax::keras());
    /// assert_eq!(optimizer.rule(optimizer.default_group()), Some(&Adamax::keras()));
    /// ```
    #[must_use]
    pub fn new(rule: Adamax) -> Self {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
        Optimizer {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            groups: alloc::vec![rule],
            tensors: Vec::new(),
            by_name: BTreeMap::new(),
            lr_scale: 1.0,
            max_norm: None,
            batches: 0,
        }
    }

    /// The group of tensors registered without naming one.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// optimizer.set_rule(optimizer.default_group(), Adamax::pytorch())?;
    /// assert_eq!(optimizer.snapshot().groups(), [Adamax::pytorch()]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
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
    pub fn add_group(&mut self, rule: Adamax) -> Group {
        self.groups.push(rule);
        Group { optimizer: self.id, index: self.groups.len() - 1 }
    }

    /// The rule of a group; `None` if the group belongs to another optimizer.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// let optimizer = Optimizer::<f64>::new(Adamax::default());
    /// let other = Optimizer::<f64>::new(Adamax::default());
    /// assert_eq!(optimizer.rule(optimizer.default_group()), Some(&Adamax::default()));
    /// assert_eq!(optimizer.rule(other.default_group()), None);
    /// ```
    #[must_use]
    pub fn rule(&self, group: Group) -> Option<&Adamax> {
        if group.optimizer == self.id { self.groups.get(group.index) } else { None }
    }

    /// Gives a group another rule, from the next step on. The state of its tensors stays.
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
    pub fn set_rule(&mut self, group: Group, rule: Adamax) -> Result<(), Error> {
        let index = self.group_index(group)?;
        if let Some(current) = self.groups.get_mut(index) {
            *current = rule;
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

/// Tensors.
impl<A: Real> Optimizer<A> {
    /// Registers a tensor in the default group, with a state of zeros in the memory order of
    /// `param`; only its shape and memory order are looked at.
    ///
    /// The name must be unique. It is what errors and [`Snapshot`]s call the tensor.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is taken.
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
    pub fn register<D: Dimension>(
        &mut self,
        name: &str,
        param: &ArrayRef<A, D>,
    ) -> Result<Slot<D>, Error> {
        self.register_in(self.default_group(), name, param)
    }

    /// [`register`](Optimizer::register), in a group.
    ///
    /// # Errors
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is taken;
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
        let group = self.group_index(group)?;
        if self.by_name.contains_key(name) {
            return Err(Error::from(Detail::NameTaken).in_tensor(name));
        }
        let index = self.tensors.len();
        self.by_name.insert(name.to_owned(), index);
        self.tensors.push(Entry {
            name: name.to_owned(),
            group,
            state: State::zeros_like(param),
            batch: self.batches,
        });
        Ok(Slot { optimizer: self.id, index, dimension: PhantomData })
    }

    /// The state of a tensor; `None` if the slot belongs to another optimizer.
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
        if slot.optimizer != self.id {
            return None;
        }
        self.tensors.get(slot.index).map(|entry| &entry.state)
    }
}

/// What acts on all groups.
impl<A: Real> Optimizer<A> {
    /// Multiplies every group's learning rate by `scale`, from the next step on: what a
    /// [`Schedule`](crate::schedule::Schedule) yields. 1 at first.
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
    pub fn set_lr_scale(&mut self, scale: f64) -> Result<(), Error> {
        range::check_not_negative("learning rate scale", scale)?;
        self.lr_scale = scale;
        Ok(())
    }

    /// The factor on every group's learning rate.
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// assert_eq!(optimizer.lr_scale(), 1.0);
    /// optimizer.set_lr_scale(optimizer.lr_scale() * 0.5)?;
    /// assert_eq!(optimizer.lr_scale(), 0.5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn lr_scale(&self) -> f64 {
        self.lr_scale
    }

    /// Bounds the norm of the gradients, from the next step on; `None`, as at first, does not.
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
    /// optimizer.step(&mut [slot.bind(&mut x, &array![3.0, 4.0])])?;        // of norm 5: halved
    /// assert_eq!(optimizer.state(slot).unwrap().inf_norm(), &array![1.5, 2.0].into_dyn());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn set_max_norm(&mut self, max_norm: Option<MaxNorm>) -> Result<(), Error> {
        max_norm.map_or(Ok(()), MaxNorm::check)?;
        self.max_norm = max_norm;
        Ok(())
    }

    /// The bound on the norm of the gradients.
    ///
    /// ```
    /// # use adamax::{Adamax, MaxNorm, Optimizer};
    /// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    /// assert_eq!(optimizer.max_norm(), None);
    /// optimizer.set_max_norm(Some(MaxNorm::PerTensor(1.0)))?;
    /// assert_eq!(optimizer.max_norm(), Some(MaxNorm::PerTensor(1.0)));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn max_norm(&self) -> Option<MaxNorm> {
        self.max_norm
    }
}

/// Stepping.
impl<A: Real> Optimizer<A> {
    /// Advances all tensors of the batch by one step, or none.
    ///
    /// The first phase looks at the whole batch: whose slots they are, shapes, whether gradients
    /// are finite, and their norms. Only when nothing is wrong does the second phase write. Tensors
    /// may come in any order; those left out wait.
    ///
    /// # Errors
    /// Each names the tensor. Nothing has changed then, in any tensor, bit for bit.
    /// - [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if a slot belongs to another optimizer,
    ///   where the tensor has no name in this one: its index in the batch is told instead;
    /// - [`ErrorKind::Repeated`](crate::ErrorKind::Repeated) if a slot comes twice;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if a parameter or a gradient has not the shape
    ///   that was registered;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if a gradient holds NaN or an infinity
    ///   and its group's rule says [`NonFinite::Error`](crate::NonFinite::Error);
    /// - [`ErrorKind::StepCount`](crate::ErrorKind::StepCount) if a t is `u64::MAX`;
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if a coefficient of the step
    ///   overflows the precision of the tensors.
    ///
    /// If a gradient of a group with [`NonFinite::Skip`](crate::NonFinite::Skip) is not finite, and
    /// nothing else is wrong, the result is [`Outcome::Skipped`] and nothing has changed either.
    ///
    /// # Allocation
    /// None, if each tensor is in row-major order or has at most 4 axes.
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
    /// assert_eq!(a[0], 1.0);                                // nor has `a` moved
    ///
    /// let outcome = optimizer.step(&mut [slot_a.bind(&mut a, &good)])?;
    /// assert_eq!(outcome, Outcome::Applied);
    /// assert!(a[0] < 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn step(&mut self, batch: &mut [Bound<'_, A>]) -> Result<Outcome, Error> {
        self.check(batch)?;
        self.advance(Serial, batch)
    }

    /// [`step`](Optimizer::step) on the threads of the current rayon pool, with the same bits.
    ///
    /// Large tensors are split and small ones spread. Batches below 131 072 elements in all are
    /// stepped on the calling thread. To choose the pool, call from within rayon's
    /// `ThreadPool::install`; a thread that is not of the pool works with it, and starts before the
    /// others have been woken. The batch may come back in another order.
    ///
    /// # Errors
    /// As [`step`](Optimizer::step).
    ///
    /// # Allocation
    /// As [`step`](Optimizer::step), but for what rayon may need to queue work.
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
        self.check(batch)?;
        if Parallel::pays(batch::elements(batch)) {
            self.advance(Parallel, batch)
        } else {
            self.advance(Serial, batch)
        }
    }

    /// Everything that can be wrong with a batch but the values of its gradients.
    fn check(&mut self, batch: &[Bound<'_, A>]) -> Result<(), Error> {
        self.batches += 1;
        let mut checked = None;
        for (place, bound) in batch.iter().enumerate() {
            let entry = match self.tensors.get_mut(bound.index) {
                Some(entry) if bound.optimizer == self.id => entry,
                _ => return Err(Detail::ForeignSlot { place }.into()),
            };
            if entry.batch == self.batches {
                return Err(Error::from(Detail::Repeated).in_tensor(&entry.name));
            }
            entry.batch = self.batches;
            let t = bound.pair.check(&entry.state).map_err(|e| e.in_tensor(&entry.name))?;
            if checked != Some((entry.group, t)) {
                if let Some(rule) = self.groups.get(entry.group) {
                    let scale = Scale { learning_rate: self.lr_scale, ..Scale::NEUTRAL };
                    Coefficients::<A>::new(rule, t, scale)
                        .check()
                        .map_err(|error| error.in_tensor(&entry.name))?;
                }
                checked = Some((entry.group, t));
            }
        }
        Ok(())
    }

    /// The rest of a step, after [`check`](Optimizer::check).
    fn advance(&mut self, fork: impl Fork, batch: &mut [Bound<'_, A>]) -> Result<Outcome, Error> {
        if self.max_norm.is_some() {
            batch::measure(fork, batch);
        }
        if self.admit(fork, batch)? == Outcome::Skipped {
            return Ok(Outcome::Skipped);
        }
        let clip = match self.max_norm {
            None => Clip::Factor(1.0),
            Some(MaxNorm::PerTensor(bound)) => Clip::PerTensor(bound),
            Some(MaxNorm::Global(bound)) => {
                Clip::Factor(Norm::together(batch.iter().map(|tensor| tensor.norm)).factor(bound))
            }
        };
        let plan = Plan { groups: &self.groups, lr_scale: self.lr_scale, clip };
        batch::write(fork, plan, batch, &mut self.tensors);
        Ok(Outcome::Applied)
    }

    /// Applies the groups' policies for gradients that are not finite.
    fn admit(&self, fork: impl Fork, batch: &[Bound<'_, A>]) -> Result<Outcome, Error> {
        let (groups, tensors) = (&*self.groups, &*self.tensors);
        let measured = self.max_norm.is_some();
        if batch::all_finite(fork, &Policies { groups, tensors, measured }, batch) {
            Ok(Outcome::Applied)
        } else {
            self.refuse_or_skip(batch)
        }
    }

    /// What is to become of a batch in which some gradient is not finite.
    #[cold]
    fn refuse_or_skip(&self, batch: &[Bound<'_, A>]) -> Result<Outcome, Error> {
        for bound in batch {
            let Some(entry) = self.tensors.get(bound.index) else { continue };
            let policy = self.groups.get(entry.group).map(Adamax::non_finite);
            if policy == Some(NonFinite::Error) && !bound.pair.is_finite(Serial) {
                return Err(bound.pair.refusal().in_tensor(&entry.name));
            }
        }
        Ok(Outcome::Skipped)
    }
}

/// Saving and going on.
impl<A: Real> Optimizer<A> {
    /// A copy of everything that a later run needs to go on from here, but the parameters: the
    /// groups' rules, the states by name, the learning-rate scale and the norm bound.
    ///
    /// # Allocation
    /// Copies of all states.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::array;
    /// let mut x = array![1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("x", &x)?;
    /// let (saved_x, saved) = (x.clone(), optimizer.snapshot());
    /// optimizer.step(&mut [slot.bind(&mut x, &array![0.5])])?;
    /// assert_eq!(optimizer.snapshot().state("x").unwrap().steps(), 1);
    ///
    /// // Back to where it was.
    /// optimizer.restore(&saved)?;
    /// x = saved_x;
    /// assert_eq!((x[0], optimizer.state(slot).unwrap().steps()), (1.0, 0));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<A> {
        let tensors = self.tensors.iter().map(|Entry { name, group, state, .. }| {
            (name.clone(), TensorSnapshot { group: *group, state: state.clone() })
        });
        Snapshot::new(self.groups.clone(), tensors.collect(), self.lr_scale, self.max_norm)
    }

    /// Takes over a snapshot: rules, states, learning-rate scale and norm bound.
    ///
    /// Tensors are matched by name, so that they may have been registered in another order. States
    /// keep the memory order of this optimizer's parameters. A run that goes on from a snapshot
    /// gives the same bits as one that was not interrupted.
    ///
    /// # Errors
    /// Each names the tensor. Nothing has changed then.
    /// - [`ErrorKind::Snapshot`](crate::ErrorKind::Snapshot) if a registered tensor is missing in the
    ///   snapshot, if the snapshot holds one that is not registered, if a tensor is in another
    ///   group, or if the numbers of groups differ;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if a state has not the shape that was
    ///   registered.
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
    /// // Another process, perhaps: register as before, then restore.
    /// let mut resumed = Optimizer::new(Adamax::default());
    /// let slot = resumed.register("x", &saved_x)?;
    /// resumed.restore(&snapshot)?;
    /// assert_eq!(resumed.state(slot).unwrap().steps(), 1);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn restore(&mut self, snapshot: &Snapshot<A>) -> Result<(), Error> {
        let found = snapshot.groups().len();
        if found != self.groups.len() {
            return Err(Detail::GroupCount { found, expected: self.groups.len() }.into());
        }
        if let Some(name) = snapshot.names().find(|&name| !self.by_name.contains_key(name)) {
            return Err(Error::from(Detail::Unregistered).in_tensor(name));
        }
        for entry in &self.tensors {
            entry.check(snapshot.tensor(&entry.name)).map_err(|e| e.in_tensor(&entry.name))?;
        }
        for entry in &mut self.tensors {
            if let Some(TensorSnapshot { state, .. }) = snapshot.tensor(&entry.name) {
                entry.state.assign(state);
            }
        }
        self.groups.clone_from_slice(snapshot.groups());
        self.lr_scale = snapshot.lr_scale();
        self.max_norm = snapshot.max_norm();
        Ok(())
    }
}

impl<A: Real> Entry<A> {
    /// Refuses what a snapshot says of this tensor where it does not fit.
    fn check(&self, saved: Option<&TensorSnapshot<A>>) -> Result<(), Error> {
        let Some(TensorSnapshot { group, state }) = saved else {
            return Err(Detail::Missing.into());
        };
        if *group != self.group {
            return Err(Detail::OtherGroup { found: *group, expected: self.group }.into());
        }
        self.state.check_same_shape(state)
    }
}

impl<A: Real> fmt::Debug for Optimizer<A> {
    /// Rules, names, shapes and step counts, but not the moments, which may be large.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Tensors<'a, A>(&'a [Entry<A>]);
        impl<A: Real> fmt::Debug for Tensors<'_, A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let tensors = self.0.iter().map(|Entry { name, group, state, .. }| {
                    (name, (("group", group), ("shape", state.shape()), ("steps", state.steps())))
                });
                f.debug_map().entries(tensors).finish()
            }
        }
        f.debug_struct("Optimizer")
            .field("groups", &self.groups)
            .field("tensors", &Tensors(&self.tensors))
            .field("lr_scale", &self.lr_scale)
            .field("max_norm", &self.max_norm)
            .finish_non_exhaustive()
    }
}

// Not derived, because that would ask the same of `D`.

impl<D> Clone for Slot<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Slot<D> {}

impl<D> PartialEq for Slot<D> {
    fn eq(&self, other: &Self) -> bool {
        (self.optimizer, self.index) == (other.optimizer, other.index)
    }
}

impl<D> Eq for Slot<D> {}

impl<D> core::hash::Hash for Slot<D> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (self.optimizer, self.index).hash(state);
    }
}

impl<D> fmt::Debug for Slot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("index", &self.index).finish_non_exhaustive()
    }
}
