//! Why snapshots fail, and when they fail so often that the job does.

use std::collections::BTreeSet;
use std::fmt;

/// Why a snapshot was aborted or could not begin (`CheckpointFailureReason`, Flink 1.20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureReason {
    /// The timeout passed.
    Expired,
    /// A newer checkpoint was completed.
    Subsumed,
    /// A task declined it, for no reason that is named here.
    Declined(String),
    /// A task failed to write its state.
    Asynchronous(String),
    /// A file could not be written or read before it began.
    Io(String),
    /// The `_metadata` could not be written.
    Finalization(String),
    /// A task declined it: it does not run yet.
    TaskNotReady,
    /// A task declined it: it is about to end.
    TaskClosing,
    /// A task declined it: one of its inputs has ended.
    InputEndOfStream,
    /// A task declined it: an input was told that it is cancelled.
    CancellationBarrier,
    /// A task declined it: the barrier of a newer one came first.
    NewerBarrier,
    /// A task failed.
    TaskFailure,
    /// Periodic checkpoints were stopped: for a restart, or for a savepoint that ends the job.
    Suspended,
    /// The coordinator has not been started, or was stopped.
    NotRunning,
    /// A savepoint without a place, and no place is configured.
    NoDirectory,
}

impl FailureReason {
    /// Whether it counts towards the failures that are tolerated (`CheckpointFailureManager.checkFailureCounter`).
    pub fn counts(&self) -> bool {
        use FailureReason::{Asynchronous, Declined, Expired, Finalization, Io};
        matches!(self, Expired | Declined(_) | Asynchronous(_) | Io(_) | Finalization(_))
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, cause) = match self {
            FailureReason::Expired => ("Checkpoint expired before completing.", None),
            FailureReason::Subsumed => ("Checkpoint has been subsumed.", None),
            FailureReason::Declined(cause) => ("Checkpoint was declined.", Some(cause)),
            FailureReason::Asynchronous(cause) => ("Asynchronous task checkpoint failed.", Some(cause)),
            FailureReason::Io(cause) => ("An I/O error occurred while triggering the checkpoint.", Some(cause)),
            FailureReason::Finalization(cause) => ("Failure to finalize checkpoint.", Some(cause)),
            FailureReason::TaskNotReady => ("Checkpoint was declined (tasks not ready)", None),
            FailureReason::TaskClosing => ("Checkpoint was declined (task is closing)", None),
            FailureReason::InputEndOfStream => ("Checkpoint was declined because one input stream is finished", None),
            FailureReason::CancellationBarrier => ("Task received cancellation from one of its inputs", None),
            FailureReason::NewerBarrier => {
                ("Checkpoint was canceled because a barrier from newer checkpoint was received.", None)
            }
            FailureReason::TaskFailure => ("Task has failed.", None),
            FailureReason::Suspended => ("Checkpoint Coordinator is suspending.", None),
            FailureReason::NotRunning => ("Not all required tasks are currently running.", None),
            FailureReason::NoDirectory => ("No savepoint directory configured, and none was given.", None),
        };
        f.write_str(text)?;
        cause.map_or(Ok(()), |cause| write!(f, " {cause}"))
    }
}

/// Counts failures in a row (`CheckpointFailureManager`).
#[derive(Debug)]
pub(super) struct Failures {
    tolerable: u32,
    /// The snapshots that failed since the last success, each counted once.
    counted: BTreeSet<i64>,
    last_success: Option<i64>,
}

impl Failures {
    pub(super) fn new(tolerable: u32) -> Self {
        Failures { tolerable, counted: BTreeSet::new(), last_success: None }
    }

    /// Notes a failure, and says why the job has to fail, if it has to. Those older than the last success do not count,
    /// and after the job has failed the count begins anew.
    pub(super) fn note(&mut self, id: i64, reason: &FailureReason) -> Option<String> {
        if self.last_success.is_some_and(|success| id <= success) || !reason.counts() {
            return None;
        }
        self.counted.insert(id);
        if self.counted.len() as u64 <= u64::from(self.tolerable) {
            return None;
        }
        self.counted.clear();
        Some(format!("Exceeded checkpoint tolerable failure threshold. The latest checkpoint failed due to: {reason}"))
    }

    pub(super) fn succeeded(&mut self, id: i64) {
        if self.last_success.is_none_or(|success| id > success) {
            self.last_success = Some(id);
            self.counted.clear();
        }
    }
}
