//! Games by name, and Connect Four positions to grade players with.

use ::mcts::arena::Player;
use ::mcts::games::{ConnectFour, ConnectFourSolver};
use ::mcts::random::Random;
use ::mcts::rule::Rule;
use ::mcts::{Action, Game, Tree};
use clap::ValueEnum;
use model_utils::train::Stop;

/// The games that examples know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choose {
    /// 3×3
    #[value(name = "tic_tac_toe")]
    TicTacToe,
    /// 7×6
    #[value(name = "connect_four")]
    ConnectFour,
    /// 8×8
    Othello,
    /// 9×9, area scoring, no suicide, positional superko, komi 7
    Go,
    /// The same on 19×19
    #[value(name = "go_19")]
    Go19,
    /// By the rules of FIDE; claimed draws end it
    #[cfg(feature = "chess")]
    Chess,
}

/// Evaluates an expression with a game of the chosen type at its start.
#[macro_export]
macro_rules! with_game {
    ($choice:expr, $game:ident => $body:expr) => {
        match $choice {
            $crate::mcts::Choose::TicTacToe => {
                let $game = ::mcts::games::TicTacToe::new();
                $body
            }
            $crate::mcts::Choose::ConnectFour => {
                let $game = ::mcts::games::ConnectFour::new();
                $body
            }
            $crate::mcts::Choose::Othello => {
                let $game = ::mcts::games::Othello::new();
                $body
            }
            $crate::mcts::Choose::Go => {
                let $game = ::mcts::go::Go::new(9, ::mcts::go::Rules::computer())?;
                $body
            }
            $crate::mcts::Choose::Go19 => {
                let $game = ::mcts::go::Go::new(19, ::mcts::go::Rules::computer())?;
                $body
            }
            #[cfg(feature = "chess")]
            $crate::mcts::Choose::Chess => {
                let $game = ::mcts::chess::Chess::new();
                $body
            }
        }
    };
}
/// A Connect Four position and the moves that keep its exact result.
#[derive(Debug, Clone)]
pub struct Keeps {
    pub game: ConnectFour,
    pub moves: Vec<Action>,
}

/// Random positions that go on, with a number of stones drawn evenly from a range, none twice.
pub fn random_positions(
    count: usize,
    stones: std::ops::RangeInclusive<u32>,
    seed: u64,
) -> Vec<ConnectFour> {
    let mut random = Random::new(seed);
    let mut positions = Vec::new();
    let mut actions = Vec::new();
    while positions.len() < count {
        let wanted = stones.start() + random.below_u32(stones.end() - stones.start() + 1);
        let mut game = ConnectFour::new();
        while game.outcome().is_none() && game.stones() < wanted {
            actions.clear();
            game.legal_actions(&mut actions);
            game.play(actions[random.below_u32(actions.len() as u32) as usize]);
        }
        if game.outcome().is_none() && !positions.contains(&game) {
            positions.push(game);
        }
    }
    positions
}

/// Labels positions by the exact solver.
pub fn labelled(games: &[ConnectFour], stop: &Stop) -> anyhow::Result<Vec<Keeps>> {
    let mut solver = ConnectFourSolver::new();
    games
        .iter()
        .map(|game| {
            let results = solver.results(stop.around(game))?;
            let best = results.iter().map(|(_, result)| *result).max();
            let keeps = results.iter().filter(|(_, result)| Some(*result) == best);
            Ok(Keeps { game: *game, moves: keeps.map(|(action, _)| *action).collect() })
        })
        .collect()
}

/// The share of positions in which a player's move keeps the exact result.
pub fn grade(player: &mut dyn Player<ConnectFour>, positions: &[Keeps]) -> anyhow::Result<f64> {
    let mut right = 0;
    for positions in positions.chunks(125) {
        let games: Vec<_> = positions.iter().map(|keeps| keeps.game).collect();
        let actions = player.act(&games)?;
        right += positions.iter().zip(actions).filter(|(p, a)| p.moves.contains(a)).count();
    }
    Ok(right as f64 / positions.len().max(1) as f64)
}

/// A node of a drawing: depth, place across, visits, and the node above it.
struct Dot {
    depth: usize,
    x: f64,
    visits: u32,
    parent: Option<usize>,
}

/// Draws all visited nodes of a tree: deeper ones lower, more visits thicker and darker.
pub fn tree_svg<G: Game, R: Rule>(tree: &Tree<G, R>, title: &str) -> String {
    use std::fmt::Write as _;
    const WIDTH: f64 = 760.0;
    const STEP: f64 = 34.0;
    const TOP: f64 = 52.0;
    let mut dots = Vec::new();
    let mut leaves = 0.0;
    place(tree, &mut Vec::new(), None, tree.visits(), &mut leaves, &mut dots);
    let deepest = dots.iter().map(|dot| dot.depth).max().unwrap_or(0);
    let height = TOP + STEP * deepest as f64 + 24.0;
    let at = |dot: &Dot| {
        let x = 20.0 + (WIDTH - 40.0) * (dot.x + 0.5) / leaves.max(1.0);
        (x, TOP + STEP * dot.depth as f64)
    };
    let share = |dot: &Dot| f64::from(dot.visits) / f64::from(tree.visits().max(1));
    let mut svg = format!(
        "<svg role=\"img\" aria-label=\"{title}\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\" \
         font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"26\" font-size=\"16\">{title}</text>\n"
    );
    for dot in &dots {
        let Some(parent) = dot.parent else { continue };
        let ((x1, y1), (x2, y2)) = (at(&dots[parent]), at(dot));
        let width = 0.4 + 9.0 * share(dot).sqrt();
        let light = 205.0 - 175.0 * share(dot).sqrt();
        let _ = writeln!(
            svg,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" \
             stroke=\"rgb({light:.0},{light:.0},{:.0})\" stroke-width=\"{width:.2}\"/>",
            light + 40.0
        );
    }
    for dot in &dots {
        let ((x, y), radius) = (at(dot), 0.9 + 7.0 * share(dot).sqrt());
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.2}\" fill=\"#0072B2\"/>"
        );
    }
    svg + "</svg>\n"
}

/// Places a node above the middle of what lies below it.
fn place<G: Game, R: Rule>(
    tree: &Tree<G, R>,
    line: &mut Vec<Action>,
    parent: Option<usize>,
    visits: u32,
    leaves: &mut f64,
    dots: &mut Vec<Dot>,
) {
    let index = dots.len();
    dots.push(Dot { depth: line.len(), x: 0.0, visits, parent });
    let first = *leaves;
    if let Some(children) = tree.children_after(line) {
        let mut below: Vec<_> = (0..children.len())
            .map(|child| (children.action(child), children.visits(child)))
            .filter(|(_, visits)| *visits > 0)
            .collect();
        below.sort_unstable();
        for (action, visits) in below {
            line.push(action);
            place(tree, line, Some(index), visits, leaves, dots);
            line.pop();
        }
    }
    if *leaves <= first {
        *leaves += 1.0;
    }
    dots[index].x = (first + *leaves - 1.0) / 2.0;
}
