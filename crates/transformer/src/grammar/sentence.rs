//! Sentences: who does what, where and when; what something is like; questions.

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom as _;

use super::phrase::{Before, Both, English, NounPhrase, Subject};
use super::words::{ADJECTIVES, Adjective, Kind, VERBS, Verb};

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tense {
    /// Again and again.
    Present,
    /// At the moment.
    Progressive,
    Past,
    Future,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Statement,
    Denial,
    Question,
}

/// A sentence with its mark, the first letter not yet large.
pub(super) struct Sentence {
    pub(super) text: Both,
    pub(super) mark: char,
}

const KINDS_OF_THINGS: [Kind; 7] =
    [Kind::Person, Kind::Animal, Kind::Food, Kind::Drink, Kind::Thing, Kind::Opening, Kind::Place];

/// A sentence of one clause.
pub(super) fn simple(rng: &mut ChaCha8Rng) -> Sentence {
    let mood = match rng.random_range(0..10) {
        0..6 => Mood::Statement,
        6..8 => Mood::Denial,
        _ => Mood::Question,
    };
    let mark = if mood == Mood::Question { '?' } else { '.' };
    let text = match rng.random_range(0..20) {
        0..9 => action(mood, rng),
        9..12 => description(mood, rng),
        12..14 => liking(mood, rng),
        14..16 => wish(mood, rng),
        16 => return Sentence { text: existence(rng), mark: '.' },
        17 => return Sentence { text: whereabouts(rng), mark: '?' },
        18 => return Sentence { text: author(rng), mark: '?' },
        _ => going(mood, rng),
    };
    Sentence { text, mark }
}

/// A sentence of two clauses.
pub(super) fn compound(rng: &mut ChaCha8Rng) -> Sentence {
    let statement = |rng: &mut ChaCha8Rng| {
        let mood = if rng.random_bool(0.75) { Mood::Statement } else { Mood::Denial };
        match rng.random_range(0..4) {
            0..2 => action(mood, rng),
            2 => description(mood, rng),
            _ => wish(mood, rng),
        }
    };
    let text = if rng.random_bool(0.4) {
        relative(rng)
    } else {
        let joins = [("e", "and"), ("mas", "but"), ("porque", "because")];
        let (pt, en) = *joins.choose(rng).unwrap_or(&joins[0]);
        let first = statement(rng);
        let comma = if pt == "mas" { "," } else { "" };
        let first = Both::new(format!("{}{comma}", first.pt), format!("{}{comma}", first.en));
        first.then(&Both::new(pt, en)).then(&statement(rng))
    };
    Sentence { text, mark: '.' }
}

/// A verb that such a subject has, and an object for it.
fn verb_and_object(rng: &mut ChaCha8Rng) -> (&'static Verb, Both) {
    let verb = VERBS.choose(rng).unwrap_or(&VERBS[0]);
    let kind = *verb.objects.choose(rng).unwrap_or(&Kind::Thing);
    (verb, NounPhrase::new(kind, rng).both(Before::Nothing))
}

/// The verb between subject and object, with what tense and mood ask for around the subject.
fn conjugate(subject: &Subject, verb: &Verb, tense: Tense, mood: Mood) -> Both {
    let (form, english) = (subject.form, subject.english);
    let not = if mood == Mood::Denial { "não " } else { "" };
    let pt = match tense {
        Tense::Present => verb.present[form].to_owned(),
        Tense::Past => verb.past[form].to_owned(),
        Tense::Progressive => {
            format!("{} {}", ["estou", "está", "estamos", "estão"][form], verb.gerund)
        }
        Tense::Future => format!("{} {}", ["vou", "vai", "vamos", "vão"][form], verb.infinitive),
    };
    let pt = format!("{} {not}{pt}", subject.text.pt);
    let [base, third, past, ing] = verb.en;
    let who = &subject.text.en;
    let going = format!("going to {base}");
    let (is, does) = (english.is(), english.does());
    let present = if english == English::She { third } else { base };
    let en = match (tense, mood) {
        (Tense::Present, Mood::Statement) => format!("{who} {present}"),
        (Tense::Present, Mood::Denial) => format!("{who} {does} not {base}"),
        (Tense::Present, Mood::Question) => format!("{does} {who} {base}"),
        (Tense::Past, Mood::Statement) => format!("{who} {past}"),
        (Tense::Past, Mood::Denial) => format!("{who} did not {base}"),
        (Tense::Past, Mood::Question) => format!("did {who} {base}"),
        (Tense::Progressive, Mood::Statement) => format!("{who} {is} {ing}"),
        (Tense::Progressive, Mood::Denial) => format!("{who} {is} not {ing}"),
        (Tense::Progressive, Mood::Question) => format!("{is} {who} {ing}"),
        (Tense::Future, Mood::Statement) => format!("{who} {is} {going}"),
        (Tense::Future, Mood::Denial) => format!("{who} {is} not {going}"),
        (Tense::Future, Mood::Question) => format!("{is} {who} {going}"),
    };
    Both::new(pt, en)
}

/// A tense that verb and subject have, and a time that goes with it.
fn tense_and_time(verb: &Verb, subject: &Subject, rng: &mut ChaCha8Rng) -> (Tense, Option<Both>) {
    // Of `nós` present and past are spelt alike: `nós compramos` is always of the present here.
    let has = |tense: &Tense| match tense {
        Tense::Progressive => verb.progressive,
        Tense::Past => subject.form != 2,
        _ => true,
    };
    let tenses: Vec<Tense> = [Tense::Present, Tense::Progressive, Tense::Past, Tense::Future]
        .into_iter()
        .filter(has)
        .collect();
    let tense = *tenses.choose(rng).unwrap_or(&Tense::Present);
    let times: &[(&str, &str)] = match tense {
        Tense::Present => &[("todos os dias", "every day"), ("à noite", "at night")],
        Tense::Progressive => &[("agora", "now")],
        Tense::Past => &[("ontem", "yesterday"), ("hoje", "today")],
        Tense::Future => &[("amanhã", "tomorrow"), ("hoje", "today")],
    };
    let time = if rng.random_bool(0.35) { times.choose(rng) } else { None };
    (tense, time.map(|(pt, en)| Both::new(*pt, *en)))
}

/// `Ela comprou um livro na cidade ontem`: She bought a book in the city yesterday.
fn action(mood: Mood, rng: &mut ChaCha8Rng) -> Both {
    let (verb, object) = verb_and_object(rng);
    let subject = Subject::any(verb.animals, rng);
    let (tense, time) = tense_and_time(verb, &subject, rng);
    let has_place = !verb.objects.contains(&Kind::Place) && rng.random_bool(0.25);
    let place = has_place.then(|| place(rng));
    conjugate(&subject, verb, tense, mood).then(&object).and(place.as_ref()).and(time.as_ref())
}

fn place(rng: &mut ChaCha8Rng) -> Both {
    let phrase = NounPhrase::definite(Kind::Place, rng).plain();
    let Both { pt, en } = phrase.both(Before::Em);
    Both::new(pt, format!("{} {en}", phrase.noun.at))
}

/// `As flores são vermelhas`: The flowers are red.
fn description(mood: Mood, rng: &mut ChaCha8Rng) -> Both {
    let kind = *KINDS_OF_THINGS.choose(rng).unwrap_or(&Kind::Thing);
    let subject = if kind == Kind::Person && rng.random_bool(0.5) {
        Subject::any(false, rng)
    } else {
        let mut phrase = NounPhrase::definite(kind, rng).plain();
        if rng.random_bool(0.3) && kind != Kind::Drink {
            phrase = NounPhrase::new(kind, rng).plain();
        }
        Subject::from(&phrase)
    };
    describe(&subject, mood, rng)
}

fn describe(subject: &Subject, mood: Mood, rng: &mut ChaCha8Rng) -> Both {
    let fitting: Vec<&'static Adjective> =
        ADJECTIVES.iter().filter(|adjective| adjective.of.contains(&subject.kind)).collect();
    let adjective = *fitting.choose(rng).unwrap_or(&&ADJECTIVES[0]);
    let past = rng.random_bool(0.25);
    let pt = match (adjective.state, past) {
        (false, false) => ["sou", "é", "somos", "são"],
        (true, false) => ["estou", "está", "estamos", "estão"],
        (false, true) => ["era", "era", "éramos", "eram"],
        (true, true) => ["estava", "estava", "estávamos", "estavam"],
    }[subject.form];
    let is = if past { subject.english.was() } else { subject.english.is() };
    let quality = Both::new(adjective.agree(subject.feminine, subject.plural), adjective.en);
    let Both { pt: who_pt, en: who_en } = &subject.text;
    let start = match mood {
        Mood::Statement => Both::new(format!("{who_pt} {pt}"), format!("{who_en} {is}")),
        Mood::Denial => Both::new(format!("{who_pt} não {pt}"), format!("{who_en} {is} not")),
        Mood::Question => Both::new(format!("{who_pt} {pt}"), format!("{is} {who_en}")),
    };
    start.then(&quality)
}

/// `Eles gostam do gato preto`: They like the black cat.
fn liking(mood: Mood, rng: &mut ChaCha8Rng) -> Both {
    const LIKE: Verb = Verb {
        infinitive: "gostar",
        gerund: "gostando",
        present: ["gosto", "gosta", "gostamos", "gostam"],
        past: ["gostei", "gostou", "gostamos", "gostaram"],
        en: ["like", "likes", "liked", "liking"],
        objects: &KINDS_OF_THINGS,
        animals: true,
        progressive: false,
    };
    let subject = Subject::any(true, rng);
    let kind = *KINDS_OF_THINGS.choose(rng).unwrap_or(&Kind::Thing);
    let object = NounPhrase::new(kind, rng).both(Before::De);
    let past = subject.form != 2 && rng.random_bool(0.3);
    let tense = if past { Tense::Past } else { Tense::Present };
    conjugate(&subject, &LIKE, tense, mood).then(&object)
}

/// `Ela quer vender o carro`: She wants to sell the car.
fn wish(mood: Mood, rng: &mut ChaCha8Rng) -> Both {
    const WISHES: [([&str; 4], [&str; 4], [&str; 4]); 2] = [
        (
            ["quero", "quer", "queremos", "querem"],
            ["queria", "queria", "queríamos", "queriam"],
            ["want to", "wants to", "wanted to", "wanting to"],
        ),
        (
            ["preciso", "precisa", "precisamos", "precisam"],
            ["precisava", "precisava", "precisávamos", "precisavam"],
            ["need to", "needs to", "needed to", "needing to"],
        ),
    ];
    let (present, past, en) = *WISHES.choose(rng).unwrap_or(&WISHES[0]);
    let (verb, object) = verb_and_object(rng);
    let wants = Verb {
        infinitive: "",
        gerund: "",
        present,
        past,
        en,
        objects: &[],
        animals: false,
        progressive: false,
    };
    let subject = Subject::any(false, rng);
    let tense = if rng.random_bool(0.25) { Tense::Past } else { Tense::Present };
    conjugate(&subject, &wants, tense, mood)
        .then(&Both::new(verb.infinitive, verb.en[0]))
        .then(&object)
}

/// `Há três gatos no jardim`: There are three cats in the garden.
fn existence(rng: &mut ChaCha8Rng) -> Both {
    let kinds = [Kind::Person, Kind::Animal, Kind::Thing];
    let kind = *kinds.choose(rng).unwrap_or(&Kind::Thing);
    let phrase = NounPhrase::some(kind, rng);
    let there = if phrase.plural { "there are" } else { "there is" };
    Both::new("há", there).then(&phrase.both(Before::Nothing)).then(&place(rng))
}

/// `Onde fica a estação`: Where is the station.
fn whereabouts(rng: &mut ChaCha8Rng) -> Both {
    let kind = *KINDS_OF_THINGS.choose(rng).unwrap_or(&Kind::Place);
    let subject = Subject::from(&NounPhrase::definite(kind, rng));
    let pt = match (kind, subject.plural) {
        (Kind::Place, _) => "fica",
        (_, false) => "está",
        (_, true) => "estão",
    };
    Both::new(format!("onde {pt}"), format!("where {}", subject.english.is())).then(&subject.text)
}

/// `Quem quebrou a janela`: Who broke the window.
fn author(rng: &mut ChaCha8Rng) -> Both {
    let (verb, object) = verb_and_object(rng);
    let who = Subject {
        text: Both::new("quem", "who"),
        form: 1,
        english: English::She,
        kind: Kind::Person,
        feminine: false,
        plural: false,
    };
    let (tense, time) = tense_and_time(verb, &who, rng);
    conjugate(&who, verb, tense, Mood::Statement).then(&object).and(time.as_ref())
}

/// `Nós vamos à praia todos os dias`: We go to the beach every day.
fn going(mood: Mood, rng: &mut ChaCha8Rng) -> Both {
    const GO: Verb = Verb {
        infinitive: "ir",
        gerund: "indo",
        present: ["vou", "vai", "vamos", "vão"],
        past: ["fui", "foi", "fomos", "foram"],
        en: ["go", "goes", "went", "going"],
        objects: &[Kind::Place],
        animals: false,
        progressive: false,
    };
    let subject = Subject::any(false, rng);
    let past = rng.random_bool(0.5);
    let tense = if past { Tense::Past } else { Tense::Present };
    let to = NounPhrase::definite(Kind::Place, rng).both(Before::A);
    let to = Both::new(to.pt, format!("to {}", to.en));
    let time = if past { ("ontem", "yesterday") } else { ("todos os dias", "every day") };
    let time = rng.random_bool(0.5).then(|| Both::new(time.0, time.1));
    conjugate(&subject, &GO, tense, mood).then(&to).and(time.as_ref())
}

/// `O menino que comprou o livro está cansado`: The boy who bought the book is tired.
fn relative(rng: &mut ChaCha8Rng) -> Both {
    let (verb, object) = verb_and_object(rng);
    let who = NounPhrase::definite(Kind::Person, rng);
    let mut subject = Subject::from(&who);
    let past = Subject { text: Both::new("que", "who"), ..subject.clone() };
    let clause = conjugate(&past, verb, Tense::Past, Mood::Statement).then(&object);
    subject.text = subject.text.then(&clause);
    if rng.random_bool(0.5) {
        return describe(&subject, Mood::Statement, rng);
    }
    let (verb, object) = verb_and_object(rng);
    let (tense, time) = tense_and_time(verb, &subject, rng);
    conjugate(&subject, verb, tense, Mood::Statement).then(&object).and(time.as_ref())
}
