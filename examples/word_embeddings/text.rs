//! The text as verses of words that are numbered by frequency.

use std::{collections::BTreeMap, io::Read};

use flate2::read::GzDecoder;
use ndarray_rand::rand::{Rng, rngs::SmallRng, seq::SliceRandom};

/// The source of the text is described in examples/data/README.md.
const KJV: &[u8] = include_bytes!("../data/kjv.txt.gz");

/// Rarer words are left out: of a single use, either the training or the test knows nothing.
const MIN_COUNT: u32 = 2;

/// One of this number of verses is held out.
const HOLD_OUT: usize = 20;

/// Number of words on each side that count as neighbours.
const WINDOW: usize = 4;

/// Some occurrences of words with a larger share of the text than this are left out at random.
const FREQUENT: f64 = 1e-3;

/// Two neighbouring words of a verse, as numbers in the vocabulary.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) word: usize,
    pub(crate) context: usize,
}

/// The text.
pub(crate) struct Text {
    /// The vocabulary, the most frequent word first.
    pub(crate) words: Vec<String>,
    counts: Vec<u32>,
    training: Vec<Vec<usize>>,
    held_out: Vec<Vec<usize>>,
}

impl Text {
    pub(crate) fn load() -> std::io::Result<Self> {
        let mut text = String::new();
        GzDecoder::new(KJV).read_to_string(&mut text)?;
        let text = text.to_lowercase();
        Ok(Text::of(&text))
    }

    fn of(text: &str) -> Self {
        let mut counts = BTreeMap::<&str, u32>::new();
        for word in text.lines().flat_map(split) {
            *counts.entry(word).or_default() += 1;
        }
        let mut frequent: Vec<_> =
            counts.into_iter().filter(|&(_, count)| count >= MIN_COUNT).collect();
        frequent.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let numbers: BTreeMap<_, _> =
            frequent.iter().enumerate().map(|(number, &(word, _))| (word, number)).collect();

        let (mut training, mut held_out) = (Vec::new(), Vec::new());
        for (line, verse) in text.lines().enumerate() {
            let verse = split(verse).filter_map(|word| numbers.get(word).copied()).collect();
            let part = if line % HOLD_OUT == HOLD_OUT - 1 { &mut held_out } else { &mut training };
            part.push(verse);
        }
        let (words, counts) =
            frequent.into_iter().map(|(word, count)| (word.to_owned(), count)).unzip();
        Text { words, counts, training, held_out }
    }
}

impl Text {
    /// Returns the number of a word in the vocabulary.
    pub(crate) fn number(&self, word: &str) -> Option<usize> {
        self.words.iter().position(|known| known == word)
    }

    /// Returns the number of occurrences of each word.
    pub(crate) fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Returns the number of words of the text that are in the vocabulary.
    pub(crate) fn length(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// Returns the pairs of one epoch in random order: all pairs of the training verses after most
    /// occurrences of frequent words have been removed.
    pub(crate) fn epoch(&self, rng: &mut SmallRng) -> Vec<Pair> {
        let total = f64::from(self.length());
        let keep =
            |word: &usize| (FREQUENT * total / f64::from(self.counts[*word])).sqrt().min(1.0);
        let mut pairs = Vec::new();
        for verse in &self.training {
            let verse: Vec<_> =
                verse.iter().copied().filter(|word| rng.random_bool(keep(word))).collect();
            pairs.extend(pairs_of(&verse));
        }
        pairs.shuffle(rng);
        pairs
    }

    /// Returns all pairs of the held-out verses.
    pub(crate) fn held_out(&self) -> Vec<Pair> {
        self.held_out.iter().flat_map(|verse| pairs_of(verse)).collect()
    }
}

fn pairs_of(verse: &[usize]) -> impl Iterator<Item = Pair> {
    verse.iter().enumerate().flat_map(move |(place, &word)| {
        let before = &verse[place.saturating_sub(WINDOW)..place];
        let after = &verse[place + 1..verse.len().min(place + 1 + WINDOW)];
        before.iter().chain(after).map(move |&context| Pair { word, context })
    })
}

fn split(verse: &str) -> impl Iterator<Item = &str> {
    verse.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty())
}
