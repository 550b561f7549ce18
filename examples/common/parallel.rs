//! Runs independent jobs on all cores.

use adamax::Error;
use indicatif::ProgressBar;
use rayon::prelude::*;

/// Applies `work` to all jobs. The results are in the order of the jobs.
pub(crate) fn map<J: Sync, R: Send>(
    jobs: &[J],
    bar: &ProgressBar,
    work: impl Fn(&J) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    jobs.par_iter().map(|job| work(job).inspect(|_| bar.inc(1))).collect()
}
