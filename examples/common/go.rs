//! Go rules by name, for examples.

use ::mcts::go::Rules;
use clap::ValueEnum;

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
