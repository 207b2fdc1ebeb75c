//! Brings back what a run put aside.

use super::execute::at_and_above;
use super::journal::{End, Ended, RunDir};
use super::own::below;
use super::trash::{self, Tree};
use super::validate::METADATA;
use super::{ChangeError, Control, EndState, Left, Locks, OWN_DIRECTORY, Pace, RunId};
use crate::model::Location;
use crate::storage::{Below, Details, EntryKind, WriteStorage};
use foldhash::HashSet;
use std::collections::BTreeSet;

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Files that are back.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files that are still in the trash: something has their place, or it could not be done.
    pub failed: Vec<Left>,
    /// `_metadata` files that are still in the trash, since files that their snapshots may need are not back.
    pub held_back: Vec<Left>,
    /// Whether it was interrupted, and is to be done again.
    pub interrupted: bool,
}

/// One tree of the run below one root.
struct Part<'r> {
    root: &'r Location,
    path: String,
    tree: Tree,
}

/// Brings everything back that a run put aside below `roots`, the newest layer first and each `_metadata` after all other
/// files. Nothing that is there now is replaced. Where nothing is left in it, the directory of the run goes.
///
/// From then on the run counts as finished. It can be interrupted and done again.
///
/// # Errors
/// Where no root has such a run, or it is being purged; when the journal or a directory cannot be made durable.
pub fn undelete(
    storage: &dyn WriteStorage,
    locks: &mut Locks<'_>,
    roots: &[Location],
    run: &RunId,
    control: Control<'_>,
) -> Result<Restored, ChangeError> {
    let dirs = find(storage, locks, roots, run)?;
    // All roots are marked before anything is moved.
    for dir in &dirs {
        let end = match dir.ended()? {
            Ended::Yes(End { state: EndState::Purging, .. }) => {
                return Err(ChangeError::Run { run: run.clone(), why: "it is being deleted for good".to_owned() });
            }
            Ended::Yes(end) => End { state: EndState::Undeleting, ..end },
            Ended::No | Ended::Unreadable => End::new(EndState::Undeleting, locks.now()),
        };
        dir.set_end(&end)?;
    }
    let mut parts = Vec::new();
    for dir in &dirs {
        for layer in dir.layers()?.trees.into_iter().rev() {
            let path = dir.tree(layer);
            parts.push(Part { root: dir.root, tree: trash::walk(storage, dir.root, &path)?, path });
        }
    }
    let mut undeletion = Undeletion {
        storage,
        locks,
        control,
        pace: Pace::new(control),
        restored: Restored::default(),
        snapshots: HashSet::default(),
        incomplete: HashSet::default(),
        doubted: false,
    };
    undeletion.bring_back(&parts)?;
    let Restored { interrupted, .. } = undeletion.restored;
    if !interrupted {
        for dir in dirs {
            remove_emptied(&dir)?;
        }
    }
    Ok(undeletion.restored)
}

/// The directories of a run below the roots that have one.
pub(super) fn find<'a>(
    storage: &'a dyn WriteStorage,
    locks: &mut Locks<'_>,
    roots: &'a [Location],
    run: &'a RunId,
) -> Result<Vec<RunDir<'a>>, ChangeError> {
    let mut dirs = Vec::new();
    for root in roots {
        locks.check(root)?;
        let dir = RunDir { storage, root, run };
        if dir.is_there()? {
            dirs.push(dir);
        }
    }
    if dirs.is_empty() {
        return Err(ChangeError::Run { run: run.clone(), why: "it is below none of the roots".to_owned() });
    }
    Ok(dirs)
}

/// Removes the trees of a run that are empty and, where all are, the rest of it.
pub(super) fn remove_emptied(dir: &RunDir<'_>) -> Result<bool, ChangeError> {
    let mut emptied = true;
    for layer in dir.layers()?.trees {
        emptied &= trash::remove_empty(dir.storage, dir.root, &dir.tree(layer))?;
    }
    Ok(emptied && dir.remove()?)
}

struct Undeletion<'a, 'l> {
    storage: &'a dyn WriteStorage,
    locks: &'a mut Locks<'l>,
    control: Control<'a>,
    pace: Pace<'a>,
    restored: Restored,
    /// Directories of snapshots in the trash: by root, and from it on.
    snapshots: HashSet<(Location, String)>,
    /// Those of them that files are missing in.
    incomplete: HashSet<(Location, String)>,
    /// Whether a file is not back that any snapshot may need.
    doubted: bool,
}

impl Undeletion<'_, '_> {
    fn bring_back(&mut self, parts: &[Part<'_>]) -> Result<(), ChangeError> {
        for part in parts {
            let with = part.tree.dirs.iter().filter(|(_, held)| held.iter().any(|file| file.name == METADATA));
            self.snapshots.extend(with.map(|(dir, _)| (part.root.clone(), dir.clone())));
        }
        for part in parts {
            self.doubted |= !part.tree.failed.is_empty();
            self.restored.failed.extend(part.tree.failed.iter().cloned());
            self.bring_part_back(part, false)?;
        }
        self.sync(parts)?;
        for part in parts {
            self.bring_part_back(part, true)?;
        }
        self.sync(parts)
    }

    /// Brings the files of one tree back: `_metadata`, or all others with the directories.
    fn bring_part_back(&mut self, part: &Part<'_>, metadata: bool) -> Result<(), ChangeError> {
        for (dir, held) in &part.tree.dirs {
            if self.restored.interrupted {
                return Ok(());
            }
            let (files, others): (Vec<&Details>, Vec<&Details>) =
                held.iter().partition(|entry| entry.kind == EntryKind::File && entry.exact);
            let files: Vec<&Details> = files.into_iter().filter(|file| (file.name == METADATA) == metadata).collect();
            if dir.split('/').any(|part| part == OWN_DIRECTORY) {
                files.into_iter().for_each(|file| self.fail(part, dir, &file.name, "it would be in the way of chkctl"));
                continue;
            }
            if metadata {
                self.metadata_back(part, dir, &files)?;
                continue;
            }
            for entry in others {
                self.fail(part, dir, &entry.name, "chkctl does not put aside such a thing");
            }
            if let Err(error) = trash::create_home(self.storage, part.root, &part.path, dir) {
                files.into_iter().for_each(|file| self.fail(part, dir, &file.name, &error.to_string()));
                continue;
            }
            self.files_back(part, dir, &files)?;
        }
        Ok(())
    }

    fn metadata_back(&mut self, part: &Part<'_>, dir: &str, files: &[&Details]) -> Result<(), ChangeError> {
        let key = (part.root.clone(), dir.to_owned());
        if files.is_empty() || !(self.doubted || self.incomplete.contains(&key)) {
            return self.files_back(part, dir, files);
        }
        let why = "files that the snapshot may need are still in the trash".to_owned();
        let place = Below { root: part.root, dir }.file(METADATA);
        self.restored.held_back.push(Left { place, count: 1, why });
        Ok(())
    }

    fn files_back(&mut self, part: &Part<'_>, dir: &str, files: &[&Details]) -> Result<(), ChangeError> {
        for piece in files.chunks(self.pace.piece().max(1)) {
            if self.control.is_interrupted() {
                self.restored.interrupted = true;
                return Ok(());
            }
            self.locks.check(part.root)?;
            let names: Vec<&str> = piece.iter().map(|file| file.name.as_str()).collect();
            let back = trash::bring_back(self.storage, part.root, &part.path, dir, &names);
            for (file, back) in piece.iter().zip(back) {
                match back {
                    Ok(true) => {
                        self.restored.files += 1;
                        self.restored.bytes = self.restored.bytes.saturating_add(file.size);
                    }
                    Ok(false) => self.fail(part, dir, &file.name, "it went from the trash meanwhile"),
                    Err(error) if self.is_there_already(part, dir, file) => {
                        let place = Below { root: part.root, dir }.file(&file.name);
                        let why = format!("a file of this size and time is there already: {}", error.message);
                        self.restored.failed.push(Left { place, count: 1, why });
                    }
                    Err(error) => self.fail(part, dir, &file.name, &error.to_string()),
                }
            }
            self.pace.done(piece.len());
        }
        Ok(())
    }

    /// Whether the place of a file is taken by what seems to be the file itself. A store that renames by a second name
    /// may have ended between the two.
    fn is_there_already(&self, part: &Part<'_>, dir: &str, file: &Details) -> bool {
        let seen = self.storage.look(Below { root: part.root, dir }, &[&file.name]);
        let seen = seen.ok().and_then(|mut seen| seen.pop().flatten());
        seen.is_some_and(|seen| seen == *file && file.modified.is_some())
    }

    fn fail(&mut self, part: &Part<'_>, dir: &str, name: &str, why: &str) {
        let place = Below { root: part.root, dir }.location().with_suffix(&format!("/{name}"));
        self.restored.failed.push(Left { place, count: 1, why: why.to_owned() });
        if name == METADATA {
            return;
        }
        let mut of: BTreeSet<&str> = at_and_above(dir).collect();
        of.retain(|dir| self.snapshots.contains(&(part.root.clone(), (*dir).to_owned())));
        self.doubted |= of.is_empty();
        self.incomplete.extend(of.into_iter().map(|dir| (part.root.clone(), dir.to_owned())));
    }

    /// Makes durable that files are back before that they are gone from the trash.
    fn sync(&self, parts: &[Part<'_>]) -> Result<(), ChangeError> {
        for part in parts {
            for dir in part.tree.dirs.keys() {
                trash::sync_dir(self.storage, part.root, dir)?;
                trash::sync_dir(self.storage, part.root, &below(&part.path, dir))?;
            }
        }
        Ok(())
    }
}
