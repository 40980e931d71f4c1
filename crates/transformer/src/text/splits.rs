//! Sentence pairs in three parts: to learn from, to choose by, and to measure on.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use burn::config::Config;
use model_utils::config;
use model_utils::data::{Columns, DropReason, PairReport, SentencePair, SentencePairs};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::folder::{Folder, Found};
use crate::error::{Error, Result};

/// A side of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The sentence to translate.
    Source,
    /// Its translation.
    Target,
}

impl Side {
    /// The sentence of a pair on this side.
    pub fn sentence(self, pair: &SentencePair) -> &str {
        match self {
            Self::Source => &pair.source,
            Self::Target => &pair.target,
        }
    }
}

/// How the files of a folder become three parts.
///
/// ```no_run
/// use transformer::text::{Splits, SplitsConfig};
///
/// // WMT: europarl-v7.de-en.{de,en}, newstest2013.{de,en}, newstest2014-deen-{src.de,ref.en}
/// let config = SplitsConfig::new()
///     .with_train(Some("europarl-v7".into()))
///     .with_valid(Some("newstest2013".into()));
/// let splits = Splits::open_with("wmt14", &config)?;
/// # Ok::<(), transformer::Error>(())
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct SplitsConfig {
    /// From which language to which, as files, columns or keys are named.
    pub direction: Option<[String; 2]>,
    /// The columns of tables.
    #[config(default = "Columns::Guessed")]
    pub columns: Columns,
    /// The training part, where several may be it.
    pub train: Option<String>,
    /// The validation part.
    pub valid: Option<String>,
    /// The test part.
    pub test: Option<String>,
    /// Where one set is cut: the side of which no sentence is to stand in two parts.
    #[config(default = "Side::Target")]
    pub unique: Side,
    /// What the cut follows from.
    #[config(default = 42)]
    pub seed: u64,
}

/// Pairs in three parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Splits {
    /// To learn from.
    pub train: SentencePairs,
    /// To choose by: when to stop, which weights are best.
    pub valid: SentencePairs,
    /// To measure on, once.
    pub test: SentencePairs,
}

/// The parts' names in messages.
pub(super) const NAMES: [&str; 3] = ["training", "validation", "test"];

impl Splits {
    /// Cuts pairs at random. Pairs with the same sentence on `side` stay together, so that no
    /// sentence of that side is in two parts. `shares` are those of validation and test, of the
    /// different sentences.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for shares that are not above 0 or leave nothing to learn from,
    /// [`Error::Pairs`] for fewer than three different sentences.
    pub fn by_unique(
        pairs: SentencePairs,
        side: Side,
        shares: [f64; 2],
        seed: u64,
    ) -> Result<Self> {
        let holds = shares.iter().all(|&share| share > 0.0) && shares[0] + shares[1] < 1.0;
        config::require(holds, "shares", shares, "both above 0, together below 1")?;
        // In the order of their first appearance, which the file alone decides.
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, pair) in pairs.pairs().iter().enumerate() {
            let place = *places.entry(side.sentence(pair)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push(at);
        }
        let count = groups.len();
        if count < 3 {
            let reason =
                format!("{count} different sentences, expected at least 3 for three parts");
            return Err(Error::pairs("the set", reason));
        }
        groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let size = |share: f64| ((count as f64 * share).round() as usize).clamp(1, count / 3);
        let (valid, rest) = groups.split_at(size(shares[0]));
        let (test, train) = rest.split_at(size(shares[1]));
        let mut part_of = vec![0; pairs.pairs().len()];
        for (part, groups) in [train, valid, test].into_iter().enumerate() {
            for &at in groups.iter().flatten() {
                part_of[at] = part;
            }
        }
        let [train, valid, test] = pairs.partition(|at| part_of[at]);
        Ok(Self { train, valid, test })
    }

    /// Reads a folder, as [`open_with`](Self::open_with) does, in that direction.
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn open(
        folder: impl AsRef<Path>,
        direction: Option<(&str, &str)>,
        seed: u64,
    ) -> Result<Self> {
        let direction = direction.map(|(source, target)| [source.to_owned(), target.to_owned()]);
        let config = SplitsConfig::new().with_direction(direction).with_seed(seed);
        Self::open_with(folder, &config)
    }

    /// Reads a folder: parts called `train…`, `valid…` (or `val`, `validation`, `dev`, `newsdev`) and
    /// `test…` (or `devtest`, `newstest`), or one set that is cut by its different sentences into 90,
    /// 5 and 5 %. A name stands in the file's name or in that of a folder within. Each part is
    ///
    /// - two files whose lines belong together: `train.de` and `train.en`, `train.de-en.de`,
    ///   `test-src.de` and `test-ref.en` (WMT), `dev/deu_Latn.dev` (FLORES), `train.de.txt`;
    /// - or a table, `train.tsv`, or `train.txt` with tabs;
    /// - or `train.jsonl`, whose keys are the languages;
    ///
    /// packed by gzip or Zstandard or not. Hidden files, and those called README, LICENSE and the
    /// like, are passed over. Without a direction there must be two languages: English is the target,
    /// unless names say `src` and `tgt` or `ref`. A table whose first line has the languages as names
    /// is read by them; another one goes from its first column to its second where no language is
    /// known, and needs [`columns`](SplitsConfig::columns) else. What is no pair is dropped, and told
    /// by the [report](SentencePairs::report) of each part.
    ///
    /// # Errors
    ///
    /// [`Error::Pairs`] where the folder does not hold such files, and with the names of all where
    /// several may be the same part; and what reading them brings.
    pub fn open_with(folder: impl AsRef<Path>, config: &SplitsConfig) -> Result<Self> {
        let folder = Folder::list(folder.as_ref())?;
        let given = config.direction.as_ref();
        let direction = folder.direction(given)?;
        let read = |set: &str| folder.read(set, &direction, &config.columns);
        let chosen = [&config.train, &config.valid, &config.test].map(Option::as_deref);
        match folder.parts(&direction, chosen)? {
            Found::Parts([train, valid, test]) => {
                Ok(Self { train: read(&train)?, valid: read(&valid)?, test: read(&test)? })
            }
            Found::One(set) => {
                Self::by_unique(read(&set)?, config.unique, [0.05, 0.05], config.seed)
            }
        }
    }

    /// What each part has kept and dropped: training, validation, test.
    pub fn reports(&self) -> [PairReport; 3] {
        [&self.train, &self.valid, &self.test].map(SentencePairs::report)
    }

    /// Takes out of the training part every pair of which one side stands in validation or test,
    /// and every pair that comes again. Tells how many went.
    #[must_use]
    pub fn deduplicated(self) -> (Self, usize) {
        let Self { train, valid, test } = self;
        let before = train.pairs().len();
        let held = || valid.pairs().iter().chain(test.pairs());
        let sources: HashSet<&str> = held().map(|pair| pair.source.as_str()).collect();
        let targets: HashSet<&str> = held().map(|pair| pair.target.as_str()).collect();
        let mut seen = HashSet::new();
        let train = train.dropping(|pair| {
            if sources.contains(pair.source.as_str()) || targets.contains(pair.target.as_str()) {
                Some(DropReason::HeldOut)
            } else {
                (!seen.insert(pair.clone())).then_some(DropReason::Duplicate)
            }
        });
        let gone = before - train.pairs().len();
        (Self { train, valid, test }, gone)
    }

    /// Filters the training part; validation and test stay as they are, so that figures compare.
    ///
    /// # Errors
    ///
    /// As [`Filter::apply`].
    pub fn filtered(self, filter: &Filter) -> Result<Self> {
        Ok(Self { train: filter.apply(self.train)?, ..self })
    }

    /// The pairs the other way round.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            train: self.train.reversed(),
            valid: self.valid.reversed(),
            test: self.test.reversed(),
        }
    }

    /// Refuses parts that are empty.
    pub(crate) fn check(&self) -> Result<()> {
        let parts = [&self.train, &self.valid];
        for (part, name) in parts.into_iter().zip(NAMES) {
            if part.pairs().is_empty() {
                return Err(Error::pairs(format!("the {name} part"), "there is none"));
            }
        }
        Ok(())
    }
}
