//! What `doctor --write` tries, in a directory of its own that is removed again.

use super::looking::time;
use super::{failed, fine, wrong};
use crate::model::Location;
use crate::render::doctor::{Came, Check};
use crate::storage::{EntryKind, Storage, StorageError, StorageErrorKind, Stores, WriteStorage, random_uuid};
use jiff::{SignedDuration, Timestamp};
use std::time::Instant;

/// So many try to create one file at once: a store that ignores the condition lets most of them through.
const RACERS: usize = 8;
/// A clock that is further off than this makes files look older or younger than they are.
const MOST_SKEW: SignedDuration = SignedDuration::from_secs(60);
const CONTENT: &[u8] = b"chkctl doctor: this file can go\n";

/// Tries what a prune, a promote and a runtime do.
pub(super) fn check(storage: &Stores, parent: &Location, checks: &mut Vec<Check>) {
    let dir = parent.with_suffix(&format!("/.chkctl-doctor-{}", random_uuid()));
    if let Err(error) = storage.create_dirs(&dir) {
        checks.push(failed("create", &error));
    } else {
        try_all(storage, &dir, checks);
    }
    checks.push(remove(storage, &dir));
}

fn try_all(storage: &Stores, dir: &Location, checks: &mut Vec<Check>) {
    let at = |name: &str| dir.with_suffix(&format!("/{name}"));
    let start = Instant::now();
    let before = Timestamp::now();
    if let Err(error) = create(storage, &at("a")).and_then(|()| storage.sync_dir(dir)) {
        checks.push(failed("create", &error));
        return;
    }
    let after = Timestamp::now();
    checks.push(match storage.read(&at("a"), 1 << 10) {
        Ok(bytes) if bytes == CONTENT => fine("create", format!("written and read back in {}", time(start.elapsed()))),
        Ok(_) => wrong("create", "what was read is not what was written"),
        Err(error) => failed("create", &error),
    });
    checks.push(clock(storage, &at("a"), before, after));
    checks.push(exclusive(storage, &at("a"), &at("b")));
    checks.push(rename(storage, &at("a"), &at("c")));
}

fn create(storage: &Stores, file: &Location) -> Result<(), StorageError> {
    let mut writer = storage.create(file)?;
    writer.write(CONTENT)?;
    writer.finish().map(|_| ())
}

/// How far the clock of the store is from ours, as far as the time of a file tells.
fn clock(storage: &Stores, file: &Location, before: Timestamp, after: Timestamp) -> Check {
    let written = match storage.stat(file) {
        Ok(stat) => stat.modified,
        Err(error) => return failed("clock", &error),
    };
    let Some(written) = written else { return wrong("clock", "the store gives files no time: their age is not known") };
    // Some stores give whole seconds.
    let (early, late) = (before.duration_since(written), written.duration_since(after));
    let (off, way) = if early > late { (early, "behind") } else { (late, "ahead") };
    if off <= SignedDuration::from_secs(1) {
        fine("clock", "that of the store is ours, to the second")
    } else if off <= MOST_SKEW {
        fine("clock", format!("that of the store is {} s {way}", off.as_secs()))
    } else {
        let message =
            format!("that of the store is {} s {way}: files look older or younger than they are", off.as_secs());
        wrong("clock", message)
    }
}

/// Whether of many who create one file one alone succeeds, and none where there is one already.
fn exclusive(storage: &Stores, taken: &Location, free: &Location) -> Check {
    match storage.publish(taken, b"another") {
        Err(error) if error.kind == StorageErrorKind::AlreadyExists => {}
        Err(error) => return failed("exclusive", &error),
        Ok(()) => return wrong("exclusive", "a file that is there was replaced by one that is to be new"),
    }
    let content: Vec<String> = (0..RACERS).map(|number| format!("racer {number}")).collect();
    let answers: Vec<Result<(), StorageError>> = std::thread::scope(|scope| {
        let race = |text: &String| storage.publish(free, text.as_bytes());
        let racers: Vec<_> = content.iter().map(|text| scope.spawn(move || race(text))).collect();
        let lost = || StorageError::new(StorageErrorKind::Other, free, "a thread ended");
        racers.into_iter().map(|racer| racer.join().unwrap_or_else(|_| Err(lost()))).collect()
    });
    let won: Vec<usize> = answers.iter().enumerate().filter(|(_, answer)| answer.is_ok()).map(|(n, _)| n).collect();
    let strange = answers.iter().filter_map(|answer| answer.as_ref().err());
    if let Some(error) = strange.into_iter().find(|error| error.kind != StorageErrorKind::AlreadyExists) {
        return failed("exclusive", error);
    }
    let [winner] = won[..] else {
        let message = format!(
            "{} of {RACERS} who created one file at once were told that it is theirs: no lock is safe",
            won.len()
        );
        return wrong("exclusive", message);
    };
    match storage.read(free, 1 << 10) {
        Ok(bytes) if content.get(winner).is_some_and(|text| text.as_bytes() == bytes) => {
            fine("exclusive", format!("1 of {RACERS} who created one file at once succeeded"))
        }
        Ok(_) => wrong("exclusive", "the file is that of one who was told that somebody else has it"),
        Err(error) => failed("exclusive", &error),
    }
}

fn rename(storage: &Stores, from: &Location, to: &Location) -> Check {
    if let Err(error) = storage.rename(from, to) {
        return failed("rename", &error);
    }
    match (storage.stat(from), storage.read(to, 1 << 10)) {
        (Err(gone), Ok(bytes)) if gone.is_not_found() && bytes == CONTENT => {
            fine("rename", "a file has its new name alone")
        }
        (Ok(_), _) => wrong("rename", "a renamed file has its old name too"),
        (Err(error), _) if !error.is_not_found() => failed("rename", &error),
        (_, Ok(_)) => wrong("rename", "a renamed file has another content"),
        (_, Err(error)) => failed("rename", &error),
    }
}

/// Removes the directory with all that is in it, and looks whether it is gone.
fn remove(storage: &Stores, dir: &Location) -> Check {
    let left = |why: &StorageError| Check {
        message: format!("{dir} may be left: {}", why.message),
        ..Check { result: Came::Unknown, ..failed("delete", why) }
    };
    let entries = match storage.list(dir) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return left(&error),
    };
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        if let Err(error) = storage.delete(&dir.with_suffix(&format!("/{}", entry.name))) {
            return left(&error);
        }
    }
    if let Err(error) = storage.delete_empty_dir(dir) {
        return left(&error);
    }
    match storage.stat(dir) {
        Err(error) if error.is_not_found() => fine("delete", "nothing is left of what was tried"),
        Err(error) => left(&error),
        Ok(_) => wrong("delete", format!("{dir} is still there after it was deleted")),
    }
}
