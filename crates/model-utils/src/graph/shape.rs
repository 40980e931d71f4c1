//! Shapes of outputs from those of inputs.

use super::dim::{elements, shape_text};
use super::{Binary, Dim, ElementKind, Op, Pool, Range, Relation, Unary};
use crate::ops::FakeQuantize;

type Input<'a> = (&'a [Dim], ElementKind);

/// The shape and kind of what an operation gives, or what does not fit.
#[allow(clippy::too_many_lines)] // A case an operation.
pub(super) fn infer(op: &Op, inputs: &[Input]) -> Result<(Vec<Dim>, ElementKind), String> {
    use ElementKind::{Bool, Float, Int};
    check_attributes(op)?;
    let (x, kind) = match inputs.first() {
        Some(&(shape, kind)) => (shape, kind),
        None => (&[][..], Float),
    };
    let of_float = |shape: Vec<Dim>| {
        for (index, (_, kind)) in inputs.iter().enumerate() {
            expect_kind(*kind, Float, index)?;
        }
        Ok((shape, Float))
    };
    match op {
        Op::Input | Op::Parameter | Op::Constant => Err("it has no operands".into()),
        Op::Full { shape, kind, .. } => Ok((shape.clone(), *kind)),
        Op::Conv1d { stride, padding, dilation, groups } => {
            let window =
                [Window { stride: *stride, padding: *padding, dilation: *dilation, ceil: false }];
            of_float(convolution(inputs, &window, *groups)?)
        }
        Op::Conv2d { stride, padding, dilation, groups } => {
            let window = [0, 1].map(|axis| Window {
                stride: stride[axis],
                padding: padding[axis],
                dilation: dilation[axis],
                ceil: false,
            });
            of_float(convolution(inputs, &window, *groups)?)
        }
        Op::ConvTranspose2d { stride, padding, padding_out, dilation, groups } => {
            rank(x, 4)?;
            let weight = inputs[1].0;
            rank_of("weight", weight, 4)?;
            equal("channels of the input", x[1], "rows of the weight", weight[0])?;
            let channels = length("weight", weight[1])?.saturating_mul(*groups);
            divides(*groups, length("weight", weight[0])?)?;
            bias(inputs, channels)?;
            let mut shape = vec![x[0], Dim::Fixed(channels)];
            for axis in 0..2 {
                let size = length("input", x[axis + 2])?;
                let kernel = length("weight", weight[axis + 2])?;
                let whole = (size.max(1) - 1)
                    .saturating_mul(stride[axis])
                    .saturating_add(dilation[axis].saturating_mul(kernel.max(1) - 1))
                    .saturating_add(padding_out[axis] + 1);
                let side = whole.checked_sub(2 * padding[axis]).filter(|side| *side > 0);
                shape.push(Dim::Fixed(side.ok_or("the padding leaves nothing of the output")?));
            }
            of_float(shape)
        }
        Op::Linear => {
            let weight = inputs[1].0;
            rank_of("weight", weight, 2)?;
            let features = x.last().ok_or("the input has no axis")?;
            equal("features of the input", *features, "rows of the weight", weight[0])?;
            bias(inputs, length("weight", weight[1])?)?;
            let mut shape = x.to_vec();
            *shape.last_mut().expect("checked") = weight[1];
            of_float(shape)
        }
        Op::MatMul => {
            let y = inputs[1].0;
            if x.len() != y.len() || x.len() < 2 {
                return Err(format!("{} times {}", shape_text(x), shape_text(y)));
            }
            let last = x.len() - 1;
            equal("columns of the first", x[last], "rows of the second", y[last - 1])?;
            let mut shape = broadcast(&x[..last - 1], &y[..last - 1])?;
            shape.extend([x[last - 1], y[last]]);
            of_float(shape)
        }
        Op::BatchNorm { .. } => {
            let channels = *x.get(1).ok_or("the input has no axis of channels")?;
            for (name, (shape, _)) in
                ["scale", "shift", "running mean", "running variance"].iter().zip(&inputs[1..])
            {
                rank_of(name, shape, 1)?;
                equal("channels of the input", channels, name, shape[0])?;
            }
            of_float(x.to_vec())
        }
        Op::FakeQuantize(FakeQuantize { axis, least, largest, .. }) => {
            if least >= largest || !(*least..=*largest).contains(&0) {
                return Err(format!("integers {least} to {largest}, expected some around 0"));
            }
            let places = match axis {
                Some(axis) => *x.get(*axis).ok_or_else(|| no_axis(x, *axis))?,
                None => Dim::Fixed(1),
            };
            for (name, (shape, _)) in ["scale", "zero point"].iter().zip(&inputs[1..]) {
                rank_of(name, shape, 1)?;
                equal("places of the input", places, name, shape[0])?;
            }
            of_float(x.to_vec())
        }
        Op::LayerNorm { .. } => {
            let features = *x.last().ok_or("the input has no axis")?;
            for (name, (shape, _)) in ["scale", "shift"].iter().zip(&inputs[1..]) {
                rank_of(name, shape, 1)?;
                equal("features of the input", features, name, shape[0])?;
            }
            of_float(x.to_vec())
        }
        Op::Embedding => {
            rank_of("table", x, 2)?;
            let (indices, kind) = inputs[1];
            expect_kind(kind, Int, 1)?;
            rank_of("indices", indices, 2)?;
            Ok((vec![indices[0], indices[1], x[1]], Float))
        }
        Op::Attention { mask, bias, .. } => {
            let (q, k, v) = (x, inputs[1].0, inputs[2].0);
            for (name, shape) in [("query", q), ("key", k), ("value", v)] {
                rank_of(name, shape, 4)?;
            }
            equal("features of the query", q[3], "features of the key", k[3])?;
            equal("length of the key", k[2], "length of the value", v[2])?;
            let heads = broadcast(&q[..2], &k[..2])?;
            let scores = [heads[0], heads[1], q[2], k[2]];
            let extra = [(*mask, "mask", Bool), (*bias, "bias", Float)];
            for (index, (_, name, kind)) in
                extra.into_iter().filter(|(there, ..)| *there).enumerate()
            {
                let (shape, found) = inputs[3 + index];
                expect_kind(found, kind, 3 + index)?;
                let together = broadcast(shape, &scores).map_err(|e| format!("{name}: {e}"))?;
                if together != scores {
                    let (shape, scores) = (shape_text(shape), shape_text(&scores));
                    return Err(format!("{name} {shape} for scores {scores}"));
                }
            }
            Ok((vec![heads[0], heads[1], q[2], v[3]], Float))
        }
        Op::MaxPool2d(pool) | Op::AvgPool2d { pool, .. } => of_float(pooled(x, pool)?),
        Op::AdaptiveAvgPool2d { output } | Op::Interpolate { output, .. } => {
            rank(x, 4)?;
            of_float(vec![x[0], x[1], Dim::Fixed(output[0]), Dim::Fixed(output[1])])
        }
        Op::GlobalAvgPool => {
            rank(x, 4)?;
            of_float(x[..2].to_vec())
        }
        Op::Softmax { axis } | Op::LogSoftmax { axis } => {
            has_axis(x, *axis)?;
            of_float(x.to_vec())
        }
        Op::Activation(_) | Op::HardSigmoid { .. } | Op::PRelu => of_float(x.to_vec()),
        Op::Unary(unary) => {
            match unary {
                Unary::Not => expect_kind(kind, Bool, 0)?,
                Unary::Neg | Unary::Abs | Unary::Sign => expect_number(kind)?,
                _ => expect_kind(kind, Float, 0)?,
            }
            Ok((x.to_vec(), kind))
        }
        Op::Scalar(Binary::And | Binary::Or, _) => Err("true or false with a number".into()),
        Op::Scalar(..) | Op::Clamp { .. } => {
            expect_number(kind)?;
            Ok((x.to_vec(), kind))
        }
        Op::Binary(binary) => {
            let (y, other) = inputs[1];
            expect_kind(other, kind, 1)?;
            match binary {
                Binary::And | Binary::Or => expect_kind(kind, Bool, 0)?,
                _ => expect_number(kind)?,
            }
            Ok((broadcast(x, y)?, kind))
        }
        Op::Compare(relation) => {
            expect_kind(inputs[1].1, kind, 1)?;
            expect_comparable(*relation, kind)?;
            Ok((broadcast(x, inputs[1].0)?, Bool))
        }
        Op::CompareScalar(relation, _) => {
            expect_comparable(*relation, kind)?;
            Ok((x.to_vec(), Bool))
        }
        Op::Reduce { axes, .. } => {
            expect_number(kind)?;
            let mut shape = x.to_vec();
            for &axis in axes {
                has_axis(x, axis)?;
                shape[axis] = Dim::Fixed(1);
            }
            Ok((shape, kind))
        }
        Op::ArgMax { axis } => {
            expect_number(kind)?;
            has_axis(x, *axis)?;
            let mut shape = x.to_vec();
            shape[*axis] = Dim::Fixed(1);
            Ok((shape, Int))
        }
        Op::CumSum { axis } => {
            expect_number(kind)?;
            has_axis(x, *axis)?;
            Ok((x.to_vec(), kind))
        }
        Op::Reshape { shape } => {
            if elements(x) != elements(shape) {
                return Err(format!("{} cannot become {}", shape_text(x), shape_text(shape)));
            }
            Ok((shape.clone(), kind))
        }
        Op::Flatten { first, last } => {
            has_axis(x, *last)?;
            if first > last {
                return Err(format!("axis {first} to {last}"));
            }
            let joined = match elements(&x[*first..=*last]) {
                (number, 0) => Dim::Fixed(usize::try_from(number).unwrap_or(usize::MAX)),
                (number, 1) => Dim::Batch(usize::try_from(number).unwrap_or(usize::MAX)),
                _ => return Err("two of the axes follow the batch".into()),
            };
            let mut shape = x[..*first].to_vec();
            shape.push(joined);
            shape.extend_from_slice(&x[last + 1..]);
            Ok((shape, kind))
        }
        Op::Permute { axes } => {
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            if sorted != (0..x.len()).collect::<Vec<_>>() {
                return Err(format!("axes {axes:?} of {}", shape_text(x)));
            }
            Ok((axes.iter().map(|&axis| x[axis]).collect(), kind))
        }
        Op::Expand { shape } => {
            let fits = shape.len() >= x.len()
                && x.iter()
                    .rev()
                    .zip(shape.iter().rev())
                    .all(|(from, to)| from == to || *from == Dim::Fixed(1));
            if !fits {
                return Err(format!("{} cannot become {}", shape_text(x), shape_text(shape)));
            }
            Ok((shape.clone(), kind))
        }
        Op::Flip { axes } => {
            axes.iter().try_for_each(|&axis| has_axis(x, axis))?;
            Ok((x.to_vec(), kind))
        }
        Op::Slice { ranges } => {
            if ranges.len() != x.len() {
                return Err(format!("{} ranges for {}", ranges.len(), shape_text(x)));
            }
            let part = |(dim, range): (&Dim, &Range)| sliced(*dim, range);
            let shape: Result<Vec<Dim>, String> = x.iter().zip(ranges).map(part).collect();
            Ok((shape?, kind))
        }
        Op::Cat { axis } => {
            has_axis(x, *axis)?;
            let mut total = match x[*axis] {
                Dim::Fixed(_) => Dim::Fixed(0),
                Dim::Batch(_) => Dim::Batch(0),
            };
            for (index, (shape, other)) in inputs.iter().enumerate() {
                expect_kind(*other, kind, index)?;
                let same = shape.len() == x.len()
                    && (0..x.len()).all(|at| at == *axis || shape[at] == x[at]);
                let sum = match (total, shape.get(*axis)) {
                    (Dim::Fixed(a), Some(Dim::Fixed(b))) => Some(Dim::Fixed(a + b)),
                    (Dim::Batch(a), Some(Dim::Batch(b))) => Some(Dim::Batch(a + b)),
                    _ => None,
                };
                let (Some(sum), true) = (sum, same) else {
                    let (first, this) = (shape_text(x), shape_text(shape));
                    return Err(format!(
                        "input {index} is {this}, the first {first}, along {axis}"
                    ));
                };
                total = sum;
            }
            let mut shape = x.to_vec();
            shape[*axis] = total;
            Ok((shape, kind))
        }
        Op::Pad { padding, .. } => {
            expect_number(kind)?;
            if padding.len() != x.len() {
                return Err(format!("{} paddings for {}", padding.len(), shape_text(x)));
            }
            let padded = |(dim, (before, after)): (&Dim, &(usize, usize))| match dim {
                Dim::Fixed(length) => Ok(Dim::Fixed(length + before + after)),
                dim if before + after == 0 => Ok(*dim),
                Dim::Batch(_) => Err("an axis that follows the batch is padded".to_owned()),
            };
            let shape: Result<Vec<Dim>, String> = x.iter().zip(padding).map(padded).collect();
            Ok((shape?, kind))
        }
        Op::Repeat { axis, times } => {
            has_axis(x, *axis)?;
            let mut shape = x.to_vec();
            shape[*axis] = match shape[*axis] {
                Dim::Fixed(length) => Dim::Fixed(length.saturating_mul(*times)),
                Dim::Batch(length) => Dim::Batch(length.saturating_mul(*times)),
            };
            Ok((shape, kind))
        }
        Op::Select { axis } => {
            has_axis(x, *axis)?;
            let (indices, found) = inputs[1];
            expect_kind(found, Int, 1)?;
            rank_of("indices", indices, 1)?;
            let mut shape = x.to_vec();
            shape[*axis] = indices[0];
            Ok((shape, kind))
        }
        Op::Gather { axis } => {
            has_axis(x, *axis)?;
            let (indices, found) = inputs[1];
            expect_kind(found, Int, 1)?;
            rank_of("indices", indices, x.len())?;
            Ok((indices.to_vec(), kind))
        }
        Op::Cast { to } => Ok((x.to_vec(), *to)),
        Op::MaskFill { .. } => {
            expect_kind(inputs[1].1, Bool, 1)?;
            Ok((broadcast(x, inputs[1].0)?, kind))
        }
        Op::MaskWhere => {
            expect_kind(inputs[1].1, Bool, 1)?;
            expect_kind(inputs[2].1, kind, 2)?;
            Ok((broadcast(&broadcast(x, inputs[1].0)?, inputs[2].0)?, kind))
        }
    }
}

/// A window along one axis.
struct Window {
    stride: usize,
    padding: (usize, usize),
    dilation: usize,
    ceil: bool,
}

impl Window {
    fn places(&self, size: usize, kernel: usize) -> Result<usize, String> {
        let reach = self.dilation.saturating_mul(kernel.max(1) - 1).saturating_add(1);
        let padded = size + self.padding.0 + self.padding.1;
        // With a last window over the end, one fits that is a step short of room.
        let room = if self.ceil { padded + self.stride.max(1) - 1 } else { padded };
        if kernel == 0 || room < reach {
            return Err(format!(
                "a window of {kernel} with dilation {} and stride {} on {padded} places",
                self.dilation, self.stride
            ));
        }
        let steps = if self.ceil {
            // A last window must begin inside the input or its left padding.
            let steps = (room - reach) / self.stride;
            if steps * self.stride >= size + self.padding.0 {
                steps.checked_sub(1).ok_or("a window over nothing")?
            } else {
                steps
            }
        } else {
            (padded - reach) / self.stride
        };
        Ok(steps + 1)
    }
}

fn convolution(inputs: &[Input], windows: &[Window], groups: usize) -> Result<Vec<Dim>, String> {
    let (x, weight) = (inputs[0].0, inputs[1].0);
    rank(x, windows.len() + 2)?;
    rank_of("weight", weight, windows.len() + 2)?;
    let expected = length("weight", weight[1])?.saturating_mul(groups);
    if x[1] != Dim::Fixed(expected) {
        return Err(format!(
            "the input has {} channels, the weight {} with {groups} groups takes {expected}",
            x[1],
            shape_text(weight)
        ));
    }
    let channels = length("weight", weight[0])?;
    divides(groups, channels)?;
    bias(inputs, channels)?;
    let mut shape = vec![x[0], Dim::Fixed(channels)];
    for (axis, window) in windows.iter().enumerate() {
        let size = length("input", x[axis + 2])?;
        shape.push(Dim::Fixed(window.places(size, length("weight", weight[axis + 2])?)?));
    }
    Ok(shape)
}

fn pooled(x: &[Dim], pool: &Pool) -> Result<Vec<Dim>, String> {
    rank(x, 4)?;
    let mut shape = x[..2].to_vec();
    for axis in 0..2 {
        let window = Window {
            stride: pool.stride[axis],
            padding: (pool.padding[axis], pool.padding[axis]),
            dilation: pool.dilation[axis],
            ceil: pool.ceil_mode,
        };
        let size = length("input", x[axis + 2])?;
        shape.push(Dim::Fixed(window.places(size, pool.kernel[axis])?));
    }
    Ok(shape)
}

fn sliced(dim: Dim, range: &Range) -> Result<Dim, String> {
    match (dim, range.end) {
        (dim, None) if range.start == 0 && range.step == 1 => Ok(dim),
        (Dim::Fixed(length), end) => {
            let end = end.unwrap_or(length);
            if range.start > end || end > length || range.step == 0 {
                let (start, step) = (range.start, range.step);
                return Err(format!("places {start}..{end} by {step} of {length}"));
            }
            Ok(Dim::Fixed((end - range.start).div_ceil(range.step)))
        }
        (Dim::Batch(_), _) => Err("a part of an axis that follows the batch".into()),
    }
}

/// The shape that two shapes have together, axes counted from the last.
fn broadcast(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, String> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Dim], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(Dim::Fixed(1), |axis| shape[axis])
    };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (a, b) if a == b => Ok(a),
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Ok(other),
            _ => Err(format!("{} with {}", shape_text(a), shape_text(b))),
        })
        .collect()
}

fn bias(inputs: &[Input], channels: usize) -> Result<(), String> {
    match inputs.get(2) {
        Some((shape, _)) if *shape != [Dim::Fixed(channels)] => {
            Err(format!("the bias is {}, expected [{channels}]", shape_text(shape)))
        }
        _ => Ok(()),
    }
}

/// Refuses attributes that no operation can have, so that the arithmetic on them is safe.
fn check_attributes(op: &Op) -> Result<(), String> {
    /// Far above any stride, window, padding or count that is meant.
    const MOST: usize = 1 << 24;
    let within = |name: &str, least: usize, values: &[usize]| match values
        .iter()
        .find(|value| !(least..=MOST).contains(value))
    {
        Some(value) => Err(format!("{name} is {value}, expected {least} to {MOST}")),
        None => Ok(()),
    };
    let window = |stride: &[usize], dilation: &[usize], groups: usize| {
        within("the stride", 1, stride)?;
        within("the dilation", 1, dilation)?;
        within("the number of groups", 1, &[groups])
    };
    match op {
        Op::Conv1d { stride, padding, dilation, groups } => {
            within("the padding", 0, &[padding.0, padding.1])?;
            window(&[*stride], &[*dilation], *groups)
        }
        Op::Conv2d { stride, padding, dilation, groups } => {
            let [(top, bottom), (left, right)] = *padding;
            within("the padding", 0, &[top, bottom, left, right])?;
            window(stride, dilation, *groups)
        }
        Op::ConvTranspose2d { stride, padding, padding_out, dilation, groups } => {
            within("the padding", 0, padding)?;
            within("the padding of the output", 0, padding_out)?;
            window(stride, dilation, *groups)
        }
        Op::MaxPool2d(pool) | Op::AvgPool2d { pool, .. } => {
            within("the window", 1, &pool.kernel)?;
            within("the padding", 0, &pool.padding)?;
            window(&pool.stride, &pool.dilation, 1)
        }
        Op::AdaptiveAvgPool2d { output } | Op::Interpolate { output, .. } => {
            within("the output", 1, output)
        }
        Op::Pad { padding, .. } => padding
            .iter()
            .try_for_each(|&(before, after)| within("the padding", 0, &[before, after])),
        Op::Repeat { times, .. } => within("the number of times", 1, &[*times]),
        _ => Ok(()),
    }
}

fn rank(x: &[Dim], expected: usize) -> Result<(), String> {
    rank_of("input", x, expected)
}

fn rank_of(name: &str, shape: &[Dim], expected: usize) -> Result<(), String> {
    if shape.len() == expected {
        Ok(())
    } else {
        Err(format!("the {name} is {}, expected {expected} axes", shape_text(shape)))
    }
}

fn has_axis(x: &[Dim], axis: usize) -> Result<(), String> {
    if axis < x.len() { Ok(()) } else { Err(no_axis(x, axis)) }
}

fn no_axis(x: &[Dim], axis: usize) -> String {
    format!("no axis {axis} in {}", shape_text(x))
}

fn length(name: &str, dim: Dim) -> Result<usize, String> {
    dim.fixed().ok_or_else(|| format!("an axis of the {name} follows the batch"))
}

fn equal(what: &str, a: Dim, other: &str, b: Dim) -> Result<(), String> {
    if a == b { Ok(()) } else { Err(format!("{what}: {a}, {other}: {b}")) }
}

fn divides(groups: usize, channels: usize) -> Result<(), String> {
    if groups > 0 && channels.is_multiple_of(groups) {
        Ok(())
    } else {
        Err(format!("{groups} groups do not divide {channels} channels"))
    }
}

fn expect_number(found: ElementKind) -> Result<(), String> {
    if found == ElementKind::Bool {
        Err("the input holds Bool, expected numbers".into())
    } else {
        Ok(())
    }
}

/// True and false are equal or not, but neither is greater.
fn expect_comparable(relation: Relation, found: ElementKind) -> Result<(), String> {
    match relation {
        Relation::Equal | Relation::NotEqual => Ok(()),
        _ => expect_number(found),
    }
}

fn expect_kind(found: ElementKind, expected: ElementKind, index: usize) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("input {index} holds {found:?}, expected {expected:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(x: &[Dim], weight: &[usize], groups: usize) -> Result<Vec<Dim>, String> {
        let weight: Vec<Dim> = weight.iter().map(|&n| Dim::Fixed(n)).collect();
        let op = Op::Conv2d { stride: [2, 1], padding: [(1, 1), (0, 1)], dilation: [1, 2], groups };
        infer(&op, &[(x, ElementKind::Float), (&weight, ElementKind::Float)])
            .map(|(shape, _)| shape)
    }

    #[test]
    fn convolutions_follow_stride_padding_dilation_and_groups() {
        let x = [Dim::Batch(1), Dim::Fixed(4), Dim::Fixed(9), Dim::Fixed(9)];
        let expected = [Dim::Batch(1), Dim::Fixed(8), Dim::Fixed(5), Dim::Fixed(6)];
        assert_eq!(conv(&x, &[8, 2, 3, 3], 2).unwrap(), expected);
        let error = conv(&x, &[8, 2, 3, 3], 4).unwrap_err();
        assert!(error.contains("4 channels") && error.contains("takes 8"), "{error}");
        assert!(conv(&x, &[7, 2, 3, 3], 2).unwrap_err().contains("do not divide 7"));
        assert!(conv(&x[..3], &[8, 2, 3, 3], 2).unwrap_err().contains("expected 4 axes"));
    }

    #[test]
    fn batches_are_kept_apart_from_fixed_lengths() {
        let x = [Dim::Batch(1), Dim::Fixed(6)];
        let reshape = |shape: Vec<Dim>| infer(&Op::Reshape { shape }, &[(&x, ElementKind::Float)]);
        assert!(reshape(vec![Dim::Batch(2), Dim::Fixed(3)]).is_ok());
        assert!(reshape(vec![Dim::Fixed(6)]).unwrap_err().contains("[N, 6] cannot become [6]"));
        let flat = infer(&Op::Flatten { first: 0, last: 1 }, &[(&x, ElementKind::Float)]).unwrap();
        assert_eq!(flat.0, [Dim::Batch(6)]);
        let sum = infer(
            &Op::Binary(Binary::Add),
            &[(&x, ElementKind::Float), (&x[1..], ElementKind::Float)],
        );
        assert_eq!(sum.unwrap().0, x);
    }
}
