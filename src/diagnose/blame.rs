//! Who removed a missing file. Nothing is claimed that the log or the disk does not show, and each answer says how
//! sure it is.

use super::events::{EventKind, Events};
use super::facts::{Facts, FileKind};
use super::look::Look;
use crate::survey::finding::Verdict;
use serde::Serialize;

/// How sure an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// A line of the log says it.
    ProvenByLog,
    /// The disk shows it.
    ProvenByDisk,
    /// It fits what is known, and nothing proves it.
    Likely,
    /// Neither the log nor the disk says it.
    NotKnown,
}

impl Grade {
    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Grade::ProvenByLog => "proven by the log",
            Grade::ProvenByDisk => "seen on disk",
            Grade::Likely => "likely",
            Grade::NotKnown => "not known",
        }
    }
}

/// Why a file is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blame {
    /// How sure it is.
    pub grade: Grade,
    /// What happened, in a sentence.
    pub what: String,
    /// The lines of the log that show it.
    pub lines: Vec<u64>,
}

/// Why the file that `facts` names is not there.
pub fn blame(facts: &Facts, events: &Events, look: Option<&Look>) -> Blame {
    by_log(facts, events)
        .or_else(|| look.and_then(|look| by_disk(facts, look)))
        .or_else(|| likely(facts, events, look))
        .unwrap_or_else(|| {
            let what = match facts.file_kind {
                Some(FileKind::Exclusive) => {
                    "usually newer checkpoints took its place (num-retained is 1 by default), the job was \
                     cancelled without retention, a clean-up script, a storage lifecycle rule"
                }
                Some(FileKind::Shared | FileKind::TaskOwned | FileKind::Changelog) => {
                    "usually the job that was started from this snapshot with CLAIM deleted it when it did \
                     not need it any more, a job directory that looked unused was removed, a storage lifecycle rule"
                }
                _ => "usually a clean-up script or a storage lifecycle rule",
            };
            Blame { grade: Grade::NotKnown, what: what.to_owned(), lines: Vec::new() }
        })
}

/// Whether the file belongs to one checkpoint only, and goes with it.
fn is_of_one(facts: &Facts) -> bool {
    matches!(facts.file_kind, Some(FileKind::Exclusive | FileKind::Snapshot))
}

fn by_log(facts: &Facts, events: &Events) -> Option<Blame> {
    let proven = |what: String, line: u64| Some(Blame { grade: Grade::ProvenByLog, what, lines: vec![line] });
    let id = facts.checkpoint_id.filter(|_| is_of_one(facts))?;
    if let Some(event) = events.of_checkpoint(id, EventKind::Discarded) {
        return proven(format!("Flink deleted checkpoint {id} when it was not retained any more"), event.line);
    }
    let completed = events.of_checkpoint(id, EventKind::Completed);
    if completed.is_none()
        && let Some(event) = events.of_checkpoint(id, EventKind::Expired)
    {
        let what = format!(
            "checkpoint {id} was never completed: it took longer than its timeout, and Flink deletes what such a one has written"
        );
        return proven(what, event.line);
    }
    if completed.is_none()
        && let Some(event) = events.of_checkpoint(id, EventKind::Failed)
    {
        return proven(
            format!("checkpoint {id} was never completed: it failed, and Flink deletes what such a one has written"),
            event.line,
        );
    }
    None
}

fn by_disk(facts: &Facts, look: &Look) -> Option<Blame> {
    let proven = |what: String| Some(Blame { grade: Grade::ProvenByDisk, what, lines: Vec::new() });
    let file = look.file.as_ref()?;
    if let Some(place) = &file.elsewhere {
        return proven(format!("it was not deleted, the tree was moved or copied: the file is at {place}"));
    }
    if file.present == Some(true) {
        return proven("the file is there now, or there for chkctl and not for Flink's machines".to_owned());
    }
    match look.named.as_ref().and_then(|named| named.verdict) {
        Some(Verdict::Incomplete) => {
            let which = facts.checkpoint_id.map_or_else(|| "the snapshot".to_owned(), |id| format!("checkpoint {id}"));
            proven(format!("{which} has no _metadata: it was never completed, or its deletion was begun"))
        }
        _ => None,
    }
}

fn likely(facts: &Facts, events: &Events, look: Option<&Look>) -> Option<Blame> {
    let likely = |what: String, lines: Vec<u64>| Some(Blame { grade: Grade::Likely, what, lines });
    let exclusive = facts.checkpoint_id.filter(|_| is_of_one(facts));
    if let Some(id) = exclusive {
        let newer = events.of(EventKind::Completed).find(|event| {
            event.checkpoint.is_some_and(|newer| newer > id)
                && (event.job_id.is_none() || facts.job_id.is_none() || event.job_id == facts.job_id)
        });
        if let Some(event) = newer {
            let newer = event.checkpoint.unwrap_or_default();
            let what = format!(
                "checkpoint {newer} was completed after {id}, and Flink keeps only the newest (state.checkpoints.num-retained)"
            );
            return likely(what, vec![event.line]);
        }
    }
    let same_job = |event: &&super::events::Event| facts.job_id.is_some() && event.job_id == facts.job_id;
    if let Some(event) = events.of(EventKind::Cancelled).find(same_job) {
        let what =
            "the job that wrote it was cancelled, and without RETAIN_ON_CANCELLATION Flink deletes its checkpoints";
        return likely(what.to_owned(), vec![event.line]);
    }
    let claim = |event: &&super::events::Event| {
        event.text.contains("CLAIM") && !event.text.contains("NO_CLAIM") && event.kind == EventKind::Setting
    };
    if !is_of_one(facts)
        && let Some(event) = events.of(EventKind::Setting).find(claim)
    {
        let what = "the job was started with CLAIM: the snapshot belongs to it, and it deletes files that its own checkpoints do not need";
        return likely(what.to_owned(), vec![event.line]);
    }
    let look = look?;
    if let (Some(id), Some(false)) = (exclusive, look.file.as_ref().and_then(|file| file.directory)) {
        let own = |seen: &&super::look::Seen| {
            seen.checkpoint_id.is_some_and(|other| other > i64::try_from(id).unwrap_or(i64::MAX))
        };
        if let Some(newer) = look.of_the_job.iter().rfind(own).and_then(|seen| seen.checkpoint_id) {
            let what = format!(
                "the whole directory of checkpoint {id} is gone and the job has checkpoint {newer}: Flink keeps only the newest (state.checkpoints.num-retained)"
            );
            return likely(what, Vec::new());
        }
        if look.of_the_job.is_empty() && look.snapshots > 0 {
            let what = "nothing of the job is left below the roots: it was cancelled without retention, or its directory was removed";
            return likely(what.to_owned(), Vec::new());
        }
    }
    None
}
