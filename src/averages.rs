//! Moving averages of all tensors of a model.

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::{
    average::Average,
    error::Error,
    real::Real,
    tensors::{
        leaf::Leaf,
        outline::{Outline, Whole},
        visit::Tensors,
    },
};

/// The [`Average`]s of all tensors of a model.
///
/// Formula, precision and memory order are those of one average, for each tensor. All calls take all
/// tensors or none. Only a [`visit`](Tensors::visit) of your own that panics half-way leaves a part done.
///
/// # Examples
/// ```
/// use adamax::{Adamax, Averages, Optimizer};
/// use ndarray::{Array1, Array2};
///
/// #[derive(Clone)]
/// struct Model { weights: Array2<f64>, bias: Array1<f64> }
/// adamax::tensors!(Model { weights, bias });
///
/// let mut model = Model { weights: Array2::ones((2, 3)), bias: Array1::zeros(2) };
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let slots = optimizer.register_all(&model)?;
/// let mut averages = Averages::new(0.99, &model)?;
/// for _ in 0..100 {
///     let gradients = Model { weights: &model.weights * 2.0, bias: &model.bias - 1.0 };
///     optimizer.step(&mut slots.bind(&mut model, &gradients))?;
///     averages.update(&model)?;
/// }
/// let mut averaged = model.clone();
/// averages.assign_to(&mut averaged)?;
/// assert!(averaged.bias[0] < model.bias[0]);              // the averages follow with a delay
/// assert_eq!(averages.get("bias").unwrap().updates(), 100);
/// # Ok::<(), adamax::Error>(())
/// ```
/// `A` is the type of the model's elements, `M` that of the averages, as in [`Average`].
#[derive(Clone, PartialEq)]
pub struct Averages<A = f64, M = A> {
    outline: Outline,
    averages: Vec<Average<A, M>>,
}

impl<A: Real> Averages<A> {
    /// Makes averages over about 1/(1 − `decay`) updates of all tensors of a model, whose values are not
    /// read.
    ///
    /// # Errors
    /// As [`Average::new`], and [`ErrorKind::Name`](crate::ErrorKind::Name) if a name occurs twice in the
    /// model. The error names the tensor, if one is at fault.
    ///
    /// # Allocation
    /// An array and the name for each tensor.
    pub fn new<T: Tensors<A> + ?Sized>(decay: f64, model: &T) -> Result<Self, Error> {
        Self::made(model, |name, leaf| {
            Average::new(decay, &leaf.values()).map_err(|error| error.in_tensor(name))
        })
    }

    /// Makes averages in which all updates have the same weight, of all tensors of a model, whose values
    /// are not read.
    ///
    /// # Errors
    /// As [`Average::equal`], and [`ErrorKind::Name`](crate::ErrorKind::Name) if a name occurs twice in the
    /// model. The error names the tensor.
    ///
    /// # Allocation
    /// An array and the name for each tensor.
    ///
    /// # Examples
    /// ```
    /// # use adamax::Averages;
    /// # use ndarray::array;
    /// let mut layers = vec![array![0.0], array![0.0, 0.0]];
    /// let mut averages = Averages::equal(&layers)?;
    /// for value in [1.0, 2.0, 3.0, 4.0] {
    ///     layers.iter_mut().for_each(|layer| layer.fill(value));
    ///     averages.update(&layers)?;
    /// }
    /// averages.assign_to(&mut layers)?;
    /// assert_eq!(layers, [array![2.5], array![2.5, 2.5]]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn equal<T: Tensors<A> + ?Sized>(model: &T) -> Result<Self, Error> {
        Self::made(model, |name, leaf| {
            Average::equal(&leaf.values()).map_err(|error| error.in_tensor(name))
        })
    }
}

impl<A: Real + Into<M>, M: Real> Averages<A, M> {
    /// Makes an average of each tensor of a model, in the way of `make`, which gets its name and names it
    /// in errors.
    pub(crate) fn made<'a, T: Tensors<A> + ?Sized>(
        model: &'a T,
        make: impl Fn(&str, &'a dyn Leaf<A>) -> Result<Average<A, M>, Error>,
    ) -> Result<Self, Error> {
        let (outline, leaves) = Outline::of(model)?;
        let made = outline.names().iter().zip(leaves).map(|(name, leaf)| make(name, leaf));
        let averages = made.collect::<Result<_, _>>()?;
        Ok(Averages { outline, averages })
    }

    /// Returns the same averages in `f64`, as [`Average::in_f64`] does.
    ///
    /// # Allocation
    /// One array for each tensor.
    #[must_use]
    pub fn in_f64(self) -> Averages<A, f64> {
        let Averages { outline, averages } = self;
        Averages { outline, averages: averages.into_iter().map(Average::in_f64).collect() }
    }

    /// Adds the current values of a model to its averages.
    ///
    /// # Errors
    /// All averages are unchanged then. The error names the tensor.
    /// - [`ErrorKind::Model`](crate::ErrorKind::Model) if the model has other tensors than the averages
    ///   were made for;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if a tensor has another shape.
    ///
    /// # Allocation
    /// None, for at most 4 axes.
    pub fn update<T: Tensors<A> + ?Sized>(&mut self, model: &T) -> Result<(), Error> {
        self.check(model, |average, leaf| average.check(leaf.shape()))?;
        let (mut averages, mut result) = (self.averages.iter_mut(), Ok(()));
        self.outline.follow(Whole::Averaged, model, |leaf| {
            if let Some(average) = averages.next() {
                keep_first(&mut result, || average.update(&leaf.values()));
            }
        })?;
        result
    }

    /// Copies the averages into a model, rounded to its precision.
    ///
    /// # Errors
    /// The model is unchanged then. The error names the tensor.
    /// - [`ErrorKind::Model`](crate::ErrorKind::Model) if the model has other tensors than the averages
    ///   were made for;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if a tensor has another shape;
    /// - [`ErrorKind::StepCount`](crate::ErrorKind::StepCount) if there has been no update.
    ///
    /// # Allocation
    /// None, for at most 4 axes.
    pub fn assign_to<T: Tensors<A> + ?Sized>(&self, model: &mut T) -> Result<(), Error> {
        self.check(model, |average, leaf| average.check_assign(leaf.shape()))?;
        let (mut averages, mut result) = (self.averages.iter(), Ok(()));
        self.outline.write(Whole::Averaged, model, |leaf| {
            if let Some(average) = averages.next() {
                keep_first(&mut result, || average.assign_to(&mut leaf.values_mut()));
            }
        })?;
        result
    }

    /// Returns the average of the tensor with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Average<A, M>> {
        self.iter().find(|(found, _)| *found == name).map(|(_, average)| average)
    }

    /// Returns all averages with the names of their tensors, in the order of the model.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Average<A, M>)> {
        self.outline.names().iter().map(String::as_str).zip(&self.averages)
    }

    /// Checks all tensors of a model, before any is written.
    fn check<T: Tensors<A> + ?Sized>(
        &self,
        model: &T,
        check: impl Fn(&Average<A, M>, &dyn Leaf<A>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut averages, mut result) = (self.iter(), Ok(()));
        self.outline.follow(Whole::Averaged, model, |leaf| {
            if let Some((name, average)) = averages.next() {
                keep_first(&mut result, || {
                    check(average, leaf).map_err(|error| error.in_tensor(name))
                });
            }
        })?;
        result
    }
}

/// Calls `next` unless there has been an error.
fn keep_first(result: &mut Result<(), Error>, next: impl FnOnce() -> Result<(), Error>) {
    if result.is_ok() {
        *result = next();
    }
}

impl<A: Real + Into<M>, M: Real> fmt::Debug for Averages<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
