//! Where a comparison was made.

use std::fmt;
use std::thread::available_parallelism;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::device::{DeviceClass, DeviceSpec, processor_name};
use crate::error::catch_panic;

/// The version of Burn this crate is built on; a test holds it against the workspace's manifest.
const BURN: &str = "0.22.1";

/// The machine and the software of a comparison. Names no host and no folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Logical processor cores that this process may use.
    pub cores: usize,
    /// The processor's clock as the system gives it, in MHz: its highest where that is known, that of
    /// the moment elsewhere.
    pub clock_mhz: Option<u32>,
    /// The machine's memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// The operating system and the architecture.
    pub system: String,
    /// The version of this crate.
    pub version: String,
    /// The version of Burn.
    pub burn: String,
    /// `release`, or `debug` for a build whose times say nothing.
    pub profile: String,
    /// The devices that were asked for.
    pub devices: Vec<MachineDevice>,
}

/// A device that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MachineDevice {
    /// Its name here.
    pub spec: DeviceSpec,
    /// The name of the processor or adapter; empty where it does not open.
    pub adapter: String,
    /// What it computes on, where it opens.
    pub class: Option<DeviceClass>,
    /// The driver and its version, where they are known.
    pub driver: Option<String>,
    /// Bits of a factor's mantissa that a product of large matrices keeps, by trial on graphics
    /// cards: 24 in single precision, 11 with TensorFloat-32 or half precision, 8 with bfloat16.
    pub product_bits: Option<u32>,
    /// Why it does not open, where it does not.
    pub absent: Option<String>,
}

impl Machine {
    /// Describes this machine and the given devices, each once. Opens them.
    pub fn describe(devices: &[DeviceSpec]) -> Self {
        let mut described: Vec<MachineDevice> = Vec::new();
        for &spec in devices {
            if described.iter().all(|device| device.spec != spec) {
                described.push(MachineDevice::describe(spec));
            }
        }
        Self {
            processor: processor_name(),
            cores: available_parallelism().map_or(1, usize::from),
            clock_mhz: clock_mhz(),
            memory_bytes: memory_bytes(),
            system: system(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            burn: BURN.to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            devices: described,
        }
    }

    /// A device by its name.
    pub fn device(&self, spec: DeviceSpec) -> Option<&MachineDevice> {
        self.devices.iter().find(|device| device.spec == spec)
    }

    /// Name and value of each property, for tables.
    pub fn properties(&self) -> Vec<[String; 2]> {
        let unknown = || "unknown".to_owned();
        let mut rows = vec![
            ["processor".to_owned(), self.processor.clone()],
            ["logical cores".to_owned(), self.cores.to_string()],
            ["clock".to_owned(), self.clock_mhz.map_or_else(unknown, |mhz| format!("{mhz} MHz"))],
            ["memory".to_owned(), self.memory_bytes.map_or_else(unknown, gibibytes)],
            ["system".to_owned(), self.system.clone()],
            ["model-utils".to_owned(), format!("{}, {}", self.version, self.profile)],
            ["Burn".to_owned(), self.burn.clone()],
        ];
        rows.extend(self.devices.iter().map(|d| [format!("device {}", d.spec), d.to_string()]));
        rows
    }

    /// What differs from another machine, a line each; devices that only one of them has are no
    /// difference.
    pub(super) fn differences(&self, old: &Self) -> Vec<String> {
        let rows = self.properties();
        old.properties()
            .into_iter()
            .filter_map(|[name, was]| {
                let [_, is] = rows.iter().find(|[other, _]| *other == name)?;
                (*is != was).then(|| format!("{name}: {is}, was {was}"))
            })
            .collect()
    }
}

impl MachineDevice {
    fn describe(spec: DeviceSpec) -> Self {
        match spec.info() {
            Ok(info) => Self {
                spec,
                adapter: info.adapter,
                class: Some(info.class),
                driver: info.driver,
                product_bits: (info.class == DeviceClass::Gpu)
                    .then(|| catch_panic(|| product_bits(spec)).ok().flatten())
                    .flatten(),
                absent: None,
            },
            Err(error) => Self {
                spec,
                adapter: String::new(),
                class: None,
                driver: None,
                product_bits: None,
                absent: Some(error.to_string()),
            },
        }
    }
}

impl MachineDevice {
    /// Whether matrix products round their factors to less than single precision.
    pub fn is_coarse(&self) -> bool {
        self.product_bits.is_some_and(|bits| bits < 24)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.properties();
        let width = rows.iter().map(|[name, _]| name.len()).max().unwrap_or(0);
        rows.iter().try_for_each(|[name, value]| writeln!(f, "{name:width$}  {value}"))
    }
}

impl fmt::Display for MachineDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.absent {
            return f.write_str(reason);
        }
        f.write_str(&self.adapter)?;
        if let Some(driver) = &self.driver {
            write!(f, ", driver {driver}")?;
        }
        if let Some(bits) = self.product_bits.filter(|_| self.is_coarse()) {
            write!(f, ", factors of matrix products rounded to {bits} bits")?;
        }
        if self.class == Some(DeviceClass::SoftwareGpu) {
            f.write_str(", a software GPU: its timings say nothing of a real one")?;
        }
        Ok(())
    }
}

/// Bits of a factor's mantissa that the device's matrix product keeps; `None` where the product is wrong
/// altogether.
fn product_bits(spec: DeviceSpec) -> Option<u32> {
    // Large enough for the kernels that round.
    const SIDE: usize = 512;
    let device = spec.open().ok()?;
    let identity = Tensor::<2>::eye(SIDE, &device);
    bits_kept(|value| {
        let product = Tensor::<2>::full([SIDE, SIDE], value, &device).matmul(identity.clone());
        product.into_data().iter::<f32>().next()
    })
}

/// The largest `bits` at which 1 + 2^(1 − bits) comes through.
fn bits_kept(product: impl Fn(f32) -> Option<f32>) -> Option<u32> {
    let keeps = |bits: u32| {
        let value = 1.0 + (0.5_f32).powi(bits as i32 - 1);
        product(value) == Some(value)
    };
    (2..=24).rev().find(|bits| keeps(*bits))
}

/// The processor's highest clock where the system tells, else that of the moment.
fn clock_mhz() -> Option<u32> {
    let highest = "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq";
    if let Ok(text) = std::fs::read_to_string(highest) {
        return Some(text.trim().parse::<u32>().ok()? / 1000);
    }
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("cpu MHz"))?;
    Some(line.split_once(':')?.1.trim().parse::<f64>().ok()?.round() as u32)
}

/// The machine's memory.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

/// The operating system by the name it gives itself, and the architecture.
fn system() -> String {
    use std::env::consts::{ARCH, OS};
    let name = std::fs::read_to_string("/etc/os-release").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    });
    format!("{} ({OS}, {ARCH})", name.as_deref().unwrap_or(OS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_burn_is_that_of_the_workspace() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
        let text = std::fs::read_to_string(manifest).unwrap();
        assert!(text.contains(&format!("burn = {{ version = \"={BURN}\"")), "{BURN}");
    }

    #[test]
    fn bits_of_a_product_are_found_by_trial() {
        assert_eq!(product_bits(DeviceSpec::Flex), Some(24));
        let rounded = |bits: u32| {
            move |value: f32| {
                let unit = (0.5_f32).powi(bits as i32 - 1);
                Some((value / unit).round_ties_even() * unit)
            }
        };
        assert_eq!(bits_kept(rounded(11)), Some(11)); // TensorFloat-32
        assert_eq!(bits_kept(rounded(8)), Some(8)); // bfloat16
        assert_eq!(bits_kept(|_| Some(0.0)), None);
        assert_eq!(bits_kept(|_| None), None);
    }

    #[test]
    fn a_machine_names_each_device_once_and_what_is_absent() {
        let absent = DeviceSpec::Cuda(999);
        let machine = Machine::describe(&[DeviceSpec::Flex, absent, DeviceSpec::Flex]);
        assert_eq!(machine.devices.len(), 2);
        assert!(machine.cores >= 1 && !machine.processor.is_empty());
        assert!(machine.device(absent).unwrap().absent.is_some());
        assert!(machine.to_string().contains("device cuda:999"), "{machine}");

        let mut old = machine.clone();
        assert!(machine.differences(&old).is_empty());
        old.cores += 6;
        let expected = format!("logical cores: {}, was {}", machine.cores, old.cores);
        assert_eq!(machine.differences(&old), [expected]);
    }
}
