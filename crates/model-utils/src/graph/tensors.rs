//! Tensors whose rank is known when the program runs, and how typed ones go in and come out.

use burn::backend::{DispatchTensor, TensorMetadata};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::ElementKind;
use crate::error::{Error, Result};

/// A tensor of any rank and kind.
#[derive(Debug, Clone)]
pub struct AnyTensor(pub(super) DispatchTensor);

impl AnyTensor {
    /// What it holds.
    pub fn kind(&self) -> ElementKind {
        ElementKind::from(self.0.dtype())
    }

    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape().to_vec()
    }

    /// Where it is.
    pub fn device(&self) -> Device {
        let tensor = self.0.clone();
        match self.kind() {
            ElementKind::Float => Tensor::<1>::from_dispatch(tensor).device(),
            ElementKind::Int => Tensor::<1, Int>::from_dispatch(tensor).device(),
            ElementKind::Bool => Tensor::<1, Bool>::from_dispatch(tensor).device(),
        }
    }

    /// Its values, on the host.
    pub fn into_data(self) -> TensorData {
        match self.kind() {
            ElementKind::Float => Tensor::<1>::from_dispatch(self.0).into_data(),
            ElementKind::Int => Tensor::<1, Int>::from_dispatch(self.0).into_data(),
            ElementKind::Bool => Tensor::<1, Bool>::from_dispatch(self.0).into_data(),
        }
    }

    /// As a tensor of a rank and kind.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] where it has another.
    pub fn typed<const D: usize, K: Basic>(self) -> Result<Tensor<D, K>> {
        let expected = format!("{D} axes, {:?}", K::KIND);
        let fits =
            self.shape().len() == D && format!("{:?}", K::KIND) == format!("{:?}", self.kind());
        if !fits {
            return Err(Error::Shape {
                what: "a tensor of a graph".into(),
                expected,
                found: format!("{:?}, {:?}", self.shape(), self.kind()),
            });
        }
        Ok(Tensor::from_dispatch(self.0))
    }
}

impl<const D: usize, K: Basic> From<Tensor<D, K>> for AnyTensor {
    fn from(tensor: Tensor<D, K>) -> Self {
        Self(tensor.into_dispatch())
    }
}

/// One or several tensors: what a graph takes and what it gives. Implemented for `Tensor` of any
/// rank and kind, `Vec`s and tuples of them.
pub trait Tensors: Sized {
    /// Each in its order.
    fn into_any(self) -> Vec<AnyTensor>;

    /// From each in its order.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] where there are too few, or one has another rank or kind.
    fn from_any(tensors: &mut dyn Iterator<Item = AnyTensor>) -> Result<Self>;
}

impl<const D: usize, K: Basic> Tensors for Tensor<D, K> {
    fn into_any(self) -> Vec<AnyTensor> {
        vec![self.into()]
    }

    fn from_any(tensors: &mut dyn Iterator<Item = AnyTensor>) -> Result<Self> {
        let next = tensors.next().ok_or_else(|| Error::Shape {
            what: "the tensors of a graph".into(),
            expected: "one more".into(),
            found: "no more".into(),
        })?;
        next.typed()
    }
}

impl<T: Tensors> Tensors for Vec<T> {
    fn into_any(self) -> Vec<AnyTensor> {
        self.into_iter().flat_map(T::into_any).collect()
    }

    fn from_any(tensors: &mut dyn Iterator<Item = AnyTensor>) -> Result<Self> {
        let mut tensors = tensors.peekable();
        let mut found = Self::new();
        while tensors.peek().is_some() {
            found.push(T::from_any(&mut tensors)?);
        }
        Ok(found)
    }
}

/// The shape of an input, from which a graph is traced. Its first axis is the batch, of any
/// length: `[1, 3, 224, 224]`, or a tensor of that shape, whose values do not matter; integers
/// where it is a tensor of integers. Several inputs are a tuple; [`Whole`] has no batch.
pub trait Example {
    /// What the traced function takes.
    type Tensors: Tensors;

    /// Tensors of these shapes, with `batch` in the place of the batch.
    #[doc(hidden)]
    fn place(&self, batch: usize, device: &Device) -> Self::Tensors;

    /// Tensors of exactly these shapes.
    #[doc(hidden)]
    fn place_whole(&self, device: &Device) -> Self::Tensors;
}

/// An example input without an axis for the batch, such as a mask that all share.
#[derive(Debug, Clone, Copy)]
pub struct Whole<E>(
    /// The input.
    pub E,
);

impl<E: Example> Example for Whole<E> {
    type Tensors = E::Tensors;

    fn place(&self, _: usize, device: &Device) -> Self::Tensors {
        self.0.place_whole(device)
    }

    fn place_whole(&self, device: &Device) -> Self::Tensors {
        self.0.place_whole(device)
    }
}

fn with_batch<const D: usize>(mut shape: [usize; D], batch: usize) -> [usize; D] {
    if let Some(first) = shape.first_mut() {
        *first = batch;
    }
    shape
}

/// From data and not by a creating operation: an input is not computed.
fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::zeros::<f32, _>(shape), device)
}

impl<const D: usize> Example for [usize; D] {
    type Tensors = Tensor<D>;

    fn place(&self, batch: usize, device: &Device) -> Tensor<D> {
        zeros(with_batch(*self, batch), device)
    }

    fn place_whole(&self, device: &Device) -> Tensor<D> {
        zeros(*self, device)
    }
}

impl<const D: usize> Example for Tensor<D> {
    type Tensors = Self;

    fn place(&self, batch: usize, device: &Device) -> Self {
        zeros(with_batch(self.dims(), batch), device)
    }

    fn place_whole(&self, device: &Device) -> Self {
        zeros(self.dims(), device)
    }
}

impl<const D: usize> Example for Tensor<D, Int> {
    type Tensors = Self;

    fn place(&self, batch: usize, device: &Device) -> Self {
        let shape = with_batch(self.dims(), batch);
        Tensor::from_data(TensorData::zeros::<i64, _>(shape), device)
    }

    fn place_whole(&self, device: &Device) -> Self {
        Tensor::from_data(TensorData::zeros::<i64, _>(self.dims()), device)
    }
}

impl<const D: usize> Example for Tensor<D, Bool> {
    type Tensors = Self;

    fn place(&self, batch: usize, device: &Device) -> Self {
        let shape = with_batch(self.dims(), batch);
        Tensor::from_data(TensorData::new(vec![false; shape.iter().product()], shape), device)
    }

    fn place_whole(&self, device: &Device) -> Self {
        let shape = self.dims();
        Tensor::from_data(TensorData::new(vec![false; shape.iter().product()], shape), device)
    }
}

macro_rules! tuples {
    ($($part:ident $index:tt),+) => {
        impl<$($part: Tensors),+> Tensors for ($($part,)+) {
            fn into_any(self) -> Vec<AnyTensor> {
                let mut all = Vec::new();
                $(all.extend(self.$index.into_any());)+
                all
            }

            fn from_any(tensors: &mut dyn Iterator<Item = AnyTensor>) -> Result<Self> {
                Ok(($($part::from_any(tensors)?,)+))
            }
        }

        impl<$($part: Example),+> Example for ($($part,)+) {
            type Tensors = ($($part::Tensors,)+);

            fn place(&self, batch: usize, device: &Device) -> Self::Tensors {
                ($(self.$index.place(batch, device),)+)
            }

            fn place_whole(&self, device: &Device) -> Self::Tensors {
                ($(self.$index.place_whole(device),)+)
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
