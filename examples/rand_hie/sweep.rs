//! The comparison of optimizers at the best learning rate and at larger ones.

use adamax::Error;
use indicatif::ProgressBar;

use crate::{
    common::{
        descent::Method,
        parallel,
        spread::Spread,
        sweep::{Setting, Sweep, widest},
    },
    contest::{Contest, DIVERGED, EPOCHS},
};

/// A learning rate counts as usable if its excess is below this bound.
pub(crate) const USABLE: f64 = 0.05;

/// Loss curves are drawn at these multiples of the best learning rate.
pub(crate) const MULTIPLES: [f64; 3] = [1.0, 10.0, 100.0];

/// The loss curve of one optimizer at a multiple of its best learning rate.
pub(crate) struct LossCurve {
    pub(crate) method: Method,
    pub(crate) multiple: f64,
    /// Epochs, fractions included, and the excess there.
    pub(crate) points: Vec<(f64, Spread)>,
}

impl LossCurve {
    /// Runs every method at every multiple of its best learning rate.
    pub(crate) fn all(
        contest: &Contest,
        sweeps: &[Sweep],
        bar: &ProgressBar,
    ) -> Result<Vec<Self>, Error> {
        let jobs: Vec<_> =
            sweeps.iter().flat_map(|sweep| MULTIPLES.map(|multiple| (sweep, multiple))).collect();
        parallel::map(&jobs, bar, |&(sweep, multiple)| {
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

/// Prints the comparison and the widest usable range.
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
        let usable = sweep.usable(USABLE);
        let decades = sweep.usable_decades(USABLE);
        println!("    {:.1e} to {:.1e}, {decades:.2} decades", usable.start, usable.end);
    }
    println!(
        "\nWidest usable range, up to one step of the sweep: {}.",
        widest(sweeps, USABLE).join(", ")
    );
}

fn describe(excess: f64) -> String {
    if excess < DIVERGED { format!("{excess:.1e}") } else { "diverged".to_owned() }
}
