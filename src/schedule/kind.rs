//! The kinds of schedules, with their arguments and the checks of these.

use alloc::{boxed::Box, vec::Vec};

use super::Schedule;
use crate::{
    error::{Detail, Error},
    rule::range::{check, check_not_negative},
};

/// The change of a [`cyclic`](Schedule::cyclic) schedule's height over time.
///
/// ```
/// use adamax::schedule::{Amplitude, Schedule};
///
/// // The peaks of the first three cycles, at t = 1, 3 and 5.
/// let peaks = |amplitude| {
///     let schedule = Schedule::cyclic(1, 1, 0.0, amplitude)?;
///     Ok::<_, adamax::Error>([1, 3, 5].map(|t| schedule.scale(t)))
/// };
/// assert_eq!(peaks(Amplitude::Constant)?, [1.0, 1.0, 1.0]);
/// assert_eq!(peaks(Amplitude::Halving)?, [1.0, 0.5, 0.25]);
/// assert_eq!(peaks(Amplitude::Decaying(0.5))?, [0.5, 0.125, 0.03125]);
/// # Ok::<(), adamax::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Amplitude {
    /// All cycles have the same height: PyTorch's `triangular`.
    #[default]
    Constant,
    /// Each cycle has half the height of the one before: PyTorch's `triangular2`.
    Halving,
    /// The height is factorᵗ, with a factor in [0, 1]: PyTorch's `exp_range`.
    Decaying(f64),
}

/// The greatest depth of nested schedules.
///
/// Functions that visit them are recursive and must not exhaust the stack. Parsers take most: about 8 KB
/// for each schedule in another one, and the compiler may inline more. So this takes half of a stack of
/// 128 KB. Parsers also have limits of their own: that of JSON is reached by 32 sequences within each
/// other, which could be written, but not read.
const MAX_DEPTH: u64 = 8;

/// The contents of a schedule: the arguments of the constructor of the same name.
///
/// `nested.rs` reads and writes the kinds that hold other schedules, and lists the names of all kinds.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename = "Schedule", deny_unknown_fields)
)]
pub(crate) enum Kind {
    Constant {
        scale: f64,
    },
    Step {
        steps: u64,
        factor: f64,
    },
    MultiStep {
        #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::list::read"))]
        milestones: Vec<u64>,
        factor: f64,
    },
    Exponential {
        steps: u64,
        factor: f64,
    },
    InverseTime {
        steps: u64,
        rate: f64,
    },
    Noam {
        steps: u64,
    },
    Linear {
        steps: u64,
        start: f64,
        end: f64,
    },
    Polynomial {
        steps: u64,
        power: f64,
        end: f64,
    },
    Cosine {
        steps: u64,
        end: f64,
    },
    OneCycle {
        steps: u64,
        rise: f64,
        start: f64,
        end: f64,
    },
    PiecewiseConstant {
        #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::list::read"))]
        points: Vec<(u64, f64)>,
    },
    PiecewiseLinear {
        #[cfg_attr(feature = "serde", serde(deserialize_with = "crate::list::read"))]
        points: Vec<(u64, f64)>,
    },
    CosineWarmRestarts {
        steps: u64,
        multiplier: u64,
        end: f64,
    },
    Cyclic {
        up: u64,
        down: u64,
        base: f64,
        amplitude: Amplitude,
    },
    #[cfg_attr(feature = "serde", serde(skip))]
    WarmUp {
        steps: u64,
        start: f64,
        then: Box<Schedule>,
    },
    #[cfg_attr(feature = "serde", serde(skip))]
    Sequence {
        parts: Vec<(u64, Schedule)>,
        last: Box<Schedule>,
    },
    CosineDecayRestarts {
        steps: u64,
        multiplier: u64,
        factor: f64,
        end: f64,
    },
    #[cfg_attr(feature = "serde", serde(skip))]
    Scaled {
        factor: f64,
        of: Box<Schedule>,
    },
    #[cfg_attr(feature = "serde", serde(skip))]
    Product {
        of: Box<Schedule>,
        times: Box<Schedule>,
    },
}

impl Kind {
    /// Refuses arguments out of range. Schedules inside this one have been checked when they were
    /// made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Kind::Constant { scale } => check_not_negative("scale", *scale),
            Kind::Step { steps, factor } => {
                check_steps(*steps)?;
                check_not_negative("factor", *factor)
            }
            Kind::MultiStep { milestones, factor } => {
                check_increasing("milestone", milestones.iter().copied())?;
                check_not_negative("factor", *factor)
            }
            Kind::Exponential { steps, factor } => {
                check_steps(*steps)?;
                check_positive("factor", *factor)
            }
            Kind::InverseTime { steps, rate } => {
                check_steps(*steps)?;
                check_not_negative("rate", *rate)
            }
            Kind::Noam { steps } => check_steps(*steps),
            Kind::Linear { steps, start, end } => {
                check_steps(*steps)?;
                check_not_negative("start", *start)?;
                check_not_negative("end", *end)
            }
            Kind::Polynomial { steps, power, end } => {
                check_steps(*steps)?;
                check_positive("power", *power)?;
                check_not_negative("end", *end)
            }
            Kind::Cosine { steps, end } => {
                check_steps(*steps)?;
                check_not_negative("end", *end)
            }
            Kind::OneCycle { steps, rise, start, end } => {
                check_steps(*steps)?;
                check("rise", *rise, (0.0..1.0).contains(rise), "in [0, 1)")?;
                check_not_negative("start", *start)?;
                check_not_negative("end", *end)
            }
            Kind::PiecewiseConstant { points } | Kind::PiecewiseLinear { points } => {
                check_increasing("point", points.iter().map(|&(t, _)| t))?;
                points.iter().try_for_each(|&(_, value)| check_not_negative("value", value))
            }
            Kind::CosineWarmRestarts { steps, multiplier, end } => {
                check_steps(*steps)?;
                check_at_least_1("multiplier", *multiplier)?;
                check_not_negative("end", *end)
            }
            Kind::Cyclic { up, down, base, amplitude } => {
                check_at_least_1("number of steps up", *up)?;
                check_at_least_1("number of steps down", *down)?;
                check_not_negative("base", *base)?;
                amplitude.check()
            }
            Kind::CosineDecayRestarts { steps, multiplier, factor, end } => {
                check_steps(*steps)?;
                check_at_least_1("multiplier", *multiplier)?;
                let allowed = (0.0..=1.0).contains(factor);
                check("factor of the peaks", *factor, allowed, "in [0, 1]")?;
                check_not_negative("end", *end)
            }
            // 0 steps are allowed where they mean "leave this out".
            Kind::WarmUp { start, .. } => {
                check_not_negative("start", *start)?;
                check_depth(self.depth())
            }
            Kind::Scaled { factor, .. } => {
                check_not_negative("factor", *factor)?;
                check_depth(self.depth())
            }
            Kind::Sequence { .. } | Kind::Product { .. } => check_depth(self.depth()),
        }
    }

    fn depth(&self) -> u64 {
        let inner = match self {
            Kind::WarmUp { then: inner, .. } | Kind::Scaled { of: inner, .. } => inner.kind.depth(),
            Kind::Product { of, times } => of.kind.depth().max(times.kind.depth()),
            Kind::Sequence { parts, last } => {
                let parts = parts.iter().map(|(_, part)| part.kind.depth());
                parts.fold(last.kind.depth(), u64::max)
            }
            _ => 0,
        };
        inner + 1
    }
}

/// Refuses schedules that are nested too deep.
pub(super) fn check_depth(depth: u64) -> Result<(), Error> {
    check_count("depth of nested schedules", depth, depth <= MAX_DEPTH, "at most 8")
}

impl Amplitude {
    fn check(self) -> Result<(), Error> {
        match self {
            Amplitude::Constant | Amplitude::Halving => Ok(()),
            Amplitude::Decaying(factor) => {
                let allowed = (0.0..=1.0).contains(&factor);
                check("factor of the amplitude", factor, allowed, "in [0, 1]")
            }
        }
    }
}

// Each condition is true for allowed values only, so NaN is refused.

fn check_positive(name: &'static str, value: f64) -> Result<(), Error> {
    check(name, value, value > 0.0 && value.is_finite(), "finite and greater than 0")
}

fn check_steps(steps: u64) -> Result<(), Error> {
    check_at_least_1("number of steps", steps)
}

fn check_at_least_1(name: &'static str, value: u64) -> Result<(), Error> {
    check_count(name, value, value > 0, "at least 1")
}

/// Refuses an empty list, and one that is not strictly increasing.
fn check_increasing(
    name: &'static str,
    steps: impl Iterator<Item = u64> + Clone,
) -> Result<(), Error> {
    let mut later = steps.clone();
    if later.next().is_none() {
        return Err(Detail::Empty { name }.into());
    }
    steps.zip(later).try_for_each(|(before, step)| {
        check_count(name, step, step > before, "greater than the one before")
    })
}

pub(super) fn check_count(
    name: &'static str,
    value: u64,
    allowed: bool,
    range: &'static str,
) -> Result<(), Error> {
    if allowed { Ok(()) } else { Err(Detail::Count { name, value, range }.into()) }
}
