//! The picture: the Pacific along the equator over time, as it was, as it is visible, and as both models
//! predict it; and the errors.

use std::ops::RangeInclusive;

use adamax::ndarray::{Array2, Axis};
use plotters::{coord::Shift, prelude::*};

use crate::{
    common::{
        chart::{BLUE, Drawn, Figure, VERMILION},
        curves::{Scale, draw_axes, draw_legend, draw_level, draw_line, layout, plain},
        table::Update,
    },
    data::Data,
    fit::Fit,
    model::{Means, Model},
};

/// The row of the grid on the equator, in degrees north.
const EQUATOR: RangeInclusive<f64> = -0.1..=0.1;

/// The Pacific, in degrees east.
const PACIFIC: RangeInclusive<f64> = 135.0..=279.0;

/// Half of the distance of two places, in degrees.
const HALF_PLACE: f64 = 5.0 / 6.0;

/// The first month, January being 0, as a date.
const START: f64 = 2006.25;

/// Colours show differences from the mean of the place, up to this many °C.
const REACH: f64 = 3.0;

pub(crate) struct SeaFigure<'a> {
    pub(crate) data: &'a Data,
    pub(crate) means: &'a Means,
    pub(crate) fits: &'a [Fit],
}

impl Figure for SeaFigure<'_> {
    const SIZE: (u32, u32) = (1300, 800);

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let (left, right) = area.split_horizontally(820);
        let panels = left.split_evenly((2, 2));
        let mut visible = Array2::from_elem(self.data.all.raw_dim(), None);
        for seen in &self.data.visible {
            visible[[seen.place, seen.month]] = Some(seen.temperature);
        }
        self.draw_sea(&panels[0], "truth, as difference from the mean", |place, month| {
            Some(self.data.all[[place, month]])
        })?;
        self.draw_sea(&panels[1], "visible", |place, month| visible[[place, month]])?;
        self.draw_sea(&panels[2], "means", |place, month| Some(self.means.predict(place, month)))?;
        if let Some(fit) = self.fits.first() {
            self.draw_sea(&panels[3], "factors", |place, month| {
                Some(fit.factors.predict(place, month))
            })?;
        }
        self.draw_errors(&right)
    }
}

impl SeaFigure<'_> {
    /// Draws the temperatures along the equator. All panels subtract the same mean of the place.
    fn draw_sea<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        caption: &str,
        temperature: impl Fn(usize, usize) -> Option<f64>,
    ) -> Drawn<B> {
        let end = (0..self.data.months()).fold(START, |date, _| date + 1.0 / 12.0);
        let mut chart = layout(area, caption)
            .build_cartesian_2d(*PACIFIC.start()..*PACIFIC.end(), START..end)?;
        draw_axes(
            &mut chart,
            Scale { name: "degrees east", tick: plain },
            Scale { name: "year", tick: whole },
        )?;
        for (place, row) in self.data.all.axis_iter(Axis(0)).enumerate() {
            let longitude = self.data.longitudes[place];
            if !EQUATOR.contains(&self.data.latitudes[place]) || !PACIFIC.contains(&longitude) {
                continue;
            }
            let mean = row.mean().unwrap_or_default();
            let sides = (longitude - HALF_PLACE, longitude + HALF_PLACE);
            for (month, date) in (0..self.data.months()).zip((0_u32..).map(f64::from)) {
                let Some(value) = temperature(place, month) else { continue };
                let [begin, end] = [date, date + 1.0].map(|months| START + months / 12.0);
                let cell = [(sides.0, begin), (sides.1, end)];
                let colour = warmth((value - mean) / REACH);
                chart.draw_series([Rectangle::new(cell, colour.filled())])?;
            }
        }
        Ok(())
    }

    fn draw_errors<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let last = self.fits.iter().map(|fit| fit.errors.len()).max().unwrap_or(1);
        let epochs = (1..last).fold(0.0, |epochs, _| epochs + 1.0);
        let mut chart = layout(area, "error of hidden temperatures, by the rows updated")
            .build_cartesian_2d(0.0..epochs, 0.0..1.5)?;
        draw_axes(
            &mut chart,
            Scale { name: "epoch", tick: plain },
            Scale { name: "root mean square error in °C", tick: plain },
        )?;
        draw_level(&mut chart, &(0.0..epochs), self.means.error(&self.data.hidden), "means")?;
        for fit in self.fits {
            let colour = match fit.update {
                Update::NamedRows => BLUE,
                Update::AllRows => VERMILION,
            };
            let points = (0_u32..).map(f64::from).zip(fit.errors.iter().copied());
            draw_line(&mut chart, fit.update.name(), colour, points)?;
        }
        draw_legend(&mut chart, SeriesLabelPosition::UpperRight)
    }
}

/// Formats a whole number. Others have no label.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by plotters")]
fn whole(value: &f64) -> String {
    if value.fract() == 0.0 { plain(value) } else { String::new() }
}

/// Returns red for 1, white for 0 and blue for −1.
fn warmth(difference: f64) -> RGBColor {
    let difference = difference.clamp(-1.0, 1.0);
    let full = if difference < 0.0 { BLUE } else { VERMILION };
    let mix = |part: u8| {
        let part = f64::from(part);
        let mixed = 255.0 + difference.abs() * (part - 255.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let byte = mixed.round() as u8;
        byte
    };
    RGBColor(mix(full.0), mix(full.1), mix(full.2))
}
