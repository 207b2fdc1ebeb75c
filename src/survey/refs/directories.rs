//! Which names of a directory are the target's, asked once for each directory of a run.

use super::target::{Target, TargetKind, real_place};
use crate::model::Location;
use crate::storage::{EntryKind, Presence, Storage, StorageErrorKind};
use crate::survey::resolve::PathMaps;
use foldhash::{HashMap, HashMapExt as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a directory has of the target.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// All of it.
    pub whole: bool,
    /// These names.
    pub names: Vec<Box<str>>,
    /// Why more of it may be the target's.
    pub unsure: Option<String>,
}

/// The directories that snapshots refer into.
pub(super) struct Directories<'t> {
    target: &'t Target,
    storage: &'t dyn Storage,
    maps: &'t PathMaps,
    known: Mutex<HashMap<Location, Arc<Share>>>,
    /// Whether a file is there that is not the target, though it has its name.
    others: Mutex<HashMap<Location, bool>>,
}

impl<'t> Directories<'t> {
    pub fn new(target: &'t Target, storage: &'t dyn Storage, maps: &'t PathMaps) -> Self {
        Directories { target, storage, maps, known: Mutex::new(HashMap::new()), others: Mutex::new(HashMap::new()) }
    }

    /// What a directory, as Flink names it, has of the target.
    pub fn share(&self, dir: &Location) -> Arc<Share> {
        let key = dir.canonical();
        if let Some(share) = locked(&self.known).get(&key) {
            return Arc::clone(share);
        }
        // Asked without the lock: twice at worst.
        let share = Arc::new(self.look(&key));
        locked(&self.known).insert(key, Arc::clone(&share));
        share
    }

    fn look(&self, dir: &Location) -> Share {
        let mut share = Share::default();
        if self.target.kind == TargetKind::Name {
            return share;
        }
        let here = self.maps.here(dir).canonical();
        let mut spellings = vec![dir.clone(), here.clone()];
        match real_place(self.storage, &here) {
            Ok(real) => spellings.extend(real),
            Err(error) => share.unsure = Some(error.to_string()),
        }
        share.whole = spellings.iter().any(|dir| self.target.holds(dir));
        if share.whole {
            share.unsure = None;
            return share;
        }
        for place in &self.target.places {
            if place.parent().is_some_and(|parent| spellings.contains(&parent)) {
                share.names.push(Box::from(place.name()));
            }
        }
        self.add_links(&here, &mut share);
        share.names.sort_unstable();
        share.names.dedup();
        share
    }

    /// Names of links that lead to the target.
    fn add_links(&self, here: &Location, share: &mut Share) {
        let entries = match self.storage.list(here) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind, StorageErrorKind::NotFound | StorageErrorKind::Unsupported) => return,
            Err(error) => return share.unsure = Some(error.to_string()),
        };
        for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::Link) {
            let link = here.with_suffix(&format!("/{}", entry.name));
            // A link that leads nowhere is no way to the target.
            if self.storage.real_place(&link).is_ok_and(|real| self.target.holds(&real)) {
                share.names.push(entry.name.into_boxed_str());
            }
        }
    }

    /// Whether a file with a name of the target's, in a directory that is not known to be the target's, may be it: where
    /// nothing is found in its place, it may be reached by another path (a mount, another scheme, a tree that was moved).
    pub fn may_be_the_target(&self, dir: &Location, name: &str) -> bool {
        if self.target.kind == TargetKind::Name {
            return true;
        }
        let here = self.maps.here(dir);
        let place = here.with_suffix(&format!("/{name}")).canonical();
        if let Some(other) = locked(&self.others).get(&place) {
            return !other;
        }
        let answer = self.storage.lookup(&here, &[name], &|_| {});
        let other = matches!(answer.first(), Some(Presence::File { .. }));
        locked(&self.others).insert(place, other);
        !other
    }

    /// Whether a snapshot that holds on to a directory as a whole, as Flink names it, holds on to the target.
    pub fn holds_target(&self, dir: &Location) -> bool {
        if self.target.kind == TargetKind::Name {
            return false;
        }
        let here = self.maps.here(dir).canonical();
        let real = real_place(self.storage, &here).ok().flatten();
        let holds = |dir: &Location| self.target.lies_in(dir) || self.target.holds(dir);
        if holds(dir) || holds(&here) || real.is_some_and(|real| holds(&real)) {
            return true;
        }
        // By its name, which bears the id of its job: it is reached by a path that is not known here.
        self.storage.stat(&here).is_err() && self.target.lies_in_one_named(dir.name())
    }
}

/// The content of a lock. One that a panicking thread held still has whole entries.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
