//! The record of a file: everything of a snapshot except its arrays, as JSON in the metadata.
//!
//! As in documents of serde, settings that are left out take their defaults and unknown ones are
//! errors.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Checkpoint, error::FileError, header, unique::Unique};
use crate::{
    error::Error,
    optimizer::max_norm::MaxNorm,
    optimizer::snapshot::{Snapshot, TensorSnapshot},
    real::Real,
    rule::Adamax,
    serde::{RuleData, check_version, default_lr_scale},
    state::State,
};

/// The key of the record in the metadata.
pub(super) const KEY: &str = "adamax";

/// JSON under [`KEY`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    groups: Vec<RuleData>,
    tensors: Unique<TensorRecord>,
    #[serde(default = "default_lr_scale")]
    lr_scale: f64,
    /// `None` also stands for ∞, which JSON cannot write, and which clips nothing either.
    #[serde(default)]
    max_norm: Option<MaxNorm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorRecord {
    group: usize,
    steps: u64,
}

impl Record {
    pub(super) fn of<A: Real>(snapshot: &Snapshot<A>) -> Self {
        let tensors = snapshot.tensors().iter().map(|(name, tensor)| {
            (name.clone(), TensorRecord { group: tensor.group, steps: tensor.state.steps() })
        });
        Record {
            version: Checkpoint::<A>::VERSION,
            groups: snapshot.groups().iter().map(RuleData::from).collect(),
            tensors: Unique(tensors.collect()),
            lr_scale: snapshot.lr_scale(),
            max_norm: snapshot.max_norm().filter(|max_norm| max_norm.bound().is_finite()),
        }
    }

    pub(super) fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|source| FileError::json(KEY, source))
    }

    pub(super) fn from_json(json: &str) -> Result<Self, Error> {
        /// The part of a record that every version has. It is read alone first, so that an old
        /// release complains of the version and not of an unknown field.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = header::from_json(KEY, json.as_bytes())?;
        check_version("state file", version, Checkpoint::<f64>::VERSION)?;
        header::from_json(KEY, json.as_bytes())
    }

    /// Makes the snapshot. `state` gets the name and the number of steps of each tensor.
    pub(super) fn into_snapshot<A: Real>(
        self,
        mut state: impl FnMut(&str, u64) -> Result<State<A>, Error>,
    ) -> Result<Snapshot<A>, Error> {
        let mut groups = Vec::new();
        for (index, data) in self.groups.into_iter().enumerate() {
            let rule = Adamax::try_from(data);
            groups.push(rule.map_err(|error| error.within(format_args!("group {index}")))?);
        }
        let mut tensors = Vec::new();
        for (name, TensorRecord { group, steps }) in self.tensors.0 {
            let state = state(&name, steps)?;
            tensors.push((name, TensorSnapshot { group, state }));
        }
        Snapshot::from_foreign(groups, tensors, self.lr_scale, self.max_norm)
    }
}
