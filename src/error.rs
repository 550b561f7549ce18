//! What can go wrong, and where.

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};
use core::fmt;

/// Why a call was refused.
///
/// Every fallible function of this crate checks its whole input before it writes anything: where an
/// `Error` comes back, all parameters, moments and counters are as they were, bit for bit.
///
/// [`kind`](Error::kind) tells the kinds apart for a program; the message tells a person which
/// tensor, which shapes, which index and which value:
///
/// ```
/// use adamax::{Adamax, ErrorKind, State};
/// use ndarray::array;
///
/// let mut x = array![[1.0, 2.0], [3.0, 4.0]];
/// let mut state = State::zeros_like(&x);
/// let g = array![[0.1, 0.2], [f64::NAN, 0.4]];
/// let error = Adamax::default().step(&mut state, &mut x, &g).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NonFinite);
/// assert_eq!(error.to_string(), "gradient is NaN at index [1, 0]");
/// ```
///
/// One pointer wide, so that a `Result` of a step costs nothing to hand back.
pub struct Error(Box<Repr>);

struct Repr {
    /// The name under which the tensor was registered, where it has one.
    tensor: Option<String>,
    detail: Detail,
}

/// The kinds of [`Error`].
///
/// ```
/// use adamax::{Adamax, ErrorKind, State};
/// use ndarray::{Array1, array};
///
/// let mut x = array![1.0];
/// let mut state = State::zeros_like(&x);
/// let mut kind = |g: Array1<f64>| {
///     Adamax::default().step(&mut state, &mut x, &g).err().map(|error| error.kind())
/// };
/// assert_eq!(kind(array![f64::NAN]), Some(ErrorKind::NonFinite));     // the run has diverged
/// assert_eq!(kind(array![0.1, 0.2]), Some(ErrorKind::Shape));         // the program is wrong
/// assert_eq!(kind(array![0.1]), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A hyperparameter is NaN, out of its range, or too large for the precision of the tensor.
    Hyperparameter,
    /// Two arrays that belong together have different shapes.
    Shape,
    /// A gradient, a part of a state or the value of an objective is NaN or infinite.
    NonFinite,
    /// An infinity norm is negative.
    NegativeNorm,
    /// The step number is 0, or the step counter is at its end.
    StepCount,
    /// A slot or a group belongs to another optimizer.
    Foreign,
    /// A slot comes twice in one batch.
    Repeated,
    /// A name, or the key of a note, is taken.
    Name,
    /// A snapshot does not fit the optimizer: tensors or groups are missing, too many, or assigned
    /// otherwise.
    Snapshot,
    /// A file cannot be read or written; [`source`](core::error::Error::source) says why.
    #[cfg(feature = "safetensors")]
    Io,
    /// What has been read is not a state file, or a damaged one, or not of the precision asked for.
    #[cfg(feature = "safetensors")]
    Format,
}

/// The part that an array plays in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Parameter,
    Gradient,
    FirstMoment,
    InfNorm,
    Average,
    #[cfg(feature = "safetensors")]
    SavedParameter,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Parameter => "parameter",
            Role::Gradient => "gradient",
            Role::FirstMoment => "first moment",
            Role::InfNorm => "infinity norm",
            Role::Average => "average",
            #[cfg(feature = "safetensors")]
            Role::SavedParameter => "saved parameter",
        })
    }
}

/// Text of any length as a message quotes it: whole if it is short, else only how it begins and ends.
pub(crate) struct Abbreviated<'a> {
    text: &'a str,
    /// In characters.
    longest: usize,
}

impl<'a> Abbreviated<'a> {
    /// A name, perhaps from a file.
    pub(crate) fn name(text: &'a str) -> Self {
        Abbreviated { text, longest: 100 }
    }

    /// What a parser has to say; long enough for the names of all settings.
    #[cfg(feature = "safetensors")]
    fn message(text: &'a str) -> Self {
        Abbreviated { text, longest: 300 }
    }
}

impl fmt::Display for Abbreviated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Abbreviated { text, longest } = self;
        if text.chars().nth(longest).is_none() {
            return f.write_str(text);
        }
        let half = longest / 2;
        // Both are places of characters.
        let head = text.char_indices().nth(half).map_or("", |(end, _)| text.split_at(end).0);
        let tail = text.char_indices().nth_back(half - 1).map_or("", |(at, _)| text.split_at(at).1);
        write!(f, "{head}…{tail}")
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Detail {
    #[error("{name} is {value}, but must be {range}")]
    Hyperparameter { name: &'static str, value: f64, range: &'static str },
    #[error("{name} is {value}, but must be {range}")]
    Count { name: &'static str, value: u64, range: &'static str },
    #[error("there is no {name}")]
    Empty { name: &'static str },
    #[error("{name} is too large for {precision}")]
    Overflow { name: &'static str, precision: &'static str },
    #[error("{role} has shape {found:?}, but {reference} has shape {expected:?}")]
    Shape { role: Role, found: Vec<usize>, reference: Role, expected: Vec<usize> },
    #[error("{role} is {value} at index {index:?}")]
    NonFinite { role: Role, index: Vec<usize>, value: f64 },
    #[error("objective is {value} where the parameter at index {index:?} is {at}")]
    Objective { index: Vec<usize>, value: f64, at: f64 },
    #[error("infinity norm is negative ({value}) at index {index:?}")]
    NegativeNorm { index: Vec<usize>, value: f64 },
    #[error("t is 0, but steps are counted from 1")]
    StepZero,
    #[error("step counter has reached its largest value")]
    StepOverflow,
    #[error("group belongs to another optimizer")]
    ForeignGroup,
    #[error("slot at index {place} of the batch belongs to another optimizer")]
    ForeignSlot { place: usize },
    #[error("comes twice in one batch")]
    Repeated,
    #[error("name is taken")]
    NameTaken,
    #[cfg(feature = "serde")]
    #[error("snapshot has version {found}, but this release reads versions up to {newest}")]
    Version { found: u32, newest: u32 },
    #[cfg(feature = "serde")]
    #[error("in group {found} of a snapshot with {groups} groups")]
    NoSuchGroup { found: usize, groups: usize },
    #[error("missing in the snapshot")]
    Missing,
    #[error("in the snapshot, but not registered")]
    Unregistered,
    #[error("in group {found} of the snapshot, but registered in group {expected}")]
    OtherGroup { found: usize, expected: usize },
    #[error("the snapshot has {found} groups, but the optimizer has {expected}")]
    GroupCount { found: usize, expected: usize },
    #[cfg(feature = "safetensors")]
    #[error("note `{}` is taken", Abbreviated::name(key))]
    NoteTaken { key: String },
    #[cfg(feature = "safetensors")]
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: std::path::PathBuf, source: std::io::Error },
    #[cfg(feature = "safetensors")]
    #[error("{}: {}", Abbreviated::name(part), Abbreviated::message(&alloc::format!("{source}")))]
    Json { part: String, source: serde_json::Error },
    #[cfg(feature = "safetensors")]
    #[error("file has {found} bytes, but the length of its header takes {expected}")]
    FileTooShort { found: usize, expected: usize },
    #[cfg(feature = "safetensors")]
    #[error("header should have {length} bytes, but {rest} bytes are left of the file")]
    HeaderLength { length: u64, rest: usize },
    #[cfg(feature = "safetensors")]
    #[error("header takes {length} bytes, but at most {longest} can be read")]
    HeaderTooLong { length: usize, longest: usize },
    #[cfg(feature = "safetensors")]
    #[error("the last {surplus} bytes of the file belong to no entry")]
    Surplus { surplus: usize },
    #[cfg(feature = "safetensors")]
    #[error("checksum is {found:#010x}, but that of the file is {expected:#010x}")]
    Checksum { found: u32, expected: u32 },
    #[cfg(feature = "safetensors")]
    #[error("not a state file: no `{key}` in the metadata")]
    NoRecord { key: &'static str },
    #[cfg(feature = "safetensors")]
    #[error("group {index}: {source}")]
    Group { index: usize, source: Error },
    #[cfg(feature = "safetensors")]
    #[error("entry `{}` {fault}", Abbreviated::name(entry))]
    Entry { entry: String, fault: EntryFault },
}

/// What is wrong with one array in a file.
#[cfg(feature = "safetensors")]
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryFault {
    #[error("takes bytes {start} to {end} of the data, which has {length}")]
    Outside { start: usize, end: usize, length: usize },
    #[error("has {found} bytes, which is not the size of {dtype} numbers of shape {shape:?}")]
    Size { dtype: &'static str, shape: Vec<usize>, found: usize },
    #[error("begins at byte {found} of the data, but the one before ends at byte {expected}")]
    Place { found: usize, expected: usize },
    #[error("is of type {found}, but {expected} is asked for")]
    Dtype { found: &'static str, expected: &'static str },
    #[error("has shape {shape:?}, but the number of axes asked for is {expected}")]
    Axes { shape: Vec<usize>, expected: usize },
    #[error("is missing")]
    Missing,
    #[error("has no place in a state file")]
    Unknown,
    #[error("is not one U32 at the end of the file")]
    Checksum,
    #[error("has a shape that cannot be written: {shape:?}")]
    Unwritable { shape: Vec<usize> },
}

#[cfg(feature = "safetensors")]
impl EntryFault {
    #[cold]
    pub(crate) fn of(self, entry: &str) -> Error {
        Detail::Entry { entry: entry.to_owned(), fault: self }.into()
    }
}

impl Detail {
    fn kind(&self) -> ErrorKind {
        match self {
            Detail::Hyperparameter { .. }
            | Detail::Count { .. }
            | Detail::Empty { .. }
            | Detail::Overflow { .. } => ErrorKind::Hyperparameter,
            Detail::Shape { .. } => ErrorKind::Shape,
            Detail::NonFinite { .. } | Detail::Objective { .. } => ErrorKind::NonFinite,
            Detail::NegativeNorm { .. } => ErrorKind::NegativeNorm,
            Detail::StepZero | Detail::StepOverflow => ErrorKind::StepCount,
            Detail::ForeignGroup | Detail::ForeignSlot { .. } => ErrorKind::Foreign,
            Detail::Repeated => ErrorKind::Repeated,
            Detail::NameTaken => ErrorKind::Name,
            #[cfg(feature = "serde")]
            Detail::Version { .. } | Detail::NoSuchGroup { .. } => ErrorKind::Snapshot,
            Detail::Missing
            | Detail::Unregistered
            | Detail::OtherGroup { .. }
            | Detail::GroupCount { .. } => ErrorKind::Snapshot,
            #[cfg(feature = "safetensors")]
            Detail::Io { .. } => ErrorKind::Io,
            #[cfg(feature = "safetensors")]
            Detail::Group { source, .. } => source.kind(),
            #[cfg(feature = "safetensors")]
            Detail::NoteTaken { .. } => ErrorKind::Name,
            #[cfg(feature = "safetensors")]
            Detail::Json { .. }
            | Detail::FileTooShort { .. }
            | Detail::HeaderLength { .. }
            | Detail::HeaderTooLong { .. }
            | Detail::Surplus { .. }
            | Detail::Checksum { .. }
            | Detail::NoRecord { .. }
            | Detail::Entry { .. } => ErrorKind::Format,
        }
    }
}

impl From<Detail> for Error {
    #[cold]
    fn from(detail: Detail) -> Self {
        Error(Box::new(Repr { tensor: None, detail }))
    }
}

impl Error {
    /// The kind of this error.
    ///
    /// ```
    /// # use adamax::{Adamax, ErrorKind};
    /// let error = Adamax::builder().beta1(1.0).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Hyperparameter);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.detail.kind()
    }

    /// The name of the tensor that it is about, where that is one registered with an
    /// [`Optimizer`](crate::Optimizer).
    ///
    /// ```
    /// # use adamax::{Adamax, Optimizer};
    /// # use ndarray::array;
    /// let mut x = array![1.0];
    /// let mut optimizer = Optimizer::new(Adamax::default());
    /// let slot = optimizer.register("bias", &x)?;
    /// let error = optimizer.step(&mut [slot.bind(&mut x, &array![f64::NAN])]).unwrap_err();
    /// assert_eq!(error.tensor(), Some("bias"));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn tensor(&self) -> Option<&str> {
        self.0.tensor.as_deref()
    }

    #[cold]
    pub(crate) fn in_tensor(mut self, name: &str) -> Self {
        self.0.tensor = Some(name.to_owned());
        self
    }

    /// Refuses `found` where it differs from `expected`.
    #[inline]
    pub(crate) fn check_shapes(
        (role, found): (Role, &[usize]),
        (reference, expected): (Role, &[usize]),
    ) -> Result<(), Self> {
        if same(found, expected) {
            return Ok(());
        }
        Err(Self::shape((role, found), (reference, expected)))
    }

    #[cold]
    fn shape((role, found): (Role, &[usize]), (reference, expected): (Role, &[usize])) -> Self {
        let (found, expected) = (found.to_vec(), expected.to_vec());
        Detail::Shape { role, found, reference, expected }.into()
    }
}

/// Whether two shapes, or the strides of two arrays, are the same. Not `==`, which is a call of a
/// function for a few numbers; and without a loop for one axis.
#[inline(always)]
pub(crate) fn same<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    match (a, b) {
        ([a], [b]) => a == b,
        _ => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.0.tensor {
            write!(f, "tensor `{}`: ", Abbreviated::name(name))?;
        }
        fmt::Display::fmt(&self.0.detail, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("message", &format_args!("{self}"))
            .finish()
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        core::error::Error::source(&self.0.detail)
    }
}

// An error is never changed once it is made, also where it holds an `io::Error`, which does not
// promise that. Auto traits must not depend on features.
impl core::panic::UnwindSafe for Error {}
impl core::panic::RefUnwindSafe for Error {}
