//! `chkctl safe-to-delete`.

use super::cluster::ClusterArgs;
use super::prune::apply::refused;
use super::prune::duration;
use super::{Exit, Session, explain};
use crate::prune;
use crate::prune::safe::{Alive, Safety, safe_to_delete};
use crate::render::prune::{SafeJson, safe_text};
use crate::storage::Storage as _;
use clap::Args;
use jiff::{SignedDuration, Timestamp};

/// Prove that no snapshot below the roots refers into a path, or say which do.
///
/// Exits with 0 if nothing does, with 1 if something does, with 4 if it cannot be proved: a snapshot cannot be read, a job
/// in the path looks alive, or files lie in it that may be in use though no snapshot names them. Snapshots in the path do
/// not count, except pinned ones: they go with it.
#[derive(Debug, Args)]
pub struct SafeArgs {
    /// The file or directory that somebody wants to delete.
    #[arg(value_name = "PATH")]
    path: String,
    /// Every checkpoint, savepoint and changelog directory whose jobs may refer into it.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    /// A job is alive that wrote something since.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    grace: SignedDuration,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) fn run(session: &mut Session, args: &SafeArgs) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let storage = &session.storage;
    let path = storage.real_place(&session.place(&args.path)?).map_err(explain)?.canonical();
    let roots = prune::real_roots(storage, &session.roots(&args.roots)?).map_err(explain)?;
    let cutoff = now.checked_sub(args.grace).unwrap_or(Timestamp::MIN);
    let bar = session.bar();
    let in_use = args.cluster.clusters()?.ask(session)?;
    let safety = safe_to_delete(storage, &path, &roots, &session.maps(), &Alive { in_use: &in_use, cutoff }, now, &bar)
        .map_err(refused)?;
    bar.finish();
    if session.globals.json {
        session.print_json(&SafeJson::new(&safety, &roots))?;
    } else {
        session.print(&safe_text(&safety, &roots))?;
    }
    Ok(exit_of(&safety))
}

fn exit_of(safety: &Safety) -> Exit {
    match () {
        () if !safety.referrers.is_empty() => Exit::Findings,
        () if !safety.refused.is_empty() => Exit::Refused,
        () => Exit::Fine,
    }
}
