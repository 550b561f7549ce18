//! What the larger examples share: compressed tables, progress bars, charts as PNG and SVG.

pub(crate) mod chart;
pub(crate) mod csv_gz;
pub(crate) mod progress;
