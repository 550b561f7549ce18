//! The code of the other package's examples: command line, table, progress bar and charts.

#![allow(dead_code, reason = "this example uses only a part")]

#[path = "../../../examples/common/chart.rs"]
pub(crate) mod chart;
#[path = "../../../examples/common/command.rs"]
pub(crate) mod command;
#[path = "../../../examples/common/csv_gz.rs"]
pub(crate) mod csv_gz;
#[path = "../../../examples/common/curves.rs"]
pub(crate) mod curves;
#[path = "../../../examples/common/descent.rs"]
pub(crate) mod descent;
#[path = "../../../examples/common/headline.rs"]
pub(crate) mod headline;
#[path = "../../../examples/common/progress.rs"]
pub(crate) mod progress;
#[path = "../../../examples/common/smooth.rs"]
pub(crate) mod smooth;
#[path = "../../../examples/common/spread.rs"]
pub(crate) mod spread;
