//! Plots every learning-rate schedule in a grid of small charts.
//!
//! ```text
//! cargo run --release --example schedules
//! ```
//! Prints a table of scales (the factors of the learning rate) and plots them
//! over 200 steps. The last two charts show [`ReduceOnPlateau`] with artificial
//! losses: by itself, and times a schedule. The exit code is not zero if the
//! first or last scale of a schedule is not the expected one. Every run is short:
//! `--quick` changes nothing.
//!
//! The picture is saved as PNG and SVG: `schedules`.

#[path = "common/mod.rs"]
mod common;

use std::{error::Error, process::ExitCode, time::Instant};

use adamax::schedule::{Amplitude, ReduceOnPlateau, Schedule};
use plotters::{coord::Shift, prelude::*};

use crate::common::{
    chart::{self, BLUE, Drawn, FONT, Figure, VERMILION},
    command::{self, Arguments},
    headline,
};

/// The last step shown.
const LAST: u32 = 200;
/// The steps of the table.
const SHOWN: [u32; 6] = [0, 10, 50, 100, 150, LAST];
/// Largest deviation of the first and the last scale from the expected ones, which have three
/// digits.
const TOLERANCE: f64 = 0.001;

fn main() -> ExitCode {
    command::run_or_help(include_str!("schedules.rs"), |Arguments { folder, .. }| {
        let clock = Instant::now();
        let panels = panels()?;
        headline::print(&format!("{} schedules of {LAST} steps", panels.len()), clock.elapsed());
        print(&panels);
        chart::save(&Grid { panels: &panels }, folder, "schedules")?;
        panels.iter().try_for_each(Panel::check)
    })
}

/// The chart of one schedule, from step 0 to the last step.
struct Panel {
    title: &'static str,
    scales: Vec<f64>,
    /// The losses that determined the scales; empty if the scales depend on the step only.
    losses: Vec<f64>,
    /// The expected first and last scale.
    ends: [f64; 2],
}

impl Panel {
    fn new(title: &'static str, schedule: &Schedule, ends: [f64; 2]) -> Self {
        let scales = (0..=LAST).map(|t| schedule.scale(t.into())).collect();
        Panel { title, scales, losses: Vec::new(), ends }
    }

    /// The scales of [`ReduceOnPlateau`], times those of a schedule.
    fn plateau(
        title: &'static str,
        schedule: &Schedule,
        ends: [f64; 2],
    ) -> Result<Self, Box<dyn Error>> {
        let mut plateau = ReduceOnPlateau::builder().factor(0.5).patience(25).build()?;
        let losses: Vec<_> = (0..=LAST).map(made_up_loss).collect();
        let scales = (0..).zip(&losses).map(|(t, &loss)| plateau.observe(loss) * schedule.scale(t));
        Ok(Panel { title, scales: scales.collect(), losses, ends })
    }

    fn check(&self) -> Result<(), Box<dyn Error>> {
        let found = [self.scales[0], self.scales[self.scales.len() - 1]];
        let differ = |(found, expected): (&f64, &f64)| (found - expected).abs() > TOLERANCE;
        if found.iter().zip(&self.ends).any(differ) {
            let Panel { title, ends, .. } = self;
            return Err(format!("{title}: ends are {found:?}, but should be {ends:?}").into());
        }
        Ok(())
    }
}

/// An artificial loss that falls and then stays constant, twice.
fn made_up_loss(t: u32) -> f64 {
    let progress = match t {
        ..=40 => t,
        41..=100 => 40,
        101..=140 => t - 60,
        _ => 80,
    };
    1.0 / (1.0 + 0.05 * f64::from(progress))
}

fn panels() -> Result<Vec<Panel>, Box<dyn Error>> {
    let cycle = |amplitude| Schedule::cyclic(20, 30, 0.1, amplitude);
    let parts = [
        (20, Schedule::linear(20, 0.1, 1.0)?),
        (80, Schedule::constant(1.0)?),
        (60, Schedule::exponential(30, 0.5)?),
    ];
    Ok(vec![
        Panel::new("constant", &Schedule::constant(0.7)?, [0.7, 0.7]),
        Panel::new("step", &Schedule::step(45, 0.6)?, [1.0, 0.130]),
        Panel::new("multi-step", &Schedule::multi_step([90, 150, 180], 0.4)?, [1.0, 0.064]),
        Panel::new("exponential", &Schedule::exponential(50, 0.5)?, [1.0, 0.063]),
        Panel::new("inverse time", &Schedule::inverse_time(25, 1.0)?, [1.0, 0.111]),
        Panel::new("Noam", &Schedule::noam(25)?, [0.04, 0.353]),
        Panel::new("linear", &Schedule::linear(150, 1.0, 0.1)?, [1.0, 0.1]),
        Panel::new("polynomial (power 3)", &Schedule::polynomial(150, 3.0, 0.1)?, [1.0, 0.1]),
        Panel::new("cosine", &Schedule::cosine(150, 0.1)?, [1.0, 0.1]),
        Panel::new("one-cycle", &Schedule::one_cycle(180, 0.3, 0.04, 4e-6)?, [0.04, 0.0]),
        Panel::new(
            "piecewise constant",
            &Schedule::piecewise_constant([(0, 0.2), (20, 1.0), (90, 0.3), (160, 0.1)])?,
            [0.2, 0.1],
        ),
        Panel::new(
            "piecewise linear",
            &Schedule::piecewise_linear([(0, 0.2), (20, 1.0), (90, 0.3), (160, 0.1)])?,
            [0.2, 0.1],
        ),
        Panel::new(
            "cosine with warm restarts",
            &Schedule::cosine_warm_restarts(29, 2, 0.1)?,
            [1.0, 0.101],
        ),
        Panel::new(
            "cosine with restarts, decaying",
            &Schedule::cosine_decay_restarts(29, 2, 0.6, 0.1)?,
            [1.0, 0.1],
        ),
        Panel::new("cyclic", &cycle(Amplitude::Constant)?, [0.1, 0.1]),
        Panel::new("cyclic, halving", &cycle(Amplitude::Halving)?, [0.1, 0.1]),
        Panel::new("cyclic, decaying", &cycle(Amplitude::Decaying(0.99))?, [0.1, 0.1]),
        Panel::new(
            "warm-up, then cosine",
            &Schedule::cosine(150, 0.0)?.warm_up(30, 0.1)?,
            [0.1, 0.0],
        ),
        Panel::new("warm-up, then step", &Schedule::step(40, 0.5)?.warm_up(30, 0.1)?, [0.1, 0.063]),
        Panel::new(
            "sequence of four",
            &Schedule::sequence(parts, Schedule::constant(0.1)?)?,
            [0.1, 0.1],
        ),
        Panel::new("cosine, scaled by 0.6", &Schedule::cosine(150, 0.1)?.scaled(0.6)?, [0.6, 0.06]),
        Panel::new(
            "cyclic times exponential",
            &cycle(Amplitude::Constant)?.times(Schedule::exponential(80, 0.5)?)?,
            [0.1, 0.018],
        ),
        Panel::plateau("reduce on plateau", &Schedule::constant(1.0)?, [1.0, 0.063])?,
        Panel::plateau("plateau times warm-up", &Schedule::linear(30, 0.1, 1.0)?, [0.1, 0.063])?,
    ])
}

fn print(panels: &[Panel]) {
    let row = |name, cells: [String; SHOWN.len()]| println!("{name:<32}{}", cells.concat());
    row("scale at step", SHOWN.map(|t| format!("{t:>8}")));
    for Panel { title, scales, .. } in panels {
        row(title, SHOWN.map(|t| format!("{:8.3}", scales[t as usize])));
    }
}

struct Grid<'a> {
    panels: &'a [Panel],
}

const COLUMNS: usize = 4;
const ROWS: usize = 6;

impl Figure for Grid<'_> {
    const SIZE: (u32, u32) = (1200, 1380);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let cells = area.split_evenly((ROWS, COLUMNS));
        cells.iter().zip(self.panels).try_for_each(|(cell, panel)| panel.draw(cell))
    }
}

impl Panel {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FONT, 17))
            .margin(8)
            .margin_right(16)
            .x_label_area_size(34)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..f64::from(LAST), 0.0..1.05)?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc(if self.losses.is_empty() { "scale" } else { "scale, loss" })
            .x_labels(3)
            .y_labels(3)
            .x_label_formatter(&|step| format!("{step:.0}"))
            .y_label_formatter(&|scale| format!("{scale:.1}"))
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 13))
            .bold_line_style(BLACK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .draw()?;
        let points = |values: &[f64]| -> Vec<_> {
            (0..).map(f64::from).zip(values.iter().copied()).collect()
        };
        let losses = LineSeries::new(points(&self.losses), VERMILION.stroke_width(1));
        let drawn = chart.draw_series(losses)?;
        if !self.losses.is_empty() {
            drawn.label("loss").legend(sample(VERMILION));
        }
        let scales = LineSeries::new(points(&self.scales), BLUE.stroke_width(2));
        let drawn = chart.draw_series(scales)?;
        if !self.losses.is_empty() {
            drawn.label("scale").legend(sample(BLUE));
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.9))
                .label_font((FONT, 13))
                .draw()?;
        }
        Ok(())
    }
}

/// Returns a function that draws a line in the legend.
fn sample(colour: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_schedule_has_a_panel() {
        let library = include_str!("../src/schedule/mod.rs");
        let functions = library.lines().filter_map(|line| line.trim().strip_prefix("pub fn "));
        let names: Vec<_> = functions.filter_map(|line| line.split('(').next()).collect();
        assert!(names.contains(&"constant") && names.contains(&"times"), "{names:?}");
        let panels = include_str!("schedules.rs").split("#[cfg(test)]").next().unwrap_or_default();
        for name in names {
            let is_called = ["::", "."].iter().any(|dot| panels.contains(&format!("{dot}{name}(")));
            assert!(is_called, "no panel shows {name}");
        }
    }
}
