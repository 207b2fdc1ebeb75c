//! A promote that fails, is killed, or whose machine stops, at every operation: DEST is absent or whole, the source is what
//! it was, and the next run completes it.

use super::super::support::Case;
use super::made::{at, in_memory, judge, promote, snapshots};
use chkctl::model::Location;
use chkctl::promote::{Options, PromoteError};
use chkctl::seal::{self, Checked};
use chkctl::storage::faulty::{Effect, Fault, FaultyStorage, Operation, Which};
use chkctl::storage::{CrashKeep, MemoryStorage, Storage, StorageErrorKind, WriteStorage};
use chkctl::survey::{Catalog, Silent, Verdict};
use std::collections::BTreeMap;

const DEST: &str = "/backup/copy";

/// A case in memory, and one of its snapshots.
fn source(name: &str) -> (MemoryStorage, Location) {
    let case = Case::named(name);
    let snapshot = snapshots(&case).pop().expect("a snapshot");
    (in_memory(&case), snapshot)
}

/// What is not below the directory that holds the copy.
fn without_copies(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    storage.tree().into_iter().filter(|(path, _)| !path.starts_with("/backup")).collect()
}

/// Says whether DEST is there. What is, is whole, and all of it as it was sealed.
fn is_there(storage: &MemoryStorage) -> bool {
    if storage.stat(&at(DEST)).is_err() {
        let seen = Catalog::scan(storage, &[at("/")]).expect("a scan").snapshots;
        assert!(seen.iter().all(|snapshot| !snapshot.dir.path().starts_with("/backup")), "half a copy looks like one");
        return false;
    }
    let judge = judge(storage);
    let snapshot = Catalog::scan(storage, &[at(DEST)]).expect("a scan").snapshots.remove(0);
    let mut report = judge.judge(&snapshot);
    let checked = seal::check(&judge, &snapshot, &mut report, &Silent);
    assert!(matches!(checked, Checked::Compared { .. }), "{checked:?}");
    assert_eq!(report.verdict, Verdict::Restorable, "{:?}", report.findings);
    true
}

/// Checks what a run left, and lets the next one complete it.
fn check(left: &MemoryStorage, before: &BTreeMap<String, Vec<u8>>, snapshot: &Location, how: &str) {
    assert!(without_copies(left) == *before, "{how}: the source was changed");
    if is_there(left) {
        return;
    }
    let again = promote(left, snapshot, &at(DEST), &Options::default());
    again.unwrap_or_else(|error| panic!("{how}: the next run fails: {error}"));
    assert!(is_there(left), "{how}");
    let names: Vec<String> = left.tree().into_keys().filter(|path| path.contains("chkctl-promote")).collect();
    assert!(names.is_empty(), "{how}: {names:?} is left");
}

#[test]
fn failed_killed_or_stopped_at_any_write_dest_is_absent_or_whole() {
    let (store, snapshot) = source("wc-filemerging-rocksdb-2.3.0");
    let before = without_copies(&store);
    let trial = FaultyStorage::new(store.crash_clone(CrashKeep::All));
    promote(&trial, &snapshot, &at(DEST), &Options::default()).expect("no fault");
    let writes = trial.writes().len() as u64;
    assert!(writes > 40, "{writes}");
    let other = StorageErrorKind::Other;
    for number in 1..=writes {
        for effect in [Effect::Fail(other), Effect::FailAfter(other), Effect::Tear(other), Effect::Crash] {
            let inner = store.crash_clone(CrashKeep::All);
            let faulty = FaultyStorage::new(inner.clone());
            faulty.inject(Fault::on(Operation::WRITES).nth(number).with_effect(effect));
            let ended = promote(&faulty, &snapshot, &at(DEST), &Options::default());
            let how = format!("{effect:?} at write {number} of {writes}");
            // A file that could not be tidied away is no reason to fail; everything else is.
            assert!(ended.is_err() || effect != Effect::Crash, "{how}");
            if ended.is_ok() {
                assert!(is_there(&inner), "{how}");
            }
            // A machine that stops takes more with it than an error does.
            let crashes = [CrashKeep::All, CrashKeep::None, CrashKeep::Seeded(number)];
            for keep in crashes.into_iter().take(if effect == Effect::Crash { 3 } else { 1 }) {
                check(&inner.crash_clone(keep), &before, &snapshot, &format!("{how}, {keep:?}"));
            }
        }
    }
}

#[test]
fn a_copy_that_was_made_survives_a_machine_that_stops() {
    let (store, snapshot) = source("wc-filemerging-rocksdb-2.3.0");
    promote(&store, &snapshot, &at(DEST), &Options::default()).expect("promoted");
    for keep in [CrashKeep::None, CrashKeep::Seeded(1), CrashKeep::Seeded(2)] {
        assert!(is_there(&store.crash_clone(keep)), "{keep:?}");
    }
}

#[test]
fn a_read_that_fails_gives_no_copy_that_lacks_something() {
    let (store, snapshot) = source("wc-claim-chain-1.20.5");
    let before = without_copies(&store);
    for operation in
        [Operation::Stat, Operation::List, Operation::Lookup, Operation::Read, Operation::ReadRange, Operation::Open]
    {
        let operations: &'static [Operation] = Box::leak(Box::new([operation]));
        for number in 1..=12 {
            for kind in [StorageErrorKind::Other, StorageErrorKind::NotFound] {
                let inner = store.crash_clone(CrashKeep::All);
                let faulty = FaultyStorage::new(inner.clone());
                faulty.inject(Fault::on(operations).calls(Which::Nth(number)).failing(kind));
                let ended = promote(&faulty, &snapshot, &at(DEST), &Options::default());
                let how = format!("{kind:?} at {operation:?} {number}");
                assert_eq!(ended.is_ok(), is_there(&inner), "{how}");
                check(&inner, &before, &snapshot, &how);
            }
        }
    }
}

#[test]
fn what_was_copied_is_not_copied_again_unless_it_is_not_the_same() {
    let (store, snapshot) = source("wc-claim-chain-1.20.5");
    let faulty = FaultyStorage::new(store.clone());
    faulty.inject(Fault::on(&[Operation::Create]).at(".metadata").with_effect(Effect::Crash));
    promote(&faulty, &snapshot, &at(DEST), &Options::default()).expect_err("stopped before the _metadata");
    let staged: Vec<String> = store.tree().into_keys().filter(|path| path.contains(".copy.chkctl-promote/")).collect();
    let hidden = |path: &&String| path.rsplit('/').next().is_none_or(|name| name.is_empty() || name.starts_with('.'));
    let files: Vec<&String> = staged.iter().filter(|path| !hidden(path)).collect();
    assert!(files.len() > 3, "{staged:?}");
    let damaged = at(files[0]);
    let mut bytes = store.read(&damaged, u64::MAX).expect("readable");
    *bytes.last_mut().expect("bytes") ^= 1;
    store.put(&damaged, &bytes).expect("put");
    store.put(&at("/backup/.copy.chkctl-promote/stray"), b"x").expect("put");
    let (copied, _) = promote(&store, &snapshot, &at(DEST), &Options::default()).expect("it goes on");
    assert_eq!((copied.files, copied.kept), (1, files.len() as u64 - 1));
    assert!(is_there(&store));
    assert!(store.stat(&at(&format!("{DEST}/stray"))).is_err());
}

#[test]
fn what_was_copied_for_another_snapshot_does_not_count() {
    let case = Case::named("wc-rocksdb-retained5-2.3.0");
    let store = in_memory(&case);
    let all = snapshots(&case);
    let (first, last) = (&all[0], &all[all.len() - 1]);
    let faulty = FaultyStorage::new(store.clone());
    faulty.inject(Fault::on(&[Operation::Create]).at(".metadata").with_effect(Effect::Crash));
    promote(&faulty, first, &at(DEST), &Options::default()).expect_err("stopped");
    let (copied, _) = promote(&store, last, &at(DEST), &Options::default()).expect("promoted");
    assert_eq!(copied.kept, 0);
    assert!(is_there(&store));
}

#[test]
fn a_dest_that_appears_meanwhile_is_left_alone() {
    let (store, snapshot) = source("wc-heap-files-1.20.5");
    store.put(&at(&format!("{DEST}/mine")), b"x").expect("put");
    let ended = promote(&store, &snapshot, &at(DEST), &Options::default());
    assert!(matches!(ended, Err(PromoteError::Exists(_))), "{ended:?}");
    assert_eq!(store.read(&at(&format!("{DEST}/mine")), 9), Ok(b"x".to_vec()));
}

#[test]
fn a_dest_that_nothing_can_take_the_place_of_is_said_to_be_so_before_anything_is_copied() {
    let (store, snapshot) = source("wc-heap-files-1.20.5");
    store.create_dirs(&at(DEST)).expect("created");
    // As the system refuses to remove a mount point.
    let busy = FaultyStorage::new(store.clone()).with(Fault::on(&[Operation::DeleteEmptyDir]).at(DEST));
    let ended = promote(&busy, &snapshot, &at(DEST), &Options::default());
    let Err(PromoteError::Refused(why)) = ended else { panic!("{ended:?}") };
    assert!(why.contains("mount point") && why.contains("/backup/copy/copy"), "{why}");
    assert_eq!(busy.writes().len(), 1, "nothing was begun");
}
