//! Looks for missing files below directories that were named, by name and size.
//!
//! Flink names state files by random UUIDs, so that a file of the same name and size is the file. Where there are several, they
//! must hold the same bytes. A file of another name is never taken, since the size alone proves nothing; it is named, for
//! `--map FILE=FILE` to say that it is the one.

use super::{RepairError, Sources, refused};
use crate::model::{Location, Metadata};
use crate::storage::{Details, EntryKind, Presence, Storage, StorageError, WalkVisitor};
use crate::survey::references::{self, Extent};
use crate::survey::resolve::{FilePlace, Resolver};
use crate::wire::ReadAt;
use foldhash::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// At most so many candidates are named in an error.
const NAMED: usize = 5;

/// A missing file.
struct Missing {
    /// Where handles lead, as Flink sees it.
    place: Location,
    /// Its size, where a handle says it.
    size: Option<u64>,
    /// The least size that it can have.
    least: u64,
}

impl Missing {
    fn may_have(&self, size: u64) -> bool {
        self.size.map_or(size >= self.least, |wanted| wanted == size)
    }
}

/// Files that are missing and were found below `dirs`: where handles lead, as Flink sees it, and where they are, here.
/// Files that were not found are left out.
pub(super) fn missing_files(
    sources: Sources<'_>,
    metadata: &Metadata<'_>,
    exclusive: &Location,
    dirs: &[Location],
) -> Result<Vec<(Location, Location)>, RepairError> {
    let missing = missing(sources, metadata, exclusive);
    let names: HashSet<&str> = missing.iter().map(|file| file.place.name()).collect();
    let sizes: HashSet<u64> = missing.iter().filter_map(|file| file.size).collect();
    let seen = Seen { names, sizes, found: Mutex::default(), failed: Mutex::default() };
    if !missing.is_empty() {
        dirs.iter().for_each(|dir| sources.storage.walk(dir, &seen));
    }
    let Seen { found, failed, .. } = seen;
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0.canonical() == b.0.canonical());
    let mut by_name: HashMap<&str, Vec<&(Location, u64)>> = HashMap::default();
    found.iter().for_each(|file| by_name.entry(file.0.name()).or_default().push(file));
    let mut pairs = Vec::new();
    let mut perhaps = Vec::new();
    for file in &missing {
        let named = by_name.get(file.place.name()).into_iter().flatten().filter(|(_, size)| file.may_have(*size));
        let candidates: Vec<&Location> = named.map(|(place, _)| place).collect();
        match candidates[..] {
            [] => {
                let same =
                    found.iter().filter(|(_, size)| file.size == Some(*size)).map(|(place, _)| place.to_string());
                let same: Vec<String> = same.take(NAMED).collect();
                if !same.is_empty() {
                    perhaps.push(format!("{} may be {}", file.place, same.join(" or ")));
                }
            }
            [one] => pairs.push((file.place.clone(), one.clone())),
            [first, ref others @ ..] => {
                for other in others {
                    if !same_content(sources.storage, first, other)? {
                        return refused(format!(
                            "{} may be {first} or {other}, which hold different bytes: --map FILE=FILE says which",
                            file.place
                        ));
                    }
                }
                pairs.push((file.place.clone(), first.clone()));
            }
        }
    }
    if !perhaps.is_empty() {
        perhaps.truncate(NAMED);
        return refused(format!(
            "only files of other names have the size of a missing one: {}; --map FILE=FILE says that it is",
            perhaps.join("; ")
        ));
    }
    Ok(pairs)
}

fn missing(sources: Sources<'_>, metadata: &Metadata<'_>, exclusive: &Location) -> Vec<Missing> {
    let mut resolver = Resolver::new(exclusive.clone());
    let mut known: HashMap<FilePlace<'_>, (Option<u64>, u64)> = HashMap::default();
    references::walk(metadata, |reference| {
        let Ok(place) = resolver.resolve(&reference.place) else { return };
        let (size, least) = known.entry(place).or_default();
        *least = (*least).max(u64::try_from(reference.extent.end()).unwrap_or(0));
        if let Extent::Whole(whole) = reference.extent
            && size.is_none()
        {
            *size = u64::try_from(whole).ok();
        }
    });
    let mut by_dir: Vec<Vec<(FilePlace<'_>, Option<u64>, u64)>> = vec![Vec::new(); resolver.dirs().len()];
    for (place, (size, least)) in known {
        if let Some(list) = by_dir.get_mut(place.dir) {
            list.push((place, size, least));
        }
    }
    let maps = sources.path_maps();
    let mut missing = Vec::new();
    for (dir, files) in resolver.dirs().iter().zip(by_dir) {
        let names: Vec<&str> = files.iter().map(|(place, _, _)| &*place.name).collect();
        let advance = |done| sources.progress.advance(done);
        let answers = sources.storage.lookup(&maps.here(dir), &names, &advance);
        for ((place, size, least), answer) in files.iter().zip(answers) {
            if answer == Presence::Missing {
                missing.push(Missing { place: resolver.location(place), size: *size, least: *least });
            }
        }
    }
    missing.sort_by(|a, b| a.place.cmp(&b.place));
    missing
}

/// Takes down the files that may be missing ones.
struct Seen<'n> {
    names: HashSet<&'n str>,
    sizes: HashSet<u64>,
    found: Mutex<Vec<(Location, u64)>>,
    failed: Mutex<Option<StorageError>>,
}

impl WalkVisitor for Seen<'_> {
    fn enters(&self, _: &Location, _: &str) -> bool {
        true
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        let is_file = |entry: &Details| entry.exact && entry.kind == EntryKind::File;
        let wanted = |entry: &Details| self.names.contains(&*entry.name) || self.sizes.contains(&entry.size);
        let files = entries.into_iter().filter(|entry| is_file(entry) && wanted(entry));
        let files = files.map(|entry| (dir.with_suffix(&format!("/{}", entry.name)), entry.size));
        self.found.lock().unwrap_or_else(PoisonError::into_inner).extend(files);
    }

    fn failed(&self, _: &Location, error: StorageError) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

fn same_content(storage: &dyn Storage, a: &Location, b: &Location) -> Result<bool, RepairError> {
    const CHUNK: usize = 1 << 20;
    let (first, second) = (storage.open(a)?, storage.open(b)?);
    if first.size() != second.size() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut offset = 0;
    loop {
        let read = |file: &dyn ReadAt, place: &Location, out: &mut [u8]| {
            let error = |error: std::io::Error| {
                StorageError::new(crate::storage::StorageErrorKind::Other, place, error.to_string())
            };
            file.read_at(offset, out).map_err(error)
        };
        let (count, other) = (read(&*first, a, &mut left)?, read(&*second, b, &mut right)?);
        if count != other || left.get(..count) != right.get(..count) {
            return Ok(false);
        }
        if count < CHUNK {
            return Ok(true);
        }
        offset += count as u64;
    }
}
