//! Trains word vectors by skip-gram on five books of the King James Bible: each
//! step names some rows of two tables.
//!
//! ```text
//! cargo run --release --example word_embeddings
//! ```
//! Each word gets a vector. Training separates its true neighbours in the text
//! from words drawn at random. A minibatch uses only some rows of the two tables
//! of vectors. Two trainings take the same minibatches, in turn:
//!
//! * **Named rows only.** The tables are registered with `register_rows`, and a
//!   step names the rows that the minibatch uses. `sum_rows` adds up the
//!   gradients of a row that is used several times. The other rows wait: they
//!   keep their values, their moments and their own step counts.
//! * **All rows.** The optimizer steps both tables as they are, with a gradient
//!   that is zero in most rows. If the gradient of a row becomes zero, its first
//!   moment still moves the row for about 1/(1 − β₁) = 10 steps, and its infinity
//!   norm decays. Dense Adamax of every library does this.
//!
//! So the two are different rules, and their vectors differ. The program prints
//! the held-out loss of both, the time of their steps, and the nearest neighbours
//! of some words. The time includes the sums of gradients for a row, but not the
//! gradients themselves. The picture has a map of words. Numbers, family, animals,
//! materials and kings form separate groups there, although the training does not
//! know these groups.
//!
//! The exit code is not zero if, in either training, the held-out loss ends above
//! a bound, or too many words of the groups are nearest to a word of another
//! group. It does not depend on the times. The picture is saved as PNG and SVG:
//! `words`. With `--quick` there are fewer epochs.

#[path = "../common/mod.rs"]
mod common;
mod meaning;
mod plot;
mod skip_gram;
mod text;
mod train;

use std::{process::ExitCode, time::Instant};

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        headline, progress,
        table::{Costs, Update},
    },
    meaning::Directions,
    plot::WordFigure,
    skip_gram::Noise,
    text::Text,
    train::{Training, train},
};

/// The final loss per held-out pair must be below this bound. Untrained it is 6·ln 2 = 4.16; values
/// of 2.66 to 2.73 were seen.
const LOSS_BOUND: f64 = 2.8;

/// The losses of two seeds can differ by this much.
const SEED_SPREAD: f64 = 0.003;

/// At least this percentage of the words in groups must have their nearest neighbour in their own
/// group. Random vectors would give 20; values of 94 to 100 were seen.
const AT_HOME: usize = 60;

fn main() -> ExitCode {
    command::run_or_help(include_str!("main.rs"), |Arguments { quick, folder }| {
        let epochs = if *quick { 2 } else { 8 };
        let text = Text::load()?;
        let noise = Noise::new(text.counts())?;
        let bar = progress::bar("skip-gram", epochs)?;
        let clock = Instant::now();
        let trainings = train(&text, &noise, epochs, &bar)?;
        bar.finish();

        let sizes = format!("{} words of text, {} different ones", text.length(), text.words.len());
        headline::print(&format!("{sizes}, two trainings of {epochs} epochs"), clock.elapsed());
        let results: Vec<_> =
            trainings.iter().map(|training| Results::of(training, &text)).collect();
        results.iter().for_each(Results::print);
        print_comparison(&results);
        if let [named, all] = &trainings[..] {
            Costs::compare(&named.costs, &all.costs);
        }
        let directions = &results[0].directions;
        chart::save(&WordFigure { directions, trainings: &trainings }, folder, "words")?;
        if results.iter().all(Results::are_good) {
            Ok(())
        } else {
            Err("the loss or the groups of the vectors miss their bounds".into())
        }
    })
}

/// Prints the training with the lower loss, unless the difference is too small.
fn print_comparison(results: &[Results]) {
    let [first, second] = results else { return };
    let (better, worse) = if first.loss < second.loss { (first, second) } else { (second, first) };
    let gap = worse.loss - better.loss;
    if gap < SEED_SPREAD {
        println!("The losses differ by {gap:.4}, no more than the losses of two seeds.");
    } else {
        println!("The loss is lower by {gap:.4} with {}.", better.update.name());
    }
}

/// The results of one training.
struct Results<'a> {
    update: Update,
    loss: f64,
    costs: Costs,
    directions: Directions<'a>,
}

impl<'a> Results<'a> {
    fn of(training: &Training, text: &'a Text) -> Self {
        Results {
            update: training.update,
            loss: training.losses.last().copied().unwrap_or(f64::NAN),
            costs: training.costs,
            directions: Directions::new(text, &training.vectors.words),
        }
    }

    fn print(&self) {
        println!("{}: held-out loss {:.3}, bound {LOSS_BOUND}", self.update.name(), self.loss);
        self.costs.print();
        let (at_home, members) = self.at_home();
        println!("  {at_home} of {members} words are nearest to a word of their own group");
        for word in ["king", "father", "seven", "gold", "sheep", "jerusalem", "eyes", "slew"] {
            if let Some(neighbours) = self.directions.neighbours(word, 6) {
                println!("  {word:10} {}", neighbours.join(", "));
            }
        }
    }

    fn at_home(&self) -> (usize, usize) {
        let members = self.directions.members();
        (self.directions.at_home(&members), members.len())
    }

    fn are_good(&self) -> bool {
        let (at_home, members) = self.at_home();
        self.loss < LOSS_BOUND && 100 * at_home >= AT_HOME * members
    }
}
