//! The record of a file: everything of a snapshot except its arrays, as JSON in the metadata.
//!
//! A file may leave settings open: the optimizer that restores it then keeps its own. Settings that
//! this release does not know are errors.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    Checkpoint,
    average::SavedAverage,
    error::{FileError, Part},
    header,
    unique::Unique,
};
use crate::{
    error::Error,
    optimizer::max_norm::MaxNorm,
    optimizer::snapshot::{Open, Snapshot, TensorSnapshot},
    real::Real,
    rule::{Adamax, open::Settings},
    serde::{MaxNormData, RuleData, check_version, default_lr_scale},
    state::State,
};

/// The key of the record in the metadata.
pub(super) const KEY: &str = "adamax";
/// The name of the record in messages.
const PART: Part = Part::Record(KEY);

/// The most groups in a file: two letters of a hostile one can stand for a whole rule.
const MOST_GROUPS: usize = 1 << 16;

/// JSON under [`KEY`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    #[serde(deserialize_with = "crate::list::read_at_most::<MOST_GROUPS, _, _>")]
    groups: Vec<RuleData>,
    tensors: Unique<TensorRecord>,
    #[serde(default = "default_lr_scale")]
    lr_scale: f64,
    #[serde(default)]
    max_norm: Option<MaxNormData>,
    #[serde(default = "Unique::empty", skip_serializing_if = "Unique::is_empty")]
    pub(super) averages: Unique<AverageRecord>,
    /// The settings above that the JSON leaves out.
    #[serde(skip)]
    open: Open,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorRecord {
    group: usize,
    /// `None` for a table, whose counters are an array of the file.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    steps: Option<u64>,
}

/// Reads a value that is not `null`.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(deserializer).map(Some)
}

/// An average, except its mean, which is an array of the file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AverageRecord {
    pub(super) decay: f64,
    pub(super) updates: u64,
}

/// The first version that has averages. A file has the lowest version that can hold its content, so that
/// old releases read it.
const WITH_AVERAGES: u32 = 2;
/// The first version that has counters of rows.
const WITH_ROWS: u32 = 3;

impl Record {
    pub(super) fn of<A: Real>(
        snapshot: &Snapshot<A>,
        averages: &BTreeMap<String, SavedAverage>,
    ) -> Result<Self, Error> {
        let groups = snapshot.groups().len();
        if groups > MOST_GROUPS {
            return Err(FileError::Groups { groups, most: MOST_GROUPS }.into());
        }
        let tensors = snapshot.tensors().iter().map(|(name, tensor)| {
            let TensorSnapshot { group, state } = tensor;
            let steps = state.row_steps().is_none().then_some(state.steps());
            (name.clone(), TensorRecord { group: *group, steps })
        });
        let version = match (snapshot.counts_by_rows(), averages.is_empty()) {
            (true, _) => WITH_ROWS,
            (false, false) => WITH_AVERAGES,
            (false, true) => WITH_AVERAGES - 1,
        };
        Ok(Record {
            version,
            groups: snapshot.groups().iter().map(RuleData::from).collect(),
            tensors: Unique(tensors.collect()),
            lr_scale: snapshot.lr_scale(),
            max_norm: snapshot.max_norm().map(MaxNormData::from),
            averages: Unique(
                averages.iter().map(|(name, saved)| (name.clone(), saved.record)).collect(),
            ),
            open: snapshot.open().clone(),
        })
    }

    pub(super) fn to_json(&self) -> Result<String, Error> {
        let text = if self.open == Open::default() {
            serde_json::to_string(self)
        } else {
            serde_json::to_value(self).and_then(|mut record| {
                remove(&mut record, &self.open);
                serde_json::to_string(&record)
            })
        };
        text.map_err(|source| FileError::json(&PART, source))
    }

    pub(super) fn from_json(json: &str) -> Result<Self, Error> {
        /// The part of a record that every version has. It is read alone first, so that an old
        /// release complains of the version and not of an unknown field.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = header::from_json(&PART, json.as_bytes())?;
        check_version("state file", version, Checkpoint::<f64>::VERSION)?;
        let record: Record = header::from_json(&PART, json.as_bytes())?;
        Ok(Record { open: left_out(json)?, ..record })
    }

    /// Makes the snapshot. `state` gets the name and the number of steps of each tensor; `None` for a table
    /// with counters of its own.
    pub(super) fn into_snapshot<A: Real>(
        self,
        mut state: impl FnMut(&str, Option<u64>) -> Result<State<A>, Error>,
    ) -> Result<Snapshot<A>, Error> {
        let mut groups = Vec::with_capacity(self.groups.len());
        for (index, data) in self.groups.into_iter().enumerate() {
            let rule = Adamax::try_from(data);
            groups.push(rule.map_err(|error| error.within(format_args!("group {index}")))?);
        }
        // One by one: a list of names without arrays would take much memory before it is refused.
        let mut fault = None;
        let tensors = self.tensors.0.into_iter().map_while(|(name, record)| {
            let TensorRecord { group, steps } = record;
            let state = state(&name, steps).map_err(|error| fault = Some(error)).ok()?;
            Some((name, TensorSnapshot { group, state }))
        });
        let max_norm = self.max_norm.map(MaxNorm::from);
        let snapshot = Snapshot::from_foreign(groups, tensors, self.lr_scale, max_norm);
        fault.map_or(snapshot, Err).map(|snapshot| snapshot.leaving(self.open))
    }
}

// The names of fields of [`Record`].
const GROUPS: &str = "groups";
const LR_SCALE: &str = "lr_scale";
const MAX_NORM: &str = "max_norm";

/// Finds the settings that a valid record leaves out.
fn left_out(json: &str) -> Result<Open, Error> {
    let fields: BTreeMap<String, &RawValue> = header::from_json(&PART, json.as_bytes())?;
    let groups = fields.get(GROUPS).map_or("[]", |groups| groups.get());
    let groups: Vec<LeftOut> = header::from_json(&PART, groups.as_bytes())?;
    let mut rules: Vec<Settings> = groups.into_iter().map(|LeftOut(settings)| settings).collect();
    if rules.iter().all(|&settings| settings == Settings::default()) {
        rules.clear();
    }
    Ok(Open {
        lr_scale: !fields.contains_key(LR_SCALE),
        max_norm: !fields.contains_key(MAX_NORM),
        rules,
    })
}

/// Removes the open settings from a record.
fn remove(record: &mut serde_json::Value, open: &Open) {
    let mut fields = record.as_object_mut();
    for (open, name) in [(open.lr_scale, LR_SCALE), (open.max_norm, MAX_NORM)] {
        if let Some(fields) = fields.as_mut().filter(|_| open) {
            fields.remove(name);
        }
    }
    let groups = fields.and_then(|fields| fields.get_mut(GROUPS)?.as_array_mut());
    for (group, settings) in groups.into_iter().flatten().zip(&open.rules) {
        for name in settings.names() {
            group.as_object_mut().and_then(|group| group.remove(name));
        }
    }
}

/// The settings that a rule in JSON does not name.
struct LeftOut(Settings);

impl<'de> Deserialize<'de> for LeftOut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Unique(named) = Unique::<IgnoredAny>::deserialize(deserializer)?;
        let mut settings = Settings::all();
        for name in named.keys() {
            settings.remove(name);
        }
        Ok(LeftOut(settings))
    }
}
