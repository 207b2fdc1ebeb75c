//! The runs below roots: what was put aside, until when it can be brought back, and what is unfinished.

use super::journal::{Ended, RunDir, runs_below};
use super::{ChangeError, EndState, RunId};
use crate::model::Location;
use crate::storage::{Below, Usage, WriteStorage};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// A run below one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    /// Its name.
    pub run: RunId,
    /// The root.
    pub root: Location,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended; `None` for one that is unfinished.
    pub finished: Option<Timestamp>,
    /// How it ended; `None` for one that is unfinished, or where that cannot be read.
    pub state: Option<EndState>,
    /// Files in the trash.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files that went below this root, whether they are in the trash or deleted; `None` for one that is unfinished.
    pub removed: Option<u64>,
    /// Until when a purge leaves it alone; `None` where nothing can be brought back, or no purge takes it by itself.
    pub restorable_until: Option<Timestamp>,
}

/// A run that was interrupted, below one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedRun {
    /// Its name.
    pub run: RunId,
    /// The root.
    pub root: Location,
}

/// The runs below roots, oldest first. `keep` is how long a purge is going to leave them alone.
pub fn runs(
    storage: &dyn WriteStorage,
    roots: &[Location],
    keep: SignedDuration,
) -> Result<Vec<RunSummary>, ChangeError> {
    let mut all = Vec::new();
    for root in roots {
        for run in runs_below(storage, root)? {
            all.push(summary(RunDir { storage, root, run: &run }, keep)?);
        }
    }
    all.sort_by(|a, b| (&a.run, &a.root).cmp(&(&b.run, &b.root)));
    Ok(all)
}

/// The runs below roots that are unfinished, oldest first.
pub fn unfinished(storage: &dyn WriteStorage, roots: &[Location]) -> Result<Vec<UnfinishedRun>, ChangeError> {
    let mut all = Vec::new();
    for root in roots {
        for run in runs_below(storage, root)? {
            let dir = RunDir { storage, root, run: &run };
            // An empty directory is what is left where one was being removed.
            if dir.ended()? == Ended::No && !dir.layers()?.plans.is_empty() {
                all.push(UnfinishedRun { run, root: root.clone() });
            }
        }
    }
    all.sort_by(|a, b| (&a.run, &a.root).cmp(&(&b.run, &b.root)));
    Ok(all)
}

fn summary(dir: RunDir<'_>, keep: SignedDuration) -> Result<RunSummary, ChangeError> {
    let end = match dir.ended()? {
        Ended::Yes(end) => Some(end),
        Ended::No | Ended::Unreadable => None,
    };
    let mut held = Usage::default();
    for layer in dir.layers()?.trees {
        let tree = dir.tree(layer);
        let usage = dir.storage.usage(&Below { root: dir.root, dir: &tree }.location())?;
        held.files += usage.files;
        held.bytes += usage.bytes;
    }
    let until = end.as_ref().filter(|end| held.files > 0 && end.state != EndState::Purging);
    Ok(RunSummary {
        run: dir.run.clone(),
        root: dir.root.clone(),
        started: dir.run.started(),
        finished: end.as_ref().map(|end| end.finished),
        state: end.as_ref().map(|end| end.state),
        files: held.files,
        bytes: held.bytes,
        removed: end.as_ref().map(|end| end.files),
        restorable_until: until.and_then(|end| end.finished.checked_add(keep).ok()),
    })
}
