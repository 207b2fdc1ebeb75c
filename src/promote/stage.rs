//! The copy while it is made: a hidden directory beside DEST, which becomes DEST when it is whole.

use super::journal::{self, Journal};
use super::{Plan, PlannedFile, PromoteError};
use crate::model::Location;
use crate::seal::{MANIFEST, Manifest, Sum, Summing, sum_of};
use crate::storage::{Below, EntryKind, Hold, StorageError, WriteStorage};
use crate::survey::catalog::{METADATA, SnapshotState};
use crate::survey::inventory::Inventory;
use crate::survey::resolve::{PathMap, PathMaps};
use crate::survey::{Judge, Progress, Silent, SnapshotDir, SnapshotReport, Verdict};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The `_metadata` until all that it names is there.
const HIDDEN_METADATA: &str = ".metadata";

/// A hidden directory beside DEST, held against other processes. It stays where a run is stopped, and the next one goes on
/// in it.
pub struct Staging<'s> {
    storage: &'s dyn WriteStorage,
    dest: Location,
    parent: Location,
    dir: Location,
    _hold: Hold,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    /// Every file with its size and digest.
    pub manifest: Manifest,
    /// Files that were copied, and their bytes.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that have a second name now.
    pub linked: u64,
    /// Files that an earlier run had copied.
    pub kept: u64,
}

impl<'s> Staging<'s> {
    /// For a directory that is not there, or empty.
    pub fn open(storage: &'s dyn WriteStorage, dest: &Location) -> Result<Self, PromoteError> {
        let parent = dest.parent().ok_or_else(|| PromoteError::Exists(dest.clone()))?;
        check_free(storage, dest, &parent)?;
        make_room(storage, dest)?;
        let name = format!(".{}.chkctl-promote", dest.name());
        let dir = parent.with_suffix(&format!("/{name}"));
        storage.create_dirs(&parent)?;
        let there = storage.look(Below { root: &parent, dir: "" }, &[&name])?.pop().flatten();
        if there.is_some_and(|there| there.kind != EntryKind::Directory) {
            return Err(PromoteError::Refused(format!("{dir} is not a directory; remove it")));
        }
        storage.create_dirs(&dir)?;
        let hold = storage.hold(&dir)?;
        Ok(Staging { storage, dest: dest.clone(), parent, dir, _hold: hold })
    }

    /// The hidden directory.
    pub fn dir(&self) -> &Location {
        &self.dir
    }

    /// The store.
    pub(super) fn storage(&self) -> &'s dyn WriteStorage {
        self.storage
    }

    /// The place of a file in it.
    pub(super) fn file(&self, name: &str) -> Location {
        self.dir.with_suffix(&format!("/{name}"))
    }

    /// The names of the files in it.
    fn names(&self) -> Result<HashSet<String>, PromoteError> {
        let entries = self.storage.list(&self.dir)?;
        match entries.iter().find(|entry| entry.kind != EntryKind::File) {
            Some(entry) => {
                let place = self.file(&entry.name);
                Err(PromoteError::Refused(format!("{place} is not a file of a promote; remove it")))
            }
            None => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        }
    }

    /// Removes all files but some.
    pub(super) fn keep_only(&self, wanted: impl Fn(&str) -> bool) -> Result<(), PromoteError> {
        for name in self.names()?.iter().filter(|name| !wanted(name)) {
            self.storage.delete(&self.file(name))?;
        }
        Ok(())
    }

    /// Copies the files of a plan; those that an earlier run copied and that are still the same bytes are not copied
    /// again. With `link` a whole file gets a second name instead, where that can be.
    pub fn copy(&self, plan: &Plan, link: bool, progress: &dyn Progress) -> Result<Copied, PromoteError> {
        let fingerprint = plan.fingerprint();
        let there = self.names()?;
        let names: Vec<&str> = there.iter().map(String::as_str).collect();
        let known = journal::read(self.storage, &self.dir, &names, &fingerprint)?;
        let planned: HashSet<&str> = plan.files.iter().map(|file| file.name.as_str()).collect();
        self.keep_only(|name| {
            name.starts_with(journal::PREFIX) || (planned.contains(name) && known.contains_key(name))
        })?;
        let journal = Journal::create(self.storage, &self.dir, &fingerprint)?;
        progress.expect(plan.bytes());
        let work = Work { staging: self, there: &there, known: &known, journal: &journal, link, progress };
        let copied = work.all(&plan.files);
        // What was copied counts for the next run, whatever failed.
        let closed = journal.close();
        let copied = copied?;
        closed?;
        Ok(copied)
    }

    /// Writes a file of our own, which is durable when all are.
    fn write(&self, file: &Location, bytes: &[u8]) -> Result<(), StorageError> {
        self.storage.delete(file)?;
        let mut writer = self.storage.create(file)?;
        writer.write(bytes)?;
        writer.leave().map(|_| ())
    }

    /// Writes the `_metadata` and the manifest, judges the copy, makes it durable, and makes it DEST. `seen` is DEST as Flink
    /// names it. What Flink would not restore from is not published, unless that is forced.
    pub fn publish(
        self,
        metadata: &[u8],
        mut manifest: Manifest,
        seen: &Location,
        force: bool,
    ) -> Result<SnapshotReport, PromoteError> {
        let hidden = self.file(HIDDEN_METADATA);
        self.write(&hidden, metadata)?;
        let mut report = self.judge(&hidden, metadata.len() as u64, seen);
        if report.verdict != Verdict::Restorable && !force {
            return Err(PromoteError::BadCopy(Box::new(report)));
        }
        manifest.insert(METADATA, Sum::of(metadata));
        self.write(&self.file(MANIFEST), &manifest.to_bytes())?;
        self.keep_only(|name| name == HIDDEN_METADATA || name == MANIFEST || manifest.get(name).is_some())?;
        // All at once, since each time costs: no name that means something comes before.
        let files = manifest.iter().map(|(name, _)| name).filter(|&name| name != METADATA);
        let names: Vec<&str> = files.chain([HIDDEN_METADATA, MANIFEST]).collect();
        self.storage.sync_files(&self.dir, &names)?;
        self.storage.sync_dir(&self.dir)?;
        self.storage.rename(&hidden, &self.file(METADATA))?;
        self.storage.sync_dir(&self.dir)?;
        check_free(self.storage, &self.dest, &self.parent)?;
        self.storage.rename_dir(&self.dir, &self.dest)?;
        self.storage.sync_dir(&self.parent)?;
        report.path = self.dest.clone();
        Ok(report)
    }

    /// Judges what is in the hidden directory as if it were DEST.
    fn judge(&self, metadata_file: &Location, metadata_size: u64, seen: &Location) -> SnapshotReport {
        let maps = PathMaps::new(vec![PathMap { from: seen.clone(), to: self.dir.clone() }]);
        let judge = Judge {
            inventory: Inventory::for_one(self.storage),
            maps,
            progress: &Silent,
            neighbours: Vec::new(),
            keep_files: false,
        };
        judge.judge(&SnapshotDir {
            dir: self.dir.clone(),
            metadata_file: metadata_file.clone(),
            state: SnapshotState::Complete { metadata_size, completed_at: None },
            job_id: None,
        })
    }
}

/// Refuses a DEST that is there, unless it is an empty directory.
fn check_free(storage: &dyn WriteStorage, dest: &Location, parent: &Location) -> Result<(), PromoteError> {
    let exists = || PromoteError::Exists(dest.clone());
    let there = storage.look(Below { root: parent, dir: "" }, &[dest.name()])?.pop().flatten();
    match there.map(|there| there.kind) {
        None => Ok(()),
        Some(EntryKind::Directory) if storage.list(dest)?.is_empty() => Ok(()),
        Some(_) => Err(exists()),
    }
}

/// Takes an empty DEST away. Where that cannot be, as with a mount point, nothing could take its place in the end.
fn make_room(storage: &dyn WriteStorage, dest: &Location) -> Result<(), PromoteError> {
    match storage.delete_empty_dir(dest) {
        Ok(_) => Ok(()),
        Err(error) => Err(PromoteError::Refused(format!(
            "{dest} is there, and cannot be replaced by the copy, as a mount point cannot ({}); give a place in it, such as \
             {}",
            error.message,
            dest.with_suffix("/copy")
        ))),
    }
}

/// Copying the files of a plan.
struct Work<'w> {
    staging: &'w Staging<'w>,
    there: &'w HashSet<String>,
    known: &'w HashMap<String, Sum>,
    journal: &'w Journal,
    link: bool,
    progress: &'w dyn Progress,
}

impl Work<'_> {
    fn all(&self, files: &[PlannedFile]) -> Result<Copied, StorageError> {
        // The largest first, so that no thread begins with it when the others are done.
        let mut order: Vec<&PlannedFile> = files.iter().collect();
        order.sort_by_key(|file| std::cmp::Reverse(file.part.length));
        let [copied, bytes, linked, kept] = [const { AtomicU64::new(0) }; 4];
        let manifest = Mutex::new(Manifest::default());
        in_parallel(&order, |file| {
            let (sum, how) = self.one(file)?;
            let count = match how {
                How::Copied => {
                    bytes.fetch_add(sum.size, Ordering::Relaxed);
                    &copied
                }
                How::Linked => &linked,
                How::Kept => &kept,
            };
            count.fetch_add(1, Ordering::Relaxed);
            self.journal.add(&file.name, sum)?;
            manifest.lock().unwrap_or_else(PoisonError::into_inner).insert(&file.name, sum);
            Ok(())
        })?;
        Ok(Copied {
            manifest: manifest.into_inner().unwrap_or_else(PoisonError::into_inner),
            files: copied.into_inner(),
            bytes: bytes.into_inner(),
            linked: linked.into_inner(),
            kept: kept.into_inner(),
        })
    }

    fn one(&self, file: &PlannedFile) -> Result<(Sum, How), StorageError> {
        let storage = self.staging.storage;
        let target = self.staging.file(&file.name);
        let heard = |bytes: &[u8]| self.progress.advance(bytes.len() as u64);
        if let Some(known) = self.known.get(&file.name).filter(|_| self.there.contains(&file.name)) {
            if known.size == file.part.length && sum_of(storage, &target, &heard)? == *known {
                return Ok((*known, How::Kept));
            }
            storage.delete(&target)?;
        }
        if self.link && file.whole && storage.link(&file.from, &target)? {
            return Ok((sum_of(storage, &target, &heard)?, How::Linked));
        }
        let mut summing = Summing::default();
        storage.copy(&file.from, file.part, &target, &mut |bytes| {
            summing.update(bytes);
            heard(bytes);
        })?;
        Ok((summing.finish(), How::Copied))
    }
}

/// How a file came into the copy.
enum How {
    Copied,
    Linked,
    Kept,
}

/// Does something with all items on several threads. After an error no more is begun; the first is told.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), StorageError> + Sync) -> Result<(), StorageError> {
    // Twice as many as processors: some wait for the disk.
    let threads = thread::available_parallelism().map_or(2, |count| count.get() * 2).clamp(1, 16).min(items.len());
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failed = Mutex::new(None);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !stop.load(Ordering::Relaxed))
        {
            if let Err(error) = work(item) {
                stop.store(true, Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
