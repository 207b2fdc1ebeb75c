//! A run is cut short, or fails, at each of its writes.

use super::*;
use crate::storage::CrashKeep;
use crate::storage::faulty::{Effect, Fault, FaultyStorage, Operation};

type Faulty = FaultyStorage<MemoryStorage>;

const KEEPS: &[CrashKeep] = &[CrashKeep::None, CrashKeep::All, CrashKeep::Seeded(1), CrashKeep::Seeded(2)];

/// A store whose writes from now on are counted from 1.
fn faulty(storage: &MemoryStorage) -> Faulty {
    FaultyStorage::new(storage.clone())
}

/// How many writes something has when nothing fails.
fn writes(storage: &MemoryStorage, act: impl FnOnce(&Faulty)) -> u64 {
    let calm = faulty(&storage.crash_clone(CrashKeep::All));
    act(&calm);
    calm.writes().len() as u64
}

/// Does something on a copy of the store that crashes at a write, and gives what is left after the reboot.
fn crashed_at(storage: &MemoryStorage, n: u64, keep: CrashKeep, act: impl FnOnce(&Faulty)) -> MemoryStorage {
    let storage = storage.crash_clone(CrashKeep::All);
    let faulty = faulty(&storage).with(Fault::on(Operation::WRITES).nth(n).with_effect(Effect::Crash));
    act(&faulty);
    storage.crash(keep);
    storage.advance(SignedDuration::from_hours(1));
    storage
}

fn run_of(storage: &MemoryStorage, roots: &[Location]) -> Option<RunId> {
    let mut runs: Vec<RunId> =
        runs(storage, roots, KEEP_DELETED).expect("the runs").into_iter().map(|summary| summary.run).collect();
    runs.dedup();
    assert!(runs.len() <= 1, "a run that was cut short is gone on with: {runs:?}");
    runs.pop()
}

/// A tree below both roots.
fn in_both(tree: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let other = |(path, bytes): (&String, &Vec<u8>)| (path.replacen("/ck/", "/ck2/", 1), bytes.clone());
    let other: Vec<_> = tree.iter().map(other).collect();
    tree.into_iter().chain(other).collect()
}

fn two_roots() -> (MemoryStorage, Vec<Location>, Plan) {
    let storage = MemoryStorage::new();
    let roots = vec![at("/ck"), at("/ck2")];
    for (path, bytes) in in_both(filled().tree()).into_iter().filter(|(path, _)| !path.ends_with('/')) {
        storage.put(&at(&path), &bytes).expect("a file");
    }
    let plan = plan_of(&storage, &roots, GOING);
    (storage, roots, plan)
}

#[test]
fn after_a_crash_at_any_write_the_plan_can_be_done_again_and_all_of_it_brought_back() {
    let (storage, roots, plan) = two_roots();
    let before = outside(&storage);
    let now = storage.now();
    let act = |faulty: &Faulty| drop(carry_out(faulty, now, &plan, &aside(), &mut Objects::default()));
    let count = writes(&storage, act);
    assert!(count > 60, "{count} writes");
    for n in 1..=count {
        for keep in KEEPS {
            let left = crashed_at(&storage, n, *keep, act);
            for root in &roots {
                no_snapshot_is_half_there(&left.tree(), root.path());
            }
            // Brought back as it is,
            let other = left.crash_clone(CrashKeep::All);
            if let Some(run) = run_of(&other, &roots) {
                bring_back(&other, other.now(), &roots, &run).unwrap_or_else(|e| panic!("write {n}: {e}"));
            }
            assert_eq!(outside(&other), before, "write {n}, {keep:?}");
            // or carried on with, and then brought back.
            let outcome = carry_out(&left, left.now(), &plan, &aside(), &mut Objects::default());
            let outcome = outcome.unwrap_or_else(|e| panic!("write {n}: {e}"));
            assert_eq!((outcome.skipped, outcome.failed), (vec![], vec![]), "write {n}");
            assert_eq!(outside(&left), in_both(pruned()), "write {n}");
            let run = run_of(&left, &roots).expect("one run, which was carried on with");
            let restored = bring_back(&left, left.now(), &roots, &run).expect("brought back");
            assert_eq!(restored.failed, [], "write {n}");
            assert_eq!(outside(&left), before, "write {n}, {keep:?}");
            assert_eq!(run_of(&left, &roots), None, "nothing is left of the run");
        }
    }
}

#[test]
fn when_any_write_fails_the_rest_is_done_and_all_of_it_can_be_brought_back() {
    for kind in [StorageErrorKind::Other, StorageErrorKind::PermissionDenied] {
        for effect in [Effect::Fail(kind), Effect::FailAfter(kind), Effect::Tear(kind)] {
            let storage = filled();
            let (before, plan, now) = (outside(&storage), plan(&storage), storage.now());
            let act = |faulty: &Faulty| carry_out(faulty, now, &plan, &aside(), &mut Objects::default());
            for n in 1..=writes(&storage, |faulty| drop(act(faulty))) {
                let left = storage.crash_clone(CrashKeep::All);
                let faulty = faulty(&left).with(Fault::on(Operation::WRITES).nth(n).with_effect(effect));
                let _ = act(&faulty);
                no_snapshot_is_half_there(&left.tree(), ROOT);
                let now = long_after(&left);
                carry_out(&left, now, &plan, &aside(), &mut Objects::default()).expect("done");
                assert_eq!(outside(&left), pruned(), "write {n}");
                let all = runs(&left, &[root()], KEEP_DELETED).expect("the runs");
                for summary in all.into_iter().rev() {
                    let restored = bring_back(&left, now, &[root()], &summary.run).expect("brought back");
                    assert_eq!(restored.failed, [], "write {n}");
                }
                assert_eq!(outside(&left), before, "write {n}, {effect:?}");
            }
        }
    }
}

#[test]
fn bringing_back_can_be_cut_short_at_any_write() {
    let (storage, roots, plan) = two_roots();
    let before = outside(&storage);
    let outcome = carry_out(&storage, storage.now(), &plan, &aside(), &mut Objects::default()).expect("done");
    let run = outcome.run.expect("a run");
    let now = storage.now();
    let act = |faulty: &Faulty| drop(bring_back(faulty, now, &roots, &run));
    for n in 1..=writes(&storage, act) {
        for keep in KEEPS {
            let left = crashed_at(&storage, n, *keep, act);
            for root in &roots {
                no_snapshot_is_half_there(&left.tree(), root.path());
            }
            assert_eq!(unfinished(&left, &roots).expect("the runs"), [], "it is not carried on with: write {n}");
            if run_of(&left, &roots).is_some() {
                let restored = bring_back(&left, left.now(), &roots, &run).expect("brought back");
                assert_eq!((restored.failed, restored.held_back), (vec![], vec![]), "write {n}");
            }
            assert_eq!(outside(&left), before, "write {n}, {keep:?}");
            assert_eq!(run_of(&left, &roots), None, "write {n}");
        }
    }
}

#[test]
fn no_run_goes_on_with_one_that_is_being_brought_back() {
    let (storage, roots, plan) = two_roots();
    let before = outside(&storage);
    let mut blind = Objects { fails_at: Some(4), ..Objects::default() };
    assert!(carry_out(&storage, storage.now(), &plan, &aside(), &mut blind).is_err());
    let run = unfinished(&storage, &roots).expect("the runs")[0].run.clone();
    let now = storage.now();
    let act = |faulty: &Faulty| drop(bring_back(faulty, now, &roots, &run));
    for n in 1..=writes(&storage, act) {
        let left = crashed_at(&storage, n, CrashKeep::All, act);
        let known = |left: &MemoryStorage| runs(left, &roots, KEEP_DELETED).expect("the runs");
        let begun = known(&left).iter().any(|summary| summary.state == Some(EndState::Undeleting));
        let outcome = carry_out(&left, left.now(), &plan, &aside(), &mut Objects::default()).expect("done");
        assert_eq!(outside(&left), in_both(pruned()), "write {n}");
        if begun {
            assert_ne!(outcome.run.as_ref(), Some(&run), "write {n}");
        }
        let mut all: Vec<RunId> = known(&left).into_iter().map(|summary| summary.run).collect();
        all.dedup();
        for run in all.iter().rev() {
            bring_back(&left, left.now(), &roots, run).expect("brought back");
        }
        assert_eq!(outside(&left), before, "write {n}");
    }
}

#[test]
fn when_any_write_of_bringing_back_fails_no_snapshot_is_half_there_and_it_can_be_done_again() {
    let storage = filled();
    let (before, plan) = (outside(&storage), plan(&storage));
    let outcome = carry_out(&storage, storage.now(), &plan, &aside(), &mut Objects::default()).expect("done");
    let (run, now) = (outcome.run.expect("a run"), storage.now());
    let act = |faulty: &Faulty| drop(bring_back(faulty, now, &[root()], &run));
    for n in 1..=writes(&storage, act) {
        for effect in [Effect::Fail(StorageErrorKind::Other), Effect::FailAfter(StorageErrorKind::Other)] {
            let left = storage.crash_clone(CrashKeep::All);
            act(&faulty(&left).with(Fault::on(Operation::WRITES).nth(n).with_effect(effect)));
            no_snapshot_is_half_there(&left.tree(), ROOT);
            let now = long_after(&left);
            if run_of(&left, &[root()]).is_some() {
                bring_back(&left, now, &[root()], &run).expect("brought back");
            }
            assert_eq!(outside(&left), before, "write {n}, {effect:?}");
            assert_eq!(run_of(&left, &[root()]), None, "write {n}");
        }
    }
}

#[test]
fn deleting_at_once_can_be_cut_short_at_any_write() {
    let (storage, roots, plan) = two_roots();
    let now = storage.now();
    let act = |faulty: &Faulty| drop(carry_out(faulty, now, &plan, &instant(), &mut Objects::default()));
    for n in 1..=writes(&storage, act) {
        for keep in KEEPS {
            let left = crashed_at(&storage, n, *keep, act);
            for root in &roots {
                no_snapshot_is_half_there(&left.tree(), root.path());
            }
            let outcome = carry_out(&left, left.now(), &plan, &instant(), &mut Objects::default()).expect("done");
            assert_eq!((outcome.skipped, outcome.failed), (vec![], vec![]), "write {n}");
            assert_eq!(outside(&left), in_both(pruned()), "write {n}");
            assert!(!own(&left).iter().any(|path| path.contains("tree.")), "write {n}");
        }
    }
}

#[test]
fn deleting_for_good_can_be_cut_short_at_any_write_and_is_never_taken_back_half() {
    let storage = filled();
    let plan = plan(&storage);
    let outcome = carry_out(&storage, storage.now(), &plan, &aside(), &mut Objects::default()).expect("done");
    let run = outcome.run.expect("a run");
    let now = storage.now();
    for what in [Purge::OlderThan(SignedDuration::ZERO), Purge::Run(run.clone())] {
        let act = |faulty: &Faulty| drop(delete_for_good(faulty, now, &[root()], &what));
        for n in 1..=writes(&storage, act) {
            for keep in KEEPS {
                let left = crashed_at(&storage, n, *keep, act);
                assert_eq!(outside(&left), pruned(), "write {n}");
                let other = left.crash_clone(CrashKeep::All);
                let _ = bring_back(&other, other.now(), &[root()], &run);
                no_snapshot_is_half_there(&other.tree(), ROOT);
                delete_for_good(&left, left.now(), &[root()], &Purge::OlderThan(SignedDuration::ZERO)).expect("done");
                assert_eq!(outside(&left), pruned(), "write {n}");
                assert_eq!(run_of(&left, &[root()]), None, "write {n}, {keep:?}");
            }
        }
    }
}
