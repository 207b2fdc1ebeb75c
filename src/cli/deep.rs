//! The options of a deep survey, for the commands that have one.

use super::bar::Bar;
use super::{Exit, Session, failure};
use crate::survey::deep::{Deep, Journal, Subset};
use crate::survey::finding::Verdict;
use crate::survey::{Judge, SnapshotDir, SnapshotReport};
use clap::Args;
use jiff::SignedDuration;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Reading state files, and how much of them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading state files")]
pub struct DeepArgs {
    /// Read the state files too, to the last byte: checksums, counts, keys in their key groups, databases that fit
    /// together.
    #[arg(long)]
    deep: bool,
    /// Read a part of the files: n/m for the n-th of m parts (all m make everything), or x% for a random share.
    #[arg(long, value_name = "n/m|x%", requires = "deep")]
    subset: Option<Subset>,
    /// Write down what was read, and do not read again what this file already has: goes on where a run was stopped.
    #[arg(long, value_name = "FILE", requires = "deep")]
    resume: Option<PathBuf>,
    /// Stop after this time (90s, 10m, 1h30m). A snapshot that was not read to its end then is unknown.
    #[arg(long, value_name = "TIME", requires = "deep", value_parser = time)]
    max_duration: Option<Duration>,
}

fn time(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(duration).map_err(|_| "a time cannot be negative".to_owned())
}

/// A deep survey as the options ask for it.
pub(super) struct DeepRun {
    subset: Option<Subset>,
    journal: Option<Journal>,
    deadline: Option<Instant>,
}

impl DeepArgs {
    /// Starts the clock and opens the journal; `None` where no deep survey is asked for.
    pub(super) fn start(&self) -> anyhow::Result<Option<DeepRun>> {
        if !self.deep {
            return Ok(None);
        }
        let open = |path: &PathBuf| {
            Journal::open(path)
                .map_err(|error| failure(Exit::Usage, format!("--resume {}: {error}", path.to_string_lossy())))
        };
        Ok(Some(DeepRun {
            subset: self.subset.clone(),
            journal: self.resume.as_ref().map(open).transpose()?,
            deadline: self.max_duration.and_then(|time| Instant::now().checked_add(time)),
        }))
    }
}

impl DeepRun {
    /// A reader of state files that tells `bar` of bytes.
    pub(super) fn reader<'s>(self, session: &'s Session, bar: &'s Bar) -> Deep<'s> {
        Deep::new(&session.storage, bar).of_subset(self.subset).until(self.deadline).with_journal(self.journal)
    }
}

/// Reads the state files of snapshots that were judged, and adds to their reports.
pub(super) fn examine_all(
    session: &Session,
    run: DeepRun,
    judge: &Judge<'_>,
    snapshots: &[SnapshotDir],
    reports: &mut [SnapshotReport],
) {
    let bar = session.bar_of_bytes();
    let deep = run.reader(session, &bar);
    for (number, (snapshot, report)) in snapshots.iter().zip(reports.iter_mut()).enumerate() {
        bar.name(format!("{}/{}", number + 1, snapshots.len()));
        if report.verdict != Verdict::Incomplete {
            deep.examine(judge, snapshot, report);
        }
    }
    bar.finish();
    if let Some(problem) = deep.journal_problem() {
        session.say(format_args!("the journal could not be written: {problem}"));
    }
}
