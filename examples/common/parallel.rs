//! Independent jobs on all cores.

use std::{
    panic::resume_unwind,
    thread::{self, ScopedJoinHandle},
};

use adamax::Error;
use indicatif::ProgressBar;

/// Does `work` on all jobs, split among as many threads as there are cores. The results come in the
/// order of the jobs.
pub(crate) fn map<J: Sync, R: Send>(
    jobs: &[J],
    bar: &ProgressBar,
    work: impl Fn(&J) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let do_share = |share: &[J]| -> Vec<_> {
        share.iter().map(|job| work(job).inspect(|_| bar.inc(1))).collect()
    };
    let do_share = &do_share;
    thread::scope(|scope| {
        let shares = jobs.chunks(jobs.len().div_ceil(threads).max(1));
        let workers: Vec<_> = shares.map(|share| scope.spawn(move || do_share(share))).collect();
        let results = workers.into_iter().map(ScopedJoinHandle::join);
        results.flat_map(|result| result.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
