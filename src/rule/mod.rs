//! The hyperparameters: [`Adamax`], its builder and its presets.

pub(crate) mod decay_rate;

use crate::{
    error::{Detail, Error},
    rule::decay_rate::DecayRate,
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

/// Where ε, the guard against a zero denominator, enters the update.
///
/// On ordinary data the placements agree to about 1e-12 relative; they differ where gradients are
/// as small as ε.
///
/// ```
/// use adamax::{Adamax, EpsilonPlacement, adamax_step};
///
/// // One step from x = 0 and u = 4 with g = 1, and an ε large enough to be seen.
/// let step = |placement| {
///     let rule = Adamax::builder().learning_rate(1.0).beta1(0.0).beta2(0.5).epsilon(0.5);
///     let (x, _, u) =
///         adamax_step(0.0, &1.0, 0.0, 4.0, 1, &rule.epsilon_placement(placement).build()?)?;
///     Ok::<_, adamax::Error>((x, u))
/// };
/// assert_eq!(step(EpsilonPlacement::Outside)?, (-1.0 / 2.5, 2.0));
/// assert_eq!(step(EpsilonPlacement::InsideMax)?, (-1.0 / 2.0, 2.0));
/// assert_eq!(step(EpsilonPlacement::Accumulated)?, (-1.0 / 2.5, 2.5));
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum EpsilonPlacement {
    /// `m / (u + ε)`: this crate's default, Keras, TensorFlow.js, MXNet, MLX, Optimisers.jl.
    #[default]
    Outside,
    /// `u ← max(β₂·u, |g| + ε)`: PyTorch, optax.
    InsideMax,
    /// `u ← max(|g|, β₂·u + ε)`: Paddle.
    Accumulated,
}

/// Whether the first moment is divided by 1 − β₁ᵗ, which undoes its start at zero.
///
/// ```
/// use adamax::{Adamax, BiasCorrection, adamax_step};
///
/// let on = Adamax::builder().learning_rate(1.0).beta1(0.5).epsilon(0.0).build()?;
/// let off = on.to_builder().bias_correction(BiasCorrection::Off).build()?;
/// let first_step = |rule| adamax_step(0.0, &3.0, 0.0, 0.0, 1, rule).map(|(x, _, _)| x);
/// assert_eq!(first_step(&on)?, -1.0);
/// assert_eq!(first_step(&off)?, -0.5);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum BiasCorrection {
    /// As in the paper and in every peer but MLX.
    #[default]
    On,
    /// As in MLX: the first steps are shorter, by 1 − β₁ᵗ.
    Off,
}

/// How weights are drawn towards zero; λ is finite and at least 0.
///
/// ```
/// use adamax::{Adamax, WeightDecay, adamax_step};
///
/// // One step from x = 10 where the gradient is 0.
/// let step = |decay| {
///     let rule = Adamax::builder().learning_rate(0.125).beta1(0.0).epsilon(0.0);
///     let (x, _, _) = adamax_step(10.0, &0.0, 0.0, 0.0, 1, &rule.weight_decay(decay).build()?)?;
///     Ok::<f64, adamax::Error>(x)
/// };
/// assert_eq!(step(WeightDecay::None)?, 10.0);
/// assert_eq!(step(WeightDecay::L2(0.5))?, 10.0 - 0.125);       // normalised: α, whatever λ
/// assert_eq!(step(WeightDecay::Decoupled(0.5))?, 10.0 * (1.0 - 0.125 * 0.5));
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum WeightDecay {
    /// Not at all.
    #[default]
    None,
    /// L2 regularisation: `g ← g + λ·x` before the moments, as PyTorch's `weight_decay`. The sign
    /// of `g` has been turned before if the objective is maximized.
    L2(f64),
    /// Decoupled weight decay: `x ← (1 − α·λ)·x − …`, both from the old `x`, as PyTorch's `AdamW`,
    /// Keras and optax's `adamaxw` do. Multiplied by the learning rate, unlike Loshchilov & Hutter.
    Decoupled(f64),
}

/// Whether the gradient points to where the parameters should not, or should, go.
///
/// ```
/// use adamax::{Adamax, Objective, adamax_step};
///
/// let down = Adamax::default();
/// let up = down.to_builder().objective(Objective::Maximize).build()?;
/// let first_step = |rule| adamax_step(0.0, &3.0, 0.0, 0.0, 1, rule).map(|(x, _, _)| x);
/// assert!(first_step(&down)? < 0.0);
/// assert_eq!(first_step(&up)?, -first_step(&down)?);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Objective {
    /// Step against the gradient.
    #[default]
    Minimize,
    /// Step along the gradient: exactly as minimizing with `-g`. The gradient is not written to.
    Maximize,
}

/// What happens to a gradient that holds NaN or an infinity, which is looked for before anything
/// is written.
///
/// ```
/// use adamax::{Adamax, ErrorKind, NonFinite, Outcome, State};
/// use ndarray::array;
///
/// let step = |policy| {
///     let mut x = array![1.0];
///     let rule = Adamax::builder().non_finite(policy).build()?;
///     let outcome = rule.step(&mut State::zeros_like(&x), &mut x, &array![f64::NAN])?;
///     Ok::<_, adamax::Error>((outcome, x[0]))
/// };
/// assert_eq!(step(NonFinite::Error).unwrap_err().kind(), ErrorKind::NonFinite);
/// assert_eq!(step(NonFinite::Skip)?, (Outcome::Skipped, 1.0));
/// assert!(step(NonFinite::Propagate)?.1.is_nan());
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum NonFinite {
    /// The step is refused with an [`Error`](crate::Error) that names the tensor and the first bad
    /// index.
    #[default]
    Error,
    /// The step is left out and reported as [`Outcome::Skipped`](crate::Outcome::Skipped); the step
    /// counter stays.
    Skip,
    /// No check, which saves reading the gradient twice. NaN reaches x, m and u and stays there.
    Propagate,
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
    /// [`WeightDecay::Decoupled`] of 1e-4.)
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
    rule: Adamax,
    beta1: f64,
    beta2: f64,
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

// Each condition says what is allowed, so that NaN fails it.

pub(crate) fn check(
    name: &'static str,
    value: f64,
    allowed: bool,
    range: &'static str,
) -> Result<(), Error> {
    if allowed { Ok(()) } else { Err(Detail::Hyperparameter { name, value, range }.into()) }
}

pub(crate) fn check_not_negative(name: &'static str, value: f64) -> Result<(), Error> {
    check(name, value, value >= 0.0 && value.is_finite(), "finite and at least 0")
}

pub(crate) fn check_positive(name: &'static str, value: f64) -> Result<(), Error> {
    check(name, value, value > 0.0, "greater than 0")
}
