//! What is known of runs, bringing them back and deleting them for good.

use super::*;
use crate::storage::faulty::{Fault, FaultyStorage, Operation};

fn put_aside(storage: &MemoryStorage) -> RunId {
    let plan = plan(storage);
    let outcome = carry_out(storage, storage.now(), &plan, &aside(), &mut Objects::default()).expect("done");
    outcome.run.expect("a run")
}

#[test]
fn a_run_can_be_brought_back_until_it_is_old_enough() {
    let storage = filled();
    let (run, ended) = (put_aside(&storage), storage.now());
    let summary = &runs(&storage, &[root()], KEEP_DELETED).expect("the runs")[0];
    assert_eq!((&summary.run, &summary.root, summary.files, summary.removed), (&run, &root(), 7, Some(7)));
    assert_eq!((summary.started, summary.finished), (Some(ended), Some(ended)));
    assert_eq!(summary.restorable_until, Some(ended + KEEP_DELETED));

    let older = Purge::OlderThan(KEEP_DELETED);
    storage.advance(KEEP_DELETED - SignedDuration::from_secs(1));
    let purged = delete_for_good(&storage, storage.now(), &[root()], &older).expect("nothing to do");
    assert_eq!((purged.runs, purged.files), (vec![], 0));
    storage.advance(SignedDuration::from_secs(1));
    let purged = delete_for_good(&storage, storage.now(), &[root()], &older).expect("done");
    assert_eq!((purged.runs, purged.files), (vec![run], 7));
    assert_eq!((outside(&storage), own(&storage)), (pruned(), vec!["trash/".to_owned()]));
}

#[test]
fn an_unfinished_run_goes_only_by_its_name() {
    let storage = filled();
    let plan = plan(&storage);
    let mut blind = Objects { fails_at: Some(3), ..Objects::default() };
    assert!(carry_out(&storage, storage.now(), &plan, &aside(), &mut blind).is_err());
    let run = unfinished(&storage, &[root()]).expect("the runs")[0].run.clone();
    let now = long_after(&storage);
    let older = delete_for_good(&storage, now, &[root()], &Purge::OlderThan(SignedDuration::ZERO)).expect("done");
    assert_eq!(older.runs, []);
    let named = delete_for_good(&storage, now, &[root()], &Purge::Run(run.clone())).expect("done");
    assert_eq!((named.runs, named.files), (vec![run.clone()], 5));
    for missing in [
        delete_for_good(&storage, now, &[root()], &Purge::Run(run.clone())).map(drop),
        bring_back(&storage, now, &[root()], &run).map(drop),
    ] {
        assert!(matches!(missing, Err(ChangeError::Run { .. })), "{missing:?}");
    }
}

#[test]
fn several_runs_come_back_each_by_its_name() {
    let storage = filled();
    let before = outside(&storage);
    let all = plan(&storage);
    let (first, second) = GOING.split_at(2);
    let mut runs = Vec::new();
    for going in [first, second] {
        let plan = plan_of(&storage, &[root()], going);
        let outcome = carry_out(&storage, storage.now(), &plan, &aside(), &mut Objects::default()).expect("done");
        runs.push(outcome.run.expect("a run"));
        storage.advance(SignedDuration::from_secs(1));
    }
    assert_eq!(outside(&storage), pruned());
    for run in runs.iter().rev() {
        bring_back(&storage, storage.now(), &[root()], run).expect("brought back");
    }
    assert_eq!((outside(&storage), all), (before, plan(&storage)));
}

#[test]
fn what_is_there_now_is_not_replaced_and_holds_its_snapshot_back() {
    // A file of one snapshot's own, and one that any may need.
    for (taken, held) in [("chk-1/e1", vec!["chk-1"]), ("shared/s1", vec!["chk-1", "chk-2"])] {
        let storage = filled();
        let run = put_aside(&storage);
        let taken = at(&format!("{ROOT}/{JOB}/{taken}"));
        storage.put(&taken, b"new").expect("a file");
        let restored = bring_back(&storage, storage.now(), &[root()], &run).expect("as far as it goes");
        assert_eq!(restored.failed.iter().map(|left| &left.place).collect::<Vec<_>>(), [&taken]);
        let back: Vec<String> =
            restored.held_back.iter().map(|left| left.place.parent().expect("a directory").name().to_owned()).collect();
        assert_eq!(back, held);
        assert_eq!(storage.read(&taken, 10), Ok(b"new".to_vec()));
        no_snapshot_is_half_there(&storage.tree(), ROOT);
        // No purge takes it by its age.
        let now = long_after(&storage);
        delete_for_good(&storage, now, &[root()], &Purge::OlderThan(SignedDuration::ZERO)).expect("nothing to do");
        // When the place is free, the rest follows.
        storage.delete(&taken).expect("deleted");
        bring_back(&storage, now, &[root()], &run).expect("brought back");
        assert_eq!(outside(&storage), outside(&filled()));
    }
}

#[test]
fn a_file_that_is_there_already_holds_nothing_back() {
    let storage = filled();
    let run = put_aside(&storage);
    let path = job("JOB/chk-1/e1");
    storage.put(&at(&format!("{ROOT}/{path}")), path.as_bytes()).expect("the same file");
    let restored = bring_back(&storage, storage.now(), &[root()], &run).expect("brought back");
    assert_eq!((restored.failed.len(), restored.held_back.len()), (1, 0));
    assert_eq!(outside(&storage), outside(&filled()));
}

#[test]
fn a_file_that_cannot_be_brought_back_holds_its_snapshot_back() {
    let storage = filled();
    let run = put_aside(&storage);
    let fault = Fault::on(&[Operation::Rename]).at("chk-2/e3").failing(StorageErrorKind::PermissionDenied);
    let faulty = FaultyStorage::new(storage.clone()).with(fault);
    let restored = bring_back(&faulty, storage.now(), &[root()], &run).expect("as far as it goes");
    assert_eq!((restored.failed.len(), restored.held_back.len(), restored.files), (1, 1, 5));
    no_snapshot_is_half_there(&storage.tree(), ROOT);
}

#[test]
fn an_interrupted_purge_or_undelete_can_be_done_again() {
    let storage = filled();
    let (run, now) = (put_aside(&storage), storage.now());
    let (interrupted, clock) = (AtomicBool::new(false), || now);
    let interrupt = |_| interrupted.store(true, Ordering::Relaxed);
    let stopping = Control { interrupted: &interrupted, per_second: None, progress: &interrupt };
    let mut locks = Locks::take(&storage, &[root()], "me", &clock).expect("locked");
    let restored = undelete(&storage, &mut locks, &[root()], &run, stopping).expect("stopped");
    assert!(restored.interrupted && restored.files < 7);
    interrupted.store(false, Ordering::Relaxed);
    let what = Purge::Run(run.clone());
    let other = storage.crash_clone(crate::storage::CrashKeep::All);
    let purged = purge(&storage, &mut locks, &[root()], &what, stopping).expect("stopped");
    assert!(purged.interrupted && purged.files < 7);
    assert!(undelete(&storage, &mut locks, &[root()], &run, control()).is_err(), "half of it is gone for good");
    assert!(!purge(&storage, &mut locks, &[root()], &what, control()).expect("done").interrupted);
    assert!(runs(&storage, &[root()], KEEP_DELETED).expect("the runs").is_empty());
    other.create_dirs(&at("/other")).expect("created");
    let mut locks = Locks::take(&other, &[at("/other")], "me", &clock).expect("locked");
    assert!(undelete(&other, &mut locks, &[root()], &run, control()).is_err(), "its root is not locked");
}

#[test]
fn what_cannot_be_understood_in_a_journal_is_neither_carried_on_with_nor_deleted() {
    let storage = filled();
    let run = put_aside(&storage);
    let end = at(&format!("{ROOT}/.chkctl/trash/{run}/end.json"));
    storage.replace(&end, b"{").expect("written");
    assert_eq!(unfinished(&storage, &[root()]), Ok(vec![]));
    let now = long_after(&storage);
    let purged = delete_for_good(&storage, now, &[root()], &Purge::OlderThan(SignedDuration::ZERO)).expect("done");
    assert_eq!(purged.runs, []);
    bring_back(&storage, now, &[root()], &run).expect("brought back");
    assert_eq!(outside(&storage), outside(&filled()));
}
