//! What tasks report to the job, and what the job tells its tasks.

use super::snapshot::SnapshotOrder;
use crate::model::{OperatorId, SubtaskState};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use super::coordinator::TaskId;

/// What a task reports.
pub(crate) enum TaskEvent {
    /// It works on its state.
    Initializing(TaskId),
    /// Its state is restored, and it takes records.
    Running(TaskId),
    /// All records have passed; it goes on taking part in checkpoints until the job has finished.
    Ended(TaskId),
    /// Its part of a checkpoint is durable.
    Acknowledged { task: TaskId, checkpoint: i64, states: BTreeMap<OperatorId, SubtaskState<'static>> },
    /// It cannot contribute to a checkpoint.
    Declined { task: TaskId, checkpoint: i64, reason: anyhow::Error },
    /// Its thread ends.
    Gone { task: TaskId, how: Departure },
}

/// How a task ended.
pub(crate) enum Departure {
    /// By an error of its own.
    Failed(anyhow::Error),
    /// Because it was told to, or another task failed.
    Canceled,
    /// With the job.
    Finished,
}

/// What the job tells a task.
#[derive(Clone)]
pub(crate) enum TaskCommand {
    /// All tasks run: sources begin to read. Until then they leave the cores to tasks that restore state.
    Start,
    /// A source starts this checkpoint with a barrier.
    Trigger(Arc<SnapshotOrder>),
    /// A checkpoint is complete.
    Completed(i64),
    /// A checkpoint is given up.
    Aborted(i64),
    /// The job has finished.
    Finish,
}
