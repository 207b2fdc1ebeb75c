//! Which jobs look alive. A running job writes files before any `_metadata` names them, so nothing of its is swept.

use super::layout::{JobIndex, Layout, Role};
use super::tree::{DirId, Tree};
use crate::storage::EntryKind;
use crate::survey::catalog::METADATA;
use foldhash::HashSet;
use jiff::Timestamp;

/// For each job of a layout, when anything of it was written last.
pub struct Life {
    last: Vec<Option<Timestamp>>,
}

impl Life {
    /// Looks at the times of all files of each job, and of checkpoint directories without a `_metadata`, which are made when
    /// a checkpoint begins. Directories in `ours` were changed by a prune that did not finish, and say nothing.
    pub fn of(tree: &Tree, layout: &Layout, ours: &HashSet<DirId>) -> Self {
        let mut life = Life { last: vec![None; layout.jobs.len()] };
        for dir in tree.dirs() {
            let Some((role, job)) = layout.role(dir) else { continue };
            for file in tree.entries(dir).filter(|entry| entry.kind != EntryKind::Directory) {
                life.note(job, file.time());
            }
            let begun = matches!(role, Role::Checkpoint(_)) && tree.find(dir, METADATA).is_none();
            if begun && !ours.contains(&dir) {
                life.note(job, tree.own_entry(dir).and_then(|entry| entry.time()));
            }
        }
        life
    }

    fn note(&mut self, job: JobIndex, time: Option<Timestamp>) {
        if let Some(slot) = self.last.get_mut(job) {
            *slot = (*slot).max(time);
        }
    }

    /// Whether something was written after `cutoff`.
    pub fn is_alive(&self, job: JobIndex, cutoff: Timestamp) -> bool {
        self.last(job).is_some_and(|last| last > cutoff)
    }

    /// When something was written last.
    pub fn last(&self, job: JobIndex) -> Option<Timestamp> {
        self.last.get(job).copied().flatten()
    }
}
