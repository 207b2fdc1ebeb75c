//! The double does what its faults say, and nothing else.

use super::*;
use crate::storage::LocalStorage;
use std::fs;
use std::path::Path;

const OTHER: StorageErrorKind = StorageErrorKind::Other;

fn place(path: &Path) -> Location {
    Location::parse(&path.to_string_lossy()).expect("a path")
}

/// Writes a file in two parts and publishes one, as a checkpoint does.
fn checkpoint(storage: &dyn WriteStorage, root: &Location) -> Result<(), StorageError> {
    let dir = root.with_suffix("/chk-1");
    storage.create_dirs(&dir)?;
    let mut writer = storage.create(&dir.with_suffix("/state"))?;
    writer.write(b"12345678")?;
    writer.write(b"90")?;
    writer.finish()?;
    storage.sync_dir(&dir)?;
    storage.publish(&dir.with_suffix("/_metadata"), b"whole")
}

fn content(root: &Path, file: &str) -> Option<String> {
    fs::read_to_string(root.join("chk-1").join(file)).ok()
}

fn count(root: &Path) -> usize {
    fs::read_dir(root.join("chk-1")).map_or(0, Iterator::count)
}

#[test]
fn a_run_that_is_counted_can_fail_at_each_of_its_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    let calm = FaultyStorage::new(LocalStorage);
    checkpoint(&calm, &place(dir.path())).expect("no faults");
    let writes = calm.writes();
    let kinds: Vec<Operation> = writes.iter().map(|(operation, _)| *operation).collect();
    use Operation::{Create, CreateDirs, Finish, Publish, SyncDir, Write};
    assert_eq!(kinds, [CreateDirs, Create, Write, Write, Finish, SyncDir, Publish]);
    for n in 1..=writes.len() {
        let dir = tempfile::tempdir().expect("a directory");
        let faulty = FaultyStorage::new(LocalStorage).with(Fault::on(Operation::WRITES).nth(n as u64).failing(OTHER));
        assert!(checkpoint(&faulty, &place(dir.path())).is_err(), "write {n}");
        assert_eq!(faulty.writes().len(), n, "it ends with the error");
        assert_eq!(content(dir.path(), "_metadata"), None, "write {n}");
        assert_eq!(content(dir.path(), "state").is_some(), n > 5, "an unfinished file is gone: write {n}");
        assert!(count(dir.path()) <= 1, "nothing else is left: write {n}");
    }
}

#[test]
fn a_fault_chooses_by_operation_place_and_call() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["a", "b"] {
        fs::write(dir.path().join(name), name).expect("a file");
    }
    let (a, b) = (place(&dir.path().join("a")), place(&dir.path().join("b")));
    let transient = StorageErrorKind::Transient;
    let storage = FaultyStorage::new(LocalStorage)
        .with(Fault::on(&[Operation::Read]).at("/a").nth(2).failing(transient))
        .with(Fault::on(&[Operation::Stat]).at("/b").calls(Which::From(2)).failing(OTHER));
    let read = |file| storage.read(file, 9).map_err(|e| e.kind);
    let stat = |file| storage.stat(file).map(drop).map_err(|e| e.kind);
    assert_eq!((read(&a), read(&b), read(&a)), (Ok(b"a".to_vec()), Ok(b"b".to_vec()), Err(transient)));
    assert_eq!((read(&a), stat(&a)), (Ok(b"a".to_vec()), Ok(())));
    assert_eq!((stat(&b), stat(&b), stat(&b)), (Ok(()), Err(OTHER), Err(OTHER)));
    storage.heal();
    assert_eq!(stat(&b), Ok(()));
    assert_eq!(storage.writes(), [], "reading is not writing");
}

#[test]
fn a_torn_write_leaves_half_of_the_bytes_until_the_writer_is_dropped() {
    let dir = tempfile::tempdir().expect("a directory");
    let torn = Fault::on(&[Operation::Write]).with_effect(Effect::Tear(OTHER));
    let storage = FaultyStorage::new(LocalStorage).with(torn);
    let file = dir.path().join("state");
    let mut writer = storage.create(&place(&file)).expect("a new file");
    assert!(writer.write(b"12345678").is_err());
    assert_eq!(fs::read(&file).expect("readable"), b"1234");
    drop(writer);
    assert!(!file.exists());
}

#[test]
fn a_torn_publication_leaves_half_of_a_hidden_file_and_not_the_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let storage =
        FaultyStorage::new(LocalStorage).with(Fault::on(&[Operation::Publish]).with_effect(Effect::Tear(OTHER)));
    assert!(checkpoint(&storage, &place(dir.path())).is_err());
    assert_eq!(content(dir.path(), "_metadata"), None);
    let names = fs::read_dir(dir.path().join("chk-1")).expect("a listing");
    let hidden: Vec<_> = names
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("._metadata.inprogress."))
        .map(|entry| fs::read(entry.path()).expect("readable"))
        .collect();
    assert_eq!(hidden, [b"wh".to_vec()]);
}

#[test]
fn a_lost_answer_is_an_error_about_something_that_was_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let storage = FaultyStorage::new(LocalStorage)
        .with(Fault::on(&[Operation::Publish]).with_effect(Effect::FailAfter(StorageErrorKind::Transient)));
    assert!(checkpoint(&storage, &place(dir.path())).is_err());
    assert_eq!(content(dir.path(), "_metadata").as_deref(), Some("whole"));
}

#[test]
fn after_a_crash_everything_fails_and_nothing_is_cleaned_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let storage =
        FaultyStorage::new(LocalStorage).with(Fault::on(&[Operation::Write]).nth(1).with_effect(Effect::Crash));
    let root = place(dir.path());
    assert!(checkpoint(&storage, &root).is_err());
    assert_eq!(content(dir.path(), "state").as_deref(), Some("1234"));
    assert!(storage.delete(&root.with_suffix("/chk-1/state")).is_err());
    assert!(storage.stat(&root).is_err());
    storage.heal();
    assert_eq!(storage.delete(&root.with_suffix("/chk-1/state")), Ok(true));
}
