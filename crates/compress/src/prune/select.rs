//! Parts of tensors on the host.

use burn::tensor::TensorData;
use model_utils::graph::Quantization;

/// The places of each axis that are kept, of elements of any type.
pub(super) fn select(data: &TensorData, kept: &[Vec<usize>]) -> TensorData {
    let shape = data.shape().to_vec();
    let count: usize = shape.iter().product();
    let mut bytes = data.as_bytes().to_vec();
    let element = bytes.len() / count.max(1);
    let mut lengths = shape;
    for (axis, places) in kept.iter().enumerate() {
        if places.len() == lengths[axis] {
            continue;
        }
        let inner = lengths[axis + 1..].iter().product::<usize>() * element;
        let row = inner * lengths[axis];
        bytes = bytes
            .chunks(row)
            .flat_map(|row| places.iter().flat_map(|&at| &row[at * inner..(at + 1) * inner]))
            .copied()
            .collect();
        lengths[axis] = places.len();
    }
    TensorData::from_bytes_vec(bytes, lengths, data.dtype())
}

/// The scales of the places that are kept.
pub(super) fn select_quantization(
    quantization: &Quantization,
    kept: &[Vec<usize>],
) -> Quantization {
    let mut smaller = quantization.clone();
    if let Some(places) = quantization.axis.and_then(|axis| kept.get(axis)) {
        smaller.scale = places.iter().map(|&at| quantization.scale[at]).collect();
        smaller.zero_point = places.iter().map(|&at| quantization.zero_point[at]).collect();
    }
    smaller
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_selected() {
        let data = TensorData::new((0..24_i64).collect(), [2, 3, 4]);
        let smaller = select(&data, &[vec![1], vec![0, 2], vec![1, 3]]);
        assert_eq!(smaller.shape().to_vec(), [1, 2, 2]);
        assert_eq!(smaller.iter::<i64>().collect::<Vec<_>>(), [13, 15, 21, 23]);
        let whole: Vec<Vec<usize>> = [2, 3, 4].map(|n| (0..n).collect()).to_vec();
        assert_eq!(select(&data, &whole), data);
    }
}
