//! What a prune is going to do, decided completely: a value that can be printed, kept in a file and carried out.
//!
//! [`crate::prune`] makes plans, [`crate::change`] carries them out and takes no decision of its own.

use crate::model::Location;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The version of the format that [`Plan`] has as JSON.
pub const VERSION: u32 = 1;

/// A plan. As JSON it is what `--plan-out` writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// When it was made, or the time that it was made for.
    pub created: Timestamp,
    /// What was changed after this was young.
    pub cutoff: Timestamp,
    /// Whether files in `shared` of running jobs may go.
    pub live: bool,
    /// The roots, without links in their paths. None lies below another.
    pub roots: Vec<Location>,
    /// The policy in words, as the command line gave it.
    pub policy: String,
    /// What it was made from (every `_metadata` with size and time, and the records of pins): a digest in hexadecimal.
    pub fingerprint: String,
    /// Snapshots that stay.
    pub keep: Vec<Kept>,
    /// Snapshots that go.
    pub remove: Vec<Removed>,
    /// Orphans that go.
    pub orphans: Vec<Orphan>,
    /// What is left alone though it might go, and what stands against a sweep.
    pub refused: Vec<Refused>,
    /// Whether something in [`Plan::refused`] forbids to carry the plan out.
    pub blocked: bool,
    /// The steps, in the order in which they are to be done.
    pub batches: Vec<Batch>,
    /// Sums.
    pub totals: Totals,
}

/// A snapshot that stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its directory.
    pub path: Location,
    /// Why.
    pub reasons: Vec<String>,
}

/// A snapshot that goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Removed {
    /// Its directory.
    pub path: Location,
    /// Why.
    pub reasons: Vec<String>,
    /// Bytes of the files that go with it. A file that several snapshots share which go counts for the newest.
    pub bytes: u64,
}

/// A file or directory that goes and belongs to no snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orphan {
    /// Where it is.
    pub path: Location,
    /// Size in bytes; 0 for a directory.
    pub bytes: u64,
    /// Seconds since it was changed last.
    pub age_seconds: u64,
    /// Why it is one.
    pub why: Cow<'static, str>,
}

/// Something that is left alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// What it is about.
    pub path: Location,
    /// A word for scripts, such as `job-alive`.
    pub code: String,
    /// Why.
    pub why: String,
    /// Files that are left alone for it.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Sums over a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Snapshots that stay.
    pub keep: u64,
    /// Snapshots that go.
    pub remove: u64,
    /// Orphans that go, directories not counted.
    pub orphans: u64,
    /// Files that go, orphans included.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Directories that go.
    pub directories: u64,
    /// Bytes of all of Flink's files below the roots.
    pub bytes_below_roots: u64,
    /// `_metadata` files that were read.
    pub metadata_read: u64,
}

/// What is done to names of one directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// When. Batches of a plan are in the order of their phases.
    pub phase: Phase,
    /// Index into [`Plan::roots`].
    pub root: usize,
    /// The directory that holds the names, as components from the root on, separated by slashes; empty for the root.
    pub dir: String,
    /// The names.
    pub items: Vec<Item>,
}

/// The phases, in their order: nothing that is half removed looks restorable, and nothing is removed while a snapshot
/// that goes still refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// `_metadata` files.
    Metadata,
    /// Files beside them, which no other snapshot refers to.
    Exclusive,
    /// Files that several snapshots may have shared, and orphans.
    Shared,
    /// Directories that are empty then, deepest first.
    Directory,
}

/// A file or directory that goes, as it was when the plan was made. One that is different by then is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Size in bytes of a file; 0 for a directory.
    pub size: u64,
    /// When a file was changed last, in nanoseconds since 1970; `None` for a directory.
    pub modified: Option<i64>,
}

impl Batch {
    /// The directory as a place.
    pub fn location(&self, plan: &Plan) -> Option<Location> {
        let root = plan.roots.get(self.root)?;
        Some(if self.dir.is_empty() { root.clone() } else { root.with_suffix(&format!("/{}", self.dir)) })
    }
}
