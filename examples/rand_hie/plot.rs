//! The pictures: the fit on its way down, the sweep, and loss curves of the comparison.

use std::ops::Range;

use plotters::{
    chart::SeriesAnno,
    coord::{
        Shift,
        combinators::LogCoord,
        ranged1d::{Ranged, ValueFormatter},
    },
    element::DashedPathElement,
    prelude::*,
};

use crate::{
    common::chart::{BLUE, Drawn, FONT, Figure, GREEN, VERMILION, power_of_ten},
    contest::{self, DIVERGED, Spread},
    descent::Method,
    fit,
    sweep::{LossCurve, MULTIPLES, Sweep, USABLE},
};

/// A chart with any horizontal axis and a logarithmic vertical one.
type Chart<'a, B, X> = ChartContext<'a, B, Cartesian2d<X, LogCoord<f64>>>;

const EXCESS: &str = "log-likelihood lost per person-year";

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
        draw_axes(&mut chart, "epoch", &plain)?;
        let tolerance = fit::EXCESS_TOLERANCE;
        draw_level(&mut chart, epochs, tolerance, format!("tolerance {tolerance:e}"))?;
        let points = (1..=fit::EPOCHS).map(f64::from).zip(self.excesses.iter().copied());
        let line = LineSeries::new(points, BLUE.stroke_width(2));
        label(chart.draw_series(line)?, "Adamax", BLUE);
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
        draw_axes(&mut chart, "learning rate", &power_of_ten)?;
        draw_level(&mut chart, rates, USABLE, format!("usable: below {USABLE}"))?;
        // The first is drawn last, so that the crosses of the others do not hide its own.
        for Sweep { method, points } in self.sweeps.iter().rev() {
            draw_band(&mut chart, *method, points)?;
        }
        label_crosses(&mut chart)?;
        draw_legend(&mut chart, SeriesLabelPosition::LowerRight)
    }
}

/// Side by side: loss curves at the best learning rate, and at multiples of it.
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
        draw_axes(&mut chart, "epoch", &plain)?;
        for curve in self.curves.iter().rev().filter(|curve| curve.multiple == multiple) {
            draw_band(&mut chart, curve.method, until_diverged(&curve.points))?;
        }
        // One legend is enough, and only the last panel has room for it.
        if multiple == MULTIPLES[MULTIPLES.len() - 1] {
            label_crosses(&mut chart)?;
            draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)?;
        }
        Ok(())
    }
}

/// Caption, margins and room for labels.
fn layout<'a, 'b, B: DrawingBackend>(
    area: &'a DrawingArea<B, Shift>,
    caption: &str,
) -> ChartBuilder<'a, 'b, B> {
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(caption, (FONT, 20))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(48)
        .y_label_area_size(64);
    builder
}

/// Names and ticks of the axes, over a grid that keeps in the background.
fn draw_axes<B: DrawingBackend, X: Ranged<ValueType = f64> + ValueFormatter<f64>>(
    chart: &mut Chart<'_, B, X>,
    x_name: &str,
    x_tick: &dyn Fn(&f64) -> String,
) -> Drawn<B> {
    chart
        .configure_mesh()
        .x_desc(x_name)
        .y_desc(EXCESS)
        .x_label_formatter(x_tick)
        .y_label_formatter(&power_of_ten)
        .label_style((FONT, 15))
        .axis_desc_style((FONT, 16))
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .draw()
}

/// The median as a line in a band from quartile to quartile, crosses at the top where it diverged.
fn draw_band<'a, B: DrawingBackend + 'a, X: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, B, X>,
    method: Method,
    points: &[(f64, Spread)],
) -> Drawn<B> {
    let colour = colour(method);
    let top = EXCESSES.end;
    let within = |excess: f64| excess.clamp(EXCESSES.start, top);
    let lower = points.iter().map(|&(x, excess)| (x, within(excess.low)));
    let upper = points.iter().rev().map(|&(x, excess)| (x, within(excess.high)));
    let band = Polygon::new(lower.chain(upper).collect::<Vec<_>>(), colour.mix(0.15));
    chart.draw_series([band])?;

    let medians = points.iter().map(|&(x, excess)| (x, within(excess.median)));
    let line = LineSeries::new(medians.clone(), colour.stroke_width(2));
    label(chart.draw_series(line)?, method.name(), colour);
    let diverged = medians.filter(|&(_, excess)| excess == top);
    chart.draw_series(diverged.map(|point| Cross::new(point, 4, colour.stroke_width(2))))?;
    Ok(())
}

/// A dashed horizontal line, named in the legend.
fn draw_level<'a, B: DrawingBackend + 'a, X: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, B, X>,
    across: Range<f64>,
    level: f64,
    name: String,
) -> Drawn<B> {
    let ends = [(across.start, level), (across.end, level)];
    chart
        .draw_series(DashedLineSeries::new(ends, 6, 4, BLACK.into()))?
        .label(name)
        .legend(|(x, y)| DashedPathElement::new(vec![(x, y), (x + 20, y)], 6, 4, BLACK));
    Ok(())
}

/// A line in the legend for `series`.
fn label<'a, B: DrawingBackend + 'a>(
    series: &mut SeriesAnno<'a, B>,
    name: impl Into<String>,
    colour: RGBColor,
) {
    let sample = move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2));
    series.label(name).legend(sample);
}

/// A line in the legend that says what the crosses of [`draw_band`] are.
fn label_crosses<'a, B: DrawingBackend + 'a, X: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, B, X>,
) -> Drawn<B> {
    let nothing: [Cross<(f64, f64), i32>; 0] = [];
    chart
        .draw_series(nothing)?
        .label(format!("diverged (above {})", EXCESSES.end))
        .legend(|(x, y)| Cross::new((x + 10, y), 4, BLACK.stroke_width(2)));
    Ok(())
}

fn draw_legend<'a, B: DrawingBackend + 'a, X: Ranged<ValueType = f64>>(
    chart: &mut Chart<'a, B, X>,
    position: SeriesLabelPosition,
) -> Drawn<B> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 16))
        .draw()
}

/// The points up to the first whose median has diverged: a loss curve need not go on from there.
fn until_diverged(points: &[(f64, Spread)]) -> &[(f64, Spread)] {
    let diverged = points.iter().position(|(_, excess)| excess.median >= EXCESSES.end);
    diverged.map_or(points, |first| &points[..=first])
}

/// A tick label of a linear axis.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what plotters asks of a formatter")]
fn plain(value: &f64) -> String {
    value.to_string()
}

fn colour(method: Method) -> RGBColor {
    match method {
        Method::Adamax => BLUE,
        Method::Adam => VERMILION,
        Method::Momentum => GREEN,
    }
}
