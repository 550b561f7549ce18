//! Two models of the temperatures: means, and products of factors.

use adamax::ndarray::{Array1, Array2, ArrayView1, s};
use ndarray_rand::{RandomExt, rand::rngs::SmallRng, rand_distr::StandardNormal};

use crate::data::{Data, Observation};

/// The number of factors. Alternating least squares with 2, 4 and 6 factors had errors of 0.58, 0.43 and
/// 0.40 °C on another draw of the same data.
const FACTORS: usize = 4;

/// The weight of the squares of the factors beside the squares of the errors.
const RIDGE: f64 = 0.02;

/// The size of the random factors at the start.
const START: f64 = 0.3;

/// Predicts temperatures.
pub(crate) trait Model {
    /// Returns the temperature in °C.
    fn predict(&self, place: usize, month: usize) -> f64;

    /// Returns the root of the mean squared error.
    fn error(&self, observations: &[Observation]) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for &Observation { place, month, temperature } in observations {
            sum += (self.predict(place, month) - temperature).powi(2);
            count += 1.0;
        }
        f64::sqrt(sum / count)
    }
}

/// The baseline: the mean of the place, and the mean of the month as a difference from it.
pub(crate) struct Means {
    pub(crate) overall: f64,
    places: Array1<f64>,
    months: Array1<f64>,
}

impl Means {
    /// Fits the means by least squares, in rounds. A few rounds are enough.
    pub(crate) fn fit(data: &Data) -> Self {
        const ROUNDS: usize = 10;
        let everywhere = vec![0; data.visible.len()];
        let temperature: Vec<_> = data.visible.iter().map(|seen| seen.temperature).collect();
        let place: Vec<_> = data.visible.iter().map(|seen| seen.place).collect();
        let month: Vec<_> = data.visible.iter().map(|seen| seen.month).collect();
        let overall = means(1, &everywhere, temperature.iter().copied())[0];
        let mut model = Means {
            overall,
            places: Array1::zeros(data.places()),
            months: Array1::zeros(data.months()),
        };
        for _ in 0..ROUNDS {
            let rest =
                data.visible.iter().map(|it| it.temperature - overall - model.months[it.month]);
            model.places = means(data.places(), &place, rest);
            let rest =
                data.visible.iter().map(|it| it.temperature - overall - model.places[it.place]);
            model.months = means(data.months(), &month, rest);
        }
        model
    }
}

impl Model for Means {
    fn predict(&self, place: usize, month: usize) -> f64 {
        self.overall + self.places[place] + self.months[month]
    }
}

/// Returns the mean of the values of each class; 0 for a class without values.
fn means(classes: usize, class: &[usize], values: impl Iterator<Item = f64>) -> Array1<f64> {
    let (mut sums, mut counts) = (Array1::zeros(classes), Array1::<f64>::zeros(classes));
    for (&class, value) in class.iter().zip(values) {
        sums[class] += value;
        counts[class] += 1.0;
    }
    sums / counts.mapv(|count| count.max(1.0))
}

/// A vector for each place and a vector for each month. The temperature is their product, plus the level
/// of the place, which is the last element of its row.
#[derive(Clone)]
pub(crate) struct Factors {
    pub(crate) overall: f64,
    pub(crate) places: Array2<f64>,
    pub(crate) months: Array2<f64>,
}

impl Factors {
    /// Returns small random factors and levels of 0.
    pub(crate) fn random(data: &Data, overall: f64, rng: &mut SmallRng) -> Self {
        let mut places = Array2::zeros((data.places(), FACTORS + 1));
        let mut random = |rows| Array2::random_using((rows, FACTORS), StandardNormal, rng) * START;
        places.slice_mut(s![.., ..FACTORS]).assign(&random(data.places()));
        Factors { overall, places, months: random(data.months()) }
    }

    /// Returns ½·error² + ½·ridge·(squares of the factors), summed over a minibatch.
    pub(crate) fn loss(&self, batch: &[Observation]) -> f64 {
        let loss = |&Observation { place, month, temperature }: &_| {
            let (own, other) = (self.place(place), self.months.row(month));
            let squares = own.dot(&own) + other.dot(&other);
            0.5 * ((self.predict(place, month) - temperature).powi(2) + RIDGE * squares)
        };
        batch.iter().map(loss).sum()
    }

    fn place(&self, place: usize) -> ArrayView1<'_, f64> {
        self.places.slice(s![place, ..FACTORS])
    }

    /// Returns the gradient of the loss: a row for each observation with the gradient of its place, and the
    /// gradient of all months.
    pub(crate) fn gradient(&self, batch: &[Observation]) -> (Array2<f64>, Array2<f64>) {
        let mut places = Array2::zeros((batch.len(), FACTORS + 1));
        let mut months = Array2::zeros(self.months.raw_dim());
        for (&Observation { place, month, temperature }, mut row) in
            batch.iter().zip(places.outer_iter_mut())
        {
            let error = self.predict(place, month) - temperature;
            row[FACTORS] = error;
            let (own, other) = (self.place(place), self.months.row(month));
            let mut factors = row.slice_mut(s![..FACTORS]);
            factors.scaled_add(error, &other);
            factors.scaled_add(RIDGE, &own);
            let mut row = months.row_mut(month);
            row.scaled_add(error, &own);
            row.scaled_add(RIDGE, &other);
        }
        (places, months)
    }
}

impl Model for Factors {
    fn predict(&self, place: usize, month: usize) -> f64 {
        let level = self.overall + self.places[[place, FACTORS]];
        level + self.place(place).dot(&self.months.row(month))
    }
}
