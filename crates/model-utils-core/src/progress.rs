//! Events as a bar on the terminal.

use std::fmt::Write as _;

use indicatif::{ProgressBar as Bar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, Observer};

/// Draws a run on the terminal's standard error: a bar, the newest metrics and the time left.
/// Where standard error is no terminal nothing is drawn.
#[derive(Debug, Default)]
pub struct ProgressBar {
    bar: Option<Bar>,
    steps: String,
    epochs: String,
}

impl ProgressBar {
    /// A bar that appears when the run starts.
    pub fn new() -> Self {
        Self::default()
    }

    fn show(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} {}", self.steps, self.epochs));
        }
    }
}

impl Observer for ProgressBar {
    fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { task, step, of } => {
                let bar = match of {
                    Some(of) => Bar::new(*of).with_style(style(
                        "{prefix} {bar:28.cyan/dim} {pos}/{len} {elapsed_precise}<{eta_precise} {msg}",
                    )),
                    None => Bar::new_spinner()
                        .with_style(style("{prefix} {spinner} {pos} {elapsed_precise} {msg}")),
                };
                bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
                bar.set_prefix((*task).to_owned());
                bar.set_position(*step);
                bar.reset_eta();
                self.bar = Some(bar);
            }
            Event::Step { step, metrics, .. } => {
                self.steps = text(metrics);
                if let Some(bar) = &self.bar {
                    bar.set_position(*step);
                }
                self.show();
            }
            Event::Epoch { metrics, .. } => {
                self.epochs = text(metrics);
                self.show();
            }
            Event::Finished { .. } => {
                if let Some(bar) = self.bar.take() {
                    bar.abandon();
                }
            }
            Event::Saved { .. } => {}
        }
    }
}

/// The templates are constants of this file, tested below.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
}

fn text(metrics: &[(&str, f64)]) -> String {
    metrics.iter().fold(String::new(), |mut text, (name, value)| {
        let gap = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{gap}{name} {value:.4}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_read_as_a_line() {
        assert_eq!(text(&[("train_loss", 0.51234), ("lr", 0.1)]), "train_loss 0.5123 lr 0.1000");
    }

    #[test]
    fn a_run_without_a_terminal_draws_nothing_and_ends() {
        let mut bar = ProgressBar::new();
        bar.observe(&Event::Started { task: "test", step: 0, of: None });
        bar.observe(&Event::Started { task: "test", step: 3, of: Some(9) });
        assert_eq!(bar.bar.as_ref().map(Bar::position), Some(3));
        bar.observe(&Event::Step {
            step: 4,
            of: Some(9),
            epoch: 0,
            items: 1,
            metrics: &[("a", 1.0)],
        });
        assert_eq!(bar.bar.as_ref().map(Bar::position), Some(4));
    }
}
