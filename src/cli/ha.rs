//! `chkctl ha`.

use super::bar::Bar;
use super::cluster::read_ha;
use super::prune::duration;
use super::{Exit, Session, failure};
use crate::cluster::ha::{Ha, Pointer};
use crate::model::Location;
use crate::render::ha::{HaJson, JobJson, NewerJson, PointerJson, ha_text};
use crate::survey::catalog::checkpoint_number;
use crate::survey::{Catalog, Judge, SnapshotReport, Verdict};
use clap::Args;
use jiff::SignedDuration;

/// What is not restorable is looked at so often, as long as the pointers change.
const LOOKS: usize = 4;

/// Say which checkpoints Flink's high availability would start jobs from, and whether they are whole.
///
/// PLACE is zookeeper://HOST:PORT/ROOT/CLUSTER-ID, the directory high-availability.storageDir/CLUSTER-ID, or a file with
/// ConfigMaps (kubectl get configmap -o yaml). Below the roots, or else in the directory of each job, it looks for a restorable
/// snapshot that is newer. Exits with 1 if a job could not start, with 5 if that is not known.
#[derive(Debug, Args)]
pub struct HaArgs {
    /// Where high availability keeps its pointers.
    #[arg(value_name = "PLACE")]
    place: String,
    /// Checkpoint roots, job directories or savepoint directories, to look for what is newer.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    /// How long ZooKeeper may take.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    ha_timeout: SignedDuration,
}

pub(super) fn run(session: &mut Session, args: &HaArgs) -> anyhow::Result<Exit> {
    let read = || {
        let read = read_ha(session, &args.place, args.ha_timeout.unsigned_abs());
        read.map_err(|error| failure(Exit::NoVerdict, error.to_string()))
    };
    let mut ha = read()?;
    let roots = match args.roots.is_empty() {
        true => None,
        false => Some(session.roots(&args.roots)?),
    };
    let mut json = judge_all(session, &ha, roots.as_deref())?;
    for _ in 1..LOOKS {
        // A running job discards a checkpoint when the next one is complete: was it that?
        let again = read()?;
        if exit_of(&ha, &json) == Exit::Fine || again == ha {
            break;
        }
        ha = again;
        json = judge_all(session, &ha, roots.as_deref())?;
    }
    if session.globals.json {
        session.print_json(&json)?;
    } else {
        session.print(&ha_text(&json, session.globals.verbose > 0))?;
    }
    if json.jobs.is_empty() {
        session.say(format_args!("{} points to no checkpoint", ha.place));
    }
    Ok(exit_of(&ha, &json))
}

fn judge_all(session: &Session, ha: &Ha, roots: Option<&[Location]>) -> anyhow::Result<HaJson> {
    let bar = Bar::none();
    let judge = session.judge(&bar, &[], false);
    let jobs = ha.by_job().into_iter().map(|(_, pointers)| job(session, &judge, &pointers, roots));
    Ok(HaJson { place: ha.place.clone(), jobs: jobs.collect::<anyhow::Result<Vec<JobJson>>>()? })
}

fn exit_of(ha: &Ha, json: &HaJson) -> Exit {
    let counted = || json.jobs.iter().flat_map(|job| &job.pointers).filter(|pointer| !pointer.marked_for_deletion);
    let lost =
        ha.pointers.iter().any(|pointer| !pointer.marked && pointer.checkpoint.as_ref().is_err_and(|l| l.certain));
    let starts = || json.jobs.iter().map(|job| job.start.as_ref().map(|start| start.verdict));
    match () {
        // What is certain comes first.
        () if lost || json.jobs.is_empty() => Exit::Findings,
        () if starts().any(|v| !matches!(v, Some(Verdict::Restorable | Verdict::Unknown))) => Exit::Findings,
        () if starts().any(|v| v == Some(Verdict::Unknown)) => Exit::NoVerdict,
        () if counted().any(|pointer| pointer.path.is_none() && pointer.verdict == Verdict::Unknown) => Exit::NoVerdict,
        () => Exit::Fine,
    }
}

/// A job: its pointers, the one that it would start from, and what is newer than that.
fn job(
    session: &Session,
    judge: &Judge<'_>,
    pointers: &[&Pointer],
    roots: Option<&[Location]>,
) -> anyhow::Result<JobJson> {
    let judged: Vec<(PointerJson, Option<SnapshotReport>)> =
        pointers.iter().map(|pointer| judged(session, judge, pointer)).collect();
    let start = judged.iter().find(|(pointer, _)| !pointer.marked_for_deletion);
    let place = start.and_then(|(pointer, _)| Location::parse(pointer.path.as_ref()?).ok());
    let own_dir = place.filter(|place| checkpoint_number(place.name()).is_some()).and_then(|place| place.parent());
    let own_dir = own_dir.map(|dir| session.maps().here(&dir));
    let roots = match (roots, &own_dir) {
        (Some(roots), _) => roots,
        (None, Some(dir)) => std::slice::from_ref(dir),
        (None, None) => &[],
    };
    let newer = newer(session, judge, start.and_then(|(_, report)| report.as_ref()), roots)?;
    Ok(JobJson {
        job_id: pointers.iter().find_map(|pointer| pointer.job()).map(str::to_owned),
        start: start.map(|(pointer, _)| pointer.clone()),
        newer: newer.as_ref().map(NewerJson::new),
        pointers: judged.into_iter().map(|(pointer, _)| pointer).collect(),
    })
}

fn judged(session: &Session, judge: &Judge<'_>, pointer: &Pointer) -> (PointerJson, Option<SnapshotReport>) {
    let without = |id: Option<u64>, path: Option<String>, certain: bool, why: String| PointerJson {
        found: pointer.found.clone(),
        checkpoint_id: id,
        path,
        verdict: if certain { Verdict::Broken } else { Verdict::Unknown },
        why: Some(why),
        marked_for_deletion: pointer.marked,
    };
    let completed = match &pointer.checkpoint {
        Ok(completed) => completed,
        Err(lost) => return (without(pointer.id(), None, lost.certain, lost.why.clone()), None),
    };
    let Some(place) = &completed.place else {
        let why = "its state is in the memory of a job manager".to_owned();
        return (without(Some(completed.id), None, false, why), None);
    };
    let found = Catalog::scan(&session.storage, &[session.maps().here(place)]);
    match found.map(|catalog| catalog.snapshots) {
        Ok(snapshots) => match snapshots.first() {
            Some(snapshot) => {
                let report = judge.judge(snapshot);
                let json = PointerJson::to(&pointer.found, completed.id, place, &report, pointer.marked);
                (json, Some(report))
            }
            None => {
                (without(Some(completed.id), Some(place.to_string()), true, "no _metadata is in it".to_owned()), None)
            }
        },
        Err(error) => (without(Some(completed.id), Some(place.to_string()), error.is_not_found(), error.message), None),
    }
}

/// The newest restorable snapshot below some roots, if it is newer than one.
fn newer(
    session: &Session,
    judge: &Judge<'_>,
    start: Option<&SnapshotReport>,
    roots: &[Location],
) -> anyhow::Result<Option<SnapshotReport>> {
    let there: Vec<Location> = roots
        .iter()
        .filter(|root| !crate::storage::Storage::stat(&session.storage, root).is_err_and(|error| error.is_not_found()))
        .cloned()
        .collect();
    if there.is_empty() {
        return Ok(None);
    }
    for snapshot in &session.scan(&there)?.snapshots {
        let time = snapshot.time();
        let is_newer =
            start.is_none_or(|start| time > start.completed_at && snapshot.dir.canonical() != start.path.canonical());
        if time.is_none() || !is_newer {
            continue;
        }
        let report = judge.judge(snapshot);
        if report.verdict == Verdict::Restorable {
            return Ok(Some(report));
        }
    }
    Ok(None)
}
