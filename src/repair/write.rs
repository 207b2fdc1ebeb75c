//! Writes a mended snapshot: files first, its `_metadata` last, so that it is there whole or not at all.

use super::{Prepared, RepairError, refused};
use crate::edit::streams;
use crate::model::{Location, Metadata, StreamHandle};
use crate::storage::{Below, EntryKind, Storage, StorageError, StorageErrorKind, WriteStorage};
use crate::survey::catalog::METADATA;
use std::collections::BTreeSet;

/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;

/// How the file is called under which a `_metadata` is written before it appears; what is left of a run that ended
/// meanwhile is no content.
fn is_in_progress(name: &str) -> bool {
    name.starts_with("._metadata.inprogress.")
}

/// Whether a snapshot can be written to a directory: nothing is there, or a directory with nothing in it.
pub fn is_free(storage: &dyn Storage, dest: &Location) -> Result<bool, StorageError> {
    match storage.stat(dest) {
        Err(error) if error.is_not_found() => Ok(true),
        Err(error) => Err(error),
        Ok(stat) if stat.kind != EntryKind::Directory => Ok(false),
        Ok(_) => Ok(storage.list(dest)?.iter().all(|entry| is_in_progress(&entry.name))),
    }
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
            let plain = !name.contains(['/', '\\', ':', '\0']) && !matches!(&*name, "" | "." | "..");
            if plain && name.is_ascii() && name != METADATA && !is_in_progress(&name) {
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

/// Carries a repair out. After an error there is no snapshot at its place, unless only the last answer was lost; what
/// had been copied is removed again, as far as that can be done.
pub fn write(storage: &dyn WriteStorage, prepared: &Prepared) -> Result<(), RepairError> {
    let dest = &prepared.dest;
    if !is_free(storage, dest)? {
        return refused(format!("{dest} is there and not empty"));
    }
    let made = storage.stat(dest).is_err_and(|error| error.is_not_found());
    let mut copied = Vec::new();
    let result = fill(storage, prepared, &mut copied);
    let metadata = dest.with_suffix(&format!("/{METADATA}"));
    // Where it cannot be said that there is no `_metadata`, its files must stay.
    if result.is_err() && storage.stat(&metadata).is_err_and(|error| error.is_not_found()) {
        for file in copied {
            let _ = storage.delete(&file);
        }
        if made {
            let _ = storage.delete_empty_dir(dest);
        }
    }
    result
}

fn fill(storage: &dyn WriteStorage, prepared: &Prepared, copied: &mut Vec<Location>) -> Result<(), RepairError> {
    let dest = &prepared.dest;
    storage.create_dirs(dest)?;
    let metadata = dest.with_suffix(&format!("/{METADATA}"));
    for (name, size) in &prepared.copies {
        let name = format!("/{name}");
        let (from, to) = (prepared.source.with_suffix(&name), dest.with_suffix(&name));
        copy(storage, &from, &to, *size, copied)?;
    }
    if !prepared.copies.is_empty() {
        storage.sync_dir(dest)?;
    }
    Ok(storage.publish(&metadata, &prepared.metadata)?)
}

fn copy(
    storage: &dyn WriteStorage,
    from: &Location,
    to: &Location,
    size: u64,
    copied: &mut Vec<Location>,
) -> Result<(), RepairError> {
    let source = storage.open(from)?;
    let mut out = storage.create(to)?;
    let mut buffer = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK)).max(1)];
    let mut offset = 0;
    loop {
        let read = source.read_at(offset, &mut buffer);
        let count = read.map_err(|error| StorageError::new(StorageErrorKind::Other, from, error.to_string()))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        out.write(bytes)?;
        offset += count as u64;
    }
    // From here on it has a name; before, the writer removes what it wrote.
    copied.push(to.clone());
    let written = out.finish()?;
    if written != size {
        return refused(format!("{from} had {size} bytes and has {written} now: it is being written to"));
    }
    Ok(())
}

/// Whether a directory that may not be there yet is, or would be, in another, links on the way to both resolved.
pub fn is_inside(storage: &dyn Storage, dest: &Location, dir: &Location) -> Result<bool, StorageError> {
    let dir = storage.real_place(dir)?;
    let mut above = dest.clone();
    loop {
        match storage.real_place(&above) {
            Ok(real) => {
                let rest = dest.strip_prefix(&above).unwrap_or_default();
                return Ok(real.with_suffix(&rest).strip_prefix(&dir).is_some());
            }
            Err(error) if error.is_not_found() => match above.parent() {
                Some(parent) => above = parent,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}
