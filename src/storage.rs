//! Where files are: a small blocking trait, the local file system behind it, remote stores, a store in memory, and a
//! double that injects faults.
//!
//! [`Storage`] is what a survey needs: looking and reading. [`WriteStorage`] is what a runtime needs on top. Errors keep "it is not there" apart from "it could not be
//! said", since the first makes a snapshot broken and the second must never do so.

mod below;
mod copy;
mod failures;
pub mod faulty;
#[cfg(feature = "hdfs")]
pub mod hdfs;
mod inside;
pub mod local;
mod memory;
#[cfg(feature = "object-stores")]
pub mod objects;
mod parallel;
mod remembered;
#[cfg(any(feature = "hdfs", feature = "object-stores"))]
pub mod remote;
pub mod settings;
mod stores;
mod write;

pub use below::{Below, Details, WalkVisitor};
pub use copy::{Hold, Part};
pub use inside::lies_in;
pub use local::LocalStorage;
pub use memory::{CrashKeep, MemoryStorage};
pub use parallel::{in_parallel, threads_for};
pub use remembered::Remembered;
pub use stores::{Connect, LocalOnly, Stores};
pub use write::{FileWriter, WriteStorage, in_progress_name, random_uuid};

use crate::model::Location;
use crate::wire::ReadAt;
use jiff::Timestamp;

/// The hidden directory that holds what chkctl keeps: below a root the lock and the trash, beside snapshots the records of
/// pins. Flink never looks for a name like it, and no survey enters it.
pub const OWN_DIRECTORY: &str = ".chkctl";

/// A place that files are in. Implementations are shared between threads.
pub trait Storage: Send + Sync {
    /// What is at a place, links followed.
    fn stat(&self, place: &Location) -> Result<Stat, StorageError>;

    /// The entries of a directory, in no order.
    fn list(&self, dir: &Location) -> Result<Vec<Entry>, StorageError>;

    /// The entries of a directory with what is known of them, in no order. One request where a store's listings say it.
    fn details(&self, dir: &Location) -> Result<Vec<Details>, StorageError> {
        below::details_by_listing(self, dir)
    }

    /// Whether a listing says of a file all that [`Storage::lookup`] does. It does not where some files can be listed and not
    /// be read, or are listed with a size that they have not.
    fn listing_tells_all(&self, _dir: &Location) -> bool {
        true
    }

    /// Judges many names of one directory at once, by listing it where that is cheaper than one request each.
    /// Gives one answer per name, in their order, and tells `progress` how many are done as it goes.
    fn lookup(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence>;

    /// Number and total size in bytes of the files at or below a directory.
    fn usage(&self, dir: &Location) -> Result<Usage, StorageError>;

    /// The content of a file of at most `limit` bytes.
    fn read(&self, file: &Location, limit: u64) -> Result<Vec<u8>, StorageError>;

    /// At most `length` bytes of a file from `offset` on; fewer where the file ends.
    fn read_range(&self, file: &Location, offset: u64, length: u64) -> Result<Vec<u8>, StorageError>;

    /// Opens a file to read from it at any offset. Links are followed; what is not a file is an error.
    fn open(&self, file: &Location) -> Result<Box<dyn ReadAt>, StorageError>;

    /// Tells `visitor` of every entry at and below a directory, in no order. Symbolic links are not followed below it.
    fn walk(&self, root: &Location, visitor: &dyn WalkVisitor) {
        below::walk_by_listing(self, root, visitor);
    }

    /// What is at some names of a directory now, links not followed; one answer per name in their order, `None` where
    /// nothing is.
    fn look(&self, dir: Below<'_>, names: &[&str]) -> Result<Vec<Option<Details>>, StorageError> {
        below::look_by_listing(self, dir, names)
    }

    /// The same place without symbolic links on the way to it. Stores that have none give it back.
    fn real_place(&self, place: &Location) -> Result<Location, StorageError> {
        Ok(place.clone())
    }
}

/// What is known of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// File, directory or something else.
    pub kind: EntryKind,
    /// Size in bytes of a file.
    pub size: u64,
    /// When it was changed last.
    pub modified: Option<Timestamp>,
}

/// What sort of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Link,
    /// A socket, a device, a pipe.
    Other,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; characters that are not UTF-8 are replaced.
    pub name: String,
    /// What it is, links not followed.
    pub kind: EntryKind,
}

/// Files below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Whether a file that a handle names is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is, and it can be opened.
    File {
        /// Its size in bytes.
        size: u64,
    },
    /// Something is there that is not a file.
    NotAFile,
    /// Nothing is there.
    Missing,
    /// It could not be found out.
    Unknown(StorageError),
}

/// Why a storage operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct StorageError {
    /// What sort of failure it is.
    pub kind: StorageErrorKind,
    /// The file or directory.
    pub place: String,
    /// The system's own words.
    pub message: String,
}

/// The failures that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// Nothing is there.
    NotFound,
    /// It may not be read.
    PermissionDenied,
    /// It did not answer in time, or not this time.
    Transient,
    /// No back end of this build reads such a place.
    Unsupported,
    /// A file is larger than the caller takes.
    TooLarge,
    /// Something is there already, where a new file was to be.
    AlreadyExists,
    /// Anything else.
    Other,
}

impl StorageError {
    /// An error about `place`.
    pub fn new(kind: StorageErrorKind, place: &Location, message: impl Into<String>) -> Self {
        StorageError { kind, place: place.to_string(), message: message.into() }
    }

    /// The error for a reader of bytes, which says the same.
    #[cfg(feature = "object-stores")]
    fn into_io(self) -> std::io::Error {
        let kind = match self.kind {
            StorageErrorKind::NotFound => std::io::ErrorKind::NotFound,
            StorageErrorKind::PermissionDenied => std::io::ErrorKind::PermissionDenied,
            StorageErrorKind::Transient => std::io::ErrorKind::TimedOut,
            _ => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, self)
    }

    /// Whether nothing is there, as opposed to: it could not be said.
    pub fn is_not_found(&self) -> bool {
        self.kind == StorageErrorKind::NotFound
    }
}

impl Presence {
    /// What a failed `stat` says of a file.
    pub fn from_error(error: StorageError) -> Self {
        if error.is_not_found() { Presence::Missing } else { Presence::Unknown(error) }
    }
}
