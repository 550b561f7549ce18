//! The tests of `tests/suite` whose results could depend on the processor.

#[path = "../../common/mod.rs"]
mod common;

#[path = "../../suite/atomicity.rs"]
mod atomicity;
#[path = "../../suite/average.rs"]
mod average;
#[path = "../../suite/bounds.rs"]
mod bounds;
#[path = "../../suite/clip.rs"]
mod clip;
#[path = "../../suite/equivalence.rs"]
mod equivalence;
#[path = "../../suite/errors.rs"]
mod errors;
#[path = "../../suite/exact/mod.rs"]
mod exact;
#[path = "../../suite/golden.rs"]
mod golden;
#[path = "../../suite/gradient_check.rs"]
mod gradient_check;
#[path = "../../suite/layouts.rs"]
mod layouts;
#[path = "../../suite/model.rs"]
mod model;
#[path = "../../suite/norms.rs"]
mod norms;
#[path = "../../suite/optimizer.rs"]
mod optimizer;
#[path = "../../suite/oracle.rs"]
mod oracle;
#[path = "../../suite/paper.rs"]
mod paper;
#[path = "../../suite/parts.rs"]
mod parts;
#[path = "../../suite/plateau.rs"]
mod plateau;
#[path = "../../suite/processes.rs"]
mod processes;
#[path = "../../suite/properties.rs"]
mod properties;
#[path = "../../suite/rows.rs"]
mod rows;
#[path = "../../suite/schedule.rs"]
mod schedule;
#[path = "../../suite/snapshot.rs"]
mod snapshot;
#[path = "../../suite/stop.rs"]
mod stop;
#[path = "../../suite/surgery.rs"]
mod surgery;
#[path = "../../suite/value_stability.rs"]
mod value_stability;
