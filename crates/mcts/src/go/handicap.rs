//! Where handicap stones go (GTP 2, section 4.1).

use super::point::Point;

/// The fixed places for 2 to 9 stones, in GTP's order; `None` where the board has none.
pub(crate) fn fixed(width: usize, height: usize, stones: usize) -> Option<Vec<Point>> {
    if width != height || width < 7 || !(2..=9).contains(&stones) {
        return None;
    }
    let even = width.is_multiple_of(2);
    if stones > 4 && (even || width == 7) {
        return None;
    }
    let low = if width < 13 { 2 } else { 3 };
    let (high, middle) = (width - 1 - low, width / 2);
    // Rows count from the top: GTP's lower left corner has the greatest y.
    let corners = [(low, high), (high, low), (high, high), (low, low)];
    let sides = [(low, middle), (high, middle), (middle, high), (middle, low)];
    let mut places: Vec<(usize, usize)> = corners[..stones.min(4)].to_vec();
    if stones > 4 {
        places.extend(&sides[..(stones - 4) & !1]);
        if !stones.is_multiple_of(2) {
            places.push((middle, middle));
        }
    }
    Some(places.into_iter().map(|(x, y)| Point::new(x, y)).collect())
}

/// Good places for any number of stones: the fixed ones, then points as far from each other and
/// from the edge as they can be.
pub(crate) fn free(width: usize, height: usize, stones: usize) -> Vec<Point> {
    let most = (2..=stones.min(9)).rev().find_map(|count| fixed(width, height, count));
    let mut places = most.unwrap_or_default();
    let edge = |x: usize, side: usize| x.min(side - 1 - x) + 1;
    while places.len() < stones.min((width * height).saturating_sub(1)) {
        let points = (0..height).flat_map(|y| (0..width).map(move |x| Point::new(x, y)));
        let best = points.filter(|point| !places.contains(point)).max_by_key(|point| {
            let apart = |other: &Point| point.x.abs_diff(other.x) + point.y.abs_diff(other.y);
            let near = places.iter().map(apart).min().map_or(usize::from(u8::MAX), usize::from);
            let line = edge(usize::from(point.x), width).min(edge(usize::from(point.y), height));
            (near.min(2 * line + 1), line)
        });
        let Some(best) = best else { break };
        places.push(best);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(side: usize, stones: usize) -> Vec<String> {
        fixed(side, side, stones).unwrap_or_default().iter().map(|p| p.name(side)).collect()
    }

    #[test]
    fn the_places_are_those_of_the_protocol() {
        assert_eq!(names(19, 2), ["D4", "Q16"]);
        assert_eq!(names(19, 3), ["D4", "Q16", "Q4"]);
        assert_eq!(names(19, 5), ["D4", "Q16", "Q4", "D16", "K10"]);
        assert_eq!(names(19, 6), ["D4", "Q16", "Q4", "D16", "D10", "Q10"]);
        assert_eq!(names(19, 8).last().map(String::as_str), Some("K16"));
        assert_eq!(names(19, 9).len(), 9);
        assert_eq!(names(9, 4), ["C3", "G7", "G3", "C7"]);
        assert!(names(8, 5).is_empty() && names(6, 2).is_empty() && names(19, 10).is_empty());
    }

    #[test]
    fn free_places_are_distinct_and_as_many_as_asked() {
        for (side, stones) in [(2, 3), (5, 4), (9, 12), (19, 30)] {
            let places = free(side, side, stones);
            assert_eq!(places.len(), stones);
            for (i, place) in places.iter().enumerate() {
                assert!(!places[..i].contains(place));
            }
        }
    }
}
