//! A snapshot that has begun and is not complete.

use super::action::{SnapshotKind, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A pending snapshot: what it waits for, and what it has got.
#[derive(Debug)]
pub(super) struct Pending<S> {
    pub(super) kind: SnapshotKind,
    participants: BTreeSet<TaskId>,
    missing: BTreeSet<TaskId>,
    acks: BTreeMap<TaskId, S>,
    expiry: Duration,
    /// All have acknowledged, and the driver writes the `_metadata`.
    finalizing: bool,
}

/// What an acknowledgement led to.
pub(super) enum Acknowledged<S> {
    /// Others are waited for.
    More,
    /// It was the last: the states of all tasks, which are the driver's now.
    All(Vec<(TaskId, S)>),
    /// The task has acknowledged before.
    Again,
    /// The task has no part in it.
    Unknown(S),
}

impl<S> Pending<S> {
    pub(super) fn new(kind: SnapshotKind, participants: BTreeSet<TaskId>, expiry: Duration) -> Self {
        let missing = participants.clone();
        Pending { kind, missing, acks: BTreeMap::new(), expiry, finalizing: false, participants }
    }

    /// When it is given up; never, once all have acknowledged.
    pub(super) fn expiry(&self) -> Option<Duration> {
        (!self.finalizing).then_some(self.expiry)
    }

    pub(super) fn is_finalizing(&self) -> bool {
        self.finalizing
    }

    pub(super) fn has(&self, task: TaskId) -> bool {
        self.participants.contains(&task)
    }

    pub(super) fn missing(&self) -> impl Iterator<Item = TaskId> {
        self.missing.iter().copied()
    }

    pub(super) fn waits_for(&self, task: TaskId) -> bool {
        self.missing.contains(&task)
    }

    pub(super) fn acknowledge(&mut self, task: TaskId, state: S) -> Acknowledged<S> {
        if !self.missing.remove(&task) {
            return if self.has(task) { Acknowledged::Again } else { Acknowledged::Unknown(state) };
        }
        self.acks.insert(task, state);
        if !self.missing.is_empty() {
            return Acknowledged::More;
        }
        self.finalizing = true;
        Acknowledged::All(std::mem::take(&mut self.acks).into_iter().collect())
    }

    /// Its sort, and the states that were not handed out.
    pub(super) fn into_parts(self) -> (SnapshotKind, Vec<(TaskId, S)>) {
        (self.kind, self.acks.into_iter().collect())
    }
}
