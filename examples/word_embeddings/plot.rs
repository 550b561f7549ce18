//! The picture: a map of words, and the loss curves.

use plotters::{coord::Shift, prelude::*};

use crate::{
    common::{
        chart::{BLUE, Drawn, FONT, Figure, GREEN, VERMILION},
        curves::{Scale, draw_axes, draw_legend, draw_line, layout, plain},
        labels,
        table::Update,
    },
    meaning::{Directions, GROUPS, Member},
    train::Training,
};

/// Colours of the groups (Okabe & Ito 2008, as in the other charts).
const COLOURS: [RGBColor; GROUPS.len()] =
    [BLUE, VERMILION, GREEN, RGBColor(204, 121, 167), RGBColor(0, 0, 0)];

pub(crate) struct WordFigure<'a> {
    pub(crate) directions: &'a Directions<'a>,
    pub(crate) trainings: &'a [Training],
}

impl Figure for WordFigure<'_> {
    const SIZE: (u32, u32) = (1300, 650);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (left, right) = area.split_horizontally(750);
        self.draw_map(&left)?;
        self.draw_losses(&right)
    }
}

impl WordFigure<'_> {
    fn draw_map<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let members = self.directions.members();
        let places = self.directions.map(&members);
        let reach = places.iter().fold(0.0, |reach: f64, (x, y)| reach.max(x.abs()).max(y.abs()));
        let side = -1.3 * reach..1.3 * reach;
        let mut chart = layout(area, "words in the plane of two principal components")
            .build_cartesian_2d(side.clone(), side)?;
        let axis = |name| Scale { name, tick: tenths };
        draw_axes(&mut chart, axis("first component"), axis("second component"))?;
        let map = chart.plotting_area();
        for (member, place) in members.iter().zip(&places) {
            map.draw(&Circle::new(*place, 3, COLOURS[member.group].filled()))?;
        }
        // Labels are placed in pixels of the map.
        let pixels = map.strip_coord_spec();
        let (left, top) = pixels.get_base_pixel();
        let points = places.iter().map(|place| map.map_coordinate(place));
        let points: Vec<_> = points.map(|(x, y)| (x - left, y - top)).collect();
        let style = |member: &Member| (FONT, 15).into_font().color(&COLOURS[member.group]);
        let sizes =
            members.iter().map(|member| pixels.estimate_text_size(member.word, &style(member)));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        let corners = labels::places(&points, &sizes, pixels.dim_in_pixel());
        for (member, corner) in members.iter().zip(corners) {
            pixels.draw(&Text::new(member.word, corner, style(member)))?;
        }
        for (group, colour) in GROUPS.iter().zip(COLOURS) {
            let nothing: [Circle<(f64, f64), i32>; 0] = [];
            chart
                .draw_series(nothing)?
                .label(group.name)
                .legend(move |(x, y)| Circle::new((x + 10, y), 4, colour.filled()));
        }
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }

    fn draw_losses<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        // The first loss is that of untrained vectors, which is far above the others.
        let points = |training: &Training| {
            let losses = training.losses.iter().copied();
            (0_u32..).map(f64::from).zip(losses).skip(1).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.trainings.iter().flat_map(points).collect();
        let epochs = all.iter().fold(1.0, |last: f64, (epoch, _)| last.max(*epoch));
        let lowest = all.iter().fold(f64::INFINITY, |lowest, (_, loss)| lowest.min(*loss));
        let highest = all.iter().fold(lowest, |highest, (_, loss)| highest.max(*loss));
        let mut chart = layout(area, "held-out loss, by the rows updated")
            .build_cartesian_2d(0.0..epochs, lowest - 0.01..highest + 0.01)?;
        draw_axes(
            &mut chart,
            Scale { name: "epoch", tick: plain },
            Scale { name: "loss per pair", tick: hundredths },
        )?;
        for training in self.trainings {
            let colour = match training.update {
                Update::NamedRows => BLUE,
                Update::AllRows => VERMILION,
            };
            draw_line(&mut chart, training.update.name(), colour, points(training))?;
        }
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by plotters")]
fn tenths(value: &f64) -> String {
    // Adding 0 changes −0 to 0.
    format!("{:.1}", (value * 10.0).round() / 10.0 + 0.0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by plotters")]
fn hundredths(value: &f64) -> String {
    format!("{value:.2}")
}
