//! The picture: paths over contours, and costs against evaluations.

use std::ops::Range;

use plotters::{coord::Shift, prelude::*};

use crate::{
    MINIMUM, Path, START, TARGET,
    common::{
        chart::{BLUE, Drawn, FONT, Figure, GREEN, VERMILION, power_of_ten},
        curves::{Scale, draw_axes, draw_legend, draw_level, draw_line, layout, plain},
    },
    problem::STEEPNESS,
};

// Two more of the colours that colour-blind people can distinguish.
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const PURPLE: RGBColor = RGBColor(204, 121, 167);
/// Colours in the order of the paths.
const COLOURS: [RGBColor; 5] = [BLUE, GREEN, PURPLE, ORANGE, VERMILION];
const X: Range<f64> = -1.7..1.7;
const Y: Range<f64> = -0.8..2.2;
const LEVELS: [f64; 6] = [0.1, 1.0, 4.0, 24.2, 100.0, 400.0];

pub(crate) struct PathFigure<'a> {
    pub(crate) paths: &'a [Path; 5],
}

impl Figure for PathFigure<'_> {
    const SIZE: (u32, u32) = (1200, 540);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (left, right) = area.split_horizontally(600);
        self.draw_paths(&left)?;
        self.draw_costs(&right)
    }
}

impl PathFigure<'_> {
    fn draw_paths<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let mut chart = layout(area, "paths over contours of the cost").build_cartesian_2d(X, Y)?;
        draw_axes(&mut chart, Scale { name: "x", tick: plain }, Scale { name: "y", tick: plain })?;
        for piece in LEVELS.iter().flat_map(|&level| contour(level)) {
            chart.draw_series(LineSeries::new(piece, BLACK.mix(0.3)))?;
        }
        for (path, colour) in self.paths.iter().zip(COLOURS).rev() {
            let points = path.stops.iter().map(|stop| (stop.at[0], stop.at[1]));
            draw_line(&mut chart, path.name, colour, points)?;
        }
        let place = |[x, y]: [f64; 2]| EmptyElement::at((x, y));
        let label = |text, below: (i32, i32)| Text::new(text, below, (FONT, 16));
        let ring =
            [Circle::new((0, 0), 6, WHITE.filled()), Circle::new((0, 0), 6, BLACK.stroke_width(2))];
        let [inside, ring] = ring;
        chart.draw_series([place(START) + inside + ring + label("start", (-18, 12))])?;
        let cross = Cross::new((0, 0), 6, BLACK.stroke_width(3));
        chart.draw_series([place(MINIMUM) + cross + label("minimum", (10, 8))])?;
        draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)
    }

    fn draw_costs<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let evaluations = 1.0..1e5;
        let mut chart = layout(area, "costs on the way")
            .build_cartesian_2d(evaluations.clone().log_scale(), (1e-12..1e2).log_scale())?;
        let x = Scale { name: "evaluations of cost and gradient", tick: power_of_ten };
        draw_axes(&mut chart, x, Scale { name: "cost", tick: power_of_ten })?;
        draw_level(&mut chart, &evaluations, TARGET, &format!("target {TARGET:e}"))?;
        for (path, colour) in self.paths.iter().zip(COLOURS).rev() {
            // Not all solvers count the evaluations at the start, so the start is skipped.
            let points = path.stops.iter().skip(1).map(|stop| {
                let evaluations = u32::try_from(stop.evaluations).unwrap_or(u32::MAX);
                (f64::from(evaluations), stop.cost.max(1e-12))
            });
            draw_line(&mut chart, path.name, colour, points)?;
        }
        draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)
    }
}

/// Returns the contour line y = x² ± √(c − (1 − x)²) / 10 of a cost c, in pieces that are within
/// the picture.
fn contour(cost: f64) -> Vec<Vec<(f64, f64)>> {
    const POINTS: u32 = 300;
    let (left, right) = ((1.0 - cost.sqrt()).max(X.start), (1.0 + cost.sqrt()).min(X.end));
    let branch = |sign: f64| -> Vec<(f64, f64)> {
        let steps = (0..=POINTS).map(|i| f64::from(i) / f64::from(POINTS));
        let xs = steps.map(|step| left + step * (right - left));
        let height = |x: f64| ((cost - (1.0 - x).powi(2)).max(0.0) / STEEPNESS).sqrt();
        xs.map(|x| (x, x * x + sign * height(x))).collect()
    };
    let branches = [branch(1.0), branch(-1.0)];
    let visible = branches.iter().flat_map(|points| points.split(|(_, y)| !Y.contains(y)));
    visible.map(<[_]>::to_vec).collect()
}
