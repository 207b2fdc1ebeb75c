//! A tree of files that were put aside, walked and emptied. It holds what anybody put there: links are not followed, and
//! what has no exact name stays.

use super::own;
use super::own::below;
use super::{ChangeError, Left};
use crate::model::Location;
use crate::storage::{Below, Details, EntryKind, StorageError, WalkVisitor, WriteStorage};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What is in a tree: by directory, from the tree on, what it holds besides directories.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) dirs: BTreeMap<String, Vec<Details>>,
    /// What could not be listed.
    pub(super) failed: Vec<Left>,
}

#[derive(Default)]
struct Collect {
    found: Mutex<Tree>,
}

struct Visitor<'a> {
    base: &'a Location,
    into: Collect,
}

impl WalkVisitor for Visitor<'_> {
    fn enters(&self, _: &Location, _: &str) -> bool {
        true
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        let Some(dir) = dir.strip_prefix(self.base) else { return };
        let mut tree = self.into.found.lock().unwrap_or_else(PoisonError::into_inner);
        let held = tree.dirs.entry(dir.trim_start_matches('/').to_owned()).or_default();
        held.extend(entries.into_iter().filter(|entry| entry.kind != EntryKind::Directory || !entry.exact));
    }

    fn failed(&self, dir: &Location, error: StorageError) {
        if error.is_not_found() && dir == self.base {
            return;
        }
        let mut tree = self.into.found.lock().unwrap_or_else(PoisonError::into_inner);
        tree.failed.push(Left { place: dir.clone(), count: 1, why: error.message });
    }
}

/// Walks a tree below a root; one that is not there is empty.
pub(super) fn walk(storage: &dyn WriteStorage, root: &Location, dir: &str) -> Result<Tree, ChangeError> {
    if !own::is_there(storage, root, dir)? {
        return Ok(Tree::default());
    }
    let base = Below { root, dir }.location();
    let visitor = Visitor { base: &base, into: Collect::default() };
    storage.walk(&base, &visitor);
    Ok(visitor.into.found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Makes the names in all directories of a tree durable.
pub(super) fn sync(storage: &dyn WriteStorage, root: &Location, dir: &str) -> Result<(), ChangeError> {
    let tree = walk(storage, root, dir)?;
    for held in tree.dirs.keys() {
        sync_dir(storage, root, &below(dir, held))?;
    }
    Ok(())
}

/// Makes the names in a directory durable; fine if it is gone.
pub(super) fn sync_dir(storage: &dyn WriteStorage, root: &Location, dir: &str) -> Result<(), StorageError> {
    match storage.sync_dir(&Below { root, dir }.location()) {
        Err(error) if error.is_not_found() => Ok(()),
        synced => synced,
    }
}

/// Brings names of a directory of a tree back to where they were, into directories with the modes that they had. One
/// answer per name: `Ok(false)` where the tree does not have it.
pub(super) fn bring_back(
    storage: &dyn WriteStorage,
    root: &Location,
    tree: &str,
    dir: &str,
    names: &[&str],
) -> Vec<Result<bool, StorageError>> {
    if let Err(error) = create_home(storage, root, tree, dir) {
        return vec![Err(error); names.len()];
    }
    storage.rename_names(Below { root, dir: &below(tree, dir) }, Below { root, dir }, names)
}

/// Creates the directory that one of a tree was.
pub(super) fn create_home(
    storage: &dyn WriteStorage,
    root: &Location,
    tree: &str,
    dir: &str,
) -> Result<(), StorageError> {
    let like = Below { root, dir: tree }.location();
    storage.create_dirs_like(Below { root, dir }, Below { root: &like, dir })
}

/// Removes the directories of a tree that are empty, and the tree; deepest first. `Ok(false)` where something stays.
pub(super) fn remove_empty(storage: &dyn WriteStorage, root: &Location, tree: &str) -> Result<bool, ChangeError> {
    let walked = walk(storage, root, tree)?;
    let mut emptied = walked.failed.is_empty();
    // A directory comes after the one that holds it.
    for (dir, held) in walked.dirs.iter().rev() {
        if held.is_empty() {
            emptied &= storage.delete_empty_below(Below { root, dir: &below(tree, dir) }).is_ok();
        } else {
            emptied = false;
        }
    }
    Ok(emptied)
}
