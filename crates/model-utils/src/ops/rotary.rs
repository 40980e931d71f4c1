//! Rotary positions (Su et al. 2021, <https://arxiv.org/abs/2104.09864>).

use burn::tensor::Tensor;

use super::host::{self, Array, Host, Kernel, one};
use super::kernels::parallel::for_each_chunk;

/// Turns pairs of numbers by the angle of their place: in each of `heads` heads number `i` of the
/// first half and number `i` of the second are a pair,
///
/// ```math
/// (a, b) \mapsto (a \cos\theta - b \sin\theta,\; b \cos\theta + a \sin\theta)
/// ```
///
/// `[batch, time, heads · 2 · pairs]`, and sines and cosines without autodiff of as many places or
/// more, `[places, pairs]` → as the first.
///
/// # Panics
///
/// Where the shapes do not fit together.
pub fn rotary_embedding(
    x: Tensor<3>,
    sines: Tensor<2>,
    cosines: Tensor<2>,
    heads: usize,
) -> Tensor<3> {
    let [batch, time, width] = x.dims();
    let [places, pairs] = sines.dims();
    assert!(
        sines.dims() == cosines.dims() && places >= time && 2 * heads * pairs == width,
        "rotary_embedding: input {:?} of {heads} heads, sines {:?} and cosines {:?} do not fit",
        x.dims(),
        sines.dims(),
        cosines.dims()
    );
    let tables = [sines, cosines].map(|table| table.narrow(0, 0, time));
    if host::holds(&x) {
        let [sines, cosines] = tables.map(|table| table.into_data().iter::<f32>().collect());
        return one(Turns { sines, cosines, pairs }, x).expect("it was asked");
    }
    let x = x.reshape([batch, time, heads, 2 * pairs]);
    let (a, b) = (x.clone().narrow(3, 0, pairs), x.narrow(3, pairs, pairs));
    let [sines, cosines] = tables.map(|table| table.reshape([1, time, 1, pairs]));
    let turned = Tensor::cat(
        vec![a.clone() * cosines.clone() - b.clone() * sines.clone(), b * cosines + a * sines],
        3,
    );
    turned.reshape([batch, time, width])
}

impl Kernel<1> for Turns {
    type Saved<B: Host> = ();

    fn forward<B: Host>(&self, [mut x]: [Array<B>; 1], saves: bool) -> (Array<B>, Option<()>) {
        let [_, _, width] = x.dims();
        self.turn(x.numbers_mut(), width);
        (x, saves.then_some(()))
    }

    fn backward<B: Host>(
        &self,
        (): (),
        mut gradient: Array<B>,
        _: [bool; 1],
    ) -> [Option<Array<B>>; 1] {
        let [_, _, width] = gradient.dims();
        self.back().turn(gradient.numbers_mut(), width);
        [Some(gradient)]
    }
}

/// Numbers that are worth a thread's turn.
const CHUNK: usize = 1 << 13;

/// Sines and cosines of the angles, `[time, pairs]` each.
#[derive(Debug, Clone)]
struct Turns {
    sines: Vec<f32>,
    cosines: Vec<f32>,
    pairs: usize,
}

impl Turns {
    /// The other way.
    fn back(&self) -> Self {
        Self { sines: self.sines.iter().map(|sine| -sine).collect(), ..self.clone() }
    }

    /// Turns tokens of this width, `[batch, time, width]`.
    fn turn(&self, numbers: &mut [f32], width: usize) {
        let pairs = self.pairs;
        if numbers.is_empty() {
            return;
        }
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
