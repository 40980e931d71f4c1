//! What a game is: the trait to implement, and the optional traits beside it.

use std::ops::Neg;

use crate::error::{Error, Result};
use crate::random::Random;
use crate::rollout::play_evenly;

/// An action, numbered by the game from 0 to below [`Game::actions`].
pub type Action = u16;

/// The most players that a game can have.
pub const MAX_PLAYERS: usize = 8;

/// What a position is worth for each player, usually from −1 (lost) to 1 (won).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Values([f32; MAX_PLAYERS]);

impl Values {
    /// 0 for everybody.
    pub const DRAW: Self = Self([0.0; MAX_PLAYERS]);

    /// Two players, one's gain is the other's loss: `value` for `player` (0 or 1), its negative
    /// for the other.
    #[inline]
    pub const fn two(player: usize, value: f32) -> Self {
        let mut values = [0.0; MAX_PLAYERS];
        values[player & 1] = value;
        values[(player & 1) ^ 1] = -value;
        Self(values)
    }

    /// One value a player; players beyond [`MAX_PLAYERS`] are ignored.
    pub fn from_slice(of_players: &[f32]) -> Self {
        let mut values = [0.0; MAX_PLAYERS];
        for (value, &given) in values.iter_mut().zip(of_players) {
            *value = given;
        }
        Self(values)
    }

    /// Values that are given in the order of the turns, beginning with those of `player`.
    #[cfg(feature = "burn")]
    pub(crate) fn from_turn(player: usize, in_turn: &[f32]) -> Self {
        let mut values = [0.0; MAX_PLAYERS];
        for (after, &value) in in_turn.iter().enumerate() {
            values[(player + after) % in_turn.len()] = value;
        }
        Self(values)
    }

    /// The value for a player, counted from 0.
    ///
    /// # Panics
    ///
    /// Where `player` is not below [`MAX_PLAYERS`].
    #[inline]
    pub const fn of(&self, player: usize) -> f32 {
        self.0[player]
    }

    /// All values; those beyond the game's players are 0.
    pub const fn as_array(&self) -> &[f32; MAX_PLAYERS] {
        &self.0
    }

    /// (1 − `weight`) · `self` + `weight` · `other`.
    #[must_use]
    pub fn mix(&self, other: &Self, weight: f32) -> Self {
        Self(std::array::from_fn(|player| {
            (1.0 - weight) * self.0[player] + weight * other.0[player]
        }))
    }

    /// `paid` + `discount` · `self`.
    pub(crate) fn discounted(&self, discount: f32, paid: &Self) -> Self {
        Self(std::array::from_fn(|player| paid.0[player] + discount * self.0[player]))
    }
}

impl Neg for Values {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.map(|value| -value))
    }
}

/// How the outcomes of a game's players hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payoff {
    /// In no way that a search could use.
    General,
    /// Two players, and what one gets the other loses.
    ZeroSum,
    /// The same, and the outcomes are −1, 0 and 1 alone: wins, draws and losses can be proven.
    WinDrawLoss,
}

/// Who acts next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A player, counted from 0.
    Player(u8),
    /// Nobody: the next action is drawn with the probabilities of [`Game::chances`].
    Chance,
}

impl Turn {
    /// The player's number; `None` for chance.
    #[inline]
    pub const fn player(self) -> Option<usize> {
        match self {
            Self::Player(player) => Some(player as usize),
            Self::Chance => None,
        }
    }
}

/// Whether what one player gets is what the other loses.
pub(crate) fn sums_to_zero<G: Game>(game: &G) -> bool {
    game.players() == 2 && G::PAYOFF != Payoff::General
}

/// What chance plays here; `None` where a player is to move or the game has ended.
///
/// # Errors
///
/// [`Error::NoActions`] where chance has none.
pub(crate) fn draw_chance<G: Game>(game: &G, random: &mut Random) -> Result<Option<Action>> {
    if game.outcome().is_some() || game.turn() != Turn::Chance {
        return Ok(None);
    }
    let (mut actions, mut chances) = (Vec::new(), Vec::new());
    game.legal_actions(&mut actions);
    game.chances(&mut chances);
    let drawn = random.weighted_f32(&chances).and_then(|index| actions.get(index));
    drawn.copied().map(Some).ok_or_else(|| Error::NoActions { game: game.name() })
}

/// A position of a game together with its rules.
///
/// A search clones a position once a simulation into a place that it keeps, by `clone_from`: a
/// game that owns memory should implement it so that nothing is allocated.
///
/// Every line of play must end: a search plays to the end.
pub trait Game: Clone + PartialEq + Send + Sync {
    /// The game's name and what else tells its nets apart, for example `go 9x9`.
    fn name(&self) -> String;

    /// How many players there are: 2, unless said otherwise; at most [`MAX_PLAYERS`].
    fn players(&self) -> usize {
        2
    }

    /// How many actions there are in all positions together: each is below this number.
    fn actions(&self) -> usize;

    /// Who acts next. Not asked after the end.
    fn turn(&self) -> Turn;

    /// Appends the legal actions to `actions`, in ascending order, without clearing it. Nothing
    /// after the end.
    fn legal_actions(&self, actions: &mut Vec<Action>);

    /// Plays an action that is known to be legal. What comes from outside goes through
    /// [`Game::try_play`].
    fn play(&mut self, action: Action);

    /// What each player got, once the game has ended; `None` while it goes on.
    fn outcome(&self) -> Option<Values>;

    /// At a chance node: the probability of each legal action, appended in the order of
    /// [`Game::legal_actions`].
    fn chances(&self, _probabilities: &mut Vec<f32>) {}

    /// Whether an action is legal here.
    fn is_legal(&self, action: Action) -> bool {
        let mut actions = Vec::new();
        self.legal_actions(&mut actions);
        actions.contains(&action)
    }

    /// Plays an action after a look at the rules.
    ///
    /// # Errors
    ///
    /// [`Error::Illegal`] with the action and the reason; the position stays as it was.
    fn try_play(&mut self, action: Action) -> Result<()> {
        let reason = if self.outcome().is_some() {
            "the game has ended".to_owned()
        } else if usize::from(action) >= self.actions() {
            format!("the actions are 0 to {}", self.actions().saturating_sub(1))
        } else if self.is_legal(action) {
            self.play(action);
            return Ok(());
        } else {
            "the rules do not allow it here".to_owned()
        };
        Err(Error::Illegal { action, name: self.action_name(action), game: self.name(), reason })
    }

    /// Plays at random to the end. Games with a faster way, or with rollouts that leave out
    /// senseless actions (filling one's own eyes), implement their own. `actions` is a buffer.
    /// `None` where neither an action nor an outcome is there.
    fn rollout(&mut self, random: &mut Random, actions: &mut Vec<Action>) -> Option<Values> {
        play_evenly(self, random, actions, |_, _| {})
    }

    /// What a search may take for granted about the outcomes. Where it is not
    /// [`Payoff::WinDrawLoss`], nothing is proven.
    const PAYOFF: Payoff = Payoff::General;

    /// The most that a position can be worth for a player, in size, rewards to come included: 1,
    /// unless said otherwise. A search refuses values beyond twice that.
    fn most_value(&self) -> f32 {
        1.0
    }

    /// Whether positions pay rewards on the way ([`Game::rewards`]).
    const REWARDS: bool = false;

    /// What the last action paid each player; asked only where [`Game::REWARDS`] is set.
    fn rewards(&self) -> Values {
        Values::DRAW
    }

    /// How an action is written, for example `d4`.
    fn action_name(&self, action: Action) -> String {
        action.to_string()
    }

    /// Reads an action as [`Game::action_name`] writes it, whatever its case.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] where no legal action is written so.
    fn parse_action(&self, text: &str) -> Result<Action> {
        let mut actions = Vec::new();
        self.legal_actions(&mut actions);
        let fits = |action: &Action| self.action_name(*action).eq_ignore_ascii_case(text.trim());
        actions.iter().copied().find(fits).ok_or_else(|| Error::Parse {
            what: "action",
            text: text.to_owned(),
            reason: match actions.first() {
                Some(&first) => {
                    format!("no legal action is written so; one is {}", self.action_name(first))
                }
                None => "the game has ended".to_owned(),
            },
        })
    }
}

/// A game whose position can be written as planes for a net.
pub trait Encode: Game {
    /// `[planes, height, width]`.
    fn shape(&self) -> [usize; 3];

    /// Writes the position, as the player to move sees it, into `planes` (row-major
    /// `[planes, height, width]`, every element is written). A net judges no position where
    /// chance acts.
    fn encode(&self, planes: &mut [f32]);
}

/// A game that looks the same turned or mirrored. The symmetries are numbered; 0 changes nothing.
pub trait Symmetry: Encode {
    /// How many symmetries there are, the identity included.
    fn symmetries(&self) -> usize;

    /// Where a point of the planes (`row · width + column`) goes under a symmetry.
    fn transform_point(&self, symmetry: usize, point: usize) -> usize;

    /// What an action becomes under a symmetry. Unless said otherwise an action is its point, and one
    /// beyond the points (a pass) stays.
    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        let [_, height, width] = self.shape();
        if usize::from(action) >= height * width {
            return action;
        }
        self.transform_point(symmetry, usize::from(action)) as Action
    }
}

/// A game whose positions have a 64-bit hash: equal positions have equal hashes.
pub trait Hashed: Game {
    /// The hash of the position and of who is to move.
    fn hash(&self) -> u64;
}
