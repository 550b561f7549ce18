//! The pictures: the error against the learning rate, and the error during single runs.

use std::ops::Range;

use plotters::{coord::Shift, prelude::*};

use crate::{
    common::{
        chart::{Drawn, Figure, power_of_ten},
        curves::{
            Scale, colour, draw_axes, draw_band, draw_legend, draw_level, draw_line, label_crosses,
            layout, plain,
        },
    },
    contest::{DIVERGED, Outcome},
    regression::{Loss, Noise, STEPS},
    report::{USABLE, title},
};

const ERROR: Scale = Scale { name: "relative error of the coefficients", tick: power_of_ten };
const ERRORS: Range<f64> = 5e-3..DIVERGED;
const PATH_ERRORS: Range<f64> = 5e-3..2.0;

/// The error against the learning rate, with a column for each noise and a row for each loss.
pub(crate) struct SweepFigure<'a> {
    pub(crate) outcomes: &'a [Outcome],
    pub(crate) rates: &'a [f64],
}

impl Figure for SweepFigure<'_> {
    const SIZE: (u32, u32) = (1200, 800);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let panels = area.split_evenly((Loss::ALL.len(), Noise::ALL.len()));
        for (panel, outcome) in panels.iter().zip(self.outcomes) {
            self.draw_panel(panel, outcome)?;
        }
        Ok(())
    }
}

impl SweepFigure<'_> {
    fn draw_panel<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        outcome: &Outcome,
    ) -> Drawn<B> {
        let rates = self.rates[0]..self.rates[self.rates.len() - 1];
        let mut chart = layout(area, &title(outcome))
            .build_cartesian_2d(rates.clone().log_scale(), ERRORS.log_scale())?;
        draw_axes(&mut chart, Scale { name: "learning rate", tick: power_of_ten }, ERROR)?;
        draw_level(&mut chart, &rates, USABLE, &format!("usable: below {USABLE}"))?;
        // Adamax is drawn last, so that the crosses of the others do not hide its crosses.
        for sweep in outcome.sweeps.iter().rev() {
            draw_band(&mut chart, sweep.method, &ERRORS, &sweep.points)?;
        }
        // Only this panel has a legend, because it has room for it.
        if (outcome.loss, outcome.noise) == (Loss::Squares, Noise::Cauchy) {
            label_crosses(&mut chart, &format!("diverged (above {DIVERGED})"))?;
            draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)?;
        }
        Ok(())
    }
}

/// The error during one run with Cauchy noise, side by side for the two losses.
pub(crate) struct PathFigure<'a> {
    pub(crate) outcomes: &'a [Outcome],
}

impl Figure for PathFigure<'_> {
    const SIZE: (u32, u32) = (1200, 450);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let panels = area.split_evenly((1, Loss::ALL.len()));
        let outcomes = self.outcomes.iter().filter(|outcome| outcome.noise == Noise::Cauchy);
        for (panel, outcome) in panels.iter().zip(outcomes) {
            draw_paths(panel, outcome)?;
        }
        Ok(())
    }
}

fn draw_paths<B: DrawingBackend>(area: &DrawingArea<B, Shift>, outcome: &Outcome) -> Drawn<B> {
    let mut chart = layout(area, &title(outcome))
        .build_cartesian_2d(0.0..f64::from(STEPS), PATH_ERRORS.log_scale())?;
    draw_axes(&mut chart, Scale { name: "step", tick: plain }, ERROR)?;
    for best in outcome.bests.iter().rev() {
        let method = best.setting.method;
        let within =
            best.path.iter().map(|&(x, y)| (x, y.clamp(PATH_ERRORS.start, PATH_ERRORS.end)));
        draw_line(&mut chart, method.name(), colour(method), within)?;
    }
    // Only this panel has a legend, because it has room for it.
    if outcome.loss == Loss::Squares {
        draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)?;
    }
    Ok(())
}
