//! A small model learns from a large one: not only which class is right, but what else the large one
//! holds for possible, and what it sees on the way there.
//!
//! | item | what the student is to share with the teacher |
//! | --- | --- |
//! | [`SoftTargets`] | probabilities at a raised temperature, Hinton et al. 2015 |
//! | [`hint_loss`], [`MapRegressor`], [`FeatureRegressor`] | an inner layer, Romero et al. 2014 |
//! | [`attention_transfer_loss`] | where feature maps are large, Zagoruyko and Komodakis 2016 |
//! | [`distance_loss`], [`angle_loss`] | how examples lie to each other, Park et al. 2019 |
//! | [`distill`] | trains one graph by another with soft targets |
//! | [`Distillation`] | trains any module by any other, with the caller's closures |
//! | [`forward_intermediates`] | what lies between input and output of a graph |
//!
//! The losses are functions of tensors, so that they serve any model; no gradient goes to the teacher.
//! With closures they add up as one likes:
//!
//! ```
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::AdamConfig;
//! use burn::tensor::{Int, Tensor};
//! use compress::distill::{Distillation, SoftTargets, distance_loss};
//! # use model_utils::device::DeviceSpec;
//! use model_utils::train::{Budget, Evaluation, Silent, StepOutput, SupervisedConfig};
//!
//! // Any two Burn modules; here linear layers, from two numbers to three classes.
//! let device = "flex".parse::<DeviceSpec>()?.open()?.autodiff();
//! let (teacher, student) = (LinearConfig::new(2, 3).init(&device), LinearConfig::new(2, 3).init(&device));
//! let images = Tensor::<2>::from_data([[0.1, 0.9], [0.8, 0.3], [0.5, 0.4]], &device);
//! let labels = Tensor::<1, Int>::from_ints([1, 0, 2], &device);
//! let batches = vec![(images, labels)];
//!
//! let config = SupervisedConfig::new(Budget::epochs(20));
//! let trained = Distillation::new(config, student, AdamConfig::new().init(), 0.05)?.train(
//!     &teacher,
//!     &batches,
//!     |teacher: &Linear, (images, _)| Ok(teacher.forward(images.clone().inner())),
//!     |student: &Linear, (images, labels), taught| {
//!         let logits = student.forward(images);
//!         let soft = SoftTargets::new(4.0).loss(logits.clone(), taught.clone(), Some(labels))?;
//!         let loss = soft + distance_loss(logits, taught)? * 0.1;
//!         Ok::<_, compress::Error>(StepOutput { loss, items: 3, correct: None })
//!     },
//!     |_| Ok(Evaluation::new("nothing", 0.0)),
//!     &mut Silent,
//! )?;
//! # assert_eq!(trained.step, 20);
//! # Ok::<(), compress::Error>(())
//! ```

mod attention;
mod hint;
mod intermediates;
mod relational;
mod shapes;
mod soft_targets;
mod training;
mod transfer;

pub use attention::{attention_map, attention_transfer_loss};
pub use hint::{FeatureRegressor, MapRegressor, hint_loss};
pub use intermediates::forward_intermediates;
pub use relational::{angle_loss, distance_loss};
pub use soft_targets::SoftTargets;
pub use training::{DistillConfig, Distillation, distill};
pub use transfer::TransferBatch;
