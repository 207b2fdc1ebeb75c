//! What goes, what stays, and in which order.

use super::*;
use crate::storage::faulty::{Effect, Fault, FaultyStorage, Operation, Which};

fn done(storage: &dyn WriteStorage, now: Timestamp, plan: &Plan, how: &How) -> Outcome {
    carry_out(storage, now, plan, how, &mut Objects::default()).expect("done")
}

fn places(left: &[Left]) -> Vec<&str> {
    left.iter().map(|left| left.place.path().rsplit_once("7e8f90/").map_or("", |(_, path)| path)).collect()
}

#[test]
fn exactly_what_is_planned_goes_and_comes_back() {
    let storage = filled();
    let before = outside(&storage);
    let outcome = done(&storage, storage.now(), &plan(&storage), &aside());
    assert_eq!(outside(&storage), pruned());
    assert_eq!((outcome.files, outcome.directories, outcome.gone), (7, 2, 0));
    let sizes = GOING.iter().filter(|(phase, ..)| *phase != Phase::Directory);
    assert_eq!(outcome.bytes, sizes.map(|(_, dir, name)| job(dir).len() as u64 + 1 + name.len() as u64).sum::<u64>());
    let run = outcome.run.expect("a run");
    let restored = bring_back(&storage, storage.now(), &[root()], &run).expect("brought back");
    assert_eq!((restored.files, restored.bytes), (7, outcome.bytes));
    assert_eq!(outside(&storage), before);
    assert_eq!(own(&storage), ["trash/"], "no lock and no journal is left");
}

#[test]
fn a_run_that_found_nothing_to_do_leaves_nothing() {
    for how in [aside(), instant()] {
        let storage = filled();
        let plan = plan(&storage);
        done(&storage, storage.now(), &plan, &instant());
        let before = own(&storage);
        let again = done(&storage, storage.now(), &plan, &how);
        assert_eq!((again.run, again.gone, again.files), (None, 9, 0));
        assert_eq!(own(&storage), before);
    }
}

#[test]
fn what_is_deleted_at_once_leaves_a_small_record() {
    let storage = filled();
    let outcome = done(&storage, storage.now(), &plan(&storage), &instant());
    assert_eq!((outside(&storage), outcome.files), (pruned(), 7));
    let run = outcome.run.expect("a run");
    assert_eq!(own(&storage), ["trash/".to_owned(), format!("trash/{run}/"), format!("trash/{run}/end.json")]);
}

#[test]
fn every_metadata_is_durably_gone_before_any_other_file_goes_and_each_phase_follows_the_last() {
    let storage = filled();
    let plan = plan(&storage);
    let faulty = FaultyStorage::new(storage.clone());
    done(&faulty, storage.now(), &plan, &aside());
    let writes = faulty.writes();
    let first = |wanted: Operation, end: &str| {
        let found = writes.iter().position(|(operation, place)| *operation == wanted && place.ends_with(end));
        found.unwrap_or_else(|| panic!("no {wanted:?} of {end}"))
    };
    let order = [
        first(Operation::Publish, "plan.1.json"),
        first(Operation::Rename, "chk-1/_metadata"),
        first(Operation::Rename, "chk-2/_metadata"),
        first(Operation::SyncDir, "tree.1/a1b2c3d4e5f60718293a4b5c6d7e8f90/chk-1"),
        first(Operation::SyncDir, "/ck/a1b2c3d4e5f60718293a4b5c6d7e8f90/chk-2"),
        first(Operation::Rename, "e1"),
        first(Operation::Rename, "s1"),
        first(Operation::DeleteEmptyDir, "chk-1"),
        first(Operation::Replace, "end.json"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    let sync = first(Operation::SyncDir, "/ck/a1b2c3d4e5f60718293a4b5c6d7e8f90/chk-1");
    assert!(order[3] < sync && sync < order[5], "in the trash before gone: {order:?}, {sync}");
}

#[test]
fn a_snapshot_that_somebody_needs_keeps_its_files_and_all_shared_ones() {
    for how in [aside(), instant()] {
        let storage = filled();
        let mut objects = Objects { to: vec![(1, "chk-1/_metadata")], ..Objects::default() };
        let outcome = carry_out(&storage, storage.now(), &plan(&storage), &how, &mut objects).expect("done");
        assert_eq!(places(&outcome.skipped), ["chk-1/_metadata", "chk-1", "shared", "chk-1"]);
        assert_eq!(outcome.skipped[1].count, 2);
        assert_eq!((outcome.files, outcome.directories), (2, 1), "chk-2 goes");
        no_snapshot_is_half_there(&storage.tree(), ROOT);
    }
}

#[test]
fn a_metadata_that_cannot_be_put_aside_or_not_durably_keeps_the_files_of_its_snapshot() {
    for operation in [&[Operation::Rename][..], &[Operation::SyncDir]] {
        let storage = filled();
        let part = if operation == [Operation::Rename] { "chk-1/_metadata" } else { "chk-1" };
        let fault = Fault::on(operation).at(part).failing(StorageErrorKind::PermissionDenied);
        let faulty = FaultyStorage::new(storage.clone()).with(fault);
        let outcome = done(&faulty, storage.now(), &plan(&storage), &aside());
        assert!(!outcome.failed.is_empty());
        assert_eq!(places(&outcome.skipped), ["chk-1", "shared", "chk-1"]);
        for file in ["chk-1/e1", "chk-1/e2", "shared/s1", "shared/s2"] {
            assert!(storage.tree().contains_key(&format!("{ROOT}/{JOB}/{file}")), "{file}");
        }
    }
}

#[test]
fn a_file_that_was_changed_is_left_alone_and_one_that_is_gone_is_done() {
    for how in [aside(), instant()] {
        let storage = filled();
        let plan = plan(&storage);
        let place = |file: &str| at(&format!("{ROOT}/{JOB}/{file}"));
        storage.put(&place("shared/s1"), b"longer than it was, by a good deal of bytes").expect("written");
        storage.set_modified(&place("chk-1/e1"), long_after(&storage)).expect("touched");
        storage.delete(&place("chk-1/e2")).expect("deleted");
        storage.delete(&place("chk-2/e3")).expect("deleted");
        storage.create_dirs(&place("chk-2/e3")).expect("a directory");
        let outcome = done(&storage, storage.now(), &plan, &how);
        assert_eq!(places(&outcome.skipped), ["chk-1/e1", "chk-2/e3", "shared/s1", "chk-1", "chk-2"]);
        assert_eq!((outcome.gone, outcome.files), (1, 3));
        assert_eq!(outcome.failed, []);
    }
}

#[test]
fn a_directory_into_which_something_came_stays() {
    let storage = filled();
    let plan = plan(&storage);
    let new = at(&format!("{ROOT}/{JOB}/chk-1/new"));
    storage.put(&new, b"x").expect("a file");
    let outcome = done(&storage, storage.now(), &plan, &aside());
    assert_eq!(places(&outcome.skipped), ["chk-1"]);
    assert_eq!((outcome.directories, outcome.failed), (1, vec![]));
    assert!(storage.stat(&new).is_ok());
}

#[test]
fn one_file_that_cannot_go_does_not_keep_others() {
    for how in [aside(), instant()] {
        let storage = filled();
        let writes = &[Operation::Rename, Operation::Delete];
        let fault = Fault::on(writes).at("shared/s1").failing(StorageErrorKind::PermissionDenied);
        let outcome = done(&FaultyStorage::new(storage.clone()).with(fault), storage.now(), &plan(&storage), &how);
        assert_eq!((places(&outcome.failed), outcome.files), (vec!["shared/s1"], 6));
    }
}

#[test]
fn an_interrupted_run_stops_between_pieces_and_is_carried_on_with() {
    for how in [aside(), instant()] {
        let storage = filled();
        let before = outside(&storage);
        let (plan, now) = (plan(&storage), storage.now());
        let (interrupted, clock) = (AtomicBool::new(false), || now);
        let interrupt = |_| interrupted.store(true, Ordering::Relaxed);
        let control = Control { interrupted: &interrupted, per_second: None, progress: &interrupt };
        let mut locks = Locks::take(&storage, &plan.roots, "me", &clock).expect("locked");
        let outcome = execute(&storage, &mut locks, &plan, &how, control, &mut Objects::default()).expect("stopped");
        drop(locks);
        assert_eq!((outcome.interrupted, outcome.files), (true, 1));
        let run = outcome.run.expect("a run");
        let open = UnfinishedRun { run: run.clone(), root: root() };
        assert_eq!(unfinished(&storage, &[root()]), Ok(vec![open]));
        assert_eq!(recorded_plan(&storage, &root(), &run), Ok(plan.clone()));
        let wanted = How { run: Some(run.clone()), ..how.clone() };
        let outcome = done(&storage, now, &plan, &wanted);
        assert_eq!((outcome.run.as_ref(), outcome.files, outcome.gone), (Some(&run), 6, 1));
        assert_eq!((outside(&storage), unfinished(&storage, &[root()])), (pruned(), Ok(vec![])));
        assert!(carry_out(&storage, now, &plan, &wanted, &mut Objects::default()).is_err(), "it is finished");
        if !how.instant {
            bring_back(&storage, now, &[root()], &run).expect("brought back");
            assert_eq!(outside(&storage), before);
        }
    }
}

#[test]
fn a_run_keeps_to_its_rate() {
    let storage = filled();
    let (plan, now) = (plan(&storage), storage.now());
    let told = std::sync::Mutex::new(Vec::new());
    let progress = |names| told.lock().expect("unharmed").push(names);
    let per_second = NonZeroU32::new(100);
    let control = Control { interrupted: &RUNNING, per_second, progress: &progress };
    let clock = || now;
    let mut locks = Locks::take(&storage, &plan.roots, "me", &clock).expect("locked");
    let began = Instant::now();
    execute(&storage, &mut locks, &plan, &aside(), control, &mut Objects::default()).expect("done");
    assert!(began.elapsed() >= Duration::from_millis(90), "nine names at a hundred in a second");
    assert_eq!(told.lock().expect("unharmed").iter().sum::<u64>(), 9);
}

#[test]
fn a_plan_that_could_lead_elsewhere_is_refused() {
    let storage = filled();
    let good = plan(&storage);
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        let result = carry_out(&storage, storage.now(), &plan, &aside(), &mut Objects::default());
        assert!(matches!(result, Err(ChangeError::Plan(_))), "{result:?}");
    };
    refused(&|plan| plan.version = 2);
    refused(&|plan| plan.blocked = true);
    refused(&|plan| plan.batches[0].root = 1);
    refused(&|plan| plan.batches.reverse());
    refused(&|plan| plan.batches[3].items[0].name = "_metadata".to_owned());
    refused(&|plan| plan.batches[0].items[0].name = "e1".to_owned());
    refused(&|plan| plan.roots.push(at(&format!("/ck/{JOB}"))));
    for dir in ["..", "a/../../b", "/a", "a/", "a//b", ".", ".chkctl", "a/.chkctl/trash", "a\\..\\b"] {
        refused(&|plan| plan.batches[2].dir = dir.to_owned());
    }
    for name in ["", ".", "..", "a/b", "../a", "a\\b", "a\0", ".chkctl"] {
        refused(&|plan| plan.batches[2].items[0].name = name.to_owned());
    }
    let outside: Vec<String> = outside(&storage).into_keys().filter(|path| !path.ends_with("/.chkctl/")).collect();
    assert!(outside.iter().eq(super::outside(&filled()).keys()), "{outside:?}");
}

#[test]
fn what_cannot_be_seen_ends_a_run_which_can_be_carried_on_with() {
    for look in 1..=5 {
        let storage = filled();
        let (before, plan) = (outside(&storage), plan(&storage));
        let mut blind = Objects { fails_at: Some(look), ..Objects::default() };
        let ended = carry_out(&storage, storage.now(), &plan, &aside(), &mut blind);
        assert!(matches!(ended, Err(ChangeError::Recheck(_))), "look {look}: {ended:?}");
        assert_eq!(outside(&storage) == before, look == 1, "look {look}");
        done(&storage, storage.now(), &plan, &aside());
        assert_eq!(outside(&storage), pruned(), "look {look}");
        assert_eq!(unfinished(&storage, &[root()]), Ok(vec![]));
    }
}

#[test]
fn where_looking_fails_nothing_goes() {
    let storage = filled();
    let plan = plan(&storage);
    let faulty = FaultyStorage::new(storage.clone());
    faulty.inject(
        Fault::on(&[Operation::Stat])
            .at(JOB)
            .calls(Which::Every)
            .with_effect(Effect::Fail(StorageErrorKind::Transient)),
    );
    let outcome = done(&faulty, storage.now(), &plan, &aside());
    assert_eq!((outcome.files, outside(&storage)), (0, outside(&filled())));
}
