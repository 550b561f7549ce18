//! Parts of a chart of curves: axes, lines, bands, levels and a legend.

use std::ops::Range;

use plotters::{
    coord::{
        Shift,
        ranged1d::{Ranged, ValueFormatter},
    },
    element::DashedPathElement,
    prelude::*,
};

use super::{
    chart::{BLUE, Drawn, FONT, GREEN, VERMILION},
    descent::Method,
    spread::Spread,
};

/// A chart with two numeric axes.
pub(crate) type Chart<'a, B, X, Y> = ChartContext<'a, B, Cartesian2d<X, Y>>;

/// An axis of numbers, linear or logarithmic.
pub(crate) trait Axis: Ranged<ValueType = f64> + ValueFormatter<f64> {}
impl<T: Ranged<ValueType = f64> + ValueFormatter<f64>> Axis for T {}

/// The name of an axis and the format of its tick labels.
#[derive(Clone, Copy)]
pub(crate) struct Scale<'a> {
    pub(crate) name: &'a str,
    pub(crate) tick: fn(&f64) -> String,
}

/// Returns the colour of an optimizer, the same in all pictures.
pub(crate) fn colour(method: Method) -> RGBColor {
    match method {
        Method::Adamax => BLUE,
        Method::Adam => VERMILION,
        Method::Momentum => GREEN,
    }
}

/// Returns a chart builder with caption, margins and space for labels.
pub(crate) fn layout<'a, 'b, B: DrawingBackend>(
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

/// Draws names and ticks of the axes and a light grid.
pub(crate) fn draw_axes<B: DrawingBackend, X: Axis, Y: Axis>(
    chart: &mut Chart<'_, B, X, Y>,
    x: Scale,
    y: Scale,
) -> Drawn<B> {
    chart
        .configure_mesh()
        .x_desc(x.name)
        .y_desc(y.name)
        .x_label_formatter(&x.tick)
        .y_label_formatter(&y.tick)
        .label_style((FONT, 15))
        .axis_desc_style((FONT, 16))
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .draw()
}

/// Draws a line through points, named in the legend.
pub(crate) fn draw_line<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
    chart: &mut Chart<'a, B, X, Y>,
    name: &str,
    colour: RGBColor,
    points: impl IntoIterator<Item = (f64, f64)>,
) -> Drawn<B> {
    let line = LineSeries::new(points, colour.stroke_width(2));
    let sample = move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2));
    chart.draw_series(line)?.label(name).legend(sample);
    Ok(())
}

/// Draws the median as a line and the quartiles as a band. Crosses at the top mark medians above
/// the `visible` range.
pub(crate) fn draw_band<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
    chart: &mut Chart<'a, B, X, Y>,
    method: Method,
    visible: &Range<f64>,
    points: &[(f64, Spread)],
) -> Drawn<B> {
    let colour = colour(method);
    let within = |value: f64| value.clamp(visible.start, visible.end);
    let lower = points.iter().map(|&(x, spread)| (x, within(spread.low)));
    let upper = points.iter().rev().map(|&(x, spread)| (x, within(spread.high)));
    let band = Polygon::new(lower.chain(upper).collect::<Vec<_>>(), colour.mix(0.15));
    chart.draw_series([band])?;

    let medians = points.iter().map(|&(x, spread)| (x, within(spread.median)));
    draw_line(chart, method.name(), colour, medians.clone())?;
    let diverged = medians.filter(|&(_, median)| median == visible.end);
    chart.draw_series(diverged.map(|point| Cross::new(point, 4, colour.stroke_width(2))))?;
    Ok(())
}

/// Adds a legend entry for the crosses of [`draw_band`].
pub(crate) fn label_crosses<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
    chart: &mut Chart<'a, B, X, Y>,
    meaning: &str,
) -> Drawn<B> {
    let nothing: [Cross<(f64, f64), i32>; 0] = [];
    chart
        .draw_series(nothing)?
        .label(meaning)
        .legend(|(x, y)| Cross::new((x + 10, y), 4, BLACK.stroke_width(2)));
    Ok(())
}

/// Draws a dashed horizontal line, named in the legend.
pub(crate) fn draw_level<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
    chart: &mut Chart<'a, B, X, Y>,
    across: &Range<f64>,
    level: f64,
    name: &str,
) -> Drawn<B> {
    let ends = [(across.start, level), (across.end, level)];
    chart
        .draw_series(DashedLineSeries::new(ends, 6, 4, BLACK.into()))?
        .label(name)
        .legend(|(x, y)| DashedPathElement::new(vec![(x, y), (x + 20, y)], 6, 4, BLACK));
    Ok(())
}

/// Draws the legend.
pub(crate) fn draw_legend<'a, B: DrawingBackend + 'a, X: Axis, Y: Axis>(
    chart: &mut Chart<'a, B, X, Y>,
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

/// Formats a tick label of a linear axis.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by plotters")]
pub(crate) fn plain(value: &f64) -> String {
    // Ticks are rounded sums, such as 0.1 + 0.05 = 0.15000000000000002.
    const PRECISION: f64 = 1e9;
    // Adding 0 changes −0 to 0.
    ((value * PRECISION).round() / PRECISION + 0.0).to_string()
}
