//! The builder of [`Adamax`], which checks every setting.

use super::{
    Adamax, BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay,
    decay_rate::DecayRate,
    range::{check_not_negative, check_positive},
};
use crate::error::Error;

/// Settings on their way to an [`Adamax`], from [`Adamax::builder`] or [`Adamax::to_builder`].
///
/// Setters take any value; [`build`](AdamaxBuilder::build) checks them all.
///
/// ```
/// use adamax::{Adamax, EpsilonPlacement, ErrorKind, NonFinite};
///
/// let rule = Adamax::builder()
///     .epsilon(1e-6)
///     .epsilon_placement(EpsilonPlacement::InsideMax)
///     .non_finite(NonFinite::Skip)
///     .build()?;
///
/// let error = rule.to_builder().beta1(1.0).build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Hyperparameter);
/// assert_eq!(error.to_string(), "beta1 is 1, but must be in [0, 1)");
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct AdamaxBuilder {
    /// Not checked yet, and without the decay rates, which can only be held when checked.
    pub(super) rule: Adamax,
    pub(super) beta1: f64,
    pub(super) beta2: f64,
}

impl AdamaxBuilder {
    /// α: how far a step goes at most, about. Finite, ≥ 0; 0 freezes the parameters while the
    /// moments go on.
    ///
    /// ```
    /// # use adamax::{Adamax, adamax_step};
    /// let frozen = Adamax::builder().learning_rate(0.0).build()?;
    /// let (x, _, u) = adamax_step(1.0, &0.5, 0.0, 0.0, 1, &frozen)?;
    /// assert_eq!((x, u), (1.0, 0.5));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.rule.learning_rate = learning_rate;
        self
    }

    /// β₁: the decay rate of the first moment, in [0, 1).
    ///
    /// ```
    /// # use adamax::{Adamax, adamax_step};
    /// let no_momentum = Adamax::builder().beta1(0.0).build()?;
    /// let (_, m, _) = adamax_step(1.0, &0.5, -3.0, 3.0, 7, &no_momentum)?;
    /// assert_eq!(m, 0.5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn beta1(mut self, beta1: f64) -> Self {
        self.beta1 = beta1;
        self
    }

    /// β₂: the decay rate of the infinity norm, in [0, 1).
    ///
    /// ```
    /// # use adamax::{Adamax, adamax_step};
    /// let forgetful = Adamax::builder().beta2(0.5).build()?;
    /// let (_, _, u) = adamax_step(1.0, &0.1, 0.0, 8.0, 7, &forgetful)?;
    /// assert_eq!(u, 4.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn beta2(mut self, beta2: f64) -> Self {
        self.beta2 = beta2;
        self
    }

    /// ε: the guard of the denominator, in units of the gradient. Finite, ≥ 0. With 0, a
    /// coordinate whose norm is 0 takes no step.
    ///
    /// ```
    /// # use adamax::{Adamax, adamax_step};
    /// // Gradients well below ε hardly move anything: here α·1/(1 + 9).
    /// let rule = Adamax::builder().learning_rate(1.0).beta1(0.0).epsilon(9.0).build()?;
    /// let (x, _, _) = adamax_step(0.0, &1.0, 0.0, 0.0, 1, &rule)?;
    /// assert_eq!(x, -0.1);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }

    /// Where ε enters.
    ///
    /// ```
    /// # use adamax::{Adamax, EpsilonPlacement};
    /// let rule = Adamax::builder().epsilon_placement(EpsilonPlacement::InsideMax).build()?;
    /// assert_eq!(rule, Adamax::pytorch());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn epsilon_placement(mut self, placement: EpsilonPlacement) -> Self {
        self.rule.epsilon_placement = placement;
        self
    }

    /// Whether the first moment is divided by 1 − β₁ᵗ.
    ///
    /// ```
    /// # use adamax::{Adamax, BiasCorrection};
    /// let rule = Adamax::builder().bias_correction(BiasCorrection::Off).build()?;
    /// assert_eq!(rule, Adamax::mlx(0.002)?);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn bias_correction(mut self, bias_correction: BiasCorrection) -> Self {
        self.rule.bias_correction = bias_correction;
        self
    }

    /// The kind and strength λ of weight decay; λ is finite, ≥ 0.
    ///
    /// ```
    /// # use adamax::{Adamax, WeightDecay};
    /// let rule = Adamax::builder().weight_decay(WeightDecay::Decoupled(1e-4)).build()?;
    /// assert_eq!(rule.weight_decay(), WeightDecay::Decoupled(1e-4));
    /// assert!(rule.to_builder().weight_decay(WeightDecay::L2(-1.0)).build().is_err());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn weight_decay(mut self, weight_decay: WeightDecay) -> Self {
        self.rule.weight_decay = weight_decay;
        self
    }

    /// Limits each entry of the gradient to ±`bound`, before L2 regularisation. > 0; ∞ is off.
    ///
    /// ```
    /// # use adamax::{Adamax, adamax_step};
    /// let rule = Adamax::builder().clip_value(2.0).build()?;
    /// let (_, _, u) = adamax_step(1.0, &-1e30, 0.0, 0.0, 1, &rule)?;
    /// assert_eq!(u, 2.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn clip_value(mut self, bound: f64) -> Self {
        self.rule.clip_value = bound;
        self
    }

    /// Whether the gradient is followed down or up.
    ///
    /// ```
    /// # use adamax::{Adamax, Objective, adamax_step};
    /// let ascent = Adamax::builder().objective(Objective::Maximize).build()?;
    /// let (x, _, _) = adamax_step(1.0, &0.5, 0.0, 0.0, 1, &ascent)?;
    /// assert!(x > 1.0);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn objective(mut self, objective: Objective) -> Self {
        self.rule.objective = objective;
        self
    }

    /// What happens to a gradient with NaN or infinities.
    ///
    /// ```
    /// # use adamax::{Adamax, NonFinite, Outcome, State};
    /// # use ndarray::array;
    /// let rule = Adamax::builder().non_finite(NonFinite::Skip).build()?;
    /// let mut x = array![1.0];
    /// let outcome = rule.step(&mut State::zeros_like(&x), &mut x, &array![f64::INFINITY])?;
    /// assert_eq!((outcome, x[0]), (Outcome::Skipped, 1.0));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn non_finite(mut self, policy: NonFinite) -> Self {
        self.rule.non_finite = policy;
        self
    }

    /// Checks every setting and makes the rule.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter), naming the first setting
    /// that is NaN or out of its range (see the table at [`Adamax`]).
    ///
    /// # Examples
    /// ```
    /// # use adamax::Adamax;
    /// let error = Adamax::builder().learning_rate(f64::NAN).build().unwrap_err();
    /// assert_eq!(error.to_string(), "learning rate is NaN, but must be finite and at least 0");
    /// ```
    pub fn build(self) -> Result<Adamax, Error> {
        let rule = self.rule;
        check_not_negative("learning rate", rule.learning_rate)?;
        let beta1 = DecayRate::new("beta1", self.beta1)?;
        let beta2 = DecayRate::new("beta2", self.beta2)?;
        check_not_negative("epsilon", rule.epsilon)?;
        match rule.weight_decay {
            WeightDecay::None => {}
            WeightDecay::L2(lambda) | WeightDecay::Decoupled(lambda) => {
                check_not_negative("weight decay", lambda)?;
            }
        }
        check_positive("clip value", rule.clip_value)?;
        Ok(Adamax { beta1, beta2, ..rule })
    }
}
