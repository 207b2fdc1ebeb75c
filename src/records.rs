//! Pins and tags: small records that chkctl keeps beside the snapshots that they are about.
//!
//! The record of `P/chk-7` is `P/.chkctl/records/chk-7.json`, so it travels with the directory that holds the snapshot. It goes
//! by the name alone: where ids restart, or a snapshot was replaced, it protects more and never less. What is there and cannot
//! be understood is *unknown*, and nothing may be removed beside it: it may be a pin.

mod edit;

pub use edit::{RecordError, Subject, add_tags, clear_pin, remove_tags, set_pin};

use crate::model::Location;
use crate::storage::{Below, EntryKind, OWN_DIRECTORY, Storage, StorageError, StorageErrorKind};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The version of the format of a record. A record of another version is unknown.
pub const VERSION: u32 = 1;

/// The directory of records in [`OWN_DIRECTORY`].
const RECORDS: &str = "records";
/// What the name of a record has behind the name of its snapshot.
const ENDING: &str = ".json";
/// A larger file is no record: the largest has [`MOST_TAGS`] tags and a reason, every character escaped.
const LARGEST: u64 = 128 << 10;
/// So much is read of the records of one directory.
const LARGEST_SUM: u64 = 64 << 20;
/// Longest tag in bytes.
pub const LONGEST_TAG: usize = 128;
/// Tags that a snapshot may have.
pub const MOST_TAGS: usize = 100;
/// Longest reason of a pin in bytes.
pub const LONGEST_REASON: usize = 1_000;

/// What chkctl keeps about a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`VERSION`].
    version: u32,
    /// The name of the snapshot's directory.
    pub snapshot: String,
    /// The id of the checkpoint, where it was known.
    pub checkpoint_id: Option<i64>,
    /// Size in bytes of the `_metadata` when the record was made, where it was known.
    pub metadata_size: Option<u64>,
    /// When the snapshot was completed, where that was known.
    pub completed_at: Option<Timestamp>,
    /// The pin, if there is one. A record without this field is none: it might have had one.
    #[serde(deserialize_with = "required")]
    pub pinned: Option<Pin>,
    /// The tags.
    pub tags: BTreeSet<String>,
}

/// Protection from every prune.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// When it was set.
    pub since: Timestamp,
    /// Who set it: `user@host`.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When it ends; never where there is none.
    #[serde(deserialize_with = "required")]
    pub until: Option<Timestamp>,
}

/// A field that may be null and must be there.
fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

impl Pin {
    /// Whether it protects at this time.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Record {
    /// Whether the snapshot is pinned at this time.
    pub fn is_pinned(&self, now: Timestamp) -> bool {
        self.pinned.as_ref().is_some_and(|pin| pin.holds(now))
    }

    /// Whether the record was made for a snapshot with a `_metadata` of this size and time, as far as both are known. Parts
    /// of a second do not count: not every copy keeps them.
    pub fn is_of(&self, metadata_size: Option<u64>, completed_at: Option<Timestamp>) -> bool {
        fn agree<T: PartialEq>(recorded: Option<T>, found: Option<T>) -> bool {
            recorded.is_none() || found.is_none() || recorded == found
        }
        agree(self.metadata_size, metadata_size)
            && agree(self.completed_at.map(Timestamp::as_second), completed_at.map(Timestamp::as_second))
    }

    /// Reads a record of the snapshot of this name; otherwise why it is none.
    fn parse(bytes: &[u8], name: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct AnyVersion {
            version: u32,
        }
        let no_record = |error: serde_json::Error| format!("not a record of a pin: {error}");
        let AnyVersion { version } = serde_json::from_slice(bytes).map_err(no_record)?;
        if version != VERSION {
            return Err(format!("a record of version {version}, and this chkctl knows version {VERSION}"));
        }
        let record: Record = serde_json::from_slice(bytes).map_err(no_record)?;
        if record.snapshot != name {
            return Err(format!("it says that it is about {:?}", record.snapshot));
        }
        Ok(record)
    }

    fn to_bytes(&self) -> Vec<u8> {
        // Text, numbers and times only: nothing that JSON cannot have.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// Says what is wrong with a tag: it is not empty, has no comma, no control character and no blank around it, and at most
/// [`LONGEST_TAG`] bytes.
pub fn check_tag(tag: &str) -> Result<(), &'static str> {
    match () {
        () if tag.is_empty() => Err("a tag is not empty"),
        () if tag.len() > LONGEST_TAG => Err("a tag has at most 128 bytes"),
        () if tag.contains(',') => Err("a tag has no comma"),
        () if tag.chars().any(char::is_control) => Err("a tag has no control characters"),
        () if tag.trim() != tag => Err("a tag has no blanks around it"),
        () => Ok(()),
    }
}

/// The records of the snapshots in one directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records {
    by_name: BTreeMap<String, Record>,
    unknown: Vec<(Location, String)>,
}

impl Records {
    /// Reads the records beside the snapshots in `dir`: the job directory, or the savepoint directory. None are there where
    /// nobody made any. An error where it cannot be said whether there are some.
    pub fn of(storage: &dyn Storage, dir: &Location) -> Result<Self, StorageError> {
        let mut records = Records::default();
        let Some(place) = directory(storage, dir)? else { return Ok(records) };
        let mut entries = match storage.list(&place) {
            Err(error) if error.is_not_found() => return Ok(records),
            entries => entries?,
        };
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut left = LARGEST_SUM;
        // Hidden are locks, and records that are being written.
        for entry in entries.into_iter().filter(|entry| !entry.name.starts_with('.')) {
            let file = place.with_suffix(&format!("/{}", entry.name));
            let name = entry.name.strip_suffix(ENDING).filter(|name| entry.kind == EntryKind::File && is_name(name));
            let Some(name) = name else {
                records.unknown.push((file, "not a record, where only records are".to_owned()));
                continue;
            };
            match read(storage, &file, name) {
                Ok(Some((record, size))) => {
                    left = left.checked_sub(size).ok_or_else(|| {
                        StorageError::new(StorageErrorKind::TooLarge, &place, "too many records for one directory")
                    })?;
                    records.by_name.insert(name.to_owned(), record);
                }
                Ok(None) => {}
                Err(why) => records.unknown.push((file, why)),
            }
        }
        Ok(records)
    }

    /// The record of the snapshot in the directory of this name.
    pub fn get(&self, name: &str) -> Option<&Record> {
        self.by_name.get(name)
    }

    /// All of them with the names of the snapshots' directories, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Record)> {
        self.by_name.iter().map(|(name, record)| (name.as_str(), record))
    }

    /// Files that may be records and could not be understood, and why. While there are any, nothing may be removed of the
    /// snapshots in the directory.
    pub fn unknown(&self) -> &[(Location, String)] {
        &self.unknown
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.unknown.is_empty()
    }

    /// The names of records of which `dir` has no such directory any more. They do no harm, and protect the next one of the
    /// name.
    pub fn stale(&self, storage: &dyn Storage, dir: &Location) -> Result<Vec<&str>, StorageError> {
        let entries = if self.by_name.is_empty() { Vec::new() } else { storage.list(dir)? };
        let there: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        Ok(self.by_name.keys().map(String::as_str).filter(|name| !there.contains(name)).collect())
    }
}

/// Whether a directory of this name can have a record: a hidden one cannot, and no survey enters it.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0', char::REPLACEMENT_CHARACTER])
}

/// The directory of the records of snapshots in `dir`, where it is there. No link is followed below `dir`: what it leads to
/// is not chkctl's.
fn directory(storage: &dyn Storage, dir: &Location) -> Result<Option<Location>, StorageError> {
    let mut inside = String::new();
    for name in [OWN_DIRECTORY, RECORDS] {
        let parent = Below { root: dir, dir: &inside };
        let found = storage.look(parent, &[name])?.pop().flatten();
        match found {
            None => return Ok(None),
            Some(details) if details.kind == EntryKind::Directory => {}
            Some(_) => {
                let message = "not a directory: chkctl keeps its records here, and follows no links";
                return Err(StorageError::new(StorageErrorKind::Other, &parent.file(name), message));
            }
        }
        inside = if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
    }
    Ok(Some(Below { root: dir, dir: &inside }.location()))
}

/// Reads a record and tells its size in bytes; `None` where it is not there, otherwise why it is not known.
fn read(storage: &dyn Storage, file: &Location, name: &str) -> Result<Option<(Record, u64)>, String> {
    let bytes = match storage.read(file, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(format!("it cannot be read: {}", error.message)),
    };
    Record::parse(&bytes, name).map(|record| Some((record, bytes.len() as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::LocalStorage;
    use crate::storage::faulty::{Fault, FaultyStorage, Operation};
    use std::fs;
    use std::path::PathBuf;

    const GOOD: &str = r#"{"version":1,"snapshot":"chk-7","checkpoint_id":7,"metadata_size":10,
        "completed_at":"2026-01-01T00:00:00.5Z","pinned":{"since":"2026-01-02T00:00:00Z","by":"u@h","reason":null,
        "until":"2026-02-01T00:00:00Z"},"tags":["a"]}"#;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// A directory, the place of its records, and itself as a place.
    fn directory_with(records: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf, Location) {
        let dir = tempfile::tempdir().expect("a directory");
        let inside = dir.path().join(".chkctl/records");
        fs::create_dir_all(&inside).expect("directories");
        records.iter().for_each(|(name, text)| fs::write(inside.join(name), text).expect("a record"));
        let place = Location::parse(&dir.path().to_string_lossy()).expect("a path");
        (dir, inside, place)
    }

    #[test]
    fn a_record_says_until_when_a_snapshot_is_pinned() {
        let (_dir, _, place) = directory_with(&[("chk-7.json", GOOD)]);
        let records = Records::of(&LocalStorage, &place).expect("records");
        assert!(records.unknown().is_empty() && !records.is_empty());
        let record = records.get("chk-7").expect("a record");
        assert!(record.is_pinned(at("2026-01-31T23:59:59Z")) && !record.is_pinned(at("2026-02-01T00:00:00Z")));
        assert!(record.is_pinned(at("2025-01-01T00:00:00Z")), "a clock that was set back ends no pin");
        assert_eq!(records.get("chk-8"), None);
        assert_eq!(records.iter().count(), 1);
        assert_eq!(records.stale(&LocalStorage, &place), Ok(vec!["chk-7"]));
    }

    #[test]
    fn a_record_knows_the_snapshot_that_it_was_made_for() {
        let record = Record::parse(GOOD.as_bytes(), "chk-7").expect("a record");
        let time = Some(at("2026-01-01T00:00:00Z"));
        assert!(record.is_of(Some(10), time) && record.is_of(None, None));
        assert!(!record.is_of(Some(11), time) && !record.is_of(Some(10), Some(at("2026-01-01T00:00:01Z"))));
    }

    #[test]
    fn what_is_not_understood_is_unknown_and_the_rest_is_read() {
        let newer = GOOD.replace("\"version\":1", "\"version\":2").replace("\"tags\"", "\"labels\"");
        let no_pin = GOOD.replace("\"pinned\"", "\"pined\"");
        let no_field =
            r#"{"version":1,"snapshot":"chk-6","checkpoint_id":6,"metadata_size":1,"completed_at":null,"tags":[]}"#;
        let long = format!("{GOOD}{}", " ".repeat(200 << 10));
        let bad = [
            ("chk-1.json", ""),
            ("chk-2.json", &newer),
            ("chk-3.json", GOOD),
            ("chk-4.json", "[]"),
            ("chk-5.json", &no_pin),
            ("chk-6.json", no_field),
            ("chk-8.json", &long),
            ("chk-9.json~", GOOD),
        ];
        let (_dir, inside, place) = directory_with(&bad);
        fs::write(inside.join("chk-7.json"), GOOD).expect("a record");
        fs::write(inside.join(".chk-7.json.inprogress.x"), "").expect("a file");
        fs::create_dir(inside.join("chk-10.json")).expect("a directory");
        let records = Records::of(&LocalStorage, &place).expect("records");
        let mut unknown: Vec<&str> = records.unknown().iter().map(|(place, _)| place.name()).collect();
        unknown.sort_unstable();
        let mut wanted: Vec<&str> = bad.iter().map(|(name, _)| *name).chain(["chk-10.json"]).collect();
        wanted.sort_unstable();
        assert_eq!(unknown, wanted);
        assert!(records.unknown().iter().any(|(_, why)| why.contains("version 2")), "{:?}", records.unknown());
        assert!(records.get("chk-7").is_some());
    }

    #[test]
    fn a_directory_without_records_has_none_and_one_that_cannot_be_looked_into_is_an_error() {
        let (dir, _, place) = directory_with(&[]);
        assert_eq!(Records::of(&LocalStorage, &place), Ok(Records::default()));
        assert_eq!(Records::of(&LocalStorage, &place.with_suffix("/none")), Ok(Records::default()));
        for fault in [Fault::on(&[Operation::List]).nth(1), Fault::on(&[Operation::List]).at("records")] {
            let faulty = FaultyStorage::new(LocalStorage).with(fault.failing(StorageErrorKind::PermissionDenied));
            assert!(Records::of(&faulty, &place).is_err());
        }
        fs::remove_dir_all(dir.path().join(".chkctl")).expect("removed");
        fs::write(dir.path().join(".chkctl"), "").expect("a file");
        assert!(Records::of(&LocalStorage, &place).is_err(), "what is in the way may have been records");
    }

    #[test]
    #[cfg(unix)]
    fn no_link_is_followed_to_records() {
        let (_elsewhere, inside, _) = directory_with(&[("chk-7.json", GOOD)]);
        let link = std::os::unix::fs::symlink::<PathBuf, PathBuf>;
        let (dir, records, place) = directory_with(&[]);
        link(inside.join("chk-7.json"), records.join("chk-7.json")).expect("a link");
        let read = Records::of(&LocalStorage, &place).expect("records");
        assert_eq!((read.get("chk-7"), read.unknown().len()), (None, 1));
        fs::remove_dir_all(&records).expect("removed");
        link(inside.clone(), records.clone()).expect("a link");
        assert!(Records::of(&LocalStorage, &place).is_err());
        fs::remove_dir_all(dir.path().join(".chkctl")).expect("removed");
        for target in [inside.parent().expect("a parent").to_path_buf(), dir.path().join("dangling")] {
            link(target, dir.path().join(".chkctl")).expect("a link");
            assert!(Records::of(&LocalStorage, &place).is_err());
            fs::remove_file(dir.path().join(".chkctl")).expect("removed");
        }
    }

    #[test]
    fn tags_are_words_that_a_command_line_can_have() {
        for good in ["a", "before 2.0", "ключ", &"x".repeat(LONGEST_TAG)] {
            assert_eq!(check_tag(good), Ok(()), "{good}");
        }
        for bad in ["", "a,b", "a\n", "\u{7f}", " a", &"x".repeat(LONGEST_TAG + 1)] {
            assert!(check_tag(bad).is_err(), "{bad:?}");
        }
    }
}
