//! Weights under the names of `MarianMTModel`.

use std::path::Path;

use burn::tensor::TensorData;
use model_utils::weights::{Import, Manifest, State, TensorEntry};

use crate::attention::{Positions, Transformer};
use crate::error::{Error, Result};

const TABLE: &str = "model.shared.weight";
const BIAS: &str = "final_logits_bias";
/// The same table under other names.
const TIED: [&str; 3] =
    ["model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"];
/// Sines and cosines, which are computed here.
const POSITIONS: [&str; 2] =
    ["model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"];

/// Parts of names here and there.
const PARTS: [(&str, &str); 14] = [
    ("self_attention.", "self_attn."),
    ("cross_attention.", "encoder_attn."),
    ("around_attention.norm", "self_attn_layer_norm"),
    ("around_self.norm", "self_attn_layer_norm"),
    ("around_cross.norm", "encoder_attn_layer_norm"),
    ("around_feed_forward.norm", "final_layer_norm"),
    ("feed_forward.inner", "fc1"),
    ("feed_forward.outer", "fc2"),
    (".query.", ".q_proj."),
    (".key.", ".k_proj."),
    (".value.", ".v_proj."),
    (".output.", ".out_proj."),
    (".gamma", ".weight"),
    (".beta", ".bias"),
];

/// The name there of a tensor here.
fn name(path: &str) -> String {
    match path {
        "target_embedding.weight" => TABLE.to_owned(),
        "output_bias" => BIAS.to_owned(),
        _ => {
            let parts = PARTS.iter();
            let name = parts.fold(path.to_owned(), |name, (here, there)| name.replace(here, there));
            format!("model.{name}")
        }
    }
}

/// Sets the weights of a model from SafeTensors or PyTorch's own file.
pub(super) fn load(model: Transformer, path: &Path) -> Result<Transformer> {
    let mut state = Import::new(path).state()?;
    let bad = |reason: String| Error::hugging_face(path, reason);
    let tied: Vec<(&str, TensorEntry)> =
        TIED.iter().filter_map(|&name| Some((name, state.tensors.remove(name)?))).collect();
    if !state.tensors.contains_key(TABLE)
        && let Some((_, table)) = tied.first()
    {
        state.tensors.insert(TABLE.to_owned(), table.clone());
    }
    for (name, table) in tied {
        if state.tensors.get(TABLE).is_some_and(|shared| shared.data != table.data) {
            return Err(bad(format!("`{name}` is not `{TABLE}`, expected one table")));
        }
    }
    for name in POSITIONS {
        if let Some(table) = state.tensors.remove(name) {
            let [time, width] = table.data.shape().to_vec()[..] else {
                return Err(bad(format!("`{name}` is no table")));
            };
            let device = model.target_embedding.weight.val().device();
            if time == 0 || width != model.config().d_model {
                return Err(bad(format!("`{name}` has the shape [{time}, {width}]")));
            }
            let ours = crate::attention::sinusoids(0, time, width, true, &device).into_data();
            let theirs = table.data.convert::<f32>();
            let far = ours.iter::<f32>().zip(theirs.iter::<f32>());
            // Half precision is good to 1 in 2,000.
            if far.map(|(a, b)| (a - b).abs()).any(|off| off.is_nan() || off > 2e-3) {
                return Err(bad(format!("`{name}` are no sines and cosines in halves")));
            }
        }
    }
    let vocabulary = model.config().target_vocabulary;
    let bias = match state.tensors.remove(BIAS) {
        Some(bias) => bias.data.convert::<f32>().iter::<f32>().collect(),
        None => vec![0.0; vocabulary],
    };
    let shape = [bias.len()];
    let data = TensorData::new(bias, shape);
    state.tensors.insert(BIAS.to_owned(), TensorEntry { data, param_id: None });
    if let Some((name, value)) = state.first_not_finite() {
        return Err(bad(format!("`{name}` holds {value}, expected finite numbers")));
    }
    let (model, report) = state.apply(model, name)?;
    if report.is_complete() {
        return Ok(model);
    }
    let (path, differences) = (path.to_path_buf(), report.differences());
    Err(model_utils::Error::Mismatch { path, differences }.into())
}

/// Writes the weights of a model whose configuration can be told.
pub(super) fn save(model: &Transformer, path: &Path) -> Result<()> {
    let config = model.config();
    let mut state = State::from_module(model, name)?;
    let bias = match state.tensors.remove(BIAS) {
        Some(bias) => bias.data.convert::<f32>().iter::<f32>().collect(),
        None => vec![0.0_f32; config.target_vocabulary],
    };
    if config.positions == Positions::Sinusoidal {
        for (name, entry) in &mut state.tensors {
            entry.data = in_halves(name, &entry.data);
        }
    }
    let data = TensorData::new(bias, [1, config.target_vocabulary]);
    state.tensors.insert(BIAS.to_owned(), TensorEntry { data, param_id: None });
    let manifest = Manifest::new(env!("CARGO_PKG_NAME"), "marian", config)?;
    Ok(state.save(path, &manifest)?)
}

/// Of a model whose positions are sines and cosines in turn the tensor that does the same where all
/// sines come first: the numbers of the vectors between the layers change places, in everything that
/// reads or writes them.
fn in_halves(name: &str, data: &TensorData) -> TensorData {
    let reads = [TABLE, "q_proj.weight", "k_proj.weight", "v_proj.weight", "fc1.weight"];
    let stays = ["q_proj.bias", "k_proj.bias", "v_proj.bias", "fc1.bias"];
    if stays.iter().any(|end| name.ends_with(end)) {
        return data.clone();
    }
    let axis = usize::from(reads.iter().any(|end| name.ends_with(end)));
    let shape = data.shape().to_vec();
    let width = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let values: Vec<f32> = data.clone().convert::<f32>().iter::<f32>().collect();
    let pairs = width / 2;
    let from = |to: usize| if to < pairs { 2 * to } else { 2 * (to - pairs) + 1 };
    let moved = values
        .chunks(width * inner)
        .flat_map(|block| {
            (0..width).flat_map(move |to| block[from(to) * inner..][..inner].to_vec())
        })
        .collect::<Vec<f32>>();
    TensorData::new(moved, shape)
}
