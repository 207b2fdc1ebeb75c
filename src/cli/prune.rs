//! `chkctl prune`.

pub(super) mod apply;
mod metrics;

use super::bar::Bar;
use super::cluster::ClusterArgs;
use super::keep::{self, KeepArgs};
use super::metrics::MetricsArgs;
use super::{Exit, Session, explain, failure};
use crate::change::{self, Outcome, Purged, RunId};
use crate::cluster::InUse;
use crate::model::Location;
use crate::plan::{self, Plan};
use crate::prune::options::GroupBy;
use crate::prune::{self, Options, Prepared};
use crate::render::Escaped;
use crate::render::metrics::{Command, RunMetrics};
use crate::render::prune::{PruneJson, is_obstacle, plan_text, summary};
use crate::retention::Order;
use crate::runtime::duration::parse_duration;
use apply::Task;
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;

/// Remove snapshots that no rule keeps, and files that no snapshot refers to.
///
/// Without --apply nothing is changed: the plan is printed. What goes is put aside, `chkctl undelete` brings it back until
/// `chkctl purge` deletes it. Only snapshots that verify as restorable count; the newest restorable one of each group and
/// pinned ones always stay. A `_metadata` or directory that cannot be read forbids everything (exit 4).
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Every checkpoint, savepoint and changelog directory whose jobs may refer to each other's files.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    #[command(flatten, next_help_heading = "What stays")]
    keep: KeepArgs,
    #[command(flatten, next_help_heading = "What is swept")]
    sweep: SweepArgs,
    #[command(flatten, next_help_heading = "What is in use")]
    cluster: ClusterArgs,
    #[command(flatten, next_help_heading = "What is done")]
    apply: ApplyArgs,
}

#[derive(Debug, Args)]
struct SweepArgs {
    /// By what snapshots are newer or older: the time of their _metadata, or their id where a copy lost the times.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    time_from: TimeFrom,
    /// Count all snapshots whose _metadata can be read, without looking for their files.
    #[arg(long)]
    no_verify: bool,
    /// Leave files alone that are younger, and everything in shared/ of a job that wrote something since.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    grace: SignedDuration,
    /// How long a checkpoint may take (Flink's execution.checkpointing.timeout). The grace is twice as long at least.
    #[arg(long, value_name = "DURATION", default_value = "10min", value_parser = duration)]
    checkpoint_timeout: SignedDuration,
    /// Sweep shared/ of running jobs too, what is older than the oldest checkpoint that stays by the grace.
    #[arg(long)]
    live: bool,
    /// Sweep taskowned/ or dstl/ of jobs that do not run: nobody else may know what is in there.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "taskowned,dstl")]
    include: Vec<Include>,
    /// Take this snapshot to refer to nothing, where that cannot be found out. May be given again.
    #[arg(long, value_name = "SNAPSHOT")]
    assume_unreferenced: Vec<String>,
    /// Refuse to remove more than this share of the bytes below the roots.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    max_delete_percent: u8,
    /// Refuse to remove more bytes than this, such as 500GiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_delete_bytes: Option<u64>,
    /// Decide as if it were this time, to rehearse a rule (2026-11-28T12:00:00Z).
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// Carry the plan out.
    #[arg(long)]
    apply: bool,
    /// Delete at once instead of putting aside: nothing can be brought back.
    #[arg(long, requires = "apply")]
    instant: bool,
    /// Afterwards delete for good what earlier runs put aside, if it is older than --keep-deleted.
    #[arg(long, requires = "apply")]
    purge: bool,
    /// How long what was put aside can be brought back, for --purge.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    keep_deleted: SignedDuration,
    /// Write the plan to this file.
    #[arg(long, value_name = "FILE", value_parser = super::local_file())]
    plan_out: Option<OsString>,
    /// Carry this plan out, which --plan-out wrote; refused if snapshots or pins have changed since.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan_out", "resume"])]
    plan_in: Option<OsString>,
    /// Go on with the plan of a run that was interrupted.
    #[arg(long, requires = "apply")]
    resume: bool,
    /// Remove so many files in a second at most.
    #[arg(long, value_name = "N")]
    max_per_second: Option<NonZeroU32>,
    #[command(flatten)]
    metrics: MetricsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum TimeFrom {
    /// The time of the _metadata.
    #[default]
    Mtime,
    /// The id of the checkpoint.
    Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Include {
    Taskowned,
    Dstl,
}

pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    SignedDuration::try_from(duration).map_err(|error| error.to_string())
}

/// A number of bytes with a unit of 1024s or 1000s.
fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1_u64 << 40,
        _ => return Err("its unit is none of B, KiB, MiB, GiB, TiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "it does not start with a whole number".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "it is too large".to_owned())
}

impl PruneArgs {
    fn options(&self, session: &Session, now: Timestamp, in_use: InUse) -> anyhow::Result<Options> {
        let sweep = &self.sweep;
        let assumed = sweep.assume_unreferenced.iter().map(|text| {
            let place = session.place(text)?;
            Ok(crate::storage::Storage::real_place(&session.storage, &place).unwrap_or(place))
        });
        Ok(Options {
            policy: self.keep.policy(),
            group_by: match self.keep.group_by() {
                keep::GroupBy::Job => GroupBy::Job,
                keep::GroupBy::Root => GroupBy::Root,
                keep::GroupBy::None => GroupBy::None,
            },
            order: match sweep.time_from {
                TimeFrom::Mtime => Order::ByTime,
                TimeFrom::Id => Order::ById,
            },
            min_age: self.keep.min_age(),
            zone: self.keep.time_zone().clone(),
            now: sweep.now.unwrap_or(now),
            grace: sweep.grace,
            checkpoint_timeout: sweep.checkpoint_timeout,
            live: sweep.live,
            taskowned: sweep.include.contains(&Include::Taskowned),
            changelog: sweep.include.contains(&Include::Dstl),
            assume_unreferenced: assumed.collect::<anyhow::Result<Vec<Location>>>()?,
            verify: !sweep.no_verify,
            max_delete_percent: Some(sweep.max_delete_percent),
            max_delete_bytes: sweep.max_delete_bytes,
            in_use,
        })
    }
}

/// What a run came to, for the metrics.
#[derive(Default)]
struct Run {
    prepared: Option<Prepared>,
    outcome: Option<Outcome>,
}

pub(super) fn run(session: &mut Session, args: &PruneArgs) -> anyhow::Result<Exit> {
    let mut done = Run::default();
    let exit = prune_or_resume(session, args, &mut done);
    let tell = |metrics: &mut RunMetrics, now| metrics::tell(&done, metrics, now);
    args.apply.metrics.end(Command::Prune, &args.roots, exit, tell)
}

fn prune_or_resume(session: &mut Session, args: &PruneArgs, done: &mut Run) -> anyhow::Result<Exit> {
    let now = apply::clock();
    if args.apply.apply && args.sweep.now.is_some_and(|rehearsed| rehearsed > now) {
        let message = "--now rehearses: with --apply it cannot be in the future, where every file is old";
        return Err(failure(Exit::Refused, message));
    }
    let clusters = args.cluster.clusters()?;
    // Before the roots are looked at: what is completed in between is in nobody's way.
    let options = args.options(session, now, clusters.ask(session)?)?;
    let from_file = args.apply.plan_in.as_deref().map(|path| read_plan(Path::new(path))).transpose()?;
    if options.policy.is_empty() && from_file.is_none() && !args.apply.resume {
        let message = "no --keep-… rule is given, so nothing would be kept: nothing is done \
                       (--keep-last unlimited keeps every snapshot, and only sweeps)";
        return Err(failure(Exit::Refused, message));
    }
    if options.grace() > options.grace {
        session
            .say(format_args!("note: the grace is twice the time that a checkpoint may take: {:#}", options.grace()));
    }
    let roots = match &from_file {
        Some(plan) if args.roots.is_empty() => plan.roots.clone(),
        _ => prune::real_roots(&session.storage, &session.roots(&args.roots)?).map_err(explain)?,
    };
    if args.apply.apply {
        apply::heed_signals();
    }
    let storage = session.storage.clone();
    let mut locks = args.apply.apply.then(|| apply::lock(&storage, &roots)).transpose()?;
    let bar = session.bar();
    let (prepared, run) = prepare(session, args, &roots, &options, from_file, &bar)?;
    bar.finish();
    let plan = &prepared.plan;
    if let Some(path) = &args.apply.plan_out {
        write_plan(Path::new(path), plan)?;
    }
    let Some(held) = locks.as_mut().filter(|_| !plan.blocked) else {
        drop(locks);
        let exit = show(session, args, plan)?;
        done.prepared = Some(prepared);
        return Ok(exit);
    };
    let task = Task {
        plan,
        seen: &prepared.seen,
        assumed: &options.assume_unreferenced,
        held: &prepared.held,
        clusters: &clusters,
        instant: args.apply.instant,
        run,
        per_second: args.apply.max_per_second,
        purge: args.apply.purge.then_some(args.apply.keep_deleted),
    };
    let (outcome, purged) = apply::carry_out(session, held, &task)?;
    drop(locks);
    finish(session, args, prepared, outcome, purged.as_ref(), done)
}

/// The plan to carry out or to show, and the run to go on with.
fn prepare(
    session: &Session,
    args: &PruneArgs,
    roots: &[Location],
    options: &Options,
    from_file: Option<Plan>,
    bar: &Bar,
) -> anyhow::Result<(Prepared, Option<RunId>)> {
    let storage = &session.storage;
    let maps = session.maps();
    let (plan, run) = match from_file {
        Some(plan) if plan.created > apply::clock() => {
            return Err(failure(Exit::Refused, "the plan is a rehearsal, made for a time that is yet to come (--now)"));
        }
        Some(plan) => (plan, None),
        None if args.apply.resume => {
            let unfinished = change::unfinished(storage, roots).map_err(apply::refused)?;
            let Some(last) = unfinished.last() else {
                return Err(failure(Exit::Findings, "no run below the roots was interrupted"));
            };
            (change::recorded_plan(storage, &last.root, &last.run).map_err(apply::refused)?, Some(last.run.clone()))
        }
        None => {
            let prepared = prune::prepare(storage, roots, &maps, options, bar).map_err(apply::refused)?;
            let unfinished = change::unfinished(storage, roots).map_err(apply::refused)?;
            return Ok((prepared, unfinished.last().map(|last| last.run.clone())));
        }
    };
    if plan.roots != roots {
        return Err(failure(Exit::Refused, "the plan is for other roots"));
    }
    let assumed = &options.assume_unreferenced;
    let checked = prune::review(storage, &plan, &maps, assumed, &options.in_use, run.is_some(), bar);
    let (seen, held, objection) = checked.map_err(apply::refused)?;
    if let Some(why) = objection {
        return Err(failure(Exit::Refused, format!("the plan is stale: {why}")));
    }
    let mut plan = plan;
    if run.is_none() {
        prune::assemble::brake(&mut plan, &seen, options);
    }
    Ok((Prepared { plan, seen, held }, run))
}

/// A plan that is not carried out.
fn show(session: &mut Session, args: &PruneArgs, plan: &Plan) -> anyhow::Result<Exit> {
    if session.globals.json {
        session.print_json(&PruneJson::new(plan, None))?;
    } else if !args.apply.apply {
        session.print(&plan_text(plan, session.globals.verbose > 0))?;
        session.say(format_args!("{}; nothing was changed (--apply carries it out)", summary(plan)));
    }
    if plan.blocked {
        for refused in plan.refused.iter().filter(|refused| is_obstacle(refused)) {
            session.warn(format_args!("{} ({}): {}", refused.path, refused.code, refused.why));
        }
        session.warn("nothing was changed");
    }
    Ok(if plan.blocked { Exit::Refused } else { Exit::Fine })
}

/// Says what was done.
fn finish(
    session: &mut Session,
    args: &PruneArgs,
    prepared: Prepared,
    outcome: Outcome,
    purged: Option<&Purged>,
    done: &mut Run,
) -> anyhow::Result<Exit> {
    let plan = &prepared.plan;
    let exit = apply::exit_of(&outcome, purged);
    for left in outcome.failed.iter().chain(purged.iter().flat_map(|purged| &purged.failed)) {
        session.warn(format_args!("{}: {}", left.place, left.why));
    }
    for left in outcome.skipped.iter().chain(&outcome.brought_back) {
        session.say(format_args!("left: {}: {}", left.place, left.why));
    }
    if session.globals.json {
        session.print_json(&PruneJson::new(plan, Some(apply::outcome_json(&outcome, purged))))?;
    } else {
        if session.globals.verbose > 0 {
            session.print(&plan_text(plan, session.globals.verbose > 1))?;
        }
        match apply::line(plan, &outcome, purged, args.apply.instant) {
            Some(line) => session.print(&format!("{}\n", Escaped(line)))?,
            None => session.say("nothing to do"),
        }
    }
    (done.prepared, done.outcome) = (Some(prepared), Some(outcome));
    Ok(exit)
}

/// A number of directories.
fn directories(count: u64) -> String {
    format!("{count} {}", if count == 1 { "directory" } else { "directories" })
}

fn write_plan(path: &Path, plan: &Plan) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let text = serde_json::to_vec(plan)?;
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// Reads a plan that `--plan-out` wrote.
pub(super) fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let refuse = |why: String| failure(Exit::Usage, format!("{} is no plan: {why}", path.display()));
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let plan: Plan = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
    if plan.version != plan::VERSION {
        return Err(refuse(format!("version {} is not known", plan.version)));
    }
    Ok(plan)
}
