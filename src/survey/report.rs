//! What is found out about a snapshot, and the findings that need no look at its files.

use super::catalog::{self, SnapshotDir};
use super::compat::Compat;
use super::finding::{Code, Finding, Severity, Verdict};
use crate::format::{FormatError, properties};
use crate::model::{Location, Metadata};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// What was found out about a snapshot. The fields are those of `verify --json` and `list --json`.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotReport {
    /// The directory of the snapshot.
    pub path: Location,
    /// What can be said of it.
    pub verdict: Verdict,
    /// The id of the checkpoint: from the `_metadata`, or from the name of a directory without one.
    pub checkpoint_id: Option<i64>,
    /// The job that wrote it, from the directory above.
    pub job_id: Option<String>,
    /// Checkpoint or savepoint.
    pub kind: Option<Kind>,
    /// The kind in more words, such as `canonical savepoint`.
    pub description: Option<String>,
    /// Version of the format.
    pub metadata_version: Option<i32>,
    /// When the `_metadata` was written.
    pub completed_at: Option<Timestamp>,
    /// Counts of files.
    pub files: FileCounts,
    /// What was seen.
    pub findings: Vec<Finding>,
    /// Size in bytes of all state, in line and in files, as Flink adds it up.
    pub state_size: Option<i64>,
    /// Size in bytes of the `_metadata`.
    pub metadata_size: Option<u64>,
    /// Bytes of files in the directory of an incomplete one, where [`super::Judge::keep_files`] asked for files.
    pub incomplete_bytes: Option<u64>,
    /// Directories of other jobs that it refers into.
    pub depends_on: Vec<String>,
    /// How it fits what it is to be restarted with, where that was asked for.
    pub compat: Option<Compat>,
    /// The files it refers to, where [`super::Judge::keep_files`] asked for them.
    pub used: Vec<UsedFile>,
    /// What else it holds on to, where files were asked for.
    pub also: AlsoUsed,
    /// How much of its state was read, where [`super::Deep`] read it.
    pub deep: Option<DeepCounts>,
}

/// How much of the state of a snapshot was read, and understood.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DeepCounts {
    /// Streams and databases that it has, in files or in line.
    pub streams: u64,
    /// Those that were read.
    pub read: u64,
    /// Bytes of all of them, as far as the handles say.
    pub bytes: u64,
    /// Bytes of those that were read.
    pub bytes_read: u64,
    /// Content that was read and not understood, in which damage would not have been seen.
    pub opaque: Vec<String>,
}

/// The two kinds of snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Owned by the job.
    Checkpoint,
    /// Owned by the user.
    Savepoint,
}

/// How many files a snapshot refers to, and how they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FileCounts {
    /// Different files.
    pub referenced: u64,
    /// Those that are not there.
    pub missing: u64,
    /// Those that are there and not as recorded.
    pub damaged: u64,
    /// Bytes that the files should hold.
    pub bytes: u64,
}

/// A file that a snapshot refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedFile {
    /// Its directory, in canonical form.
    pub dir: Arc<Location>,
    /// Its name.
    pub name: Box<str>,
    /// Bytes of it that the snapshot refers to.
    pub bytes: u64,
}

/// What a snapshot holds on to beside the files that its handles name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlsoUsed {
    /// Directories as a whole (`DirectoryStreamStateHandle`), as Flink names them.
    pub dirs: Vec<Location>,
    /// Names of files in paths that Flink refuses.
    pub names: Vec<Box<str>>,
    /// Ids of older checkpoints of the same job (version 7).
    pub checkpoints: Vec<i64>,
}

impl SnapshotReport {
    pub(super) fn empty(snapshot: &SnapshotDir) -> Self {
        SnapshotReport {
            path: snapshot.dir.clone(),
            verdict: Verdict::Unknown,
            checkpoint_id: snapshot.id_in_name().and_then(|id| i64::try_from(id).ok()),
            job_id: snapshot.job_id.clone(),
            kind: snapshot.id_in_name().map(|_| Kind::Checkpoint),
            description: None,
            metadata_version: None,
            completed_at: snapshot.completed_at(),
            files: FileCounts::default(),
            findings: Vec::new(),
            state_size: None,
            metadata_size: None,
            incomplete_bytes: None,
            depends_on: Vec::new(),
            compat: None,
            used: Vec::new(),
            also: AlsoUsed::default(),
            deep: None,
        }
    }

    pub(super) fn describe(&mut self, metadata: &Metadata<'_>) {
        self.checkpoint_id = Some(metadata.checkpoint_id);
        self.metadata_version = Some(metadata.version.number());
        self.state_size = Some(metadata.state_size());
        let (kind, description) = kind_of(metadata, &self.path);
        (self.kind, self.description) = (Some(kind), Some(description));
    }
}

/// Whether a snapshot is a checkpoint or a savepoint, and that in more words. Formats before version 4 do not say;
/// then the name of the directory does.
pub fn kind_of(metadata: &Metadata<'_>, dir: &Location) -> (Kind, String) {
    if let Some(properties) = metadata.properties.as_deref().and_then(properties::read) {
        let kind = if properties.is_savepoint() { Kind::Savepoint } else { Kind::Checkpoint };
        return (kind, properties.describe());
    }
    match catalog::checkpoint_number(dir.name()) {
        Some(_) => (Kind::Checkpoint, "checkpoint".to_owned()),
        None => (Kind::Savepoint, "savepoint".to_owned()),
    }
}

pub(super) fn no_metadata(snapshot: &SnapshotDir) -> Finding {
    Finding::new(
        Code::NoMetadata,
        Severity::Error,
        &snapshot.metadata_file,
        "there is no _metadata: the checkpoint is in progress, failed or was abandoned",
    )
}

pub(super) fn unreadable_metadata(snapshot: &SnapshotDir, why: &str) -> Finding {
    let message = format!("the _metadata could not be read: {why}");
    Finding::new(Code::UnreadableMetadata, Severity::Unknown, &snapshot.metadata_file, message)
}

pub(super) fn undecodable(snapshot: &SnapshotDir, error: &FormatError) -> Finding {
    let (code, severity) = match error {
        // A limit of ours, not of Flink's.
        FormatError::Damaged(error) if error.problem.is_limit() => (Code::UnreadableMetadata, Severity::Unknown),
        FormatError::Damaged(_) | FormatError::NotMetadata { .. } | FormatError::NoSuchVersion(_) => {
            (Code::DamagedMetadata, Severity::Error)
        }
        FormatError::TooOld { .. } => (Code::OldVersion, Severity::Error),
        FormatError::TooNew(_) => (Code::UnknownVersion, Severity::Unknown),
    };
    Finding::new(code, severity, &snapshot.metadata_file, error.to_string())
}
