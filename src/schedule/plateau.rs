//! A factor on the learning rate that is reduced when a loss stops improving.

#[cfg(feature = "serde")]
use super::kind::check_count;
use super::threshold::Threshold;
use crate::{
    error::Error,
    rule::{
        Objective,
        range::{check, check_not_negative},
    },
};

/// Reduces the learning rate when a loss has stopped improving, like PyTorch's `ReduceLROnPlateau`.
///
/// ```text
/// better   if loss < best − threshold·|best|      Threshold::Relative
///          if loss < best − threshold             Threshold::Absolute
/// bad ← 0 if better, or during a cooldown; else bad + 1
/// if bad > patience:   scale ← max(scale·factor, min_scale), bad ← 0, start a cooldown
/// ```
/// The scale starts at 1. Pass each loss, for instance once per epoch, to
/// [`observe`](ReduceOnPlateau::observe). The first finite loss is always better; a loss that is
/// NaN or infinite is never better. Under [`Objective::Maximize`] the comparisons become
/// `loss > best + threshold·|best|` and `loss > best + threshold`.
///
/// A loss may be negative, as a log-likelihood can be. PyTorch compares with `best·(1 − threshold)`: if
/// the best loss is negative, this is above it, a loss that stays the same counts as better, and the
/// learning rate is never reduced. For positive losses both are the same. Near 0 a relative threshold
/// is tiny; choose an absolute one.
///
/// | setting | default | range |
/// |---|---|---|
/// | [`objective`](ReduceOnPlateauBuilder::objective) | [`Minimize`](Objective::Minimize) | |
/// | [`factor`](ReduceOnPlateauBuilder::factor) | 0.1 | [0, 1) |
/// | [`patience`](ReduceOnPlateauBuilder::patience) | 10 | |
/// | [`threshold`](ReduceOnPlateauBuilder::threshold) | [`Relative(1e-4)`](Threshold::Relative) | finite, ≥ 0 |
/// | [`cooldown`](ReduceOnPlateauBuilder::cooldown) | 0 | |
/// | [`min_scale`](ReduceOnPlateauBuilder::min_scale) | 0 | [0, 1] |
/// | [`epsilon`](ReduceOnPlateauBuilder::epsilon) | 1e-8 | finite, ≥ 0 |
///
/// `ReduceLROnPlateau` acts on the learning rate, this type on a factor that starts at 1: divide
/// its `min_lr` and `eps` by the learning rate. (There, an infinite loss in the right direction
/// becomes the best.)
///
/// # Examples
/// ```
/// use adamax::{Adamax, Optimizer, schedule::ReduceOnPlateau};
///
/// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
/// let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(1).build()?;
/// for loss in [3.0, 2.0, 2.0, f64::NAN, 2.0] {
///     optimizer.set_lr_scale(plateau.observe(loss))?;
/// }
/// assert_eq!(optimizer.lr_scale(), 0.5);       // after the second bad loss in a row
/// assert_eq!(plateau.best(), Some(2.0));
/// # Ok::<(), adamax::Error>(())
/// ```
/// To use it together with a schedule, multiply the two factors: see the
/// [recipe](crate::recipes#a-schedule-and-a-plateau).
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceOnPlateau {
    settings: Settings,
    observed: Observed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields) // as `RuleData` in serde.rs
)]
pub(crate) struct Settings {
    objective: Objective,
    factor: f64,
    patience: u64,
    threshold: Threshold,
    cooldown: u64,
    min_scale: f64,
    epsilon: f64,
}

/// PyTorch's defaults.
impl Default for Settings {
    fn default() -> Self {
        Settings {
            objective: Objective::Minimize,
            factor: 0.1,
            patience: 10,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            min_scale: 0.0,
            epsilon: 1e-8,
        }
    }
}

/// The state after the losses observed so far.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub(crate) struct Observed {
    scale: f64,
    best: Option<f64>,
    bad_in_a_row: u64,
    /// The number of losses left in the cooldown.
    rest: u64,
}

impl ReduceOnPlateau {
    /// Returns a builder that starts from PyTorch's defaults.
    #[doc(alias("ReduceLROnPlateau"))]
    pub fn builder() -> ReduceOnPlateauBuilder {
        ReduceOnPlateauBuilder { settings: Settings::default() }
    }

    /// Processes a loss and returns the factor on the learning rate from now on.
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(1).build()?;
    /// let scales = [3.0, 2.0, 2.5, 2.5, 1.0].map(|loss| plateau.observe(loss));
    /// assert_eq!(scales, [1.0, 1.0, 1.0, 0.5, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn observe(&mut self, loss: f64) -> f64 {
        let Settings { objective, factor, patience, threshold, cooldown, min_scale, epsilon } =
            self.settings;
        let observed = &mut self.observed;
        if threshold.is_better(objective, loss, observed.best) {
            observed.best = Some(loss);
            observed.bad_in_a_row = 0;
        } else {
            observed.bad_in_a_row = observed.bad_in_a_row.saturating_add(1);
        }
        if observed.rest > 0 {
            observed.rest -= 1;
            observed.bad_in_a_row = 0;
        }
        if observed.bad_in_a_row > patience {
            let reduced = (observed.scale * factor).max(min_scale);
            if observed.scale - reduced > epsilon {
                observed.scale = reduced;
            }
            observed.rest = cooldown;
            observed.bad_in_a_row = 0;
        }
        observed.scale
    }

    /// Returns the factor on the learning rate, as the last [`observe`](ReduceOnPlateau::observe)
    /// returned it; 1 before the first loss.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.observed.scale
    }

    /// Returns the last loss that counted as better; `None` before the first finite loss.
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.observed.best
    }

    /// Restores an observer from its parts.
    #[cfg(feature = "serde")]
    pub(crate) fn from_parts(settings: Settings, observed: Observed) -> Result<Self, Error> {
        let fresh = ReduceOnPlateauBuilder { settings }.build()?;
        observed.check(&settings)?;
        Ok(ReduceOnPlateau { observed, ..fresh })
    }

    #[cfg(feature = "serde")]
    pub(crate) fn parts(&self) -> (Settings, Observed) {
        (self.settings, self.observed)
    }
}

/// The builder of a [`ReduceOnPlateau`], made by [`ReduceOnPlateau::builder`].
///
/// Setters accept any value; [`build`](ReduceOnPlateauBuilder::build) checks all of them.
///
/// ```
/// use adamax::schedule::ReduceOnPlateau;
///
/// let builder = ReduceOnPlateau::builder().factor(0.5).patience(3).min_scale(0.01);
/// assert_eq!(builder.build()?.scale(), 1.0);
/// let error = builder.factor(1.0).build().unwrap_err();
/// assert_eq!(error.to_string(), "factor is 1, but must be in [0, 1)");
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ReduceOnPlateauBuilder {
    settings: Settings,
}

impl ReduceOnPlateauBuilder {
    /// Sets the direction in which a loss is better: lower or higher.
    pub fn objective(mut self, objective: Objective) -> Self {
        self.settings.objective = objective;
        self
    }

    /// Sets the factor of a reduction, in [0, 1).
    pub fn factor(mut self, factor: f64) -> Self {
        self.settings.factor = factor;
        self
    }

    /// Sets the number of bad losses in a row that are tolerated: the next one causes a reduction.
    pub fn patience(mut self, losses: u64) -> Self {
        self.settings.patience = losses;
        self
    }

    /// Sets the improvement that makes a loss count as better; finite, ≥ 0.
    pub fn threshold(mut self, threshold: Threshold) -> Self {
        self.settings.threshold = threshold;
        self
    }

    /// Sets the number of losses after a reduction in which bad ones are not counted.
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(0).cooldown(2).build()?;
    /// assert_eq!([1.0; 5].map(|loss| plateau.observe(loss)), [1.0, 0.5, 0.5, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn cooldown(mut self, losses: u64) -> Self {
        self.settings.cooldown = losses;
        self
    }

    /// Sets the lower bound of the scale, in [0, 1].
    pub fn min_scale(mut self, min_scale: f64) -> Self {
        self.settings.min_scale = min_scale;
        self
    }

    /// Sets the amount up to which a reduction is too small to be made; finite, ≥ 0.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.settings.epsilon = epsilon;
        self
    }

    /// Checks every setting and builds the observer.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter), with the name of the first
    /// setting that is NaN or out of its range (see the table at [`ReduceOnPlateau`]).
    pub fn build(self) -> Result<ReduceOnPlateau, Error> {
        let settings = self.settings;
        let Settings { factor, min_scale, .. } = settings;
        check("factor", factor, (0.0..1.0).contains(&factor), "in [0, 1)")?;
        settings.threshold.check()?;
        check_part("min scale", min_scale)?;
        check_not_negative("epsilon", settings.epsilon)?;
        let observed = Observed { scale: 1.0, best: None, bad_in_a_row: 0, rest: 0 };
        Ok(ReduceOnPlateau { settings, observed })
    }
}

impl Observed {
    /// Refuses a state that no sequence of losses can lead to.
    #[cfg(feature = "serde")]
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        let scale = self.scale;
        check_part("scale", scale)?;
        check("scale", scale, scale >= settings.min_scale, "at least the min scale")?;
        let best = self.best.unwrap_or(0.0);
        check("best loss", best, best.is_finite(), "finite")?;
        let Observed { bad_in_a_row: bad, rest, .. } = *self;
        check_count("number of bad losses", bad, bad <= settings.patience, "at most the patience")?;
        check_count("rest", rest, rest <= settings.cooldown, "at most the cooldown")?;
        check_count("number of bad losses", bad, bad == 0 || rest == 0, "0 during a cooldown")
    }
}

fn check_part(name: &'static str, value: f64) -> Result<(), Error> {
    check(name, value, (0.0..=1.0).contains(&value), "in [0, 1]")
}
