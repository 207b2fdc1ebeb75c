//! What every back end does, asked of each in the same words.
//!
//! A back end runs [`conforms`] with an empty directory of its own. What differs by nature is in [`Nature`], and is asked as
//! well: a store without directories has to be one everywhere.

use super::{listing, names, reading, removing, renaming, writing};
use chkctl::model::Location;
use chkctl::storage::{Below, StorageError, StorageErrorKind, WriteStorage};
use std::thread;

/// What differs from store to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Directories are there of themselves, and a file needs one.
    Directories,
    /// A directory is what names of files have in common, or a marker that stands for an empty one.
    Prefixes,
}

/// A store that is asked, and an empty directory in it.
pub struct Asked<'a> {
    /// The store.
    pub store: &'a dyn WriteStorage,
    /// The directory.
    pub at: Location,
    /// What it is like.
    pub nature: Nature,
}

/// A question to a store, with what it asks.
pub type Check = (&'static str, fn(&Asked<'_>));

const CHECKS: &[&[Check]] =
    &[listing::CHECKS, reading::CHECKS, writing::CHECKS, renaming::CHECKS, removing::CHECKS, names::CHECKS];

/// Asks a store everything; `base` is an empty directory that is there.
pub fn conforms(store: &dyn WriteStorage, base: &Location, nature: Nature) {
    for (name, check) in CHECKS.iter().copied().flatten() {
        let at = base.with_suffix(&format!("/{}", name.replace(' ', "-")));
        store.create_dirs(&at).unwrap_or_else(|e| panic!("{name}: {e}"));
        // Shown where it fails.
        eprintln!("{name}, in {at}");
        check(&Asked { store, at, nature });
    }
}

impl Asked<'_> {
    /// A place below the directory.
    pub fn place(&self, path: &str) -> Location {
        self.at.with_suffix(&format!("/{path}"))
    }

    /// A directory below the directory, which is made where it is not there.
    pub fn dir(&self, path: &str) -> Location {
        let dir = self.place(path);
        self.store.create_dirs(&dir).expect("a directory");
        dir
    }

    /// A directory from the directory on.
    pub fn below<'a>(&'a self, dir: &'a str) -> Below<'a> {
        Below { root: &self.at, dir }
    }

    /// Makes a file, and the directories above it.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Location {
        let file = self.place(path);
        self.store.create_dirs(&file.parent().expect("a directory")).expect("a directory");
        self.write(&file, bytes).expect("a new file");
        file
    }

    /// Makes many files at once in a directory that is there.
    pub fn put_many(&self, files: &[Location], bytes: &(dyn Fn(usize) -> Vec<u8> + Sync)) {
        const THREADS: usize = 16;
        let share = files.len().div_ceil(THREADS).max(1);
        thread::scope(|scope| {
            for (part, files) in files.chunks(share).enumerate() {
                scope.spawn(move || {
                    for (index, file) in files.iter().enumerate() {
                        self.write(file, &bytes(part * share + index)).unwrap_or_else(|e| panic!("{e}"));
                    }
                });
            }
        });
    }

    /// Writes a new file.
    pub fn write(&self, file: &Location, bytes: &[u8]) -> Result<u64, StorageError> {
        let mut writer = self.store.create(file)?;
        writer.write(bytes)?;
        writer.finish()
    }

    /// The content of a file.
    pub fn content(&self, file: &Location) -> Vec<u8> {
        self.store.read(file, 64 << 20).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The names in a directory, sorted.
    pub fn names(&self, dir: &Location) -> Vec<String> {
        let entries = self.store.list(dir).unwrap_or_else(|e| panic!("{e}"));
        let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }

    /// Whether nothing is at a place, by the store's own word.
    pub fn is_missing(&self, place: &Location) -> bool {
        match self.store.stat(place) {
            Ok(_) => false,
            Err(error) => {
                assert!(error.is_not_found(), "{error}");
                true
            }
        }
    }
}

/// The kind of an error.
pub fn kind<T>(result: Result<T, StorageError>) -> Result<T, StorageErrorKind> {
    result.map_err(|error| error.kind)
}

/// The kinds of some answers.
pub fn kinds(answers: Vec<Result<bool, StorageError>>) -> Vec<Result<bool, StorageErrorKind>> {
    answers.into_iter().map(kind).collect()
}

/// Bytes that differ from place to place.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}
