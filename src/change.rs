//! Carries plans out, and takes them back: everything that removes a file of Flink's.
//!
//! [`execute`] puts files aside in a trash directory below the root, with a journal; [`undelete`] brings them back, [`purge`]
//! deletes them for good. The order of the phases ([`crate::plan::Phase`]) makes a run safe to interrupt at any point;
//! `docs/invariants.md` says why.

mod aside;
mod execute;
mod journal;
mod lock;
mod look_back;
mod own;
mod piece;
mod process;
mod purge;
mod run_id;
mod runs;
mod trash;
mod undelete;
mod validate;

pub use aside::{begun_plans, put_aside};
pub use execute::{How, Outcome, execute};
pub use journal::{EndState, recorded_plan};
pub use lock::{LOCK_VALID, Locks, owner};
pub use own::OWN_DIRECTORY;
pub use purge::{KEEP_DELETED, Purge, Purged, purge};
pub use run_id::{RunId, RunIdError};
pub use runs::{RunSummary, UnfinishedRun, runs, unfinished};
pub use undelete::{Restored, undelete};

use crate::model::Location;
use crate::storage::StorageError;
use jiff::Timestamp;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Looks again, while a plan is carried out: a writer may have added snapshots since it was made.
pub trait Recheck {
    /// Takes notice of every `_metadata` that appeared or was changed, and of pins, since the plan or the last call. An
    /// error ends the run: what cannot be read may refer to anything.
    fn look_again(&mut self) -> Result<(), StorageError>;

    /// Why a file or directory of the plan must stay after all, by what [`Recheck::look_again`] saw last.
    fn objection(&self, place: &Location) -> Option<String>;
}

/// What a change heeds while it runs, and whom it tells.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Set to end the change after the names that are being changed: at most a thousand.
    pub interrupted: &'a AtomicBool,
    /// So many names are changed in a second at most.
    pub per_second: Option<NonZeroU32>,
    /// Hears how many names are done with, as it goes.
    pub progress: &'a dyn Fn(u64),
}

/// A file or directory that is not as it was to be, or many in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The file, or the directory that holds them.
    pub place: Location,
    /// How many.
    pub count: u64,
    /// Why.
    pub why: String,
}

/// Why a change was refused, or ended early. What it did until then is in its journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The plan is not one that may be carried out.
    #[error("the plan cannot be carried out: {0}")]
    Plan(String),
    /// Somebody else changes something below a root.
    #[error("{root} is locked by {owner}{}", until.map_or_else(String::new, |until| format!(" until {until:.0}")))]
    Locked {
        /// The root.
        root: Location,
        /// Who, in the words of the lock file; not to be trusted.
        owner: String,
        /// Until when the lock is valid, if its owner does not renew it.
        until: Option<Timestamp>,
    },
    /// The lock of a root is no longer ours.
    #[error("the lock of {0} was taken by somebody else, or removed")]
    LockLost(Location),
    /// Something of chkctl's own below a root is not what it has to be.
    #[error("{place}: {why}")]
    Refused {
        /// What.
        place: Location,
        /// What is wrong with it.
        why: String,
    },
    /// No root has such a run, or it is not in a state for what was asked.
    #[error("run {run}: {why}")]
    Run {
        /// The run.
        run: RunId,
        /// What is wrong with it.
        why: String,
    },
    /// What a writer added could not be looked at, so nothing more may be removed.
    #[error("stopped, since it cannot be seen what was added meanwhile: {0}")]
    Recheck(StorageError),
    /// The journal or the lock could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// So many names are changed between two looks at the lock and at the flag that interrupts.
const PIECE: usize = 1_000;

impl Control<'_> {
    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Keeps to [`Control::per_second`].
struct Pace<'a> {
    control: Control<'a>,
    began: Instant,
    done: u64,
}

impl<'a> Pace<'a> {
    fn new(control: Control<'a>) -> Self {
        Pace { control, began: Instant::now(), done: 0 }
    }

    /// How many names to change at once.
    fn piece(&self) -> usize {
        let limit = self.control.per_second.and_then(|limit| usize::try_from(limit.get()).ok());
        limit.map_or(PIECE, |limit| limit.min(PIECE))
    }

    /// Tells that names are done with, and waits until more may be changed.
    fn done(&mut self, names: usize) {
        (self.control.progress)(names as u64);
        self.done += names as u64;
        let Some(limit) = self.control.per_second else { return };
        let due = Duration::from_secs_f64(self.done as f64 / f64::from(limit.get()));
        while let Some(left) = due.checked_sub(self.began.elapsed()).filter(|left| !left.is_zero()) {
            if self.control.is_interrupted() {
                return;
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

#[cfg(test)]
mod tests;
