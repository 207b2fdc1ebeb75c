//! When to take a checkpoint, and what becomes of it: Flink's `CheckpointCoordinator` as a state machine without I/O,
//! clock or threads. The runtime's driver tells it what happened and when, as the time since some fixed point, and does
//! what it answers.
//!
//! What is Flink's (read in `CheckpointCoordinator`, `CheckpointRequestDecider`, `CheckpointFailureManager` and
//! `PendingCheckpoint`, 1.20):
//!
//! - Periodic checkpoints are due at a fixed rate. One that may not begin because of the number of pending snapshots
//!   begins when one of them ends; one that may not begin because of the pause moves the rate to the end of the pause.
//! - The pause is counted from the last *completed* snapshot, savepoints included; after a failed one there is none.
//! - Savepoints begin at once, but count as pending. A savepoint that ends the job first aborts all that is pending.
//! - A completed checkpoint aborts the pending checkpoints before it, but no savepoint.
//!
//! What is not: the first checkpoint comes after the whole interval, not after a random part of it, and however many
//! periodic checkpoints could not begin, one is caught up with.

mod action;
mod config;
mod failure;
mod pending;

pub use action::{Action, SavepointFormat, SavepointKind, SnapshotKind, TaskId};
pub use config::{CheckpointConfig, CheckpointMode, ConfigError, Retention, TerminalState};
pub use failure::FailureReason;

use crate::model::Location;
use failure::Failures;
use pending::{Acknowledged, Pending};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Takes snapshots of one job, also across its restarts. `S` is what a task acknowledges with.
#[derive(Debug)]
pub struct Coordinator<S> {
    config: CheckpointConfig,
    tasks: BTreeSet<TaskId>,
    /// Tasks that take no part any more.
    finished: BTreeSet<TaskId>,
    next_id: i64,
    running: bool,
    /// When the next periodic checkpoint is due; `None` while there are none.
    due: Option<Duration>,
    /// A periodic checkpoint was due and could not begin.
    owed: bool,
    last_completion: Option<Duration>,
    pending: BTreeMap<i64, Pending<S>>,
    /// Completed checkpoints that are kept.
    completed: BTreeSet<i64>,
    /// Completed savepoints, which are no longer the coordinator's.
    savepoints: BTreeSet<i64>,
    failures: Failures,
}

impl<S> Coordinator<S> {
    /// A coordinator that does nothing yet. Ids begin with `first_id`: 1 for a new job, and the restored id + 1 after a
    /// restore.
    pub fn new(config: CheckpointConfig, tasks: Vec<TaskId>, first_id: i64) -> Self {
        Coordinator {
            failures: Failures::new(config.tolerable_failures),
            config,
            tasks: tasks.into_iter().collect(),
            finished: BTreeSet::new(),
            next_id: first_id,
            running: false,
            due: None,
            owed: false,
            last_completion: None,
            pending: BTreeMap::new(),
            completed: BTreeSet::new(),
            savepoints: BTreeSet::new(),
        }
    }

    /// Takes over a completed checkpoint that the job was restored from: it is one of those that are kept, and is
    /// removed in its turn. One that belongs to somebody else is not to be taken over.
    pub fn adopt(&mut self, id: i64) {
        self.completed.insert(id);
    }

    /// The checkpoints that are complete and kept, oldest first: the last is what to restart from.
    pub fn completed_checkpoints(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.completed.iter().copied()
    }

    /// The snapshots that are pending, oldest first, with what they wait for: the tasks that have not acknowledged.
    pub fn pending_snapshots(&self) -> impl Iterator<Item = (i64, &SnapshotKind, Vec<TaskId>)> {
        self.pending.iter().map(|(id, pending)| (*id, &pending.kind, pending.missing().collect()))
    }

    /// All tasks are running, for the first time or again: periodic checkpoints begin.
    pub fn start(&mut self, now: Duration) {
        self.running = true;
        self.finished.clear();
        self.schedule(now);
    }

    fn schedule(&mut self, now: Duration) {
        self.owed = false;
        self.due = self.config.base_interval().map(|interval| now.saturating_add(interval));
    }

    /// When to call [`Coordinator::tick`] next, if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Duration> {
        let expiry = self.pending.values().filter_map(Pending::expiry).min();
        [self.due, expiry].into_iter().flatten().min()
    }

    /// Time has passed: snapshots expire, and a periodic checkpoint may be due.
    pub fn tick(&mut self, now: Duration) -> Vec<Action<S>> {
        let mut actions = Vec::new();
        let mut expired: Vec<(Duration, i64)> = (self.pending.iter())
            .filter_map(|(id, pending)| pending.expiry().map(|expiry| (expiry, *id)))
            .filter(|(expiry, _)| *expiry <= now)
            .collect();
        expired.sort_unstable();
        for (_, id) in expired {
            self.abort(now, id, FailureReason::Expired, &mut actions);
        }
        if let (Some(due), Some(interval)) = (self.due, self.config.base_interval())
            && due <= now
        {
            // The rate is kept; what was slept through is not made up for.
            let missed = now.saturating_sub(due).as_nanos() % interval.as_nanos().max(1);
            let missed = Duration::from_nanos(u64::try_from(missed).unwrap_or(0));
            self.due = Some(now.saturating_sub(missed).saturating_add(interval));
            self.owed = true;
        }
        self.trigger_owed(now, &mut actions);
        actions
    }

    /// Somebody wants a savepoint, below `target` or the configured directory. It begins at once, whatever else is
    /// pending; where it cannot, the answer is [`Action::RejectSavepoint`].
    pub fn request_savepoint(
        &mut self,
        now: Duration,
        target: Option<Location>,
        kind: SavepointKind,
        format: SavepointFormat,
    ) -> Vec<Action<S>> {
        let Some(target) = target.or_else(|| self.config.savepoint_directory.clone()) else {
            return vec![Action::RejectSavepoint { reason: FailureReason::NoDirectory }];
        };
        if !self.running {
            return vec![Action::RejectSavepoint { reason: FailureReason::NotRunning }];
        }
        if self.participants().is_empty() {
            return vec![Action::RejectSavepoint { reason: FailureReason::TaskClosing }];
        }
        let mut actions = Vec::new();
        let snapshot = SnapshotKind::Savepoint { target, kind, format };
        if snapshot.is_synchronous() {
            self.suspend(now, &mut actions);
        }
        self.trigger(now, snapshot, &mut actions);
        actions
    }

    /// All input has passed: takes a last checkpoint at once, in the place of all that are pending, and no more after it.
    /// Gives its id.
    pub fn trigger_last(&mut self, now: Duration) -> (i64, Vec<Action<S>>) {
        let mut actions = Vec::new();
        self.suspend(now, &mut actions);
        let id = self.next_id;
        self.trigger(now, SnapshotKind::Checkpoint, &mut actions);
        (id, actions)
    }

    /// A task has taken part in a snapshot, with this state.
    pub fn acknowledge(&mut self, now: Duration, id: i64, task: TaskId, state: S) -> Vec<Action<S>> {
        let Some(pending) = self.pending.get_mut(&id) else {
            // Whoever acknowledges twice says the same again, and a completed checkpoint needs it.
            let late = !self.completed.contains(&id) && !self.savepoints.contains(&id);
            return late.then_some(Action::DiscardLate { id, task, state }).into_iter().collect();
        };
        let mut actions = Vec::new();
        match pending.acknowledge(task, state) {
            Acknowledged::More | Acknowledged::Again => {}
            Acknowledged::All(acks) => actions.push(Action::Finalize { id, kind: pending.kind.clone(), acks }),
            Acknowledged::Unknown(state) => actions.push(Action::DiscardLate { id, task, state }),
        }
        self.trigger_owed(now, &mut actions);
        actions
    }

    /// A task takes no part in a snapshot, which is aborted. A savepoint that ends the job fails it, since tasks wait
    /// for its end.
    pub fn decline(&mut self, now: Duration, id: i64, task: TaskId, reason: FailureReason) -> Vec<Action<S>> {
        let mut actions = Vec::new();
        // All have acknowledged one that is being finalised.
        if self.pending.get(&id).is_some_and(|pending| pending.has(task) && !pending.is_finalizing()) {
            self.abort_by_task(now, id, reason, &mut actions);
            self.trigger_owed(now, &mut actions);
        }
        actions
    }

    /// A task came to its end: it takes no part in snapshots from now on, and those that wait for it are aborted, which
    /// counts as no failure.
    pub fn task_finished(&mut self, now: Duration, task: TaskId) -> Vec<Action<S>> {
        let mut actions = Vec::new();
        if self.tasks.contains(&task) && self.finished.insert(task) {
            let waiting = self.pending.iter().filter(|(_, pending)| pending.waits_for(task));
            for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.abort_by_task(now, id, FailureReason::TaskClosing, &mut actions);
            }
            self.trigger_owed(now, &mut actions);
        }
        actions
    }

    /// The driver has written the `_metadata` of a snapshot.
    pub fn completed(&mut self, now: Duration, id: i64) -> Vec<Action<S>> {
        let mut actions = Vec::new();
        let Some(pending) = self.pending.remove(&id) else { return actions };
        if !pending.kind.is_savepoint() && self.completed.last().is_some_and(|newest| *newest > id) {
            // A newer one was written faster.
            actions.push(Action::NotifyAborted { id, reason: FailureReason::Subsumed });
            actions.push(Action::Subsume { id });
            self.trigger_owed(now, &mut actions);
            return actions;
        }
        self.failures.succeeded(id);
        self.last_completion = Some(now);
        if !pending.kind.is_savepoint() || pending.kind.is_synchronous() {
            let older = self.pending.range(..id).filter(|(_, p)| !p.kind.is_savepoint() && !p.is_finalizing());
            for older in older.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.abort(now, older, FailureReason::Subsumed, &mut actions);
            }
            actions.push(Action::NotifyComplete { id });
        }
        if pending.kind.is_savepoint() {
            self.savepoints.insert(id);
        } else {
            self.completed.insert(id);
            while self.completed.len() > self.config.num_retained.max(1) {
                actions.extend(self.completed.pop_first().map(|id| Action::Subsume { id }));
            }
        }
        self.trigger_owed(now, &mut actions);
        actions
    }

    /// The driver could not write the `_metadata` of a snapshot.
    pub fn finalization_failed(&mut self, now: Duration, id: i64, reason: impl Into<String>) -> Vec<Action<S>> {
        let mut actions = Vec::new();
        self.abort(now, id, FailureReason::Finalization(reason.into()), &mut actions);
        self.trigger_owed(now, &mut actions);
        actions
    }

    /// The job is restarted or at its end: all that is pending is aborted, and nothing begins until
    /// [`Coordinator::start`]. A snapshot that the driver is finalising stays until it reports.
    pub fn stop(&mut self, now: Duration) -> Vec<Action<S>> {
        self.running = false;
        let mut actions = Vec::new();
        self.suspend(now, &mut actions);
        actions
    }

    /// The job has ended so: the completed checkpoints that are to be removed. Savepoints stay.
    pub fn on_terminal(&mut self, state: TerminalState) -> Vec<i64> {
        if !self.config.retention.discards_on(state) {
            return Vec::new();
        }
        std::mem::take(&mut self.completed).into_iter().collect()
    }

    fn participants(&self) -> BTreeSet<TaskId> {
        self.tasks.difference(&self.finished).copied().collect()
    }

    /// Stops periodic checkpoints, and aborts what is pending.
    fn suspend(&mut self, now: Duration, actions: &mut Vec<Action<S>>) {
        let pending = self.pending.iter().filter(|(_, pending)| !pending.is_finalizing());
        for id in pending.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.abort(now, id, FailureReason::Suspended, actions);
        }
        self.due = None;
        self.owed = false;
    }

    /// Begins the periodic checkpoint that is owed, if it may begin.
    fn trigger_owed(&mut self, now: Duration, actions: &mut Vec<Action<S>>) {
        if !self.owed || self.pending.len() >= self.config.concurrent() {
            return;
        }
        self.owed = false;
        let allowed = self.last_completion.map(|last| last.saturating_add(self.config.pause()));
        match allowed.filter(|allowed| *allowed > now) {
            Some(allowed) => self.due = Some(allowed),
            None if self.participants().is_empty() => {}
            None => self.trigger(now, SnapshotKind::Checkpoint, actions),
        }
    }

    fn trigger(&mut self, now: Duration, kind: SnapshotKind, actions: &mut Vec<Action<S>>) {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        let expiry = now.saturating_add(self.config.timeout);
        self.pending.insert(id, Pending::new(kind.clone(), self.participants(), expiry));
        actions.push(Action::Trigger { id, kind });
    }

    /// Aborts a pending snapshot for a reason that lies with the coordinator: savepoints do not count.
    fn abort(&mut self, now: Duration, id: i64, reason: FailureReason, actions: &mut Vec<Action<S>>) {
        let Some(pending) = self.pending.remove(&id) else { return };
        let fails = if pending.kind.is_savepoint() { None } else { self.failures.note(id, &reason) };
        actions.extend(self.aborted(now, id, pending, reason));
        actions.extend(fails.map(|reason| Action::FailJob { reason }));
    }

    /// Aborts a pending snapshot for a reason that lies with a task.
    fn abort_by_task(&mut self, now: Duration, id: i64, reason: FailureReason, actions: &mut Vec<Action<S>>) {
        let Some(pending) = self.pending.remove(&id) else { return };
        let fails = match pending.kind.is_synchronous() {
            true => Some(reason.to_string()),
            false => self.failures.note(id, &reason),
        };
        actions.extend(self.aborted(now, id, pending, reason));
        actions.extend(fails.map(|reason| Action::FailJob { reason }));
    }

    fn aborted(&mut self, now: Duration, id: i64, pending: Pending<S>, reason: FailureReason) -> [Action<S>; 2] {
        let (kind, acks) = pending.into_parts();
        if kind.is_synchronous() && self.running {
            // The job does not end, so periodic checkpoints go on.
            self.schedule(now);
        }
        [Action::NotifyAborted { id, reason }, Action::Discard { id, kind, acks }]
    }
}

#[cfg(test)]
mod tests;
