//! One type for the models of all families, so that a program that is told a name holds one value.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use model_utils::weights::{Import, Manifest, Names, Report, Stored};

use crate::classifier::{Classifier, Stage};
use crate::densenet::DenseNet;
use crate::error::Result;
use crate::mobilenet_v1::MobileNetV1;
use crate::mobilenet_v2::MobileNetV2;
use crate::mobilenet_v3::MobileNetV3;
use crate::resnet::ResNet;
use crate::vgg::Vgg;

/// The types of models, each under its own name.
macro_rules! families {
    ($($family:ident),+) => {
        /// A model of any family.
        ///
        /// ```
        /// use mobilenet_densenet::{Architecture, BuildOptions, Classifier, ImageModel};
        /// # let device = "flex".parse::<model_utils::device::DeviceSpec>()?.open()?;
        ///
        /// let architecture: Architecture = "resnet18".parse()?;
        /// let model = architecture.build(&BuildOptions::new().with_classes(10), &device)?;
        /// assert_eq!(model.classes(), 10);
        /// // Each is still of its own type.
        /// let ImageModel::ResNet(_) = model else { unreachable!() };
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Module, Debug)]
        #[allow(clippy::large_enum_variant)] // A program has a handful.
        #[allow(missing_docs)] // The names are the models'.
        pub enum ImageModel {
            $($family($family)),+
        }

        /// The types of models.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // The names are the models'.
        #[non_exhaustive]
        pub enum Family {
            $($family),+
        }

        impl Family {
            /// Its name in the manifest of a saved model: `mobilenet_v2`, `densenet`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$family => $family::MODEL),+
                }
            }
        }

        impl ImageModel {
            /// Which of the types it is.
            pub fn family(&self) -> Family {
                match self {
                    $(Self::$family(_) => Family::$family),+
                }
            }

            /// Builds the model of whichever family a file describes, and loads its weights.
            ///
            /// # Errors
            ///
            /// As [`Stored::load`].
            pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
                let path = path.as_ref();
                match Manifest::read(path)?.model.as_str() {
                    $($family::MODEL => Ok($family::load(path, device)?.into()),)+
                    other => {
                        let path = path.to_path_buf();
                        let differences =
                            vec![format!("it holds a model {other}, expected an image model")];
                        Err(model_utils::Error::Mismatch { path, differences }.into())
                    }
                }
            }
        }

        $(impl From<$family> for ImageModel {
            fn from(model: $family) -> Self {
                Self::$family(model)
            }
        })+
    };
}
families!(MobileNetV1, MobileNetV2, MobileNetV3, DenseNet, ResNet, Vgg);

/// The same expression of the model, whichever it is.
macro_rules! each {
    ($any:expr, $model:ident => $result:expr) => {
        match $any {
            $crate::ImageModel::MobileNetV1($model) => $result,
            $crate::ImageModel::MobileNetV2($model) => $result,
            $crate::ImageModel::MobileNetV3($model) => $result,
            $crate::ImageModel::DenseNet($model) => $result,
            $crate::ImageModel::ResNet($model) => $result,
            $crate::ImageModel::Vgg($model) => $result,
        }
    };
}
#[cfg(feature = "pretrained")]
pub(crate) use each;

impl ImageModel {
    /// The names that PyTorch's model of the family gives to parameters; see
    /// [`Stored::torch_name`].
    pub fn torch_names(&self) -> Names {
        fn of<M: Stored>(_: &M) -> Names {
            M::torch_name
        }
        each!(self, model => of(model))
    }

    /// Saves weights and configuration to one SafeTensors file, as [`Stored::save`].
    ///
    /// # Errors
    ///
    /// As [`Stored::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        each!(self, model => model.save(path))
    }

    /// Loads weights from elsewhere (PyTorch, SafeTensors) into this model.
    ///
    /// # Errors
    ///
    /// As [`Stored::import`].
    pub fn import(self, import: &Import) -> Result<(Self, Report)> {
        each!(self, model => {
            let (model, report) = model.import(import)?;
            Ok((model.into(), report))
        })
    }
}

impl Classifier for ImageModel {
    fn forward_stages(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        each!(self, model => model.forward_stages(images))
    }

    fn forward_head(&self, features: Tensor<4>) -> Tensor<2> {
        each!(self, model => model.forward_head(features))
    }

    fn stages(&self) -> &[Stage] {
        each!(self, model => model.stages())
    }

    fn reset_classifier(self, classes: usize) -> Result<Self> {
        each!(self, model => Ok(model.reset_classifier(classes)?.into()))
    }

    fn freeze_backbone(self) -> Self {
        each!(self, model => model.freeze_backbone().into())
    }

    fn classes(&self) -> usize {
        each!(self, model => model.classes())
    }

    fn channels(&self) -> usize {
        each!(self, model => model.channels())
    }

    fn min_side(&self) -> usize {
        each!(self, model => model.min_side())
    }
}
