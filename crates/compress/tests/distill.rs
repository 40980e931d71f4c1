//! Distillation: losses and gradients against PyTorch, training on graphs, bad input.
#![cfg(feature = "flex")]

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamConfig;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use compress::Error;
use compress::distill::{
    DistillConfig, Distillation, FeatureRegressor, MapRegressor, SoftTargets, angle_loss,
    attention_transfer_loss, distance_loss, distill, forward_intermediates, hint_loss,
};
use model_utils::graph::Graph;
use model_utils::train::{Budget, Evaluation, History, Silent, StepOutput, SupervisedConfig};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    student: Vec<f32>,
    student_shape: Vec<usize>,
    teacher: Vec<f32>,
    teacher_shape: Vec<usize>,
    loss: f64,
    gradient: Vec<f32>,
    temperature: Option<f64>,
    alpha: Option<f64>,
    labels: Option<Vec<i64>>,
}

fn shaped<const D: usize>(values: &[f32], shape: &[usize], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape.to_vec()), device)
}

/// The loss and its gradient for the student.
fn computed<const D: usize>(
    case: &Case,
    device: &Device,
    loss: impl Fn(Tensor<D>, Tensor<D>) -> compress::Result<Tensor<1>>,
) -> (f64, Vec<f32>) {
    let student = shaped::<D>(&case.student, &case.student_shape, device).require_grad();
    let teacher = shaped::<D>(&case.teacher, &case.teacher_shape, &device.clone().inner());
    let loss = loss(student.clone(), teacher).unwrap();
    let gradient = student.grad(&loss.backward()).unwrap();
    (f64::from(loss.into_scalar::<f32>()), gradient.into_data().iter::<f32>().collect())
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/distill.json")).unwrap();
    assert_eq!(cases.len(), 10);
    let device = Device::flex().autodiff();
    for case in &cases {
        let (loss, gradient) = match case.name.as_str() {
            "soft" => computed::<2>(case, &device, |student, teacher| {
                let labels = case.labels.clone().unwrap();
                let count = labels.len();
                let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [count]), &device);
                let (t, alpha) = (case.temperature.unwrap(), case.alpha.unwrap());
                SoftTargets::new(t).with_alpha(alpha).loss(student, teacher, Some(labels))
            }),
            "hint" => computed::<4>(case, &device, hint_loss),
            "attention" => computed::<4>(case, &device, attention_transfer_loss),
            "distance" => computed::<2>(case, &device, distance_loss),
            "angle" => computed::<2>(case, &device, angle_loss),
            other => panic!("{other}"),
        };
        let off = (loss - case.loss).abs() / case.loss.abs().max(1.0);
        assert!(off < 1e-5, "{}: {loss}, expected {}", case.name, case.loss);
        let largest = case.gradient.iter().fold(1e-3_f32, |a, b| a.max(b.abs()));
        for (found, expected) in gradient.iter().zip(&case.gradient) {
            let off = (found - expected).abs() / largest;
            assert!(off < 1e-5, "{}: gradient {found}, expected {expected}", case.name);
        }
    }
}

#[test]
fn without_labels_the_soft_part_is_left() {
    let device = Device::flex();
    let student = Tensor::<2>::from_data([[0.3, -1.0, 2.0], [1.0, 1.0, 0.0]], &device);
    let teacher = Tensor::<2>::from_data([[1.0, 0.5, 2.0], [0.0, 3.0, 1.0]], &device);
    let labels = Tensor::<1, Int>::from_ints([2, 1], &device);
    let soft = SoftTargets::new(3.0);
    let without = soft.loss(student.clone(), teacher.clone(), None).unwrap();
    let at_zero = soft.with_alpha(0.0).loss(student.clone(), teacher, Some(labels)).unwrap();
    assert_eq!(without.into_data(), at_zero.into_data());
    let same = soft.loss(student.clone(), student, None).unwrap();
    assert!(same.into_scalar::<f32>().abs() < 1e-6);
}

#[test]
fn bad_input_is_named() {
    let device = Device::flex();
    let logits = |batch, classes| Tensor::<2>::ones([batch, classes], &device);
    let maps = |shape| Tensor::<4>::ones(shape, &device);
    let labels = Tensor::<1, Int>::from_ints([0, 1, 1], &device);
    let soft = SoftTargets::new(4.0);
    let errors = [
        (soft.loss(logits(2, 3), logits(2, 4), None), "teacher's logits: expected shape [2, 3]"),
        (soft.loss(logits(2, 3), logits(2, 3), Some(labels)), "labels: expected shape [2, …]"),
        (SoftTargets::new(0.0).loss(logits(2, 3), logits(2, 3), None), "`temperature` is 0.0"),
        (SoftTargets::new(f64::NAN).loss(logits(2, 3), logits(2, 3), None), "`temperature` is NaN"),
        (soft.with_alpha(1.5).loss(logits(2, 3), logits(2, 3), None), "`alpha` is 1.5"),
        (hint_loss(logits(2, 3), logits(3, 3)), "found [3, 3]"),
        (
            attention_transfer_loss(maps([2, 3, 4, 4]), maps([2, 5, 4, 3])),
            "teacher's maps: expected shape [2, channels, 4, 4]",
        ),
        (distance_loss(logits(1, 3), logits(1, 3)), "2 examples or more"),
        (distance_loss(logits(3, 3), logits(2, 3)), "found [2, 3]"),
        (angle_loss(logits(2, 3), logits(2, 3)), "3 examples or more"),
    ];
    for (result, expected) in errors {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}; expected {expected}");
    }
    let error = MapRegressor::new(0, 4, &device).unwrap_err().to_string();
    assert!(error.contains("`student` is 0"), "{error}");
    let regressor = MapRegressor::new(3, 5, &device).unwrap();
    assert_eq!(regressor.forward(maps([2, 3, 4, 4])).unwrap().dims(), [2, 5, 4, 4]);
    let error = regressor.forward(maps([2, 4, 4, 4])).unwrap_err().to_string();
    assert!(error.contains("[batch, 3, height, width]"), "{error}");
    let error = FeatureRegressor::new(3, 5, &device).unwrap().forward(logits(2, 4)).unwrap_err();
    assert!(error.to_string().contains("[…, 3]"), "{error}");
}

/// Two linear layers.
#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
}

impl Net {
    fn new(hidden: usize, device: &Device) -> Self {
        // From data, not from the process-wide generator.
        let weights = |rows: usize, columns: usize| {
            let count = rows * columns;
            let values: Vec<f32> =
                (0..count).map(|i| ((i * 37 + 11) % 29) as f32 / 29.0 - 0.5).collect();
            Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), device)
        };
        let layer = |rows: usize, columns: usize| {
            let mut layer = LinearConfig::new(rows, columns).init(device);
            layer.weight = burn::module::Param::from_tensor(weights(rows, columns));
            layer.bias = layer
                .bias
                .map(|_| burn::module::Param::from_tensor(Tensor::zeros([columns], device)));
            layer
        };
        Self { first: layer(2, hidden), second: layer(hidden, 3) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(relu(self.first.forward(x)))
    }
}

/// Points and the third of the circle in which each lies.
fn points(device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
    let angle = |i: usize| (i as f32 + 0.5) / 96.0 * std::f32::consts::TAU;
    let values: Vec<f32> = (0..96).flat_map(|i| [angle(i).cos(), angle(i).sin()]).collect();
    let labels: Vec<i64> = (0..96).map(|i| i / 32).collect();
    (
        Tensor::from_data(TensorData::new(values, [96, 2]), device),
        Tensor::from_data(TensorData::new(labels, [96]), device),
    )
}

#[test]
fn a_student_graph_takes_over_what_the_teacher_says() {
    let device = Device::flex();
    let (x, y) = points(&device);
    let teacher = Graph::trace(&Net::new(32, &device), [1, 2], Net::forward).unwrap();
    let student = Graph::trace(&Net::new(8, &device), [1, 2], Net::forward).unwrap();
    // The teacher learns the classes, the student sees inputs and the teacher alone.
    let config = DistillConfig::new(SoftTargets::new(1.0).with_alpha(1.0))
        .with_budget(Budget::steps(150))
        .with_learning_rate(0.03);
    let labelled = vec![(x.clone(), y)];
    let teacher = distill(&teacher, &teacher, &labelled, config, &device, &mut Silent).unwrap();
    let config = DistillConfig::new(SoftTargets::new(2.0))
        .with_budget(Budget::steps(300))
        .with_learning_rate(0.03);
    let mut history = History::default();
    let data = vec![x.clone()];
    let taught = distill(&teacher, &student, &data, config, &device, &mut history).unwrap();
    let answers = |graph: &Graph| -> Vec<i64> {
        let logits: Tensor<2> = graph.init(&device).unwrap().forward(x.clone()).unwrap();
        logits.argmax(1).into_data().iter::<i64>().collect()
    };
    let agree = |a: &[i64], b: &[i64]| a.iter().zip(b).filter(|(a, b)| a == b).count();
    let expected = answers(&teacher);
    assert!(agree(&answers(&student), &expected) < 90);
    assert!(agree(&answers(&taught), &expected) >= 92);
    let curve = history.curve("train_loss").unwrap();
    assert!(curve.points.last().unwrap().1 < curve.points[0].1 / 10.0);
}

#[test]
fn any_module_is_a_student_and_the_teacher_stays() {
    let device = Device::flex().autodiff();
    let (x, _) = points(&device);
    let (teacher, student) = (Net::new(32, &device), Net::new(4, &device));
    let before = teacher.first.weight.val().into_data();
    let regressor = FeatureRegressor::new(4, 32, &device).unwrap();
    let fitted = Distillation::new(
        SupervisedConfig::new(Budget::steps(200)).with_log_every(10),
        (student, regressor),
        AdamConfig::new().init(),
        0.02,
    )
    .unwrap()
    .train(
        &teacher,
        &vec![x],
        |teacher: &Net, x| {
            assert!(!teacher.first.weight.val().is_autodiff());
            Ok(teacher.first.forward(x.clone().inner()))
        },
        |(student, regressor): &(Net, FeatureRegressor), x, taught| {
            let guessed = regressor.forward(student.first.forward(x))?;
            Ok::<_, Error>(StepOutput {
                loss: hint_loss(guessed, taught)?,
                items: 96,
                correct: None,
            })
        },
        |_| Ok(Evaluation::new("nothing", 0.0)),
        &mut Silent,
    )
    .unwrap();
    let curve = fitted.history.curve("train_loss").unwrap();
    // Two linear layers of width 4 hold any linear map of two numbers.
    assert!(curve.points.last().unwrap().1 < 1e-3 * curve.points[0].1);
    assert_eq!(before, teacher.first.weight.val().into_data());
}

#[test]
fn graphs_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let (x, y) = points(&device);
    let teacher = Graph::trace(&Net::new(8, &device), [1, 2], Net::forward).unwrap();
    let first = |net: &Net, x: Tensor<2>| net.first.forward(x);
    let student = Graph::trace(&Net::new(4, &device), [1, 2], first).unwrap();
    let data = vec![(x.clone(), y)];
    let soft = SoftTargets::new(4.0);
    let error = distill(&teacher, &student, &data, soft, &device, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("teacher's logits"), "{error}");
    let config = DistillConfig::new(soft).with_learning_rate(-1.0);
    let error = distill(&teacher, &teacher, &data, config, &device, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("`learning_rate` is -1.0"), "{error}");
    let module = teacher.init(&device).unwrap();
    let missing = {
        let mut other = teacher.clone();
        other
            .rewrite(|edit| {
                let last = edit.outputs()[0];
                Ok(edit.insert_after(
                    last,
                    "more",
                    model_utils::graph::Op::Scalar(model_utils::graph::Binary::Mul, 2.0),
                ))
            })
            .unwrap()
    };
    let error = forward_intermediates(&module, vec![x.into()], &[missing]).unwrap_err();
    assert!(error.to_string().contains("it is not in the graph"), "{error}");
}
