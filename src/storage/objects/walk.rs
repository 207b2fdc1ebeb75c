//! Walks: one flat listing from which the directories are put together.

use super::keys::{self, Key};
use super::listing::{PAGE, stat_of};
use super::{ObjectStorage, nothing, other};
use crate::model::Location;
use crate::storage::{Details, EntryKind, StorageError, WalkVisitor, below};
use foldhash::{HashMap, HashSet, HashSetExt as _};
use opendal::Entry;
use std::hash::BuildHasher as _;

/// [`Storage::walk`](crate::storage::Storage::walk).
pub fn walk(store: &ObjectStorage, root: &Location, visitor: &dyn WalkVisitor) {
    let walked = match store.inner.has_directories {
        true => by_directories(store, root, visitor),
        false => flat(store, root, visitor),
    };
    if let Err(error) = walked {
        visitor.failed(root, error);
    }
}

/// A walk of a store whose directories are there of themselves: level by level, the directories of one at once.
fn by_directories(store: &ObjectStorage, root: &Location, visitor: &dyn WalkVisitor) -> Result<(), StorageError> {
    let mut level = vec![root.clone()];
    while !level.is_empty() {
        let inner = &store.inner;
        let listed = inner.remote.each(level.clone(), |_, dir| {
            let inner = std::sync::Arc::clone(inner);
            async move { inner.list(&dir).await }
        });
        let mut next = Vec::new();
        for (dir, listed) in level.into_iter().zip(listed) {
            match listed {
                Ok(entries) => {
                    let enters = |entry: &&Details| {
                        entry.kind == EntryKind::Directory && entry.exact && visitor.enters(&dir, &entry.name)
                    };
                    next.extend(
                        entries.iter().filter(enters).map(|entry| dir.with_suffix(&format!("/{}", entry.name))),
                    );
                    visitor.found(&dir, entries);
                }
                Err(error) if error.is_not_found() && dir != *root => {}
                Err(error) => visitor.failed(&dir, error),
            }
        }
        level = next;
    }
    Ok(())
}

/// A walk by one listing of all keys below a root.
fn flat(store: &ObjectStorage, root: &Location, visitor: &dyn WalkVisitor) -> Result<(), StorageError> {
    let inner = &store.inner;
    let key = inner.key(root)?;
    let mut tree = Tree::new(root, &key, visitor);
    // The next page comes while the visitor has this one.
    let (sender, mut pages) = tokio::sync::mpsc::channel(2);
    let (task, place, from) = (std::sync::Arc::clone(inner), root.clone(), key.clone());
    inner.remote.spawn(async move {
        let mut listing = match task.pages(&place, &from, true).await {
            Ok(listing) => listing,
            Err(error) => return drop(sender.send(Err(error)).await),
        };
        loop {
            let page = task.page(&place, &mut listing).await;
            let is_last = !matches!(page, Ok(Some(_)));
            if sender.send(page).await.is_err() || is_last {
                return;
            }
        }
    });
    // The caller is no thread of the runtime: it may ask the store for more while it hears of this.
    loop {
        // Only what says that it is the end is: a task that stopped is none.
        let stopped = || Err(other(root, "its listing stopped before its end"));
        match inner.remote.wait(pages.recv()).unwrap_or_else(stopped)? {
            Some(page) => page.iter().for_each(|entry| tree.add(entry)),
            None => break,
        }
    }
    match tree.is_there || key.is_root() {
        true => {
            tree.end();
            Ok(())
        }
        false => Err(nothing(root)),
    }
}

/// A directory of a walk.
struct Dir {
    /// Whether it is looked into, and so told of.
    entered: bool,
    /// Whether something was found in it.
    full: bool,
}

/// The directories below a root, as far as they have been heard of.
struct Tree<'a> {
    root: &'a Location,
    key: &'a Key,
    visitor: &'a dyn WalkVisitor,
    /// By their path from the root on.
    dirs: HashMap<String, Dir>,
    /// Hashes of the paths of files: a name that comes twice is out of reach. Two that only have a hash in common are taken
    /// for that as well, which keeps them from being touched.
    files: HashSet<u64>,
    hasher: foldhash::fast::RandomState,
    /// Files of the directory that came last, not yet told of.
    pending: Vec<Details>,
    current: String,
    is_there: bool,
}

impl<'a> Tree<'a> {
    fn new(root: &'a Location, key: &'a Key, visitor: &'a dyn WalkVisitor) -> Self {
        let dirs = HashMap::from_iter([(String::new(), Dir { entered: true, full: false })]);
        Tree {
            root,
            key,
            visitor,
            dirs,
            files: HashSet::new(),
            hasher: foldhash::fast::RandomState::default(),
            pending: Vec::new(),
            current: String::new(),
            is_there: false,
        }
    }

    fn add(&mut self, entry: &Entry) {
        let Some(path) = self.key.rest(entry.path()) else { return };
        self.is_there = true;
        if let Some(dir) = above_nameless(path) {
            // Once for each directory.
            if self.enter(dir) && self.files.insert(self.hasher.hash_one((dir, "//"))) {
                let nothing =
                    Details { name: String::new(), exact: false, kind: EntryKind::Directory, size: 0, modified: None };
                self.tell(dir, nothing);
            }
            return;
        }
        let stat = stat_of(entry);
        if stat.kind == EntryKind::Directory {
            // A marker, of the root or of another.
            if let Some(dir) = path.strip_suffix('/') {
                self.enter(dir);
            }
            return;
        }
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !self.enter(dir) {
            return;
        }
        let is_new = self.files.insert(self.hasher.hash_one(path)) && !self.dirs.contains_key(path);
        let exact = is_new && keys::is_exact(self.key, dir, name);
        let details =
            Details { name: name.to_owned(), exact, kind: EntryKind::File, size: stat.size, modified: stat.modified };
        self.tell(dir, details);
    }

    /// Takes notice of a directory and those above it. Whether it is looked into.
    fn enter(&mut self, dir: &str) -> bool {
        if let Some(known) = self.dirs.get(dir) {
            return known.entered;
        }
        let (parent, name) = dir.rsplit_once('/').unwrap_or(("", dir));
        if !self.enter(parent) {
            // What is below it is not told of, and need not be kept.
            return false;
        }
        let exact = keys::is_exact(self.key, parent, name) && !self.files.contains(&self.hasher.hash_one(dir));
        let entered = exact && self.visitor.enters(&self.place(parent), name);
        self.dirs.insert(dir.to_owned(), Dir { entered, full: false });
        let details = Details { name: name.to_owned(), exact, kind: EntryKind::Directory, size: 0, modified: None };
        self.tell(parent, details);
        entered
    }

    fn tell(&mut self, dir: &str, details: Details) {
        if self.current != dir || self.pending.len() >= PAGE {
            self.flush();
            self.current.clear();
            self.current.push_str(dir);
        }
        self.pending.push(details);
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if let Some(dir) = self.dirs.get_mut(&self.current) {
            dir.full = true;
        }
        self.visitor.found(&self.place(&self.current), std::mem::take(&mut self.pending));
    }

    fn place(&self, dir: &str) -> Location {
        below::Below { root: self.root, dir }.location()
    }

    /// Tells of the directories that nothing was found in.
    fn end(mut self) {
        self.flush();
        for (dir, _) in self.dirs.iter().filter(|(_, dir)| dir.entered && !dir.full) {
            self.visitor.found(&self.place(dir), Vec::new());
        }
    }
}

/// The directory in which the first part of a path without a name is, where there is one: below it no place is.
fn above_nameless(path: &str) -> Option<&str> {
    if path.starts_with('/') { Some("") } else { path.find("//").and_then(|at| path.get(..at)) }
}
