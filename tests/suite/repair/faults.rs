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

#[test]
fn every_write_can_fail_or_be_the_last_and_the_result_is_whole_or_absent() {
    for copy in [false, true] {
        let (storage, plan) = prepared(copy);
        let source = below(&storage.tree(), "/ck/");
        let calm = FaultyStorage::new(storage);
        write(&calm, &plan).expect("written");
        let whole = below(&calm.inner().tree(), DEST);
        let writes = calm.writes();
        assert_eq!(writes.last().map(|(operation, _)| *operation), Some(Operation::Publish), "the _metadata is last");
        assert_eq!(writes.len() > 10, copy, "{writes:?}");
        for effect in [
            Effect::Fail(StorageErrorKind::Other),
            Effect::FailAfter(StorageErrorKind::Transient),
            Effect::Tear(StorageErrorKind::Other),
            Effect::Crash,
        ] {
            for n in 1..=writes.len() {
                let (storage, plan) = prepared(copy);
                let fault = Fault::on(Operation::WRITES).nth(n as u64).with_effect(effect);
                let faulty = FaultyStorage::new(storage).with(fault);
                write(&faulty, &plan).expect_err("it failed");
                let storage = faulty.inner();
                let told = format!("{effect:?} at {:?}", writes[n - 1]);
                let keeps = [
                    CrashKeep::None,
                    CrashKeep::All,
                    CrashKeep::Seeded(n as u64),
                    CrashKeep::Seeded(1 << 40 | n as u64),
                ];
                for keep in keeps {
                    let left = storage.crash_clone(keep).tree();
                    assert_eq!(below(&left, "/ck/"), source, "{told}");
                    let there = is_there(&left, &whole);
                    assert!(!there || n == writes.len(), "{told}");
                }
                let tree = storage.tree();
                let there = is_there(&tree, &whole);
                let lost_answer = matches!(effect, Effect::FailAfter(_)) && n == writes.len();
                assert_eq!(there, lost_answer, "{told}");
                if matches!(effect, Effect::Fail(_)) {
                    assert_eq!(below(&tree, DEST), Tree::new(), "what was made is removed again: {told}");
                }
            }
        }
    }
}

#[test]
fn a_run_after_one_that_was_killed_at_the_metadata_writes_it() {
    let (storage, plan) = prepared(false);
    let killed = Fault::on(&[Operation::Publish]).with_effect(Effect::Crash);
    let faulty = FaultyStorage::new(storage).with(killed);
    write(&faulty, &plan).expect_err("killed");
    faulty.heal();
    assert!(!below(&faulty.inner().tree(), DEST).is_empty(), "half a _metadata under another name is left");
    write(&faulty, &plan).expect("written");
    assert_eq!(faulty.inner().read(&at(&format!("{DEST}/_metadata")), 1 << 20), Ok(plan.metadata));
}

#[test]
fn a_directory_that_somebody_filled_meanwhile_is_left_alone() {
    let (storage, plan) = prepared(true);
    storage.put(&at(&format!("{DEST}/mine")), b"mine").expect("put");
    write(&storage, &plan).expect_err("not empty");
    assert_eq!(
        below(&storage.tree(), DEST).into_values().filter(|bytes| !bytes.is_empty()).collect::<Vec<_>>(),
        [b"mine"]
    );
    // An empty one stays where the repair fails.
    storage.delete(&at(&format!("{DEST}/mine"))).expect("deleted");
    let faulty = FaultyStorage::new(storage).with(Fault::on(&[Operation::Publish]));
    write(&faulty, &plan).expect_err("it failed");
    assert_eq!(below(&faulty.inner().tree(), DEST).into_keys().collect::<Vec<_>>(), [format!("{DEST}/")]);
}

#[test]
fn a_file_that_is_written_to_meanwhile_ends_the_repair() {
    let (storage, plan) = prepared(true);
    let (name, _) = &plan.copies[0];
    storage.replace(&at(&format!("{SOURCE}/{name}")), b"shorter").expect("replaced");
    write(&storage, &plan).expect_err("it has another size");
    assert_eq!(below(&storage.tree(), DEST), Tree::new());
}
