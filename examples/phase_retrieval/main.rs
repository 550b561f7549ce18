//! Phase retrieval: a complex light field from pictures that show intensities only.
//!
//! ```text
//! cargo run --release --example phase_retrieval [-- [--quick] [FOLDER]]
//! ```
//! A camera behind a lens sees the Fourier transform of a field, but no phases, and half of what
//! there is to know about the field is lost. A mask in the beam that delays the light by random
//! phases shuffles the halves, and ten pictures through ten masks are enough to find all 1024
//! complex numbers from. No truth is used but the pictures, and no start but noise.
//!
//! What to look at:
//!
//! 1. **Complex parameters**, in [`recover`]: to Adamax, a complex number is two real ones. The field
//!    and its gradient stay complex arrays; `split_complex` shows their real and imaginary parts,
//!    every other number in memory, and the optimizer steps both views as a batch. (A common phase
//!    mixes the parts and so changes the way, unlike with gradient descent; it does not matter here.)
//! 2. **Minibatches of one picture.** Ten times as many steps for the same work as with all ten at
//!    once. Near the solution, where all pictures agree, the noise of the minibatches dies by itself,
//!    so that even at a constant learning rate the error falls to rounding.
//! 3. **The picture:** phase as colour, amplitude as brightness; and the errors of all starts, which
//!    all have a plateau, of a length that is theirs, and the same slope after it.
//!
//! The exit code is not zero if any start ends further from the truth, up to a common phase, than
//! rounding explains. The picture goes to `FOLDER`, by default `target/phase_retrieval`, as PNG and
//! SVG: `field`. With `--quick` there are fewer starts.

#[path = "../common/mod.rs"]
mod common;
mod optics;
mod plot;

use std::process::ExitCode;

use adamax::{Adamax, Error, Optimizer};
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng};
use num_complex::Complex;

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        progress,
    },
    optics::{Camera, Field},
    plot::FieldFigure,
};

const MASKS: usize = 10;

/// How often each picture is used.
pub(crate) const PASSES: u32 = 250;

/// Amplitudes are at most 1. Half as much will do as well.
const LEARNING_RATE: f64 = 0.1;

/// How far from the truth the field may end. 1e-15 is usual.
const TOLERANCE: f64 = 1e-9;

fn main() -> ExitCode {
    command::run(|Arguments { quick, folder }| {
        let starts = if *quick { 2 } else { 8 };
        let mut rng = SmallRng::seed_from_u64(0);
        let truth = optics::vortices();
        let camera = Camera::observe(&truth, MASKS, &mut rng)?;

        let bar = progress::bar("phase retrieval", starts)?;
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

        runs.iter().for_each(Run::print);
        chart::save(&FieldFigure { truth: &truth, camera: &camera, runs: &runs }, folder, "field")?;
        let missed = runs.iter().filter(|run| !run.has_arrived()).count();
        if missed == 0 { Ok(()) } else { Err(format!("{missed} starts missed the truth").into()) }
    })
}

/// Where a start led to, and the error after each pass.
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

/// Moves `field` until it explains the pictures; `after_pass` gets to see it on the way.
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
