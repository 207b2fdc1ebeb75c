//! A storage that fails where it is told to: faults as data, for tests of what chkctl says when a store does not
//! answer, and of what is left when a write fails half-way.

mod fault;

pub use fault::{Effect, Fault, Operation, Which};

use super::{
    Below, Details, Entry, FileWriter, Presence, Stat, Storage, StorageError, StorageErrorKind, Usage, WalkVisitor,
    WriteStorage, below, in_progress_name,
};
use crate::model::Location;
use crate::wire::ReadAt;
use fault::{Ledger, Verdict};
use std::io;
use std::sync::Arc;

/// Wraps a storage and fails the operations that its faults choose.
pub struct FaultyStorage<S> {
    inner: S,
    ledger: Arc<Ledger>,
}

impl<S: Storage> FaultyStorage<S> {
    /// A storage without faults yet.
    pub fn new(inner: S) -> Self {
        FaultyStorage { inner, ledger: Arc::default() }
    }

    /// Fails everything asked of places whose text contains `part`.
    pub fn failing(self, part: &str, kind: StorageErrorKind) -> Self {
        self.with(Fault::on(Operation::ALL).at(part).failing(kind))
    }

    /// The storage behind it, which has no faults.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Adds a fault.
    pub fn with(self, fault: Fault) -> Self {
        self.inject(fault);
        self
    }

    /// Adds a fault to a storage that is in use. Calls are counted from now on for it.
    pub fn inject(&self, fault: Fault) {
        self.ledger.add(fault);
    }

    /// Takes all faults away, and ends a crash.
    pub fn heal(&self) {
        self.ledger.heal();
    }

    /// The writing operations so far, failed ones included, with their places: a run without faults tells how many
    /// there are to fail one after the other ([`Fault::nth`] on [`Operation::WRITES`]).
    pub fn writes(&self) -> Vec<(Operation, String)> {
        self.ledger.writes()
    }

    /// Does an operation as the faults allow it. Half of it is nothing, where it cannot be torn.
    fn run<T>(
        &self,
        operation: Operation,
        place: &Location,
        whole: impl FnOnce(&S) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match self.ledger.judge(operation, place) {
            Verdict::Go => whole(&self.inner),
            Verdict::Fail(error) | Verdict::Tear(error) => Err(error),
            Verdict::FailAfter(error) => whole(&self.inner).and(Err(error)),
        }
    }
}

impl<S: Storage> Storage for FaultyStorage<S> {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        self.run(Operation::Stat, place, |inner| inner.stat(place))
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        self.run(Operation::List, dir, |inner| inner.list(dir))
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        let answers = self.inner.lookup(dir, names, progress);
        let checked = names.iter().zip(answers).map(|(name, answer)| {
            let checked = self.run(Operation::Lookup, &dir.with_suffix(&format!("/{name}")), |_| Ok(answer));
            checked.unwrap_or_else(Presence::from_error)
        });
        checked.collect()
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        self.run(Operation::Usage, dir, |inner| inner.usage(dir))
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.run(Operation::Read, file, |inner| inner.read(file, limit))
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        self.run(Operation::ReadRange, file, |inner| inner.read_range(file, offset, length))
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        let inner = self.run(Operation::Open, file, |inner| inner.open(file))?;
        Ok(Box::new(FaultyFile { inner, place: file.clone(), ledger: Arc::clone(&self.ledger) }))
    }

    /// One [`Operation::List`] for each directory and one [`Operation::Stat`] for each file and directory in it.
    fn walk(&self, root: &Location, visitor: &dyn WalkVisitor) {
        below::walk_by_listing(self, root, visitor);
    }

    /// An [`Operation::List`] of the directory, and an [`Operation::Stat`] for each name.
    fn look(&self, dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        let answers = self.run(Operation::List, &dir.location(), |inner| inner.look(dir, names))?;
        let check = |(name, answer): (&&str, _)| self.run(Operation::Stat, &dir.file(name), |_| Ok(answer));
        names.iter().zip(answers).map(check).collect()
    }

    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        self.run(Operation::Stat, place, |inner| inner.real_place(place))
    }
}

/// An open file; each read of it is an [`Operation::ReadRange`].
struct FaultyFile {
    inner: Box<dyn ReadAt>,
    place: Location,
    ledger: Arc<Ledger>,
}

impl ReadAt for FaultyFile {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        match self.ledger.judge(Operation::ReadRange, &self.place) {
            Verdict::Go => self.inner.read_at(offset, out),
            Verdict::Fail(error) | Verdict::Tear(error) | Verdict::FailAfter(error) => Err(io::Error::other(error)),
        }
    }
}

impl<S: WriteStorage> WriteStorage for FaultyStorage<S> {
    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError> {
        self.run(Operation::CreateDirs, dir, |inner| inner.create_dirs(dir))
    }

    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError> {
        let inner = self.run(Operation::Create, file, |inner| inner.create(file))?;
        Ok(Box::new(FaultyWriter { inner: Some(inner), place: file.clone(), ledger: Arc::clone(&self.ledger) }))
    }

    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.write_whole(Operation::Publish, file, bytes, |inner| inner.publish(file, bytes))
    }

    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        self.run(Operation::Rename, from, |inner| inner.rename(from, to))
    }

    fn rename_keeps_time(&self, place: &Location) -> bool {
        self.inner.rename_keeps_time(place)
    }

    fn sync_dir(&self, dir: &Location) -> Result<(), StorageError> {
        self.run(Operation::SyncDir, dir, |inner| inner.sync_dir(dir))
    }

    fn sync_files(&self, dir: &Location, names: &[&str]) -> Result<(), StorageError> {
        self.run(Operation::SyncFiles, dir, |inner| inner.sync_files(dir, names))
    }

    fn delete(&self, file: &Location) -> Result<bool, StorageError> {
        self.run(Operation::Delete, file, |inner| inner.delete(file))
    }

    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError> {
        self.run(Operation::DeleteEmptyDir, dir, |inner| inner.delete_empty_dir(dir))
    }

    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.write_whole(Operation::Replace, file, bytes, |inner| inner.replace(file, bytes))
    }

    fn link(&self, from: &Location, to: &Location) -> Result<bool, StorageError> {
        self.run(Operation::Link, to, |inner| inner.link(from, to))
    }

    fn create_dirs_like(&self, to: Below<'_>, like: Below<'_>) -> Result<(), StorageError> {
        self.run(Operation::CreateDirs, &to.location(), |inner| inner.create_dirs_like(to, like))
    }

    /// One [`Operation::Rename`] for each name.
    fn rename_names(&self, from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        let rename = |name: &&str| {
            let place = from.file(name);
            self.run(Operation::Rename, &place, |inner| one(&place, inner.rename_names(from, to, &[name])))
        };
        names.iter().map(rename).collect()
    }

    /// One [`Operation::Delete`] for each name.
    fn delete_names(&self, dir: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        let delete = |name: &&str| {
            let place = dir.file(name);
            self.run(Operation::Delete, &place, |inner| one(&place, inner.delete_names(dir, &[name])))
        };
        names.iter().map(delete).collect()
    }

    fn delete_empty_below(&self, dir: Below<'_>) -> Result<bool, StorageError> {
        self.run(Operation::DeleteEmptyDir, &dir.location(), |inner| inner.delete_empty_below(dir))
    }

    fn creates_exclusively(&self, dir: &Location) -> Result<bool, StorageError> {
        self.inner.creates_exclusively(dir)
    }
}

impl<S: WriteStorage> FaultyStorage<S> {
    /// Does what makes a file appear as a whole. Half of it is what a process leaves that ends meanwhile: part of the
    /// temporary file.
    fn write_whole(
        &self,
        operation: Operation,
        file: &Location,
        bytes: &[u8],
        whole: impl FnOnce(&S) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        match self.ledger.judge(operation, file) {
            Verdict::Go => whole(&self.inner),
            Verdict::Fail(error) => Err(error),
            Verdict::FailAfter(error) => whole(&self.inner).and(Err(error)),
            Verdict::Tear(error) => {
                let dir = file.parent().unwrap_or_else(|| file.clone());
                let temporary = dir.with_suffix(&format!("/{}", in_progress_name(file.name())));
                let mut writer = self.inner.create(&temporary)?;
                writer.write(half(bytes))?;
                writer.finish()?;
                Err(error)
            }
        }
    }
}

/// The answer about one name.
fn one(place: &Location, answers: Vec<Result<bool, StorageError>>) -> Result<bool, StorageError> {
    let none = || Err(StorageError::new(StorageErrorKind::Other, place, "no answer"));
    answers.into_iter().next().unwrap_or_else(none)
}

fn half(bytes: &[u8]) -> &[u8] {
    bytes.split_at(bytes.len() / 2).0
}

struct FaultyWriter {
    /// There until it is finished.
    inner: Option<Box<dyn FileWriter>>,
    place: Location,
    ledger: Arc<Ledger>,
}

impl FaultyWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.write(bytes))
    }

    fn end(&mut self, how: fn(Box<dyn FileWriter>) -> Result<u64, StorageError>) -> Result<u64, StorageError> {
        match self.ledger.judge(Operation::Finish, &self.place) {
            Verdict::Go => self.inner.take().map_or(Ok(0), how),
            Verdict::Fail(error) | Verdict::Tear(error) => Err(error),
            Verdict::FailAfter(error) => self.inner.take().map_or(Ok(0), how).and(Err(error)),
        }
    }
}

impl FileWriter for FaultyWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        match self.ledger.judge(Operation::Write, &self.place) {
            Verdict::Go => self.append(bytes),
            Verdict::Fail(error) => Err(error),
            Verdict::FailAfter(error) => self.append(bytes).and(Err(error)),
            Verdict::Tear(error) => self.append(half(bytes)).and(Err(error)),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<u64, StorageError> {
        self.end(FileWriter::finish)
    }

    fn leave(mut self: Box<Self>) -> Result<u64, StorageError> {
        self.end(FileWriter::leave)
    }
}

impl Drop for FaultyWriter {
    fn drop(&mut self) {
        // A process that is gone removes nothing.
        if let Some(inner) = self.inner.take().filter(|_| self.ledger.crashed()) {
            let _ = inner.finish();
        }
    }
}

#[cfg(test)]
mod tests;
