//! What the storage says of files, asked once for each directory and remembered for all snapshots of a run.

use super::Progress;
use crate::model::Location;
use crate::storage::{Presence, Storage};
use foldhash::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type KnownFiles = HashMap<Box<str>, Presence>;

/// Remembers the answers of a storage, by canonical directory and name.
pub struct Inventory<'s> {
    storage: &'s dyn Storage,
    dirs: Mutex<HashMap<Location, Arc<Mutex<KnownFiles>>>>,
    remember: bool,
}

impl<'s> Inventory<'s> {
    /// For a run over several snapshots, which may share files: answers are kept.
    pub fn shared(storage: &'s dyn Storage) -> Self {
        Inventory { storage, dirs: Mutex::default(), remember: true }
    }

    /// For one snapshot: each file is asked for once anyway.
    pub fn for_one(storage: &'s dyn Storage) -> Self {
        Inventory { storage, dirs: Mutex::default(), remember: false }
    }

    /// The storage behind it.
    pub fn storage(&self) -> &'s dyn Storage {
        self.storage
    }

    /// Judges names of a directory, one answer per name in their order.
    pub fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Progress) -> Vec<Presence> {
        if !self.remember {
            return self.storage.lookup(dir, names, &|done| progress.advance(done));
        }
        let directory = Arc::clone(locked(&self.dirs).entry(dir.canonical()).or_default());
        // Held during the request on purpose: two snapshots that want the same directory ask once.
        let mut known = locked(&directory);
        let unknown: Vec<&str> = names.iter().copied().filter(|name| !known.contains_key(*name)).collect();
        progress.advance((names.len() - unknown.len()) as u64);
        let answers = self.storage.lookup(dir, &unknown, &|done| progress.advance(done));
        known.extend(unknown.iter().map(|name| Box::from(*name)).zip(answers));
        let missing = || Presence::Missing;
        names.iter().map(|name| known.get(*name).cloned().unwrap_or_else(missing)).collect()
    }
}

/// The content of a lock. One that a panicking thread held still has whole entries.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
