//! Optimizers at many learning rates: the best, and how wrong one may be.

use std::ops::{Range, RangeInclusive};

use adamax::Error;
use indicatif::ProgressBar;

use super::{descent::Method, parallel, spread::Spread};

/// An optimizer and its learning rate.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) method: Method,
    pub(crate) learning_rate: f64,
}

/// Learning rates from far too small to far too large, for one optimizer.
pub(crate) struct Sweep {
    pub(crate) method: Method,
    /// Learning rates, ascending, and the error they end with.
    pub(crate) points: Vec<(f64, Spread)>,
}

impl Sweep {
    /// Runs every method at every rate.
    pub(crate) fn all(
        rates: &[f64],
        bar: &ProgressBar,
        error: impl Fn(Setting) -> Result<Spread, Error> + Sync,
    ) -> Result<Vec<Self>, Error> {
        let sweep = |method| {
            let points = parallel::map(rates, bar, |&learning_rate| {
                Ok((learning_rate, error(Setting { method, learning_rate })?))
            })?;
            Ok(Sweep { method, points })
        };
        Method::ALL.into_iter().map(sweep).collect()
    }

    /// The learning rate with the lowest median.
    pub(crate) fn best_rate(&self) -> f64 {
        self.points[self.best_point()].0
    }

    /// The error at the best rate.
    pub(crate) fn best(&self) -> Spread {
        self.points[self.best_point()].1
    }

    fn best_point(&self) -> usize {
        let medians = self.points.iter().map(|(_, error)| error.median).enumerate();
        medians.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(point, _)| point)
    }

    /// The rates around the best one, up to the last on either side with a median below `bound`.
    pub(crate) fn usable(&self, bound: f64) -> Range<f64> {
        let is_usable = |&&(_, error): &&(f64, Spread)| error.median < bound;
        let best = self.best_rate();
        let (below, above) = self.points.split_at(self.best_point());
        let low = below.iter().rev().take_while(is_usable).last().map_or(best, |point| point.0);
        let high = above.iter().take_while(is_usable).last().map_or(best, |point| point.0);
        low..high
    }

    /// The width of the usable range on the logarithmic scale.
    pub(crate) fn usable_decades(&self, bound: f64) -> f64 {
        let Range { start, end } = self.usable(bound);
        (end / start).log10()
    }
}

/// All whose usable range the sweeps cannot tell from the widest.
pub(crate) fn widest(sweeps: &[Sweep], bound: f64) -> Vec<&'static str> {
    let most = sweeps.iter().map(|sweep| sweep.usable_decades(bound)).fold(0.0, f64::max);
    let as_wide = |sweep: &&Sweep| {
        let step = (sweep.points[1].0 / sweep.points[0].0).log10();
        // Half a step more, for widths are whole numbers of steps but for rounding.
        most - sweep.usable_decades(bound) < 1.5 * step
    };
    sweeps.iter().filter(as_wide).map(|sweep| sweep.method.name()).collect()
}

/// Powers of ten whose exponents are `steps` divided by `per_decade`.
pub(crate) fn rates(steps: RangeInclusive<i32>, per_decade: i32) -> Vec<f64> {
    let exponents = steps.map(|step| f64::from(step) / f64::from(per_decade));
    exponents.map(|exponent| 10_f64.powf(exponent)).collect()
}
