//! Files in `taskowned` that only operator state mentions: those of write-ahead sinks.

use super::layout::{Role, is_state_file};
use super::seen::{Around, Seen};
use super::uses::Uses;
use crate::model::Location;
use crate::retention::Choice;
use crate::survey::catalog::{METADATA, SnapshotDir, SnapshotState};
use crate::survey::inventory::Inventory;
use crate::survey::{Judge, Silent, mentions};
use foldhash::HashSet;

/// What operator state mentions.
#[derive(Debug, Clone, Default)]
pub struct Sealed {
    /// The files.
    pub uses: Uses,
    /// A snapshot that stays and cannot be searched, and why.
    pub unsearched: Option<(Location, String)>,
}

/// Searches the operator state of all snapshots that stay for names of files in `taskowned`.
pub fn search(around: &Around<'_>, seen: &Seen, fates: &[Option<Choice>]) -> Sealed {
    let owned = seen.tree.dirs().filter(|dir| matches!(seen.layout.role(*dir), Some((Role::TaskOwned, _))));
    let wanted: HashSet<&str> =
        owned.flat_map(|dir| seen.tree.entries(dir)).filter(is_state_file).map(|entry| entry.name).collect();
    let mut sealed = Sealed::default();
    if wanted.is_empty() {
        return sealed;
    }
    let judge = Judge {
        inventory: Inventory::for_one(around.storage),
        maps: around.maps.clone(),
        progress: &Silent,
        neighbours: Vec::new(),
        keep_files: false,
    };
    let keeps = |fate: &Option<Choice>| fate.as_ref().is_some_and(|fate| fate.keep);
    let kept = seen.snapshots.iter().zip(fates).filter(|(_, fate)| keeps(fate)).map(|(snapshot, _)| snapshot);
    for snapshot in kept.chain(&seen.elsewhere) {
        let dir = SnapshotDir {
            dir: snapshot.path.clone(),
            metadata_file: snapshot.path.with_suffix(&format!("/{METADATA}")),
            state: SnapshotState::Complete { metadata_size: 0, completed_at: snapshot.completed_at },
            job_id: None,
        };
        match mentions::mentioned(&judge, &dir, &wanted) {
            Ok(names) => sealed.uses.names.extend(names.into_iter().map(Box::from)),
            Err(why) => {
                sealed.unsearched.get_or_insert((snapshot.path.clone(), why));
            }
        }
    }
    sealed
}
