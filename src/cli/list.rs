//! `chkctl list`.

use super::verify::{exit_of, judge_all};
use super::{Exit, Session};
use crate::model::Location;
use crate::records::Records;
use crate::render::report::{self, Marks, ReportsJson};
use crate::storage::{Storage, StorageError};
use crate::survey::SnapshotDir;
use crate::survey::catalog::SnapshotState;
use crate::survey::finding::Verdict;
use crate::survey::sharing;
use clap::Args;
use jiff::Timestamp;
use std::collections::HashMap;

/// List the snapshots below the roots, newest first by completion time, with verdicts.
///
/// OWN is what would be freed if that snapshot alone were deleted, SHARED what other listed snapshots use too.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Checkpoint roots, job directories, savepoint directories or snapshots.
    #[arg(value_name = "ROOT")]
    roots: Vec<String>,
    /// Show the findings too, and exit with 1 if a snapshot is not restorable.
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(session: &mut Session, args: &ListArgs) -> anyhow::Result<Exit> {
    let roots = session.roots(&args.roots)?;
    let catalog = session.scan(&roots)?;
    let reports = judge_all(session, &catalog.snapshots, true);
    let shares = sharing::shares(&reports);
    let marks = marks(session, &roots, &catalog.snapshots);
    if session.globals.json {
        session.print_json(&ReportsJson::new(&reports, Some(&shares), args.verify).with_marks(&marks))?;
    } else if reports.is_empty() {
        session.say("no snapshots found");
    } else {
        session.print(&report::list_table(&reports, &shares, &marks, session.colour))?;
        if args.verify {
            let bad: Vec<_> = reports.iter().filter(|r| !r.findings.is_empty()).cloned().collect();
            session.print("\n")?;
            session.print(&report::verify_text(&bad, session.colour, session.globals.verbose > 0))?;
        }
    }
    if args.verify {
        return Ok(exit_of(&reports));
    }
    let unknown = reports.iter().any(|report| report.verdict == Verdict::Unknown);
    Ok(if unknown { Exit::NoVerdict } else { Exit::Fine })
}

/// What people said of the snapshots. Says what is not known of it, once for each directory.
fn marks(session: &Session, roots: &[Location], snapshots: &[SnapshotDir]) -> Vec<Marks> {
    let now = Timestamp::now();
    let mut read: HashMap<Location, Result<Records, StorageError>> = HashMap::new();
    let marks_of = |snapshot: &SnapshotDir| {
        // Only what was named can be a link; a record is beside the directory that it leads to.
        let real = if roots.contains(&snapshot.dir) { session.storage.real_place(&snapshot.dir).ok() } else { None };
        let dir = real.unwrap_or_else(|| snapshot.dir.clone());
        let Some(parent) = dir.parent() else { return Marks { pinned: Some(false), ..Marks::default() } };
        let records = read.entry(parent).or_insert_with_key(|parent| {
            let records = Records::of(&session.storage, parent);
            match &records {
                Ok(records) => records
                    .unknown()
                    .iter()
                    .for_each(|(file, why)| session.say(format_args!("not known what is pinned: {file}: {why}"))),
                Err(error) => session.say(format_args!("not known what is pinned: {error}")),
            }
            records
        });
        marks_in(records, snapshot, dir.name(), now)
    };
    snapshots.iter().map(marks_of).collect()
}

fn marks_in(records: &Result<Records, StorageError>, snapshot: &SnapshotDir, name: &str, now: Timestamp) -> Marks {
    let Ok(records) = records else {
        return Marks { pinned: None, tags: Vec::new(), words: "pinned?".to_owned() };
    };
    let Some(record) = records.get(name) else {
        let pinned = records.unknown().is_empty().then_some(false);
        let words = if pinned.is_none() { "pinned?".to_owned() } else { String::new() };
        return Marks { pinned, tags: Vec::new(), words };
    };
    let pinned = record.is_pinned(now);
    let tags: Vec<String> = record.tags.iter().cloned().collect();
    let mut words = tags.clone();
    if pinned {
        let until = record.pinned.as_ref().and_then(|pin| pin.until);
        words.insert(0, until.map_or_else(|| "pinned".to_owned(), |until| format!("pinned until {until:.0}")));
    }
    let mut words = words.join(", ");
    let (size, completed_at) = match snapshot.state {
        SnapshotState::Complete { metadata_size, completed_at } => (Some(metadata_size), completed_at),
        _ => (None, None),
    };
    if !words.is_empty() && !record.is_of(size, completed_at) {
        words.push_str(&format!(" (record was made for an older {name})"));
    }
    Marks { pinned: Some(pinned), tags, words }
}
