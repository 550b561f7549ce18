//! Serialisation: plain data, turned into valid values by the checks that also guard building.
//!
//! A document may leave out any setting, which then takes its default. So a setting that a later
//! release adds does not make older documents unreadable. An unknown setting is an error: ignoring
//! it would train with another rule than the one saved.
//!
//! A document may be hostile. Memory grows with what has been read, not with lengths that the document
//! claims; depth is limited on the way down; messages show control characters as escapes.

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, marker::PhantomData};

use ndarray::{Array, ArrayView, CowArray, IxDyn};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::{self, SerializeStruct},
};

#[cfg(feature = "argmin")]
use crate::argmin::{AdamaxSolver, Bounds};
use crate::{
    average::Average,
    error::{Abbreviated, Detail, Error, escaped, is_control},
    list,
    optimizer::max_norm::MaxNorm,
    optimizer::snapshot::{Snapshot, TensorSnapshot},
    real::Real,
    rule::{Adamax, BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay},
    schedule::{Observed, ReduceOnPlateau, Schedule, Settings},
    state::State,
    stop::{self, Stop},
};

/// A document was read that holds no valid value.
fn refusal<E: de::Error>(error: Error) -> E {
    E::custom(error)
}

/// A value could not be read back.
fn unwritable<E: ser::Error>(error: Error) -> E {
    E::custom(error)
}

/// Escapes what an error of serde quotes from the document without a change: names of unknown fields
/// and variants, of any length. Line breaks stay, because some formats need them for the place of the
/// error; so does an error that quotes nothing odd, with all that the format knows of it.
fn printable<E: de::Error>(error: E) -> E {
    /// In bytes. The longest list of known names takes half of this.
    const LONGEST: usize = 1000;

    let is_odd = |letter: char| is_control(letter) && letter != '\n';
    let message = error.to_string();
    if message.len() <= LONGEST && !message.contains(is_odd) {
        return error;
    }
    let lines: Vec<_> = message.split('\n').map(escaped).collect();
    E::custom(Abbreviated::to(LONGEST, &lines.join("\n")))
}

/// A rule as a document holds it, not checked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename = "Adamax", default, deny_unknown_fields)]
pub(crate) struct RuleData {
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    epsilon_placement: EpsilonPlacement,
    bias_correction: BiasCorrection,
    weight_decay: WeightDecay,
    /// `None` for ∞, which some formats (JSON) cannot write.
    clip_value: Option<f64>,
    /// `None` for −∞.
    lower_bound: Option<f64>,
    /// `None` for ∞.
    upper_bound: Option<f64>,
    objective: Objective,
    non_finite: NonFinite,
}

/// The settings that a document leaves out.
impl Default for RuleData {
    fn default() -> Self {
        RuleData::from(&Adamax::default())
    }
}

impl From<&Adamax> for RuleData {
    fn from(rule: &Adamax) -> Self {
        let (lower, upper) = rule.bounds();
        let finite = |bound: f64| Some(bound).filter(|bound| bound.is_finite());
        RuleData {
            learning_rate: rule.learning_rate(),
            beta1: rule.beta1(),
            beta2: rule.beta2(),
            epsilon: rule.epsilon(),
            epsilon_placement: rule.epsilon_placement(),
            bias_correction: rule.bias_correction(),
            weight_decay: rule.weight_decay(),
            clip_value: finite(rule.clip_value()),
            lower_bound: finite(lower),
            upper_bound: finite(upper),
            objective: rule.objective(),
            non_finite: rule.non_finite(),
        }
    }
}

impl TryFrom<RuleData> for Adamax {
    type Error = Error;

    fn try_from(data: RuleData) -> Result<Self, Error> {
        let lower = data.lower_bound.unwrap_or(f64::NEG_INFINITY);
        let upper = data.upper_bound.unwrap_or(f64::INFINITY);
        Adamax::builder()
            .learning_rate(data.learning_rate)
            .beta1(data.beta1)
            .beta2(data.beta2)
            .epsilon(data.epsilon)
            .epsilon_placement(data.epsilon_placement)
            .bias_correction(data.bias_correction)
            .weight_decay(data.weight_decay)
            .clip_value(data.clip_value.unwrap_or(f64::INFINITY))
            .bounds(lower, upper)
            .objective(data.objective)
            .non_finite(data.non_finite)
            .build()
    }
}

impl Serialize for Adamax {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RuleData::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Adamax {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RuleData::deserialize(deserializer).map_err(printable)?.try_into().map_err(refusal)
    }
}

/// An array as ndarray writes it. Its own reading reserves memory for the length that the document
/// claims.
#[derive(Deserialize)]
#[serde(rename = "Array", deny_unknown_fields)]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
struct ArrayData<A> {
    v: u8,
    #[serde(deserialize_with = "list::read")]
    dim: Vec<usize>,
    #[serde(deserialize_with = "list::read")]
    data: Vec<A>,
}

/// The version of an array as ndarray writes it.
const PLAIN: u8 = 1;
/// The version of a first moment if the document has a list of counters too, one for each row. An old
/// release refuses this version, in every format. So it never takes such a state for one without rows.
const BY_ROWS: u8 = 2;

impl<A> ArrayData<A> {
    fn unknown_version<E: de::Error>(&self, known: &str) -> E {
        let found = self.v;
        E::custom(format_args!("array has version {found}, but this release reads {known}"))
    }
}

fn read_array<'de, A, D>(deserializer: D) -> Result<CowArray<'static, A, IxDyn>, D::Error>
where
    A: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let array = ArrayData::deserialize(deserializer)?;
    match array.v {
        PLAIN => shaped(&array.dim, array.data).map(CowArray::from),
        _ => Err(array.unknown_version("version 1")),
    }
}

fn shaped<A, E: de::Error>(dim: &[usize], data: Vec<A>) -> Result<Array<A, IxDyn>, E> {
    let length = data.len();
    Array::from_shape_vec(dim, data).map_err(|_| {
        let shape = format!("{dim:?}");
        let shape = Abbreviated::name(&shape);
        de::Error::custom(format!("array of shape {shape} has {length} elements"))
    })
}

/// A state as a document holds it, not checked.
///
/// Formats without names read fields in their order, and cannot leave out the last one. So the version of
/// the first moment says whether `row_steps` comes.
struct StateData<'a, A: Real> {
    steps: u64,
    first_moment: CowArray<'a, A, IxDyn>,
    inf_norm: CowArray<'a, A, IxDyn>,
    /// t of each row of a table; then `steps` is the largest of them.
    row_steps: Option<Cow<'a, [u64]>>,
}

impl<'a, A: Real> StateData<'a, A> {
    /// Refuses moments that reading would refuse: a run must not believe that it is saved.
    fn of(state: &'a State<A>) -> Result<Self, Error> {
        state.check()?;
        Ok(StateData {
            steps: state.steps(),
            first_moment: state.first_moment().into(),
            inf_norm: state.inf_norm().into(),
            row_steps: state.row_steps().map(Cow::Borrowed),
        })
    }

    fn read(self) -> Result<State<A>, Error> {
        let StateData { steps, first_moment, inf_norm, row_steps } = self;
        let (m, u) = (first_moment.into_owned(), inf_norm.into_owned());
        let Some(row_steps) = row_steps else { return State::from_parts(steps, m, u) };
        let state = State::from_row_parts(row_steps.into_owned(), m, u)?;
        match state.steps() {
            largest if largest == steps => Ok(state),
            largest => Err(Detail::LargestCounter { steps, largest }.into()),
        }
    }
}

impl<A: Real + Serialize> Serialize for StateData<'_, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let StateData { steps, first_moment, inf_norm, row_steps } = self;
        let v = if row_steps.is_some() { BY_ROWS } else { PLAIN };
        let first_moment = Versioned { v, dim: first_moment.shape(), data: first_moment.view() };
        let fields = STATE_FIELDS.len() - usize::from(row_steps.is_none());
        let mut state = serializer.serialize_struct("State", fields)?;
        state.serialize_field("steps", steps)?;
        state.serialize_field("first_moment", &first_moment)?;
        state.serialize_field("inf_norm", inf_norm)?;
        if let Some(row_steps) = row_steps {
            state.serialize_field("row_steps", row_steps)?;
        }
        state.end()
    }
}

/// An array as ndarray writes it, except for its version.
#[derive(Serialize)]
#[serde(rename = "Array")]
struct Versioned<'a, A: Serialize> {
    v: u8,
    dim: &'a [usize],
    #[serde(serialize_with = "write_elements")]
    data: ArrayView<'a, A, IxDyn>,
}

fn write_elements<A: Serialize, S: Serializer>(
    array: &ArrayView<'_, A, IxDyn>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(array.iter())
}

const STATE_FIELDS: [&str; 4] = ["steps", "first_moment", "inf_norm", "row_steps"];

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum StateField {
    Steps,
    FirstMoment,
    InfNorm,
    RowSteps,
}

/// A first moment, and whether counters of rows belong to it.
struct FirstMoment<A> {
    array: Array<A, IxDyn>,
    by_rows: bool,
}

impl<'de, A: Deserialize<'de>> Deserialize<'de> for FirstMoment<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let array = ArrayData::deserialize(deserializer)?;
        let by_rows = array.v == BY_ROWS;
        match array.v {
            PLAIN | BY_ROWS => {
                shaped(&array.dim, array.data).map(|array| FirstMoment { array, by_rows })
            }
            _ => Err(array.unknown_version("versions 1 and 2")),
        }
    }
}

#[derive(Deserialize)]
#[serde(transparent, bound(deserialize = "A: Real + Deserialize<'de>"))]
struct InfNorm<A: Real>(#[serde(deserialize_with = "read_array")] CowArray<'static, A, IxDyn>);

#[derive(Deserialize)]
#[serde(transparent)]
struct RowSteps(#[serde(deserialize_with = "list::read")] Vec<u64>);

impl<'de, A: Real + Deserialize<'de>> Deserialize<'de> for StateData<'_, A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("State", &STATE_FIELDS, StateVisitor(PhantomData))
    }
}

struct StateVisitor<'a, A>(PhantomData<&'a A>);

impl<'a, 'de, A: Real + Deserialize<'de>> Visitor<'de> for StateVisitor<'a, A> {
    type Value = StateData<'a, A>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("struct State")
    }

    fn visit_seq<Q: SeqAccess<'de>>(self, mut fields: Q) -> Result<Self::Value, Q::Error> {
        let missing = |read| de::Error::invalid_length(read, &self);
        let steps = fields.next_element()?.ok_or_else(|| missing(0))?;
        let FirstMoment { array, by_rows } = fields.next_element()?.ok_or_else(|| missing(1))?;
        let InfNorm(inf_norm) = fields.next_element()?.ok_or_else(|| missing(2))?;
        let row_steps = if by_rows {
            let RowSteps(row_steps) = fields.next_element()?.ok_or_else(|| missing(3))?;
            Some(row_steps.into())
        } else {
            None
        };
        Ok(StateData { steps, first_moment: array.into(), inf_norm, row_steps })
    }

    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<Self::Value, M::Error> {
        let (mut steps, mut first_moment, mut inf_norm, mut row_steps) = (None, None, None, None);
        while let Some(field) = fields.next_key()? {
            match field {
                StateField::Steps => read_once(&mut steps, "steps", &mut fields)?,
                StateField::FirstMoment => {
                    read_once(&mut first_moment, "first_moment", &mut fields)?;
                }
                StateField::InfNorm => read_once(&mut inf_norm, "inf_norm", &mut fields)?,
                StateField::RowSteps => read_once(&mut row_steps, "row_steps", &mut fields)?,
            }
        }
        let missing = de::Error::missing_field;
        let steps = steps.ok_or_else(|| missing("steps"))?;
        let FirstMoment { array, by_rows } = first_moment.ok_or_else(|| missing("first_moment"))?;
        let InfNorm(inf_norm) = inf_norm.ok_or_else(|| missing("inf_norm"))?;
        let row_steps = match row_steps {
            None if by_rows => return Err(missing("row_steps")),
            Some(_) if !by_rows => {
                return Err(de::Error::custom(
                    "`row_steps` is for a first moment of version 2, but this one has version 1",
                ));
            }
            found => found.map(|RowSteps(row_steps)| row_steps.into()),
        };
        Ok(StateData { steps, first_moment: array.into(), inf_norm, row_steps })
    }
}

/// Reads the value of a field, which must come once.
fn read_once<'de, T: Deserialize<'de>, M: MapAccess<'de>>(
    value: &mut Option<T>,
    name: &'static str,
    fields: &mut M,
) -> Result<(), M::Error> {
    if value.is_some() {
        return Err(de::Error::duplicate_field(name));
    }
    *value = Some(fields.next_value()?);
    Ok(())
}

impl<A: Real + Serialize> Serialize for State<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StateData::of(self).map_err(unwritable)?.serialize(serializer)
    }
}

impl<'de, A: Real + Deserialize<'de>> Deserialize<'de> for State<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StateData::deserialize(deserializer).map_err(printable)?.read().map_err(refusal)
    }
}

/// One tensor of a snapshot. Snapshots hold a list of these instead of a map: most parsers keep the
/// last of two equal keys without a word.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Tensor", deny_unknown_fields)]
#[serde(bound(serialize = "A: Real + Serialize", deserialize = "A: Real + Deserialize<'de>"))]
struct TensorData<'a, A: Real> {
    name: Cow<'a, str>,
    group: usize,
    state: StateData<'a, A>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Snapshot", deny_unknown_fields)]
#[serde(bound(serialize = "A: Real + Serialize", deserialize = "A: Real + Deserialize<'de>"))]
struct SnapshotData<'a, A: Real> {
    version: Version,
    #[serde(deserialize_with = "read_groups")]
    groups: Cow<'a, [Adamax]>,
    #[serde(deserialize_with = "list::read")]
    tensors: Vec<TensorData<'a, A>>,
    #[serde(default = "default_lr_scale")]
    lr_scale: f64,
    /// Releases before `MaxNormData` had infinite bounds wrote `None` for them.
    #[serde(default)]
    max_norm: Option<MaxNorm>,
}

fn read_groups<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'static, [Adamax]>, D::Error> {
    list::read(deserializer).map(Cow::Owned)
}

impl<'a, A: Real> TensorData<'a, A> {
    fn of(name: &'a str, tensor: &'a TensorSnapshot<A>) -> Result<Self, Error> {
        let state = StateData::of(&tensor.state).map_err(|error| error.in_tensor(name))?;
        Ok(TensorData { name: Cow::Borrowed(name), group: tensor.group, state })
    }

    fn read(self) -> Result<(String, TensorSnapshot<A>), Error> {
        let TensorData { name, group, state } = self;
        let state = state.read().map_err(|error| error.in_tensor(&name))?;
        Ok((name.into_owned(), TensorSnapshot { group, state }))
    }
}

/// The scale of a snapshot that does not name one.
pub(crate) fn default_lr_scale() -> f64 {
    1.0
}

/// The first version that has counters of rows. Documents without them have the version before, so that old
/// releases read them.
const WITH_ROWS: u32 = 2;

/// The version of a snapshot's layout. As the first field it is checked before the others are read,
/// so that an old release complains of the version and not of an unknown field.
#[derive(Serialize)]
struct Version(u32);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = u32::deserialize(deserializer)?;
        check_version("snapshot", version, Snapshot::<f64>::VERSION).map_err(refusal)?;
        Ok(Version(version))
    }
}

/// Refuses a version that this release cannot read.
pub(crate) fn check_version(document: &'static str, found: u32, newest: u32) -> Result<(), Error> {
    match found {
        0 => Err(Detail::VersionZero { document }.into()),
        _ if found > newest => Err(Detail::FutureVersion { document, found, newest }.into()),
        _ => Ok(()),
    }
}

impl<A: Real + Serialize> Serialize for Snapshot<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tensors = self.tensors().iter().map(|(name, tensor)| TensorData::of(name, tensor));
        SnapshotData {
            version: Version(if self.counts_by_rows() { WITH_ROWS } else { WITH_ROWS - 1 }),
            groups: Cow::Borrowed(self.groups()),
            tensors: tensors.collect::<Result<_, _>>().map_err(unwritable)?,
            lr_scale: self.lr_scale(),
            max_norm: self.max_norm(),
        }
        .serialize(serializer)
    }
}

impl<'de, A: Real + Deserialize<'de>> Deserialize<'de> for Snapshot<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = SnapshotData::deserialize(deserializer).map_err(printable)?;
        let read = || -> Result<Self, Error> {
            let tensors = data.tensors.into_iter().map(TensorData::read);
            Snapshot::from_foreign(
                data.groups.into_owned(),
                tensors.collect::<Result<Vec<_>, _>>()?,
                data.lr_scale,
                data.max_norm,
            )
        };
        read().map_err(refusal)
    }
}

/// A norm bound as a document holds it, not checked. An infinite bound is a name, because some formats
/// (JSON) have no infinity.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename = "MaxNorm")]
pub(crate) enum MaxNormData {
    Global(f64),
    PerTensor(f64),
    GlobalInfinite,
    PerTensorInfinite,
}

impl From<MaxNorm> for MaxNormData {
    fn from(max_norm: MaxNorm) -> Self {
        match max_norm {
            MaxNorm::Global(f64::INFINITY) => MaxNormData::GlobalInfinite,
            MaxNorm::PerTensor(f64::INFINITY) => MaxNormData::PerTensorInfinite,
            MaxNorm::Global(bound) => MaxNormData::Global(bound),
            MaxNorm::PerTensor(bound) => MaxNormData::PerTensor(bound),
        }
    }
}

impl From<MaxNormData> for MaxNorm {
    fn from(data: MaxNormData) -> Self {
        match data {
            MaxNormData::Global(bound) => MaxNorm::Global(bound),
            MaxNormData::PerTensor(bound) => MaxNorm::PerTensor(bound),
            MaxNormData::GlobalInfinite => MaxNorm::Global(f64::INFINITY),
            MaxNormData::PerTensorInfinite => MaxNorm::PerTensor(f64::INFINITY),
        }
    }
}

impl Serialize for MaxNorm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check().map_err(unwritable)?;
        MaxNormData::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MaxNorm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let max_norm: MaxNorm = MaxNormData::deserialize(deserializer).map_err(printable)?.into();
        max_norm.check().map_err(refusal)?;
        Ok(max_norm)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Average", deny_unknown_fields)]
#[serde(bound(serialize = "A: Real + Serialize", deserialize = "A: Real + Deserialize<'de>"))]
struct AverageData<'a, A: Real> {
    decay: f64,
    updates: u64,
    #[serde(deserialize_with = "read_array")]
    mean: CowArray<'a, A, IxDyn>,
}

impl<A: Real + Into<M>, M: Real + Serialize> Serialize for Average<A, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check_finite().map_err(unwritable)?;
        AverageData { decay: self.decay(), updates: self.updates(), mean: self.mean().into() }
            .serialize(serializer)
    }
}

impl<'de, A, M> Deserialize<'de> for Average<A, M>
where
    A: Real + Into<M>,
    M: Real + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = AverageData::deserialize(deserializer).map_err(printable)?;
        Average::from_parts(data.decay, data.updates, data.mean.into_owned()).map_err(refusal)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Schedule::read(deserializer).map_err(printable)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "ReduceOnPlateau", deny_unknown_fields)]
struct PlateauData {
    settings: Settings,
    observed: Observed,
}

impl Serialize for ReduceOnPlateau {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (settings, observed) = self.parts();
        PlateauData { settings, observed }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ReduceOnPlateau {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PlateauData { settings, observed } =
            PlateauData::deserialize(deserializer).map_err(printable)?;
        ReduceOnPlateau::from_parts(settings, observed).map_err(refusal)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Stop", deny_unknown_fields)]
struct StopData {
    settings: stop::Settings,
    observed: stop::Observed,
}

impl Serialize for Stop {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (settings, observed) = self.parts();
        StopData { settings, observed }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StopData { settings, observed } =
            StopData::deserialize(deserializer).map_err(printable)?;
        Stop::from_parts(settings, observed).map_err(refusal)
    }
}

#[cfg(feature = "argmin")]
#[derive(Serialize, Deserialize)]
#[serde(rename = "AdamaxSolver", deny_unknown_fields)]
#[serde(bound(serialize = "A: Real + Serialize", deserialize = "A: Real + Deserialize<'de>"))]
struct SolverData<'a, A: Real> {
    rule: Adamax,
    #[serde(default)]
    schedule: Option<Cow<'a, Schedule>>,
    #[serde(default)]
    tolerance_grad: f64,
    #[serde(default)]
    tolerance_step: f64,
    #[serde(default)]
    state: Option<Cow<'a, State<A>>>,
    #[serde(default)]
    bounds: Option<BoundsData<A>>,
    #[serde(default)]
    stop: Option<Cow<'a, Stop>>,
}

/// The bounds of each element as a document holds them, not checked. `None` is for an infinite one, which
/// some formats (JSON) cannot write.
#[cfg(feature = "argmin")]
#[derive(Serialize, Deserialize)]
#[serde(rename = "Bounds", deny_unknown_fields)]
#[serde(bound(serialize = "A: Serialize", deserialize = "A: Deserialize<'de>"))]
struct BoundsData<A> {
    #[serde(deserialize_with = "list::read")]
    dim: Vec<usize>,
    #[serde(deserialize_with = "list::read")]
    lower: Vec<Option<A>>,
    #[serde(deserialize_with = "list::read")]
    upper: Vec<Option<A>>,
}

#[cfg(feature = "argmin")]
impl<A: Real> BoundsData<A> {
    fn of(bounds: &Bounds<A>) -> Self {
        let [lower, upper] = bounds.as_arrays();
        let finite = |bounds: &Array<A, IxDyn>| {
            bounds.iter().map(|&bound| Some(bound).filter(|bound| bound.is_finite())).collect()
        };
        BoundsData { dim: lower.shape().to_vec(), lower: finite(lower), upper: finite(upper) }
    }

    /// Returns the lower and the upper bounds.
    fn read<E: de::Error>(self) -> Result<[Array<A, IxDyn>; 2], E> {
        let BoundsData { dim, lower, upper } = self;
        let array = |bounds: Vec<Option<A>>, infinite: A| {
            let data = bounds.into_iter().map(|bound| bound.unwrap_or(infinite)).collect();
            shaped(&dim, data)
        };
        Ok([array(lower, -A::INFINITY)?, array(upper, A::INFINITY)?])
    }
}

#[cfg(feature = "argmin")]
impl<A: Real + Serialize> Serialize for AdamaxSolver<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SolverData {
            rule: *self.rule(),
            schedule: self.schedule().map(Cow::Borrowed),
            tolerance_grad: self.tolerance_grad(),
            tolerance_step: self.tolerance_step(),
            state: self.state().map(Cow::Borrowed),
            bounds: self.bounds().map(BoundsData::of),
            stop: self.stop().map(Cow::Borrowed),
        }
        .serialize(serializer)
    }
}

#[cfg(feature = "argmin")]
impl<'de, A: Real + Deserialize<'de>> Deserialize<'de> for AdamaxSolver<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = SolverData::deserialize(deserializer).map_err(printable)?;
        let mut solver = AdamaxSolver::new(data.rule)
            .with_tolerance_grad(data.tolerance_grad)
            .and_then(|solver| solver.with_tolerance_step(data.tolerance_step))
            .map_err(de::Error::custom)?;
        if let Some(schedule) = data.schedule {
            solver = solver.with_schedule(schedule.into_owned());
        }
        if let Some(bounds) = data.bounds {
            let [lower, upper] = bounds.read()?;
            solver = solver.with_bounds(&lower, &upper).map_err(de::Error::custom)?;
        }
        if let Some(stop) = data.stop {
            solver = solver.with_stop(stop.into_owned());
        }
        if let Some(state) = data.state {
            solver = solver.with_state(state.into_owned());
        }
        Ok(solver)
    }
}
