//! Compares snapshots with their seals.

use super::make::{Covered, covered, place_of, sum_of};
use super::{LARGEST, MANIFEST, Manifest};
use crate::model::Location;
use crate::storage::{EntryKind, Storage, StorageError};
use crate::survey::catalog::METADATA;
use crate::survey::finding::verdict_of;
use crate::survey::verify::METADATA_LIMIT;
use crate::survey::{Code, Finding, Judge, Progress, Severity, SnapshotDir, SnapshotReport};

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// There is no seal.
    NotSealed,
    /// Files were compared with the seal at this place.
    Compared {
        /// The seal.
        seal: Location,
        /// Files that were read.
        files: u64,
        /// Their size in bytes.
        bytes: u64,
    },
    /// The seal, or what it is about, cannot be read; the report says why.
    Unreadable,
}

/// The seal of a snapshot, and where it is: the one in its directory, or else the one beside it.
pub fn sealed(storage: &dyn Storage, snapshot: &SnapshotDir) -> Result<Option<(Location, Vec<u8>)>, StorageError> {
    let own = snapshot.dir.with_suffix(&format!("/{MANIFEST}"));
    for place in [Some(own), place_of(&snapshot.dir)].into_iter().flatten() {
        match storage.stat(&place) {
            Ok(stat) if stat.kind == EntryKind::File => {
                return Ok(Some((place.clone(), storage.read(&place, LARGEST)?)));
            }
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Compares size and digest of every file that a judged snapshot refers to, and of its `_metadata`, with its seal, and adds
/// to the report what is not as it was. What the seal says of other files is passed over. That a file is missing was said
/// by the judge.
pub fn check(
    judge: &Judge<'_>,
    snapshot: &SnapshotDir,
    report: &mut SnapshotReport,
    progress: &dyn Progress,
) -> Checked {
    let storage = judge.inventory.storage();
    let mut findings = Vec::new();
    let mut unreadable = |place: &Location, why: String| {
        findings.push(Finding::new(Code::UnreadableSeal, Severity::Unknown, place, why));
        Checked::Unreadable
    };
    let own = snapshot.dir.with_suffix(&format!("/{MANIFEST}"));
    let checked = match sealed(storage, snapshot) {
        Ok(None) => return Checked::NotSealed,
        Err(error) => unreadable(&own, format!("the seal cannot be read: {}", error.message)),
        Ok(Some((seal, bytes))) => match Manifest::parse(&bytes) {
            Err(why) => unreadable(&seal, format!("not a seal: {why}")),
            Ok(manifest) => match storage.read(&snapshot.metadata_file, METADATA_LIMIT) {
                Err(error) => unreadable(&snapshot.metadata_file, format!("it cannot be read: {}", error.message)),
                Ok(bytes) => match covered(judge, snapshot, &bytes) {
                    // The judge has said so, and the digest of the _metadata would only say it again.
                    Err(_) => Checked::Unreadable,
                    Ok(files) => {
                        let (files, bytes) = compare(storage, &manifest, &files, &mut findings, progress);
                        Checked::Compared { seal, files, bytes }
                    }
                },
            },
        },
    };
    report.findings.extend(findings);
    report.verdict = verdict_of(&report.findings);
    checked
}

/// Compares files; gives how many were read, and their bytes.
fn compare(
    storage: &dyn Storage,
    manifest: &Manifest,
    files: &[Covered],
    findings: &mut Vec<Finding>,
    progress: &dyn Progress,
) -> (u64, u64) {
    let (mut count, mut bytes) = (0, 0);
    progress.expect(files.iter().filter_map(|file| manifest.get(&file.name)).map(|sum| sum.size).sum());
    for Covered { name, place } in files {
        let Some(wanted) = manifest.get(name) else {
            let message =
                "the seal does not know this file: the _metadata is not the one that was sealed, or was not alone";
            findings.push(Finding::new(Code::ChecksumMismatch, Severity::Warning, name, message));
            continue;
        };
        match sum_of(storage, place, &|bytes| progress.advance(bytes.len() as u64)) {
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                let message = format!("it cannot be compared with its seal: {}", error.message);
                findings.push(Finding::new(Code::UnreadableFile, Severity::Unknown, name, message));
            }
            Ok(found) => {
                count += 1;
                bytes += found.size;
                if found == wanted {
                    continue;
                }
                let message = match found.size == wanted.size {
                    true => "other bytes than when it was sealed".to_owned(),
                    false => format!("{} bytes, and {} when it was sealed", found.size, wanted.size),
                };
                let mut finding = Finding::new(Code::ChecksumMismatch, Severity::Warning, name, message);
                finding.expected_size = i64::try_from(wanted.size).ok();
                finding.actual_size = Some(found.size);
                if name == METADATA {
                    finding = finding.hint("where another snapshot has taken the name since, chkctl seal seals it");
                }
                findings.push(finding);
            }
        }
    }
    (count, bytes)
}
