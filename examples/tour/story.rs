//! What the tour asks, in both languages.

use std::time::SystemTime;

use clap::ValueEnum;
use model_utils::compare::Machine;
use model_utils::picture::{Page, Section};

use super::{Context, Shown, Topic, compress, gan, mcts, rl, transformer, vision};

/// The language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    En,
    Ja,
}

impl Language {
    /// That of messages by POSIX: the first of three variables that is set.
    pub(super) fn of_environment() -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        if set.is_some_and(|value| value.starts_with("ja")) { Self::Ja } else { Self::En }
    }

    pub(super) fn pick<T>(self, english: T, japanese: T) -> T {
        match self {
            Self::En => english,
            Self::Ja => japanese,
        }
    }

    pub(super) fn of(self, [english, japanese]: [&'static str; 2]) -> &'static str {
        self.pick(english, japanese)
    }
}

/// A topic's heading and question, its stage, and what to try next.
pub(super) struct Stage {
    pub(super) topic: Topic,
    pub(super) title: [&'static str; 2],
    pub(super) question: [&'static str; 2],
    pub(super) run: fn(&Context<'_>, Section) -> anyhow::Result<Shown>,
    pub(super) next: [&'static str; 2],
    pub(super) command: &'static str,
    pub(super) chapter: &'static str,
}

pub(super) const STAGES: [Stage; 6] = [
    Stage {
        topic: Topic::Vision,
        title: ["Light image models", "軽量な画像モデル"],
        question: [
            "Can a network of a hundred thousand weights learn to name drawn shapes, from nothing?",
            "重みが十万個ほどの小さなネットワークは、図形の名前をゼロから覚えられるか？",
        ],
        run: vision::run,
        next: [
            "Next: six families of models side by side, MobileNetV2 among them, which takes longer.",
            "次は、MobileNetV2 を含む六つの系統のモデルを比べる（少し時間がかかる）。",
        ],
        command: "cargo run --release --example vision_compare",
        chapter: "docs/src/vision.md",
    },
    Stage {
        topic: Topic::Rl,
        title: ["Reinforcement learning", "強化学習"],
        question: [
            "Can an agent that is only told how well it did find the way out of a maze, and keep a \
             pole upright?",
            "報酬しか知らされないエージェントは、迷路を抜け、棒を倒さずに立てていられるか？",
        ],
        run: rl::run,
        next: [
            "Next: the same with another algorithm, on a harder task.",
            "次は、別のアルゴリズムで、もっと難しい課題を。",
        ],
        command: "cargo run --release --example rl_classic_control -- --help",
        chapter: "docs/src/rl.md",
    },
    Stage {
        topic: Topic::Mcts,
        title: ["Tree search", "木探索"],
        question: [
            "Where does a search look when it cannot look everywhere, and can a net learn a game from \
             nothing but games against itself?",
            "全部は読み切れないとき、探索はどこを読むのか？自己対戦だけで、ネットワークはゲームを覚えられるか？",
        ],
        run: mcts::run,
        next: ["Next: play against it.", "次は、探索と対戦する。"],
        command: "cargo run --release --example mcts_play",
        chapter: "docs/src/mcts.md",
    },
    Stage {
        topic: Topic::Gan,
        title: ["Generative adversarial networks", "敵対的生成ネットワーク（GAN）"],
        question: [
            "Can a network learn to draw by nothing but trying to deceive another one?",
            "もう一つのネットワークをだまそうとするだけで、絵が描けるようになるか？",
        ],
        run: gan::run,
        next: [
            "Next: see one turn of the game after the other.",
            "次は、両者の一手一手を順に見る。",
        ],
        command: "cargo run --release --example gan_turns",
        chapter: "docs/src/gan.md",
    },
    Stage {
        topic: Topic::Transformer,
        title: ["Machine translation with attention", "注意機構による機械翻訳"],
        question: [
            "Does a translator that has learned for a few seconds get sentences right that it has never \
             seen?",
            "数秒間だけ学習した翻訳器は、見たことのない文を正しく訳せるか？",
        ],
        run: transformer::run,
        next: [
            "Next: look into all heads of its attention.",
            "次は、注意のすべてのヘッドをのぞいてみる。",
        ],
        command: "cargo run --release --example transformer_attention",
        chapter: "docs/src/transformer.md",
    },
    Stage {
        topic: Topic::Compress,
        title: ["Compression", "モデル圧縮"],
        question: [
            "How much of a network can be taken away before it gets worse?",
            "どこまで削ると、ネットワークの正解率は落ちるのか？",
        ],
        run: compress::run,
        next: [
            "Next: other ways to rank (--importance), or single weights (--deep-compression).",
            "次は、選び方を変えるか（--importance）、重みを一つずつ刈る（--deep-compression）。",
        ],
        command: "cargo run --release --example compress_prune",
        chapter: "docs/src/compress.md",
    },
];

/// The page before its first section.
pub(super) fn page(language: Language, machine: &Machine) -> Page {
    let date = chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).format("%Y-%m-%d");
    let devices: Vec<String> =
        machine.devices.iter().map(|device| format!("{} ({device})", device.spec)).collect();
    let made = format!(
        "Usagi {} · Burn {} · {} · {} × {} · {} · {date}",
        machine.version,
        machine.burn,
        devices.join(", "),
        machine.cores,
        machine.processor,
        machine.system,
    );
    Page::new(language.pick("Usagi: the tour", "Usagi：ガイドツアー"))
        .text(language.pick(
            "Six topics of deep learning, each learned from nothing on this machine while you waited.",
            "ディープラーニングの六つのテーマ。どれもこのマシンで、待っているあいだにゼロから学習した。",
        ))
        .language(language.pick("en", "ja"))
        .footer(made)
}

/// What the page says below its title while a stage is not at its end.
pub(super) fn stopped(language: Language, stage: &str) -> String {
    language.pick(
        format!("Stopped in {stage}: what is here was done by then."),
        format!("{stage} の途中で止められた。ここにあるのは、それまでに終わったもの。"),
    )
}

/// A share in percent, without digits that chance decides.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A number as people say it: three digits count.
pub(super) fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.1} M", value / 1e6),
        size if size >= 1e4 => format!("{:.0} k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
