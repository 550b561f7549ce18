//! The end of a run: no better loss for a while, or steps or gradients that are small.

use core::fmt;

use crate::{
    average::Weight,
    error::Error,
    rule::{Objective, decay_rate::DecayRate, range::check_not_negative},
    schedule::Threshold,
    step::{Outcome, report::Report},
};
#[cfg(feature = "serde")]
use crate::{error::Detail, rule::range::check};

/// Says when a run is done, and which parameters are the best so far.
///
/// ```text
/// s ← s + w · (loss − s)            w = (1 − β)/(1 − βⁿ) for the n-th finite loss; β = smoothing
/// better   if s < r − threshold·|r|          Threshold::Relative
///          if s < r − threshold              Threshold::Absolute
/// r ← s and bad ← 0 if better; else bad ← bad + 1
/// stop   if bad > patience, or max |Δx| < step tolerance, or the gradient norm < gradient tolerance
/// ```
/// It is a value, not a loop. Pass each loss, for instance that of a validation set once per epoch, to
/// [`observe`](Stop::observe). The [`StopVerdict`] says if the loss is the best so far, so that the caller
/// keeps the parameters, and if the run has lost its patience. Pass the [`Report`] of a step to
/// [`judge_step`](Stop::judge_step), for the two tolerances. Criteria that the caller never asks for have
/// no effect. A solver for argmin takes a `Stop` too.
///
/// s is the smoothed loss, a mean in which recent losses weigh more. It is corrected as an
/// [`Average`](crate::Average) is: the first s is the first loss. Without smoothing (β = 0) s is the loss
/// itself. The best loss is the lowest s so far, by whatever amount. Patience counts the losses that are
/// not better by the threshold. Slow progress counts as soon as it adds up to more than the threshold.
///
/// A loss that is NaN or infinite is bad, never the best, and no part of s. Under
/// [`Objective::Maximize`] the comparisons become `s > r + threshold·|r|` and `s > r + threshold`, and the
/// best is the highest.
///
/// | setting | default | range |
/// |---|---|---|
/// | [`objective`](StopBuilder::objective) | [`Minimize`](Objective::Minimize) | |
/// | [`patience`](StopBuilder::patience) | off | |
/// | [`threshold`](StopBuilder::threshold) | [`Relative(1e-4)`](Threshold::Relative) | finite, ≥ 0 |
/// | [`smoothing`](StopBuilder::smoothing) | 0 (off) | [0, 1) |
/// | [`step_tolerance`](StopBuilder::step_tolerance) | 0 (off) | finite, ≥ 0 |
/// | [`gradient_tolerance`](StopBuilder::gradient_tolerance) | 0 (off) | finite, ≥ 0 |
///
/// Every criterion is off until it is set. Patience and threshold count as in
/// [`ReduceOnPlateau`](crate::schedule::ReduceOnPlateau). Keras'
/// `EarlyStopping(patience=n, min_delta=d)` stops at the n-th bad loss in a row. For n ≥ 1 this is
/// `patience(n - 1)` and `Threshold::Absolute(d)`.
///
/// # Saving
/// With feature `serde` it is saved with all it has observed, for instance by `Checkpoint::add_value`. A
/// resumed run stops where an uninterrupted one does.
///
/// # Cost
/// A few operations for each loss. Nothing is allocated.
///
/// # Examples
/// ```
/// use adamax::{Adamax, State, Stop, StopReason};
/// use ndarray::array;
///
/// let rule = Adamax::builder().learning_rate(0.05).build()?;
/// let mut x = array![3.0_f64, -2.0];
/// let mut state = State::zeros_like(&x);
/// let mut stop = Stop::builder().patience(20).step_tolerance(1e-6).build()?;
///
/// let mut best = x.clone();
/// let reason = loop {
///     let noise = 0.5 * f64::sin(7.0 * state.steps() as f64);
///     let gradient = &x * 2.0 + noise;                                // of |x|², with noise
///     let report = rule.step_with_report(&mut state, &mut x, &gradient)?;
///
///     let verdict = stop.observe(x.iter().map(|x| x * x).sum());
///     if verdict.is_best() {
///         best.assign(&x);
///     }
///     if let Some(reason) = verdict.reason().or(stop.judge_step(&report)) {
///         break reason;
///     }
/// };
/// assert_eq!(reason, StopReason::Patience);                           // the noise has taken over
/// assert_eq!(stop.best(), Some(best.iter().map(|x| x * x).sum()));
/// # assert!(state.steps() < 1_000);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    settings: Settings,
    smoothing: DecayRate,
    observed: Observed,
}

/// The reason why a run is done.
///
/// ```
/// use adamax::{Stop, StopReason};
///
/// let mut stop = Stop::builder().patience(1).build()?;
/// let reasons = [3.0, 3.0, 3.0].map(|loss| stop.observe(loss).reason());
/// assert_eq!(reasons, [None, None, Some(StopReason::Patience)]);
/// assert_eq!(StopReason::Patience.to_string(), "the loss has stopped improving");
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// More bad losses in a row than the patience.
    Patience,
    /// The largest change of a parameter is below the step tolerance.
    Step,
    /// The norm of the gradient is below the gradient tolerance.
    Gradient,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Patience => "the loss has stopped improving",
            StopReason::Step => "the largest step is below its tolerance",
            StopReason::Gradient => "the norm of the gradient is below its tolerance",
        })
    }
}

/// The result of [`Stop::observe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopVerdict {
    best: bool,
    reason: Option<StopReason>,
}

impl StopVerdict {
    /// Returns true if the loss, after smoothing, is the best so far: time to keep the parameters.
    #[must_use]
    pub fn is_best(self) -> bool {
        self.best
    }

    /// Returns the reason to stop, if there is one.
    #[must_use]
    pub fn reason(self) -> Option<StopReason> {
        self.reason
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename = "StopSettings", default, deny_unknown_fields) // as `RuleData` in serde.rs
)]
pub(crate) struct Settings {
    objective: Objective,
    /// `None` is off. A number that stands for it, `u64::MAX`, could not be written by formats whose numbers
    /// are signed, such as TOML.
    patience: Option<u64>,
    threshold: Threshold,
    smoothing: f64,
    step_tolerance: f64,
    gradient_tolerance: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            objective: Objective::Minimize,
            patience: None,
            threshold: Threshold::Relative(1e-4),
            smoothing: 0.0,
            step_tolerance: 0.0,
            gradient_tolerance: 0.0,
        }
    }
}

/// The state after the losses observed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename = "StopObserved", deny_unknown_fields)
)]
pub(crate) struct Observed {
    /// The number of finite losses.
    finite: u64,
    /// The smoothed losses, from the first finite loss on.
    losses: Option<Losses>,
    bad_in_a_row: u64,
}

/// Smoothed losses.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
struct Losses {
    last: f64,
    best: f64,
    /// The last one that was better by the threshold.
    reference: f64,
}

impl Stop {
    /// Returns a builder that starts from the defaults.
    pub fn builder() -> StopBuilder {
        StopBuilder { settings: Settings::default() }
    }

    /// Processes a loss. Says if it is the best so far, and if there have been more bad ones in a row than
    /// the patience.
    ///
    /// The parameters to be kept are those that the loss belongs to. If it was computed together with the
    /// gradient, call this before the step.
    ///
    /// After a reason to stop it can be called again: the next loss that is better begins a new count.
    ///
    /// ```
    /// # use adamax::Stop;
    /// let mut stop = Stop::builder().patience(1).build()?;
    /// let verdicts = [3.0, 2.0, f64::NAN, 2.5, 1.0].map(|loss| stop.observe(loss));
    /// assert_eq!(verdicts.map(|verdict| verdict.is_best()), [true, true, false, false, true]);
    /// assert_eq!(verdicts.map(|verdict| verdict.reason().is_some()), [false, false, false, true, false]);
    /// # Ok::<(), adamax::Error>(())
    /// ```
    pub fn observe(&mut self, loss: f64) -> StopVerdict {
        let (best, better) = if loss.is_finite() { self.take(loss) } else { (false, false) };
        let bad = &mut self.observed.bad_in_a_row;
        *bad = if better { 0 } else { bad.saturating_add(1) };
        StopVerdict { best, reason: self.reason() }
    }

    /// Takes a finite loss into the smoothed one. Returns true if that is the best, and if it is better by
    /// the threshold.
    fn take(&mut self, loss: f64) -> (bool, bool) {
        let Settings { objective, threshold, .. } = self.settings;
        let observed = &mut self.observed;
        observed.finite = observed.finite.saturating_add(1);
        let Some(Losses { last, best, reference }) = &mut observed.losses else {
            observed.losses = Some(Losses { last: loss, best: loss, reference: loss });
            return (true, true);
        };
        let weight = Weight::of_latest(self.smoothing.weight_of_latest(observed.finite));
        *last = weight.moved(*last, loss);
        let is_best = Threshold::Absolute(0.0).is_better(objective, *last, Some(*best));
        if is_best {
            *best = *last;
        }
        let is_better = threshold.is_better(objective, *last, Some(*reference));
        if is_better {
            *reference = *last;
        }
        (is_best, is_better)
    }

    /// Compares the largest change of a parameter and the gradient norm of a step with their tolerances.
    ///
    /// The report may be that of one tensor or of a batch. A step that was skipped gives no reason, nor does
    /// one that leaves NaN in a parameter. A step at a learning rate of 0, or of no tensors, is a step of 0. The
    /// gradient is the one of before the step. If the rule has bounds, its norm need not become small: pass
    /// [`Adamax::projected_gradient_norm`](crate::Adamax::projected_gradient_norm) to
    /// [`judge_gradient`](Stop::judge_gradient) instead.
    ///
    /// A step that is lost to rounding is a step of 0: nothing has moved.
    ///
    /// ```
    /// # use adamax::{Adamax, State, Stop, StopReason};
    /// # use ndarray::array;
    /// let stop = Stop::builder().step_tolerance(1e-3).gradient_tolerance(1e-6).build()?;
    /// let mut x = array![1.0];
    /// let mut state = State::zeros_like(&x);
    /// let mut judge = |learning_rate: f64, gradient: f64| {
    ///     let rule = Adamax::builder().learning_rate(learning_rate).build()?;
    ///     let report = rule.step_with_report(&mut state, &mut x, &array![gradient])?;
    ///     Ok::<_, adamax::Error>(stop.judge_step(&report))
    /// };
    /// assert_eq!(judge(0.01, 0.5)?, None);
    /// assert_eq!(judge(0.0001, 0.5)?, Some(StopReason::Step));
    /// assert_eq!(judge(0.01, 1e-7)?, Some(StopReason::Gradient));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn judge_step(&self, report: &Report) -> Option<StopReason> {
        if report.outcome() == Outcome::Skipped || report.max_step().is_nan() {
            return None;
        }
        self.judge_change(report.max_step()).or(self.judge_gradient(report.gradient_norm()))
    }

    /// Compares the norm of a gradient with its tolerance. NaN gives no reason.
    ///
    /// ```
    /// # use adamax::{Adamax, Stop, StopReason};
    /// # use ndarray::array;
    /// let stop = Stop::builder().gradient_tolerance(1e-6).build()?;
    /// let rule = Adamax::builder().bounds(0.0, 2.0).build()?;
    /// // The first entry cannot fall any more.
    /// let norm = rule.projected_gradient_norm(&array![0.0, 1.0], &array![3.0, 1e-7])?;
    /// assert_eq!(stop.judge_gradient(norm), Some(StopReason::Gradient));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn judge_gradient(&self, norm: f64) -> Option<StopReason> {
        (norm < self.settings.gradient_tolerance).then_some(StopReason::Gradient)
    }

    pub(crate) fn judge_change(&self, max_step: f64) -> Option<StopReason> {
        (max_step < self.settings.step_tolerance).then_some(StopReason::Step)
    }

    /// Returns [`StopReason::Patience`] if the losses so far are a reason to stop, as the last
    /// [`observe`](Stop::observe) returned it.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        let patience = self.settings.patience?;
        (self.observed.bad_in_a_row > patience).then_some(StopReason::Patience)
    }

    /// Returns the best loss so far, after smoothing; `None` before the first finite loss.
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.observed.losses.map(|losses| losses.best)
    }

    /// Returns the smoothed loss; `None` before the first finite loss.
    ///
    /// ```
    /// # use adamax::Stop;
    /// let mut stop = Stop::builder().smoothing(0.5).build()?;
    /// stop.observe(3.0);
    /// assert_eq!(stop.smoothed(), Some(3.0));
    /// stop.observe(6.0);
    /// assert_eq!(stop.smoothed(), Some((0.5 * 3.0 + 6.0) / (0.5 + 1.0)));
    /// # Ok::<(), adamax::Error>(())
    /// ```
    #[must_use]
    pub fn smoothed(&self) -> Option<f64> {
        self.observed.losses.map(|losses| losses.last)
    }

    /// Restores a value from its parts.
    #[cfg(feature = "serde")]
    pub(crate) fn from_parts(settings: Settings, observed: Observed) -> Result<Self, Error> {
        let fresh = StopBuilder { settings }.build()?;
        observed.check(&settings)?;
        Ok(Stop { observed, ..fresh })
    }

    #[cfg(feature = "serde")]
    pub(crate) fn parts(&self) -> (Settings, Observed) {
        (self.settings, self.observed)
    }

    /// Returns the direction in which a loss is better.
    #[cfg(feature = "argmin")]
    pub(crate) fn objective(&self) -> Objective {
        self.settings.objective
    }

    /// Returns true if the step tolerance is on.
    #[cfg(feature = "argmin")]
    pub(crate) fn looks_at_steps(&self) -> bool {
        self.settings.step_tolerance > 0.0
    }

    /// Returns true if the gradient tolerance is on.
    #[cfg(feature = "argmin")]
    pub(crate) fn looks_at_gradients(&self) -> bool {
        self.settings.gradient_tolerance > 0.0
    }
}

/// The builder of a [`Stop`], made by [`Stop::builder`].
///
/// Setters accept any value; [`build`](StopBuilder::build) checks all of them.
///
/// ```
/// use adamax::{Stop, schedule::Threshold};
///
/// let builder = Stop::builder().patience(3).threshold(Threshold::Absolute(0.01)).smoothing(0.9);
/// assert_eq!(builder.build()?.best(), None);
/// let error = builder.smoothing(1.0).build().unwrap_err();
/// assert_eq!(error.to_string(), "smoothing is 1, but must be in [0, 1)");
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct StopBuilder {
    settings: Settings,
}

impl StopBuilder {
    /// Sets the direction in which a loss is better: lower or higher.
    pub fn objective(mut self, objective: Objective) -> Self {
        self.settings.objective = objective;
        self
    }

    /// Sets the number of bad losses in a row that are tolerated: the next one is the reason to stop.
    /// `u64::MAX` is off, as is the default.
    pub fn patience(mut self, losses: u64) -> Self {
        self.settings.patience = (losses < u64::MAX).then_some(losses);
        self
    }

    /// Sets the improvement that makes a loss count as better; finite, ≥ 0.
    pub fn threshold(mut self, threshold: Threshold) -> Self {
        self.settings.threshold = threshold;
        self
    }

    /// Sets the decay β of the weights of old losses, in [0, 1): s is a mean of about 1/(1 − β) losses.
    pub fn smoothing(mut self, smoothing: f64) -> Self {
        self.settings.smoothing = smoothing;
        self
    }

    /// Sets the largest change of a parameter below which a run is done; finite, ≥ 0; 0 is off.
    pub fn step_tolerance(mut self, max_step: f64) -> Self {
        self.settings.step_tolerance = max_step;
        self
    }

    /// Sets the norm of the gradient below which a run is done; finite, ≥ 0; 0 is off.
    pub fn gradient_tolerance(mut self, norm: f64) -> Self {
        self.settings.gradient_tolerance = norm;
        self
    }

    /// Checks every setting and builds the value.
    ///
    /// # Errors
    /// [`ErrorKind::Hyperparameter`](crate::ErrorKind::Hyperparameter), with the name of the first
    /// setting that is NaN or out of its range (see the table at [`Stop`]).
    pub fn build(self) -> Result<Stop, Error> {
        let settings = self.settings;
        settings.threshold.check()?;
        let smoothing = DecayRate::new("smoothing", settings.smoothing)?;
        check_not_negative("step tolerance", settings.step_tolerance)?;
        check_not_negative("gradient tolerance", settings.gradient_tolerance)?;
        Ok(Stop { settings, smoothing, observed: Observed::default() })
    }
}

#[cfg(feature = "serde")]
impl Observed {
    /// Refuses a state that no sequence of losses can lead to.
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        let Observed { finite, losses, bad_in_a_row: bad } = *self;
        let count = |name, value, allowed: bool, range| {
            if allowed { Ok(()) } else { Err(Error::from(Detail::Count { name, value, range })) }
        };
        let Some(Losses { last, best, reference }) = losses else {
            return count("number of finite losses", finite, finite == 0, "0 without a loss");
        };
        count("number of finite losses", finite, finite > 0, "at least 1 with a loss")?;
        for (name, loss) in
            [("last loss", last), ("best loss", best), ("reference loss", reference)]
        {
            check(name, loss, loss.is_finite(), "finite")?;
        }
        let beats = |loss| Threshold::Absolute(0.0).is_better(settings.objective, loss, Some(best));
        check("best loss", best, !beats(last), "at least as good as the last loss")?;
        check("best loss", best, !beats(reference), "at least as good as the reference loss")?;
        let is_missed = settings.threshold.is_better(settings.objective, best, Some(reference));
        check(
            "reference loss",
            reference,
            !is_missed,
            "no worse than the best loss by the threshold",
        )?;
        let is_first = finite > 1 || last == best && best == reference;
        count("number of finite losses", finite, is_first, "above 1 with losses that differ")?;
        let fits = bad > 0 || reference == last;
        count("number of bad losses", bad, fits, "above 0, as the last loss was not better")
    }
}

#[cfg(all(test, feature = "argmin"))]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_of_zero_is_off() {
        let looks_at = |step, gradient| {
            let stop = Stop::builder().step_tolerance(step).gradient_tolerance(gradient).build();
            let stop = stop.unwrap();
            (stop.looks_at_steps(), stop.looks_at_gradients())
        };
        assert_eq!(looks_at(0.0, 0.0), (false, false));
        assert_eq!(looks_at(5e-324, 0.0), (true, false));
        assert_eq!(looks_at(0.0, 5e-324), (false, true));
    }
}
