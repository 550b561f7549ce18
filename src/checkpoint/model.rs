//! Whole models and their averages in a file.

use alloc::{format, string::String, vec::Vec};

use ndarray::{Array, IxDyn};

use super::{Checkpoint, SavedAverage, Tensor, check_saved_shape};
use crate::{
    average::Average,
    averages::Averages,
    error::{Detail, Error},
    real::Real,
    tensors::{
        outline::{Outline, Whole},
        visit::Tensors,
    },
};

fn under(prefix: &str, name: &str) -> String {
    format!("{prefix}.{name}")
}

/// Whole models.
impl<A: Real> Checkpoint<A> {
    /// Adds a copy of each tensor of a model, under the names of its fields: see [`Tensors`].
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if a name is taken, or occurs twice in the model. The
    /// checkpoint has not changed then.
    ///
    /// # Allocation
    /// The copies, and the names.
    ///
    /// # Examples
    /// A run of a model with averages, saved and resumed:
    /// ```
    /// use adamax::{Adamax, Averages, Checkpoint, Error, Optimizer, Slots};
    /// use ndarray::{Array1, Array2};
    /// use std::path::Path;
    ///
    /// #[derive(Clone, Debug, PartialEq)]
    /// struct Model { weights: Array2<f64>, bias: Array1<f64> }
    /// adamax::tensors!(Model { weights, bias });
    ///
    /// struct Run { model: Model, optimizer: Optimizer, slots: Slots, averages: Averages }
    ///
    /// impl Run {
    ///     fn start() -> Result<Run, Error> {
    ///         let model = Model { weights: Array2::ones((2, 3)), bias: Array1::zeros(2) };
    ///         let mut optimizer = Optimizer::new(Adamax::default());
    ///         let slots = optimizer.register_all(&model)?;
    ///         Ok(Run { averages: Averages::new(0.9, &model)?, model, optimizer, slots })
    ///     }
    ///
    ///     fn step(&mut self) -> Result<(), Error> {
    ///         let Run { model, optimizer, slots, averages } = self;
    ///         let gradients = model.clone();                  // of ½·Σ x²
    ///         optimizer.step(&mut slots.bind(model, &gradients))?;
    ///         averages.update(model)
    ///     }
    ///
    ///     fn save(&self, path: &Path) -> Result<(), Error> {
    ///         Checkpoint::new(self.optimizer.snapshot())
    ///             .add_parameters(&self.model)?
    ///             .add_averages(&self.averages)?
    ///             .save(path)
    ///     }
    ///
    ///     fn resume(path: &Path) -> Result<Run, Error> {
    ///         let saved = Checkpoint::load(path)?;
    ///         let mut run = Run::start()?;
    ///         saved.assign_parameters(&mut run.model)?;
    ///         run.optimizer.restore(saved.snapshot())?;
    ///         run.averages = saved.averages(&run.model)?;
    ///         Ok(run)
    ///     }
    /// }
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("run.safetensors");
    /// let mut run = Run::start()?;
    /// run.step()?;
    /// run.save(&path)?;
    /// run.step()?;
    ///
    /// let mut resumed = Run::resume(&path)?;
    /// resumed.step()?;
    /// assert_eq!(resumed.model, run.model);                   // bit for bit
    /// assert_eq!(resumed.averages, run.averages);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_parameters<B: Real, T: Tensors<B> + ?Sized>(
        &mut self,
        model: &T,
    ) -> Result<&mut Self, Error> {
        self.add_named(model, String::clone)
    }

    /// Adds a copy of each tensor of a further model, such as the best one so far. Its names begin with
    /// `prefix` and a dot. Otherwise like [`add_parameters`](Checkpoint::add_parameters).
    ///
    /// # Errors
    /// As [`add_parameters`](Checkpoint::add_parameters).
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, Optimizer};
    /// # use ndarray::{Array1, array};
    /// # struct Model { bias: Array1<f64> }
    /// # adamax::tensors!(Model { bias });
    /// # let (mut model, mut best) = (Model { bias: array![2.0] }, Model { bias: array![1.0] });
    /// # let optimizer = Optimizer::<f64>::new(Adamax::default());
    /// let mut checkpoint = Checkpoint::new(optimizer.snapshot());
    /// checkpoint.add_parameters(&model)?.add_parameters_under("best", &best)?;
    /// assert_eq!(checkpoint.parameter::<f64, _>("best.bias")?, array![1.0]);
    ///
    /// checkpoint.assign_parameters(&mut model)?;
    /// checkpoint.assign_parameters_under("best", &mut best)?;
    /// # assert_eq!((model.bias[0], best.bias[0]), (2.0, 1.0));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn add_parameters_under<B: Real, T: Tensors<B> + ?Sized>(
        &mut self,
        prefix: &str,
        model: &T,
    ) -> Result<&mut Self, Error> {
        self.add_named(model, |name| under(prefix, name))
    }

    fn add_named<B: Real, T: Tensors<B> + ?Sized>(
        &mut self,
        model: &T,
        rename: impl Fn(&String) -> String,
    ) -> Result<&mut Self, Error> {
        let (outline, leaves) = Outline::of(model)?;
        let names: Vec<_> = outline.names().iter().map(rename).collect();
        let taken = names.iter().find(|name| self.parameters.contains_key(*name));
        if let Some(name) = taken {
            return Err(Error::from(Detail::NameTaken).in_tensor(name));
        }
        let tensors = leaves.into_iter().map(|leaf| Tensor::of(&leaf.values()));
        self.parameters.extend(names.into_iter().zip(tensors));
        Ok(self)
    }

    /// Copies all parameters of a model from the checkpoint, or none. The tensors keep their memory order.
    ///
    /// The checkpoint may have other parameters too.
    ///
    /// # Errors
    /// The model has not changed then.
    /// - As [`assign_parameter`](Checkpoint::assign_parameter), where a tensor with another number of axes
    ///   is an [`ErrorKind::Shape`](crate::ErrorKind::Shape) too;
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if a name occurs twice in the model;
    /// - [`ErrorKind::Model`](crate::ErrorKind::Model) if its `visit_mut` does not show the tensors that
    ///   its `visit` shows.
    ///
    /// # Allocation
    /// A copy of all parameters for a moment, and the names.
    pub fn assign_parameters<B: Real, T: Tensors<B> + ?Sized>(
        &self,
        model: &mut T,
    ) -> Result<(), Error> {
        self.assign_named(model, String::clone)
    }

    /// Copies all parameters of a model from those that begin with `prefix` and a dot, or none. Otherwise
    /// like [`assign_parameters`](Checkpoint::assign_parameters).
    ///
    /// # Errors
    /// As [`assign_parameters`](Checkpoint::assign_parameters).
    ///
    /// # Examples
    /// See [`add_parameters_under`](Checkpoint::add_parameters_under).
    pub fn assign_parameters_under<B: Real, T: Tensors<B> + ?Sized>(
        &self,
        prefix: &str,
        model: &mut T,
    ) -> Result<(), Error> {
        self.assign_named(model, |name| under(prefix, name))
    }

    fn assign_named<B: Real, T: Tensors<B> + ?Sized>(
        &self,
        model: &mut T,
        rename: impl Fn(&String) -> String,
    ) -> Result<(), Error> {
        let (outline, leaves) = Outline::of(model)?;
        let names: Vec<_> = outline.names().iter().map(rename).collect();
        let read = names.iter().zip(leaves).map(|(name, leaf)| {
            let saved: Array<B, IxDyn> = self.parameter(name)?;
            check_saved_shape(name, saved.shape(), leaf.shape())?;
            Ok(saved)
        });
        let saved: Vec<_> = read.collect::<Result<_, Error>>()?;
        let mut saved = names.iter().zip(&saved);
        let mut result = Ok(());
        outline.write(Whole::Written, model, |leaf| {
            if let (Ok(()), Some((name, saved))) = (&result, saved.next()) {
                // They can differ only if the model shows other tensors now than it has shown before.
                result = check_saved_shape(name, saved.shape(), leaf.shape());
                if result.is_ok() {
                    leaf.values_mut().assign(saved);
                }
            }
        })?;
        result
    }

    /// Adds a copy of all averages of a model, under the names of its tensors.
    ///
    /// # Errors
    /// As [`add_average`](Checkpoint::add_average). The checkpoint has not changed then.
    ///
    /// # Allocation
    /// The copies, and the names.
    pub fn add_averages<B: Real + Into<M>, M: Real>(
        &mut self,
        averages: &Averages<B, M>,
    ) -> Result<&mut Self, Error> {
        let mut added = Vec::new();
        for (name, average) in averages.iter() {
            if self.averages.contains_key(name) {
                return Err(Error::from(Detail::NameTaken).in_tensor(name));
            }
            let saved = SavedAverage::of(average).map_err(|error| error.in_tensor(name))?;
            added.push((name.into(), saved));
        }
        self.averages.extend(added);
        Ok(self)
    }

    /// Returns the averages of all tensors of a model, in the memory order of its tensors, whose values
    /// are not read.
    ///
    /// # Errors
    /// As [`average`](Checkpoint::average), and [`ErrorKind::Name`](crate::ErrorKind::Name) if a name occurs
    /// twice in the model.
    ///
    /// # Allocation
    /// The averages, and one array more for a moment.
    pub fn averages<B: Real + Into<M>, M: Real, T: Tensors<B> + ?Sized>(
        &self,
        model: &T,
    ) -> Result<Averages<B, M>, Error> {
        Averages::made(model, |name, leaf| -> Result<Average<B, M>, Error> {
            self.average(name, &leaf.values())
        })
    }
}
