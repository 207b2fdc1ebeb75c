//! New objects, and objects that are replaced.

use super::{Inner, ObjectStorage, other, taken};
use crate::model::Location;
use crate::storage::objects::keys::Key;
use crate::storage::{EntryKind, FileWriter, StorageError, StorageErrorKind};
use opendal::options::WriteOptions;
use opendal::{Buffer, Writer};

/// Files of up to this size are written by one request, larger ones by several parts of it.
const PART: usize = 8 << 20;
/// So many parts are sent at once.
const AT_ONCE: usize = 4;

impl ObjectStorage {
    /// Makes a file where nothing is: by one conditional request where the store knows those.
    pub fn put_new(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        let key = self.free_key(file)?;
        self.wait(file, self.inner.put_new(file, key.file(), bytes.to_vec().into()))
    }

    /// Makes a file, in the place of another one where there is one.
    pub fn put(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        let inner = &self.inner;
        let key = inner.key(file)?;
        let put = async {
            if key.is_root() || inner.first(file, &key.dir()).await?.is_some() {
                return Err(other(file, "a directory"));
            }
            let options = WriteOptions::default();
            inner.patient.write_options(key.file(), bytes.to_vec(), options).await.map_err(inner.fail(file))
        };
        self.wait(file, put).map(drop)
    }

    /// The key of a place where nothing is.
    pub fn free_key(&self, file: &Location) -> Result<Key, StorageError> {
        let inner = &self.inner;
        let key = inner.key(file)?;
        match self.wait(file, inner.stat(file, &key)) {
            Err(error) if error.is_not_found() => Ok(key),
            Ok(_) => Err(taken(file)),
            Err(error) => Err(error),
        }
    }

    /// Makes a directory that is there, for as long as it has a marker or something in it.
    pub fn make_directory(&self, dir: &Location) -> Result<(), StorageError> {
        let inner = &self.inner;
        let key = inner.key(dir)?;
        if key.is_root() || (!inner.has_directories && self.wait(dir, inner.first(dir, &key.dir()))?.is_some()) {
            return Ok(());
        }
        let above: Vec<Location> =
            std::iter::successors(Some(dir.clone()), Location::parent).filter(|dir| !dir.name().is_empty()).collect();
        let stats = inner.remote.each(above.clone(), |remote, dir| {
            let inner = std::sync::Arc::clone(inner);
            async move {
                let key = inner.key(&dir)?;
                remote.in_time(&dir, inner.stat(&dir, &key)).await
            }
        });
        for (place, stat) in above.iter().zip(stats) {
            match stat {
                Ok(stat) if stat.kind == EntryKind::Directory => {}
                Ok(_) => return Err(taken(place)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        self.wait(dir, async { inner.patient.create_dir(&key.dir()).await.map_err(inner.fail(dir)) })
    }
}

impl Inner {
    /// Makes an object by one request, where none is. An answer that was lost is made up for by reading.
    pub async fn put_new(&self, place: &Location, path: &str, bytes: Buffer) -> Result<(), StorageError> {
        let if_not_exists = self.once.info().capability().write_with_if_not_exists;
        let mut tried = 0;
        let mut pause = self.remote.limits().pause;
        loop {
            let options = WriteOptions { if_not_exists, ..WriteOptions::default() };
            let put = self.once.write_options(path, bytes.clone(), options).await.map_err(self.fail(place));
            tried += 1;
            match put {
                Ok(_) => return Ok(()),
                Err(error) if error.kind == StorageErrorKind::Transient && tried < self.remote.limits().tries => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.remote.limits().pause * 50);
                }
                // Of the tries before one may have been heard, and only its answer lost.
                Err(error) if tried > 1 => return if self.is(place, path, &bytes).await { Ok(()) } else { Err(error) },
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether an object has this content.
    async fn is(&self, place: &Location, path: &str, bytes: &Buffer) -> bool {
        let read = self.remote.in_time(place, async { self.patient.read(path).await.map_err(self.fail(place)) });
        read.await.is_ok_and(|there| there.to_bytes() == bytes.to_bytes())
    }
}

/// A new object that is being written. It is there when it is finished.
pub struct ObjectWriter {
    store: ObjectStorage,
    place: Location,
    key: Key,
    buffer: Vec<u8>,
    size: u64,
    /// Where it is larger than a part.
    parts: Option<Writer>,
    failed: bool,
}

impl ObjectWriter {
    /// Begins a file where nothing is.
    pub fn create(store: &ObjectStorage, place: &Location) -> Result<Self, StorageError> {
        let key = store.free_key(place)?;
        let (store, place) = (store.clone(), place.clone());
        Ok(ObjectWriter { store, place, key, buffer: Vec::new(), size: 0, parts: None, failed: false })
    }

    fn send(&mut self, bytes: Vec<u8>) -> Result<(), StorageError> {
        let inner = &self.store.inner;
        let (parts, key, place) = (&mut self.parts, &self.key, &self.place);
        let if_not_exists = inner.patient.info().capability().write_with_if_not_exists;
        let send = async {
            let writer = match parts {
                Some(writer) => writer,
                None => {
                    let options = WriteOptions {
                        if_not_exists,
                        chunk: Some(PART),
                        concurrent: AT_ONCE,
                        ..WriteOptions::default()
                    };
                    parts.insert(inner.patient.writer_options(key.file(), options).await.map_err(inner.fail(place))?)
                }
            };
            writer.write(bytes).await.map_err(inner.fail(place))
        };
        let sent = self.store.wait(&self.place, send);
        self.failed |= sent.is_err();
        sent
    }
}

impl FileWriter for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.size += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() > PART {
            let rest = self.buffer.split_off(PART);
            let part = std::mem::replace(&mut self.buffer, rest);
            self.send(part)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64, StorageError> {
        let rest = std::mem::take(&mut self.buffer);
        if self.parts.is_none() {
            if !self.store.is_known_to_be_exclusive() {
                self.store.free_key(&self.place)?;
            }
            let inner = &self.store.inner;
            self.store.wait(&self.place, inner.put_new(&self.place, self.key.file(), rest.into()))?;
            return Ok(self.size);
        }
        self.send(rest)?;
        // Others may have come to the name meanwhile, and not every store keeps a condition for large objects.
        self.store.free_key(&self.place)?;
        let Some(mut parts) = self.parts.take() else { return Ok(self.size) };
        let inner = &self.store.inner;
        let close = async { parts.close().await.map_err(inner.fail(&self.place)) };
        let closed = self.store.wait(&self.place, close);
        if let Err(error) = closed {
            let abort = async { parts.abort().await.map_err(inner.fail(&self.place)) };
            let _ = self.store.wait(&self.place, abort);
            return Err(error);
        }
        Ok(self.size)
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            let inner = &self.store.inner;
            // Parts that stay are not seen, but paid for.
            let _ = self.store.wait(&self.place, async { parts.abort().await.map_err(inner.fail(&self.place)) });
        }
    }
}
