//! The stage of mcts.

use std::time::{Duration, Instant};

use ::mcts::arena::{SearchPlayer, play_pairs};
use ::mcts::deep::{AlphaZeroConfig, Exploration, NetEvaluator, PolicyValueConfig, SelfPlay};
use ::mcts::games::{ConnectFour, TicTacToe};
use ::mcts::rule::{Gumbel, Uct};
use ::mcts::{Limits, Rollout, Search};
use model_utils::picture::{Curves, Section};
use model_utils::train::Budget;

use super::story::rounded;
use super::{Context, Shown};
use common::Metrics;
use common::mcts::tree_svg;

pub(super) fn run(context: &Context<'_>, section: Section) -> anyhow::Result<Shown> {
    let mut metrics = Metrics::default();
    // A search as it grows.
    let game = ConnectFour::new();
    let mut search =
        Search::new(Uct::default(), context.session.around(Rollout::new(context.seed)));
    for (total, file) in [(10, "tree-10.svg"), (100, "tree-100.svg"), (1000, "tree-1000.svg")] {
        let so_far = search.tree().map_or(0, |tree| u64::from(tree.visits()));
        let found = search.run(&game, Limits::simulations(total - so_far))?;
        if let Some(tree) = search.tree() {
            let title = format!(
                "Connect Four, {total} simulations, best: column {}",
                found.choices[0].name
            );
            model_utils::atomic::write(context.out.join(file), tree_svg(tree, &title).as_bytes())?;
        }
        if total == 1000 {
            println!("{game}{found}");
        }
    }
    // How fast it is.
    let (started, mut simulations) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(2) {
        search.restart();
        simulations += search.run(&game, Limits::simulations(10_000))?.simulations;
    }
    let speed = simulations as f64 / started.elapsed().as_secs_f64();
    metrics.set("sims_per_s", speed);

    let (curve, games) = alphazero(context)?;
    metrics.set("alphazero_games", games);
    let (before, after) = (curve[0].1, curve.last().map_or(0.0, |(_, rate)| *rate));
    metrics.set("alphazero_rate_vs_uct", after);
    metrics.set("alphazero_rate_vs_uct_before", before);
    let section = section
        .picture(
            context.picture("tree-1000.svg"),
            context.say(
                "A thousand simulations of Connect Four: one line is read deeply",
                "コネクトフォーの 1,000 回のシミュレーション。一つの筋が深く読まれる",
            ),
        )
        .picture(
            context.picture("tree-10.svg"),
            context.say(
                "The same search after ten: every reply has been tried once",
                "同じ探索の 10 回目。どの手も一度ずつ試された",
            ),
        )
        .picture(
            context.picture("alphazero.svg"),
            context.say(
                "Tic-tac-toe: a net that has only played against itself",
                "三目並べ：自己対戦だけで学んだネットワーク",
            ),
        )
        .figure(
            context.say(
                "games played out in a second to value a position; it depends on the processor",
                "局面の評価のために 1 秒間に最後まで打ったゲームの数（プロセッサによる）",
            ),
            rounded(speed),
        )
        .figure(
            context.say(
                format!(
                    "points a game of the net, without search, against a search; {before:.2} before it \
                     learned"
                ),
                format!("探索なしのネットワークが探索を相手に得た 1 局あたりの点（学習前は {before:.2}）"),
            ),
            rounded(after),
        );
    Ok(Shown { metrics, section })
}

/// A net learns tic-tac-toe from games against itself, and plays without search: its points a game over
/// the generations, and how many games it took.
fn alphazero(context: &Context<'_>) -> anyhow::Result<(Vec<(f64, f64)>, u64)> {
    let start = TicTacToe::new();
    let net = PolicyValueConfig::for_game(&start).with_channels(16).with_blocks(2);
    let config = AlphaZeroConfig::new(net.with_value_hidden(32))
        .with_seed(context.seed)
        .with_games(100)
        .with_batch(64)
        .with_decay(12)
        .with_self_play(SelfPlay {
            parallel: 50,
            simulations: 16,
            exploration: Exploration::Gumbel { considered: 9 },
            opening_moves: 4,
            ..SelfPlay::default()
        });
    let mut run = config.init(&start, context.device)?;
    let uct = Search::new(Uct::default(), context.session.around(Rollout::new(1)));
    let mut uct = SearchPlayer::new(uct.with_seed(context.seed), Limits::simulations(30))?;
    let mut curve = Vec::new();
    let mut observer = context.session.progress();
    for generation in 0..=12 {
        if generation > 0 {
            run.learn(Budget::steps(generation), &mut observer)?;
            context.session.check()?;
        }
        let rule = Gumbel::default().with_noise(0.0);
        let net = context.session.around(NetEvaluator::new(&run.net())?);
        let mut player = SearchPlayer::new(Search::new(rule, net), Limits::simulations(2))?;
        let score = play_pairs(&start, &mut player, &mut uct, 100, 2, context.seed)?;
        curve.push((generation as f64, score.rate().value));
    }
    Curves::new("Tic-tac-toe: the net without search against UCT with 30 simulations")
        .x_label("generations of 100 games against itself")
        .y_label("points a game")
        .line("net", &curve)
        .save(context.out.join("alphazero.svg"))?;
    let games = run.history().iter().map(|generation| generation.played.games).sum();
    Ok((curve, games))
}
