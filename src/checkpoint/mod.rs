//! State files: saving and resuming a run.

mod access;
mod average;
mod entry_names;
mod error;
mod header;
mod model;
mod read;
mod record;
mod regular;
mod replace;
mod summing;
mod temporary;
mod tensor;
mod unique;
mod write;

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, btree_map::Entry},
    string::String,
    vec::Vec,
};
use std::path::Path;

use ndarray::{Array, ArrayRef, Dimension};
use serde::{Serialize, de::DeserializeOwned};

use self::{
    average::SavedAverage,
    error::{EntryFault, FileError, Part},
    replace::Previous,
    tensor::Tensor,
    write::Writable,
};
use crate::{
    average::Average,
    error::{Detail, Error, same},
    optimizer::snapshot::Snapshot,
    real::Real,
};

/// The content of a state file: everything that a run needs to continue.
///
/// | content | put in by | taken out by |
/// |---|---|---|
/// | the optimizer: rules, moments, step counts | [`new`](Checkpoint::new) | [`snapshot`](Checkpoint::snapshot) |
/// | a whole model, and its averages | [`add_parameters`](Checkpoint::add_parameters), [`add_averages`](Checkpoint::add_averages) | [`assign_parameters`](Checkpoint::assign_parameters), [`averages`](Checkpoint::averages) |
/// | single parameters, and any other arrays | [`add_parameter`](Checkpoint::add_parameter) | [`assign_parameter`](Checkpoint::assign_parameter), [`parameter`](Checkpoint::parameter) |
/// | averages of single parameters | [`add_average`](Checkpoint::add_average) | [`average`](Checkpoint::average) |
/// | the step number, a [`Schedule`](crate::schedule::Schedule), a [`ReduceOnPlateau`](crate::schedule::ReduceOnPlateau), a type of your own | [`add_value`](Checkpoint::add_value) | [`value`](Checkpoint::value) |
/// | text | [`add_note`](Checkpoint::add_note) | [`note`](Checkpoint::note) |
///
/// All of it is in one file, so that it always belongs to the same step. All numbers keep
/// their exact bits: a run that is killed and resumed, however often, ends with the bits of one that
/// was never interrupted.
///
/// # Examples
/// A whole run. It is saved after 60 steps, and another process goes on from the file alone.
/// ```
/// use adamax::{Adamax, Average, Checkpoint, Error, Optimizer, Slot};
/// use adamax::schedule::{ReduceOnPlateau, Schedule};
/// use ndarray::{Array1, Ix1, array};
/// use std::path::Path;
///
/// struct Run {
///     x: Array1<f64>,
///     optimizer: Optimizer,
///     slot: Slot<Ix1>,
///     average: Average,
///     schedule: Schedule,
///     plateau: ReduceOnPlateau,
///     step: u64,
/// }
///
/// impl Run {
///     fn start() -> Result<Run, Error> {
///         let x = array![1.0, -3.0];
///         let mut optimizer = Optimizer::new(Adamax::builder().learning_rate(0.1).build()?);
///         Ok(Run {
///             slot: optimizer.register("x", &x)?,
///             optimizer,
///             average: Average::new(0.9, &x)?,
///             schedule: Schedule::cosine(100, 0.1)?.warm_up(10, 0.1)?,
///             plateau: ReduceOnPlateau::builder().patience(3).build()?,
///             step: 0,
///             x,
///         })
///     }
///
///     fn advance_to(&mut self, end: u64) -> Result<(), Error> {
///         while self.step < end {
///             let loss = self.x.pow2().sum();
///             let scale = self.schedule.scale(self.step) * self.plateau.observe(loss);
///             self.optimizer.set_lr_scale(scale)?;
///             let gradient = &self.x * 2.0;
///             self.optimizer.step(&mut [self.slot.bind(&mut self.x, &gradient)])?;
///             self.average.update(&self.x)?;
///             self.step += 1;
///         }
///         Ok(())
///     }
///
///     fn save(&self, path: &Path) -> Result<(), Error> {
///         Checkpoint::new(self.optimizer.snapshot())
///             .add_parameter("x", &self.x)?
///             .add_average("x", &self.average)?
///             .add_value("schedule", &self.schedule)?
///             .add_value("plateau", &self.plateau)?
///             .add_value("step", &self.step)?
///             .save(path)
///     }
///
///     /// Registers as `start` does, and then takes everything from the file.
///     fn resume(path: &Path) -> Result<Run, Error> {
///         let saved = Checkpoint::load(path)?;
///         let mut run = Run::start()?;
///         saved.assign_parameter("x", &mut run.x)?;
///         run.optimizer.restore(saved.snapshot())?;
///         run.average = saved.average("x", &run.x)?;
///         run.schedule = saved.value("schedule")?;
///         run.plateau = saved.value("plateau")?;
///         run.step = saved.value("step")?;
///         Ok(run)
///     }
/// }
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("run.safetensors");
/// let mut first = Run::start()?;
/// first.advance_to(60)?;
/// first.save(&path)?;
///
/// let mut resumed = Run::resume(&path)?;
/// resumed.advance_to(100)?;
///
/// first.advance_to(100)?;                                  // as if it had not been interrupted
/// assert_eq!(resumed.x, first.x);                          // bit for bit
/// assert_eq!(resumed.average, first.average);
/// assert_eq!(resumed.optimizer.snapshot(), first.optimizer.snapshot());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// A run of fewer parts needs fewer lines:
/// ```
/// use adamax::{Adamax, Checkpoint, Optimizer};
/// use ndarray::array;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("run.safetensors");
///
/// let mut weights = array![[1.0, -2.0], [0.5, 0.0]];
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let slot = optimizer.register("weights", &weights)?;
/// optimizer.step(&mut [slot.bind(&mut weights, &array![[0.3, 0.1], [-0.2, 0.7]])])?;
/// Checkpoint::new(optimizer.snapshot())
///     .add_parameter("weights", &weights)?
///     .add_value("epoch", &1)?
///     .save(&path)?;
///
/// // Another process: build and register as before, then restore.
/// let mut resumed_weights = array![[0.0, 0.0], [0.0, 0.0]];
/// let mut resumed = Optimizer::new(Adamax::default());
/// let slot = resumed.register("weights", &resumed_weights)?;
/// let checkpoint = Checkpoint::load(&path)?;
/// checkpoint.assign_parameter("weights", &mut resumed_weights)?;
/// resumed.restore(checkpoint.snapshot())?;
/// assert_eq!(resumed_weights, weights);
/// assert_eq!(resumed.state(slot).unwrap().steps(), 1);
/// assert_eq!(checkpoint.value::<u32>("epoch")?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Crash safety
/// [`save`](Checkpoint::save) writes to a temporary file in the same folder, syncs it to the disk,
/// renames it and syncs the folder. If the process is killed or the disk is full, `path` is either the
/// whole old file or the whole new one.
///
/// | | Linux, macOS, other Unix | Windows |
/// |---|---|---|
/// | killed process, full disk | old file or new file | the same, if the file system renames atomically (NTFS does) |
/// | power failure | the new file once `save` has returned, if the disk keeps what it has acknowledged | old file or new file: the folder cannot be synced |
///
/// [`save_keeping_previous`](Checkpoint::save_keeping_previous) also keeps the old file, under its
/// name with `.prev` appended. If `path` or `.prev` is a whole file before, one of them is a whole file
/// at every moment. A program that wants to fall back on `.prev` does so itself:
/// ```
/// # use adamax::{Adamax, Checkpoint, Optimizer};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.safetensors");
/// # let path = path.to_str().unwrap();
/// # let checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
/// # checkpoint.save_keeping_previous(path)?;
/// # checkpoint.save_keeping_previous(path)?;
/// # std::fs::write(path, "spoilt")?;
/// let checkpoint = Checkpoint::<f64>::load(path).or_else(|error| {
///     eprintln!("{error}; going back to the previous generation");
///     Checkpoint::load(format!("{path}.prev"))
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Paths
/// - A symbolic link is followed: the file that it leads to is replaced, and the link stays.
/// - A folder, a FIFO, a device or a socket is refused. It is neither replaced nor waited for.
/// - On Unix, the new file gets the permission bits of the old one, and its owner and group if the
///   system allows that. Otherwise it has fewer permissions, never more. A file that is new has the
///   permissions of any new file.
/// - A killed writer leaves a temporary file, `.run.safetensors.XXXXXX.tmp` with six random letters.
///   Each process looks for such files when it first writes to a folder, and removes them when it
///   saves to the path that they belong to. If that fails, they stay.
/// - Several processes may save to one path. The last one wins. Each file is whole, but `.prev` may be
///   any generation before.
///
/// # Format
/// A [safetensors](https://huggingface.co/docs/safetensors) file, which Python reads with the
/// package of that name. Its arrays, for a tensor, parameter or average called `NAME`:
///
/// | entry | type | |
/// |---|---|---|
/// | `first_moment/NAME` | `F64` or `F32` | m, of the shape of the parameter |
/// | `inf_norm/NAME` | the same | u, of the same shape, ≥ 0 |
/// | `row_steps/NAME` | `U64`, one axis | t of each row, only of a table whose rows have their own [counters](crate::State::row_steps) |
/// | `parameter/NAME` | `F64` or `F32` | a parameter, of any shape; NaN is allowed here; other types are kept, but not decoded |
/// | `average/NAME` | `F64` or `F32` | the mean of an average, finite |
/// | `checksum` | `U32`, no axes | the last 4 bytes of the file: CRC-32 (that of zlib) of all bytes before; optional |
///
/// The metadata hold the notes, and everything else as JSON under the key `adamax`. A value is a note
/// whose text is JSON.
/// ```text
/// {"version": 1,
///  "groups": [{"learning_rate": 0.002, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
///              "epsilon_placement": "Outside", "bias_correction": "On", "weight_decay": {"L2": 0.01},
///              "clip_value": null, "lower_bound": 0.0, "upper_bound": null, "objective": "Minimize",
///              "non_finite": "Error"}],
///  "tensors": {"NAME": {"group": 0, "steps": 1000}},
///  "lr_scale": 1.0,
///  "max_norm": {"Global": 1.0}}
/// ```
/// A file with averages has version 2, and in addition
/// ```text
///  "averages": {"NAME": {"decay": 0.999, "updates": 1000}}
/// ```
/// A file with a table whose rows have their own counters has version 3. Its record names no `steps` of the
/// table, `"NAME": {"group": 0}`, because they are in the entry `row_steps/NAME`.
///
/// Names and values are those of [`Adamax`](crate::Adamax) and [`MaxNorm`](crate::MaxNorm); `null`
/// means no bound: ∞, or −∞ below. The decay of an equal average is 1. Numbers are written with all digits
/// that their exact value needs. The same
/// checkpoint always gives the same bytes.
///
/// Later releases read the files of earlier ones. A file may leave out `lr_scale`, `max_norm` and any
/// setting of a group: [`Optimizer::restore`](crate::Optimizer::restore) then keeps the optimizer's
/// own. This crate writes them all. An unknown setting is an error that names it, and so is a later
/// [`VERSION`](Checkpoint::VERSION). A file is written as the lowest version that can hold it. So a release
/// that knows no averages or no rows reads the files that have none.
///
/// # In Python
/// With the `safetensors` package and NumPy alone:
/// ```python
#[doc = include_str!("../../tests/state_files/read_state.py")]
/// ```
///
/// # Exchange with PyTorch
/// A run can start in PyTorch and go on here, or the other way round:
/// [`pytorch`](crate::pytorch) has a Python file for it, and says what is carried over.
///
/// # Damaged and hostile files
/// Reading checks everything: the type, shape and position of every entry, the range of every number,
/// and the checksum. Unknown entries and unused bytes are errors. Sizes in the header are compared
/// with the length of the file before memory is allocated. Errors name the entry, and its file. The
/// checksum detects accidents, not forgeries.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<A = f64> {
    snapshot: Snapshot<A>,
    parameters: BTreeMap<String, Tensor>,
    averages: BTreeMap<String, SavedAverage>,
    notes: BTreeMap<String, String>,
}

/// Construction.
impl<A: Real> Checkpoint<A> {
    /// The newest version of the format of state files that this release reads.
    ///
    /// A file has the lowest version that can hold its content: 3 with a table whose rows have their own
    /// [counters](crate::State::row_steps), 2 with averages, else 1. The number changes independently of
    /// [`Snapshot::VERSION`].
    pub const VERSION: u32 = 3;

    /// Creates a checkpoint of this snapshot, without parameters, averages and notes.
    #[must_use]
    #[doc(alias("state_dict"))]
    pub fn new(snapshot: Snapshot<A>) -> Self {
        Checkpoint {
            snapshot,
            parameters: BTreeMap::new(),
            averages: BTreeMap::new(),
            notes: BTreeMap::new(),
        }
    }

    /// Adds a copy of `param`, an array of either precision, any shape and any memory order.
    ///
    /// The name need not be that of a tensor in the snapshot: any array can be saved, such as the mean
    /// of the data.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is taken.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, ErrorKind, Optimizer};
    /// # use ndarray::array;
    /// # let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    /// checkpoint.add_parameter("weights", &array![[1.0, 2.0]])?.add_parameter("bias", &array![0.5])?;
    /// assert!(checkpoint.parameter_names().eq(["bias", "weights"]));
    /// let error = checkpoint.add_parameter("bias", &array![0.5]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Name);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn add_parameter<B: Real, D: Dimension>(
        &mut self,
        name: &str,
        param: &ArrayRef<B, D>,
    ) -> Result<&mut Self, Error> {
        match self.parameters.entry(name.to_owned()) {
            Entry::Vacant(place) => place.insert(Tensor::of(param)),
            Entry::Occupied(_) => return Err(Error::from(Detail::NameTaken).in_tensor(name)),
        };
        Ok(self)
    }

    /// Adds a copy of an average, of either precision, with its decay and its number of updates.
    ///
    /// The name may be that of the parameter: averages have names of their own.
    ///
    /// # Errors
    /// The checkpoint has not changed then.
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if another average has this name;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if the average holds NaN or an infinity,
    ///   which could not be read back.
    ///
    /// # Allocation
    /// The copy, and the name.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Average, Checkpoint, ErrorKind, Optimizer};
    /// # use ndarray::array;
    /// # let mut checkpoint = Checkpoint::new(Optimizer::<f32>::new(Adamax::default()).snapshot());
    /// let weights = array![[1.0_f32, 2.0]];
    /// let average = Average::new(0.999, &weights)?.in_f64();
    /// checkpoint.add_parameter("weights", &weights)?.add_average("weights", &average)?;
    /// let error = checkpoint.add_average("weights", &average).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Name);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn add_average<B: Real + Into<M>, M: Real>(
        &mut self,
        name: &str,
        average: &Average<B, M>,
    ) -> Result<&mut Self, Error> {
        if self.averages.contains_key(name) {
            return Err(Error::from(Detail::NameTaken).in_tensor(name));
        }
        let saved = SavedAverage::of(average).map_err(|error| error.in_tensor(name))?;
        self.averages.insert(name.to_owned(), saved);
        Ok(self)
    }

    /// Adds a value of any type that serde can write and read: a step number, a
    /// [`Schedule`](crate::schedule::Schedule), a
    /// [`ReduceOnPlateau`](crate::schedule::ReduceOnPlateau), or a type of your own.
    ///
    /// It is kept as a [note](Checkpoint::add_note) whose text is JSON. Floating-point numbers keep
    /// their exact bits. The value is read back at once, so that none is saved that [`value`] could not
    /// return. JSON has no NaN and no infinities: a number that is one is refused, but a
    /// `Some(f64::NAN)` would become `None`.
    ///
    /// # Errors
    /// The checkpoint has not changed then.
    /// - [`ErrorKind::Name`](crate::ErrorKind::Name) if the key is taken, by a value or a note;
    ///   `adamax` always is;
    /// - [`ErrorKind::Format`](crate::ErrorKind::Format) if JSON cannot hold the value: NaN, a map whose
    ///   keys are not text or integers, more than 128 levels.
    ///
    /// # Allocation
    /// The text, and one more copy of the value for a moment.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, ErrorKind, Optimizer};
    /// # let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Position { epoch: u32, best_loss: f64 }
    ///
    /// checkpoint.add_value("position", &Position { epoch: 12, best_loss: 0.1 + 0.2 })?;
    /// let position: Position = checkpoint.value("position")?;
    /// assert_eq!(position.best_loss, 0.1 + 0.2);
    ///
    /// let error = checkpoint.add_value("loss", &f64::NAN).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Format);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    ///
    /// [`value`]: Checkpoint::value
    pub fn add_value<T: Serialize + DeserializeOwned>(
        &mut self,
        key: &str,
        value: &T,
    ) -> Result<&mut Self, Error> {
        self.check_key(key)?;
        let part = Part::Note(key.to_owned());
        let text = serde_json::to_string(value).map_err(|source| FileError::json(&part, source))?;
        header::from_json::<T>(&part, text.as_bytes())?;
        self.notes.insert(key.to_owned(), text);
        Ok(self)
    }

    /// Adds a note: any text under any key, such as the version of the data.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the key is taken; `adamax` always is.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, Optimizer};
    /// # let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    /// checkpoint.add_note("epoch", "12")?.add_note("data", "2026-03")?;
    /// assert_eq!(checkpoint.note("epoch"), Some("12"));
    /// assert!(checkpoint.add_note("epoch", "13").is_err());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn add_note(&mut self, key: &str, text: &str) -> Result<&mut Self, Error> {
        self.check_key(key)?;
        self.notes.insert(key.to_owned(), text.to_owned());
        Ok(self)
    }

    fn check_key(&self, key: &str) -> Result<(), Error> {
        if key == record::KEY || self.notes.contains_key(key) {
            return Err(FileError::NoteTaken { key: key.to_owned() }.into());
        }
        Ok(())
    }
}

/// Content.
impl<A: Real> Checkpoint<A> {
    /// Returns the state of the optimizer, for [`Optimizer::restore`](crate::Optimizer::restore).
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot<A> {
        &self.snapshot
    }

    /// Returns the names of the parameters, in alphabetical order.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.keys().map(String::as_str)
    }

    /// Returns a copy of a parameter, in row-major order.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) if no parameter has this name, or if it has
    /// another type or number of axes.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Checkpoint, Optimizer};
    /// use ndarray::{Array1, array};
    ///
    /// let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    /// checkpoint.add_parameter("pixel means", &array![0.1_f32, 0.7])?;
    /// let means: Array1<f32> = checkpoint.parameter("pixel means")?;
    /// assert_eq!(means, array![0.1, 0.7]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn parameter<B: Real, D: Dimension>(&self, name: &str) -> Result<Array<B, D>, Error> {
        let tensor = self.parameters.get(name).ok_or(EntryFault::Missing);
        tensor.and_then(Tensor::to_array).map_err(|fault| fault.of_content("parameter", name))
    }

    /// Copies a parameter into `param`, which keeps its memory order.
    ///
    /// # Errors
    /// - [`ErrorKind::Format`](crate::ErrorKind::Format) if no parameter has this name, or if it has
    ///   another type or number of axes;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if it has another shape.
    ///
    /// `param` has not been changed then.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, ErrorKind, Optimizer};
    /// # use ndarray::array;
    /// # let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    /// checkpoint.add_parameter("bias", &array![0.5, -0.5])?;
    /// let mut bias = array![0.0, 0.0];
    /// checkpoint.assign_parameter("bias", &mut bias)?;
    /// assert_eq!(bias, array![0.5, -0.5]);
    ///
    /// let error = checkpoint.assign_parameter("bias", &mut array![0.0]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Shape);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn assign_parameter<B: Real, D: Dimension>(
        &self,
        name: &str,
        param: &mut ArrayRef<B, D>,
    ) -> Result<(), Error> {
        let saved: Array<B, D> = self.parameter(name)?;
        check_saved_shape(name, saved.shape(), param.shape())?;
        param.assign(&saved);
        Ok(())
    }

    /// Returns an average, in the memory order of its parameter `param`, whose values are not read.
    ///
    /// An average in `f64` of an `f32` parameter is asked for by its type, `Average<f32, f64>`.
    ///
    /// # Errors
    /// - [`ErrorKind::Format`](crate::ErrorKind::Format) if no average has this name, or if it has
    ///   another precision;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if it does not have the shape of `param`;
    /// - [`ErrorKind::Memory`](crate::ErrorKind::Memory) if there is no memory for it.
    ///
    /// # Allocation
    /// Two arrays, one of them for a moment.
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Average, Checkpoint, Optimizer};
    /// use ndarray::array;
    ///
    /// let x = array![1.0_f32, -2.0];
    /// let mut average = Average::equal(&x)?.in_f64();
    /// average.update(&x)?;
    /// let mut checkpoint = Checkpoint::new(Optimizer::<f32>::new(Adamax::default()).snapshot());
    /// checkpoint.add_average("x", &average)?;
    ///
    /// let read: Average<f32, f64> = checkpoint.average("x", &x)?;
    /// assert_eq!(read, average);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn average<B: Real + Into<M>, M: Real, D: Dimension>(
        &self,
        name: &str,
        param: &ArrayRef<B, D>,
    ) -> Result<Average<B, M>, Error> {
        match self.averages.get(name) {
            Some(saved) => saved.to_average(name, param),
            None => Err(EntryFault::Missing.of_content("average", name)),
        }
    }

    /// Returns a value that [`add_value`](Checkpoint::add_value) added, or a note that holds JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) if there is no such note, or if its text is no
    /// value of this type. The message names the key.
    ///
    /// # Allocation
    /// The value. Its text cannot claim more than it holds.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, Optimizer};
    /// # let mut checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    /// checkpoint.add_value("step", &1000_u64)?;
    /// assert_eq!(checkpoint.value::<u64>("step")?, 1000);
    /// assert_eq!(checkpoint.note("step"), Some("1000"));
    /// let error = checkpoint.value::<u64>("stop").unwrap_err();
    /// assert_eq!(error.to_string(), "note `stop` is missing");
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn value<T: DeserializeOwned>(&self, key: &str) -> Result<T, Error> {
        let text = self.note(key).ok_or_else(|| EntryFault::Missing.of_content("note", key))?;
        header::from_json(&Part::Note(key.to_owned()), text.as_bytes())
    }

    /// Returns the text of a note.
    #[must_use]
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    /// Returns all notes as keys and texts, in alphabetical order of the keys.
    pub fn notes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.notes.iter().map(|(key, text)| (key.as_str(), text.as_str()))
    }
}

/// Writing and reading.
impl<A: Real> Checkpoint<A> {
    /// Writes the file and replaces the one at `path`; see [Crash safety](Checkpoint#crash-safety).
    ///
    /// # Errors
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be written or synced, or if
    ///   something else than a regular file stands at `path`;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) if a state holds NaN or infinities,
    ///   which could not be read back. Only steps under
    ///   [`NonFinite::Propagate`](crate::NonFinite::Propagate) leave them;
    /// - [`ErrorKind::Format`](crate::ErrorKind::Format) if an array has more than 64 axes, if there are
    ///   more than 65 536 groups, or if names and notes take more than 100 MB, which other readers
    ///   refuse.
    ///
    /// The old file has not been changed then, unless only syncing the folder failed.
    ///
    /// # Allocation
    /// The header. Numbers are written without a copy.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, Optimizer};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("run.safetensors");
    /// let optimizer = Optimizer::<f64>::new(Adamax::default());
    /// for epoch in ["1", "2"] {
    ///     Checkpoint::new(optimizer.snapshot()).add_note("epoch", epoch)?.save(&path)?;
    /// }
    /// assert_eq!(Checkpoint::<f64>::load(&path)?.note("epoch"), Some("2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        save(&self.writable()?, path.as_ref(), Previous::Drop)
    }

    /// Writes the file as [`save`](Checkpoint::save) does, and keeps the old one under its name with
    /// `.prev` appended.
    ///
    /// The old file is kept if it is whole. One that is damaged or cannot be read is replaced, and
    /// `.prev` stays as it is. It also stays if there is no file at `path`. Whole means: the header is
    /// right, and so is the checksum. A file without checksum must be one that
    /// [`load`](Checkpoint::load) reads, in either precision.
    ///
    /// # Errors
    /// As [`save`](Checkpoint::save), and [`ErrorKind::Io`](crate::ErrorKind::Io) if something else than
    /// a regular file stands at `.prev`, or if its name is too long. If the last step fails, which
    /// renames the old file to `.prev`, then `path` is the new file, and the message names `.prev`.
    ///
    /// # Cost
    /// The old file is read once more, 8 kB at a time. One without checksum is held in memory twice. On
    /// a file system without hard links it is also copied.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, Optimizer};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("run.safetensors");
    /// let optimizer = Optimizer::<f64>::new(Adamax::default());
    /// for epoch in ["1", "2"] {
    ///     let mut checkpoint = Checkpoint::new(optimizer.snapshot());
    ///     checkpoint.add_note("epoch", epoch)?.save_keeping_previous(&path)?;
    /// }
    /// let previous = Checkpoint::<f64>::load(folder.path().join("run.safetensors.prev"))?;
    /// assert_eq!(previous.note("epoch"), Some("1"));
    /// assert_eq!(Checkpoint::<f64>::load(&path)?.note("epoch"), Some("2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save_keeping_previous(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        save(&self.writable()?, path.as_ref(), Previous::Keep)
    }

    /// Reads a file that [`save`](Checkpoint::save) or a Python program wrote.
    ///
    /// The header is checked before the data are read. If the file is replaced meanwhile, the result
    /// is that of the old file. If another program writes into the file meanwhile, the checksum refuses
    /// a mix of old and new. A file without checksum is refused if its length or its time of change is
    /// another one afterwards; most file systems note this time to a few milliseconds.
    ///
    /// # Errors
    /// As [`from_bytes`](Checkpoint::from_bytes), and [`ErrorKind::Io`](crate::ErrorKind::Io) if the
    /// file cannot be read, or is not a regular file.
    ///
    /// # Allocation
    /// The file, and then as [`from_bytes`](Checkpoint::from_bytes).
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, ErrorKind, Optimizer};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("run.safetensors");
    /// // The first run finds no file and starts from the beginning.
    /// let start = match Checkpoint::<f64>::load(&path) {
    ///     Err(error) if error.kind() == ErrorKind::Io => {
    ///         Checkpoint::new(Optimizer::new(Adamax::default()).snapshot())
    ///     }
    ///     loaded => loaded?,
    /// };
    /// start.save(&path)?;
    /// assert_eq!(Checkpoint::load(&path)?, start);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias("resume", "load_state_dict"))]
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        read::load(path.as_ref())
    }

    /// Returns the bytes of the file.
    ///
    /// # Errors
    /// As [`save`](Checkpoint::save), except [`ErrorKind::Io`](crate::ErrorKind::Io).
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, Optimizer};
    /// let checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    /// let bytes = checkpoint.to_bytes()?;                   // to send over a network, for instance
    /// assert_eq!(Checkpoint::from_bytes(&bytes)?, checkpoint);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let written = self.writable()?.write_to(&mut bytes);
        written.map_err(|source| FileError::io("write", Path::new("to memory"), source))?;
        Ok(bytes)
    }

    /// Reads a checkpoint from the bytes of a file. See
    /// [Damaged and hostile files](Checkpoint#damaged-and-hostile-files).
    ///
    /// # Errors
    /// - [`ErrorKind::Format`](crate::ErrorKind::Format) if the bytes are not a complete state file, or
    ///   one of the other precision;
    /// - [`ErrorKind::Snapshot`](crate::ErrorKind::Snapshot) if its version is unknown, or if a tensor
    ///   is in a group that does not exist;
    /// - [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if a setting or the decay of an
    ///   average is out of range;
    /// - [`ErrorKind::Shape`](crate::ErrorKind::Shape) if the two moments of a tensor differ in shape,
    ///   or if a table has more or fewer counters than rows;
    /// - [`ErrorKind::NonFinite`](crate::ErrorKind::NonFinite) or
    ///   [`ErrorKind::NegativeNorm`](crate::ErrorKind::NegativeNorm) if a moment has values that no
    ///   step produces, or if an average holds NaN or an infinity.
    ///
    /// # Allocation
    /// The numbers and the names once, as a rule. A file of very many small entries, or one made to do
    /// harm, takes at most ten times its length, and 20 MB more for the most groups. No single
    /// allocation is larger than twice its length, and 10 MB for groups.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, ErrorKind, Optimizer};
    /// # let checkpoint = Checkpoint::new(Optimizer::<f64>::new(Adamax::default()).snapshot());
    /// let mut bytes = checkpoint.to_bytes()?;
    /// assert!(Checkpoint::<f64>::from_bytes(&bytes).is_ok());
    /// *bytes.last_mut().unwrap() ^= 1;
    /// let error = Checkpoint::<f64>::from_bytes(&bytes).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Format);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn from_bytes(file: &[u8]) -> Result<Self, Error> {
        read::from_bytes(file)
    }

    fn writable(&self) -> Result<Writable<'_, A>, Error> {
        Writable::new(&self.snapshot, &self.parameters, &self.averages, &self.notes)
    }
}

/// Files that hold no run.
impl Checkpoint {
    /// Reads the arrays of any safetensors file as parameters, such as the weights of a model.
    ///
    /// Each array has the name that it has in the file; of a state file, the parameters are read, and
    /// the moments and averages are not. The metadata become notes. The snapshot is that of a new optimizer without
    /// tensors. Arrays of other types than `F64` and `F32` are kept as they are:
    /// [`parameter`](Checkpoint::parameter) refuses them, and names their type.
    ///
    /// # Errors
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be read, or is not a regular file;
    /// - [`ErrorKind::Format`](crate::ErrorKind::Format) if it is not a complete safetensors file, or if
    ///   it has an array of a type that this release does not know.
    ///
    /// # Allocation
    /// As [`load`](Checkpoint::load).
    ///
    /// # Examples
    /// ```
    /// # use adamax::Checkpoint;
    /// use ndarray::{Array1, array};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("model.safetensors");
    /// # let header = r#"{"layer.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    /// # let length = (header.len() as u64).to_le_bytes();
    /// # let data = [0.5_f32, -0.5].map(f32::to_le_bytes).concat();
    /// # std::fs::write(&path, [&length, header.as_bytes(), &data].concat())?;
    /// // A file that PyTorch wrote with safetensors.torch.save_file.
    /// let model = Checkpoint::load_tensors(&path)?;
    /// let bias: Array1<f32> = model.parameter("layer.bias")?;
    /// assert_eq!(bias, array![0.5, -0.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_tensors(path: impl AsRef<Path>) -> Result<Checkpoint, Error> {
        read::load_tensors(path.as_ref())
    }
}

/// State files.
impl<A: Real> Snapshot<A> {
    /// Writes a [`Checkpoint`] of this snapshot alone.
    ///
    /// # Errors
    /// As [`Checkpoint::save`].
    ///
    /// # Examples
    /// ```
    /// use adamax::{Adamax, Optimizer, Snapshot};
    ///
    /// let path = tempfile::tempdir()?.keep().join("optimizer.safetensors");
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// optimizer.register("weights", &ndarray::Array2::<f32>::zeros((3, 4)))?;
    /// optimizer.snapshot().save(&path)?;
    /// optimizer.restore(&Snapshot::load(&path)?)?;
    /// # std::fs::remove_dir_all(path.parent().unwrap())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let (parameters, averages, notes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let file = Writable::new(self, &parameters, &averages, &notes)?;
        save(&file, path.as_ref(), Previous::Drop)
    }

    /// Reads the snapshot of a [`Checkpoint`].
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, Checkpoint, Optimizer, Snapshot};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("run.safetensors");
    /// let snapshot = Optimizer::<f64>::new(Adamax::keras()).snapshot();
    /// Checkpoint::new(snapshot.clone()).add_note("epoch", "1")?.save(&path)?;
    /// assert_eq!(Snapshot::load(&path)?, snapshot);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Checkpoint::load(path).map(|checkpoint| checkpoint.snapshot)
    }
}

/// Refuses a saved parameter that has another shape than the one in use.
fn check_saved_shape(name: &str, found: &[usize], expected: &[usize]) -> Result<(), Error> {
    if same(found, expected) {
        return Ok(());
    }
    let (found, expected) = (found.to_vec(), expected.to_vec());
    Err(Error::from(FileError::Shape { found, expected }).in_tensor(name))
}

fn save<A: Real>(file: &Writable<'_, A>, path: &Path, previous: Previous) -> Result<(), Error> {
    replace::replace(path, previous, |out| file.write_to(out))
}
