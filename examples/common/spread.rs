//! Results of runs that differ in the seed only.

/// Median and quartiles over the seeds; +∞ is a run that has left the floating-point numbers.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of any number of values but none.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (last, quarter) = (values.len() - 1, values.len() / 4);
        Spread { low: values[quarter], median: values[last / 2], high: values[last - quarter] }
    }
}
