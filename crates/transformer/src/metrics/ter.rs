//! TER (Snover et al. 2006, <https://aclanthology.org/2006.amta-papers.25>), as sacreBLEU computes it
//! after Tercom.

use std::collections::HashMap;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};

use super::bleu_tokenizer::{WESTERN, is_space, rewrite, split, standing_alone, unescaped};
use super::edit_rate::edits;
use super::metric::Metric;

/// The metric: how many words must be inserted, deleted, replaced, or moved as a run to make the
/// translation its nearest reference, per hundred words of the references. Lower is better; more than
/// 100 can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Setters)]
#[setters(prefix = "with_")]
#[allow(clippy::struct_excessive_bools)]
pub struct Ter {
    /// Whether punctuation stands alone and codes such as `&amp;` are the signs that they mean.
    pub normalized: bool,
    /// Whether punctuation is left out.
    pub no_punct: bool,
    /// Whether the two above know Chinese and Japanese: each character is then a word, and their
    /// punctuation is left out.
    pub asian_support: bool,
    /// Whether large and small letters differ.
    pub case_sensitive: bool,
}

impl Ter {
    /// Words between spaces, large and small letters the same.
    pub fn new() -> Self {
        Self::default()
    }

    fn words(self, text: &str) -> Vec<String> {
        let mut text = text.trim_end_matches(is_space).to_owned();
        if !self.case_sensitive {
            text = text.to_lowercase();
        }
        if self.normalized {
            let joined = unescaped(&text.replace("\n-", "").replace('\n', " "));
            let alone = rewrite(&format!(" {joined} "), &WESTERN[..1]);
            text = rewrite(&alone.replace("'s ", " 's "), &WESTERN[1..]);
            if self.asian_support {
                let alone = |c| is_ideograph(c) || is_asian_punctuation(c);
                text = standing_alone(&text, alone);
            }
        }
        if self.no_punct {
            text.retain(|c| {
                let is_punctuation =
                    matches!(c, '.' | ',' | '?' | ':' | ';' | '!' | '"' | '(' | ')');
                !(is_punctuation || self.asian_support && is_asian_punctuation(c))
            });
        }
        split(&text).map(str::to_owned).collect()
    }
}

impl Metric for Ter {
    fn name(&self) -> &'static str {
        "TER"
    }

    fn signature(&self, references: usize) -> String {
        let yes = |is: bool| if is { "yes" } else { "no" };
        format!(
            "nrefs:{references}|case:{}|tok:tercom|norm:{}|punct:{}|asian:{}|version:usagi-{}",
            if self.case_sensitive { "mixed" } else { "lc" },
            yes(self.normalized),
            yes(!self.no_punct),
            yes(self.asian_support),
            env!("CARGO_PKG_VERSION")
        )
    }

    /// Edits to the nearest reference, and the mean length of the references.
    fn counts(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let mut numbers = HashMap::new();
        let mut numbered = |words: Vec<String>| -> Vec<usize> {
            let number = |word| {
                let next = numbers.len();
                *numbers.entry(word).or_insert(next)
            };
            words.into_iter().map(number).collect()
        };
        let hypothesis = numbered(self.words(hypothesis));
        // sacreBLEU cuts references twice, and what is cut may be cut again.
        let twice = |text: &&str| numbered(self.words(&self.words(text).join(" ")));
        let references: Vec<Vec<usize>> = references.iter().map(twice).collect();
        let fewest = references.iter().map(|reference| edits(&hypothesis, reference)).min();
        let words: usize = references.iter().map(Vec::len).sum();
        vec![fewest.unwrap_or(0) as f64, words as f64 / references.len().max(1) as f64]
    }

    fn score_of(&self, counts: &[f64]) -> f64 {
        match *counts {
            [edits, words] if words > 0.0 => 100.0 * (edits / words),
            [edits, _] if edits > 0.0 => 100.0,
            _ => 0.0,
        }
    }

    fn is_better(&self, score: f64, than: f64) -> bool {
        score < than
    }
}

/// Tercom's ranges for Chinese and Japanese characters that stand alone. Its rules for runs of kana
/// are bound to the start of the text, where a space stands by then, and never apply.
fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{4e00}'..='\u{9fff}' | '\u{3200}'..='\u{4dbf}' | '\u{31c0}'..='\u{31ef}'
        | '\u{2e80}'..='\u{2eff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}')
}

fn is_asian_punctuation(c: char) -> bool {
    matches!(c,
        '\u{3001}' | '\u{3002}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}'
        | '\u{ff61}'..='\u{ff65}' | '\u{30fb}' | '\u{ff0e}' | '\u{ff0c}' | '\u{ff1f}' | '\u{ff1a}'
        | '\u{ff1b}' | '\u{ff01}' | '\u{ff02}' | '\u{ff08}' | '\u{ff09}')
}
