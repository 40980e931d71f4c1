//! How good translations are: BLEU and chrF equal to sacreBLEU's, and whether two systems differ.
//!
//! ```
//! use transformer::metrics::{Bleu, Chrf, Metric as _, paired_bootstrap};
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
//! # Ok::<(), transformer::Error>(())
//! ```

mod bleu;
mod bleu_tokenizer;
mod chrf;
mod metric;
mod paired_bootstrap;

pub use bleu::{Bleu, BleuScore, Smoothing};
pub use bleu_tokenizer::BleuTokenizer;
pub use chrf::Chrf;
pub use metric::Metric;
pub use paired_bootstrap::{PairedBootstrap, paired_bootstrap};
