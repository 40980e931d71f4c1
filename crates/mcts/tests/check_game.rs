//! `check_game` and its like find what a game breaks, and raise no alarm on a sound one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mcts::check::{Breach, check_encoding, check_game, check_hash, check_symmetries};
use mcts::games::{ConnectFour, Othello, TicTacToe};
use mcts::go::{Go, Rules};
use mcts::{Action, Encode, Game, Hashed, Payoff, Symmetry, Turn, Values, random::mix};

#[test]
fn no_alarm_on_the_built_in_games() {
    fn check<G: Symmetry + Hashed>(game: &G) {
        let name = game.name();
        assert_eq!(check_game(game), [], "{name}");
        assert_eq!(check_hash(game), [], "{name}");
        assert_eq!(check_encoding(game), [], "{name}");
        assert_eq!(check_symmetries(game), [], "{name}");
    }
    check(&TicTacToe::new());
    check(&ConnectFour::new());
    check(&Othello::new());
    for rules in [Rules::chinese(), Rules::tromp_taylor(), Rules::computer()] {
        check(&Go::new(5, rules).unwrap());
    }
    assert_eq!(check_game(&Go::new(9, Rules::chinese()).unwrap()), []);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    LegalRefused,
    IllegalAccepted,
    AfterTheEnd,
    Stuck,
    Order,
    Player,
    OtherPlayer,
    TooMuch,
    NotZeroSum,
    Chances,
    Random,
    Shared,
    Name,
    Rollout,
    HashOfPast,
    HashOfNothing,
    Planes,
    Symmetry,
}

/// Five heaps in a row; who takes the last counter wins, and a die says who begins.
#[derive(Debug, Clone)]
struct Heaps {
    fault: Fault,
    counters: [u8; 5],
    /// None before the die.
    mover: Option<u8>,
    moves: u32,
    last: Action,
    shared: Arc<AtomicU32>,
}

impl PartialEq for Heaps {
    fn eq(&self, other: &Self) -> bool {
        (self.counters, self.mover) == (other.counters, other.mover)
    }
}

impl Heaps {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            counters: [1, 2, 3, 2, 1],
            mover: None,
            moves: 0,
            last: 0,
            shared: Arc::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.counters == [0; 5]
    }
}

impl Game for Heaps {
    const PAYOFF: Payoff = Payoff::WinDrawLoss;

    fn name(&self) -> String {
        "heaps".to_owned()
    }

    fn actions(&self) -> usize {
        5
    }

    fn turn(&self) -> Turn {
        match self.mover {
            None => Turn::Chance,
            Some(_) if self.fault == Fault::Player && self.moves == 3 => Turn::Player(2),
            Some(mover) => Turn::Player(mover),
        }
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        if self.mover.is_none() {
            actions.extend([0, 1]);
            return;
        }
        let stuck = self.fault == Fault::Stuck && self.moves == 4;
        let full = (0..5).filter(|heap| self.counters[usize::from(*heap)] > 0 && !stuck);
        actions.extend(full);
        if self.fault == Fault::Order {
            actions.reverse();
        }
        if self.fault == Fault::AfterTheEnd && self.is_over() {
            actions.push(0);
        }
        if self.fault == Fault::Shared {
            actions.retain(|_| self.shared.load(Ordering::Relaxed) < 40);
        }
    }

    fn play(&mut self, action: Action) {
        (self.moves, self.last) = (self.moves + 1, action);
        self.shared.fetch_add(1, Ordering::Relaxed);
        let Some(mover) = self.mover else {
            self.mover = Some(action as u8);
            return;
        };
        let odd = self.fault == Fault::Random && self.shared.load(Ordering::Relaxed) % 7 == 3;
        let heap = &mut self.counters[usize::from(action)];
        *heap = heap.saturating_sub(1 + u8::from(odd));
        self.mover = Some(mover ^ 1);
    }

    fn outcome(&self) -> Option<Values> {
        let loser = self.mover.filter(|_| self.is_over())?;
        Some(match self.fault {
            Fault::OtherPlayer => Values::from_slice(&[0.0, 0.0, 1.0]),
            Fault::TooMuch => Values::two(loser.into(), -3.0),
            Fault::NotZeroSum => Values::from_slice(&[1.0, 1.0]),
            _ => Values::two(loser.into(), -1.0),
        })
    }

    fn chances(&self, probabilities: &mut Vec<f32>) {
        probabilities.extend([0.5, if self.fault == Fault::Chances { 0.6 } else { 0.5 }]);
    }

    fn is_legal(&self, action: Action) -> bool {
        let mut actions = Vec::new();
        self.legal_actions(&mut actions);
        match self.fault {
            Fault::LegalRefused if action == 2 => false,
            Fault::IllegalAccepted if action == 4 => true,
            _ => actions.contains(&action),
        }
    }

    fn action_name(&self, action: Action) -> String {
        match self.fault {
            Fault::Name => "heap".to_owned(),
            _ => format!("heap {action}"),
        }
    }

    fn rollout(
        &mut self,
        random: &mut mcts::random::Random,
        actions: &mut Vec<Action>,
    ) -> Option<Values> {
        if self.fault == Fault::Rollout {
            return None;
        }
        loop {
            if let Some(values) = self.outcome() {
                return Some(values);
            }
            actions.clear();
            self.legal_actions(actions);
            let index = random.below_u32(actions.len() as u32) as usize;
            self.play(*actions.get(index)?);
        }
    }
}

impl Hashed for Heaps {
    fn hash(&self) -> u64 {
        let heaps = self.counters.iter().fold(1, |sum, heap| mix(sum, u64::from(*heap)));
        let mover = mix(heaps, self.mover.map_or(9, u64::from));
        match self.fault {
            Fault::HashOfPast => mix(mover, u64::from(self.last)),
            Fault::HashOfNothing => u64::from(self.moves % 2),
            _ => mover,
        }
    }
}

impl Encode for Heaps {
    fn shape(&self) -> [usize; 3] {
        [1, 1, 5]
    }

    fn encode(&self, planes: &mut [f32]) {
        let written = if self.fault == Fault::Planes { 4 } else { 5 };
        for (plane, heap) in planes.iter_mut().zip(self.counters).take(written) {
            *plane = f32::from(heap);
        }
    }
}

impl Symmetry for Heaps {
    fn symmetries(&self) -> usize {
        2
    }

    fn transform_point(&self, symmetry: usize, point: usize) -> usize {
        if symmetry == 0 { point } else { 4 - point }
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        // The die is thrown by actions too, and they stay.
        match (symmetry, self.mover) {
            (0, _) | (_, None) => action,
            _ if self.fault == Fault::Symmetry => action,
            _ => 4 - action,
        }
    }
}

fn all(fault: Fault) -> Vec<Breach> {
    let game = Heaps::new(fault);
    let mut found = check_game(&game);
    found.extend(check_hash(&game));
    found.extend(check_encoding(&game));
    found
}

#[test]
fn every_fault_is_found() {
    assert_eq!(all(Fault::None), []);
    let find = |fault, is: fn(&Breach) -> bool| {
        let found = all(fault);
        assert!(found.iter().any(is), "{fault:?}: {found:?}");
        assert!(found.iter().all(|breach| !breach.to_string().is_empty()));
    };
    find(Fault::LegalRefused, |b| matches!(b, Breach::LegalRefused(_)));
    find(Fault::IllegalAccepted, |b| matches!(b, Breach::IllegalAccepted(_)));
    find(Fault::AfterTheEnd, |b| matches!(b, Breach::End(_)));
    find(Fault::Stuck, |b| matches!(b, Breach::End(_)));
    find(Fault::Order, |b| matches!(b, Breach::Actions(_)));
    find(Fault::Player, |b| matches!(b, Breach::Turn(_)));
    find(Fault::OtherPlayer, |b| matches!(b, Breach::Outcome(_)));
    find(Fault::TooMuch, |b| matches!(b, Breach::Outcome(_)));
    find(Fault::NotZeroSum, |b| matches!(b, Breach::Outcome(_)));
    find(Fault::Chances, |b| matches!(b, Breach::Chances(_)));
    find(Fault::Random, |b| matches!(b, Breach::NotDeterministic(_) | Breach::Shared(_)));
    find(Fault::Shared, |b| matches!(b, Breach::Shared(_)));
    find(Fault::Name, |b| matches!(b, Breach::Name(_)));
    find(Fault::Rollout, |b| matches!(b, Breach::Rollout(_)));
    find(Fault::HashOfPast, |b| matches!(b, Breach::Hash(_)));
    find(Fault::HashOfNothing, |b| matches!(b, Breach::Hash(_)));
    find(Fault::Planes, |b| matches!(b, Breach::Planes(_)));

    let mut begun = Heaps::new(Fault::Symmetry);
    begun.play(0);
    let found = check_symmetries(&begun);
    assert!(matches!(found[..], [Breach::Symmetry(_)]), "{found:?}");
    let mut begun = Heaps::new(Fault::None);
    begun.play(0);
    assert_eq!(check_symmetries(&begun), []);
}
