//! Object stores through opendal: S3 and those that speak as it does, OSS, COS, OBS, Google's, Azure's, and WebHDFS.
//!
//! An object store has no directories. A directory is what keys have in common before a slash, or a marker: an empty
//! object `dir/`, as `S3AFileSystem.mkdirs` (Hadoop 3.3) writes it. Markers are told of as directories and never as files.
//! Nothing that is here can be seen half: an object appears when it is whole.
//!
//! Listings are believed, single objects are asked for through listings: the times of an object have more digits there than in
//! the answer to a HEAD, and what was seen in a walk has to be seen again in the same words before it is deleted.

mod changing;
mod exclusive;
mod failure;
mod keys;
mod listing;
mod reading;
mod removing;
mod services;
mod walk;
mod writing;

use super::failures::{nothing, other, taken};
use super::remote::Remote;
use super::settings::StoreSettings;
use super::{
    Below, Details, Entry, FileWriter, Part, Presence, Stat, Storage, StorageError, Usage, WalkVisitor, WriteStorage,
    copy,
};
use crate::model::Location;
use crate::wire::ReadAt;
use failure::Failure;
use keys::Key;
use opendal::Operator;
use opendal::layers::{RetryLayer, TimeoutLayer};
use std::future::Future;
use std::sync::{Arc, Mutex};

/// A bucket, container or file system of an object store. Clones are the same store.
#[derive(Clone)]
pub struct ObjectStorage {
    inner: Arc<Inner>,
}

struct Inner {
    remote: Remote,
    /// Tries again what fails in passing, each try with a deadline.
    patient: Operator,
    /// Tries once, with a deadline: where it matters whether an earlier try may have been heard.
    once: Operator,
    /// Whether directories are there of themselves.
    has_directories: bool,
    failure: Failure,
    /// Whether a file is created by one of many alone, once that was asked.
    exclusive: Mutex<Option<bool>>,
}

/// The schemes that [`ObjectStorage::open`] takes.
pub const SCHEMES: &[&str] =
    &["s3", "s3a", "s3n", "s3p", "oss", "cosn", "obs", "gs", "abfs", "abfss", "wasb", "wasbs", "webhdfs", "swebhdfs"];

impl ObjectStorage {
    /// The store that a place is in. Nothing is asked over the network.
    ///
    /// # Errors
    /// `Unsupported` for a scheme that is not in [`SCHEMES`], `Other` where a setting is missing or makes no sense.
    pub fn open(remote: Remote, place: &Location, settings: &StoreSettings) -> Result<Self, StorageError> {
        let service = services::of(place, settings)?;
        let limits = remote.limits();
        let timeout = TimeoutLayer::new().with_timeout(limits.call).with_io_timeout(limits.call);
        let retry = RetryLayer::new()
            .with_notify(|_: opendal::layers::RetryEvent<'_>| {})
            .with_jitter()
            .with_min_delay(limits.pause)
            .with_max_delay(limits.pause * 50)
            .with_max_times(usize::try_from(limits.tries.saturating_sub(1)).unwrap_or(usize::MAX));
        let once = service.operator.layer(timeout);
        let patient = once.clone().layer(retry);
        let inner = Inner {
            remote,
            patient,
            once,
            has_directories: service.has_directories,
            failure: Failure::new(place, settings),
            exclusive: Mutex::new(None),
        };
        Ok(ObjectStorage { inner: Arc::new(inner) })
    }

    /// Waits for a call, its tries and pauses included, and no longer than all of them may take.
    fn wait<T>(
        &self,
        place: &Location,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        self.inner.remote.wait(self.inner.remote.in_time(place, call))
    }
}

impl Inner {
    fn key(&self, place: &Location) -> Result<Key, StorageError> {
        Key::of(place)
    }

    fn fail(&self, place: &Location) -> impl Fn(opendal::Error) -> StorageError {
        let place = place.clone();
        move |error| self.failure.of(&place, &error)
    }
}

impl Storage for ObjectStorage {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        let key = self.inner.key(place)?;
        self.wait(place, self.inner.stat(place, &key))
    }

    fn details(&self, dir: &Location) -> Result<Vec<Details>, StorageError> {
        self.inner.remote.wait(self.inner.list(dir))
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        let details = self.details(dir)?;
        Ok(details.into_iter().map(|details| Entry { name: details.name, kind: details.kind }).collect())
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        let answers = self.find(dir, names).into_iter().map(listing::presence).collect();
        progress(names.len() as u64);
        answers
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        super::below::usage_by_walking(self, dir)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.read_whole(file, limit)
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        let open = self.open_file(file)?;
        let length = length.min(open.size().saturating_sub(offset));
        open.read_exactly(offset, length)
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        Ok(Box::new(self.open_file(file)?))
    }

    fn walk(&self, root: &Location, visitor: &dyn WalkVisitor) {
        walk::walk(self, root, visitor);
    }

    fn look(&self, dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        super::below::components(dir)?;
        names.iter().try_for_each(|name| super::below::check_name(dir, name))?;
        self.find(&dir.location(), names).into_iter().collect()
    }

    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        self.stat(place).map(|_| place.clone())
    }
}

impl WriteStorage for ObjectStorage {
    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError> {
        self.make_directory(dir)
    }

    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError> {
        Ok(Box::new(writing::ObjectWriter::create(self, file)?))
    }

    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.put_new(file, bytes)
    }

    fn rename_keeps_time(&self, _place: &Location) -> bool {
        false
    }

    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        self.rename_file(from, to)
    }

    /// An object is durable when it is there.
    fn sync_dir(&self, _dir: &Location) -> Result<(), StorageError> {
        Ok(())
    }

    fn delete(&self, file: &Location) -> Result<bool, StorageError> {
        self.delete_file(file)
    }

    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError> {
        self.delete_marker(dir)
    }

    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.put(file, bytes)
    }

    fn rename_names(&self, from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        self.rename_files(from, to, names)
    }

    fn delete_names(&self, dir: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        self.delete_files(dir, names)
    }

    fn copy(
        &self,
        from: &Location,
        part: Part,
        to: &Location,
        heard: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StorageError> {
        copy::by_reading(self, from, part, to, heard)
    }

    fn rename_dir(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        self.rename_prefix(from, to)
    }

    fn creates_exclusively(&self, dir: &Location) -> Result<bool, StorageError> {
        self.is_exclusive(dir)
    }
}

#[cfg(test)]
mod tests;
