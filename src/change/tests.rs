//! Changes of small trees, as a whole and cut short at every point.

mod crash;
mod hostile;
mod modes;
mod order;
mod race;
mod runs;

use super::*;
use crate::plan::{Batch, Item, Phase, Plan, Totals, VERSION};
use crate::storage::{Below, MemoryStorage, Storage as _, StorageErrorKind, WriteStorage};
use jiff::SignedDuration;
use std::collections::BTreeMap;

const ROOT: &str = "/ck";
const JOB: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";

fn at(text: &str) -> Location {
    Location::parse(text).expect("a path")
}

fn root() -> Location {
    at(ROOT)
}

/// Files of a job with two snapshots that go and one that stays, and an orphan. By the plan's order, with phases.
const GOING: &[(Phase, &str, &str)] = &[
    (Phase::Metadata, "JOB/chk-1", "_metadata"),
    (Phase::Metadata, "JOB/chk-2", "_metadata"),
    (Phase::Exclusive, "JOB/chk-1", "e1"),
    (Phase::Exclusive, "JOB/chk-1", "e2"),
    (Phase::Exclusive, "JOB/chk-2", "e3"),
    (Phase::Shared, "JOB/shared", "s1"),
    (Phase::Shared, "JOB/shared", "s2"),
    (Phase::Directory, "JOB", "chk-1"),
    (Phase::Directory, "JOB", "chk-2"),
];
const STAYING: &[&str] = &["JOB/chk-3/_metadata", "JOB/chk-3/e4", "JOB/shared/s3", "foreign"];

fn job(dir: &str) -> String {
    dir.replace("JOB", JOB)
}

/// The tree of [`GOING`] and [`STAYING`] below [`ROOT`]; the content of each file is its path.
fn fill(storage: &MemoryStorage) {
    let going = GOING.iter().filter(|(phase, ..)| *phase != Phase::Directory);
    let going = going.map(|(_, dir, name)| format!("{dir}/{name}"));
    for path in going.chain(STAYING.iter().map(|path| (*path).to_owned())) {
        let path = job(&path);
        storage.put(&at(&format!("{ROOT}/{path}")), path.as_bytes()).expect("a file");
    }
}

fn filled() -> MemoryStorage {
    let storage = MemoryStorage::new();
    fill(&storage);
    storage
}

/// A plan that removes these, as they are now.
fn plan_of(storage: &dyn WriteStorage, roots: &[Location], going: &[(Phase, &str, &str)]) -> Plan {
    let mut batches: Vec<Batch> = Vec::new();
    for (index, root) in roots.iter().enumerate() {
        for (phase, dir, name) in going {
            let dir = job(dir);
            let seen = storage.look(Below { root, dir: &dir }, &[name]).expect("a look").remove(0).expect("a file");
            let modified = seen.modified.filter(|_| *phase != Phase::Directory);
            let modified = modified.map(|at| i64::try_from(at.as_nanosecond()).expect("a time"));
            let item = Item { name: (*name).to_owned(), size: seen.size, modified };
            match batches.last_mut().filter(|last| (last.phase, last.root, &last.dir) == (*phase, index, &dir)) {
                Some(batch) => batch.items.push(item),
                None => batches.push(Batch { phase: *phase, root: index, dir, items: vec![item] }),
            }
        }
    }
    batches.sort_by_key(|batch| batch.phase);
    Plan {
        version: VERSION,
        created: "2026-01-01T00:00:00Z".parse().expect("a time"),
        cutoff: "2025-12-31T00:00:00Z".parse().expect("a time"),
        live: false,
        roots: roots.to_vec(),
        policy: "keep-last 1".to_owned(),
        fingerprint: "00".to_owned(),
        keep: Vec::new(),
        remove: Vec::new(),
        orphans: Vec::new(),
        refused: Vec::new(),
        blocked: false,
        batches,
        totals: Totals::default(),
    }
}

fn plan(storage: &dyn WriteStorage) -> Plan {
    plan_of(storage, &[root()], GOING)
}

/// Objects to files from a certain look on.
#[derive(Default)]
struct Objects {
    looks: usize,
    /// From which look on, counted from 1, and to which files, by the end of their paths.
    to: Vec<(usize, &'static str)>,
    /// The look that fails.
    fails_at: Option<usize>,
}

impl Recheck for Objects {
    fn look_again(&mut self) -> Result<(), StorageError> {
        self.looks += 1;
        match self.fails_at {
            Some(look) if look == self.looks => {
                Err(StorageError::new(StorageErrorKind::PermissionDenied, &root(), "no permission"))
            }
            _ => Ok(()),
        }
    }

    fn objection(&self, place: &Location) -> Option<String> {
        let objects = |(from, end): &&(usize, &str)| *from <= self.looks && place.path().ends_with(end);
        self.to.iter().find(objects).map(|_| "chk-9 refers to it".to_owned())
    }
}

static RUNNING: AtomicBool = AtomicBool::new(false);

fn control() -> Control<'static> {
    Control { interrupted: &RUNNING, per_second: None, progress: &|_| {} }
}

/// Puts aside.
fn aside() -> How {
    How::default()
}

fn instant() -> How {
    How { instant: true, run: None }
}

/// Takes the locks of the plan and carries it out.
fn carry_out(
    storage: &dyn WriteStorage,
    now: Timestamp,
    plan: &Plan,
    how: &How,
    recheck: &mut dyn Recheck,
) -> Result<Outcome, ChangeError> {
    let clock = || now;
    let mut locks = Locks::take(storage, &plan.roots, "me", &clock)?;
    execute(storage, &mut locks, plan, how, control(), recheck)
}

fn bring_back(
    storage: &dyn WriteStorage,
    now: Timestamp,
    roots: &[Location],
    run: &RunId,
) -> Result<Restored, ChangeError> {
    let clock = || now;
    let mut locks = Locks::take(storage, roots, "me", &clock)?;
    undelete(storage, &mut locks, roots, run, control())
}

fn delete_for_good(
    storage: &dyn WriteStorage,
    now: Timestamp,
    roots: &[Location],
    what: &Purge,
) -> Result<Purged, ChangeError> {
    let clock = || now;
    let mut locks = Locks::take(storage, roots, "me", &clock)?;
    purge(storage, &mut locks, roots, what, control())
}

/// What is in a store besides what is chkctl's own.
fn outside(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    storage.tree().into_iter().filter(|(path, _)| !path.contains("/.chkctl/")).collect()
}

/// Paths of what is chkctl's own.
fn own(storage: &MemoryStorage) -> Vec<String> {
    let inside = storage.tree().into_keys().filter_map(|path| Some(path.split_once("/.chkctl/")?.1.to_owned()));
    inside.filter(|path| !path.is_empty()).collect()
}

/// The tree with everything gone that goes.
fn pruned() -> BTreeMap<String, Vec<u8>> {
    let mut tree = outside(&filled());
    for (phase, dir, name) in GOING {
        let slash = if *phase == Phase::Directory { "/" } else { "" };
        tree.remove(&format!("{ROOT}/{}/{name}{slash}", job(dir))).expect("it was there");
    }
    tree
}

/// How far a snapshot whose `_metadata` is there may be incomplete: not at all.
fn no_snapshot_is_half_there(tree: &BTreeMap<String, Vec<u8>>, root: &str) {
    for (number, files) in
        [(1, &["chk-1/e1", "chk-1/e2", "shared/s1", "shared/s2"][..]), (2, &["chk-2/e3", "shared/s2"])]
    {
        if tree.contains_key(&format!("{root}/{JOB}/chk-{number}/_metadata")) {
            for file in files {
                assert!(tree.contains_key(&format!("{root}/{JOB}/{file}")), "chk-{number} is there and {file} is not");
            }
        }
    }
}

fn long_after(storage: &MemoryStorage) -> Timestamp {
    storage.advance(SignedDuration::from_hours(1));
    storage.now()
}
