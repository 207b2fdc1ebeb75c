//! Finds snapshots: any mix of checkpoint roots, job directories, savepoint directories and single snapshots.
//!
//! A snapshot is a directory with a `_metadata`; a directory named as Flink names one, but without it, is incomplete. The walk
//! does not enter `shared`, `taskowned` and `dstl` of a job, hidden directories (where prune puts things aside) and
//! `lost+found`, and does not follow symbolic links below the place it was given.

use super::resolve::absolute;
use crate::model::Location;
use crate::storage::{Entry, EntryKind, Storage, StorageError, StorageErrorKind, in_parallel, threads_for};
use jiff::Timestamp;
use std::collections::HashSet;

/// The name of the file that makes a directory a snapshot (`AbstractFsCheckpointStorageAccess.METADATA_FILE_NAME`).
pub const METADATA: &str = "_metadata";

/// A directory that is a snapshot, was to become one, or could not be looked into.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotDir {
    /// The exclusive directory.
    pub dir: Location,
    /// The file to read; usually `_metadata` in the directory.
    pub metadata_file: Location,
    /// What is there.
    pub state: SnapshotState,
    /// The id of the job, from the directory above a `chk-N`.
    pub job_id: Option<String>,
}

/// What was found in a snapshot's directory.
#[derive(Debug, Clone, PartialEq)]
pub enum SnapshotState {
    /// A `_metadata`.
    Complete {
        /// Its size in bytes.
        metadata_size: u64,
        /// When it was written last: the time of completion.
        completed_at: Option<Timestamp>,
    },
    /// No `_metadata`.
    Incomplete {
        /// When the directory was changed last.
        modified: Option<Timestamp>,
    },
    /// A directory or something else is where the `_metadata` should be.
    NotAFile,
    /// Whether there is a `_metadata` could not be found out.
    Unknown(StorageError),
    /// A directory below a root could not be listed; snapshots may be in it.
    UnlistedDirectory(StorageError),
}

impl SnapshotDir {
    /// When the snapshot was completed; `None` where it was not or that is not known.
    pub fn completed_at(&self) -> Option<Timestamp> {
        match self.state {
            SnapshotState::Complete { completed_at, .. } => completed_at,
            _ => None,
        }
    }

    /// When anything happened there last, for ordering.
    pub fn time(&self) -> Option<Timestamp> {
        match self.state {
            SnapshotState::Complete { completed_at, .. } => completed_at,
            SnapshotState::Incomplete { modified } => modified,
            SnapshotState::NotAFile | SnapshotState::Unknown(_) | SnapshotState::UnlistedDirectory(_) => None,
        }
    }

    /// The number in `chk-N`.
    pub fn id_in_name(&self) -> Option<u64> {
        checkpoint_number(self.dir.name())
    }
}

/// The number of a directory named `chk-N`.
pub fn checkpoint_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("chk-")?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether a directory is named as Flink names savepoints: `savepoint-`, six digits of the job id, twelve random ones
/// (`AbstractFsCheckpointStorageAccess.initializeLocationForSavepoint`).
pub fn is_savepoint_name(name: &str) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = name.strip_prefix("savepoint-").and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(job, random)| digits(job, 6) && digits(random, 12))
}

/// Whether a directory name is a job id.
pub fn is_job_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What was found below the places that were given.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Snapshots and what might be one: newest first by completion time; what has no time comes before everything
    /// else, since it may be newer.
    pub snapshots: Vec<SnapshotDir>,
}

impl Catalog {
    /// Looks below each of `places`, which may be roots, job directories, snapshots or `_metadata` files. Fails where
    /// one of them is not there or cannot be looked at itself.
    pub fn scan(storage: &dyn Storage, places: &[Location]) -> Result<Self, StorageError> {
        let mut catalog = Catalog::default();
        for place in places {
            catalog.add(storage, &absolute(place))?;
        }
        let mut seen = HashSet::new();
        catalog.snapshots.retain(|snapshot| seen.insert(snapshot.metadata_file.canonical()));
        catalog.snapshots.sort_by(|a, b| {
            let timeless = |s: &SnapshotDir| s.time().is_none();
            (timeless(b).cmp(&timeless(a)))
                .then_with(|| b.time().cmp(&a.time()))
                .then_with(|| b.id_in_name().cmp(&a.id_in_name()))
                .then_with(|| a.dir.cmp(&b.dir))
        });
        Ok(catalog)
    }

    fn add(&mut self, storage: &dyn Storage, place: &Location) -> Result<(), StorageError> {
        if storage.stat(place)?.kind != EntryKind::Directory {
            // Flink takes any file for a metadata file, and its directory for the exclusive one.
            let dir = place.parent().unwrap_or_else(|| place.clone());
            self.snapshots.push(snapshot(storage, dir, place.clone()));
            return Ok(());
        }
        let found = snapshot(storage, place.clone(), place.with_suffix(&format!("/{METADATA}")));
        let is_snapshot = !matches!(found.state, SnapshotState::Incomplete { .. });
        if is_snapshot || checkpoint_number(place.name()).is_some() {
            self.snapshots.push(found);
            return Ok(());
        }
        let entries = storage.list(place)?;
        self.walk(storage, place, entries);
        Ok(())
    }

    /// Looks at the entries of a directory that is not itself a snapshot, and below it: level by level, several directories
    /// at a time.
    fn walk(&mut self, storage: &dyn Storage, root: &Location, entries: Vec<Entry>) {
        let threads = threads_for([root]);
        let mut level = vec![(root.clone(), entries)];
        let mut snapshots = Vec::new();
        while !level.is_empty() {
            let mut unknown = Vec::new();
            for (dir, entries) in &level {
                self.sort_out(dir, entries, &mut snapshots, &mut unknown);
            }
            let listed = in_parallel(&unknown, threads, |dir| storage.list(dir));
            level.clear();
            for (dir, listed) in unknown.into_iter().zip(listed) {
                match listed {
                    Ok(entries) if entries.iter().any(|e| e.name == METADATA && e.kind != EntryKind::Directory) => {
                        snapshots.push(dir);
                    }
                    Ok(entries) => level.push((dir, entries)),
                    // It went away meanwhile.
                    Err(error) if error.is_not_found() => {}
                    Err(error) => self.unlisted(dir, error),
                }
            }
        }
        let found = in_parallel(&snapshots, threads, |dir| {
            snapshot(storage, dir.clone(), dir.with_suffix(&format!("/{METADATA}")))
        });
        self.snapshots.extend(found);
    }

    /// Finds among the entries of a directory those that are snapshots by their names, and those that may hold some.
    fn sort_out(
        &mut self,
        dir: &Location,
        entries: &[Entry],
        snapshots: &mut Vec<Location>,
        unknown: &mut Vec<Location>,
    ) {
        let job = looks_like_job(dir, entries);
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Directory) {
            if entry.name.starts_with('.')
                || entry.name == "lost+found"
                || (job && matches!(entry.name.as_str(), "shared" | "taskowned" | "dstl"))
            {
                continue;
            }
            let child = dir.with_suffix(&format!("/{}", entry.name));
            if entry.name.contains(['\\', char::REPLACEMENT_CHARACTER]) {
                let message = "its name cannot be written in a path of Flink's";
                self.unlisted(child.clone(), StorageError::new(StorageErrorKind::Other, &child, message));
            } else if checkpoint_number(&entry.name).is_some() || is_savepoint_name(&entry.name) {
                snapshots.push(child);
            } else {
                unknown.push(child);
            }
        }
    }

    /// Notes a directory that may hold snapshots which cannot be seen.
    fn unlisted(&mut self, dir: Location, error: StorageError) {
        self.snapshots.push(SnapshotDir {
            metadata_file: dir.with_suffix(&format!("/{METADATA}")),
            job_id: is_job_id(dir.name()).then(|| dir.name().to_owned()),
            dir,
            state: SnapshotState::UnlistedDirectory(error),
        });
    }
}

/// Whether `shared`, `taskowned` and `dstl` in a directory are Flink's.
fn looks_like_job(dir: &Location, entries: &[Entry]) -> bool {
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    is_job_id(dir.name())
        || (has("shared") && has("taskowned"))
        || entries.iter().any(|entry| checkpoint_number(&entry.name).is_some())
}

fn snapshot(storage: &dyn Storage, dir: Location, metadata_file: Location) -> SnapshotDir {
    let state = match storage.stat(&metadata_file) {
        Ok(stat) if stat.kind == EntryKind::File => {
            SnapshotState::Complete { metadata_size: stat.size, completed_at: stat.modified }
        }
        Ok(_) => SnapshotState::NotAFile,
        Err(error) if error.is_not_found() => {
            SnapshotState::Incomplete { modified: storage.stat(&dir).ok().and_then(|stat| stat.modified) }
        }
        Err(error) => SnapshotState::Unknown(error),
    };
    let above = dir.parent().filter(|parent| is_job_id(parent.name()));
    let job_id = above.filter(|_| checkpoint_number(dir.name()).is_some()).map(|parent| parent.name().to_owned());
    SnapshotDir { dir, metadata_file, state, job_id }
}
