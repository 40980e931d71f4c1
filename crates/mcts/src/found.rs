//! The result of a search.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::game::Action;
use crate::nodes::Proven;
use crate::random::Random;

/// What a search knows about one action at the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Choice {
    /// The action.
    pub action: Action,
    /// How the game writes it.
    pub name: String,
    /// How often it was visited.
    pub visits: u32,
    /// Its mean value for the player to move, exact where it is proven.
    pub value: f32,
    /// Its prior probability, noise included.
    pub prior: f32,
    /// Its probability in the policy that the search found.
    pub policy: f32,
    /// What is proven about it.
    pub proven: Option<Proven>,
    /// The mean of a net's values, where they are kept apart from rollouts.
    pub net: Option<f32>,
}

/// All that a search found. It prints itself as a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Found {
    /// The game.
    pub game: String,
    /// The actions: the best first, then the others by visits.
    pub choices: Vec<Choice>,
    /// The value of the position for the player to move.
    pub value: f32,
    /// Visits of the root, those kept from earlier searches included.
    pub visits: u32,
    /// Simulations of this search.
    pub simulations: u64,
    /// Nodes of the tree, unvisited children included.
    pub nodes: usize,
    /// What is proven about the position, for the player to move.
    pub proven: Option<Proven>,
    /// The line of best play, with names.
    pub principal_variation: Vec<(Action, String)>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Found {
    /// The action to play.
    pub fn best(&self) -> Action {
        // A search returns only positions that have an action.
        self.choices.first().map_or(0, |choice| choice.action)
    }

    /// What is known about the best action.
    pub fn best_choice(&self) -> Option<&Choice> {
        self.choices.first()
    }

    /// An action drawn in proportion to its visits to the power of 1 / `temperature`: 1 follows
    /// the visits, towards 0 the best action is played. Where the position is proven, of the actions
    /// that keep the result alone, and never one that is proven to lose while others are left.
    pub fn sample(&self, temperature: f32, random: &mut Random) -> Action {
        let most = self.choices.iter().map(|choice| choice.visits).max().unwrap_or(0).max(1);
        if temperature <= 1e-3 {
            return self.best();
        }
        let keeps = |choice: &Choice| match self.proven {
            Some(_) => choice.proven == self.proven,
            None => choice.proven != Some(Proven::Loss),
        };
        let weight = |choice: &Choice| {
            let share = choice.visits as f32 / most as f32;
            f32::from(keeps(choice)) * share.powf(1.0 / temperature)
        };
        let weights: Vec<f32> = self.choices.iter().map(weight).collect();
        random.weighted_f32(&weights).map_or(self.best(), |index| self.choices[index].action)
    }

    /// Adds what another search of the same position found (root parallelism).
    pub(crate) fn merge(&mut self, other: &Self) {
        for choice in &mut self.choices {
            let Some(more) = other.choices.iter().find(|more| more.action == choice.action) else {
                continue;
            };
            let visits = choice.visits + more.visits;
            let mean = |a: f32, b: f32| {
                let weighted =
                    f64::from(a) * f64::from(choice.visits) + f64::from(b) * f64::from(more.visits);
                (weighted / f64::from(visits.max(1))) as f32
            };
            choice.proven = choice.proven.or(more.proven);
            choice.value = choice.proven.map_or(mean(choice.value, more.value), Proven::value);
            choice.policy = mean(choice.policy, more.policy);
            choice.visits = visits;
        }
        let visits = f64::from(self.visits) + f64::from(other.visits);
        let sum = f64::from(self.value) * f64::from(self.visits)
            + f64::from(other.value) * f64::from(other.visits);
        self.proven = self.proven.or(other.proven);
        self.value = self.proven.map_or((sum / visits.max(1.0)) as f32, Proven::value);
        self.visits += other.visits;
        self.simulations += other.simulations;
        self.nodes += other.nodes;
    }

    /// Puts the best action of a merged result first.
    pub(crate) fn rank(&mut self) {
        let proven = self.proven;
        self.choices.sort_by(|a, b| {
            let keeps = |choice: &Choice| proven.is_some() && choice.proven == proven;
            let lost = |choice: &Choice| choice.proven == Some(Proven::Loss);
            (keeps(b), !lost(b), b.visits, b.value)
                .partial_cmp(&(keeps(a), !lost(a), a.visits, a.value))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        if let Some(best) = self.choices.first()
            && self.principal_variation.first().map(|first| first.0) != Some(best.action)
        {
            self.principal_variation = vec![(best.action, best.name.clone())];
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let shown = &self.choices[..self.choices.len().min(SHOWN)];
        let width = shown.iter().map(|choice| choice.name.len()).max().unwrap_or(0).max(6);
        writeln!(
            f,
            "{:<width$}  {:>9}  {:>7}  {:>6}  proven",
            "action", "visits", "value", "prior"
        )?;
        for choice in shown {
            let Choice { name, visits, value, prior, .. } = choice;
            write!(f, "{name:<width$}  {visits:>9}  {value:>+7.3}  {prior:>6.3}")?;
            match choice.proven {
                Some(Proven::Win) => writeln!(f, "  win")?,
                Some(Proven::Draw) => writeln!(f, "  draw")?,
                Some(Proven::Loss) => writeln!(f, "  loss")?,
                None => writeln!(f)?,
            }
        }
        if self.choices.len() > SHOWN {
            writeln!(f, "and {} more", self.choices.len() - SHOWN)?;
        }
        write!(
            f,
            "value {:+.3}, {} simulations, {} nodes, {:.2} s",
            self.value,
            self.simulations,
            self.nodes,
            self.elapsed.as_secs_f64()
        )?;
        if !self.principal_variation.is_empty() {
            f.write_str(", line")?;
            for (_, name) in self.principal_variation.iter().take(12) {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}
