//! Energy, where the machine tells: RAPL for processors, NVML for NVIDIA's cards.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
                // `intel-rapl:0:0` is a part of the package `intel-rapl:0`, and `psys` holds packages; AMD has
                // the same names.
                let folder = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let name = fs::read_to_string(path.join("name")).unwrap_or_default();
                folder.starts_with("intel-rapl:") && name.starts_with("package")
            })
            .collect();
        let meter = Self::Rapl(packages);
        meter.joules().is_some().then_some(meter)
    }

    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    fn nvml(spec: DeviceSpec, adapter: &str) -> Option<Self> {
        let nvml = nvml_wrapper::Nvml::init().ok()?;
        let cards = nvml.device_count().ok()?;
        let index = match spec {
            // CUDA may number the cards otherwise.
            DeviceSpec::Cuda(0) if cards == 1 => 0,
            _ => {
                let is_it = |&index: &u32| {
                    let name = nvml.device_by_index(index).and_then(|device| device.name());
                    name.is_ok_and(|name| adapter.ends_with(&name))
                };
                let found: Vec<u32> = (0..cards).filter(is_it).collect();
                // Two of one name cannot be told apart.
                found.first().copied().filter(|_| found.len() == 1)?
            }
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

/// Shorter windows say little: the counters are brought up to date every few to a hundred milliseconds.
const LEAST: Duration = Duration::from_millis(200);

/// Joules of one run, from two looks at a counter around the timed ones. `None` where the counter began anew between
/// them, where the window is short, or where more than a fifth of it was not spent in the runs.
pub(super) fn of_runs(
    before: Option<f64>,
    after: Option<f64>,
    times: &[f64],
    window: Duration,
) -> Option<f64> {
    let joules = Some(after? - before?).filter(|joules| *joules > 0.0)?;
    let busy = times.iter().sum::<f64>() / window.as_secs_f64();
    (window >= LEAST && busy >= 0.8).then(|| joules / times.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_summed_and_their_parts_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Meter::rapl(folder.path()).is_none());
        for (name, kind, energy) in [
            ("intel-rapl:0", "package-0", "1500000\n"),
            ("intel-rapl:1", "package-1", "500000\n"),
            ("intel-rapl:2", "psys", "2500000\n"),
            ("intel-rapl:0:0", "core", "9\n"),
        ] {
            let domain = folder.path().join(name);
            fs::create_dir(&domain).unwrap();
            fs::write(domain.join("name"), kind).unwrap();
            fs::write(domain.join("energy_uj"), energy).unwrap();
        }
        let meter = Meter::rapl(folder.path()).unwrap();
        assert_eq!(meter.joules(), Some(2.0));
        fs::write(folder.path().join("intel-rapl:1/energy_uj"), "no number").unwrap();
        assert!(Meter::rapl(folder.path()).is_none());
    }

    #[test]
    fn a_run_has_its_share_of_what_a_long_busy_window_took() {
        let second = Duration::from_secs(1);
        assert_eq!(of_runs(Some(1.0), Some(2.5), &[0.5, 0.5], second), Some(0.75));
        assert_eq!(of_runs(Some(2.0), Some(1.0), &[1.0], second), None); // it began anew
        assert_eq!(of_runs(Some(2.0), Some(2.0), &[1.0], second), None); // it stands still
        assert_eq!(of_runs(None, Some(1.0), &[1.0], second), None);
        assert_eq!(of_runs(Some(1.0), Some(2.5), &[0.3, 0.3], second), None); // mostly idle
        assert_eq!(of_runs(Some(1.0), Some(2.5), &[0.1], Duration::from_millis(100)), None);
    }
}
