//! Go rules by name and how much a player thinks, for examples.

use std::time::Duration;

use ::mcts::Limits;
use ::mcts::go::Rules;
use clap::{Args, ValueEnum};

use crate::flags::{STEPS, TIME_S, positive, within};

/// How much an engine thinks about a move.
#[derive(Debug, Args)]
pub struct Thought {
    /// Seconds a move, where no clock runs: how well it plays in them depends on the processor
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = positive(TIME_S))]
    seconds: f64,
    /// Simulations a move instead, where no clock runs
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = within(2..=STEPS))]
    simulations: Option<u64>,
    /// Threads that search the tree
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1..=256_usize))]
    pub threads: usize,
}

impl Thought {
    /// The limits of a search.
    pub fn limits(&self) -> Limits {
        let time = || Limits::time(Duration::from_secs_f64(self.seconds));
        self.simulations.map_or_else(time, Limits::simulations)
    }

    /// In words.
    pub fn each_move(&self) -> String {
        match self.simulations {
            Some(simulations) => format!("{simulations} simulations a move"),
            None => format!("{} s a move: the result depends on the processor", self.seconds),
        }
    }

    /// All that a result depends on.
    pub fn settings(&self) -> serde_json::Value {
        let Self { seconds, simulations, threads } = self;
        let seconds = simulations.is_none().then_some(seconds);
        serde_json::json!({"seconds": seconds, "simulations": simulations, "threads": threads})
    }
}

/// The rule sets that examples know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RuleSet {
    /// Positional superko, no suicide; komi 7.5
    Chinese,
    /// As chinese, komi 7: computers on 9×9
    Computer,
    /// Positional superko, suicide; komi 7.5
    #[value(name = "tromp_taylor")]
    TrompTaylor,
    /// Situational superko, no suicide; komi 7.5
    American,
    /// Simple ko, no suicide, territory counted; komi 6.5
    Japanese,
}

impl RuleSet {
    /// The rules.
    pub fn rules(self) -> Rules {
        match self {
            Self::Chinese => Rules::chinese(),
            Self::Computer => Rules::computer(),
            Self::TrompTaylor => Rules::tromp_taylor(),
            Self::American => Rules::american(),
            Self::Japanese => Rules::japanese(),
        }
    }
}
