//! Writes a mended snapshot: files first, its `_metadata` last, so that it is there whole or not at all.
//!
//! While files are copied, DEST has a hidden list of their names. A run that is killed leaves it, and the next one
//! knows by it what in DEST is no one else's.

use super::{Prepared, RepairError, refused};
use crate::edit::streams;
use crate::model::{Location, Metadata, StreamHandle};
use crate::seal::MANIFEST;
use crate::storage::{Below, Details, EntryKind, Hold, Part, Storage, StorageError, WriteStorage};
use crate::survey::catalog::METADATA;
use std::collections::{BTreeSet, HashSet};

/// The list of the files that are being copied, in DEST.
const LIST: &str = ".chkctl-repair";
/// Its first line.
const HEAD: &str = "# chkctl.repair 1\n";
/// A larger list is none: ten million names take less.
const LARGEST_LIST: u64 = 1 << 30;

/// How files are called under which the list and the `_metadata` are written before they appear.
fn is_in_progress(name: &str) -> bool {
    [METADATA, LIST].iter().any(|of| {
        let rest = name.strip_prefix('.').and_then(|name| name.strip_prefix(of));
        rest.is_some_and(|rest| rest.starts_with(".inprogress."))
    })
}

/// Whether a snapshot can be written to a directory: nothing is there, or a directory with nothing in it but what a
/// repair left that was killed.
pub fn is_free(storage: &dyn Storage, dest: &Location) -> Result<bool, StorageError> {
    Ok(leftovers(storage, dest)?.is_some())
}

/// The names of what a killed repair left in a directory, the list last; `None` where there is something else, or no
/// directory.
fn leftovers(storage: &dyn Storage, dest: &Location) -> Result<Option<Vec<String>>, StorageError> {
    match storage.stat(dest) {
        Err(error) if error.is_not_found() => return Ok(Some(Vec::new())),
        Err(error) => return Err(error),
        Ok(stat) if stat.kind != EntryKind::Directory => return Ok(None),
        Ok(_) => {}
    }
    let entries = storage.list(dest)?;
    if entries.iter().any(|entry| entry.kind != EntryKind::File) {
        return Ok(None);
    }
    let listed = match entries.iter().any(|entry| entry.name == LIST) {
        true => storage.read(&dest.with_suffix(&format!("/{LIST}")), LARGEST_LIST)?,
        false => Vec::new(),
    };
    let listed = String::from_utf8_lossy(&listed);
    let listed: HashSet<&str> = listed.strip_prefix(HEAD).unwrap_or_default().lines().collect();
    let is_ours = |name: &str| is_in_progress(name) || name == LIST || (is_copied(name) && listed.contains(name));
    if !entries.iter().all(|entry| is_ours(&entry.name)) {
        return Ok(None);
    }
    let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    // What it lists goes first.
    names.sort_by_key(|name| name == LIST);
    Ok(Some(names))
}

/// Whether a file beside a `_metadata` is copied under its name: it is plain, and cannot be taken for a `_metadata` or
/// for what chkctl writes.
fn is_copied(name: &str) -> bool {
    let plain = name.is_ascii() && !name.contains(['/', '\\', ':']) && !name.contains(|c: char| c.is_ascii_control());
    plain && !matches!(name, "" | "." | ".." | METADATA | MANIFEST | LIST) && !is_in_progress(name)
}

/// The files of relative handles that lie beside a `_metadata` in `dir` under their plain names, with their sizes. What
/// is not a file itself (a link) and what could be taken for a `_metadata` is not among them.
pub(super) fn copies(
    storage: &dyn Storage,
    metadata: &Metadata<'_>,
    dir: &Location,
) -> Result<Vec<(String, u64)>, RepairError> {
    let mut names = BTreeSet::new();
    let mut seen = metadata.clone();
    streams::rewrite(&mut seen, &mut |_, stream| {
        if let StreamHandle::Relative { path, .. } = stream {
            let name = path.to_str();
            if is_copied(&name) {
                names.insert(name.into_owned());
            }
        }
        Ok::<(), RepairError>(())
    })?;
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = storage.look(Below { root: dir, dir: "" }, &list)?;
    let files = list.iter().zip(found).filter_map(|(name, details)| {
        let details = details.filter(|details| details.kind == EntryKind::File)?;
        Some(((*name).to_owned(), details.size))
    });
    Ok(files.collect())
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Files that got a second name instead of being copied.
    pub linked: u64,
}

/// Carries a repair out. With `link`, files get a second name instead of being copied, where the store can. After an
/// error there is no snapshot at its place, unless only the last answer was lost; what had been copied is removed again,
/// as far as that can be done.
pub fn write(storage: &dyn WriteStorage, prepared: &Prepared, link: bool) -> Result<Written, RepairError> {
    let dest = &prepared.dest;
    if leftovers(storage, dest)?.is_none() {
        return not_free(dest);
    }
    let made = storage.stat(dest).is_err_and(|error| error.is_not_found());
    storage.create_dirs(dest)?;
    let result = enter(storage, prepared).and_then(|(hold, left)| {
        let result = clear(storage, dest, &left).and_then(|()| fill(storage, prepared, link));
        // Where it cannot be said that there is no `_metadata`, its files must stay.
        if result.is_err()
            && storage.stat(&in_dir(dest, METADATA)).is_err_and(|error| error.is_not_found())
            && let Ok(Some(left)) = leftovers(storage, dest)
        {
            let _ = clear(storage, dest, &left);
        }
        drop(hold);
        result
    });
    if result.is_err() && made {
        // Only where nothing is in it.
        let _ = storage.delete_empty_dir(dest);
    }
    result
}

fn not_free<T>(dest: &Location) -> Result<T, RepairError> {
    refused(format!("{dest} is there and not empty"))
}

/// Keeps others away from DEST; what a killed repair left in it may be removed.
fn enter(storage: &dyn WriteStorage, prepared: &Prepared) -> Result<(Hold, Vec<String>), RepairError> {
    let dest = &prepared.dest;
    let hold = storage.hold(dest)?;
    // Once more, now that nobody else is at work in it.
    let Some(left) = leftovers(storage, dest)? else { return not_free(dest) };
    check_source_has(storage, prepared, &left)?;
    Ok((hold, left))
}

/// Refuses to remove the only copy of a file: what a repair left is a copy of what the source has.
fn check_source_has(storage: &dyn Storage, prepared: &Prepared, left: &[String]) -> Result<(), RepairError> {
    let copies: Vec<&str> = left.iter().map(String::as_str).filter(|name| is_copied(name)).collect();
    let there = storage.look(Below { root: &prepared.source, dir: "" }, &copies)?;
    let is_file = |details: &Option<Details>| details.as_ref().is_some_and(|file| file.kind == EntryKind::File);
    match copies.iter().zip(&there).find(|(_, details)| !is_file(details)) {
        None => Ok(()),
        Some((name, _)) => refused(format!(
            "{} was left by a repair that was stopped, and the source has no such file: give another DEST, or remove it",
            in_dir(&prepared.dest, name)
        )),
    }
}

fn in_dir(dir: &Location, name: &str) -> Location {
    dir.with_suffix(&format!("/{name}"))
}

/// Removes what a repair left. The list goes only when all that it lists is gone for good.
fn clear(storage: &dyn WriteStorage, dest: &Location, left: &[String]) -> Result<(), RepairError> {
    for name in left {
        if name == LIST {
            storage.sync_dir(dest)?;
        }
        storage.delete(&in_dir(dest, name))?;
    }
    if left.is_empty() { Ok(()) } else { Ok(storage.sync_dir(dest)?) }
}

fn fill(storage: &dyn WriteStorage, prepared: &Prepared, link: bool) -> Result<Written, RepairError> {
    let dest = &prepared.dest;
    let mut written = Written::default();
    let names: Vec<&str> = prepared.copies.iter().map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        let list = names.iter().fold(HEAD.to_owned(), |list, name| list + name + "\n");
        storage.publish(&in_dir(dest, LIST), list.as_bytes())?;
        for (name, size) in &prepared.copies {
            let (from, to) = (in_dir(&prepared.source, name), in_dir(dest, name));
            written.linked += u64::from(copy(storage, &from, &to, *size, link)?);
        }
        storage.sync_files(dest, &names)?;
        storage.sync_dir(dest)?;
    }
    storage.publish(&in_dir(dest, METADATA), &prepared.metadata)?;
    if !names.is_empty() {
        // The snapshot is whole, whatever becomes of the list.
        let _ = storage.delete(&in_dir(dest, LIST)).and_then(|_| storage.sync_dir(dest));
    }
    Ok(written)
}

/// Copies a file, or gives it a second name; gives whether it did that.
fn copy(
    storage: &dyn WriteStorage,
    from: &Location,
    to: &Location,
    size: u64,
    link: bool,
) -> Result<bool, RepairError> {
    let linked = link && storage.link(from, to)?;
    if !linked {
        storage.copy(from, Part { offset: 0, length: size }, to, &mut |_| {})?;
    }
    let now = storage.stat(from)?.size;
    if now != size {
        return refused(format!("{from} had {size} bytes and has {now} now: it is being written to"));
    }
    Ok(linked)
}
