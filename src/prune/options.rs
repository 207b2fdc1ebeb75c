//! What a prune is asked to do.

use crate::cluster::InUse;
use crate::model::Location;
use crate::retention::{Order, Policy, Span};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What the rules of a policy are applied to, each for itself. Savepoints are never in one group with checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupBy {
    /// The snapshots of each job.
    #[default]
    Job,
    /// The snapshots below each root.
    Root,
    /// All snapshots together.
    None,
}

/// What a prune is asked to do. All durations are real time.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which snapshots stay.
    pub policy: Policy,
    /// What the policy is applied to.
    pub group_by: GroupBy,
    /// By what snapshots are ordered.
    pub order: Order,
    /// Snapshots younger than this stay.
    pub min_age: Option<Span>,
    /// The zone of calendar days.
    pub zone: TimeZone,
    /// The time of the run.
    pub now: Timestamp,
    /// Files younger than this are left alone, and a job is alive in whose directories anything is younger.
    pub grace: SignedDuration,
    /// How long Flink takes for a checkpoint at most (`execution.checkpointing.timeout`). The grace is twice as long at least.
    pub checkpoint_timeout: SignedDuration,
    /// Sweep `shared` of jobs that look alive, as far as that is safe.
    pub live: bool,
    /// Sweep `taskowned` of jobs that are not alive.
    pub taskowned: bool,
    /// Sweep `dstl` of jobs that are not alive.
    pub changelog: bool,
    /// Snapshots that are taken to refer to nothing where that cannot be found out.
    pub assume_unreferenced: Vec<Location>,
    /// Count only snapshots that verify as restorable.
    pub verify: bool,
    /// The most that may go, in percent of the bytes below the roots.
    pub max_delete_percent: Option<u8>,
    /// The most that may go, in bytes.
    pub max_delete_bytes: Option<u64>,
    /// What clusters say is in use.
    pub in_use: InUse,
}

impl Options {
    /// The grace, never below twice the time that a checkpoint may take.
    pub fn grace(&self) -> SignedDuration {
        self.grace.max(self.checkpoint_timeout().saturating_mul(2))
    }

    /// How long a checkpoint may take, by what was asked for and by the jobs that run.
    pub fn checkpoint_timeout(&self) -> SignedDuration {
        let told =
            self.in_use.checkpoint_timeout().map(|told| SignedDuration::try_from(told).unwrap_or(SignedDuration::MAX));
        told.map_or(self.checkpoint_timeout, |told| told.max(self.checkpoint_timeout))
    }

    /// What was changed after this is young.
    pub fn cutoff(&self) -> Timestamp {
        self.now.checked_sub(self.grace()).unwrap_or(Timestamp::MIN)
    }
}
