//! What a crash leaves.

use super::*;
use crate::storage::faulty::{Effect, Fault, FaultyStorage, Operation};
use std::collections::BTreeSet;

fn at(text: &str) -> Location {
    Location::parse(text).expect("a path")
}

/// Two directories, with files `f0` to `f9` in the first.
fn two_directories() -> MemoryStorage {
    let store = MemoryStorage::new();
    store.create_dirs(&at("/to")).expect("created");
    for name in 0..10 {
        store.put(&at(&format!("/from/f{name}")), b"state").expect("written");
    }
    store
}

fn from_and_to() -> (Location, Vec<String>) {
    (at("/"), (0..10).map(|name| format!("f{name}")).collect())
}

fn move_all(store: &dyn WriteStorage) -> Vec<Result<bool, StorageError>> {
    let (root, names) = from_and_to();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    store.rename_names(Below { root: &root, dir: "from" }, Below { root: &root, dir: "to" }, &names)
}

fn files(store: &MemoryStorage) -> Vec<String> {
    store.tree().into_keys().filter(|path| !path.ends_with('/')).collect()
}

fn moved(store: &MemoryStorage) -> usize {
    files(store).iter().filter(|path| path.starts_with("/to/")).count()
}

#[test]
fn a_rename_survives_as_a_whole_or_not_and_in_order() {
    let store = two_directories();
    assert!(move_all(&store).iter().all(|answer| *answer == Ok(true)));
    assert_eq!(moved(&store), 10);
    assert_eq!(moved(&store.crash_clone(CrashKeep::None)), 0);
    assert_eq!(moved(&store.crash_clone(CrashKeep::All)), 10);
    let mut counts = BTreeSet::new();
    for seed in 0..300 {
        let left = store.crash_clone(CrashKeep::Seeded(seed));
        let moved = moved(&left);
        let expected: BTreeSet<String> =
            (0..10).map(|name| format!("/{}/f{name}", if name < moved { "to" } else { "from" })).collect();
        assert_eq!(files(&left).into_iter().collect::<BTreeSet<_>>(), expected, "seed {seed}");
        assert_eq!(left.tree(), store.crash_clone(CrashKeep::Seeded(seed)).tree(), "a seed says it all");
        counts.insert(moved);
    }
    assert_eq!(counts, (0..=10).collect(), "all that can be left comes up");
    assert_eq!(moved(&store), 10, "the store itself went on");
}

#[test]
fn what_is_synced_survives_and_what_came_before_it() {
    for synced in ["/from", "/to"] {
        let store = two_directories();
        move_all(&store);
        store.sync_dir(&at(synced)).expect("synced");
        assert_eq!(moved(&store.crash_clone(CrashKeep::None)), 10, "{synced}: a rename is in both directories");
    }
    let store = two_directories();
    store.create_dirs(&at("/other")).expect("created");
    move_all(&store);
    store.rename(&at("/to/f3"), &at("/other/f3")).expect("renamed");
    store.rename(&at("/from"), &at("/away")).expect("renamed");
    store.sync_dir(&at("/other")).expect("synced");
    let left = store.crash_clone(CrashKeep::None);
    assert_eq!((moved(&left), left.stat(&at("/other/f3")).is_ok()), (9, true));
    assert!(left.stat(&at("/from")).is_ok() && left.stat(&at("/away")).is_err(), "that was in another directory");
    store.put(&at("/new/file"), b"x").expect("written");
    let left = store.crash_clone(CrashKeep::None);
    assert!(left.stat(&at("/away")).is_ok(), "a new directory is durable, with all before it beside it");
}

#[test]
fn nothing_is_lost_with_a_directory_that_it_was_moved_out_of() {
    for seed in 0..300 {
        let store = two_directories();
        move_all(&store);
        assert_eq!(store.delete_empty_dir(&at("/from")), Ok(true));
        store.crash(CrashKeep::Seeded(seed));
        assert_eq!(files(&store).len(), 10, "seed {seed}: {:?}", store.tree());
    }
}

#[test]
fn a_file_survives_when_it_is_finished_and_its_directory_is_synced() {
    let store = MemoryStorage::new();
    store.create_dirs(&at("/ck")).expect("created");
    let (file, half) = (at("/ck/whole"), at("/ck/half"));
    let mut writer = store.create(&file).expect("a new file");
    writer.write(b"12345678").expect("written");
    writer.finish().expect("finished");
    let mut unfinished = store.create(&half).expect("a new file");
    unfinished.write(b"12345678").expect("written");
    assert_eq!(files(&store.crash_clone(CrashKeep::None)), [""; 0], "no name is durable yet");
    store.sync_dir(&at("/ck")).expect("synced");
    let size = |keep, file| store.crash_clone(keep).stat(file).map(|stat| stat.size);
    assert_eq!((size(CrashKeep::None, &file), size(CrashKeep::None, &half)), (Ok(8), Ok(0)));
    assert_eq!((size(CrashKeep::All, &file), size(CrashKeep::All, &half)), (Ok(8), Ok(8)));
    let sizes: BTreeSet<u64> = (0..300).filter_map(|seed| size(CrashKeep::Seeded(seed), &half).ok()).collect();
    assert_eq!(sizes, (0..=8).collect());
    store.crash(CrashKeep::None);
    assert!(unfinished.write(b"9").is_err(), "the process that wrote is gone");
    drop(unfinished);
    assert_eq!(files(&store), ["/ck/half", "/ck/whole"], "and removes nothing");
}

#[test]
fn what_is_replaced_is_the_old_or_the_new() {
    let store = MemoryStorage::new();
    store.put(&at("/ck/pins"), b"old").expect("written");
    store.delete(&at("/ck/pins")).expect("deleted");
    assert_eq!(store.crash_clone(CrashKeep::None).read(&at("/ck/pins"), 9), Ok(b"old".to_vec()));
    store.replace(&at("/ck/pins"), b"new").expect("replaced");
    assert_eq!(store.crash_clone(CrashKeep::None).read(&at("/ck/pins"), 9), Ok(b"new".to_vec()));
}

#[test]
fn what_nothing_names_any_more_is_forgotten() {
    let store = MemoryStorage::new();
    for round in 0..5_000_u32 {
        store.put(&at("/ck/pins"), &round.to_le_bytes()).expect("written");
    }
    assert!(format!("{store:?}").matches("File").count() < 3_000);
    assert_eq!(store.read(&at("/ck/pins"), 9), Ok(4_999_u32.to_le_bytes().to_vec()));
}

#[test]
fn the_clock_stands_still_until_it_is_set() {
    let store = MemoryStorage::new();
    let modified = |file: &str| store.stat(&at(file)).map(|stat| stat.modified);
    store.put(&at("/ck/a"), b"x").expect("written");
    let start = store.now();
    store.advance(SignedDuration::from_hours(2));
    store.put(&at("/ck/b"), b"x").expect("written");
    assert_eq!((modified("/ck/a"), modified("/ck/b")), (Ok(Some(start)), Ok(Some(store.now()))));
    assert_eq!(modified("/ck"), Ok(Some(store.now())), "a directory changes with its names");
    store.rename(&at("/ck/a"), &at("/ck/c")).expect("renamed");
    assert_eq!(modified("/ck/c"), Ok(Some(start)), "a file does not");
    store.set_modified(&at("/ck/c"), Timestamp::UNIX_EPOCH).expect("set");
    store.set_time(start);
    assert_eq!((modified("/ck/c"), store.now()), (Ok(Some(Timestamp::UNIX_EPOCH)), start));
    assert!(store.set_modified(&at("/none"), start).is_err());
}

#[test]
fn a_batch_can_end_at_each_of_its_names() {
    for killed in 1..=10 {
        let store = two_directories();
        let faulty = FaultyStorage::new(store.clone()).with(crash_at(killed));
        let done = move_all(&faulty).iter().filter(|answer| **answer == Ok(true)).count();
        assert_eq!((done, moved(&store)), (killed as usize - 1, killed as usize - 1));
        assert_eq!(moved(&faulty.inner().crash_clone(CrashKeep::None)), 0);

        let store = two_directories();
        let faulty = FaultyStorage::new(store.clone()).with(crash_at(killed));
        let (root, names) = from_and_to();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let answers = faulty.delete_names(Below { root: &root, dir: "from" }, &names);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count() as u64, killed - 1);
        assert_eq!(files(&store).len() as u64, 11 - killed);
        let written: Vec<_> = faulty.writes();
        assert_eq!(written.first(), Some(&(Operation::Delete, "/from/f0".to_owned())));
    }
}

fn crash_at(n: u64) -> Fault {
    Fault::on(Operation::WRITES).nth(n).with_effect(Effect::Crash)
}
