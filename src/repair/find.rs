//! Looks for missing files below directories that were named: by size, and then by what proves that a file is the one.
//!
//! That is the content, where a seal or a manifest says what it was ([`known`]), under whatever name. Otherwise it is the
//! name: Flink names state files by random UUIDs, so that a file of the same name and size is the file; where there are
//! several, they must hold the same bytes. The size alone proves nothing, nor does it that a file reads as state of the
//! right sort; such a file is named, for `--map FILE=FILE` to say that it is the one.

mod known;

use super::{RepairError, Sources, refused};
use crate::model::{Location, Metadata};
use crate::seal::{self, Sum, sum_of};
use crate::storage::{Details, EntryKind, Presence, Storage, StorageError, WalkVisitor};
use crate::survey::SnapshotDir;
use crate::survey::references::{self, Extent};
use crate::survey::resolve::{FilePlace, Resolver};
use crate::wire::ReadAt;
use foldhash::{HashMap, HashSet};
use known::Known;
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
    source: &SnapshotDir,
    exclusive: &Location,
    dirs: &[Location],
) -> Result<Vec<(Location, Location)>, RepairError> {
    let missing = missing(sources, metadata, exclusive);
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let storage = sources.storage;
    let names: HashSet<&str> = missing.iter().map(|file| file.place.name()).collect();
    let mut known = Known::of(storage, source, &names)?;
    let sizes = missing.iter().filter_map(|file| file.size.or(known.sum(file).map(|sum| sum.size))).collect();
    let seen =
        Seen { names: &names, sizes, found: Mutex::default(), manifests: Mutex::default(), failed: Mutex::default() };
    dirs.iter().for_each(|dir| storage.walk(dir, &seen));
    let Seen { found, manifests, failed, .. } = seen;
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    for manifest in manifests.into_inner().unwrap_or_else(PoisonError::into_inner) {
        known.read(storage, &manifest, &names);
    }
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0.canonical() == b.0.canonical());
    let mut search = Search {
        storage,
        found: &found,
        by_name: HashMap::default(),
        by_size: HashMap::default(),
        sums: HashMap::default(),
        perhaps: Vec::new(),
    };
    for (place, size) in &found {
        search.by_name.entry(place.name()).or_default().push((place, *size));
        search.by_size.entry(*size).or_default().push(place);
    }
    let mut pairs = Vec::new();
    for file in &missing {
        let one = match known.sum(file) {
            Some(sum) => search.by_content(file, sum)?,
            None => search.by_name(file)?,
        };
        pairs.extend(one.map(|one| (file.place.clone(), one.clone())));
    }
    let mut perhaps = search.perhaps;
    if !perhaps.is_empty() {
        perhaps.truncate(NAMED);
        return refused(format!(
            "only files of other names have the size of a missing one, and no seal or manifest says what it holds: {}; \
             --map FILE=FILE says that it is",
            perhaps.join("; ")
        ));
    }
    Ok(pairs)
}

/// The files that may be missing ones.
struct Search<'f> {
    storage: &'f dyn Storage,
    found: &'f [(Location, u64)],
    by_name: HashMap<&'f str, Vec<(&'f Location, u64)>>,
    by_size: HashMap<u64, Vec<&'f Location>>,
    /// Of files that were read.
    sums: HashMap<&'f Location, Sum>,
    /// What a missing file may be, in words.
    perhaps: Vec<String>,
}

impl<'f> Search<'f> {
    /// The file that holds what the missing one did.
    fn by_content(&mut self, file: &Missing, sum: Sum) -> Result<Option<&'f Location>, RepairError> {
        let mut candidates = self.by_size.get(&sum.size).cloned().unwrap_or_default();
        // Of the same name first: it is hardly another.
        candidates.sort_by_key(|place| place.name() != file.place.name());
        for place in &candidates {
            let found = match self.sums.get(place) {
                Some(found) => *found,
                None => *self.sums.entry(place).or_insert(sum_of(self.storage, place, &|_| {})?),
            };
            if found == sum {
                return Ok(Some(place));
            }
        }
        match candidates.first().filter(|place| place.name() == file.place.name()) {
            Some(place) => refused(format!(
                "{place} has the name and the size of {}, but not the bytes that were sealed: it is damaged, or another \
                 file; --map FILE=FILE takes it",
                file.place
            )),
            None => Ok(None),
        }
    }

    /// The file of the same name and size.
    fn by_name(&mut self, file: &Missing) -> Result<Option<&'f Location>, RepairError> {
        let named = self.by_name.get(file.place.name()).into_iter().flatten().filter(|(_, size)| file.may_have(*size));
        let candidates: Vec<&'f Location> = named.map(|(place, _)| *place).collect();
        let Some((first, others)) = candidates.split_first() else {
            let same =
                self.found.iter().filter(|(_, size)| file.size == Some(*size)).map(|(place, _)| place.to_string());
            let same: Vec<String> = same.take(NAMED).collect();
            if !same.is_empty() {
                self.perhaps.push(format!("{} may be {}", file.place, same.join(" or ")));
            }
            return Ok(None);
        };
        for other in others {
            if !same_content(self.storage, first, other)? {
                return refused(format!(
                    "{} may be {first} or {other}, which hold different bytes: --map FILE=FILE says which",
                    file.place
                ));
            }
        }
        Ok(Some(first))
    }
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
    names: &'n HashSet<&'n str>,
    sizes: HashSet<u64>,
    found: Mutex<Vec<(Location, u64)>>,
    /// Files that may say what a file holds.
    manifests: Mutex<Vec<Location>>,
    failed: Mutex<Option<StorageError>>,
}

impl WalkVisitor for Seen<'_> {
    fn enters(&self, _: &Location, _: &str) -> bool {
        true
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        let is_file = |entry: &Details| entry.exact && entry.kind == EntryKind::File;
        let manifests = entries.iter().filter(|entry| is_file(entry) && seal::is_manifest(dir, &entry.name));
        let manifests = manifests.map(|entry| dir.with_suffix(&format!("/{}", entry.name)));
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).extend(manifests);
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
