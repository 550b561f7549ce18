//! The picture: the true field, one recorded picture, the recovered field, and the errors.

use adamax::ndarray::Array2;
use num_complex::Complex64;
use plotters::{
    coord::Shift,
    drawing::DrawingAreaErrorKind,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

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
    const SIZE: (u32, u32) = (1200, 880);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (upper, lower) = area.split_vertically(430);
        let images = upper.split_evenly((1, 3));
        draw_image(&images[0], "truth", &self.truth.mapv(hue_and_brightness))?;
        let picture = &self.camera.pictures()[0];
        draw_image(&images[1], "one of the pictures", &grey(picture))?;
        let recovered = aligned(&self.runs[0].field, self.truth);
        draw_image(&images[2], "recovered", &recovered.mapv(hue_and_brightness))?;

        let (left, right) = lower.split_horizontally(400);
        draw_wheel(&left)?;
        self.draw_errors(&right)
    }
}

impl FieldFigure<'_> {
    fn draw_errors<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let passes = 0.0..f64::from(PASSES);
        let caption = format!("errors of {} starts", self.runs.len());
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

/// Draws square pixels with the first row at the top.
fn draw_image<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    caption: &str,
    pixels: &Array2<RGBColor>,
) -> Drawn<B> {
    const PIXEL: i32 = 11;
    let middle = draw_caption(area, caption)?;
    let width = PIXEL * signed(EDGE);
    let (left, top) = (middle.0 - width / 2, CAPTION);
    for (y, row) in (0..).zip(pixels.rows()) {
        for (x, colour) in (0..).zip(row) {
            draw_pixel(area, (left + PIXEL * x, top + PIXEL * y), PIXEL, *colour)?;
        }
    }
    Ok(())
}

/// Draws the colours of all numbers up to an amplitude of 1: the legend of the two fields.
fn draw_wheel<B: DrawingBackend>(area: &DrawingArea<B, Shift>) -> Drawn<B> {
    const PIXEL: i32 = 4;
    const RADIUS: i32 = 33;
    let middle = draw_caption(area, "colours of complex numbers")?;
    for y in -RADIUS..=RADIUS {
        for x in -RADIUS..=RADIUS {
            // The vertical axis of the complex plane goes up.
            let number = Complex64::new(x.into(), (-y).into()) / f64::from(RADIUS);
            if number.norm() < 1.0 {
                let corner = (middle.0 + PIXEL * x, middle.1 + PIXEL * y);
                draw_pixel(area, corner, PIXEL, hue_and_brightness(number))?;
            }
        }
    }
    let edge = PIXEL * (RADIUS + 1) + 4;
    for (text, at, pos) in [
        ("phase 0", (edge + PIXEL, 2), Pos::new(HPos::Left, VPos::Center)),
        ("π/2", (2, -edge), Pos::new(HPos::Center, VPos::Bottom)),
        ("π", (-edge, 2), Pos::new(HPos::Right, VPos::Center)),
        ("−π/2", (2, edge + PIXEL), Pos::new(HPos::Center, VPos::Top)),
        ("centre: amplitude 0, edge: 1", (2, edge + 30), Pos::new(HPos::Center, VPos::Top)),
    ] {
        let style = (FONT, 16).into_font().color(&BLACK).pos(pos);
        area.draw_text(text, &style, (middle.0 + at.0, middle.1 + at.1))?;
    }
    Ok(())
}

/// The height of a caption.
const CAPTION: i32 = 48;

/// Draws a caption. Returns the middle of the area below it.
fn draw_caption<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    caption: &str,
) -> Result<(i32, i32), DrawingAreaErrorKind<B::ErrorType>> {
    let (width, height) = area.dim_in_pixel();
    let (width, height) = (signed(width), signed(height));
    let style = (FONT, 20).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Center));
    area.draw_text(caption, &style, (width / 2, CAPTION / 2))?;
    Ok((width / 2, CAPTION + (height - CAPTION) / 2))
}

fn signed(length: u32) -> i32 {
    0_i32.saturating_add_unsigned(length)
}

/// Draws a square of one colour.
fn draw_pixel<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    (x, y): (i32, i32),
    edge: i32,
    colour: RGBColor,
) -> Drawn<B> {
    area.draw(&Rectangle::new([(x, y), (x + edge, y + edge)], colour.filled()))
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
