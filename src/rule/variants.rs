//! Variants: one enum for each point in which implementations of Adamax differ.

/// The place in the update of ε, which keeps the divisor above 0.
///
/// The variants agree to about ε/|g|: they differ where gradients are as small as ε.
///
/// ```
/// use adamax::{Adamax, EpsilonPlacement, adamax_step};
///
/// // One step from x = 0 and u = 4 with g = 1, and an ε that is large enough to show its effect.
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

/// The division of the first moment by 1 − β₁ᵗ, which corrects for its start at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum BiasCorrection {
    /// As in the paper and in every other implementation except MLX.
    #[default]
    On,
    /// As in MLX. The first steps are shorter, by the factor 1 − β₁ᵗ.
    Off,
}

/// The kind of weight decay, with its strength λ, which is finite and at least 0.
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
/// assert_eq!(step(WeightDecay::L2(0.5))?, 10.0 - 0.125);       // α for any λ > 0: normalised
/// assert_eq!(step(WeightDecay::Decoupled(0.5))?, 10.0 * (1.0 - 0.125 * 0.5));
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum WeightDecay {
    /// No weight decay.
    #[default]
    None,
    /// L2 regularisation: `g ← g + λ·x` before the moments, like PyTorch's `weight_decay`. Under
    /// [`Objective::Maximize`] the sign of `g` is changed before λ·x is added.
    L2(f64),
    /// Decoupled weight decay: `x ← (1 − α·λ)·x − …`, where both terms use the old `x`, as in
    /// PyTorch's `AdamW`, Keras and optax's `adamaxw`. λ is multiplied by the learning rate, unlike
    /// in Loshchilov & Hutter, <https://arxiv.org/abs/1711.05101>. α·λ above 1 is an error at the
    /// step. In `f32`, α·λ below 3e-8 decays nothing, since x keeps only 24 binary digits.
    ///
    /// It also bounds the parameters. A step is at most C·α long, with C = (1 − β₁)/(1 − β₁/β₂) for
    /// β₁ < β₂ and a state that started at zero: see [`Adamax`](crate::Adamax#step-size). So once
    /// |x| ≤ C/λ, this stays so, whatever the gradients are and however α changes. At the default decay
    /// rates, C/λ is 1.00909/λ. A larger |x| becomes smaller with every step. (All of this to within
    /// rounding.)
    #[doc(alias("adamw", "adamaxw"))]
    Decoupled(f64),
}

impl WeightDecay {
    /// Returns λ of L2 regularisation and λ of decoupled weight decay. At least one of them is 0.
    #[inline]
    pub(crate) fn rates(self) -> (f64, f64) {
        match self {
            WeightDecay::None => (0.0, 0.0),
            WeightDecay::L2(lambda) => (lambda, 0.0),
            WeightDecay::Decoupled(lambda) => (0.0, lambda),
        }
    }
}

/// The direction of the steps: minimise or maximise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Objective {
    /// Step against the gradient.
    #[default]
    Minimize,
    /// Step along the gradient; the result is exactly that of minimising with `-g`. The gradient is
    /// not written to.
    Maximize,
}

/// The policy for steps that are not finite: the gradient holds NaN or an infinity, or the step would
/// bring one into the parameter or the state. The check comes before anything is written.
///
/// With a [global norm bound](crate::MaxNorm::Global), a bad gradient in a group that propagates would
/// reach all tensors of the batch by way of the norm. So the strictest policy of the batch counts for
/// it.
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
    /// The step is not taken, which is reported as [`Outcome::Skipped`](crate::Outcome::Skipped);
    /// the step counter does not advance.
    #[doc(alias("GradScaler", "apply_if_finite"))]
    Skip,
    /// There is no check, which saves one of two passes over the gradient. NaN reaches x, m and u
    /// and stays there. With a bound on the norm, as in PyTorch and optax, a NaN makes all gradients
    /// under that norm NaN, and an infinity makes them 0, and itself NaN.
    Propagate,
}
