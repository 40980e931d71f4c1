//! The scale of an axis: its range, its ticks, and how they are written.

/// Values beyond this are as good as infinite for a picture; the difference of two stays finite.
const MOST: f64 = 1e300;

/// A linear or logarithmic axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) log: bool,
}

impl Axis {
    /// An axis over the values that it can show, `None` where there are none.
    ///
    /// `margin` is left free at both ends, as a share of the length. Equal values get a range
    /// around them.
    pub(super) fn over(
        values: impl IntoIterator<Item = f64>,
        log: bool,
        margin: f64,
    ) -> Option<Self> {
        let empty = (f64::INFINITY, f64::NEG_INFINITY);
        let shown = values.into_iter().filter(|&value| shows(value, log));
        let (low, high) = shown.fold(empty, |(low, high), v| (low.min(v), high.max(v)));
        (low <= high).then(|| Self::between(low, high, log, margin))
    }

    /// An axis from `low` to `high`, both of which it can show, and a margin beyond.
    pub(super) fn between(low: f64, high: f64, log: bool, margin: f64) -> Self {
        let to = |v: f64| if log { v.log10() } else { v };
        let back = |v: f64| if log { 10f64.powf(v) } else { v };
        let (a, b) = (to(low), to(high));
        let size = a.abs().max(b.abs());
        // Nothing finer than this is left after rounding.
        let (a, b) = if b - a > size * 1e-12 && b - a > 1e-290 {
            (a - (b - a) * margin, b + (b - a) * margin)
        } else if log || size < 1e-290 {
            (a - 0.5, b + 0.5)
        } else {
            (a - size * 0.05, b + size * 0.05)
        };
        let least = f64::MIN_POSITIVE;
        let (low, high) = (back(a), back(b));
        Self { low: if log { low.max(least) } else { low }, high: high.min(f64::MAX), log }
    }

    /// Whether a value has a place on this kind of axis.
    pub(super) fn shows(&self, value: f64) -> bool {
        shows(value, self.log)
    }

    /// How far a value is along the axis, 0 to 1; what lies outside is taken to the nearest end.
    pub(super) fn share(&self, value: f64) -> f64 {
        let to = |v: f64| if self.log { v.max(f64::MIN_POSITIVE).log10() } else { v };
        let (low, high) = (to(self.low), to(self.high));
        let share = (to(value) - low) / (high - low);
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// About `wanted` round values within the axis, in order.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<f64> {
        if self.log {
            let ticks = self.log_ticks(wanted.max(2));
            if ticks.len() >= 2 {
                return ticks;
            }
        }
        let span = self.high - self.low;
        let raw = span / wanted.max(1) as f64;
        let unit = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|f| f * unit)
            .into_iter()
            .find(|s| *s >= raw * (1.0 - 1e-9));
        let Some(step) = step.filter(|step| step.is_normal()) else {
            return vec![self.low];
        };
        let (first, last) = ((self.low / step - 1e-9).ceil(), (self.high / step + 1e-9).floor());
        let count = (last - first).clamp(0.0, 100.0) as usize;
        // `+ 0.0` turns -0 into 0.
        (0..=count).map(|i| (first + i as f64) * step + 0.0).collect()
    }

    /// Powers of ten, thinned where there are many, or with 2 and 5 between where there are few.
    fn log_ticks(&self, wanted: usize) -> Vec<f64> {
        let (low, high) = (self.low.log10(), self.high.log10());
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        let inside = |v: &f64| *v >= self.low * (1.0 - 1e-9) && *v <= self.high * (1.0 + 1e-9);
        let decades = high - low;
        let factors: &[f64] = match decades {
            d if d <= wanted as f64 / 3.0 => &[1.0, 2.0, 5.0],
            d if d <= wanted as f64 / 2.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let stride = ((decades / wanted as f64).ceil() as i32).max(1);
        (first..=last)
            .filter(|power| power.rem_euclid(stride) == 0)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
            .filter(inside)
            .collect()
    }
}

fn shows(value: f64, log: bool) -> bool {
    value.abs() <= MOST && (!log || value >= 1e-290)
}

/// The ticks of one axis as text: with as many decimals as their distance needs, and with a common
/// unit (k, M, G, T) or power of ten where they are large or small.
pub(super) fn labels(ticks: &[f64], log: bool) -> Vec<String> {
    let most = ticks.iter().fold(0.0, |most: f64, tick| most.max(tick.abs()));
    if log {
        return ticks.iter().map(|&tick| short(tick)).collect();
    }
    let step = ticks.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
    let step = if step.is_finite() && step > 0.0 { step } else { most.max(1e-9) / 2.0 };
    if most >= 1e15 || (most > 0.0 && most < 1e-3) {
        let digits = (most.log10().floor() - step.log10().floor()).clamp(0.0, 6.0) as usize;
        let written = ticks.iter().map(|tick| format!("{tick:.digits$e}"));
        return written.map(|text| if text.starts_with('0') { "0".into() } else { text }).collect();
    }
    let (unit, suffix) = unit_of(most);
    let decimals = decimals_of(step / unit);
    let text = |tick: &f64| match tick {
        0.0 => "0".to_string(),
        tick => format!("{:.decimals$}{suffix}", tick / unit),
    };
    ticks.iter().map(text).collect()
}

/// One value in at most about six characters.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e15).contains(&size) {
        let text = format!("{value:.2e}");
        return match text.split_once('e') {
            Some((digits, power)) => {
                format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
            }
            None => text,
        };
    }
    let (unit, suffix) = unit_of(size);
    let scaled = value / unit;
    let decimals = (2.0 - scaled.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{scaled:.decimals$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}

fn unit_of(size: f64) -> (f64, &'static str) {
    match size {
        s if s < 1e4 => (1.0, ""),
        s if s < 1e6 => (1e3, "k"),
        s if s < 1e9 => (1e6, "M"),
        s if s < 1e12 => (1e9, "G"),
        _ => (1e12, "T"),
    }
}

/// How many decimals a step needs, at most 6.
fn decimals_of(step: f64) -> usize {
    (0..6)
        .find(|&decimals| {
            let scaled = step * 10f64.powi(decimals);
            scaled >= 0.5 && (scaled - scaled.round()).abs() < 1e-6 * scaled
        })
        .unwrap_or(6) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(low: f64, high: f64, log: bool) -> Axis {
        Axis { low, high, log }
    }

    #[track_caller]
    fn written(axis: Axis, wanted: usize) -> String {
        labels(&axis.ticks(wanted), axis.log).join(" ")
    }

    #[test]
    fn ticks_are_round_and_written_with_what_they_need() {
        assert_eq!(written(axis(0.0, 1.0, false), 5), "0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(written(axis(-1.0, 1.0, false), 4), "-1.0 -0.5 0 0.5 1.0");
        assert_eq!(written(axis(0.971, 0.979, false), 4), "0.972 0.974 0.976 0.978");
        assert_eq!(written(axis(0.0, 60000.0, false), 6), "0 10k 20k 30k 40k 50k 60k");
        assert_eq!(written(axis(0.0, 3e6, false), 6), "0 0.5M 1.0M 1.5M 2.0M 2.5M 3.0M");
        assert_eq!(written(axis(0.0, 4e-4, false), 4), "0 1e-4 2e-4 3e-4 4e-4");
        assert_eq!(written(axis(0.0, 10.0, false), 4), "0 2.5 5.0 7.5 10.0");
    }

    #[test]
    fn logarithmic_ticks_follow_the_number_of_decades() {
        assert_eq!(written(axis(1.0, 100.0, true), 6), "1 2 5 10 20 50 100");
        assert_eq!(written(axis(1e-4, 10.0, true), 6), "1e-4 0.001 0.01 0.1 1 10");
        assert!(axis(1e-30, 1e30, true).ticks(6).len() <= 8);
        // Less than a decade without two powers in it: as on a linear axis.
        assert_eq!(written(axis(3.1, 3.9, true), 4), "3.2 3.4 3.6 3.8");
    }

    #[test]
    fn a_range_is_never_empty() {
        for (low, high) in [(5.0, 5.0), (0.0, 0.0), (-3.0, -3.0), (1e300, 1e300), (1e-300, 1e-300)]
        {
            for log in [false, true] {
                if !shows(low, log) {
                    continue;
                }
                let axis = Axis::between(low, high, log, 0.05);
                assert!(axis.low < axis.high, "{axis:?}");
                assert!((axis.share(low) - 0.5).abs() < 0.01, "{axis:?}");
                assert!(!axis.ticks(5).is_empty(), "{axis:?}");
            }
        }
        let whole = Axis::between(-1e300, 1e300, false, 0.05);
        assert!((whole.share(0.0) - 0.5).abs() < 1e-9 && whole.ticks(5).len() > 2);
        let next = Axis::between(1.0, 1.0 + f64::EPSILON, false, 0.05);
        assert!(next.ticks(5).len() > 1, "{next:?}");
    }

    #[test]
    fn only_what_can_be_shown_counts() {
        assert_eq!(Axis::over([f64::NAN, f64::INFINITY], false, 0.0), None);
        assert_eq!(Axis::over([0.0, -1.0], true, 0.0), None);
        let axis = Axis::over([f64::NAN, 2.0, -1.0, 8.0], true, 0.0).unwrap();
        assert!((axis.low - 2.0).abs() < 1e-9 && (axis.high - 8.0).abs() < 1e-9);
    }

    #[test]
    fn single_values_are_short() {
        let texts = [0.0, 0.5, 1234.0, 0.012_34, 15_320.0, 2.5e-7, -3.0, 1e20].map(short);
        assert_eq!(texts, ["0", "0.5", "1234", "0.0123", "15.3k", "2.5e-7", "-3", "1e20"]);
    }
}
