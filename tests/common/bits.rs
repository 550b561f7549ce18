//! Comparing numbers bit by bit, with messages that say which number and by how much.

use super::Float;
use adamax::State;
use ndarray::{ArrayRef, Dimension};
use std::fmt::Display;

/// The bits of all elements, in logical order.
pub(crate) trait Bits<W> {
    fn bits(&self) -> Vec<W>;
}

impl<A: Float> Bits<A::Word> for [A] {
    fn bits(&self) -> Vec<A::Word> {
        self.iter().map(|value| value.word()).collect()
    }
}

impl<A: Float, D: Dimension> Bits<A::Word> for ArrayRef<A, D> {
    fn bits(&self) -> Vec<A::Word> {
        self.iter().map(|value| value.word()).collect()
    }
}

/// Everything a step may change: x, m, u and t.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot<W> {
    x: Vec<W>,
    m: Vec<W>,
    u: Vec<W>,
    steps: u64,
}

impl<W> Snapshot<W> {
    pub(crate) fn of<A: Float<Word = W>, D: Dimension>(
        x: &ArrayRef<A, D>,
        state: &State<A>,
    ) -> Self {
        Snapshot {
            x: x.bits(),
            m: state.first_moment().bits(),
            u: state.inf_norm().bits(),
            steps: state.steps(),
        }
    }
}

/// Asserts that two results are the same numbers: equal bits, where one NaN is as good as another.
/// (IEEE 754 leaves sign and payload of a NaN open, and compilers do.)
pub(crate) fn assert_same<'a, A: Float>(
    what: impl Display,
    found: impl IntoIterator<Item = &'a A>,
    expected: impl IntoIterator<Item = &'a A>,
) {
    let (mut found, mut expected) = (found.into_iter(), expected.into_iter());
    for position in 0_usize.. {
        match (found.next(), expected.next()) {
            (None, None) => return,
            (Some(&a), Some(&b)) => assert!(
                same(a, b),
                "{what}: element {position} is {a:?} ({:#x}), but should be {b:?} ({:#x})",
                a.word(),
                b.word(),
            ),
            (a, b) => panic!("{what}: lengths differ at element {position}: {a:?}, {b:?}"),
        }
    }
}

#[allow(clippy::eq_op)] // NaN alone differs from itself
fn same<A: Float>(a: A, b: A) -> bool {
    a.word() == b.word() || (a != a && b != b)
}

/// Asserts that memory has not been touched: all bits as before, those of NaN included.
pub(crate) fn assert_untouched<T: PartialEq + std::fmt::Debug>(
    what: impl Display,
    after: &T,
    before: &T,
) {
    assert!(after == before, "{what}: was {before:x?}, and is {after:x?}");
}
