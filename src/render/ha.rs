//! What high availability would start jobs from, as text and JSON.

use super::report::why;
use super::{Escaped, json_time, time};
use crate::model::Location;
use crate::survey::{SnapshotReport, Verdict};
use serde::Serialize;
use std::fmt::Write as _;

/// What `ha --json` prints.
#[derive(Debug, Serialize)]
pub struct HaJson {
    /// What was read.
    pub place: String,
    /// The jobs, by id.
    pub jobs: Vec<JobJson>,
}

/// A job in high availability.
#[derive(Debug, Serialize)]
pub struct JobJson {
    /// Its id; null where no pointer told it.
    pub job_id: Option<String>,
    /// The checkpoint that it would start from, which is that with the greatest id.
    pub start: Option<PointerJson>,
    /// All pointers of it, the greatest id first.
    pub pointers: Vec<PointerJson>,
    /// The newest restorable snapshot below the roots, where it is newer than that.
    pub newer: Option<NewerJson>,
}

/// A pointer to a checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct PointerJson {
    /// Where it was found.
    pub found: String,
    /// The id of the checkpoint.
    pub checkpoint_id: Option<u64>,
    /// Its directory, as Flink names it; null where the pointer cannot be followed, or it is in no file system.
    pub path: Option<String>,
    /// What can be said of the snapshot; `broken` where the pointer leads nowhere.
    pub verdict: Verdict,
    /// Why, in a line; null where it is restorable.
    pub why: Option<String>,
    /// Whether it is about to be removed, and counts no more.
    pub marked_for_deletion: bool,
}

/// A newer snapshot.
#[derive(Debug, Serialize)]
pub struct NewerJson {
    path: String,
    verdict: Verdict,
    checkpoint_id: Option<i64>,
    job_id: Option<String>,
    completed_at: Option<String>,
    #[serde(skip)]
    time: String,
}

impl NewerJson {
    /// Of a report.
    pub fn new(report: &SnapshotReport) -> Self {
        NewerJson {
            path: report.path.to_string(),
            verdict: report.verdict,
            checkpoint_id: report.checkpoint_id,
            job_id: report.job_id.clone(),
            completed_at: json_time(report.completed_at),
            time: time(report.completed_at),
        }
    }
}

impl PointerJson {
    /// A pointer that leads to a snapshot.
    pub fn to(found: &str, id: u64, place: &Location, report: &SnapshotReport, marked: bool) -> Self {
        let good = report.verdict == Verdict::Restorable;
        PointerJson {
            found: found.to_owned(),
            checkpoint_id: Some(id),
            path: Some(place.to_string()),
            verdict: report.verdict,
            why: (!good).then(|| why(report)),
            marked_for_deletion: marked,
        }
    }
}

/// For people: a line for each job, what is wrong with it, and what is newer.
pub fn ha_text(ha: &HaJson, verbose: bool) -> String {
    let mut text = String::new();
    for job in &ha.jobs {
        let id = job.job_id.as_deref().unwrap_or("of unknown id");
        match &job.start {
            Some(start) => {
                let place = start.path.as_deref().unwrap_or(&start.found);
                let number = start.checkpoint_id.map_or_else(String::new, |id| format!(", checkpoint {id}"));
                let more = start.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                let _ = writeln!(
                    text,
                    "job {}  {}  {}{number}{}",
                    Escaped(id),
                    start.verdict,
                    Escaped(place),
                    Escaped(more)
                );
            }
            None => {
                let _ = writeln!(text, "job {}  nothing to start from", Escaped(id));
            }
        }
        for pointer in &job.pointers {
            let is_start = job.start.as_ref().is_some_and(|start| start.found == pointer.found);
            let bad = pointer.verdict != Verdict::Restorable && !is_start;
            if bad || verbose {
                let place = pointer.path.as_deref().unwrap_or(&pointer.found);
                let why = pointer.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                let marked = if pointer.marked_for_deletion { " (about to be removed)" } else { "" };
                let _ = writeln!(text, "  pointer  {}  {}{marked}{}", pointer.verdict, Escaped(place), Escaped(why));
            }
        }
        if let Some(newer) = &job.newer {
            let _ = writeln!(text, "  newer  {}  {}, completed {}", newer.verdict, Escaped(&newer.path), newer.time);
        }
    }
    text
}
