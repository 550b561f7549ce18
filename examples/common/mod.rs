//! What the larger examples share: the command line, compressed tables, progress bars, charts as PNG
//! and SVG, the comparison of optimizers.

#![allow(dead_code, reason = "each example uses its part")]

pub(crate) mod chart;
pub(crate) mod command;
pub(crate) mod csv_gz;
pub(crate) mod curves;
pub(crate) mod descent;
pub(crate) mod parallel;
pub(crate) mod progress;
pub(crate) mod spread;
pub(crate) mod sweep;
