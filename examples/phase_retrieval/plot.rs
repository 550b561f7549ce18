//! The picture: the true field, one recorded picture, the recovered field, and the errors.

use adamax::ndarray::Array2;
use num_complex::Complex64;
use plotters::{coord::Shift, prelude::*};

use crate::{
    PASSES, Run, TOLERANCE,
    common::{
        chart::{BLUE, Drawn, FONT, Figure, power_of_ten},
        curves::{Scale, draw_axes, draw_legend, draw_level, layout, plain},
    },
    optics::{Camera, EDGE, Field, aligned},
};

pub(crate) struct FieldFigure<'a> {
    pub(crate) truth: &'a Field,
    pub(crate) camera: &'a Camera,
    pub(crate) runs: &'a [Run],
}

impl Figure for FieldFigure<'_> {
    const SIZE: (u32, u32) = (900, 900);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let panels = area.split_evenly((2, 2));
        draw_image(&panels[0], "truth", &self.truth.mapv(hue_and_brightness))?;
        let picture = &self.camera.pictures()[0];
        draw_image(&panels[1], "one of the pictures", &grey(picture))?;
        let recovered = aligned(&self.runs[0].field, self.truth);
        draw_image(&panels[2], "recovered", &recovered.mapv(hue_and_brightness))?;
        self.draw_errors(&panels[3])
    }
}

impl FieldFigure<'_> {
    fn draw_errors<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let passes = 0.0..f64::from(PASSES);
        let caption = format!("{} starts", self.runs.len());
        let mut chart =
            layout(area, &caption).build_cartesian_2d(passes.clone(), (1e-16..1e1).log_scale())?;
        let error = Scale { name: "relative error, phase aligned", tick: power_of_ten };
        draw_axes(&mut chart, Scale { name: "pass over the pictures", tick: plain }, error)?;
        draw_level(&mut chart, &passes, TOLERANCE, &format!("tolerance {TOLERANCE:e}"))?;
        for run in self.runs {
            let points = (1_u32..).map(f64::from).zip(run.errors.iter().copied());
            chart.draw_series(LineSeries::new(points, BLUE))?;
        }
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}

/// Draws pixels with the first row at the top.
fn draw_image<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    caption: &str,
    pixels: &Array2<RGBColor>,
) -> Drawn<B> {
    let edge = EDGE as usize;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 20))
        .margin(24)
        .build_cartesian_2d(0..edge, edge..0)?;
    chart.draw_series(pixels.indexed_iter().map(|((row, column), colour)| {
        Rectangle::new([(column, row), (column + 1, row + 1)], colour.filled())
    }))?;
    Ok(())
}

/// Converts a phase to a hue and an amplitude, which is at most 1, to a brightness.
fn hue_and_brightness(amplitude: Complex64) -> RGBColor {
    let turns = amplitude.arg() / std::f64::consts::TAU;
    rgb(&HSLColor(turns.rem_euclid(1.0), 1.0, 0.6 * amplitude.norm().min(1.0)))
}

/// Converts values to grey levels relative to the largest value.
fn grey(picture: &Array2<f64>) -> Array2<RGBColor> {
    let largest = picture.fold(0.0, |largest: f64, &value| largest.max(value));
    picture.mapv(|value| rgb(&HSLColor(0.0, 0.0, value / largest)))
}

fn rgb(colour: &impl Color) -> RGBColor {
    let (red, green, blue) = colour.rgb();
    RGBColor(red, green, blue)
}
