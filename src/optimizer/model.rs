//! All tensors of a model: registered together, and bound to their gradients for one step.

use alloc::{string::String, vec::Vec};

use ndarray::IxDyn;

use super::{
    Optimizer,
    id::Id,
    lent::{BoundPair, Lent},
    slot::{Bound, Group, Slot},
};
use crate::{
    error::{Detail, Error},
    real::Real,
    state::State,
    tensors::{
        leaf::Leaf,
        outline::{Misfit, Outline, Whole},
        visit::Tensors,
    },
};

/// The keys of all tensors of a model in one [`Optimizer`]. Made by [`Optimizer::register_all`].
///
/// They belong to the tensors that the model had then. If it changes, [remove](Optimizer::remove) and
/// [register](Optimizer::register) the tensors that have changed; [`Optimizer::slots`] returns new keys.
/// Items are named by position: see [`Tensors`].
///
/// # Examples
/// ```
/// use adamax::{Adamax, ErrorKind, Optimizer};
/// use ndarray::Array1;
///
/// struct Model { layers: Vec<Array1<f64>>, scale: f64 }
/// adamax::tensors!(Model { layers, scale });
///
/// let mut model = Model { layers: vec![Array1::zeros(3), Array1::zeros(2)], scale: 1.0 };
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let slots = optimizer.register_all(&model)?;
///
/// // A layer that has come later has no state.
/// let gradients = Model { layers: vec![Array1::ones(3), Array1::ones(2)], scale: 0.5 };
/// model.layers.push(Array1::zeros(2));
/// let error = optimizer.step(&mut slots.bind(&mut model, &gradients)).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Model);
/// assert_eq!(error.to_string(), "tensor `layers.2`: in the model, but not registered");
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Slots {
    outline: Outline,
    slots: Vec<Slot<IxDyn>>,
}

impl Slots {
    /// Binds all tensors of a model to their gradients, for one step.
    ///
    /// The gradients are a model with the same fields and items in the same order: mostly a value of the
    /// same type. Another type will do, such as one without the fields that hold no tensors. Layouts are
    /// as in [`Slot::bind`].
    ///
    /// Each of both is compared with what was registered. If one of them has other tensors (another
    /// number of layers, a `None` in place of a `Some`), then the result is not the batch, but one
    /// element that makes the step an error ([`ErrorKind::Model`](crate::ErrorKind::Model)). So it is with
    /// each method of [`Optimizer`] that takes a batch. The error names the tensor.
    ///
    /// # Cost
    /// About 20 ns per tensor more than [`Slot::bind`], for the comparison: half of a step of one element,
    /// 1 % of one of 4096. For thousands of tensors of a few elements, binding by hand is faster.
    ///
    /// # Allocation
    /// The `Vec`, and what [`Slot::bind`] allocates. Names are not written.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array1, Array2};
    ///
    /// struct Model { weights: Array2<f64>, bias: Array1<f64>, name: String }
    /// struct Gradients { weights: Array2<f64>, bias: Array1<f64> }
    /// adamax::tensors!(Model { weights, bias, name: _ });
    /// adamax::tensors!(Gradients { weights, bias });
    ///
    /// let mut model =
    ///     Model { weights: Array2::ones((2, 3)), bias: Array1::zeros(2), name: "line".into() };
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slots = optimizer.register_all(&model)?;
    /// let gradients = Gradients { weights: Array2::ones((2, 3)), bias: Array1::ones(2) };
    /// optimizer.step(&mut slots.bind(&mut model, &gradients))?;
    /// assert!(model.weights[[0, 0]] < 1.0 && model.bias[0] < 0.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn bind<'a, A, T, G>(&self, model: &'a mut T, gradients: &'a G) -> Vec<Bound<'a, A>>
    where
        A: Real,
        T: Tensors<A> + ?Sized,
        G: Tensors<A> + ?Sized,
    {
        self.try_bind(model, gradients).unwrap_or_else(|misfit| Vec::from([Bound::misfit(misfit)]))
    }

    /// Binds those tensors of a model whose names are `chosen`, for one step. The others are frozen: they
    /// keep their values and states, and count in no norm. Otherwise like [`bind`](Slots::bind).
    ///
    /// The model and the gradients must be whole all the same.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array1, Array2};
    ///
    /// struct Model { body: Array2<f64>, head: Array1<f64> }
    /// adamax::tensors!(Model { body, head });
    ///
    /// let mut model = Model { body: Array2::ones((2, 2)), head: Array1::ones(2) };
    /// let gradients = Model { body: Array2::ones((2, 2)), head: Array1::ones(2) };
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slots = optimizer.register_all(&model)?;
    /// optimizer.step(&mut slots.bind_where(&mut model, &gradients, |name| name != "body"))?;
    /// assert!(model.body[[0, 0]] == 1.0 && model.head[0] < 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    #[doc(alias("requires_grad", "freeze", "unfreeze", "frozen"))]
    pub fn bind_where<'a, A, T, G>(
        &self,
        model: &'a mut T,
        gradients: &'a G,
        mut chosen: impl FnMut(&str) -> bool,
    ) -> Vec<Bound<'a, A>>
    where
        A: Real,
        T: Tensors<A> + ?Sized,
        G: Tensors<A> + ?Sized,
    {
        match self.try_bind(model, gradients) {
            Ok(batch) => {
                let named = self.names().zip(batch);
                named.filter_map(|(name, bound)| chosen(name).then_some(bound)).collect()
            }
            Err(misfit) => Vec::from([Bound::misfit(misfit)]),
        }
    }

    fn try_bind<'a, A, T, G>(
        &self,
        model: &'a mut T,
        gradients: &'a G,
    ) -> Result<Vec<Bound<'a, A>>, Misfit>
    where
        A: Real,
        T: Tensors<A> + ?Sized,
        G: Tensors<A> + ?Sized,
    {
        let mut batch = Vec::with_capacity(self.slots.len());
        let mut slots = self.slots.iter();
        let gradients = self.outline.follow(Whole::Gradients, gradients, |leaf| {
            if let Some(slot) = slots.next() {
                let (shape, gradient) = leaf.gradient();
                batch.push(slot.bound(Lent::Tensor(BoundPair::of_gradient(shape, gradient))));
            }
        });
        let mut bound = batch.iter_mut();
        let model = self.outline.follow_mut(Whole::Model, model, |leaf| {
            if let Some(Bound { lent: Lent::Tensor(pair), .. }) = bound.next() {
                let parameter = leaf.parameter(pair.shapes().1);
                pair.set_parameter(parameter);
            }
        });
        model.and(gradients).map(|()| batch)
    }

    /// Returns the names of the tensors, in the order of the model.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.outline.names().iter().map(String::as_str)
    }
}

/// Whole models.
impl<A: Real> Optimizer<A> {
    /// Returns the keys of a model whose tensors are all registered, by their names.
    ///
    /// For a model that changes during a run: [remove](Optimizer::remove) and
    /// [register](Optimizer::register) single tensors, by the names that [`Tensors`] gives them. Then the
    /// keys of before are out of date, and this returns new ones. The optimizer may have more tensors.
    ///
    /// # Errors
    /// The error names the tensor.
    /// - [`ErrorKind::Model`](crate::ErrorKind::Model) if a tensor of the model is not registered;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if it does not have the registered shape;
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if a name occurs twice in the model.
    ///
    /// # Allocation
    /// The names, and a list of keys.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array1, Array2, Ix1};
    ///
    /// struct Model { body: Array2<f64>, head: Array1<f64> }
    /// adamax::tensors!(Model { body, head });
    ///
    /// let mut model = Model { body: Array2::ones((2, 2)), head: Array1::zeros(10) };
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// optimizer.register_all(&model)?;
    ///
    /// // A head of another length.
    /// model.head = Array1::zeros(3);
    /// optimizer.remove(optimizer.slot::<Ix1>("head").expect("registered above"))?;
    /// optimizer.register("head", &model.head)?;
    /// let slots = optimizer.slots(&model)?;
    ///
    /// let gradients = Model { body: Array2::ones((2, 2)), head: Array1::ones(3) };
    /// optimizer.step(&mut slots.bind(&mut model, &gradients))?;
    /// assert!(model.head[0] < 0.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn slots<T: Tensors<A> + ?Sized>(&self, model: &T) -> Result<Slots, Error> {
        let (outline, leaves) = Outline::of(model)?;
        let find = |name, leaf: &dyn Leaf<A>| {
            let slot = self
                .tensors
                .slot::<IxDyn>(name)
                .ok_or(Detail::Surplus { made: "registered", place: "the model" })?;
            let state = self.tensors.get(slot).map(|tensor| &tensor.state);
            state.map_or(Ok(()), |state| state.check_shape(leaf.shape()))?;
            Ok(slot)
        };
        let slots = outline.names().iter().zip(leaves).map(|(name, leaf)| {
            find(name.as_str(), leaf).map_err(|error: Error| error.in_registered(name))
        });
        let slots = slots.collect::<Result<_, _>>()?;
        Ok(Slots { outline, slots })
    }

    /// Registers all tensors of a model in the default group, or none.
    ///
    /// Their names are those of the fields: see [`Tensors`]. Otherwise like
    /// [`register`](Optimizer::register).
    ///
    /// Two models in one optimizer are a model of models: a struct with a field for each, which may be
    /// `&mut`. So their names differ.
    ///
    /// # Errors
    /// After an error nothing has changed, and all names are free. The error names the tensor.
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if a name is taken, or occurs twice in the model;
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for the moments.
    ///
    /// # Allocation
    /// As [`register`](Optimizer::register) for each tensor, and the names once more.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer};
    /// use ndarray::{Array1, Array2};
    ///
    /// struct Model { weights: Array2<f64>, bias: Array1<f64> }
    /// adamax::tensors!(Model { weights, bias });
    ///
    /// let mut model = Model { weights: Array2::ones((2, 3)), bias: Array1::zeros(2) };
    /// let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.1).build()?);
    /// let slots = optimizer.register_all(&model)?;
    /// for _ in 0..100 {
    ///     let gradients = Model { weights: &model.weights * 2.0, bias: &model.bias - 1.0 };
    ///     optimizer.step(&mut slots.bind(&mut model, &gradients))?;
    /// }
    /// assert!(model.weights.iter().all(|x| x.abs() < 0.1));
    /// assert!(model.bias.iter().all(|x| (x - 1.0).abs() < 0.1));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn register_all<T: Tensors<A> + ?Sized>(&mut self, model: &T) -> Result<Slots, Error> {
        let group = self.default_group();
        self.register_all_in(model, |_| group)
    }

    /// Registers all tensors of a model, or none, each in the group that `group` returns for its name.
    /// Otherwise like [`register_all`](Optimizer::register_all).
    ///
    /// # Errors
    /// As [`register_all`](Optimizer::register_all), and
    /// [`ErrorKind::Foreign`](crate::ErrorKind::Foreign) if a group belongs to another optimizer.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Optimizer, WeightDecay};
    /// # use ndarray::Array1;
    /// # struct Layer { weights: Array1<f64>, bias: Array1<f64> }
    /// # struct Model { layers: Vec<Layer> }
    /// # adamax::tensors!(Layer { weights, bias });
    /// # adamax::tensors!(Model { layers });
    /// # let layer = |_| Layer { weights: Array1::ones(2), bias: Array1::ones(1) };
    /// # let mut model = Model { layers: (0..2).map(layer).collect() };
    /// # let gradients = Model { layers: (0..2).map(layer).collect() };
    /// let decayed = Adamax::builder().weight_decay(WeightDecay::Decoupled(0.01)).build()?;
    /// let mut optimizer = Optimizer::new(decayed);
    /// let plain = optimizer.add_group(Adamax::default());
    /// let default = optimizer.default_group();
    /// let slots = optimizer.register_all_in(&model, |name| {
    ///     if name.ends_with(".bias") { plain } else { default }
    /// })?;
    /// optimizer.step(&mut slots.bind(&mut model, &gradients))?;
    /// let Layer { weights, bias } = &model.layers[0];
    /// assert!(weights[0] < bias[0]);                        // biases do not decay
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn register_all_in<T: Tensors<A> + ?Sized>(
        &mut self,
        model: &T,
        mut group: impl FnMut(&str) -> Group,
    ) -> Result<Slots, Error> {
        let (outline, leaves) = Outline::of(model)?;
        let prepare = |(name, leaf): (_, &dyn Leaf<A>)| {
            let name: &String = name;
            let mut prepare = || {
                let group = self.group_index(group(name))?;
                self.check_name(name)?;
                Ok((Id::new()?, group, State::try_zeros_like(&leaf.values())?))
            };
            prepare().map_err(|error: Error| error.in_tensor(name))
        };
        let states: Vec<_> =
            outline.names().iter().zip(leaves).map(prepare).collect::<Result<_, _>>()?;
        let slots = outline
            .names()
            .iter()
            .zip(states)
            .map(|(name, (id, group, state))| {
                self.tensors.insert(id, name, group, state, self.batches)
            })
            .collect();
        Ok(Slots { outline, slots })
    }
}
