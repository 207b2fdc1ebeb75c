//! Whole prunes that are cut short, or fail, at each of their writing operations: nothing is damaged, the next one finishes,
//! and everything can be brought back.

use super::tree::{Drawn, HOUR, OLD, Random, Ref, keep_last, location};
use super::whole::{Files, Run, in_memory, outside, roots, snapshots_are_whole};
use chkctl::change::{ChangeError, Outcome};
use chkctl::model::Location;
use chkctl::prune::Options;
use chkctl::storage::faulty::{Effect, Fault, FaultyStorage, Operation};
use chkctl::storage::{CrashKeep, MemoryStorage, StorageErrorKind, WriteStorage};
use jiff::SignedDuration;

const A: &str = "ck/0a000000000000000000000000000000";
const B: &str = "ck/0b000000000000000000000000000000";
const C: &str = "ck/0c000000000000000000000000000000";
const D: &str = "ck/0d000000000000000000000000000000";

/// Jobs that ended: B was restored from a checkpoint of A in CLAIM mode; orphans, checkpoints that were never completed, a
/// merged file with one live segment, savepoints in a root of their own, and a job that never wrote anything.
pub fn dead() -> Drawn {
    let mut drawn = Drawn::default();
    let mut random = Random(1);
    let mut file = |drawn: &mut Drawn, dir: &str| {
        let size = 10 + drawn.files.len() as u64;
        drawn.file(format!("{dir}/{}", random.uuid()), size, OLD)
    };
    let shared: Vec<String> = (0..6).map(|_| file(&mut drawn, &format!("{A}/shared"))).collect();
    let merging = format!("{A}/shared/job_{}_op_KeyedProcess_1_2", &A[3..]);
    let merged: Vec<String> = (0..2).map(|_| file(&mut drawn, &merging)).collect();
    for id in 1..=3_i64 {
        let dir = format!("{A}/chk-{id}");
        let own = [file(&mut drawn, &dir), file(&mut drawn, &dir)];
        let [at, next] = [id as usize - 1, id as usize];
        drawn.snapshot(&dir, id, 100 - id, &[&own[0], &own[1], &shared[at], &shared[next]]);
        let segments = if id == 1 { &merged[..] } else { &merged[..1] };
        let refs = segments.iter().map(|path| Ref::Segment(path.clone()));
        drawn.snapshots.last_mut().expect("one").refs.extend(refs);
    }
    for abandoned in ["chk-0", "chk-4"] {
        file(&mut drawn, &format!("{A}/{abandoned}"));
    }
    let claimed = &shared[3];
    let own_shared: Vec<String> = (0..3).map(|_| file(&mut drawn, &format!("{B}/shared"))).collect();
    for (at, id) in [4_i64, 5].into_iter().enumerate() {
        let dir = format!("{B}/chk-{id}");
        let own = file(&mut drawn, &dir);
        drawn.snapshot(&dir, id, 90 - id, &[&own, claimed, &own_shared[at]]);
    }
    // Only the older one of B needs this file of A.
    let of_a = &shared[4];
    drawn.snapshots.last_mut().expect("one").refs.push(Ref::File(of_a.clone()));
    for job in [A, B, C] {
        for dir in ["shared", "taskowned"] {
            drawn.dirs.insert(format!("{job}/{dir}"), OLD);
        }
    }
    for (at, name) in ["savepoint-0a0000-000000000001", "savepoint-0a0000-000000000002"].iter().enumerate() {
        let dir = format!("sp/{name}");
        let own = file(&mut drawn, &dir);
        drawn.snapshot(&dir, 7, 80 - at as i64, &[&own]);
    }
    drawn
}

/// A job that runs: its old checkpoints go with the files beside them, and nothing else.
fn alive() -> Drawn {
    let mut drawn = Drawn::default();
    let mut random = Random(2);
    let mut file = |drawn: &mut Drawn, dir: &str, age| {
        let size = 10 + drawn.files.len() as u64;
        drawn.file(format!("{dir}/{}", random.uuid()), size, age)
    };
    let shared: Vec<String> = (0..5).map(|_| file(&mut drawn, &format!("{D}/shared"), OLD)).collect();
    for id in 7..=9_i64 {
        let dir = format!("{D}/chk-{id}");
        let own = [file(&mut drawn, &dir, 12 * HOUR), file(&mut drawn, &dir, 12 * HOUR)];
        let at = id as usize - 7;
        drawn.snapshot(&dir, id, 12 - id, &[&own[0], &own[1], &shared[at], &shared[at + 1]]);
    }
    file(&mut drawn, &format!("{D}/chk-10"), HOUR / 60);
    drawn.dirs.insert(format!("{D}/chk-10"), HOUR / 60);
    drawn.dirs.insert(format!("{D}/taskowned"), OLD);
    drawn.dirs.insert("sp".to_owned(), OLD);
    drawn
}

/// One tree and how it is pruned.
struct Sweep {
    drawn: Drawn,
    options: Options,
    roots: Vec<Location>,
    instant: bool,
    original: Files,
    /// What an undisturbed run leaves.
    pruned: Files,
    /// What is left of that when it is purged and pruned again days later.
    later: Files,
    /// The writing operations of an undisturbed run.
    writes: Vec<Operation>,
}

/// Longer than a lock is valid.
const LOCK: SignedDuration = SignedDuration::from_mins(31);
const DAYS: SignedDuration = SignedDuration::from_hours(49);

impl Sweep {
    fn new(drawn: Drawn, instant: bool) -> Self {
        let mut sweep = Sweep {
            drawn,
            options: keep_last(1),
            roots: Vec::new(),
            instant,
            original: Files::new(),
            pruned: Files::new(),
            later: Files::new(),
            writes: Vec::new(),
        };
        let store = sweep.store();
        sweep.original = outside(&store);
        sweep.roots = roots(&store, &["/base/ck", "/base/sp"].map(location));
        let faulty = FaultyStorage::new(store.clone());
        let outcome = sweep.run(&store, &faulty, |run| run.prune()).expect("it runs").expect("nothing is in its way");
        assert!(outcome.failed.is_empty() && outcome.skipped.is_empty(), "{outcome:?}");
        sweep.writes = faulty.writes().into_iter().map(|(operation, _)| operation).collect();
        sweep.pruned = outside(&store);
        snapshots_are_whole(&sweep.drawn, &sweep.pruned, &sweep.original, "undisturbed");
        sweep.days_later(&store);
        sweep.later = outside(&store);
        sweep
    }

    fn store(&self) -> MemoryStorage {
        in_memory(&self.drawn)
    }

    fn run<T>(&self, store: &MemoryStorage, storage: &dyn WriteStorage, act: impl FnOnce(&Run<'_>) -> T) -> T {
        // Time passes.
        let clock = || {
            store.advance(SignedDuration::from_secs(1));
            store.now()
        };
        act(&Run {
            storage,
            clock: &clock,
            roots: &self.roots,
            options: &self.options,
            instant: self.instant,
            planned: &|_| {},
            looks: &|| {},
        })
    }

    /// Every run is purged, and what is left then is pruned.
    fn days_later(&self, store: &MemoryStorage) {
        for _ in 0..2 {
            store.advance(DAYS);
            self.run(store, store, |run| run.purge_all()).expect("a purge");
            let outcome = self.run(store, store, |run| run.prune()).expect("it runs").expect("nothing is in its way");
            assert!(outcome.failed.is_empty(), "{outcome:?}");
        }
        store.advance(DAYS);
        self.run(store, store, |run| run.purge_all()).expect("a purge");
    }

    fn whole(&self, store: &MemoryStorage, when: &str) {
        snapshots_are_whole(&self.drawn, &outside(store), &self.original, when);
        for (path, bytes) in self.pruned.iter().filter(|(path, _)| !path.ends_with('/')) {
            assert!(store.tree().get(path) == Some(bytes), "{when}: {path} was to stay as it is");
        }
    }

    /// Runs it once with a fault.
    fn disturbed(&self, store: &MemoryStorage, fault: Fault) -> Result<Option<Outcome>, ChangeError> {
        let faulty = FaultyStorage::new(store.clone()).with(fault);
        self.run(store, &faulty, |run| run.prune())
    }

    /// The next run, by a plan of its own or by that of the last, does all that is left to do.
    fn finishes(&self, store: &MemoryStorage, resume: bool, when: &str) {
        store.advance(LOCK);
        let outcome = self.run(store, store, |run| match if resume { run.resume() } else { Ok(None) } {
            // There is nothing to go on with.
            Ok(None) => run.prune(),
            outcome => outcome,
        });
        let outcome = outcome.unwrap_or_else(|error| panic!("{when}: {error}"));
        let outcome = outcome.unwrap_or_else(|| panic!("{when}: something is in its way"));
        assert!(outcome.failed.is_empty() && outcome.skipped.is_empty(), "{when}: {outcome:?}");
        self.whole(store, when);
        same(&outside(store), &self.pruned, when);
    }

    fn comes_back(&self, store: &MemoryStorage, when: &str) {
        if self.instant {
            return;
        }
        store.advance(LOCK);
        let restored =
            self.run(store, store, |run| run.undelete_all()).unwrap_or_else(|error| panic!("{when}: {error}"));
        for restored in restored {
            assert!(restored.failed.is_empty() && restored.held_back.is_empty(), "{when}: {restored:?}");
        }
        same(&outside(store), &self.original, &format!("{when}, brought back"));
    }

    fn crash_everywhere(&self) {
        let writes = self.writes.len() as u64;
        for n in 1..=writes {
            for keep in [CrashKeep::All, CrashKeep::None, CrashKeep::Seeded(n), CrashKeep::Seeded(n + 1_000)] {
                let when = format!("crash at {n} of {writes}, {keep:?}");
                let store = self.store();
                let fault = Fault::on(Operation::WRITES).nth(n).with_effect(Effect::Crash);
                // The last operations may fail unnoticed: those that give the locks back.
                let _ = self.disturbed(&store, fault);
                store.crash(keep);
                self.whole(&store, &when);
                if keep == CrashKeep::Seeded(n) {
                    let left = store.crash_clone(CrashKeep::All);
                    self.comes_back(&left, &format!("{when}, not gone on with"));
                }
                let resume = matches!(keep, CrashKeep::All | CrashKeep::Seeded(1_000..));
                self.finishes(&store, resume, &when);
                self.comes_back(&store, &when);
            }
        }
    }

    fn fail_everywhere(&self) {
        for (n, operation) in (1..).zip(&self.writes) {
            for effect in [Effect::Fail, Effect::FailAfter].map(|effect| effect(StorageErrorKind::Other)) {
                let when = format!("{effect:?} at {n}, {operation:?}");
                let store = self.store();
                let fault = Fault::on(Operation::WRITES).nth(n).with_effect(effect);
                let outcome = self.disturbed(&store, fault);
                self.whole(&store, &when);
                let told = outcome.is_ok_and(|outcome| outcome.is_some_and(|outcome| !outcome.failed.is_empty()));
                // What could not be removed is left to a later run: what is in the trash may need it until then.
                store.advance(LOCK);
                let outcome =
                    self.run(&store, &store, |run| run.prune()).unwrap_or_else(|error| panic!("{when}: {error}"));
                let outcome = outcome.unwrap_or_else(|| panic!("{when}: something is in its way"));
                assert!(outcome.failed.is_empty(), "{when}: {outcome:?}");
                self.whole(&store, &when);
                let back = store.crash_clone(CrashKeep::All);
                self.comes_back(&back, &when);
                self.days_later(&store);
                let mut later = outside(&store);
                // Of one that went all the same only the answer was lost.
                let done_all_the_same = effect != Effect::Fail(StorageErrorKind::Other)
                    && matches!(operation, Operation::Rename | Operation::Delete | Operation::DeleteEmptyDir);
                if told && !done_all_the_same {
                    // A savepoint without a _metadata is its owner's, who has been told.
                    later.retain(|path, _| !path.contains("/savepoint-") || self.later.contains_key(path));
                }
                same(&later, &self.later, &format!("{when}, days later"));
            }
        }
    }
}

fn same(found: &Files, wanted: &Files, when: &str) {
    let missing: Vec<&String> =
        wanted.iter().filter(|(path, b)| found.get(*path) != Some(*b)).map(|(p, _)| p).collect();
    let more: Vec<&String> = found.keys().filter(|path| !wanted.contains_key(*path)).collect();
    assert!(missing.is_empty() && more.is_empty(), "{when}: missing or changed {missing:#?}, and there are {more:#?}");
}

#[test]
fn the_trees_have_everything_in_them_that_can_go_wrong() {
    let sweep = Sweep::new(dead(), false);
    let gone = sweep.original.len() - sweep.pruned.len();
    assert!(gone > 20 && sweep.pruned.len() > 10, "{gone} went, {} stayed", sweep.pruned.len());
    let sweep = Sweep::new(alive(), false);
    let gone: Vec<&String> = sweep.original.keys().filter(|path| !sweep.pruned.contains_key(*path)).collect();
    assert_eq!(gone.len(), 2 * 4, "two checkpoints with a _metadata, two files and a directory each: {gone:#?}");
}

#[test]
fn a_prune_that_crashed_anywhere_is_finished_by_the_next() {
    Sweep::new(dead(), false).crash_everywhere();
}

#[test]
fn a_prune_that_deletes_at_once_and_crashed_anywhere_is_finished_by_the_next() {
    Sweep::new(dead(), true).crash_everywhere();
}

#[test]
fn a_prune_of_a_running_job_that_crashed_anywhere_is_finished_by_the_next() {
    Sweep::new(alive(), false).crash_everywhere();
    Sweep::new(alive(), true).crash_everywhere();
}

#[test]
fn a_prune_with_an_operation_that_fails_or_whose_answer_is_lost_damages_nothing() {
    Sweep::new(dead(), false).fail_everywhere();
    Sweep::new(alive(), false).fail_everywhere();
}

#[test]
fn a_prune_that_deletes_at_once_with_an_operation_that_fails_damages_nothing() {
    Sweep::new(dead(), true).fail_everywhere();
    Sweep::new(alive(), true).fail_everywhere();
}
