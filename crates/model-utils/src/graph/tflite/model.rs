//! A TensorFlow Lite model: what a `.tflite` file says of its tensors and operators.
//!
//! The slots and numbers are those of version 3 of
//! [`schema.fbs`](https://github.com/tensorflow/tflite-micro/blob/6cdf0d78a68f33fe452f051713aa218619285438/tensorflow/lite/schema/schema.fbs).
//! The contents of tensors are not copied: a [`Tensor`] knows where they lie in the file. A model
//! that parses is consistent: every index leads somewhere, constants have the length that their
//! shape and type demand, quantization fits the shape, and operators stand in an order in which
//! they can run. What a kernel demands of its inputs (their number, types and shapes) is not
//! checked here.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use super::reader::{Field, FlatBuffer, ReadError, Result, Scalar, Table};

/// The identifier of TensorFlow Lite files, bytes 4 to 8.
const IDENTIFIER: [u8; 4] = *b"TFL3";

/// The version of the schema that is read.
const SCHEMA_VERSION: u32 = 3;

/// The index that stands for an input that is left out.
const ABSENT: i32 = -1;

/// The builtin number of custom operators.
const CUSTOM: i32 = 32;

/// The names of the builtin operators in the order of their numbers, which start at 0.
static BUILTIN_NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    "\
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE \
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D \
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 \
RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS \
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER \
BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE \
UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT \
LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG \
PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE \
EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD \
REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV \
REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU \
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE \
RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE \
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM \
BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D \
IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL \
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS \
RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE \
RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 \
UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD \
STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP \
STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE \
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE \
STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE \
STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT \
STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT \
STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA \
STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE \
STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW \
STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT"
        .split_ascii_whitespace()
        .collect()
});

/// The schema's name of a builtin operator (`CONV_2D`); none for a number it does not know.
pub fn builtin_name(code: i32) -> Option<&'static str> {
    BUILTIN_NAMES.get(usize::try_from(code).ok()?).copied()
}

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The version of the schema: 3.
    pub version: u32,
    /// What its maker says of it, often empty or the name of the converter.
    pub description: String,
    /// The operators that it uses.
    pub operator_codes: Vec<OperatorCode>,
    /// Its graphs, at least one; the first is the model, others are bodies of control flow.
    pub subgraphs: Vec<SubGraph>,
    /// Where the contents of constants lie in the file, in bytes; empty for other tensors.
    pub buffers: Vec<Range<usize>>,
}

/// An operator that a model uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCode {
    /// Its builtin number; 32 for custom operators.
    pub builtin: i32,
    /// The name of a custom operator.
    pub custom: Option<Arc<str>>,
    /// The version of the operator, counted from 1.
    pub version: i32,
}

/// A graph: tensors and the operators between them.
#[derive(Debug, Clone, PartialEq)]
pub struct SubGraph {
    /// Its name, often empty.
    pub name: String,
    /// All tensors.
    pub tensors: Vec<Tensor>,
    /// The tensors that are put in, as indices into `tensors`.
    pub inputs: Vec<usize>,
    /// The tensors that come out, as indices into `tensors`.
    pub outputs: Vec<usize>,
    /// The operators in the order in which they run.
    pub operators: Vec<Operator>,
}

/// A tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its shape, no length negative; images are `[batch, height, width, channels]`.
    pub shape: Vec<i32>,
    /// `shape` with -1 for lengths that are not fixed; empty if the file does not say.
    pub shape_signature: Vec<i32>,
    /// The type of its elements.
    pub element: Element,
    /// Its buffer, as index into [`Model::buffers`].
    pub buffer: usize,
    /// Where its content lies in the file, in bytes: row-major, little-endian. None unless it is
    /// a constant.
    pub data: Option<Range<usize>>,
    /// Whether it keeps its value from run to run.
    pub is_variable: bool,
    /// What its integers mean.
    pub quantization: Option<Quantization>,
}

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// 16-bit float with the exponent of a 32-bit one.
    Bf16,
    /// 64-bit float.
    F64,
    /// Signed 4-bit integer, two to a byte, the first in the lower half.
    I4,
    /// Signed 8-bit integer.
    I8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// Truth value, one byte.
    Bool,
    /// Another type, by its number in the schema: strings, complex numbers, later additions.
    Other(i8),
}

/// What the integers `q` of a tensor mean: `real = scale × (q - zero_point)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantization {
    /// `[1]` or `[channels]`, finite and positive.
    pub scale: Vec<f32>,
    /// `[1]` or `[channels]`, values of the element type.
    pub zero_point: Vec<i64>,
    /// The axis of the shape that is `channels` long where there is more than one scale.
    pub quantized_dimension: usize,
}

/// One step of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// Which operator, as index into [`Model::operator_codes`].
    pub opcode_index: usize,
    /// Its builtin number; 32 for custom operators.
    pub code: i32,
    /// What it does.
    pub op: Op,
    /// What it reads, as indices into [`SubGraph::tensors`]; none where an input is left out.
    pub inputs: Vec<Option<usize>>,
    /// What it writes, as indices into [`SubGraph::tensors`].
    pub outputs: Vec<usize>,
}

/// What an operator does, with its options. Pairs are `[height, width]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// Sum with broadcasting.
    Add {
        /// What follows it.
        activation: Activation,
    },
    /// Difference with broadcasting.
    Sub {
        /// What follows it.
        activation: Activation,
    },
    /// Product with broadcasting.
    Mul {
        /// What follows it.
        activation: Activation,
    },
    /// Quotient with broadcasting.
    Div {
        /// What follows it.
        activation: Activation,
    },
    /// Convolution; weights `[out_channels, height, width, in_channels]`.
    Conv2d(Conv2d),
    /// Convolution of each channel by itself; weights `[1, height, width, out_channels]`.
    DepthwiseConv2d {
        /// The convolution.
        conv: Conv2d,
        /// Output channels of each input channel. Newer files may not tell the truth: the shape
        /// of the weights does.
        depth_multiplier: i32,
    },
    /// Transposed convolution; weights `[out_channels, height, width, in_channels]`. Its inputs
    /// are the output shape, the weights, the tensor and perhaps a bias.
    TransposeConv {
        /// How the output is cut.
        padding: Padding,
        /// The step, at least 1.
        stride: [usize; 2],
        /// What follows it.
        activation: Activation,
    },
    /// Matrix product; weights `[out_features, in_features]`.
    FullyConnected {
        /// What follows it.
        activation: Activation,
        /// Whether the weights are stored in blocks of `4 × 16`, not row by row.
        shuffled_weights: bool,
        /// Whether all but the last axis of the input are kept.
        keep_num_dims: bool,
    },
    /// Mean over windows.
    AveragePool2d(Pool2d),
    /// Maximum over windows.
    MaxPool2d(Pool2d),
    /// Softmax of `beta × x` over the last axis.
    Softmax {
        /// The factor, finite.
        beta: f32,
    },
    /// Another shape for the same elements.
    Reshape {
        /// The shape, perhaps with one -1; empty if the second input says it.
        new_shape: Vec<i32>,
    },
    /// Tensors one after another.
    Concatenation {
        /// The axis; negative ones count from the last.
        axis: i32,
        /// What follows it.
        activation: Activation,
    },
    /// Mean over the axes in the second input.
    Mean {
        /// Whether the axes stay, with length 1.
        keep_dims: bool,
    },
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, -1), 1)`.
    ReluN1To1,
    /// `max(x, alpha × x)` for `alpha` below 1.
    LeakyRelu {
        /// The slope below zero, finite.
        alpha: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Logistic,
    /// Hyperbolic tangent.
    Tanh,
    /// `x × min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// Zeros around a tensor; the second input says how many, `[axes, 2]`.
    Pad,
    /// Takes out axes of length 1.
    Squeeze {
        /// Which; negative ones count from the last. Empty for all.
        squeeze_dims: Vec<i32>,
    },
    /// Axes in the order that the second input says.
    Transpose,
    /// To integers, or from one scale to another.
    Quantize,
    /// From integers or half floats to floats.
    Dequantize,
    /// Bilinear interpolation to the height and width in the second input.
    ResizeBilinear(Resize),
    /// The nearest pixel, for the height and width in the second input.
    ResizeNearestNeighbor(Resize),
    /// A custom operator by name. Its options are not read.
    Custom(Arc<str>),
    /// A builtin operator whose options are not read, by number.
    Other(i32),
}

/// The options of a convolution. Pairs are `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// What surrounds the input.
    pub padding: Padding,
    /// The step, at least 1.
    pub stride: [usize; 2],
    /// The distance between taps of the kernel, at least 1.
    pub dilation: [usize; 2],
    /// What follows it.
    pub activation: Activation,
}

/// The options of a pooling. Pairs are `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2d {
    /// What surrounds the input.
    pub padding: Padding,
    /// The step, at least 1.
    pub stride: [usize; 2],
    /// The size of the window, at least 1.
    pub filter: [usize; 2],
    /// What follows it.
    pub activation: Activation,
}

/// The options of a change of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// Whether the centres of the corner pixels stay where they are.
    pub align_corners: bool,
    /// Whether pixel `i` lies at `i + 0.5`.
    pub half_pixel_centers: bool,
}

/// What surrounds the input of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// Enough that the output is `ceil(input / stride)` long, the odd one at the end.
    Same,
    /// Nothing.
    Valid,
}

/// What follows an operator within the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, -1), 1)`.
    ReluN1To1,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// Hyperbolic tangent.
    Tanh,
    /// The sign bit.
    SignBit,
}

impl Model {
    /// Reads the content of a `.tflite` file.
    ///
    /// # Errors
    ///
    /// If it is not a TensorFlow Lite file of version 3, or inconsistent (see the module), or uses
    /// sparse tensors or quantization by other means than scale and zero point.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let flat = FlatBuffer::new(file, IDENTIFIER)?;
        let root = flat.root()?;
        let version = root.scalar(Field(0, "version"), 0)?;
        if version != SCHEMA_VERSION {
            let reason = format!("schema version {version}, expected {SCHEMA_VERSION}");
            return Err(root.error(reason));
        }
        let buffers = root.tables(Field(4, "buffers"), |index, table| {
            parse_buffer(table, file.len()).map_err(|e| e.within(format_args!("buffer {index}")))
        })?;
        let operator_codes = root.tables(Field(1, "operator codes"), |index, table| {
            OperatorCode::parse(table).map_err(|e| e.within(format_args!("operator code {index}")))
        })?;
        let subgraphs = root.tables(Field(2, "subgraphs"), |index, table| {
            SubGraph::parse(table, &operator_codes, &buffers)
                .map_err(|e| e.within(format_args!("subgraph {index}")))
        })?;
        if subgraphs.is_empty() {
            return Err(root.error("no subgraphs, expected at least one"));
        }
        let description = root.string(Field(3, "description"))?.unwrap_or_default();
        Ok(Self { version, description, operator_codes, subgraphs, buffers })
    }
}

/// Where the content of a buffer lies in a file of `file_bytes` bytes.
fn parse_buffer(table: Table<'_>, file_bytes: usize) -> Result<Range<usize>> {
    // Files above 2 GB keep contents behind the flatbuffer; positions 0 and 1 say that this one
    // does not.
    let start: u64 = table.scalar(Field(1, "offset"), 0)?;
    if start <= 1 {
        return table.byte_range(Field(0, "data"));
    }
    let bytes: u64 = table.scalar(Field(2, "size"), 0)?;
    usize::try_from(start)
        .ok()
        .and_then(|start| Some(start..start.checked_add(usize::try_from(bytes).ok()?)?))
        .filter(|range| range.end <= file_bytes)
        .ok_or_else(|| {
            let reason = format!("{bytes} bytes at {start}, the file ends at {file_bytes}");
            table.error(reason)
        })
}

impl OperatorCode {
    fn parse(table: Table<'_>) -> Result<Self> {
        // Numbers from 127 on stand in the second field only, older files have only the first.
        let old: i8 = table.scalar(Field(0, "deprecated builtin code"), 0)?;
        let new: i32 = table.scalar(Field(3, "builtin code"), 0)?;
        let builtin = new.max(i32::from(old));
        if builtin < 0 {
            return Err(table.error(format!("builtin code {builtin}, expected 0 or more")));
        }
        let custom = table.string(Field(1, "custom code"))?.map(Arc::from);
        if builtin == CUSTOM && custom.is_none() {
            return Err(table.error("a custom operator without a name"));
        }
        let version = table.scalar(Field(2, "version"), 1)?;
        Ok(Self { builtin, custom, version })
    }

    /// Its name, for messages: the schema's for builtin operators, its own for custom ones.
    pub fn name(&self) -> Cow<'_, str> {
        match (&self.custom, builtin_name(self.builtin)) {
            (Some(custom), _) if self.builtin == CUSTOM => Cow::Borrowed(custom),
            (_, Some(name)) => Cow::Borrowed(name),
            (_, None) => Cow::Owned(format!("builtin operator {}", self.builtin)),
        }
    }
}

impl SubGraph {
    fn parse(table: Table<'_>, codes: &[OperatorCode], buffers: &[Range<usize>]) -> Result<Self> {
        let name = table.string(Field(4, "name"))?.unwrap_or_default();
        let tensors = table.tables(Field(0, "tensors"), |index, table| {
            Tensor::parse(table, buffers).map_err(|e| e.within(format_args!("tensor {index}")))
        })?;
        let inputs = indices(table, Field(1, "inputs"), tensors.len())?;
        let outputs = indices(table, Field(2, "outputs"), tensors.len())?;
        let mut values = Values::new(&tensors, &inputs);
        let operators = table.tables(Field(3, "operators"), |index, table| {
            let operator = Operator::parse(table, codes, tensors.len())
                .map_err(|e| e.within(format_args!("operator {index}")))?;
            values.run(&operator).map_err(|reason| {
                let error = table.error(reason).within(operator.name());
                error.within(format_args!("operator {index}"))
            })?;
            Ok(operator)
        })?;
        if let Some(output) = outputs.iter().find(|&&tensor| !values.is_known(tensor)) {
            let reason = format!("outputs: no operator writes tensor {output}");
            return Err(table.error(reason));
        }
        Ok(Self { name, tensors, inputs, outputs, operators })
    }
}

/// Which tensors of a graph have a value by the time an operator runs.
struct Values {
    /// For each tensor, whether it has a value.
    known: Vec<bool>,
    /// For each tensor, whether an operator may still write it.
    writable: Vec<bool>,
}

impl Values {
    /// Before the first operator: constants, variables, inputs and tensors without elements.
    fn new(tensors: &[Tensor], inputs: &[usize]) -> Self {
        let mut known: Vec<_> = tensors
            .iter()
            .map(|tensor| tensor.data.is_some() || tensor.is_variable || tensor.elements() == 0)
            .collect();
        let mut writable: Vec<_> = tensors.iter().map(|tensor| tensor.data.is_none()).collect();
        for &input in inputs {
            set(&mut known, input, true);
            set(&mut writable, input, false);
        }
        Self { known, writable }
    }

    fn is_known(&self, tensor: usize) -> bool {
        self.known.get(tensor) == Some(&true)
    }

    /// Goes past an operator, or says why it cannot run here.
    fn run(&mut self, operator: &Operator) -> Result<(), String> {
        let mut inputs = operator.inputs.iter().flatten();
        if let Some(input) = inputs.find(|&&input| !self.is_known(input)) {
            return Err(format!("reads tensor {input}, which has no value yet"));
        }
        for &output in &operator.outputs {
            if self.writable.get(output) != Some(&true) {
                return Err(format!(
                    "writes tensor {output}, which is a constant, an input or written before"
                ));
            }
            set(&mut self.known, output, true);
            set(&mut self.writable, output, false);
        }
        Ok(())
    }
}

/// Sets an item if there is one.
fn set(items: &mut [bool], index: usize, value: bool) {
    if let Some(item) = items.get_mut(index) {
        *item = value;
    }
}

/// A vector of indices below `count`.
fn indices(table: Table<'_>, field: Field, count: usize) -> Result<Vec<usize>> {
    table.scalars::<i32>(field)?.into_iter().map(|i| index(table, field, i, count)).collect()
}

/// An index of a field, checked to lie below `count`.
fn index(
    table: Table<'_>,
    Field(_, name): Field,
    index: impl TryInto<usize> + fmt::Display + Copy,
    count: usize,
) -> Result<usize> {
    let inside = index.try_into().ok().filter(|&index| index < count);
    inside.ok_or_else(|| table.error(format!("{name}: index {index}, expected below {count}")))
}

impl Tensor {
    fn parse(table: Table<'_>, buffers: &[Range<usize>]) -> Result<Self> {
        let name = table.string(Field(3, "name"))?.unwrap_or_default();
        match Self::parse_unnamed(table, buffers) {
            Ok(tensor) => Ok(Self { name, ..tensor }),
            Err(error) => Err(error.within(format_args!("`{name}`"))),
        }
    }

    /// All but the name.
    fn parse_unnamed(table: Table<'_>, buffers: &[Range<usize>]) -> Result<Self> {
        let shape: Vec<i32> = table.scalars(Field(0, "shape"))?;
        if shape.iter().any(|&length| length < 0) {
            return Err(table.error(format!("shape {shape:?}, expected no negative length")));
        }
        let shape_signature: Vec<i32> = table.scalars(Field(7, "shape signature"))?;
        let same_rank = shape_signature.is_empty() || shape_signature.len() == shape.len();
        if !same_rank || shape_signature.iter().any(|&length| length < -1) {
            let reason = format!(
                "shape signature {shape_signature:?} of shape {shape:?}, expected as many lengths \
                 of -1 or more"
            );
            return Err(table.error(reason));
        }
        let Some(elements) = count(&shape) else {
            return Err(table.error(format!("shape {shape:?}: too many elements")));
        };
        let element = Element::from_number(table.scalar(Field(1, "type"), 0)?);
        let field = Field(2, "buffer");
        let buffer: u32 = table.scalar(field, 0)?;
        let buffer = index(table, field, buffer, buffers.len())?;
        let data = buffers.get(buffer).filter(|range| !range.is_empty()).cloned();
        if let (Some(data), Some(expected)) = (&data, element.bytes(elements))
            && data.len() != expected
        {
            return Err(table.error(format!(
                "{} bytes in buffer {buffer}, expected {expected} for {element} {shape:?}",
                data.len()
            )));
        }
        if table.has(Field(6, "sparsity"))? {
            return Err(table.error("sparse, which is not supported"));
        }
        let is_variable = table.flag(Field(5, "variable"))?;
        let quantization = match table.table(Field(4, "quantization"))? {
            Some(quantization) => Quantization::parse(quantization, &shape, element)
                .map_err(|error| error.within("quantization"))?,
            None => None,
        };
        Ok(Self {
            name: String::new(),
            shape,
            shape_signature,
            element,
            buffer,
            data,
            is_variable,
            quantization,
        })
    }

    /// The number of its elements, 1 for a scalar.
    pub fn elements(&self) -> usize {
        count(&self.shape).unwrap_or(usize::MAX)
    }

    /// The content of a constant, taken from the file that the model was read from.
    pub fn content<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        file.get(self.data.clone()?)
    }
}

/// The number of elements of a shape; none if a length is negative or the product too large.
fn count(shape: &[i32]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &length| product.checked_mul(usize::try_from(length).ok()?))
}

impl Element {
    /// The type of a number of the schema.
    pub fn from_number(number: i8) -> Self {
        match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::I32,
            3 => Self::U8,
            4 => Self::I64,
            6 => Self::Bool,
            7 => Self::I16,
            9 => Self::I8,
            10 => Self::F64,
            12 => Self::U64,
            15 => Self::U32,
            16 => Self::U16,
            17 => Self::I4,
            18 => Self::Bf16,
            other => Self::Other(other),
        }
    }

    /// The length of so many elements in bytes; none for another type or too many.
    pub fn bytes(self, elements: usize) -> Option<usize> {
        match self {
            Self::I4 => Some(elements.div_ceil(2)),
            Self::I8 | Self::U8 | Self::Bool => Some(elements),
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => elements.checked_mul(2),
            Self::F32 | Self::I32 | Self::U32 => elements.checked_mul(4),
            Self::F64 | Self::I64 | Self::U64 => elements.checked_mul(8),
            Self::Other(_) => None,
        }
    }

    /// The smallest and largest integer; none if it is not an integer of at most 32 bits.
    pub fn integers(self) -> Option<(i64, i64)> {
        match self {
            Self::I4 => Some((-8, 7)),
            Self::I8 => Some((i8::MIN.into(), i8::MAX.into())),
            Self::I16 => Some((i16::MIN.into(), i16::MAX.into())),
            Self::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            Self::U8 => Some((0, u8::MAX.into())),
            Self::U16 => Some((0, u16::MAX.into())),
            Self::U32 => Some((0, u32::MAX.into())),
            _ => None,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F64 => "f64",
            Self::I4 => "i4",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Bool => "bool",
            Self::Other(5) => "string",
            Self::Other(8) => "complex64",
            Self::Other(11) => "complex128",
            Self::Other(13) => "resource",
            Self::Other(14) => "variant",
            Self::Other(number) => return write!(f, "tensor type {number}"),
        };
        f.write_str(name)
    }
}

impl Quantization {
    /// None for a table without scales: converters write one for floats, too.
    fn parse(table: Table<'_>, shape: &[i32], element: Element) -> Result<Option<Self>> {
        let details: u8 = table.scalar(Field(4, "details"), 0)?;
        if details != 0 {
            return Err(table.error("by custom details, expected scale and zero point"));
        }
        let scale: Vec<f32> = table.scalars(Field(2, "scale"))?;
        let zero_point: Vec<i64> = table.scalars(Field(3, "zero point"))?;
        if scale.is_empty() && zero_point.is_empty() {
            return Ok(None);
        }
        if let Some(bad) = scale.iter().find(|scale| !scale.is_finite() || **scale <= 0.0) {
            return Err(table.error(format!("scale {bad}, expected finite and above 0")));
        }
        if let Some((low, high)) = element.integers()
            && let Some(bad) = zero_point.iter().find(|point| !(low..=high).contains(*point))
        {
            let reason = format!("zero point {bad} of {element}, expected {low} to {high}");
            return Err(table.error(reason));
        }
        let axis: i32 = table.scalar(Field(6, "quantized dimension"), 0)?;
        let channels = usize::try_from(axis).ok().and_then(|axis| shape.get(axis));
        let channels = channels.and_then(|&channels| usize::try_from(channels).ok());
        for (what, count) in [("scales", scale.len()), ("zero points", zero_point.len())] {
            if count != 1 && Some(count) != channels {
                return Err(table.error(format!(
                    "{count} {what}, expected 1 or the length of axis {axis} of {shape:?}"
                )));
            }
        }
        // Where there is one scale, the axis has no meaning.
        let quantized_dimension = usize::try_from(axis).unwrap_or_default();
        Ok(Some(Self { scale, zero_point, quantized_dimension }))
    }

    /// The scale and zero point of a channel; none beyond the last where channels differ.
    pub fn of_channel(&self, channel: usize) -> Option<(f32, i64)> {
        let scale = self.scale.get(if self.scale.len() == 1 { 0 } else { channel });
        let zero = self.zero_point.get(if self.zero_point.len() == 1 { 0 } else { channel });
        Some((*scale?, *zero?))
    }

    /// The scale and zero point of the whole tensor; none if they differ from channel to channel.
    pub fn per_tensor(&self) -> Option<(f32, i64)> {
        match (self.scale.as_slice(), self.zero_point.as_slice()) {
            (&[scale], &[zero]) => Some((scale, zero)),
            _ => None,
        }
    }
}

impl Operator {
    fn parse(table: Table<'_>, codes: &[OperatorCode], tensors: usize) -> Result<Self> {
        let field = Field(0, "opcode");
        let opcode: u32 = table.scalar(field, 0)?;
        let opcode_index = index(table, field, opcode, codes.len())?;
        let Some(code) = codes.get(opcode_index) else {
            return Err(table.error("opcode: no such operator code"));
        };
        Self::parse_code(table, opcode_index, code, tensors)
            .map_err(|error| error.within(code.name()))
    }

    fn parse_code(
        table: Table<'_>,
        opcode_index: usize,
        code: &OperatorCode,
        tensors: usize,
    ) -> Result<Self> {
        let field = Field(1, "inputs");
        let inputs = table.scalars::<i32>(field)?.into_iter().map(|input| {
            if input == ABSENT { Ok(None) } else { index(table, field, input, tensors).map(Some) }
        });
        Ok(Self {
            opcode_index,
            code: code.builtin,
            op: Op::parse(table, code)?,
            inputs: inputs.collect::<Result<_>>()?,
            outputs: indices(table, Field(2, "outputs"), tensors)?,
        })
    }

    /// Its name, for messages: the schema's for builtin operators, its own for custom ones.
    pub fn name(&self) -> Cow<'_, str> {
        match (&self.op, builtin_name(self.code)) {
            (Op::Custom(name), _) => Cow::Borrowed(name),
            (_, Some(name)) => Cow::Borrowed(name),
            (_, None) => Cow::Owned(format!("builtin operator {}", self.code)),
        }
    }

    /// The tensor that is its input `position`; none if it is left out.
    pub fn input(&self, position: usize) -> Option<usize> {
        self.inputs.get(position).copied().flatten()
    }
}

impl Op {
    /// The options of the operator in `table`.
    fn parse(table: Table<'_>, code: &OperatorCode) -> Result<Self> {
        if code.builtin == CUSTOM {
            return Ok(Self::Custom(code.custom.clone().unwrap_or_default()));
        }
        // The numbers are those of the union `BuiltinOptions`.
        let options = |expected| Options::parse(table, expected);
        Ok(match builtin_name(code.builtin).unwrap_or_default() {
            "ADD" => Self::Add { activation: options(11)?.activation(0)? },
            "SUB" => Self::Sub { activation: options(28)?.activation(0)? },
            "MUL" => Self::Mul { activation: options(21)?.activation(0)? },
            "DIV" => Self::Div { activation: options(29)?.activation(0)? },
            "CONV_2D" => Self::Conv2d(options(1)?.conv2d(3, 4)?),
            "DEPTHWISE_CONV_2D" => {
                let options = options(2)?;
                Self::DepthwiseConv2d {
                    conv: options.conv2d(4, 5)?,
                    depth_multiplier: options.scalar(Field(3, "depth multiplier"), 0)?,
                }
            }
            "TRANSPOSE_CONV" => {
                let options = options(49)?;
                Self::TransposeConv {
                    padding: options.padding()?,
                    stride: options.pair(2, 1, "stride", 0)?,
                    activation: options.activation(3)?,
                }
            }
            "FULLY_CONNECTED" => {
                let options = options(8)?;
                Self::FullyConnected {
                    activation: options.activation(0)?,
                    shuffled_weights: match options.scalar(Field(1, "weights format"), 0i8)? {
                        0 => false,
                        1 => true,
                        other => return Err(options.unknown("weights format", other)),
                    },
                    keep_num_dims: options.flag(Field(2, "keep number of axes"))?,
                }
            }
            "AVERAGE_POOL_2D" => Self::AveragePool2d(options(5)?.pool2d()?),
            "MAX_POOL_2D" => Self::MaxPool2d(options(5)?.pool2d()?),
            "SOFTMAX" => Self::Softmax { beta: options(9)?.finite(Field(0, "beta"))? },
            "RESHAPE" => Self::Reshape { new_shape: options(17)?.scalars(Field(0, "new shape"))? },
            "CONCATENATION" => {
                let options = options(10)?;
                let axis = options.scalar(Field(0, "axis"), 0)?;
                Self::Concatenation { axis, activation: options.activation(1)? }
            }
            "MEAN" => Self::Mean { keep_dims: options(27)?.flag(Field(0, "keep dimensions"))? },
            "RELU" => Self::Relu,
            "RELU6" => Self::Relu6,
            "RELU_N1_TO_1" => Self::ReluN1To1,
            "LEAKY_RELU" => Self::LeakyRelu { alpha: options(75)?.finite(Field(0, "alpha"))? },
            "LOGISTIC" => Self::Logistic,
            "TANH" => Self::Tanh,
            "HARD_SWISH" => Self::HardSwish,
            "PAD" => Self::Pad,
            "SQUEEZE" => {
                Self::Squeeze { squeeze_dims: options(30)?.scalars(Field(0, "dimensions"))? }
            }
            "TRANSPOSE" => Self::Transpose,
            "QUANTIZE" => Self::Quantize,
            "DEQUANTIZE" => Self::Dequantize,
            "RESIZE_BILINEAR" => Self::ResizeBilinear(options(15)?.resize(2, 3)?),
            "RESIZE_NEAREST_NEIGHBOR" => Self::ResizeNearestNeighbor(options(74)?.resize(0, 1)?),
            _ => Self::Other(code.builtin),
        })
    }
}

/// The options of an operator, all absent where a file leaves the table out.
struct Options<'a> {
    /// The operator, for errors.
    operator: Table<'a>,
    table: Option<Table<'a>>,
}

impl<'a> Options<'a> {
    /// The options of an operator, which are to be of variant `expected`.
    fn parse(operator: Table<'a>, expected: u8) -> Result<Self> {
        let table = match operator.union(Field(3, "options"))? {
            Some((variant, table)) if variant == expected => Some(table),
            Some((variant, _)) => {
                let reason = format!("options of variant {variant}, expected {expected}");
                return Err(operator.error(reason));
            }
            None => None,
        };
        Ok(Self { operator, table })
    }

    /// An error for a number that the schema does not know.
    fn unknown(&self, what: &str, number: i8) -> ReadError {
        self.operator.error(format!("{what} {number} is not known"))
    }

    fn scalar<T: Scalar>(&self, field: Field, default: T) -> Result<T> {
        self.table.map_or(Ok(default), |table| table.scalar(field, default))
    }

    fn scalars<T: Scalar>(&self, field: Field) -> Result<Vec<T>> {
        self.table.map_or(Ok(Vec::new()), |table| table.scalars(field))
    }

    fn flag(&self, field: Field) -> Result<bool> {
        self.table.map_or(Ok(false), |table| table.flag(field))
    }

    /// A finite number that must be there with the table.
    fn finite(&self, field: Field) -> Result<f32> {
        if self.table.is_none() {
            return Err(self.operator.error(format!("no options, expected {}", field.1)));
        }
        let number: f32 = self.scalar(field, 0.0)?;
        if number.is_finite() {
            Ok(number)
        } else {
            Err(self.operator.error(format!("{} {number}, expected a finite number", field.1)))
        }
    }

    /// A pair `[height, width]` of numbers of at least 1.
    fn pair(
        &self,
        height: u16,
        width: u16,
        name: &'static str,
        default: i32,
    ) -> Result<[usize; 2]> {
        let get = |slot| {
            let number = self.scalar(Field(slot, name), default)?;
            usize::try_from(number)
                .ok()
                .filter(|&number| number > 0)
                .ok_or_else(|| self.operator.error(format!("{name} {number}, expected at least 1")))
        };
        Ok([get(height)?, get(width)?])
    }

    fn padding(&self) -> Result<Padding> {
        match self.scalar(Field(0, "padding"), 0i8)? {
            0 => Ok(Padding::Same),
            1 => Ok(Padding::Valid),
            other => Err(self.unknown("padding", other)),
        }
    }

    fn activation(&self, slot: u16) -> Result<Activation> {
        match self.scalar(Field(slot, "activation"), 0i8)? {
            0 => Ok(Activation::None),
            1 => Ok(Activation::Relu),
            2 => Ok(Activation::ReluN1To1),
            3 => Ok(Activation::Relu6),
            4 => Ok(Activation::Tanh),
            5 => Ok(Activation::SignBit),
            other => Err(self.unknown("activation", other)),
        }
    }

    /// A convolution; the slots differ between the kinds.
    fn conv2d(&self, activation: u16, dilation_width: u16) -> Result<Conv2d> {
        Ok(Conv2d {
            padding: self.padding()?,
            stride: self.pair(2, 1, "stride", 0)?,
            dilation: self.pair(dilation_width + 1, dilation_width, "dilation", 1)?,
            activation: self.activation(activation)?,
        })
    }

    fn pool2d(&self) -> Result<Pool2d> {
        Ok(Pool2d {
            padding: self.padding()?,
            stride: self.pair(2, 1, "stride", 0)?,
            filter: self.pair(4, 3, "filter", 0)?,
            activation: self.activation(5)?,
        })
    }

    fn resize(&self, align: u16, half: u16) -> Result<Resize> {
        Ok(Resize {
            align_corners: self.flag(Field(align, "align corners"))?,
            half_pixel_centers: self.flag(Field(half, "half pixel centers"))?,
        })
    }
}
