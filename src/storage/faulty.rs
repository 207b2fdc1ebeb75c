//! A storage that fails where it is told to: faults as data, for tests of what chkctl says when a store does not
//! answer.

use super::{Entry, Presence, Stat, Storage, StorageError, StorageErrorKind, Usage};
use crate::model::Location;

/// Wraps a storage and fails the operations on places that contain a given text.
pub struct FaultyStorage<S> {
    inner: S,
    faults: Vec<(String, StorageErrorKind)>,
}

impl<S: Storage> FaultyStorage<S> {
    /// A storage without faults yet.
    pub fn new(inner: S) -> Self {
        FaultyStorage { inner, faults: Vec::new() }
    }

    /// Fails everything asked of places whose text contains `part`.
    pub fn failing(mut self, part: &str, kind: StorageErrorKind) -> Self {
        self.faults.push((part.to_owned(), kind));
        self
    }

    fn check(&self, place: &Location) -> Result<(), StorageError> {
        let text = place.to_string();
        match self.faults.iter().find(|(part, _)| text.contains(part)) {
            Some((_, kind)) => Err(StorageError::new(*kind, place, "injected fault")),
            None => Ok(()),
        }
    }
}

impl<S: Storage> Storage for FaultyStorage<S> {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        self.check(place)?;
        self.inner.stat(place)
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        self.check(dir)?;
        self.inner.list(dir)
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        let answers = self.inner.lookup(dir, names, progress);
        let checked = names.iter().zip(answers).map(|(name, answer)| {
            self.check(&dir.with_suffix(&format!("/{name}"))).map_or_else(Presence::from_error, |()| answer)
        });
        checked.collect()
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        self.check(dir)?;
        self.inner.usage(dir)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.check(file)?;
        self.inner.read(file, limit)
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        self.check(file)?;
        self.inner.read_range(file, offset, length)
    }
}
