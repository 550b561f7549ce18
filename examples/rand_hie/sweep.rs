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
    println!("\nExcess after {EPOCHS} epochs, at the best learning rate and at multiples of it.");
    println!("A rate is usable if its excess is below {USABLE}.\n");
    let multiples = MULTIPLES.map(|multiple| format!("{:>9}", format!("{multiple} ×"))).concat();
    println!("{:15}{:>9}{multiples}{:>18}{:>9}", "", "best rate", "usable rates", "decades");
    for sweep in sweeps {
        print!("{:15}{:>9.1e}", sweep.method.name(), sweep.best_rate());
        for curve in curves.iter().filter(|curve| curve.method == sweep.method) {
            print!("{:>9}", describe(curve.last()));
        }
        let (usable, decades) = (sweep.usable(USABLE), sweep.usable_decades(USABLE));
        let usable = format!("{:.1e} to {:.1e}", usable.start, usable.end);
        println!("{usable:>18}{decades:>9.2}");
    }
    println!(
        "\nWidest usable range, up to one step of the sweep: {}.",
        widest(sweeps, USABLE).join(", ")
    );
}

fn describe(excess: f64) -> String {
    if excess < DIVERGED { format!("{excess:.1e}") } else { "diverged".to_owned() }
}
