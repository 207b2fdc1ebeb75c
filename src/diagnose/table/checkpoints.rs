//! Checkpoints that are not completed (`CheckpointFailureReason`, `CheckpointFailureManager`,
//! `AsyncCheckpointRunnable`, `FsCheckpointStreamFactory`).

use super::{ANY, Effect, Entry, Pattern, Remedy};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "checkpoint-not-written",
        patterns: &[
            Pattern { says: &["Could not flush and close the file system output stream"], ..ANY },
            Pattern { says: &["Could not flush to file and close the file system output stream"], ..ANY },
            Pattern { says: &["Could not open output stream for state backend"], ..ANY },
            Pattern { says: &["Failed to create directory for shared state"], ..ANY },
            Pattern { says: &["Failed to create checkpoint storage at checkpoint coordinator side"], ..ANY },
            Pattern { says: &["Could not finalize the pending checkpoint"], ..ANY },
        ],
        cause: "A checkpoint's files could not be written.",
        advice: "Look at the storage: room, quota, permission, and that all TaskManagers see the same directory (a local \
                 path is another one on every machine). Checkpoints that were completed before are not touched.",
        effect: Effect::Checkpointing,
        remedy: Remedy::NotTheSnapshot,
    },
    Entry {
        id: "checkpoint-expired",
        patterns: &[
            Pattern { says: &["Checkpoint expired before completing"], bare: true, ..ANY },
            Pattern { says: &["Checkpoint ", " of job ", " expired before completing"], bare: true, ..ANY },
            Pattern { says: &["CHECKPOINT_EXPIRED"], bare: true, ..ANY },
        ],
        cause: "Checkpoints take longer than their timeout and are given up; Flink deletes what they had written.",
        advice: "Find what is slow: back pressure that holds the barriers up (unaligned checkpoints help), state that is \
                 large (incremental checkpoints), a source that is stuck, slow storage. A longer \
                 execution.checkpointing.timeout gains time only. Several at the same time (max-concurrent-checkpoints \
                 above 1) make each slower.",
        effect: Effect::Checkpointing,
        remedy: Remedy::NotTheSnapshot,
    },
    Entry {
        id: "too-many-checkpoint-failures",
        patterns: &[Pattern { says: &["Exceeded checkpoint tolerable failure threshold"], ..ANY }],
        cause: "More checkpoints failed in a row than the job tolerates, so it was restarted.",
        advice: "Look why the checkpoints before it failed. \
                 execution.checkpointing.tolerable-failed-checkpoints decides how many may.",
        effect: Effect::Checkpointing,
        remedy: Remedy::NotTheSnapshot,
    },
    Entry {
        id: "checkpoint-failed-in-task",
        patterns: &[
            Pattern { says: &["Could not materialize checkpoint"], ..ANY },
            Pattern { says: &["Could not perform checkpoint"], ..ANY },
            Pattern { says: &["Could not complete snapshot"], ..ANY },
            Pattern { says: &["Asynchronous task checkpoint failed"], bare: true, ..ANY },
            Pattern { says: &["Task local checkpoint failure"], ..ANY },
        ],
        cause: "A task failed while it wrote its part of a checkpoint.",
        advice: "The innermost cause says why: mostly the storage, sometimes the snapshotState of a function. Older \
                 checkpoints are not touched.",
        effect: Effect::Checkpointing,
        remedy: Remedy::NotTheSnapshot,
    },
    Entry {
        id: "checkpoint-declined",
        patterns: &[
            Pattern { says: &["Checkpoint was declined"], ..ANY },
            Pattern { says: &["Decline checkpoint ", " by task "], bare: true, ..ANY },
            Pattern { class: &["CheckpointDeclineTaskNotReadyException"], ..ANY },
            Pattern { says: &["Checkpoint was canceled because a barrier from newer checkpoint was received"], ..ANY },
        ],
        cause: "A task declined checkpoints: it was not ready, closing, or overtaken by a newer one.",
        advice: "Around a restart that is normal. If it goes on, look at the log of the task that declined.",
        effect: Effect::Note,
        remedy: Remedy::NotTheSnapshot,
    },
    Entry {
        id: "tasks-not-running",
        patterns: &[
            Pattern { says: &["is not being executed at the moment. Aborting checkpoint"], bare: true, ..ANY },
            Pattern { says: &["Not all required tasks are currently running"], bare: true, ..ANY },
        ],
        cause: "No checkpoint is taken because a task is not running.",
        advice: "While tasks are being deployed that is normal. If it goes on, a task waits for slots or is stuck in its \
                 start.",
        effect: Effect::Note,
        remedy: Remedy::NotTheSnapshot,
    },
    Entry {
        id: "tasks-finished",
        patterns: &[Pattern { says: &["Some tasks of the job have already finished"], bare: true, ..ANY }],
        cause: "No checkpoint is taken because some tasks have finished.",
        advice: "Set execution.checkpointing.checkpoints-after-tasks-finish.enabled to true (the default from 1.15 on); \
                 before 1.14 a job with finished tasks takes no checkpoints.",
        effect: Effect::Checkpointing,
        remedy: Remedy::NotTheSnapshot,
    },
    Entry {
        id: "coordinator-suspending",
        patterns: &[
            Pattern { says: &["Checkpoint Coordinator is suspending"], ..ANY },
            Pattern { says: &["CheckpointCoordinator shutdown"], ..ANY },
            Pattern { says: &["Checkpoint coordinator is shut down"], ..ANY },
        ],
        cause: "A checkpoint was given up because the job restarted or ended.",
        advice: "It is a consequence: look for what the job failed with before.",
        effect: Effect::Note,
        remedy: Remedy::NotTheSnapshot,
    },
    Entry {
        id: "savepoint-failed",
        patterns: &[
            Pattern { says: &["Failed to trigger savepoint"], ..ANY },
            Pattern { says: &["Could not stop with a savepoint"], ..ANY },
            Pattern { says: &["Stop-with-savepoint failed"], ..ANY },
            Pattern { says: &["Triggering a savepoint for the job", "failed"], ..ANY },
            Pattern { says: &["Disposing the savepoint", "failed"], ..ANY },
            Pattern { says: &["No savepoint location given and no default location configured"], ..ANY },
        ],
        cause: "A savepoint was asked for and could not be made or disposed of.",
        advice: "The job itself may go on. Look at the innermost cause; the newest checkpoint can be used instead.",
        effect: Effect::Checkpointing,
        remedy: Remedy::NotTheSnapshot,
    },
];
