//! Hyperparameters: [`Adamax`], its builder and its presets.

mod builder;
pub(crate) mod decay_rate;
pub(crate) mod open;
pub(crate) mod operations;
pub(crate) mod precision;
mod presets;
pub(crate) mod range;
mod variants;

pub use self::{
    builder::AdamaxBuilder,
    variants::{BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay},
};
use self::{decay_rate::DecayRate, operations::Operations, precision::Precisions};
use crate::error::Error;

/// A validated set of hyperparameters: the rule by which parameters are updated.
///
#[cfg_attr(doc, doc = include_str!("../doc/formula.html"))]
///
/// <details><summary>As text</summary>
///
/// ```text
/// m ← β₁·m + (1 − β₁)·g                    first moment
/// u ← max(β₂·u, |g|)                       infinity norm
/// x ← x − α / (1 − β₁ᵗ) · m / (u + ε)      parameter
/// ```
///
/// </details>
///
/// A rule is a small `Copy` value without state: one rule serves any number of tensors, each with a
/// [`State`](crate::State) of its own. [`Adamax::new`] takes the learning rate alone,
/// [`Adamax::builder`] all settings; the presets ([`pytorch`](Adamax::pytorch),
/// [`keras`](Adamax::keras), …) have those of other programs.
/// Every rule holds only values in range:
///
/// | setting | symbol | default | range |
/// |---|---|---|---|
/// | [`learning_rate`](AdamaxBuilder::learning_rate) | α | 0.002 | finite, ≥ 0 |
/// | [`beta1`](AdamaxBuilder::beta1) | β₁ | 0.9 | [0, 1) |
/// | [`beta2`](AdamaxBuilder::beta2) | β₂ | 0.999 | [0, 1) |
/// | [`epsilon`](AdamaxBuilder::epsilon) | ε | 1e-8 | finite, ≥ 0 |
/// | [`epsilon_placement`](AdamaxBuilder::epsilon_placement) | | [`Outside`](EpsilonPlacement::Outside) | |
/// | [`bias_correction`](AdamaxBuilder::bias_correction) | 1 − β₁ᵗ | [`On`](BiasCorrection::On) | |
/// | [`weight_decay`](AdamaxBuilder::weight_decay) | λ | [`None`](WeightDecay::None) | finite, ≥ 0 |
/// | [`clip_value`](AdamaxBuilder::clip_value) | c | ∞ (off) | > 0 |
/// | [`bounds`](AdamaxBuilder::bounds) | | −∞, ∞ (off) | lower ≤ upper |
/// | [`objective`](AdamaxBuilder::objective) | ± | [`Minimize`](Objective::Minimize) | |
/// | [`non_finite`](AdamaxBuilder::non_finite) | | [`Error`](NonFinite::Error) | |
///
/// # Step size
/// The step of one coordinate is at most α·(1−β₁)/(1−β₁ᵗ)·Σ_{k<t}(β₁/β₂)ᵏ for gradients of any
/// size: α on the first step, 1.00909·α in the limit at the defaults. (The paper's |Δ| ≤ α is not
/// exact, and there is no bound if β₁ > β₂.) The bound holds for a state that started at zero, with
/// bias correction and without weight decay.
///
/// # Precision
/// Settings are `f64`, also for `f32` tensors. The coefficients of a step are computed in `f64` and
/// rounded once. A setting that would have no effect in the precision of the tensor is an error at the
/// step: a weight decay, clip value or ε that rounds to 0, and a decay rate that rounds to 1.
///
/// 1 − β₁ᵗ is computed without cancellation. Other implementations subtract β₁ᵗ from 1, which loses
/// digits in the first steps. Largest error of the first 20 steps along a constant gradient, where each
/// step should be exactly α, in units of 2.2e-16 (f64, without ε):
///
/// | β₁ | this crate | PyTorch 2.15 | Keras 3.15 (JAX) | optax 0.2.8 |
/// |---|---|---|---|---|
/// | 0.9 | 1 | 1 | 1.5 | 1.5 |
/// | 0.95 | 1 | 3 | 3 | 3 |
/// | 0.99 | 1 | 8 | 7 | 7 |
/// | 0.999 | 0.5 | 64 | 64 | 64 |
///
/// # Examples
/// ```
/// use adamax::{Adamax, WeightDecay};
///
/// let rule = Adamax::builder()
///     .learning_rate(0.01)
///     .weight_decay(WeightDecay::Decoupled(1e-4))
///     .build()?;
/// assert_eq!(rule.learning_rate(), 0.01);
/// assert_eq!(rule.beta2(), 0.999);
/// # Ok::<(), adamax::Error>(())
/// ```
/// Kingma & Ba, *Adam: A Method for Stochastic Optimization*, §7.1 and Algorithm 2,
/// <https://arxiv.org/abs/1412.6980>.
#[derive(Clone, Copy, PartialEq)]
pub struct Adamax {
    learning_rate: f64,
    beta1: DecayRate,
    beta2: DecayRate,
    epsilon: f64,
    epsilon_placement: EpsilonPlacement,
    bias_correction: BiasCorrection,
    weight_decay: WeightDecay,
    clip_value: f64,
    lower_bound: f64,
    upper_bound: f64,
    objective: Objective,
    non_finite: NonFinite,
    // Computed from the settings, because each step asks for them.
    precisions: Precisions,
    operations: Operations,
}

impl Default for Adamax {
    /// α 0.002, β₁ 0.9, β₂ 0.999, ε 1e-8 outside the maximum, with bias correction; no weight decay,
    /// no clipping and no bounds.
    fn default() -> Self {
        const BETA1: DecayRate = DecayRate::known(0.9);
        const BETA2: DecayRate = DecayRate::known(0.999);
        Adamax {
            learning_rate: 0.002,
            beta1: BETA1,
            beta2: BETA2,
            epsilon: 1e-8,
            epsilon_placement: EpsilonPlacement::default(),
            bias_correction: BiasCorrection::default(),
            weight_decay: WeightDecay::default(),
            clip_value: f64::INFINITY,
            lower_bound: f64::NEG_INFINITY,
            upper_bound: f64::INFINITY,
            objective: Objective::default(),
            non_finite: NonFinite::default(),
            precisions: Precisions::BOTH,
            operations: operations::NONE,
        }
    }
}

/// Construction and getters.
impl Adamax {
    /// Returns the defaults with another learning rate.
    ///
    /// This is short for `Adamax::builder().learning_rate(learning_rate).build()`.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter) if `learning_rate` is NaN,
    /// infinite or below 0.
    ///
    /// # Examples
    /// ```
    /// use adamax::Adamax;
    ///
    /// let rule = Adamax::new(0.01)?;
    /// assert_eq!(rule, Adamax::builder().learning_rate(0.01).build()?);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("lr"))]
    pub fn new(learning_rate: f64) -> Result<Self, Error> {
        Adamax::builder().learning_rate(learning_rate).build()
    }

    /// Returns a builder that starts from [`Adamax::default`].
    pub fn builder() -> AdamaxBuilder {
        Adamax::default().to_builder()
    }

    /// Returns a builder that starts from this rule, to derive another one.
    ///
    /// ```
    /// use adamax::{Adamax, WeightDecay};
    ///
    /// let weights = Adamax::builder().weight_decay(WeightDecay::L2(0.01)).build()?;
    /// let biases = weights.to_builder().weight_decay(WeightDecay::None).build()?;
    /// assert_eq!(biases, Adamax::default());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn to_builder(&self) -> AdamaxBuilder {
        AdamaxBuilder { rule: *self, beta1: self.beta1(), beta2: self.beta2() }
    }

    /// Returns α, the learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Returns β₁, the decay rate of the first moment.
    #[must_use]
    pub fn beta1(&self) -> f64 {
        self.beta1.get()
    }

    /// Returns β₂, the decay rate of the infinity norm.
    #[must_use]
    pub fn beta2(&self) -> f64 {
        self.beta2.get()
    }

    /// Returns ε, which keeps the divisor above 0.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// Returns the place of ε in the update.
    #[must_use]
    pub fn epsilon_placement(&self) -> EpsilonPlacement {
        self.epsilon_placement
    }

    /// Returns `On` if the first moment is divided by 1 − β₁ᵗ.
    #[must_use]
    pub fn bias_correction(&self) -> BiasCorrection {
        self.bias_correction
    }

    /// Returns the kind and strength of weight decay.
    #[must_use]
    pub fn weight_decay(&self) -> WeightDecay {
        self.weight_decay
    }

    /// Returns the bound on each entry of the gradient; ∞ if there is none.
    #[must_use]
    pub fn clip_value(&self) -> f64 {
        self.clip_value
    }

    /// Returns the lower and the upper bound of the parameters; −∞ and ∞ if there are none.
    #[must_use]
    pub fn bounds(&self) -> (f64, f64) {
        (self.lower_bound, self.upper_bound)
    }

    /// Returns the direction of the steps: minimise or maximise.
    #[must_use]
    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// Returns the policy for gradients that hold NaN or infinities.
    #[must_use]
    pub fn non_finite(&self) -> NonFinite {
        self.non_finite
    }

    /// Returns this rule after its settings have changed.
    fn computed(self) -> Self {
        let (precisions, operations) = (Precisions::of(&self), operations::of(&self));
        Adamax { precisions, operations, ..self }
    }

    /// Returns the operations that an update with these settings needs.
    #[inline(always)]
    pub(crate) fn operations(&self) -> Operations {
        self.operations
    }

    /// Divisor of the first moment in step t: 1 − β₁ᵗ, the total weight of the gradients in it; 1
    /// without bias correction.
    #[inline]
    pub(crate) fn correction(&self, t: u64) -> f64 {
        match self.bias_correction {
            BiasCorrection::On => self.beta1.total_weight(t),
            BiasCorrection::Off => 1.0,
        }
    }

    /// Returns t, limited to a step from which on the coefficients no longer change.
    #[inline(always)]
    pub(crate) fn settled(&self, t: u64) -> u64 {
        match self.bias_correction {
            BiasCorrection::On => t.min(self.beta1.settled_from()),
            BiasCorrection::Off => t.min(1),
        }
    }
}
