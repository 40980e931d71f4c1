//! Positions to learn from: moves of records for the policy net, results of games for the value net.

use model_utils_core::config;
use model_utils_core::event::{Asks as _, Stoppable};

use super::features::{Features, PLANES, VALUE_PLANES};
use super::net::PolicyNet;
use super::player::PolicyPlayer;
use crate::arena::Player as _;
use crate::deep::Replay;
use crate::error::Result;
use crate::game::{Action, Game as _};
use crate::go::{Color, Go, Move, Rules, is_sensible};
use crate::random::{Random, mix};
use crate::sgf::Record;

/// The moves of records, to learn a policy from: 48 planes, the move, and who won. Passes and
/// moves that fill an own eye are left out.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) without records or for boards of another side, and where
/// a record has an illegal move.
pub fn move_examples<'a>(
    records: impl Into<Stoppable<&'a [Record]>>,
    side: usize,
) -> Result<Replay> {
    let (records, stop) = records.into().into_parts();
    let area = side * side;
    let moves: usize = records.iter().map(|record| record.steps.len()).sum();
    config::require(moves > 0, "records", moves, "at least one move")?;
    let mut examples = Replay::new(PLANES * area, area + 1, moves)?;
    let mut features = Features::new();
    let mut planes = vec![0.0; PLANES * area];
    for (at, record) in records.iter().enumerate() {
        stop.check("reading moves", format_args!("record {at}"))?;
        let size = (record.width, record.height);
        config::require(size == (side, side), "record", size, "a board of the net's size")?;
        let winner = record.winner();
        let mut failed = Ok(());
        record.replay_with(Rules::tromp_taylor(), |game, played| {
            let Move::Play(point) = played else { return };
            let v = game.board().vertex(point);
            if failed.is_err() || !is_sensible(game.board(), v, game.to_play()) {
                return;
            }
            let mut policy = vec![0.0; area + 1];
            policy[game.board().index_of(v)] = 1.0;
            let value = match winner {
                Some(winner) if winner == game.to_play() => 1.0,
                Some(_) => -1.0,
                None => 0.0,
            };
            failed = features
                .encode(game, &mut planes)
                .and_then(|()| examples.push(&planes, &policy, &[value]));
        })?;
        failed?;
    }
    Ok(examples)
}

/// One position from each of many games, as the paper makes them: the supervised policy plays to a
/// random move U − 1, move U is drawn from all legal points, the reinforced policy plays to the
/// end; kept is the position after move U, with the result for its player to move.
/// `stop.around(net)` ends it before a turn of that net.
///
/// # Errors
///
/// [`Error::Mismatch`](crate::Error::Mismatch) for nets of another board, and from the device.
pub fn value_examples<'a>(
    supervised: impl Into<Stoppable<&'a PolicyNet>>,
    reinforced: impl Into<Stoppable<&'a PolicyNet>>,
    start: &Go,
    games: usize,
    seed: u64,
) -> Result<Replay> {
    self_play_examples([supervised.into(), reinforced.into()], start, games, seed, true)
}

/// All positions of games of the same kind, for as many positions as `positions`: what the paper
/// shows to overfit, as neighbouring positions share their result.
///
/// # Errors
///
/// As [`value_examples`].
pub fn whole_game_examples<'a>(
    supervised: impl Into<Stoppable<&'a PolicyNet>>,
    reinforced: impl Into<Stoppable<&'a PolicyNet>>,
    start: &Go,
    positions: usize,
    seed: u64,
) -> Result<Replay> {
    self_play_examples([supervised.into(), reinforced.into()], start, positions, seed, false)
}

/// Games that are played side by side.
const TOGETHER: usize = 128;

fn self_play_examples(
    [supervised, reinforced]: [Stoppable<&PolicyNet>; 2],
    start: &Go,
    count: usize,
    seed: u64,
    one_a_game: bool,
) -> Result<Replay> {
    config::at_least("games", count, 1)?;
    let area = start.board().area();
    let mut examples = Replay::new(VALUE_PLANES * area, area + 1, count)?;
    let player = |net: Stoppable<&PolicyNet>, seed| {
        let (net, stop) = net.into_parts();
        stop.around(PolicyPlayer::new(net, seed))
    };
    let mut first = player(supervised, mix(seed, 0));
    let mut second = player(reinforced, mix(seed, 1));
    let mut random = Random::new(mix(seed, 2));
    let mut features = Features::new();
    let policy = vec![0.0; area + 1];
    while examples.len() < count {
        let missing = count - examples.len();
        let together =
            if one_a_game { missing.min(TOGETHER) } else { TOGETHER.min(missing / 20 + 1) };
        let mut tables: Vec<Table> = (0..together)
            .map(|_| Table {
                game: start.clone(),
                turn: random.below_u32(area as u32 * 5 / 4) as usize,
                kept: Vec::new(),
            })
            .collect();
        loop {
            for table in tables.iter_mut().filter(|table| !table.game.ended()) {
                if table.game.moves().len() == table.turn {
                    play_any(&mut table.game, &mut random);
                }
                let after = table.game.moves().len() == table.turn + 1;
                if (after || !one_a_game) && !table.game.ended() {
                    let mut planes = vec![0.0; VALUE_PLANES * area];
                    features.encode(&table.game, &mut planes)?;
                    table.kept.push((planes, table.game.to_play()));
                }
            }
            let open: Vec<usize> =
                (0..tables.len()).filter(|&table| !tables[table].game.ended()).collect();
            if open.is_empty() {
                break;
            }
            let early = |table: &usize| tables[*table].game.moves().len() < tables[*table].turn;
            let (before, after): (Vec<usize>, Vec<usize>) = open.into_iter().partition(early);
            for (player, mine) in [(&mut first, before), (&mut second, after)] {
                let games: Vec<Go> = mine.iter().map(|&table| tables[table].game.clone()).collect();
                let actions = if games.is_empty() { Vec::new() } else { player.act(&games)? };
                for (table, action) in mine.into_iter().zip(actions) {
                    tables[table].game.play(action);
                }
            }
        }
        for table in tables {
            let score = table.game.score();
            for (planes, color) in table.kept {
                let won = if color == Color::Black { score.signum() } else { -score.signum() };
                let value = if score == 0.0 { 0.0 } else { won };
                if examples.len() < count {
                    examples.push(&planes, &policy, &[value])?;
                }
            }
        }
    }
    Ok(examples)
}

/// A game that is being played, and the positions kept from it.
struct Table {
    game: Go,
    turn: usize,
    kept: Vec<(Vec<f32>, Color)>,
}

/// A move drawn evenly from all legal points; a pass where none is.
fn play_any(game: &mut Go, random: &mut Random) {
    let mut actions: Vec<Action> = Vec::new();
    game.legal_actions(&mut actions);
    if actions.len() > 1 {
        actions.pop();
    }
    if let Some(&action) = actions.get(random.below_u32(actions.len() as u32) as usize) {
        game.play(action);
    }
}
