//! Deletes for good what runs put aside.

use super::journal::{End, Ended, RunDir, runs_below};
use super::lock::{CLAIM, STALE};
use super::own::below;
use super::undelete::{find, remove_emptied};
use super::{ChangeError, Control, EndState, Left, Locks, OWN_DIRECTORY, Pace, RunId, trash};
use crate::model::Location;
use crate::storage::{Below, EntryKind, WriteStorage};
use jiff::SignedDuration;

/// How long what was put aside is kept, by default.
pub const KEEP_DELETED: SignedDuration = SignedDuration::from_hours(24);
/// Files that processes left behind which ended while they took a lock are removed when they are this old.
const LITTER_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// Runs that finished so long ago; not those that are unfinished or being brought back.
    OlderThan(SignedDuration),
    /// One run, whatever its state.
    Run(RunId),
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purged {
    /// Runs that nothing is left of below one of the roots, oldest first.
    pub runs: Vec<RunId>,
    /// Files that were deleted.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// What could not be deleted.
    pub failed: Vec<Left>,
    /// Whether it was interrupted, and is to be done again.
    pub interrupted: bool,
}

/// Deletes runs below `roots` for good. Nothing outside of their directories is touched, and no link is followed. It can be
/// interrupted and done again; a run that it has begun with cannot be brought back.
///
/// # Errors
/// Where a run that is named is below none of the roots; when the journal cannot be written.
pub fn purge(
    storage: &dyn WriteStorage,
    locks: &mut Locks<'_>,
    roots: &[Location],
    what: &Purge,
    control: Control<'_>,
) -> Result<Purged, ChangeError> {
    let mut purged = Purged::default();
    let mut pace = Pace::new(control);
    match what {
        Purge::Run(run) => {
            for dir in find(storage, locks, roots, run)? {
                purge_one(&dir, locks, control, &mut pace, &mut purged)?;
            }
        }
        Purge::OlderThan(age) => {
            for root in roots {
                locks.check(root)?;
                remove_litter(storage, locks, root);
                for run in runs_below(storage, root)? {
                    let dir = RunDir { storage, root, run: &run };
                    if is_due(&dir, locks, *age)? {
                        purge_one(&dir, locks, control, &mut pace, &mut purged)?;
                    }
                }
            }
        }
    }
    purged.runs.sort();
    purged.runs.dedup();
    Ok(purged)
}

/// Whether a run is old enough, or its deletion was begun.
fn is_due(dir: &RunDir<'_>, locks: &Locks<'_>, age: SignedDuration) -> Result<bool, ChangeError> {
    Ok(match dir.ended()? {
        Ended::Yes(End { state: EndState::Purging, .. }) => true,
        Ended::Yes(End { state: EndState::Done | EndState::Partly, finished, .. }) => {
            locks.now().duration_since(finished) >= age
        }
        Ended::Yes(End { state: EndState::Undeleting, .. }) | Ended::Unreadable => false,
        // Nothing but an empty directory, which was being removed.
        Ended::No => dir.layers()?.is_empty(),
    })
}

fn purge_one(
    dir: &RunDir<'_>,
    locks: &mut Locks<'_>,
    control: Control<'_>,
    pace: &mut Pace<'_>,
    purged: &mut Purged,
) -> Result<(), ChangeError> {
    if control.is_interrupted() || purged.interrupted {
        purged.interrupted = true;
        return Ok(());
    }
    // Half of it must not be brought back.
    let end = match dir.ended()? {
        Ended::Yes(end) => End { state: EndState::Purging, ..end },
        Ended::No | Ended::Unreadable => End::new(EndState::Purging, locks.now()),
    };
    dir.set_end(&end)?;
    for layer in dir.layers()?.trees {
        let tree = dir.tree(layer);
        let walked = trash::walk(dir.storage, dir.root, &tree)?;
        purged.failed.extend(walked.failed);
        for (held_in, held) in &walked.dirs {
            let path = below(&tree, held_in);
            let place = Below { root: dir.root, dir: &path };
            let (named, unnamed): (Vec<_>, Vec<_>) = held.iter().partition(|entry| entry.exact);
            if !unnamed.is_empty() {
                let why = "names that are not UTF-8, or hold a backslash".to_owned();
                purged.failed.push(Left { place: place.location(), count: unnamed.len() as u64, why });
            }
            for piece in named.chunks(pace.piece().max(1)) {
                if control.is_interrupted() {
                    purged.interrupted = true;
                    return Ok(());
                }
                locks.check(dir.root)?;
                let names: Vec<&str> = piece.iter().map(|entry| entry.name.as_str()).collect();
                for (entry, deleted) in piece.iter().zip(dir.storage.delete_names(place, &names)) {
                    match deleted {
                        Ok(true) if entry.kind == EntryKind::File => {
                            purged.files += 1;
                            purged.bytes = purged.bytes.saturating_add(entry.size);
                        }
                        Ok(_) => {}
                        Err(error) => {
                            let left = Left { place: place.file(&entry.name), count: 1, why: error.to_string() };
                            purged.failed.push(left);
                        }
                    }
                }
                pace.done(piece.len());
            }
        }
    }
    if remove_emptied(dir)? {
        purged.runs.push(dir.run.clone());
    }
    Ok(())
}

/// Removes what processes left that ended while they took a lock, as far as that can be done.
fn remove_litter(storage: &dyn WriteStorage, locks: &Locks<'_>, root: &Location) {
    let own = Below { root, dir: OWN_DIRECTORY };
    let Ok(entries) = storage.list(&own.location()) else { return };
    let is_litter = |name: &str| [".lock.inprogress.", STALE, CLAIM].iter().any(|litter| name.starts_with(litter));
    for entry in entries.iter().filter(|entry| is_litter(&entry.name)) {
        let seen = storage.look(own, &[&entry.name]).ok().and_then(|mut seen| seen.pop().flatten());
        let old = seen.is_some_and(|seen| {
            let at = seen.modified.filter(|_| seen.kind == EntryKind::File);
            at.is_some_and(|at| locks.now().duration_since(at) > LITTER_AFTER)
        });
        if old {
            let _ = storage.delete_names(own, &[&entry.name]);
        }
    }
}
