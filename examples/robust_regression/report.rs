//! What came out, in numbers and in words that follow from them.

use crate::{
    common::{
        descent::Method,
        sweep::{Sweep, widest},
    },
    contest::Outcome,
    duel::{Duel, Verdict},
    regression::{Loss, Noise},
};

/// The error below which a learning rate counts as usable.
pub(crate) const USABLE: f64 = 0.1;

/// The error that Adamax has to reach with the Huber loss, whatever the noise. Twice what was seen.
const TOLERANCE: f64 = 0.05;

/// The decades of learning rates that have to be usable then. At least 1.5 were seen.
const DECADES: f64 = 1.0;

/// Prints the numbers of all contests, and what they say.
pub(crate) fn print(outcomes: &[Outcome]) {
    println!(
        "Optimizer, best learning rate, error |β̂ − β|/|β| at it, rates with an error < {USABLE}"
    );
    for outcome in outcomes {
        println!("\n{}", title(outcome));
        outcome.sweeps.iter().for_each(print_sweep);
        for duel in duels(outcome) {
            println!("  {duel}");
        }
    }

    println!("\nAt their best learning rates, by the sign test");
    for rival in [Method::Adam, Method::Momentum] {
        for verdict in [Verdict::Better, Verdict::Worse, Verdict::Unclear] {
            print_where(outcomes, rival, verdict);
        }
    }
    println!("\nWidest range of usable learning rates, to within a step of the sweep");
    for outcome in outcomes {
        println!("  {}: {}", title(outcome), widest_usable(outcome));
    }
    println!(
        "\nLowest error of all optimizers: with least squares, divided by that with the Huber loss"
    );
    for noise in Noise::ALL {
        let [squares, huber] = Loss::ALL.map(|loss| lowest(outcomes, noise, loss));
        println!("  {}: {:.1}", noise.name(), squares / huber);
    }
}

fn print_sweep(sweep: &Sweep) {
    let (rate, best) = (sweep.best_rate(), sweep.best());
    print!("  {:14} {rate:7.1e} {:8.4}", sweep.method.name(), best.median);
    print!(" (quartiles {:.4}, {:.4})", best.low, best.high);
    if best.median < USABLE {
        let (usable, decades) = (sweep.usable(USABLE), sweep.usable_decades(USABLE));
        println!("  {:.1e} to {:.1e}, {decades:.2} decades", usable.start, usable.end);
    } else {
        println!("  none");
    }
}

/// In which contests Adamax does so against `rival`.
fn print_where(outcomes: &[Outcome], rival: Method, verdict: Verdict) {
    let is_so = |duel: &Duel| duel.rival() == rival && duel.verdict() == verdict;
    let places: Vec<_> = outcomes
        .iter()
        .filter(|outcome| duels(outcome).any(|duel| is_so(&duel)))
        .map(title)
        .collect();
    if !places.is_empty() {
        println!("  Adamax is {} {} with", verdict.words(), rival.name());
        for place in places {
            println!("    {place}");
        }
    }
}

/// Adamax against each of the others.
fn duels(outcome: &Outcome) -> impl Iterator<Item = Duel> {
    let [adamax, rivals @ ..] = &outcome.bests[..] else {
        unreachable!("Method::ALL is not empty")
    };
    rivals.iter().map(|rival| Duel::new(adamax, rival))
}

fn widest_usable(outcome: &Outcome) -> String {
    let found = outcome.sweeps.iter().any(|sweep| sweep.best().median < USABLE);
    if found { widest(&outcome.sweeps, USABLE).join(", ") } else { "none is usable".to_owned() }
}

/// The lowest median error of any method at any rate.
fn lowest(outcomes: &[Outcome], noise: Noise, loss: Loss) -> f64 {
    let contests = outcomes.iter().filter(|outcome| outcome.noise == noise && outcome.loss == loss);
    let errors = contests.flat_map(|outcome| &outcome.sweeps).map(|sweep| sweep.best().median);
    errors.fold(f64::INFINITY, f64::min)
}

pub(crate) fn title(outcome: &Outcome) -> String {
    format!("{}, {}", outcome.loss.name(), outcome.noise.name())
}

/// An error unless Adamax finds the coefficients with the Huber loss, at rates from a wide range.
pub(crate) fn check(outcomes: &[Outcome]) -> Result<(), String> {
    for outcome in outcomes.iter().filter(|outcome| outcome.loss == Loss::Huber) {
        let adamax = outcome.sweeps.iter().find(|sweep| sweep.method == Method::Adamax);
        let sweep = adamax.ok_or("Adamax has not been tried")?;
        let (error, decades) = (sweep.best().median, sweep.usable_decades(USABLE));
        // The other way round, NaN would pass.
        if !(error < TOLERANCE && decades > DECADES) {
            return Err(format!(
                "{}: error {error:.3}, {decades:.2} usable decades; at most {TOLERANCE} and at least {DECADES} were expected",
                title(outcome)
            ));
        }
    }
    Ok(())
}
