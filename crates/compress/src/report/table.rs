use std::fmt::{self, Write as _};

use model_utils::table::{self, Column};

use super::row::LEVEL;
use super::{Report, Row, Verdict};

/// Columns of the table.
const COLUMNS: [Column; 9] = {
    let mut columns = [Column::Right; 9];
    (columns[0], columns[8]) = (Column::Left, Column::Left);
    columns
};

impl Report {
    /// The cells of the table, a row each under [`header`](Self::header).
    pub fn cells(&self) -> Vec<[String; 9]> {
        self.rows.iter().map(cells).collect()
    }

    /// The names of the columns.
    pub fn header() -> [&'static str; 9] {
        [
            "variant",
            "bytes",
            "parameters",
            "multiply-adds",
            "ms",
            "accuracy [95 %]",
            "points",
            "p",
            "difference",
        ]
    }

    /// The table in Markdown, with what its last column means below it.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("| {} |\n|", Self::header().join(" | "));
        for column in COLUMNS {
            text += if column == Column::Left { " --- |" } else { " ---: |" };
        }
        text.push('\n');
        for cells in self.cells() {
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        if let Some(note) = self.note() {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }

    /// What the table's last column means.
    fn note(&self) -> Option<String> {
        let first = self.rows.first().filter(|_| self.rows.len() > 1)?;
        let n = thousands(self.test.len() as u64);
        Some(format!(
            "Differences are from `{}`, by McNemar's exact test on the same examples: \"not \
             distinguishable\" is p > {LEVEL} at n = {n}.",
            first.name
        ))
    }
}

fn cells(row: &Row) -> [String; 9] {
    let compared = row.against_first.is_some();
    let p = row.against_first.map_or("–".to_owned(), |test| match test.p_value {
        p if p < 1e-4 => "< 0.0001".to_owned(),
        p => format!("{p:.4}"),
    });
    let points = if compared { format!("{:+.2}", row.gained_points()) } else { "–".to_owned() };
    let accuracy = row.accuracy.map_or_else(|| "–".to_owned(), |interval| format!("{interval:.4}"));
    let verdict = match row.verdict() {
        Verdict::Original => "the original",
        Verdict::NotDistinguishable => "not distinguishable",
        Verdict::Better => "better",
        Verdict::Worse => "worse",
    };
    let parameters = match row.zeros as f64 / row.parameters.max(1) as f64 {
        share if share >= 0.01 => {
            format!("{} ({:.0} % zero)", thousands(row.parameters as u64), 100.0 * share)
        }
        _ => thousands(row.parameters as u64),
    };
    [
        row.name.clone(),
        thousands(row.bytes),
        parameters,
        thousands(row.multiply_adds),
        format!("{:.3}", row.latency_ms),
        accuracy,
        points,
        p,
        verdict.to_owned(),
    ]
}

/// A number with a comma between thousands.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&table::aligned(&Self::header(), &COLUMNS, &self.cells()))?;
        match self.note() {
            Some(note) => writeln!(f, "\n{note}"),
            None => Ok(()),
        }
    }
}
