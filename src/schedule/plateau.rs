//! A factor on the learning rate that shrinks whenever a loss has stopped improving.

#[cfg(feature = "serde")]
use super::kind::check_count;
use crate::{
    error::Error,
    rule::{
        Objective,
        range::{check, check_not_negative},
    },
};

/// Shrinks the learning rate when a loss has not improved for a while, with PyTorch's semantics.
///
/// ```text
/// better   if loss < best·(1 − threshold)      Threshold::Relative
///          if loss < best − threshold          Threshold::Absolute
/// bad ← 0 if better, or while cooling down; else bad + 1
/// bad > patience:   scale ← max(scale·factor, min_scale), bad ← 0, and `cooldown` losses of rest
/// ```
/// The scale is 1 at first. Give each loss, once per epoch for instance, to
/// [`observe`](ReduceOnPlateau::observe). The first finite loss is always better; one that is NaN or
/// infinite is bad. Under [`Objective::Maximize`] the signs turn: better is more.
///
/// A relative threshold supposes losses of one sign that improve towards 0 (or, maximized, away
/// from it); for others take an absolute one.
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
/// As PyTorch's `ReduceLROnPlateau`, with a learning rate of 1: its `min_lr` and `eps` are here
/// divided by the learning rate. (There, an infinite loss in the right direction would be the best.)
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
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceOnPlateau {
    settings: Settings,
    observed: Observed,
}

/// What a loss must gain on the best one to count as better.
///
/// ```
/// use adamax::schedule::{ReduceOnPlateau, Threshold};
///
/// // Is 90 after 100 better?
/// let best = |threshold| {
///     let mut plateau = ReduceOnPlateau::builder().threshold(threshold).build()?;
///     plateau.observe(100.0);
///     plateau.observe(90.0);
///     Ok::<_, adamax::Error>(plateau.best())
/// };
/// assert_eq!(best(Threshold::Relative(0.5))?, Some(100.0));
/// assert_eq!(best(Threshold::Absolute(0.5))?, Some(90.0));
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Threshold {
    /// This part of the best: PyTorch's `rel`.
    Relative(f64),
    /// This much: PyTorch's `abs`.
    Absolute(f64),
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

/// What has come of the losses so far.
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
    /// How many losses the rest after the last reduction still lasts.
    rest: u64,
}

impl ReduceOnPlateau {
    /// A builder that starts from PyTorch's defaults.
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().build()?;
    /// let scales: Vec<f64> = (0..12).map(|_| plateau.observe(1.0)).collect();
    /// assert_eq!(scales[10..], [1.0, 0.1]);                 // after 11 bad losses
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn builder() -> ReduceOnPlateauBuilder {
        ReduceOnPlateauBuilder { settings: Settings::default() }
    }

    /// Takes in a loss and returns the factor on the learning rate from now on.
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(1).build()?;
    /// let scales = [3.0, 2.0, 2.5, 2.5, 1.0].map(|loss| plateau.observe(loss));
    /// assert_eq!(scales, [1.0, 1.0, 1.0, 0.5, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn observe(&mut self, loss: f64) -> f64 {
        let Settings { factor, patience, cooldown, min_scale, epsilon, .. } = self.settings;
        let better = self.is_better(loss);
        let observed = &mut self.observed;
        if better {
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

    /// The factor on the learning rate, as [`observe`](ReduceOnPlateau::observe) returned it last;
    /// 1 before the first loss.
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(0).build()?;
    /// assert_eq!(plateau.scale(), 1.0);
    /// plateau.observe(f64::NAN);
    /// assert_eq!(plateau.scale(), 0.5);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.observed.scale
    }

    /// The last loss that was better than the best before it.
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().build()?;
    /// assert_eq!(plateau.best(), None);
    /// for loss in [3.0, 2.0, f64::NEG_INFINITY, 2.5] {
    ///     plateau.observe(loss);
    /// }
    /// assert_eq!(plateau.best(), Some(2.0));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.observed.best
    }

    fn is_better(&self, loss: f64) -> bool {
        let Settings { objective, threshold, .. } = self.settings;
        let gains_on = |best: f64| match (objective, threshold) {
            (Objective::Minimize, Threshold::Relative(part)) => loss < best * (1.0 - part),
            (Objective::Minimize, Threshold::Absolute(much)) => loss < best - much,
            (Objective::Maximize, Threshold::Relative(part)) => loss > best * (1.0 + part),
            (Objective::Maximize, Threshold::Absolute(much)) => loss > best + much,
        };
        loss.is_finite() && self.observed.best.is_none_or(gains_on)
    }

    /// Puts one together again.
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

/// Settings on their way to a [`ReduceOnPlateau`], from [`ReduceOnPlateau::builder`].
///
/// Setters take any value; [`build`](ReduceOnPlateauBuilder::build) checks them all.
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
    /// Whether a better loss is a lower or a higher one.
    ///
    /// ```
    /// # use adamax::{Objective, schedule::ReduceOnPlateau};
    /// let accuracy = ReduceOnPlateau::builder().objective(Objective::Maximize).patience(0);
    /// let mut plateau = accuracy.build()?;
    /// assert_eq!([0.6, 0.7, 0.65].map(|part| plateau.observe(part)), [1.0, 1.0, 0.1]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn objective(mut self, objective: Objective) -> Self {
        self.settings.objective = objective;
        self
    }

    /// What the scale is multiplied by, in [0, 1).
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(0).build()?;
    /// assert_eq!([1.0; 3].map(|loss| plateau.observe(loss)), [1.0, 0.5, 0.25]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn factor(mut self, factor: f64) -> Self {
        self.settings.factor = factor;
        self
    }

    /// How many bad losses in a row are put up with.
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(2).build()?;
    /// assert_eq!([1.0; 5].map(|loss| plateau.observe(loss)), [1.0, 1.0, 1.0, 0.5, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn patience(mut self, losses: u64) -> Self {
        self.settings.patience = losses;
        self
    }

    /// What a loss must gain on the best one to count as better; finite, ≥ 0.
    ///
    /// ```
    /// # use adamax::schedule::{ReduceOnPlateau, Threshold};
    /// let builder = ReduceOnPlateau::builder().factor(0.5).patience(0);
    /// let mut plateau = builder.threshold(Threshold::Absolute(0.25)).build()?;
    /// assert_eq!([1.0, 0.5, 0.375].map(|loss| plateau.observe(loss)), [1.0, 1.0, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn threshold(mut self, threshold: Threshold) -> Self {
        self.settings.threshold = threshold;
        self
    }

    /// For how many losses after a reduction bad ones are not counted.
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

    /// What the scale does not fall below, in [0, 1].
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().patience(0).min_scale(0.05).build()?;
    /// assert_eq!([1.0; 4].map(|loss| plateau.observe(loss)), [1.0, 0.1, 0.05, 0.05]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn min_scale(mut self, min_scale: f64) -> Self {
        self.settings.min_scale = min_scale;
        self
    }

    /// A reduction by no more than this is not carried out; finite, ≥ 0.
    ///
    /// ```
    /// # use adamax::schedule::ReduceOnPlateau;
    /// let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(0).epsilon(0.25).build()?;
    /// assert_eq!([1.0; 4].map(|loss| plateau.observe(loss)), [1.0, 0.5, 0.5, 0.5]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.settings.epsilon = epsilon;
        self
    }

    /// Checks every setting and makes the observer.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter), naming the first setting
    /// that is NaN or out of its range (see the table at [`ReduceOnPlateau`]).
    ///
    /// # Examples
    /// ```
    /// # use adamax::{ErrorKind, schedule::ReduceOnPlateau};
    /// let error = ReduceOnPlateau::builder().min_scale(f64::NAN).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Hyperparameter);
    /// assert_eq!(error.to_string(), "min scale is NaN, but must be in [0, 1]");
    /// ```
    pub fn build(self) -> Result<ReduceOnPlateau, Error> {
        let settings = self.settings;
        let Settings { factor, min_scale, .. } = settings;
        check("factor", factor, (0.0..1.0).contains(&factor), "in [0, 1)")?;
        let (Threshold::Relative(threshold) | Threshold::Absolute(threshold)) = settings.threshold;
        check_not_negative("threshold", threshold)?;
        check_part("min scale", min_scale)?;
        check_not_negative("epsilon", settings.epsilon)?;
        let observed = Observed { scale: 1.0, best: None, bad_in_a_row: 0, rest: 0 };
        Ok(ReduceOnPlateau { settings, observed })
    }
}

impl Observed {
    /// Refuses what no losses can have led to.
    #[cfg(feature = "serde")]
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        check_part("scale", self.scale)?;
        let best = self.best.unwrap_or(0.0);
        check("best loss", best, best.is_finite(), "finite")?;
        let Observed { bad_in_a_row: bad, rest, .. } = *self;
        check_count("number of bad losses", bad, bad <= settings.patience, "at most the patience")?;
        check_count("rest", rest, rest <= settings.cooldown, "at most the cooldown")
    }
}

fn check_part(name: &'static str, value: f64) -> Result<(), Error> {
    check(name, value, (0.0..=1.0).contains(&value), "in [0, 1]")
}
