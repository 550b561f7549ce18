//! Evaluation of the vectors: nearest neighbours, and groups of related words.

use adamax::ndarray::{Array1, Array2, Axis};

use crate::text::Text;

/// A group of related words.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    words: &'static [&'static str],
}

pub(crate) const GROUPS: [Group; 5] = [
    Group {
        name: "numbers",
        words: &[
            "two", "three", "four", "five", "six", "seven", "ten", "twenty", "thirty", "hundred",
        ],
    },
    Group { name: "family", words: &["father", "mother", "brother", "sister", "daughter", "wife"] },
    Group { name: "animals", words: &["sheep", "oxen", "asses", "camels", "cattle", "flocks"] },
    Group {
        name: "materials",
        words: &["gold", "silver", "brass", "cedar", "wood", "stone", "stones"],
    },
    Group {
        name: "kings",
        words: &["jeroboam", "ahab", "rehoboam", "asa", "joash", "hezekiah", "josiah"],
    },
];

/// A word of a group.
pub(crate) struct Member<'a> {
    pub(crate) word: &'a str,
    /// The index of the group in [`GROUPS`].
    pub(crate) group: usize,
    number: usize,
}

/// The vectors of all words, scaled to length 1.
pub(crate) struct Directions<'a> {
    text: &'a Text,
    rows: Array2<f32>,
}

impl<'a> Directions<'a> {
    pub(crate) fn new(text: &'a Text, vectors: &Array2<f32>) -> Self {
        let lengths = vectors.map_axis(Axis(1), |row| row.dot(&row).sqrt());
        Directions { text, rows: vectors / &lengths.insert_axis(Axis(1)) }
    }

    fn cosine(&self, one: usize, other: usize) -> f32 {
        self.rows.row(one).dot(&self.rows.row(other))
    }

    /// Returns the words whose vectors have the smallest angle to that of `word`, nearest first.
    pub(crate) fn neighbours(&self, word: &str, count: usize) -> Option<Vec<&str>> {
        let number = self.text.number(word)?;
        let mut others: Vec<_> = (0..self.text.words.len()).filter(|&it| it != number).collect();
        others.sort_by(|&a, &b| self.cosine(number, b).total_cmp(&self.cosine(number, a)));
        Some(others.iter().take(count).map(|&it| self.text.words[it].as_str()).collect())
    }

    /// Returns the words of all groups that are in the vocabulary.
    pub(crate) fn members(&self) -> Vec<Member<'static>> {
        let groups = GROUPS.iter().enumerate();
        let words = groups
            .flat_map(|(group, Group { words, .. })| words.iter().map(move |word| (group, *word)));
        words
            .filter_map(|(group, word)| {
                Some(Member { word, group, number: self.text.number(word)? })
            })
            .collect()
    }

    /// Returns the number of members whose nearest other member is in the same group.
    pub(crate) fn at_home(&self, members: &[Member]) -> usize {
        let is_at_home = |member: &&Member| {
            let others = members.iter().filter(|other| other.number != member.number);
            let cosine = |other: &Member| self.cosine(member.number, other.number);
            let nearest = others.max_by(|a, b| cosine(a).total_cmp(&cosine(b)));
            nearest.is_some_and(|nearest| nearest.group == member.group)
        };
        members.iter().filter(is_at_home).count()
    }

    /// Returns the first two principal components of the members.
    pub(crate) fn map(&self, members: &[Member]) -> Vec<(f64, f64)> {
        let numbers: Vec<_> = members.iter().map(|member| member.number).collect();
        let rows = self.rows.select(Axis(0), &numbers).mapv(f64::from);
        let Some(mean) = rows.mean_axis(Axis(0)) else { return Vec::new() };
        let mut rest = rows - mean;
        let mut component = || {
            let axis = principal_axis(&rest);
            let heights = rest.dot(&axis);
            rest -= &heights.view().insert_axis(Axis(1)).dot(&axis.insert_axis(Axis(0)));
            heights
        };
        component().into_iter().zip(component()).collect()
    }
}

/// Returns the direction of the largest variance of the rows, by power iteration.
fn principal_axis(rows: &Array2<f64>) -> Array1<f64> {
    const ITERATIONS: usize = 200;
    // The start must not be orthogonal to the result. The first row is not, in practice.
    let mut axis = rows.row(0).to_owned();
    for _ in 0..ITERATIONS {
        axis = rows.t().dot(&rows.dot(&axis));
        axis /= axis.dot(&axis).sqrt();
    }
    axis
}
