//! A repair that fails, or is killed, at each of its writes: the result is there whole or not at all, and the source is as
//! it was.

use crate::suite::support::{Case, metadata_files};
use chkctl::format::decode;
use chkctl::model::Location;
use chkctl::repair::{Prepared, Request, Sources, prepare, write};
use chkctl::storage::faulty::{Effect, Fault, FaultyStorage, Operation};
use chkctl::storage::{CrashKeep, MemoryStorage, Storage as _, StorageErrorKind, WriteStorage as _};
use chkctl::survey::{Catalog, Silent};
use std::collections::BTreeMap;
use std::fs;

const SOURCE: &str = "/ck/0123456789abcdef0123456789abcdef/chk-2";
const DEST: &str = "/out/mended";

type Tree = BTreeMap<String, Vec<u8>>;

fn at(text: &str) -> Location {
    Location::parse(text).expect("a path")
}

/// A real checkpoint with files beside its `_metadata`, in memory, and its repair with copies.
fn prepared(copy: bool) -> (MemoryStorage, Prepared) {
    let case = Case::named("kitchen-heap-files-1.20.5");
    let dir = metadata_files(&case.tree()).remove(0).parent().expect("a directory").to_owned();
    let storage = MemoryStorage::new();
    for entry in fs::read_dir(dir).expect("files").map(|entry| entry.expect("an entry")) {
        let file = at(&format!("{SOURCE}/{}", entry.file_name().display()));
        storage.put(&file, &fs::read(entry.path()).expect("readable")).expect("put");
    }
    let prepared = prepare_in(&storage, copy);
    assert_eq!(prepared.copies.is_empty(), !copy);
    assert!(prepared.is_good(), "{:?}", prepared.report);
    (storage, prepared)
}

fn prepare_in(storage: &MemoryStorage, copy: bool) -> Prepared {
    let snapshot = Catalog::scan(storage, &[at(SOURCE)]).expect("a catalog").snapshots.remove(0);
    let bytes = storage.read(&snapshot.metadata_file, 1 << 20).expect("readable");
    let sources = Sources { storage, maps: &[], progress: &Silent };
    let request = Request { copy, ..Request::default() };
    let metadata = decode(&bytes).expect("a _metadata");
    prepare(sources, &snapshot, metadata, bytes.len() as u64, &at(DEST), &request).expect("prepared")
}

fn below(tree: &Tree, dir: &str) -> Tree {
    tree.iter().filter(|(path, _)| path.starts_with(dir)).map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

/// Whether the result is there; then it is whole.
fn is_there(tree: &Tree, whole: &Tree) -> bool {
    let there = tree.contains_key(&format!("{DEST}/_metadata"));
    if there {
        whole.iter().for_each(|(path, bytes)| assert_eq!(tree.get(path), Some(bytes), "{path}"));
    }
    there
}

/// Without copies, with copies, and with second names.
const WAYS: [(bool, bool); 3] = [(false, false), (true, false), (true, true)];

const EFFECTS: [Effect; 4] = [
    Effect::Fail(StorageErrorKind::Other),
    Effect::FailAfter(StorageErrorKind::Transient),
    Effect::Tear(StorageErrorKind::Other),
    Effect::Crash,
];

/// What is in DEST but for hidden files and the directory itself.
fn shown(tree: &Tree) -> Tree {
    let mut tree = below(tree, DEST);
    tree.retain(|path, _| !path.ends_with('/') && !path.contains("/."));
    tree
}

#[test]
fn every_operation_can_fail_or_be_the_last_and_the_result_is_whole_or_absent_and_a_rerun_completes() {
    for (copy, link) in WAYS {
        let (storage, plan) = prepared(copy);
        let source = below(&storage.tree(), "/ck/");
        let fresh = || storage.crash_clone(CrashKeep::All);
        let calm = FaultyStorage::new(fresh());
        write(&calm, &plan, link).expect("written");
        let whole = below(&calm.inner().tree(), DEST);
        assert_eq!(shown(&whole), {
            let mut all = whole.clone();
            all.retain(|path, _| !path.ends_with('/'));
            all
        });
        let writes = calm.writes();
        assert_eq!(writes.iter().any(|(operation, _)| *operation == Operation::Link), link);
        assert_eq!(writes.len() > 10, copy, "{writes:?}");
        let failing = |operations, n, effect| {
            let faulty = FaultyStorage::new(fresh()).with(Fault::on(operations).nth(n).with_effect(effect));
            let result = write(&faulty, &plan, link);
            (faulty, result)
        };
        for operations in [Operation::WRITES, Operation::ALL] {
            // What comes after the last one does no harm.
            let is_whole = |n: &u64| below(&failing(operations, *n, Effect::Crash).0.inner().tree(), DEST) == whole;
            let last = (1..).find(is_whole).expect("a number");
            assert!(last as usize >= writes.len());
            for (n, effect) in (1..=last).flat_map(|n| EFFECTS.map(|effect| (n, effect))) {
                let (faulty, result) = failing(operations, n, effect);
                let told = format!("{effect:?} at {n} of {operations:?}, {copy} {link}");
                let storage = faulty.inner();
                assert_eq!(below(&storage.tree(), "/ck/"), source, "{told}");
                if result.is_ok() {
                    // That the list of what is copied stays hurts nobody.
                    assert_eq!(shown(&storage.tree()), shown(&whole), "{told}");
                }
                let keeps = [CrashKeep::None, CrashKeep::All, CrashKeep::Seeded(n), CrashKeep::Seeded(1 << 40 | n)];
                for keep in keeps {
                    let left = storage.crash_clone(keep);
                    assert_eq!(below(&left.tree(), "/ck/"), source, "{told}");
                    if !is_there(&left.tree(), &whole) {
                        assert!(result.is_err(), "{told}");
                        write(&left, &plan, link).unwrap_or_else(|error| panic!("{told}: {error}"));
                    }
                    assert_eq!(shown(&left.tree()), shown(&whole), "{told}");
                }
                let tree = storage.tree();
                if matches!(effect, Effect::Fail(_)) && !is_there(&tree, &whole) {
                    assert_eq!(below(&tree, DEST), Tree::new(), "what was made is removed again: {told}");
                }
            }
        }
    }
}

#[test]
fn what_a_killed_repair_left_is_removed_only_where_the_source_has_it_still() {
    let (storage, plan) = prepared(true);
    let faulty = FaultyStorage::new(storage).with(Fault::on(&[Operation::Publish]).nth(2).with_effect(Effect::Crash));
    write(&faulty, &plan, false).expect_err("killed at the _metadata");
    faulty.heal();
    let storage = faulty.inner();
    let (name, _) = &plan.copies[0];
    let (theirs, ours) = (at(&format!("{SOURCE}/{name}")), at(&format!("{DEST}/{name}")));
    let bytes = storage.read(&theirs, 1 << 20).expect("readable");
    storage.delete(&theirs).expect("deleted");
    let error = write(storage, &plan, false).expect_err("the only copy");
    assert!(error.to_string().contains(name.as_str()), "{error}");
    assert_eq!(storage.read(&ours, 1 << 20), Ok(bytes.clone()));
    storage.put(&theirs, &bytes).expect("put");
    // What no list has is somebody's.
    storage.put(&at(&format!("{DEST}/mine")), b"mine").expect("put");
    write(storage, &plan, false).expect_err("not empty");
    storage.delete(&at(&format!("{DEST}/mine"))).expect("deleted");
    write(storage, &plan, false).expect("written");
}

#[test]
fn two_repairs_at_a_time_in_one_directory_are_refused() {
    let (storage, plan) = prepared(true);
    storage.create_dirs(&at(DEST)).expect("created");
    let hold = storage.hold(&at(DEST)).expect("held");
    write(&storage, &plan, false).expect_err("held by another");
    drop(hold);
    write(&storage, &plan, false).expect("written");
}

#[test]
fn a_run_after_one_that_was_killed_at_the_metadata_writes_it() {
    let (storage, plan) = prepared(false);
    let killed = Fault::on(&[Operation::Publish]).with_effect(Effect::Crash);
    let faulty = FaultyStorage::new(storage).with(killed);
    write(&faulty, &plan, false).expect_err("killed");
    faulty.heal();
    assert!(!below(&faulty.inner().tree(), DEST).is_empty(), "half a _metadata under another name is left");
    write(&faulty, &plan, false).expect("written");
    assert_eq!(faulty.inner().read(&at(&format!("{DEST}/_metadata")), 1 << 20), Ok(plan.metadata));
}

#[test]
fn a_directory_that_somebody_filled_meanwhile_is_left_alone() {
    let (storage, plan) = prepared(true);
    storage.put(&at(&format!("{DEST}/mine")), b"mine").expect("put");
    write(&storage, &plan, false).expect_err("not empty");
    assert_eq!(
        below(&storage.tree(), DEST).into_values().filter(|bytes| !bytes.is_empty()).collect::<Vec<_>>(),
        [b"mine"]
    );
    // An empty one stays where the repair fails.
    storage.delete(&at(&format!("{DEST}/mine"))).expect("deleted");
    let faulty = FaultyStorage::new(storage).with(Fault::on(&[Operation::Publish]));
    write(&faulty, &plan, false).expect_err("it failed");
    assert_eq!(below(&faulty.inner().tree(), DEST).into_keys().collect::<Vec<_>>(), [format!("{DEST}/")]);
}

#[test]
fn a_file_that_is_written_to_meanwhile_ends_the_repair() {
    let (storage, plan) = prepared(true);
    let (name, _) = &plan.copies[0];
    storage.replace(&at(&format!("{SOURCE}/{name}")), b"shorter").expect("replaced");
    write(&storage, &plan, false).expect_err("it has another size");
    assert_eq!(below(&storage.tree(), DEST), Tree::new());
}
