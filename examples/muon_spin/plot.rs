//! The picture: the counts, the rate and the largest changes on the way, the bootstrap, and the paths
//! from a bad start.

use std::{
    f64::consts::{FRAC_PI_2, TAU},
    ops::Range,
};

use plotters::{coord::Shift, prelude::*};

use crate::{
    Run, Stop,
    common::{
        chart::{BLUE, Drawn, Figure, VERMILION, power_of_ten},
        curves::{
            Axis, Chart, Scale, draw_axes, draw_legend, draw_level, draw_line, layout, plain,
        },
    },
    fit::{LEARNING_RATE, STILL},
    model::{self, ASYMMETRY, BIN, BINS, PHASE, RELAXATION},
    table::{NAMES, Results},
    uncertainty::{share, sorted},
};

/// The longest possible step: (1 − β₁)/(1 − β₁/β₂) learning rates.
const LONGEST: f64 = 1.00909 * LEARNING_RATE;

const STEP: Scale = Scale { name: "step", tick: plain };
const RATE: &str = "relaxation rate λ in 1/µs";

/// Names and colours of the two fits.
const STYLES: [(&str, RGBColor); 2] = [(NAMES[0], BLUE), (NAMES[1], VERMILION)];

/// Bars of the bootstrap: number on each side of 0, and width in 1/µs.
const BARS: i32 = 9;
const BAR: f64 = 0.01;

pub(crate) struct FitFigure<'a> {
    pub(crate) results: &'a Results<'a>,
}

impl Figure for FitFigure<'_> {
    const SIZE: (u32, u32) = (1200, 1300);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let panels = area.split_evenly((3, 2));
        self.draw_counts(&panels[0])?;
        self.draw_rates(&panels[1])?;
        self.draw_changes(&panels[2])?;
        self.draw_bootstrap(&panels[3])?;
        self.draw_asymmetries(&panels[4])?;
        self.draw_phases(&panels[5])
    }
}

impl FitFigure<'_> {
    /// Draws the counts without decay and background, and the oscillation of both fits.
    fn draw_counts<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let times = 0.0..f64::from(BINS) * BIN;
        let mut chart = layout(area, "counts, without decay and background")
            .build_cartesian_2d(times.clone(), -0.7..0.7)?;
        let y = Scale { name: "asymmetry", tick: plain };
        draw_axes(&mut chart, Scale { name: "time in µs", tick: plain }, y)?;
        for point in self.points() {
            let bar =
                [(point.time, point.value - point.error), (point.time, point.value + point.error)];
            chart.draw_series([PathElement::new(bar, BLACK.mix(0.4))])?;
            chart.draw_series([Circle::new((point.time, point.value), 2, BLACK.filled())])?;
        }
        for ((name, colour), run) in STYLES.into_iter().zip(self.results.runs).rev() {
            let curve = (0..=500).map(|i| {
                let t = times.end * f64::from(i) / 500.0;
                (t, model::oscillation(&run.fit.x, t))
            });
            draw_line(&mut chart, name, colour, curve)?;
        }
        draw_legend(&mut chart, SeriesLabelPosition::UpperLeft)
    }

    /// Returns the oscillation in the counts, four bins in each point.
    fn points(&self) -> Vec<Point> {
        const BINS_PER_POINT: usize = 4;
        let x = &self.results.runs[0].fit.x;
        let bins: Vec<_> = model::times().into_iter().zip(&self.results.data.counts).collect();
        let point = |bins: &[(f64, &f64)]| {
            let counts: f64 = bins.iter().map(|(_, count)| **count).sum();
            let decay: f64 = bins.iter().map(|&(t, _)| model::decay(x, t)).sum();
            let background: f64 = bins.iter().map(|_| model::background(x)).sum();
            Point {
                time: f64::midpoint(bins[0].0, bins[bins.len() - 1].0),
                value: (counts - background) / decay - 1.0,
                error: counts.sqrt() / decay,
            }
        };
        bins.chunks(BINS_PER_POINT).map(point).collect()
    }

    fn draw_rates<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let steps = steps(self.results.runs);
        let mut chart = layout(area, "the relaxation rate on its way")
            .build_cartesian_2d(steps.clone(), -0.1..0.2)?;
        draw_axes(&mut chart, STEP, Scale { name: RATE, tick: plain })?;
        draw_level(&mut chart, &steps, 0.0, "bound, and truth")?;
        draw_paths(&mut chart, self.results.runs, |stop| stop.x[RELAXATION])?;
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }

    fn draw_asymmetries<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let steps = steps(self.results.bad_runs);
        let mut chart = layout(area, "from a bad start: the asymmetry")
            .build_cartesian_2d(steps.clone(), -0.4..0.6)?;
        draw_axes(&mut chart, STEP, Scale { name: "asymmetry a", tick: plain })?;
        draw_level(&mut chart, &steps, 0.0, "bound")?;
        draw_paths(&mut chart, self.results.bad_runs, |stop| stop.x[ASYMMETRY])?;
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }

    fn draw_phases<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let steps = steps(self.results.bad_runs);
        let mut chart = layout(area, "from a bad start: the phase")
            .build_cartesian_2d(steps.clone(), -2.5..3.5)?;
        draw_axes(&mut chart, STEP, Scale { name: "phase φ in rad", tick: plain })?;
        draw_level(&mut chart, &steps, 0.0, "lower bound")?;
        draw_level(&mut chart, &steps, FRAC_PI_2, "upper bound")?;
        draw_paths(&mut chart, self.results.bad_runs, |stop| stop.x[PHASE])?;
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }

    fn draw_changes<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let steps = steps(self.results.runs);
        let mut chart = layout(area, "max_step: the largest change of a parameter")
            .build_cartesian_2d(steps.clone(), (1e-9..1e-1).log_scale())?;
        draw_axes(&mut chart, STEP, Scale { name: "largest change", tick: power_of_ten })?;
        draw_level(&mut chart, &steps, LONGEST, "above: saturated, 1.00909·α")?;
        draw_level(&mut chart, &steps, STILL, "below: the fit stops")?;
        draw_paths(&mut chart, self.results.runs, |stop| stop.max_step)?;
        draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)
    }

    fn draw_bootstrap<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let end = f64::from(BARS) * BAR;
        let caption = format!("the bootstrap: {} refits", self.results.bootstrap.free.len());
        let mut chart = layout(area, &caption).build_cartesian_2d(-end..end, 0.0..0.7)?;
        let y = Scale { name: "share of the refits", tick: plain };
        draw_axes(&mut chart, Scale { name: RATE, tick: plain }, y)?;

        let free = sorted(&self.results.bootstrap.free, RELAXATION);
        let limited = sorted(&self.results.bootstrap.limited, RELAXATION);
        let zeros = share(&limited, |rate| rate == 0.0);
        let at_zero = Rectangle::new([(-0.1 * BAR, 0.0), (0.1 * BAR, zeros)], BLUE.filled());
        let name = format!("within limits: {:.0} % exactly 0", 100.0 * zeros);
        chart.draw_series([at_zero])?.label(name).legend(|(x, y)| {
            Rectangle::new([(x + 2, y - 6), (x + 18, y + 6)], BLUE.mix(0.5).filled())
        });
        chart.draw_series(bars(&limited).map(|bar| Rectangle::new(bar, BLUE.mix(0.5).filled())))?;
        let outlines = bars(&free).map(|bar| Rectangle::new(bar, VERMILION.stroke_width(2)));
        chart.draw_series(outlines)?.label("without limits").legend(|(x, y)| {
            Rectangle::new([(x + 2, y - 6), (x + 18, y + 6)], VERMILION.stroke_width(2))
        });
        if let Some(error) = self.results.normals[1].error(RELAXATION) {
            let density = |z: f64| (-0.5 * z * z).exp() / (TAU.sqrt() * error);
            let curve = (-100..=100).map(|i| end * f64::from(i) / 100.0);
            let curve = curve.map(|rate| (rate, BAR * density(rate / error)));
            draw_line(&mut chart, "normal, from the Hessian", BLACK, curve)?;
        }
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}

/// Draws a number on the paths of two fits.
fn draw_paths<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
    chart: &mut Chart<'a, B, X, Y>,
    runs: &[Run; 2],
    number: impl Fn(&Stop) -> f64,
) -> Drawn<B> {
    for ((name, colour), run) in STYLES.into_iter().zip(runs).rev() {
        let path = (1_u32..).map(f64::from).zip(run.path.iter().map(&number));
        draw_line(chart, name, colour, path)?;
    }
    Ok(())
}

/// Returns the range of steps of two fits.
fn steps(runs: &[Run; 2]) -> Range<f64> {
    let most = runs.iter().map(|run| run.fit.steps).max().unwrap_or(0);
    0.0..f64::from(u32::try_from(most).unwrap_or(u32::MAX))
}

/// Returns the corners of the bars of a histogram. Exact zeros do not count.
fn bars(rates: &[f64]) -> impl Iterator<Item = [(f64, f64); 2]> {
    let ends = (-BARS..BARS).map(|i| (f64::from(i) * BAR, f64::from(i + 1) * BAR));
    ends.filter_map(|(low, high)| {
        let height = share(rates, |rate| low < rate && rate <= high && rate != 0.0);
        (height > 0.0).then_some([(low, 0.0), (high, height)])
    })
}

/// A measured oscillation.
struct Point {
    time: f64,
    value: f64,
    error: f64,
}
