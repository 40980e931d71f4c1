//! Random numbers that depend on nothing but their key.

use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;

/// What numbers are drawn for: streams of different purposes are independent under one seed.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Split = 1,
    Shuffle = 2,
    Augment = 3,
    #[cfg(feature = "images")]
    DrawTrain = 4,
    #[cfg(feature = "images")]
    DrawTest = 5,
}

/// The stream of `[seed, number]` for a purpose, and of an `index` within.
pub(crate) fn stream(purpose: Purpose, [seed, number]: [u64; 2], index: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    let parts = [purpose as u64, seed, number, index as u64];
    for (bytes, part) in key.chunks_exact_mut(8).zip(parts) {
        bytes.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The numbers from 0 to `len - 1` in random order.
pub(crate) fn permutation(len: usize, purpose: Purpose, key: [u64; 2]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.shuffle(&mut stream(purpose, key, 0));
    order
}

/// A number within `low..high`, also where both are equal.
#[cfg(feature = "images")]
pub(crate) fn uniform(rng: &mut (impl rand::Rng + ?Sized), low: f32, high: f32) -> f32 {
    low + (high - low) * rand::RngExt::random::<f32>(rng)
}
