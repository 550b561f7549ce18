//! A table of which each step changes some rows.

use std::collections::BTreeMap;

use adamax::{
    Adamax, MaxNorm, Optimizer, Outcome, RowSlot,
    ndarray::{Array2, Ix2},
};
use ndarray_rand::rand::{SeedableRng, rngs::StdRng, seq::index};

use super::{
    Layout, Number,
    batch::clip_factor,
    check::{UNITS, assert_close, descend},
    input::{gradients, parameters, shaped},
};

/// The sizes of a table and of a step.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Rows of the table.
    pub(crate) rows: usize,
    /// Elements of a row.
    pub(crate) length: usize,
    /// Rows that a step names.
    pub(crate) named: usize,
}

/// The rows that a step names.
#[derive(Clone, Copy)]
pub(crate) enum Choice {
    /// The rows at the start of the table. They follow each other, and have one t.
    First,
    /// The same rows in each step, evenly spaced.
    Same,
    /// Other rows in each step. After many steps, the same rows come again.
    Random,
}

impl Choice {
    fn draw(self, rows: usize, named: usize) -> Vec<Vec<usize>> {
        // So many that the rows of all draws do not fit into the caches.
        const DRAWS: u64 = 64;
        match self {
            Choice::First => vec![(0..named).collect()],
            Choice::Same => vec![(0..rows).step_by(rows / named).take(named).collect()],
            Choice::Random => (0..DRAWS)
                .map(|seed| {
                    let mut rng = StdRng::seed_from_u64(seed);
                    let mut drawn = index::sample(&mut rng, rows, named).into_vec();
                    drawn.sort_unstable();
                    drawn
                })
                .collect(),
        }
    }
}

/// A table in an optimizer. All steps have the same gradients, whichever rows they name.
pub(crate) struct TableRows<A> {
    optimizer: Optimizer<A>,
    key: RowSlot<Ix2>,
    pub(crate) x: Array2<A>,
    g: Array2<A>,
    draws: Vec<Vec<usize>>,
    steps: usize,
}

impl<A: Number> TableRows<A> {
    /// Returns a table with random numbers and the default rule, after a step of each draw: the system
    /// maps memory of the moments when it is first written, which takes longer than a step.
    pub(crate) fn random(
        size: Size,
        layout: Layout,
        choice: Choice,
        max_norm: Option<MaxNorm>,
    ) -> Self {
        let x = layout.array(Ix2(size.rows, size.length), parameters());
        let g = shaped(Ix2(size.named, size.length), &mut gradients());
        let mut table = TableRows::new(Adamax::default(), x, g, choice, max_norm);
        for _ in 0..table.draws.len() {
            table.step();
        }
        table
    }

    /// A step names as many rows as `g` has.
    pub(crate) fn new(
        rule: Adamax,
        x: Array2<A>,
        g: Array2<A>,
        choice: Choice,
        max_norm: Option<MaxNorm>,
    ) -> Self {
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(max_norm).expect("in range");
        let key = optimizer.register_rows("table", &x).expect("a new name");
        let draws = choice.draw(x.nrows(), g.nrows());
        TableRows { optimizer, key, x, g, draws, steps: 0 }
    }

    pub(crate) fn step(&mut self) -> Outcome {
        let rows = &self.draws[self.steps % self.draws.len()];
        self.steps += 1;
        let mut bound = [self.key.bind(&mut self.x, rows, &self.g)];
        self.optimizer.step(&mut bound).expect("a valid step")
    }

    #[cfg(feature = "rayon")]
    pub(crate) fn par_step(&mut self) -> Outcome {
        let rows = &self.draws[self.steps % self.draws.len()];
        self.steps += 1;
        let mut bound = [self.key.bind(&mut self.x, rows, &self.g)];
        self.optimizer.par_step(&mut bound).expect("a valid step")
    }

    /// Checks all rows, also those that no step has named: they have not changed.
    pub(crate) fn check(&self) {
        let mut places = BTreeMap::<usize, Vec<usize>>::new();
        for rows in self.draws.iter().cycle().take(self.steps) {
            for (place, &row) in rows.iter().enumerate() {
                places.entry(row).or_default().push(place);
            }
        }
        assert!(!places.is_empty(), "nothing to check");
        let factor = clip_factor(self.optimizer.max_norm(), self.g.iter());
        let rule = self.optimizer.rule(self.optimizer.default_group()).expect("its own group");
        let mut start = parameters::<A>();
        for (row, values) in self.x.outer_iter().enumerate() {
            let places = places.get(&row).map_or(&[][..], |places| places);
            // Each step of the row adds its rounding.
            let units = places.iter().fold(0.0, |units, _| units + UNITS);
            for (column, (&value, x)) in values.iter().zip(start.by_ref()).enumerate() {
                let gradients = places.iter().map(|&place| factor * self.g[[place, column]].into());
                assert_close(row, value, descend(rule, x.into(), gradients), units);
            }
        }
    }
}
