//! Copies of whole files and of parts of them, hard links, and directories that appear as a whole.

use super::{StorageError, StorageErrorKind, WriteStorage};
use crate::model::Location;
use std::any::Any;

/// So many bytes are read and written at a time.
pub(super) const BLOCK: usize = 1 << 20;

/// Keeps others away from a directory until it is dropped.
pub type Hold = Box<dyn Any + Send + Sync>;

/// Which bytes of a file are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Offset of the first.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

/// [`WriteStorage::copy`] through reading and writing.
pub(super) fn by_reading(
    storage: &(impl WriteStorage + ?Sized),
    from: &Location,
    part: Part,
    to: &Location,
    heard: &mut dyn FnMut(&[u8]),
) -> Result<(), StorageError> {
    let source = storage.open(from)?;
    let mut writer = storage.create(to)?;
    let mut block = vec![0; block_size(part.length)];
    let mut done = 0;
    while done < part.length {
        let wanted = usize::try_from(part.length - done).unwrap_or(usize::MAX).min(block.len());
        let (block, _) = block.split_at_mut(wanted);
        let count = source
            .read_at(part.offset.saturating_add(done), block)
            .map_err(|error| StorageError::new(StorageErrorKind::Other, from, error.to_string()))?;
        let (bytes, _) = block.split_at(count);
        if bytes.is_empty() {
            return Err(ended(from, part, done));
        }
        heard(bytes);
        writer.write(bytes)?;
        done += bytes.len() as u64;
    }
    writer.leave().map(|_| ())
}

/// [`WriteStorage::rename_dir`] in two steps.
pub(super) fn rename_dir_in_two_steps(
    storage: &(impl WriteStorage + ?Sized),
    from: &Location,
    to: &Location,
) -> Result<(), StorageError> {
    storage.delete_empty_dir(to)?;
    storage.rename(from, to)
}

/// A buffer is no larger than what it is for.
pub(super) fn block_size(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX).clamp(1, BLOCK)
}

/// The error of a file that is shorter than it was.
pub(super) fn ended(file: &Location, part: Part, done: u64) -> StorageError {
    let message = format!("it ends after byte {}, {} more were to be copied", part.offset + done, part.length - done);
    StorageError::new(StorageErrorKind::Other, file, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{LocalStorage, MemoryStorage, Storage};

    fn at(text: &str) -> Location {
        Location::parse(text).expect("a path")
    }

    /// The stores that copy, each with a directory.
    fn stores() -> Vec<(Box<dyn WriteStorage>, Location, Option<tempfile::TempDir>)> {
        let dir = tempfile::tempdir().expect("a directory");
        let place = at(&dir.path().to_string_lossy());
        let memory = MemoryStorage::new();
        memory.create_dirs(&at("/d")).expect("a directory");
        vec![(Box::new(LocalStorage), place, Some(dir)), (Box::new(memory), at("/d"), None)]
    }

    fn write(storage: &dyn WriteStorage, file: &Location, bytes: &[u8]) {
        let mut writer = storage.create(file).expect("a new file");
        writer.write(bytes).expect("written");
        writer.finish().expect("finished");
    }

    #[test]
    fn a_part_of_a_file_becomes_a_file_and_is_heard() {
        for (storage, dir, _keep) in stores() {
            let file = |name: &str| dir.with_suffix(&format!("/{name}"));
            let content: Vec<u8> = (0..BLOCK * 2 + 77).map(|i| (i % 251) as u8).collect();
            write(&*storage, &file("from"), &content);
            for (name, offset, length) in [("all", 0, content.len()), ("part", 5, BLOCK + 3), ("none", 9, 0)] {
                let part = Part { offset: offset as u64, length: length as u64 };
                let mut heard = Vec::new();
                let copied =
                    storage.copy(&file("from"), part, &file(name), &mut |bytes| heard.extend_from_slice(bytes));
                copied.expect("copied");
                let wanted = &content[offset..offset + length];
                assert!(heard == wanted, "{name}");
                assert!(storage.read(&file(name), u64::MAX).expect("readable") == wanted, "{name}");
            }
        }
    }

    #[test]
    fn a_file_that_ends_too_early_gives_no_copy() {
        for (storage, dir, _keep) in stores() {
            let file = |name: &str| dir.with_suffix(&format!("/{name}"));
            write(&*storage, &file("from"), b"12345");
            let part = Part { offset: 2, length: 4 };
            let error = storage.copy(&file("from"), part, &file("to"), &mut |_| {}).expect_err("too short");
            assert!(error.message.contains("ends after byte 5"), "{error}");
            assert!(storage.stat(&file("to")).expect_err("no copy").is_not_found());
        }
    }

    #[test]
    fn nothing_is_copied_over_what_is_there() {
        for (storage, dir, _keep) in stores() {
            let file = |name: &str| dir.with_suffix(&format!("/{name}"));
            write(&*storage, &file("from"), b"new");
            write(&*storage, &file("to"), b"old");
            let error = storage.copy(&file("from"), Part { offset: 0, length: 3 }, &file("to"), &mut |_| {});
            assert_eq!(error.map_err(|e| e.kind), Err(StorageErrorKind::AlreadyExists));
            assert_eq!(storage.read(&file("to"), 9), Ok(b"old".to_vec()));
        }
    }

    #[test]
    fn a_directory_takes_the_place_of_nothing_or_of_an_empty_one() {
        for (storage, dir, _keep) in stores() {
            let place = |name: &str| dir.with_suffix(&format!("/{name}"));
            for name in ["a", "b", "empty", "full"] {
                storage.create_dirs(&place(name)).expect("a directory");
            }
            write(&*storage, &place("a/x"), b"1");
            write(&*storage, &place("full/y"), b"2");
            write(&*storage, &place("file"), b"3");
            assert!(storage.rename_dir(&place("b"), &place("full")).is_err());
            assert!(storage.rename_dir(&place("b"), &place("file")).is_err());
            storage.rename_dir(&place("a"), &place("empty")).expect("renamed");
            storage.rename_dir(&place("b"), &place("new")).expect("renamed");
            assert_eq!(storage.read(&place("empty/x"), 9), Ok(b"1".to_vec()));
            assert_eq!(storage.read(&place("full/y"), 9), Ok(b"2".to_vec()));
            assert!(storage.stat(&place("a")).is_err() && storage.stat(&place("new")).is_ok());
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_neither_copied_nor_linked() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("secret"), b"s").expect("a file");
        std::os::unix::fs::symlink(dir.path().join("secret"), dir.path().join("link")).expect("a link");
        let file = |name: &str| at(&dir.path().join(name).to_string_lossy());
        let part = Part { offset: 0, length: 1 };
        assert!(LocalStorage.copy(&file("link"), part, &file("copy"), &mut |_| {}).is_err());
        assert!(LocalStorage.link(&file("link"), &file("linked")).is_err());
        assert!(LocalStorage.stat(&file("copy")).is_err() && LocalStorage.stat(&file("linked")).is_err());
        assert_eq!(LocalStorage.link(&file("secret"), &file("linked")), Ok(true));
    }

    #[test]
    #[cfg(unix)]
    fn a_directory_is_held_by_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = at(&dir.path().to_string_lossy());
        let held = LocalStorage.hold(&place).expect("held");
        assert!(LocalStorage.hold(&place).is_err());
        drop(held);
        assert!(LocalStorage.hold(&place).is_ok());
    }
}
