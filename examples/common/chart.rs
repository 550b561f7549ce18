//! Saves charts as PNG and SVG, without system libraries or system fonts.

use std::{error::Error, fs, path::Path};

use plotters::{
    coord::Shift,
    drawing::DrawingAreaErrorKind,
    prelude::*,
    style::{FontStyle, register_font},
};

use super::smooth::Bitmap;

/// Colours that colour-blind people can distinguish (Okabe & Ito 2008).
pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub(crate) const GREEN: RGBColor = RGBColor(0, 158, 115);

/// The only font. [`save`] registers an embedded one under this name.
pub(crate) const FONT: &str = "sans-serif";

/// The result of drawing on a backend `B`.
pub(crate) type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// A picture that can be drawn on any backend.
pub(crate) trait Figure {
    /// Width and height in pixels.
    const SIZE: (u32, u32);

    /// Draws the whole picture on an empty white area.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B>;
}

/// Writes `figure` to `name`.png and `name`.svg in `folder`, and prints the paths.
pub(crate) fn save<F: Figure>(figure: &F, folder: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    register_font(FONT, FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| "the embedded font cannot be read")?;

    let path = folder.join(name);
    let png = Bitmap::draw(F::SIZE, |backend| render(figure, backend))?.to_png()?;
    write(&path.with_extension("png"), &png)?;
    let mut svg = String::new();
    render(figure, SVGBackend::with_string(&mut svg, F::SIZE))?;
    write(&path.with_extension("svg"), svg.as_bytes())?;
    println!("wrote {}.png and .svg", path.display());
    Ok(())
}

fn render<B: DrawingBackend>(figure: &impl Figure, backend: B) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    figure.draw(&area)?;
    area.present()?;
    Ok(())
}

/// Writes a file. An error names it.
fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    fs::write(path, content).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Formats a tick label of a logarithmic axis, such as 10⁻³.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by plotters")]
pub(crate) fn power_of_ten(value: &f64) -> String {
    const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    // Adding 0 changes −0 to 0.
    let exponent = format!("{:.0}", value.log10().round() + 0.0);
    let raised = exponent.chars().map(|sign| match sign.to_digit(10) {
        Some(digit) => SUPERSCRIPTS[digit as usize],
        None => '⁻',
    });
    std::iter::once('1').chain(std::iter::once('0')).chain(raised).collect()
}
