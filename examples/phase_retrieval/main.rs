//! Phase retrieval: recovers a complex light field from pictures of intensities.
//!
//! ```text
//! cargo run --release --example phase_retrieval
//! ```
//! A camera behind a lens records the amplitudes of the Fourier transform of a
//! field, but not its phases, so half of the information is lost. Masks in the
//! beam delay the light by random phases. Ten pictures through ten masks contain
//! enough information to recover all 1024 complex numbers. The program uses only
//! the pictures and starts from random noise.
//!
//! 1. **Complex parameters**, in [`recover`]. For Adamax, a complex number is two
//!    real numbers. The field and its gradient are complex arrays. `split_complex`
//!    gives views of their real and imaginary parts, with every second number in
//!    memory, and the optimizer steps both views in one batch. A common phase of
//!    the field mixes the two parts. It therefore changes the path of Adamax,
//!    unlike that of gradient descent, but this does no harm here.
//! 2. **Minibatches of one picture.** They give ten times as many steps for the
//!    same work as batches of all ten pictures. Near the solution all pictures
//!    agree, so the noise of the minibatches vanishes. The error falls to rounding
//!    errors even with a constant learning rate.
//! 3. **The plot.** It shows phase as colour and amplitude as brightness, and the
//!    errors of all starts. Each error curve has a plateau of a different length,
//!    and the same slope after it.
//!
//! The exit code is not zero if a run ends farther from the truth, up to a common
//! phase, than 1e-9. The picture is saved as PNG and SVG: `field`. With `--quick`
//! there are fewer starts.

#[path = "../common/mod.rs"]
mod common;
mod optics;
mod plot;

use std::{process::ExitCode, time::Instant};

use adamax::{Adamax, Error, Optimizer};
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng};
use num_complex::Complex;

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        headline, progress,
    },
    optics::{Camera, Field},
    plot::FieldFigure,
};

const MASKS: usize = 10;

/// Number of times that each picture is used.
pub(crate) const PASSES: u32 = 250;

/// The amplitudes are at most 1. Half of this learning rate also works.
const LEARNING_RATE: f64 = 0.1;

/// Largest final error of the field. Usual errors are 1e-15.
const TOLERANCE: f64 = 1e-9;

fn main() -> ExitCode {
    command::run_or_help(include_str!("main.rs"), |Arguments { quick, folder }| {
        let starts = if *quick { 2 } else { 8 };
        let mut rng = SmallRng::seed_from_u64(0);
        let truth = optics::vortices();
        let camera = Camera::observe(&truth, MASKS, &mut rng)?;

        let bar = progress::bar("phase retrieval", starts)?;
        let clock = Instant::now();
        let mut runs = Vec::new();
        for _ in 0..starts {
            let mut errors = Vec::new();
            let field = recover(&camera, optics::noise(&mut rng), |field| {
                errors.push(optics::error(field, &truth));
            })?;
            runs.push(Run { field, errors });
            bar.inc(1);
        }
        bar.finish();

        let sizes = format!("{MASKS} pictures, {} complex numbers", truth.len());
        headline::print(&format!("{sizes}, {starts} starts of {PASSES} passes"), clock.elapsed());
        runs.iter().for_each(Run::print);
        chart::save(&FieldFigure { truth: &truth, camera: &camera, runs: &runs }, folder, "field")?;
        let missed = runs.iter().filter(|run| !run.has_arrived()).count();
        if missed == 0 { Ok(()) } else { Err(format!("{missed} starts did not converge").into()) }
    })
}

/// The result of one start, and the error after each pass.
struct Run {
    field: Field,
    errors: Vec<f64>,
}

impl Run {
    fn print(&self) {
        let last = self.last_error();
        let passes = self.errors.iter().take_while(|&&error| error >= TOLERANCE).count();
        println!(
            "relative error {last:.1e}, below {TOLERANCE:e} after {passes} of {PASSES} passes"
        );
    }

    fn has_arrived(&self) -> bool {
        self.last_error() < TOLERANCE
    }

    fn last_error(&self) -> f64 {
        self.errors.last().copied().unwrap_or(f64::NAN)
    }
}

/// Fits `field` to the pictures. Calls `after_pass` with the field after each pass.
fn recover(
    camera: &Camera,
    mut field: Field,
    mut after_pass: impl FnMut(&Field),
) -> Result<Field, Error> {
    let rule = Adamax::builder().learning_rate(LEARNING_RATE).build()?;
    let mut optimizer = Optimizer::new(rule);
    let Complex { re, im } = field.view().split_complex();
    let real = optimizer.register("real parts", &re)?;
    let imaginary = optimizer.register("imaginary parts", &im)?;

    for _ in 0..PASSES {
        for picture in 0..MASKS {
            let gradient = camera.gradient(picture, &field);
            let slope = gradient.view().split_complex();
            let Complex { mut re, mut im } = field.view_mut().split_complex();
            optimizer
                .step(&mut [real.bind(&mut re, &slope.re), imaginary.bind(&mut im, &slope.im)])?;
        }
        after_pass(&field);
    }
    Ok(field)
}
