//! `promote` and `seal`: what is going to be copied, and what was.

use super::{Bytes, Escaped};
use crate::model::Location;
use crate::promote::archive::Packed;
use crate::promote::{Copied, Plan, Unpacked};
use crate::survey::Verdict;
use serde::Serialize;

/// The object that `promote --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromoteJson {
    /// The snapshot, or the archive.
    pub source: String,
    /// The copy: a directory, or an archive.
    pub dest: String,
    /// Whether it was made; not with `--plan`.
    pub done: bool,
    /// What can be said of the copy; null for an archive, and with `--plan`.
    pub verdict: Option<Verdict>,
    /// Files of it, beside its `_metadata` and manifest.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files that got a second name instead of being copied.
    pub linked: u64,
    /// Files that an earlier run had copied.
    pub kept: u64,
    /// Files that were missing; only where it was forced.
    pub missing: u64,
    /// Size in bytes of the archive that was written.
    pub archive_size: Option<u64>,
    /// The command to type next.
    pub next: Option<String>,
}

impl PromoteJson {
    /// What is going to be done.
    pub fn planned(plan: &Plan, dest: &Location) -> Self {
        PromoteJson {
            source: plan.source.to_string(),
            dest: dest.to_string(),
            done: false,
            verdict: None,
            files: plan.files.len() as u64,
            bytes: plan.bytes(),
            linked: 0,
            kept: 0,
            missing: plan.missing,
            archive_size: None,
            next: None,
        }
    }

    /// A directory that was made.
    pub fn copied(self, copied: &Copied, verdict: Verdict, next: String) -> Self {
        let (linked, kept) = (copied.linked, copied.kept);
        PromoteJson { done: true, verdict: Some(verdict), linked, kept, next: Some(next), ..self }
    }

    /// An archive that was written.
    pub fn packed(self, packed: &Packed, next: String) -> Self {
        PromoteJson { done: true, archive_size: Some(packed.size), next: Some(next), ..self }
    }

    /// An archive that was unpacked.
    pub fn unpacked(archive: &Location, dest: &Location, unpacked: &Unpacked, next: String) -> Self {
        PromoteJson {
            source: archive.to_string(),
            dest: dest.to_string(),
            done: true,
            verdict: Some(unpacked.report.verdict),
            // The `_metadata` is counted there.
            files: unpacked.files.saturating_sub(1),
            bytes: unpacked.bytes,
            linked: 0,
            kept: 0,
            missing: 0,
            archive_size: None,
            next: Some(next),
        }
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let PromoteJson { files, bytes, linked, kept, missing, .. } = self;
        let (source, dest) = (Escaped(&self.source), Escaped(&self.dest));
        let verb = if self.done { "promoted" } else { "would promote" };
        let mut text = format!("{verb} {source}\n      to {dest}\n{files} files, {}", Bytes(*bytes));
        for (count, words) in [(linked, "linked"), (kept, "copied by an earlier run"), (missing, "missing")] {
            if *count > 0 {
                text.push_str(&format!(", {count} {words}"));
            }
        }
        if let Some(size) = self.archive_size {
            text.push_str(&format!("; the archive has {}", Bytes(size)));
        }
        if let Some(verdict) = self.verdict {
            text.push_str(&format!("; {verdict}"));
        }
        text.push('\n');
        if let Some(next) = &self.next {
            text.push_str(&format!("next: {}\n", Escaped(next)));
        }
        text
    }
}

/// The object that `seal --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SealsJson {
    /// The snapshots, in the order in which they were given.
    pub snapshots: Vec<SealJson>,
}

/// What became of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SealJson {
    /// The snapshot.
    pub path: String,
    /// The seal; null where none was made.
    pub seal: Option<String>,
    /// Files that it covers.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Why none was made.
    pub error: Option<String>,
}
