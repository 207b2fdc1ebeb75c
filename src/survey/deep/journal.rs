//! What earlier runs found out, in a file of one JSON object per line (`verify --resume FILE`).
//!
//! A line is written as soon as a file was read, so that a run that is killed loses at most the files that were being
//! read. A line counts only while the file has the size and the time of change that it had then.

use super::locked;
use super::task::Outcome;
use crate::model::Location;
use crate::storage::Storage;
use foldhash::HashMap;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;

/// The first line of a journal.
const HEAD: &str = "{\"chkctl\":\"deep verify journal\",\"version\":1}\n";
/// No line is longer: a hundred findings with names of some kilobytes.
const LONGEST_LINE: u64 = 4 << 20;

/// A journal of deep runs.
pub struct Journal {
    known: HashMap<String, (String, Outcome)>,
    out: Mutex<(File, Option<String>)>,
}

#[derive(Serialize, Deserialize)]
struct Line<'l> {
    key: std::borrow::Cow<'l, str>,
    stamp: std::borrow::Cow<'l, str>,
    outcome: std::borrow::Cow<'l, Outcome>,
}

impl Journal {
    /// Opens a journal to go on with it, or starts one where there is none. A last line that was cut short is dropped.
    ///
    /// # Errors
    /// When the file is something else than a journal, or cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut known = HashMap::default();
        let mut end = 0_u64;
        let mut reader = BufReader::new(&mut file);
        let mut line = String::new();
        loop {
            line.clear();
            let count = io::Read::take(&mut reader, LONGEST_LINE).read_line(&mut line)?;
            if !line.ends_with('\n') {
                if end == 0 && count > 0 && !HEAD.starts_with(&*line) {
                    return Err(not_a_journal());
                }
                break;
            }
            if end == 0 {
                if line != HEAD {
                    return Err(not_a_journal());
                }
            } else if let Ok(Line { key, stamp, outcome }) = serde_json::from_str(&line) {
                known.insert(key.into_owned(), (stamp.into_owned(), outcome.into_owned()));
            }
            end = end.saturating_add(count as u64);
        }
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        if end == 0 {
            file.write_all(HEAD.as_bytes())?;
        }
        Ok(Journal { known, out: Mutex::new((file, None)) })
    }

    /// What was found out about a task, if its files are as they were.
    pub(super) fn outcome(&self, key: &str, stamp: &str) -> Option<Outcome> {
        let (then, outcome) = self.known.get(key)?;
        (then == stamp).then(|| outcome.clone())
    }

    pub(super) fn write(&self, key: &str, stamp: &str, outcome: &Outcome) {
        let line = Line { key: key.into(), stamp: stamp.into(), outcome: std::borrow::Cow::Borrowed(outcome) };
        let mut out = locked(&self.out);
        let (file, problem) = &mut *out;
        let written = serde_json::to_vec(&line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            file.write_all(&text)
        });
        if let Err(error) = written {
            problem.get_or_insert_with(|| error.to_string());
        }
    }

    /// Why it could not be written, where it could not.
    pub fn problem(&self) -> Option<String> {
        locked(&self.out).1.clone()
    }
}

fn not_a_journal() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file is no journal of verify --deep; it is left as it is")
}

/// What tells whether files have changed: their sizes and times. `None` where that cannot be said.
pub(super) fn stamp(storage: &dyn Storage, places: &[Location]) -> Option<String> {
    let one = |place: &Location| {
        let stat = storage.stat(place).ok()?;
        Some(format!("{}@{}", stat.size, stat.modified?.as_nanosecond()))
    };
    places.iter().map(one).collect::<Option<Vec<_>>>().map(|stamps| stamps.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_journal_goes_on_behind_the_last_whole_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal");
        let outcome = Outcome { opaque: vec!["something".to_owned()], ..Outcome::default() };
        let journal = Journal::open(&path).expect("a new journal");
        journal.write("a", "1@1", &outcome);
        journal.write("b", "2@2", &outcome);
        drop(journal);
        let whole = fs::read(&path).expect("it is there");
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).expect("it can be written");
            let journal = Journal::open(&path).expect("a journal that was cut");
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(journal.outcome("a", "1@1").is_some(), lines >= 2, "cut at {cut}");
            assert_eq!(journal.outcome("b", "2@2").is_some(), lines >= 3, "cut at {cut}");
            assert!(journal.outcome("a", "1@2").is_none(), "the file has changed since");
            journal.write("c", "3@3", &outcome);
            drop(journal);
            let again = Journal::open(&path).expect("the journal that was gone on with");
            assert!(again.outcome("c", "3@3").is_some(), "cut at {cut}");
        }
    }

    #[test]
    fn another_file_is_not_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("precious");
        for content in ["precious\n", "no line", "{}\n"] {
            fs::write(&path, content).expect("it can be written");
            assert!(Journal::open(&path).is_err());
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some(content));
        }
    }
}
