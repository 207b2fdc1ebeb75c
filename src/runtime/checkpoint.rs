//! A checkpoint in storage: its directory, its `_metadata`, and its removal.
//!
//! ```text
//! <checkpoint directory>/<job id>/shared/        never written to: heap state is exclusive
//!                                 taskowned/     likewise
//!                                 chk-N/         state files, named by random UUIDs, and _metadata
//! ```
//!
//! The `_metadata` is published last, whole, when everything that it names is durable; without it there is no
//! checkpoint. A removal takes it away first.

use super::coordinator::{Retention, SavepointFormat, SavepointKind, SnapshotKind, TaskId, TerminalState};
use super::plan::Plan;
use crate::format::properties::{self, AfterSavepoint, NewProperties};
use crate::model::{Location, Metadata, OperatorId, OperatorState, Subtask, SubtaskState, Subtasks, Version};
use crate::storage::{EntryKind, StorageError, WriteStorage};
use crate::wire::JavaStr;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What one task contributes to a checkpoint: state by operator.
pub(crate) type TaskState = BTreeMap<OperatorId, SubtaskState<'static>>;

/// The version of the format that is written: the oldest that tells a checkpoint from a savepoint. Flink 1.16 to 2.3 read
/// it; 1.15 knows version 3 only (`MetadataSerializers`).
const VERSION: Version = Version::V4;

/// Creates the directories of a job, as Flink does before the first checkpoint
/// (`FsCheckpointStorageAccess.initializeBaseLocationsForCheckpoint`).
pub(crate) fn create_job_directories(storage: &dyn WriteStorage, job: &Location) -> Result<(), StorageError> {
    storage.create_dirs(&job.with_suffix("/shared"))?;
    storage.create_dirs(&job.with_suffix("/taskowned"))
}

/// The directory of a checkpoint of a job.
pub(crate) fn checkpoint_directory(job: &Location, id: i64) -> Location {
    job.with_suffix(&format!("/chk-{id}"))
}

/// The directory of a new savepoint (`FsCheckpointStorageAccess.initializeLocationForSavepoint`).
pub(crate) fn savepoint_directory(target: &Location, job_id: &str) -> Location {
    let random = crate::storage::random_uuid().replace('-', "");
    let (job, random) = (job_id.get(..6).unwrap_or(job_id), random.get(..12).unwrap_or_default());
    target.with_suffix(&format!("/savepoint-{job}-{random}"))
}

/// The bytes of the `_metadata`.
pub(crate) fn metadata(
    plan: &Plan,
    id: i64,
    kind: &SnapshotKind,
    retention: Retention,
    acks: &[(TaskId, TaskState)],
) -> Result<Vec<u8>, crate::wire::EncodeError> {
    let operators = plan.operators.values().map(|operator| {
        let subtasks = acks.iter().filter_map(|(task, states)| {
            let state = states.get(&operator.id)?;
            let index = i32::try_from(task.subtask).unwrap_or(i32::MAX);
            Some(Subtask { index, finished: false, state: Some(Box::new(state.clone())) })
        });
        OperatorState {
            name: JavaStr::from(""),
            uid: JavaStr::from(""),
            id: operator.id,
            parallelism: i32::try_from(operator.parallelism).unwrap_or(i32::MAX),
            max_parallelism: operator.max_parallelism,
            chain_length: 1,
            coordinator: None,
            subtasks: Subtasks::Some(subtasks.collect()),
        }
    });
    let metadata = Metadata {
        version: VERSION,
        checkpoint_id: id,
        master_states: Vec::new(),
        operators: operators.collect(),
        properties: Some(Cow::Owned(properties::write(new_properties(kind, retention)))),
        trailing: Cow::Borrowed(&[]),
    };
    crate::format::encode(&metadata)
}

fn new_properties(kind: &SnapshotKind, retention: Retention) -> NewProperties {
    match kind {
        SnapshotKind::Checkpoint => NewProperties::Checkpoint {
            discard_canceled: retention.discards_on(TerminalState::Canceled),
            discard_failed: retention.discards_on(TerminalState::Failed),
            discard_suspended: retention.discards_on(TerminalState::Suspended),
        },
        SnapshotKind::Savepoint { kind, format, .. } => NewProperties::Savepoint {
            native: *format == SavepointFormat::Native,
            after: match kind {
                SavepointKind::Savepoint => AfterSavepoint::Nothing,
                SavepointKind::StopWithSavepoint { drain: false } => AfterSavepoint::Suspend,
                SavepointKind::StopWithSavepoint { drain: true } => AfterSavepoint::Terminate,
            },
        },
    }
}

/// Completes a snapshot: makes the names of its files durable, then publishes its `_metadata`.
pub(crate) fn complete(storage: &dyn WriteStorage, directory: &Location, metadata: &[u8]) -> Result<(), StorageError> {
    storage.sync_dir(directory)?;
    storage.publish(&directory.with_suffix("/_metadata"), metadata)
}

/// Removes a snapshot of this job that is not wanted any more, or was never completed: the `_metadata` first, so that
/// there is never one whose files are gone. Files whose names the runtime does not give are left alone, and the
/// directory with them.
pub(crate) fn remove(storage: &dyn WriteStorage, directory: &Location) -> Result<(), StorageError> {
    storage.delete(&directory.with_suffix("/_metadata"))?;
    let entries = match storage.list(directory) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        if entry.kind == EntryKind::File && is_ours(&entry.name) {
            storage.delete(&directory.with_suffix(&format!("/{}", entry.name)))?;
        }
    }
    storage.delete_empty_dir(directory)?;
    Ok(())
}

/// A state file, or a `_metadata` in the making.
fn is_ours(name: &str) -> bool {
    let is_uuid = |text: &str| {
        text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
    };
    is_uuid(name) || name.strip_prefix("._metadata.inprogress.").is_some_and(is_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_runtime_gives_are_removed() {
        assert!(is_ours("75613fb4-ca59-4264-850c-acfb3aee282b"));
        assert!(is_ours("._metadata.inprogress.75613fb4-ca59-4264-850c-acfb3aee282b"));
        for foreign in
            ["_metadata", "notes.txt", "75613fb4-ca59-4264-850c-acfb3aee282", "75613fb4_ca59-4264-850c-acfb3aee282b"]
        {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }
}
