//! Short codes for what is frequent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bits::{BitReader, BitWriter};

/// Bits in which the length of a code is written.
const LENGTH_BITS: u32 = 6;

/// A canonical Huffman code: codes of a length are consecutive numbers, in the order of their
/// symbols, so that the lengths say all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Huffman {
    /// Of each symbol; 0 for one that does not occur.
    lengths: Vec<u32>,
    codes: Vec<u64>,
    /// For each length the first code, and where its symbols begin in `order`.
    first: Vec<(u64, usize, usize)>,
    /// Symbols by length, then by number.
    order: Vec<usize>,
}

impl Huffman {
    /// The best code for symbols that occur so often.
    pub(super) fn of_counts(counts: &[u64]) -> Self {
        let mut lengths = vec![0; counts.len()];
        let occurring: Vec<usize> = (0..counts.len()).filter(|&at| counts[at] > 0).collect();
        if let [only] = occurring[..] {
            lengths[only] = 1;
        }
        // Trees by their count, then by age, so that the code does not depend on the heap.
        let mut heap: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut trees: Vec<Vec<usize>> = Vec::new();
        for &symbol in &occurring {
            heap.push(Reverse((counts[symbol], trees.len())));
            trees.push(vec![symbol]);
        }
        while heap.len() > 1 {
            let (Some(Reverse((a, first))), Some(Reverse((b, second)))) = (heap.pop(), heap.pop())
            else {
                break;
            };
            let mut joined = std::mem::take(&mut trees[first]);
            joined.append(&mut trees[second]);
            for &symbol in &joined {
                lengths[symbol] += 1;
            }
            heap.push(Reverse((a + b, trees.len())));
            trees.push(joined);
        }
        Self::of_lengths(lengths).unwrap_or_else(|| Self::of_lengths(Vec::new()).expect("empty"))
    }

    /// The canonical code of these lengths; `None` where no code has them.
    fn of_lengths(lengths: Vec<u32>) -> Option<Self> {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut order: Vec<usize> = (0..lengths.len()).filter(|&at| lengths[at] > 0).collect();
        order.sort_by_key(|&at| (lengths[at], at));
        let mut codes = vec![0; lengths.len()];
        let mut first = vec![(0, 0, 0)];
        let (mut code, mut at) = (0_u64, 0);
        for length in 1..=longest {
            code <<= 1;
            let begin = (code, at);
            while at < order.len() && lengths[order[at]] == length {
                codes[order[at]] = code;
                code += 1;
                at += 1;
            }
            if length < 64 && code > 1 << length {
                return None;
            }
            first.push((begin.0, begin.1, at));
        }
        Some(Self { lengths, codes, first, order })
    }

    /// Bits that symbols of these counts take, the table included.
    pub(super) fn cost(&self, counts: &[u64]) -> u64 {
        let table = self.lengths.len() as u64 * u64::from(LENGTH_BITS);
        let of_symbols = counts.iter().zip(&self.lengths);
        table + of_symbols.map(|(count, length)| count * u64::from(*length)).sum::<u64>()
    }

    pub(super) fn write_table(&self, bits: &mut BitWriter) {
        for &length in &self.lengths {
            bits.put(u64::from(length), LENGTH_BITS);
        }
    }

    pub(super) fn read_table(bits: &mut BitReader, symbols: usize) -> Option<Self> {
        let lengths: Option<Vec<u32>> =
            (0..symbols).map(|_| bits.bits(LENGTH_BITS).map(|length| length as u32)).collect();
        Self::of_lengths(lengths?)
    }

    pub(super) fn write(&self, symbol: usize, bits: &mut BitWriter) {
        bits.put(self.codes[symbol], self.lengths[symbol]);
    }

    pub(super) fn read(&self, bits: &mut BitReader) -> Option<usize> {
        let mut code = 0;
        for &(first, begin, end) in &self.first[1..] {
            code = code << 1 | bits.bit()?;
            let within = code.checked_sub(first)? as usize;
            if within < end - begin {
                return Some(self.order[begin + within]);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(counts: &[u64]) -> Huffman {
        let code = Huffman::of_counts(counts);
        let mut bits = BitWriter::default();
        code.write_table(&mut bits);
        let symbols: Vec<usize> = (0..counts.len())
            .flat_map(|at| std::iter::repeat_n(at, counts[at].min(5) as usize))
            .collect();
        for &symbol in &symbols {
            code.write(symbol, &mut bits);
        }
        let bytes = bits.into_bytes();
        let mut bits = BitReader::new(&bytes);
        let read = Huffman::read_table(&mut bits, counts.len()).unwrap();
        assert_eq!(read, code);
        let again: Vec<usize> = symbols.iter().map(|_| read.read(&mut bits).unwrap()).collect();
        assert_eq!(again, symbols);
        code
    }

    #[test]
    fn frequent_symbols_have_short_codes() {
        let code = round_trip(&[45, 13, 12, 16, 9, 5]);
        // The textbook's example.
        assert_eq!(code.lengths, [1, 3, 3, 3, 4, 4]);
        assert_eq!(code.cost(&[45, 13, 12, 16, 9, 5]), 36 + 224);
        round_trip(&[0, 7, 0]);
        round_trip(&[0, 0]);
        round_trip(&[1; 33]);
        let fibonacci: Vec<u64> = (0..40)
            .scan((1, 1), |(a, b), _| {
                (*a, *b) = (*b, *a + *b);
                Some(*a)
            })
            .collect();
        round_trip(&fibonacci);
    }

    #[test]
    fn lengths_that_no_code_has_are_refused() {
        let mut bits = BitWriter::default();
        for length in [1, 1, 1] {
            bits.put(length, LENGTH_BITS);
        }
        assert!(Huffman::read_table(&mut BitReader::new(&bits.into_bytes()), 3).is_none());
    }
}
