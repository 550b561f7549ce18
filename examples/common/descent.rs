//! The optimizers that are compared: Adamax from the crate, and short implementations of Adam and
//! SGD with momentum.

use adamax::{Adamax, Error, NonFinite, State, ndarray::Array1};

/// An optimizer with its settings and its state.
pub(crate) trait Descent {
    /// Takes one step: updates `x` with the gradient `g`.
    fn step(&mut self, x: &mut Array1<f64>, g: &Array1<f64>) -> Result<(), Error>;
}

/// The kind of optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Adamax,
    Adam,
    Momentum,
}

impl Method {
    pub(crate) const ALL: [Method; 3] = [Method::Adamax, Method::Adam, Method::Momentum];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Adamax => "Adamax",
            Method::Adam => "Adam",
            Method::Momentum => "SGD + momentum",
        }
    }

    /// Returns the optimizer before its first step. All settings but the learning rate are the
    /// usual defaults.
    pub(crate) fn start(
        self,
        learning_rate: f64,
        x: &Array1<f64>,
    ) -> Result<Box<dyn Descent>, Error> {
        let zeros = Array1::zeros(x.len());
        Ok(match self {
            Method::Adamax => {
                // The other optimizers propagate NaN and infinities, so Adamax does the same here.
                let rule = Adamax::builder()
                    .learning_rate(learning_rate)
                    .non_finite(NonFinite::Propagate)
                    .build()?;
                Box::new(AdamaxDescent { rule, state: State::zeros_like(x) })
            }
            Method::Adam => Box::new(Adam { learning_rate, m: zeros.clone(), v: zeros, t: 0 }),
            Method::Momentum => Box::new(Momentum { learning_rate, velocity: zeros }),
        })
    }
}

struct AdamaxDescent {
    rule: Adamax,
    state: State,
}

impl Descent for AdamaxDescent {
    fn step(&mut self, x: &mut Array1<f64>, g: &Array1<f64>) -> Result<(), Error> {
        self.rule.step(&mut self.state, x, g)?;
        Ok(())
    }
}

/// Kingma & Ba, *Adam*, Algorithm 1.
struct Adam {
    learning_rate: f64,
    m: Array1<f64>,
    v: Array1<f64>,
    t: i32,
}

impl Descent for Adam {
    fn step(&mut self, x: &mut Array1<f64>, g: &Array1<f64>) -> Result<(), Error> {
        const BETA1: f64 = 0.9;
        const BETA2: f64 = 0.999;
        const EPSILON: f64 = 1e-8;
        self.t += 1;
        self.m = BETA1 * &self.m + (1.0 - BETA1) * g;
        self.v = BETA2 * &self.v + (1.0 - BETA2) * g * g;
        let m_hat = &self.m / (1.0 - BETA1.powi(self.t));
        let v_hat = &self.v / (1.0 - BETA2.powi(self.t));
        *x -= &(self.learning_rate * m_hat / (v_hat.sqrt() + EPSILON));
        Ok(())
    }
}

/// Stochastic gradient descent with momentum, in the form of PyTorch's `SGD(momentum=0.9)`.
struct Momentum {
    learning_rate: f64,
    velocity: Array1<f64>,
}

impl Descent for Momentum {
    fn step(&mut self, x: &mut Array1<f64>, g: &Array1<f64>) -> Result<(), Error> {
        const MOMENTUM: f64 = 0.9;
        self.velocity = MOMENTUM * &self.velocity + g;
        x.scaled_add(-self.learning_rate, &self.velocity);
        Ok(())
    }
}
