//! Estimates reaction rates, with gradients from forward-mode automatic
//! differentiation.
//!
//! ```text
//! cargo run --release --example autodiff_forward
//! ```
//! A substance A turns into B and B into C, at unknown rates. The model
//! integrates the rate equations in time. Its gradient with respect to the rates
//! is hard to derive by hand. In num-dual every number also holds its derivative
//! with respect to one parameter. The gradient then takes one pass of the model
//! per parameter, so this mode is for few parameters.
//!
//! The model is written once, for any kind of number (`loss`). The gradient is
//! checked against central differences before it is used. The exit code is not
//! zero if a rate differs from the true rate by more than a relative 1e-5.

#[path = "common/mod.rs"]
mod common;

use std::{error::Error, process::ExitCode, time::Instant};

use adamax::{
    Adamax, State, check_gradient,
    ndarray::{Array1, array},
    schedule::Schedule,
};
use num_dual::{Dual64, DualNum};

use crate::common::{
    command::{self, AlwaysQuick},
    headline,
};

/// The rates per hour of A turning into B and of B turning into C.
const TRUE_RATES: [f64; 2] = [0.9, 0.35];
/// Hours between measurements of B.
const INTERVAL: f64 = 0.5;
const MEASUREMENTS: u32 = 16;
const STEPS: u64 = 1_500;
/// Largest relative error. The data are exact, so only the integrator causes an error.
const TOLERANCE: f64 = 1e-5;

fn main() -> ExitCode {
    command::run_with(include_str!("autodiff_forward.rs"), |_: &AlwaysQuick| run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let data = measurements();
    let loss = |x: &Array1<f64>| loss(x, &data);
    let gradient = |x: &Array1<f64>| gradient(x, &data);

    // The parameters are the logarithms of the rates, so that the rates stay positive.
    let mut x = array![0.0, 0.0];
    let check = check_gradient(&x, &gradient(&x), loss)?;
    println!("at the start: {check}");
    if check.deviation() > 1e-6 {
        return Err("the gradient is wrong".into());
    }

    let clock = Instant::now();
    let rule = Adamax::builder().learning_rate(0.05).build()?;
    let decay = Schedule::cosine(STEPS, 0.0)?;
    let mut state = State::zeros_like(&x);
    for t in 0..STEPS {
        let learning_rate = rule.learning_rate() * decay.scale(t);
        let gradient = gradient(&x);
        rule.to_builder()
            .learning_rate(learning_rate)
            .build()?
            .step(&mut state, &mut x, &gradient)?;
    }

    let sizes = format!("{MEASUREMENTS} measurements, 2 rates, {STEPS} steps");
    headline::print(&sizes, clock.elapsed());
    println!("loss after {STEPS} steps: {:.1e}", loss(&x));
    for (name, found, truth) in
        [("A to B", x[0].exp(), TRUE_RATES[0]), ("B to C", x[1].exp(), TRUE_RATES[1])]
    {
        println!("rate {name}: {found:.6} per hour, true {truth:.6}");
        if (found / truth - 1.0).abs() > TOLERANCE {
            return Err(format!("rate {name} is off by more than {TOLERANCE:e}").into());
        }
    }
    Ok(())
}

/// Returns the measured concentrations of B, computed from the exact solution.
fn measurements() -> Array1<f64> {
    let [k1, k2] = TRUE_RATES;
    let times = (1..=MEASUREMENTS).map(|n| INTERVAL * f64::from(n));
    times.map(|t| k1 / (k2 - k1) * ((-k1 * t).exp() - (-k2 * t).exp())).collect()
}

/// Returns the mean squared difference of B between model and measurements.
fn loss<T: DualNum<Primitive = f64> + Copy>(log_rates: &Array1<T>, data: &Array1<f64>) -> T {
    let rates = [log_rates[0].exp(), log_rates[1].exp()];
    let mut substances = [T::from(1.0), T::from(0.0)];
    let mut sum = T::from(0.0);
    for &measured in data {
        substances = after_interval(substances, rates);
        sum += (substances[1] - measured).powi(2);
    }
    sum / f64::from(MEASUREMENTS)
}

/// Returns A and B one interval later, by the classical Runge-Kutta method.
fn after_interval<T: DualNum<Primitive = f64> + Copy>(mut y: [T; 2], rates: [T; 2]) -> [T; 2] {
    const SUBSTEPS: u32 = 8;
    let h = INTERVAL / f64::from(SUBSTEPS);
    let change = |[a, b]: [T; 2]| [-rates[0] * a, rates[0] * a - rates[1] * b];
    let shift = |[a, b]: [T; 2], [da, db]: [T; 2], h: f64| [a + da * h, b + db * h];
    for _ in 0..SUBSTEPS {
        let k1 = change(y);
        let k2 = change(shift(y, k1, h / 2.0));
        let k3 = change(shift(y, k2, h / 2.0));
        let k4 = change(shift(y, k3, h));
        for (k, weight) in [(k1, 1.0), (k2, 2.0), (k3, 2.0), (k4, 1.0)] {
            y = shift(y, k, weight * h / 6.0);
        }
    }
    y
}

/// Returns the gradient of the loss, with one pass of the model per parameter.
fn gradient(x: &Array1<f64>, data: &Array1<f64>) -> Array1<f64> {
    Array1::from_shape_fn(x.len(), |i| {
        let mut dual = x.mapv(Dual64::from);
        dual[i] = dual[i].derivative();
        loss(&dual, data).eps
    })
}
