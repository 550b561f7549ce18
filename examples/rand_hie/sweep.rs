//! The comparison: what a learning rate that is off costs each optimizer.

use std::{
    panic::resume_unwind,
    thread::{self, ScopedJoinHandle},
};

use adamax::Error;
use indicatif::ProgressBar;

use crate::{
    contest::{Contest, DIVERGED, EPOCHS, Setting, Spread},
    descent::Method,
};

/// The excess below which a learning rate counts as usable.
pub(crate) const USABLE: f64 = 0.05;

/// Loss curves are drawn at the best learning rate and at others that are so much larger.
pub(crate) const MULTIPLES: [f64; 3] = [1.0, 10.0, 100.0];

/// Learning rates from far too small to far too large, for one optimizer.
pub(crate) struct Sweep {
    pub(crate) method: Method,
    /// Learning rates, ascending, and the excess at the end of the runs.
    pub(crate) points: Vec<(f64, Spread)>,
}

impl Sweep {
    /// Runs every method at every rate.
    pub(crate) fn all(
        contest: &Contest,
        rates: &[f64],
        bar: &ProgressBar,
    ) -> Result<Vec<Self>, Error> {
        let sweep = |method| {
            let points = in_parallel(rates, bar, |&learning_rate| {
                let excess = contest.final_excess(Setting { method, learning_rate })?;
                Ok((learning_rate, excess))
            })?;
            Ok(Sweep { method, points })
        };
        Method::ALL.into_iter().map(sweep).collect()
    }

    /// The learning rate with the lowest median.
    fn best_rate(&self) -> f64 {
        self.points[self.best_point()].0
    }

    fn best_point(&self) -> usize {
        let medians = self.points.iter().map(|(_, excess)| excess.median).enumerate();
        medians.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(point, _)| point)
    }

    /// The rates around the best one, up to the last on either side with a usable median.
    fn usable(&self) -> (f64, f64) {
        let is_usable = |&&(_, excess): &&(f64, Spread)| excess.median < USABLE;
        let best = self.best_rate();
        let (below, above) = self.points.split_at(self.best_point());
        let low = below.iter().rev().take_while(is_usable).last().map_or(best, |point| point.0);
        let high = above.iter().take_while(is_usable).last().map_or(best, |point| point.0);
        (low, high)
    }

    /// The width of the usable range on the logarithmic scale.
    fn usable_decades(&self) -> f64 {
        let (low, high) = self.usable();
        (high / low).log10()
    }
}

/// The way down, or up, at a multiple of the best learning rate of one optimizer.
pub(crate) struct LossCurve {
    pub(crate) method: Method,
    pub(crate) multiple: f64,
    /// Epochs, fractions included, and the excess.
    pub(crate) points: Vec<(f64, Spread)>,
}

impl LossCurve {
    /// Runs every method at every multiple of its best rate.
    pub(crate) fn all(
        contest: &Contest,
        sweeps: &[Sweep],
        bar: &ProgressBar,
    ) -> Result<Vec<Self>, Error> {
        let jobs: Vec<_> =
            sweeps.iter().flat_map(|sweep| MULTIPLES.map(|multiple| (sweep, multiple))).collect();
        in_parallel(&jobs, bar, |&(sweep, multiple)| {
            let method = sweep.method;
            let learning_rate = multiple * sweep.best_rate();
            let points = contest.loss_curve(Setting { method, learning_rate })?;
            Ok(LossCurve { method, multiple, points })
        })
    }

    fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |(_, excess)| excess.median)
    }
}

/// Prints the comparison in numbers, and what they say.
pub(crate) fn print(sweeps: &[Sweep], curves: &[LossCurve]) {
    println!("\nExcess after {EPOCHS} epochs, at the best learning rate and at multiples of it:");
    print!("{:16}{:>10}", "", "best rate");
    for multiple in MULTIPLES {
        print!("{:>10}", format!("{multiple} ×"));
    }
    println!("    usable: excess < {USABLE}");
    for sweep in sweeps {
        print!("{:16}{:>10.1e}", sweep.method.name(), sweep.best_rate());
        for curve in curves.iter().filter(|curve| curve.method == sweep.method) {
            print!("{:>10}", describe(curve.last()));
        }
        let (low, high) = sweep.usable();
        println!("    {low:.1e} to {high:.1e}, {:.2} decades", sweep.usable_decades());
    }
    println!(
        "\nWidest usable range, to within a step of the sweep: {}.",
        widest(sweeps).join(", ")
    );
}

fn describe(excess: f64) -> String {
    if excess < DIVERGED { format!("{excess:.1e}") } else { "diverged".to_owned() }
}

/// All whose usable range the sweep cannot tell from the widest.
fn widest(sweeps: &[Sweep]) -> Vec<&'static str> {
    let most = sweeps.iter().map(Sweep::usable_decades).fold(0.0, f64::max);
    let as_wide = |sweep: &&Sweep| {
        let step = (sweep.points[1].0 / sweep.points[0].0).log10();
        // Half a step more, for widths are whole numbers of steps but for rounding.
        most - sweep.usable_decades() < 1.5 * step
    };
    sweeps.iter().filter(as_wide).map(|sweep| sweep.method.name()).collect()
}

/// Does `work` on all jobs, split among as many threads as there are cores.
fn in_parallel<J: Sync, R: Send>(
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
