//! Where a comparison was made.

use std::fmt;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

use crate::device::{DeviceClass, DeviceSpec, processor_name};

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
        let mut rows = vec![
            ["processor".to_owned(), self.processor.clone()],
            ["logical cores".to_owned(), self.cores.to_string()],
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
                absent: None,
            },
            Err(error) => Self {
                spec,
                adapter: String::new(),
                class: None,
                driver: None,
                absent: Some(error.to_string()),
            },
        }
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
        if self.class == Some(DeviceClass::SoftwareGpu) {
            f.write_str(", a software GPU: its timings say nothing of a real one")?;
        }
        Ok(())
    }
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
