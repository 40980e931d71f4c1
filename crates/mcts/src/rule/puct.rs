//! PUCT: priors guide the search.

use model_utils_core::{ConfigError, config};

use super::{Dirichlet, Rule};
use crate::error::Result;
use crate::nodes::Children;

/// First-play urgency: the value of a child that was never visited.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fpu {
    /// A fixed value, for example 0.
    Value(f32),
    /// The value of the node, less this times √(the priors of the visited children), as Leela
    /// Zero (0.25) and lc0 (0.33) do.
    Reduction(f32),
}

impl Fpu {
    pub(crate) fn value(self, children: &Children<'_>) -> f32 {
        match self {
            Self::Value(value) => value,
            Self::Reduction(reduction) => {
                children.node_value() - reduction * children.visited_prior().sqrt()
            }
        }
    }

    pub(crate) fn check(self) -> Result<(), ConfigError> {
        let (Self::Value(number) | Self::Reduction(number)) = self;
        config::finite("fpu", number)
    }
}

/// Which scale values are put on before priors are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As they are: games whose outcomes lie in −1..1.
    Plain,
    /// From 0 for the least to 1 for the greatest among the node and its children; a child that
    /// was never visited gets 0 (`MuZero`; mctx's `qtransform_by_parent_and_siblings`).
    ParentAndSiblings,
}

/// PUCT (`AlphaZero`, Silver et al. 2018): `Q + c(N) · P √N / (1 + n)` with
/// `c(N) = c_init + ln((N + c_base + 1) / c_base)`; N is the node's visits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Puct {
    /// Exploration at few visits: 1.25.
    pub c_init: f32,
    /// How slowly exploration grows with the visits: 19652.
    pub c_base: f32,
    /// The value of a child without visits.
    pub fpu: Fpu,
    /// The scale of the values.
    pub scale: Scale,
    /// Noise at the root: none unless a game against oneself wants it.
    pub root_noise: Option<Dirichlet>,
    /// Lost visits for one on its way: 1.
    pub virtual_loss: u32,
}

impl Default for Puct {
    fn default() -> Self {
        Self {
            c_init: 1.25,
            c_base: 19652.0,
            fpu: Fpu::Reduction(0.25),
            scale: Scale::Plain,
            root_noise: None,
            virtual_loss: 1,
        }
    }
}

impl Puct {
    /// The same rule with noise at the root.
    #[must_use]
    pub const fn with_root_noise(mut self, noise: Dirichlet) -> Self {
        self.root_noise = Some(noise);
        self
    }

    /// The same rule with another first-play urgency.
    #[must_use]
    pub const fn with_fpu(mut self, fpu: Fpu) -> Self {
        self.fpu = fpu;
        self
    }
}

impl Rule for Puct {
    type Root = ();

    fn check(&self) -> Result<(), ConfigError> {
        config::not_negative("c_init", self.c_init)?;
        config::positive("c_base", self.c_base)?;
        config::at_least("virtual_loss", self.virtual_loss, 1)?;
        self.fpu.check()?;
        self.root_noise.map_or(Ok(()), Dirichlet::check)
    }

    #[inline]
    fn choose(&self, children: &Children<'_>) -> usize {
        let visits = children.node_visits() as f32;
        let c = self.c_init + ((visits + self.c_base + 1.0) / self.c_base).ln();
        let explore = c * visits.sqrt();
        match self.scale {
            Scale::Plain => {
                let fpu = self.fpu.value(children);
                children.argmax(|child| {
                    let n = children.visits(child);
                    let value = if n == 0 { fpu } else { children.mean(child) };
                    value + explore * children.prior(child) / (1.0 + n as f32)
                })
            }
            Scale::ParentAndSiblings => {
                let (mut least, mut greatest) = (children.node_value(), children.node_value());
                for child in 0..children.len() {
                    if children.visits(child) > 0 {
                        least = least.min(children.mean(child));
                        greatest = greatest.max(children.mean(child));
                    }
                }
                let span = (greatest - least).max(1e-8);
                children.argmax(|child| {
                    let n = children.visits(child);
                    let value = if n == 0 { 0.0 } else { (children.mean(child) - least) / span };
                    value + explore * children.prior(child) / (1.0 + n as f32)
                })
            }
        }
    }

    fn root_noise(&self) -> Option<Dirichlet> {
        self.root_noise
    }

    fn virtual_loss(&self) -> u32 {
        self.virtual_loss
    }
}
