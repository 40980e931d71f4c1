//! Numbers and tables as text.

use std::fmt::Write as _;

/// To which side the cells of a column are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// To the left.
    Left,
    /// To the right.
    Right,
}

/// A table with aligned columns, a line a row, ending with a line break; a cell that is missing is empty.
pub fn aligned<H: AsRef<str>, R: AsRef<[String]>>(
    header: &[H],
    columns: &[Column],
    rows: &[R],
) -> String {
    let header = header.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
    let rows = rows.iter().map(|row| row.as_ref().iter().map(String::as_str).collect());
    let lines: Vec<Vec<&str>> = std::iter::once(header).chain(rows).collect();
    let cell = |line: &Vec<&str>, at: usize| line.get(at).copied().unwrap_or_default().to_owned();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| lines.iter().map(|line| cell(line, at).chars().count()).max().unwrap_or(0))
        .collect();
    lines.iter().fold(String::new(), |mut text, line| {
        let cells: Vec<String> = columns
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (column, width))| match column {
                Column::Left => format!("{:<width$}", cell(line, at)),
                Column::Right => format!("{:>width$}", cell(line, at)),
            })
            .collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        text
    })
}

/// A time in the unit that suits it, with three digits: `38.2 ms`.
pub fn time(seconds: f64) -> String {
    in_unit(seconds, 's')
}

/// An energy in the unit that suits it, with three digits: `38.2 mJ`.
pub fn energy(joules: f64) -> String {
    in_unit(joules, 'J')
}

fn in_unit(value: f64, unit: char) -> String {
    let (value, prefix) = match value {
        v if v < 1e-3 => (v * 1e6, "µ"),
        v if v < 1.0 => (v * 1e3, "m"),
        v => (v, ""),
    };
    format!("{} {prefix}{unit}", digits(value))
}

/// A number with three digits and the prefix that suits it: `67.1 G`, and `35.2` below a thousand.
pub fn scaled(value: f64) -> String {
    let prefixes = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    match prefixes.into_iter().find(|(least, _)| value >= *least) {
        Some((least, prefix)) => format!("{}{prefix}", digits(value / least)),
        None => digits(value),
    }
}

/// A ratio: `4.00×`.
pub fn ratio(value: f64) -> String {
    format!("{}×", digits(value))
}

fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

/// The first line of a reason, and not too much of it.
pub fn short(reason: &str) -> String {
    const MOST: usize = 160;
    let line = reason.lines().next().unwrap_or_default().trim();
    if line.chars().count() <= MOST {
        return line.to_owned();
    }
    line.chars().take(MOST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_unit_that_suits_them() {
        let times = [2.345e-6, 1.2e-4, 0.0382, 3.456, 123.4].map(time);
        assert_eq!(times, ["2.35 µs", "120 µs", "38.2 ms", "3.46 s", "123 s"]);
        assert_eq!([0.0382, 12.0].map(energy), ["38.2 mJ", "12.0 J"]);
        assert_eq!([0.0151, 0.49, 12.34].map(ratio), ["0.015×", "0.49×", "12.3×"]);
        let numbers = [3.2, 999.0, 1234.0, 6.71e10, 2e12].map(scaled);
        assert_eq!(numbers, ["3.20", "999", "1.23 k", "67.1 G", "2.00 T"]);
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["µs", "1"], ["longer", "100"]].map(|row| row.map(str::to_owned));
        let text = aligned(&["name", "n"], &[Column::Left, Column::Right], &rows);
        assert_eq!(text, "name      n\nµs        1\nlonger  100\n");
    }

    #[test]
    fn reasons_stay_in_their_line() {
        assert_eq!(short("one\ntwo"), "one");
        assert_eq!(short(&"x".repeat(500)).chars().count(), 161);
    }
}
