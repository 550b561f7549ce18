//! Sea temperatures by place and month, of which most are hidden.

use std::error::Error;

use adamax::ndarray::{Array1, Array2, s};
use flate2::read::GzDecoder;
use ndarray_rand::rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::common::csv_gz;

/// The source of the data is described in examples/data/README.md.
const SEA_TEMPERATURE: &[u8] = include_bytes!("../data/sea_temperature.csv.gz");

/// The share of temperatures that the fit may see.
const VISIBLE: f64 = 0.3;

const SEED: u64 = 1;

/// One temperature.
#[derive(Clone, Copy)]
pub(crate) struct Observation {
    pub(crate) place: usize,
    pub(crate) month: usize,
    /// In °C.
    pub(crate) temperature: f64,
}

/// The table, divided into what the fit may see and what it must predict.
pub(crate) struct Data {
    pub(crate) visible: Vec<Observation>,
    pub(crate) hidden: Vec<Observation>,
    /// A row for each place, a column for each month.
    pub(crate) all: Array2<f64>,
    /// In degrees north.
    pub(crate) latitudes: Array1<f64>,
    /// In degrees east, from 0 to 360.
    pub(crate) longitudes: Array1<f64>,
}

impl Data {
    /// Unpacks the table, and draws the temperatures that are visible.
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        let table = csv_gz::matrix(csv::Reader::from_reader(GzDecoder::new(SEA_TEMPERATURE)))?;
        let all = table.slice(s![.., 2..]).to_owned();
        let mut rng = SmallRng::seed_from_u64(SEED);
        let observations = all.indexed_iter().map(|((place, month), &temperature)| Observation {
            place,
            month,
            temperature,
        });
        let (visible, hidden) = observations.partition(|_| rng.random_bool(VISIBLE));
        let (latitudes, longitudes) = (table.column(0).to_owned(), table.column(1).to_owned());
        Ok(Data { visible, hidden, all, latitudes, longitudes })
    }

    pub(crate) fn places(&self) -> usize {
        self.all.nrows()
    }

    pub(crate) fn months(&self) -> usize {
        self.all.ncols()
    }
}
