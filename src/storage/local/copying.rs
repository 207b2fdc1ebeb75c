//! Copying on the local file system: by sharing blocks where it can, hard links, and locks on directories.

use super::{failed, local_path};
use crate::model::Location;
use crate::storage::copy::{Hold, Part, block_size, ended};
use crate::storage::{FileWriter as _, StorageError, StorageErrorKind};
use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// What goes to the disk directly begins at a multiple of this, in memory as in the file.
pub(super) const PAGE: usize = 4096;
/// Larger files go to the disk directly, past the page cache: what the next step is to wait for is done then, and the
/// kernel need not find a page for each of ours. Smaller ones are left to it, since it writes many at a time.
const DIRECT: u64 = 128 << 10;

thread_local! {
    /// The memory of the last copy, for the next one.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Copies a part of a file. `writer` makes the new one.
pub(super) fn copy(
    from: &Location,
    part: Part,
    mut writer: Box<super::writing::LocalWriter>,
    heard: &mut dyn FnMut(&[u8]),
) -> Result<(), StorageError> {
    let (source, size) = open(from)?;
    let shared = part.offset == 0 && part.length == size && share_blocks(&source, writer.file());
    if !shared && part.length >= DIRECT {
        writer.go_direct();
    }
    let mut scratch = SCRATCH.take();
    let block = aligned(&mut scratch, block_size(part.length));
    let mut done = 0;
    while done < part.length {
        let wanted = usize::try_from(part.length - done).unwrap_or(usize::MAX).min(block.len());
        let (block, _) = block.split_at_mut(wanted);
        let count = fill(&source, block, part.offset.saturating_add(done)).map_err(|e| failed(from, &e))?;
        let (bytes, _) = block.split_at(count);
        heard(bytes);
        if !shared {
            writer.write(bytes)?;
        }
        done += bytes.len() as u64;
        if count < wanted {
            return Err(ended(from, part, done));
        }
    }
    SCRATCH.set(scratch);
    writer.leave().map(|_| ())
}

/// So many bytes of some memory, from a page on.
fn aligned(memory: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if memory.len() < size + PAGE {
        *memory = vec![0; size + PAGE];
    }
    // Where the address is not told, nothing goes to the disk directly.
    let offset = memory.as_ptr().align_offset(PAGE).min(PAGE);
    let (_, rest) = memory.split_at_mut(offset);
    rest.split_at_mut(size).0
}

/// Reads until a block is full or the file ends; gives how much of it is.
fn fill(file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = block.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match read_at(file, rest, offset.saturating_add(done as u64))? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Gives a file a second name; `Ok(false)` where this file system, or the pair of them, has none.
pub(super) fn link(from: &Location, to: &Location) -> Result<bool, StorageError> {
    let (source, target) = (local_path(from)?, local_path(to)?);
    // The system links a symbolic link itself.
    drop(open(from)?);
    match fs::hard_link(&source, &target) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(failed(to, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(failed(from, &error)),
        // Another file system, one without links, one that is not the user's to link, or too many of them.
        Err(_) => return Ok(false),
    }
    match fs::symlink_metadata(&target) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        // It was replaced by a link meanwhile.
        _ => {
            let _ = fs::remove_file(&target);
            Err(StorageError::new(StorageErrorKind::Other, from, "not a file"))
        }
    }
}

/// More files than this are made durable with their whole file system at once: each by itself makes the disk empty its
/// cache.
const FEW: usize = 4;

/// Makes the content of files durable.
pub(super) fn sync_files(dir: &Location, names: &[&str]) -> Result<(), StorageError> {
    if names.len() > FEW && sync_file_system(dir)? {
        return Ok(());
    }
    names.iter().try_for_each(|name| {
        let file = dir.with_suffix(&format!("/{name}"));
        File::open(local_path(&file)?).and_then(|open| open.sync_all()).map_err(|e| failed(&file, &e))
    })
}

/// Whether all of the file system of a directory is durable now.
#[cfg(target_os = "linux")]
fn sync_file_system(dir: &Location) -> Result<bool, StorageError> {
    let open = File::open(local_path(dir)?).map_err(|e| failed(dir, &e))?;
    match rustix::fs::syncfs(&open) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::NOSYS) => Ok(false),
        Err(error) => Err(failed(dir, &error.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Location) -> Result<bool, StorageError> {
    Ok(false)
}

/// Renames a directory. The system refuses what is no directory, or not empty, in its new place.
pub(super) fn rename_dir(from: &Location, to: &Location) -> Result<(), StorageError> {
    let (source, target) = (local_path(from)?, local_path(to)?);
    if !is_directory(&source) {
        return Err(StorageError::new(StorageErrorKind::Other, from, "not a directory"));
    }
    fs::rename(source, target).map_err(|e| failed(to, &e))
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Locks a directory for this process, until the process ends or the lock is dropped.
#[cfg(unix)]
pub(super) fn hold(dir: &Location) -> Result<Hold, StorageError> {
    use rustix::fs::{FlockOperation, flock};
    let file = File::open(local_path(dir)?).map_err(|e| failed(dir, &e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Box::new(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(StorageError::new(StorageErrorKind::AlreadyExists, dir, "another chkctl is at work in it"))
        }
        // A file system without locks.
        Err(_) => Ok(Box::new(file)),
    }
}

#[cfg(not(unix))]
pub(super) fn hold(_: &Location) -> Result<Hold, StorageError> {
    Ok(Box::new(()))
}

/// Opens a file that is one, without waiting for the writer of a pipe, and not through a link. Gives its size too.
fn open(place: &Location) -> Result<(File, u64), StorageError> {
    let path = local_path(place)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    }
    let file = options.open(path).map_err(|e| failed(place, &e))?;
    let metadata = file.metadata().map_err(|e| failed(place, &e))?;
    if metadata.is_file() {
        return Ok((file, metadata.len()));
    }
    Err(StorageError::new(StorageErrorKind::Other, place, "not a file"))
}

/// Lets the new file share the blocks of the old one, where the file system can.
#[cfg(target_os = "linux")]
fn share_blocks(from: &File, to: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn share_blocks(_: &File, _: &File) -> bool {
    false
}

#[cfg(unix)]
fn read_at(file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt as _;
    loop {
        match file.read_at(block, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(not(unix))]
fn read_at(mut file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read(block)
}
