//! What each operator becomes.

use std::sync::Arc;

use burn::tensor::TensorData;

use super::super::structure::{Weight, fixed};
use super::super::{Binary, Dim, Interpolation, NodeId, Op, Pool, Range, Reduction, Role};
use super::importer::Importer;
use super::model::{self, Conv2d, FusedActivation, Operator, Padding, Pool2d, Resize};
use super::values::{FROM_THERE, TO_HERE, axis_here};
use super::{Imported, unsupported};
use crate::layers::Activation;

/// The longest side of an image for which a pooling's windows are counted.
const MOST_SIDE: usize = 1 << 16;

impl Importer<'_> {
    /// An operator of one input whose axes do not matter.
    fn unary(&mut self, operator: &Operator, op: Op) -> Imported {
        let x = Self::input(operator, 0)?;
        let x = self.tensor(x)?;
        let id = self.push(&self.output_name(operator), op, vec![x]);
        self.finish(operator, id, FusedActivation::None)
    }

    fn output_name(&self, operator: &Operator) -> String {
        operator.outputs.first().map(|&out| self.file.tensors[out].name.clone()).unwrap_or_default()
    }

    #[allow(clippy::too_many_lines)] // A case an operator.
    pub(super) fn operator(&mut self, operator: &Operator) -> Imported {
        use model::Op as Of;
        let output = Self::output(operator)?;
        let function = |activation| Op::Activation(activation);
        match &operator.op {
            Of::Conv2d(conv) => self.convolution(operator, conv, false),
            Of::DepthwiseConv2d { conv, .. } => self.convolution(operator, conv, true),
            Of::TransposeConv { padding, stride, activation } => {
                self.transposed(operator, *padding, *stride, *activation)
            }
            Of::FullyConnected { activation, shuffled_weights, keep_num_dims } => {
                if *shuffled_weights {
                    return unsupported("weights stored in blocks");
                }
                self.fully_connected(operator, *activation, *keep_num_dims)
            }
            Of::AveragePool2d(pool) => self.pool(operator, pool, true),
            Of::MaxPool2d(pool) => self.pool(operator, pool, false),
            Of::Add { activation } => self.binary(operator, Binary::Add, *activation),
            Of::Sub { activation } => self.binary(operator, Binary::Sub, *activation),
            Of::Mul { activation } => self.binary(operator, Binary::Mul, *activation),
            Of::Div { activation } => self.binary(operator, Binary::Div, *activation),
            Of::Relu => self.unary(operator, function(Activation::Relu)),
            Of::Relu6 => self.unary(operator, function(Activation::Relu6)),
            Of::ReluN1To1 => self.unary(operator, Op::Clamp { min: Some(-1.0), max: Some(1.0) }),
            Of::LeakyRelu { alpha } => {
                let leaky = Activation::LeakyRelu(f64::from(*alpha));
                self.unary(operator, function(leaky))
            }
            Of::Logistic => self.unary(operator, function(Activation::Sigmoid)),
            Of::Tanh => self.unary(operator, function(Activation::Tanh)),
            Of::HardSwish => self.unary(operator, function(Activation::HardSwish)),
            // Between integers and real numbers the meaning stays.
            Of::Quantize | Of::Dequantize => {
                let x = Self::input(operator, 0)?;
                let constant = self.same.get(&x).copied().unwrap_or(x);
                if self.file.tensors[constant].data.is_some() {
                    self.same.insert(output, constant);
                    return Ok(());
                }
                self.unary(operator, function(Activation::Identity))
            }
            Of::Softmax { beta } => {
                let x = Self::input(operator, 0)?;
                let axis = axis_here(-1, self.rank(x))?;
                let mut id = self.tensor(x)?;
                if (*beta - 1.0).abs() > f32::EPSILON {
                    id = self.push("", Op::Scalar(Binary::Mul, f64::from(*beta)), vec![id]);
                }
                let name = self.output_name(operator);
                let id = self.push(&name, Op::Softmax { axis }, vec![id]);
                self.finish(operator, id, FusedActivation::None)
            }
            Of::Reshape { .. } | Of::Squeeze { .. } => {
                let x = Self::input(operator, 0)?;
                let id = self.reshape(x, output)?;
                self.finish(operator, id, FusedActivation::None)
            }
            Of::Concatenation { axis, activation } => {
                let axis = axis_here(i64::from(*axis), self.rank(output))?;
                let mut inputs = Vec::new();
                for position in 0..operator.inputs.len() {
                    let tensor = Self::input(operator, position)?;
                    inputs.push(self.tensor(tensor)?);
                }
                let id = self.push(&self.output_name(operator), Op::Cat { axis }, inputs);
                self.finish(operator, id, *activation)
            }
            Of::Mean { .. } => {
                let x = Self::input(operator, 0)?;
                let rank = self.rank(x);
                let mut axes = Vec::new();
                for axis in self.integers(operator, 1)? {
                    axes.push(axis_here(axis, rank)?);
                }
                axes.sort_unstable();
                axes.dedup();
                let id = self.tensor(x)?;
                let mean = Op::Reduce { reduction: Reduction::Mean, axes: axes.clone() };
                let mut id = self.push(&self.output_name(operator), mean, vec![id]);
                if self.rank(output) != rank {
                    if let [_, height, width, channels] = self.shape(x)[..] {
                        // Axes of length 1 go; channels and places that are left change order.
                        let left = |axis: usize, length: usize| length > 1 && !axes.contains(&axis);
                        if left(1, channels) && (left(2, height) || left(3, width)) {
                            let axes = TO_HERE.to_vec();
                            id = self.push("", Op::Permute { axes }, vec![id]);
                        }
                    }
                    id = self.push("", Op::Reshape { shape: self.dims(output) }, vec![id]);
                }
                self.finish(operator, id, FusedActivation::None)
            }
            Of::Pad => {
                let x = Self::input(operator, 0)?;
                let rank = self.rank(x);
                let amounts = self.integers(operator, 1)?;
                if amounts.len() != 2 * rank {
                    return Err(format!("{} amounts for {rank} axes", amounts.len()).into());
                }
                let mut padding = vec![(0, 0); rank];
                for (axis, pair) in amounts.chunks(2).enumerate() {
                    let amount = |amount: i64| {
                        usize::try_from(amount)
                            .ok()
                            .filter(|&amount| amount < 1 << 20)
                            .ok_or_else(|| format!("{amount} zeros"))
                    };
                    padding[axis_here(axis as i64, rank)?] = (amount(pair[0])?, amount(pair[1])?);
                }
                let id = self.tensor(x)?;
                let pad = Op::Pad { padding, value: 0.0 };
                let id = self.push(&self.output_name(operator), pad, vec![id]);
                self.finish(operator, id, FusedActivation::None)
            }
            Of::Transpose => {
                let x = Self::input(operator, 0)?;
                let axes = self.integers(operator, 1)?;
                let rank = self.rank(x);
                let axes: Vec<usize> =
                    axes.iter().filter_map(|&axis| usize::try_from(axis).ok()).collect();
                if axes.len() != rank || axes.iter().any(|&axis| axis >= rank) {
                    return Err(format!("axes {axes:?} of {rank}").into());
                }
                let axes = if rank == 4 {
                    // Of an axis here: where it lies there, what comes to lie there, where that
                    // lies here.
                    FROM_THERE.iter().map(|&there| TO_HERE[axes[there]]).collect()
                } else {
                    axes
                };
                let id = self.tensor(x)?;
                let id = self.push(&self.output_name(operator), Op::Permute { axes }, vec![id]);
                self.finish(operator, id, FusedActivation::None)
            }
            Of::ResizeBilinear(resize) => self.resize(operator, *resize, Interpolation::Bilinear),
            Of::ResizeNearestNeighbor(resize) => {
                let mode = if resize.half_pixel_centers {
                    Interpolation::NearestExact
                } else {
                    Interpolation::Nearest
                };
                self.resize(operator, *resize, mode)
            }
            Of::Custom(name) => unsupported(format!("the custom operator `{name}` is not known")),
            _ => unsupported(format!("the operator (builtin {}) is not known", operator.code)),
        }
    }

    /// Zeros before and after, for a window along each axis of space.
    fn same(
        padding: Padding,
        input: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
    ) -> [(usize, usize); 2] {
        std::array::from_fn(|axis| match padding {
            Padding::Valid => (0, 0),
            Padding::Same => {
                let places = input[axis].div_ceil(stride[axis]).max(1);
                let reach = (kernel[axis].max(1) - 1).saturating_mul(dilation[axis]) + 1;
                let read = (places - 1).saturating_mul(stride[axis]).saturating_add(reach);
                let total = read.saturating_sub(input[axis]);
                (total / 2, total - total / 2)
            }
        })
    }

    /// Height and width of an image in the file.
    fn space(&self, tensor: usize) -> Imported<[usize; 2]> {
        match self.shape(tensor)[..] {
            [_, height, width, _] => Ok([height, width]),
            ref other => Err(format!("an image is {other:?}, expected four axes").into()),
        }
    }

    fn bias(&mut self, operator: &Operator, position: usize) -> Imported<Option<NodeId>> {
        match operator.input(position) {
            Some(bias) => Ok(Some(self.tensor(bias)?)),
            None => Ok(None),
        }
    }

    fn convolution(&mut self, operator: &Operator, conv: &Conv2d, depthwise: bool) -> Imported {
        let (x, weight) = (Self::input(operator, 0)?, Self::input(operator, 1)?);
        let [rows, height, width, columns] = self.shape(weight)[..] else {
            return Err(format!("the weights are {:?}", self.shape(weight)).into());
        };
        let input = self.space(x)?;
        let channels = self.shape(x)[3];
        let (axes, groups) = if depthwise {
            // [1, height, width, channels_out] → [channels_out, 1, height, width]
            if rows != 1 {
                return Err(format!("depthwise weights of {rows} rows, expected 1").into());
            }
            ([3, 0, 1, 2], channels)
        } else {
            if columns == 0 || !channels.is_multiple_of(columns) {
                return Err(format!("{channels} channels for weights of {columns}").into());
            }
            ([0, 3, 1, 2], channels / columns)
        };
        let padding = Self::same(conv.padding, input, [height, width], conv.stride, conv.dilation);
        let op = Op::Conv2d { stride: conv.stride, padding, dilation: conv.dilation, groups };
        let mut inputs = vec![self.tensor(x)?, self.constant(weight, Some(&axes), None)?];
        inputs.extend(self.bias(operator, 2)?);
        let id = self.push(&self.output_name(operator), op, inputs);
        self.finish(operator, id, conv.activation)
    }

    fn transposed(
        &mut self,
        operator: &Operator,
        padding: Padding,
        stride: [usize; 2],
        activation: FusedActivation,
    ) -> Imported {
        let (weight, x) = (Self::input(operator, 1)?, Self::input(operator, 2)?);
        let (input, output) = (self.space(x)?, self.space(Self::output(operator)?)?);
        let [_, height, width, _] = self.shape(weight)[..] else {
            return Err(format!("the weights are {:?}", self.shape(weight)).into());
        };
        let mut padding_out = [0; 2];
        let mut ranges = vec![Range { start: 0, end: None, step: 1 }; 4];
        for (axis, kernel) in [height, width].into_iter().enumerate() {
            let whole =
                (input[axis].max(1) - 1).saturating_mul(stride[axis]).saturating_add(kernel);
            padding_out[axis] = output[axis].saturating_sub(whole);
            let cut = whole.saturating_sub(output[axis]);
            let before = if padding == Padding::Same { cut / 2 } else { 0 };
            if cut > 0 {
                let end = Some(before.saturating_add(output[axis]));
                ranges[axis + 2] = Range { start: before, end, step: 1 };
            }
        }
        let op = Op::ConvTranspose2d {
            stride,
            padding: [0, 0],
            padding_out,
            dilation: [1, 1],
            groups: 1,
        };
        // [channels_out, height, width, channels_in] → [channels_in, channels_out, height, width]
        let mut inputs = vec![self.tensor(x)?, self.constant(weight, Some(&[3, 0, 1, 2]), None)?];
        inputs.extend(self.bias(operator, 3)?);
        let mut id = self.push(&self.output_name(operator), op, inputs);
        if ranges.iter().any(|range| range.end.is_some()) {
            id = self.push("", Op::Slice { ranges }, vec![id]);
        }
        self.finish(operator, id, activation)
    }

    fn fully_connected(
        &mut self,
        operator: &Operator,
        activation: FusedActivation,
        keep_num_dims: bool,
    ) -> Imported {
        let (x, weight) = (Self::input(operator, 0)?, Self::input(operator, 1)?);
        let features = match self.shape(weight)[..] {
            [_, features] if features > 0 => features,
            ref other => return Err(format!("the weights are {other:?}").into()),
        };
        let output = Self::output(operator)?;
        let mut id = self.tensor(x)?;
        let mut rank = self.rank(x);
        if rank == 4 {
            id = self.push("", Op::Permute { axes: TO_HERE.to_vec() }, vec![id]);
        }
        if !keep_num_dims && rank != 2 {
            let elements: usize = self.shape(x).iter().product();
            let rows = elements / features;
            let first = if rows.is_multiple_of(self.batch) {
                Dim::Batch(rows / self.batch)
            } else {
                Dim::Fixed(rows)
            };
            let shape = vec![first, Dim::Fixed(features)];
            id = self.push("", Op::Reshape { shape }, vec![id]);
            rank = 2;
        }
        let mut inputs = vec![id, self.constant(weight, Some(&[1, 0]), None)?];
        inputs.extend(self.bias(operator, 2)?);
        let mut id = self.push(&self.output_name(operator), Op::Linear, inputs);
        if rank == 4 && self.rank(output) == 4 {
            id = self.push("", Op::Permute { axes: FROM_THERE.to_vec() }, vec![id]);
        } else if rank != self.rank(output) {
            return unsupported("another number of axes in the output");
        }
        self.finish(operator, id, activation)
    }

    fn pool(&mut self, operator: &Operator, pool: &Pool2d, average: bool) -> Imported {
        let x = Self::input(operator, 0)?;
        let input = self.space(x)?;
        let sides = Self::same(pool.padding, input, pool.filter, pool.stride, [1, 1]);
        let even = sides.iter().all(|(before, after)| before == after);
        let mut id = self.tensor(x)?;
        if !even {
            // Zeros do not count in a mean, and nothing is less than the least number.
            let value = if average { 0.0 } else { f64::from(f32::MIN) };
            let padding = vec![(0, 0), (0, 0), sides[0], sides[1]];
            id = self.push("", Op::Pad { padding, value }, vec![id]);
        }
        let window = Pool {
            kernel: pool.filter,
            stride: pool.stride,
            padding: if even { [sides[0].0, sides[1].0] } else { [0, 0] },
            dilation: [1, 1],
            ceil_mode: false,
        };
        let op = if average {
            Op::AvgPool2d { pool: window, count_include_pad: !even }
        } else {
            Op::MaxPool2d(window)
        };
        let mut id = self.push(&self.output_name(operator), op, vec![id]);
        if average && !even {
            // What is read of each window is a product of rows and columns.
            for (axis, length) in self.space(Self::output(operator)?)?.into_iter().enumerate() {
                if length > MOST_SIDE {
                    return unsupported(format!("an image of {length} rows or columns"));
                }
                let share = |place: usize| {
                    let start = (place * pool.stride[axis]) as i64 - sides[axis].0 as i64;
                    let end = (start + pool.filter[axis] as i64).min(input[axis] as i64);
                    pool.filter[axis] as f32 / (end - start.max(0)).max(1) as f32
                };
                let mut shape = [1; 4];
                shape[axis + 2] = length;
                let data = TensorData::new((0..length).map(share).collect::<Vec<f32>>(), shape);
                let shares = self.push("", Op::Constant, Vec::new());
                let node = self.graph.nodes.get_mut(&shares).expect("just added");
                node.shape = fixed(data.shape());
                let weight = Weight { data, role: Role::Constant, id: 0, containers: Vec::new() };
                self.graph.weights.insert(shares, Arc::new(weight));
                id = self.push("", Op::Binary(Binary::Mul), vec![id, shares]);
            }
        }
        self.finish(operator, id, pool.activation)
    }

    fn binary(&mut self, operator: &Operator, op: Binary, activation: FusedActivation) -> Imported {
        let output = Self::output(operator)?;
        let rank = self.rank(output);
        let mut inputs = Vec::new();
        for position in 0..2 {
            let tensor = Self::input(operator, position)?;
            let of_input = self.rank(tensor);
            inputs.push(if of_input == rank || rank < 4 && of_input < 4 {
                self.tensor(tensor)?
            } else if self.file.tensors[tensor].data.is_some() && of_input < 4 && rank == 4 {
                // Along the channels, which are last there.
                let mut shape = vec![1; 4 - of_input];
                shape.extend(self.shape(tensor));
                let turned = FROM_THERE.map(|there| shape[there]);
                if shape[1..3].iter().any(|&length| length != 1) {
                    return unsupported("a constant along the space of an image");
                }
                self.constant(tensor, None, Some(turned.to_vec()))?
            } else {
                return unsupported(format!("{of_input} axes with {rank}"));
            });
        }
        let id = self.push(&self.output_name(operator), Op::Binary(op), inputs);
        self.finish(operator, id, activation)
    }

    /// The same elements, in the file's order.
    fn reshape(&mut self, x: usize, output: usize) -> Imported<NodeId> {
        let (from, to) = (self.shape(x), self.shape(output));
        let mut id = self.tensor(x)?;
        let is_column = |shape: &[usize]| match shape {
            [_, height, width, channels] => *channels == 1 || height * width == 1,
            _ => true,
        };
        // Of one channel, or one place, both orders are the same.
        let (from_same, to_same) = (is_column(&from), is_column(&to));
        if from.len() == 4 && !from_same {
            id = self.push("", Op::Permute { axes: TO_HERE.to_vec() }, vec![id]);
        }
        let name = self.file.tensors[output].name.clone();
        if to.len() == 4 && !to_same {
            let mut shape = fixed(&to);
            shape[0] = self.dims(output)[0];
            let id = self.push("", Op::Reshape { shape }, vec![id]);
            return Ok(self.push(&name, Op::Permute { axes: FROM_THERE.to_vec() }, vec![id]));
        }
        Ok(self.push(&name, Op::Reshape { shape: self.dims(output) }, vec![id]))
    }

    fn resize(&mut self, operator: &Operator, resize: Resize, mode: Interpolation) -> Imported {
        let x = Self::input(operator, 0)?;
        let is_known = match mode {
            Interpolation::Bilinear => resize.align_corners != resize.half_pixel_centers,
            _ => !resize.align_corners,
        };
        if !is_known {
            return unsupported("pixels neither at their corners nor at their centres");
        }
        let output = self.space(Self::output(operator)?)?;
        let id = self.tensor(x)?;
        let op = Op::Interpolate { output, mode, align_corners: resize.align_corners };
        let id = self.push(&self.output_name(operator), op, vec![id]);
        self.finish(operator, id, FusedActivation::None)
    }
}
