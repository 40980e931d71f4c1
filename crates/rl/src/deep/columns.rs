//! Named columns of numbers as bytes: what JSON would bloat.

use crate::error::{Error, Result};

/// Name, count, values, little-endian, one column after the other.
pub(super) fn write(columns: &[(String, Vec<f32>)]) -> Vec<u8> {
    let numbers: usize = columns.iter().map(|(_, values)| values.len()).sum();
    let mut bytes = Vec::with_capacity(4 * numbers + 64 * columns.len());
    for (name, values) in columns {
        bytes.extend((name.len() as u64).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

/// The columns again; lengths are checked against the bytes before anything is allocated.
pub(super) fn read(mut bytes: &[u8]) -> Result<Vec<(String, Vec<f32>)>> {
    fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Result<&'a [u8]> {
        let cut = || Error::Resume("the columns are cut short".to_owned());
        let count = usize::try_from(count).map_err(|_| cut())?;
        let (head, rest) = bytes.split_at_checked(count).ok_or_else(cut)?;
        *bytes = rest;
        Ok(head)
    }
    fn length(bytes: &mut &[u8]) -> Result<u64> {
        let head = take(bytes, 8)?;
        Ok(head.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }
    let mut columns = Vec::new();
    while !bytes.is_empty() {
        let name_length = length(&mut bytes)?;
        let name = String::from_utf8_lossy(take(&mut bytes, name_length)?).into_owned();
        let count = length(&mut bytes)?;
        let values = take(&mut bytes, count.saturating_mul(4))?;
        let (words, _) = values.as_chunks::<4>();
        columns.push((name, words.iter().map(|word| f32::from_le_bytes(*word)).collect()));
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back_bit_for_bit_and_cut_ones_are_errors() {
        let columns = vec![
            ("a".to_owned(), vec![1.5, f32::from_bits(0x7FA0_0001)]),
            ("b".to_owned(), vec![]),
        ];
        let bytes = write(&columns);
        let again = read(&bytes).unwrap();
        assert_eq!(
            again[0].1.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            [0x3FC0_0000, 0x7FA0_0001]
        );
        assert_eq!((&again[1].0, again.len()), (&"b".to_owned(), 2));
        for cut in 1..bytes.len() {
            assert!(cut == 25 || read(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
