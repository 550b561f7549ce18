//! The embedded digits: loading, cutting into patches for the kernels, splitting and shuffling.

use std::error::Error;

use adamax::ndarray::{Array3, Array5, Axis, s};
use flate2::read::GzDecoder;
use ndarray_rand::rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::{
    common::csv_gz,
    network::{KERNEL, POSITIONS},
};

/// The source of the data is described in examples/data/README.md.
const DIGITS: &[u8] = include_bytes!("../data/digits.csv.gz");

/// Height and width of a picture.
pub(crate) const SIDE: usize = 8;

/// The darkest grey level.
const BLACK: f64 = 16.0;

/// Pictures of digits with their labels.
pub(crate) struct Digits {
    /// Axes: (picture, position, pixel). The first layer uses the same patches in every epoch, so
    /// they are computed once.
    pub(crate) patches: Array3<f64>,
    pub(crate) labels: Vec<usize>,
}

impl Digits {
    /// Unpacks the table. Each row has 64 grey levels and the digit.
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        let mut builder = csv::ReaderBuilder::new();
        let reader = builder.has_headers(false).from_reader(GzDecoder::new(DIGITS));
        let table = csv_gz::matrix(reader)?;
        let greys = table.slice(s![.., ..SIDE * SIDE]).mapv(|grey| grey / BLACK);
        let pictures = greys.into_shape_with_order((table.nrows(), SIDE, SIDE))?;

        let mut patches = Array5::zeros((table.nrows(), POSITIONS, POSITIONS, KERNEL, KERNEL));
        for row in 0..KERNEL {
            for column in 0..KERNEL {
                let shifted = s![.., row..row + POSITIONS, column..column + POSITIONS];
                let mut pixels = patches.slice_mut(s![.., .., .., row, column]);
                pixels.assign(&pictures.slice(shifted));
            }
        }
        let patches = patches.into_shape_with_order((
            table.nrows(),
            POSITIONS * POSITIONS,
            KERNEL * KERNEL,
        ))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "digits")]
        let labels = table.column(SIDE * SIDE).mapv(|digit| digit as usize).to_vec();
        Ok(Digits { patches, labels })
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns [`len`](Digits::len) as a floating-point number, for divisions.
    pub(crate) fn size(&self) -> f64 {
        self.len() as f64
    }

    /// Splits the pictures at random into four fifths for training and one fifth for testing.
    pub(crate) fn split(&self, seed: u64) -> (Self, Self) {
        let order = self.shuffled(seed);
        let (test, train) = order.split_at(self.len() / 5);
        (self.select(train), self.select(test))
    }

    /// Returns the numbers of all pictures in a random order that depends on the seed only.
    pub(crate) fn shuffled(&self, seed: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut SmallRng::seed_from_u64(seed));
        order
    }

    pub(crate) fn select(&self, pictures: &[usize]) -> Self {
        Digits {
            patches: self.patches.select(Axis(0), pictures),
            labels: pictures.iter().map(|&picture| self.labels[picture]).collect(),
        }
    }
}
