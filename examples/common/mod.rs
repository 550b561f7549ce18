//! Code that the larger examples share: command line, CSV tables, progress bars, charts as PNG and
//! SVG, tables that are stepped by rows, and the comparison of optimizers.

#![allow(dead_code, reason = "each example uses only a part")]

pub(crate) mod chart;
pub(crate) mod command;
pub(crate) mod csv_gz;
pub(crate) mod curves;
pub(crate) mod descent;
pub(crate) mod headline;
pub(crate) mod labels;
pub(crate) mod parallel;
pub(crate) mod progress;
pub(crate) mod smooth;
pub(crate) mod spread;
pub(crate) mod sweep;
pub(crate) mod table;
