//! A whole prune as the command does it: locks, a plan, and what it says carried out.

use super::tree::{Drawing, Drawn, Made, Ref, Store};
use chkctl::change::{
    self, ChangeError, Control, How, Locks, Outcome, Purge, Recheck, Restored, execute, purge, undelete, unfinished,
};
use chkctl::cluster::InUse;
use chkctl::model::Location;
use chkctl::plan::Plan;
use chkctl::prune::{self, Again, Options};
use chkctl::storage::{MemoryStorage, StorageError, WriteStorage};
use chkctl::survey::Silent;
use chkctl::survey::resolve::PathMaps;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// Files with their content, and directories, by their places.
pub type Files = BTreeMap<String, Vec<u8>>;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Neither interrupted nor slowed down.
pub fn control() -> Control<'static> {
    Control { interrupted: &INTERRUPTED, per_second: None, progress: &|_| {} }
}

/// How a prune is run.
pub struct Run<'r> {
    /// Where files are.
    pub storage: &'r dyn WriteStorage,
    /// The time.
    pub clock: &'r dyn Fn() -> Timestamp,
    /// The roots.
    pub roots: &'r [Location],
    /// What it is asked for; its time is that of the clock.
    pub options: &'r Options,
    /// Whether files are deleted at once.
    pub instant: bool,
    /// Is told the plan when it is made.
    pub planned: &'r dyn Fn(&Plan),
    /// Is told when the roots are about to be looked at again.
    pub looks: &'r dyn Fn(),
}

/// Says when it looks.
struct Watched<'r, 's> {
    again: Again<'s>,
    looks: &'r dyn Fn(),
}

impl Recheck for Watched<'_, '_> {
    fn look_again(&mut self) -> Result<(), StorageError> {
        (self.looks)();
        self.again.look_again()
    }

    fn objection(&self, place: &Location) -> Option<String> {
        self.again.objection(place)
    }
}

impl Run<'_> {
    /// As `chkctl prune --apply`: a run that did not finish is gone on with. `None` where something stands against the plan.
    pub fn prune(&self) -> Result<Option<Outcome>, ChangeError> {
        let mut locks = Locks::take(self.storage, self.roots, "me", &self.clock)?;
        let options = Options { now: (self.clock)(), ..self.options.clone() };
        let prepared = prune::prepare(self.storage, self.roots, &PathMaps::default(), &options, &Silent)?;
        let run = unfinished(self.storage, self.roots)?.last().map(|last| last.run.clone());
        (self.planned)(&prepared.plan);
        if prepared.plan.blocked {
            return Ok(None);
        }
        let how = How { instant: self.instant, run };
        self.carry_out(&mut locks, &prepared.plan, &prepared.seen, &how).map(Some)
    }

    /// As `chkctl prune --apply --resume`, where there is something to go on with.
    pub fn resume(&self) -> Result<Option<Outcome>, ChangeError> {
        let mut locks = Locks::take(self.storage, self.roots, "me", &self.clock)?;
        let unfinished = unfinished(self.storage, self.roots)?;
        let Some(last) = unfinished.last() else { return Ok(None) };
        let plan = change::recorded_plan(self.storage, &last.root, &last.run)?;
        assert_eq!(plan.roots, self.roots);
        let maps = PathMaps::default();
        let (seen, _, objection) = prune::review(self.storage, &plan, &maps, &[], &InUse::default(), true, &Silent)?;
        assert_eq!(objection, None, "the plan of an interrupted run");
        let how = How { instant: self.instant, run: Some(last.run.clone()) };
        self.carry_out(&mut locks, &plan, &seen, &how).map(Some)
    }

    fn carry_out(
        &self,
        locks: &mut Locks<'_>,
        plan: &Plan,
        seen: &prune::seen::Seen,
        how: &How,
    ) -> Result<Outcome, ChangeError> {
        let maps = PathMaps::default();
        let again = Again::new(self.storage, &maps, seen, plan, plan.cutoff, &[], &self.clock);
        let mut recheck = Watched { again, looks: self.looks };
        execute(self.storage, locks, plan, how, control(), &mut recheck)
    }

    /// As `chkctl undelete`, for every run that there is, the last one first.
    pub fn undelete_all(&self) -> Result<Vec<Restored>, ChangeError> {
        let mut locks = Locks::take(self.storage, self.roots, "me", &self.clock)?;
        let mut runs: Vec<_> =
            change::runs(self.storage, self.roots, SignedDuration::ZERO)?.into_iter().map(|run| run.run).collect();
        runs.sort();
        runs.dedup();
        let back = |run| undelete(self.storage, &mut locks, self.roots, run, control());
        runs.iter().rev().map(back).collect()
    }

    /// As `chkctl purge` of everything that may be.
    pub fn purge_all(&self) -> Result<(), ChangeError> {
        let mut locks = Locks::take(self.storage, self.roots, "me", &self.clock)?;
        let all = Purge::OlderThan(SignedDuration::ZERO);
        let purged = purge(self.storage, &mut locks, self.roots, &all, control())?;
        assert!(purged.failed.is_empty() && !purged.interrupted, "{purged:?}");
        Ok(())
    }
}

/// What a file of a drawn tree holds: no other file has the same.
pub fn content(path: &str, size: u64) -> Vec<u8> {
    path.bytes().chain(*b" ").cycle().take(size as usize).collect()
}

/// A drawn tree in memory, each file with a content of its own; the clock is set to the time of every run.
pub fn in_memory(drawn: &Drawn) -> MemoryStorage {
    let made = Made::in_memory(drawn);
    let Store::Memory(store) = &made.store else { panic!("a tree in memory") };
    for (path, (size, _)) in &drawn.files {
        let modified = |path| chkctl::storage::Storage::stat(store, &made.at(path)).expect("it is there").modified;
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let times = [(path.as_str(), modified(path)), (above, modified(above))];
        store.put(&made.at(path), &content(path, *size)).expect("a file");
        for (path, time) in times {
            store.set_modified(&made.at(path), time.expect("a time")).expect("it is there");
        }
    }
    store.set_time(Timestamp::from_second(super::tree::NOW).expect("a time"));
    store.clone()
}

/// What is there besides what is chkctl's own.
pub fn outside(store: &MemoryStorage) -> Files {
    store.tree().into_iter().filter(|(path, _)| !path.contains("/.chkctl/")).collect()
}

/// Every snapshot that is there has all its files, as they were.
pub fn snapshots_are_whole(drawn: &Drawn, now: &Files, original: &Files, when: &str) {
    for snapshot in &drawn.snapshots {
        let metadata = format!("/base/{}/_metadata", snapshot.dir);
        if let Some(bytes) = now.get(&metadata) {
            assert_eq!(bytes, &original[&metadata], "{when}: {metadata}");
            for file in files_of(snapshot) {
                let place = format!("/base/{file}");
                assert_eq!(now.get(&place), original.get(&place), "{when}: {} refers to {file}", snapshot.dir);
            }
        }
    }
}

/// The files of a tree that a snapshot refers to.
pub fn files_of(snapshot: &Drawing) -> impl Iterator<Item = &str> {
    snapshot.refs.iter().filter_map(|reference| match reference {
        Ref::File(path) | Ref::Segment(path) => Some(path.as_str()),
        Ref::Raw(..) | Ref::Relative(..) | Ref::Directories(..) => None,
    })
}

/// The real places of some directories.
pub fn roots(storage: &dyn WriteStorage, places: &[Location]) -> Vec<Location> {
    prune::real_roots(storage, places).expect("roots")
}
