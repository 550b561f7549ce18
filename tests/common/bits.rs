//! Compares numbers bit by bit, with messages that show the position and both values.

use super::Float;
use adamax::State;
use ndarray::{ArrayRef, Dimension};
use std::{fmt::Display, vec::Vec};

/// Returns the bits of all elements in logical order.
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

/// Everything that a step may change: x, m, u and t.
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

/// Asserts that two results have equal bits, except that any NaN equals any other NaN. IEEE 754 and
/// compilers do not define the sign and payload of a NaN.
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

#[allow(clippy::eq_op)] // only NaN differs from itself
fn same<A: Float>(a: A, b: A) -> bool {
    a.word() == b.word() || (a != a && b != b)
}

/// Asserts that all bits are unchanged, including those of NaN.
pub(crate) fn assert_untouched<T: PartialEq + std::fmt::Debug>(
    what: impl Display,
    after: &T,
    before: &T,
) {
    assert!(after == before, "{what}: was {before:x?}, and is {after:x?}");
}
