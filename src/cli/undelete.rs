//! `chkctl undelete` and `chkctl purge`.

use super::prune::apply::{control, heed_signals, lock, refused};
use super::prune::duration;
use super::{Exit, Session, explain, failure};
use crate::change::{self, Left, Purge, RunId};
use crate::model::Location;
use crate::prune;
use crate::render::prune::{RunsJson, count, runs_table};
use crate::render::{Bytes, Escaped};
use crate::storage::WriteStorage;
use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;

/// Bring back what a prune put aside.
///
/// Without a RUN the runs are listed: what each put aside, and until when it can be brought back.
#[derive(Debug, Args)]
pub struct UndeleteArgs {
    /// The run, as prune named it, such as 20261128T112233Z-1f0c9a.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// The roots that were pruned.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    /// How long a purge is going to leave runs alone, for the list.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    keep_deleted: SignedDuration,
}

/// Delete for good what prunes put aside.
///
/// Deletes the runs that ended longer ago than --keep-deleted says, or the one that --run names.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// The roots that were pruned.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    /// Leave runs alone that ended since.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration, conflicts_with = "run")]
    keep_deleted: SignedDuration,
    /// Delete this run, whatever its age, and be it unfinished.
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
    /// Only list what would be deleted.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct ChangedJson {
    runs: Vec<String>,
    files: u64,
    bytes: u64,
    failed: Vec<crate::render::prune::AboutJson>,
    interrupted: bool,
}

pub(super) fn undelete(session: &mut Session, args: &UndeleteArgs) -> anyhow::Result<Exit> {
    let run: Option<RunId> = args.run.as_ref().and_then(|text| text.parse().ok());
    let first = args.run.iter().filter(|_| run.is_none());
    let roots = real_roots(session, &first.chain(&args.roots).cloned().collect::<Vec<String>>())?;
    let Some(run) = run else {
        let runs = change::runs(&session.storage, &roots, args.keep_deleted).map_err(refused)?;
        if session.globals.json {
            session.print_json(&RunsJson::new(&runs))?;
        } else if runs.is_empty() {
            session.say("nothing was put aside below the roots");
        } else {
            session.print(&runs_table(&runs, session.colour))?;
        }
        return Ok(Exit::Fine);
    };
    heed_signals();
    let storage = session.storage.clone();
    let mut locks = lock(&storage, &roots)?;
    let silent = |_| {};
    let back = change::undelete(&storage, &mut locks, &roots, &run, control(None, &silent)).map_err(refused)?;
    drop(locks);
    let exit = exit_of(!back.failed.is_empty() || !back.held_back.is_empty(), back.interrupted);
    let left: Vec<Left> = back.failed.iter().chain(&back.held_back).cloned().collect();
    finish(session, &[run], back.files, back.bytes, &left, back.interrupted, "brought back")?;
    if back.files > 0 && roots.iter().any(|root| !storage.rename_keeps_time(root)) {
        session.warn(
            "note: this store gave what came back the time of now, so that it is the newest to list, latest and prune",
        );
    }
    Ok(exit)
}

pub(super) fn purge(session: &mut Session, args: &PurgeArgs) -> anyhow::Result<Exit> {
    let roots = real_roots(session, &args.roots)?;
    if args.dry_run {
        let now = jiff::Timestamp::now();
        let mut runs = change::runs(&session.storage, &roots, args.keep_deleted).map_err(refused)?;
        runs.retain(|run| match &args.run {
            Some(named) => run.run == *named,
            None => run.restorable_until.is_some_and(|until| until <= now),
        });
        if session.globals.json {
            session.print_json(&RunsJson::new(&runs))?;
        } else if !runs.is_empty() {
            session.print(&runs_table(&runs, session.colour))?;
        }
        return Ok(Exit::Fine);
    }
    heed_signals();
    let storage = session.storage.clone();
    let mut locks = lock(&storage, &roots)?;
    let what = match &args.run {
        Some(run) => Purge::Run(run.clone()),
        None => Purge::OlderThan(args.keep_deleted),
    };
    let silent = |_| {};
    let purged = change::purge(&storage, &mut locks, &roots, &what, control(None, &silent)).map_err(refused)?;
    drop(locks);
    let exit = exit_of(!purged.failed.is_empty(), purged.interrupted);
    finish(session, &purged.runs, purged.files, purged.bytes, &purged.failed, purged.interrupted, "deleted")?;
    Ok(exit)
}

fn exit_of(failed: bool, interrupted: bool) -> Exit {
    match (interrupted, failed) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Partly,
        (false, false) => Exit::Fine,
    }
}

fn finish(
    session: &mut Session,
    runs: &[RunId],
    files: u64,
    bytes: u64,
    failed: &[Left],
    interrupted: bool,
    verb: &str,
) -> anyhow::Result<()> {
    for left in failed {
        session.say(format_args!("{}: {}", left.place, left.why));
    }
    if session.globals.json {
        let about =
            |left: &Left| crate::render::prune::AboutJson { path: left.place.to_string(), why: left.why.clone() };
        let failed = failed.iter().map(about).collect();
        let runs = runs.iter().map(ToString::to_string).collect();
        return session.print_json(&ChangedJson { runs, files, bytes, failed, interrupted });
    }
    if files > 0 || !runs.is_empty() {
        let names: Vec<String> = runs.iter().map(ToString::to_string).collect();
        let more = if interrupted { "; interrupted: the same command goes on" } else { "" };
        let line = format!("{verb} {} ({}) of {}{more}", count(files, "file"), Bytes(bytes), names.join(" "));
        session.print(&format!("{}\n", Escaped(line)))?;
    }
    Ok(())
}

/// The real places of the roots that were given, or of the configuration.
fn real_roots(session: &Session, given: &[String]) -> anyhow::Result<Vec<Location>> {
    let roots = session.roots(given)?;
    let storage: &dyn WriteStorage = &session.storage;
    let roots = prune::real_roots(storage, &roots).map_err(explain)?;
    if roots.is_empty() {
        return Err(failure(Exit::Usage, "no ROOT given"));
    }
    Ok(roots)
}
