//! What a runtime needs of a store to write a checkpoint: new files, names that appear at once, and removal.
//!
//! A checkpoint is there when its `_metadata` is, so that file is published whole, after everything it names has been
//! made durable: the content of a file by [`FileWriter::finish`], its name by [`WriteStorage::sync_dir`].

use super::copy::{self, Hold, Part};
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

    /// Whether a file that was renamed below a place was changed as long ago as before. Where renaming is copying, its time
    /// is that of the copy.
    fn rename_keeps_time(&self, _place: &Location) -> bool {
        true
    }

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
        below::components_before(&below::components(to)?, like)?;
        self.create_dirs(&to.location())
    }

    /// Renames names of a directory into another of the same store. One answer per name: `Ok(false)` where there was
    /// none, an error (`AlreadyExists`) where something has the new name.
    fn rename_names(&self, from: Below<'_>, to: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        below::rename_one_by_one(self, from, to, names)
    }

    /// Removes files of a directory. One answer per name, as of [`WriteStorage::delete`].
    fn delete_names(&self, dir: Below<'_>, names: &[&str]) -> Vec<Result<bool, StorageError>> {
        below::delete_one_by_one(self, dir, names)
    }

    /// Removes an empty directory, as [`WriteStorage::delete_empty_dir`].
    fn delete_empty_below(&self, dir: Below<'_>) -> Result<bool, StorageError> {
        below::components(dir)?;
        self.delete_empty_dir(&dir.location())
    }

    /// Copies a part of a file into a new one, and tells `heard` of all bytes in their order. An error (`AlreadyExists`) if
    /// something has the name, and one if the file ends before the part does. What the last component of `from` links to
    /// is not copied where a store has links. The content is durable after [`WriteStorage::sync_files`].
    fn copy(
        &self,
        from: &Location,
        part: Part,
        to: &Location,
        heard: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StorageError> {
        copy::by_reading(self, from, part, to, heard)
    }

    /// Gives a file a second name; `Ok(false)`, and nothing done, where that cannot be. An error (`AlreadyExists`) if
    /// something has the name.
    fn link(&self, _from: &Location, _to: &Location) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Makes the content of files of a directory durable that [`WriteStorage::copy`] and [`FileWriter::leave`] made.
    fn sync_files(&self, _dir: &Location, _names: &[&str]) -> Result<(), StorageError> {
        Ok(())
    }

    /// Renames a directory to a name that nothing has, or an empty directory; an error if something else has. It is durable
    /// after [`WriteStorage::sync_dir`] of the directories above both.
    fn rename_dir(&self, from: &Location, to: &Location) -> Result<(), StorageError> {
        copy::rename_dir_in_two_steps(self, from, to)
    }

    /// Keeps other processes that ask for it away from a directory, as far as the store has locks. An error
    /// (`AlreadyExists`) where another has it.
    fn hold(&self, _dir: &Location) -> Result<Hold, StorageError> {
        Ok(Box::new(()))
    }

    /// Whether of those that [`WriteStorage::publish`] a name at the same time one alone succeeds. Where it does not, a
    /// lock file keeps nobody out. A store that has to be asked is asked once, in `dir`.
    fn creates_exclusively(&self, _dir: &Location) -> Result<bool, StorageError> {
        Ok(true)
    }
}

/// A new file that is being written. One that is dropped unfinished is removed, as far as that can be done.
pub trait FileWriter: Send {
    /// Appends `bytes`. After an error the file is of no use, and is to be dropped.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes the content durable and gives its size in bytes. A file that cannot be finished is removed. Its name is
    /// durable after [`WriteStorage::sync_dir`].
    fn finish(self: Box<Self>) -> Result<u64, StorageError>;

    /// Ends the writing and gives the size in bytes. The content is durable after [`WriteStorage::sync_files`] only, which
    /// for many files at once costs less than [`FileWriter::finish`] of each.
    fn leave(self: Box<Self>) -> Result<u64, StorageError> {
        self.finish()
    }
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
mod tests;
