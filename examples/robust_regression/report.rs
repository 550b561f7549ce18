//! Prints and checks the results.

use crate::{
    common::{
        descent::Method,
        sweep::{Sweep, widest},
    },
    contest::Outcome,
    duel::{Duel, Verdict},
    regression::{Loss, Noise},
};

/// A learning rate counts as usable if its error is below this bound.
pub(crate) const USABLE: f64 = 0.1;

/// The error of Adamax with the Huber loss must be below this bound for every noise. It is twice
/// the largest error seen.
const TOLERANCE: f64 = 0.05;

/// More decades of learning rates than this must be usable. The smallest number seen was 1.5.
const DECADES: f64 = 1.0;

/// Prints the numbers of all contests and the conclusions from them.
pub(crate) fn print(outcomes: &[Outcome]) {
    println!(
        "\nThe error is |β̂ − β|/|β|; a learning rate is usable if its error is below {USABLE}.\n"
    );
    print!("{:16}{:>9}{:>8}{:>17}", "", "best rate", "error", "quartiles");
    println!("{:>19}{:>9}", "usable rates", "decades");
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
    println!("\nWidest range of usable learning rates, up to one step of the sweep");
    for outcome in outcomes {
        println!("  {}: {}", title(outcome), widest_usable(outcome));
    }
    println!("\nRatios of errors, with each optimizer at its best learning rate");
    println!("{:24}{:>15}{:>26}", "", "least squares", "worst / best optimizer");
    println!("{:24}{:>15}{:>17}{:>9}", "", "/ Huber loss", "least squares", "Huber");
    for noise in Noise::ALL {
        let [(squares, by_squares), (huber, by_huber)] =
            Loss::ALL.map(|loss| lowest_and_spread(outcomes, noise, loss));
        print!("  {:23}{:>14.1}", noise.name(), squares / huber);
        println!("{by_squares:>17.1}{by_huber:>9.1}");
    }
}

fn print_sweep(sweep: &Sweep) {
    let (rate, best) = (sweep.best_rate(), sweep.best());
    print!("  {:14}{rate:>9.1e}{:>8.4}", sweep.method.name(), best.median);
    print!("{:>17}", format!("{:.4}, {:.4}", best.low, best.high));
    if best.median < USABLE {
        let (usable, decades) = (sweep.usable(USABLE), sweep.usable_decades(USABLE));
        let usable = format!("{:.1e} to {:.1e}", usable.start, usable.end);
        println!("{usable:>19}{decades:>9.2}");
    } else {
        println!("{:>19}", "none");
    }
}

/// Prints the contests in which Adamax has this verdict against `rival`.
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

/// Returns the comparisons of Adamax with each other optimizer.
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

/// Returns the lowest median error of all methods, each at its best learning rate, and the ratio of the
/// highest to the lowest.
fn lowest_and_spread(outcomes: &[Outcome], noise: Noise, loss: Loss) -> (f64, f64) {
    let contests = outcomes.iter().filter(|outcome| outcome.noise == noise && outcome.loss == loss);
    let errors = contests.flat_map(|outcome| &outcome.sweeps).map(|sweep| sweep.best().median);
    let (lowest, highest) = errors
        .fold((f64::INFINITY, 0.0), |(lowest, highest): (f64, f64), error| {
            (lowest.min(error), highest.max(error))
        });
    (lowest, highest / lowest)
}

pub(crate) fn title(outcome: &Outcome) -> String {
    format!("{}, {}", outcome.loss.name(), outcome.noise.name())
}

/// Returns an error unless, with the Huber loss, Adamax finds the coefficients for a wide range of
/// learning rates.
pub(crate) fn check(outcomes: &[Outcome]) -> Result<(), String> {
    for outcome in outcomes.iter().filter(|outcome| outcome.loss == Loss::Huber) {
        let adamax = outcome.sweeps.iter().find(|sweep| sweep.method == Method::Adamax);
        let sweep = adamax.ok_or("there are no results for Adamax")?;
        let (error, decades) = (sweep.best().median, sweep.usable_decades(USABLE));
        // Written so that NaN fails.
        if !(error < TOLERANCE && decades > DECADES) {
            return Err(format!(
                "{}: error {error:.3}, usable decades {decades:.2}; must be below {TOLERANCE} and above {DECADES}",
                title(outcome)
            ));
        }
    }
    Ok(())
}
