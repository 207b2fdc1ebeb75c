//! Faults as data: which call of which operation on which places fails, and how.

use crate::model::Location;
use crate::storage::{StorageError, StorageErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What can be asked of a storage, one for each operation of its traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the operation of its name")]
pub enum Operation {
    Stat,
    List,
    /// One for each name of a lookup.
    Lookup,
    Usage,
    Read,
    ReadRange,
    /// [`Storage::open`](crate::storage::Storage::open).
    Open,
    CreateDirs,
    Create,
    /// Of a file's writer.
    Write,
    /// Of a file's writer; leaving is finishing.
    Finish,
    Publish,
    /// Its place is the old one.
    Rename,
    SyncDir,
    /// Its place is the directory.
    SyncFiles,
    Delete,
    DeleteEmptyDir,
    Replace,
    /// Its place is that of the new name.
    Link,
}

impl Operation {
    /// All of them.
    pub const ALL: &'static [Operation] = &[
        Operation::Stat,
        Operation::List,
        Operation::Lookup,
        Operation::Usage,
        Operation::Read,
        Operation::ReadRange,
        Operation::Open,
        Operation::CreateDirs,
        Operation::Create,
        Operation::Write,
        Operation::Finish,
        Operation::Publish,
        Operation::Rename,
        Operation::SyncDir,
        Operation::SyncFiles,
        Operation::Delete,
        Operation::DeleteEmptyDir,
        Operation::Replace,
        Operation::Link,
    ];

    /// Those that change something.
    pub const WRITES: &'static [Operation] = Operation::ALL.split_at(7).1;
}

/// Which of the calls that a fault chooses fail; the first is number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    Every,
    /// One.
    Nth(u64),
    /// One and all after it.
    From(u64),
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is done.
    Fail(StorageErrorKind),
    /// All is done, and an error is told: an answer that was lost.
    FailAfter(StorageErrorKind),
    /// Half of the bytes are written (`Write`; for `Publish` and `Replace`, to the temporary file, which stays). Other operations
    /// do nothing.
    Tear(StorageErrorKind),
    /// As `Tear`; every operation after it fails as well, and files in writing stay as they are: a process that is
    /// gone, or a disk.
    Crash,
}

/// A fault: for operations × places × calls, an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    operations: &'static [Operation],
    part: String,
    which: Which,
    effect: Effect,
}

impl Fault {
    /// Every call of these operations anywhere fails with `Other`, until narrowed down.
    pub fn on(operations: &'static [Operation]) -> Self {
        let effect = Effect::Fail(StorageErrorKind::Other);
        Fault { operations, part: String::new(), which: Which::Every, effect }
    }

    /// Only on places whose text contains `part`.
    pub fn at(self, part: &str) -> Self {
        Fault { part: part.to_owned(), ..self }
    }

    /// Only these of the calls on such places.
    pub fn calls(self, which: Which) -> Self {
        Fault { which, ..self }
    }

    /// Only the n-th call on such places; the first is number 1.
    pub fn nth(self, n: u64) -> Self {
        self.calls(Which::Nth(n))
    }

    /// With this error, and nothing done.
    pub fn failing(self, kind: StorageErrorKind) -> Self {
        self.with_effect(Effect::Fail(kind))
    }

    /// With this effect.
    pub fn with_effect(self, effect: Effect) -> Self {
        Fault { effect, ..self }
    }
}

/// What becomes of a call.
pub(super) enum Verdict {
    Go,
    Fail(StorageError),
    FailAfter(StorageError),
    Tear(StorageError),
}

/// The faults of a storage, and what was asked of it.
#[derive(Default)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Default)]
struct State {
    /// With the number of calls that each has chosen from so far.
    faults: Vec<(Fault, u64)>,
    writes: Vec<(Operation, String)>,
    crashed: bool,
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, fault: Fault) {
        self.state().faults.push((fault, 0));
    }

    pub(super) fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.crashed = false;
    }

    pub(super) fn writes(&self) -> Vec<(Operation, String)> {
        self.state().writes.clone()
    }

    pub(super) fn crashed(&self) -> bool {
        self.state().crashed
    }

    /// Counts a call and says what becomes of it: the first fault that fits decides.
    pub(super) fn judge(&self, operation: Operation, place: &Location) -> Verdict {
        let error = |kind| StorageError::new(kind, place, "injected fault");
        let text = place.to_string();
        let mut state = self.state();
        if Operation::WRITES.contains(&operation) {
            state.writes.push((operation, text.clone()));
        }
        if state.crashed {
            return Verdict::Fail(error(StorageErrorKind::Other));
        }
        let mut effect = None;
        for (fault, calls) in &mut state.faults {
            if fault.operations.contains(&operation) && text.contains(&fault.part) {
                *calls += 1;
                let hit = match fault.which {
                    Which::Every => true,
                    Which::Nth(n) => *calls == n,
                    Which::From(n) => *calls >= n,
                };
                effect = effect.or(hit.then_some(fault.effect));
            }
        }
        match effect {
            None => Verdict::Go,
            Some(Effect::Fail(kind)) => Verdict::Fail(error(kind)),
            Some(Effect::FailAfter(kind)) => Verdict::FailAfter(error(kind)),
            Some(Effect::Tear(kind)) => Verdict::Tear(error(kind)),
            Some(Effect::Crash) => {
                state.crashed = true;
                Verdict::Tear(error(StorageErrorKind::Other))
            }
        }
    }
}
