//! Directories below a root, opened one component after the other: no symbolic link leads out of the root.

use super::{failed, local_path, or_here};
use crate::model::Location;
use crate::storage::below::{check_name, components, components_before};
use crate::storage::{Below, Details, EntryKind, LocalStorage, StorageError, StorageErrorKind, WriteStorage as _};
use jiff::Timestamp;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::fs::{fchmod, fchown, fstat, fsync, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// How directories are opened.
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a root; links on the way to it are followed.
pub(super) fn open_root(root: &Location) -> Result<OwnedFd, StorageError> {
    let path = local_path(root)?;
    openat(CWD, or_here(&path), DIRECTORY, Mode::empty()).map_err(|e| failed_with(root, e))
}

/// Opens a directory below a root.
pub(super) fn open_below(dir: Below<'_>) -> Result<OwnedFd, StorageError> {
    let parts = components(dir)?;
    open_parts(open_root(dir.root)?, &parts, &dir.location())
}

/// Opens a directory from an opened one on. `place` is it, for errors.
pub(super) fn open_parts(from: OwnedFd, parts: &[&str], place: &Location) -> Result<OwnedFd, StorageError> {
    parts.iter().try_fold(from, |dir, part| open_child(dir, part, place))
}

fn open_child(parent: impl AsFd, name: &str, place: &Location) -> Result<OwnedFd, StorageError> {
    let opened = openat(&parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
    opened.map_err(|error| match error {
        // Systems differ in what they say of a link.
        Errno::LOOP | Errno::NOTDIR | Errno::MLINK => match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => not_a_directory(&stat, name, place),
            Err(error) => failed_with(place, error),
        },
        error => failed_with(place, error),
    })
}

/// Says what is where a directory was to be. Below a file there is nothing; below a link there may be.
fn not_a_directory(stat: &Stat, name: &str, place: &Location) -> StorageError {
    match kind_of(stat) {
        EntryKind::Link => {
            let message = format!("{name:?} is a symbolic link, which is not followed here");
            StorageError::new(StorageErrorKind::Other, place, message)
        }
        EntryKind::Directory => StorageError::new(StorageErrorKind::Transient, place, "it is changing"),
        _ => StorageError::new(StorageErrorKind::NotFound, place, format!("{name:?} is not a directory")),
    }
}

/// An error of the system. That an argument was not valid never says that nothing is there.
pub(super) fn failed_with(place: &Location, error: Errno) -> StorageError {
    match error {
        Errno::INVAL => StorageError::new(StorageErrorKind::Other, place, std::io::Error::from(error).to_string()),
        error => failed(place, &error.into()),
    }
}

pub(super) fn kind_of(stat: &Stat) -> EntryKind {
    kind_of_type(FileType::from_raw_mode(stat.st_mode))
}

pub(super) fn kind_of_type(kind: FileType) -> EntryKind {
    match kind {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Link,
        _ => EntryKind::Other,
    }
}

/// What a `stat` says of an entry.
pub(super) fn details(name: String, exact: bool, stat: &Stat) -> Details {
    let kind = kind_of(stat);
    let size = if kind == EntryKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
    // No nanoseconds reach a billion.
    let modified = Timestamp::new(stat.st_mtime, i32::try_from(stat.st_mtime_nsec).unwrap_or(0)).ok();
    Details { name, exact, kind, size, modified }
}

pub(super) fn look(dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
    names.iter().try_for_each(|name| check_name(dir, name))?;
    let opened = match open_below(dir) {
        Err(error) if error.is_not_found() => return Ok(vec![None; names.len()]),
        opened => opened?,
    };
    let look = |name: &str| match statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(details(name.to_owned(), true, &stat))),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
        Err(error) => Err(failed_with(&dir.file(name), error)),
    };
    super::names::on_threads(names, look).into_iter().collect()
}

pub(super) fn delete_empty(dir: Below<'_>) -> Result<bool, StorageError> {
    let mut parts = components(dir)?;
    let Some(name) = parts.pop() else { return LocalStorage.delete_empty_dir(dir.root) };
    let place = dir.location();
    let parent = match open_root(dir.root).and_then(|root| open_parts(root, &parts, &place)) {
        Err(error) if error.is_not_found() => return Ok(false),
        parent => parent?,
    };
    match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(false),
        Err(Errno::NOTDIR) => Err(StorageError::new(StorageErrorKind::Other, &place, "not a directory")),
        Err(error) => Err(failed_with(&place, error)),
    }
}

pub(super) fn create_dirs_like(to: Below<'_>, like: Below<'_>) -> Result<(), StorageError> {
    let parts = components(to)?;
    let own = components_before(&parts, like)?;
    let place = to.location();
    LocalStorage.create_dirs(to.root)?;
    let mut dir = open_root(to.root)?;
    let mut model = there(open_root(like.root))?;
    for (index, name) in parts.iter().enumerate() {
        let mut modelled = None;
        if index >= own {
            let parent = model.take();
            model = parent.map_or(Ok(None), |parent| there(open_child(parent, name, &like.location())))?;
            modelled = model.as_ref();
        }
        dir = match there(open_child(&dir, name, &place))? {
            Some(child) => child,
            None => create_child(&dir, name, modelled, &place)?,
        };
    }
    Ok(())
}

/// `None` where nothing is.
fn there<T>(opened: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
    match opened {
        Err(error) if error.is_not_found() => Ok(None),
        opened => opened.map(Some),
    }
}

/// Creates a directory with the permissions and, where that may be done, the owner of another; durably.
fn create_child(
    parent: &OwnedFd,
    name: &str,
    model: Option<&OwnedFd>,
    place: &Location,
) -> Result<OwnedFd, StorageError> {
    let fail = |error| failed_with(place, error);
    let model = model.map(fstat).transpose().map_err(fail)?;
    let mode = model.as_ref().map_or(Mode::from_raw_mode(0o777), |stat| Mode::from_raw_mode(stat.st_mode));
    match mkdirat(parent, name, mode) {
        // Another thread was quicker, or something else has the name.
        Err(Errno::EXIST) => return open_child(parent, name, place).map_err(|e| taken(e, place)),
        created => created.map_err(fail)?,
    }
    let dir = open_child(parent, name, place)?;
    if let Some(model) = model {
        adopt(&dir, &model, mode).map_err(fail)?;
    }
    fsync(parent).map_err(fail)?;
    Ok(dir)
}

fn taken(error: StorageError, place: &Location) -> StorageError {
    match error.kind {
        StorageErrorKind::NotFound => StorageError::new(StorageErrorKind::AlreadyExists, place, error.message),
        _ => error,
    }
}

/// Gives a directory the owner and the permissions of another. Only the latter is an error where it cannot be done.
fn adopt(dir: &OwnedFd, model: &Stat, mode: Mode) -> rustix::io::Result<()> {
    let now = fstat(dir)?;
    let (owner, group) = (Uid::from_raw(model.st_uid), Gid::from_raw(model.st_gid));
    if (now.st_uid, now.st_gid) != (model.st_uid, model.st_gid) && fchown(dir, Some(owner), Some(group)).is_err() {
        // Another owner takes privileges; another group only membership.
        let _ = fchown(dir, None, Some(group));
    }
    if Mode::from_raw_mode(fstat(dir)?.st_mode) != mode {
        fchmod(dir, mode)?;
    }
    fsync(dir)
}

#[cfg(test)]
mod tests;
