//! Claims: what keeps others out where the store does not create a file for one alone, so that a lock file does not.
//!
//! Who wants the lock first writes a file of a name of its own, and then looks for those of others. Of two that do so at the
//! same time, the one that looks last sees the other's; who sees one steps back. Both may, and then nobody has the lock; but
//! two never have it, as long as the store shows what it says is written to everybody who lists afterwards. Whether it does
//! is seen by one's own claim: where a listing lacks it, the lock is refused.

use super::{Content, Seen, read_named, to_json};
use crate::change::{ChangeError, OWN_DIRECTORY};
use crate::model::Location;
use crate::storage::{Below, WriteStorage};
use jiff::Timestamp;

/// What the names of claims begin with; the token of the lock follows.
pub(in crate::change) const CLAIM: &str = "lock.claim-";

fn name(content: &Content) -> String {
    format!("{CLAIM}{}", content.token)
}

fn place(root: &Location, content: &Content) -> Location {
    Below { root, dir: OWN_DIRECTORY }.file(&name(content))
}

/// Claims the lock of a root, or steps back.
pub(super) fn raise(
    storage: &dyn WriteStorage,
    root: &Location,
    content: &Content,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let raised = renew(storage, root, content).and_then(|()| look(storage, root, content, now));
    if raised.is_err() {
        withdraw(storage, root, content);
    }
    raised
}

/// Writes a claim, or writes it again.
pub(super) fn renew(storage: &dyn WriteStorage, root: &Location, content: &Content) -> Result<(), ChangeError> {
    Ok(storage.replace(&place(root, content), &to_json(content))?)
}

/// Whether a claim is still there: one that was void may have been removed by somebody else.
pub(super) fn is_up(storage: &dyn WriteStorage, root: &Location, content: &Content) -> Result<bool, ChangeError> {
    let seen = read_named(storage, root, &name(content))?.and_then(|seen| seen.content);
    Ok(seen.is_some_and(|seen| seen.token == content.token))
}

/// Takes a claim back, as far as that can be done; it is void after a while.
pub(super) fn withdraw(storage: &dyn WriteStorage, root: &Location, content: &Content) {
    let _ = storage.delete(&place(root, content));
}

/// Looks for claims of others.
fn look(storage: &dyn WriteStorage, root: &Location, content: &Content, now: Timestamp) -> Result<(), ChangeError> {
    let own = name(content);
    let dir = Below { root, dir: OWN_DIRECTORY };
    let names: Vec<String> = storage.list(&dir.location())?.into_iter().map(|entry| entry.name).collect();
    if !names.contains(&own) {
        let why = "the store does not show what was just written, so that no lock can be taken in it".to_owned();
        return Err(ChangeError::Refused { place: dir.file(&own), why });
    }
    for name in names.iter().filter(|name| name.starts_with(CLAIM) && **name != own) {
        match read_named(storage, root, name)? {
            None => {}
            Some(seen) if seen.is_void(now) => remove_void(storage, dir, name, &seen),
            Some(seen) => return Err(seen.locked(root)),
        }
    }
    Ok(())
}

/// Removes what nobody holds any more. Who wakes up and had it finds it gone, and stops.
fn remove_void(storage: &dyn WriteStorage, dir: Below<'_>, name: &str, seen: &Seen) {
    // One that was written again meanwhile is somebody's.
    if read_named(storage, dir.root, name).is_ok_and(|now| now.is_some_and(|now| now.bytes == seen.bytes)) {
        let _ = storage.delete(&dir.file(name));
    }
}
