//! Judges a snapshot without reading its state files: is every file there, and as long as its handle says?
//!
//! What Flink does when it is not was measured on real releases (`docs/verdicts.md`): it never compares sizes, so a
//! file that is too long is mostly no obstacle, and one that is too short fails when its reader meets the end.

mod changelog;
mod size;

use super::catalog::{SnapshotDir, SnapshotState};
use super::elsewhere;
use super::finding::{Code, Finding, Severity, Verdict, verdict_of};
use super::inventory::Inventory;
use super::references::{self, Extent, Place, Reference, StateKind};
use super::report::{FileCounts, SnapshotReport, UsedFile, no_metadata, undecodable, unreadable_metadata};
use super::resolve::{FilePlace, PathMaps, Resolver};
use super::{Progress, catalog, databases, key_groups, offsets, stock};
use crate::format;
use crate::model::{Damage, Effect, Location, Metadata, Version};
use crate::storage::Presence;
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A `_metadata` larger than this is not read. Flink's own arrays end at half of it.
pub const METADATA_LIMIT: u64 = 4 << 30;

/// Judges snapshots.
pub struct Judge<'s> {
    /// What the storage says of files.
    pub inventory: Inventory<'s>,
    /// The maps of the run.
    pub maps: PathMaps,
    /// Hears how far it has come.
    pub progress: &'s dyn Progress,
    /// Directories of other snapshots, where files may be that are missing in their own place.
    pub neighbours: Vec<Location>,
    /// Whether reports list the files in use.
    pub keep_files: bool,
}

/// A file with everything that refers to it.
pub(super) struct ReferencedFile<'m> {
    pub place: FilePlace<'m>,
    pub presence: Presence,
    /// Bytes that it should hold at least.
    pub end: i64,
    /// What a compressed changelog file holds; its handle gives the size before compression.
    pub unpacked: Option<changelog::Unpacked>,
}

/// A reference with its file, once resolved.
pub(super) struct ResolvedReference<'m> {
    pub reference: Reference<'m>,
    pub file: usize,
}

/// All references of a snapshot, resolved and looked up.
pub(super) struct References<'m> {
    pub resolver: Resolver<'m>,
    pub files: Vec<ReferencedFile<'m>>,
    pub list: Vec<ResolvedReference<'m>>,
    /// References whose path Flink refuses, and why.
    pub invalid: Vec<(Reference<'m>, String)>,
}

impl<'s> Judge<'s> {
    /// Judges one snapshot.
    pub fn judge(&self, snapshot: &SnapshotDir) -> SnapshotReport {
        let mut report = SnapshotReport::empty(snapshot);
        match &snapshot.state {
            SnapshotState::Complete { .. } => {
                match self.inventory.storage().read(&snapshot.metadata_file, METADATA_LIMIT) {
                    Ok(bytes) => self.judge_metadata(&bytes, snapshot, &mut report),
                    Err(error) if error.is_not_found() => report.findings.push(no_metadata(snapshot)),
                    Err(error) => report.findings.push(unreadable_metadata(snapshot, &error.message)),
                }
            }
            SnapshotState::Incomplete { .. } => report.findings.push(no_metadata(snapshot)),
            SnapshotState::NotAFile => report.findings.push(Finding::new(
                Code::NotAFile,
                Severity::Error,
                &snapshot.metadata_file,
                "something that is not a file is in the place of the _metadata",
            )),
            SnapshotState::Unknown(error) => report.findings.push(unreadable_metadata(snapshot, &error.message)),
            SnapshotState::UnlistedDirectory(error) => report.findings.push(
                Finding::new(
                    Code::UnreadableDirectory,
                    Severity::Unknown,
                    &snapshot.dir,
                    format!("the directory could not be listed: {}", error.message),
                )
                .hint("run chkctl as a user that may read it"),
            ),
        }
        report.verdict = verdict_of(&report.findings);
        if self.keep_files && report.verdict == Verdict::Incomplete {
            let usage = self.inventory.storage().usage(&snapshot.dir);
            report.incomplete_bytes = usage.ok().map(|usage| usage.bytes);
        }
        report
    }

    /// Judges a snapshot as if `bytes` were its `_metadata`, whether it is there or not.
    pub fn judge_bytes(&self, bytes: &[u8], snapshot: &SnapshotDir) -> SnapshotReport {
        let mut report = SnapshotReport::empty(snapshot);
        self.judge_metadata(bytes, snapshot, &mut report);
        report.verdict = verdict_of(&report.findings);
        report
    }

    fn judge_metadata(&self, bytes: &[u8], snapshot: &SnapshotDir, report: &mut SnapshotReport) {
        report.metadata_size = Some(bytes.len() as u64);
        let metadata = match format::decode(bytes) {
            Ok(metadata) => metadata,
            Err(error) => return report.findings.push(undecodable(snapshot, &error)),
        };
        report.describe(&metadata);
        if !metadata.trailing.is_empty() {
            let count = metadata.trailing.len();
            let message = format!("{count} bytes follow the end of the _metadata; Flink ignores them");
            report.findings.push(Finding::new(
                Code::TrailingBytes,
                Severity::Warning,
                &snapshot.metadata_file,
                message,
            ));
        }
        report.findings.extend(properties_findings(&metadata, bytes.len(), snapshot));
        report.findings.extend(metadata.operators.iter().flat_map(key_groups::check));
        report.findings.extend(metadata.operators.iter().flat_map(databases::check));
        report.findings.extend(offsets::check(&metadata, &self.exclusive(&snapshot.dir)));
        let mut references = self.resolve(&metadata, &snapshot.dir);
        self.look_up(&mut references);
        self.judge_references(&metadata, &references, snapshot, report);
        self.take_stock(&references, report);
        if self.keep_files {
            report.also = stock::also_used(&metadata, &references.invalid);
        }
    }

    /// The exclusive directory of a snapshot as Flink sees it.
    pub fn exclusive(&self, dir: &Location) -> Location {
        self.maps.there(&super::resolve::absolute(dir)).canonical_if_local()
    }

    /// Resolves all references as Flink does, and finds the ones that mean the same file.
    pub(super) fn resolve<'m>(&self, metadata: &'m Metadata<'m>, dir: &Location) -> References<'m> {
        let mut resolver = Resolver::new(self.exclusive(dir));
        let count = references::at_most(metadata);
        let mut files: Vec<ReferencedFile<'m>> = Vec::with_capacity(count);
        let mut known: HashMap<FilePlace<'m>, usize> = HashMap::with_capacity(count);
        let mut list = Vec::with_capacity(count);
        let mut invalid = Vec::new();
        references::walk(metadata, |reference| match resolver.resolve(&reference.place) {
            Ok(place) => {
                let next = files.len();
                let file = *known.entry(place).or_insert_with_key(|place| {
                    files.push(ReferencedFile {
                        place: place.clone(),
                        presence: Presence::Missing,
                        end: 0,
                        unpacked: None,
                    });
                    next
                });
                if let Some(entry) = files.get_mut(file) {
                    entry.end = entry.end.max(reference.extent.end());
                }
                list.push(ResolvedReference { reference, file });
            }
            Err(error) => invalid.push((reference, error.to_string())),
        });
        References { resolver, files, list, invalid }
    }

    /// Asks the storage for all files, a directory at a time.
    pub(super) fn look_up(&self, references: &mut References<'_>) {
        self.progress.expect(references.files.len() as u64);
        let mut by_dir: Vec<Vec<usize>> = vec![Vec::new(); references.resolver.dirs().len()];
        for (index, file) in references.files.iter().enumerate() {
            if let Some(list) = by_dir.get_mut(file.place.dir) {
                list.push(index);
            }
        }
        for (dir, members) in references.resolver.dirs().iter().zip(&by_dir) {
            let names: Vec<&str> = members.iter().map(|&i| &*references.files[i].place.name).collect();
            let answers = self.inventory.lookup(&self.maps.here(dir), &names, self.progress);
            for (&index, answer) in members.iter().zip(answers) {
                references.files[index].presence = answer;
            }
        }
        self.look_into_changelogs(references);
    }

    /// Looks into changelog files that are not as long as expected: they may be compressed, and then their handle
    /// gives the size before compression (`StateChangeFsUploader`).
    fn look_into_changelogs(&self, references: &mut References<'_>) {
        let References { resolver, files, list, .. } = references;
        for ResolvedReference { reference, file } in list.iter().filter(|r| r.reference.state == StateKind::Changes) {
            let Some(file) = files.get_mut(*file).filter(|file| file.unpacked.is_none()) else {
                continue;
            };
            if size::judge(reference, file, String::new).is_none() {
                continue;
            }
            let Presence::File { size } = file.presence else { continue };
            let place = self.maps.here(&resolver.location(&file.place));
            match changelog::unpacked(self.inventory.storage(), &place, size) {
                Ok(unpacked) => file.unpacked = unpacked,
                Err(error) => file.presence = Presence::from_error(error),
            }
        }
    }

    fn judge_references(
        &self,
        metadata: &Metadata<'_>,
        references: &References<'_>,
        snapshot: &SnapshotDir,
        report: &mut SnapshotReport,
    ) {
        for (reference, why) in &references.invalid {
            let place = match &reference.place {
                Place::Absolute(path) | Place::Relative(path) => path,
            };
            let finding = Finding::new(Code::InvalidPath, Severity::Error, place, why.clone());
            report.findings.push(owned(finding, metadata, reference));
        }
        let explained = elsewhere::explain(self, metadata, references, snapshot);
        report.findings.extend(explained.of_the_whole());
        let mut said = HashSet::new();
        for ResolvedReference { reference, file } in &references.list {
            let Some(target) = references.files.get(*file) else { continue };
            let path = || references.resolver.location(&target.place).to_string();
            let Some(mut finding) = size::judge(reference, target, path) else { continue };
            let owner = (reference.owner.operator, reference.owner.subtask);
            if !said.insert((*file, owner, finding.code, finding.severity)) {
                continue;
            }
            if finding.code == Code::MissingFile {
                if explained.covers(reference) {
                    continue;
                }
                explained.apply(*file, &mut finding);
            }
            report.findings.push(owned(finding, metadata, reference));
        }
    }

    fn take_stock(&self, references: &References<'_>, report: &mut SnapshotReport) {
        let mut damaged = BTreeSet::new();
        for ResolvedReference { reference, file } in &references.list {
            if references.files.get(*file).is_some_and(|file| is_damaged(reference, file)) {
                damaged.insert(*file);
            }
        }
        let missing = references.files.iter().filter(|file| file.presence == Presence::Missing).count();
        report.files = FileCounts {
            referenced: references.files.len() as u64,
            missing: missing as u64,
            damaged: damaged.len() as u64,
            bytes: references.files.iter().map(|file| u64::try_from(file.end).unwrap_or(0)).sum(),
        };
        let dirs = references.resolver.dirs();
        let own = report.path.parent().map(|parent| self.maps.there(&parent).canonical());
        let jobs = dirs.iter().filter_map(job_directory).filter(|job| Some(job.canonical()) != own);
        report.depends_on = jobs.map(|job| job.to_string()).collect::<BTreeSet<_>>().into_iter().collect();
        if self.keep_files {
            let dirs: Vec<Arc<Location>> = dirs.iter().map(|dir| Arc::new(dir.canonical())).collect();
            let mut bytes = vec![0_u64; references.files.len()];
            let mut segments = HashSet::new();
            for ResolvedReference { reference, file } in &references.list {
                match reference.extent {
                    Extent::Whole(_) => bytes[*file] = bytes[*file].max(reference.extent.bytes()),
                    Extent::Segment { start, .. } if segments.insert((*file, start)) => {
                        bytes[*file] = bytes[*file].saturating_add(reference.extent.bytes());
                    }
                    Extent::Segment { .. } => {}
                }
            }
            let files = references.files.iter().zip(bytes);
            report.used = files
                .map(|(file, bytes)| UsedFile {
                    dir: Arc::clone(&dirs[file.place.dir]),
                    name: Box::from(&*file.place.name),
                    bytes: if file.presence == Presence::Missing { 0 } else { bytes },
                })
                .collect();
        }
    }
}

/// What keeps Java from reading the properties, as Flink does when it loads a `_metadata` of `size` bytes.
fn properties_findings(metadata: &Metadata<'_>, size: usize, snapshot: &SnapshotDir) -> Vec<Finding> {
    let Some(properties) = metadata.properties.as_deref() else { return Vec::new() };
    let start = size.saturating_sub(metadata.trailing.len()).saturating_sub(properties.len()) as u64;
    let finding = |damage: Damage| {
        let severity = match damage.effect {
            // A version that no release writes yet may have classes that none of them has.
            Effect::Fails if metadata.version > Version::V6 => Severity::Unknown,
            Effect::Fails => Severity::Error,
            Effect::Unknown => Severity::Unknown,
            Effect::Starts => Severity::Warning,
        };
        let message = format!("{}, byte {}: {}", damage.section, start + damage.offset, damage.problem);
        Finding::new(Code::DamagedMetadata, severity, &snapshot.metadata_file, message)
    };
    format::properties::check(properties).into_iter().map(finding).collect()
}

/// Whether a file is there, and not as a handle needs it.
pub(super) fn is_damaged(reference: &Reference<'_>, file: &ReferencedFile<'_>) -> bool {
    match file.presence {
        Presence::File { .. } | Presence::NotAFile => size::judge(reference, file, String::new).is_some(),
        Presence::Missing | Presence::Unknown(_) => false,
    }
}

/// The job directory that a directory belongs to: the part of the path up to a job id.
pub fn job_directory(dir: &Location) -> Option<Location> {
    let mut at = Some(dir.clone());
    while let Some(place) = at {
        if catalog::is_job_id(place.name()) {
            return Some(place);
        }
        at = place.parent();
    }
    None
}

/// A finding with the owner of a reference.
fn owned(finding: Finding, metadata: &Metadata<'_>, reference: &Reference<'_>) -> Finding {
    let finding = match metadata.operators.get(reference.owner.operator) {
        Some(operator) => finding.of_subtask(operator, reference.owner.subtask),
        None => finding,
    };
    Finding { key_groups: reference.owner.key_groups, state: Some(reference.describe()), ..finding }
}
