//! A TensorFlow Lite model: what a `.tflite` file says of its tensors and operators.
//!
//! The slots and numbers are those of version 3 of
//! [`schema.fbs`](https://github.com/tensorflow/tflite-micro/blob/6cdf0d78a68f33fe452f051713aa218619285438/tensorflow/lite/schema/schema.fbs).
//! The contents of tensors are not copied: a [`Tensor`] knows where they lie in the file. A model
//! that parses is consistent: every index leads somewhere, constants have the length that their
//! shape and type demand, quantization fits the shape, and operators stand in an order in which
//! they can run. What a kernel demands of its inputs (their number, types and shapes) is not
//! checked here.

use std::fmt;
use std::ops::Range;

pub use super::operator::{
    Conv2d, FusedActivation, Op, Operator, OperatorCode, Padding, Pool2d, Resize, builtin_name,
};
use super::reader::{Field, FlatBuffer, Result, Table};

/// The identifier of TensorFlow Lite files, bytes 4 to 8.
const IDENTIFIER: [u8; 4] = *b"TFL3";

/// The version of the schema that is read.
const SCHEMA_VERSION: u32 = 3;

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
    pub quantization: Option<QuantizationParameters>,
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
pub struct QuantizationParameters {
    /// `[1]` or `[channels]`, finite and positive.
    pub scale: Vec<f32>,
    /// `[1]` or `[channels]`, values of the element type.
    pub zero_point: Vec<i64>,
    /// The axis of the shape that is `channels` long where there is more than one scale.
    pub quantized_dimension: usize,
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

impl SubGraph {
    fn parse(table: Table<'_>, codes: &[OperatorCode], buffers: &[Range<usize>]) -> Result<Self> {
        let name = table.string(Field(4, "name"))?.unwrap_or_default();
        let tensors = table.tables(Field(0, "tensors"), |index, table| {
            Tensor::parse(table, buffers).map_err(|e| e.within(format_args!("tensor {index}")))
        })?;
        let inputs = table.indices(Field(1, "inputs"), tensors.len())?;
        let outputs = table.indices(Field(2, "outputs"), tensors.len())?;
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
        let buffer = table.index(field, buffer, buffers.len())?;
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
            Some(quantization) => QuantizationParameters::parse(quantization, &shape, element)
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

impl QuantizationParameters {
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
