//! Reads tables of numbers from CSV data.

use std::{error::Error, io::Read};

use adamax::ndarray::Array2;

/// Returns a matrix with one row per record. The settings of `reader` apply, such as a header line.
pub(crate) fn matrix<R: Read>(mut reader: csv::Reader<R>) -> Result<Array2<f64>, Box<dyn Error>> {
    let mut values = Vec::new();
    let mut rows = 0;
    for record in reader.records() {
        for field in &record? {
            values.push(field.parse()?);
        }
        rows += 1;
    }
    // The reader refuses records of unequal lengths, so there is no remainder.
    let columns = values.len() / rows.max(1);
    Ok(Array2::from_shape_vec((rows, columns), values)?)
}
