//! What a log tells of checkpoints: those that were completed, expired or declined, what the job was restored from,
//! and how it ended. The wordings are those of `CheckpointCoordinator`, `CheckpointsCleaner`,
//! `CheckpointSubsumeHelper`, `ExecutionGraph` and the dispatcher, 1.9 to 2.3.

use super::facts::{job_id_in, number_after, word_after};
use super::trace::cut;
use serde::Serialize;

/// Of each kind, so many of the newest events are kept.
const KEPT: usize = 64;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A checkpoint was triggered.
    Triggered,
    /// A checkpoint was completed.
    Completed,
    /// A checkpoint took longer than its timeout.
    Expired,
    /// A task declined a checkpoint, or it failed in another way.
    Failed,
    /// A checkpoint's files were deleted.
    Discarded,
    /// A job was restored from a snapshot, or this was tried.
    Restoring,
    /// A job was cancelled.
    Cancelled,
    /// A job ended, in whatever way.
    Ended,
    /// A setting that decides who may delete what.
    Setting,
}

/// A line of the log that tells of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The number of the checkpoint.
    pub checkpoint: Option<u64>,
    /// The job.
    pub job_id: Option<String>,
    /// The snapshot that a job was restored from.
    pub path: Option<String>,
    /// When, as it is written.
    pub time: Option<String>,
    /// The line, from 1.
    pub line: u64,
    /// The line itself, cut.
    pub text: String,
}

/// All that a log tells of checkpoints.
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// The newest of each kind.
    pub kept: Vec<Event>,
    /// How many there were, by kind.
    pub counts: Counts,
    /// The last completed checkpoint: what failed before it, the job got over.
    pub last_completed_line: u64,
    /// The last time that a task began to run.
    pub last_running_line: u64,
}

/// How often things happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Checkpoints triggered.
    pub triggered: u64,
    /// Checkpoints completed.
    pub completed: u64,
    /// Checkpoints that took too long.
    pub expired: u64,
    /// Checkpoints that failed otherwise.
    pub failed: u64,
}

impl Events {
    /// Looks at a plain line.
    pub fn feed(&mut self, number: u64, line: &str) {
        if line.contains(" to RUNNING") && line.contains(" switched from ") {
            self.last_running_line = number;
        }
        let Some((kind, checkpoint)) = classify(line) else { return };
        match kind {
            EventKind::Triggered => self.counts.triggered = self.counts.triggered.saturating_add(1),
            EventKind::Completed => {
                self.counts.completed = self.counts.completed.saturating_add(1);
                self.last_completed_line = number;
            }
            EventKind::Expired => self.counts.expired = self.counts.expired.saturating_add(1),
            EventKind::Failed => self.counts.failed = self.counts.failed.saturating_add(1),
            _ => {}
        }
        let path = match kind {
            EventKind::Restoring => {
                ["located at ", "from savepoint "].iter().find_map(|before| word_after(line, before)).map(str::to_owned)
            }
            _ => None,
        };
        let event = Event {
            kind,
            checkpoint,
            job_id: job_id_in(line).map(str::to_owned),
            path: path.map(|path| path.trim_end_matches('.').to_owned()),
            time: time_in(line),
            line: number,
            text: cut(line.trim(), 300).to_owned(),
        };
        let mut same = self.kept.iter().enumerate().filter(|(_, old)| old.kind == kind).map(|(index, _)| index);
        if let Some(first) = same.next()
            && same.count().saturating_add(1) >= KEPT
        {
            self.kept.remove(first);
        }
        self.kept.push(event);
    }

    /// The events of a kind, oldest first.
    pub fn of(&self, kind: EventKind) -> impl DoubleEndedIterator<Item = &Event> {
        self.kept.iter().filter(move |event| event.kind == kind)
    }

    /// What became of a checkpoint, the last that is told of it.
    pub fn of_checkpoint(&self, checkpoint: u64, kind: EventKind) -> Option<&Event> {
        self.of(kind).rfind(|event| event.checkpoint == Some(checkpoint))
    }
}

fn classify(line: &str) -> Option<(EventKind, Option<u64>)> {
    use EventKind::*;
    let has = |text: &str| line.contains(text);
    if has("heckpoint") {
        // Loggers have "checkpoint" in their names, so the words must be whole.
        let after = |text: &str| number_after(line, text);
        if let Some(id) = after("Triggering checkpoint ") {
            return Some((Triggered, Some(id)));
        }
        if let Some(id) = after("Completed checkpoint ") {
            return Some((Completed, Some(id)));
        }
        // The exception of the same words has no number.
        if has("expired before completing")
            && let Some(id) = after("Checkpoint ")
        {
            return Some((Expired, Some(id)));
        }
        let failed =
            ["Decline checkpoint ", "Failed to trigger or complete checkpoint ", "Failed to trigger checkpoint "];
        if let Some(id) = failed.iter().find_map(|text| after(text)) {
            return Some((Failed, Some(id)));
        }
        let discarded = ["Discarding checkpoint ", "Try to discard checkpoint ", "Clean checkpoint "];
        if let Some(id) = discarded.iter().find_map(|text| after(text)) {
            return Some((Discarded, Some(id)));
        }
        if has("Restoring job ") {
            return Some((Restoring, after(" from Checkpoint ").or_else(|| after(" from Savepoint "))));
        }
    }
    if has("Starting job ") && has(" from savepoint ") {
        return Some((Restoring, None));
    }
    if has("CANCELED")
        && (has("reached globally terminal state") || has("reached terminal state") || has(" to CANCELED"))
        && has("ob ")
        && has("Job ")
    {
        return Some((Cancelled, None));
    }
    if has("reached globally terminal state") || has("reached terminal state") {
        return Some((Ended, None));
    }
    const SETTINGS: &[&str] = &[
        "num-retained",
        "restoreMode=",
        "recoveryClaimMode=",
        "restore-mode",
        "claim-mode",
        "claimMode",
        "externalized-checkpoint-retention",
        "max-concurrent-checkpoints",
    ];
    if has("property: ") && SETTINGS.iter().any(|setting| has(setting)) || has("-claimMode ") {
        return Some((Setting, None));
    }
    None
}

/// The time near the start of a line, as it is written: `2021-02-04 10:42:40,123`, `2021/2/4 上午10:42:40`,
/// `2021-02-04T10:42:40.123Z`, `10:42:40,123`.
pub fn time_in(line: &str) -> Option<String> {
    let head = cut(line, 200);
    let colon = head.match_indices(':').map(|(at, _)| at).find(|at| {
        let digit = |offset: isize| {
            at.checked_add_signed(offset).and_then(|i| head.as_bytes().get(i)).is_some_and(u8::is_ascii_digit)
        };
        digit(-1)
            && digit(1)
            && digit(2)
            && at.checked_add(3).and_then(|i| head.as_bytes().get(i)) == Some(&b':')
            && digit(4)
            && digit(5)
    })?;
    let bytes = head.as_bytes();
    let digit_at = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut start = colon;
    while let Some(before) = start.checked_sub(1).filter(|at| digit_at(*at)) {
        start = before;
    }
    let mut end = colon.saturating_add(6);
    if matches!(bytes.get(end), Some(b'.' | b',')) && digit_at(end.saturating_add(1)) {
        end = end.saturating_add(1);
        while digit_at(end) {
            end = end.saturating_add(1);
        }
    }
    if bytes.get(end) == Some(&b'Z') {
        end = end.saturating_add(1);
    }
    // A date before it, with a word such as 上午 between.
    let before = head.get(..start).unwrap_or_default();
    let gap = before.trim_end_matches(|c: char| !c.is_ascii_digit());
    let date = gap.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '/' | '.'));
    let written = gap.get(date.len()..).unwrap_or_default();
    let is_date = written.matches(['-', '/', '.']).count() == 2 && written.len() >= 8;
    if is_date && before.len().saturating_sub(gap.len()) <= 8 {
        start = date.len();
    }
    head.get(start..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_in_every_layout() {
        for (line, time) in [
            ("2026-11-20 19:29:49,908 INFO  x", "2026-11-20 19:29:49,908"),
            ("2021/2/4 上午10:42:40Caused by: x", "2021/2/4 上午10:42:40"),
            ("{\"@timestamp\":\"2021-02-04T10:42:40.123Z\"", "2021-02-04T10:42:40.123Z"),
            ("[10:42:40,1] x", "10:42:40,1"),
        ] {
            assert_eq!(time_in(line).as_deref(), Some(time), "{line}");
        }
        assert_eq!(time_in("at a.B.c(B.java:12:34)"), None);
    }

    #[test]
    fn the_wordings_of_every_release_are_known() {
        let kind = |line: &str| classify(line);
        use EventKind::*;
        assert_eq!(kind("Triggering checkpoint 17 (type=CHECKPOINT) @ 1 for job x."), Some((Triggered, Some(17))));
        assert_eq!(kind("Completed checkpoint 5 for job x (1 bytes in 2 ms)."), Some((Completed, Some(5))));
        assert_eq!(kind("Checkpoint 17 of job 9ee5 expired before completing."), Some((Expired, Some(17))));
        assert_eq!(kind("Decline checkpoint 66 by task e65 of job dd4"), Some((Failed, Some(66))));
        assert_eq!(
            kind("Restoring job a from Checkpoint 4 @ 9 for b located at s3://c/d."),
            Some((Restoring, Some(4)))
        );
        assert_eq!(kind("o.a.f.runtime.checkpoint.CheckpointCoordinator - Shutting down"), None);
    }
}
