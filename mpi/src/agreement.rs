//! The agreement on what all ranks are about to do, before anything is done.

use crate::{
    error::{Error, Refusal},
    transport::Transport,
    words::{Reader, Signature, Words, Writer},
};

/// The step that a rank is about to take, in words that people understand: a line for each setting and tensor.
#[derive(Debug, Default)]
pub(crate) struct Manifest(Vec<Line>);

#[derive(Debug, Default, PartialEq)]
struct Line {
    tensor: Option<String>,
    text: String,
}

impl Manifest {
    pub(crate) fn setting(&mut self, text: String) {
        self.0.push(Line { tensor: None, text });
    }

    pub(crate) fn tensor(&mut self, name: &str, text: String) {
        self.0.push(Line { tensor: Some(name.to_owned()), text });
    }
}

/// Agrees on a call. Every rank takes part, also one that refuses.
///
/// `signature` stands for the call with all its settings and tensors; `manifest` explains it, and is
/// asked for only if ranks differ. One short message; a second one if something is wrong.
pub(crate) fn agree(
    transport: &mut impl Transport,
    words: &mut Words,
    signature: Signature,
    refusal: Result<(), Refusal>,
    manifest: impl FnOnce() -> Manifest,
) -> Result<(), Error> {
    let own = [signature.word(), u64::from(refusal.is_err())];
    let same = words.gather(transport, &own)?.all(|of_rank| of_rank == [own[0], 0]);
    if same { Ok(()) } else { Err(explain(transport, words, refusal, manifest)?) }
}

/// Returns the reason why the ranks do not agree: the same on all of them.
#[cold]
fn explain(
    transport: &mut impl Transport,
    words: &mut Words,
    refusal: Result<(), Refusal>,
    manifest: impl FnOnce() -> Manifest,
) -> Result<Error, Error> {
    let mut writer = Writer::default();
    if let Err(Refusal { tensor, message }) = refusal {
        writer.number(1);
        writer.name(tensor.as_deref());
        writer.text(&message);
    } else {
        let Manifest(lines) = manifest();
        writer.number(0);
        writer.number(lines.len());
        for Line { tensor, text } in &lines {
            writer.name(tensor.as_deref());
            writer.text(text);
        }
    }
    let mut manifests = Vec::new();
    for (rank, words) in words.gather_any(transport, &writer.0)?.enumerate() {
        let mut reader = Reader(words);
        if reader.number() == 1 {
            return Ok(Error::Refused { rank, tensor: reader.name(), message: reader.text() });
        }
        let lines = (0..reader.number()).map_while(|_| {
            let more = !reader.0.is_empty();
            more.then(|| Line { tensor: reader.name(), text: reader.text() })
        });
        manifests.push(lines.collect::<Vec<_>>());
    }
    Ok(difference(&manifests))
}

/// Names the first rank that differs from rank 0, and its first line that does.
fn difference(manifests: &[Vec<Line>]) -> Error {
    let Some((first, others)) = manifests.split_first() else {
        return unknown_difference();
    };
    for (rank, other) in others.iter().enumerate() {
        let longest = first.len().max(other.len());
        let nothing = Line { tensor: None, text: "nothing more".to_owned() };
        for place in 0..longest {
            let [expected, found] =
                [first, other].map(|lines| lines.get(place).unwrap_or(&nothing));
            if expected != found {
                return Error::Differs {
                    rank: rank + 1,
                    tensor: found.tensor.clone().or_else(|| expected.tensor.clone()),
                    found: found.text.clone(),
                    expected: expected.text.clone(),
                };
            }
        }
    }
    unknown_difference()
}

/// Programs that were built differently may have different signatures of the same call.
fn unknown_difference() -> Error {
    let [found, expected] = ["another build of this program", "this one"].map(str::to_owned);
    Error::Differs { rank: 0, tensor: None, found, expected }
}

/// Agrees on the result of what each rank has done for itself: an error of one is an error of all.
pub(crate) fn agree_on_result(
    transport: &mut impl Transport,
    words: &mut Words,
    result: Result<(), Refusal>,
) -> Result<(), Error> {
    agree(transport, words, Signature::EMPTY, result, Manifest::default)
}
