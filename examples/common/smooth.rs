//! A backend for bitmaps with smooth edges: it draws everything larger, and each pixel of the result is a
//! mean.

use std::ops::Range;

use plotters::{backend::RGBPixel, prelude::*};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind,
};

/// Each pixel is the mean of a square of this many small pixels along an edge.
const FINE: u16 = 4;

/// Bytes of a pixel: red, green and blue.
const CHANNELS: usize = 3;

/// A picture of bytes: rows from top to bottom, and red, green and blue of each pixel.
pub(crate) struct Bitmap {
    size: (u32, u32),
    bytes: Vec<u8>,
}

impl Bitmap {
    fn white((width, height): (u32, u32)) -> Self {
        let pixels = width as usize * height as usize;
        Bitmap { size: (width, height), bytes: vec![u8::MAX; CHANNELS * pixels] }
    }

    /// Returns the picture that `draw` draws on a white area of this size, with smooth edges.
    pub(crate) fn draw<E>(
        size: (u32, u32),
        draw: impl FnOnce(Smooth<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let fine = u32::from(FINE);
        let mut fine = Bitmap::white((fine * size.0, fine * size.1));
        let bitmap = BitMapBackend::with_buffer(&mut fine.bytes, fine.size);
        draw(Smooth { bitmap, size })?;
        Ok(fine.reduced(size))
    }

    /// Returns the picture as a PNG file.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.size.0, self.size.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.bytes)?;
        writer.finish()?;
        Ok(file)
    }

    /// Returns the means of squares of small pixels.
    fn reduced(&self, size: (u32, u32)) -> Self {
        let mut small = Bitmap::white(size);
        let (fine, row) = (usize::from(FINE), CHANNELS * self.size.0 as usize);
        let width = size.0 as usize;
        for (number, pixel) in small.bytes.chunks_exact_mut(CHANNELS).enumerate() {
            let corner = number / width * fine * row + number % width * fine * CHANNELS;
            for (channel, byte) in pixel.iter_mut().enumerate() {
                let line = |y: usize| (0..fine).map(move |x| corner + y * row + x * CHANNELS);
                let square = (0..fine).flat_map(line).map(|at| u32::from(self.bytes[at + channel]));
                let area = u32::from(FINE * FINE);
                let mean = (square.sum::<u32>() + area / 2) / area;
                *byte = u8::try_from(mean).unwrap_or(u8::MAX);
            }
        }
        small
    }
}

/// The backend. Its coordinates and sizes are those of the small picture.
pub(crate) struct Smooth<'a> {
    bitmap: BitMapBackend<'a, RGBPixel>,
    size: (u32, u32),
}

type Done<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> Smooth<'a> {
    /// Draws a line through points, which are given in small pixels. Its ends and its corners are round.
    ///
    /// The line is drawn as a whole, so that a colour that is not opaque is the same everywhere.
    fn stroke(&mut self, points: &[(f64, f64)], style: &impl BackendStyle) -> Done<'a> {
        let radius = f64::from(FINE) * f64::from(style.stroke_width()) / 2.0;
        let (width, height) = self.size;
        let columns = |points: &[(f64, f64)]| extent(points.iter().map(|at| at.0), radius, width);
        let rows = |points: &[(f64, f64)]| extent(points.iter().map(|at| at.1), radius, height);
        let (across, down) = (columns(points), rows(points));
        let width = across.len();
        let mut covered = vec![false; width * down.len()];
        for ends in points.windows(2) {
            for y in rows(ends) {
                for x in columns(ends) {
                    let centre = (f64::from(x) + 0.5, f64::from(y) + 0.5);
                    if distance(centre, ends[0], ends[1]) < radius {
                        let row = y.abs_diff(down.start) as usize;
                        covered[row * width + x.abs_diff(across.start) as usize] = true;
                    }
                }
            }
        }
        let pixels = down.flat_map(|y| across.clone().map(move |x| (x, y)));
        pixels
            .zip(covered)
            .filter(|(_, covered)| *covered)
            .try_for_each(|(pixel, _)| self.bitmap.draw_pixel(pixel, style.color()))
    }
}

impl<'a> DrawingBackend for Smooth<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Done<'a> {
        self.bitmap.ensure_prepared()
    }

    fn present(&mut self) -> Done<'a> {
        self.bitmap.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Done<'a> {
        self.draw_rect(point, (point.0 + 1, point.1 + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Done<'a> {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Done<'a> {
        let points: Vec<_> = path.into_iter().map(centre).collect();
        self.stroke(&points, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Done<'a> {
        let ((left, top), (right, bottom)) = (upper_left, bottom_right);
        if fill {
            // Of a row of rectangles, each ends where the next one begins.
            let pixels = |first: i32, end: i32, length: u32| {
                let [first, end] = [first, end.max(first + 1)].map(|at| i32::from(FINE) * at);
                extent([first, end].map(f64::from).into_iter(), 0.0, length)
            };
            let (across, down) =
                (pixels(left, right, self.size.0), pixels(top, bottom, self.size.1));
            let mut square = down.flat_map(|y| across.clone().map(move |x| (x, y)));
            return square.try_for_each(|pixel| self.bitmap.draw_pixel(pixel, style.color()));
        }
        self.draw_path(
            [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)],
            style,
        )
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Done<'a> {
        const CORNERS: u16 = 60;
        let (x, y) = centre(center);
        if fill {
            // A line without length, whose ends are round, is a disc.
            let disc = Disc { color: style.color(), diameter: 2 * radius };
            return self.stroke(&[(x, y), (x, y)], &disc);
        }
        let radius = f64::from(FINE) * f64::from(radius);
        let turns =
            (0..=CORNERS).map(|turn| std::f64::consts::TAU * f64::from(turn) / f64::from(CORNERS));
        let points: Vec<_> =
            turns.map(|turn| (x + radius * turn.cos(), y + radius * turn.sin())).collect();
        self.stroke(&points, style)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Done<'a> {
        let corners = corners.into_iter().map(|(x, y)| (i32::from(FINE) * x, i32::from(FINE) * y));
        self.bitmap.fill_polygon(corners, &style.color())
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (x, y): BackendCoord,
    ) -> Done<'a> {
        let font = FontDesc::new(style.family(), f64::from(FINE) * style.size(), style.style());
        let font = font.transform(style.transform());
        let large = TextStyle { font, color: style.color(), pos: style.anchor() };
        self.bitmap.draw_text(text, &large, (i32::from(FINE) * x, i32::from(FINE) * y))
    }
}

/// The style of a filled circle.
struct Disc {
    color: BackendColor,
    diameter: u32,
}

impl BackendStyle for Disc {
    fn color(&self) -> BackendColor {
        self.color
    }

    fn stroke_width(&self) -> u32 {
        self.diameter
    }
}

/// Returns the centre of a pixel of the small picture, in small pixels.
fn centre((x, y): BackendCoord) -> (f64, f64) {
    let middle = |pixel: i32| f64::from(FINE) * (f64::from(pixel) + 0.5);
    (middle(x), middle(y))
}

/// Returns the small pixels that are no farther than `radius` from a coordinate, within a picture of
/// `length` pixels.
#[expect(clippy::cast_possible_truncation, reason = "within the picture")]
fn extent(coordinates: impl Iterator<Item = f64>, radius: f64, length: u32) -> Range<i32> {
    let (least, most) = coordinates
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), at| {
            (at.min(least), at.max(most))
        });
    let within = |at: f64| at.clamp(0.0, f64::from(FINE) * f64::from(length)) as i32;
    within((least - radius).floor())..within((most + radius).ceil())
}

/// Returns the distance of a point from the line between two ends.
fn distance((x, y): (f64, f64), (x0, y0): (f64, f64), (x1, y1): (f64, f64)) -> f64 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let along = ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy).max(f64::MIN_POSITIVE);
    let along = along.clamp(0.0, 1.0);
    (x - x0 - along * dx).hypot(y - y0 - along * dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 8;
    const SIZE: (u32, u32) = (8, 4);

    /// Returns what each pixel has of black, in small pixels of its 16.
    fn small_pixels(
        draw: impl for<'a> FnOnce(&mut Smooth<'a>) -> Done<'a>,
    ) -> Result<Vec<[u8; WIDTH]>, String> {
        let picture = Bitmap::draw(SIZE, |mut backend| {
            draw(&mut backend).map_err(|error| error.to_string())
        })?;
        let rows = picture.bytes.chunks_exact(CHANNELS * WIDTH);
        // The mean of 16 bytes is 255 less about 16 for each that is black.
        let black =
            |row: &[u8]| std::array::from_fn(|x| (u8::MAX - row[CHANNELS * x]).div_ceil(16));
        Ok(rows.map(black).collect())
    }

    fn line(width: u32) -> ShapeStyle {
        ShapeStyle { color: BLACK.into(), filled: false, stroke_width: width }
    }

    #[test]
    fn lines_along_pixels_have_their_width() -> Result<(), String> {
        let found = small_pixels(|it| it.draw_line((-9, 2), (20, 2), &line(1)))?;
        assert_eq!(found, [[0; 8], [0; 8], [16; 8], [0; 8]]);
        let found = small_pixels(|it| it.draw_path([(-9, 2), (20, 2)], &line(2)))?;
        assert_eq!(found, [[0; 8], [8; 8], [16; 8], [8; 8]]);
        Ok(())
    }

    #[test]
    fn an_oblique_line_shades_the_pixels_that_it_touches() -> Result<(), String> {
        let found = small_pixels(|it| it.draw_line((0, 0), (3, 3), &line(1)))?;
        for (y, row) in found.iter().enumerate() {
            for (x, &black) in row.iter().enumerate() {
                let expected = match x.abs_diff(y) {
                    0 => 10..16,
                    1 if x < 4 => 1..6,
                    _ => 0..1,
                };
                assert!(expected.contains(&black), "{found:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_line_that_crosses_itself_has_one_colour() -> Result<(), String> {
        let half = ShapeStyle { color: BLACK.mix(0.5), ..line(1) };
        let found = small_pixels(|it| it.draw_path([(0, 1), (7, 1), (0, 1)], &half))?;
        assert_eq!(found[1][1..7], [8; 6]);
        Ok(())
    }

    #[test]
    fn rectangles_side_by_side_do_not_overlap() -> Result<(), String> {
        let half = ShapeStyle { color: BLACK.mix(0.5), filled: true, stroke_width: 1 };
        let found = small_pixels(|it| {
            it.draw_rect((1, 1), (3, 3), &half, true)?;
            it.draw_rect((3, 1), (5, 3), &half, true)
        })?;
        let row = [0, 8, 8, 8, 8, 0, 0, 0];
        assert_eq!(found, [[0; 8], row, row, [0; 8]]);
        Ok(())
    }

    #[test]
    fn the_file_is_a_png_of_the_same_pixels() -> Result<(), Box<dyn std::error::Error>> {
        let picture = Bitmap::draw(SIZE, |mut it| it.draw_circle((4, 2), 2, &BLUE, true))?;
        let file = picture.to_png()?;
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info()?;
        let mut bytes = vec![0; picture.bytes.len()];
        let frame = reader.next_frame(&mut bytes)?;
        assert_eq!((frame.width, frame.height), SIZE);
        assert_eq!(bytes, picture.bytes);
        Ok(())
    }
}
