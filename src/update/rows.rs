//! Some rows of a table: their checks, and their update.
//!
//! The first axis of a table counts its rows. A row has the bits that it would have as a tensor of its own,
//! with a t of its own. Rows that follow each other and have one t are updated together.

use alloc::boxed::Box;
use core::hint;

use ndarray::{ArrayRef, ArrayView, ArrayViewMut, Axis, Dimension, IxDyn, Slice};

use super::{
    coefficients::Coefficients,
    contiguous::{self, NamedRows, Observe},
    operands::{Gapped, Operands},
    pair::Pair,
    rehearsal::{self, Obstacle},
};
use crate::{
    error::{Detail, Error, Role, same},
    layout::{known, order::Order},
    par::{Sequential, Split},
    real::Real,
    reduce::{Elements, finite},
    state::{Moments, State, rows::RowMoments},
};

/// A table, the indices of some of its rows, and their gradients, with their layouts recognised.
pub(crate) enum Rows<'a, A> {
    /// Table and gradients are row-major and belong together, and rows have elements.
    Contiguous { x: &'a mut [A], g: &'a [A], g_shape: &'a [usize], indices: &'a [usize] },
    /// All others.
    Views(Box<Views<'a, A>>),
}

/// A table and gradients of any layouts, and of any shapes.
pub(crate) struct Views<'a, A> {
    x: ArrayViewMut<'a, A, IxDyn>,
    g: ArrayView<'a, A, IxDyn>,
    indices: &'a [usize],
}

impl<'a, A: Real> Rows<'a, A> {
    /// Recognises the layouts.
    pub(crate) fn new<D: Dimension>(
        table: &'a mut ArrayRef<A, D>,
        indices: &'a [usize],
        grad: &'a ArrayRef<A, D>,
    ) -> Self {
        if let (Some((&rows, row)), Some(g)) = (grad.shape().split_first(), grad.as_slice()) {
            let belong = rows == indices.len() && table.shape().get(1..) == Some(row);
            if belong && length(row) > 0 && table.is_standard_layout() {
                let (x, g_shape) = (known(table.as_slice_mut()), grad.shape());
                return Rows::Contiguous { x, g, g_shape, indices };
            }
        }
        let (x, g) = (table.view_mut().into_dyn(), grad.view().into_dyn());
        Rows::Views(Box::new(Views { x, g, indices }))
    }

    /// As [`new`](Rows::new), for views that are taken by value.
    pub(crate) fn of_views<D: Dimension>(
        table: ArrayViewMut<'a, A, D>,
        indices: &'a [usize],
        grad: ArrayView<'a, A, D>,
    ) -> Self {
        Rows::Views(Box::new(Views { x: table.into_dyn(), g: grad.into_dyn(), indices }))
    }

    /// Checks that table, indices, gradients and state fit each other. Returns the smallest number of a step
    /// that a row takes, counted from 1, which has the largest step size.
    pub(crate) fn check(&self, state: &State<A>) -> Result<u64, Error> {
        let Some(row_steps) = state.row_steps() else {
            debug_assert!(false, "rows are bound only where each has a counter");
            return Err(Detail::CountsAsWhole.into());
        };
        match self {
            Rows::Contiguous { x, g_shape, .. } => {
                let row = g_shape.get(1..).unwrap_or_default();
                let rows = x.len() / length(row).max(1);
                state.check_table(rows, row)?;
            }
            Rows::Views(views) => {
                state.check_shape(views.x.shape())?;
                let (count, row) = (views.indices.len(), views.x.shape().get(1..));
                let (found, row) = (views.g.shape(), row.unwrap_or_default());
                if found.first() != Some(&count) || !same(found.get(1..).unwrap_or_default(), row) {
                    let (expected, found) = ([&[count], row].concat(), found.to_vec());
                    return Err(
                        Detail::RowGradients { role: Role::Gradient, found, expected }.into()
                    );
                }
            }
        }
        first_step(self.indices(), row_steps)
    }

    /// Returns the largest number of a step that a row takes, after [`check`](Rows::check); 0 without rows.
    pub(crate) fn latest_step(&self, state: &State<A>) -> u64 {
        let row_steps = state.row_steps().unwrap_or_default();
        let steps = self.indices().iter().filter_map(|&row| row_steps.get(row));
        steps.max().map_or(0, |steps| steps + 1)
    }

    fn indices(&self) -> &'a [usize] {
        match self {
            Rows::Contiguous { indices, .. } => indices,
            Rows::Views(views) => views.indices,
        }
    }

    /// Returns the number of elements of the gradients.
    pub(crate) fn len(&self) -> usize {
        match self {
            Rows::Contiguous { g, .. } => g.len(),
            Rows::Views(views) => views.g.len(),
        }
    }

    /// Returns the shapes of the table, or of its rows, and of the gradients.
    pub(crate) fn shapes(&self) -> (&[usize], &[usize]) {
        match self {
            Rows::Contiguous { g_shape, .. } => (g_shape, g_shape),
            Rows::Views(views) => (views.x.shape(), views.g.shape()),
        }
    }

    /// Returns the gradients. They are reduced row by row.
    #[inline]
    pub(crate) fn gradient(&self) -> Elements<'_, A, IxDyn> {
        match self {
            Rows::Contiguous { g, g_shape, .. } => {
                // Leaves of norms are cut anew where the shape ends.
                let shape = g_shape.get(1..).unwrap_or_default();
                Elements::Gapless { values: g, shape, order: Order::ROW_MAJOR }
            }
            Rows::Views(views) => Elements::Rows(&views.g),
        }
    }

    /// Returns the first gradient that is NaN or infinite.
    #[cold]
    pub(crate) fn examine_gradient(&self) -> Option<Obstacle<'_, A, IxDyn>> {
        let shape = self.row();
        self.indices().iter().enumerate().find_map(|(place, &row)| {
            let (_, g) = self.views_of(place, row);
            let g = Elements::Gapped(&g);
            let is_finite = finite::all_finite(Sequential, g);
            let fault = (!is_finite).then(|| Obstacle::Gradient(g).fault())?;
            Some(Obstacle::Row { place, row, fault, shape })
        })
    }

    /// Returns the reason if a step would bring NaN or infinities into the state or a parameter.
    /// `coefficients` are those of a step, counted from 1.
    ///
    /// Not called if gradients, coefficients and state are of the usual ranges.
    #[cold]
    pub(crate) fn examine(
        &self,
        coefficients: impl Fn(u64) -> Coefficients<A>,
        state: &State<A>,
    ) -> Option<Obstacle<'_, A, IxDyn>> {
        let (shape, usual) = (self.row(), state.is_usual());
        let [m, u] = [state.first_moment(), state.inf_norm()];
        let slices = match self {
            Rows::Contiguous { x, g, .. } => {
                m.to_slice().zip(u.to_slice()).map(|(m, u)| Operands { x: &**x, g: *g, m, u })
            }
            Rows::Views(_) => None,
        };
        let row_steps = state.row_steps().unwrap_or_default();
        self.indices().iter().enumerate().find_map(|(place, &row)| {
            let k = coefficients(row_steps.get(row).map_or(1, |steps| steps + 1));
            let examine = |arrays: Operands<Elements<'_, A, IxDyn>, Elements<'_, A, IxDyn>>| {
                Some(rehearsal::examine(Sequential, &k, usual, arrays)?.fault())
            };
            // With L2 regularisation each step comes here.
            let fault = if let Some(slices) = slices {
                let of = |index, values| Elements::Gapless {
                    values: row_of(values, index, length(shape)),
                    shape,
                    order: Order::ROW_MAJOR,
                };
                examine(slices.map(|written| of(row, written), |read| of(place, read)))
            } else {
                let (x, g) = self.views_of(place, row);
                let [m, u] = [&m, &u].map(|moment| moment.index_axis(Axis(0), row));
                let [x, g, m, u]: [&ArrayRef<A, IxDyn>; 4] = [&x, &g, &m, &u];
                examine(Operands { x, g, m, u }.map(Elements::Gapped, Elements::Gapped))
            };
            Some(Obstacle::Row { place, row, fault: fault?, shape })
        })
    }

    /// Returns the shape of a row.
    fn row(&self) -> &[usize] {
        self.shapes().1.get(1..).unwrap_or_default()
    }

    /// Returns the parameters of a row and its gradient.
    fn views_of(
        &self,
        place: usize,
        row: usize,
    ) -> (ArrayView<'_, A, IxDyn>, ArrayView<'_, A, IxDyn>) {
        match self {
            Rows::Contiguous { x, g, .. } => {
                let view = |values, index| {
                    let view = ArrayView::from_shape(
                        self.row(),
                        row_of(values, index, length(self.row())),
                    );
                    debug_assert!(view.is_ok(), "the indices have been checked");
                    view.unwrap_or_else(|_| Gapped::default().g)
                };
                (view(x, row), view(g, place))
            }
            Rows::Views(views) => {
                (views.x.index_axis(Axis(0), row), views.g.index_axis(Axis(0), place))
            }
        }
    }

    /// Returns all arrays of a step, after everything has been checked.
    pub(crate) fn arrays<'s>(&'s mut self, moments: RowMoments<'s, A>) -> RowArrays<'s, A> {
        let RowMoments { moments: Moments { m, u, order }, row_steps } = moments;
        let row = length(self.row());
        let (indices, first) = (self.indices(), 0);
        let parts = match self {
            Rows::Contiguous { x, g, g_shape, .. } => {
                if order == Order::ROW_MAJOR {
                    let parts = Parts::Slices { x, g };
                    return RowArrays { indices, first, row, m, u, row_steps, parts };
                }
                // A state keeps its order, whatever arrays come later.
                let row = g_shape.get(1..).unwrap_or_default();
                let shape = [&[row_steps.len()], row].concat();
                let x = ArrayViewMut::from_shape(shape, x);
                let g = ArrayView::from_shape(*g_shape, g);
                debug_assert!(x.is_ok() && g.is_ok(), "the slices have the lengths of the shapes");
                let empty = Gapped::default();
                Parts::Views { x: x.unwrap_or(empty.x), g: g.unwrap_or(empty.g), order }
            }
            Rows::Views(views) => Parts::Views { x: views.x.view_mut(), g: views.g.view(), order },
        };
        RowArrays { indices, first, row, m, u, row_steps, parts }
    }
}

/// Returns a row of a row-major array.
fn row_of<A>(values: &[A], index: usize, length: usize) -> &[A] {
    values.get(index * length..(index + 1) * length).unwrap_or_default()
}

/// Returns the number of elements of a row.
fn length(row: &[usize]) -> usize {
    row.iter().product()
}

/// Checks indices and counters of rows, and returns the smallest number of a step, counted from 1.
fn first_step(indices: &[usize], row_steps: &[u64]) -> Result<u64, Error> {
    let (mut fewest, mut most, mut next) = (u64::MAX, 0, 0);
    for (place, &row) in indices.iter().enumerate() {
        let steps = row_steps.get(row).filter(|_| row >= next);
        let Some(&steps) = steps else {
            return Err(misplaced(indices, place, row_steps.len()));
        };
        next = row + 1;
        (fewest, most) = (fewest.min(steps), most.max(steps));
    }
    if most == u64::MAX {
        return Err(Detail::StepOverflow.into());
    }
    Ok(fewest.saturating_add(1))
}

/// Says why an index is wrong.
#[cold]
fn misplaced(indices: &[usize], place: usize, rows: usize) -> Error {
    let row = indices.get(place).copied().unwrap_or_default();
    let before = place.checked_sub(1).and_then(|before| indices.get(before)).copied();
    match before {
        _ if row >= rows => Detail::RowBeyond { place, row, rows },
        Some(before) if before == row => Detail::RowRepeated { place, row },
        before => Detail::RowDescends { place, row, before: before.unwrap_or_default() },
    }
    .into()
}

/// The rows of a step, which can be split.
pub(crate) struct RowArrays<'s, A> {
    indices: &'s [usize],
    /// The row at which table, moments and counters begin.
    first: usize,
    /// The elements of a row.
    row: usize,
    m: &'s mut [A],
    u: &'s mut [A],
    row_steps: &'s mut [u64],
    parts: Parts<'s, A>,
}

/// A table and the gradients of some of its rows.
enum Parts<'s, A> {
    /// Both row-major, like the moments.
    Slices { x: &'s mut [A], g: &'s [A] },
    /// Of any layouts; `order` is that of the moments.
    Views { x: ArrayViewMut<'s, A, IxDyn>, g: ArrayView<'s, A, IxDyn>, order: Order },
}

/// The coefficients of steps with several numbers.
pub(crate) trait ByStep<A> {
    /// Returns a number that is equal for steps with equal coefficients. `t` is counted from 1.
    fn key(&self, t: u64) -> u64;

    /// Returns the coefficients of the steps with this key.
    fn of(&mut self, key: u64) -> &Coefficients<A>;
}

impl<A: Real> RowArrays<'_, A> {
    /// Updates each row and counts its step.
    pub(crate) fn update<S: Observe<A>>(self, mut coefficients: impl ByStep<A>) -> S {
        let RowArrays { indices, first, row: length, m, u, row_steps, mut parts } = self;
        let mut summary = S::EMPTY;
        let mut place = 0;
        for block in indices.chunks(BLOCK) {
            let mut keys = [0; BLOCK];
            for (key, index) in keys.iter_mut().zip(block) {
                let steps = row_steps.get_mut(index - first);
                debug_assert!(steps.is_some(), "the indices have been checked");
                if let Some(steps) = steps {
                    *steps += 1;
                    *key = coefficients.key(*steps);
                }
            }
            if let (Parts::Slices { x, .. }, true) = (&parts, is_asked_for(length)) {
                ask_for(block, |index| {
                    [&**x, m, u].map(|array| beginning(array, index, first, length))
                });
            }
            let mut rest = block;
            for keys in keys.get(..block.len()).unwrap_or_default().chunk_by(|a, b| a == b) {
                let (indices, others) = rest.split_at(keys.len());
                rest = others;
                let k = coefficients.of(keys.first().copied().unwrap_or_default());
                let (m, u) = (&mut *m, &mut *u);
                summary.join(match &mut parts {
                    Parts::Slices { x, g } => {
                        let g = g.get(place * length..(place + keys.len()) * length);
                        let arrays = Operands { x: &mut **x, g: g.unwrap_or_default(), m, u };
                        NamedRows { indices, first, length, arrays }.update(k)
                    }
                    Parts::Views { x, g, order } => {
                        let mut summary = S::EMPTY;
                        for (row, place) in indices.iter().map(|index| index - first).zip(place..) {
                            let x = x.slice_axis_mut(Axis(0), Slice::from(row..=row));
                            let g = g.slice_axis(Axis(0), Slice::from(place..=place));
                            let [m, u] = [&mut *m, &mut *u].map(|moment| {
                                moment.get_mut(row * length..(row + 1) * length).unwrap_or_default()
                            });
                            let mut pair = Pair::<'_, A, Gapped<'_, A>>::of_views(x, g);
                            summary.join(pair.arrays(Moments { m, u, order: *order }).update(k));
                        }
                        summary
                    }
                });
                place += keys.len();
            }
        }
        summary
    }
}

/// Reads an element of each array in each row. Rows of a large table are at places that no processor foresees,
/// and a loop over one row waits for the next. Here all rows of a block are waited for at once.
#[inline(always)]
fn ask_for<'a, A: Real>(block: &[usize], arrays: impl Fn(usize) -> [Option<&'a A>; 3]) {
    for index in block {
        hint::black_box(arrays(*index).map(Option::<&A>::copied));
    }
}

/// Returns the first element of a row of an array that begins with row `first`.
#[inline(always)]
fn beginning<A>(array: &[A], index: usize, first: usize, length: usize) -> Option<&A> {
    array.get((index - first) * length)
}

/// Returns true if rows of this length are asked for: those that are not copied.
#[inline(always)]
fn is_asked_for(length: usize) -> bool {
    length > SHORT
}

/// The most elements of a row that is copied: below, choosing a loop takes longer than copying.
const SHORT: usize = 15;
/// Rows whose coefficients are looked up together.
const BLOCK: usize = 64;

impl<A: Real> NamedRows<'_, A> {
    /// Updates rows that have the same coefficients. Short ones are copied, updated together, and copied back.
    fn update<S: Observe<A>>(self, k: &Coefficients<A>) -> S {
        let NamedRows { indices, length, .. } = self;
        let adjacent = match (indices.first(), indices.last()) {
            (Some(first), Some(last)) => last - first < indices.len(),
            _ => true,
        };
        if adjacent {
            return contiguous::update_rows(k, self);
        }
        macro_rules! of_length {
            ($($length:literal)*) => {
                match length {
                    $($length => self.update_copies::<S, $length>(k),)*
                    _ => contiguous::update_rows(k, self),
                }
            };
        }
        const { assert!(SHORT == 15, "every short length has a loop") };
        of_length!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    }

    /// Updates rows of N elements by way of the stack.
    fn update_copies<S: Observe<A>, const N: usize>(self, k: &Coefficients<A>) -> S {
        let NamedRows { indices, first, arrays: Operands { x, g, m, u }, .. } = self;
        let mut copies = [[[A::ZERO; N]; BLOCK]; 3];
        let row = |index: &usize| (index - first) * N..(index - first + 1) * N;
        for (array, copy) in [&*x, &*m, &*u].into_iter().zip(&mut copies) {
            for (to, index) in copy.iter_mut().zip(indices) {
                if let Some(from) = array.get(row(index)).and_then(<[A]>::first_chunk) {
                    *to = *from;
                }
            }
        }
        let [cx, cm, cu] = copies
            .each_mut()
            .map(|copy| copy.as_flattened_mut().get_mut(..g.len()).unwrap_or_default());
        let summary = contiguous::update(k, Operands { x: cx, g, m: cm, u: cu });
        for (array, copy) in [x, m, u].into_iter().zip(&copies) {
            for (from, index) in copy.iter().zip(indices) {
                if let Some(to) = array.get_mut(row(index)).and_then(<[A]>::first_chunk_mut) {
                    *to = *from;
                }
            }
        }
        summary
    }
}

impl<A: Real> Split for RowArrays<'_, A> {
    fn len(&self) -> usize {
        self.indices.len() * self.row
    }

    /// Splits between two rows.
    fn split(self) -> Result<(Self, Self), Self> {
        let place = self.indices.len() / 2;
        let Some(&cut) = self.indices.get(place).filter(|_| place > 0) else { return Err(self) };
        let RowArrays { indices, first, row, m, u, row_steps, parts } = self;
        let (indices, indices2) = indices.split_at(place);
        let (m, m2) = m.split_at_mut((cut - first) * row);
        let (u, u2) = u.split_at_mut((cut - first) * row);
        let (row_steps, row_steps2) = row_steps.split_at_mut(cut - first);
        let (parts, parts2) = match parts {
            Parts::Slices { x, g } => {
                let (x, x2) = x.split_at_mut((cut - first) * row);
                let (g, g2) = g.split_at(place * row);
                (Parts::Slices { x, g }, Parts::Slices { x: x2, g: g2 })
            }
            Parts::Views { x, g, order } => {
                let (x, x2) = x.split_at(Axis(0), cut - first);
                let (g, g2) = g.split_at(Axis(0), place);
                (Parts::Views { x, g, order }, Parts::Views { x: x2, g: g2, order })
            }
        };
        let a = RowArrays { indices, first, row, m, u, row_steps, parts };
        let (m, u, row_steps, parts) = (m2, u2, row_steps2, parts2);
        Ok((a, RowArrays { indices: indices2, first: cut, row, m, u, row_steps, parts }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rule::Adamax, update::contiguous::loops::Loops};
    use alloc::{vec, vec::Vec};
    use core::cell::RefCell;

    /// Short rows that are not adjacent are copied, and then are one slice.
    #[test]
    fn each_row_is_a_loop_unless_it_is_copied_or_follows_another() {
        let lengths = |indices: &[usize], length: usize| {
            let mut written = [(); 3].map(|()| vec![1.0; 10 * length]);
            let [x, m, u] = written.each_mut().map(|array| &mut array[..]);
            let g = vec![1.0; indices.len() * length];
            let arrays = Operands { x, g: &g[..], m, u };
            let k = Coefficients::<f64>::new(&Adamax::default(), 1, 1.0);
            let rows = NamedRows { indices, first: 0, length, arrays };
            rows.update::<Loops<false>>(&k).lengths()
        };
        // A copy has whole vectors and a rest.
        assert_eq!(lengths(&[2, 4], SHORT), [28, 2]);
        assert_eq!(lengths(&[2, 4, 7], SHORT), [44, 1]);
        assert_eq!(lengths(&[2, 3, 4], SHORT), [45]);
        assert_eq!(lengths(&[2, 4, 5], SHORT + 1), [16, 32]);
    }

    #[test]
    fn the_beginnings_of_all_long_rows_of_a_block_are_read() {
        assert!(!is_asked_for(SHORT) && is_asked_for(SHORT + 1));
        // The array begins with row 3, and a row has 5 elements.
        let array: Vec<_> = (0..20).map(f64::from).collect();
        let read = RefCell::new(Vec::new());
        ask_for(&[4, 6], |index| {
            let element = beginning(&array, index, 3, 5);
            read.borrow_mut().push(element);
            [element; 3]
        });
        assert_eq!(read.into_inner(), [Some(&5.0), Some(&15.0)]);
    }
}
