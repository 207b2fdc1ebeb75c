//! Everything below a directory, told by several threads.
//!
//! A thread takes a directory, lists it, and asks what its entries are through the opened directory. Of a large one it
//! hands over pieces to threads that have nothing to do. A directory is opened when its turn comes, from the root on and
//! through no link, so that no more of them are open at a time than there are threads, and pieces on their way.

use super::below::{DIRECTORY, details, failed_with, kind_of_type, open_parts, open_root};
use crate::model::Location;
use crate::storage::below::is_exact;
use crate::storage::{Details, EntryKind, StorageError, WalkVisitor};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Entries that are told of at once.
const PIECE: usize = 1_024;
/// Entries that are brought into the order of their inodes at once. In any other order each file is in another block of the
/// disk: to look at them takes longer where they are not in memory, and whoever removes them in the order in which they
/// were told of has the system write all of these blocks several times.
const SORTED: usize = 256 << 10;
/// Bytes of a listing that the system gives at once.
const BUFFER: usize = 64 << 10;
const MOST_THREADS: usize = 8;

pub(super) fn walk(root: &Location, visitor: &dyn WalkVisitor) {
    let opened = match open_root(root) {
        Ok(opened) => opened,
        Err(error) => return visitor.failed(root, error),
    };
    let queue = Queue { dirs: vec![String::new()], ..Queue::default() };
    let walk = Walk { place: root, root: opened, visitor, queue: Mutex::new(queue), bell: Condvar::new() };
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(2, MOST_THREADS);
    thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(|| walk.work())));
        walk.work();
    });
}

struct Walk<'a> {
    place: &'a Location,
    root: OwnedFd,
    visitor: &'a dyn WalkVisitor,
    queue: Mutex<Queue>,
    /// Rings when there is something to do, or nothing any more.
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Directories, as components from the root on. The last one is the next, which keeps them few.
    dirs: Vec<String>,
    pieces: Vec<Piece>,
    /// Threads that wait.
    idle: usize,
    /// Threads that have something to do, and may add to it.
    busy: usize,
}

enum Job {
    Dir(String),
    Piece(Piece),
}

/// Some entries of a directory, of which only the listing is known.
struct Piece {
    dir: Arc<Dir>,
    entries: Vec<Listed>,
}

/// Inode, name, kind.
type Listed = (u64, CString, FileType);

struct Dir {
    opened: OwnedFd,
    place: Location,
    path: String,
}

/// A job that is being done. At its end, or when a visitor panics, the others hear of it.
struct Busy<'a, 'b>(&'a Walk<'b>);

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.busy -= 1;
        if thread::panicking() {
            (queue.dirs, queue.pieces) = (Vec::new(), Vec::new());
        }
        if queue.busy == 0 && queue.is_empty() {
            self.0.bell.notify_all();
        }
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.dirs.is_empty() && self.pieces.is_empty()
    }
}

impl Walk<'_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut buffer = Vec::with_capacity(BUFFER);
        while let Some(job) = self.next() {
            let _busy = Busy(self);
            match job {
                Job::Dir(path) => self.list(path, &mut buffer),
                Job::Piece(piece) => self.tell(piece),
            }
        }
    }

    /// The next job; `None` when there is none and nobody works who could add one.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            let piece = queue.pieces.pop().map(Job::Piece);
            if let Some(job) = piece.or_else(|| queue.dirs.pop().map(Job::Dir)) {
                queue.busy += 1;
                return Some(job);
            }
            if queue.busy == 0 {
                return None;
            }
            queue.idle += 1;
            queue = self.bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn list(&self, path: String, buffer: &mut Vec<u8>) {
        let place = if path.is_empty() { self.place.clone() } else { self.place.with_suffix(&format!("/{path}")) };
        let opened = match self.open(&path, &place) {
            Ok(opened) => opened,
            Err(error) if error.is_not_found() && !path.is_empty() => return,
            Err(error) => return self.visitor.failed(&place, error),
        };
        let dir = Arc::new(Dir { opened, place, path });
        let (mut listed, mut silent) = (Vec::new(), true);
        let mut entries = RawDir::new(&dir.opened, buffer.spare_capacity_mut());
        loop {
            let entry = match entries.next() {
                Some(Ok(entry)) => entry,
                Some(Err(Errno::INTR)) => continue,
                // It was removed.
                Some(Err(Errno::NOENT)) if !dir.path.is_empty() => break,
                Some(Err(error)) => {
                    silent = false;
                    self.visitor.failed(&dir.place, failed_with(&dir.place, error));
                    break;
                }
                None => break,
            };
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            listed.push((entry.ino(), entry.file_name().to_owned(), entry.file_type()));
            if listed.len() == SORTED {
                silent = false;
                self.tell_all(&dir, std::mem::take(&mut listed));
            }
        }
        if silent || !listed.is_empty() {
            self.tell_all(&dir, listed);
        }
    }

    /// Tells of entries in pieces; at least of one, which may be empty.
    fn tell_all(&self, dir: &Arc<Dir>, mut listed: Vec<Listed>) {
        listed.sort_unstable_by_key(|(inode, ..)| *inode);
        let mut left = listed.len();
        let mut listed = listed.into_iter();
        loop {
            let entries: Vec<Listed> = listed.by_ref().take(PIECE).collect();
            left -= entries.len();
            let piece = Piece { dir: Arc::clone(dir), entries };
            if left == 0 {
                return self.tell(piece);
            }
            self.hand_over(piece);
        }
    }

    /// Opens a directory through no link.
    fn open(&self, path: &str, place: &Location) -> Result<OwnedFd, StorageError> {
        let fail = |error| failed_with(place, error);
        if path.is_empty() {
            return openat(&self.root, ".", DIRECTORY, Mode::empty()).map_err(fail);
        }
        let through = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.root, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), through) {
            Ok(opened) => Ok(opened),
            // Some systems do not have the call or forbid it, and a path can be too long for it. Component by component
            // it also comes out what is wrong.
            Err(_) => {
                let root = openat(&self.root, ".", DIRECTORY, Mode::empty()).map_err(fail)?;
                open_parts(root, &path.split('/').collect::<Vec<_>>(), place)
            }
        }
    }

    /// Lets another thread tell of a piece, if one has nothing to do.
    fn hand_over(&self, piece: Piece) {
        let mut queue = self.queue();
        if queue.idle > queue.pieces.len() {
            queue.pieces.push(piece);
            self.bell.notify_one();
        } else {
            drop(queue);
            self.tell(piece);
        }
    }

    fn tell(&self, piece: Piece) {
        let dir = &piece.dir;
        let mut found = Vec::with_capacity(piece.entries.len());
        let mut inner = Vec::new();
        let mut failure = None;
        for (_, name, listed) in piece.entries {
            let stat = match listed {
                FileType::RegularFile | FileType::Directory | FileType::Unknown => {
                    match statat(&dir.opened, &name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => Some(stat),
                        Err(Errno::NOENT) => continue,
                        Err(error) => {
                            failure = failure.or(Some(error));
                            None
                        }
                    }
                }
                _ => None,
            };
            let (name, lossless) = match name.into_string() {
                Ok(name) => (name, true),
                Err(error) => (error.into_cstring().to_string_lossy().into_owned(), false),
            };
            let exact = lossless && is_exact(&name);
            let entry = match stat {
                Some(stat) => details(name, exact, &stat),
                None => Details { name, exact, kind: kind_of_type(listed), size: 0, modified: None },
            };
            if entry.kind == EntryKind::Directory && exact && self.visitor.enters(&dir.place, &entry.name) {
                let separator = if dir.path.is_empty() { "" } else { "/" };
                inner.push(format!("{}{separator}{}", dir.path, entry.name));
            }
            found.push(entry);
        }
        if !inner.is_empty() {
            self.queue().dirs.append(&mut inner);
            self.bell.notify_all();
        }
        // One error says enough of a directory whose entries cannot be looked at.
        if let Some(error) = failure {
            self.visitor.failed(&dir.place, failed_with(&dir.place, error));
        }
        self.visitor.found(&dir.place, found);
    }
}

#[cfg(test)]
mod tests;
