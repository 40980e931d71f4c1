//! Generative adversarial networks on [Burn](https://burn.dev): a generator that makes samples of
//! random numbers, a discriminator that tells them from real ones, and the game between the two;
//! from the original losses through DCGAN to exact gradient penalties, with honest metrics.
//!
//! # A first program
//!
//! ```
//! use gan::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let device = "flex".parse::<DeviceSpec>()?.open()?;
//!     let shapes = ShapesConfig::new().with_size(16).init(Split::Train, 64)?.classification();
//!     let images = Images::from_dataset(&shapes)?; // yours: Images::open("folder", Split::Train)?
//!
//!     // configuration → two networks → training → images; the loss is a value
//!     let networks = DcganConfig::for_size(16).with_width(8);
//!     let mut gan = GanConfig::new(networks, Loss::NonSaturating).with_seed(42).init(&device)?;
//!     gan.train(&images, Budget::steps(3), &mut Silent)?; // yours: 5000 steps, a ProgressBar
//! #   let folder = tempfile::tempdir()?;
//! #   std::env::set_current_dir(folder.path())?;
//!     let path = std::env::temp_dir().join("made.png");
//!     gan.sample(1, 42)?[0].save(&path)?;
//!     println!("{} holds a made one", path.display());
//!     Ok(())
//! }
//! ```
//!
//! Modules of your own play too: implement [`Generator`] and [`Discriminator`] for them and hand
//! them to [`Gan::new`].
//!
//! # Map
//!
//! | module | holds |
//! | --- | --- |
//! | [`dcgan`] | Radford et al. 2015, <https://arxiv.org/abs/1511.06434>, plain and conditional (Mirza and Osindero 2014, <https://arxiv.org/abs/1411.1784>), each rule removable |
//! | [`mlp`] | networks of fully connected layers, for vectors |
//! | [`player`] | the traits that a network of one's own implements |
//! | [`loss`] | Goodfellow et al. 2014, <https://arxiv.org/abs/1406.2661>, least squares, Wasserstein, hinge, relativistic |
//! | [`penalty`], [`jvp`] | WGAN-GP (Gulrajani et al. 2017, <https://arxiv.org/abs/1704.00028>), R1 and R2, exact; clipping |
//! | [`spectral`] | spectral normalisation of any module (Miyato et al. 2018, <https://arxiv.org/abs/1802.05957>) |
//! | [`config`], [`trainer`] | the rules and the game: steps of either player, average, packing, exact resume |
//! | [`reals`], [`mixture`] | real samples: images, also in [clusters](Images::clustered) where labels are missing (Sage et al. 2018, <https://arxiv.org/abs/1712.04407>); Gaussians in the plane |
//! | [`noise`], [`sample`] | random numbers and what is made of them: images, walks, arithmetic, nearest real images |
//! | [`metrics`] | FID, KID, class score, precision, recall, density, coverage, each beside its floor |
//! | [`prelude`] | what a first program needs, Burn and devices included |
//!
//! # Design decisions
//!
//! - Losses are functions of logits; a discriminator that ends in a sigmoid is refused where the
//!   loss applies it itself.
//! - While one player learns, the other is a throwaway copy: batch statistics as in training, no
//!   gradients, and running statistics that are dropped with it. The player at rest stays the same
//!   to the bit.
//! - Burn's autodiff is of first order. The gradient of a gradient comes from a
//!   [Jacobian-vector product](jvp), exactly; batch normalisation in the discriminator is refused there,
//!   as it ties the samples of a batch together.
//! - All random numbers are drawn on the host, each batch from (seed, number): a run resumes
//!   exactly, and devices differ by rounding alone.
//! - A loss or gradient that is not finite ends the training before it reaches a weight.
//!
//! # Features
//!
//! `flex` (default), `ndarray`, `wgpu`, `cuda`: the devices.

mod clusters;
pub mod config;
pub mod dcgan;
pub mod error;
pub mod jvp;
pub mod loss;
pub mod metrics;
pub mod mixture;
pub mod mlp;
pub mod noise;
pub mod penalty;
pub mod player;
pub mod prelude;
pub mod reals;
pub mod sample;
pub mod spectral;
pub mod trainer;

pub use config::{GanConfig, Rules};
pub use dcgan::DcganConfig;
pub use error::{Error, Result};
pub use loss::Loss;
pub use mixture::Mixture;
pub use mlp::MlpConfig;
pub use noise::Prior;
pub use penalty::Penalty;
pub use player::{Discriminator, Generator, Networks, Output};
pub use reals::{Images, Reals};
pub use trainer::Gan;
