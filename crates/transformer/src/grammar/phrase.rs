//! Phrases: nouns with articles and adjectives, and who does something.

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom as _;

use super::words::{ADJECTIVES, Adjective, Kind, NOUNS, NUMBERS, Noun};

/// The same in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Both {
    pub(super) pt: String,
    pub(super) en: String,
}

impl Both {
    pub(super) fn new(pt: impl Into<String>, en: impl Into<String>) -> Self {
        Self { pt: pt.into(), en: en.into() }
    }

    /// One behind the other.
    pub(super) fn then(self, next: &Self) -> Self {
        Self { pt: format!("{} {}", self.pt, next.pt), en: format!("{} {}", self.en, next.en) }
    }

    /// Behind, where there is something.
    pub(super) fn and(self, next: Option<&Self>) -> Self {
        match next {
            Some(next) => self.then(next),
            None => self,
        }
    }
}

/// What stands before a noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Determiner {
    The,
    A,
    My,
    Our,
    This,
    That,
    Number(usize),
}

/// A Portuguese preposition, which melts into articles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    De,
    Em,
    A,
}

/// A noun with what belongs to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NounPhrase {
    determiner: Determiner,
    pub(super) noun: &'static Noun,
    adjective: Option<&'static Adjective>,
    pub(super) plural: bool,
}

impl NounPhrase {
    /// Of a kind, with any article.
    pub(super) fn new(kind: Kind, rng: &mut ChaCha8Rng) -> Self {
        let mut phrase = Self::definite(kind, rng);
        if kind == Kind::Drink {
            return phrase;
        }
        phrase.determiner = match rng.random_range(0..10) {
            0..4 => Determiner::The,
            4..6 => Determiner::A,
            6 => Determiner::My,
            7 => Determiner::This,
            8 => {
                if rng.random_bool(0.5) {
                    Determiner::That
                } else {
                    Determiner::Our
                }
            }
            _ => Determiner::Number(rng.random_range(0..NUMBERS.len())),
        };
        phrase.plural = match phrase.determiner {
            Determiner::A => false,
            Determiner::Number(_) => true,
            _ => phrase.plural,
        };
        phrase
    }

    /// Of a kind, with `the`.
    pub(super) fn definite(kind: Kind, rng: &mut ChaCha8Rng) -> Self {
        let nouns: Vec<&'static Noun> = NOUNS.iter().filter(|noun| noun.kind == kind).collect();
        let noun = *nouns.choose(rng).unwrap_or(&&NOUNS[0]);
        let adjectives: Vec<&'static Adjective> =
            ADJECTIVES.iter().filter(|adjective| adjective.of.contains(&kind)).collect();
        let adjective = if rng.random_bool(0.3) { adjectives.choose(rng).copied() } else { None };
        let plural = kind != Kind::Drink && kind != Kind::Place && rng.random_bool(0.3);
        Self { determiner: Determiner::The, noun, adjective, plural }
    }

    /// Of a kind, with `a` or a number.
    pub(super) fn some(kind: Kind, rng: &mut ChaCha8Rng) -> Self {
        let mut phrase = Self::definite(kind, rng);
        phrase.determiner = if phrase.plural {
            Determiner::Number(rng.random_range(0..NUMBERS.len()))
        } else {
            Determiner::A
        };
        phrase
    }

    /// Without an adjective.
    pub(super) fn plain(mut self) -> Self {
        self.adjective = None;
        self
    }

    pub(super) fn both(&self, before: Before) -> Both {
        Both::new(self.pt(before), self.en())
    }

    fn pt(&self, before: Before) -> String {
        let feminine = usize::from(self.noun.feminine);
        let form = 2 * usize::from(self.plural) + feminine;
        let ending = ["o", "a", "os", "as"][form];
        let determiner = match self.determiner {
            Determiner::The => ending.to_owned(),
            Determiner::A => ["um", "uma"][feminine].to_owned(),
            Determiner::My => ["meu", "minha", "meus", "minhas"][form].to_owned(),
            Determiner::Our => format!("noss{ending}"),
            Determiner::This => ["este", "esta", "estes", "estas"][form].to_owned(),
            Determiner::That => ["aquele", "aquela", "aqueles", "aquelas"][form].to_owned(),
            Determiner::Number(at) => NUMBERS[at].0[feminine].to_owned(),
        };
        let melts =
            matches!(self.determiner, Determiner::The | Determiner::This | Determiner::That);
        let start = match before {
            Before::Nothing => determiner,
            Before::De if melts => format!("d{determiner}"),
            Before::De => format!("de {determiner}"),
            Before::Em if melts => format!("n{determiner}"),
            Before::Em => format!("em {determiner}"),
            Before::A => match determiner.strip_prefix('a') {
                Some(rest) if melts => format!("à{rest}"),
                _ if self.determiner == Determiner::The => format!("a{determiner}"),
                _ => format!("a {determiner}"),
            },
        };
        let noun = self.noun.pt[usize::from(self.plural)];
        match self.adjective {
            Some(adjective) => {
                format!("{start} {noun} {}", adjective.agree(self.noun.feminine, self.plural))
            }
            None => format!("{start} {noun}"),
        }
    }

    fn en(&self) -> String {
        let noun = self.noun.en[usize::from(self.plural)];
        let rest = match self.adjective {
            Some(adjective) => format!("{} {noun}", adjective.en),
            None => noun.to_owned(),
        };
        let determiner = match (self.determiner, self.plural) {
            (Determiner::The, _) => "the",
            (Determiner::A, _) if rest.starts_with(['a', 'e', 'i', 'o', 'u']) => "an",
            (Determiner::A, _) => "a",
            (Determiner::My, _) => "my",
            (Determiner::Our, _) => "our",
            (Determiner::This, false) => "this",
            (Determiner::This, true) => "these",
            (Determiner::That, false) => "that",
            (Determiner::That, true) => "those",
            (Determiner::Number(at), _) => NUMBERS[at].1,
        };
        format!("{determiner} {rest}")
    }
}

/// Who does something, as verbs agree with it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) text: Both,
    /// The Portuguese form: `eu`, `ela`, `nós`, `elas`.
    pub(super) form: usize,
    /// The English form.
    pub(super) english: English,
    pub(super) kind: Kind,
    pub(super) feminine: bool,
    pub(super) plural: bool,
}

/// English forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum English {
    I,
    She,
    They,
}

impl English {
    /// The present of `be`.
    pub(super) fn is(self) -> &'static str {
        ["am", "is", "are"][self as usize]
    }

    /// The past of `be`.
    pub(super) fn was(self) -> &'static str {
        ["was", "was", "were"][self as usize]
    }

    /// The present of `do`.
    pub(super) fn does(self) -> &'static str {
        if self == Self::She { "does" } else { "do" }
    }
}

impl Subject {
    /// A pronoun.
    fn pronoun(rng: &mut ChaCha8Rng) -> Self {
        let (pt, en, form, english, feminine, plural) = *[
            ("eu", "I", 0, English::I, false, false),
            ("você", "you", 1, English::They, false, false),
            ("ele", "he", 1, English::She, false, false),
            ("ela", "she", 1, English::She, true, false),
            ("nós", "we", 2, English::They, false, true),
            ("eles", "they", 3, English::They, false, true),
        ]
        .choose(rng)
        .unwrap_or(&("eu", "I", 0, English::I, false, false));
        let text = Both::new(pt, en);
        Self { text, form, english, kind: Kind::Person, feminine, plural }
    }

    /// Somebody, or an animal where that may be.
    pub(super) fn any(animals: bool, rng: &mut ChaCha8Rng) -> Self {
        if rng.random_bool(0.35) {
            return Self::pronoun(rng);
        }
        let kind = if animals && rng.random_bool(0.4) { Kind::Animal } else { Kind::Person };
        Self::from(&NounPhrase::new(kind, rng))
    }
}

impl From<&NounPhrase> for Subject {
    fn from(phrase: &NounPhrase) -> Self {
        let plural = phrase.plural;
        Self {
            text: phrase.both(Before::Nothing),
            form: if plural { 3 } else { 1 },
            english: if plural { English::They } else { English::She },
            kind: phrase.noun.kind,
            feminine: phrase.noun.feminine,
            plural,
        }
    }
}
