//! Places of labels beside points, so that labels neither cover each other nor the points.

/// Pixels: to the right and down.
type Place = (i32, i32);

/// Distances between a point and its label.
const DISTANCES: [i32; 3] = [6, 12, 20];

/// The radius of a point, with a margin.
const RADIUS: i32 = 5;

/// Rounds in which each label looks for a better place.
const ROUNDS: usize = 10;

/// Returns the upper left corner of the label of each point. `sizes` are the widths and heights of the
/// labels, and `limits` is the size of the picture.
pub(crate) fn places(points: &[Place], sizes: &[(u32, u32)], limits: (u32, u32)) -> Vec<Place> {
    let whole = Area::new((0, 0), limits);
    let discs: Vec<_> = points.iter().map(|&point| Area::around(point, RADIUS)).collect();
    let mut labels: Vec<_> =
        points.iter().zip(sizes).map(|(&point, &size)| choices(point, size)).collect();
    for _ in 0..ROUNDS {
        for at in 0..labels.len() {
            let cost = |place: &Area| {
                let others = (0..labels.len()).filter(|&other| other != at);
                let covered = others.map(|other| place.shared(labels[other][0]));
                let hidden = discs.iter().map(|&disc| place.shared(disc));
                covered.chain(hidden).sum::<i64>() + place.size() - place.shared(whole)
            };
            // Of equally good places, the first one, which is the nearest to the point.
            let best = (0..labels[at].len()).min_by_key(|&choice| cost(&labels[at][choice]));
            labels[at].swap(0, best.unwrap_or(0));
        }
    }
    labels.iter().map(|choices| choices[0].corner).collect()
}

/// Returns the places around a point, the preferred one first.
fn choices((x, y): Place, (width, height): (u32, u32)) -> Vec<Area> {
    let (w, h) = (0_i32.saturating_add_unsigned(width), 0_i32.saturating_add_unsigned(height));
    let around = |distance: i32| {
        let (right, left, middle) = (x + distance, x - distance - w, x - w / 2);
        let (above, below, level) = (y - distance - h, y + distance, y - h / 2);
        let sides = [(right, level), (left, level), (middle, above), (middle, below)];
        let corners = [(right, above), (right, below), (left, above), (left, below)];
        sides.into_iter().chain(corners)
    };
    DISTANCES
        .into_iter()
        .flat_map(around)
        .map(|corner| Area::new(corner, (width, height)))
        .collect()
}

/// A rectangle.
#[derive(Clone, Copy)]
struct Area {
    corner: Place,
    end: Place,
}

impl Area {
    fn new(corner: Place, (width, height): (u32, u32)) -> Self {
        let end =
            (corner.0.saturating_add_unsigned(width), corner.1.saturating_add_unsigned(height));
        Area { corner, end }
    }

    fn around((x, y): Place, radius: i32) -> Self {
        Area { corner: (x - radius, y - radius), end: (x + radius, y + radius) }
    }

    fn size(self) -> i64 {
        self.shared(self)
    }

    /// Returns the number of pixels that are in both areas.
    fn shared(self, other: Self) -> i64 {
        let length = |from: i32, to: i32| i64::from(to) - i64::from(from);
        let across = length(self.corner.0.max(other.corner.0), self.end.0.min(other.end.0));
        let down = length(self.corner.1.max(other.corner.1), self.end.1.min(other.end.1));
        across.max(0) * down.max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_label_is_to_the_right() {
        assert_eq!(places(&[(50, 50)], &[(30, 10)], (200, 100)), [(56, 45)]);
    }

    #[test]
    fn labels_stay_within_the_picture() {
        for (x, y) in [(0, 0), (199, 0), (0, 99), (199, 99), (190, 50), (100, 98)] {
            let [place] = places(&[(x, y)], &[(30, 10)], (200, 100))[..] else { panic!("one") };
            let area = Area::new(place, (30, 10));
            assert_eq!(area.shared(Area::new((0, 0), (200, 100))), area.size(), "{x} {y}");
        }
    }

    #[test]
    fn labels_of_near_points_neither_cover_each_other_nor_the_points() {
        let points = [(100, 50), (108, 50), (104, 56), (104, 44), (130, 50)];
        let sizes = [(40, 12); 5];
        let areas: Vec<_> = places(&points, &sizes, (300, 100))
            .into_iter()
            .map(|at| Area::new(at, sizes[0]))
            .collect();
        for (number, area) in areas.iter().enumerate() {
            assert!(areas[..number].iter().all(|other| other.shared(*area) == 0), "label {number}");
            assert!(points.iter().all(|&point| Area::around(point, 3).shared(*area) == 0));
        }
    }
}
