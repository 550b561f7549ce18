//! The hyperparameters: [`Adamax`], its builder and its presets.

mod builder;
pub(crate) mod decay_rate;
mod presets;
pub(crate) mod range;
mod variants;

use self::decay_rate::DecayRate;
pub use self::{
    builder::AdamaxBuilder,
    variants::{BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay},
};

/// A validated set of hyperparameters: the rule by which parameters are updated.
///
/// <div class="formula" data-tex="\begin{aligned}
/// m &amp;\leftarrow \beta_1 m + (1-\beta_1)\,g &amp;&amp; \text{first moment} \\
/// u &amp;\leftarrow \max(\beta_2 u,\ |g|) &amp;&amp; \text{infinity norm} \\
/// x &amp;\leftarrow x - \frac{\alpha}{1-\beta_1^t} \cdot \frac{m}{u+\varepsilon} &amp;&amp; \text{parameter}
/// \end{aligned}">
///
/// ```text
/// m ← β₁·m + (1 − β₁)·g                    first moment
/// u ← max(β₂·u, |g|)                       infinity norm
/// x ← x − α / (1 − β₁ᵗ) · m / (u + ε)      parameter
/// ```
///
/// </div>
///
/// A rule is a small `Copy` value without any state: one rule serves any number of tensors, each of
/// which has a [`State`](crate::State) of its own. Make one by [`Adamax::default`], by a preset
/// ([`pytorch`](Adamax::pytorch), [`keras`](Adamax::keras), …) or by [`Adamax::builder`]; whichever
/// way, it holds only values in range:
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
/// | [`objective`](AdamaxBuilder::objective) | ± | [`Minimize`](Objective::Minimize) | |
/// | [`non_finite`](AdamaxBuilder::non_finite) | | [`Error`](NonFinite::Error) | |
///
/// # How far a step goes
/// The step of one coordinate is at most α·(1−β₁)/(1−β₁ᵗ)·Σ_{k<t}(β₁/β₂)ᵏ, whatever the size of the
/// gradients: α on the first step, 1.00909·α in the limit at the defaults. (The paper's |Δ| ≤ α is
/// not exact; and there is no bound if β₁ > β₂.) The bound holds for a state that started at zero,
/// without weight decay and with bias correction.
///
/// # Precision
/// Settings are `f64` also for `f32` tensors. The coefficients of a step are computed in `f64` and
/// rounded once.
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adamax {
    learning_rate: f64,
    beta1: DecayRate,
    beta2: DecayRate,
    epsilon: f64,
    epsilon_placement: EpsilonPlacement,
    bias_correction: BiasCorrection,
    weight_decay: WeightDecay,
    clip_value: f64,
    objective: Objective,
    non_finite: NonFinite,
}

impl Default for Adamax {
    /// α 0.002, β₁ 0.9, β₂ 0.999, ε 1e-8 added to the finished norm, nothing else.
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
            objective: Objective::default(),
            non_finite: NonFinite::default(),
        }
    }
}

/// Building, and reading back.
impl Adamax {
    /// A builder that starts from [`Adamax::default`].
    ///
    /// ```
    /// # use adamax::Adamax;
    /// let rule = Adamax::builder().learning_rate(0.01).build()?;
    /// assert_eq!(rule.to_builder().learning_rate(0.002).build()?, Adamax::default());
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn builder() -> AdamaxBuilder {
        Adamax::default().to_builder()
    }

    /// A builder that starts from this rule, to derive another from it.
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

    /// α, the learning rate.
    ///
    /// ```
    /// assert_eq!(adamax::Adamax::default().learning_rate(), 0.002);
    /// ```
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// β₁, the decay rate of the first moment.
    ///
    /// ```
    /// assert_eq!(adamax::Adamax::default().beta1(), 0.9);
    /// ```
    #[must_use]
    pub fn beta1(&self) -> f64 {
        self.beta1.get()
    }

    /// β₂, the decay rate of the infinity norm.
    ///
    /// ```
    /// assert_eq!(adamax::Adamax::default().beta2(), 0.999);
    /// ```
    #[must_use]
    pub fn beta2(&self) -> f64 {
        self.beta2.get()
    }

    /// ε, the guard of the denominator.
    ///
    /// ```
    /// assert_eq!(adamax::Adamax::default().epsilon(), 1e-8);
    /// assert_eq!(adamax::Adamax::paper().epsilon(), 0.0);
    /// ```
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// Where ε enters.
    ///
    /// ```
    /// # use adamax::{Adamax, EpsilonPlacement};
    /// assert_eq!(Adamax::keras().epsilon_placement(), EpsilonPlacement::Outside);
    /// ```
    #[must_use]
    pub fn epsilon_placement(&self) -> EpsilonPlacement {
        self.epsilon_placement
    }

    /// Whether the first moment is divided by 1 − β₁ᵗ.
    ///
    /// ```
    /// # use adamax::{Adamax, BiasCorrection};
    /// assert_eq!(Adamax::mlx(0.001)?.bias_correction(), BiasCorrection::Off);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn bias_correction(&self) -> BiasCorrection {
        self.bias_correction
    }

    /// The kind and strength of weight decay.
    ///
    /// ```
    /// # use adamax::{Adamax, WeightDecay};
    /// let rule = Adamax::builder().weight_decay(WeightDecay::L2(0.01)).build()?;
    /// assert_eq!(rule.weight_decay(), WeightDecay::L2(0.01));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn weight_decay(&self) -> WeightDecay {
        self.weight_decay
    }

    /// The bound to which each entry of the gradient is limited; ∞ if it is not.
    ///
    /// ```
    /// # use adamax::Adamax;
    /// assert_eq!(Adamax::default().clip_value(), f64::INFINITY);
    /// assert_eq!(Adamax::builder().clip_value(0.5).build()?.clip_value(), 0.5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn clip_value(&self) -> f64 {
        self.clip_value
    }

    /// Whether the gradient is followed down or up.
    ///
    /// ```
    /// # use adamax::{Adamax, Objective};
    /// assert_eq!(Adamax::default().objective(), Objective::Minimize);
    /// ```
    #[must_use]
    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// What happens to a gradient with NaN or infinities.
    ///
    /// ```
    /// # use adamax::{Adamax, NonFinite};
    /// assert_eq!(Adamax::default().non_finite(), NonFinite::Error);
    /// ```
    #[must_use]
    pub fn non_finite(&self) -> NonFinite {
        self.non_finite
    }

    /// What the first moment of step t is divided by: 1 − β₁ᵗ, the total weight of the gradients in
    /// it, or 1 without bias correction.
    pub(crate) fn correction(&self, t: u64) -> f64 {
        match self.bias_correction {
            BiasCorrection::On => self.beta1.total_weight(t),
            BiasCorrection::Off => 1.0,
        }
    }
}
