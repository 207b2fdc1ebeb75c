//! Changing records: one change of a record at a time, each there as a whole or not at all.

use super::{ENDING, LONGEST_REASON, MOST_TAGS, Pin, RECORDS, Record, VERSION, check_tag, directory, is_name, read};
use crate::model::Location;
use crate::storage::{Below, EntryKind, OWN_DIRECTORY, StorageError, StorageErrorKind, WriteStorage};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

/// How often a lock is tried for, and how long to wait in between: ten seconds in all.
const TRIES: u32 = 200;
const WAIT: Duration = Duration::from_millis(50);

/// Why a record could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What is there is not understood, and may be a pin.
    #[error("{0}: {1}; nothing was changed, and no prune removes anything beside it")]
    Unknown(Location, String),
    /// Another change did not end, or its process was killed.
    #[error("another chkctl is changing the record; if none is, remove {0}")]
    Locked(Location),
    /// A name that no record can have.
    #[error("{0}: a root, or a directory whose name is hidden or not text, cannot be pinned or tagged")]
    Name(Location),
    /// A tag or reason that a record does not take.
    #[error("{0}")]
    Text(String),
}

/// A snapshot that a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The directory that holds the snapshot's.
    dir: Location,
    /// The name of the snapshot's directory.
    name: String,
    checkpoint_id: Option<i64>,
    metadata_size: Option<u64>,
    completed_at: Option<Timestamp>,
}

impl Subject {
    /// The snapshot in a directory that is no link (see [`crate::storage::Storage::real_place`]).
    pub fn new(snapshot: &Location) -> Result<Self, RecordError> {
        let dir = snapshot.parent().filter(|_| is_name(snapshot.name()));
        let dir = dir.ok_or_else(|| RecordError::Name(snapshot.clone()))?;
        let name = snapshot.name().to_owned();
        Ok(Subject { dir, name, checkpoint_id: None, metadata_size: None, completed_at: None })
    }

    /// With what is known of it: id, size in bytes of the `_metadata`, time of completion.
    pub fn known(self, id: Option<i64>, metadata_size: Option<u64>, completed_at: Option<Timestamp>) -> Self {
        Subject { checkpoint_id: id, metadata_size, completed_at, ..self }
    }

    /// The directory that holds the snapshot's.
    pub fn dir(&self) -> &Location {
        &self.dir
    }

    /// The name of the snapshot's directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The snapshot's record, where it has one. A record that is not understood is an error.
    pub fn record(&self, storage: &dyn WriteStorage) -> Result<Option<Record>, RecordError> {
        let Some(_) = directory(storage, &self.dir)? else { return Ok(None) };
        let file = self.file();
        // What else is in the directory says nothing about this snapshot.
        let there = storage.look(Below { root: &self.dir, dir: &inside() }, &[file.name()])?;
        if there.into_iter().flatten().any(|found| found.kind != EntryKind::File) {
            return Err(RecordError::Unknown(file, "not a file".to_owned()));
        }
        match read(storage, &file, &self.name) {
            Ok(found) => Ok(found.map(|(record, _)| record)),
            Err(why) => Err(RecordError::Unknown(file, why)),
        }
    }

    fn own_directory(&self) -> Location {
        self.dir.with_suffix(&format!("/{OWN_DIRECTORY}"))
    }

    fn records(&self) -> Location {
        self.dir.with_suffix(&format!("/{}", inside()))
    }

    fn file(&self) -> Location {
        self.records().with_suffix(&format!("/{}{ENDING}", self.name))
    }

    fn lock(&self) -> Location {
        self.records().with_suffix(&format!("/.{}.lock", self.name))
    }

    /// A record for the snapshot as it is now, with pin and tags of an earlier one.
    fn to_record(&self, pinned: Option<Pin>, tags: BTreeSet<String>) -> Record {
        Record {
            version: VERSION,
            snapshot: self.name.clone(),
            checkpoint_id: self.checkpoint_id,
            metadata_size: self.metadata_size,
            completed_at: self.completed_at,
            pinned,
            tags,
        }
    }
}

/// The directory of records as components from the directory of the snapshots on.
fn inside() -> String {
    format!("{OWN_DIRECTORY}/{RECORDS}")
}

/// Pins a snapshot; `false` where nothing had to be changed. A pin that is there, holds and says all that `pin` does stays as
/// it is, with its time; its reason stays where `pin` has none. `pin.until` counts as it is: without one the pin never ends.
pub fn set_pin(storage: &dyn WriteStorage, subject: &Subject, pin: &Pin) -> Result<bool, RecordError> {
    if pin.reason.as_ref().is_some_and(|reason| reason.len() > LONGEST_REASON) {
        return Err(RecordError::Text(format!("a reason has at most {LONGEST_REASON} bytes")));
    }
    change(storage, subject, &|found| {
        let (old, tags) = match found {
            Some(record) => (record.pinned.as_ref(), record.tags.clone()),
            None => (None, BTreeSet::new()),
        };
        // The reason of a pin that ended was another one.
        let old = old.filter(|old| old.holds(pin.since));
        let reason = pin.reason.clone().or_else(|| old.and_then(|old| old.reason.clone()));
        let is_for_it = found.is_some_and(|record| record.is_of(subject.metadata_size, subject.completed_at));
        match old {
            Some(old) if is_for_it && old.until == pin.until && old.reason == reason => Ok(found.cloned()),
            _ => Ok(Some(subject.to_record(Some(Pin { reason, ..pin.clone() }), tags))),
        }
    })
}

/// Takes a pin away; `false` where there was none. One that has ended counts.
pub fn clear_pin(storage: &dyn WriteStorage, subject: &Subject) -> Result<bool, RecordError> {
    change(storage, subject, &|found| Ok(found.map(|record| Record { pinned: None, ..record.clone() })))
}

/// Adds tags; `false` where all were there.
pub fn add_tags(storage: &dyn WriteStorage, subject: &Subject, tags: &BTreeSet<String>) -> Result<bool, RecordError> {
    for tag in tags {
        check_tag(tag).map_err(|why| RecordError::Text(format!("{tag:?}: {why}")))?;
    }
    change(storage, subject, &|found| {
        let mut record = found.map_or_else(|| subject.to_record(None, BTreeSet::new()), Record::clone);
        record.tags.extend(tags.iter().cloned());
        if record.tags.len() > MOST_TAGS {
            return Err(RecordError::Text(format!("a snapshot has at most {MOST_TAGS} tags")));
        }
        Ok(Some(record))
    })
}

/// Takes tags away; `false` where none of them was there.
pub fn remove_tags(
    storage: &dyn WriteStorage,
    subject: &Subject,
    tags: &BTreeSet<String>,
) -> Result<bool, RecordError> {
    change(storage, subject, &|found| Ok(found.map(|record| Record { tags: &record.tags - tags, ..record.clone() })))
}

/// Says what a record is to be, from what it is.
type Edit<'e> = &'e dyn Fn(Option<&Record>) -> Result<Option<Record>, RecordError>;

/// Changes a record, unless it is as it should be. One that holds nothing is removed.
fn change(storage: &dyn WriteStorage, subject: &Subject, edit: Edit<'_>) -> Result<bool, RecordError> {
    let wanted = |found: Option<&Record>| -> Result<Option<Record>, RecordError> {
        Ok(edit(found)?.filter(|record| record.pinned.is_some() || !record.tags.is_empty()))
    };
    let before = subject.record(storage)?;
    if wanted(before.as_ref())? == before {
        return Ok(false);
    }
    let lock = Lock::take(storage, subject, TRIES)?;
    // As it is now that nobody else changes it.
    let before = subject.record(storage)?;
    let after = wanted(before.as_ref())?;
    match (&before, &after) {
        (None, Some(record)) => storage.publish(&subject.file(), &record.to_bytes())?,
        (Some(old), Some(record)) if old != record => storage.replace(&subject.file(), &record.to_bytes())?,
        (Some(_), None) => {
            storage.delete(&subject.file())?;
            storage.sync_dir(&subject.records())?;
        }
        _ => {}
    }
    drop(lock);
    if after.is_none() {
        // Directories that are not empty stay.
        let _ = storage.delete_empty_dir(&subject.records());
        let _ = storage.delete_empty_dir(&subject.own_directory());
    }
    Ok(before != after)
}

/// A file that says that a record is being changed.
struct Lock<'s> {
    storage: &'s dyn WriteStorage,
    place: Location,
}

impl<'s> Lock<'s> {
    fn take(storage: &'s dyn WriteStorage, subject: &Subject, tries: u32) -> Result<Self, RecordError> {
        let place = subject.lock();
        for _ in 0..tries {
            // Another change may take the empty directories away meanwhile.
            directory(storage, &subject.dir)?;
            storage.create_dirs(&subject.records())?;
            match storage.create(&place) {
                Ok(writer) => {
                    // Dropped right here, the lock goes again where it cannot be finished.
                    let lock = Lock { storage, place };
                    writer.finish()?;
                    return Ok(lock);
                }
                Err(error) if error.kind == StorageErrorKind::AlreadyExists => thread::sleep(WAIT),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RecordError::Locked(place))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // The next change says which file to remove where this fails.
        let _ = self.storage.delete(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Records;
    use crate::storage::LocalStorage;
    use crate::storage::faulty::{Effect, Fault, FaultyStorage, Operation, Which};
    use std::fs;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    fn pin(second: i64) -> Pin {
        Pin { since: at(second), by: "u@h".to_owned(), reason: None, until: None }
    }

    fn tags(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn snapshot() -> (tempfile::TempDir, Location, Subject) {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Location::parse(&dir.path().to_string_lossy()).expect("a path");
        let subject = Subject::new(&place.with_suffix("/chk-7")).expect("a name");
        (dir, place, subject.known(Some(7), Some(10), Some(at(0))))
    }

    fn record(dir: &Location) -> Option<Record> {
        let records = Records::of(&LocalStorage, dir).expect("records");
        assert_eq!(records.unknown(), []);
        records.get("chk-7").cloned()
    }

    #[test]
    fn pins_and_tags_come_and_go_and_nothing_stays_behind() {
        let (dir, place, subject) = snapshot();
        let storage = &LocalStorage;
        assert_eq!(set_pin(storage, &subject, &pin(1)), Ok(true));
        assert_eq!(set_pin(storage, &subject, &pin(2)), Ok(false));
        assert_eq!(record(&place).and_then(|r| r.pinned), Some(pin(1)), "pinned twice, the first time counts");
        assert_eq!(add_tags(storage, &subject, &tags(&["b", "a"])), Ok(true));
        assert_eq!(add_tags(storage, &subject, &tags(&["a"])), Ok(false));
        assert_eq!(remove_tags(storage, &subject, &tags(&["b", "c"])), Ok(true));
        let found = record(&place).expect("a record");
        assert_eq!((found.tags, found.checkpoint_id, found.metadata_size), (tags(&["a"]), Some(7), Some(10)));
        assert_eq!(clear_pin(storage, &subject), Ok(true));
        assert_eq!(clear_pin(storage, &subject), Ok(false));
        assert_eq!(record(&place).map(|r| r.pinned), Some(None));
        assert_eq!(remove_tags(storage, &subject, &tags(&["a"])), Ok(true));
        assert_eq!(remove_tags(storage, &subject, &tags(&["a"])), Ok(false));
        assert!(fs::read_dir(dir.path()).expect("a directory").next().is_none());
    }

    #[test]
    fn a_new_end_or_reason_replaces_that_of_a_pin() {
        let (_dir, place, subject) = snapshot();
        let storage = &LocalStorage;
        let now = |pin: Pin| {
            let changed = set_pin(storage, &subject, &pin).expect("pinned");
            let found = record(&place).and_then(|r| r.pinned).expect("a pin");
            (changed, found.reason.unwrap_or_default(), found.until)
        };
        let reason = Some("why".to_owned());
        assert_eq!(now(Pin { until: Some(at(100)), reason, ..pin(1) }), (true, "why".to_owned(), Some(at(100))));
        assert_eq!(now(pin(2)), (true, "why".to_owned(), None));
        assert_eq!(now(Pin { until: Some(at(5)), ..pin(3) }), (true, "why".to_owned(), Some(at(5))));
        assert_eq!(now(Pin { until: Some(at(9)), ..pin(5) }), (true, String::new(), Some(at(9))), "it had ended");
    }

    #[test]
    fn a_pin_of_an_older_snapshot_of_the_name_becomes_one_of_this() {
        let (_dir, place, subject) = snapshot();
        set_pin(&LocalStorage, &subject, &pin(1)).expect("pinned");
        let newer = subject.known(Some(7), Some(11), Some(at(50)));
        assert_eq!(set_pin(&LocalStorage, &newer, &pin(60)), Ok(true));
        let found = record(&place).expect("a record");
        assert!(found.is_of(Some(11), Some(at(50))) && found.is_pinned(at(60)));
    }

    #[test]
    fn what_a_record_does_not_take_is_refused() {
        let (_dir, place, subject) = snapshot();
        let storage = &LocalStorage;
        let long = Pin { reason: Some("x".repeat(LONGEST_REASON + 1)), ..pin(1) };
        assert!(matches!(set_pin(storage, &subject, &long), Err(RecordError::Text(_))));
        assert!(matches!(add_tags(storage, &subject, &tags(&["a,b"])), Err(RecordError::Text(_))));
        let many: BTreeSet<String> = (0..=MOST_TAGS).map(|number| number.to_string()).collect();
        assert!(matches!(add_tags(storage, &subject, &many), Err(RecordError::Text(_))));
        for name in ["/", "/a/.hidden"] {
            let place = Location::parse(name).expect("a path");
            assert!(matches!(Subject::new(&place), Err(RecordError::Name(_))), "{name}");
        }
        assert_eq!(Records::of(storage, &place), Ok(Records::default()));
    }

    #[test]
    fn the_largest_record_can_be_read() {
        let (_dir, place, subject) = snapshot();
        let reason = Some("\u{1}".repeat(LONGEST_REASON));
        set_pin(&LocalStorage, &subject, &Pin { reason, ..pin(1) }).expect("pinned");
        let long = (0..MOST_TAGS).map(|number| format!("{number:\"<128}")).collect();
        add_tags(&LocalStorage, &subject, &long).expect("tagged");
        assert_eq!(record(&place).expect("a record").tags, long);
    }

    #[test]
    fn a_record_that_is_not_understood_is_left_as_it_is() {
        let (dir, _, subject) = snapshot();
        let records = dir.path().join(".chkctl/records");
        fs::create_dir_all(&records).expect("directories");
        fs::write(records.join("chk-7.json"), "{").expect("a file");
        let storage = &LocalStorage;
        for refused in [
            set_pin(storage, &subject, &pin(1)),
            clear_pin(storage, &subject),
            add_tags(storage, &subject, &tags(&["a"])),
            remove_tags(storage, &subject, &tags(&["a"])),
        ] {
            assert!(matches!(refused, Err(RecordError::Unknown(..))), "{refused:?}");
        }
        assert_eq!(fs::read(records.join("chk-7.json")).expect("the file"), b"{");
    }

    #[test]
    #[cfg(unix)]
    fn nothing_is_written_through_a_link() {
        let elsewhere = tempfile::tempdir().expect("a directory");
        let (dir, _, subject) = snapshot();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(".chkctl")).expect("a link");
        assert!(matches!(set_pin(&LocalStorage, &subject, &pin(1)), Err(RecordError::Storage(_))));
        assert!(fs::read_dir(elsewhere.path()).expect("a directory").next().is_none());
    }

    #[test]
    fn changes_at_the_same_time_lose_none() {
        let (_dir, place, subject) = snapshot();
        thread::scope(|scope| {
            for number in 0..8 {
                let subject = &subject;
                scope.spawn(move || {
                    add_tags(&LocalStorage, subject, &tags(&[&number.to_string(), "gone"])).expect("tagged");
                    remove_tags(&LocalStorage, subject, &tags(&["gone"])).expect("tagged");
                });
            }
            scope.spawn(|| set_pin(&LocalStorage, &subject, &pin(1)).expect("pinned"));
        });
        let found = record(&place).expect("a record");
        assert_eq!((found.tags, found.pinned), (tags(&["0", "1", "2", "3", "4", "5", "6", "7"]), Some(pin(1))));
    }

    #[test]
    fn a_lock_that_was_left_behind_is_named() {
        let (dir, _, subject) = snapshot();
        let records = dir.path().join(".chkctl/records");
        fs::create_dir_all(&records).expect("directories");
        fs::write(records.join(".chk-7.lock"), "").expect("a lock");
        let refused = Lock::take(&LocalStorage, &subject, 2).map(drop).expect_err("locked");
        assert!(refused.to_string().contains(".chkctl/records/.chk-7.lock"), "{refused}");
    }

    /// Wherever a write fails, a pin that was there holds, and one that was told to be set is set.
    #[test]
    fn no_failure_loses_a_pin() {
        type Change = fn(&FaultyStorage<LocalStorage>, &Subject) -> Result<bool, RecordError>;
        let edits: [Change; 3] = [
            |storage, subject| set_pin(storage, subject, &pin(1)),
            |storage, subject| add_tags(storage, subject, &tags(&["b"])),
            |storage, subject| remove_tags(storage, subject, &tags(&["a"])),
        ];
        let kind = StorageErrorKind::Other;
        for effect in [Effect::Fail(kind), Effect::FailAfter(kind), Effect::Tear(kind), Effect::Crash] {
            for pinned in [false, true] {
                for edit in edits {
                    let mut n = 0;
                    loop {
                        n += 1;
                        let (_dir, place, subject) = snapshot();
                        let storage = FaultyStorage::new(LocalStorage);
                        if pinned {
                            let pin = Pin { until: Some(at(9)), ..pin(1) };
                            set_pin(&storage, &subject, &pin).expect("pinned");
                            add_tags(&storage, &subject, &tags(&["a"])).expect("tagged");
                        }
                        let before = storage.writes().len();
                        storage.inject(Fault::on(Operation::WRITES).calls(Which::Nth(n)).with_effect(effect));
                        let done = edit(&storage, &subject);
                        let is_last = u64::try_from(storage.writes().len() - before).expect("a number") < n;
                        let found = record(&place);
                        let is_pinned = found.as_ref().is_some_and(|record| record.is_pinned(at(1)));
                        assert!(is_pinned || !pinned, "{effect:?} at write {n}: {done:?}");
                        if let Some(record) = &found {
                            assert!(record.pinned.is_some() || !record.tags.is_empty());
                        }
                        if is_last {
                            break;
                        }
                    }
                    assert!(n > 1 || !pinned, "something was written");
                }
            }
        }
    }
}
