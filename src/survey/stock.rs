//! The files of a snapshot with their owners, as `files` and `inspect` list them.

use super::references::{Extent, Place, Reference};
use super::report::AlsoUsed;
use super::verify::{Judge, References, ResolvedReference, is_damaged, job_directory};
use crate::model::{KeyGroupRange, Location, Metadata, OperatorId, StreamHandle};
use crate::storage::Presence;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where a file lies, seen from the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Beside the `_metadata`.
    Exclusive,
    /// Below `shared` of the same job.
    Shared,
    /// Below `taskowned` of the same job.
    TaskOwned,
    /// Below another job's directory.
    OtherJob,
    /// Anywhere else, such as a savepoint's directory or that of the changelog.
    Outside,
}

impl Scope {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Scope::Exclusive => "exclusive",
            Scope::Shared => "shared",
            Scope::TaskOwned => "task-owned",
            Scope::OtherJob => "other-job",
            Scope::Outside => "outside",
        }
    }
}

/// How a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// There, and as long as its handles say or need.
    Present,
    /// There, and not so.
    Damaged,
    /// Not there.
    Missing,
    /// It could not be found out.
    Unknown,
}

/// A file that a snapshot refers to. The fields are those of `files --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileEntry {
    /// As Flink names it.
    pub path: String,
    /// Size in bytes that it should have; at least, where only segments of it are referred to.
    pub size: Option<i64>,
    /// Size in bytes that it has.
    pub actual_size: Option<u64>,
    /// How it is.
    pub state: FileState,
    /// Whether it is there; null where that is not known.
    pub present: Option<bool>,
    /// Where it lies.
    pub scope: Scope,
    /// How many handles refer to it.
    pub references: u64,
    /// Whose state it holds.
    pub owners: Vec<OwnerEntry>,
}

/// An owner of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwnerEntry {
    /// The operator.
    pub operator_id: Option<OperatorId>,
    /// Its name, where the `_metadata` has it.
    pub operator_name: Option<String>,
    /// Its uid, where the `_metadata` has it.
    pub operator_uid: Option<String>,
    /// The subtask.
    pub subtask: i32,
    /// The key groups, first and last, of keyed state.
    pub key_groups: Option<KeyGroupRange>,
    /// What state it is.
    pub state: String,
}

/// A file as Flink's own view of a `_metadata` has it, in `inspect --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReferencedFile {
    /// As Flink names it.
    pub path: String,
    /// How many handles refer to it.
    pub references: u64,
    /// Size in bytes, where a handle means the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// The least size in bytes, where handles mean segments of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_size: Option<i64>,
    /// Whether it is there; null where that is not known.
    pub exists: Option<bool>,
    /// Size in bytes that it has; −1 where it is not a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_size: Option<i64>,
}

/// The files of a snapshot in the directory `dir`, in the order of its `_metadata`.
pub fn files(judge: &Judge<'_>, metadata: &Metadata<'_>, dir: &Location) -> Vec<FileEntry> {
    let references = looked_up(judge, metadata, dir);
    let own_job = job_above(&judge.exclusive(dir));
    let mut entries: Vec<FileEntry> = references
        .files
        .iter()
        .map(|file| {
            let path = references.resolver.location(&file.place);
            let (actual_size, present) = match &file.presence {
                Presence::File { size } => (Some(*size), Some(true)),
                Presence::NotAFile => (None, Some(true)),
                Presence::Missing => (None, Some(false)),
                Presence::Unknown(_) => (None, None),
            };
            let state = match &file.presence {
                Presence::File { .. } => FileState::Present,
                Presence::NotAFile => FileState::Damaged,
                Presence::Missing => FileState::Missing,
                Presence::Unknown(_) => FileState::Unknown,
            };
            let scope = scope(&path, file.place.dir == 0, own_job.as_ref());
            let size = Some(file.end).filter(|&end| end >= 0);
            let path = path.to_string();
            FileEntry { path, size, actual_size, state, present, scope, references: 0, owners: Vec::new() }
        })
        .collect();
    for ResolvedReference { reference, file } in &references.list {
        let (Some(entry), Some(looked)) = (entries.get_mut(*file), references.files.get(*file)) else {
            continue;
        };
        entry.references += 1;
        if is_damaged(reference, looked) {
            entry.state = FileState::Damaged;
        }
        let owner = owner(metadata, reference);
        if entry.owners.last() != Some(&owner) {
            entry.owners.push(owner);
        }
    }
    entries
}

/// The files of a snapshot as Flink's own view has them, by path.
pub fn referenced_files(
    judge: &Judge<'_>,
    metadata: &Metadata<'_>,
    dir: &Location,
) -> BTreeMap<String, ReferencedFile> {
    let references = looked_up(judge, metadata, dir);
    let mut by_file: Vec<Option<ReferencedFile>> = vec![None; references.files.len()];
    for ResolvedReference { reference, file } in &references.list {
        let (Some(slot), Some(looked)) = (by_file.get_mut(*file), references.files.get(*file)) else {
            continue;
        };
        let entry = slot.get_or_insert_with(|| {
            let (exists, actual_size) = match &looked.presence {
                Presence::File { size } => (Some(true), Some(i64::try_from(*size).unwrap_or(i64::MAX))),
                Presence::NotAFile => (Some(true), Some(-1)),
                Presence::Missing => (Some(false), None),
                Presence::Unknown(_) => (None, None),
            };
            let path = references.resolver.location(&looked.place).to_string();
            ReferencedFile { path, references: 0, size: None, min_size: None, exists, actual_size }
        });
        entry.references += 1;
        // Which of the two it is, the first handle decides.
        match reference.extent {
            Extent::Whole(size) if entry.size.is_none() && entry.min_size.is_none() => entry.size = Some(size),
            Extent::Segment { .. } if entry.size.is_none() => {
                entry.min_size = entry.min_size.max(Some(reference.extent.end()));
            }
            _ => {}
        }
    }
    by_file.into_iter().flatten().map(|file| (file.path.clone(), file)).collect()
}

/// What a snapshot holds on to beside files; `invalid` are the references whose path Flink refuses.
pub(super) fn also_used(metadata: &Metadata<'_>, invalid: &[(Reference<'_>, String)]) -> AlsoUsed {
    let mut also = AlsoUsed::default();
    let states = metadata.operators.iter().flat_map(|op| op.subtasks()).filter_map(|subtask| subtask.state.as_deref());
    for state in states {
        if let crate::model::Reference::Checkpoint(id) = state.reference {
            also.checkpoints.push(id);
        }
        for dirs in state.operator_handles().filter_map(|(_, handle)| handle.merging.as_deref()) {
            let named = [&dirs.task_owned, &dirs.shared].map(|text| Location::parse(&text.to_str()));
            also.dirs.extend(named.into_iter().flatten());
        }
    }
    also.checkpoints.sort_unstable();
    also.checkpoints.dedup();
    also.dirs.sort_unstable();
    also.dirs.dedup();
    also.names = invalid
        .iter()
        .map(|(reference, _)| {
            let (Place::Absolute(path) | Place::Relative(path)) = &reference.place;
            Box::from(path.to_str().rsplit(['/', '\\']).next().unwrap_or_default())
        })
        .collect();
    also
}

/// Bytes of state that are in the `_metadata` itself.
pub fn inline_bytes(metadata: &Metadata<'_>) -> u64 {
    let mut bytes = 0;
    super::references::walk_streams(metadata, |_, stream| {
        if let StreamHandle::Bytes(stream) = stream {
            bytes += stream.data.len() as u64;
        }
    });
    bytes
}

fn looked_up<'m>(judge: &Judge<'_>, metadata: &'m Metadata<'m>, dir: &Location) -> References<'m> {
    let mut references = judge.resolve(metadata, dir);
    judge.look_up(&mut references);
    references
}

/// The directory above a `chk-N`, which holds `shared` and `taskowned`, with or without a job id for a name.
fn job_above(exclusive: &Location) -> Option<Location> {
    exclusive.parent().map(|parent| parent.canonical())
}

fn scope(path: &Location, exclusive: bool, own_job: Option<&Location>) -> Scope {
    if exclusive {
        return Scope::Exclusive;
    }
    let below = own_job.and_then(|job| path.strip_prefix(job));
    match below.as_deref() {
        Some(rest) if rest.starts_with("/shared/") => return Scope::Shared,
        Some(rest) if rest.starts_with("/taskowned/") => return Scope::TaskOwned,
        _ => {}
    }
    match job_directory(path) {
        Some(job) if own_job.is_none_or(|own| own.name() != job.name()) => Scope::OtherJob,
        _ => Scope::Outside,
    }
}

/// The owner of a reference.
pub(super) fn owner(metadata: &Metadata<'_>, reference: &Reference<'_>) -> OwnerEntry {
    let operator = metadata.operators.get(reference.owner.operator);
    OwnerEntry {
        operator_id: operator.map(|op| op.id),
        operator_name: operator.and_then(|op| op.name.non_empty()),
        operator_uid: operator.and_then(|op| op.uid.non_empty()),
        subtask: reference.owner.subtask,
        key_groups: reference.owner.key_groups,
        state: reference.describe(),
    }
}
