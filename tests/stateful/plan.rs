//! Batches from bytes: some tensors, in some order, in some layouts. Now and then something is wrong.

use super::{
    Precision,
    batch::{Key, Planned, Way},
    bytes::Bytes,
    counts::End,
    forecast::Entry,
    machine::Machine,
};
use crate::common::assert_same;
use adamax::sum_rows;
use ndarray::ArrayD;
use std::collections::BTreeMap;

impl<A: Precision> Machine<'_, A> {
    /// Makes a batch of some tensors, in some order. Now and then something is wrong with it.
    pub(crate) fn plan(&mut self, bytes: &mut Bytes<'_>) -> Vec<Planned<A>> {
        let left_out = if bytes.below(3) == 0 { bytes.byte() } else { 0 };
        let mut order: Vec<usize> =
            (0..self.subjects.len()).filter(|index| left_out >> (index % 8) & 1 == 0).collect();
        if bytes.below(2) == 1 {
            order.reverse();
        }
        let mut batch: Vec<_> = order.iter().map(|&index| self.plan_one(bytes, index)).collect();
        if bytes.once_in(12) {
            self.spoil(bytes, &mut batch);
        }
        batch
    }

    fn plan_one(&mut self, bytes: &mut Bytes<'_>, index: usize) -> Planned<A> {
        let (subject, shape) = (&self.subjects[index], self.subjects[index].x.shape().to_vec());
        let way = Way { is_static: bytes.below(2) == 1, by_value: bytes.below(4) == 3 };
        let tensor = Some(index);
        if let Some(key) = subject.rows {
            let (rows, g) = self.rows(bytes, &shape);
            let g_shape = [&[rows.len()], &shape[1..]].concat();
            let arranged = bytes.arranged(&g, &g_shape);
            let entry = Entry { tensor, x_shape: shape, rows: Some(rows), g_shape, g };
            return Planned { entry, key: Key::Rows(key), g: arranged, spare: None, way };
        }
        let g = bytes.numbers(shape.iter().product());
        let arranged = bytes.arranged(&g, &shape);
        let entry = Entry { tensor, x_shape: shape.clone(), rows: None, g_shape: shape, g };
        Planned { entry, key: Key::Tensor(subject.slot), g: arranged, spare: None, way }
    }

    /// Returns some rows of a table, and their gradients; sometimes those that `sum_rows` has added up.
    fn rows(&mut self, bytes: &mut Bytes<'_>, shape: &[usize]) -> (Vec<usize>, Vec<A>) {
        let (rows, length): (usize, usize) = (shape[0], shape[1..].iter().product());
        if bytes.below(4) == 0 && rows > 0 {
            let count = bytes.below(2 * rows.min(100));
            let named: Vec<_> = (0..count).map(|_| bytes.below(rows)).collect();
            let g: Vec<A> = bytes.numbers(count * length);
            return self.sum_rows(bytes, &named, &g, &shape[1..]);
        }
        // Bits of a byte choose rows, over and over.
        let mask = bytes.byte() | bytes.byte();
        let named: Vec<_> = (0..rows).filter(|row| mask >> (row % 8) & 1 == 1).collect();
        let g = bytes.numbers(named.len() * length);
        (named, g)
    }

    fn sum_rows(
        &mut self,
        bytes: &mut Bytes<'_>,
        named: &[usize],
        g: &[A],
        row: &[usize],
    ) -> (Vec<usize>, Vec<A>) {
        let array: ArrayD<A> = bytes.arranged(g, &[&[named.len()], row].concat());
        let (found, sums) = sum_rows(named, &array).expect("one gradient per row");
        let length: usize = row.iter().product();
        let mut expected = BTreeMap::<usize, Vec<A>>::new();
        for (place, &index) in named.iter().enumerate() {
            let g = &g[place * length..(place + 1) * length];
            expected
                .entry(index)
                .and_modify(|sum| sum.iter_mut().zip(g).for_each(|(sum, &g)| *sum = *sum + g))
                .or_insert_with(|| g.to_vec());
        }
        assert!(found.iter().eq(expected.keys()));
        assert_same("sums of rows", &sums, expected.values().flatten());
        self.count("sum_rows", End::Done);
        (found, sums.iter().copied().collect())
    }

    /// Makes a batch wrong.
    fn spoil(&self, bytes: &mut Bytes<'_>, batch: &mut Vec<Planned<A>>) {
        let kind = bytes.below(6);
        let place = bytes.below(batch.len());
        if kind == 0 || batch.is_empty() {
            let at = bytes.below(batch.len() + 1);
            return batch.insert(at, self.stray(bytes));
        }
        let planned = &mut batch[place];
        match kind {
            1 => {
                let mut copy = planned.again();
                copy.way.by_value = bytes.below(2) == 0;
                batch.push(copy);
            }
            2 => planned.give_gradient(bytes),
            3 => planned.give_parameter(bytes),
            4 => planned.give_rows(bytes),
            _ => planned.bind_whole(),
        }
    }

    /// Returns an element whose slot is of no tensor.
    fn stray(&self, bytes: &mut Bytes<'_>) -> Planned<A> {
        let x = ArrayD::zeros(vec![2]);
        let g = vec![A::of(1.0); 2];
        let slot = bytes.pick(&self.foreign_slots);
        let entry = Entry { tensor: None, x_shape: vec![2], rows: None, g_shape: vec![2], g };
        let way = Way { is_static: false, by_value: false };
        Planned { g: x.mapv(|_: A| A::of(1.0)), key: Key::Tensor(slot), entry, spare: Some(x), way }
    }
}

impl<A: Precision> Planned<A> {
    /// Returns the same element once more, with a parameter of its own.
    fn again(&self) -> Self {
        let Planned { entry, key, g, way, .. } = self;
        let spare = Some(ArrayD::zeros(entry.x_shape.clone()));
        Planned { entry: entry.clone(), key: key.clone(), g: g.clone(), spare, way: *way }
    }

    /// Binds a table of rows as a whole.
    fn bind_whole(&mut self) {
        if let Key::Rows(rows) = self.key {
            let shape = self.entry.x_shape.clone();
            self.key = Key::Tensor(rows.slot());
            self.entry.rows = None;
            self.entry.g = vec![A::of(1.0); shape.iter().product()];
            self.g = ArrayD::from_elem(shape.clone(), A::of(1.0));
            self.entry.g_shape = shape;
        }
    }

    /// Gives a gradient of another shape.
    fn give_gradient(&mut self, bytes: &mut Bytes<'_>) {
        let shape = other_shape(bytes, &self.entry.g_shape);
        let g = bytes.numbers(shape.iter().product());
        self.g = bytes.arranged(&g, &shape);
        (self.entry.g, self.entry.g_shape) = (g, shape);
    }

    /// Gives a parameter of another shape.
    fn give_parameter(&mut self, bytes: &mut Bytes<'_>) {
        let shape = other_shape(bytes, &self.entry.x_shape);
        let x = bytes.numbers(shape.iter().product());
        self.spare = Some(bytes.arranged(&x, &shape));
        self.entry.x_shape = shape;
    }

    /// Gives rows that do not ascend, or are beyond the table.
    fn give_rows(&mut self, bytes: &mut Bytes<'_>) {
        let beyond = self.entry.x_shape.first().copied().unwrap_or_default();
        let Some(rows) = self.entry.rows.as_mut().filter(|rows| !rows.is_empty()) else { return };
        let place = bytes.below(rows.len());
        rows[place] = match bytes.below(4) {
            0 => beyond,
            1 => usize::MAX,
            2 => rows[rows.len() - 1],
            _ => 0,
        };
    }
}

/// Returns another shape of as many axes, or of one more.
fn other_shape(bytes: &mut Bytes<'_>, shape: &[usize]) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if shape.is_empty() || bytes.below(2) == 0 {
        shape.push(1);
    } else {
        let axis = bytes.below(shape.len());
        shape[axis] += 1;
    }
    shape
}
