//! Sea temperatures of which most are hidden: a matrix with missing entries as a
//! product of factors.
//!
//! ```text
//! cargo run --release --example matrix_factors
//! ```
//! The data are real: monthly temperatures of the sea surface near the equator,
//! at 2854 places, from April 2006 to September 2010. 70 % of them are hidden, at
//! random. The model has a vector for each place and a vector for each month:
//!
//! ```text
//! temperature = mean + level of the place + place · month
//! ```
//! A minibatch of 64 temperatures names at most 64 places. The vectors of the
//! places are registered with `register_rows`, and a step names these places
//! only. The vectors of the months are an ordinary tensor in the same batch: they
//! are few, and most are used by each minibatch. Two fits take the same
//! minibatches, in turn:
//!
//! * **Named rows only.** The other places wait: they keep their values, their
//!   moments and their own step counts.
//! * **All rows.** The gradient is zero at the other places. Their first moments
//!   still move them for some steps, while their infinity norms decay.
//!
//! So the two are different rules, and their errors differ. The program prints the
//! error of the hidden temperatures after both fits, and the times of their steps.
//! The baseline has a mean for each place and one for each month; it cannot know
//! that El Niño warms the east of the Pacific and hardly the rest. The factors
//! find this pattern.
//!
//! The exit code is not zero if a derivative is wrong, or if the error of either
//! fit is above a bound or not far below that of the baseline. It does not depend
//! on the times. The picture is saved as PNG and SVG: `sea`. With `--quick` there
//! are fewer epochs.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod fit;
mod model;
mod plot;

use std::{error::Error, process::ExitCode, time::Instant};

use adamax::{check_gradient, ndarray::Array2};
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng};

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        headline, progress,
        table::Costs,
    },
    data::Data,
    fit::{BATCH, Fit, fit},
    model::{Factors, Means, Model},
    plot::SeaFigure,
};

/// The error of the hidden temperatures must be below this bound, in °C. Alternating least squares had 0.43
/// with as many factors.
const ERROR_BOUND: f64 = 0.5;

/// Largest deviation of a derivative from the differences of the loss.
const DEVIATION: f64 = 1e-6;

fn main() -> ExitCode {
    command::run_or_help(include_str!("main.rs"), |Arguments { quick, folder }| {
        let epochs = if *quick { 30 } else { 100 };
        let data = Data::load()?;
        let means = Means::fit(&data);
        check_derivatives(&data, means.overall)?;
        let bar = progress::bar("factors", epochs)?;
        let clock = Instant::now();
        let fits = fit(&data, means.overall, epochs, &bar)?;
        bar.finish();

        let sizes = format!("{} temperatures at {} places", data.visible.len(), data.places());
        headline::print(&format!("{sizes}, two fits of {epochs} epochs"), clock.elapsed());
        let baseline = means.error(&data.hidden);
        println!("{} hidden temperatures, error of the means: {baseline:.3} °C", data.hidden.len());
        fits.iter().for_each(print);
        if let [named, all] = &fits[..] {
            Costs::compare(&named.costs, &all.costs);
        }
        chart::save(&SeaFigure { data: &data, means: &means, fits: &fits }, folder, "sea")?;
        if fits.iter().all(|fit| fit.error() < ERROR_BOUND.min(0.6 * baseline)) {
            Ok(())
        } else {
            Err("the error of the factors misses its bound".into())
        }
    })
}

/// Compares the gradients of both tables with differences of the loss.
fn check_derivatives(data: &Data, overall: f64) -> Result<(), Box<dyn Error>> {
    let factors = Factors::random(data, overall, &mut SmallRng::seed_from_u64(0));
    let batch = &data.visible[..BATCH];
    let (uses, months) = factors.gradient(batch);
    let mut places = Array2::zeros(factors.places.raw_dim());
    for (observation, one) in batch.iter().zip(uses.outer_iter()) {
        let mut row = places.row_mut(observation.place);
        row += &one;
    }
    let checks = [
        check_gradient(&factors.places, &places, |places| {
            Factors { places: places.clone(), ..factors.clone() }.loss(batch)
        })?,
        check_gradient(&factors.months, &months, |months| {
            Factors { months: months.clone(), ..factors.clone() }.loss(batch)
        })?,
    ];
    match checks.iter().find(|check| check.deviation() > DEVIATION) {
        Some(check) => Err(check.to_string().into()),
        None => Ok(()),
    }
}

fn print(fit: &Fit) {
    println!("{}: error {:.3} °C, bound {ERROR_BOUND}", fit.update.name(), fit.error());
    fit.costs.print();
}
