//! Tables of numbers from gzipped CSV files.

use std::{error::Error, io::Read};

use adamax::ndarray::Array2;

/// All records as the rows of a matrix. `reader` decides whether there is a header line.
pub(crate) fn matrix<R: Read>(mut reader: csv::Reader<R>) -> Result<Array2<f64>, Box<dyn Error>> {
    let mut values = Vec::new();
    let mut rows = 0;
    for record in reader.records() {
        for field in &record? {
            values.push(field.parse()?);
        }
        rows += 1;
    }
    // The reader has refused records of unequal lengths, so this divides evenly.
    let columns = values.len() / rows.max(1);
    Ok(Array2::from_shape_vec((rows, columns), values)?)
}
