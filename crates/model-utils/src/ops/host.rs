//! Devices whose tensors are numbers in this process's memory, `flex` and `ndarray`: the one way on
//! which an operation's kernel computes there, tracked by autodiff or not.
//!
//! Burn composes most backward passes of general operations, which costs many passes over memory
//! and, for a convolution, up to 25 forwards. A [`Kernel`] writes both directly, on slices. Which
//! way an operation goes is decided here, by all its inputs together: where each is of 32-bit floats
//! on such a device, by the kernel; elsewhere the inputs come back for Burn's own way.
// `ndarray` is deprecated in Burn, and promised here. What comes back as an error are the inputs.
#![allow(deprecated, clippy::result_large_err)]
// Without either device nothing comes here.
#![cfg_attr(not(any(feature = "flex", feature = "ndarray")), allow(unused))]

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchDevice, DispatchTensor, DispatchTensorKind,
    TensorMetadata, backend_extension,
};
use burn::tensor::{DType, Device, Shape, Tensor};

use super::kernels::parallel::{for_each_chunk, written};

/// A differentiable operation of `N` tensors.
pub(super) trait Kernel<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs of the forward pass.
    type Saved<B: Host>: Clone + Debug + Send + 'static;

    /// The output, and what is to be saved where it `saves`.
    fn forward<B: Host>(
        &self,
        inputs: [Array<B>; N],
        saves: bool,
    ) -> (Array<B>, Option<Self::Saved<B>>);

    /// The gradients of the inputs, in their shapes, those that are wanted at least.
    fn backward<B: Host>(
        &self,
        saved: Self::Saved<B>,
        gradient: Array<B>,
        wanted: [bool; N],
    ) -> [Option<Array<B>>; N];
}

/// A backend whose tensors of 32-bit floats are slices.
pub(super) trait Host: Backend {
    /// In row-major order, without gaps.
    fn contiguous(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The numbers of a [contiguous](Self::contiguous) tensor.
    fn numbers(x: &FloatTensor<Self>) -> &[f32];

    /// The same to be changed, where nobody else holds them.
    fn numbers_mut(x: &mut FloatTensor<Self>) -> Option<&mut [f32]>;

    /// A tensor of these numbers.
    fn tensor(numbers: Vec<f32>, shape: Shape) -> FloatTensor<Self>;
}

#[cfg(feature = "flex")]
impl Host for burn::backend::Flex {
    fn contiguous(x: FloatTensor<Self>) -> FloatTensor<Self> {
        x.to_contiguous()
    }

    fn numbers(x: &FloatTensor<Self>) -> &[f32] {
        x.storage()
    }

    fn numbers_mut(x: &mut FloatTensor<Self>) -> Option<&mut [f32]> {
        x.try_storage_mut()
    }

    fn tensor(numbers: Vec<f32>, shape: Shape) -> FloatTensor<Self> {
        FloatTensor::<Self>::from_data(burn::tensor::TensorData::new(numbers, shape))
    }
}

#[cfg(feature = "ndarray")]
mod on_ndarray {
    use burn::backend::NdArray;
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::Shape;
    use burn_ndarray::NdArrayTensor::F32;
    use ndarray::{ArcArray, IxDyn};

    use super::Host;

    const FLOATS: &str = "the route was taken for 32-bit floats";

    impl Host for NdArray {
        fn contiguous(x: FloatTensor<Self>) -> FloatTensor<Self> {
            let F32(storage) = x else { unreachable!("{FLOATS}") };
            if storage.view().is_standard_layout() {
                return F32(storage);
            }
            F32(storage.view().as_standard_layout().into_owned().into_shared().into())
        }

        fn numbers(x: &FloatTensor<Self>) -> &[f32] {
            let F32(storage) = x else { unreachable!("{FLOATS}") };
            storage.view().to_slice().expect("made contiguous")
        }

        fn numbers_mut(x: &mut FloatTensor<Self>) -> Option<&mut [f32]> {
            let F32(storage) = x else { unreachable!("{FLOATS}") };
            if storage.is_unique() { storage.ensure_owned().as_slice_mut() } else { None }
        }

        fn tensor(numbers: Vec<f32>, shape: Shape) -> FloatTensor<Self> {
            let array = ArcArray::from_shape_vec(IxDyn(&shape), numbers);
            F32(array.expect("as many numbers as the shape has").into())
        }
    }
}

/// Numbers that are changed one after the other.
const CHUNK: usize = 1 << 12;

/// A tensor's numbers in row-major order.
#[derive(Debug, Clone)]
pub(super) struct Array<B: Host>(FloatTensor<B>);

impl<B: Host> Array<B> {
    pub(super) fn new(numbers: Vec<f32>, shape: impl Into<Shape>) -> Self {
        Self(B::tensor(numbers, shape.into()))
    }

    pub(super) fn numbers(&self) -> &[f32] {
        B::numbers(&self.0)
    }

    /// The numbers to be changed; copied before where somebody else holds them too.
    pub(super) fn numbers_mut(&mut self) -> &mut [f32] {
        if B::numbers_mut(&mut self.0).is_none() {
            self.0 = B::tensor(self.numbers().to_vec(), self.shape());
        }
        B::numbers_mut(&mut self.0).expect("a copy of its own")
    }

    pub(super) fn shape(&self) -> Shape {
        self.0.shape()
    }

    pub(super) fn dims<const D: usize>(&self) -> [usize; D] {
        self.shape().dims()
    }

    /// `[batch, channels, …]` as `[batch, channels, space]`.
    pub(super) fn planes(&self) -> [usize; 3] {
        let shape = self.shape();
        [shape[0], shape[1], shape[2..].iter().product()]
    }

    /// Calls `change(index of the first, numbers)` for some numbers at a time, in place where nobody
    /// else holds them.
    pub(super) fn changed(mut self, change: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        if let Some(numbers) = B::numbers_mut(&mut self.0) {
            for_each_chunk(numbers, CHUNK, |chunk, numbers| change(chunk * CHUNK, numbers));
            return self;
        }
        let from = self.numbers();
        let copied = written(from.len(), CHUNK, |chunk, numbers| {
            numbers.copy_from_slice(&from[chunk * CHUNK..][..numbers.len()]);
            change(chunk * CHUNK, numbers);
        });
        Self::new(copied, self.shape())
    }
}

/// How kernels reach the backends.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
trait Run: Backend {
    fn run_one<K: Kernel<1>>(kernel: K, a: FloatTensor<Self>) -> FloatTensor<Self>;

    fn run_two<K: Kernel<2>>(
        kernel: K,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn run_three<K: Kernel<3>>(
        kernel: K,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn run_read<R, F: FnOnce(&[f32], &[usize]) -> R>(read: F, x: FloatTensor<Self>) -> R;
}

impl<B: Host> Run for B {
    fn run_one<K: Kernel<1>>(kernel: K, a: FloatTensor<Self>) -> FloatTensor<Self> {
        untracked::<B, K, 1>(&kernel, [a])
    }

    fn run_two<K: Kernel<2>>(
        kernel: K,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        untracked::<B, K, 2>(&kernel, [a, b])
    }

    fn run_three<K: Kernel<3>>(
        kernel: K,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        untracked::<B, K, 3>(&kernel, [a, b, c])
    }

    fn run_read<R, F: FnOnce(&[f32], &[usize]) -> R>(read: F, x: FloatTensor<Self>) -> R {
        let x = Array::<B>(B::contiguous(x));
        read(x.numbers(), &x.shape())
    }
}

fn untracked<B: Host, K: Kernel<N>, const N: usize>(
    kernel: &K,
    inputs: [FloatTensor<B>; N],
) -> FloatTensor<B> {
    kernel.forward(inputs.map(|x| Array::<B>(B::contiguous(x))), false).0.0
}

impl<B: Host, C: CheckpointStrategy> Run for Autodiff<B, C> {
    fn run_one<K: Kernel<1>>(kernel: K, a: FloatTensor<Self>) -> FloatTensor<Self> {
        tracked::<B, C, K, 1>(kernel, [a])
    }

    fn run_two<K: Kernel<2>>(
        kernel: K,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        tracked::<B, C, K, 2>(kernel, [a, b])
    }

    fn run_three<K: Kernel<3>>(
        kernel: K,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        tracked::<B, C, K, 3>(kernel, [a, b, c])
    }

    fn run_read<R, F: FnOnce(&[f32], &[usize]) -> R>(read: F, x: FloatTensor<Self>) -> R {
        B::run_read(read, x.into_primitive())
    }
}

fn tracked<B: Host, C: CheckpointStrategy, K: Kernel<N>, const N: usize>(
    kernel: K,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = inputs.each_ref().map(FloatTensor::<Autodiff<B, C>>::node);
    let kind = Step(PhantomData::<(B, K)>).prepare::<C>(nodes).compute_bound().stateful();
    let inputs = inputs.map(|x| Array(B::contiguous(x.into_primitive())));
    match kind {
        OpsKind::Tracked(prep) => {
            let (output, saved) = kernel.forward(inputs, true);
            prep.finish((kernel, saved.expect("it saves")), output.0)
        }
        OpsKind::UnTracked(prep) => prep.finish(kernel.forward(inputs, false).0.0),
    }
}

/// A kernel's backward pass.
#[derive(Debug)]
struct Step<K>(PhantomData<K>);

impl<B: Host, K: Kernel<N>, const N: usize> Backward<B, N> for Step<(B, K)> {
    type State = (K, K::Saved<B>);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Array(B::contiguous(grads.consume::<B>(&ops.node)));
        let (kernel, saved) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = kernel.backward(saved, gradient, wanted);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                let gradient = gradient.expect("a gradient that is wanted");
                grads.register::<B>(node.id, gradient.0);
            }
        }
    }
}

/// Whether a tensor's numbers are 32-bit floats in this process's memory.
pub(super) fn holds<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && is_host(&x.device())
}

/// Whether a device's tensors are in this process's memory.
pub(super) fn is_host(device: &Device) -> bool {
    match device.clone().inner().as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "ndarray")]
        DispatchDevice::NdArray(_) => true,
        #[allow(unreachable_patterns)] // Where the build has no other device.
        _ => false,
    }
}

/// Whether a kernel can compute with it.
fn fits(x: &DispatchTensor) -> bool {
    let mut kind = &x.kind;
    while let DispatchTensorKind::Autodiff(inner) = kind {
        kind = inner;
    }
    let is_host = match kind {
        #[cfg(feature = "flex")]
        DispatchTensorKind::Flex(_) => true,
        #[cfg(feature = "ndarray")]
        DispatchTensorKind::NdArray(_) => true,
        #[allow(unreachable_patterns)] // Where the build has no other device.
        _ => false,
    };
    is_host && x.dtype() == DType::F32
}

/// The kernel's output, or the input again where it cannot compute.
pub(super) fn one<K: Kernel<1>, const D: usize, const E: usize>(
    kernel: K,
    a: Tensor<D>,
) -> Result<Tensor<E>, Tensor<D>> {
    let a = a.into_dispatch();
    if !fits(&a) {
        return Err(Tensor::from_dispatch(a));
    }
    Ok(Tensor::from_dispatch(Dispatch::run_one(kernel, a)))
}

/// The same of two inputs.
pub(super) fn two<K: Kernel<2>, const D: usize, const E: usize, const F: usize>(
    kernel: K,
    a: Tensor<D>,
    b: Tensor<E>,
) -> Result<Tensor<F>, (Tensor<D>, Tensor<E>)> {
    let (a, b) = (a.into_dispatch(), b.into_dispatch());
    if !(fits(&a) && fits(&b)) {
        return Err((Tensor::from_dispatch(a), Tensor::from_dispatch(b)));
    }
    Ok(Tensor::from_dispatch(Dispatch::run_two(kernel, a, b)))
}

/// The same of three inputs.
#[allow(clippy::type_complexity)] // The inputs.
pub(super) fn three<
    K: Kernel<3>,
    const D: usize,
    const E: usize,
    const F: usize,
    const G: usize,
>(
    kernel: K,
    a: Tensor<D>,
    b: Tensor<E>,
    c: Tensor<F>,
) -> Result<Tensor<G>, (Tensor<D>, Tensor<E>, Tensor<F>)> {
    let (a, b, c) = (a.into_dispatch(), b.into_dispatch(), c.into_dispatch());
    if !(fits(&a) && fits(&b) && fits(&c)) {
        let (a, b) = (Tensor::from_dispatch(a), Tensor::from_dispatch(b));
        return Err((a, b, Tensor::from_dispatch(c)));
    }
    Ok(Tensor::from_dispatch(Dispatch::run_three(kernel, a, b, c)))
}

/// The same of two inputs, and of a third where there is one.
#[allow(clippy::type_complexity)] // The inputs.
pub(super) fn two_or_three<K, const D: usize, const E: usize, const F: usize>(
    kernel: K,
    a: Tensor<D>,
    b: Tensor<E>,
    c: Option<Tensor<1>>,
) -> Result<Tensor<F>, (Tensor<D>, Tensor<E>, Option<Tensor<1>>)>
where
    K: Kernel<2> + Kernel<3>,
{
    match c {
        Some(c) => three(kernel, a, b, c).map_err(|(a, b, c)| (a, b, Some(c))),
        None => two(kernel, a, b).map_err(|(a, b)| (a, b, None)),
    }
}

/// The first `N` of three gradients.
pub(super) fn first<B: Host, const N: usize>(
    gradients: [Option<Array<B>>; 3],
) -> [Option<Array<B>>; N] {
    let mut gradients = gradients.into_iter();
    std::array::from_fn(|_| gradients.next().flatten())
}

/// What `read` makes of the numbers and the shape, where they are in this process's memory.
pub(super) fn read<R, const D: usize>(
    x: &Tensor<D>,
    read: impl FnOnce(&[f32], &[usize]) -> R,
) -> Option<R> {
    holds(x).then(|| Dispatch::run_read(read, x.clone().into_dispatch()))
}
