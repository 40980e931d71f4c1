//! Axes in another order.

use burn::tensor::TensorData;

/// A tensor whose axis `k` is the axis `axes[k]` of `data`.
pub(crate) fn permuted(data: &TensorData, axes: &[usize]) -> TensorData {
    let from = data.shape();
    let mut strides = vec![data.dtype().size(); from.len()];
    for axis in (1..from.len()).rev() {
        strides[axis - 1] = strides[axis] * from[axis];
    }
    let shape: Vec<usize> = axes.iter().map(|&axis| from[axis]).collect();
    let steps: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
    let (bytes, size) = (data.as_bytes(), data.dtype().size());
    let mut turned = Vec::with_capacity(bytes.len());
    let (mut place, mut at) = (vec![0; shape.len()], 0);
    for _ in 0..data.num_elements() {
        turned.extend_from_slice(&bytes[at..at + size]);
        // On to the next place: the last axis first, and where it is through, the one before it.
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            at += steps[axis];
            if place[axis] < shape[axis] {
                break;
            }
            at -= steps[axis] * shape[axis];
            place[axis] = 0;
        }
    }
    TensorData::from_bytes_vec(turned, shape, data.dtype())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_change_places() {
        let data = TensorData::new((0..24_u8).map(f32::from).collect::<Vec<_>>(), [2, 3, 4]);
        let turned = permuted(&data, &[2, 0, 1]);
        assert_eq!(turned.shape().to_vec(), [4, 2, 3]);
        let found: Vec<f32> = turned.iter::<f32>().collect();
        for (index, value) in found.into_iter().enumerate() {
            let (k, i, j) = (index / 6, index / 3 % 2, index % 3);
            assert!((value - (i * 12 + j * 4 + k) as f32).abs() < 1e-9);
        }
        let none = TensorData::new(Vec::<i8>::new(), [2, 0]);
        assert_eq!(permuted(&none, &[1, 0]).shape().to_vec(), [0, 2]);
        let number = TensorData::new(vec![3_i64], [0; 0]);
        assert_eq!(permuted(&number, &[]), number);
    }
}
