//! Energy, where the machine tells: RAPL for processors, NVML for NVIDIA's cards.

use std::fs;
use std::path::{Path, PathBuf};

use super::machine::MachineDevice;
use crate::device::{DeviceClass, DeviceSpec};

/// A counter of joules.
pub(super) enum Meter {
    /// Running Average Power Limit: a file a processor package.
    Rapl(Vec<PathBuf>),
    /// The card of this index.
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    Nvml(Box<nvml_wrapper::Nvml>, u32),
}

impl Meter {
    /// The counter of what a device computes on; of all that runs there, not of this process alone.
    pub(super) fn of(device: &MachineDevice) -> Option<Self> {
        match (device.class?, device.spec) {
            (DeviceClass::Gpu, spec) => Self::nvml(spec, &device.adapter),
            // A software GPU is the processor too.
            _ => Self::rapl(Path::new("/sys/class/powercap")),
        }
    }

    /// `None` where there is no package, or its counter may not be read (most systems ask for root).
    fn rapl(folder: &Path) -> Option<Self> {
        let packages: Vec<PathBuf> = fs::read_dir(folder)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                // `intel-rapl:0` is a package, `intel-rapl:0:0` a part of it; AMD has the same names.
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                name.starts_with("intel-rapl:") && name.matches(':').count() == 1
            })
            .collect();
        let meter = Self::Rapl(packages);
        meter.joules().is_some().then_some(meter)
    }

    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    fn nvml(spec: DeviceSpec, adapter: &str) -> Option<Self> {
        let nvml = nvml_wrapper::Nvml::init().ok()?;
        let index = match spec {
            DeviceSpec::Cuda(index) => index as u32,
            _ => (0..nvml.device_count().ok()?).find(|&index| {
                let name = nvml.device_by_index(index).and_then(|device| device.name());
                name.is_ok_and(|name| adapter.contains(&name))
            })?,
        };
        let meter = Self::Nvml(Box::new(nvml), index);
        meter.joules().is_some().then_some(meter)
    }

    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    fn nvml(_: DeviceSpec, _: &str) -> Option<Self> {
        None
    }

    /// What the counter says.
    pub(super) fn joules(&self) -> Option<f64> {
        match self {
            Self::Rapl(packages) => {
                let joules = |package: &PathBuf| {
                    let text = fs::read_to_string(package.join("energy_uj")).ok()?;
                    Some(1e-6 * text.trim().parse::<f64>().ok()?)
                };
                let each = packages.iter().map(joules).collect::<Option<Vec<f64>>>()?;
                (!each.is_empty()).then(|| each.iter().sum())
            }
            #[cfg(any(feature = "wgpu", feature = "cuda"))]
            Self::Nvml(nvml, index) => {
                let millijoules = nvml.device_by_index(*index).ok()?.total_energy_consumption();
                Some(1e-3 * millijoules.ok()? as f64)
            }
        }
    }
}

/// Joules between two looks at a counter; `None` where it began anew between them.
pub(super) fn between(before: Option<f64>, after: Option<f64>) -> Option<f64> {
    Some(after? - before?).filter(|joules| *joules >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_summed_and_their_parts_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Meter::rapl(folder.path()).is_none());
        for (name, energy) in
            [("intel-rapl:0", "1500000\n"), ("intel-rapl:1", "500000\n"), ("intel-rapl:0:0", "9\n")]
        {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("energy_uj"), energy).unwrap();
        }
        let meter = Meter::rapl(folder.path()).unwrap();
        assert_eq!(meter.joules(), Some(2.0));
        fs::write(folder.path().join("intel-rapl:1/energy_uj"), "no number").unwrap();
        assert!(Meter::rapl(folder.path()).is_none());

        assert_eq!(between(Some(1.0), Some(2.5)), Some(1.5));
        assert_eq!(between(Some(2.0), Some(1.0)), None);
        assert_eq!(between(None, Some(1.0)), None);
    }
}
