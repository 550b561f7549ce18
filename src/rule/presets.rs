//! Presets: the hyperparameters of the paper and of other implementations.

use super::{Adamax, BiasCorrection, EpsilonPlacement};
use crate::error::Error;

/// Presets: the hyperparameters and variants of other implementations, at their defaults.
impl Adamax {
    /// The paper's Algorithm 2, exactly: α 0.002, no ε.
    ///
    /// A coordinate whose gradient has always been 0 takes no step (the paper's formula gives 0/0):
    ///
    /// ```
    /// # use adamax::{Adamax, adamax_step};
    /// let (x, _, _) = adamax_step(1.0, &0.0, 0.0, 0.0, 1, &Adamax::paper())?;
    /// assert_eq!(x, 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn paper() -> Self {
        Adamax { epsilon: 0.0, ..Adamax::default() }
    }

    /// PyTorch's `torch.optim.Adamax`: α 0.002, ε 1e-8 inside the maximum.
    #[must_use]
    #[doc(alias("torch"))]
    pub fn pytorch() -> Self {
        Adamax { epsilon_placement: EpsilonPlacement::InsideMax, ..Adamax::default() }
    }

    /// Keras 3's `keras.optimizers.Adamax`: α 0.001, ε 1e-7 outside the maximum.
    #[must_use]
    #[doc(alias("tensorflow"))]
    pub fn keras() -> Self {
        Adamax { learning_rate: 0.001, epsilon: 1e-7, ..Adamax::default() }
    }

    /// `optax.adamax(learning_rate)`: ε 1e-8 inside the maximum.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `learning_rate` is NaN,
    /// infinite or below 0.
    ///
    /// # Examples
    /// `optax.adamaxw` also has decoupled weight decay, by default with λ = 1e-4:
    /// ```
    /// # use adamax::{Adamax, WeightDecay};
    /// let adamaxw = Adamax::optax(0.01)?
    ///     .to_builder()
    ///     .weight_decay(WeightDecay::Decoupled(1e-4))
    ///     .build()?;
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("adamaxw", "jax"))]
    pub fn optax(learning_rate: f64) -> Result<Self, Error> {
        Adamax::pytorch().to_builder().learning_rate(learning_rate).build()
    }

    /// Paddle's `paddle.optimizer.Adamax`: α 0.001, ε 1e-8 added to the decayed norm.
    #[must_use]
    pub fn paddle() -> Self {
        Adamax {
            learning_rate: 0.001,
            epsilon_placement: EpsilonPlacement::Accumulated,
            ..Adamax::default()
        }
    }

    /// MLX's `mlx.optimizers.Adamax(learning_rate)`: ε 1e-8 outside the maximum, no bias
    /// correction. The first step is a tenth as long as with the other presets.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `learning_rate` is NaN,
    /// infinite or below 0.
    pub fn mlx(learning_rate: f64) -> Result<Self, Error> {
        Adamax::builder().learning_rate(learning_rate).bias_correction(BiasCorrection::Off).build()
    }
}
