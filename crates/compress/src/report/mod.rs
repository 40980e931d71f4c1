//! One table for any set of variants of a model: size, work, time, accuracy, and whether the
//! difference from the first of them means anything.
//!
//! ```
//! use burn::nn::{Linear, LinearConfig};
//! use burn::tensor::Tensor;
//! use compress::report::{Report, TestSet};
//! use model_utils::device::{DeviceSpec, seed};
//! use model_utils::graph::Graph;
//!
//! let device = "flex".parse::<DeviceSpec>()?.open()?;
//! seed(&device, 42);
//! let model = LinearConfig::new(2, 2).init(&device);
//! let graph = Graph::trace(&model, [1, 2], |model: &Linear, x: Tensor<2>| model.forward(x))?;
//!
//! let images = Tensor::<2>::from_data([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]], &device);
//! let test = TestSet::new([(images, vec![1, 0, 1])])?;
//! let report = Report::new(&test).row("float", &graph)?.row("copy", &graph)?;
//! assert_eq!(report.rows()[1].against_first.unwrap().p_value, 1.0);
//! println!("{report}");
//! # Ok::<(), compress::Error>(())
//! ```
//!
//! # How large a difference counts
//!
//! Two variants are judged on the same examples, so only those matter that exactly one of them has
//! right. If `d` examples are so, chance alone splits them about in halves, and a difference counts
//! where the split is too uneven for a fair coin: [McNemar's test](model_utils::stats::mcnemar).
//! [`smallest_significant`] gives the bound: with 100 such examples out of 10,000 it is 22, that is
//! 0.22 points of accuracy, whatever the accuracy is. The intervals of the accuracies themselves
//! (Wilson) say how far each may be off on other examples; that they overlap says nothing of the
//! difference.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`TestSet`] | the labelled examples that all variants are judged on |
//! | [`Report`] | the table; prints itself, as text or as Markdown, and draws itself |
//! | [`Row`] | the figures of a variant |
//! | [`Variant`] | a graph, and the bytes of its file where they are known better |
//! | [`storage_bytes`] | what the parameters of a graph take, quantized ones in their bits |
//! | [`smallest_significant`] | how large a difference counts |

mod chart;
mod measure;
mod row;
mod significance;
mod storage;
mod table;
mod test_set;

pub use row::{Row, Verdict};
pub use significance::smallest_significant;
pub use storage::storage_bytes;
pub use test_set::TestSet;

use model_utils::config;
use model_utils::graph::{Graph, GraphModule};
use model_utils::stats::{mcnemar, median, wilson};

use crate::error::{ConfigError, Result};
use storage::Elements;

/// The confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// A table of variants. See the [module](self).
#[derive(Debug, Clone)]
pub struct Report {
    test: TestSet,
    rows: Vec<Row>,
    modules: Vec<Option<GraphModule>>,
    batch: usize,
    repeats: usize,
}

/// What a row is made of.
#[derive(Debug, Clone, Copy)]
pub struct Variant<'a> {
    graph: &'a Graph,
    bytes: Option<u64>,
}

impl<'a> Variant<'a> {
    /// A graph.
    pub fn new(graph: &'a Graph) -> Self {
        Self { graph, bytes: None }
    }

    /// Sets the bytes that it takes, where a file is coded closer than [`storage_bytes`] counts.
    #[must_use]
    pub fn bytes(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }
}

impl<'a> From<&'a Graph> for Variant<'a> {
    fn from(graph: &'a Graph) -> Self {
        Self::new(graph)
    }
}

impl Report {
    /// An empty table over the examples that all rows will be judged on.
    pub fn new(test: &TestSet) -> Self {
        Self { test: test.clone(), rows: Vec::new(), modules: Vec::new(), batch: 1, repeats: 31 }
    }

    /// Examples in the batch that is timed; 1 unless told otherwise.
    #[must_use]
    pub fn latency_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Runs that the median time is taken of; 31 unless told otherwise.
    #[must_use]
    pub fn repeats(mut self, repeats: usize) -> Self {
        self.repeats = repeats;
        self
    }

    /// Adds a variant: it is judged on all examples and timed. The first one is the original, with
    /// which the others are compared.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a name that a row has already, and for a batch or
    /// a number of repeats that cannot be; [`Error::Node`](crate::Error::Node) for an output that is
    /// no logits for the labels, or not finite; and what running the graph brings.
    pub fn row<'v>(self, name: impl Into<String>, variant: impl Into<Variant<'v>>) -> Result<Self> {
        let Variant { graph, bytes } = variant.into();
        let module = graph.init(self.test.device())?;
        self.check_timing()?;
        let summary = graph.summary(1)?;
        let elements = Elements::of(graph);
        let inputs = self.test.examples(graph, self.batch)?;
        let listen = |run| self.test.check_stop(format_args!("timing run {run}"));
        let latency_ms = measure::median_ms(&module, &inputs, self.repeats, listen)?;
        let row = Row {
            name: name.into(),
            bytes: bytes.unwrap_or_else(|| storage_bytes(graph)),
            parameters: elements.parameters,
            zeros: elements.zeros,
            multiply_adds: summary.multiply_adds,
            latency_ms,
            correct: self.test.judge(graph, &module)?,
            ..Row::default()
        };
        self.push(row, Some(module))
    }

    /// Adds a variant that was measured elsewhere, such as another engine's: its name, size, work,
    /// time and which examples it has right. `accuracy` and `against_first` are worked out here.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a name that a row has already, and for another
    /// number of examples than the test set has.
    pub fn measured(self, row: Row) -> Result<Self> {
        self.push(row, None)
    }

    fn push(mut self, mut row: Row, module: Option<GraphModule>) -> Result<Self> {
        let taken = self.rows.iter().any(|other| other.name == row.name);
        config::require(!taken, "name", &row.name, "a name that no other row has")?;
        let n = row.correct.len();
        config::require(
            n == self.test.len(),
            "correct",
            n,
            format!("{} answers", self.test.len()),
        )?;
        let right = row.correct.iter().filter(|right| **right).count();
        row.accuracy = Some(wilson(right, n, CONFIDENCE)?);
        row.against_first = match self.rows.first() {
            Some(first) => Some(mcnemar(&first.correct, &row.correct)?),
            None => None,
        };
        self.rows.push(row);
        self.modules.push(module);
        Ok(self)
    }

    /// Times all graphs again, in turns, so that what else the machine does falls on all alike.
    ///
    /// # Errors
    ///
    /// What running a graph brings.
    pub fn time_in_turns(mut self) -> Result<Self> {
        self.check_timing()?;
        let mut timed = Vec::new();
        for (at, module) in self.modules.iter().enumerate() {
            if let Some(module) = module {
                let inputs = self.test.examples(&module.graph(), self.batch)?;
                measure::run_ms(module, &inputs)?;
                timed.push((at, module, inputs, Vec::with_capacity(self.repeats)));
            }
        }
        for repeat in 0..self.repeats {
            self.test.check_stop(format_args!("timing {repeat} of {}", self.repeats))?;
            for (_, module, inputs, times_ms) in &mut timed {
                times_ms.push(measure::run_ms(module, inputs)?);
            }
        }
        for (at, _, _, times_ms) in timed {
            self.rows[at].latency_ms = median(&times_ms)?;
        }
        Ok(self)
    }

    /// The rows, in the order they were added.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row with a name.
    pub fn find(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    fn check_timing(&self) -> Result<(), ConfigError> {
        let n = self.test.first_batch();
        let expected = format!("1 to {n}, the examples in the first batch of the test set");
        config::require((1..=n).contains(&self.batch), "latency_batch", self.batch, expected)?;
        config::at_least("repeats", self.repeats, 1)
    }
}
