//! One change at a time below a root: a lock file with an owner and a time at which it is void.
//!
//! The file appears as a whole or not at all, and never in the place of another. Its holder reads it again before every
//! step, and stops when it is no longer the same. Two changes that run at once nevertheless (a holder that slept for
//! longer than its lock is valid) do no harm beyond what each plan allows: every step looks at what it is about to
//! remove.

mod claim;

use super::own::{self, look_at};
use super::process::Process;
use super::{ChangeError, OWN_DIRECTORY};
use crate::model::Location;
use crate::storage::{Below, EntryKind, StorageErrorKind, WriteStorage, random_uuid};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a lock is valid after it was taken or renewed.
pub const LOCK_VALID: SignedDuration = SignedDuration::from_mins(30);
/// A holder renews its lock when it is this old.
const RENEW_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// A lock file that was not written for so long is void, whatever it says.
const VOID_AFTER: SignedDuration = SignedDuration::from_hours(24);
const NAME: &str = "lock";
pub(super) use claim::CLAIM;
pub(super) const STALE: &str = "lock.stale-";
/// No lock file is longer.
const LONGEST: u64 = 64 << 10;
/// So much of an owner's name is told.
const LONGEST_OWNER: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    owner: String,
    token: String,
    acquired: Timestamp,
    expires: Timestamp,
    /// The process of the owner, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
}

/// A lock file as it was read.
struct Seen {
    bytes: Vec<u8>,
    modified: Option<Timestamp>,
    /// Where it could be understood.
    content: Option<Content>,
}

/// The locks of some roots. Dropping them releases them, as far as that can be done.
pub struct Locks<'a> {
    storage: &'a dyn WriteStorage,
    clock: &'a dyn Fn() -> Timestamp,
    held: Vec<Held>,
}

struct Held {
    root: Location,
    content: Content,
    renewed: Timestamp,
    skew: SignedDuration,
    /// Whether a claim has to be there besides the lock file.
    claimed: bool,
}

/// Who runs this program, for a lock: `user@host pid`.
pub fn owner() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
    let file = |path| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let host = file("/proc/sys/kernel/hostname").or_else(|| variable("HOSTNAME")).or_else(|| variable("COMPUTERNAME"));
    format!("{user}@{} {}", host.unwrap_or_else(|| "unknown-host".to_owned()), std::process::id())
}

impl<'a> Locks<'a> {
    /// Takes the locks of all `roots`, in one order for everybody, or of none of them. Void locks are taken over.
    ///
    /// # Errors
    /// [`ChangeError::Locked`] where somebody holds one; refused where `.chkctl` or the lock in it is a link or
    /// something else than it has to be.
    pub fn take(
        storage: &'a dyn WriteStorage,
        roots: &[Location],
        owner: &str,
        clock: &'a dyn Fn() -> Timestamp,
    ) -> Result<Self, ChangeError> {
        let mut sorted: Vec<&Location> = roots.iter().collect();
        sorted.sort_by_key(|root| root.canonical());
        sorted.dedup_by_key(|root| root.canonical());
        // Those that were taken before one fails are released as this is dropped.
        let mut locks = Locks { storage, clock, held: Vec::new() };
        for root in sorted {
            let held = locks.take_one(root, owner)?;
            locks.held.push(held);
        }
        Ok(locks)
    }

    /// How far the clock of a store is ahead of ours, where that is furthest from nothing.
    pub fn skew(&self) -> SignedDuration {
        self.held.iter().map(|held| held.skew).max_by_key(|skew| skew.unsigned_abs()).unwrap_or_default()
    }

    /// The time, by the clock that was given.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn hold(&self, root: &Location) -> bool {
        let root = root.canonical();
        self.held.iter().any(|held| held.root.canonical() == root)
    }

    /// Reads the lock of a root again, and renews it where it is time to.
    pub(super) fn check(&mut self, root: &Location) -> Result<(), ChangeError> {
        let (storage, now, wanted) = (self.storage, self.now(), root.canonical());
        let lost = || ChangeError::LockLost(root.clone());
        let held = self.held.iter_mut().find(|held| held.root.canonical() == wanted).ok_or_else(lost)?;
        let seen = read(storage, root)?.ok_or_else(lost)?;
        if seen.content.as_ref().is_none_or(|content| content.token != held.content.token) {
            return Err(lost());
        }
        if held.claimed && !claim::is_up(storage, root, &held.content)? {
            return Err(lost());
        }
        if now < held.renewed + RENEW_AFTER {
            return Ok(());
        }
        let content = Content { expires: later(now, LOCK_VALID), ..held.content.clone() };
        let bytes = to_json(&content);
        if held.claimed {
            // One that has expired may be about to be removed.
            if now >= held.content.expires {
                return Err(lost());
            }
            claim::renew(storage, root, &content)?;
        }
        if now < held.content.expires {
            storage.replace(&place(root), &bytes)?;
        } else {
            // Somebody may be about to take it over: only who moves the file away has it.
            if !move_away(storage, root, &seen)? {
                return Err(lost());
            }
            match storage.publish(&place(root), &bytes) {
                Err(error) if error.kind == StorageErrorKind::AlreadyExists => return Err(lost()),
                published => published?,
            }
        }
        (held.content, held.renewed) = (content, now);
        Ok(())
    }

    fn take_one(&self, root: &Location, owner: &str) -> Result<Held, ChangeError> {
        let storage = self.storage;
        // A root that is not there is not created.
        storage.stat(root)?;
        own::ensure(storage, root, OWN_DIRECTORY)?;
        let now = self.now();
        let (owner, process) = (owner.to_owned(), Process::own());
        let content = Content { owner, token: random_uuid(), acquired: now, expires: later(now, LOCK_VALID), process };
        if storage.creates_exclusively(&Below { root, dir: OWN_DIRECTORY }.location())? {
            return self.take_file(root, content, false);
        }
        claim::raise(storage, root, &content, now)?;
        let taken = self.take_file(root, content.clone(), true);
        if taken.is_err() {
            claim::withdraw(storage, root, &content);
        }
        taken
    }

    fn take_file(&self, root: &Location, first: Content, claimed: bool) -> Result<Held, ChangeError> {
        let storage = self.storage;
        // Each further round follows a lock that went away: more than a few are a crowd.
        for _ in 0..8 {
            let now = self.now();
            let content = Content { acquired: now, expires: later(now, LOCK_VALID), ..first.clone() };
            let published = storage.publish(&place(root), &to_json(&content));
            let seen = read(storage, root)?;
            let is_ours = |seen: &Seen| seen.content.as_ref().is_some_and(|seen| seen.token == content.token);
            match (published, seen) {
                // Whatever the answer was: it may have been lost.
                (_, Some(seen)) if is_ours(&seen) => {
                    let skew = seen.modified.map_or(SignedDuration::ZERO, |at| at.duration_since(self.now()));
                    return Ok(Held { root: root.clone(), content, renewed: now, skew, claimed });
                }
                (_, Some(seen)) if !seen.is_void(now) => return Err(seen.locked(root)),
                (Err(error), _) if error.kind != StorageErrorKind::AlreadyExists => return Err(error.into()),
                (_, Some(seen)) => {
                    if !move_away(storage, root, &seen)? {
                        return Err(seen.locked(root));
                    }
                }
                (_, None) => {}
            }
        }
        Err(ChangeError::Locked { root: root.clone(), owner: "several others".to_owned(), until: None })
    }
}

impl Drop for Locks<'_> {
    fn drop(&mut self) {
        let now = self.now();
        for held in self.held.iter().rev() {
            // One that is void may be somebody else's in the next moment, and harms nobody.
            let ours = read(self.storage, &held.root).ok().flatten().and_then(|seen| seen.content);
            if now < held.content.expires && ours.is_some_and(|content| content.token == held.content.token) {
                let _ = self.storage.delete(&place(&held.root));
            }
            if held.claimed {
                claim::withdraw(self.storage, &held.root, &held.content);
            }
        }
    }
}

impl Seen {
    /// Whether nobody holds it any more. Both its own words and the time at which it was written have to say so, or its
    /// owner was a process of this machine that has ended.
    fn is_void(&self, now: Timestamp) -> bool {
        let older = |than| self.modified.is_some_and(|at| later(at, than) < now);
        let expired = self.content.as_ref().is_some_and(|content| content.expires < now);
        let ended = self.content.as_ref().and_then(|content| content.process.as_ref()).is_some_and(Process::has_ended);
        ended || older(VOID_AFTER) || (expired && (self.modified.is_none() || older(LOCK_VALID)))
    }

    fn locked(&self, root: &Location) -> ChangeError {
        let (owner, until) = match &self.content {
            Some(content) => (content.owner.chars().take(LONGEST_OWNER).collect(), Some(content.expires)),
            None => ("somebody, whose lock file cannot be understood".to_owned(), None),
        };
        let until = until.or_else(|| self.modified.map(|at| later(at, VOID_AFTER)));
        ChangeError::Locked { root: root.clone(), owner, until }
    }
}

fn place(root: &Location) -> Location {
    Below { root, dir: OWN_DIRECTORY }.file(NAME)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn to_json(content: &Content) -> Vec<u8> {
    serde_json::to_vec_pretty(content).unwrap_or_default()
}

fn read(storage: &dyn WriteStorage, root: &Location) -> Result<Option<Seen>, ChangeError> {
    read_named(storage, root, NAME)
}

fn read_named(storage: &dyn WriteStorage, root: &Location, name: &str) -> Result<Option<Seen>, ChangeError> {
    // Content and time have to be of one file: another may take the name between the two.
    for _ in 0..8 {
        let seen = read_once(storage, root, name)?;
        let still = look_at(storage, root, OWN_DIRECTORY, name)?;
        if seen.as_ref().map(|seen| seen.modified) == still.map(|details| details.modified) {
            return Ok(seen);
        }
    }
    let why = "it changes all the time".to_owned();
    Err(ChangeError::Refused { place: Below { root, dir: OWN_DIRECTORY }.file(name), why })
}

fn read_once(storage: &dyn WriteStorage, root: &Location, name: &str) -> Result<Option<Seen>, ChangeError> {
    let Some(details) = look_at(storage, root, OWN_DIRECTORY, name)? else { return Ok(None) };
    let place = Below { root, dir: OWN_DIRECTORY }.file(name);
    if details.kind != EntryKind::File {
        return Err(ChangeError::Refused { place, why: "a lock file has to be here".to_owned() });
    }
    match storage.read(&place, LONGEST) {
        Ok(bytes) => {
            let content = serde_json::from_slice(&bytes).ok();
            Ok(Some(Seen { bytes, modified: details.modified, content }))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) if error.kind == StorageErrorKind::TooLarge => {
            Ok(Some(Seen { bytes: Vec::new(), modified: details.modified, content: None }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes a lock file away, if it is still the one that was seen. `Ok(false)` where it is another by now, which is put back.
fn move_away(storage: &dyn WriteStorage, root: &Location, seen: &Seen) -> Result<bool, ChangeError> {
    let (lock, stale) = (place(root), Below { root, dir: OWN_DIRECTORY }.file(&format!("{STALE}{}", random_uuid())));
    // Of those that take it over on one machine, one at a time; so nobody renames the lock of one that was quicker. On stores
    // without such locks, what was renamed tells.
    let _held = match storage.hold(&Below { root, dir: OWN_DIRECTORY }.location()) {
        Err(error) if error.kind == StorageErrorKind::AlreadyExists => return Ok(false),
        held => held?,
    };
    match read(storage, root)? {
        None => return Ok(true),
        Some(now) if now.bytes != seen.bytes => return Ok(false),
        Some(_) => {}
    }
    match storage.rename(&lock, &stale) {
        Err(error) if error.is_not_found() => return Ok(true),
        renamed => renamed?,
    }
    let is_the_same = match storage.read(&stale, LONGEST) {
        Ok(bytes) => bytes == seen.bytes,
        // One that is too long to be read was too long before.
        Err(error) => error.kind == StorageErrorKind::TooLarge && seen.bytes.is_empty() && seen.content.is_none(),
    };
    if is_the_same {
        // It is of no use any more, and of no harm.
        let _ = storage.delete(&stale);
        return Ok(true);
    }
    // Where a third one has the name by now, the holder of this one finds its lock lost and stops.
    let _ = storage.rename(&stale, &lock);
    Ok(false)
}

#[cfg(test)]
mod tests;
