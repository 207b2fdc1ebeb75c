//! Carrying a plan out: locks, the clock of the store, signals, and what is said in the end.

use super::super::cluster::Clusters;
use super::super::{Exit, Session, explain, failure};
use crate::change::{self, ChangeError, Control, How, Left, Locks, Outcome, Purge, Purged, RunId};
use crate::model::Location;
use crate::plan::Plan;
use crate::prune::Again;
use crate::prune::held::HeldHere;
use crate::prune::seen::Seen;
use crate::render::Bytes;
use crate::render::prune::{AboutJson, OutcomeJson, count};
use crate::storage::WriteStorage;
use jiff::{SignedDuration, Timestamp};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};

/// A store's clock may be wrong by so much; by more, ages of files say nothing.
const MOST_SKEW: SignedDuration = SignedDuration::from_mins(10);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The time, for everything that is done.
pub(in crate::cli) fn clock() -> Timestamp {
    Timestamp::now()
}

/// From now on a signal ends a change after the names that are being changed, and not before.
pub(in crate::cli) fn heed_signals() {
    // Where no handler can be set a signal ends the process, which the journal allows for.
    let _ = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed));
}

/// What a change heeds and whom it tells.
pub(in crate::cli) fn control<'a>(per_second: Option<NonZeroU32>, progress: &'a dyn Fn(u64)) -> Control<'a> {
    Control { interrupted: &INTERRUPTED, per_second, progress }
}

/// Takes the locks of the roots.
pub(in crate::cli) fn lock<'s>(storage: &'s dyn WriteStorage, roots: &[Location]) -> anyhow::Result<Locks<'s>> {
    let locks = Locks::take(storage, roots, &change::owner(), &clock).map_err(refused)?;
    let skew = locks.skew();
    if skew.abs() > MOST_SKEW {
        let message =
            format!("the clock of the store is {skew:#} off this machine's, so that ages of files say nothing");
        return Err(failure(Exit::Refused, message));
    }
    Ok(locks)
}

/// The end of a change as the end of a run.
pub(in crate::cli) fn refused(error: ChangeError) -> anyhow::Error {
    match error {
        ChangeError::Storage(error) => explain(error),
        ChangeError::Run { .. } => failure(Exit::Findings, error.to_string()),
        error => failure(Exit::Refused, error.to_string()),
    }
}

/// How a plan is to be carried out.
pub(super) struct Task<'t> {
    pub plan: &'t Plan,
    pub seen: &'t Seen,
    pub assumed: &'t [Location],
    pub held: &'t HeldHere,
    pub clusters: &'t Clusters,
    pub instant: bool,
    pub run: Option<RunId>,
    pub per_second: Option<NonZeroU32>,
    /// Runs that ended so long ago are purged afterwards.
    pub purge: Option<SignedDuration>,
}

/// Carries a plan out.
pub(super) fn carry_out(
    session: &Session,
    locks: &mut Locks<'_>,
    task: &Task<'_>,
) -> anyhow::Result<(Outcome, Option<Purged>)> {
    let storage = &session.storage;
    let bar = session.bar();
    let items = task.plan.batches.iter().map(|batch| batch.items.len() as u64).sum();
    crate::survey::Progress::expect(&bar, items);
    let progress = |done| crate::survey::Progress::advance(&bar, done);
    let control = control(task.per_second, &progress);
    let maps = session.maps();
    let mut again = Again::new(storage, &maps, task.seen, task.plan, task.plan.cutoff, task.assumed, &clock);
    let unanswered = Cell::new(false);
    let guard = || task.clusters.try_ask(session).inspect_err(|_| unanswered.set(true));
    if !task.clusters.is_empty() {
        again = again.guarded(&guard, task.seen, task.held);
    }
    let how = How { instant: task.instant, run: task.run.clone() };
    let outcome = change::execute(storage, locks, task.plan, &how, control, &mut again);
    let outcome = outcome.map_err(|error| match unanswered.get() {
        // Nothing was wrong, and nothing is known.
        true => failure(Exit::NoVerdict, error.to_string()),
        false => refused(error),
    })?;
    let purged = match task.purge.filter(|_| !outcome.interrupted) {
        Some(age) => {
            let roots = &task.plan.roots;
            Some(change::purge(storage, locks, roots, &Purge::OlderThan(age), control).map_err(refused)?)
        }
        None => None,
    };
    bar.finish();
    Ok((outcome, purged))
}

/// An outcome for JSON.
pub(super) fn outcome_json(outcome: &Outcome, purged: Option<&Purged>) -> OutcomeJson {
    let failed = outcome.failed.iter().chain(purged.iter().flat_map(|purged| &purged.failed));
    OutcomeJson {
        run: outcome.run.as_ref().map(ToString::to_string),
        files: outcome.files,
        bytes: outcome.bytes,
        directories: outcome.directories,
        skipped: outcome.skipped.iter().chain(&outcome.brought_back).map(about).collect(),
        failed: failed.map(about).collect(),
        interrupted: outcome.interrupted || purged.is_some_and(|purged| purged.interrupted),
        purged: purged.iter().flat_map(|purged| &purged.runs).map(ToString::to_string).collect(),
    }
}

fn about(left: &Left) -> AboutJson {
    let why = if left.count == 1 { left.why.clone() } else { format!("{} of them: {}", left.count, left.why) };
    AboutJson { path: left.place.to_string(), why }
}

/// The line at the end; none where nothing was done.
pub(super) fn line(plan: &Plan, outcome: &Outcome, purged: Option<&Purged>, instant: bool) -> Option<String> {
    let mut parts = Vec::new();
    if outcome.files > 0 || outcome.directories > 0 {
        let verb = if instant { "deleted" } else { "put aside" };
        parts.push(format!(
            "{verb} {} ({}) and {}",
            count(outcome.files, "file"),
            Bytes(outcome.bytes),
            super::directories(outcome.directories)
        ));
        parts.push(format!("{} gone, {} kept", count(plan.totals.remove, "snapshot"), plan.totals.keep));
    }
    let left: u64 = outcome.skipped.iter().chain(&outcome.brought_back).map(|left| left.count).sum();
    if left > 0 {
        parts.push(format!("{left} left, in use or changed by now"));
    }
    let failed: u64 = outcome.failed.iter().map(|left| left.count).sum();
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if let Some(purged) = purged.filter(|purged| purged.files > 0 || !purged.runs.is_empty()) {
        parts.push(format!("purged {} ({})", count(purged.files, "file"), Bytes(purged.bytes)));
    }
    if outcome.interrupted {
        parts.push("interrupted: the next run goes on, or --resume".to_owned());
    }
    match (&outcome.run, instant) {
        (Some(run), false) if outcome.files > 0 => parts.push(format!("chkctl undelete {run} brings it back")),
        _ => {}
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The exit code of what was done.
pub(super) fn exit_of(outcome: &Outcome, purged: Option<&Purged>) -> Exit {
    match () {
        () if outcome.interrupted || purged.is_some_and(|purged| purged.interrupted) => Exit::Interrupted,
        () if !outcome.failed.is_empty() || purged.is_some_and(|purged| !purged.failed.is_empty()) => Exit::Partly,
        () => Exit::Fine,
    }
}
