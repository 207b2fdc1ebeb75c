//! Whether anything below the roots refers into a path: the proof that it may be deleted, or who stands against it.

use super::held::HeldHere;
use super::layout::{JobIndex, Role};
use super::life::Life;
use super::marks::Marks;
use super::seen::Seen;
use super::tree::{DirId, Found};
use super::{look, records};
use crate::change::ChangeError;
use crate::cluster::InUse;
use crate::model::Location;
use crate::plan::Refused;
use crate::storage::{EntryKind, WriteStorage};
use crate::survey::catalog::METADATA;
use crate::survey::resolve::PathMaps;
use crate::survey::{Progress, Verdict};
use foldhash::{HashSet, HashSetExt as _};
use jiff::Timestamp;

/// What was found out about a path.
#[derive(Debug, Clone)]
pub struct Safety {
    /// The path, without links.
    pub path: Location,
    /// Snapshots outside the path that refer into it.
    pub referrers: Vec<Referrer>,
    /// What keeps anybody from proving it.
    pub refused: Vec<Refused>,
    /// Snapshots in the path, which go with it.
    pub inside: Vec<Inside>,
    /// `_metadata` files that were read.
    pub metadata_read: u64,
    /// The newest of them.
    pub newest: Option<Timestamp>,
    /// Files in the path.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A snapshot that refers into the path.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// Its directory.
    pub path: Location,
    /// Files of the path that it refers to.
    pub files: u64,
    /// One of them.
    pub example: Option<Location>,
}

/// A snapshot in the path.
#[derive(Debug, Clone)]
pub struct Inside {
    /// Its directory.
    pub path: Location,
    /// What can be said of it.
    pub verdict: Verdict,
    /// Whether it is pinned.
    pub pinned: bool,
}

impl Safety {
    /// Whether it is proved that nothing refers into the path.
    pub fn is_proved(&self) -> bool {
        self.referrers.is_empty() && self.refused.is_empty()
    }
}

/// What tells that a job is alive.
pub struct Alive<'a> {
    /// What clusters say is in use.
    pub in_use: &'a InUse,
    /// A job is alive that wrote something after this.
    pub cutoff: Timestamp,
}

/// Looks whether anything below the roots refers into `path`. All are real places.
pub fn safe_to_delete(
    storage: &dyn WriteStorage,
    path: &Location,
    roots: &[Location],
    maps: &PathMaps,
    alive: &Alive<'_>,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<Safety, ChangeError> {
    let is_dir = storage.stat(path)?.kind == EntryKind::Directory;
    let mut places = roots.to_vec();
    if is_dir {
        places.push(path.clone());
    }
    let places = super::real_roots(storage, &places)?;
    let mut seen = look(storage, &places, maps, &[], alive.in_use, progress)?;
    let held = HeldHere::find(alive.in_use, &seen, storage, maps);
    let records = records(storage, &mut seen);
    let under = |place: &Location| place.strip_prefix(path).is_some();
    let dirs: HashSet<DirId> = seen.tree.dirs().filter(|dir| under(seen.tree.place(*dir))).collect();
    let mut names: HashSet<&str> = HashSet::new();
    let (mut files, mut bytes) = (0, 0_u64);
    let own = path.parent().and_then(|dir| seen.tree.dir_at(&dir)).and_then(|dir| seen.tree.find(dir, path.name()));
    let inside = dirs.iter().flat_map(|dir| seen.tree.entries(*dir)).chain(own.filter(|_| !is_dir));
    for entry in inside.filter(|entry| entry.kind == EntryKind::File) {
        names.insert(entry.name);
        files += 1;
        bytes = bytes.saturating_add(entry.size);
    }
    if !is_dir {
        names.insert(path.name());
    }
    let mut safety = Safety {
        path: path.clone(),
        referrers: Vec::new(),
        refused: seen.obstacles.clone(),
        inside: Vec::new(),
        metadata_read: seen.metadata_read,
        newest: seen.snapshots.iter().filter_map(|snapshot| snapshot.completed_at).max(),
        files,
        bytes,
    };
    let outside = seen.elsewhere.iter().map(|snapshot| (None, snapshot));
    for (index, snapshot) in seen.snapshots.iter().enumerate().map(|(index, s)| (Some(index), s)).chain(outside) {
        if under(&snapshot.path) {
            if let Some(why) = index.and_then(|index| held.snapshots.get(&index)) {
                safety.refused.push(refused(&snapshot.path, "in-use", why.clone()));
            }
            let record = snapshot.path.parent().and_then(|dir| records.get(&dir)?.get(snapshot.path.name()).cloned());
            let pinned = record.is_some_and(|record| record.is_pinned(now));
            if pinned {
                safety.refused.push(refused(&snapshot.path, "pinned", "it is pinned".to_owned()));
            }
            safety.inside.push(Inside { path: snapshot.path.clone(), verdict: snapshot.verdict, pinned });
            continue;
        }
        let by_place = snapshot
            .uses
            .files
            .iter()
            .map(|file| seen.tree.entry(*file))
            .filter(|entry| dirs.contains(&entry.dir) || own.is_some_and(|own| own.id == entry.id));
        let mut example: Option<Found<'_>> = None;
        let mut count = 0;
        for entry in by_place {
            let comes_first =
                |other: Found<'_>| (seen.tree.place(entry.dir), entry.name) < (seen.tree.place(other.dir), other.name);
            if example.is_none_or(comes_first) {
                example = Some(entry);
            }
            count += 1;
        }
        let example = example.map(|entry| seen.tree.entry_place(entry.id));
        count += snapshot.uses.names.iter().filter(|name| names.contains(&***name)).count() as u64;
        let as_a_whole = snapshot
            .uses
            .dirs
            .iter()
            .any(|dir| dirs.contains(dir) || path.strip_prefix(seen.tree.place(*dir)).is_some());
        // Version 7: the state of subtasks is that of an older checkpoint of the job.
        let by_id = seen.snapshots.iter().any(|other| {
            let id = other.checkpoint_id.is_some_and(|id| snapshot.uses.checkpoints.contains(&id));
            id && under(&other.path) && other.path.parent() == snapshot.path.parent()
        });
        if count > 0 || as_a_whole || by_id {
            safety.referrers.push(Referrer { path: snapshot.path.clone(), files: count, example });
        }
    }
    let links = dirs.iter().flat_map(|dir| seen.tree.entries(*dir)).filter(|entry| entry.kind == EntryKind::Link);
    for place in links.map(|entry| seen.tree.entry_place(entry.id)) {
        if storage.stat(&place).is_ok_and(|stat| stat.kind == EntryKind::Directory) {
            let why = "a symbolic link to a directory: a snapshot may reach files over it".to_owned();
            safety.refused.push(refused(&place, "link", why));
        }
    }
    safety.refused.extend(opaque(&seen, &held, &dirs, own.map(|own| own.dir), alive.cutoff));
    Ok(safety)
}

/// What may be in use though no `_metadata` says so: what a running job has, and what only operators know.
fn opaque(seen: &Seen, held: &HeldHere, dirs: &HashSet<DirId>, own: Option<DirId>, cutoff: Timestamp) -> Vec<Refused> {
    let life = Life::of(&seen.tree, &seen.layout, &HashSet::new());
    let mut alive: HashSet<JobIndex> = HashSet::new();
    let mut named = Marks::none(&seen.tree);
    seen.snapshots.iter().for_each(|snapshot| named.add(&snapshot.uses));
    let mut found = Vec::new();
    for dir in dirs.iter().copied().chain(own) {
        let Some((role, job)) = seen.layout.role(dir) else { continue };
        let runs = held.jobs.get(&job);
        if (runs.is_some() || life.is_alive(job, cutoff)) && alive.insert(job) {
            let last =
                || life.last(job).map_or(String::new(), |last| format!(": something of it was written at {last:.0}"));
            let why = runs.cloned().unwrap_or_else(|| format!("the job looks alive{}", last()));
            let place = seen.layout.jobs.get(job).map_or_else(|| seen.tree.place(dir).clone(), |job| job.place.clone());
            found.push(refused(&place, "job-alive", why));
        }
        let code = match role {
            Role::TaskOwned => "taskowned",
            Role::Changelog => "dstl",
            _ => continue,
        };
        if seen.tree.entries(dir).any(|entry| entry.kind == EntryKind::File && !named.holds(entry.id)) {
            let why = "files in there may be in use though no snapshot names them".to_owned();
            found.push(refused(seen.tree.place(dir), code, why));
        }
    }
    found.extend(
        dirs.iter()
            .filter(|dir| held.dirs.contains(dir) && seen.tree.find(**dir, METADATA).is_none())
            .map(|dir| refused(seen.tree.place(*dir), "in-use", "a running job is writing it or needs it".to_owned())),
    );
    found.sort_by(|a, b| (&a.path, &a.code).cmp(&(&b.path, &b.code)));
    found
}

fn refused(path: &Location, code: &str, why: String) -> Refused {
    Refused { path: path.clone(), code: code.to_owned(), why, files: 0, bytes: 0 }
}
