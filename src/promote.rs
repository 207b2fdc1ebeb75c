//! Promotes snapshots: a self-contained copy in one directory, which can be moved and outlives the job that wrote it.
//!
//! [`plan`](fn@plan) decides everything: which files are copied under which names, and what the `_metadata` of the copy is.
//! [`Staging`] copies to a hidden directory beside DEST, with a journal, and publishes it with one rename when all of it is
//! there, durable and judged. [`archive`] does the same into one file and back.

pub mod archive;
mod journal;
mod outside;
mod plan;
mod rewrite;
mod stage;
mod unpack;

pub use outside::Tree;
pub use plan::{Options, Plan, PlannedFile, plan};
pub use rewrite::Anchor;
pub use stage::{Copied, Staging};
pub use unpack::{Unpacked, unpack};

use crate::format::FormatError;
use crate::model::Location;
use crate::storage::StorageError;
use crate::survey::SnapshotReport;
use crate::wire::EncodeError;

/// Why nothing was promoted.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The `_metadata` cannot be read.
    #[error("the _metadata cannot be read: {0}")]
    Format(#[from] FormatError),
    /// The `_metadata` of the copy cannot be written.
    #[error("the _metadata of the copy cannot be written: {0}")]
    Encode(#[from] EncodeError),
    /// Something is where the copy is to be.
    #[error("{0} is there already, and not empty; give a name that nothing has")]
    Exists(Location),
    /// Files that a promote does not take without being told to.
    #[error("{}", outside_words(.0))]
    Outside(Vec<Outside>),
    /// What a copy cannot be made of.
    #[error("{0}")]
    Refused(String),
    /// The copy is there, hidden, and Flink would not restore from it.
    #[error("the copy in {} is not what Flink restores from, and was not published", .0.path)]
    BadCopy(Box<SnapshotReport>),
}

/// A file that lies where a snapshot of Flink's has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// The place that a handle leads to.
    pub place: Location,
    /// Where that is, without links.
    pub real: Location,
}

fn outside_words(list: &[Outside]) -> String {
    let count = list.len();
    let mut text =
        format!("{count} references lead out of the job's directories, to files that do not look like Flink's:");
    for Outside { place, real } in list.iter().take(5) {
        text.push_str(&format!("\n  {place}"));
        if place.path() != real.path() {
            text.push_str(&format!(" (which is {real})"));
        }
    }
    if count > 5 {
        text.push_str(&format!("\n  and {} more", count - 5));
    }
    text.push_str("\n--allow-outside copies them all the same");
    text
}
