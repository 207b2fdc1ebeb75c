//! Many names of a directory, renamed or removed through the opened directory.

use super::below::{failed_with, kind_of, open_below};
use crate::storage::below::check_name;
use crate::storage::{Below, EntryKind, StorageError, StorageErrorKind};
use foldhash::HashMap;
use rustix::fs::{AtFlags, Dir, linkat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Names that a thread takes at once.
const SHARE: usize = 512;
const MOST_THREADS: usize = 8;
/// Entries of a directory that are listed for each name, at most, to find the inodes of the names.
const LISTED_PER_NAME: usize = 8;

type Answer = Result<bool, StorageError>;

/// Removes files. The system frees them outside of the lock on their directory, so that several threads help.
pub(super) fn delete(dir: Below<'_>, names: &[&str]) -> Vec<Answer> {
    let opened = match open_below(dir) {
        Err(error) if error.is_not_found() => {
            return names.iter().map(|name| check_name(dir, name).map(|()| false)).collect();
        }
        Err(error) => return vec![Err(error); names.len()],
        Ok(opened) => opened,
    };
    by_inode(&opened, names, |names| on_threads(names, |name| delete_one(&opened, dir, name)))
}

fn delete_one(opened: &OwnedFd, dir: Below<'_>, name: &str) -> Answer {
    check_name(dir, name)?;
    match unlinkat(opened, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(false),
        Err(error) => Err(failed_with(&dir.file(name), error)),
    }
}

/// Renames names. One after the other, since the system locks both directories for each.
pub(super) fn rename(from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Answer> {
    let target = match open_below(to) {
        Err(error) => return vec![Err(error); names.len()],
        Ok(target) => target,
    };
    let source = match open_below(from) {
        Err(error) if error.is_not_found() => {
            return names.iter().map(|name| check_name(from, name).map(|()| false)).collect();
        }
        Err(error) => return vec![Err(error); names.len()],
        Ok(source) => source,
    };
    let rename = |name: &&str| {
        check_name(from, name)?;
        rename_one(&source, &target, name).or_else(|error| match error {
            Errno::NOENT | Errno::NAMETOOLONG => match statat(&source, *name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(false),
                // It is there, so that it is the other directory that is gone.
                _ => Err(failed_with(&to.file(name), error)),
            },
            Errno::XDEV => {
                let message = format!("it is on another file system than {}", from.location());
                Err(StorageError::new(StorageErrorKind::Other, &to.file(name), message))
            }
            error => Err(failed_with(&to.file(name), error)),
        })
    };
    by_inode(&source, names, |names| names.iter().map(rename).collect())
}

/// Acts on names in the order of their inodes, and gives the answers in that of the names. In the order of a directory or
/// of the alphabet each file is in another block of the disk, and the system writes all of these several times: deleting
/// 200,000 files takes several times as long.
fn by_inode(dir: &OwnedFd, names: &[&str], act: impl FnOnce(&[&str]) -> Vec<Answer>) -> Vec<Answer> {
    if names.len() < SHARE {
        return act(names);
    }
    let mut order = inodes(dir, names);
    order.sort_unstable();
    let ordered: Vec<&str> = order.iter().filter_map(|(_, index)| names.get(*index).copied()).collect();
    let mut answers: Vec<(usize, Answer)> = order.iter().map(|(_, index)| *index).zip(act(&ordered)).collect();
    answers.sort_unstable_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// The inode of each name, with its index; the largest number where the listing did not come to it. It ends early in a
/// directory that is much larger: nothing but speed hangs on it.
fn inodes(dir: &OwnedFd, names: &[&str]) -> Vec<(u64, usize)> {
    let wanted: HashMap<&[u8], usize> = names.iter().map(|name| name.as_bytes()).zip(0..).collect();
    let mut order: Vec<(u64, usize)> = (0..names.len()).map(|index| (u64::MAX, index)).collect();
    let entries = Dir::read_from(dir).into_iter().flatten().flatten();
    for entry in entries.take(names.len().saturating_mul(LISTED_PER_NAME)) {
        let slot = wanted.get(entry.file_name().to_bytes()).and_then(|index| order.get_mut(*index));
        if let Some((inode, _)) = slot {
            *inode = entry.ino();
        }
    }
    order
}

/// Renames without replacing.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_one(source: &OwnedFd, target: &OwnedFd, name: &str) -> rustix::io::Result<bool> {
    use rustix::fs::{RenameFlags, renameat_with};
    match renameat_with(source, name, target, name, RenameFlags::NOREPLACE) {
        // Not every file system can: NFS says that the argument is invalid.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_and_unlink(source, target, name),
        renamed => renamed.map(|()| true),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn rename_one(source: &OwnedFd, target: &OwnedFd, name: &str) -> rustix::io::Result<bool> {
    link_and_unlink(source, target, name)
}

/// The new name first, which fails where something has it, then away with the old one. A directory has one name only; it
/// is renamed where nothing has the new one, and the worst that it can replace is an empty directory.
pub(super) fn link_and_unlink(source: &OwnedFd, target: &OwnedFd, name: &str) -> rustix::io::Result<bool> {
    if kind_of(&statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?) == EntryKind::Directory {
        match statat(target, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => renameat(source, name, target, name)?,
            Err(error) => return Err(error),
            Ok(_) => return Err(Errno::EXIST),
        }
    } else {
        linkat(source, name, target, name, AtFlags::empty())?;
        unlinkat(source, name, AtFlags::empty())?;
    }
    Ok(true)
}

/// One answer per name, in their order; by several threads where there are many.
pub(super) fn on_threads<T: Send>(names: &[&str], act: impl Fn(&str) -> T + Sync) -> Vec<T> {
    let shares = names.len().div_ceil(SHARE);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS).min(shares);
    if threads < 2 {
        return names.iter().map(|name| act(name)).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let share = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = names.chunks(SHARE).nth(share) else { return done };
            done.push((share, part.iter().map(|name| act(name)).collect::<Vec<T>>()));
        }
    };
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for worker in workers {
            done.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(share, _)| *share);
    done.into_iter().flat_map(|(_, answers)| answers).collect()
}
