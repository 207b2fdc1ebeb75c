//! `chkctl verify`.

use super::bar::Bar;
use super::compat::CompatArgs;
use super::deep::{self, DeepArgs};
use super::metrics::{Counted, MetricsArgs, count};
use super::{Exit, Session};
use crate::render::Bytes;
use crate::render::metrics::{Command, RunMetrics};
use crate::render::report::{ReportsJson, Summary, verify_text};
use crate::seal::{self, Checked};
use crate::storage::{in_parallel, threads_for};
use crate::survey::finding::Verdict;
use crate::survey::{SnapshotDir, SnapshotReport};
use clap::Args;

/// Judge snapshots: is everything that Flink opens at a restore there, and as long as recorded?
///
/// Exits with 0 if all are restorable, with 1 if one is not, with 5 if one could not be judged and none is known to
/// be bad.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Snapshots (the directory or its _metadata), or roots to look below.
    #[arg(value_name = "SNAPSHOT|ROOT")]
    places: Vec<String>,
    /// Do not let checkpoints without _metadata set the exit code: a running job usually has one in progress.
    #[arg(long)]
    ignore_incomplete: bool,
    /// Compare size and BLAKE3 of every file with the seals of the snapshots (chkctl seal, chkctl promote).
    #[arg(long)]
    checksums: bool,
    #[command(flatten)]
    compat: CompatArgs,
    #[command(flatten)]
    deep: DeepArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
}

pub(super) fn run(session: &mut Session, args: &VerifyArgs) -> anyhow::Result<Exit> {
    let mut judged = Vec::new();
    let exit = verify(session, args, &mut judged);
    let is_counted = exit.is_ok();
    let tell = |metrics: &mut RunMetrics, now| {
        // A run that did not come to judge knows nothing, not that there are none.
        if is_counted {
            count(metrics, &judged, now);
        }
    };
    args.metrics.end(Command::Verify, &args.places, exit, tell)
}

fn verify(session: &mut Session, args: &VerifyArgs, judged: &mut Vec<Counted>) -> anyhow::Result<Exit> {
    let target = args.compat.target()?;
    let places = session.roots(&args.places)?;
    let deep = args.deep.start()?;
    let catalog = session.scan(&places)?;
    let mut reports = judge_all(session, &catalog.snapshots, false);
    if !target.is_empty() {
        let bar = Bar::none();
        let judge = session.judge(&bar, &catalog.snapshots, false);
        for (snapshot, report) in catalog.snapshots.iter().zip(&mut reports) {
            target.judge(&judge, snapshot, report);
        }
    }
    if let Some(deep) = deep {
        let bar = Bar::none();
        let judge = session.judge(&bar, &catalog.snapshots, false);
        deep::examine_all(session, deep, &judge, &catalog.snapshots, &mut reports);
    }
    if args.checksums {
        compare_with_seals(session, &catalog.snapshots, &mut reports);
    }
    judged.extend(reports.iter().map(Counted::of));
    if session.globals.json {
        session.print_json(&ReportsJson::new(&reports, None, true))?;
    } else {
        session.print(&verify_text(&reports, session.colour, session.globals.verbose > 0))?;
        session.say(Summary::of(reports.iter().map(|report| report.verdict)).line());
    }
    if reports.is_empty() {
        // A gate that judged nothing has not opened.
        return Ok(Exit::Findings);
    }
    let counted: Vec<SnapshotReport> = match args.ignore_incomplete {
        true => reports.into_iter().filter(|report| report.verdict != Verdict::Incomplete).collect(),
        false => reports,
    };
    Ok(exit_of(&counted))
}

/// Compares the files of snapshots with their seals, and adds to their reports.
fn compare_with_seals(session: &Session, snapshots: &[SnapshotDir], reports: &mut [SnapshotReport]) {
    let (bar, none) = (session.bar_of_bytes(), Bar::none());
    let judge = session.judge(&none, snapshots, false);
    for (snapshot, report) in snapshots.iter().zip(reports).filter(|(_, report)| report.metadata_version.is_some()) {
        match seal::check(&judge, snapshot, report, &bar) {
            Checked::NotSealed => session.say(format_args!("{}: not sealed, nothing to compare", snapshot.dir)),
            Checked::Compared { seal, files, bytes } if session.globals.verbose > 0 => {
                session.say(format_args!("{}: {files} files, {} compared with {seal}", snapshot.dir, Bytes(bytes)));
            }
            Checked::Compared { .. } | Checked::Unreadable => {}
        }
    }
    bar.finish();
}

/// The exit code for verdicts: what is known to be bad counts more than what is not known.
pub(super) fn exit_of(reports: &[SnapshotReport]) -> Exit {
    let has = |verdict| reports.iter().any(|report| report.verdict == verdict);
    match () {
        () if has(Verdict::Broken) || has(Verdict::Suspect) || has(Verdict::Incomplete) => Exit::Findings,
        () if has(Verdict::Unknown) => Exit::NoVerdict,
        () => Exit::Fine,
    }
}

/// Judges all snapshots, several at a time, and keeps their order.
pub(super) fn judge_all(session: &Session, snapshots: &[SnapshotDir], keep_files: bool) -> Vec<SnapshotReport> {
    let bar = session.bar();
    let judge = session.judge(&bar, snapshots, keep_files);
    let threads = threads_for(snapshots.iter().map(|snapshot| &snapshot.dir));
    let reports = in_parallel(snapshots, threads, |snapshot| judge.judge(snapshot));
    bar.finish();
    reports
}
