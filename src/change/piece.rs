//! Removes some names of one directory.

use super::Left;
use super::execute::Execution;
use super::own::below;
use super::trash;
use crate::model::Location;
use crate::plan::{Batch, Item};
use crate::storage::{Below, Details, EntryKind, StorageError};

const CHANGED: &str = "it was changed since the plan was made";

impl Execution<'_, '_> {
    /// Puts files of a batch aside, or deletes them: those that are still what the plan says and that nobody objects to.
    pub(super) fn files(&mut self, batch: &Batch, piece: &[Item]) {
        let root = &self.plan.roots[batch.root];
        let home = Below { root, dir: &batch.dir };
        let place = home.location();
        let mut wanted = Vec::with_capacity(piece.len());
        for item in piece {
            match self.recheck.objection(&child(&place, &item.name)) {
                None => wanted.push(item),
                Some(why) => self.skip(batch, item, why),
            }
        }
        let seen = match self.storage.look(home, &names(&wanted)) {
            Ok(seen) => seen,
            Err(error) => return self.fail_all(batch, &wanted, &error),
        };
        let mut going = Vec::with_capacity(wanted.len());
        for (item, seen) in wanted.into_iter().zip(seen) {
            match seen {
                None => self.outcome.gone += 1,
                Some(seen) if is_the_same(item, &seen) => going.push(item),
                Some(_) => self.skip(batch, item, CHANGED.to_owned()),
            }
        }
        if going.is_empty() {
            return;
        }
        match self.tree(batch.root) {
            _ if self.instant => {
                let deleted = self.storage.delete_names(home, &names(&going));
                self.count(batch, &going, deleted);
            }
            Some(tree) => self.put_aside(batch, &tree, &going),
            None => {}
        }
    }

    fn put_aside(&mut self, batch: &Batch, tree: &str, going: &[&Item]) {
        let root = &self.plan.roots[batch.root];
        let home = Below { root, dir: &batch.dir };
        let aside = below(tree, &batch.dir);
        let aside = Below { root, dir: &aside };
        if let Err(error) = self.storage.create_dirs_like(aside, home) {
            return self.fail_all(batch, going, &error);
        }
        let moved = self.storage.rename_names(home, aside, &names(going));
        let moved = self.count(batch, going, moved);
        // Something else may have come to the name between the look and the move.
        let Ok(seen) = self.storage.look(aside, &names(&moved)) else { return };
        let timed = self.storage.rename_keeps_time(root);
        for (item, seen) in moved.into_iter().zip(seen) {
            // Where the time says nothing, the size is all there is to go by.
            let is_it = |seen: &Details| match timed {
                true => is_the_same(item, seen),
                false => seen.kind == EntryKind::File && seen.size == item.size,
            };
            if seen.as_ref().is_none_or(is_it) {
                continue;
            }
            match trash::bring_back(self.storage, root, tree, &batch.dir, &[&item.name]).pop() {
                Some(Ok(true)) => self.skip(batch, item, CHANGED.to_owned()),
                _ => self.fail(batch, item, format!("{CHANGED}, and is in the trash now")),
            }
            self.uncount(batch.root, item.size);
        }
    }

    /// Removes directories that are empty by now, and leaves the others. Their modes are kept in the trash.
    pub(super) fn directories(&mut self, batch: &Batch, piece: &[Item]) {
        let root = &self.plan.roots[batch.root];
        let home = Below { root, dir: &batch.dir };
        for item in piece {
            let dir = below(&batch.dir, &item.name);
            let place = home.file(&item.name);
            if self.is_in_one_that_stayed(batch.root, &dir) {
                self.skip(batch, item, "its snapshot is still there".to_owned());
                continue;
            }
            if let Some(why) = self.recheck.objection(&place) {
                self.skip(batch, item, why);
                continue;
            }
            match self.storage.look(home, &[&item.name]).map(|mut seen| seen.pop().flatten()) {
                Ok(None) => {
                    self.outcome.gone += 1;
                    continue;
                }
                Ok(Some(seen)) if seen.kind == EntryKind::Directory => {}
                Ok(Some(_)) => {
                    self.skip(batch, item, "it is no directory any more".to_owned());
                    continue;
                }
                Err(error) => {
                    self.fail(batch, item, error.to_string());
                    continue;
                }
            }
            match self.remove_directory(batch.root, &dir) {
                Ok(true) => {
                    self.outcome.directories += 1;
                    self.by_root[batch.root].2 += 1;
                }
                Ok(false) => self.outcome.gone += 1,
                Err(error) => match self.storage.list(&place) {
                    Ok(entries) if !entries.is_empty() => self.skip(batch, item, "it is not empty".to_owned()),
                    _ => self.fail(batch, item, error.to_string()),
                },
            }
        }
    }

    fn remove_directory(&self, index: usize, dir: &str) -> Result<bool, StorageError> {
        let home = Below { root: &self.plan.roots[index], dir };
        if let Some(tree) = self.tree(index).filter(|_| !self.instant) {
            self.storage.create_dirs_like(Below { root: home.root, dir: &below(&tree, dir) }, home)?;
        }
        self.storage.delete_empty_below(home)
    }

    /// Counts what went, and gives it back.
    fn count<'i>(
        &mut self,
        batch: &Batch,
        items: &[&'i Item],
        answers: Vec<Result<bool, StorageError>>,
    ) -> Vec<&'i Item> {
        let mut went = Vec::with_capacity(items.len());
        for (item, answer) in items.iter().zip(answers) {
            match answer {
                Err(error) if !self.is_gone(batch, item) => self.fail(batch, item, error.to_string()),
                // Of one that is gone all the same only the answer was lost.
                Ok(true) | Err(_) => {
                    self.outcome.files += 1;
                    self.outcome.bytes = self.outcome.bytes.saturating_add(item.size);
                    let by_root = &mut self.by_root[batch.root];
                    by_root.0 += 1;
                    by_root.1 = by_root.1.saturating_add(item.size);
                    went.push(*item);
                }
                Ok(false) => self.outcome.gone += 1,
            }
        }
        went
    }

    fn is_gone(&self, batch: &Batch, item: &Item) -> bool {
        let home = Below { root: &self.plan.roots[batch.root], dir: &batch.dir };
        self.storage.look(home, &[&item.name]).is_ok_and(|seen| seen.iter().all(Option::is_none))
    }

    /// Counts a file that went as one that did not.
    pub(super) fn uncount(&mut self, root: usize, size: u64) {
        let by_root = &mut self.by_root[root];
        by_root.0 = by_root.0.saturating_sub(1);
        by_root.1 = by_root.1.saturating_sub(size);
        self.outcome.files = self.outcome.files.saturating_sub(1);
        self.outcome.bytes = self.outcome.bytes.saturating_sub(size);
    }

    fn left(&self, batch: &Batch, item: &Item, why: String) -> Left {
        let home = Below { root: &self.plan.roots[batch.root], dir: &batch.dir };
        Left { place: home.file(&item.name), count: 1, why }
    }

    fn skip(&mut self, batch: &Batch, item: &Item, why: String) {
        self.stays(batch);
        let left = self.left(batch, item, why);
        self.outcome.skipped.push(left);
    }

    fn fail(&mut self, batch: &Batch, item: &Item, why: String) {
        self.stays(batch);
        let left = self.left(batch, item, why);
        self.outcome.failed.push(left);
    }

    fn fail_all(&mut self, batch: &Batch, items: &[&Item], error: &StorageError) {
        for item in items {
            self.fail(batch, item, error.to_string());
        }
    }
}

/// The place of a name in a directory, whose own place is made once for all of them.
pub(super) fn child(dir: &Location, name: &str) -> Location {
    dir.with_suffix(&format!("/{name}"))
}

fn names<'i>(items: &[&'i Item]) -> Vec<&'i str> {
    items.iter().map(|item| item.name.as_str()).collect()
}

/// Whether a file is what it was when the plan was made.
fn is_the_same(item: &Item, seen: &Details) -> bool {
    let modified = seen.modified.and_then(|at| i64::try_from(at.as_nanosecond()).ok());
    seen.kind == EntryKind::File && seen.size == item.size && modified == item.modified
}
