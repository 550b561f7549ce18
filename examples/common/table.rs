//! A table of which each minibatch uses some rows. It is stepped by these rows, or as a whole.

use std::time::{Duration, Instant};

use adamax::{
    Bound, Error, Optimizer, Real, RowSlot, Slot,
    ndarray::{Array2, ArrayRef2, Ix2},
    sum_rows,
};

/// The rows that a step updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// Only the rows that the minibatch uses. The other rows keep their values, moments and counters.
    NamedRows,
    /// All rows; the gradient is zero in those that the minibatch does not use. Their first moment
    /// still moves them for some steps, while their infinity norm decays.
    AllRows,
}

impl Update {
    pub(crate) const ALL: [Update; 2] = [Update::NamedRows, Update::AllRows];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Update::NamedRows => "named rows only",
            Update::AllRows => "all rows",
        }
    }
}

/// The time and the size of all steps so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Costs {
    summing: Duration,
    stepping: Duration,
    rows: usize,
    steps: u32,
}

impl Costs {
    /// Adds a step that has just ended, and that updated so many rows. Adding up the gradients began at
    /// `start`, the step itself when they were `summed`.
    pub(crate) fn add(&mut self, start: Instant, summed: Instant, rows: usize) {
        self.summing += summed - start;
        self.stepping += summed.elapsed();
        self.rows += rows;
        self.steps += 1;
    }

    /// Prints the means of a step.
    pub(crate) fn print(&self) {
        let mean = |time: Duration| 1e6 * time.as_secs_f64() / f64::from(self.steps);
        let (summing, stepping) = (mean(self.summing), mean(self.stepping));
        let rows = self.rows / self.steps.max(1) as usize;
        println!("  a step updates {rows} rows in {stepping:.1} µs");
        println!("  before it, the sums of gradients take {summing:.1} µs");
    }

    /// Prints the ratios of the times.
    pub(crate) fn compare(named: &Costs, all: &Costs) {
        let steps = all.stepping.div_duration_f64(named.stepping);
        let both = |costs: &Costs| costs.summing + costs.stepping;
        let whole = both(all).div_duration_f64(both(named));
        println!("A step of all rows takes {steps:.1} times as long as one of the named rows;");
        println!("with the sums of gradients, {whole:.1} times.");
    }
}

/// The key of a table in an optimizer, and the gradient in the form that its step takes.
pub(crate) enum Table<A> {
    ByRows { key: RowSlot<Ix2>, rows: Vec<usize>, gradient: Array2<A> },
    Whole { key: Slot<Ix2>, rows: Vec<usize>, gradient: Array2<A> },
}

impl<A: Real> Table<A> {
    pub(crate) fn register(
        update: Update,
        optimizer: &mut Optimizer<A>,
        name: &str,
        table: &ArrayRef2<A>,
    ) -> Result<Self, Error> {
        let rows = Vec::new();
        Ok(match update {
            Update::NamedRows => {
                let key = optimizer.register_rows(name, table)?;
                Table::ByRows { key, rows, gradient: Array2::zeros((0, table.ncols())) }
            }
            Update::AllRows => {
                let key = optimizer.register(name, table)?;
                Table::Whole { key, rows, gradient: Array2::zeros(table.raw_dim()) }
            }
        })
    }

    /// Takes the gradient of a minibatch. Row i of `uses` is the gradient of one use of row `used[i]` of
    /// the table, and a row may be used several times.
    pub(crate) fn set_gradient(&mut self, used: &[usize], uses: &Array2<A>) -> Result<(), Error> {
        match self {
            Table::ByRows { rows, gradient, .. } => (*rows, *gradient) = sum_rows(used, uses)?,
            Table::Whole { rows, gradient, .. } => {
                // Only the rows of the last minibatch are not zero.
                for &row in &*rows {
                    gradient.row_mut(row).fill(A::zero());
                }
                rows.clear();
                rows.extend_from_slice(used);
                for (&row, one) in used.iter().zip(uses.outer_iter()) {
                    gradient.row_mut(row).zip_mut_with(&one, |sum, g| *sum = *sum + *g);
                }
            }
        }
        Ok(())
    }

    /// Binds the table to the gradient of the minibatch, for one step.
    pub(crate) fn bind<'a>(&'a self, table: &'a mut Array2<A>) -> Bound<'a, A> {
        match self {
            Table::ByRows { key, rows, gradient } => key.bind(table, rows, gradient),
            Table::Whole { key, gradient, .. } => key.bind(table, gradient),
        }
    }

    /// Returns the number of rows that the next step updates.
    pub(crate) fn updated(&self) -> usize {
        match self {
            Table::ByRows { gradient, .. } | Table::Whole { gradient, .. } => gradient.nrows(),
        }
    }
}
