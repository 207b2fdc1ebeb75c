//! `chkctl latest`.

use super::bar::Bar;
use super::compat::CompatArgs;
use super::deep::DeepArgs;
use super::metrics::{Counted, MetricsArgs, ages};
use super::{Exit, Session, exit_code};
use crate::render::metrics::{Command, RunMetrics};
use crate::render::report::why;
use crate::render::{Escaped, json_time, time};
use crate::survey::SnapshotReport;
use crate::survey::finding::Verdict;
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
    let code = exit.as_ref().map_or_else(exit_code, |exit| *exit);
    let tell = |metrics: &mut RunMetrics, now| {
        // It stops at the first that is good, so that nothing can be counted.
        metrics.last_restorable_age = ages(&found.iter().map(Counted::of).collect::<Vec<_>>(), now);
    };
    let written = args.metrics.write(Command::Latest, &args.roots, code, tell);
    // What went wrong first is what is said.
    exit.and_then(|exit| written.map(|()| exit))
}

fn latest(session: &mut Session, args: &LatestArgs, found: &mut Option<SnapshotReport>) -> anyhow::Result<Exit> {
    let target = args.compat.target()?;
    let roots = session.roots(&args.roots)?;
    let deep = args.deep.start()?;
    let catalog = session.scan(&roots)?;
    let mut skipped = Vec::new();
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
        for snapshot in &catalog.snapshots {
            let mut report = judge.judge(snapshot);
            target.judge(&judge, snapshot, &mut report);
            if let Some(deep) = deep.as_ref().filter(|_| is_good(&report)) {
                deep.examine(&judge, snapshot, &mut report);
            }
            if is_good(&report) {
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
    if session.globals.json {
        session.print_json(&LatestJson {
            path: found.as_ref().map(|report| report.path.to_string()),
            verdict: found.as_ref().map(|report| report.verdict),
            checkpoint_id: found.as_ref().and_then(|report| report.checkpoint_id),
            job_id: found.as_ref().and_then(|report| report.job_id.as_deref()),
            completed_at: found.as_ref().and_then(|report| json_time(report.completed_at)),
            skipped: skipped.iter().map(skipped_json).collect(),
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
