//! The error type of the crate: why a call was refused, and where.

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};
use core::{
    fmt::{self, Write as _},
    slice,
};

/// The reason why a call was refused.
///
/// Every fallible function checks its whole input before it writes anything. After an error, all
/// parameters, moments and counters have the bits they had before.
///
/// The message says which tensor, which index, which value and which shapes. Control characters in
/// names and paths are escaped, as in `a\nb`, so that a message is one line. A program gets the
/// same facts from methods, and names as they are; those that do not apply to an error return `None`.
///
/// | method | returns |
/// |---|---|
/// | [`kind`](Error::kind) | the kind of error |
/// | [`tensor`](Error::tensor) | the name of the tensor |
/// | [`array`](Error::array) | the array of that tensor: `gradient`, `first moment`, … |
/// | [`index`](Error::index) | the first bad element of that array |
/// | [`setting`](Error::setting) | the hyperparameter or argument that is out of range |
/// | [`value`](Error::value) | the bad element, or the bad setting |
/// | [`found_shape`](Error::found_shape), [`expected_shape`](Error::expected_shape) | two shapes that should be equal |
/// | [`source`](core::error::Error::source) | the error of the operating system or of the JSON parser |
///
/// An `Error` is one pointer wide, so that the `Result` of a step fits into registers.
///
/// # Examples
/// ```
/// use adamax::{Adamax, ErrorKind, Optimizer};
/// use ndarray::{Array2, array};
///
/// let mut x = array![[1.0, 2.0], [3.0, 4.0]];
/// let mut optimizer = Optimizer::new(Adamax::default());
/// let weights = optimizer.register("weights", &x)?;
///
/// let g = array![[0.1, 0.2], [f64::INFINITY, 0.4]];
/// let error = optimizer.step(&mut [weights.bind(&mut x, &g)]).unwrap_err();
/// assert_eq!(error.to_string(), "tensor `weights`: gradient is inf at index [1, 0]");
/// assert_eq!(error.kind(), ErrorKind::NonFinite);
/// assert_eq!((error.tensor(), error.array()), (Some("weights"), Some("gradient")));
/// assert_eq!((error.index(), error.value()), (Some(&[1, 0][..]), Some(f64::INFINITY)));
///
/// let g = Array2::zeros((2, 3));
/// let error = optimizer.step(&mut [weights.bind(&mut x, &g)]).unwrap_err();
/// assert_eq!(error.found_shape(), Some(&[2, 3][..]));
/// assert_eq!(error.expected_shape(), Some(&[2, 2][..]));
///
/// let error = Adamax::builder().beta1(1.5).build().unwrap_err();
/// assert_eq!(error.to_string(), "beta1 is 1.5, but must be in [0, 1)");
/// assert_eq!((error.setting(), error.value()), (Some("beta1"), Some(1.5)));
/// # Ok::<(), adamax::Error>(())
/// ```
pub struct Error(Box<Repr>);

struct Repr {
    /// The place outside of the program where the error was found, such as a file; empty if none.
    context: String,
    /// The name under which the tensor was registered, if it was.
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
    /// A hyperparameter is NaN, out of its range, or too large or too small for the precision of the
    /// tensor.
    Hyperparameter,
    /// Two arrays that belong together have different shapes.
    Shape,
    /// A gradient, a part of a state or the value of an objective is NaN or infinite, or a step would
    /// bring an infinity into a state.
    NonFinite,
    /// There is no memory for an array: a view that repeats its elements can have any shape. Or, where
    /// `usize` has 32 bits, the process has registered four billion tensors.
    Memory,
    /// An infinity norm is negative.
    NegativeNorm,
    /// A number of a state becomes infinite, or 0, in the precision asked for.
    Precision,
    /// The step number is 0, the step counter is at its end, or an average has had no update.
    StepCount,
    /// A slot or a group belongs to another optimizer, or the tensor of a slot was removed.
    Foreign,
    /// A slot occurs twice in one batch.
    Repeated,
    /// The indices of rows are out of range, not ascending, or repeated.
    Rows,
    /// A registered tensor is not in a batch that should hold all of them.
    Missing,
    /// A name, or the key of a note, is taken.
    Name,
    /// A model, or its gradients, has other tensors than those that were registered or averaged.
    Model,
    /// Another process has refused the step, or the findings of processes do not fit together.
    Agreement,
    /// A snapshot does not fit the optimizer: tensors or groups are missing, surplus, or assigned
    /// differently. Or its version, or that of its file, is unknown.
    Snapshot,
    /// A file cannot be read or written; [`source`](core::error::Error::source) says why.
    #[cfg(feature = "safetensors")]
    Io,
    /// The bytes are not a state file, or damaged, or of another precision than asked for; or a value
    /// cannot be kept as JSON, or is not of the type asked for.
    #[cfg(feature = "safetensors")]
    Format,
}

/// The part that an array plays in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Parameter,
    Gradient,
    State,
    FirstMoment,
    InfNorm,
    Average,
    Part,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Parameter => "parameter",
            Role::Gradient => "gradient",
            Role::State => "state",
            Role::FirstMoment => "first moment",
            Role::InfNorm => "infinity norm",
            Role::Average => "average",
            Role::Part => "part",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that a message quotes. Long text is cut in the middle: names may come from a hostile file.
pub(crate) struct Abbreviated<'a> {
    text: &'a str,
    /// In characters.
    longest: usize,
}

impl<'a> Abbreviated<'a> {
    /// A name, cut to 100 characters.
    pub(crate) fn name(text: &'a str) -> Self {
        Abbreviated::to(100, text)
    }

    pub(crate) fn to(longest: usize, text: &'a str) -> Self {
        Abbreviated { text, longest }
    }
}

impl fmt::Display for Abbreviated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Abbreviated { text, longest } = self;
        if text.chars().nth(longest).is_none() {
            return f.write_str(text);
        }
        let half = longest / 2;
        // `split_at` does not panic here: both offsets are character boundaries.
        let head = text.char_indices().nth(half).map_or("", |(end, _)| text.split_at(end).0);
        let tail = text.char_indices().nth_back(half - 1).map_or("", |(at, _)| text.split_at(at).1);
        write!(f, "{head}…{tail}")
    }
}

/// A number that is printed as `1e-60` instead of a row of zeros.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Short(value) = self;
        // `Debug` has an exponent where it is shorter, and "1.0" for 1.
        if libm::trunc(*value) == *value && value.abs() < 1e16 {
            write!(f, "{value}")
        } else {
            write!(f, "{value:?}")
        }
    }
}

/// Escapes control characters, and those that reverse the direction of text. Names and paths may come
/// from a stranger, and a terminal would obey them.
pub(crate) struct Escaping<W>(pub(crate) W);

impl<W: fmt::Write> fmt::Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A run ends with the one control character that it has, if any.
        text.split_inclusive(is_control).try_for_each(|run| {
            let plain = run.trim_end_matches(is_control);
            self.0.write_str(plain)?;
            write!(self.0, "{}", run.strip_prefix(plain).unwrap_or_default().escape_default())
        })
    }
}

pub(crate) fn is_control(letter: char) -> bool {
    let reverses = matches!(letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // Line separators outside of ASCII end a line in some programs.
    letter.is_control() || reverses || matches!(letter, '\u{2028}' | '\u{2029}')
}

/// Returns text in which control characters are escaped.
pub(crate) fn escaped(text: impl fmt::Display) -> String {
    let mut escaped = String::new();
    // Writing to a string does not fail.
    _ = write!(Escaping(&mut escaped), "{text}");
    escaped
}

/// The names in which a snapshot and an optimizer differ. The first of them stands in front of the
/// message: it is the tensor at fault.
struct Differences<'a> {
    missing: &'a [String],
    unexpected: &'a [String],
}

impl fmt::Display for Differences<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [_, missing @ ..] = self.missing {
            write!(f, "missing in the snapshot{}", AlsoMissing(missing))?;
            list(f, "; in the snapshot, but not registered: ", self.unexpected)
        } else {
            f.write_str("in the snapshot, but not registered")?;
            list(f, "; also not registered: ", self.unexpected.get(1..).unwrap_or_default())
        }
    }
}

/// The names of tensors that are missing besides the one in front of the message.
struct AlsoMissing<'a>(&'a [String]);

impl fmt::Display for AlsoMissing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, "; also missing: ", self.0)
    }
}

/// Writes the first names of a list, and the number of the others.
fn list(f: &mut fmt::Formatter<'_>, title: &str, names: &[String]) -> fmt::Result {
    /// A model may have thousands of tensors.
    const MOST: usize = 5;

    for (index, name) in names.iter().take(MOST).enumerate() {
        let before = if index == 0 { title } else { ", " };
        write!(f, "{before}`{}`", Abbreviated::name(name))?;
    }
    match names.len().saturating_sub(MOST) {
        0 => Ok(()),
        more => write!(f, ", and {more} more"),
    }
}

/// Returns a hint for the usual cause of a wrong shape, to be appended to the message. The shapes differ.
pub(crate) fn hint(found: &[usize], expected: &[usize]) -> &'static str {
    if found.iter().eq(expected.iter().rev()) { " (transposed?)" } else { "" }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Detail {
    #[error("{name} is {shown}, but must be {range}", shown = Short(*value))]
    Hyperparameter { name: &'static str, value: f64, range: &'static str },
    #[error("{name} is {value}, but must be {range}")]
    Count { name: &'static str, value: u64, range: &'static str },
    #[error("there is no {name}")]
    Empty { name: &'static str },
    #[error("{name} is too large for {precision}")]
    Overflow { name: &'static str, precision: &'static str },
    #[error("{name} is {shown}, which rounds to {to} in {precision}", shown = Short(*value))]
    Rounds { name: &'static str, value: f64, to: f64, precision: &'static str },
    #[error(
        "{role} has shape {found:?}, but {reference} has shape {expected:?}{}",
        hint(found, expected)
    )]
    Shape { role: Role, found: Vec<usize>, reference: Role, expected: Vec<usize> },
    #[error(
        "{role} has shape {found:?}, but the registered shape is {expected:?}{}",
        hint(found, expected)
    )]
    Registered { role: Role, found: Vec<usize>, expected: Vec<usize> },
    #[error("{role} of shape {shape:?} is too large for the memory")]
    TooLarge { role: Role, shape: Vec<usize> },
    #[error("{role} is {value} at index {index:?}")]
    NonFinite { role: Role, index: Vec<usize>, value: f64 },
    #[error("{role} would become {value} at index {index:?}")]
    WouldOverflow { role: Role, index: Vec<usize>, value: f64 },
    #[error("objective is {value} where the parameter at index {index:?} is {at}")]
    Objective { index: Vec<usize>, value: f64, at: f64 },
    #[error("infinity norm is negative ({value}) at index {index:?}")]
    NegativeNorm { index: Vec<usize>, value: f64 },
    #[error("{role} is {shown} at index {index:?}, which becomes {becomes} in {precision}", shown = Short(*value))]
    Cast { role: Role, index: Vec<usize>, value: f64, becomes: f64, precision: &'static str },
    #[error("t is 0, but steps are counted from 1")]
    StepZero,
    #[error("step counter has reached its largest value")]
    StepOverflow,
    #[error("{role} has shape {found:?}, but the gradients of these rows have shape {expected:?}")]
    RowGradients { role: Role, found: Vec<usize>, expected: Vec<usize> },
    #[error("row {row} at place {place} is beyond the table, which has {rows} rows")]
    RowBeyond { place: usize, row: usize, rows: usize },
    #[error(
        "row {row} at place {place} comes twice: `sum_rows` adds up the gradients of equal rows"
    )]
    RowRepeated { place: usize, row: usize },
    #[error(
        "row {row} at place {place} comes after row {before}, but rows must ascend: `sum_rows` sorts them"
    )]
    RowDescends { place: usize, row: usize, before: usize },
    #[error("{role} is {value} at index {index:?}, for row {row}")]
    NonFiniteInRow { role: Role, row: usize, index: Vec<usize>, value: f64 },
    #[error("each row counts its own steps, so it is stepped by `RowSlot::bind` only")]
    SteppedByRows,
    #[error("{role} has no axis, so it has no rows")]
    NoRows { role: Role },
    #[error("there are {counters} counters for {rows} rows")]
    RowCounters { counters: usize, rows: usize },
    #[cfg(feature = "serde")]
    #[error("t is {steps}, but the largest counter of a row is {largest}")]
    LargestCounter { steps: u64, largest: u64 },
    #[error("the state counts its steps as a whole, but each registered row has its own counter")]
    CountsAsWhole,
    #[error("the state has a counter for each row, but is registered as a whole")]
    CountsByRows,
    #[error("average has had no update, so there is nothing to assign")]
    NoUpdates,
    #[error("group belongs to another optimizer")]
    ForeignGroup,
    #[error("slot belongs to another optimizer, or its tensor was removed")]
    ForeignSlot,
    #[error(
        "slot at index {place} of the batch belongs to another optimizer, or its tensor was removed"
    )]
    ForeignInBatch { place: usize },
    #[error("comes twice in one batch")]
    Repeated,
    #[error("registered, but not in the batch{}", AlsoMissing(others))]
    NotInBatch { others: Vec<String> },
    #[error("no more tensors can be registered in this process")]
    NoMoreIds,
    #[error("name is taken")]
    NameTaken,
    #[error("{made}, but missing in {place}")]
    Missing { made: &'static str, place: &'static str },
    #[error("in {place}, but not {made}")]
    Surplus { made: &'static str, place: &'static str },
    #[error("in {place} at another position than {made}")]
    Moved { made: &'static str, place: &'static str },
    #[error("another process has refused the step")]
    RefusedElsewhere,
    #[error("processes have different norm bounds, or different numbers of tensors")]
    OtherNorms,
    #[error("these words are no findings of this release")]
    NoFindings,
    #[cfg(feature = "serde")]
    #[error("{document} has version {found}, but this release reads versions up to {newest}")]
    FutureVersion { document: &'static str, found: u32, newest: u32 },
    #[cfg(feature = "serde")]
    #[error("{document} has version 0, but versions start at 1")]
    VersionZero { document: &'static str },
    #[cfg(feature = "serde")]
    #[error("in group {found} of a snapshot with {groups} groups")]
    NoSuchGroup { found: usize, groups: usize },
    #[error("{}", Differences { missing, unexpected })]
    Unmatched { missing: Vec<String>, unexpected: Vec<String> },
    #[error("in group {found} of the snapshot, but registered in group {expected}")]
    OtherGroup { found: usize, expected: usize },
    #[error("the snapshot has {found} groups, but the optimizer has {expected}")]
    GroupCount { found: usize, expected: usize },
    /// An error that an adapter defines.
    #[cfg(feature = "safetensors")]
    #[error("{0}")]
    Adapter(Box<dyn AdapterError>),
}

/// An error that an adapter defines in its own module, so that this one need not know its cases.
#[cfg(feature = "safetensors")]
pub(crate) trait AdapterError: core::error::Error + Send + Sync {
    fn facts(&self) -> Facts<'_>;
}

/// Everything that the methods of [`Error`] return, except the name of the tensor.
pub(crate) struct Facts<'a> {
    pub(crate) kind: ErrorKind,
    pub(crate) array: Option<&'a str>,
    pub(crate) index: Option<&'a [usize]>,
    pub(crate) setting: Option<&'a str>,
    pub(crate) value: Option<f64>,
    pub(crate) found_shape: Option<&'a [usize]>,
    pub(crate) expected_shape: Option<&'a [usize]>,
}

impl Facts<'_> {
    /// Nothing but a kind: the base to which other facts are added.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        Facts {
            kind,
            array: None,
            index: None,
            setting: None,
            value: None,
            found_shape: None,
            expected_shape: None,
        }
    }
}

impl Detail {
    fn facts(&self) -> Facts<'_> {
        match self {
            Detail::Hyperparameter { name, value, .. } | Detail::Rounds { name, value, .. } => {
                Facts {
                    setting: Some(name),
                    value: Some(*value),
                    ..Facts::of(ErrorKind::Hyperparameter)
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "the message has all digits")]
            Detail::Count { name, value, .. } => Facts {
                setting: Some(name),
                value: Some(*value as f64),
                ..Facts::of(ErrorKind::Hyperparameter)
            },
            Detail::Empty { name } | Detail::Overflow { name, .. } => {
                Facts { setting: Some(name), ..Facts::of(ErrorKind::Hyperparameter) }
            }
            Detail::Shape { role, found, expected, .. }
            | Detail::Registered { role, found, expected }
            | Detail::RowGradients { role, found, expected } => Facts {
                array: Some(role.name()),
                found_shape: Some(found),
                expected_shape: Some(expected),
                ..Facts::of(ErrorKind::Shape)
            },
            Detail::TooLarge { role, shape } => Facts {
                array: Some(role.name()),
                found_shape: Some(shape),
                ..Facts::of(ErrorKind::Memory)
            },
            Detail::NonFinite { role, index, value }
            | Detail::NonFiniteInRow { role, index, value, .. }
            | Detail::WouldOverflow { role, index, value } => Facts {
                array: Some(role.name()),
                index: Some(index),
                value: Some(*value),
                ..Facts::of(ErrorKind::NonFinite)
            },
            Detail::Objective { index, value, .. } => {
                Facts { index: Some(index), value: Some(*value), ..Facts::of(ErrorKind::NonFinite) }
            }
            Detail::Cast { role, index, value, .. } => Facts {
                array: Some(role.name()),
                index: Some(index),
                value: Some(*value),
                ..Facts::of(ErrorKind::Precision)
            },
            Detail::NegativeNorm { index, value } => Facts {
                array: Some(Role::InfNorm.name()),
                index: Some(index),
                value: Some(*value),
                ..Facts::of(ErrorKind::NegativeNorm)
            },
            Detail::NoRows { role } => {
                Facts { array: Some(role.name()), ..Facts::of(ErrorKind::Shape) }
            }
            #[expect(clippy::cast_precision_loss, reason = "the message has all digits")]
            Detail::RowBeyond { place, row, .. }
            | Detail::RowRepeated { place, row }
            | Detail::RowDescends { place, row, .. } => Facts {
                array: Some("row indices"),
                index: Some(slice::from_ref(place)),
                value: Some(*row as f64),
                ..Facts::of(ErrorKind::Rows)
            },
            Detail::RowCounters { .. }
            | Detail::SteppedByRows
            | Detail::CountsAsWhole
            | Detail::CountsByRows => Facts::of(ErrorKind::Shape),
            Detail::StepZero | Detail::StepOverflow => Facts::of(ErrorKind::StepCount),
            Detail::NoUpdates => {
                Facts { array: Some(Role::Average.name()), ..Facts::of(ErrorKind::StepCount) }
            }
            Detail::ForeignGroup | Detail::ForeignSlot | Detail::ForeignInBatch { .. } => {
                Facts::of(ErrorKind::Foreign)
            }
            Detail::Repeated => Facts::of(ErrorKind::Repeated),
            Detail::NotInBatch { .. } => Facts::of(ErrorKind::Missing),
            Detail::NoMoreIds => Facts::of(ErrorKind::Memory),
            Detail::NameTaken => Facts::of(ErrorKind::Name),
            Detail::Missing { .. } | Detail::Surplus { .. } | Detail::Moved { .. } => {
                Facts::of(ErrorKind::Model)
            }
            Detail::RefusedElsewhere | Detail::OtherNorms | Detail::NoFindings => {
                Facts::of(ErrorKind::Agreement)
            }
            #[cfg(feature = "serde")]
            Detail::FutureVersion { .. }
            | Detail::VersionZero { .. }
            | Detail::LargestCounter { .. }
            | Detail::NoSuchGroup { .. } => Facts::of(ErrorKind::Snapshot),
            Detail::Unmatched { .. } | Detail::OtherGroup { .. } | Detail::GroupCount { .. } => {
                Facts::of(ErrorKind::Snapshot)
            }
            #[cfg(feature = "safetensors")]
            Detail::Adapter(error) => error.facts(),
        }
    }
}

impl From<Detail> for Error {
    #[cold]
    fn from(detail: Detail) -> Self {
        Error(Box::new(Repr { context: String::new(), tensor: None, detail }))
    }
}

/// The facts of an error, for a program; see the table above.
impl Error {
    /// Returns the kind of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.facts().kind
    }

    /// Returns the name of the tensor, if it has one: tensors of an [`Optimizer`](crate::Optimizer)
    /// and of a file do.
    #[must_use]
    pub fn tensor(&self) -> Option<&str> {
        self.0.tensor.as_deref()
    }

    /// Returns the array that is wrong: `parameter`, `gradient`, `first moment`, `infinity norm`,
    /// `average`, `saved parameter` or `row indices`; `state` for both moments together.
    #[must_use]
    pub fn array(&self) -> Option<&str> {
        self.facts().array
    }

    /// Returns the index of the first bad element, in logical order. It is empty for an array
    /// without axes. If an objective is not finite, this is the index of the parameter's element
    /// that was varied.
    #[must_use]
    pub fn index(&self) -> Option<&[usize]> {
        self.facts().index
    }

    /// Returns the name of the hyperparameter or argument that is out of range, as the message
    /// spells it. If several overflow together, this is their product, such as
    /// `learning rate * weight decay`.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        self.facts().setting
    }

    /// Returns the value of the bad element or setting. Counts are rounded to `f64`.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.facts().value
    }

    /// Returns the shape of the array that does not fit, to another array or into memory.
    #[must_use]
    pub fn found_shape(&self) -> Option<&[usize]> {
        self.facts().found_shape
    }

    /// Returns the shape that the array should have.
    #[must_use]
    pub fn expected_shape(&self) -> Option<&[usize]> {
        self.facts().expected_shape
    }

    fn facts(&self) -> Facts<'_> {
        self.0.detail.facts()
    }
}

impl Error {
    #[cold]
    pub(crate) fn in_tensor(mut self, name: &str) -> Self {
        self.0.tensor = Some(name.to_owned());
        self
    }

    /// Replaces the index of the element that is at fault, if there is one.
    #[cold]
    pub(crate) fn with_index(mut self, replace: impl Fn(&[usize]) -> Vec<usize>) -> Self {
        if let Detail::NonFinite { index, .. } | Detail::WouldOverflow { index, .. } =
            &mut self.0.detail
        {
            *index = replace(index);
        }
        self
    }

    /// Names a tensor of an optimizer. There, a state has the shape that was registered.
    #[cold]
    pub(crate) fn in_registered(mut self, name: &str) -> Self {
        if let Detail::Shape { role, found, reference: Role::State, expected } = self.0.detail {
            self.0.detail = Detail::Registered { role, found, expected };
        }
        self.in_tensor(name)
    }

    /// Puts a place in front of the message. Repeated calls go from the inside to the outside.
    #[cfg(feature = "safetensors")]
    #[cold]
    pub(crate) fn within(mut self, place: impl fmt::Display) -> Self {
        self.0.context = alloc::format!("{place}: {}", self.0.context);
        self
    }

    /// Refuses `found` if it differs from `expected`.
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
    pub(crate) fn shape(
        (role, found): (Role, &[usize]),
        (reference, expected): (Role, &[usize]),
    ) -> Self {
        let (found, expected) = (found.to_vec(), expected.to_vec());
        Detail::Shape { role, found, reference, expected }.into()
    }
}

/// Compares two shapes, or the strides of two arrays. Slices' `==` calls `memcmp`, which costs more
/// than comparing a few numbers in place; the case of one axis needs no loop.
#[inline(always)]
pub(crate) fn same<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    match (a, b) {
        ([a], [b]) => a == b,
        _ => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repr { context, tensor, detail } = &*self.0;
        let mut f = Escaping(f);
        f.write_str(context)?;
        if let Some(name) = tensor {
            write!(f, "tensor `{}`: ", Abbreviated::name(name))?;
        }
        write!(f, "{detail}")
    }
}

/// The message and the kind, since this is what `fn main() -> Result` and `unwrap` print.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.kind())
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.0.detail {
            #[cfg(feature = "safetensors")]
            Detail::Adapter(error) => error.source(),
            _ => None,
        }
    }
}

// An `io::Error` inside would take these traits away, but traits must not depend on features. They
// hold, since an error never changes after it is made.
impl core::panic::UnwindSafe for Error {}
impl core::panic::RefUnwindSafe for Error {}
