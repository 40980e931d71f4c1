//! timm's names as torchvision's.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use model_utils::weights::{State, TensorEntry};

use crate::image_model::Family;

/// Layers of a block in the order in which they stand, by timm's names; a block has some of them.
/// In a block without expansion the last 1×1 convolution is called `conv_pw`.
const EXPANDED: [&str; 4] = ["conv_pw", "conv_dw", "se", "conv_pwl"];
const PLAIN: [&str; 3] = ["conv_dw", "se", "conv_pw"];

/// The state with the names that a family has in this crate, and the shapes.
pub(super) fn renamed(state: State, family: Family) -> State {
    match family {
        Family::MobileNetV2 => mobile(state, false),
        Family::MobileNetV3 => mobile(state, true),
        Family::Vgg => vgg(state),
        // MobileNetV1 is called as in timm here, the others as in torchvision there.
        Family::MobileNetV1 | Family::DenseNet | Family::ResNet => state,
    }
}

/// The head of a `VGG` is called by what it does; a convolution over the whole map is a linear
/// layer.
fn vgg(state: State) -> State {
    let rename = |(name, entry): (String, TensorEntry)| {
        for (from, to) in [
            ("pre_logits.fc1.", "classifier.0."),
            ("pre_logits.fc2.", "classifier.3."),
            ("head.fc.", "classifier.6."),
        ] {
            if let Some(leaf) = name.strip_prefix(from) {
                return (format!("{to}{leaf}"), flat(entry));
            }
        }
        (name, entry)
    };
    State { tensors: state.tensors.into_iter().map(rename).collect() }
}

/// A convolution's weight as a linear layer's: `[out, in, h, w]` → `[out, in·h·w]`.
fn flat(mut entry: TensorEntry) -> TensorEntry {
    if let [out, rest @ ..] = &entry.data.shape().to_vec()[..]
        && rest.len() > 1
    {
        let shape = vec![*out, rest.iter().product()];
        let bytes = entry.data.as_bytes().to_vec();
        entry.data = TensorData::from_bytes_vec(bytes, shape, entry.data.dtype());
    }
    entry
}

/// `MobileNetV2` and V3.
fn mobile(state: State, third: bool) -> State {
    // Blocks are numbered within stages there, and through all stages here.
    let mut blocks: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for name in state.tensors.keys() {
        if let Some((place, rest)) = block(name) {
            blocks.entry(place).or_default().push(rest.to_owned());
        }
    }
    let places: Vec<(usize, usize)> = blocks.keys().copied().collect();
    let rename = |(name, entry): (String, TensorEntry)| {
        if let Some((place, rest)) = block(&name) {
            let index = 1 + places.iter().position(|other| *other == place).unwrap_or_default();
            return (in_block(index, rest, &blocks[&place], third), entry);
        }
        let last = places.len() + 1;
        for (from, to) in [
            ("conv_stem.", "features.0.0.".to_owned()),
            ("bn1.", "features.0.1.".to_owned()),
            ("bn2.", format!("features.{last}.1.")),
            ("classifier.", format!("classifier.{}.", if third { 3 } else { 1 })),
        ] {
            if let Some(leaf) = name.strip_prefix(from) {
                return (format!("{to}{leaf}"), entry);
            }
        }
        match name.strip_prefix("conv_head.") {
            // After the pooling there, where a 1×1 convolution is a linear layer.
            Some(leaf) if third => (format!("classifier.0.{leaf}"), flat(entry)),
            Some(leaf) => (format!("features.{last}.0.{leaf}"), entry),
            None => (name, entry),
        }
    };
    State { tensors: state.tensors.into_iter().map(rename).collect() }
}

/// Stage, block and the rest of a name.
fn block(name: &str) -> Option<((usize, usize), &str)> {
    let mut parts = name.strip_prefix("blocks.")?.splitn(3, '.');
    let mut number = || parts.next()?.parse().ok();
    let place = (number()?, number()?);
    Some((place, parts.next()?))
}

/// The name of a block's tensor, given all names of the block.
fn in_block(index: usize, rest: &str, all: &[String], third: bool) -> String {
    let (layer, leaf) = rest.split_once('.').unwrap_or((rest, ""));
    let has = |layer: &str| all.iter().any(|name| name.split('.').next() == Some(layer));
    if has("conv") {
        // The last convolution of MobileNetV3.
        return format!("features.{index}.{}.{leaf}", usize::from(layer == "bn1"));
    }
    let order = if has("conv_pwl") { &EXPANDED[..] } else { &PLAIN[..] };
    let layers: Vec<&str> = order.iter().copied().filter(|layer| has(layer)).collect();
    let position = |layer: &str| layers.iter().position(|other| *other == layer);
    let kind = if third { "block" } else { "conv" };
    if layer == "se" {
        let at = position("se").unwrap_or_default();
        let leaf = leaf.replace("conv_reduce", "fc1").replace("conv_expand", "fc2");
        return format!("features.{index}.{kind}.{at}.{leaf}");
    }
    let convolutions: Vec<&str> = layers.iter().copied().filter(|layer| *layer != "se").collect();
    // bn1 belongs to the first convolution, bn2 to the second.
    let norm = layer.strip_prefix("bn").and_then(|number| number.parse::<usize>().ok());
    let conv = match norm {
        Some(number) => convolutions.get(number.saturating_sub(1)).copied().unwrap_or_default(),
        None => layer,
    };
    let at = position(conv).unwrap_or_default();
    let is_last = Some(&conv) == convolutions.last();
    if is_last && !third {
        // MobileNetV2's projection stands bare in the sequence.
        return format!("features.{index}.{kind}.{}.{leaf}", at + usize::from(norm.is_some()));
    }
    format!("features.{index}.{kind}.{at}.{}.{leaf}", usize::from(norm.is_some()))
}
