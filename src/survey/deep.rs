//! Reads state files to their end, and says which damage Flink's restore would meet and which only a job would, later.
//!
//! A plan turns a decoded `_metadata` into one task for each stream and each embedded database; several threads
//! work on them ([`Deep::examine`]), each with a buffer of its own, so that memory does not grow with the state. What
//! a task found is remembered for the other snapshots of a run, which often share files, and in a [`journal`] for the
//! next run. A [`Subset`] of the tasks and a deadline bound the time.

mod heads;
pub mod journal;
mod plan;
mod run;
mod source;
mod subset;
mod task;

pub use journal::Journal;
pub use subset::Subset;

use super::finding::{Code, Finding, Severity, verdict_of};
use super::report::{DeepCounts, SnapshotReport};
use super::{Judge, Progress, SnapshotDir};
use crate::format;
use crate::model::{Location, Metadata};
use crate::storage::Storage;
use foldhash::{HashMap, HashSet};
use heads::Head;
use run::Run;
use source::Limits;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;
use task::{Found, Outcome, Task};

/// Reads the state files of snapshots.
pub struct Deep<'s> {
    storage: &'s dyn Storage,
    limits: Limits<'s>,
    subset: Option<Subset>,
    journal: Option<Journal>,
    /// What was found out in this run, by the key of the task.
    known: Mutex<HashMap<String, Arc<Outcome>>>,
}

/// What one task came to.
enum End {
    /// It was done, now or before.
    Done(Arc<Outcome>),
    /// It is not in the subset.
    LeftOut,
    /// The time was over before it was done.
    OutOfTime,
}

impl<'s> Deep<'s> {
    /// Reads through `storage` and tells `progress` of bytes.
    pub fn new(storage: &'s dyn Storage, progress: &'s dyn Progress) -> Self {
        Deep { storage, limits: Limits::new(progress), subset: None, journal: None, known: Mutex::default() }
    }

    /// The same, of a part of the files only.
    pub fn of_subset(self, subset: Option<Subset>) -> Self {
        Deep { subset, ..self }
    }

    /// The same, until a moment. What is not read by then makes a snapshot unknown.
    pub fn until(self, deadline: Option<Instant>) -> Self {
        Deep { limits: self.limits.until(deadline), ..self }
    }

    /// The same, with what earlier runs found out, and writing down what this one does.
    pub fn with_journal(self, journal: Option<Journal>) -> Self {
        Deep { journal, ..self }
    }

    /// Reads the state files of a snapshot that was judged, and adds what it finds to the report.
    pub fn examine(&self, judge: &Judge<'_>, snapshot: &SnapshotDir, report: &mut SnapshotReport) {
        if report.metadata_version.is_none() {
            return;
        }
        let bytes = match self.storage.read(&snapshot.metadata_file, super::verify::METADATA_LIMIT) {
            Ok(bytes) => bytes,
            Err(error) => {
                report.findings.push(super::report::unreadable_metadata(snapshot, &error.message));
                report.verdict = verdict_of(&report.findings);
                return;
            }
        };
        match format::decode(&bytes) {
            Ok(metadata) => self.examine_metadata(judge, &metadata, snapshot, report),
            Err(error) => report.findings.push(super::report::undecodable(snapshot, &error)),
        }
        report.verdict = verdict_of(&report.findings);
    }

    fn examine_metadata(
        &self,
        judge: &Judge<'_>,
        metadata: &Metadata<'_>,
        snapshot: &SnapshotDir,
        report: &mut SnapshotReport,
    ) {
        let tasks = plan::tasks(metadata, judge.exclusive(&snapshot.dir));
        let ends = self.work(&tasks, judge);
        let mut counts = DeepCounts::default();
        let mut damaged = HashSet::default();
        let mut opaque = std::collections::BTreeSet::new();
        let mut late = 0_u64;
        let mut said = HashSet::default();
        for (task, end) in tasks.iter().zip(&ends) {
            counts.streams += 1;
            counts.bytes = counts.bytes.saturating_add(task.size());
            let outcome = match end {
                End::Done(outcome) => outcome,
                End::LeftOut => continue,
                End::OutOfTime => {
                    late += 1;
                    continue;
                }
            };
            counts.read += 1;
            counts.bytes_read = counts.bytes_read.saturating_add(task.size());
            opaque.extend(outcome.opaque.iter().cloned());
            for found in &outcome.found {
                // A file that is not there was seen before, and perhaps explained (`elsewhere`); one that is gone since was not.
                if found.code == Code::MissingFile && report.files.missing > 0 {
                    continue;
                }
                if found.severity != Severity::Unknown {
                    damaged.insert((found.path.clone(), task.key.clone()));
                }
                for owner in &task.owners {
                    if said.insert((found.path.clone(), found.message.clone(), owner.operator, owner.subtask)) {
                        report.findings.push(task.finding(metadata, owner, found));
                    }
                }
            }
        }
        for (task, found) in compare_heads(&tasks, &ends) {
            damaged.insert((found.path.clone(), task.key.clone()));
            for owner in &task.owners {
                if said.insert((found.path.clone(), found.message.clone(), owner.operator, owner.subtask)) {
                    report.findings.push(task.finding(metadata, owner, &found));
                }
            }
        }
        settle_sizes(&tasks, &ends, report);
        let flagged: HashSet<&Option<String>> = report
            .findings
            .iter()
            .filter(|f| matches!(f.code, Code::ShortFile | Code::LongFile | Code::SegmentOutsideFile | Code::NotAFile))
            .map(|finding| &finding.path)
            .collect();
        let more = damaged.iter().filter(|(path, _)| !flagged.contains(path)).count();
        report.files.damaged = report.files.damaged.saturating_add(more as u64);
        if late > 0 {
            let message = format!("{late} of {} streams were not read before the time was over", counts.streams);
            let unread = Finding::new(Code::NotAllRead, Severity::Unknown, &snapshot.dir, message);
            report.findings.push(unread.hint("run it again with --resume FILE to go on where it stopped"));
        }
        counts.opaque = opaque.into_iter().collect();
        report.deep = Some(counts);
    }

    /// Works on all tasks on all cores, the largest first, and gives their ends in the order of the tasks.
    fn work(&self, tasks: &[Task<'_, '_>], judge: &Judge<'_>) -> Vec<End> {
        self.limits.progress.expect(tasks.iter().map(Task::size).sum());
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(tasks.get(index).map(Task::size)));
        let next = AtomicUsize::new(0);
        let ends: Mutex<Vec<(usize, End)>> = Mutex::new(Vec::with_capacity(tasks.len()));
        let work = || {
            while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some(task) = tasks.get(index) {
                    let end = self.end_of(task, judge);
                    locked(&ends).push((index, end));
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(tasks.len());
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
        ends.sort_by_key(|(index, _)| *index);
        ends.into_iter().map(|(_, end)| end).collect()
    }

    fn end_of(&self, task: &Task<'_, '_>, judge: &Judge<'_>) -> End {
        let places: Vec<Location> = task.files().map(|place| judge.maps.here(place)).collect();
        let key = task.key.as_deref();
        if key.is_some_and(|key| self.subset.as_ref().is_some_and(|subset| !subset.has(key))) {
            self.limits.progress.advance(task.size());
            return End::LeftOut;
        }
        if let Some(outcome) = key.and_then(|key| locked(&self.known).get(key).cloned()) {
            self.limits.progress.advance(task.size());
            return End::Done(outcome);
        }
        let stamp = self.journal.as_ref().filter(|_| key.is_some()).and_then(|_| journal::stamp(self.storage, &places));
        if let (Some(journal), Some(key), Some(stamp)) = (&self.journal, key, &stamp)
            && let Some(outcome) = journal.outcome(key, stamp)
        {
            self.limits.progress.advance(task.size());
            return End::Done(self.remember(key, outcome));
        }
        if self.limits.over() {
            return End::OutOfTime;
        }
        let counted = self.limits.counted();
        let outcome = Run { storage: self.storage, counted: &counted }.run(task, &places);
        // What was counted while reading may be less or more than the size: parts read twice, or the rest after damage.
        counted.settle(task.size());
        let Some(outcome) = outcome else { return End::OutOfTime };
        match (&self.journal, key, stamp) {
            (Some(journal), Some(key), Some(stamp)) if !outcome.is_transient() => journal.write(key, &stamp, &outcome),
            _ => {}
        }
        End::Done(match key {
            Some(key) => self.remember(key, outcome),
            None => Arc::new(outcome),
        })
    }

    fn remember(&self, key: &str, outcome: Outcome) -> Arc<Outcome> {
        let outcome = Arc::new(outcome);
        locked(&self.known).insert(key.to_owned(), Arc::clone(&outcome));
        outcome
    }

    /// Why the journal could not be written, where it could not.
    pub fn journal_problem(&self) -> Option<String> {
        self.journal.as_ref().and_then(Journal::problem)
    }
}

/// What the heads of one operator's subtasks say against each other.
fn compare_heads<'t, 'a, 'm>(tasks: &'t [Task<'a, 'm>], ends: &[End]) -> Vec<(&'t Task<'a, 'm>, Found)> {
    let mut by_operator: BTreeMap<(usize, bool), Vec<(&Task<'a, 'm>, &Head)>> = BTreeMap::new();
    for (task, end) in tasks.iter().zip(ends) {
        let End::Done(outcome) = end else { continue };
        let Some(head) = &outcome.head else { continue };
        for operator in task.heads_of() {
            by_operator.entry(operator).or_default().push((task, head));
        }
    }
    let mut found = Vec::new();
    for group in by_operator.into_values() {
        let heads: Vec<&Head> = group.iter().map(|(_, head)| *head).collect();
        for difference in heads::compare(&heads) {
            if let Some((task, _)) = group.get(difference.head) {
                found.push((*task, run::found(&difference, task.path())));
            }
        }
    }
    found
}

/// What was read to its end, and is whole, is not as long as its handle says because the handle is wrong: a changelog file
/// was cut behind everything that Flink needs of it, or a size in the `_metadata` was changed. Flink never looks at
/// these sizes, so what they alone made of the file is too much.
fn settle_sizes(tasks: &[Task<'_, '_>], ends: &[End], report: &mut SnapshotReport) {
    let mut whole: HashMap<String, bool> = HashMap::default();
    for (task, end) in tasks.iter().zip(ends) {
        let proven = match end {
            End::Done(outcome) => {
                let harmless = outcome.found.iter().all(|found| found.severity == Severity::Warning);
                task.proves_its_size() && harmless && outcome.opaque.is_empty()
            }
            End::LeftOut | End::OutOfTime => false,
        };
        for place in task.files() {
            let all = whole.entry(place.to_string()).or_insert(true);
            *all &= proven;
        }
    }
    for finding in &mut report.findings {
        let sized = matches!(finding.code, Code::ShortFile | Code::LongFile | Code::SegmentOutsideFile);
        let is_whole = finding.path.as_ref().and_then(|path| whole.get(path)).copied().unwrap_or(false);
        if sized && is_whole && finding.severity == Severity::Error {
            finding.severity = Severity::Warning;
            finding.message.push_str("; yet all that Flink reads of it is whole");
        }
    }
}

/// The content of a lock. One that a panicking thread held still has whole entries.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
