//! What is asked about: a file or directory under every name that handles may have for it.

use crate::model::Location;
use crate::storage::{Details, EntryKind, Storage, StorageError, StorageErrorKind, WalkVisitor};
use crate::survey::resolve::{PathMaps, percent_decoded};
use foldhash::{HashSet, HashSetExt as _};
use std::sync::{Mutex, PoisonError};

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A file.
    File,
    /// A directory; every file at or below it counts.
    Directory,
    /// Nothing is there: a file that is missing, or a directory with all that was below it.
    Gone,
    /// A file of this name in any directory.
    Name,
    /// What is there could not be found out.
    Unknown,
}

/// A file or directory that somebody may refer to.
#[derive(Debug, Clone)]
pub struct Target {
    /// As it is shown.
    pub shown: String,
    /// What it is.
    pub kind: TargetKind,
    /// Its size in bytes, of a file.
    pub size: Option<u64>,
    /// Directories in it that could not be listed, so that names of files are not known.
    pub unlisted: Vec<(Location, String)>,
    /// Its places, in canonical form, with and without links and maps.
    pub(super) places: Vec<Location>,
    /// Names of its files, in every spelling.
    pub(super) names: HashSet<Box<str>>,
}

impl Target {
    /// Files of a name, wherever they are.
    pub fn named(name: &str) -> Self {
        let names = spellings(name).collect();
        let kind = TargetKind::Name;
        Target { shown: name.to_owned(), kind, size: None, unlisted: Vec::new(), places: Vec::new(), names }
    }

    /// What is at `here`, which was given as `given`: under the names that the maps give it, with and without the entropy
    /// marker of a configuration, and without the links on the way to it.
    pub fn at(storage: &dyn Storage, maps: &PathMaps, given: &Location, here: &Location) -> Self {
        let mut places = Vec::new();
        for place in [here, given].into_iter().flat_map(|place| [place.clone(), place.without_entropy_marker()]) {
            let real = real_place(storage, &place).ok().flatten();
            for place in [Some(place), real].into_iter().flatten() {
                places.extend([maps.there(&place).canonical(), maps.here(&place).canonical(), place.canonical()]);
            }
        }
        places.sort_unstable();
        places.dedup();
        let stat = storage.stat(here);
        let kind = match &stat {
            Ok(stat) if stat.kind == EntryKind::Directory => TargetKind::Directory,
            Ok(_) => TargetKind::File,
            Err(error) if error.is_not_found() => TargetKind::Gone,
            Err(_) => TargetKind::Unknown,
        };
        let mut target = Target {
            shown: here.to_string(),
            kind,
            size: stat.ok().filter(|_| kind == TargetKind::File).map(|stat| stat.size),
            unlisted: Vec::new(),
            places,
            names: HashSet::new(),
        };
        if kind == TargetKind::Directory {
            let found = Found::default();
            storage.walk(here, &found);
            let Found { names, failures } = found;
            target.names = names.into_inner().unwrap_or_else(PoisonError::into_inner);
            target.unlisted = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
            target.unlisted.sort();
        } else {
            target.names = target.places.iter().flat_map(|place| spellings(place.name())).collect();
        }
        target
    }

    /// Whether a place is the target or in it.
    pub(super) fn holds(&self, place: &Location) -> bool {
        self.places.iter().any(|target| place.strip_prefix(target).is_some())
    }

    /// Whether the target is at or in a directory.
    pub(super) fn lies_in(&self, dir: &Location) -> bool {
        self.places.iter().any(|target| target.strip_prefix(dir).is_some())
    }

    /// Whether a directory on the way to the target has a name.
    pub(super) fn lies_in_one_named(&self, name: &str) -> bool {
        self.places.iter().any(|target| target.components().any(|part| part == name))
    }

    /// Whether a file of the target may have a name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains(name) || (name.contains('%') && spellings(name).any(|name| self.names.contains(&name)))
    }
}

/// The names of all files below a directory.
#[derive(Default)]
struct Found {
    names: Mutex<HashSet<Box<str>>>,
    failures: Mutex<Vec<(Location, String)>>,
}

impl WalkVisitor for Found {
    fn enters(&self, _: &Location, _: &str) -> bool {
        true
    }

    fn found(&self, _: &Location, entries: Vec<Details>) {
        let files = entries.into_iter().filter(|entry| entry.kind != EntryKind::Directory);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.extend(files.map(|entry| entry.name.into_boxed_str()));
    }

    fn failed(&self, dir: &Location, error: StorageError) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push((dir.clone(), error.message));
    }
}

/// A place without links on the way to it, as far as the way is there; `None` where no back end knows such places.
///
/// # Errors
/// Where it could not be found out.
pub(super) fn real_place(storage: &dyn Storage, place: &Location) -> Result<Option<Location>, StorageError> {
    let mut gone = Vec::new();
    let mut at = place.clone();
    loop {
        match storage.real_place(&at) {
            Ok(real) => {
                let whole = |place: Location, name: &String| place.with_suffix(&format!("/{name}"));
                return Ok(Some(gone.iter().rev().fold(real, whole).canonical()));
            }
            Err(error) if error.is_not_found() => match at.parent() {
                Some(parent) => {
                    gone.push(at.name().to_owned());
                    at = parent;
                }
                None => return Ok(None),
            },
            Err(error) if error.kind == StorageErrorKind::Unsupported => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// A name, and what it is when `%41` stands for `A`, as it does in URIs.
fn spellings(name: &str) -> impl Iterator<Item = Box<str>> {
    let decoded = name.contains('%').then(|| percent_decoded(name)).flatten();
    let named = (!name.is_empty()).then(|| Box::from(name));
    named.into_iter().chain(decoded)
}
