//! Checkpoints of what this crate trains: a configuration and a journal beside nets and optimiser.

use std::fmt::Display;

use model_utils::checkpoint::{Checkpoint, Checkpoints, Saved};
use model_utils::train::{Event, Observer};
use model_utils::weights::State;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Saves a checkpoint of finite weights, and tells of it.
pub(crate) fn save(
    checkpoints: &Checkpoints,
    checkpoint: Checkpoint,
    step: u64,
    state: &(&impl Serialize, &impl Serialize),
    progress: &mut dyn Observer,
) -> Result<()> {
    let checkpoint = checkpoint.state(state)?;
    if let Some((name, value)) = checkpoint.modules().find_map(State::first_not_finite) {
        let what = format!("weight `{name}`");
        return Err(model_utils::Error::NotFinite { what, value, step }.into());
    }
    let saved = checkpoints.save(&checkpoint)?;
    progress.observe(&Event::Saved { path: saved.folder(), step });
    Ok(())
}

/// The latest checkpoint and its journal; one of another configuration is refused.
pub(crate) fn latest<C, J>(checkpoints: &Checkpoints, expected: &C) -> Result<Option<(Saved, J)>>
where
    C: DeserializeOwned + PartialEq + Display,
    J: DeserializeOwned,
{
    let Some(saved) = checkpoints.latest()? else { return Ok(None) };
    let (found, journal): (C, J) = saved.state()?;
    if found != *expected {
        let folder = saved.folder().display();
        return Err(Error::Resume(format!("{folder} holds a run of {found}, expected {expected}")));
    }
    Ok(Some((saved, journal)))
}
