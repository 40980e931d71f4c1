//! The parts of a training loop: the [`Run`] that it holds, with its [`Budget`], [`Event`]s to an
//! [`Observer`], learning curves and checkpoints; a learning-rate [`Schedule`], early stopping, weight
//! averaging, and a supervised loop built of them.
//!
//! A loop tells what happens as events and never prints. Observers decide what becomes of them:
//! [`ProgressBar`] draws, [`JsonLines`] and [`CsvLog`] write, [`History`] collects curves,
//! [`Stop`] ends the run at the next step; a tuple of observers is an observer.
//!
//! ```
//! use model_utils::train::{Event, Observer, Silent};
//!
//! struct LastLoss(f64);
//! impl Observer for LastLoss {
//!     fn observe(&mut self, event: &Event<'_>) {
//!         if let Some(loss) = event.metric("train_loss") {
//!             self.0 = loss;
//!         }
//!     }
//! }
//! let mut observer = (LastLoss(f64::NAN), Silent);
//! observer.observe(&Event::Step {
//!     step: 1,
//!     of: Some(10),
//!     epoch: 0,
//!     items: 32,
//!     metrics: &[("train_loss", 0.5)],
//! });
//! assert_eq!(observer.0.0, 0.5);
//! ```

mod average;
mod batches;
mod early_stopping;
mod supervised;

pub use average::{Ema, mean_of};
pub use batches::Batches;
pub use early_stopping::EarlyStopping;
pub use model_utils_core::budget::{Budget, Spent};
pub use model_utils_core::event::{Asks, Event, Observer, Silent, Stop, StopReason, Stoppable};
pub use model_utils_core::history::{Curve, History};
pub use model_utils_core::log::{CsvLog, JsonLines};
pub use model_utils_core::progress::ProgressBar;
pub use model_utils_core::run::{Ended, Run};
pub use model_utils_core::schedule::Schedule;
pub use supervised::{Evaluation, StepOutput, Supervised, SupervisedConfig, Trained};
