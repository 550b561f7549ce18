//! The pictures: loss in training, confusion matrix, and kernels.

use adamax::ndarray::{Array2, Array4, s};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    common::{
        chart::{BLUE, Drawn, FONT, Figure, VERMILION},
        curves::{Axis, Chart, Scale, draw_axes, draw_legend, draw_line, layout, plain},
    },
    network::{CLASSES, KERNEL},
    score::ScorePair,
};

/// Scores on the test set after each epoch.
pub(crate) struct TrainingFigure<'a> {
    pub(crate) scores: &'a [ScorePair],
}

impl Figure for TrainingFigure<'_> {
    const SIZE: (u32, u32) = (800, 450);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let epochs = 0.0..self.scores.len() as f64;
        let mut chart =
            layout(area, "Loss on the test set").build_cartesian_2d(epochs, 0.0..0.5)?;
        let scale = |name| Scale { name, tick: plain };
        draw_axes(&mut chart, scale("epoch"), scale("−ln(probability of the digit), mean"))?;
        let weights = self.scores.iter().map(|scores| scores.weights.loss);
        let averages = self.scores.iter().map(|scores| scores.averages.loss);
        let epochs = || (1..).map(f64::from);
        draw_line(&mut chart, "weights", VERMILION, epochs().zip(weights))?;
        draw_line(&mut chart, "averages", BLUE, epochs().zip(averages))?;
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}

/// The confusion matrix.
pub(crate) struct ConfusionFigure<'a> {
    pub(crate) counts: &'a Array2<u32>,
}

impl Figure for ConfusionFigure<'_> {
    const SIZE: (u32, u32) = (640, 620);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let classes = CLASSES as f64;
        // The first row is at the top, so the vertical axis goes from −9 to 0.
        let mut chart = layout(area, "Confusion matrix on the test set")
            .build_cartesian_2d(-0.5..classes - 0.5, 0.5 - classes..0.5)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_labels(CLASSES)
            .y_labels(CLASSES)
            .x_desc("predicted digit")
            .y_desc("true digit")
            .label_style((FONT, 16))
            .axis_desc_style((FONT, 16))
            .x_label_formatter(&|digit| format!("{digit:.0}"))
            .y_label_formatter(&|digit| format!("{:.0}", digit.abs()))
            .draw()?;
        for ((digit, taken_for), &count) in self.counts.indexed_iter() {
            if count > 0 {
                let share = f64::from(count) / f64::from(self.counts.row(digit).sum());
                let colour = if digit == taken_for { BLUE } else { VERMILION };
                let centre = (taken_for as f64, -(digit as f64));
                // The square root makes single errors visible.
                draw_cell(&mut chart, centre, colour, share.sqrt(), count.to_string())?;
            }
        }
        Ok(())
    }
}

/// The kernels of the convolution.
pub(crate) struct KernelFigure<'a> {
    pub(crate) kernels: &'a Array4<f64>,
}

impl Figure for KernelFigure<'_> {
    const SIZE: (u32, u32) = (800, 440);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        const PER_ROW: usize = 4;
        const PITCH: usize = KERNEL + 1;
        let rows = self.kernels.dim().0.div_ceil(PER_ROW);
        let extent = |kernels: usize| (kernels * PITCH) as f64 - 1.5;
        let mut chart = ChartBuilder::on(area)
            .caption("The learnt kernels, 3×3 weights each", (FONT, 20))
            .margin(12)
            .build_cartesian_2d(-0.5..extent(PER_ROW), -extent(rows)..0.5)?;
        let largest = self.kernels.fold(0.0, |largest, weight| weight.abs().max(largest));
        for (number, kernel) in self.kernels.outer_iter().enumerate() {
            for ((row, column), &weight) in kernel.slice(s![0, .., ..]).indexed_iter() {
                let x = number % PER_ROW * PITCH + column;
                let y = number / PER_ROW * PITCH + row;
                let colour = if weight < 0.0 { BLUE } else { VERMILION };
                let strength = weight.abs() / largest;
                let text = format!("{weight:.2}");
                draw_cell(&mut chart, (x as f64, -(y as f64)), colour, strength, text)?;
            }
        }
        Ok(())
    }
}

/// Draws a unit square around `centre` with a text in it. A larger `strength` is a darker colour.
fn draw_cell<B: DrawingBackend, X: Axis, Y: Axis>(
    chart: &mut Chart<'_, B, X, Y>,
    centre: (f64, f64),
    colour: RGBColor,
    strength: f64,
    text: String,
) -> Drawn<B> {
    let (x, y) = centre;
    let corners = [(x - 0.5, y - 0.5), (x + 0.5, y + 0.5)];
    chart.draw_series([Rectangle::new(corners, colour.mix(0.8 * strength).filled())])?;
    let style = (FONT, 15).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Center));
    chart.draw_series([Text::new(text, centre, style)])?;
    Ok(())
}
