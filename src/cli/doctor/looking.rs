//! What `doctor` does without writing: ask for the place, list, read.

use super::{failed, fine, skipped};
use crate::model::Location;
use crate::render::doctor::{Came, Check};
use crate::storage::{EntryKind, Storage, Stores};
use std::time::{Duration, Instant};

/// So many directories are looked into for a file to read.
const MOST_LISTED: usize = 20;
/// So many bytes of it are read.
const READ: u64 = 64;

/// Looks at a place. Gives the directory to write into, where it could be listed.
pub(super) fn check(storage: &Stores, place: &Location, checks: &mut Vec<Check>) -> Option<Location> {
    let start = Instant::now();
    let stat = match storage.stat(place) {
        Ok(stat) => stat,
        Err(error) => {
            checks.push(failed("reach", &error));
            checks.push(skipped("list, read, write", "not tried"));
            return None;
        }
    };
    let kind = match stat.kind {
        EntryKind::File => "a file",
        EntryKind::Directory => "a directory",
        EntryKind::Link | EntryKind::Other => "neither a file nor a directory",
    };
    checks.push(fine("reach", format!("it is {kind}; the first answer took {}", time(start.elapsed()))));
    if stat.kind == EntryKind::File {
        read(storage, place, checks);
        let dir = place.parent()?;
        return list(storage, &dir, checks, None).is_some().then_some(dir);
    }
    let file = list(storage, place, checks, Some(MOST_LISTED))?;
    match file {
        Some(file) => read(storage, &file, checks),
        None => checks.push(skipped("read", format!("no file was found in the first {MOST_LISTED} directories"))),
    }
    Some(place.clone())
}

/// Lists a directory, and then those below it until one has a file. `None` where it could not be listed.
fn list(storage: &Stores, dir: &Location, checks: &mut Vec<Check>, search: Option<usize>) -> Option<Option<Location>> {
    let start = Instant::now();
    let mut waiting = vec![dir.clone()];
    let mut listed = 0;
    while let Some(here) = waiting.pop() {
        let entries = match storage.list(&here) {
            Ok(entries) => entries,
            Err(error) => {
                let mut check = failed("list", &error);
                check.message = format!("{here}: {}", check.message);
                checks.push(check);
                return None;
            }
        };
        if listed == 0 {
            let count = entries.len();
            checks.push(fine("list", format!("{count} entries in {}", time(start.elapsed()))));
        }
        listed += 1;
        let place = |name: &str| here.with_suffix(&format!("/{name}"));
        if let Some(file) = entries.iter().find(|entry| entry.kind == EntryKind::File) {
            return Some(Some(place(&file.name)));
        }
        let most = search.unwrap_or(0);
        if listed >= most {
            return Some(None);
        }
        let below = entries.iter().filter(|entry| entry.kind == EntryKind::Directory);
        waiting.extend(below.take(most).map(|entry| place(&entry.name)));
    }
    Some(None)
}

fn read(storage: &Stores, file: &Location, checks: &mut Vec<Check>) {
    let start = Instant::now();
    checks.push(match storage.read_range(file, 0, READ) {
        Ok(bytes) => fine("read", format!("{} bytes of {file} in {}", bytes.len(), time(start.elapsed()))),
        // It was listed a moment ago.
        Err(error) if error.is_not_found() => Check { result: Came::Skipped, ..failed("read", &error) },
        Err(error) => failed("read", &error),
    });
}

pub(super) fn time(time: Duration) -> String {
    let milliseconds = time.as_millis();
    if milliseconds < 10_000 { format!("{milliseconds} ms") } else { format!("{} s", time.as_secs()) }
}
