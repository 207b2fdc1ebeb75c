//! Which directory below the roots is what to Flink. Only files in places that are known here may ever be swept.
//!
//! The layout is `{root}/{job}/{shared,taskowned,chk-N}` (`AbstractFsCheckpointStorageAccess`, `FsCheckpointStorageAccess`), with
//! files named by random UUIDs (`FsCheckpointStreamFactory`); below `shared` and `taskowned` the directories of file merging
//! (`FileMergingSnapshotManagerBase`, 1.20) and of ForSt's database (`ForStFlinkFileSystem`, 2.x); `{base}/{job}/dstl` of the
//! changelog (`FsStateChangelogStorage`).

use super::tree::{DirId, Found, Tree};
use crate::model::Location;
use crate::storage::EntryKind;
use crate::survey::catalog::{METADATA, checkpoint_number, is_job_id, is_savepoint_name};
use foldhash::{HashMap, HashMapExt as _};

/// What a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `chk-N` of a job.
    Checkpoint(u64),
    /// `shared` of a job.
    Shared,
    /// A directory of file merging below `shared`: one file holds segments of many snapshots.
    Merged,
    /// `db` of ForSt below `shared`: a live database.
    Database,
    /// `taskowned` of a job, or a directory of file merging below it.
    TaskOwned,
    /// `dstl` of a job: changes.
    Changelog,
    /// A directory that only holds others of these.
    Between,
    /// A job's own.
    Job,
}

/// An index into [`Layout::jobs`].
pub type JobIndex = usize;

/// A job, by all the directories that bear its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id, or the place of a directory without one (`create-subdir` switched off).
    pub name: String,
    /// One directory of it, to name it by.
    pub place: Location,
}

/// What the directories of a tree are.
pub struct Layout {
    /// For each directory, if it is one of Flink's.
    roles: Vec<Option<(Role, JobIndex)>>,
    /// The jobs.
    pub jobs: Vec<Job>,
}

impl Layout {
    /// Finds out what each directory is.
    pub fn of(tree: &Tree) -> Self {
        let mut layout = Layout { roles: vec![None; tree.dirs().count()], jobs: Vec::new() };
        let mut by_name: HashMap<String, JobIndex> = HashMap::new();
        for dir in tree.dirs().filter(|dir| is_job(tree, *dir)) {
            let place = tree.place(dir);
            let name = if is_job_id(place.name()) { place.name().to_owned() } else { place.to_string() };
            let job = *by_name.entry(name).or_insert_with_key(|name| {
                layout.jobs.push(Job { name: name.clone(), place: place.clone() });
                layout.jobs.len() - 1
            });
            // The walk comes by directories in no order.
            if let Some(first) = layout.jobs.get_mut(job).filter(|first| *place < first.place) {
                first.place = place.clone();
            }
            layout.set(dir, Role::Job, job);
            layout.parts(tree, dir, job);
        }
        layout
    }

    fn set(&mut self, dir: DirId, role: Role, job: JobIndex) {
        if let Some(slot) = self.roles.get_mut(dir.index()) {
            *slot = Some((role, job));
        }
    }

    /// The directories of a job.
    fn parts(&mut self, tree: &Tree, job_dir: DirId, job: JobIndex) {
        for (dir, name) in children(tree, job_dir) {
            match name {
                "shared" => {
                    self.set(dir, Role::Shared, job);
                    for (below, name) in children(tree, dir) {
                        if is_merging_dir(name, "_op_") || is_merging_dir(name, "_tm_") {
                            self.set(below, Role::Merged, job);
                        } else if name.starts_with("op_") {
                            self.set(below, Role::Between, job);
                            for (db, _) in children(tree, below).filter(|(_, name)| *name == "db") {
                                self.set(db, Role::Database, job);
                            }
                        }
                    }
                }
                "taskowned" => {
                    self.set(dir, Role::TaskOwned, job);
                    for (below, _) in children(tree, dir).filter(|(_, name)| is_merging_dir(name, "_tm_")) {
                        self.set(below, Role::TaskOwned, job);
                    }
                }
                "dstl" if is_job_id(tree.place(job_dir).name()) => self.set(dir, Role::Changelog, job),
                name => {
                    if let Some(number) = checkpoint_number(name) {
                        self.set(dir, Role::Checkpoint(number), job);
                    }
                }
            }
        }
    }

    /// What a directory is, and whose.
    pub fn role(&self, dir: DirId) -> Option<(Role, JobIndex)> {
        self.roles.get(dir.index()).copied().flatten()
    }

    /// The job that a directory belongs to.
    pub fn job(&self, dir: DirId) -> Option<JobIndex> {
        self.role(dir).map(|(_, job)| job)
    }
}

fn children(tree: &Tree, dir: DirId) -> impl Iterator<Item = (DirId, &str)> {
    let dirs = tree.entries(dir).filter(|entry| entry.kind == EntryKind::Directory && entry.exact);
    dirs.filter_map(move |entry| Some((tree.child(dir, entry.name)?, entry.name)))
}

/// Whether a directory is a job's: by its name, or by what is in it, and only where a catalog looks for snapshots. Of a job
/// in a hidden directory or in a snapshot nobody sees the checkpoints, so nothing may be swept there.
fn is_job(tree: &Tree, dir: DirId) -> bool {
    let has = |name: &str| tree.find(dir, name).is_some_and(|entry| entry.kind == EntryKind::Directory);
    let looks = is_job_id(tree.place(dir).name())
        || (has("shared") && has("taskowned"))
        || children(tree, dir).any(|(_, name)| checkpoint_number(name).is_some());
    looks && !is_snapshot(tree, dir) && is_looked_into(tree, dir)
}

/// Whether a catalog takes a directory for a snapshot, and looks for no others in it.
fn is_snapshot(tree: &Tree, dir: DirId) -> bool {
    let name = tree.place(dir).name();
    let metadata = tree.find(dir, METADATA).is_some_and(|entry| entry.kind != EntryKind::Directory);
    metadata || checkpoint_number(name).is_some() || is_savepoint_name(name)
}

/// Whether a catalog comes by a directory ([`crate::survey::Catalog`]).
fn is_looked_into(tree: &Tree, dir: DirId) -> bool {
    let mut at = dir;
    while let Some(above) = tree.parent(at) {
        let name = tree.place(at).name();
        let has = |name: &str| tree.find(above, name).is_some();
        let may_be_job = || {
            is_job_id(tree.place(above).name())
                || (has("shared") && has("taskowned"))
                || tree.entries(above).any(|entry| checkpoint_number(entry.name).is_some())
        };
        let of_job = matches!(name, "shared" | "taskowned" | "dstl") && may_be_job();
        if name.starts_with('.') || name == "lost+found" || of_job || is_snapshot(tree, above) {
            return false;
        }
        at = above;
    }
    true
}

/// `job_<job id>_op_<operator id>_<subtask>_<parallelism>` and `job_<job id>_tm_<task manager>`
/// (`FileMergingSnapshotManager.SubtaskKey.getManagedDirName`, `FileMergingSnapshotManagerBase.managedExclusiveStateDir`).
fn is_merging_dir(name: &str, middle: &str) -> bool {
    let rest = name.strip_prefix("job_").and_then(|rest| rest.split_at_checked(32));
    rest.is_some_and(|(job, rest)| is_job_id(job) && rest.strip_prefix(middle).is_some_and(|rest| !rest.is_empty()))
}

/// Whether a name is one that Flink gives a file of state: a UUID (`FsCheckpointStreamFactory.createStatePath`).
pub fn is_state_file_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Whether a name is that of a file on its way to becoming a `_metadata` or a file of state
/// (`LocalRecoverableWriter.generateStagingTempFilePath`).
pub fn is_in_progress_name(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|rest| rest.split_once(".inprogress."));
    parts.is_some_and(|(target, uuid)| (target == METADATA || is_state_file_name(target)) && is_state_file_name(uuid))
}

/// Whether an entry is a file that Flink wrote, by kind and name.
pub fn is_state_file(entry: &Found<'_>) -> bool {
    entry.kind == EntryKind::File && entry.exact && (is_state_file_name(entry.name) || is_in_progress_name(entry.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_state_files_are_uuids_and_nothing_else() {
        for (name, wanted) in [
            ("75613fb4-ca59-4264-850c-acfb3aee282b", true),
            ("75613FB4-ca59-4264-850c-acfb3aee282b", false),
            ("75613fb4-ca59-4264-850c-acfb3aee282b.bak", false),
            ("75613fb4_ca59-4264-850c-acfb3aee282b", false),
            ("_metadata", false),
            ("notes.txt", false),
        ] {
            assert_eq!(is_state_file_name(name), wanted, "{name}");
        }
        assert!(is_in_progress_name("._metadata.inprogress.75613fb4-ca59-4264-850c-acfb3aee282b"));
        assert!(!is_in_progress_name(".profile.inprogress.75613fb4-ca59-4264-850c-acfb3aee282b"));
    }

    #[test]
    fn directories_of_file_merging_bear_the_id_of_their_job() {
        let job = "d3c8c1ff40d3ab2ac5e2b0c5f1c5b1a0";
        assert!(is_merging_dir(&format!("job_{job}_op_{job}_0_2"), "_op_"));
        assert!(is_merging_dir(&format!("job_{job}_tm_host:1234-af"), "_tm_"));
        assert!(!is_merging_dir(&format!("job_{job}_tm_"), "_tm_"));
        assert!(!is_merging_dir("job_x_tm_y", "_tm_"));
    }
}
