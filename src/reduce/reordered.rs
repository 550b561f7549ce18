//! Squares of an array without gaps that is not row-major.
//!
//! Some rows at once are copied to a buffer in logical order, tile by tile. So each cache line is used
//! whole, although the order of memory is another.

use super::{
    exact_sum::ExactSum,
    leaves::{
        LANES, LEAF, Leaf, Leaves, OneLeaf, Sums, add_squares, is_safe, leaf, scaled_leaf, total,
    },
};
use crate::{
    layout::{
        order::{Order, Strides},
        runs::Runs,
        transpose::{BLOCK, side, transposed},
    },
    par::Split,
    real::Real,
    simd::{Loop, dispatch},
};

/// Fewest rows that are read at once: a cache line of f64.
const ROWS: usize = 8;
/// Rows that are read at once if they are long: several cache lines, which the processor loads ahead.
const WIDE_ROWS: usize = 32;
/// The most elements of the buffer for whole rows.
const BUFFER: usize = 4 * LEAF;
/// The most columns of rows that are copied whole.
const NARROW: usize = BUFFER / ROWS;
/// Columns of a tile of wider rows.
const TILE: usize = 64;

/// Elements without gaps in another order than row-major: some of the rows.
pub(crate) struct Reordered<'a, A> {
    values: &'a [A],
    shape: &'a [usize],
    order: Order,
    leaves: Leaves,
    /// The rows of this part: from the first to before the second.
    rows: (usize, usize),
}

impl<'a, A: Real> Reordered<'a, A> {
    pub(super) fn new(values: &'a [A], shape: &'a [usize], order: Order) -> Self {
        let leaves = Leaves::of(shape);
        Reordered { values, shape, order, leaves, rows: (0, leaves.rows) }
    }
}

impl<A: Real> Split for Reordered<'_, A> {
    fn len(&self) -> usize {
        let (from, to) = self.rows;
        self.values.len() / self.leaves.rows.max(1) * (to - from)
    }

    fn split(self) -> Result<(Self, Self), Self> {
        let ((from, to), unit) = (self.rows, self.rows_at_once());
        let middle = from + ((to - from) / 2).max(1).next_multiple_of(unit);
        if middle >= to {
            return Err(self);
        }
        let Reordered { values, shape, order, leaves, .. } = self;
        let part = |rows| Reordered { values, shape, order, leaves, rows };
        Ok((part((from, middle)), part((middle, to))))
    }
}

impl<A: Real> Reordered<'_, A> {
    /// Returns the number of rows that are read at once: whole leaves.
    fn rows_at_once(&self) -> usize {
        if self.is_narrow() { ROWS.next_multiple_of(self.leaves.height) } else { WIDE_ROWS }
    }

    fn is_narrow(&self) -> bool {
        self.leaves.columns <= NARROW
    }

    pub(super) fn add_to(&self, sum: &mut ExactSum) {
        // Buffers are cleared before use: a smaller one for most shapes.
        if self.is_narrow() && self.rows_at_once() * self.leaves.columns <= LEAF {
            self.add_with_buffer::<LEAF>(sum);
        } else {
            self.add_with_buffer::<BUFFER>(sum);
        }
    }

    /// Returns the sum of all elements if they are one leaf.
    pub(super) fn as_one_leaf(&self) -> Option<Leaf> {
        if self.values.len() > self.leaves.unit() {
            None
        } else if self.values.len() <= TILE {
            Some(self.leaf_with_buffer::<TILE>())
        } else {
            Some(self.leaf_with_buffer::<LEAF>())
        }
    }

    fn leaf_with_buffer<const LENGTH: usize>(&self) -> Leaf {
        let mut buffer = [A::ZERO; LENGTH];
        let values = buffer.get_mut(..self.values.len()).unwrap_or_default();
        self.order.runs(Order::ROW_MAJOR, self.shape).gather(self.values, values);
        dispatch(OneLeaf(values))
    }

    fn add_with_buffer<const LENGTH: usize>(&self, sum: &mut ExactSum) {
        let strides = self.order.strides(self.shape);
        let step = self.leaves.axis.map_or(0, |axis| strides.of(axis));
        let columns = self.columns(&strides);
        let mut offsets = [0; NARROW];
        if self.is_narrow() {
            fill_offsets(
                &mut columns.clone(),
                offsets.get_mut(..self.leaves.columns).unwrap_or_default(),
            );
        }
        let mut buffer = [A::ZERO; LENGTH];
        let (from, to) = self.rows;
        for row in (from..to).step_by(self.rows_at_once()) {
            let height = self.rows_at_once().min(to - row);
            let start = strides.start.wrapping_add(step.wrapping_mul(row));
            // The axes before the rows are visited in the order of memory: then cache lines are
            // used again before they are lost.
            let mut outer = self.outer(start, &strides);
            while let Some(run) = outer.next(1) {
                let rows = Rows { values: self.values, start: run.start, step, height };
                if self.is_narrow() {
                    let offsets = offsets.get(..self.leaves.columns).unwrap_or_default();
                    let unit = self.leaves.unit();
                    dispatch(AddRows { rows, offsets, unit, buffer: &mut buffer, sum: &mut *sum });
                } else {
                    self.add_wide(&rows, columns.clone(), &mut buffer, sum);
                }
            }
        }
    }

    /// Visits the axes before the rows, in the order of memory.
    fn outer(&self, start: usize, strides: &Strides) -> Runs {
        let axes = self.order.axes(self.shape.len()).map(|(axis, _)| axis);
        let outer = axes.filter(|&axis| Some(axis) < self.leaves.axis);
        Runs::new(
            start,
            outer.map(|axis| (self.shape.get(axis).copied().unwrap_or(1), strides.of(axis))),
        )
    }

    /// Visits the columns in logical order, from 0 on.
    fn columns(&self, strides: &Strides) -> Runs {
        let axes = self.shape.iter().enumerate().skip(self.leaves.axis.map_or(0, |axis| axis + 1));
        Runs::new(0, axes.map(|(axis, &length)| (length, strides.of(axis))))
    }

    /// Adds leaves that are parts of rows.
    fn add_wide(
        &self,
        rows: &Rows<'_, A>,
        mut columns: Runs,
        buffer: &mut [A],
        sum: &mut ExactSum,
    ) {
        for left in (0..self.leaves.columns).step_by(LEAF) {
            let leaf_columns = columns.clone();
            let width = LEAF.min(self.leaves.columns - left);
            let mut sums = [[0.0; LANES]; WIDE_ROWS];
            for left in (0..width).step_by(TILE) {
                let mut offsets = [0; TILE];
                let offsets = offsets.get_mut(..TILE.min(width - left)).unwrap_or_default();
                fill_offsets(&mut columns, offsets);
                dispatch(AddTile { rows, offsets, buffer: &mut *buffer, sums: &mut sums });
            }
            for (row, sums) in sums.into_iter().enumerate().take(rows.height) {
                let total = total(sums);
                let leaf = if is_safe(total) {
                    Leaf { sum: total, exponent: 0 }
                } else {
                    rows.scaled_leaf(row, leaf_columns.clone(), width, total)
                };
                sum.add_leaf(leaf);
            }
        }
    }
}

fn fill_offsets(columns: &mut Runs, mut offsets: &mut [usize]) {
    while let Some(run) = if offsets.is_empty() { None } else { columns.next(offsets.len()) } {
        let (now, later) = offsets.split_at_mut(run.length);
        let mut place = run.start;
        for offset in now {
            *offset = place;
            place = place.wrapping_add(run.stride);
        }
        offsets = later;
    }
}

/// Some rows at equal distances in memory.
struct Rows<'a, A> {
    values: &'a [A],
    /// The place of the first row.
    start: usize,
    /// The distance of one row from the next, modulo 2^64.
    step: usize,
    height: usize,
}

impl<A: Real> Rows<'_, A> {
    fn row(&self, row: usize) -> usize {
        self.start.wrapping_add(self.step.wrapping_mul(row))
    }

    /// Copies the columns with these offsets to a buffer whose rows are `pitch` elements apart.
    #[inline(always)]
    fn gather(&self, offsets: &[usize], buffer: &mut [A], pitch: usize) {
        let mut done = 0;
        if self.step == 1 {
            // Columns are contiguous: transpose them block by block.
            done = self.height - self.height % BLOCK;
            let blocks = buffer.chunks_exact_mut(BLOCK * pitch);
            for (first, rows) in (0..done).step_by(BLOCK).zip(blocks) {
                self.transpose(self.start.wrapping_add(first), offsets, rows, pitch);
            }
            let whole = offsets.len() - offsets.len() % BLOCK;
            for (column, offset) in offsets.iter().enumerate().skip(whole) {
                let from = self.values.get(self.start.wrapping_add(*offset)..).unwrap_or_default();
                let to = buffer.iter_mut().skip(column).step_by(pitch).take(done);
                to.zip(from).for_each(|(to, from)| *to = *from);
            }
        }
        for (row, to) in buffer.chunks_mut(pitch.max(1)).enumerate().take(self.height).skip(done) {
            let start = self.row(row);
            for (to, offset) in to.iter_mut().zip(offsets) {
                if let Some(value) = self.values.get(start.wrapping_add(*offset)) {
                    *to = *value;
                }
            }
        }
    }

    /// Copies four rows, from the place `start` on, whose columns are contiguous.
    #[inline(always)]
    fn transpose(&self, start: usize, offsets: &[usize], rows: &mut [A], pitch: usize) {
        let mut rows = rows.chunks_exact_mut(pitch);
        let rows = [(); BLOCK].map(|()| rows.next().unwrap_or_default());
        let [a, b, c, d] = rows.map(|row| row.chunks_exact_mut(BLOCK));
        for (offsets, ((a, b), (c, d))) in offsets.chunks_exact(BLOCK).zip(a.zip(b).zip(c.zip(d))) {
            let mut columns = offsets.iter().map(|offset| {
                let start = start.wrapping_add(*offset);
                self.values.get(start..).map_or([A::ZERO; BLOCK], side)
            });
            let columns = [(); BLOCK].map(|()| columns.next().unwrap_or([A::ZERO; BLOCK]));
            let rows = transposed(columns);
            for (to, row) in [a, b, c, d].into_iter().zip(rows) {
                to.copy_from_slice(&row);
            }
        }
    }

    /// Returns the sum of a leaf of one row whose plain sum is not safe.
    #[cold]
    fn scaled_leaf(&self, row: usize, columns: Runs, width: usize, sum: f64) -> Leaf {
        let mut buffer = [A::ZERO; LEAF];
        let values = buffer.get_mut(..width).unwrap_or_default();
        columns.shifted(self.row(row)).gather(self.values, values);
        scaled_leaf(values, sum)
    }
}

/// Adds the leaves of whole rows, by way of a buffer.
struct AddRows<'a, 't, A> {
    rows: Rows<'a, A>,
    /// Of the columns.
    offsets: &'t [usize],
    /// Elements of a leaf.
    unit: usize,
    buffer: &'t mut [A],
    sum: &'t mut ExactSum,
}

impl<A: Real> Loop for AddRows<'_, '_, A> {
    type Output = ();

    #[inline(always)]
    fn run(&mut self) {
        let width = self.offsets.len();
        self.rows.gather(self.offsets, self.buffer, width);
        let filled = self.buffer.get(..self.rows.height * width).unwrap_or_default();
        for values in filled.chunks(self.unit) {
            self.sum.add_leaf(leaf(values));
        }
    }
}

/// Adds the squares of each row of a tile to the sums of that row, by way of a buffer.
struct AddTile<'a, 't, A> {
    rows: &'t Rows<'a, A>,
    offsets: &'t [usize],
    buffer: &'t mut [A],
    sums: &'t mut [Sums; WIDE_ROWS],
}

impl<A: Real> Loop for AddTile<'_, '_, A> {
    type Output = ();

    #[inline(always)]
    fn run(&mut self) {
        self.rows.gather(self.offsets, self.buffer, TILE);
        let rows = self.buffer.chunks(TILE).take(self.rows.height);
        for (row, sums) in rows.zip(self.sums.iter_mut()) {
            add_squares(sums, row.get(..self.offsets.len()).unwrap_or_default(), |value| value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ndarray::{Array, ArrayRef, Dimension, ShapeBuilder};

    fn reordered<D: Dimension>(array: &ArrayRef<f64, D>) -> Reordered<'_, f64> {
        let order = Order::of_gapless(array).unwrap();
        assert_ne!(order, Order::ROW_MAJOR);
        Reordered::new(order.slice(array).unwrap(), array.shape(), order)
    }

    #[test]
    fn work_is_split_in_the_middle_between_rows_that_are_read_at_once() {
        for (shape, expected) in [
            ((64, 64), (32, 32)),
            ((100, 64), (56, 44)),
            ((200, 700), (128, 72)),
            // Leaves of 170 rows.
            ((1000, 3), (510, 490)),
        ] {
            let array = Array::ones(shape.f());
            let (a, b) = reordered(&array).split().ok().unwrap();
            assert_eq!((a.rows, b.rows), ((0, expected.0), (expected.0, shape.0)), "{shape:?}");
            assert_eq!([a.len(), b.len()], [expected.0 * shape.1, expected.1 * shape.1]);
        }
        for shape in [(8, 64), (32, 700), (170, 3)] {
            assert!(reordered(&Array::ones(shape.f())).split().is_err(), "{shape:?}");
        }
    }

    #[test]
    fn columns_are_those_of_one_row() {
        for shape in [vec![3, 4, 5], vec![5, 64], vec![2, 3, 70], vec![4, 2, 3, 30]] {
            let array = Array::ones(shape.f());
            let work = reordered(&array);
            let mut columns = work.columns(&work.order.strides(work.shape));
            let mut count = 0;
            while let Some(run) = columns.next(usize::MAX) {
                count += run.length;
            }
            assert_eq!(count, work.leaves.columns, "{:?}", work.shape);
        }
    }
}
