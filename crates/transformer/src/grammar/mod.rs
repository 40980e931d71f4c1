//! A small grammar of Portuguese and English, from which as many true sentence pairs can be drawn as
//! are wanted: the first run needs no file.
//!
//! Articles, adjectives, possessives and numbers agree, prepositions melt into articles (`na praia`),
//! adjectives stand behind their nouns; English inverts its questions and does not do without *do*.
//! A Portuguese sentence has one English one and the other way round, so that a translation is right
//! or wrong to the letter.
//!
//! ```
//! use transformer::grammar::Grammar;
//!
//! let pairs = Grammar::Full.pairs(3, 7)?;
//! for pair in pairs.pairs() {
//!     println!("{} → {}", pair.source, pair.target);
//! }
//! # assert_eq!(pairs.pairs().len(), 3);
//! # Ok::<(), transformer::Error>(())
//! ```

mod phrase;
mod sentence;
mod words;

use std::collections::HashSet;
use std::ops::RangeInclusive;

use model_utils::data::{SentencePair, SentencePairs};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use self::sentence::Sentence;
use crate::error::{Error, Result};
use crate::text::Splits;

/// Which sentences are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Grammar {
    /// Of one clause.
    Simple,
    /// Of one clause or two: joined by *and*, *but*, *because*, or with *who* inside.
    #[default]
    Full,
    /// Of one sentence of `Full` or of several behind each other: texts of 5 to 60 Portuguese words,
    /// all texts of one length with as many words together as those of another, so that a training by
    /// tokens sees every length alike.
    Text,
}

impl Grammar {
    /// Pairs that can be asked for.
    const MOST: usize = 1 << 24;
    /// Words of a `Text`.
    const WORDS: RangeInclusive<usize> = 5..=60;

    /// Different pairs, Portuguese to English, 2²⁴ at most; [`SentencePairs::reversed`] turns them
    /// round. The same seed gives the same pairs.
    ///
    /// # Errors
    ///
    /// [`Error::Pairs`] where the grammar does not have as many, and for more than 2²⁴.
    pub fn pairs(self, count: usize, seed: u64) -> Result<SentencePairs> {
        if count > Self::MOST {
            let reason = format!("{count} pairs were asked for, expected at most {}", Self::MOST);
            return Err(Error::pairs("the grammar", reason));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut seen, mut pairs) = (HashSet::new(), Vec::new());
        for _ in 0..20 * count.max(100) {
            if pairs.len() == count {
                return Ok(pairs.into_iter().collect());
            }
            let pair = self.pair(&mut rng);
            if seen.insert(pair.source.clone()) {
                pairs.push(pair);
            }
        }
        let reason = format!("found {} different ones, and {count} were asked for", pairs.len());
        Err(Error::pairs("the grammar", reason))
    }

    /// Different pairs in three parts of these sizes.
    ///
    /// # Errors
    ///
    /// As [`pairs`](Self::pairs).
    pub fn splits(self, sizes: [usize; 3], seed: u64) -> Result<Splits> {
        let [train, valid, test] = sizes;
        let all = train.saturating_add(valid).saturating_add(test);
        let mut pairs = self.pairs(all, seed)?.into_pairs();
        let test = pairs.split_off(train + valid).into_iter().collect();
        let valid = pairs.split_off(train).into_iter().collect();
        Ok(Splits { train: pairs.into_iter().collect(), valid, test })
    }

    fn pair(self, rng: &mut ChaCha8Rng) -> SentencePair {
        match self {
            Self::Simple => finished(&sentence::simple(rng)),
            Self::Full if rng.random_bool(0.6) => finished(&sentence::simple(rng)),
            Self::Full => finished(&sentence::compound(rng)),
            Self::Text => {
                let words = |text: &str| text.split(' ').count();
                let [least, most] = [*Self::WORDS.start(), *Self::WORDS.end()];
                let share = rng.random::<f64>();
                let wanted = least as f64 * (most as f64 / least as f64).powf(share);
                let wanted = wanted.round() as usize;
                let mut pair = Self::Full.pair(rng);
                loop {
                    let next = Self::Full.pair(rng);
                    let now = words(&pair.source);
                    let then = now + words(&next.source);
                    // As close as sentences come.
                    if then > most || then.abs_diff(wanted) > now.abs_diff(wanted) {
                        break;
                    }
                    pair.source = format!("{} {}", pair.source, next.source);
                    pair.target = format!("{} {}", pair.target, next.target);
                }
                pair
            }
        }
    }
}

/// A sentence with a large letter and its mark.
fn finished(sentence: &Sentence) -> SentencePair {
    let finish = |text: &str| {
        let mut letters = text.chars();
        let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
        format!("{first}{}{}", letters.as_str(), sentence.mark)
    };
    SentencePair { source: finish(&sentence.text.pt), target: finish(&sentence.text.en) }
}
