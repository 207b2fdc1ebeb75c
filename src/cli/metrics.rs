//! What a run tells a monitoring system.

use super::{Exit, exit_code};
use crate::model::Location;
use crate::render::metrics::{Command, RunMetrics, write_metrics};
use crate::survey::{SnapshotReport, Verdict};
use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Where a run writes what it has to tell.
#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    /// Write what the run came to to this file, for Prometheus (textfile collector).
    #[arg(long, value_name = "FILE", value_parser = super::local_file())]
    metrics: Option<OsString>,
}

impl MetricsArgs {
    /// Writes the metrics of a run of `command` that ended so, if they were asked for, and gives how it ended. `tell` adds
    /// what the run knows.
    ///
    /// # Errors
    /// That of the run, or else that of the writing: what went wrong first is what is said.
    pub(super) fn end(
        &self,
        command: Command,
        roots: &[String],
        ended: anyhow::Result<Exit>,
        tell: impl FnOnce(&mut RunMetrics, Timestamp),
    ) -> anyhow::Result<Exit> {
        let exit = ended.as_ref().map_or_else(exit_code, |exit| *exit);
        let written = self.write(command, roots, exit, tell);
        ended.and_then(|exit| written.map(|()| exit))
    }

    fn write(
        &self,
        command: Command,
        roots: &[String],
        exit: Exit,
        tell: impl FnOnce(&mut RunMetrics, Timestamp),
    ) -> anyhow::Result<()> {
        let Some(path) = self.metrics.as_deref().map(Path::new) else { return Ok(()) };
        let now = Timestamp::now();
        let finished = u64::try_from(now.as_second()).unwrap_or(0);
        let mut metrics = RunMetrics::new(command, roots.to_vec(), finished, exit as u8);
        metrics.last_success = metrics.last_success.or_else(|| metrics.last_success_in(path));
        tell(&mut metrics, now);
        write_metrics(path, &metrics.text()).with_context(|| path.display().to_string())
    }
}

/// A snapshot as the metrics count it.
pub(super) struct Counted {
    /// Its verdict.
    pub verdict: Verdict,
    /// The directory that it lies in.
    pub job: Option<String>,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// Files that it refers to and that are not there.
    pub missing: u64,
}

impl Counted {
    /// A snapshot by its report.
    pub(super) fn of(report: &SnapshotReport) -> Self {
        Counted {
            verdict: report.verdict,
            job: job_of(&report.path),
            completed_at: report.completed_at,
            missing: report.files.missing,
        }
    }
}

/// What the job of a snapshot is called: the directory that it lies in, in one spelling whoever asks.
pub(super) fn job_of(snapshot: &Location) -> Option<String> {
    let dir = snapshot.parent()?;
    Some(if dir.is_local() { dir.path().to_owned() } else { dir.to_string() })
}

/// Adds what is known of all snapshots that a run judged.
pub(super) fn count(metrics: &mut RunMetrics, snapshots: &[Counted], now: Timestamp) {
    let states = [Verdict::Restorable, Verdict::Suspect, Verdict::Broken, Verdict::Incomplete, Verdict::Unknown];
    let count = |verdict| snapshots.iter().filter(|snapshot| snapshot.verdict == verdict).count() as u64;
    metrics.snapshots = states.map(|verdict| (verdict.to_string(), count(verdict))).to_vec();
    metrics.missing_files = Some(snapshots.iter().map(|snapshot| snapshot.missing).sum());
    metrics.last_restorable_age = ages(snapshots, now);
}

/// The age of the newest restorable snapshot in each directory that holds some.
pub(super) fn ages(snapshots: &[Counted], now: Timestamp) -> Vec<(String, u64)> {
    let mut newest: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let restorable = snapshots.iter().filter(|snapshot| snapshot.verdict == Verdict::Restorable);
    for (job, time) in restorable.filter_map(|s| Some((s.job.as_deref()?, s.completed_at?))) {
        newest.entry(job).and_modify(|newest| *newest = (*newest).max(time)).or_insert(time);
    }
    let age = |time: Timestamp| u64::try_from(now.duration_since(time).as_secs()).unwrap_or(0);
    newest.into_iter().map(|(job, time)| (job.to_owned(), age(time))).collect()
}
