//! What every store has to do, asked of each.

use super::*;
use crate::storage::faulty::FaultyStorage;
use crate::storage::{Details, EntryKind, LocalStorage, MemoryStorage, StorageErrorKind, WalkVisitor};
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

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

    replaces(storage, &place("replaced"));
    changes_many_names(storage, &place("names"));
    makes_directories_like_others(storage, &place("like"));
    walks(storage, &place("walked"));
}

type Answers = Vec<Result<bool, StorageErrorKind>>;

fn kinds(answers: Vec<Result<bool, StorageError>>) -> Answers {
    answers.into_iter().map(|answer| answer.map_err(|e| e.kind)).collect()
}

fn replaces(storage: &dyn WriteStorage, dir: &Location) {
    storage.create_dirs(dir).expect("created");
    let file = dir.with_suffix("/pins");
    for content in [&b"one"[..], b"", b"another"] {
        storage.replace(&file, content).expect("replaced");
        assert_eq!(storage.read(&file, 100).expect("readable"), content);
    }
    assert_eq!(storage.list(dir).expect("a listing").len(), 1, "nothing is left in progress");
    let kind = |file: &Location| storage.replace(file, b"x").map_err(|e| e.kind);
    assert_eq!(kind(&dir.with_suffix("/none/pins")), Err(StorageErrorKind::NotFound));
    assert!(storage.replace(dir, b"x").is_err(), "a directory is not replaced");
    assert_eq!(storage.stat(dir).map(|s| s.kind), Ok(EntryKind::Directory));
    assert_eq!(storage.real_place(&file).and_then(|file| storage.read(&file, 100)), Ok(b"another".to_vec()));
    let missing = storage.real_place(&dir.with_suffix("/none")).map_err(|e| e.kind);
    assert_eq!(missing, Err(StorageErrorKind::NotFound));
}

/// Names that stand for another file, or for none in the directory.
const NO_NAMES: [&str; 7] = ["", ".", "..", "x/y", "/a", "a\\b", "a\0b"];

fn changes_many_names(storage: &dyn WriteStorage, root: &Location) {
    use StorageErrorKind::{AlreadyExists, NotFound, Other};
    let below = |dir: &'static str| Below { root, dir };
    let (from, to, none) = (below("job/shared"), below("trash/shared"), below("none/shared"));
    for dir in [from, to] {
        storage.create_dirs(&dir.location()).expect("created");
    }
    for name in ["a", "b", "line\nbreak", "ü"] {
        storage.publish(&from.file(name), name.as_bytes()).expect("published");
    }
    storage.create_dirs(&from.file("sub")).expect("created");
    storage.publish(&to.file("b"), b"taken").expect("published");

    let looked = storage.look(from, &["ü", "none", "sub", "line\nbreak"]).expect("answers");
    let shown = |entry: &Details| (entry.name.clone(), entry.kind, entry.size, entry.exact && entry.modified.is_some());
    let file = |name: &str| Some((name.to_owned(), EntryKind::File, name.len() as u64, true));
    let sub = Some(("sub".to_owned(), EntryKind::Directory, 0, true));
    let looked: Vec<_> = looked.iter().map(|entry| entry.as_ref().map(shown)).collect();
    assert_eq!(looked, [file("ü"), None, sub, file("line\nbreak")]);
    assert_eq!(storage.look(none, &["a"]), Ok(vec![None]));
    assert_eq!(storage.look(from, &[]), Ok(vec![]));

    let names = ["a", "none", "b", "sub", "line\nbreak"];
    let missing = kinds(storage.rename_names(from, none, &names));
    assert_eq!(missing, [Err(NotFound); 5], "without a directory to go to nothing is renamed");
    let renamed = kinds(storage.rename_names(from, to, &names));
    assert_eq!(renamed, [Ok(true), Ok(false), Err(AlreadyExists), Ok(true), Ok(true)]);
    assert_eq!(kinds(storage.rename_names(none, to, &["a", "z"])), [Ok(false), Ok(false)]);
    assert_eq!(storage.read(&to.file("b"), 100), Ok(b"taken".to_vec()));
    assert_eq!(storage.read(&to.file("line\nbreak"), 100), Ok(b"line\nbreak".to_vec()));
    assert!(storage.look(from, &["a", "b", "sub", "ü"]).is_ok_and(|found| found.iter().flatten().count() == 2));
    for dir in [from, to] {
        assert_eq!(kind_of(storage.sync_dir(&dir.location())), Ok(()));
    }

    let deleted = kinds(storage.delete_names(to, &["a", "sub", "none", "b"]));
    assert_eq!(deleted, [Ok(true), Err(Other), Ok(false), Ok(true)]);
    assert_eq!(kinds(storage.delete_names(none, &["a"])), [Ok(false)]);
    for name in NO_NAMES {
        assert_eq!(storage.look(from, &[name]).map_err(|e| e.kind), Err(Other), "{name:?}");
        assert_eq!(kinds(storage.rename_names(from, to, &[name])), [Err(Other)], "{name:?}");
        assert_eq!(kinds(storage.delete_names(from, &[name])), [Err(Other)], "{name:?}");
    }
    for dir in ["..", "job/..", "job//shared", "/job", "job/", "job\\shared"].map(below) {
        assert_eq!(storage.look(dir, &["b"]).map_err(|e| e.kind), Err(Other), "{dir:?}");
        assert_eq!(kinds(storage.rename_names(dir, to, &["b"])), [Err(Other)], "{dir:?}");
        assert_eq!(kinds(storage.rename_names(from, dir, &["b"])), [Err(Other)], "{dir:?}");
        assert_eq!(kinds(storage.delete_names(dir, &["b"])), [Err(Other)], "{dir:?}");
        assert_eq!(storage.delete_empty_below(dir).map_err(|e| e.kind), Err(Other), "{dir:?}");
    }

    let delete_empty = |dir| storage.delete_empty_below(below(dir)).map_err(|e| e.kind);
    assert_eq!(delete_empty("job/shared"), Err(Other), "it is not empty");
    assert_eq!(delete_empty("job/shared/b"), Err(Other), "a file is not a directory");
    assert_eq!((delete_empty("trash/shared/sub"), delete_empty("trash/shared/sub")), (Ok(true), Ok(false)));
    assert_eq!(delete_empty("none/none"), Ok(false));
    assert_eq!(storage.read(&from.file("b"), 100), Ok(b"b".to_vec()));
}

fn kind_of<T>(result: Result<T, StorageError>) -> Result<T, StorageErrorKind> {
    result.map_err(|e| e.kind)
}

fn makes_directories_like_others(storage: &dyn WriteStorage, root: &Location) {
    let below = |dir: &'static str| Below { root, dir };
    storage.create_dirs(&below("job/shared").location()).expect("created");
    for to in ["trash/1/job/shared", "trash/1/job/shared", "job/shared"] {
        assert_eq!(kind_of(storage.create_dirs_like(below(to), below("job/shared"))), Ok(()));
        assert_eq!(storage.stat(&below(to).location()).map(|s| s.kind), Ok(EntryKind::Directory));
    }
    assert_eq!(kind_of(storage.create_dirs_like(below("trash/2/gone/x"), below("gone/x"))), Ok(()));
    assert!(storage.stat(&below("gone").location()).is_err(), "what is not there gives nothing, and is not made");
    assert!(storage.create_dirs_like(below("trash/3"), below("job/shared")).is_err(), "other components");
    storage.publish(&below("trash").file("file"), b"x").expect("published");
    let file = storage.create_dirs_like(below("trash/file/job"), below("job"));
    assert_eq!(kind_of(file), Err(StorageErrorKind::AlreadyExists));
}

/// What a walk told of: each entry by its path, and how often a directory was told to be empty.
#[derive(Default)]
struct Told {
    entries: Mutex<BTreeMap<String, (EntryKind, u64)>>,
    empty: Mutex<Vec<String>>,
    failed: Mutex<Vec<(String, StorageErrorKind)>>,
}

impl WalkVisitor for Told {
    fn enters(&self, _: &Location, name: &str) -> bool {
        name != ".chkctl"
    }

    fn found(&self, dir: &Location, entries: Vec<Details>) {
        if entries.is_empty() {
            self.empty.lock().expect("no panic").push(dir.to_string());
        }
        for entry in entries {
            assert!(entry.exact && entry.modified.is_some(), "{entry:?}");
            let path = format!("{dir}/{}", entry.name);
            let before = self.entries.lock().expect("no panic").insert(path, (entry.kind, entry.size));
            assert_eq!(before, None, "{dir}: {} is told of twice", entry.name);
        }
    }

    fn failed(&self, dir: &Location, error: StorageError) {
        self.failed.lock().expect("no panic").push((dir.to_string(), error.kind));
    }
}

fn walks(storage: &dyn WriteStorage, root: &Location) {
    let below = |dir: &'static str| Below { root, dir };
    let mut wanted = BTreeMap::new();
    for dir in ["job", "job/shared", "job/empty", "job/.chkctl"] {
        storage.create_dirs(&below(dir).location()).expect("created");
        wanted.insert(below(dir).location().to_string(), (EntryKind::Directory, 0));
    }
    storage.publish(&below("job/.chkctl").file("hidden"), b"x").expect("published");
    for (index, size) in [3, 0, 70].into_iter().enumerate() {
        let file = below("job/shared").file(&format!("f{index}"));
        storage.publish(&file, &vec![0; size]).expect("published");
        wanted.insert(file.to_string(), (EntryKind::File, size as u64));
    }
    let told = Told::default();
    storage.walk(root, &told);
    assert_eq!(told.entries.into_inner().expect("no panic"), wanted);
    assert_eq!(told.empty.into_inner().expect("no panic"), [below("job/empty").location().to_string()]);
    assert_eq!(told.failed.into_inner().expect("no panic"), []);

    let told = Told::default();
    storage.walk(&below("none").location(), &told);
    let failed = told.failed.into_inner().expect("no panic");
    assert_eq!(failed, [(below("none").location().to_string(), StorageErrorKind::NotFound)], "a root has to be there");
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
fn the_store_in_memory_does_what_a_store_has_to() {
    for place in ["/ck", "file:/deep/below", "s3://bucket/ck"] {
        let place = Location::parse(place).expect("a path");
        let (plain, inner) = (MemoryStorage::new(), MemoryStorage::new());
        for storage in [&plain as &dyn WriteStorage, &FaultyStorage::new(inner)] {
            storage.create_dirs(&place).expect("created");
            conforms(storage, &place);
        }
    }
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
