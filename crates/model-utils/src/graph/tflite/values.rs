//! Values and axes of the file as they are here.

use burn::tensor::{TensorData, bf16, f16};

use super::super::ElementKind;
use super::Imported;
use super::model::Element;

/// For each axis of an image there the axis here.
pub(super) const TO_HERE: [usize; 4] = [0, 2, 3, 1];
/// For each axis of an image here the axis there.
pub(super) static FROM_THERE: [usize; 4] = [0, 3, 1, 2];

/// A shape there as it is here.
pub(super) fn here(shape: &[usize]) -> Vec<usize> {
    match shape {
        [batch, height, width, channels] => vec![*batch, *channels, *height, *width],
        other => other.to_vec(),
    }
}

/// An axis there, negative from the last, as the axis here.
pub(super) fn axis_here(axis: i64, rank: usize) -> Imported<usize> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    match usize::try_from(from_start) {
        Ok(there) if there < rank => Ok(if rank == 4 { TO_HERE[there] } else { there }),
        _ => Err(format!("axis {axis} of {rank}").into()),
    }
}

/// What a tensor holds here, if that is known.
pub(super) fn kind(element: Element, quantized: bool) -> Option<ElementKind> {
    match element {
        Element::F32 | Element::F16 | Element::Bf16 | Element::F64 => Some(ElementKind::Float),
        Element::Bool => Some(ElementKind::Bool),
        element if element.integers().is_some() => {
            Some(if quantized { ElementKind::Float } else { ElementKind::Int })
        }
        _ => None,
    }
}

/// The values of a constant: floating-point numbers as f32, integers as they are.
pub(super) fn data(element: Element, content: &[u8], shape: &[usize]) -> Option<TensorData> {
    fn each<const N: usize, T>(content: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
        content.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
    }
    let shape = shape.to_vec();
    Some(match element {
        Element::F32 => TensorData::new(each(content, f32::from_le_bytes), shape),
        Element::F16 => {
            TensorData::new(each(content, |bytes| f16::from_le_bytes(bytes).to_f32()), shape)
        }
        Element::Bf16 => {
            TensorData::new(each(content, |bytes| bf16::from_le_bytes(bytes).to_f32()), shape)
        }
        Element::I8 => TensorData::new(each(content, i8::from_le_bytes), shape),
        Element::U8 => TensorData::new(content.to_vec(), shape),
        Element::I16 => TensorData::new(each(content, i16::from_le_bytes), shape),
        Element::I32 => TensorData::new(each(content, i32::from_le_bytes), shape),
        Element::I64 => TensorData::new(each(content, i64::from_le_bytes), shape),
        _ => return None,
    })
}

pub(super) fn reshaped(data: TensorData, shape: Vec<usize>) -> TensorData {
    let dtype = data.dtype();
    TensorData::from_bytes_vec(data.as_bytes().to_vec(), shape, dtype)
}
