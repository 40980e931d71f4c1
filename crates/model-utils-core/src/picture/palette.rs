//! Colours, red, green and blue in 0–255.

use plotters::style::RGBColor;

/// The colours of series, in order: those of Okabe and Ito, *Color Universal Design*, 2008, without
/// the yellow, which is too pale for a line on white, and with the black last.
pub const SERIES: [[u8; 3]; 7] = [
    [0, 114, 178],   // blue
    [213, 94, 0],    // vermilion
    [0, 158, 115],   // bluish green
    [204, 121, 167], // reddish purple
    [230, 159, 0],   // orange
    [86, 180, 233],  // sky blue
    [0, 0, 0],       // black
];

/// The green of what is right: bluish, so that it differs from [`RED`] for every eye.
pub const GREEN: [u8; 3] = [0, 128, 96];
/// The red of what is wrong.
pub const RED: [u8; 3] = [200, 60, 0];

/// Text.
pub(super) const INK: [u8; 3] = [34, 34, 34];
/// Axis titles, ticks, values.
pub(super) const SOFT_INK: [u8; 3] = [85, 85, 85];
/// Axis lines.
pub(super) const RULE: [u8; 3] = [150, 150, 150];
/// Grid lines.
pub(super) const FAINT: [u8; 3] = [230, 230, 230];
/// The ground.
pub(super) const WHITE: [u8; 3] = [255, 255, 255];
/// A cell without a value.
pub(super) const NOTHING: [u8; 3] = [225, 225, 225];

/// Every seventeenth colour of viridis: van der Walt, Smith and Firing, `colormaps.py` of
/// <https://github.com/BIDS/colormap> (CC0), in 0–255.
const VIRIDIS: [[u8; 3]; 16] = [
    [68, 1, 84],
    [72, 26, 108],
    [71, 47, 125],
    [65, 68, 135],
    [57, 86, 140],
    [49, 104, 142],
    [42, 120, 142],
    [35, 136, 142],
    [31, 152, 139],
    [34, 168, 132],
    [53, 183, 121],
    [84, 197, 104],
    [122, 209, 81],
    [165, 219, 54],
    [210, 226, 27],
    [253, 231, 37],
];

/// The colour of a share of the way from dark (0) to bright (1) on the colour map viridis; shares
/// outside are taken to the nearest end, NaN to 0.
pub fn viridis(share: f64) -> [u8; 3] {
    let steps = VIRIDIS.len() - 1;
    let place = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) * steps as f64 };
    let below = (place.floor() as usize).min(steps - 1);
    std::array::from_fn(|channel| {
        let low = f64::from(VIRIDIS[below][channel]);
        let high = f64::from(VIRIDIS[below + 1][channel]);
        (low + (high - low) * (place - below as f64)).round() as u8
    })
}

/// The colour of the series with this index; beyond the last they begin again.
pub(super) fn series(index: usize) -> [u8; 3] {
    SERIES[index % SERIES.len()]
}

/// [`INK`] or white, whichever has more contrast to this ground: by the relative luminance of the Web
/// Content Accessibility Guidelines 2.1.
pub(super) fn ink_on(ground: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = ground.map(|channel| {
        let c = f64::from(channel) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    // Where both contrasts are equal: (l + 0.05) / (0.016 + 0.05) = 1.05 / (l + 0.05).
    if luminance > 0.213 { INK } else { WHITE }
}

/// As plotters takes it.
pub(super) fn rgb([r, g, b]: [u8; 3]) -> RGBColor {
    RGBColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viridis_runs_from_dark_to_bright() {
        assert_eq!(viridis(0.0), [68, 1, 84]);
        assert_eq!(viridis(1.0), [253, 231, 37]);
        assert_eq!(viridis(f64::NAN), viridis(-1.0));
        assert_eq!(viridis(2.0), viridis(1.0));
        // Between colours 127 and 128 of 256, which are [33, 144, 141] and [33, 145, 140].
        let [r, g, b] = viridis(0.5).map(i32::from);
        assert!((r - 33).abs() <= 2 && (g - 145).abs() <= 2 && (b - 140).abs() <= 2);
        let sum = |share: f64| viridis(share).iter().map(|&c| u32::from(c)).sum::<u32>();
        assert!(sum(0.1) < sum(0.5) && sum(0.5) < sum(0.9));
    }

    #[test]
    fn ink_is_white_on_dark_and_dark_on_bright() {
        assert_eq!(ink_on(viridis(0.0)), WHITE);
        assert_eq!(ink_on(viridis(1.0)), INK);
    }
}
