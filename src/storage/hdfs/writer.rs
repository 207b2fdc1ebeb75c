//! New files.

use super::errors::failed;
use super::{HdfsStorage, path_of};
use crate::model::Location;
use crate::storage::remote::Again;
use crate::storage::{FileWriter, StorageError, StorageErrorKind};
use hdfs_native::WriteOptions;
use std::future::Future;
use std::mem;
use std::time::Duration;
use tokio::time::timeout;

/// So many bytes go to the DataNodes at a time.
const PIECE: usize = 1 << 20;
const MODE: u32 = 0o666;

/// A file that is being written. The NameNode has its name from the start; its content is there when it is closed.
pub(super) struct HdfsWriter {
    storage: HdfsStorage,
    place: Location,
    /// Gone when the file is to be removed.
    writer: Option<hdfs_native::file::FileWriter>,
    piece: Vec<u8>,
    size: u64,
    finished: bool,
}

impl HdfsWriter {
    /// A new file in a directory that is there. With `overwrite` one of the same name goes: for names that nobody else has,
    /// so that a try whose answer was lost is made again.
    pub(super) fn create(storage: &HdfsStorage, place: &Location, overwrite: bool) -> Result<Self, StorageError> {
        let path = path_of(place);
        let mode = storage.clients.mode(MODE);
        let options = WriteOptions::default().permission(mode).create_parent(false).overwrite(overwrite);
        let options = &options;
        // Of two tries the second finds the file of the first, and says that something is there: nobody can tell that it is
        // not another's.
        let create = storage.attempt(place, Again::Yes, |client| async move { client.create(path, options).await });
        let writer = storage.remote.wait(create)?;
        let (storage, place) = (storage.clone(), place.clone());
        Ok(HdfsWriter { storage, place, writer: Some(writer), piece: Vec::new(), size: 0, finished: false })
    }

    /// Writes what is left of the last piece.
    fn send(&mut self) -> Result<(), StorageError> {
        let piece = mem::take(&mut self.piece);
        let limit = self.storage.remote.limits().call;
        let writer = self.writer.as_mut().ok_or_else(|| spoilt(&self.place))?;
        let sent = in_time(&self.storage, &self.place, limit, writer.write_bytes(piece.into()));
        if sent.is_err() {
            self.writer = None;
        }
        sent.map(|_| ())
    }
}

/// Waits for a call on an open file, which is made once.
fn in_time<T>(
    storage: &HdfsStorage,
    place: &Location,
    limit: Duration,
    call: impl Future<Output = hdfs_native::Result<T>>,
) -> Result<T, StorageError> {
    let answer = storage.remote.wait(async { timeout(limit, call).await });
    let late = |_| {
        let message = format!("it could not be written within {:.1} s", limit.as_secs_f64());
        StorageError::new(StorageErrorKind::Transient, place, message)
    };
    answer.map_err(late)?.map_err(|error| failed(place, &error))
}

fn spoilt(place: &Location) -> StorageError {
    StorageError::new(StorageErrorKind::Other, place, "writing it failed before")
}

impl FileWriter for HdfsWriter {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), StorageError> {
        if self.writer.is_none() {
            return Err(spoilt(&self.place));
        }
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE.saturating_sub(self.piece.len())));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() >= PIECE {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Closes the file: the DataNodes have it all, as many of them as the NameNode asks for at least
    /// (`dfs.namenode.replication.min`), and the NameNode knows its blocks.
    fn finish(mut self: Box<Self>) -> Result<u64, StorageError> {
        if !self.piece.is_empty() {
            self.send()?;
        }
        let limit = self.storage.remote.limits().total;
        let writer = self.writer.as_mut().ok_or_else(|| spoilt(&self.place))?;
        in_time(&self.storage, &self.place, limit, writer.close())?;
        self.finished = true;
        Ok(self.size)
    }
}

impl Drop for HdfsWriter {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        drop(self.writer.take());
        let path = path_of(&self.place);
        // Nobody is left to tell of an error; nothing refers to the file.
        let remove =
            self.storage.attempt(&self.place, Again::No, |client| async move { client.delete(path, false).await });
        let _ = self.storage.remote.wait(remove);
    }
}
