//! Runs optimizers at many learning rates, to find the best rate and the range of usable rates.

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

/// The results of one optimizer at learning rates from far too small to far too large.
pub(crate) struct Sweep {
    pub(crate) method: Method,
    /// Learning rates in ascending order, and the final error of each.
    pub(crate) points: Vec<(f64, Spread)>,
}

impl Sweep {
    /// Runs every method at every learning rate.
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

    /// Returns the learning rate with the lowest median error.
    pub(crate) fn best_rate(&self) -> f64 {
        self.points[self.best_point()].0
    }

    /// Returns the error at the best rate.
    pub(crate) fn best(&self) -> Spread {
        self.points[self.best_point()].1
    }

    fn best_point(&self) -> usize {
        let medians = self.points.iter().map(|(_, error)| error.median).enumerate();
        medians.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(point, _)| point)
    }

    /// Returns the range of rates around the best rate in which the median is below `bound`.
    pub(crate) fn usable(&self, bound: f64) -> Range<f64> {
        let is_usable = |&&(_, error): &&(f64, Spread)| error.median < bound;
        let best = self.best_rate();
        let (below, above) = self.points.split_at(self.best_point());
        let low = below.iter().rev().take_while(is_usable).last().map_or(best, |point| point.0);
        let high = above.iter().take_while(is_usable).last().map_or(best, |point| point.0);
        low..high
    }

    /// Returns the width of the usable range in decades.
    pub(crate) fn usable_decades(&self, bound: f64) -> f64 {
        let Range { start, end } = self.usable(bound);
        (end / start).log10()
    }
}

/// Returns all methods whose usable range is the widest, up to one step of the sweep.
pub(crate) fn widest(sweeps: &[Sweep], bound: f64) -> Vec<&'static str> {
    let most = sweeps.iter().map(|sweep| sweep.usable_decades(bound)).fold(0.0, f64::max);
    let as_wide = |sweep: &&Sweep| {
        let step = (sweep.points[1].0 / sweep.points[0].0).log10();
        // Widths are multiples of a step, apart from rounding; so half a step is added to one step.
        most - sweep.usable_decades(bound) < 1.5 * step
    };
    sweeps.iter().filter(as_wide).map(|sweep| sweep.method.name()).collect()
}

/// Returns powers of ten with the exponents `steps` divided by `per_decade`.
pub(crate) fn rates(steps: RangeInclusive<i32>, per_decade: i32) -> Vec<f64> {
    let exponents = steps.map(|step| f64::from(step) / f64::from(per_decade));
    exponents.map(|exponent| 10_f64.powf(exponent)).collect()
}
