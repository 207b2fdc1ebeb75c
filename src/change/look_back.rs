//! After the last phase: what was put aside and is referred to by now comes back.

use super::execute::{Execution, at_and_above};
use super::journal::RunDir;
use super::own::below;
use super::piece::child;
use super::trash::{self, Tree};
use super::validate::METADATA;
use super::{ChangeError, Left};
use crate::plan::Phase;
use crate::storage::{Below, Details, EntryKind};
use foldhash::HashSet;

/// One tree of the run below one root, by the plan's roots.
struct Part {
    root: usize,
    path: String,
    tree: Tree,
}

/// Directories of snapshots in the trash: by root, and from it on.
#[derive(Default)]
struct Snapshots {
    all: HashSet<(usize, String)>,
    /// Those that come back.
    returning: HashSet<(usize, String)>,
}

impl Snapshots {
    /// Why a file comes back with a snapshot: it is in its directory, or in none, so that any snapshot may refer to it.
    fn need(&self, root: usize, dir: &str) -> Option<String> {
        let among =
            |dirs: &HashSet<(usize, String)>| at_and_above(dir).any(|dir| dirs.contains(&(root, dir.to_owned())));
        if self.returning.is_empty() || (among(&self.all) && !among(&self.returning)) {
            return None;
        }
        Some("a snapshot that comes back may refer to it".to_owned())
    }
}

impl Execution<'_, '_> {
    /// Brings back what something refers to by now, snapshots last, and with a snapshot all that it may need; of all layers,
    /// since those before may not have come to this.
    pub(super) fn look_back(&mut self) -> Result<(), ChangeError> {
        if self.instant {
            self.tell_what_went_too_early();
        }
        let parts = self.parts()?;
        let mut snapshots = Snapshots::default();
        for part in &parts {
            for dir in part.tree.dirs.iter().filter(|(_, held)| held.iter().any(|file| file.name == METADATA)) {
                let key = (part.root, dir.0.clone());
                let home = Below { root: &self.plan.roots[part.root], dir: dir.0 };
                if self.recheck.objection(&home.file(METADATA)).is_some() {
                    snapshots.returning.insert(key.clone());
                }
                snapshots.all.insert(key);
            }
        }
        let failed = self.outcome.failed.len();
        for part in &parts {
            self.bring_part_back(part, &snapshots, false)?;
        }
        let complete = self.outcome.failed.len() == failed;
        for part in &parts {
            if complete {
                self.bring_part_back(part, &snapshots, true)?;
                continue;
            }
            for (_, dir) in snapshots.returning.iter().filter(|(root, _)| *root == part.root) {
                let place = Below { root: &self.plan.roots[part.root], dir }.file(METADATA);
                let why =
                    "it stays in the trash, since files that it may refer to could not be brought back".to_owned();
                self.outcome.failed.push(Left { place, count: 1, why });
            }
        }
        Ok(())
    }

    /// All trees of the run, newest first below each root.
    fn parts(&mut self) -> Result<Vec<Part>, ChangeError> {
        let plan = self.plan;
        let mut parts = Vec::new();
        for (index, root) in plan.roots.iter().enumerate().filter(|(index, _)| self.journal.layers[*index].is_some()) {
            let dir = RunDir { storage: self.storage, root, run: &self.journal.run };
            for layer in dir.layers()?.trees.into_iter().rev() {
                let path = dir.tree(layer);
                let tree = trash::walk(self.storage, root, &path)?;
                self.outcome.failed.extend(tree.failed.iter().cloned());
                parts.push(Part { root: index, path, tree });
            }
        }
        Ok(parts)
    }

    fn bring_part_back(&mut self, part: &Part, snapshots: &Snapshots, metadata: bool) -> Result<(), ChangeError> {
        let root = &self.plan.roots[part.root];
        for (dir, held) in &part.tree.dirs {
            let home = Below { root, dir }.location();
            let need = snapshots.need(part.root, dir).filter(|_| !metadata);
            let files = held.iter().filter(|file| file.kind == EntryKind::File && file.exact);
            let back: Vec<(&Details, String)> = files
                .filter(|file| (file.name == METADATA) == metadata)
                .filter_map(|file| {
                    let why = self.recheck.objection(&child(&home, &file.name)).or_else(|| need.clone())?;
                    Some((file, why))
                })
                .collect();
            if back.is_empty() {
                continue;
            }
            self.locks.check(root)?;
            let names: Vec<&str> = back.iter().map(|(file, _)| file.name.as_str()).collect();
            let answers = trash::bring_back(self.storage, root, &part.path, dir, &names);
            for ((file, why), answer) in back.into_iter().zip(answers) {
                let place = child(&home, &file.name);
                match answer {
                    Ok(_) => {
                        self.uncount(part.root, file.size);
                        self.outcome.brought_back.push(Left { place, count: 1, why });
                    }
                    Err(error) => {
                        let why = format!("{why}; it is in the trash and could not be brought back: {error}");
                        self.outcome.failed.push(Left { place, count: 1, why });
                    }
                }
            }
            trash::sync_dir(self.storage, root, dir)?;
            trash::sync_dir(self.storage, root, &below(&part.path, dir))?;
        }
        Ok(())
    }

    /// What an instant run deleted cannot be brought back; at least it is said.
    fn tell_what_went_too_early(&mut self) {
        for batch in self.plan.batches.iter().filter(|batch| batch.phase != Phase::Directory) {
            let home = Below { root: &self.plan.roots[batch.root], dir: &batch.dir };
            let dir = home.location();
            for item in &batch.items {
                let place = child(&dir, &item.name);
                let Some(why) = self.recheck.objection(&place) else { continue };
                let there = self.storage.look(home, &[&item.name]).is_ok_and(|there| there.iter().any(Option::is_some));
                if !there {
                    self.outcome.failed.push(Left { place, count: 1, why: format!("deleted, and then: {why}") });
                }
            }
        }
    }
}
