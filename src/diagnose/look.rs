//! What is on disk: the file that a log misses, the snapshot that it names, the ones beside it, and the best one to
//! start from.

use super::facts::Facts;
use crate::model::Location;
use crate::storage::{Storage, StorageErrorKind};
use crate::survey::finding::{Finding, Verdict};
use crate::survey::resolve::{PathMaps, absolute};
use crate::survey::verify::job_directory;
use crate::survey::{Catalog, SnapshotDir, SnapshotReport};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// In so many directories a missing file is looked for.
const BASES: usize = 64;
/// Findings of the named snapshot that are kept.
const FINDINGS: usize = 5;

/// What is there, in the words of `diagnose --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// The snapshot that the log names, if it is below the roots.
    pub named: Option<Seen>,
    /// Whether the log names a snapshot at all.
    pub named_in_log: bool,
    /// What is wrong with it, the first few.
    pub findings: Vec<Finding>,
    /// The file that the log misses.
    pub file: Option<FileLook>,
    /// Other snapshots of the same job, newest first.
    pub of_the_job: Vec<Seen>,
    /// The best snapshot to start from.
    pub best: Option<Seen>,
    /// Seconds from the best snapshot to the newest or the named one: what is read again from the sources.
    pub older_by_seconds: Option<i64>,
    /// How many snapshots are below the roots.
    pub snapshots: usize,
    /// Newer ones than the best, or all, that could not be judged.
    pub not_judged: usize,
}

/// A snapshot that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Its directory.
    pub path: String,
    /// Its number.
    pub checkpoint_id: Option<i64>,
    /// Its job.
    pub job_id: Option<String>,
    /// When it was completed.
    #[serde(serialize_with = "rfc_3339")]
    pub completed_at: Option<Timestamp>,
    /// What can be said of it; `None` if it was not judged.
    pub verdict: Option<Verdict>,
}

/// A file that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileLook {
    /// Its path in the log.
    pub path: String,
    /// Whether it is there; `None` if that could not be found out.
    pub present: Option<bool>,
    /// Whether its directory is there.
    pub directory: Option<bool>,
    /// Where it is instead.
    pub elsewhere: Option<String>,
    /// The snapshots that need it, of those that were judged.
    pub needed_by: Vec<String>,
}

fn rfc_3339<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| format!("{at:.3}")).serialize(serializer)
}

/// Looks at what is below the roots. `verify` judges one snapshot and lists its files.
pub fn look(
    storage: &dyn Storage,
    maps: &PathMaps,
    roots: &[Location],
    catalog: &Catalog,
    facts: &Facts,
    verify: &dyn Fn(&SnapshotDir) -> SnapshotReport,
) -> Look {
    let mut reports: BTreeMap<usize, SnapshotReport> = BTreeMap::new();
    let mut judge =
        |index: usize, snapshot: &SnapshotDir| reports.entry(index).or_insert_with(|| verify(snapshot)).clone();
    let named = find_named(maps, catalog, facts);
    let named_report = named.map(|(index, snapshot)| judge(index, snapshot));
    let mut best = None;
    let mut not_judged = 0_usize;
    for (index, snapshot) in catalog.snapshots.iter().enumerate() {
        let report = judge(index, snapshot);
        match report.verdict {
            Verdict::Restorable => {
                best = Some(seen(&report));
                break;
            }
            Verdict::Unknown => not_judged = not_judged.saturating_add(1),
            Verdict::Suspect | Verdict::Incomplete | Verdict::Broken => {}
        }
    }
    let file = facts.file.as_deref().and_then(|path| look_for(storage, maps, roots, catalog, path, &reports));
    let of_the_job = facts.job_id.as_deref().map(|job| of_job(catalog, job, &reports)).unwrap_or_default();
    let newest = catalog.snapshots.iter().filter_map(SnapshotDir::completed_at).max();
    let reference = named_report.as_ref().and_then(|report| report.completed_at).or(newest);
    let chosen = best.as_ref().and_then(|best| best.completed_at);
    let older_by_seconds =
        reference.zip(chosen).map(|(reference, chosen)| reference.as_second().saturating_sub(chosen.as_second()));
    Look {
        named_in_log: facts.snapshot.is_some(),
        findings: named_report.iter().flat_map(|report| report.findings.iter().take(FINDINGS).cloned()).collect(),
        named: named_report.as_ref().map(seen),
        file,
        of_the_job,
        best,
        older_by_seconds,
        snapshots: catalog.snapshots.len(),
        not_judged,
    }
}

fn seen(report: &SnapshotReport) -> Seen {
    Seen {
        path: report.path.to_string(),
        checkpoint_id: report.checkpoint_id,
        job_id: report.job_id.clone(),
        completed_at: report.completed_at,
        verdict: Some(report.verdict),
    }
}

fn find_named<'c>(maps: &PathMaps, catalog: &'c Catalog, facts: &Facts) -> Option<(usize, &'c SnapshotDir)> {
    let all = || catalog.snapshots.iter().enumerate();
    let place = facts.snapshot.as_deref().and_then(|path| Location::parse(path).ok());
    if let Some(place) = &place {
        let here = maps.here(&absolute(place)).canonical();
        if let Some(found) = all().find(|(_, s)| s.dir.canonical() == here || s.metadata_file.canonical() == here) {
            return Some(found);
        }
    }
    // A copy of it somewhere else.
    if let (Some(job), Some(id)) = (&facts.job_id, facts.checkpoint_id) {
        return all().find(|(_, s)| s.job_id.as_ref() == Some(job) && s.id_in_name() == Some(id));
    }
    let name = place.as_ref().map(Location::name).filter(|name| crate::survey::catalog::is_savepoint_name(name))?;
    all().find(|(_, snapshot)| snapshot.dir.name() == name)
}

fn of_job(catalog: &Catalog, job: &str, reports: &BTreeMap<usize, SnapshotReport>) -> Vec<Seen> {
    let own = catalog.snapshots.iter().enumerate().filter(|(_, snapshot)| snapshot.job_id.as_deref() == Some(job));
    let all = own.map(|(index, snapshot)| match reports.get(&index) {
        Some(report) => seen(report),
        None => Seen {
            path: snapshot.dir.to_string(),
            checkpoint_id: snapshot.id_in_name().and_then(|id| i64::try_from(id).ok()),
            job_id: snapshot.job_id.clone(),
            completed_at: snapshot.completed_at(),
            verdict: None,
        },
    });
    all.take(20).collect()
}

/// Looks for a file where the log has it, and below the roots in directories of the same names.
fn look_for(
    storage: &dyn Storage,
    maps: &PathMaps,
    roots: &[Location],
    catalog: &Catalog,
    path: &str,
    reports: &BTreeMap<usize, SnapshotReport>,
) -> Option<FileLook> {
    let place = absolute(&Location::parse(path).ok()?);
    let here = maps.here(&place);
    let present = |place: &Location| match storage.stat(place) {
        Ok(_) => Some(true),
        Err(error) if error.is_not_found() => Some(false),
        // Another store than the one the trees were copied from says nothing.
        Err(error) if error.kind == StorageErrorKind::Unsupported => None,
        Err(_) => None,
    };
    let there = present(&here);
    let mut elsewhere = None;
    if there != Some(true) {
        let mut bases: BTreeSet<Location> = roots.iter().cloned().collect();
        for snapshot in &catalog.snapshots {
            let job = job_directory(&snapshot.dir).and_then(|job| job.parent());
            bases.extend(job.into_iter().chain(snapshot.dir.parent()));
            if bases.len() >= BASES {
                break;
            }
        }
        let parts: Vec<&str> = place.components().collect();
        elsewhere = bases.iter().find_map(|base| {
            let suffixes = (2..=parts.len().min(8)).filter_map(|count| parts.get(parts.len().checked_sub(count)?..));
            let places = suffixes.map(|suffix| base.with_suffix(&format!("/{}", suffix.join("/"))));
            places
                .filter(|candidate| candidate.canonical() != here.canonical())
                .find(|candidate| present(candidate) == Some(true))
        });
    }
    let dir = place.parent()?.canonical();
    let needs = |report: &&SnapshotReport| {
        report.used.iter().any(|used| *used.name == *place.name() && used.dir.canonical() == dir)
    };
    Some(FileLook {
        path: path.to_owned(),
        present: there,
        directory: here.parent().and_then(|dir| present(&dir)),
        elsewhere: elsewhere.map(|place| place.to_string()),
        needed_by: reports.values().filter(needs).map(|report| report.path.to_string()).collect(),
    })
}
