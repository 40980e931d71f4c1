//! Kalah, six pits with four seeds each.

use std::fmt;

use mcts::{Action, Game, Payoff, Turn, Values};

/// Pits of a player.
const PITS: usize = 6;
/// The store of player 0; its pits are 0 to 5, those of player 1 are 7 to 12, and 13 is its store.
const STORE: usize = 6;
/// More than half of all seeds.
const ENOUGH: u8 = 25;

/// A position. Equal positions are equal, whatever was played before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kalah {
    seeds: [u8; 14],
    mover: u8,
}

impl Kalah {
    /// The start.
    pub(crate) fn new() -> Self {
        let mut seeds = [4; 14];
        (seeds[STORE], seeds[STORE + 7]) = (0, 0);
        Self { seeds, mover: 0 }
    }

    fn pits(&self, player: usize) -> &[u8] {
        &self.seeds[7 * player..][..PITS]
    }

    fn store(&self, player: usize) -> u8 {
        self.seeds[7 * player + STORE]
    }
}

impl Game for Kalah {
    // Two players, who win, draw or lose: results can be proven.
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "kalah 6x4".to_owned()
    }

    // An action is a pit, counted from the mover's left.
    fn actions(&self) -> usize {
        PITS
    }

    // Not one after the other: who ends in the own store goes on.
    fn turn(&self) -> Turn {
        Turn::Player(self.mover)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.outcome().is_none() {
            let pits = self.pits(self.mover.into()).iter().enumerate();
            actions.extend(pits.filter(|(_, seeds)| **seeds > 0).map(|(pit, _)| pit as Action));
        }
    }

    fn play(&mut self, action: Action) {
        let mover = usize::from(self.mover);
        let (store, other) = (7 * mover + STORE, 7 * (mover ^ 1) + STORE);
        let mut at = 7 * mover + usize::from(action);
        for _ in 0..std::mem::take(&mut self.seeds[at]) {
            at = (at + 1) % 14;
            if at == other {
                at = (at + 1) % 14;
            }
            self.seeds[at] += 1;
        }
        // The last seed in an empty pit of one's own captures what lies opposite.
        let is_own_pit = at != store && at / 7 == mover;
        if is_own_pit && self.seeds[at] == 1 && self.seeds[12 - at] > 0 {
            self.seeds[store] += std::mem::take(&mut self.seeds[12 - at]);
            self.seeds[store] += std::mem::take(&mut self.seeds[at]);
        }
        if at != store {
            self.mover ^= 1;
        }
        // Who has nothing to sow leaves the rest to the other.
        if self.pits(self.mover.into()).iter().all(|seeds| *seeds == 0) {
            for player in 0..2 {
                let rest: u8 = self.pits(player).iter().sum();
                self.seeds[7 * player + STORE] += rest;
                self.seeds[7 * player..][..PITS].fill(0);
            }
        }
    }

    fn outcome(&self) -> Option<Values> {
        let (first, second) = (self.store(0), self.store(1));
        let is_empty = self.pits(0).iter().chain(self.pits(1)).all(|seeds| *seeds == 0);
        if !is_empty && first < ENOUGH && second < ENOUGH {
            return None;
        }
        Some(Values::two(0, (f32::from(first) - f32::from(second)).clamp(-1.0, 1.0)))
    }

    fn action_name(&self, action: Action) -> String {
        char::from(b'a' + action as u8).to_string()
    }
}

impl fmt::Display for Kalah {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |pits: &mut dyn Iterator<Item = &u8>| {
            pits.map(|seeds| format!("{seeds:2}")).collect::<Vec<_>>().join(" ")
        };
        writeln!(f, "     f  e  d  c  b  a")?;
        writeln!(f, "    {}", row(&mut self.pits(1).iter().rev()))?;
        writeln!(f, "{:2}                      {:2}", self.store(1), self.store(0))?;
        writeln!(f, "    {}", row(&mut self.pits(0).iter()))?;
        write!(f, "     a  b  c  d  e  f   player {} to move", self.mover)
    }
}
