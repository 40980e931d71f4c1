//! What the tests of searches share.
#![allow(dead_code, missing_docs, unreachable_pub)] // Each takes what it needs.

use mcts::rule::Rule;
use mcts::{Action, Evaluator, Found, Game, Leaves, Limits, Result, Rollout, Search, Tree, Values};

/// Equal priors, value 0.
#[derive(Debug, Clone, Copy)]
pub struct Even;

impl<G: Game> Evaluator<G> for Even {
    fn evaluate(&mut self, _leaves: &mut Leaves<G>) -> Result<()> {
        Ok(())
    }
}

impl<G: Game> mcts::Deferred<G> for Even {
    fn evaluate_now(&mut self, _leaves: &mut Leaves<G>) -> Result<()> {
        Ok(())
    }

    fn evaluate_later(&mut self, _leaves: &mut Leaves<G>) -> Result<()> {
        Ok(())
    }
}

impl mcts::Fork for Even {
    fn fork(&self, _worker: u64) -> Self {
        *self
    }
}

pub fn run<G: Game, R: Rule>(rule: R, game: &G, simulations: u64) -> Found {
    Search::new(rule, Rollout::new(1)).run(game, Limits::simulations(simulations)).unwrap()
}

/// All visits of a tree, node by node, must add up.
pub fn check_counts<G: Game, R: Rule>(tree: &Tree<G, R>, line: &mut Vec<Action>) {
    let Some(children) = tree.children_after(line) else { return };
    let below: u32 = (0..children.len()).map(|child| children.visits(child)).sum();
    assert!(below <= children.node_visits(), "after {line:?}");
    for child in 0..children.len() {
        assert!((-1.0..=1.0).contains(&children.mean(child)), "after {line:?}");
        if children.visits(child) > 0 {
            line.push(children.action(child));
            check_counts(tree, line);
            line.pop();
        }
    }
}

/// Says what a test tells it to.
#[derive(Debug, Clone, Copy)]
pub struct Says(pub f32, pub f32);

impl<G: Game> Evaluator<G> for Says {
    fn evaluate(&mut self, leaves: &mut Leaves<G>) -> Result<()> {
        for leaf in 0..leaves.len() {
            leaves.actions_and_priors(leaf).1.fill(self.0);
            leaves.set_values(leaf, Values::two(0, self.1));
        }
        Ok(())
    }
}
