//! What a checkpoint coordinator is told: the knobs of `execution.checkpointing.*`, with Flink's defaults.

use crate::model::Location;
use crate::runtime::duration::format_duration;
use std::time::Duration;

/// The shortest interval and timeout (`CheckpointCoordinatorConfiguration.MINIMAL_CHECKPOINT_TIME`).
const SHORTEST: Duration = Duration::from_millis(10);
/// The largest state that is kept in `_metadata` (`FsStateBackend.MAX_FILE_STATE_THRESHOLD`).
const LARGEST_IN_LINE: usize = 1024 * 1024;
/// The pause is at most a year, so that nothing overflows (`CheckpointCoordinator`).
const LONGEST_PAUSE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How checkpoints are taken (`CheckpointConfig` and `CheckpointingOptions`, Flink 1.20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointConfig {
    /// The time from one periodic checkpoint to the next; none are taken without it.
    pub interval: Option<Duration>,
    /// What barriers do at inputs.
    pub mode: CheckpointMode,
    /// The time that has to pass after a completed snapshot before a periodic checkpoint. Where it is not zero, only
    /// one checkpoint is taken at a time.
    pub min_pause: Duration,
    /// A snapshot that is not acknowledged after this time is aborted.
    pub timeout: Duration,
    /// So many snapshots may be pending for a periodic checkpoint to begin, less one.
    pub max_concurrent: usize,
    /// So many checkpoints in a row may fail without the job failing.
    pub tolerable_failures: u32,
    /// What becomes of completed checkpoints when the job ends.
    pub retention: Retention,
    /// So many completed checkpoints are kept.
    pub num_retained: usize,
    /// State of a task up to this size in bytes goes into `_metadata`
    /// (`execution.checkpointing.data-inline-threshold`).
    pub in_line_threshold: usize,
    /// Where checkpoints go; a directory for each job is made in it.
    pub directory: Option<Location>,
    /// Where savepoints go that are requested without a place.
    pub savepoint_directory: Option<Location>,
}

/// What a barrier does at an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckpointMode {
    /// Inputs wait for each other's barriers, so that no element counts twice.
    #[default]
    ExactlyOnce,
    /// They do not wait.
    AtLeastOnce,
}

/// What becomes of completed checkpoints when the job ends (`ExternalizedCheckpointRetention`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retention {
    /// They go, however it ends: `NO_EXTERNALIZED_CHECKPOINTS`.
    #[default]
    NoExternalized,
    /// They stay only when it fails: `DELETE_ON_CANCELLATION`.
    DeleteOnCancellation,
    /// They stay unless it finishes: `RETAIN_ON_CANCELLATION`.
    RetainOnCancellation,
}

/// How a job ended, as the retention of its checkpoints sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminalState {
    /// It came to its end, by itself or with a savepoint.
    Finished,
    /// Somebody cancelled it.
    Canceled,
    /// It failed, and was not restarted.
    Failed,
    /// It was put aside by its process.
    Suspended,
}

impl Retention {
    /// Whether checkpoints are removed when a job ends so (`CheckpointProperties.forCheckpoint`).
    pub fn discards_on(self, state: TerminalState) -> bool {
        match (self, state) {
            (Retention::NoExternalized, _) | (_, TerminalState::Finished) => true,
            (Retention::DeleteOnCancellation, state) => state != TerminalState::Failed,
            (Retention::RetainOnCancellation, _) => false,
        }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig {
            interval: None,
            mode: CheckpointMode::default(),
            min_pause: Duration::ZERO,
            timeout: Duration::from_secs(600),
            max_concurrent: 1,
            tolerable_failures: 0,
            retention: Retention::default(),
            num_retained: 1,
            in_line_threshold: 20 * 1024,
            directory: None,
            savepoint_directory: None,
        }
    }
}

/// A value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl CheckpointConfig {
    /// Says what is wrong with the values, if anything.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |message: String| Err(ConfigError(message));
        for (what, time) in [("interval", self.interval), ("timeout", Some(self.timeout))] {
            if let Some(time) = time.filter(|time| *time < SHORTEST) {
                return wrong(format!("the checkpoint {what} must be at least 10ms, not {}", format_duration(time)));
            }
        }
        if self.max_concurrent == 0 {
            return wrong("the number of concurrent checkpoints must be at least 1".to_owned());
        }
        if self.num_retained == 0 {
            return wrong("the number of retained checkpoints must be at least 1".to_owned());
        }
        if self.in_line_threshold > LARGEST_IN_LINE {
            let size = self.in_line_threshold;
            return wrong(format!("the threshold for state in _metadata must be at most 1 MiB, not {size} bytes"));
        }
        if self.interval.is_some() && self.directory.is_none() {
            return wrong("periodic checkpoints need a directory".to_owned());
        }
        Ok(())
    }

    /// The pause that is kept.
    pub(super) fn pause(&self) -> Duration {
        self.min_pause.min(LONGEST_PAUSE)
    }

    /// The time from one periodic checkpoint to the next: never shorter than the pause.
    pub(super) fn base_interval(&self) -> Option<Duration> {
        self.interval.map(|interval| interval.max(self.pause()))
    }

    /// The number of snapshots that may be pending: one where a pause is to be kept.
    pub(super) fn concurrent(&self) -> usize {
        if self.min_pause.is_zero() { self.max_concurrent } else { 1 }
    }
}
