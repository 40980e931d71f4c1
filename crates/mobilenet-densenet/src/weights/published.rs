//! The files of weights that torchvision publishes.

use std::path::Path;

use model_utils::config::ConfigError;

use crate::architecture::Architecture;
use crate::error::Result;

/// A file of weights that torchvision publishes, for `ImageNet`'s 1000 classes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Published {
    /// The model.
    pub architecture: Architecture,
    /// torchvision's `IMAGENET1K_V1` or `V2`.
    pub version: u8,
    /// The file's name. Before its extension stand the first eight digits of its SHA-256 checksum.
    pub file: &'static str,
    /// What the shorter side of an image is resized to; the middle 224×224 is taken.
    pub resize: usize,
    /// Share of `ImageNet`'s validation images that are right, in percent.
    pub top1: f64,
    /// Share whose label is among the first five answers, in percent.
    pub top5: f64,
}

/// Where the files are.
#[cfg(feature = "download")]
const SOURCE: &str = "https://download.pytorch.org/models/";

use Architecture::{
    DenseNet121, DenseNet161, DenseNet169, DenseNet201, MobileNetV2, MobileNetV3Large,
    MobileNetV3Small, ResNet18, ResNet34, ResNet50, ResNet101, ResNet152, Vgg11, Vgg11Bn, Vgg13,
    Vgg13Bn, Vgg16, Vgg16Bn, Vgg19, Vgg19Bn,
};

/// Architecture, version, file, resize, top-1, top-5: torchvision 0.29's `WeightsEnum`s.
#[rustfmt::skip]
const TABLE: [(Architecture, u8, &str, usize, f64, f64); 25] = [
    (DenseNet121, 1, "densenet121-a639ec97.pth", 256, 74.434, 91.972),
    (DenseNet161, 1, "densenet161-8d451a50.pth", 256, 77.138, 93.56),
    (DenseNet169, 1, "densenet169-b2777c0a.pth", 256, 75.6, 92.806),
    (DenseNet201, 1, "densenet201-c1103571.pth", 256, 76.896, 93.37),
    (MobileNetV2, 1, "mobilenet_v2-b0353104.pth", 256, 71.878, 90.286),
    (MobileNetV2, 2, "mobilenet_v2-7ebf99e0.pth", 232, 72.154, 90.822),
    (MobileNetV3Large, 1, "mobilenet_v3_large-8738ca79.pth", 256, 74.042, 91.34),
    (MobileNetV3Large, 2, "mobilenet_v3_large-5c1a4163.pth", 232, 75.274, 92.566),
    (MobileNetV3Small, 1, "mobilenet_v3_small-047dcff4.pth", 256, 67.668, 87.402),
    (ResNet101, 1, "resnet101-63fe2227.pth", 256, 77.374, 93.546),
    (ResNet101, 2, "resnet101-cd907fc2.pth", 232, 81.886, 95.78),
    (ResNet152, 1, "resnet152-394f9c45.pth", 256, 78.312, 94.046),
    (ResNet152, 2, "resnet152-f82ba261.pth", 232, 82.284, 96.002),
    (ResNet18, 1, "resnet18-f37072fd.pth", 256, 69.758, 89.078),
    (ResNet34, 1, "resnet34-b627a593.pth", 256, 73.314, 91.42),
    (ResNet50, 1, "resnet50-0676ba61.pth", 256, 76.13, 92.862),
    (ResNet50, 2, "resnet50-11ad3fa6.pth", 232, 80.858, 95.434),
    (Vgg11, 1, "vgg11-8a719046.pth", 256, 69.02, 88.628),
    (Vgg11Bn, 1, "vgg11_bn-6002323d.pth", 256, 70.37, 89.81),
    (Vgg13, 1, "vgg13-19584684.pth", 256, 69.928, 89.246),
    (Vgg13Bn, 1, "vgg13_bn-abd245e5.pth", 256, 71.586, 90.374),
    (Vgg16, 1, "vgg16-397923af.pth", 256, 71.592, 90.382),
    (Vgg16Bn, 1, "vgg16_bn-6c64b313.pth", 256, 73.36, 91.516),
    (Vgg19, 1, "vgg19-dcbb9e9d.pth", 256, 72.376, 90.876),
    (Vgg19Bn, 1, "vgg19_bn-c79401a0.pth", 256, 74.218, 91.842),
];

impl Published {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|(architecture, version, file, resize, top1, top5)| Self {
            architecture,
            version,
            file,
            resize,
            top1,
            top5,
        })
    }

    /// The file of a name such as `resnet50`, `resnet50.v1` or `resnet50-0676ba61.pth`. Of a model
    /// alone it is the latest.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a name that is none of these.
    pub fn find(name: &str) -> Result<Self> {
        let names = |found: &Self| {
            let versioned = format!("{}.v{}", found.architecture, found.version);
            name == found.file || name == versioned || name == found.architecture.name()
        };
        let found = Self::all().filter(names).max_by_key(|found| found.version);
        found.ok_or_else(|| {
            let known: Vec<_> =
                Self::all().map(|p| format!("{}.v{}", p.architecture, p.version)).collect();
            ConfigError::new("weights", name, format!("one of {}", known.join(", "))).into()
        })
    }

    /// The file of a path's name, if it is one of them.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        Self::all().find(|published| published.file == name)
    }

    /// The digits of its checksum that are in its name.
    pub fn sha256_start(&self) -> &'static str {
        let stem = self.file.trim_end_matches(".pth");
        stem.rsplit('-').next().unwrap_or(stem)
    }

    /// Fetches the file into a folder, unless it is there already, and returns its path. `progress`
    /// is told the bytes received and how many there are.
    ///
    /// # Errors
    ///
    /// As [`model_utils::download::fetch`]: the file appears only when it is whole and its checksum
    /// begins with the digits in its name.
    #[cfg(feature = "download")]
    pub fn fetch(
        &self,
        folder: &Path,
        progress: &mut dyn model_utils::train::Observer,
    ) -> Result<std::path::PathBuf> {
        let url = format!("{SOURCE}{}", self.file);
        let target = folder.join(self.file);
        Ok(model_utils::download::fetch(&url, self.sha256_start(), target, progress)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_model_version_and_name() {
        assert_eq!(Published::find("resnet50").unwrap().version, 2);
        assert_eq!(Published::find("resnet50.v1").unwrap().file, "resnet50-0676ba61.pth");
        let mobile = Published::of_file(Path::new("some/mobilenet_v2-7ebf99e0.pth")).unwrap();
        assert_eq!((mobile.resize, mobile.sha256_start()), (232, "7ebf99e0"));
        assert!(Published::find("resnet50.v3").is_err());
        for published in Published::all() {
            assert_eq!(published.sha256_start().len(), 8, "{}", published.file);
            assert!(published.file.starts_with(published.architecture.name()));
            assert!(published.top1 < published.top5);
        }
    }
}
