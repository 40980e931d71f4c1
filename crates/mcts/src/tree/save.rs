//! A tree in a file, from which a search goes on as if it had never stopped.

use std::collections::HashSet;
use std::path::Path;

use model_utils_core::{ConfigError, atomic};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Tree;
use crate::error::{Error, Result};
use crate::game::{Game, Hashed};
use crate::nodes::{Arena, CHANCE, EXPANDING, ROOT};
use crate::random::Random;
use crate::rule::Rule;

/// The last byte is the version. Then the CRC-32 of the rest: the length of the state, the state as
/// JSON, the arrays; little-endian.
const MAGIC: &[u8; 8] = b"USAGITR1";
const FORMAT: &str = "tree";

#[derive(Serialize, Deserialize)]
struct State<Root> {
    /// What the tree was made for: names and what they are, to be the same again.
    made: Vec<(String, String)>,
    random: Random,
    simulations: Option<u64>,
    prepared: bool,
    noisy: bool,
    root: Root,
    nodes: u32,
}

impl<G: Hashed, R: Rule> Tree<G, R>
where
    R::Root: Serialize + DeserializeOwned,
{
    /// Writes the tree to a file, which is whole or not there: statistics, proofs, the state of the
    /// generator, and the hash of the position at the root, but not the position.
    ///
    /// ```
    /// use mcts::games::ConnectFour;
    /// use mcts::rule::Uct;
    /// use mcts::{Limits, Rollout, Search};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let tree = folder.path().join("tree");
    /// let game = ConnectFour::from_columns("44")?;
    /// let mut search = Search::new(Uct::default(), Rollout::new(42));
    /// search.run(&game, Limits::simulations(500))?;
    /// search.save(&tree)?;
    /// // What an evaluator draws from is its own: a net needs none of this.
    /// let random = serde_json::to_string(search.evaluator()).unwrap();
    ///
    /// let rollouts: Rollout<ConnectFour> = serde_json::from_str(&random).unwrap();
    /// let mut again = Search::new(Uct::default(), rollouts);
    /// again.load(&tree, &game)?;
    /// let limits = Limits::simulations(500);
    /// assert_eq!(again.run(&game, limits)?.choices, search.run(&game, limits)?.choices);
    /// # Ok::<(), mcts::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] while leaves are on their way; [`Error::Utils`] where the file cannot be
    /// written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let waiting = self.worker.waiting();
        let expected = "no leaves on their way: backed up or cancelled";
        model_utils_core::config::require(waiting == 0, "leaves", waiting, expected)?;
        let state = State {
            made: self.made(),
            random: self.worker.random.clone(),
            simulations: self.simulations,
            prepared: self.prepared,
            noisy: self.noisy,
            root: self.root_state.clone(),
            nodes: self.arena.used() as u32,
        };
        let state = serde_json::to_vec(&state)
            .map_err(|error| ConfigError::new("root", error, "a value that JSON can hold"))?;
        let mut body = (state.len() as u32).to_le_bytes().to_vec();
        body.extend(state);
        self.arena.write(&mut body);
        Ok(atomic::write_with(path, |file| {
            file.write_all(MAGIC)?;
            file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
            file.write_all(&body)
        })?)
    }

    /// Takes over a tree that was [saved](Self::save). This one must be made alike: the same rule,
    /// position and settings.
    ///
    /// # Errors
    ///
    /// [`Error::Utils`] for a file that cannot be read, is none of a tree, of another version,
    /// truncated or damaged; [`Error::Mismatch`] for a tree that was made for another game, position
    /// or rule, or with other settings. This tree stays as it was.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(model_utils_core::Error::io("read", path))?;
        let bad = |reason: &str| Error::from(model_utils_core::Error::format(path, FORMAT, reason));
        let (magic, rest) = bytes.split_first_chunk().ok_or_else(|| bad("it ends early"))?;
        if magic[..7] != MAGIC[..7] {
            return Err(bad("it does not begin with USAGITR"));
        }
        if magic != MAGIC {
            return Err(bad("it is of another version than 1"));
        }
        let (sum, body) = rest.split_first_chunk().ok_or_else(|| bad("it ends early"))?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return Err(bad("its checksum does not fit: it was truncated or changed"));
        }
        let parts = body
            .split_first_chunk()
            .and_then(|(length, rest)| rest.split_at_checked(u32::from_le_bytes(*length) as usize));
        let (state, arrays) = parts.ok_or_else(|| bad("it ends early"))?;
        let state: State<R::Root> =
            serde_json::from_slice(state).map_err(|error| bad(&error.to_string()))?;
        for ((name, expected), (_, found)) in self.made().into_iter().zip(state.made) {
            if found != expected {
                let what = format!("the tree in {} ({name})", path.display());
                return Err(Error::Mismatch { what, found, expected });
            }
        }
        let arena = self.arena.read(state.nodes, arrays).filter(|arena| is_of(arena, &self.root));
        let mut arena = arena.ok_or_else(|| bad("its nodes are not those of the position"))?;
        arena.list_heads();
        self.cancel();
        self.arena = arena;
        self.root_state = state.root;
        self.worker.random = state.random;
        (self.simulations, self.prepared, self.noisy) =
            (state.simulations, state.prepared, state.noisy);
        Ok(())
    }

    fn made(&self) -> Vec<(String, String)> {
        let settings = format!(
            "{:?}, most nodes {}, allowed {:?}, transpositions {}",
            self.settings,
            self.most_nodes,
            self.allowed,
            self.hash.is_some()
        );
        let most = self.arena.most();
        [
            ("game", format!("{}, values to {most}", self.root.name())),
            ("position", format!("{:016x}", self.root.hash())),
            ("rule", format!("{:?}", self.rule)),
            ("settings", settings),
        ]
        .map(|(name, is)| (name.to_owned(), is))
        .to_vec()
    }
}

/// Whether each node of an arena has the mover and the actions of its position.
fn is_of<G: Game>(arena: &Arena, root: &G) -> bool {
    let (mut seen, mut actions) = (HashSet::new(), Vec::new());
    let mut open = vec![(ROOT, root.clone(), root.turn().player().unwrap_or(0))];
    if arena.link(ROOT).mover() != open[0].2 {
        return false;
    }
    while let Some((slot, game, chooser)) = open.pop() {
        let link = arena.link(slot);
        if !link.is_expanded() {
            // What is not proof would mix with what it gets when it is expanded.
            if slot != ROOT && link != link.folded() || link.has(EXPANDING) {
                return false;
            }
            continue;
        }
        if game.outcome().is_some() || !arena.holds(link) {
            return false;
        }
        if !seen.insert(link.first()) {
            if arena.is_graph() {
                continue;
            }
            return false;
        }
        let mover = game.turn().player();
        actions.clear();
        game.legal_actions(&mut actions);
        // The root may lack some.
        let fits = link.mover() == mover.unwrap_or(chooser)
            && link.has(CHANCE) == mover.is_none()
            && (link.count() == actions.len() || slot == ROOT);
        if !fits {
            return false;
        }
        for child in link.children() {
            let (action, prior) = (arena.action(child), arena.prior(child));
            let Some(at) = actions.iter().position(|&legal| legal == action) else { return false };
            // Each once.
            actions.swap_remove(at);
            if !prior.is_finite() || prior < 0.0 {
                return false;
            }
            let mut next = game.clone();
            next.play(action);
            open.push((child, next, link.mover()));
        }
    }
    true
}
