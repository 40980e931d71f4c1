//! Time against size as a picture.

use super::comparison::Comparison;
use super::crossover::Crossover;
use crate::picture::Curves;

impl Comparison {
    /// Time against size of a workload: a line a device with a dot a size and the range between the
    /// quartiles behind it, both axes logarithmic, and a marker where a graphics card begins to be faster
    /// than the fastest processor device. `None` where nothing was measured.
    pub fn curves(&self, workload: &str) -> Option<Curves> {
        let description = self.workloads.iter().find(|other| other.name == workload)?;
        let mut curves = Curves::new(format!("{}: time of one run", description.title))
            .x_label(&description.size_unit)
            .y_label("time, ms")
            .log_x()
            .log_y();
        let mut drawn = false;
        for device in &self.machine.devices {
            let mut points: Vec<_> = self
                .measured(workload, device.spec)
                .map(|(size, m)| (size.value, 1e3 * m.median_s, 1e3 * m.low_s, 1e3 * m.high_s))
                .collect();
            if points.is_empty() {
                continue;
            }
            drawn = true;
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let line: Vec<_> = points.iter().map(|&(x, median, ..)| (x, median)).collect();
            let band: Vec<_> = points.iter().map(|&(x, _, low, high)| (x, low, high)).collect();
            curves = curves.measurements(device.spec.to_string(), &line).band("", &band);
            if let Some(Crossover::From(size)) = self.crossover(workload, device.spec) {
                curves = curves.marker(size, format!("{} faster from {size:.1} on", device.spec));
            }
        }
        drawn.then_some(curves)
    }
}
