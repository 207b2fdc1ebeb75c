//! What running clusters say is in use: their jobs by Flink's REST API ([`rest`]), and what high availability would start
//! from.
//!
//! All of it is untrusted: answers are bounded in size and time, ids are checked before they come into an address, and text
//! goes to people through `render::Escaped` only. What cannot be asked is an error, and never "nothing is in use".

pub mod ha;
mod http;
mod pointer;
pub mod rest;

pub use http::Address;
pub use pointer::Completed;

use crate::model::Location;
use std::time::Duration;

/// What is in use, by all that was asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InUse {
    /// Snapshots that are in use, and why, as Flink names them.
    pub snapshots: Vec<Held>,
    /// Jobs that run or may run again.
    pub jobs: Vec<RunningJob>,
}

/// A snapshot that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its directory, as Flink names it.
    pub place: Location,
    /// Who uses it, such as `job … was restored from it`.
    pub why: String,
}

/// A job that is not at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningJob {
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    /// Its name. Anybody's text.
    pub name: String,
    /// Its state, such as `RUNNING` (`JobStatus`).
    pub state: String,
    /// Who said so: an address without what is secret in it, or a place of high availability.
    pub told_by: String,
    /// The checkpoint that it would go on from if it failed now; `None` where none is known.
    pub latest: Option<Told>,
    /// The savepoint that it took last.
    pub savepoint: Option<Told>,
    /// What it was restored from last.
    pub restored: Option<Told>,
    /// Checkpoints that it completed, and has not discarded.
    pub retained: Vec<Told>,
    /// Ids of checkpoints and savepoints that are being written.
    pub in_progress: Vec<u64>,
    /// How it makes checkpoints; `None` where that is not known.
    pub config: Option<CheckpointConfig>,
}

/// A snapshot, as a cluster tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its id.
    pub id: u64,
    /// Its directory, as Flink names it; `None` where it is not in a file system.
    pub place: Option<Location>,
    /// When it was triggered, in milliseconds since 1970; `None` where that is not told.
    pub triggered: Option<i64>,
}

/// How a job makes checkpoints (`CheckpointConfigInfo`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointConfig {
    /// How long one may take.
    pub timeout: Option<Duration>,
    /// The time between them; `None` where there are none by themselves.
    pub interval: Option<Duration>,
    /// Whether they stay when the job is cancelled.
    pub retained: Option<bool>,
    /// The state backend, in Flink's words.
    pub state_backend: Option<String>,
    /// The checkpoint storage, in Flink's words.
    pub storage: Option<String>,
    /// Whether changes are written to a changelog.
    pub changelog: Option<bool>,
}

/// Why something could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{asked}: {why}")]
pub struct ClusterError {
    /// What was asked, without what is secret in it.
    pub asked: String,
    /// What went wrong.
    pub why: String,
}

impl ClusterError {
    fn new(asked: &str, why: impl Into<String>) -> Self {
        ClusterError { asked: asked.to_owned(), why: why.into() }
    }
}

impl InUse {
    /// Takes in what somebody else said.
    pub fn add(&mut self, other: InUse) {
        self.snapshots.extend(other.snapshots);
        self.jobs.extend(other.jobs);
    }

    /// Whether nothing was said to be in use.
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.jobs.is_empty()
    }

    /// Every snapshot that is in use, with the reason.
    pub fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.snapshots.iter().cloned().chain(self.jobs.iter().flat_map(RunningJob::held))
    }

    /// The longest time that a checkpoint of one of the jobs may take.
    pub fn checkpoint_timeout(&self) -> Option<Duration> {
        self.jobs.iter().filter_map(|job| job.config.as_ref()?.timeout).max()
    }
}

impl RunningJob {
    /// The snapshots that it uses.
    pub fn held(&self) -> impl Iterator<Item = Held> + '_ {
        let lead = format!("job {}", self.id);
        let latest = self.latest.iter().map(|told| (told, "completed it last"));
        let savepoint = self.savepoint.iter().map(|told| (told, "took it last"));
        let restored = self.restored.iter().map(|told| (told, "was restored from it"));
        let retained = self.retained.iter().map(|told| (told, "retains it"));
        latest.chain(savepoint).chain(restored).chain(retained).filter_map(move |(told, what)| {
            Some(Held { place: told.place.clone()?, why: format!("{lead}, which runs, {what}") })
        })
    }

    /// Directories in which it has completed checkpoints: `chk-N` lies in them.
    pub fn dirs(&self) -> impl Iterator<Item = Location> + '_ {
        let own = self.latest.iter().chain(&self.retained).filter_map(|told| told.place.as_ref());
        own.filter(|place| place.name().starts_with("chk-")).filter_map(Location::parent)
    }
}
