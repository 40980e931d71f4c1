//! Writes small TensorFlow Lite files, valid or broken on purpose.
#![allow(dead_code, unreachable_pub)] // Each test takes what it needs.

/// The value of a field.
#[derive(Debug, Clone)]
pub enum Value {
    Absent,
    U8(u8),
    I32(i32),
    U32(u32),
    U64(u64),
    F32(f32),
    Text(String),
    U8s(Vec<u8>),
    I32s(Vec<i32>),
    I64s(Vec<i64>),
    F32s(Vec<f32>),
    Texts(Vec<String>),
    Table(Vec<Value>),
    Tables(Vec<Vec<Value>>),
    /// So many offsets to one and the same table.
    Repeated(u32, Vec<Value>),
}

use Value::{Absent, F32, F32s, I32, I32s, I64s, Repeated, Text, Texts, U8, U8s, U32, U64};

/// A flatbuffer whose root table has these fields, the first in slot 0.
pub fn flatbuffer(identifier: [u8; 4], root: &[Value]) -> Vec<u8> {
    let mut file = vec![0; 4];
    file.extend(identifier);
    let at = table(&mut file, root);
    link(&mut file, 0, at);
    file
}

/// Appends a table and all it leads to; returns its position.
fn table(file: &mut Vec<u8>, fields: &[Value]) -> usize {
    let bytes = |field: &Value| match field {
        Absent => 0,
        U8(_) => 1,
        U64(_) => 8,
        _ => 4usize,
    };
    let mut offsets = vec![0; fields.len()];
    let mut end = 4;
    for size in [8, 4, 1] {
        for (offset, _) in offsets.iter_mut().zip(fields).filter(|(_, f)| bytes(f) == size) {
            *offset = end;
            end += size;
        }
    }
    align(file, 2, 0);
    let vtable = file.len();
    for word in [4 + 2 * fields.len(), end].iter().chain(&offsets) {
        file.extend(u16::try_from(*word).unwrap().to_le_bytes());
    }
    align(file, 8, 4); // What follows the table's first four bytes lies at a multiple of 8.
    let at = file.len();
    file.extend(i32::try_from(at - vtable).unwrap().to_le_bytes());
    file.resize(at + end, 0);
    for (field, offset) in fields.iter().zip(offsets) {
        let place = at + offset;
        match field {
            Absent => {}
            U8(x) => file[place] = *x,
            I32(x) => file[place..place + 4].copy_from_slice(&x.to_le_bytes()),
            U32(x) => file[place..place + 4].copy_from_slice(&x.to_le_bytes()),
            F32(x) => file[place..place + 4].copy_from_slice(&x.to_le_bytes()),
            U64(x) => file[place..place + 8].copy_from_slice(&x.to_le_bytes()),
            reference => {
                let target = append(file, reference);
                link(file, place, target);
            }
        }
    }
    at
}

/// Appends what an offset leads to; returns its position.
fn append(file: &mut Vec<u8>, value: &Value) -> usize {
    match value {
        Text(text) => {
            let at = vector(file, text.len(), 1, text.bytes().map(|x| [x]));
            file.push(0);
            at
        }
        U8s(items) => vector(file, items.len(), 16, items.iter().map(|x| [*x])),
        I32s(items) => vector(file, items.len(), 4, items.iter().map(|x| x.to_le_bytes())),
        F32s(items) => vector(file, items.len(), 4, items.iter().map(|x| x.to_le_bytes())),
        I64s(items) => vector(file, items.len(), 8, items.iter().map(|x| x.to_le_bytes())),
        Texts(items) => offsets(file, items.len(), |file, i| append(file, &Text(items[i].clone()))),
        Value::Table(fields) => table(file, fields),
        Value::Tables(items) => offsets(file, items.len(), |file, i| table(file, &items[i])),
        Repeated(count, fields) => {
            let mut shared = None;
            let count = usize::try_from(*count).unwrap();
            offsets(file, count, |file, _| *shared.get_or_insert_with(|| table(file, fields)))
        }
        scalar => unreachable!("{scalar:?} stands in its table"),
    }
}

/// Appends a vector whose items are aligned to `alignment` bytes.
fn vector<const N: usize>(
    file: &mut Vec<u8>,
    count: usize,
    alignment: usize,
    items: impl Iterator<Item = [u8; N]>,
) -> usize {
    align(file, alignment.max(4), alignment.max(4) - 4);
    let at = file.len();
    file.extend(u32::try_from(count).unwrap().to_le_bytes());
    file.extend(items.flatten());
    at
}

/// Appends a vector of offsets to what `write` appends for each index.
fn offsets(
    file: &mut Vec<u8>,
    count: usize,
    mut write: impl FnMut(&mut Vec<u8>, usize) -> usize,
) -> usize {
    let at = vector(file, count, 4, std::iter::repeat_n([0; 4], count));
    for index in 0..count {
        let target = write(file, index);
        link(file, at + 4 + 4 * index, target);
    }
    at
}

/// Writes an offset at `place` that leads to `target`.
fn link(file: &mut [u8], place: usize, target: usize) {
    let offset = u32::try_from(target - place).unwrap();
    file[place..place + 4].copy_from_slice(&offset.to_le_bytes());
}

/// Appends zeros up to a position that is `remainder` modulo `alignment`.
fn align(file: &mut Vec<u8>, alignment: usize, remainder: usize) {
    while file.len() % alignment != remainder {
        file.push(0);
    }
}

/// The types of tensors by their numbers in the schema.
pub const FLOAT32: u8 = 0;
pub const FLOAT16: u8 = 1;
pub const INT32: u8 = 2;
pub const UINT8: u8 = 3;
pub const INT8: u8 = 9;

/// A tensor; a constant if it has data. Without scales, it has no quantization.
#[derive(Debug, Clone, Default)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<i32>,
    pub shape_signature: Vec<i32>,
    pub element: u8,
    pub data: Vec<u8>,
    pub scale: Vec<f32>,
    pub zero_point: Vec<i64>,
    pub quantized_dimension: i32,
}

impl Tensor {
    pub fn new(name: &str, shape: &[i32], element: u8) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), element, ..Self::default() }
    }

    #[must_use]
    pub fn data(mut self, data: impl IntoIterator<Item = u8>) -> Self {
        self.data = data.into_iter().collect();
        self
    }

    /// One scale and zero point for all.
    #[must_use]
    pub fn quantized(mut self, scale: f32, zero_point: i64) -> Self {
        (self.scale, self.zero_point) = (vec![scale], vec![zero_point]);
        self
    }

    /// A scale for each channel and the zero point 0.
    #[must_use]
    pub fn quantized_by_channel(mut self, scale: &[f32], dimension: i32) -> Self {
        (self.scale, self.zero_point) = (scale.to_vec(), vec![0; scale.len()]);
        self.quantized_dimension = dimension;
        self
    }
}

/// An operator; `options` are the number of the union's variant and its fields.
#[derive(Debug, Clone, Default)]
pub struct Operator {
    pub code: i32,
    pub custom: Option<String>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub options: Option<(u8, Vec<Value>)>,
}

impl Operator {
    pub fn new(code: i32, inputs: &[i32], outputs: &[i32]) -> Self {
        Self { code, inputs: inputs.to_vec(), outputs: outputs.to_vec(), ..Self::default() }
    }

    #[must_use]
    pub fn options(mut self, variant: u8, fields: Vec<Value>) -> Self {
        self.options = Some((variant, fields));
        self
    }

    /// A `CONV_2D` of dilation 1; `padding` is 0 for `SAME` and 1 for `VALID`.
    pub fn conv2d(
        inputs: [i32; 3],
        output: i32,
        padding: u8,
        [height, width]: [i32; 2],
        activation: u8,
    ) -> Self {
        let fields = vec![U8(padding), I32(width), I32(height), U8(activation)];
        Self::new(3, &inputs, &[output]).options(1, fields)
    }
}

/// A model of one graph.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub description: String,
    pub tensors: Vec<Tensor>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub operators: Vec<Operator>,
}

impl Model {
    /// One quantized convolution: `input [1, 4, 4, 2]`, `weights [3, 3, 3, 2]`, `bias [3]` to
    /// `output [1, 4, 4, 3]`, `SAME`, ReLU6.
    pub fn conv2d() -> Self {
        Self {
            description: "one convolution".to_owned(),
            tensors: vec![
                Tensor::new("input", &[1, 4, 4, 2], UINT8).quantized(0.5, 128),
                Tensor::new("weights", &[3, 3, 3, 2], UINT8).data(100..154).quantized(0.25, 127),
                Tensor::new("bias", &[3], INT32)
                    .data([1i32, -2, 300].into_iter().flat_map(i32::to_le_bytes))
                    .quantized(0.125, 0),
                Tensor::new("output", &[1, 4, 4, 3], UINT8).quantized(6.0 / 255.0, 0),
            ],
            inputs: vec![0],
            outputs: vec![3],
            operators: vec![Operator::conv2d([0, 1, 2], 3, 0, [1, 1], 3)],
        }
    }

    /// The content of its file.
    pub fn file(&self) -> Vec<u8> {
        flatbuffer(*b"TFL3", &self.root())
    }

    /// The fields of the root table: version, operator codes, subgraphs, description, buffers.
    pub fn root(&self) -> Vec<Value> {
        let mut buffers = vec![vec![]];
        let tensors = self.tensors.iter().map(|tensor| {
            let buffer = if tensor.data.is_empty() { 0 } else { buffers.len() };
            if buffer > 0 {
                buffers.push(vec![U8s(tensor.data.clone())]);
            }
            tensor.fields(u32::try_from(buffer).unwrap())
        });
        let tensors = Value::Tables(tensors.collect());
        let mut codes: Vec<(i32, Option<String>)> = Vec::new();
        let operators = self.operators.iter().map(|operator| {
            let code = (operator.code, operator.custom.clone());
            let opcode = codes.iter().position(|known| *known == code).unwrap_or_else(|| {
                codes.push(code);
                codes.len() - 1
            });
            operator.fields(u32::try_from(opcode).unwrap())
        });
        let operators = Value::Tables(operators.collect());
        let codes = codes.into_iter().map(|(code, custom)| {
            let old = u8::try_from(code.min(127)).unwrap();
            vec![U8(old), custom.map_or(Absent, Text), I32(1), I32(code)]
        });
        let codes = Value::Tables(codes.collect());
        let (inputs, outputs) = (I32s(self.inputs.clone()), I32s(self.outputs.clone()));
        let graph = vec![tensors, inputs, outputs, operators, Text("main".to_owned())];
        let description = Text(self.description.clone());
        let (graphs, buffers) = (Value::Tables(vec![graph]), Value::Tables(buffers));
        vec![U32(3), codes, graphs, description, buffers]
    }
}

impl Tensor {
    /// The fields of its table.
    fn fields(&self, buffer: u32) -> Vec<Value> {
        let quantization = if self.scale.is_empty() && self.zero_point.is_empty() {
            Absent
        } else {
            Value::Table(vec![
                Absent,
                Absent,
                F32s(self.scale.clone()),
                I64s(self.zero_point.clone()),
                Absent,
                Absent,
                I32(self.quantized_dimension),
            ])
        };
        let signature = match self.shape_signature.as_slice() {
            [] => Absent,
            lengths => I32s(lengths.to_vec()),
        };
        vec![
            I32s(self.shape.clone()),
            U8(self.element),
            U32(buffer),
            Text(self.name.clone()),
            quantization,
            Absent,
            Absent,
            signature,
        ]
    }
}

impl Operator {
    /// The fields of its table.
    fn fields(&self, opcode: u32) -> Vec<Value> {
        let (variant, options) = match &self.options {
            Some((variant, fields)) => (U8(*variant), Value::Table(fields.clone())),
            None => (Absent, Absent),
        };
        let (inputs, outputs) = (I32s(self.inputs.clone()), I32s(self.outputs.clone()));
        vec![U32(opcode), inputs, outputs, variant, options]
    }
}
