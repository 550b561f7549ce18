//! The sum of the squares of an array, of any layout.

use ndarray::{ArrayRef, Axis, Dimension};

use super::{
    Elements, Reduce,
    exact_sum::ExactSum,
    gapped::Stream,
    leaves::{Leaf, Leaves, OneLeaf, leaf},
    norm::Norm,
    part::Part,
    reordered::Reordered,
};
use crate::{
    layout::{order::Order, with_static_dimension},
    par::{Execute, Split, Summary},
    real::Real,
    simd::{Loop, dispatch},
};

impl Norm {
    /// Returns the norm of an array.
    #[inline]
    pub(crate) fn of<A: Real, D: Dimension>(
        execute: impl Execute,
        elements: Elements<'_, A, D>,
    ) -> Self {
        Norm::of_squares(execute, Squares::new(elements))
    }

    /// Returns the root of a sum of squares.
    #[inline]
    pub(crate) fn of_squares<A: Real, D: Dimension>(
        execute: impl Execute,
        squares: Squares<'_, A, D>,
    ) -> Self {
        if let Some(Leaf { sum, exponent }) = squares.as_one_leaf() {
            return Norm::new(sum, exponent);
        }
        let mut sum = ExactSum::ZERO;
        execute.run_into(squares, &mut sum, Squares::add_to);
        sum.root()
    }
}

impl Norm {
    /// Returns the root of a sum of squares, and adds the sum to another.
    pub(crate) fn and_add<A: Real, D: Dimension>(
        execute: impl Execute,
        squares: Squares<'_, A, D>,
        sum: &mut ExactSum,
    ) -> Self {
        if let Some(leaf) = squares.as_one_leaf() {
            sum.add_leaf(leaf);
            return Norm::new(leaf.sum, leaf.exponent);
        }
        let mut own = ExactSum::ZERO;
        execute.run_into(squares, &mut own, Squares::add_to);
        sum.add_sum(&own);
        own.root()
    }
}

/// The sum of the squares of an array.
pub(crate) enum Squares<'a, A, D> {
    RowMajor(RowMajor<'a, A>),
    Reordered(Reordered<'a, A>),
    Gapped(&'a ArrayRef<A, D>),
    Rows(&'a ArrayRef<A, D>),
    /// A part of a tensor, as a vector that does not run forwards without gaps.
    PartInOtherOrder(Elements<'a, A, D>, &'a Part),
}

impl<'a, A: Real, D: Dimension> Squares<'a, A, D> {
    /// Returns the work on a vector that is a part of a tensor; on the array if there is no part.
    #[inline(always)]
    pub(crate) fn of_part(elements: Elements<'a, A, D>, part: Option<&'a Part>) -> Self {
        match (elements, part) {
            (elements, None) => Squares::new(elements),
            (Elements::Gapless { values, order: Order::ROW_MAJOR, .. }, Some(part)) => {
                let (leaves, start) = (part.leaves(), part.range().start);
                Squares::RowMajor(RowMajor { values, leaves, start })
            }
            (elements, Some(part)) => Squares::PartInOtherOrder(elements, part),
        }
    }
}

impl<A: Real, D> Squares<'_, A, D> {
    /// Returns the sum if the array is gapless and one leaf.
    #[inline(always)]
    fn as_one_leaf(&self) -> Option<Leaf> {
        match self {
            Squares::RowMajor(work) if work.is_one_leaf() => Some(dispatch(OneLeaf(work.values))),
            Squares::Reordered(work) => work.as_one_leaf(),
            _ => None,
        }
    }
}

impl<'a, A: Real, D: Dimension> Reduce<'a, A, D> for Squares<'a, A, D> {
    type Summary = ExactSum;

    #[inline(always)]
    fn new(elements: Elements<'a, A, D>) -> Self {
        match elements {
            Elements::Gapless { values, shape, order: Order::ROW_MAJOR } => {
                Squares::RowMajor(RowMajor { values, leaves: Leaves::of(shape), start: 0 })
            }
            Elements::Gapless { values, shape, order } => {
                Squares::Reordered(Reordered::new(values, shape, order))
            }
            Elements::Gapped(array) => Squares::Gapped(array),
            Elements::Rows(array) => Squares::Rows(array),
        }
    }

    #[inline(always)]
    fn add_to(self, sum: &mut ExactSum) {
        if let Some(leaf) = self.as_one_leaf() {
            return sum.add_leaf(leaf);
        }
        match self {
            Squares::RowMajor(work) => dispatch(AddRowMajor { work, sum }),
            Squares::Reordered(reordered) => reordered.add_to(sum),
            Squares::Gapped(array) => {
                let mut stream = Stream::new(Leaves::of(array.shape()), 0, sum);
                let array = array.view().into_dyn();
                with_static_dimension!(array, |array| stream.extend_by(&array));
            }
            Squares::Rows(array) => {
                let array = array.view().into_dyn();
                for row in array.axis_iter(Axis(0)) {
                    Squares::new(Elements::of(&row)).add_to(sum);
                }
            }
            Squares::PartInOtherOrder(elements, part) => {
                let mut stream = Stream::new(part.leaves(), part.range().start, sum);
                stream.extend_by(&elements.view());
            }
        }
    }
}

impl<A: Real, D: Dimension> Split for Squares<'_, A, D> {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Squares::RowMajor(work) => work.len(),
            Squares::Reordered(work) => work.len(),
            Squares::Gapped(array) | Squares::Rows(array) => array.len(),
            Squares::PartInOtherOrder(elements, _) => elements.len(),
        }
    }

    fn split(self) -> Result<(Self, Self), Self> {
        match self {
            Squares::RowMajor(work) => {
                let (a, b) = work.split().map_err(Squares::RowMajor)?;
                Ok((Squares::RowMajor(a), Squares::RowMajor(b)))
            }
            Squares::Reordered(work) => {
                let (a, b) = work.split().map_err(Squares::Reordered)?;
                Ok((Squares::Reordered(a), Squares::Reordered(b)))
            }
            Squares::Gapped(_) | Squares::Rows(_) | Squares::PartInOtherOrder(..) => Err(self),
        }
    }
}

impl Summary for ExactSum {
    const EMPTY: Self = ExactSum::ZERO;

    fn join(&mut self, other: Self) {
        self.add_sum(&other);
    }
}

/// Row-major elements; the first begins a leaf.
pub(crate) struct RowMajor<'a, A> {
    values: &'a [A],
    leaves: Leaves,
    /// The position of the first element in the whole array.
    start: usize,
}

impl<A> RowMajor<'_, A> {
    /// Returns the number of elements until the cutting into leaves starts anew.
    #[inline(always)]
    fn rest_of_period(&self) -> usize {
        self.leaves.period() - self.start % self.leaves.period()
    }

    #[inline(always)]
    fn is_one_leaf(&self) -> bool {
        let length = self.values.len();
        length <= self.leaves.unit() && (self.start == 0 || length <= self.rest_of_period())
    }
}

impl<A: Real> Split for RowMajor<'_, A> {
    fn len(&self) -> usize {
        self.values.len()
    }

    /// Splits between the leaves in the middle.
    fn split(self) -> Result<(Self, Self), Self> {
        let RowMajor { values, leaves, start } = self;
        let middle = leaves.floor(start + values.len() / 2);
        match middle.checked_sub(start).and_then(|length| values.split_at_checked(length)) {
            Some((a, b)) if !a.is_empty() => Ok((
                RowMajor { values: a, leaves, start },
                RowMajor { values: b, leaves, start: middle },
            )),
            _ => Err(self),
        }
    }
}

struct AddRowMajor<'a, 't, A> {
    work: RowMajor<'a, A>,
    sum: &'t mut ExactSum,
}

impl<A: Real> Loop for AddRowMajor<'_, '_, A> {
    type Output = ();

    #[inline(always)]
    fn run(&mut self) {
        let RowMajor { mut values, leaves, .. } = self.work;
        let mut period = self.work.rest_of_period();
        while !values.is_empty() {
            let (block, rest) = values.split_at(period.min(values.len()));
            for values in block.chunks(leaves.unit()) {
                self.sum.add_leaf(leaf(values));
            }
            (values, period) = (rest, leaves.period());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduce::leaves::LEAF;
    use alloc::vec;
    use ndarray::{Array2, ShapeBuilder};

    /// The elements from position `start` on of an array of this shape.
    fn row_major<'a>(shape: &[usize], start: usize, values: &'a [f64]) -> RowMajor<'a, f64> {
        RowMajor { values, leaves: Leaves::of(shape), start }
    }

    /// A leaf ends after 512 elements, and where a row of more ends.
    #[test]
    fn elements_up_to_the_end_of_a_leaf_are_one() {
        let values = vec![1.0; 1400];
        for (start, length, expected) in [
            (0, 0, true),
            (0, LEAF, true),
            (0, LEAF + 1, false),
            (0, 1400, false),
            (LEAF, 188, true),
            (LEAF, 189, false),
            (LEAF, 300, false),
            (700, LEAF, true),
            (700, LEAF + 1, false),
        ] {
            let work = row_major(&[2, 700], start, &values[..length]);
            assert_eq!(work.is_one_leaf(), expected, "{length} elements from {start} on");
        }
    }

    /// One leaf needs no exact sum, in either order.
    #[test]
    fn an_array_without_gaps_can_be_one_leaf() {
        for is_reordered in [false, true] {
            for (shape, expected) in [
                ((2, 3), true),
                ((8, 8), true),
                ((5, 13), true),
                ((8, 64), true),
                ((9, 64), false),
                ((2, 700), false),
            ] {
                let array = Array2::from_elem(shape.set_f(is_reordered), 2.0);
                let squares = Squares::new(Elements::of(&array));
                assert_eq!(matches!(squares, Squares::Reordered(_)), is_reordered);
                let found = squares.as_one_leaf().map(|leaf| leaf.sum);
                let sum = array.iter().map(|x| x * x).sum();
                assert_eq!(found, expected.then_some(sum), "{shape:?}");
            }
        }
    }

    #[test]
    fn work_is_split_between_the_leaves_in_the_middle() {
        let values = vec![1.0; 3000];
        let lengths = |shape: &[usize], start, length| {
            let parts = row_major(shape, start, &values[..length]).split();
            parts.ok().map(|(a, b)| (a.values.len(), b.start - start, b.values.len()))
        };
        assert_eq!(lengths(&[3000], 0, 3000), Some((1024, 1024, 1976)));
        assert_eq!(lengths(&[3000], 1024, 1976), Some((512, 512, 1464)));
        assert_eq!(lengths(&[4, 700], 0, 2800), Some((1400, 1400, 1400)));
        // One leaf stays whole, and so do two whose middle lies in the first.
        assert_eq!(lengths(&[3000], 512, 512), None);
        assert_eq!(lengths(&[4, 700], 512, 188), None);
        assert_eq!(lengths(&[3000], 0, 600), None);
        assert_eq!(lengths(&[3000], 0, 0), None);
    }
}
