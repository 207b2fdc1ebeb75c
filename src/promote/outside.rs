//! Which files a snapshot may bring along. Its `_metadata` is not trusted: it may name any file of the machine.

use crate::model::Location;
use crate::storage::{Storage, StorageError};
use crate::survey::catalog::{METADATA, checkpoint_number, is_savepoint_name};
use std::collections::HashMap;

/// Directories of a job that hold files of several checkpoints (`AbstractFsCheckpointStorageAccess`, and the changelog's
/// `StateChangeFsUploader`).
const COMMON: [&str; 3] = ["shared", "taskowned", "dstl"];
/// So many directories lie between one of [`COMMON`] and a file at most: `shared/op_…/db`.
const DEEPEST: usize = 3;

/// The directories of a snapshot, without links in their paths.
#[derive(Debug)]
pub struct Tree {
    exclusive: Location,
    /// What holds the `chk-N`.
    job: Option<Location>,
    /// Directories that were looked at: whether they hold a `_metadata`.
    snapshots: HashMap<Location, bool>,
}

impl Tree {
    /// Of a snapshot in this directory.
    pub fn of(storage: &dyn Storage, dir: &Location) -> Result<Self, StorageError> {
        let exclusive = storage.real_place(dir)?;
        let job = exclusive.parent().filter(|_| checkpoint_number(exclusive.name()).is_some());
        Ok(Tree { exclusive, job, snapshots: HashMap::new() })
    }

    /// Whether a file, at a place without links, is one that the snapshot may bring along: it lies in a directory of the
    /// snapshot or its job; or it has a name that Flink gives, and lies where Flink puts such files.
    pub fn holds(&mut self, storage: &dyn Storage, file: &Location) -> bool {
        let Some(dir) = file.parent() else { return false };
        if dir.strip_prefix(&self.exclusive).is_some() {
            return true;
        }
        let inside = self.job.as_ref().and_then(|job| dir.strip_prefix(job));
        let first = inside.as_deref().and_then(|rest| rest.trim_start_matches('/').split('/').next());
        if first.is_some_and(|first| COMMON.contains(&first) || checkpoint_number(first).is_some()) {
            return true;
        }
        is_uuid(file.name()) && (is_place_of_flink(&dir) || self.is_snapshot(storage, &dir))
    }

    /// Whether a directory is a snapshot: a job that was restored from it in CLAIM mode refers into it, whatever its name.
    fn is_snapshot(&mut self, storage: &dyn Storage, dir: &Location) -> bool {
        let look = || storage.stat(&dir.with_suffix(&format!("/{METADATA}"))).is_ok();
        *self.snapshots.entry(dir.clone()).or_insert_with(look)
    }
}

/// Whether a directory is called as one that Flink keeps state in.
fn is_place_of_flink(dir: &Location) -> bool {
    let name = dir.name();
    let is_common = |name: &str| COMMON.contains(&name);
    checkpoint_number(name).is_some() || is_savepoint_name(name) || dir.components().rev().take(DEEPEST).any(is_common)
}

/// Whether a name is a UUID, as those of all of Flink's state files are (`FsCheckpointStateOutputStream.createStatePath`).
pub(super) fn is_uuid(name: &str) -> bool {
    let hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    name.len() == 36
        && name.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => hyphen(at),
            byte => byte.is_ascii_hexdigit() && !hyphen(at),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    const UUID: &str = "592d8a9a-a77d-4b55-83b8-8fc7e23b5341";

    fn at(text: &str) -> Location {
        Location::parse(text).expect("a path")
    }

    #[test]
    fn files_of_a_job_and_of_other_jobs_may_come_along_and_others_may_not() {
        let storage = MemoryStorage::new();
        for snapshot in ["/own/name", "/ck/job/chk-7", "/s/name"] {
            storage.put(&at(&format!("{snapshot}/_metadata")), b"").expect("a file");
        }
        let mut tree = Tree::of(&storage, &at("/ck/job/chk-7")).expect("a tree");
        for (place, wanted) in [
            ("/ck/job/chk-7/any name", true),
            ("/ck/job/chk-6/any", true),
            ("/ck/job/shared/op/db/any", true),
            ("/ck/job/secret/any", false),
            ("/ck/job/any", false),
            ("/ck/other/shared/592d8a9a-a77d-4b55-83b8-8fc7e23b5341", true),
            ("/ck/other/shared/passwd", false),
            ("/x/dstl/592d8a9a-a77d-4b55-83b8-8fc7e23b5341", true),
            ("/s/savepoint-a0973f-58e0ff33b29d/592d8a9a-a77d-4b55-83b8-8fc7e23b5341", true),
            ("/own/name/592d8a9a-a77d-4b55-83b8-8fc7e23b5341", true),
            ("/home/user/592d8a9a-a77d-4b55-83b8-8fc7e23b5341", false),
            ("/etc/passwd", false),
        ] {
            assert_eq!(tree.holds(&storage, &at(place)), wanted, "{place}");
        }
        let mut savepoint = Tree::of(&storage, &at("/s/name")).expect("a tree");
        assert!(savepoint.holds(&storage, &at("/s/name/x")) && !savepoint.holds(&storage, &at("/s/shared/x")));
        assert!(savepoint.holds(&storage, &at(&format!("/s/shared/{UUID}"))));
    }

    #[test]
    fn a_uuid_is_hexadecimal_with_hyphens_in_their_places() {
        assert!(is_uuid(UUID));
        for bad in ["", "passwd", &UUID.replace('-', "0"), &UUID.replace('5', "g"), &format!("{UUID}0")] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }
}
