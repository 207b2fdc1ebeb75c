//! What clusters say is in use, found again below the roots.
//!
//! A cluster names snapshots by paths of its own, which may be others here (a mount, a link). A job's id and a savepoint's
//! name are random, so that a snapshot of such a name is that one wherever it lies.

use super::layout::{JobIndex, Layout, Role};
use super::seen::{Seen, Snapshot};
use super::tree::{DirId, Tree};
use crate::cluster::{Held, InUse, RunningJob};
use crate::model::Location;
use crate::storage::Storage;
use crate::survey::catalog::{METADATA, checkpoint_number, is_job_id, is_savepoint_name};
use crate::survey::resolve::PathMaps;
use foldhash::{HashMap, HashMapExt as _, HashSet};

/// What is in use below the roots.
#[derive(Debug, Default)]
pub struct HeldHere {
    /// Why snapshots are, by their indices in [`Seen::snapshots`].
    pub snapshots: HashMap<usize, String>,
    /// Jobs that run, and what is said of them.
    pub jobs: HashMap<JobIndex, String>,
    /// Directories in which a checkpoint is being written, or that a job needs as they are.
    pub dirs: HashSet<DirId>,
}

impl HeldHere {
    /// Finds what is in use among what was seen.
    pub fn find(in_use: &InUse, seen: &Seen, storage: &dyn Storage, maps: &PathMaps) -> Self {
        let mut here = HeldHere::default();
        if in_use.is_empty() {
            return here;
        }
        let places = Places { storage, maps };
        for held in in_use.held() {
            let real = places.real(&held.place);
            for index in matching(&held.place, &real, seen.snapshots.iter().map(|snapshot| &snapshot.path)) {
                here.snapshots.entry(index).or_insert_with(|| held.why.clone());
                here.dirs.extend(seen.snapshots.get(index).and_then(|snapshot| snapshot.dir));
            }
            here.dirs.extend(seen.tree.dir_at(&real));
        }
        for job in &in_use.jobs {
            here.job(job, &places, seen);
        }
        here
    }

    fn job(&mut self, job: &RunningJob, places: &Places<'_>, seen: &Seen) {
        let mine = jobs_of(job, places, &seen.tree, &seen.layout);
        for index in &mine {
            self.jobs.entry(*index).or_insert_with(|| says(job));
        }
        let of_mine = |dir: DirId| match seen.layout.role(dir) {
            Some((Role::Checkpoint(number), owner)) if mine.contains(&owner) => Some(number),
            _ => None,
        };
        for dir in seen.tree.dirs().filter(|dir| of_mine(*dir).is_some_and(|id| job.in_progress.contains(&id))) {
            self.dirs.insert(dir);
        }
        let latest = job.latest.as_ref().map(|told| told.id);
        for (index, snapshot) in seen.snapshots.iter().enumerate() {
            let Some(dir) = snapshot.dir else { continue };
            let Some(number) = of_mine(dir) else { continue };
            // What a cluster tells is seconds old, and it may have completed another one.
            if latest.is_none_or(|latest| number >= latest) {
                let than = match latest {
                    Some(latest) => format!("checkpoint {latest}, the last that its cluster tells of"),
                    None => "anything that its cluster tells of".to_owned(),
                };
                self.snapshots
                    .entry(index)
                    .or_insert_with(|| format!("job {}, which runs, and it is no older than {than}", job.id));
                self.dirs.insert(dir);
            }
        }
    }
}

/// Where places of a cluster's are here.
pub struct Places<'s> {
    /// Where files are.
    pub storage: &'s dyn Storage,
    /// The maps of the run.
    pub maps: &'s PathMaps,
}

impl Places<'_> {
    /// The real place of a snapshot's directory, as far as it is known.
    pub fn real(&self, place: &Location) -> Location {
        let here = self.maps.here(&directory(place));
        self.storage.real_place(&here).unwrap_or(here).canonical()
    }
}

/// A snapshot's directory, also where its `_metadata` was named.
pub(super) fn directory(place: &Location) -> Location {
    if place.name() == METADATA { place.parent().unwrap_or_else(|| place.clone()) } else { place.clone() }
}

/// Which of some snapshots one is that a cluster names: by its place, or else by a name that comes once in the world.
pub fn matching<'p>(
    named: &Location,
    real: &Location,
    snapshots: impl Iterator<Item = &'p Location> + Clone,
) -> Vec<usize> {
    let all = |same: &dyn Fn(&Location) -> bool| {
        snapshots.clone().enumerate().filter(|(_, path)| same(path)).map(|(index, _)| index).collect::<Vec<usize>>()
    };
    let by_place = all(&|path| path.canonical() == *real);
    if !by_place.is_empty() {
        return by_place;
    }
    match unique_name(&directory(named)) {
        Some(name) => all(&|path| unique_name(path).as_ref() == Some(&name)),
        None => by_place,
    }
}

/// `JOB/chk-N` or `savepoint-…`.
fn unique_name(place: &Location) -> Option<String> {
    let name = place.name();
    if is_savepoint_name(name) {
        return Some(name.to_owned());
    }
    let above = place.parent()?;
    (checkpoint_number(name).is_some() && is_job_id(above.name())).then(|| format!("{}/{name}", above.name()))
}

/// The jobs of a layout that a running one is: by its id, and by where it has completed checkpoints.
fn jobs_of(job: &RunningJob, places: &Places<'_>, tree: &Tree, layout: &Layout) -> HashSet<JobIndex> {
    let by_id = layout.jobs.iter().position(|known| known.name == job.id);
    let by_dir = job.dirs().filter_map(|dir| layout.job(tree.dir_at(&places.real(&dir))?));
    by_id.into_iter().chain(by_dir).collect()
}

/// What is to be said of a job that runs.
pub(super) fn says(job: &RunningJob) -> String {
    format!("the job runs ({}, by {})", job.state, job.told_by)
}

/// Snapshots in use that are not among those below the roots.
pub(super) fn elsewhere(in_use: &InUse, snapshots: &[Snapshot], places: &Places<'_>) -> Vec<(Held, Location)> {
    let mut found: HashMap<Location, Held> = HashMap::new();
    for held in in_use.held() {
        let real = places.real(&held.place);
        if matching(&held.place, &real, snapshots.iter().map(|snapshot| &snapshot.path)).is_empty() {
            found.entry(real).or_insert(held);
        }
    }
    let mut found: Vec<(Held, Location)> = found.into_iter().map(|(real, held)| (held, real)).collect();
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}
