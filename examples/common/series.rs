//! What a run gathers step by step, so that pictures of a resumed run show all of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use model_utils::image::Image;
use model_utils::picture::Animation;

/// Numbers by step, in a file that a resumed run goes on with.
pub struct Series {
    path: PathBuf,
    values: BTreeMap<u64, f64>,
}

impl Series {
    /// Those up to a step: what came behind it is made again.
    pub fn open(path: PathBuf, until: u64) -> anyhow::Result<Self> {
        let mut values: BTreeMap<u64, f64> = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("cannot read {}", path.display()))?,
            Err(_) => BTreeMap::new(),
        };
        values.retain(|step, _| *step <= until);
        Ok(Self { path, values })
    }

    pub fn push(&mut self, step: u64, value: f64) -> model_utils::Result<()> {
        self.extend([(step, value)])
    }

    pub fn extend(
        &mut self,
        values: impl IntoIterator<Item = (u64, f64)>,
    ) -> model_utils::Result<()> {
        self.values.extend(values);
        let text = serde_json::to_vec(&self.values).unwrap_or_default();
        model_utils::atomic::write(&self.path, &text)
    }

    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.values.values().copied()
    }

    pub fn get(&self, step: u64) -> Option<f64> {
        self.values.get(&step).copied()
    }

    pub fn points(&self) -> Vec<(f64, f64)> {
        self.values.iter().map(|(step, value)| (*step as f64, *value)).collect()
    }
}

/// Pictures by step, each in a file that a resumed run goes on with.
pub struct Film {
    folder: PathBuf,
    frames: BTreeMap<u64, Image>,
}

impl Film {
    /// The pictures up to a step: what came behind it is made again.
    pub fn open(folder: PathBuf, until: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let mut frames = BTreeMap::new();
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let step = path.file_stem().and_then(|name| name.to_str()?.parse().ok());
            if let Some(step) = step.filter(|step| *step <= until) {
                frames.insert(step, Image::open(&path)?);
            }
        }
        Ok(Self { folder, frames })
    }

    pub fn push(&mut self, step: u64, frame: Image) -> model_utils::Result<()> {
        frame.save(self.folder.join(format!("{step}.png")))?;
        self.frames.insert(step, frame);
        Ok(())
    }

    /// Adds a picture that differs from the last one.
    pub fn push_new(&mut self, step: u64, frame: Image) -> model_utils::Result<()> {
        if self.frames.values().last() == Some(&frame) { Ok(()) } else { self.push(step, frame) }
    }

    /// The pictures as an animation.
    pub fn animation(&self, delay_ms: u32) -> anyhow::Result<Animation> {
        let mut animation = Animation::new(delay_ms);
        for frame in self.frames.values() {
            animation.push(frame)?;
        }
        Ok(animation)
    }

    /// Writes the GIF, which rests on its last frame.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let mut animation = self.animation(150)?;
        if let Some(last) = self.frames.values().last() {
            animation.push_for(last, 2000)?;
        }
        Ok(animation.scale(2).save(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_behind_the_step_of_a_resumed_run_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rewards.json");
        let mut series = Series::open(path.clone(), 0).unwrap();
        series.extend([(10, 0.5), (20, 0.25)]).unwrap();
        let resumed = Series::open(path, 15).unwrap();
        assert_eq!((resumed.get(10), resumed.get(20)), (Some(0.5), None));

        let frames = folder.path().join("film");
        let mut film = Film::open(frames.clone(), 0).unwrap();
        for step in [3, 12] {
            film.push(step, Image::filled(4, 4, &[step as u8])).unwrap();
        }
        assert_eq!(Film::open(frames.clone(), 11).unwrap().animation(50).unwrap().len(), 1);
        assert_eq!(Film::open(frames, 12).unwrap().animation(50).unwrap().len(), 2);
    }
}
