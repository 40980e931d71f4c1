use model_utils::picture::Curves;

use super::{Report, Row};

impl Report {
    /// The accuracy of each variant against its bytes, with the 95 % intervals.
    pub fn by_size(&self) -> Curves {
        let curves = Curves::new("Accuracy against size").x_label("bytes of parameters").log_x();
        self.drawn(curves, |row| row.bytes as f64)
    }

    /// The accuracy of each variant against its time, with the 95 % intervals.
    pub fn by_time(&self) -> Curves {
        let label = format!("median time of a batch of {}, ms", self.batch);
        let curves = Curves::new("Accuracy against time").x_label(label).log_x();
        self.drawn(curves, |row| row.latency_ms)
    }

    fn drawn(&self, curves: Curves, x: impl Fn(&Row) -> f64) -> Curves {
        let curves = curves.y_label("accuracy");
        self.rows.iter().fold(curves, |curves, row| match row.accuracy {
            Some(accuracy) => {
                let at = x(row);
                let bar = [at * 0.985, at * 1.015].map(|x| (x, accuracy.low, accuracy.high));
                curves.dots(row.name.clone(), &[(at, accuracy.estimate)]).band("", &bar)
            }
            None => curves,
        })
    }
}
