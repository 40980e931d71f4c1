//! How good translations are: BLEU, chrF and TER equal to sacreBLEU's, how sure a score
//! is, and whether two systems differ.
//!
//! ```
//! use transformer::metrics::{Bleu, Chrf, Metric as _, MetricName, paired_bootstrap};
//!
//! let references = ["The dog bit the man.", "It was not unexpected."];
//! let ours = ["The dog bit the man.", "It was not surprising."];
//! let bleu = Bleu::new().corpus(&ours, &references)?;
//! println!("{bleu}"); // BLEU = 59.46 87.5/70.0/60.0/50.0 (BP = 1.000 …)
//! assert!((bleu.score - Bleu::new().score(&ours, &references)?).abs() < 1e-12);
//!
//! let theirs = ["The dog bit a man.", "It was a surprise."];
//! let paired = paired_bootstrap(&Chrf::new(), &ours, &theirs, &references, 100, 42)?;
//! assert!(paired.difference.estimate > 0.0);
//!
//! // A metric by its name, as a command line gives it; 13a would take each sentence for one word.
//! let metric: MetricName = "bleu:char".parse()?;
//! let score = metric.score(&["うさぎは木の下で眠る。"], &["うさぎが木の下で眠っている。"])?;
//! assert!((score - 39.26).abs() < 0.01, "{score}");
//! # Ok::<(), transformer::Error>(())
//! ```

mod bleu;
mod bleu_tokenizer;
mod bootstrap;
mod chrf;
mod edit_rate;
mod metric;
mod metric_name;
mod ter;

pub use bleu::{Bleu, BleuScore, Smoothing};
pub use bleu_tokenizer::BleuTokenizer;
pub use bootstrap::{PairedBootstrap, bootstrap_interval, paired_bootstrap};
pub use chrf::Chrf;
pub use metric::Metric;
pub use metric_name::MetricName;
pub use ter::Ter;
