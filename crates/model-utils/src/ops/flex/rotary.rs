//! Pairs of numbers turned in place.

use super::parallel::for_each_chunk;

/// Numbers that are worth a thread's turn.
const CHUNK: usize = 1 << 13;

/// Sines and cosines of the angles, `[time, pairs]` each.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    pub(super) sines: Vec<f32>,
    pub(super) cosines: Vec<f32>,
    pub(super) pairs: usize,
}

impl Turns {
    /// The other way.
    pub(super) fn back(mut self) -> Self {
        for sine in &mut self.sines {
            *sine = -*sine;
        }
        self
    }

    /// Turns tokens of this width, `[batch, time, width]`.
    pub(super) fn turn(&self, numbers: &mut [f32], width: usize) {
        let pairs = self.pairs;
        let time = self.sines.len() / pairs;
        let tokens = (CHUNK / width).max(1);
        for_each_chunk(numbers, tokens * width, |chunk, numbers| {
            for (at, token) in numbers.chunks_exact_mut(width).enumerate() {
                let at = (chunk * tokens + at) % time * pairs;
                let (sines, cosines) = (&self.sines[at..][..pairs], &self.cosines[at..][..pairs]);
                for head in token.chunks_exact_mut(2 * pairs) {
                    let (first, second) = head.split_at_mut(pairs);
                    for (((a, b), sine), cosine) in
                        first.iter_mut().zip(second).zip(sines).zip(cosines)
                    {
                        (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
                    }
                }
            }
        });
    }
}
