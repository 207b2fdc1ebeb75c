//! Operations on many names of one directory below a root, which no symbolic link can lead out of it.

#[cfg(any(feature = "hdfs", feature = "object-stores"))]
use super::Usage;
use super::{EntryKind, Stat, Storage, StorageError, StorageErrorKind, WriteStorage};
use crate::model::Location;
use foldhash::HashMap;
use jiff::Timestamp;
use std::cell::RefCell;
#[cfg(any(feature = "hdfs", feature = "object-stores"))]
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A directory at or below a root. Back ends that have symbolic links open it from the root on, component by component,
/// and follow none on the way: a directory that was replaced by a link is an error, not another directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Below<'a> {
    /// The root; links in its own path are followed.
    pub root: &'a Location,
    /// The components from the root on, separated by slashes; empty for the root itself.
    pub dir: &'a str,
}

impl Below<'_> {
    /// The directory as a place.
    pub fn location(&self) -> Location {
        if self.dir.is_empty() { self.root.clone() } else { self.root.with_suffix(&format!("/{}", self.dir)) }
    }

    /// The place of a name in it.
    pub fn file(&self, name: &str) -> Location {
        self.location().with_suffix(&format!("/{name}"))
    }
}

/// An entry of a directory with what is known of it; links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Its name; characters that are not UTF-8 are replaced.
    pub name: String,
    /// Whether [`Details::name`] is the name: it is UTF-8, and a path of Flink's can hold it.
    pub exact: bool,
    /// What it is.
    pub kind: EntryKind,
    /// Size in bytes of a file.
    pub size: u64,
    /// When it was changed last.
    pub modified: Option<Timestamp>,
}

/// Hears what a [`Storage::walk`] comes by. Called by several threads at once.
pub trait WalkVisitor: Sync {
    /// Whether to look into a directory that was found in `parent`. The root is always looked into.
    fn enters(&self, parent: &Location, name: &str) -> bool;

    /// Entries of a directory. A large directory comes in several pieces; an empty one comes once, with none.
    fn found(&self, dir: &Location, entries: Vec<Details>);

    /// A directory could not be listed, or not to the end: what is in it is not known.
    fn failed(&self, dir: &Location, error: StorageError);
}

/// A [`Storage::walk`] through `list` and `stat`, for stores without a quicker one. A directory that went away meanwhile is
/// no failure, unless it is the root.
pub(super) fn walk_by_listing(storage: &(impl Storage + ?Sized), root: &Location, visitor: &dyn WalkVisitor) {
    let mut pending = vec![root.clone()];
    while let Some(dir) = pending.pop() {
        let failed = |error| visitor.failed(&dir, error);
        let found = match details(storage, &dir, &failed) {
            Ok(found) => found,
            Err(error) if error.is_not_found() && dir != *root => continue,
            Err(error) => {
                visitor.failed(&dir, error);
                continue;
            }
        };
        for entry in found.iter().filter(|entry| entry.kind == EntryKind::Directory && entry.exact) {
            if visitor.enters(&dir, &entry.name) {
                pending.push(dir.with_suffix(&format!("/{}", entry.name)));
            }
        }
        visitor.found(&dir, found);
    }
}

/// [`Storage::usage`] through a walk: the files that it finds, unless something cannot be listed.
#[cfg(any(feature = "hdfs", feature = "object-stores"))]
pub(super) fn usage_by_walking(storage: &(impl Storage + ?Sized), dir: &Location) -> Result<Usage, StorageError> {
    /// Adds files up; the first failure is what counts.
    struct Sum(Mutex<Result<Usage, StorageError>>);

    impl Sum {
        fn lock(&self) -> MutexGuard<'_, Result<Usage, StorageError>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl WalkVisitor for Sum {
        fn enters(&self, _: &Location, _: &str) -> bool {
            true
        }

        fn found(&self, _: &Location, entries: Vec<Details>) {
            if let Ok(usage) = &mut *self.lock() {
                for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
                    usage.files += 1;
                    usage.bytes = usage.bytes.saturating_add(entry.size);
                }
            }
        }

        fn failed(&self, _: &Location, error: StorageError) {
            let mut sum = self.lock();
            if sum.is_ok() {
                *sum = Err(error);
            }
        }
    }

    let sum = Sum(Mutex::new(Ok(Usage::default())));
    storage.walk(dir, &sum);
    sum.0.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// [`Storage::details`] through `list` and `stat`.
pub(super) fn details_by_listing(
    storage: &(impl Storage + ?Sized),
    dir: &Location,
) -> Result<Vec<Details>, StorageError> {
    let failure = RefCell::new(None);
    let found = details(storage, dir, &|error| *failure.borrow_mut() = Some(error))?;
    failure.into_inner().map_or(Ok(found), Err)
}

/// The entries of a directory with their sizes and times. `failed` hears of those that nothing could be found out about.
fn details(
    storage: &(impl Storage + ?Sized),
    dir: &Location,
    failed: &dyn Fn(StorageError),
) -> Result<Vec<Details>, StorageError> {
    let mut found = Vec::new();
    for entry in storage.list(dir)? {
        let exact = is_exact(&entry.name);
        let mut details = Details { name: entry.name, exact, kind: entry.kind, size: 0, modified: None };
        // The place of a name that is not exact may be that of another file.
        if exact && matches!(entry.kind, EntryKind::File | EntryKind::Directory) {
            match storage.stat(&dir.with_suffix(&format!("/{}", details.name))) {
                Ok(stat) => (details.size, details.modified) = (size_of(&stat), stat.modified),
                Err(error) if error.is_not_found() => continue,
                Err(error) => failed(error),
            }
        }
        found.push(details);
    }
    Ok(found)
}

/// Whether a name stands for itself in a path of Flink's, which takes a backslash for a slash. One with a replacement
/// character may stand for several that are not UTF-8.
pub(super) fn is_exact(name: &str) -> bool {
    !name.bytes().any(|byte| matches!(byte, b'\\' | b'/' | 0))
        && (name.is_ascii() || !name.contains(char::REPLACEMENT_CHARACTER))
        && !matches!(name, "" | "." | "..")
}

/// Refuses a name that is not exact: it may stand for another file, or for one elsewhere.
pub(super) fn check_name(dir: Below<'_>, name: &str) -> Result<(), StorageError> {
    if is_exact(name) {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of one file in a directory");
    Err(StorageError::new(StorageErrorKind::Other, &dir.location(), message))
}

/// The components of a directory from its root on.
pub(super) fn components<'a>(dir: Below<'a>) -> Result<Vec<&'a str>, StorageError> {
    let parts: Vec<&str> = if dir.dir.is_empty() { Vec::new() } else { dir.dir.split('/').collect() };
    if parts.iter().all(|part| is_exact(part)) {
        return Ok(parts);
    }
    let message = format!("{:?} is not a directory below a root", dir.dir);
    Err(StorageError::new(StorageErrorKind::Other, dir.root, message))
}

/// Of the components of a directory that is to be made like another: how many come before those that both end in.
pub(super) fn components_before(to: &[&str], like: Below<'_>) -> Result<usize, StorageError> {
    let tail = components(like)?;
    if to.ends_with(&tail) {
        return Ok(to.len() - tail.len());
    }
    let message = format!("{:?} does not end in {:?}", to.join("/"), like.dir);
    Err(StorageError::new(StorageErrorKind::Other, like.root, message))
}

/// The size of a file; that of a directory says nothing.
fn size_of(stat: &Stat) -> u64 {
    if stat.kind == EntryKind::File { stat.size } else { 0 }
}

/// [`Storage::look`] through `list` and `stat`.
pub(super) fn look_by_listing(
    storage: &(impl Storage + ?Sized),
    dir: Below<'_>,
    names: &[&str],
) -> Result<Vec<Option<Details>>, StorageError> {
    let place = dir.location();
    components(dir)?;
    names.iter().try_for_each(|name| check_name(dir, name))?;
    let entries = match storage.list(&place) {
        Err(error) if error.is_not_found() => return Ok(vec![None; names.len()]),
        entries => entries?,
    };
    let kinds: HashMap<&str, EntryKind> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    let look = |name: &&str| {
        let Some(&kind) = kinds.get(name) else { return Ok(None) };
        let mut details = Details { name: (*name).to_owned(), exact: true, kind, size: 0, modified: None };
        if matches!(kind, EntryKind::File | EntryKind::Directory) {
            match storage.stat(&dir.file(name)) {
                Ok(stat) => (details.size, details.modified) = (size_of(&stat), stat.modified),
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(details))
    };
    names.iter().map(look).collect()
}

/// [`WriteStorage::rename_names`] one by one.
pub(super) fn rename_one_by_one(
    storage: &(impl WriteStorage + ?Sized),
    from: Below<'_>,
    to: Below<'_>,
    names: &[&str],
) -> Vec<Result<bool, StorageError>> {
    let rename = |name: &&str| {
        for dir in [from, to] {
            components(dir)?;
            check_name(dir, name)?;
        }
        match storage.rename(&from.file(name), &to.file(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind == StorageErrorKind::NotFound => match storage.stat(&to.location()) {
                // The source was not there, if the target's directory is.
                Ok(_) => Ok(false),
                Err(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    };
    names.iter().map(rename).collect()
}

/// [`WriteStorage::delete_names`] one by one.
pub(super) fn delete_one_by_one(
    storage: &(impl WriteStorage + ?Sized),
    dir: Below<'_>,
    names: &[&str],
) -> Vec<Result<bool, StorageError>> {
    let delete = |name: &&str| {
        components(dir)?;
        check_name(dir, name)?;
        storage.delete(&dir.file(name))
    };
    names.iter().map(delete).collect()
}
