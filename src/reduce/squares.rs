//! The sum of the squares of an array, of any layout.

use ndarray::{ArrayRef, Axis, Dimension};

use super::{
    Elements, Reduce,
    exact_sum::ExactSum,
    gapped::Stream,
    leaves::{Leaf, Leaves, OneLeaf, leaf},
    norm::Norm,
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
        let squares = Squares::new(elements);
        if let Some(Leaf { sum, exponent }) = squares.as_one_leaf() {
            return Norm::new(sum, exponent);
        }
        let mut sum = ExactSum::ZERO;
        execute.run_into(squares, &mut sum, Squares::add_to);
        sum.root()
    }
}

impl Norm {
    /// Returns the norm of an array, and adds its square to a sum.
    pub(crate) fn and_add<A: Real, D: Dimension>(
        execute: impl Execute,
        elements: Elements<'_, A, D>,
        sum: &mut ExactSum,
    ) -> Self {
        let squares = Squares::new(elements);
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
}

impl<A: Real, D> Squares<'_, A, D> {
    /// Returns the sum if the array is gapless and one leaf.
    #[inline(always)]
    fn as_one_leaf(&self) -> Option<Leaf> {
        match self {
            Squares::RowMajor(work) if work.values.len() <= work.leaves.unit() => {
                Some(dispatch(OneLeaf(work.values)))
            }
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
                Squares::RowMajor(RowMajor { values, leaves: Leaves::of(shape) })
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
            Squares::RowMajor(RowMajor { values, leaves }) => {
                dispatch(AddRowMajor { values, leaves, sum });
            }
            Squares::Reordered(reordered) => reordered.add_to(sum),
            Squares::Gapped(array) => {
                let mut stream = Stream::new(Leaves::of(array.shape()), sum);
                let array = array.view().into_dyn();
                with_static_dimension!(array, |array| stream.extend_by(&array));
            }
            Squares::Rows(array) => {
                let array = array.view().into_dyn();
                for row in array.axis_iter(Axis(0)) {
                    Squares::new(Elements::of(&row)).add_to(sum);
                }
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
            Squares::Gapped(_) | Squares::Rows(_) => Err(self),
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
}

impl<A: Real> Split for RowMajor<'_, A> {
    fn len(&self) -> usize {
        self.values.len()
    }

    /// Splits at the coarsest boundary: a block of rows, else a period, else a leaf.
    fn split(self) -> Result<(Self, Self), Self> {
        let RowMajor { values, leaves } = self;
        let units = [leaves.rows * leaves.columns, leaves.period(), leaves.unit()];
        let Some(unit) = units.into_iter().find(|&unit| unit > 0 && unit < values.len()) else {
            return Err(self);
        };
        let (a, b) = values.split_at((values.len() / unit).div_ceil(2) * unit);
        Ok((RowMajor { values: a, leaves }, RowMajor { values: b, leaves }))
    }
}

struct AddRowMajor<'a, 't, A> {
    values: &'a [A],
    leaves: Leaves,
    sum: &'t mut ExactSum,
}

impl<A: Real> Loop for AddRowMajor<'_, '_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for block in self.values.chunks(self.leaves.period()) {
            for values in block.chunks(self.leaves.unit()) {
                self.sum.add_leaf(leaf(values));
            }
        }
    }
}
