//! Concatenation.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::host::{Array, Host, Kernel, two};

/// Numbers that are copied at once.
const COPY: usize = 1 << 15;

/// Two tensors one after the other along an axis.
///
/// # Panics
///
/// Where there is no such axis, or their other lengths differ.
pub fn concatenate<const D: usize>(first: Tensor<D>, second: Tensor<D>, axis: usize) -> Tensor<D> {
    let shapes = [first.shape(), second.shape()];
    let fit = axis < D && (0..D).all(|at| at == axis || shapes[0][at] == shapes[1][at]);
    let [one, other] = &shapes;
    assert!(fit, "concatenate: {one:?} and {other:?} do not fit along axis {axis}");
    two(Concatenate { axis }, first, second)
        .unwrap_or_else(|(first, second)| Tensor::cat(vec![first, second], axis))
}

#[derive(Debug, Clone, Copy)]
struct Concatenate {
    axis: usize,
}

impl Kernel<2> for Concatenate {
    /// The lengths of both along the axis.
    type Saved<B: Host> = [usize; 2];

    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; 2],
        saves: bool,
    ) -> (Array<B>, Option<[usize; 2]>) {
        let lengths = inputs.each_ref().map(|x| x.shape()[self.axis]);
        let mut shape = inputs[0].shape();
        let inner: usize = shape[self.axis + 1..].iter().product();
        shape[self.axis] = lengths.iter().sum();
        let numbers = inputs.each_ref().map(Array::numbers);
        let output = interleaved(numbers, lengths.map(|length| length * inner));
        (Array::new(output, shape), saves.then_some(lengths))
    }

    fn backward<B: Host>(
        &self,
        lengths: [usize; 2],
        gradient: Array<B>,
        _: [bool; 2],
    ) -> [Option<Array<B>>; 2] {
        let shape = gradient.shape();
        let inner: usize = shape[self.axis + 1..].iter().product();
        let [first, second] = lengths.map(|length| length * inner);
        let parts = [0..first, first..first + second].map(|range| {
            let chunks = gradient.numbers().chunks((first + second).max(1));
            chunks.flat_map(|chunk| &chunk[range.clone()]).copied().collect()
        });
        let mut lengths = lengths.into_iter();
        parts.map(|numbers: Vec<f32>| {
            let mut shape = shape.clone();
            shape[self.axis] = lengths.next().expect("of both");
            Some(Array::new(numbers, shape))
        })
    }
}

/// Chunks of these lengths of both in turn.
fn interleaved(numbers: [&[f32]; 2], lengths: [usize; 2]) -> Vec<f32> {
    let total = numbers[0].len() + numbers[1].len();
    let mut all = Vec::with_capacity(total);
    let copies: Vec<_> = {
        let mut rest = &mut all.spare_capacity_mut()[..total];
        let mut chunks = numbers.map(|numbers| numbers);
        let mut copies = Vec::new();
        while !rest.is_empty() {
            for (chunks, length) in chunks.iter_mut().zip(lengths) {
                let from = chunks.split_off(..length).expect("as many chunks of both");
                let to = rest.split_off_mut(..length).expect("as long as both together");
                copies.extend(from.chunks(COPY).zip(to.chunks_mut(COPY)));
            }
        }
        copies
    };
    copies.into_par_iter().for_each(|(from, to)| {
        to.write_copy_of_slice(from);
    });
    // SAFETY: the copies wrote each of the `total` numbers.
    unsafe { all.set_len(total) };
    all
}
