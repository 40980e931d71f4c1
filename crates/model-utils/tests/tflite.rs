//! The reader against files written by hand: what it reads, what it refuses, and that no file
//! makes it panic or take much memory.

#![cfg(all(feature = "graph", feature = "pytorch"))]

#[path = "common/tflite.rs"]
mod builder;

use builder::{FLOAT32, INT8, INT32, Model as File, Operator, Tensor, Value, flatbuffer};
use model_utils::graph::tflite::model::{
    Conv2d, Element, FusedActivation, Model, Op, Padding, Pool2d, QuantizationParameters, Resize,
    builtin_name,
};
use model_utils::graph::tflite::reader::{Field, FlatBuffer, MEMORY_PER_BYTE};
use proptest::prelude::*;

fn parse(file: &File) -> Model {
    Model::parse(&file.file()).unwrap()
}

/// The reason for which a file is refused.
#[track_caller]
fn refusal(file: &[u8]) -> String {
    Model::parse(file).unwrap_err().to_string()
}

/// Whether a file is refused for a reason that contains `expected`.
#[track_caller]
fn refuses(file: &[u8], expected: &str) {
    let reason = refusal(file);
    assert!(reason.contains(expected), "`{reason}` does not say `{expected}`");
}

/// Whether the file of one convolution, changed, is refused for a reason with `expected`.
#[track_caller]
fn refuses_changed(change: impl FnOnce(&mut File), expected: &str) {
    let mut file = File::conv2d();
    change(&mut file);
    refuses(&file.file(), expected);
}

#[test]
fn reads_a_convolution() {
    let bytes = File::conv2d().file();
    let model = Model::parse(&bytes).unwrap();
    assert_eq!((model.version, model.description.as_str()), (3, "one convolution"));
    assert_eq!(model.operator_codes.len(), 1);
    assert_eq!((model.operator_codes[0].builtin, model.operator_codes[0].version), (3, 1));
    assert_eq!(model.operator_codes[0].name(), "CONV_2D");
    assert_eq!(model.buffers.len(), 3);
    let [graph] = model.subgraphs.as_slice() else { panic!("one graph") };
    assert_eq!(
        (graph.name.as_str(), &*graph.inputs, &*graph.outputs),
        ("main", &[0][..], &[3][..])
    );
    let [input, weights, bias, output] = graph.tensors.as_slice() else { panic!("four tensors") };
    assert_eq!(input.name, "input");
    assert_eq!(
        (&*input.shape, input.elements(), input.element),
        (&[1, 4, 4, 2][..], 32, Element::U8)
    );
    assert_eq!((input.buffer, &input.data, input.content(&bytes)), (0, &None, None));
    let quantization = input.quantization.as_ref().unwrap();
    assert_eq!(quantization.per_tensor(), Some((0.5, 128)));
    assert_eq!(weights.content(&bytes).unwrap(), (100..154).collect::<Vec<u8>>());
    assert_eq!(bias.element, Element::I32);
    assert_eq!(bias.content(&bytes).unwrap()[8..], 300i32.to_le_bytes());
    assert_eq!(output.quantization.as_ref().unwrap().of_channel(2), Some((6.0 / 255.0, 0)));
    let [operator] = graph.operators.as_slice() else { panic!("one operator") };
    assert_eq!(operator.inputs, [Some(0), Some(1), Some(2)]);
    assert_eq!((operator.input(2), operator.input(3)), (Some(2), None));
    assert_eq!((&*operator.outputs, operator.code), (&[3][..], 3));
    assert_eq!(operator.name(), "CONV_2D");
    let (padding, activation) = (Padding::Same, FusedActivation::Relu6);
    let conv = Conv2d { padding, stride: [1, 1], dilation: [1, 1], activation };
    assert_eq!(operator.op, Op::Conv2d(conv));
}

/// Reads one operator between the tensors 0 and 1.
fn one(operator: Operator) -> Op {
    let tensors = ["a", "b"].map(|name| Tensor::new(name, &[1, 2, 2, 1], FLOAT32)).to_vec();
    let (inputs, outputs, operators) = (vec![0], vec![1], vec![operator]);
    let file = File { tensors, inputs, outputs, operators, ..File::default() };
    parse(&file).subgraphs[0].operators[0].op.clone()
}

fn one_with(code: i32, variant: u8, fields: Vec<Value>) -> Op {
    one(Operator::new(code, &[0], &[1]).options(variant, fields))
}

#[test]
fn reads_the_options() {
    use Value::{Absent, F32, I32, I32s, U8};
    let (padding, activation) = (Padding::Valid, FusedActivation::Relu);
    let conv = Conv2d { padding, stride: [3, 2], dilation: [5, 4], activation };
    let fields = vec![U8(1), I32(2), I32(3), U8(1), I32(4), I32(5)];
    assert_eq!(one_with(3, 1, fields), Op::Conv2d(conv));
    let fields = vec![U8(1), I32(2), I32(3), I32(7), U8(1), I32(4), I32(5)];
    assert_eq!(one_with(4, 2, fields), Op::DepthwiseConv2d { conv, depth_multiplier: 7 });
    let fields = vec![U8(1), I32(2), I32(3), U8(1)];
    let stride = [3, 2];
    assert_eq!(one_with(67, 49, fields), Op::TransposeConv { padding, stride, activation });
    let fields = vec![U8(1), I32(2), I32(3), I32(4), I32(5), U8(1)];
    let pool = Pool2d { padding, stride, filter: [5, 4], activation };
    assert_eq!(one_with(1, 5, fields.clone()), Op::AveragePool2d(pool));
    assert_eq!(one_with(17, 5, fields), Op::MaxPool2d(pool));
    let dense = Op::FullyConnected { activation, shuffled_weights: true, keep_num_dims: true };
    assert_eq!(one_with(9, 8, vec![U8(1), U8(1), U8(1)]), dense);
    assert_eq!(one_with(0, 11, vec![U8(1)]), Op::Add { activation });
    assert_eq!(one_with(18, 21, vec![U8(1)]), Op::Mul { activation });
    assert_eq!(one_with(41, 28, vec![U8(1)]), Op::Sub { activation });
    assert_eq!(one_with(42, 29, vec![U8(1)]), Op::Div { activation });
    assert_eq!(one_with(25, 9, vec![F32(0.5)]), Op::Softmax { beta: 0.5 });
    assert_eq!(one_with(98, 75, vec![F32(0.1)]), Op::LeakyRelu { alpha: 0.1 });
    let new_shape = vec![1, -1];
    assert_eq!(one_with(22, 17, vec![I32s(vec![1, -1])]), Op::Reshape { new_shape });
    let squeeze_dims = vec![1, 2];
    assert_eq!(one_with(43, 30, vec![I32s(vec![1, 2])]), Op::Squeeze { squeeze_dims });
    let concatenation = Op::Concatenation { axis: -1, activation };
    assert_eq!(one_with(2, 10, vec![I32(-1), U8(1)]), concatenation);
    assert_eq!(one_with(40, 27, vec![U8(1)]), Op::Mean { keep_dims: true });
    let resize = Resize { align_corners: false, half_pixel_centers: true };
    let fields = vec![Absent, Absent, U8(0), U8(1)];
    assert_eq!(one_with(23, 15, fields), Op::ResizeBilinear(resize));
    assert_eq!(one_with(97, 74, vec![U8(0), U8(1)]), Op::ResizeNearestNeighbor(resize));
}

#[test]
fn reads_operators_without_options() {
    let op = |code| one(Operator::new(code, &[0], &[1]));
    assert_eq!(op(0), Op::Add { activation: FusedActivation::None });
    assert_eq!(op(22), Op::Reshape { new_shape: vec![] });
    let plain = [Op::Relu, Op::ReluN1To1, Op::Relu6, Op::Logistic, Op::Tanh, Op::HardSwish];
    assert_eq!([19, 20, 21, 14, 28, 117].map(op), plain);
    let plain = [Op::Pad, Op::Transpose, Op::Quantize, Op::Dequantize];
    assert_eq!([34, 39, 114, 6].map(op), plain);
    assert_eq!([150, 1000].map(op), [Op::Other(150), Op::Other(1000)]);
    assert_eq!(
        [builtin_name(150), builtin_name(-1), builtin_name(1000)],
        [Some("GELU"), None, None]
    );
    let custom = Some("Shout".to_owned());
    assert_eq!(
        one(Operator { custom, ..Operator::new(32, &[0], &[1]) }),
        Op::Custom("Shout".into())
    );
}

#[test]
fn names_the_builtin_operators_by_number() {
    let names = [
        (0, "ADD"),
        (32, "CUSTOM"),
        (67, "TRANSPOSE_CONV"),
        (98, "LEAKY_RELU"),
        (117, "HARD_SWISH"),
        (127, "PLACEHOLDER_FOR_GREATER_OP_CODES"),
        (161, "RIGHT_SHIFT"),
        (208, "STABLEHLO_CBRT"),
    ];
    for (code, name) in names {
        assert_eq!(builtin_name(code), Some(name));
    }
}

#[test]
fn reads_scales_by_channel() {
    let mut file = File::conv2d();
    let weights = Tensor::new("weights", &[3, 3, 3, 2], INT8).data(0..54);
    file.tensors[1] = weights.quantized_by_channel(&[0.5, 0.25, 2.0], 0);
    file.tensors[0].shape_signature = vec![-1, 4, 4, 2];
    let model = parse(&file);
    let tensors = &model.subgraphs[0].tensors;
    assert_eq!(tensors[0].shape_signature, [-1, 4, 4, 2]);
    let QuantizationParameters { scale, zero_point, quantized_dimension } =
        tensors[1].quantization.as_ref().unwrap();
    assert_eq!((&**scale, &**zero_point), (&[0.5, 0.25, 2.0][..], &[0, 0, 0][..]));
    assert_eq!(*quantized_dimension, 0);
    let quantization = tensors[1].quantization.as_ref().unwrap();
    assert_eq!(quantization.per_tensor(), None);
    assert_eq!(quantization.of_channel(2), Some((2.0, 0)));
    assert_eq!(quantization.of_channel(3), None);
}

#[test]
fn reads_inputs_that_are_left_out() {
    let mut file = File::conv2d();
    file.operators[0].inputs[2] = -1;
    assert_eq!(parse(&file).subgraphs[0].operators[0].inputs, [Some(0), Some(1), None]);
}

#[test]
fn reads_contents_behind_the_flatbuffer() {
    let mut root = File::conv2d().root();
    let Value::Tables(buffers) = &mut root[4] else { panic!("the buffers") };
    let start = 2000u16;
    buffers[1] = vec![Value::Absent, Value::U64(start.into()), Value::U64(54)];
    let mut file = flatbuffer(*b"TFL3", &root);
    assert!(file.len() < start.into());
    refuses(&file, "buffer 1: 54 bytes at 2000");
    file.resize(usize::from(start) + 54, 7);
    let model = Model::parse(&file).unwrap();
    assert_eq!(model.subgraphs[0].tensors[1].content(&file), Some(&[7; 54][..]));
}

#[test]
fn refuses_other_files() {
    refuses(b"", "0 bytes long");
    refuses(b"\x08\0\0\0TFL2\0\0\0\0", "identifier `TFL2`, expected `TFL3`");
    refuses(b"\x08\0\0\0TFL3", "root table: offset 8");
    refuses(b"\0\0\0\0TFL3", "root table: offset 0");
    let mut root = File::conv2d().root();
    root[0] = Value::U32(2);
    refuses(&flatbuffer(*b"TFL3", &root), "schema version 2, expected 3");
    root[0] = Value::U32(3);
    root[2] = Value::Absent;
    refuses(&flatbuffer(*b"TFL3", &root), "no subgraphs");
}

#[test]
fn refuses_inconsistent_tensors() {
    refuses_changed(
        |file| file.tensors[1].shape = vec![3, 3, 3, 3],
        "subgraph 0: tensor 1: `weights`: 54 bytes in buffer 1, expected 81 for u8 [3, 3, 3, 3]",
    );
    refuses_changed(|file| file.tensors[1].element = INT32, "expected 216 for i32");
    refuses_changed(|file| file.tensors[0].shape[1] = -1, "no negative length");
    refuses_changed(|file| file.tensors[0].shape = vec![i32::MAX; 4], "too many elements");
    refuses_changed(|file| file.tensors[0].shape_signature = vec![-1], "shape signature [-1]");
    refuses_changed(|file| file.tensors[0].shape_signature = vec![-2, 4, 4, 2], "of -1 or more");
    let mut root = File::conv2d().root();
    root[4] = Value::Tables(vec![vec![]]);
    refuses(&flatbuffer(*b"TFL3", &root), "buffer: index 1, expected below 1");
}

#[test]
fn refuses_inconsistent_quantization() {
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refuses_changed(|file| file.tensors[0].scale[0] = scale, "expected finite and above 0");
    }
    refuses_changed(|file| file.tensors[1].scale = vec![1.0; 2], "2 scales, expected 1 or");
    refuses_changed(|file| file.tensors[1].zero_point.clear(), "0 zero points");
    refuses_changed(|file| file.tensors[1].zero_point = vec![0; 4], "4 zero points");
    refuses_changed(|file| file.tensors[0].zero_point[0] = 256, "zero point 256 of u8");
    for axis in [4, -1] {
        let change = |file: &mut File| {
            file.tensors[1] = file.tensors[1].clone().quantized_by_channel(&[1.0; 3], axis);
        };
        refuses_changed(change, "3 scales");
    }
}

#[test]
fn refuses_inconsistent_graphs() {
    refuses_changed(|file| file.inputs[0] = 4, "inputs: index 4, expected below 4");
    refuses_changed(|file| file.outputs[0] = -1, "outputs: index -1");
    refuses_changed(|file| file.operators[0].inputs[1] = 9, "operator 0: CONV_2D: inputs: index 9");
    refuses_changed(|file| file.operators[0].inputs[1] = -2, "inputs: index -2");
    refuses_changed(|file| file.operators[0].outputs[0] = -1, "outputs: index -1");
    refuses_changed(|file| file.inputs.clear(), "reads tensor 0, which has no value yet");
    refuses_changed(|file| file.operators[0].inputs[0] = 3, "reads tensor 3");
    refuses_changed(|file| file.operators[0].outputs[0] = 1, "writes tensor 1");
    refuses_changed(|file| file.operators[0].outputs[0] = 0, "writes tensor 0");
    refuses_changed(|file| file.operators.push(file.operators[0].clone()), "written before");
    refuses_changed(|file| file.operators.clear(), "no operator writes tensor 3");
    refuses_changed(|file| file.operators[0].code = 32, "custom operator without a name");
    let mut root = File::conv2d().root();
    root[1] = Value::Absent;
    refuses(&flatbuffer(*b"TFL3", &root), "opcode: index 0, expected below 0");
}

#[test]
fn refuses_options_that_cannot_be() {
    use Value::{F32, I32, U8};
    let conv = |fields| move |file: &mut File| file.operators[0].options = Some((1, fields));
    refuses_changed(conv(vec![U8(0), I32(1)]), "stride 0, expected at least 1");
    refuses_changed(conv(vec![U8(0), I32(-1), I32(1)]), "stride -1");
    refuses_changed(conv(vec![U8(2), I32(1), I32(1)]), "padding 2 is not known");
    refuses_changed(conv(vec![U8(0), I32(1), I32(1), U8(6)]), "activation 6 is not known");
    refuses_changed(conv(vec![U8(0), I32(1), I32(1), U8(0), I32(0)]), "dilation 0");
    refuses_changed(|file| file.operators[0].options = None, "stride 0");
    refuses_changed(
        |file| file.operators[0].options = Some((2, vec![])),
        "options of variant 2, expected 1",
    );
    let softmax = Operator::new(25, &[0], &[3]);
    refuses_changed(|file| file.operators[0] = softmax.clone(), "no options, expected beta");
    let softmax = softmax.options(9, vec![F32(f32::NAN)]);
    refuses_changed(|file| file.operators[0] = softmax, "beta NaN");
}

#[test]
fn reads_every_kind_of_field() {
    use Value::{Absent, F32, I32, I64s, Table, Text, Texts, U8, U64};
    let texts = vec!["a".to_owned(), String::new(), "語".to_owned()];
    let inner = vec![Absent, F32(1.5)];
    let root = vec![
        Texts(texts.clone()),
        U8(2),
        Table(inner),
        U64(1 << 40),
        I64s(vec![-1, 1]),
        Text("text".to_owned()),
        I32(-5),
    ];
    let file = flatbuffer(*b"TEST", &root);
    let flat = FlatBuffer::new(&file, *b"TEST").unwrap();
    assert_eq!(flat.bytes(), file);
    let root = flat.root().unwrap();
    let field = |slot| Field(slot, "field");
    assert_eq!(root.strings(field(0)).unwrap(), texts);
    let (variant, table) = root.union(field(1)).unwrap().unwrap();
    assert_eq!((variant, table.scalar(field(1), 0.0f32)), (2, Ok(1.5)));
    assert_eq!(
        (table.has(field(0)), table.has(field(1)), table.has(field(9))),
        (Ok(false), Ok(true), Ok(false))
    );
    assert_eq!(root.scalar(field(3), 0u64), Ok(1 << 40));
    assert_eq!(root.scalars::<i64>(field(4)).unwrap(), [-1, 1]);
    assert_eq!(root.string(field(5)).unwrap().unwrap(), "text");
    assert_eq!(&file[root.byte_range(field(5)).unwrap()], b"text");
    assert_eq!((root.scalar(field(6), 0), root.scalar(field(7), 9)), (Ok(-5), Ok(9)));
    // A field that is shorter than what is asked for, and vectors longer than the file.
    assert!(root.scalar(field(1), 0u64).unwrap_err().reason.contains("in a table of"));
    assert!(root.scalars::<u64>(field(5)).is_err());
    assert!(root.strings(field(4)).is_err());
    assert!(root.union(field(6)).is_err());
}

#[test]
fn refuses_few_bytes_that_describe_much() {
    // 20 000 subgraphs that are all the same one of 20 000 tensors, all the same, of rank 20 000.
    let n = 20_000;
    let tensor = vec![Value::I32s(vec![1; 20_000])];
    let graph = vec![Value::Repeated(n, tensor)];
    let buffers = Value::Tables(vec![vec![]]);
    let graphs = Value::Repeated(n, graph);
    let root = [Value::U32(3), Value::Absent, graphs, Value::Absent, buffers];
    let file = flatbuffer(*b"TFL3", &root);
    refuses(&file, &format!("more than {MEMORY_PER_BYTE} times"));
}

proptest! {
    #[test]
    fn survives_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Model::parse(&bytes).is_err());
    }

    #[test]
    fn survives_random_bytes_behind_a_header(
        bytes in prop::collection::vec(prop_oneof![Just(0), 0..32u8, any::<u8>()], 0..300)
    ) {
        let mut file = b"\x10\0\0\0TFL3".to_vec();
        file.extend(bytes);
        let _ = Model::parse(&file);
    }

    #[test]
    fn survives_changed_bytes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut file = File::conv2d().file();
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Ok(model) = Model::parse(&file) {
            for graph in &model.subgraphs {
                for tensor in &graph.tensors {
                    prop_assert_eq!(tensor.content(&file).is_some(), tensor.data.is_some());
                }
                for operator in &graph.operators {
                    prop_assert!(operator.inputs.iter().flatten().all(|&i| i < graph.tensors.len()));
                    prop_assert!(operator.outputs.iter().all(|&i| i < graph.tensors.len()));
                }
            }
        }
    }
}

#[test]
fn survives_every_change_of_one_byte_and_every_length() {
    let whole = File::conv2d().file();
    for end in 0..whole.len() {
        let _ = Model::parse(&whole[..end]);
    }
    let mut file = whole.clone();
    for place in 0..whole.len() {
        for byte in [0, 1, 2, 4, 127, 128, 254, 255, whole[place] ^ 1, whole[place] ^ 128] {
            file[place] = byte;
            let _ = Model::parse(&file);
        }
        file[place] = whole[place];
    }
    assert_eq!(Model::parse(&file), Model::parse(&whole));
}
