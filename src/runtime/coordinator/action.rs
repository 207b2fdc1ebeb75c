//! What a coordinator asks its driver to do.

use super::failure::FailureReason;
use crate::model::Location;
use std::fmt;

/// A parallel instance of a vertex of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The vertex, by its place in the job.
    pub vertex: u32,
    /// The subtask, from 0 on.
    pub subtask: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vertex, self.subtask)
    }
}

/// What sort of snapshot is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotKind {
    /// A periodic checkpoint.
    Checkpoint,
    /// What somebody asked for.
    Savepoint {
        /// The directory to make the savepoint's directory in.
        target: Location,
        /// What happens after it.
        kind: SavepointKind,
        /// How state is written.
        format: SavepointFormat,
    },
}

impl SnapshotKind {
    /// Whether it is a savepoint: never subsumed, not counted among the retained, never removed by the coordinator
    /// once it is complete.
    pub fn is_savepoint(&self) -> bool {
        matches!(self, SnapshotKind::Savepoint { .. })
    }

    /// Whether tasks wait for it to end, and the job ends with it.
    pub fn is_synchronous(&self) -> bool {
        matches!(self, SnapshotKind::Savepoint { kind: SavepointKind::StopWithSavepoint { .. }, .. })
    }
}

/// What happens after a savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavepointKind {
    /// The job goes on.
    Savepoint,
    /// The job ends.
    StopWithSavepoint {
        /// Whether time is said to have come to its end first, so that all timers fire and windows close.
        drain: bool,
    },
}

/// How the state of a savepoint is written (`SavepointFormatType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SavepointFormat {
    /// In the form that all state backends read.
    #[default]
    Canonical,
    /// As the state backend writes checkpoints.
    Native,
}

/// Something to do, in the order in which it is given. `S` is what a task acknowledges with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<S> {
    /// Begin a snapshot at the sources.
    Trigger {
        /// Its id.
        id: i64,
        /// Its sort.
        kind: SnapshotKind,
    },
    /// All tasks acknowledged: write `_metadata`, and report with `completed` or `finalization_failed`.
    Finalize {
        /// Its id.
        id: i64,
        /// Its sort.
        kind: SnapshotKind,
        /// The state of each task that took part, in the order of the tasks.
        acks: Vec<(TaskId, S)>,
    },
    /// Tell the tasks that a snapshot is complete, so that they commit. Not told of savepoints after which the job
    /// goes on.
    NotifyComplete {
        /// Its id.
        id: i64,
    },
    /// Tell the tasks that a snapshot is given up, and who asked for it.
    NotifyAborted {
        /// Its id.
        id: i64,
        /// Why.
        reason: FailureReason,
    },
    /// Remove what there is of a snapshot that was not completed.
    Discard {
        /// Its id.
        id: i64,
        /// Its sort.
        kind: SnapshotKind,
        /// What was acknowledged so far; empty where it was handed out with `Finalize`.
        acks: Vec<(TaskId, S)>,
    },
    /// Remove the state that a task acknowledged for a snapshot that is no longer pending. What later snapshots share
    /// with it stays.
    DiscardLate {
        /// The snapshot's id.
        id: i64,
        /// The task.
        task: TaskId,
        /// Its state.
        state: S,
    },
    /// Remove a completed checkpoint: there are newer ones.
    Subsume {
        /// Its id.
        id: i64,
    },
    /// A savepoint that was asked for cannot be taken.
    RejectSavepoint {
        /// Why.
        reason: FailureReason,
    },
    /// Fail the job; whether it is restarted is not decided here.
    FailJob {
        /// Why.
        reason: String,
    },
}
