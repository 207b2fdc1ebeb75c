//! Reading files. What is read in order is fetched ahead, in growing pieces, the next while one is worked on.

use super::errors::failed;
use super::{HdfsStorage, not_a_file, path_of};
use crate::model::Location;
use crate::storage::remote::Again;
use crate::storage::{StorageError, StorageErrorKind};
use crate::wire::ReadAt;
use hdfs_native::HdfsError;
use hdfs_native::file::FileReader;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// The first piece, and every one that does not follow the one before.
const FIRST: u64 = 64 << 10;
/// No piece is larger. Of a file that is open there are two at most.
const LARGEST: u64 = 4 << 20;
/// A piece of this size or more is followed by the next without being asked for.
const AHEAD_FROM: u64 = 1 << 20;
/// How often a block is tried that no DataNode gives: it may be corrupt, which does not pass.
const TRIES_OF_A_BLOCK: u32 = 3;

impl HdfsStorage {
    /// Opens a file: asks the NameNode where its blocks are.
    pub(super) fn opened(&self, file: &Location) -> Result<OpenFile, StorageError> {
        let reader = self.remote.wait(self.reader(file))?;
        let size = reader.file_length() as u64;
        let (storage, place) = (self.clone(), file.clone());
        Ok(OpenFile { storage, place, size, reader: Mutex::new(Arc::new(reader)), window: Mutex::default() })
    }

    async fn reader(&self, file: &Location) -> Result<FileReader, StorageError> {
        let path = path_of(file);
        let opened = self.attempt(file, Again::Yes, |client| async move {
            match client.read(path).await {
                Ok(reader) => Ok(Some(reader)),
                Err(HdfsError::IsADirectoryError(_)) => Ok(None),
                Err(error) => Err(error),
            }
        });
        opened.await?.ok_or_else(|| not_a_file(file))
    }
}

/// An open file and the size that it had then.
pub(super) struct OpenFile {
    storage: HdfsStorage,
    place: Location,
    size: u64,
    /// Replaced where its blocks have to be asked for again.
    reader: Mutex<Arc<FileReader>>,
    window: Mutex<Window>,
}

/// What was read of a file last, and what is being read ahead of it.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    /// The size of the next piece, where it follows.
    next: u64,
    ahead: Option<Ahead>,
}

struct Ahead {
    start: u64,
    piece: JoinHandle<hdfs_native::Result<Vec<u8>>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.piece.abort();
    }
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The bytes from `offset` on, where it is inside.
    fn from(&self, offset: u64) -> &[u8] {
        let skip = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.bytes.get(skip..)).unwrap_or_default()
    }
}

impl OpenFile {
    /// At most `length` bytes from `offset` on, in pieces that each keep a deadline.
    pub(super) fn range(&self, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        let length = length.min(self.size.saturating_sub(offset));
        let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        while (content.len() as u64) < length {
            let done = content.len() as u64;
            content.extend(self.fetch(offset + done, LARGEST.min(length - done))?);
        }
        Ok(content)
    }

    /// Exactly these bytes, which lie inside the file.
    fn fetch(&self, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        let failures = std::sync::atomic::AtomicU32::new(0);
        self.storage.remote.call(&self.place, Again::Yes, || async {
            // The nodes that failed a reader are not asked again by it.
            let reader = if failures.load(std::sync::atomic::Ordering::Relaxed) == 0 {
                Arc::clone(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
            } else {
                self.reopened().await?
            };
            failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let read = read(&reader, offset, length).await;
            read.map_err(|error| {
                let mut told = failed(&self.place, &error);
                if matches!(error, HdfsError::DataTransferError(_))
                    && failures.load(std::sync::atomic::Ordering::Relaxed) >= TRIES_OF_A_BLOCK
                {
                    told.kind = StorageErrorKind::Other;
                }
                told
            })
        })
    }

    /// Asks where the blocks are again. The call has a deadline already.
    async fn reopened(&self) -> Result<Arc<FileReader>, StorageError> {
        let told = |error: HdfsError| failed(&self.place, &error);
        let turn = self.storage.clients.turn().await.map_err(told)?;
        let reader = turn.client().read(path_of(&self.place)).await;
        turn.answered();
        let reader = Arc::new(reader.map_err(told)?);
        if reader.file_length() as u64 != self.size {
            return Err(StorageError::new(StorageErrorKind::Other, &self.place, "it changed while it was read"));
        }
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&reader);
        Ok(reader)
    }

    /// Makes the window hold `offset`, and begins to read what follows it.
    fn fill(&self, window: &mut Window, offset: u64) -> Result<(), StorageError> {
        let follows = !window.bytes.is_empty() && offset == window.end();
        let wanted = if follows { window.next.clamp(FIRST, LARGEST) } else { FIRST };
        let ahead = window.ahead.take().filter(|ahead| ahead.start == offset);
        let piece = match ahead.map(|ahead| self.wait_for(ahead)) {
            Some(Some(piece)) => piece,
            // What was read ahead failed: now it counts, with all its tries.
            Some(None) | None => self.fetch(offset, wanted.min(self.size - offset))?,
        };
        (window.start, window.bytes) = (offset, piece);
        window.next = (wanted * 2).min(LARGEST);
        if follows && wanted >= AHEAD_FROM && window.end() < self.size {
            let (start, length) = (window.end(), LARGEST.min(self.size - window.end()));
            let reader = Arc::clone(&self.reader.lock().unwrap_or_else(PoisonError::into_inner));
            let piece = self.storage.handle.spawn(async move { read(&reader, start, length).await });
            window.ahead = Some(Ahead { start, piece });
        }
        Ok(())
    }

    /// What was read ahead, where it was read in time.
    fn wait_for(&self, mut ahead: Ahead) -> Option<Vec<u8>> {
        let limit = self.storage.remote.limits().call;
        let piece = self.storage.remote.wait(async { tokio::time::timeout(limit, &mut ahead.piece).await });
        piece.ok()?.ok()?.ok()
    }
}

/// Exactly these bytes, which lie inside the file.
async fn read(reader: &FileReader, offset: u64, length: u64) -> hdfs_native::Result<Vec<u8>> {
    let outside = || HdfsError::InvalidArgument(format!("{length} bytes from {offset} are not all in the file"));
    let inside = offset.checked_add(length).is_some_and(|end| end <= reader.file_length() as u64);
    let (Ok(start), Ok(count), true) = (usize::try_from(offset), usize::try_from(length), inside) else {
        return Err(outside());
    };
    let bytes = reader.read_range(start, count).await?;
    // Of a block that is being written the NameNode knows no bytes.
    if bytes.len() == count { Ok(bytes.into()) } else { Err(outside()) }
}

impl ReadAt for OpenFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let wanted = out.len().min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX));
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < wanted {
            let at = offset + done as u64;
            if window.from(at).is_empty() {
                self.fill(&mut window, at).map_err(to_io)?;
            }
            let bytes = window.from(at);
            let count = bytes.len().min(wanted - done);
            let (Some(out), Some(bytes)) = (out.get_mut(done..done + count), bytes.get(..count)) else { break };
            if bytes.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ended before its end"));
            }
            out.copy_from_slice(bytes);
            done += count;
        }
        Ok(done)
    }
}

fn to_io(error: StorageError) -> io::Error {
    let kind = match error.kind {
        StorageErrorKind::NotFound => io::ErrorKind::NotFound,
        StorageErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        StorageErrorKind::Transient => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.message)
}
