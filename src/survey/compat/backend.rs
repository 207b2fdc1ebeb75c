//! Which state backend takes a snapshot's keyed state.
//!
//! What is behind the table was asked of Flink 1.12 to 2.3: a backend chooses how to restore by the class of the first
//! handle (`HeapKeyedStateBackendBuilder`, `RocksDBKeyedStateBackendBuilder`, `ForStKeyedStateBackendBuilder`).

use super::heads::Heads;
use super::of_operator;
use crate::model::handle::KeyGroupsKind;
use crate::model::{KeyedHandle, Metadata};
use crate::state::keyed::KeyedBody;
use crate::survey::finding::{Code, Finding, Severity};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A state backend of Flink's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// State on the heap (`HashMapStateBackend`).
    HashMap,
    /// RocksDB (`EmbeddedRocksDBStateBackend`).
    RocksDb,
    /// ForSt (`ForStStateBackend`), since Flink 2.0.
    ForSt,
}

impl Backend {
    /// All of them, by the name that `state.backend.type` has for each.
    pub const NAMES: [(&'static str, Backend); 3] =
        [("hashmap", Backend::HashMap), ("rocksdb", Backend::RocksDb), ("forst", Backend::ForSt)];
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Backend::NAMES.iter().find(|(_, backend)| backend == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Backend::NAMES.iter().find(|(name, _)| *name == text).map(|(_, backend)| *backend);
        found.ok_or_else(|| format!("{text:?} is none of hashmap, rocksdb, forst"))
    }
}

/// How keyed state is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A canonical savepoint that says so.
    Canonical,
    /// A full checkpoint or savepoint of RocksDB of up to Flink 1.14, with the same content.
    CanonicalOfDatabase,
    /// Key groups of the heap.
    Heap,
    /// The files of a database.
    Database,
    /// Key groups that do not tell.
    KeyGroups,
}

impl Layout {
    fn words(self) -> &'static str {
        match self {
            Layout::Canonical => "in the canonical format of savepoints",
            Layout::CanonicalOfDatabase => "a full snapshot of RocksDB",
            Layout::Heap => "of the hashmap backend",
            Layout::Database => "the files of a RocksDB or ForSt database",
            Layout::KeyGroups => "key groups of the hashmap backend or of RocksDB",
        }
    }

    /// Whether a backend restores it; `None` where that is not known.
    fn taken_by(self, backend: Backend) -> Option<bool> {
        match (self, backend) {
            (Layout::Canonical, Backend::HashMap | Backend::RocksDb) => Some(true),
            (Layout::CanonicalOfDatabase, Backend::RocksDb) | (Layout::Heap, Backend::HashMap) => Some(true),
            (Layout::Database, Backend::RocksDb | Backend::ForSt) => Some(true),
            (Layout::KeyGroups, Backend::HashMap | Backend::RocksDb) => None,
            _ => Some(false),
        }
    }
}

fn layouts(handle: &KeyedHandle<'_>, body: Option<KeyedBody>, found: &mut Vec<Layout>) {
    let layout = match handle {
        KeyedHandle::KeyGroups(groups) => match (&groups.kind, body) {
            (KeyGroupsKind::Savepoint, _) => Layout::Canonical,
            (_, Some(KeyedBody::Canonical)) => Layout::CanonicalOfDatabase,
            (_, Some(KeyedBody::Heap)) => Layout::Heap,
            (_, None) => Layout::KeyGroups,
        },
        KeyedHandle::Incremental(_) => Layout::Database,
        // Changes alone are applied to any backend.
        KeyedHandle::Changelog(changelog) => {
            return changelog.materialized.iter().flatten().for_each(|part| layouts(part, body, found));
        }
        KeyedHandle::ChangesInMemory(_) | KeyedHandle::ChangesInFiles(_) => return,
    };
    if !found.contains(&layout) {
        found.push(layout);
    }
}

/// Holds the keyed state of a snapshot against a backend.
pub(super) fn check(metadata: &Metadata<'_>, heads: &[Heads], backend: Backend) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (operator, heads) in metadata.operators.iter().zip(heads) {
        let mut found = Vec::new();
        let states = operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref());
        states.filter_map(|state| state.managed_keyed.as_deref()).for_each(|h| layouts(h, heads.body, &mut found));
        for layout in &found {
            let words = layout.words();
            let (severity, message) = match layout.taken_by(backend) {
                Some(true) => continue,
                Some(false) => {
                    (Severity::Error, format!("its keyed state is {words}: the {backend} backend does not restore it"))
                }
                None => (
                    Severity::Unknown,
                    format!("its keyed state is {words}, which of the two the key groups do not tell"),
                ),
            };
            let hint = match (layout, backend) {
                (Layout::Canonical, _) => "Flink 2.3 restores canonical savepoints on hashmap and rocksdb only",
                _ => "a savepoint in canonical format, taken with the old backend, moves between hashmap and rocksdb",
            };
            findings.push(of_operator(Code::WrongBackend, severity, operator, message).hint(hint));
        }
        if heads.asynchronous && backend == Backend::RocksDb && !found.is_empty() {
            let message =
                "its keyed state is of the asynchronous interface of Flink 2: the rocksdb backend does not restore it";
            findings.push(of_operator(Code::WrongBackend, Severity::Error, operator, message.to_owned()));
        }
    }
    findings
}
