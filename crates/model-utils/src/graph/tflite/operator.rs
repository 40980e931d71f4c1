//! The operators of a TensorFlow Lite model, and the options of those that are known.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use super::reader::{Field, ReadError, Result, Scalar, Table};

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

impl OperatorCode {
    pub(super) fn parse(table: Table<'_>) -> Result<Self> {
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

/// One step of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// Which operator, as index into [`Model::operator_codes`](super::model::Model::operator_codes).
    pub opcode_index: usize,
    /// Its builtin number; 32 for custom operators.
    pub code: i32,
    /// What it does.
    pub op: Op,
    /// What it reads, as indices into [`SubGraph::tensors`](super::model::SubGraph::tensors); none where an input is left out.
    pub inputs: Vec<Option<usize>>,
    /// What it writes, as indices into [`SubGraph::tensors`](super::model::SubGraph::tensors).
    pub outputs: Vec<usize>,
}

/// What an operator does, with its options. Pairs are `[height, width]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// Sum with broadcasting.
    Add {
        /// What follows it.
        activation: FusedActivation,
    },
    /// Difference with broadcasting.
    Sub {
        /// What follows it.
        activation: FusedActivation,
    },
    /// Product with broadcasting.
    Mul {
        /// What follows it.
        activation: FusedActivation,
    },
    /// Quotient with broadcasting.
    Div {
        /// What follows it.
        activation: FusedActivation,
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
        activation: FusedActivation,
    },
    /// Matrix product; weights `[out_features, in_features]`.
    FullyConnected {
        /// What follows it.
        activation: FusedActivation,
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
        activation: FusedActivation,
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
    pub activation: FusedActivation,
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
    pub activation: FusedActivation,
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
pub enum FusedActivation {
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

impl Operator {
    pub(super) fn parse(table: Table<'_>, codes: &[OperatorCode], tensors: usize) -> Result<Self> {
        let field = Field(0, "opcode");
        let opcode: u32 = table.scalar(field, 0)?;
        let opcode_index = table.index(field, opcode, codes.len())?;
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
            if input == ABSENT { Ok(None) } else { table.index(field, input, tensors).map(Some) }
        });
        Ok(Self {
            opcode_index,
            code: code.builtin,
            op: Op::parse(table, code)?,
            inputs: inputs.collect::<Result<_>>()?,
            outputs: table.indices(Field(2, "outputs"), tensors)?,
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

    fn activation(&self, slot: u16) -> Result<FusedActivation> {
        match self.scalar(Field(slot, "activation"), 0i8)? {
            0 => Ok(FusedActivation::None),
            1 => Ok(FusedActivation::Relu),
            2 => Ok(FusedActivation::ReluN1To1),
            3 => Ok(FusedActivation::Relu6),
            4 => Ok(FusedActivation::Tanh),
            5 => Ok(FusedActivation::SignBit),
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
