//! Word vectors by skip-gram, from five books of the King James Bible: gradients with idle rows.
//!
//! ```text
//! cargo run --release --example word_embeddings [-- [--quick] [FOLDER]]
//! ```
//! A word is known by the company it keeps: each word gets a vector that tells its neighbours in the
//! text from words drawn at random. A minibatch touches some of the rows of the two tables of
//! vectors; the gradient of the others is zero. That leaves a choice, made both ways in `train.rs`:
//!
//! * **All rows.** The tables are stepped as they are. A row goes on moving when its gradient is
//!   zero, for about 1/(1 − β₁) = 10 steps, by what its first moment remembers, and its infinity norm
//!   decays. That is what dense Adamax of any library does.
//! * **Touched rows only.** Each row is a tensor of its own, and a batch of the optimizer binds those
//!   that were touched. The others wait, with their moments and their own count of steps. That is
//!   what a vocabulary asks for of which a minibatch touches next to nothing.
//!
//! What to look at: which way reaches the lower loss on verses held out; the nearest neighbours of
//! some words; and the map of words in the picture, where numbers, family, animals, materials and
//! kings keep to themselves, although nobody told the vectors what a number is.
//!
//! The exit code is not zero if, either way, the held-out loss ends above a bound, or too many words
//! of those groups are nearest to a word of another group. The picture goes to `FOLDER`, by default
//! `target/word_embeddings`, as PNG and SVG: `words`. With `--quick` there are fewer epochs.

#[path = "../common/mod.rs"]
mod common;
mod meaning;
mod plot;
mod skip_gram;
mod text;
mod train;

use std::process::ExitCode;

use crate::{
    common::{
        chart,
        command::{self, Arguments},
        parallel, progress,
    },
    meaning::Directions,
    plot::WordFigure,
    skip_gram::Noise,
    text::Text,
    train::{Training, Update, train},
};

/// The loss per held-out pair must end below. Untrained it is 6·ln 2 = 4.16, and 2.69 to 2.72 were seen.
const LOSS_BOUND: f64 = 2.8;

/// Losses that differ by less may do so by the luck of the seed.
const SEED_SPREAD: f64 = 0.003;

/// Of the words of the groups, so many percent must have their nearest neighbour in their own group.
/// By chance it would be 20, and 97 to 100 were seen.
const AT_HOME: usize = 60;

fn main() -> ExitCode {
    command::run(|Arguments { quick, folder }| {
        let epochs = if *quick { 2 } else { 8 };
        let text = Text::load()?;
        let noise = Noise::new(text.counts())?;
        let bar = progress::bar("skip-gram", epochs * Update::ALL.len() as u64)?;
        let trainings = parallel::map(&Update::ALL, &bar, |&update| {
            train(&text, &noise, update, epochs, &bar)
        })?;
        bar.finish();

        let results: Vec<_> =
            trainings.iter().map(|training| Results::of(training, &text)).collect();
        results.iter().for_each(Results::print);
        print_comparison(&results);
        let directions = &results[0].directions;
        chart::save(&WordFigure { directions, trainings: &trainings }, folder, "words")?;
        if results.iter().all(Results::are_good) {
            Ok(())
        } else {
            Err("the vectors have not learned what was expected of them".into())
        }
    })
}

/// Prints which way did better, if any.
fn print_comparison(results: &[Results]) {
    let [first, second] = results else { return };
    let (better, worse) = if first.loss < second.loss { (first, second) } else { (second, first) };
    let gap = worse.loss - better.loss;
    if gap < SEED_SPREAD {
        println!("The losses differ by {gap:.4}, no more than those of two seeds do.");
    } else {
        println!("The loss is lower by {gap:.4} with {}.", better.update.name());
    }
}

/// What one training has led to.
struct Results<'a> {
    update: Update,
    loss: f64,
    touched: f64,
    directions: Directions<'a>,
}

impl<'a> Results<'a> {
    fn of(Training { update, vectors, losses, touched }: &Training, text: &'a Text) -> Self {
        Results {
            update: *update,
            loss: losses.last().copied().unwrap_or(f64::NAN),
            touched: *touched,
            directions: Directions::new(text, &vectors.words),
        }
    }

    fn print(&self) {
        println!("{}: held-out loss {:.3}, bound {LOSS_BOUND}", self.update.name(), self.loss);
        println!("  {:.0} % of the rows touched by a step", 100.0 * self.touched);
        let (at_home, members) = self.at_home();
        println!("  {at_home} of {members} words are nearest to one of their own group");
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
