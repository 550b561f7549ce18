//! Presets: the hyperparameters of the paper and of other implementations.

use super::{Adamax, BiasCorrection, EpsilonPlacement};
use crate::error::Error;

/// Presets: what other implementations do when called with their defaults.
impl Adamax {
    /// The paper's Algorithm 2 to the letter: α 0.002 and no ε.
    ///
    /// A coordinate whose gradient has always been 0 takes no step (instead of 0/0).
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

    /// PyTorch's `torch.optim.Adamax`: α 0.002, ε 1e-8 inside the max.
    ///
    /// ```
    /// # use adamax::{Adamax, EpsilonPlacement};
    /// let rule = Adamax::pytorch();
    /// assert_eq!(rule.learning_rate(), 0.002);
    /// assert_eq!(rule.epsilon_placement(), EpsilonPlacement::InsideMax);
    /// ```
    #[must_use]
    pub fn pytorch() -> Self {
        Adamax { epsilon_placement: EpsilonPlacement::InsideMax, ..Adamax::default() }
    }

    /// Keras 3's `keras.optimizers.Adamax`: α 0.001, ε 1e-7.
    ///
    /// ```
    /// let rule = adamax::Adamax::keras();
    /// assert_eq!((rule.learning_rate(), rule.epsilon()), (0.001, 1e-7));
    /// ```
    #[must_use]
    pub fn keras() -> Self {
        Adamax { learning_rate: 0.001, epsilon: 1e-7, ..Adamax::default() }
    }

    /// `optax.adamax(learning_rate)`: ε 1e-8 inside the max. (`optax.adamaxw` adds
    /// [`WeightDecay::Decoupled`](crate::WeightDecay::Decoupled) of 1e-4.)
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `learning_rate` is not
    /// finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, EpsilonPlacement, WeightDecay};
    /// let adamaxw = Adamax::optax(0.01)?
    ///     .to_builder()
    ///     .weight_decay(WeightDecay::Decoupled(1e-4))
    ///     .build()?;
    /// assert_eq!(adamaxw.learning_rate(), 0.01);
    /// assert_eq!(adamaxw.epsilon_placement(), EpsilonPlacement::InsideMax);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn optax(learning_rate: f64) -> Result<Self, Error> {
        Adamax::pytorch().to_builder().learning_rate(learning_rate).build()
    }

    /// Paddle's `paddle.optimizer.Adamax`: α 0.001, ε 1e-8 added to the decayed norm.
    ///
    /// ```
    /// # use adamax::{Adamax, EpsilonPlacement};
    /// let rule = Adamax::paddle();
    /// assert_eq!(rule.learning_rate(), 0.001);
    /// assert_eq!(rule.epsilon_placement(), EpsilonPlacement::Accumulated);
    /// ```
    #[must_use]
    pub fn paddle() -> Self {
        Adamax {
            learning_rate: 0.001,
            epsilon_placement: EpsilonPlacement::Accumulated,
            ..Adamax::default()
        }
    }

    /// MLX's `mlx.optimizers.Adamax(learning_rate)`: no bias correction.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `learning_rate` is not
    /// finite or below 0.
    ///
    /// # Examples
    /// ```
    /// # use adamax::{Adamax, adamax_step};
    /// let (x, _, _) = adamax_step(0.0_f64, &3.0, 0.0, 0.0, 1, &Adamax::mlx(0.01)?)?;
    /// assert!((x + 0.01 * (1.0 - 0.9)).abs() < 1e-9);       // a tenth of the others' first step
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn mlx(learning_rate: f64) -> Result<Self, Error> {
        Adamax::builder().learning_rate(learning_rate).bias_correction(BiasCorrection::Off).build()
    }
}
