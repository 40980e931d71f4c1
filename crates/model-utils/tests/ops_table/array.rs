//! Numbers with a shape: as data, as scalars of a tape, and as a tensor in several layouts.

use burn::tensor::{Device, Slice, Tensor, TensorData};

use crate::tape::{Tape, Var};

/// Numbers in row-major order.
#[derive(Clone)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Numbers of the oracle, in row-major order.
#[derive(Clone)]
pub struct Block<'t> {
    pub shape: Vec<usize>,
    pub vars: Vec<Var<'t>>,
}

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Layout {
    /// As its shape says.
    Plain,
    /// With two axes in each other's place.
    Swapped(usize, usize),
    /// With so many other numbers before and behind along an axis.
    Narrowed(usize, usize, usize),
    /// With other numbers in between along an axis.
    Stepped(usize, usize),
}

/// What lies in memory beside a tensor's own numbers.
const BESIDE: f32 = f32::NAN;

/// The place of an index in row-major order.
pub fn place(shape: &[usize], index: &[usize]) -> usize {
    debug_assert_eq!(shape.len(), index.len());
    index.iter().zip(shape).fold(0, |place, (&at, &length)| {
        debug_assert!(at < length, "{index:?} of {shape:?}");
        place * length + at
    })
}

/// Calls `each` with every index of a shape, in row-major order.
pub fn for_each_index(shape: &[usize], mut each: impl FnMut(&[usize])) {
    let mut index = vec![0; shape.len()];
    for _ in 0..shape.iter().product() {
        each(&index);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

impl Array {
    pub fn is_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }

    /// The input of an oracle.
    pub fn on<'t>(&self, tape: &'t Tape) -> Block<'t> {
        let vars = self.values.iter().map(|&value| tape.input(f64::from(value))).collect();
        Block { shape: self.shape.clone(), vars }
    }

    /// A tensor without autodiff that lies in memory as told.
    pub fn tensor<const D: usize>(&self, layout: Layout, device: &Device) -> Tensor<D> {
        let dense = |array: &Array| {
            let data = TensorData::new(array.values.clone(), array.shape.clone());
            Tensor::<D>::from_data(data, device)
        };
        let shape = &self.shape;
        match layout {
            Layout::Plain => dense(self),
            Layout::Swapped(a, b) => {
                let mut stored = shape.clone();
                stored.swap(a, b);
                dense(&self.stored(stored, |index| index.swap(a, b))).swap_dims(a, b)
            }
            Layout::Narrowed(axis, before, behind) => {
                let mut stored = shape.clone();
                stored[axis] += before + behind;
                dense(&self.stored(stored, |index| index[axis] += before)).narrow(
                    axis,
                    before,
                    shape[axis],
                )
            }
            Layout::Stepped(axis, step) => {
                let mut stored = shape.clone();
                stored[axis] *= step;
                let slice = Slice::new(0, Some(stored[axis] as isize), step as isize);
                dense(&self.stored(stored, |index| index[axis] *= step)).slice_dim(axis, slice)
            }
        }
    }

    /// These numbers in an array of another shape, each at its moved index.
    fn stored(&self, shape: Vec<usize>, moved: impl Fn(&mut [usize])) -> Array {
        let mut values = vec![BESIDE; shape.iter().product()];
        let mut numbers = self.values.iter();
        for_each_index(&self.shape, |index| {
            let mut index = index.to_vec();
            moved(&mut index);
            values[place(&shape, &index)] = *numbers.next().expect("a number an index");
        });
        Array { shape, values }
    }
}

impl<'t> Block<'t> {
    /// One number an index.
    pub fn of(shape: &[usize], mut number: impl FnMut(&[usize]) -> Var<'t>) -> Self {
        let mut vars = Vec::with_capacity(shape.iter().product());
        for_each_index(shape, |index| vars.push(number(index)));
        Self { shape: shape.to_vec(), vars }
    }

    /// The same operation on every number.
    pub fn map(&self, number: impl Fn(Var<'t>) -> Var<'t>) -> Self {
        Self { shape: self.shape.clone(), vars: self.vars.iter().map(|&var| number(var)).collect() }
    }

    pub fn at(&self, index: &[usize]) -> Var<'t> {
        self.vars[place(&self.shape, index)]
    }

    /// The numbers along the last axis, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[Var<'t>]> {
        let width = self.shape.last().copied().unwrap_or(1);
        (0..self.vars.len() / width.max(1)).map(move |row| &self.vars[row * width..][..width])
    }
}
