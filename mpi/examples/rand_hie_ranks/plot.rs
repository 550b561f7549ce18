//! The picture: time and memory against the number of ranks.

use plotters::{coord::Shift, prelude::*};

use crate::{
    common::{
        chart::{BLUE, Drawn, Figure, GREEN, VERMILION},
        curves::{Scale, draw_axes, draw_legend, draw_line, layout, plain},
    },
    record::Run,
};

const RANKS: Scale = Scale { name: "ranks", tick: plain };
const SECONDS: Scale = Scale { name: "seconds per 1000 steps", tick: plain };
const SHARE: Scale = Scale { name: "largest share of a rank", tick: plain };

/// Takes a count from a run.
type Count = fn(&Run) -> f64;

/// Runs on different numbers of ranks, those on few ranks first.
pub(crate) struct RanksFigure<'a> {
    pub(crate) runs: &'a [Run],
    /// The number of cores.
    pub(crate) cores: usize,
}

impl Figure for RanksFigure<'_> {
    const SIZE: (u32, u32) = (1000, 420);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let most = self.runs.iter().fold(1.0, |most: f64, run| most.max(run.ranks));
        let slowest = self.runs.iter().fold(0.0, |most: f64, run| most.max(run.seconds));
        let (left, right) = area.split_horizontally(500);

        let caption = format!("Time of RAND HIE, on {} cores", self.cores);
        let mut chart =
            layout(&left, &caption).build_cartesian_2d(0.0..most + 0.5, 0.0..1.1 * slowest)?;
        draw_axes(&mut chart, RANKS, SECONDS)?;
        let times = self.runs.iter().map(|run| (run.ranks, run.seconds));
        draw_line(&mut chart, "a step of all ranks", BLUE, times.clone())?;
        chart.draw_series(times.map(|point| Circle::new(point, 4, BLUE.filled())))?;

        let mut chart = layout(&right, "Memory of the rank that has most")
            .build_cartesian_2d(0.0..most + 0.5, 0.0..1.6)?;
        draw_axes(&mut chart, RANKS, SHARE)?;
        let Some(first) = self.runs.first().filter(|run| run.ranks == 1.0) else { return Ok(()) };
        let curves: [(&str, RGBColor, Count); 3] = [
            ("moments of 10 coefficients: one block", VERMILION, |run| run.moments),
            ("moments of a million parameters", BLUE, |run| run.moments_of_million),
            ("people", GREEN, |run| run.people),
        ];
        for (number, (name, colour, count)) in (0..).zip(curves) {
            let points = self.runs.iter().map(|run| (run.ranks, count(run) / count(first)));
            draw_line(&mut chart, name, colour, points.clone())?;
            // Points of different sizes, because curves lie on each other.
            let dots = points.map(|point| Circle::new(point, 6 - 2 * number, colour.filled()));
            chart.draw_series(dots)?;
        }
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}
