//! Attention.

use burn::nn::DropoutConfig;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, TensorData};
use model_utils::ops::{self, Mask};

use crate::array::Block;
use crate::case::{Answer, Call, Case, Given, Input, Operation, Role};
use crate::draw::Draw;
use crate::operations::losses::softmax_log_sum;
use crate::run::Run;
use crate::tape::{Tape, Var};

pub fn operations() -> [Operation; 6] {
    [
        Operation {
            name: "attention",
            generate: |draw| attention(draw, Form::Both, false),
            misfit: Some(|draw| attention(draw, Form::Both, true)),
        },
        Operation {
            name: "attention_weights",
            generate: |draw| attention(draw, Form::Weights, false),
            misfit: Some(|draw| attention(draw, Form::Weights, true)),
        },
        Operation {
            name: "scaled_dot_product_attention",
            generate: |draw| attention(draw, Form::Burns, false),
            misfit: None,
        },
        Operation {
            name: "multi_head_attention",
            generate: |draw| multi_head(draw, true, false),
            misfit: Some(|draw| multi_head(draw, true, true)),
        },
        Operation {
            name: "multi_head_weights",
            generate: |draw| multi_head(draw, false, false),
            misfit: Some(|draw| multi_head(draw, false, true)),
        },
        Operation {
            name: "cached_attention",
            generate: |draw| cached(draw, false),
            misfit: Some(|draw| cached(draw, true)),
        },
    ]
}

/// The score of a key that is hidden.
const HIDDEN: f64 = -1e4;

/// Queries for keys of which some are hidden. A score of −∞ falls below that of what is hidden, and
/// then there is no saying what is right; NaN is NaN in any case.
fn without_infinities(mut q: Input) -> Input {
    let values = q.array.values.iter_mut().filter(|value| value.is_infinite());
    values.for_each(|value| *value = f32::NAN);
    q
}

/// The weights of keys for a query of `d` numbers each; `None` is a key that is hidden.
fn weights<'t>(
    tape: &'t Tape,
    query: &[Var<'t>],
    keys: impl Iterator<Item = Option<Vec<Var<'t>>>>,
) -> Vec<Var<'t>> {
    let scale = (query.len() as f64).sqrt().recip();
    let scores: Vec<_> = keys
        .map(|key| match key {
            Some(key) => query.iter().zip(key).map(|(&q, k)| q * k).sum::<Var>() * scale,
            None => tape.constant(HIDDEN),
        })
        .collect();
    let all = softmax_log_sum(&scores);
    scores.into_iter().map(|score| (score - all).exp()).collect()
}

/// The values by their weights.
fn weighted<'t>(weights: &[Var<'t>], value: impl Fn(usize) -> Var<'t>) -> Var<'t> {
    weights.iter().enumerate().map(|(key, &weight)| weight * value(key)).sum()
}

/// What comes out of attention.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// The output and the weights.
    Both,
    Weights,
    /// The output alone, of Burn's own.
    Burns,
}

#[derive(Debug)]
struct Attention {
    form: Form,
    mask: Option<HiddenKeys>,
}

#[derive(Debug)]
struct HiddenKeys {
    shape: [usize; 4],
    hidden: Vec<bool>,
}

fn attention(draw: &mut Draw, form: Form, misfit: bool) -> Case {
    let values = form != Form::Weights;
    if form == Form::Burns {
        // Which makes 0 of some rows that are not finite.
        draw.tamed();
    }
    let (mut batch, heads) = (draw.batch(3), draw.between(1, 3));
    let ([queries, keys], d) = (draw.pair(1, 6), draw.between(1, 8));
    if draw.large {
        batch = 66_000_usize.div_ceil(heads * queries * keys.max(d));
    }
    if misfit {
        batch = batch.max(1);
    }
    let (q, mut k) = ([batch, heads, queries, d], [batch, heads, keys, d]);
    let mut v = k;
    let mask = draw.chance(0.5).then(|| {
        let all = [batch, heads, queries, keys];
        let shape = [0, 1, 2, 3]
            .map(|axis| if axis < 2 && draw.chance(0.4) { all[axis].min(1) } else { all[axis] });
        let share = draw.pick(&[0.2, 0.5, 0.9]);
        let count = shape.iter().product();
        let mut hidden: Vec<bool> = (0..count).map(|_| draw.chance(share)).collect();
        if form == Form::Burns {
            // Which knows no row without a key.
            hidden.iter_mut().step_by(keys).for_each(|hidden| *hidden = false);
        }
        HiddenKeys { shape, hidden }
    });
    let mut mask = mask;
    if misfit {
        match draw.between(0, 2) {
            0 if values => v[2] += 1,
            1 => {
                let shape = [batch + 1, 1, queries, keys];
                let hidden = vec![false; shape.iter().product()];
                mask = Some(HiddenKeys { shape, hidden });
            }
            _ => k[3] += 1,
        }
    }
    let mut q = draw.batch_input("q", &q);
    if mask.is_some() {
        q = without_infinities(q);
    }
    let mut inputs = vec![q, draw.weight("k", &k)];
    inputs.extend(values.then(|| draw.weight("v", &v)));
    Case::new(inputs, Attention { form, mask })
}

impl Call for Attention {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (q, k) = (&inputs[0], &inputs[1]);
        let [batch, heads, queries, d] = q.shape[..] else { unreachable!() };
        let keys = k.shape[2];
        let hides = |index: [usize; 4]| {
            self.mask.as_ref().is_some_and(|mask| {
                let index = [0, 1, 2, 3].map(|axis| index[axis].min(mask.shape[axis] - 1));
                mask.hidden[crate::array::place(&mask.shape, &index)]
            })
        };
        let row = |of: &Block<'t>, [row, head, at]: [usize; 3]| {
            (0..d).map(|i| of.at(&[row, head, at, i])).collect::<Vec<_>>()
        };
        let mut all = Vec::new();
        crate::array::for_each_index(&[batch, heads, queries], |index| {
            let [b, h, query] = index else { unreachable!() };
            let seen =
                (0..keys).map(|key| (!hides([*b, *h, *query, key])).then(|| row(k, [*b, *h, key])));
            all.extend(weights(given.tape, &row(q, [*b, *h, *query]), seen));
        });
        let all = Block { shape: vec![batch, heads, queries, keys], vars: all };
        if self.form == Form::Weights {
            return vec![Answer::output("weights", all)];
        }
        let v = &inputs[2];
        let output = Block::of(&q.shape, |index| {
            let [b, h, query, i] = index else { unreachable!() };
            let weights: Vec<_> = (0..keys).map(|key| all.at(&[*b, *h, *query, key])).collect();
            weighted(&weights, |key| v.at(&[*b, *h, key, *i]))
        });
        let mut answers = vec![Answer::output("output", output)];
        answers.extend((self.form == Form::Both).then(|| Answer::output("weights", all)));
        answers
    }

    fn ours(&self, run: &mut Run) {
        let (q, k) = (run.tensor(0), run.tensor(1));
        let mask = self.mask.as_ref().map(|mask| {
            let data = TensorData::new(mask.hidden.clone(), mask.shape);
            Tensor::<4, Bool>::from_data(data, &run.device().without_autodiff())
        });
        match self.form {
            Form::Both => {
                let (output, weights) = ops::attention(q, k, run.tensor(2), mask);
                run.output("output", output);
                run.output("weights", weights);
            }
            Form::Weights => run.output("weights", ops::attention_weights(q, k, mask)),
            Form::Burns => {
                let (v, options) = (run.tensor(2), AttentionModuleOptions::default());
                let output = ops::scaled_dot_product_attention(q, k, v, mask, None, options);
                run.output("output", output);
            }
        }
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        self.mask.iter().map(|mask| mask.shape.to_vec()).collect()
    }
}

#[derive(Debug)]
struct MultiHead {
    values: bool,
    heads: usize,
    mask: Mask,
}

fn multi_head(draw: &mut Draw, values: bool, misfit: bool) -> Case {
    let mut batch = draw.batch(4);
    let (mut heads, d) = (draw.between(1, 3), draw.length(6, 24));
    let width = heads * d;
    let [queries, mut keys] = draw.pair(1, 7);
    let causal = draw.chance(0.4);
    if causal && draw.chance(0.8) {
        keys = queries;
    }
    if draw.large {
        batch = 66_000_usize.div_ceil(heads * queries * keys.max(d));
    }
    if misfit {
        batch = batch.max(1);
    }
    let whole = draw.chance(0.3);
    let mut lengths: Vec<usize> =
        (0..batch).map(|_| if whole { keys } else { draw.between(1, keys) }).collect();
    let (q, mut k) = ([batch, queries, width], [batch, keys, width]);
    if misfit {
        match draw.between(0, 2) {
            0 => heads = draw.no_divisor(width),
            1 => lengths.push(1),
            _ => k[2] += heads,
        }
    }
    let q = without_infinities(draw.batch_input("q", &q));
    let mut inputs = vec![q, draw.weight("k", &k)];
    inputs.extend(values.then(|| draw.weight("v", &k)));
    Case::new(inputs, MultiHead { values, heads, mask: Mask { lengths, causal } })
}

impl Call for MultiHead {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (q, k) = (&inputs[0], &inputs[1]);
        let [batch, queries, width] = q.shape[..] else { unreachable!() };
        let longest = self.mask.lengths.iter().copied().max().unwrap_or(k.shape[1]);
        let d = width / self.heads;
        let part = |of: &Block<'t>, [row, at, head]: [usize; 3]| {
            (0..d).map(|i| of.at(&[row, at, head * d + i])).collect::<Vec<_>>()
        };
        let mut all = Vec::new();
        crate::array::for_each_index(&[batch, self.heads, queries], |index| {
            let [row, head, query] = index else { unreachable!() };
            let hides = |key| self.mask.hides(*row, *query, key);
            let seen = (0..longest).map(|key| (!hides(key)).then(|| part(k, [*row, key, *head])));
            all.extend(weights(given.tape, &part(q, [*row, *query, *head]), seen));
        });
        let all = Block { shape: vec![batch, self.heads, queries, longest], vars: all };
        if !self.values {
            return vec![Answer::output("weights", all)];
        }
        let v = &inputs[2];
        let output = Block::of(&q.shape, |index| {
            let [row, query, feature] = index else { unreachable!() };
            let of_key = |key| all.at(&[*row, feature / d, *query, key]);
            let weights: Vec<_> = (0..longest).map(of_key).collect();
            weighted(&weights, |key| v.at(&[*row, key, *feature]))
        });
        vec![Answer::output("output", output)]
    }

    fn ours(&self, run: &mut Run) {
        let (q, k) = (run.tensor(0), run.tensor(1));
        if self.values {
            let (v, none) = (run.tensor(2), DropoutConfig::new(0.0).init());
            let output = ops::multi_head_attention(q, k, v, self.heads, &self.mask, &none);
            run.output("output", output);
        } else {
            run.output("weights", ops::multi_head_weights(q, k, self.heads, &self.mask));
        }
    }
}

#[derive(Debug)]
struct Cached {
    heads: usize,
    slots: Vec<u32>,
}

fn cached(draw: &mut Draw, misfit: bool) -> Case {
    let (rows, cached) = (draw.between(1, 5), draw.between(1, 7));
    let (mut heads, d) = (draw.between(1, 3), draw.length(6, 24));
    let used = draw.between(1, 8);
    let room = used + draw.pick(&[0, 0, 3]);
    let cached = if draw.large { 66_000_usize.div_ceil(room * heads * d) } else { cached };
    let width = heads * d;
    let mut slots: Vec<u32> =
        (0..rows * used).map(|_| draw.between(0, cached - 1) as u32).collect();
    if misfit {
        match draw.between(0, 2) {
            0 => heads = draw.no_divisor(width),
            1 if rows > 1 => slots.push(0),
            _ => {
                let at = draw.between(0, slots.len() - 1);
                slots[at] = cached as u32 + draw.pick(&[0, 1, 900]);
            }
        }
    }
    let mut inputs = vec![draw.batch_input("q", &[rows, 1, width])];
    for name in ["k", "v"] {
        inputs.push(draw.weight(name, &[cached, room, width]));
    }
    // It is for decoding, where nothing is tracked.
    for input in &mut inputs {
        input.role = Role::Constant;
    }
    Case::new(inputs, Cached { heads, slots })
}

impl Call for Cached {
    fn oracle<'t>(&self, given: &Given<'t, '_>, inputs: &[Block<'t>]) -> Vec<Answer<'t>> {
        let (q, k, v) = (&inputs[0], &inputs[1], &inputs[2]);
        let [rows, _, width] = q.shape[..] else { unreachable!() };
        let (used, d) = (self.slots.len() / rows, width / self.heads);
        let slot = |row: usize, time: usize| self.slots[row * used + time] as usize;
        let output = Block::of(&q.shape, |index| {
            let (row, start) = (index[0], index[2] / d * d);
            let of_head = |of: &Block<'t>, [row, time]: [usize; 2]| {
                (start..start + d).map(|i| of.at(&[row, time, i])).collect::<Vec<_>>()
            };
            let keys = (0..used).map(|time| Some(of_head(k, [slot(row, time), time])));
            let weights = weights(given.tape, &of_head(q, [row, 0]), keys);
            weighted(&weights, |time| v.at(&[slot(row, time), time, index[2]]))
        });
        vec![Answer::output("output", output)]
    }

    fn ours(&self, run: &mut Run) {
        let (q, k, v) = (run.tensor(0), run.tensor(1), run.tensor(2));
        run.output("output", ops::cached_attention(q, k, v, self.heads, &self.slots));
    }
}
