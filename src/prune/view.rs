//! The walked tree as a storage, so that a survey asks no file twice. What the walk did not come by is asked for after all:
//! a file may be younger than the listing of its directory.

use super::tree::{DirId, Found, Tree};
use crate::model::Location;
use crate::storage::{Details, Entry, EntryKind, Presence, Stat, Storage, StorageError, Usage};
use crate::wire::ReadAt;
use foldhash::{HashMap, HashMapExt as _};
use std::sync::{Mutex, PoisonError};

/// A storage whose directories below the roots are known.
pub struct View<'t> {
    tree: &'t Tree,
    storage: &'t dyn Storage,
    /// Directories by the spellings that were asked for.
    known: Mutex<HashMap<Location, Option<DirId>>>,
}

impl<'t> View<'t> {
    /// Over what a walk of `storage` found.
    pub fn new(tree: &'t Tree, storage: &'t dyn Storage) -> Self {
        View { tree, storage, known: Mutex::new(HashMap::new()) }
    }

    /// The walked directory that a place is, under whatever name: symbolic links on the way to it count.
    pub fn dir(&self, place: &Location) -> Option<DirId> {
        let place = place.canonical();
        if let Some(dir) = self.tree.dir_at(&place) {
            return Some(dir);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(place).or_insert_with_key(|place| {
            let real = self.storage.real_place(place).ok()?;
            self.tree.dir_at(&real)
        })
    }

    fn entry(&self, place: &Location) -> Option<Found<'t>> {
        let dir = self.dir(&place.parent()?)?;
        self.tree.find(dir, place.name())
    }
}

impl Storage for View<'_> {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        match self.entry(place) {
            Some(entry) if matches!(entry.kind, EntryKind::File | EntryKind::Directory) && entry.exact => {
                Ok(Stat { kind: entry.kind, size: entry.size, modified: entry.time() })
            }
            _ => self.storage.stat(place),
        }
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        match self.dir(dir) {
            Some(id) => Ok(self.tree.entries(id).map(|e| Entry { name: e.name.to_owned(), kind: e.kind }).collect()),
            None => self.storage.list(dir),
        }
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        let Some(id) = self.dir(dir) else { return self.storage.lookup(dir, names, progress) };
        let look = |name: &&str| match self.tree.find(id, name).map(|entry| (entry.kind, entry.size)) {
            Some((EntryKind::File, size)) => Some(Presence::File { size }),
            Some((EntryKind::Directory, _)) => Some(Presence::NotAFile),
            Some((EntryKind::Link | EntryKind::Other, _)) | None => None,
        };
        let mut answers: Vec<Option<Presence>> = names.iter().map(look).collect();
        let open: Vec<&str> = names.iter().zip(&answers).filter(|(_, a)| a.is_none()).map(|(name, _)| *name).collect();
        progress((names.len() - open.len()) as u64);
        if open.is_empty() {
            return answers.into_iter().flatten().collect();
        }
        let mut asked = self.storage.lookup(dir, &open, progress).into_iter();
        answers.iter_mut().filter(|answer| answer.is_none()).for_each(|answer| *answer = asked.next());
        answers.into_iter().map(|answer| answer.unwrap_or(Presence::Missing)).collect()
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        self.storage.usage(dir)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.storage.read(file, limit)
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        self.storage.read_range(file, offset, length)
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        self.storage.open(file)
    }

    fn look(&self, dir: crate::storage::Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        self.storage.look(dir, names)
    }

    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        self.storage.real_place(place)
    }
}
