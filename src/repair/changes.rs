//! What a repair changes, to be shown.

use crate::edit::operators::{Lost, Renamed};
use crate::edit::states::DroppedState;
use crate::model::Metadata;
use crate::survey::references;
use serde::Serialize;

/// The difference between the source and the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    /// The source.
    pub before: Counts,
    /// The result.
    pub after: Counts,
    /// Operators that were dropped, with what is lost.
    pub lost: Vec<Dropped>,
    /// States that were dropped.
    pub dropped_states: Vec<DroppedState>,
    /// Operators that got another uid.
    pub renamed: Vec<Renamed>,
    /// Paths that were written anew, by directory.
    pub paths: Vec<PathChange>,
}

/// An operator that was dropped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dropped {
    /// What is lost.
    #[serde(flatten)]
    pub lost: Lost,
    /// Why.
    pub why: String,
}

/// What a `_metadata` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The id of the checkpoint.
    pub checkpoint_id: i64,
    /// The version of the format.
    pub metadata_version: i32,
    /// Operators.
    pub operators: u64,
    /// Handles that name a file.
    pub handles: u64,
    /// Size of all state in bytes, as Flink adds it up.
    pub state_size: i64,
    /// Size of the `_metadata` in bytes.
    pub metadata_size: u64,
}

impl Counts {
    pub(super) fn of(metadata: &Metadata<'_>, handles: u64, metadata_size: u64) -> Self {
        Counts {
            checkpoint_id: metadata.checkpoint_id,
            metadata_version: metadata.version.number(),
            operators: metadata.operators.len() as u64,
            handles,
            state_size: metadata.state_size(),
            metadata_size,
        }
    }
}

impl Changes {
    /// No changes yet to a `_metadata` of `size` bytes.
    pub(super) fn before(metadata: &Metadata<'_>, size: u64) -> Self {
        let mut handles = 0;
        references::walk(metadata, |_| handles += 1);
        let before = Counts::of(metadata, handles, size);
        let (lost, dropped_states, renamed, paths) = Default::default();
        Changes { before, after: before, lost, dropped_states, renamed, paths }
    }

    /// Whether nothing of the content is different; handles that name the source's own files do not count.
    pub fn is_empty(&self) -> bool {
        let Changes { before, after, lost, dropped_states, renamed, paths } = self;
        let same = (before.checkpoint_id, before.metadata_version) == (after.checkpoint_id, after.metadata_version);
        let only_absolute = paths.iter().all(|change| change.why == Why::Absolute);
        same && lost.is_empty() && dropped_states.is_empty() && renamed.is_empty() && only_absolute
    }
}

/// Handles to files of one directory that name another now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathChange {
    /// What asked for it.
    pub why: Why,
    /// The directory before, as Flink sees it.
    pub from: String,
    /// The directory now.
    pub to: String,
    /// Handles that changed.
    pub handles: u64,
}

/// Why a path is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// `--map` puts it elsewhere.
    Map,
    /// It led to the wrong directory (FLINK-39964).
    ReAnchor,
    /// The file was missing, and was found there.
    Find,
    /// It was relative to the source's directory.
    Absolute,
}

/// Counts handles by directory.
pub(super) struct Tally<'c> {
    why: Why,
    paths: &'c mut Vec<PathChange>,
    known: std::collections::HashMap<(String, String), usize>,
}

impl<'c> Tally<'c> {
    pub(super) fn new(why: Why, paths: &'c mut Vec<PathChange>) -> Self {
        Tally { why, paths, known: Default::default() }
    }

    /// The number by which [`Tally::add`] knows a pair of directories.
    pub(super) fn pair(&mut self, from: String, to: String) -> usize {
        let Tally { why, paths, known } = self;
        *known.entry((from, to)).or_insert_with_key(|(from, to)| {
            paths.push(PathChange { why: *why, from: from.clone(), to: to.clone(), handles: 0 });
            paths.len() - 1
        })
    }

    pub(super) fn add(&mut self, pair: usize) {
        if let Some(change) = self.paths.get_mut(pair) {
            change.handles += 1;
        }
    }

    /// One handle more from one directory to another.
    pub(super) fn count(&mut self, from: String, to: String) {
        let pair = self.pair(from, to);
        self.add(pair);
    }
}
