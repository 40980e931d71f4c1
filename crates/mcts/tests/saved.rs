//! Trees in files: exact continuation, and what is refused.

use std::path::Path;

use mcts::games::{ConnectFour, Othello};
use mcts::random::Random;
use mcts::rule::{Gumbel, Puct, Rule, Uct};
use mcts::{Error, Hashed, Limits, Rollout, Search};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Searches of a game with all that a tree can have.
fn make<G: Hashed, R: Rule>(rule: R, kind: usize) -> Search<G, R, Rollout<G>> {
    let search = Search::new(rule, Rollout::new(5)).with_seed(3);
    match kind {
        0 => search,
        1 => search.with_batch(4),
        2 => search.with_most_nodes(600),
        _ => search.with_transpositions(),
    }
}

fn goes_on<G: Hashed, R: Rule>(rule: &R, game: &G)
where
    R::Root: Serialize + DeserializeOwned,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tree");
    for kind in 0..4 {
        let mut through: Search<G, R, Rollout<G>> = make(rule.clone(), kind);
        let first = through.run(game, Limits::simulations(700)).unwrap();
        through.save(&path).unwrap();
        let evaluator = serde_json::to_string(through.evaluator()).unwrap();

        let mut again: Search<G, R, Rollout<G>> = make(rule.clone(), kind);
        *again.evaluator() = serde_json::from_str(&evaluator).unwrap();
        again.load(&path, game).unwrap();
        let tree = again.tree().unwrap();
        assert_eq!(tree.found().unwrap().choices, first.choices);
        assert_eq!((tree.nodes(), tree.visits()), (first.nodes, through.tree().unwrap().visits()));
        // The same written again is the same file.
        let bytes = std::fs::read(&path).unwrap();
        again.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);

        let limits = Limits::simulations(500);
        let expected = through.run(game, limits).unwrap();
        let found = again.run(game, limits).unwrap();
        assert_eq!(found.choices, expected.choices, "kind {kind} of {rule:?}");
        // And a move further.
        let mut next = game.clone();
        next.play(found.best());
        for search in [&mut through, &mut again] {
            search.advance(found.best()).unwrap();
        }
        let expected = through.run(&next, limits).unwrap();
        assert_eq!(again.run(&next, limits).unwrap().choices, expected.choices);
    }
}

#[test]
fn a_search_goes_on_as_if_it_had_never_stopped() {
    let game = ConnectFour::from_columns("44").unwrap();
    goes_on(&Uct::default(), &game);
    goes_on(&Puct::default(), &game);
    goes_on(&Gumbel::default(), &game);
    goes_on(&Uct::default(), &Othello::new());
}

fn load(path: &Path, game: &ConnectFour) -> String {
    let mut search: Search<_, Uct, _> = make(Uct::default(), 0);
    let before = search.run(game, Limits::simulations(50)).unwrap().choices;
    let error = search.load(path, game).unwrap_err();
    // What was there is there still.
    assert_eq!(search.tree().unwrap().found().unwrap().choices, before);
    error.to_string()
}

#[test]
fn what_is_no_such_tree_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tree");
    let game = ConnectFour::from_columns("44").unwrap();
    let mut search: Search<_, Uct, _> = make(Uct::default(), 0);
    assert!(matches!(search.save(&path), Err(Error::Config(_))), "nothing was searched");
    search.run(&game, Limits::simulations(300)).unwrap();
    search.save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();

    let other = ConnectFour::from_columns("45").unwrap();
    let message = load(&path, &other);
    assert!(message.contains("position"), "{message}");
    let mut puct: Search<_, Puct, _> = make(Puct::default(), 0);
    let message = puct.load(&path, &game).unwrap_err().to_string();
    assert!(message.contains("rule") && message.contains("Puct"), "{message}");
    let mut limited: Search<_, Uct, _> = make(Uct::default(), 2);
    let message = limited.load(&path, &game).unwrap_err().to_string();
    assert!(message.contains("settings") && message.contains("600"), "{message}");
    let mut othello: Search<_, Uct, _> = make(Uct::default(), 0);
    let message = othello.load(&path, &Othello::new()).unwrap_err().to_string();
    assert!(message.contains("game") && message.contains("othello"), "{message}");
    let message = load(&folder.path().join("none"), &game);
    assert!(message.contains("none"), "{message}");

    std::fs::write(&path, b"a text and no tree").unwrap();
    assert!(load(&path, &game).contains("does not begin with"));
    let mut version = whole.clone();
    version[7] = b'9';
    std::fs::write(&path, version).unwrap();
    assert!(load(&path, &game).contains("version"));
    for length in (0..whole.len()).step_by(97) {
        std::fs::write(&path, &whole[..length]).unwrap();
        load(&path, &game);
    }
    // Changed where the checksum has been made to fit: an error or a tree, never a panic.
    let mut random = Random::new(1);
    for _ in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let at = 12 + random.below(bytes.len() - 12);
            bytes[at] = random.below(256) as u8;
        }
        let sum = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let mut search: Search<_, Uct, _> = make(Uct::default(), 0);
        if search.load(&path, &game).is_ok() {
            // Its statistics may be anything, its actions are the game's.
            let _ = search.run(&game, Limits::simulations(50));
        }
    }
}
