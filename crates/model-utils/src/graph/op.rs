use burn::tensor::DType;
use serde::{Deserialize, Serialize};

use super::Dim;
use crate::layers::Activation;
use crate::ops::FakeQuantize;

/// What a node computes, with its attributes. The operands are the node's inputs, in the order
/// that each variant states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Op {
    /// A tensor that the caller gives.
    Input,
    /// A tensor of the module, with its path as the node's name.
    Parameter,
    /// A tensor that is part of the computation, not of the module.
    Constant,
    /// A tensor of equal values.
    Full {
        /// The value.
        #[serde(with = "crate::number")]
        value: f64,
        /// The shape.
        shape: Vec<Dim>,
        /// What it holds.
        kind: ElementKind,
    },

    /// Inputs: x `[batch, channels_in, length]`, weight `[channels_out, channels_in / groups,
    /// kernel]`, optionally a bias `[channels_out]`.
    Conv1d {
        /// Step of the window.
        stride: usize,
        /// Zeros before the first and after the last place.
        padding: (usize, usize),
        /// Distance between the kernel's taps.
        dilation: usize,
        /// Groups of channels that do not see each other.
        groups: usize,
    },
    /// Inputs: x `[batch, channels_in, height, width]`, weight `[channels_out, channels_in /
    /// groups, height, width]`, optionally a bias `[channels_out]`.
    Conv2d {
        /// Step of the window, down and to the right.
        stride: [usize; 2],
        /// Zeros `(top, bottom)` and `(left, right)`.
        padding: [(usize, usize); 2],
        /// Distance between the kernel's taps.
        dilation: [usize; 2],
        /// Groups of channels that do not see each other.
        groups: usize,
    },
    /// Inputs: x `[batch, channels_in, height, width]`, weight `[channels_in, channels_out /
    /// groups, height, width]`, optionally a bias `[channels_out]`.
    ConvTranspose2d {
        /// Step of the window in the output.
        stride: [usize; 2],
        /// Rows and columns cut off each side of the output.
        padding: [usize; 2],
        /// Rows and columns added at the end of the output.
        padding_out: [usize; 2],
        /// Distance between the kernel's taps.
        dilation: [usize; 2],
        /// Groups of channels that do not see each other.
        groups: usize,
    },
    /// Inputs: x `[…, features_in]`, weight `[features_in, features_out]`, optionally a bias
    /// `[features_out]`.
    Linear,
    /// Inputs: a `[…, n, k]`, b `[…, k, m]`.
    MatMul,
    /// Inputs: x `[batch, channels, …]`, then scale, shift, running mean and running variance,
    /// `[channels]` each.
    BatchNorm {
        /// Added to the variance.
        #[serde(with = "crate::number")]
        epsilon: f64,
        /// Share of the newest batch in the running statistics.
        #[serde(with = "crate::number")]
        momentum: f64,
        /// Whether it takes the statistics of the batch where the module trains.
        training: bool,
    },
    /// Rounds to the real numbers that integers stand for, with a gradient that ignores the
    /// rounding. Inputs: x, scale and zero point, `[1]` each, or one for each place of the axis.
    FakeQuantize(FakeQuantize),
    /// Normalises the last axis. Inputs: x `[…, features]`, scale `[features]`, optionally a
    /// shift `[features]`.
    LayerNorm {
        /// Added to the variance.
        #[serde(with = "crate::number")]
        epsilon: f64,
    },
    /// Inputs: table `[rows, features]`, indices `[batch, length]`.
    Embedding,
    /// softmax(q·kᵀ·scale)·v. Inputs: q, k, v `[batch, heads, length, features]`, then a mask
    /// (true hides) where `mask`, then a bias on the scores where `bias`.
    Attention {
        /// On the scores; 1/√features where it is `None`.
        #[serde(with = "crate::number::option")]
        scale: Option<f64>,
        /// Scores are bounded to ± this by a tanh.
        #[serde(with = "crate::number::option")]
        softcap: Option<f64>,
        /// Whether later places are hidden.
        causal: bool,
        /// Whether there is a mask.
        mask: bool,
        /// Whether there is a bias.
        bias: bool,
    },

    /// The largest value of each window. Input: `[batch, channels, height, width]`.
    MaxPool2d(Pool),
    /// The mean of each window. Input: `[batch, channels, height, width]`.
    AvgPool2d {
        /// The window; its dilation is 1.
        pool: Pool,
        /// Whether zeros of the padding count.
        count_include_pad: bool,
    },
    /// The mean of `output` windows that cover the input.
    AdaptiveAvgPool2d {
        /// Height and width of the output.
        output: [usize; 2],
    },
    /// The mean over space: `[batch, channels, height, width]` → `[batch, channels]`.
    GlobalAvgPool,
    /// Resizes `[batch, channels, height, width]`.
    Interpolate {
        /// Height and width of the output.
        output: [usize; 2],
        /// How values between pixels are found.
        mode: Interpolation,
        /// Whether the corners of input and output are the same points.
        align_corners: bool,
    },

    /// A function of each element.
    Activation(Activation),
    /// max(x, 0) + slope·min(x, 0). Inputs: x, slopes.
    PRelu,
    /// min(max(alpha·x + beta, 0), 1)
    HardSigmoid {
        /// The slope.
        #[serde(with = "crate::number")]
        alpha: f64,
        /// The value at 0.
        #[serde(with = "crate::number")]
        beta: f64,
    },
    /// eˣ / Σeˣ along an axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// The logarithm of the softmax.
    LogSoftmax {
        /// The axis.
        axis: usize,
    },
    /// A function of each element.
    Unary(Unary),
    /// Of two tensors, element by element; axes of length 1 are repeated.
    Binary(Binary),
    /// Of each element and a number.
    Scalar(Binary, #[serde(with = "crate::number")] f64),
    /// True where it holds for two tensors.
    Compare(Relation),
    /// True where it holds for the element and a number.
    CompareScalar(Relation, #[serde(with = "crate::number")] f64),
    /// Bounds each element.
    Clamp {
        /// The least value.
        #[serde(with = "crate::number::option")]
        min: Option<f64>,
        /// The largest value.
        #[serde(with = "crate::number::option")]
        max: Option<f64>,
    },
    /// Combines the elements along axes, which keep the length 1.
    Reduce {
        /// How.
        reduction: Reduction,
        /// Along which axes.
        axes: Vec<usize>,
    },
    /// The place of the largest value along an axis, which keeps the length 1.
    ArgMax {
        /// The axis.
        axis: usize,
    },
    /// The sum of the elements up to each place.
    CumSum {
        /// The axis.
        axis: usize,
    },

    /// The same elements in another shape.
    Reshape {
        /// The shape.
        shape: Vec<Dim>,
    },
    /// The axes `first..=last` become one.
    Flatten {
        /// The first of them.
        first: usize,
        /// The last of them.
        last: usize,
    },
    /// Reorders axes.
    Permute {
        /// For each axis of the output the axis of the input.
        axes: Vec<usize>,
    },
    /// Repeats axes of length 1.
    Expand {
        /// The shape.
        shape: Vec<Dim>,
    },
    /// Reverses axes.
    Flip {
        /// The axes.
        axes: Vec<usize>,
    },
    /// A part of each axis.
    Slice {
        /// One for each axis.
        ranges: Vec<Range>,
    },
    /// Joins tensors along an axis. Inputs: one or more.
    Cat {
        /// The axis.
        axis: usize,
    },
    /// Adds a constant around a tensor.
    Pad {
        /// How much before and after, one for each axis.
        padding: Vec<(usize, usize)>,
        /// The constant.
        #[serde(with = "crate::number")]
        value: f64,
    },
    /// Repeats a tensor along an axis.
    Repeat {
        /// The axis.
        axis: usize,
        /// How often.
        times: usize,
    },
    /// Rows of an axis. Inputs: x, indices `[n]`.
    Select {
        /// The axis.
        axis: usize,
    },
    /// An element of the axis for each index. Inputs: x, indices.
    Gather {
        /// The axis.
        axis: usize,
    },
    /// To another kind.
    Cast {
        /// The kind.
        to: ElementKind,
    },
    /// A number where the mask is true. Inputs: x, mask.
    MaskFill {
        /// The number.
        #[serde(with = "crate::number")]
        value: f64,
    },
    /// The second value where the mask is true. Inputs: x, mask, value.
    MaskWhere,
}

/// The window of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Step of the window.
    pub stride: [usize; 2],
    /// Rows and columns around the input.
    pub padding: [usize; 2],
    /// Distance between the window's places.
    pub dilation: [usize; 2],
    /// Whether a last window may reach over the end.
    pub ceil_mode: bool,
}

/// What a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementKind {
    /// Floating-point numbers.
    Float,
    /// Integers.
    Int,
    /// True or false.
    Bool,
}

impl From<DType> for ElementKind {
    fn from(dtype: DType) -> Self {
        if dtype.is_bool() {
            Self::Bool
        } else if dtype.is_float() {
            Self::Float
        } else {
            Self::Int
        }
    }
}

/// How values between pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel, rounded down.
    Nearest,
    /// The nearest pixel by its centre.
    NearestExact,
    /// On lines between two pixels.
    Bilinear,
    /// On cubics through four pixels.
    Bicubic,
    /// By a windowed sinc over six pixels.
    Lanczos3,
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names are the functions.
pub enum Unary {
    Neg,
    Abs,
    Sign,
    Exp,
    Log,
    Log1p,
    Sqrt,
    Recip,
    Sin,
    Cos,
    Erf,
    Round,
    Floor,
    Ceil,
    LogSigmoid,
    /// Of true or false.
    Not,
}

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names are the functions.
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    /// The remainder, with the sign of the divisor.
    Rem,
    Pow,
    /// Of true or false.
    And,
    /// Of true or false.
    Or,
}

/// What two numbers are compared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names are the relations.
pub enum Relation {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

/// How elements are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names are the combinations.
pub enum Reduction {
    Sum,
    Mean,
    Prod,
    Max,
    Min,
}

/// A part of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first place.
    pub start: usize,
    /// The place after the last; `None` where the whole rest is taken, however long.
    pub end: Option<usize>,
    /// Distance between places, at least 1.
    pub step: usize,
}

impl Op {
    /// The name of the operation, in `snake_case`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Parameter => "parameter",
            Self::Constant => "constant",
            Self::Full { .. } => "full",
            Self::Conv1d { .. } => "conv1d",
            Self::Conv2d { .. } => "conv2d",
            Self::ConvTranspose2d { .. } => "conv_transpose2d",
            Self::Linear => "linear",
            Self::MatMul => "matmul",
            Self::BatchNorm { .. } => "batch_norm",
            Self::FakeQuantize(_) => "fake_quantize",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Embedding => "embedding",
            Self::Attention { .. } => "attention",
            Self::MaxPool2d(_) => "max_pool2d",
            Self::AvgPool2d { .. } => "avg_pool2d",
            Self::AdaptiveAvgPool2d { .. } => "adaptive_avg_pool2d",
            Self::GlobalAvgPool => "global_avg_pool",
            Self::Interpolate { .. } => "interpolate",
            Self::Activation(activation) => match activation {
                Activation::Identity => "identity",
                Activation::Relu => "relu",
                Activation::Relu6 => "relu6",
                Activation::LeakyRelu(_) => "leaky_relu",
                Activation::HardSwish => "hard_swish",
                Activation::HardSigmoid => "hard_sigmoid",
                Activation::Silu => "silu",
                Activation::Gelu => "gelu",
                Activation::Sigmoid => "sigmoid",
                Activation::Tanh => "tanh",
            },
            Self::PRelu => "prelu",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::Softmax { .. } => "softmax",
            Self::LogSoftmax { .. } => "log_softmax",
            Self::Unary(unary) => match unary {
                Unary::Neg => "neg",
                Unary::Abs => "abs",
                Unary::Sign => "sign",
                Unary::Exp => "exp",
                Unary::Log => "log",
                Unary::Log1p => "log1p",
                Unary::Sqrt => "sqrt",
                Unary::Recip => "recip",
                Unary::Sin => "sin",
                Unary::Cos => "cos",
                Unary::Erf => "erf",
                Unary::Round => "round",
                Unary::Floor => "floor",
                Unary::Ceil => "ceil",
                Unary::LogSigmoid => "log_sigmoid",
                Unary::Not => "not",
            },
            Self::Binary(binary) | Self::Scalar(binary, _) => match binary {
                Binary::Add => "add",
                Binary::Sub => "sub",
                Binary::Mul => "mul",
                Binary::Div => "div",
                Binary::Rem => "rem",
                Binary::Pow => "pow",
                Binary::And => "and",
                Binary::Or => "or",
            },
            Self::Compare(relation) | Self::CompareScalar(relation, _) => match relation {
                Relation::Equal => "equal",
                Relation::NotEqual => "not_equal",
                Relation::Greater => "greater",
                Relation::GreaterEqual => "greater_equal",
                Relation::Less => "less",
                Relation::LessEqual => "less_equal",
            },
            Self::Clamp { .. } => "clamp",
            Self::Reduce { reduction, .. } => match reduction {
                Reduction::Sum => "sum",
                Reduction::Mean => "mean",
                Reduction::Prod => "prod",
                Reduction::Max => "max",
                Reduction::Min => "min",
            },
            Self::ArgMax { .. } => "argmax",
            Self::CumSum { .. } => "cumsum",
            Self::Reshape { .. } => "reshape",
            Self::Flatten { .. } => "flatten",
            Self::Permute { .. } => "permute",
            Self::Expand { .. } => "expand",
            Self::Flip { .. } => "flip",
            Self::Slice { .. } => "slice",
            Self::Cat { .. } => "cat",
            Self::Pad { .. } => "pad",
            Self::Repeat { .. } => "repeat",
            Self::Select { .. } => "select",
            Self::Gather { .. } => "gather",
            Self::Cast { .. } => "cast",
            Self::MaskFill { .. } => "mask_fill",
            Self::MaskWhere => "mask_where",
        }
    }

    /// Whether the node has no inputs and its values come from elsewhere.
    pub fn is_leaf(&self) -> bool {
        matches!(self, Self::Input | Self::Parameter | Self::Constant)
    }

    /// How many inputs it takes, from the least to the most.
    pub(super) fn arity(&self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Input | Self::Parameter | Self::Constant | Self::Full { .. } => 0..=0,
            Self::Conv1d { .. }
            | Self::Conv2d { .. }
            | Self::ConvTranspose2d { .. }
            | Self::Linear
            | Self::LayerNorm { .. } => 2..=3,
            Self::BatchNorm { .. } => 5..=5,
            Self::Attention { mask, bias, .. } => {
                let inputs = 3 + usize::from(*mask) + usize::from(*bias);
                inputs..=inputs
            }
            Self::MatMul
            | Self::Embedding
            | Self::PRelu
            | Self::Binary(_)
            | Self::Compare(_)
            | Self::Select { .. }
            | Self::Gather { .. }
            | Self::MaskFill { .. } => 2..=2,
            Self::MaskWhere | Self::FakeQuantize(_) => 3..=3,
            Self::Cat { .. } => 1..=usize::MAX,
            _ => 1..=1,
        }
    }
}
