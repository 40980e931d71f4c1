use model_utils::config;
use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, Error, Result};

/// Numbers that share a scale in 8 bits.
const BLOCK: usize = 256;

/// What is left out of the gradients that workers exchange. What is left out of one step is added to
/// the gradient of the next (error feedback, Stich et al. 2018, <https://arxiv.org/abs/1809.07599>;
/// Karimireddy et al. 2019, <https://arxiv.org/abs/1901.09847>), so that nothing is lost for good.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Compression {
    /// Nothing: 32 bits a number.
    #[default]
    None,
    /// All but this share of the numbers, the largest of each bucket: 64 bits for each of them.
    TopK {
        /// Above 0, up to 1.
        share: f64,
    },
    /// The bits beyond eight: an integer from −127 to 127 a number, and a scale for each 256 of them.
    EightBit,
}

impl Compression {
    pub(super) fn check(self) -> Result<(), ConfigError> {
        match self {
            Self::TopK { share } => config::share_above_zero("share", share),
            _ => Ok(()),
        }
    }

    /// A bucket with what was left out before, as bytes; `residual` is what is left out now.
    pub(super) fn encode(self, bucket: &[f32], residual: &mut Vec<f32>) -> Vec<u8> {
        residual.resize(bucket.len(), 0.0);
        for (residual, number) in residual.iter_mut().zip(bucket) {
            *residual += number;
        }
        match self {
            Self::None => {
                let bytes = residual.iter().flat_map(|number| number.to_le_bytes()).collect();
                residual.fill(0.0);
                bytes
            }
            Self::TopK { share } => top_k(residual, share),
            Self::EightBit => eight_bit(residual),
        }
    }

    /// Adds what [`encode`](Self::encode) made to a sum.
    pub(super) fn add(self, bytes: &[u8], sum: &mut [f32], worker: usize) -> Result<()> {
        let read = match self {
            Self::None => add_plain(bytes, sum),
            Self::TopK { .. } => add_top_k(bytes, sum),
            Self::EightBit => add_eight_bit(bytes, sum),
        };
        read.ok_or_else(|| Error::Worker {
            worker,
            reason: format!("it sent {} bytes that are no gradient of {}", bytes.len(), sum.len()),
        })
    }
}

/// The largest numbers with their places; they become 0.
fn top_k(numbers: &mut [f32], share: f64) -> Vec<u8> {
    let count = ((share * numbers.len() as f64).ceil() as usize).min(numbers.len());
    let mut places: Vec<u32> = (0..numbers.len() as u32).collect();
    if count < places.len() {
        // Ties go to the first, so that the choice is one.
        places.select_nth_unstable_by(count, |&a, &b| {
            let size = |at: u32| numbers[at as usize].abs();
            size(b).total_cmp(&size(a)).then(a.cmp(&b))
        });
        places.truncate(count);
        places.sort_unstable();
    }
    let mut bytes = Vec::with_capacity(8 * places.len());
    for at in places {
        bytes.extend(at.to_le_bytes());
        bytes.extend(std::mem::take(&mut numbers[at as usize]).to_le_bytes());
    }
    bytes
}

fn add_top_k(bytes: &[u8], sum: &mut [f32]) -> Option<()> {
    let (pairs, rest) = bytes.as_chunks::<8>();
    for [a, b, c, d, number @ ..] in pairs {
        let at = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        *sum.get_mut(at)? += f32::from_le_bytes(*number);
    }
    rest.is_empty().then_some(())
}

/// Integers and their scales; what rounding took away stays.
fn eight_bit(numbers: &mut [f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(numbers.len() + 4 * numbers.len().div_ceil(BLOCK));
    for block in numbers.chunks_mut(BLOCK) {
        let largest = block.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let scale = largest / 127.0;
        bytes.extend(scale.to_le_bytes());
        for number in block {
            let integer = if scale > 0.0 { (*number / scale).round() } else { 0.0 };
            *number -= integer * scale;
            bytes.push((integer as i8).cast_unsigned());
        }
    }
    bytes
}

fn add_eight_bit(mut bytes: &[u8], sum: &mut [f32]) -> Option<()> {
    for block in sum.chunks_mut(BLOCK) {
        let (scale, rest) = bytes.split_first_chunk::<4>()?;
        let (integers, rest) = rest.split_at_checked(block.len())?;
        let scale = f32::from_le_bytes(*scale);
        for (sum, integer) in block.iter_mut().zip(integers) {
            *sum += f32::from(integer.cast_signed()) * scale;
        }
        bytes = rest;
    }
    bytes.is_empty().then_some(())
}

fn add_plain(bytes: &[u8], sum: &mut [f32]) -> Option<()> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if numbers.len() != sum.len() || !rest.is_empty() {
        return None;
    }
    for (sum, number) in sum.iter_mut().zip(numbers) {
        *sum += f32::from_le_bytes(*number);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent and what is left are what was given.
    #[test]
    fn nothing_is_lost() {
        let numbers: Vec<f32> = (0..1000).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
        for compression in
            [Compression::None, Compression::TopK { share: 0.05 }, Compression::EightBit]
        {
            let mut residual = vec![0.25; 1000];
            let bytes = compression.encode(&numbers, &mut residual);
            let mut sum = vec![0.0; 1000];
            compression.add(&bytes, &mut sum, 0).unwrap();
            for ((sent, left), number) in sum.iter().zip(&residual).zip(&numbers) {
                assert!((sent + left - number - 0.25).abs() < 1e-5, "{compression:?}");
            }
            let expected = match compression {
                Compression::None => 4000,
                Compression::TopK { .. } => 50 * 8,
                Compression::EightBit => 1000 + 4 * 4,
            };
            assert_eq!(bytes.len(), expected);
            let error = compression.add(&bytes[1..], &mut sum, 3).unwrap_err().to_string();
            assert!(error.contains("worker 3"), "{error}");
        }
    }

    #[test]
    fn the_largest_numbers_are_sent() {
        let mut residual = Vec::new();
        let bytes =
            Compression::TopK { share: 0.4 }.encode(&[1.0, -5.0, 0.5, 3.0, -2.0], &mut residual);
        assert_eq!(residual, vec![1.0, 0.0, 0.5, 0.0, -2.0]);
        assert_eq!(bytes.len(), 16);
    }

    #[test]
    fn zeros_and_nothing_pass() {
        for compression in [Compression::TopK { share: 1.0 }, Compression::EightBit] {
            let mut residual = Vec::new();
            let bytes = compression.encode(&[0.0; 3], &mut residual);
            let mut sum = [0.0; 3];
            compression.add(&bytes, &mut sum, 0).unwrap();
            assert!(sum.iter().all(|sum| *sum == 0.0));
            assert!(compression.encode(&[], &mut Vec::new()).is_empty());
        }
    }
}
