//! Summary of runs that differ in the seed only.

/// Median and quartiles over the seeds. +∞ stands for a run that became infinite or NaN.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Computes median and quartiles of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (last, quarter) = (values.len() - 1, values.len() / 4);
        Spread { low: values[quarter], median: values[last / 2], high: values[last - quarter] }
    }
}
