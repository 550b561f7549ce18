//! What has run, and how it ended: so that one sees that everything happens.

use adamax::ErrorKind;
use std::{collections::BTreeMap, fmt};

/// The end of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Done,
    Skipped,
    /// The error by its name, because kinds have no order.
    Refused(&'static str),
}

/// The number of operations by name and end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(BTreeMap<(&'static str, End), u64>);

impl Counts {
    pub(crate) fn add(&mut self, operation: &'static str, end: End) {
        *self.0.entry((operation, end)).or_default() += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns the number of operations of this name that ended in this way.
    pub(crate) fn of(&self, operation: &'static str, end: End) -> u64 {
        self.0.get(&(operation, end)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((operation, end), count) in &self.0 {
            let end = match end {
                End::Done => "done",
                End::Skipped => "skipped",
                End::Refused(kind) => kind,
            };
            writeln!(f, "{count:>10}  {operation:<24}  {end}")?;
        }
        writeln!(f, "{:>10}  operations", self.total())
    }
}

/// Returns the name of a kind of error.
pub(crate) fn name_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Hyperparameter => "Hyperparameter",
        ErrorKind::Shape => "Shape",
        ErrorKind::NonFinite => "NonFinite",
        ErrorKind::NegativeNorm => "NegativeNorm",
        ErrorKind::Precision => "Precision",
        ErrorKind::StepCount => "StepCount",
        ErrorKind::Foreign => "Foreign",
        ErrorKind::Repeated => "Repeated",
        ErrorKind::Rows => "Rows",
        ErrorKind::Missing => "Missing",
        ErrorKind::Name => "Name",
        ErrorKind::Snapshot => "Snapshot",
        _ => "another error",
    }
}
