//! The values of a weight as a code: which are not 0 by the gaps between them, and which of few
//! values each of them is.

use std::collections::BTreeMap;

use super::bits::{BitReader, BitWriter};
use super::huffman::Huffman;

/// More different values than this are no codebook.
const MOST_VALUES: usize = 1 << 12;
/// Bits of a gap, from the fewest to the most that are tried.
const GAP_BITS: std::ops::RangeInclusive<u32> = 1..=8;

/// Values with few that differ, coded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coded {
    /// All of the code: values that differ, tables, gaps and places.
    pub(super) bytes: Vec<u8>,
    /// Values that are not 0.
    pub(super) left: usize,
    /// Different values among them.
    pub(super) different: usize,
}

/// Codes values; `None` where too many differ.
///
/// A gap is the number of zeros before a value that is not 0, up to 2ᵏ − 2; the largest symbol,
/// 2ᵏ − 1, stands for so many zeros without a value. Gaps and places in the codebook have a
/// Huffman code each, and k is the one that gives the fewest bits.
pub(super) fn encode(values: &[f32]) -> Option<Coded> {
    // By their bits, so that what is read is what was written.
    let mut different: BTreeMap<u32, usize> = BTreeMap::new();
    let left: Vec<(usize, u32)> = values
        .iter()
        .map(|value| value.to_bits())
        .enumerate()
        .filter(|(_, bits)| *bits != 0)
        .collect();
    for &(_, bits) in &left {
        different.insert(bits, 0);
        if different.len() > MOST_VALUES {
            return None;
        }
    }
    let mut book: Vec<f32> = different.keys().map(|&bits| f32::from_bits(bits)).collect();
    book.sort_by(f32::total_cmp);
    for (at, value) in book.iter().enumerate() {
        different.insert(value.to_bits(), at);
    }
    let places: Vec<usize> = left.iter().map(|(_, bits)| different[bits]).collect();
    let of_places = Huffman::of_counts(&counts(&places, book.len()));

    let positions: Vec<usize> = left.iter().map(|(at, _)| *at).collect();
    let with_gaps = |bits: u32| {
        let gaps = gaps(&positions, bits);
        let counts = counts(&gaps, 1 << bits);
        let code = Huffman::of_counts(&counts);
        (code.cost(&counts), bits, gaps, code)
    };
    let (_, gap_bits, gaps, of_gaps) =
        GAP_BITS.map(with_gaps).min_by_key(|(cost, ..)| *cost).expect("one or more");

    let mut bits = BitWriter::default();
    bits.put(left.len() as u64, 40);
    bits.put(book.len() as u64, 16);
    bits.put(u64::from(gap_bits), 8);
    for value in &book {
        bits.put(u64::from(value.to_bits()), 32);
    }
    of_gaps.write_table(&mut bits);
    of_places.write_table(&mut bits);
    let skip = (1 << gap_bits) - 1;
    let mut places = places.iter();
    for &gap in &gaps {
        of_gaps.write(gap, &mut bits);
        if gap != skip
            && let Some(&place) = places.next()
        {
            of_places.write(place, &mut bits);
        }
    }
    Some(Coded { bytes: bits.into_bytes(), left: left.len(), different: book.len() })
}

/// The values of a code, `count` of them; `None` where it is none.
pub(super) fn decode(bytes: &[u8], count: usize) -> Option<Vec<f32>> {
    let mut bits = BitReader::new(bytes);
    let left = usize::try_from(bits.bits(40)?).ok()?;
    let different = usize::try_from(bits.bits(16)?).ok()?;
    let gap_bits = u32::try_from(bits.bits(8)?).ok()?;
    if left > count || different > MOST_VALUES || !GAP_BITS.contains(&gap_bits) {
        return None;
    }
    let book: Option<Vec<f32>> =
        (0..different).map(|_| Some(f32::from_bits(bits.bits(32)? as u32))).collect();
    let book = book?;
    let of_gaps = Huffman::read_table(&mut bits, 1 << gap_bits)?;
    let of_places = Huffman::read_table(&mut bits, different)?;
    let skip = (1 << gap_bits) - 1;
    let mut values = vec![0.0; count];
    let mut at = 0;
    let mut found = 0;
    while found < left {
        let gap = of_gaps.read(&mut bits)?;
        at += gap;
        if gap != skip {
            *values.get_mut(at)? = *book.get(of_places.read(&mut bits)?)?;
            at += 1;
            found += 1;
        }
    }
    Some(values)
}

/// The gaps before positions, as symbols of so many bits.
fn gaps(positions: &[usize], bits: u32) -> Vec<usize> {
    let skip = (1 << bits) - 1;
    let mut gaps = Vec::with_capacity(positions.len());
    let mut next = 0;
    for &position in positions {
        let mut gap = position - next;
        while gap >= skip {
            gaps.push(skip);
            gap -= skip;
        }
        gaps.push(gap);
        next = position + 1;
    }
    gaps
}

fn counts(symbols: &[usize], of: usize) -> Vec<u64> {
    let mut counts = vec![0; of];
    for &symbol in symbols {
        counts[symbol] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(values: &[f32]) -> Coded {
        let coded = encode(values).unwrap();
        let again = decode(&coded.bytes, values.len()).unwrap();
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&again), bits(values));
        coded
    }

    #[test]
    fn what_is_read_is_what_was_written_to_the_bit() {
        let sparse: Vec<f32> = (0..5000_u32)
            .map(|n| {
                if n % 17 == 3 || n > 4000 && n % 700 == 1 {
                    ((n * 7 % 5) as f32 - 2.0) / 3.0
                } else {
                    0.0
                }
            })
            .collect();
        let coded = round_trip(&sparse);
        assert!(coded.bytes.len() < 200, "{}", coded.bytes.len());
        round_trip(&[]);
        round_trip(&[0.0; 9]);
        round_trip(&[-0.0, f32::NAN, f32::INFINITY, 0.0, 1e-42]);
        round_trip(&[0.5; 1000]);
        assert!(encode(&(1..6000).map(|n| n as f32).collect::<Vec<_>>()).is_none());
    }

    #[test]
    fn a_cut_or_changed_code_is_no_panic() {
        let values: Vec<f32> =
            (0..300).map(|n| if n % 7 == 0 { (n % 4) as f32 } else { 0.0 }).collect();
        let coded = encode(&values).unwrap().bytes;
        for length in 0..coded.len() {
            assert!(decode(&coded[..length], 300).is_none(), "{length}");
        }
        for at in 0..coded.len() {
            let mut changed = coded.clone();
            changed[at] ^= 0x5a;
            let _ = decode(&changed, 300);
        }
    }
}
