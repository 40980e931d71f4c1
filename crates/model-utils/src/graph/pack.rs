//! Integers of few bits, side by side in bytes.

use std::collections::BTreeSet;

use burn::tensor::{DType, TensorData};
use serde::{Deserialize, Serialize};

use super::Quantization;

/// More bits than this a number are not packed.
const MOST_BITS: u32 = 8;

/// How integers are packed: each as a code of `bits` bits, the first in the lowest bits of the
/// first byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Packing {
    bits: u32,
    shape: Vec<usize>,
    dtype: DType,
    codes: Codes,
}

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Codes {
    /// The code and this number.
    Above(i64),
    /// The number at this place.
    Of(Vec<i64>),
}

/// The bits that tell `count` numbers apart.
fn bits_for(count: u64) -> u32 {
    u64::BITS - count.saturating_sub(1).leading_zeros()
}

/// The codes of integers, where that saves space.
pub(super) fn pack(
    data: &TensorData,
    quantization: &Quantization,
) -> Option<(TensorData, Packing)> {
    let values: Vec<i64> = data.iter::<i64>().collect();
    let levels: BTreeSet<i64> = values.iter().copied().collect();
    let (least, largest) = (*levels.first()?, *levels.last()?);
    let is_within = quantization.least <= least && largest <= quantization.largest;
    let of_range = bits_for(quantization.largest.abs_diff(quantization.least).checked_add(1)?);
    let bytes = |bits: u32| (values.len() * bits as usize).div_ceil(8);
    let of_levels = bits_for(levels.len() as u64).max(1);
    let table = levels.len() * size_of::<i64>();
    let (bits, codes, table) =
        if is_within && of_range <= MOST_BITS && bytes(of_range) <= bytes(of_levels) + table {
            (of_range.max(1), Codes::Above(quantization.least), 0)
        } else {
            (of_levels, Codes::Of(levels.into_iter().collect()), table)
        };
    let bytes = bytes(bits);
    if bits > MOST_BITS || bytes + table >= data.as_bytes().len() {
        return None;
    }
    let mut packed = vec![0u8; bytes];
    for (index, value) in values.iter().enumerate() {
        let code = match &codes {
            Codes::Above(least) => value.abs_diff(*least),
            Codes::Of(levels) => levels.binary_search(value).ok()? as u64,
        };
        let at = index * bits as usize;
        let shifted = (code as u16) << (at % 8);
        packed[at / 8] |= shifted as u8;
        if at % 8 + bits as usize > 8 {
            packed[at / 8 + 1] |= (shifted >> 8) as u8;
        }
    }
    let packing = Packing { bits, shape: data.shape().to_vec(), dtype: data.dtype(), codes };
    Some((TensorData::new(packed, [bytes]), packing))
}

impl Packing {
    /// The integers again, or what is wrong with the bytes.
    pub(super) fn unpack(&self, packed: &TensorData) -> Result<TensorData, String> {
        let Self { bits, shape, dtype, codes } = self;
        let packed: Vec<u8> = packed.iter::<u8>().collect();
        let elements = shape.iter().try_fold(1usize, |all, &length| all.checked_mul(length));
        let bytes = elements
            .filter(|_| (1..=MOST_BITS).contains(bits))
            .and_then(|elements| elements.checked_mul(*bits as usize))
            .map(|bits| bits.div_ceil(8));
        let (Some(elements), true) = (elements, bytes == Some(packed.len())) else {
            return Err(format!("{} bytes for {shape:?} of {bits} bits", packed.len()));
        };
        let bits = *bits as usize;
        let values: Result<Vec<i64>, String> = (0..elements)
            .map(|index| {
                let at = index * bits;
                let high = packed.get(at / 8 + 1).map_or(0, |&byte| u16::from(byte) << 8);
                let code = (u16::from(packed[at / 8]) | high) >> (at % 8) & ((1 << bits) - 1);
                match codes {
                    Codes::Above(least) => least.checked_add(i64::from(code)),
                    Codes::Of(levels) => levels.get(usize::from(code)).copied(),
                }
                .ok_or_else(|| format!("a code of {code}, which stands for nothing"))
            })
            .collect();
        if dtype.is_float() || dtype.is_bool() {
            return Err(format!("packed integers of the type {dtype:?}"));
        }
        Ok(TensorData::new(values?, shape.clone()).convert_dtype(*dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantization(least: i64, largest: i64) -> Quantization {
        Quantization { scale: vec![0.5], zero_point: vec![0], axis: None, least, largest }
    }

    #[test]
    fn integers_of_any_number_of_bits_come_back() {
        for bits in 1..=7u32 {
            let (least, largest) = (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1);
            let values: Vec<i8> = (0..101).map(|i| (least + i * 7 % (1 << bits)) as i8).collect();
            let data = TensorData::new(values, [101, 1]);
            let (packed, packing) = pack(&data, &quantization(least, largest)).unwrap();
            assert_eq!(packed.as_bytes().len(), (101 * bits as usize).div_ceil(8));
            assert_eq!(packing.unpack(&packed).unwrap(), data);
        }
    }

    #[test]
    fn few_distinct_integers_are_packed_however_large_they_are() {
        let values: Vec<i32> = (0..99).map(|i| [0, 1, -1, 32_768, -32_768][i % 5]).collect();
        let data = TensorData::new(values, [99]);
        let (packed, packing) = pack(&data, &quantization(-32_768, 32_768)).unwrap();
        assert_eq!(packed.as_bytes().len(), (99usize * 3).div_ceil(8));
        assert_eq!(packing.unpack(&packed).unwrap(), data);
    }

    #[test]
    fn what_does_not_get_smaller_is_left_alone() {
        let bytes = TensorData::new((-128..=127).collect::<Vec<i8>>(), [256]);
        assert!(pack(&bytes, &quantization(-128, 127)).is_none());
        let sums = TensorData::new((0..300).map(|i| i * 1000).collect::<Vec<i32>>(), [300]);
        assert!(pack(&sums, &quantization(i64::from(i32::MIN), i64::from(i32::MAX))).is_none());
        assert!(pack(&TensorData::new(Vec::<i8>::new(), [0]), &quantization(0, 1)).is_none());
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let data = TensorData::new((0..40).map(|i| i % 3 - 1).collect::<Vec<i8>>(), [40]);
        let (packed, packing) = pack(&data, &quantization(-1, 1)).unwrap();
        let short = TensorData::new(vec![0u8; 9], [9]);
        assert!(packing.unpack(&short).unwrap_err().contains("9 bytes"));
        let codes = Codes::Of(vec![5, 6]);
        let error = Packing { codes, ..packing.clone() }.unpack(&packed).unwrap_err();
        assert!(error.contains("a code of 2"), "{error}");
        let huge = Packing { shape: vec![usize::MAX, 4], ..packing };
        assert!(huge.unpack(&packed).is_err());
    }
}
