//! Labels of the axes of a reshaped tensor.
//!
//! Both shapes are cut into the shortest stretches of axes that hold the same elements. A stretch
//! of one axis against one passes its labels on. Axes that become one give it, at each place, the
//! label of the outermost axis that has channels (`[c, h, w]` → `c·h·w`: a channel is a block of
//! features). One axis that becomes several is cut into blocks along the outermost
//! (`d` → `[heads, d / heads]`: a channel is a whole head).

use model_utils::graph::Dim;

use super::labels::{Axis, Labels, fixed, length};

/// The labels of the reshaped tensor's axes. An `Err` holds the reason why the channels of a
/// stretch were fixed, beside the labels.
pub(super) fn reshaped(
    labels: &mut Labels,
    from: &[Axis],
    from_shape: &[Dim],
    to_shape: &[Dim],
) -> (Vec<Axis>, Option<&'static str>) {
    let mut to: Vec<Axis> = to_shape.iter().map(|&dim| fixed(dim)).collect();
    let mut reason = None;
    // Axes of length 1 come and go without a trace.
    let is_single = |dim: &Dim| *dim == Dim::Fixed(1);
    for (axis, dim) in from.iter().zip(from_shape) {
        if is_single(dim) && !labels.is_fixed(axis) {
            labels.freeze(axis);
            reason = Some("an axis of a single channel goes");
        }
    }
    let sources: Vec<usize> = (0..from.len()).filter(|&at| !is_single(&from_shape[at])).collect();
    let targets: Vec<usize> = (0..to.len()).filter(|&at| !is_single(&to_shape[at])).collect();
    let (mut i, mut j) = (0, 0);
    while i < sources.len() || j < targets.len() {
        let (first_source, first_target) = (i, j);
        let (mut a, mut b) = ((1_u128, 0_u32), (1_u128, 0_u32));
        let grow = |(number, batches): (u128, u32), dim: Dim| match dim {
            Dim::Fixed(length) => (number.saturating_mul(length as u128), batches),
            Dim::Batch(times) => (number.saturating_mul(times as u128), batches + 1),
        };
        // At least one axis each, then whichever holds fewer elements takes another.
        loop {
            if i == first_source || (a != b && (a.0, a.1) <= (b.0, b.1)) {
                let Some(&source) = sources.get(i) else { break };
                a = grow(a, from_shape[source]);
                i += 1;
            } else if j == first_target || a != b {
                let Some(&target) = targets.get(j) else { break };
                b = grow(b, to_shape[target]);
                j += 1;
            } else {
                break;
            }
        }
        if a != b {
            // What is left cannot be cut at the same places.
            (i, j) = (sources.len(), targets.len());
        }
        let (sources, targets) = (&sources[first_source..i], &targets[first_target..j]);
        let done = match (sources, targets) {
            (&[source], &[target]) if from_shape[source] == to_shape[target] => {
                to[target].clone_from(&from[source]);
                true
            }
            (_, &[target]) if a == b && batch_is_first(from_shape, sources) => {
                to[target] = joined(labels, from, sources);
                true
            }
            (&[source], _) if a == b && batch_is_first(to_shape, targets) => {
                split(labels, &from[source], to_shape, targets, &mut to);
                true
            }
            _ => false,
        };
        if !done {
            let all: Axis = sources.iter().flat_map(|&at| from[at].clone()).collect();
            if !labels.is_fixed(&all) {
                labels.freeze(&all);
                reason = Some("its axes are cut at other places");
            }
        }
    }
    (to, reason)
}

/// Whether the elements of a batch follow each other: the batch is the outermost axis or none.
fn batch_is_first(shape: &[Dim], axes: &[usize]) -> bool {
    axes.iter().skip(1).all(|&at| shape[at].fixed().is_some())
}

/// The labels of several axes as one.
fn joined(labels: &mut Labels, from: &[Axis], sources: &[usize]) -> Axis {
    let carrier = sources.iter().position(|&at| !labels.is_fixed(&from[at])).unwrap_or(0);
    for (at, &source) in sources.iter().enumerate() {
        if at != carrier {
            labels.freeze(&from[source]);
        }
    }
    let lengths: Vec<usize> = sources.iter().map(|&at| from[at].len()).collect();
    let outer: usize = lengths[..carrier].iter().product();
    let inner: usize = lengths[carrier + 1..].iter().product();
    let axis = &from[sources[carrier]];
    (0..outer)
        .flat_map(|_| axis.iter().flat_map(move |&label| std::iter::repeat_n(label, inner)))
        .collect()
}

/// The labels of one axis along several: blocks along the outermost that is longer than one.
fn split(labels: &mut Labels, axis: &Axis, shape: &[Dim], targets: &[usize], to: &mut [Axis]) {
    let carrier = targets.iter().copied().find(|&at| length(shape[at]) > 1);
    let Some(carrier) = carrier else {
        labels.freeze(axis);
        return;
    };
    let block = axis.len() / length(shape[carrier]).max(1);
    let mut outermost = Vec::with_capacity(length(shape[carrier]));
    for block in axis.chunks(block.max(1)) {
        labels.join_all(block);
        outermost.push(block[0]);
    }
    to[carrier] = outermost;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::labels::FIXED;

    fn dims(shape: &[usize]) -> Vec<Dim> {
        let mut dims: Vec<Dim> = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        dims[0] = Dim::Batch(shape[0]);
        dims
    }

    #[test]
    fn a_channel_becomes_a_block_of_features() {
        let mut labels = Labels::new();
        let channels = labels.fresh(2);
        let from = [vec![FIXED], channels.clone(), vec![FIXED; 3]];
        let (to, reason) = reshaped(&mut labels, &from, &dims(&[1, 2, 3]), &dims(&[1, 6]));
        let (a, b) = (channels[0], channels[1]);
        assert_eq!((to, reason), (vec![vec![FIXED], vec![a, a, a, b, b, b]], None));
    }

    #[test]
    fn features_become_whole_heads_and_heads_join_the_batch() {
        let mut labels = Labels::new();
        let features = labels.fresh(6);
        let from = [vec![FIXED], vec![FIXED; 5], features.clone()];
        let to_shape = dims(&[1, 5, 3, 2]);
        let (to, reason) = reshaped(&mut labels, &from, &dims(&[1, 5, 6]), &to_shape);
        assert_eq!((to[2].len(), &to[3], reason), (3, &vec![FIXED; 2], None));
        assert_eq!(labels.root(features[2]), labels.root(features[3]));
        assert_eq!(labels.root(to[2][1]), labels.root(features[3]));
        assert_ne!(labels.root(features[1]), labels.root(features[2]));
        // [N, heads, length, features] → [heads·N, length, features]
        let heads = [to[0].clone(), to[2].clone(), to[1].clone(), to[3].clone()];
        let joined = [Dim::Batch(3), Dim::Fixed(5), Dim::Fixed(2)];
        let (with_batch, _) = reshaped(&mut labels, &heads, &dims(&[1, 3, 5, 2]), &joined);
        assert_eq!(with_batch[0], to[2]);
        // … and back.
        let (back, _) = reshaped(&mut labels, &with_batch, &joined, &dims(&[1, 3, 5, 2]));
        assert_eq!(back[1], to[2]);
    }

    #[test]
    fn what_is_cut_otherwise_stays() {
        let mut labels = Labels::new();
        let (a, b) = (labels.fresh(2), labels.fresh(6));
        let from = [vec![FIXED], a.clone(), b.clone()];
        let (to, reason) = reshaped(&mut labels, &from, &dims(&[1, 2, 6]), &dims(&[1, 4, 3]));
        assert!(reason.is_some() && labels.is_fixed(&a) && labels.is_fixed(&b));
        assert_eq!(to[1..], [vec![FIXED; 4], vec![FIXED; 3]]);
    }
}
