//! A `MANIFEST`: the edits that lead to the database, applied as RocksDB does it (`VersionEditHandler` in
//! `db/version_edit_handler.cc`; `VersionSet::Recover` before RocksDB 6.9).

use super::edit::{Edit, MOST_CHANGES, NewFile};
use super::log::{Next, Records};
use super::{collect, damage};
use crate::model::{Checked, Damage, Effect};
use crate::wire::ReadAt;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Files and column families that are kept, changes of files in one edit, and edits in a group. Memory is bounded by that
/// and by [`MOST_BYTES`]; a database of Flink's has some thousand files.
const MOST: usize = MOST_CHANGES;
/// Bytes of keys and names that are kept.
const MOST_BYTES: usize = 64 << 20;

/// A database, as its `MANIFEST` has it.
#[derive(Debug, Clone, Default)]
pub struct ManifestSummary {
    /// What is damaged. After damage the rest of the file is not read, as RocksDB does not read it.
    pub checked: Checked,
    /// The column families that there are at the end, in the order of their ids.
    pub column_families: Vec<ColumnFamily>,
    /// The SST files that there are at the end, in the order of their numbers.
    pub live: Vec<LiveFile>,
    /// The number of the next file.
    pub next_file_number: Option<u64>,
    /// The sequence number of the last write.
    pub last_sequence: Option<u64>,
    /// The write-ahead log from which on writes are not in files; Flink has none.
    pub log_number: Option<u64>,
    /// The id of the database, from RocksDB 6.26 on.
    pub database: Option<String>,
    /// Records that were read.
    pub records: u64,
    /// Whether the database has blob files, which Flink does not use and which are not checked.
    pub blobs: bool,
}

/// A column family: a state of Flink's, or `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFamily {
    /// Its id, which counts up.
    pub id: u32,
    /// Its name: that of the state, or `_timer_state/...`.
    pub name: String,
    /// The order of its keys.
    pub comparator: Option<String>,
}

/// An SST file of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFile {
    /// The id of the column family.
    pub column_family: u32,
    /// The level, 0 for files that were flushed.
    pub level: u32,
    /// The number in its name.
    pub number: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The first key, with sequence number and type.
    pub smallest: Vec<u8>,
    /// The last key, with sequence number and type.
    pub largest: Vec<u8>,
    /// The smallest sequence number inside.
    pub smallest_sequence: Option<u64>,
    /// The largest sequence number inside.
    pub largest_sequence: Option<u64>,
    /// A hash of database, session and original number, from RocksDB 7.3 on.
    pub unique_id: Option<[u64; 2]>,
}

/// Reads a `MANIFEST` to its end and applies its edits.
///
/// Every flipped byte is found, and every cut but one between two records: that is a `MANIFEST` of an earlier moment,
/// which [`check_database`](super::check_database) tells by the files and
/// [`check_column_families`](super::check_column_families) by the states. RocksDB opens a file that is cut short with
/// what it has before the cut, so that damage at the end [`Starts`](Effect::Starts), unless too little is left.
///
/// # Errors
/// When the storage fails, which says nothing about the file.
pub fn read_manifest(source: &dyn ReadAt) -> Result<ManifestSummary, io::Error> {
    let mut records = Records::new(source);
    let mut database = Database::default();
    database.families.insert(0, ColumnFamily { id: 0, name: "default".to_owned(), comparator: None });
    let mut record = Vec::new();
    let mut damages = Vec::new();
    loop {
        match records.next(&mut record)? {
            Next::End => break,
            Next::Damaged(damage) => {
                collect(&mut damages, damage);
                break;
            }
            Next::Record(at) => {
                database.summary.records = database.summary.records.saturating_add(1);
                if let Err(damage) = database.record(&record, at) {
                    collect(&mut damages, damage);
                    break;
                }
            }
        }
    }
    let fails = damages.iter().any(|damage| damage.effect != Effect::Starts);
    database.finish(source.size(), fails, &mut damages);
    let mut summary = database.summary;
    summary.column_families = database.families.into_values().collect();
    summary.live = database.files.into_values().collect();
    summary.checked.damages = damages;
    Ok(summary)
}

#[derive(Default)]
struct Database {
    summary: ManifestSummary,
    families: BTreeMap<u32, ColumnFamily>,
    files: BTreeMap<u64, LiveFile>,
    /// The numbers of the files of each column family, so that one that goes costs no more than its files.
    by_family: BTreeMap<u32, BTreeSet<u64>>,
    /// Edits of a group that come into effect together, and how many are to come.
    group: Vec<(Edit, u64)>,
    to_come: u32,
    /// Changes of files in the group.
    group_changes: usize,
    /// Bytes of keys and names that came so far and were not taken away again, about.
    bytes: usize,
}

fn fails(at: u64, problem: impl Into<String>) -> Damage {
    damage(Effect::Fails, "edit", at, problem)
}

/// Bytes of the keys of a file.
fn bytes_of(file: &LiveFile) -> usize {
    file.smallest.len().saturating_add(file.largest.len())
}

impl Database {
    fn record(&mut self, record: &[u8], at: u64) -> Result<(), Damage> {
        let edit = Edit::read(record).map_err(|problem| fails(at, problem))?;
        let changes = self.group_changes.saturating_add(edit.changes());
        if edit.is_full || changes > MOST {
            return Err(damage(Effect::Unknown, "edit", at, "more changes of files at once than are read"));
        }
        self.bytes = self.bytes.saturating_add(edit.bytes());
        if self.bytes > MOST_BYTES {
            return Err(damage(Effect::Unknown, "edit", at, "keys and names of more bytes than are read"));
        }
        let Some(remaining) = edit.remaining else {
            return match self.group.is_empty() {
                true => self.apply(edit, at),
                false => Err(fails(at, "a group of edits is interrupted")),
            };
        };
        if !self.group.is_empty() && remaining != self.to_come {
            return Err(fails(at, "an edit of a group is missing"));
        }
        if self.group.len() >= MOST {
            return Err(damage(Effect::Unknown, "edit", at, "a group of more edits than are read"));
        }
        self.group_changes = changes;
        self.group.push((edit, at));
        match remaining.checked_sub(1) {
            Some(to_come) => self.to_come = to_come,
            None => {
                self.group_changes = 0;
                for (edit, at) in std::mem::take(&mut self.group) {
                    self.apply(edit, at)?;
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, mut edit: Edit, at: u64) -> Result<(), Damage> {
        let id = edit.column_family;
        if self.files.len().saturating_add(self.families.len()) > MOST {
            return Err(damage(Effect::Unknown, "edit", at, "more files than are read"));
        }
        if let Some(name) = edit.add.take() {
            let family = ColumnFamily { id, name, comparator: edit.comparator.clone() };
            if self.families.insert(id, family).is_some() {
                return Err(fails(at, format!("column family {id} is added twice")));
            }
        } else if edit.drop {
            if self.families.remove(&id).is_none() {
                return Err(fails(at, format!("column family {id} is dropped, which there is not")));
            }
            for number in self.by_family.remove(&id).unwrap_or_default() {
                let bytes = self.files.remove(&number).map_or(0, |file| bytes_of(&file));
                self.bytes = self.bytes.saturating_sub(bytes);
            }
        } else {
            let Some(family) = self.families.get_mut(&id) else {
                return Err(fails(at, format!("an edit is about column family {id}, which there is not")));
            };
            if edit.comparator.is_some() {
                family.comparator.clone_from(&edit.comparator);
            }
            self.change_files(&mut edit, at)?;
        }
        let summary = &mut self.summary;
        let latest = |old: &mut Option<u64>, new: Option<u64>| *old = new.or(*old);
        latest(&mut summary.next_file_number, edit.next_file_number);
        latest(&mut summary.last_sequence, edit.last_sequence);
        latest(&mut summary.log_number, edit.log_number);
        if edit.database.is_some() {
            summary.database = edit.database;
        }
        summary.blobs |= edit.blobs;
        Ok(())
    }

    fn change_files(&mut self, edit: &mut Edit, at: u64) -> Result<(), Damage> {
        let id = edit.column_family;
        for (level, number) in &edit.deleted {
            // A file may be moved to another level by one edit, which deletes it first.
            match self.files.remove(number) {
                Some(file) if (file.level, file.column_family) == (*level, id) => {
                    self.bytes = self.bytes.saturating_sub(bytes_of(&file));
                    if let Some(numbers) = self.by_family.get_mut(&id) {
                        numbers.remove(number);
                    }
                }
                _ => return Err(fails(at, format!("file {number} is deleted from level {level}, where it is not"))),
            }
        }
        for file in edit.new.drain(..) {
            let NewFile { level, number, .. } = file;
            let file = LiveFile {
                column_family: id,
                level,
                number,
                size: file.size,
                smallest: file.smallest,
                largest: file.largest,
                smallest_sequence: file.smallest_sequence,
                largest_sequence: file.largest_sequence,
                unique_id: file.unique_id,
            };
            self.by_family.entry(id).or_default().insert(number);
            if self.files.insert(number, file).is_some() {
                return Err(fails(at, format!("file {number} is added twice")));
            }
        }
        Ok(())
    }

    /// What RocksDB wants to have at the end (`CheckIterationResult`), and what must be true of any database.
    fn finish(&mut self, size: u64, failed: bool, damages: &mut Vec<Damage>) {
        if let Some((_, at)) = self.group.first().filter(|_| !failed) {
            collect(damages, damage(Effect::Starts, "edit", *at, "the file ends inside of a group of edits"));
        }
        let summary = &self.summary;
        let numbers = [
            (summary.log_number, "log number"),
            (summary.next_file_number, "next file number"),
            (summary.last_sequence, "last sequence number"),
        ];
        for (number, name) in numbers {
            if number.is_none() && !failed {
                collect(damages, fails(size, format!("no edit has a {name}")));
            }
        }
        if failed {
            return;
        }
        for file in self.files.values() {
            let number = file.number;
            if summary.next_file_number.is_some_and(|next| number >= next) {
                let problem = format!("file {number} has a number that is not given yet");
                collect(damages, damage(Effect::Starts, "edit", size, problem));
            }
            if let (Some(largest), Some(last)) = (file.largest_sequence, summary.last_sequence)
                && largest > last
            {
                let problem = format!("file {number} has writes after the last one");
                collect(damages, damage(Effect::Starts, "edit", size, problem));
            }
        }
    }
}
