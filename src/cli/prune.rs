//! `chkctl prune`.

use super::keep::{self, KeepArgs};
use super::{Exit, Session, explain, failure};
use crate::model::Location;
use crate::plan::{self, Plan};
use crate::prune::options::GroupBy;
use crate::prune::{self, Options, Prepared};
use crate::render::prune::{PruneJson, plan_text, summary};
use crate::retention::Order;
use crate::runtime::duration::parse_duration;
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use std::ffi::OsString;
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
    /// Write the plan to this file.
    #[arg(long, value_name = "FILE")]
    plan_out: Option<OsString>,
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
    fn options(&self, session: &Session, now: Timestamp) -> anyhow::Result<Options> {
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
        })
    }
}

pub(super) fn run(session: &mut Session, args: &PruneArgs) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let roots = session.roots(&args.roots)?;
    let options = args.options(session, now)?;
    if options.policy.is_empty() {
        let message =
            "no --keep-… rule is given, so nothing would be kept: nothing is done (--keep-last unlimited only sweeps)";
        return Err(failure(Exit::Refused, message));
    }
    if options.grace() > options.grace {
        session.say(format_args!("note: the grace is twice --checkpoint-timeout at least: {:#}", options.grace()));
    }
    let roots = prune::real_roots(&session.storage, &roots).map_err(explain)?;
    let bar = session.bar();
    let prepared = prune::prepare(&session.storage, &roots, &session.maps(), &options, &bar).map_err(explain)?;
    bar.finish();
    let Prepared { plan, seen: _ } = &prepared;
    if let Some(path) = &args.apply.plan_out {
        write_plan(Path::new(path), plan)?;
    }
    if session.globals.json {
        session.print_json(&PruneJson::new(plan, None))?;
    } else {
        session.print(&plan_text(plan, session.globals.verbose > 0))?;
        session.say(format_args!("{}; nothing was changed (--apply carries it out)", summary(plan)));
    }
    Ok(if plan.blocked { Exit::Refused } else { Exit::Fine })
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
