//! The known failures: how each is recognised, what it means, and what helps. `docs/findings.md` is made from it.

mod checkpoints;
mod compatibility;
mod mapping;
mod metadata;
mod reading;
mod storage;

use super::facts::FileKind;
use super::trace::{Chain, Thrown};
use serde::Serialize;

/// A known failure.
#[derive(Debug)]
pub struct Entry {
    /// Its name in JSON and documents.
    pub id: &'static str,
    /// How it is recognised: any of these.
    pub patterns: &'static [Pattern],
    /// The cause, in a sentence. `{snapshot}`, `{operator}`, `{file}`, `{state-max}`, `{job-max}`, `{scheme}` and
    /// `{class}` stand for what the log names.
    pub cause: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// What it stops.
    pub effect: Effect,
    /// What the last line is to be.
    pub remedy: Remedy,
}

/// What a failure stops; the worst is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The job does not start.
    Restore,
    /// Checkpoints are not completed.
    Checkpointing,
    /// The job is stopped for another reason.
    Job,
    /// Nothing by itself.
    Note,
}

/// What helps, as far as it decides the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Start from another snapshot.
    AnotherSnapshot,
    /// Mend the program or the cluster, then start from the same snapshot.
    SameSnapshot,
    /// Find out which operator it is; then mend the program.
    FindOperator,
    /// The snapshots have nothing to do with it.
    NotTheSnapshot,
}

/// What an exception, its causes and its wrappers must be like.
#[derive(Debug)]
pub struct Pattern {
    /// The simple name of its class is one of these; empty for any.
    pub class: &'static [&'static str],
    /// Its message has all of these.
    pub says: &'static [&'static str],
    /// A method that it passed, here or in a wrapper, has one of these in its name; empty for any.
    pub passed: &'static [&'static str],
    /// Any exception of the chain, or the line before it, has one of these; empty for any.
    pub chain: &'static [&'static str],
    /// No exception of the chain has any of these.
    pub not: &'static [&'static str],
    /// Its path is of one of these kinds; empty for any.
    pub file: &'static [FileKind],
    /// A line without an exception is enough.
    pub bare: bool,
}

/// A pattern that asks for nothing, to be filled.
pub(super) const ANY: Pattern =
    Pattern { class: &[], says: &[], passed: &[], chain: &[], not: &[], file: &[], bare: false };

/// Methods that a restore passes.
pub(super) const RESTORING: &[&str] = &[
    "BackendRestorerProcedure",
    "RestoreOperation",
    "StateInitializer",
    "streamOperatorStateContext",
    "StateReaderImpl",
    "restoreStateAndGates",
    "StateDownloader",
    "StateDataTransfer",
    "openInputStream",
    "initializeState",
];

/// Methods that loading a `_metadata` passes.
pub(super) const LOADING: &[&str] =
    &["loadCheckpointMetadata", "MetadataV", "MetadataSerializer", "loadAndValidateCheckpoint"];

/// All entries; of two that fit the same exception the first counts.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    let rooms = [
        metadata::ENTRIES,
        mapping::ENTRIES,
        compatibility::ENTRIES,
        storage::ENTRIES,
        reading::ENTRIES,
        checkpoints::ENTRIES,
    ];
    rooms.into_iter().flatten()
}

impl Pattern {
    fn fits(&self, chain: &Chain, thrown: &Thrown) -> bool {
        let any =
            |wanted: &[&str], has: &dyn Fn(&str) -> bool| wanted.is_empty() || wanted.iter().any(|text| has(text));
        let path = || super::facts::path_in(&thrown.message).map(|path| super::facts::file_kind(&path));
        (self.class.is_empty() || self.class.contains(&thrown.simple_class()))
            && self.says.iter().all(|text| thrown.message.contains(text))
            && any(self.passed, &|text| chain.passed(text))
            && any(self.chain, &|text| chain.says(text))
            && !self.not.iter().any(|text| chain.says(text) || chain.passed(text))
            && (self.file.is_empty() || path().is_some_and(|kind| self.file.contains(&kind)))
    }
}

/// The entry for a chain: that of its innermost cause that is known, and which cause that is.
pub fn explain(chain: &Chain) -> Option<(&'static Entry, usize)> {
    chain.thrown.iter().enumerate().rev().find_map(|(index, thrown)| {
        let entry = entries().find(|entry| entry.patterns.iter().any(|pattern| pattern.fits(chain, thrown)))?;
        Some((entry, index))
    })
}

/// The entry for a line without an exception.
pub fn explain_line(line: &str) -> Option<&'static Entry> {
    // One of these is in every pattern for a bare line, and in few lines of a log.
    const TELLING: [&str; 6] =
        ["heckpoint", "_metadata", "state file ", "tasks ", "CHECKPOINT_EXPIRED", "allowNonRestoredState"];
    if !TELLING.iter().any(|word| line.contains(word)) {
        return None;
    }
    let bare = |pattern: &&Pattern| pattern.bare && pattern.says.iter().all(|text| line.contains(text));
    entries().find(|entry| entry.patterns.iter().any(|pattern| bare(&pattern)))
}

/// The table as a part of `docs/findings.md`.
pub fn document() -> String {
    let mut text = String::from(
        "\n# Diagnoses\n\nWhat `chkctl diagnose` knows, from the table in `src/diagnose/table.rs`; what stands in braces \
         is taken from the log. [diagnose.md](diagnose.md) is the guide.\n",
    );
    for entry in entries() {
        let effect = match entry.effect {
            Effect::Restore => "the job does not start",
            Effect::Checkpointing => "checkpoints are not completed",
            Effect::Job => "the job stops",
            Effect::Note => "nothing by itself",
        };
        text.push_str(&format!("\n## {}\n\n{} Effect: {effect}.\n\n{}\n", entry.id, entry.cause, entry.advice));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_name_of_its_own_and_can_be_found() {
        let mut ids: Vec<&str> = entries().map(|entry| entry.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        for entry in entries() {
            assert!(
                entry.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit()),
                "{}",
                entry.id
            );
            assert!(
                !entry.patterns.is_empty() && entry.cause.ends_with('.') && entry.advice.ends_with('.'),
                "{}",
                entry.id
            );
            for pattern in entry.patterns {
                let line = pattern.says.join(" … ");
                assert!(!pattern.bare || explain_line(&line).is_some(), "{} is not found by {line}", entry.id);
                assert!(!pattern.says.is_empty() || !pattern.class.is_empty(), "{} would fit everything", entry.id);
            }
        }
    }
}
