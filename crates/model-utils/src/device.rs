//! Devices as data: parse a name, open it or say why not, tell what answers, seed it.
//!
//! | text | device |
//! | --- | --- |
//! | `flex`, `cpu` | Burn's fast pure-Rust backend, the default |
//! | `ndarray` | the `ndarray` backend |
//! | `wgpu`, `wgpu:N` | the best, or the Nth, adapter that wgpu finds (Vulkan, Metal, DirectX) |
//! | `cuda`, `cuda:N` | the Nth NVIDIA card |
//!
//! Each needs the Cargo feature of its name; this module and [`ops`](crate::ops) are the only
//! places that name a backend.
//!
//! ```
//! use model_utils::device::{DeviceSpec, seed};
//!
//! let device = "flex".parse::<DeviceSpec>()?.open()?;
//! seed(&device, 42);
//! # Ok::<(), model_utils::Error>(())
//! ```

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result, catch_panic};
use crate::random::mix;

/// A device by name. See the [module](self) for the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DeviceSpec {
    /// Burn's pure-Rust backend for processors, with its own convolution and matrix kernels.
    #[default]
    Flex,
    /// The `ndarray` backend for processors.
    NdArray,
    /// A graphics card through wgpu: `None` is the adapter that wgpu holds for the fastest.
    Wgpu(Option<usize>),
    /// An NVIDIA card through CUDA.
    Cuda(usize),
}

/// What a device computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeviceClass {
    /// The processor.
    Cpu,
    /// A graphics card.
    Gpu,
    /// A graphics interface computed by the processor (for example llvmpipe): good for tests,
    /// not for timings.
    SoftwareGpu,
}

/// A device that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its name here.
    pub spec: DeviceSpec,
    /// The name of the processor or adapter.
    pub adapter: String,
    /// What it computes on.
    pub class: DeviceClass,
    /// The graphics driver and its version, where the system tells them.
    pub driver: Option<String>,
}

impl DeviceSpec {
    /// One specification for each backend in this build.
    pub fn built() -> Vec<Self> {
        [Self::Flex, Self::NdArray, Self::Wgpu(None), Self::Cuda(0)]
            .into_iter()
            .filter(|spec| spec.is_built())
            .collect()
    }

    /// Every device of this build that answers on this machine. Opens each of them.
    pub fn available() -> Vec<DeviceInfo> {
        let mut specs = Vec::new();
        for family in Self::built() {
            match family {
                Self::Wgpu(_) => {
                    specs.extend((0..adapters(family).len()).map(|n| Self::Wgpu(Some(n))));
                }
                Self::Cuda(_) => specs.extend((0..adapters(family).len()).map(Self::Cuda)),
                cpu => specs.push(cpu),
            }
        }
        specs.into_iter().filter_map(|spec| spec.info().ok()).collect()
    }

    /// The Cargo feature that brings this device.
    pub fn feature(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu(_) => "wgpu",
            Self::Cuda(_) => "cuda",
        }
    }

    /// Whether this build can open it.
    pub fn is_built(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::NdArray => cfg!(feature = "ndarray"),
            Self::Wgpu(_) => cfg!(feature = "wgpu"),
            Self::Cuda(_) => cfg!(feature = "cuda"),
        }
    }

    /// Opens the device and computes one number on it, so that a device that is not there is
    /// an error here and not a panic later.
    ///
    /// The device has no autodiff: `device.autodiff()` adds it where a model is trained.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceNotBuilt`] names the missing Cargo feature, [`Error::DeviceAbsent`] says
    /// what was found instead.
    pub fn open(self) -> Result<Device> {
        if !self.is_built() {
            return Err(Error::DeviceNotBuilt { spec: self.to_string(), feature: self.feature() });
        }
        let absent = |reason: String| Error::DeviceAbsent { spec: self.to_string(), reason };
        let device = match self {
            #[cfg(feature = "flex")]
            Self::Flex => return Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            Self::NdArray => {
                // Upstream prefers `flex`; `ndarray` stays a full citizen here.
                #[allow(deprecated)]
                return Ok(Device::ndarray());
            }
            #[cfg(feature = "wgpu")]
            Self::Wgpu(None) if !adapters(self).is_empty() => {
                Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)
            }
            gpu => {
                let mut found = adapters(gpu);
                let index = match gpu {
                    Self::Wgpu(Some(index)) | Self::Cuda(index) => index,
                    _ => 0,
                };
                if index >= found.len() {
                    return Err(absent(match found.len() {
                        0 => format!(
                            "no {} adapter was found; is its driver installed?",
                            gpu.feature()
                        ),
                        n => format!("{n} found, numbered 0 to {}", n - 1),
                    }));
                }
                found.swap_remove(index)
            }
        };
        let probe = || Tensor::<1>::full([8], 0.5, &device).sum().into_data().try_to_vec::<f32>();
        match catch_panic(probe) {
            Ok(Ok(sum)) if sum == [4.0] => Ok(device),
            Ok(answer) => Err(absent(format!("8 × 0.5 gave {answer:?}"))),
            Err(panic) => Err(absent(panic)),
        }
    }

    /// Opens the device and tells what it is.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn info(self) -> Result<DeviceInfo> {
        let device = self.open()?;
        let (adapter, class) = match self {
            Self::Flex | Self::NdArray => (processor_name(), DeviceClass::Cpu),
            Self::Wgpu(_) | Self::Cuda(_) => adapter_name(&device),
        };
        let driver = driver(self, &adapter);
        Ok(DeviceInfo { spec: self, adapter, class, driver })
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            other => f.write_str(other.feature()),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::UnknownDevice { spec: text.to_owned() };
        let (name, index) = match text.split_once(':') {
            Some((name, digits)) => {
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                (name, Some(digits.parse().ok().filter(|_| plain).ok_or_else(unknown)?))
            }
            None => (text, None),
        };
        match (name.to_ascii_lowercase().as_str(), index) {
            ("flex" | "cpu", None) => Ok(Self::Flex),
            ("ndarray", None) => Ok(Self::NdArray),
            ("wgpu", index) => Ok(Self::Wgpu(index)),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

/// As its name.
impl Serialize for DeviceSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeviceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.spec, self.adapter)?;
        if self.class == DeviceClass::SoftwareGpu {
            f.write_str(", a software GPU: its timings say nothing of a real one")?;
        }
        f.write_str(")")
    }
}

/// Seeds the device's random generator, from which initialisation and dropout draw.
///
/// The generator can be seeded but not saved, so whatever must resume exactly seeds it anew at
/// each step, from [`step_seed`]. On processors the generator is one for the whole process:
/// threads that draw from it at the same time share its sequence.
pub fn seed(device: &Device, seed: u64) {
    device.clone().without_autodiff().seed(seed);
}

/// The seed of one step of a run: a well-mixed function of both.
pub fn step_seed(seed: u64, step: u64) -> u64 {
    mix(seed, step)
}

/// The devices behind a graphics backend; empty where there are none or the driver is missing.
fn adapters(family: DeviceSpec) -> Vec<Device> {
    let list = || -> Vec<Device> {
        match family {
            #[cfg(feature = "wgpu")]
            DeviceSpec::Wgpu(_) if !first_class_adapters().is_empty() => {
                Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec()
            }
            #[cfg(feature = "cuda")]
            DeviceSpec::Cuda(_) => Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec(),
            _ => Vec::new(),
        }
    };
    // A missing driver library makes the enumeration itself panic on some systems.
    catch_panic(list).unwrap_or_default()
}

/// What wgpu finds on Vulkan, Metal or `DirectX` 12.
///
/// Where there is nothing, Burn falls back to OpenGL, which does not hold out: its context is bound
/// to one thread, and the others panic.
#[cfg(feature = "wgpu")]
fn first_class_adapters() -> Vec<burn::tensor::wgpu::wgpu::AdapterInfo> {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use burn::tensor::wgpu::wgpu::{Adapter, Backends, Instance, InstanceDescriptor};

    let descriptor = InstanceDescriptor {
        backends: Backends::PRIMARY,
        ..InstanceDescriptor::new_without_display_handle()
    };
    let instance = Instance::new(descriptor);
    let adapters = pin!(instance.enumerate_adapters(Backends::PRIMARY));
    // Outside a browser the list is ready at once.
    match adapters.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(adapters) => adapters.iter().map(Adapter::get_info).collect(),
        Poll::Pending => Vec::new(),
    }
}

/// The driver behind an adapter and its version.
#[cfg_attr(not(feature = "wgpu"), allow(unused_variables))]
fn driver(spec: DeviceSpec, adapter: &str) -> Option<String> {
    match spec {
        #[cfg(feature = "wgpu")]
        DeviceSpec::Wgpu(_) => {
            let info = first_class_adapters().into_iter().find(|info| info.name == adapter)?;
            Some(format!("{} {} ({:?})", info.driver, info.driver_info, info.backend))
        }
        // NVIDIA's kernel module tells its version on Linux.
        DeviceSpec::Cuda(_) => {
            let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
            Some(
                text.lines()
                    .next()?
                    .split_once(':')?
                    .1
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        }
        _ => None,
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn adapter_name(device: &Device) -> (String, DeviceClass) {
    match device.identity() {
        Some(identity) if identity.physical.is_some() => (identity.name, DeviceClass::Gpu),
        Some(identity) => (identity.name, DeviceClass::SoftwareGpu),
        None => ("unknown adapter".to_owned(), DeviceClass::Gpu),
    }
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
fn adapter_name(_: &Device) -> (String, DeviceClass) {
    ("unknown adapter".to_owned(), DeviceClass::Gpu)
}

/// The processor's name where the system tells it, its architecture elsewhere.
pub(crate) fn processor_name() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        for (text, spec, printed) in [
            ("flex", DeviceSpec::Flex, "flex"),
            ("cpu", DeviceSpec::Flex, "flex"),
            ("NdArray", DeviceSpec::NdArray, "ndarray"),
            ("wgpu", DeviceSpec::Wgpu(None), "wgpu"),
            ("wgpu:1", DeviceSpec::Wgpu(Some(1)), "wgpu:1"),
            ("cuda", DeviceSpec::Cuda(0), "cuda:0"),
            ("cuda:3", DeviceSpec::Cuda(3), "cuda:3"),
        ] {
            let parsed: DeviceSpec = text.parse().unwrap();
            assert_eq!(parsed, spec);
            assert_eq!(parsed.to_string(), printed);
            assert_eq!(printed.parse::<DeviceSpec>().unwrap(), spec);
        }
        for text in ["", "gpu", "flex:0", "wgpu:", "wgpu:x", "wgpu:-1", "cuda:+1", "cuda:1:2"] {
            let error = text.parse::<DeviceSpec>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("wgpu:N"), "{error}");
        }
    }

    #[test]
    fn what_is_not_built_names_the_feature() {
        for spec in
            [DeviceSpec::Flex, DeviceSpec::NdArray, DeviceSpec::Wgpu(None), DeviceSpec::Cuda(0)]
        {
            if !spec.is_built() {
                let error = spec.open().unwrap_err().to_string();
                let feature = spec.feature();
                assert!(
                    error.contains(&format!(
                        "built without `{feature}`: add `--features {feature}`"
                    )),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn every_available_device_opens_and_has_a_name() {
        let available = DeviceSpec::available();
        let processors = DeviceSpec::built()
            .iter()
            .filter(|spec| matches!(spec, DeviceSpec::Flex | DeviceSpec::NdArray))
            .count();
        assert!(available.len() >= processors);
        for info in available {
            info.spec.open().unwrap();
            assert!(!info.adapter.is_empty());
        }
    }

    #[test]
    fn an_adapter_out_of_range_is_an_error() {
        for spec in [DeviceSpec::Wgpu(Some(999)), DeviceSpec::Cuda(999)] {
            let error = spec.open().unwrap_err();
            assert!(
                matches!(error, Error::DeviceAbsent { .. } | Error::DeviceNotBuilt { .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn step_seeds_differ() {
        let mut seeds: Vec<u64> =
            (0..100).flat_map(|seed| (0..100).map(move |step| step_seed(seed, step))).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 10_000);
    }
}
