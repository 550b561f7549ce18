//! The pictures: the loss of the fit, the sweep, and loss curves of the comparison.

use std::ops::Range;

use plotters::{coord::Shift, prelude::*};

use crate::{
    common::{
        chart::{BLUE, Drawn, Figure, power_of_ten},
        curves::{
            Scale, draw_axes, draw_band, draw_legend, draw_level, draw_line, label_crosses, layout,
            plain,
        },
        spread::Spread,
        sweep::Sweep,
    },
    comparison,
    contest::{self, DIVERGED},
    fit,
    sweep::{LossCurve, MULTIPLES, USABLE},
};

const EPOCH: Scale = Scale { name: "epoch", tick: plain };
const LEARNING_RATE: Scale = Scale { name: "learning rate", tick: power_of_ten };
const EXCESS: Scale = Scale { name: "log-likelihood lost per person-year", tick: power_of_ten };

/// The vertical axis of the comparison.
const EXCESSES: Range<f64> = 1e-4..DIVERGED;

/// The excess of the main fit after each epoch, and the tolerance.
pub(crate) struct FitFigure<'a> {
    pub(crate) excesses: &'a [f64],
}

impl Figure for FitFigure<'_> {
    const SIZE: (u32, u32) = (800, 500);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let epochs = 0.0..f64::from(fit::EPOCHS);
        let mut chart = layout(area, "Poisson regression by Adamax, cosine decay")
            .build_cartesian_2d(epochs.clone(), (1e-7..1e1).log_scale())?;
        draw_axes(&mut chart, EPOCH, EXCESS)?;
        let tolerance = comparison::EXCESS_TOLERANCE;
        draw_level(&mut chart, &epochs, tolerance, &format!("tolerance {tolerance:e}"))?;
        let points = (1..=fit::EPOCHS).map(f64::from).zip(self.excesses.iter().copied());
        draw_line(&mut chart, "Adamax", BLUE, points)?;
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}

/// The excess against the learning rate.
pub(crate) struct SweepFigure<'a> {
    pub(crate) sweeps: &'a [Sweep],
    pub(crate) rates: &'a [f64],
    pub(crate) seeds: u64,
}

impl Figure for SweepFigure<'_> {
    const SIZE: (u32, u32) = (800, 500);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (epochs, seeds) = (contest::EPOCHS, self.seeds);
        let caption =
            format!("Poisson regression, {epochs} epochs: median and quartiles of {seeds} seeds");
        let rates = self.rates[0]..self.rates[self.rates.len() - 1];
        let mut chart = layout(area, &caption)
            .build_cartesian_2d(rates.clone().log_scale(), EXCESSES.log_scale())?;
        draw_axes(&mut chart, LEARNING_RATE, EXCESS)?;
        draw_level(&mut chart, &rates, USABLE, &format!("usable: below {USABLE}"))?;
        // Adamax is drawn last, so that the crosses of the others do not hide its crosses.
        for Sweep { method, points } in self.sweeps.iter().rev() {
            draw_band(&mut chart, *method, &EXCESSES, points)?;
        }
        label_crosses(&mut chart, &diverged())?;
        draw_legend(&mut chart, SeriesLabelPosition::LowerRight)
    }
}

/// Loss curves at the best learning rate and at multiples of it, side by side.
pub(crate) struct LossFigure<'a> {
    pub(crate) curves: &'a [LossCurve],
}

impl Figure for LossFigure<'_> {
    const SIZE: (u32, u32) = (1200, 450);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let panels = area.split_evenly((1, MULTIPLES.len()));
        for (panel, multiple) in panels.iter().zip(MULTIPLES) {
            self.draw_panel(panel, multiple)?;
        }
        Ok(())
    }
}

impl LossFigure<'_> {
    fn draw_panel<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        multiple: f64,
    ) -> Drawn<B> {
        let epochs = 0.0..f64::from(contest::EPOCHS);
        let caption = format!("{multiple} × the best learning rate");
        let mut chart = layout(area, &caption).build_cartesian_2d(epochs, EXCESSES.log_scale())?;
        draw_axes(&mut chart, EPOCH, EXCESS)?;
        for curve in self.curves.iter().rev().filter(|curve| curve.multiple == multiple) {
            draw_band(&mut chart, curve.method, &EXCESSES, until_diverged(&curve.points))?;
        }
        // Only the last panel has room for a legend.
        if multiple == MULTIPLES[MULTIPLES.len() - 1] {
            label_crosses(&mut chart, &diverged())?;
            draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)?;
        }
        Ok(())
    }
}

/// Returns the points up to the first whose median has diverged, where the loss curve ends.
fn until_diverged(points: &[(f64, Spread)]) -> &[(f64, Spread)] {
    let diverged = points.iter().position(|(_, excess)| excess.median >= EXCESSES.end);
    diverged.map_or(points, |first| &points[..=first])
}

/// The legend entry of the crosses.
fn diverged() -> String {
    format!("diverged (above {DIVERGED})")
}
