//! Tokenizers, pairs, splits and batches as a user sees them.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use model_utils::data::{Columns, Position, SentencePairs};
use model_utils::train::Stop;
use transformer::text::{
    EncodedPair, Overlong, Paragraph, Side, SpecialNames, Splits, SplitsConfig, Subwords,
    TokenBatches, TokenLimit, Tokenizer, TokenizerConfig, Tokenizers,
};
use transformer::{Error, Grammar};

const ALL: [Subwords; 3] = [Subwords::Bpe, Subwords::WordPiece, Subwords::Unigram];

fn sentences() -> Vec<String> {
    let pairs = Grammar::Full.pairs(400, 1).unwrap().into_pairs();
    pairs.into_iter().flat_map(|pair| [pair.source, pair.target]).collect()
}

fn config(subwords: Subwords) -> TokenizerConfig {
    TokenizerConfig::new().with_subwords(subwords).with_vocabulary(600)
}

#[test]
fn text_goes_to_ids_and_back() {
    let sentences = sentences();
    for subwords in ALL {
        let tokenizer = Tokenizer::train(&config(subwords), &sentences).unwrap();
        assert!(tokenizer.vocabulary_size() <= 600, "{subwords:?}");
        for sentence in &sentences {
            let ids = tokenizer.encode(sentence).unwrap();
            assert!(!ids.contains(&tokenizer.special().unk), "{subwords:?}: {sentence}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), *sentence, "{subwords:?}");
        }
        // Subwords are shorter than letters, and longer words than one token are put together.
        let sentence = &sentences[0];
        let ids = tokenizer.encode(sentence).unwrap();
        assert!(ids.len() < sentence.chars().count());
        // White space is made even, special tokens leave no trace and are not spelt by text.
        let special = tokenizer.special();
        let spaced = format!("  {}\t", sentence.replace(' ', " \u{a0} "));
        let mut ids = tokenizer.encode(&spaced).unwrap();
        ids.insert(0, special.bos);
        ids.push(special.eos);
        assert_eq!(tokenizer.decode(&ids).unwrap(), *sentence, "{subwords:?}");
        let spelt = tokenizer.encode("o gato <eos>").unwrap();
        assert!(!spelt.contains(&special.eos), "{subwords:?}");
    }
}

#[test]
fn the_training_of_a_tokenizer_is_stopped() {
    let (sentences, config) = (sentences(), config(Subwords::Bpe));
    let train = |asked| Tokenizer::train(Stop::after(asked).around(&config), &sentences);
    let count = sentences.len();
    // Sentences are read, then counted; what is made of them then is not looked at where it was stopped.
    for (asked, place) in [(3, "sentence 3"), (count + 5, "sentence 5"), (2 * count, "its end")] {
        let error = train(asked).unwrap_err().to_string();
        assert_eq!(error, format!("training of the tokenizer was stopped at {place}"));
    }
    let whole = Tokenizer::train(&config, &sentences).unwrap();
    assert_eq!(train(2 * count + 1).unwrap().content(), whole.content());

    let pairs: SentencePairs = (0..1500).map(|_| ("o gato", "the cat")).collect();
    let tokenizers = Tokenizers::shared(whole);
    let limit = TokenLimit::new(50, Overlong::Refuse);
    let error = tokenizers.encode(Stop::after(1).around(&pairs), "train", limit).unwrap_err();
    assert_eq!(error.to_string(), "encoding was stopped at train, line 1025");
    assert_eq!(
        tokenizers.encode(Stop::after(2).around(&pairs), "train", limit).unwrap().pairs.len(),
        1500
    );
}

#[test]
fn composed_and_decomposed_letters_are_the_same() {
    let tokenizer = Tokenizer::train(&config(Subwords::Bpe), sentences()).unwrap();
    let composed = tokenizer.encode("maçã").unwrap();
    assert_eq!(tokenizer.encode("mac\u{327}a\u{303}").unwrap(), composed);
}

#[test]
fn the_same_sentences_give_the_same_tokenizer_and_a_file_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    for subwords in ALL {
        let lower = config(subwords).with_lowercase(true);
        let one = Tokenizer::train(&lower, sentences()).unwrap();
        let other = Tokenizer::train(&lower, sentences()).unwrap();
        assert_eq!(one.content(), other.content(), "{subwords:?}");

        let path = folder.path().join("tokenizer.json");
        one.save(&path).unwrap();
        let loaded = Tokenizer::load(&path).unwrap();
        let text = "As Meninas COMPRARAM três maçãs.";
        assert_eq!(loaded.encode(text).unwrap(), one.encode(text).unwrap());
        // The normalisation is in the file.
        let decoded = loaded.decode(&loaded.encode(text).unwrap()).unwrap();
        assert_eq!(decoded, "as meninas compraram três maçãs.");
        assert!(!loaded.encode("<pad>").unwrap().contains(&loaded.special().pad));
    }
}

#[test]
fn tokenizers_are_trained_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.gz");
    gzip(&path, &(sentences().join("\n") + "\n"));
    let from_file = Tokenizer::train_from_files(&config(Subwords::Bpe), &[&path]).unwrap();
    let from_memory = Tokenizer::train(&config(Subwords::Bpe), sentences()).unwrap();
    assert_eq!(from_file.content(), from_memory.content());
}

#[test]
fn a_stream_gives_the_whole_text() {
    let sentences = sentences();
    for subwords in ALL {
        let tokenizer = Tokenizer::train(&config(subwords), &sentences).unwrap();
        for sentence in &sentences[..20] {
            let mut stream = tokenizer.stream();
            let pieces: Vec<String> = tokenizer
                .encode(sentence)
                .unwrap()
                .into_iter()
                .map(|id| stream.push(id).unwrap())
                .collect();
            assert_eq!(pieces.concat(), *sentence, "{subwords:?}");
        }
    }
}

#[test]
fn what_cannot_be_a_tokenizer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let message = |error: Error| error.to_string();

    let tiny = TokenizerConfig::new().with_vocabulary(10);
    let error = message(Tokenizer::train(&tiny, sentences()).unwrap_err());
    assert!(error.contains("`vocabulary` is 10, expected at least"), "{error}");
    let error = message(Tokenizer::train(&config(Subwords::Bpe), [" "]).unwrap_err());
    assert!(error.contains("no sentence to learn from"), "{error}");
    let error = message("words".parse::<Subwords>().unwrap_err().into());
    assert!(error.contains("expected bpe, word_piece or unigram"), "{error}");

    let error = message(Tokenizer::load(&path).unwrap_err());
    assert!(error.contains("cannot read") && error.contains("tokenizer.json"), "{error}");
    fs::write(&path, "{").unwrap();
    let error = message(Tokenizer::load(&path).unwrap_err());
    assert!(error.contains("tokenizer.json: it cannot be read"), "{error}");

    // A tokenizer of elsewhere names its special tokens otherwise.
    let trained = Tokenizer::train(&config(Subwords::Bpe), sentences()).unwrap();
    let json = String::from_utf8(trained.content().to_vec()).unwrap();
    fs::write(&path, json.replace("<bos>", "[CLS]")).unwrap();
    let error = message(Tokenizer::load(&path).unwrap_err());
    assert!(error.contains("does not know the special token `<bos>`"), "{error}");
    let names = SpecialNames { bos: "[CLS]".to_owned(), ..SpecialNames::default() };
    assert_eq!(Tokenizer::load_named(&path, names).unwrap().special().bos, 1);
}

fn gzip(path: &Path, text: &str) {
    let mut file = GzEncoder::new(fs::File::create(path).unwrap(), Compression::default());
    file.write_all(text.as_bytes()).unwrap();
    file.finish().unwrap();
}

/// So many lines.
fn numbered(count: usize, line: impl Fn(usize) -> String) -> String {
    let lines: Vec<String> = (0..count).map(line).collect();
    lines.join("\n") + "\n"
}

#[test]
fn a_folder_is_read_in_every_layout() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let folder = root.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    };
    let parts = folder("parts");
    for (part, count) in [("train", 4), ("val", 2), ("test_2016", 1)] {
        let lines = |word: &str| numbered(count, |n| format!("{word} {part} {n}"));
        gzip(&parts.join(format!("{part}.de.gz")), &lines("eins"));
        fs::write(parts.join(format!("{part}.en")), lines("one")).unwrap();
    }
    let splits = Splits::open(&parts, None, 1).unwrap();
    assert_eq!(splits.train.pairs().len(), 4);
    assert_eq!(splits.valid.pairs()[1].source, "eins val 1");
    assert_eq!(splits.test.pairs()[0].target, "one test_2016 0");
    let turned = Splits::open(&parts, Some(("en", "de")), 1).unwrap();
    assert_eq!(turned, splits.clone().reversed());

    let one = folder("one");
    let lines = |word: &str| numbered(40, |n| format!("{word} {}", n / 2));
    fs::write(one.join("pairs.eng"), lines("rabbit")).unwrap();
    fs::write(one.join("pairs.por"), lines("coelho")).unwrap();
    let cut = Splits::open(&one, None, 1).unwrap();
    let sizes = [&cut.train, &cut.valid, &cut.test].map(|part| part.pairs().len());
    assert_eq!(sizes, [36, 2, 2]);
    assert_eq!(cut.train.pairs()[0].source.split(' ').next(), Some("coelho"));
    assert_eq!(cut, Splits::open(&one, None, 1).unwrap());
    assert_ne!(cut, Splits::open(&one, None, 2).unwrap());

    let tables = folder("tables");
    for part in ["train", "valid"] {
        fs::write(tables.join(format!("{part}.tsv")), "a\tb\nc\td\n").unwrap();
    }
    fs::write(tables.join("test.jsonl"), "{\"source\": \"e\", \"target\": \"f\"}\n").unwrap();
    let splits = Splits::open(&tables, None, 1).unwrap();
    assert_eq!(splits.test.pairs()[0].target, "f");
    let path = tables.join("test.jsonl");
    gzip(&path, "{\"translation\": {\"de\": \"e\", \"en\": \"f\"}}\n");
    let error = Splits::open(&tables, Some(("en", "de")), 1).unwrap_err().to_string();
    assert!(error.contains("does not name `en` and `de`: say which columns"), "{error}");
    let turned = SplitsConfig::new()
        .with_direction(Some(["en", "de"].map(str::to_owned)))
        .with_columns(Columns::Numbers(2, 1));
    let splits = Splits::open_with(&tables, &turned).unwrap();
    assert_eq!(splits.test.pairs()[0].source, "f");
    assert_eq!(splits.train.pairs()[0].source, "b");
}

#[test]
fn a_folder_without_pairs_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let open = |direction| Splits::open(root.path(), direction, 1).unwrap_err().to_string();
    assert!(open(None).contains("no pairs in it"), "{}", open(None));
    fs::write(root.path().join("train.de"), "a\n").unwrap();
    fs::write(root.path().join("train.fr"), "b\n").unwrap();
    assert!(open(None).contains("found de, fr: say from which"), "{}", open(None));
    let error = open(Some(("de", "fr")));
    assert!(error.contains("there is no validation part (`valid`, `val`,"), "{error}");
    let error = open(Some(("de", "en")));
    assert!(error.contains("no pairs of `de` and `en`: found de, fr"), "{error}");
    let missing = root.path().join("none");
    let error = Splits::open(missing, None, 1).unwrap_err().to_string();
    assert!(error.contains("cannot list") && error.contains("none"), "{error}");
}

#[test]
fn no_sentence_is_in_two_parts() {
    let pairs: SentencePairs =
        (0..300).map(|n| (format!("frase {n}"), format!("sentence {}", n % 100))).collect();
    let splits = Splits::by_unique(pairs.clone(), Side::Target, [0.1, 0.2], 3).unwrap();
    let parts = [&splits.train, &splits.valid, &splits.test];
    assert_eq!(parts.map(|part| part.pairs().len()), [210, 30, 60]);
    let targets = |part: &SentencePairs| -> HashSet<String> {
        part.pairs().iter().map(|pair| pair.target.clone()).collect()
    };
    let [train, valid, test] = parts.map(targets);
    assert!(train.is_disjoint(&valid) && train.is_disjoint(&test) && valid.is_disjoint(&test));

    for shares in [[0.0, 0.1], [0.6, 0.4], [f64::NAN, 0.1]] {
        let error =
            Splits::by_unique(pairs.clone(), Side::Target, shares, 3).unwrap_err().to_string();
        assert!(error.contains("`shares`"), "{error}");
    }
    let none = SentencePairs::default();
    let error = Splits::by_unique(none, Side::Source, [0.1, 0.1], 3).unwrap_err().to_string();
    assert!(error.contains("0 different sentences, expected at least 3"), "{error}");
}

#[test]
fn training_pairs_that_stand_elsewhere_go() {
    let set = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<SentencePairs>();
    let splits = Splits {
        train: set(&[("a", "A"), ("a", "A"), ("b", "X"), ("v", "B"), ("c", "C")]),
        valid: set(&[("v", "V")]),
        test: set(&[("x", "X")]),
    };
    let (left, gone) = splits.deduplicated();
    assert_eq!(gone, 3);
    assert_eq!(left.train, set(&[("a", "A"), ("c", "C")]));
    assert_eq!(left.test, set(&[("x", "X")]));
}

#[test]
fn over_long_sentences_are_refused_with_their_line_or_cut_when_asked() {
    let pairs: SentencePairs =
        [("o gato", "the cat"), ("o gato e o gato e o gato", "the cat")].into_iter().collect();
    let letters = TokenizerConfig::new()
        .with_vocabulary(20)
        .with_min_frequency(100)
        .with_byte_fallback(false);
    let tokenizers = Tokenizers::train_shared(&letters, &pairs).unwrap();
    let error =
        tokenizers.encode(&pairs, "train.por", TokenLimit::new(12, Overlong::Refuse)).unwrap_err();
    let Error::TooLong { place, tokens, limit } = &error else { panic!("{error}") };
    assert_eq!((place.as_str(), *limit), ("train.por, line 2, source", 12));
    assert!(*tokens > 12);
    assert!(error.to_string().contains("expected at most 12"), "{error}");

    let cut =
        tokenizers.encode(&pairs, "train.por", TokenLimit::new(12, Overlong::Truncate)).unwrap();
    assert_eq!(
        cut.overlong.to_string(),
        "1 of 2 pairs have more than 12 tokens on a side: 1 truncated, 0 skipped (first: line 2)"
    );
    let cut = cut.pairs;
    assert_eq!(cut[1].source.len(), 12);
    assert_eq!(cut[1].source.last(), Some(&tokenizers.source().special().eos));
    assert_eq!(cut[1].source[..7], cut[0].source[..7]);
    let skipped =
        tokenizers.encode(&pairs, "train.por", TokenLimit::new(12, Overlong::Skip)).unwrap();
    assert_eq!((skipped.overlong.truncated, skipped.overlong.skipped), (0, 1));
    assert_eq!(skipped.pairs, cut[..1]);
    let error =
        tokenizers.encode(&pairs, "train.por", TokenLimit::new(3, Overlong::Skip)).unwrap_err();
    assert!(error.to_string().contains("no pair is left"), "{error}");
}

fn pairs_of_lengths() -> Vec<EncodedPair> {
    let ids = |n: usize| vec![9; n];
    (0..500)
        .map(|n| EncodedPair { source: ids(1 + n * 7 % 23), target: ids(2 + n * 5 % 19) })
        .collect()
}

#[test]
fn batches_hold_every_pair_once_and_keep_to_the_tokens() {
    let pairs = pairs_of_lengths();
    let batches = TokenBatches::new(&pairs, 200, 5).unwrap();
    let epoch = batches.epoch(0);
    let mut seen = BTreeSet::new();
    let (mut padded, mut real) = (0, 0);
    for batch in &epoch {
        let longest = batch.iter().map(|&at| pairs[at].longest()).max().unwrap();
        assert!(longest * batch.len() <= 200);
        padded += longest * batch.len();
        real += batch.iter().map(|&at| pairs[at].longest()).sum::<usize>();
        seen.extend(batch.iter().copied());
    }
    assert_eq!(seen.len(), pairs.len());
    assert_eq!(epoch.iter().map(Vec::len).sum::<usize>(), pairs.len());
    // Sentences of like length share a batch.
    assert!((real as f64) > 0.9 * padded as f64, "{real} of {padded}");

    assert_eq!(epoch, TokenBatches::new(&pairs, 200, 5).unwrap().epoch(0));
    assert_ne!(epoch, batches.epoch(1));
    assert_ne!(epoch, TokenBatches::new(&pairs, 200, 6).unwrap().epoch(0));
}

#[test]
fn batches_go_on_at_any_position() {
    let pairs = pairs_of_lengths();
    let batches = TokenBatches::new(&pairs, 200, 5).unwrap();
    let per_epoch = batches.epoch(0).len();
    let all: Vec<_> = batches.from(Position::default()).take(2 * per_epoch + 20).collect();
    for first in [0, 3, per_epoch, per_epoch + 1, 2 * per_epoch] {
        let rest: Vec<_> = batches.from(all[first].0).take(10).collect();
        assert_eq!(rest, all[first..first + 10]);
    }
}

#[test]
fn batches_that_cannot_hold_a_sentence_are_refused() {
    let error = TokenBatches::new(&pairs_of_lengths(), 22, 5).unwrap_err().to_string();
    assert!(error.contains("`batch_tokens` is 22, expected at least the 23"), "{error}");
    let error = TokenBatches::new(&[], 22, 5).unwrap_err().to_string();
    assert!(error.contains("there is no pair"), "{error}");
}

#[test]
fn the_grammar_is_one_to_one() {
    let pairs = Grammar::Full.pairs(30_000, 11).unwrap();
    let sources: HashSet<&str> = pairs.pairs().iter().map(|pair| pair.source.as_str()).collect();
    let targets: HashSet<&str> = pairs.pairs().iter().map(|pair| pair.target.as_str()).collect();
    assert_eq!(sources.len(), 30_000);
    let twice: Vec<_> = {
        let mut seen = HashSet::new();
        pairs.pairs().iter().filter(|pair| !seen.insert(pair.target.clone())).take(5).collect()
    };
    assert_eq!(targets.len(), 30_000, "{twice:?}");
    assert_eq!(Grammar::Full.pairs(100, 11).unwrap().pairs(), &pairs.pairs()[..100]);
    assert_ne!(Grammar::Full.pairs(100, 12).unwrap().pairs(), &pairs.pairs()[..100]);
}

#[test]
fn the_grammar_agrees_and_contracts() {
    let pairs = Grammar::Full.pairs(30_000, 11).unwrap();
    let all: Vec<String> =
        pairs.pairs().iter().map(|pair| format!(" {} ", pair.source.to_lowercase())).collect();
    for wrong in
        [" de o ", " de a ", " em o ", " em a ", " em este ", " a o ", " o menina ", " a gato "]
    {
        let found = all.iter().find(|text| text.contains(wrong));
        assert_eq!(found, None, "`{wrong}`");
    }
    for right in [" do ", " na ", " ao ", " à ", " daquela ", " neste ", "branca", "brancos"] {
        let is_rare = right == " neste ";
        assert!(is_rare || all.iter().any(|text| text.contains(right)), "`{right}`");
    }
    for pair in pairs.pairs() {
        let text = format!(" {} ", pair.target);
        for vowel in ['a', 'e', 'i', 'o', 'u'] {
            assert!(!text.contains(&format!(" a {vowel}")), "{text}");
        }
        assert!(pair.target.ends_with(['.', '?']), "{text}");
        assert_eq!(pair.target.ends_with('?'), pair.source.ends_with('?'), "{text}");
        assert!(pair.target.starts_with(char::is_uppercase), "{text}");
    }
}

#[test]
fn texts_of_the_grammar_have_all_lengths_alike() {
    let pairs = Grammar::Text.pairs(4000, 11).unwrap();
    // Of texts of up to 15 words, of 16 to 30 and so on.
    let mut words_in = [0; 4];
    for pair in pairs.pairs() {
        let words = pair.source.split_whitespace().count();
        assert!(words <= 60, "{words}: {}", pair.source);
        words_in[(words - 1) / 15] += words;
        // As many sentences on either side, each with its mark.
        let marks = |text: &str| text.matches(['.', '?']).collect::<Vec<_>>().join("");
        assert_eq!(marks(&pair.source), marks(&pair.target), "{pair:?}");
        assert_eq!(Paragraph::new(&pair.source).sentences().len(), marks(&pair.source).len());
    }
    let all: usize = words_in.iter().sum();
    assert!(words_in.iter().all(|&words| 6 * words > all), "{words_in:?}");
    assert_eq!(Grammar::Text.pairs(100, 11).unwrap().pairs(), &pairs.pairs()[..100]);
}

#[test]
fn the_grammar_has_parts_of_the_sizes_asked_for() {
    for error in [
        Grammar::Simple.pairs(usize::MAX, 4).unwrap_err(),
        Grammar::Simple.splits([usize::MAX; 3], 4).unwrap_err(),
    ] {
        assert!(error.to_string().contains("expected at most 16777216"), "{error}");
    }
    let splits = Grammar::Simple.splits([300, 20, 30], 4).unwrap();
    let parts = [&splits.train, &splits.valid, &splits.test];
    assert_eq!(parts.map(|part| part.pairs().len()), [300, 20, 30]);
    let (_, gone) = splits.deduplicated();
    assert_eq!(gone, 0);
}
