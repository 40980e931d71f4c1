//! All moves as first: its statistics against a recount, and what they are good for.

use std::sync::{Arc, Mutex};

use mcts::games::TicTacToe;
use mcts::random::Random;
use mcts::rule::{Rave, Rule, Second};
use mcts::tree::Children;
use mcts::{Action, Evaluator, Fork, Game, Leaves, Limits, Result, Rollout, Search, Turn, Values};

/// Whose each cell is at the end of each simulation, and its value for the first player.
type Log = Arc<Mutex<Vec<(Vec<Option<u8>>, f32)>>>;

/// Rollouts of its own that a test can look into.
#[derive(Debug, Clone)]
struct Logs(Random, Log);

impl Evaluator<Cells> for Logs {
    fn evaluate(&mut self, leaves: &mut Leaves<Cells>) -> Result<()> {
        for leaf in 0..leaves.len() {
            assert!(leaves.wants_played(leaf));
            let mut game = leaves.game(leaf).clone();
            let (mut actions, mut played) = (Vec::new(), Vec::new());
            while game.outcome().is_none() {
                actions.clear();
                game.legal_actions(&mut actions);
                let action = actions[self.0.below_u32(actions.len() as u32) as usize];
                let Turn::Player(player) = game.turn() else { panic!("a player") };
                played.push((player, action));
                game.play(action);
            }
            let values = game.outcome().unwrap();
            leaves.set_values(leaf, values);
            leaves.set_played(leaf, played);
            self.1.lock().unwrap().push((game.owners, values.of(0)));
        }
        Ok(())
    }

    fn has_priors(&self) -> bool {
        true
    }
}

impl Fork for Logs {
    fn fork(&self, worker: u64) -> Self {
        Self(Random::new(worker), Arc::clone(&self.1))
    }
}

/// Two players take twelve cells in turn; the first wins with more even ones.
#[derive(Debug, Clone, PartialEq)]
struct Cells {
    owners: Vec<Option<u8>>,
    taken: usize,
}

impl Cells {
    fn new() -> Self {
        Self { owners: vec![None; 12], taken: 0 }
    }
}

impl Game for Cells {
    const PAYOFF: mcts::Payoff = mcts::Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "cells".into()
    }

    fn actions(&self) -> usize {
        12
    }

    fn turn(&self) -> Turn {
        Turn::Player((self.taken % 2) as u8)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        actions.extend((0..12).filter(|&cell| self.owners[usize::from(cell)].is_none()));
    }

    fn play(&mut self, action: Action) {
        self.owners[usize::from(action)] = Some((self.taken % 2) as u8);
        self.taken += 1;
    }

    fn outcome(&self) -> Option<Values> {
        let evens = self.owners.iter().step_by(2).filter(|&&owner| owner == Some(0)).count();
        (self.taken == 12).then(|| Values::two(0, (evens as f32 - 3.0).clamp(-1.0, 1.0)))
    }
}

/// What the second statistic of a node's children must be after these simulations.
fn check_amaf<'a>(
    children: &Children<'_>,
    player: u8,
    log: impl Iterator<Item = &'a (Vec<Option<u8>>, f32)> + Clone,
) {
    for child in 0..children.len() {
        let cell = usize::from(children.action(child));
        let own = log.clone().filter(|(owners, _)| owners[cell] == Some(player));
        let count = own.clone().count();
        let sign = if player == 0 { 1.0 } else { -1.0 };
        let sum: f32 = own.map(|(_, value)| sign * value).sum();
        let (visits, mean) = children.second(child);
        assert_eq!(visits as usize, count, "cell {cell}");
        assert!((mean - sum / count.max(1) as f32).abs() < 1e-5, "cell {cell}");
    }
}

#[test]
fn amaf_counts_every_simulation_in_which_the_action_was_played() {
    for (threads, batch) in [(1, 1), (1, 8), (2, 1), (2, 4)] {
        let log = Log::default();
        let logs = Logs(Random::new(3), Arc::clone(&log));
        let mut search = Search::new(Rave::default(), logs).with_batch(batch);
        search.run_tree_parallel(&Cells::new(), Limits::simulations(300), threads).unwrap();
        let tree = search.tree().unwrap();
        let log = log.lock().unwrap();
        // No simulation reached an end within the tree, which no evaluator would have seen.
        assert_eq!(log.len(), tree.visits() as usize);
        check_amaf(&tree.children().unwrap(), 0, log.iter());
        if threads > 1 {
            continue;
        }
        // One below: only simulations that began with its action, which the log of one thread
        // tells apart by running the same search with its actions alone.
        let first = tree.children().unwrap().action(0);
        let log = Log::default();
        let logs = Logs(Random::new(3), Arc::clone(&log));
        let mut search = Search::new(Rave::default(), logs).with_batch(batch);
        search.allow(Some(vec![first]));
        search.run(&Cells::new(), Limits::simulations(100)).unwrap();
        let below = search.tree().unwrap().children_after(&[first]).unwrap();
        // The first simulation judged the root.
        check_amaf(&below, 1, log.lock().unwrap().iter().skip(1));
    }
}

#[test]
fn playouts_tell_what_they_played() {
    let mut leaves = Leaves::new();
    leaves.push(&TicTacToe::new(), &[]);
    assert!(!leaves.wants_played(0) && leaves.played(0).is_empty());
    assert_eq!(Rave::default().second(), Some(Second::Amaf));

    let mut search = Search::new(Rave::default(), Rollout::new(5));
    let found = search.run(&TicTacToe::new(), Limits::simulations(500)).unwrap();
    assert!(found.choices.iter().all(|choice| choice.net.is_none()), "AMAF is no net");
    let tree = search.tree().unwrap();
    let children = tree.children().unwrap();
    let (most, least) = (0..9).fold((0, u32::MAX), |(most, least), child| {
        let visits = children.second(child).0;
        (visits.max(most), visits.min(least))
    });
    // X takes about five of nine cells in a game.
    assert!(least > 100 && most < 500, "{least} to {most}");

    // The subtree that is kept has that of its own player.
    let best = found.best();
    search.advance(best).unwrap();
    let mut game = TicTacToe::new();
    game.play(best);
    search.run(&game, Limits::simulations(500)).unwrap();
    let children = search.tree().unwrap().children().unwrap();
    for child in 0..children.len() {
        let (visits, mean) = children.second(child);
        assert!(visits >= children.visits(child) && mean.abs() <= 1.0);
    }
}

#[test]
fn parameters_that_cannot_work_are_refused() {
    for rule in [
        Rave { c: -1.0, ..Rave::default() },
        Rave { equivalence: 0.0, ..Rave::default() },
        Rave { equivalence: f32::NAN, ..Rave::default() },
        Rave { virtual_loss: 0, ..Rave::default() },
    ] {
        assert!(rule.check().is_err(), "{rule:?}");
    }
}
