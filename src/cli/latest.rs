//! `chkctl latest`.

use super::bar::Bar;
use super::cluster::ManagerArgs;
use super::compat::CompatArgs;
use super::deep::DeepArgs;
use super::metrics::{Counted, MetricsArgs, ages};
use super::{Exit, Session};
use crate::model::Location;
use crate::prune::held::{Places, matching};
use crate::render::metrics::{Command, RunMetrics};
use crate::render::report::why;
use crate::render::{Escaped, json_time, time};
use crate::storage::Storage as _;
use crate::survey::finding::Verdict;
use crate::survey::{SnapshotDir, SnapshotReport};
use clap::Args;
use serde::Serialize;
use std::io::{self, IsTerminal};

/// Print the path of the newest restorable snapshot, for `flink run -s "$(chkctl latest ROOT)"`.
///
/// Broken, suspect and incomplete snapshots are skipped, and stderr says so. A snapshot that could not be judged may
/// be the one to restart from, so nothing is printed (exit 5) unless --skip-unknown says to go on to older ones.
#[derive(Debug, Args)]
pub struct LatestArgs {
    /// Checkpoint roots, job directories, savepoint directories or snapshots.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    /// Go on to older snapshots where one cannot be judged.
    #[arg(long)]
    skip_unknown: bool,
    /// Take a suspect snapshot too: Flink starts from it, but bytes are not as they were recorded.
    #[arg(long)]
    allow_suspect: bool,
    #[command(flatten)]
    managers: ManagerArgs,
    #[command(flatten)]
    compat: CompatArgs,
    #[command(flatten)]
    deep: DeepArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
}

#[derive(Serialize)]
struct LatestJson<'r> {
    path: Option<String>,
    verdict: Option<Verdict>,
    checkpoint_id: Option<i64>,
    job_id: Option<&'r str>,
    completed_at: Option<String>,
    skipped: Vec<SkippedJson>,
    /// Only where a cluster was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterJson>,
}

/// What a cluster knows.
#[derive(Serialize)]
struct ClusterJson {
    /// Whether the path is what the cluster knows as the latest.
    preferred: bool,
    /// The latest that it knows; null where it knows none below the roots.
    job_id: Option<String>,
    checkpoint_id: Option<u64>,
    told_path: Option<String>,
    /// A restorable snapshot that is newer.
    newer: Option<String>,
}

#[derive(Serialize)]
struct SkippedJson {
    path: String,
    verdict: Verdict,
    why: String,
}

pub(super) fn run(session: &mut Session, args: &LatestArgs) -> anyhow::Result<Exit> {
    let mut found = None;
    let exit = latest(session, args, &mut found);
    let tell = |metrics: &mut RunMetrics, now| {
        // It stops at the first that is good, so that nothing can be counted.
        metrics.last_restorable_age = ages(&found.iter().map(Counted::of).collect::<Vec<_>>(), now);
    };
    args.metrics.end(Command::Latest, &args.roots, exit, tell)
}

fn latest(session: &mut Session, args: &LatestArgs, found: &mut Option<SnapshotReport>) -> anyhow::Result<Exit> {
    let target = args.compat.target()?;
    let told = told(&args.managers)?;
    // The cluster says where to look, where nobody else does.
    let roots = match &told {
        Some(told) if args.roots.is_empty() && session.names_no_roots() => {
            told.iter().filter_map(|told| Some(session.maps().here(&told.place.as_ref()?.parent()?))).collect()
        }
        _ => session.roots(&args.roots)?,
    };
    let deep = args.deep.start()?;
    let mut catalog = session.scan(&roots)?;
    let known = told.as_deref().and_then(|told| prefer(session, told, &mut catalog.snapshots));
    let mut skipped = Vec::new();
    let mut newer = None;
    {
        let bar = Bar::none();
        let judge = session.judge(&bar, &catalog.snapshots, false);
        let bytes = session.bar_of_bytes();
        let deep = deep.map(|deep| deep.reader(session, &bytes));
        let is_good = |report: &SnapshotReport| match report.verdict {
            Verdict::Restorable => true,
            Verdict::Suspect => args.allow_suspect,
            Verdict::Unknown | Verdict::Incomplete | Verdict::Broken => false,
        };
        for (index, snapshot) in catalog.snapshots.iter().enumerate() {
            let mut report = judge.judge(snapshot);
            target.judge(&judge, snapshot, &mut report);
            if let Some(deep) = deep.as_ref().filter(|_| is_good(&report)) {
                deep.examine(&judge, snapshot, &mut report);
            }
            if is_good(&report) {
                if index == 0 && known.is_some() {
                    newer = newer_than(snapshot, &catalog.snapshots, |other| is_good(&judge.judge(other)));
                }
                *found = Some(report);
                break;
            }
            let stop = report.verdict == Verdict::Unknown && !args.skip_unknown;
            skipped.push(report);
            if stop {
                break;
            }
        }
    }
    let refused =
        found.is_none() && skipped.last().is_some_and(|r| r.verdict == Verdict::Unknown) && !args.skip_unknown;
    talk(session, &skipped, found.as_ref(), refused);
    let cluster = told.is_some().then(|| ClusterJson {
        preferred: found.is_some() && known.is_some() && skipped.is_empty(),
        job_id: known.as_ref().map(|known| known.job.clone()),
        checkpoint_id: known.as_ref().map(|known| known.id),
        told_path: known.as_ref().and_then(|known| Some(known.place.as_ref()?.to_string())),
        newer: newer.clone(),
    });
    match (&cluster, &newer) {
        (Some(_), Some(newer)) => {
            session.say(format_args!("note: {newer} is newer than what the cluster knows as the latest"));
        }
        (Some(cluster), None) if !cluster.preferred && found.is_some() => {
            session.say("note: this is not what the cluster knows as the latest");
        }
        _ => {}
    }
    if session.globals.json {
        session.print_json(&LatestJson {
            path: found.as_ref().map(|report| report.path.to_string()),
            verdict: found.as_ref().map(|report| report.verdict),
            checkpoint_id: found.as_ref().and_then(|report| report.checkpoint_id),
            job_id: found.as_ref().and_then(|report| report.job_id.as_deref()),
            completed_at: found.as_ref().and_then(|report| json_time(report.completed_at)),
            skipped: skipped.iter().map(skipped_json).collect(),
            cluster,
        })?;
    } else if let Some(report) = &*found {
        let path = report.path.to_string();
        // A script gets the name as it is; a terminal must not be written to by it.
        let line = if io::stdout().is_terminal() { Escaped(&path).to_string() } else { path };
        session.print(&format!("{line}\n"))?;
    }
    let unknown = skipped.iter().any(|report| report.verdict == Verdict::Unknown);
    Ok(match (&*found, unknown) {
        (Some(_), _) => Exit::Fine,
        (None, true) => Exit::NoVerdict,
        (None, false) => Exit::Findings,
    })
}

/// A checkpoint that a cluster knows as the latest of a job.
struct Known {
    job: String,
    id: u64,
    place: Option<Location>,
    triggered: i64,
}

/// What clusters know, the newest first; `None` where none is to be asked.
fn told(managers: &ManagerArgs) -> anyhow::Result<Option<Vec<Known>>> {
    let clusters = managers.clusters()?;
    if clusters.is_empty() {
        return Ok(None);
    }
    let mut told: Vec<Known> = Vec::new();
    for job in clusters.all_jobs()? {
        let Some(latest) = job.latest else { continue };
        let triggered = latest.triggered.unwrap_or(0);
        told.push(Known { job: job.id, id: latest.id, place: latest.place, triggered });
    }
    told.sort_by_key(|known| std::cmp::Reverse(known.triggered));
    Ok(Some(told))
}

/// Puts first what clusters know as the newest, of all that is among the snapshots; gives what they said of it.
fn prefer<'k>(session: &Session, told: &'k [Known], snapshots: &mut Vec<SnapshotDir>) -> Option<&'k Known> {
    let maps = session.maps();
    let places = Places { storage: &session.storage, maps: &maps };
    let real = |snapshot: &SnapshotDir| session.storage.real_place(&snapshot.dir);
    let all: Vec<Location> =
        snapshots.iter().map(|snapshot| real(snapshot).unwrap_or_else(|_| snapshot.dir.clone())).collect();
    for known in told {
        let Some(place) = &known.place else { continue };
        if let Some(&index) = matching(place, &places.real(place), all.iter()).first() {
            let first = snapshots.remove(index);
            snapshots.insert(0, first);
            return Some(known);
        }
    }
    None
}

/// The newest of the snapshots that is good and newer than one.
fn newer_than(snapshot: &SnapshotDir, all: &[SnapshotDir], is_good: impl Fn(&SnapshotDir) -> bool) -> Option<String> {
    let newer = all.iter().filter(|other| other.time().is_some() && other.time() > snapshot.time());
    newer.filter(|other| is_good(other)).map(|other| other.dir.to_string()).next()
}

fn skipped_json(report: &SnapshotReport) -> SkippedJson {
    SkippedJson { path: report.path.to_string(), verdict: report.verdict, why: why(report) }
}

fn talk(session: &Session, skipped: &[SnapshotReport], found: Option<&SnapshotReport>, refused: bool) {
    for report in skipped {
        session.say(format_args!("skipped ({}) {}: {}", report.verdict, report.path, why(report)));
    }
    match found {
        Some(report) if session.globals.verbose > 0 => {
            session.say(format_args!("{}, completed {}", report.path, time(report.completed_at)));
        }
        Some(_) => {}
        None if refused => session.say(
            "no answer: the snapshot named last could not be judged and may be the newest good one; \
             --skip-unknown goes on to older ones",
        ),
        None => session.say("no restorable snapshot found"),
    }
}
