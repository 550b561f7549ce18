//! The choices of a rule: where implementations of Adamax differ, one enum each.

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
