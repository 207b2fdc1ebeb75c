//! Reading of whole objects and of parts of them.

use super::{ObjectStorage, nothing, other};
use crate::model::Location;
use crate::storage::{EntryKind, StorageError, StorageErrorKind};
use crate::wire::ReadAt;
use futures::StreamExt as _;
use opendal::Buffer;
use opendal::options::ReadOptions;
use std::io;
use std::sync::{Mutex, PoisonError};

const MIB: u64 = 1 << 20;
/// So much is read at once where a reader goes to and fro.
const BLOCK: u64 = MIB;
/// So much is read at once where a reader goes on where it was.
const AHEAD: u64 = 8 * MIB;
/// A request reads so much.
const REQUEST: u64 = 2 * MIB;
/// So many requests are made at once for a file.
const AT_ONCE: usize = 4;

impl ObjectStorage {
    /// The content of a file, by one request.
    pub fn read_whole(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        let inner = &self.inner;
        let key = inner.key(file)?;
        if key.is_root() {
            return Err(other(file, "not a file"));
        }
        let read = async {
            let reader = inner.patient.reader(key.file()).await.map_err(inner.fail(file))?;
            // Each piece has a deadline, and all of a large file may take longer.
            let opening = async { reader.into_stream(..).await.map_err(inner.fail(file)) };
            let mut stream = inner.remote.in_time(file, opening).await?;
            let mut content = Vec::new();
            let next = async |stream: &mut opendal::BufferStream| {
                let next = async { stream.next().await.transpose().map_err(inner.fail(file)) };
                inner.remote.in_time(file, next).await
            };
            while let Some(piece) = next(&mut stream).await? {
                if content.len() as u64 + piece.len() as u64 > limit {
                    let message = format!("more than the {limit} bytes that are read");
                    return Err(StorageError::new(StorageErrorKind::TooLarge, file, message));
                }
                append(&mut content, piece);
            }
            Ok(content)
        };
        match inner.remote.wait(read) {
            // A directory has no object of its name, but is no missing file.
            Err(error) if error.is_not_found() => match self.wait(file, inner.first(file, &key.dir()))? {
                Some(_) => Err(other(file, "not a file")),
                None => Err(error),
            },
            read => read,
        }
    }

    /// A file to read from anywhere.
    pub fn open_file(&self, file: &Location) -> Result<OpenObject, StorageError> {
        let inner = &self.inner;
        let key = inner.key(file)?;
        let stat = self.wait(file, inner.stat(file, &key))?;
        match stat.kind {
            EntryKind::File => Ok(OpenObject {
                store: self.clone(),
                place: file.clone(),
                path: key.file().to_owned(),
                size: stat.size,
                block: Mutex::default(),
            }),
            _ => Err(other(file, "not a file")),
        }
    }
}

fn append(content: &mut Vec<u8>, bytes: Buffer) {
    for piece in bytes {
        content.extend_from_slice(&piece);
    }
}

/// A file that is open, with what was read ahead of it.
pub struct OpenObject {
    store: ObjectStorage,
    place: Location,
    path: String,
    size: u64,
    block: Mutex<Block>,
}

/// Bytes of a file from an offset on.
#[derive(Default)]
struct Block {
    offset: u64,
    bytes: Vec<u8>,
}

impl Block {
    /// Its bytes from an offset on, where it has some.
    fn from(&self, offset: u64) -> Option<&[u8]> {
        let skip = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        self.bytes.get(skip..).filter(|bytes| !bytes.is_empty())
    }

    fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }
}

impl OpenObject {
    /// Bytes that are in the file, as many as are asked for: by several requests at once where they are many.
    pub fn read_exactly(&self, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        if length == 0 {
            return Ok(Vec::new());
        }
        let inner = &self.store.inner;
        let mut content = Vec::new();
        let end = offset.saturating_add(length);
        let mut next = offset;
        while next < end {
            // Piece by piece, so that a deadline holds for each and not for all of a large file.
            let piece = AHEAD.min(end - next);
            let options = ReadOptions {
                range: (next..next + piece).into(),
                concurrent: AT_ONCE,
                chunk: usize::try_from(REQUEST).ok(),
                content_length_hint: Some(self.size),
                ..ReadOptions::default()
            };
            let read = async { inner.patient.read_options(&self.path, options).await.map_err(inner.fail(&self.place)) };
            let bytes = match self.store.wait(&self.place, read) {
                Err(error) if error.is_not_found() => Err(nothing(&self.place)),
                read => read,
            }?;
            append(&mut content, bytes);
            next += piece;
        }
        if content.len() as u64 != length {
            return Err(other(&self.place, "it was changed while it was read"));
        }
        Ok(content)
    }
}

impl ReadAt for OpenObject {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            if at >= self.size {
                break;
            }
            if block.from(at).is_none() {
                let length = self.ahead(at, rest.len() as u64, block.end());
                let bytes = self.read_exactly(at, length).map_err(StorageError::into_io)?;
                *block = Block { offset: at, bytes };
            }
            let Some(bytes) = block.from(at) else { break };
            let count = bytes.len().min(rest.len());
            for (to, from) in rest.iter_mut().zip(bytes) {
                *to = *from;
            }
            filled += count;
        }
        Ok(filled)
    }
}

impl OpenObject {
    /// How much is read at an offset, of which a part is asked for.
    fn ahead(&self, at: u64, asked: u64, end_of_last: u64) -> u64 {
        // The beginning is mostly all that is read of a file.
        let most = if at > 0 && at == end_of_last { AHEAD } else { BLOCK };
        asked.clamp(most, AHEAD).min(self.size.saturating_sub(at))
    }
}
