//! Looks again while a plan is carried out: for snapshots that appeared since, for jobs that came alive, and for pins.

use super::held::{HeldHere, Places, matching, says};
use super::layout::Role;
use super::life::Life;
use super::seen::Seen;
use super::stale::touched;
use super::tree::nanoseconds;
use crate::change::Recheck;
use crate::cluster::{ClusterError, InUse, RunningJob};
use crate::model::Location;
use crate::plan::Plan;
use crate::records::Records;
use crate::storage::{EntryKind, Storage, StorageError, StorageErrorKind};
use crate::survey::catalog::{METADATA, SnapshotDir, SnapshotState, checkpoint_number};
use crate::survey::inventory::Inventory;
use crate::survey::resolve::PathMaps;
use crate::survey::{Catalog, Judge, Silent, Verdict};
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use jiff::Timestamp;

/// Size and time of a `_metadata`; none of a directory without one.
type Stamp = Option<(u64, Option<i64>)>;

/// Asks clusters what is in use.
pub type Guard<'s> = &'s dyn Fn() -> Result<InUse, ClusterError>;

/// The roots are looked at so often at once, as long as a job may have been missed.
const LOOKS: usize = 4;

/// What is new since a plan was made.
pub struct Again<'s> {
    storage: &'s dyn Storage,
    maps: &'s PathMaps,
    roots: Vec<Location>,
    assumed: Vec<Location>,
    clock: &'s dyn Fn() -> Timestamp,
    /// Directories that are snapshots or might become some, as they were seen last.
    known: HashMap<Location, Stamp>,
    /// Directories in which complete snapshots were seen that do not go.
    had: HashSet<Location>,
    /// Snapshots that go, with the names of what they refer to.
    going: HashMap<Location, Vec<Box<str>>>,
    /// Snapshots that stay.
    staying: HashSet<Location>,
    /// Directories of jobs that looked alive when the plan was made: the plan has taken that into account.
    alive: HashSet<Location>,
    /// Names of files that new snapshots, or pinned ones, refer to.
    names: HashMap<Box<str>, String>,
    /// Directories in which nothing may be touched any more, and why.
    dirs: HashMap<Location, String>,
    /// Directories of jobs that have come alive.
    woken: HashMap<Location, String>,
    /// Whom to ask what is in use.
    guard: Option<Guard<'s>>,
    /// Directories of jobs, by their names in the layout.
    jobs: HashMap<String, Vec<Location>>,
}

impl<'s> Again<'s> {
    /// For a plan that was made from `seen`. `cutoff` is the time after which a job that wrote something is alive.
    pub fn new(
        storage: &'s dyn Storage,
        maps: &'s PathMaps,
        seen: &Seen,
        plan: &Plan,
        cutoff: Timestamp,
        assumed: &[Location],
        clock: &'s dyn Fn() -> Timestamp,
    ) -> Self {
        // What a run that did not finish has touched is no sign of life, and was none to the plan.
        let life = Life::of(&seen.tree, &seen.layout, &touched(plan, seen));
        let mut again = Again {
            storage,
            maps,
            roots: plan.roots.clone(),
            assumed: assumed.iter().map(|place| without_metadata(place).canonical()).collect(),
            clock,
            known: HashMap::new(),
            had: HashSet::new(),
            going: HashMap::new(),
            staying: plan.keep.iter().map(|kept| kept.path.canonical()).collect(),
            alive: HashSet::new(),
            names: HashMap::new(),
            dirs: HashMap::new(),
            woken: HashMap::new(),
            guard: None,
            jobs: HashMap::new(),
        };
        let going: HashSet<Location> = plan.remove.iter().map(|removed| removed.path.canonical()).collect();
        for snapshot in &seen.snapshots {
            let place = snapshot.path.canonical();
            let entry = snapshot.dir.and_then(|dir| seen.tree.find(dir, METADATA));
            let stamp = entry.and_then(|entry| match entry.kind {
                EntryKind::File => Some((entry.size, entry.modified)),
                // A link: what it stands for counts, as for the catalog.
                _ => {
                    let stat = storage.stat(&seen.tree.entry_place(entry.id)).ok()?;
                    Some((stat.size, stat.modified.and_then(nanoseconds)))
                }
            });
            again.known.insert(place.clone(), stamp);
            again.had.extend(place.parent().filter(|_| stamp.is_some() && !going.contains(&place)));
            if going.contains(&place) {
                let names = snapshot.uses.files.iter().map(|file| Box::from(seen.tree.entry(*file).name));
                again.going.insert(place, names.chain(snapshot.uses.names.iter().cloned()).collect());
            }
        }
        for dir in seen.tree.dirs() {
            if seen.layout.job(dir).is_some_and(|job| life.is_alive(job, cutoff)) {
                again.alive.insert(seen.tree.place(dir).clone());
            }
        }
        again
    }

    /// Asks clusters too, each time that it looks. The plan has taken `held` into account.
    pub fn guarded(mut self, guard: Guard<'s>, seen: &Seen, held: &HeldHere) -> Self {
        for dir in seen.tree.dirs() {
            let Some((role, job)) = seen.layout.role(dir) else { continue };
            if held.jobs.contains_key(&job) {
                self.alive.insert(seen.tree.place(dir).clone());
            }
            if let Some(job) = seen.layout.jobs.get(job).filter(|_| role == Role::Job) {
                self.jobs.entry(job.name.clone()).or_default().push(seen.tree.place(dir).clone());
            }
        }
        self.guard = Some(guard);
        self
    }

    /// Asks clusters what is in use by now.
    fn ask(&mut self, judge: &Judge<'_>) -> Result<(), StorageError> {
        let (Some(guard), Some(root)) = (self.guard, self.roots.first()) else { return Ok(()) };
        let in_use = guard().map_err(|error| {
            StorageError::new(StorageErrorKind::Transient, root, format!("what is in use: {error}"))
        })?;
        let places = Places { storage: self.storage, maps: self.maps };
        let going: Vec<Location> = self.going.keys().cloned().collect();
        for held in in_use.held() {
            let real = places.real(&held.place);
            for index in matching(&held.place, &real, going.iter()) {
                self.hold(&going[index], &held.why);
            }
            let inside = self.roots.iter().any(|root| real.strip_prefix(root).is_some());
            if !inside && self.storage.stat(&real).is_ok() {
                // It may refer to what is below the roots.
                for snapshot in &Catalog::scan(self.storage, std::slice::from_ref(&real))?.snapshots {
                    self.snapshot(judge, snapshot)?;
                }
            }
            self.dirs.insert(real, held.why);
        }
        in_use.jobs.iter().for_each(|job| self.job(job, &places, &going));
        Ok(())
    }

    /// A job that runs: its directories, what it is writing, and what its cluster may not have told of yet.
    fn job(&mut self, job: &RunningJob, places: &Places<'_>, going: &[Location]) {
        let by_id = self.jobs.get(&job.id).cloned().unwrap_or_default();
        for dir in by_id.into_iter().chain(job.dirs().map(|dir| places.real(&dir))) {
            for id in &job.in_progress {
                self.dirs.insert(dir.with_suffix(&format!("/chk-{id}")), says(job));
            }
            let latest = job.latest.as_ref().map(|told| told.id);
            for place in going.iter().filter(|place| place.parent().as_ref() == Some(&dir)) {
                let number = checkpoint_number(place.name());
                if number.is_some_and(|number| latest.is_none_or(|latest| number >= latest)) {
                    self.hold(place, &says(job));
                }
            }
            if !self.alive.contains(&dir) {
                self.woken.insert(dir, says(job));
            }
        }
    }

    /// A snapshot that was to go stays, with all that it refers to.
    fn hold(&mut self, place: &Location, why: &str) {
        let why = format!("{place} is in use: {why}");
        if let Some(names) = self.going.get(place) {
            self.names.extend(names.iter().map(|name| (name.clone(), why.clone())));
        }
        self.dirs.insert(place.clone(), why);
    }

    /// Takes notice of a snapshot. `Ok(false)` where it went while it was looked at: its job has another one by then.
    fn snapshot(&mut self, judge: &Judge<'_>, snapshot: &SnapshotDir) -> Result<bool, StorageError> {
        let place = snapshot.dir.canonical();
        if self.assumed.contains(&place) {
            return Ok(true);
        }
        let stamp = match &snapshot.state {
            SnapshotState::Complete { metadata_size, completed_at } => {
                Some((*metadata_size, completed_at.and_then(nanoseconds)))
            }
            SnapshotState::Incomplete { .. } => None,
            SnapshotState::Unknown(error) | SnapshotState::UnlistedDirectory(error) => return Err(error.clone()),
            SnapshotState::NotAFile => {
                let why = "something that is not a file has come to be in the place of a _metadata";
                return Err(StorageError::new(StorageErrorKind::Other, &snapshot.metadata_file, why));
            }
        };
        if self.known.get(&place) == Some(&stamp) {
            return Ok(true);
        }
        let was = self.known.insert(place.clone(), stamp);
        self.had.extend(place.parent().filter(|_| stamp.is_some() && !self.going.contains_key(&place)));
        if stamp.is_none() && was.is_some() {
            // Its _metadata went: by this run, or by Flink.
            return Ok(true);
        }
        let job = place.parent().unwrap_or_else(|| place.clone());
        if !self.alive.contains(&job) {
            self.woken.insert(job, format!("its job has come alive: {} appeared", snapshot.dir));
        }
        if stamp.is_none() {
            self.dirs.insert(place, "a checkpoint has begun there".to_owned());
            return Ok(true);
        }
        let report = judge.judge(snapshot);
        if report.verdict == Verdict::Incomplete {
            self.known.insert(place, None);
            return Ok(false);
        }
        if report.metadata_version.is_none() {
            let why = report.findings.first().map_or("it cannot be read", |finding| finding.message.as_str());
            let why = format!("a snapshot appeared that cannot be understood, and may refer to anything: {why}");
            return Err(StorageError::new(StorageErrorKind::Other, &snapshot.metadata_file, why));
        }
        let why = format!("{}, which has appeared, refers to it", snapshot.dir);
        for name in report.used.iter().map(|file| &file.name).chain(&report.also.names) {
            self.names.insert(name.clone(), why.clone());
        }
        for dir in &report.also.dirs {
            let real = self.storage.real_place(&self.maps.here(dir)).unwrap_or_else(|_| dir.clone());
            self.dirs.insert(real.canonical(), why.clone());
        }
        self.dirs.insert(place, "a snapshot has appeared there".to_owned());
        Ok(true)
    }

    /// Whether a job had snapshots and seems to have none: one that completes a checkpoint and removes the one before, after
    /// its directory was listed and before the files in it were looked at, shows neither.
    fn missed_some(&mut self, catalog: &Catalog) -> bool {
        let complete = |s: &&SnapshotDir| matches!(s.state, SnapshotState::Complete { .. });
        let now: HashSet<Location> =
            catalog.snapshots.iter().filter(complete).filter_map(|s| s.dir.canonical().parent()).collect();
        let before = self.had.len();
        // One that has really none any more is looked for once.
        self.had.retain(|above| now.contains(above));
        self.had.len() < before
    }

    fn pins(&mut self) -> Result<(), StorageError> {
        let now = (self.clock)();
        let mut parents: HashMap<Location, Records> = HashMap::new();
        for (place, names) in &self.going {
            let Some(above) = place.parent() else { continue };
            if !parents.contains_key(&above) {
                let records = Records::of(self.storage, &above)?;
                if let Some((place, why)) = records.unknown().first() {
                    let why = format!("a record of a pin that cannot be read: {why}");
                    return Err(StorageError::new(StorageErrorKind::Other, place, why));
                }
                parents.insert(above.clone(), records);
            }
            let record = parents.get(&above).and_then(|records| records.get(place.name()));
            if record.is_some_and(|record| record.is_pinned(now)) {
                let why = format!("{place} has been pinned");
                self.dirs.insert(place.clone(), why.clone());
                self.names.extend(names.iter().map(|name| (name.clone(), why.clone())));
            }
        }
        Ok(())
    }

    /// What was to stay has to be there, as long as anything goes.
    fn stay(&self, catalog: &Catalog) -> Result<(), StorageError> {
        if self.going.is_empty() {
            return Ok(());
        }
        let complete = |s: &&SnapshotDir| matches!(s.state, SnapshotState::Complete { .. });
        let now: HashSet<Location> = catalog.snapshots.iter().filter(complete).map(|s| s.dir.canonical()).collect();
        let mut groups: HashMap<Location, bool> = HashMap::new();
        for place in &self.staying {
            *groups.entry(place.parent().unwrap_or_else(|| place.clone())).or_default() |= now.contains(place);
        }
        for (above, _) in groups.iter().filter(|(_, there)| !**there) {
            let replaced =
                now.iter().any(|place| place.parent().as_ref() == Some(above) && !self.going.contains_key(place));
            let concerned = self.going.keys().any(|place| place.parent().as_ref() == Some(above));
            if concerned && !replaced {
                let why = "the snapshots in it that were to stay are gone";
                return Err(StorageError::new(StorageErrorKind::Other, above, why));
            }
        }
        Ok(())
    }
}

fn without_metadata(place: &Location) -> Location {
    if place.name() == METADATA { place.parent().unwrap_or_else(|| place.clone()) } else { place.clone() }
}

impl Recheck for Again<'_> {
    fn look_again(&mut self) -> Result<(), StorageError> {
        let judge = Judge {
            inventory: Inventory::for_one(self.storage),
            maps: self.maps.clone(),
            progress: &Silent,
            neighbours: Vec::new(),
            keep_files: true,
        };
        // First, so that a checkpoint that is completed in between is seen as new.
        self.ask(&judge)?;
        for look in 1.. {
            let catalog = Catalog::scan(self.storage, &self.roots)?;
            let mut vanished = None;
            for snapshot in &catalog.snapshots {
                if !self.snapshot(&judge, snapshot)? {
                    vanished = Some(&snapshot.dir);
                }
            }
            let missed = self.missed_some(&catalog);
            match vanished {
                _ if look < LOOKS && (vanished.is_some() || missed) => continue,
                None => {}
                Some(dir) => {
                    let why = "snapshots come and go faster than they can be looked at";
                    return Err(StorageError::new(StorageErrorKind::Transient, dir, why));
                }
            }
            self.pins()?;
            return self.stay(&catalog);
        }
        Ok(())
    }

    fn objection(&self, place: &Location) -> Option<String> {
        if let Some(why) = self.names.get(place.name()) {
            return Some(why.clone());
        }
        // Mostly so, and asked of every file that goes.
        if self.dirs.is_empty() && self.woken.is_empty() {
            return None;
        }
        let place = place.canonical();
        let own = place.parent().is_some_and(|dir| self.going.contains_key(&dir)) || self.going.contains_key(&place);
        let mut above = Some(place);
        while let Some(dir) = above {
            if let Some(why) = self.dirs.get(&dir).or_else(|| self.woken.get(&dir).filter(|_| !own)) {
                return Some(why.clone());
            }
            above = dir.parent();
        }
        None
    }
}
