//! Values of schedules: one formula for each kind.

use core::f64::consts::PI;

use super::kind::{Amplitude, Kind};

/// A step and the value at it.
type Point = (u64, f64);

impl Kind {
    pub(super) fn scale(&self, t: u64) -> f64 {
        match *self {
            Kind::Constant { scale } => scale,
            Kind::Step { steps, factor } => power(factor, float(t / steps)),
            Kind::MultiStep { ref milestones, factor } => {
                let passed = milestones.partition_point(|&milestone| milestone <= t);
                power(factor, float(passed as u64))
            }
            Kind::Exponential { steps, factor } => power(factor, ratio(t, steps)),
            Kind::InverseTime { steps, rate } => 1.0 / (1.0 + rate * ratio(t, steps)),
            Kind::Noam { steps } => noam(float(t) + 1.0, float(steps)),
            Kind::Linear { steps, start, end } => between(end, start, remaining(t, steps)),
            Kind::Polynomial { steps, power: exponent, end } => {
                between(end, 1.0, power(remaining(t, steps), exponent))
            }
            Kind::Cosine { steps, end } => between(end, 1.0, bell(ratio(t.min(steps), steps))),
            Kind::OneCycle { steps, rise, start, end } => {
                one_cycle(float(t), float(steps), rise, [start, end])
            }
            Kind::PiecewiseConstant { ref points } => staircase(points, t),
            Kind::PiecewiseLinear { ref points } => polygon(points, t),
            Kind::CosineWarmRestarts { steps, multiplier, end } => {
                let (_, progress) = since_restart(t, steps, multiplier);
                between(end, 1.0, bell(progress))
            }
            Kind::CosineDecayRestarts { steps, multiplier, factor, end } => {
                let (restarts, progress) = since_restart(t, steps, multiplier);
                between(end, 1.0, power(factor, float(restarts)) * bell(progress))
            }
            Kind::Cyclic { up, down, base, amplitude } => {
                between(base, 1.0, triangle(t, up, down) * amplitude.at(t, up, down))
            }
            Kind::WarmUp { steps, start, ref then } => match t.checked_sub(steps) {
                Some(t) => then.scale(t),
                None => between(then.scale(0), start, remaining(t, steps)),
            },
            Kind::Sequence { ref parts, ref last } => {
                let mut t = t;
                for (steps, part) in parts {
                    match t.checked_sub(*steps) {
                        Some(rest) => t = rest,
                        None => return part.scale(t),
                    }
                }
                last.scale(t)
            }
            // Overflow gives the largest float, because a scale must be finite.
            Kind::Scaled { factor, ref of } => (factor * of.scale(t)).min(f64::MAX),
            Kind::Product { ref of, ref times } => (of.scale(t) * times.scale(t)).min(f64::MAX),
        }
    }
}

impl Amplitude {
    /// The height of the cycle at step t, in [0, 1].
    fn at(self, t: u64, up: u64, down: u64) -> f64 {
        match self {
            Amplitude::Constant => 1.0,
            Amplitude::Halving => power(0.5, float(u128::from(t) / period(up, down))),
            Amplitude::Decaying(factor) => power(factor, float(t)),
        }
    }
}

/// Linear interpolation: `from` at weight 0, `to` at weight 1.
///
/// Exact at both ends. The clamp is needed because rounding can move other values just outside the
/// range.
fn between(from: f64, to: f64, weight: f64) -> f64 {
    (from * (1.0 - weight) + to * weight).clamp(from.min(to), from.max(to))
}

/// Half a period of a cosine: 1 at 0, 0 at 1.
fn bell(progress: f64) -> f64 {
    0.5 + 0.5 * libm::cos(PI * progress)
}

/// `base` to the power `exponent`, both at least 0. Overflow gives the largest float, because a
/// scale must be finite.
fn power(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent).min(f64::MAX)
}

fn noam(step: f64, steps: f64) -> f64 {
    (step / steps).min(libm::sqrt(steps / step))
}

fn one_cycle(t: f64, steps: f64, rise: f64, [start, end]: [f64; 2]) -> f64 {
    let (peak, last) = (rise * steps - 1.0, steps - 1.0);
    if t < peak {
        between(1.0, start, bell(t / peak))
    } else if t < last {
        between(end, 1.0, bell((t - peak) / (last - peak)))
    } else {
        end
    }
}

fn staircase(points: &[Point], t: u64) -> f64 {
    match around(points, t) {
        (Some((_, value)), _) | (None, Some((_, value))) => value,
        (None, None) => 1.0, // unreachable: an empty list is refused
    }
}

fn polygon(points: &[Point], t: u64) -> f64 {
    match around(points, t) {
        (Some((from, value)), Some((to, next))) => {
            between(next, value, remaining(t - from, to - from))
        }
        _ => staircase(points, t),
    }
}

/// The last point at or before t, and the first point after t.
fn around(points: &[Point], t: u64) -> (Option<Point>, Option<Point>) {
    let (reached, ahead) = points.split_at(points.partition_point(|&(at, _)| at <= t));
    (reached.last().copied(), ahead.first().copied())
}

/// The number of restarts so far, and the progress in the current cycle, in [0, 1). Each cycle is
/// `multiplier` times as long as the one before.
fn since_restart(t: u64, steps: u64, multiplier: u64) -> (u64, f64) {
    if multiplier == 1 {
        return (t / steps, ratio(t % steps, steps));
    }
    // The loop ends at the first length above `rest`, which may need more than 64 bits, but fits
    // into 128.
    let (mut restarts, mut rest, mut length) = (0, u128::from(t), u128::from(steps));
    while rest >= length {
        restarts += 1;
        rest -= length;
        length *= u128::from(multiplier);
    }
    (restarts, ratio(rest, length))
}

/// The triangle of a cycle: 0 at its start, 1 at its peak.
fn triangle(t: u64, up: u64, down: u64) -> f64 {
    let place = u128::from(t) % period(up, down);
    if place <= up.into() { ratio(place, up) } else { ratio(period(up, down) - place, down) }
}

fn period(up: u64, down: u64) -> u128 {
    u128::from(up) + u128::from(down)
}

/// The remaining part of `steps` at t: exactly 1 at 0, exactly 0 from `steps` on.
fn remaining(t: u64, steps: u64) -> f64 {
    ratio(steps.saturating_sub(t), steps)
}

fn ratio(part: impl Into<u128>, whole: impl Into<u128>) -> f64 {
    float(part) / float(whole)
}

#[expect(clippy::cast_precision_loss, reason = "a relative error of 1e-16 beyond 2^53 is harmless")]
fn float(count: impl Into<u128>) -> f64 {
    count.into() as f64
}
