//! A store in memory that can crash: for tests of what is left when a machine stops, and for trying things out.
//!
//! It keeps apart what is there and what would be there after a crash, as a journalling file system does:
//!
//! - The content of a file is durable from [`FileWriter::finish`] or [`WriteStorage::sync_files`] on, and with `publish` and
//!   `replace`. Of a file that was not finished a crash leaves what [`CrashKeep`] says.
//! - A change of a directory (a name that appears, goes or is renamed) is durable after [`WriteStorage::sync_dir`] of a
//!   directory that it changed, with `publish` and `replace`, and for new directories at once.
//! - The changes of one directory become durable in the order in which they were made; those of different directories in
//!   any. A rename is one change of both its directories: after a crash there is the old name or the new one, never both
//!   and never none. With a change, all that came before it in its directories is durable.
//!
//! There are no symbolic links. A path that does not begin with a slash is taken from the root.

mod tree;

use super::below::{check_name, components};
use super::failures::{nothing, other, taken};
use super::{
    Below, Details, Entry, EntryKind, FileWriter, Hold, Presence, Stat, Storage, StorageError, StorageErrorKind, Usage,
    WriteStorage,
};
use crate::model::Location;
use crate::wire::ReadAt;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tree::{Body, Node, Tree};

/// Files in memory. Clones are the same store.
///
/// ```
/// use chkctl::model::Location;
/// use chkctl::storage::{CrashKeep, MemoryStorage, Storage as _, WriteStorage as _};
///
/// let place = |text| Location::parse(text).expect("a path");
/// let store = MemoryStorage::new();
/// store.put(&place("/ck/a"), b"one")?;
/// store.rename(&place("/ck/a"), &place("/ck/b"))?;
/// store.crash(CrashKeep::None);
/// assert_eq!(store.read(&place("/ck/a"), 10)?, b"one");
/// # Ok::<(), chkctl::storage::StorageError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStorage {
    tree: Arc<Mutex<Tree>>,
    held: Arc<Mutex<HashSet<Location>>>,
    careless: Arc<AtomicBool>,
}

/// A directory that is held.
struct Held {
    dir: Location,
    all: Arc<Mutex<HashSet<Location>>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.dir);
    }
}

/// What of the changes that were not durable survives a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashKeep {
    /// None. A file that was not finished is empty, if its name is there.
    None,
    /// All, and what was written of unfinished files: a process that was killed, on a machine that goes on.
    All,
    /// For each directory some of the first of its changes, chosen by this number, and the first bytes of unfinished
    /// files.
    Seeded(u64),
}

impl Default for MemoryStorage {
    fn default() -> Self {
        MemoryStorage::new()
    }
}

impl MemoryStorage {
    /// An empty store, in which it is the beginning of 2026.
    pub fn new() -> Self {
        MemoryStorage::of(Tree::new(Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH)))
    }

    fn of(tree: Tree) -> Self {
        MemoryStorage { tree: Arc::new(Mutex::new(tree)), held: Arc::default(), careless: Arc::default() }
    }

    fn locked(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its clock says. It stands still until it is set.
    pub fn now(&self) -> Timestamp {
        self.locked().now
    }

    /// Sets its clock, which what is changed from now on has as its time.
    pub fn set_time(&self, now: Timestamp) {
        self.locked().now = now;
    }

    /// Moves its clock on, as far as a clock goes.
    pub fn advance(&self, by: SignedDuration) {
        let mut tree = self.locked();
        tree.now = tree.now.saturating_add(by).unwrap_or(tree.now);
    }

    /// From now on it publishes over what is there, without a word, as some object stores do that know no conditions.
    pub fn become_careless(&self) {
        self.careless.store(true, Ordering::Relaxed);
    }

    fn is_careless(&self) -> bool {
        self.careless.load(Ordering::Relaxed)
    }

    /// Sets when a file or directory was changed last. Times survive every crash.
    pub fn set_modified(&self, place: &Location, modified: Timestamp) -> Result<(), StorageError> {
        let mut tree = self.locked();
        let node = tree.find(place).and_then(|node| tree.node_mut(node)).ok_or_else(|| nothing(place))?;
        node.modified = modified;
        Ok(())
    }

    /// Makes a file and the directories above it, durably, in place of what has the name.
    pub fn put(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        if let Some(dir) = file.parent() {
            self.create_dirs(&dir)?;
        }
        self.replace(file, bytes)
    }

    /// Everything that is there, to compare: files with their content, and directories, which have a slash at the end and
    /// no content. Local places are without their scheme.
    pub fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        self.locked().contents()
    }

    /// Crashes. Files that are being written are as [`CrashKeep`] says, and their writers fail from now on.
    pub fn crash(&self, keep: CrashKeep) {
        let mut tree = self.locked();
        *tree = tree.crashed(keep);
    }

    /// What a crash would leave now, as another store; this one goes on.
    pub fn crash_clone(&self, keep: CrashKeep) -> MemoryStorage {
        MemoryStorage::of(self.locked().crashed(keep))
    }
}

fn stat_of(node: &Node) -> Stat {
    let modified = Some(node.modified);
    match &node.body {
        Body::File { bytes, .. } => Stat { kind: EntryKind::File, size: bytes.len() as u64, modified },
        Body::Dir { .. } => Stat { kind: EntryKind::Directory, size: 0, modified },
    }
}

impl Tree {
    fn at(&self, place: &Location) -> Result<&Node, StorageError> {
        self.find(place).and_then(|node| self.node(node)).ok_or_else(|| nothing(place))
    }

    fn file(&self, place: &Location) -> Result<&Arc<Vec<u8>>, StorageError> {
        match &self.at(place)?.body {
            Body::File { bytes, .. } => Ok(bytes),
            Body::Dir { .. } => Err(other(place, "not a file")),
        }
    }

    /// The directory that holds a place, and the name there.
    fn parent_of<'p>(&self, place: &'p Location) -> Result<(u64, &'p str), StorageError> {
        let name = place.name();
        let dir = place.parent().and_then(|parent| self.find_dir(&parent)).or_else(|| self.find_dir_of_bare(place));
        match dir {
            Some(_) if matches!(name, "" | "..") => Err(other(place, "not the name of a file")),
            Some(dir) => Ok((dir, name)),
            None => Err(nothing(place)),
        }
    }

    /// The root for a path that is one name.
    fn find_dir_of_bare(&self, place: &Location) -> Option<u64> {
        (!place.path().contains('/')).then(|| self.find_dir(&Location::new(place.scheme(), place.authority(), "/")))?
    }
}

impl Storage for MemoryStorage {
    fn stat(&self, place: &Location) -> Result<Stat, StorageError> {
        self.locked().at(place).map(stat_of)
    }

    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError> {
        let tree = self.locked();
        let names = tree.find(dir).and_then(|dir| tree.names(dir)).ok_or_else(|| nothing(dir))?;
        let entry =
            |(name, node): (&String, &u64)| Some(Entry { name: name.clone(), kind: stat_of(tree.node(*node)?).kind });
        Ok(names.iter().filter_map(entry).collect())
    }

    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        let look = |name: &&str| match self.stat(&dir.with_suffix(&format!("/{name}"))) {
            Ok(stat) if stat.kind == EntryKind::File => Presence::File { size: stat.size },
            Ok(_) => Presence::NotAFile,
            Err(error) => Presence::from_error(error),
        };
        let answers = names.iter().map(look).collect();
        progress(names.len() as u64);
        answers
    }

    fn usage(&self, dir: &Location) -> Result<Usage, StorageError> {
        let tree = self.locked();
        let mut usage = Usage::default();
        let mut pending = vec![tree.find(dir).ok_or_else(|| nothing(dir))?];
        while let Some(node) = pending.pop() {
            match tree.node(node).map(|node| &node.body) {
                Some(Body::File { bytes, .. }) => {
                    usage.files += 1;
                    usage.bytes += bytes.len() as u64;
                }
                Some(Body::Dir { names, .. }) => pending.extend(names.values()),
                None => {}
            }
        }
        Ok(usage)
    }

    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError> {
        let tree = self.locked();
        let bytes = tree.file(file)?;
        if bytes.len() as u64 > limit {
            let message = format!("{} bytes, more than the {limit} that are read", bytes.len());
            return Err(StorageError::new(StorageErrorKind::TooLarge, file, message));
        }
        Ok(bytes.to_vec())
    }

    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError> {
        let tree = self.locked();
        let bytes = tree.file(file)?;
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        Ok(rest.iter().take(usize::try_from(length).unwrap_or(usize::MAX)).copied().collect())
    }

    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError> {
        Ok(Box::new(OpenFile(Arc::clone(self.locked().file(file)?))))
    }

    fn look(&self, dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        components(dir)?;
        names.iter().try_for_each(|name| check_name(dir, name))?;
        let tree = self.locked();
        let there = tree.find(&dir.location()).and_then(|dir| tree.names(dir));
        let look = |name: &&str| {
            let stat = stat_of(tree.node(*there?.get(*name)?)?);
            let name = (*name).to_owned();
            Some(Details { name, exact: true, kind: stat.kind, size: stat.size, modified: stat.modified })
        };
        Ok(names.iter().map(look).collect())
    }

    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        self.locked().at(place).map(|_| place.clone())
    }
}

/// A file as it was when it was opened.
struct OpenFile(Arc<Vec<u8>>);

impl ReadAt for OpenFile {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.0.as_slice().read_at(offset, out)
    }
}

impl WriteStorage for MemoryStorage {
    fn hold(&self, dir: &Location) -> Result<Hold, StorageError> {
        let place = dir.canonical();
        match self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone()) {
            true => Ok(Box::new(Held { dir: place, all: Arc::clone(&self.held) })),
            false => Err(taken(dir)),
        }
    }

    fn creates_exclusively(&self, _dir: &Location) -> Result<bool, StorageError> {
        Ok(!self.is_careless())
    }

    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError> {
        if dir.components().any(|part| part == "..") {
            return Err(other(dir, "not the name of a directory"));
        }
        self.locked().create_dirs(dir).ok_or_else(|| taken(dir))
    }

    fn sync_files(&self, dir: &Location, names: &[&str]) -> Result<(), StorageError> {
        let mut tree = self.locked();
        names.iter().try_for_each(|name| {
            let file = dir.with_suffix(&format!("/{name}"));
            match tree.find(&file).and_then(|node| tree.node_mut(node)) {
                Some(Node { body: Body::File { finished, .. }, .. }) => *finished = true,
                _ => return Err(nothing(&file)),
            }
            Ok(())
        })
    }

    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError> {
        let mut tree = self.locked();
        let (dir, name) = tree.parent_of(file)?;
        if tree.child(dir, name).is_some() {
            return Err(taken(file));
        }
        let node = tree.add_file(Vec::new(), false);
        tree.change(vec![(dir, name.to_owned(), Some(node))], &[]);
        let crashes = tree.crashes;
        Ok(Box::new(MemoryWriter { store: self.clone(), place: file.clone(), node, crashes, finished: false }))
    }

    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        let mut tree = self.locked();
        let (dir, name) = tree.parent_of(file)?;
        if tree.child(dir, name).is_some() && !self.is_careless() {
            return Err(taken(file));
        }
        tree.set_file(dir, name, bytes);
        Ok(())
    }

    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        let mut tree = self.locked();
        let (source, old) = tree.parent_of(from)?;
        let (target, new) = tree.parent_of(to)?;
        let node = tree.child(source, old).ok_or_else(|| nothing(from))?;
        if tree.child(target, new).is_some() {
            return Err(taken(to));
        }
        if tree.names(node).is_some() && to.strip_prefix(from).is_some() {
            return Err(other(to, "it lies in the directory that is renamed"));
        }
        tree.change(vec![(source, old.to_owned(), None), (target, new.to_owned(), Some(node))], &[]);
        Ok(())
    }

    fn link(&self, from: &Location, to: &Location) -> Result<bool, StorageError> {
        let mut tree = self.locked();
        let node = tree.find(from).ok_or_else(|| nothing(from))?;
        if tree.names(node).is_some() {
            return Err(other(from, "a directory"));
        }
        let (dir, name) = tree.parent_of(to)?;
        if tree.child(dir, name).is_some() {
            return Err(taken(to));
        }
        tree.change(vec![(dir, name.to_owned(), Some(node))], &[]);
        Ok(true)
    }

    fn sync_dir(&self, dir: &Location) -> Result<(), StorageError> {
        let mut tree = self.locked();
        let node = tree.find_dir(dir).ok_or_else(|| nothing(dir))?;
        tree.sync(node);
        Ok(())
    }

    fn delete(&self, file: &Location) -> Result<bool, StorageError> {
        let mut tree = self.locked();
        let Some(node) = tree.find(file) else { return Ok(false) };
        if tree.names(node).is_some() {
            return Err(other(file, "a directory"));
        }
        let (dir, name) = tree.parent_of(file)?;
        tree.change(vec![(dir, name.to_owned(), None)], &[]);
        Ok(true)
    }

    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError> {
        let mut tree = self.locked();
        let Some(node) = tree.find(dir) else { return Ok(false) };
        match tree.names(node) {
            None => return Err(other(dir, "not a directory")),
            Some(names) if !names.is_empty() => return Err(other(dir, "it is not empty")),
            Some(_) => {}
        }
        let (parent, name) = tree.parent_of(dir)?;
        // What made it empty comes before.
        tree.change(vec![(parent, name.to_owned(), None)], &[node]);
        Ok(true)
    }

    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        let mut tree = self.locked();
        let (dir, name) = tree.parent_of(file)?;
        if tree.child(dir, name).is_some_and(|node| tree.names(node).is_some()) {
            return Err(other(file, "a directory"));
        }
        tree.set_file(dir, name, bytes);
        Ok(())
    }
}

/// A file that is being written.
struct MemoryWriter {
    store: MemoryStorage,
    place: Location,
    node: u64,
    /// How often the store had crashed when it was made.
    crashes: u64,
    finished: bool,
}

impl MemoryWriter {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>, &mut bool) -> T) -> Result<T, StorageError> {
        let mut tree = self.store.locked();
        let (now, crashes) = (tree.now, tree.crashes);
        match tree.node_mut(self.node) {
            Some(Node { modified, body: Body::File { bytes, finished } }) if crashes == self.crashes => {
                *modified = now;
                Ok(act(Arc::make_mut(bytes), finished))
            }
            _ => Err(other(&self.place, "the file is gone, or the store crashed meanwhile")),
        }
    }
}

impl FileWriter for MemoryWriter {
    fn write(&mut self, part: &[u8]) -> Result<(), StorageError> {
        self.with(|bytes, _| bytes.extend_from_slice(part))
    }

    fn finish(mut self: Box<Self>) -> Result<u64, StorageError> {
        let finish = |bytes: &mut Vec<u8>, finished: &mut bool| {
            *finished = true;
            bytes.len() as u64
        };
        let size = self.with(finish)?;
        self.finished = true;
        Ok(size)
    }

    fn leave(mut self: Box<Self>) -> Result<u64, StorageError> {
        let size = self.with(|bytes, _| bytes.len() as u64)?;
        self.finished = true;
        Ok(size)
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        let mut tree = self.store.locked();
        if self.finished || tree.crashes != self.crashes {
            return;
        }
        if let Ok((dir, name)) = tree.parent_of(&self.place)
            && tree.child(dir, name) == Some(self.node)
        {
            tree.change(vec![(dir, name.to_owned(), None)], &[]);
        }
    }
}

#[cfg(test)]
mod tests;
