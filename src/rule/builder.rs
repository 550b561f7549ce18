//! The builder of [`Adamax`], which checks every setting.

use super::{
    Adamax, BiasCorrection, EpsilonPlacement, NonFinite, Objective, WeightDecay,
    decay_rate::DecayRate,
    range::{check, check_not_negative, check_positive},
};
use crate::error::Error;

/// The builder of an [`Adamax`], made by [`Adamax::builder`] or [`Adamax::to_builder`].
///
/// Setters accept any value; [`build`](AdamaxBuilder::build) checks all of them. The table at
/// [`Adamax`] lists defaults and ranges.
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
#[derive(Clone, Copy)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct AdamaxBuilder {
    /// Not checked yet. Its decay rates are not used, because a `DecayRate` is always valid.
    pub(super) rule: Adamax,
    pub(super) beta1: f64,
    pub(super) beta2: f64,
}

impl AdamaxBuilder {
    /// Sets the learning rate α, the approximate upper bound of a step. Finite, ≥ 0.
    ///
    /// With 0 the parameters are frozen, but the moments are still updated:
    ///
    /// ```
    /// # use adamax::{Adamax, adamax_step};
    /// let frozen = Adamax::builder().learning_rate(0.0).build()?;
    /// let (x, _, u) = adamax_step(1.0, &0.5, 0.0, 0.0, 1, &frozen)?;
    /// assert_eq!((x, u), (1.0, 0.5));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("lr"))]
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.rule.learning_rate = learning_rate;
        self
    }

    /// Sets β₁, the decay rate of the first moment, in [0, 1). With 0 there is no momentum: m = g.
    #[doc(alias("betas", "beta_1", "b1", "momentum"))]
    pub fn beta1(mut self, beta1: f64) -> Self {
        self.beta1 = beta1;
        self
    }

    /// Sets β₂, the decay rate of the infinity norm, in [0, 1).
    #[doc(alias("betas", "beta_2", "b2"))]
    pub fn beta2(mut self, beta2: f64) -> Self {
        self.beta2 = beta2;
        self
    }

    /// Sets ε, which keeps the divisor above 0, in units of the gradient. Finite, ≥ 0.
    ///
    /// Gradients far below ε hardly move the parameters. With 0, a coordinate whose norm is 0 takes
    /// no step.
    #[doc(alias("eps"))]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }

    /// Sets the place of ε in the update.
    pub fn epsilon_placement(mut self, placement: EpsilonPlacement) -> Self {
        self.rule.epsilon_placement = placement;
        self
    }

    /// Switches the division of the first moment by 1 − β₁ᵗ on or off.
    pub fn bias_correction(mut self, bias_correction: BiasCorrection) -> Self {
        self.rule.bias_correction = bias_correction;
        self
    }

    /// Sets the kind and the strength λ of weight decay. λ is finite, ≥ 0.
    #[doc(alias("l2", "adamw"))]
    pub fn weight_decay(mut self, weight_decay: WeightDecay) -> Self {
        self.rule.weight_decay = weight_decay;
        self
    }

    /// Limits each entry of the gradient to ±`bound`, before L2 regularisation. > 0; ∞ is off.
    #[doc(alias("clip_grad_value_", "clip_grad_value", "clipvalue", "clip"))]
    pub fn clip_value(mut self, bound: f64) -> Self {
        self.rule.clip_value = bound;
        self
    }

    /// Keeps each parameter between two bounds: `x ← min(max(x′, lower), upper)`, where x′ is the new
    /// parameter, after weight decay and the step. −∞ and ∞ are off. `lower` ≤ `upper`.
    ///
    /// A parameter that starts outside is inside after its first step. Where `lower` is `upper`, the
    /// parameter is fixed. NaN stays NaN. −0 stays −0 where 0 is allowed. The moments do not see the
    /// bounds, as in Keras and in PyTorch programs that clamp. So a parameter leaves a bound as soon as
    /// the first moment points inwards.
    ///
    /// A parameter that is held at a bound keeps its gradient. It counts in the norm of the gradients, and
    /// so in [`MaxNorm::Global`](crate::MaxNorm::Global), where it makes the steps of all others shorter:
    /// [`MaxNorm::PerTensor`](crate::MaxNorm::PerTensor) keeps tensors apart. To know when a bounded run is
    /// done, look at [`Report::max_step`](crate::Report::max_step), or at
    /// [`Adamax::projected_gradient_norm`].
    ///
    /// In `f32`, each bound is rounded to nearest. A bound that rounds to 0, or that overflows, is an
    /// error at the step. For a bound on each element, see
    /// [Bounds for each element](crate::recipes#bounds-for-each-element).
    ///
    /// ```
    /// use adamax::{Adamax, State};
    /// use ndarray::array;
    ///
    /// // The least of (x − 3)² + (y + 1)² with both in [0, 2] is at (2, 0).
    /// let rule = Adamax::builder().learning_rate(0.1).bounds(0.0, 2.0).build()?;
    /// let mut x = array![0.5, 0.5];
    /// let mut state = State::zeros_like(&x);
    /// for _ in 0..100 {
    ///     let gradient = (&x - &array![3.0, -1.0]) * 2.0;
    ///     rule.step(&mut state, &mut x, &gradient)?;
    /// }
    /// assert_eq!(x, array![2.0, 0.0]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[doc(alias("clamp", "box", "projection"))]
    pub fn bounds(mut self, lower: f64, upper: f64) -> Self {
        (self.rule.lower_bound, self.rule.upper_bound) = (lower, upper);
        self
    }

    /// Selects minimisation or maximisation.
    #[doc(alias("maximize", "minimize"))]
    pub fn objective(mut self, objective: Objective) -> Self {
        self.rule.objective = objective;
        self
    }

    /// Sets the policy for gradients that hold NaN or infinities.
    pub fn non_finite(mut self, policy: NonFinite) -> Self {
        self.rule.non_finite = policy;
        self
    }

    /// Checks every setting and builds the rule.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter), with the name of the first
    /// setting that is NaN or out of its range.
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
        let (lower, upper) = rule.bounds();
        check("lower bound", lower, lower < f64::INFINITY, "below infinity")?;
        check("upper bound", upper, upper > f64::NEG_INFINITY, "above -infinity")?;
        check("lower bound", lower, lower <= upper, "at most the upper bound")?;
        Ok(Adamax { beta1, beta2, ..rule }.computed())
    }
}
