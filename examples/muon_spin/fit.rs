//! The fit by Adamax, within the limits of physics or without.

use std::f64::consts::FRAC_PI_2;

use adamax::{
    Adamax, Error, Optimizer, Report,
    ndarray::{Array1, s},
};

use crate::model::{self, Histogram, PARAMETERS};

pub(crate) const LEARNING_RATE: f64 = 0.01;

/// The fit stops when no parameter changes by more than this, a millionth of a usual uncertainty.
pub(crate) const STILL: f64 = 1e-8;

/// Usual fits take 900 steps.
const MOST_STEPS: usize = 5_000;

/// A smallest and a largest value.
type Bounds = (f64, f64);

/// Bounds that are off.
const NONE: Bounds = (f64::NEG_INFINITY, f64::INFINITY);

/// The bounds of each kind of parameter.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    rate: Bounds,
    asymmetry: Bounds,
    phase: Bounds,
}

impl Limits {
    /// Rates are not negative. The detector stands between the direction of the spins and the one across.
    pub(crate) const PHYSICS: Self =
        Limits { rate: (0.0, f64::INFINITY), asymmetry: (0.0, 1.0), phase: (0.0, FRAC_PI_2) };

    /// There are no limits.
    pub(crate) const FREE: Self = Limits { rate: NONE, asymmetry: NONE, phase: NONE };

    /// Returns the bounds of each parameter.
    fn all(self) -> [Bounds; PARAMETERS] {
        [self.rate, self.rate, self.rate, self.asymmetry, self.phase, NONE]
    }
}

/// The result of a fit.
pub(crate) struct Fit {
    pub(crate) x: Array1<f64>,
    limits: Limits,
    pub(crate) steps: usize,
    at_rest: bool,
}

impl Fit {
    /// Fits the parameters, from `start` on. Calls `after_step` with the parameters and the report of each
    /// step.
    ///
    /// Parameters of one kind are one tensor, and its group has their bounds. The frequency has none.
    pub(crate) fn of(
        data: &Histogram,
        start: &Array1<f64>,
        limits: Limits,
        mut after_step: impl FnMut(&Array1<f64>, &Report),
    ) -> Result<Self, Error> {
        let mut x = start.clone();
        let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
        let within = |(lower, upper)| rule.to_builder().bounds(lower, upper).build();
        let mut optimizer = Optimizer::new(rule);
        let rates = optimizer.add_group(within(limits.rate)?);
        let asymmetries = optimizer.add_group(within(limits.asymmetry)?);
        let phases = optimizer.add_group(within(limits.phase)?);
        let rates = optimizer.register_in(rates, "n, b, λ", &x.slice(s![..3]))?;
        let asymmetry = optimizer.register_in(asymmetries, "a", &x.slice(s![3..4]))?;
        let phase = optimizer.register_in(phases, "φ", &x.slice(s![4..5]))?;
        let frequency = optimizer.register("ω", &x.slice(s![5..]))?;

        for step in 1..=MOST_STEPS {
            let g = data.gradient(&x);
            let parts = (s![..3], s![3..4], s![4..5], s![5..]);
            let (mut n_b_lambda, mut a, mut phi, mut omega) = x.multi_slice_mut(parts);
            let report = optimizer.step_with_report(&mut [
                rates.bind(&mut n_b_lambda, &g.slice(s![..3])),
                asymmetry.bind(&mut a, &g.slice(s![3..4])),
                phase.bind(&mut phi, &g.slice(s![4..5])),
                frequency.bind(&mut omega, &g.slice(s![5..])),
            ])?;
            after_step(&x, &report);
            if report.max_step() < STILL {
                return Ok(Fit { x, limits, steps: step, at_rest: true });
            }
        }
        Ok(Fit { x, limits, steps: MOST_STEPS, at_rest: false })
    }

    /// Returns true if the parameter is at one of its limits.
    pub(crate) fn is_held(&self, parameter: usize) -> bool {
        let (lower, upper) = self.limits.all()[parameter];
        self.x[parameter] == lower || self.x[parameter] == upper
    }

    /// Returns a parameter that is held at a limit, although the loss falls within.
    pub(crate) fn pulled_inside(&self, gradient: &Array1<f64>) -> Option<usize> {
        (0..PARAMETERS).find(|&parameter| {
            let (lower, upper) = self.limits.all()[parameter];
            let (value, slope) = (self.x[parameter], gradient[parameter]);
            (value == lower && slope < 0.0) || (value == upper && slope > 0.0)
        })
    }

    /// Returns an error unless the fit has come to rest, within its limits, where all expected counts are
    /// positive. Without limits, nothing but luck keeps them positive.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.at_rest {
            return Err(format!("a parameter still moves after {MOST_STEPS} steps"));
        }
        for (parameter, (lower, upper)) in self.limits.all().into_iter().enumerate() {
            let (name, value) = (model::ALL[parameter].name, self.x[parameter]);
            if !(lower..=upper).contains(&value) {
                return Err(format!("{name} is {value}, outside {lower} to {upper}"));
            }
        }
        match model::expected(&self.x).iter().find(|&&mean| mean <= 0.0) {
            Some(mean) => Err(format!("a bin is expected to have {mean} counts")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::uncertainty::Normal;

    /// In standard errors. `STILL` leaves about 1e-5.
    const TOLERANCE: f64 = 1e-3;

    /// Goes to the optimum by Newton's method, from near the truth on. Parameters that `fit` holds at a
    /// limit are held there.
    fn newton(data: &Histogram, fit: &Fit) -> Result<Fit, Box<dyn Error>> {
        let mut x = model::truth() + 0.01; // the truth itself is at a limit
        for parameter in (0..PARAMETERS).filter(|&parameter| fit.is_held(parameter)) {
            x[parameter] = fit.x[parameter];
        }
        let mut best = Fit { x, limits: fit.limits, steps: 0, at_rest: true };
        for _ in 0..20 {
            let normal = Normal::around(&best).ok_or("the information is singular")?;
            best.x += &normal.newton_step(&data.gradient(&best.x));
        }
        Ok(best)
    }

    #[test]
    fn fits_end_at_the_optimum_of_newtons_method() -> Result<(), Box<dyn Error>> {
        let mut held = 0;
        for seed in 0..4 {
            let data = Histogram::draw(&model::truth(), seed)?;
            for limits in [Limits::PHYSICS, Limits::FREE] {
                let fit = Fit::of(&data, &model::start(), limits, |_, _| {})?;
                fit.check()?;
                let best = newton(&data, &fit)?;
                let normal = Normal::around(&fit).ok_or("the information is singular")?;
                for parameter in 0..PARAMETERS {
                    let difference = fit.x[parameter] - best.x[parameter];
                    match normal.error(parameter) {
                        Some(error) => {
                            assert!(difference.abs() < TOLERANCE * error, "{difference} ± {error}");
                        }
                        None => held += 1,
                    }
                }
            }
        }
        assert!(held > 0, "no fit has met a limit");
        Ok(())
    }

    #[test]
    fn parameters_never_leave_their_limits() -> Result<(), Box<dyn Error>> {
        let data = Histogram::draw(&model::truth(), 5)?;
        let mut free = f64::INFINITY;
        let rate = model::RELAXATION;
        Fit::of(&data, &model::start(), Limits::FREE, |x, _| free = free.min(x[rate]))?;
        assert!(free < 0.0, "the free fit does not test the limit");
        Fit::of(&data, &model::start(), Limits::PHYSICS, |x, _| {
            for (&value, (lower, upper)) in x.iter().zip(Limits::PHYSICS.all()) {
                assert!((lower..=upper).contains(&value), "{value} outside {lower} to {upper}");
            }
        })?;
        Ok(())
    }
}
