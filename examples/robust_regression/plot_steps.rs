//! The picture of one run: norms, clip factors and largest changes over time.

use std::ops::Range;

use adamax::Report;
use plotters::{coord::Shift, prelude::*};

use crate::{
    common::{
        chart::{BLUE, Drawn, Figure, GREEN, VERMILION, power_of_ten},
        curves::{
            Axis, Chart, Scale, draw_axes, draw_legend, draw_level, draw_line, layout, plain,
        },
    },
    regression::STEPS,
    steps::{ARRIVED, BOUND, LONGEST, Run},
};

const STEP: Scale = Scale { name: "step", tick: plain };
const NORMS: Range<f64> = 0.1..1e3;
const FACTORS: Range<f64> = 0.0..1.1;
const CHANGES: Range<f64> = 1e-4..3e-2;

/// Names and colours of clipped gradients and of all others.
const KINDS: [(&str, RGBColor, bool); 2] =
    [("clipped", VERMILION, true), ("not clipped", BLUE, false)];

/// The reports of a run, in three panels with one time axis.
pub(crate) struct StepFigure<'a> {
    pub(crate) run: &'a Run,
}

impl Figure for StepFigure<'_> {
    const SIZE: (u32, u32) = (1200, 1050);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let panels = area.split_evenly((3, 1));
        self.draw_norms(&panels[0])?;
        self.draw_factors(&panels[1])?;
        self.draw_changes(&panels[2])
    }
}

impl StepFigure<'_> {
    fn draw_norms<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let mut chart = layout(area, "gradient_norm: the norm before clipping")
            .build_cartesian_2d(steps(), NORMS.log_scale())?;
        draw_axes(&mut chart, STEP, Scale { name: "norm of the gradient", tick: power_of_ten })?;
        draw_level(&mut chart, &steps(), BOUND, &format!("bound of the norm: {BOUND}"))?;
        self.draw_dots(&mut chart, &NORMS, Report::gradient_norm)?;
        label_dots(&mut chart)?;
        self.draw_arrival(&mut chart, &NORMS)?;
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }

    fn draw_factors<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let mut chart = layout(area, "clip_factor: the gradient was multiplied by it")
            .build_cartesian_2d(steps(), FACTORS)?;
        draw_axes(&mut chart, STEP, Scale { name: "clip factor", tick: plain })?;
        self.draw_dots(&mut chart, &FACTORS, Report::clip_factor)?;
        self.draw_arrival(&mut chart, &FACTORS)
    }

    fn draw_changes<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let mut chart = layout(area, "max_step: the largest change of a coefficient")
            .build_cartesian_2d(steps(), CHANGES.log_scale())?;
        draw_axes(&mut chart, STEP, Scale { name: "largest change", tick: power_of_ten })?;
        draw_level(&mut chart, &steps(), LONGEST, "saturated: 1.00909·α")?;
        self.draw_dots(&mut chart, &CHANGES, Report::max_step)?;
        let medians = self.run.medians().map(|(step, median)| (f64::from(step), median));
        draw_line(&mut chart, "running median", BLACK, medians)?;
        self.draw_arrival(&mut chart, &CHANGES)?;
        draw_legend(&mut chart, SeriesLabelPosition::LowerRight)
    }

    /// Draws a figure of each report. Dots outside `visible` stand at its ends.
    fn draw_dots<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
        &self,
        chart: &mut Chart<'a, B, X, Y>,
        visible: &Range<f64>,
        figure: impl Fn(&Report) -> f64,
    ) -> Drawn<B> {
        for (_, colour, is_clipped) in KINDS {
            let steps = (1_u32..).map(f64::from).zip(&self.run.reports);
            let kind = steps.filter(|(_, report)| (report.clip_factor() < 1.0) == is_clipped);
            chart.draw_series(kind.map(|(step, report)| {
                let height = figure(report).clamp(visible.start, visible.end);
                Circle::new((step, height), 2, colour.mix(0.6).filled())
            }))?;
        }
        Ok(())
    }

    /// Draws a vertical line at the step with which the run has arrived.
    fn draw_arrival<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
        &self,
        chart: &mut Chart<'a, B, X, Y>,
        visible: &Range<f64>,
    ) -> Drawn<B> {
        let Some(step) = self.run.arrival().map(f64::from) else { return Ok(()) };
        let name = format!("arrived: median below {ARRIVED} of saturated");
        draw_line(chart, &name, GREEN, [(step, visible.start), (step, visible.end)])
    }
}

/// Adds legend entries for the dots.
fn label_dots<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
    chart: &mut Chart<'a, B, X, Y>,
) -> Drawn<B> {
    for (name, colour, _) in KINDS {
        let nothing: [Circle<(f64, f64), i32>; 0] = [];
        let sample = move |(x, y)| Circle::new((x + 10, y), 4, colour.filled());
        chart.draw_series(nothing)?.label(name).legend(sample);
    }
    Ok(())
}

fn steps() -> Range<f64> {
    0.0..f64::from(STEPS)
}
