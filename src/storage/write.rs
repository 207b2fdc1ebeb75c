//! What a runtime needs of a store to write a checkpoint: new files, names that appear at once, and removal.
//!
//! A checkpoint is there when its `_metadata` is, so that file is published whole, after everything it names has been
//! made durable: the content of a file by [`FileWriter::finish`], its name by [`WriteStorage::sync_dir`].

use super::{Below, Storage, StorageError, below};
use crate::model::Location;
use std::hash::{BuildHasher as _, RandomState};

/// A place that files can be written to. No operation replaces what is there, and none follows a symbolic link in the
/// last component of a path to remove what it points to.
pub trait WriteStorage: Storage {
    /// Creates a directory and those above it, durably; fine if it is there.
    fn create_dirs(&self, dir: &Location) -> Result<(), StorageError>;

    /// A new file in a directory that is there; an error (`AlreadyExists`) if something has the name.
    fn create(&self, file: &Location) -> Result<Box<dyn FileWriter>, StorageError>;

    /// Makes a file appear with `bytes` as a whole or not at all, durably. An error (`AlreadyExists`) if something has
    /// the name.
    ///
    /// The bytes go to a file named [`in_progress_name`] first, which is renamed when it is durable, and is left behind
    /// where the process ends meanwhile. When only the sync of the directory fails, the file stays, whole.
    fn publish(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError>;

    /// Renames a file within the store; an error (`AlreadyExists`) if something has the new name. It is durable after
    /// [`WriteStorage::sync_dir`] of both directories.
    fn rename(&self, from: &Location, to: &Location) -> Result<(), StorageError>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Location) -> Result<(), StorageError>;

    /// Removes a file; `Ok(false)` where there was none, an error where a directory is.
    fn delete(&self, file: &Location) -> Result<bool, StorageError>;

    /// Removes an empty directory; `Ok(false)` where there was none, an error where it is not empty or something else.
    fn delete_empty_dir(&self, dir: &Location) -> Result<bool, StorageError>;

    /// Makes `bytes` the content of a file, whether it is there or not, as a whole or not at all, durably.
    fn replace(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError>;

    /// Creates a directory and those above it as [`WriteStorage::create_dirs`] does, each that lies below `to.root` with
    /// the permissions, and where that may be done the owner, of the directory of the same name on the way to `like`;
    /// counted from the end. `to.dir` and `like.dir` end in the same components.
    fn create_dirs_like(&self, to: Below<'_>, like: Below<'_>) -> Result<(), StorageError> {
        let _ = like;
        self.create_dirs(&to.location())
    }

    /// Renames names of a directory into another of the same store. One answer per name: `Ok(false)` where there was
    /// none, an error (`AlreadyExists`) where something has the new name.
    fn rename_names(&self, from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        below::rename_one_by_one(self, from, to, names)
    }

    /// Removes files of a directory. One answer per name, as of [`WriteStorage::delete`].
    fn delete_names(&self, dir: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        names.iter().map(|name| self.delete(&dir.file(name))).collect()
    }

    /// Removes an empty directory, as [`WriteStorage::delete_empty_dir`].
    fn delete_empty_below(&self, dir: Below<'_>) -> Result<bool, StorageError> {
        self.delete_empty_dir(&dir.location())
    }
}

/// A new file that is being written. One that is dropped unfinished is removed, as far as that can be done.
pub trait FileWriter: Send {
    /// Appends `bytes`. After an error the file is of no use, and is to be dropped.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes the content durable and gives its size in bytes. A file that cannot be finished is removed. Its name is
    /// durable after [`WriteStorage::sync_dir`].
    fn finish(self: Box<Self>) -> Result<u64, StorageError>;
}

/// The name under which a file is written before it appears as `name`: hidden, and that of Flink's own writer
/// (`LocalRecoverableWriter.generateStagingTempFilePath`, 1.20).
pub fn in_progress_name(name: &str) -> String {
    format!(".{name}.inprogress.{}", random_uuid())
}

/// A random UUID in its usual text form (version 4), as Flink names files by. For names, not for secrets.
pub fn random_uuid() -> String {
    // The keys of a hash map are random per thread and differ from call to call.
    let half = |part: u8| u128::from(RandomState::new().hash_one(part));
    let random = (half(0) << 64) | half(1);
    let uuid = (random & !(0xF << 76) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62);
    let text = format!("{uuid:032x}");
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::faulty::FaultyStorage;
    use crate::storage::{EntryKind, LocalStorage, StorageErrorKind};
    use std::collections::HashSet;

    /// What every store has to do; `at` is an empty directory of its own.
    fn conforms(storage: &dyn WriteStorage, at: &Location) {
        let place = |name: &str| at.with_suffix(&format!("/{name}"));
        let kind = |result: Result<(), StorageError>| result.map_err(|e| e.kind);
        let content = |file: &Location| storage.read(file, 1 << 20).expect("readable");
        let names = |dir: &Location| {
            let mut names: Vec<String> = storage.list(dir).expect("a listing").into_iter().map(|e| e.name).collect();
            names.sort();
            names
        };

        let deep = place("job/chk-1");
        storage.create_dirs(&deep).expect("created");
        storage.create_dirs(&deep).expect("a directory that is there is fine");
        assert_eq!(storage.stat(&deep).map(|s| s.kind), Ok(EntryKind::Directory));

        let file = deep.with_suffix("/a");
        let mut writer = storage.create(&file).expect("a new file");
        for part in [&b"one "[..], b"", b"two"] {
            writer.write(part).expect("written");
        }
        assert_eq!(writer.finish(), Ok(7));
        assert_eq!(content(&file), b"one two");
        assert_eq!(storage.create(&file).map(drop).map_err(|e| e.kind), Err(StorageErrorKind::AlreadyExists));
        assert_eq!(content(&file), b"one two", "a file that is there is not touched");
        assert_eq!(storage.create(&deep.with_suffix("/empty")).and_then(FileWriter::finish), Ok(0));
        assert_eq!(kind(storage.create(&place("none/a")).map(drop)), Err(StorageErrorKind::NotFound));

        let mut dropped = storage.create(&deep.with_suffix("/b")).expect("a new file");
        dropped.write(b"x").expect("written");
        drop(dropped);
        assert_eq!(names(&deep), ["a", "empty"], "an unfinished file is gone");

        let metadata = deep.with_suffix("/_metadata");
        storage.publish(&metadata, b"whole").expect("published");
        assert_eq!(content(&metadata), b"whole");
        assert_eq!(kind(storage.publish(&metadata, b"other")), Err(StorageErrorKind::AlreadyExists));
        assert_eq!(content(&metadata), b"whole");
        assert_eq!(names(&deep), ["_metadata", "a", "empty"], "nothing is left in progress");
        assert_eq!(kind(storage.publish(&place("none/_metadata"), b"x")), Err(StorageErrorKind::NotFound));

        assert_eq!(kind(storage.rename(&file, &metadata)), Err(StorageErrorKind::AlreadyExists));
        let moved = place("job/moved");
        assert_eq!(kind(storage.rename(&file, &moved)), Ok(()));
        assert_eq!((content(&moved), content(&metadata)), (b"one two".to_vec(), b"whole".to_vec()));
        assert_eq!(kind(storage.rename(&file, &moved)), Err(StorageErrorKind::NotFound));
        assert_eq!(kind(storage.sync_dir(&deep)), Ok(()));
        assert_eq!(kind(storage.sync_dir(&place("none"))), Err(StorageErrorKind::NotFound));

        assert_eq!(storage.delete(&moved), Ok(true));
        assert_eq!(storage.delete(&moved), Ok(false));
        assert_eq!(storage.delete(&place("none/a")), Ok(false));
        assert!(storage.delete(&deep).is_err(), "a directory is not a file");
        assert!(storage.delete_empty_dir(&deep).is_err(), "it is not empty");
        assert!(storage.delete_empty_dir(&metadata).is_err(), "a file is not a directory");
        assert_eq!(content(&metadata), b"whole");
        for name in ["_metadata", "empty"] {
            assert_eq!(storage.delete(&deep.with_suffix(&format!("/{name}"))), Ok(true));
        }
        assert_eq!(storage.delete_empty_dir(&deep), Ok(true));
        assert_eq!(storage.delete_empty_dir(&deep), Ok(false));
    }

    fn empty_dir() -> (tempfile::TempDir, Location) {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Location::parse(&dir.path().to_string_lossy()).expect("a path");
        (dir, place)
    }

    #[test]
    fn the_local_file_system_does_what_a_store_has_to() {
        let (_dir, place) = empty_dir();
        conforms(&LocalStorage, &place);
        let (_dir, place) = empty_dir();
        conforms(&LocalStorage, &place.canonical());
    }

    #[test]
    fn the_double_without_faults_does_what_a_store_has_to() {
        let (_dir, place) = empty_dir();
        conforms(&FaultyStorage::new(LocalStorage), &place);
    }

    #[test]
    fn random_names_differ_and_look_as_those_of_flink() {
        let names: HashSet<String> = (0..10_000).map(|_| random_uuid()).collect();
        assert_eq!(names.len(), 10_000);
        for name in names.iter().take(100) {
            let parts: Vec<&str> = name.split('-').collect();
            assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{name}");
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{name}");
        }
        assert!(in_progress_name("_metadata").starts_with("._metadata.inprogress."));
    }
}
