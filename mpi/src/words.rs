//! Messages in words of 8 bytes: short ones of any length, and texts.

use core::slice::ChunksExact;

use crate::transport::{Transport, TransportError};

/// The words of a usual message, with its length in front. Longer ones take a second message.
const USUAL: usize = 32;

/// Buffers for the words of all ranks, which are kept.
#[derive(Debug, Default)]
pub(crate) struct Words {
    own: Vec<u64>,
    of_all: Vec<u64>,
}

impl Words {
    /// Gathers the same number of words from each rank, and returns those of all ranks.
    pub(crate) fn gather<'s>(
        &'s mut self,
        transport: &mut impl Transport,
        words: &[u64],
    ) -> Result<ChunksExact<'s, u64>, TransportError> {
        self.of_all.clear();
        self.of_all.resize(words.len() * transport.size(), 0);
        transport.all_gather(words, &mut self.of_all)?;
        Ok(self.of_all.chunks_exact(words.len().max(1)))
    }

    /// Gathers words from each rank, of any number.
    pub(crate) fn gather_any<'s, T: Transport>(
        &'s mut self,
        transport: &mut T,
        words: &[u64],
    ) -> Result<impl Iterator<Item = &'s [u64]> + use<'s, T>, TransportError> {
        let mut room = USUAL;
        loop {
            let length = u64::try_from(words.len()).unwrap_or(u64::MAX);
            self.own.clear();
            self.own.push(length);
            self.own.extend(words.iter().take(room - 1));
            self.own.resize(room, 0);
            self.of_all.clear();
            self.of_all.resize(room * transport.size(), 0);
            transport.all_gather(&self.own, &mut self.of_all)?;
            // All ranks see the same lengths, so all take the second message, or none.
            let longest = self.of_all.chunks_exact(room).map(length_of).max().unwrap_or_default();
            if longest < room {
                break;
            }
            room = longest + 1;
        }
        Ok(self.of_all.chunks_exact(room).map(|block| {
            let words = block.get(1..).unwrap_or_default();
            words.get(..length_of(block)).unwrap_or_default()
        }))
    }
}

fn length_of(block: &[u64]) -> usize {
    let length = block.first().copied().unwrap_or_default();
    usize::try_from(length).unwrap_or(usize::MAX - 1)
}

/// Writes words one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u64>);

impl Writer {
    pub(crate) fn number(&mut self, number: usize) {
        self.0.push(u64::try_from(number).unwrap_or(u64::MAX));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len());
        let words = text.as_bytes().chunks(8).map(|bytes| {
            let mut word = [0; 8];
            word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word)
        });
        self.0.extend(words);
    }

    /// Writes a name, or that there is none.
    pub(crate) fn name(&mut self, name: Option<&str>) {
        self.number(usize::from(name.is_some()));
        self.text(name.unwrap_or_default());
    }
}

/// Reads what a [`Writer`] has written. Where there is nothing more, it reads 0 and empty texts.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u64]);

impl Reader<'_> {
    pub(crate) fn word(&mut self) -> u64 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub(crate) fn number(&mut self) -> usize {
        usize::try_from(self.word()).unwrap_or(usize::MAX)
    }

    pub(crate) fn text(&mut self) -> String {
        let length = self.number();
        let count = length.div_ceil(8).min(self.0.len());
        let (words, rest) = self.0.split_at(count);
        self.0 = rest;
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(length);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn name(&mut self) -> Option<String> {
        let is_there = self.number() == 1;
        Some(self.text()).filter(|_| is_there)
    }
}

/// A number that stands for everything that is mixed into it.
///
/// It tells different calls apart, which no one makes on purpose. It is no protection against fraud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature(u64);

impl Signature {
    pub(crate) const EMPTY: Self = Signature(0x243f_6a88_85a3_08d3);

    #[must_use]
    pub(crate) fn with(self, word: u64) -> Self {
        let mixed = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Signature(mixed ^ mixed >> 29)
    }

    #[must_use]
    pub(crate) fn with_number(self, number: usize) -> Self {
        self.with(u64::try_from(number).unwrap_or(u64::MAX))
    }

    #[must_use]
    pub(crate) fn with_text(self, text: &str) -> Self {
        let mut writer = Writer::default();
        writer.text(text);
        writer.0.into_iter().fold(self, Signature::with)
    }

    pub(crate) fn word(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Threads;

    #[test]
    fn messages_of_any_length_are_gathered() {
        let lengths = [[0, 0, 0], [31, 0, 5], [32, 31, 0], [1, 5000, 33]];
        std::thread::scope(|scope| {
            for (rank, mut transport) in Threads::new(3).into_iter().enumerate() {
                scope.spawn(move || {
                    let mut words = Words::default();
                    for lengths in lengths {
                        let message = |rank: usize| vec![rank as u64 + 7; lengths[rank]];
                        let own = message(rank);
                        let found = words.gather_any(&mut transport, &own).expect("a message");
                        let found: Vec<_> = found.map(<[u64]>::to_vec).collect();
                        assert_eq!(found, [message(0), message(1), message(2)]);
                    }
                });
            }
        });
    }

    #[test]
    fn texts_come_back() {
        let texts = ["", "a", "12345678", "gradient of ε₁ is NaN"];
        let mut writer = Writer::default();
        for text in texts {
            writer.text(text);
            writer.name(Some(text));
            writer.name(None);
        }
        let mut reader = Reader(&writer.0);
        for text in texts {
            assert_eq!(reader.text(), text);
            assert_eq!(reader.name().as_deref(), Some(text));
            assert_eq!(reader.name(), None);
        }
        assert_eq!((reader.word(), reader.text().as_str()), (0, ""));
        // A length that is not true.
        assert_eq!(Reader(&[u64::MAX, 65]).text().trim_end_matches('\0'), "A");
    }

    #[test]
    fn signatures_tell_order_and_content_apart() {
        let of = |texts: &[&str]| texts.iter().fold(Signature::EMPTY, |s, text| s.with_text(text));
        let all = [of(&[]), of(&[""]), of(&["a"]), of(&["a", "b"]), of(&["b", "a"]), of(&["ab"])];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
    }
}
